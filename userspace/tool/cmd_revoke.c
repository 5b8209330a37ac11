// SPDX-License-Identifier: MIT
/*
 * mydevctl revoke: take a descriptor away from whoever has it.
 */
#include <argp.h>
#include <errno.h>

#include "tool.h"

struct options {
	unsigned int id;
	const char *name;
	const char *last; /* the ID, once all arguments are there */
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (options->name)
			argp_error(state, "one device and one ID only: %s",
				   arg);
		options->name = options->last;
		options->last = arg;
		return 0;
	case ARGP_KEY_END:
		if (!options->last)
			argp_error(
				state,
				"which descriptor? mydevctl clients shows their ids");
		if (!parse_limited(options->last, UINT32_MAX, &options->id) ||
		    !options->id)
			argp_error(
				state,
				"not an ID: %s (a number from 1, as mydevctl clients shows it)",
				options->last);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.parser = parse,
	.args_doc = "[DEV] ID",
	.doc = "Take a descriptor of a device away from whoever has it, as root.\v" DEV_DOC
	       " The ID is in the first column of mydevctl clients. That descriptor "
	       "can do nothing any more but be closed; its lease, its queue and "
	       "what it had not sent are given up. The process lives on, and can "
	       "open the device again.\n\n" EXIT_CODES_DOC,
};

static int revoke_error(const struct target *target, unsigned int id, int err)
{
	const char *path = mydev_path(target->dev);

	switch (err) {
	case -ESRCH:
		complain("%s: no descriptor has the id %u", path, id);
		fprintf(stderr,
			"  It may be closed by now; mydevctl clients %s shows those that are open.\n",
			mydev_entry_name(target->entry));
		return EXIT_ERROR;
	case -EPERM:
	case -EACCES:
		complain(
			"%s: only root can take a descriptor away: run this as root",
			path);
		return EXIT_PERMISSION;
	default:
		return device_error(path, err);
	}
}

int cmd_revoke(int argc, char **argv)
{
	struct options options = { 0 };
	struct target target;
	int status;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	status = target_open(&target, options.name, TARGET_QUERY);
	if (status)
		return status;
	ret = mydev_revoke(target.dev, options.id);
	if (ret)
		status = revoke_error(&target, options.id, ret);
	target_close(&target);
	return status;
}
