// SPDX-License-Identifier: MIT
/*
 * mydevctl: look at mydev devices, read them, send to them and set them up, from
 * the shell.
 */
#include <argp.h>
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "tool.h"

static const struct command {
	const char *name;
	const char *title; /* argv[0] of the command, for its own messages */
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "list", "mydevctl list", cmd_list },
	{ "info", "mydevctl info", cmd_info },
	{ "cat", "mydevctl cat", cmd_cat },
	{ "stats", "mydevctl stats", cmd_stats },
	{ "config", "mydevctl config", cmd_config },
	{ "clients", "mydevctl clients", cmd_clients },
	{ "write", "mydevctl write", cmd_write },
	{ "transact", "mydevctl transact", cmd_transact },
	{ "control", "mydevctl control", cmd_control },
	{ "lease", "mydevctl lease", cmd_lease },
	{ "alt", "mydevctl alt", cmd_alt },
	{ "halt", "mydevctl halt", cmd_halt },
	{ "recovery", "mydevctl recovery", cmd_recovery },
	{ "restart", "mydevctl restart", cmd_restart },
	{ "reset", "mydevctl reset", cmd_reset },
	{ "revoke", "mydevctl revoke", cmd_revoke },
};

struct choice {
	const struct command *command;
	int first; /* index of the command's name in argv */
};

static const struct command *find_command(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	}
	return NULL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct choice *choice = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		choice->command = find_command(arg);
		if (!choice->command)
			argp_error(
				state,
				"no command \"%s\"; the commands are list, info, cat, stats, config, clients, write, transact, control, lease, alt, halt, reset and revoke",
				arg);
		choice->first = state->next - 1;
		/* What follows is the command's own to parse. */
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_usage(state);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.parser = parse,
	.args_doc = "COMMAND [OPTION...] [DEV]",
	.doc = "Look at mydev devices, read them, send to them and set them up.\v"
	       "Commands:\n"
	       "  list      the devices that are present\n"
	       "  info      what a device is\n"
	       "  cat       copy what a device sends to standard output\n"
	       "  stats     the counters of a device, once or again and again\n"
	       "  config    the receive ring of a device, to show or to change\n"
	       "  clients   who has a device open, and who is slow\n"
	       "  write     send a file or standard input to a device\n"
	       "  transact  send a few bytes, and print the answer\n"
	       "  control   make a control request\n"
	       "  lease     be the only one who may send, while a command runs\n"
	       "  alt       the alternate setting, to show or to change\n"
	       "  halt      clear the halt of an endpoint\n"
	       "  reset     reset a device\n"
	       "  revoke    take a descriptor away from whoever has it\n"
	       "\n"
	       "mydevctl COMMAND --help tells about one command.\n\n" DEV_DOC
	       "\n\n" EXIT_CODES_DOC,
};

const char *argp_program_version = "mydevctl " VERSION;

int main(int argc, char **argv)
{
	struct choice choice = { 0 };
	int status;

	/* Only what is needed to print the strings of a device. */
	setlocale(LC_CTYPE, "");
	argp_err_exit_status = EXIT_USAGE;
	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &choice) ||
	    !choice.command)
		return EXIT_USAGE;
	argv[choice.first] = (char *)choice.command->title;
	status = choice.command->run(argc - choice.first, argv + choice.first);
	if ((fflush(stdout) || ferror(stdout)) && status == EXIT_OK) {
		complain("cannot write the output: %s", strerror(errno));
		status = EXIT_ERROR;
	}
	return status;
}
