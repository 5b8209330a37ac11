// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sending: what a write() gives is copied into transfers that belong to the
 * device, which go out in the order in which they were filled.
 *
 *   idle --fill--> queue --submit--> in flight --complete--> idle
 *                    ^                  |
 *                    +-- cut short -----+
 *
 * Not all of the queue is in flight: the rest is for completions to submit, so that
 * the host controller has something to begin with before a writer is scheduled.
 *
 * A writer holds the claim (arbiter.c) for the whole of its message, so a message
 * is in one piece on the wire. A transfer that was cut short by a stop
 * stays in the queue, and its rest is sent when sending goes on: a pause, or
 * another writer's error, costs no byte.
 *
 * An error cancels everything that its writer has queued after it; the next call of
 * the writer returns it, once. Others go on.
 */
#include <linux/poll.h>

#include "mydev.h"

/* Context: tx.lock held. */
static void mydev_tx_wake(struct mydev_client *client, __poll_t events)
{
	/* Sleepers have looked under the lock: none is missed. */
	if (waitqueue_active(&client->wait))
		wake_up_interruptible_poll(&client->wait,
					   EPOLLOUT | EPOLLWRNORM | events);
}

/* Context: tx.lock held. The client's next call has an error to tell. */
void mydev_tx_set_error(struct mydev_client *client, int error)
{
	client->tx.errors++;
	if (client->tx.send_error)
		return;
	client->tx.send_error = error;
	mydev_tx_wake(client, EPOLLERR);
}

/* Context: tx.lock held. The memory that is warm is filled next. */
void mydev_tx_recycle(struct mydev_send *send)
{
	struct mydev_tx *tx = &send->dev->tx;

	list_move(&send->list, &tx->idle);
	/* The holder of the claim waits for room, or others to begin a message. */
	if (tx->owner)
		mydev_tx_wake(tx->owner, 0);
	else
		mydev_tx_wake_pollers(tx);
}

/**
 * mydev_tx_retire() - finish a transfer, sent or not
 * @send: not in flight
 *
 * Context: tx.lock held.
 */
void mydev_tx_retire(struct mydev_send *send)
{
	struct mydev_tx *tx = &send->dev->tx;
	struct mydev_client *client = send->client;

	send->client = NULL;
	if (client) {
		client->tx.failed_bytes += send->length - send->done;
		/* Its fsync(). */
		if (!--client->tx.sends && client != tx->owner)
			mydev_tx_wake(client, 0);
	}
	mydev_tx_recycle(send);
}

/* Context: tx.lock held. The work looks at it at once. */
void mydev_tx_stop(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;

	if (tx->state == MYDEV_TX_GONE)
		return;
	tx->state = MYDEV_TX_STOPPED;
	mod_delayed_work(system_percpu_wq, &tx->work, 0);
}

/**
 * mydev_tx_fail() - note the error of a transfer, and stop
 * @send: in the queue, not in flight
 * @error: a negative errno
 *
 * The work counts it and tells its writer, unless an unplug comes first. One error
 * is enough: what is behind it has not been tried. That is not what the state
 * says, as sending may have been stopped for another reason.
 *
 * Context: tx.lock held.
 */
static void mydev_tx_fail(struct mydev_send *send, int error)
{
	struct mydev_tx *tx = &send->dev->tx;
	const struct mydev_send *other;

	list_for_each_entry(other, &tx->queue, list) {
		if (other->error)
			return;
	}
	tx->suspects++;
	send->error = error == -EPIPE ? -EPIPE : -EIO;
	tx->doubt = error != -EPIPE;
	mydev_tx_stop(send->dev);
}

/* A transfer was cut short by us, by usbcore, or by the end of the device. */
static bool mydev_tx_was_unlinked(int status)
{
	return status == -EPERM || status == -ENOENT || status == -ECONNRESET ||
	       status == -ESHUTDOWN || status == -ENODEV;
}

/**
 * mydev_tx_finished() - check whether the device has all of a transfer
 * @send: not in flight
 * @status: that it ended with
 *
 * A URB that was unlinked after its last byte may still report the unlink. If a ZLP
 * was due it is unknown whether that was sent; it is sent again: a duplicate ZLP is
 * harmless, a missing one merges messages.
 *
 * Return: true if so.
 */
static bool mydev_tx_finished(const struct mydev_send *send, int status)
{
	if (send->done < send->length)
		return false;
	return !status ||
	       (mydev_tx_was_unlinked(status) && send->length && !send->zero);
}

/**
 * mydev_tx_given_back() - handle a transfer that is not in flight any more
 * @send: in flight
 * @status: of the URB, or why it was not submitted
 *
 * Context: tx.lock held.
 * Return: the transaction whose request the device has now, or 0.
 */
static u32 mydev_tx_given_back(struct mydev_send *send, int status)
{
	struct mydev_device *dev = send->dev;
	struct mydev_tx *tx = &dev->tx;
	u32 asked = 0;

	send->in_flight = false;
	if (!--tx->in_flight && unlikely(tx->lost)) {
		tx->lost = false;
		mydev_tx_stop(dev);
	}

	if (mydev_tx_finished(send, status)) {
		tx->transfers++;
		/* Where that is not for us, somebody else has cleared it. */
		tx->halted = tx->halted && tx->needs_clear;
		if (send->last)
			asked = send->transaction;
		mydev_tx_retire(send);
	} else if (!mydev_tx_was_unlinked(status)) {
		mydev_tx_fail(send, status ?: -EIO);
	} else if (tx->state == MYDEV_TX_RUNNING) {
		/*
		 * It keeps its place, as all do that we take back. But it was not
		 * us: a disconnect is next, or it is tried again.
		 */
		tx->doubt = true;
		mydev_tx_stop(dev);
	}
	/* Waiters look under the lock. */
	if (waitqueue_active(&tx->quiet))
		wake_up(&tx->quiet);
	return asked;
}

/**
 * mydev_tx_unlink_all() - unlink what is in flight behind an error
 * @dev: the device
 *
 * Some host controllers go on with the next transfer after an error; nothing of
 * a message is to be sent behind a hole, nor anything out of order.
 *
 * Context: any, without locks: a giveback may come from within.
 */
void mydev_tx_unlink_all(struct mydev_device *dev)
{
	struct urb *urbs[MYDEV_SENDS];
	struct mydev_tx *tx = &dev->tx;
	struct mydev_send *send;
	unsigned int i, n = 0;
	unsigned long flags;

	spin_lock_irqsave(&tx->lock, flags);
	tx->unlinking++;
	list_for_each_entry_reverse(send, &tx->queue, list) {
		if (send->in_flight)
			urbs[n++] = send->urb;
	}
	spin_unlock_irqrestore(&tx->lock, flags);

	/* From the back: what is still sent meanwhile comes before those. */
	for (i = 0; i < n; i++)
		usb_unlink_urb(urbs[i]);

	spin_lock_irqsave(&tx->lock, flags);
	/* The work submits them again only after this. */
	if (!--tx->unlinking && waitqueue_active(&tx->quiet))
		wake_up(&tx->quiet);
	spin_unlock_irqrestore(&tx->lock, flags);
}

/* Context: tx.lock held. Nothing is sent, nor is about to be. */
static bool mydev_tx_pm_drop(struct mydev_tx *tx)
{
	if (!tx->pm_held || tx->owner || !list_empty(&tx->queue))
		return false;
	tx->pm_held = false;
	return true;
}

/**
 * mydev_tx_submit() - submit a transfer
 * @send: counted as in flight
 * @gfp: how the host controller may get memory
 *
 * Context: as @gfp says.
 * Return: 0 or a negative errno of usbcore.
 */
static int mydev_tx_submit(struct mydev_send *send, gfp_t gfp)
{
	u32 rest = send->length - send->done;

	send->urb->transfer_buffer = send->data + send->done;
	send->urb->transfer_buffer_length = rest;
	/* A rest of nothing is the packet without bytes itself. */
	send->urb->transfer_flags = send->zero && rest ? URB_ZERO_PACKET : 0;
	return usb_submit_urb(send->urb, gfp);
}

/**
 * mydev_tx_next() - find the transfer to be submitted next
 * @tx: the sending side
 *
 * Context: tx.lock held.
 * Return: a transfer; NULL if there is none, or none may be submitted now.
 */
static struct mydev_send *mydev_tx_next(struct mydev_tx *tx)
{
	struct mydev_send *send;

	if (tx->state != MYDEV_TX_RUNNING || tx->in_flight >= tx->nr / 4 * 3)
		return NULL;
	list_for_each_entry(send, &tx->queue, list) {
		if (!send->in_flight)
			return send;
	}
	return NULL;
}

/**
 * mydev_tx_push() - submit what is queued, in order, up to the limit
 * @dev: the device
 * @gfp: how the host controller may get memory
 *
 * Writers, completions and the work do it, one at a time: two could overtake
 * each other. Others return, and the submitter looks at the queue again.
 *
 * Context: as @gfp says, without tx.lock.
 */
void mydev_tx_push(struct mydev_device *dev, gfp_t gfp)
{
	struct mydev_tx *tx = &dev->tx;
	struct mydev_send *send;
	unsigned long flags;
	int ret;

	spin_lock_irqsave(&tx->lock, flags);
	if (tx->pushing)
		goto out;
	tx->pushing = true;
	while ((send = mydev_tx_next(tx))) {
		send->in_flight = true;
		tx->in_flight++;
		spin_unlock_irqrestore(&tx->lock, flags);
		ret = mydev_tx_submit(send, gfp);
		/* An error came in between, and mydev_tx_unlink_all() was too early for it. */
		if (!ret && unlikely(READ_ONCE(tx->state) != MYDEV_TX_RUNNING))
			usb_unlink_urb(send->urb);
		spin_lock_irqsave(&tx->lock, flags);
		if (likely(!ret))
			continue;
		if (ret == -ENOMEM && gfp == GFP_ATOMIC) {
			/* That is no error yet: the work can wait for memory. */
			mydev_tx_stop(dev);
			ret = -EPERM;
		}
		mydev_tx_given_back(send, ret);
	}
	tx->pushing = false;
out:
	spin_unlock_irqrestore(&tx->lock, flags);
}

/**
 * mydev_tx_complete() - handle the end of a transmit transfer
 * @urb: its URB
 *
 * Context: usually interrupt or softirq; takes tx.lock.
 */
void mydev_tx_complete(struct urb *urb)
{
	struct mydev_send *send = urb->context;
	struct mydev_device *dev = send->dev;
	struct mydev_tx *tx = &dev->tx;
	bool failed, rests, more;
	unsigned long flags;
	u32 asked;

	spin_lock_irqsave(&tx->lock, flags);
	mydev_urb_check(urb, tx->state != MYDEV_TX_RUNNING);
	send->done += urb->actual_length;
	tx->bytes += urb->actual_length;
	if (send->client)
		send->client->tx.sent_bytes += urb->actual_length;
	if (urb->actual_length)
		tx->progress = jiffies;
	failed = urb->status && !mydev_tx_was_unlinked(urb->status);
	if (failed && urb->status == -EPIPE)
		tx->halted = true;
	if (failed && mydev_recovery_clears(dev, urb->status))
		tx->needs_clear = true;
	asked = mydev_tx_given_back(send, urb->status);
	rests = mydev_tx_pm_drop(tx);
	more = mydev_tx_next(tx);
	spin_unlock_irqrestore(&tx->lock, flags);

	if (failed)
		mydev_tx_unlink_all(dev);
	if (asked)
		mydev_transaction_sent(dev, asked);
	if (more)
		mydev_tx_push(dev, GFP_ATOMIC);
	if (rests)
		mydev_pm_put(dev);
}

/**
 * mydev_tx_pm_put_idle() - let the device suspend if nothing is sent
 * @dev: the device
 */
void mydev_tx_pm_put_idle(struct mydev_device *dev)
{
	bool rests;

	spin_lock_irq(&dev->tx.lock);
	rests = mydev_tx_pm_drop(&dev->tx);
	spin_unlock_irq(&dev->tx.lock);
	if (rests)
		mydev_pm_put(dev);
}
