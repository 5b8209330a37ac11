// SPDX-License-Identifier: MIT
/*
 * Packets where the kernel has them. The protocol, and why it is safe, is that
 * of struct mydev_ring in <linux/mydev.h>.
 */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "client.h"

_Static_assert(sizeof(_Atomic(__u64)) == sizeof(__u64), "has a lock");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "the kernel shares no lock");

/* The header has plain types, as the kernel and C++ do not know C11's. */
#define SHARED32(_member) ((_Atomic(__u32) *)&(_member))

/**
 * struct place - where a program is in the log, as in struct mydev_ring
 * @cursor: position of the next entry
 * @sequence: packet that is expected next
 * @bytes: payload bytes before it
 * @read_packets: packets read
 * @read_bytes: bytes read
 */
struct place {
	__u64 cursor;
	__u64 sequence;
	__u64 bytes;
	__u64 read_packets;
	__u64 read_bytes;
};

/**
 * struct held - a packet, a gap or an event that was taken
 * @position: of the entry, or of the one behind a gap
 * @after: where the program is when it is given back
 */
struct held {
	__u64 position;
	struct place after;
};

/**
 * struct ring - the mapped memory, and where we are in it
 * @map: what is mapped
 * @ring: our page
 * @log: head and tail, and the entries behind them
 * @pool: the bytes
 * @given: what the kernel knows
 * @now: behind all that is taken
 * @held: what is taken and not given back, by its number modulo client->held_max
 * @policy: MYDEV_POLICY_*
 * @depth: how far a policy that drops lets us be behind
 * @keep: of one that drops the newest and is full: position behind what it keeps
 * @from: the depth counts from there where we are before it: what was there when it began
 *	is no reason to lose it
 * @full: @keep holds
 * @clock: MYDEV_CLOCK_*
 */
struct ring {
	struct mydev_map map;
	struct mydev_ring *ring;
	const struct mydev_log_page *log;
	const char *pool;
	struct place given;
	struct place now;
	struct held *held;
	uint32_t policy;
	uint32_t depth;
	__u64 keep;
	__u64 from;
	bool full;
	uint32_t clock;
};

static __u64 load_acquire(const __u64 *word)
{
	return atomic_load_explicit((const _Atomic(__u64) *)word,
				    memory_order_acquire);
}

static void store(__u64 *word, __u64 value, memory_order order)
{
	atomic_store_explicit((_Atomic(__u64) *)word, value, order);
}

static bool is_before(__u64 a, __u64 b)
{
	return (__s64)(a - b) < 0;
}

/* NULL with errno */
static void *map_part(const struct mydev *dev, __u64 offset, __u64 bytes,
		      int prot)
{
	void *part = MAP_FAILED;

	/* A 32-bit program may not have room for all of it. */
	errno = ENOMEM;
	if (bytes == (size_t)bytes)
		part = mmap(NULL, bytes, prot, MAP_SHARED, mydev_fd(dev),
			    offset);
	if (part == MAP_FAILED)
		return NULL;
	return part;
}

static void ring_close(struct mydev_client *client)
{
	struct ring *ring = client->state;

	if (ring->pool)
		munmap((void *)ring->pool, ring->map.pool_bytes);
	if (ring->log)
		munmap((void *)ring->log, ring->map.log_bytes);
	if (ring->ring)
		munmap(ring->ring, ring->map.ring_bytes);
	free(ring->held);
	free(ring);
}

/* Begins where the kernel says that we are. */
static int begin(struct mydev_client *client)
{
	struct ring *ring = client->state;
	struct mydev_config config;
	int ret = mydev_get_config(client->dev, &config, sizeof(config));

	if (ret)
		return ret;
	ring->policy = config.policy;
	ring->depth = config.queue_depth;
	ring->clock = config.clock;
	ring->full = false;
	ring->from = load_acquire(&ring->log->head);
	ring->given.cursor = load_acquire(&ring->ring->cursor);
	ring->given.sequence = ring->ring->sequence;
	ring->given.bytes = ring->ring->bytes;
	ring->given.read_packets = ring->ring->read_packets;
	ring->given.read_bytes = ring->ring->read_bytes;
	ring->now = ring->given;
	return 0;
}

static int ring_open(struct mydev_client *client)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	const struct mydev *dev = client->dev;
	struct mydev_map *map;
	int ret;

	if (!ring)
		return -ENOMEM;
	client->state = ring;
	map = &ring->map;
	ring->held = calloc(client->held_max, sizeof(*ring->held));
	if (!ring->held) {
		ret = -ENOMEM;
		goto close;
	}
	ret = device_request(dev, MYDEV_IOC_GET_MAP, map, sizeof(*map));
	if (ret)
		goto close;
	ring->ring = map_part(dev, map->ring_offset, map->ring_bytes,
			      PROT_READ | PROT_WRITE);
	if (!ring->ring)
		goto close_errno;
	/* Now that it is mapped, the other two stay as large as they are. */
	ret = device_request(dev, MYDEV_IOC_GET_MAP, map, sizeof(*map));
	if (ret)
		goto close;
	ring->log = map_part(dev, map->log_offset, map->log_bytes, PROT_READ);
	if (!ring->log)
		goto close_errno;
	ring->pool =
		map_part(dev, map->pool_offset, map->pool_bytes, PROT_READ);
	if (!ring->pool)
		goto close_errno;
	ret = begin(client);
	if (ret)
		goto close;
	return 0;

close_errno:
	ret = -errno;
close:
	ring_close(client);
	return ret;
}

static int ring_sync(const struct mydev_client *client)
{
	struct mydev_select arg = { 0 };

	return device_request(client->dev, MYDEV_IOC_SYNC, &arg, sizeof(arg));
}

/* What is held has been taken away: it is a part of the gap that is next. */
static void begin_anew(struct mydev_client *client, __u64 tail)
{
	struct ring *ring = client->state;

	ring->now = ring->given;
	ring->now.cursor = tail;
	ring->full = false;
	if (client_holds(client))
		client->lost = client->next;
}

/* Whether what is held, or what is next, has been taken away. */
static bool is_overtaken(const struct mydev_client *client)
{
	const struct ring *ring = client->state;
	__u64 first = ring->now.cursor;

	if (client_holds(client) && client->released >= client->lost)
		first = ring->held[client->released % client->held_max].position;
	/* What was read of the log and the pool before is read before the tail. */
	atomic_thread_fence(memory_order_acquire);
	return is_before(first, load_acquire(&ring->log->tail));
}

/* Why no more entries come than are there; -EAGAIN where it is not known yet. */
static int end_reason(const struct mydev_client *client)
{
	struct mydev_stats stats;
	int ret = ring_sync(client);

	if (ret || !client_holds(client))
		return ret ? ret : -EAGAIN;
	/* To the kernel, what is held is still there. */
	ret = mydev_get_stats(client->dev, &stats, sizeof(stats));
	if (ret)
		return ret;
	switch (stats.state) {
	case MYDEV_STATE_GONE:
		return -ENODEV;
	case MYDEV_STATE_FAILED:
		return -EIO;
	default:
		return -EAGAIN;
	}
}

/* Skips what the policy has us lose. */
static void drop(struct mydev_client *client, __u64 head)
{
	struct ring *ring = client->state;
	__u64 from = ring->from;

	if (ring->policy == MYDEV_POLICY_LOSSLESS)
		return;
	if (ring->policy == MYDEV_POLICY_DROP_OLDEST) {
		if (is_before(from, ring->now.cursor))
			from = ring->now.cursor;
		if (!client_holds(client) &&
		    is_before(from, head - ring->depth))
			ring->now.cursor = head - ring->depth;
		return;
	}
	if (is_before(from, ring->given.cursor))
		from = ring->given.cursor;
	if (!ring->full && is_before(from, head - ring->depth)) {
		ring->full = true;
		ring->keep = from + ring->depth;
	}
	if (ring->full && !is_before(ring->now.cursor, ring->keep)) {
		ring->full = false;
		ring->now.cursor = head;
		ring->from = head;
	}
}

static const struct mydev_ring_entry *entry_at(const struct ring *ring,
					       __u64 position)
{
	return (const void *)((const char *)ring->log + ring->map.first_entry +
			      (size_t)(position & (ring->map.entries - 1)) *
				      ring->map.entry_size);
}

/* The place of the entry; what the log says of what comes behind its last one. */
static void place_of(const struct mydev_ring_entry *entry, bool behind,
		     __u64 *sequence, __u64 *bytes)
{
	bool packet = behind && entry->type == MYDEV_RECORD_PACKET;

	*sequence = entry->sequence + packet;
	*bytes = entry->bytes + (packet ? entry->length : 0);
}

static uint64_t entry_time(const struct mydev_ring_entry *entry, uint32_t clock)
{
	switch (clock) {
	case MYDEV_CLOCK_BOOTTIME:
		return entry->monotonic_ns + entry->boottime_offset_ns;
	case MYDEV_CLOCK_REALTIME:
		return entry->monotonic_ns + entry->realtime_offset_ns;
	default:
		return entry->monotonic_ns;
	}
}

static void fill_in(struct ring *ring, const struct mydev_ring_entry *entry,
		    struct mydev_packet *packet)
{
	struct place *now = &ring->now;
	__u64 done = now->bytes - entry->bytes;

	packet->type = entry->type;
	packet->status = entry->status;
	packet->sequence = entry->sequence;
	packet->timestamp_ns = entry_time(entry, ring->clock);
	now->cursor++;
	if (entry->type == MYDEV_RECORD_EVENT)
		packet->event = entry->event;
	if (entry->type != MYDEV_RECORD_PACKET)
		return;
	packet->flags = entry->flags;
	/* Its first bytes were read before ring mode. */
	if (done)
		packet->flags |= MYDEV_PACKET_PARTIAL;
	packet->data = ring->pool + entry->offset + done;
	packet->length = entry->length - done;
	now->sequence++;
	now->bytes += packet->length;
	now->read_packets++;
	now->read_bytes += packet->length;
}

/*
 * Takes what is next, as far as can be told without knowing whether it was good: false
 * if there is nothing.
 */
static bool look(struct mydev_client *client, struct mydev_packet *packet)
{
	struct ring *ring = client->state;
	__u64 head = load_acquire(&ring->log->head), sequence, bytes;
	struct mydev_ring_entry entry;
	bool behind;

	drop(client, head);
	behind = !is_before(ring->now.cursor, head);
	memcpy(&entry, entry_at(ring, ring->now.cursor - behind),
	       sizeof(entry));
	place_of(&entry, behind, &sequence, &bytes);
	/* The entry is copied before the tail is looked at. */
	atomic_thread_fence(memory_order_acquire);
	/* An empty log says nothing. */
	if (behind &&
	    (!is_before(load_acquire(&ring->log->tail), head) || !head))
		return false;
	if (is_before(ring->now.sequence, sequence)) {
		packet->type = MYDEV_RECORD_GAP;
		packet->sequence = ring->now.sequence;
		packet->gap_packets = sequence - ring->now.sequence;
		packet->gap_bytes = bytes - ring->now.bytes;
		ring->now.sequence = sequence;
		ring->now.bytes = bytes;
		return true;
	}
	if (behind)
		return false;
	fill_in(ring, &entry, packet);
	return true;
}

static bool has_ended(const struct ring *ring)
{
	return atomic_load_explicit(SHARED32(ring->ring->flags),
				    memory_order_acquire) &
	       MYDEV_RING_ENDED;
}

static int ring_take(struct mydev_client *client, struct mydev_packet *packet)
{
	struct ring *ring = client->state;
	int ended = 0;

	for (;;) {
		struct place before = ring->now;
		__u64 from = ring->from;
		bool full = ring->full;

		if (look(client, packet)) {
			struct held *held =
				&ring->held[client->next % client->held_max];

			held->position = before.cursor;
			if (packet->type == MYDEV_RECORD_GAP)
				held->position = ring->now.cursor;
			else
				held->position = ring->now.cursor - 1;
			held->after = ring->now;
			if (!is_overtaken(client) &&
			    !is_before(held->position,
				       load_acquire(&ring->log->tail)))
				return 0;
			ring->now = before;
			ring->full = full;
			ring->from = from;
			*packet =
				(struct mydev_packet){ .number =
							       packet->number };
		}
		if (is_overtaken(client)) {
			begin_anew(client, load_acquire(&ring->log->tail));
			continue;
		}
		if (ended)
			return ended;
		if (!has_ended(ring))
			return -EAGAIN;
		/* What came before the end was told may still be new. */
		ended = end_reason(client);
	}
}

static int ring_give(struct mydev_client *client, uint64_t number)
{
	struct ring *ring = client->state;
	struct mydev_ring *page = ring->ring;

	if (is_overtaken(client)) {
		begin_anew(client, load_acquire(&ring->log->tail));
		return -ENOBUFS;
	}
	ring->given = ring->held[number % client->held_max].after;
	store(&page->sequence, ring->given.sequence, memory_order_relaxed);
	store(&page->bytes, ring->given.bytes, memory_order_relaxed);
	store(&page->read_packets, ring->given.read_packets,
	      memory_order_relaxed);
	store(&page->read_bytes, ring->given.read_bytes, memory_order_relaxed);
	store(&page->cursor, ring->given.cursor, memory_order_release);
	/* The kernel sets the flag and then looks at the cursor: one of us sees. */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(SHARED32(page->flags), memory_order_relaxed) &
	    MYDEV_RING_NEED_WAKEUP)
		ring_sync(client);
	return 0;
}

static void ring_rewound(struct mydev_client *client)
{
	begin(client);
}

const struct way ring_way = {
	.open = ring_open,
	.take = ring_take,
	.give = ring_give,
	.rewound = ring_rewound,
	.close = ring_close,
};
