// SPDX-License-Identifier: GPL-2.0-only
/*
 * The users of the receive ring: it runs as long as there is one. What others
 * call here does not sleep.
 */
#include "mydev.h"

/* One more user; the work starts the ring, as poll() must not sleep. */
static void mydev_rx_get(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;

	if (dev->gone) {
		rx->users++;
		return;
	}
	if (!rx->users++)
		mod_delayed_work(system_percpu_wq, &rx->work, 0);
	else if (!rx->in_flight)
		mydev_rx_watch_block(dev);
}

/**
 * mydev_rx_put() - count one user of the receive ring less
 * @dev: the device
 *
 * Without a user the ring stops: subscribers that never asked lose nothing by
 * it. Transfers in flight end with the next mydev_rx_stop_if_unused().
 *
 * Context: rx_lock held.
 */
void mydev_rx_put(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;

	if (--rx->users)
		return;
	/* The error is history; what it did to the endpoint is not. */
	rx->failures = 0;
	rx->error = 0;
	rx->told = 0;
	/* Whoever opens next would have to wait for it. */
	if (rx->clearing)
		mydev_ep0_abort(dev, dev->info.ep_in);
	if (rx->state != MYDEV_STATE_GONE)
		rx->state = MYDEV_STATE_IDLE;
}

/* Context: rx_lock held. */
static void mydev_client_use_locked(struct mydev_client *client)
{
	if (!client->subscriber || client->uses || client->revoked)
		return;
	client->uses = true;
	mydev_rx_get(client->dev);
}

/**
 * mydev_client_use() - have the ring run for a client
 * @client: a subscriber, or the call does nothing
 */
void mydev_client_use(struct mydev_client *client)
{
	struct mydev_device *dev = client->dev;
	unsigned long flags;

	spin_lock_irqsave(&dev->rx_lock, flags);
	mydev_client_use_locked(client);
	spin_unlock_irqrestore(&dev->rx_lock, flags);
}

/**
 * mydev_client_demand() - ask for data
 * @client: a subscriber, or the call does nothing
 *
 * The first demand of any subscriber starts the ring, which goes on until the
 * last subscriber that asked is closed. From its own first demand on, a
 * lossless client blocks the ring when it falls behind.
 */
void mydev_client_demand(struct mydev_client *client)
{
	struct mydev_device *dev = client->dev;
	unsigned long flags;

	if (likely(READ_ONCE(client->demanded)) || !client->subscriber)
		return;

	spin_lock_irqsave(&dev->rx_lock, flags);
	/* What it has lost while it held nothing. */
	mydev_cursor_settle(client);
	/* At once: a ring that runs without a holder loses packets. */
	WRITE_ONCE(client->demanded, true);
	mydev_client_hold(client);
	mydev_client_use_locked(client);
	spin_unlock_irqrestore(&dev->rx_lock, flags);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_client_demand);
