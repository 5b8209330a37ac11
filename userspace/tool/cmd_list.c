// SPDX-License-Identifier: MIT
/*
 * mydevctl list: which devices there are, from sysfs alone.
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

struct options {
	struct common common;
	bool no_header;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		return 0;
	case 'n':
		options->no_header = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "list takes no argument: %s", arg);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_table[] = {
	{ "no-header", 'n', NULL, 0, "Print no line of column titles", 0 },
	{ 0 },
};

static const struct argp argp = {
	.options = option_table,
	.parser = parse,
	.children = with_common,
	.doc = "List the devices that are present.\v"
	       "Devices that are interfaces of one USB device are below a line of its "
	       "own, which begins with its name. Opens no device, so it needs no "
	       "permission. No device is not an error: the list is empty then.\n\n" EXIT_CODES_DOC,
};

static void add_attr_number(struct json_object *obj,
			    const struct mydev_entry *entry, const char *attr)
{
	char buf[32];

	if (mydev_entry_attr(entry, attr, buf, sizeof(buf)) > 0)
		add_number(obj, attr, strtoull(buf, NULL, 10));
	else
		add_null(obj, attr);
}

static struct json_object *describe(const struct mydev_entry *entry)
{
	struct json_object *obj = need(json_object_new_object());

	add_text(obj, "name", mydev_entry_name(entry));
	add_text(obj, "path", mydev_entry_path(entry));
	add_hex(obj, "id_vendor", mydev_entry_id_vendor(entry), 4);
	add_hex(obj, "id_product", mydev_entry_id_product(entry), 4);
	add_number(obj, "interface_number", mydev_entry_interface(entry));
	add_attr(obj, entry, "pipe");
	add_text(obj, "manufacturer", mydev_entry_manufacturer(entry));
	add_text(obj, "product", mydev_entry_product(entry));
	add_text(obj, "serial", mydev_entry_serial(entry));
	add_attr(obj, entry, "speed");
	add_attr(obj, entry, "ep_in");
	add_attr(obj, entry, "ep_out");
	add_attr(obj, entry, "state");
	add_attr_number(obj, entry, "clients");
	json_object_object_add(
		obj, "readable",
		need(json_object_new_boolean(mydev_entry_readable(entry))));
	add_text(obj, "usb_device", mydev_entry_usb_device(entry));
	add_words(obj, "siblings", mydev_entry_siblings(entry));
	return obj;
}

/* The line of a USB device: what its interfaces have in common. */
static struct json_object *describe_whole(const struct mydev_entry *entry)
{
	struct json_object *obj = need(json_object_new_object());

	add_text(obj, "name", mydev_entry_usb_device(entry));
	add_hex(obj, "id_vendor", mydev_entry_id_vendor(entry), 4);
	add_hex(obj, "id_product", mydev_entry_id_product(entry), 4);
	add_text(obj, "manufacturer", mydev_entry_manufacturer(entry));
	add_text(obj, "product", mydev_entry_product(entry));
	add_text(obj, "serial", mydev_entry_serial(entry));
	add_attr(obj, entry, "speed");
	return obj;
}

/* Those of the same USB device that come behind @pos; where it is unknown there are none. */
static const struct mydev_entry *next_sibling(const struct mydev_list *list,
					      size_t *pos)
{
	const char *name = mydev_entry_usb_device(mydev_list_get(list, *pos));
	const struct mydev_entry *entry;

	while (*name && (entry = mydev_list_get(list, ++*pos))) {
		if (!strcmp(mydev_entry_usb_device(entry), name))
			return entry;
	}
	return NULL;
}

static bool came_before(const struct mydev_list *list, size_t pos)
{
	const char *name = mydev_entry_usb_device(mydev_list_get(list, pos));

	while (*name && pos--) {
		if (!strcmp(mydev_entry_usb_device(mydev_list_get(list, pos)),
			    name))
			return true;
	}
	return false;
}

static void add_branch(struct json_object *rows,
		       const struct mydev_entry *entry, bool last)
{
	struct json_object *obj = describe(entry);
	char name[64];

	snprintf(name, sizeof(name), "%s%s", last ? "`-" : "|-",
		 mydev_entry_name(entry));
	add_text(obj, "name", name);
	json_object_array_add(rows, obj);
}

/* As lines: one that is alone as it is, those with siblings as a tree. */
static void add_tree(struct json_object *rows, const struct mydev_list *list,
		     size_t pos)
{
	const struct mydev_entry *entry = mydev_list_get(list, pos);
	const struct mydev_entry *next = next_sibling(list, &pos);

	if (!next) {
		json_object_array_add(rows, describe(entry));
		return;
	}
	json_object_array_add(rows, describe_whole(entry));
	for (; entry;
	     entry = next, next = next ? next_sibling(list, &pos) : NULL)
		add_branch(rows, entry, !next);
}

static const struct column columns[] = {
	{ "NAME", "name", 0 },
	{ "VENDOR", "id_vendor", 0 },
	{ "PRODUCT", "id_product", 0 },
	{ "IF", "interface_number", 3 },
	{ "PIPE", "pipe", 3 },
	{ "SPEED", "speed", 4 },
	{ "STATE", "state", 0 },
	{ "CLIENTS", "clients", 0 },
	{ "READABLE", "readable", 2 },
	{ "SERIAL", "serial", 0 },
	{ "MANUFACTURER", "manufacturer", 1 },
	{ "PRODUCT-NAME", "product", 0 },
	{ 0 },
};

int cmd_list(int argc, char **argv)
{
	struct options options = { .common.json_doc =
					   "Print a JSON array of objects" };
	const struct mydev_entry *entry;
	struct json_object *rows;
	struct mydev_list *list;
	size_t i;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	ret = mydev_list_new(&list);
	if (ret)
		return device_error("/sys/class/mydev", ret);
	rows = need(json_object_new_array());
	for (i = 0; (entry = mydev_list_get(list, i)); i++) {
		if (options.common.json)
			json_object_array_add(rows, describe(entry));
		else if (!came_before(list, i))
			add_tree(rows, list, i);
	}
	if (options.common.json)
		print_json(rows);
	else
		print_table(stdout, rows, columns, !options.no_header);
	if (!mydev_list_count(list) && isatty(STDERR_FILENO)) {
		fflush(stdout);
		no_device();
	}
	json_object_put(rows);
	mydev_list_free(list);
	return EXIT_OK;
}
