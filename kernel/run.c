// SPDX-License-Identifier: GPL-2.0-only
/*
 * When the receive ring runs: demand, recovery from errors, pauses, the end.
 *
 *          demand                    error
 *   IDLE ----------> RUNNING <---------------> RECOVERING ------> FAILED
 *     ^                 |     work: try again             too often  |
 *     +-----------------+--- nobody asks any more -------------------+
 *
 * and from everywhere to GONE by disconnect. Pauses (power.c) stop it as an error
 * does, and it does not go on before they are over.
 *
 * Every stop poisons the transfers: that waits for completions in progress and
 * makes later submissions fail, also of those who had an idle transfer in hand
 * at that moment.
 */

#include "mydev.h"

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
 * mydev_rx_rest() - let the device sleep if nobody asks for data
 * @dev: the device
 *
 * Context: rx_mutex held.
 */
static void mydev_rx_rest(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;
	bool rests;

	spin_lock_irq(&dev->rx_lock);
	rests = rx->awake && !rx->wanted;
	if (rests)
		rx->awake = false;
	spin_unlock_irq(&dev->rx_lock);
	if (rests)
		mydev_let_sleep(dev);
}

/**
 * mydev_rx_mend() - bring the endpoint back to where it can transfer
 * @dev: the device, not gone; its ring is quiet
 * @halted: its endpoint was stalled
 *
 * After any error the two sides may disagree about the data toggle, which
 * clearing a halt resets on both.
 *
 * Context: gate held for reading, rx_mutex held; talks to the device.
 * Return: 0 or a negative errno.
 */
static int mydev_rx_mend(struct mydev_device *dev, bool halted)
{
	int ret;

	if (!halted && !dev->rx.failures)
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

/* Context: rx_lock held. */
static bool mydev_rx_startable(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;

	return rx->wanted && !rx->pauses && dev->info.ep_in &&
	       (rx->state == MYDEV_STATE_IDLE ||
		rx->state == MYDEV_STATE_RECOVERING);
}

/**
 * mydev_rx_go() - start the ring, or start it again after an error
 * @dev: the device, not gone
 * @ret: 0, or why the device cannot be woken
 *
 * Context: gate held for reading, rx_mutex held.
 */
static void mydev_rx_go(struct mydev_device *dev, int ret)
{
	struct mydev_rx *rx = &dev->rx;
	bool wanted, failed, halted, dry;

	spin_lock_irq(&dev->rx_lock);
	wanted = mydev_rx_startable(dev);
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

	if (!ret)
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
	if (rx->error)
		mydev_clients_event(
			dev, halted ? MYDEV_EVENT_STALL : MYDEV_EVENT_ERROR,
			rx->error);
	rx->error = 0;
	rx->state = MYDEV_STATE_RUNNING;
	spin_unlock_irq(&dev->rx_lock);
	mydev_rx_refill(dev);

	/* Clients that held everything before the error still do. */
	spin_lock_irq(&dev->rx_lock);
	dry = rx->state == MYDEV_STATE_RUNNING && !rx->in_flight;
	if (dry)
		mydev_rx_dry(dev);
	spin_unlock_irq(&dev->rx_lock);
	if (dry)
		mydev_rx_refill(dev);
}

/**
 * mydev_rx_wake_up() - the device must not suspend while the ring runs
 * @dev: the device, not gone
 * @got: set if the caller has to note that, or undo it
 *
 * Context: not under rx_mutex: a resume takes it. Called by the work only.
 * Return: 0 or a negative errno of the PM core.
 */
static int mydev_rx_wake_up(struct mydev_device *dev, bool *got)
{
	bool needed;
	int ret;

	spin_lock_irq(&dev->rx_lock);
	/* Asleep it is paused, so a pause is no reason not to wake it. */
	needed = dev->rx.wanted && dev->info.ep_in && !dev->rx.awake;
	spin_unlock_irq(&dev->rx_lock);
	*got = false;
	if (!needed)
		return 0;
	ret = usb_autopm_get_interface(dev->intf);
	*got = !ret;
	return ret;
}

void mydev_rx_work(struct work_struct *work)
{
	struct mydev_device *dev =
		container_of(work, struct mydev_device, rx.work.work);
	struct mydev_rx *rx = &dev->rx;
	bool got;
	int ret;

	down_read(&dev->gate);
	if (!dev->gone) {
		ret = mydev_rx_wake_up(dev, &got);
		mutex_lock(&dev->rx_mutex);
		spin_lock_irq(&dev->rx_lock);
		rx->awake |= got;
		spin_unlock_irq(&dev->rx_lock);
		/* Wanted only since we looked: the work is queued again. */
		if (rx->awake || ret)
			mydev_rx_go(dev, ret);
		mydev_rx_rest(dev);
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
		mod_delayed_work(system_percpu_wq, &rx->work, 0);
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

	if (idle) {
		mydev_rx_quiesce(dev);
		mydev_rx_rest(dev);
	} else {
		mydev_rx_refill(dev);
	}
}

/**
 * mydev_rx_state() - what the ring is doing, for people to see
 * @dev: the device
 *
 * Context: rx_lock held.
 * Return: MYDEV_STATE_*.
 */
u32 mydev_rx_state(const struct mydev_device *dev)
{
	const struct mydev_rx *rx = &dev->rx;

	if (rx->pauses && rx->wanted && rx->state != MYDEV_STATE_GONE)
		return MYDEV_STATE_PAUSED;
	return rx->state;
}

/**
 * mydev_rx_pause() - the ring stops until mydev_rx_unpause()
 * @dev: the device
 *
 * Context: process context; takes rx_mutex, waits for transfers to end.
 */
void mydev_rx_pause(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;

	mutex_lock(&dev->rx_mutex);
	spin_lock_irq(&dev->rx_lock);
	rx->pauses++;
	if (rx->state == MYDEV_STATE_RUNNING)
		rx->state = MYDEV_STATE_RECOVERING;
	spin_unlock_irq(&dev->rx_lock);
	mydev_rx_quiesce(dev);
	mutex_unlock(&dev->rx_mutex);
}

/**
 * mydev_rx_unpause() - the ring may go on
 * @dev: the device
 * @event: MYDEV_EVENT_* that clients are told, 0 for none
 *
 * What was an event for the device is a new start for the ring: errors before
 * it do not count any more.
 *
 * Context: process context.
 */
void mydev_rx_unpause(struct mydev_device *dev, u32 event)
{
	struct mydev_rx *rx = &dev->rx;

	mutex_lock(&dev->rx_mutex);
	spin_lock_irq(&dev->rx_lock);
	if (event)
		mydev_clients_event(dev, event, 0);
	if (event == MYDEV_EVENT_RESET || event == MYDEV_EVENT_ALTERNATE) {
		rx->halted = false;
		rx->failures = 0;
		rx->error = 0;
		if (rx->state == MYDEV_STATE_FAILED)
			rx->state = MYDEV_STATE_RECOVERING;
		mydev_rings_tell(dev);
	}
	if (!--rx->pauses && rx->wanted && !dev->gone)
		mod_delayed_work(system_percpu_wq, &rx->work, 0);
	spin_unlock_irq(&dev->rx_lock);
	mutex_unlock(&dev->rx_mutex);
}

/**
 * mydev_rx_clear_halt() - clear the halt of the IN endpoint
 * @dev: the device, not gone
 * @address: of the endpoint
 *
 * Context: gate held for reading; talks to the device.
 * Return: 0 or a negative errno of usbcore.
 */
int mydev_rx_clear_halt(struct mydev_device *dev, unsigned int address)
{
	int ret;

	mydev_rx_pause(dev);
	ret = usb_clear_halt(dev->udev, usb_rcvbulkpipe(dev->udev, address));
	if (!ret) {
		spin_lock_irq(&dev->rx_lock);
		dev->rx.halted = false;
		spin_unlock_irq(&dev->rx_lock);
	}
	mydev_rx_unpause(dev, 0);
	return ret;
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
	bool awake;

	mutex_lock(&dev->rx_mutex);
	spin_lock_irq(&dev->rx_lock);
	/* Not yet GONE: readers would take an empty queue for the end. */
	if (rx->state == MYDEV_STATE_RUNNING)
		rx->state = MYDEV_STATE_RECOVERING;
	spin_unlock_irq(&dev->rx_lock);

	mydev_rx_quiesce(dev);

	spin_lock_irq(&dev->rx_lock);
	rx->state = MYDEV_STATE_GONE;
	awake = rx->awake;
	rx->awake = false;
	mydev_clients_wake(dev);
	spin_unlock_irq(&dev->rx_lock);
	mutex_unlock(&dev->rx_mutex);

	if (awake)
		usb_autopm_put_interface_no_suspend(dev->intf);

	/* They check gone before they do anything, and nobody queues them. */
	cancel_delayed_work_sync(&rx->work);
	cancel_delayed_work_sync(&rx->stall_work);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_rx_shutdown);
