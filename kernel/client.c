// SPDX-License-Identifier: GPL-2.0-only
/*
 * One open file: its settings, its counters.
 *
 * Where it is in the log is in cursor.c; when its reader is woken in wake.c;
 * how the reader gets what is there in read.c.
 *
 * What others call here is for process context. Open, close, revoke and a
 * change of settings take rx_mutex; the last two never what a reader or a
 * writer holds while it sleeps.
 */
#include <linux/pid.h>
#include <linux/sched.h>
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
 * mydev_client_open() - create the client of an open file
 * @dev: the device; the client takes a reference
 * @reader: it may read
 * @writer: it may write
 *
 * Return: the client, or an ERR_PTR: -ENODEV if the device is gone, -EBUSY for
 * one client too many, -ENOMEM, -EINTR for one that is killed.
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
	client->subscriber = reader && dev->has_in;
	client->writer = writer;
	client->pid = task_tgid_nr(current);
	get_task_comm(client->comm, current->group_leader);
	mutex_init(&client->read_mutex);
	mutex_init(&client->map.mutex);
	mydev_client_wake_init(client);

	if (writer && dev->has_out) {
		ret = mydev_tx_alloc(dev);
		if (ret)
			goto err_free;
	}
	if (client->subscriber)
		client->depth = MYDEV_DEFAULT_DEPTH;

	if (mutex_lock_killable(&dev->rx_mutex)) {
		ret = -EINTR;
		goto err_free;
	}
	if (dev->nr_clients >= MYDEV_MAX_CLIENTS) {
		ret = -EBUSY;
		goto err_unlock;
	}
	if (client->subscriber) {
		ret = mydev_rx_add_subscriber(dev);
		if (ret)
			goto err_unlock;
	}

	spin_lock_irq(&dev->rx_lock);
	if (dev->gone) {
		spin_unlock_irq(&dev->rx_lock);
		ret = -ENODEV;
		goto err_remove;
	}
	client->id = mydev_interface_next_id(dev->iface);
	dev->last_id = client->id;
	client->cursor = dev->log.head;
	client->start = mydev_place_at(dev, dev->log.head);
	client->next = client->start;
	list_add_tail(&client->list, &dev->clients);
	dev->nr_clients++;
	spin_unlock_irq(&dev->rx_lock);
	mutex_unlock(&dev->rx_mutex);

	get_device(&dev->dev);
	return client;

err_remove:
	if (client->subscriber)
		mydev_rx_remove_subscriber(dev);
err_unlock:
	mutex_unlock(&dev->rx_mutex);
err_free:
	kfree(client);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_client_open);

/* What the client has not read by now is lost. Context: rx_mutex held. */
static void mydev_client_unsubscribe(struct mydev_client *client, bool revoked)
{
	struct mydev_device *dev = client->dev;

	spin_lock_irq(&dev->rx_lock);
	/* Of several that follow each other, while the ring does not run, the first. */
	if (client->uses && dev->rx.users == 1 && !dev->rx.has_left) {
		mydev_cursor_settle(client);
		dev->rx.left = client->mode == MYDEV_MODE_RING
				       ? mydev_place_at(dev, client->cursor)
				       : client->next;
		dev->rx.has_left = true;
	}
	list_del_init(&client->list);
	list_del_init(&client->wake.list);
	client->wake.woken = false;
	client->waited = false;
	if (client->uses)
		mydev_rx_put(dev);
	client->uses = false;
	if (client->mode == MYDEV_MODE_RING)
		mydev_ring_end(client);
	client->end = mydev_place_at(dev, dev->log.head);
	mydev_holders_changed(dev);
	WRITE_ONCE(client->revoked, revoked || client->revoked);
	spin_unlock_irq(&dev->rx_lock);

	if (client->subscriber)
		mydev_rx_stop_if_unused(dev);
}

/**
 * mydev_client_close() - end a client whose file is closed
 * @client: freed here; everything that it held is given back
 */
void mydev_client_close(struct mydev_client *client)
{
	struct mydev_device *dev = client->dev;

	mydev_lease_release(client);
	if (client->writer)
		mydev_tx_detach_client(client);

	mutex_lock(&dev->rx_mutex);
	mydev_client_unsubscribe(client, false);
	spin_lock_irq(&dev->rx_lock);
	dev->nr_clients--;
	spin_unlock_irq(&dev->rx_lock);
	if (client->subscriber)
		mydev_rx_remove_subscriber(dev);
	mutex_unlock(&dev->rx_mutex);

	/* Not started any more for a client that is on no list. */
	hrtimer_cancel(&client->wake.timer);
	mydev_ring_free(client);
	mydev_map_close_file(client);
	put_device(&dev->dev);
	kfree(client);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_client_close);

/* Context: rx_mutex held, which keeps those on the list from being closed. */
static struct mydev_client *mydev_client_find(struct mydev_device *dev, u32 id)
{
	struct mydev_client *client, *found = NULL;

	spin_lock_irq(&dev->rx_lock);
	list_for_each_entry(client, &dev->clients, list) {
		if (client->id == id)
			found = client;
	}
	spin_unlock_irq(&dev->rx_lock);
	return found;
}

/* Context: rx_mutex held. */
static void mydev_client_end_use(struct mydev_client *client)
{
	struct mydev_device *dev = client->dev;

	mydev_client_unsubscribe(client, true);
	mydev_map_revoke(client);
	mydev_tx_revoke(client);
	mydev_tx_cancel(client, 0);
	spin_lock_irq(&dev->rx_lock);
	mydev_client_wake(client, MYDEV_POLL_IN | EPOLLOUT | MYDEV_POLL_GONE,
			  POLL_HUP);
	spin_unlock_irq(&dev->rx_lock);
}

/**
 * mydev_client_revoke() - take everything from a client but its close
 * @caller: the asking client, which may
 * @id: number of the client, of any node of the interface; 0 for @caller
 *
 * A copy in progress completes: its buffers are pinned.
 *
 * Context: process context; takes rx_mutex, never what a reader or a writer
 * holds while it sleeps.
 * Return: 0, -ESRCH, or -ESTALE where @caller is revoked itself.
 */
int mydev_client_revoke(struct mydev_client *caller, u32 id)
{
	struct mydev_interface *iface = caller->dev->iface;
	struct mydev_client *client;
	struct mydev_device *dev;
	int ret = -ESRCH;

	list_for_each_entry(dev, &iface->nodes, node) {
		mutex_lock(&dev->rx_mutex);
		client = mydev_client_find(dev, id ?: caller->id);
		if (READ_ONCE(caller->revoked))
			ret = -ESTALE;
		else if (client)
			ret = 0;
		if (!ret)
			mydev_client_end_use(client);
		mutex_unlock(&dev->rx_mutex);
		if (ret != -ESRCH)
			break;
	}
	return ret;
}

/**
 * mydev_client_stats() - fill in the counters of a client and its device
 * @client: the client
 * @stats: filled in but for size and flags; the counters are of one moment
 */
void mydev_client_stats(struct mydev_client *client, struct mydev_stats *stats)
{
	struct mydev_device *dev = client->dev;
	struct mydev_counts counts;
	struct mydev_place unread;

	/* It counts what the program has given back by now. */
	if (READ_ONCE(client->mode) == MYDEV_MODE_RING)
		mydev_ring_kick(client);
	stats->free_buffers = mydev_pool_unused(dev);
	spin_lock_irq(&dev->rx_lock);
	stats->state = mydev_rx_state(dev);
	stats->clients = dev->nr_clients;
	stats->in_flight = dev->rx.in_flight;
	stats->packets = dev->counters.packets;
	stats->bytes = dev->counters.bytes;
	stats->zero_packets = dev->counters.zero_packets;
	stats->errors = mydev_rx_errors(dev);
	stats->stalls = dev->counters.stalls;
	stats->ring_stops = dev->counters.ring_stops;
	unread = mydev_rx_all_unread(dev);
	stats->unread_packets = unread.seq;
	stats->unread_bytes = unread.bytes;

	mydev_client_counts(client, &counts);
	stats->client_packets = counts.packets;
	stats->client_bytes = counts.bytes;
	stats->client_read_packets = counts.read_packets;
	stats->client_read_bytes = counts.read_bytes;
	stats->client_lost_packets = counts.lost_packets;
	stats->client_lost_bytes = counts.lost_bytes;
	stats->client_queued_packets = counts.queued_packets;
	stats->client_queued_bytes = counts.queued_bytes;
	spin_unlock_irq(&dev->rx_lock);
	mydev_tx_stats(client, stats);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_client_stats);

/**
 * mydev_client_get_config() - fill in the settings of a client
 * @client: the client
 * @config: all members but size are set
 */
void mydev_client_get_config(struct mydev_client *client,
			     struct mydev_config *config)
{
	struct mydev_device *dev = client->dev;

	spin_lock_irq(&dev->rx_lock);
	config->flags = client->tx.terminate ? MYDEV_CONFIG_TERMINATE : 0;
	config->mode = client->mode;
	config->policy = client->policy;
	config->clock = client->clock;
	config->watermark = client->watermark;
	config->latency_us = ktime_to_us(client->latency);
	config->queue_depth = client->depth;
	spin_unlock_irq(&dev->rx_lock);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_client_get_config);

/* Context: rx_lock held; for ring mode, read_mutex too, and there is a page. */
static void mydev_client_apply(struct mydev_client *client,
			       const struct mydev_config *config)
{
	struct mydev_device *dev = client->dev;
	bool begins = config->mode == MYDEV_MODE_RING &&
		      client->mode != MYDEV_MODE_RING;
	bool held;

	/* By the old policy. */
	mydev_cursor_settle(client);
	held = mydev_client_blocks(client);
	client->keep = 0;
	if (client->mode == MYDEV_MODE_RING && config->mode != MYDEV_MODE_RING)
		mydev_ring_end(client);
	WRITE_ONCE(client->mode, config->mode);
	client->depth = config->queue_depth;
	client->policy = config->policy;
	client->clock = config->clock;
	client->watermark = config->watermark;
	client->latency = ns_to_ktime((u64)config->latency_us * NSEC_PER_USEC);
	/* What is there stays there, also by a smaller depth. */
	if (!mydev_client_blocks(client))
		client->from = dev->log.head;
	else if (!held)
		mydev_client_hold(client);
	mydev_holders_changed(dev);
	if (begins) {
		dev->nr_rings++;
		mydev_ring_begin(client);
	}
	/* Re-evaluate sleepers against the new settings. */
	mydev_client_looked(client);
	hrtimer_try_to_cancel(&client->wake.timer);
	mydev_client_notify(client);
}

/**
 * mydev_client_set_config() - change the settings of a client
 * @client: any client
 * @config: the settings, checked
 *
 * Return: 0, -ENOMEM, -ESTALE, or -EBUSY for ring mode while a read() is under
 * way; on error everything is as it was.
 */
int mydev_client_set_config(struct mydev_client *client,
			    const struct mydev_config *config)
{
	struct mydev_device *dev = client->dev;
	bool begins;
	int ret = 0;

	if (!client->subscriber) {
		WRITE_ONCE(client->tx.terminate,
			   config->flags & MYDEV_CONFIG_TERMINATE);
		return 0;
	}

	/* One change at a time, and none after a revoke. */
	mutex_lock(&dev->rx_mutex);
	if (client->revoked) {
		ret = -ESTALE;
		goto out_unlock;
	}
	begins = config->mode == MYDEV_MODE_RING &&
		 client->mode != MYDEV_MODE_RING;
	/* What a reader is copying must not be given to the program as well. */
	if (begins && !mutex_trylock(&client->read_mutex)) {
		ret = -EBUSY;
		goto out_unlock;
	}
	if (begins)
		ret = mydev_ring_alloc(client);
	if (!ret) {
		WRITE_ONCE(client->tx.terminate,
			   config->flags & MYDEV_CONFIG_TERMINATE);
		spin_lock_irq(&dev->rx_lock);
		mydev_client_apply(client, config);
		spin_unlock_irq(&dev->rx_lock);
		/* A client that may drop now no longer blocks the ring. */
		mydev_rx_refill(dev);
	}
	if (begins)
		mutex_unlock(&client->read_mutex);
out_unlock:
	mutex_unlock(&dev->rx_mutex);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_client_set_config);

/**
 * mydev_client_rewind() - move a cursor to something that the log still has
 * @client: a subscriber
 * @arg: checked; out: where it is now
 *
 * What the client gets once more is offered once more, and what it leaves out
 * was not: only what was lost before stays lost.
 *
 * Return: 0, -ESTALE, -EPROTO for a ring that is broken, or -EBUSY while a
 * read() is under way.
 */
int mydev_client_rewind(struct mydev_client *client, struct mydev_rewind *arg)
{
	struct mydev_device *dev = client->dev;
	struct mydev_place place;
	bool hungry = false;
	int ret = -ESTALE;

	if (!mutex_trylock(&client->read_mutex))
		return -EBUSY;
	spin_lock_irq(&dev->rx_lock);
	if (client->revoked)
		goto out_unlock;
	mydev_cursor_settle(client);
	ret = client->ring.error;
	if (ret)
		goto out_unlock;
	if (client->mode == MYDEV_MODE_RING)
		mydev_ring_fetch(client);
	/* Its value for the oldest is 0, and nothing is before that. */
	client->cursor = mydev_log_seek(&dev->log, arg->value,
					arg->to == MYDEV_REWIND_TIME);
	client->evicted = false;
	mydev_client_hold(client);
	place = mydev_place_at(dev, client->cursor);
	client->start.seq += place.seq - client->next.seq;
	client->start.bytes += place.bytes - client->next.bytes;
	client->next = place;
	/* What is behind it now does not fill its queue. */
	client->from = dev->log.head;
	client->keep = 0;
	if (client->mode == MYDEV_MODE_RING)
		mydev_ring_begin(client);
	arg->value = place.seq;
	ret = 0;
	mydev_client_looked(client);
	mydev_client_notify(client);
	/* It may have held the ring up. */
	hungry = mydev_rx_needs_refill(dev);
out_unlock:
	spin_unlock_irq(&dev->rx_lock);
	if (hungry)
		mydev_rx_refill(dev);
	mutex_unlock(&client->read_mutex);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_client_rewind);
