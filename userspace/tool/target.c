// SPDX-License-Identifier: MIT
/*
 * Finding and opening the device that a command is meant for.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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
	switch (mydev_list_match(list, MYDEV_ANY_ID, MYDEV_ANY_ID, NULL, 0,
				 &entry)) {
	case 0:
		*path = need(strdup(mydev_entry_path(entry)));
		break;
	case -ENOENT:
		status = no_device();
		break;
	default:
		complain("there is more than one device; say which:");
		for (i = 0; (entry = mydev_list_get(list, i)); i++) {
			if (mydev_entry_is_first(entry))
				fprintf(stderr, "  %s\n",
					mydev_entry_name(entry));
		}
		status = EXIT_USAGE;
	}
	mydev_list_free(list);
	return status;
}

/* Taken after the open, so that a device plugged in just now is in. */
static int find_entry(struct target *target)
{
	int status = list_devices(&target->list);

	if (status)
		goto close;
	target->entry =
		mydev_list_by_devnum(target->list, mydev_devnum(target->dev));
	if (target->entry)
		return EXIT_OK;
	status = device_error(mydev_path(target->dev), -ENODEV);
	mydev_list_free(target->list);
close:
	mydev_close(target->dev);
	return status;
}

static int open_as(const char *name, int flags, struct mydev **dev)
{
	int ret;

	switch (flags) {
	case TARGET_QUERY:
		return mydev_open_query(name, dev);
	case TARGET_FULL:
		ret = mydev_open(name, O_RDWR, dev);
		if (ret == -EACCES)
			ret = mydev_open(name, O_WRONLY, dev);
		return ret;
	default:
		return mydev_open(name, flags, dev);
	}
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
	target->inherited = false;
	ret = open_as(name, flags, &target->dev);
	if (ret) {
		status = device_error(name, ret);
		free(path);
		return status;
	}
	free(path);
	return find_entry(target);
}

static int find_devnum(const char *name, dev_t *devnum)
{
	const struct mydev_entry *entry;
	struct mydev_list *list;
	int ret = mydev_list_new(&list);

	if (ret)
		return ret;
	ret = mydev_list_find(list, name, &entry);
	if (!ret)
		*devnum = mydev_entry_devnum(entry);
	mydev_list_free(list);
	return ret;
}

static int open_inherited(const char *number, struct mydev **dev)
{
	unsigned int fd;

	if (!parse_limited(number, INT_MAX, &fd))
		return -EBADF;
	return mydev_open_fd(fd, dev);
}

int target_open_sender(struct target *target, const char *name, int flags)
{
	const char *number = getenv(FD_VARIABLE);
	dev_t devnum = 0;
	int ret;

	if (!number)
		return target_open(target, name, flags);
	ret = open_inherited(number, &target->dev);
	if (ret && !name) {
		complain("%s is %s: %s", FD_VARIABLE, number,
			 ret == -EBADF ? "no open descriptor"
				       : mydev_strerror(ret));
		fprintf(stderr,
			"  It is what mydevctl lease leaves to its command. Whoever starts others in between\n"
			"  has to leave it open (in Python: pass_fds), or to take the variable away.\n");
		return EXIT_ERROR;
	}
	if (!ret && name &&
	    (find_devnum(name, &devnum) ||
	     devnum != mydev_devnum(target->dev))) {
		mydev_close(target->dev);
		ret = -ENXIO;
	}
	/* Some other device than the one that was leased. */
	if (ret)
		return target_open(target, name, flags);
	target->inherited = true;
	return find_entry(target);
}

int target_open_to(struct target *target, const char *name, bool change)
{
	return change ? target_open_sender(target, name, O_WRONLY)
		      : target_open(target, name, TARGET_QUERY);
}

/* The "0" of "mydev0", or the "0.83" of "mydev0.83". */
static bool is_device_number(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	if (!digits || !text[digits])
		return digits;
	return text[digits] == '.' && text[digits + 1] &&
	       !text[digits + 1 + strspn(text + digits + 1, "0123456789abcdef")];
}

bool is_device_name(const char *name)
{
	static const char node[] = "/dev/mydev";
	dev_t devnum;

	if (is_device_number(name))
		return true;
	if (!strncmp(name, node + 5, 5) && is_device_number(name + 5))
		return true;
	return !strncmp(name, node, sizeof(node) - 1) ||
	       !find_devnum(name, &devnum);
}

int target_look(struct target *target, const char *name)
{
	char *path = NULL;
	int status;
	int ret;

	target->dev = NULL;
	target->inherited = false;
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
