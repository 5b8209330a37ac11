// SPDX-License-Identifier: MIT
/*
 * mydevctl write: a file or standard input to a device. One write() is one
 * message: what is read in pieces is put together first.
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

#define KEY_TERMINATE 0x100
#define KEY_CHUNK     0x101

/* Where it is not given: full packets of every speed, and soon there. */
#define DEFAULT_CHUNK (256 * 1024)
/* It is in memory as a whole. */
#define MAX_CHUNK (1U << 30)

struct options {
	struct common common;
	bool terminate;
	uint64_t chunk; /* 0: not given */
	const char *file;
};

static void take_argument(struct options *options, char *arg,
			  struct argp_state *state)
{
	if (options->common.name && options->file)
		argp_error(state, "one device and one file only: %s", arg);
	if (options->file) {
		/* Of two, the first is the device, whatever it looks like. */
		options->common.name = options->file;
		options->file = arg;
	} else if (!options->common.name && strcmp(arg, "-") &&
		   is_device_name(arg)) {
		options->common.name = arg;
	} else {
		options->file = arg;
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		return 0;
	case KEY_TERMINATE:
		options->terminate = true;
		return 0;
	case KEY_CHUNK:
		if (!parse_bytes(arg, &options->chunk) || !options->chunk ||
		    options->chunk > MAX_CHUNK)
			argp_error(
				state,
				"not a number of bytes from 1 to 1G: %s (such as 4096, 64K or 10M)",
				arg);
		return 0;
	case ARGP_KEY_ARG:
		take_argument(options, arg, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_table[] = {
	{ "chunk", KEY_CHUNK, "BYTES", 0,
	  "Send messages of BYTES; only the last one may be shorter. 256K if not given, or a line where the input is a terminal",
	  0 },
	{ "terminate", KEY_TERMINATE, NULL, 0,
	  "End a message that fills its last packet with a packet of no bytes, so that the device sees its end",
	  0 },
	{ 0 },
};

static const struct argp argp = {
	.options = option_table,
	.parser = parse,
	.children = with_common,
	.args_doc = "[DEV] [FILE|-]",
	.doc = "Send a file, or standard input, to a device.\v" DEV_DOC
	       " An argument that names no device is the FILE. BYTES may end in K, "
	       "M or G, for 1024, 1024^2 and 1024^3.\n\n"
	       "The command ends when the device has taken all of it. Where it "
	       "refuses, the command ends with status 1 and says how many bytes "
	       "were sent. So it does on SIGINT and SIGTERM.\n\n" EXIT_CODES_DOC,
};

enum end {
	END_DONE,
	END_SIGNAL,
	END_READ_ERROR, /* of the input */
	END_SEND_ERROR,
};

static const char *const end_names[] = {
	[END_DONE] = "done",
	[END_SIGNAL] = "signal",
	[END_READ_ERROR] = "read-error",
	[END_SEND_ERROR] = "send-error",
};

struct sending {
	const struct target *target;
	const char *file;
	int in;
	char *buf;
	size_t chunk;
	bool lines; /* a message is what one read returns */
	struct progress progress;
	struct mydev_stats before;
	enum end end;
	int error; /* negative errno of the two error ends */
	uint64_t read_bytes;
	uint64_t messages;
	double elapsed;
	/* since the beginning, as the driver counts them */
	uint64_t sent;
	uint64_t failed;
	uint64_t unsent;
};

static bool fail(struct sending *sending, enum end end, int error)
{
	sending->end = end;
	sending->error = error;
	return false;
}

static ssize_t read_message(struct sending *sending)
{
	ssize_t n;

	if (!sending->lines)
		return read_fully(sending->in, sending->buf, sending->chunk);
	do {
		n = read(sending->in, sending->buf, sending->chunk);
	} while (n < 0 && errno == EINTR && !interrupted());
	if (n >= 0)
		return n;
	return errno == EINTR ? 0 : -errno;
}

/* In more than one write() only where a signal cuts it. */
static bool send_message(struct sending *sending, size_t count)
{
	const char *buf = sending->buf;

	while (count) {
		ssize_t n = mydev_write(sending->target->dev, buf, count);

		if (n >= 0) {
			buf += n;
			count -= n;
		} else if (n != -EINTR) {
			return fail(sending, END_SEND_ERROR, n);
		}
		if (count && interrupted())
			return fail(sending, END_SIGNAL, 0);
	}
	sending->messages++;
	return true;
}

static bool step(struct sending *sending)
{
	ssize_t n = read_message(sending);

	/* What a signal has left of a message is none. */
	if (interrupted())
		return fail(sending, END_SIGNAL, 0);
	if (n < 0)
		return fail(sending, END_READ_ERROR, n);
	sending->read_bytes += n;
	return n && send_message(sending, n);
}

/*
 * Until the device has what the driver took. An error is told when it happens,
 * and what is lost by it is counted a little later: so once more after one.
 */
static void settle(struct sending *sending)
{
	int ret;

	do {
		ret = mydev_sync(sending->target->dev);
		if (ret == -EINTR && interrupted()) {
			fail(sending, END_SIGNAL, 0);
			return;
		}
		if (ret && ret != -EINTR && sending->end != END_SEND_ERROR)
			fail(sending, END_SEND_ERROR, ret);
	} while (ret == -EINTR || ret == -EPIPE || ret == -EIO);
}

/* Somebody else may have used an inherited descriptor before. */
static void count(struct sending *sending)
{
	const struct mydev_stats *before = &sending->before;
	struct mydev_stats stats;

	if (mydev_get_stats(sending->target->dev, &stats, sizeof(stats)))
		return;
	sending->sent = stats.client_sent_bytes - before->client_sent_bytes;
	sending->failed =
		stats.client_failed_bytes - before->client_failed_bytes;
	sending->unsent =
		stats.client_unsent_bytes - before->client_unsent_bytes;
}

static void run(struct sending *sending)
{
	int ret;

	progress_begin(&sending->progress);
	ret = interrupt_begin(0);
	if (ret) {
		fail(sending, END_READ_ERROR, ret);
		return;
	}
	/* The driver is never far ahead of the device. */
	while (step(sending))
		progress_show(&sending->progress, sending->read_bytes);
	/* A signal means now, whatever the device still has to take. */
	if (sending->end != END_SIGNAL)
		settle(sending);
	if (sending->end == END_SEND_ERROR)
		sending->error = unplugged_or(sending->target, sending->error);
	progress_end(&sending->progress);
	sending->elapsed = now() - sending->progress.start;
	count(sending);
	interrupt_end();
}

static int exit_status(const struct sending *sending)
{
	if (sending->end == END_DONE)
		return EXIT_OK;
	if (sending->end == END_SEND_ERROR && sending->error == -ENODEV)
		return EXIT_UNPLUGGED;
	return EXIT_ERROR;
}

static const char *error_text(const struct sending *sending)
{
	if (!sending->error)
		return "";
	if (sending->end == END_READ_ERROR)
		return strerror(-sending->error);
	return mydev_strerror(sending->error);
}

static void sum_up_json(const struct sending *sending)
{
	struct json_object *obj = need(json_object_new_object());

	add_text(obj, "name", mydev_entry_name(sending->target->entry));
	add_text(obj, "end", end_names[sending->end]);
	add_text(obj, "error", error_text(sending));
	add_number(obj, "bytes", sending->sent);
	add_number(obj, "failed_bytes", sending->failed);
	add_number(obj, "unsent_bytes", sending->unsent);
	add_number(obj, "read_bytes", sending->read_bytes);
	add_number(obj, "messages", sending->messages);
	add_real(obj, "seconds", sending->elapsed);
	add_number(obj, "status", exit_status(sending));
	print_json(obj);
	json_object_put(obj);
}

static void complain_sending(const struct sending *sending)
{
	const char *path = mydev_path(sending->target->dev);

	switch (sending->error) {
	case -EPIPE:
		complain("%s: the device refused data: it stalled", path);
		fprintf(stderr,
			"  What it refused is lost, and it listens again. Its manual says what it accepts, and in\n"
			"  messages of what size (--chunk, --terminate).\n");
		break;
	case -EIO:
		complain("%s: data was lost by an error of the bus", path);
		fprintf(stderr,
			"  Check the cable and the port, and whether the alternate setting has changed\n"
			"  (mydevctl alt). mydevctl reset may bring the device back.\n");
		break;
	case -ENODEV:
		complain("%s: unplugged", path);
		break;
	default:
		sender_error(sending->target, sending->error);
	}
}

static void sum_up_text(const struct sending *sending)
{
	switch (sending->end) {
	case END_DONE:
		if (sending->progress.on)
			progress_total(sending->sent, sending->elapsed);
		return;
	case END_SIGNAL:
		complain("%s: interrupted", mydev_path(sending->target->dev));
		break;
	case END_READ_ERROR:
		complain("cannot read %s: %s", input_name(sending->file),
			 error_text(sending));
		break;
	case END_SEND_ERROR:
		complain_sending(sending);
	}
	fprintf(stderr,
		"  Of %" PRIu64 " bytes that were read from %s, %" PRIu64
		" were sent, %" PRIu64 " were lost, %" PRIu64
		" are on their way, %" PRIu64 " were not tried.\n",
		sending->read_bytes, input_name(sending->file), sending->sent,
		sending->failed, sending->unsent,
		sending->read_bytes - sending->sent - sending->failed -
			sending->unsent);
}

/* What is set for an inherited descriptor is its owner's, but for now. */
static int begin(struct sending *sending, const struct options *options,
		 bool *restore)
{
	const struct mydev *dev = sending->target->dev;
	struct mydev_config config;
	struct mydev_info info;
	int ret;

	ret = mydev_get_info(dev, &info, sizeof(info));
	if (!ret && !info.ep_out)
		ret = -EOPNOTSUPP;
	else if (!ret && !(info.features & MYDEV_FEATURE_WRITE))
		ret = -ENOTTY;
	if (!ret)
		ret = mydev_get_stats(dev, &sending->before,
				      sizeof(sending->before));
	if (!ret && options->terminate) {
		ret = mydev_get_config(dev, &config, sizeof(config));
		*restore = !ret && !(config.flags & MYDEV_CONFIG_TERMINATE);
		if (*restore)
			ret = mydev_set_terminate(dev, true);
	}
	if (ret == -EOPNOTSUPP) {
		complain(
			"%s: the interface has no bulk OUT endpoint: nothing can be sent to it",
			mydev_path(dev));
		fprintf(stderr,
			"  Another alternate setting may have one (mydevctl alt), or another interface of the\n"
			"  device (mydevctl list).\n");
		return EXIT_ERROR;
	}
	return ret ? sender_error(sending->target, ret) : EXIT_OK;
}

static int send_file(const struct target *target, const struct options *options)
{
	struct sending sending = {
		.target = target,
		.file = options->file,
		.chunk = options->chunk ? options->chunk : DEFAULT_CHUNK,
		.progress = { .on = !options->common.json &&
				    isatty(STDERR_FILENO) },
	};
	bool restore = false;
	int status;

	status = begin(&sending, options, &restore);
	if (status)
		return status;
	sending.in = open_input(options->file);
	if (sending.in < 0)
		return EXIT_ERROR;
	sending.lines = !options->chunk && isatty(sending.in);
	sending.buf = need(malloc(sending.chunk));
	run(&sending);
	free(sending.buf);
	if (options->common.json)
		sum_up_json(&sending);
	else
		sum_up_text(&sending);
	if (restore && target->inherited)
		mydev_set_terminate(target->dev, false);
	close(sending.in);
	return exit_status(&sending);
}

int cmd_write(int argc, char **argv)
{
	struct options options = {
		.common.json_doc = "Sum up in a JSON object at the end"
	};
	struct target target;
	int status;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	status = target_open_sender(&target, options.common.name, O_WRONLY);
	if (status)
		return status;
	status = send_file(&target, &options);
	target_close(&target);
	return status;
}
