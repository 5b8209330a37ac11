/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the unit tests share: a device without transfers, into whose buffers packets are
 * put by hand, and real clients of it.
 */
#ifndef MYDEV_KUNIT_H
#define MYDEV_KUNIT_H

#include <kunit/test.h>
#include <linux/usb.h>

#include "mydev.h"

#define NR_BUFFERS 4
#define NR_ENTRIES 2048
#define NR_CLIENTS 4
#define SIZE       PAGE_SIZE
#define READBACK   (2 * NR_BUFFERS * SIZE)

/**
 * struct fixture - a device to put packets into, and its clients
 * @dev: the device
 * @iface: its interface
 * @udev: something to keep awake; this and the next
 * @intf: the same for usbcore
 * @urb: says how a transfer has ended
 * @clients: those that are open
 * @readback: what a client has read, READBACK bytes
 * @priv: of the test
 */
struct fixture {
	struct mydev_device dev;
	struct mydev_interface iface;
	struct usb_device udev;
	struct usb_interface intf;
	struct urb urb;
	struct mydev_client *clients[NR_CLIENTS];
	u8 *readback;
	void *priv;
};

int fixture_init(struct kunit *test);
void fixture_exit(struct kunit *test);
struct mydev_client *open_client(struct kunit *test, int i);
void close_client(struct kunit *test, int i);
void configure(struct kunit *test, struct mydev_client *client, u32 mode,
	       u32 policy, u32 depth);
void complete_buffer(struct fixture *f, struct mydev_buffer *buf, u32 length);
bool receive(struct kunit *test, u8 fill, u32 length);
ssize_t read_client(struct kunit *test, struct mydev_client *client,
		    size_t length);
unsigned int nr_free(struct kunit *test);
u64 lost_packets(struct mydev_client *client);
u64 queued_packets(struct mydev_client *client);
void expect_identity(struct kunit *test, struct mydev_client *client);

#endif /* MYDEV_KUNIT_H */
