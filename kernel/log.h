/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The log of a device: what has happened, for all clients.
 *
 * A position counts entries since the device was plugged in and never goes
 * back. Entries are from @tail up to @head, which is the place of the next one.
 */
#ifndef MYDEV_LOG_H
#define MYDEV_LOG_H

#include <linux/kfifo.h>
#include <linux/types.h>

#include "buffer.h"
#include "../uapi/linux/mydev.h"

/* Limits of the entries of a log; more than the transfers of any ring. */
#define MYDEV_MIN_LOG 512
#define MYDEV_MAX_LOG 131072

/* Entries that are left alone by packets, for events. */
#define MYDEV_LOG_SPARE 16U

/* Steps under one hold of rx_lock, whatever programs do. */
#define MYDEV_LOG_BATCH 256U

struct mydev_client;
struct mydev_device;

/**
 * struct mydev_entry - a packet or an event; mapped as struct mydev_ring_entry
 * @type: MYDEV_RECORD_PACKET or MYDEV_RECORD_EVENT
 * @buffer: of a packet: one more than the index of its buffer in the pool, to
 *	which the entry owns a reference; 0 if it has no bytes
 * @flags: MYDEV_PACKET_*
 * @length: of a packet: bytes, else 0
 * @status: 0 or a negative errno
 * @seq: of a packet: its number since the device was plugged in, from 0; of an
 *	event: the number of the next packet
 * @time: when it came, CLOCK_MONOTONIC, nanoseconds
 * @boottime: from there to CLOCK_BOOTTIME at that moment, nanoseconds
 * @realtime: from there to CLOCK_REALTIME at that moment, nanoseconds
 * @bytes: payload bytes of all packets before it
 * @offset: of a packet: where its first byte is in what clients map of the pool
 * @event: of an event: MYDEV_EVENT_*
 * @last_id: of an event: id of the client that was opened last before it
 */
struct mydev_entry {
	u16 type;
	u16 buffer;
	u32 flags;
	u32 length;
	s32 status;
	u64 seq;
	u64 time;
	s64 boottime;
	s64 realtime;
	u64 bytes;
	union {
		u64 offset;
		struct {
			u32 event;
			u32 last_id;
		};
	};
};

/**
 * struct mydev_log_store - the memory of a log
 * @fifo: the entries
 * @slots: the memory of @fifo, whole pages
 * @page: head and tail for those that map the log, NULL where nobody can
 */
struct mydev_log_store {
	DECLARE_KFIFO_PTR(fifo, struct mydev_entry);
	struct mydev_entry *slots;
	struct mydev_log_page *page;
};

/**
 * struct mydev_log - the log of a device, under rx_lock
 * @store: its memory; exchanged while nobody has anything to read
 * @head: position behind the last entry
 * @tail: position of the first one
 * @limit: no holder's cursor is before it; may be too low, see flow.c
 * @slowest: a holder that was there when that was looked up last, or NULL
 * @waited: how many clients a stopped ring waits for; 0 where that is not known
 * @dry: it has stopped for want of a buffer
 * @deep: it has stopped as the depth of a client is used up
 */
struct mydev_log {
	struct mydev_log_store store;
	u64 head;
	u64 tail;
	u64 limit;
	struct mydev_client *slowest;
	unsigned int waited;
	bool dry;
	bool deep;
};

/* The entry at a position from the tail up to, but without, the head. */
static inline struct mydev_entry *mydev_log_at(const struct mydev_log *log,
					       u64 position)
{
	unsigned int mask = kfifo_size(&log->store.fifo) - 1;

	return &log->store.slots[(unsigned int)position & mask];
}

/* The buffer of an entry, NULL if it has none. */
static inline struct mydev_buffer *
mydev_entry_buffer(const struct mydev_pool *pool,
		   const struct mydev_entry *entry)
{
	return entry->buffer ? &pool->buffers[entry->buffer - 1] : NULL;
}

/* log.c */
int mydev_log_alloc(struct mydev_log_store *store, unsigned int entries);
void mydev_log_free(struct mydev_log_store *store);
void mydev_log_use(struct mydev_log *log, const struct mydev_log_store *store);
void mydev_log_append(struct mydev_log *log, const struct mydev_entry *entry);
void mydev_log_retire(struct mydev_log *log, struct mydev_pool *pool);
void mydev_log_clear(struct mydev_device *dev);
u64 mydev_log_seek(const struct mydev_log *log, u64 value, bool by_time);

#endif /* MYDEV_LOG_H */
