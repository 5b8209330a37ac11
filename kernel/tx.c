// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sending: what a write() gives is copied into transfers that belong to the
 * device, which go out in the order in which they were filled.
 *
 *   idle --fill--> queue --submit--> flying --complete--> idle
 *                    ^                  |
 *                    +-- cut short -----+
 *
 * Not all of the queue is flying: the rest is for completions to submit, so that
 * the host controller has something to begin with before a writer is scheduled.
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
#include <linux/sched/signal.h>
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
	INIT_LIST_HEAD(&tx->waiters);
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
 *
 * Context: tx.mutex held.
 */
void mydev_tx_target(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;
	unsigned int i;

	spin_lock_irq(&tx->lock);
	tx->maxp = dev->info.ep_out_max_packet;
	spin_unlock_irq(&tx->lock);
	for (i = 0; tx->sends && i < MYDEV_SENDS; i++)
		tx->sends[i].urb->pipe =
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
		if (tx->blocked)
			usb_block_urb(sends[i].urb);
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

/* Context: tx.lock held. */
static void mydev_tx_wake(wait_queue_head_t *wait, __poll_t events)
{
	/* Whoever sleeps has looked under the lock: none is missed. */
	if (waitqueue_active(wait))
		wake_up_interruptible_poll(wait,
					   EPOLLOUT | EPOLLWRNORM | events);
}

/* Context: tx.lock held. The client's next call has an error to tell. */
static void mydev_tx_set_error(struct mydev_client *client, int error)
{
	client->errors++;
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
 * mydev_tx_mark() - what a client has queued is not to be sent
 * @dev: the device
 * @owner: id of the client
 * @exchange: of this exchange only; 0 for all of it
 *
 * Context: tx.lock held.
 * Return: true if there is anything, for the work to take out of the queue.
 */
static bool mydev_tx_mark(struct mydev_device *dev, u32 owner, u32 exchange)
{
	struct mydev_send *send;
	bool marked = false;

	list_for_each_entry(send, &dev->tx.queue, list) {
		if (send->owner != owner ||
		    (exchange && send->exchange != exchange))
			continue;
		send->doomed = true;
		marked = true;
	}
	return marked;
}

/* Context: tx.lock held. The work looks at it at once. */
static void mydev_tx_stop(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;

	if (tx->state == MYDEV_TX_GONE)
		return;
	tx->state = MYDEV_TX_STOPPED;
	mod_delayed_work(system_percpu_wq, &tx->work, 0);
}

/**
 * mydev_tx_fail() - a transfer ended with an error
 * @send: in the queue, not flying
 * @error: a negative errno
 *
 * The work tells its writer, unless an unplug comes first.
 *
 * Context: tx.lock held.
 */
static void mydev_tx_fail(struct mydev_send *send, int error)
{
	struct mydev_tx *tx = &send->dev->tx;

	tx->errors++;
	send->error = error == -EPIPE ? -EPIPE : -EIO;
	tx->doubt = error != -EPIPE;
	mydev_tx_stop(send->dev);
}

/**
 * mydev_tx_judge() - tell the writers of what was not taken
 * @dev: the device; nothing is flying
 *
 * What they queued behind that is doomed.
 *
 * Context: tx.lock held.
 */
void mydev_tx_judge(struct mydev_device *dev)
{
	struct mydev_send *send;

	list_for_each_entry(send, &dev->tx.queue, list) {
		if (!send->error || send->doomed)
			continue;
		if (send->client)
			mydev_tx_set_error(send->client, send->error);
		else
			dev_warn_ratelimited(
				&dev->dev,
				"data of a program that has closed was not taken (%d)\n",
				send->error);
		mydev_tx_mark(dev, send->owner, 0);
	}
}

/* A transfer was cut short by us, by usbcore, or by the end of the device. */
static bool mydev_tx_was_cut(int status)
{
	return status == -EPERM || status == -ENOENT || status == -ECONNRESET ||
	       status == -ESHUTDOWN || status == -ENODEV;
}

/**
 * mydev_tx_finished() - has the device got all of a transfer?
 * @send: not flying
 * @status: that it ended with
 *
 * Cut short when it was through, it may say that it was cut. Of one that ends
 * with a packet without bytes nobody knows then, and that is sent again: better
 * one too many, than two messages in one.
 *
 * Return: true if so.
 */
static bool mydev_tx_finished(const struct mydev_send *send, int status)
{
	if (send->done < send->length)
		return false;
	return !status ||
	       (mydev_tx_was_cut(status) && send->length && !send->zero);
}

/**
 * mydev_tx_land() - a transfer is back, or was not taken
 * @send: flying
 * @status: of the URB, or why it was not submitted
 *
 * Context: tx.lock held.
 * Return: the exchange whose question the device has now, or 0.
 */
static u32 mydev_tx_land(struct mydev_send *send, int status)
{
	struct mydev_device *dev = send->dev;
	struct mydev_tx *tx = &dev->tx;
	u32 asked = 0;

	send->flying = false;
	/* Who waits looks at flying under the lock that we hold. */
	if (!--tx->flying && waitqueue_active(&tx->quiet))
		wake_up(&tx->quiet);

	if (mydev_tx_finished(send, status)) {
		tx->transfers++;
		if (send->asks)
			asked = send->exchange;
		mydev_tx_retire(send);
	} else if (mydev_tx_was_cut(status)) {
		/*
		 * It keeps its place. Where it was not us, disconnect is next,
		 * or the end of a pause.
		 */
		if (tx->state != MYDEV_TX_GONE)
			tx->state = MYDEV_TX_STOPPED;
	} else if (tx->state != MYDEV_TX_STOPPED) {
		mydev_tx_fail(send, status ?: -EIO);
	}
	/* One error is enough: those behind it have not been tried. */
	return asked;
}

/**
 * mydev_tx_cut() - take back what is flying behind an error
 * @dev: the device
 *
 * Some host controllers go on with the next transfer after an error; nothing of
 * a message is to be sent behind a hole, nor anything out of order.
 *
 * Context: any, without locks: a giveback may come from within.
 */
void mydev_tx_cut(struct mydev_device *dev)
{
	struct urb *flying[MYDEV_SENDS];
	struct mydev_tx *tx = &dev->tx;
	struct mydev_send *send;
	unsigned int i, n = 0;
	unsigned long flags;

	spin_lock_irqsave(&tx->lock, flags);
	tx->cutting++;
	list_for_each_entry_reverse(send, &tx->queue, list) {
		if (send->flying)
			flying[n++] = send->urb;
	}
	spin_unlock_irqrestore(&tx->lock, flags);

	/* From the back: what is still sent meanwhile comes before those. */
	for (i = 0; i < n; i++)
		usb_unlink_urb(flying[i]);

	spin_lock_irqsave(&tx->lock, flags);
	/* The work submits them again only after this. */
	if (!--tx->cutting && waitqueue_active(&tx->quiet))
		wake_up(&tx->quiet);
	spin_unlock_irqrestore(&tx->lock, flags);
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
 * mydev_tx_submit() - give a transfer to the host controller
 * @send: counted as flying
 * @gfp: how the host controller may get memory
 *
 * Context: as @gfp says.
 * Return: 0 or a negative errno of usbcore.
 */
static int mydev_tx_submit(struct mydev_send *send, gfp_t gfp)
{
	u32 rest = send->length - send->done;

	send->urb->transfer_buffer = send->data + send->done;
	send->urb->transfer_buffer_length = rest;
	/* A rest of nothing is the packet without bytes itself. */
	send->urb->transfer_flags = send->zero && rest ? URB_ZERO_PACKET : 0;
	return usb_submit_urb(send->urb, gfp);
}

/**
 * mydev_tx_next() - what is to be submitted next
 * @tx: the sending side
 *
 * Context: tx.lock held.
 * Return: a transfer; NULL if there is none, or none may be submitted now.
 */
static struct mydev_send *mydev_tx_next(struct mydev_tx *tx)
{
	struct mydev_send *send;

	if (tx->state != MYDEV_TX_RUNNING || tx->flying >= MYDEV_SENDS_FLYING)
		return NULL;
	list_for_each_entry(send, &tx->queue, list) {
		if (!send->flying)
			return send;
	}
	return NULL;
}

/**
 * mydev_tx_push() - submit what is queued, in order, as much as may fly
 * @dev: the device
 * @gfp: how the host controller may get memory
 *
 * Writers, completions and the work do it, one at a time: two could overtake
 * each other. Who comes meanwhile leaves it to the one, who looks again.
 *
 * Context: as @gfp says, without tx.lock.
 */
static void mydev_tx_push(struct mydev_device *dev, gfp_t gfp)
{
	struct mydev_tx *tx = &dev->tx;
	struct mydev_send *send;
	unsigned long flags;
	int ret;

	spin_lock_irqsave(&tx->lock, flags);
	if (tx->pushing)
		goto out;
	tx->pushing = true;
	while ((send = mydev_tx_next(tx))) {
		send->flying = true;
		tx->flying++;
		spin_unlock_irqrestore(&tx->lock, flags);
		ret = mydev_tx_submit(send, gfp);
		/* An error came in between, and mydev_tx_cut() was too early for it. */
		if (!ret && unlikely(READ_ONCE(tx->state) != MYDEV_TX_RUNNING))
			usb_unlink_urb(send->urb);
		spin_lock_irqsave(&tx->lock, flags);
		if (likely(!ret))
			continue;
		if (ret == -ENOMEM && gfp == GFP_ATOMIC) {
			/* That is no error yet: the work can wait for memory. */
			mydev_tx_stop(dev);
			ret = -EPERM;
		}
		mydev_tx_land(send, ret);
	}
	tx->pushing = false;
out:
	spin_unlock_irqrestore(&tx->lock, flags);
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
	bool failed, rests, more;
	unsigned long flags;
	u32 asked;

	spin_lock_irqsave(&tx->lock, flags);
	send->done += urb->actual_length;
	tx->bytes += urb->actual_length;
	if (send->client)
		send->client->sent_bytes += urb->actual_length;
	if (urb->actual_length)
		tx->progress = jiffies;
	/* Any error on the bus leaves the two sides' data toggles in doubt. */
	failed = urb->status && !mydev_tx_was_cut(urb->status);
	if (failed)
		tx->halted = true;
	asked = mydev_tx_land(send, urb->status);
	rests = mydev_tx_rests(tx);
	more = mydev_tx_next(tx);
	spin_unlock_irqrestore(&tx->lock, flags);

	if (failed)
		mydev_tx_cut(dev);
	if (asked)
		mydev_exchange_ask(dev, asked);
	if (more)
		mydev_tx_push(dev, GFP_ATOMIC);
	if (rests)
		mydev_let_sleep(dev);
}

/**
 * mydev_tx_resume_queue() - go on with what is queued
 * @dev: the device; sending is stopped, and not paused
 *
 * Context: process context, tx.mutex held.
 */
void mydev_tx_resume_queue(struct mydev_device *dev)
{
	struct mydev_tx *tx = &dev->tx;
	struct mydev_send *send;
	bool clean = true;

	lockdep_assert_held(&tx->mutex);
	spin_lock_irq(&tx->lock);
	/* Doomed since we looked: the work has been queued once more for it. */
	list_for_each_entry(send, &tx->queue, list)
		clean &= !send->doomed;
	if (clean)
		tx->state = MYDEV_TX_RUNNING;
	spin_unlock_irq(&tx->lock);
	mydev_tx_push(dev, GFP_NOIO);
}

/**
 * struct mydev_message - a message that is being queued
 * @maxp: wMaxPacketSize of the endpoint that it began with
 * @epoch: of @tx when it began
 * @errors: of the client when it began
 * @exchange: number of the exchange whose question it is, or 0
 * @begun: something of it is queued
 * @deadline: jiffies, until when room may be waited for
 * @forever: there is no @deadline
 */
struct mydev_message {
	unsigned int maxp;
	u32 epoch;
	u32 errors;
	u32 exchange;
	bool begun;
	unsigned long deadline;
	bool forever;
};

/**
 * mydev_tx_may_go_on() - is what comes next of a message still of use?
 * @client: has the turn
 * @m: the message
 *
 * Context: tx.lock held.
 * Return: 0, -ENODEV, -ESTALE, -EOPNOTSUPP without an endpoint, or -EPIPE or
 * -EIO where something that the client has queued before was not taken.
 */
static int mydev_tx_may_go_on(struct mydev_client *client,
			      struct mydev_message *m)
{
	struct mydev_tx *tx = &client->dev->tx;

	if (tx->state == MYDEV_TX_GONE)
		return -ENODEV;
	if (READ_ONCE(client->revoked))
		return -ESTALE;
	if (client->send_error)
		return client->send_error;
	if (!m->begun) {
		m->maxp = tx->maxp;
		m->epoch = tx->epoch;
		m->errors = client->errors;
		return m->maxp ? 0 : -EOPNOTSUPP;
	}
	/* Another thread may have been told, but this message has a hole. */
	return m->epoch == tx->epoch && m->errors == client->errors ? 0 : -EIO;
}

/**
 * mydev_tx_fill() - get a transfer to fill
 * @client: has the turn
 * @m: what is to be sent
 * @send: where it goes
 *
 * Return: 0, -EAGAIN, or as mydev_tx_may_go_on().
 */
static int mydev_tx_fill(struct mydev_client *client, struct mydev_message *m,
			 struct mydev_send **send)
{
	struct mydev_tx *tx = &client->dev->tx;
	int ret;

	spin_lock_irq(&tx->lock);
	ret = mydev_tx_may_go_on(client, m);
	if (!ret && list_empty(&tx->idle))
		ret = -EAGAIN;
	if (!ret) {
		*send = list_first_entry(&tx->idle, struct mydev_send, list);
		list_del_init(&(*send)->list);
	}
	spin_unlock_irq(&tx->lock);
	return ret;
}

/* Nobody but the caller, who has the turn, takes from the idle ones. */
static int mydev_tx_wait_fill(struct mydev_client *client,
			      struct mydev_message *m, bool nonblock,
			      struct mydev_send **send)
{
	long left = MAX_SCHEDULE_TIMEOUT;
	int ret;

	ret = mydev_tx_fill(client, m, send);
	if (ret != -EAGAIN || nonblock)
		return ret;
	if (!m->forever)
		left = max_t(long, m->deadline - jiffies, 1);
	left = wait_event_interruptible_timeout(
		client->wait, (ret = mydev_tx_fill(client, m, send)) != -EAGAIN,
		left);
	if (left < 0)
		return left;
	return left ? ret : -ETIMEDOUT;
}

/**
 * mydev_tx_queue() - have a transfer sent
 * @client: has the turn
 * @m: what it is a part of
 * @send: filled
 *
 * Return: false if the client may not send any more, as mydev_tx_fill() tells;
 * the transfer is idle again.
 */
static bool mydev_tx_queue(struct mydev_client *client, struct mydev_message *m,
			   struct mydev_send *send)
{
	struct mydev_tx *tx = &client->dev->tx;
	bool good;

	spin_lock_irq(&tx->lock);
	good = !mydev_tx_may_go_on(client, m);
	if (good) {
		m->begun = true;
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
	spin_unlock_irq(&tx->lock);

	if (good)
		mydev_tx_push(client->dev, GFP_NOIO);
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
		mydev_let_sleep(dev);
}

/**
 * mydev_tx_message() - queue a message
 * @client: has the turn
 * @m: what to go by
 * @from: the bytes of it
 * @nonblock: take what there is room for
 *
 * Return: bytes queued if any were, else a negative errno.
 */
static ssize_t mydev_tx_message(struct mydev_client *client,
				struct mydev_message *m, struct iov_iter *from,
				bool nonblock)
{
	struct mydev_device *dev = client->dev;
	struct mydev_send *send;
	ssize_t done = 0;
	int ret;

	while (iov_iter_count(from)) {
		size_t length, copied;

		ret = mydev_tx_wait_fill(client, m, nonblock, &send);
		if (ret)
			return done ?: ret;

		length = min_t(size_t, iov_iter_count(from),
			       rounddown(MYDEV_SEND_SIZE, m->maxp));
		copied = copy_from_iter(send->data, length, from);
		if (copied < length) {
			/* Half a transfer would end in a short packet. */
			iov_iter_revert(from, copied);
			mydev_tx_put_back(dev, send);
			return done ?: -EFAULT;
		}
		send->length = length;
		send->done = 0;
		send->error = 0;
		send->doomed = false;
		send->zero = READ_ONCE(client->terminate) &&
			     !iov_iter_count(from) && !(length % m->maxp);
		send->exchange = m->exchange;
		send->asks = !iov_iter_count(from);
		/* The reason why not comes with the next try to fill. */
		if (mydev_tx_queue(client, m, send))
			done += length;
		else
			iov_iter_revert(from, copied);
	}
	return done;
}

/**
 * mydev_tx_send() - send a message
 * @client: has the turn
 * @from: the message
 * @m: what to go by
 * @nonblock: take what there is room for
 *
 * Return: as mydev_tx_write().
 */
static ssize_t mydev_tx_send(struct mydev_client *client, struct iov_iter *from,
			     struct mydev_message *m, bool nonblock)
{
	ssize_t ret;

	ret = mydev_tx_take_error(client);
	if (!ret)
		ret = mydev_tx_wake_up(client->dev);
	if (!ret)
		ret = mydev_tx_message(client, m, from, nonblock);
	/* An error that came meanwhile is this call's to tell. */
	if (ret == -EPIPE || ret == -EIO)
		mydev_tx_take_error(client);
	return ret;
}

/**
 * mydev_tx_ask() - send the question of an exchange
 * @client: has the turn
 * @from: the question
 * @exchange: number of the exchange
 * @deadline: jiffies, until when room may be waited for
 *
 * Return: as mydev_tx_write(), or -ETIMEDOUT.
 */
ssize_t mydev_tx_ask(struct mydev_client *client, struct iov_iter *from,
		     u32 exchange, unsigned long deadline)
{
	struct mydev_message m = { .exchange = exchange, .deadline = deadline };

	return mydev_tx_send(client, from, &m, false);
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
	struct mydev_message m = { .forever = true };
	struct mydev_device *dev = client->dev;
	ssize_t ret;

	if (!dev->has_out)
		return READ_ONCE(dev->gone) ? -ENODEV : -EOPNOTSUPP;
	ret = mydev_turn_take(client, nonblock, MAX_SCHEDULE_TIMEOUT);
	if (ret)
		return ret;
	if (iov_iter_count(from))
		ret = mydev_tx_send(client, from, &m, nonblock);
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

	if (!client->dev->has_out)
		return -EOPNOTSUPP;
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
 * @exchange: of this exchange only; 0 for all of it
 *
 * Nobody is told an error: the caller knows.
 *
 * Context: process context; takes tx.lock.
 */
void mydev_tx_abandon(struct mydev_client *client, u32 exchange)
{
	struct mydev_device *dev = client->dev;

	spin_lock_irq(&dev->tx.lock);
	if (mydev_tx_mark(dev, client->id, exchange))
		mydev_tx_stop(dev);
	spin_unlock_irq(&dev->tx.lock);
}

/* A signal ends the program, as against exit(): it does not want its data sent. */
static bool mydev_tx_killed(void)
{
	const struct signal_struct *signal = current->signal;

	return (signal->flags & SIGNAL_GROUP_EXIT) &&
	       (signal->group_exit_code & 0x7f);
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
	if (mydev_tx_killed()) {
		if (mydev_tx_mark(dev, client->id, 0))
			mydev_tx_stop(dev);
	} else if (client->sends && tx->state != MYDEV_TX_GONE) {
		schedule_delayed_work(&tx->work, MYDEV_TX_PATIENCE);
	}
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
	mydev_tx_mark(dev, owner, 0);
	mydev_tx_stop(dev);
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
 * @dev: the device; nothing is flying
 *
 * Context: tx.lock held.
 */
void mydev_tx_fail_all(struct mydev_device *dev)
{
	struct mydev_send *send;

	list_for_each_entry(send, &dev->tx.queue, list) {
		if (!send->error)
			send->error = -EIO;
	}
	mydev_tx_judge(dev);
	mydev_tx_drop_doomed(dev, true);
}
