// SPDX-License-Identifier: GPL-2.0-only
/*
 * Receives the stream of a simulated device and proves that nothing of it is
 * missing, repeated, out of order or damaged. Or sends such packets, each with
 * one write(), which the simulated device verifies (--verify-out=messages).
 *
 * Sources and libraries: see mydev-check_* in sources.mk.
 */
#define _GNU_SOURCE /* strerrorname_np() */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <linux/mydev.h>

#include "verify.h"

enum { EXIT_GOOD, EXIT_CONTENT, EXIT_USAGE, EXIT_OPEN, EXIT_READ, EXIT_UNPLUGGED };

enum wait_mode { WAIT_BLOCK, WAIT_POLL, WAIT_EPOLL, WAIT_EPOLL_ET };

/* Why the receiving came to its end. */
enum ending { END_LIMIT, END_SIGNAL, END_EOF, END_UNPLUGGED, END_ERROR, END_CONTENT };

static const char *const ending_names[] = { "limit",     "signal", "eof",
					    "unplugged", "error",  "content" };

struct options {
	const char *node;
	uint64_t packets;
	uint64_t bytes;
	double seconds;
	size_t buffer;
	enum wait_mode wait;
	bool have_first;
	uint64_t first;
	bool sync;
	bool by_writer;
	bool progress;
	bool json;
	bool until_unplug;
	bool partial_ok;
	bool empty_ok;
	bool keep_going;
	bool send;
	uint32_t size_min;
	uint32_t size_max;
	uint16_t writer;
	bool terminate;
};

struct receiver {
	struct options o;
	struct verifier v;
	int fd;
	int epfd;
	bool is_device;
	bool readable;  /* edge-triggered: not yet read to EAGAIN */
	bool hangup;    /* poll has reported that the device is gone */
	uint64_t reads; /* or writes */
	uint64_t short_writes;
	double start;
	double next_line; /* when the next progress line is due */
	uint64_t line_bytes;
	double line_time;
	int error; /* errno of END_ERROR */
	const char *error_what;
};

static volatile sig_atomic_t stop;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* Interrupts a read that blocks; what to do is decided where it returns. */
static void on_signal(int sig)
{
	if (sig != SIGALRM) {
		stop = 1;
		/* Once more, for a read() that was only about to begin. */
		alarm(1);
	}
}

/*
 * The timer runs only where an option needs it: a read that is interrupted
 * again and again would hide a wake-up that never came.
 */
static void set_signals(const struct options *o)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct itimerval timer = { .it_interval.tv_sec = 1 };

	sigaction(SIGALRM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	if (o->progress) {
		timer.it_value.tv_sec = 1;
	} else if (o->seconds > 0) {
		timer.it_value.tv_sec = o->seconds;
		timer.it_value.tv_usec = (o->seconds - (time_t)o->seconds) * 1e6 + 1;
	} else {
		return;
	}
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void progress(struct receiver *r, double t)
{
	if (!r->o.progress || t < r->next_line)
		return;
	fprintf(stderr, "%s: %.1f s, %.1f MiB/s, %" PRIu64 " packets, %s\n", r->o.node,
		t - r->start, (r->v.bytes - r->line_bytes) / (t - r->line_time) / 1048576,
		r->v.packets, r->v.error ? "DAMAGED" : "all good");
	r->line_bytes = r->v.bytes;
	r->line_time = t;
	r->next_line = t + 0.9;
}

static bool limit_reached(struct receiver *r)
{
	const struct options *o = &r->o;
	double t;

	if ((o->packets && r->v.packets >= o->packets) || (o->bytes && r->v.bytes >= o->bytes))
		return true;
	/* The clock is read only where somebody asked for it. */
	if (!o->progress && o->seconds <= 0)
		return false;
	t = now();
	progress(r, t);
	return o->seconds > 0 && t - r->start >= o->seconds;
}

/* Waits until the descriptor is worth a read; -1 with errno. */
static int await_data(struct receiver *r)
{
	struct pollfd p = { .fd = r->fd, .events = r->o.send ? POLLOUT : POLLIN };
	struct epoll_event ev;
	unsigned int events;

	switch (r->o.wait) {
	case WAIT_BLOCK:
		return 0;
	case WAIT_POLL:
		if (poll(&p, 1, -1) < 0)
			return -1;
		events = p.revents;
		break;
	default:
		if (r->readable)
			return 0;
		if (epoll_wait(r->epfd, &ev, 1, -1) < 0)
			return -1;
		events = ev.events;
		r->readable = r->o.wait == WAIT_EPOLL_ET;
	}
	r->hangup = r->is_device && (events & (POLLHUP | POLLERR));
	return 0;
}

static enum ending fail(struct receiver *r, const char *what, int error)
{
	r->error = error;
	r->error_what = what;
	return END_ERROR;
}

static enum ending receive(struct receiver *r, unsigned char *buf)
{
	while (!limit_reached(r)) {
		size_t want = r->o.buffer;
		ssize_t n;

		if (stop)
			return END_SIGNAL;
		if (await_data(r)) {
			if (errno == EINTR)
				continue;
			return fail(r, "waiting for data", errno);
		}
		if (r->o.bytes && want > r->o.bytes - r->v.bytes)
			want = r->o.bytes - r->v.bytes;
		n = read(r->fd, buf, want);
		r->reads++;
		if (n > 0) {
			if (!verifier_feed(&r->v, buf, n) && !r->o.keep_going)
				return END_CONTENT;
		} else if (!n) {
			if (r->is_device)
				return fail(
					r,
					"a device never has an end of file, but read() returned 0",
					0);
			return END_EOF;
		} else if (errno == ENODEV) {
			return END_UNPLUGGED;
		} else if (errno == EAGAIN && r->o.wait != WAIT_BLOCK) {
			if (r->hangup)
				return fail(
					r,
					"poll says that the device is gone, read() says try again",
					EAGAIN);
			r->readable = false;
		} else if (errno != EINTR) {
			return fail(r, "read()", errno);
		}
	}
	return END_LIMIT;
}

/*
 * Writes one packet, in one piece if the device takes it so; *@whole: it did not
 * come to an end before.
 */
static enum ending write_packet(struct receiver *r, const unsigned char *buf, size_t len,
				bool *whole)
{
	size_t at = 0;

	*whole = false;
	while (at < len) {
		bool waited = !await_data(r);
		ssize_t n = waited ? write(r->fd, buf + at, len - at) : -1;

		if (waited)
			r->reads++;
		if (n >= 0) {
			at += n;
			r->v.bytes += n;
			r->short_writes += at < len;
		} else if (errno == EINTR) {
			/* What was begun is finished, or the next would be damaged. */
			if (!at && (stop || limit_reached(r)))
				return stop ? END_SIGNAL : END_LIMIT;
		} else if (errno == EAGAIN && waited && r->o.wait != WAIT_BLOCK) {
			r->readable = false;
		} else if (errno == ENODEV) {
			return END_UNPLUGGED;
		} else {
			return fail(r, waited ? "write()" : "waiting for room", errno);
		}
	}
	*whole = true;
	return END_LIMIT;
}

/* The totals are kept where those of a receiver are. */
static enum ending transmit(struct receiver *r, unsigned char *buf)
{
	const struct options *o = &r->o;
	uint64_t counter = (uint64_t)o->writer << SIM_WHO_SHIFT | o->first;
	uint64_t random = sim_mix(counter + SIM_STEP);

	r->v.first = counter;
	while (!limit_reached(r)) {
		uint32_t size = o->size_min + random % (o->size_max - o->size_min + 1);
		enum ending end;
		bool whole;

		random = sim_mix(random + SIM_STEP);
		sim_fill(buf, size, counter);
		end = write_packet(r, buf, size, &whole);
		if (end != END_LIMIT)
			return end;
		if (!whole)
			break;
		r->v.have_first = true;
		r->v.last = counter++;
		r->v.packets++;
	}
	/* Only then has the device got them. */
	while (r->is_device && fsync(r->fd)) {
		if (errno == ENODEV)
			return END_UNPLUGGED;
		if (errno == EINVAL)
			break;
		if (errno != EINTR)
			return fail(r, "fsync()", errno);
		if (stop)
			return END_SIGNAL;
	}
	return END_LIMIT;
}

static int terminate(struct receiver *r)
{
	struct mydev_config config = { .size = sizeof(config) };

	if (!ioctl(r->fd, MYDEV_IOC_GET_CONFIG, &config)) {
		config.flags |= MYDEV_CONFIG_TERMINATE;
		if (!ioctl(r->fd, MYDEV_IOC_SET_CONFIG, &config))
			return 0;
	}
	fprintf(stderr, "mydev-check: %s: zero-length packets: %s\n", r->o.node, strerror(errno));
	return -1;
}

static int open_node(struct receiver *r)
{
	struct stat st;

	if (!strcmp(r->o.node, "-"))
		r->fd = r->o.send ? STDOUT_FILENO : STDIN_FILENO;
	else
		r->fd = open(r->o.node, (r->o.send ? O_WRONLY : O_RDONLY) | O_CLOEXEC |
						(r->o.wait == WAIT_BLOCK ? 0 : O_NONBLOCK));
	if (r->fd < 0 || fstat(r->fd, &st)) {
		fprintf(stderr, "mydev-check: cannot open %s: %s\n", r->o.node, strerror(errno));
		return -1;
	}
	r->is_device = S_ISCHR(st.st_mode);
	if (r->o.terminate && terminate(r))
		return -1;
	if (r->o.wait == WAIT_EPOLL || r->o.wait == WAIT_EPOLL_ET) {
		struct epoll_event ev = { .events = r->o.send ? EPOLLOUT : EPOLLIN };

		if (r->o.wait == WAIT_EPOLL_ET)
			ev.events |= EPOLLET;
		r->epfd = epoll_create1(EPOLL_CLOEXEC);
		if (r->epfd < 0 || epoll_ctl(r->epfd, EPOLL_CTL_ADD, r->fd, &ev)) {
			fprintf(stderr, "mydev-check: cannot epoll %s: %s\n", r->o.node,
				strerror(errno));
			return -1;
		}
	}
	return 0;
}

static int verdict(struct receiver *r, enum ending end)
{
	const struct options *o = &r->o;
	bool partial_ok = o->partial_ok || end != END_EOF;
	bool short_of =
		(end == END_EOF || (end == END_UNPLUGGED && !o->until_unplug)) &&
		((o->packets && r->v.packets < o->packets) || (o->bytes && r->v.bytes < o->bytes));

	/* What ended the run early is more telling than that nothing came. */
	if (!verifier_finish(&r->v, partial_ok,
			     o->empty_ok || end == END_ERROR ||
				     (end == END_UNPLUGGED && !o->until_unplug)))
		return EXIT_CONTENT;
	if (end == END_ERROR)
		return EXIT_READ;
	if (end == END_UNPLUGGED && !o->until_unplug)
		return EXIT_UNPLUGGED;
	return short_of ? EXIT_CONTENT : EXIT_GOOD;
}

static void report_json(const struct receiver *r, enum ending end, double seconds, int status)
{
	const struct verifier *v = &r->v;

	printf("{\"good\": %s, \"ended\": \"%s\", \"packets\": %" PRIu64 ", \"bytes\": %" PRIu64
	       ", \"seconds\": %.3f, \"mib_per_second\": %.1f, \"%s\": %" PRIu64,
	       status ? "false" : "true", ending_names[end], v->packets, v->bytes, seconds,
	       v->bytes / seconds / 1048576, r->o.send ? "writes" : "reads", r->reads);
	if (r->o.send)
		printf(", \"short_writes\": %" PRIu64 ", \"writer\": %u", r->short_writes,
		       r->o.writer);
	if (v->have_first)
		printf(", \"first\": %" PRIu64 ", \"last\": %" PRIu64, v->first, v->last);
	printf(", \"missing\": %" PRIu64 ", \"repeated\": %" PRIu64 ", \"reordered\": %" PRIu64
	       ", \"damaged\": %" PRIu64 ", \"skipped_bytes\": %" PRIu64 ", \"partial_bytes\": %u",
	       v->missing, v->repeated, v->reordered, v->damaged, v->skipped_bytes,
	       verifier_partial(v));
	if (v->error)
		printf(", \"error\": {\"kind\": \"%s\", \"offset\": %" PRIu64
		       ", \"expected\": %" PRIu64 ", \"got\": %" PRIu64 ", \"text\": \"%s\"}",
		       verify_kind_name(v->error), v->error_offset, v->error_expected, v->error_got,
		       v->error_text);
	if (end == END_ERROR)
		printf(", \"errno\": \"%s\"", r->error ? strerrorname_np(r->error) : "");
	printf("}\n");
}

static void report_text(const struct receiver *r, enum ending end, double seconds, int status)
{
	const struct verifier *v = &r->v;

	/* Where it is stdout that the packets go to, this does not go there. */
	if (r->o.send) {
		fprintf(r->fd == STDOUT_FILENO ? stderr : stdout,
			"%s: %" PRIu64 " packets of writer %u, %" PRIu64
			" bytes in %.2f s, %.1f MiB/s, %" PRIu64 " short writes; ended by %s: %s\n",
			r->o.node, v->packets, r->o.writer, v->bytes, seconds,
			v->bytes / seconds / 1048576, r->short_writes, ending_names[end],
			status ? "NOT GOOD" : "good");
		return;
	}
	printf("%s: %" PRIu64 " packets", r->o.node, v->packets);
	if (v->have_first)
		printf(" (%" PRIu64 " to %" PRIu64 ")", v->first, v->last);
	printf(", %" PRIu64 " bytes in %.2f s, %.1f MiB/s; missing %" PRIu64 ", repeated %" PRIu64
	       ", reordered %" PRIu64 ", damaged %" PRIu64 "; ended by %s: %s\n",
	       v->bytes, seconds, v->bytes / seconds / 1048576, v->missing, v->repeated,
	       v->reordered, v->damaged, ending_names[end], status ? "NOT GOOD" : "good");
}

static void explain(const struct receiver *r, enum ending end, int status)
{
	const struct verifier *v = &r->v;

	if (v->error)
		fprintf(stderr, "mydev-check: %s at byte %" PRIu64 " of the stream: %s\n",
			verify_kind_name(v->error), v->error_offset, v->error_text);
	if (end == END_ERROR)
		fprintf(stderr, "mydev-check: %s: %s%s%s\n", r->o.node, r->error_what,
			r->error ? ": " : "", r->error ? strerrorname_np(r->error) : "");
	else if (status == EXIT_UNPLUGGED)
		fprintf(stderr, "mydev-check: %s was unplugged (expected? use --until-unplug)\n",
			r->o.node);
	else if (status == EXIT_CONTENT && !v->error)
		fprintf(stderr, "mydev-check: %s ended before the limit was reached\n", r->o.node);
}

enum {
	OPT_FIRST = 256,
	OPT_SYNC,
	OPT_UNTIL_UNPLUG,
	OPT_PARTIAL_OK,
	OPT_EMPTY_OK,
	OPT_KEEP_GOING,
	OPT_SEND,
	OPT_WRITER,
	OPT_TERMINATE,
	OPT_BY_WRITER
};

static const struct argp_option argp_options[] = {
	{ "packets", 'p', "N", 0, "Stop after N good packets", 0 },
	{ "bytes", 'b', "N", 0, "Stop after exactly N bytes (suffix K, M, G)", 0 },
	{ "seconds", 's', "S", 0, "Stop after S seconds", 0 },
	{ "buffer", 'B', "SIZE", 0, "Read up to SIZE bytes at a time (default 64K)", 0 },
	{ "wait", 'w', "MODE", 0, "block (default), or non-blocking with poll, epoll or epoll-et",
	  0 },
	{ "nonblock", 'n', NULL, 0, "The same as --wait=poll", 0 },
	{ "first", OPT_FIRST, "N", 0, "The first packet must have counter N, or is sent with it",
	  0 },
	{ "send", OPT_SEND, "N[:SIZE|:MIN-MAX]", 0,
	  "Send N packets (0: until another limit) of SIZE bytes (default 1000), one with each write(), "
	  "and wait with fsync() until the device has them",
	  0 },
	{ "writer", OPT_WRITER, "W", 0, "With --send: number of the writer, 0 to 65535 (default 0)",
	  0 },
	{ "terminate", OPT_TERMINATE, NULL, 0,
	  "With --send: have a zero-length packet sent after each multiple of wMaxPacketSize", 0 },
	{ "by-writer", OPT_BY_WRITER, NULL, 0,
	  "The packets are those of several writers, each of which counts for itself, from 0", 0 },
	{ "sync", OPT_SYNC, NULL, 0, "The stream may begin inside a packet", 0 },
	{ "until-unplug", OPT_UNTIL_UNPLUG, NULL, 0, "To be unplugged is a good end", 0 },
	{ "partial-ok", OPT_PARTIAL_OK, NULL, 0, "A file or pipe may end inside a packet", 0 },
	{ "empty-ok", OPT_EMPTY_OK, NULL, 0, "To receive nothing at all is not an error", 0 },
	{ "keep-going", OPT_KEEP_GOING, NULL, 0, "Count on after the first error", 0 },
	{ "progress", 'P', NULL, 0, "Print a line per second on stderr", 0 },
	{ "json", 'j', NULL, 0, "Print the totals as one JSON object", 0 },
	{ 0 }
};

static uint64_t number(const char *arg, struct argp_state *state, const char *what)
{
	char *end;
	unsigned long long n;
	unsigned int shift = 0;

	errno = 0;
	n = strtoull(arg, &end, 0);
	if (*end == 'K')
		shift = 10;
	else if (*end == 'M')
		shift = 20;
	else if (*end == 'G')
		shift = 30;
	if (shift)
		end++;
	if (errno || end == arg || *end || *arg == '-' || n > UINT64_MAX >> shift)
		argp_error(state, "%s: '%s' is not a number (like 4096, 64K, 1G)", what, arg);
	return n << shift;
}

static void parse_send(struct options *o, char *arg, struct argp_state *state)
{
	char *size = strchr(arg, ':');
	char *max = size ? strchr(size, '-') : NULL;

	if (size)
		*size++ = 0;
	if (max)
		*max++ = 0;
	o->send = true;
	o->packets = number(arg, state, "--send");
	if (size)
		o->size_min = number(size, state, "--send: size");
	o->size_max = max ? number(max, state, "--send: largest size") : o->size_min;
	if (o->size_min < SIM_HEADER || o->size_max > SIM_MAX_PACKET || o->size_min > o->size_max)
		argp_error(state, "--send: a packet has %u to %u bytes", SIM_HEADER,
			   SIM_MAX_PACKET);
}

static void parse_wait(struct options *o, const char *arg, struct argp_state *state)
{
	static const char *const names[] = { "block", "poll", "epoll", "epoll-et" };

	for (unsigned int i = 0; i < 4; i++) {
		if (!strcmp(arg, names[i])) {
			o->wait = i;
			return;
		}
	}
	argp_error(state, "--wait: '%s' is none of block, poll, epoll, epoll-et", arg);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	uint64_t n;
	char *end;

	switch (key) {
	case 'p':
		o->packets = number(arg, state, "--packets");
		break;
	case 'b':
		o->bytes = number(arg, state, "--bytes");
		break;
	case 's':
		o->seconds = strtod(arg, &end);
		if (end == arg || *end || !(o->seconds > 0) || o->seconds > 1e6)
			argp_error(state, "--seconds: '%s' is not a number above 0", arg);
		break;
	case 'B':
		o->buffer = number(arg, state, "--buffer");
		if (!o->buffer || o->buffer > 1 << 28)
			argp_error(state, "--buffer: 1 to 256M bytes");
		break;
	case 'w':
		parse_wait(o, arg, state);
		break;
	case 'n':
		o->wait = WAIT_POLL;
		break;
	case OPT_FIRST:
		o->have_first = true;
		o->first = number(arg, state, "--first");
		break;
	case OPT_SEND:
		parse_send(o, arg, state);
		break;
	case OPT_WRITER:
		n = number(arg, state, "--writer");
		if (n > UINT16_MAX)
			argp_error(state, "--writer: 0 to 65535");
		o->writer = n;
		break;
	case OPT_TERMINATE:
		o->terminate = true;
		break;
	case OPT_BY_WRITER:
		o->by_writer = true;
		break;
	case OPT_SYNC:
		o->sync = true;
		break;
	case OPT_UNTIL_UNPLUG:
		o->until_unplug = true;
		break;
	case OPT_PARTIAL_OK:
		o->partial_ok = true;
		break;
	case OPT_EMPTY_OK:
		o->empty_ok = true;
		break;
	case OPT_KEEP_GOING:
		o->keep_going = true;
		break;
	case 'P':
		o->progress = true;
		break;
	case 'j':
		o->json = true;
		break;
	case ARGP_KEY_ARG:
		if (o->node)
			argp_error(state, "one NODE only, '%s' is too many", arg);
		o->node = arg;
		break;
	case ARGP_KEY_END:
		if (!o->node)
			argp_error(state,
				   "no NODE given: a device such as /dev/mydev0, or - for stdin");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		.options = argp_options,
		.parser = parse,
		.args_doc = "NODE",
		.doc = "Verify the packet stream of the simulated device (- is stdin), or send "
		       "packets to it (- is stdout).\v"
		       "Exit status: 0 all good, 1 the content is wrong, 2 usage, 3 cannot open, "
		       "4 read error, 5 unplugged without --until-unplug.",
	};
	struct receiver r = { .o = { .buffer = 64 << 10, .size_min = 1000, .size_max = 1000 } };
	unsigned char *buf;
	enum ending end;
	double seconds;
	int status;

	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &r.o);
	if (r.o.send)
		r.o.buffer = SIM_MAX_PACKET;
	buf = malloc(r.o.buffer);
	if (!buf) {
		fprintf(stderr, "mydev-check: no memory for a buffer of %zu bytes\n", r.o.buffer);
		return EXIT_USAGE;
	}
	verifier_init(&r.v);
	r.v.sync = r.o.sync;
	r.v.by_writer = r.o.by_writer;
	r.v.have_next = r.o.have_first;
	r.v.next = r.o.first;
	if (open_node(&r)) {
		free(buf);
		return EXIT_OPEN;
	}
	set_signals(&r.o);
	r.start = now();
	r.line_time = r.start;
	r.next_line = r.start + 0.9;
	end = r.o.send ? transmit(&r, buf) : receive(&r, buf);
	seconds = now() - r.start;
	status = verdict(&r, end);
	if (r.o.json)
		report_json(&r, end, seconds, status);
	else
		report_text(&r, end, seconds, status);
	explain(&r, end, status);
	free(buf);
	if (fflush(stdout))
		return EXIT_USAGE;
	return status;
}
