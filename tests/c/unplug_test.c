// SPDX-License-Identifier: GPL-2.0-only
/* The plug is pulled: what was received is read, then ENODEV; nobody hangs. */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "settings.h"

static char buf[1 << 18];

static int open_asking(int flags)
{
	int fd = node_open(flags | O_NONBLOCK);

	assert_errno(read(fd, buf, 1), EAGAIN);
	return fd;
}

TEST(drains_then_enodev)
{
	uint64_t first = next_counter();
	int one = open_asking(O_RDONLY), two = open_asking(O_RDONLY);
	uint64_t stops = stats_of(one).ring_stops;
	struct mydev_stats s;
	struct verifier v;

	feed(50, "5000");
	await(stats_of(one).client_queued_packets == 50);
	unplug();
	s = stats_of(one);
	assert_int_equal(s.state, MYDEV_STATE_GONE);
	assert_int_equal(s.in_flight, 0);
	assert_int_equal(s.client_queued_packets, 50);
	/* That is no case of slow readers. */
	assert_int_equal(s.ring_stops, stops);

	/* One goes on non-blocking, the other may wait. */
	assert_return_code(fcntl(two, F_SETFL, 0), errno);
	verify_from(&v, first);
	take_packets(one, &v, 50, 0);
	for (int i = 0; i < 3; i++)
		assert_errno(read(one, buf, 1), ENODEV);
	verify_from(&v, first);
	take_packets(two, &v, 50, sizeof(buf));
	for (int i = 0; i < 3; i++)
		assert_errno(read(two, buf, 1), ENODEV);
	s = stats_of(one);
	assert_int_equal(s.client_read_packets, 50);
	assert_true(identity_holds(&s));
	assert_int_equal(s.free_buffers, info_of(one).pool_buffers);
}

/* What a transfer had received that was never completed. */
TEST(begun_transfer_is_read)
{
	uint64_t first = next_counter(), sent = sim_number("packets");
	int fd = open_asking(O_RDONLY);
	struct verifier v;

	feed(1, "2048");
	await(sim_number("packets") == sent + 1);
	unplug();
	verify_from(&v, first);
	take_packets(fd, &v, 1, sizeof(buf));
	assert_errno(read(fd, buf, 1), ENODEV);
}

struct stream_end {
	int fd;
	int error;
	struct verifier v;
};

static int stream_to_end(void *arg)
{
	struct stream_end *end = arg;

	end->error = read_to_end(end->fd, &end->v);
	return 0;
}

/* Flat out: each packet that the device got rid of is read by everybody. */
TEST(every_completed_packet)
{
	struct stream_end *end = shared_memory(2 * sizeof(*end));

	for (int round = 0; round < 4; round++) {
		uint64_t sent = sim_number("packets");
		pid_t pids[2];

		for (int i = 0; i < 2; i++) {
			end[i].fd = node_open(O_RDONLY);
			verify_from(&end[i].v, next_counter());
			pids[i] = spawn(stream_to_end, &end[i]);
			await_sleeping(pids[i]);
		}
		feed_forever("5000");
		await(sim_number("packets") > sent + 200);
		unplug();
		for (int i = 0; i < 2; i++) {
			assert_int_equal(reap(pids[i], 30), 0);
			close(end[i].fd);
			if (!verifier_finish(&end[i].v, true, false))
				fail_msg("%s", end[i].v.error_text);
			assert_int_equal(end[i].error, ENODEV);
			/* The device learns of the last ones only later. */
			await(end[i].v.packets == sim_number("packets") - sent);
		}
		fresh(NULL);
	}
	munmap(end, 2 * sizeof(*end));
}

TEST(idle_member)
{
	int fd = node_open(O_RDONLY);

	unplug();
	assert_errno(read(fd, buf, 1), ENODEV);
	assert_int_equal(read(fd, buf, 0), 0);
}

TEST(events_after_unplug)
{
	int fd = open_asking(O_RDONLY), ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDNORM };
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLRDNORM };

	assert_return_code(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev), errno);
	feed(2, "1000");
	await(stats_of(fd).client_queued_packets == 2);
	unplug();
	for (int left = 2000; left >= 0; left -= 500) {
		assert_int_equal(poll(&p, 1, 0), 1);
		assert_int_equal(p.revents, POLLIN | POLLRDNORM | POLLHUP | POLLERR);
		assert_int_equal(epoll_wait(ep, &ev, 1, 0), 1);
		assert_int_equal(ev.events, EPOLLIN | EPOLLRDNORM | EPOLLHUP | EPOLLERR);
		if (left)
			assert_int_equal(read(fd, buf, 500), 500);
	}
	assert_errno(read(fd, buf, 500), ENODEV);

	/* Somebody who waits for no event learns it too. */
	p.events = 0;
	assert_int_equal(poll(&p, 1, 0), 1);
	assert_int_equal(p.revents, POLLHUP | POLLERR);
}

enum { IN_READ, IN_POLL, IN_POLL_HUP, IN_EPOLL_ET, IN_SELECT, WAYS };

struct sleeper {
	int fd;
	int way;
};

/* Where the hub is late in telling, the device seems to have failed: EIO, no HUP. */
static int sleep_until_gone(void *arg)
{
	const struct sleeper *s = arg;
	struct pollfd p = { .fd = s->fd, .events = s->way == IN_POLL ? POLLIN : 0 };
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	int ep;
	fd_set set;

	switch (s->way) {
	case IN_READ:
		while (read(s->fd, buf, 1) < 0 && errno == EIO)
			nap();
		return !(read(s->fd, buf, 1) < 0 && errno == ENODEV);
	case IN_EPOLL_ET:
		ep = epoll_create1(0);
		epoll_ctl(ep, EPOLL_CTL_ADD, s->fd, &ev);
		do {
			if (epoll_wait(ep, &ev, 1, -1) != 1)
				return 1;
		} while (!(ev.events & EPOLLHUP) && ev.events & EPOLLERR);
		return (ev.events & (EPOLLHUP | EPOLLERR)) != (EPOLLHUP | EPOLLERR);
	case IN_SELECT:
		FD_ZERO(&set);
		FD_SET(s->fd, &set);
		return select(s->fd + 1, &set, NULL, NULL, NULL) != 1;
	default:
		while (poll(&p, 1, -1) == 1 && !(p.revents & POLLHUP) && p.revents & POLLERR)
			nap();
		return (p.revents & (POLLHUP | POLLERR)) != (POLLHUP | POLLERR);
	}
}

TEST(sleepers_wake_up)
{
	struct sleeper s[WAYS];
	pid_t pids[WAYS];

	for (int i = 0; i < WAYS; i++) {
		s[i] = (struct sleeper){ node_open(O_RDONLY), i };
		pids[i] = spawn(sleep_until_gone, &s[i]);
	}
	for (int i = 0; i < WAYS; i++)
		await_sleeping(pids[i]);
	unplug();
	for (int i = 0; i < WAYS; i++) {
		int status = reap(pids[i], PROMPT);

		if (status)
			fail_msg("sleeper %d: status %d", i, status);
	}
}

TEST(old_node_is_dead)
{
	char path[64];
	struct stat st;
	int handle = open(node, O_PATH | O_CLOEXEC), fd;

	assert_return_code(handle, errno);
	assert_return_code(fstat(handle, &st), errno);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", handle);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_return_code(fd, errno);
	unplug();
	assert_errno(open(node, O_RDONLY), ENOENT);
	/* Also while somebody has it open. */
	assert_errno(open(path, O_RDONLY), ENXIO);
	close(fd);
	assert_errno(open(path, O_RDONLY), ENXIO);
	/* The number itself leads nowhere. */
	unlink("/tmp/mydev-old");
	assert_return_code(mknod("/tmp/mydev-old", S_IFCHR | 0600, st.st_rdev), errno);
	assert_errno(open("/tmp/mydev-old", O_RDONLY), ENXIO);
	unlink("/tmp/mydev-old");
	snprintf(path, sizeof(path), "/sys/class/mydev%s", strrchr(node, '/'));
	assert_errno(access(path, F_OK), ENOENT);
	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u", major(st.st_rdev), minor(st.st_rdev));
	assert_errno(access(path, F_OK), ENOENT);
}

/* In a container a node is there for as long as the container. */
TEST(kept_node_works_again)
{
	int old = open_asking(O_RDONLY), handle = open(node, O_PATH | O_CLOEXEC), fd[2];
	struct verifier v;
	char path[64];
	struct stat st;

	assert_return_code(handle, errno);
	assert_return_code(fstat(handle, &st), errno);
	unlink("/tmp/mydev-kept");
	assert_return_code(mknod("/tmp/mydev-kept", S_IFCHR | 0600, st.st_rdev), errno);
	fd[0] = open("/tmp/mydev-kept", O_RDONLY | O_CLOEXEC);
	assert_return_code(fd[0], errno);
	unplug();
	assert_errno(open("/tmp/mydev-kept", O_RDONLY), ENXIO);
	plug();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", handle);
	fd[0] = open(path, O_RDONLY | O_CLOEXEC);
	fd[1] = open("/tmp/mydev-kept", O_RDONLY | O_CLOEXEC);
	for (int i = 0; i < 2; i++) {
		assert_return_code(fd[i], errno);
		ask(fd[i]);
	}
	assert_int_equal(info_of(old).index, info_of(fd[0]).index);
	verify_from(&v, next_counter());
	feed(10, "1000");
	take_packets(fd[0], &v, 10, 0);
	assert_int_equal(stats_of(fd[1]).client_queued_packets, 10);
	assert_errno(read(old, path, 1), ENODEV);
	unlink("/tmp/mydev-kept");
}

TEST(second_plug_is_fresh)
{
	int old = open_asking(O_RDONLY), new;
	struct mydev_info before = info_of(old), after;
	struct mydev_stats s, kept;
	struct verifier v;

	feed(10, "1000");
	await(stats_of(old).client_queued_packets == 10);
	unplug();
	kept = stats_of(old);
	plug();
	new = node_open(O_RDONLY);
	after = info_of(new);
	assert_int_equal(after.index, before.index);
	s = stats_of(new);
	assert_int_equal(s.packets, 0);
	assert_int_equal(s.bytes, 0);
	assert_int_equal(s.errors, 0);
	assert_int_equal(s.clients, 1);
	assert_int_equal(s.state, MYDEV_STATE_IDLE);

	/* The old one stays what it was, and disturbs nobody. */
	verify_from(&v, next_counter());
	feed(300, "1000");
	take_packets(new, &v, 300, 0);
	s = stats_of(old);
	assert_memory_equal(&s, &kept, sizeof(s));
	after = info_of(old);
	assert_memory_equal(&after, &before, sizeof(after));
	assert_int_equal(read(old, buf, sizeof(buf)), 10000);
	assert_errno(read(old, buf, 1), ENODEV);
	close(old);
	feed(3, "1000");
	take_packets(new, &v, 3, 0);
}

static long module_uses(void)
{
	char text[32] = "";
	int fd = open("/sys/module/mydev/refcnt", O_RDONLY);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		fail_msg("cannot read the module's count: %s", strerror(errno));
	close(fd);
	return strtol(text, NULL, 10);
}

TEST(module_stays_while_open)
{
	int fd;

	assert_int_equal(module_uses(), 0);
	fd = node_open(O_WRONLY);
	assert_true(module_uses() > 0);
	assert_errno(syscall(SYS_delete_module, "mydev", O_NONBLOCK), EWOULDBLOCK);
	unplug();
	/* Also without a device there is code that this file needs. */
	assert_true(module_uses() > 0);
	assert_errno(syscall(SYS_delete_module, "mydev", O_NONBLOCK), EWOULDBLOCK);
	close(fd);
	assert_int_equal(module_uses(), 0);
}

/* Nothing asks for data, everything just closes, in either order. */
TEST(close_after_unplug)
{
	int fds[3];

	for (int i = 0; i < 3; i++)
		fds[i] = i ? open_asking(O_RDONLY) : node_open(O_RDONLY);
	feed(20, "1000");
	await(stats_of(fds[1]).client_queued_packets == 20);
	close(fds[1]);
	unplug();
	close(fds[0]);
	plug();
	close(fds[2]);
	assert_int_equal(module_uses(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("readers drain what was received, then ENODEV", drains_then_enodev, fresh),
		PROMISE("also what a transfer that is cut short had received",
			begun_transfer_is_read, fresh),
		PROMISE("flat out: each packet whose transfer completed is read",
			every_completed_packet, fresh),
		PROMISE("a member that never asked gets ENODEV at once", idle_member, fresh),
		PROMISE("poll and epoll: IN while data is left, HUP and ERR from then on",
			events_after_unplug, fresh),
		PROMISE("sleepers in read, poll, epoll and select wake up within a second",
			sleepers_wake_up, fresh),
		PROMISE("the old node and number can no more be opened", old_node_is_dead, fresh),
		PROMISE("a node that was kept works again after a replug, whoever holds the old device",
			kept_node_works_again, fresh),
		PROMISE("a second plug is a fresh device; the old descriptor stays ENODEV",
			second_plug_is_fresh, fresh),
		PROMISE("the module cannot be unloaded while a descriptor is open",
			module_stays_while_open, fresh),
		PROMISE("closing with data left, before and after the unplug", close_after_unplug,
			fresh),
	};

	return run_promises(tests);
}
