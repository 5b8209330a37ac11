// SPDX-License-Identifier: GPL-2.0-only
/*
 * A client in ring mode takes entries out of the log by itself: it maps the
 * log, and says in a page of its own how far it has got. See struct mydev_ring
 * of the UAPI for its side.
 *
 * The kernel reads its cursor where it looks for room and where it is asked to
 * (cursor.c), and tells it where the ring waits for it (flow.c). Of what the
 * program writes, nothing is believed that could harm anybody else.
 *
 * The page comes and goes in process context; all else runs under rx_lock.
 */
#include <linux/mm.h>

#include "mydev.h"

/**
 * mydev_ring_alloc() - allocate the page that a program writes
 * @client: a subscriber
 *
 * Context: rx_mutex held.
 * Return: 0 or -ENOMEM.
 */
int mydev_ring_alloc(struct mydev_client *client)
{
	static_assert(sizeof(*client->ring.page) <= PAGE_SIZE);

	if (client->ring.page)
		return 0;
	/* Disconnect takes rx_mutex, and storage may wait for that. */
	client->ring.page = (void *)get_zeroed_page(GFP_NOIO | __GFP_ACCOUNT);
	if (!client->ring.page)
		return -ENOMEM;
	/* Seen in place of the log after a revoke: no entry there is good. */
	client->ring.page->ended.tail = S64_MAX;
	return 0;
}

/**
 * mydev_ring_free() - free the page that a program writes
 * @client: not mapped any more
 */
void mydev_ring_free(struct mydev_client *client)
{
	free_page((unsigned long)client->ring.page);
}

/* Tell the program where it is. */
static void mydev_ring_store(struct mydev_client *client)
{
	struct mydev_ring *page = client->ring.page;

	WRITE_ONCE(page->sequence, client->next.seq);
	WRITE_ONCE(page->bytes, client->next.bytes);
	WRITE_ONCE(page->read_packets, client->read_packets);
	WRITE_ONCE(page->read_bytes, client->read_bytes);
	client->ring.cursor = client->cursor;
	/* A program that sees the cursor sees the rest. */
	smp_store_release(&page->cursor, client->cursor);
}

/**
 * mydev_ring_begin() - enter ring mode, or begin anew in it
 * @client: a subscriber in ring mode; it has a page, and no read() is under way
 */
void mydev_ring_begin(struct mydev_client *client)
{
	client->ring.error = 0;
	client->ring.flags = 0;
	mydev_ring_store(client);
	WRITE_ONCE(client->ring.page->flags, 0);
	mydev_holders_tell(client->dev);
}

/**
 * mydev_ring_fetch() - take over what a program says of what it has read
 * @client: in ring mode; of what it expects next, only something between what
 *	was known before and what is at its cursor is believed
 */
void mydev_ring_fetch(struct mydev_client *client)
{
	const struct mydev_ring *page = client->ring.page;
	struct mydev_place at,
		next = { READ_ONCE(page->sequence), READ_ONCE(page->bytes) };
	struct mydev_counts counts;

	mydev_client_counts(client, &counts);
	client->read_packets = counts.read_packets;
	client->read_bytes = counts.read_bytes;
	at = mydev_place_at(client->dev, client->cursor);
	next.seq = clamp(next.seq, client->next.seq, at.seq);
	next.bytes = clamp(next.bytes, client->next.bytes,
			   max(at.bytes, client->next.bytes));
	/* Without a gap, there is none in bytes either. */
	if (next.seq == at.seq)
		next.bytes = max(at.bytes, client->next.bytes);
	client->next = next;
	/* Nor can more have been read than that. */
	client->read_packets =
		min(client->read_packets, next.seq - client->start.seq);
	client->read_bytes =
		min(client->read_bytes, next.bytes - client->start.bytes);
}

/**
 * mydev_ring_end() - leave ring mode
 * @client: in ring mode
 */
void mydev_ring_end(struct mydev_client *client)
{
	mydev_ring_fetch(client);
	WRITE_ONCE(client->mode, MYDEV_MODE_STREAM);
	client->ring.error = 0;
	client->dev->nr_rings--;
	/* Pairs with an acquire: what it finds in the log now is not its. */
	smp_store_release(&client->ring.page->flags, MYDEV_RING_ENDED);
}
