// SPDX-License-Identifier: GPL-2.0-only
/*
 * What stops both directions for a while: sleep, reset, another alternate
 * setting. Descriptors survive all of them.
 */
#include <linux/pm.h>
#include <linux/sched/signal.h>

#include "mydev.h"

/**
 * mydev_pause() - stop both directions
 * @dev: the device
 *
 * Clients may go on to read what they have, and to write into what room is left.
 * Pauses add up.
 *
 * Context: process context; waits for transfers to end.
 * Return: false if the host controller does not give one back.
 */
bool mydev_pause(struct mydev_device *dev)
{
	bool quiet = mydev_rx_pause(dev);

	return mydev_tx_pause(dev) && quiet;
}

/**
 * mydev_unpause() - let both directions go on
 * @dev: the device
 * @event: MYDEV_EVENT_* for clients, 0 for none
 *
 * Context: process context; the rest is done by the works.
 */
void mydev_unpause(struct mydev_device *dev, u32 event)
{
	mydev_rx_unpause(dev, event);
	mydev_tx_unpause(dev);
}

/* Context: usb_mutex held, for the rest see mydev_lock_usb(). */
static int mydev_try_usb(struct mydev_device *dev)
{
	int ret;

	/* Not waited for: the holder of the lock may wait for our disconnect. */
	do {
		if (signal_pending(current))
			return -EINTR;
		ret = usb_lock_device_for_reset(dev->udev, dev->intf);
	} while (ret == -EBUSY);
	if (ret)
		return ret == -ENODEV || ret == -EINTR ? -ENODEV : -EIO;
	/* Disconnect needs the lock, so gone is stable. */
	if (READ_ONCE(dev->gone)) {
		usb_unlock_device(dev->udev);
		return -ENODEV;
	}
	return 0;
}

/**
 * mydev_lock_usb() - lock the USB device, as usbcore does for a probe
 * @dev: the device, kept awake by the caller
 *
 * While we do, it is neither disconnected nor reset nor configured by others.
 *
 * Context: process context, none of our locks held.
 * Return: 0, -ENODEV, -EINTR or -EIO.
 */
static int mydev_lock_usb(struct mydev_device *dev)
{
	int ret;

	/* Fairness, see usb_mutex. */
	if (mutex_lock_interruptible(&dev->usb_mutex))
		return -EINTR;
	ret = mydev_try_usb(dev);
	if (ret)
		mutex_unlock(&dev->usb_mutex);
	return ret;
}

static void mydev_unlock_usb(struct mydev_device *dev)
{
	usb_unlock_device(dev->udev);
	mutex_unlock(&dev->usb_mutex);
}

/**
 * mydev_usb_begin() - lock the USB device for a client that may control it
 * @client: of a file that is open for writing
 *
 * Permission may have gone meanwhile: it is checked again before the deed.
 *
 * Context: process context, no lock held.
 * Return: 0, undone by mydev_usb_end(), or a negative errno as the UAPI header tells.
 */
static int mydev_usb_begin(struct mydev_client *client)
{
	struct mydev_device *dev = client->dev;
	int ret;

	ret = mydev_tx_allowed(client);
	if (ret)
		return ret;
	ret = mydev_pm_get(dev);
	if (ret)
		return ret;
	ret = mydev_lock_usb(dev);
	if (!ret)
		return 0;
	mydev_pm_put(dev);
	return mydev_errno_or_enodev(dev, ret);
}

/* Return: @ret, or -ENODEV where the device has gone meanwhile. */
static int mydev_usb_end(struct mydev_device *dev, int ret)
{
	mydev_unlock_usb(dev);
	mydev_pm_put(dev);
	return mydev_errno_or_enodev(dev, ret);
}

/* Context: USB device locked, everything paused. */
static int mydev_use_alternate(struct mydev_device *dev,
			       struct usb_host_interface *setting)
{
	u8 interface = dev->info.interface_number;
	int ret;

	ret = usb_set_interface(dev->udev, interface,
				setting->desc.bAlternateSetting);
	if (ret) {
		/* usbcore has disabled the endpoints of the one in use. */
		if (usb_set_interface(dev->udev, interface,
				      dev->info.alternate_setting))
			usb_queue_reset_device(dev->intf);
		return mydev_control_errno(dev, ret);
	}
	spin_lock_irq(&dev->rx_lock);
	mydev_fill_endpoints(dev, setting);
	spin_unlock_irq(&dev->rx_lock);
	mydev_rx_target(dev);
	mydev_tx_cancel_queued(dev);
	return 0;
}

/**
 * mydev_set_alternate() - handle MYDEV_IOC_SET_ALTERNATE
 * @client: of a file that is open for writing
 * @number: bAlternateSetting
 *
 * Context: process context, no lock held.
 * Return: 0 or a negative errno as the UAPI header tells.
 */
int mydev_set_alternate(struct mydev_client *client, u32 number)
{
	struct mydev_device *dev = client->dev;
	struct usb_host_interface *setting;
	int ret;

	if (number > U8_MAX)
		return -ERANGE;
	ret = mydev_usb_begin(client);
	if (ret)
		return ret;
	setting = usb_altnum_to_altsetting(dev->intf, number);
	if (!setting)
		return mydev_usb_end(dev, -ERANGE);
	/* Paused, the geometry does not change any more; permissions may have. */
	if (!mydev_pause(dev))
		ret = -EIO;
	else
		ret = mydev_tx_allowed(client);
	if (!ret)
		ret = mydev_rx_fits(dev, setting)
			      ? mydev_use_alternate(dev, setting)
			      : -ERANGE;
	mydev_unpause(dev, ret ? 0 : MYDEV_EVENT_ALTERNATE);
	return mydev_usb_end(dev, ret);
}

/**
 * mydev_reset() - handle MYDEV_IOC_RESET
 * @client: of a file that is open for writing
 *
 * What it does to us comes through mydev_pre_reset() and mydev_post_reset(), as
 * it does when another driver resets the device.
 *
 * Context: process context, no lock held.
 * Return: 0 or a negative errno as the UAPI header tells.
 */
int mydev_reset(struct mydev_client *client)
{
	struct mydev_device *dev = client->dev;
	int ret;

	ret = mydev_usb_begin(client);
	if (ret)
		return ret;
	/* Waking and waiting took their time. */
	ret = mydev_tx_allowed(client);
	if (!ret) {
		ret = usb_reset_device(dev->udev);
		/* It came back as another one, or not at all. */
		if (ret && ret != -ENODEV && ret != -ENOMEM)
			ret = -EIO;
	}
	return mydev_usb_end(dev, ret);
}

int mydev_pre_reset(struct usb_interface *intf)
{
	mydev_pause(usb_get_intfdata(intf));
	return 0;
}

int mydev_post_reset(struct usb_interface *intf)
{
	struct mydev_device *dev = usb_get_intfdata(intf);

	mydev_tx_cancel_queued(dev);
	mydev_unpause(dev, MYDEV_EVENT_RESET);
	return 0;
}

int mydev_suspend(struct usb_interface *intf, pm_message_t message)
{
	struct mydev_device *dev = usb_get_intfdata(intf);
	bool quiet;

	/* usbcore may ask twice, where it could not suspend the device itself. */
	if (dev->asleep)
		return 0;
	dev->asleep = true;
	/* By itself it sleeps only where there is no stream to be disturbed. */
	dev->sleep_event = PMSG_IS_AUTO(message) ? 0 : MYDEV_EVENT_RESUME;
	quiet = mydev_pause(dev) && !mydev_requests_lost(dev);
	if (quiet || !PMSG_IS_AUTO(message))
		return 0;
	/* For what a host controller has lost, usbcore would wait for ever. */
	dev->asleep = false;
	mydev_unpause(dev, 0);
	return -EBUSY;
}

int mydev_resume(struct usb_interface *intf)
{
	struct mydev_device *dev = usb_get_intfdata(intf);

	if (!dev->asleep)
		return 0;
	dev->asleep = false;
	mydev_unpause(dev, dev->sleep_event);
	return 0;
}

/* The device lost its power while the system slept. */
int mydev_reset_resume(struct usb_interface *intf)
{
	struct mydev_device *dev = usb_get_intfdata(intf);

	if (dev->asleep)
		mydev_tx_cancel_queued(dev);
	dev->sleep_event = MYDEV_EVENT_RESET;
	return mydev_resume(intf);
}
