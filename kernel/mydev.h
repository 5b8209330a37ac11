/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The device, the owners of all objects, and the order of locks.
 *
 * One struct mydev_interface per bound interface, one struct mydev_device per node
 * of it, one struct mydev_client per open file, one struct mydev_buffer per block of
 * receive memory.
 *
 * Lifetime
 *   struct mydev_interface by its reference count. References: the binding (probe
 *			  to disconnect), every node.
 *   struct mydev_device  by the reference count of its embedded struct device.
 *			  References: the binding, every open file. Its memory
 *			  is freed with the interface.
 *   struct mydev_client  from open to release of its file.
 *   pool, log, transfers	  from the open of the first member to the release of
 *			  the last; device and transfers never outlive it.
 *   sends		  from the first open for writing to the end of the
 *			  device: what a program has written outlives it.
 *
 * Locks, outermost first
 *   iface->usb_mutex	  serializes our attempts to lock the USB device, and to
 *			  clear a halt: usb_lock_device_for_reset() polls, and
 *			  without it one caller in a loop starves the rest.
 *   the USB device's	  held by usbcore around probe, disconnect and reset, and
 *			  by us to reset, and to change the alternate setting.
 *   iface->disconnect_rwsem  held for reading by all that talk to the hardware
 *			  from process context and find !dev->gone; taken for
 *			  writing by disconnect. Data is not waited for under it.
 *			  That of a sibling is only tried for, under ours.
 *   mydev_group_mutex	  the list of bound interfaces; nothing waits under it.
 *   client->read_mutex	  one reader at a time per client. Independent of the two
 *			  around it: neither is taken under it, and under
 *			  rx_mutex it is only tried for.
 *   dev->rx_mutex	  starts, stops and recovery of the ring; first and last
 *			  subscriber; whether transfers are blocked.
 *   dev->tx.mutex	  the same for sending.
 *   dev->rx_lock	  spinlock, interrupts off: ring state, buffers and their
 *			  references, the log, clients, counters. The
 *			  completion takes this one and nothing else.
 *   dev->tx.lock	  spinlock, interrupts off: sends, claim, counters
 *			  of sending. Neither is taken under the other.
 *   iface->lease_lock	  spinlock, interrupts off: who has the lease, or gets it.
 *   client->wait.lock	  taken inside rx_lock and tx.lock by a wake-up.
 *
 * The memory map's lock is outside of rx_mutex and client->map.mutex: mmap()
 * takes the one, a page fault the other. So neither is held where user memory
 * is touched.
 *
 * Of two nodes, neither the mutexes nor the spinlocks are held at the same time.
 *
 * The claim (arbiter.c) is no lock but a state: its holder may sleep for as long as
 * the device makes it wait, and waiters can be woken for other reasons.
 */
#ifndef MYDEV_H
#define MYDEV_H

#include <linux/completion.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/usb.h>

#include "compat.h"
#include "client.h"
#include "interface.h"
#include "log.h"
#include "pipes.h"
#include "ring.h"
#include "rx.h"
#include "tx.h"
#include "../uapi/linux/mydev.h"

#define MYDEV_NAME "mydev"

/* Open descriptors per device; bounds what one device can make us hold. */
#define MYDEV_MAX_CLIENTS 256

/* How long the device may take when the caller does not say, and at most. */
#define MYDEV_DEFAULT_TIMEOUT_MS 5000
#define MYDEV_MAX_TIMEOUT_MS     60000

/* So long a program that stops a direction waits for it to go on, at most. */
#define MYDEV_RESTART_TIMEOUT (HZ / 10)

/* How often a page that was got may be away again when it is needed. */
#define MYDEV_FAULTS 8

/*
 * How long a host controller may take to give unlinked transfers back.
 * It has to stop an endpoint for that, or ask over a network.
 */
#define MYDEV_GIVEBACK_TIMEOUT (2 * HZ)

/* How long after its first error a device may turn out to be unplugged. */
#define MYDEV_UNPLUG_GRACE (HZ / 5)

/**
 * struct mydev_counters - what the device did since it was plugged in
 * @packets: packets delivered, also the number of the next one
 * @bytes: payload bytes
 * @zero_packets: packets without a byte
 * @errors: transfers that ended with an error
 * @stalls: halts of the endpoint that were cleared
 * @ring_stops: times that the last transfer found no free buffer
 * @unread_packets: packets that the last user had not read when it left, or that came
 *	afterwards; those of the last such stop are added when the ring runs again
 * @unread_bytes: the same in bytes
 */
struct mydev_counters {
	u64 packets;
	u64 bytes;
	u64 zero_packets;
	u64 errors;
	u64 stalls;
	u64 ring_stops;
	u64 unread_packets;
	u64 unread_bytes;
};

/**
 * struct mydev_request - a control request
 * @list: in iface->requests while it is waited for
 * @other_list: the same, in other->other_requests
 * @iface: the interface
 * @other: the sibling that it is for, held, whose disconnect ends it as well; or NULL.
 *	Of no meaning when it is not waited for any more
 * @urb: its transfer
 * @setup: the setup packet
 * @data: wLength bytes, or NULL
 * @refs: one of the caller, and one of the transfer
 * @patient: no signal ends it
 * @abortable: mydev_ep0_abort() ends it
 * @aborted: it has, under iface->requests_lock
 * @done: the transfer is back; this and the next under
 *	iface->requests_lock
 * @lost: the transfer did not come back in time
 * @wake: completed with the transfer, and by disconnect
 * @back: completed with the transfer
 */
struct mydev_request {
	struct list_head list;
	struct list_head other_list;
	struct mydev_interface *iface;
	struct mydev_interface *other;
	struct urb *urb;
	struct usb_ctrlrequest *setup;
	void *data;
	refcount_t refs;
	bool patient;
	bool abortable;
	bool aborted;
	bool done;
	bool lost;
	struct completion wake;
	struct completion back;
};

/**
 * struct mydev_device - one node of an interface
 * @dev: the device of our class
 * @iface: the interface, referenced until the release of @dev
 * @node: in iface->nodes
 * @info: identity and endpoints; those of the alternate setting change under
 *	rx_lock while both sides are paused, the rest is constant after probe
 * @endpoints: bitmap of the endpoints that it may have, see struct mydev_pipe; this
 *	and the next four are constant
 * @interrupt: they are interrupt endpoints
 * @has_in: some alternate setting has an IN endpoint for it
 * @has_out: the same for OUT
 * @minor: number of the node
 * @gone: the interface is unbound; written under disconnect_rwsem (write) and @rx_lock,
 *	so either is enough to read it
 * @rx_mutex: see the top of this file
 * @rx_lock: see the top of this file
 * @rx: the receive ring
 * @pool: the receive memory
 * @log: what was received
 * @counters: under @rx_lock
 * @recovery: the policy of recovery from errors, written under @rx_lock
 * @tx: the sending side
 * @transaction: the answer that is waited for, or NULL; under @rx_lock
 * @last_transaction: number of the last one, under @rx_lock
 * @debugfs: the directory of this device
 * @clients: all open files, under @rx_lock
 * @nr_clients: length of @clients, under @rx_mutex and @rx_lock
 * @nr_subscribers: those opened for reading, under @rx_mutex
 * @nr_rings: those in ring mode, under @rx_lock
 * @sleepers: clients with waiters that may sleep, under @rx_lock; see wake.c
 * @woken: clients that were woken, and have not looked since, under @rx_lock
 * @maps: mappings of clients that are not revoked; grows from 0 under @rx_mutex
 *	only
 * @last_id: id of the client of this node that was opened last, under @rx_lock
 */
struct mydev_device {
	struct device dev;
	struct mydev_interface *iface;
	struct list_head node;
	struct mydev_info info;
	u32 endpoints;
	bool interrupt;
	bool has_in;
	bool has_out;
	unsigned int minor;

	bool gone;

	/* Starts, stops and recovery of the ring; sleeps. */
	struct mutex rx_mutex;
	/* Everything that the completion touches. */
	spinlock_t rx_lock;
	struct mydev_rx rx;
	struct mydev_pool pool;
	struct mydev_log log;
	struct mydev_counters counters;
	struct mydev_recovery recovery;
	struct mydev_transaction *transaction;
	u32 last_transaction;

	struct mydev_tx tx;

	struct dentry *debugfs;
	struct list_head clients;
	unsigned int nr_clients;
	unsigned int nr_subscribers;
	unsigned int nr_rings;
	struct list_head sleepers;
	struct list_head woken;
	atomic_t maps;
	u32 last_id;
};

/**
 * mydev_urb_check() - replace length and status of a URB that cannot be
 * @urb: a transfer of ours that has ended
 * @cut: we may have cut it short
 *
 * Behind USB/IP, length and status are numbers that a peer has sent. A length
 * beyond the transfer's own would have us hand out memory that is not the
 * transfer's, and no byte of one that lies is worth anything. A status that says
 * that we have taken the transfer back, where we have not, would have us wait for
 * the one that has.
 *
 * Return: false if it was such an end; it is an error of the bus now.
 */
static inline bool mydev_urb_check(struct urb *urb, bool cut)
{
	bool too_long = urb->actual_length > urb->transfer_buffer_length;

	if (likely(!too_long && urb->status <= 0 && urb->status >= -MAX_ERRNO &&
		   (cut ||
		    (urb->status != -ENOENT && urb->status != -ECONNRESET))))
		return true;
	if (too_long)
		urb->actual_length = 0;
	urb->status = -EPROTO;
	return false;
}

/* ids.c */
int mydev_ids_parse(const char *ids, struct usb_device_id *table,
		    unsigned int max);
bool mydev_ids_serial_matches(const struct usb_device_id *id,
			      const char *serial);

/* device.c */
void mydev_rx_queue_work(struct mydev_device *dev);
void mydev_device_pin(struct mydev_device *dev);
void mydev_urb_target(struct mydev_device *dev, struct urb *urb, u8 address);
void mydev_fill_endpoints(struct mydev_device *dev,
			  struct usb_host_interface *setting);
bool mydev_interface_is_leaving(const struct mydev_interface *iface);
int mydev_pm_get(struct mydev_device *dev);
void mydev_pm_put(struct mydev_device *dev);
int mydev_errno_or_enodev(struct mydev_device *dev, int error);
bool mydev_control_in_doubt(int error);
int mydev_control_errno(struct mydev_device *dev, int status);

/* recovery.c */
void mydev_recovery_init(struct mydev_device *dev);
void mydev_recovery_get(struct mydev_device *dev,
			struct mydev_recovery *recovery);
int mydev_recovery_check(const struct mydev_recovery *recovery);
bool mydev_recovery_clears(const struct mydev_device *dev, int status);
int mydev_recovery_set(struct mydev_device *dev,
		       const struct mydev_recovery *recovery);
void mydev_rx_count_suspects(struct mydev_device *dev);
void mydev_rx_settle_suspects(struct mydev_device *dev);
bool mydev_rx_exhausted(const struct mydev_device *dev);
unsigned long mydev_rx_delay(const struct mydev_device *dev);
int mydev_rx_cleared(struct mydev_device *dev, int ret);
int mydev_tx_cleared(struct mydev_device *dev, int ret);
u64 mydev_rx_errors(struct mydev_device *dev);
bool mydev_rx_unread(const struct mydev_device *dev,
		     struct mydev_place *unread);
struct mydev_place mydev_rx_all_unread(const struct mydev_device *dev);

/* ep0.c */
struct mydev_request *mydev_request_alloc(struct mydev_device *dev, u8 type,
					  u8 request, u16 value, u16 index,
					  u16 length);
void mydev_request_put(struct mydev_request *r);
int mydev_request_do(struct mydev_request *r, u32 *actual, long timeout);
void mydev_requests_end(struct mydev_interface *iface);
bool mydev_requests_lost(struct mydev_interface *iface);
void mydev_requests_reap(void);
void mydev_ep0_abort(struct mydev_device *dev, unsigned int address);
int mydev_ep0_clear_halt(struct mydev_device *dev, unsigned int address,
			 bool abortable);
int mydev_ep0_set_interface(struct mydev_device *dev, unsigned int number,
			    bool killable);

/* group.c */
void mydev_group_add(struct mydev_interface *iface);
void mydev_group_remove(struct mydev_interface *iface);
bool mydev_is_recipient(const struct mydev_interface *iface, u8 type,
			u16 index);
struct mydev_interface *mydev_group_hold(struct mydev_interface *iface, u8 type,
					 u16 index);
void mydev_group_release(struct mydev_interface *other);
ssize_t mydev_group_show(struct mydev_device *dev, char *buf);

/* control.c */
int mydev_control_allowed(struct mydev_device *dev, u8 type, u16 index,
			  struct mydev_interface **other);
int mydev_control(struct mydev_client *client, struct mydev_control *arg);
int mydev_clear_halt(struct mydev_client *client, u32 address);

/* pm.c */
bool mydev_pause(struct mydev_interface *iface);
void mydev_unpause(struct mydev_interface *iface, u32 event);
int mydev_set_alternate(struct mydev_client *client, u32 number);
int mydev_reset(struct mydev_client *client);
int mydev_suspend(struct usb_interface *intf, pm_message_t message);
int mydev_resume(struct usb_interface *intf);
int mydev_reset_resume(struct usb_interface *intf);
int mydev_pre_reset(struct usb_interface *intf);
int mydev_post_reset(struct usb_interface *intf);

/* ioctl.c */
long mydev_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* debugfs.c */
#ifdef CONFIG_DEBUG_FS
void mydev_debugfs_init(void);
void mydev_debugfs_exit(void);
void mydev_debugfs_add(struct mydev_device *dev);
void mydev_debugfs_remove(struct mydev_device *dev);
#else
static inline void mydev_debugfs_init(void)
{
}

static inline void mydev_debugfs_exit(void)
{
}

static inline void mydev_debugfs_add(struct mydev_device *dev)
{
}

static inline void mydev_debugfs_remove(struct mydev_device *dev)
{
}
#endif

/* sysfs.c */
extern const struct attribute_group *mydev_groups[];

/* chardev.c */
int mydev_chardev_init(void);
void mydev_chardev_exit(void);
int mydev_chardev_prepare(struct mydev_device *dev);
int mydev_chardev_publish(struct mydev_device *dev);
void mydev_chardev_withdraw(struct mydev_device *dev);
void mydev_chardev_unprepare(struct mydev_device *dev);
__poll_t mydev_client_poll(struct mydev_client *client, __poll_t how);

#endif /* MYDEV_H */
