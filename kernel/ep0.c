// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests on the device's control endpoint.
 *
 * usb_control_msg() and what is made of it waits uninterruptibly, for as long as a
 * host controller likes, and an unplug waits for it as well. Here a signal ends the
 * wait, and so does disconnect; and a transfer that the host controller does not give
 * back is left behind with all that it may still use.
 */
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/module.h>
#include <linux/refcount.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/usb/quirks.h>

#include "mydev.h"

/*
 * USB 2.0, 9.2.6.4, allows a device 50 ms for a standard request without data; some
 * take longer, and networks do.
 */
#define MYDEV_OWN_TIMEOUT HZ

/* How often a request looks whether usbcore waits for it to disconnect the device. */
#define MYDEV_LEAVING_POLL (HZ / 20)

/* Requests that were lost and have come back, each with a reference to the module. */
static atomic_t mydev_requests_back = ATOMIC_INIT(0);

/**
 * mydev_request_put() - drop a reference to a request
 * @r: the request, or NULL
 *
 * Where its transfer was lost, the memory stays until that comes back.
 *
 * Context: any.
 */
void mydev_request_put(struct mydev_request *r)
{
	if (!r || !refcount_dec_and_test(&r->refs))
		return;
	usb_free_urb(r->urb);
	kfree(r->data);
	kfree(r->setup);
	kfree(r);
}

static void mydev_request_complete(struct urb *urb)
{
	struct mydev_request *r = urb->context;
	struct mydev_interface *iface = r->iface;
	unsigned long flags;

	/* The interface is there: the waiter is, or it is known that one is lost. */
	spin_lock_irqsave(&iface->requests_lock, flags);
	r->done = true;
	if (r->lost) {
		iface->requests_lost--;
		atomic_inc(&mydev_requests_back);
	}
	spin_unlock_irqrestore(&iface->requests_lock, flags);
	complete(&r->back);
	complete(&r->wake);
	mydev_request_put(r);
}

/**
 * mydev_request_alloc() - allocate a control request and the memory of its data
 * @dev: the device
 * @type: bmRequestType
 * @request: bRequest
 * @value: wValue
 * @index: wIndex
 * @length: wLength
 *
 * The data is zeroed: what a device does not fill stays so.
 *
 * Context: process context.
 * Return: the request, put by mydev_request_put(), or NULL for want of memory.
 */
struct mydev_request *mydev_request_alloc(struct mydev_device *dev, u8 type,
					  u8 request, u16 value, u16 index,
					  u16 length)
{
	/* Without data, usbcore wants the pipe of the setup packet. */
	bool in = (type & USB_DIR_IN) && length;
	struct mydev_request *r = kzalloc(sizeof(*r), GFP_KERNEL_ACCOUNT);
	struct usb_device *udev = dev->iface->udev;

	if (!r)
		return NULL;
	r->iface = dev->iface;
	refcount_set(&r->refs, 1);
	init_completion(&r->wake);
	init_completion(&r->back);
	r->urb = usb_alloc_urb(0, GFP_KERNEL);
	/* Memory of their own, as both are mapped for the host controller. */
	r->setup = kmalloc(sizeof(*r->setup), GFP_KERNEL);
	if (length)
		r->data = kzalloc(length, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!r->urb || !r->setup || (length && !r->data)) {
		mydev_request_put(r);
		return NULL;
	}
	r->setup->bRequestType = type;
	r->setup->bRequest = request;
	r->setup->wValue = cpu_to_le16(value);
	r->setup->wIndex = cpu_to_le16(index);
	r->setup->wLength = cpu_to_le16(length);
	usb_fill_control_urb(
		r->urb, udev,
		in ? usb_rcvctrlpipe(udev, 0) : usb_sndctrlpipe(udev, 0),
		(u8 *)r->setup, r->data, length, mydev_request_complete, r);
	return r;
}

/* Return: false if a disconnect has begun. */
static bool mydev_request_list(struct mydev_interface *iface,
			       struct list_head *item, struct list_head *list)
{
	bool add;

	spin_lock_irq(&iface->requests_lock);
	add = !iface->requests_end;
	if (add)
		list_add_tail(item, list);
	spin_unlock_irq(&iface->requests_lock);
	return add;
}

/* Return: true if a disconnect has begun. */
static bool mydev_request_unlist(struct mydev_interface *iface,
				 struct list_head *item)
{
	bool ended;

	spin_lock_irq(&iface->requests_lock);
	list_del(item);
	ended = iface->requests_end;
	spin_unlock_irq(&iface->requests_lock);
	return ended;
}

/* Return: 0, or what mydev_request_do() says of a disconnect that has begun. */
static int mydev_request_add(struct mydev_request *r)
{
	struct mydev_interface *iface = r->iface, *other = r->other;

	if (!mydev_request_list(iface, &r->list, &iface->requests))
		return -EPERM;
	if (!other ||
	    mydev_request_list(other, &r->other_list, &other->other_requests))
		return 0;
	mydev_request_unlist(iface, &r->list);
	return -ESHUTDOWN;
}

/* Return: the same. */
static int mydev_request_remove(struct mydev_request *r)
{
	int ret = 0;

	if (r->other && mydev_request_unlist(r->other, &r->other_list))
		ret = -ESHUTDOWN;
	if (mydev_request_unlist(r->iface, &r->list))
		ret = -EPERM;
	return ret;
}

/* Return: true if the transfer is lost from now on. */
static bool mydev_request_lose(struct mydev_request *r)
{
	struct mydev_interface *iface = r->iface;

	spin_lock_irq(&iface->requests_lock);
	r->lost = !r->done;
	if (r->lost) {
		iface->requests_lost++;
		/* Its completion is code of the module. */
		__module_get(THIS_MODULE);
	}
	spin_unlock_irq(&iface->requests_lock);
	return r->lost;
}

/**
 * mydev_ep0_abort() - end a clear halt of the driver's own
 * @dev: the device
 * @address: of the endpoint, which is not wanted any more, or by somebody else
 *
 * Context: any; does not wait.
 */
void mydev_ep0_abort(struct mydev_device *dev, unsigned int address)
{
	struct mydev_request *r;
	unsigned long flags;

	spin_lock_irqsave(&dev->iface->requests_lock, flags);
	list_for_each_entry(r, &dev->iface->requests, list) {
		if (!r->abortable || le16_to_cpu(r->setup->wIndex) != address)
			continue;
		r->aborted = true;
		complete(&r->wake);
	}
	spin_unlock_irqrestore(&dev->iface->requests_lock, flags);
}

/**
 * mydev_requests_end() - end all requests, and refuse new ones
 * @iface: the interface, being disconnected
 *
 * Those of siblings that are for this interface end with them: another driver may have
 * it next.
 *
 * Context: process context; does not wait.
 */
void mydev_requests_end(struct mydev_interface *iface)
{
	struct mydev_request *r;

	spin_lock_irq(&iface->requests_lock);
	iface->requests_end = true;
	list_for_each_entry(r, &iface->requests, list)
		complete(&r->wake);
	list_for_each_entry(r, &iface->other_requests, other_list)
		complete(&r->wake);
	spin_unlock_irq(&iface->requests_lock);
}

/**
 * mydev_requests_reap() - drop the module references of requests that have come back
 *
 * Not for their completions, which would return into what may be freed.
 *
 * Context: process context of a caller that keeps the module: of a file, or of a device
 * that is bound.
 */
void mydev_requests_reap(void)
{
	while (atomic_add_unless(&mydev_requests_back, -1, 0))
		module_put(THIS_MODULE);
}

/**
 * mydev_requests_lost() - check whether a host controller has lost a request
 * @iface: the interface
 *
 * Return: true if one may still use its memory.
 */
bool mydev_requests_lost(struct mydev_interface *iface)
{
	bool lost;

	spin_lock_irq(&iface->requests_lock);
	lost = iface->requests_lost;
	spin_unlock_irq(&iface->requests_lock);
	return lost;
}

/**
 * mydev_request_cancel() - take a transfer back that takes too long
 * @r: the request
 *
 * Context: process context; waits for the host controller, but not for ever.
 * Return: false if the transfer is lost.
 */
static bool mydev_request_cancel(struct mydev_request *r)
{
	usb_unlink_urb(r->urb);
	if (wait_for_completion_timeout(&r->back, MYDEV_GIVEBACK_TIMEOUT))
		return true;
	if (mydev_request_lose(r)) {
		dev_err(&r->iface->intf->dev,
			"a control request was not given back by the host controller\n");
		return false;
	}
	wait_for_completion(&r->back);
	return true;
}

/* Return: why a request was ended. */
static int mydev_request_why(const struct mydev_request *r, long left)
{
	if (mydev_interface_is_leaving(r->iface))
		return -EPERM;
	if (left < 0)
		return -EINTR;
	return READ_ONCE(r->aborted) ? -ECANCELED : -ETIMEDOUT;
}

/**
 * mydev_request_wait() - wait until a request has ended, or is to be ended
 * @r: the request
 * @timeout: jiffies
 *
 * With the USB device locked, disconnect is not called, and cannot end it: then it is
 * known by what usbcore says of the device.
 *
 * Return: a negative errno for a signal.
 */
static long mydev_request_wait(struct mydev_request *r, long timeout)
{
	long left, slice;

	do {
		slice = min_t(long, timeout, MYDEV_LEAVING_POLL);
		timeout -= slice;
		left = r->patient
			       ? wait_for_completion_timeout(&r->wake, slice)
			       : wait_for_completion_killable_timeout(&r->wake,
								      slice);
	} while (!left && timeout && !mydev_interface_is_leaving(r->iface));
	return left;
}

/**
 * mydev_request_do() - do a request, once
 * @r: the request
 * @actual: bytes transferred
 * @timeout: jiffies
 *
 * Context: disconnect_rwsem held for reading, that of @r->other, too: disconnect ends
 * all requests before it takes that; or the USB device locked.
 * Return: 0 or a negative errno of usbcore; -EPERM if disconnect has ended it, -ESHUTDOWN
 * if that of the sibling it is for has, -EINTR by a fatal signal, -ECANCELED by
 * mydev_ep0_abort(), -ETIMEDOUT, -EPROTO for an end that cannot be.
 */
int mydev_request_do(struct mydev_request *r, u32 *actual, long timeout)
{
	struct urb *urb = r->urb;
	int ended, ret;
	bool back;
	long left;

	ret = mydev_request_add(r);
	if (ret)
		return ret;
	/* That of the URB. */
	refcount_inc(&r->refs);
	ret = usb_submit_urb(urb, GFP_KERNEL);
	if (ret) {
		mydev_request_remove(r);
		mydev_request_put(r);
		return ret;
	}

	left = mydev_request_wait(r, timeout);
	back = try_wait_for_completion(&r->back);
	ended = mydev_request_remove(r);
	if (!back && !mydev_request_cancel(r))
		return ended ?: mydev_request_why(r, left);
	mydev_urb_check(urb, !back);
	ret = urb->status;
	/* It may have ended while we were about to end it. */
	if (!back && (ret == -ENOENT || ret == -ECONNRESET))
		ret = mydev_request_why(r, left);
	else if (ret == -EPERM || ret == -ENODEV)
		/* Only disconnect says that the device is gone, not a USB/IP peer. */
		ret = -EPROTO;
	if (!ret)
		*actual = urb->actual_length;
	else if (ended)
		ret = ended;
	/* Its completion has ended, to the last instruction. */
	usb_kill_urb(urb);
	return ret;
}

/**
 * mydev_ep0_ask() - do a standard request of the driver's own
 * @dev: the device
 * @recipient: USB_RECIP_*
 * @request: bRequest
 * @value: wValue
 * @index: wIndex
 * @abortable: mydev_ep0_abort() may end it
 * @patient: no signal ends it
 *
 * Return: as mydev_request_do(), or -ENOMEM.
 */
static int mydev_ep0_ask(struct mydev_device *dev, u8 recipient, u8 request,
			 u16 value, u16 index, bool abortable, bool patient)
{
	struct mydev_request *r;
	unsigned int noio;
	int ret = -ENOMEM;
	u32 actual;

	/* A resume, or disconnect, may wait for it, and storage for that. */
	noio = memalloc_noio_save();
	r = mydev_request_alloc(dev, USB_DIR_OUT | recipient, request, value,
				index, 0);
	if (r) {
		r->abortable = abortable;
		r->patient = patient;
		ret = mydev_request_do(r, &actual, MYDEV_OWN_TIMEOUT);
	}
	mydev_request_put(r);
	memalloc_noio_restore(noio);
	return ret;
}

/**
 * mydev_ep0_clear_halt() - clear the halt of an endpoint on both sides
 * @dev: the device, not gone
 * @address: of the endpoint, to which nothing is submitted
 * @abortable: mydev_ep0_abort() may end it
 *
 * Context: disconnect_rwsem held for reading, no lock: this may take a second, and
 * two more where a host controller loses the transfer.
 * Return: as mydev_request_do().
 */
int mydev_ep0_clear_halt(struct mydev_device *dev, unsigned int address,
			 bool abortable)
{
	unsigned int noio = memalloc_noio_save();
	int ret = mydev_ep0_ask(dev, USB_RECIP_ENDPOINT, USB_REQ_CLEAR_FEATURE,
				USB_ENDPOINT_HALT, address, abortable, false);

	/* The device starts over with DATA0, and so does the host. */
	if (!ret)
		usb_reset_endpoint(dev->iface->udev, address);
	memalloc_noio_restore(noio);
	return ret;
}

/**
 * mydev_ep0_set_interface() - have the device use an alternate setting
 * @dev: the device
 * @number: bAlternateSetting
 * @killable: a fatal signal ends it
 *
 * The host's side is usbcore's.
 *
 * Context: the USB device locked, both directions paused: this may take a second, and
 * two more where a host controller loses the transfer.
 * Return: as mydev_request_do(), or -ENOMEM.
 */
int mydev_ep0_set_interface(struct mydev_device *dev, unsigned int number,
			    bool killable)
{
	/* One that fails by it is never asked; usbcore says so, too. */
	if (dev->iface->udev->quirks & USB_QUIRK_NO_SET_INTF)
		return -EPIPE;
	return mydev_ep0_ask(dev, USB_RECIP_INTERFACE, USB_REQ_SET_INTERFACE,
			     number, dev->info.interface_number, false,
			     !killable);
}
