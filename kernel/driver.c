// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which interfaces are ours, and what happens when one comes and goes.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/slab.h>

#include "mydev.h"

/* Entries of id tables, one a line. */
/* clang-format off */

/* pid.codes gives this product id to everybody for tests at home. */
#define MYDEV_TEST_ID							\
	.match_flags = USB_DEVICE_ID_MATCH_DEVICE |			\
		       USB_DEVICE_ID_MATCH_INT_CLASS,			\
	.idVendor = 0x1209,						\
	.idProduct = 0x0001,						\
	.bInterfaceClass = USB_CLASS_VENDOR_SPEC

/* What the module is loaded for by itself. */
static const struct usb_device_id mydev_default_ids[] = {
	{ MYDEV_TEST_ID },
	{ }
};
MODULE_DEVICE_TABLE(usb, mydev_default_ids);

#define MYDEV_MAX_IDS 32

/* The default, those of ids=, and an empty entry at the end. */
static struct usb_device_id mydev_ids[1 + MYDEV_MAX_IDS + 1] = {
	{ MYDEV_TEST_ID },
};

/* clang-format on */

static char *ids;
module_param(ids, charp, 0444);
MODULE_PARM_DESC(
	ids,
	"More devices to bind: VVVV:PPPP[:IF][ bcd=LLLL-HHHH][ class=CC/SS/PP][ serial=TEXT],... in hexadecimal, IF is the interface number, a * ends a TEXT that goes on");

static void mydev_device_release(struct device *device)
{
	struct mydev_device *dev =
		container_of(device, struct mydev_device, dev);

	/* Not started any more for a device without clients. */
	hrtimer_cancel(&dev->rx.wake_timer);
	mydev_tx_free(dev);
	mydev_interface_put(dev->iface);
}

/**
 * mydev_fill_info() - fill in what the interface is
 * @dev: the device
 */
static void mydev_fill_info(struct mydev_device *dev)
{
	struct usb_device *udev = dev->iface->udev;
	const struct usb_device_descriptor *device = &udev->descriptor;
	struct usb_interface *intf = dev->iface->intf;
	struct mydev_info *info = &dev->info;

	info->size = sizeof(*info);
	info->abi_version = MYDEV_ABI_VERSION;
	info->features = MYDEV_FEATURE_NOWAIT | MYDEV_FEATURE_CONFIG |
			 MYDEV_FEATURE_GEOMETRY | MYDEV_FEATURE_CONTROL |
			 MYDEV_FEATURE_RECOVERY;
	if (dev->has_in)
		info->features |= MYDEV_FEATURE_READ | MYDEV_FEATURE_REWIND;
	if (dev->has_in && MYDEV_HAS_RING)
		info->features |= MYDEV_FEATURE_RING;
	if (dev->has_out)
		info->features |= MYDEV_FEATURE_WRITE;
	info->id_vendor = le16_to_cpu(device->idVendor);
	info->id_product = le16_to_cpu(device->idProduct);
	info->bcd_device = le16_to_cpu(device->bcdDevice);
	info->interface_number = intf->cur_altsetting->desc.bInterfaceNumber;
	info->speed = udev->speed;
	info->bus_number = udev->bus->busnum;
	info->device_number = udev->devnum;
	info->max_clients = MYDEV_MAX_CLIENTS;
	info->max_queue_depth = MYDEV_MAX_DEPTH;
	mydev_fill_endpoints(dev, intf->cur_altsetting);
}

/**
 * mydev_fill_pipe() - fill in which of the interface's pipes a node is
 * @dev: the device, its sender initialized
 * @pipes: all of them
 * @i: which one
 */
static void mydev_fill_pipe(struct mydev_device *dev,
			    const struct mydev_pipes *pipes, unsigned int i)
{
	struct mydev_info *info = &dev->info;
	unsigned int n;

	info->pipe = pipes->pipe[i].address;
	info->first_pipe = pipes->pipe[0].address;
	for (n = 0; n < pipes->nr; n++)
		info->carried |= pipes->pipe[n].endpoints;
	info->uncarried = pipes->uncarried;
	if (dev->has_out) {
		info->send_size = dev->tx.size;
		info->send_room = dev->tx.nr * dev->tx.size;
	}
}

/**
 * mydev_add_node() - allocate and initialize a node
 * @iface: the interface; frees it
 * @pipes: what nodes there are to be
 * @i: which of them
 *
 * Return: 0 or -ENOMEM; undone by put_device().
 */
static int mydev_add_node(struct mydev_interface *iface,
			  const struct mydev_pipes *pipes, unsigned int i)
{
	const struct mydev_pipe *pipe = &pipes->pipe[i];
	struct mydev_device *dev = kzalloc(sizeof(*dev), GFP_KERNEL);

	if (!dev)
		return -ENOMEM;
	mutex_init(&dev->rx_mutex);
	spin_lock_init(&dev->rx_lock);
	INIT_LIST_HEAD(&dev->clients);
	kref_get(&iface->ref);
	dev->iface = iface;
	dev->endpoints = pipe->endpoints;
	dev->interrupt = pipe->interrupt;
	dev->has_in = pipe->endpoints & MYDEV_ENDPOINTS_IN;
	dev->has_out = pipe->endpoints & MYDEV_ENDPOINTS_OUT;
	mydev_fill_info(dev);
	mydev_recovery_init(dev);
	mydev_rx_init(dev);
	mydev_tx_init(dev);
	mydev_tx_target(dev);
	mydev_fill_pipe(dev, pipes, i);

	device_initialize(&dev->dev);
	dev->dev.parent = &iface->intf->dev;
	dev->dev.release = mydev_device_release;
	list_add_tail(&dev->node, &iface->nodes);
	return 0;
}

/* Return: 0, -ENODEV if there is nothing for us, or -ENOMEM. */
static int mydev_add_nodes(struct mydev_interface *iface)
{
	struct mydev_pipes pipes;
	unsigned int i;
	int ret;

	ret = mydev_pipes_find(iface->intf, &pipes);
	for (i = 0; !ret && i < pipes.nr; i++)
		ret = mydev_add_node(iface, &pipes, i);
	return ret;
}

static void mydev_put_interface(struct mydev_interface *iface)
{
	struct mydev_device *dev;

	list_for_each_entry(dev, &iface->nodes, node)
		put_device(&dev->dev);
	mydev_interface_put(iface);
}

static void mydev_unprepare_nodes(struct mydev_interface *iface)
{
	struct mydev_device *dev;

	list_for_each_entry(dev, &iface->nodes, node) {
		mydev_debugfs_remove(dev);
		mydev_chardev_unprepare(dev);
	}
}

static int mydev_prepare_nodes(struct mydev_interface *iface)
{
	struct mydev_device *dev;
	int ret;

	list_for_each_entry(dev, &iface->nodes, node) {
		ret = mydev_chardev_prepare(dev);
		if (ret)
			goto err_unprepare;
		mydev_debugfs_add(dev);
	}
	return 0;

err_unprepare:
	list_for_each_entry_continue_reverse(dev, &iface->nodes, node) {
		mydev_debugfs_remove(dev);
		mydev_chardev_unprepare(dev);
	}
	return ret;
}

static void mydev_withdraw_nodes(struct mydev_interface *iface)
{
	struct mydev_device *dev;

	list_for_each_entry(dev, &iface->nodes, node)
		mydev_chardev_withdraw(dev);
}

/* The first one last: where that is, programs find all. */
static int mydev_publish_nodes(struct mydev_interface *iface)
{
	struct mydev_device *dev;
	int ret;

	list_for_each_entry_reverse(dev, &iface->nodes, node) {
		ret = mydev_chardev_publish(dev);
		if (ret)
			goto err_withdraw;
	}
	return 0;

err_withdraw:
	list_for_each_entry_continue(dev, &iface->nodes, node)
		mydev_chardev_withdraw(dev);
	return ret;
}

/**
 * mydev_interface_stop() - end all I/O of an interface that is unbound
 * @iface: the interface, its nodes withdrawn
 *
 * Context: process context; waits for all that talk to the hardware.
 */
static void mydev_interface_stop(struct mydev_interface *iface)
{
	struct mydev_device *dev;

	/* End control requests first: their waiters hold the rwsem. */
	mydev_requests_end(iface);
	down_write(&iface->disconnect_rwsem);
	list_for_each_entry(dev, &iface->nodes, node) {
		spin_lock_irq(&dev->rx_lock);
		dev->gone = true;
		spin_unlock_irq(&dev->rx_lock);
	}
	up_write(&iface->disconnect_rwsem);

	if (mydev_requests_lost(iface))
		mydev_interface_pin(iface);
	list_for_each_entry(dev, &iface->nodes, node) {
		mydev_tx_shutdown(dev);
		mydev_rx_shutdown(dev);
	}
}

/* usbcore has matched the first entry for all but the serial number. */
static bool mydev_is_ours(struct usb_interface *intf,
			  const struct usb_device_id *id)
{
	const char *serial = interface_to_usbdev(intf)->serial;

	if (mydev_ids_serial_matches(id, serial))
		return true;
	for (id = mydev_ids; id->match_flags; id++) {
		if (usb_match_one_id(intf, id) &&
		    mydev_ids_serial_matches(id, serial))
			return true;
	}
	return false;
}

static const char *mydev_interface_name(struct mydev_interface *iface)
{
	return dev_name(
		&list_first_entry(&iface->nodes, struct mydev_device, node)
			 ->dev);
}

/* Say at the plug what there is, and what is left alone. */
static void mydev_log_nodes(struct mydev_interface *iface)
{
	char uncarried[MYDEV_MAX_PIPES * sizeof(" 81")] = "";
	struct mydev_device *dev;
	unsigned int i, n = 0;
	u32 left = 0;

	list_for_each_entry(dev, &iface->nodes, node) {
		dev_info(&iface->intf->dev,
			 "%s: %04x:%04x interface %u, %sIN %02x, OUT %02x\n",
			 dev_name(&dev->dev), dev->info.id_vendor,
			 dev->info.id_product, dev->info.interface_number,
			 dev->interrupt ? "interrupt " : "", dev->info.ep_in,
			 dev->info.ep_out);
		left = dev->info.uncarried;
	}
	for (i = 0; i < 32; i++) {
		if (left & BIT(i))
			n += scnprintf(uncarried + n, sizeof(uncarried) - n,
				       " %02x",
				       i < 16 ? i : (i - 16) | USB_DIR_IN);
	}
	if (n)
		dev_info(
			&iface->intf->dev,
			"%s: neither bulk nor interrupt, and left alone: endpoints%s\n",
			mydev_interface_name(iface), uncarried);
}

static int mydev_probe(struct usb_interface *intf,
		       const struct usb_device_id *id)
{
	struct mydev_interface *iface;
	int ret;

	/* It is left to the next driver. */
	if (!mydev_is_ours(intf, id))
		return -ENODEV;
	iface = mydev_interface_alloc(intf);
	if (!iface)
		return -ENOMEM;
	ret = mydev_add_nodes(iface);
	if (ret)
		goto err_put;
	ret = mydev_prepare_nodes(iface);
	if (ret)
		goto err_put;

	usb_set_intfdata(intf, iface);
	mydev_group_add(iface);
	/* Last: from here on programs open them. */
	ret = mydev_publish_nodes(iface);
	if (ret)
		goto err_stop;
	mydev_log_nodes(iface);
	return 0;

err_stop:
	mydev_group_remove(iface);
	/* A node that was made by hand may have been opened already. */
	mydev_interface_stop(iface);
	usb_set_intfdata(intf, NULL);
	mydev_unprepare_nodes(iface);
err_put:
	mydev_put_interface(iface);
	return ret;
}

static void mydev_disconnect(struct usb_interface *intf)
{
	struct mydev_interface *iface = usb_get_intfdata(intf);

	mydev_group_remove(iface);
	mydev_withdraw_nodes(iface);
	mydev_interface_stop(iface);

	dev_info(&intf->dev, "%s: gone\n", mydev_interface_name(iface));
	usb_set_intfdata(intf, NULL);
	mydev_unprepare_nodes(iface);
	mydev_put_interface(iface);
	mydev_requests_reap();
}

static struct usb_driver mydev_driver = {
	.name = MYDEV_NAME,
	.id_table = mydev_ids,
	.probe = mydev_probe,
	.disconnect = mydev_disconnect,
	.suspend = mydev_suspend,
	.resume = mydev_resume,
	.reset_resume = mydev_reset_resume,
	.pre_reset = mydev_pre_reset,
	.post_reset = mydev_post_reset,
	.supports_autosuspend = 1,
};

static int __init mydev_init(void)
{
	int ret;

	ret = mydev_ids_parse(ids, &mydev_ids[1], MYDEV_MAX_IDS);
	if (ret < 0)
		return ret;
	ret = mydev_chardev_init();
	if (ret)
		return ret;
	mydev_debugfs_init();
	ret = usb_register(&mydev_driver);
	if (ret) {
		mydev_debugfs_exit();
		mydev_chardev_exit();
	}
	return ret;
}
module_init(mydev_init);

static void __exit mydev_exit(void)
{
	usb_deregister(&mydev_driver);
	mydev_debugfs_exit();
	mydev_chardev_exit();
}
module_exit(mydev_exit);

MODULE_DESCRIPTION("Shared character device for vendor-specific USB interfaces");
MODULE_AUTHOR("The mydev developers");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
