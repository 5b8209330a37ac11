// SPDX-License-Identifier: MIT
/*
 * mydevctl cat: the byte stream of a device to standard output or a file.
 */
#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

#define KEY_SECONDS 0x100
#define KEY_FORCE   0x101

/* A timer that is set to nothing never ends. */
#define MIN_SECONDS 0.001
/* Longer than any machine runs, and far from what a time_t cannot hold. */
#define MAX_SECONDS 1e9

struct options {
	bool json;
	bool force;
	uint64_t limit;
	double seconds;
	const char *output;
	const char *name;
};

static bool parse_bytes(const char *text, uint64_t *bytes)
{
	static const char suffixes[] = "KMG";
	const char *suffix;
	unsigned int shift = 0;
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*bytes = strtoull(text, &end, 10);
	if (errno)
		return false;
	if (*end) {
		suffix = strchr(suffixes, toupper((unsigned char)*end));
		if (!suffix || end[1])
			return false;
		shift = 10 * (suffix - suffixes + 1);
	}
	if (*bytes > UINT64_MAX >> shift)
		return false;
	*bytes <<= shift;
	return true;
}

static bool parse_seconds(const char *text, double *seconds)
{
	char *end;

	*seconds = strtod(text, &end);
	return end != text && !*end && *seconds >= MIN_SECONDS &&
	       *seconds <= MAX_SECONDS;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'J':
		options->json = true;
		return 0;
	case 'n':
		if (!parse_bytes(arg, &options->limit))
			argp_error(
				state,
				"not a number of bytes: %s (such as 4096, 64K, 10M or 1G)",
				arg);
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
	{ "bytes", 'n', "N", 0,
	  "End after N bytes; K, M and G stand for 1024, 1024^2 and 1024^3",
	  0 },
	{ "seconds", KEY_SECONDS, "S", 0, "End after S seconds", 0 },
	{ "output", 'o', "FILE", 0,
	  "Write to FILE instead of standard output; it is created or emptied",
	  0 },
	{ "force", KEY_FORCE, NULL, 0, "Write to a terminal all the same", 0 },
	{ "json", 'J', NULL, 0,
	  "Sum up in one line of JSON on standard error at the end", 0 },
	{ 0 },
};

static const struct argp argp = {
	.options = option_table,
	.parser = parse,
	.args_doc = "[DEV]",
	.doc = "Copy the bytes that a device sends to standard output.\v" DEV_DOC
	       " Copying begins with what the device sends from now on, and ends "
	       "with -n, --seconds, SIGINT, SIGTERM or the unplugging of the "
	       "device. Other clients of the device get the same bytes.\n\n"
	       "An end by -n, --seconds or a signal has status 0; lost data gives 6 "
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

static void sum_up_json(const struct copy *copy, const char *name)
{
	struct json_object *obj = need(json_object_new_object());
	struct mydev_stats stats;

	add_text(obj, "name", name);
	add_text(obj, "end", end_name(copy->end));
	add_text(obj, "error", copy->error ? mydev_strerror(copy->error) : "");
	add_number(obj, "bytes", copy->bytes);
	json_object_object_add(obj, "seconds",
			       need(json_object_new_double(copy->elapsed)));
	add_number(obj, "gaps", copy->gaps);
	if (!mydev_get_stats(copy->dev, &stats, sizeof(stats))) {
		add_number(obj, "lost_packets", stats.client_lost_packets);
		add_number(obj, "lost_bytes", stats.client_lost_bytes);
	}
	add_number(obj, "status", exit_status(copy));
	fprintf(stderr, "%s\n",
		json_object_to_json_string_ext(obj,
					       JSON_C_TO_STRING_NOSLASHESCAPE));
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
			fprintf(stderr, "%llu bytes, %.1f s, %.1f MiB/s\n",
				bytes, copy->elapsed,
				bytes / copy->elapsed / (1024.0 * 1024.0));
	}
	sum_up_loss(copy);
}

static int copy_target(struct target *target, const struct options *options,
		       int out)
{
	struct copy copy = {
		.dev = target->dev,
		.out = out,
		.limit = options->limit,
		.seconds = options->seconds,
		.progress = !options->json && isatty(STDERR_FILENO) &&
			    !isatty(out),
		.verbose = !options->json,
	};

	copy_run(&copy);
	/* A full disk may show only here. */
	if (close(out) && !copy.error) {
		copy.error = -errno;
		copy.end = COPY_WRITE_ERROR;
	}
	if (options->json)
		sum_up_json(&copy, mydev_entry_name(target->entry));
	else
		sum_up_text(&copy, options->output);
	return exit_status(&copy);
}

int cmd_cat(int argc, char **argv)
{
	struct options options = { .limit = UINT64_MAX };
	struct target target;
	int status;
	int out;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	if (!options.output && !options.force && isatty(STDOUT_FILENO)) {
		complain(
			"standard output is a terminal, and the bytes of a device can garble it");
		fprintf(stderr,
			"  Send them to a file or a program (> FILE, -o FILE, | hexdump -C), or say --force.\n");
		return EXIT_USAGE;
	}
	status = target_open(&target, options.name, O_RDONLY | O_NONBLOCK);
	if (status)
		return status;
	/* Not before: an output file is not emptied for want of a device. */
	out = open_output(&options);
	status = out < 0 ? EXIT_ERROR : copy_target(&target, &options, out);
	target_close(&target);
	return status;
}
