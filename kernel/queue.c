// SPDX-License-Identifier: GPL-2.0-only
/*
 * What goes into the queues of clients, and what has to leave them.
 *
 * A client *holds* the ring while it is lossless and takes part: nothing of its
 * queue may be dropped, so the ring stops instead. Everybody else is a dropping
 * client, whatever the policy: a member that never asked for data, or one that
 * was lapped and has not read since.
 *
 * Lost packets become a gap at the place where they are missing. It can be
 *
 *   client->gap        right before the first entry of the queue,
 *   a MYDEV_RECORD_GAP entry in the queue, or
 *   client->tail_gap   behind the last entry, while nothing has followed it.
 *
 * A queue has a slot for every packet that its depth allows and for everything
 * that can be in flight besides, so whoever becomes a holder always has room
 * for what arrives.
 *
 * Everything here but the allocation runs under rx_lock, interrupts off.
 */
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>

#include "mydev.h"
#include "trace.h"

/* Entries beyond depth and transfers: gaps and events. */
#define MYDEV_QUEUE_SPARE 16

/* So many entries after each other are put into a ring between two looks at it. */
#define MYDEV_RING_LOOK 8

/* Of a full ring, one part of so many is dropped at once. */
#define MYDEV_RING_PORTION 8

/**
 * mydev_queue_slots() - slots of a queue that takes so many packets
 * @depth: packets
 *
 * Return: a power of two.
 */
unsigned int mydev_queue_slots(unsigned int depth)
{
	return roundup_pow_of_two(depth + MYDEV_MAX_TRANSFERS +
				  MYDEV_QUEUE_SPARE);
}

/**
 * mydev_queue_alloc() - memory for a queue
 * @queue: not in use; empty if the call succeeds
 * @depth: packets that it is to take
 *
 * Context: process context.
 * Return: 0 or -ENOMEM.
 */
int mydev_queue_alloc(struct mydev_queue *queue, unsigned int depth)
{
	size_t bytes = mydev_queue_slots(depth) * sizeof(*queue->slots);

	/* Whole pages without anything old in them: clients may map them. */
	queue->slots = __vmalloc(bytes, GFP_KERNEL_ACCOUNT | __GFP_ZERO |
						__GFP_NOWARN);
	if (!queue->slots)
		return -ENOMEM;
	return kfifo_init(&queue->fifo, queue->slots, bytes);
}

/**
 * mydev_queue_free() - give the memory of a queue back
 * @queue: empty, or without memory
 */
void mydev_queue_free(struct mydev_queue *queue)
{
	vfree(queue->slots);
	queue->slots = NULL;
}

/**
 * mydev_client_holds() - must the ring stop rather than drop?
 * @client: any client
 *
 * Return: true if it must.
 */
bool mydev_client_holds(const struct mydev_client *client)
{
	return client->demanded && !client->lapped && !client->ring_error &&
	       client->policy == MYDEV_POLICY_LOSSLESS;
}

/**
 * mydev_client_unlap() - a client that was lapped reads again
 * @client: a member; it may hold the ring from now on, with a full queue
 */
void mydev_client_unlap(struct mydev_client *client)
{
	if (!client->lapped)
		return;
	client->lapped = false;
	client->dev->rx.room = 0;
}

/* The entry of this index, which counts on for ever. */
static struct mydev_packet *mydev_queue_at(const struct mydev_client *client,
					   u32 index)
{
	return &client->queue.slots[index & client->queue.fifo.kfifo.mask];
}

/* What an entry costs the pool: its bytes if packed, else a whole buffer. */
static u32 mydev_packet_cost(const struct mydev_pool *pool,
			     const struct mydev_packet *pkt)
{
	if (!mydev_packet_buffer(pool, pkt))
		return 0;
	return pkt->packed ? pkt->length : pool->size;
}

static void mydev_gap_add(struct mydev_gap *gap, u64 seq, u64 packets,
			  u64 bytes)
{
	if (!gap->packets)
		*gap = (struct mydev_gap){ .seq = seq };
	gap->packets += packets;
	gap->bytes += bytes;
}

/**
 * mydev_queue_put() - append an entry
 * @client: a member that has a slot for it
 * @pkt: the entry
 * @buf: its buffer, of which the queue takes a reference, or NULL
 * @cost: see mydev_packet_cost()
 */
static void mydev_queue_put(struct mydev_client *client,
			    const struct mydev_packet *pkt,
			    struct mydev_buffer *buf, u32 cost)
{
	/* kfifo_put() would copy it twice. */
	*mydev_queue_at(client, client->queue.fifo.kfifo.in++) = *pkt;
	if (buf)
		mydev_buffer_get(buf);
	client->held += cost;
	mydev_ring_publish(client);
}

/**
 * mydev_queue_pop() - remove the first entry, whatever it is
 * @client: a member
 * @pkt: the entry; its buffer is valid only as long as somebody else holds it
 *
 * Return: false if the queue is empty.
 */
bool mydev_queue_pop(struct mydev_client *client, struct mydev_packet *pkt)
{
	struct mydev_pool *pool = &client->dev->pool;
	struct mydev_buffer *buf;

	if (!kfifo_get(&client->queue.fifo, pkt))
		return false;
	buf = mydev_packet_buffer(pool, pkt);
	if (buf) {
		client->held -= mydev_packet_cost(pool, pkt);
		mydev_buffer_put(pool, buf);
	}
	return true;
}

/**
 * mydev_queue_read() - take out entries that a program has read by itself
 * @client: in ring mode
 * @count: of the entries, no more than there are
 */
void mydev_queue_read(struct mydev_client *client, unsigned int count)
{
	struct __kfifo *fifo = &client->queue.fifo.kfifo;
	struct mydev_pool *pool = &client->dev->pool;
	u64 packets = 0, bytes = 0, held = 0;

	for (; count; count--, fifo->out++) {
		const struct mydev_packet *pkt =
			mydev_queue_at(client, fifo->out);
		struct mydev_buffer *buf = mydev_packet_buffer(pool, pkt);

		if (pkt->type != MYDEV_RECORD_PACKET)
			continue;
		packets++;
		bytes += pkt->length;
		if (!buf)
			continue;
		held += mydev_packet_cost(pool, pkt);
		mydev_buffer_put(pool, buf);
	}
	client->read_packets += packets;
	client->read_bytes += bytes;
	client->held -= held;
}

/**
 * mydev_queue_clear() - forget everything, when the client is closed
 * @client: a member that is in no list any more
 *
 * Context: process context, without rx_lock.
 */
void mydev_queue_clear(struct mydev_client *client)
{
	struct mydev_device *dev = client->dev;
	struct mydev_packet pkt;
	unsigned int n;

	do {
		spin_lock_irq(&dev->rx_lock);
		for (n = 0; n < MYDEV_QUEUE_BATCH; n++)
			if (!mydev_queue_pop(client, &pkt))
				break;
		spin_unlock_irq(&dev->rx_lock);
	} while (n == MYDEV_QUEUE_BATCH);
}

/**
 * mydev_queue_replace() - move a client's entries to a queue of other length
 * @client: a member
 * @queue: in: empty, with slots enough; out: the old one, to be freed
 */
void mydev_queue_replace(struct mydev_client *client, struct mydev_queue *queue)
{
	struct mydev_packet pkt;

	/* References and costs go with the entries. */
	while (kfifo_get(&client->queue.fifo, &pkt))
		WARN_ON_ONCE(!kfifo_put(&queue->fifo, pkt));
	swap(client->queue, *queue);
}

/* A packet that is in no queue any more, or never was. */
static void mydev_client_lose(struct mydev_client *client,
			      struct mydev_gap *gap, u64 seq, u32 bytes)
{
	/* It is what a reader below its watermark may be waiting for. */
	client->due = true;
	client->lost_packets++;
	client->lost_bytes += bytes;
	mydev_gap_add(gap, seq, 1, bytes);
	trace_mydev_drop(client, seq, bytes);
}

/**
 * mydev_queue_drop() - drop the first entry, which makes or extends the gap
 * @client: a member
 *
 * Return: false if the queue is empty.
 */
static bool mydev_queue_drop(struct mydev_client *client)
{
	u32 done = client->head_offset;
	struct mydev_packet pkt;

	if (!mydev_queue_pop(client, &pkt))
		return false;

	client->head_offset = 0;
	switch (pkt.type) {
	case MYDEV_RECORD_PACKET:
		mydev_client_lose(client, &client->gap, pkt.seq,
				  pkt.length - done);
		break;
	case MYDEV_RECORD_GAP:
		mydev_gap_add(&client->gap, pkt.seq, pkt.gap.packets,
			      pkt.gap.bytes);
		break;
	}
	return true;
}

/**
 * mydev_queue_put_gap() - what was lost behind the last entry is an entry
 * @client: a member that has lost something there, and has a slot
 *
 * Most have not, and clearing the stack for a gap costs more than to look: the
 * caller does.
 */
static void mydev_queue_put_gap(struct mydev_client *client)
{
	struct mydev_packet gap = mydev_gap_entry(&client->tail_gap);

	mydev_queue_put(client, &gap, NULL, 0);
	client->tail_gap.packets = 0;
}

/**
 * mydev_queue_return_gap() - what was lost before the first entry is an entry
 * @client: a member
 *
 * For ring mode, in which the program sees entries and nothing else. It takes
 * the place of an entry that has just left.
 */
void mydev_queue_return_gap(struct mydev_client *client)
{
	struct __kfifo *fifo = &client->queue.fifo.kfifo;

	if (!client->gap.packets)
		return;
	/* Only on the way into ring mode nothing has left. */
	if (kfifo_is_full(&client->queue.fifo))
		mydev_queue_drop(client);
	*mydev_queue_at(client, --fifo->out) = mydev_gap_entry(&client->gap);
	client->gap.packets = 0;
}

/**
 * mydev_queue_trim() - the first entry is without its bytes that are read
 * @client: a member; nobody is reading
 *
 * In other modes the queue has them until the packet is read to its end.
 */
void mydev_queue_trim(struct mydev_client *client)
{
	struct mydev_packet *head =
		mydev_queue_at(client, client->queue.fifo.kfifo.out);

	if (!client->head_offset)
		return;
	if (head->packed)
		client->held -= client->head_offset;
	head->offset += client->head_offset;
	head->length -= client->head_offset;
	head->flags |= MYDEV_PACKET_PARTIAL;
	client->head_offset = 0;
}

/**
 * mydev_queue_settle_gap() - bring a gap that is next to read to one place
 * @client: a member
 *
 * Afterwards a gap that the reader has to be told of next is in client->gap,
 * and the first entry of the queue is none; in ring mode it is that entry.
 */
void mydev_queue_settle_gap(struct mydev_client *client)
{
	struct mydev_packet pkt;

	if (client->mode == MYDEV_MODE_RING) {
		if (client->tail_gap.packets &&
		    kfifo_is_empty(&client->queue.fifo))
			mydev_queue_put_gap(client);
		return;
	}
	while (kfifo_peek(&client->queue.fifo, &pkt) &&
	       pkt.type == MYDEV_RECORD_GAP)
		mydev_queue_drop(client);

	if (kfifo_is_empty(&client->queue.fifo) && client->tail_gap.packets) {
		mydev_gap_add(&client->gap, client->tail_gap.seq,
			      client->tail_gap.packets, client->tail_gap.bytes);
		client->tail_gap.packets = 0;
	}
}

/**
 * mydev_queue_has_gap() - is the first entry a gap, in ring mode?
 * @client: a member
 *
 * Return: true if so.
 */
bool mydev_queue_has_gap(const struct mydev_client *client)
{
	const struct __kfifo *fifo = &client->queue.fifo.kfifo;

	return client->mode == MYDEV_MODE_RING && fifo->in != fifo->out &&
	       mydev_queue_at(client, fifo->out)->type == MYDEV_RECORD_GAP;
}

/**
 * mydev_queue_room() - may a client that may drop take one more packet?
 * @client: a member that does not hold the ring
 * @depth: packets that it may have afterwards
 * @cost: of the packet
 *
 * Besides its depth, a dropping client leaves enough of the pool alone for the
 * ring to go on.
 *
 * Return: true if it may.
 */
static bool mydev_queue_room(const struct mydev_client *client,
			     unsigned int depth, u32 cost)
{
	const struct mydev_device *dev = client->dev;
	u64 limit = (u64)(dev->pool.nr - dev->rx.nr - 1) * dev->pool.size;
	unsigned int len = kfifo_len(&client->queue.fifo);

	/* In other modes the gap before the first packet is no entry. */
	if (mydev_queue_has_gap(client))
		len--;
	return len + !!client->tail_gap.packets < depth &&
	       client->held + cost <= limit;
}

/**
 * mydev_queue_make_room() - drop what has to leave for one more packet
 * @client: a member that does not hold the ring
 * @cost: of the packet
 *
 * Return: true if the packet may be queued.
 */
static bool mydev_queue_make_room(struct mydev_client *client, u32 cost)
{
	bool is_ring = client->mode == MYDEV_MODE_RING;
	unsigned int depth = client->depth;
	bool room;

	room = mydev_queue_room(client, depth, cost);
	if (!room && is_ring) {
		mydev_ring_sync(client);
		room = mydev_queue_room(client, depth, cost);
	}
	if (room || client->policy == MYDEV_POLICY_DROP_NEWEST)
		return room;
	/*
	 * A program that is at the first entry of its ring needs some time until
	 * it gives it back, and would never get there if each packet took one.
	 */
	if (is_ring)
		depth -= depth / MYDEV_RING_PORTION;
	mydev_ring_seize(client);
	/* It may have been lapped, and not be any more. */
	room = mydev_client_holds(client);
	while (!room) {
		room = mydev_queue_room(client, depth, cost);
		if (!room && !mydev_queue_drop(client))
			break;
	}
	mydev_ring_yield(client);
	return room;
}

/**
 * mydev_queue_push() - a packet for a client, as its policy wants it
 * @client: a member
 * @pkt: the packet
 * @buf: its buffer, NULL if it has no bytes
 * @cost: see mydev_packet_cost()
 *
 * Return: true if it is in the queue.
 */
static bool mydev_queue_push(struct mydev_client *client,
			     const struct mydev_packet *pkt,
			     struct mydev_buffer *buf, u32 cost)
{
	client->packets++;
	client->bytes += pkt->length;

	/* In a byte stream, nothing is nothing: read as soon as it is there. */
	if (!pkt->length && client->mode == MYDEV_MODE_STREAM) {
		client->read_packets++;
		return false;
	}

	/* Not each time: the tail is in a cache line of the program's. */
	if (client->mode == MYDEV_MODE_RING &&
	    !(client->queue.fifo.kfifo.in % MYDEV_RING_LOOK))
		mydev_ring_sync(client);
	/*
	 * There is a slot, but for a client that has changed its policy again and
	 * again with its queue full: transfers that it did not hold up still come.
	 */
	if (!client->ring_error &&
	    (mydev_client_holds(client) ||
	     mydev_queue_make_room(client, cost)) &&
	    kfifo_avail(&client->queue.fifo) >= 2) {
		if (client->tail_gap.packets)
			mydev_queue_put_gap(client);
		mydev_queue_put(client, pkt, buf, cost);
		return true;
	}

	mydev_client_lose(client, &client->tail_gap, pkt->seq, pkt->length);
	/* Gaps are told of in order, so an empty queue has its gap in front. */
	mydev_queue_settle_gap(client);
	return false;
}

/* The time of a packet, by the clock of a client. */
static u64 mydev_client_time(const struct mydev_client *client, ktime_t time)
{
	switch (client->clock) {
	case MYDEV_CLOCK_BOOTTIME:
		return ktime_to_ns(ktime_mono_to_any(time, TK_OFFS_BOOT));
	case MYDEV_CLOCK_REALTIME:
		return ktime_to_ns(ktime_mono_to_real(time));
	default:
		return ktime_to_ns(time);
	}
}

/**
 * mydev_clients_less_room() - every queue may get two entries, a gap and one more
 * @dev: the device
 */
static void mydev_clients_less_room(struct mydev_device *dev)
{
	dev->rx.room -= min(dev->rx.room, 2U);
}

/**
 * mydev_clients_deliver() - give a packet to every member
 * @dev: the device
 * @pkt: buffer, offset, length, flags and status are set; the caller holds the
 *	buffer, every queue takes a reference of its own
 */
void mydev_clients_deliver(struct mydev_device *dev, struct mydev_packet *pkt)
{
	struct mydev_client *client;
	struct mydev_buffer *buf;
	ktime_t now = ktime_get();
	u32 cost;

	pkt->type = MYDEV_RECORD_PACKET;
	buf = mydev_packet_buffer(&dev->pool, pkt);
	cost = mydev_packet_cost(&dev->pool, pkt);
	pkt->seq = dev->counters.packets++;
	dev->counters.bytes += pkt->length;
	if (!pkt->length)
		dev->counters.zero_packets++;
	trace_mydev_deliver(dev, pkt);

	mydev_clients_less_room(dev);
	list_for_each_entry(client, &dev->clients, list) {
		if (!client->member)
			continue;
		pkt->time = mydev_client_time(client, now);
		if (mydev_queue_push(client, pkt, buf, cost) ||
		    client->gap.packets || client->tail_gap.packets ||
		    client->mode == MYDEV_MODE_RING)
			mydev_client_arrived(client);
	}
}
EXPORT_SYMBOL_IF_KUNIT(mydev_clients_deliver);

/**
 * mydev_clients_event() - tell the members that get records of an event
 * @dev: the device
 * @event: MYDEV_EVENT_*
 * @status: the negative errno that goes with it
 *
 * A client whose queue is full does not get it; a dropping one loses it with
 * the packets around it.
 */
void mydev_clients_event(struct mydev_device *dev, u32 event, int status)
{
	struct mydev_packet pkt = {
		.type = MYDEV_RECORD_EVENT,
		.seq = dev->counters.packets,
		.event = event,
		.status = status,
	};
	ktime_t now = ktime_get();
	struct mydev_client *client;

	mydev_clients_less_room(dev);
	list_for_each_entry(client, &dev->clients, list) {
		if (!client->member || client->mode == MYDEV_MODE_STREAM)
			continue;
		pkt.time = mydev_client_time(client, now);
		/* For so many there is always a slot. */
		if (kfifo_len(&client->queue.fifo) >=
		    client->depth + dev->rx.nr)
			continue;
		mydev_queue_put(client, &pkt, NULL, 0);
		mydev_client_arrived(client);
	}
}

/**
 * mydev_client_room() - what a client that holds the ring can still take
 * @client: the client
 *
 * Return: packets.
 */
unsigned int mydev_client_room(const struct mydev_client *client)
{
	unsigned int limit = client->depth + client->dev->rx.nr;
	unsigned int len = kfifo_len(&client->queue.fifo);

	return len < limit ? limit - len : 0;
}

/**
 * mydev_clients_room() - how many transfers may be in flight
 * @dev: the device
 *
 * Return: what every client that holds the ring can still take, so that
 * whatever arrives finds a slot.
 */
unsigned int mydev_clients_room(struct mydev_device *dev)
{
	unsigned int room = UINT_MAX;
	struct mydev_client *client;

	list_for_each_entry(client, &dev->clients, list)
		if (mydev_client_holds(client))
			room = min(room, mydev_client_room(client));
	return room;
}

/* The first entry that would not just become a part of the gap before it. */
static const struct mydev_packet *
mydev_queue_first(const struct mydev_client *client)
{
	const struct __kfifo *fifo = &client->queue.fifo.kfifo;
	const struct mydev_packet *pkt;
	unsigned int i;

	for (i = fifo->out; i != fifo->in; i++) {
		pkt = mydev_queue_at(client, i);
		if (pkt->type != MYDEV_RECORD_GAP)
			return pkt;
	}
	return NULL;
}

/* Would the first of a client's entries free a buffer that is needed? */
static bool mydev_queue_in_the_way(const struct mydev_client *client, u64 limit,
				   u64 oldest, const struct mydev_buffer *buf)
{
	const struct mydev_packet *first = mydev_queue_first(client);

	if (!first || first->seq >= limit)
		return false;
	return first->seq == oldest ||
	       (buf && mydev_packet_buffer(&client->dev->pool, first) == buf);
}

/**
 * mydev_client_oldest() - the first packet or gap that a client has not read
 * @client: any client
 *
 * Return: its sequence number, U64_MAX for none.
 */
u64 mydev_client_oldest(struct mydev_client *client)
{
	struct __kfifo *fifo = &client->queue.fifo.kfifo;

	if (fifo->in == fifo->out)
		return U64_MAX;
	return mydev_queue_at(client, fifo->out)->seq;
}

/**
 * mydev_clients_reclaim() - get a buffer back from those who may drop
 * @dev: the device; its pool is dry
 *
 * The oldest packets of all dropping clients go until a buffer is free.
 * Packets that a holder still waits for as well are left alone: taking them
 * would free nothing.
 *
 * Return: true if there is a free buffer now.
 */
bool mydev_clients_reclaim(struct mydev_device *dev)
{
	/* The buffer that small packets go into may be all that is left. */
	mydev_pool_seal(&dev->pool);

	while (!dev->pool.nr_free) {
		u64 oldest = U64_MAX, limit = U64_MAX;
		struct mydev_buffer *buf = NULL;
		const struct mydev_packet *first;
		struct mydev_client *client;

		list_for_each_entry(client, &dev->clients, list) {
			first = mydev_queue_first(client);
			if (!first)
				continue;
			if (mydev_client_holds(client)) {
				limit = min(limit, first->seq);
			} else if (first->seq < oldest) {
				oldest = first->seq;
				buf = mydev_packet_buffer(&dev->pool, first);
			}
		}
		if (oldest >= limit)
			return false;

		/* One packet out of a packed buffer would free nothing. */
		list_for_each_entry(client, &dev->clients, list) {
			if (mydev_client_holds(client) ||
			    !mydev_queue_in_the_way(client, limit, oldest, buf))
				continue;
			mydev_ring_seize(client);
			while (!mydev_client_holds(client) &&
			       mydev_queue_in_the_way(client, limit, oldest,
						      buf))
				mydev_queue_drop(client);
			mydev_ring_yield(client);
			mydev_client_arrived(client);
		}
	}
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_clients_reclaim);

/**
 * mydev_clients_waiting() - does somebody want data, and has none?
 * @dev: the device
 *
 * Return: true if so.
 */
bool mydev_clients_waiting(struct mydev_device *dev)
{
	struct mydev_client *client;

	if (dev->exchange)
		return true;
	list_for_each_entry(client, &dev->clients, list) {
		if (client->demanded && kfifo_is_empty(&client->queue.fifo))
			return true;
	}
	return false;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_clients_waiting);

/**
 * mydev_clients_lap() - take the stream away from who holds it up
 * @dev: the device; its ring is stopped, and somebody waits
 *
 * Of the holders that are in the way, the one with the oldest unread packet
 * loses its queue to one gap. Where one is not enough, the next time takes the
 * next one.
 */
void mydev_clients_lap(struct mydev_device *dev)
{
	/* Either a queue is full, or the pool is dry. */
	bool full = !mydev_clients_room(dev);
	struct mydev_client *client, *victim = NULL;
	u64 oldest = U64_MAX;

	list_for_each_entry(client, &dev->clients, list) {
		if (!mydev_client_holds(client) ||
		    (full && mydev_client_room(client)))
			continue;
		if (mydev_client_oldest(client) < oldest) {
			oldest = mydev_client_oldest(client);
			victim = client;
		}
	}
	if (!victim)
		return;

	mydev_ring_seize(victim);
	victim->lapped = true;
	while (mydev_queue_drop(victim))
		;
	mydev_ring_yield(victim);
	mydev_queue_settle_gap(victim);
	mydev_client_arrived(victim);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_clients_lap);
