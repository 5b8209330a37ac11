// SPDX-License-Identifier: GPL-2.0-only
/*
 * The receive ring: a fixed number of bulk IN transfers that are always in
 * flight while somebody wants data and there is memory to put it.
 *
 * A completed transfer gives its full buffer to the clients, takes a free one
 * from the pool and goes straight back. Where the pool is dry the transfer
 * stays idle, and whoever frees a buffer next submits it. While no transfer is
 * in flight, the host does not ask the device for data, and the device waits:
 * that is the flow control of USB bulk, and nothing is lost by it.
 *
 * When the ring runs and when not is in run.c.
 */

#include "mydev.h"
#include "trace.h"

/* The first retry comes at once, the second after this, each next doubled. */
#define MYDEV_RX_BACKOFF_MS 10

/**
 * mydev_rx_trouble() - the ring cannot go on: have the work mend it
 * @dev: the device; its ring is running, or the work itself is trying
 * @status: why, a negative errno
 *
 * Context: rx_lock held, interrupts off.
 */
void mydev_rx_trouble(struct mydev_device *dev, int status)
{
	struct mydev_rx *rx = &dev->rx;
	unsigned int delay = 0;

	rx->state = MYDEV_STATE_RECOVERING;
	rx->error = status;
	rx->failures++;
	if (status == -EPIPE)
		rx->halted = true;
	if (rx->failures > 1 && rx->failures <= MYDEV_RX_MAX_FAILURES)
		delay = MYDEV_RX_BACKOFF_MS << (rx->failures - 2);

	if (!dev->gone)
		schedule_delayed_work(&rx->work, msecs_to_jiffies(delay));
}

static bool mydev_rx_has_room(struct mydev_device *dev, unsigned int in_flight)
{
	struct mydev_rx *rx = &dev->rx;

	if (rx->room < in_flight)
		rx->room = mydev_clients_room(dev);
	return rx->room >= in_flight &&
	       (dev->pool.nr_free || mydev_clients_reclaim(dev));
}

/**
 * mydev_rx_may_fly() - may so many transfers be in flight?
 * @dev: the device
 * @in_flight: their number, with the one in question
 *
 * Context: rx_lock held, interrupts off.
 * Return: true if there is a buffer, and every client that must not lose
 * anything has room for what the transfers bring.
 */
bool mydev_rx_may_fly(struct mydev_device *dev, unsigned int in_flight)
{
	/* With a dry pool and rings, there is nothing to be found before a look. */
	if ((dev->pool.nr_free || !dev->nr_rings) &&
	    mydev_rx_has_room(dev, in_flight))
		return true;
	/*
	 * A look at all tails is for when half of the transfers are idle. Where it
	 * is known that there is more to be had, callers count on it.
	 */
	if (!dev->nr_rings ||
	    (in_flight > DIV_ROUND_UP(dev->rx.nr, 2) && !dev->rings_behind))
		return false;
	mydev_rings_sync(dev);
	return mydev_rx_has_room(dev, in_flight);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_rx_may_fly);

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
	    !mydev_rx_may_fly(dev, rx->in_flight))
		return false;
	transfer->buf = mydev_buffer_fly(&dev->pool);
	rx->stalled = false;
	return true;
}

/**
 * mydev_rx_dry() - no transfer can be in flight until somebody reads
 * @dev: the device; its ring is running
 *
 * Where there are clients in ring mode, the caller has to try to refill once
 * more: one may have given something back before it could see that it has to
 * tell us.
 *
 * Context: rx_lock held, interrupts off.
 */
void mydev_rx_dry(struct mydev_device *dev)
{
	mydev_clients_flush(dev);
	mydev_rings_tell(dev);
	mydev_rx_watch(dev);
}

/**
 * mydev_rx_retire() - a transfer stays idle
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
	if (rx->in_flight)
		return;

	trace_mydev_stop(dev);
	/* Who waits looks at in_flight under the lock that we hold. */
	if (waitqueue_active(&rx->quiet))
		wake_up(&rx->quiet);
	/* Where it could go on, it is no client that stops it. */
	if (rx->state != MYDEV_STATE_RUNNING || mydev_rx_may_fly(dev, 1))
		return;
	dev->counters.ring_stops++;
	mydev_rx_dry(dev);
}

/**
 * mydev_rx_submit() - put an armed transfer in flight
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
	mydev_buffer_land(transfer->buf);
	mydev_buffer_put(&dev->pool, transfer->buf);
	transfer->buf = NULL;
	/*
	 * -EPERM: poisoned by a stop. The other three: the device or the
	 * interface is on its way out, and disconnect comes next.
	 */
	if (rx->state == MYDEV_STATE_RUNNING && ret != -EPERM &&
	    ret != -ENODEV && ret != -ESHUTDOWN && ret != -ENOENT) {
		dev->counters.errors++;
		dev_warn_ratelimited(
			&dev->dev,
			"cannot submit a receive transfer (%d), will try again\n",
			ret);
		mydev_rx_trouble(dev, ret);
	}
	mydev_rx_retire(dev, transfer);
	spin_unlock_irqrestore(&dev->rx_lock, flags);
	return false;
}

/**
 * mydev_rx_status() - what the end of a transfer means for the ring
 * @dev: the device
 * @status: of the URB
 *
 * Context: rx_lock held, interrupts off.
 */
static void mydev_rx_status(struct mydev_device *dev, int status)
{
	switch (status) {
	case 0:
		dev->rx.failures = 0;
		return;
	case -ENOENT: /* poisoned by a stop */
	case -ECONNRESET:
	case -ESHUTDOWN: /* the device, the interface or the host */
	case -ENODEV:    /* controller is on its way out */
		return;
	}

	dev->counters.errors++;
	/* One error is enough; the transfers behind it share its fate. */
	if (dev->rx.state != MYDEV_STATE_RUNNING)
		return;
	dev_warn_ratelimited(&dev->dev, "%s (%d), will try again\n",
			     status == -EPIPE ? "the device stalled"
					      : "receive error",
			     status);
	mydev_rx_trouble(dev, status);
}

/**
 * mydev_rx_deliver() - hand what a transfer brought to the clients
 * @dev: the device
 * @urb: the transfer's URB
 * @buf: held by the caller, who lets go of it here
 *
 * Context: rx_lock held, interrupts off.
 */
static void mydev_rx_deliver(struct mydev_device *dev, const struct urb *urb,
			     struct mydev_buffer *buf)
{
	struct mydev_packet pkt = {
		.length = urb->actual_length,
		.status = urb->status,
	};
	struct mydev_buffer *pack;
	u32 offset = 0;

	/* A stop of the ring is nothing that happened to the packet. */
	if (pkt.status == -ENOENT)
		pkt.status = 0;
	if (pkt.length == urb->transfer_buffer_length)
		pkt.flags = MYDEV_PACKET_CONTINUES;
	if (unlikely(dev->exchange))
		mydev_exchange_feed(dev, buf->data, pkt.length,
				    !pkt.flags && !urb->status);

	if (pkt.length) {
		pack = mydev_buffer_pack(&dev->pool, buf, pkt.length, &offset);
		if (pack) {
			pkt.packed = true;
			buf = pack;
		}
		mydev_packet_place(&dev->pool, &pkt, buf, offset);
	}
	mydev_clients_deliver(dev, &pkt);
	mydev_buffer_put(&dev->pool, buf);
}

/**
 * mydev_rx_complete() - a receive transfer has ended
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
	bool again, hungry;

	spin_lock_irqsave(&dev->rx_lock, flags);
	trace_mydev_complete(dev, urb);
	mydev_buffer_land(buf);
	if (urb->actual_length || !urb->status)
		mydev_rx_deliver(dev, urb, buf);
	else
		mydev_buffer_put(&dev->pool, buf);
	transfer->buf = NULL;

	mydev_rx_status(dev, urb->status);
	again = mydev_rx_arm(dev, transfer);
	if (!again)
		mydev_rx_retire(dev, transfer);
	/*
	 * Nobody else does it when programs give back memory without a call. Where
	 * there is none left, a transfer that is still in flight looks again.
	 */
	hungry = dev->nr_rings &&
		 (!dev->rx.in_flight || (again && dev->pool.nr_free)) &&
		 mydev_rx_hungry(dev);
	spin_unlock_irqrestore(&dev->rx_lock, flags);

	if (again)
		mydev_rx_submit(dev, transfer);
	if (hungry)
		mydev_rx_refill(dev);
}

/**
 * mydev_rx_hungry() - are there transfers that could fly, and do not?
 * @dev: the device
 *
 * Context: rx_lock held.
 * Return: true if there are.
 */
bool mydev_rx_hungry(struct mydev_device *dev)
{
	/* Without a free buffer too: those who may drop can give one back. */
	return dev->rx.state == MYDEV_STATE_RUNNING &&
	       !list_empty(&dev->rx.idle);
}

/**
 * mydev_rx_retry() - is it worth to try once more?
 * @dev: the device; a transfer could not fly
 *
 * Context: rx_lock held.
 * Return: true if so.
 */
static bool mydev_rx_retry(struct mydev_device *dev)
{
	if (!dev->nr_rings || dev->rx.state != MYDEV_STATE_RUNNING)
		return false;
	/* There is more to be had than was taken at once. */
	if (dev->rings_behind)
		return true;
	return !dev->rx.in_flight && mydev_rings_tell(dev);
}

/**
 * mydev_rx_refill() - put as many idle transfers in flight as there are buffers
 * @dev: the device
 *
 * For those who freed a buffer, and to start the ring.
 *
 * Context: any, without rx_lock.
 */
void mydev_rx_refill(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;
	struct mydev_transfer *transfer;
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
				mydev_rings_tell(dev);
			}
		} else {
			rx->in_flight--;
			again = transfer && mydev_rx_retry(dev);
			transfer = NULL;
		}
		spin_unlock_irqrestore(&dev->rx_lock, flags);
		if (transfer)
			again = mydev_rx_submit(dev, transfer);
	} while (again);
}
