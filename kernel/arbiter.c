// SPDX-License-Identifier: GPL-2.0-only
/*
 * The right to send: the claim, and the lease.
 *
 * The claim is taken for one message or one transaction, and makes it one piece on
 * the wire. The lease is taken by a program for as long as it likes, and keeps
 * all others from sending and controlling.
 */
#include <linux/completion.h>
#include <linux/poll.h>
#include <linux/sysfs.h>

#include "mydev.h"

/* Context: tx.lock held. */
static int mydev_tx_check_client(struct mydev_client *client)
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
 * mydev_tx_wake_pollers() - wake pollers for writing
 * @tx: the sending side
 *
 * All files share the queue, and EPOLLEXCLUSIVE is meant for waiters of one file: so
 * all are woken.
 *
 * Context: tx.lock held.
 */
void mydev_tx_wake_pollers(struct mydev_tx *tx)
{
	/* Sleepers have looked under the lock: none is missed. */
	if (waitqueue_active(&tx->wait))
		__wake_up(&tx->wait, TASK_INTERRUPTIBLE, 0,
			  poll_to_key(EPOLLOUT | EPOLLWRNORM));
}

/**
 * mydev_tx_allowed() - check that a client may control the device
 * @client: of a file that is open for writing
 *
 * Return: 0, -ESTALE, -ENODEV, or -EBUSY where another client has the lease.
 */
int mydev_tx_allowed(struct mydev_client *client)
{
	struct mydev_tx *tx = &client->dev->tx;
	int ret;

	spin_lock_irq(&tx->lock);
	ret = mydev_tx_check_client(client);
	spin_unlock_irq(&tx->lock);
	return ret;
}

/**
 * struct mydev_waiter - a thread that waits for the claim
 * @list: in tx->waiters until @done
 * @client: that the thread is of
 * @done: it has the claim, or will not get it
 * @ret: 0 or a negative errno, valid when @done
 */
struct mydev_waiter {
	struct list_head list;
	struct mydev_client *client;
	struct completion done;
	int ret;
};

/*
 * All of them may have to be refused under one hold of the lock. One of each client
 * may wait in any case: no client keeps others from waiting.
 *
 * Context: tx.lock held.
 */
static bool mydev_tx_add_waiter(struct mydev_client *client)
{
	struct mydev_tx *tx = &client->dev->tx;

	if (tx->nr_waiters >= MYDEV_MAX_WAITERS && client->tx.waiters)
		return false;
	tx->nr_waiters++;
	client->tx.waiters++;
	return true;
}

/* Context: tx.lock held. */
static void mydev_tx_remove_waiter(struct mydev_client *client)
{
	client->dev->tx.nr_waiters--;
	client->tx.waiters--;
}

/* Context: tx.lock held. */
static void mydev_tx_complete_waiter(struct mydev_waiter *waiter, int ret)
{
	list_del_init(&waiter->list);
	mydev_tx_remove_waiter(waiter->client);
	waiter->ret = ret;
	complete(&waiter->done);
}

/* Context: tx.lock held. The claim is free: the waiter that came first gets it. */
static void mydev_tx_hand_over(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;
	struct mydev_waiter *waiter;
	int ret;

	tx->owner = NULL;
	while (!tx->owner && !list_empty(&tx->waiters)) {
		waiter = list_first_entry(&tx->waiters, struct mydev_waiter,
					  list);
		ret = mydev_tx_check_client(waiter->client);
		if (!ret)
			tx->owner = waiter->client;
		mydev_tx_complete_waiter(waiter, ret);
	}
	if (!tx->owner)
		mydev_tx_wake_pollers(tx);
}

/**
 * mydev_tx_kick_waiters() - refuse the claim to waiters that may not send any more
 * @dev: the device; why not is set already
 *
 * Context: tx.lock held.
 */
void mydev_tx_kick_waiters(struct mydev_device *dev)
{
	struct mydev_waiter *waiter, *next;
	int ret;

	list_for_each_entry_safe(waiter, next, &dev->tx.waiters, list) {
		ret = mydev_tx_check_client(waiter->client);
		if (ret)
			mydev_tx_complete_waiter(waiter, ret);
	}
	wake_up_all(&dev->tx.lease_wait);
	wake_up_all(&dev->tx.wait);
}

/**
 * mydev_tx_claim() - wait for the claim
 * @client: of a file that is open for writing
 * @nonblock: do not wait
 * @timeout: jiffies, or MAX_SCHEDULE_TIMEOUT
 *
 * Waiters get it in the order in which they came.
 *
 * Context: process context.
 * Return: 0, -EAGAIN, also where MYDEV_MAX_WAITERS threads wait already,
 * -ERESTARTSYS, -ETIMEDOUT, -EBUSY, -ENODEV or -ESTALE.
 */
int mydev_tx_claim(struct mydev_client *client, bool nonblock, long timeout)
{
	struct mydev_tx *tx = &client->dev->tx;
	struct mydev_waiter waiter = { .client = client };
	bool waits = false;
	long left;
	int ret;

	init_completion(&waiter.done);
	spin_lock_irq(&tx->lock);
	ret = mydev_tx_check_client(client);
	if (!ret && !tx->owner) {
		tx->owner = client;
	} else if (!ret) {
		ret = -EAGAIN;
		waits = !nonblock && mydev_tx_add_waiter(client);
		if (waits)
			list_add_tail(&waiter.list, &tx->waiters);
	}
	spin_unlock_irq(&tx->lock);
	if (!waits)
		return ret;

	left = wait_for_completion_interruptible_timeout(&waiter.done, timeout);

	spin_lock_irq(&tx->lock);
	/* Completed at the last moment counts. */
	if (list_empty(&waiter.list)) {
		ret = waiter.ret;
	} else {
		list_del(&waiter.list);
		mydev_tx_remove_waiter(client);
		ret = left < 0 ? -ERESTARTSYS : -ETIMEDOUT;
	}
	spin_unlock_irq(&tx->lock);
	return ret;
}

/**
 * mydev_tx_release() - give the claim to the next waiter
 * @client: holds the claim, or held it until its revoke
 */
void mydev_tx_release(struct mydev_client *client)
{
	struct mydev_device *dev = client->dev;

	spin_lock_irq(&dev->tx.lock);
	/* A client that was revoked gets it never again, in no thread. */
	if (dev->tx.owner == client)
		mydev_tx_hand_over(dev);
	spin_unlock_irq(&dev->tx.lock);
}

static bool mydev_lease_is_others(struct mydev_client *client)
{
	return mydev_tx_allowed(client) == -EBUSY;
}

/**
 * mydev_lease_wait() - wait for another client's lease to end
 * @client: of a file that is open for writing
 * @left: jiffies, or MAX_SCHEDULE_TIMEOUT
 *
 * Context: process context.
 * Return: 0, -EAGAIN where MYDEV_MAX_WAITERS threads wait already, -ERESTARTSYS or
 * -ETIMEDOUT.
 */
static int mydev_lease_wait(struct mydev_client *client, long left)
{
	struct mydev_tx *tx = &client->dev->tx;
	bool waits;

	spin_lock_irq(&tx->lock);
	waits = mydev_tx_add_waiter(client);
	spin_unlock_irq(&tx->lock);
	if (!waits)
		return -EAGAIN;
	left = wait_event_interruptible_timeout(
		tx->lease_wait, !mydev_lease_is_others(client), left);
	spin_lock_irq(&tx->lock);
	mydev_tx_remove_waiter(client);
	spin_unlock_irq(&tx->lock);
	return left > 0 ? 0 : left ?: -ETIMEDOUT;
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
		ret = mydev_tx_claim(client, nonblock, left);
		if (ret != -EBUSY || nonblock || !timeout_ms)
			break;
		ret = mydev_lease_wait(client, left);
		if (ret)
			break;
	}
	if (ret)
		return ret;

	spin_lock_irq(&tx->lock);
	/* A revoke that came meanwhile has found no lease to end. */
	ret = mydev_tx_check_client(client);
	if (!ret) {
		tx->lease = client;
		/* Waiters for the claim are refused now. */
		mydev_tx_kick_waiters(dev);
	}
	if (tx->owner == client)
		mydev_tx_hand_over(dev);
	spin_unlock_irq(&tx->lock);
	return ret;
}

/**
 * mydev_lease_release() - give the lease back
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
		wake_up_all(&tx->lease_wait);
		wake_up_all(&tx->wait);
	}
	spin_unlock_irq(&tx->lock);
}

/**
 * mydev_tx_revoke() - end the lease and the claim of a client
 * @client: revoked already
 *
 * Its lease and its claim end, and its threads that wait for them look up. One that
 * is in the middle of a message, maybe in a page fault that is never served, finds
 * that out when it comes back.
 *
 * Context: process context.
 */
void mydev_tx_revoke(struct mydev_client *client)
{
	struct mydev_tx *tx = &client->dev->tx;

	spin_lock_irq(&tx->lock);
	if (tx->lease == client)
		tx->lease = NULL;
	mydev_tx_kick_waiters(client->dev);
	if (tx->owner == client)
		mydev_tx_hand_over(client->dev);
	spin_unlock_irq(&tx->lock);
}

/**
 * mydev_lease_show() - print the holder of the lease
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
