// SPDX-License-Identifier: GPL-2.0-only
/*
 * How many transfers and buffers of what size the receive ring has, and when it
 * has their memory: from the first member on, so that no want of it can turn up
 * in the middle of the stream.
 */
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "mydev.h"

static void mydev_rx_free_transfers(struct mydev_transfer *transfers,
				    unsigned int nr)
{
	unsigned int i;

	for (i = 0; transfers && i < nr; i++)
		usb_free_urb(transfers[i].urb);
	kfree(transfers);
}

static void mydev_rx_free(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;
	struct mydev_pool pool;

	/* Whoever looks at the counters sees all of a pool or nothing of it. */
	spin_lock_irq(&dev->rx_lock);
	mydev_pool_move(&pool, &dev->pool);
	spin_unlock_irq(&dev->rx_lock);
	mydev_pool_free(&pool);
	mydev_rx_free_transfers(rx->transfers, rx->nr);
	rx->transfers = NULL;
	INIT_LIST_HEAD(&rx->idle);
	/* The next transfers will be new ones, and not poisoned. */
	rx->poisoned = false;
}

/* Context: rx_mutex held; there is no ring. */
static int mydev_rx_alloc(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;
	struct mydev_pool pool;
	unsigned int i, noio;

	/* Disconnect takes rx_mutex, and storage may wait for that. */
	noio = memalloc_noio_save();
	rx->transfers = kcalloc(rx->nr, sizeof(*rx->transfers), GFP_KERNEL);
	if (!rx->transfers)
		goto err_free;

	for (i = 0; i < rx->nr; i++) {
		struct mydev_transfer *transfer = &rx->transfers[i];

		transfer->dev = dev;
		transfer->urb = usb_alloc_urb(0, GFP_KERNEL);
		if (!transfer->urb)
			goto err_free;
		usb_fill_bulk_urb(transfer->urb, dev->udev,
				  usb_rcvbulkpipe(dev->udev, dev->info.ep_in),
				  NULL, rx->size, mydev_rx_complete, transfer);
		list_add_tail(&transfer->list, &rx->idle);
	}

	if (mydev_pool_alloc(&pool, rx->nr_buffers, rx->size))
		goto err_free;
	spin_lock_irq(&dev->rx_lock);
	mydev_pool_move(&dev->pool, &pool);
	spin_unlock_irq(&dev->rx_lock);
	memalloc_noio_restore(noio);
	return 0;

err_free:
	memalloc_noio_restore(noio);
	mydev_rx_free(dev);
	return -ENOMEM;
}

/**
 * mydev_rx_fits() - can the ring receive from an alternate setting?
 * @dev: the device
 * @setting: the alternate setting
 *
 * Context: any; the answer holds until the geometry is changed.
 * Return: false if one of its packets is larger than a transfer.
 */
bool mydev_rx_fits(struct mydev_device *dev, struct usb_host_interface *setting)
{
	struct usb_endpoint_descriptor *in;

	if (usb_find_bulk_in_endpoint(setting, &in))
		return true;
	return usb_endpoint_maxp(in) &&
	       usb_endpoint_maxp(in) <= READ_ONCE(dev->rx.size);
}

/**
 * mydev_rx_target() - aim at the endpoint in use
 * @dev: the device; the ring is paused
 *
 * Buffers keep their size; what a transfer uses of one is a multiple of the
 * packet size.
 *
 * Context: process context; takes rx_mutex.
 */
void mydev_rx_target(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;
	unsigned int i;

	if (!dev->info.ep_in)
		return;
	mutex_lock(&dev->rx_mutex);
	spin_lock_irq(&dev->rx_lock);
	rx->size = rounddown(rx->size, dev->info.ep_in_max_packet);
	spin_unlock_irq(&dev->rx_lock);
	for (i = 0; rx->transfers && i < rx->nr; i++) {
		rx->transfers[i].urb->pipe =
			usb_rcvbulkpipe(dev->udev, dev->info.ep_in);
		rx->transfers[i].urb->transfer_buffer_length = rx->size;
	}
	mutex_unlock(&dev->rx_mutex);
}

/**
 * mydev_rx_add_member() - one more client will read
 * @dev: the device
 *
 * The first one gets the memory, so that no want of it can turn up later, in
 * the middle of the stream.
 *
 * Context: rx_mutex held.
 * Return: 0 or -ENOMEM.
 */
int mydev_rx_add_member(struct mydev_device *dev)
{
	int ret = 0;

	lockdep_assert_held(&dev->rx_mutex);
	if (!dev->nr_members)
		ret = mydev_rx_alloc(dev);
	if (!ret)
		dev->nr_members++;
	return ret;
}

/**
 * mydev_rx_remove_member() - a client that could read is gone
 * @dev: the device; the client holds no buffer any more, and the ring has
 *	settled
 *
 * The last one gives the memory back.
 *
 * Context: rx_mutex held.
 */
void mydev_rx_remove_member(struct mydev_device *dev)
{
	lockdep_assert_held(&dev->rx_mutex);
	if (!--dev->nr_members)
		mydev_rx_free(dev);
}

/**
 * mydev_rx_init() - choose the geometry of the ring
 * @dev: the device; its endpoints and speed are known
 *
 * In flight is what the host controller can fill while nobody schedules us:
 * about 5 ms of data at the speed of the bus, and at SuperSpeed 1.5 MiB, which
 * is also what keeps the bus busy between two completions, and 48 packets where
 * they are small. The pool holds about three times as much, which is how far
 * clients may drift apart.
 */
void mydev_rx_init(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;
	unsigned int maxp = dev->info.ep_in_max_packet;

	INIT_LIST_HEAD(&rx->idle);
	init_waitqueue_head(&rx->quiet);
	INIT_DELAYED_WORK(&rx->work, mydev_rx_work);
	INIT_DELAYED_WORK(&rx->stall_work, mydev_rx_stall_work);
	rx->stall_ms = MYDEV_DEFAULT_STALL_MS;
	rx->state = MYDEV_STATE_IDLE;
	if (!dev->has_in)
		return;

	if (dev->udev->speed >= USB_SPEED_SUPER) {
		rx->nr = 48;
		rx->nr_buffers = 128;
		rx->size = SZ_32K;
	} else if (dev->udev->speed == USB_SPEED_HIGH) {
		rx->nr = 16;
		rx->nr_buffers = 64;
		rx->size = SZ_16K;
	} else {
		rx->nr = 8;
		rx->nr_buffers = 32;
		rx->size = SZ_4K;
	}
	/*
	 * A transfer that is no multiple of the packet size makes the host
	 * controller fail with an overflow when a full packet meets the rest.
	 */
	if (maxp)
		rx->size = rounddown(rx->size, maxp);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_rx_init);

/**
 * mydev_rx_get_geometry() - the geometry of the ring, and its limits
 * @dev: the device
 * @geometry: all members but size are set
 *
 * Context: process context; takes rx_lock.
 */
void mydev_rx_get_geometry(struct mydev_device *dev,
			   struct mydev_geometry *geometry)
{
	struct mydev_rx *rx = &dev->rx;

	spin_lock_irq(&dev->rx_lock);
	geometry->transfers = rx->nr;
	geometry->transfer_size = rx->size;
	geometry->pool_bytes = (u64)rx->nr_buffers * rx->size;
	spin_unlock_irq(&dev->rx_lock);
	geometry->max_transfers = MYDEV_MAX_TRANSFERS;
	geometry->max_transfer_size = MYDEV_MAX_TRANSFER_SIZE;
	geometry->max_pool_bytes = MYDEV_MAX_POOL_BYTES;
	geometry->reserved = 0;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_rx_get_geometry);

/* Context: rx_mutex held. Nobody asks for data, and nobody has any. */
static bool mydev_rx_unused(struct mydev_device *dev)
{
	struct mydev_pool *pool = &dev->pool;
	bool unused;

	spin_lock_irq(&dev->rx_lock);
	mydev_pool_seal(pool);
	unused = !dev->rx.wanted && !dev->rx.in_flight &&
		 (!pool->buffers || pool->nr_free == pool->nr);
	spin_unlock_irq(&dev->rx_lock);
	return unused;
}

/* Context: rx_mutex held, the ring is unused. */
static void mydev_rx_use_geometry(struct mydev_device *dev, unsigned int nr,
				  unsigned int nr_buffers, unsigned int size)
{
	struct mydev_rx *rx = &dev->rx;

	spin_lock_irq(&dev->rx_lock);
	rx->nr = nr;
	rx->nr_buffers = nr_buffers;
	rx->size = size;
	spin_unlock_irq(&dev->rx_lock);
}

/**
 * mydev_rx_rebuild() - replace the ring of a device that has members
 * @dev: the device; its ring is unused
 * @nr: transfers
 * @nr_buffers: buffers
 * @size: bytes of each of them
 *
 * Context: rx_mutex held. Without anybody who asks for data, nobody looks at
 * transfers or pool but us and the counters.
 * Return: 0, or -ENOMEM, and the old ring is back.
 */
static int mydev_rx_rebuild(struct mydev_device *dev, unsigned int nr,
			    unsigned int nr_buffers, unsigned int size)
{
	struct mydev_rx *rx = &dev->rx;
	struct mydev_transfer *transfers = rx->transfers;
	unsigned int old_nr = rx->nr, old_nr_buffers = rx->nr_buffers;
	unsigned int old_size = rx->size, i;
	bool poisoned = rx->poisoned;
	struct mydev_pool pool;

	spin_lock_irq(&dev->rx_lock);
	mydev_pool_move(&pool, &dev->pool);
	spin_unlock_irq(&dev->rx_lock);
	INIT_LIST_HEAD(&rx->idle);
	rx->poisoned = false;

	mydev_rx_use_geometry(dev, nr, nr_buffers, size);
	if (!mydev_rx_alloc(dev)) {
		mydev_pool_free(&pool);
		mydev_rx_free_transfers(transfers, old_nr);
		return 0;
	}

	mydev_rx_use_geometry(dev, old_nr, old_nr_buffers, old_size);
	spin_lock_irq(&dev->rx_lock);
	mydev_pool_move(&dev->pool, &pool);
	spin_unlock_irq(&dev->rx_lock);
	rx->transfers = transfers;
	for (i = 0; i < old_nr; i++)
		list_add_tail(&transfers[i].list, &rx->idle);
	rx->poisoned = poisoned;
	return -ENOMEM;
}

/**
 * mydev_rx_set_geometry() - change the geometry of the ring
 * @dev: the device
 * @geometry: what it is to be
 *
 * Where there are members, the memory is got here and now, so that no want of
 * it can turn up later.
 *
 * Context: process context; takes rx_mutex.
 * Return: 0, -EOPNOTSUPP if there is nothing to receive from, -ENODEV, -ERANGE
 * for a value beyond its limit, -EBUSY while somebody asks for data, has some
 * queued, or has the pool mapped, -ENOMEM; on error everything is as it was.
 */
int mydev_rx_set_geometry(struct mydev_device *dev,
			  const struct mydev_geometry *geometry)
{
	unsigned int maxp = READ_ONCE(dev->info.ep_in_max_packet);
	unsigned int nr, nr_buffers, size;
	int ret = 0;

	if (!maxp)
		return -EOPNOTSUPP;
	if (!geometry->transfers || geometry->transfers > MYDEV_MAX_TRANSFERS)
		return -ERANGE;
	if (geometry->transfer_size < maxp ||
	    geometry->transfer_size > MYDEV_MAX_TRANSFER_SIZE)
		return -ERANGE;
	nr = geometry->transfers;
	size = rounddown(geometry->transfer_size, maxp);
	if (geometry->pool_bytes < (u64)(nr + 2) * size ||
	    geometry->pool_bytes > MYDEV_MAX_POOL_BYTES)
		return -ERANGE;
	nr_buffers = (u32)geometry->pool_bytes / size;
	/* A buffer takes whole pages, however small it is. */
	if (mydev_pool_span(nr_buffers, size) > MYDEV_MAX_POOL_BYTES)
		return -ERANGE;

	down_read(&dev->gate);
	mutex_lock(&dev->rx_mutex);
	if (dev->gone) {
		ret = -ENODEV;
		goto out;
	}
	/* Nor while the endpoint, whose packet size we went by, may change. */
	if (!mydev_rx_unused(dev) || atomic_read(&dev->maps) ||
	    dev->rx.pauses || maxp != dev->info.ep_in_max_packet) {
		ret = -EBUSY;
		goto out;
	}
	if (dev->nr_members)
		ret = mydev_rx_rebuild(dev, nr, nr_buffers, size);
	else
		mydev_rx_use_geometry(dev, nr, nr_buffers, size);
out:
	mutex_unlock(&dev->rx_mutex);
	up_read(&dev->gate);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_rx_set_geometry);
