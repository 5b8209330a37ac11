/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between read.c, which pins entries of the log, and copy.c, which copies them.
 */
#ifndef MYDEV_READ_H
#define MYDEV_READ_H

#include <linux/align.h>

#include "mydev.h"

/* Entries that a reader pins at once; bounds the stack that read() needs. */
#define MYDEV_READ_BATCH (BITS_PER_LONG / 4)

/* Records begin at multiples of this. */
#define MYDEV_RECORD_ALIGN 8

/**
 * struct mydev_batch - what one round of copying works on
 * @entries: copies of entries, packets with a reference to their buffer; the
 *	first packet without its bytes that are read already
 * @data: where the bytes of a packet are, NULL if it has none
 * @nr: how many of @entries; 0 for a gap
 * @position: of the first of them in the log
 * @gap: packets and bytes that were lost right there
 * @gap_seq: number of the first of them
 * @mode: MYDEV_MODE_* that the round goes by
 * @clock: MYDEV_CLOCK_* of its records
 * @partial: the first packet lacks bytes that are read already
 */
struct mydev_batch {
	struct mydev_entry entries[MYDEV_READ_BATCH];
	const u8 *data[MYDEV_READ_BATCH];
	unsigned int nr;
	u64 position;
	struct mydev_place gap;
	u64 gap_seq;
	u32 mode;
	u32 clock;
	bool partial;
};

static inline size_t mydev_record_size(u32 payload)
{
	return ALIGN(sizeof(struct mydev_packet_header) + payload,
		     MYDEV_RECORD_ALIGN);
}

static inline u32 mydev_entry_payload(const struct mydev_entry *entry)
{
	if (entry->type == MYDEV_RECORD_EVENT)
		return sizeof(struct mydev_event_record);
	return entry->length;
}

/* Bytes of the caller's buffer that an entry takes. */
static inline size_t mydev_batch_need(const struct mydev_batch *batch,
				      const struct mydev_entry *entry)
{
	if (batch->mode == MYDEV_MODE_PACKET)
		return mydev_record_size(mydev_entry_payload(entry));
	return entry->length;
}

/* copy.c */
size_t mydev_batch_copy(const struct mydev_batch *batch, struct iov_iter *to,
			size_t *wanted);
int mydev_read_fault_in(struct iov_iter *to, size_t need, u32 mode,
			unsigned int faults);

#endif /* MYDEV_READ_H */
