// SPDX-License-Identifier: GPL-2.0-only
/*
 * How many transfers and buffers of what size the receive ring has, and how many entries
 * the log.
 */
#include <linux/log2.h>

#include "mydev.h"

/* Where packets are of so many bytes, pool and log are full at the same time. */
#define MYDEV_SMALL_PACKET 64

/* What an interrupt endpoint sends at once and is not packed. */
#define MYDEV_LARGE_BURST 512

/* Entries of a log by default. */
static unsigned int mydev_default_entries(u64 pool_bytes)
{
	return clamp(roundup_pow_of_two(pool_bytes / MYDEV_SMALL_PACKET + 1),
		     2UL * MYDEV_DEFAULT_DEPTH, MYDEV_MAX_LOG + 0UL);
}

/**
 * mydev_rx_fits() - check that transfers can take the packets of a setting
 * @dev: the device
 * @setting: the alternate setting
 *
 * Context: any; the answer holds until the geometry is changed.
 * Return: false if one of its packets is larger than a transfer.
 */
bool mydev_rx_fits(struct mydev_device *dev, struct usb_host_interface *setting)
{
	const struct usb_endpoint_descriptor *in;

	in = mydev_pipe_endpoint(setting, dev->endpoints & MYDEV_ENDPOINTS_IN);
	return !in || usb_endpoint_maxp(in) <= READ_ONCE(dev->rx.room);
}

/**
 * mydev_rx_target() - switch the transfers to the endpoint in use
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
	rx->size = rounddown(rx->room, dev->info.ep_in_max_packet);
	spin_unlock_irq(&dev->rx_lock);
	for (i = 0; rx->transfers && i < rx->nr; i++) {
		mydev_urb_target(dev, rx->transfers[i].urb, dev->info.ep_in);
		rx->transfers[i].urb->transfer_buffer_length = rx->size;
	}
	mutex_unlock(&dev->rx_mutex);
}

/* Bytes that an interrupt endpoint may send at once. */
static unsigned int mydev_burst(const struct usb_endpoint_descriptor *desc,
				enum usb_device_speed speed)
{
	const struct usb_host_endpoint *ep =
		container_of(desc, struct usb_host_endpoint, desc);
	unsigned int bytes =
		usb_endpoint_maxp(desc) * usb_endpoint_maxp_mult(desc);

	if (speed >= USB_SPEED_SUPER)
		bytes *= ep->ss_ep_comp.bMaxBurst + 1;
	return bytes;
}

/* The most that the IN endpoint of a node may send at once, in any setting. */
static unsigned int mydev_largest_burst(struct mydev_device *dev)
{
	const struct usb_interface *intf = dev->iface->intf;
	const struct usb_endpoint_descriptor *in;
	unsigned int i, most = 0;

	for (i = 0; i < intf->num_altsetting; i++) {
		in = mydev_pipe_endpoint(&intf->altsetting[i],
					 dev->endpoints & MYDEV_ENDPOINTS_IN);
		if (in)
			most = max(most,
				   mydev_burst(in, dev->iface->udev->speed));
	}
	return most;
}

/**
 * mydev_rx_init() - choose the geometry of the ring
 * @dev: the device; its endpoints and speed are known
 *
 * In flight is what the host controller can fill while we are not scheduled:
 * about 5 ms of data at the speed of the bus, and at SuperSpeed 1.5 MiB, which
 * is also what keeps the bus busy between two completions, and 48 packets where
 * they are small. The pool holds about three times as much, which is how far
 * clients may drift apart.
 *
 * An interrupt endpoint sends little and seldom, and often packets that are full: a
 * transfer that had room for more would wait for the next one.
 */
void mydev_rx_init(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;
	unsigned int maxp = dev->info.ep_in_max_packet;

	INIT_LIST_HEAD(&rx->idle);
	init_waitqueue_head(&rx->quiet);
	INIT_DELAYED_WORK(&rx->work, mydev_rx_work);
	INIT_DELAYED_WORK(&rx->block_work, mydev_rx_block_work);
	mydev_clients_wake_init(dev);
	rx->block_timeout_ms = MYDEV_DEFAULT_BLOCK_TIMEOUT_MS;
	rx->state = MYDEV_STATE_IDLE;
	if (!dev->has_in)
		return;

	if (dev->interrupt) {
		rx->nr = 4;
		rx->size = mydev_largest_burst(dev);
		/* Where they are small they are packed, many to a page. */
		rx->nr_buffers = rx->size < MYDEV_LARGE_BURST ? 16 : 64;
	} else if (dev->iface->udev->speed >= USB_SPEED_SUPER) {
		rx->nr = 48;
		rx->nr_buffers = 128;
		rx->size = SZ_32K;
	} else if (dev->iface->udev->speed == USB_SPEED_HIGH) {
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
	rx->room = rx->size;
	if (maxp)
		rx->size = rounddown(rx->room, maxp);
	rx->nr_entries =
		mydev_default_entries((u64)rx->nr_buffers * rx->size - 1);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_rx_init);

/**
 * mydev_rx_get_geometry() - fill in the geometry of the ring, and its limits
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
	geometry->log_entries = rx->nr_entries;
	spin_unlock_irq(&dev->rx_lock);
	geometry->max_transfers = MYDEV_MAX_TRANSFERS;
	geometry->max_transfer_size = MYDEV_MAX_TRANSFER_SIZE;
	geometry->max_pool_bytes = MYDEV_MAX_POOL_BYTES;
	geometry->max_log_entries = MYDEV_MAX_LOG;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_rx_get_geometry);

/* Context: rx_mutex held. Return: true without users, and without unread data. */
static bool mydev_rx_unused(struct mydev_device *dev)
{
	struct mydev_client *client;
	bool unused;

	spin_lock_irq(&dev->rx_lock);
	unused = !dev->rx.users && !dev->rx.in_flight;
	list_for_each_entry(client, &dev->clients, list) {
		mydev_cursor_settle(client);
		if (client->subscriber && !mydev_cursor_empty(client))
			unused = false;
	}
	spin_unlock_irq(&dev->rx_lock);
	return unused;
}

/**
 * mydev_rx_set_geometry() - change the geometry of the ring
 * @dev: the device
 * @client: the asking client, NULL for the administrator
 * @geometry: what it is to be
 *
 * Where there are subscribers, the memory is got here and now, so that no want of
 * it can turn up later.
 *
 * Context: process context; takes rx_mutex.
 * Return: 0, -EOPNOTSUPP if there is nothing to receive from, -ENODEV, -ERANGE
 * for a value beyond its limit, -EBUSY while a client asks for data, has some
 * queued, or has the pool mapped, -ENOMEM, -ESTALE; on error everything is as it
 * was.
 */
int mydev_rx_set_geometry(struct mydev_device *dev,
			  const struct mydev_client *client,
			  const struct mydev_geometry *geometry)
{
	unsigned int maxp = READ_ONCE(dev->info.ep_in_max_packet);
	struct mydev_rx_numbers numbers;
	unsigned int nr, size;
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
	numbers.nr = nr;
	numbers.size = size;
	numbers.room = size;
	numbers.nr_buffers = (u32)geometry->pool_bytes / size;
	/* A buffer takes whole pages, however small it is. */
	if (mydev_pool_map_size(numbers.nr_buffers, size) >
	    MYDEV_MAX_POOL_BYTES)
		return -ERANGE;
	if (geometry->log_entries > MYDEV_MAX_LOG ||
	    (geometry->log_entries && geometry->log_entries < MYDEV_MIN_LOG))
		return -ERANGE;
	numbers.nr_entries =
		geometry->log_entries
			? roundup_pow_of_two(geometry->log_entries)
			: mydev_default_entries(geometry->pool_bytes - 1);

	down_read(&dev->iface->disconnect_rwsem);
	mutex_lock(&dev->rx_mutex);
	if (dev->gone || (client && client->revoked)) {
		ret = dev->gone ? -ENODEV : -ESTALE;
		goto out;
	}
	/* Nor while the endpoint, and its packet size, may change. */
	if (!mydev_rx_unused(dev) || atomic_read(&dev->maps) ||
	    dev->rx.pauses || maxp != dev->info.ep_in_max_packet) {
		ret = -EBUSY;
		goto out;
	}
	mydev_rx_free_unused(dev);
	if (dev->nr_subscribers)
		ret = mydev_rx_rebuild(dev, &numbers);
	else
		mydev_rx_use_geometry(dev, &numbers);
out:
	mutex_unlock(&dev->rx_mutex);
	up_read(&dev->iface->disconnect_rwsem);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_rx_set_geometry);
