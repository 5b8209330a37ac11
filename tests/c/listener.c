// SPDX-License-Identifier: GPL-2.0-only
#include <inttypes.h>

#include "listener.h"

static unsigned char buf[1 << 16];

unsigned char byte_of(unsigned int number, size_t i)
{
	return number * 31 + i * 7 + (i >> 8);
}

void fill(unsigned char *to, unsigned int number, size_t length)
{
	for (size_t i = 0; i < length; i++)
		to[i] = byte_of(number, i);
}

void send_in(struct peer *p, unsigned int number, size_t length)
{
	static unsigned char data[1 << 16];

	fill(data, number, length);
	assert_true(peer_send(p, PEER_IN, data, length));
}

void take_in(int fd, unsigned int number, size_t length)
{
	size_t got = 0;

	while (got < length) {
		ssize_t n = read(fd, buf + got, length - got);

		if (n <= 0)
			fail_msg("read after %zu bytes of message %u: %zd, %s", got, number, n,
				 strerror(errno));
		got += n;
	}
	for (size_t i = 0; i < length; i++) {
		if (buf[i] != byte_of(number, i))
			fail_msg("byte %zu of message %u is %#x", i, number, buf[i]);
	}
}

void take_out(struct peer *p, unsigned int number, size_t length)
{
	static unsigned char data[1 << 16];

	assert_int_equal(peer_receive(p, PEER_OUT, data, sizeof(data)), length);
	for (size_t i = 0; i < length; i++) {
		if (data[i] != byte_of(number, i))
			fail_msg("byte %zu of message %u is %#x", i, number, data[i]);
	}
}

void write_out(int fd, unsigned int number, size_t length)
{
	fill(buf, number, length);
	assert_int_equal(write(fd, buf, length), length);
}

/* A process of its own, as a driver that is taken in may never return. */
static int hear(void *arg)
{
	struct listener *l = arg;
	struct heard *h = l->heard;
	ssize_t n;

	while ((n = read(l->fd, h->data + h->bytes, sizeof(buf))) >= 0) {
		if (n > (ssize_t)sizeof(buf) || h->bytes + n > HEARD_MAX - sizeof(buf)) {
			errno = EOVERFLOW;
			break;
		}
		h->bytes += n;
	}
	h->when = now();
	h->error = errno;
	return 0;
}

void listen_to(struct listener *l, int fd, unsigned int mode)
{
	*l = (struct listener){ .fd = fd, .mode = mode, .sequence = stats_of(fd).packets };
	if (mode == MYDEV_MODE_RING) {
		ring_open(&l->ring, fd);
		return;
	}
	configure(fd, .mode = mode);
	l->heard = shared_memory(sizeof(*l->heard));
	spawn(hear, l);
}

void listen_on(struct listener *l)
{
	if (l->mode != MYDEV_MODE_RING)
		spawn(hear, l);
}

static bool has_heard(struct listener *l, size_t bytes)
{
	if (l->heard->error)
		fail_msg("read: %s", strerror(l->heard->error));
	return l->heard->bytes >= l->at + bytes;
}

void check_bytes(const unsigned char *data, unsigned int number, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (data[i] != byte_of(number, i))
			fail_msg("byte %zu of message %u is %#x", i, number, data[i]);
	}
}

/* The next record, by what read() or the ring has of it. */
struct seen {
	unsigned int type;
	uint64_t sequence;
	uint32_t length;
	uint32_t event;
	int32_t status;
	const unsigned char *payload;
};

static struct seen see_record(struct listener *l)
{
	const struct mydev_packet_header *h = (const void *)(l->heard->data + l->at);
	const struct mydev_event_record *event = (const void *)(h + 1);
	struct seen seen;

	await(has_heard(l, sizeof(*h)));
	if (h->record_size > HEARD_MAX || h->record_size < sizeof(*h))
		fail_msg("a record of %u bytes", h->record_size);
	await(has_heard(l, h->record_size));
	seen = (struct seen){ h->type, h->sequence, h->length, 0, 0, (const void *)(h + 1) };
	if (h->type == MYDEV_RECORD_EVENT) {
		seen.event = event->event;
		seen.status = event->status;
	}
	l->at += h->record_size;
	return seen;
}

static struct seen see_entry(struct listener *l)
{
	struct mydev_ring_entry e;
	struct ring_next next;

	await(ring_peek(&l->ring, &next));
	/* The memory is used behind this, which is good enough for a quiet device. */
	assert_true(ring_give_back(&l->ring, &next));
	e = next.entry;
	if (e.type == MYDEV_RECORD_PACKET &&
	    (e.length > l->ring.map.pool_bytes || e.offset > l->ring.map.pool_bytes - e.length))
		fail_msg("a packet of %u bytes in the ring", e.length);
	return (struct seen){
		e.type,   e.sequence,
		e.length, e.type == MYDEV_RECORD_EVENT ? e.event : 0,
		e.status, e.type == MYDEV_RECORD_PACKET ? l->ring.pool + e.offset : NULL
	};
}

static struct seen see(struct listener *l)
{
	return l->mode == MYDEV_MODE_RING ? see_entry(l) : see_record(l);
}

static void check_packet(struct listener *l, const struct seen *s, unsigned int number,
			 size_t length)
{
	if (s->type != MYDEV_RECORD_PACKET || !s->payload || s->status || s->length != length ||
	    s->sequence != l->sequence)
		fail_msg("type %u, number %" PRIu64 ", %u bytes, event %u, status %d; expected was "
			 "packet %" PRIu64 " of %zu bytes",
			 s->type, s->sequence, s->length, s->event, s->status, l->sequence, length);
	check_bytes(s->payload, number, length);
	l->sequence++;
}

void hears(struct listener *l, unsigned int number, size_t length)
{
	struct seen s;

	if (l->mode == MYDEV_MODE_STREAM) {
		await(has_heard(l, length));
		check_bytes(l->heard->data + l->at, number, length);
		l->at += length;
		/* All wait for what they have sent, so there is nothing behind it. */
		assert_int_equal(l->heard->bytes, l->at);
		return;
	}
	s = see(l);
	check_packet(l, &s, number, length);
}

void hears_event(struct listener *l, uint32_t event, int status)
{
	struct seen s;

	if (l->mode == MYDEV_MODE_STREAM)
		return;
	s = see(l);
	if (s.type != MYDEV_RECORD_EVENT || s.event != event || s.status != status)
		fail_msg("type %u, %u bytes, event %u, status %d; expected was event %u, status %d",
			 s.type, s.length, s.event, s.status, event, status);
}

void hears_error(struct listener *l, int status)
{
	hears_event(l, status == -EPIPE ? MYDEV_EVENT_STALL : MYDEV_EVENT_ERROR, status);
}

void hears_the_end(struct listener *l, int error)
{
	struct ring_next next;

	if (l->mode == MYDEV_MODE_RING) {
		await(ring_flags(&l->ring) & MYDEV_RING_ENDED);
		if (ring_peek(&l->ring, &next))
			hears_error(l, -EPROTO);
		assert_false(ring_peek(&l->ring, &next));
		assert_int_equal(try_sync(l->fd), error);
		return;
	}
	await(l->heard->error);
	assert_int_equal(l->heard->error, error);
	l->heard->error = 0;
	if (l->heard->bytes != l->at)
		hears_error(l, -EPROTO);
	assert_int_equal(l->heard->bytes, l->at);
}

void listener_close(struct listener *l)
{
	if (l->mode == MYDEV_MODE_RING)
		ring_close(&l->ring);
	end_children();
	close(l->fd);
}

unsigned int mode_stream = MYDEV_MODE_STREAM;
unsigned int mode_packet = MYDEV_MODE_PACKET;
unsigned int mode_ring = MYDEV_MODE_RING;

unsigned int mode_of(void **state)
{
	return *(unsigned int *)*state;
}
