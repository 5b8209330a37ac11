// SPDX-License-Identifier: GPL-2.0-only
/*
 * Going back to what the driver still has: MYDEV_IOC_REWIND. tests/suites starts the
 * simulated device with --zlp-terminate.
 */
#include <sys/ioctl.h>
#include <time.h>

#include "records.h"
#include "rings.h"
#include "settings.h"

static _Alignas(8) char buf[1 << 18];

/* A reader that has read all that came, and where that began. */
struct past {
	int fd;
	uint64_t counter;
	uint64_t sequence;
};

/* 0 or an errno */
static int try_rewind(int fd, uint32_t to, uint64_t value, uint64_t *sequence)
{
	struct mydev_rewind arg = { .size = sizeof(arg), .to = to, .value = value };

	if (ioctl(fd, MYDEV_IOC_REWIND, &arg))
		return errno;
	assert_int_equal(arg.size, sizeof(arg));
	*sequence = arg.value;
	return 0;
}

/* Before and after, what was offered is what was read, lost and is queued. */
static uint64_t go_to(int fd, uint32_t to, uint64_t value)
{
	struct mydev_stats before = stats_of(fd), after;
	uint64_t sequence = 0;
	int error;

	assert_true(identity_holds(&before));
	error = try_rewind(fd, to, value, &sequence);
	if (error)
		fail_msg("REWIND: %s", strerror(error));
	after = stats_of(fd);
	assert_true(identity_holds(&after));
	assert_int_equal(after.client_read_packets, before.client_read_packets);
	assert_int_equal(after.client_read_bytes, before.client_read_bytes);
	return sequence;
}

static uint64_t go_to_oldest(int fd)
{
	return go_to(fd, MYDEV_REWIND_OLDEST, 0);
}

static struct past past_of(uint64_t packets, const char *size)
{
	struct past p = { .fd = node_open(O_RDWR), .counter = next_counter() };
	struct verifier v;

	p.sequence = stats_of(p.fd).packets;
	verify_from(&v, p.counter);
	feed(packets, size);
	take_packets(p.fd, &v, packets, sizeof(buf));
	return p;
}

/* From the packet that is @from behind the first, so many, and then no more. */
static void take_from(const struct past *p, int fd, uint64_t from, uint64_t packets)
{
	struct verifier v;

	verify_from(&v, p->counter + from);
	if (packets)
		take_packets(fd, &v, packets, 0);
	set_nonblock(fd, true);
	assert_errno(read(fd, buf, sizeof(buf)), EAGAIN);
	set_nonblock(fd, false);
}

static uint64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec;
}

static void set_log_entries(uint32_t entries)
{
	int fd = node_open(O_WRONLY);
	struct mydev_geometry g = geometry_of(fd);

	g.log_entries = entries;
	assert_int_equal(try_geometry(fd, &g), 0);
	close(fd);
}

/* --- where to --------------------------------------------------------------------- */

TEST(late_joiner)
{
	struct past p = past_of(100, "100-3000");
	int late = node_open(O_RDONLY);
	struct mydev_stats s = stats_of(late);

	assert_true(info_of(late).features & MYDEV_FEATURE_REWIND);
	assert_int_equal(s.client_packets, 0);
	/* Without anybody who reads, too, and before this one asks for data. */
	close(p.fd);
	assert_int_equal(go_to_oldest(late), p.sequence);
	s = stats_of(late);
	assert_int_equal(s.client_packets, 100);
	assert_int_equal(s.client_queued_packets, 100);
	assert_int_equal(s.in_flight, 0);
	take_from(&p, late, 0, 100);
	s = stats_of(late);
	assert_int_equal(s.client_read_packets, 100);
	assert_int_equal(s.client_lost_packets, 0);
	assert_int_equal(s.client_queued_bytes, 0);
	assert_true(identity_holds(&s));
}

TEST(by_sequence)
{
	static const uint64_t places[] = { 0, 59, 17, 1, 58, 60 };
	struct past p = past_of(60, "100-3000");

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		uint64_t place = places[i];

		assert_int_equal(go_to(p.fd, MYDEV_REWIND_SEQUENCE, p.sequence + place),
				 p.sequence + place);
		take_from(&p, p.fd, place, 60 - place);
	}
	/* What is not there: the nearest. */
	assert_int_equal(go_to(p.fd, MYDEV_REWIND_SEQUENCE, 0), p.sequence);
	take_from(&p, p.fd, 0, 60);
	assert_int_equal(go_to(p.fd, MYDEV_REWIND_SEQUENCE, UINT64_MAX), p.sequence + 60);
	take_from(&p, p.fd, 60, 0);
}

static void note_time(const struct mydev_packet_header *header, void *arg)
{
	uint64_t **next = arg;

	if (header->type == MYDEV_RECORD_PACKET)
		*(*next)++ = header->timestamp_ns;
}

TEST(by_time)
{
	struct past p = past_of(5, "1000");
	uint64_t times[10] = { 0 }, *next = times, mark;
	struct records r;
	int i;

	let_pass(0.01);
	mark = monotonic_ns();
	feed(5, "1000");
	/* Whatever clock this one reads by. */
	await_queued(p.fd, 5);
	assert_int_equal(go_to(p.fd, MYDEV_REWIND_TIME, 0), p.sequence);
	configure(p.fd, .mode = MYDEV_MODE_PACKET, .clock = MYDEV_CLOCK_REALTIME);
	assert_int_equal(go_to(p.fd, MYDEV_REWIND_TIME, mark), p.sequence + 5);
	configure(p.fd, .mode = MYDEV_MODE_PACKET);
	assert_int_equal(go_to(p.fd, MYDEV_REWIND_TIME, 0), p.sequence);
	records_from(&r, p.counter, p.sequence);
	r.each = note_time;
	r.arg = &next;
	take_records(p.fd, &r, 10, sizeof(buf));
	assert_true(times[4] < mark && times[5] >= mark);
	for (i = 0; i < 10; i++) {
		uint64_t first = 0;

		/* Several can have come at the same time. */
		while (times[first] < times[i])
			first++;
		assert_int_equal(go_to(p.fd, MYDEV_REWIND_TIME, times[i]), p.sequence + first);
		assert_int_equal(go_to(p.fd, MYDEV_REWIND_TIME, times[i] - 1) <= p.sequence + first,
				 true);
	}
	assert_int_equal(go_to(p.fd, MYDEV_REWIND_TIME, times[9] + 1), p.sequence + 10);
	assert_int_equal(go_to(p.fd, MYDEV_REWIND_TIME, UINT64_MAX), p.sequence + 10);
	assert_int_equal(stats_of(p.fd).client_queued_packets, 0);
}

TEST(forward)
{
	struct past p = past_of(0, "1000");
	struct mydev_stats s;
	struct verifier v;

	ask(p.fd);
	feed(50, "1000");
	verify_from(&v, p.counter);
	take_packets(p.fd, &v, 10, 1000);
	await_queued(p.fd, 40);
	assert_int_equal(go_to(p.fd, MYDEV_REWIND_SEQUENCE, p.sequence + 40), p.sequence + 40);
	s = stats_of(p.fd);
	assert_int_equal(s.client_packets, 20);
	assert_int_equal(s.client_queued_packets, 10);
	assert_int_equal(s.client_lost_packets, 0);
	take_from(&p, p.fd, 40, 10);
}

TEST(partly_read)
{
	struct past p = past_of(10, "1000");
	struct mydev_stats s;

	go_to_oldest(p.fd);
	assert_int_equal(read(p.fd, buf, 500), 500);
	assert_int_equal(go_to(p.fd, MYDEV_REWIND_SEQUENCE, p.sequence), p.sequence);
	s = stats_of(p.fd);
	assert_int_equal(s.client_queued_bytes, 10000);
	assert_int_equal(s.client_read_bytes, 10500);
	take_from(&p, p.fd, 0, 10);

	/* And on from the middle of one, whose rest is not lost. */
	go_to_oldest(p.fd);
	assert_int_equal(read(p.fd, buf, 1001), 1001);
	assert_int_equal(go_to(p.fd, MYDEV_REWIND_SEQUENCE, p.sequence + 2), p.sequence + 2);
	take_from(&p, p.fd, 2, 8);
	s = stats_of(p.fd);
	assert_int_equal(s.client_lost_bytes, 0);
	assert_int_equal(s.client_read_bytes, 10500 + 10000 + 1001 + 8000);
	assert_int_equal(s.client_read_packets, 10 + 10 + 1 + 8);

	/* In packet mode the whole of it is there again. */
	go_to_oldest(p.fd);
	assert_int_equal(read(p.fd, buf, 1), 1);
	configure(p.fd, .mode = MYDEV_MODE_PACKET);
	go_to_oldest(p.fd);
	assert_int_equal(read(p.fd, buf, record_size(1000)), record_size(1000));
	assert_int_equal(((struct mydev_packet_header *)buf)->flags, 0);
	assert_int_equal(((struct mydev_packet_header *)buf)->length, 1000);
}

/* In the log of 512 there are the last 512; what is gone is left out. */
TEST(as_far_as_it_is_there)
{
	struct mydev_stats s;
	struct past p;
	uint64_t first;

	set_log_entries(512);
	p = past_of(3000, "100-1000");
	first = go_to_oldest(p.fd) - p.sequence;
	assert_in_range(first, 3000 - 512, 3000 - 400);
	take_from(&p, p.fd, first, 3000 - first);
	assert_int_equal(go_to(p.fd, MYDEV_REWIND_SEQUENCE, p.sequence), p.sequence + first);
	s = stats_of(p.fd);
	assert_int_equal(s.client_lost_packets, 0);
	assert_int_equal(s.client_queued_packets, 3000 - first);
}

TEST(gone_with_the_last)
{
	struct past p = past_of(20, "1000");
	int fd;

	close(p.fd);
	fd = node_open(O_RDONLY);
	assert_int_equal(go_to_oldest(fd), p.sequence + 20);
	take_from(&p, fd, 20, 0);
}

TEST(events_again)
{
	struct past p = past_of(3, "1000");
	struct records r;
	int late;

	configure(p.fd, .mode = MYDEV_MODE_PACKET);
	sim_do("stall");
	feed(3, "1000");
	await_queued(p.fd, 3);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(go_to_oldest(p.fd), p.sequence);
		records_from(&r, p.counter, p.sequence);
		assert_null(drain_records(p.fd, &r));
		assert_int_equal(r.packets, 6);
		assert_int_equal(r.events, 1);
		assert_int_equal(r.gaps, 0);
	}
	/* What happened before this one was there it is not told. */
	late = node_open(O_RDONLY);
	configure(late, .mode = MYDEV_MODE_PACKET);
	go_to_oldest(late);
	records_from(&r, p.counter, p.sequence);
	assert_null(drain_records(late, &r));
	assert_int_equal(r.packets, 6);
	assert_int_equal(r.events, 0);
}

/* --- policies --------------------------------------------------------------------- */

#define DEPTH 8

/* What it goes back to is more than its depth, and does not hold anybody up. */
TEST(lossless_goes_back)
{
	struct past p = past_of(0, "1000");
	struct mydev_stats s;
	struct verifier v;
	int fast = node_open(O_RDONLY);

	configure(p.fd, .queue_depth = DEPTH);
	ask(p.fd);
	verify_from(&v, p.counter);
	feed(100, "1000");
	take_packets(p.fd, &v, 100, 1000);
	verify_from(&v, p.counter);
	take_packets(fast, &v, 100, sizeof(buf));
	assert_int_equal(go_to_oldest(p.fd), p.sequence);
	feed(DEPTH, "1000");
	take_packets(fast, &v, DEPTH, sizeof(buf));
	assert_int_equal(stats_of(p.fd).client_queued_packets, 100 + DEPTH);
	/* What comes now fills its queue, and then the device waits. */
	feed(1000, "1000");
	await_ring_stop(p.fd);
	s = stats_of(p.fd);
	assert_in_range(s.client_queued_packets, 100 + DEPTH, 100 + DEPTH + s.clients + 1000 - 1);
	assert_int_equal(s.client_lost_packets, 0);
	close(fast);
	verify_from(&v, p.counter);
	take_packets(p.fd, &v, 100 + DEPTH + 1000, 0);
	s = stats_of(p.fd);
	assert_int_equal(s.client_lost_packets, 0);
	assert_true(identity_holds(&s));
}

/* Also what is on its way then has its room, and takes none from it. */
TEST(lossless_in_a_full_log)
{
	struct mydev_stats s;
	struct verifier v;
	struct past p;
	uint64_t first;

	set_log_entries(512);
	p = past_of(2000, "1000");
	feed_forever("1000");
	for (int i = 0; i < (slow_lane() ? 10 : 100); i++) {
		first = go_to_oldest(p.fd) - p.sequence;
		verify_from(&v, p.counter + first);
		take_packets(p.fd, &v, 1000, 1000);
		s = stats_of(p.fd);
		assert_int_equal(s.client_lost_packets, 0);
		assert_true(identity_holds(&s));
	}
}

/* A ring that waits for a client which then goes on goes on as well. */
TEST(stopped_ring_goes_on)
{
	struct past p = past_of(0, "1000");
	struct verifier v;
	uint64_t next;

	configure(p.fd, .queue_depth = DEPTH);
	ask(p.fd);
	feed(1000, "1000");
	await_ring_stop(p.fd);
	next = go_to(p.fd, MYDEV_REWIND_SEQUENCE, UINT64_MAX);
	verify_from(&v, p.counter + next - p.sequence);
	take_packets(p.fd, &v, 1000 - (next - p.sequence), sizeof(buf));
	assert_int_equal(stats_of(p.fd).client_lost_packets, 0);
}

TEST(drop_oldest_after)
{
	struct past p = past_of(50, "1000");
	int fast = node_open(O_RDONLY);
	struct mydev_stats s;
	struct verifier v;
	struct records r;

	configure(p.fd, .mode = MYDEV_MODE_PACKET, .policy = MYDEV_POLICY_DROP_OLDEST,
		  .queue_depth = DEPTH);
	assert_int_equal(go_to_oldest(p.fd), p.sequence);
	verify_from(&v, p.counter + 50);
	feed(DEPTH, "1000");
	take_packets(fast, &v, DEPTH, sizeof(buf));
	s = stats_of(p.fd);
	assert_int_equal(s.client_queued_packets, 50 + DEPTH);
	assert_int_equal(s.client_lost_packets, 0);
	/* One more than its depth is behind what it went back to. */
	feed(1, "1000");
	take_packets(fast, &v, 1, sizeof(buf));
	s = stats_of(p.fd);
	assert_true(identity_holds(&s));
	assert_int_equal(s.client_queued_packets, DEPTH);
	assert_int_equal(s.client_lost_packets, 51);
	records_from(&r, p.counter, p.sequence);
	r.one_to_one = true;
	assert_null(drain_records(p.fd, &r));
	assert_int_equal(r.gaps, 1);
	assert_int_equal(r.lost_packets, 51);
	assert_int_equal(r.packets, DEPTH);
}

TEST(drop_newest_after)
{
	struct past p = past_of(50, "1000");
	int fast = node_open(O_RDONLY);
	struct mydev_stats s;
	struct verifier v;
	struct records r;

	configure(p.fd, .mode = MYDEV_MODE_PACKET, .policy = MYDEV_POLICY_DROP_NEWEST,
		  .queue_depth = DEPTH);
	assert_int_equal(go_to_oldest(p.fd), p.sequence);
	verify_from(&v, p.counter + 50);
	for (int i = 0; i < DEPTH + 5; i++) {
		feed(1, "1000");
		take_packets(fast, &v, 1, sizeof(buf));
		s = stats_of(p.fd);
		assert_true(identity_holds(&s));
	}
	assert_int_equal(s.client_queued_packets, 50 + DEPTH);
	assert_int_equal(s.client_lost_packets, 5);
	/* Also what it keeps can be left, and what it has lost be got. */
	assert_int_equal(go_to(p.fd, MYDEV_REWIND_SEQUENCE, p.sequence + 50), p.sequence + 50);
	records_from(&r, p.counter + 50, p.sequence + 50);
	r.one_to_one = true;
	assert_null(drain_records(p.fd, &r));
	assert_int_equal(r.packets, DEPTH + 5);
	assert_int_equal(stats_of(p.fd).client_lost_packets, 0);
}

/* What was lost and not told is not lost; what was told stays so. */
TEST(back_before_a_gap)
{
	struct past p = past_of(0, "1000");
	int fast = node_open(O_RDONLY);
	struct mydev_stats s;
	struct verifier v;
	struct records r;

	configure(p.fd, .mode = MYDEV_MODE_PACKET, .policy = MYDEV_POLICY_DROP_OLDEST,
		  .queue_depth = DEPTH);
	ask(p.fd);
	verify_from(&v, p.counter);
	feed(30, "1000");
	take_packets(fast, &v, 30, sizeof(buf));
	assert_int_equal(stats_of(p.fd).client_lost_packets, 30 - DEPTH);
	assert_int_equal(go_to_oldest(p.fd), p.sequence);
	assert_int_equal(stats_of(p.fd).client_lost_packets, 0);
	assert_int_equal(stats_of(p.fd).client_packets, 30);

	feed(DEPTH + 1, "1000");
	take_packets(fast, &v, DEPTH + 1, sizeof(buf));
	records_from(&r, p.counter, p.sequence);
	r.one_to_one = true;
	assert_null(drain_records(p.fd, &r));
	assert_int_equal(r.lost_packets, 31);
	assert_int_equal(go_to_oldest(p.fd), p.sequence);
	s = stats_of(p.fd);
	assert_int_equal(s.client_lost_packets, 31);
	assert_int_equal(s.client_queued_packets, 30 + DEPTH + 1);
	records_from(&r, p.counter, p.sequence);
	r.one_to_one = true;
	assert_null(drain_records(p.fd, &r));
	assert_int_equal(r.packets, 30 + DEPTH + 1);
	assert_int_equal(r.gaps, 0);
}

TEST(any_order)
{
	static const uint32_t policies[] = { MYDEV_POLICY_LOSSLESS, MYDEV_POLICY_DROP_OLDEST,
					     MYDEV_POLICY_DROP_NEWEST };
	struct past p = past_of(100, "100-3000");
	int fast = node_open(O_RDONLY | O_NONBLOCK);
	uint64_t x = test_seed(), sent;

	for (int i = 0; i < 600; i++) {
		uint64_t chance = random_next(&x), to;
		struct mydev_stats s;

		switch (chance % 6) {
		case 0:
			configure(p.fd, .mode = chance / 8 % 2, .policy = policies[chance / 16 % 3],
				  .queue_depth = 1 + chance / 64 % 200);
			break;
		case 1:
			/* All of it together is less than the pool has room for. */
			feed(chance / 8 % 30, "100-800");
			break;
		case 2:
			to = p.sequence + chance / 8 % (stats_of(fast).client_packets + 110);
			go_to(p.fd, MYDEV_REWIND_SEQUENCE, to);
			break;
		case 3:
			assert_int_equal(go_to_oldest(p.fd), p.sequence);
			break;
		default:
			set_nonblock(p.fd, true);
			if (read(p.fd, buf, 1 + chance / 8 % 5000) < 0)
				assert_true(errno == EAGAIN || errno == ENOBUFS ||
					    errno == EMSGSIZE);
			while (read(fast, buf, sizeof(buf)) > 0)
				;
		}
		s = stats_of(p.fd);
		assert_true(identity_holds(&s));
	}
	/* And then all of it once more. */
	close(fast);
	configure(p.fd, .queue_depth = info_of(p.fd).max_queue_depth);
	set_nonblock(p.fd, false);
	/* It may be sending yet. */
	await(sim_is("quiet"));
	sent = next_counter() - p.counter;
	await(stats_of(p.fd).packets == p.sequence + sent);
	assert_int_equal(go_to_oldest(p.fd), p.sequence);
	take_from(&p, p.fd, 0, sent);
}

/* --- ring mode -------------------------------------------------------------------- */

TEST(ring_finds_its_place)
{
	struct past p = past_of(60, "100-3000");
	struct mydev_stats s;
	struct records records;
	struct rings r;
	int late = node_open(O_RDWR);

	ring_open(&r, late);
	assert_true(ring_is_empty(&r));
	assert_int_equal(go_to_oldest(late), p.sequence);
	assert_int_equal(r.ring->sequence, p.sequence);
	assert_int_equal(r.entries[ring_cursor(&r) % r.map.entries].sequence, p.sequence);
	records_from(&records, p.counter, p.sequence);
	take_ring(&r, &records, 60);
	assert_true(ring_is_empty(&r));

	for (uint64_t place = 0; place <= 60; place += 15) {
		assert_int_equal(go_to(late, MYDEV_REWIND_SEQUENCE, p.sequence + place),
				 p.sequence + place);
		assert_int_equal(r.ring->sequence, p.sequence + place);
		s = stats_of(late);
		assert_int_equal(s.client_queued_packets, 60 - place);
		records_from(&records, p.counter + place, p.sequence + place);
		take_ring(&r, &records, 60 - place);
		assert_true(ring_is_empty(&r));
		s = stats_of(late);
		assert_int_equal(s.client_lost_packets, 0);
		assert_int_equal(s.client_queued_packets, 0);
		assert_true(identity_holds(&s));
	}
	assert_int_equal(s.client_read_packets, 60 + 60 + 45 + 30 + 15);
	ring_close(&r);
}

TEST(ring_by_time)
{
	struct past p = past_of(5, "1000");
	struct records records;
	struct ring_next next;
	uint64_t mark;
	struct rings r;

	ring_open(&r, p.fd);
	let_pass(0.01);
	mark = monotonic_ns();
	feed(5, "1000");
	await_queued(p.fd, 5);
	/* Back, with some of them taken, and on. */
	records_from(&records, p.counter + 5, p.sequence + 5);
	take_ring(&r, &records, 2);
	go_to_oldest(p.fd);
	assert_int_equal(go_to(p.fd, MYDEV_REWIND_TIME, mark), p.sequence + 5);
	assert_true(ring_peek(&r, &next));
	assert_int_equal(next.entry.sequence, p.sequence + 5);
	assert_true(next.entry.monotonic_ns >= mark);
	records_from(&records, p.counter + 5, p.sequence + 5);
	take_ring(&r, &records, 5);
	ring_close(&r);
}

/* The kernel does not take its own place for a cursor that went back. */
TEST(ring_goes_on)
{
	struct past p = past_of(0, "1000");
	struct records records;
	struct mydev_stats s;
	struct rings r;

	configure(p.fd, .queue_depth = 64);
	ring_open(&r, p.fd);
	ask(p.fd);
	records_from(&records, p.counter, p.sequence);
	feed(100, "1000");
	take_ring(&r, &records, 100);
	for (uint64_t sent = 100; sent < 1000; sent += 50) {
		assert_int_equal(go_to(p.fd, MYDEV_REWIND_SEQUENCE, p.sequence + sent / 2),
				 p.sequence + sent / 2);
		feed(50, "1000");
		records_from(&records, p.counter + sent / 2, p.sequence + sent / 2);
		take_ring(&r, &records, sent - sent / 2 + 50);
		assert_int_equal(try_sync(p.fd), 0);
	}
	s = stats_of(p.fd);
	assert_int_equal(s.client_lost_packets, 0);
	assert_true(identity_holds(&s));

	/* And by read() from where the program was. */
	go_to(p.fd, MYDEV_REWIND_SEQUENCE, p.sequence + 500);
	records_from(&records, p.counter + 500, p.sequence + 500);
	take_ring(&r, &records, 100);
	ring_close(&r);
	configure(p.fd, .mode = MYDEV_MODE_STREAM);
	take_from(&p, p.fd, 600, 400);
}

/* A program that has put nonsense into its ring begins anew in another mode only. */
TEST(ring_is_broken)
{
	struct past p = past_of(20, "1000");
	uint64_t sequence = 7;
	struct rings r;

	ring_open(&r, p.fd);
	r.ring->cursor += 1000;
	assert_int_equal(try_sync(p.fd), EPROTO);
	assert_int_equal(try_rewind(p.fd, MYDEV_REWIND_OLDEST, 0, &sequence), EPROTO);
	assert_int_equal(sequence, 7);
	ring_close(&r);
	configure(p.fd, .mode = MYDEV_MODE_STREAM);
	assert_int_equal(go_to_oldest(p.fd), p.sequence);
	take_from(&p, p.fd, 0, 20);
}

/* --- refusals --------------------------------------------------------------------- */

TEST(bad_arguments)
{
	struct past p = past_of(3, "1000");
	struct {
		struct mydev_rewind rewind;
		uint64_t tail;
	} more = { .rewind = { .size = sizeof(more) }, .tail = 1 };
	uint64_t sequence = 7;
	int writer = node_open(O_WRONLY);

	assert_int_equal(try_rewind(p.fd, MYDEV_REWIND_OLDEST, 1, &sequence), EINVAL);
	assert_int_equal(try_rewind(p.fd, 3, 0, &sequence), EOPNOTSUPP);
	assert_int_equal(try_rewind(p.fd, UINT32_MAX, 1, &sequence), EOPNOTSUPP);
	assert_int_equal(try_rewind(writer, MYDEV_REWIND_OLDEST, 0, &sequence), EBADF);
	assert_errno(ioctl(p.fd, MYDEV_IOC_REWIND, NULL), EFAULT);
	assert_errno(ioctl(p.fd, MYDEV_IOC_REWIND, &more), E2BIG);
	more.rewind.size = sizeof(more.rewind) - 1;
	assert_errno(ioctl(p.fd, MYDEV_IOC_REWIND, &more), EINVAL);
	/* None of it has moved anything. */
	assert_int_equal(sequence, 7);
	take_from(&p, p.fd, 3, 0);
}

TEST(revoked)
{
	struct past p = past_of(3, "1000");
	struct mydev_select select = { .size = sizeof(select) };
	uint64_t sequence;

	assert_return_code(ioctl(p.fd, MYDEV_IOC_REVOKE, &select), errno);
	assert_int_equal(try_rewind(p.fd, MYDEV_REWIND_OLDEST, 0, &sequence), ESTALE);
	set_nonblock(p.fd, true);
	assert_errno(read(p.fd, buf, sizeof(buf)), ESTALE);
}

static int reads_some(void *arg)
{
	return read(*(int *)arg, buf, 1000) == 1000 ? 0 : 1;
}

TEST(being_read)
{
	struct past p = past_of(3, "1000");
	uint64_t sequence;
	pid_t reader = spawn(reads_some, &p.fd);

	await_sleeping(reader);
	assert_int_equal(try_rewind(p.fd, MYDEV_REWIND_OLDEST, 0, &sequence), EBUSY);
	/* It reads what comes next, and nothing else. */
	feed(1, "1000");
	assert_int_equal(reap(reader, PROMPT), 0);
	assert_int_equal(stats_of(p.fd).client_read_packets, 4);
	assert_int_equal(go_to_oldest(p.fd), p.sequence);
	take_from(&p, p.fd, 0, 4);
}

/* What is there after an unplug can be read again. */
TEST(unplugged)
{
	struct past p = past_of(20, "1000");
	struct verifier v;

	unplug();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(go_to(p.fd, MYDEV_REWIND_SEQUENCE, p.sequence + 5),
				 p.sequence + 5);
		verify_from(&v, p.counter + 5);
		assert_int_equal(read_to_end(p.fd, &v), ENODEV);
		assert_int_equal(v.packets, 15);
		assert_null(v.error_text[0] ? v.error_text : NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("oldest: who comes late gets the past, every byte", late_joiner,
			fresh_defaults),
		PROMISE("by number: from that packet on, or the nearest", by_sequence,
			fresh_defaults),
		PROMISE("by time: from the first that came since", by_time, fresh_defaults),
		PROMISE("forward: what is left out is not lost", forward, fresh_defaults),
		PROMISE("a packet that was read in part is read anew", partly_read, fresh_defaults),
		PROMISE("what is not there any more is left out", as_far_as_it_is_there,
			fresh_defaults),
		PROMISE("the past is gone with the last close", gone_with_the_last, fresh_defaults),
		PROMISE("events come again, but not to who was not there", events_again,
			fresh_defaults),
		PROMISE("lossless: goes back further than its depth, and loses nothing",
			lossless_goes_back, fresh_defaults),
		PROMISE("lossless: goes back in a full log, and loses nothing",
			lossless_in_a_full_log, fresh_defaults),
		PROMISE("a stopped ring goes on with a client that goes on", stopped_ring_goes_on,
			fresh_defaults),
		PROMISE("drop-oldest: its depth counts from where it went back", drop_oldest_after,
			fresh_defaults),
		PROMISE("drop-newest: the same", drop_newest_after, fresh_defaults),
		PROMISE("back before a gap: one that was not told is none", back_before_a_gap,
			fresh_defaults),
		PROMISE("any order: packets are read, lost or queued, at any time", any_order,
			fresh_defaults),
		PROMISE("ring mode: the program finds its place, and the past",
			ring_finds_its_place, fresh_rings),
		PROMISE("ring mode: by time", ring_by_time, fresh_rings),
		PROMISE("ring mode: back again and again, and on", ring_goes_on, fresh_rings),
		PROMISE("ring mode: one that is broken stays where it is, EPROTO", ring_is_broken,
			fresh_rings),
		PROMISE("bad arguments: each its errno, and nothing moves", bad_arguments,
			fresh_defaults),
		PROMISE("revoked: ESTALE", revoked, fresh_defaults),
		PROMISE("EBUSY while a read() is under way", being_read, fresh_defaults),
		PROMISE("after an unplug: what came is read again", unplugged, fresh_defaults),
	};

	return run_promises(tests);
}
