// SPDX-License-Identifier: GPL-2.0-only
/*
 * When a client is woken, and what for.
 *
 * Whoever sleeps has put itself on client->wait before it looks at the queue
 * under rx_lock, and whoever changes the queue looks for sleepers under that
 * lock: so no wake-up falls in between. For the same reason a wake-up need not
 * be repeated until somebody has looked, or some time has passed.
 */
#include <linux/jiffies.h>
#include <linux/poll.h>
#include <linux/sched.h>

#include "mydev.h"

#define MYDEV_POLL_IN   (EPOLLIN | EPOLLRDNORM)
#define MYDEV_POLL_GONE (EPOLLHUP | EPOLLERR)

/**
 * mydev_client_end() - why an empty queue will stay empty
 * @client: a member
 *
 * Context: rx_lock held.
 * Return: -EAGAIN if it will not, -ESTALE if the client was revoked, -ENODEV
 * after an unplug, -EIO after the device failed for good, -EPROTO after the
 * program has put nonsense into its ring.
 */
int mydev_client_end(const struct mydev_client *client)
{
	if (client->revoked)
		return -ESTALE;
	if (client->ring_error)
		return client->ring_error;
	switch (client->dev->rx.state) {
	case MYDEV_STATE_GONE:
		return -ENODEV;
	case MYDEV_STATE_FAILED:
		return -EIO;
	default:
		return -EAGAIN;
	}
}

/**
 * mydev_client_worth() - is there enough to wake the reader for?
 * @client: a member
 *
 * Context: rx_lock held.
 * Return: true if there is.
 */
static bool mydev_client_worth(struct mydev_client *client)
{
	const struct mydev_rx *rx = &client->dev->rx;

	/* Nearly always, and asked for each packet and client. */
	if (client->watermark <= 1 && !kfifo_is_empty(&client->queue.fifo))
		return true;
	if (client->gap.packets || mydev_queue_has_gap(client) ||
	    mydev_client_end(client) != -EAGAIN)
		return true;
	/*
	 * In stream mode, what is queued may have no bytes after a switch from
	 * packet mode: the reader takes it out, and waits on.
	 */
	if (kfifo_is_empty(&client->queue.fifo))
		return false;
	return client->due ||
	       mydev_client_queued_bytes(client) >= client->watermark ||
	       /* A ring that has stopped brings no more. */
	       (rx->state == MYDEV_STATE_RUNNING && !rx->in_flight);
}

/**
 * mydev_client_ready() - would a blocking read return at once?
 * @client: a member
 *
 * Context: process context, takes rx_lock: a waker changes the queue and looks
 * for waiters under that lock, so no wake-up can be missed.
 * Return: true if it would.
 */
bool mydev_client_ready(struct mydev_client *client)
{
	struct mydev_device *dev = client->dev;
	bool ready;

	spin_lock_irq(&dev->rx_lock);
	client->woken = false;
	ready = client->mode == MYDEV_MODE_RING || mydev_client_worth(client);
	spin_unlock_irq(&dev->rx_lock);
	return ready;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_client_ready);

/* Context: rx_lock held. */
static void mydev_client_wake_up(struct mydev_client *client, __poll_t events)
{
	/* Sampled under the lock that sleepers look at the queue under. */
	if (waitqueue_active(&client->wait))
		wake_up_interruptible_poll(&client->wait, events);
}

/* Context: rx_lock held. */
static void mydev_client_signal(struct mydev_client *client, int band)
{
	/* Most have none, and are spared the call. */
	if (client->fasync)
		kill_fasync(&client->fasync, SIGIO, band);
}

/**
 * mydev_client_wake() - tell readers, pollers and receivers of SIGIO
 * @client: the client
 * @events: what happened
 * @band: the same for SIGIO, POLL_IN, POLL_ERR or POLL_HUP
 *
 * Context: rx_lock held.
 */
static void mydev_client_wake(struct mydev_client *client, __poll_t events,
			      int band)
{
	mydev_client_wake_up(client, events);
	mydev_client_signal(client, band);
}

/**
 * mydev_client_wake_once() - wake those who wait for data, unless it was done
 * @client: a member with data
 *
 * Who was woken looks at the queue before it sleeps again. Where many programs
 * share few processors, one that was woken gets many packets before it runs, and
 * to wake it for each of them is a large part of what a packet costs.
 *
 * It may be killed instead, and somebody else may sleep behind the same epoll, of
 * whom nothing is known here: so a packet of a later tick wakes once more.
 *
 * Context: rx_lock held.
 */
static void mydev_client_wake_once(struct mydev_client *client)
{
	mydev_client_signal(client, POLL_IN);
	if (client->woken && !time_after(jiffies, client->woken_at))
		return;
	/* Where nobody sleeps it is true as well: who comes looks first. */
	mydev_client_wake_up(client, MYDEV_POLL_IN);
	client->woken = !client->wake_each;
	client->woken_at = jiffies;
}

/* What is queued may wait for so long. Context: rx_lock held. */
static void mydev_client_start_timer(struct mydev_client *client)
{
	if (client->latency && !kfifo_is_empty(&client->queue.fifo) &&
	    !hrtimer_is_queued(&client->timer))
		hrtimer_start(&client->timer, client->latency,
			      HRTIMER_MODE_REL_SOFT);
}

/**
 * mydev_client_arrived() - something is new in the queue of a client
 * @client: a member
 *
 * Wakes the reader, or lets it sleep until it is worth it.
 *
 * Context: rx_lock held, interrupts off.
 */
void mydev_client_arrived(struct mydev_client *client)
{
	if (mydev_client_worth(client))
		mydev_client_wake_once(client);
	else
		mydev_client_start_timer(client);
}

/**
 * mydev_client_left() - a reader took something out of the queue of a client
 * @client: a member
 *
 * What is left waits for the watermark or the latency bound anew.
 *
 * Context: rx_lock held, interrupts off.
 */
void mydev_client_left(struct mydev_client *client)
{
	client->due = false;
	client->woken = false;
	mydev_queue_settle_gap(client);
	mydev_client_start_timer(client);
}

/* The oldest packet of a client has waited for as long as it may. */
static enum hrtimer_restart mydev_client_timer(struct hrtimer *timer)
{
	struct mydev_client *client =
		container_of(timer, struct mydev_client, timer);
	struct mydev_device *dev = client->dev;
	unsigned long flags;

	spin_lock_irqsave(&dev->rx_lock, flags);
	if (!kfifo_is_empty(&client->queue.fifo)) {
		client->due = true;
		if (mydev_client_worth(client))
			mydev_client_wake_once(client);
	}
	spin_unlock_irqrestore(&dev->rx_lock, flags);
	return HRTIMER_NORESTART;
}

/**
 * mydev_client_wake_init() - nobody sleeps, and nothing waits
 * @client: new
 */
void mydev_client_wake_init(struct mydev_client *client)
{
	init_waitqueue_head(&client->wait);
	hrtimer_setup(&client->timer, mydev_client_timer, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL_SOFT);
}

/**
 * mydev_client_hang_up() - wake all that sleep in a client that was revoked
 * @client: the client
 *
 * Context: rx_lock held.
 */
void mydev_client_hang_up(struct mydev_client *client)
{
	mydev_client_wake(client, MYDEV_POLL_IN | EPOLLOUT | MYDEV_POLL_GONE,
			  POLL_HUP);
}

/**
 * mydev_clients_flush() - nothing more will come until somebody reads
 * @dev: the device; its ring has stopped
 *
 * Whoever waits for more, waits in vain.
 *
 * Context: rx_lock held, interrupts off.
 */
void mydev_clients_flush(struct mydev_device *dev)
{
	struct mydev_client *client;

	list_for_each_entry(client, &dev->clients, list) {
		if (client->member)
			mydev_client_arrived(client);
	}
}

/**
 * mydev_clients_wake() - the stream has ended: tell every client
 * @dev: the device; gone or failed is set already
 *
 * Context: rx_lock held, interrupts off.
 */
void mydev_clients_wake(struct mydev_device *dev)
{
	struct mydev_client *client;
	__poll_t events = MYDEV_POLL_IN | EPOLLERR;
	int band = POLL_ERR;

	if (dev->gone) {
		events |= EPOLLHUP;
		band = POLL_HUP;
	}
	list_for_each_entry(client, &dev->clients, list)
		mydev_client_wake(client, events, band);
	mydev_rings_tell(dev);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_clients_wake);

/**
 * mydev_client_poll() - the events of a client
 * @client: the client; the caller is on its wait queue already
 * @wake_each: who waits there may wait on without another look after a wake-up,
 *	so from now on each packet makes one
 *
 * Context: process context; takes rx_lock only, never what a reader holds.
 * Return: EPOLL* bits.
 */
__poll_t mydev_client_poll(struct mydev_client *client, bool wake_each)
{
	struct mydev_device *dev = client->dev;
	__poll_t events = 0;

	/* Whoever waits has given back what it will. */
	if (READ_ONCE(client->mode) == MYDEV_MODE_RING)
		mydev_ring_wake(client);
	spin_lock_irq(&dev->rx_lock);
	client->woken = false;
	client->wake_each |= wake_each;
	if (client->member && mydev_client_worth(client))
		events |= MYDEV_POLL_IN;
	if (dev->gone || client->revoked)
		events |= MYDEV_POLL_GONE;
	else if (dev->rx.state == MYDEV_STATE_FAILED || client->ring_error)
		events |= EPOLLERR;
	spin_unlock_irq(&dev->rx_lock);
	if (client->writer)
		events |= mydev_tx_poll(client);
	return events;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_client_poll);
