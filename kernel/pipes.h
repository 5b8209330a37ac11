/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which endpoints of an interface make a node.
 */
#ifndef MYDEV_PIPES_H
#define MYDEV_PIPES_H

#include <linux/bits.h>
#include <linux/types.h>
#include <linux/usb.h>

/* Endpoints of an interface, beside the one for control. */
#define MYDEV_MAX_PIPES 30

/* All of one direction. */
#define MYDEV_ENDPOINTS_OUT 0x0000ffffU
#define MYDEV_ENDPOINTS_IN  0xffff0000U

/**
 * struct mydev_pipe - endpoints that share a node: one or none for each direction
 * @endpoints: bitmap of the addresses that they have; more than one of a direction
 *	where alternate settings have different ones
 * @address: of the first IN, or else OUT endpoint: what the node is named by
 * @interrupt: they are interrupt endpoints, and no setting has a bulk one in their place
 */
struct mydev_pipe {
	u32 endpoints;
	u8 address;
	bool interrupt;
};

/**
 * struct mydev_pipes - all of an interface
 * @nr: how many
 * @pipe: the first one is that of /dev/mydevN
 * @uncarried: bitmap of the endpoints that cannot be carried in some setting
 */
struct mydev_pipes {
	unsigned int nr;
	struct mydev_pipe pipe[MYDEV_MAX_PIPES];
	u32 uncarried;
};

/**
 * mydev_endpoint_bit() - find an endpoint's place in a bitmap of endpoints
 * @address: of the endpoint
 *
 * Return: a bitmap of this one, as in mydev_info.carried.
 */
static inline u32 mydev_endpoint_bit(u8 address)
{
	u32 bit = BIT(address & USB_ENDPOINT_NUMBER_MASK);

	return address & USB_DIR_IN ? bit << 16 : bit;
}

/* pipes.c */
int mydev_pipes_find(struct usb_interface *intf, struct mydev_pipes *pipes);
struct usb_endpoint_descriptor *
mydev_pipe_endpoint(const struct usb_host_interface *setting, u32 endpoints);

#endif /* MYDEV_PIPES_H */
