// SPDX-License-Identifier: GPL-2.0-only
/*
 * Control requests to the interface and its endpoints, and clearing halts.
 *
 * The interface is what we were given: whatever would reach the device around
 * it, or another interface behind somebody else's back, is refused.
 */
#include <linux/completion.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "mydev.h"

/**
 * mydev_control_allowed() - does a request stay within the interface?
 * @dev: the device
 * @type: bmRequestType
 * @index: wIndex
 *
 * A standard request would change what usbcore believes of the device. The
 * device as a whole is ours only if there is no other interface.
 *
 * Return: 0 or -EACCES.
 */
int mydev_control_allowed(struct mydev_device *dev, u8 type, u16 index)
{
	const struct usb_host_interface *setting;
	u8 address = index & 0xff;
	unsigned int i;
	int ret = -EACCES;

	if ((type & USB_TYPE_MASK) != USB_TYPE_VENDOR &&
	    (type & USB_TYPE_MASK) != USB_TYPE_CLASS)
		return ret;

	switch (type & USB_RECIP_MASK) {
	case USB_RECIP_DEVICE:
		if (dev->udev->actconfig &&
		    dev->udev->actconfig->desc.bNumInterfaces == 1)
			ret = 0;
		break;
	case USB_RECIP_INTERFACE:
		if (address == dev->info.interface_number)
			ret = 0;
		break;
	case USB_RECIP_ENDPOINT:
		setting = dev->intf->cur_altsetting;
		for (i = 0; i < setting->desc.bNumEndpoints; i++) {
			if (setting->endpoint[i].desc.bEndpointAddress ==
			    address)
				ret = 0;
		}
		break;
	}
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_control_allowed);

static void mydev_control_complete(struct urb *urb)
{
	complete(urb->context);
}

/**
 * mydev_control_errno() - what the end of a request means to who asked for it
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
	case -ETIMEDOUT:
		return status;
	case -EPERM: /* poisoned by disconnect */
		return -ENODEV;
	}
	/* A reset from elsewhere ends requests as an unplug does. */
	return dev->udev->state == USB_STATE_NOTATTACHED ? -ENODEV : -EIO;
}

/**
 * mydev_control_transfer() - do a request
 * @dev: the device, not gone
 * @setup: the request, in memory of its own
 * @data: memory of its own for the data, or NULL
 * @actual: bytes transferred
 * @timeout: jiffies
 *
 * Not usb_control_msg(), which lets nobody die who waits for a device.
 *
 * Context: gate held for reading: disconnect poisons dev->controls before it
 * takes that.
 * Return: 0 or a negative errno as the UAPI header tells.
 */
static int mydev_control_transfer(struct mydev_device *dev,
				  struct usb_ctrlrequest *setup, void *data,
				  u32 *actual, long timeout)
{
	/* Without data, usbcore wants the pipe of the setup packet. */
	bool in = (setup->bRequestType & USB_DIR_IN) && setup->wLength;
	DECLARE_COMPLETION_ONSTACK(done);
	struct urb *urb;
	long left;
	int ret;

	urb = usb_alloc_urb(0, GFP_KERNEL);
	if (!urb)
		return -ENOMEM;
	usb_fill_control_urb(urb, dev->udev,
			     in ? usb_rcvctrlpipe(dev->udev, 0)
				: usb_sndctrlpipe(dev->udev, 0),
			     (u8 *)setup, data, le16_to_cpu(setup->wLength),
			     mydev_control_complete, &done);
	usb_anchor_urb(urb, &dev->controls);
	ret = usb_submit_urb(urb, GFP_KERNEL);
	if (ret) {
		usb_unanchor_urb(urb);
		ret = mydev_control_errno(dev, ret);
		goto out;
	}

	left = wait_for_completion_killable_timeout(&done, timeout);
	if (left <= 0)
		usb_kill_urb(urb);
	/* It may have ended while we were about to end it. */
	ret = mydev_control_errno(dev, urb->status);
	if (left <= 0 && urb->status == -ENOENT)
		ret = left ? -EINTR : -ETIMEDOUT;
	if (!ret)
		*actual = urb->actual_length;
out:
	usb_free_urb(urb);
	return ret;
}

/**
 * mydev_control() - MYDEV_IOC_CONTROL
 * @client: of a file that is open for writing
 * @arg: checked for size only
 *
 * Context: process context; takes the gate.
 * Return: 0 or a negative errno as the UAPI header tells.
 */
int mydev_control(struct mydev_client *client, struct mydev_control *arg)
{
	u32 timeout_ms = arg->timeout_ms ?: MYDEV_DEFAULT_TIMEOUT_MS;
	void __user *user = u64_to_user_ptr(arg->data);
	struct mydev_device *dev = client->dev;
	struct usb_ctrlrequest *setup = NULL;
	void *data = NULL;
	int ret;

	if (arg->flags || arg->reserved || arg->reserved2)
		return -EINVAL;
	if (arg->length > U16_MAX || timeout_ms > MYDEV_MAX_TIMEOUT_MS)
		return -ERANGE;
	ret = mydev_turn_allowed(client);
	if (ret)
		return ret;

	setup = kmalloc(sizeof(*setup), GFP_KERNEL);
	if (!setup)
		return -ENOMEM;
	setup->bRequestType = arg->request_type;
	setup->bRequest = arg->request;
	setup->wValue = cpu_to_le16(arg->value);
	setup->wIndex = cpu_to_le16(arg->index);
	setup->wLength = cpu_to_le16(arg->length);
	ret = -ENOMEM;
	if (arg->length) {
		/* Zeroed: what a device does not fill goes to nobody. */
		data = kzalloc(arg->length, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		if (!data)
			goto out;
	}
	ret = -EFAULT;
	if (!(arg->request_type & USB_DIR_IN) && arg->length &&
	    copy_from_user(data, user, arg->length))
		goto out;

	ret = mydev_awaken(dev);
	if (ret)
		goto out;
	down_read(&dev->gate);
	ret = dev->gone ? -ENODEV
			: mydev_control_allowed(dev, arg->request_type,
						arg->index);
	if (!ret)
		ret = mydev_control_transfer(dev, setup, data, &arg->actual,
					     msecs_to_jiffies(timeout_ms));
	up_read(&dev->gate);
	mydev_let_sleep(dev);
	ret = mydev_gone_or(dev, ret);

	if (!ret && (arg->request_type & USB_DIR_IN) &&
	    copy_to_user(user, data, arg->actual))
		ret = -EFAULT;
out:
	kfree(data);
	kfree(setup);
	return ret;
}

/**
 * mydev_clear_halt() - MYDEV_IOC_CLEAR_HALT
 * @client: of a file that is open for writing
 * @address: of the endpoint
 *
 * Context: process context; takes the gate.
 * Return: 0 or a negative errno as the UAPI header tells.
 */
int mydev_clear_halt(struct mydev_client *client, u32 address)
{
	struct mydev_device *dev = client->dev;
	unsigned int in, out;
	int ret;

	ret = mydev_turn_allowed(client);
	if (!ret)
		ret = mydev_awaken(dev);
	if (ret)
		return ret;

	spin_lock_irq(&dev->rx_lock);
	in = dev->info.ep_in;
	out = dev->info.ep_out;
	spin_unlock_irq(&dev->rx_lock);
	down_read(&dev->gate);
	if (dev->gone)
		ret = -ENODEV;
	else if (address && address == in)
		ret = mydev_rx_clear_halt(dev, in);
	else if (address && address == out)
		ret = mydev_tx_clear_halt(dev, out);
	else
		ret = -EACCES;
	up_read(&dev->gate);
	mydev_let_sleep(dev);

	if (ret && ret != -EACCES && ret != -ENODEV)
		ret = mydev_control_errno(dev, ret);
	return mydev_gone_or(dev, ret);
}
