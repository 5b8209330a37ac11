// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pairs of endpoints, from all alternate settings of an interface.
 *
 * An IN and an OUT endpoint of one type are a pair if they have the same number; what is
 * left then is paired in the order of the descriptors, and what is left of that is
 * alone. An endpoint is the one with its address, whatever setting is in use. Only the
 * first pipe is that of the setting's first endpoint as well: where a setting lacks its
 * endpoint, one that no setting has beside it stands in its place.
 */
#include <linux/errno.h>
#include <linux/string.h>

#include "mydev.h"

/* Endpoint numbers. */
#define MYDEV_MAX_ADDRESSES 16

/**
 * struct mydev_addresses - endpoints of one type and direction
 * @nr: how many
 * @address: in the order in which they are found; 0 where it has a pipe
 */
struct mydev_addresses {
	unsigned int nr;
	u8 address[MYDEV_MAX_ADDRESSES];
};

static bool
mydev_endpoint_is_carried(const struct usb_endpoint_descriptor *desc)
{
	return usb_endpoint_xfer_bulk(desc) ||
	       (usb_endpoint_xfer_int(desc) && usb_endpoint_maxp(desc));
}

/**
 * mydev_pipe_endpoint() - find the first of some endpoints that a setting has
 * @setting: the alternate setting
 * @endpoints: bitmap of the addresses that it may have
 *
 * Return: the descriptor, NULL if there is none of a type that can be carried.
 */
struct usb_endpoint_descriptor *
mydev_pipe_endpoint(const struct usb_host_interface *setting, u32 endpoints)
{
	struct usb_endpoint_descriptor *desc;
	unsigned int i;

	for (i = 0; i < setting->desc.bNumEndpoints; i++) {
		desc = &setting->endpoint[i].desc;
		if ((mydev_endpoint_bit(desc->bEndpointAddress) & endpoints) &&
		    mydev_endpoint_is_carried(desc))
			return desc;
	}
	return NULL;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_pipe_endpoint);

/* Bitmap of the endpoints of a type in any setting. */
static u32 mydev_endpoints_of_type(const struct usb_interface *intf, int type)
{
	const struct usb_endpoint_descriptor *desc;
	const struct usb_host_interface *setting;
	unsigned int i, j;
	u32 found = 0;

	for (i = 0; i < intf->num_altsetting; i++) {
		setting = &intf->altsetting[i];
		for (j = 0; j < setting->desc.bNumEndpoints; j++) {
			desc = &setting->endpoint[j].desc;
			if (usb_endpoint_type(desc) == type &&
			    mydev_endpoint_is_carried(desc))
				found |= mydev_endpoint_bit(
					desc->bEndpointAddress);
		}
	}
	return found;
}

/* The addresses of some endpoints, in the order in which settings have them. */
static void mydev_addresses_find(const struct usb_interface *intf,
				 u32 endpoints, struct mydev_addresses *found)
{
	const struct usb_host_interface *setting;
	unsigned int i, j;
	u8 address;

	found->nr = 0;
	for (i = 0; i < intf->num_altsetting; i++) {
		setting = &intf->altsetting[i];
		for (j = 0; j < setting->desc.bNumEndpoints; j++) {
			address = setting->endpoint[j].desc.bEndpointAddress;
			if (!(mydev_endpoint_bit(address) & endpoints))
				continue;
			endpoints &= ~mydev_endpoint_bit(address);
			found->address[found->nr++] = address;
		}
	}
}

/* Is it in no setting together with one of these? */
static bool mydev_endpoint_replaces(const struct usb_interface *intf,
				    u8 address, u32 endpoints)
{
	const struct usb_host_interface *setting;
	unsigned int i;

	for (i = 0; i < intf->num_altsetting; i++) {
		setting = &intf->altsetting[i];
		if (mydev_pipe_endpoint(setting, mydev_endpoint_bit(address)) &&
		    mydev_pipe_endpoint(setting, endpoints))
			return false;
	}
	return true;
}

/* Adds to a pipe what stands in the place of its endpoint in other settings. */
static void mydev_pipe_replace(const struct usb_interface *intf,
			       struct mydev_pipe *pipe,
			       struct mydev_addresses *from, u32 direction)
{
	unsigned int i;
	u8 address;

	for (i = 0; i < from->nr; i++) {
		address = from->address[i];
		if (!address ||
		    !mydev_endpoint_replaces(intf, address,
					     pipe->endpoints & direction))
			continue;
		pipe->endpoints |= mydev_endpoint_bit(address);
		from->address[i] = 0;
	}
}

static struct mydev_pipe *mydev_pipe_add(struct mydev_pipes *pipes, u8 address,
					 bool interrupt)
{
	struct mydev_pipe *pipe = &pipes->pipe[pipes->nr++];

	*pipe = (struct mydev_pipe){
		.endpoints = mydev_endpoint_bit(address),
		.address = address,
		.interrupt = interrupt,
	};
	return pipe;
}

/* Gives the OUT endpoint of the number of its IN one to a pipe; any one: the next one. */
static void mydev_pipe_pair(struct mydev_pipe *pipe,
			    struct mydev_addresses *outs, bool any)
{
	unsigned int i;
	u8 address;

	if (pipe->endpoints & MYDEV_ENDPOINTS_OUT)
		return;
	for (i = 0; i < outs->nr; i++) {
		address = outs->address[i];
		if (address &&
		    (any || (pipe->endpoints &
			     mydev_endpoint_bit(address | USB_DIR_IN)))) {
			pipe->endpoints |= mydev_endpoint_bit(address);
			outs->address[i] = 0;
			return;
		}
	}
}

/**
 * mydev_pipes_of() - make the pipes of endpoints of one type
 * @intf: the interface
 * @endpoints: bitmap of the endpoints
 * @interrupt: which type it is
 * @pipes: what there is so far, and these behind it
 */
static void mydev_pipes_of(const struct usb_interface *intf, u32 endpoints,
			   bool interrupt, struct mydev_pipes *pipes)
{
	struct mydev_addresses ins, outs;
	struct mydev_pipe *lead = NULL;
	unsigned int i, first = pipes->nr;

	mydev_addresses_find(intf, endpoints & MYDEV_ENDPOINTS_IN, &ins);
	mydev_addresses_find(intf, endpoints & MYDEV_ENDPOINTS_OUT, &outs);
	if (!first && ins.nr) {
		lead = mydev_pipe_add(pipes, ins.address[0], interrupt);
		ins.address[0] = 0;
		mydev_pipe_replace(intf, lead, &ins, MYDEV_ENDPOINTS_IN);
	}
	for (i = 0; i < ins.nr; i++) {
		if (ins.address[i])
			mydev_pipe_add(pipes, ins.address[i], interrupt);
	}

	for (i = first; i < pipes->nr; i++)
		mydev_pipe_pair(&pipes->pipe[i], &outs, false);
	if (lead)
		mydev_pipe_pair(lead, &outs, true);
	if (!first && !lead && outs.nr) {
		lead = mydev_pipe_add(pipes, outs.address[0], interrupt);
		outs.address[0] = 0;
	}
	if (lead)
		mydev_pipe_replace(intf, lead, &outs, MYDEV_ENDPOINTS_OUT);
	for (i = first; i < pipes->nr; i++)
		mydev_pipe_pair(&pipes->pipe[i], &outs, true);
	for (i = 0; i < outs.nr; i++) {
		if (outs.address[i])
			mydev_pipe_add(pipes, outs.address[i], interrupt);
	}
}

/* Endpoints that some setting has and that cannot be carried there. */
static u32 mydev_endpoints_uncarried(const struct usb_interface *intf)
{
	const struct usb_endpoint_descriptor *desc;
	const struct usb_host_interface *setting;
	unsigned int i, j;
	u32 found = 0;

	for (i = 0; i < intf->num_altsetting; i++) {
		setting = &intf->altsetting[i];
		for (j = 0; j < setting->desc.bNumEndpoints; j++) {
			desc = &setting->endpoint[j].desc;
			if (!mydev_endpoint_is_carried(desc))
				found |= mydev_endpoint_bit(
					desc->bEndpointAddress);
		}
	}
	return found;
}

static bool mydev_setting_is_broken(const struct usb_host_interface *setting)
{
	const struct usb_endpoint_descriptor *desc;
	unsigned int i;

	for (i = 0; i < setting->desc.bNumEndpoints; i++) {
		desc = &setting->endpoint[i].desc;
		if (usb_endpoint_xfer_bulk(desc) && !usb_endpoint_maxp(desc))
			return true;
	}
	return false;
}

/**
 * mydev_pipes_find() - find what nodes an interface gets
 * @intf: the interface
 * @pipes: receives them
 *
 * Return: 0, or -ENODEV if there is nothing for us, said in the log.
 */
int mydev_pipes_find(struct usb_interface *intf, struct mydev_pipes *pipes)
{
	u32 bulk, interrupt;
	unsigned int i;

	for (i = 0; i < intf->num_altsetting; i++) {
		if (mydev_setting_is_broken(&intf->altsetting[i])) {
			dev_err(&intf->dev,
				"a bulk endpoint has a wMaxPacketSize of 0, the device's descriptors are broken\n");
			return -ENODEV;
		}
	}
	memset(pipes, 0, sizeof(*pipes));
	pipes->uncarried = mydev_endpoints_uncarried(intf);
	bulk = mydev_endpoints_of_type(intf, USB_ENDPOINT_XFER_BULK);
	interrupt = mydev_endpoints_of_type(intf, USB_ENDPOINT_XFER_INT);
	mydev_pipes_of(intf, bulk, false, pipes);
	mydev_pipes_of(intf, interrupt & ~bulk, true, pipes);
	if (pipes->nr)
		return 0;
	dev_err(&intf->dev,
		"no bulk endpoint and no interrupt one in this interface, nothing to do for mydev\n");
	return -ENODEV;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_pipes_find);
