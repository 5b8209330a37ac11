// SPDX-License-Identifier: GPL-2.0-only
/* Who loses what when somebody falls behind: gaps, and who waits for whom. */
#include <signal.h>

#include "records.h"
#include "settings.h"

#define DEPTH 8

static _Alignas(8) char buf[1 << 18];

/* A packet client with a short queue, and one that drives the ring. */
struct pair {
	int slow;
	int fast;
	uint64_t counter; /* of the first packet that the device sends now */
	uint64_t sequence;
};

static struct pair open_pair(uint32_t mode, uint32_t policy, uint32_t depth)
{
	struct pair p = { .counter = next_counter() };

	p.slow = node_open(O_RDONLY);
	p.fast = node_open(O_RDONLY);
	configure(p.slow, .mode = mode, .policy = policy, .queue_depth = depth);
	ask(p.slow);
	ask(p.fast);
	p.sequence = stats_of(p.slow).packets;
	return p;
}

/* @packets of 1000 bytes go to both, and the fast one reads them. */
static void send(struct pair *p, struct verifier *v, uint64_t packets)
{
	feed(packets, "1000");
	take_packets(p->fast, v, packets, sizeof(buf));
}

TEST(oldest_dropped)
{
	struct pair p = open_pair(MYDEV_MODE_PACKET, MYDEV_POLICY_DROP_OLDEST, DEPTH);
	struct mydev_packet_header *h = (void *)buf;
	struct mydev_gap_record gap;
	struct verifier v;
	struct records r;

	verify_from(&v, p.counter);
	send(&p, &v, 20);
	assert_int_equal(stats_of(p.slow).client_queued_packets, DEPTH);

	records_from(&r, p.counter, p.sequence);
	r.one_to_one = true;
	/* A buffer for one record: the gap comes first, and nothing with it. */
	assert_int_equal(read(p.slow, buf, record_size(1000)), record_size(sizeof(gap)));
	memcpy(&gap, buf + h->header_size, sizeof(gap));
	assert_int_equal(h->type, MYDEV_RECORD_GAP);
	assert_int_equal(h->sequence, p.sequence);
	assert_int_equal(gap.packets, 20 - DEPTH);
	assert_int_equal(gap.bytes, (20 - DEPTH) * 1000);
	assert_true(records_feed(&r, buf, record_size(sizeof(gap))));
	take_records(p.slow, &r, DEPTH, sizeof(buf));
	assert_int_equal(r.packets, DEPTH);
	assert_int_equal(r.gaps, 1);
	assert_int_equal(stats_of(p.slow).client_lost_packets, 20 - DEPTH);
	assert_int_equal(stats_of(p.slow).client_lost_bytes, (20 - DEPTH) * 1000);
}

TEST(newest_dropped)
{
	struct pair p = open_pair(MYDEV_MODE_PACKET, MYDEV_POLICY_DROP_NEWEST, DEPTH);
	struct verifier v;
	struct records r;

	verify_from(&v, p.counter);
	send(&p, &v, 20);
	assert_int_equal(stats_of(p.slow).client_queued_packets, DEPTH);
	records_from(&r, p.counter, p.sequence);
	r.one_to_one = true;

	/* Full is full until all of that is read; then it goes on with what comes. */
	take_records(p.slow, &r, 4, record_size(1000));
	assert_int_equal(r.gaps, 0);
	send(&p, &v, 5);
	take_records(p.slow, &r, 4, record_size(1000));
	assert_int_equal(r.packets, DEPTH);
	assert_int_equal(r.gaps, 0);
	take_records(p.slow, &r, 1, record_size(1000));
	assert_int_equal(r.gaps, 1);
	assert_int_equal(r.lost_packets, 25 - DEPTH);
	assert_int_equal(r.lost_bytes, (25 - DEPTH) * 1000);
	send(&p, &v, 5);
	take_records(p.slow, &r, 5, sizeof(buf));
	assert_int_equal(r.packets, DEPTH + 5);
	assert_int_equal(r.gaps, 1);
	assert_int_equal(stats_of(p.slow).client_lost_packets, r.lost_packets);
}

/* Reads and losses in turn, many times, in odd numbers. */
static void gaps_add_up(uint32_t policy)
{
	struct pair p = open_pair(MYDEV_MODE_PACKET, policy, DEPTH);
	uint64_t seed = test_seed(), sent = 0;
	struct mydev_stats s;
	struct verifier v;
	struct records r;

	verify_from(&v, p.counter);
	records_from(&r, p.counter, p.sequence);
	r.one_to_one = true;
	for (int round = 0; round < 200; round++) {
		uint64_t packets = 1 + random_next(&seed) % 12;
		uint64_t reads = random_next(&seed) % 5;

		send(&p, &v, packets);
		sent += packets;
		set_nonblock(p.slow, true);
		while (reads--) {
			ssize_t n = read(p.slow, buf, record_size(1000) * (1 + reads));

			if (n < 0)
				assert_int_equal(errno, EAGAIN);
			else if (!records_feed(&r, buf, n))
				fail_msg("%s", r.error);
		}
		s = stats_of(p.slow);
		assert_true(identity_holds(&s));
		assert_true(s.client_queued_packets <= DEPTH);
		assert_int_equal(s.client_read_packets, r.packets);
		assert_int_equal(s.client_read_bytes, r.bytes);
	}
	assert_null(drain_records(p.slow, &r));
	assert_int_equal(r.packets + r.lost_packets, sent);
	assert_int_equal(r.bytes + r.lost_bytes, sent * 1000);
	assert_true(r.gaps > 10);
	s = stats_of(p.slow);
	assert_int_equal(s.client_packets, sent);
	assert_int_equal(s.client_lost_packets, r.lost_packets);
	assert_int_equal(s.client_lost_bytes, r.lost_bytes);
	assert_int_equal(stats_of(p.fast).client_lost_packets, 0);
}

TEST(oldest_adds_up)
{
	gaps_add_up(MYDEV_POLICY_DROP_OLDEST);
}

TEST(newest_adds_up)
{
	gaps_add_up(MYDEV_POLICY_DROP_NEWEST);
}

TEST(stream_told_once)
{
	struct pair p;
	struct verifier v, w;

	p = open_pair(MYDEV_MODE_STREAM, MYDEV_POLICY_DROP_NEWEST, DEPTH);
	verify_from(&v, p.counter);
	verify_from(&w, p.counter);
	for (int round = 0; round < 3; round++) {
		send(&p, &v, 20);
		/* What came before the gap is read first, however large the buffer. */
		assert_int_equal(read(p.slow, buf, sizeof(buf)), DEPTH * 1000);
		assert_true(verifier_feed(&w, buf, DEPTH * 1000));
		assert_errno(read(p.slow, buf, sizeof(buf)), ENOBUFS);
		set_nonblock(p.slow, true);
		assert_errno(read(p.slow, buf, sizeof(buf)), EAGAIN);
		set_nonblock(p.slow, false);
		verify_from(&w, p.counter + 20 * (round + 1));
	}

	/* The other way round: first the gap, then the newest. */
	configure(p.slow, .policy = MYDEV_POLICY_DROP_OLDEST, .queue_depth = DEPTH);
	for (int round = 3; round < 6; round++) {
		send(&p, &v, 20);
		assert_errno(read(p.slow, buf, sizeof(buf)), ENOBUFS);
		verify_from(&w, p.counter + 20 * (round + 1) - DEPTH);
		take_packets(p.slow, &w, DEPTH, sizeof(buf));
	}
	assert_int_equal(stats_of(p.slow).client_lost_packets, 6 * (20 - DEPTH));
}

TEST(begun_packet_dropped)
{
	struct pair p = open_pair(MYDEV_MODE_STREAM, MYDEV_POLICY_DROP_OLDEST, DEPTH);
	struct verifier v, w;
	struct mydev_stats s;

	verify_from(&v, p.counter);
	send(&p, &v, 2);
	await_queued(p.slow, 2);
	verify_from(&w, p.counter);
	assert_int_equal(read(p.slow, buf, 1300), 1300);
	assert_true(verifier_feed(&w, buf, 1300));
	send(&p, &v, 20);
	assert_errno(read(p.slow, buf, sizeof(buf)), ENOBUFS);
	/* 700 of the second packet, and twelve whole ones. */
	s = stats_of(p.slow);
	assert_int_equal(s.client_lost_packets, 13);
	assert_int_equal(s.client_lost_bytes, 12700);
	assert_int_equal(s.client_read_packets, 1);
	assert_int_equal(s.client_read_bytes, 1300);
	assert_true(identity_holds(&s));
	verify_from(&w, p.counter + 14);
	take_packets(p.slow, &w, DEPTH, 700);
}

TEST(depth_is_enforced)
{
	struct pair p = open_pair(MYDEV_MODE_PACKET, MYDEV_POLICY_LOSSLESS, DEPTH);
	unsigned int transfers = info_of(p.slow).transfers;
	struct verifier v;
	struct records r;

	/* The device waits; what was in flight then is all that comes besides. */
	feed_forever("1000");
	verify_from(&v, p.counter);
	take_packets(p.fast, &v, DEPTH, 1000);
	await_ring_stop(p.slow);
	assert_in_range(stats_of(p.slow).client_queued_packets, DEPTH, DEPTH + transfers);
	assert_int_equal(stats_of(p.slow).client_lost_packets, 0);
	records_from(&r, p.counter, p.sequence);
	for (int i = 0; i < 500; i++) {
		take_records(p.slow, &r, 1, record_size(1000));
		take_packets(p.fast, &v, 1, 1000);
		assert_true(stats_of(p.slow).client_queued_packets <= DEPTH + transfers);
	}
	assert_int_equal(r.gaps, 0);
}

/* Many small packets to a buffer, so the queue's depth comes before the pool's end. */
TEST(small_cost_little)
{
	int fd = node_open(O_RDONLY);
	struct mydev_info info = info_of(fd);
	uint64_t depth = 20 * info.pool_buffers, first = next_counter();
	struct mydev_stats s;
	struct verifier v;

	configure(fd, .queue_depth = depth);
	ask(fd);
	feed_forever("100");
	await_ring_stop(fd);
	s = stats_of(fd);
	assert_in_range(s.client_queued_packets, depth, depth + info.transfers);
	/* Each begins at a multiple of 8, and the last buffer is not full. */
	assert_in_range(s.free_buffers,
			info.pool_buffers - s.client_queued_packets * 104 / info.transfer_size - 2,
			info.pool_buffers);
	verify_from(&v, first);
	/* The device goes on: a read may bring some of the next ones as well. */
	assert_null(read_packets(fd, &v, 2 * depth, 0));
	take_rest(fd, &v);
	assert_int_equal(stats_of(fd).client_lost_packets, 0);
}

/* From lossless with the ring stopped to dropping and back, no packet unaccounted. */
TEST(switched_while_stopped)
{
	struct pair p = open_pair(MYDEV_MODE_PACKET, MYDEV_POLICY_LOSSLESS, 1024);
	uint64_t pool = info_of(p.slow).pool_buffers;
	struct mydev_stats s;
	struct verifier v;
	struct records r;

	verify_from(&v, p.counter);
	records_from(&r, p.counter, p.sequence);
	r.one_to_one = true;
	feed_forever("5000");
	take_packets(p.fast, &v, pool, 5000);
	await_ring_stop(p.slow);
	configure(p.slow, .mode = MYDEV_MODE_PACKET, .policy = MYDEV_POLICY_DROP_OLDEST);
	take_packets(p.fast, &v, pool, 5000);
	configure(p.slow, .mode = MYDEV_MODE_PACKET, .policy = MYDEV_POLICY_DROP_NEWEST);
	take_packets(p.fast, &v, pool, 5000);
	configure(p.slow, .mode = MYDEV_MODE_PACKET, .policy = MYDEV_POLICY_LOSSLESS);
	while (stats_of(p.fast).in_flight)
		take_packets(p.fast, &v, 1, 5000);
	s = stats_of(p.slow);
	assert_true(s.client_lost_packets > pool);
	assert_true(identity_holds(&s));
	while (r.packets + r.lost_packets < s.client_packets)
		take_records(p.slow, &r, 1, 5040);
	assert_int_equal(r.lost_packets, s.client_lost_packets);
	assert_int_equal(r.lost_bytes, s.client_lost_bytes);
	assert_int_equal(stats_of(p.fast).client_lost_packets, 0);
}

/* Two lossless ones; the slow one has stopped the ring, the fast one has read all. */
static struct pair stop_ring(struct verifier *v)
{
	struct pair p = open_pair(MYDEV_MODE_PACKET, MYDEV_POLICY_LOSSLESS, 1024);

	verify_from(v, p.counter);
	feed_forever("5000");
	take_packets(p.fast, v, info_of(p.slow).pool_buffers, 5000);
	await_ring_stop(p.slow);
	return p;
}

/* The fast one waits from before the limit is set: nothing is lost meanwhile. */
static bool lapped_in_time(void **state)
{
	double begin, took;
	struct verifier v;
	struct pair p;

	(void)state;
	set_block_timeout_ms(0);
	p = stop_ring(&v);
	begin = now();
	set_block_timeout_ms(400);
	take_packets(p.fast, &v, 1, 5000);
	took = now() - begin;
	set_block_timeout_ms(0);
	printf("# evicted after %.0f ms, promised were 400\n", took * 1000);
	assert_true(took > 0.38);
	assert_int_equal(stats_of(p.fast).client_lost_packets, 0);
	close(p.fast);
	close(p.slow);
	return took < 1.5;
}

TEST(lapped_after_block_timeout_ms)
{
	holds_once(lapped_in_time, fresh_defaults, state);
}

TEST(stuck_is_lapped)
{
	uint64_t queued;
	struct mydev_stats s;
	struct verifier v;
	struct records r;
	struct pair p;

	p = open_pair(MYDEV_MODE_PACKET, MYDEV_POLICY_LOSSLESS, 1024);
	queued = info_of(p.slow).pool_buffers;
	verify_from(&v, p.counter);
	/* The fast one always has read everything when the ring stops. */
	set_block_timeout_ms(100);
	feed_forever("5000");
	take_packets(p.fast, &v, queued + 1, 5000);
	set_block_timeout_ms(0);

	/* It is as one that drops until it reads again. */
	take_packets(p.fast, &v, 1000, 5000);
	s = stats_of(p.slow);
	assert_true(s.client_lost_packets >= queued);
	assert_true(identity_holds(&s));
	records_from(&r, p.counter, p.sequence);
	r.one_to_one = true;
	take_records(p.slow, &r, 1, record_size(sizeof(struct mydev_gap_record)));
	assert_int_equal(r.gaps, 1);
	assert_true(r.lost_packets >= queued);
	assert_int_equal(r.lost_bytes, r.lost_packets * 5000);

	/* And then lossless like before: the ring stops for it. */
	set_nonblock(p.fast, true);
	await((read_packets(p.fast, &v, 1000, 5000), stats_of(p.slow).in_flight == 0));
	s = stats_of(p.slow);
	assert_stays(stats_of(p.slow).client_lost_packets == s.client_lost_packets);
	while (r.packets + r.lost_packets < s.client_packets)
		take_records(p.slow, &r, 1, sizeof(buf));
	assert_int_equal(r.lost_packets, s.client_lost_packets);
	assert_int_equal(stats_of(p.fast).client_lost_packets, 0);
}

TEST(alone_is_never_lapped)
{
	int fd = node_open(O_RDONLY), idle = node_open(O_RDONLY), writer = node_open(O_WRONLY);
	uint64_t first = next_counter(), queued;
	struct verifier v;

	set_block_timeout_ms(200);
	ask(fd);
	feed_forever("5000");
	await_ring_stop(fd);
	queued = stats_of(fd).client_queued_packets;
	/* Who has never asked, or cannot read, waits for nothing. */
	let_pass(3 * 0.2 + 0.1);
	assert_int_equal(stats_of(fd).client_lost_packets, 0);
	assert_int_equal(stats_of(fd).client_queued_packets, queued);
	verify_from(&v, first);
	take_packets(fd, &v, 3 * queued, 5000);
	close(idle);
	close(writer);
}

/* Two have stopped it, and neither waits for data: both have some. */
TEST(nobody_waits)
{
	uint64_t first = next_counter();
	int one = node_open(O_RDONLY), two = node_open(O_RDONLY);
	struct verifier v, w;

	set_block_timeout_ms(200);
	ask(one);
	ask(two);
	feed_forever("5000");
	await_ring_stop(one);
	let_pass(3 * 0.2 + 0.1);
	assert_int_equal(stats_of(one).client_lost_packets, 0);
	assert_int_equal(stats_of(two).client_lost_packets, 0);
	verify_from(&v, first);
	verify_from(&w, first);
	for (int i = 0; i < 300; i++) {
		take_packets(one, &v, 1, 5000);
		take_packets(two, &w, 1, 5000);
	}
}

TEST(zero_is_never)
{
	struct verifier v;
	struct pair p;
	double begin;

	set_block_timeout_ms(0);
	p = stop_ring(&v);
	let_pass(1);
	assert_int_equal(stats_of(p.slow).client_lost_packets, 0);
	assert_int_equal(stats_of(p.fast).in_flight, 0);
	/* A new limit is good for a ring that is stopped already. */
	begin = now();
	set_block_timeout_ms(200);
	take_packets(p.fast, &v, 100, 5000);
	assert_true(now() - begin < 10);
	assert_true(stats_of(p.slow).client_lost_packets > 0);
}

TEST(stall_setting)
{
	int fd = node_open(O_RDONLY);

	assert_int_equal(sysfs_write("block_timeout_ms", "1234"), 0);
	assert_int_equal(sysfs_number("block_timeout_ms"), 1234);
	assert_int_equal(info_of(fd).block_timeout_ms, 1234);
	assert_int_equal(sysfs_write("block_timeout_ms", "-1"), EINVAL);
	assert_int_equal(sysfs_write("block_timeout_ms", "soon"), EINVAL);
	assert_int_equal(sysfs_write("block_timeout_ms", "99999999999"), ERANGE);
	assert_int_equal(sysfs_number("block_timeout_ms"), 1234);
}

/* Members that never read: one never asked, two may drop, by either end. */
TEST(droppers_cost_nothing)
{
	struct pair p = open_pair(MYDEV_MODE_PACKET, MYDEV_POLICY_DROP_OLDEST, 65536);
	int newest = node_open(O_RDONLY), idle = node_open(O_RDONLY);
	uint64_t packets = slow_lane() ? 960 : 2880;
	struct mydev_stats s;
	struct verifier v;

	configure(newest, .policy = MYDEV_POLICY_DROP_NEWEST, .queue_depth = 65536);
	ask(newest);
	s = stats_of(p.fast);
	verify_from(&v, p.counter);
	/* No more at once than the reader may leave: only the others could stop the ring. */
	for (uint64_t i = 0; i < packets; i += 32) {
		feed(32, "20000");
		take_packets(p.fast, &v, 32, sizeof(buf));
	}
	assert_int_equal(stats_of(p.fast).ring_stops, s.ring_stops);
	assert_int_equal(stats_of(p.fast).client_lost_packets, 0);
	for (int i = 0; i < 3; i++) {
		s = stats_of(i == 0 ? p.slow : i == 1 ? newest : idle);
		assert_int_equal(s.client_packets, packets);
		assert_int_equal(s.client_read_packets, 0);
		assert_true(s.client_lost_packets > packets / 2);
		assert_true(identity_holds(&s));
	}
}

/*
 * One holds the first packets and one the last, so that whoever reads all in
 * between frees no buffer by it; what he reads can then be taken from them.
 */
TEST(droppers_at_both_ends)
{
	struct pair p = open_pair(MYDEV_MODE_PACKET, MYDEV_POLICY_DROP_OLDEST, 1024);
	int newest = node_open(O_RDONLY);
	uint64_t pool = info_of(newest).pool_buffers;
	struct verifier v;

	/* Nor may it need anybody to be evicted, or the look for that. */
	set_block_timeout_ms(0);
	configure(newest, .policy = MYDEV_POLICY_DROP_NEWEST);
	ask(newest);
	feed_forever("20000");
	await_ring_stop(p.fast);
	verify_from(&v, p.counter);
	set_nonblock(p.fast, true);
	while (v.packets < 4 * pool)
		await(!read_packets(p.fast, &v, 1, 20000));
	assert_int_equal(stats_of(p.fast).client_lost_packets, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("DROP_OLDEST: one gap record in front, its numbers right", oldest_dropped,
			fresh_defaults),
		PROMISE("DROP_NEWEST: gap records where packets are missing", newest_dropped,
			fresh_defaults),
		PROMISE("DROP_OLDEST: reading and losing in turn, all accounted for",
			oldest_adds_up, fresh_defaults),
		PROMISE("DROP_NEWEST: reading and losing in turn, all accounted for",
			newest_adds_up, fresh_defaults),
		PROMISE("stream mode: ENOBUFS once per gap, in its place", stream_told_once,
			fresh_defaults),
		PROMISE("a packet that was begun and dropped counts as lost, its rest as lost bytes",
			begun_packet_dropped, fresh_defaults),
		PROMISE("LOSSLESS: the device waits at the queue's depth, nothing is lost",
			depth_is_enforced, fresh_defaults),
		PROMISE("small packets that wait cost the pool their bytes, not a buffer each",
			small_cost_little, fresh_defaults),
		PROMISE("switching policy on a stopped ring sets it going, all accounted for",
			switched_while_stopped, fresh_defaults),
		PROMISE("a stuck lossless client is evicted after block_timeout_ms",
			lapped_after_block_timeout_ms, fresh_defaults),
		PROMISE("one that was evicted has one gap, and is lossless again", stuck_is_lapped,
			fresh_defaults),
		PROMISE("alone, a client may stop the device for as long as it likes",
			alone_is_never_lapped, fresh_defaults),
		PROMISE("nobody is evicted while all have data to read", nobody_waits,
			fresh_defaults),
		PROMISE("block_timeout_ms of 0 is never, and a new value counts at once",
			zero_is_never, fresh_defaults),
		PROMISE("block_timeout_ms: what is written is in force, nonsense is refused",
			stall_setting, fresh_defaults),
		PROMISE("three who may drop and never read cost the fourth nothing",
			droppers_cost_nothing, fresh_defaults),
		PROMISE("two who may drop hold all that a third has read: it goes on",
			droppers_at_both_ends, fresh_defaults),
	};

	return run_promises(tests);
}
