// SPDX-License-Identifier: GPL-2.0-only
/*
 * The right to send: the claim, of each node its own. It is taken for one message or
 * one transaction, and makes it one piece on the wire.
 */
#include <linux/completion.h>
#include <linux/poll.h>

#include "mydev.h"

/**
 * mydev_lease_is_others() - check whether another client has the lease
 * @client: any client
 *
 * It is given while its new holder has the claims of all nodes. So a client that has
 * or gets the claim of one, under its tx.lock, finds it here, or keeps it from being
 * given.
 *
 * Context: any; under tx.lock where it decides on the claim, or on a poller's sleep.
 * Return: true if so.
 */
bool mydev_lease_is_others(const struct mydev_client *client)
{
	const struct mydev_client *lease = READ_ONCE(client->dev->iface->lease);

	return lease && lease != client;
}

/* Context: tx->lock held. May a client send here? */
static int mydev_tx_check_client(const struct mydev_client *client,
				 const struct mydev_tx *tx)
{
	if (READ_ONCE(client->revoked))
		return -ESTALE;
	if (tx->state == MYDEV_TX_GONE)
		return -ENODEV;
	if (mydev_lease_is_others(client))
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
	ret = mydev_tx_check_client(client, tx);
	spin_unlock_irq(&tx->lock);
	return ret;
}

/**
 * struct mydev_waiter - a thread that waits for the claim
 * @list: in tx->waiters until @done
 * @tx: where it waits
 * @client: that the thread is of
 * @done: it has the claim, or will not get it
 * @ret: 0 or a negative errno, valid when @done
 */
struct mydev_waiter {
	struct list_head list;
	struct mydev_tx *tx;
	struct mydev_client *client;
	struct completion done;
	int ret;
};

/*
 * All of them may have to be refused under one hold of the lock. One of each client
 * may wait in any case: no client keeps others from waiting. At other nodes than its
 * own waits only the one client that is about to get the lease.
 *
 * Context: tx.lock held.
 */
static bool mydev_tx_add_waiter(struct mydev_waiter *waiter)
{
	struct mydev_client *client = waiter->client;
	struct mydev_tx *tx = waiter->tx;

	if (tx == &client->dev->tx) {
		if (tx->nr_waiters >= MYDEV_MAX_WAITERS && client->tx.waiters)
			return false;
		client->tx.waiters++;
	}
	tx->nr_waiters++;
	list_add_tail(&waiter->list, &tx->waiters);
	return true;
}

/* Context: tx.lock held. */
static void mydev_tx_remove_waiter(struct mydev_waiter *waiter)
{
	list_del_init(&waiter->list);
	waiter->tx->nr_waiters--;
	if (waiter->tx == &waiter->client->dev->tx)
		waiter->client->tx.waiters--;
}

/* Context: tx.lock held. */
static void mydev_tx_complete_waiter(struct mydev_waiter *waiter, int ret)
{
	mydev_tx_remove_waiter(waiter);
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
		ret = mydev_tx_check_client(waiter->client, waiter->tx);
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
		ret = mydev_tx_check_client(waiter->client, waiter->tx);
		if (ret)
			mydev_tx_complete_waiter(waiter, ret);
	}
	wake_up_all(&dev->iface->lease_wait);
	wake_up_all(&dev->tx.wait);
}

/**
 * mydev_tx_claim_node() - wait for the claim of a node
 * @tx: its sending side
 * @client: of the same node; or of another one, and about to get the lease
 * @nonblock: see mydev_tx_claim()
 * @timeout: the same
 *
 * Return: as mydev_tx_claim().
 */
int mydev_tx_claim_node(struct mydev_tx *tx, struct mydev_client *client,
			bool nonblock, long timeout)
{
	struct mydev_waiter waiter = { .tx = tx, .client = client };
	bool waits = false;
	long left;
	int ret;

	init_completion(&waiter.done);
	spin_lock_irq(&tx->lock);
	ret = mydev_tx_check_client(client, tx);
	if (!ret && !tx->owner) {
		tx->owner = client;
	} else if (!ret) {
		ret = -EAGAIN;
		waits = !nonblock && mydev_tx_add_waiter(&waiter);
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
		mydev_tx_remove_waiter(&waiter);
		ret = left < 0 ? -ERESTARTSYS : -ETIMEDOUT;
	}
	spin_unlock_irq(&tx->lock);
	return ret;
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
	return mydev_tx_claim_node(&client->dev->tx, client, nonblock, timeout);
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

/**
 * mydev_tx_give_up() - end the claim of a client, and refuse waiters that may not send
 * @dev: the device; why they may not is set already
 * @client: of any node of the interface
 *
 * Context: process context.
 */
void mydev_tx_give_up(struct mydev_device *dev, struct mydev_client *client)
{
	spin_lock_irq(&dev->tx.lock);
	mydev_tx_kick_waiters(dev);
	/* A client that was revoked gets it never again, in no thread. */
	if (dev->tx.owner == client)
		mydev_tx_hand_over(dev);
	spin_unlock_irq(&dev->tx.lock);
}
