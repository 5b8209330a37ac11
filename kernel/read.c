// SPDX-License-Identifier: GPL-2.0-only
/*
 * What leaves the queue of a client towards its reader, as bytes or as records.
 *
 * While a reader copies, rx_lock is not held, so packets stay in the queue
 * until their bytes are at the caller's and are merely pinned meanwhile: a
 * fault in the middle loses nothing, and a pool that runs dry can take a packet
 * away from a client that holds up others even then.
 */
#include <linux/minmax.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "mydev.h"

/* Entries that a reader pins at once; bounds the stack that read() needs. */
#define MYDEV_READ_BATCH 16

/* Records begin at multiples of this. */
#define MYDEV_RECORD_ALIGN 8

/**
 * struct mydev_batch - what one round of copying works on
 * @pkts: entries, packets with a reference to their buffer; the first packet
 *	without its bytes that are read already
 * @data: where the bytes of a packet are, NULL if it has none
 * @nr: how many of @pkts
 * @mode: MYDEV_MODE_* that the round goes by
 * @partial: the first packet lacks bytes that are read already
 */
struct mydev_batch {
	struct mydev_packet pkts[MYDEV_READ_BATCH];
	const u8 *data[MYDEV_READ_BATCH];
	unsigned int nr;
	u32 mode;
	bool partial;
};

static u32 mydev_record_payload(const struct mydev_packet *pkt)
{
	switch (pkt->type) {
	case MYDEV_RECORD_GAP:
		return sizeof(struct mydev_gap_record);
	case MYDEV_RECORD_EVENT:
		return sizeof(struct mydev_event_record);
	default:
		return pkt->length;
	}
}

static size_t mydev_record_size(const struct mydev_packet *pkt)
{
	return ALIGN(sizeof(struct mydev_packet_header) +
			     mydev_record_payload(pkt),
		     MYDEV_RECORD_ALIGN);
}

/* Bytes of the caller's buffer that an entry takes. */
static size_t mydev_batch_need(const struct mydev_batch *batch,
			       const struct mydev_packet *pkt)
{
	if (batch->mode == MYDEV_MODE_PACKET)
		return mydev_record_size(pkt);
	return pkt->type == MYDEV_RECORD_PACKET ? pkt->length : 0;
}

/**
 * mydev_read_gap() - a gap is next
 * @client: a member
 * @batch: receives the gap's record in packet mode
 * @want: bytes that the caller can take
 * @report: whether a stream may report it now, which ends it
 *
 * Context: rx_lock held.
 * Return: 0, -ENOBUFS in stream mode, -EMSGSIZE
 */
static int mydev_read_gap(struct mydev_client *client,
			  struct mydev_batch *batch, size_t want, bool report)
{
	struct mydev_packet *pkt = &batch->pkts[0];

	if (batch->mode == MYDEV_MODE_STREAM) {
		if (report) {
			client->gap.packets = 0;
			mydev_client_left(client);
		}
		return -ENOBUFS;
	}

	*pkt = mydev_gap_entry(&client->gap);
	if (mydev_record_size(pkt) > want)
		return -EMSGSIZE;
	batch->nr = 1;
	return 0;
}

/**
 * mydev_read_pin() - look at the entries that the next copy needs
 * @client: a member, its read_mutex held
 * @batch: receives them; mydev_read_unpin() drops its references
 * @want: bytes that the caller can take, not 0
 * @first: nothing was copied by this read yet, so a gap may be reported, and
 *	the mode be chosen: one read returns bytes or records, not both
 *
 * Return: 0, or -ENOBUFS for a gap, -EMSGSIZE for a record that does not fit,
 * -EAGAIN if the mode has changed, -EBUSY if the client takes its packets from
 * memory, or what mydev_client_end() says of the empty queue.
 */
static int mydev_read_pin(struct mydev_client *client,
			  struct mydev_batch *batch, size_t want, bool first)
{
	struct mydev_device *dev = client->dev;
	struct mydev_buffer *buf;
	unsigned int i, n;
	int ret = 0;

	spin_lock_irq(&dev->rx_lock);
	batch->nr = 0;
	if (client->revoked) {
		ret = -ESTALE;
		goto out;
	}
	if (client->mode == MYDEV_MODE_RING) {
		ret = -EBUSY;
		goto out;
	}
	mydev_client_unlap(client);
	if (!first && client->mode != batch->mode) {
		ret = -EAGAIN;
		goto out;
	}
	batch->mode = client->mode;
	batch->partial = client->head_offset;

	mydev_queue_settle_gap(client);
	if (client->gap.packets) {
		ret = mydev_read_gap(client, batch, want, first);
		goto out;
	}

	n = kfifo_out_peek(&client->queue.fifo, batch->pkts, MYDEV_READ_BATCH);
	if (!n) {
		ret = mydev_client_end(client);
		goto out;
	}

	if (batch->partial) {
		batch->pkts[0].offset += client->head_offset;
		batch->pkts[0].length -= client->head_offset;
	}
	for (i = 0; i < n; i++) {
		struct mydev_packet *pkt = &batch->pkts[i];
		size_t need = mydev_batch_need(batch, pkt);

		if (pkt->type == MYDEV_RECORD_GAP)
			break;
		if (batch->mode == MYDEV_MODE_PACKET ? need > want : !want)
			break;
		buf = mydev_packet_buffer(&dev->pool, pkt);
		batch->data[i] = NULL;
		if (buf) {
			mydev_buffer_get(buf);
			batch->data[i] = buf->data + (pkt->offset - buf->place);
		}
		want -= min(want, need);
	}
	batch->nr = i;
	if (!i)
		ret = -EMSGSIZE;
out:
	spin_unlock_irq(&dev->rx_lock);
	return ret;
}

/**
 * mydev_read_consume() - account for an entry, or a part of it, that was read
 * @client: a member
 * @pkt: an entry as mydev_read_pin() returned it
 * @bytes: how many of its payload bytes were read
 * @whole: it was read to its end
 *
 * Context: rx_lock held.
 */
static void mydev_read_consume(struct mydev_client *client,
			       const struct mydev_packet *pkt, u32 bytes,
			       bool whole)
{
	struct mydev_packet head;

	if (pkt->type == MYDEV_RECORD_GAP) {
		/* It can only have grown meanwhile, at its end. */
		client->gap.packets -= pkt->gap.packets;
		client->gap.bytes -= pkt->gap.bytes;
		client->gap.seq += pkt->gap.packets;
		return;
	}

	if (pkt->type == MYDEV_RECORD_PACKET) {
		client->read_bytes += bytes;
		client->read_packets += whole;
	}
	if (kfifo_peek(&client->queue.fifo, &head) && head.type == pkt->type &&
	    head.seq == pkt->seq && head.time == pkt->time) {
		client->head_offset = whole ? 0 : client->head_offset + bytes;
		if (whole)
			mydev_queue_pop(client, &head);
		return;
	}

	/* Taken away during the copy: what was copied is not lost after all. */
	if (pkt->type == MYDEV_RECORD_PACKET) {
		client->lost_bytes -= bytes;
		client->gap.bytes -= bytes;
		if (whole) {
			client->lost_packets--;
			client->gap.packets--;
			client->gap.seq = pkt->seq + 1;
		}
	}
}

/**
 * mydev_read_unpin() - drop what mydev_read_pin() returned
 * @client: a member, its read_mutex held
 * @batch: the entries
 * @copied: bytes that the caller has got
 */
static void mydev_read_unpin(struct mydev_client *client,
			     const struct mydev_batch *batch, size_t copied)
{
	struct mydev_device *dev = client->dev;
	struct mydev_buffer *buf;
	unsigned int i;
	bool hungry;

	spin_lock_irq(&dev->rx_lock);
	/* Of a client that was revoked meanwhile nothing is left to count. */
	for (i = 0; i < batch->nr && !client->revoked; i++) {
		const struct mydev_packet *pkt = &batch->pkts[i];
		size_t need = mydev_batch_need(batch, pkt);

		if (copied >= need) {
			mydev_read_consume(client, pkt, pkt->length, true);
			copied -= need;
		} else {
			/* A record that is not whole was not read. */
			if (batch->mode == MYDEV_MODE_STREAM && copied)
				mydev_read_consume(client, pkt, copied, false);
			break;
		}
	}
	for (i = 0; i < batch->nr; i++) {
		buf = mydev_packet_buffer(&dev->pool, &batch->pkts[i]);
		if (buf)
			mydev_buffer_put(&dev->pool, buf);
	}
	mydev_client_left(client);
	hungry = mydev_rx_hungry(dev);
	spin_unlock_irq(&dev->rx_lock);

	if (hungry)
		mydev_rx_refill(dev);
}

/**
 * mydev_read_record() - copy one record
 * @batch: the batch that it is in
 * @index: of its entry
 * @to: where to, with room for it
 *
 * Return: bytes copied, less than the record's size after a fault.
 */
static size_t mydev_read_record(const struct mydev_batch *batch,
				unsigned int index, struct iov_iter *to)
{
	static const u8 zeros[MYDEV_RECORD_ALIGN];
	const struct mydev_packet *pkt = &batch->pkts[index];
	struct mydev_packet_header header = {
		.record_size = mydev_record_size(pkt),
		.header_size = sizeof(header),
		.type = pkt->type,
		.length = mydev_record_payload(pkt),
		.sequence = pkt->seq,
	};
	union {
		struct mydev_gap_record gap;
		struct mydev_event_record event;
	} u;
	const void *payload = &u;
	size_t padding = header.record_size - sizeof(header) - header.length;
	size_t copied;

	switch (pkt->type) {
	case MYDEV_RECORD_GAP:
		u.gap.packets = pkt->gap.packets;
		u.gap.bytes = pkt->gap.bytes;
		break;
	case MYDEV_RECORD_EVENT:
		header.timestamp_ns = pkt->time;
		u.event.event = pkt->event;
		u.event.status = pkt->status;
		break;
	default:
		header.timestamp_ns = pkt->time;
		header.flags = pkt->flags;
		header.status = pkt->status;
		if (batch->partial && !index)
			header.flags |= MYDEV_PACKET_PARTIAL;
		payload = batch->data[index];
	}

	copied = copy_to_iter(&header, sizeof(header), to);
	if (copied == sizeof(header) && header.length)
		copied += copy_to_iter(payload, header.length, to);
	if (copied == sizeof(header) + header.length && padding)
		copied += copy_to_iter(zeros, padding, to);
	return copied;
}

/**
 * mydev_read_run() - join what lies next to each other
 * @batch: the batch
 * @first: index of the first packet of the run, with at least one byte
 * @length: bytes of the run
 *
 * Small packets are packed one behind the other, so for a byte stream one copy
 * can do for many.
 *
 * Return: index of the first entry behind the run.
 */
static unsigned int mydev_read_run(const struct mydev_batch *batch,
				   unsigned int first, size_t *length)
{
	const struct mydev_packet *pkt = &batch->pkts[first];
	unsigned int i = first + 1;

	*length = pkt->length;
	for (; i < batch->nr; i++) {
		const struct mydev_packet *next = &batch->pkts[i];

		if (next->type != MYDEV_RECORD_PACKET ||
		    next->buffer != pkt->buffer ||
		    next->offset != pkt->offset + *length)
			break;
		*length += next->length;
	}
	return i;
}

/**
 * mydev_read_stream() - copy a batch as bytes
 * @batch: the batch
 * @to: where to
 * @wanted: bytes that should have been copied
 *
 * Return: bytes copied.
 */
static size_t mydev_read_stream(const struct mydev_batch *batch,
				struct iov_iter *to, size_t *wanted)
{
	size_t copied = 0, length;
	unsigned int i = 0;

	while (i < batch->nr && copied == *wanted) {
		const struct mydev_packet *pkt = &batch->pkts[i];
		const u8 *data = batch->data[i];

		if (pkt->type != MYDEV_RECORD_PACKET || !pkt->length) {
			i++;
			continue;
		}
		i = mydev_read_run(batch, i, &length);
		*wanted += min(length, iov_iter_count(to));
		copied += copy_to_iter(data, length, to);
	}
	return copied;
}

/**
 * mydev_read_records() - copy a batch as records
 * @batch: the batch; all of its records fit
 * @to: where to
 * @wanted: bytes that should have been copied
 *
 * Return: bytes copied of whole records: the caller gets no part of one.
 */
static size_t mydev_read_records(const struct mydev_batch *batch,
				 struct iov_iter *to, size_t *wanted)
{
	size_t copied = 0;
	unsigned int i;

	for (i = 0; i < batch->nr; i++) {
		size_t size = mydev_record_size(&batch->pkts[i]);

		*wanted += size;
		if (mydev_read_record(batch, i, to) < size)
			break;
		copied += size;
	}
	return copied;
}

/**
 * mydev_read_fault_in() - get the pages that the caller's buffer lacks
 * @to: where the next copy goes
 * @need: bytes of it
 * @mode: of the client: a byte stream goes on with any, a record needs all
 *
 * Context: process context, nothing pinned: it may take as long as it likes.
 * Return: true if another try makes sense.
 */
static bool mydev_read_fault_in(struct iov_iter *to, size_t need, u32 mode)
{
	size_t missing;

	if (!user_backed_iter(to))
		return false;
	missing = fault_in_iov_iter_writeable(to, need);
	return mode == MYDEV_MODE_PACKET ? !missing : missing < need;
}

/**
 * mydev_read_copy() - copy what is queued
 * @client: a member, its read_mutex held
 * @to: where to, not empty
 *
 * Return: bytes copied if any were, else -EFAULT, or what mydev_read_pin()
 * says. Nothing that was not copied is consumed.
 */
static ssize_t mydev_read_copy(struct mydev_client *client, struct iov_iter *to)
{
	/* Many kernels clear the stack, and this is 900 bytes of it. */
	struct mydev_batch batch __uninitialized;
	ssize_t done = 0;

	while (iov_iter_count(to)) {
		size_t room = iov_iter_count(to), copied, wanted = 0;
		int ret;

		ret = mydev_read_pin(client, &batch, room, !done);
		if (ret)
			return done ?: ret;

		/* Nobody may keep buffers by not serving a page fault. */
		pagefault_disable();
		if (batch.mode == MYDEV_MODE_PACKET)
			copied = mydev_read_records(&batch, to, &wanted);
		else
			copied = mydev_read_stream(&batch, to, &wanted);
		pagefault_enable();
		mydev_read_unpin(client, &batch, copied);

		done += copied;
		if (copied < wanted) {
			/* The rest of a record that is not whole. */
			iov_iter_revert(to, room - iov_iter_count(to) - copied);
			if (!mydev_read_fault_in(to, wanted - copied,
						 batch.mode))
				return done ?: -EFAULT;
		}
	}
	return done;
}

/**
 * mydev_client_read() - read bytes or records, as the client's mode says
 * @client: the client
 * @to: where to
 * @nonblock: do not sleep, neither for data nor for another reader
 *
 * Context: process context.
 * Return: bytes read, at least one unless none were asked for; or -EAGAIN,
 * -ERESTARTSYS, -EFAULT, -ENOBUFS, -EMSGSIZE, -EIO, -ENODEV, -EOPNOTSUPP,
 * -EBUSY, -ESTALE as the UAPI header tells.
 */
ssize_t mydev_client_read(struct mydev_client *client, struct iov_iter *to,
			  bool nonblock)
{
	ssize_t ret;

	if (!client->member)
		return -EOPNOTSUPP;
	if (!iov_iter_count(to))
		return 0;

	if (nonblock) {
		if (!mutex_trylock(&client->read_mutex))
			return -EAGAIN;
	} else if (mutex_lock_interruptible(&client->read_mutex)) {
		return -ERESTARTSYS;
	}

	mydev_client_demand(client);
	do {
		/* A watermark is for those who wait, so it is waited for. */
		ret = nonblock ? 0
			       : wait_event_interruptible(
					 client->wait,
					 mydev_client_ready(client));
		if (!ret)
			ret = mydev_read_copy(client, to);
	} while (ret == -EAGAIN && !nonblock);

	mutex_unlock(&client->read_mutex);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_client_read);
