// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unit tests of the log, and of what clients get out of it.
 *
 * The large ones run the real functions against a model that knows nothing of positions:
 * it has the length of each packet that was ever sent, from which its bytes follow, and
 * of each client what it has to get next. Each packet is read, or is in one gap that was
 * told, or is waited for.
 */
#include <linux/hrtimer.h>
#include <linux/prandom.h>
#include <linux/vmalloc.h>

#include "mydev_kunit.h"

#define MAX_SENT    200000
#define MAX_EVENTS  20000
#define MAX_FLYING  3
#define MAX_PINS    3
#define MAX_BUFFERS 64
#define STEPS       20000

/**
 * struct event - an event that was told to the log
 * @seq: number of the next packet then
 * @last_id: clients that were opened later are not told
 */
struct event {
	u64 seq;
	u32 last_id;
};

/**
 * struct seat - what a client has to get, and had
 * @client: the client
 * @next: number of the packet that it has to get next
 * @done: bytes of it that it has got
 * @event: number of the event that it may get next
 * @base: packets, and bytes before them, that were not offered to it
 * @base_bytes: these bytes
 * @read: packets
 * @read_bytes: bytes
 * @told: packets in gaps
 * @told_bytes: their bytes
 * @cursor: where it was before a step
 * @holds: it held the tail then
 * @moved: the step was one of its own
 * @lost: what it had lost when it was looked at last, told or not
 * @lost_bytes: and bytes of that
 * @queued: what waited for it then
 * @queued_bytes: and the bytes of that
 */
struct seat {
	struct mydev_client *client;
	u64 next;
	u32 done;
	u32 event;
	u64 base;
	u64 base_bytes;
	u64 read;
	u64 read_bytes;
	u64 told;
	u64 told_bytes;
	u64 cursor;
	bool holds;
	bool moved;
	u64 lost;
	u64 lost_bytes;
	u64 queued;
	u64 queued_bytes;
};

/**
 * struct pin - a buffer that is held as a reader holds it while it copies
 * @buf: the buffer, NULL for none
 * @data: a packet in it
 * @seq: number of that packet
 */
struct pin {
	struct mydev_buffer *buf;
	const u8 *data;
	u64 seq;
};

/**
 * struct model - all that was ever sent, and who has got what of it
 * @test: the test
 * @f: its device
 * @rnd: what happens
 * @length: of each packet
 * @before: bytes before each packet, and before the next one
 * @sent: how many packets
 * @events: what was told
 * @nr_events: how many of them
 * @seats: the clients
 * @flying: buffers of transfers
 * @nr_flying: how many of them
 * @pins: buffers that are held
 * @burst: so many steps no client does anything
 * @events_only: and nothing but events comes
 * @forced: how often a holder was overtaken
 * @evicted: how often one was evicted
 * @gaps: how many were told
 * @hold: where the first cursor is that the tail must not pass, U64_MAX for none
 * @beside: packets come at any time
 * @timer: of these
 */
struct model {
	struct kunit *test;
	struct fixture *f;
	struct rnd_state rnd;
	u32 *length;
	u64 *before;
	u64 sent;
	struct event *events;
	u32 nr_events;
	struct seat seats[NR_CLIENTS];
	struct mydev_buffer *flying[MAX_FLYING];
	unsigned int nr_flying;
	struct pin pins[MAX_PINS];
	unsigned int burst;
	bool events_only;
	unsigned int forced;
	unsigned int evicted;
	unsigned int gaps;
	u64 hold;
	bool beside;
	struct hrtimer timer;
};

static void free_pages_of(void *memory)
{
	vfree(memory);
}

static void *model_alloc(struct kunit *test, size_t bytes)
{
	void *memory = vzalloc(bytes);

	KUNIT_ASSERT_NOT_NULL(test, memory);
	KUNIT_ASSERT_EQ(test,
			kunit_add_action_or_reset(test, free_pages_of, memory),
			0);
	return memory;
}

/* A device with a log and a pool of that many, and its model. */
static struct model *model_init(struct kunit *test, unsigned int entries,
				unsigned int buffers, u64 seed)
{
	struct fixture *f = test->priv;
	struct model *m;

	m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m);
	m->test = test;
	m->f = f;
	prandom_seed_state(&m->rnd, seed);
	m->length = model_alloc(test, MAX_SENT * sizeof(*m->length));
	m->before = model_alloc(test, (MAX_SENT + 1) * sizeof(*m->before));
	m->events = model_alloc(test, MAX_EVENTS * sizeof(*m->events));
	f->priv = m;
	f->dev.rx.nr_entries = entries;
	f->dev.rx.nr_buffers = buffers;
	/* Nobody is evicted unless a step is that. */
	f->dev.rx.block_timeout_ms = 0;
	return m;
}

static u32 any(struct model *m, u32 below)
{
	return prandom_u32_state(&m->rnd) % below;
}

/* What a packet is made of. */
static u8 byte_of(u64 seq, u32 i)
{
	return seq * 167 + i * (2 * (seq % 5) + 1);
}

static bool is_packet(const u8 *data, u64 seq, u32 from, u32 length)
{
	u32 i;

	for (i = 0; i < length; i++) {
		if (data[i] != byte_of(seq, from + i))
			return false;
	}
	return true;
}

/* Number of the packet at a position, or of the next one after it. */
static u64 seq_at(struct model *m, u64 position)
{
	struct mydev_log *log = &m->f->dev.log;

	return position == log->head ? m->sent
				     : mydev_log_at(log, position)->seq;
}

static void seat_take(struct model *m, int i)
{
	struct seat *seat = &m->seats[i];

	*seat = (struct seat){ .client = open_client(m->test, i) };
	seat->next = m->sent;
	seat->base = m->sent;
	seat->base_bytes = m->before[m->sent];
	seat->event = m->nr_events;
	seat->moved = true;
	seat->cursor = seat->client->cursor;
}

static void seat_leave(struct model *m, int i)
{
	close_client(m->test, i);
	m->seats[i].client = NULL;
}

/* The next packet arrives in @buf. Context: rx_lock held. */
static void model_complete(struct model *m, struct mydev_buffer *buf,
			   u32 length)
{
	u64 seq = m->sent;
	u8 *data = buf->data;
	u32 i;

	for (i = 0; i < length; i++)
		data[i] = byte_of(seq, i);
	m->length[seq] = length;
	m->before[seq + 1] = m->before[seq] + length;
	m->sent++;
	complete_buffer(m->f, buf, length);
}

/* Sizes that are packed, and that are not, and none at all. */
static u32 any_length(struct model *m)
{
	switch (any(m, 8)) {
	case 0:
		return 0;
	case 1:
		return SIZE;
	case 2:
	case 3:
		return any(m, SIZE + 1);
	default:
		return any(m, 2 * SIZE / 16);
	}
}

/* Tells of a gap. */
static void seat_lose(struct model *m, struct seat *seat, u64 packets,
		      u64 bytes)
{
	struct kunit *test = m->test;

	KUNIT_ASSERT_GT(test, packets, 0);
	KUNIT_ASSERT_LE(test, seat->next + packets, m->sent);
	KUNIT_EXPECT_EQ(test, bytes,
			m->before[seat->next + packets] -
				m->before[seat->next] - seat->done);
	seat->next += packets;
	seat->done = 0;
	m->gaps++;
	seat->told += packets;
	seat->told_bytes += bytes;
}

/* In a stream, packets without a byte are read where they are next. */
static void seat_skip(struct model *m, struct seat *seat, u64 to)
{
	while (seat->next < to && !seat->done && !m->length[seat->next]) {
		seat->next++;
		seat->read++;
	}
}

/* Looks at a client, and compares what it says with what it should. */
static void seat_check(struct model *m, struct seat *seat)
{
	struct mydev_client *client = seat->client;
	struct kunit *test = m->test;
	struct mydev_stats stats = {};
	u64 pending;

	mydev_client_stats(client, &stats);
	if (client->mode == MYDEV_MODE_STREAM)
		seat_skip(m, seat, client->next.seq);
	KUNIT_EXPECT_EQ(test, client->next.seq, seat->next);
	KUNIT_EXPECT_EQ(test, client->next.bytes,
			m->before[seat->next] + seat->done);
	KUNIT_EXPECT_EQ(test, stats.client_packets, m->sent - seat->base);
	KUNIT_EXPECT_EQ(test, stats.client_bytes,
			m->before[m->sent] - seat->base_bytes);
	KUNIT_EXPECT_EQ(test, stats.client_read_packets, seat->read);
	KUNIT_EXPECT_EQ(test, stats.client_read_bytes, seat->read_bytes);
	KUNIT_EXPECT_EQ(test, stats.client_packets,
			stats.client_read_packets + stats.client_lost_packets +
				stats.client_queued_packets);
	KUNIT_EXPECT_EQ(test, stats.client_bytes,
			stats.client_read_bytes + stats.client_lost_bytes +
				stats.client_queued_bytes);
	/* What is lost was told, or is where the cursor is, or behind what it keeps. */
	pending = seq_at(m, client->cursor) - seat->next;
	if (client->keep)
		pending += m->sent - seq_at(m, client->keep);
	KUNIT_EXPECT_EQ(test, stats.client_lost_packets, seat->told + pending);
	KUNIT_EXPECT_GE(test, stats.client_lost_bytes, seat->told_bytes);
	seat->lost = stats.client_lost_packets;
	seat->lost_bytes = stats.client_lost_bytes;
	seat->queued = stats.client_queued_packets;
	seat->queued_bytes = stats.client_queued_bytes;
}

/*
 * Did a client that is where it is now have to go on to @position? Events of what was
 * before it are passed over.
 */
static bool seat_is_at(struct model *m, struct seat *seat, u64 position)
{
	struct mydev_client *client = seat->client;
	struct mydev_log *log = &m->f->dev.log;

	for (; position < client->cursor; position++) {
		const struct mydev_entry *entry = mydev_log_at(log, position);

		if (client->mode != MYDEV_MODE_PACKET ||
		    entry->type != MYDEV_RECORD_EVENT ||
		    (s32)(client->id - entry->last_id) <= 0)
			return false;
	}
	return position == client->cursor;
}

/* Where a client is that holds from now on, and was at @position: events keep room. */
static u64 held_from(struct model *m, u64 position)
{
	struct mydev_log *log = &m->f->dev.log;
	u64 end = log->head + MYDEV_LOG_SPARE;
	u64 size = kfifo_size(&log->store.fifo);

	return end > size ? max(position, min(end - size, log->head))
			  : position;
}

/* A client that has got other settings, or has asked for data, is where it was. */
static void seat_check_still(struct model *m, struct seat *seat)
{
	struct mydev_client *client = seat->client;
	u64 position = seat->cursor;

	seat->moved = true;
	seat_check(m, seat);
	if (!seat->holds && mydev_client_blocks(client))
		position = held_from(m, position);
	if (client->mode == MYDEV_MODE_PACKET)
		KUNIT_EXPECT_TRUE(m->test, seat_is_at(m, seat, position));
	position = max(m->before[seq_at(m, position)],
		       client->next.bytes - seat->done);
	if (client->mode == MYDEV_MODE_STREAM)
		KUNIT_EXPECT_EQ(m->test, m->before[seq_at(m, client->cursor)],
				position);
}

/* A client gives nothing up but for its policy, or because the tail has come. */
static void seat_check_move(struct model *m, struct seat *seat, bool forced)
{
	struct mydev_client *client = seat->client;
	struct mydev_log *log = &m->f->dev.log;
	u64 end = client->keep ?: log->head, from = seat->cursor;
	struct kunit *test = m->test;
	u64 cursor = client->cursor;
	bool overtaken;

	KUNIT_EXPECT_GE(test, cursor, log->tail);
	KUNIT_EXPECT_LE(test, cursor, log->head);
	if (!mydev_client_blocks(client))
		KUNIT_EXPECT_LE(test, end - max(cursor, client->from),
				client->depth);
	seat->cursor = cursor;
	if (seat->moved || cursor == from)
		return;
	/* Nothing that it could read was in between. */
	if ((from >= log->tail && seat_is_at(m, seat, from)) ||
	    (client->mode == MYDEV_MODE_STREAM &&
	     m->before[seq_at(m, cursor)] == client->next.bytes))
		return;
	overtaken = seat_is_at(m, seat, log->tail);
	if (client->evicted && seat->holds) {
		KUNIT_EXPECT_EQ(test, cursor, log->head);
	} else if (seat->holds) {
		KUNIT_EXPECT_TRUE(test, forced);
		KUNIT_EXPECT_TRUE(test, overtaken);
	} else if (client->policy == MYDEV_POLICY_DROP_NEWEST) {
		KUNIT_EXPECT_TRUE(test, overtaken || cursor == log->head);
	} else {
		from = log->head - client->depth;
		KUNIT_EXPECT_TRUE(test, overtaken || seat_is_at(m, seat, from));
	}
}

/* Each reference to a buffer is one of an entry, of the pool, or of a reader. */
static void model_check_pool(struct model *m)
{
	struct mydev_device *dev = &m->f->dev;
	struct mydev_pool *pool = &dev->pool;
	struct mydev_log *log = &dev->log;
	struct kunit *test = m->test;
	unsigned int refs[MAX_BUFFERS] = {};
	u64 last[MAX_BUFFERS] = {}, oldest = log->head, i;
	unsigned int n, nr_free = 0, unused = 0;
	struct mydev_stats stats;
	u64 seq = seq_at(m, log->tail);

	for (i = 0; i < NR_CLIENTS; i++) {
		if (m->seats[i].client)
			oldest = min(oldest, m->seats[i].client->cursor);
	}
	for (i = log->tail; i != log->head; i++) {
		struct mydev_entry *entry = mydev_log_at(log, i);

		KUNIT_EXPECT_EQ(test, entry->seq, seq);
		KUNIT_EXPECT_EQ(test, entry->bytes, m->before[seq]);
		if (entry->buffer) {
			refs[entry->buffer - 1]++;
			last[entry->buffer - 1] = i;
		}
		if (entry->type != MYDEV_RECORD_PACKET)
			continue;
		KUNIT_EXPECT_EQ(test, entry->length, m->length[seq]);
		KUNIT_EXPECT_EQ(test, !entry->buffer, !entry->length);
		seq++;
	}
	KUNIT_EXPECT_EQ(test, seq, m->sent);
	if (pool->pack)
		refs[pool->pack - pool->buffers]++;
	for (i = 0; i < MAX_PINS; i++) {
		if (m->pins[i].buf)
			refs[m->pins[i].buf - pool->buffers]++;
	}
	for (n = 0; n < pool->nr; n++) {
		struct mydev_buffer *buf = &pool->buffers[n];

		nr_free += buf->state == MYDEV_BUFFER_FREE;
		KUNIT_EXPECT_EQ(test, buf->state == MYDEV_BUFFER_HELD,
				!!refs[n]);
		if (refs[n])
			KUNIT_EXPECT_EQ(test, buf->refs, refs[n]);
		if (last[n])
			KUNIT_EXPECT_EQ(test, buf->last, last[n]);
		unused += buf->state == MYDEV_BUFFER_FREE ||
			  (refs[n] && last[n] < oldest);
	}
	KUNIT_EXPECT_EQ(test, pool->nr_free, nr_free);
	mydev_client_stats(m->seats[0].client, &stats);
	KUNIT_EXPECT_EQ(test, stats.free_buffers, unused);
}

/* Nothing that is held goes, and no more is there than there is room for. */
static void model_check(struct model *m, bool forced)
{
	struct mydev_log *log = &m->f->dev.log;
	struct kunit *test = m->test;
	int i;

	for (i = 0; i < NR_CLIENTS; i++) {
		if (!m->seats[i].client)
			continue;
		seat_check(m, &m->seats[i]);
		seat_check_move(m, &m->seats[i], forced);
	}
	KUNIT_EXPECT_LE(test, log->head - log->tail,
			kfifo_size(&log->store.fifo));
	KUNIT_EXPECT_EQ(test, log->head - log->tail,
			kfifo_len(&log->store.fifo));
#if MYDEV_HAS_RING
	KUNIT_EXPECT_EQ(test, log->store.page->head, log->head);
	KUNIT_EXPECT_EQ(test, log->store.page->tail, log->tail);
#endif
}

/* Looks who holds what. */
static void model_hold(struct model *m)
{
	int i;

	m->hold = U64_MAX;
	for (i = 0; i < NR_CLIENTS; i++) {
		struct seat *seat = &m->seats[i];

		seat->holds = seat->client && mydev_client_blocks(seat->client);
		if (seat->holds)
			m->hold = min(m->hold, seat->client->cursor);
	}
}

/* A transfer is submitted, if it may be. */
static bool model_submit(struct model *m)
{
	struct mydev_device *dev = &m->f->dev;
	unsigned int nr_free = dev->pool.nr_free;
	struct mydev_log *log = &dev->log;
	struct kunit *test = m->test;
	u64 tail = log->tail;
	bool may;
	int i;

	if (m->nr_flying == MAX_FLYING)
		return false;
	spin_lock_irq(&dev->rx_lock);
	may = mydev_rx_can_submit(dev, m->nr_flying + 1);
	if (may)
		m->flying[m->nr_flying++] = mydev_buffer_get_free(&dev->pool);
	spin_unlock_irq(&dev->rx_lock);

	KUNIT_EXPECT_LE(test, log->tail - tail, MYDEV_LOG_BATCH);
	/* Only where it is needed, and no more than that. */
	if (log->tail != tail) {
		KUNIT_EXPECT_EQ(test, nr_free, 0);
		KUNIT_EXPECT_EQ(test, dev->pool.nr_free, 0);
	}
	for (i = 0; may && i < NR_CLIENTS; i++) {
		struct mydev_client *client = m->seats[i].client;

		if (client && mydev_client_blocks(client))
			KUNIT_EXPECT_LE(test,
					log->head + m->nr_flying -
						max(client->cursor,
						    client->from),
					client->depth);
	}
	return may;
}

/* A transfer ends; true: a holder stood in the way. */
static bool model_land(struct model *m)
{
	struct mydev_device *dev = &m->f->dev;
	struct mydev_log *log = &dev->log;
	unsigned int nr_free = dev->pool.nr_free;
	bool full = kfifo_is_full(&log->store.fifo);
	u64 tail = log->tail;

	if (!m->nr_flying)
		return false;
	spin_lock_irq(&dev->rx_lock);
	model_complete(m, m->flying[--m->nr_flying], any_length(m));
	spin_unlock_irq(&dev->rx_lock);
	if (log->tail != tail)
		KUNIT_EXPECT_TRUE(m->test, full || nr_free < 2);
	KUNIT_EXPECT_LE(m->test, log->tail - tail, 1 + 8);
	if (!full || m->hold != tail)
		return false;
	m->forced++;
	return true;
}

static void model_event(struct model *m)
{
	struct mydev_device *dev = &m->f->dev;
	struct mydev_log *log = &dev->log;
	struct event *event = &m->events[m->nr_events];
	u64 head = log->head, tail = log->tail;
	bool full = kfifo_is_full(&log->store.fifo);
	struct kunit *test = m->test;

	KUNIT_ASSERT_LT(test, m->nr_events, MAX_EVENTS);
	event->seq = m->sent;
	event->last_id = dev->last_id - any(m, 3);
	spin_lock_irq(&dev->rx_lock);
	mydev_deliver_event(dev, MYDEV_EVENT_RESUME, -(int)m->nr_events - 1,
			    event->last_id);
	spin_unlock_irq(&dev->rx_lock);
	/* It is not worth what a holder has not read. */
	if (full && m->hold == tail) {
		KUNIT_EXPECT_EQ(test, log->head, head);
	} else {
		KUNIT_EXPECT_EQ(test, log->head, head + 1);
		m->nr_events++;
	}
	KUNIT_EXPECT_LE(test, log->tail, tail + 1);
}

static void seat_got_packet(struct model *m, struct seat *seat,
			    const struct mydev_packet_header *h)
{
	struct kunit *test = m->test;
	u32 length = m->length[seat->next];
	u32 flags = 0;

	KUNIT_ASSERT_EQ(test, h->sequence, seat->next);
	KUNIT_ASSERT_LT(test, seat->next, m->sent);
	KUNIT_ASSERT_EQ(test, h->length, length - seat->done);
	if (seat->done)
		flags |= MYDEV_PACKET_PARTIAL;
	if (length == SIZE)
		flags |= MYDEV_PACKET_CONTINUES;
	KUNIT_EXPECT_EQ(test, h->flags, flags);
	KUNIT_ASSERT_TRUE(test, is_packet((u8 *)h + h->header_size, seat->next,
					  seat->done, h->length));
	seat->read++;
	seat->read_bytes += h->length;
	seat->next++;
	seat->done = 0;
}

static void seat_got_event(struct model *m, struct seat *seat,
			   const struct mydev_packet_header *h)
{
	const struct mydev_event_record *record = (void *)(h + 1);
	struct kunit *test = m->test;
	u32 n = -record->status - 1;

	KUNIT_ASSERT_LT(test, n, m->nr_events);
	KUNIT_EXPECT_GE(test, n, seat->event);
	KUNIT_EXPECT_EQ(test, h->sequence, m->events[n].seq);
	KUNIT_EXPECT_EQ(test, h->sequence, seat->next);
	KUNIT_EXPECT_LE(test, (s32)(seat->client->id - m->events[n].last_id),
			0);
	seat->event = n + 1;
}

static void seat_got_records(struct model *m, struct seat *seat, size_t got)
{
	struct kunit *test = m->test;
	size_t at = 0;

	while (at < got && test->status != KUNIT_FAILURE) {
		const struct mydev_packet_header *h =
			(void *)(m->f->readback + at);
		const struct mydev_gap_record *gap = (void *)(h + 1);

		KUNIT_ASSERT_LE(test, at + h->record_size, got);
		switch (h->type) {
		case MYDEV_RECORD_PACKET:
			seat_got_packet(m, seat, h);
			break;
		case MYDEV_RECORD_EVENT:
			seat_got_event(m, seat, h);
			break;
		default:
			KUNIT_ASSERT_EQ(test, h->type, MYDEV_RECORD_GAP);
			KUNIT_EXPECT_EQ(test, h->sequence, seat->next);
			seat_lose(m, seat, gap->packets, gap->bytes);
		}
		at += h->record_size;
	}
	KUNIT_EXPECT_EQ(test, at, got);
}

static void seat_got_bytes(struct model *m, struct seat *seat, size_t got)
{
	struct kunit *test = m->test;
	size_t at = 0;

	while (at < got) {
		u32 n;

		seat_skip(m, seat, m->sent);
		KUNIT_ASSERT_LT(test, seat->next, m->sent);
		n = min_t(size_t, m->length[seat->next] - seat->done, got - at);
		KUNIT_ASSERT_TRUE(test, is_packet(m->f->readback + at,
						  seat->next, seat->done, n));
		at += n;
		seat->done += n;
		seat->read_bytes += n;
		if (seat->done == m->length[seat->next]) {
			seat->next++;
			seat->read++;
			seat->done = 0;
		}
	}
}

/* A client reads, and gets what it has to; the same as of read_client(). */
static ssize_t seat_read(struct model *m, struct seat *seat, size_t want)
{
	struct mydev_client *client = seat->client;
	struct kunit *test = m->test;
	struct mydev_place next;
	bool exact;
	u64 read;
	ssize_t got;

	/* One that holds only from now on may have to give something up. */
	exact = !m->beside && (client->policy != MYDEV_POLICY_LOSSLESS ||
			       mydev_client_blocks(client));
	seat->moved = true;
	got = read_client(test, client, want);
	if (got > 0 && client->mode == MYDEV_MODE_PACKET) {
		seat_got_records(m, seat, got);
	} else if (got > 0) {
		seat_got_bytes(m, seat, got);
		if (exact)
			KUNIT_EXPECT_EQ(test, got,
					min(want, seat->queued_bytes));
	} else if (got == -ENOBUFS) {
		KUNIT_EXPECT_EQ(test, client->mode, MYDEV_MODE_STREAM);
		spin_lock_irq(&m->f->dev.rx_lock);
		next = client->next;
		read = client->read_packets;
		spin_unlock_irq(&m->f->dev.rx_lock);
		/* Of packets without a byte, some were read before the gap. */
		seat_skip(m, seat, seat->next + (read - seat->read));
		seat_lose(m, seat, next.seq - seat->next,
			  next.bytes - m->before[seat->next] - seat->done);
	} else if (got == -EMSGSIZE) {
		KUNIT_EXPECT_EQ(test, client->mode, MYDEV_MODE_PACKET);
		KUNIT_EXPECT_LT(test, want, SIZE + 64);
	} else {
		KUNIT_EXPECT_EQ(test, got, -EAGAIN);
		if (exact && client->mode == MYDEV_MODE_PACKET) {
			KUNIT_EXPECT_EQ(test, seat->queued, 0);
			KUNIT_EXPECT_EQ(test, seat->lost, seat->told);
		} else if (exact) {
			KUNIT_EXPECT_EQ(test, seat->queued_bytes, 0);
		}
	}
	return got;
}

/*
 * What is queued is what it gets, and what is lost is what it is told. In a stream a
 * packet without a byte is not worth a gap, and may turn out to be read.
 */
static void seat_drain(struct model *m, struct seat *seat)
{
	struct kunit *test = m->test;
	struct seat before;

	/* It takes part, and has what it is to get. */
	seat_check(m, seat);
	if (!mydev_client_blocks(seat->client))
		seat_read(m, seat, 1);
	seat_check(m, seat);
	before = *seat;
	while (seat_read(m, seat, READBACK) != -EAGAIN) {
		if (test->status == KUNIT_FAILURE)
			return;
		seat_check(m, seat);
	}
	seat_check(m, seat);
	KUNIT_EXPECT_EQ(test, seat->read_bytes,
			before.read_bytes + before.queued_bytes);
	KUNIT_EXPECT_EQ(test, seat->told_bytes, before.lost_bytes);
	KUNIT_EXPECT_EQ(test, seat->read + seat->told,
			before.read + before.queued + before.lost);
	if (seat->client->mode == MYDEV_MODE_PACKET)
		KUNIT_EXPECT_EQ(test, seat->told, before.lost);
	KUNIT_EXPECT_EQ(test, seat->next, m->sent);
	KUNIT_EXPECT_EQ(test, seat->queued, 0);
}

static void seat_rewind(struct model *m, struct seat *seat)
{
	struct mydev_rewind arg = { .to = any(m, 3) };
	struct mydev_log *log = &m->f->dev.log;
	u64 position = log->tail, to;
	struct kunit *test = m->test;

	seat->moved = true;
	switch (arg.to) {
	case MYDEV_REWIND_SEQUENCE:
		arg.value = any(m, m->sent + 2);
		if (any(m, 2))
			arg.value = m->sent - min(m->sent, any(m, 40) + 0ULL);
		while (position != log->head &&
		       mydev_log_at(log, position)->seq < arg.value)
			position++;
		break;
	case MYDEV_REWIND_TIME:
		if (log->head == log->tail)
			return;
		to = log->tail + any(m, log->head - log->tail);
		arg.value = mydev_log_at(log, to)->time + any(m, 3) - 1;
		while (position != log->head &&
		       mydev_log_at(log, position)->time < arg.value)
			position++;
		break;
	}
	KUNIT_ASSERT_EQ(test, mydev_client_rewind(seat->client, &arg), 0);
	if (mydev_client_blocks(seat->client))
		position = held_from(m, position);
	to = seq_at(m, position);
	KUNIT_ASSERT_EQ(test, arg.value, to);
	KUNIT_EXPECT_EQ(test, seat->client->cursor, position);
	seat->base += to - seat->next;
	seat->base_bytes += m->before[to] - m->before[seat->next] - seat->done;
	seat->next = to;
	seat->done = 0;
	seat->event = 0;
}

/* What a reader has got is what it was. */
static void model_drop_pin(struct model *m, struct pin *pin)
{
	struct mydev_device *dev = &m->f->dev;

	KUNIT_EXPECT_TRUE(m->test, is_packet(pin->data, pin->seq, 0,
					     m->length[pin->seq]));
	spin_lock_irq(&dev->rx_lock);
	mydev_buffer_put(&dev->pool, pin->buf);
	spin_unlock_irq(&dev->rx_lock);
	pin->buf = NULL;
}

static void model_pin(struct model *m)
{
	struct pin *pin = &m->pins[any(m, MAX_PINS)];
	struct mydev_device *dev = &m->f->dev;
	struct mydev_log *log = &dev->log;
	const struct mydev_entry *entry;

	if (pin->buf) {
		model_drop_pin(m, pin);
		return;
	}
	if (log->head == log->tail)
		return;
	entry = mydev_log_at(log, log->tail + any(m, log->head - log->tail));
	if (!entry->buffer)
		return;
	pin->buf = mydev_entry_buffer(&dev->pool, entry);
	pin->seq = entry->seq;
	pin->data = pin->buf->data + (entry->offset - pin->buf->map_offset);
	spin_lock_irq(&dev->rx_lock);
	mydev_buffer_get(pin->buf);
	spin_unlock_irq(&dev->rx_lock);
}

static void model_unpin(struct model *m)
{
	int i;

	for (i = 0; i < MAX_PINS; i++) {
		if (m->pins[i].buf)
			model_drop_pin(m, &m->pins[i]);
	}
}

static void model_evict(struct model *m)
{
	struct mydev_device *dev = &m->f->dev;
	int i, victims = 0;

	for (i = 0; i < NR_CLIENTS; i++)
		m->seats[i].lost = m->seats[i].client &&
				   m->seats[i].client->evicted;
	spin_lock_irq(&dev->rx_lock);
	mydev_clients_evict(dev);
	spin_unlock_irq(&dev->rx_lock);
	for (i = 0; i < NR_CLIENTS; i++) {
		struct seat *seat = &m->seats[i];

		if (!seat->client || seat->client->evicted == !!seat->lost)
			continue;
		victims++;
		m->evicted++;
		KUNIT_EXPECT_TRUE(m->test, seat->holds);
	}
	KUNIT_EXPECT_LE(m->test, victims, 1);
}

/* Some clients read all that there is for them. */
static void model_read(struct model *m)
{
	int i;

	for (i = 0; i < NR_CLIENTS; i++) {
		if (m->seats[i].client && any(m, 3))
			seat_drain(m, &m->seats[i]);
	}
}

/* Who holds everything up can always set it free. */
static void model_free_all(struct model *m)
{
	struct kunit *test = m->test;
	int i;

	model_unpin(m);
	for (i = 0; i < NR_CLIENTS; i++) {
		if (m->seats[i].client)
			seat_drain(m, &m->seats[i]);
	}
	model_hold(m);
	if (m->nr_flying)
		return;
	/* By and by, where there is much to retire. */
	for (i = 0; i < 20 && !model_submit(m); i++)
		;
	KUNIT_EXPECT_EQ(test, m->nr_flying, 1);
}

/* Number of the next step, see model_step(). */
static u32 model_choose(struct model *m)
{
	if (!m->burst)
		return any(m, 64);
	m->burst--;
	return m->events_only ? 40 : any(m, 42);
}

/* One step of a program; true: a holder was overtaken. */
static bool model_step(struct model *m)
{
	static const u32 modes[] = { MYDEV_MODE_STREAM, MYDEV_MODE_PACKET };
	unsigned int entries = kfifo_size(&m->f->dev.log.store.fifo);
	int i = any(m, NR_CLIENTS);
	struct seat *seat = &m->seats[i];

	switch (model_choose(m)) {
	case 0 ... 19:
		/* Where the device has to wait, clients read. */
		if (!model_submit(m) && !m->burst)
			model_read(m);
		break;
	case 20 ... 39:
		return model_land(m);
	case 40 ... 41:
		model_event(m);
		break;
	case 42 ... 50:
		if (seat->client)
			seat_read(m, seat,
				  1 + any(m, any(m, 2) ? 200 : 2 * SIZE));
		break;
	case 51:
		if (seat->client)
			seat_drain(m, seat);
		break;
	case 52 ... 53:
		if (!seat->client)
			break;
		configure(m->test, seat->client, modes[any(m, 2)], any(m, 3),
			  1 + any(m, any(m, 2) ? 8 : 2 * entries));
		seat_check_still(m, seat);
		break;
	case 54:
		if (!seat->client)
			break;
		mydev_client_demand(seat->client);
		seat_check_still(m, seat);
		break;
	case 55:
		if (any(m, 4) == 0)
			model_evict(m);
		break;
	case 56 ... 57:
		if (seat->client)
			seat_rewind(m, seat);
		break;
	case 58 ... 60:
		model_pin(m);
		break;
	case 61:
		/* The first one stays, and the log with it. */
		if (i && seat->client && any(m, 3) == 0)
			seat_leave(m, i);
		else if (!seat->client)
			seat_take(m, i);
		break;
	case 62:
		if (any(m, 4) == 0)
			model_free_all(m);
		break;
	case 63:
		/* The log fills up while nobody reads. */
		m->events_only = any(m, 4) == 0;
		m->burst = m->events_only ? 20 : any(m, 4 * min(entries, 128U));
		break;
	}
	return false;
}

/* Ends a program: nobody holds a buffer then, and nothing has got lost. */
static void model_exit(struct model *m)
{
	struct mydev_device *dev = &m->f->dev;
	struct mydev_pool *pool = &dev->pool;
	struct kunit *test = m->test;
	int i;

	while (m->nr_flying)
		model_land(m);
	model_unpin(m);
	for (i = 1; i < NR_CLIENTS; i++) {
		if (m->seats[i].client)
			seat_leave(m, i);
	}
	spin_lock_irq(&dev->rx_lock);
	while (dev->log.tail != dev->log.head)
		mydev_log_retire(&dev->log, pool);
	spin_unlock_irq(&dev->rx_lock);
	KUNIT_EXPECT_EQ(test, pool->nr_free + !!pool->pack, pool->nr);
	if (pool->pack)
		KUNIT_EXPECT_EQ(test, pool->pack->refs, 1);
	seat_check(m, &m->seats[0]);
}

struct program {
	const char *name;
	unsigned int entries;
	unsigned int buffers;
	u64 seed;
};

static const struct program programs[] = {
	{ "a log much smaller than the pool", 32, 48, 1 },
	{ "another one", 32, 48, 2 },
	{ "a log smaller than the pool", 64, 32, 3 },
	{ "a pool much smaller than the log", 2048, 4, 4 },
	{ "another one", 1024, 5, 5 },
	{ "both small", 64, 4, 6 },
	{ "both large", 1024, 64, 7 },
};

KUNIT_ARRAY_PARAM_DESC(programs, programs, name);

static void random_programs(struct kunit *test)
{
	const struct program *program = test->param_value;
	struct model *m;
	bool forced;
	int i, n;

	m = model_init(test, program->entries, program->buffers, program->seed);
	for (i = 0; i < NR_CLIENTS; i++)
		seat_take(m, i);
	for (i = 0; i < STEPS; i++) {
		for (n = 0; n < NR_CLIENTS; n++)
			m->seats[n].moved = false;
		model_hold(m);
		forced = model_step(m);
		model_check(m, forced);
		if (program->entries <= 64 || i % 64 == 0)
			model_check_pool(m);
		if (test->status == KUNIT_FAILURE) {
			kunit_err(test, "step %d of '%s', seed %llu", i,
				  program->name, program->seed);
			break;
		}
	}
	kunit_info(test,
		   "%llu packets, %u events, %u gaps, %u forced, %u evicted",
		   m->sent, m->nr_events, m->gaps, m->forced, m->evicted);
	model_exit(m);
}

/* So many packets arrive, as in a completion, that the whole pool is used anew. */
static enum hrtimer_restart model_timer(struct hrtimer *timer)
{
	struct model *m = container_of(timer, struct model, timer);
	struct mydev_device *dev = &m->f->dev;
	struct mydev_buffer *buf;
	unsigned long flags;
	int i;

	spin_lock_irqsave(&dev->rx_lock, flags);
	for (i = 0; i < 40 && m->sent < MAX_SENT; i++) {
		if (!mydev_rx_can_submit(dev, 1))
			break;
		buf = mydev_buffer_get_free(&dev->pool);
		model_complete(m, buf, any_length(m));
	}
	spin_unlock_irqrestore(&dev->rx_lock, flags);
	return HRTIMER_NORESTART;
}

/* The tail moves while a reader copies: what it has pinned stays what it is. */
static void reads_beside_a_completion(struct kunit *test)
{
	struct model *m = model_init(test, 64, 12, 8);
	unsigned long end = jiffies + HZ;
	unsigned int i, n = 0;

	for (i = 0; i < 3; i++)
		seat_take(m, i);
	configure(test, m->seats[0].client, MYDEV_MODE_PACKET,
		  MYDEV_POLICY_DROP_OLDEST, 100);
	configure(test, m->seats[1].client, MYDEV_MODE_STREAM,
		  MYDEV_POLICY_DROP_OLDEST, 100);
	configure(test, m->seats[2].client, MYDEV_MODE_PACKET,
		  MYDEV_POLICY_DROP_NEWEST, 20);
	hrtimer_setup(&m->timer, model_timer, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL);
	m->beside = true;
	while (time_before(jiffies, end) && m->sent < MAX_SENT &&
	       test->status != KUNIT_FAILURE) {
		/* In the middle of a read, or of the next one. */
		if (!hrtimer_is_queued(&m->timer))
			hrtimer_start(&m->timer,
				      ns_to_ktime(any(m, 50) * NSEC_PER_USEC),
				      HRTIMER_MODE_REL);
		seat_read(m, &m->seats[n++ % 3], READBACK);
		cond_resched();
	}
	hrtimer_cancel(&m->timer);
	m->beside = false;
	kunit_info(test, "%llu packets, %u reads, %u gaps", m->sent, n,
		   m->gaps);
	for (i = 0; i < 3; i++) {
		if (test->status != KUNIT_FAILURE)
			seat_drain(m, &m->seats[i]);
	}
	model_check_pool(m);
	KUNIT_EXPECT_GT(test, m->gaps, 0);
	model_exit(m);
}

/* Of entries with these numbers, at these times. */
static void log_seeks(struct kunit *test)
{
	static const struct {
		u64 seq;
		u64 time;
	} entries[] = {
		{ 10, 100 }, { 11, 200 }, { 12, 200 }, { 12, 200 },
		{ 12, 300 }, { 13, 400 }, { 14, 400 }, { 15, 500 },
	};
	const unsigned int n = ARRAY_SIZE(entries);
	struct mydev_log_store store;
	struct mydev_pool pool = {};
	struct mydev_log log = {};
	unsigned int i, round;

	KUNIT_ASSERT_EQ(test, mydev_log_alloc(&store, 16), 0);
	mydev_log_use(&log, &store);
	/* Each begins at another place of the memory. */
	for (round = 0; round < 20; round++) {
		KUNIT_EXPECT_EQ(test, mydev_log_seek(&log, 0, false), log.head);
		KUNIT_EXPECT_EQ(test, mydev_log_seek(&log, U64_MAX, true),
				log.head);
		for (i = 0; i < n; i++) {
			struct mydev_entry entry = { .seq = entries[i].seq,
						     .time = entries[i].time };

			mydev_log_append(&log, &entry);
		}
		/* Before the first, and the first. */
		KUNIT_EXPECT_EQ(test, mydev_log_seek(&log, 0, false), log.tail);
		KUNIT_EXPECT_EQ(test, mydev_log_seek(&log, 10, false),
				log.tail);
		KUNIT_EXPECT_EQ(test, mydev_log_seek(&log, 0, true), log.tail);
		KUNIT_EXPECT_EQ(test, mydev_log_seek(&log, 100, true),
				log.tail);
		/* The first of several, and between. */
		KUNIT_EXPECT_EQ(test, mydev_log_seek(&log, 12, false),
				log.tail + 2);
		KUNIT_EXPECT_EQ(test, mydev_log_seek(&log, 13, false),
				log.tail + 5);
		KUNIT_EXPECT_EQ(test, mydev_log_seek(&log, 101, true),
				log.tail + 1);
		KUNIT_EXPECT_EQ(test, mydev_log_seek(&log, 200, true),
				log.tail + 1);
		KUNIT_EXPECT_EQ(test, mydev_log_seek(&log, 201, true),
				log.tail + 4);
		KUNIT_EXPECT_EQ(test, mydev_log_seek(&log, 400, true),
				log.tail + 5);
		/* The last, and behind it. */
		KUNIT_EXPECT_EQ(test, mydev_log_seek(&log, 15, false),
				log.head - 1);
		KUNIT_EXPECT_EQ(test, mydev_log_seek(&log, 16, false),
				log.head);
		KUNIT_EXPECT_EQ(test, mydev_log_seek(&log, 501, true),
				log.head);
		for (i = 0; i < n; i++)
			mydev_log_retire(&log, &pool);
		/* Another place: one entry. */
		mydev_log_append(&log, &(struct mydev_entry){ .seq = 7 });
		KUNIT_EXPECT_EQ(test, mydev_log_seek(&log, 7, false), log.tail);
		KUNIT_EXPECT_EQ(test, mydev_log_seek(&log, 8, false), log.head);
		mydev_log_retire(&log, &pool);
	}
	mydev_log_free(&log.store);
}

static void log_wraps_around(struct kunit *test)
{
	struct mydev_log_store store;
	struct mydev_pool pool = {};
	struct mydev_log log = { .head = 5, .tail = 5 };
	u64 in = 0, out = 0, base;
	unsigned int round, n;

	KUNIT_ASSERT_EQ(test, mydev_log_alloc(&store, 16), 0);
	mydev_log_use(&log, &store);
	base = log.head;
	KUNIT_EXPECT_EQ(test, base, 16);
	KUNIT_EXPECT_EQ(test, log.tail, base);
	for (round = 0; round < 300; round++) {
		for (n = 0; n < 1 + round % 16 && in - out < 16; n++) {
			struct mydev_entry entry = { .seq = in++ };

			mydev_log_append(&log, &entry);
		}
		KUNIT_EXPECT_EQ(test, log.head, base + in);
		KUNIT_EXPECT_EQ(test, kfifo_is_full(&log.store.fifo),
				in - out == 16);
		for (n = 0; n < 1 + round % 7 && out < in; n++) {
			KUNIT_ASSERT_EQ(test, mydev_log_at(&log, log.tail)->seq,
					out);
			KUNIT_ASSERT_EQ(test,
					mydev_log_at(&log, log.head - 1)->seq,
					in - 1);
			mydev_log_retire(&log, &pool);
			out++;
		}
		KUNIT_EXPECT_EQ(test, log.tail, base + out);
		KUNIT_EXPECT_EQ(test, kfifo_len(&log.store.fifo), in - out);
#if MYDEV_HAS_RING
		/* Those that map it find what is so. */
		KUNIT_EXPECT_EQ(test, log.store.page->head, log.head);
		KUNIT_EXPECT_EQ(test, log.store.page->tail, log.tail);
#endif
	}
	mydev_log_free(&log.store);
}

/* Another log is another memory: no position comes twice, nor the number of a packet. */
static void positions_go_on(struct kunit *test)
{
	struct mydev_client *c = open_client(test, 0);
	const struct mydev_packet_header *h;
	struct fixture *f = test->priv;
	struct mydev_geometry geometry = {};
	struct mydev_log *log = &f->dev.log;
	u64 head;
	int i;

	for (i = 0; i < 5; i++)
		KUNIT_EXPECT_TRUE(test, receive(test, i, 8));
	head = log->head;
	close_client(test, 0);
	KUNIT_EXPECT_NULL(test, log->store.slots);

	f->dev.rx.nr_entries = 64;
	c = open_client(test, 0);
	configure(test, c, MYDEV_MODE_PACKET, MYDEV_POLICY_LOSSLESS, 100);
	KUNIT_EXPECT_GE(test, log->head, head);
	KUNIT_EXPECT_EQ(test, log->head % 64, 0);
	KUNIT_EXPECT_EQ(test, log->tail, log->head);
	KUNIT_EXPECT_EQ(test, c->cursor, log->head);
	for (i = 0; i < 100; i++) {
		KUNIT_ASSERT_TRUE(test, receive(test, i, 8));
		h = (void *)f->readback;
		KUNIT_ASSERT_EQ(test, read_client(test, c, SIZE),
				sizeof(*h) + 8);
		KUNIT_EXPECT_EQ(test, h->sequence, 5 + i);
		KUNIT_EXPECT_EQ(test, *(u8 *)(h + 1), i);
	}
	close_client(test, 0);

	/* The same under a client that has read everything. */
	f->dev.info.ep_in_max_packet = 512;
	c = open_client(test, 0);
	KUNIT_EXPECT_TRUE(test, receive(test, 'a', 0));
	head = log->head;
	mydev_rx_get_geometry(&f->dev, &geometry);
	geometry.transfers = 1;
	geometry.log_entries = 1024;
	KUNIT_EXPECT_EQ(test, queued_packets(c), 0);
	KUNIT_ASSERT_EQ(test, mydev_rx_set_geometry(&f->dev, NULL, &geometry),
			0);
	KUNIT_EXPECT_EQ(test, kfifo_size(&log->store.fifo), 1024);
	KUNIT_EXPECT_GE(test, log->head, head);
	KUNIT_EXPECT_EQ(test, c->cursor, log->head);
	expect_identity(test, c);
	KUNIT_EXPECT_TRUE(test, receive(test, 'b', 8));
	KUNIT_EXPECT_EQ(test, queued_packets(c), 1);
	KUNIT_EXPECT_EQ(test, lost_packets(c), 0);
	expect_identity(test, c);
}

/* Takes @n buffers for transfers that are in flight. */
static void fly(struct kunit *test, struct mydev_buffer **flying, int n)
{
	struct fixture *f = test->priv;

	spin_lock_irq(&f->dev.rx_lock);
	while (n--)
		flying[n] = mydev_buffer_get_free(&f->dev.pool);
	spin_unlock_irq(&f->dev.rx_lock);
}

/*
 * What was in flight comes when the log is full of what a holder has not read: it has
 * lost the oldest, and is told.
 */
static void holder_of_a_full_log(struct kunit *test)
{
	struct mydev_client *holder, *other;
	const struct mydev_packet_header *h;
	const struct mydev_gap_record *gap;
	struct mydev_buffer *flying[3];
	struct fixture *f = test->priv;
	struct mydev_device *dev = &f->dev;
	struct mydev_log *log = &dev->log;
	u64 head, tail;
	int i, n = 0;

	dev->rx.nr_entries = 32;
	dev->rx.nr_buffers = 8;
	holder = open_client(test, 0);
	other = open_client(test, 1);
	configure(test, holder, MYDEV_MODE_PACKET, MYDEV_POLICY_LOSSLESS, 1000);
	mydev_client_demand(holder);
	fly(test, flying, 3);
	/* Some slots are left for events. */
	while (n < 100 && receive(test, n, 8))
		n++;
	KUNIT_EXPECT_EQ(test, n, 32 - MYDEV_LOG_SPARE);
	tail = log->tail;
	spin_lock_irq(&dev->rx_lock);
	for (i = 0; i < MYDEV_LOG_SPARE; i++)
		mydev_deliver_event(dev, MYDEV_EVENT_RESUME, -i - 1,
				    dev->last_id);
	head = log->head;
	/* There is no room, and it is not worth a packet. */
	mydev_deliver_event(dev, MYDEV_EVENT_RESUME, -99, dev->last_id);
	spin_unlock_irq(&dev->rx_lock);
	KUNIT_EXPECT_EQ(test, head, tail + 32);
	KUNIT_EXPECT_EQ(test, log->head, head);
	KUNIT_EXPECT_EQ(test, log->tail, tail);
	KUNIT_EXPECT_EQ(test, lost_packets(holder), 0);

	spin_lock_irq(&dev->rx_lock);
	for (i = 0; i < 3; i++) {
		memset(flying[i]->data, n + i, 8);
		complete_buffer(f, flying[i], 8);
	}
	spin_unlock_irq(&dev->rx_lock);
	KUNIT_EXPECT_EQ(test, log->head, head + 3);
	KUNIT_EXPECT_EQ(test, log->tail, tail + 3);
	KUNIT_EXPECT_EQ(test, lost_packets(holder), 3);
	KUNIT_EXPECT_EQ(test, lost_packets(other), 3);
	KUNIT_EXPECT_FALSE(test, receive(test, 0, 8));
	expect_identity(test, holder);

	h = (void *)f->readback;
	gap = (void *)(h + 1);
	KUNIT_ASSERT_EQ(test, read_client(test, holder, sizeof(*h) + 16),
			sizeof(*h) + 16);
	KUNIT_EXPECT_EQ(test, h->type, MYDEV_RECORD_GAP);
	KUNIT_EXPECT_EQ(test, h->sequence, 0);
	KUNIT_EXPECT_EQ(test, gap->packets, 3);
	KUNIT_EXPECT_EQ(test, gap->bytes, 24);
	for (i = 3; i < n + 3; i++) {
		int j;

		for (j = 0; i == n && j < MYDEV_LOG_SPARE; j++) {
			KUNIT_ASSERT_EQ(test, read_client(test, holder, 64),
					sizeof(*h) + 8);
			KUNIT_EXPECT_EQ(test, h->type, MYDEV_RECORD_EVENT);
			KUNIT_EXPECT_EQ(test, ((s32 *)(h + 1))[1], -j - 1);
		}
		KUNIT_ASSERT_EQ(test, read_client(test, holder, sizeof(*h) + 8),
				sizeof(*h) + 8);
		KUNIT_EXPECT_EQ(test, h->type, MYDEV_RECORD_PACKET);
		KUNIT_EXPECT_EQ(test, h->sequence, i);
		KUNIT_EXPECT_EQ(test, *(u8 *)(h + 1), i);
	}
	KUNIT_EXPECT_EQ(test, read_client(test, holder, SIZE), -EAGAIN);
	KUNIT_EXPECT_EQ(test, lost_packets(holder), 3);
	KUNIT_EXPECT_TRUE(test, receive(test, 0, 8));
}

/* The log is history: what all have read is there for one that comes later. */
static void late_joiner_gets_the_past(struct kunit *test)
{
	struct mydev_client *reader = open_client(test, 0);
	struct mydev_rewind arg = { .to = MYDEV_REWIND_OLDEST };
	struct fixture *f = test->priv;
	struct mydev_client *late;
	struct mydev_stats stats;
	int i;

	for (i = 0; i < 10; i++) {
		KUNIT_EXPECT_TRUE(test, receive(test, i, 8));
		KUNIT_EXPECT_EQ(test, read_client(test, reader, 8), 8);
	}
	late = open_client(test, 1);
	KUNIT_EXPECT_EQ(test, read_client(test, late, SIZE), -EAGAIN);
	KUNIT_EXPECT_EQ(test, mydev_client_rewind(late, &arg), 0);
	KUNIT_EXPECT_EQ(test, arg.value, 0);
	mydev_client_stats(late, &stats);
	KUNIT_EXPECT_EQ(test, stats.client_packets, 10);
	KUNIT_EXPECT_EQ(test, stats.client_queued_packets, 10);
	KUNIT_EXPECT_EQ(test, read_client(test, late, SIZE), 80);
	for (i = 0; i < 10; i++)
		KUNIT_EXPECT_EQ(test, f->readback[8 * i], i);
	expect_identity(test, late);

	/* In the middle, and twice: offered again, and no loss. */
	arg.to = MYDEV_REWIND_SEQUENCE;
	arg.value = 6;
	KUNIT_EXPECT_EQ(test, read_client(test, late, SIZE), -EAGAIN);
	KUNIT_EXPECT_EQ(test, mydev_client_rewind(late, &arg), 0);
	KUNIT_EXPECT_EQ(test, read_client(test, late, 12), 12);
	KUNIT_EXPECT_EQ(test, f->readback[0], 6);
	KUNIT_EXPECT_EQ(test, mydev_client_rewind(late, &arg), 0);
	KUNIT_EXPECT_EQ(test, read_client(test, late, SIZE), 32);
	mydev_client_stats(late, &stats);
	KUNIT_EXPECT_EQ(test, stats.client_lost_packets, 0);
	KUNIT_EXPECT_EQ(test, stats.client_read_packets, 10 + 1 + 4);
	/* It holds where it is now. */
	configure(test, late, MYDEV_MODE_STREAM, MYDEV_POLICY_LOSSLESS, 3);
	arg.value = 0;
	KUNIT_EXPECT_EQ(test, mydev_client_rewind(late, &arg), 0);
	/* What it goes back to does not fill its depth. */
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_TRUE(test, receive(test, i, 8));
	KUNIT_EXPECT_FALSE(test, receive(test, i, 8));
	KUNIT_EXPECT_EQ(test, read_client(test, late, SIZE), 13 * 8);
	KUNIT_EXPECT_EQ(test, lost_packets(late), 0);
	expect_identity(test, late);
}

/* More in a row than a look skips: it is told none of them, and misses nothing behind. */
static void late_joiner_skips_events(struct kunit *test)
{
	struct mydev_client *reader = open_client(test, 0);
	struct mydev_rewind arg = { .to = MYDEV_REWIND_OLDEST };
	const struct mydev_packet_header *h;
	struct mydev_device *dev = reader->dev;
	struct fixture *f = test->priv;
	struct mydev_client *late;
	unsigned int i;
	ssize_t n;

	mydev_client_demand(reader);
	configure(test, reader, MYDEV_MODE_PACKET, MYDEV_POLICY_LOSSLESS, 100);
	spin_lock_irq(&dev->rx_lock);
	for (i = 0; i < 30; i++)
		mydev_deliver_event(dev, MYDEV_EVENT_STALL, -EPIPE,
				    dev->last_id);
	spin_unlock_irq(&dev->rx_lock);
	KUNIT_EXPECT_TRUE(test, receive(test, 'a', 8));

	late = open_client(test, 1);
	configure(test, late, MYDEV_MODE_PACKET, MYDEV_POLICY_LOSSLESS, 100);
	KUNIT_EXPECT_EQ(test, mydev_client_rewind(late, &arg), 0);
	n = read_client(test, late, SIZE);
	h = (void *)f->readback;
	KUNIT_EXPECT_EQ(test, n, h->record_size);
	KUNIT_EXPECT_EQ(test, h->type, MYDEV_RECORD_PACKET);
	KUNIT_EXPECT_EQ(test, h->length, 8);
	KUNIT_EXPECT_EQ(test, read_client(test, late, SIZE), -EAGAIN);
	expect_identity(test, late);

	/* Who was there is told all of them. */
	for (i = 0; i <= 30; i++) {
		size_t size = sizeof(*h) +
			      (i < 30 ? sizeof(struct mydev_event_record) : 8);

		KUNIT_EXPECT_EQ(test, read_client(test, reader, size), size);
		KUNIT_EXPECT_EQ(test, h->type,
				i < 30 ? MYDEV_RECORD_EVENT
				       : MYDEV_RECORD_PACKET);
	}
}

static struct kunit_case log_cases[] = { KUNIT_CASE(log_seeks),
					 KUNIT_CASE(log_wraps_around),
					 KUNIT_CASE(positions_go_on),
					 KUNIT_CASE(holder_of_a_full_log),
					 KUNIT_CASE(late_joiner_gets_the_past),
					 KUNIT_CASE(late_joiner_skips_events),
					 KUNIT_CASE(reads_beside_a_completion),
					 KUNIT_CASE_PARAM(random_programs,
							  programs_gen_params),
					 {} };

/* Also of a program that has failed in the middle: nothing of it goes on. */
static void log_exit(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct model *m = f->priv;

	if (m && m->beside)
		hrtimer_cancel(&m->timer);
	if (m && f->dev.pool.buffers) {
		model_unpin(m);
		spin_lock_irq(&f->dev.rx_lock);
		while (m->nr_flying) {
			struct mydev_buffer *buf = m->flying[--m->nr_flying];

			mydev_buffer_complete(buf);
			mydev_buffer_put(&f->dev.pool, buf);
		}
		spin_unlock_irq(&f->dev.rx_lock);
	}
	fixture_exit(test);
}

static struct kunit_suite log_suite = {
	.name = "mydev-log",
	.init = fixture_init,
	.exit = log_exit,
	.test_cases = log_cases,
};

kunit_test_suites(&log_suite);
