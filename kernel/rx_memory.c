// SPDX-License-Identifier: GPL-2.0-only
/*
 * When the receive ring has its transfers, its pool and its log: from the first member on, so
 * that the stream never fails with -ENOMEM later.
 */
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "mydev.h"

static void mydev_rx_free_transfers(struct mydev_transfer *transfers,
				    unsigned int nr)
{
	unsigned int i;

	for (i = 0; transfers && i < nr; i++)
		usb_free_urb(transfers[i].urb);
	kfree(transfers);
}

static void mydev_rx_free(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;
	struct mydev_pool pool;

	mydev_log_clear(dev);
	/* Readers of the counters see all of a pool or nothing of it. */
	spin_lock_irq(&dev->rx_lock);
	mydev_pool_move(&pool, &dev->pool);
	spin_unlock_irq(&dev->rx_lock);
	mydev_pool_free(&pool);
	mydev_log_free(&dev->log.store);
	mydev_rx_free_transfers(rx->transfers, rx->nr);
	rx->transfers = NULL;
	INIT_LIST_HEAD(&rx->idle);
	/* The next transfers will be new ones, and not blocked. */
	rx->urbs_blocked = false;
}

/* Context: rx_lock held. Nobody has anything to read; positions have gone on. */
static void mydev_clients_move(struct mydev_device *dev)
{
	struct mydev_client *client;

	list_for_each_entry(client, &dev->clients, list) {
		client->cursor = dev->log.head;
		client->from = 0;
		client->keep = 0;
		if (client->mode == MYDEV_MODE_RING)
			mydev_ring_begin(client);
	}
}

/* Context: rx_mutex held; there is no ring. */
static int mydev_rx_alloc(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;
	struct mydev_log_store store = {};
	struct mydev_pool pool;
	unsigned int i, noio;

	/* Disconnect takes rx_mutex, and storage may wait for that. */
	noio = memalloc_noio_save();
	rx->transfers = kcalloc(rx->nr, sizeof(*rx->transfers), GFP_KERNEL);
	if (!rx->transfers)
		goto err_free;

	for (i = 0; i < rx->nr; i++) {
		struct mydev_transfer *transfer = &rx->transfers[i];

		transfer->dev = dev;
		transfer->urb = usb_alloc_urb(0, GFP_KERNEL);
		if (!transfer->urb)
			goto err_free;
		usb_fill_bulk_urb(transfer->urb, dev->iface->udev, 0, NULL,
				  rx->size, mydev_rx_complete, transfer);
		mydev_urb_target(dev, transfer->urb, dev->info.ep_in);
		list_add_tail(&transfer->list, &rx->idle);
	}

	if (mydev_log_alloc(&store, rx->nr_entries) ||
	    mydev_pool_alloc(&pool, rx->nr_buffers, rx->room))
		goto err_free;
	spin_lock_irq(&dev->rx_lock);
	mydev_pool_move(&dev->pool, &pool);
	mydev_log_use(&dev->log, &store);
	mydev_clients_move(dev);
	spin_unlock_irq(&dev->rx_lock);
	memalloc_noio_restore(noio);
	return 0;

err_free:
	memalloc_noio_restore(noio);
	mydev_log_free(&store);
	mydev_rx_free_transfers(rx->transfers, rx->nr);
	rx->transfers = NULL;
	INIT_LIST_HEAD(&rx->idle);
	return -ENOMEM;
}

/**
 * mydev_rx_add_subscriber() - count one more subscriber
 * @dev: the device
 *
 * The first one gets the memory, so that receiving cannot fail with
 * -ENOMEM later.
 *
 * Context: rx_mutex held.
 * Return: 0 or -ENOMEM.
 */
int mydev_rx_add_subscriber(struct mydev_device *dev)
{
	int ret = 0;

	lockdep_assert_held(&dev->rx_mutex);
	/* Those of an earlier one are still there where one of them is lost. */
	if (!dev->rx.transfers)
		ret = mydev_rx_alloc(dev);
	if (!ret)
		dev->nr_subscribers++;
	return ret;
}

/**
 * mydev_rx_free_unused() - free the memory of a ring without subscribers
 * @dev: the device
 *
 * But not while a transfer is lost: then the work does it when that has come back.
 *
 * Context: rx_mutex held.
 */
void mydev_rx_free_unused(struct mydev_device *dev)
{
	bool lost;

	lockdep_assert_held(&dev->rx_mutex);
	spin_lock_irq(&dev->rx_lock);
	lost = dev->rx.in_flight;
	spin_unlock_irq(&dev->rx_lock);
	if (!dev->nr_subscribers && dev->rx.transfers && !lost)
		mydev_rx_free(dev);
}

/**
 * mydev_rx_remove_subscriber() - count one subscriber less
 * @dev: the device; the client holds no buffer any more, and the ring has
 *	settled
 *
 * The last one gives the memory back.
 *
 * Context: rx_mutex held.
 */
void mydev_rx_remove_subscriber(struct mydev_device *dev)
{
	dev->nr_subscribers--;
	mydev_rx_free_unused(dev);
}

/**
 * mydev_rx_use_geometry() - set how many transfers, buffers and entries there are
 * @dev: the device; it has none, or its ring is unused
 * @numbers: how many
 *
 * Context: rx_mutex held.
 */
void mydev_rx_use_geometry(struct mydev_device *dev,
			   const struct mydev_rx_numbers *numbers)
{
	struct mydev_rx *rx = &dev->rx;

	spin_lock_irq(&dev->rx_lock);
	rx->nr = numbers->nr;
	rx->nr_buffers = numbers->nr_buffers;
	rx->nr_entries = numbers->nr_entries;
	rx->size = numbers->size;
	rx->room = numbers->room;
	spin_unlock_irq(&dev->rx_lock);
}

/**
 * mydev_rx_rebuild() - replace the ring of a device that has subscribers
 * @dev: the device; its ring is unused, and nobody has anything to read
 * @numbers: of the new one
 *
 * What the log still had is gone afterwards, also where the old ring is back.
 *
 * Context: rx_mutex held. Without users, only this function and the counters look
 * at transfers and pool.
 * Return: 0, or -ENOMEM, and the old ring is back; -EBUSY while a buffer is pinned.
 */
int mydev_rx_rebuild(struct mydev_device *dev,
		     const struct mydev_rx_numbers *numbers)
{
	struct mydev_rx *rx = &dev->rx;
	struct mydev_transfer *transfers = rx->transfers;
	const struct mydev_rx_numbers old = { rx->nr, rx->nr_buffers,
					      rx->nr_entries, rx->size,
					      rx->room };
	bool blocked = rx->urbs_blocked;
	struct mydev_log_store store;
	struct mydev_pool pool;
	unsigned int i;
	bool pinned;

	mydev_log_clear(dev);
	spin_lock_irq(&dev->rx_lock);
	mydev_pool_close_pack(&dev->pool);
	/* By a reader that was revoked, or evicted, in the middle of its copy. */
	pinned = dev->pool.nr_free != dev->pool.nr;
	if (!pinned) {
		mydev_pool_move(&pool, &dev->pool);
		store = dev->log.store;
	}
	spin_unlock_irq(&dev->rx_lock);
	if (pinned)
		return -EBUSY;
	INIT_LIST_HEAD(&rx->idle);
	rx->urbs_blocked = false;

	mydev_rx_use_geometry(dev, numbers);
	if (!mydev_rx_alloc(dev)) {
		mydev_pool_free(&pool);
		mydev_log_free(&store);
		mydev_rx_free_transfers(transfers, old.nr);
		return 0;
	}

	mydev_rx_use_geometry(dev, &old);
	spin_lock_irq(&dev->rx_lock);
	mydev_pool_move(&dev->pool, &pool);
	spin_unlock_irq(&dev->rx_lock);
	rx->transfers = transfers;
	for (i = 0; i < old.nr; i++)
		list_add_tail(&transfers[i].list, &rx->idle);
	rx->urbs_blocked = blocked;
	return -ENOMEM;
}
