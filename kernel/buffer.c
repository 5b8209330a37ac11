// SPDX-License-Identifier: GPL-2.0-only
/*
 * The receive memory of a device: blocks that travel
 *
 *   free --get_free--> in flight --complete--> held --last put--> free
 *
 * Pages are ordinary cacheable memory, mapped by usbcore for each transfer:
 * coherent memory would be uncached, and slow to read, on many machines.
 *
 * A pool gets and loses its memory in process context, while nobody uses it;
 * everything else here runs under rx_lock.
 */
#include <linux/bug.h>
#include <linux/gfp.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "mydev.h"

/* A packet that fills less than this part of a buffer is packed. */
#define MYDEV_PACK_PART 8

/* Packed packets begin at multiples of this. */
#define MYDEV_PACK_ALIGN 8

/**
 * mydev_pool_alloc() - allocate the memory of a pool
 * @pool: without memory; not in use yet
 * @nr: number of buffers
 * @size: bytes per buffer
 *
 * The blocks are zeroed, so that no stale memory can ever reach a reader.
 *
 * Return: 0 or -ENOMEM; on error @pool is without memory.
 */
int mydev_pool_alloc(struct mydev_pool *pool, unsigned int nr,
		     unsigned int size)
{
	unsigned int i;

	pool->buffers =
		kvcalloc(nr, sizeof(*pool->buffers), GFP_KERNEL_ACCOUNT);
	if (!pool->buffers)
		return -ENOMEM;

	pool->nr = nr;
	pool->size = size;
	pool->nr_free = 0;
	pool->pack = NULL;
	INIT_LIST_HEAD(&pool->free);

	for (i = 0; i < nr; i++) {
		struct mydev_buffer *buf = &pool->buffers[i];

		/* Charged to the first open. */
		buf->data = alloc_pages_exact(
			size, GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN);
		if (!buf->data)
			goto err_free;
		buf->map_offset = mydev_pool_map_size(i, size);
		buf->state = MYDEV_BUFFER_FREE;
		list_add_tail(&buf->list, &pool->free);
		pool->nr_free++;
	}
	return 0;

err_free:
	mydev_pool_free(pool);
	return -ENOMEM;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_pool_alloc);

/**
 * mydev_pool_free() - free the memory of a pool
 * @pool: not in use any more, all of its buffers free, none being packed;
 *	without memory already is fine
 */
void mydev_pool_free(struct mydev_pool *pool)
{
	unsigned int i;

	if (!pool->buffers)
		return;

	for (i = 0; i < pool->nr; i++) {
		struct mydev_buffer *buf = &pool->buffers[i];

		/* Better leaked than freed while in use. */
		if (WARN_ON_ONCE(buf->state != MYDEV_BUFFER_FREE))
			continue;
		if (buf->data)
			free_pages_exact(buf->data, pool->size);
	}
	kvfree(pool->buffers);
	pool->buffers = NULL;
	pool->nr_free = 0;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_pool_free);

/**
 * mydev_pool_move() - move the memory of one pool into another
 * @to: without memory
 * @from: no client holds any of its buffers; without memory afterwards
 *
 * Context: rx_lock held if anybody can look at one of them.
 */
void mydev_pool_move(struct mydev_pool *to, struct mydev_pool *from)
{
	mydev_pool_close_pack(from);
	*to = *from;
	if (!from->buffers)
		return;
	list_replace_init(&from->free, &to->free);
	from->buffers = NULL;
	from->nr_free = 0;
}

/**
 * mydev_buffer_get_free() - take a free buffer for a transfer
 * @pool: the pool
 *
 * Return: a buffer, now in flight, or NULL if the pool is empty.
 */
struct mydev_buffer *mydev_buffer_get_free(struct mydev_pool *pool)
{
	struct mydev_buffer *buf;

	buf = list_first_entry_or_null(&pool->free, struct mydev_buffer, list);
	if (!buf)
		return NULL;
	list_del(&buf->list);
	pool->nr_free--;
	buf->state = MYDEV_BUFFER_IN_FLIGHT;
	return buf;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_buffer_get_free);

/**
 * mydev_buffer_complete() - take a buffer back from its transfer
 * @buf: in flight; becomes held, with one reference, which is the caller's
 */
void mydev_buffer_complete(struct mydev_buffer *buf)
{
	WARN_ON_ONCE(buf->state != MYDEV_BUFFER_IN_FLIGHT);
	buf->state = MYDEV_BUFFER_HELD;
	buf->refs = 1;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_buffer_complete);

/**
 * mydev_pool_map_size() - compute the size of buffers as clients map them
 * @nr: buffers
 * @size: bytes of each
 *
 * Return: bytes; each buffer begins with a page.
 */
u64 mydev_pool_map_size(unsigned int nr, unsigned int size)
{
	return (u64)nr * PAGE_ALIGN(size);
}

/**
 * mydev_pool_page() - find a page of what clients map
 * @pool: with memory
 * @index: of the page
 *
 * Return: the page, NULL if there is none.
 */
struct page *mydev_pool_page(const struct mydev_pool *pool, u64 index)
{
	unsigned int pages = PAGE_ALIGN(pool->size) >> PAGE_SHIFT, rest;
	u64 nr = div_u64_rem(index, pages, &rest);

	if (nr >= pool->nr)
		return NULL;
	return virt_to_page(pool->buffers[nr].data + rest * PAGE_SIZE);
}

/**
 * mydev_entry_set_buffer() - note where the bytes of a packet are
 * @pool: the pool
 * @entry: the packet
 * @buf: their buffer
 * @offset: of the first of them in @buf
 */
void mydev_entry_set_buffer(const struct mydev_pool *pool,
			    struct mydev_entry *entry,
			    const struct mydev_buffer *buf, u32 offset)
{
	static_assert(MYDEV_MAX_POOL_BYTES / SZ_4K < U16_MAX);
	entry->buffer = buf - pool->buffers + 1;
	entry->offset = buf->map_offset + offset;
}

/**
 * mydev_buffer_free() - free a buffer without references
 * @pool: the pool that owns @buf
 * @buf: was held; the next one in flight, as its cache lines are warm
 */
void mydev_buffer_free(struct mydev_pool *pool, struct mydev_buffer *buf)
{
	buf->state = MYDEV_BUFFER_FREE;
	list_add(&buf->list, &pool->free);
	pool->nr_free++;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_buffer_free);

/**
 * mydev_pool_close_pack() - pack no more packets into the current buffer
 * @pool: the pool
 */
void mydev_pool_close_pack(struct mydev_pool *pool)
{
	struct mydev_buffer *pack = pool->pack;

	pool->pack = NULL;
	if (pack)
		mydev_buffer_put(pool, pack);
}

/**
 * mydev_buffer_pack() - move a small packet behind its predecessors
 * @pool: the pool that owns @buf
 * @buf: held by the caller, with a packet at its beginning
 * @length: bytes of the packet
 * @offset: where the packet is in the buffer that is returned
 *
 * So a packet of 64 bytes does not keep a buffer of 32 KiB from the ring.
 *
 * Return: the buffer with the packet, held by the caller instead of @buf; NULL
 * if the packet is better left where it is.
 */
struct mydev_buffer *mydev_buffer_pack(struct mydev_pool *pool,
				       struct mydev_buffer *buf, u32 length,
				       u32 *offset)
{
	unsigned int room = pool->size;
	struct mydev_buffer *pack;

	/* Of a page that a transfer uses so little of, all is used for packing. */
	if (room < PAGE_SIZE / MYDEV_PACK_PART)
		room = PAGE_SIZE;

	if (length >= room / MYDEV_PACK_PART)
		return NULL;
	if (pool->pack && room - pool->pack_used < length)
		mydev_pool_close_pack(pool);
	if (!pool->pack) {
		pool->pack = mydev_buffer_get_free(pool);
		if (!pool->pack)
			return NULL;
		/* The pool itself is a holder while there is room. */
		mydev_buffer_complete(pool->pack);
		pool->pack_used = 0;
	}

	pack = pool->pack;
	*offset = pool->pack_used;
	memcpy(pack->data + *offset, buf->data, length);
	pool->pack_used =
		min(pool->pack_used + ALIGN(length, MYDEV_PACK_ALIGN), room);
	mydev_buffer_get(pack);
	mydev_buffer_put(pool, buf);
	return pack;
}
