/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Checks a byte stream of simulated packets (pattern.h). Packet borders may
 * fall anywhere between two calls of verifier_feed().
 */
#ifndef TESTS_SIM_VERIFY_H
#define TESTS_SIM_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pattern.h"

/* Runs of missing counters that are remembered, to know a late packet. */
#define VERIFY_GAPS 64

/* With by_writer: so many writers at most. */
#define VERIFY_WRITERS 64

enum verify_kind {
	VERIFY_OK,
	VERIFY_MISSING,   /* a counter was skipped */
	VERIFY_REPEATED,  /* a counter came twice */
	VERIFY_REORDERED, /* a counter came after a later one */
	VERIFY_DAMAGED,   /* bytes that are no header, or a wrong payload */
	VERIFY_TRUNCATED, /* the stream ends inside a packet */
	VERIFY_EMPTY,     /* the stream has no packet at all */
	VERIFY_WHO,       /* more writers than can be told apart */
};

struct verify_gap {
	uint64_t first;
	uint64_t count;
};

struct verify_writer {
	uint16_t who;
	uint64_t next;
};

struct verifier {
	/* Set these between verifier_init() and the first feed. */
	bool sync;      /* the stream may begin inside a packet */
	bool have_next; /* next is the counter that must come first */
	uint64_t next;
	bool by_writer; /* several writers, each with its own counter (SIM_WHO_SHIFT) */

	/* Results; packets counts those that were whole and undamaged. */
	uint64_t packets;
	uint64_t bytes; /* bytes fed */
	uint64_t missing;
	uint64_t repeated;
	uint64_t reordered;
	uint64_t damaged;
	uint64_t truncated;
	uint64_t skipped_bytes; /* passed over to find a header */
	bool have_first;
	uint64_t first; /* counters of the first and latest packet */
	uint64_t last;

	/* The first error: where in the stream, what, and in words. */
	enum verify_kind error;
	uint64_t error_offset;
	uint64_t error_expected;
	uint64_t error_got;
	char error_text[192];

	/* private: the place in the current packet */
	struct sim_header head;
	uint32_t at; /* bytes of the packet seen; below 24: of the header */
	bool bad;    /* its payload was found damaged */
	bool lost;   /* no header where one should be; searching */
	unsigned char raw[SIM_HEADER];
	struct verify_gap gaps[VERIFY_GAPS];
	unsigned int gap_count;
	struct verify_writer writers[VERIFY_WRITERS];
	unsigned int writer_count;
};

void verifier_init(struct verifier *v);

/* true as long as no error was found */
bool verifier_feed(struct verifier *v, const void *buf, size_t len);

/*
 * The stream is over. A packet that is not complete is an error unless
 * @partial_ok, and so is a stream without any packet unless @empty_ok.
 */
bool verifier_finish(struct verifier *v, bool partial_ok, bool empty_ok);

/* A message ends here, and a packet must end with it. The next one is awaited. */
bool verifier_end_message(struct verifier *v);

/* What was seen of a packet is forgotten; the next byte fed begins one. */
void verifier_forget(struct verifier *v);

/* Bytes seen of a packet that is not complete. */
uint32_t verifier_partial(const struct verifier *v);

const char *verify_kind_name(enum verify_kind kind);

#endif /* TESTS_SIM_VERIFY_H */
