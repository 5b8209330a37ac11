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
#define SHARED64(_member) ((_Atomic(__u64) *)&(_member))

/* Looks at a tail that the kernel is at work on, before it is asked. */
#define PATIENCE 1000

/**
 * struct ring - the mapped memory, and where we are in it
 * @map: what is mapped
 * @ring: head and tail
 * @entries: the entries
 * @pool: the bytes
 * @tail: what the tail should be: ours if nothing was taken away
 * @first: index of the entry whose packet has the number @number
 * @number: a number, from which others are counted
 * @begun: whether @tail, @first and @number hold something
 */
struct ring {
	struct mydev_map map;
	struct mydev_ring *ring;
	const char *entries;
	const char *pool;
	__u64 tail;
	__u32 first;
	uint64_t number;
	bool begun;
};

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
	if (ring->entries)
		munmap((void *)ring->entries, ring->map.entries_bytes);
	if (ring->ring)
		munmap(ring->ring, ring->map.ring_bytes);
	free(ring);
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
	ring->entries = map_part(dev, map->entries_offset, map->entries_bytes,
				 PROT_READ);
	if (!ring->entries)
		goto close_errno;
	ring->pool =
		map_part(dev, map->pool_offset, map->pool_bytes, PROT_READ);
	if (!ring->pool)
		goto close_errno;
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

static __u64 load_tail(const struct ring *ring)
{
	return atomic_load_explicit(SHARED64(ring->ring->tail),
				    memory_order_acquire);
}

/* The tail, once the kernel is not at work on it. */
static __u64 settled_tail(const struct mydev_client *client)
{
	const struct ring *ring = client->state;
	unsigned int looks = 0;
	__u64 tail;

	while ((tail = load_tail(ring)) >> 32 & 1) {
		if (++looks < PATIENCE)
			continue;
		/*
		 * The one who is at work does not run. The kernel takes its lock
		 * for this request, and so waits for it, whatever its priority.
		 */
		ring_sync(client);
		looks = 0;
	}
	return tail;
}

/* Where the tail is not what we left there, all that is held was taken away. */
static void begin_anew(struct mydev_client *client, __u64 tail)
{
	struct ring *ring = client->state;

	ring->tail = tail;
	ring->first = tail;
	ring->number = client->next;
	ring->begun = true;
	if (client_holds(client))
		client->lost = client->next;
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

static void fill_in(const struct ring *ring,
		    const struct mydev_ring_entry *entry,
		    struct mydev_packet *packet)
{
	packet->type = entry->type;
	packet->flags = entry->flags;
	packet->status = entry->status;
	packet->sequence = entry->sequence;
	packet->timestamp_ns = entry->timestamp_ns;
	switch (entry->type) {
	case MYDEV_RECORD_PACKET:
		packet->data = ring->pool + entry->offset;
		packet->length = entry->length;
		break;
	case MYDEV_RECORD_GAP:
		packet->gap_packets = entry->packets;
		packet->gap_bytes = entry->bytes;
		break;
	case MYDEV_RECORD_EVENT:
		packet->event = entry->event;
		break;
	}
}

static int ring_take(struct mydev_client *client, struct mydev_packet *packet)
{
	struct ring *ring = client->state;
	struct mydev_ring_entry entry;
	bool ended = false;
	__u32 head, index;
	__u64 tail;
	int ret;

	for (;;) {
		tail = settled_tail(client);
		if (!ring->begun || tail != ring->tail)
			begin_anew(client, tail);
		head = atomic_load_explicit(SHARED32(ring->ring->head),
					    memory_order_acquire);
		index = ring->first + (client->next - ring->number);
		if (head == index) {
			/* What came before the end was told may still be new. */
			if (!(atomic_load_explicit(SHARED32(ring->ring->flags),
						   memory_order_acquire) &
			      MYDEV_RING_ENDED))
				return -EAGAIN;
			if (ended)
				return -EAGAIN;
			ended = true;
			ret = end_reason(client);
			head = atomic_load_explicit(SHARED32(ring->ring->head),
						    memory_order_acquire);
			if (ret != -EAGAIN && head == index)
				return ret;
			continue;
		}
		memcpy(&entry,
		       ring->entries +
			       (size_t)(index & (ring->map.entries - 1)) *
				       ring->map.entry_size,
		       sizeof(entry));
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(SHARED64(ring->ring->tail),
					 memory_order_relaxed) == tail)
			break;
	}
	fill_in(ring, &entry, packet);
	return 0;
}

static int ring_give(struct mydev_client *client, uint64_t number)
{
	struct ring *ring = client->state;
	__u32 index = ring->first + (number + 1 - ring->number);
	__u64 tail = ring->tail;
	__u64 moved = (tail & ~(__u64)UINT32_MAX) | index;

	if (!atomic_compare_exchange_strong_explicit(
		    SHARED64(ring->ring->tail), &tail, moved,
		    memory_order_release, memory_order_relaxed)) {
		client->lost = client->next;
		return -ENOBUFS;
	}
	ring->tail = moved;
	/* The kernel sets the flag and then looks at the tail: one of us sees. */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(SHARED32(ring->ring->flags),
				 memory_order_relaxed) &
	    MYDEV_RING_NEED_WAKEUP)
		ring_sync(client);
	return 0;
}

const struct way ring_way = {
	.open = ring_open,
	.take = ring_take,
	.give = ring_give,
	.close = ring_close,
};
