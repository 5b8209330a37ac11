// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the interface is, whether it is awake, and what its errors are called: called
 * from everywhere, and calling nothing.
 */
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/time64.h>

#include "mydev.h"

#define MYDEV_MICROFRAME_US 125U

/**
 * mydev_device_pin() - keep a device and its memory for ever
 * @dev: the device; a host controller has lost a transfer of it
 *
 * And with it the module, whose code runs if the transfer comes back all the same.
 */
void mydev_device_pin(struct mydev_device *dev)
{
	dev_err(&dev->dev,
		"its memory stays in use, and the module cannot be unloaded any more\n");
	get_device(&dev->dev);
	__module_get(THIS_MODULE);
}

/* How often the host controller asks an interrupt endpoint; 0 for a bulk one. */
static u32 mydev_interval_us(const struct usb_device *udev,
			     const struct usb_endpoint_descriptor *desc)
{
	if (!desc || !usb_endpoint_xfer_int(desc))
		return 0;
	if (udev->speed < USB_SPEED_HIGH)
		return desc->bInterval * USEC_PER_MSEC;
	return MYDEV_MICROFRAME_US << (clamp(desc->bInterval, 1, 16) - 1);
}

/**
 * mydev_urb_target() - switch a transfer to the endpoint in use
 * @dev: the device
 * @urb: a transfer of it, not in flight
 * @address: of the endpoint, mydev_info.ep_in or ep_out
 */
void mydev_urb_target(struct mydev_device *dev, struct urb *urb, u8 address)
{
	struct usb_device *udev = dev->iface->udev;
	bool in = address & USB_DIR_IN;
	u32 interval_us = in ? dev->info.ep_in_interval_us
			     : dev->info.ep_out_interval_us;

	/* As usb_fill_int_urb() does: in frames, or in microframes. */
	urb->interval = interval_us / (udev->speed < USB_SPEED_HIGH
					       ? USEC_PER_MSEC
					       : MYDEV_MICROFRAME_US);
	if (interval_us)
		urb->pipe = in ? usb_rcvintpipe(udev, address)
			       : usb_sndintpipe(udev, address);
	else
		urb->pipe = in ? usb_rcvbulkpipe(udev, address)
			       : usb_sndbulkpipe(udev, address);
}

/**
 * mydev_fill_endpoints() - fill in the endpoints of an alternate setting
 * @dev: the device
 * @setting: the alternate setting
 *
 * Context: probe, or rx_lock held and everything paused.
 */
void mydev_fill_endpoints(struct mydev_device *dev,
			  struct usb_host_interface *setting)
{
	const struct usb_device *udev = dev->iface->udev;
	const struct usb_endpoint_descriptor *in, *out;
	struct mydev_info *info = &dev->info;

	in = mydev_pipe_endpoint(setting, dev->endpoints & MYDEV_ENDPOINTS_IN);
	out = mydev_pipe_endpoint(setting,
				  dev->endpoints & MYDEV_ENDPOINTS_OUT);
	info->alternate_setting = setting->desc.bAlternateSetting;
	info->interface_class = setting->desc.bInterfaceClass;
	info->interface_subclass = setting->desc.bInterfaceSubClass;
	info->interface_protocol = setting->desc.bInterfaceProtocol;
	info->ep_in = in ? in->bEndpointAddress : 0;
	info->ep_in_max_packet = in ? usb_endpoint_maxp(in) : 0;
	info->ep_out = out ? out->bEndpointAddress : 0;
	info->ep_out_max_packet = out ? usb_endpoint_maxp(out) : 0;
	info->ep_in_type = in ? usb_endpoint_type(in) : 0;
	info->ep_out_type = out ? usb_endpoint_type(out) : 0;
	info->ep_in_interval_us = mydev_interval_us(udev, in);
	info->ep_out_interval_us = mydev_interval_us(udev, out);
}

/**
 * mydev_interface_is_leaving() - check whether usbcore is about to disconnect
 * @iface: the interface
 *
 * Errors are those of the end then, and there is nothing to recover.
 *
 * Return: true if a disconnect follows.
 */
bool mydev_interface_is_leaving(const struct mydev_interface *iface)
{
	return iface->intf->condition == USB_INTERFACE_UNBINDING ||
	       iface->udev->state == USB_STATE_NOTATTACHED;
}

/**
 * mydev_pm_get() - resume the device and keep it from suspending
 * @dev: the device
 *
 * Context: process context, none of our locks held: a resume takes them.
 * Return: 0, undone by mydev_pm_put(); -ENODEV or -EIO.
 */
int mydev_pm_get(struct mydev_device *dev)
{
	int ret = -ENODEV;

	down_read(&dev->iface->disconnect_rwsem);
	if (!dev->gone) {
		ret = usb_autopm_get_interface(dev->iface->intf);
		if (ret && ret != -ENODEV)
			ret = -EIO;
	}
	up_read(&dev->iface->disconnect_rwsem);
	return ret;
}

/**
 * mydev_pm_put() - let the device suspend again
 * @dev: the device
 *
 * Context: any.
 */
void mydev_pm_put(struct mydev_device *dev)
{
	usb_autopm_put_interface_async(dev->iface->intf);
}

/**
 * mydev_errno_or_enodev() - wait whether an I/O error is the begin of an unplug
 * @dev: the device
 * @error: 0 or a negative errno as the UAPI header tells
 *
 * A device that is pulled out does not answer first, and usbcore learns only
 * then from its hub that it is gone.
 *
 * Context: process context, neither the USB device locked nor disconnect_rwsem held:
 * disconnect takes both.
 * Return: @error, or -ENODEV.
 */
int mydev_errno_or_enodev(struct mydev_device *dev, int error)
{
	if (error == -EIO &&
	    wait_event_killable_timeout(dev->iface->lease_wait,
					READ_ONCE(dev->gone),
					MYDEV_UNPLUG_GRACE) > 0)
		error = -ENODEV;
	return error;
}

/**
 * mydev_control_in_doubt() - check whether a request may have been done or not
 * @error: what became of it, as mydev_control_errno() says
 *
 * Return: true if that is unknown.
 */
bool mydev_control_in_doubt(int error)
{
	return error == -EINTR || error == -ETIMEDOUT || error == -EIO;
}

/**
 * mydev_control_errno() - translate the status of a control request
 * @dev: the device
 * @status: 0, or a negative errno of usbcore
 *
 * Return: 0 or a negative errno as the UAPI header tells.
 */
int mydev_control_errno(struct mydev_device *dev, int status)
{
	switch (status) {
	case 0:
	case -EPIPE:
	case -EOVERFLOW:
	case -ENOMEM:
	case -EINTR:
	case -ETIMEDOUT:
		return status;
	case -EPERM: /* poisoned by disconnect */
		return -ENODEV;
	}
	/* A reset from elsewhere ends requests as an unplug does. */
	return dev->iface->udev->state == USB_STATE_NOTATTACHED ? -ENODEV
								: -EIO;
}

/**
 * mydev_rx_queue_work() - let the work continue what would take too long here
 * @dev: the device; its log has more to retire, or its ring may go on
 *
 * Context: rx_lock held.
 */
void mydev_rx_queue_work(struct mydev_device *dev)
{
	if (!dev->gone)
		mod_delayed_work(system_percpu_wq, &dev->rx.block_work, 0);
}
