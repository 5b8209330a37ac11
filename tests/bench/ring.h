/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The mapped ring of one client, as struct mydev_ring in <linux/mydev.h>
 * describes it. Not libmydev's, so that what is measured is the protocol.
 */
#ifndef BENCH_RING_H
#define BENCH_RING_H

#include <linux/mydev.h>
#include <stdint.h>

struct ring {
	int fd;
	struct mydev_map map;
	struct mydev_ring *shared;
	const struct mydev_log_page *log;
	const struct mydev_ring_entry *entries;
	const char *pool;
	uint64_t overtaken; /* times that entries were taken away in the meantime */
};

/* What entries brought that were given back. */
struct ring_take {
	uint64_t bytes;
	uint64_t packets;
	uint64_t gaps;
};

/*
 * Opens a node for that; 0, or a negative errno. No data is asked for yet. With a
 * @watermark, ring_wait() sleeps until so many bytes are there.
 */
int ring_open(struct ring *ring, const char *node, uint32_t watermark);

/* Maps everything, which asks for data; 0, or a negative errno. */
int ring_start(struct ring *ring);

/*
 * Takes what is there, at most @max entries, and gives it back: 0 if there was
 * nothing, 1 if there was something, a negative errno if none will come.
 */
int ring_take(struct ring *ring, unsigned int max, struct ring_take *take);

/* Sleeps until there are entries; 0, or a negative errno. */
int ring_wait(struct ring *ring);

void ring_close(struct ring *ring);

#endif
