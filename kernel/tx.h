/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sending: transfers, the claim, transactions.
 */
#ifndef MYDEV_TX_H
#define MYDEV_TX_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/uio.h>
#include <linux/usb.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

/*
 * Transfers to send with, and bytes of each: what can wait to be sent. The host
 * controller has three quarters of them at once: more than a millisecond of
 * SuperSpeed, and some are left for completions to submit.
 */
#define MYDEV_SENDS     32
#define MYDEV_SEND_SIZE SZ_32K

/* The same for an interrupt endpoint, none of which has larger packets. */
#define MYDEV_INTERRUPT_SENDS     8
#define MYDEV_INTERRUPT_SEND_SIZE SZ_4K

/*
 * Threads that wait for the claim, beside one of each client; and as many for the
 * lease.
 */
#define MYDEV_MAX_WAITERS 256

/* The longest message of an transaction, and the longest answer. */
#define MYDEV_MAX_TRANSACTION SZ_64K

struct mydev_client;
struct mydev_device;
struct mydev_interface;
struct mydev_stats;
struct mydev_transact;

/**
 * enum mydev_tx_state - may transfers be submitted?
 * @MYDEV_TX_RUNNING: what is queued is submitted
 * @MYDEV_TX_STOPPED: what is queued waits; the work goes on with it
 * @MYDEV_TX_GONE: unplugged
 */
enum mydev_tx_state {
	MYDEV_TX_RUNNING,
	MYDEV_TX_STOPPED,
	MYDEV_TX_GONE,
};

/**
 * struct mydev_send - one transmit transfer and its memory
 * @list: in tx->idle, in tx->queue, or in the hands of the holder of the claim
 * @urb: owned from the first open for writing to the end of the device
 * @data: tx->size bytes
 * @length: bytes to send
 * @done: bytes that the device has taken
 * @client_id: id of the client that wrote it
 * @client: the same, NULL once that is closed
 * @transaction: number of the transaction whose request it is a part of, or 0
 * @zero: a packet without bytes ends it
 * @in_flight: the host controller has it
 * @error: why the device has not taken it, -EPIPE or -EIO, or 0
 * @cancelled: it will not be sent any more
 * @last: the last of its message
 * @dev: back pointer for the completion
 *
 * All but @urb, @data and @dev under tx->lock.
 */
struct mydev_send {
	struct list_head list;
	struct urb *urb;
	void *data;
	u32 length;
	u32 done;
	u32 client_id;
	struct mydev_client *client;
	int error;
	u32 transaction;
	bool zero;
	bool in_flight;
	bool cancelled;
	bool last;
	struct mydev_device *dev;
};

/**
 * struct mydev_tx - the sending side
 * @lock: see the top of this file
 * @mutex: see the top of this file
 * @nr: transfers that it has, constant
 * @size: bytes of each, constant
 * @sends: array of @nr, NULL before the first open for writing
 * @idle: those that can be filled
 * @queue: those that are to be sent, in the order of the wire
 * @in_flight: how many the host controller has, at most three quarters
 *	of @nr
 * @pushing: a submitter is active, and no other may be
 * @state: see enum mydev_tx_state
 * @pauses: reasons not to run, see pm.c
 * @unlinking: how many are about to unlink what was in flight behind an error
 * @halted: the device has stalled the endpoint, and it was not cleared since
 * @needs_clear: the endpoint needs a clear halt before the next try
 * @clearing: it is being cleared
 * @clear_failed: that has failed, and was logged
 * @lost: the host controller has not given back some that are in flight
 * @doubt: an error of the bus: wait whether an unplug follows
 * @urbs_blocked: transfers refuse to be submitted, under @mutex
 * @maxp: wMaxPacketSize of the endpoint in use, 0 without one
 * @epoch: how often what was queued has been cancelled for all
 * @pm_held: sending keeps the device from suspending
 * @progress: when the device last took something, or there was nothing to take,
 *	jiffies
 * @owner: the client whose message is being queued, or NULL
 * @waiters: for the claim, in the order in which they came
 * @nr_waiters: length of @waiters
 * @wait: of pollers for the claim and room
 * @quiet: woken when no transfer is in flight any more, and at the end of @clearing
 * @work: recovers from errors, gives up what closed clients cannot send
 * @suspects: errors that may be the beginning of an unplug, and are not counted
 *	before it is known that it is none
 * @transfers: counter, see struct mydev_stats
 * @bytes: counter
 * @errors: counter
 *
 * Under @lock, unless said otherwise.
 */
struct mydev_tx {
	/* What a completion and a writer touch. */
	spinlock_t lock;
	/* Stops and recovery; sleeps. */
	struct mutex mutex;
	unsigned int nr;
	unsigned int size;
	struct mydev_send *sends;
	struct list_head idle;
	struct list_head queue;
	unsigned int in_flight;
	bool pushing;
	enum mydev_tx_state state;
	unsigned int pauses;
	unsigned int unlinking;
	bool halted;
	bool needs_clear;
	bool clearing;
	bool clear_failed;
	bool lost;
	bool doubt;
	bool urbs_blocked;
	unsigned int maxp;
	u32 epoch;
	bool pm_held;
	unsigned long progress;
	struct mydev_client *owner;
	struct list_head waiters;
	unsigned int nr_waiters;
	wait_queue_head_t wait;
	wait_queue_head_t quiet;
	struct delayed_work work;
	unsigned int suspects;
	u64 transfers;
	u64 bytes;
	u64 errors;
};

/**
 * struct mydev_transaction - an answer that a client waits for
 * @client: the requester
 * @number: of the transaction, never 0
 * @data: memory for it
 * @room: bytes of @data
 * @length: bytes of the answer so far
 * @request_sent: the device has taken the request
 * @done: the answer is complete
 * @truncated: it was longer than @room
 *
 * On the stack of the waiter; under rx_lock.
 */
struct mydev_transaction {
	struct mydev_client *client;
	u32 number;
	u8 *data;
	u32 room;
	u32 length;
	bool request_sent;
	bool done;
	bool truncated;
};

/* arbiter.c */
bool mydev_lease_is_others(const struct mydev_client *client);
int mydev_tx_allowed(struct mydev_client *client);
int mydev_tx_claim_node(struct mydev_tx *tx, struct mydev_client *client,
			bool nonblock, long timeout);
int mydev_tx_claim(struct mydev_client *client, bool nonblock, long timeout);
void mydev_tx_wake_pollers(struct mydev_tx *tx);
void mydev_tx_release(struct mydev_client *client);
void mydev_tx_kick_waiters(struct mydev_device *dev);
void mydev_tx_give_up(struct mydev_device *dev, struct mydev_client *client);

/* lease.c */
int mydev_lease_acquire(struct mydev_client *client, u32 timeout_ms,
			bool nonblock);
void mydev_lease_release(struct mydev_client *client);
void mydev_tx_revoke(struct mydev_client *client);
ssize_t mydev_lease_show(struct mydev_interface *iface, char *buf);

/* tx.c */
void mydev_tx_complete(struct urb *urb);
void mydev_tx_unlink_all(struct mydev_device *dev);
void mydev_tx_pm_put_idle(struct mydev_device *dev);
void mydev_tx_recycle(struct mydev_send *send);
void mydev_tx_push(struct mydev_device *dev, gfp_t gfp);
void mydev_tx_stop(struct mydev_device *dev);
void mydev_tx_set_error(struct mydev_client *client, int error);
void mydev_tx_retire(struct mydev_send *send);

/* tx_run.c */
void mydev_tx_work(struct work_struct *work);
void mydev_tx_shutdown(struct mydev_device *dev);
bool mydev_tx_quiesce(struct mydev_device *dev);
void mydev_tx_fail_all(struct mydev_device *dev);
void mydev_tx_cancel(struct mydev_client *client, u32 transaction);
void mydev_tx_detach_client(struct mydev_client *client);

/* tx_memory.c */
void mydev_tx_init(struct mydev_device *dev);
void mydev_tx_free(struct mydev_device *dev);
void mydev_tx_target(struct mydev_device *dev);
int mydev_tx_alloc(struct mydev_device *dev);

/* tx_pause.c */
bool mydev_tx_pause(struct mydev_device *dev);
void mydev_tx_unpause(struct mydev_device *dev);
void mydev_tx_cancel_queued(struct mydev_device *dev);
int mydev_tx_clear_halt(struct mydev_client *client, unsigned int address);
void mydev_tx_await_restart(struct mydev_device *dev);

/* write.c */
ssize_t mydev_tx_send_request(struct mydev_client *client,
			      struct iov_iter *from, u32 transaction,
			      unsigned long deadline);
ssize_t mydev_tx_write(struct mydev_client *client, struct iov_iter *from,
		       bool nonblock);
int mydev_tx_take_error(struct mydev_client *client);
int mydev_tx_sync(struct mydev_client *client);
__poll_t mydev_tx_poll(struct mydev_client *client);
void mydev_tx_stats(struct mydev_client *client, struct mydev_stats *stats);

/* transaction.c */
void mydev_transaction_sent(struct mydev_device *dev, u32 number);
void mydev_transaction_feed(struct mydev_device *dev, const void *data,
			    u32 length, bool end);

/* transact.c */
int mydev_transact(struct mydev_client *client, struct mydev_transact *arg,
		   bool nonblock);

#endif /* MYDEV_TX_H */
