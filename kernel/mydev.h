/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The types of the driver, who frees what, and the order of locks.
 *
 * One struct mydev_device per bound interface, one struct mydev_client per
 * open file, one struct mydev_buffer per block of receive memory.
 *
 * Lifetime
 *   struct mydev_device  by the reference count of its embedded struct device.
 *			  References: the bound interface (probe to
 *			  disconnect), every open file, the embedded cdev.
 *   struct mydev_client  from open to release of its file, nobody else frees.
 *   pool and transfers	  from the open of the first member to the release of
 *			  the last; device and transfers never outlive it.
 *
 * Locks, outermost first
 *   dev->gate		  held for reading by whoever talks to the hardware
 *			  from process context and finds !dev->gone; taken for
 *			  writing by disconnect. Nobody waits for data under it.
 *   client->read_mutex	  one reader at a time per client. Independent of gate
 *			  and rx_mutex: neither is taken under it.
 *   dev->rx_mutex	  starts, stops and recovery of the ring; first and last
 *			  member; poison state of the transfers.
 *   dev->rx_lock	  spinlock, interrupts off: ring state, buffers and their
 *			  references, list of clients, queues, counters. The
 *			  completion takes this one and nothing else.
 *   client->wait.lock	  taken inside rx_lock by a wake-up.
 */
#ifndef MYDEV_H
#define MYDEV_H

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/kfifo.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/usb.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "../uapi/linux/mydev.h"

#define MYDEV_NAME "mydev"

/* Open descriptors per device; bounds what one device can make us hold. */
#define MYDEV_MAX_CLIENTS 256

/* Packets that can be queued for one client: at first, and at most. */
#define MYDEV_DEFAULT_DEPTH 1024
#define MYDEV_MAX_DEPTH     65536

/* Limits of the ring of one device. */
#define MYDEV_MAX_TRANSFERS     128
#define MYDEV_MAX_TRANSFER_SIZE SZ_256K
#define MYDEV_MAX_POOL_BYTES    SZ_64M

/* How long one client may stop the ring while others wait, at first. */
#define MYDEV_DEFAULT_STALL_MS 5000

struct mydev_device;

/**
 * enum mydev_buffer_state - where a block of receive memory is
 * @MYDEV_BUFFER_FREE: on the pool's free list
 * @MYDEV_BUFFER_IN_FLIGHT: a transfer points at it
 * @MYDEV_BUFFER_HELD: filled, and @refs of struct mydev_buffer hold it
 */
enum mydev_buffer_state {
	MYDEV_BUFFER_FREE,
	MYDEV_BUFFER_IN_FLIGHT,
	MYDEV_BUFFER_HELD,
};

/**
 * struct mydev_buffer - one block of receive memory
 * @list: in the pool's free list while free
 * @data: pool->size bytes, cacheable and physically contiguous
 * @state: see enum mydev_buffer_state
 * @refs: holders while held: queue entries of clients, readers in the middle
 *	of a copy, and the completion while it delivers
 *
 * All but @data, which never changes, is protected by rx_lock.
 */
struct mydev_buffer {
	struct list_head list;
	void *data;
	enum mydev_buffer_state state;
	unsigned int refs;
};

/**
 * struct mydev_pool - the receive memory of one device
 * @buffers: array of @nr buffers, NULL while the pool has no memory
 * @free: the free ones, the most recently used first
 * @nr: number of buffers
 * @nr_free: length of @free
 * @size: bytes per buffer that a transfer may fill
 * @pack: the buffer that small packets are being packed into, or NULL; the
 *	pool holds a reference to it
 * @pack_used: bytes in use in @pack
 */
struct mydev_pool {
	struct mydev_buffer *buffers;
	struct list_head free;
	unsigned int nr;
	unsigned int nr_free;
	unsigned int size;
	struct mydev_buffer *pack;
	unsigned int pack_used;
};

/**
 * struct mydev_gap - packets that a client lost, at one place of its stream
 * @packets: how many, 0 for no gap
 * @bytes: how many of their bytes the client has not got
 * @seq: number of the first of them
 */
struct mydev_gap {
	u64 packets;
	u64 bytes;
	u64 seq;
};

/**
 * struct mydev_packet - one entry of a client's queue
 * @seq: of a packet: its number since the device was plugged in, from 0; of a
 *	gap: the number of the first packet lost; of an event: the number of the
 *	next packet
 * @time: when it came, nanoseconds of the client's clock
 * @buf: of a packet: where its bytes are, NULL if it has none; the entry owns a
 *	reference
 * @offset: of a packet: where its first byte is in @buf
 * @length: of a packet: bytes
 * @gap: of a gap
 * @gap.packets: packets lost
 * @gap.bytes: bytes lost
 * @event: of an event: MYDEV_EVENT_*
 * @status: 0 or a negative errno
 * @flags: MYDEV_PACKET_*
 * @type: MYDEV_RECORD_*
 * @packed: it shares @buf with other packets
 */
struct mydev_packet {
	u64 seq;
	u64 time;
	union {
		struct {
			struct mydev_buffer *buf;
			u32 offset;
			u32 length;
		};
		struct {
			u64 packets;
			u64 bytes;
		} gap;
		u32 event;
	};
	s32 status;
	u16 flags;
	u8 type;
	bool packed;
};

/**
 * struct mydev_queue - the entries of one client
 * @fifo: the ring of them
 * @slots: the memory of @fifo
 */
struct mydev_queue {
	DECLARE_KFIFO_PTR(fifo, struct mydev_packet);
	struct mydev_packet *slots;
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
 * @nr: transfers that are kept in flight while the ring runs; this and the two
 *	next are written under rx_mutex and rx_lock
 * @nr_buffers: buffers that the pool gets
 * @size: bytes per transfer, a multiple of wMaxPacketSize
 * @idle: transfers that are not in flight, under rx_lock
 * @in_flight: transfers that are not idle, under rx_lock
 * @state: MYDEV_STATE_*, under rx_lock; submissions happen only in RUNNING
 * @wanted: open members that have asked for data, under rx_lock
 * @halted: the endpoint needs a clear halt before the next try, under rx_lock
 * @failures: errors in a row without one good transfer, under rx_lock
 * @poisoned: transfers refuse to be submitted, under rx_mutex
 * @work: starts the ring and recovers it from errors
 * @quiet: woken when no transfer is in flight any more
 * @stall_work: watches over a ring that a client has stopped
 * @stall_ms: how long one may do so while others wait, 0 for ever; under
 *	rx_lock
 * @stall_start: since when somebody waits for it, jiffies, under rx_lock
 * @stalled: @stall_start is valid, under rx_lock
 * @error: what the ring recovers from, a negative errno, under rx_lock
 */
struct mydev_rx {
	struct mydev_transfer *transfers;
	unsigned int nr;
	unsigned int nr_buffers;
	unsigned int size;
	struct list_head idle;
	unsigned int in_flight;
	u32 state;
	unsigned int wanted;
	bool halted;
	unsigned int failures;
	bool poisoned;
	struct delayed_work work;
	wait_queue_head_t quiet;
	struct delayed_work stall_work;
	unsigned int stall_ms;
	unsigned long stall_start;
	bool stalled;
	int error;
};

/**
 * struct mydev_counters - what the device did since it was plugged in
 * @packets: packets delivered, also the number of the next one
 * @bytes: payload bytes
 * @zero_packets: packets without a byte
 * @errors: transfers that ended with an error
 * @stalls: halts of the endpoint that were cleared
 * @ring_stops: times that the last transfer found no free buffer
 */
struct mydev_counters {
	u64 packets;
	u64 bytes;
	u64 zero_packets;
	u64 errors;
	u64 stalls;
	u64 ring_stops;
};

/**
 * struct mydev_device - one bound interface
 * @dev: the device of our class; its reference count is the only lifetime
 * @cdev: the character device; its parent is @dev
 * @udev: the USB device, referenced until the release of @dev
 * @intf: the interface, referenced until the release of @dev
 * @info: identity and endpoints, constant after probe
 * @gate: see the top of this file
 * @gone: the interface is unbound; written under @gate (write) and @rx_lock,
 *	so either is enough to read it
 * @rx_mutex: see the top of this file
 * @rx_lock: see the top of this file
 * @rx: the receive ring
 * @pool: the receive memory
 * @counters: under @rx_lock
 * @debugfs: the directory of this device
 * @clients: all open files, under @rx_lock
 * @nr_clients: length of @clients, under @rx_mutex and @rx_lock
 * @nr_members: those opened for reading, under @rx_mutex
 */
struct mydev_device {
	struct device dev;
	struct cdev cdev;
	struct usb_device *udev;
	struct usb_interface *intf;
	struct mydev_info info;

	struct rw_semaphore gate;
	bool gone;

	/* Starts, stops and recovery of the ring; sleeps. */
	struct mutex rx_mutex;
	/* Everything that the completion touches. */
	spinlock_t rx_lock;
	struct mydev_rx rx;
	struct mydev_pool pool;
	struct mydev_counters counters;
	struct dentry *debugfs;
	struct list_head clients;
	unsigned int nr_clients;
	unsigned int nr_members;
};

/**
 * struct mydev_client - one open file
 * @list: in dev->clients
 * @dev: the device, referenced from open to release
 * @wait: readers and pollers of this file
 * @fasync: receivers of SIGIO
 * @timer: ends the wait of a packet that is below the watermark
 * @member: opened for reading, constant
 * @pid: who opened it, constant
 * @comm: and what that was called, constant
 * @demanded: has asked for data once. Written under rx_lock, read without for
 *	a quick look
 * @read_mutex: one reader at a time; everything below is under rx_lock
 * @lapped: held the ring for too long, and has not read since
 * @due: what is queued has waited long enough, watermark or not
 * @mode: MYDEV_MODE_*
 * @policy: MYDEV_POLICY_*
 * @clock: MYDEV_CLOCK_*
 * @watermark: bytes that a waiting reader waits for
 * @latency: or for so long, 0 for no bound
 * @depth: packets that may be queued
 * @queue: entries to read
 * @held: what the entries cost the pool, bytes
 * @head_offset: bytes of the first entry in @queue that are read already
 * @gap: packets lost right before the first entry, not yet told of
 * @tail_gap: packets lost behind the last entry
 * @packets: packets delivered since open
 * @bytes: bytes delivered since open
 * @read_packets: packets read to their end
 * @read_bytes: bytes read
 * @lost_packets: packets lost since open, told of or not
 * @lost_bytes: bytes lost since open, told of or not
 */
struct mydev_client {
	struct list_head list;
	struct mydev_device *dev;
	wait_queue_head_t wait;
	struct fasync_struct *fasync;
	struct hrtimer timer;
	bool member;
	pid_t pid;
	char comm[TASK_COMM_LEN];
	bool demanded;

	/* One reader at a time. */
	struct mutex read_mutex;
	bool lapped;
	bool due;
	u32 mode;
	u32 policy;
	u32 clock;
	u32 watermark;
	ktime_t latency;
	unsigned int depth;
	struct mydev_queue queue;
	u64 held;
	u32 head_offset;
	struct mydev_gap gap;
	struct mydev_gap tail_gap;
	u64 packets;
	u64 bytes;
	u64 read_packets;
	u64 read_bytes;
	u64 lost_packets;
	u64 lost_bytes;
};

/* ids.c */
int mydev_ids_parse(const char *ids, struct usb_device_id *table,
		    unsigned int max);

/* buffer.c */
int mydev_pool_alloc(struct mydev_pool *pool, unsigned int nr,
		     unsigned int size);
void mydev_pool_free(struct mydev_pool *pool);
struct mydev_buffer *mydev_buffer_fly(struct mydev_pool *pool);
void mydev_buffer_land(struct mydev_buffer *buf);
void mydev_buffer_get(struct mydev_buffer *buf);
void mydev_buffer_put(struct mydev_pool *pool, struct mydev_buffer *buf);
void mydev_pool_move(struct mydev_pool *to, struct mydev_pool *from);
unsigned int mydev_pool_unused(const struct mydev_pool *pool);
void mydev_pool_seal(struct mydev_pool *pool);
struct mydev_buffer *mydev_buffer_pack(struct mydev_pool *pool,
				       struct mydev_buffer *buf, u32 length,
				       u32 *offset);

/* queue.c */
unsigned int mydev_queue_slots(unsigned int depth);
int mydev_queue_alloc(struct mydev_queue *queue, unsigned int depth);
void mydev_queue_free(struct mydev_queue *queue);
void mydev_queue_replace(struct mydev_client *client,
			 struct mydev_queue *queue);
bool mydev_queue_pop(struct mydev_client *client, struct mydev_packet *pkt);
void mydev_queue_clear(struct mydev_client *client);
void mydev_queue_settle_gap(struct mydev_client *client);
bool mydev_client_holds(const struct mydev_client *client);
void mydev_clients_deliver(struct mydev_device *dev, struct mydev_packet *pkt);
void mydev_clients_event(struct mydev_device *dev, u32 event, int status);
unsigned int mydev_clients_room(struct mydev_device *dev);
bool mydev_clients_reclaim(struct mydev_device *dev);
bool mydev_clients_waiting(struct mydev_device *dev);
void mydev_clients_lap(struct mydev_device *dev);

/* read.c */
bool mydev_client_worth(struct mydev_client *client);
bool mydev_client_ready(struct mydev_client *client);
ssize_t mydev_client_read(struct mydev_client *client, struct iov_iter *to,
			  bool nonblock);

/* client.c */
extern const char *const mydev_mode_names[];
extern const char *const mydev_policy_names[];
struct mydev_client *mydev_client_open(struct mydev_device *dev, bool member);
void mydev_client_close(struct mydev_client *client);
void mydev_client_demand(struct mydev_client *client);
__poll_t mydev_client_poll(struct mydev_client *client);
void mydev_client_arrived(struct mydev_client *client);
void mydev_client_left(struct mydev_client *client);
u64 mydev_client_queued_bytes(const struct mydev_client *client);
u64 mydev_client_queued_packets(const struct mydev_client *client);
void mydev_client_stats(struct mydev_client *client, struct mydev_stats *stats);
void mydev_client_get_config(struct mydev_client *client,
			     struct mydev_config *config);
int mydev_client_set_config(struct mydev_client *client,
			    const struct mydev_config *config);
void mydev_clients_flush(struct mydev_device *dev);
void mydev_clients_wake(struct mydev_device *dev);

/* rx.c */
void mydev_rx_complete(struct urb *urb);
void mydev_rx_work(struct work_struct *work);
bool mydev_rx_may_fly(struct mydev_device *dev, unsigned int in_flight);
void mydev_rx_want(struct mydev_device *dev);
void mydev_rx_unwant(struct mydev_device *dev);
void mydev_rx_settle(struct mydev_device *dev);
bool mydev_rx_hungry(struct mydev_device *dev);
void mydev_rx_refill(struct mydev_device *dev);
void mydev_rx_shutdown(struct mydev_device *dev);

/* stall.c */
void mydev_rx_watch(struct mydev_device *dev);
void mydev_rx_stall_work(struct work_struct *work);
void mydev_rx_set_stall(struct mydev_device *dev, unsigned int stall_ms);

/* geometry.c */
void mydev_rx_init(struct mydev_device *dev);
int mydev_rx_add_member(struct mydev_device *dev);
void mydev_rx_remove_member(struct mydev_device *dev);
void mydev_rx_get_geometry(struct mydev_device *dev,
			   struct mydev_geometry *geometry);
int mydev_rx_set_geometry(struct mydev_device *dev,
			  const struct mydev_geometry *geometry);

/* methods.c */
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

#endif /* MYDEV_H */
