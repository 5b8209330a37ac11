// SPDX-License-Identifier: GPL-2.0-only
/*
 * A ring that was stopped by one client while others wait: the one may do so
 * for stall_ms, then it is lapped.
 */
#include "mydev.h"

/* How often to look at a ring that is stopped; bounds the error of stall_ms. */
static unsigned long mydev_rx_stall_period(const struct mydev_rx *rx)
{
	return max(msecs_to_jiffies(rx->stall_ms) / 8, 1UL);
}

/**
 * mydev_rx_watch() - the ring is stopped: see to it that it is not for ever
 * @dev: the device
 *
 * Context: rx_lock held.
 */
void mydev_rx_watch(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;

	if (rx->stall_ms && rx->wanted > 1 && !dev->gone)
		schedule_delayed_work(&rx->stall_work,
				      mydev_rx_stall_period(rx));
}

/**
 * mydev_rx_stall_work() - the ring was stopped by a client: for how long?
 * @work: of the device
 *
 * Runs again and again while the ring is stopped and there is more than one
 * who wants data.
 */
void mydev_rx_stall_work(struct work_struct *work)
{
	struct mydev_device *dev =
		container_of(work, struct mydev_device, rx.stall_work.work);
	struct mydev_rx *rx = &dev->rx;

	spin_lock_irq(&dev->rx_lock);
	if (rx->state != MYDEV_STATE_RUNNING || rx->in_flight ||
	    !rx->stall_ms || rx->wanted < 2 || dev->gone) {
		rx->stalled = false;
		spin_unlock_irq(&dev->rx_lock);
		return;
	}

	mydev_rings_sync(dev);
	if (!mydev_clients_waiting(dev)) {
		rx->stalled = false;
	} else if (!rx->stalled) {
		rx->stalled = true;
		rx->stall_start = jiffies;
	} else if (time_after_eq(jiffies,
				 rx->stall_start +
					 msecs_to_jiffies(rx->stall_ms))) {
		mydev_clients_lap(dev);
	}
	if (!mydev_rx_may_fly(dev, 1))
		mydev_rx_watch(dev);
	spin_unlock_irq(&dev->rx_lock);

	/* Also tells programs which of them are in the way now. */
	mydev_rx_refill(dev);
}

/**
 * mydev_rx_set_stall() - how long a client may stop the ring while others wait
 * @dev: the device
 * @stall_ms: milliseconds, 0 for ever
 *
 * Context: process context; takes rx_lock.
 */
void mydev_rx_set_stall(struct mydev_device *dev, unsigned int stall_ms)
{
	struct mydev_rx *rx = &dev->rx;

	spin_lock_irq(&dev->rx_lock);
	WRITE_ONCE(rx->stall_ms, stall_ms);
	rx->stalled = false;
	/* A ring that is stopped already is measured by the new limit. */
	if (stall_ms && !dev->gone)
		mod_delayed_work(system_percpu_wq, &rx->stall_work, 1);
	spin_unlock_irq(&dev->rx_lock);
}
