// SPDX-License-Identifier: GPL-2.0-only
#include <inttypes.h>
#include <stdarg.h>

#include "records.h"

#define ALIGNMENT 8

static _Alignas(8) char buffer[1 << 18];

void records_init(struct records *r)
{
	memset(r, 0, sizeof(*r));
	verifier_init(&r->content);
}

void records_from(struct records *r, uint64_t counter, uint64_t sequence)
{
	records_init(r);
	verify_from(&r->content, counter);
	r->have_next = true;
	r->next = sequence;
}

size_t record_size(size_t payload)
{
	size_t size = sizeof(struct mydev_packet_header) + payload;

	return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Only the first error is told: those behind it are often its echo. */
__attribute__((format(printf, 2, 3))) static bool wrong(struct records *r, const char *format, ...)
{
	va_list ap;
	int n;

	if (r->bad)
		return false;
	r->bad = true;
	n = snprintf(r->error, sizeof(r->error), "record %" PRIu64 ": ", r->records);
	va_start(ap, format);
	vsnprintf(r->error + n, sizeof(r->error) - n, format, ap);
	va_end(ap);
	return false;
}

static bool check_shape(struct records *r, const struct mydev_packet_header *h, size_t len)
{
	const unsigned char *record = (const unsigned char *)h;

	if (len < sizeof(*h) || h->record_size > len)
		return wrong(r, "not whole: %zu bytes left in the buffer", len);
	if (h->header_size != sizeof(*h))
		return wrong(r, "header of %u bytes", h->header_size);
	if (h->record_size != record_size(h->length))
		return wrong(r, "record of %u bytes for %u", h->record_size, h->length);
	if (h->reserved)
		return wrong(r, "reserved is %#x", h->reserved);
	for (uint32_t i = h->header_size + h->length; i < h->record_size; i++) {
		if (record[i])
			return wrong(r, "byte %u of the padding is %#x", i, record[i]);
	}
	if (r->have_next && (r->partial_ok ? h->sequence < r->next : h->sequence != r->next))
		return wrong(r, "type %u has sequence %" PRIu64 ", expected %" PRIu64, h->type,
			     (uint64_t)h->sequence, r->next);
	r->have_next = true;
	r->next = h->sequence;
	return true;
}

static bool check_time(struct records *r, const struct mydev_packet_header *h)
{
	if (!h->timestamp_ns || h->timestamp_ns < r->last_time)
		return wrong(r, "time %" PRIu64 " after %" PRIu64, (uint64_t)h->timestamp_ns,
			     r->last_time);
	r->last_time = h->timestamp_ns;
	return true;
}

static bool check_packet(struct records *r, const struct mydev_packet_header *h)
{
	uint32_t known = MYDEV_PACKET_CONTINUES | (r->partial_ok ? MYDEV_PACKET_PARTIAL : 0);
	uint64_t whole = r->content.packets;

	if (r->cut)
		return wrong(r, "a packet behind one that was cut short");
	r->cut = r->unplugs && h->status < 0 && h->length;
	if (h->flags & ~known || (h->status && !r->cut))
		return wrong(r, "flags %#x, status %d", h->flags, h->status);
	r->next++;
	r->packets++;
	r->bytes += h->length;
	r->zero_packets += !h->length;
	r->continued += !!(h->flags & MYDEV_PACKET_CONTINUES);
	r->partial += !!(h->flags & MYDEV_PACKET_PARTIAL);
	if (!verifier_feed(&r->content, (const char *)h + h->header_size, h->length))
		return wrong(r, "%s", r->content.error_text);
	r->whole += r->content.packets - whole;
	if (r->one_to_one && h->length && !r->cut && verifier_partial(&r->content))
		return wrong(r, "the packet ends early, after %u bytes", h->length);
	return check_time(r, h);
}

static bool check_gap(struct records *r, const struct mydev_packet_header *h)
{
	uint64_t counter = r->content.next;
	struct mydev_gap_record gap;

	memcpy(&gap, (const char *)h + h->header_size, sizeof(gap));
	if (h->length != sizeof(gap) || !gap.packets)
		return wrong(r, "gap of %" PRIu64 " packets in %u bytes", (uint64_t)gap.packets,
			     h->length);
	if (h->flags || h->status || h->timestamp_ns)
		return wrong(r, "gap with flags %#x, status %d, time %" PRIu64, h->flags, h->status,
			     (uint64_t)h->timestamp_ns);
	r->next += gap.packets;
	r->gaps++;
	r->lost_packets += gap.packets;
	r->lost_bytes += gap.bytes;

	verifier_init(&r->content);
	if (r->one_to_one && r->have_next) {
		r->content.have_next = true;
		r->content.next = counter + gap.packets;
	} else {
		r->content.sync = true;
	}
	return true;
}

static bool check_event(struct records *r, const struct mydev_packet_header *h)
{
	struct mydev_event_record event;
	bool stopped;

	memcpy(&event, (const char *)h + h->header_size, sizeof(event));
	stopped = event.event == MYDEV_EVENT_STALL || event.event == MYDEV_EVENT_ERROR;
	if (h->length != sizeof(event) || !event.event || h->flags ||
	    (stopped ? event.status >= 0 : event.status != 0))
		return wrong(r, "event %u, status %d, flags %#x, %u bytes", event.event,
			     event.status, h->flags, h->length);
	r->events++;
	/* Where it was stopped from outside, the device sends what it was at anew. */
	if (!stopped)
		verifier_forget(&r->content);
	return check_time(r, h);
}

static bool check_record(struct records *r, const struct mydev_packet_header *h)
{
	switch (h->type) {
	case MYDEV_RECORD_PACKET:
		return check_packet(r, h);
	case MYDEV_RECORD_GAP:
		return check_gap(r, h);
	case MYDEV_RECORD_EVENT:
		return check_event(r, h);
	default:
		return wrong(r, "type %u", h->type);
	}
}

bool records_feed(struct records *r, const void *buf, size_t len)
{
	const char *p = buf;

	while (len && !r->bad) {
		const struct mydev_packet_header *h = (const void *)p;

		if (!check_shape(r, h, len) || !check_record(r, h))
			break;
		if (r->each)
			r->each(h, r->arg);
		r->records++;
		p += h->record_size;
		len -= h->record_size;
	}
	return !r->bad;
}

const char *read_records(int fd, struct records *r, uint64_t packets, size_t chunk)
{
	uint64_t target = r->packets + r->lost_packets + packets;

	while (r->packets + r->lost_packets < target) {
		ssize_t n = read(fd, buffer, chunk);

		if (n <= 0) {
			wrong(r, "read of %zu bytes: %zd, %s", chunk, n, strerror(errno));
			return r->error;
		}
		if (!records_feed(r, buffer, n))
			return r->error;
	}
	return NULL;
}

void take_records(int fd, struct records *r, uint64_t packets, size_t chunk)
{
	const char *error = read_records(fd, r, packets, chunk);

	if (error)
		fail_msg("%s", error);
}

const char *drain_records(int fd, struct records *r)
{
	int flags = fcntl(fd, F_GETFL);
	ssize_t n;

	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	while ((n = read(fd, buffer, sizeof(buffer))) > 0 && records_feed(r, buffer, n))
		;
	if (n < 0 && errno != EAGAIN)
		wrong(r, "read: %s", strerror(errno));
	fcntl(fd, F_SETFL, flags);
	return r->bad ? r->error : NULL;
}
