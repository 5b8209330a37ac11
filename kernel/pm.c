// SPDX-License-Identifier: GPL-2.0-only
/*
 * What stops both directions for a while: sleep, reset, another alternate
 * setting. Descriptors survive all of them.
 */
#include <linux/pm.h>
#include <linux/sched/signal.h>

#include "mydev.h"

/**
 * mydev_pause() - stop both directions of all nodes
 * @iface: the interface
 *
 * Clients may go on to read what they have, and to write into what room is left.
 * Pauses add up.
 *
 * Context: process context; waits for transfers to end.
 * Return: false if the host controller does not give one back.
 */
bool mydev_pause(struct mydev_interface *iface)
{
	struct mydev_device *dev;
	bool quiet = true;

	list_for_each_entry(dev, &iface->nodes, node) {
		quiet &= mydev_rx_pause(dev);
		quiet &= mydev_tx_pause(dev);
	}
	return quiet;
}

/**
 * mydev_unpause() - let both directions of all nodes go on
 * @iface: the interface
 * @event: MYDEV_EVENT_* for clients, 0 for none
 *
 * Context: process context; the rest is done by the works.
 */
void mydev_unpause(struct mydev_interface *iface, u32 event)
{
	struct mydev_device *dev;

	list_for_each_entry(dev, &iface->nodes, node) {
		mydev_rx_unpause(dev, event);
		mydev_tx_unpause(dev);
	}
}

/* What was queued before is of no use any more. Context: everything is paused. */
static void mydev_cancel_queued(struct mydev_interface *iface)
{
	struct mydev_device *dev;

	list_for_each_entry(dev, &iface->nodes, node)
		mydev_tx_cancel_queued(dev);
}

/* Context: usb_mutex held, for the rest see mydev_lock_usb(). */
static int mydev_try_usb(struct mydev_device *dev)
{
	int ret;

	/* Not waited for: the holder of the lock may wait for our disconnect. */
	do {
		if (signal_pending(current))
			return -EINTR;
		ret = usb_lock_device_for_reset(dev->iface->udev,
						dev->iface->intf);
	} while (ret == -EBUSY);
	if (ret)
		return ret == -ENODEV || ret == -EINTR ? -ENODEV : -EIO;
	/* Disconnect needs the lock, so gone is stable. */
	if (READ_ONCE(dev->gone)) {
		usb_unlock_device(dev->iface->udev);
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
	if (mutex_lock_interruptible(&dev->iface->usb_mutex))
		return -EINTR;
	ret = mydev_try_usb(dev);
	if (ret)
		mutex_unlock(&dev->iface->usb_mutex);
	return ret;
}

static void mydev_unlock_usb(struct mydev_device *dev)
{
	usb_unlock_device(dev->iface->udev);
	mutex_unlock(&dev->iface->usb_mutex);
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

/* Context: everything is paused. */
static bool mydev_setting_fits(struct mydev_interface *iface,
			       struct usb_host_interface *setting)
{
	struct mydev_device *dev;

	list_for_each_entry(dev, &iface->nodes, node) {
		if (!mydev_rx_fits(dev, setting))
			return false;
	}
	return true;
}

/**
 * mydev_restore_alternate() - bring a device back to the setting that the host has
 * @dev: the device; it has been asked for another one, and nobody knows whether it has it
 *
 * What it has begun to send, and was being sent, is lost, as after any change.
 *
 * Context: USB device locked, everything paused.
 * Return: MYDEV_EVENT_* for clients, 0 where another one follows.
 */
static u32 mydev_restore_alternate(struct mydev_device *dev)
{
	struct mydev_interface *iface = dev->iface;
	struct usb_device *udev = iface->udev;

	if (mydev_interface_is_leaving(dev->iface))
		return 0;
	mydev_cancel_queued(iface);
	if (mydev_ep0_set_interface(dev, dev->info.alternate_setting, false)) {
		usb_queue_reset_device(iface->intf);
		return 0;
	}
	/* The device starts over with DATA0, and so does the host. */
	list_for_each_entry(dev, &iface->nodes, node) {
		if (dev->info.ep_in)
			usb_reset_endpoint(udev, dev->info.ep_in);
		if (dev->info.ep_out)
			usb_reset_endpoint(udev, dev->info.ep_out);
	}
	return MYDEV_EVENT_RESET;
}

/**
 * mydev_use_alternate() - change to another alternate setting
 * @dev: the device
 * @setting: the alternate setting
 * @event: set to what clients are to be told, MYDEV_EVENT_* or 0
 *
 * Context: USB device locked, everything paused.
 * Return: 0 or a negative errno as the UAPI header tells.
 */
static int mydev_use_alternate(struct mydev_device *dev,
			       struct usb_host_interface *setting, u32 *event)
{
	struct mydev_interface *iface = dev->iface;
	u8 interface = dev->info.interface_number;
	bool taken;
	int ret;

	/*
	 * usbcore would wait for five seconds, whatever happens. A device that answers
	 * this answers usbcore, too, or refuses in its own way.
	 */
	ret = mydev_ep0_set_interface(dev, setting->desc.bAlternateSetting,
				      true);
	if (ret && ret != -EPIPE) {
		if (ret != -ENOMEM)
			*event = mydev_restore_alternate(dev);
		return mydev_control_errno(dev, ret);
	}
	taken = !ret;

	ret = usb_set_interface(iface->udev, interface,
				setting->desc.bAlternateSetting);
	if (ret) {
		/* usbcore has disabled the endpoints of the one in use. */
		if (usb_set_interface(iface->udev, interface,
				      dev->info.alternate_setting))
			usb_queue_reset_device(iface->intf);
		else if (taken)
			*event = MYDEV_EVENT_RESET;
		/* The device has had the other one for a moment. */
		if (taken)
			mydev_cancel_queued(iface);
		return mydev_control_errno(dev, ret);
	}
	list_for_each_entry(dev, &iface->nodes, node) {
		spin_lock_irq(&dev->rx_lock);
		mydev_fill_endpoints(dev, setting);
		spin_unlock_irq(&dev->rx_lock);
		mydev_rx_target(dev);
	}
	mydev_cancel_queued(iface);
	*event = MYDEV_EVENT_ALTERNATE;
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
	u32 event = 0;
	int ret;

	if (number > U8_MAX)
		return -ERANGE;
	ret = mydev_usb_begin(client);
	if (ret)
		return ret;
	setting = usb_altnum_to_altsetting(dev->iface->intf, number);
	if (!setting)
		return mydev_usb_end(dev, -ERANGE);
	/* Paused, the geometry does not change any more; permissions may have. */
	if (!mydev_pause(dev->iface))
		ret = -EIO;
	else
		ret = mydev_tx_allowed(client);
	if (!ret)
		ret = mydev_setting_fits(dev->iface, setting)
			      ? mydev_use_alternate(dev, setting, &event)
			      : -ERANGE;
	mydev_unpause(dev->iface, event);
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
		ret = usb_reset_device(dev->iface->udev);
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
	struct mydev_interface *iface = usb_get_intfdata(intf);

	mydev_cancel_queued(iface);
	mydev_unpause(iface, MYDEV_EVENT_RESET);
	return 0;
}

int mydev_suspend(struct usb_interface *intf, pm_message_t message)
{
	struct mydev_interface *iface = usb_get_intfdata(intf);
	bool quiet;

	/* usbcore may ask twice, where it could not suspend the device itself. */
	if (iface->asleep)
		return 0;
	iface->asleep = true;
	/* By itself it sleeps only where there is no stream to be disturbed. */
	iface->sleep_event = PMSG_IS_AUTO(message) ? 0 : MYDEV_EVENT_RESUME;
	quiet = mydev_pause(iface) && !mydev_requests_lost(iface);
	if (quiet || !PMSG_IS_AUTO(message))
		return 0;
	/* For what a host controller has lost, usbcore would wait for ever. */
	iface->asleep = false;
	mydev_unpause(iface, 0);
	return -EBUSY;
}

int mydev_resume(struct usb_interface *intf)
{
	struct mydev_interface *iface = usb_get_intfdata(intf);

	if (!iface->asleep)
		return 0;
	iface->asleep = false;
	mydev_unpause(iface, iface->sleep_event);
	return 0;
}

/* The device lost its power while the system slept. */
int mydev_reset_resume(struct usb_interface *intf)
{
	struct mydev_interface *iface = usb_get_intfdata(intf);

	if (iface->asleep)
		mydev_cancel_queued(iface);
	iface->sleep_event = MYDEV_EVENT_RESET;
	return mydev_resume(intf);
}
