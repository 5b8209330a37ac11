// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mapped ring: what is in it, in all policies, and that nobody else notices
 * what a program does to its own.
 */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <linux/seccomp.h>

#include "rings.h"

static char buf[1 << 18];

/* Records of packets, each of which is one of the device's. */
static void expect(struct records *r, int fd)
{
	records_init(r);
	r->one_to_one = true;
	records_from(r, next_counter(), stats_of(fd).packets);
}

/* Without a word about what was read. */
static void put_cursor(struct rings *r, uint64_t cursor)
{
	__atomic_store_n(&r->ring->cursor, cursor, __ATOMIC_RELEASE);
}

static void assert_all_taken(const struct rings *r)
{
	struct mydev_stats s = stats_of(r->fd);

	assert_true(identity_holds(&s));
	assert_int_equal(s.client_queued_packets, 0);
}

/* --- what is there ---------------------------------------------------------------- */

TEST(everything)
{
	static const char *const sizes[] = { "24-2000", "24-32000", "30", "1000", "20000-32000" };
	int fd = node_open(O_RDWR), other = node_open(O_RDONLY);
	uint64_t first = next_counter();
	struct records records;
	struct mydev_stats s;
	struct verifier v;
	struct rings r;

	expect(&records, fd);
	verify_from(&v, first);
	ring_open(&r, fd);
	ask(other);
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (unsigned int part = 0; part < 4; part++) {
			/* No more than fits: each waits for the other. */
			feed(50, sizes[i]);
			take_ring(&r, &records, 50);
			take_packets(other, &v, 50, 65536);
		}
	}
	assert_int_equal(records.gaps + records.events + records.zero_packets, 0);
	assert_int_equal(r.refused, 0);
	assert_all_taken(&r);
	s = stats_of(fd);
	assert_int_equal(s.client_read_packets, 1000);
	assert_int_equal(s.client_read_bytes, records.bytes);
	ring_close(&r);
}

/* Packets without a byte, and messages that are longer than a transfer. */
TEST(special_packets)
{
	int fd = node_open(O_RDWR);
	struct records records;
	struct rings r;

	records_init(&records);
	ring_open(&r, fd);
	/* What fills its transfer to the last byte is followed by an empty packet. */
	feed(30, "32768");
	take_ring(&r, &records, 60);
	assert_int_equal(records.zero_packets, 30);
	assert_int_equal(records.continued, 30);
	feed(3, "100000");
	take_ring(&r, &records, 12);
	assert_int_equal(records.whole, 33);
	assert_int_equal(records.continued, 30 + 9);
	assert_all_taken(&r);
	ring_close(&r);
}

TEST(stall_is_told)
{
	int fd = node_open(O_RDWR);
	struct records records;
	struct rings r;

	expect(&records, fd);
	ring_open(&r, fd);
	feed(10, "1000");
	take_ring(&r, &records, 10);
	sim_do("stall");
	feed(10, "1000");
	take_ring(&r, &records, 10);
	assert_int_equal(records.events, 1);
	assert_int_equal(records.gaps, 0);
	ring_close(&r);
}

/* --- without a call --------------------------------------------------------------- */

/* This kernel cannot keep a process from calling it. */
#define NO_SECCOMP 77

struct taker {
	struct rings r;
	struct records records;
	uint64_t packets;
};

static int takes_without_a_call(void *arg)
{
	struct taker *t = arg;
	struct ring_next next;

	/* Any system call but read, write and exit kills. */
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
		return errno == EINVAL ? NO_SECCOMP : 1;
	for (uint64_t n = 0; n < t->packets; n++) {
		while (!ring_peek(&t->r, &next))
			;
		t->records.packets += next.entry.type == MYDEV_RECORD_PACKET;
		t->records.bytes += next.entry.length;
		ring_give_back(&t->r, &next);
	}
	syscall(SYS_exit, t->records.packets == t->packets && !t->r.wakeups ? 0 : 2);
	return 3;
}

TEST(no_call)
{
	struct taker *t = shared_memory(sizeof(*t));
	int fd = node_open(O_RDWR);
	struct mydev_stats s;
	pid_t pid;
	int status;

	records_init(&t->records);
	/* All of them fit: the ring never stops, however late the program is. */
	t->packets = slow_lane() ? 500 : 3000;
	configure(fd, .queue_depth = t->packets);
	ring_open(&t->r, fd);
	pid = spawn(takes_without_a_call, t);
	sim_do("rate 1000");
	feed(t->packets, "24-1500");
	status = reap(pid, 60);
	sim_do("rate max");
	if (status == NO_SECCOMP)
		skip();
	assert_int_equal(status, 0);
	s = stats_of(fd);
	assert_int_equal(s.client_read_packets, t->packets);
	assert_int_equal(s.client_read_bytes, t->records.bytes);
	ring_close(&t->r);
	munmap(t, sizeof(*t));
}

/* All memory is held: the ring says that a call is needed, and one is enough. */
TEST(needs_wakeup)
{
	int fd = node_open(O_RDWR);
	struct records records;
	struct rings r;

	expect(&records, fd);
	ring_open(&r, fd);
	feed(2000, "20000");
	for (unsigned int round = 0; round < 5; round++) {
		await_ring_stop(fd);
		assert_true(ring_flags(&r) & MYDEV_RING_NEED_WAKEUP);
		take_ring(&r, &records, 1);
		assert_int_equal(r.wakeups, round + 1);
	}
	take_ring(&r, &records, 1995);
	await(!(ring_flags(&r) & MYDEV_RING_NEED_WAKEUP));
	assert_all_taken(&r);
	assert_int_equal(r.refused, 0);
	ring_close(&r);
}

/* By edges: each packet is one, whatever the program does with those before it. */
TEST(edges)
{
	int fd = node_open(O_RDWR), ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	struct ring_next next;
	struct rings r;

	ring_open(&r, fd);
	assert_return_code(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev), errno);
	for (unsigned int i = 0; i < 30; i++) {
		feed(1, "100");
		assert_int_equal(epoll_wait(ep, &ev, 1, 30000), 1);
		/* Two in three are kept for a while. */
		for (unsigned int n = i % 3 == 2 ? 3 : 0; n; n--) {
			assert_true(ring_peek(&r, &next));
			assert_true(ring_give_back(&r, &next));
		}
	}
	assert_int_equal(r.wakeups, 0);
	close(ep);
	ring_close(&r);
}

/* Who has given back without the call is looked at by whoever comes by. */
TEST(poll_wakes_too)
{
	int fd = node_open(O_RDWR);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct rings r;

	ring_open(&r, fd);
	feed(1000, "20000");
	await_ring_stop(fd);
	while (!ring_is_empty(&r))
		put_cursor(&r, ring_cursor(&r) + 1);
	assert_int_equal(poll(&p, 1, 20000), 1);
	assert_int_equal(p.revents & POLLIN, POLLIN);
	await(stats_of(fd).client_packets > 200);
	ring_close(&r);
}

/* --- policies ---------------------------------------------------------------------- */

TEST(drops_oldest)
{
	int fd = node_open(O_RDWR);
	struct records records;
	struct rings r;

	expect(&records, fd);
	configure(fd, .policy = MYDEV_POLICY_DROP_OLDEST, .queue_depth = 16);
	ring_open(&r, fd);
	for (unsigned int round = 0; round < 5; round++) {
		uint64_t gaps = records.gaps;

		feed(100, "1000");
		await(sim_is("quiet"));
		await(stats_of(fd).client_packets == (round + 1) * 100);
		/* What is left are the last ones. */
		drain_ring(&r, &records);
		assert_int_equal(records.gaps, gaps + 1);
		assert_in_range(records.packets, (round + 1) * 14, (round + 1) * 16);
		assert_int_equal(records.packets + records.lost_packets, (round + 1) * 100);
	}
	assert_all_taken(&r);
	assert_int_equal(stats_of(fd).client_lost_bytes, records.lost_bytes);
	ring_close(&r);
}

TEST(drops_newest)
{
	int fd = node_open(O_RDWR);
	struct records records;
	struct rings r;

	expect(&records, fd);
	configure(fd, .policy = MYDEV_POLICY_DROP_NEWEST, .queue_depth = 16);
	ring_open(&r, fd);
	for (unsigned int round = 0; round < 5; round++) {
		feed(100, "1000");
		await(stats_of(fd).client_packets == (round + 1) * 100);
		/* The gap is told without a packet behind it. */
		drain_ring(&r, &records);
		assert_int_equal(records.packets, (round + 1) * 16);
		assert_int_equal(records.packets + records.lost_packets, (round + 1) * 100);
	}
	assert_all_taken(&r);
	assert_int_equal(stats_of(fd).client_lost_bytes, records.lost_bytes);
	ring_close(&r);
}

/* What is full keeps what it has, and goes on behind it. */
TEST(full_without_a_call)
{
	/* To ask one's own descriptor would be a call. */
	int fd = node_open(O_RDWR), other = node_open(O_WRONLY);
	struct ring_next next;
	struct rings r;

	configure(fd, .policy = MYDEV_POLICY_DROP_NEWEST, .queue_depth = 13);
	ring_open(&r, fd);
	for (unsigned int round = 0; round < 5; round++) {
		uint64_t packets = 0, lost = 0, end = now() + 20;
		uint64_t before = stats_of(other).packets;

		feed(30, "1000");
		await(stats_of(other).packets == before + 30);
		while (ring_peek(&r, &next)) {
			packets += next.entry.type == MYDEV_RECORD_PACKET;
			lost += next.gap_packets;
			assert_true(ring_give_back(&r, &next));
		}
		assert_int_equal(packets, 13);
		assert_int_equal(lost, 17);
		feed(5, "1000");
		for (packets = 0; packets < 5 && now() < end;) {
			if (!ring_peek(&r, &next))
				continue;
			assert_int_equal(next.entry.type, MYDEV_RECORD_PACKET);
			packets++;
			assert_true(ring_give_back(&r, &next));
		}
		assert_int_equal(packets, 5);
	}
	ring_close(&r);
}

/* In the midst of its use: the program finds the tail behind it. */
TEST(taken_away)
{
	int fd = node_open(O_RDWR);
	struct ring_next next, late, gap;
	struct rings r;

	configure(fd, .policy = MYDEV_POLICY_DROP_OLDEST, .queue_depth = 8);
	ring_open(&r, fd);
	feed(5, "20000");
	await(stats_of(fd).client_packets == 5);
	assert_true(ring_peek(&r, &late));
	/* More than the pool has room for. */
	feed(400, "20000");
	await(stats_of(fd).client_packets == 405);
	assert_false(ring_give_back(&r, &late));
	assert_int_equal(r.refused, 1);
	assert_true(ring_peek(&r, &gap));
	assert_int_equal(gap.entry.type, MYDEV_RECORD_GAP);
	assert_int_equal(gap.entry.sequence, late.entry.sequence);
	assert_int_equal(gap.gap_packets, 397);
	assert_int_equal(gap.gap_bytes, 397 * 20000);
	assert_true(ring_give_back(&r, &gap));
	for (unsigned int i = 0; i < 8; i++) {
		assert_true(ring_peek(&r, &next));
		assert_int_equal(next.entry.sequence, late.entry.sequence + 397 + i);
		assert_true(ring_give_back(&r, &next));
	}
	assert_false(ring_peek(&r, &next));
	ring_close(&r);
}

/* Within the memory of the device, nothing is taken away from one that is slow. */
TEST(history_is_good)
{
	int fd = node_open(O_RDWR);
	struct ring_next late;
	struct rings r;

	configure(fd, .policy = MYDEV_POLICY_DROP_OLDEST, .queue_depth = 8);
	ring_open(&r, fd);
	feed(1, "1000");
	await(stats_of(fd).client_packets == 1);
	assert_true(ring_peek(&r, &late));
	feed(100, "1000");
	await(stats_of(fd).client_packets == 101);
	assert_true(ring_give_back(&r, &late));
	ring_close(&r);
}

/* A ring that is not taken from loses its queue when others wait. */
TEST(evicted)
{
	int fd = node_open(O_RDWR), other = node_open(O_RDONLY);
	uint64_t first = next_counter();
	struct records records;
	struct verifier v;
	struct rings r;

	set_block_timeout_ms(300);
	expect(&records, fd);
	verify_from(&v, first);
	ring_open(&r, fd);
	ask(other);
	feed(600, "20000");
	take_packets(other, &v, 600, 65536);
	drain_ring(&r, &records);
	assert_true(records.lost_packets > 0);
	assert_int_equal(records.packets + records.lost_packets, 600);
	assert_all_taken(&r);
	/* It takes part again. */
	feed(50, "1000");
	take_ring(&r, &records, 50);
	ring_close(&r);
}

/* --- nonsense ---------------------------------------------------------------------- */

TEST(bad_cursors)
{
	for (unsigned int i = 0; i < 7; i++) {
		int fd = node_open(O_RDWR), other = node_open(O_RDWR);
		struct pollfd p = { .fd = fd, .events = POLLIN };
		struct rings r, good;
		struct records records;
		uint64_t cursor;

		expect(&records, other);
		ring_open(&r, fd);
		ring_open(&good, other);
		feed(20, "1000");
		take_ring(&good, &records, 20);
		await(stats_of(fd).client_queued_packets == 20);
		cursor = ring_cursor(&r);
		put_cursor(&r, cursor + 5);
		assert_int_equal(try_sync(fd), 0);
		assert_int_equal(stats_of(fd).client_queued_packets, 15);
		switch (i) {
		case 0: /* beyond what there is */
			put_cursor(&r, cursor + 21);
			break;
		case 1: /* back */
			put_cursor(&r, cursor + 4);
			break;
		case 2:
			put_cursor(&r, cursor + 6 + (1ULL << 32));
			break;
		case 3:
			put_cursor(&r, cursor + (1ULL << 63));
			break;
		case 4:
			put_cursor(&r, UINT64_MAX);
			break;
		case 5:
			memset(r.ring, 0x5a, r.map.ring_bytes);
			break;
		default: /* found where room is looked for, not by a call */
			put_cursor(&r, cursor + 2000);
			feed(400, "20000");
			take_ring(&good, &records, 400);
			assert_true(ring_flags(&r) & MYDEV_RING_ENDED);
		}
		assert_int_equal(try_sync(fd), EPROTO);
		assert_true(ring_flags(&r) & MYDEV_RING_ENDED);
		assert_int_equal(poll(&p, 1, 0), 1);
		assert_int_equal(p.revents, POLLIN | POLLERR);
		/* It holds up nobody, and loses what it cannot say that it has got. */
		feed(400, "20000");
		take_ring(&good, &records, 400);
		assert_true(identity_holds(&(struct mydev_stats[]){ stats_of(fd) }[0]));
		/* A new start. */
		configure(fd, .mode = MYDEV_MODE_STREAM);
		set_nonblock(fd, true);
		while (read(fd, buf, sizeof(buf)) > 0 || errno == ENOBUFS)
			;
		configure(fd, .mode = MYDEV_MODE_RING);
		assert_int_equal(try_sync(fd), 0);
		feed(1, "1000");
		take_ring(&good, &records, 1);
		await(stats_of(fd).client_queued_packets == 1);
		ring_close(&r);
		ring_close(&good);
		close(fd);
		close(other);
	}
}

static int writes_nonsense(void *arg)
{
	struct rings *r = arg;
	uint64_t seed = getpid();

	for (;;) {
		uint64_t cursor = ring_cursor(r);

		switch (random_next(&seed) % 6) {
		case 0:
			put_cursor(r, random_next(&seed));
			break;
		case 1:
			put_cursor(r, cursor - 1);
			break;
		default:
			put_cursor(r, cursor + random_next(&seed) % 3);
		}
	}
	return 0;
}

/* While it is read, and from the other processor. */
TEST(racing_cursors)
{
	int fd = node_open(O_RDWR), other = node_open(O_RDWR);
	struct rings r, good;
	struct records records;
	pid_t pid;

	expect(&records, other);
	configure(fd, .policy = MYDEV_POLICY_DROP_OLDEST, .queue_depth = 20);
	ring_open(&r, fd);
	ring_open(&good, other);
	pid = spawn(writes_nonsense, &r);
	for (unsigned int i = 0; i < (slow_lane() ? 10 : 50); i++) {
		struct mydev_stats s;

		configure(fd, .mode = MYDEV_MODE_STREAM, .policy = MYDEV_POLICY_DROP_OLDEST,
			  .queue_depth = 20);
		configure(fd, .mode = MYDEV_MODE_RING, .policy = MYDEV_POLICY_DROP_OLDEST,
			  .queue_depth = 20);
		feed(40, "1000-3000");
		take_ring(&good, &records, 40);
		s = stats_of(fd);
		assert_true(identity_holds(&s));
	}
	assert_return_code(kill(pid, SIGKILL), errno);
	assert_int_equal(reap(pid, PROMPT), 128 + SIGKILL);
	ring_close(&r);
	ring_close(&good);
}

/* --- two processors ------------------------------------------------------------------ */

struct stress {
	struct rings r;
	struct records records;
	volatile bool end;
	char error[256];
};

/* Takes at its own pace, in pieces, and sometimes not at all for a while. */
static int takes_at_random(void *arg)
{
	struct stress *s = arg;
	uint64_t seed = getpid();
	const char *error = NULL;

	while (!s->end && !error) {
		uint64_t dice = random_next(&seed) % 64;

		if (dice == 0)
			usleep(random_next(&seed) % 3000);
		else
			error = ring_drain(&s->r, &s->records);
	}
	if (!error)
		error = ring_drain(&s->r, &s->records);
	if (error)
		snprintf(s->error, sizeof(s->error), "%s", error);
	return !!error;
}

/*
 * All that a program gives back is verified, and with its gaps it is all that
 * the device sent: both sides agree on what was taken away.
 */
TEST(stressed)
{
	static const struct mydev_config configs[] = {
		{ .policy = MYDEV_POLICY_DROP_OLDEST, .queue_depth = 3 },
		{ .policy = MYDEV_POLICY_DROP_OLDEST, .queue_depth = 1 },
		{ .policy = MYDEV_POLICY_DROP_OLDEST, .queue_depth = 40 },
		{ .policy = MYDEV_POLICY_DROP_NEWEST, .queue_depth = 4 },
		{ .policy = MYDEV_POLICY_LOSSLESS, .queue_depth = 30 },
	};
	enum { COUNT = sizeof(configs) / sizeof(configs[0]) };
	uint64_t packets = slow_lane() ? 4000 : 30000, refused = 0;
	struct stress *s = shared_memory(COUNT * sizeof(*s));
	pid_t pids[COUNT];

	deadline(170);
	for (unsigned int i = 0; i < COUNT; i++) {
		int fd = node_open(O_RDWR);

		expect(&s[i].records, fd);
		configure_as(fd, configs[i]);
		ring_open(&s[i].r, fd);
		pids[i] = spawn(takes_at_random, &s[i]);
	}
	feed(packets, "24-900");
	await_within(100, sim_is("quiet"));
	await(stats_of(s[0].r.fd).client_packets == packets);
	for (unsigned int i = 0; i < COUNT; i++) {
		struct mydev_stats stats;
		int status;

		s[i].end = true;
		status = reap(pids[i], 30);
		if (status)
			fail_msg("client %u: status %d: %s", i, status, s[i].error);
		stats = stats_of(s[i].r.fd);
		printf("# client %u: %" PRIu64 " taken, %" PRIu64 " lost in %" PRIu64
		       " gaps, %" PRIu64 " taken away in use, %" PRIu64 " wake-ups\n",
		       i, s[i].records.packets, s[i].records.lost_packets, s[i].records.gaps,
		       s[i].r.refused, s[i].r.wakeups);
		assert_int_equal(s[i].records.packets + s[i].records.lost_packets, packets);
		assert_int_equal(stats.client_read_packets, s[i].records.packets);
		assert_int_equal(stats.client_read_bytes, s[i].records.bytes);
		assert_int_equal(stats.client_lost_packets, s[i].records.lost_packets);
		assert_int_equal(stats.client_lost_bytes, s[i].records.lost_bytes);
		refused += s[i].r.refused;
	}
	assert_int_equal(s[COUNT - 1].records.lost_packets, 0);
	assert_true(s[0].records.lost_packets > 0);
	printf("# %" PRIu64 " were taken away in use\n", refused);
	munmap(s, COUNT * sizeof(*s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("packets of all sizes, beside a reader", everything, fresh_rings),
		PROMISE("packets without a byte, messages of several transfers", special_packets,
			fresh_rings),
		PROMISE("a stall is an entry", stall_is_told, fresh_rings),
		PROMISE("thousands of packets without one system call", no_call, fresh_rings),
		PROMISE("all memory held: a call is asked for, and one is enough", needs_wakeup,
			fresh_rings),
		PROMISE("epoll, edge: each packet, taken or not", edges, fresh_rings),
		PROMISE("poll() does for the call", poll_wakes_too, fresh_rings),
		PROMISE("drop-oldest: the gap comes first", drops_oldest, fresh_rings),
		PROMISE("drop-newest: the gap is told without a packet behind it", drops_newest,
			fresh_rings),
		PROMISE("drop-newest, full, and a program that never calls", full_without_a_call,
			fresh_rings),
		PROMISE("taken away in use: the tail says so", taken_away, fresh_rings),
		PROMISE("used late, and not taken away", history_is_good, fresh_rings),
		PROMISE("evicted: one gap, and it goes on", evicted, fresh_rings),
		PROMISE("a cursor from nowhere: EPROTO, and nobody else notices", bad_cursors,
			fresh_rings),
		PROMISE("the same in a race, again and again", racing_cursors, fresh_rings),
		PROMISE("five rings at full speed: taken + lost = sent, all verified", stressed,
			fresh_rings),
	};

	return run_promises(tests);
}
