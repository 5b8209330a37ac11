// SPDX-License-Identifier: GPL-2.0-only
#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "rings.h"

#define LONGEST (1 << 18)

/* The shared page is volatile for the compiler where it is not atomic. */
#define LOAD(_member, _order) __atomic_load_n(&(_member), _order)

struct mydev_map map_of(int fd)
{
	struct mydev_map map = { .size = sizeof(map) };

	assert_return_code(ioctl(fd, MYDEV_IOC_GET_MAP, &map), errno);
	return map;
}

int try_sync(int fd)
{
	struct mydev_select select = { .size = sizeof(select) };

	return ioctl(fd, MYDEV_IOC_SYNC, &select) ? errno : 0;
}

/* What is mapped of this test, as a mapping keeps its descriptor open. */
static struct {
	void *at;
	uint64_t bytes;
} mapped[64];

static void unmap(void *at)
{
	for (unsigned int i = 0; i < sizeof(mapped) / sizeof(mapped[0]); i++) {
		if (mapped[i].at != at || !at)
			continue;
		munmap(at, mapped[i].bytes);
		mapped[i].at = NULL;
	}
}

int fresh_rings(void **state)
{
	for (unsigned int i = 0; i < sizeof(mapped) / sizeof(mapped[0]); i++)
		unmap(mapped[i].at);
	return fresh_defaults(state);
}

void *map_region(int fd, uint64_t offset, uint64_t bytes, int prot)
{
	void *at = mmap(NULL, bytes, prot, MAP_SHARED, fd, offset);

	for (unsigned int i = 0; at != MAP_FAILED; i++) {
		/* So many are never mapped. */
		if (i == sizeof(mapped) / sizeof(mapped[0]))
			abort();
		if (mapped[i].at)
			continue;
		mapped[i].at = at;
		mapped[i].bytes = bytes;
		break;
	}
	return at;
}

static void *map_or_fail(int fd, uint64_t offset, uint64_t bytes, int prot)
{
	void *at = map_region(fd, offset, bytes, prot);

	if (at == MAP_FAILED)
		fail_msg("mmap: %s", strerror(errno));
	return at;
}

void ring_open(struct rings *r, int fd)
{
	struct mydev_config config = config_of(fd);

	config.mode = MYDEV_MODE_RING;
	assert_int_equal(try_config(fd, config), 0);
	*r = (struct rings){
		.fd = fd, .map = map_of(fd), .policy = config.policy, .depth = config.queue_depth
	};
	/* From here on it asks for data, and the other two stay what they are. */
	r->ring = map_or_fail(fd, r->map.ring_offset, r->map.ring_bytes, PROT_READ | PROT_WRITE);
	r->map = map_of(fd);
	r->pool = map_or_fail(fd, r->map.pool_offset, r->map.pool_bytes, PROT_READ);
	r->log = map_or_fail(fd, r->map.log_offset, r->map.log_bytes, PROT_READ);
	r->entries = (const void *)((const char *)r->log + r->map.first_entry);
}

void ring_close(struct rings *r)
{
	unmap(r->ring);
	unmap((void *)r->log);
	unmap((void *)r->pool);
}

uint64_t ring_cursor(const struct rings *r)
{
	return LOAD(r->ring->cursor, __ATOMIC_RELAXED);
}

uint32_t ring_flags(const struct rings *r)
{
	return LOAD(r->ring->flags, __ATOMIC_ACQUIRE);
}

static bool is_before(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b) < 0;
}

static uint64_t tail_behind_all_reads(const struct rings *r)
{
	atomic_thread_fence(memory_order_acquire);
	return LOAD(r->log->tail, __ATOMIC_RELAXED);
}

bool ring_is_empty(const struct rings *r)
{
	return !is_before(ring_cursor(r), LOAD(r->log->head, __ATOMIC_ACQUIRE));
}

static void move_cursor(struct rings *r, uint64_t cursor)
{
	__atomic_store_n(&r->ring->cursor, cursor, __ATOMIC_RELEASE);
}

/* A program that drops does it itself. */
static void apply_policy(struct rings *r, uint64_t head)
{
	uint64_t cursor = ring_cursor(r);

	if (r->policy == MYDEV_POLICY_DROP_OLDEST && is_before(cursor, head - r->depth))
		move_cursor(r, head - r->depth);
	if (r->policy != MYDEV_POLICY_DROP_NEWEST)
		return;
	if (!r->keep && is_before(cursor, head - r->depth))
		r->keep = cursor + r->depth;
	if (r->keep && !is_before(cursor, r->keep)) {
		r->keep = 0;
		move_cursor(r, head);
	}
}

static struct mydev_ring_entry copy_of(const struct rings *r, uint64_t position)
{
	return *(const volatile struct mydev_ring_entry *)&r->entries[position % r->map.entries];
}

/* Where packets were lost before the place @sequence, @bytes. */
static bool make_gap(const struct rings *r, struct ring_next *next, uint64_t sequence,
		     uint64_t bytes)
{
	if (sequence == r->ring->sequence)
		return false;
	next->entry = (struct mydev_ring_entry){ .type = MYDEV_RECORD_GAP,
						 .sequence = r->ring->sequence };
	next->gap_packets = sequence - r->ring->sequence;
	next->gap_bytes = bytes - r->ring->bytes;
	return true;
}

/* The entry, or the gap before it. */
static bool is_next(const struct rings *r, struct ring_next *next)
{
	struct mydev_ring_entry *entry = &next->entry;

	if (make_gap(r, next, entry->sequence, entry->bytes))
		return true;
	next->skip = r->ring->bytes - entry->bytes;
	entry->length -= next->skip;
	return true;
}

bool ring_peek(struct rings *r, struct ring_next *next)
{
	struct mydev_ring_entry *entry = &next->entry;

	for (;;) {
		uint64_t head = LOAD(r->log->head, __ATOMIC_ACQUIRE), tail, at;

		apply_policy(r, head);
		*next = (struct ring_next){ .position = ring_cursor(r) };
		at = next->position;
		/* Behind the last entry, that one says what is expected next. */
		if (!is_before(at, head))
			at = head - 1;
		*entry = copy_of(r, at);
		tail = tail_behind_all_reads(r);
		if (!is_before(next->position, tail)) {
			if (is_before(next->position, head))
				return is_next(r, next);
			return head && !is_before(at, tail) && next->position == head &&
			       make_gap(r, next,
					entry->sequence + (entry->type == MYDEV_RECORD_PACKET),
					entry->bytes + entry->length);
		}
		move_cursor(r, tail);
	}
}

bool ring_give_back(struct rings *r, const struct ring_next *next)
{
	struct mydev_ring *ring = r->ring;
	uint64_t cursor = next->position;
	bool gap = next->entry.type == MYDEV_RECORD_GAP;

	if (!gap && is_before(cursor, tail_behind_all_reads(r))) {
		r->refused++;
		move_cursor(r, tail_behind_all_reads(r));
		return false;
	}
	if (gap) {
		ring->sequence += next->gap_packets;
		ring->bytes += next->gap_bytes;
	} else {
		cursor++;
		ring->sequence += next->entry.type == MYDEV_RECORD_PACKET;
		ring->bytes += next->entry.length;
		ring->read_packets += next->entry.type == MYDEV_RECORD_PACKET;
		ring->read_bytes += next->entry.length;
	}
	move_cursor(r, cursor);
	atomic_thread_fence(memory_order_seq_cst);
	if (ring_flags(r) & MYDEV_RING_NEED_WAKEUP) {
		r->wakeups++;
		try_sync(r->fd);
	}
	return true;
}

/* Room for the longest record, and for what follows it up to a multiple of 8. */
static unsigned char record[sizeof(struct mydev_packet_header) + LONGEST + 8];

/* As read() would give it, its bytes copied out of the pool. */
static size_t as_record(const struct rings *r, const struct ring_next *next)
{
	const struct mydev_ring_entry *entry = &next->entry;
	struct mydev_packet_header h = {
		.header_size = sizeof(h),
		.type = entry->type,
		.flags = entry->flags,
		.sequence = entry->sequence,
		.timestamp_ns = entry->monotonic_ns,
		.status = entry->status,
	};
	struct mydev_gap_record gap = { next->gap_packets, next->gap_bytes };
	struct mydev_event_record event = { entry->event, entry->status };
	const void *payload = r->pool + entry->offset + next->skip;

	h.length = entry->length;
	switch (entry->type) {
	case MYDEV_RECORD_GAP:
		payload = &gap;
		h.length = sizeof(gap);
		break;
	case MYDEV_RECORD_EVENT:
		payload = &event;
		h.length = sizeof(event);
		h.status = 0;
		break;
	default:
		/* One that is being taken away may be anything; it is not given back. */
		if (h.length > LONGEST || entry->offset > r->map.pool_bytes - h.length)
			h.length = 0;
		if (next->skip)
			h.flags |= MYDEV_PACKET_PARTIAL;
	}
	h.record_size = record_size(h.length);
	memset(record, 0, h.record_size);
	memcpy(record, &h, sizeof(h));
	memcpy(record + sizeof(h), payload, h.length);
	return h.record_size;
}

/* Takes what is next; false where there is nothing. */
static bool take_one(struct rings *r, struct records *records)
{
	struct ring_next next;
	size_t length;

	if (!ring_peek(r, &next))
		return false;
	length = as_record(r, &next);
	if (ring_give_back(r, &next))
		records_feed(records, record, length);
	return true;
}

const char *ring_read(struct rings *r, struct records *records, uint64_t packets)
{
	uint64_t end = records->packets + records->lost_packets + packets;

	while (!records->bad && records->packets + records->lost_packets < end) {
		struct pollfd p = { .fd = r->fd, .events = POLLIN };

		if (take_one(r, records))
			continue;
		if (ring_flags(r) & MYDEV_RING_ENDED) {
			int error = try_sync(r->fd);

			if (!error)
				continue;
			snprintf(records->error, sizeof(records->error), "the ring has ended: %s",
				 strerror(error));
			return records->error;
		}
		if (poll(&p, 1, 20000) != 1)
			return "nothing has come for 20 s";
	}
	return records->bad ? records->error : NULL;
}

void take_ring(struct rings *r, struct records *records, uint64_t packets)
{
	const char *error = ring_read(r, records, packets);

	if (error)
		fail_msg("after %" PRIu64 " packets: %s", records->packets, error);
}

const char *ring_drain(struct rings *r, struct records *records)
{
	while (!records->bad && take_one(r, records))
		;
	return records->bad ? records->error : NULL;
}

void drain_ring(struct rings *r, struct records *records)
{
	const char *error = ring_drain(r, records);

	if (error)
		fail_msg("after %" PRIu64 " packets: %s", records->packets, error);
}
