// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sending, when it does not go by itself: stops, pauses, and what comes after
 * an error.
 *
 * A stop blocks the transfers and takes back what is flying, from the back: what
 * the device takes meanwhile is in order, and what it has not taken stays in the
 * queue. So does what is submitted meanwhile by who has the turn.
 */
#include "mydev.h"

/* An error of the bus may be the first sign of an unplug: wait for that. */
#define MYDEV_TX_DOUBT (HZ / 5)

static bool mydev_tx_is_quiet(struct mydev_tx *tx)
{
	bool quiet;

	spin_lock_irq(&tx->lock);
	quiet = !tx->flying && !tx->cutting;
	spin_unlock_irq(&tx->lock);
	return quiet;
}

/**
 * mydev_tx_quiesce() - no transmit transfer is flying, and none can be
 * @dev: the device; sending is not RUNNING
 *
 * Context: tx.mutex held; waits for completions and for submitters, who wait
 * for nobody.
 */
static void mydev_tx_quiesce(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;
	unsigned int i;

	lockdep_assert_held(&tx->mutex);
	if (tx->blocked)
		return;
	for (i = 0; tx->sends && i < MYDEV_SENDS; i++)
		usb_block_urb(tx->sends[i].urb);
	tx->blocked = true;
	mydev_tx_cut(dev);
	/* Now all of them at once, and their completions. */
	for (i = 0; tx->sends && i < MYDEV_SENDS; i++)
		usb_kill_urb(tx->sends[i].urb);
	wait_event(tx->quiet, mydev_tx_is_quiet(tx));
}

/* Context: tx.mutex held. */
static void mydev_tx_unquiesce(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;
	unsigned int i;

	lockdep_assert_held(&tx->mutex);
	for (i = 0; tx->sends && i < MYDEV_SENDS; i++)
		usb_unpoison_urb(tx->sends[i].urb);
	tx->blocked = false;
}

/**
 * mydev_tx_recover() - drop what is doomed, and go on with the rest
 * @dev: the device, not gone; sending is stopped
 *
 * Context: gate held for reading, tx.mutex held; talks to the device.
 */
static void mydev_tx_recover(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;
	bool halted, paused, doubt;
	int ret = 0;

	mydev_tx_quiesce(dev);

	spin_lock_irq(&tx->lock);
	doubt = tx->doubt;
	tx->doubt = false;
	spin_unlock_irq(&tx->lock);
	if (doubt) {
		schedule_delayed_work(&tx->work, MYDEV_TX_DOUBT);
		return;
	}

	spin_lock_irq(&tx->lock);
	mydev_tx_judge(dev);
	mydev_tx_drop_doomed(dev, false);
	halted = tx->halted;
	paused = tx->pauses;
	spin_unlock_irq(&tx->lock);
	/* Whoever paused it has it go on. */
	if (paused)
		return;

	if (halted && dev->info.ep_out)
		ret = usb_clear_halt(dev->udev,
				     usb_sndbulkpipe(dev->udev,
						     dev->info.ep_out));

	spin_lock_irq(&tx->lock);
	if (!ret) {
		tx->halted = false;
	} else {
		/* Those who write next will have us try again. */
		dev_warn_ratelimited(&dev->dev,
				     "cannot clear a stall of sending (%d)\n",
				     ret);
		mydev_tx_fail_all(dev);
	}
	spin_unlock_irq(&tx->lock);

	mydev_tx_unquiesce(dev);
	mydev_tx_resume_queue(dev);
}

void mydev_tx_work(struct work_struct *work)
{
	struct mydev_device *dev =
		container_of(work, struct mydev_device, tx.work.work);
	struct mydev_tx *tx = &dev->tx;
	bool stopped;

	down_read(&dev->gate);
	if (!dev->gone) {
		mutex_lock(&tx->mutex);
		spin_lock_irq(&tx->lock);
		mydev_tx_forsaken(dev);
		stopped = tx->state == MYDEV_TX_STOPPED;
		spin_unlock_irq(&tx->lock);
		if (stopped)
			mydev_tx_recover(dev);
		mutex_unlock(&tx->mutex);
		mydev_tx_rest(dev);
	}
	up_read(&dev->gate);
}

/**
 * mydev_tx_pause() - nothing is sent until mydev_tx_unpause()
 * @dev: the device
 *
 * What is queued stays, and can be added to.
 *
 * Context: process context; waits for transfers to end.
 */
void mydev_tx_pause(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;

	mutex_lock(&tx->mutex);
	spin_lock_irq(&tx->lock);
	tx->pauses++;
	if (tx->state != MYDEV_TX_GONE)
		tx->state = MYDEV_TX_STOPPED;
	spin_unlock_irq(&tx->lock);
	mydev_tx_quiesce(dev);
	mutex_unlock(&tx->mutex);
}

/**
 * mydev_tx_unpause() - sending may go on
 * @dev: the device
 *
 * Context: process context.
 */
void mydev_tx_unpause(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;

	spin_lock_irq(&tx->lock);
	if (!--tx->pauses && tx->state == MYDEV_TX_STOPPED) {
		tx->progress = jiffies;
		mod_delayed_work(system_percpu_wq, &tx->work, 0);
	}
	spin_unlock_irq(&tx->lock);
}

/**
 * mydev_tx_cancel_queued() - what is queued will not be sent: EIO for its writers
 * @dev: the device; sending is paused
 *
 * A device that was reset, or whose endpoints are others now, could make
 * nothing of the rest of a message that had begun before.
 *
 * Context: process context.
 */
void mydev_tx_cancel_queued(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;

	mutex_lock(&tx->mutex);
	mydev_tx_target(dev);
	spin_lock_irq(&tx->lock);
	/* Also for a message that has begun, and has nothing queued just now. */
	tx->epoch++;
	mydev_tx_fail_all(dev);
	tx->halted = false;
	spin_unlock_irq(&tx->lock);
	mutex_unlock(&tx->mutex);
}

/**
 * mydev_tx_clear_halt() - clear the halt of the OUT endpoint
 * @dev: the device, not gone
 * @address: of the endpoint
 *
 * What is queued goes on afterwards.
 *
 * Context: gate held for reading; talks to the device.
 * Return: 0 or a negative errno of usbcore.
 */
int mydev_tx_clear_halt(struct mydev_device *dev, unsigned int address)
{
	struct mydev_tx *tx = &dev->tx;
	int ret;

	mydev_tx_pause(dev);
	ret = usb_clear_halt(dev->udev, usb_sndbulkpipe(dev->udev, address));
	spin_lock_irq(&tx->lock);
	if (!ret)
		tx->halted = false;
	spin_unlock_irq(&tx->lock);
	mydev_tx_unpause(dev);
	return ret;
}

/**
 * mydev_tx_shutdown() - the device is gone
 * @dev: the device; gone is set, and nobody is behind the gate
 *
 * Context: process context, called once, by disconnect.
 */
void mydev_tx_shutdown(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;
	bool awake;

	mutex_lock(&tx->mutex);
	spin_lock_irq(&tx->lock);
	tx->state = MYDEV_TX_GONE;
	spin_unlock_irq(&tx->lock);
	mydev_tx_quiesce(dev);

	spin_lock_irq(&tx->lock);
	mydev_tx_drop_doomed(dev, true);
	awake = tx->awake;
	tx->awake = false;
	mydev_turn_refuse(dev);
	spin_unlock_irq(&tx->lock);
	mutex_unlock(&tx->mutex);

	if (awake)
		usb_autopm_put_interface_no_suspend(dev->intf);
	/* It checks gone before it does anything, and nobody queues it. */
	cancel_delayed_work_sync(&tx->work);
}
