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
 *   sends		  from the first open for writing to the end of the
 *			  device: what a program has written outlives it.
 *
 * Locks, outermost first
 *   dev->usb_mutex	  whose turn it is to try for the next one. It can only be
 *			  tried for, as who has it may wait for our disconnect;
 *			  and who tries never meets one who asks again at once.
 *   the USB device's	  held by usbcore around probe, disconnect and reset, and
 *			  by us to reset, and to change the alternate setting.
 *   dev->gate		  held for reading by whoever talks to the hardware
 *			  from process context and finds !dev->gone; taken for
 *			  writing by disconnect. Nobody waits for data under it.
 *   client->read_mutex	  one reader at a time per client. Independent of gate
 *			  and rx_mutex: neither is taken under it.
 *   dev->rx_mutex	  starts, stops and recovery of the ring; first and last
 *			  member; poison state of the transfers.
 *   dev->tx.mutex	  the same for sending.
 *   dev->rx_lock	  spinlock, interrupts off: ring state, buffers and their
 *			  references, list of clients, queues, counters. The
 *			  completion takes this one and nothing else.
 *   dev->tx.lock	  spinlock, interrupts off: sends, turn, lease, counters
 *			  of sending. Neither is taken under the other.
 *   client->wait.lock	  taken inside rx_lock and tx.lock by a wake-up.
 *
 * The memory map's lock is outside of rx_mutex and client->map_mutex: mmap()
 * takes the one, a page fault the other. So neither is held where user memory
 * is touched.
 *
 * The turn (turn.c) is no lock but a state: who has it may sleep for as long as
 * the device makes it wait, and those who want it can be woken for another
 * reason.
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

/*
 * A ring needs exchanges of 8 bytes with user space, and caches in which the
 * kernel's and the program's view of a page are the same one. See Kbuild, too.
 */
#define MYDEV_HAS_RING \
	(IS_ENABLED(CONFIG_64BIT) && !IS_ENABLED(CONFIG_MIPS) && \
	 !IS_ENABLED(CONFIG_SPARC) && !IS_ENABLED(CONFIG_PARISC))

/* Open descriptors per device; bounds what one device can make us hold. */
#define MYDEV_MAX_CLIENTS 256

/* Packets that can be queued for one client: at first, and at most. */
#define MYDEV_DEFAULT_DEPTH 1024
#define MYDEV_MAX_DEPTH     65536

/* Entries that are moved or removed before others get the lock. */
#define MYDEV_QUEUE_BATCH 256

/* Limits of the ring of one device. */
#define MYDEV_MAX_TRANSFERS     128
#define MYDEV_MAX_TRANSFER_SIZE SZ_256K
#define MYDEV_MAX_POOL_BYTES    SZ_64M

/* Errors in a row before the ring gives up; together about 1.3 s of trying. */
#define MYDEV_RX_MAX_FAILURES 8

/* Transfers to send with, and bytes of each: what can wait to be sent. */
#define MYDEV_SENDS     32
#define MYDEV_SEND_SIZE SZ_32K

/*
 * How many of them the host controller has at once: more than a millisecond of
 * SuperSpeed, and some are left for completions to submit.
 */
#define MYDEV_SENDS_FLYING 24

/* How long the device may take when the caller does not say, and at most. */
#define MYDEV_DEFAULT_TIMEOUT_MS 5000
#define MYDEV_MAX_TIMEOUT_MS     60000

/* The longest message of an exchange, and the longest answer. */
#define MYDEV_MAX_EXCHANGE SZ_64K

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
 * @place: where @data is in what clients map of the pool, bytes
 * @state: see enum mydev_buffer_state
 * @refs: holders while held: queue entries of clients, readers in the middle
 *	of a copy, and the completion while it delivers
 *
 * All but @data and @place, which never change, is protected by rx_lock.
 */
struct mydev_buffer {
	struct list_head list;
	void *data;
	u64 place;
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
 * @type: MYDEV_RECORD_*
 * @packed: it shares its buffer with other packets
 * @flags: MYDEV_PACKET_*
 * @length: of a packet: bytes, else 0
 * @status: 0 or a negative errno
 * @seq: of a packet: its number since the device was plugged in, from 0; of a
 *	gap: the number of the first packet lost; of an event: the number of the
 *	next packet
 * @time: when it came, nanoseconds of the client's clock
 * @offset: of a packet: where its first byte is in what clients map of the pool
 * @buffer: of a packet: one more than the index of its buffer in the pool, to
 *	which the entry owns a reference; 0 if it has no bytes
 * @gap: of a gap
 * @gap.packets: packets lost
 * @gap.bytes: bytes lost
 * @event: of an event: MYDEV_EVENT_*
 * @zero: no byte is left out: what is not said would be some old memory
 * @zeros: the same
 *
 * A client in ring mode maps these: they are laid out as struct
 * mydev_ring_entry, and contain nothing that it must not see.
 */
struct mydev_packet {
	u16 type;
	u16 packed;
	u32 flags;
	u32 length;
	s32 status;
	u64 seq;
	u64 time;
	union {
		struct {
			u64 offset;
			u32 buffer;
			u32 zero;
		};
		struct {
			u64 packets;
			u64 bytes;
		} gap;
		struct {
			u32 event;
			u32 zeros[3];
		};
	};
};

/**
 * struct mydev_queue - the entries of one client
 * @fifo: the ring of them
 * @slots: the memory of @fifo, whole pages
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
 * @room: so many may be at least, see mydev_clients_room(), which would look at
 *	every client for every transfer; 0 whenever it may have become less by
 *	other things than entries, under rx_lock
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
 * @error: what the ring recovers from, a negative errno, 0 for nothing that
 *	clients would have to be told of; under rx_lock
 * @pauses: reasons not to run, see power.c; under rx_mutex and rx_lock
 * @awake: the ring keeps the device from suspending; under rx_mutex
 */
struct mydev_rx {
	struct mydev_transfer *transfers;
	unsigned int nr;
	unsigned int nr_buffers;
	unsigned int size;
	struct list_head idle;
	unsigned int in_flight;
	unsigned int room;
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
	unsigned int pauses;
	bool awake;
};

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
 * @list: in tx->idle, in tx->queue, or in the hands of who has the turn
 * @urb: owned from the first open for writing to the end of the device
 * @data: MYDEV_SEND_SIZE bytes
 * @length: bytes to send
 * @done: bytes that the device has taken
 * @owner: id of the client that wrote it
 * @client: the same, NULL once that is closed
 * @exchange: number of the exchange whose question it is a part of, or 0
 * @zero: a packet without bytes ends it
 * @flying: the host controller has it
 * @error: why the device has not taken it, -EPIPE or -EIO, or 0
 * @doomed: it will not be sent any more
 * @asks: the last of its message
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
	u32 owner;
	struct mydev_client *client;
	int error;
	u32 exchange;
	bool zero;
	bool flying;
	bool doomed;
	bool asks;
	struct mydev_device *dev;
};

/**
 * struct mydev_tx - the sending side
 * @lock: see the top of this file
 * @mutex: see the top of this file
 * @sends: array of MYDEV_SENDS, NULL before the first open for writing
 * @idle: those that can be filled
 * @queue: those that are to be sent, in the order of the wire
 * @flying: how many the host controller has, at most MYDEV_SENDS_FLYING
 * @pushing: somebody submits, and nobody else may
 * @state: see enum mydev_tx_state
 * @pauses: reasons not to run, see power.c
 * @cutting: who is about to unlink what was flying behind an error
 * @halted: the endpoint needs a clear halt before the next try
 * @doubt: an error of the bus: wait whether an unplug follows
 * @blocked: transfers refuse to be submitted, under @mutex
 * @maxp: wMaxPacketSize of the endpoint in use, 0 without one
 * @epoch: how often what was queued has been cancelled for all
 * @awake: sending keeps the device from suspending
 * @progress: when the device last took something, or there was nothing to take,
 *	jiffies
 * @turn: the client whose message is being queued, or NULL
 * @lease: the client that alone may send and control, or NULL
 * @waiters: for the turn, in the order in which they came
 * @wait: for the lease to end, and of pollers for the turn and room
 * @quiet: woken when no transfer is flying any more
 * @work: recovers from errors, gives up what closed clients cannot send
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
	struct mydev_send *sends;
	struct list_head idle;
	struct list_head queue;
	unsigned int flying;
	bool pushing;
	enum mydev_tx_state state;
	unsigned int pauses;
	unsigned int cutting;
	bool halted;
	bool doubt;
	bool blocked;
	unsigned int maxp;
	u32 epoch;
	bool awake;
	unsigned long progress;
	struct mydev_client *turn;
	struct mydev_client *lease;
	struct list_head waiters;
	wait_queue_head_t wait;
	wait_queue_head_t quiet;
	struct delayed_work work;
	u64 transfers;
	u64 bytes;
	u64 errors;
};

/**
 * struct mydev_exchange - an answer that somebody waits for
 * @client: who
 * @number: of the exchange, never 0
 * @data: memory for it
 * @room: bytes of @data
 * @length: bytes of the answer so far
 * @asked: the device has taken the question
 * @done: the answer is complete
 * @truncated: it was longer than @room
 *
 * Lives on the stack of who waits; under rx_lock.
 */
struct mydev_exchange {
	struct mydev_client *client;
	u32 number;
	u8 *data;
	u32 room;
	u32 length;
	bool asked;
	bool done;
	bool truncated;
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
 * @info: identity and endpoints; those of the alternate setting change under
 *	rx_lock while both sides are paused, the rest is constant after probe
 * @has_in: some alternate setting has a bulk IN endpoint, constant
 * @has_out: the same for bulk OUT
 * @gate: see the top of this file
 * @gone: the interface is unbound; written under @gate (write) and @rx_lock,
 *	so either is enough to read it
 * @usb_mutex: held by the one that has or tries for the USB device's lock
 * @rx_mutex: see the top of this file
 * @rx_lock: see the top of this file
 * @rx: the receive ring
 * @pool: the receive memory
 * @counters: under @rx_lock
 * @tx: the sending side
 * @exchange: the answer that is waited for, or NULL; under @rx_lock
 * @last_exchange: number of the last one, under @rx_lock
 * @controls: control requests in progress; poisoned by disconnect
 * @asleep: suspend has paused us; it, and the next, by PM callbacks only
 * @sleep_event: what clients are told after the sleep, MYDEV_EVENT_* or 0
 * @debugfs: the directory of this device
 * @clients: all open files, under @rx_lock
 * @nr_clients: length of @clients, under @rx_mutex and @rx_lock
 * @nr_members: those opened for reading, under @rx_mutex
 * @nr_rings: those in ring mode, under @rx_lock
 * @rings_behind: some of them have given back more than was taken out yet,
 *	under @rx_lock
 * @maps: mappings of clients that are not revoked; grows from 0 under @rx_mutex
 *	only
 * @last_id: id of the client that was opened last, under @rx_mutex
 */
struct mydev_device {
	struct device dev;
	struct cdev cdev;
	struct usb_device *udev;
	struct usb_interface *intf;
	struct mydev_info info;
	bool has_in;
	bool has_out;

	struct rw_semaphore gate;
	bool gone;

	/* Who may try for the lock of @udev. */
	struct mutex usb_mutex;
	/* Starts, stops and recovery of the ring; sleeps. */
	struct mutex rx_mutex;
	/* Everything that the completion touches. */
	spinlock_t rx_lock;
	struct mydev_rx rx;
	struct mydev_pool pool;
	struct mydev_counters counters;
	struct mydev_exchange *exchange;
	u32 last_exchange;

	struct mydev_tx tx;
	struct usb_anchor controls;
	bool asleep;
	u32 sleep_event;

	struct dentry *debugfs;
	struct list_head clients;
	unsigned int nr_clients;
	unsigned int nr_members;
	unsigned int nr_rings;
	bool rings_behind;
	atomic_t maps;
	u32 last_id;
};

/**
 * struct mydev_client - one open file
 * @list: in dev->clients
 * @dev: the device, referenced from open to release
 * @wait: readers and pollers of this file
 * @fasync: receivers of SIGIO
 * @timer: ends the wait of a packet that is below the watermark
 * @reader: opened for reading, constant
 * @member: the same, and there is something to read, constant
 * @writer: opened for writing, constant
 * @id: number of it, constant
 * @pid: who opened it, constant
 * @comm: and what that was called, constant
 * @demanded: has asked for data once. Written under rx_lock, read without for
 *	a quick look
 * @wants: is counted in rx->wanted: has asked for data, or for an answer
 * @revoked: can do nothing any more but be closed. Written under rx_lock, and
 *	read without where a wake-up follows
 * @read_mutex: one reader at a time; everything below is under rx_lock
 * @lapped: held the ring for too long, and has not read since
 * @due: what is queued has waited long enough, watermark or not
 * @woken: those who wait for data were woken, and none has looked since
 * @woken_at: when that was, jiffies
 * @wake_each: somebody has waited here who may not look, so each packet wakes
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
 * @ring: what the client maps to take entries by itself, NULL before its first
 *	ring mode; the page is never exchanged
 * @ring_turn: turn of @ring, odd while it is seized
 * @ring_flags: what the program was told last, MYDEV_RING_*
 * @ring_error: negative errno for a client that has put nonsense into it, or 0
 * @maps: mappings of this client, under @map_mutex; grows from 0 under rx_mutex
 *	only
 * @unmapped: a revoke has unmapped them, under @map_mutex
 * @map_mutex: held while a page is mapped, so that none is after a revoke
 * @mapping: where the mappings are found, set by the first one
 * @terminate: see MYDEV_CONFIG_TERMINATE; this and the rest under tx.lock
 * @sends: transfers of this client in tx->queue
 * @send_error: negative errno that the next call reports, or 0
 * @errors: how many there were
 * @written_bytes: see struct mydev_stats
 * @sent_bytes: see struct mydev_stats
 * @failed_bytes: see struct mydev_stats
 */
struct mydev_client {
	struct list_head list;
	struct mydev_device *dev;
	wait_queue_head_t wait;
	struct fasync_struct *fasync;
	struct hrtimer timer;
	bool reader;
	bool member;
	bool writer;
	u32 id;
	pid_t pid;
	char comm[TASK_COMM_LEN];
	bool demanded;
	bool wants;
	bool revoked;

	/* One reader at a time. */
	struct mutex read_mutex;
	bool lapped;
	bool due;
	bool woken;
	bool wake_each;
	unsigned long woken_at;
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

	struct mydev_ring *ring;
	u32 ring_turn;
	u32 ring_flags;
	int ring_error;
	unsigned int maps;
	bool unmapped;
	/* Innermost: nothing of ours is taken under it. */
	struct mutex map_mutex;
	struct address_space *mapping;

	bool terminate;
	unsigned int sends;
	int send_error;
	u32 errors;
	u64 written_bytes;
	u64 sent_bytes;
	u64 failed_bytes;
};

/**
 * mydev_packet_buffer() - the buffer of an entry
 * @pool: the pool
 * @pkt: the entry
 *
 * Return: the buffer, NULL if the entry has none.
 */
static inline struct mydev_buffer *
mydev_packet_buffer(const struct mydev_pool *pool,
		    const struct mydev_packet *pkt)
{
	if (pkt->type != MYDEV_RECORD_PACKET || !pkt->buffer)
		return NULL;
	return &pool->buffers[pkt->buffer - 1];
}

/* The entry that tells a client of a gap. */
static inline struct mydev_packet mydev_gap_entry(const struct mydev_gap *gap)
{
	return (struct mydev_packet){
		.type = MYDEV_RECORD_GAP,
		.seq = gap->seq,
		.gap.packets = gap->packets,
		.gap.bytes = gap->bytes,
	};
}

/* ids.c */
int mydev_ids_parse(const char *ids, struct usb_device_id *table,
		    unsigned int max);

/* buffer.c */
int mydev_pool_alloc(struct mydev_pool *pool, unsigned int nr,
		     unsigned int size);
void mydev_pool_free(struct mydev_pool *pool);
struct mydev_buffer *mydev_buffer_fly(struct mydev_pool *pool);
void mydev_buffer_land(struct mydev_buffer *buf);
void mydev_buffer_free(struct mydev_pool *pool, struct mydev_buffer *buf);
void mydev_packet_place(const struct mydev_pool *pool, struct mydev_packet *pkt,
			const struct mydev_buffer *buf, u32 offset);
struct page *mydev_pool_page(const struct mydev_pool *pool, u64 index);
u64 mydev_pool_span(unsigned int nr, unsigned int size);
void mydev_pool_move(struct mydev_pool *to, struct mydev_pool *from);
unsigned int mydev_pool_unused(const struct mydev_pool *pool);
void mydev_pool_seal(struct mydev_pool *pool);
struct mydev_buffer *mydev_buffer_pack(struct mydev_pool *pool,
				       struct mydev_buffer *buf, u32 length,
				       u32 *offset);

/**
 * mydev_buffer_get() - add a holder
 * @buf: held
 *
 * Context: rx_lock held.
 */
static inline void mydev_buffer_get(struct mydev_buffer *buf)
{
	WARN_ON_ONCE(buf->state != MYDEV_BUFFER_HELD);
	buf->refs++;
}

/**
 * mydev_buffer_put() - remove a holder; the last one frees the buffer
 * @pool: the pool that owns @buf
 * @buf: held
 *
 * Context: rx_lock held.
 */
static inline void mydev_buffer_put(struct mydev_pool *pool,
				    struct mydev_buffer *buf)
{
	if (WARN_ON_ONCE(buf->state != MYDEV_BUFFER_HELD || !buf->refs))
		return;
	if (!--buf->refs)
		mydev_buffer_free(pool, buf);
}

/* queue.c */
unsigned int mydev_queue_slots(unsigned int depth);
int mydev_queue_alloc(struct mydev_queue *queue, unsigned int depth);
void mydev_queue_free(struct mydev_queue *queue);
void mydev_queue_replace(struct mydev_client *client,
			 struct mydev_queue *queue);
bool mydev_queue_pop(struct mydev_client *client, struct mydev_packet *pkt);
void mydev_queue_read(struct mydev_client *client, unsigned int count);
void mydev_queue_return_gap(struct mydev_client *client);
void mydev_queue_trim(struct mydev_client *client);
bool mydev_queue_has_gap(const struct mydev_client *client);
void mydev_queue_clear(struct mydev_client *client);
void mydev_queue_settle_gap(struct mydev_client *client);
bool mydev_client_holds(const struct mydev_client *client);
void mydev_client_unlap(struct mydev_client *client);
unsigned int mydev_client_room(const struct mydev_client *client);
u64 mydev_client_oldest(struct mydev_client *client);
void mydev_clients_deliver(struct mydev_device *dev, struct mydev_packet *pkt);
void mydev_clients_event(struct mydev_device *dev, u32 event, int status);
unsigned int mydev_clients_room(struct mydev_device *dev);
bool mydev_clients_reclaim(struct mydev_device *dev);
bool mydev_clients_waiting(struct mydev_device *dev);
void mydev_clients_lap(struct mydev_device *dev);

/* read.c */
ssize_t mydev_client_read(struct mydev_client *client, struct iov_iter *to,
			  bool nonblock);

/* ring.c */
#if MYDEV_HAS_RING
void mydev_ring_sync(struct mydev_client *client);
void mydev_rings_sync(struct mydev_device *dev);
void mydev_ring_seize(struct mydev_client *client);
void mydev_ring_yield(struct mydev_client *client);
bool mydev_rings_tell(struct mydev_device *dev);
int mydev_ring_alloc(struct mydev_client *client);
void mydev_ring_free(struct mydev_client *client);
void mydev_ring_begin(struct mydev_client *client);
void mydev_ring_end(struct mydev_client *client);
int mydev_ring_wake(struct mydev_client *client);

static inline bool mydev_ring_works(const struct mydev_client *client)
{
	return client->mode == MYDEV_MODE_RING && !client->ring_error;
}

/**
 * mydev_ring_publish() - there is a new entry behind the last one
 * @client: any client; in another mode the call does nothing
 *
 * Context: rx_lock held.
 */
static inline void mydev_ring_publish(struct mydev_client *client)
{
	if (mydev_ring_works(client)) {
		/* Pairs with the program's step 2: the entry is there. */
		smp_store_release(&client->ring->head,
				  client->queue.fifo.kfifo.in);
	}
}
#else
static inline void mydev_ring_sync(struct mydev_client *client)
{
}

static inline void mydev_rings_sync(struct mydev_device *dev)
{
}

static inline void mydev_ring_seize(struct mydev_client *client)
{
}

static inline void mydev_ring_yield(struct mydev_client *client)
{
}

static inline void mydev_ring_publish(struct mydev_client *client)
{
}

static inline bool mydev_rings_tell(struct mydev_device *dev)
{
	return false;
}

static inline int mydev_ring_alloc(struct mydev_client *client)
{
	return -EOPNOTSUPP;
}

static inline void mydev_ring_free(struct mydev_client *client)
{
}

static inline void mydev_ring_begin(struct mydev_client *client)
{
}

static inline void mydev_ring_end(struct mydev_client *client)
{
}

static inline int mydev_ring_wake(struct mydev_client *client)
{
	return -EINVAL;
}
#endif

/* map.c */
#if MYDEV_HAS_RING
void mydev_map_describe(struct mydev_client *client, struct mydev_map *map);
bool mydev_map_any(struct mydev_client *client);
int mydev_map(struct mydev_client *client, struct vm_area_struct *vma);
void mydev_map_revoke(struct mydev_client *client);
#else
static inline int mydev_map(struct mydev_client *client,
			    struct vm_area_struct *vma)
{
	return -EOPNOTSUPP;
}

static inline void mydev_map_describe(struct mydev_client *client,
				      struct mydev_map *map)
{
}

static inline bool mydev_map_any(struct mydev_client *client)
{
	return false;
}

static inline void mydev_map_revoke(struct mydev_client *client)
{
}
#endif

/* client.c */
extern const char *const mydev_mode_names[];
extern const char *const mydev_policy_names[];
struct mydev_client *mydev_client_open(struct mydev_device *dev, bool reader,
				       bool writer);
void mydev_client_close(struct mydev_client *client);
int mydev_client_revoke(struct mydev_client *caller, u32 id);
void mydev_client_want(struct mydev_client *client);
void mydev_client_demand(struct mydev_client *client);
u64 mydev_client_queued_bytes(const struct mydev_client *client);
u64 mydev_client_queued_packets(const struct mydev_client *client);
void mydev_client_stats(struct mydev_client *client, struct mydev_stats *stats);
void mydev_client_get_config(struct mydev_client *client,
			     struct mydev_config *config);
int mydev_client_set_config(struct mydev_client *client,
			    const struct mydev_config *config);

/* wake.c */
void mydev_client_wake_init(struct mydev_client *client);
int mydev_client_end(const struct mydev_client *client);
bool mydev_client_ready(struct mydev_client *client);
void mydev_client_arrived(struct mydev_client *client);
void mydev_client_left(struct mydev_client *client);
void mydev_client_hang_up(struct mydev_client *client);
void mydev_clients_flush(struct mydev_device *dev);
void mydev_clients_wake(struct mydev_device *dev);
__poll_t mydev_client_poll(struct mydev_client *client, bool wake_each);

/* rx.c */
void mydev_rx_trouble(struct mydev_device *dev, int status);
void mydev_rx_complete(struct urb *urb);
bool mydev_rx_may_fly(struct mydev_device *dev, unsigned int in_flight);
void mydev_rx_dry(struct mydev_device *dev);
bool mydev_rx_hungry(struct mydev_device *dev);
void mydev_rx_refill(struct mydev_device *dev);

/* run.c */
void mydev_rx_work(struct work_struct *work);
void mydev_rx_want(struct mydev_device *dev);
void mydev_rx_unwant(struct mydev_device *dev);
void mydev_rx_settle(struct mydev_device *dev);
u32 mydev_rx_state(const struct mydev_device *dev);
void mydev_rx_pause(struct mydev_device *dev);
void mydev_rx_unpause(struct mydev_device *dev, u32 event);
int mydev_rx_clear_halt(struct mydev_device *dev, unsigned int address);
void mydev_rx_shutdown(struct mydev_device *dev);

/* stall.c */
void mydev_rx_watch(struct mydev_device *dev);
void mydev_rx_stall_work(struct work_struct *work);
void mydev_rx_set_stall(struct mydev_device *dev, unsigned int stall_ms);

/* geometry.c */
void mydev_rx_init(struct mydev_device *dev);
bool mydev_rx_fits(struct mydev_device *dev,
		   struct usb_host_interface *setting);
void mydev_rx_target(struct mydev_device *dev);
int mydev_rx_add_member(struct mydev_device *dev);
void mydev_rx_remove_member(struct mydev_device *dev);
void mydev_rx_get_geometry(struct mydev_device *dev,
			   struct mydev_geometry *geometry);
int mydev_rx_set_geometry(struct mydev_device *dev,
			  const struct mydev_geometry *geometry);

/* tx.c */
void mydev_tx_init(struct mydev_device *dev);
int mydev_tx_alloc(struct mydev_device *dev);
void mydev_tx_free(struct mydev_device *dev);
void mydev_tx_target(struct mydev_device *dev);
void mydev_tx_complete(struct urb *urb);
ssize_t mydev_tx_ask(struct mydev_client *client, struct iov_iter *from,
		     u32 exchange, unsigned long deadline);
ssize_t mydev_tx_write(struct mydev_client *client, struct iov_iter *from,
		       bool nonblock);
int mydev_tx_take_error(struct mydev_client *client);
int mydev_tx_sync(struct mydev_client *client);
__poll_t mydev_tx_poll(struct mydev_client *client);
void mydev_tx_stats(struct mydev_client *client, struct mydev_stats *stats);
void mydev_tx_abandon(struct mydev_client *client, u32 exchange);
void mydev_tx_cut(struct mydev_device *dev);
void mydev_tx_leave(struct mydev_client *client);
void mydev_tx_forsaken(struct mydev_device *dev);
void mydev_tx_judge(struct mydev_device *dev);
void mydev_tx_drop_doomed(struct mydev_device *dev, bool all);
void mydev_tx_fail_all(struct mydev_device *dev);
void mydev_tx_resume_queue(struct mydev_device *dev);
void mydev_tx_rest(struct mydev_device *dev);

/* recover.c */
void mydev_tx_work(struct work_struct *work);
void mydev_tx_pause(struct mydev_device *dev);
void mydev_tx_unpause(struct mydev_device *dev);
void mydev_tx_cancel_queued(struct mydev_device *dev);
int mydev_tx_clear_halt(struct mydev_device *dev, unsigned int address);
void mydev_tx_shutdown(struct mydev_device *dev);

/* turn.c */
int mydev_turn_allowed(struct mydev_client *client);
int mydev_turn_take(struct mydev_client *client, bool nonblock, long timeout);
void mydev_turn_drop(struct mydev_client *client);
void mydev_turn_refuse(struct mydev_device *dev);
void mydev_turn_revoke(struct mydev_client *client);
int mydev_lease_acquire(struct mydev_client *client, u32 timeout_ms,
			bool nonblock);
void mydev_lease_release(struct mydev_client *client);
ssize_t mydev_lease_show(struct mydev_device *dev, char *buf);

/* transact.c */
void mydev_exchange_ask(struct mydev_device *dev, u32 number);
void mydev_exchange_feed(struct mydev_device *dev, const void *data, u32 length,
			 bool end);
int mydev_transact(struct mydev_client *client, struct mydev_transact *arg,
		   bool nonblock);

/* control.c */
int mydev_control_allowed(struct mydev_device *dev, u8 type, u16 index);
int mydev_control_errno(struct mydev_device *dev, int status);
int mydev_control(struct mydev_client *client, struct mydev_control *arg);
int mydev_clear_halt(struct mydev_client *client, u32 address);

/* power.c */
void mydev_pause(struct mydev_device *dev);
void mydev_unpause(struct mydev_device *dev, u32 event);
int mydev_awaken(struct mydev_device *dev);
void mydev_let_sleep(struct mydev_device *dev);
int mydev_gone_or(struct mydev_device *dev, int error);
int mydev_set_alternate(struct mydev_client *client, u32 number);
int mydev_reset(struct mydev_client *client);
int mydev_suspend(struct usb_interface *intf, pm_message_t message);
int mydev_resume(struct usb_interface *intf);
int mydev_reset_resume(struct usb_interface *intf);
int mydev_pre_reset(struct usb_interface *intf);
int mydev_post_reset(struct usb_interface *intf);

/* driver.c */
void mydev_describe_endpoints(struct mydev_device *dev,
			      struct usb_host_interface *setting);

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
