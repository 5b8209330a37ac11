// SPDX-License-Identifier: MIT
/*
 * The counters of a device again and again: what they grew by, per interval.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

#define MIB (1024.0 * 1024.0)

struct watch {
	const struct target *target;
	bool json;
	bool terminal; /* one line that is written again and again */
	struct mydev_stats last;
	double last_time;
};

/* Until that time or a signal. True where the device was unplugged instead. */
static bool wait_until(const struct watch *watch, double time,
		       const sigset_t *waiting)
{
	/* No events: asking for input would set the device streaming. */
	struct pollfd pfd = { .fd = mydev_fd(watch->target->dev) };
	double left;

	while (!interrupted() && (left = time - now()) > 0) {
		struct timespec ts = {
			.tv_sec = (time_t)left,
			.tv_nsec = (long)((left - (time_t)left) * 1e9),
		};

		if (ppoll(&pfd, 1, &ts, waiting) <= 0)
			continue;
		if (pfd.revents & POLLHUP)
			return true;
		/* Failed, which lasts: only the time and signals are left. */
		pfd.fd = -1;
	}
	return false;
}

/* No counter goes back: they belong to one plugged-in device. */
static struct json_object *describe(const struct watch *watch,
				    const struct mydev_stats *stats,
				    double seconds)
{
	const struct mydev_stats *last = &watch->last;
	struct json_object *obj = need(json_object_new_object());
	uint64_t packets = stats->packets - last->packets;
	uint64_t bytes = stats->bytes - last->bytes;
	uint64_t sent_bytes = stats->sent_bytes - last->sent_bytes;

	add_text(obj, "name", mydev_entry_name(watch->target->entry));
	add_real(obj, "seconds", seconds);
	add_text(obj, "state", state_name(stats->state));
	add_number(obj, "clients", other_clients(stats));
	add_number(obj, "in_flight", stats->in_flight);
	add_number(obj, "free_buffers", stats->free_buffers);
	add_number(obj, "packets", packets);
	add_number(obj, "bytes", bytes);
	add_number(obj, "zero_packets",
		   stats->zero_packets - last->zero_packets);
	add_number(obj, "errors", stats->errors - last->errors);
	add_number(obj, "stalls", stats->stalls - last->stalls);
	add_number(obj, "ring_stops", stats->ring_stops - last->ring_stops);
	/* Of an older driver these are zero. */
	add_number(obj, "sent_transfers",
		   stats->sent_transfers - last->sent_transfers);
	add_number(obj, "sent_bytes", sent_bytes);
	add_number(obj, "send_errors", stats->send_errors - last->send_errors);
	add_real(obj, "packets_per_second", packets / seconds);
	add_real(obj, "bytes_per_second", bytes / seconds);
	add_real(obj, "sent_bytes_per_second", sent_bytes / seconds);
	return obj;
}

static uint64_t number(struct json_object *obj, const char *key)
{
	return json_object_get_uint64(json_object_object_get(obj, key));
}

static double real(struct json_object *obj, const char *key)
{
	return json_object_get_double(json_object_object_get(obj, key));
}

/* A whole line in 79 columns, so that a terminal of 80 has it in one. */
#define LINE 128

/* What the last column of a terminal shows may take the next line, too. */
static int room(void)
{
	return terminal_width(stdout) - 1;
}

static void print_header(void)
{
	char line[LINE];

	snprintf(line, sizeof(line), "%10s %8s %10s %5s %6s %7s %9s %5s  %s",
		 "PACKETS/S", "MIB/S", "SENT-MIB/S", "STOPS", "ERRORS",
		 "CLIENTS", "IN-FLIGHT", "FREE", "STATE");
	printf("%.*s\n", room(), line);
}

static void print_line(const struct watch *watch, struct json_object *obj)
{
	char line[LINE];

	snprintf(line, sizeof(line),
		 "%10.1f %8.2f %10.2f %5llu %6llu %7llu %9llu %5llu  %s",
		 real(obj, "packets_per_second"),
		 real(obj, "bytes_per_second") / MIB,
		 real(obj, "sent_bytes_per_second") / MIB,
		 (unsigned long long)number(obj, "ring_stops"),
		 (unsigned long long)number(obj, "errors"),
		 (unsigned long long)number(obj, "clients"),
		 (unsigned long long)number(obj, "in_flight"),
		 (unsigned long long)number(obj, "free_buffers"),
		 json_object_get_string(json_object_object_get(obj, "state")));
	printf("%s%.*s%s", watch->terminal ? "\r" : "", room(), line,
	       watch->terminal ? "\033[K" : "\n");
}

static int show(struct watch *watch, const struct mydev_stats *stats)
{
	double time = now();
	struct json_object *obj =
		describe(watch, stats, time - watch->last_time);

	if (watch->json)
		print_json_line(stdout, obj);
	else
		print_line(watch, obj);
	json_object_put(obj);
	watch->last = *stats;
	watch->last_time = time;
	/* Whoever reads a pipe wants the line now. */
	return fflush(stdout) ? -errno : 0;
}

static int loop(struct watch *watch, double seconds, const sigset_t *waiting)
{
	double next = watch->last_time + seconds;
	struct mydev_stats stats;
	int ret;

	for (;; next += seconds) {
		bool gone = wait_until(watch, next, waiting);

		if (interrupted())
			return 0;
		ret = mydev_get_stats(watch->target->dev, &stats,
				      sizeof(stats));
		if (!ret)
			ret = show(watch, &stats);
		if (ret)
			return ret;
		if (gone)
			return -ENODEV;
		/* What a SIGSTOP or a suspend took is not caught up. */
		if (next + seconds < watch->last_time)
			next = watch->last_time;
	}
}

int watch_stats(const struct target *target, double seconds, bool json)
{
	struct watch watch = {
		.target = target,
		.json = json,
		.terminal = !json && isatty(STDOUT_FILENO),
	};
	const char *path = mydev_path(target->dev);
	sigset_t waiting;
	int ret = interrupt_block(&waiting);

	watch.last_time = now();
	if (!ret)
		ret = mydev_get_stats(target->dev, &watch.last,
				      sizeof(watch.last));
	if (ret)
		return device_error(path, ret);
	if (!json)
		print_header();
	ret = loop(&watch, seconds, &waiting);
	if (watch.terminal)
		putchar('\n');
	fflush(stdout);
	if (ferror(stdout)) {
		complain("cannot write the output: %s", strerror(-ret));
		return EXIT_ERROR;
	}
	return ret ? device_error(path, ret) : EXIT_OK;
}
