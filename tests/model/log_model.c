// SPDX-License-Identifier: GPL-2.0-only
/*
 * The log of the driver itself (kernel/log.c and what is on its floor), compiled into a
 * program, with a tiny log and pool: all short sequences of what can happen, or a
 * long one by chance. After each step everything that must hold is checked, against what
 * was sent, and what the clients have got.
 *
 * One transfer ends at a time; the ring of rx.c is a list of buffers that are in flight.
 */
#include <getopt.h>

#include "mydev.h"
#include "read.h"

#define NR_CLIENTS   2
#define NR_IN_FLIGHT 2
#define BUFFER       64
#define LARGE        BUFFER
#define SMALL        5
#define DEPTH        3

u64 model_now;
unsigned long jiffies;
static struct task_struct model_task = { &model_task };
struct task_struct *current = &model_task;

static unsigned int nr_entries = 8, nr_buffers = 5;

/* What was sent: entries by their position, modulo a power of two. */
#define HISTORY 4096
struct sent {
	u64 position;
	u64 seq;
	u64 bytes;
	u32 length;
	u32 event;
};

/* What a client has been told. */
struct told {
	struct mydev_client *client;
	struct mydev_place lost;
	u32 event;
	bool held;
	u64 cursor;
	struct mydev_place at;
};

static struct mydev_interface interface;
static struct mydev_device device;
static struct sent history[HISTORY];
static struct told told[NR_CLIENTS];
static struct mydev_buffer *in_flight[NR_IN_FLIGHT];
static u32 last_event;
static unsigned int nr_clients = NR_CLIENTS;

/* Of the whole run. */
static u64 steps_done, packets, gaps, events, forced, stops, retired;

/* What has led here, to tell of it. */
#define MAX_TRACE 64
static unsigned char trace[MAX_TRACE];
static u64 trace_length;
static const char *how_to_repeat = "";

static const char *op_name(unsigned int op);

_Noreturn void model_fail(const char *file, int line, const char *what)
{
	u64 i = trace_length > MAX_TRACE ? trace_length - MAX_TRACE : 0;

	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	fprintf(stderr, "%s after %llu steps, at the end of:", how_to_repeat,
		(unsigned long long)trace_length);
	for (; i < trace_length; i++)
		fprintf(stderr, " %s", op_name(trace[i % MAX_TRACE]));
	fprintf(stderr, "\n");
	exit(1);
}

/* ---------------------------------------------------- the rest of the driver */

int mydev_tx_alloc(struct mydev_device *dev)
{
	return 0;
}

int mydev_rx_add_subscriber(struct mydev_device *dev)
{
	dev->nr_subscribers++;
	return 0;
}

void mydev_rx_remove_subscriber(struct mydev_device *dev)
{
	dev->nr_subscribers--;
}

void mydev_rx_stop_if_unused(struct mydev_device *dev)
{
}

bool mydev_rx_needs_refill(struct mydev_device *dev)
{
	return dev->rx.in_flight < NR_IN_FLIGHT;
}

u32 mydev_rx_state(const struct mydev_device *dev)
{
	return dev->rx.state;
}

void mydev_rx_queue_work(struct mydev_device *dev)
{
}

void mydev_tx_detach_client(struct mydev_client *client)
{
}

void mydev_tx_revoke(struct mydev_client *client)
{
}

void mydev_tx_pm_put_idle(struct mydev_device *dev)
{
}

void mydev_tx_cancel(struct mydev_client *client, u32 transaction)
{
}

void mydev_lease_release(struct mydev_client *client)
{
}

void mydev_ep0_abort(struct mydev_device *dev, unsigned int address)
{
}

u32 mydev_interface_next_id(struct mydev_interface *iface)
{
	return ++iface->last_id.counter;
}

struct mydev_place mydev_rx_all_unread(const struct mydev_device *dev)
{
	return (struct mydev_place){ 0, 0 };
}

u64 mydev_rx_errors(struct mydev_device *dev)
{
	return dev->counters.errors;
}

void mydev_tx_stats(struct mydev_client *client, struct mydev_stats *stats)
{
}

void mydev_map_revoke(struct mydev_client *client)
{
}

void mydev_map_close_file(struct mydev_client *client)
{
}

/* As in rx.c. */
void mydev_rx_refill(struct mydev_device *dev)
{
	struct mydev_rx *rx = &dev->rx;
	struct mydev_buffer *buf;
	bool again;

	do {
		again = false;
		spin_lock_irq(&dev->rx_lock);
		while (rx->in_flight < NR_IN_FLIGHT &&
		       mydev_rx_can_submit(dev, rx->in_flight + 1)) {
			buf = mydev_buffer_get_free(&dev->pool);
			if (!buf)
				break;
			in_flight[rx->in_flight++] = buf;
			if (rx->in_flight == 1)
				mydev_holders_tell(dev);
		}
		if (!rx->in_flight) {
			stops++;
			mydev_rx_starved(dev);
			again = mydev_holders_tell(dev);
		}
		spin_unlock_irq(&dev->rx_lock);
	} while (again);
}

/* ------------------------------------------------------------- what is checked */

static u8 byte_at(u64 number)
{
	return number * 37 + (number >> 8) * 11 + 1;
}

static struct sent *sent_at(u64 position)
{
	struct sent *sent = &history[position % HISTORY];

	MODEL_CHECK(sent->position == position);
	return sent;
}

static void note_sent(u32 length, u32 event)
{
	u64 position = device.log.head;

	history[position % HISTORY] = (struct sent){
		.position = position,
		.seq = device.counters.packets,
		.bytes = device.counters.bytes,
		.length = length,
		.event = event,
	};
}

/* An entry and its bytes are what was sent. */
static void check_entry(const struct mydev_entry *entry, u64 position)
{
	const struct sent *sent = sent_at(position);
	const struct mydev_buffer *buf;
	const u8 *data;
	u32 i;

	MODEL_CHECK(entry->seq == sent->seq && entry->bytes == sent->bytes);
	MODEL_CHECK(entry->length == sent->length);
	MODEL_CHECK((entry->type == MYDEV_RECORD_EVENT) == !!sent->event);
	if (sent->event)
		MODEL_CHECK(entry->status == -(s32)sent->event);
	MODEL_CHECK(!entry->buffer == !entry->length);
	if (!entry->buffer)
		return;
	buf = mydev_entry_buffer(&device.pool, entry);
	MODEL_CHECK(buf->state == MYDEV_BUFFER_HELD);
	MODEL_CHECK(buf->last >= position);
	data = buf->data + (entry->offset - buf->map_offset);
	for (i = 0; i < entry->length; i++)
		MODEL_CHECK(data[i] == byte_at(entry->bytes + i));
}

static void check_buffers(void)
{
	const struct mydev_log *log = &device.log;
	const struct mydev_pool *pool = &device.pool;
	unsigned int refs[16] = { 0 }, i, free = 0, flying = 0;
	u64 position;

	for (position = log->tail; position != log->head; position++) {
		const struct mydev_entry *entry = mydev_log_at(log, position);

		check_entry(entry, position);
		if (entry->buffer)
			refs[entry->buffer - 1]++;
	}
	if (pool->pack)
		refs[pool->pack - pool->buffers]++;
	for (i = 0; i < pool->nr; i++) {
		const struct mydev_buffer *buf = &pool->buffers[i];

		free += buf->state == MYDEV_BUFFER_FREE;
		flying += buf->state == MYDEV_BUFFER_IN_FLIGHT;
		MODEL_CHECK(buf->state == MYDEV_BUFFER_HELD ? refs[i] && refs[i] == buf->refs
							    : !refs[i]);
	}
	MODEL_CHECK(free == pool->nr_free);
	MODEL_CHECK(flying == device.rx.in_flight);
}

/* What the holders allow is never less than what was noted of it. */
static void check_limits(void)
{
	const struct mydev_log *log = &device.log;
	unsigned int i, room = UINT_MAX;
	u64 least = log->head;

	MODEL_CHECK(log->head - log->tail <= nr_entries);
	MODEL_CHECK(log->head - log->tail == log->store.fifo.in - log->store.fifo.out);
	MODEL_CHECK(log->limit >= log->tail && log->limit <= log->head);
	MODEL_CHECK(log->store.page->head == log->head);
	MODEL_CHECK(log->store.page->tail == log->tail);
	for (i = 0; i < nr_clients; i++) {
		const struct mydev_client *client = told[i].client;
		u64 cursor = max(client->cursor, log->tail);
		u64 used = log->head - max(cursor, client->from);

		if (!mydev_client_blocks(client))
			continue;
		MODEL_CHECK(log->limit <= cursor);
		least = min(least, cursor);
		room = min(room, (unsigned int)max((s64)(client->depth + device.rx.nr - used), 0));
	}
	room = min(room,
		   (unsigned int)max((s64)(nr_entries - (log->head - least)) - (s64)MYDEV_LOG_SPARE,
				     0));
	MODEL_CHECK(device.rx.credits <= room);
}

/* The tail has passed a packet, of a byte stream one with bytes, that was still to come. */
static bool lost_something(const struct told *t)
{
	const struct mydev_client *client = t->client;
	struct mydev_place place = mydev_place_at(&device, device.log.tail);

	if (t->cursor >= device.log.tail)
		return false;
	return client->mode == MYDEV_MODE_STREAM ? place.bytes > t->at.bytes
						 : place.seq > t->at.seq;
}

/* Nothing that is not read yet is taken away from a holder while another way is left. */
static void check_holders(bool full, const struct told *reader)
{
	unsigned int i;

	for (i = 0; i < nr_clients; i++) {
		const struct told *t = &told[i];

		if (t != reader && t->held && mydev_client_blocks(t->client) && lost_something(t)) {
			MODEL_CHECK(full);
			forced++;
		}
	}
}

/* For the next time; all clients are settled. */
static void note_holders(void)
{
	unsigned int i;

	for (i = 0; i < nr_clients; i++) {
		struct told *t = &told[i];

		t->held = mydev_client_blocks(t->client);
		t->cursor = t->client->cursor;
		t->at = mydev_place_at(&device, t->cursor);
		t->at.bytes = max(t->at.bytes, t->client->next.bytes);
	}
}

/* Read + lost + queued is what was offered, and what is lost was told or is still to be. */
static void check_counts(struct told *t)
{
	struct mydev_client *client = t->client;
	struct mydev_counts c;
	struct mydev_place at, end;

	mydev_client_counts(client, &c);
	MODEL_CHECK(c.packets == c.read_packets + c.lost_packets + c.queued_packets);
	MODEL_CHECK(c.bytes == c.read_bytes + c.lost_bytes + c.queued_bytes);
	/* None of them is a difference that is less than nothing. */
	MODEL_CHECK(c.lost_packets < 1ULL << 40 && c.queued_packets <= nr_entries);
	MODEL_CHECK(c.lost_bytes < 1ULL << 40 && c.queued_bytes < 1ULL << 40);
	MODEL_CHECK(client->cursor >= device.log.tail && client->cursor <= device.log.head);
	if (client->mode == MYDEV_MODE_RING)
		return;
	MODEL_CHECK(client->next.seq - client->start.seq == c.read_packets + t->lost.seq);
	MODEL_CHECK(client->next.bytes - client->start.bytes == c.read_bytes + t->lost.bytes);
	at = mydev_place_at(&device, client->cursor);
	end = mydev_place_at(&device, mydev_cursor_end(client, &device.log));
	MODEL_CHECK(at.seq >= client->next.seq);
	MODEL_CHECK(c.lost_packets ==
		    t->lost.seq + (at.seq - client->next.seq) + device.counters.packets - end.seq);
}

/* By a policy that drops, no more is to be read than the depth; it is settled. */
static void check_depth(const struct mydev_client *client)
{
	u64 from = max(client->cursor, client->from);

	if (mydev_client_blocks(client) || client->mode == MYDEV_MODE_RING)
		return;
	if (client->keep)
		MODEL_CHECK(client->policy == MYDEV_POLICY_DROP_NEWEST &&
			    client->keep <= device.log.head &&
			    client->keep <= from + client->depth);
	else
		MODEL_CHECK(device.log.head - from <= client->depth);
}

static void check(bool full, const struct told *reader)
{
	unsigned int i;

	MODEL_CHECK(!device.rx_lock.held && !device.rx_mutex.held);
	check_holders(full, reader);
	check_limits();
	check_buffers();
	spin_lock_irq(&device.rx_lock);
	for (i = 0; i < nr_clients; i++)
		check_counts(&told[i]);
	for (i = 0; i < nr_clients; i++)
		check_depth(told[i].client);
	spin_unlock_irq(&device.rx_lock);
	check_limits();
	note_holders();
	MODEL_CHECK(mydev_pool_unused(&device) <= device.pool.nr);
}

/* --------------------------------------------------------- what a client does */

static void got_bytes(const u8 *data, size_t length, u64 number)
{
	size_t i;

	for (i = 0; i < length; i++)
		MODEL_CHECK(data[i] == byte_at(number + i));
}

/* In packet mode: each record is the next packet, or a gap, or an event right there. */
static void got_records(struct told *t, const u8 *data, size_t length, struct mydev_place next)
{
	while (length) {
		const struct mydev_packet_header *h = (const void *)data;
		const u8 *payload = data + h->header_size;
		const struct mydev_gap_record *gap = (const void *)payload;
		const struct mydev_event_record *event = (const void *)payload;

		MODEL_CHECK(h->record_size <= length);
		MODEL_CHECK(h->sequence == next.seq);
		switch (h->type) {
		case MYDEV_RECORD_PACKET:
			got_bytes(payload, h->length, next.bytes);
			next.seq++;
			next.bytes += h->length;
			packets++;
			break;
		case MYDEV_RECORD_GAP:
			MODEL_CHECK(gap->packets);
			t->lost.seq += gap->packets;
			t->lost.bytes += gap->bytes;
			next.seq += gap->packets;
			next.bytes += gap->bytes;
			gaps++;
			break;
		default:
			MODEL_CHECK((u32)-event->status > t->event);
			t->event = -event->status;
			events++;
		}
		data += h->record_size;
		length -= h->record_size;
	}
	MODEL_CHECK(next.seq == t->client->next.seq);
	MODEL_CHECK(next.bytes == t->client->next.bytes);
}

static void do_read(struct told *t, size_t want)
{
	struct mydev_client *client = t->client;
	static u8 buffer[64 * 1024] __aligned(8);
	struct iov_iter to = { (char *)buffer, want };
	struct mydev_place before;
	ssize_t ret;

	spin_lock_irq(&device.rx_lock);
	mydev_cursor_settle(client);
	before = client->next;
	spin_unlock_irq(&device.rx_lock);
	ret = mydev_client_read(client, &to, true);
	if (ret == -ENOBUFS) {
		MODEL_CHECK(client->mode == MYDEV_MODE_STREAM);
		MODEL_CHECK(client->next.seq > before.seq || client->next.bytes > before.bytes);
		t->lost.seq += client->next.seq - before.seq;
		t->lost.bytes += client->next.bytes - before.bytes;
		gaps++;
	} else if (ret < 0) {
		MODEL_CHECK(ret == -EAGAIN || (ret == -EMSGSIZE && want < 256));
		if (ret == -EAGAIN)
			MODEL_CHECK(mydev_cursor_empty(client));
	} else if (client->mode == MYDEV_MODE_PACKET) {
		got_records(t, buffer, ret, before);
	} else {
		got_bytes(buffer, ret, before.bytes);
		MODEL_CHECK(client->next.bytes == before.bytes + ret);
		packets += client->next.seq - before.seq;
	}
}

/* A program that follows the steps of struct mydev_ring. */
static void do_ring(struct told *t, unsigned int want)
{
	struct mydev_ring *ring = t->client->ring.page;
	const struct mydev_log_page *page = device.log.store.page;

	mydev_client_demand(t->client);
	for (; want; want--) {
		const struct mydev_entry *entry;
		u64 cursor = ring->cursor;

		if (cursor >= page->head)
			break;
		if (page->tail > cursor)
			cursor = page->tail;
		if (cursor < page->head) {
			entry = mydev_log_at(&device.log, cursor);
			check_entry(entry, cursor);
			if (entry->seq > ring->sequence) {
				t->lost.seq += entry->seq - ring->sequence;
				t->lost.bytes += entry->bytes - ring->bytes;
				ring->sequence = entry->seq;
				ring->bytes = entry->bytes;
				gaps++;
			}
			MODEL_CHECK(entry->seq == ring->sequence);
			if (entry->type == MYDEV_RECORD_PACKET) {
				ring->read_bytes += entry->bytes + entry->length - ring->bytes;
				ring->read_packets++;
				ring->sequence++;
				ring->bytes = entry->bytes + entry->length;
				packets++;
			} else {
				MODEL_CHECK((u32)-entry->status > t->event);
				t->event = -entry->status;
				events++;
			}
			cursor++;
		}
		ring->cursor = cursor;
		if (ring->flags & MYDEV_RING_NEED_WAKEUP)
			mydev_ring_kick(t->client);
	}
}

static void do_take(struct told *t, bool all)
{
	if (t->client->mode == MYDEV_MODE_RING)
		do_ring(t, all ? 1000 : 1);
	else if (t->client->mode == MYDEV_MODE_PACKET)
		do_read(t, all ? 64 * 1024 : 40 + BUFFER);
	else
		do_read(t, all ? 64 * 1024 : 3);
}

/*
 * No setting loses a packet: only a tail that moves on meanwhile does, and to become a
 * holder of more than can be held.
 */
static void do_config(struct told *t, int mode, int policy, unsigned int depth)
{
	struct mydev_client *client = t->client;
	struct mydev_config config;
	bool held = mydev_client_blocks(client);
	u64 bytes;

	mydev_client_get_config(client, &config);
	if (mode >= 0)
		config.mode = mode;
	if (policy >= 0)
		config.policy = policy;
	if (depth)
		config.queue_depth = depth;
	spin_lock_irq(&device.rx_lock);
	mydev_cursor_settle(client);
	bytes = mydev_place_at(&device, client->cursor).bytes;
	spin_unlock_irq(&device.rx_lock);
	MODEL_CHECK(!mydev_client_set_config(client, &config));
	if (held || !mydev_client_blocks(client))
		MODEL_CHECK(mydev_place_at(&device, client->cursor).bytes <=
				    max(bytes, client->next.bytes) ||
			    client->cursor == device.log.tail);
}

static void do_rewind(struct told *t, u32 to, u64 value)
{
	struct mydev_rewind arg = { .to = to, .value = value };
	const struct mydev_log *log = &device.log;
	u64 room = log->head + device.rx.in_flight + MYDEV_LOG_SPARE;
	struct mydev_place place;
	u64 oldest = log->tail;

	/* Before a holder, what is in flight has room, and some events. */
	if (t->client->demanded && !t->client->ring.error &&
	    t->client->policy == MYDEV_POLICY_LOSSLESS && room - oldest > nr_entries)
		oldest = min(room - nr_entries, log->head);
	place = mydev_place_at(&device, oldest);
	MODEL_CHECK(!mydev_client_rewind(t->client, &arg));
	/* From there, a byte stream may have gone on over what has no bytes. */
	if (to == MYDEV_REWIND_OLDEST)
		MODEL_CHECK(t->client->next.bytes == place.bytes && arg.value == place.seq);
	/* Events are told once more. */
	t->event = 0;
}

static void do_open(struct told *t)
{
	memset(t, 0, sizeof(*t));
	t->client = mydev_client_open(&device, true, true);
	MODEL_CHECK(!IS_ERR(t->client));
	t->client->depth = DEPTH;
	t->event = last_event;
}

/* ------------------------------------------------------- what the device does */

/* A transfer that is in flight ends, if there is one, as in rx.c. */
static void do_packet(u32 length)
{
	struct mydev_rx *rx = &device.rx;
	struct mydev_entry entry = { .length = length };
	struct mydev_buffer *buf, *pack;
	u8 *data;
	u32 offset = 0, i;

	mydev_rx_refill(&device);
	if (!rx->in_flight)
		return;
	spin_lock_irq(&device.rx_lock);
	buf = in_flight[0];
	in_flight[0] = in_flight[--rx->in_flight];
	mydev_buffer_complete(buf);
	/* All of it is the device's: what was there is gone. */
	memset(buf->data, 0, BUFFER);
	data = buf->data;
	for (i = 0; i < length; i++)
		data[i] = byte_at(device.counters.bytes + i);
	if (length) {
		pack = mydev_buffer_pack(&device.pool, buf, length, &offset);
		buf = pack ?: buf;
		buf->last = device.log.head;
		mydev_entry_set_buffer(&device.pool, &entry, buf, offset);
	} else {
		mydev_buffer_put(&device.pool, buf);
	}
	note_sent(length, 0);
	mydev_deliver(&device, &entry);
	spin_unlock_irq(&device.rx_lock);
	mydev_rx_refill(&device);
}

static void do_event(void)
{
	u64 head = device.log.head;

	spin_lock_irq(&device.rx_lock);
	note_sent(0, last_event + 1);
	mydev_deliver_event(&device, MYDEV_EVENT_ERROR, -(int)(last_event + 1), device.last_id);
	last_event += device.log.head != head;
	spin_unlock_irq(&device.rx_lock);
}

static void do_evict(void)
{
	spin_lock_irq(&device.rx_lock);
	mydev_clients_evict(&device);
	spin_unlock_irq(&device.rx_lock);
	mydev_rx_refill(&device);
}

static void begin(void)
{
	struct mydev_log_store store;
	unsigned int i;

	memset(&device, 0, sizeof(device));
	device.iface = &interface;
	memset(in_flight, 0, sizeof(in_flight));
	memset(history, 0xff, sizeof(history));
	last_event = 0;
	trace_length = 0;
	INIT_LIST_HEAD(&device.clients);
	mydev_clients_wake_init(&device);
	device.has_in = true;
	device.rx.nr = NR_IN_FLIGHT;
	device.rx.state = MYDEV_STATE_RUNNING;
	MODEL_CHECK(!mydev_log_alloc(&store, nr_entries));
	mydev_log_use(&device.log, &store);
	MODEL_CHECK(!mydev_pool_alloc(&device.pool, nr_buffers, BUFFER));
	for (i = 0; i < nr_clients; i++)
		do_open(&told[i]);
}

static void end(void)
{
	unsigned int i;

	retired += device.log.tail;
	for (i = 0; i < nr_clients; i++)
		mydev_client_close(told[i].client);
	mydev_log_clear(&device);
	MODEL_CHECK(device.log.tail == device.log.head);
	while (device.rx.in_flight) {
		struct mydev_buffer *buf = in_flight[--device.rx.in_flight];

		mydev_buffer_complete(buf);
		mydev_buffer_put(&device.pool, buf);
	}
	mydev_pool_close_pack(&device.pool);
	MODEL_CHECK(device.pool.nr_free == device.pool.nr);
	mydev_pool_free(&device.pool);
	mydev_log_free(&device.log.store);
	MODEL_CHECK(!device.nr_clients && !device.nr_rings && !device.rx.users);
	MODEL_CHECK(!device.dev.refs);
	MODEL_CHECK(list_empty(&device.sleepers) && list_empty(&device.woken));
}

/* ------------------------------------------------------------------- sequences */

enum op {
	EMPTY,
	SHORT,
	FULL,
	EVENT,
	EVICT,
	/* Of the first client, and of each further one after that. */
	TAKE,
	TAKE_ALL,
	REWIND,
	POLICY,
	MODE,
	/* By chance only. */
	REWIND_SEQ,
	DEPTHS,
	REOPEN,
	SLEEP,
	OPS_OF_CLIENT,
};

/* By chance, packets are most of what happens. */
#define NR_SHORT_OPS  (REWIND_SEQ - TAKE)
#define NR_CLIENT_OPS (OPS_OF_CLIENT - TAKE)

static const char *const op_names[] = {
	[EMPTY] = "empty",       [SHORT] = "short",          [FULL] = "full",
	[EVENT] = "event",       [EVICT] = "evict",          [TAKE] = "take",
	[TAKE_ALL] = "take-all", [REWIND] = "rewind",        [POLICY] = "policy",
	[MODE] = "mode",         [REWIND_SEQ] = "rewind-to", [DEPTHS] = "depth",
	[REOPEN] = "reopen",     [SLEEP] = "sleep",
};

static const char *op_name(unsigned int op)
{
	static char name[4][32];
	static unsigned int turn;
	unsigned int client = 0;
	char *to = name[turn++ % 4];

	for (; op >= OPS_OF_CLIENT; op -= NR_CLIENT_OPS)
		client++;
	if (op < TAKE)
		return op_names[op];
	snprintf(to, sizeof(name[0]), "%s(%u)", op_names[op], client);
	return to;
}

static void do_client_op(unsigned int op, struct told *t, u64 chance)
{
	struct mydev_client *client = t->client;

	switch (op) {
	case TAKE:
	case TAKE_ALL:
		do_take(t, op == TAKE_ALL);
		break;
	case REWIND:
		do_rewind(t, MYDEV_REWIND_OLDEST, 0);
		break;
	case POLICY:
		do_config(t, -1, (client->policy + 1) % 3, 0);
		break;
	case MODE:
		do_config(t, (client->mode + 1) % 3, -1, 0);
		break;
	case REWIND_SEQ:
		do_rewind(t, MYDEV_REWIND_SEQUENCE,
			  device.counters.packets - chance % (nr_entries + 2));
		break;
	case DEPTHS:
		do_config(t, -1, -1, 1 + chance % nr_entries);
		break;
	case REOPEN:
		mydev_client_close(client);
		do_open(t);
		break;
	case SLEEP:
		client->wait.waiters = chance & 1;
		spin_lock_irq(&device.rx_lock);
		if (client->wait.waiters && !client->revoked)
			mydev_client_arm(client, false);
		spin_unlock_irq(&device.rx_lock);
		break;
	}
}

static void step(unsigned int op, u64 chance)
{
	/* What must come has no room, and then takes it from a holder. */
	bool full = op <= FULL && device.log.head - device.log.tail == nr_entries;
	unsigned int client = 0;

	trace[trace_length++ % MAX_TRACE] = op;
	for (; op >= OPS_OF_CLIENT; op -= NR_CLIENT_OPS)
		client++;
	switch (op) {
	case EMPTY:
		do_packet(0);
		break;
	case SHORT:
		do_packet(SMALL);
		break;
	case FULL:
		do_packet(LARGE);
		break;
	case EVENT:
		do_event();
		break;
	case EVICT:
		do_evict();
		break;
	default:
		do_client_op(op, &told[client], chance);
	}
	check(full, op < TAKE ? NULL : &told[client]);
	steps_done++;
}

/* The operations of short sequences, by number. */
static unsigned int short_op(unsigned int number)
{
	unsigned int client;

	if (number < TAKE)
		return number;
	client = (number - TAKE) / NR_SHORT_OPS;
	return TAKE + (number - TAKE) % NR_SHORT_OPS + client * NR_CLIENT_OPS;
}

/* All sequences of so many steps, after a beginning that fills the log, or none. */
static void all_sequences(unsigned int length, unsigned int modes, bool filled)
{
	unsigned int nr_ops = TAKE + nr_clients * NR_SHORT_OPS, i;
	unsigned char ops[MAX_TRACE] = { 0 };

	for (;;) {
		begin();
		for (i = 0; i < nr_clients; i++) {
			do_config(&told[i], modes % 3, modes / 3 % 3, 0);
			mydev_client_demand(told[i].client);
			modes = modes / 9 + modes % 9 * 9;
		}
		check(false, NULL);
		for (i = 0; filled && i < 2 * nr_entries; i++) {
			step(i % 3, 0);
			if (i < nr_entries)
				step(TAKE_ALL, 0);
		}
		for (i = 0; i < length; i++)
			step(short_op(ops[i]), 0);
		end();
		for (i = length; i && ++ops[i - 1] == nr_ops; i--)
			ops[i - 1] = 0;
		if (!i)
			return;
	}
}

static u64 chance_state;

static u64 chance(void)
{
	chance_state ^= chance_state << 13;
	chance_state ^= chance_state >> 7;
	chance_state ^= chance_state << 17;
	return chance_state;
}

static void by_chance(u64 seed, u64 steps)
{
	static const unsigned int sizes[] = { 4, 8, 16 };
	static char how[64];
	u64 i = 0, n;

	snprintf(how, sizeof(how), "--seed %llu --steps %llu:", (unsigned long long)seed,
		 (unsigned long long)steps);
	how_to_repeat = how;
	chance_state = seed * 0x9e3779b97f4a7c15ULL + 1;
	while (i < steps) {
		nr_entries = sizes[chance() % 3];
		nr_buffers = NR_IN_FLIGHT + 2 + chance() % 8;
		nr_clients = 1 + chance() % NR_CLIENTS;
		begin();
		check(false, NULL);
		for (n = 1 + chance() % 1000; n && i < steps; n--, i++) {
			unsigned int op = chance() % 8;

			if (op > 3)
				op = chance() % 2 ? TAKE + chance() % 2
						  : EVENT + chance() % (OPS_OF_CLIENT - EVENT);
			if (op == EVENT && chance() % 4)
				op = SHORT;
			if (op >= TAKE && nr_clients > 1 && chance() % 2)
				op += NR_CLIENT_OPS;
			jiffies += !(chance() % 4);
			if (device.rx.wake_timer.queued && !(chance() % 4)) {
				device.rx.wake_timer.queued = false;
				device.rx.wake_timer.function(&device.rx.wake_timer);
			}
			step(op, chance() >> 8);
		}
		end();
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "depth", required_argument, NULL, 'd' },
		{ "clients", required_argument, NULL, 'c' },
		{ "seed", required_argument, NULL, 's' },
		{ "steps", required_argument, NULL, 'n' },
		{ 0 },
	};
	u64 seed = 1, steps = 0;
	unsigned int depth = 4, modes, all;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'd':
			depth = strtoul(optarg, NULL, 0);
			break;
		case 'c':
			nr_clients = strtoul(optarg, NULL, 0);
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			steps = strtoull(optarg, NULL, 0);
			break;
		default:
			fprintf(stderr,
				"Usage: %s [--clients N] [--depth N] | --steps N [--seed N]\n",
				argv[0]);
			return 2;
		}
	}
	if (steps) {
		by_chance(seed, steps);
	} else {
		all = nr_clients > 1 ? 81 : 9;
		for (modes = 0; modes < all; modes++) {
			all_sequences(depth, modes, false);
			all_sequences(depth, modes, true);
		}
	}
	printf("%llu steps, %llu packets read, %llu gaps, %llu events, %llu forced, %llu stops, %llu retired\n",
	       (unsigned long long)steps_done, (unsigned long long)packets,
	       (unsigned long long)gaps, (unsigned long long)events, (unsigned long long)forced,
	       (unsigned long long)stops, (unsigned long long)retired);
	return 0;
}
