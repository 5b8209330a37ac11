// SPDX-License-Identifier: MIT
/*
 * mydevctl halt: clear the halt of a bulk endpoint, by hand.
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "tool.h"

struct options {
	const char *direction;
	const char *name;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (!strcmp(arg, "in") || !strcmp(arg, "out")) {
			if (options->direction)
				argp_error(state, "one endpoint only: %s", arg);
			options->direction = arg;
			return 0;
		}
		if (options->name)
			argp_error(state, "one device only, and in or out: %s",
				   arg);
		options->name = arg;
		return 0;
	case ARGP_KEY_END:
		if (!options->direction)
			argp_error(state, "which endpoint? in or out");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.parser = parse,
	.args_doc = "[DEV] in|out",
	.doc = "Clear the halt of the IN or OUT endpoint of a device.\v" DEV_DOC
	       " The driver does that on its own where an endpoint stalls. By hand "
	       "it brings both sides back into step, for instance after the device "
	       "has started anew. Transfers go on afterwards.\n\n" EXIT_CODES_DOC,
};

static int clear(const struct target *target, const char *direction)
{
	const char *path = mydev_path(target->dev);
	struct mydev_info info;
	unsigned int endpoint;
	int ret;

	ret = mydev_get_info(target->dev, &info, sizeof(info));
	if (ret)
		return sender_error(target, ret);
	endpoint = strcmp(direction, "in") ? info.ep_out : info.ep_in;
	if (!endpoint) {
		complain("%s: the interface has no bulk %s endpoint", path,
			 strcmp(direction, "in") ? "OUT" : "IN");
		fprintf(stderr,
			"  Another alternate setting may have one: mydevctl alt.\n");
		return EXIT_ERROR;
	}
	ret = mydev_clear_halt(target->dev, endpoint);
	switch (ret) {
	case 0:
		return EXIT_OK;
	case -EPIPE:
	case -EIO:
	case -ETIMEDOUT:
		complain("%s: the halt of endpoint %02x cannot be cleared: %s",
			 path, endpoint, mydev_strerror(ret));
		fprintf(stderr, "  mydevctl reset may help.\n");
		return EXIT_ERROR;
	default:
		return sender_error(target, ret);
	}
}

int cmd_halt(int argc, char **argv)
{
	struct options options = { 0 };
	struct target target;
	int status;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	status = target_open_sender(&target, options.name, O_WRONLY);
	if (status)
		return status;
	status = clear(&target, options.direction);
	target_close(&target);
	return status;
}
