// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory of sending: got with the first open for writing, and kept to the end of
 * the device, as what was written outlives its writer.
 */
#include <linux/slab.h>

#include "mydev.h"

/**
 * mydev_tx_init() - initialize the sending side
 * @dev: the device
 */
void mydev_tx_init(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;

	spin_lock_init(&tx->lock);
	mutex_init(&tx->mutex);
	INIT_LIST_HEAD(&tx->idle);
	INIT_LIST_HEAD(&tx->queue);
	INIT_LIST_HEAD(&tx->waiters);
	init_waitqueue_head(&tx->wait);
	init_waitqueue_head(&tx->quiet);
	INIT_DELAYED_WORK(&tx->work, mydev_tx_work);
	tx->nr = dev->interrupt ? MYDEV_INTERRUPT_SENDS : MYDEV_SENDS;
	tx->size = dev->interrupt ? MYDEV_INTERRUPT_SEND_SIZE : MYDEV_SEND_SIZE;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_tx_init);

/**
 * mydev_tx_free() - free the memory of sending
 * @dev: the device; nothing is queued
 */
void mydev_tx_free(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;
	unsigned int i;

	for (i = 0; tx->sends && i < tx->nr; i++) {
		usb_free_urb(tx->sends[i].urb);
		kfree(tx->sends[i].data);
	}
	kfree(tx->sends);
	tx->sends = NULL;
	INIT_LIST_HEAD(&tx->idle);
}

/**
 * mydev_tx_target() - switch the transfers to the endpoint in use
 * @dev: the device; nothing is in flight
 *
 * Context: tx.mutex held.
 */
void mydev_tx_target(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;
	unsigned int i;

	spin_lock_irq(&tx->lock);
	tx->maxp = dev->info.ep_out_max_packet;
	spin_unlock_irq(&tx->lock);
	for (i = 0; tx->sends && i < tx->nr; i++)
		mydev_urb_target(dev, tx->sends[i].urb, dev->info.ep_out);
}

/**
 * mydev_tx_alloc() - allocate the memory of sending
 * @dev: the device
 *
 * Allocated with the first open for writing, so that sending cannot fail with -ENOMEM
 * later, and kept: what was written may be on its way when the last one closes.
 *
 * Context: process context; takes tx.mutex.
 * Return: 0 or -ENOMEM.
 */
int mydev_tx_alloc(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;
	struct mydev_send *sends;
	unsigned int i;
	int ret = 0;

	mutex_lock(&tx->mutex);
	if (tx->sends)
		goto out;
	ret = -ENOMEM;
	/* A resume takes the mutex, and storage may wait for that. */
	sends = kcalloc(tx->nr, sizeof(*sends), GFP_NOIO);
	if (!sends)
		goto out;
	tx->sends = sends;

	for (i = 0; i < tx->nr; i++) {
		sends[i].dev = dev;
		sends[i].urb = usb_alloc_urb(0, GFP_NOIO);
		sends[i].data = kmalloc(tx->size, GFP_NOIO | __GFP_ACCOUNT);
		if (!sends[i].urb || !sends[i].data) {
			mydev_tx_free(dev);
			goto out;
		}
		usb_fill_bulk_urb(sends[i].urb, dev->iface->udev, 0,
				  sends[i].data, 0, mydev_tx_complete,
				  &sends[i]);
		if (tx->urbs_blocked)
			usb_block_urb(sends[i].urb);
	}
	mydev_tx_target(dev);

	spin_lock_irq(&tx->lock);
	for (i = 0; i < tx->nr; i++)
		list_add_tail(&sends[i].list, &tx->idle);
	spin_unlock_irq(&tx->lock);
	ret = 0;
out:
	mutex_unlock(&tx->mutex);
	return ret;
}
