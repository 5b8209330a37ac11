// SPDX-License-Identifier: GPL-2.0-only
/*
 * The log of a device: entries are appended at its head for all clients, and
 * retired at its tail once for all. Nothing is retired before its room or its
 * buffer is needed, or soon will be, so the log is also history; see flow.c.
 *
 * A client that maps the log reads without a lock. Publishing the head releases
 * the entry before it; the tail is published before the entry, or the buffer,
 * can become anything else. See struct mydev_ring of the UAPI.
 *
 * Allocation, and mydev_log_clear(), are for process context; everything else
 * here runs under rx_lock, interrupts off.
 */
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>

#include "mydev.h"

/**
 * mydev_log_alloc() - allocate the memory of a log
 * @store: filled in
 * @entries: a power of two
 *
 * Return: 0 or -ENOMEM.
 */
int mydev_log_alloc(struct mydev_log_store *store, unsigned int entries)
{
	size_t bytes = entries * sizeof(*store->slots);

	/* Whole pages without anything old in them: clients may map them. */
	store->page = NULL;
	store->slots = __vmalloc(bytes, GFP_KERNEL_ACCOUNT | __GFP_ZERO |
						__GFP_NOWARN);
	if (!store->slots)
		return -ENOMEM;
	if (MYDEV_HAS_RING) {
		store->page = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
		if (!store->page) {
			mydev_log_free(store);
			return -ENOMEM;
		}
	}
	return kfifo_init(&store->fifo, store->slots, bytes);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_log_alloc);

/**
 * mydev_log_free() - free the memory of a log
 * @store: empty, or without memory
 */
void mydev_log_free(struct mydev_log_store *store)
{
	free_page((unsigned long)store->page);
	vfree(store->slots);
	store->page = NULL;
	store->slots = NULL;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_log_free);

static void mydev_log_publish_tail(struct mydev_log *log)
{
	if (!MYDEV_HAS_RING)
		return;
	WRITE_ONCE(log->store.page->tail, log->tail);
	/* Pairs with the program's fence: tail first, then what comes there. */
	smp_wmb();
}

static void mydev_log_publish_head(struct mydev_log *log)
{
	if (!MYDEV_HAS_RING)
		return;
	/* Pairs with the program's acquire: the head comes after the entry. */
	smp_store_release(&log->store.page->head, log->head);
}

/**
 * mydev_log_use() - give a log its memory
 * @log: empty
 * @store: new; the log owns it from now on
 *
 * Positions go on, at one that is at the beginning of the memory.
 */
void mydev_log_use(struct mydev_log *log, const struct mydev_log_store *store)
{
	log->store = *store;
	log->head = round_up(log->head, kfifo_size(&log->store.fifo));
	log->tail = log->head;
	log->limit = log->head;
	mydev_log_publish_tail(log);
	mydev_log_publish_head(log);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_log_use);

/**
 * mydev_log_append() - append an entry
 * @log: not full
 * @entry: the entry; the log takes over its reference to the buffer
 */
void mydev_log_append(struct mydev_log *log, const struct mydev_entry *entry)
{
	if (WARN_ON_ONCE(!kfifo_put(&log->store.fifo, *entry)))
		return;
	log->head++;
	mydev_log_publish_head(log);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_log_append);

/**
 * mydev_log_retire() - remove the first entry, for all
 * @log: not empty
 * @pool: the pool that its buffer goes back to with the last reference
 */
void mydev_log_retire(struct mydev_log *log, struct mydev_pool *pool)
{
	struct mydev_buffer *buf;

	buf = mydev_entry_buffer(pool, mydev_log_at(log, log->tail));
	log->tail++;
	mydev_log_publish_tail(log);
	kfifo_skip(&log->store.fifo);
	if (buf)
		mydev_buffer_put(pool, buf);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_log_retire);

/**
 * mydev_log_clear() - retire everything
 * @dev: the device; its ring is idle, and nobody has anything to read
 */
void mydev_log_clear(struct mydev_device *dev)
{
	struct mydev_log *log = &dev->log;
	unsigned int n;
	bool more;

	do {
		spin_lock_irq(&dev->rx_lock);
		for (n = 0; n < MYDEV_LOG_BATCH && log->tail != log->head; n++)
			mydev_log_retire(log, &dev->pool);
		log->limit = log->tail;
		more = log->tail != log->head;
		spin_unlock_irq(&dev->rx_lock);
	} while (more);
}

/**
 * mydev_log_seek() - find the first entry that is not before something
 * @log: the log; numbers and times only grow along it
 * @value: a number of a packet, or a time
 * @by_time: it is the time of an entry, else its number
 *
 * Return: its position, the head if there is none.
 */
u64 mydev_log_seek(const struct mydev_log *log, u64 value, bool by_time)
{
	u64 low = log->tail, high = log->head;

	while (low < high) {
		u64 middle = low + (high - low) / 2;
		const struct mydev_entry *entry = mydev_log_at(log, middle);

		if ((by_time ? entry->time : entry->seq) < value)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_log_seek);
