// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unit tests of what needs no device: the parser of ids=, the states and
 * references of buffers, and who loses what when the pool runs dry.
 *
 * The clients here are real ones, on a device without transfers: packets are
 * put into its buffers by hand.
 */
#include <kunit/test.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "mydev.h"

#define NR_BUFFERS 4
#define SIZE PAGE_SIZE

/* ids= */

static void ids_good(struct kunit *test)
{
	struct usb_device_id table[3] = {};

	KUNIT_EXPECT_EQ(test, mydev_ids_parse(NULL, table, 3), 0);
	KUNIT_EXPECT_EQ(test, mydev_ids_parse("", table, 3), 0);
	KUNIT_EXPECT_EQ(test, mydev_ids_parse("\n", table, 3), 0);

	KUNIT_ASSERT_EQ(test, mydev_ids_parse("1209:000a,0403:6001:02,F:fFfF\n",
					      table, 3), 3);
	KUNIT_EXPECT_EQ(test, table[0].idVendor, 0x1209);
	KUNIT_EXPECT_EQ(test, table[0].idProduct, 0x000a);
	KUNIT_EXPECT_EQ(test, table[0].match_flags, USB_DEVICE_ID_MATCH_DEVICE);
	KUNIT_EXPECT_EQ(test, table[1].idVendor, 0x0403);
	KUNIT_EXPECT_EQ(test, table[1].idProduct, 0x6001);
	KUNIT_EXPECT_EQ(test, table[1].bInterfaceNumber, 2);
	KUNIT_EXPECT_EQ(test, table[1].match_flags,
			USB_DEVICE_ID_MATCH_DEVICE |
			USB_DEVICE_ID_MATCH_INT_NUMBER);
	KUNIT_EXPECT_EQ(test, table[2].idVendor, 0x000f);
	KUNIT_EXPECT_EQ(test, table[2].idProduct, 0xffff);
}

static void ids_bad(struct kunit *test)
{
	static const char *const bad[] = {
		",", "1209", "1209:", ":0001", "1209:0001:", "1209:0001,",
		",1209:0001", "1209:0001,,1209:0002", "12090:0001",
		"1209:00010", "1209:0001:123", "1209:0001:0:0", "0x1209:0001",
		"1209-0001", "1209:000g", " 1209:0001", "1209:0001 ", "-1:1",
	};
	struct usb_device_id table[3];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		KUNIT_EXPECT_EQ_MSG(test, mydev_ids_parse(bad[i], table, 3),
				    -EINVAL, "'%s'", bad[i]);
}

static void ids_too_many(struct kunit *test)
{
	struct usb_device_id table[3] = {};

	KUNIT_EXPECT_EQ(test, mydev_ids_parse("1:1,2:2", table, 2), 2);
	KUNIT_EXPECT_EQ(test, mydev_ids_parse("1:1,2:2,3:3", table, 2),
			-ENOSPC);
	/* The entry behind the room that was offered is untouched. */
	KUNIT_EXPECT_EQ(test, table[2].match_flags, 0);
}

/* A device to put packets into, and its clients */

struct fixture {
	struct mydev_device dev;
	struct mydev_client *clients[3];
	u8 *readback;
};

static void fixture_release(struct device *dev)
{
}

static int fixture_init(struct kunit *test)
{
	struct fixture *f;
	struct mydev_device *dev;

	f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f);
	f->readback = kunit_kzalloc(test, 2 * NR_BUFFERS * SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f->readback);
	test->priv = f;

	dev = &f->dev;
	device_initialize(&dev->dev);
	dev->dev.release = fixture_release;
	init_rwsem(&dev->gate);
	mutex_init(&dev->rx_mutex);
	spin_lock_init(&dev->rx_lock);
	INIT_LIST_HEAD(&dev->clients);
	mydev_rx_init(dev);
	dev->info.ep_in = 0x81;
	dev->info.queue_depth = NR_BUFFERS;
	dev->rx.size = SIZE;
	dev->rx.nr_buffers = NR_BUFFERS;
	return 0;
}

static void fixture_exit(struct kunit *test)
{
	struct fixture *f = test->priv;
	int i;

	for (i = 0; i < ARRAY_SIZE(f->clients); i++) {
		if (f->clients[i])
			mydev_client_close(f->clients[i]);
	}
	/* Their memory is gone with the last of them. */
	KUNIT_EXPECT_NULL(test, f->dev.pool.buffers);
	KUNIT_EXPECT_EQ(test, f->dev.nr_members, 0);
	cancel_delayed_work_sync(&f->dev.rx.work);
	put_device(&f->dev.dev);
}

static struct mydev_client *open_client(struct kunit *test, int i)
{
	struct fixture *f = test->priv;

	f->clients[i] = mydev_client_open(&f->dev, true);
	KUNIT_ASSERT_FALSE(test, IS_ERR(f->clients[i]));
	return f->clients[i];
}

/* A transfer ends with @length bytes of value @fill; false: the pool is dry. */
static bool receive(struct kunit *test, u8 fill, u32 length)
{
	struct fixture *f = test->priv;
	struct mydev_device *dev = &f->dev;
	struct mydev_buffer *buf;

	spin_lock_irq(&dev->rx_lock);
	if (!dev->pool.nr_free)
		mydev_clients_reclaim(dev);
	buf = mydev_buffer_fly(&dev->pool);
	if (buf) {
		memset(buf->data, fill, length);
		mydev_buffer_land(buf);
		mydev_clients_deliver(dev, buf, length);
		mydev_buffer_put(&dev->pool, buf);
	}
	spin_unlock_irq(&dev->rx_lock);
	return buf;
}

static ssize_t read_client(struct kunit *test, struct mydev_client *client,
			   size_t length)
{
	struct fixture *f = test->priv;
	struct kvec vec = { .iov_base = f->readback, .iov_len = length };
	struct iov_iter iter;

	iov_iter_kvec(&iter, ITER_DEST, &vec, 1, length);
	return mydev_client_read(client, &iter, true);
}

static unsigned int nr_free(struct kunit *test)
{
	struct fixture *f = test->priv;

	return f->dev.pool.nr_free;
}

/* packets = read + lost + queued, and the same for bytes */
static void expect_identity(struct kunit *test, struct mydev_client *client)
{
	struct mydev_stats stats = {};

	mydev_client_stats(client, &stats);
	KUNIT_EXPECT_EQ(test, stats.client_queued_packets,
			kfifo_len(&client->queue));
	KUNIT_EXPECT_EQ(test, stats.client_packets,
			stats.client_read_packets + stats.client_lost_packets +
			stats.client_queued_packets);
	KUNIT_EXPECT_EQ(test, stats.client_bytes,
			stats.client_read_bytes + stats.client_lost_bytes +
			stats.client_queued_bytes);
}

static void buffer_states(struct kunit *test)
{
	struct mydev_buffer *buf[NR_BUFFERS];
	struct mydev_pool pool = {};
	int i;

	KUNIT_ASSERT_EQ(test, mydev_pool_alloc(&pool, NR_BUFFERS, SIZE), 0);
	KUNIT_EXPECT_EQ(test, pool.nr_free, NR_BUFFERS);
	for (i = 0; i < NR_BUFFERS; i++) {
		buf[i] = mydev_buffer_fly(&pool);
		KUNIT_ASSERT_NOT_NULL(test, buf[i]);
		KUNIT_EXPECT_EQ(test, buf[i]->state, MYDEV_BUFFER_IN_FLIGHT);
		KUNIT_EXPECT_NULL(test, memchr_inv(buf[i]->data, 0, SIZE));
	}
	KUNIT_EXPECT_NULL(test, mydev_buffer_fly(&pool));

	mydev_buffer_land(buf[0]);
	KUNIT_EXPECT_EQ(test, buf[0]->state, MYDEV_BUFFER_HELD);
	mydev_buffer_get(buf[0]);
	mydev_buffer_put(&pool, buf[0]);
	KUNIT_EXPECT_EQ(test, buf[0]->state, MYDEV_BUFFER_HELD);
	KUNIT_EXPECT_EQ(test, pool.nr_free, 0);
	mydev_buffer_put(&pool, buf[0]);
	KUNIT_EXPECT_EQ(test, buf[0]->state, MYDEV_BUFFER_FREE);
	KUNIT_EXPECT_EQ(test, pool.nr_free, 1);
	/* The warm one is next. */
	KUNIT_EXPECT_PTR_EQ(test, mydev_buffer_fly(&pool), buf[0]);

	for (i = 0; i < NR_BUFFERS; i++) {
		mydev_buffer_land(buf[i]);
		mydev_buffer_put(&pool, buf[i]);
	}
	KUNIT_EXPECT_EQ(test, pool.nr_free, NR_BUFFERS);
	mydev_pool_free(&pool);
	KUNIT_EXPECT_NULL(test, pool.buffers);
	mydev_pool_free(&pool);
}

static void fan_out_shares(struct kunit *test)
{
	struct mydev_client *c[3];
	int i;

	for (i = 0; i < 3; i++)
		c[i] = open_client(test, i);

	KUNIT_ASSERT_TRUE(test, receive(test, 'a', 100));
	KUNIT_EXPECT_EQ(test, nr_free(test), NR_BUFFERS - 1);
	for (i = 0; i < 3; i++) {
		struct fixture *f = test->priv;

		KUNIT_EXPECT_EQ(test, nr_free(test), NR_BUFFERS - 1);
		KUNIT_EXPECT_EQ(test, read_client(test, c[i], 1000), 100);
		KUNIT_EXPECT_NULL(test, memchr_inv(f->readback, 'a', 100));
		expect_identity(test, c[i]);
	}
	KUNIT_EXPECT_EQ(test, nr_free(test), NR_BUFFERS);
}

static void reads_cross_packets(struct kunit *test)
{
	struct mydev_client *c = open_client(test, 0);
	struct fixture *f = test->priv;

	KUNIT_EXPECT_EQ(test, read_client(test, c, 10), -EAGAIN);
	receive(test, 'a', 10);
	receive(test, 0, 0);
	receive(test, 'b', 10);

	KUNIT_EXPECT_EQ(test, read_client(test, c, 4), 4);
	expect_identity(test, c);
	KUNIT_EXPECT_EQ(test, read_client(test, c, 12), 12);
	KUNIT_EXPECT_NULL(test, memchr_inv(f->readback, 'a', 6));
	KUNIT_EXPECT_NULL(test, memchr_inv(f->readback + 6, 'b', 6));
	expect_identity(test, c);
	KUNIT_EXPECT_EQ(test, read_client(test, c, 100), 4);
	KUNIT_EXPECT_EQ(test, read_client(test, c, 100), -EAGAIN);
	KUNIT_EXPECT_EQ(test, c->read_packets, 3);
	expect_identity(test, c);
}

static void lossless_stops_the_ring(struct kunit *test)
{
	struct mydev_client *c = open_client(test, 0);
	int i;

	mydev_client_demand(c);
	for (i = 0; i < NR_BUFFERS; i++)
		KUNIT_EXPECT_TRUE(test, receive(test, 'a' + i, SIZE));
	KUNIT_EXPECT_FALSE(test, receive(test, 'x', SIZE));
	KUNIT_EXPECT_EQ(test, c->lost_packets, 0);

	/* Half a packet frees nothing, the other half does. */
	KUNIT_EXPECT_EQ(test, read_client(test, c, SIZE / 2), SIZE / 2);
	KUNIT_EXPECT_FALSE(test, receive(test, 'x', SIZE));
	KUNIT_EXPECT_EQ(test, read_client(test, c, SIZE / 2), SIZE / 2);
	KUNIT_EXPECT_TRUE(test, receive(test, 'x', SIZE));
	expect_identity(test, c);
}

static void idle_member_is_reclaimed(struct kunit *test)
{
	struct mydev_client *idle = open_client(test, 0);
	struct mydev_client *reader = open_client(test, 1);
	struct fixture *f = test->priv;
	int i;

	mydev_client_demand(reader);
	for (i = 0; i < 3 * NR_BUFFERS; i++) {
		KUNIT_EXPECT_TRUE(test, receive(test, i, SIZE));
		KUNIT_EXPECT_EQ(test, read_client(test, reader, SIZE), SIZE);
	}
	KUNIT_EXPECT_EQ(test, reader->lost_packets, 0);
	KUNIT_EXPECT_EQ(test, idle->lost_packets, 2 * NR_BUFFERS);
	KUNIT_EXPECT_EQ(test, idle->gap.seq, 0);
	expect_identity(test, idle);

	/* It is told once, and then gets what is left. */
	KUNIT_EXPECT_EQ(test, read_client(test, idle, SIZE), -ENOBUFS);
	KUNIT_EXPECT_EQ(test, read_client(test, idle, SIZE), SIZE);
	KUNIT_EXPECT_EQ(test, f->readback[0], 2 * NR_BUFFERS);
	expect_identity(test, idle);

	/* Now it has asked, and holds the ring like anybody. */
	KUNIT_EXPECT_TRUE(test, receive(test, 0, SIZE));
	KUNIT_EXPECT_FALSE(test, receive(test, 0, SIZE));
	KUNIT_EXPECT_EQ(test, idle->lost_packets, 2 * NR_BUFFERS);
}

static void reclaim_spares_what_others_wait_for(struct kunit *test)
{
	struct mydev_client *idle = open_client(test, 0);
	struct mydev_client *reader = open_client(test, 1);
	int i;

	mydev_client_demand(reader);
	for (i = 0; i < NR_BUFFERS; i++)
		KUNIT_EXPECT_TRUE(test, receive(test, i, SIZE));

	/* All is held by the reader as well: dropping would free nothing. */
	KUNIT_EXPECT_FALSE(test, receive(test, 0, SIZE));
	KUNIT_EXPECT_EQ(test, idle->lost_packets, 0);

	/* The reader has let go of the first: that one can be taken. */
	KUNIT_EXPECT_EQ(test, read_client(test, reader, SIZE), SIZE);
	KUNIT_EXPECT_TRUE(test, receive(test, 0, SIZE));
	KUNIT_EXPECT_FALSE(test, receive(test, 0, SIZE));
	KUNIT_EXPECT_EQ(test, idle->lost_packets, 1);
	KUNIT_EXPECT_EQ(test, reader->lost_packets, 0);
	expect_identity(test, idle);
}

static void closing_frees(struct kunit *test)
{
	struct mydev_client *holder = open_client(test, 0);
	struct mydev_client *other = open_client(test, 1);
	struct fixture *f = test->priv;

	mydev_client_demand(holder);
	mydev_client_demand(other);
	while (receive(test, 0, SIZE))
		;
	while (read_client(test, other, SIZE) > 0)
		;
	KUNIT_EXPECT_EQ(test, nr_free(test), 0);
	mydev_client_close(holder);
	f->clients[0] = NULL;
	KUNIT_EXPECT_EQ(test, nr_free(test), NR_BUFFERS);
	KUNIT_EXPECT_TRUE(test, receive(test, 0, SIZE));
}

static void end_comes_after_the_data(struct kunit *test)
{
	struct mydev_client *c = open_client(test, 0);
	struct fixture *f = test->priv;

	receive(test, 'a', 10);
	f->dev.rx.state = MYDEV_STATE_FAILED;
	KUNIT_EXPECT_EQ(test, read_client(test, c, 100), 10);
	KUNIT_EXPECT_EQ(test, read_client(test, c, 100), -EIO);
	receive(test, 'a', 10);
	f->dev.rx.state = MYDEV_STATE_GONE;
	KUNIT_EXPECT_EQ(test, read_client(test, c, 100), 10);
	KUNIT_EXPECT_EQ(test, read_client(test, c, 100), -ENODEV);
	KUNIT_EXPECT_EQ(test, read_client(test, c, 0), 0);
}

static struct kunit_case ids_cases[] = {
	KUNIT_CASE(ids_good),
	KUNIT_CASE(ids_bad),
	KUNIT_CASE(ids_too_many),
	{}
};

static struct kunit_suite ids_suite = {
	.name = "mydev-ids",
	.test_cases = ids_cases,
};

static struct kunit_case client_cases[] = {
	KUNIT_CASE(buffer_states),
	KUNIT_CASE(fan_out_shares),
	KUNIT_CASE(reads_cross_packets),
	KUNIT_CASE(lossless_stops_the_ring),
	KUNIT_CASE(idle_member_is_reclaimed),
	KUNIT_CASE(reclaim_spares_what_others_wait_for),
	KUNIT_CASE(closing_frees),
	KUNIT_CASE(end_comes_after_the_data),
	{}
};

static struct kunit_suite client_suite = {
	.name = "mydev-client",
	.init = fixture_init,
	.exit = fixture_exit,
	.test_cases = client_cases,
};

kunit_test_suites(&ids_suite, &client_suite);

MYDEV_IMPORT_KUNIT_SYMBOLS;
MODULE_DESCRIPTION("Unit tests of mydev");
MODULE_AUTHOR("The mydev developers");
MODULE_LICENSE("GPL");
