// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exchanges: a question, and the answer to it.
 *
 * Who asks has the turn until the answer is there, so there is one exchange at a
 * time. The answer is what arrives after the device has taken the last byte of
 * the question; it is copied for who asked, beside going to all readers. That
 * order is the host controller's: it reports the end of a transfer before it
 * reports that of one that the device could only begin afterwards.
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
 *
 * Context: any; takes rx_lock.
 */
void mydev_exchange_ask(struct mydev_device *dev)
{
	unsigned long flags;

	spin_lock_irqsave(&dev->rx_lock, flags);
	if (dev->exchange)
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

static void mydev_exchange_set(struct mydev_device *dev,
			       struct mydev_exchange *x)
{
	spin_lock_irq(&dev->rx_lock);
	dev->exchange = x;
	spin_unlock_irq(&dev->rx_lock);
}

/**
 * mydev_exchange() - ask, and wait for the answer
 * @x: the exchange; its client has the turn
 * @question: what to send
 * @length: bytes of it
 * @timeout: jiffies for all of it
 *
 * Return: 0 or a negative errno; -ERESTARTSYS only as long as the device has
 * got nothing.
 */
static int mydev_exchange(struct mydev_exchange *x, void *question, u32 length,
			  long timeout)
{
	struct mydev_client *client = x->client;
	struct kvec vec = { .iov_base = question, .iov_len = length };
	struct iov_iter iter;
	ssize_t sent;
	long left;
	int ret;

	/* Room for the whole of it: nothing of a question is sent before. */
	iov_iter_kvec(&iter, ITER_SOURCE, &vec, 1, length);
	mydev_client_want(client);
	mydev_exchange_set(client->dev, x);

	sent = mydev_tx_send(client, &iter, false, true);
	if (sent < 0) {
		ret = sent;
		goto out;
	}
	/* Cut short in the middle: the same as an error, or a signal. */
	left = sent < length
		       ? -ERESTARTSYS
		       : wait_event_interruptible_timeout(
				 client->wait,
				 (ret = mydev_exchange_state(x)) <= 0, timeout);
	if (left == -ERESTARTSYS) {
		ret = mydev_exchange_state(x);
		if (ret == 1)
			ret = -EINTR;
	} else if (!left) {
		ret = -ETIMEDOUT;
	}
	/* A question that the device has not taken is not asked any more. */
	if (ret)
		mydev_tx_abandon(client);
out:
	mydev_exchange_set(client->dev, NULL);
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
	void *question;
	int ret;

	if (arg->flags)
		return -EINVAL;
	if (!arg->out_length || arg->out_length > MYDEV_MAX_EXCHANGE ||
	    !arg->in_length || arg->in_length > MYDEV_MAX_EXCHANGE ||
	    timeout_ms > MYDEV_MAX_TIMEOUT_MS)
		return -ERANGE;
	if (!client->member || !dev->info.ep_in || !dev->info.ep_out)
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

	ret = mydev_turn_take(client, nonblock);
	if (ret)
		goto out;
	ret = mydev_exchange(&x, question, arg->out_length,
			     msecs_to_jiffies(timeout_ms));
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
