// SPDX-License-Identifier: GPL-2.0-only
/* The receive ring of the device: what it may be set to, when, and what then. */
#include <inttypes.h>
#include <limits.h>
#include <sys/ioctl.h>

#include "inject.h"
#include "records.h"
#include "settings.h"

static _Alignas(8) char buf[1 << 18];

static struct mydev_geometry wish(uint32_t transfers, uint32_t size, uint64_t pool_bytes)
{
	return (struct mydev_geometry){ .size = sizeof(struct mydev_geometry),
					.transfers = transfers,
					.transfer_size = size,
					.pool_bytes = pool_bytes };
}

static void expect_geometry(int fd, uint32_t transfers, uint32_t size, uint32_t buffers)
{
	struct mydev_geometry g = geometry_of(fd);
	struct mydev_info info = info_of(fd);

	assert_int_equal(g.transfers, transfers);
	assert_int_equal(g.transfer_size, size);
	assert_int_equal(g.pool_bytes, (uint64_t)buffers * size);
	assert_int_equal(info.transfers, transfers);
	assert_int_equal(info.transfer_size, size);
	assert_int_equal(info.pool_buffers, buffers);
	assert_int_equal(sysfs_number("transfers"), transfers);
	assert_int_equal(sysfs_number("transfer_size"), size);
	assert_int_equal(sysfs_number("pool_bytes"), (uint64_t)buffers * size);
	assert_int_equal(sysfs_number("pool_buffers"), buffers);
}

/* The ring really is so: in flight, and where the device has to wait. */
static void expect_ring(uint32_t transfers, uint32_t size, uint32_t buffers)
{
	int fd = node_open(O_RDONLY);
	uint64_t first = next_counter();
	struct verifier v;

	assert_int_equal(stats_of(fd).free_buffers, buffers);
	configure(fd, .queue_depth = info_of(fd).max_queue_depth);
	ask(fd);
	await(stats_of(fd).in_flight == transfers);
	assert_int_equal(stats_of(fd).free_buffers, buffers - transfers);
	/* One buffer each: more than an eighth of it, and less than all. */
	feed_forever(size > 2048 ? "700-1000" : "300");
	if (size <= 4096) {
		await_ring_stop(fd);
		assert_int_equal(stats_of(fd).client_queued_packets, buffers);
	}
	verify_from(&v, first);
	take_packets(fd, &v, 500, 100);
	take_rest(fd, &v);
	close(fd);
}

TEST(by_ioctl)
{
	int fd = node_open(O_RDWR);
	struct mydev_geometry g = geometry_of(fd);

	assert_true(info_of(fd).features & MYDEV_FEATURE_GEOMETRY);
	expect_geometry(fd, g.transfers, g.transfer_size, g.pool_bytes / g.transfer_size);
	g = wish(5, 4096, 40 * 4096);
	assert_int_equal(try_geometry(fd, &g), 0);
	assert_int_equal(g.transfers, 5);
	assert_true(g.max_transfers >= 5 && g.max_transfer_size >= 4096);
	expect_geometry(fd, 5, 4096, 40);
	close(fd);
	expect_ring(5, 4096, 40);

	/* While it is open and idle: used by the one who has it open. */
	fd = node_open(O_RDWR);
	g = wish(16, 2048, 64 * 2048);
	assert_int_equal(try_geometry(fd, &g), 0);
	assert_int_equal(stats_of(fd).free_buffers, 64);
	ask(fd);
	await(stats_of(fd).in_flight == 16);
	close(fd);
	expect_ring(16, 2048, 64);
	expect_geometry(node_open(O_RDONLY), 16, 2048, 64);
}

TEST(by_sysfs)
{
	int fd = node_open(O_RDONLY);

	assert_int_equal(sysfs_write("transfers", "7"), 0);
	assert_int_equal(sysfs_write("transfer_size", "3072"), 0);
	assert_int_equal(sysfs_write("pool_bytes", "92160"), 0);
	expect_geometry(fd, 7, 3072, 30);
	assert_int_equal(stats_of(fd).free_buffers, 30);
	close(fd);
	expect_ring(7, 3072, 30);
}

TEST(smallest_and_largest)
{
	int fd = node_open(O_RDWR);
	struct mydev_geometry g, max = geometry_of(fd);

	g = wish(1, 1024, 3 * 1024);
	assert_int_equal(try_geometry(fd, &g), 0);
	expect_geometry(fd, 1, 1024, 3);
	close(fd);
	expect_ring(1, 1024, 3);

	fd = node_open(O_RDWR);
	g = wish(max.max_transfers, 4096, max.max_transfers * 2 * 4096);
	assert_int_equal(try_geometry(fd, &g), 0);
	close(fd);
	expect_ring(max.max_transfers, 4096, max.max_transfers * 2);

	fd = node_open(O_RDWR);
	g = wish(4, max.max_transfer_size, max.max_pool_bytes);
	assert_int_equal(try_geometry(fd, &g), 0);
	expect_geometry(fd, 4, max.max_transfer_size, max.max_pool_bytes / max.max_transfer_size);
	close(fd);
	expect_ring(4, max.max_transfer_size, max.max_pool_bytes / max.max_transfer_size);
}

TEST(rounded_down)
{
	int fd = node_open(O_RDWR);
	struct mydev_geometry g = wish(4, 4096 + 1023, 10 * 4096 + 4095);

	assert_int_equal(try_geometry(fd, &g), 0);
	assert_int_equal(g.transfer_size, 4096);
	assert_int_equal(g.pool_bytes, 10 * 4096);
	expect_geometry(fd, 4, 4096, 10);
}

TEST(beyond_limits)
{
	int fd = node_open(O_RDWR);
	struct mydev_geometry old = geometry_of(fd);
	struct mydev_geometry bad[] = {
		wish(0, 4096, 1 << 20),
		wish(old.max_transfers + 1, 4096, 1 << 20),
		wish(UINT_MAX, 4096, 1 << 20),
		wish(4, 0, 1 << 20),
		wish(4, 1023, 1 << 20),
		wish(4, old.max_transfer_size + 1, 1 << 20),
		wish(4, UINT_MAX, 1 << 20),
		wish(4, 4096, 6 * 4096 - 1),
		wish(4, 4096, 0),
		wish(4, 4096, old.max_pool_bytes + 1),
		wish(4, 4096, UINT64_MAX),
		wish(old.max_transfers, old.max_transfer_size, old.max_pool_bytes * 2),
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct mydev_geometry g = bad[i];

		assert_int_equal(try_geometry(fd, &g), ERANGE);
		assert_int_equal(g.max_transfers, old.max_transfers);
		assert_int_equal(g.max_transfer_size, old.max_transfer_size);
		assert_int_equal(g.max_pool_bytes, old.max_pool_bytes);
		expect_geometry(fd, old.transfers, old.transfer_size,
				old.pool_bytes / old.transfer_size);
	}
}

/* Who writes to a file gets no structure back: the log tells the limits. */
TEST(beyond_limits_in_sysfs)
{
	int fd = node_open(O_RDWR), log = log_open();
	struct mydev_geometry old = geometry_of(fd);
	struct {
		const char *attribute;
		uint64_t limit;
	} limits[] = {
		{ "transfers", old.max_transfers },
		{ "transfer_size", old.max_transfer_size },
		{ "pool_bytes", old.max_pool_bytes },
	};

	for (int i = 0; i < 3; i++) {
		const char *attribute = limits[i].attribute;
		char number[32], limit[32];

		/* What earlier tests have caused is none of it. */
		log_lines(log, "");
		snprintf(number, sizeof(number), "%" PRIu64, limits[i].limit + 1);
		snprintf(limit, sizeof(limit), " %" PRIu64 " ", limits[i].limit);
		assert_int_equal(sysfs_write(attribute, number), ERANGE);
		if (!log_lines(log, limit))
			fail_msg("%s: the log does not name the limit of %" PRIu64, attribute,
				 limits[i].limit);
		assert_int_equal(sysfs_write(attribute, "0"), ERANGE);
		assert_int_equal(sysfs_write(attribute, "-1"), EINVAL);
		assert_int_equal(sysfs_write(attribute, "many"), EINVAL);
	}
	expect_geometry(fd, old.transfers, old.transfer_size, old.pool_bytes / old.transfer_size);
}

TEST(bad_arguments)
{
	int fd = node_open(O_RDWR), reader = node_open(O_RDONLY);
	struct mydev_geometry old = geometry_of(fd), g;
	struct {
		struct mydev_geometry g;
		uint64_t tail;
	} more = { .g = wish(4, 4096, 1 << 20) };

	g = wish(4, 4096, 1 << 20);
	assert_int_equal(try_geometry(reader, &g), EBADF);
	g.size--;
	assert_int_equal(try_geometry(fd, &g), EINVAL);
	more.g.size = sizeof(more);
	more.tail = 1;
	assert_int_equal(try_geometry(fd, &more.g), E2BIG);
	assert_errno(ioctl(fd, MYDEV_IOC_SET_GEOMETRY, NULL), EFAULT);
	expect_geometry(reader, old.transfers, old.transfer_size,
			old.pool_bytes / old.transfer_size);
	more.tail = 0;
	assert_int_equal(try_geometry(fd, &more.g), 0);
	assert_int_equal(more.g.size, sizeof(more.g));
}

/* The log has so many, by every account of it. */
static void expect_log(int fd, uint32_t entries)
{
	struct mydev_map map = { .size = sizeof(map) };

	assert_int_equal(geometry_of(fd).log_entries, entries);
	if (!(info_of(fd).features & MYDEV_FEATURE_RING))
		return;
	assert_return_code(ioctl(fd, MYDEV_IOC_GET_MAP, &map), errno);
	assert_int_equal(map.entries, entries);
}

static int try_log(int fd, uint32_t entries, struct mydev_geometry *g)
{
	*g = geometry_of(fd);
	g->log_entries = entries;
	return try_geometry(fd, g);
}

TEST(log_entries)
{
	static const struct {
		uint32_t wanted;
		uint32_t entries;
	} good[] = { { 512, 512 }, { 513, 1024 }, { 1000, 1024 }, { 4096, 4096 }, { 4097, 8192 } };
	int fd = node_open(O_RDWR);
	struct mydev_geometry g, old = geometry_of(fd);

	assert_in_range(old.log_entries, 512, old.max_log_entries);
	expect_log(fd, old.log_entries);
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_int_equal(try_log(fd, good[i].wanted, &g), 0);
		assert_int_equal(g.log_entries, good[i].entries);
		expect_log(fd, good[i].entries);
	}
	assert_int_equal(try_log(fd, old.max_log_entries, &g), 0);
	expect_log(fd, old.max_log_entries);
	close(fd);
	expect_ring(old.transfers, old.transfer_size, old.pool_bytes / old.transfer_size);
	fd = node_open(O_RDWR);
	assert_int_equal(try_log(fd, 512, &g), 0);
	close(fd);
	expect_ring(old.transfers, old.transfer_size, old.pool_bytes / old.transfer_size);
}

TEST(log_entries_beyond_limits)
{
	int fd = node_open(O_RDWR);
	struct mydev_geometry g, old = geometry_of(fd);
	const uint32_t bad[] = { 1, 2, 511, old.max_log_entries + 1, UINT_MAX };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(try_log(fd, bad[i], &g), ERANGE);
		assert_int_equal(g.max_log_entries, old.max_log_entries);
		assert_int_equal(g.log_entries, old.log_entries);
		expect_log(fd, old.log_entries);
	}
}

/* By 0, packets of 64 bytes fill the pool first, where the limit allows it. */
TEST(log_entries_by_default)
{
	int fd = node_open(O_RDWR);
	struct mydev_geometry g = wish(4, 4096, 1 << 20);

	assert_int_equal(try_geometry(fd, &g), 0);
	assert_in_range(g.log_entries, (1 << 20) / 64, 2 * (1 << 20) / 64);
	g = wish(4, 4096, g.max_pool_bytes);
	assert_int_equal(try_geometry(fd, &g), 0);
	assert_int_equal(g.log_entries, g.max_log_entries);
}

/* Nobody's stream is cut by it. */
TEST(busy)
{
	int writer = node_open(O_WRONLY), fd = node_open(O_RDONLY), idle = node_open(O_RDONLY);
	struct mydev_geometry old = geometry_of(writer), g = wish(4, 4096, 1 << 20);
	uint64_t first = next_counter();
	struct verifier v;

	ask(fd);
	assert_int_equal(try_geometry(writer, &g), EBUSY);
	assert_int_equal(sysfs_write("transfers", "4"), EBUSY);
	feed(2000, "100-3000");
	verify_from(&v, first);
	for (int i = 0; i < 100; i++) {
		take_packets(fd, &v, 10, 100);
		assert_int_equal(try_geometry(writer, &g), EBUSY);
		assert_int_equal(sysfs_write("pool_bytes", "2097152"), EBUSY);
	}
	take_packets(fd, &v, 2000 - v.packets, sizeof(buf));
	assert_int_equal(stats_of(fd).client_lost_packets, 0);
	await(stats_of(fd).in_flight == old.transfers);
	expect_geometry(fd, old.transfers, old.transfer_size, old.pool_bytes / old.transfer_size);
	close(fd);
	/* What the idle one has queued is in the old buffers. */
	assert_true(stats_of(idle).client_queued_packets > 0);
	assert_int_equal(try_geometry(writer, &g), EBUSY);
	close(idle);
	assert_int_equal(try_geometry(writer, &g), 0);
}

/* A few small packets share one buffer, which is in use none the less. */
TEST(busy_with_small_packets)
{
	int writer = node_open(O_WRONLY), idle = node_open(O_RDONLY), asker = node_open(O_RDONLY);
	struct mydev_geometry g = wish(4, 4096, 1 << 20);
	uint64_t first = next_counter();
	struct verifier v;

	ask(asker);
	feed(5, "100");
	await_queued(idle, 5);
	close(asker);
	assert_int_equal(stats_of(idle).in_flight, 0);
	assert_int_equal(try_geometry(writer, &g), EBUSY);
	verify_from(&v, first);
	take_packets(idle, &v, 5, sizeof(buf));
	close(idle);
	assert_int_equal(try_geometry(writer, &g), 0);
}

TEST(no_memory)
{
	int fd, failures = 0, spared = 0;
	struct mydev_geometry old, g;
	struct verifier v;

	inject_or_skip();
	fd = node_open(O_RDWR);
	old = geometry_of(fd);
	/* How many allocations there are differs a little from time to time. */
	for (unsigned int nth = 1; spared < 8; nth++) {
		int error;

		g = wish(6, 4096, 20 * 4096);
		inject_begin(nth);
		error = try_geometry(fd, &g);
		spared = inject_end() ? 0 : spared + 1;
		if (!error || error == EFAULT) {
			/* One that was retried; a copy from or to us; the last. */
			g = wish(old.transfers, old.transfer_size, old.pool_bytes);
			assert_int_equal(try_geometry(fd, &g), 0);
			continue;
		}
		assert_int_equal(error, ENOMEM);
		failures++;
		expect_geometry(fd, old.transfers, old.transfer_size,
				old.pool_bytes / old.transfer_size);
		assert_int_equal(stats_of(fd).free_buffers, old.pool_bytes / old.transfer_size);
	}
	printf("# %d allocations failed, and the old ring was still there\n", failures);
	/* Each buffer at least. */
	assert_true(failures >= 20);
	verify_from(&v, next_counter());
	feed(100, "1000");
	take_packets(fd, &v, 100, 1000);
	await(stats_of(fd).in_flight == old.transfers);
}

/* A device that was unplugged has no ring to be set. */
TEST(unplugged)
{
	int fd = node_open(O_RDWR);
	struct mydev_geometry g = wish(4, 4096, 1 << 20);

	unplug();
	assert_int_equal(try_geometry(fd, &g), ENODEV);
	assert_true(geometry_of(fd).transfers > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("set by ioctl: in force at once, and the ring is so", by_ioctl,
			fresh_defaults),
		PROMISE("set in sysfs: the same", by_sysfs, fresh_defaults),
		PROMISE("the smallest and the largest ring carry the stream", smallest_and_largest,
			fresh_defaults),
		PROMISE("sizes are rounded down to what the bus can take", rounded_down,
			fresh_defaults),
		PROMISE("beyond a limit: ERANGE, limits told, nothing changed", beyond_limits,
			fresh_defaults),
		PROMISE("the same in sysfs: ERANGE, limits told in the log", beyond_limits_in_sysfs,
			fresh_defaults),
		PROMISE("entries of the log: a power of two, in force at once", log_entries,
			fresh_defaults),
		PROMISE("entries of the log beyond a limit: ERANGE, limit told",
			log_entries_beyond_limits, fresh_defaults),
		PROMISE("entries of the log: 0 is as many as the pool has room for",
			log_entries_by_default, fresh_defaults),
		PROMISE("bad arguments: each its errno, nothing changed", bad_arguments,
			fresh_defaults),
		PROMISE("EBUSY while somebody asks for data or has some queued", busy,
			fresh_defaults),
		PROMISE("EBUSY while somebody has only small packets queued",
			busy_with_small_packets, fresh_defaults),
		PROMISE("no memory: ENOMEM, and the old ring still works", no_memory,
			fresh_defaults),
		PROMISE("after an unplug: ENODEV", unplugged, fresh_defaults),
	};

	return run_promises(tests);
}
