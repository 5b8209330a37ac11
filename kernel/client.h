/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Clients: a cursor into the log each.
 */
#ifndef MYDEV_CLIENT_H
#define MYDEV_CLIENT_H

#include <linux/hrtimer.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/wait.h>

#include "log.h"

/* Entries that may be before a client that blocks or drops: default, limit. */
#define MYDEV_DEFAULT_DEPTH 1024
#define MYDEV_MAX_DEPTH     65536

/* What poll() says of data, and of a stream that has ended. */
#define MYDEV_POLL_IN   (EPOLLIN | EPOLLRDNORM)
#define MYDEV_POLL_GONE (EPOLLHUP | EPOLLERR)

/**
 * struct mydev_place - a place in the stream of packets
 * @seq: number of the next packet
 * @bytes: payload bytes before it; of a packet read in part, those read, too
 */
struct mydev_place {
	u64 seq;
	u64 bytes;
};

/**
 * struct mydev_client_wake - when a client is woken, under rx_lock
 * @timer: ends the wait of an entry that is below the watermark
 * @list: in dev->sleepers while somebody may sleep, in dev->woken while
 *	somebody was woken and none has looked since, or in none
 * @woken: it is in dev->woken
 * @each: a waiter may not look after a wake-up, so each entry wakes
 * @at: when the wake-up was, jiffies
 * @head: the head of the log then
 */
struct mydev_client_wake {
	struct hrtimer timer;
	struct list_head list;
	bool woken;
	bool each;
	unsigned long at;
	u64 head;
};

/**
 * struct mydev_client_ring - what a program shares with us, under rx_lock
 * @page: what it maps and writes, NULL before its first ring mode, then kept
 * @cursor: what was found in @page last
 * @flags: as the program has them, MYDEV_RING_*
 * @error: negative errno for a client that has put nonsense into it, or 0
 */
struct mydev_client_ring {
	struct mydev_ring *page;
	u64 cursor;
	u32 flags;
	int error;
};

/**
 * struct mydev_client_map - the mappings of a client, under @mutex
 * @mutex: held while a page is mapped, so that none is after a revoke
 * @inode: where the mappings are found, NULL where none can be, constant
 * @count: how many; grows from 0 under rx_mutex only
 * @unmapped: a revoke has unmapped them
 */
struct mydev_client_map {
	/* Innermost: nothing of ours is taken under it. */
	struct mutex mutex;
	struct inode *inode;
	unsigned int count;
	bool unmapped;
};

/**
 * struct mydev_client_tx - what a client sends, under tx.lock
 * @sends: its transfers in tx->queue
 * @send_error: negative errno that the next call reports, or 0
 * @errors: how many there were
 * @terminate: see MYDEV_CONFIG_TERMINATE; read and written without a lock
 * @waiters: its threads that wait for the claim of its node
 * @lease_waiters: the same for the lease, under lease_lock
 * @written_bytes: see struct mydev_stats
 * @sent_bytes: see struct mydev_stats
 * @failed_bytes: see struct mydev_stats
 */
struct mydev_client_tx {
	unsigned int sends;
	int send_error;
	u32 errors;
	bool terminate;
	unsigned int waiters;
	unsigned int lease_waiters;
	u64 written_bytes;
	u64 sent_bytes;
	u64 failed_bytes;
};

/**
 * struct mydev_client - one open file
 * @dev: the device, referenced from open to release; constant, as the next are
 * @reader: opened for reading
 * @subscriber: the same, and there is something to read
 * @writer: opened for writing
 * @id: number of it
 * @pid: process that opened it
 * @comm: its name
 * @wait: readers and pollers of this file
 * @fasync: receivers of SIGIO
 * @read_mutex: one reader at a time
 * @map: its mappings
 * @tx: what it sends
 * @list: in dev->clients; this and the rest under rx_lock
 * @demanded: has asked for data once; read without the lock for a quick look
 * @uses: is counted in rx->users: has asked for data, or for an answer
 * @revoked: can do nothing any more but be closed; read without the lock where
 *	a wake-up follows
 * @evicted: blocked the ring for too long, and has not read since
 * @waited: the ring has stopped and waits for it; holds where log.waited does
 * @mode: MYDEV_MODE_*
 * @policy: MYDEV_POLICY_*
 * @clock: MYDEV_CLOCK_*
 * @watermark: bytes that a waiting reader waits for
 * @latency: or for so long, 0 for no bound
 * @depth: entries that may be before it; see mydev_cursor_settle()
 * @cursor: position of the entry that it reads next
 * @from: position that its depth counts from where the cursor is before that
 * @keep: of a client that drops the newest and is full: position behind what it
 *	keeps; 0 while it is not full
 * @next: what it expects next: all before is read or reported lost. Where the
 *	cursor is at a later packet, those in between are a gap that is not
 *	reported yet
 * @start: where it began; what was offered to it is what came since
 * @end: where that ended, of a revoked client
 * @read_packets: packets read to their end
 * @read_bytes: bytes read
 * @wake: when its readers are woken
 * @ring: what its program takes from by itself
 */
struct mydev_client {
	struct mydev_device *dev;
	bool reader;
	bool subscriber;
	bool writer;
	u32 id;
	pid_t pid;
	char comm[TASK_COMM_LEN];

	wait_queue_head_t wait;
	struct fasync_struct *fasync;
	/* One reader at a time. */
	struct mutex read_mutex;
	struct mydev_client_map map;
	struct mydev_client_tx tx;

	struct list_head list;
	bool demanded;
	bool uses;
	bool revoked;
	bool evicted;
	bool waited;

	u32 mode;
	u32 policy;
	u32 clock;
	u32 watermark;
	ktime_t latency;
	unsigned int depth;

	u64 cursor;
	u64 from;
	u64 keep;
	struct mydev_place next;
	struct mydev_place start;
	struct mydev_place end;
	u64 read_packets;
	u64 read_bytes;

	struct mydev_client_wake wake;
	struct mydev_client_ring ring;
};

/**
 * struct mydev_counts - what has become of what was offered to a client
 * @packets: offered; the sum of the three next
 * @read_packets: read to their end
 * @lost_packets: lost, reported or not
 * @queued_packets: still to be read
 * @bytes: the same in bytes, and so on
 * @read_bytes: see there
 * @lost_bytes: see there
 * @queued_bytes: see there
 */
struct mydev_counts {
	u64 packets;
	u64 read_packets;
	u64 lost_packets;
	u64 queued_packets;
	u64 bytes;
	u64 read_bytes;
	u64 lost_bytes;
	u64 queued_bytes;
};

/* Is the client a holder, for which the ring has to stop rather than drop? */
static inline bool mydev_client_blocks(const struct mydev_client *client)
{
	return client->demanded && !client->evicted && !client->ring.error &&
	       client->policy == MYDEV_POLICY_LOSSLESS;
}

/* cursor.c */
int mydev_client_end(const struct mydev_client *client);
struct mydev_place mydev_place_at(const struct mydev_device *dev, u64 position);
void mydev_client_readmit(struct mydev_client *client);
void mydev_holders_changed(struct mydev_device *dev);
void mydev_client_hold(struct mydev_client *client);
bool mydev_cursor_skip_old(struct mydev_client *client, unsigned int steps);
void mydev_cursor_settle(struct mydev_client *client);
bool mydev_cursor_gap(const struct mydev_client *client,
		      struct mydev_place *gap);
bool mydev_cursor_empty(struct mydev_client *client);
unsigned int mydev_cursor_credits(const struct mydev_client *client);
void mydev_client_counts(struct mydev_client *client,
			 struct mydev_counts *counts);

/* Position behind the last entry that a client gets; settled. */
static inline u64 mydev_cursor_end(const struct mydev_client *client,
				   const struct mydev_log *log)
{
	return client->keep ?: log->head;
}

/* wake.c */
void mydev_client_wake_init(struct mydev_client *client);
void mydev_clients_wake_init(struct mydev_device *dev);
bool mydev_client_ready(struct mydev_client *client);
void mydev_client_arm(struct mydev_client *client, bool each);
void mydev_client_notify(struct mydev_client *client);
void mydev_client_looked(struct mydev_client *client);
bool mydev_client_should_wake(struct mydev_client *client);
void mydev_sleepers_notify(struct mydev_device *dev);
void mydev_client_wake(struct mydev_client *client, __poll_t events, int band);

/* deliver.c */
void mydev_deliver(struct mydev_device *dev, struct mydev_entry *entry);
void mydev_deliver_event(struct mydev_device *dev, u32 event, int status,
			 u32 last_id);
void mydev_clients_wake(struct mydev_device *dev);

/* flow.c */
bool mydev_log_make_room(struct mydev_device *dev, bool force);
bool mydev_pool_reclaim(struct mydev_device *dev, unsigned int want,
			unsigned int steps);
bool mydev_rx_can_submit(struct mydev_device *dev, unsigned int in_flight);
void mydev_rx_watch_block(struct mydev_device *dev);
void mydev_rx_starved(struct mydev_device *dev);
bool mydev_clients_waiting(struct mydev_device *dev);
void mydev_clients_evict(struct mydev_device *dev);
bool mydev_holders_tell(struct mydev_device *dev);
void mydev_client_moved(struct mydev_client *client);
bool mydev_rx_may_go_on(const struct mydev_device *dev);
unsigned int mydev_pool_unused(struct mydev_device *dev);

/* demand.c */
void mydev_rx_put(struct mydev_device *dev);
void mydev_client_use(struct mydev_client *client);
void mydev_client_demand(struct mydev_client *client);

/* read.c */
ssize_t mydev_client_read(struct mydev_client *client, struct iov_iter *to,
			  bool nonblock);
int mydev_ring_kick(struct mydev_client *client);

/* client.c */
extern const char *const mydev_mode_names[];
extern const char *const mydev_policy_names[];
struct mydev_client *mydev_client_open(struct mydev_device *dev, bool reader,
				       bool writer);
void mydev_client_close(struct mydev_client *client);
int mydev_client_revoke(struct mydev_client *caller, u32 id);
void mydev_client_stats(struct mydev_client *client, struct mydev_stats *stats);
void mydev_client_get_config(struct mydev_client *client,
			     struct mydev_config *config);
int mydev_client_set_config(struct mydev_client *client,
			    const struct mydev_config *config);
int mydev_client_rewind(struct mydev_client *client, struct mydev_rewind *arg);

#endif /* MYDEV_CLIENT_H */
