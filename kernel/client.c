// SPDX-License-Identifier: GPL-2.0-only
/*
 * One open file: its settings, its counters.
 *
 * What is in its queue, and why, is in queue.c; when the reader is woken for it
 * in wake.c; how it gets to the reader in read.c.
 */
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "mydev.h"

const char *const mydev_mode_names[] = {
	[MYDEV_MODE_STREAM] = "stream",
	[MYDEV_MODE_PACKET] = "packet",
	[MYDEV_MODE_RING] = "ring",
};

const char *const mydev_policy_names[] = {
	[MYDEV_POLICY_LOSSLESS] = "lossless",
	[MYDEV_POLICY_DROP_OLDEST] = "drop-oldest",
	[MYDEV_POLICY_DROP_NEWEST] = "drop-newest",
};

/**
 * mydev_client_open() - make the client object of an open file
 * @dev: the device, referenced by the caller's file for as long as it lives;
 *	the client takes a reference of its own
 * @reader: it may read
 * @writer: it may write
 *
 * Context: process context; takes rx_mutex.
 * Return: the client, or an ERR_PTR: -ENODEV if the device is gone, -EBUSY if
 * it has all the clients that it can have, -ENOMEM.
 */
struct mydev_client *mydev_client_open(struct mydev_device *dev, bool reader,
				       bool writer)
{
	struct mydev_client *client;
	int ret;

	client = kzalloc(sizeof(*client), GFP_KERNEL_ACCOUNT);
	if (!client)
		return ERR_PTR(-ENOMEM);
	client->dev = dev;
	client->reader = reader;
	client->member = reader && dev->has_in;
	client->writer = writer;
	client->pid = task_tgid_nr(current);
	get_task_comm(client->comm, current->group_leader);
	mutex_init(&client->read_mutex);
	mutex_init(&client->map_mutex);
	mydev_client_wake_init(client);

	if (writer && dev->has_out) {
		ret = mydev_tx_alloc(dev);
		if (ret)
			goto err_free;
	}
	if (client->member) {
		client->depth = MYDEV_DEFAULT_DEPTH;
		ret = mydev_queue_alloc(&client->queue, client->depth);
		if (ret)
			goto err_free;
	}

	mutex_lock(&dev->rx_mutex);
	if (dev->nr_clients >= MYDEV_MAX_CLIENTS) {
		ret = -EBUSY;
		goto err_unlock;
	}
	if (client->member) {
		ret = mydev_rx_add_member(dev);
		if (ret)
			goto err_unlock;
	}

	/* 0 is nobody; in four billion opens the first ones are long closed. */
	client->id = ++dev->last_id ?: ++dev->last_id;
	spin_lock_irq(&dev->rx_lock);
	if (dev->gone) {
		spin_unlock_irq(&dev->rx_lock);
		ret = -ENODEV;
		goto err_remove;
	}
	list_add_tail(&client->list, &dev->clients);
	dev->nr_clients++;
	spin_unlock_irq(&dev->rx_lock);
	mutex_unlock(&dev->rx_mutex);

	get_device(&dev->dev);
	return client;

err_remove:
	if (client->member)
		mydev_rx_remove_member(dev);
err_unlock:
	mutex_unlock(&dev->rx_mutex);
	mydev_queue_free(&client->queue);
err_free:
	kfree(client);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_client_open);

/**
 * mydev_client_leave() - a client has no part in the stream any more
 * @client: any client; what it holds is given back
 *
 * Context: rx_mutex held.
 */
static void mydev_client_leave(struct mydev_client *client)
{
	struct mydev_device *dev = client->dev;

	spin_lock_irq(&dev->rx_lock);
	list_del_init(&client->list);
	if (client->wants)
		mydev_rx_unwant(dev);
	client->wants = false;
	if (client->mode == MYDEV_MODE_RING)
		mydev_ring_end(client);
	spin_unlock_irq(&dev->rx_lock);

	if (client->member) {
		mydev_queue_clear(client);
		mydev_rx_settle(dev);
	}
}

/**
 * mydev_client_close() - the last descriptor of a file is closed
 * @client: freed here; everything that it held is given back
 *
 * Context: process context; takes rx_mutex.
 */
void mydev_client_close(struct mydev_client *client)
{
	struct mydev_device *dev = client->dev;

	mydev_lease_release(client);
	if (client->writer)
		mydev_tx_leave(client);

	mutex_lock(&dev->rx_mutex);
	mydev_client_leave(client);
	spin_lock_irq(&dev->rx_lock);
	dev->nr_clients--;
	spin_unlock_irq(&dev->rx_lock);
	if (client->member)
		mydev_rx_remove_member(dev);
	mutex_unlock(&dev->rx_mutex);

	/* Nobody starts it for a client that is on no list. */
	hrtimer_cancel(&client->timer);
	mydev_queue_free(&client->queue);
	mydev_ring_free(client);
	put_device(&dev->dev);
	kfree(client);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_client_close);

/* Context: rx_mutex held, which keeps those on the list from being closed. */
static struct mydev_client *mydev_client_find(struct mydev_client *caller,
					      u32 id)
{
	struct mydev_device *dev = caller->dev;
	struct mydev_client *client, *found = id ? NULL : caller;

	spin_lock_irq(&dev->rx_lock);
	list_for_each_entry(client, &dev->clients, list) {
		if (client->id == id)
			found = client;
	}
	spin_unlock_irq(&dev->rx_lock);
	return found;
}

/**
 * mydev_client_revoke() - end what a client may do, but be closed
 * @caller: who asks; checked to be allowed to
 * @id: number of the client, 0 for @caller
 *
 * A reader in the middle of a copy ends it: what it copies from it has pinned.
 *
 * Context: process context; takes rx_mutex, never what a reader or a writer
 * holds while it sleeps.
 * Return: 0 or -ESRCH.
 */
int mydev_client_revoke(struct mydev_client *caller, u32 id)
{
	struct mydev_device *dev = caller->dev;
	struct mydev_client *client;

	mutex_lock(&dev->rx_mutex);
	client = mydev_client_find(caller, id);
	if (!client) {
		mutex_unlock(&dev->rx_mutex);
		return -ESRCH;
	}

	spin_lock_irq(&dev->rx_lock);
	WRITE_ONCE(client->revoked, true);
	spin_unlock_irq(&dev->rx_lock);
	mydev_client_leave(client);
	mydev_map_revoke(client);
	mydev_turn_revoke(client);
	mydev_tx_abandon(client, 0);
	spin_lock_irq(&dev->rx_lock);
	mydev_client_hang_up(client);
	spin_unlock_irq(&dev->rx_lock);
	mutex_unlock(&dev->rx_mutex);
	return 0;
}

/* Context: rx_lock held. */
static void mydev_client_want_locked(struct mydev_client *client)
{
	if (!client->member || client->wants || client->revoked)
		return;
	client->wants = true;
	mydev_rx_want(client->dev);
}

/**
 * mydev_client_want() - the ring is to run for a client
 * @client: a member, or the call does nothing
 *
 * Context: any in which rx_lock may be taken; does not sleep.
 */
void mydev_client_want(struct mydev_client *client)
{
	struct mydev_device *dev = client->dev;
	unsigned long flags;

	spin_lock_irqsave(&dev->rx_lock, flags);
	mydev_client_want_locked(client);
	spin_unlock_irqrestore(&dev->rx_lock, flags);
}

/**
 * mydev_client_demand() - the client asks for data
 * @client: a member, or the call does nothing
 *
 * The first demand of any member starts the ring, which goes on until the last
 * member that asked is closed. From its first demand on, a lossless client
 * holds the ring when it falls behind.
 *
 * Context: any in which rx_lock may be taken; does not sleep.
 */
void mydev_client_demand(struct mydev_client *client)
{
	struct mydev_device *dev = client->dev;
	unsigned long flags;

	if (likely(READ_ONCE(client->demanded)) || !client->member)
		return;

	spin_lock_irqsave(&dev->rx_lock, flags);
	/* At once: a ring that runs and has no holder would lose its first packets. */
	WRITE_ONCE(client->demanded, true);
	dev->rx.room = 0;
	mydev_client_want_locked(client);
	spin_unlock_irqrestore(&dev->rx_lock, flags);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_client_demand);

/**
 * mydev_client_queued_bytes() - bytes that wait to be read
 * @client: any client
 *
 * Context: rx_lock held.
 * Return: their number.
 */
u64 mydev_client_queued_bytes(const struct mydev_client *client)
{
	return client->bytes - client->read_bytes - client->lost_bytes;
}

/**
 * mydev_client_queued_packets() - packets that wait to be read
 * @client: any client
 *
 * Context: rx_lock held.
 * Return: their number.
 */
u64 mydev_client_queued_packets(const struct mydev_client *client)
{
	return client->packets - client->read_packets - client->lost_packets;
}

/**
 * mydev_client_stats() - fill in the client's and the device's counters
 * @client: the client
 * @stats: all members but size and flags are set, of one moment
 *
 * Context: process context; takes rx_lock.
 */
void mydev_client_stats(struct mydev_client *client, struct mydev_stats *stats)
{
	struct mydev_device *dev = client->dev;

	/* It counts what the program has given back by now. */
	if (READ_ONCE(client->mode) == MYDEV_MODE_RING)
		mydev_ring_wake(client);
	spin_lock_irq(&dev->rx_lock);
	stats->state = mydev_rx_state(dev);
	stats->clients = dev->nr_clients;
	stats->in_flight = dev->rx.in_flight;
	stats->free_buffers = mydev_pool_unused(&dev->pool);
	stats->packets = dev->counters.packets;
	stats->bytes = dev->counters.bytes;
	stats->zero_packets = dev->counters.zero_packets;
	stats->errors = dev->counters.errors;
	stats->stalls = dev->counters.stalls;
	stats->ring_stops = dev->counters.ring_stops;

	stats->client_packets = client->packets;
	stats->client_bytes = client->bytes;
	stats->client_read_packets = client->read_packets;
	stats->client_read_bytes = client->read_bytes;
	stats->client_lost_packets = client->lost_packets;
	stats->client_lost_bytes = client->lost_bytes;
	stats->client_queued_packets = mydev_client_queued_packets(client);
	stats->client_queued_bytes = mydev_client_queued_bytes(client);
	spin_unlock_irq(&dev->rx_lock);
	mydev_tx_stats(client, stats);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_client_stats);

/**
 * mydev_client_get_config() - the settings of a client
 * @client: the client
 * @config: all members but size are set
 *
 * Context: process context; takes rx_lock.
 */
void mydev_client_get_config(struct mydev_client *client,
			     struct mydev_config *config)
{
	struct mydev_device *dev = client->dev;

	spin_lock_irq(&dev->rx_lock);
	config->flags = client->terminate ? MYDEV_CONFIG_TERMINATE : 0;
	config->mode = client->mode;
	config->policy = client->policy;
	config->clock = client->clock;
	config->watermark = client->watermark;
	config->latency_us = ktime_to_us(client->latency);
	config->queue_depth = client->depth;
	spin_unlock_irq(&dev->rx_lock);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_client_get_config);

/**
 * mydev_client_set_mode() - change a client's mode, and maybe its queue
 * @client: a member
 * @mode: MYDEV_MODE_*; for ring mode it has a ring, and read_mutex is held
 * @queue: in: another one, empty, or without memory; out: the old one
 *
 * Context: rx_lock held, interrupts off.
 */
static void mydev_client_set_mode(struct mydev_client *client, u32 mode,
				  struct mydev_queue *queue)
{
	bool begins;

	/* Another queue is another ring. */
	if (client->mode == MYDEV_MODE_RING &&
	    (mode != MYDEV_MODE_RING || queue->slots))
		mydev_ring_end(client);
	if (queue->slots)
		mydev_queue_replace(client, queue);
	begins = mode == MYDEV_MODE_RING && client->mode != MYDEV_MODE_RING;
	WRITE_ONCE(client->mode, mode);
	if (begins)
		mydev_ring_begin(client);
}

/**
 * mydev_client_set_config() - change the settings of a client
 * @client: any client
 * @config: the settings, checked
 *
 * Context: process context; takes rx_mutex and rx_lock, never what a reader
 * holds while it sleeps.
 * Return: 0, -ENOMEM, or -EBUSY for another depth while the queue is mapped, and
 * for ring mode while a read() is under way; on error everything is as it was.
 */
int mydev_client_set_config(struct mydev_client *client,
			    const struct mydev_config *config)
{
	struct mydev_device *dev = client->dev;
	struct mydev_queue queue = {};
	unsigned int old_depth, depth, noio;
	bool begins;
	int ret = 0;

	if (!client->member) {
		WRITE_ONCE(client->terminate,
			   config->flags & MYDEV_CONFIG_TERMINATE);
		return 0;
	}

	/* One change at a time: the depth must not change in between. */
	mutex_lock(&dev->rx_mutex);
	begins = config->mode == MYDEV_MODE_RING &&
		 client->mode != MYDEV_MODE_RING;
	/* What a reader is copying must not be given to the program as well. */
	if ((config->queue_depth != client->depth && mydev_map_any(client)) ||
	    (begins && !mutex_trylock(&client->read_mutex))) {
		mutex_unlock(&dev->rx_mutex);
		return -EBUSY;
	}

	spin_lock_irq(&dev->rx_lock);
	/* From here on the queue grows by no more than what is in flight. */
	old_depth = client->depth;
	client->depth = min(old_depth, config->queue_depth);
	dev->rx.room = 0;
	/* What is queued must fit, and may be more than the depth. */
	depth = max(config->queue_depth, kfifo_len(&client->queue.fifo));
	spin_unlock_irq(&dev->rx_lock);

	/* Disconnect takes rx_mutex, and storage may wait for that. */
	noio = memalloc_noio_save();
	if (config->queue_depth != old_depth &&
	    mydev_queue_slots(depth) != kfifo_size(&client->queue.fifo))
		ret = mydev_queue_alloc(&queue, depth);
	if (!ret && begins)
		ret = mydev_ring_alloc(client);
	memalloc_noio_restore(noio);
	if (ret) {
		spin_lock_irq(&dev->rx_lock);
		client->depth = old_depth;
		spin_unlock_irq(&dev->rx_lock);
		goto out_unlock;
	}

	spin_lock_irq(&dev->rx_lock);
	mydev_client_set_mode(client, config->mode, &queue);
	dev->rx.room = 0;
	client->depth = config->queue_depth;
	WRITE_ONCE(client->terminate, config->flags & MYDEV_CONFIG_TERMINATE);
	client->policy = config->policy;
	client->clock = config->clock;
	client->watermark = config->watermark;
	client->latency = ns_to_ktime((u64)config->latency_us * NSEC_PER_USEC);
	/* Whoever waits by the old settings may be content by the new ones. */
	client->due = false;
	client->woken = false;
	hrtimer_try_to_cancel(&client->timer);
	mydev_client_arrived(client);
	spin_unlock_irq(&dev->rx_lock);

	/* A client that may drop now no longer holds the ring. */
	mydev_rx_refill(dev);
out_unlock:
	if (begins)
		mutex_unlock(&client->read_mutex);
	mydev_queue_free(&queue);
	mutex_unlock(&dev->rx_mutex);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_client_set_config);
