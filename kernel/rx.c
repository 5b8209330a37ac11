// SPDX-License-Identifier: GPL-2.0-only
/*
 * The receive ring: a fixed number of bulk IN transfers that are always in
 * flight while there are users and free buffers.
 *
 * A completed transfer gives its full buffer to the clients, takes a free one
 * from the pool and goes straight back. Where the pool is empty the transfer
 * stays idle, and the next one that frees a buffer submits it. While no transfer is
 * in flight, the host does not ask the device for data, and the device waits:
 * that is the flow control of USB bulk, and nothing is lost by it.
 *
 * When the ring runs and when not is in rx_run.c.
 */

#include "mydev.h"
#include "trace.h"

/* Transfers that a refill submits, and looks at cursors that move meanwhile. */
#define MYDEV_RX_MAX_ROUNDS 256

/* The device, the interface or the host controller is on its way out. */
static bool mydev_rx_is_leaving(int status)
{
	return status == -ESHUTDOWN || status == -ENODEV;
}

/* Context: rx_lock held. The first of them is the cause. */
static void mydev_rx_note_error(struct mydev_device *dev, int status)
{
	struct mydev_rx *rx = &dev->rx;

	if (rx->error)
		return;
	rx->error = mydev_rx_is_leaving(status) ? -EPROTO : status;
	rx->error_id = dev->last_id;
}

/**
 * mydev_rx_schedule_recovery() - stop resubmitting and have the work recover
 * @dev: the device; its ring is running, or the work itself is trying
 * @status: why, a negative errno
 *
 * Context: rx_lock held, interrupts off.
 */
void mydev_rx_schedule_recovery(struct mydev_device *dev, int status)
{
	struct mydev_rx *rx = &dev->rx;
	unsigned long delay;

	rx->state = MYDEV_STATE_RECOVERING;
	mydev_rx_note_error(dev, status);
	if (rx->failures < UINT_MAX)
		rx->failures++;
	delay = mydev_rx_delay(dev);
	/* As a rule that comes, and the ring is not to start before. */
	if (mydev_rx_is_leaving(status))
		delay = max_t(unsigned long, delay, MYDEV_UNPLUG_GRACE);

	if (!dev->gone)
		schedule_delayed_work(&rx->work, delay);
}

/**
 * mydev_rx_arm() - give a transfer a buffer
 * @dev: the device
 * @transfer: in the caller's hands, and counted as in flight
 *
 * Context: rx_lock held, interrupts off.
 * Return: true if the transfer is to be submitted.
 */
static bool mydev_rx_arm(struct mydev_device *dev,
			 struct mydev_transfer *transfer)
{
	struct mydev_rx *rx = &dev->rx;

	if (rx->state != MYDEV_STATE_RUNNING ||
	    !mydev_rx_can_submit(dev, rx->in_flight))
		return false;
	transfer->buf = mydev_buffer_get_free(&dev->pool);
	rx->blocked = false;
	return true;
}

/**
 * mydev_rx_retire() - put a transfer on the idle list
 * @dev: the device
 * @transfer: counted as in flight, without a buffer
 *
 * Context: rx_lock held, interrupts off.
 */
static void mydev_rx_retire(struct mydev_device *dev,
			    struct mydev_transfer *transfer)
{
	struct mydev_rx *rx = &dev->rx;

	list_add(&transfer->list, &rx->idle);
	rx->in_flight--;
	/* Waiters look under the lock that we hold. */
	if (waitqueue_active(&rx->quiet))
		wake_up(&rx->quiet);
	if (rx->in_flight)
		return;

	trace_mydev_stop(dev);
	if (unlikely(rx->lost)) {
		rx->lost = false;
		if (!dev->gone)
			mod_delayed_work(system_percpu_wq, &rx->work, 0);
	}
	/* Not a flow-control stop. */
	if (rx->state != MYDEV_STATE_RUNNING || mydev_rx_can_submit(dev, 1))
		return;
	dev->counters.ring_stops++;
	mydev_rx_starved(dev);
}

/**
 * mydev_rx_submit() - submit an armed transfer
 * @dev: the device
 * @transfer: armed, in the caller's hands
 *
 * Context: any, without rx_lock.
 * Return: true if it is in flight; otherwise it is idle again.
 */
static bool mydev_rx_submit(struct mydev_device *dev,
			    struct mydev_transfer *transfer)
{
	struct mydev_rx *rx = &dev->rx;
	unsigned long flags;
	int ret;

	transfer->urb->transfer_buffer = transfer->buf->data;
	trace_mydev_submit(dev, transfer->urb);
	ret = usb_submit_urb(transfer->urb, GFP_ATOMIC);
	if (likely(!ret))
		return true;

	spin_lock_irqsave(&dev->rx_lock, flags);
	mydev_buffer_complete(transfer->buf);
	mydev_buffer_put(&dev->pool, transfer->buf);
	transfer->buf = NULL;
	/*
	 * -EPERM: blocked by a stop. The other three: the device or the
	 * interface is on its way out, and disconnect comes next.
	 */
	if (rx->state == MYDEV_STATE_RUNNING && ret != -EPERM &&
	    ret != -ENODEV && ret != -ESHUTDOWN && ret != -ENOENT) {
		dev->counters.errors++;
		dev_warn_ratelimited(
			&dev->dev,
			"cannot submit a receive transfer (%d), will try again\n",
			ret);
		mydev_rx_schedule_recovery(dev, ret);
	}
	mydev_rx_retire(dev, transfer);
	spin_unlock_irqrestore(&dev->rx_lock, flags);
	return false;
}

/* Context: rx_lock held. The device sends again. */
static void mydev_rx_mended(struct mydev_device *dev)
{
	dev->rx.failures = 0;
	dev->rx.told = 0;
	/* Where that is not for us, somebody else has cleared it. */
	dev->rx.halted = dev->rx.halted && dev->rx.needs_clear;
	mydev_rx_count_suspects(dev);
}

/**
 * mydev_rx_status() - act on the status of a transfer
 * @dev: the device
 * @status: of the URB, checked
 * @true_end: it is not one that was made up
 *
 * Context: rx_lock held, interrupts off.
 */
static void mydev_rx_status(struct mydev_device *dev, int status, bool true_end)
{
	struct mydev_rx *rx = &dev->rx;

	switch (status) {
	case 0:
		if (unlikely(rx->failures || rx->told || rx->suspects))
			mydev_rx_mended(dev);
		return;
	case -ENOENT: /* taken back by a stop */
	case -ECONNRESET:
		return;
	}

	/* Whatever the ring is doing: that is so until it is mended. */
	if (status == -EPIPE)
		rx->halted = true;
	if (mydev_recovery_clears(dev, status))
		rx->needs_clear = true;
	/* An unplug begins like this as well, and is no error. */
	mydev_rx_settle_suspects(dev);
	if (!true_end)
		dev->counters.errors++;
	else if (!rx->suspects++)
		rx->suspected = jiffies;
	/* One error is enough; the transfers behind it share its fate. */
	if (rx->state != MYDEV_STATE_RUNNING) {
		if (rx->state == MYDEV_STATE_RECOVERING)
			mydev_rx_note_error(dev, status);
		return;
	}
	/* Of tries that fail, the first and the last are told. */
	if (!mydev_rx_is_leaving(status) && !rx->failures)
		dev_warn_ratelimited(&dev->dev, "%s (%d), will try again\n",
				     status == -EPIPE ? "the device stalled"
						      : "receive error",
				     status);
	mydev_rx_schedule_recovery(dev, status);
}

/**
 * mydev_rx_continues() - check whether a message goes on in the next packet
 * @dev: the device
 * @urb: the transfer's URB, checked
 * @cut: a stop has taken it back
 *
 * What a stop cuts is whole packets of the endpoint, and a short one ends a message.
 *
 * Return: true if it does, or may.
 */
static bool mydev_rx_continues(const struct mydev_device *dev,
			       const struct urb *urb, bool cut)
{
	if (urb->actual_length == urb->transfer_buffer_length)
		return true;
	return cut && dev->info.ep_in_max_packet &&
	       !(urb->actual_length % dev->info.ep_in_max_packet);
}

/**
 * mydev_rx_deliver() - append the bytes of a transfer to the log
 * @dev: the device
 * @urb: the transfer's URB, checked
 * @buf: the reference of the caller, which goes to the log or is dropped
 *
 * Context: rx_lock held, interrupts off.
 */
void mydev_rx_deliver(struct mydev_device *dev, const struct urb *urb,
		      struct mydev_buffer *buf)
{
	bool cut = urb->status == -ENOENT || urb->status == -ECONNRESET;
	struct mydev_entry entry = {
		.length = urb->actual_length,
		.status = cut ? 0 : urb->status,
	};
	struct mydev_buffer *pack;
	u32 offset = 0;

	if (mydev_rx_continues(dev, urb, cut))
		entry.flags = MYDEV_PACKET_CONTINUES;
	dev->rx.continues = entry.flags;
	if (unlikely(dev->transaction))
		mydev_transaction_feed(dev, buf->data, entry.length,
				       !entry.flags && !entry.status);

	if (entry.length) {
		pack = mydev_buffer_pack(&dev->pool, buf, entry.length,
					 &offset);
		buf = pack ?: buf;
		buf->last = dev->log.head;
		mydev_entry_set_buffer(&dev->pool, &entry, buf, offset);
	} else {
		mydev_buffer_put(&dev->pool, buf);
	}
	mydev_deliver(dev, &entry);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_rx_deliver);

/**
 * mydev_rx_complete() - handle the end of a receive transfer
 * @urb: its URB
 *
 * Whatever the status, bytes that came are delivered: a transfer that was cut
 * short by a stop or an error may have got some.
 *
 * Context: usually interrupt or softirq; takes rx_lock.
 */
void mydev_rx_complete(struct urb *urb)
{
	struct mydev_transfer *transfer = urb->context;
	struct mydev_device *dev = transfer->dev;
	struct mydev_buffer *buf = transfer->buf;
	unsigned long flags;
	bool again, hungry, true_end;

	spin_lock_irqsave(&dev->rx_lock, flags);
	trace_mydev_complete(dev, urb);
	true_end = mydev_urb_check(urb, dev->rx.state != MYDEV_STATE_RUNNING);
	mydev_buffer_complete(buf);
	if (urb->actual_length || !urb->status)
		mydev_rx_deliver(dev, urb, buf);
	else
		mydev_buffer_put(&dev->pool, buf);
	transfer->buf = NULL;

	mydev_rx_status(dev, urb->status, true_end);
	again = mydev_rx_arm(dev, transfer);
	if (!again)
		mydev_rx_retire(dev, transfer);
	/*
	 * Programs in ring mode free buffers without a system call, so transfers that
	 * are idle for want of them are looked after from here, too.
	 */
	hungry = (!dev->rx.in_flight || (dev->nr_rings && again)) &&
		 mydev_rx_needs_refill(dev);
	spin_unlock_irqrestore(&dev->rx_lock, flags);

	if (again)
		mydev_rx_submit(dev, transfer);
	if (hungry)
		mydev_rx_refill(dev);
}

/**
 * mydev_rx_needs_refill() - check whether transfers are idle that need not be
 * @dev: the device
 *
 * Context: rx_lock held.
 * Return: true if there are.
 */
bool mydev_rx_needs_refill(struct mydev_device *dev)
{
	/* Without a free buffer, too: the log may have one that nobody needs. */
	return dev->rx.state == MYDEV_STATE_RUNNING &&
	       !list_empty(&dev->rx.idle) && mydev_rx_may_go_on(dev);
}

/**
 * mydev_rx_refill() - submit as many idle transfers as there are buffers
 * @dev: the device
 *
 * Called after a buffer was freed, and to start the ring.
 *
 * Context: any, without rx_lock.
 */
void mydev_rx_refill(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;
	struct mydev_transfer *transfer;
	unsigned int rounds = MYDEV_RX_MAX_ROUNDS;
	unsigned long flags;
	bool again;

	do {
		spin_lock_irqsave(&dev->rx_lock, flags);
		transfer = list_first_entry_or_null(
			&rx->idle, struct mydev_transfer, list);
		rx->in_flight++;
		if (transfer && mydev_rx_arm(dev, transfer)) {
			list_del(&transfer->list);
			if (rx->in_flight == 1) {
				trace_mydev_start(dev);
				mydev_holders_tell(dev);
			}
		} else {
			rx->in_flight--;
			/* A program may have given back before it could know. */
			again = transfer && rx->state == MYDEV_STATE_RUNNING &&
				!rx->in_flight && mydev_holders_tell(dev);
			transfer = NULL;
		}
		/* Programs that move again and again may keep the work busy, and nobody else. */
		if (!--rounds && (transfer || again))
			mydev_rx_queue_work(dev);
		spin_unlock_irqrestore(&dev->rx_lock, flags);
		if (transfer)
			again = mydev_rx_submit(dev, transfer);
	} while (again && rounds);
}
