// SPDX-License-Identifier: GPL-2.0-only
/*
 * How entries of the log get to the caller of read(): as bytes or as records.
 *
 * Nothing is locked here, and page faults may be off.
 */
#include <linux/minmax.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "read.h"

/* Fills in sizes and length of the header. There is room, but maybe no page. */
static size_t mydev_copy_record(struct mydev_packet_header *header,
				const void *payload, u32 length,
				struct iov_iter *to)
{
	static const u8 zeros[MYDEV_RECORD_ALIGN];
	size_t padding, copied;

	header->record_size = mydev_record_size(length);
	header->header_size = sizeof(*header);
	header->length = length;
	padding = header->record_size - sizeof(*header) - length;
	copied = copy_to_iter(header, sizeof(*header), to);
	if (copied == sizeof(*header) && length)
		copied += copy_to_iter(payload, length, to);
	if (copied == sizeof(*header) + length && padding)
		copied += copy_to_iter(zeros, padding, to);
	return copied;
}

static u64 mydev_entry_time(const struct mydev_entry *entry, u32 clock)
{
	switch (clock) {
	case MYDEV_CLOCK_BOOTTIME:
		return entry->time + entry->boottime;
	case MYDEV_CLOCK_REALTIME:
		return entry->time + entry->realtime;
	default:
		return entry->time;
	}
}

static size_t mydev_read_record(const struct mydev_batch *batch,
				unsigned int index, struct iov_iter *to)
{
	const struct mydev_entry *entry = &batch->entries[index];
	const struct mydev_event_record event = {
		.event = entry->event,
		.status = entry->status,
	};
	struct mydev_packet_header header = {
		.type = entry->type,
		.sequence = entry->seq,
		.timestamp_ns = mydev_entry_time(entry, batch->clock),
	};

	if (entry->type == MYDEV_RECORD_EVENT)
		return mydev_copy_record(&header, &event, sizeof(event), to);
	header.flags = entry->flags;
	header.status = entry->status;
	if (batch->partial && !index)
		header.flags |= MYDEV_PACKET_PARTIAL;
	return mydev_copy_record(&header, batch->data[index], entry->length,
				 to);
}

static size_t mydev_read_gap_record(const struct mydev_batch *batch,
				    struct iov_iter *to, size_t *wanted)
{
	const struct mydev_gap_record gap = {
		.packets = batch->gap.seq,
		.bytes = batch->gap.bytes,
	};
	struct mydev_packet_header header = {
		.type = MYDEV_RECORD_GAP,
		.sequence = batch->gap_seq,
	};
	size_t size = mydev_record_size(sizeof(gap));

	*wanted += size;
	return mydev_copy_record(&header, &gap, sizeof(gap), to) < size ? 0
									: size;
}

/*
 * Small packets are packed one behind the other, so for a byte stream one copy
 * can do for many. Return the index of the first entry behind the run.
 */
static unsigned int mydev_read_run(const struct mydev_batch *batch,
				   unsigned int first, size_t *length)
{
	const struct mydev_entry *entry = &batch->entries[first];
	unsigned int i = first + 1;

	*length = entry->length;
	for (; i < batch->nr; i++) {
		const struct mydev_entry *next = &batch->entries[i];

		if (next->buffer != entry->buffer ||
		    next->offset != entry->offset + *length)
			break;
		*length += next->length;
	}
	return i;
}

static size_t mydev_read_stream(const struct mydev_batch *batch,
				struct iov_iter *to, size_t *wanted)
{
	size_t copied = 0, length;
	unsigned int i = 0;

	while (i < batch->nr && copied == *wanted) {
		const u8 *data = batch->data[i];

		if (!batch->entries[i].length) {
			i++;
			continue;
		}
		i = mydev_read_run(batch, i, &length);
		*wanted += min(length, iov_iter_count(to));
		copied += copy_to_iter(data, length, to);
	}
	return copied;
}

static size_t mydev_read_records(const struct mydev_batch *batch,
				 struct iov_iter *to, size_t *wanted)
{
	size_t copied = 0;
	unsigned int i;

	for (i = 0; i < batch->nr; i++) {
		size_t size = mydev_batch_need(batch, &batch->entries[i]);

		*wanted += size;
		if (mydev_read_record(batch, i, to) < size)
			break;
		copied += size;
	}
	return copied;
}

/**
 * mydev_batch_copy() - copy a batch as bytes, as records, or as a gap
 * @batch: the batch; all of its records fit
 * @to: where to
 * @wanted: bytes that should have been copied
 *
 * A page fault is not served: that could take long, and buffers are pinned.
 *
 * Return: bytes copied, of records only whole ones.
 */
size_t mydev_batch_copy(const struct mydev_batch *batch, struct iov_iter *to,
			size_t *wanted)
{
	size_t copied;

	*wanted = 0;
	pagefault_disable();
	if (batch->gap.seq)
		copied = mydev_read_gap_record(batch, to, wanted);
	else if (batch->mode == MYDEV_MODE_PACKET)
		copied = mydev_read_records(batch, to, wanted);
	else
		copied = mydev_read_stream(batch, to, wanted);
	pagefault_enable();
	return copied;
}

/**
 * mydev_read_fault_in() - fault in the pages that the caller's buffer lacks
 * @to: where the next copy goes
 * @need: bytes of it
 * @mode: of the client: a byte stream goes on with any, a record needs all
 * @faults: how often that was done since the last byte was copied
 *
 * Context: process context, nothing pinned: it may take as long as it likes.
 * Return: 0 if another try makes sense, -EFAULT, or -ERESTARTSYS.
 */
int mydev_read_fault_in(struct iov_iter *to, size_t need, u32 mode,
			unsigned int faults)
{
	size_t missing;

	/* A page can be there and yet, as only the CPU knows, not writable. */
	if (!user_backed_iter(to) || faults > MYDEV_FAULTS)
		return -EFAULT;
	missing = fault_in_iov_iter_writeable(to, need);
	if (mode == MYDEV_MODE_PACKET ? missing : missing == need)
		return -EFAULT;
	/* With a signal pending it is tried once all the same. */
	return faults > 1 && signal_pending(current) ? -ERESTARTSYS : 0;
}
