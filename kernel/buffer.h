/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The receive memory of a device.
 */
#ifndef MYDEV_BUFFER_H
#define MYDEV_BUFFER_H

#include <linux/bug.h>
#include <linux/list.h>
#include <linux/sizes.h>
#include <linux/types.h>

/* Bounds what one device can make us hold. */
#define MYDEV_MAX_POOL_BYTES SZ_64M

struct mydev_entry;
struct page;

/**
 * enum mydev_buffer_state - where a block of receive memory is
 * @MYDEV_BUFFER_FREE: on the pool's free list
 * @MYDEV_BUFFER_IN_FLIGHT: a transfer points at it
 * @MYDEV_BUFFER_HELD: filled, and @refs of struct mydev_buffer hold it
 */
enum mydev_buffer_state {
	MYDEV_BUFFER_FREE,
	MYDEV_BUFFER_IN_FLIGHT,
	MYDEV_BUFFER_HELD,
};

/**
 * struct mydev_buffer - one block of receive memory
 * @list: in the pool's free list while free
 * @data: pool->size bytes, cacheable and physically contiguous
 * @map_offset: where @data is in what clients map of the pool, bytes
 * @state: see enum mydev_buffer_state
 * @refs: holders while held: entries of the log, readers in the middle of a
 *	copy, and the completion while it delivers
 * @last: position of the last entry in the log that is in it
 *
 * All but @data and @map_offset, which never change, is protected by rx_lock.
 */
struct mydev_buffer {
	struct list_head list;
	void *data;
	u64 map_offset;
	enum mydev_buffer_state state;
	unsigned int refs;
	u64 last;
};

/**
 * struct mydev_pool - the receive memory of one device
 * @buffers: array of @nr buffers, NULL while the pool has no memory
 * @free: the free ones, the most recently used first
 * @nr: number of buffers
 * @nr_free: length of @free
 * @size: bytes per buffer that a transfer may fill
 * @pack: the buffer that small packets are being packed into, or NULL; the
 *	pool holds a reference to it
 * @pack_used: bytes in use in @pack
 */
struct mydev_pool {
	struct mydev_buffer *buffers;
	struct list_head free;
	unsigned int nr;
	unsigned int nr_free;
	unsigned int size;
	struct mydev_buffer *pack;
	unsigned int pack_used;
};

/* buffer.c */
int mydev_pool_alloc(struct mydev_pool *pool, unsigned int nr,
		     unsigned int size);
void mydev_pool_free(struct mydev_pool *pool);
struct mydev_buffer *mydev_buffer_get_free(struct mydev_pool *pool);
void mydev_buffer_complete(struct mydev_buffer *buf);
void mydev_buffer_free(struct mydev_pool *pool, struct mydev_buffer *buf);
void mydev_entry_set_buffer(const struct mydev_pool *pool,
			    struct mydev_entry *entry,
			    const struct mydev_buffer *buf, u32 offset);
struct page *mydev_pool_page(const struct mydev_pool *pool, u64 index);
u64 mydev_pool_map_size(unsigned int nr, unsigned int size);
void mydev_pool_move(struct mydev_pool *to, struct mydev_pool *from);
void mydev_pool_close_pack(struct mydev_pool *pool);
struct mydev_buffer *mydev_buffer_pack(struct mydev_pool *pool,
				       struct mydev_buffer *buf, u32 length,
				       u32 *offset);

/* Take a reference to a held buffer. Context: rx_lock held. */
static inline void mydev_buffer_get(struct mydev_buffer *buf)
{
	WARN_ON_ONCE(buf->state != MYDEV_BUFFER_HELD);
	buf->refs++;
}

/* Drop a reference; the last one frees the buffer. Context: rx_lock held. */
static inline void mydev_buffer_put(struct mydev_pool *pool,
				    struct mydev_buffer *buf)
{
	if (WARN_ON_ONCE(buf->state != MYDEV_BUFFER_HELD || !buf->refs))
		return;
	if (!--buf->refs)
		mydev_buffer_free(pool, buf);
}

#endif /* MYDEV_BUFFER_H */
