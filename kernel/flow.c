// SPDX-License-Identifier: GPL-2.0-only
/*
 * Flow control: how far the tail may go, how many transfers may be in flight,
 * and the eviction of a client that blocks all others.
 *
 * A client *holds* while it is lossless and takes part. The tail does not pass
 * a holder's cursor, and each holder lets only so much more come; the ring
 * stops then. Nobody else is asked. What the holders allow is kept, and looked
 * up when it is used up: once in many entries, or in each completion while one
 * of them blocks.
 *
 * Everything here runs under rx_lock, interrupts off.
 */

#include "mydev.h"

/* A completion tries three times; together no more than MYDEV_LOG_BATCH. */
#define MYDEV_RECLAIM_STEPS (MYDEV_LOG_BATCH / 4)

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

/* Look up what the holders allow, and what stops a ring that has to stop. */
static void mydev_holders_look(struct mydev_device *dev)
{
	unsigned int credits, room = UINT_MAX;
	struct mydev_client *client, *slowest = NULL;
	struct mydev_log *log = &dev->log;
	u64 limit = log->head;

	list_for_each_entry(client, &dev->clients, list) {
		/* An evicted one may come back, which forgets the limit. */
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
	log->deep = !room;
	log->dry = dev->rx.credits;
}

/*
 * May the tail go on? Nearly always, all is as it was: read() has moved its
 * cursor, and what a look would have it skip holds no buffer. Programs can move
 * theirs by one entry each time, so a caller has all looked at only once.
 */
static bool mydev_log_may_retire(struct mydev_device *dev, bool *looked)
{
	struct mydev_log *log = &dev->log;

	if (log->tail != log->limit)
		return true;
	if (log->slowest && log->slowest->mode == MYDEV_MODE_RING)
		mydev_holder_settle(log->slowest);
	/* It is forgotten where it does not hold any more. */
	if (!*looked && (!log->slowest || log->slowest->cursor != log->limit)) {
		mydev_holders_look(dev);
		*looked = true;
	}
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
	bool looked = false;

	if (!kfifo_is_full(&log->store.fifo))
		return true;
	if (!mydev_log_may_retire(dev, &looked)) {
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
	bool retired = false, looked = false;

	while (pool->nr_free < want) {
		if (!mydev_log_may_retire(dev, &looked)) {
			/* The pack may be all that is left. */
			if (pool->pack && pool->pack->refs == 1 &&
			    !pool->nr_free) {
				mydev_pool_close_pack(pool);
				continue;
			}
			/* Another look may find more. */
			return !(looked && retired);
		}
		if (!steps--)
			return false;
		mydev_log_retire(&dev->log, pool);
		retired = true;
	}
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_pool_reclaim);

/**
 * mydev_rx_can_submit() - check whether so many transfers may be in flight
 * @dev: the device
 * @in_flight: their number, with the one in request
 *
 * Return: true if there is a buffer, and all holders have room for so many.
 */
bool mydev_rx_can_submit(struct mydev_device *dev, unsigned int in_flight)
{
	if (dev->rx.credits < in_flight)
		mydev_holders_look(dev);
	if (dev->rx.credits < in_flight)
		return false;
	/* Where it takes long, the work goes on with it. */
	if (!dev->pool.nr_free &&
	    !mydev_pool_reclaim(dev, 1, MYDEV_RECLAIM_STEPS))
		mydev_rx_queue_work(dev);
	return dev->pool.nr_free;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_rx_can_submit);

/**
 * mydev_rx_watch_block() - start to measure how long the ring is blocked
 * @dev: the device
 */
void mydev_rx_watch_block(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;
	/* How often to look; bounds the error of block_timeout_ms. */
	unsigned long period = msecs_to_jiffies(rx->block_timeout_ms) / 8;

	if (rx->block_timeout_ms && rx->users > 1 && !dev->gone)
		schedule_delayed_work(&rx->block_work, max(period, 1UL));
}

/* Does the ring, which has stopped, wait for this client? Looked up. */
static bool mydev_client_in_the_way(const struct mydev_client *client)
{
	const struct mydev_log *log = &client->dev->log;

	if (!mydev_client_blocks(client))
		return false;
	return log->deep ? !mydev_cursor_credits(client)
			 : client->cursor == log->limit;
}

/* Tell a program whether it has to call, and whether its stream has ended. */
static void mydev_ring_set_flags(struct mydev_client *client, u32 flags)
{
	if (client->mode != MYDEV_MODE_RING || flags == client->ring.flags)
		return;
	client->ring.flags = flags;
	/* Pairs with an acquire: the last entry is there. */
	smp_store_release(&client->ring.page->flags, flags);
}

/**
 * mydev_holders_tell() - note which clients the ring waits for, and tell them
 * @dev: the device; its ring has stopped, or goes on, or the stream has ended
 *
 * Return: true if the caller has to look at the cursors once more: a program
 * that is to call now may have moved its own before it could know.
 */
bool mydev_holders_tell(struct mydev_device *dev)
{
	const struct mydev_rx *rx = &dev->rx;
	struct mydev_log *log = &dev->log;
	struct mydev_client *client;
	bool again = false, stopped;

	stopped = rx->state == MYDEV_STATE_RUNNING && !rx->in_flight;
	log->waited = 0;
	/* Where a buffer was wanted, nobody but the slowest was looked at. */
	if (stopped && dev->nr_rings)
		mydev_holders_look(dev);
	/* It may go on by now, and then nobody may be waited for. */
	if (stopped && mydev_rx_can_submit(dev, 1)) {
		stopped = false;
		again = true;
	}
	if (!stopped && !dev->nr_rings)
		return again;
	list_for_each_entry(client, &dev->clients, list) {
		u32 flags = 0;

		client->waited = stopped && mydev_client_in_the_way(client);
		log->waited += client->waited;
		if (client->waited)
			flags |= MYDEV_RING_NEED_WAKEUP;
		if (mydev_client_end(client) != -EAGAIN)
			flags |= MYDEV_RING_ENDED;
		again |= client->mode == MYDEV_MODE_RING &&
			 flags & ~client->ring.flags & MYDEV_RING_NEED_WAKEUP;
		mydev_ring_set_flags(client, flags);
	}
	if (again)
		log->waited = 0;
	/* Pairs with the program's barrier between its cursor and the flags. */
	smp_mb();
	return again;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_holders_tell);

/**
 * mydev_client_moved() - note that the ring need not wait for a client any more
 * @client: any client; its cursor may have moved on
 */
void mydev_client_moved(struct mydev_client *client)
{
	struct mydev_log *log = &client->dev->log;

	if (!log->waited || !client->waited || mydev_client_in_the_way(client))
		return;
	client->waited = false;
	log->waited--;
	mydev_ring_set_flags(client,
			     client->ring.flags & ~MYDEV_RING_NEED_WAKEUP);
}

/**
 * mydev_rx_may_go_on() - check whether a stopped ring is worth a try
 * @dev: the device
 *
 * Of many clients in its way, only the last one to move on has all looked at.
 *
 * Return: false while it is known to wait for one; true also where it runs.
 */
bool mydev_rx_may_go_on(const struct mydev_device *dev)
{
	const struct mydev_pool *pool = &dev->pool;

	if (!dev->log.waited)
		return true;
	/* What a reader has pinned may be free by now. */
	return dev->log.dry &&
	       (pool->nr_free || (pool->pack && pool->pack->refs == 1));
}
EXPORT_SYMBOL_IF_KUNIT(mydev_rx_may_go_on);

/**
 * mydev_rx_starved() - tell clients that the ring waits for them
 * @dev: the device; its ring is running
 *
 * The caller has to try to refill once more: a program may have given something
 * back before it could see that it has to tell us.
 */
void mydev_rx_starved(struct mydev_device *dev)
{
	mydev_sleepers_notify(dev);
	mydev_holders_tell(dev);
	mydev_rx_watch_block(dev);
}

/**
 * mydev_clients_waiting() - check whether a client waits for data and has none
 * @dev: the device
 *
 * Return: true if so, or if a transaction waits for its answer.
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
 * Of the holders in the way, that is the one furthest behind; where one is not
 * enough, the next time takes the next one. What it has not read becomes one
 * gap; of a program that takes from memory by itself, what leaves the log does.
 */
void mydev_clients_evict(struct mydev_device *dev)
{
	struct mydev_client *client, *victim = NULL;

	mydev_holders_look(dev);
	list_for_each_entry(client, &dev->clients, list) {
		if (mydev_client_in_the_way(client) &&
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
 * Return: those that are free, or of which all clients have read or lost all.
 */
unsigned int mydev_pool_unused(struct mydev_device *dev)
{
	struct mydev_pool *pool = &dev->pool;
	struct mydev_client *client;
	unsigned int n = 0, i = 0, nr, end;
	u64 oldest;

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
			n = pool->nr_free;
		nr = pool->buffers ? pool->nr : 0;
		end = min(nr, i + MYDEV_LOG_BATCH);
		for (; i < end; i++)
			n += pool->buffers[i].state == MYDEV_BUFFER_HELD &&
			     pool->buffers[i].last < oldest;
		spin_unlock_irq(&dev->rx_lock);
	} while (i < nr);
	return n;
}
