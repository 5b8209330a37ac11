// SPDX-License-Identifier: GPL-2.0-only
/* Many clients: each gets every packet; who waits for whom. */
#include <signal.h>

#include "helpers.h"
#include "settings.h"

#define MAX_READERS 8

static char buf[1 << 18];

struct reader {
	int fd;
	uint64_t first;
	uint64_t packets;
	size_t chunk;
	unsigned int pause_us; /* after each packet or so */
};

/* Runs in a process of its own. */
static int reader_run(void *arg)
{
	const struct reader *r = arg;
	struct verifier v;
	const char *error = NULL;

	verify_from(&v, r->first);
	while (!error && v.packets < r->packets) {
		error = read_packets(r->fd, &v, 1, r->chunk);
		if (r->pause_us)
			usleep(r->pause_us);
	}
	if (!error && v.packets != r->packets)
		error = "more packets than were sent";
	if (error)
		printf("# reader at packet %llu: %s\n", (unsigned long long)v.packets, error);
	return !!error;
}

/* Small and large reads, some of them slow: 2 ms per packet, and 10 ms. */
static void all_get_everything(int count)
{
	static const size_t chunks[MAX_READERS] = { 65536, 0, 700, 4096, 262144, 1, 65536, 1 << 14 };
	static const unsigned int pauses[MAX_READERS] = { 0, 2000, 0, 10000, 0, 0, 5000, 0 };
	struct reader readers[MAX_READERS];
	pid_t pids[MAX_READERS];
	struct mydev_stats s;

	for (int i = 0; i < count; i++) {
		readers[i] = (struct reader){ .fd = node_open(O_RDONLY),
					      .first = next_counter(),
					      .packets = 300,
					      .chunk = chunks[i],
					      .pause_us = pauses[i] };
		/* One byte at a time is for a few packets only. */
		if (readers[i].chunk == 1)
			readers[i].chunk = 100;
	}
	for (int i = 0; i < count; i++)
		pids[i] = spawn(reader_run, &readers[i]);
	/* Each has asked by now, so none of them can be overrun. */
	for (int i = 0; i < count; i++)
		await_sleeping(pids[i]);
	feed(300, "500-9000");
	for (int i = 0; i < count; i++)
		assert_int_equal(reap(pids[i], 50), 0);
	for (int i = 0; i < count; i++) {
		s = stats_of(readers[i].fd);
		assert_int_equal(s.clients, count);
		assert_int_equal(s.client_read_packets, s.client_packets);
		assert_int_equal(s.client_lost_packets, 0);
		assert_true(identity_holds(&s));
	}
}

TEST(three_clients)
{
	all_get_everything(3);
}

TEST(eight_clients)
{
	all_get_everything(8);
}

/* Who has not asked may lose what comes before he does. */
static void ask_for_data(int fd)
{
	assert_return_code(fcntl(fd, F_SETFL, O_NONBLOCK), errno);
	assert_errno(read(fd, buf, 1), EAGAIN);
	assert_return_code(fcntl(fd, F_SETFL, 0), errno);
}

/* Makes the ring stop: @slow has asked and does not read. */
static uint64_t stop_ring(int slow, int fast, struct verifier *v, uint64_t first)
{
	struct mydev_info info = info_of(slow);
	uint64_t sent = sim_number("packets");

	ask_for_data(slow);
	ask_for_data(fast);
	verify_from(v, first);
	feed_forever("5000");
	/* Everybody gets as many as there are buffers, then the device waits. */
	take_packets(fast, v, info.pool_buffers, 5000);
	await(stats_of(slow).in_flight == 0);
	await(sim_number("packets") == sent + info.pool_buffers);
	assert_stays(sim_number("packets") == sent + info.pool_buffers);
	assert_int_equal(stats_of(slow).client_queued_packets, info.pool_buffers);
	assert_int_equal(stats_of(slow).free_buffers, 0);
	return info.pool_buffers;
}

TEST(slow_reader_slows_device)
{
	int slow = node_open(O_RDONLY), fast = node_open(O_RDONLY);
	uint64_t first = next_counter(), stops = stats_of(slow).ring_stops, pool;
	struct verifier v, w;

	pool = stop_ring(slow, fast, &v, first);
	assert_int_equal(stats_of(slow).ring_stops, stops + 1);
	assert_int_equal(stats_of(slow).state, MYDEV_STATE_RUNNING);

	/* One packet read is one packet more for everybody. */
	verify_from(&w, first);
	take_packets(slow, &w, 1, 5000);
	take_packets(fast, &v, 1, 5000);
	await(stats_of(slow).in_flight == 0);

	take_packets(slow, &w, pool, 5000);
	take_packets(fast, &v, pool, 5000);
	assert_int_equal(stats_of(slow).client_lost_packets, 0);
	assert_int_equal(stats_of(fast).client_lost_packets, 0);
}

TEST(partial_read_frees_nothing)
{
	int slow = node_open(O_RDONLY), fast = node_open(O_RDONLY);
	uint64_t first = next_counter();
	struct verifier v, w;
	uint64_t sent;

	stop_ring(slow, fast, &v, first);
	sent = sim_number("packets");
	/* The second half of the packet is still wanted. */
	assert_int_equal(read(slow, buf, 2500), 2500);
	assert_stays(sim_number("packets") == sent);
	verify_from(&w, first);
	verifier_feed(&w, buf, 2500);
	take_packets(slow, &w, 1, 2500);
	await(sim_number("packets") == sent + 1);
}

TEST(idle_member_loses_alone)
{
	uint64_t bytes = slow_lane() ? 16 << 20 : 100 << 20;
	int idle = node_open(O_RDONLY), busy = node_open(O_RDONLY);
	uint64_t first = next_counter(), queued;
	struct mydev_stats s;
	struct verifier v;

	verify_from(&v, first);
	feed_forever("30000");
	while (v.bytes < bytes)
		assert_null(read_packets(busy, &v, 100, sizeof(buf)));
	s = stats_of(idle);
	assert_int_equal(s.client_read_packets, 0);
	assert_true(s.client_lost_packets > 1000 || bytes < 100 << 20);
	assert_true(s.client_lost_packets > 0);
	assert_true(identity_holds(&s));
	/* It lost what it had to, and no more. */
	assert_true(s.client_queued_packets >= info_of(idle).pool_buffers / 4);
	take_rest(busy, &v);
	s = stats_of(idle);
	queued = s.client_queued_packets;

	/* Told once, and then every packet from the end of the gap on. */
	assert_errno(read(idle, buf, sizeof(buf)), ENOBUFS);
	verify_from(&v, first + s.client_lost_packets);
	take_packets(idle, &v, queued, 0);
	s = stats_of(idle);
	assert_int_equal(s.client_read_packets, queued);
	assert_int_equal(s.client_queued_packets, 0);
	assert_true(identity_holds(&s));

	/* From its first read on it is lossless like everybody. */
	feed(300, "3000");
	for (int i = 0; i < 300; i++) {
		take_packets(idle, &v, 1, 3000);
		assert_int_equal(read(busy, buf, 3000), 3000);
	}
	assert_int_equal(stats_of(idle).client_lost_packets, s.client_lost_packets);
}

TEST(counters_add_up)
{
	int fds[3], takes[3] = { 1, 1500, 65536 };
	struct mydev_stats s[3];

	for (int i = 0; i < 3; i++) {
		fds[i] = node_open(O_RDONLY | O_NONBLOCK);
		assert_errno(read(fds[i], buf, 1), EAGAIN);
	}
	sim_do("rate 2000");
	feed(500, "100-2000");
	while (stats_of(fds[2]).client_read_packets < 500) {
		for (int i = 0; i < 3; i++) {
			/* Small reads leave a packet begun, also at the end. */
			for (int n = 0; n < 3; n++)
				if (read(fds[i], buf, takes[i]) < 0)
					assert_int_equal(errno, EAGAIN);
			s[i] = stats_of(fds[i]);
			assert_true(identity_holds(&s[i]));
			if (stats_of(fds[0]).client_queued_packets > 60)
				while (read(fds[0], buf, 3001) > 0)
					;
		}
	}
	for (int i = 0; i < 3; i++) {
		while (read(fds[i], buf, 777) > 0)
			;
		s[i] = stats_of(fds[i]);
		assert_true(identity_holds(&s[i]));
		assert_int_equal(s[i].client_read_packets, 500);
		assert_int_equal(s[i].client_read_bytes, s[0].client_bytes);
	}
}

static int hold_everything(void *arg)
{
	struct reader *r = arg;

	if (read(r->fd, buf, 100) != 100)
		return 1;
	for (;;)
		pause();
}

TEST(killed_holder)
{
	struct reader r = { 0 };
	int fast = node_open(O_RDONLY), idle;
	struct mydev_info info = info_of(fast);
	uint64_t first = next_counter();
	struct verifier v;
	pid_t pid;

	r.fd = node_open(O_RDONLY);
	pid = spawn(hold_everything, &r);
	/* Now it is the child's alone. */
	close(r.fd);
	await_sleeping(pid);
	ask_for_data(fast);
	verify_from(&v, first);
	feed_forever("5000");
	/* It has one packet begun, so the others are all that there are. */
	take_packets(fast, &v, info.pool_buffers, 5000);
	await(stats_of(fast).in_flight == 0);
	assert_int_equal(stats_of(fast).clients, 2);

	assert_return_code(kill(pid, SIGKILL), errno);
	assert_int_equal(reap(pid, PROMPT), 128 + SIGKILL);
	take_packets(fast, &v, 3 * info.pool_buffers, 5000);
	assert_int_equal(stats_of(fast).clients, 1);

	/* All closed but one that came last: every buffer is back. */
	take_rest(fast, &v);
	idle = node_open(O_RDONLY);
	close(fast);
	assert_int_equal(stats_of(idle).in_flight, 0);
	assert_int_equal(stats_of(idle).client_queued_packets, 0);
	assert_int_equal(stats_of(idle).free_buffers, info.pool_buffers);
}

TEST(too_many_clients)
{
	int fd = node_open(O_RDONLY), last = -1;
	unsigned int max = info_of(fd).max_clients;

	for (unsigned int i = 1; i < max; i++)
		last = node_open(i % 8 ? O_WRONLY : O_RDONLY);
	assert_int_equal(sysfs_number("clients"), max);
	assert_errno(open(node, O_RDONLY), EBUSY);
	assert_errno(open(node, O_WRONLY), EBUSY);
	close(last);
	node_open(O_RDONLY);
	assert_int_equal(sysfs_number("clients"), max);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("3 clients at different speeds get every packet in order", three_clients,
			fresh),
		PROMISE("8 clients at different speeds get every packet in order", eight_clients,
			fresh),
		PROMISE("a slow reader slows the device, and nobody loses",
			slow_reader_slows_device, fresh),
		PROMISE("a packet read in part is still held", partial_read_frees_nothing, fresh),
		PROMISE("a member that never asks holds up nobody, and is told once what it lost",
			idle_member_loses_alone, fresh),
		PROMISE("offered = read + lost + queued, in packets and bytes, at any time",
			counters_add_up, fresh),
		PROMISE("a killed client gives back all that it held", killed_holder, fresh),
		PROMISE("one client more than info.max_clients is EBUSY", too_many_clients, fresh),
	};

	return run_promises(tests);
}
