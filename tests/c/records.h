/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads and checks a stream of records, as packet mode gives it: the shape of
 * each record, that sequence numbers have no hole which no gap explains, that
 * time does not go back, and every byte that the simulated device sent.
 *
 * Nothing here is an assertion of cmocka, so processes that a test has spawned
 * can use it as well.
 */
#ifndef TESTS_C_RECORDS_H
#define TESTS_C_RECORDS_H

#include "helpers.h"

struct records {
	/* Set these between records_init() and the first feed. */
	bool have_next; /* next is the sequence number that must come first */
	uint64_t next;
	/*
	 * Part of the stream is read in stream mode, so packets are missing here
	 * or have lost their beginning, and those without bytes are gone.
	 */
	bool partial_ok;
	/*
	 * The device is pulled out while it sends: what comes last may have been cut
	 * short, and has the error of its transfer.
	 */
	bool unplugs;
	/* One packet of the device is one packet of the driver, none empty. */
	bool one_to_one;
	/* Called for each record; its payload is behind the header. */
	void (*each)(const struct mydev_packet_header *header, void *arg);
	void *arg;

	/* Results. */
	uint64_t records;
	uint64_t packets;
	uint64_t bytes;
	uint64_t zero_packets;
	uint64_t continued;
	uint64_t partial;
	uint64_t gaps;
	uint64_t lost_packets;
	uint64_t lost_bytes;
	uint64_t events;
	uint64_t last_time;
	struct verifier content; /* of what the device sent, since the last gap */
	uint64_t whole;          /* packets of the device that came whole, in all */

	bool cut; /* the last packet was */
	bool bad;
	char error[256]; /* the first thing that is wrong */
};

void records_init(struct records *r);
/* The next packet is the device's packet @counter, with number @sequence. */
void records_from(struct records *r, uint64_t counter, uint64_t sequence);

/* What one read() returned; false if something in it is wrong. */
bool records_feed(struct records *r, const void *buf, size_t len);

/*
 * Reads, with buffers of @chunk bytes, until @packets more have come or are
 * told lost; NULL, or what is wrong. Ends also with what read() ended with.
 */
const char *read_records(int fd, struct records *r, uint64_t packets, size_t chunk);
/* The same in a test. */
void take_records(int fd, struct records *r, uint64_t packets, size_t chunk);
/* Reads without waiting until nothing is left; NULL, or what is wrong. */
const char *drain_records(int fd, struct records *r);

/* What precedes a payload, and what a record of it takes. */
size_t record_size(size_t payload);

#endif /* TESTS_C_RECORDS_H */
