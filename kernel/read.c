// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a reader gets out of the log.
 *
 * While a reader copies, rx_lock is not held, and the cursor stays where it is
 * until the bytes are at the caller's: a fault in the middle loses nothing. The
 * buffers are pinned meanwhile: a tail that passes them does not free them, and
 * what was copied out of them counts as read.
 */
#include <linux/minmax.h>
#include <linux/sched/signal.h>
#include <linux/uio.h>

#include "read.h"
#include "trace.h"

/*
 * A gap is a record in packet mode; a byte stream ends with -ENOBUFS before it,
 * and the next read() is to @report it. Context: rx_lock held.
 */
static int mydev_read_gap(struct mydev_client *client,
			  struct mydev_batch *batch, size_t want, bool report)
{
	batch->gap_seq = client->next.seq;
	if (batch->mode == MYDEV_MODE_PACKET)
		return mydev_record_size(sizeof(struct mydev_gap_record)) > want
			       ? -EMSGSIZE
			       : 0;
	if (report) {
		trace_mydev_drop(client, batch->gap_seq, batch->gap.seq,
				 batch->gap.bytes);
		client->next = mydev_place_at(client->dev, client->cursor);
		mydev_client_looked(client);
	}
	return -ENOBUFS;
}

/* Of a client that is settled, and has no gap. Context: rx_lock held. */
static void mydev_read_pin_entries(struct mydev_client *client,
				   struct mydev_batch *batch, size_t want)
{
	struct mydev_device *dev = client->dev;
	u64 end = mydev_cursor_end(client, &dev->log);
	u32 done = 0;
	unsigned int n;

	batch->position = client->cursor;
	for (n = 0; n < MYDEV_READ_BATCH && client->cursor + n != end; n++) {
		struct mydev_entry *entry = &batch->entries[n];
		struct mydev_buffer *buf;
		size_t need;

		*entry = *mydev_log_at(&dev->log, client->cursor + n);
		if (!n) {
			done = client->next.bytes - entry->bytes;
			batch->partial = done;
			entry->offset += done;
			entry->length -= done;
		} else if (entry->type == MYDEV_RECORD_EVENT) {
			/* It may be none for this client. */
			break;
		}
		need = mydev_batch_need(batch, entry);
		if (batch->mode == MYDEV_MODE_PACKET ? need > want : !want)
			break;
		batch->data[n] = NULL;
		buf = mydev_entry_buffer(&dev->pool, entry);
		if (buf) {
			mydev_buffer_get(buf);
			batch->data[n] =
				buf->data + (entry->offset - buf->map_offset);
		}
		want -= min(want, need);
	}
	batch->nr = n;
}

/*
 * Pin what the next copy needs, up to @want bytes. The @first time in a read(),
 * a gap may be reported, and the mode is chosen: it returns bytes or records,
 * not both.
 *
 * Context: read_mutex and rx_lock held.
 * Return: 0, -ENOBUFS for a gap, -EMSGSIZE for a record that does not fit,
 * -EAGAIN if the mode has changed, -EBUSY in ring mode, or what
 * mydev_client_end() says of an empty stream.
 */
static int mydev_read_pin(struct mydev_client *client,
			  struct mydev_batch *batch, size_t want, bool first)
{
	batch->nr = 0;
	batch->gap.seq = 0;
	if (client->revoked)
		return -ESTALE;
	if (client->mode == MYDEV_MODE_RING)
		return -EBUSY;
	/* Settled first, what an evicted client lost is the same for all. */
	mydev_cursor_settle(client);
	mydev_client_readmit(client);
	if (!first && client->mode != batch->mode)
		return -EAGAIN;
	batch->mode = client->mode;
	batch->clock = client->clock;

	if (mydev_cursor_gap(client, &batch->gap))
		return mydev_read_gap(client, batch, want, first);
	/* Nothing is pinned while there are more: the next round goes on. */
	if (client->mode == MYDEV_MODE_PACKET &&
	    mydev_cursor_skip_old(client, MYDEV_LOG_BATCH))
		return 0;
	if (mydev_cursor_empty(client))
		return mydev_client_end(client);
	mydev_read_pin_entries(client, batch, want);
	return batch->nr ? 0 : -EMSGSIZE;
}

/*
 * An entry was read, or a part of it. The cursor may be further by now: then
 * the gap that it has passed begins later. Context: rx_lock held.
 */
static void mydev_read_consume(struct mydev_client *client,
			       const struct mydev_entry *entry, u64 position,
			       u32 bytes, bool whole)
{
	if (whole)
		client->cursor = max(client->cursor, position + 1);
	/* Without a byte, it may have been skipped by now. */
	if (entry->type != MYDEV_RECORD_PACKET ||
	    entry->seq != client->next.seq)
		return;
	client->read_bytes += bytes;
	client->next.bytes += bytes;
	client->read_packets += whole;
	client->next.seq += whole;
}

/* The record of a gap was read; it can only have grown since, at its end. */
static void mydev_read_consume_gap(struct mydev_client *client,
				   const struct mydev_batch *batch)
{
	trace_mydev_drop(client, batch->gap_seq, batch->gap.seq,
			 batch->gap.bytes);
	/* Without a byte, they may have been skipped by now. */
	if (client->next.seq != batch->gap_seq)
		return;
	client->next.seq += batch->gap.seq;
	client->next.bytes += batch->gap.bytes;
}

/* The caller has got @copied bytes. Context: read_mutex held. */
static void mydev_read_unpin(struct mydev_client *client,
			     const struct mydev_batch *batch, size_t copied)
{
	struct mydev_device *dev = client->dev;
	struct mydev_buffer *buf;
	unsigned int i;
	bool hungry;

	spin_lock_irq(&dev->rx_lock);
	/* Of a client that was revoked meanwhile nothing is left to count. */
	if (batch->gap.seq && copied && !client->revoked)
		mydev_read_consume_gap(client, batch);
	for (i = 0; i < batch->nr && !client->revoked; i++) {
		const struct mydev_entry *entry = &batch->entries[i];
		size_t need = mydev_batch_need(batch, entry);
		bool whole = copied >= need;

		/* A record that is not whole was not read. */
		if (!whole && batch->mode == MYDEV_MODE_PACKET)
			break;
		mydev_read_consume(client, entry, batch->position + i,
				   whole ? entry->length : copied, whole);
		if (!whole)
			break;
		copied -= need;
	}
	for (i = 0; i < batch->nr; i++) {
		buf = mydev_entry_buffer(&dev->pool, &batch->entries[i]);
		if (buf)
			mydev_buffer_put(&dev->pool, buf);
	}
	mydev_client_looked(client);
	mydev_client_moved(client);
	hungry = mydev_rx_needs_refill(dev);
	spin_unlock_irq(&dev->rx_lock);

	if (hungry)
		mydev_rx_refill(dev);
}

/**
 * mydev_ring_kick() - look at the cursor of a program, and refill the ring
 * @client: any client
 *
 * Context: any in which rx_lock may be taken, without it.
 * Return: 0 if there are entries or more may come; else why none will, or
 * -EINVAL in another mode.
 */
int mydev_ring_kick(struct mydev_client *client)
{
	struct mydev_device *dev = client->dev;
	unsigned long flags;
	bool hungry;
	int ret;

	spin_lock_irqsave(&dev->rx_lock, flags);
	if (client->mode != MYDEV_MODE_RING) {
		spin_unlock_irqrestore(&dev->rx_lock, flags);
		return client->revoked ? -ESTALE : -EINVAL;
	}
	mydev_cursor_settle(client);
	mydev_client_looked(client);
	mydev_client_moved(client);
	ret = mydev_client_end(client);
	if (ret == -EAGAIN ||
	    (!mydev_cursor_empty(client) && !client->ring.error))
		ret = 0;
	hungry = mydev_rx_needs_refill(dev);
	spin_unlock_irqrestore(&dev->rx_lock, flags);

	if (hungry)
		mydev_rx_refill(dev);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_ring_kick);

/*
 * Copy what is queued; nothing that was not copied is consumed. Return bytes if
 * there were any, else -EFAULT, -ERESTARTSYS, or what mydev_read_pin() says.
 */
static ssize_t mydev_read_copy(struct mydev_client *client, struct iov_iter *to)
{
	/* Many kernels clear the stack, and this is 1,200 bytes of it. */
	struct mydev_batch batch __uninitialized;
	struct mydev_device *dev = client->dev;
	unsigned int faults = 0;
	ssize_t done = 0;

	while (iov_iter_count(to)) {
		size_t room = iov_iter_count(to), copied, wanted;
		int ret;

		spin_lock_irq(&dev->rx_lock);
		ret = mydev_read_pin(client, &batch, room, !done);
		spin_unlock_irq(&dev->rx_lock);
		if (ret)
			return done ?: ret;
		copied = mydev_batch_copy(&batch, to, &wanted);
		mydev_read_unpin(client, &batch, copied);

		done += copied;
		if (copied)
			faults = 0;
		if (copied < wanted) {
			/* The rest of a record that is not whole. */
			iov_iter_revert(to, room - iov_iter_count(to) - copied);
			ret = mydev_read_fault_in(to, wanted - copied,
						  batch.mode, ++faults);
			if (ret)
				return done ?: ret;
			/* It was not all yet, even with a signal pending. */
			continue;
		}
		/*
		 * As long as the device sends, this could go on. A look without
		 * the lock does: what it misses is for the next read().
		 */
		if (done &&
		    (READ_ONCE(client->cursor) == READ_ONCE(dev->log.head) ||
		     signal_pending(current)))
			break;
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

	if (!client->subscriber)
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
		/* The watermark is for blocking reads. */
		ret = nonblock ? 0
			       : wait_event_interruptible(
					 client->wait,
					 mydev_client_ready(client));
		if (!ret)
			ret = mydev_read_copy(client, to);
		/* What is there may have no bytes, again and again. */
		if (ret == -EAGAIN && !nonblock && signal_pending(current))
			ret = -ERESTARTSYS;
	} while (ret == -EAGAIN && !nonblock);

	mutex_unlock(&client->read_mutex);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_client_read);
