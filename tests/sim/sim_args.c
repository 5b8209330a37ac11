// SPDX-License-Identifier: GPL-2.0-only
/* The command line of mydev-sim. */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

enum {
	OPT_ZLP_EVERY = 256,
	OPT_ZLP_TERMINATE,
	OPT_OUT_SIZE,
	OPT_OUT_DEPTH,
	OPT_VERIFY_OUT,
	OPT_SOCKET,
	OPT_CTL,
	OPT_LOG,
	OPT_PID_FILE,
	OPT_PAUSED,
	OPT_FIRST
};

static const struct argp_option argp_options[] = {
	{ "endpoints", 'e', "WHICH", 0,
	  "Bulk endpoints: in (default), out, both, or none, which leaves an interrupt endpoint only",
	  0 },
	{ "size", 's', "N|MIN-MAX", 0, "Packet size in bytes, fixed or random (default 32768)", 0 },
	{ "seed", 'S', "N", 0, "Seed of the random sizes (default 1)", 0 },
	{ "rate", 'r', "N|max", 0, "Packets per second (default max)", 0 },
	{ "count", 'c', "N|max", 0, "Send N packets, then be quiet (default max)", 0 },
	{ "first", OPT_FIRST, "N", 0, "Counter of the first packet (default 0)", 0 },
	{ "zlp-every", OPT_ZLP_EVERY, "N", 0, "A zero-length packet after every Nth packet", 0 },
	{ "zlp-terminate", OPT_ZLP_TERMINATE, NULL, 0,
	  "One after each packet that is a multiple of wMaxPacketSize", 0 },
	{ "depth", 'd', "N", 0, "Requests kept queued (default 32)", 0 },
	{ "paused", OPT_PAUSED, NULL, 0, "Begin paused", 0 },
	{ "out-size", OPT_OUT_SIZE, "N", 0, "Bytes of one bulk OUT request (default 16384)", 0 },
	{ "out-depth", OPT_OUT_DEPTH, "N", 0, "Bulk OUT requests kept queued (default 8)", 0 },
	{ "verify-out", OPT_VERIFY_OUT, NULL, 0, "Bulk OUT carries a packet stream: verify it", 0 },
	{ "socket", OPT_SOCKET, "PATH", 0, "Listen for commands on this UNIX socket", 0 },
	{ "daemon", 'D', NULL, 0, "Go to the background once the gadget can be plugged in", 0 },
	{ "log", OPT_LOG, "FILE", 0, "With --daemon: where messages go", 0 },
	{ "pid-file", OPT_PID_FILE, "FILE", 0, "Write the process id there", 0 },
	{ "ctl", OPT_CTL, "PATH", 0, "Be the client: send COMMAND to the simulated device on PATH",
	  0 },
	{ 0 }
};

struct arguments {
	struct sim_options *o;
	struct sim *s;
};

static uint64_t number(const char *arg, uint64_t min, uint64_t max, struct argp_state *state,
		       const char *what)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(arg, &end, 0);
	if (errno || end == arg || *end || *arg == '-' || n < min || n > max)
		argp_error(state, "%s: '%s' is not a number from %llu to %llu", what, arg,
			   (unsigned long long)min, (unsigned long long)max);
	return n;
}

static void check(struct argp_state *state, const char *error)
{
	if (error)
		argp_error(state, "%s", error);
}

static void parse_endpoints(struct sim *s, const char *arg, struct argp_state *state)
{
	bool both = !strcmp(arg, "both");

	s->in.present = both || !strcmp(arg, "in");
	s->out.present = both || !strcmp(arg, "out");
	if (!s->in.present && !s->out.present && strcmp(arg, "none"))
		argp_error(state, "--endpoints: '%s' is none of in, out, both, none", arg);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;
	struct sim *s = a->s;

	switch (key) {
	case 'e':
		parse_endpoints(s, arg, state);
		break;
	case 's':
		check(state, ctl_parse_size(arg, &s->in.size_min, &s->in.size_max));
		break;
	case 'S':
		a->o->seed = number(arg, 0, UINT64_MAX, state, "--seed");
		break;
	case 'r':
		check(state, ctl_parse_rate(arg, &a->o->rate));
		break;
	case 'c':
		check(state, ctl_parse_count(arg, &s->in.left));
		break;
	case OPT_FIRST:
		s->in.counter = number(arg, 0, UINT64_MAX, state, "--first");
		break;
	case OPT_ZLP_EVERY:
		s->in.zlp_every = number(arg, 1, UINT64_MAX, state, "--zlp-every");
		break;
	case OPT_ZLP_TERMINATE:
		s->in.zlp_terminate = true;
		break;
	case 'd':
		s->in.depth = number(arg, 1, 1024, state, "--depth");
		break;
	case OPT_PAUSED:
		s->in.paused = true;
		break;
	case OPT_OUT_SIZE:
		/* Some controllers take only whole USB packets. */
		s->out.size = number(arg, 1024, SIM_MAX_PACKET, state, "--out-size") & ~1023U;
		break;
	case OPT_OUT_DEPTH:
		s->out.depth = number(arg, 1, 1024, state, "--out-depth");
		break;
	case OPT_VERIFY_OUT:
		s->out.verify = true;
		break;
	case OPT_SOCKET:
		a->o->socket = arg;
		break;
	case 'D':
		a->o->daemon = true;
		break;
	case OPT_LOG:
		a->o->log = arg;
		break;
	case OPT_PID_FILE:
		a->o->pid_file = arg;
		break;
	case OPT_CTL:
		a->o->ctl = arg;
		break;
	case ARGP_KEY_ARGS:
		a->o->command = state->argv + state->next;
		a->o->words = state->argc - state->next;
		break;
	case ARGP_KEY_END:
		if (a->o->ctl && !a->o->words)
			argp_error(state, "--ctl needs a COMMAND; try help");
		if (!a->o->ctl && a->o->words != 1)
			argp_error(state, "one DIRECTORY is needed, where functionfs is mounted");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

void sim_parse_arguments(int argc, char **argv, struct sim *s, struct sim_options *o)
{
	static const struct argp argp = {
		.options = argp_options,
		.parser = parse,
		.args_doc = "DIRECTORY\n--ctl PATH COMMAND...",
		.doc = "Be a USB device that streams counted packets, on the functionfs instance "
		       "mounted at DIRECTORY; or, with --ctl, command one that runs.",
	};
	struct arguments a = { o, s };

	argp_err_exit_status = 2;
	argp_parse(&argp, argc, argv, 0, NULL, &a);
}
