// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an transaction (transact.c) has to hear of both directions: that the device has
 * its request, and what arrives.
 */
#include <linux/string.h>

#include "mydev.h"

/**
 * mydev_transaction_sent() - note that the device has the whole request
 * @dev: the device
 * @number: of the transaction, which may be over
 *
 * Context: any; takes rx_lock.
 */
void mydev_transaction_sent(struct mydev_device *dev, u32 number)
{
	unsigned long flags;

	spin_lock_irqsave(&dev->rx_lock, flags);
	if (dev->transaction && dev->transaction->number == number)
		dev->transaction->request_sent = true;
	spin_unlock_irqrestore(&dev->rx_lock, flags);
}

/**
 * mydev_transaction_feed() - copy what arrived for the waiting requester
 * @dev: the device
 * @data: bytes
 * @length: how many
 * @end: the device ended the transfer
 *
 * Context: rx_lock held, interrupts off.
 */
void mydev_transaction_feed(struct mydev_device *dev, const void *data,
			    u32 length, bool end)
{
	struct mydev_transaction *x = dev->transaction;
	u32 n;

	if (!x->request_sent || x->done)
		return;
	n = min(length, x->room - x->length);
	memcpy(x->data + x->length, data, n);
	x->length += n;
	x->truncated = n < length;
	x->done = end || x->length == x->room;
	/* The waiter looks at done under the lock that we hold. */
	if (x->done && waitqueue_active(&x->client->wait))
		wake_up_interruptible_poll(&x->client->wait, EPOLLOUT);
}
