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
	"More devices to bind: VVVV:PPPP[:IF],... in hexadecimal, IF is the interface number");

static void mydev_device_release(struct device *device)
{
	struct mydev_device *dev =
		container_of(device, struct mydev_device, dev);

	usb_put_intf(dev->intf);
	usb_put_dev(dev->udev);
	kfree(dev);
}

/**
 * mydev_describe() - note down what the interface is
 * @dev: the device
 * @in: its bulk IN endpoint or NULL
 * @out: its bulk OUT endpoint or NULL
 */
static void mydev_describe(struct mydev_device *dev,
			   const struct usb_endpoint_descriptor *in,
			   const struct usb_endpoint_descriptor *out)
{
	const struct usb_device_descriptor *device = &dev->udev->descriptor;
	const struct usb_interface_descriptor *interface =
		&dev->intf->cur_altsetting->desc;
	struct mydev_info *info = &dev->info;

	info->size = sizeof(*info);
	info->abi_version = MYDEV_ABI_VERSION;
	info->features = MYDEV_FEATURE_NOWAIT | MYDEV_FEATURE_CONFIG |
			 MYDEV_FEATURE_GEOMETRY;
	info->id_vendor = le16_to_cpu(device->idVendor);
	info->id_product = le16_to_cpu(device->idProduct);
	info->bcd_device = le16_to_cpu(device->bcdDevice);
	info->interface_number = interface->bInterfaceNumber;
	info->alternate_setting = interface->bAlternateSetting;
	info->interface_class = interface->bInterfaceClass;
	info->interface_subclass = interface->bInterfaceSubClass;
	info->interface_protocol = interface->bInterfaceProtocol;
	info->speed = dev->udev->speed;
	info->bus_number = dev->udev->bus->busnum;
	info->device_number = dev->udev->devnum;
	info->max_clients = MYDEV_MAX_CLIENTS;
	info->max_queue_depth = MYDEV_MAX_DEPTH;
	if (in) {
		info->features |= MYDEV_FEATURE_READ;
		info->ep_in = in->bEndpointAddress;
		info->ep_in_max_packet = usb_endpoint_maxp(in);
	}
	if (out) {
		info->ep_out = out->bEndpointAddress;
		info->ep_out_max_packet = usb_endpoint_maxp(out);
	}
}

/**
 * mydev_device_stop() - the interface is no longer ours
 * @dev: the device, withdrawn
 *
 * Context: process context; waits for whoever talks to the hardware.
 */
static void mydev_device_stop(struct mydev_device *dev)
{
	down_write(&dev->gate);
	spin_lock_irq(&dev->rx_lock);
	dev->gone = true;
	spin_unlock_irq(&dev->rx_lock);
	up_write(&dev->gate);

	mydev_rx_shutdown(dev);
}

static int mydev_probe(struct usb_interface *intf,
		       const struct usb_device_id *id)
{
	struct usb_endpoint_descriptor *in, *out;
	struct mydev_device *dev;
	int ret;

	/* Fails unless both are there, and tells which one is. */
	ret = usb_find_common_endpoints(intf->cur_altsetting, &in, &out, NULL,
					NULL);
	if (ret && !in && !out) {
		dev_err(&intf->dev,
			"no bulk endpoint in this interface, nothing to do for mydev\n");
		return -ENODEV;
	}
	if ((in && !usb_endpoint_maxp(in)) ||
	    (out && !usb_endpoint_maxp(out))) {
		dev_err(&intf->dev,
			"a bulk endpoint has a wMaxPacketSize of 0, the device's descriptors are broken\n");
		return -ENODEV;
	}

	dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	if (!dev)
		return -ENOMEM;

	init_rwsem(&dev->gate);
	mutex_init(&dev->rx_mutex);
	spin_lock_init(&dev->rx_lock);
	INIT_LIST_HEAD(&dev->clients);
	dev->udev = usb_get_dev(interface_to_usbdev(intf));
	dev->intf = usb_get_intf(intf);
	mydev_describe(dev, in, out);
	mydev_rx_init(dev);

	device_initialize(&dev->dev);
	dev->dev.parent = &intf->dev;
	dev->dev.release = mydev_device_release;
	ret = mydev_chardev_prepare(dev);
	if (ret)
		goto err_put;

	usb_set_intfdata(intf, dev);
	mydev_debugfs_add(dev);
	/* Last: from here on programs open it. */
	ret = mydev_chardev_publish(dev);
	if (ret)
		goto err_unprepare;

	dev_info(&intf->dev, "%s: %04x:%04x interface %u, IN %02x, OUT %02x\n",
		 dev_name(&dev->dev), dev->info.id_vendor, dev->info.id_product,
		 dev->info.interface_number, dev->info.ep_in, dev->info.ep_out);
	return 0;

err_unprepare:
	/* A node that somebody made by hand may have been opened already. */
	mydev_device_stop(dev);
	mydev_debugfs_remove(dev);
	usb_set_intfdata(intf, NULL);
	mydev_chardev_unprepare(dev);
err_put:
	put_device(&dev->dev);
	return ret;
}

static void mydev_disconnect(struct usb_interface *intf)
{
	struct mydev_device *dev = usb_get_intfdata(intf);

	mydev_chardev_withdraw(dev);
	mydev_debugfs_remove(dev);
	mydev_device_stop(dev);

	dev_info(&intf->dev, "%s: gone\n", dev_name(&dev->dev));
	usb_set_intfdata(intf, NULL);
	mydev_chardev_unprepare(dev);
	put_device(&dev->dev);
}

static struct usb_driver mydev_driver = {
	.name = MYDEV_NAME,
	.id_table = mydev_ids,
	.probe = mydev_probe,
	.disconnect = mydev_disconnect,
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
