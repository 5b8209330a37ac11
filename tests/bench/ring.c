// SPDX-License-Identifier: GPL-2.0-only
/* See ring.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ring.h"

static uint32_t load_head(struct ring *ring)
{
	return atomic_load_explicit((_Atomic uint32_t *)&ring->shared->head, memory_order_acquire);
}

static uint32_t load_flags(struct ring *ring)
{
	return atomic_load_explicit((_Atomic uint32_t *)&ring->shared->flags, memory_order_relaxed);
}

static _Atomic uint64_t *tail_of(struct ring *ring)
{
	return (_Atomic uint64_t *)(void *)&ring->shared->tail;
}

static int sync_ring(struct ring *ring)
{
	struct mydev_select select = { .size = sizeof(select) };

	return ioctl(ring->fd, MYDEV_IOC_SYNC, &select) ? -errno : 0;
}

int ring_open(struct ring *ring, const char *node, uint32_t watermark)
{
	struct mydev_config config = { .size = sizeof(config) };

	memset(ring, 0, sizeof(*ring));
	ring->fd = open(node, O_RDWR);
	if (ring->fd < 0)
		return -errno;
	if (ioctl(ring->fd, MYDEV_IOC_GET_CONFIG, &config))
		return -errno;
	config.mode = MYDEV_MODE_RING;
	config.watermark = watermark;
	if (ioctl(ring->fd, MYDEV_IOC_SET_CONFIG, &config))
		return -errno;
	ring->map.size = sizeof(ring->map);
	if (ioctl(ring->fd, MYDEV_IOC_GET_MAP, &ring->map))
		return -errno;
	return 0;
}

static int map(struct ring *ring, int prot, uint64_t bytes, uint64_t offset, const void **memory)
{
	void *at = mmap(NULL, bytes, prot, MAP_SHARED, ring->fd, (off_t)offset);

	if (at == MAP_FAILED)
		return -errno;
	*memory = at;
	return 0;
}

int ring_start(struct ring *ring)
{
	const struct mydev_map *m = &ring->map;
	const void *at = NULL;
	int ret;

	/* Its place is always the same; while it is mapped, the rest is as well. */
	ret = map(ring, PROT_READ | PROT_WRITE, m->ring_bytes, m->ring_offset, &at);
	if (ret)
		return ret;
	ring->shared = (struct mydev_ring *)at;
	if (ioctl(ring->fd, MYDEV_IOC_GET_MAP, &ring->map))
		return -errno;
	ret = map(ring, PROT_READ, m->entries_bytes, m->entries_offset, &at);
	if (ret)
		return ret;
	ring->entries = at;
	ret = map(ring, PROT_READ, m->pool_bytes, m->pool_offset, &at);
	if (!ret)
		ring->pool = at;
	return ret;
}

/* What this entry adds; the bytes are counted, not looked at. */
static void add(struct ring_take *take, const struct mydev_ring_entry *entry)
{
	if (entry->type == MYDEV_RECORD_PACKET) {
		take->bytes += entry->length;
		take->packets++;
	} else if (entry->type == MYDEV_RECORD_GAP) {
		take->gaps++;
	}
}

/*
 * Steps 1 to 4 of the protocol for up to @max entries, from index to the result;
 * the kernel may take entries away at any time, so each copy is checked.
 */
static uint32_t look(struct ring *ring, uint64_t tail, unsigned int max, struct ring_take *take)
{
	uint32_t index = (uint32_t)tail, head = load_head(ring);

	while (index != head && max--) {
		struct mydev_ring_entry entry = *(
			const struct mydev_ring_entry *)((const char *)ring->entries +
							 (size_t)(index & (ring->map.entries - 1)) *
								 ring->map.entry_size);

		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(tail_of(ring), memory_order_relaxed) != tail)
			break;
		add(take, &entry);
		index++;
	}
	return index;
}

int ring_take(struct ring *ring, unsigned int max, struct ring_take *take)
{
	for (;;) {
		uint64_t tail = atomic_load_explicit(tail_of(ring), memory_order_acquire);
		struct ring_take seen = *take;
		uint32_t index;

		/* Odd: the kernel is at work there, for microseconds. */
		if (tail >> 32 & 1)
			continue;
		index = look(ring, tail, max, &seen);
		if (index == (uint32_t)tail) {
			if (atomic_load_explicit(tail_of(ring), memory_order_relaxed) != tail)
				continue;
			return load_flags(ring) & MYDEV_RING_ENDED ? sync_ring(ring) : 0;
		}
		/* Sequentially consistent: the flags are read behind it. */
		if (!atomic_compare_exchange_strong(tail_of(ring), &tail,
						    (tail & ~(uint64_t)UINT32_MAX) | index)) {
			ring->seized++;
			continue;
		}
		atomic_thread_fence(memory_order_seq_cst);
		*take = seen;
		if (load_flags(ring) & MYDEV_RING_NEED_WAKEUP) {
			int ret = sync_ring(ring);

			return ret ? ret : 1;
		}
		return 1;
	}
}

int ring_wait(struct ring *ring)
{
	struct pollfd pfd = { .fd = ring->fd, .events = POLLIN };

	if (poll(&pfd, 1, -1) < 0)
		return errno == EINTR ? 0 : -errno;
	if (pfd.revents & POLLIN)
		return 0;
	return pfd.revents & POLLHUP ? -ENODEV : -EIO;
}

void ring_close(struct ring *ring)
{
	if (ring->shared)
		munmap(ring->shared, ring->map.ring_bytes);
	if (ring->pool)
		munmap((void *)ring->pool, ring->map.pool_bytes);
	if (ring->entries)
		munmap((void *)ring->entries, ring->map.entries_bytes);
	close(ring->fd);
}
