// SPDX-License-Identifier: GPL-2.0-only
/* The settings of a client: what is refused, what is in force, and for whom. */
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "records.h"
#include "settings.h"

#define CONFIG(_size, _depth, ...) \
	((struct mydev_config){ .size = (_size), .queue_depth = (_depth), __VA_ARGS__ })
#define SIZE               sizeof(struct mydev_config)
#define GOOD(...)          CONFIG(SIZE, 1024, __VA_ARGS__)
#define DEPTH(_depth, ...) CONFIG(SIZE, _depth, __VA_ARGS__)

static _Alignas(8) char buf[1 << 18];

static bool same(struct mydev_config a, struct mydev_config b)
{
	return !memcmp(&a, &b, sizeof(a));
}

TEST(defaults)
{
	int fd = node_open(O_RDONLY);
	struct mydev_info info = info_of(fd);

	assert_true(info.features & MYDEV_FEATURE_CONFIG);
	assert_true(same(config_of(fd),
			 DEPTH(info.queue_depth, .mode = MYDEV_MODE_STREAM,
			       .policy = MYDEV_POLICY_LOSSLESS, .clock = MYDEV_CLOCK_MONOTONIC)));
	assert_in_range(info.queue_depth, 1, info.max_queue_depth);
}

TEST(round_trip)
{
	int fd = node_open(O_RDONLY);
	uint32_t max = info_of(fd).max_queue_depth;

	for (uint32_t mode = 0; mode <= MYDEV_MODE_RING; mode++) {
		for (uint32_t policy = 0; policy <= MYDEV_POLICY_DROP_NEWEST; policy++) {
			for (uint32_t clock = 0; clock <= MYDEV_CLOCK_REALTIME; clock++) {
				struct mydev_config c =
					GOOD(.mode = mode, .policy = policy, .clock = clock);

				assert_int_equal(try_config(fd, c), 0);
				assert_true(same(config_of(fd), c));
			}
		}
	}
	for (uint32_t depth = 1; depth <= max; depth = depth * 4 + (depth == max / 4)) {
		assert_int_equal(try_config(fd, DEPTH(depth, .mode = 0)), 0);
		assert_int_equal(config_of(fd).queue_depth, depth);
		assert_int_equal(info_of(fd).queue_depth, depth);
	}
	assert_int_equal(try_config(fd, DEPTH(max, .mode = 0)), 0);
	assert_int_equal(info_of(fd).queue_depth, max);
	assert_int_equal(try_config(fd, GOOD(.watermark = UINT_MAX, .latency_us = UINT_MAX)), 0);
	assert_true(same(config_of(fd), GOOD(.watermark = UINT_MAX, .latency_us = UINT_MAX)));
}

/* A queue is no memory of its own, so everybody can have the longest. */
TEST(all_together)
{
	int fd[100];

	for (unsigned int i = 0; i < 100; i++) {
		fd[i] = node_open(O_RDONLY);
		assert_int_equal(
			try_config(fd[i], DEPTH(info_of(fd[i]).max_queue_depth, .mode = 0)), 0);
	}
	feed(50, "1000");
	ask(fd[0]);
	for (unsigned int i = 0; i < 100; i++)
		await(stats_of(fd[i]).client_queued_packets == 50);
}

/* Programs that know less, and such that know more, than this kernel. */
TEST(sizes)
{
	struct {
		struct mydev_config config;
		uint32_t tail[4];
	} more = { .config = GOOD(.mode = MYDEV_MODE_PACKET) };
	int fd = node_open(O_RDONLY);

	more.config.size = sizeof(more);
	assert_return_code(ioctl(fd, MYDEV_IOC_SET_CONFIG, &more), errno);
	assert_int_equal(more.config.size, sizeof(more.config));
	memset(&more, 0, sizeof(more));
	more.config.size = sizeof(more);
	assert_return_code(ioctl(fd, MYDEV_IOC_GET_CONFIG, &more), errno);
	assert_true(same(more.config, GOOD(.mode = MYDEV_MODE_PACKET)));
}

/* --- bad input, while somebody else streams --------------------------------- */

static struct streamer {
	int fd;
	uint64_t first;
	uint64_t packets;
} streamer;

static int stream_run(void *arg)
{
	const struct streamer *s = arg;
	const char *error;
	struct verifier v;

	verify_from(&v, s->first);
	error = read_packets(s->fd, &v, s->packets, 2000);
	if (error)
		printf("# the other client: %s\n", error);
	return !!error || v.packets != s->packets;
}

/* Starts somebody who must get all of @packets. */
static pid_t start_streamer(uint64_t packets)
{
	pid_t pid;

	streamer = (struct streamer){ .fd = node_open(O_RDONLY),
				      .first = next_counter(),
				      .packets = packets };
	pid = spawn(stream_run, &streamer);
	await_sleeping(pid);
	return pid;
}

static void finish_streamer(pid_t pid)
{
	struct mydev_stats s;

	assert_int_equal(reap(pid, 90), 0);
	s = stats_of(streamer.fd);
	assert_int_equal(s.client_read_packets, streamer.packets);
	assert_int_equal(s.client_lost_packets, 0);
}

static struct bad {
	const char *what;
	struct mydev_config config;
	int error;
} bad_configs[] = {
	{ "mode 3", GOOD(.mode = 3), EOPNOTSUPP },
	{ "mode -1", GOOD(.mode = UINT_MAX), EOPNOTSUPP },
	{ "policy 3", GOOD(.policy = 3), EOPNOTSUPP },
	{ "policy -1", GOOD(.policy = UINT_MAX), EOPNOTSUPP },
	{ "clock 3", GOOD(.clock = 3), EOPNOTSUPP },
	{ "clock -1", GOOD(.clock = UINT_MAX), EOPNOTSUPP },
	{ "depth 0", DEPTH(0, .mode = 0), ERANGE },
	{ "depth 65537", DEPTH(65537, .mode = 0), ERANGE },
	{ "depth -1", DEPTH(UINT_MAX, .mode = 0), ERANGE },
	{ "unknown flag", GOOD(.flags = 2), EINVAL },
	{ "all flags", GOOD(.flags = UINT_MAX), EINVAL },
	{ "size 0", CONFIG(0, 1024, .mode = 0), EINVAL },
	{ "size one short", CONFIG(SIZE - 1, 1024, .mode = 0), EINVAL },
	{ "size of two pages", CONFIG(8192, 1024, .mode = 0), E2BIG },
	{ "size -1", CONFIG(UINT_MAX, 1024, .mode = 0), E2BIG },
};

TEST(bad_values)
{
	struct mydev_config set = DEPTH(99, .mode = MYDEV_MODE_PACKET,
					.policy = MYDEV_POLICY_DROP_OLDEST, .watermark = 7);
	int fd = node_open(O_RDONLY), writer = node_open(O_WRONLY);
	uint64_t packets = slow_lane() ? 3000 : 10000, tries = 0;
	struct {
		struct mydev_config config;
		uint32_t tail[2];
	} tail = { .config = GOOD(.mode = 0), .tail = { 0, 1 } };
	char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	assert_ptr_not_equal(page, MAP_FAILED);
	deadline(150);
	tail.config.size = sizeof(tail);
	assert_int_equal(info_of(fd).max_queue_depth, 65536);
	assert_int_equal(try_config(fd, set), 0);
	pid = start_streamer(packets);
	ask(fd);
	feed(packets, "1000");
	do {
		for (size_t i = 0; i < sizeof(bad_configs) / sizeof(*bad_configs); i++) {
			int error = try_config(fd, bad_configs[i].config);

			if (error != bad_configs[i].error)
				fail_msg("%s: %s", bad_configs[i].what, strerror(error));
			if (error == EOPNOTSUPP || error == ERANGE)
				error = EBADF;
			if (bad_configs[i].config.queue_depth || error != EBADF)
				assert_int_equal(try_config(writer, bad_configs[i].config), error);
		}
		assert_errno(ioctl(fd, MYDEV_IOC_SET_CONFIG, &tail), E2BIG);
		assert_errno(ioctl(fd, MYDEV_IOC_SET_CONFIG, NULL), EFAULT);
		assert_errno(ioctl(fd, MYDEV_IOC_GET_CONFIG, NULL), EFAULT);
		/* All zero: the size is too small before anything is written. */
		assert_errno(ioctl(fd, MYDEV_IOC_GET_CONFIG, page), EINVAL);
		assert_true(same(config_of(writer), (struct mydev_config){ .size = SIZE }));
		assert_int_equal(try_config(writer, set), EBADF);
		assert_true(same(config_of(fd), set));
		tries++;
	} while (!sim_is("quiet"));
	printf("# %llu rounds of %zu bad requests\n", (unsigned long long)tries,
	       sizeof(bad_configs) / sizeof(*bad_configs) + 6);
	finish_streamer(pid);
	munmap(page, 4096);
}

TEST(only_ones_own)
{
	struct mydev_config mine =
		DEPTH(7, .mode = MYDEV_MODE_PACKET, .policy = MYDEV_POLICY_DROP_NEWEST,
		      .clock = MYDEV_CLOCK_BOOTTIME, .watermark = 5, .latency_us = 6);
	int one = node_open(O_RDONLY), two = node_open(O_RDWR), three;
	struct mydev_config theirs = config_of(two);

	assert_int_equal(try_config(one, mine), 0);
	three = node_open(O_RDONLY);
	assert_true(same(config_of(one), mine));
	assert_true(same(config_of(two), theirs));
	assert_true(same(config_of(three), theirs));
	ask(one);
	ask(two);
	feed(30, "1000");
	await_queued(two, 30);
	assert_int_equal(read(two, buf, sizeof(buf)), 30000);
	assert_int_equal(stats_of(two).client_lost_packets, 0);
	assert_int_equal(stats_of(one).client_queued_packets, 7);
	assert_int_equal(stats_of(one).client_lost_packets, 23);
}

/* --- good input, as often as possible ---------------------------------------- */

static struct {
	int fd;
	volatile bool end;
	bool may_drop;
	volatile uint64_t changes;
} changer;

static void *change_settings(void *arg)
{
	uint64_t seed = *(uint64_t *)arg;

	while (!changer.end) {
		struct mydev_config c = GOOD(.mode = MYDEV_MODE_PACKET);

		c.policy = changer.may_drop ? random_next(&seed) % 3 : MYDEV_POLICY_LOSSLESS;
		c.clock = random_next(&seed) % 3;
		c.watermark = random_next(&seed) % 3000;
		c.latency_us = 1 + random_next(&seed) % 3000;
		c.queue_depth = 1 + random_next(&seed) % (changer.may_drop ? 40 : 2000);
		if (try_config(changer.fd, c))
			break;
		changer.changes++;
	}
	return NULL;
}

/* The times of three clocks, one behind the other, do not only grow. */
static void forget_time(const struct mydev_packet_header *h, void *arg)
{
	(void)h;
	((struct records *)arg)->last_time = 0;
}

static void change_while_streaming(bool may_drop)
{
	uint64_t packets = slow_lane() ? 1500 : 10000, seed = test_seed();
	int fd = node_open(O_RDONLY);
	struct mydev_stats s;
	const char *error;
	struct records r;
	pthread_t thread;
	pid_t pid;

	deadline(150);
	configure(fd, .mode = MYDEV_MODE_PACKET);
	records_from(&r, next_counter(), stats_of(fd).packets);
	r.one_to_one = true;
	r.each = forget_time;
	r.arg = &r;
	pid = start_streamer(packets);
	ask(fd);
	changer = (typeof(changer)){ .fd = fd, .may_drop = may_drop };
	assert_int_equal(pthread_create(&thread, NULL, change_settings, &seed), 0);
	feed(packets, "1000");
	error = read_records(fd, &r, packets, sizeof(buf));
	/* It may not have had the processor until now. */
	await(changer.changes > 10);
	changer.end = true;
	pthread_join(thread, NULL);
	if (error)
		fail_msg("%s", error);
	finish_streamer(pid);
	s = stats_of(fd);
	printf("# %llu changes, %llu packets lost in %llu gaps\n",
	       (unsigned long long)changer.changes, (unsigned long long)r.lost_packets,
	       (unsigned long long)r.gaps);
	assert_int_equal(r.packets + r.lost_packets, packets);
	assert_int_equal(r.bytes + r.lost_bytes, packets * 1000);
	assert_int_equal(s.client_lost_packets, r.lost_packets);
	assert_int_equal(s.client_read_packets, r.packets);
	assert_true(may_drop || !r.lost_packets);
}

TEST(lossless_changes)
{
	change_while_streaming(false);
}

TEST(all_changes)
{
	change_while_streaming(true);
}

/* What is queued stays queued, also when the queue gets shorter than that. */
TEST(shorter_than_queued)
{
	int fd = node_open(O_RDONLY), transfers;
	struct mydev_stats s;
	struct records r;

	transfers = info_of(fd).transfers;
	configure(fd, .mode = MYDEV_MODE_PACKET, .queue_depth = 500);
	records_from(&r, next_counter(), stats_of(fd).packets);
	ask(fd);
	feed_forever("1000");
	await_ring_stop(fd);
	s = stats_of(fd);
	assert_in_range(s.client_queued_packets, 500, 500 + transfers);
	configure(fd, .mode = MYDEV_MODE_PACKET, .queue_depth = 3);
	assert_int_equal(stats_of(fd).client_queued_packets, s.client_queued_packets);
	take_records(fd, &r, 1000, record_size(1000));
	assert_int_equal(r.gaps, 0);
	assert_true(stats_of(fd).client_queued_packets <= 3 + (unsigned int)transfers);
	configure(fd, .mode = MYDEV_MODE_PACKET, .queue_depth = 500);
	take_records(fd, &r, 1000, record_size(1000));
	await_ring_stop(fd);
	assert_in_range(stats_of(fd).client_queued_packets, 500, 500 + transfers);
	assert_int_equal(r.gaps, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("the settings of a new client", defaults, fresh_defaults),
		PROMISE("what is set is what is got, for every value", round_trip, fresh_defaults),
		PROMISE("the longest queue, for a hundred clients", all_together, fresh_defaults),
		PROMISE("structures that are longer than this kernel's", sizes, fresh_defaults),
		PROMISE("each bad value its errno, nothing changed, no packet lost by another",
			bad_values, fresh_defaults),
		PROMISE("settings are this client's alone", only_ones_own, fresh_defaults),
		PROMISE("changes at full rate lose and repeat nothing for a lossless client",
			lossless_changes, fresh_defaults),
		PROMISE("changes of policy at full rate: all is received or in a gap", all_changes,
			fresh_defaults),
		PROMISE("a queue that is made shorter keeps what it has", shorter_than_queued,
			fresh_defaults),
	};

	return run_promises(tests);
}
