// SPDX-License-Identifier: MIT
/*
 * Finding and opening the device that a command is meant for.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

static int list_devices(struct mydev_list **list)
{
	int ret = mydev_list_new(list);

	return ret ? device_error("/sys/class/mydev", ret) : EXIT_OK;
}

/* The path of the only device; free it. */
static int only_device(char **path)
{
	const struct mydev_entry *entry;
	struct mydev_list *list;
	int status = list_devices(&list);
	size_t i;

	if (status)
		return status;
	switch (mydev_list_count(list)) {
	case 0:
		status = no_device();
		break;
	case 1:
		*path = need(strdup(mydev_entry_path(mydev_list_get(list, 0))));
		break;
	default:
		complain("there is more than one device; say which:");
		for (i = 0; (entry = mydev_list_get(list, i)); i++)
			fprintf(stderr, "  %s\n", mydev_entry_name(entry));
		status = EXIT_USAGE;
	}
	mydev_list_free(list);
	return status;
}

int target_open(struct target *target, const char *name, int flags)
{
	char *path = NULL;
	int status;
	int ret;

	if (!name) {
		status = only_device(&path);
		if (status)
			return status;
		name = path;
	}
	if (flags == TARGET_QUERY)
		ret = mydev_open_query(name, &target->dev);
	else
		ret = mydev_open(name, flags, &target->dev);
	if (ret) {
		status = device_error(name, ret);
		free(path);
		return status;
	}
	free(path);
	/* Taken after the open, so that a device plugged in just now is in. */
	status = list_devices(&target->list);
	if (status)
		goto close;
	target->entry =
		mydev_list_by_devnum(target->list, mydev_devnum(target->dev));
	if (!target->entry) {
		status = device_error(mydev_path(target->dev), -ENODEV);
		goto free;
	}
	return EXIT_OK;

free:
	mydev_list_free(target->list);
close:
	mydev_close(target->dev);
	return status;
}

int target_look(struct target *target, const char *name)
{
	char *path = NULL;
	int status;
	int ret;

	target->dev = NULL;
	if (!name) {
		status = only_device(&path);
		if (status)
			return status;
		name = path;
	}
	status = list_devices(&target->list);
	if (!status) {
		ret = mydev_list_find(target->list, name, &target->entry);
		if (ret) {
			status = device_error(name, ret);
			mydev_list_free(target->list);
		}
	}
	free(path);
	return status;
}

void target_close(struct target *target)
{
	mydev_close(target->dev);
	mydev_list_free(target->list);
}
