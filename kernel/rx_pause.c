// SPDX-License-Identifier: GPL-2.0-only
/*
 * What stops the receive ring for a while from outside: a pause, a halt that a program
 * has cleared.
 */
#include "mydev.h"

/**
 * mydev_rx_pause() - stop the ring until mydev_rx_unpause()
 * @dev: the device
 *
 * Context: process context; takes rx_mutex, waits for transfers and for a request
 * of our own to end.
 * Return: false if a transfer is lost.
 */
bool mydev_rx_pause(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;
	bool quiet;

	mutex_lock(&dev->rx_mutex);
	spin_lock_irq(&dev->rx_lock);
	rx->pauses++;
	if (rx->state == MYDEV_STATE_RUNNING)
		rx->state = MYDEV_STATE_RECOVERING;
	/* It is done once more when the ring goes on, if it is to be done then. */
	if (rx->clearing)
		mydev_ep0_abort(dev, dev->info.ep_in);
	spin_unlock_irq(&dev->rx_lock);
	quiet = mydev_rx_quiesce(dev);
	mutex_unlock(&dev->rx_mutex);
	wait_event(rx->quiet, !READ_ONCE(rx->clearing));
	return quiet;
}

/**
 * mydev_rx_unpause() - let the ring go on
 * @dev: the device
 * @event: MYDEV_EVENT_* for clients, 0 for none
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
		mydev_deliver_event(dev, event, 0, dev->last_id);
	if (event == MYDEV_EVENT_RESET || event == MYDEV_EVENT_ALTERNATE) {
		rx->halted = false;
		rx->needs_clear = false;
		rx->clear_failed = false;
		rx->continues = false;
		rx->failures = 0;
		rx->error = 0;
		rx->told = 0;
		if (rx->state == MYDEV_STATE_FAILED)
			rx->state = MYDEV_STATE_RECOVERING;
		mydev_holders_tell(dev);
	}
	if (!--rx->pauses && rx->users && !dev->gone)
		mod_delayed_work(system_percpu_wq, &rx->work, 0);
	spin_unlock_irq(&dev->rx_lock);
	mutex_unlock(&dev->rx_mutex);
}

/**
 * mydev_rx_clear_halt() - clear the halt of the IN endpoint
 * @client: the asking client; checked again when everything has stopped
 * @address: of the endpoint
 *
 * Context: disconnect_rwsem held for reading, the device not gone; talks to the device.
 * Return: 0 or a negative errno as the UAPI header tells.
 */
int mydev_rx_clear_halt(struct mydev_client *client, unsigned int address)
{
	struct mydev_device *dev = client->dev;
	int ret;

	/* What a host controller has lost it may still be working on. */
	if (!mydev_rx_pause(dev)) {
		mydev_rx_unpause(dev, 0);
		return -EIO;
	}
	ret = mydev_tx_allowed(client);
	if (!ret)
		ret = mydev_control_errno(
			dev, mydev_ep0_clear_halt(dev, address, false));
	spin_lock_irq(&dev->rx_lock);
	if (!ret) {
		if (dev->rx.halted)
			dev->counters.stalls++;
		dev->rx.halted = false;
	}
	/* Where the two sides may disagree, the ring does it once more. */
	if (!ret ||
	    (mydev_control_in_doubt(ret) && mydev_recovery_clears(dev, -EPIPE)))
		dev->rx.needs_clear = ret;
	spin_unlock_irq(&dev->rx_lock);
	mydev_rx_unpause(dev, 0);
	return ret;
}

/**
 * mydev_rx_restart() - handle MYDEV_IOC_RESTART
 * @client: of a file that is open for writing
 *
 * Context: process context.
 * Return: 0 or a negative errno as the UAPI header tells.
 */
int mydev_rx_restart(struct mydev_client *client)
{
	struct mydev_device *dev = client->dev;
	struct mydev_rx *rx = &dev->rx;
	int ret;

	if (!dev->has_in)
		return -EOPNOTSUPP;
	ret = mydev_tx_allowed(client);
	if (ret)
		return ret;
	spin_lock_irq(&dev->rx_lock);
	if (dev->gone) {
		ret = -ENODEV;
	} else if (rx->state == MYDEV_STATE_FAILED ||
		   rx->state == MYDEV_STATE_RECOVERING) {
		rx->failures = 0;
		rx->state = MYDEV_STATE_RECOVERING;
		/* Those that were told of an end. */
		mydev_holders_tell(dev);
		mod_delayed_work(system_percpu_wq, &rx->work, 0);
	}
	spin_unlock_irq(&dev->rx_lock);
	return ret;
}

static bool mydev_rx_restarted(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;
	bool restarted;

	spin_lock_irq(&dev->rx_lock);
	restarted = dev->gone || rx->state == MYDEV_STATE_RUNNING ||
		    !mydev_rx_startable(dev);
	spin_unlock_irq(&dev->rx_lock);
	return restarted;
}

/**
 * mydev_rx_await_restart() - wait for a moment until the ring runs again
 * @dev: the device
 *
 * The work that starts it would be overtaken by a program that stops it again and
 * again, and the others would get nothing.
 *
 * Context: process context, no lock held.
 */
void mydev_rx_await_restart(struct mydev_device *dev)
{
	wait_event_killable_timeout(dev->rx.quiet, mydev_rx_restarted(dev),
				    MYDEV_RESTART_TIMEOUT);
}
