// SPDX-License-Identifier: GPL-2.0-only
/*
 * What stops sending for a while from outside: a pause, another setting, a halt that
 * a program has cleared.
 */
#include "mydev.h"

/**
 * mydev_tx_pause() - stop sending until mydev_tx_unpause()
 * @dev: the device
 *
 * What is queued stays, and can be added to.
 *
 * Context: process context; waits for transfers and for a request of our own to
 * end.
 * Return: false if a transfer is lost.
 */
bool mydev_tx_pause(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;
	bool quiet;

	mutex_lock(&tx->mutex);
	spin_lock_irq(&tx->lock);
	tx->pauses++;
	if (tx->state != MYDEV_TX_GONE)
		tx->state = MYDEV_TX_STOPPED;
	/* It is done once more when sending goes on, if it is to be done then. */
	if (tx->clearing)
		mydev_ep0_abort(dev, dev->info.ep_out);
	spin_unlock_irq(&tx->lock);
	quiet = mydev_tx_quiesce(dev);
	mutex_unlock(&tx->mutex);
	wait_event(tx->quiet, !READ_ONCE(tx->clearing));
	return quiet;
}

/**
 * mydev_tx_unpause() - let sending go on
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
 * mydev_tx_cancel_queued() - cancel all that is queued, with EIO for its writers
 * @dev: the device; sending is paused
 *
 * A device that was reset, or that has other endpoints now, could make
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
	tx->needs_clear = false;
	tx->clear_failed = false;
	spin_unlock_irq(&tx->lock);
	mutex_unlock(&tx->mutex);
}

/**
 * mydev_tx_clear_halt() - clear the halt of the OUT endpoint
 * @client: the asking client; checked again when everything has stopped
 * @address: of the endpoint
 *
 * What is queued goes on afterwards.
 *
 * Context: disconnect_rwsem held for reading, the device not gone; talks to the device.
 * Return: 0 or a negative errno as the UAPI header tells.
 */
int mydev_tx_clear_halt(struct mydev_client *client, unsigned int address)
{
	struct mydev_device *dev = client->dev;
	struct mydev_tx *tx = &dev->tx;
	int ret;

	/* What a host controller has lost it may still be working on. */
	if (!mydev_tx_pause(dev)) {
		mydev_tx_unpause(dev);
		return -EIO;
	}
	ret = mydev_tx_allowed(client);
	if (!ret)
		ret = mydev_control_errno(
			dev, mydev_ep0_clear_halt(dev, address, false));
	spin_lock_irq(&tx->lock);
	if (!ret)
		tx->halted = false;
	/* Where the two sides may disagree, the work does it once more. */
	if (!ret ||
	    (mydev_control_in_doubt(ret) && mydev_recovery_clears(dev, -EPIPE)))
		tx->needs_clear = ret;
	spin_unlock_irq(&tx->lock);
	mydev_tx_unpause(dev);
	return ret;
}

/* Has the device taken something since, or is there nothing to be taken? */
static bool mydev_tx_restarted(struct mydev_tx *tx, u64 transfers)
{
	bool restarted;

	spin_lock_irq(&tx->lock);
	restarted = tx->transfers != transfers || list_empty(&tx->queue) ||
		    (tx->state == MYDEV_TX_STOPPED && tx->pauses) ||
		    tx->state == MYDEV_TX_GONE;
	spin_unlock_irq(&tx->lock);
	return restarted;
}

/**
 * mydev_tx_await_restart() - wait for a moment until sending runs again
 * @dev: the device
 *
 * See mydev_rx_await_restart().
 *
 * Context: process context, neither disconnect_rwsem nor tx.mutex held.
 */
void mydev_tx_await_restart(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;
	u64 transfers;

	spin_lock_irq(&tx->lock);
	transfers = tx->transfers;
	spin_unlock_irq(&tx->lock);
	wait_event_killable_timeout(tx->quiet,
				    mydev_tx_restarted(tx, transfers),
				    MYDEV_RESTART_TIMEOUT);
}
