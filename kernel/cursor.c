// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a client is in the log, and what that means: what it has lost, what
 * waits to be read, how much more it lets come.
 *
 * A client knows its position, and the packet that it expects there; all else
 * is a difference of sequence numbers and of byte counts. Nobody tells it that
 * entries before it were retired: it finds out when it looks, or is looked at.
 *
 * Everything here runs under rx_lock, interrupts off.
 */

#include "mydev.h"

/* Events that are skipped by a look; a reader skips the rest. */
#define MYDEV_OLD_EVENTS 8

/**
 * mydev_client_end() - say why an empty stream will stay empty
 * @client: a subscriber
 *
 * Return: -EAGAIN if it will not, -ESTALE after a revoke, -ENODEV after an
 * unplug, -EIO after a failure for good, -EPROTO after nonsense in its ring.
 */
int mydev_client_end(const struct mydev_client *client)
{
	if (client->revoked)
		return -ESTALE;
	if (client->ring.error)
		return client->ring.error;
	switch (client->dev->rx.state) {
	case MYDEV_STATE_GONE:
		return -ENODEV;
	case MYDEV_STATE_FAILED:
		return -EIO;
	default:
		return -EAGAIN;
	}
}

/**
 * mydev_place_at() - find the place in the stream of a position in the log
 * @dev: the device
 * @position: from the tail to the head
 *
 * Return: the place.
 */
struct mydev_place mydev_place_at(const struct mydev_device *dev, u64 position)
{
	const struct mydev_entry *entry;

	if (position == dev->log.head)
		return (struct mydev_place){ dev->counters.packets,
					     dev->counters.bytes };
	entry = mydev_log_at(&dev->log, position);
	return (struct mydev_place){ entry->seq, entry->bytes };
}

/**
 * mydev_holders_changed() - forget what the holders allow
 * @dev: the device; its holders, or what they allow, are no longer the same
 */
void mydev_holders_changed(struct mydev_device *dev)
{
	dev->rx.credits = 0;
	dev->log.limit = dev->log.tail;
	dev->log.slowest = NULL;
	dev->log.waited = 0;
}

/**
 * mydev_client_hold() - have a client hold from where it is
 * @client: a subscriber, settled; it did not block the ring, or was further on
 *
 * Transfers in flight, and some events, do not wait for it: entries that make
 * room for those are gone for it.
 */
void mydev_client_hold(struct mydev_client *client)
{
	struct mydev_device *dev = client->dev;
	u64 end = dev->log.head + dev->rx.in_flight + MYDEV_LOG_SPARE;
	unsigned int size = kfifo_size(&dev->log.store.fifo);

	if (mydev_client_blocks(client) && end - client->cursor > size)
		client->cursor = min(end - size, dev->log.head);
	mydev_holders_changed(dev);
}

/**
 * mydev_client_readmit() - let an evicted client block the ring again
 * @client: a subscriber; it shows that it is alive
 */
void mydev_client_readmit(struct mydev_client *client)
{
	if (!client->evicted)
		return;
	client->evicted = false;
	mydev_client_hold(client);
}

/*
 * Read the cursor of a program, which can write anything. One that has gone
 * back, or is beyond the head, ends the stream of this client, and of no other.
 */
static void mydev_ring_look(struct mydev_client *client)
{
	struct mydev_client_ring *ring = &client->ring;
	u64 cursor;

	if (!MYDEV_HAS_RING || ring->error)
		return;
	/* Pairs with the program's release: it has read what is before it. */
	cursor = smp_load_acquire(&ring->page->cursor);
	if (cursor == ring->cursor)
		return;
	if (cursor - ring->cursor > client->dev->log.head - ring->cursor) {
		ring->error = -EPROTO;
		ring->flags = MYDEV_RING_ENDED;
		WRITE_ONCE(ring->page->flags, ring->flags);
		/* It may have held the ring up, and does not call any more. */
		mydev_holders_changed(client->dev);
		mydev_rx_queue_work(client->dev);
		return;
	}
	ring->cursor = cursor;
	client->cursor = max(client->cursor, cursor);
	mydev_client_readmit(client);
}

/* What a client that holds nothing has lost by its depth. */
static void mydev_cursor_drop(struct mydev_client *client)
{
	u64 head = client->dev->log.head;
	u64 from = max(client->cursor, client->from);

	if (head - from <= client->depth)
		return;
	if (client->policy != MYDEV_POLICY_DROP_NEWEST)
		client->cursor = head - client->depth;
	else if (!client->keep)
		client->keep = from + client->depth;
}

/* A byte stream skips events, and counts packets without a byte as read. */
static void mydev_cursor_skip_empty(struct mydev_client *client)
{
	const struct mydev_device *dev = client->dev;
	u64 end = mydev_cursor_end(client, &dev->log);
	const struct mydev_entry *entry;
	struct mydev_place place;

	/* As a rule, what is next has bytes. */
	if (client->cursor != end) {
		entry = mydev_log_at(&dev->log, client->cursor);
		if (entry->length && entry->seq == client->next.seq)
			return;
	}
	place = mydev_place_at(dev, end);
	if (place.bytes == client->next.bytes)
		client->cursor = end;
	else
		place = mydev_place_at(dev, client->cursor);
	if (place.bytes == client->next.bytes) {
		client->read_packets += place.seq - client->next.seq;
		client->next.seq = place.seq;
	}
}

/**
 * mydev_cursor_skip_old() - skip events from before a client was opened
 * @client: a subscriber in packet mode, without a gap
 * @steps: how many at most
 *
 * Return: true if there are more.
 */
bool mydev_cursor_skip_old(struct mydev_client *client, unsigned int steps)
{
	const struct mydev_log *log = &client->dev->log;

	for (; client->cursor != log->head; client->cursor++) {
		const struct mydev_entry *entry =
			mydev_log_at(log, client->cursor);

		if (entry->type != MYDEV_RECORD_EVENT ||
		    (s32)(client->id - entry->last_id) <= 0)
			return false;
		if (!steps--)
			return true;
	}
	return false;
}

/* One that drops the newest has read what it keeps. */
static void mydev_cursor_go_on(struct mydev_client *client)
{
	if (!client->keep || client->cursor < client->keep)
		return;
	client->cursor = client->dev->log.head;
	client->keep = 0;
}

/**
 * mydev_cursor_settle() - move a cursor past what its client cannot get
 * @client: any client
 *
 * That is what was retired. Of a client that does not block the ring, it is
 * also what is more than its depth before the head; or, if it drops the newest,
 * was full and has read what it had then, all before the head. In ring mode the
 * program sees to its policy itself.
 */
void mydev_cursor_settle(struct mydev_client *client)
{
	const struct mydev_log *log = &client->dev->log;

	if (!client->subscriber || client->revoked)
		return;
	if (client->mode == MYDEV_MODE_RING) {
		mydev_ring_look(client);
		client->cursor = max(client->cursor, log->tail);
		return;
	}
	if (!mydev_client_blocks(client))
		mydev_cursor_drop(client);
	client->cursor = max(client->cursor, log->tail);
	mydev_cursor_go_on(client);
	if (client->mode == MYDEV_MODE_STREAM)
		mydev_cursor_skip_empty(client);
	else
		mydev_cursor_skip_old(client, MYDEV_OLD_EVENTS);
	mydev_cursor_go_on(client);
}

/**
 * mydev_cursor_gap() - find what a client has lost right where it is
 * @client: a subscriber, settled; not in ring mode
 * @gap: packets, and bytes of them
 *
 * Return: true if it has lost any, and was not told yet.
 */
bool mydev_cursor_gap(const struct mydev_client *client,
		      struct mydev_place *gap)
{
	struct mydev_place place = mydev_place_at(client->dev, client->cursor);

	if (place.seq == client->next.seq)
		return false;
	gap->seq = place.seq - client->next.seq;
	gap->bytes = place.bytes - client->next.bytes;
	return true;
}

/**
 * mydev_cursor_empty() - check whether there is anything to read
 * @client: a subscriber, settled
 *
 * Return: true if there is nothing, not even a gap.
 */
bool mydev_cursor_empty(struct mydev_client *client)
{
	struct mydev_place gap;

	return client->cursor == client->dev->log.head &&
	       (client->mode == MYDEV_MODE_RING ||
		!mydev_cursor_gap(client, &gap));
}

/**
 * mydev_cursor_credits() - count the entries that a client still lets come
 * @client: a holder, settled
 *
 * Return: what is left of its depth, and of what may be in flight besides.
 */
unsigned int mydev_cursor_credits(const struct mydev_client *client)
{
	const struct mydev_device *dev = client->dev;
	u64 used = dev->log.head - max(client->cursor, client->from);
	u64 limit = client->depth + dev->rx.nr;

	return used < limit ? limit - used : 0;
}

/**
 * mydev_client_counts() - count what was offered, read, lost, and is queued
 * @client: any client; in ring mode its program says what it has read, and can
 *	be wrong about nobody but itself
 * @counts: filled in
 */
void mydev_client_counts(struct mydev_client *client,
			 struct mydev_counts *counts)
{
	const struct mydev_device *dev = client->dev;
	struct mydev_place to = client->end, at, end;

	/* First: by it, packets without a byte are read. */
	mydev_cursor_settle(client);
	*counts = (struct mydev_counts){ .read_packets = client->read_packets,
					 .read_bytes = client->read_bytes };
	if (!client->subscriber)
		return;
	if (!client->revoked) {
		at = mydev_place_at(dev, client->cursor);
		end = mydev_place_at(dev, mydev_cursor_end(client, &dev->log));
		to = mydev_place_at(dev, dev->log.head);
		counts->queued_packets = end.seq - at.seq;
		counts->queued_bytes =
			end.bytes - max(at.bytes, client->next.bytes);
	}
	counts->packets = to.seq - client->start.seq;
	counts->bytes = to.bytes - client->start.bytes;
	if (client->mode == MYDEV_MODE_RING) {
		counts->read_packets =
			clamp(READ_ONCE(client->ring.page->read_packets),
			      client->read_packets,
			      max(counts->packets - counts->queued_packets,
				  client->read_packets));
		counts->read_bytes =
			clamp(READ_ONCE(client->ring.page->read_bytes),
			      client->read_bytes,
			      max(counts->bytes - counts->queued_bytes,
				  client->read_bytes));
	}
	counts->lost_packets =
		counts->packets - counts->read_packets - counts->queued_packets;
	counts->lost_bytes =
		counts->bytes - counts->read_bytes - counts->queued_bytes;
}
