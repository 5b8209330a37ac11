// SPDX-License-Identifier: GPL-2.0-only
/* Reading and waiting with io_uring. */
#include <dirent.h>
#include <liburing.h>
#include <poll.h>
#include <sys/epoll.h>

#include "rings.h"

#define ENTRIES 8

static struct io_uring ring;
static char bufs[ENTRIES][1 << 16];

/* In a sandbox or a kernel without it there is nothing to test. */
static void need_ring(void)
{
	int ret = io_uring_queue_init(ENTRIES, &ring, 0);

	if (ret == -ENOSYS || ret == -EPERM) {
		print_message("# this kernel has no io_uring: %s\n", strerror(-ret));
		skip();
	}
	assert_int_equal(ret, 0);
}

static void submit_read(int fd, unsigned int slot, size_t size)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	assert_non_null(sqe);
	io_uring_prep_read(sqe, fd, bufs[slot], size, -1);
	io_uring_sqe_set_data64(sqe, slot);
	assert_int_equal(io_uring_submit(&ring), 1);
}

/* The next result within 30 s; which read it is of goes to @slot. */
static int result(unsigned int *slot)
{
	struct __kernel_timespec limit = { .tv_sec = 30 };
	struct io_uring_cqe *cqe;
	int ret = io_uring_wait_cqe_timeout(&ring, &cqe, &limit);

	if (ret)
		fail_msg("no completion: %s", strerror(-ret));
	ret = cqe->res;
	*slot = io_uring_cqe_get_data64(cqe);
	io_uring_cqe_seen(&ring, cqe);
	return ret;
}

static bool pending(void)
{
	struct io_uring_cqe *cqe;

	return io_uring_peek_cqe(&ring, &cqe) == -EAGAIN;
}

static int threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	int count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

TEST(data_is_there)
{
	int fd = node_open(O_RDONLY | O_NONBLOCK);
	struct verifier v;
	unsigned int slot;

	need_ring();
	verify_from(&v, next_counter());
	assert_errno(read(fd, bufs[0], 1), EAGAIN);
	feed(3, "1000");
	await(stats_of(fd).client_queued_packets == 3);
	assert_return_code(fcntl(fd, F_SETFL, 0), errno);
	submit_read(fd, 0, sizeof(bufs[0]));
	/* Done while it was submitted. */
	assert_false(pending());
	assert_int_equal(result(&slot), 3000);
	assert_true(verifier_feed(&v, bufs[0], 3000));
	io_uring_queue_exit(&ring);
}

TEST(pends_and_completes)
{
	int fd = node_open(O_RDONLY);
	struct verifier v;
	unsigned int slot;

	need_ring();
	verify_from(&v, next_counter());
	for (int i = 0; i < 20; i++) {
		submit_read(fd, 0, sizeof(bufs[0]));
		if (!i)
			assert_stays(pending());
		assert_true(pending());
		feed(1, "5000");
		assert_int_equal(result(&slot), 5000);
		assert_true(verifier_feed(&v, bufs[0], 5000));
	}
	/* It waited by poll, and kept no thread of the kernel waiting. */
	assert_int_equal(threads(), 1);
	io_uring_queue_exit(&ring);
}

TEST(stream)
{
	int fd = node_open(O_RDONLY);
	struct verifier v;
	unsigned int slot;
	int n;

	need_ring();
	verify_from(&v, next_counter());
	feed(1000, "100-9000");
	while (v.packets < 1000) {
		submit_read(fd, 0, sizeof(bufs[0]));
		n = result(&slot);
		assert_in_range(n, 1, sizeof(bufs[0]));
		assert_true(verifier_feed(&v, bufs[0], n));
	}
	io_uring_queue_exit(&ring);
}

/* Each client has one that waits; one packet completes them all. */
TEST(many_pending)
{
	uint64_t first = next_counter();
	unsigned int slot, seen = 0;
	struct verifier v;

	need_ring();
	for (unsigned int i = 0; i < ENTRIES; i++)
		submit_read(node_open(O_RDONLY), i, sizeof(bufs[i]));
	assert_true(pending());
	feed(1, "3000");
	for (unsigned int i = 0; i < ENTRIES; i++) {
		assert_int_equal(result(&slot), 3000);
		seen |= 1U << slot;
		verify_from(&v, first);
		assert_true(verifier_feed(&v, bufs[slot], 3000));
	}
	assert_int_equal(seen, (1U << ENTRIES) - 1);
	io_uring_queue_exit(&ring);
}

static void submit_multishot(int fd)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	assert_non_null(sqe);
	io_uring_prep_poll_multishot(sqe, fd, POLLIN);
	assert_int_equal(io_uring_submit(&ring), 1);
}

/*
 * Those of wake-ups that nobody had to wait for. A completion queue that is full ends
 * a multishot poll.
 */
static void forget_results(void)
{
	struct io_uring_cqe *cqe;

	while (!io_uring_peek_cqe(&ring, &cqe)) {
		assert_true(cqe->flags & IORING_CQE_F_MORE);
		io_uring_cqe_seen(&ring, cqe);
	}
}

/* It stays armed without another look at the queue, which nobody reads. */
TEST(multishot_edges)
{
	int fd = node_open(O_RDONLY);
	unsigned int slot;

	need_ring();
	submit_multishot(fd);
	for (unsigned int i = 1; i <= 10; i++) {
		forget_results();
		feed(1, "100");
		assert_true(result(&slot) & POLLIN);
		await(stats_of(fd).client_queued_packets == i);
	}
	io_uring_queue_exit(&ring);
}

/* Nor does the program make a call when it has taken what there was. */
TEST(multishot_mapped)
{
	int fd = node_open(O_RDWR);
	struct ring_next next;
	unsigned int slot;
	struct rings r;

	need_ring();
	ring_open(&r, fd);
	submit_multishot(fd);
	for (unsigned int i = 0; i < 30; i++) {
		forget_results();
		feed(1, "100");
		do
			assert_true(result(&slot) & POLLIN);
		while (!ring_peek(&r, &next));
		assert_int_equal(next.entry.length, 100);
		assert_true(ring_give_back(&r, &next));
	}
	assert_int_equal(r.wakeups, 0);
	ring_close(&r);
	io_uring_queue_exit(&ring);
}

/*
 * Behind an epoll that is itself watched by edges nobody looks at the queue at all:
 * not who is woken, nor who takes packets. Several come within one tick.
 */
TEST(multishot_of_epoll)
{
	int fd = node_open(O_RDWR), ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN };
	struct ring_next next;
	unsigned int slot;
	struct rings r;

	need_ring();
	ring_open(&r, fd);
	assert_return_code(ep, errno);
	assert_return_code(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event), errno);
	submit_multishot(ep);
	for (unsigned int i = 0; i < 100; i++) {
		forget_results();
		feed(3, "100");
		for (unsigned int taken = 0; taken < 3; taken++) {
			while (!ring_peek(&r, &next))
				assert_true(result(&slot) & POLLIN);
			assert_int_equal(next.entry.length, 100);
			assert_true(ring_give_back(&r, &next));
		}
	}
	assert_int_equal(r.wakeups, 0);
	ring_close(&r);
	close(ep);
	io_uring_queue_exit(&ring);
}

TEST(unplugged)
{
	int fd = node_open(O_RDONLY), error;
	unsigned int slot;

	need_ring();
	submit_read(fd, 0, sizeof(bufs[0]));
	assert_true(pending());
	unplug();
	error = result(&slot);
	/* Where the hub is late in telling, the device seems to have failed. */
	if (error == -EIO) {
		submit_read(fd, 0, sizeof(bufs[0]));
		error = result(&slot);
	}
	assert_int_equal(error, -ENODEV);
	io_uring_queue_exit(&ring);
}

/* The ring goes while a read waits in it: nothing of it is left. */
TEST(given_up)
{
	int fd = node_open(O_RDONLY);

	need_ring();
	submit_read(fd, 0, sizeof(bufs[0]));
	assert_true(pending());
	close(fd);
	assert_int_equal(sysfs_number("clients"), 1);
	io_uring_queue_exit(&ring);
	await(sysfs_number("clients") == 0);
	assert_true(state_is("idle"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("a read of what is there completes at once", data_is_there, fresh),
		PROMISE("a read that must wait completes when data come", pends_and_completes,
			fresh),
		PROMISE("a whole stream, read by read", stream, fresh),
		PROMISE("reads of many clients wait in one ring", many_pending, fresh),
		PROMISE("a multishot poll is told of each packet, read or not", multishot_edges,
			fresh),
		PROMISE("a multishot poll and a mapped ring: each packet that follows",
			multishot_mapped, fresh_rings),
		PROMISE("the same behind an epoll that is watched by edges", multishot_of_epoll,
			fresh_rings),
		PROMISE("a read that waits ends with ENODEV on unplug", unplugged, fresh),
		PROMISE("a ring that is given up takes its reads with it", given_up, fresh),
	};

	return run_promises(tests);
}
