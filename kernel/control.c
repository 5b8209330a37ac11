// SPDX-License-Identifier: GPL-2.0-only
/*
 * Control requests to the interface and its endpoints, and clearing halts.
 *
 * The interface is what we were given: whatever would reach the device around
 * it is refused unless an administrator allows that, and what would reach another
 * interface behind its driver's back always.
 */
#include <linux/uaccess.h>

#include "mydev.h"

/**
 * mydev_control_allowed() - check that a request stays within what is ours
 * @dev: the device
 * @type: bmRequestType
 * @index: wIndex
 * @other: the sibling that the request is for, held, or NULL; released by
 *	mydev_group_release()
 *
 * A standard request would change what usbcore believes of the device. The
 * device as a whole, and our other interfaces of it, can be reached where there is no
 * other interface, or where an administrator has said so.
 *
 * Context: process context, disconnect_rwsem held for reading.
 * Return: 0 or -EACCES.
 */
int mydev_control_allowed(struct mydev_device *dev, u8 type, u16 index,
			  struct mydev_interface **other)
{
	bool whole = READ_ONCE(dev->iface->control_scope) == MYDEV_SCOPE_DEVICE;

	*other = NULL;
	if ((type & USB_TYPE_MASK) != USB_TYPE_VENDOR &&
	    (type & USB_TYPE_MASK) != USB_TYPE_CLASS)
		return -EACCES;
	if (mydev_is_recipient(dev->iface, type, index))
		return 0;

	if ((type & USB_RECIP_MASK) == USB_RECIP_DEVICE) {
		const struct usb_host_config *config =
			dev->iface->udev->actconfig;

		if (whole || (config && config->desc.bNumInterfaces == 1))
			return 0;
	} else if (whole) {
		*other = mydev_group_hold(dev->iface, type, index);
	}
	return *other ? 0 : -EACCES;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_control_allowed);

/**
 * mydev_control_do() - do the request of a program
 * @client: of a file that is open for writing
 * @r: the request
 * @arg: the same as it was asked for; actual is set
 * @timeout: jiffies
 *
 * Permission is checked here, behind all that the caller could make last, and right
 * before it is done.
 *
 * Context: process context, the device kept awake; takes disconnect_rwsem.
 * Return: 0 or a negative errno as the UAPI header tells.
 */
static int mydev_control_do(struct mydev_client *client,
			    struct mydev_request *r, struct mydev_control *arg,
			    long timeout)
{
	struct mydev_device *dev = client->dev;
	int ret;

	down_read(&dev->iface->disconnect_rwsem);
	ret = dev->gone ? -ENODEV : mydev_tx_allowed(client);
	if (!ret)
		ret = mydev_control_allowed(dev, arg->request_type, arg->index,
					    &r->other);
	/* Of what is pulled out, the sibling may be gone already. */
	if (ret == -EACCES && mydev_interface_is_leaving(dev->iface))
		ret = -ENODEV;
	/* A sibling's lease keeps us away from it as it does its own clients. */
	if (!ret && r->other && READ_ONCE(r->other->lease))
		ret = -EBUSY;
	if (!ret)
		ret = mydev_control_errno(dev, mydev_request_do(r, &arg->actual,
								timeout));
	mydev_group_release(r->other);
	up_read(&dev->iface->disconnect_rwsem);
	return ret;
}

/**
 * mydev_control() - handle MYDEV_IOC_CONTROL
 * @client: of a file that is open for writing
 * @arg: checked for size only
 *
 * Context: process context; takes disconnect_rwsem.
 * Return: 0 or a negative errno as the UAPI header tells.
 */
int mydev_control(struct mydev_client *client, struct mydev_control *arg)
{
	u32 timeout_ms = arg->timeout_ms ?: MYDEV_DEFAULT_TIMEOUT_MS;
	bool in = arg->request_type & USB_DIR_IN;
	void __user *user = u64_to_user_ptr(arg->data);
	struct mydev_device *dev = client->dev;
	struct mydev_request *r;
	int ret;

	if (arg->flags || arg->reserved || arg->reserved2)
		return -EINVAL;
	if (arg->length > U16_MAX || timeout_ms > MYDEV_MAX_TIMEOUT_MS)
		return -ERANGE;

	r = mydev_request_alloc(dev, arg->request_type, arg->request,
				arg->value, arg->index, arg->length);
	if (!r)
		return -ENOMEM;
	ret = -EFAULT;
	if (!in && arg->length && copy_from_user(r->data, user, arg->length))
		goto out;

	/* Checked first, so that the device is not resumed in vain. */
	ret = mydev_tx_allowed(client);
	if (!ret)
		ret = mydev_pm_get(dev);
	if (ret)
		goto out;
	ret = mydev_control_do(client, r, arg, msecs_to_jiffies(timeout_ms));
	mydev_pm_put(dev);
	ret = mydev_errno_or_enodev(dev, ret);

	if (!ret && in && copy_to_user(user, r->data, arg->actual))
		ret = -EFAULT;
out:
	mydev_request_put(r);
	return ret;
}

/**
 * mydev_clear_halt() - handle MYDEV_IOC_CLEAR_HALT
 * @client: of a file that is open for writing
 * @address: of the endpoint
 *
 * Context: process context; takes disconnect_rwsem.
 * Return: 0 or a negative errno as the UAPI header tells.
 */
int mydev_clear_halt(struct mydev_client *client, u32 address)
{
	struct mydev_device *dev = client->dev;
	unsigned int in, out;
	int ret;

	ret = mydev_tx_allowed(client);
	if (ret)
		return ret;
	/* One after the other, and data goes on in between, however often this is asked. */
	if (mutex_lock_interruptible(&dev->iface->usb_mutex))
		return -EINTR;
	ret = mydev_pm_get(dev);
	if (ret)
		goto out_unlock;

	spin_lock_irq(&dev->rx_lock);
	in = dev->info.ep_in;
	out = dev->info.ep_out;
	spin_unlock_irq(&dev->rx_lock);
	down_read(&dev->iface->disconnect_rwsem);
	if (dev->gone)
		ret = -ENODEV;
	else if (address && address == in)
		ret = mydev_rx_clear_halt(client, in);
	else if (address && address == out)
		ret = mydev_tx_clear_halt(client, out);
	else
		ret = -EACCES;
	up_read(&dev->iface->disconnect_rwsem);
	mydev_rx_await_restart(dev);
	mydev_tx_await_restart(dev);
	mydev_pm_put(dev);
out_unlock:
	mutex_unlock(&dev->iface->usb_mutex);
	return mydev_errno_or_enodev(dev, ret);
}
