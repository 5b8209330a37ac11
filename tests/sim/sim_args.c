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
	OPT_ALTERNATE,
	OPT_ECHO,
	OPT_SLOW,
	OPT_REFUSE,
	OPT_WHOLE,
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
	{ "alternate", OPT_ALTERNATE, "WHICH", 0,
	  "Alternate setting 1, with these endpoints; its packets count from 1 << 48 on. "
	  "Linux 6.12 has it, 6.1 has not",
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
	{ "verify-out", OPT_VERIFY_OUT, "WHAT", OPTION_ARG_OPTIONAL,
	  "Bulk OUT carries packets: verify them as one stream (default), or as messages: each is "
	  "whole and ends with its transfer, and each writer's counters have no gap from 0 on",
	  0 },
	{ "echo", OPT_ECHO, NULL, 0,
	  "Send each message of bulk OUT, ended by a short or zero-length packet, back on bulk IN",
	  0 },
	{ "slow", OPT_SLOW, "MS", 0,
	  "Take one bulk OUT request every MS milliseconds, and answer that much later", 0 },
	{ "refuse", OPT_REFUSE, NULL, 0, "Begin without taking anything on bulk OUT", 0 },
	{ "whole", OPT_WHOLE, NULL, 0,
	  "Answer requests to the device as well, not only those to the interface and endpoints",
	  0 },
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

static void parse_endpoints(struct sim_alt *a, const char *arg, struct argp_state *state,
			    const char *what)
{
	bool both = !strcmp(arg, "both");

	a->in.present = both || !strcmp(arg, "in");
	a->out.present = both || !strcmp(arg, "out");
	if (!a->in.present && !a->out.present && strcmp(arg, "none"))
		argp_error(state, "%s: '%s' is none of in, out, both, none", what, arg);
}

/* What was said about the device holds for both alternate settings. */
static void finish(struct sim *s, struct argp_state *state)
{
	struct sim_alt *first = &s->alt[0], *second = &s->alt[1];
	bool in = second->in.present, out = second->out.present;

	if (s->alts > 1) {
		*second = *first;
		second->in.present = in;
		second->out.present = out;
		second->in.counter += 1ULL << SIM_WHO_SHIFT;
		second->echo.on = first->echo.on && in && out;
	}
	if (first->echo.on && !(first->in.present && first->out.present))
		argp_error(state, "--echo needs --endpoints both");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;
	struct sim *s = a->s;
	struct sim_alt *alt = &s->alt[0];

	switch (key) {
	case 'e':
		parse_endpoints(alt, arg, state, "--endpoints");
		break;
	case 's':
		check(state, ctl_parse_size(arg, &alt->in.size_min, &alt->in.size_max));
		break;
	case 'S':
		a->o->seed = number(arg, 0, UINT64_MAX, state, "--seed");
		break;
	case 'r':
		check(state, ctl_parse_rate(arg, &a->o->rate));
		break;
	case 'c':
		check(state, ctl_parse_count(arg, &alt->in.left));
		break;
	case OPT_FIRST:
		alt->in.counter = number(arg, 0, UINT64_MAX, state, "--first");
		break;
	case OPT_ZLP_EVERY:
		alt->in.zlp_every = number(arg, 1, UINT64_MAX, state, "--zlp-every");
		break;
	case OPT_ZLP_TERMINATE:
		alt->in.zlp_terminate = true;
		break;
	case 'd':
		alt->in.depth = number(arg, 1, 1024, state, "--depth");
		break;
	case OPT_PAUSED:
		alt->in.paused = true;
		break;
	case OPT_OUT_SIZE:
		/* Some controllers take only whole USB packets. */
		alt->out.size = number(arg, 1024, SIM_MAX_PACKET, state, "--out-size") & ~1023U;
		break;
	case OPT_OUT_DEPTH:
		alt->out.depth = number(arg, 1, 1024, state, "--out-depth");
		break;
	case OPT_VERIFY_OUT:
		alt->out.verify = OUT_STREAM;
		if (arg)
			check(state, ctl_parse_verify(arg, &alt->out.verify));
		break;
	case OPT_ALTERNATE:
		s->alts = 2;
		parse_endpoints(&s->alt[1], arg, state, "--alternate");
		break;
	case OPT_ECHO:
		alt->echo.on = true;
		break;
	case OPT_SLOW:
		alt->out.slow_ms = number(arg, 0, 60000, state, "--slow");
		break;
	case OPT_REFUSE:
		alt->out.refuse = true;
		break;
	case OPT_WHOLE:
		s->whole = true;
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
		finish(s, state);
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
		       "mounted at DIRECTORY; or, with --ctl, command one that runs.\v"
		       "The device takes what comes on bulk OUT, and answers vendor and class "
		       "requests (tests/sim/pattern.h says which). --ctl PATH help lists the "
		       "commands. With --alternate, options are for both settings.",
	};
	struct arguments a = { o, s };

	argp_err_exit_status = 2;
	argp_parse(&argp, argc, argv, 0, NULL, &a);
}
