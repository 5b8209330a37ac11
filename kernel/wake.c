// SPDX-License-Identifier: GPL-2.0-only
/*
 * When a client is woken, and what for.
 *
 * A client is in dev->sleepers from the moment on in which one of its waiters
 * may sleep; only those are looked at when an entry is appended. A waiter is on
 * client->wait before it looks under rx_lock, and that look puts the client
 * there; the waker looks for waiters under that lock: so no wake-up is lost.
 *
 * A woken client is in dev->woken until one of its waiters has looked: where
 * many programs share few processors, many packets come before it runs, and a
 * wake-up for each would be a large part of what a packet costs. It may die
 * instead while another one sleeps on the same epoll, or never look: so less
 * than two ticks after more has come, it is woken once more, even if another
 * waiter has looked since.
 *
 * Everything here runs under rx_lock, interrupts off, or says that it takes it.
 */
#include <linux/jiffies.h>
#include <linux/sched.h>

#include "mydev.h"

/* When the oldest entry has waited for as long as it may. */
static ktime_t mydev_client_due(const struct mydev_client *client)
{
	const struct mydev_log *log = &client->dev->log;

	return ktime_add(ns_to_ktime(mydev_log_at(log, client->cursor)->time),
			 client->latency);
}

/**
 * mydev_client_should_wake() - check whether a reader has enough to wake for
 * @client: a subscriber
 *
 * Return: true if there is.
 */
bool mydev_client_should_wake(struct mydev_client *client)
{
	const struct mydev_device *dev = client->dev;
	const struct mydev_rx *rx = &dev->rx;
	struct mydev_place at, gap;

	mydev_cursor_settle(client);
	if (mydev_client_end(client) != -EAGAIN)
		return true;
	if (mydev_cursor_empty(client))
		return false;
	/* A stopped ring brings no more, and a full client gets no more. */
	if (client->watermark <= 1 || client->keep ||
	    (rx->state == MYDEV_STATE_RUNNING && !rx->in_flight))
		return true;
	/* Of a program in ring mode, the tail has passed the cursor. */
	if (client->mode == MYDEV_MODE_RING
		    ? client->cursor != client->ring.cursor
		    : mydev_cursor_gap(client, &gap))
		return true;
	at = mydev_place_at(dev, client->cursor);
	if (dev->counters.bytes - max(at.bytes, client->next.bytes) >=
	    client->watermark)
		return true;
	return client->latency &&
	       ktime_compare(ktime_get(), mydev_client_due(client)) >= 0;
}

/* What is there waits for more, but not for ever. */
static void mydev_client_start_timer(struct mydev_client *client)
{
	if (!client->latency || hrtimer_is_queued(&client->wake.timer))
		return;
	mydev_cursor_settle(client);
	if (client->cursor != client->dev->log.head)
		hrtimer_start(&client->wake.timer, mydev_client_due(client),
			      HRTIMER_MODE_ABS_SOFT);
}

/**
 * mydev_client_arm() - have a client looked at when something comes
 * @client: a subscriber; a waiter of it may sleep from now on
 * @each: the waiter may not look after a wake-up
 */
void mydev_client_arm(struct mydev_client *client, bool each)
{
	if (client->revoked)
		return;
	if (client->wake.woken || list_empty(&client->wake.list))
		list_move_tail(&client->wake.list, &client->dev->sleepers);
	client->wake.woken = false;
	client->wake.each |= each;
	mydev_client_start_timer(client);
}

static void mydev_client_disarm(struct mydev_client *client)
{
	list_del_init(&client->wake.list);
	client->wake.woken = false;
	client->wake.each = false;
}

static bool mydev_client_has_waiter(struct mydev_client *client)
{
	/* Sampled under the lock that waiters look under. */
	return waitqueue_active(&client->wait) || client->fasync;
}

/**
 * mydev_client_looked() - note that a waiter has looked, or has read
 * @client: any client
 */
void mydev_client_looked(struct mydev_client *client)
{
	if (!client->wake.woken)
		return;
	if (mydev_client_has_waiter(client))
		mydev_client_arm(client, false);
	else
		mydev_client_disarm(client);
}

/**
 * mydev_client_ready() - check whether a blocking read would return at once
 * @client: a subscriber
 *
 * Context: process context; takes rx_lock. The caller may sleep on the answer.
 * Return: true if it would, or was going to when somebody was woken for it.
 */
bool mydev_client_ready(struct mydev_client *client)
{
	struct mydev_device *dev = client->dev;
	bool ready;

	spin_lock_irq(&dev->rx_lock);
	/* Where another reader was faster, the caller waits again. */
	ready = client->mode == MYDEV_MODE_RING ||
		(client->wake.woken && client->watermark <= 1) ||
		mydev_client_should_wake(client);
	if (ready)
		mydev_client_looked(client);
	else
		mydev_client_arm(client, false);
	spin_unlock_irq(&dev->rx_lock);
	return ready;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_client_ready);

static void mydev_clients_start_timer(struct mydev_device *dev)
{
	struct hrtimer *timer = &dev->rx.wake_timer;

	if (!hrtimer_is_queued(timer))
		hrtimer_start(timer, ns_to_ktime(TICK_NSEC),
			      HRTIMER_MODE_REL_SOFT);
}

static void mydev_client_wake_up(struct mydev_client *client)
{
	/* Sampled under the lock that waiters look under. */
	if (waitqueue_active(&client->wait))
		wake_up_interruptible_poll(&client->wait, MYDEV_POLL_IN);
	client->wake.at = jiffies;
	client->wake.head = client->dev->log.head;
}

/**
 * mydev_client_notify() - wake the waiters of a client if it is worth it
 * @client: in dev->sleepers, or the call does nothing
 */
void mydev_client_notify(struct mydev_client *client)
{
	if (list_empty(&client->wake.list) || client->wake.woken)
		return;
	if (!mydev_client_has_waiter(client)) {
		mydev_client_disarm(client);
		return;
	}
	if (!mydev_client_should_wake(client)) {
		mydev_client_start_timer(client);
		return;
	}
	/* Most have none, and are spared the call. */
	if (client->fasync)
		kill_fasync(&client->fasync, SIGIO, POLL_IN);
	mydev_client_wake_up(client);
	if (client->wake.each || client->fasync)
		return;
	list_move_tail(&client->wake.list, &client->dev->woken);
	client->wake.woken = true;
}

/**
 * mydev_sleepers_notify() - wake the sleepers that have something to read
 * @dev: the device; something has come, or nothing more will for now
 */
void mydev_sleepers_notify(struct mydev_device *dev)
{
	struct mydev_client *client, *next;

	/* Those that were woken before, and have not looked. */
	if (!list_empty(&dev->woken))
		mydev_clients_start_timer(dev);
	list_for_each_entry_safe(client, next, &dev->sleepers, wake.list)
		mydev_client_notify(client);
}

/* Wake once more if something has come since; true where it is too early. */
static bool mydev_client_wake_again(struct mydev_client *client)
{
	if (client->wake.head == client->dev->log.head)
		return false;
	/* It was woken only since the timer was started. */
	if (!time_after(jiffies, client->wake.at))
		return true;
	if (!mydev_client_has_waiter(client))
		mydev_client_disarm(client);
	else if (mydev_client_should_wake(client))
		mydev_client_wake_up(client);
	else
		mydev_client_arm(client, false);
	return false;
}

/* A tick ago there was a wake-up; it takes rx_lock, as the next one does. */
static enum hrtimer_restart mydev_clients_timer(struct hrtimer *timer)
{
	struct mydev_device *dev =
		container_of(timer, struct mydev_device, rx.wake_timer);
	struct mydev_client *client, *next;
	unsigned long flags;
	bool again = false;

	spin_lock_irqsave(&dev->rx_lock, flags);
	/* The waiter that has looked may not be the one that was woken. */
	list_for_each_entry_safe(client, next, &dev->sleepers, wake.list)
		again |= mydev_client_wake_again(client);
	list_for_each_entry_safe(client, next, &dev->woken, wake.list)
		again |= mydev_client_wake_again(client);
	if (again)
		mydev_clients_start_timer(dev);
	spin_unlock_irqrestore(&dev->rx_lock, flags);
	return HRTIMER_NORESTART;
}

/**
 * mydev_clients_wake_init() - initialize the timer of repeated wake-ups
 * @dev: new
 */
void mydev_clients_wake_init(struct mydev_device *dev)
{
	INIT_LIST_HEAD(&dev->sleepers);
	INIT_LIST_HEAD(&dev->woken);
	hrtimer_setup(&dev->rx.wake_timer, mydev_clients_timer, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL_SOFT);
}

/* The oldest entry of a client has waited for as long as it may. */
static enum hrtimer_restart mydev_client_timer(struct hrtimer *timer)
{
	struct mydev_client *client =
		container_of(timer, struct mydev_client, wake.timer);
	struct mydev_device *dev = client->dev;
	unsigned long flags;

	spin_lock_irqsave(&dev->rx_lock, flags);
	mydev_client_notify(client);
	spin_unlock_irqrestore(&dev->rx_lock, flags);
	return HRTIMER_NORESTART;
}

/**
 * mydev_client_wake_init() - initialize the wake-ups of a client
 * @client: new
 */
void mydev_client_wake_init(struct mydev_client *client)
{
	init_waitqueue_head(&client->wait);
	INIT_LIST_HEAD(&client->wake.list);
	hrtimer_setup(&client->wake.timer, mydev_client_timer, CLOCK_MONOTONIC,
		      HRTIMER_MODE_ABS_SOFT);
}

/**
 * mydev_client_wake() - wake everybody that waits for a client, at the end
 * @client: the client
 * @events: what happened
 * @band: the same for SIGIO, POLL_IN, POLL_ERR or POLL_HUP
 */
void mydev_client_wake(struct mydev_client *client, __poll_t events, int band)
{
	/* All of them: there is no next wake-up. */
	if (waitqueue_active(&client->wait))
		__wake_up(&client->wait, TASK_INTERRUPTIBLE, 0,
			  poll_to_key(events));
	if (client->fasync)
		kill_fasync(&client->fasync, SIGIO, band);
}
