// SPDX-License-Identifier: GPL-2.0-only
/*
 * Takes a total of bytes from the mapped ring of a device node as fast as it
 * can, and says how fast that was. The bytes are counted, not looked at.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "fan.h"
#include "measure.h"
#include "queued.h"
#include "ring.h"

/*
 * Entries that are given back together: few enough that the device need not wait
 * for the buffers, enough to make the exchange cheap. Of many clients it is the slowest
 * that the device waits for.
 */
#define BATCH      8
#define BATCH_MANY 16

struct task {
	const char *node;
	uint32_t watermark;
	uint64_t total;
	uint64_t queued; /* of it, before it began; see queued.h */
	unsigned int batch;
	struct ring ring;
	struct ring_take take;
	struct measure measure;
};

static int usage(FILE *to)
{
	fprintf(to, "Usage: ring-read [OPTION...] NODE TOTAL\n"
		    "Takes TOTAL bytes from the mapped ring of NODE (/dev/mydev0).\n"
		    "  --clients N     N processes, each of which takes TOTAL bytes\n"
		    "  --watermark N   sleep until N bytes are there\n"
		    "  --stamps FILE   write there when each of the entries was seen\n");
	return to == stdout ? 0 : 2;
}

static int fail(const char *what, int error)
{
	fprintf(stderr, "ring-read: %s: %s\n", what, strerror(-error));
	return 1;
}

static int prepare(void *arg, unsigned int index)
{
	struct task *task = arg;
	int ret = ring_open(&task->ring, task->node, task->watermark);

	(void)index;
	return ret ? fail(task->node, ret) : 0;
}

static int run(void *arg)
{
	struct task *task = arg;
	struct measure *m = &task->measure;
	unsigned int batch = m->max_stamps ? 1 : task->batch;
	int ret;

	while (m->bytes < task->total) {
		bool early = m->bytes <= task->queued;

		ret = ring_take(&task->ring, batch, &task->take);
		if (early)
			task->take.gaps = 0;
		if (ret > 0)
			measure_count(m, task->take.bytes - m->bytes);
		else if (!ret)
			ret = ring_wait(&task->ring);
		if (ret < 0)
			return fail("ring", ret);
	}
	m->end = measure_now();
	m->requests = task->take.packets;
	if (task->take.gaps || task->ring.overtaken) {
		fprintf(stderr, "ring-read: %llu gaps: entries were taken away\n",
			(unsigned long long)task->take.gaps);
		return 1;
	}
	ring_close(&task->ring);
	return 0;
}

static int start(struct task *task)
{
	int ret = ring_start(&task->ring);

	return ret ? fail("mmap", ret) : 0;
}

static int run_alone(struct task *task)
{
	if (prepare(task, 0))
		return 1;
	measure_begin(&task->measure);
	return start(task) || run(task);
}

static int prepare_one(void *arg, unsigned int index)
{
	return prepare(arg, index) || start(arg);
}

static int run_one(void *arg)
{
	struct task *task = arg;

	task->queued = queued_bytes(task->ring.fd);
	task->total += task->queued;
	return run(task);
}

static int run_many(struct task *task, unsigned int nr)
{
	static const struct fan_work work = { prepare_one, run_one };
	int ret;

	task->batch = BATCH_MANY;
	ret = fan_run(nr, &work, task, &task->measure);

	task->measure.bytes = task->total;
	return ret;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "clients", required_argument, NULL, 'c' },
		{ "watermark", required_argument, NULL, 'w' },
		{ "stamps", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct task task = { .batch = BATCH };
	const char *stamps = NULL;
	unsigned int clients = 0;
	int opt, ret;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'c')
			clients = (unsigned int)measure_size("--clients", optarg, FAN_MAX);
		else if (opt == 'w')
			task.watermark = (uint32_t)measure_size("--watermark", optarg, 1 << 30);
		else if (opt == 's')
			stamps = optarg;
		else
			return usage(opt == 'h' ? stdout : stderr);
	}
	if (argc - optind != 2)
		return usage(stderr);
	task.node = argv[optind];
	task.total = measure_size("TOTAL", argv[optind + 1], UINT64_MAX / 2);
	if (stamps)
		measure_want_stamps(&task.measure, 1 << 16);

	ret = clients ? run_many(&task, clients) : run_alone(&task);
	if (!ret && stamps)
		ret = measure_write_stamps(&task.measure, stamps);
	if (!ret)
		measure_print(&task.measure);
	return ret;
}
