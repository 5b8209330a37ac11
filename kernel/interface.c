// SPDX-License-Identifier: GPL-2.0-only
/*
 * The object that the nodes of an interface share: it lives as long as one of them does.
 */
#include <linux/module.h>
#include <linux/slab.h>

#include "mydev.h"

/**
 * mydev_interface_init() - initialize what the nodes of an interface share
 * @iface: the interface, zeroed
 */
void mydev_interface_init(struct mydev_interface *iface)
{
	kref_init(&iface->ref);
	INIT_LIST_HEAD(&iface->nodes);
	init_rwsem(&iface->disconnect_rwsem);
	mutex_init(&iface->usb_mutex);
	spin_lock_init(&iface->requests_lock);
	INIT_LIST_HEAD(&iface->requests);
	INIT_LIST_HEAD(&iface->other_requests);
	spin_lock_init(&iface->lease_lock);
	init_waitqueue_head(&iface->lease_wait);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_interface_init);

/**
 * mydev_interface_next_id() - number a client
 * @iface: the interface
 *
 * Return: its id, never 0, and another one than any client of any of the nodes has: in
 * four billion opens the first ones are long closed.
 */
u32 mydev_interface_next_id(struct mydev_interface *iface)
{
	u32 id = atomic_inc_return(&iface->last_id);

	return id ?: (u32)atomic_inc_return(&iface->last_id);
}

/**
 * mydev_interface_alloc() - allocate what the nodes of an interface share
 * @intf: the interface
 *
 * Return: the interface, without a node, put by mydev_interface_put(); or NULL.
 */
struct mydev_interface *mydev_interface_alloc(struct usb_interface *intf)
{
	struct mydev_interface *iface = kzalloc(sizeof(*iface), GFP_KERNEL);

	if (!iface)
		return NULL;
	mydev_interface_init(iface);
	iface->udev = usb_get_dev(interface_to_usbdev(intf));
	iface->intf = usb_get_intf(intf);
	return iface;
}

static void mydev_interface_release(struct kref *ref)
{
	struct mydev_interface *iface =
		container_of(ref, struct mydev_interface, ref);
	struct mydev_device *dev, *next;

	list_for_each_entry_safe(dev, next, &iface->nodes, node)
		kfree(dev);
	usb_put_intf(iface->intf);
	usb_put_dev(iface->udev);
	kfree(iface);
}

/**
 * mydev_interface_put() - drop a reference to an interface
 * @iface: the interface; freed with the last one
 */
void mydev_interface_put(struct mydev_interface *iface)
{
	kref_put(&iface->ref, mydev_interface_release);
}

/**
 * mydev_interface_pin() - keep an interface and its nodes for ever
 * @iface: the interface; a host controller has lost a transfer of it
 *
 * And with it the module, whose code runs if the transfer comes back all the same.
 */
void mydev_interface_pin(struct mydev_interface *iface)
{
	dev_err(&iface->intf->dev,
		"its memory stays in use, and the module cannot be unloaded any more\n");
	kref_get(&iface->ref);
	__module_get(THIS_MODULE);
}
