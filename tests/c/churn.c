// SPDX-License-Identifier: GPL-2.0-only
/*
 * churn NODE UDC-FILE UDC ROUNDS: plugs the gadget in and out that often, while
 * eight processes use the device in every way. Each of them opens the node
 * whenever it is there, and goes on until the device is gone.
 *
 * At the end a line each says what it saw. The status is 0 when nobody saw
 * anything that is not allowed, and everybody has seen devices go. What arrives
 * between two plugs must be one verified stream.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/mydev.h>

#include "sim/verify.h"

#define WORKERS 8

struct worker {
	pid_t pid;
	uint64_t plugs;          /* opened, used, and saw the device go */
	uint64_t packets;        /* verified */
	unsigned int failed;     /* how often in a row nothing but EIO came */
	volatile uint64_t calls; /* also seen by the one that plugs */
	char error[256];
};

static const char *node;
static struct worker *workers;
static volatile sig_atomic_t stop;
static char buf[1 << 16];

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

__attribute__((format(printf, 2, 3))) static void wrong(struct worker *w, const char *format, ...)
{
	struct timespec ts;
	va_list ap;
	int n;

	if (w->error[0])
		return;
	/* The time is that of the kernel's log. */
	clock_gettime(CLOCK_MONOTONIC, &ts);
	n = snprintf(w->error, sizeof(w->error), "[%ld.%06ld] ", ts.tv_sec, ts.tv_nsec / 1000);
	va_start(ap, format);
	vsnprintf(w->error + n, sizeof(w->error) - n, format, ap);
	va_end(ap);
}

/* Does the end of a read or of a wait mean that the device is gone? */
static bool is_end(struct worker *w, const char *what, int error)
{
	if (error == EAGAIN || error == EINTR || error == ENOBUFS)
		return false;
	/* A hub that is late in telling makes it seem to have failed. */
	if (error == EIO && w->failed++ < 1000) {
		usleep(10000);
		return false;
	}
	if (error != ENODEV)
		wrong(w, "%s: %s", what, strerror(error));
	return true;
}

struct stream {
	int fd;
	struct verifier v;
};

/* Reads until there is no more for now; false when the device is gone. */
static bool take(struct worker *w, struct stream *s, size_t size)
{
	ssize_t n = read(s->fd, buf, size);

	w->calls++;
	if (n > 0) {
		w->failed = 0;
		/* It begins wherever the last user left the device. */
		if (!verifier_feed(&s->v, buf, n))
			wrong(w, "%s", s->v.error_text);
		return true;
	}
	if (!n)
		wrong(w, "end of file");
	/* A slow opener may be overrun before its first read, not after. */
	if (n < 0 && errno == ENOBUFS && s->v.packets)
		wrong(w, "ENOBUFS after %" PRIu64 " packets", s->v.packets);
	return n && !is_end(w, "read", errno);
}

static void use_read(struct worker *w, struct stream *s)
{
	while (!stop && take(w, s, 1 + w->calls % 20000))
		;
}

static void use_poll(struct worker *w, struct stream *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };

	do {
		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			wrong(w, "poll: %s", strerror(errno));
	} while (!stop && take(w, s, sizeof(buf)));
}

static void use_epoll(struct worker *w, struct stream *s)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	int ep = epoll_create1(EPOLL_CLOEXEC);
	bool more = true;

	if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, s->fd, &ev))
		wrong(w, "epoll: %s", strerror(errno));
	while (!stop && more) {
		if (epoll_wait(ep, &ev, 1, -1) < 0 && errno != EINTR)
			wrong(w, "epoll_wait: %s", strerror(errno));
		errno = 0;
		do
			more = take(w, s, 5000);
		while (!stop && more && errno != EAGAIN);
	}
	close(ep);
}

static void read_attribute(struct worker *w, const char *attribute)
{
	char path[128], text[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/class/mydev%s/%s", strrchr(node, '/'), attribute);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	/* The file may lose its device while it is open. */
	if (read(fd, text, sizeof(text)) < 0 && errno != ENODEV)
		wrong(w, "%s: %s", path, strerror(errno));
	close(fd);
}

static void use_queries(struct worker *w, struct stream *s)
{
	struct mydev_stats stats = { 0 };
	struct mydev_info info = { 0 };

	do {
		info.size = sizeof(info);
		stats.size = sizeof(stats);
		if (ioctl(s->fd, MYDEV_IOC_GET_INFO, &info) ||
		    ioctl(s->fd, MYDEV_IOC_GET_STATS, &stats))
			wrong(w, "ioctl: %s", strerror(errno));
		if (stats.client_packets != stats.client_read_packets + stats.client_lost_packets +
						    stats.client_queued_packets)
			wrong(w, "the counters do not add up");
		read_attribute(w, "state");
		read_attribute(w, "in_flight");
		read_attribute(w, "stats/packets");
		w->calls++;
	} while (!stop && stats.state != MYDEV_STATE_GONE);
}

/* Comes and goes: as an asker, as a mere member, as a writer. */
static void use_open_close(struct worker *w, struct stream *s)
{
	static const int flags[] = { O_RDONLY | O_NONBLOCK, O_RDONLY, O_WRONLY,
				     O_RDWR | O_NONBLOCK };
	bool gone = false;

	(void)s;
	while (!stop && !gone) {
		int fd = open(node, flags[w->calls % 4] | O_CLOEXEC);

		w->calls++;
		if (fd < 0) {
			if (errno != ENOENT && errno != ENXIO && errno != ENODEV)
				wrong(w, "open: %s", strerror(errno));
			gone = true;
			continue;
		}
		if (w->calls % 4 == 1 && read(fd, buf, 100) < 0)
			gone = is_end(w, "read", errno);
		close(fd);
	}
}

static void (*const uses[WORKERS])(struct worker *w, struct stream *s) = {
	use_read, use_read, use_read, use_poll, use_poll, use_epoll, use_queries, use_open_close,
};

static void work(int number)
{
	int watch = inotify_init1(IN_CLOEXEC);
	struct worker *w = &workers[number];
	bool blocking = uses[number] == use_read;

	inotify_add_watch(watch, "/dev", IN_CREATE);
	while (!stop) {
		struct stream s;

		verifier_init(&s.v);
		s.v.sync = true;
		w->failed = 0;
		s.fd = open(node, O_RDONLY | O_CLOEXEC | (blocking ? 0 : O_NONBLOCK));
		if (s.fd < 0) {
			if (errno != ENOENT && errno != ENXIO && errno != ENODEV)
				wrong(w, "open: %s", strerror(errno));
			/* Sleeps until something is new in /dev. */
			if (read(watch, buf, sizeof(buf)) < 0 && errno != EINTR)
				wrong(w, "inotify: %s", strerror(errno));
			continue;
		}
		uses[number](w, &s);
		w->packets += s.v.packets;
		w->plugs += !stop;
		close(s.fd);
		/* The old node may be there for a moment yet: wait for news. */
	}
}

static int report(void)
{
	static const char *const names[WORKERS] = { "read", "read",  "read",  "poll",
						    "poll", "epoll", "query", "open" };
	int bad = 0;

	for (int i = 0; i < WORKERS; i++) {
		struct worker *w = &workers[i];

		printf("%-6s %6" PRIu64 " plugs %8" PRIu64 " calls %8" PRIu64 " packets %s\n",
		       names[i], w->plugs, w->calls, w->packets, w->error[0] ? w->error : "good");
		/* Those who read must have got something now and then. */
		bad |= w->error[0] || !w->plugs || (i < 6 && !w->packets);
	}
	return bad;
}

static bool there(void)
{
	return !access(node, F_OK);
}

/* Sleeps until the node is there, or is not; false after 20 s. */
static bool await_node(int watch, bool wanted)
{
	struct pollfd p = { .fd = watch, .events = POLLIN };

	while (there() != wanted) {
		if (poll(&p, 1, 20000) < 1)
			return false;
		if (read(watch, buf, sizeof(buf)) < 0)
			return false;
	}
	return true;
}

static bool write_udc(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	bool good = fd >= 0 && write(fd, text, strlen(text)) > 0;

	close(fd);
	return good;
}

/* Reads and queries of all, so far. */
static uint64_t all_calls(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < WORKERS; i++)
		sum += workers[i].calls;
	return sum;
}

/*
 * Every other time, waits until the workers are at it again. Then up to 20 ms
 * more. Every tenth time the plug goes without a look at how far the kernel has
 * come with the device.
 */
static const char *plug_in_and_out(const char *file, const char *udc, int rounds)
{
	int watch = inotify_init1(IN_CLOEXEC);
	uint64_t before;

	inotify_add_watch(watch, "/dev", IN_CREATE | IN_DELETE);
	srand(1);
	for (int i = 0; i < rounds; i++) {
		if (!write_udc(file, udc))
			return "cannot plug in";
		if (i % 10 != 9 && !await_node(watch, true))
			return "no node within 20 s";
		before = all_calls();
		for (int n = 0; i % 2 == 0 && n < 5000 && all_calls() < before + WORKERS; n++)
			usleep(1000);
		usleep(rand() % 20000);
		if (!write_udc(file, "\n"))
			return "cannot unplug";
		if (!await_node(watch, false))
			return "the node stays for 20 s";
	}
	return NULL;
}

/* All processes end, however they sleep; false if one does not. */
static bool end_all(void)
{
	int left = WORKERS;

	for (int tries = 0; left && tries < 2000; tries++) {
		for (int i = 0; i < WORKERS; i++) {
			if (!workers[i].pid)
				continue;
			/* Again and again: it may come just before a call that waits. */
			kill(workers[i].pid, SIGTERM);
			if (waitpid(workers[i].pid, NULL, WNOHANG) == workers[i].pid) {
				workers[i].pid = 0;
				left--;
			}
		}
		usleep(10000);
	}
	return !left;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	const char *error;

	if (argc != 5) {
		fprintf(stderr, "usage: churn NODE UDC-FILE UDC ROUNDS\n");
		return 2;
	}
	node = argv[1];
	workers = mmap(NULL, WORKERS * sizeof(*workers), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (workers == MAP_FAILED)
		return 2;
	for (int i = 0; i < WORKERS; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return 2;
		if (!pid) {
			sigaction(SIGTERM, &sa, NULL);
			/* The plug must be quicker than those who feel it. */
			if (nice(5) < 0)
				_exit(2);
			work(i);
			_exit(0);
		}
		workers[i].pid = pid;
	}
	error = plug_in_and_out(argv[2], argv[3], atoi(argv[4]));
	if (!error && !end_all())
		error = "a process does not end";
	if (error)
		printf("%s\n", error);
	return report() || error;
}
