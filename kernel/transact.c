// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exchanges: a question, and the answer to it.
 *
 * Who asks has the turn until the answer is there, so there is one exchange at a
 * time. The answer is what arrives after the device has taken the last byte of
 * the question; it is copied for who asked, beside going to all readers. That
 * order is the host controller's: it reports the end of a transfer before it
 * reports that of one that the device could only begin afterwards. (EHCI looks at
 * its endpoints one after the other; where both transfers ended before it looks,
 * it may report the answer first, and the exchange runs into its timeout.)
 */
#include <linux/mm.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "mydev.h"

/**
 * mydev_exchange_ask() - the device has the question
 * @dev: the device
 * @number: of the exchange, which may be over
 *
 * Context: any; takes rx_lock.
 */
void mydev_exchange_ask(struct mydev_device *dev, u32 number)
{
	unsigned long flags;

	spin_lock_irqsave(&dev->rx_lock, flags);
	if (dev->exchange && dev->exchange->number == number)
		dev->exchange->asked = true;
	spin_unlock_irqrestore(&dev->rx_lock, flags);
}

/**
 * mydev_exchange_feed() - something arrived while somebody waits for an answer
 * @dev: the device
 * @data: bytes
 * @length: how many
 * @end: the device ended the transfer
 *
 * Context: rx_lock held, interrupts off.
 */
void mydev_exchange_feed(struct mydev_device *dev, const void *data, u32 length,
			 bool end)
{
	struct mydev_exchange *x = dev->exchange;
	u32 n;

	if (!x->asked || x->done)
		return;
	n = min(length, x->room - x->length);
	memcpy(x->data + x->length, data, n);
	x->length += n;
	x->truncated = n < length;
	x->done = end || x->length == x->room;
	/* Who waits looks at done under the lock that we hold. */
	if (x->done && waitqueue_active(&x->client->wait))
		wake_up_interruptible_poll(&x->client->wait, EPOLLOUT);
}

/* What the exchange has come to: 1 to wait on, 0 or a negative errno for its end. */
static int mydev_exchange_state(struct mydev_exchange *x)
{
	struct mydev_client *client = x->client;
	struct mydev_device *dev = client->dev;
	int ret = 1;

	spin_lock_irq(&dev->rx_lock);
	if (x->done)
		ret = 0;
	else if (client->revoked)
		ret = -ESTALE;
	else if (dev->gone)
		ret = -ENODEV;
	else if (dev->rx.state == MYDEV_STATE_FAILED)
		ret = -EIO;
	spin_unlock_irq(&dev->rx_lock);
	if (ret == 1)
		ret = mydev_tx_take_error(client) ?: 1;
	return ret;
}

static void mydev_exchange_begin(struct mydev_exchange *x)
{
	struct mydev_device *dev = x->client->dev;

	spin_lock_irq(&dev->rx_lock);
	x->number = ++dev->last_exchange ?: ++dev->last_exchange;
	dev->exchange = x;
	spin_unlock_irq(&dev->rx_lock);
}

static void mydev_exchange_end(struct mydev_device *dev)
{
	spin_lock_irq(&dev->rx_lock);
	dev->exchange = NULL;
	spin_unlock_irq(&dev->rx_lock);
}

/**
 * mydev_exchange_wait() - wait for the answer
 * @x: the exchange, its question is queued
 * @deadline: jiffies
 *
 * Return: 0 or a negative errno; never -ERESTARTSYS, as asking again is not
 * what a program expects.
 */
static int mydev_exchange_wait(struct mydev_exchange *x, unsigned long deadline)
{
	long left = max_t(long, deadline - jiffies, 1);
	int ret;

	left = wait_event_interruptible_timeout(
		x->client->wait, (ret = mydev_exchange_state(x)) <= 0, left);
	if (left > 0)
		return ret;
	return left ? -EINTR : -ETIMEDOUT;
}

/**
 * mydev_exchange() - ask, and wait for the answer
 * @x: the exchange; its client has the turn
 * @question: what to send
 * @length: bytes of it
 * @deadline: jiffies
 *
 * Return: 0 or a negative errno; -ERESTARTSYS only as long as nothing was sent.
 */
static int mydev_exchange(struct mydev_exchange *x, void *question, u32 length,
			  unsigned long deadline)
{
	struct mydev_client *client = x->client;
	struct kvec vec = { .iov_base = question, .iov_len = length };
	struct iov_iter iter;
	ssize_t sent;
	int ret;

	mydev_client_want(client);
	mydev_exchange_begin(x);
	iov_iter_kvec(&iter, ITER_SOURCE, &vec, 1, length);
	sent = mydev_tx_ask(client, &iter, x->number, deadline);
	if (sent == length) {
		ret = mydev_exchange_wait(x, deadline);
	} else if (sent < 0) {
		ret = sent;
	} else {
		/* Cut short in the middle; a signal, unless there is more to it. */
		ret = mydev_exchange_state(x);
		if (ret >= 0)
			ret = time_before(jiffies, deadline) ? -EINTR
							     : -ETIMEDOUT;
	}
	/* A question that the device has not taken is not asked any more. */
	if (ret)
		mydev_tx_abandon(client, x->number);
	mydev_exchange_end(client->dev);
	return ret;
}

/**
 * mydev_transact() - MYDEV_IOC_TRANSACT
 * @client: of a file that is open for reading and writing
 * @arg: checked for size and reserved members only
 * @nonblock: do not wait for the turn
 *
 * Context: process context.
 * Return: 0 or a negative errno as the UAPI header tells.
 */
int mydev_transact(struct mydev_client *client, struct mydev_transact *arg,
		   bool nonblock)
{
	struct mydev_device *dev = client->dev;
	u32 timeout_ms = arg->timeout_ms ?: MYDEV_DEFAULT_TIMEOUT_MS;
	struct mydev_exchange x = { .client = client, .room = arg->in_length };
	unsigned long deadline = jiffies + msecs_to_jiffies(timeout_ms);
	void *question;
	int ret;

	if (arg->flags)
		return -EINVAL;
	if (!arg->out_length || arg->out_length > MYDEV_MAX_EXCHANGE ||
	    !arg->in_length || arg->in_length > MYDEV_MAX_EXCHANGE ||
	    timeout_ms > MYDEV_MAX_TIMEOUT_MS)
		return -ERANGE;
	if (!client->member || !dev->has_out)
		return READ_ONCE(dev->gone) ? -ENODEV : -EOPNOTSUPP;

	question =
		vmemdup_user(u64_to_user_ptr(arg->out_data), arg->out_length);
	if (IS_ERR(question))
		return PTR_ERR(question);
	x.data = kvmalloc(x.room, GFP_KERNEL_ACCOUNT);
	if (!x.data) {
		ret = -ENOMEM;
		goto out;
	}

	ret = mydev_turn_take(client, nonblock, msecs_to_jiffies(timeout_ms));
	if (ret)
		goto out;
	ret = mydev_exchange(&x, question, arg->out_length, deadline);
	mydev_turn_drop(client);
	mydev_tx_rest(dev);
	if (ret)
		goto out;

	arg->actual = x.length;
	arg->flags = x.truncated ? MYDEV_TRANSACT_TRUNCATED : 0;
	if (copy_to_user(u64_to_user_ptr(arg->in_data), x.data, x.length))
		ret = -EFAULT;
out:
	kvfree(x.data);
	kvfree(question);
	return ret;
}
