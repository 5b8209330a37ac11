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
	*r = (struct rings){ .fd = fd, .map = map_of(fd) };
	/* From here on it asks for data, and the other two stay what they are. */
	r->ring = map_or_fail(fd, r->map.ring_offset, r->map.ring_bytes, PROT_READ | PROT_WRITE);
	r->map = map_of(fd);
	r->pool = map_or_fail(fd, r->map.pool_offset, r->map.pool_bytes, PROT_READ);
	r->entries = map_or_fail(fd, r->map.entries_offset, r->map.entries_bytes, PROT_READ);
}

void ring_close(struct rings *r)
{
	unmap(r->ring);
	unmap((void *)r->entries);
	unmap((void *)r->pool);
}

uint64_t ring_tail(const struct rings *r)
{
	return LOAD(r->ring->tail, __ATOMIC_ACQUIRE);
}

uint32_t ring_flags(const struct rings *r)
{
	return LOAD(r->ring->flags, __ATOMIC_ACQUIRE);
}

bool ring_peek(const struct rings *r, struct mydev_ring_entry *entry, uint64_t *tail)
{
	for (;;) {
		*tail = ring_tail(r);
		if (*tail >> 32 & 1)
			continue;
		if ((uint32_t)*tail == LOAD(r->ring->head, __ATOMIC_ACQUIRE))
			return false;
		*entry = *(const volatile struct mydev_ring_entry *)&r
				  ->entries[(uint32_t)*tail % r->map.entries];
		atomic_thread_fence(memory_order_acquire);
		if (LOAD(r->ring->tail, __ATOMIC_RELAXED) == *tail)
			return true;
	}
}

bool ring_give_back(struct rings *r, uint64_t tail, unsigned int count)
{
	uint64_t next = (tail & ~0xffffffffULL) | (uint32_t)(tail + count);
	bool done = __atomic_compare_exchange_n(&r->ring->tail, &tail, next, false,
						__ATOMIC_RELEASE, __ATOMIC_RELAXED);

	r->refused += !done;
	atomic_thread_fence(memory_order_seq_cst);
	if (ring_flags(r) & MYDEV_RING_NEED_WAKEUP) {
		r->wakeups++;
		try_sync(r->fd);
	}
	return done;
}

/* Room for the longest record, and for what follows it up to a multiple of 8. */
static unsigned char record[sizeof(struct mydev_packet_header) + LONGEST + 8];

/* An entry as read() would give it, its bytes copied out of the pool. */
static size_t as_record(const struct rings *r, const struct mydev_ring_entry *entry)
{
	struct mydev_packet_header h = {
		.header_size = sizeof(h),
		.type = entry->type,
		.flags = entry->flags,
		.sequence = entry->sequence,
		.timestamp_ns = entry->timestamp_ns,
		.status = entry->status,
	};
	struct mydev_gap_record gap = { entry->packets, entry->bytes };
	struct mydev_event_record event = { entry->event, entry->status };
	const void *payload = r->pool + entry->offset;

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
	}
	h.record_size = record_size(h.length);
	memset(record, 0, h.record_size);
	memcpy(record, &h, sizeof(h));
	memcpy(record + sizeof(h), payload, h.length);
	return h.record_size;
}

/* Takes one entry; false where there is none. */
static bool take_one(struct rings *r, struct records *records)
{
	struct mydev_ring_entry entry;
	uint64_t tail;
	size_t length;

	if (!ring_peek(r, &entry, &tail))
		return false;
	length = as_record(r, &entry);
	if (ring_give_back(r, tail, 1))
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
	/* What was lost behind the last entry is brought by the call. */
	do {
		while (!records->bad && take_one(r, records))
			;
	} while (!records->bad && !try_sync(r->fd) &&
		 (uint32_t)ring_tail(r) != LOAD(r->ring->head, __ATOMIC_ACQUIRE));
	return records->bad ? records->error : NULL;
}

void drain_ring(struct rings *r, struct records *records)
{
	const char *error = ring_drain(r, records);

	if (error)
		fail_msg("after %" PRIu64 " packets: %s", records->packets, error);
}
