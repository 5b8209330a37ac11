// SPDX-License-Identifier: GPL-2.0-only
/*
 * What stops both directions for a while: sleep, reset, another alternate
 * setting. Descriptors survive all of them.
 */
#include <linux/pm.h>
#include <linux/pm_runtime.h>
#include <linux/sched/signal.h>

#include "mydev.h"

/* How long after it has stopped answering a device may turn out to be gone. */
#define MYDEV_LEAVING (HZ / 5)

/**
 * mydev_pause() - nothing is in flight, and nothing can be put there
 * @dev: the device
 *
 * Clients may go on to read what they have, and to write into what room is left.
 * Pauses add up.
 *
 * Context: process context; waits for transfers to end.
 */
void mydev_pause(struct mydev_device *dev)
{
	mydev_rx_pause(dev);
	mydev_tx_pause(dev);
}

/**
 * mydev_unpause() - go on
 * @dev: the device
 * @event: MYDEV_EVENT_* that clients are told in their streams, 0 for none
 *
 * Context: process context; the rest is done by the works.
 */
void mydev_unpause(struct mydev_device *dev, u32 event)
{
	mydev_rx_unpause(dev, event);
	mydev_tx_unpause(dev);
}

/**
 * mydev_awaken() - the device must not suspend; wake it if it has
 * @dev: the device
 *
 * Context: process context, none of our locks held: a resume takes them.
 * Return: 0, undone by mydev_let_sleep(); -ENODEV or -EIO.
 */
int mydev_awaken(struct mydev_device *dev)
{
	int ret = -ENODEV;

	down_read(&dev->gate);
	if (!dev->gone) {
		ret = usb_autopm_get_interface(dev->intf);
		if (ret && ret != -ENODEV)
			ret = -EIO;
	}
	up_read(&dev->gate);
	return ret;
}

/**
 * mydev_let_sleep() - the device may suspend again
 * @dev: the device
 *
 * Context: any.
 */
void mydev_let_sleep(struct mydev_device *dev)
{
	usb_autopm_put_interface_async(dev->intf);
}

/**
 * mydev_gone_or() - what an error is to be called
 * @dev: the device
 * @error: 0 or a negative errno as the UAPI header tells
 *
 * A device that is pulled out does not answer first, and usbcore learns only
 * then from its hub that it is gone.
 *
 * Context: process context, neither the USB device locked nor the gate held:
 * disconnect takes both.
 * Return: @error, or -ENODEV.
 */
int mydev_gone_or(struct mydev_device *dev, int error)
{
	if (error == -EIO &&
	    wait_event_killable_timeout(dev->tx.wait, READ_ONCE(dev->gone),
					MYDEV_LEAVING) > 0)
		error = -ENODEV;
	return error;
}

/* Context: usb_mutex held, for the rest see mydev_lock_usb(). */
static int mydev_try_usb(struct mydev_device *dev)
{
	int ret;

	/* Not waited for: who has the lock may wait for our disconnect. */
	do {
		if (signal_pending(current))
			return -EINTR;
		ret = usb_lock_device_for_reset(dev->udev, dev->intf);
	} while (ret == -EBUSY);
	if (ret)
		return ret == -ENODEV || ret == -EINTR ? -ENODEV : -EIO;
	/* Disconnect needs the lock: what is so now stays so. */
	if (READ_ONCE(dev->gone)) {
		usb_unlock_device(dev->udev);
		return -ENODEV;
	}
	return 0;
}

/**
 * mydev_lock_usb() - own the USB device, as usbcore does for a probe
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

	/* One after the other: where it is tried for, who asks again at once is first. */
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
	mydev_describe_endpoints(dev, setting);
	spin_unlock_irq(&dev->rx_lock);
	mydev_rx_target(dev);
	mydev_tx_cancel_queued(dev);
	return 0;
}

/**
 * mydev_set_alternate() - MYDEV_IOC_SET_ALTERNATE
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
	ret = mydev_turn_allowed(client);
	if (ret)
		return ret;
	ret = mydev_awaken(dev);
	if (ret)
		return ret;
	ret = mydev_lock_usb(dev);
	if (ret)
		goto out_sleep;

	setting = usb_altnum_to_altsetting(dev->intf, number);
	if (!setting) {
		ret = -ERANGE;
		goto out_unlock;
	}
	/* Paused, the geometry does not change any more. */
	mydev_pause(dev);
	if (mydev_rx_fits(dev, setting))
		ret = mydev_use_alternate(dev, setting);
	else
		ret = -ERANGE;
	mydev_unpause(dev, ret ? 0 : MYDEV_EVENT_ALTERNATE);
out_unlock:
	mydev_unlock_usb(dev);
out_sleep:
	mydev_let_sleep(dev);
	return mydev_gone_or(dev, ret);
}

/**
 * mydev_reset() - MYDEV_IOC_RESET
 * @client: of a file that is open for writing
 *
 * What it does to us comes through mydev_pre_reset() and mydev_post_reset(), as
 * it does when somebody else resets the device.
 *
 * Context: process context, no lock held.
 * Return: 0 or a negative errno as the UAPI header tells.
 */
int mydev_reset(struct mydev_client *client)
{
	struct mydev_device *dev = client->dev;
	int ret;

	ret = mydev_turn_allowed(client);
	if (ret)
		return ret;
	ret = mydev_awaken(dev);
	if (ret)
		return ret;
	ret = mydev_lock_usb(dev);
	if (ret)
		goto out_sleep;
	ret = usb_reset_device(dev->udev);
	mydev_unlock_usb(dev);
	/* It came back as another one, or not at all. */
	if (ret)
		ret = ret == -ENODEV || ret == -ENOMEM ? ret : -EIO;
out_sleep:
	mydev_let_sleep(dev);
	return mydev_gone_or(dev, ret);
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

	/* usbcore may ask twice, where it could not suspend the device itself. */
	if (dev->asleep)
		return 0;
	dev->asleep = true;
	/* By itself it sleeps only where there is no stream to be disturbed. */
	dev->sleep_event = PMSG_IS_AUTO(message) ? 0 : MYDEV_EVENT_RESUME;
	mydev_pause(dev);
	return 0;
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
