// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a writer gives: its message goes into transfers, piece by piece, and it is
 * given its result. The mirror of read.c.
 *
 * A writer holds the claim (arbiter.c) for the whole of its message, so a message is
 * in one piece on the wire.
 */
#include <linux/sched/signal.h>
#include <linux/uio.h>

#include "mydev.h"

/**
 * struct mydev_message - a message that is being queued
 * @maxp: wMaxPacketSize of the endpoint that it began with
 * @epoch: of @tx when it began
 * @errors: of the client when it began
 * @transaction: number of the transaction whose request it is, or 0
 * @begun: something of it is queued
 * @faults: how often pages of its next part were got in vain
 * @deadline: jiffies, until when room may be waited for
 * @forever: there is no @deadline
 */
struct mydev_message {
	unsigned int maxp;
	u32 epoch;
	u32 errors;
	u32 transaction;
	bool begun;
	unsigned int faults;
	unsigned long deadline;
	bool forever;
};

/**
 * mydev_tx_may_go_on() - check that the next part of a message is of use
 * @client: holds the claim
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
	if (client->tx.send_error)
		return client->tx.send_error;
	if (!m->begun) {
		m->maxp = tx->maxp;
		m->epoch = tx->epoch;
		m->errors = client->tx.errors;
		return m->maxp ? 0 : -EOPNOTSUPP;
	}
	/* The error may be reported already, but this message has a hole. */
	return m->epoch == tx->epoch && m->errors == client->tx.errors ? 0
								       : -EIO;
}

/**
 * mydev_tx_fill() - take an idle transfer to fill
 * @client: holds the claim
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

/* Only the caller, the holder of the claim, takes from the idle ones. */
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
 * mydev_tx_queue() - queue a filled transfer
 * @client: holds the claim
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
		send->client_id = client->id;
		client->tx.sends++;
		client->tx.written_bytes += send->length;
		/* The last try to mend the endpoint has failed. */
		if (tx->needs_clear && tx->state == MYDEV_TX_RUNNING)
			mydev_tx_stop(client->dev);
	} else {
		mydev_tx_recycle(send);
	}
	spin_unlock_irq(&tx->lock);

	if (good)
		mydev_tx_push(client->dev, GFP_NOIO);
	return good;
}

static void mydev_tx_put_back(struct mydev_device *dev, struct mydev_send *send)
{
	spin_lock_irq(&dev->tx.lock);
	mydev_tx_recycle(send);
	spin_unlock_irq(&dev->tx.lock);
}

/**
 * mydev_tx_pm_get_device() - resume the device, and wait for it or not
 * @dev: the device
 * @nonblock: do not
 *
 * Asleep, sending is paused, and what is queued goes out at the end of that.
 *
 * Context: process context; with @nonblock nothing here sleeps.
 * Return: 0, undone by mydev_pm_put(); -ENODEV, -EIO or -EAGAIN.
 */
static int mydev_tx_pm_get_device(struct mydev_device *dev, bool nonblock)
{
	int ret = -ENODEV;

	if (!nonblock)
		return mydev_pm_get(dev);
	if (!down_read_trylock(&dev->iface->disconnect_rwsem))
		return -EAGAIN;
	if (!dev->gone)
		ret = usb_autopm_get_interface_async(dev->iface->intf) ? -EIO
								       : 0;
	up_read(&dev->iface->disconnect_rwsem);
	return ret;
}

/**
 * mydev_tx_pm_get() - keep the device from suspending while it is sent to
 * @client: holds the claim
 * @nonblock: do not wait for it
 *
 * Return: 0, -ENODEV, -EIO if it cannot be woken, -EAGAIN, or -ESTALE.
 */
static int mydev_tx_pm_get(struct mydev_client *client, bool nonblock)
{
	struct mydev_device *dev = client->dev;
	struct mydev_tx *tx = &dev->tx;
	bool surplus;
	int ret;

	/* Set only by the holder of the claim, cleared only while there is none. */
	if (READ_ONCE(tx->pm_held))
		return 0;
	ret = mydev_tx_pm_get_device(dev, nonblock);
	if (ret)
		return ret;
	spin_lock_irq(&tx->lock);
	/* A revoke may have taken the claim meanwhile. */
	surplus = tx->owner != client;
	if (!surplus)
		WRITE_ONCE(tx->pm_held, true);
	spin_unlock_irq(&tx->lock);
	if (surplus)
		mydev_pm_put(dev);
	return surplus ? -ESTALE : 0;
}

/* Bytes of the next transfer of a message. */
static size_t mydev_tx_part(const struct mydev_tx *tx,
			    const struct mydev_message *m,
			    const struct iov_iter *from)
{
	return min_t(size_t, iov_iter_count(from),
		     rounddown(tx->size, m->maxp ?: 1));
}

/**
 * mydev_tx_fault_in() - fault in the pages that the next part of a message needs
 * @tx: where it goes
 * @m: the message; counts how often
 * @from: where its bytes are
 *
 * Context: process context: it may take as long as it likes.
 * Return: 0 if another try makes sense, -EFAULT, or -ERESTARTSYS.
 */
static int mydev_tx_fault_in(const struct mydev_tx *tx, struct mydev_message *m,
			     const struct iov_iter *from)
{
	size_t part = mydev_tx_part(tx, m, from);

	/* There it is, and still cannot be read: that would go on for ever. */
	if (!user_backed_iter(from) || m->faults++ >= MYDEV_FAULTS ||
	    fault_in_iov_iter_readable(from, part))
		return -EFAULT;
	return signal_pending(current) ? -ERESTARTSYS : 0;
}

/**
 * mydev_tx_copy() - fill a transfer with the next part of a message
 * @client: holds the claim
 * @m: the message
 * @from: the bytes of it
 * @send: to be filled
 *
 * Page faults are off: a page may never be served, and @send is
 * one of those that all share.
 *
 * Return: true if it is filled; false if a page is missing.
 */
static bool mydev_tx_copy(struct mydev_client *client, struct mydev_message *m,
			  struct iov_iter *from, struct mydev_send *send)
{
	size_t length = mydev_tx_part(&client->dev->tx, m, from), copied;

	pagefault_disable();
	copied = copy_from_iter(send->data, length, from);
	pagefault_enable();
	if (copied < length) {
		/* Half a transfer would end in a short packet. */
		iov_iter_revert(from, copied);
		return false;
	}
	m->faults = 0;
	send->length = length;
	send->done = 0;
	send->error = 0;
	send->cancelled = false;
	send->zero = READ_ONCE(client->tx.terminate) && !iov_iter_count(from) &&
		     !(length % m->maxp);
	send->transaction = m->transaction;
	send->last = !iov_iter_count(from);
	return true;
}

/**
 * mydev_tx_message() - queue a message
 * @client: holds the claim
 * @m: what to go by
 * @from: the bytes of it
 * @nonblock: take what there is room for
 *
 * Return: bytes queued if any were, else a negative errno; -EFAULT also for a page
 * that can be faulted in while another writer holds the claim.
 */
static ssize_t mydev_tx_message(struct mydev_client *client,
				struct mydev_message *m, struct iov_iter *from,
				bool nonblock)
{
	struct mydev_device *dev = client->dev;
	struct mydev_send *send;
	ssize_t done = 0;
	u32 length;
	int ret;

	while (iov_iter_count(from)) {
		ret = mydev_tx_wait_fill(client, m, nonblock, &send);
		if (ret)
			return done ?: ret;

		if (!mydev_tx_copy(client, m, from, send)) {
			mydev_tx_put_back(dev, send);
			if (!done)
				return -EFAULT;
			/* It has begun, and must not be split. */
			if (mydev_tx_fault_in(&dev->tx, m, from))
				return done;
			continue;
		}
		length = send->length;
		/* The reason why not comes with the next try to fill. */
		if (mydev_tx_queue(client, m, send))
			done += length;
		else
			iov_iter_revert(from, length);
	}
	return done;
}

/**
 * mydev_tx_send() - send a message
 * @client: holds the claim
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
		ret = mydev_tx_pm_get(client, nonblock);
	if (!ret)
		ret = mydev_tx_message(client, m, from, nonblock);
	/* An error that came meanwhile is this call's to tell. */
	if (ret == -EPIPE || ret == -EIO)
		mydev_tx_take_error(client);
	return ret;
}

/**
 * mydev_tx_send_request() - send the request of a transaction
 * @client: holds the claim
 * @from: the request
 * @transaction: number of the transaction
 * @deadline: jiffies, until when room may be waited for
 *
 * Return: as mydev_tx_write(), or -ETIMEDOUT.
 */
ssize_t mydev_tx_send_request(struct mydev_client *client,
			      struct iov_iter *from, u32 transaction,
			      unsigned long deadline)
{
	struct mydev_message m = { .transaction = transaction,
				   .deadline = deadline };

	return mydev_tx_send(client, from, &m, false);
}

/**
 * mydev_tx_write() - handle write() and its relatives
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
	do {
		ret = mydev_tx_claim(client, nonblock, MAX_SCHEDULE_TIMEOUT);
		if (ret)
			return ret;
		if (iov_iter_count(from))
			ret = mydev_tx_send(client, from, &m, nonblock);
		mydev_tx_release(client);
		mydev_tx_pm_put_idle(dev);
		if (ret != -EFAULT)
			return ret;
		/* Nothing is queued yet, so its page is waited for without the claim. */
		ret = mydev_tx_fault_in(&dev->tx, &m, from);
	} while (!ret);
	return ret;
}

/**
 * mydev_tx_take_error() - take the error that is still to be reported
 * @client: the client
 *
 * Return: 0, -EPIPE or -EIO.
 */
int mydev_tx_take_error(struct mydev_client *client)
{
	struct mydev_tx *tx = &client->dev->tx;
	int ret;

	spin_lock_irq(&tx->lock);
	ret = client->tx.send_error;
	client->tx.send_error = 0;
	spin_unlock_irq(&tx->lock);
	return ret;
}

static bool mydev_tx_drained(struct mydev_client *client)
{
	struct mydev_tx *tx = &client->dev->tx;
	bool drained;

	spin_lock_irq(&tx->lock);
	drained = !client->tx.sends || client->tx.send_error ||
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
 * mydev_tx_poll() - compute the events of sending
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
	if (client->tx.send_error)
		events = EPOLLOUT | EPOLLWRNORM | EPOLLERR;
	else if (tx->state != MYDEV_TX_GONE && !tx->owner &&
		 !mydev_lease_is_others(client) && !list_empty(&tx->idle))
		events = EPOLLOUT | EPOLLWRNORM;
	spin_unlock_irq(&tx->lock);
	return events;
}

/**
 * mydev_tx_stats() - fill in the counters of sending
 * @client: the client
 * @stats: those subscribers are set, of one moment
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
	stats->client_written_bytes = client->tx.written_bytes;
	stats->client_sent_bytes = client->tx.sent_bytes;
	stats->client_failed_bytes = client->tx.failed_bytes;
	stats->client_unsent_bytes = client->tx.written_bytes -
				     client->tx.sent_bytes -
				     client->tx.failed_bytes;
	spin_unlock_irq(&tx->lock);
}
