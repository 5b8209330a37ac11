// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many clients at once: nothing ever locks up, nothing stays held by the dead,
 * and those who only read are not disturbed by those who come and go.
 */
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "records.h"
#include "settings.h"

#define CLIENTS 16
#define CROWD   64

static _Alignas(8) char buf[1 << 18];

/* --- 16 clients in any mixture ------------------------------------------------ */

struct chaos {
	uint64_t seed;
	volatile uint64_t rounds;
	volatile uint64_t bytes;
	volatile bool paused;
	char error[200];
};

static struct {
	volatile bool end;
	struct chaos clients[CLIENTS];
} *shared;

static bool set_at_random(int fd, uint64_t *seed)
{
	struct mydev_config c = { .size = sizeof(c) };

	c.mode = random_next(seed) % 2;
	c.policy = random_next(seed) % 3;
	c.clock = random_next(seed) % 3;
	c.watermark = random_next(seed) % 3 ? 0 : random_next(seed) % (8 << 20);
	c.latency_us = random_next(seed) % 2 ? 0 : random_next(seed) % 50000;
	c.queue_depth = 1 + random_next(seed) % (random_next(seed) % 2 ? 20 : 3000);
	return !ioctl(fd, MYDEV_IOC_SET_CONFIG, &c);
}

/*
 * As a blocking read, but for the end of the test: whoever waits reads only
 * when told that there is something.
 */
static bool read_at_random(int fd, struct chaos *c)
{
	size_t want = 1 + random_next(&c->seed) % (random_next(&c->seed) % 4 ? 60000 : 300);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;

	if (poll(&p, 1, 200) != 1)
		return true;
	n = read(fd, buf, want);
	if (n < 0 && errno == EMSGSIZE)
		n = read(fd, buf, 60000);
	if (n > 0)
		c->bytes += n;
	return n > 0 || errno == EAGAIN || errno == ENOBUFS || errno == EMSGSIZE;
}

static int chaos_run(void *arg)
{
	struct chaos *c = arg;
	int fd = -1;

	while (!shared->end) {
		uint64_t dice = random_next(&c->seed) % 1000;

		c->rounds++;
		if (fd < 0 || dice < 2) {
			close(fd);
			fd = open(node, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
			if (fd < 0 || !set_at_random(fd, &c->seed))
				break;
		} else if (dice < 20) {
			if (!set_at_random(fd, &c->seed))
				break;
		} else if (dice < 30) {
			/* Stops reading for up to a second, whatever it holds. */
			c->paused = true;
			for (uint64_t i = random_next(&c->seed) % 100; i && !shared->end; i--)
				usleep(10000);
			c->paused = false;
		} else if (!read_at_random(fd, c)) {
			break;
		}
	}
	if (!shared->end)
		snprintf(c->error, sizeof(c->error), "%s", strerror(errno));
	close(fd);
	return !shared->end;
}

static void sixteen(bool stall)
{
	double seconds = 6, last, begin, longest = 0;
	uint64_t seed = test_seed(), packets, before, stops, bytes = 0, rounds = 0;
	int fd = node_open(O_WRONLY);
	pid_t pids[CLIENTS];

	deadline(120);
	set_block_timeout_ms(stall ? 200 : 0);
	stops = stats_of(fd).ring_stops;
	shared = shared_memory(sizeof(*shared));
	for (int i = 0; i < CLIENTS; i++) {
		shared->clients[i].seed = random_next(&seed) | 1;
		pids[i] = spawn(chaos_run, &shared->clients[i]);
	}
	feed_forever("65-200");
	begin = last = now();
	before = packets = stats_of(fd).packets;
	/* All pause for less than a second, so somebody reads, so data flows. */
	while (now() < begin + seconds) {
		static const char *const sizes[] = { "65-200", "65-1000", "4100-5000",
						     "30000-30700" };
		uint64_t at = stats_of(fd).packets;

		if (at != packets) {
			longest = now() - last > longest ? now() - last : longest;
			packets = at;
			last = now();
		}
		if (now() > last + 10) {
			printf("# nothing has come for 10 s\n");
			break;
		}
		if (random_next(&seed) % 50 == 0)
			sim_do("size %s", sizes[random_next(&seed) % 4]);
		nap();
	}
	/* And it still does, however long this process was kept from looking. */
	packets = stats_of(fd).packets;
	await(stats_of(fd).packets > packets && stats_of(fd).packets > before + 100);
	packets = stats_of(fd).packets;
	shared->end = true;
	for (int i = 0; i < CLIENTS; i++) {
		if (*shared->clients[i].error)
			printf("# client %d: %s\n", i, shared->clients[i].error);
		assert_int_equal(reap(pids[i], 30), 0);
		bytes += shared->clients[i].bytes;
		rounds += shared->clients[i].rounds;
	}
	printf("# %.0f s, %" PRIu64 " packets, %" PRIu64 " rounds of %d clients, %" PRIu64
	       " MiB read, %llu ring stops, longest silence %.2f s\n",
	       now() - begin, packets - before, rounds, CLIENTS, bytes >> 20,
	       stats_of(fd).ring_stops - stops, longest);
	assert_int_equal(stats_of(fd).clients, 1);
	assert_int_equal(stats_of(fd).in_flight, 0);
	munmap(shared, sizeof(*shared));
}

TEST(sixteen_lapping)
{
	sixteen(true);
}

TEST(sixteen_waiting)
{
	sixteen(false);
}

/* All have stopped, everything is held. Any one of them reads: data flows. */
TEST(as_soon_as_somebody_reads)
{
	uint64_t seed = test_seed();
	int fds[CLIENTS];

	deadline(170);
	set_block_timeout_ms(100);
	for (int round = 0; round < (slow_lane() ? 6 : 8); round++) {
		int reader = random_next(&seed) % CLIENTS;
		uint64_t packets;

		for (int i = 0; i < CLIENTS; i++) {
			struct mydev_config c = {
				.size = sizeof(c),
				.mode = random_next(&seed) % 2,
				.policy = i == reader ? MYDEV_POLICY_LOSSLESS
						      : random_next(&seed) % 3,
				.queue_depth = 1 + random_next(&seed) % 400,
			};

			fds[i] = node_open(O_RDONLY | O_NONBLOCK);
			assert_int_equal(try_config(fds[i], c), 0);
			if (i == reader || random_next(&seed) % 4)
				ask(fds[i]);
		}
		feed_forever(round % 2 ? "65-3000" : "20500-21000");
		await_ring_stop(fds[0]);
		/* Some begin a packet, and leave it there. */
		for (int i = 0; i < CLIENTS; i++) {
			if (i != reader && random_next(&seed) % 4 == 0 && read(fds[i], buf, 50) < 0)
				assert_true(errno == ENOBUFS || errno == EMSGSIZE ||
					    errno == EAGAIN);
		}
		packets = stats_of(fds[0]).packets;
		/* Others are in the way for no longer than block_timeout_ms each. */
		await_within(30, (read(fds[reader], buf, sizeof(buf)),
				  stats_of(fds[0]).packets > packets + 500));
		sim_do("count 0");
		for (int i = 0; i < CLIENTS; i++)
			close(fds[i]);
		fresh(NULL);
		set_block_timeout_ms(100);
	}
}

/* --- a crowd ------------------------------------------------------------------- */

struct reader {
	int fd;
	uint64_t first;
	uint64_t packets;
};

static int reader_run(void *arg)
{
	const struct reader *r = arg;
	struct verifier v;
	const char *error;

	verify_from(&v, r->first);
	error = read_packets(r->fd, &v, r->packets, 65536);
	if (error)
		printf("# %s\n", error);
	return !!error || v.packets != r->packets;
}

TEST(crowd)
{
	uint64_t packets = slow_lane() ? 200 : 2000;
	struct reader readers[CROWD];
	pid_t pids[CROWD];

	deadline(170);
	set_block_timeout_ms(0);
	for (int i = 0; i < CROWD; i++) {
		readers[i] = (struct reader){ node_open(O_RDONLY), next_counter(), packets };
		ask(readers[i].fd);
	}
	/* One of them is this process; more children there cannot be. */
	for (int i = 1; i < CROWD; i++)
		pids[i] = spawn(reader_run, &readers[i]);
	assert_int_equal(sysfs_number("clients"), CROWD);
	feed(packets, "65-1000");
	assert_int_equal(reader_run(&readers[0]), 0);
	for (int i = 1; i < CROWD; i++)
		assert_int_equal(reap(pids[i], 100), 0);
	for (int i = 0; i < CROWD; i++) {
		struct mydev_stats s = stats_of(readers[i].fd);

		assert_int_equal(s.client_read_packets, packets);
		assert_int_equal(s.client_lost_packets, 0);
	}
}

static struct {
	volatile bool end;
	volatile uint64_t opened;
	volatile bool failed;
} coming;

/* Opens, perhaps asks, perhaps reads, perhaps sets, and closes: at full rate. */
static void *come_and_go(void *arg)
{
	uint64_t seed = *(uint64_t *)arg;

	while (!coming.end) {
		int fd = open(node, random_next(&seed) % 4 ? O_RDONLY | O_NONBLOCK : O_WRONLY);
		struct pollfd p = { .fd = fd, .events = POLLIN };
		char bytes[100];

		if (fd < 0) {
			coming.failed = true;
			break;
		}
		switch (random_next(&seed) % 4) {
		case 0:
			poll(&p, 1, 0);
			break;
		case 1:
			if (read(fd, bytes, sizeof(bytes)) < 0 && errno != EAGAIN && errno != EBADF)
				coming.failed = true;
			break;
		case 2:
			if (!set_at_random(fd, &seed) && errno != EBADF)
				coming.failed = true;
			break;
		}
		close(fd);
		__atomic_fetch_add(&coming.opened, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

TEST(coming_and_going)
{
	uint64_t packets = slow_lane() ? 1500 : 20000, seeds[2] = { test_seed(), 0 };
	struct reader readers[2];
	pthread_t threads[2];
	int results[2];
	pid_t pids[2];

	deadline(170);
	coming = (typeof(coming)){ 0 };
	seeds[1] = random_next(&seeds[0]) | 1;
	for (int i = 0; i < 2; i++) {
		readers[i] = (struct reader){ node_open(O_RDONLY), next_counter(), packets };
		ask(readers[i].fd);
		pids[i] = spawn(reader_run, &readers[i]);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &seeds[i]), 0);
	feed(packets, "65-1000");
	for (int i = 0; i < 2; i++)
		results[i] = reap(pids[i], 100);
	coming.end = true;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	printf("# %llu clients came and went\n", (unsigned long long)coming.opened);
	for (int i = 0; i < 2; i++) {
		struct mydev_stats s = stats_of(readers[i].fd);

		assert_int_equal(results[i], 0);
		assert_int_equal(s.client_read_packets, packets);
		assert_int_equal(s.client_lost_packets, 0);
	}
	assert_false(coming.failed);
	assert_true(coming.opened > 100);
}

/* --- the dead ------------------------------------------------------------------ */

enum { HOLDS_ALL, SLEEPS, READS, CHANGES, KINDS };

struct victim {
	uint64_t seed;
	int kind;
	volatile bool ready;
};

/* One who holds all that he can, or is at work, at any place of it. */
static int victim_run(void *arg)
{
	struct victim *v = arg;
	int fd = open(node, O_RDONLY | O_CLOEXEC);
	struct mydev_config c = { .size = sizeof(c),
				  .mode = random_next(&v->seed) % 2,
				  .queue_depth = 60000,
				  .watermark = v->kind == SLEEPS ? 1 << 30 : 0 };
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (fd < 0 || ioctl(fd, MYDEV_IOC_SET_CONFIG, &c))
		return 1;
	poll(&p, 1, 0);
	v->ready = true;
	switch (v->kind) {
	case HOLDS_ALL:
		for (;;)
			pause();
	case SLEEPS:
		for (;;)
			if (read(fd, buf, sizeof(buf)) < 0)
				return 2;
	case READS:
		for (;;)
			if (read(fd, buf, 3100) < 0)
				usleep(100);
	default:
		for (;;)
			if (!set_at_random(fd, &v->seed))
				return 3;
	}
}

static void take_what_is_there(int fd, struct verifier *v)
{
	ssize_t n;

	set_nonblock(fd, true);
	n = read(fd, buf, 10000);
	set_nonblock(fd, false);
	assert_true(n > 0 || errno == EAGAIN);
	if (n > 0 && !verifier_feed(v, buf, n))
		fail_msg("%s", v->error_text);
}

TEST(killed_at_any_moment)
{
	int fast = node_open(O_RDONLY), rounds = slow_lane() ? 15 : 40, stopped = 0;
	struct mydev_info info = info_of(fast);
	double slowest = 0, fastest[KINDS] = { 1e9, 1e9, 1e9, 1e9 };
	uint64_t seed = test_seed();
	struct victim *v;
	struct verifier w;

	deadline(170);
	set_block_timeout_ms(0);
	v = shared_memory(sizeof(*v));
	verify_from(&w, next_counter());
	ask(fast);
	feed_forever("65-3000");
	for (int i = 0; i < rounds; i++) {
		struct mydev_stats s;
		double begin, took;
		int64_t reads;
		pid_t pid;

		*v = (struct victim){ .seed = random_next(&seed) | 1, .kind = i % KINDS };
		pid = spawn(victim_run, v);
		await(v->ready);
		/* For a while it goes on; one that holds all stops the ring. */
		reads = random_next(&seed) % 300;
		do {
			take_what_is_there(fast, &w);
			s = stats_of(fast);
		} while (v->kind == HOLDS_ALL ? s.in_flight || s.client_queued_packets
					      : reads-- > 0);
		stopped += !s.in_flight && !s.client_queued_packets;
		assert_int_equal(s.clients, 2);

		begin = now();
		assert_return_code(kill(pid, SIGKILL), errno);
		assert_int_equal(reap(pid, 20), 128 + SIGKILL);
		await(stats_of(fast).clients == 1);
		/* Whatever it had stopped goes on, to the last buffer. */
		take_packets(fast, &w, 3, 65);
		took = now() - begin;
		slowest = took > slowest ? took : slowest;
		fastest[i % KINDS] = took < fastest[i % KINDS] ? took : fastest[i % KINDS];
	}
	printf("# %d killed, %d of them had stopped the ring; freed within %.0f ms\n", rounds,
	       stopped, slowest * 1000);
	/* Within the second, where the machine has not stood still meanwhile. */
	for (int i = 0; i < KINDS; i++)
		assert_true(fastest[i] < 1);
	assert_true(slowest < PROMPT);
	assert_true(stopped >= rounds / KINDS);
	take_rest(fast, &w);
	await(stats_of(fast).free_buffers + info.transfers + 1 >= info.pool_buffers);
	assert_int_equal(stats_of(fast).client_lost_packets, 0);
	munmap(v, sizeof(*v));
}

/* The numbers, exactly: what one held is free the moment that it is reaped. */
TEST(all_freed)
{
	uint64_t seed = test_seed();
	struct mydev_info info;
	struct victim *v;
	pid_t pid;
	int idle;

	v = shared_memory(sizeof(*v));
	for (int i = 0; i < KINDS; i++) {
		idle = node_open(O_WRONLY);
		info = info_of(idle);
		*v = (struct victim){ .seed = random_next(&seed) | 1, .kind = i };
		pid = spawn(victim_run, v);
		await(v->ready);
		feed_forever("20500-21000");
		await(stats_of(idle).packets > 0);
		assert_return_code(kill(pid, SIGKILL), errno);
		assert_int_equal(reap(pid, PROMPT), 128 + SIGKILL);
		await_within(PROMPT, stats_of(idle).clients == 1);
		assert_int_equal(stats_of(idle).in_flight, 0);
		assert_int_equal(stats_of(idle).state, MYDEV_STATE_IDLE);
		close(idle);
		/* As new for the next one. */
		idle = node_open(O_RDONLY);
		assert_int_equal(stats_of(idle).free_buffers, info.pool_buffers);
		close(idle);
		fresh(NULL);
	}
	munmap(v, sizeof(*v));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("16 clients at random, evicting: never a deadlock", sixteen_lapping,
			fresh_defaults),
		PROMISE("16 clients at random, evicting none: never a deadlock", sixteen_waiting,
			fresh_defaults),
		PROMISE("16 that have stopped everything: somebody reads, and data flows",
			as_soon_as_somebody_reads, fresh_defaults),
		PROMISE("64 clients at once get everything", crowd, fresh_defaults),
		PROMISE("clients come and go at full rate, and two who stream miss nothing",
			coming_and_going, fresh_defaults),
		PROMISE("killed at any moment: freed within the second, and the ring goes on",
			killed_at_any_moment, fresh_defaults),
		PROMISE("the last one killed: the ring is quiet and all is free", all_freed,
			fresh_defaults),
	};

	return run_promises(tests);
}
