// SPDX-License-Identifier: MIT
/*
 * Copying what a device sends until something ends it: the bytes of its stream,
 * or in packet mode a line for each record.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

#define CHUNK (256 * 1024)
#define MIB   (1024.0 * 1024.0)

/* What asked the copying to end; the first one counts. */
static volatile sig_atomic_t stop;
static timer_t timer;

/*
 * A signal can arrive between looking at @stop and entering a call that
 * blocks. So once it is set, the timer repeats until the call is interrupted.
 */
static const struct timespec nag = { .tv_nsec = 50 * 1000 * 1000 };

static void on_signal(int sig)
{
	struct itimerspec its = { .it_value = nag, .it_interval = nag };
	int saved = errno;

	if (!stop) {
		stop = sig == SIGALRM ? COPY_SECONDS : COPY_SIGNAL;
		timer_settime(timer, 0, &its, NULL);
	}
	errno = saved;
}

static int catch_signals(double seconds)
{
	/* No SA_RESTART: a blocked write has to come back. */
	struct sigaction sa = { .sa_handler = on_signal };
	struct itimerspec its = { .it_interval = nag };
	struct sigaction old;

	/* The event a NULL stands for is SIGALRM. */
	if (timer_create(CLOCK_MONOTONIC, NULL, &timer))
		return -errno;
	if (sigaction(SIGALRM, &sa, NULL) || sigaction(SIGTERM, &sa, NULL) ||
	    sigaction(SIGINT, NULL, &old))
		return -errno;
	/* A shell's background job ignores SIGINT, and has to go on doing so. */
	if (old.sa_handler != SIG_IGN && sigaction(SIGINT, &sa, NULL))
		return -errno;
	its.it_value.tv_sec = (time_t)seconds;
	its.it_value.tv_nsec = (long)((seconds - (time_t)seconds) * 1e9);
	if (timer_settime(timer, 0, &its, NULL))
		return -errno;
	return 0;
}

struct progress {
	bool on;
	double start;
	double last;
	uint64_t last_bytes;
};

static void show_progress(struct progress *progress, uint64_t bytes)
{
	double t = now();
	double past = t - progress->last;

	if (!progress->on || past < 1.0)
		return;
	fprintf(stderr, "\r%.1f MiB  %.1f MiB/s  %.0f s\033[K", bytes / MIB,
		(bytes - progress->last_bytes) / past / MIB,
		t - progress->start);
	progress->last = t;
	progress->last_bytes = bytes;
}

/* Whatever comes next on stderr starts on a line of its own. */
static void end_progress(const struct progress *progress)
{
	if (progress->on)
		fprintf(stderr, "\r\033[K");
}

/* Without progress to show there is nothing to wake up for but data. */
static void wait_for_data(const struct copy *copy,
			  const struct progress *progress)
{
	struct pollfd pfd = { .fd = mydev_fd(copy->dev), .events = POLLIN };
	int timeout = -1;

	if (progress->on) {
		double left = progress->last + 1.0 - now();

		timeout = left > 0 ? (int)(left * 1000) + 1 : 0;
	}
	/* What it was that ended the wait, the next read tells. */
	poll(&pfd, 1, timeout);
}

/* Counts what was written to @done. False where the copying is over. */
static bool write_all(struct copy *copy, const char *buf, size_t count,
		      uint64_t *done)
{
	while (count) {
		ssize_t n = write(copy->out, buf, count);

		if (n >= 0) {
			buf += n;
			count -= n;
			*done += n;
		} else if (errno == EAGAIN) {
			/* Somebody made our output non-blocking. */
			struct pollfd pfd = { .fd = copy->out,
					      .events = POLLOUT };

			if (poll(&pfd, 1, -1) < 0 && errno == EINTR && stop)
				return false;
		} else if (errno == EINTR) {
			if (stop)
				return false;
		} else {
			copy->error = -errno;
			copy->end = errno == EPIPE ? COPY_PIPE
						   : COPY_WRITE_ERROR;
			return false;
		}
	}
	return true;
}

static void note_gap(struct copy *copy, const struct progress *progress)
{
	copy->gaps++;
	if (!copy->verbose)
		return;
	end_progress(progress);
	complain("%s: data was lost behind byte %llu: this reader fell behind",
		 mydev_path(copy->dev), (unsigned long long)copy->bytes);
}

/* A record is read, and its line goes to @lines. */
static void take_record(struct copy *copy, const struct mydev_record *record,
			FILE *lines)
{
	switch (record->header.type) {
	case MYDEV_RECORD_PACKET:
		copy->nr_packets++;
		copy->bytes += record->header.length;
		break;
	case MYDEV_RECORD_GAP:
		copy->gaps++;
		break;
	case MYDEV_RECORD_EVENT:
		copy->nr_events++;
		break;
	}
	print_record(lines, record, &copy->style);
}

/* All records of a buffer, as far as they are wanted. */
static bool write_records(struct copy *copy, const void *buf, size_t count)
{
	struct mydev_record record;
	uint64_t written = 0;
	size_t size = 0;
	char *text = NULL;
	FILE *lines = need(open_memstream(&text, &size));
	int ret = 1;
	bool more;

	while (copy->nr_packets < copy->limit &&
	       (ret = mydev_next_record(&buf, &count, &record)) > 0)
		take_record(copy, &record, lines);
	if (fclose(lines))
		need(NULL);
	more = write_all(copy, text, size, &written);
	free(text);
	if (more && ret < 0) {
		copy->error = ret;
		copy->end = COPY_READ_ERROR;
		return false;
	}
	return more;
}

struct buffer {
	char *data;
	size_t size;
};

/* A packet can be as large as a transfer, which is anybody's to set. */
static void enlarge(struct buffer *buffer)
{
	free(buffer->data);
	buffer->size *= 2;
	buffer->data = need(malloc(buffer->size));
}

static bool limit_reached(struct copy *copy)
{
	if (copy->packets && copy->nr_packets >= copy->limit)
		copy->end = COPY_PACKETS;
	else if (!copy->packets && copy->bytes >= copy->limit)
		copy->end = COPY_BYTES;
	return copy->end;
}

static size_t room(const struct copy *copy, const struct buffer *buffer)
{
	uint64_t left = copy->limit - copy->bytes;

	return copy->packets || left > buffer->size ? buffer->size : left;
}

/* False where the copying is over. */
static bool step(struct copy *copy, struct buffer *buffer,
		 const struct progress *progress)
{
	ssize_t n;

	if (limit_reached(copy))
		return false;
	/* A read that cannot block does not wait for a watermark, poll() does. */
	if (copy->patient) {
		wait_for_data(copy, progress);
		if (stop)
			return false;
	}
	n = mydev_read(copy->dev, buffer->data, room(copy, buffer));
	if (n > 0 && copy->packets)
		return write_records(copy, buffer->data, n);
	if (n > 0)
		return write_all(copy, buffer->data, n, &copy->bytes);
	switch (n) {
	case -EAGAIN:
		wait_for_data(copy, progress);
		return true;
	case -EINTR:
		return true;
	case -ENOBUFS:
		note_gap(copy, progress);
		return true;
	case -EMSGSIZE:
		enlarge(buffer);
		return true;
	case -ENODEV:
		copy->end = COPY_UNPLUGGED;
		return false;
	case 0:
		/* The driver never says end of file. */
		copy->error = -EPROTO;
		copy->end = COPY_READ_ERROR;
		return false;
	default:
		copy->error = n;
		copy->end = COPY_READ_ERROR;
		return false;
	}
}

void copy_run(struct copy *copy)
{
	struct progress progress = { .on = copy->progress };
	struct buffer buffer = { .size = CHUNK };

	buffer.data = need(malloc(buffer.size));
	/* Before the timer, so that no end by time comes too early. */
	progress.start = now();
	progress.last = progress.start;
	copy->error = catch_signals(copy->seconds);
	if (copy->error) {
		copy->end = COPY_READ_ERROR;
		free(buffer.data);
		return;
	}
	while (!stop && step(copy, &buffer, &progress))
		show_progress(&progress, copy->bytes);
	if (!copy->end)
		copy->end = stop;
	end_progress(&progress);
	copy->elapsed = now() - progress.start;
	timer_delete(timer);
	free(buffer.data);
}
