// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who may send, and who may do so now.
 *
 * The turn is taken for one message or one exchange, and makes it one piece on
 * the wire. The lease is taken by a program for as long as it likes, and keeps
 * all others from sending and controlling.
 */
#include <linux/completion.h>
#include <linux/poll.h>
#include <linux/sysfs.h>

#include "mydev.h"

/* Context: tx.lock held. */
static int mydev_turn_check(struct mydev_client *client)
{
	struct mydev_tx *tx = &client->dev->tx;

	if (READ_ONCE(client->revoked))
		return -ESTALE;
	if (tx->state == MYDEV_TX_GONE)
		return -ENODEV;
	if (tx->lease && tx->lease != client)
		return -EBUSY;
	return 0;
}

/**
 * mydev_turn_allowed() - may a client control the device?
 * @client: of a file that is open for writing
 *
 * Return: 0, -ESTALE, -ENODEV, or -EBUSY where somebody else has the lease.
 */
int mydev_turn_allowed(struct mydev_client *client)
{
	struct mydev_tx *tx = &client->dev->tx;
	int ret;

	spin_lock_irq(&tx->lock);
	ret = mydev_turn_check(client);
	spin_unlock_irq(&tx->lock);
	return ret;
}

/**
 * struct mydev_waiter - a thread that waits for the turn
 * @list: in tx->waiters until it is told
 * @client: whose thread
 * @told: it has the turn, or will not get it
 * @ret: 0 or a negative errno, valid when told
 */
struct mydev_waiter {
	struct list_head list;
	struct mydev_client *client;
	struct completion told;
	int ret;
};

/* Context: tx.lock held. */
static void mydev_turn_tell(struct mydev_waiter *waiter, int ret)
{
	list_del_init(&waiter->list);
	waiter->ret = ret;
	complete(&waiter->told);
}

/* Context: tx.lock held. The turn is free: it goes to who has waited longest. */
static void mydev_turn_pass(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;
	struct mydev_waiter *waiter;
	int ret;

	tx->turn = NULL;
	while (!tx->turn && !list_empty(&tx->waiters)) {
		waiter = list_first_entry(&tx->waiters, struct mydev_waiter,
					  list);
		ret = mydev_turn_check(waiter->client);
		if (!ret)
			tx->turn = waiter->client;
		mydev_turn_tell(waiter, ret);
	}
	/* Pollers look at the turn under the lock that we hold. */
	if (!tx->turn && waitqueue_active(&tx->wait))
		wake_up_interruptible_poll(&tx->wait, EPOLLOUT | EPOLLWRNORM);
}

/**
 * mydev_turn_refuse() - some of those who wait may not send any more
 * @dev: the device; why not is set already
 *
 * Context: tx.lock held.
 */
void mydev_turn_refuse(struct mydev_device *dev)
{
	struct mydev_waiter *waiter, *next;
	int ret;

	list_for_each_entry_safe(waiter, next, &dev->tx.waiters, list) {
		ret = mydev_turn_check(waiter->client);
		if (ret)
			mydev_turn_tell(waiter, ret);
	}
	/* Those who wait for the lease, and pollers. */
	wake_up_all(&dev->tx.wait);
}

/**
 * mydev_turn_take() - wait for the turn
 * @client: of a file that is open for writing
 * @nonblock: do not wait
 * @timeout: jiffies, or MAX_SCHEDULE_TIMEOUT
 *
 * Those who wait get it in the order in which they came.
 *
 * Context: process context.
 * Return: 0, -EAGAIN, -ERESTARTSYS, -ETIMEDOUT, -EBUSY, -ENODEV or -ESTALE.
 */
int mydev_turn_take(struct mydev_client *client, bool nonblock, long timeout)
{
	struct mydev_tx *tx = &client->dev->tx;
	struct mydev_waiter waiter = { .client = client };
	long left;
	int ret;

	init_completion(&waiter.told);
	spin_lock_irq(&tx->lock);
	ret = mydev_turn_check(client);
	if (!ret && !tx->turn) {
		tx->turn = client;
	} else if (!ret) {
		ret = -EAGAIN;
		if (!nonblock)
			list_add_tail(&waiter.list, &tx->waiters);
	}
	spin_unlock_irq(&tx->lock);
	if (ret != -EAGAIN || nonblock)
		return ret;

	left = wait_for_completion_interruptible_timeout(&waiter.told, timeout);

	spin_lock_irq(&tx->lock);
	/* Told at the last moment is told. */
	if (list_empty(&waiter.list)) {
		ret = waiter.ret;
	} else {
		list_del(&waiter.list);
		ret = left < 0 ? -ERESTARTSYS : -ETIMEDOUT;
	}
	spin_unlock_irq(&tx->lock);
	return ret;
}

/**
 * mydev_turn_drop() - the message is queued, or the exchange is over
 * @client: has the turn
 */
void mydev_turn_drop(struct mydev_client *client)
{
	struct mydev_device *dev = client->dev;

	spin_lock_irq(&dev->tx.lock);
	mydev_turn_pass(dev);
	spin_unlock_irq(&dev->tx.lock);
}

static bool mydev_lease_is_others(struct mydev_client *client)
{
	return mydev_turn_allowed(client) == -EBUSY;
}

/**
 * mydev_lease_acquire() - get the exclusive right to send and control
 * @client: of a file that is open for writing
 * @timeout_ms: how long to wait for it, U32_MAX for ever
 * @nonblock: do not wait, whatever @timeout_ms says
 *
 * A message that is under way is let end: it is waited for like a writer does.
 * That takes no long time as a rule, so where the lease itself is not to be
 * waited for, it is done all the same.
 *
 * Context: process context.
 * Return: 0, -EBUSY if it is held and that is not to be waited for, -EAGAIN the
 * same for a message that is under way, -ETIMEDOUT, -ERESTARTSYS, -ENODEV or
 * -ESTALE.
 */
int mydev_lease_acquire(struct mydev_client *client, u32 timeout_ms,
			bool nonblock)
{
	struct mydev_device *dev = client->dev;
	struct mydev_tx *tx = &dev->tx;
	long left = msecs_to_jiffies(timeout_ms ?: MYDEV_DEFAULT_TIMEOUT_MS);
	unsigned long end = jiffies + left;
	int ret;

	for (;;) {
		if (timeout_ms == U32_MAX)
			left = MAX_SCHEDULE_TIMEOUT;
		else
			left = max_t(long, end - jiffies, 1);
		ret = mydev_turn_take(client, nonblock, left);
		if (ret != -EBUSY || nonblock || !timeout_ms)
			break;
		left = wait_event_interruptible_timeout(
			tx->wait, !mydev_lease_is_others(client), left);
		if (left <= 0)
			return left ?: -ETIMEDOUT;
	}
	if (ret)
		return ret;

	spin_lock_irq(&tx->lock);
	tx->lease = client;
	/* Who waits for the turn is refused now. */
	mydev_turn_refuse(dev);
	mydev_turn_pass(dev);
	spin_unlock_irq(&tx->lock);
	return 0;
}

/**
 * mydev_lease_release() - give the lease back, if one has it
 * @client: any client
 *
 * Context: process context.
 */
void mydev_lease_release(struct mydev_client *client)
{
	struct mydev_tx *tx = &client->dev->tx;

	spin_lock_irq(&tx->lock);
	if (tx->lease == client) {
		tx->lease = NULL;
		/* All of them: pollers, and any number who want it. */
		wake_up_all(&tx->wait);
	}
	spin_unlock_irq(&tx->lock);
}

/**
 * mydev_turn_revoke() - a client may not send any more
 * @client: revoked already
 *
 * Its lease ends, and its threads that wait for the turn or the lease look up.
 *
 * Context: process context.
 */
void mydev_turn_revoke(struct mydev_client *client)
{
	struct mydev_tx *tx = &client->dev->tx;

	spin_lock_irq(&tx->lock);
	if (tx->lease == client)
		tx->lease = NULL;
	mydev_turn_refuse(client->dev);
	spin_unlock_irq(&tx->lock);
}

/**
 * mydev_lease_show() - who has the lease
 * @dev: the device
 * @buf: a page
 *
 * Return: bytes written: process id and command, or an empty line.
 */
ssize_t mydev_lease_show(struct mydev_device *dev, char *buf)
{
	struct mydev_tx *tx = &dev->tx;
	ssize_t n;

	spin_lock_irq(&tx->lock);
	if (tx->lease)
		n = sysfs_emit(buf, "%d %s\n", tx->lease->pid, tx->lease->comm);
	else
		n = sysfs_emit(buf, "\n");
	spin_unlock_irq(&tx->lock);
	return n;
}
