// SPDX-License-Identifier: GPL-2.0-only
/*
 * Transactions: a request, and the answer to it.
 *
 * A requester holds the claim until the answer is there, so there is one transaction at
 * a time. The answer is what arrives after the device has taken the last byte of
 * the request; it is copied for the requester, beside going to all readers. That
 * order is the host controller's: it reports the end of a transfer before it
 * reports that of one that the device could only begin afterwards. (EHCI looks at
 * its endpoints one after the other; where both transfers ended before it looks,
 * it may report the answer first, and the transaction runs into its timeout.)
 */
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "mydev.h"

/* What the transaction has come to: 1 to wait on, 0 or a negative errno for its end. */
static int mydev_transaction_state(struct mydev_transaction *x)
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

/* Return: 0, or -ESTALE where a revoke has taken the claim. */
static int mydev_transaction_begin(struct mydev_transaction *x)
{
	struct mydev_device *dev = x->client->dev;
	int ret = -ESTALE;

	spin_lock_irq(&dev->rx_lock);
	if (!x->client->revoked) {
		x->number = ++dev->last_transaction ?: ++dev->last_transaction;
		dev->transaction = x;
		ret = 0;
	}
	spin_unlock_irq(&dev->rx_lock);
	return ret;
}

static void mydev_transaction_end(struct mydev_transaction *x)
{
	struct mydev_device *dev = x->client->dev;

	spin_lock_irq(&dev->rx_lock);
	/* After a revoke it may be another client's. */
	if (dev->transaction == x)
		dev->transaction = NULL;
	spin_unlock_irq(&dev->rx_lock);
}

/**
 * mydev_transaction_wait() - wait for the answer
 * @x: the transaction, its request is queued
 * @deadline: jiffies
 *
 * Return: 0 or a negative errno; never -ERESTARTSYS, as asking again is not
 * what a program expects.
 */
static int mydev_transaction_wait(struct mydev_transaction *x,
				  unsigned long deadline)
{
	long left = max_t(long, deadline - jiffies, 1);
	int ret;

	left = wait_event_interruptible_timeout(
		x->client->wait, (ret = mydev_transaction_state(x)) <= 0, left);
	if (left > 0)
		return ret;
	return left ? -EINTR : -ETIMEDOUT;
}

/**
 * mydev_transaction() - send a request and wait for the answer
 * @x: the transaction; its client holds the claim
 * @request: what to send
 * @length: bytes of it
 * @deadline: jiffies
 *
 * Return: 0 or a negative errno; -ERESTARTSYS only as long as nothing was sent.
 */
static int mydev_transaction(struct mydev_transaction *x, void *request,
			     u32 length, unsigned long deadline)
{
	struct mydev_client *client = x->client;
	struct kvec vec = { .iov_base = request, .iov_len = length };
	struct iov_iter iter;
	ssize_t sent;
	int ret;

	mydev_client_use(client);
	ret = mydev_transaction_begin(x);
	if (ret)
		return ret;
	iov_iter_kvec(&iter, ITER_SOURCE, &vec, 1, length);
	sent = mydev_tx_send_request(client, &iter, x->number, deadline);
	if (sent == length) {
		ret = mydev_transaction_wait(x, deadline);
	} else if (sent < 0) {
		ret = sent;
	} else {
		/* Cut short in the middle; a signal, unless there is more to it. */
		ret = mydev_transaction_state(x);
		if (ret >= 0)
			ret = time_before(jiffies, deadline) ? -EINTR
							     : -ETIMEDOUT;
	}
	/* A request that the device has not taken is not asked any more. */
	if (ret)
		mydev_tx_cancel(client, x->number);
	mydev_transaction_end(x);
	return ret;
}

/**
 * mydev_transact() - handle MYDEV_IOC_TRANSACT
 * @client: of a file that is open for reading and writing
 * @arg: checked for size and reserved members only
 * @nonblock: do not wait for the claim
 *
 * Context: process context.
 * Return: 0 or a negative errno as the UAPI header tells.
 */
int mydev_transact(struct mydev_client *client, struct mydev_transact *arg,
		   bool nonblock)
{
	struct mydev_device *dev = client->dev;
	u32 timeout_ms = arg->timeout_ms ?: MYDEV_DEFAULT_TIMEOUT_MS;
	struct mydev_transaction x = { .client = client,
				       .room = arg->in_length };
	unsigned long deadline = jiffies + msecs_to_jiffies(timeout_ms);
	void *request;
	int ret;

	if (arg->flags)
		return -EINVAL;
	if (!arg->out_length || arg->out_length > MYDEV_MAX_TRANSACTION ||
	    !arg->in_length || arg->in_length > MYDEV_MAX_TRANSACTION ||
	    timeout_ms > MYDEV_MAX_TIMEOUT_MS)
		return -ERANGE;
	if (!client->subscriber || !dev->has_out)
		return READ_ONCE(dev->gone) ? -ENODEV : -EOPNOTSUPP;

	/* Both are kept while others hold the claim: charged to the requester. */
	request = kvmalloc(arg->out_length, GFP_KERNEL_ACCOUNT);
	x.data = kvmalloc(x.room, GFP_KERNEL_ACCOUNT);
	ret = -ENOMEM;
	if (!request || !x.data)
		goto out;
	ret = -EFAULT;
	if (copy_from_user(request, u64_to_user_ptr(arg->out_data),
			   arg->out_length))
		goto out;

	ret = mydev_tx_claim(client, nonblock,
			     max_t(long, deadline - jiffies, 1));
	if (ret)
		goto out;
	ret = mydev_transaction(&x, request, arg->out_length, deadline);
	mydev_tx_release(client);
	mydev_tx_pm_put_idle(dev);
	if (ret)
		goto out;

	arg->actual = x.length;
	arg->flags = x.truncated ? MYDEV_TRANSACT_TRUNCATED : 0;
	if (copy_to_user(u64_to_user_ptr(arg->in_data), x.data, x.length))
		ret = -EFAULT;
out:
	kvfree(x.data);
	kvfree(request);
	return ret;
}
