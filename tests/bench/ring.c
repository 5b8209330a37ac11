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

static uint64_t load_head(const struct ring *ring)
{
	return atomic_load_explicit((const _Atomic uint64_t *)(const void *)&ring->log->head,
				    memory_order_acquire);
}

static uint64_t load_tail(const struct ring *ring)
{
	return atomic_load_explicit((const _Atomic uint64_t *)(const void *)&ring->log->tail,
				    memory_order_relaxed);
}

static uint32_t load_flags(struct ring *ring)
{
	return atomic_load_explicit((_Atomic uint32_t *)&ring->shared->flags, memory_order_relaxed);
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
	ret = map(ring, PROT_READ, m->log_bytes, m->log_offset, &at);
	if (ret)
		return ret;
	ring->log = at;
	ring->entries = (const void *)((const char *)at + m->first_entry);
	ret = map(ring, PROT_READ, m->pool_bytes, m->pool_offset, &at);
	if (!ret)
		ring->pool = at;
	return ret;
}

/* What this entry adds; the bytes are counted, not looked at. */
static void add(struct ring_take *take, const struct mydev_ring_entry *entry)
{
	if (entry->type != MYDEV_RECORD_PACKET)
		return;
	take->bytes += entry->length;
	take->packets++;
}

int ring_take(struct ring *ring, unsigned int max, struct ring_take *take)
{
	struct mydev_ring *shared = ring->shared;
	uint64_t first = shared->cursor, cursor = first, head = load_head(ring);
	const struct mydev_ring_entry *last = NULL;
	struct mydev_ring_entry entry;
	struct ring_take seen = *take;

	for (; cursor < head && max--; cursor++) {
		last = (const void *)((const char *)ring->entries +
				      (cursor & (ring->map.entries - 1)) * ring->map.entry_size);
		entry = *last;
		/* Lossless: they come one behind the other, but for what was before. */
		seen.gaps += entry.sequence != shared->sequence + (seen.packets - take->packets);
		add(&seen, &entry);
	}
	if (!last)
		return load_flags(ring) & MYDEV_RING_ENDED ? sync_ring(ring) : 0;
	atomic_thread_fence(memory_order_acquire);
	if (load_tail(ring) > first) {
		ring->overtaken++;
		shared->cursor = load_tail(ring);
		return 1;
	}
	shared->sequence = entry.sequence + (entry.type == MYDEV_RECORD_PACKET);
	shared->bytes = entry.bytes + entry.length;
	shared->read_packets += seen.packets - take->packets;
	shared->read_bytes += seen.bytes - take->bytes;
	/* Sequentially consistent: the flags are read behind it. */
	atomic_store_explicit((_Atomic uint64_t *)(void *)&shared->cursor, cursor,
			      memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
	*take = seen;
	if (load_flags(ring) & MYDEV_RING_NEED_WAKEUP) {
		int ret = sync_ring(ring);

		return ret ? ret : 1;
	}
	return 1;
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
	if (ring->log)
		munmap((void *)ring->log, ring->map.log_bytes);
	close(ring->fd);
}
