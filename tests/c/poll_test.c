// SPDX-License-Identifier: GPL-2.0-only
/* poll, epoll and SIGIO: told when there is something to read, and only then. */
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>

#include "helpers.h"

#define IN (EPOLLIN | EPOLLRDNORM)

static char buf[1 << 16];

static int poll_now(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLRDNORM | POLLPRI | POLLOUT };

	assert_return_code(poll(&p, 1, 0), errno);
	return p.revents & ~POLLOUT;
}

static int epoll_of(int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	assert_return_code(ep, errno);
	assert_return_code(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev), errno);
	return ep;
}

/* The events that are there within @ms, 0 for none. */
static uint32_t events_of(int ep, int ms)
{
	struct epoll_event ev = { 0 };

	assert_return_code(epoll_wait(ep, &ev, 1, ms), errno);
	return ev.events;
}

TEST(readable_or_not)
{
	int fd = node_open(O_RDONLY | O_NONBLOCK);

	assert_int_equal(poll_now(fd), 0);
	for (int round = 0; round < 3; round++) {
		feed(2, "1000");
		await(stats_of(fd).client_queued_packets == 2);
		assert_int_equal(poll_now(fd), POLLIN | POLLRDNORM);
		assert_int_equal(read(fd, buf, 1999), 1999);
		assert_int_equal(poll_now(fd), POLLIN | POLLRDNORM);
		assert_int_equal(read(fd, buf, 1), 1);
		assert_int_equal(poll_now(fd), 0);
	}
}

TEST(gap_is_readable)
{
	int idle = node_open(O_RDONLY | O_NONBLOCK), busy = node_open(O_RDONLY);
	struct verifier v;

	verify_from(&v, next_counter());
	feed(400, "5000");
	take_packets(busy, &v, 400, 5000);
	assert_true(stats_of(idle).client_lost_packets > 0);
	assert_int_equal(poll_now(idle), POLLIN | POLLRDNORM);
	assert_errno(read(idle, buf, 1), ENOBUFS);
	assert_int_equal(poll_now(idle), POLLIN | POLLRDNORM);
	assert_int_equal(read(idle, buf, 1), 1);
}

TEST(level)
{
	int fd = node_open(O_RDONLY | O_NONBLOCK), ep = epoll_of(fd, IN);

	assert_int_equal(events_of(ep, 0), 0);
	feed(1, "1000");
	assert_int_equal(events_of(ep, 10000), IN);
	assert_int_equal(events_of(ep, 0), IN);
	assert_int_equal(read(fd, buf, 999), 999);
	assert_int_equal(events_of(ep, 0), IN);
	assert_int_equal(read(fd, buf, 1), 1);
	assert_int_equal(events_of(ep, 0), 0);
}

TEST(edge)
{
	int fd = node_open(O_RDONLY | O_NONBLOCK), ep = epoll_of(fd, IN | EPOLLET);

	assert_int_equal(events_of(ep, 0), 0);
	for (int round = 0; round < 3; round++) {
		feed(1, "1000");
		assert_int_equal(events_of(ep, 10000), IN);
		/* Told once, even though nothing was read. */
		assert_int_equal(events_of(ep, 0), 0);
		/* Told again of the next arrival. */
		feed(1, "1000");
		assert_int_equal(events_of(ep, 10000), IN);
		await(stats_of(fd).client_queued_packets == 2);
		assert_int_equal(events_of(ep, 0), 0);
		while (read(fd, buf, sizeof(buf)) > 0)
			;
		assert_int_equal(errno, EAGAIN);
		assert_int_equal(events_of(ep, 0), 0);
	}
}

/* The way programs use it: read until EAGAIN after each event. */
TEST(edge_stream)
{
	int fd = node_open(O_RDONLY | O_NONBLOCK), ep;
	struct verifier v;

	verify_from(&v, next_counter());
	ep = epoll_of(fd, IN | EPOLLET);
	feed(1000, "100-3000");
	while (v.packets < 1000) {
		ssize_t n;

		assert_int_equal(events_of(ep, 10000), IN);
		while ((n = read(fd, buf, 5000)) > 0)
			assert_true(verifier_feed(&v, buf, n));
		assert_int_equal(errno, EAGAIN);
	}
}

TEST(oneshot)
{
	int fd = node_open(O_RDONLY | O_NONBLOCK), ep = epoll_of(fd, IN | EPOLLONESHOT);
	struct epoll_event again = { .events = IN | EPOLLONESHOT };

	feed(1, "1000");
	assert_int_equal(events_of(ep, 10000), IN);
	feed(1, "1000");
	await(stats_of(fd).client_queued_packets == 2);
	assert_int_equal(events_of(ep, 0), 0);
	assert_return_code(epoll_ctl(ep, EPOLL_CTL_MOD, fd, &again), errno);
	assert_int_equal(events_of(ep, 0), IN);
}

static int poll_for_ever(void *arg)
{
	struct pollfd p = { .fd = *(int *)arg, .events = POLLIN };

	return !(poll(&p, 1, -1) == 1 && p.revents == POLLIN);
}

TEST(sleeper_is_woken)
{
	int fds[3];
	pid_t pids[3];

	/* Two on one descriptor, one on another: all are told. */
	fds[0] = node_open(O_RDONLY);
	fds[1] = fds[0];
	fds[2] = node_open(O_RDONLY);
	for (int i = 0; i < 3; i++)
		pids[i] = spawn(poll_for_ever, &fds[i]);
	for (int i = 0; i < 3; i++)
		await_sleeping(pids[i]);
	feed(1, "1000");
	for (int i = 0; i < 3; i++)
		assert_int_equal(reap(pids[i], 10), 0);
}

/* Takes a signal that was sent for @fd, and returns what it tells; 0: none. */
static int signalled(int fd, int seconds)
{
	struct timespec limit = { .tv_sec = seconds };
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	if (sigtimedwait(&set, &info, &limit) < 0)
		return 0;
	assert_int_equal(info.si_fd, fd);
	return info.si_code;
}

TEST(sigio)
{
	int fd = node_open(O_RDONLY | O_NONBLOCK);
	sigset_t set;
	int band;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* A test that fails unblocks it, and must not end the program then. */
	signal(SIGRTMIN, SIG_IGN);
	assert_return_code(fcntl(fd, F_SETOWN, getpid()), errno);
	assert_return_code(fcntl(fd, F_SETSIG, SIGRTMIN), errno);
	assert_return_code(fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC), errno);
	assert_int_equal(signalled(fd, 0), 0);
	for (int i = 0; i < 3; i++) {
		feed(1, "1000");
		assert_int_equal(signalled(fd, 10), POLL_IN);
		assert_int_equal(signalled(fd, 0), 0);
	}
	/* Not for those who do not want it any more. */
	assert_return_code(fcntl(fd, F_SETFL, O_NONBLOCK), errno);
	feed(1, "1000");
	await(stats_of(fd).client_queued_packets == 4);
	assert_int_equal(signalled(fd, 0), 0);

	assert_return_code(fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC), errno);
	unplug();
	/*
	 * There is something to read as well, and to be told of it is no lie; nor
	 * that the device seems to have failed.
	 */
	do
		band = signalled(fd, 10);
	while (band == POLL_IN || band == POLL_ERR);
	assert_int_equal(band, POLL_HUP);
	close(fd);
}

/* Each has an epoll of its own, all on the same file. */
static int waits_for_the_end(void *arg)
{
	int ep = epoll_of(*(int *)arg, EPOLLIN | EPOLLEXCLUSIVE);

	return events_of(ep, 20000) & EPOLLHUP ? 0 : ETIMEDOUT;
}

TEST(end_wakes_all)
{
	int fd = node_open(O_RDONLY);
	pid_t pids[3];

	for (unsigned int i = 0; i < 3; i++) {
		pids[i] = spawn(waits_for_the_end, &fd);
		await_sleeping(pids[i]);
	}
	unplug();
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(reap(pids[i], PROMPT), 0);
	plug();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("POLLIN and POLLRDNORM exactly while there is something to read",
			readable_or_not, fresh),
		PROMISE("a gap to be told of counts as something to read", gap_is_readable, fresh),
		PROMISE("epoll, level: reported as long as it is so", level, fresh),
		PROMISE("epoll, edge: one event per arrival", edge, fresh),
		PROMISE("epoll, edge: a whole stream, reading to EAGAIN each time", edge_stream,
			fresh),
		PROMISE("epoll, one shot: armed again it reports what is there", oneshot, fresh),
		PROMISE("an arrival wakes all who sleep in poll", sleeper_is_woken, fresh),
		PROMISE("EPOLLEXCLUSIVE: the end is told to all", end_wakes_all, fresh),
		PROMISE("SIGIO on arrival and on unplug", sigio, fresh),
	};

	return run_promises(tests);
}
