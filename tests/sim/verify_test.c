// SPDX-License-Identifier: GPL-2.0-only
/*
 * The verifier finds every kind of damage. Runs on the build host.
 * Sources and libraries: see verify_test_* in sources.mk.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "promise.h"

#include "verify.h"

#define PACKETS 12
#define FIRST   1000

/* Sizes with and without a cut last word, with no payload, and long. */
static const uint32_t sizes[PACKETS] = { 24, 25, 31, 32, 33, 512, 64, 1024, 4099, 40, 24, 8191 };

struct stream {
	unsigned char bytes[32768];
	size_t len;
	size_t start[PACKETS + 1];
};

static int make_stream(void **state)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (!s)
		return -1;
	for (int i = 0; i < PACKETS; i++) {
		s->start[i] = s->len;
		sim_fill(s->bytes + s->len, sizes[i], FIRST + i);
		s->len += sizes[i];
	}
	s->start[PACKETS] = s->len;
	*state = s;
	return 0;
}

static int free_stream(void **state)
{
	free(*state);
	return 0;
}

static void check(struct verifier *v, const void *buf, size_t len, size_t piece)
{
	const unsigned char *p = buf;

	verifier_init(v);
	for (size_t at = 0; at < len; at += piece)
		verifier_feed(v, p + at, len - at < piece ? len - at : piece);
	verifier_finish(v, false, false);
}

TEST(good_in_pieces)
{
	const struct stream *s = *state;
	struct verifier v;

	for (size_t piece = 1; piece < 300; piece++) {
		check(&v, s->bytes, s->len, piece);
		assert_int_equal(v.error, VERIFY_OK);
		assert_int_equal(v.packets, PACKETS);
		assert_int_equal(v.bytes, s->len);
		assert_int_equal(v.first, FIRST);
		assert_int_equal(v.last, FIRST + PACKETS - 1);
	}
}

/* Whoever knows only the definition of the checksum gets the same one. */
TEST(checksum_is_a_sum)
{
	const struct stream *s = *state;

	for (int i = 0; i < PACKETS; i++) {
		const unsigned char *p = s->bytes + s->start[i];
		uint64_t sum = sim_mix(sim_mix(SIM_MAGIC | (uint64_t)sizes[i] << 32) + FIRST + i);
		uint64_t stored;

		for (uint32_t at = SIM_HEADER; at < sizes[i]; at++)
			sum += (uint64_t)p[at] << 8 * ((at - SIM_HEADER) % 8);
		memcpy(&stored, p + 16, 8);
		assert_true(le64toh(stored) == sum);
	}
}

TEST(any_changed_bit)
{
	struct stream *s = *state;
	struct verifier v;

	for (size_t at = 0; at < s->len; at++) {
		s->bytes[at] ^= 1 << at % 8;
		check(&v, s->bytes, s->len, 97);
		assert_int_not_equal(v.error, VERIFY_OK);
		assert_true(v.packets < PACKETS);
		s->bytes[at] ^= 1 << at % 8;
	}
}

TEST(any_missing_byte)
{
	const struct stream *s = *state;
	struct stream *t = malloc(sizeof(*t));
	struct verifier v;

	assert_non_null(t);
	for (size_t at = 0; at < s->len; at++) {
		memcpy(t->bytes, s->bytes, at);
		memcpy(t->bytes + at, s->bytes + at + 1, s->len - at - 1);
		check(&v, t->bytes, s->len - 1, 97);
		assert_int_not_equal(v.error, VERIFY_OK);
	}
	free(t);
}

TEST(any_repeated_byte)
{
	const struct stream *s = *state;
	struct stream *t = malloc(sizeof(*t));
	struct verifier v;

	assert_non_null(t);
	for (size_t at = 0; at < s->len; at++) {
		memcpy(t->bytes, s->bytes, at + 1);
		memcpy(t->bytes + at + 1, s->bytes + at, s->len - at);
		check(&v, t->bytes, s->len + 1, 97);
		assert_int_not_equal(v.error, VERIFY_OK);
	}
	free(t);
}

TEST(swapped_words)
{
	struct stream *s = *state;
	unsigned char *p = s->bytes + s->start[7] + SIM_HEADER;
	unsigned char word[8];
	struct verifier v;

	memcpy(word, p + 16, 8);
	memcpy(p + 16, p + 80, 8);
	memcpy(p + 80, word, 8);
	check(&v, s->bytes, s->len, 4096);
	assert_int_equal(v.error, VERIFY_DAMAGED);
	assert_int_equal(v.damaged, 1);
	assert_int_equal(v.packets, PACKETS - 1);
	assert_int_equal(v.error_offset, s->start[7] + SIM_HEADER + 16);
}

TEST(missing_packets)
{
	struct stream *s = *state;
	struct verifier v;

	memmove(s->bytes + s->start[3], s->bytes + s->start[5], s->len - s->start[5]);
	check(&v, s->bytes, s->len - (s->start[5] - s->start[3]), 97);
	assert_int_equal(v.error, VERIFY_MISSING);
	assert_int_equal(v.missing, 2);
	assert_int_equal(v.damaged, 0);
	assert_int_equal(v.error_offset, s->start[3]);
	assert_int_equal(v.error_expected, FIRST + 3);
	assert_int_equal(v.error_got, FIRST + 5);
	assert_int_equal(v.packets, PACKETS - 2);
}

TEST(repeated_packet)
{
	struct stream *s = *state;
	struct verifier v;

	verifier_init(&v);
	verifier_feed(&v, s->bytes, s->start[6]);
	verifier_feed(&v, s->bytes + s->start[5], s->len - s->start[5]);
	assert_int_equal(v.error, VERIFY_REPEATED);
	assert_int_equal(v.repeated, 1);
	assert_int_equal(v.missing, 0);
	assert_int_equal(v.error_offset, s->start[6]);
}

TEST(late_packet)
{
	struct stream *s = *state;
	struct verifier v;

	verifier_init(&v);
	verifier_feed(&v, s->bytes, s->start[4]);
	verifier_feed(&v, s->bytes + s->start[5], s->start[7] - s->start[5]);
	verifier_feed(&v, s->bytes + s->start[4], sizes[4]);
	verifier_feed(&v, s->bytes + s->start[7], s->len - s->start[7]);
	assert_int_equal(v.error, VERIFY_MISSING);
	assert_int_equal(v.missing, 0);
	assert_int_equal(v.reordered, 1);
	assert_int_equal(v.repeated, 0);
	assert_int_equal(v.packets, PACKETS);
}

TEST(wrong_first)
{
	const struct stream *s = *state;
	struct verifier v;

	verifier_init(&v);
	v.have_next = true;
	v.next = FIRST - 1;
	assert_false(verifier_feed(&v, s->bytes, s->len));
	assert_int_equal(v.missing, 1);
}

TEST(ends_inside_a_packet)
{
	const struct stream *s = *state;
	struct verifier v;

	for (size_t cut = 1; cut < 8191; cut++) {
		verifier_init(&v);
		assert_true(verifier_feed(&v, s->bytes, s->len - cut));
		assert_true(verifier_finish(&v, true, false));
		assert_false(verifier_finish(&v, false, false));
		assert_int_equal(v.error, VERIFY_TRUNCATED);
	}
}

TEST(begins_inside_a_packet)
{
	const struct stream *s = *state;
	struct verifier v;

	verifier_init(&v);
	v.sync = true;
	assert_true(verifier_feed(&v, s->bytes + 7, s->len - 7));
	assert_true(verifier_finish(&v, false, false));
	assert_int_equal(v.packets, PACKETS - 1);
	assert_int_equal(v.skipped_bytes, 24 - 7);

	verifier_init(&v);
	assert_false(verifier_feed(&v, s->bytes + 7, s->len - 7));
	assert_int_equal(v.error, VERIFY_DAMAGED);
	assert_int_equal(v.error_offset, 0);
}

/* After a damaged stretch the verifier finds its way back. */
TEST(finds_the_next_header)
{
	struct stream *s = *state;
	struct verifier v;

	memset(s->bytes + s->start[5], 0x9b, sizes[5]);
	check(&v, s->bytes, s->len, 61);
	assert_int_equal(v.error, VERIFY_DAMAGED);
	assert_int_equal(v.damaged, 1);
	assert_int_equal(v.missing, 1);
	assert_int_equal(v.skipped_bytes, sizes[5]);
	assert_int_equal(v.packets, PACKETS - 1);
}

TEST(nothing_is_not_good)
{
	struct verifier v;

	verifier_init(&v);
	assert_false(verifier_finish(&v, false, false));
	assert_int_equal(v.error, VERIFY_EMPTY);
	verifier_init(&v);
	assert_true(verifier_finish(&v, false, true));
}

/* --- messages of several writers ------------------------------------------ */

static bool message(struct verifier *v, uint64_t who, uint64_t counter, uint32_t size)
{
	unsigned char buf[4096];

	sim_fill(buf, size, who << SIM_WHO_SHIFT | counter);
	/* In two pieces, as of two requests. */
	verifier_feed(v, buf, size / 3);
	verifier_feed(v, buf + size / 3, size - size / 3);
	return verifier_end_message(v);
}

static void init_writers(struct verifier *v)
{
	verifier_init(v);
	v->by_writer = true;
	v->have_next = true;
}

TEST(writers_take_turns)
{
	struct verifier v;

	init_writers(&v);
	for (uint64_t counter = 0; counter < 20; counter++)
		for (uint64_t who = 0; who < VERIFY_WRITERS; who++)
			assert_true(message(&v, who * 1021, counter, 24 + who * 50 + counter));
	assert_int_equal(v.packets, 20 * VERIFY_WRITERS);
	assert_int_equal(v.writer_count, VERIFY_WRITERS);
	assert_false(message(&v, 7, 0, 100));
	assert_int_equal(v.error, VERIFY_WHO);
}

/* The packets of one writer do not make up for those of another. */
TEST(writer_leaves_one_out)
{
	struct verifier v;

	init_writers(&v);
	assert_true(message(&v, 1, 0, 100));
	assert_true(message(&v, 2, 0, 100));
	assert_true(message(&v, 1, 1, 100));
	assert_false(message(&v, 2, 2, 100));
	assert_int_equal(v.error, VERIFY_MISSING);
	assert_int_equal(v.missing, 1);
	message(&v, 1, 2, 100);
	assert_int_equal(v.missing, 1);
	message(&v, 2, 1, 100);
	assert_int_equal(v.missing, 0);
	assert_int_equal(v.reordered, 1);
	message(&v, 1, 2, 100);
	assert_int_equal(v.repeated, 1);
}

TEST(writer_begins_late)
{
	struct verifier v;

	init_writers(&v);
	assert_false(message(&v, 3, 1, 100));
	assert_int_equal(v.error, VERIFY_MISSING);
	verifier_init(&v);
	v.by_writer = true;
	assert_true(message(&v, 3, 1, 100));
	assert_true(message(&v, 3, 2, 100));
	assert_true(message(&v, 4, 77, 100));
}

/* What another writer sends in the midst of a message. */
TEST(message_in_a_message)
{
	unsigned char buf[1000], other[100];
	struct verifier v;

	sim_fill(buf, sizeof(buf), 1ULL << SIM_WHO_SHIFT);
	sim_fill(other, sizeof(other), 2ULL << SIM_WHO_SHIFT);
	for (size_t at = 1; at < sizeof(buf); at++) {
		init_writers(&v);
		verifier_feed(&v, buf, at);
		verifier_feed(&v, other, sizeof(other));
		verifier_feed(&v, buf + at, sizeof(buf) - at);
		assert_false(verifier_end_message(&v));
		assert_int_equal(v.error, VERIFY_DAMAGED);
	}
}

/* A message that ends inside a packet is an error, and the next one is not. */
TEST(message_is_cut)
{
	unsigned char buf[1000];
	struct verifier v;

	sim_fill(buf, sizeof(buf), 0);
	for (size_t cut = 1; cut < sizeof(buf); cut++) {
		init_writers(&v);
		assert_true(verifier_feed(&v, buf, cut));
		assert_false(verifier_end_message(&v));
		assert_int_equal(v.error, VERIFY_TRUNCATED);
		assert_int_equal(v.truncated, 1);
		message(&v, 0, cut < SIM_HEADER ? 0 : 1, 100);
		assert_int_equal(v.packets, 1);
		assert_int_equal(v.truncated + v.damaged + v.missing, 1);
	}
}

#define STREAM_TEST(name) cmocka_unit_test_setup_teardown(name, make_stream, free_stream)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STREAM_TEST(good_in_pieces),
		STREAM_TEST(checksum_is_a_sum),
		STREAM_TEST(any_changed_bit),
		STREAM_TEST(any_missing_byte),
		STREAM_TEST(any_repeated_byte),
		STREAM_TEST(swapped_words),
		STREAM_TEST(missing_packets),
		STREAM_TEST(repeated_packet),
		STREAM_TEST(late_packet),
		STREAM_TEST(wrong_first),
		STREAM_TEST(ends_inside_a_packet),
		STREAM_TEST(begins_inside_a_packet),
		STREAM_TEST(finds_the_next_header),
		cmocka_unit_test(nothing_is_not_good),
		cmocka_unit_test(writers_take_turns),
		cmocka_unit_test(writer_leaves_one_out),
		cmocka_unit_test(writer_begins_late),
		cmocka_unit_test(message_in_a_message),
		cmocka_unit_test(message_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
