// SPDX-License-Identifier: MIT
/*
 * mydevctl stats: the counters of one device.
 *
 * The counters of a descriptor are left out: this program's own one is new and
 * reads nothing. Those of other programs are what mydevctl clients is for.
 */
#include <argp.h>
#include <stdio.h>

#include "tool.h"

/* Between two lines of --watch */
#define DEFAULT_SECONDS 1.0

struct options {
	struct common common;
	double watch; /* seconds, 0: once */
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		return 0;
	case 'w':
		options->watch = DEFAULT_SECONDS;
		if (arg && !parse_seconds(arg, &options->watch))
			argp_error(
				state,
				"not a time in seconds: %s (such as 10 or 0.5)",
				arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_table[] = {
	{ "watch", 'w', "SECONDS", OPTION_ARG_OPTIONAL,
	  "Go on, and show every SECONDS (1 if not given) what was counted since the last time",
	  0 },
	{ 0 },
};

static const struct argp argp = {
	.options = option_table,
	.parser = parse,
	.children = with_common,
	.args_doc = "[DEV]",
	.doc = "Show the counters of a device since it was plugged in.\v" DEV_DOC
	       " This command does not count itself among the clients; mydevctl "
	       "clients shows the counters of each. --watch ends with SIGINT, "
	       "SIGTERM or the unplugging of the device.\n\n" EXIT_CODES_DOC,
};

const char *state_name(unsigned int state)
{
	const char *name = mydev_state_name(state);

	return name ? name : "unknown";
}

unsigned int other_clients(const struct mydev_stats *stats)
{
	return stats->clients ? stats->clients - 1 : 0;
}

static struct json_object *describe(const struct target *target,
				    const struct mydev_stats *stats)
{
	struct json_object *obj = need(json_object_new_object());
	bool sends, unread;

	add_text(obj, "name", mydev_entry_name(target->entry));
	add_text(obj, "state", state_name(stats->state));
	add_number(obj, "clients", other_clients(stats));
	add_number(obj, "in_flight", stats->in_flight);
	add_number(obj, "free_buffers", stats->free_buffers);
	add_number(obj, "packets", stats->packets);
	add_number(obj, "bytes", stats->bytes);
	add_number(obj, "zero_packets", stats->zero_packets);
	add_number(obj, "errors", stats->errors);
	add_number(obj, "stalls", stats->stalls);
	add_number(obj, "ring_stops", stats->ring_stops);
	/* Younger than the structure: an older driver does not tell. */
	sends = stats->size > offsetof(struct mydev_stats, send_errors);
	add_known(obj, "sent_transfers", sends, stats->sent_transfers);
	add_known(obj, "sent_bytes", sends, stats->sent_bytes);
	add_known(obj, "send_errors", sends, stats->send_errors);
	unread = stats->size > offsetof(struct mydev_stats, unread_bytes);
	add_known(obj, "unread_packets", unread, stats->unread_packets);
	add_known(obj, "unread_bytes", unread, stats->unread_bytes);
	return obj;
}

int cmd_stats(int argc, char **argv)
{
	struct options options = {
		.common.json_doc =
			"Print a JSON object, with --watch one line each time"
	};
	struct mydev_stats stats;
	struct json_object *obj;
	struct target target;
	int status;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	status = target_open(&target, options.common.name, TARGET_QUERY);
	if (status)
		return status;
	if (options.watch) {
		status = watch_stats(&target, options.watch,
				     options.common.json);
		goto out;
	}
	ret = mydev_get_stats(target.dev, &stats, sizeof(stats));
	if (ret) {
		status = device_error(mydev_path(target.dev), ret);
		goto out;
	}
	obj = describe(&target, &stats);
	if (options.common.json)
		print_json(obj);
	else
		print_fields(obj);
	json_object_put(obj);
out:
	target_close(&target);
	return status;
}
