// SPDX-License-Identifier: MIT
/*
 * Copying what a device sends until something ends it: the bytes of its stream,
 * or in packet mode a line for each record.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tool.h"

#define CHUNK (256 * 1024)

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

			if (poll(&pfd, 1, -1) < 0 && errno == EINTR &&
			    interrupted())
				return false;
		} else if (errno == EINTR) {
			if (interrupted())
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
	double time = now();

	copy->gaps++;
	/* There can be thousands in a second; the end has the sum. */
	if (!copy->verbose || (copy->gaps_told && time < copy->told + 1.0))
		return;
	progress_end(progress);
	if (copy->gaps - copy->gaps_told == 1)
		complain(
			"%s: data was lost behind byte %llu: this reader fell behind",
			mydev_path(copy->dev), (unsigned long long)copy->bytes);
	else
		complain(
			"%s: data was lost in %llu more places, the last behind byte %llu",
			mydev_path(copy->dev),
			(unsigned long long)(copy->gaps - copy->gaps_told),
			(unsigned long long)copy->bytes);
	copy->gaps_told = copy->gaps;
	copy->told = time;
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
		if (interrupted())
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
	progress_begin(&progress);
	copy->error = interrupt_begin(copy->seconds);
	if (copy->error) {
		copy->end = COPY_READ_ERROR;
		free(buffer.data);
		return;
	}
	while (!interrupted() && step(copy, &buffer, &progress))
		progress_show(&progress, copy->bytes);
	if (!copy->end)
		copy->end = interrupted() == INTERRUPT_SECONDS ? COPY_SECONDS
							       : COPY_SIGNAL;
	progress_end(&progress);
	copy->elapsed = now() - progress.start;
	interrupt_end();
	free(buffer.data);
}
