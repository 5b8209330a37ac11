// SPDX-License-Identifier: GPL-2.0-only
/*
 * A simulated USB device on FunctionFS: one vendor-specific interface that
 * streams packets with a counter and a checksum (pattern.h). Runs on
 * dummy_hcd in a virtual machine and on a real device controller alike.
 *
 * Sources and libraries: see mydev-sim_* in sources.mk.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/usb/functionfs.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "sim.h"

/* After a failed transfer, when no ENABLE comes first (s). */
#define RETRY 0.005

/* How often to look for an event that was announced, and every how many ms. */
#define EP0_LOOKS   200
#define EP0_LOOK_MS 10

void sim_log(const char *fmt, ...)
{
	va_list ap;

	fputs("mydev-sim: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

double sim_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static struct timespec to_timespec(double seconds)
{
	struct timespec ts = { .tv_sec = seconds };

	ts.tv_nsec = (seconds - ts.tv_sec) * 1e9;
	return ts;
}

void sim_set_timer(int fd, double first, double interval)
{
	struct itimerspec its = { to_timespec(interval), to_timespec(first) };

	timerfd_settime(fd, 0, &its, NULL);
}

int sim_timer(void)
{
	return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
}

void sim_back_off(struct sim *s)
{
	if (!s->backoff)
		sim_set_timer(s->retry_timer, RETRY, 0);
	s->backoff = true;
}

static void enable(struct sim *s)
{
	s->enabled = true;
	s->backoff = false;
	s->enables++;
	for (unsigned int i = 0; i < s->alts; i++) {
		in_enable(&s->alt[i]);
		out_enable(&s->alt[i]);
	}
}

static void disable(struct sim *s)
{
	s->enabled = false;
	for (unsigned int i = 0; i < s->alts; i++) {
		in_disable(&s->alt[i]);
		out_disable(&s->alt[i]);
	}
}

/*
 * A newer event replaces older ones that were not read yet, so each is taken
 * as "this is how it is now", never as a step from the one before. A request
 * is always the last one; false where nothing was read.
 */
static bool read_events(struct sim *s)
{
	struct usb_functionfs_event events[4];
	ssize_t n = read(s->ep0, events, sizeof(events));

	if (n < 0) {
		if (errno == EIDRM)
			control_cancelled(s);
		else if (errno != EAGAIN && errno != EINTR)
			sim_log("ep0: %s", strerror(errno));
		return errno == EIDRM;
	}
	s->ep0_looks = 0;
	for (size_t i = 0; i < n / sizeof(events[0]); i++) {
		switch (events[i].type) {
		case FUNCTIONFS_ENABLE:
			enable(s);
			break;
		case FUNCTIONFS_DISABLE:
		case FUNCTIONFS_UNBIND:
			disable(s);
			break;
		case FUNCTIONFS_SETUP:
			control_setup(s, &events[i].u.setup);
			break;
		default: /* BIND, SUSPEND, RESUME: requests stay where they are */
			break;
		}
	}
	return true;
}

/*
 * To read from ep0 while a request waits for its answer is to answer it, so
 * this is done only where there is none, or where a newer event, by its being
 * there, has cancelled the request: then it fails with EIDRM.
 *
 * Announcements are taken back before the events are read. An event that comes
 * between the two is read now and announced again; with a request that is to be
 * answered later that would look like such a newer event, so then the request is
 * answered at once.
 *
 * While the kernel unbinds the function, ep0 says that it has nothing to read,
 * whether it has or not. So an announcement without an event is looked into some
 * times more.
 */
static void handle_ep0(struct sim *s)
{
	while (s->control.state != CONTROL_BUSY) {
		sim_drain(s->ep0_event);
		if (!read_events(s))
			break;
		if (s->control.state == CONTROL_LATER) {
			if (sim_drain(s->ep0_event)) {
				s->control.hurried++;
				control_answer(s);
			}
			break;
		}
	}
}

static void handle_aio(struct sim *s)
{
	struct io_event events[64];
	struct timespec zero = { 0 };
	int n;

	do {
		n = io_getevents(s->aio, 0, 64, events, &zero);
		for (int i = 0; i < n; i++) {
			struct sim_request *req = events[i].data;

			if (req->is_in)
				in_complete(req->alt, req, events[i].res);
			else
				out_complete(req->alt, req, events[i].res);
		}
	} while (n == 64);
}

uint64_t sim_drain(int fd)
{
	uint64_t count = 0;

	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		sim_log("read: %s", strerror(errno));
	return count;
}

static void dispatch(struct sim *s, int fd, int signals)
{
	/*
	 * What is announced may have been dealt with since, by what was dispatched
	 * before; then there is nothing to drain.
	 */
	if (fd == s->ep0_event) {
		/* While the thread answers: it sees by itself that it need not. */
		if (sim_drain(fd)) {
			s->ep0_looks = EP0_LOOKS;
			handle_ep0(s);
		}
	} else if (fd == s->control.timer) {
		if (sim_drain(fd) && s->control.state == CONTROL_LATER)
			control_answer(s);
	} else if (fd == s->control.done) {
		if (sim_drain(fd)) {
			control_done(s);
			s->ep0_looks = EP0_LOOKS;
			handle_ep0(s);
		}
	} else if (fd == s->aio_event) {
		sim_drain(fd);
		handle_aio(s);
	} else if (fd == s->retry_timer) {
		sim_drain(fd);
		s->backoff = false;
	} else if (fd == signals) {
		s->quit = true;
	} else if (fd == s->ctl.listen_fd) {
		ctl_accept(s);
	} else {
		for (unsigned int i = 0; i < SIM_CLIENTS; i++) {
			if (s->ctl.client[i].fd == fd) {
				ctl_serve(s, i);
				return;
			}
		}
		sim_drain(fd); /* the timer of an endpoint, which is pumped anyway */
	}
}

int sim_watch(struct sim *s, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	return fd < 0 ? -1 : epoll_ctl(s->epfd, EPOLL_CTL_ADD, fd, &ev);
}

static int loop(struct sim *s, int signals)
{
	struct epoll_event events[16];

	while (!s->quit) {
		int n = epoll_wait(s->epfd, events, 16, s->ep0_looks ? EP0_LOOK_MS : -1);

		if (n < 0 && errno != EINTR) {
			sim_log("epoll: %s", strerror(errno));
			return -1;
		}
		for (int i = 0; i < n; i++)
			dispatch(s, events[i].data.fd, signals);
		if (s->ep0_looks && s->control.state == CONTROL_IDLE) {
			/* Others may keep us awake meanwhile. */
			s->ep0_looks -= !n;
			handle_ep0(s);
		}
		for (unsigned int i = 0; i < s->alts; i++) {
			in_pump(&s->alt[i]);
			out_pump(&s->alt[i]);
		}
	}
	return 0;
}

static int open_endpoint(const struct sim *s, int number)
{
	char path[4096];
	int fd;

	/* Non-blocking: else a transfer before ENABLE would stop the loop. */
	snprintf(path, sizeof(path), "%s/ep%d", s->dir, number);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		sim_log("cannot open %s: %s", path, strerror(errno));
	return fd;
}

static int open_function(struct sim *s)
{
	char path[4096];
	int number = 1;

	snprintf(path, sizeof(path), "%s/ep0", s->dir);
	s->ep0 = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (s->ep0 < 0) {
		sim_log("cannot open %s: %s (is functionfs mounted there?)", path, strerror(errno));
		return -1;
	}
	if (sim_write_descriptors(s)) {
		sim_log("%s refuses the descriptors: %s", path, strerror(errno));
		return -1;
	}
	/* As the descriptors have them: one that is only there has a number, too. */
	for (unsigned int i = 0; i < s->alts; i++) {
		struct sim_alt *a = &s->alt[i];

		if (!a->in.present && !a->out.present)
			number++;
		if (a->in.present)
			a->in.fd = open_endpoint(s, number++);
		if (a->out.present)
			a->out.fd = open_endpoint(s, number++);
		if (a->in.fd < 0 || a->out.fd < 0)
			return -1;
	}
	return 0;
}

/*
 * The parent waits until the child is ready, and ends with the child's verdict.
 * Returns in the child only, with the descriptor for that.
 */
static int daemonize(void)
{
	char ready;
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC)) {
		sim_log("cannot make a pipe: %s", strerror(errno));
		return -1;
	}
	pid = fork();
	if (pid < 0) {
		sim_log("cannot start in the background: %s", strerror(errno));
		close(fds[0]);
		close(fds[1]);
		return -1;
	}
	if (pid) {
		close(fds[1]);
		/* Without that byte the child has ended, and has said why. */
		_exit(read(fds[0], &ready, 1) == 1 ? 0 : 1);
	}
	close(fds[0]);
	setsid();
	return fds[1];
}

/* The gadget can be plugged in now: says so to whoever waits for it. */
static int tell_ready(const struct sim_options *o, int fd)
{
	int in, out;

	if (!o->daemon)
		return puts("ready") < 0 || fflush(stdout) ? -1 : 0;
	in = open("/dev/null", O_RDWR | O_CLOEXEC);
	out = open(o->log ? o->log : "/dev/null", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (in < 0 || out < 0) {
		sim_log("cannot open %s: %s", o->log, strerror(errno));
		return -1;
	}
	/* A shell that collects the output must not wait for the daemon's end. */
	dup2(in, 0);
	dup2(out, 1);
	dup2(out, 2);
	if (write(fd, "r", 1) != 1)
		return -1;
	close(fd);
	return 0;
}

static int write_pid(const char *path)
{
	FILE *f = fopen(path, "we");
	bool good = f && fprintf(f, "%d\n", (int)getpid()) > 0;

	if (f && fclose(f))
		good = false;
	if (!good)
		sim_log("cannot write %s: %s", path, strerror(errno));
	return good ? 0 : -1;
}

static int prepare(struct sim *s, const struct sim_options *o)
{
	unsigned int requests = 0;

	for (struct sim_alt *a = s->alt; a < s->alt + s->alts; a++) {
		a->sim = s;
		if (in_init(a, o->seed) || out_init(a))
			return -1;
		in_set_rate(&a->in, o->rate);
		requests += a->in.depth + a->out.depth;
	}
	return control_init(s) || io_setup(requests, &s->aio) ? -1 : 0;
}

static int run(struct sim *s, const struct sim_options *o)
{
	int ready = -1, signals, status = 0;
	sigset_t set;

	if (o->daemon) {
		ready = daemonize();
		if (ready < 0)
			return -1;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	s->epfd = epoll_create1(EPOLL_CLOEXEC);
	s->ep0_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->aio_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->retry_timer = sim_timer();
	if (prepare(s, o)) {
		sim_log("not enough memory, or too many asynchronous requests in the system");
		return -1;
	}
	s->ctl.listen_fd = -1;
	if (open_function(s) || (o->socket && ctl_listen(s, o->socket)) ||
	    (o->pid_file && write_pid(o->pid_file)))
		return -1;
	if (sim_watch(s, s->ep0_event) || sim_watch(s, s->aio_event) ||
	    sim_watch(s, s->retry_timer) || sim_watch(s, signals) ||
	    (o->socket && sim_watch(s, s->ctl.listen_fd))) {
		sim_log("epoll: %s", strerror(errno));
		return -1;
	}
	if (tell_ready(o, ready))
		return -1;
	status = loop(s, signals);
	/* Waits until the kernel has given back all requests. */
	io_destroy(s->aio);
	if (o->socket)
		unlink(o->socket);
	if (o->pid_file)
		unlink(o->pid_file);
	control_end(s);
	for (struct sim_alt *a = s->alt; a < s->alt + s->alts; a++) {
		in_free(a);
		out_free(a);
		echo_forget(a);
	}
	return status;
}

int main(int argc, char **argv)
{
	struct sim s = {
		.alts = 1,
		.alt[0].in = { .present = true,
			       .depth = 32,
			       .left = SIM_UNLIMITED,
			       .size_min = 32768,
			       .size_max = 32768 },
		.alt[0].out = { .depth = 8, .size = 16384 },
	};
	struct sim_options o = { .seed = 1 };

	sim_parse_arguments(argc, argv, &s, &o);
	if (o.ctl)
		return ctl_client(o.ctl, o.words, o.command) ? 1 : 0;
	s.dir = o.command[0];
	return run(&s, &o) ? 1 : 0;
}
