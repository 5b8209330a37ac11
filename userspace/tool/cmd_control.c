// SPDX-License-Identifier: MIT
/*
 * mydevctl control: one control request to a device.
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

#define KEY_RAW 0x100

#define DIRECTION_IN   0x80
#define TYPE_MASK      0x60
#define RECIPIENT_MASK 0x1f

#define MAX_LENGTH 65535U

struct options {
	struct common common;
	bool raw;
	const char *file;
	unsigned int arguments; /* those of the request, so far */
	unsigned int request_type;
	unsigned int request;
	unsigned int value;
	unsigned int index;
	unsigned int length; /* IN */
	struct data data;    /* OUT */
};

static bool is_in(const struct options *options)
{
	return options->request_type & DIRECTION_IN;
}

/* Each word sets the bits of its mask, and each mask is set once. */
static const struct word {
	const char *name;
	unsigned int mask;
	unsigned int bits;
} words[] = {
	{ "in", DIRECTION_IN, DIRECTION_IN }, { "out", DIRECTION_IN, 0 },
	{ "standard", TYPE_MASK, 0x00 },      { "class", TYPE_MASK, 0x20 },
	{ "vendor", TYPE_MASK, 0x40 },        { "device", RECIPIENT_MASK, 0 },
	{ "interface", RECIPIENT_MASK, 1 },   { "endpoint", RECIPIENT_MASK, 2 },
	{ "other", RECIPIENT_MASK, 3 },
};

static const struct word *find_word(const char *name, size_t length)
{
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strlen(words[i].name) == length &&
		    !strncmp(words[i].name, name, length))
			return &words[i];
	}
	return NULL;
}

/* 0xc1, or vendor-in-interface. A number without 0x is that of a device. */
static bool parse_type(const char *text, unsigned int *type)
{
	unsigned int seen = 0;

	if (text[0] == '0' && text[1] == 'x')
		return parse_limited(text, UINT8_MAX, type);
	*type = 0;
	for (;;) {
		size_t length = strcspn(text, "-");
		const struct word *word = find_word(text, length);

		if (!word || seen & word->mask)
			return false;
		seen |= word->mask;
		*type |= word->bits;
		text += length;
		if (!*text)
			break;
		text++;
	}
	return seen == (DIRECTION_IN | TYPE_MASK | RECIPIENT_MASK);
}

static void take_number(unsigned int *number, unsigned int max,
			const char *what, const char *arg,
			struct argp_state *state)
{
	if (!parse_limited(arg, max, number))
		argp_error(state, "%s is a number from 0 to %u or 0x%x, not %s",
			   what, max, max, arg);
}

static void take_type(struct options *options, char *arg,
		      struct argp_state *state)
{
	if (parse_type(arg, &options->request_type)) {
		options->arguments = 1;
		return;
	}
	if (options->common.name)
		argp_error(
			state,
			"not a REQUEST_TYPE: %s (such as vendor-in-interface or 0xc1)",
			arg);
	options->common.name = arg;
}

static void take_data(struct options *options, const char *arg,
		      struct argp_state *state)
{
	if (is_in(options)) {
		if (options->length)
			argp_error(
				state,
				"a request that brings data has one LENGTH: %s",
				arg);
		if (!parse_limited(arg, MAX_LENGTH, &options->length) ||
		    !options->length)
			argp_error(state,
				   "LENGTH is a number from 1 to %u, not %s",
				   MAX_LENGTH, arg);
		return;
	}
	if (!is_hex(arg))
		argp_error(
			state,
			"not data: %s (two hexadecimal digits for each byte, such as 01, 0x01 or 01fe)",
			arg);
	data_add_hex(&options->data, arg);
	if (options->data.length > MAX_LENGTH)
		argp_error(state, "at most %u bytes of data fit", MAX_LENGTH);
}

static void take_argument(struct options *options, char *arg,
			  struct argp_state *state)
{
	switch (options->arguments) {
	case 0:
		take_type(options, arg, state);
		return;
	case 1:
		take_number(&options->request, UINT8_MAX, "REQUEST", arg,
			    state);
		break;
	case 2:
		take_number(&options->value, UINT16_MAX, "VALUE", arg, state);
		break;
	case 3:
		take_number(&options->index, UINT16_MAX, "INDEX", arg, state);
		break;
	default:
		take_data(options, arg, state);
	}
	options->arguments++;
}

static void check(const struct options *options, struct argp_state *state)
{
	if (options->arguments < 4)
		argp_error(
			state,
			"a request has a REQUEST_TYPE, a REQUEST, a VALUE and an INDEX");
	if (is_in(options)) {
		if (!options->length)
			argp_error(
				state,
				"how many bytes is the device asked for? LENGTH is missing");
		if (options->file)
			argp_error(state, "--file is for data that is sent");
		if (options->raw && options->common.json)
			argp_error(state,
				   "--raw and --json exclude each other");
		return;
	}
	if (options->raw)
		argp_error(state, "--raw is for data that comes");
	if (options->file && options->data.length)
		argp_error(
			state,
			"data comes from --file or the command line, not both");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		return 0;
	case 'f':
		options->file = arg;
		return 0;
	case KEY_RAW:
		options->raw = true;
		return 0;
	case ARGP_KEY_ARG:
		take_argument(options, arg, state);
		return 0;
	case ARGP_KEY_END:
		check(options, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_table[] = {
	{ "raw", KEY_RAW, NULL, 0, "Print the bytes that come as they are", 0 },
	{ "file", 'f', "FILE", 0,
	  "Send the bytes of FILE, or of standard input for -", 0 },
	{ 0 },
};

static const struct argp argp = {
	.options = option_table,
	.parser = parse,
	.children = with_timeout,
	.args_doc = "[DEV] REQUEST_TYPE REQUEST VALUE INDEX LENGTH\n"
		    "[DEV] REQUEST_TYPE REQUEST VALUE INDEX [DATA...]",
	.doc = "Make one control request to a device.\v" DEV_DOC
	       " REQUEST_TYPE is bmRequestType in hexadecimal digits with 0x in "
	       "front, or three words with - in between: vendor, class or "
	       "standard; in or out; interface, endpoint, device or other, as in "
	       "vendor-in-interface. The other numbers can be decimal, or "
	       "hexadecimal with 0x.\n\n"
	       "A request that goes in brings up to LENGTH bytes, which are "
	       "printed. One that goes out sends DATA, two hexadecimal digits for "
	       "each byte. The driver lets through vendor and class requests to "
	       "the interface (its number is the low byte of INDEX), to one of its "
	       "endpoints (the same with its address), and to the device where it "
	       "has no other interface. Where the administrator has written device "
	       "to the attribute control_scope, also to the device and to its "
	       "siblings, see mydevctl info.\n\n" EXIT_CODES_DOC,
};

/* What root can do about it; nothing where the driver has no such attribute. */
static void explain_scope(const struct target *target, const char *scope)
{
	if (!strcmp(scope, "interface"))
		fprintf(stderr,
			"  Root can allow requests to the whole device, and to its other interfaces that mydev has:\n"
			"  echo device > /sys/class/mydev/%s/control_scope\n",
			mydev_entry_name(target->entry));
}

static int refused_by_driver(const struct target *target,
			     const struct options *options)
{
	unsigned int recipient = options->request_type & RECIPIENT_MASK;
	struct mydev_info info = { 0 };
	char scope[32];

	mydev_get_info(target->dev, &info, sizeof(info));
	mydev_entry_attr(target->entry, "control_scope", scope, sizeof(scope));
	complain(
		"%s: this request would reach outside of the interface, so the driver does not make it",
		mydev_path(target->dev));
	if (!(options->request_type & TYPE_MASK))
		fprintf(stderr,
			"  Standard requests are the kernel's own; mydevctl alt, halt and reset do what they are for.\n");
	else if (recipient > 2)
		fprintf(stderr,
			"  The recipient has to be the interface, an endpoint or the device.\n");
	else if (!strcmp(scope, "device"))
		fprintf(stderr,
			"  INDEX names an interface, or an endpoint of one, that mydev does not have; mydevctl list shows those that it has.\n");
	else if (recipient == 1)
		fprintf(stderr,
			"  INDEX has to be the number of the interface, %u, in its low byte.\n",
			info.interface_number);
	else if (recipient == 2)
		fprintf(stderr,
			"  INDEX has to be the address of one of its endpoints; mydevctl info shows them.\n");
	else
		fprintf(stderr,
			"  The device has other interfaces too: only requests to interface %u are possible.\n",
			info.interface_number);
	if (options->request_type & TYPE_MASK && recipient <= 2)
		explain_scope(target, scope);
	return EXIT_PERMISSION;
}

static int request_error(const struct target *target,
			 const struct options *options, int err)
{
	const char *path = mydev_path(target->dev);

	switch (err) {
	case -EACCES:
		return refused_by_driver(target, options);
	case -EPIPE:
		complain("%s: the device refused this request: it stalled",
			 path);
		fprintf(stderr,
			"  Its manual says which requests it knows, and with which VALUE, INDEX and length.\n");
		return EXIT_ERROR;
	case -ETIMEDOUT:
		complain("%s: the device did not answer within %u ms", path,
			 options->common.timeout_ms ? options->common.timeout_ms
						    : 5000);
		fprintf(stderr,
			"  Give it longer with --timeout-ms, or look whether it hangs; mydevctl reset may help.\n");
		return EXIT_ERROR;
	case -EOVERFLOW:
		complain("%s: the device sent more than %u bytes", path,
			 options->length);
		fprintf(stderr, "  Ask for more: LENGTH can be up to %u.\n",
			MAX_LENGTH);
		return EXIT_ERROR;
	case -EIO:
		complain("%s: the request failed by an error of the bus", path);
		fprintf(stderr,
			"  Check the cable and the port, and try again; mydevctl reset may help.\n");
		return EXIT_ERROR;
	default:
		return sender_error(target, err);
	}
}

static void print_result(const struct target *target,
			 const struct options *options, const void *bytes,
			 size_t actual)
{
	struct json_object *obj;

	if (options->raw) {
		fwrite(bytes, 1, actual, stdout);
		return;
	}
	if (!options->common.json) {
		if (is_in(options))
			print_dump(bytes, actual);
		return;
	}
	obj = need(json_object_new_object());
	add_text(obj, "name", mydev_entry_name(target->entry));
	add_hex(obj, "request_type", options->request_type, 2);
	add_number(obj, "request", options->request);
	add_number(obj, "value", options->value);
	add_number(obj, "index", options->index);
	add_number(obj, "bytes", actual);
	add_data(obj, "data", bytes, actual);
	print_json(obj);
	json_object_put(obj);
}

static int run(const struct target *target, struct options *options)
{
	struct data *data = &options->data;
	ssize_t n;

	if (is_in(options)) {
		data->length = options->length;
		data->bytes = need(calloc(1, data->length));
	}
	n = mydev_control(target->dev, options->request_type, options->request,
			  options->value, options->index, data->bytes,
			  data->length, options->common.timeout_ms);
	if (n < 0)
		return request_error(target, options, unplugged_or(target, n));
	print_result(target, options, data->bytes, n);
	if (is_in(options) || (size_t)n == data->length)
		return EXIT_OK;
	complain("%s: the device took %zd of %zu bytes",
		 mydev_path(target->dev), n, data->length);
	return EXIT_ERROR;
}

int cmd_control(int argc, char **argv)
{
	struct options options = { 0 };
	struct target target;
	int status = EXIT_OK;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	if (options.raw && !raw_fits_here())
		return EXIT_USAGE;
	if (options.file)
		status = data_read(&options.data, options.file, MAX_LENGTH);
	if (!status)
		status = target_open_sender(&target, options.common.name,
					    O_WRONLY);
	if (!status) {
		status = run(&target, &options);
		target_close(&target);
	}
	data_free(&options.data);
	return status;
}
