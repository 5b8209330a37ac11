// SPDX-License-Identifier: GPL-2.0-only
/*
 * A ring that was stopped by one client while others wait: the one may do so
 * for block_timeout_ms, then it is evicted.
 */
#include "mydev.h"

/* Context: rx_lock held. Is the ring stopped, and may that not go on for ever? */
static bool mydev_rx_is_blocked(const struct mydev_device *dev)
{
	const struct mydev_rx *rx = &dev->rx;

	return rx->state == MYDEV_STATE_RUNNING && !rx->in_flight &&
	       rx->block_timeout_ms && rx->users > 1 && !dev->gone;
}

/* Context: rx_lock held. The ring is held up: for how long by now? */
static void mydev_rx_check_block(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;

	if (!mydev_clients_waiting(dev)) {
		rx->blocked = false;
	} else if (!rx->blocked) {
		rx->blocked = true;
		rx->block_start = jiffies;
	} else if (time_after_eq(
			   jiffies,
			   rx->block_start +
				   msecs_to_jiffies(rx->block_timeout_ms))) {
		mydev_clients_evict(dev);
	}
}

/**
 * mydev_rx_block_work() - measure how long a client has blocked the ring
 * @work: of the device
 *
 * Runs again and again while the ring is stopped and there is more than one
 * user.
 */
void mydev_rx_block_work(struct work_struct *work)
{
	struct mydev_device *dev =
		container_of(work, struct mydev_device, rx.block_work.work);

	spin_lock_irq(&dev->rx_lock);
	if (mydev_rx_is_blocked(dev))
		mydev_rx_check_block(dev);
	else
		dev->rx.blocked = false;
	if (mydev_rx_is_blocked(dev) && !mydev_rx_can_submit(dev, 1))
		mydev_rx_watch_block(dev);
	spin_unlock_irq(&dev->rx_lock);

	/* Also tells programs which of them are in the way now. */
	mydev_rx_refill(dev);
}

/**
 * mydev_rx_set_block_timeout() - set how long a client may block the ring
 * @dev: the device
 * @block_timeout_ms: milliseconds, 0 for ever
 *
 * Context: process context; takes rx_lock.
 */
void mydev_rx_set_block_timeout(struct mydev_device *dev,
				unsigned int block_timeout_ms)
{
	struct mydev_rx *rx = &dev->rx;

	spin_lock_irq(&dev->rx_lock);
	WRITE_ONCE(rx->block_timeout_ms, block_timeout_ms);
	rx->blocked = false;
	/* A ring that is stopped already is measured by the new limit. */
	if (block_timeout_ms && !dev->gone)
		mod_delayed_work(system_percpu_wq, &rx->block_work, 1);
	spin_unlock_irq(&dev->rx_lock);
}
