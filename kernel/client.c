// SPDX-License-Identifier: GPL-2.0-only
/*
 * One open file: its queue of packets, what it is owed and what it lost.
 *
 * The queue holds descriptors; the bytes stay in the buffer that the transfer
 * filled, and read() copies them from there once. Ten clients are ten
 * references to one buffer.
 *
 * While a reader copies, rx_lock is not held, so packets stay in the queue
 * until their bytes are at the caller's and are merely pinned meanwhile: a
 * fault in the middle loses nothing, and a pool that runs dry can take a
 * packet away from a client that holds up others even then.
 */
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "mydev.h"

/* Packets that a reader pins at once; bounds the stack that read() needs. */
#define MYDEV_READ_BATCH 16

#define MYDEV_POLL_IN	(EPOLLIN | EPOLLRDNORM)
#define MYDEV_POLL_GONE	(EPOLLHUP | EPOLLERR)

/**
 * mydev_client_open() - make the client object of an open file
 * @dev: the device, referenced by the caller's file for as long as it lives;
 *	the client takes a reference of its own
 * @member: it will read
 *
 * Context: process context; takes rx_mutex.
 * Return: the client, or an ERR_PTR: -ENODEV if the device is gone, -EBUSY if
 * it has all the clients that it can have, -ENOMEM.
 */
struct mydev_client *mydev_client_open(struct mydev_device *dev, bool member)
{
	struct mydev_client *client;
	int ret;

	client = kzalloc(sizeof(*client), GFP_KERNEL_ACCOUNT);
	if (!client)
		return ERR_PTR(-ENOMEM);
	client->dev = dev;
	client->member = member && dev->info.ep_in;
	mutex_init(&client->read_mutex);
	init_waitqueue_head(&client->wait);

	if (client->member) {
		ret = kfifo_alloc(&client->queue, dev->info.queue_depth,
				  GFP_KERNEL_ACCOUNT);
		if (ret)
			goto err_free;
	}

	mutex_lock(&dev->rx_mutex);
	if (dev->nr_clients >= MYDEV_MAX_CLIENTS) {
		ret = -EBUSY;
		goto err_unlock;
	}
	if (client->member) {
		ret = mydev_rx_add_member(dev);
		if (ret)
			goto err_unlock;
	}

	spin_lock_irq(&dev->rx_lock);
	if (dev->gone) {
		spin_unlock_irq(&dev->rx_lock);
		ret = -ENODEV;
		goto err_remove;
	}
	list_add_tail(&client->list, &dev->clients);
	dev->nr_clients++;
	spin_unlock_irq(&dev->rx_lock);
	mutex_unlock(&dev->rx_mutex);

	get_device(&dev->dev);
	return client;

err_remove:
	if (client->member)
		mydev_rx_remove_member(dev);
err_unlock:
	mutex_unlock(&dev->rx_mutex);
	kfifo_free(&client->queue);
err_free:
	kfree(client);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_client_open);

/**
 * mydev_client_close() - the last descriptor of a file is closed
 * @client: freed here; everything that it held is given back
 *
 * Context: process context; takes rx_mutex.
 */
void mydev_client_close(struct mydev_client *client)
{
	struct mydev_device *dev = client->dev;
	struct mydev_packet pkt;

	mutex_lock(&dev->rx_mutex);
	spin_lock_irq(&dev->rx_lock);
	list_del(&client->list);
	dev->nr_clients--;
	while (client->member && kfifo_get(&client->queue, &pkt))
		mydev_buffer_put(&dev->pool, pkt.buf);
	if (client->demanded)
		mydev_rx_unwant(dev);
	spin_unlock_irq(&dev->rx_lock);

	if (client->member) {
		mydev_rx_settle(dev);
		mydev_rx_remove_member(dev);
	}
	mutex_unlock(&dev->rx_mutex);

	kfifo_free(&client->queue);
	put_device(&dev->dev);
	kfree(client);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_client_close);

/**
 * mydev_client_demand() - the client asks for data
 * @client: a member, or the call does nothing
 *
 * The first demand of any member starts the ring, which goes on until the last
 * member that asked is closed. From its first demand on, the client holds the
 * ring when it falls behind.
 *
 * Context: any in which rx_lock may be taken; does not sleep.
 */
void mydev_client_demand(struct mydev_client *client)
{
	struct mydev_device *dev = client->dev;
	unsigned long flags;

	if (likely(READ_ONCE(client->demanded)) || !client->member)
		return;

	spin_lock_irqsave(&dev->rx_lock, flags);
	if (!client->demanded) {
		WRITE_ONCE(client->demanded, true);
		mydev_rx_want(dev);
	}
	spin_unlock_irqrestore(&dev->rx_lock, flags);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_client_demand);

/**
 * mydev_client_end() - why an empty queue will stay empty
 * @dev: the device
 *
 * Context: rx_lock held.
 * Return: -EAGAIN if it will not, -ENODEV after an unplug, -EIO after the
 * device failed for good.
 */
static int mydev_client_end(struct mydev_device *dev)
{
	switch (dev->rx.state) {
	case MYDEV_STATE_GONE:
		return -ENODEV;
	case MYDEV_STATE_FAILED:
		return -EIO;
	default:
		return -EAGAIN;
	}
}

/**
 * mydev_client_ready() - would a read return at once?
 * @client: a member
 *
 * Context: process context, takes rx_lock: a waker changes the queue and looks
 * for waiters under that lock, so no wake-up can be missed.
 */
static bool mydev_client_ready(struct mydev_client *client)
{
	struct mydev_device *dev = client->dev;
	bool ready;

	spin_lock_irq(&dev->rx_lock);
	ready = !kfifo_is_empty(&client->queue) || client->gap.packets ||
		mydev_client_end(dev) != -EAGAIN;
	spin_unlock_irq(&dev->rx_lock);
	return ready;
}

/**
 * mydev_client_pin() - look at the packets that the next copy needs
 * @client: a member, its read_mutex held
 * @batch: receives them, each with a reference that mydev_client_unpin() drops;
 *	the first one without its bytes that are read already
 * @want: bytes that the caller can take, not 0
 * @report: whether a gap may be reported now, which ends it
 *
 * Return: number of packets, or -ENOBUFS for a gap, or what
 * mydev_client_end() says of the empty queue.
 */
static int mydev_client_pin(struct mydev_client *client,
			    struct mydev_packet *batch, size_t want,
			    bool report)
{
	struct mydev_device *dev = client->dev;
	unsigned int i, n;

	spin_lock_irq(&dev->rx_lock);
	if (client->gap.packets) {
		if (report)
			client->gap.packets = 0;
		spin_unlock_irq(&dev->rx_lock);
		return -ENOBUFS;
	}

	n = kfifo_out_peek(&client->queue, batch, MYDEV_READ_BATCH);
	if (!n) {
		int end = mydev_client_end(dev);

		spin_unlock_irq(&dev->rx_lock);
		return end;
	}

	batch[0].offset += client->head_offset;
	batch[0].length -= client->head_offset;
	for (i = 0; i < n && want; i++) {
		mydev_buffer_get(batch[i].buf);
		want -= min_t(size_t, want, batch[i].length);
	}
	spin_unlock_irq(&dev->rx_lock);
	return i;
}

/**
 * mydev_client_consume() - account for the bytes of one packet that were read
 * @client: a member
 * @pkt: a packet as mydev_client_pin() returned it
 * @bytes: how many of its bytes were read
 *
 * Context: rx_lock held.
 */
static void mydev_client_consume(struct mydev_client *client,
				 const struct mydev_packet *pkt, u32 bytes)
{
	struct mydev_packet head;
	bool whole = bytes == pkt->length;

	client->read_bytes += bytes;
	if (whole)
		client->read_packets++;

	if (kfifo_peek(&client->queue, &head) && head.seq == pkt->seq) {
		if (whole) {
			kfifo_skip(&client->queue);
			client->head_offset = 0;
			mydev_buffer_put(&client->dev->pool, pkt->buf);
		} else {
			client->head_offset += bytes;
		}
		return;
	}

	/* Taken away during the copy: what was copied is not lost after all. */
	client->lost_bytes -= bytes;
	client->gap.bytes -= bytes;
	if (whole) {
		client->lost_packets--;
		client->gap.packets--;
		client->gap.seq = pkt->seq + 1;
	}
}

/**
 * mydev_client_unpin() - drop what mydev_client_pin() returned
 * @client: a member, its read_mutex held
 * @batch: the packets
 * @n: how many
 * @copied: bytes that were read, from the first packet on
 */
static void mydev_client_unpin(struct mydev_client *client,
			       const struct mydev_packet *batch, unsigned int n,
			       size_t copied)
{
	struct mydev_device *dev = client->dev;
	unsigned int i;
	bool hungry;

	spin_lock_irq(&dev->rx_lock);
	for (i = 0; i < n; i++) {
		u32 bytes = min_t(size_t, copied, batch[i].length);

		if (bytes)
			mydev_client_consume(client, &batch[i], bytes);
		copied -= bytes;
		mydev_buffer_put(&dev->pool, batch[i].buf);
	}
	hungry = mydev_rx_hungry(dev);
	spin_unlock_irq(&dev->rx_lock);

	if (hungry)
		mydev_rx_refill(dev);
}

/**
 * mydev_client_copy() - copy what is queued, as a byte stream
 * @client: a member, its read_mutex held
 * @to: where to, not empty
 *
 * Return: bytes copied if any were, else -EFAULT, or what mydev_client_pin()
 * says. Nothing that was not copied is consumed.
 */
static ssize_t mydev_client_copy(struct mydev_client *client,
				 struct iov_iter *to)
{
	struct mydev_packet batch[MYDEV_READ_BATCH];
	ssize_t done = 0;

	while (iov_iter_count(to)) {
		size_t copied = 0, wanted = 0;
		int i, n;

		n = mydev_client_pin(client, batch, iov_iter_count(to), !done);
		if (n < 0)
			return done ?: n;

		for (i = 0; i < n && copied == wanted; i++) {
			const struct mydev_packet *pkt = &batch[i];

			wanted += min_t(size_t, pkt->length,
					iov_iter_count(to));
			copied += copy_to_iter(pkt->buf->data + pkt->offset,
					       pkt->length, to);
		}
		mydev_client_unpin(client, batch, n, copied);

		done += copied;
		if (copied < wanted)
			return done ?: -EFAULT;
	}
	return done;
}

/**
 * mydev_client_read() - read the byte stream
 * @client: the client
 * @to: where to
 * @nonblock: do not sleep, neither for data nor for another reader
 *
 * Context: process context.
 * Return: bytes read, at least one unless none were asked for; or -EAGAIN,
 * -ERESTARTSYS, -EFAULT, -ENOBUFS, -EIO, -ENODEV, -EOPNOTSUPP as the UAPI
 * header tells.
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
		ret = mydev_client_copy(client, to);
		if (ret != -EAGAIN || nonblock)
			break;
		ret = wait_event_interruptible(client->wait,
					       mydev_client_ready(client));
	} while (!ret);

	mutex_unlock(&client->read_mutex);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_client_read);

/**
 * mydev_client_poll() - the events of a client
 * @client: the client; the caller is on its wait queue already
 *
 * Context: process context; takes rx_lock only, never what a reader holds.
 */
__poll_t mydev_client_poll(struct mydev_client *client)
{
	struct mydev_device *dev = client->dev;
	__poll_t events = 0;

	if (client->member && mydev_client_ready(client))
		events |= MYDEV_POLL_IN;

	spin_lock_irq(&dev->rx_lock);
	if (dev->gone)
		events |= MYDEV_POLL_GONE;
	else if (dev->rx.state == MYDEV_STATE_FAILED)
		events |= EPOLLERR;
	spin_unlock_irq(&dev->rx_lock);
	return events;
}

/**
 * mydev_client_stats() - fill in the client's and the device's counters
 * @client: the client
 * @stats: all members but size and flags are set, of one moment
 *
 * Context: process context; takes rx_lock.
 */
void mydev_client_stats(struct mydev_client *client, struct mydev_stats *stats)
{
	struct mydev_device *dev = client->dev;

	spin_lock_irq(&dev->rx_lock);
	stats->state = dev->rx.state;
	stats->clients = dev->nr_clients;
	stats->in_flight = dev->rx.in_flight;
	stats->free_buffers = dev->pool.nr_free;
	stats->packets = dev->counters.packets;
	stats->bytes = dev->counters.bytes;
	stats->zero_packets = dev->counters.zero_packets;
	stats->errors = dev->counters.errors;
	stats->stalls = dev->counters.stalls;
	stats->ring_stops = dev->counters.ring_stops;

	stats->client_packets = client->packets;
	stats->client_bytes = client->bytes;
	stats->client_read_packets = client->read_packets;
	stats->client_read_bytes = client->read_bytes;
	stats->client_lost_packets = client->lost_packets;
	stats->client_lost_bytes = client->lost_bytes;
	stats->client_queued_packets = client->packets - client->read_packets -
				       client->lost_packets;
	stats->client_queued_bytes = client->bytes - client->read_bytes -
				     client->lost_bytes;
	spin_unlock_irq(&dev->rx_lock);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_client_stats);

/**
 * mydev_client_wake() - tell readers, pollers and receivers of SIGIO
 * @client: the client
 * @events: what happened
 * @band: the same for SIGIO, POLL_IN or POLL_HUP
 *
 * Context: rx_lock held. Whoever sleeps has put itself on the wait queue
 * before it looked at the queue under rx_lock, so an empty wait queue means
 * that nobody needs waking.
 */
static void mydev_client_wake(struct mydev_client *client, __poll_t events,
			      int band)
{
	/* Sampled under the lock that sleepers look at the queue under. */
	if (waitqueue_active(&client->wait))
		wake_up_interruptible_poll(&client->wait, events);
	kill_fasync(&client->fasync, SIGIO, band);
}

/**
 * mydev_clients_deliver() - give a packet to every member
 * @dev: the device
 * @buf: held by the caller; every queue takes a reference of its own
 * @length: bytes in @buf, may be 0
 *
 * A packet without bytes means nothing in a byte stream: it is counted, and
 * read as soon as it is there.
 *
 * Context: rx_lock held, interrupts off.
 */
void mydev_clients_deliver(struct mydev_device *dev, struct mydev_buffer *buf,
			   u32 length)
{
	struct mydev_packet pkt = {
		.seq = dev->counters.packets,
		.buf = buf,
		.length = length,
	};
	struct mydev_client *client;

	dev->counters.packets++;
	dev->counters.bytes += length;
	if (!length)
		dev->counters.zero_packets++;

	list_for_each_entry(client, &dev->clients, list) {
		if (!client->member)
			continue;
		client->packets++;
		client->bytes += length;
		if (!length) {
			client->read_packets++;
			continue;
		}
		/* A queue has room for every buffer that there is. */
		if (WARN_ON_ONCE(!kfifo_put(&client->queue, pkt))) {
			client->lost_packets++;
			client->lost_bytes += length;
			continue;
		}
		mydev_buffer_get(buf);
		mydev_client_wake(client, MYDEV_POLL_IN, POLL_IN);
	}
}
EXPORT_SYMBOL_IF_KUNIT(mydev_clients_deliver);

/**
 * mydev_client_drop_head() - take the oldest packet away from a client
 * @client: a member with a queue that is not empty
 *
 * What is left of the packet becomes part of the client's gap.
 *
 * Context: rx_lock held.
 */
static void mydev_client_drop_head(struct mydev_client *client)
{
	struct mydev_packet pkt;
	u32 left;

	if (!kfifo_get(&client->queue, &pkt))
		return;

	left = pkt.length - client->head_offset;
	client->head_offset = 0;
	if (!client->gap.packets) {
		client->gap.seq = pkt.seq;
		client->gap.bytes = 0;
	}
	client->gap.packets++;
	client->gap.bytes += left;
	client->lost_packets++;
	client->lost_bytes += left;
	mydev_buffer_put(&client->dev->pool, pkt.buf);
}

/**
 * mydev_clients_reclaim() - get a buffer back from those who must not hold one
 * @dev: the device; its pool is dry
 *
 * A member that has never asked for data holds up nobody: the oldest packets
 * of all such members go until a buffer is free. Packets that a client still
 * waits for as well are left alone: taking them would free nothing.
 *
 * Context: rx_lock held, interrupts off.
 * Return: true if there is a free buffer now.
 */
bool mydev_clients_reclaim(struct mydev_device *dev)
{
	while (!dev->pool.nr_free) {
		struct mydev_client *client;
		struct mydev_packet head;
		u64 oldest = U64_MAX, held = U64_MAX;

		list_for_each_entry(client, &dev->clients, list) {
			if (!client->member ||
			    !kfifo_peek(&client->queue, &head))
				continue;
			if (client->demanded)
				held = min(held, head.seq);
			else
				oldest = min(oldest, head.seq);
		}
		if (oldest >= held)
			return false;

		list_for_each_entry(client, &dev->clients, list) {
			if (client->member && !client->demanded &&
			    kfifo_peek(&client->queue, &head) &&
			    head.seq == oldest)
				mydev_client_drop_head(client);
		}
	}
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_clients_reclaim);

/**
 * mydev_clients_wake() - the stream has ended: tell every client
 * @dev: the device; gone or failed is set already
 *
 * Context: rx_lock held, interrupts off.
 */
void mydev_clients_wake(struct mydev_device *dev)
{
	struct mydev_client *client;
	__poll_t events = MYDEV_POLL_IN | EPOLLERR;
	int band = POLL_ERR;

	if (dev->gone) {
		events |= EPOLLHUP;
		band = POLL_HUP;
	}
	list_for_each_entry(client, &dev->clients, list)
		mydev_client_wake(client, events, band);
}
