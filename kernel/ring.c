// SPDX-License-Identifier: GPL-2.0-only
/*
 * A client in ring mode takes the entries of its queue by itself: the memory of
 * the queue is mapped, and the program says by the tail of struct mydev_ring how
 * far it has got. See there for its side of the protocol.
 *
 * The queue stays what it is in other modes, with the same rules for what goes
 * in and what has to leave. To it come
 *
 *   sync     look at the tail, and take out what the program has given back:
 *	      at every eighth delivery, and where room or memory is short and half
 *	      of the transfers are idle for that;
 *   seize    before entries are taken out at the front by us: from then on the
 *	      program's exchanges fail, as the turn is another;
 *   yield    afterwards: what was taken away is a gap at the front, and the turn
 *	      is even again;
 *   publish  a new entry is complete.
 *
 * Barriers. The release of @head in publish pairs with the acquire of the
 * program's step 2: who sees the index sees the entry. The program's releasing
 * exchange pairs with the acquire of the tail in sync and with the exchange in
 * seize: it has read the packet before its buffer is used again. The release of
 * the tail in yield pairs with the read of the tail in step 1, and the program's
 * fence in step 3 keeps the copy of an entry before the second look at the tail,
 * which seize changes before anything is overwritten. The full barrier in
 * mydev_rings_tell() pairs with the one between the exchange and the look at the
 * flags: either the program sees that it is to call, or we see its tail.
 *
 * The tail and the rest of its page are all that the program can write. We read
 * nothing else of the page, and of the tail nothing that is not checked.
 *
 * Everything here runs under rx_lock, unless it says otherwise.
 */
#include <linux/atomic.h>
#include <linux/mm.h>

#include "mydev.h"

/* The turn is the upper half of the tail; odd while the ring is seized. */
#define MYDEV_RING_TURN BIT_ULL(32)

static u64 mydev_ring_tail(const struct mydev_client *client)
{
	return client->ring_turn * MYDEV_RING_TURN |
	       client->queue.fifo.kfifo.out;
}

/**
 * mydev_ring_tell() - tell a program what it cannot see by its entries
 * @client: in ring mode
 * @oldest: the ring has stopped, and the holders that are furthest behind are at
 *	the packet of this number; U64_MAX: it has not
 *
 * Return: true if the program is told that it is to call, and was not before.
 */
static bool mydev_ring_tell(struct mydev_client *client, u64 oldest)
{
	struct mydev_ring *ring = client->ring;
	u32 before = client->ring_flags, flags = 0;

	/* No memory comes free before all of these have given something back. */
	if (oldest != U64_MAX && mydev_client_holds(client) &&
	    (mydev_client_oldest(client) == oldest ||
	     !mydev_client_room(client)))
		flags |= MYDEV_RING_NEED_WAKEUP;
	if (mydev_client_end(client) != -EAGAIN)
		flags |= MYDEV_RING_ENDED;
	client->ring_flags = flags;
	if (flags != before) {
		/* Pairs with an acquiring look at them: the last entry is there. */
		smp_store_release(&ring->flags, flags);
	}
	return flags & ~before & MYDEV_RING_NEED_WAKEUP;
}

/**
 * mydev_ring_take() - take out what the program has given back
 * @client: in ring mode, and it works
 * @tail: as the program has left it
 * @most: entries to take out at most
 *
 * Return: true if @tail was good, false if the ring does not work any more.
 */
static bool mydev_ring_take(struct mydev_client *client, u64 tail,
			    unsigned int most)
{
	u32 given = (u32)tail - client->queue.fifo.kfifo.out;

	if (tail >> 32 != client->ring_turn ||
	    given > kfifo_len(&client->queue.fifo)) {
		client->ring_error = -EPROTO;
		mydev_ring_tell(client, U64_MAX);
		mydev_client_arrived(client);
		return false;
	}
	if (!given)
		return true;

	mydev_queue_read(client, min(given, most));
	mydev_client_unlap(client);
	mydev_client_left(client);
	return true;
}

/**
 * mydev_ring_sync() - see how far the program has got
 * @client: any client; in another mode the call does nothing
 *
 * No more entries are taken out at once than are a short time with interrupts
 * off; what is left makes dev->rings_behind true.
 */
void mydev_ring_sync(struct mydev_client *client)
{
	u64 tail;

	if (!mydev_ring_works(client))
		return;
	/* Pairs with the program's exchange: it has read what it gives back. */
	tail = smp_load_acquire(&client->ring->tail);
	if (tail == mydev_ring_tail(client))
		return;
	if (mydev_ring_take(client, tail, MYDEV_QUEUE_BATCH) &&
	    (u32)tail != client->queue.fifo.kfifo.out)
		client->dev->rings_behind = true;
}

/**
 * mydev_rings_sync() - see how far all programs have got
 * @dev: the device
 */
void mydev_rings_sync(struct mydev_device *dev)
{
	struct mydev_client *client;

	dev->rings_behind = false;
	list_for_each_entry(client, &dev->clients, list)
		mydev_ring_sync(client);
}

/**
 * mydev_ring_seize() - keep the program from giving entries back
 * @client: any client; in another mode the call does nothing
 *
 * Entries that were given back before are taken out: a client that was lapped
 * may be none any more.
 */
void mydev_ring_seize(struct mydev_client *client)
{
	u64 tail;

	if (!mydev_ring_works(client))
		return;
	tail = READ_ONCE(client->ring->tail);
	/*
	 * Each time that the program is faster it has given back something, or
	 * it breaks its ring: this ends.
	 */
	do {
		if (!mydev_ring_take(client, tail, UINT_MAX))
			return;
	} while (!try_cmpxchg(&client->ring->tail, &tail,
			      tail + MYDEV_RING_TURN));
	client->ring_turn++;
}

/**
 * mydev_ring_yield() - the program may go on
 * @client: any client, after mydev_ring_seize()
 */
void mydev_ring_yield(struct mydev_client *client)
{
	if (!mydev_ring_works(client))
		return;
	mydev_queue_return_gap(client);
	client->ring_turn++;
	/* Pairs with the program's step 1: the gap is there. */
	smp_store_release(&client->ring->tail, mydev_ring_tail(client));
}

/**
 * mydev_rings_tell() - tell all programs that the ring stopped, goes on or ends
 * @dev: the device
 *
 * Return: true if the caller has to look at the tails once more: a program that
 * is to call now may have moved its own before it could know.
 */
bool mydev_rings_tell(struct mydev_device *dev)
{
	const struct mydev_rx *rx = &dev->rx;
	struct mydev_client *client;
	u64 oldest = U64_MAX;
	bool again = false;

	if (!dev->nr_rings)
		return false;
	if (rx->state == MYDEV_STATE_RUNNING && !rx->in_flight) {
		list_for_each_entry(client, &dev->clients, list)
			if (mydev_client_holds(client))
				oldest = min(oldest,
					     mydev_client_oldest(client));
	}
	list_for_each_entry(client, &dev->clients, list)
		if (client->mode == MYDEV_MODE_RING)
			again |= mydev_ring_tell(client, oldest);
	/* Pairs with the program's barrier between tail and flags, step 5. */
	smp_mb();
	return again;
}

/**
 * mydev_ring_alloc() - memory for what the program writes
 * @client: a member
 *
 * Context: process context, rx_mutex held, without rx_lock.
 * Return: 0 or -ENOMEM.
 */
int mydev_ring_alloc(struct mydev_client *client)
{
	static_assert(sizeof(*client->ring) <= PAGE_SIZE);

	if (!client->ring)
		client->ring = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	return client->ring ? 0 : -ENOMEM;
}

/**
 * mydev_ring_free() - give it back
 * @client: nobody has it mapped
 *
 * Context: process context, without rx_lock.
 */
void mydev_ring_free(struct mydev_client *client)
{
	free_page((unsigned long)client->ring);
}

/**
 * mydev_ring_begin() - what is queued, and what will be, is for the program
 * @client: a member whose mode was changed to ring mode, or its queue exchanged;
 *	it has a ring, and no read() is under way
 */
void mydev_ring_begin(struct mydev_client *client)
{
	client->dev->nr_rings++;
	client->ring_error = 0;
	/*
	 * The page may be mapped since an earlier time: as in a seize, no exchange
	 * succeeds until everything is there.
	 */
	client->ring_turn |= 1;
	xchg(&client->ring->tail, mydev_ring_tail(client));
	mydev_queue_trim(client);
	mydev_queue_settle_gap(client);
	mydev_ring_publish(client);
	client->ring_flags = 0;
	WRITE_ONCE(client->ring->flags, 0);
	mydev_ring_yield(client);
	mydev_rings_tell(client->dev);
}

/**
 * mydev_ring_end() - the program gets no more entries, nor can it give any back
 * @client: in ring mode, which it leaves
 */
void mydev_ring_end(struct mydev_client *client)
{
	mydev_ring_seize(client);
	WRITE_ONCE(client->mode, MYDEV_MODE_STREAM);
	client->ring_error = 0;
	client->dev->nr_rings--;
	WRITE_ONCE(client->ring->flags, MYDEV_RING_ENDED);
	mydev_queue_settle_gap(client);
	/* What is left is no longer its own to take. */
	client->ring_turn = (client->ring_turn | 1) + 1;
	/* Pairs with the program's step 1: it sees the flag. */
	smp_store_release(&client->ring->tail,
			  client->ring_turn * MYDEV_RING_TURN |
				  client->queue.fifo.kfifo.in);
}

/**
 * mydev_rings_catch_up() - take out all that programs have given back
 * @dev: the device
 *
 * Context: any in which rx_lock may be taken, without it.
 */
static void mydev_rings_catch_up(struct mydev_device *dev)
{
	unsigned long flags;
	bool behind;

	do {
		spin_lock_irqsave(&dev->rx_lock, flags);
		mydev_rings_sync(dev);
		behind = dev->rings_behind;
		spin_unlock_irqrestore(&dev->rx_lock, flags);
	} while (behind);
}

/**
 * mydev_ring_wake() - look at the tail now, and set a stopped ring going again
 * @client: any client
 *
 * Context: any in which rx_lock may be taken, without it.
 * Return: 0 if there are entries or more may come; else why none will, or
 * -EINVAL in another mode.
 */
int mydev_ring_wake(struct mydev_client *client)
{
	struct mydev_device *dev = client->dev;
	unsigned long flags;
	bool behind, hungry;
	int ret;

	spin_lock_irqsave(&dev->rx_lock, flags);
	if (client->mode != MYDEV_MODE_RING) {
		spin_unlock_irqrestore(&dev->rx_lock, flags);
		return client->revoked ? -ESTALE : -EINVAL;
	}
	mydev_ring_sync(client);
	ret = mydev_client_end(client);
	if (ret == -EAGAIN ||
	    (!kfifo_is_empty(&client->queue.fifo) && !client->ring_error))
		ret = 0;
	behind = dev->rings_behind;
	hungry = mydev_rx_hungry(dev);
	spin_unlock_irqrestore(&dev->rx_lock, flags);

	if (behind)
		mydev_rings_catch_up(dev);
	if (hungry)
		mydev_rx_refill(dev);
	return ret;
}
