// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unit tests of what needs no device: the parser of ids=, the states and
 * references of buffers, and who loses what when the pool runs dry.
 */
#include <linux/poll.h>
#include <linux/prandom.h>

#include "mydev_kunit.h"

/* ids= */

static void ids_good(struct kunit *test)
{
	struct usb_device_id table[3] = {};

	KUNIT_EXPECT_EQ(test, mydev_ids_parse(NULL, table, 3), 0);
	KUNIT_EXPECT_EQ(test, mydev_ids_parse("", table, 3), 0);
	KUNIT_EXPECT_EQ(test, mydev_ids_parse("\n", table, 3), 0);

	KUNIT_ASSERT_EQ(test,
			mydev_ids_parse("1209:000a,0403:6001:02,F:fFfF\n",
					table, 3),
			3);
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

/* Everything that a text is matched by, for one interface or another. */
static void ids_conditions(struct kunit *test)
{
	static const char list[] =
		" 0x1209:0X000a:0x1  bcd=0x100-1ff ,\t"
		"1:2 class=ff serial=A1* bcd=3,3:4 class=fe/2/0x1,5:6 class=1/2,\n";
	struct usb_device_id table[4] = {};

	KUNIT_ASSERT_EQ(test, mydev_ids_parse(list, table, 4), 4);
	KUNIT_EXPECT_EQ(test, table[0].idVendor, 0x1209);
	KUNIT_EXPECT_EQ(test, table[0].idProduct, 0x000a);
	KUNIT_EXPECT_EQ(test, table[0].bInterfaceNumber, 1);
	KUNIT_EXPECT_EQ(test, table[0].bcdDevice_lo, 0x100);
	KUNIT_EXPECT_EQ(test, table[0].bcdDevice_hi, 0x1ff);
	KUNIT_EXPECT_EQ(test, table[0].match_flags,
			USB_DEVICE_ID_MATCH_DEVICE |
				USB_DEVICE_ID_MATCH_INT_NUMBER |
				USB_DEVICE_ID_MATCH_DEV_RANGE);
	KUNIT_EXPECT_TRUE(test, mydev_ids_serial_matches(&table[0], NULL));
	KUNIT_EXPECT_EQ(test, table[1].bInterfaceClass, 0xff);
	KUNIT_EXPECT_EQ(test, table[1].bcdDevice_lo, 3);
	KUNIT_EXPECT_EQ(test, table[1].bcdDevice_hi, 3);
	KUNIT_EXPECT_EQ(test, table[1].match_flags,
			USB_DEVICE_ID_MATCH_DEVICE |
				USB_DEVICE_ID_MATCH_INT_CLASS |
				USB_DEVICE_ID_MATCH_DEV_RANGE);
	KUNIT_EXPECT_EQ(test, table[2].bInterfaceClass, 0xfe);
	KUNIT_EXPECT_EQ(test, table[2].bInterfaceSubClass, 2);
	KUNIT_EXPECT_EQ(test, table[2].bInterfaceProtocol, 1);
	KUNIT_EXPECT_EQ(test, table[2].match_flags,
			USB_DEVICE_ID_MATCH_DEVICE |
				USB_DEVICE_ID_MATCH_INT_INFO);
	KUNIT_EXPECT_EQ(test, table[3].match_flags,
			USB_DEVICE_ID_MATCH_DEVICE |
				USB_DEVICE_ID_MATCH_INT_CLASS |
				USB_DEVICE_ID_MATCH_INT_SUBCLASS);
	KUNIT_EXPECT_EQ(test, mydev_ids_parse("1:2,", table, 1), 1);
}

static void ids_serials(struct kunit *test)
{
	static const struct {
		const char *ids;
		const char *serial;
		bool matches;
	} cases[] = {
		{ "1:2", NULL, true },
		{ "1:2", "A", true },
		{ "1:2 serial=A1", "A1", true },
		{ "1:2 serial=A1\n", "A1", true },
		{ "1:2 serial=A1 bcd=1", "A1", true },
		{ "1:2 serial=A1,3:4", "A1", true },
		{ "1:2 serial=A1", "A12", false },
		{ "1:2 serial=A1", "A", false },
		{ "1:2 serial=A1", "", false },
		{ "1:2 serial=A1", NULL, false },
		{ "1:2 serial=A1*", "A1", true },
		{ "1:2 serial=A1*", "A12", true },
		{ "1:2 serial=A1* bcd=1", "A12", true },
		{ "1:2 serial=A1*", "A", false },
		{ "1:2 serial=A1*", "B12", false },
		{ "1:2 serial=*", "A", true },
		{ "1:2 serial=*", "", true },
		{ "1:2 serial=*", NULL, false },
	};
	struct usb_device_id table[2];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		KUNIT_ASSERT_GT(test, mydev_ids_parse(cases[i].ids, table, 2),
				0);
		KUNIT_EXPECT_EQ_MSG(
			test,
			mydev_ids_serial_matches(&table[0], cases[i].serial),
			cases[i].matches, "'%s', case %zu", cases[i].ids, i);
	}
}

static void ids_bad(struct kunit *test)
{
	static const char *const bad[] = {
		",",
		"1209",
		"1209:",
		":0001",
		"1209:0001:",
		",1209:0001",
		"1209:0001,,1209:0002",
		"1209:0001, ,1209:0002",
		"1209:0001,,",
		"12090:0001",
		"1209:00010",
		"0x12090:0001",
		"0x:0001",
		"1209:0001:123",
		"1209:0001:0:0",
		"1209-0001",
		"1209:000g",
		"1209 :0001",
		"1209:0001 1209:0002",
		"-1:1",
		"1:1 bcd",
		"1:1 bcd=",
		"1:1 bcd=12345",
		"1:1 bcd=2-1",
		"1:1 bcd=1-",
		"1:1 bcd=1 bcd=1",
		"1:1bcd=1",
		"bcd=1 1:1",
		"1:1 class=",
		"1:1 class=100",
		"1:1 class=ff/",
		"1:1 class=ff/0/0/0",
		"1:1 class=ff class=ff",
		"1:1 serial=",
		"1:1 serial=a*b",
		"1:1 serial=**",
		"1:1 serial=a serial=a",
		"1:1 Serial=a",
	};
	struct usb_device_id table[3];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		KUNIT_EXPECT_EQ_MSG(test, mydev_ids_parse(bad[i], table, 3),
				    -EINVAL, "'%s'", bad[i]);
}

/*
 * Any text: no entry but what it says, and nothing is read behind its end, where a
 * sanitizer watches.
 */
static void ids_any_text(struct kunit *test)
{
	static const char *const words[] = {
		"1209", "1",      "0x",      "0X2", ":", ":",    ",",
		" ",    "\t",     "\n",      "-",   "/", "*",    "=",
		"bcd=", "class=", "serial=", "ff",  "g", "1:2 ",
	};
	struct usb_device_id table[4];
	struct rnd_state rnd;
	char text[100];
	char *copy;
	int i, j, n;

	prandom_seed_state(&rnd, 1);
	for (i = 0; i < 3000; i++) {
		text[0] = '\0';
		for (j = prandom_u32_state(&rnd) % 16; j; j--)
			strlcat(text,
				words[prandom_u32_state(&rnd) %
				      ARRAY_SIZE(words)],
				sizeof(text));
		copy = kunit_kzalloc(test, strlen(text) + 1, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, copy);
		strscpy(copy, text, strlen(text) + 1);
		memset(table, 0, sizeof(table));
		n = mydev_ids_parse(copy, table, 3);
		KUNIT_EXPECT_TRUE_MSG(
			test, n >= 0 ? n <= 3 : n == -EINVAL || n == -ENOSPC,
			"'%s': %d", text, n);
		KUNIT_EXPECT_EQ(test, table[3].match_flags, 0);
		for (j = 0; j < n; j++) {
			KUNIT_EXPECT_EQ(test,
					table[j].match_flags &
						USB_DEVICE_ID_MATCH_DEVICE,
					USB_DEVICE_ID_MATCH_DEVICE);
			mydev_ids_serial_matches(&table[j], "0");
		}
		kunit_kfree(test, copy);
	}
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

static void read_all(struct kunit *test, struct mydev_client *client)
{
	int i;

	/* What it does not get in so many reads has no end. */
	for (i = 0; i < NR_ENTRIES; i++) {
		if (read_client(test, client, 2 * SIZE) == -EAGAIN)
			return;
	}
	KUNIT_FAIL(test, "there is always more to read");
}

/* As much as may come; @reader, if any, reads it. */
static void receive_all(struct kunit *test, struct mydev_client *reader)
{
	int i;

	for (i = 0; i < NR_ENTRIES; i++) {
		if (!receive(test, i, SIZE))
			return;
		if (reader)
			read_client(test, reader, SIZE);
	}
	KUNIT_FAIL(test, "nobody is waited for");
}

static void buffer_states(struct kunit *test)
{
	struct mydev_buffer *buf[NR_BUFFERS];
	struct mydev_pool pool = {};
	int i;

	KUNIT_ASSERT_EQ(test, mydev_pool_alloc(&pool, NR_BUFFERS, SIZE), 0);
	KUNIT_EXPECT_EQ(test, pool.nr_free, NR_BUFFERS);
	for (i = 0; i < NR_BUFFERS; i++) {
		buf[i] = mydev_buffer_get_free(&pool);
		KUNIT_ASSERT_NOT_NULL(test, buf[i]);
		KUNIT_EXPECT_EQ(test, buf[i]->state, MYDEV_BUFFER_IN_FLIGHT);
		KUNIT_EXPECT_NULL(test, memchr_inv(buf[i]->data, 0, SIZE));
	}
	KUNIT_EXPECT_NULL(test, mydev_buffer_get_free(&pool));

	mydev_buffer_complete(buf[0]);
	KUNIT_EXPECT_EQ(test, buf[0]->state, MYDEV_BUFFER_HELD);
	mydev_buffer_get(buf[0]);
	mydev_buffer_put(&pool, buf[0]);
	KUNIT_EXPECT_EQ(test, buf[0]->state, MYDEV_BUFFER_HELD);
	KUNIT_EXPECT_EQ(test, pool.nr_free, 0);
	mydev_buffer_put(&pool, buf[0]);
	KUNIT_EXPECT_EQ(test, buf[0]->state, MYDEV_BUFFER_FREE);
	KUNIT_EXPECT_EQ(test, pool.nr_free, 1);
	/* The warm one is next. */
	KUNIT_EXPECT_PTR_EQ(test, mydev_buffer_get_free(&pool), buf[0]);

	for (i = 0; i < NR_BUFFERS; i++) {
		mydev_buffer_complete(buf[i]);
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
	KUNIT_EXPECT_EQ(test, lost_packets(c), 0);

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
	u64 lost;
	int i;

	mydev_client_demand(reader);
	for (i = 0; i < 3 * NR_BUFFERS; i++) {
		KUNIT_EXPECT_TRUE(test, receive(test, i, SIZE));
		KUNIT_EXPECT_EQ(test, read_client(test, reader, SIZE), SIZE);
	}
	KUNIT_EXPECT_EQ(test, lost_packets(reader), 0);
	/* All but what can stay where two buffers are kept for the ring. */
	lost = 3 * NR_BUFFERS - (NR_BUFFERS - 2);
	KUNIT_EXPECT_EQ(test, lost_packets(idle), lost);
	expect_identity(test, idle);

	/* It is told once, and then gets what is left. */
	KUNIT_EXPECT_EQ(test, read_client(test, idle, SIZE), -ENOBUFS);
	KUNIT_EXPECT_EQ(test, read_client(test, idle, SIZE), SIZE);
	KUNIT_EXPECT_EQ(test, f->readback[0], lost);
	expect_identity(test, idle);

	/* Now it has asked, and blocks the ring like anybody. */
	for (i = 0; i < NR_BUFFERS - 1; i++)
		KUNIT_EXPECT_TRUE(test, receive(test, 0, SIZE));
	KUNIT_EXPECT_FALSE(test, receive(test, 0, SIZE));
	KUNIT_EXPECT_EQ(test, lost_packets(idle), lost);
}

static void reclaim_spares_what_others_wait_for(struct kunit *test)
{
	struct mydev_client *idle = open_client(test, 0);
	struct mydev_client *reader = open_client(test, 1);
	int i;

	mydev_client_demand(reader);
	for (i = 0; i < NR_BUFFERS; i++)
		KUNIT_EXPECT_TRUE(test, receive(test, i, SIZE));
	KUNIT_EXPECT_EQ(test, lost_packets(idle), 0);

	/* All is held by the reader as well: dropping would free nothing. */
	KUNIT_EXPECT_FALSE(test, receive(test, 0, SIZE));
	KUNIT_EXPECT_EQ(test, lost_packets(idle), 0);

	/* What the reader has let go of, and the idle one has lost, is free. */
	KUNIT_EXPECT_EQ(test, read_client(test, reader, SIZE), SIZE);
	KUNIT_EXPECT_TRUE(test, receive(test, 0, SIZE));
	KUNIT_EXPECT_FALSE(test, receive(test, 0, SIZE));
	KUNIT_EXPECT_EQ(test, lost_packets(idle), 1);
	KUNIT_EXPECT_EQ(test, lost_packets(reader), 0);
	expect_identity(test, idle);
}

/* Entries that free nothing are retired on the way to a buffer, in bounded steps. */
static void reclaim_is_done_in_steps(struct kunit *test)
{
	struct mydev_client *idle = open_client(test, 0);
	struct mydev_client *holder = open_client(test, 1);
	struct fixture *f = test->priv;
	struct mydev_device *dev = &f->dev;
	struct mydev_buffer *urbs[NR_BUFFERS];
	struct mydev_log *log = &dev->log;
	unsigned int i, n = 0, steps = 0;
	u64 tail, most = 0;
	bool done, free;

	KUNIT_EXPECT_EQ(test, read_client(test, holder, 1), -EAGAIN);
	/* More than are looked at under one hold of the lock. */
	for (i = 0; i < 3 * MYDEV_LOG_BATCH + 7; i++) {
		KUNIT_ASSERT_TRUE(test, receive(test, 0, 0));
		KUNIT_EXPECT_EQ(test, read_client(test, holder, 1), -EAGAIN);
	}
	KUNIT_EXPECT_EQ(test, lost_packets(idle), 0);
	/* Both have this one, and the rest of the pool is in flight. */
	KUNIT_ASSERT_TRUE(test, receive(test, 'b', SIZE));
	spin_lock_irq(&dev->rx_lock);
	while (n < NR_BUFFERS && dev->pool.nr_free)
		urbs[n++] = mydev_buffer_get_free(&dev->pool);
	free = mydev_rx_can_submit(dev, 1);
	do {
		tail = log->tail;
		done = mydev_pool_reclaim(dev, 1, MYDEV_LOG_BATCH);
		most = max(most, log->tail - tail);
	} while (!done && ++steps < 10);
	while (n--) {
		mydev_buffer_complete(urbs[n]);
		mydev_buffer_put(&dev->pool, urbs[n]);
	}
	spin_unlock_irq(&dev->rx_lock);
	KUNIT_EXPECT_FALSE(test, free);
	KUNIT_EXPECT_TRUE(test, done);
	KUNIT_EXPECT_LE(test, most, MYDEV_LOG_BATCH);
	/* The packet that the holder has not read is there for both. */
	KUNIT_EXPECT_EQ(test, log->head - log->tail, 1);
	KUNIT_EXPECT_EQ(test, queued_packets(idle), 1);
	KUNIT_EXPECT_EQ(test, read_client(test, holder, SIZE), SIZE);
	KUNIT_EXPECT_EQ(test, f->readback[0], 'b');
	expect_identity(test, idle);
}

/* However much a client has not read: one that is evicted has lost it at once. */
static void lapped_at_once(struct kunit *test)
{
	struct mydev_client *stuck = open_client(test, 0);
	struct mydev_client *other = open_client(test, 1);
	const struct mydev_packet_header *h;
	const struct mydev_gap_record *gap;
	struct fixture *f = test->priv;
	unsigned int i, n = 4 * MYDEV_LOG_BATCH;

	configure(test, stuck, MYDEV_MODE_PACKET, MYDEV_POLICY_LOSSLESS, n);
	KUNIT_EXPECT_EQ(test, read_client(test, stuck, 1), -EAGAIN);
	for (i = 0; i < n; i++)
		KUNIT_ASSERT_TRUE(test, receive(test, 0, 0));
	KUNIT_EXPECT_FALSE(test, receive(test, 0, 0));
	spin_lock_irq(&f->dev.rx_lock);
	mydev_clients_evict(&f->dev);
	spin_unlock_irq(&f->dev.rx_lock);
	KUNIT_EXPECT_EQ(test, lost_packets(stuck), n);
	/* It is of no one else's: the log still has it. */
	KUNIT_EXPECT_EQ(test, lost_packets(other), 0);
	/* What comes then is not taken away. */
	KUNIT_EXPECT_TRUE(test, receive(test, 'n', 8));
	KUNIT_EXPECT_EQ(test, lost_packets(stuck), n);
	KUNIT_EXPECT_EQ(test, queued_packets(stuck), 1);
	expect_identity(test, stuck);

	h = (void *)f->readback;
	gap = (void *)(h + 1);
	KUNIT_ASSERT_EQ(test, read_client(test, stuck, sizeof(*h) + 16),
			sizeof(*h) + 16);
	KUNIT_EXPECT_EQ(test, h->type, MYDEV_RECORD_GAP);
	KUNIT_EXPECT_EQ(test, gap->packets, n);
	KUNIT_EXPECT_EQ(test, gap->bytes, 0);
	KUNIT_ASSERT_EQ(test, read_client(test, stuck, SIZE), sizeof(*h) + 8);
	KUNIT_EXPECT_EQ(test, h->sequence, n);
	expect_identity(test, stuck);
}

static void closing_frees(struct kunit *test)
{
	struct mydev_client *holder = open_client(test, 0);
	struct mydev_client *other = open_client(test, 1);

	mydev_client_demand(holder);
	mydev_client_demand(other);
	receive_all(test, NULL);
	read_all(test, other);
	KUNIT_EXPECT_EQ(test, nr_free(test), 0);
	close_client(test, 0);
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

static void small_packets_are_packed(struct kunit *test)
{
	struct mydev_client *c = open_client(test, 0);
	struct fixture *f = test->priv;
	int i, n = SIZE / 64;

	mydev_client_demand(c);
	/* As many as fit in one buffer, one more, and a big one between. */
	for (i = 0; i < n / 2; i++)
		KUNIT_ASSERT_TRUE(test, receive(test, i, 64));
	KUNIT_ASSERT_TRUE(test, receive(test, 'B', SIZE));
	for (; i < n + 1; i++)
		KUNIT_ASSERT_TRUE(test, receive(test, i, 64));
	KUNIT_EXPECT_EQ(test, f->dev.pool.nr_free, NR_BUFFERS - 3);

	for (i = 0; i < n / 2; i++) {
		KUNIT_ASSERT_EQ(test, read_client(test, c, 64), 64);
		KUNIT_EXPECT_NULL(test, memchr_inv(f->readback, i, 64));
	}
	KUNIT_ASSERT_EQ(test, read_client(test, c, SIZE), SIZE);
	KUNIT_EXPECT_NULL(test, memchr_inv(f->readback, 'B', SIZE));
	KUNIT_ASSERT_EQ(test, read_client(test, c, 2 * SIZE),
			(n + 1 - n / 2) * 64);
	for (; i < n + 1; i++)
		KUNIT_EXPECT_EQ(test, f->readback[(i - n / 2) * 64], i);
	KUNIT_EXPECT_EQ(test, nr_free(test), NR_BUFFERS);
	expect_identity(test, c);
}

static void queue_depth_stops_the_ring(struct kunit *test)
{
	struct mydev_client *c = open_client(test, 0);
	int i;

	mydev_client_demand(c);
	configure(test, c, MYDEV_MODE_STREAM, MYDEV_POLICY_LOSSLESS, 5);
	for (i = 0; i < 5; i++)
		KUNIT_EXPECT_TRUE(test, receive(test, i, 8));
	KUNIT_EXPECT_FALSE(test, receive(test, i, 8));
	KUNIT_EXPECT_EQ(test, lost_packets(c), 0);
	KUNIT_EXPECT_EQ(test, read_client(test, c, 8), 8);
	KUNIT_EXPECT_TRUE(test, receive(test, i, 8));

	/* A shorter queue keeps what is in it. */
	configure(test, c, MYDEV_MODE_STREAM, MYDEV_POLICY_LOSSLESS, 1);
	KUNIT_EXPECT_FALSE(test, receive(test, i, 8));
	KUNIT_EXPECT_EQ(test, read_client(test, c, SIZE), 40);
	KUNIT_EXPECT_TRUE(test, receive(test, i, 8));
	expect_identity(test, c);
}

static void changing_the_depth_keeps_what_is_queued(struct kunit *test)
{
	static const u32 depths[] = { 1, 2, 65536, 300, 1, 1000 };
	struct mydev_client *c = open_client(test, 0);
	struct fixture *f = test->priv;
	int i, n = 400;

	mydev_client_demand(c);
	for (i = 0; i < n; i++)
		KUNIT_ASSERT_TRUE(test, receive(test, i, 8));
	for (i = 0; i < ARRAY_SIZE(depths); i++) {
		configure(test, c, MYDEV_MODE_STREAM, MYDEV_POLICY_LOSSLESS,
			  depths[i]);
		KUNIT_EXPECT_EQ(test, queued_packets(c), n);
	}
	KUNIT_EXPECT_EQ(test, lost_packets(c), 0);
	KUNIT_ASSERT_EQ(test, read_client(test, c, n * 8), n * 8);
	for (i = 0; i < n; i++)
		KUNIT_EXPECT_EQ(test, f->readback[i * 8], (u8)i);
	KUNIT_EXPECT_EQ(test, nr_free(test), NR_BUFFERS);
}

static void watermark_waits_and_does_not_hang(struct kunit *test)
{
	struct mydev_client *c = open_client(test, 0);
	struct fixture *f = test->priv;
	struct mydev_config config;
	int i;

	/* As if a transfer were in flight: more can come. */
	f->dev.rx.in_flight = 1;
	f->dev.rx.state = MYDEV_STATE_RUNNING;
	WRITE_ONCE(c->demanded, true);
	f->dev.rx.users = 1;

	mydev_client_get_config(c, &config);
	config.watermark = 100;
	KUNIT_ASSERT_EQ(test, mydev_client_set_config(c, &config), 0);
	receive(test, 'a', 60);
	KUNIT_EXPECT_FALSE(test, mydev_client_ready(c));
	receive(test, 'b', 60);
	KUNIT_EXPECT_TRUE(test, mydev_client_ready(c));
	KUNIT_EXPECT_EQ(test, read_client(test, c, 30), 30);
	KUNIT_EXPECT_FALSE(test, mydev_client_ready(c));

	/* The ring has stopped: whatever is there is worth it, again and again. */
	f->dev.rx.in_flight = 0;
	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_TRUE(test, mydev_client_ready(c));
		KUNIT_EXPECT_EQ(test, read_client(test, c, 30), 30);
	}
	f->dev.rx.in_flight = 1;

	/* So is a loss that no packet follows. */
	KUNIT_EXPECT_EQ(test, read_client(test, c, 100), 30);
	config.policy = MYDEV_POLICY_DROP_NEWEST;
	config.queue_depth = 2;
	KUNIT_ASSERT_EQ(test, mydev_client_set_config(c, &config), 0);
	for (i = 0; i < 2; i++)
		receive(test, 'c', 8);
	KUNIT_EXPECT_FALSE(test, mydev_client_ready(c));
	receive(test, 'd', 8);
	KUNIT_EXPECT_TRUE(test, mydev_client_ready(c));
	f->dev.rx.in_flight = 0;
}

static void geometry_waits_for_packed_packets(struct kunit *test)
{
	struct mydev_client *a = open_client(test, 0);
	struct mydev_client *b = open_client(test, 1);
	struct fixture *f = test->priv;
	struct mydev_geometry geometry;

	f->dev.info.ep_in_max_packet = 512;
	receive(test, 'a', 8);
	KUNIT_EXPECT_EQ(test, read_client(test, a, 8), 8);
	close_client(test, 0);

	mydev_rx_get_geometry(&f->dev, &geometry);
	geometry.transfers = 1;
	KUNIT_EXPECT_EQ(test, mydev_rx_set_geometry(&f->dev, NULL, &geometry),
			-EBUSY);
	KUNIT_EXPECT_EQ(test, read_client(test, b, 8), 8);
}

static void drop_oldest(struct kunit *test)
{
	struct mydev_client *c = open_client(test, 0);
	const struct mydev_packet_header *h;
	const struct mydev_gap_record *gap;
	int i;

	mydev_client_demand(c);
	configure(test, c, MYDEV_MODE_PACKET, MYDEV_POLICY_DROP_OLDEST, 4);
	for (i = 0; i < 10; i++)
		KUNIT_EXPECT_TRUE(test, receive(test, i, 8));
	expect_identity(test, c);
	KUNIT_EXPECT_EQ(test, lost_packets(c), 6);

	/* Too small a buffer for the gap takes nothing. */
	KUNIT_EXPECT_EQ(test, read_client(test, c, sizeof(*h)), -EMSGSIZE);
	h = (void *)((struct fixture *)test->priv)->readback;
	gap = (void *)(h + 1);
	KUNIT_EXPECT_EQ(test, read_client(test, c, sizeof(*h) + 16),
			sizeof(*h) + 16);
	KUNIT_EXPECT_EQ(test, h->type, MYDEV_RECORD_GAP);
	KUNIT_EXPECT_EQ(test, h->header_size, sizeof(*h));
	KUNIT_EXPECT_EQ(test, h->record_size, sizeof(*h) + 16);
	KUNIT_EXPECT_EQ(test, h->sequence, 0);
	KUNIT_EXPECT_EQ(test, gap->packets, 6);
	KUNIT_EXPECT_EQ(test, gap->bytes, 48);
	expect_identity(test, c);
	KUNIT_EXPECT_EQ(test, read_client(test, c, sizeof(*h) + 8),
			sizeof(*h) + 8);
	KUNIT_EXPECT_EQ(test, h->type, MYDEV_RECORD_PACKET);
	KUNIT_EXPECT_EQ(test, h->sequence, 6);
	KUNIT_EXPECT_EQ(test, h->length, 8);
	KUNIT_EXPECT_EQ(test, *(u8 *)(h + 1), 6);

	/* Other settings do not give back what the old ones have cost. */
	for (i = 0; i < 10; i++)
		KUNIT_EXPECT_TRUE(test, receive(test, i, 8));
	configure(test, c, MYDEV_MODE_PACKET, MYDEV_POLICY_LOSSLESS, 100);
	KUNIT_EXPECT_EQ(test, lost_packets(c), 6 + 9);
	expect_identity(test, c);
}

static void drop_newest(struct kunit *test)
{
	struct mydev_client *c = open_client(test, 0);
	const size_t record = sizeof(struct mydev_packet_header) + 8;
	const struct mydev_packet_header *h;
	const struct mydev_gap_record *gap;
	int i;

	mydev_client_demand(c);
	configure(test, c, MYDEV_MODE_PACKET, MYDEV_POLICY_DROP_NEWEST, 4);
	for (i = 0; i < 10; i++)
		KUNIT_EXPECT_TRUE(test, receive(test, i, 8));
	expect_identity(test, c);
	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_EQ(test, read_client(test, c, record), record);
		expect_identity(test, c);
	}
	/* It keeps what it had when it was full, and skips what comes until that is read. */
	KUNIT_EXPECT_TRUE(test, receive(test, 10, 8));
	expect_identity(test, c);
	for (i = 2; i < 4; i++) {
		h = (void *)((struct fixture *)test->priv)->readback;
		KUNIT_EXPECT_EQ(test, read_client(test, c, record), record);
		KUNIT_EXPECT_EQ(test, h->sequence, i);
	}
	KUNIT_EXPECT_EQ(test, lost_packets(c), 7);
	/* Then it goes on at the head. */
	KUNIT_EXPECT_TRUE(test, receive(test, 11, 8));
	KUNIT_EXPECT_EQ(test, read_client(test, c, sizeof(*h) + 16),
			sizeof(*h) + 16);
	gap = (void *)(h + 1);
	KUNIT_EXPECT_EQ(test, h->type, MYDEV_RECORD_GAP);
	KUNIT_EXPECT_EQ(test, h->sequence, 4);
	KUNIT_EXPECT_EQ(test, gap->packets, 7);
	KUNIT_EXPECT_EQ(test, gap->bytes, 56);
	KUNIT_EXPECT_EQ(test, read_client(test, c, record), record);
	KUNIT_EXPECT_EQ(test, h->sequence, 11);
	KUNIT_EXPECT_EQ(test, *(u8 *)(h + 1), 11);
	KUNIT_EXPECT_EQ(test, read_client(test, c, record), -EAGAIN);
	expect_identity(test, c);
}

static void gap_at_the_end_is_told_of(struct kunit *test)
{
	struct mydev_client *c = open_client(test, 0);

	mydev_client_demand(c);
	configure(test, c, MYDEV_MODE_STREAM, MYDEV_POLICY_DROP_NEWEST, 1);
	receive(test, 'a', 8);
	receive(test, 'b', 8);
	KUNIT_EXPECT_EQ(test, read_client(test, c, 100), 8);
	/* Nothing follows, and yet the reader is told. */
	KUNIT_EXPECT_EQ(test, read_client(test, c, 100), -ENOBUFS);
	KUNIT_EXPECT_EQ(test, read_client(test, c, 100), -EAGAIN);
	expect_identity(test, c);
}

static void switching_loses_nothing(struct kunit *test)
{
	struct mydev_client *c = open_client(test, 0);
	const struct mydev_packet_header *h;
	struct fixture *f = test->priv;

	receive(test, 'a', 10);
	receive(test, 'b', 10);
	KUNIT_EXPECT_EQ(test, read_client(test, c, 4), 4);
	configure(test, c, MYDEV_MODE_PACKET, MYDEV_POLICY_LOSSLESS, 100);
	receive(test, 0, 0);
	h = (void *)f->readback;
	KUNIT_EXPECT_EQ(test, read_client(test, c, sizeof(*h) + 8),
			sizeof(*h) + 8);
	KUNIT_EXPECT_EQ(test, h->flags, MYDEV_PACKET_PARTIAL);
	KUNIT_EXPECT_EQ(test, h->length, 6);
	KUNIT_EXPECT_EQ(test, h->sequence, 0);
	KUNIT_EXPECT_EQ(test, read_client(test, c, sizeof(*h) + 16),
			sizeof(*h) + 16);
	KUNIT_EXPECT_EQ(test, h->sequence, 1);
	KUNIT_EXPECT_EQ(test, h->flags, 0);
	KUNIT_EXPECT_EQ(test, h->length, 10);
	/* The packet without a byte is a record as well. */
	KUNIT_EXPECT_EQ(test, read_client(test, c, sizeof(*h)), sizeof(*h));
	KUNIT_EXPECT_EQ(test, h->sequence, 2);
	KUNIT_EXPECT_EQ(test, h->length, 0);
	expect_identity(test, c);

	/* Back again, with a packet of no bytes in the way. */
	receive(test, 0, 0);
	receive(test, 'd', 10);
	configure(test, c, MYDEV_MODE_STREAM, MYDEV_POLICY_DROP_OLDEST, 3);
	KUNIT_EXPECT_EQ(test, read_client(test, c, 100), 10);
	KUNIT_EXPECT_EQ(test, f->readback[0], 'd');
	KUNIT_EXPECT_EQ(test, lost_packets(c), 0);
	expect_identity(test, c);
}

static void stuck_client_is_lapped(struct kunit *test)
{
	struct mydev_client *stuck = open_client(test, 0);
	struct mydev_client *reader = open_client(test, 1);
	struct fixture *f = test->priv;
	bool waiting, before, after;
	int i;

	mydev_client_demand(stuck);
	mydev_client_demand(reader);
	for (i = 0; i < NR_BUFFERS; i++)
		KUNIT_EXPECT_TRUE(test, receive(test, i, SIZE));
	KUNIT_EXPECT_FALSE(test, receive(test, i, SIZE));

	/* Nobody waits yet: see mydev_rx_block_work(). */
	spin_lock_irq(&f->dev.rx_lock);
	waiting = mydev_clients_waiting(&f->dev);
	spin_unlock_irq(&f->dev.rx_lock);
	KUNIT_EXPECT_FALSE(test, waiting);

	read_all(test, reader);
	spin_lock_irq(&f->dev.rx_lock);
	waiting = mydev_clients_waiting(&f->dev);
	before = mydev_rx_can_submit(&f->dev, 1);
	mydev_clients_evict(&f->dev);
	after = mydev_rx_can_submit(&f->dev, 1);
	spin_unlock_irq(&f->dev.rx_lock);
	KUNIT_EXPECT_TRUE(test, waiting);
	KUNIT_EXPECT_FALSE(test, before);
	KUNIT_EXPECT_TRUE(test, after);
	KUNIT_EXPECT_EQ(test, lost_packets(stuck), NR_BUFFERS);
	KUNIT_EXPECT_EQ(test, lost_packets(reader), 0);
	expect_identity(test, stuck);

	/* Lapped, it may lose more; once it reads, it holds again. */
	for (i = 0; i < 2 * NR_BUFFERS; i++) {
		KUNIT_EXPECT_TRUE(test, receive(test, i, SIZE));
		KUNIT_EXPECT_EQ(test, read_client(test, reader, SIZE), SIZE);
	}
	KUNIT_EXPECT_EQ(test, read_client(test, stuck, SIZE), -ENOBUFS);
	receive_all(test, reader);
	KUNIT_EXPECT_EQ(test, lost_packets(reader), 0);
	expect_identity(test, stuck);
}

/* A client that is further behind, but lets more come, is in nobody's way. */
static void evicts_what_is_in_the_way(struct kunit *test)
{
	struct mydev_client *full = open_client(test, 0);
	struct mydev_client *behind = open_client(test, 1);
	struct mydev_client *reader = open_client(test, 2);
	struct mydev_device *dev = full->dev;
	int i;

	mydev_client_demand(behind);
	mydev_client_demand(reader);
	KUNIT_EXPECT_TRUE(test, receive(test, 0, 8));
	configure(test, full, MYDEV_MODE_STREAM, MYDEV_POLICY_LOSSLESS, 3);
	KUNIT_EXPECT_EQ(test, read_client(test, full, 8), 8);
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_TRUE(test, receive(test, i, 8));
	KUNIT_EXPECT_FALSE(test, receive(test, i, 8));
	read_all(test, reader);
	spin_lock_irq(&dev->rx_lock);
	mydev_clients_evict(dev);
	spin_unlock_irq(&dev->rx_lock);
	KUNIT_EXPECT_TRUE(test, full->evicted);
	KUNIT_EXPECT_FALSE(test, behind->evicted);
	KUNIT_EXPECT_FALSE(test, reader->evicted);
	KUNIT_EXPECT_TRUE(test, receive(test, i, 8));
	KUNIT_EXPECT_EQ(test, lost_packets(full), 3);
	KUNIT_EXPECT_EQ(test, lost_packets(behind), 0);
}

/* Somebody who sleeps on the wait queue of a client, and how often it is woken. */
struct sleeper {
	struct wait_queue_entry entry;
	unsigned int woken;
};

static int sleeper_wake(struct wait_queue_entry *entry, unsigned int mode,
			int flags, void *key)
{
	container_of(entry, struct sleeper, entry)->woken++;
	return 1;
}

static void look_by_poll(struct kunit *test, struct mydev_client *client)
{
	KUNIT_EXPECT_TRUE(test, mydev_client_poll(client, EPOLLIN) & EPOLLIN);
}

static void look_by_reading(struct kunit *test, struct mydev_client *client)
{
	KUNIT_EXPECT_EQ(test, read_client(test, client, 8), 8);
}

static void look_before_reading(struct kunit *test, struct mydev_client *client)
{
	KUNIT_EXPECT_TRUE(test, mydev_client_ready(client));
}

static void look_by_nobody(struct kunit *test, struct mydev_client *client)
{
}

static void end_of_tick(struct kunit *test, struct mydev_client *client)
{
	unsigned long begin = jiffies;

	while (!time_after(jiffies, begin))
		schedule_timeout_uninterruptible(1);
}

/* What was woken and does not look is woken again within a tick, and then rests. */
static void some_ticks(struct kunit *test, struct mydev_client *client)
{
	int i;

	for (i = 0; i < 4; i++)
		end_of_tick(test, client);
}

/* How often four packets wake somebody, with @look behind the first one. */
static unsigned int wakes(struct kunit *test, struct mydev_client *client,
			  struct sleeper *sleeper,
			  void (*look)(struct kunit *, struct mydev_client *))
{
	unsigned long begin;
	int i;

	/* All within one tick, but for those that are to be of two. */
	do {
		read_all(test, client);
		/* On the queue, then the look, as anybody who is going to sleep. */
		KUNIT_EXPECT_FALSE(test, mydev_client_ready(client));
		begin = jiffies;
		sleeper->woken = 0;
		receive(test, 'a', 8);
		look(test, client);
		if (look == end_of_tick)
			begin = jiffies;
		for (i = 0; i < 3; i++)
			receive(test, 'b', 8);
	} while (time_after(jiffies, begin));
	if (look == end_of_tick) {
		KUNIT_EXPECT_EQ(test, sleeper->woken, 1);
		some_ticks(test, client);
	}
	return sleeper->woken;
}

static void wakes_once(struct kunit *test)
{
	struct mydev_client *c = open_client(test, 0);
	struct sleeper sleeper = {};

	mydev_client_demand(c);
	/* The ring that it starts finds no transfer, and wakes readers for that. */
	flush_delayed_work(&c->dev->rx.work);
	init_waitqueue_func_entry(&sleeper.entry, sleeper_wake);
	add_wait_queue(&c->wait, &sleeper.entry);
	KUNIT_EXPECT_EQ(test, wakes(test, c, &sleeper, look_by_nobody), 1);
	KUNIT_EXPECT_EQ(test, wakes(test, c, &sleeper, look_by_poll), 2);
	KUNIT_EXPECT_EQ(test, wakes(test, c, &sleeper, look_by_reading), 2);
	KUNIT_EXPECT_EQ(test, wakes(test, c, &sleeper, look_before_reading), 2);
	KUNIT_EXPECT_EQ(test, wakes(test, c, &sleeper, end_of_tick), 2);

	/* What ends the stream is told in any case. */
	sleeper.woken = 0;
	spin_lock_irq(&c->dev->rx_lock);
	mydev_clients_wake(c->dev);
	spin_unlock_irq(&c->dev->rx_lock);
	KUNIT_EXPECT_EQ(test, sleeper.woken, 1);

	/* Who does not look needs each of them. */
	mydev_client_poll(c, EPOLLIN | EPOLLET);
	KUNIT_EXPECT_EQ(test, wakes(test, c, &sleeper, look_by_nobody), 4);
	remove_wait_queue(&c->wait, &sleeper.entry);
}

/* Nobody sleeps, nobody is looked at; but who is about to sleep must be. */
static void only_sleepers_are_woken(struct kunit *test)
{
	struct mydev_client *c = open_client(test, 0);
	struct mydev_device *dev = c->dev;
	struct sleeper sleeper = {};

	mydev_client_demand(c);
	flush_delayed_work(&dev->rx.work);
	KUNIT_EXPECT_TRUE(test, receive(test, 'a', 8));
	KUNIT_EXPECT_TRUE(test, list_empty(&dev->sleepers));
	KUNIT_EXPECT_EQ(test, read_client(test, c, 8), 8);
	KUNIT_EXPECT_TRUE(test, list_empty(&c->wake.list));

	/* A waiter that has gone is forgotten with the next packet. */
	init_waitqueue_func_entry(&sleeper.entry, sleeper_wake);
	add_wait_queue(&c->wait, &sleeper.entry);
	KUNIT_EXPECT_FALSE(test, mydev_client_ready(c));
	KUNIT_EXPECT_FALSE(test, list_empty(&dev->sleepers));
	remove_wait_queue(&c->wait, &sleeper.entry);
	KUNIT_EXPECT_TRUE(test, receive(test, 'b', 8));
	KUNIT_EXPECT_TRUE(test, list_empty(&dev->sleepers));
	KUNIT_EXPECT_TRUE(test, list_empty(&dev->woken));
	KUNIT_EXPECT_EQ(test, sleeper.woken, 0);

	/* So is one that was woken and has died. */
	KUNIT_EXPECT_EQ(test, read_client(test, c, 8), 8);
	add_wait_queue(&c->wait, &sleeper.entry);
	KUNIT_EXPECT_FALSE(test, mydev_client_ready(c));
	KUNIT_EXPECT_TRUE(test, receive(test, 'c', 8));
	KUNIT_EXPECT_EQ(test, sleeper.woken, 1);
	KUNIT_EXPECT_FALSE(test, list_empty(&dev->woken));
	remove_wait_queue(&c->wait, &sleeper.entry);
	KUNIT_EXPECT_TRUE(test, receive(test, 'd', 8));
	some_ticks(test, c);
	KUNIT_EXPECT_TRUE(test, list_empty(&dev->woken));
	KUNIT_EXPECT_EQ(test, sleeper.woken, 1);
}

/* The count of what may be in flight is kept, and must not outlive its truth. */
static void more_holders_less_room(struct kunit *test)
{
	struct mydev_client *full = open_client(test, 0);
	struct mydev_client *reader = open_client(test, 1);
	struct mydev_device *dev = full->dev;
	int i;

	mydev_client_demand(reader);
	configure(test, full, MYDEV_MODE_STREAM, MYDEV_POLICY_DROP_NEWEST, 3);
	for (i = 0; i < 5; i++)
		KUNIT_EXPECT_TRUE(test, receive(test, i, 8));

	/* Each of these makes a holder of it, which has no room. */
	mydev_client_demand(full);
	KUNIT_EXPECT_TRUE(test, receive(test, i, 8));
	configure(test, full, MYDEV_MODE_STREAM, MYDEV_POLICY_LOSSLESS, 3);
	KUNIT_EXPECT_FALSE(test, receive(test, i, 8));
	/* What it would have skipped is not lost yet, and fills its depth. */
	KUNIT_EXPECT_EQ(test, lost_packets(full), 0);
	KUNIT_EXPECT_EQ(test, read_client(test, full, 24), 24);
	KUNIT_EXPECT_FALSE(test, receive(test, i, 8));
	KUNIT_EXPECT_EQ(test, read_client(test, full, 8), 8);
	KUNIT_EXPECT_TRUE(test, receive(test, i, 8));
	KUNIT_EXPECT_FALSE(test, receive(test, i, 8));

	read_all(test, reader);
	spin_lock_irq(&dev->rx_lock);
	mydev_clients_evict(dev);
	spin_unlock_irq(&dev->rx_lock);
	KUNIT_EXPECT_EQ(test, lost_packets(full), 3);
	for (i = 0; i < 5; i++)
		KUNIT_EXPECT_TRUE(test, receive(test, i, 8));
	/* A read of nothing is one: it takes part again. */
	KUNIT_EXPECT_EQ(test, read_client(test, full, 1), -ENOBUFS);
	KUNIT_EXPECT_FALSE(test, receive(test, i, 8));

	configure(test, full, MYDEV_MODE_STREAM, MYDEV_POLICY_LOSSLESS, 100);
	KUNIT_EXPECT_TRUE(test, receive(test, i, 8));
	configure(test, full, MYDEV_MODE_STREAM, MYDEV_POLICY_LOSSLESS, 1);
	KUNIT_EXPECT_FALSE(test, receive(test, i, 8));
	expect_identity(test, full);
	expect_identity(test, reader);
}

/* The ring stops; returns how many it waits for. */
static unsigned int stop_for(struct kunit *test, u32 length)
{
	struct fixture *f = test->priv;
	struct mydev_device *dev = &f->dev;
	unsigned int waited;

	while (receive(test, 'x', length))
		;
	spin_lock_irq(&dev->rx_lock);
	mydev_holders_tell(dev);
	waited = dev->log.waited;
	KUNIT_EXPECT_EQ(test, mydev_rx_may_go_on(dev), !waited);
	spin_unlock_irq(&dev->rx_lock);
	return waited;
}

/* Of all that a ring waits for, only the last one that moves on has it look at all. */
static void last_in_the_way_starts_the_ring(struct kunit *test)
{
	static const u32 lengths[] = { SIZE, 8 };
	struct fixture *f = test->priv;
	struct mydev_device *dev = &f->dev;
	int i, j;

	dev->rx.state = MYDEV_STATE_RUNNING;
	for (i = 0; i < 3; i++)
		mydev_client_demand(open_client(test, i));
	for (j = 0; j < ARRAY_SIZE(lengths); j++) {
		for (i = 0; i < 3; i++)
			configure(test, f->clients[i], MYDEV_MODE_STREAM,
				  MYDEV_POLICY_LOSSLESS, j ? 3 : 100);
		KUNIT_EXPECT_EQ(test, stop_for(test, lengths[j]), 3);
		KUNIT_EXPECT_EQ(test, dev->log.deep, j == 1);
		read_all(test, f->clients[1]);
		KUNIT_EXPECT_EQ(test, dev->log.waited, 2);
		/* Half a packet is nothing. */
		KUNIT_EXPECT_EQ(test, read_client(test, f->clients[0], 4), 4);
		KUNIT_EXPECT_EQ(test, dev->log.waited, 2);
		KUNIT_EXPECT_FALSE(test, mydev_rx_may_go_on(dev));
		read_all(test, f->clients[0]);
		KUNIT_EXPECT_EQ(test, dev->log.waited, 1);
		read_all(test, f->clients[2]);
		KUNIT_EXPECT_TRUE(test, mydev_rx_may_go_on(dev));
		KUNIT_EXPECT_TRUE(test, receive(test, 'y', 8));
		for (i = 0; i < 3; i++)
			read_all(test, f->clients[i]);
	}

	/* Who holds no more, or is gone, is not waited for either. */
	KUNIT_EXPECT_EQ(test, stop_for(test, 8), 3);
	configure(test, f->clients[0], MYDEV_MODE_STREAM,
		  MYDEV_POLICY_DROP_OLDEST, 3);
	KUNIT_EXPECT_TRUE(test, mydev_rx_may_go_on(dev));
	KUNIT_EXPECT_EQ(test, stop_for(test, 8), 2);
	spin_lock_irq(&dev->rx_lock);
	mydev_clients_evict(dev);
	spin_unlock_irq(&dev->rx_lock);
	KUNIT_EXPECT_TRUE(test, mydev_rx_may_go_on(dev));
	KUNIT_EXPECT_EQ(test, stop_for(test, 8), 1);
	close_client(test, f->clients[1]->evicted ? 2 : 1);
	KUNIT_EXPECT_TRUE(test, mydev_rx_may_go_on(dev));
	dev->rx.state = MYDEV_STATE_IDLE;
}

#if MYDEV_HAS_RING
/* A program writes its cursor, and nobody is called. */
static void ring_takes(struct mydev_client *client, u64 entries)
{
	struct mydev_ring *page = client->ring.page;

	/* Pairs with the acquire of the kernel: all before it was used. */
	smp_store_release(&page->cursor, page->cursor + entries);
}

/* A program that takes nothing is in nobody's way, unless it is to lose nothing. */
static void rings_hold_by_their_cursor(struct kunit *test)
{
	struct mydev_client *ring = open_client(test, 0);
	struct mydev_client *reader = open_client(test, 1);
	struct mydev_device *dev = ring->dev;
	int i;

	mydev_client_demand(reader);
	mydev_client_demand(ring);
	configure(test, ring, MYDEV_MODE_RING, MYDEV_POLICY_DROP_NEWEST, 9);
	for (i = 0; i < 3 * NR_BUFFERS; i++) {
		KUNIT_EXPECT_TRUE(test, receive(test, i, SIZE));
		KUNIT_EXPECT_EQ(test, read_client(test, reader, SIZE), SIZE);
	}
	KUNIT_EXPECT_EQ(test, read_client(test, ring, SIZE), -EBUSY);
	expect_identity(test, ring);
	KUNIT_EXPECT_EQ(test, READ_ONCE(dev->log.store.page->head),
			dev->log.head);
	KUNIT_EXPECT_EQ(test, READ_ONCE(dev->log.store.page->tail),
			dev->log.tail);

	configure(test, ring, MYDEV_MODE_STREAM, MYDEV_POLICY_LOSSLESS, 9);
	read_all(test, ring);
	configure(test, ring, MYDEV_MODE_RING, MYDEV_POLICY_LOSSLESS, 9);
	for (i = 0; i < NR_BUFFERS; i++) {
		KUNIT_EXPECT_TRUE(test, receive(test, i, SIZE));
		KUNIT_EXPECT_EQ(test, read_client(test, reader, SIZE), SIZE);
	}
	KUNIT_EXPECT_FALSE(test, receive(test, 0, SIZE));
	/* What it takes is found where room is looked for. */
	ring_takes(ring, 1);
	KUNIT_EXPECT_TRUE(test, receive(test, 0, SIZE));
	KUNIT_EXPECT_FALSE(test, receive(test, 0, SIZE));
	KUNIT_EXPECT_EQ(test, read_client(test, reader, SIZE), SIZE);

	/* Nonsense ends its stream, and holds nobody up. */
	ring_takes(ring, NR_BUFFERS + 1);
	KUNIT_EXPECT_TRUE(test, receive(test, 0, SIZE));
	KUNIT_EXPECT_EQ(test, ring->ring.error, -EPROTO);
	KUNIT_EXPECT_EQ(test, READ_ONCE(ring->ring.page->flags),
			MYDEV_RING_ENDED);
	KUNIT_EXPECT_EQ(test, read_client(test, reader, SIZE), SIZE);
	KUNIT_EXPECT_EQ(test, lost_packets(reader), 0);
	expect_identity(test, ring);

	/* A new start is another mode. */
	configure(test, ring, MYDEV_MODE_STREAM, MYDEV_POLICY_LOSSLESS, 9);
	KUNIT_EXPECT_EQ(test, ring->ring.error, 0);
	expect_identity(test, ring);
}

/* A program that is waited for is told to call, and not any more once it has. */
static void rings_are_told_to_call(struct kunit *test)
{
	struct mydev_client *ring = open_client(test, 0);
	struct mydev_client *reader = open_client(test, 1);
	struct mydev_device *dev = ring->dev;

	dev->rx.state = MYDEV_STATE_RUNNING;
	mydev_client_demand(reader);
	mydev_client_demand(ring);
	configure(test, ring, MYDEV_MODE_RING, MYDEV_POLICY_LOSSLESS, 2);
	configure(test, reader, MYDEV_MODE_STREAM, MYDEV_POLICY_LOSSLESS, 2);
	/* It may have moved on before it was told: that is looked at once more. */
	KUNIT_EXPECT_EQ(test, stop_for(test, 8), 0);
	KUNIT_EXPECT_EQ(test, READ_ONCE(ring->ring.page->flags),
			MYDEV_RING_NEED_WAKEUP);
	KUNIT_EXPECT_EQ(test, stop_for(test, 8), 2);
	KUNIT_EXPECT_EQ(test, mydev_ring_kick(ring), 0);
	KUNIT_EXPECT_EQ(test, READ_ONCE(ring->ring.page->flags),
			MYDEV_RING_NEED_WAKEUP);
	KUNIT_EXPECT_EQ(test, dev->log.waited, 2);
	ring_takes(ring, 1);
	KUNIT_EXPECT_EQ(test, mydev_ring_kick(ring), 0);
	KUNIT_EXPECT_EQ(test, READ_ONCE(ring->ring.page->flags), 0);
	KUNIT_EXPECT_EQ(test, dev->log.waited, 1);
	read_all(test, reader);
	KUNIT_EXPECT_TRUE(test, mydev_rx_may_go_on(dev));

	/* What moves while it is told is noticed, and the ring not stopped at all. */
	while (receive(test, 'x', 8))
		read_all(test, reader);
	ring_takes(ring, 1);
	spin_lock_irq(&dev->rx_lock);
	KUNIT_EXPECT_TRUE(test, mydev_holders_tell(dev));
	spin_unlock_irq(&dev->rx_lock);
	KUNIT_EXPECT_EQ(test, dev->log.waited, 0);
	KUNIT_EXPECT_EQ(test, READ_ONCE(ring->ring.page->flags), 0);

	/* Nonsense holds nobody up. */
	while (receive(test, 'x', 8))
		read_all(test, reader);
	stop_for(test, 8);
	KUNIT_EXPECT_EQ(test, stop_for(test, 8), 1);
	ring_takes(ring, 1000);
	KUNIT_EXPECT_EQ(test, mydev_ring_kick(ring), -EPROTO);
	KUNIT_EXPECT_TRUE(test, mydev_rx_may_go_on(dev));
	dev->rx.state = MYDEV_STATE_IDLE;
}

/* A program that has taken all calls nobody; it is not waited for beside one that has not. */
static void busy_ring_is_not_in_the_way(struct kunit *test)
{
	struct mydev_client *ring = open_client(test, 0);
	struct mydev_client *reader = open_client(test, 1);
	struct mydev_device *dev = ring->dev;

	dev->rx.state = MYDEV_STATE_RUNNING;
	mydev_client_demand(ring);
	configure(test, ring, MYDEV_MODE_RING, MYDEV_POLICY_LOSSLESS, 100);
	mydev_client_demand(reader);
	while (receive(test, 'x', SIZE))
		ring_takes(ring, 1);
	KUNIT_EXPECT_EQ(test, stop_for(test, SIZE), 1);
	KUNIT_EXPECT_EQ(test, READ_ONCE(ring->ring.page->flags), 0);
	KUNIT_EXPECT_TRUE(test, reader->waited);
	read_all(test, reader);
	KUNIT_EXPECT_TRUE(test, mydev_rx_may_go_on(dev));
	KUNIT_EXPECT_TRUE(test, receive(test, 'y', SIZE));
	dev->rx.state = MYDEV_STATE_IDLE;
}

/* A program that sleeps below its watermark is woken when the tail passes it. */
static void overtaken_ring_is_woken(struct kunit *test)
{
	struct mydev_client *ring = open_client(test, 0);
	struct mydev_device *dev = ring->dev;
	struct mydev_config config;
	int i;

	dev->rx.state = MYDEV_STATE_RUNNING;
	dev->rx.in_flight = 1;
	mydev_client_demand(ring);
	mydev_client_get_config(ring, &config);
	config.mode = MYDEV_MODE_RING;
	config.policy = MYDEV_POLICY_DROP_OLDEST;
	config.watermark = 1 << 30;
	KUNIT_ASSERT_EQ(test, mydev_client_set_config(ring, &config), 0);
	KUNIT_EXPECT_TRUE(test, receive(test, 0, SIZE));
	KUNIT_EXPECT_EQ(test, mydev_client_poll(ring, EPOLLIN), 0);
	for (i = 0; i < NR_BUFFERS; i++)
		KUNIT_EXPECT_TRUE(test, receive(test, i, SIZE));
	KUNIT_EXPECT_TRUE(test, mydev_client_poll(ring, EPOLLIN) & EPOLLIN);
	dev->rx.in_flight = 0;
	dev->rx.state = MYDEV_STATE_IDLE;
}
#endif

static void any_mixture_goes_on(struct kunit *test)
{
	static const u32 policies[3] = {
		MYDEV_POLICY_LOSSLESS,
		MYDEV_POLICY_DROP_OLDEST,
		MYDEV_POLICY_DROP_NEWEST,
	};
	struct mydev_client *c[3];
	u32 state = 12345;
	int i, round;

	for (i = 0; i < 3; i++) {
		c[i] = open_client(test, i);
		configure(test, c[i], i % 2, policies[i], 3 + 2 * i);
	}
	/* Pseudo-random sizes, readers and policies; always the same ones. */
	for (round = 0; round < 20000; round++) {
		struct mydev_client *client;
		ssize_t got;

		state = state * 1664525 + 1013904223;
		client = c[(state >> 24) % 3];
		switch ((state >> 20) % 8) {
		case 0:
			mydev_client_demand(client);
			break;
		case 1:
			configure(test, client, (state >> 18) % 2,
				  policies[(state >> 16) % 3],
				  1 + (state >> 12) % 8);
			break;
		case 2:
		case 3:
			got = read_client(test, client,
					  1 + (state >> 8) % SIZE);
			if (got < 0)
				KUNIT_ASSERT_TRUE(test,
						  got == -EAGAIN ||
							  got == -ENOBUFS ||
							  got == -EMSGSIZE);
			break;
		default:
			/* Who holds everything up can always set it free. */
			if (!receive(test, round,
				     (state >> 8) % 3 ? (state >> 12) % 600
						      : SIZE)) {
				for (i = 0; i < 3; i++)
					read_all(test, c[i]);
				KUNIT_ASSERT_TRUE(test,
						  receive(test, round, SIZE));
			}
		}
		for (i = 0; i < 3; i++)
			expect_identity(test, c[i]);
		if (test->status == KUNIT_FAILURE)
			return;
	}
}

static struct kunit_case ids_cases[] = { KUNIT_CASE(ids_good),
					 KUNIT_CASE(ids_conditions),
					 KUNIT_CASE(ids_serials),
					 KUNIT_CASE(ids_bad),
					 KUNIT_CASE(ids_too_many),
					 KUNIT_CASE(ids_any_text),
					 {} };

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
	KUNIT_CASE(reclaim_is_done_in_steps),
	KUNIT_CASE(lapped_at_once),
	KUNIT_CASE(closing_frees),
	KUNIT_CASE(end_comes_after_the_data),
	KUNIT_CASE(small_packets_are_packed),
	KUNIT_CASE(queue_depth_stops_the_ring),
	KUNIT_CASE(changing_the_depth_keeps_what_is_queued),
	KUNIT_CASE(watermark_waits_and_does_not_hang),
	KUNIT_CASE(geometry_waits_for_packed_packets),
	KUNIT_CASE(drop_oldest),
	KUNIT_CASE(drop_newest),
	KUNIT_CASE(gap_at_the_end_is_told_of),
	KUNIT_CASE(switching_loses_nothing),
	KUNIT_CASE(stuck_client_is_lapped),
	KUNIT_CASE(evicts_what_is_in_the_way),
	KUNIT_CASE(wakes_once),
	KUNIT_CASE(only_sleepers_are_woken),
	KUNIT_CASE(more_holders_less_room),
	KUNIT_CASE(last_in_the_way_starts_the_ring),
#if MYDEV_HAS_RING
	KUNIT_CASE(rings_hold_by_their_cursor),
	KUNIT_CASE(rings_are_told_to_call),
	KUNIT_CASE(busy_ring_is_not_in_the_way),
	KUNIT_CASE(overtaken_ring_is_woken),
#endif
	KUNIT_CASE(any_mixture_goes_on),
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
