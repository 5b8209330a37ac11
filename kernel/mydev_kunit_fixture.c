// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device of the unit tests, and its clients.
 *
 * The clients are real ones. There is no transfer: tests take buffers and give them to
 * the function that the completion calls.
 */
#include <linux/pm_runtime.h>
#include <linux/uio.h>

#include "mydev_kunit.h"

static void fixture_release(struct device *dev)
{
}

/* Sets up the device of a test; what differs is set before the first open. */
int fixture_init(struct kunit *test)
{
	struct fixture *f;
	struct mydev_device *dev;

	f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f);
	f->readback = kunit_kzalloc(test, READBACK, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f->readback);
	test->priv = f;

	dev = &f->dev;
	device_initialize(&dev->dev);
	dev->dev.release = fixture_release;
	dev->iface = &f->iface;
	mydev_interface_init(&f->iface);
	list_add_tail(&dev->node, &f->iface.nodes);
	mutex_init(&dev->rx_mutex);
	spin_lock_init(&dev->rx_lock);
	INIT_LIST_HEAD(&dev->clients);
	/* Something to keep awake. */
	device_initialize(&f->udev.dev);
	f->udev.dev.release = fixture_release;
	pm_suspend_ignore_children(&f->udev.dev, true);
	device_initialize(&f->intf.dev);
	f->intf.dev.release = fixture_release;
	f->intf.dev.parent = &f->udev.dev;
	pm_runtime_set_active(&f->intf.dev);
	pm_runtime_enable(&f->intf.dev);
	f->iface.intf = &f->intf;
	f->udev.state = USB_STATE_CONFIGURED;
	f->iface.udev = &f->udev;
	mydev_rx_init(dev);
	mydev_tx_init(dev);
	dev->has_in = true;
	dev->info.ep_in = 0x81;
	dev->rx.size = SIZE;
	dev->rx.room = SIZE;
	dev->rx.nr_buffers = NR_BUFFERS;
	dev->rx.nr_entries = NR_ENTRIES;
	return 0;
}

/* Closes what is open; nothing is left then. */
void fixture_exit(struct kunit *test)
{
	struct fixture *f = test->priv;
	int i;

	for (i = 0; i < NR_CLIENTS; i++) {
		if (f->clients[i])
			close_client(test, i);
	}
	/* Their memory is gone with the last of them. */
	KUNIT_EXPECT_NULL(test, f->dev.pool.buffers);
	KUNIT_EXPECT_NULL(test, f->dev.log.store.slots);
	KUNIT_EXPECT_EQ(test, f->dev.nr_subscribers, 0);
	f->dev.gone = true;
	mydev_rx_shutdown(&f->dev);
	hrtimer_cancel(&f->dev.rx.wake_timer);
	pm_runtime_disable(&f->intf.dev);
	put_device(&f->intf.dev);
	put_device(&f->udev.dev);
	put_device(&f->dev.dev);
}

struct mydev_client *open_client(struct kunit *test, int i)
{
	struct fixture *f = test->priv;
	struct mydev_client *client;

	client = mydev_client_open(&f->dev, true, false);
	KUNIT_ASSERT_FALSE(test, IS_ERR(client));
	f->clients[i] = client;
	return client;
}

void close_client(struct kunit *test, int i)
{
	struct fixture *f = test->priv;

	mydev_client_close(f->clients[i]);
	f->clients[i] = NULL;
}

/* Sets policy, mode and depth of a client. */
void configure(struct kunit *test, struct mydev_client *client, u32 mode,
	       u32 policy, u32 depth)
{
	struct mydev_config config;

	mydev_client_get_config(client, &config);
	config.mode = mode;
	config.policy = policy;
	config.queue_depth = depth;
	KUNIT_ASSERT_EQ(test, mydev_client_set_config(client, &config), 0);
}

/*
 * A transfer into @buf, which is in flight, ends with @length bytes that are in there.
 * Context: rx_lock held.
 */
void complete_buffer(struct fixture *f, struct mydev_buffer *buf, u32 length)
{
	f->urb.actual_length = length;
	f->urb.transfer_buffer_length = f->dev.rx.size;
	f->urb.status = 0;
	mydev_buffer_complete(buf);
	mydev_rx_deliver(&f->dev, &f->urb, buf);
}

/*
 * A transfer ends with @length bytes of value @fill; false: it could not have
 * been in flight.
 */
bool receive(struct kunit *test, u8 fill, u32 length)
{
	struct fixture *f = test->priv;
	struct mydev_device *dev = &f->dev;
	struct mydev_buffer *buf = NULL;

	spin_lock_irq(&dev->rx_lock);
	if (mydev_rx_can_submit(dev, 1))
		buf = mydev_buffer_get_free(&dev->pool);
	if (buf) {
		memset(buf->data, fill, length);
		complete_buffer(f, buf, length);
	}
	spin_unlock_irq(&dev->rx_lock);
	return buf;
}

/* Reads into f->readback, and does not wait. */
ssize_t read_client(struct kunit *test, struct mydev_client *client,
		    size_t length)
{
	struct fixture *f = test->priv;
	struct kvec vec = { .iov_base = f->readback, .iov_len = length };
	struct iov_iter iter;

	iov_iter_kvec(&iter, ITER_DEST, &vec, 1, length);
	return mydev_client_read(client, &iter, true);
}

/* Buffers in which nothing is unread. */
unsigned int nr_free(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct mydev_stats stats;

	mydev_client_stats(f->clients[0] ?: f->clients[1], &stats);
	return stats.free_buffers;
}

u64 lost_packets(struct mydev_client *client)
{
	struct mydev_stats stats;

	mydev_client_stats(client, &stats);
	return stats.client_lost_packets;
}

u64 queued_packets(struct mydev_client *client)
{
	struct mydev_stats stats;

	mydev_client_stats(client, &stats);
	return stats.client_queued_packets;
}

/*
 * packets = read + lost + queued, and the same for bytes. What is lost is the rest, so
 * it must be one.
 */
void expect_identity(struct kunit *test, struct mydev_client *client)
{
	struct mydev_stats stats = {};

	mydev_client_stats(client, &stats);
	/* Events are entries as well. */
	KUNIT_EXPECT_LE(test, stats.client_queued_packets,
			client->dev->log.head - client->cursor);
	KUNIT_EXPECT_EQ(test, stats.client_packets,
			stats.client_read_packets + stats.client_lost_packets +
				stats.client_queued_packets);
	KUNIT_EXPECT_EQ(test, stats.client_bytes,
			stats.client_read_bytes + stats.client_lost_bytes +
				stats.client_queued_bytes);
	KUNIT_EXPECT_LE(test, stats.client_lost_packets, stats.client_packets);
	KUNIT_EXPECT_LE(test, stats.client_lost_bytes, stats.client_bytes);
}
