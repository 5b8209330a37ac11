// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device stalls: once and the stream goes on, for good and it ends. And a
 * transfer that cannot be submitted, which is an error without the device.
 */
#include <inttypes.h>
#include <poll.h>

#include "inject.h"
#include "records.h"
#include "settings.h"

static _Alignas(8) char buf[1 << 16];

static int open_asking(void)
{
	int fd = node_open(O_RDONLY | O_NONBLOCK);

	assert_errno(read(fd, buf, 1), EAGAIN);
	return fd;
}

/* One that is not read would stop the device for the other. */
static void read_both(int one, struct verifier *v, int two, struct verifier *w)
{
	take_packets(one, v, 1, 5000);
	take_packets(two, w, 1, 5000);
}

TEST(stall_in_stream)
{
	int fd = open_asking(), other = open_asking();
	uint64_t halts = sim_number("halts"), first = next_counter();
	struct mydev_stats before = stats_of(fd), after;
	struct verifier v, w;

	assert_return_code(fcntl(fd, F_SETFL, 0), errno);
	assert_return_code(fcntl(other, F_SETFL, 0), errno);
	verify_from(&v, first);
	verify_from(&w, first);
	feed_forever("5000");
	for (unsigned int i = 1; i <= 5; i++) {
		sim_do("stall");
		while (stats_of(fd).stalls < before.stalls + i)
			read_both(fd, &v, other, &w);
		for (int n = 0; n < 100; n++)
			read_both(fd, &v, other, &w);
	}
	sim_do("count 0");
	while (v.packets < next_counter() - first)
		read_both(fd, &v, other, &w);
	after = stats_of(fd);
	assert_int_equal(sim_number("halts"), halts + 5);
	assert_int_equal(after.stalls, before.stalls + 5);
	assert_true(after.errors >= before.errors + 5);
	assert_int_equal(after.state, MYDEV_STATE_RUNNING);
	assert_int_equal(after.client_lost_packets, 0);
	assert_true(identity_holds(&after));
}

TEST(stall_while_quiet)
{
	int fd = open_asking();
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct mydev_stats before = stats_of(fd);
	struct verifier v;

	verify_from(&v, next_counter());
	sim_do("stall");
	await(stats_of(fd).stalls == before.stalls + 1);
	await(stats_of(fd).in_flight == info_of(fd).transfers);
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_errno(read(fd, buf, 1), EAGAIN);
	feed(10, "1000");
	await(stats_of(fd).client_queued_packets == 10);
	take_packets(fd, &v, 10, 0);
}

/* Of a kind, ten in five seconds, and one that says how many were left out. */
static int lines_allowed(double seconds)
{
	return 11 * ((int)(seconds / 5) + 2);
}

/* Many, one after the other: each is an incident of its own, none adds up. */
TEST(many_stalls)
{
	int fd = node_open(O_RDONLY), log = log_open();
	uint64_t stalls = stats_of(fd).stalls;
	double begin = now();
	struct verifier v;

	verify_from(&v, next_counter());
	/* More than the log may have lines, unless the machine is too slow for that. */
	for (int i = 1; i <= 30 || (i <= 80 && i <= lines_allowed(now() - begin)); i++) {
		feed(3, "1000");
		take_packets(fd, &v, 3, 1000);
		sim_do("stall");
		await(stats_of(fd).stalls == stalls + i);
	}
	feed(3, "1000");
	take_packets(fd, &v, 3, 1000);
	assert_in_range(log_lines(log, ""), 1, lines_allowed(now() - begin));
}

static int read_until_error(void *arg)
{
	while (read(*(int *)arg, buf, sizeof(buf)) >= 0)
		;
	return errno;
}

TEST(stall_for_good)
{
	int one = open_asking(), two = open_asking(), three = node_open(O_RDONLY), late;
	int log = log_open();
	struct pollfd p = { .fd = two, .events = POLLIN };
	uint64_t first = next_counter(), errors = stats_of(one).errors;
	struct mydev_stats s, again;
	struct verifier v;
	pid_t blocked;

	feed(20, "1000");
	await(stats_of(one).client_queued_packets == 20);
	assert_int_equal(read(two, buf, sizeof(buf)), 20000);
	assert_int_equal(read(three, buf, sizeof(buf)), 20000);
	blocked = spawn(read_until_error, &three);
	await_sleeping(blocked);

	sim_do("stall-always on");
	await(stats_of(one).state == MYDEV_STATE_FAILED);
	assert_int_equal(reap(blocked, PROMPT), EIO);
	assert_true(state_is("failed"));
	assert_int_equal(stats_of(one).in_flight, 0);

	/* Those who have data read it first. */
	assert_int_equal(poll(&p, 1, 0), 1);
	assert_int_equal(p.revents, POLLIN | POLLERR);
	p.fd = one;
	assert_int_equal(poll(&p, 1, 0), 1);
	assert_int_equal(p.revents, POLLIN | POLLERR);
	verify_from(&v, first);
	take_packets(one, &v, 20, 0);
	for (int i = 0; i < 3; i++) {
		assert_errno(read(one, buf, 1), EIO);
		assert_errno(read(two, buf, 1), EIO);
	}
	/* Who comes now finds it so; no new start while others are there. */
	late = node_open(O_RDONLY);
	assert_errno(read(late, buf, 1), EIO);
	close(late);
	s = stats_of(one);
	assert_int_equal(s.client_lost_packets, 0);

	/* Nothing goes on in the background, and the log is short. */
	nap();
	assert_stays(!memcmp((again = stats_of(one), &again), &s, sizeof(s)));
	assert_true(s.errors - errors < 20 * info_of(one).transfers);
	assert_in_range(log_lines(log, ""), 1, 19);

	/* A new start, when the device is good again. */
	sim_do("stall-always off");
	sim_do("count 0");
	await(!sim_is("stalling"));
	close(one);
	close(two);
	close(three);
	verify_from(&v, next_counter());
	late = node_open(O_RDONLY);
	assert_int_equal(stats_of(late).state, MYDEV_STATE_IDLE);
	feed(50, "1000");
	take_packets(late, &v, 50, 0);
}

/* Nobody waits for the end of the tries: close() ends them. */
TEST(closed_while_recovering)
{
	struct verifier v;

	for (int i = 0; i < 10; i++) {
		int fd = open_asking();
		uint64_t errors = stats_of(fd).errors;

		sim_do("stall-always on");
		await(stats_of(fd).errors > errors);
		close(fd);
		assert_true(state_is("idle"));
		assert_int_equal(sysfs_number("in_flight"), 0);
		sim_do("stall-always off");
		fd = node_open(O_RDONLY);
		verify_from(&v, next_counter());
		feed(5, "1000");
		take_packets(fd, &v, 5, 0);
		close(fd);
	}
}

TEST(unplugged_while_failing)
{
	int fd;

	for (int i = 0; i < 4; i++) {
		fd = open_asking();
		sim_do("stall-always on");
		await(stats_of(fd).errors > 0);
		if (i == 3)
			await(stats_of(fd).state == MYDEV_STATE_FAILED);
		unplug();
		assert_errno(read(fd, buf, 1), ENODEV);
		assert_int_equal(stats_of(fd).state, MYDEV_STATE_GONE);
		close(fd);
		fresh(NULL);
	}
}

/* What a record is, where it stands, and how many packets it is about. */
struct place {
	unsigned int type;
	uint64_t sequence;
	uint64_t packets;
};

struct order {
	struct place seen[32];
	unsigned int n;
};

static void note_place(const struct mydev_packet_header *h, void *arg)
{
	struct mydev_gap_record gap = { .packets = 1 };
	struct order *o = arg;

	if (h->type == MYDEV_RECORD_GAP)
		memcpy(&gap, (const char *)h + h->header_size, sizeof(gap));
	if (o->n < 32)
		o->seen[o->n++] = (struct place){ h->type, h->sequence, gap.packets };
}

/*
 * An event stands where it was, also behind a gap. What a full client loses that drops the
 * newest is one gap, and what happened meanwhile is lost with it.
 */
TEST(event_behind_gap)
{
	int fd = node_open(O_RDONLY | O_NONBLOCK), newest = node_open(O_RDONLY | O_NONBLOCK);
	int watcher = open_asking();
	struct order order = { .n = 0 }, other = { .n = 0 };
	struct records r;
	uint64_t s, stalls;

	configure(watcher, .policy = MYDEV_POLICY_DROP_OLDEST);
	configure(fd, .mode = MYDEV_MODE_PACKET, .policy = MYDEV_POLICY_DROP_OLDEST,
		  .queue_depth = 6);
	configure(newest, .mode = MYDEV_MODE_PACKET, .policy = MYDEV_POLICY_DROP_NEWEST,
		  .queue_depth = 4);
	s = stats_of(fd).packets;
	stalls = stats_of(fd).stalls;
	feed(10, "1000");
	await(stats_of(fd).client_packets == 10);
	sim_do("stall");
	await(stats_of(fd).stalls == stalls + 1);
	feed(3, "1000");
	await(stats_of(fd).client_packets == 13);

	records_from(&r, next_counter() - 13, s);
	r.each = note_place;
	r.arg = &order;
	assert_null(drain_records(fd, &r));
	assert_int_equal(order.n, 7);
	assert_int_equal(order.seen[0].type, MYDEV_RECORD_GAP);
	assert_int_equal(order.seen[0].sequence, s);
	assert_int_equal(order.seen[0].packets, 8);
	for (unsigned int i = 1; i < 7; i++)
		assert_int_equal(order.seen[i].type,
				 i == 3 ? MYDEV_RECORD_EVENT : MYDEV_RECORD_PACKET);
	assert_int_equal(order.seen[3].sequence, s + 10);

	records_from(&r, next_counter() - 13, s);
	r.each = note_place;
	r.arg = &other;
	assert_null(drain_records(newest, &r));
	assert_int_equal(other.n, 5);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(other.seen[i].type, MYDEV_RECORD_PACKET);
	assert_int_equal(other.seen[4].type, MYDEV_RECORD_GAP);
	assert_int_equal(other.seen[4].sequence, s + 4);
	assert_int_equal(other.seen[4].packets, 9);
}

/* Who opens after the end of a stream has had no part in its error. */
TEST(event_of_others)
{
	struct order order = { .n = 0 };
	int fd = open_asking();
	struct records r;
	uint64_t stalls;

	sim_do("stall-always on");
	await(stats_of(fd).state == MYDEV_STATE_FAILED);
	close(fd);
	sim_do("stall-always off");
	sim_do("count 0");

	fd = node_open(O_RDONLY);
	configure(fd, .mode = MYDEV_MODE_PACKET);
	stalls = stats_of(fd).stalls;
	records_from(&r, next_counter(), stats_of(fd).packets);
	r.each = note_place;
	r.arg = &order;
	feed(5, "1000");
	assert_null(read_records(fd, &r, 5, sizeof(buf)));
	assert_int_equal(order.n, 5);
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(order.seen[i].type, MYDEV_RECORD_PACKET);
	/* The halt that was left over was not forgotten with the error. */
	assert_true(stats_of(fd).stalls > stalls || !sim_is("stalling"));
}

/* The transfers that an unplug takes back have not failed. */
TEST(unplug_is_no_error)
{
	for (unsigned int i = 0; i < 5; i++) {
		int fd = open_asking();
		uint64_t errors;

		feed_forever("1000");
		await(stats_of(fd).client_packets > 50);
		errors = stats_of(fd).errors;
		unplug();
		assert_int_equal(stats_of(fd).errors, errors);
		close(fd);
		fresh(NULL);
	}
}

#define BUFFERS 12

/* Where events must be, one for each error, and how many have come. */
struct places {
	uint64_t from[100];
	uint64_t to[100];
	uint64_t due;
	uint64_t seen;
	uint64_t wrong;
};

static void see_event(const struct mydev_packet_header *h, void *arg)
{
	struct mydev_event_record event;
	struct places *p = arg;

	if (h->type != MYDEV_RECORD_EVENT)
		return;
	memcpy(&event, (const char *)h + h->header_size, sizeof(event));
	if (p->seen >= p->due || event.event != MYDEV_EVENT_ERROR || event.status != -ENOMEM ||
	    h->sequence < p->from[p->seen] || h->sequence > p->to[p->seen]) {
		printf("# event %" PRIu64 " of %" PRIu64 ": %u, status %d, before packet %llu\n",
		       p->seen, p->due, event.event, event.status, h->sequence);
		p->wrong++;
	}
	p->seen++;
}

/* All that a byte stream has. */
static void drain_stream(int fd, struct verifier *v)
{
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		if (!verifier_feed(v, buf, n))
			fail_msg("%s", v->error_text);
	}
	assert_int_equal(errno, EAGAIN);
}

/*
 * Whoever frees a buffer puts a transfer in flight himself, so an allocation
 * that fails in his read() can be the one of the host controller. In the end
 * each allocation and each copy of reads of one to four records has failed once.
 */
TEST(submit_fails)
{
	int fd, stream;
	uint64_t first = next_counter();
	struct places places = { .due = 0 };
	struct mydev_stats s;
	struct verifier v;
	struct records r;

	inject_or_skip();
	set_geometry(4, 4096, BUFFERS);
	fd = open_asking();
	stream = open_asking();
	configure(fd, .mode = MYDEV_MODE_PACKET);
	records_from(&r, first, stats_of(fd).packets);
	r.one_to_one = true;
	r.each = see_event;
	r.arg = &places;
	verify_from(&v, first);

	feed_forever("1000");
	for (int count = 1; count <= 4; count++) {
		bool injected = true;

		for (unsigned int nth = 1; injected; nth++) {
			struct mydev_stats before;
			ssize_t n;
			int error;

			/* The packets of the one are all there is to read, and fill the pool. */
			await((before = stats_of(fd), !before.in_flight) && !before.free_buffers &&
			      before.state == MYDEV_STATE_RUNNING);
			drain_stream(stream, &v);
			inject_begin(nth);
			n = read(fd, buf, count * record_size(1000));
			error = errno;
			injected = inject_end();
			if (n < 0)
				assert_int_equal(error, EFAULT);
			else if (!records_feed(&r, buf, n))
				fail_msg("%s", r.error);

			s = stats_of(fd);
			assert_in_range(s.errors - before.errors, 0, 1);
			if (s.errors == before.errors)
				continue;
			/* Behind all that was there, and what those before it brought. */
			assert_in_range(places.due, 0, 99);
			places.from[places.due] = before.packets;
			places.to[places.due] = before.packets + count - 1;
			places.due++;
		}
	}
	sim_do("count 0");
	await((drain_stream(stream, &v), drain_records(fd, &r), r.bad) ||
	      (r.whole == next_counter() - first && v.packets == r.whole));
	if (r.bad)
		fail_msg("%s", r.error);
	printf("# %" PRIu64 " transfers were not submitted, %" PRIu64 " events of %" PRIu64
	       " packets\n",
	       places.due, places.seen, r.packets);
	assert_true(places.due >= 4);
	assert_int_equal(places.seen, places.due);
	assert_int_equal(places.wrong, 0);
	assert_int_equal(r.gaps, 0);
	s = stats_of(fd);
	assert_int_equal(s.client_lost_packets, 0);
	assert_true(identity_holds(&s));
	assert_int_equal(stats_of(stream).client_lost_packets, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("stalls in the stream: no packet lost or repeated, each counted",
			stall_in_stream, fresh),
		PROMISE("a stall while the device is quiet is no event for readers",
			stall_while_quiet, fresh),
		PROMISE("30 stalls do not end the stream and do not fill the log", many_stalls,
			fresh),
		PROMISE("a stall for good: drained, then EIO for all; a new open starts anew",
			stall_for_good, fresh),
		PROMISE("closing during recovery, and a good start after it",
			closed_while_recovering, fresh),
		PROMISE("unplugged during recovery and after failure: ENODEV",
			unplugged_while_failing, fresh),
		PROMISE("an event behind a gap, in its place; or in the gap", event_behind_gap,
			fresh_defaults),
		PROMISE("an error is no event for who opens after its stream has ended",
			event_of_others, fresh_defaults),
		PROMISE("transfers that an unplug takes back are no errors", unplug_is_no_error,
			fresh),
		PROMISE("a transfer is not submitted: an event of the error in its place, all data",
			submit_fails, fresh_defaults),
	};

	return run_promises(tests);
}
