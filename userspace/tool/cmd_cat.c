// SPDX-License-Identifier: MIT
/*
 * mydevctl cat: what a device sends to standard output or a file, as bytes or
 * as a line for each packet.
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

#define KEY_SECONDS   0x100
#define KEY_FORCE     0x101
#define KEY_PAYLOAD   0x102
#define KEY_POLICY    0x103
#define KEY_CLOCK     0x104
#define KEY_WATERMARK 0x105
#define KEY_LATENCY   0x106
#define KEY_DEPTH     0x107
#define KEY_FROM      0x108

/* A setting of this reader; it stays as it is where it is not given. */
struct setting {
	bool given;
	uint32_t value;
};

/* Where to begin, MYDEV_REWIND_*, and which packet that turned out to be. */
struct from {
	bool given;
	unsigned int to;
	uint64_t sequence;
	double seconds; /* ago */
};

struct options {
	struct common common;
	bool force;
	bool packets;
	bool payload;
	bool count_given;
	bool bytes_given;
	uint64_t count; /* packets */
	uint64_t bytes;
	double seconds;
	struct setting policy;
	struct setting clock;
	struct setting watermark;
	struct setting latency;
	struct setting depth;
	struct from from;
	const char *output;
};

static void take_name(struct setting *setting, int (*value_of)(const char *),
		      const char *arg, struct argp_state *state,
		      const char *names)
{
	int value = value_of(arg);

	if (value < 0)
		argp_error(state, "not one of %s: %s", names, arg);
	setting->given = true;
	setting->value = value;
}

static void take_number(struct setting *setting,
			bool (*parse_it)(const char *, uint64_t *),
			const char *arg, struct argp_state *state)
{
	uint64_t number;

	if (!parse_it(arg, &number) || number > UINT32_MAX)
		argp_error(state, "not a whole number up to %u: %s", UINT32_MAX,
			   arg);
	setting->given = true;
	setting->value = number;
}

/* "-2s", that long ago. */
static bool parse_ago(const char *text, double *seconds)
{
	size_t length = strlen(text);
	char number[32];

	if (*text != '-' || text[length - 1] != 's' || length > sizeof(number))
		return false;
	snprintf(number, sizeof(number), "%.*s", (int)length - 2, text + 1);
	return parse_seconds(number, seconds);
}

static void take_from(struct from *from, const char *arg,
		      struct argp_state *state)
{
	if (!strcmp(arg, "oldest"))
		from->to = MYDEV_REWIND_OLDEST;
	else if (parse_number(arg, &from->sequence))
		from->to = MYDEV_REWIND_SEQUENCE;
	else if (parse_ago(arg, &from->seconds))
		from->to = MYDEV_REWIND_TIME;
	else
		argp_error(
			state,
			"not \"oldest\", a sequence number, or a time such as -2s: %s",
			arg);
	from->given = true;
}

static void check_together(const struct options *options,
			   struct argp_state *state)
{
	if (options->packets) {
		if (options->bytes_given)
			argp_error(
				state,
				"-n counts bytes of the stream; with --packets use --count");
		return;
	}
	if (options->count_given)
		argp_error(state, "--count needs --packets; -n counts bytes");
	if (options->payload)
		argp_error(state, "--payload needs --packets");
	if (options->clock.given)
		argp_error(
			state,
			"--clock needs --packets: a stream has no timestamps");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		return 0;
	case 'n':
		if (!parse_bytes(arg, &options->bytes))
			argp_error(
				state,
				"not a number of bytes: %s (such as 4096, 64K, 10M or 1G)",
				arg);
		options->bytes_given = true;
		return 0;
	case 'c':
		if (!parse_number(arg, &options->count))
			argp_error(state, "not a number of packets: %s", arg);
		options->count_given = true;
		return 0;
	case 'p':
		options->packets = true;
		return 0;
	case KEY_PAYLOAD:
		options->payload = true;
		return 0;
	case KEY_POLICY:
		take_name(&options->policy, mydev_policy_value, arg, state,
			  "lossless, drop-oldest and drop-newest");
		return 0;
	case KEY_CLOCK:
		take_name(&options->clock, mydev_clock_value, arg, state,
			  "monotonic, boottime and realtime");
		return 0;
	case KEY_WATERMARK:
		take_number(&options->watermark, parse_bytes, arg, state);
		return 0;
	case KEY_LATENCY:
		take_number(&options->latency, parse_number, arg, state);
		return 0;
	case KEY_DEPTH:
		take_number(&options->depth, parse_number, arg, state);
		return 0;
	case KEY_FROM:
		take_from(&options->from, arg, state);
		return 0;
	case 'o':
		options->output = strcmp(arg, "-") ? arg : NULL;
		return 0;
	case KEY_SECONDS:
		if (!parse_seconds(arg, &options->seconds))
			argp_error(
				state,
				"not a time in seconds: %s (such as 10 or 0.5)",
				arg);
		return 0;
	case KEY_FORCE:
		options->force = true;
		return 0;
	case ARGP_KEY_END:
		check_together(options, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_table[] = {
	{ "bytes", 'n', "N", 0,
	  "End after N bytes; K, M and G stand for 1024, 1024^2 and 1024^3",
	  0 },
	{ "packets", 'p', NULL, 0,
	  "Print a line for each packet, gap and event, instead of the bytes",
	  0 },
	{ "count", 'c', "N", 0, "With --packets: end after N packets", 0 },
	{ "payload", KEY_PAYLOAD, NULL, 0,
	  "With --packets: print whole packets in hexadecimal digits", 0 },
	{ "clock", KEY_CLOCK, "CLOCK", 0,
	  "With --packets: times by monotonic (if not given), boottime or realtime",
	  0 },
	{ "policy", KEY_POLICY, "POLICY", 0,
	  "When this reader falls behind: lossless (if not given: the device waits), drop-oldest or drop-newest",
	  0 },
	{ "depth", KEY_DEPTH, "N", 0, "Queue up to N packets for this reader",
	  0 },
	{ "watermark", KEY_WATERMARK, "BYTES", 0,
	  "Read when BYTES have come, rather than at once", 0 },
	{ "latency", KEY_LATENCY, "US", 0,
	  "or when the oldest packet has waited for US microseconds", 0 },
	{ "from", KEY_FROM, "WHERE", 0,
	  "Begin with what the driver still has: oldest, the packet with that sequence number, or -Ss for S seconds ago",
	  0 },
	{ "seconds", KEY_SECONDS, "S", 0, "End after S seconds", 0 },
	{ "output", 'o', "FILE", 0,
	  "Write to FILE instead of standard output; it is created or emptied",
	  0 },
	{ "force", KEY_FORCE, NULL, 0, "Write to a terminal all the same", 0 },
	{ 0 },
};

static const struct argp argp = {
	.options = option_table,
	.parser = parse,
	.children = with_common,
	.args_doc = "[DEV]",
	.doc = "Copy the bytes that a device sends to standard output, or list its "
	       "packets.\v" DEV_DOC
	       " Copying begins with what the device sends from now on, or with "
	       "--from, and ends with -n, --count, --seconds, SIGINT, SIGTERM or the unplugging of "
	       "the device. Other clients of the device get the same bytes, and "
	       "none of these settings is theirs. BYTES may end in K, M or G.\n\n"
	       "An end by -n, --count, --seconds or a signal has status 0; lost data gives 6 "
	       "whichever of these or an unplugging ended the copying.\n\n" EXIT_CODES_DOC,
};

static int open_output(const struct options *options)
{
	int fd;

	if (!options->output)
		return STDOUT_FILENO;
	fd = open(options->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
		  0666);
	if (fd < 0)
		complain("cannot write %s: %s", options->output,
			 strerror(errno));
	return fd;
}

static const char *end_name(enum copy_end end)
{
	switch (end) {
	case COPY_BYTES:
		return "bytes";
	case COPY_PACKETS:
		return "packets";
	case COPY_SECONDS:
		return "seconds";
	case COPY_SIGNAL:
		return "signal";
	case COPY_UNPLUGGED:
		return "unplugged";
	case COPY_PIPE:
		return "pipe";
	case COPY_READ_ERROR:
		return "read-error";
	case COPY_WRITE_ERROR:
		return "write-error";
	}
	return "unknown";
}

static int exit_status(const struct copy *copy)
{
	switch (copy->end) {
	case COPY_PIPE:
	case COPY_READ_ERROR:
	case COPY_WRITE_ERROR:
		return EXIT_ERROR;
	default:
		break;
	}
	if (copy->gaps)
		return EXIT_LOST;
	return copy->end == COPY_UNPLUGGED ? EXIT_UNPLUGGED : EXIT_OK;
}

static void sum_up_json(const struct copy *copy, const struct from *from,
			const char *name)
{
	struct json_object *obj = need(json_object_new_object());
	struct mydev_stats stats;

	add_text(obj, "name", name);
	add_text(obj, "end", end_name(copy->end));
	add_text(obj, "error", copy->error ? mydev_strerror(copy->error) : "");
	add_number(obj, "bytes", copy->bytes);
	if (copy->packets) {
		add_number(obj, "packets", copy->nr_packets);
		add_number(obj, "events", copy->nr_events);
	}
	if (from->given)
		add_number(obj, "from", from->sequence);
	add_real(obj, "seconds", copy->elapsed);
	add_number(obj, "gaps", copy->gaps);
	if (!mydev_get_stats(copy->dev, &stats, sizeof(stats))) {
		add_number(obj, "lost_packets", stats.client_lost_packets);
		add_number(obj, "lost_bytes", stats.client_lost_bytes);
	}
	add_number(obj, "status", exit_status(copy));
	print_json_line(stderr, obj);
	json_object_put(obj);
}

static void sum_up_loss(const struct copy *copy)
{
	struct mydev_stats stats;

	if (!copy->gaps || mydev_get_stats(copy->dev, &stats, sizeof(stats)))
		return;
	complain("%s: %llu packets with %llu bytes were lost in %llu places",
		 mydev_path(copy->dev),
		 (unsigned long long)stats.client_lost_packets,
		 (unsigned long long)stats.client_lost_bytes,
		 (unsigned long long)copy->gaps);
}

static void sum_up_text(const struct copy *copy, const char *output)
{
	unsigned long long bytes = copy->bytes;
	const char *path = mydev_path(copy->dev);

	switch (copy->end) {
	case COPY_UNPLUGGED:
		complain("%s: unplugged after %llu bytes", path, bytes);
		break;
	case COPY_READ_ERROR:
		complain("%s: %s (after %llu bytes)", path,
			 mydev_strerror(copy->error), bytes);
		break;
	case COPY_WRITE_ERROR:
		complain("cannot write %s: %s (after %llu bytes)",
			 output ? output : "standard output",
			 strerror(-copy->error), bytes);
		break;
	case COPY_PIPE:
		return;
	default:
		if (copy->progress || copy->end == COPY_SIGNAL)
			progress_total(bytes, copy->elapsed);
	}
	sum_up_loss(copy);
}

static void set_member(__u32 *member, const struct setting *setting)
{
	if (setting->given)
		*member = setting->value;
}

static int depth_error(const struct target *target, uint32_t max,
		       uint32_t depth)
{
	complain("%s: --depth can be 1 to %u, not %u", mydev_path(target->dev),
		 max, depth);
	return EXIT_ERROR;
}

/* Before the first read, so that all of it is as it was asked for. */
static int configure(const struct target *target, const struct options *options)
{
	struct mydev_config config;
	struct mydev_info info;
	int ret;

	/* The bare stream works with a driver that has no settings. */
	if (!options->packets && !options->policy.given &&
	    !options->depth.given && !options->watermark.given &&
	    !options->latency.given)
		return EXIT_OK;
	ret = mydev_get_info(target->dev, &info, sizeof(info));
	if (!ret && !info.ep_in)
		ret = -EOPNOTSUPP;
	if (!ret)
		ret = mydev_get_config(target->dev, &config, sizeof(config));
	if (!ret) {
		config.mode = options->packets ? MYDEV_MODE_PACKET
					       : MYDEV_MODE_STREAM;
		set_member(&config.policy, &options->policy);
		set_member(&config.clock, &options->clock);
		set_member(&config.watermark, &options->watermark);
		set_member(&config.latency_us, &options->latency);
		set_member(&config.queue_depth, &options->depth);
		ret = mydev_set_config(target->dev, &config, sizeof(config));
	}
	if (ret == -ERANGE)
		return depth_error(target, info.max_queue_depth,
				   config.queue_depth);
	return ret ? device_error(mydev_path(target->dev), ret) : EXIT_OK;
}

static uint64_t time_ago(double seconds)
{
	double ago = seconds * 1e9;
	struct timespec ts;
	uint64_t time;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	time = ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec;
	return time > ago ? time - (uint64_t)ago : 0;
}

static int go_back(const struct target *target, struct options *options)
{
	const char *path = mydev_path(target->dev);
	struct from *from = &options->from;
	uint64_t wanted = from->sequence;
	uint64_t value;
	int ret;

	if (!from->given)
		return EXIT_OK;
	value = from->to == MYDEV_REWIND_TIME ? time_ago(from->seconds)
					      : wanted;
	ret = mydev_rewind(target->dev, from->to, value, &from->sequence);
	if (ret == -ENOTTY) {
		complain(
			"%s: the loaded driver keeps nothing that --from could begin with; load one as new as this program",
			path);
		return EXIT_ERROR;
	}
	if (ret)
		return device_error(path, ret);
	if (from->to == MYDEV_REWIND_SEQUENCE && from->sequence != wanted &&
	    !options->common.json)
		complain("%s: packet %" PRIu64
			 " is not there; this begins with packet %" PRIu64,
			 path, wanted, from->sequence);
	return EXIT_OK;
}

static int copy_target(struct target *target, const struct options *options,
		       int out)
{
	struct copy copy = {
		.dev = target->dev,
		.out = out,
		.limit = options->packets ? options->count : options->bytes,
		.seconds = options->seconds,
		.progress = !options->common.json && isatty(STDERR_FILENO) &&
			    !isatty(out),
		.verbose = !options->common.json,
		.patient = options->watermark.value > 1,
		.packets = options->packets,
		.style = { .json = options->common.json,
			   .payload = options->payload },
	};

	copy_run(&copy);
	/* A full disk may show only here. */
	if (close(out) && !copy.error) {
		copy.error = -errno;
		copy.end = COPY_WRITE_ERROR;
	}
	if (options->common.json)
		sum_up_json(&copy, &options->from,
			    mydev_entry_name(target->entry));
	else
		sum_up_text(&copy, options->output);
	return exit_status(&copy);
}

int cmd_cat(int argc, char **argv)
{
	struct options options = {
		.common.json_doc =
			"Sum up in one line of JSON on standard error at the end; with --packets also print JSON objects as lines",
		.bytes = UINT64_MAX,
		.count = UINT64_MAX
	};
	struct target target;
	int status;
	int out_fd;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	if (!options.output && !options.force && !options.packets &&
	    isatty(STDOUT_FILENO)) {
		complain(
			"standard output is a terminal, and the bytes of a device can garble it");
		fprintf(stderr,
			"  Send them to a file or a program (> FILE, -o FILE, | hexdump -C), list them with\n"
			"  --packets, or say --force.\n");
		return EXIT_USAGE;
	}
	status = target_open(&target, options.common.name,
			     O_RDONLY | O_NONBLOCK);
	if (status)
		return status;
	status = configure(&target, &options);
	if (!status)
		status = go_back(&target, &options);
	if (status)
		goto out;
	/* Not before: an output file is not emptied for want of a device. */
	out_fd = open_output(&options);
	status = out_fd < 0 ? EXIT_ERROR
			    : copy_target(&target, &options, out_fd);
out:
	target_close(&target);
	return status;
}
