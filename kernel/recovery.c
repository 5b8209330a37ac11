// SPDX-License-Identifier: GPL-2.0-only
/*
 * The policy of recovery from errors: when a halt is cleared, how often and when a
 * ring that has failed is tried again, and which errors count.
 */
#include <linux/minmax.h>

#include "mydev.h"

/* How often the time between two tries is doubled. */
#define MYDEV_RX_DOUBLINGS 16U

/* An error that was not the beginning of an unplug after so long is none. */
#define MYDEV_RX_DOUBT HZ

/**
 * mydev_recovery_init() - set the policy that a device has when it is plugged in
 * @dev: the device
 */
void mydev_recovery_init(struct mydev_device *dev)
{
	dev->recovery = (struct mydev_recovery){
		.size = sizeof(dev->recovery),
		.clear_halt = MYDEV_CLEAR_HALTED,
		/* Together about 1.3 s of trying. */
		.tries = 8,
		.delay_ms = 10,
		.max_delay_ms = 640,
	};
}

/**
 * mydev_recovery_get() - fill in the policy
 * @dev: the device
 * @recovery: all members are set
 *
 * Context: process context; takes rx_lock.
 */
void mydev_recovery_get(struct mydev_device *dev,
			struct mydev_recovery *recovery)
{
	spin_lock_irq(&dev->rx_lock);
	*recovery = dev->recovery;
	spin_unlock_irq(&dev->rx_lock);
}

/**
 * mydev_recovery_check() - check a policy that somebody wants
 * @recovery: the policy
 *
 * Return: 0 or a negative errno as the UAPI header tells.
 */
int mydev_recovery_check(const struct mydev_recovery *recovery)
{
	if (recovery->reserved)
		return -EINVAL;
	if (recovery->clear_halt > MYDEV_CLEAR_NEVER)
		return -EOPNOTSUPP;
	if (!recovery->delay_ms ||
	    recovery->delay_ms > recovery->max_delay_ms ||
	    recovery->max_delay_ms > MYDEV_MAX_TIMEOUT_MS)
		return -ERANGE;
	return 0;
}

/**
 * mydev_recovery_clears() - check whether a halt is to be cleared after an error
 * @dev: the device
 * @status: of a transfer that has ended with an error
 *
 * Context: any.
 * Return: true if the policy wants that.
 */
bool mydev_recovery_clears(const struct mydev_device *dev, int status)
{
	u32 when = READ_ONCE(dev->recovery.clear_halt);

	return when == MYDEV_CLEAR_ERROR ||
	       (when == MYDEV_CLEAR_HALTED && status == -EPIPE);
}

/* Return: true if an endpoint is to be cleared that was to be by another policy. */
static bool mydev_recovery_still_clears(const struct mydev_device *dev,
					bool halted, bool needs_clear)
{
	return (halted || needs_clear) &&
	       mydev_recovery_clears(dev, halted ? -EPIPE : -EPROTO);
}

/**
 * mydev_recovery_set() - change the policy
 * @dev: the device
 * @recovery: checked
 *
 * The next try, in either direction, goes by it.
 *
 * Context: process context; takes rx_lock and tx.lock.
 * Return: 0 or -ENODEV.
 */
int mydev_recovery_set(struct mydev_device *dev,
		       const struct mydev_recovery *recovery)
{
	struct mydev_rx *rx = &dev->rx;
	struct mydev_tx *tx = &dev->tx;

	spin_lock_irq(&dev->rx_lock);
	if (dev->gone) {
		spin_unlock_irq(&dev->rx_lock);
		return -ENODEV;
	}
	WRITE_ONCE(dev->recovery.clear_halt, recovery->clear_halt);
	dev->recovery.tries = recovery->tries;
	dev->recovery.delay_ms = recovery->delay_ms;
	dev->recovery.max_delay_ms = recovery->max_delay_ms;
	rx->needs_clear =
		mydev_recovery_still_clears(dev, rx->halted, rx->needs_clear);
	rx->clear_failed = false;
	spin_unlock_irq(&dev->rx_lock);

	spin_lock_irq(&tx->lock);
	tx->needs_clear =
		mydev_recovery_still_clears(dev, tx->halted, tx->needs_clear);
	tx->clear_failed = false;
	spin_unlock_irq(&tx->lock);
	return 0;
}

/* Context: rx_lock held. Now it is known that they were not those of an unplug. */
void mydev_rx_count_suspects(struct mydev_device *dev)
{
	dev->counters.errors += dev->rx.suspects;
	dev->rx.suspects = 0;
}

/**
 * mydev_rx_settle_suspects() - count errors that no unplug has followed
 * @dev: the device
 *
 * Nobody waits for that: it is found out when the counters are looked at, and by the
 * next error.
 *
 * Context: rx_lock held.
 */
void mydev_rx_settle_suspects(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;

	if (rx->suspects && time_after(jiffies, rx->suspected + MYDEV_RX_DOUBT))
		mydev_rx_count_suspects(dev);
}

/**
 * mydev_rx_errors() - count the transfers that have ended with an error
 * @dev: the device
 *
 * Context: rx_lock held.
 * Return: how many.
 */
u64 mydev_rx_errors(struct mydev_device *dev)
{
	mydev_rx_settle_suspects(dev);
	return dev->counters.errors;
}

/**
 * mydev_rx_exhausted() - check whether all tries that the policy allows have failed
 * @dev: the device
 *
 * Context: rx_lock held.
 * Return: true if so.
 */
bool mydev_rx_exhausted(const struct mydev_device *dev)
{
	const struct mydev_recovery *recovery = &dev->recovery;

	return recovery->tries && dev->rx.failures > recovery->tries;
}

/**
 * mydev_rx_delay() - choose when the next try comes
 * @dev: the device
 *
 * Context: rx_lock held.
 * Return: jiffies from now.
 */
unsigned long mydev_rx_delay(const struct mydev_device *dev)
{
	const struct mydev_recovery *recovery = &dev->recovery;
	unsigned int failures = dev->rx.failures;
	u64 ms = recovery->delay_ms;

	/* The first try comes at once, and so does the end of them. */
	if (failures < 2 || mydev_rx_exhausted(dev))
		return 0;
	ms <<= min(failures - 2, MYDEV_RX_DOUBLINGS);
	return msecs_to_jiffies(min_t(u64, ms, recovery->max_delay_ms));
}

/**
 * mydev_clear_has_failed() - check whether the device has not cleared a halt
 * @error: the negative errno that mydev_ep0_clear_halt() has ended with
 *
 * Return: false if it was not asked, or not let finish.
 */
static bool mydev_clear_has_failed(int error)
{
	return error != -EPERM && error != -ECANCELED && error != -ENOMEM;
}

/**
 * mydev_rx_cleared() - note what has become of a clear halt
 * @dev: the device
 * @ret: 0, or the negative errno that it ended with
 *
 * What was no halt needs none: then the ring is tried without.
 *
 * Context: rx_lock held.
 * Return: 0 if the ring can be tried, or a negative errno.
 */
int mydev_rx_cleared(struct mydev_device *dev, int ret)
{
	struct mydev_rx *rx = &dev->rx;

	if (!ret) {
		if (rx->halted)
			dev->counters.stalls++;
		rx->halted = false;
		rx->needs_clear = false;
		rx->clear_failed = false;
		/* The device is there. */
		mydev_rx_count_suspects(dev);
		return 0;
	}
	if (!mydev_clear_has_failed(ret))
		return ret;
	if (!rx->clear_failed)
		dev_warn(&dev->dev,
			 "cannot clear the halt of the IN endpoint (%d)%s\n",
			 ret, rx->halted ? "" : ", going on without");
	rx->clear_failed = true;
	if (rx->halted)
		return ret;
	rx->needs_clear = false;
	return 0;
}

/**
 * mydev_tx_cleared() - the same for sending
 * @dev: the device
 * @ret: 0, or the negative errno that it ended with
 *
 * Context: tx.lock held.
 * Return: 0 if something can be sent, or a negative errno.
 */
int mydev_tx_cleared(struct mydev_device *dev, int ret)
{
	struct mydev_tx *tx = &dev->tx;
	bool halted = tx->halted;

	if (ret && !mydev_clear_has_failed(ret))
		return ret;
	/* A device that refuses has changed nothing, and neither have we. */
	if (!ret || ret == -EPIPE || !halted) {
		tx->halted = false;
		tx->needs_clear = false;
	}
	if (ret && !tx->clear_failed)
		dev_warn(&dev->dev,
			 "cannot clear the halt of the OUT endpoint (%d)%s\n",
			 ret, halted ? "" : ", going on without");
	tx->clear_failed = ret;
	return halted ? ret : 0;
}

/**
 * mydev_rx_unread() - find what the last user has left
 * @dev: the device
 * @unread: packets and bytes that it had not read when it left, or that came
 *	afterwards
 *
 * Context: rx_lock held.
 * Return: false if that is nothing, or the ring has run since.
 */
bool mydev_rx_unread(const struct mydev_device *dev, struct mydev_place *unread)
{
	const struct mydev_rx *rx = &dev->rx;

	*unread = (struct mydev_place){};
	if (!rx->has_left)
		return false;
	unread->seq = dev->counters.packets - rx->left.seq;
	unread->bytes = dev->counters.bytes - rx->left.bytes;
	return unread->seq || unread->bytes;
}

/**
 * mydev_rx_all_unread() - count what was left like that since the device was plugged in
 * @dev: the device
 *
 * Context: rx_lock held.
 * Return: packets and bytes.
 */
struct mydev_place mydev_rx_all_unread(const struct mydev_device *dev)
{
	struct mydev_place all;

	mydev_rx_unread(dev, &all);
	all.seq += dev->counters.unread_packets;
	all.bytes += dev->counters.unread_bytes;
	return all;
}
