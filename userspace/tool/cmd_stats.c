// SPDX-License-Identifier: MIT
/*
 * mydevctl stats: the counters of one device.
 *
 * The counters of a descriptor are left out: this program's own one is new and
 * reads nothing. Those of other programs are in /proc/PID/fdinfo.
 */
#include <argp.h>
#include <stdio.h>

#include "tool.h"

struct options {
	bool json;
	const char *name;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'J':
		options->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (options->name)
			argp_error(state, "one device only: %s", arg);
		options->name = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_table[] = {
	{ "json", 'J', NULL, 0, "Print a JSON object", 0 },
	{ 0 },
};

static const struct argp argp = {
	.options = option_table,
	.parser = parse,
	.args_doc = "[DEV]",
	.doc = "Show the counters of a device since it was plugged in.\v" DEV_DOC
	       " This command does not count as a client. The counters of each "
	       "client are in /proc/PID/fdinfo/FD.\n\n" EXIT_CODES_DOC,
};

/* As sysfs calls them. */
static const char *const states[] = {
	[MYDEV_STATE_IDLE] = "idle",
	[MYDEV_STATE_RUNNING] = "running",
	[MYDEV_STATE_RECOVERING] = "recovering",
	[MYDEV_STATE_FAILED] = "failed",
	[MYDEV_STATE_GONE] = "gone",
};

static const char *state_name(unsigned int state)
{
	return state < sizeof(states) / sizeof(states[0]) ? states[state]
							  : "unknown";
}

static struct json_object *describe(const struct target *target,
				    const struct mydev_stats *stats)
{
	struct json_object *obj = need(json_object_new_object());
	unsigned int clients = stats->clients;

	if (mydev_is_reader(target->dev) && clients)
		clients--;
	add_text(obj, "name", mydev_entry_name(target->entry));
	add_text(obj, "state", state_name(stats->state));
	add_number(obj, "clients", clients);
	add_number(obj, "in_flight", stats->in_flight);
	add_number(obj, "free_buffers", stats->free_buffers);
	add_number(obj, "packets", stats->packets);
	add_number(obj, "bytes", stats->bytes);
	add_number(obj, "zero_packets", stats->zero_packets);
	add_number(obj, "errors", stats->errors);
	add_number(obj, "stalls", stats->stalls);
	add_number(obj, "ring_stops", stats->ring_stops);
	return obj;
}

int cmd_stats(int argc, char **argv)
{
	struct options options = { 0 };
	struct mydev_stats stats;
	struct json_object *obj;
	struct target target;
	int status;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	status = target_open(&target, options.name, TARGET_QUERY);
	if (status)
		return status;
	ret = mydev_get_stats(target.dev, &stats, sizeof(stats));
	if (ret) {
		status = device_error(mydev_path(target.dev), ret);
		goto out;
	}
	obj = describe(&target, &stats);
	if (options.json)
		print_json(obj);
	else
		print_fields(obj);
	json_object_put(obj);
out:
	target_close(&target);
	return status;
}
