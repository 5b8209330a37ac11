// SPDX-License-Identifier: GPL-2.0-only
/*
 * When the receive ring runs: start, recovery from errors, the end.
 *
 *          demand                    error
 *   IDLE ----------> RUNNING <---------------> RECOVERING ------> FAILED
 *     ^                 |     work: try again             too often  |
 *     +-----------------+--- no users -------------------------------+
 *
 * and from everywhere to GONE by disconnect. Pauses (rx_pause.c) stop it as an error
 * does, and it does not go on before they are over.
 *
 * Every stop blocks the transfers and takes back what is in flight: later
 * submissions fail, also where an idle transfer was about to be submitted.
 * A host controller that does not give a transfer back has the ring LOST: it is
 * not waited for any longer, its memory stays, and the ring goes on when it has come.
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

static bool mydev_rx_is_back(struct mydev_device *dev, unsigned int i)
{
	bool back;

	spin_lock_irq(&dev->rx_lock);
	back = !dev->rx.transfers[i].buf;
	spin_unlock_irq(&dev->rx_lock);
	return back;
}

/**
 * mydev_rx_quiesce() - cancel all transfers and wait until none is in flight
 * @dev: the device; the state is not RUNNING
 *
 * A submitter that has one in hand finds it blocked, and puts it back.
 *
 * Context: rx_mutex held; waits for completions and submitters, which do
 * not wait, and for a host controller that has lost a transfer for so long.
 * Return: false if there is such a one; all the rest holds then, too.
 */
bool mydev_rx_quiesce(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;
	long left = MYDEV_GIVEBACK_TIMEOUT;
	unsigned int i, lost;
	bool new;

	lockdep_assert_held(&dev->rx_mutex);
	if (!rx->transfers)
		return true;
	if (!rx->urbs_blocked) {
		for (i = 0; i < rx->nr; i++)
			usb_block_urb(rx->transfers[i].urb);
		rx->urbs_blocked = true;
		/* As in usb_kill_urb(): a submitter sees that, or we see the submitter. */
		smp_mb();
		/*
		 * One after the other: of several at once xHCI drivers make TRBs that
		 * do nothing, and QEMU's controller stumbles over those.
		 */
		for (i = 0; i < rx->nr; i++) {
			usb_unlink_urb(rx->transfers[i].urb);
			if (left)
				left = wait_event_timeout(
					rx->quiet, mydev_rx_is_back(dev, i),
					left);
		}
		/* It is slow: then all at once, and no longer than for one. */
		if (!left)
			wait_event_timeout(rx->quiet, mydev_rx_is_quiet(dev),
					   MYDEV_GIVEBACK_TIMEOUT);
	}

	spin_lock_irq(&dev->rx_lock);
	lost = rx->in_flight;
	new = lost && !rx->lost;
	rx->lost = lost;
	spin_unlock_irq(&dev->rx_lock);
	/* Also their completions have ended, to the last instruction. */
	for (i = 0; !lost && i < rx->nr; i++)
		usb_kill_urb(rx->transfers[i].urb);
	if (new)
		dev_err(&dev->dev,
			"%u receive transfers were not given back by the host controller; nothing is received until they are\n",
			lost);
	return !lost;
}

/**
 * mydev_rx_unquiesce() - allow transfers to be submitted again
 * @dev: the device
 *
 * Context: rx_mutex held.
 */
static void mydev_rx_unquiesce(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;
	unsigned int i;

	lockdep_assert_held(&dev->rx_mutex);
	if (!rx->urbs_blocked)
		return;
	for (i = 0; i < rx->nr; i++)
		usb_unpoison_urb(rx->transfers[i].urb);
	rx->urbs_blocked = false;
}

/**
 * mydev_rx_pm_put_idle() - let the device suspend if the ring has no users
 * @dev: the device
 *
 * Context: rx_mutex held.
 */
static void mydev_rx_pm_put_idle(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;
	bool rests;

	spin_lock_irq(&dev->rx_lock);
	/* With a transfer lost, usbcore would wait for it in its suspend. */
	rests = rx->pm_held && !rx->users && !rx->in_flight;
	if (rests)
		rx->pm_held = false;
	spin_unlock_irq(&dev->rx_lock);
	if (rests)
		mydev_pm_put(dev);
}

/**
 * mydev_rx_clear_error() - clear the halt of the endpoint after an error
 * @dev: the device, not gone; its ring is quiet
 *
 * The device may take its time, and neither an open, a close nor an unplug is to wait
 * for it meanwhile.
 *
 * Context: disconnect_rwsem held for reading; rx_mutex held, released while the device is
 * asked.
 * Return: 0 or a negative errno.
 */
static int mydev_rx_clear_error(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;
	unsigned int address;
	int ret;

	spin_lock_irq(&dev->rx_lock);
	address = rx->needs_clear ? dev->info.ep_in : 0;
	rx->clearing = address;
	spin_unlock_irq(&dev->rx_lock);
	if (!address)
		return 0;

	mutex_unlock(&dev->rx_mutex);
	ret = mydev_ep0_clear_halt(dev, address, true);
	spin_lock_irq(&dev->rx_lock);
	ret = mydev_rx_cleared(dev, ret);
	rx->clearing = false;
	wake_up_all(&rx->quiet);
	spin_unlock_irq(&dev->rx_lock);
	mutex_lock(&dev->rx_mutex);
	return ret;
}

/* Context: rx_lock held. */
bool mydev_rx_startable(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;

	return rx->users && !rx->pauses && dev->info.ep_in &&
	       (rx->state == MYDEV_STATE_IDLE ||
		rx->state == MYDEV_STATE_RECOVERING);
}

/**
 * mydev_rx_give_up() - fail the ring after too many errors in a row
 * @dev: the device; its ring is quiet
 *
 * Decided only now: a program may have had it restarted while it got quiet.
 *
 * Context: rx_mutex held.
 * Return: false if there were not too many.
 */
static bool mydev_rx_give_up(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;
	unsigned int failures;
	bool failed;

	spin_lock_irq(&dev->rx_lock);
	failed = mydev_rx_exhausted(dev);
	failures = rx->failures;
	if (failed) {
		mydev_rx_count_suspects(dev);
		/* Whoever has it restarted hears of the error anew, behind its end. */
		rx->told = 0;
		rx->state = MYDEV_STATE_FAILED;
	}
	spin_unlock_irq(&dev->rx_lock);
	if (!failed)
		return false;

	dev_err(&dev->dev,
		"gave up after %u receive errors in a row; restart it, close all users and open again, or replug the device\n",
		failures);
	spin_lock_irq(&dev->rx_lock);
	mydev_clients_wake(dev);
	spin_unlock_irq(&dev->rx_lock);
	return true;
}

/**
 * mydev_rx_tell() - have clients told why the ring did not run
 * @dev: the device
 *
 * An error that comes back with each try is told once.
 *
 * Context: rx_lock held.
 */
static void mydev_rx_tell(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;
	struct mydev_place left;

	if (mydev_rx_unread(dev, &left)) {
		dev->counters.unread_packets += left.seq;
		dev->counters.unread_bytes += left.bytes;
	}
	if (rx->has_left && rx->continues)
		mydev_deliver_event(dev, MYDEV_EVENT_TORN, 0, dev->last_id);
	rx->has_left = false;

	if (rx->error && rx->error != rx->told) {
		mydev_deliver_event(dev,
				    rx->error == -EPIPE ? MYDEV_EVENT_STALL
							: MYDEV_EVENT_ERROR,
				    rx->error, rx->error_id);
		rx->told = rx->error;
	}
	rx->error = 0;
}

/**
 * mydev_rx_set_running() - let the ring run, if it still has users
 * @dev: the device, not gone; its ring is quiet, its endpoint in order
 *
 * Context: rx_mutex held.
 */
static void mydev_rx_set_running(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;
	bool dry, starts;

	spin_lock_irq(&dev->rx_lock);
	/* Things may have changed while the device was asked. */
	starts = mydev_rx_startable(dev) && !rx->needs_clear;
	spin_unlock_irq(&dev->rx_lock);
	if (!starts)
		return;

	/* First: a reader that refills and finds them blocked would leave them idle. */
	mydev_rx_unquiesce(dev);
	spin_lock_irq(&dev->rx_lock);
	mydev_rx_tell(dev);
	rx->state = MYDEV_STATE_RUNNING;
	wake_up_all(&rx->quiet);
	spin_unlock_irq(&dev->rx_lock);
	mydev_rx_refill(dev);

	spin_lock_irq(&dev->rx_lock);
	dry = rx->state == MYDEV_STATE_RUNNING && !rx->in_flight;
	if (dry)
		mydev_rx_starved(dev);
	spin_unlock_irq(&dev->rx_lock);
	if (dry)
		mydev_rx_refill(dev);
}

/**
 * mydev_rx_start() - start the ring, or restart it after an error
 * @dev: the device, not gone
 * @ret: 0, or why the device cannot be woken
 *
 * Context: disconnect_rwsem held for reading, rx_mutex held.
 */
static void mydev_rx_start(struct mydev_device *dev, int ret)
{
	bool wanted;

	spin_lock_irq(&dev->rx_lock);
	wanted = mydev_rx_startable(dev);
	spin_unlock_irq(&dev->rx_lock);
	/* Where one is lost, its completion has us called again. */
	if (!wanted || !mydev_rx_quiesce(dev) || mydev_rx_give_up(dev))
		return;

	if (!ret)
		ret = mydev_rx_clear_error(dev);
	if (!ret) {
		mydev_rx_set_running(dev);
		return;
	}
	/* By a pause, or for want of users: their end has us called again. */
	if (ret == -ECANCELED)
		return;
	spin_lock_irq(&dev->rx_lock);
	if (mydev_rx_startable(dev))
		mydev_rx_schedule_recovery(dev, ret);
	spin_unlock_irq(&dev->rx_lock);
}

/**
 * mydev_rx_pm_get() - keep the device from suspending while the ring runs
 * @dev: the device, not gone
 * @got: set if a reference was taken; the caller owns it
 *
 * Context: not under rx_mutex: a resume takes it. Called by the work only.
 * Return: 0 or a negative errno of the PM core.
 */
static int mydev_rx_pm_get(struct mydev_device *dev, bool *got)
{
	bool needed;
	int ret;

	spin_lock_irq(&dev->rx_lock);
	/* Do not test pauses: a suspended device is paused. */
	needed = dev->rx.users && dev->info.ep_in && !dev->rx.pm_held;
	spin_unlock_irq(&dev->rx_lock);
	*got = false;
	if (!needed)
		return 0;
	ret = usb_autopm_get_interface(dev->iface->intf);
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

	down_read(&dev->iface->disconnect_rwsem);
	if (!dev->gone && !mydev_interface_is_leaving(dev->iface)) {
		ret = mydev_rx_pm_get(dev, &got);
		mutex_lock(&dev->rx_mutex);
		spin_lock_irq(&dev->rx_lock);
		rx->pm_held |= got;
		spin_unlock_irq(&dev->rx_lock);
		/* Wanted only since we looked: the work is queued again. */
		if (rx->pm_held || ret)
			mydev_rx_start(dev, ret);
		mydev_rx_free_unused(dev);
		mydev_rx_pm_put_idle(dev);
		mutex_unlock(&dev->rx_mutex);
	}
	up_read(&dev->iface->disconnect_rwsem);
}

/**
 * mydev_rx_stop_if_unused() - stop the ring if the last user has left
 * @dev: the device
 *
 * Otherwise the buffers that became free are used.
 *
 * Context: rx_mutex held; waits for transfers to end.
 */
void mydev_rx_stop_if_unused(struct mydev_device *dev)
{
	bool idle;

	spin_lock_irq(&dev->rx_lock);
	idle = dev->rx.state == MYDEV_STATE_IDLE;
	spin_unlock_irq(&dev->rx_lock);

	if (idle) {
		mydev_rx_quiesce(dev);
		mydev_rx_pm_put_idle(dev);
	} else {
		mydev_rx_refill(dev);
	}
}

/**
 * mydev_rx_state() - say what the ring is doing
 * @dev: the device
 *
 * Context: rx_lock held.
 * Return: MYDEV_STATE_*.
 */
u32 mydev_rx_state(const struct mydev_device *dev)
{
	const struct mydev_rx *rx = &dev->rx;

	if (rx->pauses && rx->users && rx->state != MYDEV_STATE_GONE)
		return MYDEV_STATE_PAUSED;
	return rx->state;
}

/**
 * mydev_rx_shutdown() - end receiving for good
 * @dev: the device; gone is set, disconnect_rwsem is free
 *
 * What arrived until now is delivered, then clients see the end. They
 * keep what they have queued until they have read it.
 *
 * Context: process context, called once, by disconnect.
 */
void mydev_rx_shutdown(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;
	bool pm_held, quiet;

	mutex_lock(&dev->rx_mutex);
	spin_lock_irq(&dev->rx_lock);
	/* Not yet GONE: readers would take an empty queue for the end. */
	if (rx->state == MYDEV_STATE_RUNNING)
		rx->state = MYDEV_STATE_RECOVERING;
	spin_unlock_irq(&dev->rx_lock);

	/* What a host controller may still write to is never freed. */
	quiet = mydev_rx_quiesce(dev);
	if (!quiet)
		mydev_device_pin(dev);

	spin_lock_irq(&dev->rx_lock);
	rx->state = MYDEV_STATE_GONE;
	/* What an unplug has taken back has not failed. */
	mydev_rx_settle_suspects(dev);
	rx->suspects = 0;
	pm_held = rx->pm_held;
	rx->pm_held = false;
	mydev_clients_wake(dev);
	spin_unlock_irq(&dev->rx_lock);
	/* The work, which does it when a lost transfer comes back, does not run any more. */
	if (quiet)
		mydev_rx_free_unused(dev);
	mutex_unlock(&dev->rx_mutex);

	if (pm_held)
		usb_autopm_put_interface_no_suspend(dev->iface->intf);

	/* Both works check gone and are not queued any more. */
	cancel_delayed_work_sync(&rx->work);
	cancel_delayed_work_sync(&rx->block_work);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_rx_shutdown);
