// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sending: what a write() gives is copied into transfers that belong to the
 * device, which go out in the order in which they were filled.
 *
 *   idle --fill--> queue --submit--> flying --complete--> idle
 *                    ^                  |
 *                    +-- cut short -----+
 *
 * Whoever fills has the turn (turn.c) for the whole of its message, so a
 * message is in one piece on the wire. A transfer that was cut short by a stop
 * stays in the queue, and its rest is sent when sending goes on: a pause, or
 * somebody else's error, costs no byte.
 *
 * An error dooms all that its writer has queued, as that is behind the hole, and
 * is told to the writer once, by whatever it calls next. Others go on.
 */
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "mydev.h"

/* How long what a closed client has left may wait for the device. */
#define MYDEV_TX_PATIENCE (5 * HZ)

/**
 * mydev_tx_init() - a device that has sent nothing
 * @dev: the device
 */
void mydev_tx_init(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;

	spin_lock_init(&tx->lock);
	mutex_init(&tx->mutex);
	INIT_LIST_HEAD(&tx->idle);
	INIT_LIST_HEAD(&tx->queue);
	init_waitqueue_head(&tx->wait);
	init_waitqueue_head(&tx->quiet);
	INIT_DELAYED_WORK(&tx->work, mydev_tx_work);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_tx_init);

/**
 * mydev_tx_free() - give the memory of sending back
 * @dev: the device; nothing is queued
 */
void mydev_tx_free(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;
	unsigned int i;

	for (i = 0; tx->sends && i < MYDEV_SENDS; i++) {
		usb_free_urb(tx->sends[i].urb);
		kfree(tx->sends[i].data);
	}
	kfree(tx->sends);
	tx->sends = NULL;
	INIT_LIST_HEAD(&tx->idle);
}

/**
 * mydev_tx_target() - aim at the endpoint in use
 * @dev: the device; nothing is flying
 */
void mydev_tx_target(struct mydev_device *dev)
{
	unsigned int i;

	if (!dev->tx.sends || !dev->info.ep_out)
		return;
	for (i = 0; i < MYDEV_SENDS; i++)
		dev->tx.sends[i].urb->pipe =
			usb_sndbulkpipe(dev->udev, dev->info.ep_out);
}

/**
 * mydev_tx_alloc() - see to it that there is memory to send with
 * @dev: the device
 *
 * It is got when somebody opens for writing, so that no want of it can turn up
 * later, and kept: what was written may be on its way when the last one closes.
 *
 * Context: process context; takes tx.mutex.
 * Return: 0 or -ENOMEM.
 */
int mydev_tx_alloc(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;
	struct mydev_send *sends;
	unsigned int i;
	int ret = 0;

	mutex_lock(&tx->mutex);
	if (tx->sends)
		goto out;
	ret = -ENOMEM;
	/* A resume takes the mutex, and storage may wait for that. */
	sends = kcalloc(MYDEV_SENDS, sizeof(*sends), GFP_NOIO);
	if (!sends)
		goto out;
	tx->sends = sends;

	for (i = 0; i < MYDEV_SENDS; i++) {
		sends[i].dev = dev;
		sends[i].urb = usb_alloc_urb(0, GFP_NOIO);
		sends[i].data = kmalloc(MYDEV_SEND_SIZE, GFP_NOIO);
		if (!sends[i].urb || !sends[i].data) {
			mydev_tx_free(dev);
			goto out;
		}
		usb_fill_bulk_urb(sends[i].urb, dev->udev, 0, sends[i].data, 0,
				  mydev_tx_complete, &sends[i]);
		if (tx->poisoned)
			usb_poison_urb(sends[i].urb);
	}
	mydev_tx_target(dev);

	spin_lock_irq(&tx->lock);
	for (i = 0; i < MYDEV_SENDS; i++)
		list_add_tail(&sends[i].list, &tx->idle);
	spin_unlock_irq(&tx->lock);
	ret = 0;
out:
	mutex_unlock(&tx->mutex);
	return ret;
}

/* Context: tx.lock held. Whoever sleeps looks under it: none is missed. */
static void mydev_tx_wake(wait_queue_head_t *wait, __poll_t events)
{
	if (waitqueue_active(wait))
		wake_up_interruptible_poll(wait,
					   EPOLLOUT | EPOLLWRNORM | events);
}

/* Context: tx.lock held. The client's next call has an error to tell. */
static void mydev_tx_set_error(struct mydev_client *client, int error)
{
	if (client->send_error)
		return;
	client->send_error = error;
	mydev_tx_wake(&client->wait, EPOLLERR);
}

/**
 * mydev_tx_retire() - a transfer is done with, sent or not
 * @send: not flying
 *
 * Context: tx.lock held.
 */
static void mydev_tx_retire(struct mydev_send *send)
{
	struct mydev_tx *tx = &send->dev->tx;
	struct mydev_client *client = send->client;

	/* The one whose memory is warm is the next to be filled. */
	list_move(&send->list, &tx->idle);
	send->client = NULL;
	if (client) {
		client->failed_bytes += send->length - send->done;
		/* Its fsync(). */
		if (!--client->sends && client != tx->turn)
			mydev_tx_wake(&client->wait, 0);
	}
	/* Whose message waits for room, or whoever wants to begin one. */
	mydev_tx_wake(tx->turn ? &tx->turn->wait : &tx->wait, 0);
}

/**
 * mydev_tx_doom() - nothing that a client has queued will be sent
 * @dev: the device
 * @owner: id of the client, 0 for all of them
 *
 * Context: tx.lock held. The work takes them out of the queue.
 */
static void mydev_tx_doom(struct mydev_device *dev, u32 owner)
{
	struct mydev_tx *tx = &dev->tx;
	struct mydev_send *send;
	bool doomed = false;

	list_for_each_entry(send, &tx->queue, list) {
		if (owner && send->owner != owner)
			continue;
		send->doomed = true;
		doomed = true;
	}
	if (!doomed || tx->state == MYDEV_TX_GONE)
		return;
	tx->state = MYDEV_TX_STOPPED;
	mod_delayed_work(system_wq, &tx->work, 0);
}

/**
 * mydev_tx_fail() - a transfer ended with an error
 * @send: in the queue, not flying
 * @error: a negative errno of the bus
 *
 * Context: tx.lock held.
 */
static void mydev_tx_fail(struct mydev_send *send, int error)
{
	struct mydev_device *dev = send->dev;
	struct mydev_tx *tx = &dev->tx;

	tx->errors++;
	if (error == -EPIPE)
		tx->halted = true;
	if (send->doomed)
		return;

	if (!send->client)
		dev_warn_ratelimited(
			&dev->dev,
			"data of a program that has closed was not taken (%d)\n",
			error);
	else
		mydev_tx_set_error(send->client,
				   error == -EPIPE ? -EPIPE : -EIO);
	mydev_tx_doom(dev, send->owner);
}

/**
 * mydev_tx_land() - a transfer is back, or was not taken
 * @send: flying
 * @status: of the URB, or why it was not submitted
 *
 * Context: tx.lock held.
 * Return: true if the device has the last byte of a question.
 */
static bool mydev_tx_land(struct mydev_send *send, int status)
{
	struct mydev_device *dev = send->dev;
	struct mydev_tx *tx = &dev->tx;
	bool asks = false;

	send->flying = false;
	if (!--tx->flying && waitqueue_active(&tx->quiet))
		wake_up(&tx->quiet);

	switch (status) {
	case 0:
		if (send->done < send->length) {
			mydev_tx_fail(send, -EIO);
			break;
		}
		tx->transfers++;
		asks = send->asks;
		mydev_tx_retire(send);
		break;
	case -EPERM: /* a stop, or the device is on its way out */
	case -ENOENT:
	case -ECONNRESET:
	case -ESHUTDOWN:
	case -ENODEV:
		break;
	default:
		mydev_tx_fail(send, status);
	}
	return asks;
}

/* Context: tx.lock held. Nothing is sent, nor is about to be. */
static bool mydev_tx_rests(struct mydev_tx *tx)
{
	if (!tx->awake || tx->turn || !list_empty(&tx->queue))
		return false;
	tx->awake = false;
	return true;
}

/**
 * mydev_tx_complete() - a transmit transfer has ended
 * @urb: its URB
 *
 * Context: usually interrupt or softirq; takes tx.lock.
 */
void mydev_tx_complete(struct urb *urb)
{
	struct mydev_send *send = urb->context;
	struct mydev_device *dev = send->dev;
	struct mydev_tx *tx = &dev->tx;
	unsigned long flags;
	bool asks, rests;

	spin_lock_irqsave(&tx->lock, flags);
	send->done += urb->actual_length;
	tx->bytes += urb->actual_length;
	if (send->client)
		send->client->sent_bytes += urb->actual_length;
	if (urb->actual_length)
		tx->progress = jiffies;
	asks = mydev_tx_land(send, urb->status);
	rests = mydev_tx_rests(tx);
	spin_unlock_irqrestore(&tx->lock, flags);

	if (asks)
		mydev_exchange_ask(dev);
	if (rests)
		usb_autopm_put_interface_async(dev->intf);
}

/**
 * mydev_tx_submit() - give a transfer to the host controller
 * @send: counted as flying; nobody else submits at this moment
 *
 * Context: process context.
 */
static void mydev_tx_submit(struct mydev_send *send)
{
	struct mydev_tx *tx = &send->dev->tx;
	u32 rest = send->length - send->done;
	int ret;

	send->urb->transfer_buffer = send->data + send->done;
	send->urb->transfer_buffer_length = rest;
	/* A rest of nothing is the packet without bytes itself. */
	send->urb->transfer_flags = send->zero && rest ? URB_ZERO_PACKET : 0;
	ret = usb_submit_urb(send->urb, GFP_NOIO);
	if (likely(!ret))
		return;

	spin_lock_irq(&tx->lock);
	mydev_tx_land(send, ret);
	spin_unlock_irq(&tx->lock);
}

/**
 * mydev_tx_resume_queue() - submit what is queued and not flying, in order
 * @dev: the device; sending is stopped, and not paused
 *
 * Context: tx.mutex held. Who has the turn only queues until we are through.
 */
void mydev_tx_resume_queue(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;
	struct mydev_send *send, *next;

	lockdep_assert_held(&tx->mutex);
	for (;;) {
		next = NULL;
		spin_lock_irq(&tx->lock);
		list_for_each_entry(send, &tx->queue, list) {
			/* A new error, or a client that was killed. */
			if (send->doomed) {
				mod_delayed_work(system_wq, &tx->work, 0);
				spin_unlock_irq(&tx->lock);
				return;
			}
			if (!send->flying) {
				next = send;
				break;
			}
		}
		if (!next) {
			tx->state = MYDEV_TX_RUNNING;
			spin_unlock_irq(&tx->lock);
			return;
		}
		next->flying = true;
		tx->flying++;
		spin_unlock_irq(&tx->lock);
		mydev_tx_submit(next);
	}
}

/**
 * mydev_tx_fill() - get a transfer to fill
 * @client: has the turn
 * @send: where it goes
 *
 * Return: 0, -EAGAIN, -ENODEV, -ESTALE, or -EPIPE or -EIO where what the client
 * has queued before was not taken.
 */
static int mydev_tx_fill(struct mydev_client *client, struct mydev_send **send)
{
	struct mydev_tx *tx = &client->dev->tx;
	int ret;

	spin_lock_irq(&tx->lock);
	if (tx->state == MYDEV_TX_GONE)
		ret = -ENODEV;
	else if (READ_ONCE(client->revoked))
		ret = -ESTALE;
	else if (client->send_error)
		ret = client->send_error;
	else
		ret = list_empty(&tx->idle) ? -EAGAIN : 0;
	if (!ret) {
		*send = list_first_entry(&tx->idle, struct mydev_send, list);
		list_del_init(&(*send)->list);
	}
	spin_unlock_irq(&tx->lock);
	return ret;
}

/* Nobody but the caller, who has the turn, takes from the idle ones. */
static int mydev_tx_wait_fill(struct mydev_client *client, bool nonblock,
			      struct mydev_send **send)
{
	int ret, error;

	ret = mydev_tx_fill(client, send);
	if (ret != -EAGAIN || nonblock)
		return ret;
	error = wait_event_interruptible(
		client->wait, (ret = mydev_tx_fill(client, send)) != -EAGAIN);
	return error ?: ret;
}

/**
 * mydev_tx_queue() - have a transfer sent
 * @client: has the turn
 * @send: filled
 *
 * Return: false if the client may not send any more, as mydev_tx_fill() tells;
 * the transfer is idle again.
 */
static bool mydev_tx_queue(struct mydev_client *client, struct mydev_send *send)
{
	struct mydev_tx *tx = &client->dev->tx;
	bool submit, good;

	spin_lock_irq(&tx->lock);
	good = tx->state != MYDEV_TX_GONE && !client->send_error &&
	       !READ_ONCE(client->revoked);
	submit = good && tx->state == MYDEV_TX_RUNNING;
	if (good) {
		if (list_empty(&tx->queue))
			tx->progress = jiffies;
		list_add_tail(&send->list, &tx->queue);
		send->client = client;
		send->owner = client->id;
		client->sends++;
		client->written_bytes += send->length;
	} else {
		list_add(&send->list, &tx->idle);
	}
	if (submit) {
		send->flying = true;
		tx->flying++;
	}
	spin_unlock_irq(&tx->lock);

	if (submit)
		mydev_tx_submit(send);
	return good;
}

static void mydev_tx_put_back(struct mydev_device *dev, struct mydev_send *send)
{
	spin_lock_irq(&dev->tx.lock);
	list_add(&send->list, &dev->tx.idle);
	spin_unlock_irq(&dev->tx.lock);
}

/**
 * mydev_tx_wake_up() - the device must not suspend while it is sent to
 * @dev: the device; the caller has the turn
 *
 * Return: 0, -ENODEV, or -EIO if it cannot be woken.
 */
static int mydev_tx_wake_up(struct mydev_device *dev)
{
	int ret;

	/* Only who has the turn sets it, and only without a turn it is cleared. */
	if (READ_ONCE(dev->tx.awake))
		return 0;
	ret = mydev_awaken(dev);
	if (ret)
		return ret;
	spin_lock_irq(&dev->tx.lock);
	WRITE_ONCE(dev->tx.awake, true);
	spin_unlock_irq(&dev->tx.lock);
	return 0;
}

/**
 * mydev_tx_rest() - sending may be over: let the device sleep if so
 * @dev: the device
 */
void mydev_tx_rest(struct mydev_device *dev)
{
	bool rests;

	spin_lock_irq(&dev->tx.lock);
	rests = mydev_tx_rests(&dev->tx);
	spin_unlock_irq(&dev->tx.lock);
	if (rests)
		usb_autopm_put_interface_async(dev->intf);
}

/**
 * mydev_tx_message() - queue a message
 * @client: has the turn
 * @from: the message
 * @nonblock: take what there is room for
 * @ask: it is a question: note when the device has all of it
 *
 * Return: bytes queued if any were, else a negative errno.
 */
static ssize_t mydev_tx_message(struct mydev_client *client,
				struct iov_iter *from, bool nonblock, bool ask)
{
	struct mydev_device *dev = client->dev;
	unsigned int maxp = dev->info.ep_out_max_packet;
	size_t size = rounddown(MYDEV_SEND_SIZE, maxp);
	struct mydev_send *send;
	ssize_t done = 0;
	int ret;

	while (iov_iter_count(from)) {
		size_t length = min(iov_iter_count(from), size), copied;

		ret = mydev_tx_wait_fill(client, nonblock, &send);
		if (ret)
			return done ?: ret;

		copied = copy_from_iter(send->data, length, from);
		if (copied < length) {
			/* Half a transfer would end in a short packet. */
			iov_iter_revert(from, copied);
			mydev_tx_put_back(dev, send);
			return done ?: -EFAULT;
		}
		send->length = length;
		send->done = 0;
		send->doomed = false;
		send->zero = READ_ONCE(client->terminate) &&
			     !iov_iter_count(from) && !(length % maxp);
		send->asks = ask && !iov_iter_count(from);
		/* The reason why not comes with the next try to fill. */
		if (mydev_tx_queue(client, send))
			done += length;
		else
			iov_iter_revert(from, copied);
	}
	return done;
}

/**
 * mydev_tx_send() - send a message; the turn is taken
 * @client: has the turn
 * @from: the message
 * @nonblock: take what there is room for
 * @ask: it is a question
 *
 * Return: as mydev_tx_write().
 */
ssize_t mydev_tx_send(struct mydev_client *client, struct iov_iter *from,
		      bool nonblock, bool ask)
{
	ssize_t ret;

	ret = mydev_tx_take_error(client);
	if (!ret)
		ret = mydev_tx_wake_up(client->dev);
	if (!ret)
		ret = mydev_tx_message(client, from, nonblock, ask);
	/* An error that came meanwhile is this call's to tell. */
	if (ret == -EPIPE || ret == -EIO)
		mydev_tx_take_error(client);
	return ret;
}

/**
 * mydev_tx_write() - write() and its relatives
 * @client: of a file that is open for writing
 * @from: the message
 * @nonblock: do not sleep, neither for room nor for another writer
 *
 * Context: process context.
 * Return: bytes that the driver has taken, or a negative errno as the UAPI
 * header tells.
 */
ssize_t mydev_tx_write(struct mydev_client *client, struct iov_iter *from,
		       bool nonblock)
{
	struct mydev_device *dev = client->dev;
	ssize_t ret;

	if (!dev->info.ep_out)
		return READ_ONCE(dev->gone) ? -ENODEV : -EOPNOTSUPP;
	ret = mydev_turn_take(client, nonblock);
	if (ret)
		return ret;
	if (iov_iter_count(from))
		ret = mydev_tx_send(client, from, nonblock, false);
	mydev_turn_drop(client);
	mydev_tx_rest(dev);
	return ret;
}

/**
 * mydev_tx_take_error() - the error that is still to be told
 * @client: the client, to whom it is told now
 *
 * Return: 0, -EPIPE or -EIO.
 */
int mydev_tx_take_error(struct mydev_client *client)
{
	struct mydev_tx *tx = &client->dev->tx;
	int ret;

	spin_lock_irq(&tx->lock);
	ret = client->send_error;
	client->send_error = 0;
	spin_unlock_irq(&tx->lock);
	return ret;
}

static bool mydev_tx_drained(struct mydev_client *client)
{
	struct mydev_tx *tx = &client->dev->tx;
	bool drained;

	spin_lock_irq(&tx->lock);
	drained = !client->sends || client->send_error ||
		  tx->state == MYDEV_TX_GONE || READ_ONCE(client->revoked);
	spin_unlock_irq(&tx->lock);
	return drained;
}

/**
 * mydev_tx_sync() - wait until the device has what a client wrote
 * @client: the client
 *
 * Context: process context.
 * Return: 0, -EPIPE or -EIO where something was not taken, -ERESTARTSYS,
 * -ENODEV, -ESTALE.
 */
int mydev_tx_sync(struct mydev_client *client)
{
	int ret;

	ret = wait_event_interruptible(client->wait, mydev_tx_drained(client));
	if (ret)
		return ret;
	if (READ_ONCE(client->revoked))
		return -ESTALE;
	ret = mydev_tx_take_error(client);
	if (!ret && READ_ONCE(client->dev->gone))
		ret = -ENODEV;
	return ret;
}

/**
 * mydev_tx_poll() - the events of sending
 * @client: of a file that is open for writing
 *
 * Context: process context; takes tx.lock.
 * Return: EPOLL* bits.
 */
__poll_t mydev_tx_poll(struct mydev_client *client)
{
	struct mydev_device *dev = client->dev;
	struct mydev_tx *tx = &dev->tx;
	__poll_t events = 0;

	spin_lock_irq(&tx->lock);
	if (client->send_error)
		events = EPOLLOUT | EPOLLWRNORM | EPOLLERR;
	else if (tx->state != MYDEV_TX_GONE && !tx->turn &&
		 (!tx->lease || tx->lease == client) && !list_empty(&tx->idle))
		events = EPOLLOUT | EPOLLWRNORM;
	spin_unlock_irq(&tx->lock);
	return events;
}

/**
 * mydev_tx_stats() - fill in the counters of sending
 * @client: the client
 * @stats: those members are set, of one moment
 *
 * Context: process context; takes tx.lock.
 */
void mydev_tx_stats(struct mydev_client *client, struct mydev_stats *stats)
{
	struct mydev_tx *tx = &client->dev->tx;

	spin_lock_irq(&tx->lock);
	stats->sent_transfers = tx->transfers;
	stats->sent_bytes = tx->bytes;
	stats->send_errors = tx->errors;
	stats->client_written_bytes = client->written_bytes;
	stats->client_sent_bytes = client->sent_bytes;
	stats->client_failed_bytes = client->failed_bytes;
	stats->client_unsent_bytes = client->written_bytes -
				     client->sent_bytes - client->failed_bytes;
	spin_unlock_irq(&tx->lock);
}

/**
 * mydev_tx_abandon() - what a client has queued is not to be sent any more
 * @client: the client
 *
 * Nobody is told an error: the caller knows.
 *
 * Context: process context; takes tx.lock.
 */
void mydev_tx_abandon(struct mydev_client *client)
{
	spin_lock_irq(&client->dev->tx.lock);
	mydev_tx_doom(client->dev, client->id);
	spin_unlock_irq(&client->dev->tx.lock);
}

/**
 * mydev_tx_leave() - a client is closed
 * @client: nobody uses it any more
 *
 * What it wrote is the device's to send, for as long as that takes some of it
 * every few seconds. Of a program that was killed nothing more is sent.
 *
 * Context: process context; takes tx.lock.
 */
void mydev_tx_leave(struct mydev_client *client)
{
	struct mydev_device *dev = client->dev;
	struct mydev_tx *tx = &dev->tx;
	struct mydev_send *send;

	spin_lock_irq(&tx->lock);
	list_for_each_entry(send, &tx->queue, list) {
		if (send->client == client)
			send->client = NULL;
	}
	if (client->sends && (current->flags & PF_SIGNALED))
		mydev_tx_doom(dev, client->id);
	else if (client->sends && tx->state != MYDEV_TX_GONE)
		schedule_delayed_work(&tx->work, MYDEV_TX_PATIENCE);
	if (client->send_error)
		dev_warn_ratelimited(
			&dev->dev,
			"%s (%d) closed and did not ask for its error (%d)\n",
			client->comm, client->pid, client->send_error);
	spin_unlock_irq(&tx->lock);
}

/**
 * mydev_tx_forsaken() - is there something of a closed client that waits in vain?
 * @dev: the device
 *
 * Dooms it, or has the work look again.
 *
 * Context: tx.lock held.
 */
void mydev_tx_forsaken(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;
	unsigned long limit = tx->progress + MYDEV_TX_PATIENCE;
	struct mydev_send *send;
	u32 owner = 0;

	list_for_each_entry(send, &tx->queue, list) {
		if (!send->client && !send->doomed)
			owner = send->owner;
	}
	if (!owner || tx->pauses)
		return;
	if (time_before(jiffies, limit)) {
		schedule_delayed_work(&tx->work, limit - jiffies);
		return;
	}
	dev_warn_ratelimited(
		&dev->dev,
		"the device takes no data: giving up what a program that has closed wrote\n");
	mydev_tx_doom(dev, owner);
}

/**
 * mydev_tx_drop_doomed() - take what will not be sent out of the queue
 * @dev: the device; nothing is flying
 * @all: also what is not doomed
 *
 * Context: tx.lock held.
 */
void mydev_tx_drop_doomed(struct mydev_device *dev, bool all)
{
	struct mydev_send *send, *next;

	list_for_each_entry_safe(send, next, &dev->tx.queue, list) {
		if (all || send->doomed)
			mydev_tx_retire(send);
	}
}

/**
 * mydev_tx_fail_all() - nothing that is queued will be sent, and all are told
 * @dev: the device
 * @error: -EPIPE or -EIO
 *
 * Context: tx.lock held.
 */
void mydev_tx_fail_all(struct mydev_device *dev, int error)
{
	struct mydev_send *send;

	list_for_each_entry(send, &dev->tx.queue, list) {
		if (send->client && !send->doomed)
			mydev_tx_set_error(send->client, error);
	}
	mydev_tx_doom(dev, 0);
}
