// SPDX-License-Identifier: MIT
/*
 * mydevctl transact: bytes to a device, and its answer.
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "tool.h"

#define KEY_RAW 0x100

#define MAX_LENGTH 65536U

struct options {
	struct common common;
	bool raw;
	const char *file;
	unsigned int length; /* of the answer */
	struct data data;
};

static void take_argument(struct options *options, char *arg,
			  struct argp_state *state)
{
	if (is_hex(arg) && !(options->file && is_device_name(arg))) {
		data_add_hex(&options->data, arg);
		return;
	}
	/* The device comes first, and no device is called 0x1. */
	if (options->data.length || (options->common.name && !options->file) ||
	    !strncasecmp(arg, "0x", 2))
		argp_error(
			state,
			"not data: %s (two hexadecimal digits for each byte, such as 01, 0x01 or 01fe)",
			arg);
	if (options->common.name)
		argp_error(state, "one device only: %s", arg);
	options->common.name = arg;
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
	case 'l':
		if (!parse_limited(arg, MAX_LENGTH, &options->length) ||
		    !options->length)
			argp_error(state,
				   "--length is a number from 1 to %u, not %s",
				   MAX_LENGTH, arg);
		return 0;
	case ARGP_KEY_ARG:
		take_argument(options, arg, state);
		return 0;
	case ARGP_KEY_END:
		if (options->raw && options->common.json)
			argp_error(state,
				   "--raw and --json exclude each other");
		if (options->file && options->data.length)
			argp_error(
				state,
				"data comes from --file or the command line, not both");
		if (!options->file && !options->data.length)
			argp_error(
				state,
				"nothing to send: DATA or --file is missing");
		if (options->data.length > MAX_LENGTH)
			argp_error(state, "at most %u bytes can be sent",
				   MAX_LENGTH);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_table[] = {
	{ "length", 'l', "BYTES", 0,
	  "The answer has BYTES at most, 1 to 65536 (65536 if not given)", 0 },
	{ "raw", KEY_RAW, NULL, 0, "Print the answer as it is", 0 },
	{ "file", 'f', "FILE", 0,
	  "Send the bytes of FILE, or of standard input for -", 0 },
	{ 0 },
};

static const struct argp argp = {
	.options = option_table,
	.parser = parse,
	.children = with_timeout,
	.args_doc = "[DEV] DATA...\n[DEV] --file=FILE",
	.doc = "Send bytes to a device, and print its answer.\v" DEV_DOC
	       " DATA has two hexadecimal digits for each byte, in one word or "
	       "several, which may begin with 0x; a first word that is no such thing is the DEV.\n\n"
	       "The answer is what the device sends when it has taken the last "
	       "byte, until it ends with a short packet or --length is reached. "
	       "Nobody else's data comes in between. Other readers of the device "
	       "see the answer as well.\n\n" EXIT_CODES_DOC,
};

static int exchange_error(const struct target *target,
			  const struct options *options, int err)
{
	const char *path = mydev_path(target->dev);

	switch (err) {
	case -EPIPE:
		complain("%s: the device refused what was sent: it stalled",
			 path);
		fprintf(stderr,
			"  It listens again. Its manual says what it accepts.\n");
		return EXIT_ERROR;
	case -ETIMEDOUT:
		complain("%s: no whole answer came within %u ms", path,
			 options->common.timeout_ms ? options->common.timeout_ms
						    : 5000);
		fprintf(stderr,
			"  Give the device longer with --timeout-ms. An answer that fills its last packet does not\n"
			"  end by itself: say how long it is with --length. A reader that holds the device up\n"
			"  shows in mydevctl clients.\n");
		return EXIT_ERROR;
	case -EIO:
		complain("%s: the exchange failed by an error of the bus",
			 path);
		fprintf(stderr,
			"  Check the cable and the port, and try again; mydevctl reset may help.\n");
		return EXIT_ERROR;
	default:
		return sender_error(target, err);
	}
}

static void print_answer(const struct target *target,
			 const struct options *options, const void *answer,
			 size_t length, bool truncated)
{
	struct json_object *obj;

	if (options->raw) {
		fwrite(answer, 1, length, stdout);
		return;
	}
	if (!options->common.json) {
		print_dump(answer, length);
		return;
	}
	obj = need(json_object_new_object());
	add_text(obj, "name", mydev_entry_name(target->entry));
	add_number(obj, "sent_bytes", options->data.length);
	add_number(obj, "bytes", length);
	json_object_object_add(obj, "truncated",
			       need(json_object_new_boolean(truncated)));
	add_data(obj, "data", answer, length);
	print_json(obj);
	json_object_put(obj);
}

/*
 * This program does not read its own stream, so that must not hold up the
 * device that is about to answer. @policy is what it was before.
 */
static int let_go(const struct mydev *dev, __u32 policy, __u32 *before)
{
	struct mydev_config config;
	int ret = mydev_get_config(dev, &config, sizeof(config));

	if (ret)
		return ret;
	if (before)
		*before = config.policy;
	config.policy = policy;
	return mydev_set_config(dev, &config, sizeof(config));
}

static int run(const struct target *target, const struct options *options)
{
	unsigned int length = options->length ? options->length : MAX_LENGTH;
	struct mydev_info info;
	bool truncated = false;
	unsigned char *answer;
	__u32 policy = 0;
	ssize_t n;
	int ret;

	ret = mydev_get_info(target->dev, &info, sizeof(info));
	if (!ret && (!info.ep_in || !info.ep_out)) {
		complain(
			"%s: the interface has no bulk %s endpoint: no exchange is possible with it",
			mydev_path(target->dev), info.ep_out ? "IN" : "OUT");
		fprintf(stderr,
			"  Another alternate setting may have one: mydevctl alt.\n");
		return EXIT_ERROR;
	}
	if (!ret && mydev_is_reader(target->dev))
		ret = let_go(target->dev, MYDEV_POLICY_DROP_OLDEST, &policy);
	if (ret)
		return sender_error(target, ret);
	answer = need(calloc(1, length));
	n = mydev_transact(target->dev, options->data.bytes,
			   options->data.length, answer, length,
			   options->common.timeout_ms, &truncated);
	if (target->inherited && mydev_is_reader(target->dev))
		let_go(target->dev, policy, NULL);
	if (n < 0) {
		ret = exchange_error(target, options, unplugged_or(target, n));
	} else {
		print_answer(target, options, answer, n, truncated);
		ret = EXIT_OK;
	}
	if (truncated) {
		complain(
			"%s: the answer is longer than %u bytes, the rest is not here",
			mydev_path(target->dev), length);
		ret = EXIT_LOST;
	}
	free(answer);
	return ret;
}

int cmd_transact(int argc, char **argv)
{
	struct options options = { 0 };
	struct target target;
	int status = EXIT_OK;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	if (options.raw && !raw_fits_here())
		return EXIT_USAGE;
	if (options.file)
		status = data_read(&options.data, options.file, MAX_LENGTH);
	if (!status && !options.data.length) {
		complain("%s is empty: there is nothing to send",
			 input_name(options.file));
		status = EXIT_USAGE;
	}
	if (!status)
		status = target_open_sender(&target, options.common.name,
					    O_RDWR);
	if (!status) {
		status = run(&target, &options);
		target_close(&target);
	}
	data_free(&options.data);
	return status;
}
