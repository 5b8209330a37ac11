// SPDX-License-Identifier: GPL-2.0-only
/*
 * The descriptors of the simulated device: one vendor-specific interface at
 * full, high and super speed, with one or two alternate settings. One in which
 * neither direction was asked for has only an interrupt endpoint.
 */
#include <endian.h>
#include <errno.h>
#include <linux/usb/ch9.h>
#include <linux/usb/functionfs.h>
#include <string.h>
#include <unistd.h>

#include "sim.h"

static const char interface_name[] = "mydev stream";

struct blob {
	unsigned char bytes[1024];
	size_t len;
};

static void put(struct blob *b, const void *data, size_t len)
{
	memcpy(b->bytes + b->len, data, len);
	b->len += len;
}

static void put32(struct blob *b, uint32_t value)
{
	value = htole32(value);
	put(b, &value, sizeof(value));
}

static void put_endpoint(struct blob *b, uint8_t address, uint8_t type, enum usb_device_speed speed)
{
	struct usb_endpoint_descriptor_no_audio ep = {
		.bLength = sizeof(ep),
		.bDescriptorType = USB_DT_ENDPOINT,
		.bEndpointAddress = address,
		.bmAttributes = type,
	};
	struct usb_ss_ep_comp_descriptor companion = {
		.bLength = sizeof(companion),
		.bDescriptorType = USB_DT_SS_ENDPOINT_COMP,
	};
	bool bulk = type == USB_ENDPOINT_XFER_BULK;
	uint16_t size = 64;

	if (bulk && speed == USB_SPEED_SUPER)
		size = 1024;
	else if (bulk && speed == USB_SPEED_HIGH)
		size = 512;
	ep.wMaxPacketSize = htole16(size);
	/* Full speed counts milliseconds, the others powers of two of 125 us. */
	if (!bulk)
		ep.bInterval = speed == USB_SPEED_FULL ? 8 : 7;
	put(b, &ep, sizeof(ep));
	if (speed != USB_SPEED_SUPER)
		return;
	companion.bMaxBurst = bulk ? 15 : 0;
	companion.wBytesPerInterval = htole16(bulk ? 0 : size);
	put(b, &companion, sizeof(companion));
}

static unsigned int endpoints_of(const struct sim_alt *a)
{
	return a->in.present && a->out.present ? 2 : 1;
}

static void put_speed(struct blob *b, const struct sim *s, enum usb_device_speed speed)
{
	struct usb_interface_descriptor intf = {
		.bLength = sizeof(intf),
		.bDescriptorType = USB_DT_INTERFACE,
		.bInterfaceClass = USB_CLASS_VENDOR_SPEC,
		.iInterface = 1,
	};
	uint8_t address = 1;

	/*
	 * FunctionFS numbers the endpoint files by their order here. Addresses
	 * are for FunctionFS only; the controller has its own.
	 */
	for (unsigned int i = 0; i < s->alts; i++) {
		const struct sim_alt *a = &s->alt[i];

		intf.bAlternateSetting = i;
		intf.bNumEndpoints = endpoints_of(a);
		put(b, &intf, sizeof(intf));
		if (a->in.present)
			put_endpoint(b, USB_DIR_IN | address++, USB_ENDPOINT_XFER_BULK, speed);
		if (a->out.present)
			put_endpoint(b, USB_DIR_OUT | address++, USB_ENDPOINT_XFER_BULK, speed);
		if (!a->in.present && !a->out.present)
			put_endpoint(b, USB_DIR_IN | address++, USB_ENDPOINT_XFER_INT, speed);
	}
}

static int write_all(int fd, const void *data, size_t len)
{
	ssize_t n = write(fd, data, len);

	if (n >= 0 && (size_t)n != len) {
		errno = EIO;
		return -1;
	}
	return n < 0 ? -1 : 0;
}

int sim_write_descriptors(const struct sim *s)
{
	struct blob b = { .len = 0 };
	uint32_t endpoints = 0;
	uint32_t total;

	for (unsigned int i = 0; i < s->alts; i++)
		endpoints += endpoints_of(&s->alt[i]);
	put32(&b, FUNCTIONFS_DESCRIPTORS_MAGIC_V2);
	put32(&b, 0); /* the length, known at the end */
	put32(&b, FUNCTIONFS_HAS_FS_DESC | FUNCTIONFS_HAS_HS_DESC | FUNCTIONFS_HAS_SS_DESC |
			  FUNCTIONFS_EVENTFD | (s->whole ? FUNCTIONFS_ALL_CTRL_RECIP : 0));
	put32(&b, s->ep0_event);
	put32(&b, s->alts + endpoints);
	put32(&b, s->alts + endpoints);
	put32(&b, s->alts + 2 * endpoints); /* each endpoint has its companion */
	put_speed(&b, s, USB_SPEED_FULL);
	put_speed(&b, s, USB_SPEED_HIGH);
	put_speed(&b, s, USB_SPEED_SUPER);
	total = htole32(b.len);
	memcpy(b.bytes + 4, &total, sizeof(total));
	if (write_all(s->ep0, b.bytes, b.len))
		return -1;

	b.len = 0;
	put32(&b, FUNCTIONFS_STRINGS_MAGIC);
	put32(&b, 16 + 2 + sizeof(interface_name));
	put32(&b, 1);           /* strings in each language */
	put32(&b, 1);           /* languages */
	put(&b, "\x09\x04", 2); /* US English */
	put(&b, interface_name, sizeof(interface_name));
	return write_all(s->ep0, b.bytes, b.len);
}
