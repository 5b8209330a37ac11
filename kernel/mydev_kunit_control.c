// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unit tests of what control requests may reach: three interfaces of a USB device, of
 * which two are ours, and ours of another USB device.
 */
#include "mydev_kunit.h"

#define VENDOR_DEVICE    (USB_TYPE_VENDOR | USB_RECIP_DEVICE)
#define VENDOR_INTERFACE (USB_TYPE_VENDOR | USB_RECIP_INTERFACE)
#define VENDOR_ENDPOINT  (USB_TYPE_VENDOR | USB_RECIP_ENDPOINT)

/**
 * struct part - one bound interface
 * @iface: what its nodes share
 * @dev: its only node
 * @intf: the interface
 * @setting: its alternate setting
 * @endpoints: of the setting
 */
struct part {
	struct mydev_interface iface;
	struct mydev_device dev;
	struct usb_interface intf;
	struct usb_host_interface setting;
	struct usb_host_endpoint endpoints[2];
};

/**
 * struct whole - two USB devices
 * @udev: both of them
 * @config: the configuration of the first, with interfaces 0, 1 and 2
 * @ours: its interfaces 0 and 2
 * @stranger: an interface 1 of the second
 */
struct whole {
	struct usb_device udev[2];
	struct usb_host_config config;
	struct part ours[2];
	struct part stranger;
};

static void whole_release(struct device *dev)
{
}

static void part_init(struct part *p, struct usb_device *udev,
		      unsigned int index, u8 number)
{
	struct mydev_device *dev = &p->dev;

	device_initialize(&dev->dev);
	dev->dev.release = whole_release;
	dev_set_name(&dev->dev, MYDEV_NAME "%u", index);
	mydev_interface_init(&p->iface);
	p->iface.udev = udev;
	p->iface.intf = &p->intf;
	list_add_tail(&dev->node, &p->iface.nodes);
	dev->iface = &p->iface;
	dev->info.index = index;
	dev->info.interface_number = number;
	p->intf.cur_altsetting = &p->setting;
	p->setting.endpoint = p->endpoints;
	p->setting.desc.bInterfaceNumber = number;
	p->setting.desc.bNumEndpoints = 2;
	p->endpoints[0].desc.bEndpointAddress = 0x81 + number;
	p->endpoints[1].desc.bEndpointAddress = 0x01 + number;
}

static int whole_init(struct kunit *test)
{
	struct whole *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, w);
	test->priv = w;
	w->config.desc.bNumInterfaces = 3;
	w->udev[0].actconfig = &w->config;
	w->udev[1].actconfig = &w->config;
	part_init(&w->ours[0], &w->udev[0], 10, 0);
	part_init(&w->ours[1], &w->udev[0], 9, 2);
	part_init(&w->stranger, &w->udev[1], 11, 1);
	mydev_group_add(&w->ours[0].iface);
	mydev_group_add(&w->ours[1].iface);
	mydev_group_add(&w->stranger.iface);
	return 0;
}

static void whole_exit(struct kunit *test)
{
	struct whole *w = test->priv;

	mydev_group_remove(&w->ours[0].iface);
	mydev_group_remove(&w->ours[1].iface);
	mydev_group_remove(&w->stranger.iface);
	put_device(&w->ours[0].dev.dev);
	put_device(&w->ours[1].dev.dev);
	put_device(&w->stranger.dev.dev);
}

/* What the first of ours may do, and which sibling it is done to. */
static int ask(struct kunit *test, u8 type, u16 index,
	       struct mydev_interface *expected)
{
	struct whole *w = test->priv;
	struct mydev_device *dev = &w->ours[0].dev;
	struct mydev_interface *other;
	int ret;

	down_read(&dev->iface->disconnect_rwsem);
	ret = mydev_control_allowed(dev, type, index, &other);
	KUNIT_EXPECT_PTR_EQ(test, other, expected);
	if (other) {
		KUNIT_EXPECT_FALSE(
			test, down_write_trylock(&other->disconnect_rwsem));
		KUNIT_EXPECT_EQ(test, kref_read(&other->ref), 2);
	}
	mydev_group_release(other);
	up_read(&dev->iface->disconnect_rwsem);
	return ret;
}

/* Whatever it is, an interface has itself and its endpoints. */
static void expect_own(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, ask(test, VENDOR_INTERFACE, 0, NULL), 0);
	KUNIT_EXPECT_EQ(test, ask(test, VENDOR_INTERFACE, 0x4200, NULL), 0);
	KUNIT_EXPECT_EQ(test, ask(test, VENDOR_ENDPOINT, 0x81, NULL), 0);
	KUNIT_EXPECT_EQ(test, ask(test, VENDOR_ENDPOINT, 0x01, NULL), 0);
}

static void scope_of_an_interface(struct kunit *test)
{
	unsigned int i;

	expect_own(test);
	KUNIT_EXPECT_EQ(test, ask(test, VENDOR_DEVICE, 0, NULL), -EACCES);
	for (i = 1; i < 256; i++) {
		KUNIT_EXPECT_EQ(test, ask(test, VENDOR_INTERFACE, i, NULL),
				-EACCES);
		if (i != 0x01 && i != 0x81)
			KUNIT_EXPECT_EQ(test,
					ask(test, VENDOR_ENDPOINT, i, NULL),
					-EACCES);
	}
}

static void scope_of_the_device(struct kunit *test)
{
	struct whole *w = test->priv;
	struct mydev_interface *other = &w->ours[1].iface;
	unsigned int i;

	w->ours[0].iface.control_scope = MYDEV_SCOPE_DEVICE;
	expect_own(test);
	for (i = 0; i < 0x10000; i += 0xff)
		KUNIT_EXPECT_EQ(test, ask(test, VENDOR_DEVICE, i, NULL), 0);
	for (i = 1; i < 256; i++) {
		struct mydev_interface *held = i == 2 ? other : NULL;

		KUNIT_EXPECT_EQ(test, ask(test, VENDOR_INTERFACE, i, held),
				held ? 0 : -EACCES);
		if (i == 0x01 || i == 0x81)
			continue;
		held = i == 0x03 || i == 0x83 ? other : NULL;
		KUNIT_EXPECT_EQ(test, ask(test, VENDOR_ENDPOINT, i, held),
				held ? 0 : -EACCES);
	}
	/* It is each one's own. */
	w->ours[0].iface.control_scope = MYDEV_SCOPE_INTERFACE;
	w->ours[1].iface.control_scope = MYDEV_SCOPE_DEVICE;
	scope_of_an_interface(test);
}

/* Of the 256 request types, whatever they are addressed to. */
static void scope_of_types(struct kunit *test)
{
	struct whole *w = test->priv;
	unsigned int type, index;

	w->ours[0].iface.control_scope = MYDEV_SCOPE_DEVICE;
	for (type = 0; type < 256; type++) {
		unsigned int kind = type & USB_TYPE_MASK, to = type & 0x1f;

		if ((kind == USB_TYPE_VENDOR || kind == USB_TYPE_CLASS) &&
		    to <= USB_RECIP_ENDPOINT)
			continue;
		for (index = 0; index < 3; index++) {
			KUNIT_EXPECT_EQ(test, ask(test, type, index, NULL),
					-EACCES);
			KUNIT_EXPECT_EQ(test,
					ask(test, type, 0x81 + index, NULL),
					-EACCES);
		}
	}
	KUNIT_EXPECT_EQ(test,
			ask(test,
			    USB_DIR_IN | USB_TYPE_CLASS | USB_RECIP_DEVICE, 0,
			    NULL),
			0);
	KUNIT_EXPECT_EQ(test,
			ask(test,
			    USB_DIR_IN | USB_TYPE_CLASS | USB_RECIP_INTERFACE,
			    2, &w->ours[1].iface),
			0);
}

static void scope_of_the_only_interface(struct kunit *test)
{
	struct whole *w = test->priv;

	w->config.desc.bNumInterfaces = 1;
	KUNIT_EXPECT_EQ(test, ask(test, VENDOR_DEVICE, 0, NULL), 0);
	w->udev[0].actconfig = NULL;
	KUNIT_EXPECT_EQ(test, ask(test, VENDOR_DEVICE, 0, NULL), -EACCES);
}

/* One that is being unbound is nobody's, and is not waited for. */
static void leaving_sibling(struct kunit *test)
{
	struct whole *w = test->priv;
	struct mydev_interface *other = &w->ours[1].iface;

	w->ours[0].iface.control_scope = MYDEV_SCOPE_DEVICE;
	down_write_nested(&other->disconnect_rwsem, SINGLE_DEPTH_NESTING);
	KUNIT_EXPECT_EQ(test, ask(test, VENDOR_INTERFACE, 2, NULL), -EACCES);
	KUNIT_EXPECT_EQ(test, ask(test, VENDOR_ENDPOINT, 0x83, NULL), -EACCES);
	up_write(&other->disconnect_rwsem);
	KUNIT_EXPECT_EQ(test, ask(test, VENDOR_INTERFACE, 2, other), 0);
	mydev_group_remove(other);
	KUNIT_EXPECT_EQ(test, ask(test, VENDOR_INTERFACE, 2, NULL), -EACCES);
	mydev_group_add(other);
}

static void names_of_siblings(struct kunit *test)
{
	struct whole *w = test->priv;
	struct mydev_device *pipe =
		kunit_kzalloc(test, sizeof(*pipe), GFP_KERNEL);
	struct part *third = kunit_kzalloc(test, sizeof(*third), GFP_KERNEL);
	/* As sysfs has it. */
	char *buf = (char *)get_zeroed_page(GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, pipe);
	KUNIT_ASSERT_NOT_NULL(test, third);
	KUNIT_ASSERT_NOT_NULL(test, buf);
	KUNIT_EXPECT_EQ(test, mydev_group_show(&w->stranger.dev, buf), 1);
	KUNIT_EXPECT_STREQ(test, buf, "\n");
	KUNIT_EXPECT_EQ(test, mydev_group_show(&w->ours[0].dev, buf), 7);
	KUNIT_EXPECT_STREQ(test, buf, "mydev9\n");

	/* By number, whoever came first. */
	part_init(third, &w->udev[0], 1, 1);
	mydev_group_add(&third->iface);
	mydev_group_show(&w->ours[0].dev, buf);
	KUNIT_EXPECT_STREQ(test, buf, "mydev1 mydev9\n");
	mydev_group_show(&w->ours[1].dev, buf);
	KUNIT_EXPECT_STREQ(test, buf, "mydev1 mydev10\n");
	mydev_group_show(&third->dev, buf);
	KUNIT_EXPECT_STREQ(test, buf, "mydev9 mydev10\n");
	mydev_group_remove(&third->iface);
	put_device(&third->dev.dev);

	/* Nodes of the interface itself are siblings, too. */
	device_initialize(&pipe->dev);
	pipe->dev.release = whole_release;
	dev_set_name(&pipe->dev, MYDEV_NAME "10.83");
	pipe->iface = &w->ours[0].iface;
	list_add_tail(&pipe->node, &pipe->iface->nodes);
	mydev_group_show(&w->ours[0].dev, buf);
	KUNIT_EXPECT_STREQ(test, buf, "mydev9 mydev10.83\n");
	mydev_group_show(pipe, buf);
	KUNIT_EXPECT_STREQ(test, buf, "mydev9 mydev10\n");
	list_del(&pipe->node);
	put_device(&pipe->dev);
	mydev_group_show(&w->ours[0].dev, buf);
	KUNIT_EXPECT_STREQ(test, buf, "mydev9\n");
	free_page((unsigned long)buf);
}

static struct kunit_case control_cases[] = {
	KUNIT_CASE(scope_of_an_interface),
	KUNIT_CASE(scope_of_the_device),
	KUNIT_CASE(scope_of_types),
	KUNIT_CASE(scope_of_the_only_interface),
	KUNIT_CASE(leaving_sibling),
	KUNIT_CASE(names_of_siblings),
	{}
};

static struct kunit_suite control_suite = {
	.name = "mydev-control",
	.init = whole_init,
	.exit = whole_exit,
	.test_cases = control_cases,
};

kunit_test_suites(&control_suite);
