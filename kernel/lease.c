// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lease: taken by a program for as long as it likes, it keeps all others from
 * sending and controlling, at all nodes of the interface.
 *
 * It is given to the client that has the claims of all nodes, so nobody is in the
 * middle of a message then. There is one at a time that collects them.
 */
#include <linux/sysfs.h>

#include "mydev.h"

/**
 * mydev_lease_begin() - begin to get the lease, if nobody has or gets it
 * @client: of a file that is open for writing
 *
 * There is one such client at a time, so that two do not wait for each other's claims.
 *
 * Return: 0, to be ended by mydev_lease_end(); 1 if the client has the lease; -EBUSY
 * where another client has it; -EAGAIN where one is about to get it; -ESTALE, -ENODEV.
 */
static int mydev_lease_begin(struct mydev_client *client)
{
	struct mydev_interface *iface = client->dev->iface;
	int ret = 0;

	spin_lock_irq(&iface->lease_lock);
	if (READ_ONCE(client->revoked))
		ret = -ESTALE;
	else if (READ_ONCE(client->dev->gone))
		ret = -ENODEV;
	else if (iface->lease)
		ret = iface->lease == client ? 1 : -EBUSY;
	else if (iface->leasing)
		ret = -EAGAIN;
	else
		iface->leasing = true;
	spin_unlock_irq(&iface->lease_lock);
	return ret;
}

/**
 * mydev_lease_end() - end what mydev_lease_begin() has begun
 * @client: the client
 * @ret: 0 if it has all claims, and is to get the lease
 *
 * Return: @ret, -ESTALE or -ENODEV.
 */
static int mydev_lease_end(struct mydev_client *client, int ret)
{
	struct mydev_interface *iface = client->dev->iface;

	spin_lock_irq(&iface->lease_lock);
	/* A revoke that came meanwhile has found no lease to end. */
	if (!ret && READ_ONCE(client->revoked))
		ret = -ESTALE;
	if (!ret && READ_ONCE(client->dev->gone))
		ret = -ENODEV;
	if (!ret)
		WRITE_ONCE(iface->lease, client);
	iface->leasing = false;
	spin_unlock_irq(&iface->lease_lock);
	wake_up_all(&iface->lease_wait);
	return ret;
}

/* It can be tried again, or there is no use in waiting any longer. */
static bool mydev_lease_is_free(const struct mydev_client *client)
{
	struct mydev_interface *iface = client->dev->iface;
	bool is_free;

	spin_lock_irq(&iface->lease_lock);
	is_free = READ_ONCE(client->revoked) || READ_ONCE(client->dev->gone) ||
		  (!mydev_lease_is_others(client) && !iface->leasing);
	spin_unlock_irq(&iface->lease_lock);
	return is_free;
}

/**
 * mydev_lease_wait() - wait until no other client has or gets the lease
 * @client: of a file that is open for writing
 * @left: jiffies, or MAX_SCHEDULE_TIMEOUT
 *
 * Context: process context.
 * Return: 0, -EAGAIN where MYDEV_MAX_WAITERS threads wait already, -ERESTARTSYS or
 * -ETIMEDOUT.
 */
static int mydev_lease_wait(struct mydev_client *client, long left)
{
	struct mydev_interface *iface = client->dev->iface;
	bool waits;

	spin_lock_irq(&iface->lease_lock);
	waits = iface->lease_waiters < MYDEV_MAX_WAITERS ||
		!client->tx.lease_waiters;
	if (waits) {
		iface->lease_waiters++;
		client->tx.lease_waiters++;
	}
	spin_unlock_irq(&iface->lease_lock);
	if (!waits)
		return -EAGAIN;
	left = wait_event_interruptible_timeout(
		iface->lease_wait, mydev_lease_is_free(client), left);
	spin_lock_irq(&iface->lease_lock);
	iface->lease_waiters--;
	client->tx.lease_waiters--;
	spin_unlock_irq(&iface->lease_lock);
	return left > 0 ? 0 : left ?: -ETIMEDOUT;
}

/* How long may still be waited, jiffies. */
static long mydev_lease_left(u32 timeout_ms, unsigned long end)
{
	if (timeout_ms == U32_MAX)
		return MAX_SCHEDULE_TIMEOUT;
	return max_t(long, end - jiffies, 1);
}

/**
 * mydev_lease_claim_all() - take the lease when no node has a message under way
 * @client: of a file that is open for writing; mydev_lease_begin() was 0
 * @timeout_ms: as in mydev_lease_acquire()
 * @end: the same, jiffies
 * @nonblock: the same
 *
 * The claims are taken one after the other, in the order of the nodes.
 *
 * Return: as mydev_lease_acquire().
 */
static int mydev_lease_claim_all(struct mydev_client *client, u32 timeout_ms,
				 unsigned long end, bool nonblock)
{
	struct mydev_interface *iface = client->dev->iface;
	struct mydev_device *dev;
	int ret = 0;

	list_for_each_entry(dev, &iface->nodes, node) {
		ret = mydev_tx_claim_node(&dev->tx, client, nonblock,
					  mydev_lease_left(timeout_ms, end));
		if (ret)
			break;
	}
	ret = mydev_lease_end(client, ret);
	/* All, or those before the one that was not to be had. */
	list_for_each_entry_continue_reverse(dev, &iface->nodes, node) {
		mydev_tx_give_up(dev, client);
		mydev_tx_pm_put_idle(dev);
	}
	return ret;
}

/**
 * mydev_lease_acquire() - get the exclusive right to send and control
 * @client: of a file that is open for writing
 * @timeout_ms: how long to wait for it, U32_MAX for ever
 * @nonblock: do not wait, whatever @timeout_ms says
 *
 * A message that is under way is let end, at every node: it is waited for like a writer
 * does. That takes no long time as a rule, so where the lease itself is not to be
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
	unsigned long end =
		jiffies +
		msecs_to_jiffies(timeout_ms ?: MYDEV_DEFAULT_TIMEOUT_MS);
	int ret;

	for (;;) {
		ret = mydev_lease_begin(client);
		if (ret != -EBUSY && ret != -EAGAIN)
			break;
		if (nonblock || (ret == -EBUSY && !timeout_ms))
			return ret;
		ret = mydev_lease_wait(client,
				       mydev_lease_left(timeout_ms, end));
		if (ret)
			return ret;
	}
	if (ret)
		return min(ret, 0);
	return mydev_lease_claim_all(client, timeout_ms, end, nonblock);
}

/* Return: true if the client has had it. */
static bool mydev_lease_take_back(struct mydev_client *client)
{
	struct mydev_interface *iface = client->dev->iface;
	bool held;

	spin_lock_irq(&iface->lease_lock);
	held = iface->lease == client;
	if (held)
		WRITE_ONCE(iface->lease, NULL);
	spin_unlock_irq(&iface->lease_lock);
	if (held)
		wake_up_all(&iface->lease_wait);
	return held;
}

/**
 * mydev_lease_release() - give the lease back
 * @client: any client
 *
 * Context: process context.
 */
void mydev_lease_release(struct mydev_client *client)
{
	struct mydev_interface *iface = client->dev->iface;
	struct mydev_device *dev;

	if (!mydev_lease_take_back(client))
		return;
	list_for_each_entry(dev, &iface->nodes, node) {
		spin_lock_irq(&dev->tx.lock);
		wake_up_all(&dev->tx.wait);
		spin_unlock_irq(&dev->tx.lock);
	}
}

/**
 * mydev_tx_revoke() - end the lease and the claims of a client
 * @client: revoked already
 *
 * Its lease and its claims end, and its threads that wait for them look up. One that
 * is in the middle of a message, maybe in a page fault that is never served, finds
 * that out when it comes back.
 *
 * Context: process context.
 */
void mydev_tx_revoke(struct mydev_client *client)
{
	struct mydev_interface *iface = client->dev->iface;
	struct mydev_device *dev;

	mydev_lease_take_back(client);
	list_for_each_entry(dev, &iface->nodes, node) {
		mydev_tx_give_up(dev, client);
		mydev_tx_pm_put_idle(dev);
	}
}

/**
 * mydev_lease_show() - print the holder of the lease
 * @iface: the interface
 * @buf: a page
 *
 * Return: bytes written: process id and command, or an empty line.
 */
ssize_t mydev_lease_show(struct mydev_interface *iface, char *buf)
{
	ssize_t n;

	spin_lock_irq(&iface->lease_lock);
	if (iface->lease)
		n = sysfs_emit(buf, "%d %s\n", iface->lease->pid,
			       iface->lease->comm);
	else
		n = sysfs_emit(buf, "\n");
	spin_unlock_irq(&iface->lease_lock);
	return n;
}
