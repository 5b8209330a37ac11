/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The program's side of a mapped ring, written by the words of the UAPI header
 * and by nothing else. What was taken is checked as records are (records.h).
 *
 * Nothing here but ring_open() is an assertion of cmocka, so processes that a
 * test has spawned can use it as well.
 */
#ifndef TESTS_C_RINGS_H
#define TESTS_C_RINGS_H

#include "records.h"
#include "settings.h"

struct rings {
	int fd;
	struct mydev_map map;
	struct mydev_ring *ring;
	const struct mydev_log_page *log;
	const struct mydev_ring_entry *entries;
	const unsigned char *pool;
	uint32_t policy;
	uint32_t depth;
	uint64_t keep; /* of one that drops the newest, and is full; else 0 */

	/* Results. */
	uint64_t wakeups; /* calls that the kernel asked for */
	uint64_t refused; /* entries that were taken away before they were given back */
};

/*
 * What is next: an entry, its length without what was read before; or a gap, of which
 * the type, the sequence, and these are set.
 */
struct ring_next {
	struct mydev_ring_entry entry;
	uint64_t position;
	uint64_t gap_packets;
	uint64_t gap_bytes;
	uint32_t skip; /* bytes that were read before */
};

int fresh_rings(void **state);

struct mydev_map map_of(int fd);
/* 0 or an errno */
int try_sync(int fd);
/* One of the three, by its offset and bytes; MAP_FAILED and errno. */
void *map_region(int fd, uint64_t offset, uint64_t bytes, int prot);

/* Ring mode with the other settings as they are, and all three regions. */
void ring_open(struct rings *r, int fd);
/* Unmaps what is mapped; the descriptor stays. */
void ring_close(struct rings *r);

uint64_t ring_cursor(const struct rings *r);
uint32_t ring_flags(const struct rings *r);
/* True where all before the head was given back. */
bool ring_is_empty(const struct rings *r);

/* False where there is nothing next. */
bool ring_peek(struct rings *r, struct ring_next *next);
/*
 * False where it was taken away meanwhile. Calls the kernel where it says that it is
 * needed.
 */
bool ring_give_back(struct rings *r, const struct ring_next *next);

/* Waits until @packets more have come or are told lost; NULL, or what is wrong. */
const char *ring_read(struct rings *r, struct records *records, uint64_t packets);
/* The same in a test. */
void take_ring(struct rings *r, struct records *records, uint64_t packets);
/* Takes without waiting until nothing is left; NULL, or what is wrong. */
const char *ring_drain(struct rings *r, struct records *records);
/* The same in a test. */
void drain_ring(struct rings *r, struct records *records);

#endif /* TESTS_C_RINGS_H */
