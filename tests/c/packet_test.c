// SPDX-License-Identifier: GPL-2.0-only
/* Packet mode: records, whole and in order, and switching to it and back. */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "records.h"
#include "settings.h"

/* tests/suites starts the simulated device with --zlp-every 10 --zlp-terminate. */
#define ZLP_EVERY 10

static _Alignas(8) char buf[1 << 18];

static int open_packet(void)
{
	int fd = node_open(O_RDONLY);

	configure(fd, .mode = MYDEV_MODE_PACKET);
	ask(fd);
	return fd;
}

/* A parser that knows what comes next, from a device that is quiet now. */
static void expect(struct records *r, int fd)
{
	records_from(r, next_counter(), stats_of(fd).packets);
}

/* Zero-length packets among the next @packets with a counter. */
static uint64_t zeros_in(uint64_t first, uint64_t packets)
{
	return (first + packets) / ZLP_EVERY - first / ZLP_EVERY;
}

TEST(headers)
{
	uint64_t first, zeros;
	struct mydev_stats s;
	struct records r;
	int fd;

	/* A device that is plugged in anew counts from 0. */
	unplug();
	plug();
	first = next_counter();
	zeros = zeros_in(first, 300);
	fd = open_packet();
	records_from(&r, first, 0);
	feed(300, "65-1000");
	take_records(fd, &r, 300 + zeros, sizeof(buf));
	assert_int_equal(r.packets, 300 + zeros);
	assert_int_equal(r.zero_packets, zeros);
	assert_int_equal(r.next, 300 + zeros);
	assert_int_equal(r.gaps + r.events + r.continued, 0);
	s = stats_of(fd);
	assert_int_equal(s.client_read_packets, r.packets);
	assert_int_equal(s.client_read_bytes, r.bytes);
	assert_int_equal(s.client_queued_packets, 0);
	assert_true(identity_holds(&s));
}

TEST(as_many_as_fit)
{
	size_t one = record_size(1000);
	int fd = open_packet();
	struct records r;

	expect(&r, fd);
	feed(9, "1000");
	await_queued(fd, 9);
	assert_int_equal(read(fd, buf, 3 * one + one / 2), 3 * one);
	assert_true(records_feed(&r, buf, 3 * one));
	assert_int_equal(read(fd, buf, 2 * one), 2 * one);
	assert_true(records_feed(&r, buf, 2 * one));
	assert_int_equal(read(fd, buf, one), one);
	assert_true(records_feed(&r, buf, one));
	take_records(fd, &r, 3, sizeof(buf));
	assert_int_equal(r.packets, r.zero_packets + 9);
}

/* Packets of 100 bytes have come, and behind them one without any. */
static bool ends_with_zero(int fd)
{
	struct mydev_stats s = stats_of(fd);

	return s.client_queued_packets > 1 &&
	       s.client_queued_bytes == 100 * (s.client_queued_packets - 1);
}

/* None of the next few packets is followed by one without bytes. */
static void skip_zero(int fd, struct records *r)
{
	feed(ZLP_EVERY - next_counter() % ZLP_EVERY, "100");
	await(sim_is("quiet"));
	await(ends_with_zero(fd));
	assert_null(drain_records(fd, r));
}

TEST(zero_is_a_record)
{
	struct mydev_packet_header *h = (void *)buf;
	int fd = open_packet();

	/* Up to one that is followed by a packet without bytes. */
	feed(ZLP_EVERY - next_counter() % ZLP_EVERY, "100");
	await(sim_is("quiet"));
	await(ends_with_zero(fd));
	while (stats_of(fd).client_queued_packets > 1)
		assert_int_equal(read(fd, buf, record_size(100)), record_size(100));
	assert_int_equal(stats_of(fd).client_queued_bytes, 0);
	assert_int_equal(read(fd, buf, sizeof(buf)), record_size(0));
	assert_int_equal(h->record_size, sizeof(*h));
	assert_int_equal(h->type, MYDEV_RECORD_PACKET);
	assert_int_equal(h->length, 0);
	assert_int_equal(h->sequence, stats_of(fd).packets - 1);
	assert_int_equal(stats_of(fd).client_queued_packets, 0);
}

TEST(too_small)
{
	size_t one = record_size(1000);
	int fd = open_packet();
	struct mydev_stats s;
	struct records r;
	uint64_t due;

	expect(&r, fd);
	due = 3 + zeros_in(next_counter(), 3);
	feed(3, "1000");
	await_queued(fd, due);
	s = stats_of(fd);
	for (size_t size = 1; size < one; size += 1 + size / 5)
		assert_errno(read(fd, buf, size), EMSGSIZE);
	assert_errno(read(fd, buf, one - 1), EMSGSIZE);
	assert_int_equal(stats_of(fd).client_queued_bytes, s.client_queued_bytes);
	assert_int_equal(stats_of(fd).client_read_packets, s.client_read_packets);
	take_records(fd, &r, due, one);

	/* A gap is a record like others, and also stays until it fits. */
	configure(fd, .mode = MYDEV_MODE_PACKET, .policy = MYDEV_POLICY_DROP_OLDEST,
		  .queue_depth = 4);
	due = stats_of(fd).client_packets + 30 + zeros_in(next_counter(), 30);
	feed(30, "1000");
	await(stats_of(fd).client_packets >= due);
	s = stats_of(fd);
	assert_errno(read(fd, buf, record_size(sizeof(struct mydev_gap_record)) - 1), EMSGSIZE);
	assert_null(drain_records(fd, &r));
	assert_int_equal(r.gaps, 1);
	assert_int_equal(r.lost_packets, s.client_lost_packets);
}

TEST(longer_than_a_transfer)
{
	uint64_t zeros, counter = next_counter();
	int fd = open_packet();
	struct records r;

	assert_int_equal(info_of(fd).transfer_size, 32768);
	expect(&r, fd);
	/* Two full transfers and the rest, each a packet. */
	feed(20, "90000");
	zeros = zeros_in(counter, 20);
	take_records(fd, &r, 60 + zeros, sizeof(buf));
	assert_int_equal(r.whole, 20);
	assert_int_equal(r.continued, 40);
	/* Short by one byte, and so not full; full, and so its end is an empty one. */
	counter = next_counter();
	feed(10, "32767");
	zeros += zeros_in(counter, 10);
	take_records(fd, &r, 70 + zeros - r.packets, sizeof(buf));
	assert_int_equal(r.continued, 40);
	feed(5, "65536");
	zeros += 5;
	take_records(fd, &r, 80 + zeros - r.packets, sizeof(buf));
	assert_int_equal(r.continued, 50);
	assert_int_equal(r.whole, 35);
	assert_int_equal(r.zero_packets, zeros);
	assert_int_equal(verifier_partial(&r.content), 0);
}

TEST(small_transfers)
{
	struct records r;
	int fd;

	/* Two packets of the bus each: nothing is packed, and all is cut. */
	set_geometry(8, 2048, 64);
	fd = open_packet();
	expect(&r, fd);
	feed(100, "4100-5000");
	while (r.whole < 100)
		take_records(fd, &r, 1, record_size(2048));
	assert_int_equal(r.continued + 100, r.packets - r.zero_packets);
	assert_int_equal(r.gaps, 0);
}

/* Memory of which only the beginning can be written to. */
static char *page_end(void)
{
	static char *pages;
	long size = 1 << 16;

	if (!pages) {
		pages = private_memory(2 * size);
		assert_return_code(mprotect(pages + size, size, PROT_NONE), errno);
	}
	return pages + size;
}

TEST(fault_in_a_record)
{
	size_t one = record_size(200);
	char *end = page_end();
	int fd = open_packet();
	struct records r;

	expect(&r, fd);
	for (size_t room = 0; room < 3 * one; room += 16) {
		uint64_t before = r.packets - r.zero_packets, zeros;
		size_t whole = room / one * one;

		feed(4, "200");
		zeros = zeros_in(next_counter() - 4, 4);
		await(stats_of(fd).client_queued_packets == 4 + zeros);
		assert_int_equal(stats_of(fd).client_queued_bytes, 800);
		/* Zero-length packets would make the records of different sizes. */
		if (zeros) {
			assert_null(drain_records(fd, &r));
			continue;
		}
		/* What is whole before the fault counts; the rest stays queued. */
		if (whole)
			assert_int_equal(read(fd, end - room, 4 * one), whole);
		else
			assert_errno(read(fd, end - room, 4 * one), EFAULT);
		assert_int_equal(stats_of(fd).client_queued_bytes, 800 - whole / one * 200);
		memcpy(buf, end - room, whole);
		if (!records_feed(&r, buf, whole))
			fail_msg("%s", r.error);
		assert_null(drain_records(fd, &r));
		assert_int_equal(r.packets - r.zero_packets, before + 4);
	}
	assert_int_equal(stats_of(fd).client_lost_packets, 0);
}

TEST(scattered)
{
	static char parts[4][2000];
	struct iovec iov[] = {
		{ parts[0], 3 }, { parts[1], 41 }, { parts[2], 1000 }, { parts[3], 2000 }
	};
	int fd = open_packet();
	struct records r;
	size_t at = 0;
	ssize_t n;

	expect(&r, fd);
	feed(2, "1000");
	await(stats_of(fd).client_queued_bytes == 2000);
	n = readv(fd, iov, 4);
	assert_true(n >= (ssize_t)(2 * record_size(1000)));
	for (int i = 0; i < 4; i++) {
		memcpy(buf + at, parts[i], iov[i].iov_len);
		at += iov[i].iov_len;
	}
	assert_true(records_feed(&r, buf, n));
	assert_int_equal(r.whole, 2);
}

/* The payload of records, and the bytes of a stream, are one and the same. */
TEST(switched_in_mid_packet)
{
	struct mydev_packet_header *h = (void *)buf;
	uint64_t counter = next_counter();
	int fd = open_packet();
	struct verifier v;

	verify_from(&v, counter);
	feed(3, "1000");
	await(stats_of(fd).client_queued_bytes == 3000);
	configure(fd, .mode = MYDEV_MODE_STREAM);
	assert_int_equal(read(fd, buf, 300), 300);
	assert_true(verifier_feed(&v, buf, 300));

	configure(fd, .mode = MYDEV_MODE_PACKET);
	assert_errno(read(fd, buf, record_size(700) - 1), EMSGSIZE);
	assert_int_equal(read(fd, buf, record_size(700)), record_size(700));
	assert_int_equal(h->length, 700);
	assert_int_equal(h->flags, MYDEV_PACKET_PARTIAL);
	assert_true(verifier_feed(&v, buf + h->header_size, 700));

	configure(fd, .mode = MYDEV_MODE_STREAM);
	assert_int_equal(read(fd, buf, 999), 999);
	assert_true(verifier_feed(&v, buf, 999));
	configure(fd, .mode = MYDEV_MODE_PACKET);
	assert_int_equal(read(fd, buf, record_size(1)), record_size(1));
	assert_int_equal(h->flags, MYDEV_PACKET_PARTIAL);
	assert_true(verifier_feed(&v, buf + h->header_size, 1));
	set_nonblock(fd, true);
	assert_int_equal(read(fd, buf, record_size(1000)), record_size(1000));
	assert_int_equal(h->flags, 0);
	assert_true(verifier_feed(&v, buf + h->header_size, 1000));
	assert_int_equal(v.packets, 3);
}

/* By the one who reads, in random places of a running stream. */
TEST(switched_while_streaming)
{
	uint64_t packets = slow_lane() ? 1000 : 5000, seed = test_seed(), switches = 0;
	uint64_t counter = next_counter(), records = 0;
	int fd = open_packet();
	struct mydev_stats s;
	struct records r;

	records_from(&r, counter, 0);
	r.partial_ok = true;
	feed(packets, "65-3000");
	while (r.content.packets < packets) {
		bool packet = random_next(&seed) % 2;
		ssize_t n;

		configure(fd, .mode = packet ? MYDEV_MODE_PACKET : MYDEV_MODE_STREAM);
		switches++;
		n = read(fd, buf,
			 packet ? record_size(3000) + random_next(&seed) % 20000
				: 1 + random_next(&seed) % 20000);
		assert_true(n > 0);
		if (packet ? !records_feed(&r, buf, n) : !verifier_feed(&r.content, buf, n))
			fail_msg("%s%s", r.error, r.content.error_text);
		records = r.records;
	}
	s = stats_of(fd);
	printf("# %llu switches, %llu records, %llu of them the rest of a packet\n",
	       (unsigned long long)switches, (unsigned long long)records,
	       (unsigned long long)r.partial);
	assert_true(r.partial > 0);
	assert_int_equal(s.client_lost_packets, 0);
	assert_true(identity_holds(&s));
	assert_int_equal(s.client_read_bytes, s.client_bytes);
}

static struct switcher {
	int fd;
	volatile bool end;
	volatile unsigned int switches;
} switcher;

static void *switch_modes(void *arg)
{
	(void)arg;
	while (!switcher.end) {
		struct mydev_config config = config_of(switcher.fd);

		config.mode = !config.mode;
		config.queue_depth = 512 + switcher.switches % 2 * 512;
		if (try_config(switcher.fd, config))
			break;
		switcher.switches++;
	}
	return NULL;
}

/* What one read() gave begins with a header of our kernel's, not of the device. */
static bool looks_like_records(size_t n)
{
	const struct mydev_packet_header *h = (const void *)buf;

	return n >= sizeof(*h) && h->header_size == sizeof(*h) && !h->type && !h->reserved &&
	       h->record_size == record_size(h->length);
}

/* By somebody else: each read is one or the other, never a mixture. */
TEST(switched_by_another)
{
	uint64_t packets = slow_lane() ? 2000 : 20000;
	uint64_t counter = next_counter(), records = 0, streams = 0;
	pthread_t thread;
	struct records r;
	char error[512] = "";
	int fd;

	fd = open_packet();
	records_from(&r, counter, 0);
	r.partial_ok = true;
	switcher = (struct switcher){ .fd = fd };
	feed(packets, "65-200");
	assert_int_equal(pthread_create(&thread, NULL, switch_modes, NULL), 0);
	while (r.content.packets < packets && !*error) {
		ssize_t n = read(fd, buf, 16384);
		bool packet = n > 0 && looks_like_records(n);

		if (n <= 0 ||
		    (packet ? !records_feed(&r, buf, n) : !verifier_feed(&r.content, buf, n)))
			snprintf(error, sizeof(error), "read gave %zd (%s), %s: %s%s", n,
				 strerror(errno), packet ? "records" : "bytes", r.error,
				 r.content.error_text);
		records += packet;
		streams += !packet;
	}
	/* It may not have had the processor until now. */
	await(switcher.switches > 10 || *error);
	switcher.end = true;
	pthread_join(thread, NULL);
	printf("# %u switches, %llu reads of records, %llu of bytes\n", switcher.switches,
	       (unsigned long long)records, (unsigned long long)streams);
	if (*error)
		fail_msg("%s", error);
	assert_int_equal(stats_of(fd).client_lost_packets, 0);
}

/* All clients see the same packets under the same numbers at the same times. */
TEST(same_for_all)
{
	static char other[1 << 16];
	int a = open_packet(), b = open_packet();
	uint64_t before = stats_of(a).bytes;
	ssize_t n;

	feed(40, "500");
	await(stats_of(a).bytes == before + 40 * 500);
	await(sim_is("quiet"));
	n = read(a, buf, 1 << 16);
	assert_true(n >= (ssize_t)(40 * record_size(500)));
	assert_int_equal(read(b, other, n), n);
	assert_memory_equal(buf, other, n);
}

TEST(drained_at_unplug)
{
	int fd = open_packet();
	struct records r;
	ssize_t n;

	expect(&r, fd);
	feed(9, "1000");
	await(stats_of(fd).client_queued_bytes == 9000);
	await(sim_is("quiet"));
	unplug();
	/* The host may first take it for an error of the bus, and say so. */
	while ((n = read(fd, buf, record_size(1000))) > 0) {
		if (!records_feed(&r, buf, n))
			fail_msg("%s", r.error);
	}
	assert_int_equal(errno, ENODEV);
	assert_int_equal(r.whole, 9);
	assert_errno(read(fd, buf, sizeof(buf)), ENODEV);
}

/* --- events ---------------------------------------------------------------- */

struct seen {
	uint64_t stalls;
	int32_t status;
	bool behind_data; /* the last event had a packet before it */
	bool packet;
};

static void see(const struct mydev_packet_header *h, void *arg)
{
	struct mydev_event_record event;
	struct seen *seen = arg;

	if (h->type == MYDEV_RECORD_PACKET)
		seen->packet = true;
	if (h->type != MYDEV_RECORD_EVENT)
		return;
	memcpy(&event, (const char *)h + h->header_size, sizeof(event));
	seen->stalls += event.event == MYDEV_EVENT_STALL;
	seen->status = event.status;
	seen->behind_data = seen->packet;
}

TEST(stall_is_an_event)
{
	int fd = open_packet(), stream = node_open(O_RDONLY);
	uint64_t stalls = stats_of(fd).stalls;
	struct seen seen = { 0 };
	struct verifier v;
	struct records r;

	expect(&r, fd);
	r.each = see;
	r.arg = &seen;
	verify_from(&v, next_counter());
	ask(stream);
	feed_forever("5000");
	for (unsigned int i = 1; i <= 5; i++) {
		sim_do("stall");
		/* Both read, or the one would stop the device for the other. */
		while (seen.stalls < i || stats_of(fd).stalls < stalls + i) {
			take_records(fd, &r, 1, record_size(5000));
			take_packets(stream, &v, 1, 5000);
			if (r.packets - r.zero_packets > v.packets)
				take_packets(stream, &v, r.packets - r.zero_packets - v.packets,
					     5000);
		}
		assert_int_equal(seen.stalls, i);
		assert_int_equal(seen.status, -EPIPE);
		assert_true(seen.behind_data);
	}
	sim_do("count 0");
	while (r.whole < next_counter() - v.first || v.packets < r.whole) {
		if (v.packets < r.whole)
			take_packets(stream, &v, 1, 5000);
		else
			take_records(fd, &r, 1, record_size(5000));
	}
	assert_int_equal(r.events, 5);
	assert_int_equal(r.gaps, 0);
	assert_int_equal(stats_of(stream).client_lost_packets, 0);
}

/* Exactly between the packet before it and the packet after it. */
TEST(event_in_its_place)
{
	struct mydev_packet_header *h = (void *)buf;
	int fd = open_packet(), stream = node_open(O_RDONLY | O_NONBLOCK);
	uint64_t stalls = stats_of(fd).stalls;
	struct mydev_event_record event;
	struct records r;

	ask(stream);
	expect(&r, fd);
	skip_zero(fd, &r);
	assert_int_equal(read(stream, buf, sizeof(buf)), 100 * r.whole);
	r.whole = 0;
	feed(3, "1000");
	await(stats_of(fd).client_queued_bytes == 3000);
	sim_do("stall");
	await(stats_of(fd).stalls == stalls + 1);
	await(stats_of(fd).in_flight == info_of(fd).transfers);
	feed(3, "1000");
	await(stats_of(fd).client_queued_bytes == 6000);
	take_records(fd, &r, 3, record_size(1000));
	assert_int_equal(r.events, 0);
	assert_int_equal(read(fd, buf, record_size(sizeof(event))), record_size(sizeof(event)));
	assert_int_equal(h->type, MYDEV_RECORD_EVENT);
	assert_int_equal(h->sequence, r.next);
	memcpy(&event, buf + h->header_size, sizeof(event));
	assert_int_equal(event.event, MYDEV_EVENT_STALL);
	assert_true(records_feed(&r, buf, h->record_size));
	while (r.whole < 6)
		take_records(fd, &r, 1, record_size(1000));
	assert_int_equal(r.events, 1);
	/* In a byte stream it is nothing. */
	assert_int_equal(read(stream, buf, sizeof(buf)), 6000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("headers: numbers from 0 on, lengths, padding, times, content", headers,
			fresh_defaults),
		PROMISE("a read returns as many whole records as fit", as_many_as_fit,
			fresh_defaults),
		PROMISE("a packet without bytes is a record", zero_is_a_record, fresh_defaults),
		PROMISE("EMSGSIZE when the next record does not fit, and nothing is lost",
			too_small, fresh_defaults),
		PROMISE("longer than a transfer: continuation flag, and all of it",
			longer_than_a_transfer, fresh_defaults),
		PROMISE("the same with small transfers", small_transfers, fresh_defaults),
		PROMISE("a fault in a record: those before it, and nothing is lost",
			fault_in_a_record, fresh_defaults),
		PROMISE("readv puts a record across its parts", scattered, fresh_defaults),
		PROMISE("switched in the middle of a packet: its rest, marked partial",
			switched_in_mid_packet, fresh_defaults),
		PROMISE("switching while streaming neither loses nor repeats a byte",
			switched_while_streaming, fresh_defaults),
		PROMISE("switched by another thread: a read is all records or all bytes",
			switched_by_another, fresh_defaults),
		PROMISE("all clients get the same numbers and times", same_for_all, fresh_defaults),
		PROMISE("unplugged: what is queued is read first, then ENODEV", drained_at_unplug,
			fresh_defaults),
		PROMISE("stalls while streaming are event records, and the stream is complete",
			stall_is_an_event, fresh_defaults),
		PROMISE("an event is between the packets that it came between", event_in_its_place,
			fresh_defaults),
	};

	return run_promises(tests);
}
