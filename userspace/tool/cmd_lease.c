// SPDX-License-Identifier: MIT
/*
 * mydevctl lease: be the only one who sends and controls, for as long as a
 * command runs, or until a signal.
 *
 * The lease belongs to the descriptor, so the command gets that. It takes this
 * program's place: there is nobody left who could outlive it, and its signals
 * and its exit status are its own.
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

/* As env, nice, timeout and flock have them. */
#define EXIT_CANNOT_RUN 126
#define EXIT_NOT_FOUND  127

struct options {
	struct common common;
	unsigned int wait_ms;
	char **command;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		return 0;
	case 'w':
		options->wait_ms = MYDEV_WAIT_FOREVER;
		if (arg && !parse_limited(arg, MYDEV_WAIT_FOREVER - 1,
					  &options->wait_ms))
			argp_error(state, "not a time in milliseconds: %s",
				   arg);
		return 0;
	case ARGP_KEY_ARG:
		/* What is behind a -- is the command. */
		if (state->quoted && state->next > state->quoted) {
			options->command = &state->argv[state->next - 1];
			state->next = state->argc;
			return 0;
		}
		if (options->common.name)
			argp_error(
				state,
				"one device only: %s (a command goes behind --)",
				arg);
		options->common.name = arg;
		return 0;
	case ARGP_KEY_END:
		if (options->common.json && options->command)
			argp_error(
				state,
				"--json is for a lease without a command, whose output is its own");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_table[] = {
	{ "wait", 'w', "MS", OPTION_ARG_OPTIONAL,
	  "While somebody else holds the lease, wait for MS milliseconds, or for as long as it takes",
	  0 },
	{ 0 },
};

static const struct argp argp = {
	.options = option_table,
	.parser = parse,
	.children = with_common,
	.args_doc = "[DEV] [-- COMMAND [ARGUMENT...]]",
	.doc = "Hold the lease of a device: nobody else can send to it or control "
	       "it. Readers do not notice.\v" DEV_DOC
	       " The COMMAND gets the descriptor that holds the lease, its number "
	       "in the environment variable " FD_VARIABLE
	       ", open for reading and writing where both are permitted. "
	       "Commands of mydevctl use it on their own. The lease ends "
	       "when all who have the descriptor have ended.\n\n"
	       "Without a COMMAND the lease is held until SIGINT, SIGTERM or the "
	       "unplugging of the device.\n\n"
	       "The exit status is that of the COMMAND, 127 where there is none of "
	       "that name, 126 where it cannot be run. " EXIT_CODES_DOC,
};

static int acquire(const struct target *target, unsigned int wait_ms)
{
	int ret = mydev_lease_acquire(target->dev, wait_ms);
	struct holder holder;

	switch (ret) {
	case 0:
		return EXIT_OK;
	case -ETIMEDOUT:
		if (!lease_holder(target->entry, &holder))
			return sender_error(target, -EBUSY);
		complain("%s: process %" PRIu64
			 " (%s) still holds the lease after %u ms",
			 mydev_path(target->dev), holder.pid, holder.command,
			 wait_ms);
		fprintf(stderr,
			"  Wait longer, end that process, or take the lease away as root: mydevctl clients, revoke.\n");
		return EXIT_ERROR;
	default:
		return sender_error(target, ret);
	}
}

static int run_command(const struct target *target, char **command)
{
	int fd = mydev_fd(target->dev);
	char number[16];

	snprintf(number, sizeof(number), "%d", fd);
	if (setenv(FD_VARIABLE, number, 1) || fcntl(fd, F_SETFD, 0)) {
		complain("cannot pass on the descriptor: %s", strerror(errno));
		return EXIT_CANNOT_RUN;
	}
	execvp(command[0], command);
	complain("cannot run %s: %s", command[0], strerror(errno));
	return errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}

static void announce(const struct target *target, bool json)
{
	struct json_object *obj;

	if (json) {
		obj = need(json_object_new_object());
		add_text(obj, "name", mydev_entry_name(target->entry));
		add_number(obj, "lease_pid", getpid());
		print_json_line(stdout, obj);
		json_object_put(obj);
	} else {
		printf("%s: process %d holds the lease until SIGINT (Ctrl-C) or SIGTERM\n",
		       mydev_path(target->dev), getpid());
	}
	/* Whoever reads a pipe wants the line now. */
	fflush(stdout);
}

static int hold(const struct target *target, bool json)
{
	/* No events: asking for input would set the device streaming. */
	struct pollfd pfd = { .fd = mydev_fd(target->dev) };
	struct mydev_info info;
	sigset_t waiting;
	int ret;

	/* Not later: nobody may see the line and send a signal too early. */
	ret = interrupt_block(&waiting);
	if (ret)
		return device_error(mydev_path(target->dev), ret);
	announce(target, json);
	for (;;) {
		pfd.revents = 0;
		if (ppoll(&pfd, 1, NULL, &waiting) < 0)
			return EXIT_OK;
		if (pfd.revents & POLLHUP)
			break;
		/* The device failed, which lasts; the lease is held. */
		pfd.fd = -1;
	}
	ret = mydev_get_info(target->dev, &info, sizeof(info));
	return device_error(mydev_path(target->dev), ret ? ret : -ENODEV);
}

int cmd_lease(int argc, char **argv)
{
	struct options options = {
		.common.json_doc =
			"Without a command: print a JSON object as a line when the lease is held"
	};
	struct target target;
	int status;

	/* In order, as what is in front of a -- has to be told apart. */
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &options);
	/* A reader that never reads is not needed to wait here. */
	status = target_open_sender(&target, options.common.name,
				    options.command ? TARGET_FULL : O_WRONLY);
	if (status)
		return status;
	status = acquire(&target, options.wait_ms);
	if (!status && options.command)
		status = run_command(&target, options.command);
	else if (!status)
		status = hold(&target, options.common.json);
	target_close(&target);
	return status;
}
