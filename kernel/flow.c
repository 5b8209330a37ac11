// SPDX-License-Identifier: GPL-2.0-only
/*
 * Flow control: how far the tail may go, how many transfers may be in flight, and the
 * eviction of a client that blocks all others.
 *
 * A client *holds* while it is lossless and takes part. The tail does not pass a holder's
 * cursor, and each holder lets only so much more come; the ring stops then. Nobody else
 * is asked. What the holders allow is kept, and looked up anew when it is used up: that
 * is once in many entries, or once in a completion where somebody holds the ring up.
 *
 * Everything here runs under rx_lock, interrupts off.
 */

#include "mydev.h"

/* Is it a holder, where it is by now? */
static bool mydev_holder_settle(struct mydev_client *client)
{
	int error = client->ring.error;

	/* A program in ring mode that was evicted may have read since. */
	if (mydev_client_blocks(client) || client->mode == MYDEV_MODE_RING)
		mydev_cursor_settle(client);
	if (client->ring.error != error)
		mydev_client_notify(client);
	return mydev_client_blocks(client);
}

/**
 * mydev_holders_look() - look up what the holders allow
 * @dev: the device
 *
 * Return: true if the depth of one of them is used up.
 */
static bool mydev_holders_look(struct mydev_device *dev)
{
	unsigned int credits, room = UINT_MAX;
	struct mydev_client *client, *slowest = NULL;
	struct mydev_log *log = &dev->log;
	u64 limit = log->head;

	list_for_each_entry(client, &dev->clients, list) {
		/* One that was evicted may come back by this, which forgets the limit. */
		if (!mydev_holder_settle(client))
			continue;
		if (client->cursor <= limit) {
			limit = client->cursor;
			slowest = client;
		}
		credits = mydev_cursor_credits(client);
		room = min(room, credits);
	}
	log->limit = limit;
	log->slowest = slowest;
	/* Slots that will be there when the tail is at the limit. */
	credits = kfifo_size(&log->store.fifo) - (log->head - log->limit);
	credits -= min(credits, MYDEV_LOG_SPARE);
	dev->rx.credits = min(room, credits);
	return !room;
}

/* May the tail go on? Nearly always, all is as it was before. */
static bool mydev_log_may_retire(struct mydev_device *dev)
{
	struct mydev_log *log = &dev->log;

	if (log->tail != log->limit)
		return true;
	if (!log->slowest || !mydev_holder_settle(log->slowest) ||
	    log->slowest->cursor != log->limit)
		mydev_holders_look(dev);
	return log->tail != log->limit;
}

/**
 * mydev_log_make_room() - make room for one entry
 * @dev: the device
 * @force: even at the cost of a holder, who loses it then
 *
 * Return: true if there is room.
 */
bool mydev_log_make_room(struct mydev_device *dev, bool force)
{
	struct mydev_log *log = &dev->log;

	if (!kfifo_is_full(&log->store.fifo))
		return true;
	if (!mydev_log_may_retire(dev)) {
		if (!force)
			return false;
		log->limit++;
	}
	mydev_log_retire(log, &dev->pool);
	return true;
}

/**
 * mydev_pool_reclaim() - retire entries until buffers are free
 * @dev: the device
 * @want: that many
 * @steps: entries to retire at most
 *
 * Return: false if more steps would have helped.
 */
bool mydev_pool_reclaim(struct mydev_device *dev, unsigned int want,
			unsigned int steps)
{
	struct mydev_pool *pool = &dev->pool;

	while (pool->nr_free < want) {
		if (!mydev_log_may_retire(dev)) {
			/* What small packets go into may be all that is left. */
			if (pool->pack && pool->pack->refs == 1 &&
			    !pool->nr_free) {
				mydev_pool_close_pack(pool);
				continue;
			}
			return true;
		}
		if (!steps--)
			return false;
		mydev_log_retire(&dev->log, pool);
	}
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_pool_reclaim);

/**
 * mydev_rx_can_submit() - check whether so many transfers may be in flight
 * @dev: the device
 * @in_flight: their number, with the one in request
 *
 * Context: rx_lock held, interrupts off.
 * Return: true if there is a buffer, and every client that must not lose
 * anything has room for what the transfers bring.
 */
bool mydev_rx_can_submit(struct mydev_device *dev, unsigned int in_flight)
{
	if (dev->rx.credits < in_flight)
		mydev_holders_look(dev);
	if (dev->rx.credits < in_flight)
		return false;
	/* Where it takes long, the work goes on with it. */
	if (!mydev_pool_reclaim(dev, 1, MYDEV_LOG_BATCH))
		mydev_rx_queue_work(dev);
	return dev->pool.nr_free;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_rx_can_submit);

/* How often to look at a ring that is stopped; bounds the error of block_timeout_ms. */
static unsigned long mydev_rx_block_period(const struct mydev_rx *rx)
{
	return max(msecs_to_jiffies(rx->block_timeout_ms) / 8, 1UL);
}

/**
 * mydev_rx_watch_block() - start to measure how long the ring is blocked
 * @dev: the device
 *
 * Context: rx_lock held.
 */
void mydev_rx_watch_block(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;

	if (rx->block_timeout_ms && rx->users > 1 && !dev->gone)
		schedule_delayed_work(&rx->block_work,
				      mydev_rx_block_period(rx));
}

/**
 * mydev_client_in_the_way() - check whether the ring, which has stopped, waits for a client
 * @client: any client, looked up
 * @depth: the depth of one is used up; else room is wanted, or a buffer
 *
 * Return: true if so.
 */
static bool mydev_client_in_the_way(const struct mydev_client *client,
				    bool depth)
{
	if (!mydev_client_blocks(client))
		return false;
	return depth ? !mydev_cursor_credits(client)
		     : client->cursor == client->dev->log.limit;
}

#if MYDEV_HAS_RING
/**
 * mydev_rings_update_flags() - update the flags of all programs' rings
 * @dev: the device
 *
 * Return: true if the caller has to look at the cursors once more: a program that
 * is to call now may have moved its own before it could know.
 */
bool mydev_rings_update_flags(struct mydev_device *dev)
{
	const struct mydev_rx *rx = &dev->rx;
	struct mydev_client *client;
	bool again = false, depth = false, stopped;

	if (!dev->nr_rings)
		return false;
	stopped = rx->state == MYDEV_STATE_RUNNING && !rx->in_flight;
	if (stopped)
		depth = mydev_holders_look(dev);
	list_for_each_entry(client, &dev->clients, list) {
		struct mydev_client_ring *ring = &client->ring;
		u32 flags = 0;

		if (client->mode != MYDEV_MODE_RING)
			continue;
		if (stopped && mydev_client_in_the_way(client, depth))
			flags |= MYDEV_RING_NEED_WAKEUP;
		if (mydev_client_end(client) != -EAGAIN)
			flags |= MYDEV_RING_ENDED;
		again |= flags & ~ring->flags & MYDEV_RING_NEED_WAKEUP;
		if (flags != ring->flags) {
			/* Pairs with an acquire: the last entry is there. */
			smp_store_release(&ring->page->flags, flags);
		}
		ring->flags = flags;
	}
	/* Pairs with the program's barrier between its cursor and the flags. */
	smp_mb();
	return again;
}
#else
bool mydev_rings_update_flags(struct mydev_device *dev)
{
	return false;
}
#endif

/**
 * mydev_rx_starved() - tell clients that the ring waits for them
 * @dev: the device; its ring is running
 *
 * Where there are clients in ring mode, the caller has to try to refill once
 * more: one may have given something back before it could see that it has to
 * tell us.
 *
 * Context: rx_lock held, interrupts off.
 */
void mydev_rx_starved(struct mydev_device *dev)
{
	mydev_sleepers_notify(dev);
	mydev_rings_update_flags(dev);
	mydev_rx_watch_block(dev);
}

/**
 * mydev_clients_waiting() - check whether a client waits for data and has none
 * @dev: the device
 *
 * Return: true if so.
 */
bool mydev_clients_waiting(struct mydev_device *dev)
{
	struct mydev_client *client;

	if (dev->transaction)
		return true;
	list_for_each_entry(client, &dev->clients, list) {
		mydev_cursor_settle(client);
		if (client->demanded && !client->revoked &&
		    mydev_cursor_empty(client))
			return true;
	}
	return false;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_clients_waiting);

/**
 * mydev_clients_evict() - evict the client that blocks the ring
 * @dev: the device; its ring is stopped, and another client waits
 *
 * Of the holders that are in the way, the one that is furthest behind. What it has not
 * read becomes one gap; of a program that takes from memory by itself, what leaves the
 * log does. Where one is not enough, the next time takes the next one.
 */
void mydev_clients_evict(struct mydev_device *dev)
{
	struct mydev_client *client, *victim = NULL;
	bool depth = mydev_holders_look(dev);

	list_for_each_entry(client, &dev->clients, list) {
		if (mydev_client_in_the_way(client, depth) &&
		    (!victim || client->cursor < victim->cursor))
			victim = client;
	}
	if (!victim)
		return;
	victim->evicted = true;
	if (victim->mode != MYDEV_MODE_RING)
		victim->cursor = dev->log.head;
	mydev_holders_changed(dev);
	mydev_client_notify(victim);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_clients_evict);

/**
 * mydev_pool_unused() - count the buffers that nobody needs any more
 * @dev: the device
 *
 * Context: process context; takes rx_lock for a part of the pool at a time.
 * Return: those that are free, and those of which all entries have been read, or lost,
 * by all clients.
 */
unsigned int mydev_pool_unused(struct mydev_device *dev)
{
	struct mydev_pool *pool = &dev->pool;
	struct mydev_client *client;
	unsigned int n = 0, i = 0;
	u64 oldest;
	bool more;

	do {
		spin_lock_irq(&dev->rx_lock);
		oldest = dev->log.head;
		list_for_each_entry(client, &dev->clients, list) {
			if (client->subscriber) {
				mydev_cursor_settle(client);
				oldest = min(oldest, client->cursor);
			}
		}
		if (!i)
			n = pool->buffers ? pool->nr_free : 0;
		for (; pool->buffers && i < pool->nr; i++) {
			n += pool->buffers[i].state == MYDEV_BUFFER_HELD &&
			     pool->buffers[i].last < oldest;
			if (i % MYDEV_LOG_BATCH == MYDEV_LOG_BATCH - 1) {
				i++;
				break;
			}
		}
		more = pool->buffers && i < pool->nr;
		spin_unlock_irq(&dev->rx_lock);
	} while (more);
	return n;
}
