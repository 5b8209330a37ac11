// SPDX-License-Identifier: GPL-2.0-only
/*
 * The interfaces of one USB device that are ours: its siblings.
 *
 * All bound interfaces are in one list. A mutex guards it, under which nothing waits:
 * neither for the USB device's lock, under which probe and disconnect take it, nor for
 * a disconnect.
 */
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/sysfs.h>

#include "mydev.h"

static DEFINE_MUTEX(mydev_group_mutex);

/* From probe to disconnect, in the order of their numbers. */
static LIST_HEAD(mydev_group);

/* All nodes of an interface have the number of the first one. */
static u32 mydev_interface_index(struct mydev_interface *iface)
{
	return list_first_entry(&iface->nodes, struct mydev_device, node)
		->info.index;
}

/**
 * mydev_group_add() - let siblings find an interface
 * @iface: the interface, its nodes with their names
 *
 * Context: process context; undone by mydev_group_remove().
 */
void mydev_group_add(struct mydev_interface *iface)
{
	struct mydev_interface *next;

	mutex_lock(&mydev_group_mutex);
	list_for_each_entry(next, &mydev_group, group) {
		if (mydev_interface_index(next) > mydev_interface_index(iface))
			break;
	}
	list_add_tail(&iface->group, &next->group);
	mutex_unlock(&mydev_group_mutex);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_group_add);

/**
 * mydev_group_remove() - hide an interface from its siblings
 * @iface: the interface; some may hold it still
 *
 * Context: process context.
 */
void mydev_group_remove(struct mydev_interface *iface)
{
	mutex_lock(&mydev_group_mutex);
	list_del(&iface->group);
	mutex_unlock(&mydev_group_mutex);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_group_remove);

static bool mydev_is_sibling(const struct mydev_interface *iface,
			     const struct mydev_interface *other)
{
	return other != iface && other->udev == iface->udev;
}

/**
 * mydev_is_recipient() - check whether a request is for an interface
 * @iface: the interface
 * @type: bmRequestType
 * @index: wIndex
 *
 * Return: true if the recipient is the interface, or an endpoint of its alternate
 * setting in use.
 */
bool mydev_is_recipient(const struct mydev_interface *iface, u8 type, u16 index)
{
	const struct usb_host_interface *setting = iface->intf->cur_altsetting;
	u8 address = index & 0xff;
	unsigned int i;

	switch (type & USB_RECIP_MASK) {
	case USB_RECIP_INTERFACE:
		return address == setting->desc.bInterfaceNumber;
	case USB_RECIP_ENDPOINT:
		for (i = 0; i < setting->desc.bNumEndpoints; i++) {
			if (setting->endpoint[i].desc.bEndpointAddress ==
			    address)
				return true;
		}
	}
	return false;
}

/**
 * mydev_group_hold() - hold the sibling that a request is for
 * @iface: the interface that the request comes by
 * @type: bmRequestType
 * @index: wIndex
 *
 * While it is held it stays bound. Its disconnect waits, so the holder has to make that
 * end its request, see &struct mydev_request.
 *
 * Context: process context, disconnect_rwsem of @iface held for reading; returns with
 * that of the sibling held for reading as well, which is not waited for.
 * Return: the sibling, released by mydev_group_release(), or NULL if none of them is the
 * recipient.
 */
struct mydev_interface *mydev_group_hold(struct mydev_interface *iface, u8 type,
					 u16 index)
{
	struct mydev_interface *other, *found = NULL;

	mutex_lock(&mydev_group_mutex);
	list_for_each_entry(other, &mydev_group, group) {
		if (!mydev_is_sibling(iface, other) ||
		    !mydev_is_recipient(other, type, index))
			continue;
		/* It fails only where a disconnect has it, or waits for it. */
		if (down_read_trylock(&other->disconnect_rwsem))
			found = other;
		break;
	}
	/* The lock outlives its release, and with it all around it. */
	if (found)
		kref_get(&found->ref);
	mutex_unlock(&mydev_group_mutex);
	return found;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_group_hold);

/**
 * mydev_group_release() - let a sibling go
 * @other: the sibling, or NULL
 */
void mydev_group_release(struct mydev_interface *other)
{
	if (!other)
		return;
	up_read(&other->disconnect_rwsem);
	mydev_interface_put(other);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_group_release);

/**
 * mydev_group_show() - print the names of the siblings
 * @dev: the node
 * @buf: a page, which has room for all endpoints that a USB device can have
 *
 * Return: bytes written: names with blanks in between, or an empty line.
 */
ssize_t mydev_group_show(struct mydev_device *dev, char *buf)
{
	struct mydev_interface *iface;
	struct mydev_device *other;
	ssize_t n = 0;

	mutex_lock(&mydev_group_mutex);
	list_for_each_entry(iface, &mydev_group, group) {
		if (iface->udev != dev->iface->udev)
			continue;
		list_for_each_entry(other, &iface->nodes, node) {
			if (other != dev)
				n += sysfs_emit_at(buf, n, "%s%s", n ? " " : "",
						   dev_name(&other->dev));
		}
	}
	mutex_unlock(&mydev_group_mutex);
	return n + sysfs_emit_at(buf, n, "\n");
}
EXPORT_SYMBOL_IF_KUNIT(mydev_group_show);
