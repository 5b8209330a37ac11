// SPDX-License-Identifier: GPL-2.0-only
/* Watermark and latency bound: how often a reader is woken, and how late. */
#include <poll.h>

#include "records.h"
#include "settings.h"

#define SIZE 1000

static _Alignas(8) char buf[1 << 18];

static int poll_now(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	assert_return_code(poll(&p, 1, 0), errno);
	return p.revents;
}

/*
 * The promise is 10,000 packets a second with a watermark of 100: 100 wake-ups.
 * An emulated processor may not bring that many, so it is the ratio that counts.
 */
static void woken_per_watermark(bool by_poll)
{
	uint64_t rate = slow_lane() ? 1000 : 10000, packets = 3 * rate, wakes = 0;
	int fd = node_open(O_RDONLY);
	struct verifier v;
	double begin, took;

	deadline(170);
	verify_from(&v, next_counter());
	configure(fd, .watermark = 100 * SIZE, .latency_us = 3000000, .queue_depth = 4096);
	ask(fd);
	set_nonblock(fd, by_poll);
	sim_do("rate %llu", (unsigned long long)rate);
	feed(packets, "1000");
	begin = now();
	while (v.packets < packets) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (by_poll)
			assert_int_equal(poll(&p, 1, -1), 1);
		n = read(fd, buf, sizeof(buf));
		assert_true(n > 0);
		assert_true(verifier_feed(&v, buf, n));
		wakes++;
	}
	took = now() - begin;
	printf("# %llu packets at %.0f per second: woken %llu times, %.0f per second\n",
	       (unsigned long long)packets, packets / took, (unsigned long long)wakes,
	       wakes / took);
	/*
	 * More than the watermark may have come when the reader gets to it, and
	 * where the device was held up the latency bound may have been first.
	 */
	assert_true(wakes <= packets / 100 + packets / 1000 + 2);
	assert_true(wakes >= packets / 100 / 3);
}

TEST(read_per_watermark)
{
	woken_per_watermark(false);
}

TEST(poll_per_watermark)
{
	woken_per_watermark(true);
}

/* Below the watermark and without a bound, nobody is woken; from it on, at once. */
TEST(exactly_at_watermark)
{
	int fd = node_open(O_RDONLY);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	configure(fd, .watermark = 5 * SIZE);
	ask(fd);
	feed(4, "1000");
	await_queued(fd, 4);
	assert_stays(!poll_now(fd));
	feed(1, "1000");
	assert_int_equal(poll(&p, 1, 20000), 1);
	assert_int_equal(read(fd, buf, sizeof(buf)), 5 * SIZE);

	feed(6, "1000");
	assert_int_equal(poll(&p, 1, 20000), 1);
	await_queued(fd, 6);
	/* What is left is below it again. */
	assert_int_equal(read(fd, buf, 2 * SIZE), 2 * SIZE);
	assert_int_equal(poll_now(fd), 0);
	assert_int_equal(stats_of(fd).client_queued_packets, 4);
	/* A lower one is in force at once. */
	configure(fd, .watermark = 4 * SIZE);
	assert_int_equal(poll_now(fd), POLLIN);
}

struct sleeper {
	int fd;
	size_t want;
};

static int sleeping_read(void *arg)
{
	const struct sleeper *s = arg;
	ssize_t n = read(s->fd, buf, sizeof(buf));

	if (n != (ssize_t)s->want)
		printf("# read gave %zd instead of %zu (%s)\n", n, s->want, strerror(errno));
	return n != (ssize_t)s->want;
}

TEST(read_sleeps_until)
{
	struct sleeper s = { .fd = node_open(O_RDONLY), .want = 5 * SIZE };
	pid_t pid;

	configure(s.fd, .watermark = 5 * SIZE);
	pid = spawn(sleeping_read, &s);
	await_sleeping(pid);
	feed(4, "1000");
	await_queued(s.fd, 4);
	await_sleeping(pid);
	assert_int_equal(stats_of(s.fd).client_queued_packets, 4);
	feed(1, "1000");
	assert_int_equal(reap(pid, 20), 0);

	/* Somebody else makes it content with less. */
	s.want = 2 * SIZE;
	pid = spawn(sleeping_read, &s);
	await_sleeping(pid);
	feed(2, "1000");
	await_queued(s.fd, 2);
	await_sleeping(pid);
	configure(s.fd, .watermark = 0);
	assert_int_equal(reap(pid, 20), 0);
}

TEST(nonblocking_takes_all)
{
	int fd = node_open(O_RDONLY | O_NONBLOCK);
	struct verifier v;

	verify_from(&v, next_counter());
	configure(fd, .watermark = 1000000);
	assert_errno(read(fd, buf, sizeof(buf)), EAGAIN);
	feed(3, "1000");
	await_queued(fd, 3);
	assert_int_equal(poll_now(fd), 0);
	assert_int_equal(read(fd, buf, sizeof(buf)), 3000);
	assert_errno(read(fd, buf, sizeof(buf)), EAGAIN);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* From the time that is in the packet's header to the return of read(). */
static bool lone_packets_in_time(void **state)
{
	enum { ROUNDS = 20, BOUND = 50 };
	struct mydev_packet_header *h = (void *)buf;
	int fd = node_open(O_RDONLY);
	double late[ROUNDS];

	(void)state;
	configure(fd, .mode = MYDEV_MODE_PACKET, .watermark = 1000000, .latency_us = BOUND * 1000);
	ask(fd);
	for (int i = 0; i < ROUNDS; i++) {
		feed(1, "1000");
		assert_int_equal(read(fd, buf, sizeof(buf)), record_size(SIZE));
		late[i] = (now() - h->timestamp_ns / 1e9) * 1000;
		/* The bound is waited for: there might be more by then. */
		assert_true(late[i] > BOUND - 1);
	}
	qsort(late, ROUNDS, sizeof(*late), by_size);
	printf("# bound of %d ms: woken after %.1f ms (median), %.1f ms (worst)\n", BOUND,
	       late[ROUNDS / 2], late[ROUNDS - 1]);
	close(fd);
	return late[ROUNDS / 2] < BOUND + 10 && late[ROUNDS - 1] < BOUND + 500;
}

TEST(lone_packet)
{
	holds_once(lone_packets_in_time, fresh_defaults, state);
}

TEST(bound_for_the_rest)
{
	int fd = node_open(O_RDONLY);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	double begin;

	configure(fd, .watermark = 5 * SIZE, .latency_us = 100000);
	ask(fd);
	feed(6, "1000");
	await_queued(fd, 6);
	assert_int_equal(read(fd, buf, 4 * SIZE), 4 * SIZE);
	begin = now();
	assert_int_equal(poll(&p, 1, 20000), 1);
	assert_true(now() - begin < 10);
	assert_int_equal(read(fd, buf, sizeof(buf)), 2 * SIZE);

	/* The bound is of each packet: what came later waits for its own. */
	feed(1, "1000");
	assert_int_equal(poll(&p, 1, 20000), 1);
	begin = now();
	feed(2, "1000");
	await_queued(fd, 3);
	assert_int_equal(read(fd, buf, SIZE), SIZE);
	assert_int_equal(poll(&p, 1, 20000), 1);
	assert_in_range((now() - begin) * 1000, 99, 10000);
	assert_int_equal(read(fd, buf, sizeof(buf)), 2 * SIZE);

	/* And what has waited long enough before the read does not wait again. */
	feed(2, "1000");
	assert_int_equal(poll(&p, 1, 20000), 1);
	await_queued(fd, 2);
	assert_int_equal(poll(&p, 1, 200), 1);
	assert_int_equal(read(fd, buf, SIZE), SIZE);
	begin = now();
	assert_int_equal(poll(&p, 1, 20000), 1);
	assert_true(now() - begin < 10);
	assert_int_equal(read(fd, buf, sizeof(buf)), SIZE);
}

TEST(new_bound_at_once)
{
	int fd = node_open(O_RDONLY);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	double begin;

	configure(fd, .watermark = 1000000, .latency_us = 10000000);
	ask(fd);
	feed(1, "1000");
	await_queued(fd, 1);
	begin = now();
	configure(fd, .watermark = 1000000, .latency_us = 20000);
	assert_int_equal(poll(&p, 1, 20000), 1);
	printf("# woken %.0f ms after the bound was lowered from 10 s to 20 ms\n",
	       (now() - begin) * 1000);
	assert_true(now() - begin < 9);
}

/* Nobody waits for what cannot come: the ring has stopped. */
TEST(ring_stop_wakes)
{
	int fd = node_open(O_RDONLY);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t pool = info_of(fd).pool_buffers;
	struct verifier v;

	verify_from(&v, next_counter());
	configure(fd, .watermark = 1 << 30);
	ask(fd);
	feed_forever("5000");
	await_ring_stop(fd);
	assert_int_equal(poll(&p, 1, 20000), 1);
	take_packets(fd, &v, 5 * pool, 5000);
}

/* Little by little, and only when poll() says that a read would not block. */
static void take_when_told(int fd, struct verifier *v, uint64_t packets)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t target = v->packets + packets;

	while (v->packets < target) {
		if (poll(&p, 1, 20000) != 1)
			fail_msg("not told of %llu bytes", stats_of(fd).client_queued_bytes);
		assert_int_equal(read(fd, buf, 500), 500);
		assert_true(verifier_feed(v, buf, 500));
	}
}

/* The same for one who takes so little that nothing gets going by it. */
TEST(ring_stop_wakes_again)
{
	int fd = node_open(O_RDONLY);
	struct verifier v;

	verify_from(&v, next_counter());
	configure(fd, .watermark = 1 << 30);
	ask(fd);
	feed_forever("5000");
	await_ring_stop(fd);
	take_when_told(fd, &v, 3);
	/* And for one who asks for more when it has stopped. */
	await_ring_stop(fd);
	configure(fd, .watermark = 1 << 20);
	take_when_told(fd, &v, 200);
}

/* The queue is full below the watermark, and the client may drop. */
static void full_queue_wakes(uint32_t policy)
{
	int fd = node_open(O_RDONLY);
	struct sleeper s = { .fd = fd, .want = 8 * SIZE };
	pid_t pid;

	configure(fd, .policy = policy, .queue_depth = 8, .watermark = 1 << 30);
	pid = spawn(sleeping_read, &s);
	await_sleeping(pid);
	feed(100, "1000");
	assert_int_equal(reap(pid, 20), 0);
}

TEST(full_newest_wakes)
{
	full_queue_wakes(MYDEV_POLICY_DROP_NEWEST);
}

static int told_of_gap(void *arg)
{
	return !(read(*(int *)arg, buf, sizeof(buf)) == -1 && errno == ENOBUFS);
}

TEST(full_oldest_wakes)
{
	int fd = node_open(O_RDONLY);
	pid_t pid;

	configure(fd, .policy = MYDEV_POLICY_DROP_OLDEST, .queue_depth = 8, .watermark = 1 << 30);
	pid = spawn(told_of_gap, &fd);
	await_sleeping(pid);
	feed(100, "1000");
	assert_int_equal(reap(pid, 20), 0);
}

/* A watermark of 0 or 1 is for anything, also a record without bytes. */
TEST(one_is_any)
{
	int fd = node_open(O_RDONLY | O_NONBLOCK);
	uint64_t stalls = stats_of(fd).stalls;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	for (uint32_t watermark = 0; watermark <= 1; watermark++) {
		configure(fd, .mode = MYDEV_MODE_PACKET, .watermark = watermark);
		ask(fd);
		sim_do("stall");
		stalls++;
		await(stats_of(fd).stalls == stalls);
		if (poll(&p, 1, 20000) != 1)
			fail_msg("no event with a watermark of %u", watermark);
		assert_int_equal(read(fd, buf, sizeof(buf)),
				 record_size(sizeof(struct mydev_event_record)));
		feed(1, "1000");
		assert_int_equal(poll(&p, 1, 20000), 1);
		assert_int_equal(read(fd, buf, sizeof(buf)), record_size(SIZE));
	}
}

TEST(unplug_wakes)
{
	int fd = node_open(O_RDONLY);
	struct sleeper s = { .fd = fd, .want = 2 * SIZE };
	pid_t pid;

	configure(fd, .watermark = 1 << 30);
	pid = spawn(sleeping_read, &s);
	await_sleeping(pid);
	feed(2, "1000");
	await_queued(fd, 2);
	unplug();
	assert_int_equal(reap(pid, 20), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("a watermark of 100 packets wakes read once per 100 packets",
			read_per_watermark, fresh_defaults),
		PROMISE("a watermark of 100 packets wakes poll once per 100 packets",
			poll_per_watermark, fresh_defaults),
		PROMISE("readable exactly from the watermark on", exactly_at_watermark,
			fresh_defaults),
		PROMISE("a read sleeps until the watermark, or until that is lowered",
			read_sleeps_until, fresh_defaults),
		PROMISE("a non-blocking read takes what is there", nonblocking_takes_all,
			fresh_defaults),
		PROMISE("a lone packet arrives at the latency bound", lone_packet, fresh_defaults),
		PROMISE("the bound holds for what a read has left", bound_for_the_rest,
			fresh_defaults),
		PROMISE("a lower bound is in force at once", new_bound_at_once, fresh_defaults),
		PROMISE("a ring that stops wakes the reader below its watermark", ring_stop_wakes,
			fresh_defaults),
		PROMISE("and again, for one who reads only a little", ring_stop_wakes_again,
			fresh_defaults),
		PROMISE("DROP_NEWEST: a full queue below the watermark wakes the reader",
			full_newest_wakes, fresh_defaults),
		PROMISE("DROP_OLDEST: a loss below the watermark wakes the reader",
			full_oldest_wakes, fresh_defaults),
		PROMISE("a watermark of 0 or 1 is for anything, records without bytes too",
			one_is_any, fresh_defaults),
		PROMISE("an unplug wakes the reader below its watermark", unplug_wakes,
			fresh_defaults),
	};

	return run_promises(tests);
}
