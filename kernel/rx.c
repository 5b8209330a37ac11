// SPDX-License-Identifier: GPL-2.0-only
/*
 * The receive ring: a fixed number of bulk IN transfers that are always in
 * flight while somebody wants data and there is memory to put it.
 *
 *          demand                    error
 *   IDLE ----------> RUNNING <---------------> RECOVERING ------> FAILED
 *     ^                 |     work: try again             too often  |
 *     +-----------------+--- nobody asks any more -------------------+
 *
 * and from everywhere to GONE by disconnect.
 *
 * A completed transfer gives its full buffer to the clients, takes a free one
 * from the pool and goes straight back. Where the pool is dry the transfer
 * stays idle, and whoever frees a buffer next submits it. While no transfer is
 * in flight, the host does not ask the device for data, and the device waits:
 * that is the flow control of USB bulk, and nothing is lost by it.
 *
 * Every stop poisons the transfers: that waits for completions in progress and
 * makes later submissions fail, also of those who had an idle transfer in hand
 * at that moment.
 */

#include "mydev.h"
#include "trace.h"

/* Errors in a row before the ring gives up; together about 1.3 s of trying. */
#define MYDEV_RX_MAX_FAILURES 8

/* The first retry comes at once, the second after this, each next doubled. */
#define MYDEV_RX_BACKOFF_MS 10

/**
 * mydev_rx_trouble() - the ring cannot go on: have the work mend it
 * @dev: the device; its ring is running, or the work itself is trying
 * @status: why, a negative errno
 *
 * Context: rx_lock held, interrupts off.
 */
static void mydev_rx_trouble(struct mydev_device *dev, int status)
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
	return mydev_clients_room(dev) >= in_flight &&
	       (dev->pool.nr_free || mydev_clients_reclaim(dev));
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
	mydev_clients_flush(dev);
	mydev_rx_watch(dev);
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
		.buf = buf,
		.length = urb->actual_length,
		.status = urb->status,
	};
	struct mydev_buffer *pack;

	/* A stop of the ring is nothing that happened to the packet. */
	if (pkt.status == -ENOENT)
		pkt.status = 0;
	if (pkt.length == urb->transfer_buffer_length)
		pkt.flags = MYDEV_PACKET_CONTINUES;

	if (!pkt.length) {
		pkt.buf = NULL;
	} else {
		pack = mydev_buffer_pack(&dev->pool, buf, pkt.length,
					 &pkt.offset);
		if (pack) {
			pkt.packed = true;
			pkt.buf = pack;
			buf = pack;
		}
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
	bool again;

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
	spin_unlock_irqrestore(&dev->rx_lock, flags);

	if (again)
		mydev_rx_submit(dev, transfer);
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

	do {
		spin_lock_irqsave(&dev->rx_lock, flags);
		transfer = list_first_entry_or_null(
			&rx->idle, struct mydev_transfer, list);
		rx->in_flight++;
		if (transfer && mydev_rx_arm(dev, transfer)) {
			list_del(&transfer->list);
			if (rx->in_flight == 1)
				trace_mydev_start(dev);
		} else {
			rx->in_flight--;
			transfer = NULL;
		}
		spin_unlock_irqrestore(&dev->rx_lock, flags);
	} while (transfer && mydev_rx_submit(dev, transfer));
}

static bool mydev_rx_is_quiet(struct mydev_device *dev)
{
	bool quiet;

	spin_lock_irq(&dev->rx_lock);
	quiet = !dev->rx.in_flight;
	spin_unlock_irq(&dev->rx_lock);
	return quiet;
}

/**
 * mydev_rx_quiesce() - no transfer is in flight, and none can be put there
 * @dev: the device; the state is not RUNNING
 *
 * Nor is one in the hands of somebody who is on the way to submit it: those
 * find it poisoned, and put it back.
 *
 * Context: rx_mutex held; waits for completions and for submitters, who wait
 * for nobody.
 */
static void mydev_rx_quiesce(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;
	unsigned int i;

	lockdep_assert_held(&dev->rx_mutex);
	if (rx->poisoned || !rx->transfers)
		return;
	for (i = 0; i < rx->nr; i++)
		usb_poison_urb(rx->transfers[i].urb);
	rx->poisoned = true;
	wait_event(rx->quiet, mydev_rx_is_quiet(dev));
}

/**
 * mydev_rx_unquiesce() - transfers may be submitted again
 * @dev: the device
 *
 * Context: rx_mutex held.
 */
static void mydev_rx_unquiesce(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;
	unsigned int i;

	lockdep_assert_held(&dev->rx_mutex);
	if (!rx->poisoned)
		return;
	for (i = 0; i < rx->nr; i++)
		usb_unpoison_urb(rx->transfers[i].urb);
	rx->poisoned = false;
}

/**
 * mydev_rx_mend() - bring the endpoint back to where it can transfer
 * @dev: the device, not gone; its ring is quiet
 * @halted: its endpoint was stalled
 *
 * After errors on the bus the first retry is a plain one. Where that was not
 * enough the two sides may disagree about the data toggle, which clearing a
 * halt resets on both.
 *
 * Context: gate held for reading, rx_mutex held; talks to the device.
 * Return: 0 or a negative errno.
 */
static int mydev_rx_mend(struct mydev_device *dev, bool halted)
{
	int ret;

	if (!halted && dev->rx.failures < 2)
		return 0;
	ret = usb_clear_halt(dev->udev,
			     usb_rcvbulkpipe(dev->udev, dev->info.ep_in));
	if (ret)
		return ret;

	spin_lock_irq(&dev->rx_lock);
	dev->rx.halted = false;
	if (halted)
		dev->counters.stalls++;
	spin_unlock_irq(&dev->rx_lock);
	return 0;
}

/**
 * mydev_rx_go() - start the ring, or start it again after an error
 * @dev: the device, not gone
 *
 * Context: gate held for reading, rx_mutex held.
 */
static void mydev_rx_go(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;
	bool wanted, failed, halted;
	int ret;

	spin_lock_irq(&dev->rx_lock);
	wanted = rx->wanted && (rx->state == MYDEV_STATE_IDLE ||
				rx->state == MYDEV_STATE_RECOVERING);
	failed = rx->failures > MYDEV_RX_MAX_FAILURES;
	halted = rx->halted;
	spin_unlock_irq(&dev->rx_lock);
	if (!wanted)
		return;

	mydev_rx_quiesce(dev);
	if (failed) {
		dev_err(&dev->dev,
			"gave up after %u receive errors in a row; close all users and open again, or plug the device in anew\n",
			rx->failures);
		spin_lock_irq(&dev->rx_lock);
		rx->state = MYDEV_STATE_FAILED;
		mydev_clients_wake(dev);
		spin_unlock_irq(&dev->rx_lock);
		return;
	}

	ret = mydev_rx_mend(dev, halted);
	if (ret) {
		spin_lock_irq(&dev->rx_lock);
		dev->counters.errors++;
		mydev_rx_trouble(dev, ret);
		spin_unlock_irq(&dev->rx_lock);
		return;
	}

	mydev_rx_unquiesce(dev);
	spin_lock_irq(&dev->rx_lock);
	if (rx->state == MYDEV_STATE_RECOVERING)
		mydev_clients_event(
			dev, halted ? MYDEV_EVENT_STALL : MYDEV_EVENT_ERROR,
			rx->error);
	rx->state = MYDEV_STATE_RUNNING;
	spin_unlock_irq(&dev->rx_lock);
	mydev_rx_refill(dev);

	/* Clients that held everything before the error still do. */
	spin_lock_irq(&dev->rx_lock);
	if (rx->state == MYDEV_STATE_RUNNING && !rx->in_flight) {
		mydev_clients_flush(dev);
		mydev_rx_watch(dev);
	}
	spin_unlock_irq(&dev->rx_lock);
}

void mydev_rx_work(struct work_struct *work)
{
	struct mydev_device *dev =
		container_of(work, struct mydev_device, rx.work.work);

	down_read(&dev->gate);
	if (!dev->gone) {
		mutex_lock(&dev->rx_mutex);
		mydev_rx_go(dev);
		mutex_unlock(&dev->rx_mutex);
	}
	up_read(&dev->gate);
}

/**
 * mydev_rx_want() - one more member asks for data
 * @dev: the device
 *
 * The ring is started by the work and not here: poll() must not sleep.
 *
 * Context: rx_lock held.
 */
void mydev_rx_want(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;

	if (dev->gone) {
		rx->wanted++;
		return;
	}
	if (!rx->wanted++)
		mod_delayed_work(system_wq, &rx->work, 0);
	else if (!rx->in_flight)
		mydev_rx_watch(dev);
}

/**
 * mydev_rx_unwant() - a member that asked for data is leaving
 * @dev: the device
 *
 * Without anybody who asks the ring stops: members that never did lose nothing
 * by it, and the device is not made to run for nobody. Transfers in flight end
 * with the next mydev_rx_settle().
 *
 * Context: rx_lock held.
 */
void mydev_rx_unwant(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;

	if (--rx->wanted)
		return;
	rx->failures = 0;
	if (rx->state != MYDEV_STATE_GONE)
		rx->state = MYDEV_STATE_IDLE;
}

/**
 * mydev_rx_settle() - act on what a client that left has changed
 * @dev: the device
 *
 * Stops the ring if nobody asks for data any more, else uses the buffers that
 * became free.
 *
 * Context: rx_mutex held; waits for transfers to end.
 */
void mydev_rx_settle(struct mydev_device *dev)
{
	bool idle;

	spin_lock_irq(&dev->rx_lock);
	idle = dev->rx.state == MYDEV_STATE_IDLE;
	spin_unlock_irq(&dev->rx_lock);

	if (idle)
		mydev_rx_quiesce(dev);
	else
		mydev_rx_refill(dev);
}

/**
 * mydev_rx_shutdown() - the device is gone
 * @dev: the device; gone is set, and nobody is behind the gate
 *
 * What arrived until now is delivered, then clients are told the end. They
 * keep what they have queued until they have read it.
 *
 * Context: process context, called once, by disconnect.
 */
void mydev_rx_shutdown(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;

	mutex_lock(&dev->rx_mutex);
	spin_lock_irq(&dev->rx_lock);
	/* Not yet GONE: readers would take an empty queue for the end. */
	if (rx->state == MYDEV_STATE_RUNNING)
		rx->state = MYDEV_STATE_RECOVERING;
	spin_unlock_irq(&dev->rx_lock);

	mydev_rx_quiesce(dev);

	spin_lock_irq(&dev->rx_lock);
	rx->state = MYDEV_STATE_GONE;
	mydev_clients_wake(dev);
	spin_unlock_irq(&dev->rx_lock);
	mutex_unlock(&dev->rx_mutex);

	/* They check gone before they do anything, and nobody queues them. */
	cancel_delayed_work_sync(&rx->work);
	cancel_delayed_work_sync(&rx->stall_work);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_rx_shutdown);
