/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The receive ring.
 */
#ifndef MYDEV_RX_H
#define MYDEV_RX_H

#include <linux/hrtimer.h>
#include <linux/list.h>
#include <linux/sizes.h>
#include <linux/usb.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "client.h"

/* Limits of the ring of one device. */
#define MYDEV_MAX_TRANSFERS     128
#define MYDEV_MAX_TRANSFER_SIZE SZ_256K

/* How long one client may stop the ring while others wait, at first. */
#define MYDEV_DEFAULT_BLOCK_TIMEOUT_MS 5000

struct mydev_client;
struct mydev_device;
struct mydev_geometry;

/**
 * struct mydev_rx_numbers - how much of what the receive ring has
 * @nr: transfers
 * @nr_buffers: buffers of the pool
 * @nr_entries: entries of the log, a power of two
 * @size: bytes per transfer, a multiple of wMaxPacketSize
 * @room: bytes of a buffer, at least @size
 */
struct mydev_rx_numbers {
	unsigned int nr;
	unsigned int nr_buffers;
	unsigned int nr_entries;
	unsigned int size;
	unsigned int room;
};

/**
 * struct mydev_transfer - one receive URB and what belongs to it
 * @list: in rx->idle while not in flight
 * @urb: owned from allocation of the ring to its end
 * @buf: the buffer that @urb fills while in flight, else NULL
 * @dev: back pointer for the completion
 */
struct mydev_transfer {
	struct list_head list;
	struct urb *urb;
	struct mydev_buffer *buf;
	struct mydev_device *dev;
};

/**
 * struct mydev_rx - the receive ring
 * @transfers: array of @nr transfers, NULL while there is no member
 * @nr: transfers that are kept in flight while the ring runs; this and the four
 *	next are written under rx_mutex and rx_lock
 * @nr_buffers: buffers that the pool gets
 * @nr_entries: entries that the log gets
 * @size: bytes per transfer, a multiple of wMaxPacketSize
 * @room: bytes of a buffer, of which transfers use what is a multiple of that
 * @idle: transfers that are not in flight, under rx_lock
 * @in_flight: transfers that are not idle, under rx_lock
 * @credits: so many may be at least, by what the holders allow, see flow.c; 0 whenever
 *	it may have become less by other things than entries, under rx_lock
 * @state: MYDEV_STATE_*, under rx_lock; submissions happen only in RUNNING
 * @users: open subscribers that have asked for data, under rx_lock
 * @halted: the device has stalled the endpoint, and it was not cleared since; under
 *	rx_lock
 * @needs_clear: the endpoint needs a clear halt before the next try, under rx_lock
 * @clearing: it is being cleared, under rx_lock
 * @clear_failed: that has failed, and was logged, under rx_lock
 * @failures: tries in a row that have failed, under rx_lock
 * @suspects: transfers with an error that may be the beginning of an unplug, and
 *	are not counted before it is known that it is none; under rx_lock
 * @suspected: when the first of them came, jiffies, under rx_lock
 * @urbs_blocked: transfers refuse to be submitted, under rx_mutex
 * @lost: the host controller has not given back some that are in flight, under
 *	rx_lock
 * @work: starts the ring and recovers it from errors
 * @quiet: woken when no transfer is in flight any more, at the end of @clearing, and
 *	when the ring goes on
 * @block_work: watches over a ring that a client has stopped, and goes on with what
 *	takes too long for one hold of rx_lock
 * @wake_timer: repeats wake-ups, see wake.c
 * @block_timeout_ms: how long one may do so while others wait, 0 for ever; under
 *	rx_lock
 * @block_start: since when another client waits for it, jiffies, under rx_lock
 * @blocked: @block_start is valid, under rx_lock
 * @error: what the ring recovers from, a negative errno, 0 for nothing that
 *	clients have to hear of; under rx_lock
 * @told: what they have heard of since the last good transfer, under rx_lock
 * @error_id: id of the client that was opened last before that, under rx_lock
 * @left: where the last user was in the stream when it left; under rx_lock
 * @has_left: @left is valid: the ring has not run since, under rx_lock
 * @continues: the message of the packet that came last goes on in the next one, under
 *	rx_lock
 * @pauses: reasons not to run, see pm.c; under rx_mutex and rx_lock
 * @pm_held: the ring keeps the device from suspending; under rx_mutex
 */
struct mydev_rx {
	struct mydev_transfer *transfers;
	unsigned int nr;
	unsigned int nr_buffers;
	unsigned int nr_entries;
	unsigned int size;
	unsigned int room;
	struct list_head idle;
	unsigned int in_flight;
	unsigned int credits;
	u32 state;
	unsigned int users;
	bool halted;
	bool needs_clear;
	bool clearing;
	bool clear_failed;
	unsigned int failures;
	unsigned int suspects;
	unsigned long suspected;
	bool urbs_blocked;
	bool lost;
	struct delayed_work work;
	wait_queue_head_t quiet;
	struct delayed_work block_work;
	struct hrtimer wake_timer;
	unsigned int block_timeout_ms;
	unsigned long block_start;
	bool blocked;
	int error;
	int told;
	u32 error_id;
	struct mydev_place left;
	bool has_left;
	bool continues;
	unsigned int pauses;
	bool pm_held;
};

/* rx.c */
void mydev_rx_schedule_recovery(struct mydev_device *dev, int status);
void mydev_rx_deliver(struct mydev_device *dev, const struct urb *urb,
		      struct mydev_buffer *buf);
void mydev_rx_complete(struct urb *urb);
bool mydev_rx_needs_refill(struct mydev_device *dev);
void mydev_rx_refill(struct mydev_device *dev);

/* rx_memory.c */
int mydev_rx_add_subscriber(struct mydev_device *dev);
void mydev_rx_free_unused(struct mydev_device *dev);
void mydev_rx_remove_subscriber(struct mydev_device *dev);
void mydev_rx_use_geometry(struct mydev_device *dev,
			   const struct mydev_rx_numbers *numbers);
int mydev_rx_rebuild(struct mydev_device *dev,
		     const struct mydev_rx_numbers *numbers);

/* rx_run.c */
void mydev_rx_work(struct work_struct *work);
void mydev_rx_stop_if_unused(struct mydev_device *dev);
u32 mydev_rx_state(const struct mydev_device *dev);
void mydev_rx_shutdown(struct mydev_device *dev);
bool mydev_rx_quiesce(struct mydev_device *dev);
bool mydev_rx_startable(struct mydev_device *dev);

/* rx_pause.c */
bool mydev_rx_pause(struct mydev_device *dev);
void mydev_rx_unpause(struct mydev_device *dev, u32 event);
int mydev_rx_clear_halt(struct mydev_client *client, unsigned int address);
void mydev_rx_await_restart(struct mydev_device *dev);
int mydev_rx_restart(struct mydev_client *client);

/* rx_timeout.c */
void mydev_rx_block_work(struct work_struct *work);
void mydev_rx_set_block_timeout(struct mydev_device *dev,
				unsigned int block_timeout_ms);

/* rx_geometry.c */
void mydev_rx_init(struct mydev_device *dev);
bool mydev_rx_fits(struct mydev_device *dev,
		   struct usb_host_interface *setting);
void mydev_rx_target(struct mydev_device *dev);
void mydev_rx_get_geometry(struct mydev_device *dev,
			   struct mydev_geometry *geometry);
int mydev_rx_set_geometry(struct mydev_device *dev,
			  const struct mydev_client *client,
			  const struct mydev_geometry *geometry);

#endif /* MYDEV_RX_H */
