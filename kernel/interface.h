/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The interface that is bound: what its nodes have in common.
 */
#ifndef MYDEV_INTERFACE_H
#define MYDEV_INTERFACE_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/usb.h>
#include <linux/wait.h>

/* Control requests to the interface alone, or to all that mydev has of the USB device. */
#define MYDEV_SCOPE_INTERFACE 0
#define MYDEV_SCOPE_DEVICE    1

struct mydev_client;

/**
 * struct mydev_interface - one bound interface
 * @ref: one of the binding, from probe to disconnect, and one of each node, until the
 *	release of its &struct device
 * @udev: the USB device, referenced; this and the next are constant
 * @intf: the interface, referenced
 * @nodes: its nodes, struct mydev_device; constant after probe. Their memory is freed
 *	with the interface, so whoever has one may look at all
 * @group: in the list of bound interfaces, see group.c
 * @control_scope: MYDEV_SCOPE_*, what control requests may reach
 * @disconnect_rwsem: see mydev.h
 * @usb_mutex: held by the one that has or tries for the USB device's lock, or clears
 *	a halt
 * @requests_lock: innermost spinlock; guards the four next
 * @requests: control requests in progress
 * @other_requests: those of siblings that are for this interface
 * @requests_end: no more of them
 * @requests_lost: how many the host controller has not given back
 * @lease_lock: innermost spinlock; guards the three next
 * @lease: the client that alone may send and control, or NULL; given while it has
 *	the claims of all nodes, see mydev_lease_is_others()
 * @leasing: a client collects these claims
 * @lease_waiters: threads on @lease_wait that wait for it
 * @lease_wait: for the lease to end, or the device
 * @last_id: id of the client of any node that was opened last
 * @asleep: suspend has paused us; it, and the next, by PM callbacks only
 * @sleep_event: the event for clients after the sleep, MYDEV_EVENT_* or 0
 */
struct mydev_interface {
	struct kref ref;
	struct usb_device *udev;
	struct usb_interface *intf;
	struct list_head nodes;
	struct list_head group;
	unsigned int control_scope;

	struct rw_semaphore disconnect_rwsem;
	/* Serializes attempts to lock @udev. */
	struct mutex usb_mutex;
	/* Control requests; innermost. */
	spinlock_t requests_lock;
	struct list_head requests;
	struct list_head other_requests;
	bool requests_end;
	unsigned int requests_lost;

	/* The right to send and control; innermost. */
	spinlock_t lease_lock;
	struct mydev_client *lease;
	bool leasing;
	unsigned int lease_waiters;
	wait_queue_head_t lease_wait;

	atomic_t last_id;
	bool asleep;
	u32 sleep_event;
};

/* interface.c */
void mydev_interface_init(struct mydev_interface *iface);
struct mydev_interface *mydev_interface_alloc(struct usb_interface *intf);
u32 mydev_interface_next_id(struct mydev_interface *iface);
void mydev_interface_put(struct mydev_interface *iface);
void mydev_interface_pin(struct mydev_interface *iface);

#endif /* MYDEV_INTERFACE_H */
