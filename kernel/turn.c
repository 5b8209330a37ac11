// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who may send, and who may do so now.
 *
 * The turn is taken for one message or one exchange, and makes it one piece on
 * the wire. The lease is taken by a program for as long as it likes, and keeps
 * all others from sending and controlling.
 */
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

static int mydev_turn_try(struct mydev_client *client)
{
	struct mydev_tx *tx = &client->dev->tx;
	int ret;

	spin_lock_irq(&tx->lock);
	ret = mydev_turn_check(client);
	if (!ret && tx->turn)
		ret = -EAGAIN;
	if (!ret)
		tx->turn = client;
	spin_unlock_irq(&tx->lock);
	return ret;
}

/**
 * mydev_turn_take() - wait for the turn
 * @client: of a file that is open for writing
 * @nonblock: do not wait
 *
 * Those who wait get it in the order in which they came.
 *
 * Context: process context.
 * Return: 0, -EAGAIN, -ERESTARTSYS, -EBUSY, -ENODEV or -ESTALE.
 */
int mydev_turn_take(struct mydev_client *client, bool nonblock)
{
	struct mydev_tx *tx = &client->dev->tx;
	int ret, error;

	ret = mydev_turn_try(client);
	if (ret != -EAGAIN || nonblock)
		return ret;
	error = wait_event_interruptible_exclusive(
		tx->wait, (ret = mydev_turn_try(client)) != -EAGAIN);
	if (error)
		return error;
	/* Woken, and cannot use it: the next one may. */
	if (ret)
		wake_up_interruptible(&tx->wait);
	return ret;
}

/**
 * mydev_turn_drop() - the message is queued, or the exchange is over
 * @client: has the turn
 */
void mydev_turn_drop(struct mydev_client *client)
{
	struct mydev_tx *tx = &client->dev->tx;

	spin_lock_irq(&tx->lock);
	tx->turn = NULL;
	if (waitqueue_active(&tx->wait))
		wake_up_interruptible_poll(&tx->wait, EPOLLOUT | EPOLLWRNORM);
	spin_unlock_irq(&tx->lock);
}

static int mydev_lease_try(struct mydev_client *client)
{
	struct mydev_tx *tx = &client->dev->tx;
	int ret;

	spin_lock_irq(&tx->lock);
	ret = mydev_turn_check(client);
	/* A message that has begun is let end. */
	if (!ret && tx->turn && tx->turn != client)
		ret = -EAGAIN;
	if (!ret && tx->lease != client) {
		tx->lease = client;
		/* Who waits for the turn is refused now. */
		wake_up_all(&tx->wait);
	}
	spin_unlock_irq(&tx->lock);
	return ret;
}

/* Both are waited for: somebody's lease, and somebody's message. */
static bool mydev_lease_tried(struct mydev_client *client, int *ret)
{
	*ret = mydev_lease_try(client);
	return *ret != -EBUSY && *ret != -EAGAIN;
}

/**
 * mydev_lease_acquire() - get the exclusive right to send and control
 * @client: of a file that is open for writing
 * @timeout_ms: how long to wait for it, U32_MAX for ever
 * @nonblock: do not wait, whatever @timeout_ms says
 *
 * Context: process context.
 * Return: 0, -EBUSY if it is held and that is not to be waited for, -EAGAIN the
 * same for a message that is under way, -ETIMEDOUT, -ERESTARTSYS, -ENODEV or
 * -ESTALE.
 */
int mydev_lease_acquire(struct mydev_client *client, u32 timeout_ms,
			bool nonblock)
{
	struct mydev_tx *tx = &client->dev->tx;
	long timeout = timeout_ms == U32_MAX ? MAX_SCHEDULE_TIMEOUT
					     : msecs_to_jiffies(timeout_ms);
	long left;
	int ret;

	if (mydev_lease_tried(client, &ret))
		return ret;
	if (nonblock || (!timeout_ms && ret == -EBUSY))
		return ret;
	/* A message under way is short, as a rule: wait for that anyway. */
	if (!timeout_ms)
		timeout = msecs_to_jiffies(MYDEV_DEFAULT_TIMEOUT_MS);

	left = wait_event_interruptible_timeout(
		tx->wait, mydev_lease_tried(client, &ret), timeout);
	if (left < 0)
		return left;
	return left ? ret : -ETIMEDOUT;
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
	wake_up_all(&tx->wait);
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
