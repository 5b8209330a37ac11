// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads a total of bytes from a device node, or writes them to it, as fast as it
 * can, and says how fast that was. The bytes are counted, neither looked at nor
 * made. Any driver's node will do; a terminal is made a raw one first.
 *
 * The time of writing ends when fsync() says that the device has them all.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/mydev.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "fan.h"
#include "measure.h"
#include "queued.h"

struct task {
	const char *node;
	bool out;
	bool polling;
	bool packets;
	size_t size;
	uint64_t total;
	uint64_t queued; /* of it, before it began; see queued.h */
	int fd;
	void *buf;
	struct measure measure;
};

static int usage(FILE *to)
{
	fprintf(to, "Usage: node-io [OPTION...] read|write NODE SIZE TOTAL\n"
		    "Moves TOTAL bytes from or to NODE (/dev/mydev0) with calls of SIZE bytes.\n"
		    "  --poll          wait in poll() and do not block otherwise\n"
		    "  --packet        read records (mydev only)\n"
		    "  --clients N     N processes, each of which reads TOTAL bytes\n"
		    "  --stamps FILE   write there when each of the calls had returned\n");
	return to == stdout ? 0 : 2;
}

static int fail(const char *what, const struct task *task)
{
	fprintf(stderr, "node-io: %s %s: %s\n", what, task->node, strerror(errno));
	return 1;
}

static int set_up_node(struct task *task)
{
	if (isatty(task->fd)) {
		struct termios raw;

		if (tcgetattr(task->fd, &raw))
			return fail("terminal", task);
		cfmakeraw(&raw);
		/* No call returns for less than there may be. */
		raw.c_cc[VMIN] = 1;
		raw.c_cc[VTIME] = 0;
		if (tcsetattr(task->fd, TCSANOW, &raw))
			return fail("terminal", task);
	}
	if (task->packets) {
		struct mydev_config config = { .size = sizeof(config) };

		if (ioctl(task->fd, MYDEV_IOC_GET_CONFIG, &config))
			return fail("settings of", task);
		config.mode = MYDEV_MODE_PACKET;
		if (ioctl(task->fd, MYDEV_IOC_SET_CONFIG, &config))
			return fail("packet mode of", task);
	}
	return 0;
}

static int prepare(void *arg, unsigned int index)
{
	struct task *task = arg;
	int flags = task->out ? O_WRONLY : O_RDONLY;

	(void)index;
	task->fd = open(task->node, flags | O_NOCTTY | (task->polling ? O_NONBLOCK : 0));
	if (task->fd < 0)
		return fail("open", task);
	task->buf = malloc(task->size);
	if (!task->buf)
		return fail("memory for", task);
	/* Now, not in the first calls, which would be measured. */
	memset(task->buf, 0, task->size);
	return set_up_node(task);
}

/* The bytes of the packets in a buffer full of records. */
static uint64_t payload(const char *buf, size_t size)
{
	uint64_t sum = 0;
	size_t at = 0;

	while (at < size) {
		const struct mydev_packet_header *header = (const void *)(buf + at);

		if (header->type == MYDEV_RECORD_PACKET)
			sum += header->length;
		at += header->record_size;
	}
	return sum;
}

static ssize_t move(struct task *task)
{
	uint64_t left = task->total - task->measure.bytes;

	if (!task->out)
		return read(task->fd, task->buf, task->size);
	return write(task->fd, task->buf, left < task->size ? (size_t)left : task->size);
}

static int run(void *arg)
{
	struct task *task = arg;
	struct pollfd pfd = { .fd = task->fd, .events = task->out ? POLLOUT : POLLIN };
	struct measure *m = &task->measure;

	while (m->bytes < task->total) {
		ssize_t moved = move(task);

		if (moved > 0) {
			measure_count(m, task->packets ? payload(task->buf, (size_t)moved)
						       : (uint64_t)moved);
		} else if (!moved) {
			errno = ENODATA;
			return fail("end of file in", task);
		} else if (errno == ENOBUFS && m->bytes <= task->queued) {
			continue;
		} else if (errno != EAGAIN || !task->polling) {
			return fail(task->out ? "write" : "read", task);
		} else if (poll(&pfd, 1, -1) < 0) {
			return fail("poll", task);
		}
	}
	if (task->out && fsync(task->fd))
		return fail("fsync", task);
	m->end = measure_now();
	free(task->buf);
	close(task->fd);
	return 0;
}

static int run_alone(struct task *task)
{
	if (prepare(task, 0))
		return 1;
	measure_begin(&task->measure);
	return run(task);
}

static int prepare_one(void *arg, unsigned int index)
{
	struct task *task = arg;
	struct pollfd pfd = { .events = POLLIN };

	if (prepare(arg, index))
		return 1;
	pfd.fd = task->fd;
	return poll(&pfd, 1, 0) < 0 ? fail("poll", task) : 0;
}

static int run_one(void *arg)
{
	struct task *task = arg;

	task->queued = queued_bytes(task->fd);
	task->total += task->queued;
	return run(task);
}

static int run_many(struct task *task, unsigned int nr)
{
	static const struct fan_work work = { prepare_one, run_one };
	int ret = fan_run(nr, &work, task, &task->measure);

	task->measure.bytes = task->total;
	task->measure.requests = task->total / task->size;
	return ret;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "poll", no_argument, NULL, 'p' },
		{ "packet", no_argument, NULL, 'P' },
		{ "clients", required_argument, NULL, 'c' },
		{ "stamps", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct task task = { 0 };
	const char *stamps = NULL;
	unsigned int clients = 0;
	int opt, ret;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'p':
			task.polling = true;
			break;
		case 'P':
			task.packets = true;
			break;
		case 'c':
			clients = (unsigned int)measure_size("--clients", optarg, FAN_MAX);
			break;
		case 's':
			stamps = optarg;
			break;
		default:
			return usage(opt == 'h' ? stdout : stderr);
		}
	}
	if (argc - optind != 4)
		return usage(stderr);
	task.out = !strcmp(argv[optind], "write");
	if (!task.out && strcmp(argv[optind], "read"))
		return usage(stderr);
	if (task.out && (clients || task.packets)) {
		fprintf(stderr, "node-io: --clients and --packet are for reading\n");
		return 2;
	}
	task.node = argv[optind + 1];
	task.size = (size_t)measure_size("SIZE", argv[optind + 2], 1 << 30);
	task.total = measure_size("TOTAL", argv[optind + 3], UINT64_MAX / 2);
	if (stamps)
		measure_want_stamps(&task.measure, 1 << 16);

	ret = clients ? run_many(&task, clients) : run_alone(&task);
	if (!ret && stamps)
		ret = measure_write_stamps(&task.measure, stamps);
	if (!ret)
		measure_print(&task.measure);
	return ret;
}
