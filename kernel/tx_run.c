// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sending, when it does not go by itself: stops, recovery from errors, data of closed
 * clients, the end.
 *
 * A stop blocks the transfers and unlinks them last to first, so that what still
 * completes is a prefix of the queue. The rest stays queued, also what a writer
 * submits meanwhile.
 */
#include <linux/sched/signal.h>

#include "mydev.h"

/* How long what a closed client has left may wait for the device. */
#define MYDEV_TX_PATIENCE (5 * HZ)

/**
 * mydev_tx_mark_cancelled() - mark the queued transfers of a client as cancelled
 * @dev: the device
 * @owner: id of the client
 * @transaction: of this transaction only; 0 for all of it
 *
 * Context: tx.lock held.
 * Return: true if there is anything, for the work to take out of the queue.
 */
static bool mydev_tx_mark_cancelled(struct mydev_device *dev, u32 owner,
				    u32 transaction)
{
	struct mydev_send *send;
	bool marked = false;

	list_for_each_entry(send, &dev->tx.queue, list) {
		if (send->client_id != owner ||
		    (transaction && send->transaction != transaction))
			continue;
		send->cancelled = true;
		marked = true;
	}
	return marked;
}

/**
 * mydev_tx_report_errors() - report errors to writers, and cancel what is behind
 * @dev: the device; nothing is in flight
 *
 * What they queued behind that is cancelled.
 *
 * Context: tx.lock held.
 */
static void mydev_tx_report_errors(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;
	struct mydev_send *send;

	tx->errors += tx->suspects;
	tx->suspects = 0;
	list_for_each_entry(send, &tx->queue, list) {
		if (!send->error || send->cancelled)
			continue;
		if (send->client)
			mydev_tx_set_error(send->client, send->error);
		else
			dev_warn_ratelimited(
				&dev->dev,
				"data of a program that has closed was not taken (%d)\n",
				send->error);
		mydev_tx_mark_cancelled(dev, send->client_id, 0);
	}
}

/**
 * mydev_tx_flush_cancelled() - remove cancelled transfers from the queue
 * @dev: the device; nothing is in flight but what is lost
 * @all: also what is not cancelled
 *
 * Context: tx.lock held.
 */
static void mydev_tx_flush_cancelled(struct mydev_device *dev, bool all)
{
	struct mydev_send *send, *next;

	list_for_each_entry_safe(send, next, &dev->tx.queue, list) {
		/* One that is lost comes back by itself, or never. */
		send->cancelled |= all;
		if (send->cancelled && !send->in_flight)
			mydev_tx_retire(send);
	}
}

/**
 * mydev_tx_fail_all() - cancel and report all that is queued
 * @dev: the device; nothing is in flight
 *
 * Context: tx.lock held.
 */
void mydev_tx_fail_all(struct mydev_device *dev)
{
	struct mydev_send *send;

	list_for_each_entry(send, &dev->tx.queue, list) {
		if (!send->error)
			send->error = -EIO;
	}
	mydev_tx_report_errors(dev);
	mydev_tx_flush_cancelled(dev, true);
}

/**
 * mydev_tx_check_orphans() - cancel data of closed clients that the device ignores
 * @dev: the device
 *
 * Cancels it, or has the work look again.
 *
 * Context: tx.lock held.
 */
static void mydev_tx_check_orphans(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;
	unsigned long limit = tx->progress + MYDEV_TX_PATIENCE;
	struct mydev_send *send;
	u32 owner = 0;

	list_for_each_entry(send, &tx->queue, list) {
		if (!send->client && !send->cancelled)
			owner = send->client_id;
	}
	/* Where sending is stopped, it is not the device that takes nothing. */
	if (!owner || tx->state != MYDEV_TX_RUNNING)
		return;
	if (time_before(jiffies, limit)) {
		schedule_delayed_work(&tx->work, limit - jiffies);
		return;
	}
	dev_warn_ratelimited(
		&dev->dev,
		"the device takes no data: dropping what a closed client has queued\n");
	mydev_tx_mark_cancelled(dev, owner, 0);
	mydev_tx_stop(dev);
}

static bool mydev_tx_is_quiet(struct mydev_tx *tx)
{
	bool quiet;

	spin_lock_irq(&tx->lock);
	quiet = !tx->in_flight && !tx->unlinking;
	spin_unlock_irq(&tx->lock);
	return quiet;
}

/* Under the lock, as the waker looks for sleepers under it. */
static bool mydev_tx_is_unlinking(struct mydev_tx *tx)
{
	bool cutting;

	spin_lock_irq(&tx->lock);
	cutting = tx->unlinking;
	spin_unlock_irq(&tx->lock);
	return cutting;
}

/**
 * mydev_tx_quiesce() - unlink all transfers and wait until none is in flight
 * @dev: the device; sending is not RUNNING
 *
 * Context: tx.mutex held; waits for completions and submitters, which do
 * not wait, and for a host controller that has lost a transfer for so long.
 * Return: false if there is such a one; all the rest holds then, too.
 */
bool mydev_tx_quiesce(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;
	unsigned int i, lost;
	bool new;

	lockdep_assert_held(&tx->mutex);
	if (!tx->urbs_blocked) {
		for (i = 0; tx->sends && i < tx->nr; i++)
			usb_block_urb(tx->sends[i].urb);
		tx->urbs_blocked = true;
		/* As in usb_kill_urb(): a submitter sees that, or we see the submitter. */
		smp_mb();
		mydev_tx_unlink_all(dev);
		wait_event_timeout(tx->quiet, mydev_tx_is_quiet(tx),
				   MYDEV_GIVEBACK_TIMEOUT);
	}
	/* Unlinking what is behind an error does not wait. */
	wait_event(tx->quiet, !mydev_tx_is_unlinking(tx));

	spin_lock_irq(&tx->lock);
	lost = tx->in_flight;
	new = lost && !tx->lost;
	tx->lost = lost;
	spin_unlock_irq(&tx->lock);
	if (new)
		dev_err(&dev->dev,
			"%u transmit transfers were not given back by the host controller; nothing is sent until they are\n",
			lost);
	/* Also their completions have ended, to the last instruction. */
	for (i = 0; !lost && tx->sends && i < tx->nr; i++)
		usb_kill_urb(tx->sends[i].urb);
	return !lost;
}

/* Context: tx.mutex held. */
static void mydev_tx_unquiesce(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;
	unsigned int i;

	lockdep_assert_held(&tx->mutex);
	for (i = 0; tx->sends && i < tx->nr; i++)
		usb_unpoison_urb(tx->sends[i].urb);
	tx->urbs_blocked = false;
}

/**
 * mydev_tx_clear_error() - clear the halt of the endpoint after an error
 * @dev: the device, not gone; nothing is in flight
 *
 * Context: disconnect_rwsem held for reading; tx.mutex held, released while the device is
 * asked, so that no open() waits for it.
 * Return: 0 or a negative errno.
 */
static int mydev_tx_clear_error(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;
	unsigned int address = dev->info.ep_out;
	int ret;

	if (!address)
		return 0;
	spin_lock_irq(&tx->lock);
	tx->clearing = true;
	spin_unlock_irq(&tx->lock);
	mutex_unlock(&tx->mutex);

	ret = mydev_ep0_clear_halt(dev, address, true);

	spin_lock_irq(&tx->lock);
	ret = mydev_tx_cleared(dev, ret);
	tx->clearing = false;
	wake_up_all(&tx->quiet);
	spin_unlock_irq(&tx->lock);
	mutex_lock(&tx->mutex);
	return ret;
}

/* Context: tx.lock held. The end of the pause has it go on. */
static bool mydev_tx_resumable(const struct mydev_tx *tx)
{
	return tx->state == MYDEV_TX_STOPPED && !tx->pauses;
}

/**
 * mydev_tx_resume_queue() - submit what is queued after a stop
 * @dev: the device; sending is stopped, and not paused
 *
 * Context: process context, tx.mutex held.
 */
static void mydev_tx_resume_queue(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;
	struct mydev_send *send;
	bool clean = true;

	lockdep_assert_held(&tx->mutex);
	spin_lock_irq(&tx->lock);
	/* Cancelled since we looked, or written since the last try to mend it failed. */
	list_for_each_entry(send, &tx->queue, list)
		clean &= !send->cancelled && !tx->needs_clear;
	if (clean) {
		tx->state = MYDEV_TX_RUNNING;
		tx->progress = jiffies;
	} else {
		mydev_tx_stop(dev);
	}
	wake_up_all(&tx->quiet);
	spin_unlock_irq(&tx->lock);
	mydev_tx_push(dev, GFP_NOIO);
}

/**
 * mydev_tx_recover() - remove what is cancelled, and go on with the rest
 * @dev: the device, not gone; sending is stopped
 *
 * Context: disconnect_rwsem held for reading, tx.mutex held; talks to the device.
 */
static void mydev_tx_recover(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;
	bool needs_clear, doubt, goes_on;
	int ret = 0;

	/* Where one is lost, its completion has us called again. */
	if (!mydev_tx_quiesce(dev))
		return;

	spin_lock_irq(&tx->lock);
	doubt = tx->doubt;
	tx->doubt = false;
	spin_unlock_irq(&tx->lock);
	if (doubt) {
		/* Not later, for what a closed client has left. */
		mod_delayed_work(system_percpu_wq, &tx->work,
				 MYDEV_UNPLUG_GRACE);
		return;
	}

	spin_lock_irq(&tx->lock);
	mydev_tx_report_errors(dev);
	mydev_tx_flush_cancelled(dev, false);
	needs_clear = tx->needs_clear;
	goes_on = mydev_tx_resumable(tx);
	spin_unlock_irq(&tx->lock);
	if (!goes_on)
		return;

	if (needs_clear)
		ret = mydev_tx_clear_error(dev);

	spin_lock_irq(&tx->lock);
	/* Things may have changed while the device was asked. */
	goes_on = mydev_tx_resumable(tx);
	/*
	 * An unplug has ended it, and tells everybody itself; or a pause, whose end has us
	 * called again.
	 */
	if (ret == -EPERM || ret == -ENODEV || ret == -ECANCELED)
		goes_on = false;
	/* The next write has it tried again. */
	if (ret && goes_on)
		mydev_tx_fail_all(dev);
	spin_unlock_irq(&tx->lock);
	if (!goes_on)
		return;

	mydev_tx_unquiesce(dev);
	mydev_tx_resume_queue(dev);
}

void mydev_tx_work(struct work_struct *work)
{
	struct mydev_device *dev =
		container_of(work, struct mydev_device, tx.work.work);
	struct mydev_tx *tx = &dev->tx;
	bool stopped;

	down_read(&dev->iface->disconnect_rwsem);
	if (!dev->gone && !mydev_interface_is_leaving(dev->iface)) {
		mutex_lock(&tx->mutex);
		spin_lock_irq(&tx->lock);
		stopped = tx->state == MYDEV_TX_STOPPED;
		spin_unlock_irq(&tx->lock);
		if (stopped)
			mydev_tx_recover(dev);
		spin_lock_irq(&tx->lock);
		mydev_tx_check_orphans(dev);
		spin_unlock_irq(&tx->lock);
		mutex_unlock(&tx->mutex);
		mydev_tx_pm_put_idle(dev);
	}
	up_read(&dev->iface->disconnect_rwsem);
}

/**
 * mydev_tx_cancel() - cancel what a client has queued
 * @client: the client
 * @transaction: of this transaction only; 0 for all of it
 *
 * This is not reported as an error: the caller knows.
 *
 * Context: process context; takes tx.lock.
 */
void mydev_tx_cancel(struct mydev_client *client, u32 transaction)
{
	struct mydev_device *dev = client->dev;

	spin_lock_irq(&dev->tx.lock);
	if (mydev_tx_mark_cancelled(dev, client->id, transaction))
		mydev_tx_stop(dev);
	spin_unlock_irq(&dev->tx.lock);
}

/* A signal ends the program, as against exit(): it does not want its data sent. */
static bool mydev_tx_killed(void)
{
	const struct signal_struct *signal = current->signal;

	return (signal->flags & SIGNAL_GROUP_EXIT) &&
	       (signal->group_exit_code & 0x7f);
}

/**
 * mydev_tx_detach_client() - leave the data of a closed client to the device
 * @client: closed
 *
 * What it wrote is the device's to send, for as long as that takes some of it
 * every few seconds. Of a program that was killed nothing more is sent.
 *
 * Context: process context; takes tx.lock.
 */
void mydev_tx_detach_client(struct mydev_client *client)
{
	struct mydev_device *dev = client->dev;
	struct mydev_tx *tx = &dev->tx;
	struct mydev_send *send;

	spin_lock_irq(&tx->lock);
	list_for_each_entry(send, &tx->queue, list) {
		if (send->client == client)
			send->client = NULL;
	}
	if (mydev_tx_killed()) {
		if (mydev_tx_mark_cancelled(dev, client->id, 0))
			mydev_tx_stop(dev);
	} else if (client->tx.sends && tx->state != MYDEV_TX_GONE) {
		schedule_delayed_work(&tx->work, MYDEV_TX_PATIENCE);
	}
	if (client->tx.send_error)
		dev_warn_ratelimited(
			&dev->dev,
			"%s (%d) closed with unreported send error %d\n",
			client->comm, client->pid, client->tx.send_error);
	spin_unlock_irq(&tx->lock);
}

/**
 * mydev_tx_shutdown() - end sending for good
 * @dev: the device; gone is set, disconnect_rwsem is free
 *
 * Context: process context, called once, by disconnect.
 */
void mydev_tx_shutdown(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;
	bool pm_held;

	mutex_lock(&tx->mutex);
	spin_lock_irq(&tx->lock);
	tx->state = MYDEV_TX_GONE;
	spin_unlock_irq(&tx->lock);
	/* What a host controller may still read from is never freed. */
	if (!mydev_tx_quiesce(dev))
		mydev_device_pin(dev);

	spin_lock_irq(&tx->lock);
	mydev_tx_flush_cancelled(dev, true);
	pm_held = tx->pm_held;
	tx->pm_held = false;
	mydev_tx_kick_waiters(dev);
	spin_unlock_irq(&tx->lock);
	mutex_unlock(&tx->mutex);

	if (pm_held)
		usb_autopm_put_interface_no_suspend(dev->iface->intf);
	/* It checks gone, and is not queued any more. */
	cancel_delayed_work_sync(&tx->work);
}
