// SPDX-License-Identifier: MIT
/*
 * mydevctl alt: the alternate setting of the interface, to show and to change.
 */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/usb/ch9.h>

#include "tool.h"

#define MAX_SETTING 255U

struct options {
	struct common common;
	bool given;
	unsigned int setting;
	const char *last; /* argument that was not understood yet */
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		return 0;
	case ARGP_KEY_ARG:
		if (options->common.name)
			argp_error(state, "one device and one N only: %s", arg);
		options->common.name = options->last;
		options->last = arg;
		return 0;
	case ARGP_KEY_END:
		/* The last argument is N if it can be, or else the device. */
		if (!options->last)
			return 0;
		options->given = parse_limited(options->last, MAX_SETTING,
					       &options->setting);
		if (options->given)
			return 0;
		if (options->common.name ||
		    !options->last[strspn(options->last, "0123456789")])
			argp_error(state, "N is a number from 0 to %u, not %s",
				   MAX_SETTING, options->last);
		options->common.name = options->last;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.parser = parse,
	.children = with_common,
	.args_doc = "[DEV] [N]",
	.doc = "Show the alternate setting of the interface and its endpoints, or "
	       "change to setting N and show what is there now.\v" DEV_DOC
	       " A number alone is N.\n\n"
	       "It changes for everybody. Readers go on with the new endpoints; in "
	       "packet mode they are told.\n\n" EXIT_CODES_DOC,
};

/* All descriptors of the USB device, as it sent them. 0 where there are none. */
static size_t read_descriptors(const struct target *target,
			       unsigned char *bytes, size_t size)
{
	size_t count;
	char *path;
	FILE *file;

	if (asprintf(&path, "/sys/class/mydev/%s/device/../descriptors",
		     mydev_entry_name(target->entry)) < 0)
		need(NULL);
	file = fopen(path, "re");
	free(path);
	if (!file)
		return 0;
	count = fread(bytes, 1, size, file);
	fclose(file);
	return count;
}

/* How many the interface has in the configuration in use; 0 for not told. */
static unsigned int count_settings(const struct target *target)
{
	unsigned int interface = mydev_entry_interface(target->entry);
	unsigned char bytes[4096];
	const unsigned char *desc = bytes;
	unsigned int count = 0;
	bool active = false;
	char value[16];
	size_t left;

	if (mydev_entry_attr(target->entry, "device/../bConfigurationValue",
			     value, sizeof(value)) <= 0)
		return 0;
	left = read_descriptors(target, bytes, sizeof(bytes));
	/* Each begins with its length and its type. */
	for (; left >= 6 && desc[0] >= 2 && desc[0] <= left;
	     left -= desc[0], desc += desc[0]) {
		if (desc[1] == USB_DT_CONFIG)
			active = desc[5] == strtoul(value, NULL, 10);
		else if (active && desc[1] == USB_DT_INTERFACE &&
			 desc[2] == interface)
			count++;
	}
	return count;
}

static int set_error(const struct target *target, unsigned int setting, int err)
{
	const char *path = mydev_path(target->dev);
	unsigned int count = count_settings(target);

	switch (err) {
	case -ERANGE:
		complain("%s: there is no alternate setting %u", path, setting);
		if (count == 1)
			fprintf(stderr, "  The interface has only one.\n");
		else if (count)
			fprintf(stderr, "  The interface has %u: 0 to %u.\n",
				count, count - 1);
		return EXIT_ERROR;
	case -EPIPE:
		complain(
			"%s: the device refused alternate setting %u: it stalled",
			path, setting);
		fprintf(stderr,
			"  Its manual says when it accepts which; mydevctl reset may help.\n");
		return EXIT_ERROR;
	case -EIO:
	case -ETIMEDOUT:
		complain("%s: the alternate setting cannot be changed: %s",
			 path, mydev_strerror(err));
		return EXIT_ERROR;
	default:
		return sender_error(target, err);
	}
}

static void add_endpoint(struct json_object *obj, const char *key,
			 unsigned int address)
{
	if (address)
		add_hex(obj, key, address, 2);
	else
		add_null(obj, key);
}

static int show(const struct target *target, bool json)
{
	unsigned int count = count_settings(target);
	struct mydev_info info;
	struct json_object *obj;
	int ret = mydev_get_info(target->dev, &info, sizeof(info));

	if (ret)
		return sender_error(target, ret);
	obj = need(json_object_new_object());
	add_text(obj, "name", mydev_entry_name(target->entry));
	add_number(obj, "alternate_setting", info.alternate_setting);
	add_known(obj, "alternate_settings", count, count);
	add_endpoint(obj, "ep_in", info.ep_in);
	add_endpoint(obj, "ep_out", info.ep_out);
	if (json)
		print_json(obj);
	else
		print_fields(obj);
	json_object_put(obj);
	return EXIT_OK;
}

int cmd_alt(int argc, char **argv)
{
	struct options options = { 0 };
	struct target target;
	int status;
	int ret = 0;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	status = target_open_to(&target, options.common.name, options.given);
	if (status)
		return status;
	if (options.given)
		ret = mydev_set_alternate(target.dev, options.setting);
	if (ret)
		status = set_error(&target, options.setting, ret);
	else
		status = show(&target, options.common.json);
	target_close(&target);
	return status;
}
