// SPDX-License-Identifier: GPL-2.0-only
/* The verifier of a stream of simulated packets; see verify.h. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "verify.h"

static const char *const kind_names[] = {
	[VERIFY_OK] = "ok",
	[VERIFY_MISSING] = "missing",
	[VERIFY_REPEATED] = "repeated",
	[VERIFY_REORDERED] = "reordered",
	[VERIFY_DAMAGED] = "damaged",
	[VERIFY_TRUNCATED] = "truncated",
	[VERIFY_EMPTY] = "empty",
	[VERIFY_WHO] = "who",
};

const char *verify_kind_name(enum verify_kind kind)
{
	return kind_names[kind];
}

void verifier_init(struct verifier *v)
{
	memset(v, 0, sizeof(*v));
}

/* Only the first error is described; those after it are often its echo. */
__attribute__((format(printf, 6, 7))) static void note(struct verifier *v, enum verify_kind kind,
						       uint64_t offset, uint64_t expected,
						       uint64_t got, const char *fmt, ...)
{
	va_list ap;

	if (v->error)
		return;
	v->error = kind;
	v->error_offset = offset;
	v->error_expected = expected;
	v->error_got = got;
	va_start(ap, fmt);
	vsnprintf(v->error_text, sizeof(v->error_text), fmt, ap);
	va_end(ap);
}

static void gap_add(struct verifier *v, uint64_t first, uint64_t count)
{
	/* When there are too many, the oldest is forgotten. */
	if (v->gap_count == VERIFY_GAPS)
		memmove(v->gaps, v->gaps + 1, --v->gap_count * sizeof(v->gaps[0]));
	v->gaps[v->gap_count++] = (struct verify_gap){ first, count };
}

/* Takes @counter out of the gaps; false where it was in none. */
static bool gap_fill(struct verifier *v, uint64_t counter)
{
	for (unsigned int i = 0; i < v->gap_count; i++) {
		struct verify_gap g = v->gaps[i];
		uint64_t before = counter - g.first;

		if (counter < g.first || before >= g.count)
			continue;
		memmove(v->gaps + i, v->gaps + i + 1, (--v->gap_count - i) * sizeof(v->gaps[0]));
		if (before)
			gap_add(v, g.first, before);
		if (before + 1 < g.count)
			gap_add(v, counter + 1, g.count - before - 1);
		return true;
	}
	return false;
}

/* Where the writer of the present packet counts; NULL: there are too many. */
static struct verify_writer *find_writer(struct verifier *v)
{
	uint16_t who = v->head.counter >> SIM_WHO_SHIFT;
	struct verify_writer *w = v->writers;

	while (w < v->writers + v->writer_count && w->who != who)
		w++;
	if (w < v->writers + v->writer_count)
		return w;
	if (v->writer_count == VERIFY_WRITERS)
		return NULL;
	v->writer_count++;
	w->who = who;
	w->next = v->have_next ? v->next | (uint64_t)who << SIM_WHO_SHIFT : v->head.counter;
	return w;
}

static void check_counter(struct verifier *v, uint64_t offset)
{
	uint64_t got = v->head.counter;
	uint64_t *next = &v->next;
	uint64_t want;

	if (v->by_writer) {
		struct verify_writer *w = find_writer(v);

		if (!w) {
			note(v, VERIFY_WHO, offset, VERIFY_WRITERS, VERIFY_WRITERS + 1,
			     "more than %u writers", VERIFY_WRITERS);
			return;
		}
		next = &w->next;
	} else if (!v->have_next) {
		v->have_next = true;
		v->next = got;
	}
	want = *next;
	if (got == want) {
		*next = got + 1;
	} else if (got > want) {
		v->missing += got - want;
		gap_add(v, want, got - want);
		note(v, VERIFY_MISSING, offset, want, got,
		     "counter %" PRIu64 " expected, got %" PRIu64 ": %" PRIu64 " missing", want,
		     got, got - want);
		*next = got + 1;
	} else if (gap_fill(v, got)) {
		v->missing--;
		v->reordered++;
		note(v, VERIFY_REORDERED, offset, want, got,
		     "counter %" PRIu64 " expected, got %" PRIu64 ", which is late", want, got);
	} else {
		v->repeated++;
		note(v, VERIFY_REPEATED, offset, want, got,
		     "counter %" PRIu64 " expected, got %" PRIu64 " again", want, got);
	}
}

/* The place in the stream of byte @at of the current packet, given buf's. */
static void payload_error(struct verifier *v, uint64_t offset, const unsigned char *got, size_t len)
{
	uint32_t at = v->at;

	for (size_t i = 0; i < len; i++) {
		uint32_t p = at + i - SIM_HEADER;
		uint64_t word = sim_first_word(v->head.counter) + p / 8 * SIM_STEP;
		unsigned char want = word >> 8 * (p % 8);

		if (got[i] == want)
			continue;
		note(v, VERIFY_DAMAGED, offset + i, want, got[i],
		     "packet %" PRIu64 " of %u bytes: byte %u is 0x%02x, expected 0x%02x",
		     v->head.counter, v->head.length, (unsigned int)(at + i), got[i], want);
		break;
	}
	v->bad = true;
}

/* Compares payload bytes that do not fill a word. */
static bool edge_matches(const struct verifier *v, const unsigned char *p, size_t len)
{
	uint32_t pos = v->at - SIM_HEADER;
	uint64_t word = sim_first_word(v->head.counter) + pos / 8 * SIM_STEP;
	unsigned char diff = 0;

	word >>= 8 * (pos % 8);
	for (size_t i = 0; i < len; i++, word >>= 8)
		diff |= p[i] ^ (unsigned char)word;
	return !diff;
}

static inline uint64_t load_word(const unsigned char *p)
{
	uint64_t le;

	memcpy(&le, p, sizeof(le));
	return le64toh(le);
}

/*
 * The hot loop: four words a turn without a branch between them, so that an
 * emulated processor spends about four instructions on eight bytes.
 */
static bool words_match(const struct verifier *v, const unsigned char *p, size_t words)
{
	uint64_t want = sim_first_word(v->head.counter) + (v->at - SIM_HEADER) / 8 * SIM_STEP;
	uint64_t diff = 0;

	for (; words >= 4; words -= 4, p += 32) {
		diff |= load_word(p) ^ want;
		want += SIM_STEP;
		diff |= load_word(p + 8) ^ want;
		want += SIM_STEP;
		diff |= load_word(p + 16) ^ want;
		want += SIM_STEP;
		diff |= load_word(p + 24) ^ want;
		want += SIM_STEP;
	}
	for (; words; words--, p += 8) {
		diff |= load_word(p) ^ want;
		want += SIM_STEP;
	}
	return !diff;
}

static void packet_end(struct verifier *v)
{
	if (v->bad)
		v->damaged++;
	else
		v->packets++;
	v->last = v->head.counter;
	v->at = 0;
	v->bad = false;
}

/* Checks payload; returns the bytes that it used up. */
static size_t feed_payload(struct verifier *v, uint64_t offset, const unsigned char *p, size_t len)
{
	uint32_t pos = v->at - SIM_HEADER;
	size_t left = v->head.length - v->at;
	bool good;

	if (len > left)
		len = left;
	if (v->bad) {
		good = true;
	} else if (pos % 8 || len < 8) {
		size_t edge = 8 - pos % 8;

		if (len > edge)
			len = edge;
		good = edge_matches(v, p, len);
	} else {
		len -= len % 8;
		good = words_match(v, p, len / 8);
	}
	if (!good)
		payload_error(v, offset, p, len);
	v->at += len;
	if (v->at == v->head.length)
		packet_end(v);
	return len;
}

/* The 24 bytes in v->raw are not a header: drops what cannot begin one. */
static void seek_header(struct verifier *v, uint64_t offset)
{
	uint32_t magic = htole32(SIM_MAGIC);
	size_t drop = 1;

	if (!v->lost && (!v->sync || v->have_first)) {
		uint32_t got;

		memcpy(&got, v->raw, 4);
		v->damaged++;
		note(v, VERIFY_DAMAGED, offset, SIM_MAGIC, le32toh(got),
		     "no valid packet header (first word 0x%08x, a header has 0x%08x)",
		     le32toh(got), SIM_MAGIC);
	}
	v->lost = true;
	while (drop < SIM_HEADER && v->raw[drop] != *(unsigned char *)&magic)
		drop++;
	memmove(v->raw, v->raw + drop, SIM_HEADER - drop);
	v->skipped_bytes += drop;
	v->at = SIM_HEADER - drop;
}

/* Collects a header; returns the bytes that it used up. */
static size_t feed_header(struct verifier *v, uint64_t offset, const unsigned char *p, size_t len)
{
	size_t need = SIM_HEADER - v->at;

	if (len > need)
		len = need;
	memcpy(v->raw + v->at, p, len);
	v->at += len;
	if (v->at < SIM_HEADER)
		return len;
	offset += len - SIM_HEADER;
	if (sim_parse(v->raw, &v->head)) {
		seek_header(v, offset);
		return len;
	}
	v->lost = false;
	if (!v->have_first) {
		v->have_first = true;
		v->first = v->head.counter;
	}
	check_counter(v, offset);
	if (v->head.length == SIM_HEADER)
		packet_end(v);
	return len;
}

bool verifier_feed(struct verifier *v, const void *buf, size_t len)
{
	const unsigned char *p = buf;

	while (len) {
		size_t used;

		if (v->at < SIM_HEADER)
			used = feed_header(v, v->bytes, p, len);
		else
			used = feed_payload(v, v->bytes, p, len);
		p += used;
		len -= used;
		v->bytes += used;
	}
	return !v->error;
}

uint32_t verifier_partial(const struct verifier *v)
{
	return v->at;
}

void verifier_forget(struct verifier *v)
{
	v->at = 0;
	v->bad = false;
	v->lost = false;
}

static void note_truncated(struct verifier *v, const char *what)
{
	v->truncated++;
	if (v->at < SIM_HEADER)
		note(v, VERIFY_TRUNCATED, v->bytes, SIM_HEADER, v->at,
		     "the %s ends after %u bytes of a packet header", what, v->at);
	else
		note(v, VERIFY_TRUNCATED, v->bytes, v->head.length, v->at,
		     "the %s ends after %u of %u bytes of packet %" PRIu64, what, v->at,
		     v->head.length, v->head.counter);
}

bool verifier_end_message(struct verifier *v)
{
	if (v->at)
		note_truncated(v, "message");
	verifier_forget(v);
	return !v->error;
}

bool verifier_finish(struct verifier *v, bool partial_ok, bool empty_ok)
{
	if (v->at && !partial_ok)
		note_truncated(v, "stream");
	if (!v->packets && !empty_ok)
		note(v, VERIFY_EMPTY, v->bytes, 1, 0, "no whole packet was received");
	return !v->error;
}
