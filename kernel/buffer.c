// SPDX-License-Identifier: GPL-2.0-only
/*
 * The receive memory of a device: blocks that travel
 *
 *   free --fly--> in flight --land--> held --last put--> free
 *
 * Pages are ordinary cacheable memory, mapped by usbcore for each transfer:
 * coherent memory would be uncached, and slow to read, on many machines.
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
 * mydev_pool_alloc() - get the memory of a pool
 * @pool: without memory; nobody else looks at it yet
 * @nr: number of buffers
 * @size: bytes per buffer
 *
 * The blocks are zeroed, so that no stale memory can ever reach a reader.
 *
 * Context: process context, sleeps.
 * Return: 0 or -ENOMEM; on error @pool is as it was.
 */
int mydev_pool_alloc(struct mydev_pool *pool, unsigned int nr,
		     unsigned int size)
{
	unsigned int i;

	pool->buffers = kvcalloc(nr, sizeof(*pool->buffers), GFP_KERNEL);
	if (!pool->buffers)
		return -ENOMEM;

	pool->nr = nr;
	pool->size = size;
	pool->nr_free = 0;
	pool->pack = NULL;
	INIT_LIST_HEAD(&pool->free);

	for (i = 0; i < nr; i++) {
		struct mydev_buffer *buf = &pool->buffers[i];

		buf->data = alloc_pages_exact(size, GFP_KERNEL | __GFP_ZERO |
							    __GFP_NOWARN);
		if (!buf->data)
			goto err_free;
		buf->place = mydev_pool_span(i, size);
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
 * mydev_pool_free() - give the memory of a pool back
 * @pool: all of its buffers are free, none is being packed, and nobody else
 *	looks at it any more; without memory already is fine
 *
 * Context: process context.
 */
void mydev_pool_free(struct mydev_pool *pool)
{
	unsigned int i;

	if (!pool->buffers)
		return;

	for (i = 0; i < pool->nr; i++) {
		struct mydev_buffer *buf = &pool->buffers[i];

		/* Better leaked than freed under somebody's hands. */
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
 * mydev_pool_move() - put the memory of one pool into another
 * @to: without memory
 * @from: no client holds any of its buffers; without memory afterwards
 *
 * Context: rx_lock held if anybody can look at one of them.
 */
void mydev_pool_move(struct mydev_pool *to, struct mydev_pool *from)
{
	mydev_pool_seal(from);
	*to = *from;
	if (!from->buffers)
		return;
	list_replace_init(&from->free, &to->free);
	from->buffers = NULL;
	from->nr_free = 0;
}

/**
 * mydev_buffer_fly() - take a free buffer for a transfer
 * @pool: the pool
 *
 * Context: rx_lock held.
 * Return: a buffer, now in flight, or NULL if the pool is dry.
 */
struct mydev_buffer *mydev_buffer_fly(struct mydev_pool *pool)
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
EXPORT_SYMBOL_IF_KUNIT(mydev_buffer_fly);

/**
 * mydev_buffer_land() - the transfer of a buffer has ended
 * @buf: in flight; becomes held, with one reference, which is the caller's
 *
 * Context: rx_lock held.
 */
void mydev_buffer_land(struct mydev_buffer *buf)
{
	WARN_ON_ONCE(buf->state != MYDEV_BUFFER_IN_FLIGHT);
	buf->state = MYDEV_BUFFER_HELD;
	buf->refs = 1;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_buffer_land);

/**
 * mydev_pool_span() - what clients can map of so many buffers
 * @nr: buffers
 * @size: bytes of each
 *
 * Return: bytes; each buffer begins with a page.
 */
u64 mydev_pool_span(unsigned int nr, unsigned int size)
{
	return (u64)nr * PAGE_ALIGN(size);
}

/**
 * mydev_pool_page() - one page of what clients can map
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
 * mydev_packet_place() - say where the bytes of a packet are
 * @pool: the pool
 * @pkt: the packet
 * @buf: their buffer
 * @offset: of the first of them in @buf
 */
void mydev_packet_place(const struct mydev_pool *pool, struct mydev_packet *pkt,
			const struct mydev_buffer *buf, u32 offset)
{
	pkt->buffer = buf - pool->buffers + 1;
	pkt->offset = buf->place + offset;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_packet_place);

/**
 * mydev_buffer_free() - nobody holds a buffer any more
 * @pool: the pool that owns @buf
 * @buf: was held
 *
 * A freed buffer is the next one to fly: its cache lines are warm.
 *
 * Context: rx_lock held.
 */
void mydev_buffer_free(struct mydev_pool *pool, struct mydev_buffer *buf)
{
	buf->state = MYDEV_BUFFER_FREE;
	list_add(&buf->list, &pool->free);
	pool->nr_free++;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_buffer_free);

/**
 * mydev_pool_unused() - how many buffers are free, or could be
 * @pool: the pool
 *
 * Context: rx_lock held.
 * Return: the free ones, and the one that is being packed if no client holds
 * anything in it.
 */
unsigned int mydev_pool_unused(const struct mydev_pool *pool)
{
	return pool->nr_free + (pool->pack && pool->pack->refs == 1);
}

/**
 * mydev_pool_seal() - no more packets go into the buffer that is being packed
 * @pool: the pool
 *
 * Context: rx_lock held.
 */
void mydev_pool_seal(struct mydev_pool *pool)
{
	struct mydev_buffer *pack = pool->pack;

	pool->pack = NULL;
	if (pack)
		mydev_buffer_put(pool, pack);
}

/**
 * mydev_buffer_pack() - move a small packet to where its predecessors are
 * @pool: the pool that owns @buf
 * @buf: held by the caller, with a packet at its beginning
 * @length: bytes of the packet
 * @offset: where the packet is in the buffer that is returned
 *
 * So a packet of 64 bytes does not keep a buffer of 32 KiB from the ring.
 *
 * Context: rx_lock held.
 * Return: the buffer with the packet, held by the caller instead of @buf; NULL
 * if the packet is better left where it is.
 */
struct mydev_buffer *mydev_buffer_pack(struct mydev_pool *pool,
				       struct mydev_buffer *buf, u32 length,
				       u32 *offset)
{
	struct mydev_buffer *pack;

	if (length >= pool->size / MYDEV_PACK_PART)
		return NULL;
	if (pool->pack && pool->size - pool->pack_used < length)
		mydev_pool_seal(pool);
	if (!pool->pack) {
		pool->pack = mydev_buffer_fly(pool);
		if (!pool->pack)
			return NULL;
		/* The pool itself is a holder while there is room. */
		mydev_buffer_land(pool->pack);
		pool->pack_used = 0;
	}

	pack = pool->pack;
	*offset = pool->pack_used;
	memcpy(pack->data + *offset, buf->data, length);
	pool->pack_used = min(pool->pack_used + ALIGN(length, MYDEV_PACK_ALIGN),
			      pool->size);
	mydev_buffer_get(pack);
	mydev_buffer_put(pool, buf);
	return pack;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_buffer_pack);
