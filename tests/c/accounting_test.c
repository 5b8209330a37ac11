// SPDX-License-Identifier: GPL-2.0-only
/*
 * The accounting identity: for every client, whatever its policy, mode and
 * speed, packets received + packets in gaps = packets that the device sent
 * since it opened, and the same for bytes. What was sent is known from the
 * simulated device, what was received is what each client has verified itself.
 *
 * Each client is a process. tests/suites starts the device with --zlp-every 10.
 * Sizes avoid two things that would make the two ends count differently: a
 * multiple of wMaxPacketSize does not end a transfer, and packets of up to 64
 * bytes count as sent by dummy_hcd before they are fetched.
 */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "records.h"
#include "settings.h"

#define SLOTS            30 /* 3 policies x 2 modes x 5 behaviours */
#define BLOCK_TIMEOUT_MS 300

enum behaviour { FAST, SLOW, STUCK, IDLE, DYING };
static const char *const behaviours[] = { "fast", "slow", "stuck", "idle", "dying" };

/* What a client process has found out, for its parent to see. */
struct account {
	int fd; /* -1: it opens its own */
	enum behaviour behaviour;
	uint32_t mode;
	uint32_t policy;
	uint64_t seed;

	volatile uint64_t offered;
	volatile uint64_t received;
	volatile uint64_t lost;
	volatile uint64_t checks;
	volatile bool finished;
	char error[256];
};

static struct {
	volatile bool end; /* the device is quiet: read the rest, and add up */
	uint64_t packets;  /* what the device sent in all, empty ones too */
	uint64_t bytes;
	uint64_t zero_packets;
	uint64_t first; /* counter of the first, and of the one behind the last */
	uint64_t next;
	struct account accounts[SLOTS];
} *shared;

/* --- a client, in a process of its own -------------------------------------- */

/* What one has received by its own count. */
struct count {
	struct account *a;
	int fd;
	uint64_t base; /* packets that the device had sent when it was opened */
	uint64_t base_bytes;
	uint64_t unseen; /* empty packets, while it was not yet in packet mode */
	struct records r;
	/* stream mode */
	struct verifier v;
	uint64_t whole;
	uint64_t bytes;
	uint64_t missing; /* counters that never came */
	bool have_next;
	bool unknown;  /* the first of them were */
	uint64_t next; /* the counter that should come next */
	bool after_gap;
};

__attribute__((format(printf, 2, 3))) static bool wrong(struct account *a, const char *format, ...)
{
	va_list ap;

	if (*a->error)
		return false;
	va_start(ap, format);
	vsnprintf(a->error, sizeof(a->error), format, ap);
	va_end(ap);
	return false;
}

static bool get_stats(struct count *c, struct mydev_stats *s)
{
	*s = (struct mydev_stats){ .size = sizeof(*s) };
	return !ioctl(c->fd, MYDEV_IOC_GET_STATS, s) ||
	       wrong(c->a, "GET_STATS: %s", strerror(errno));
}

/* What holds at any time, between two reads. */
static bool check_now(struct count *c, struct mydev_stats *s)
{
	struct account *a = c->a;

	if (!get_stats(c, s))
		return false;
	a->offered = s->client_packets;
	a->checks++;
	if (!identity_holds(s))
		return wrong(a, "read + lost + queued is not what was offered");
	if (s->packets - s->client_packets != c->base ||
	    s->bytes - s->client_bytes != c->base_bytes)
		return wrong(a, "offered %llu packets of %" PRIu64, s->client_packets,
			     (uint64_t)s->packets - c->base);
	if (a->mode == MYDEV_MODE_PACKET) {
		a->received = c->r.packets;
		a->lost = c->r.lost_packets;
		if (s->client_read_packets != c->r.packets + c->unseen ||
		    s->client_read_bytes != c->r.bytes)
			return wrong(a,
				     "read %llu packets, %llu bytes, and have %" PRIu64
				     ", %" PRIu64,
				     s->client_read_packets, s->client_read_bytes, c->r.packets,
				     c->r.bytes);
	} else {
		a->received = c->whole + c->v.packets;
		a->lost = c->missing;
		if (s->client_read_bytes != c->bytes || s->client_read_packets < a->received)
			return wrong(a,
				     "read %llu packets, %llu bytes, and have %" PRIu64
				     ", %" PRIu64,
				     s->client_read_packets, s->client_read_bytes, a->received,
				     c->bytes);
	}
	return s->client_lost_packets >= a->lost || wrong(a, "told of more lost than were");
}

static bool take_bytes(struct count *c, const char *buf, size_t n)
{
	bool first = !c->v.have_first;

	c->bytes += n;
	if (!verifier_feed(&c->v, buf, n))
		return wrong(c->a, "%s", c->v.error_text);
	if (!first || !c->v.have_first)
		return true;
	if (c->have_next) {
		/* Told of a gap: at least one is missing, or lacks its end. */
		if (c->after_gap ? c->v.first <= c->next : c->v.first != c->next)
			return wrong(c->a, "counter %" PRIu64 " expected, got %" PRIu64 "%s",
				     c->next, c->v.first, c->after_gap ? " after a gap" : "");
		c->missing += c->v.first - c->next;
	}
	/* One that came in the middle cannot tell how long its first gap was. */
	c->unknown |= !c->have_next && c->after_gap;
	c->have_next = true;
	c->after_gap = false;
	return true;
}

/* ENOBUFS: what was begun does not go on; the next byte begins a packet. */
static bool take_gap(struct count *c)
{
	if (c->v.have_first)
		c->next = c->v.packets ? c->v.last + 1 : c->v.first;
	c->whole += c->v.packets;
	verifier_init(&c->v);
	c->after_gap = true;
	return true;
}

/* One read; false when there is nothing, or something is wrong. */
static bool take(struct count *c, size_t chunk)
{
	static _Alignas(8) char buf[1 << 16];
	ssize_t n = read(c->fd, buf, chunk);

	if (n < 0 && errno == EAGAIN)
		return false;
	if (n < 0 && errno == ENOBUFS && c->a->mode == MYDEV_MODE_STREAM)
		return take_gap(c);
	if (n <= 0)
		return wrong(c->a, "read of %zu: %zd, %s", chunk, n, strerror(errno));
	if (c->a->mode == MYDEV_MODE_STREAM)
		return take_bytes(c, buf, n);
	return records_feed(&c->r, buf, n) || wrong(c->a, "%s", c->r.error);
}

static bool begin(struct count *c, struct account *a)
{
	struct mydev_config config = { .size = sizeof(config),
				       .mode = a->mode,
				       .policy = a->policy };
	struct mydev_stats s;

	*c = (struct count){ .a = a, .fd = a->fd };
	if (c->fd < 0)
		c->fd = open(node, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	config.queue_depth =
		20 + random_next(&a->seed) % (a->policy == MYDEV_POLICY_LOSSLESS ? 2000 : 100);
	/* To be woken for every packet costs most of the time. */
	if (random_next(&a->seed) % 4) {
		config.watermark = random_next(&a->seed) % 30000;
		config.latency_us = 50000;
	}
	if (c->fd < 0 || ioctl(c->fd, MYDEV_IOC_SET_CONFIG, &config))
		return wrong(a, "open and set: %s", strerror(errno));
	if (!get_stats(c, &s))
		return false;
	c->base = s.packets - s.client_packets;
	c->base_bytes = s.bytes - s.client_bytes;
	records_init(&c->r);
	verifier_init(&c->v);
	c->r.have_next = true;
	c->r.next = c->base;
	/* For one that came in the middle: between open() and here. */
	c->unseen = a->mode == MYDEV_MODE_PACKET ? s.client_read_packets : 0;
	c->r.partial_ok = c->unseen;
	c->have_next = a->fd >= 0;
	c->next = shared->first;
	return true;
}

static size_t next_chunk(struct account *a)
{
	/* Whole records need room for the longest. */
	size_t least = a->mode == MYDEV_MODE_PACKET ? 21100 : 1;

	if (a->behaviour == FAST)
		return 1 << 16;
	return least + random_next(&a->seed) % (a->behaviour == SLOW ? 3000 : 40000);
}

static void take_for_a_while(struct count *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	struct account *a = c->a;
	struct mydev_stats s;
	int reads = 0;

	while (!shared->end && !*a->error) {
		/* In poll() as well, now and then, one sees that it is the end. */
		if (!take(c, next_chunk(a)) && !*a->error)
			poll(&p, 1, 50);
		if (++reads % 16)
			continue;
		check_now(c, &s);
		if (a->behaviour == SLOW)
			usleep(random_next(&a->seed) % 1000);
	}
}

/* All is there and nothing more comes: the sums. */
static void add_up(struct count *c)
{
	struct account *a = c->a;
	struct mydev_stats s;

	while (take(c, 1 << 16))
		;
	if (*a->error || !check_now(c, &s))
		return;
	if (a->mode == MYDEV_MODE_STREAM) {
		take_gap(c);
		/* And what is missing behind the last one that came. */
		if (c->have_next)
			c->missing += shared->next - c->next;
		a->received = s.client_read_packets;
		c->unknown |= !c->have_next;
		a->lost = s.client_lost_packets;
		if (c->whole > s.client_read_packets ||
		    s.client_read_packets - c->whole > shared->zero_packets)
			wrong(a, "%" PRIu64 " whole packets of %llu that were read", c->whole,
			      s.client_read_packets);
		if (c->bytes + s.client_lost_bytes != s.client_bytes)
			wrong(a, "%" PRIu64 " bytes + %llu lost are not %llu", c->bytes,
			      s.client_lost_bytes, s.client_bytes);
		/* Of packets without a byte, those in a gap are lost as well, but unseen. */
		if (c->missing > s.client_lost_packets ||
		    (!c->unknown && s.client_lost_packets - c->missing > shared->zero_packets))
			wrong(a, "%" PRIu64 " are missing, %llu lost", c->missing,
			      s.client_lost_packets);
	} else if (c->r.lost_packets != s.client_lost_packets ||
		   c->r.lost_bytes != s.client_lost_bytes) {
		wrong(a, "gaps of %" PRIu64 " packets, %" PRIu64 " bytes; lost %llu, %llu",
		      c->r.lost_packets, c->r.lost_bytes, s.client_lost_packets,
		      s.client_lost_bytes);
	}
	if (s.client_queued_packets || s.client_queued_bytes)
		wrong(a, "%llu packets are left", s.client_queued_packets);
	/* The device's own count. One that came later was not offered all. */
	if (a->fd >= 0 && (s.client_packets != shared->packets || s.client_bytes != shared->bytes))
		wrong(a, "offered %llu packets, %llu bytes; the device sent %" PRIu64 ", %" PRIu64,
		      s.client_packets, s.client_bytes, shared->packets, shared->bytes);
	if (a->received + c->unseen + a->lost != s.client_packets)
		wrong(a, "%" PRIu64 " received + %" PRIu64 " lost are not %llu", a->received,
		      a->lost, s.client_packets);
}

static int client_run(void *arg)
{
	struct account *a = arg;
	struct pollfd p;
	struct count c;

	if (!begin(&c, a))
		return 1;
	p = (struct pollfd){ .fd = c.fd, .events = POLLIN };
	if (a->behaviour == STUCK)
		poll(&p, 1, 0);
	if (a->behaviour == STUCK || a->behaviour == IDLE) {
		while (!shared->end)
			usleep(20000);
	} else {
		take_for_a_while(&c);
	}
	if (!*a->error)
		add_up(&c);
	a->finished = true;
	return !!*a->error;
}

/* --- the test ---------------------------------------------------------------- */

static void show(const struct account *a, uint64_t offered)
{
	printf("# %-5s %-6s %-11s offered %8" PRIu64 " received %8" PRIu64 " lost %8" PRIu64
	       "%s%s\n",
	       behaviours[a->behaviour], a->mode ? "packet" : "stream",
	       a->policy == MYDEV_POLICY_LOSSLESS      ? "lossless"
	       : a->policy == MYDEV_POLICY_DROP_OLDEST ? "drop-oldest"
						       : "drop-newest",
	       offered, a->received, a->lost, *a->error ? " WRONG: " : "", a->error);
}

/*
 * Packets that were offered to all clients so far. Those of the dying ones, of
 * whom nobody knows what they were offered after their last check, differ.
 */
static uint64_t offered_so_far(const uint64_t *offered, uint64_t sent)
{
	uint64_t total = 0;

	for (int i = 0; i < SLOTS; i++) {
		const struct account *a = &shared->accounts[i];

		total += a->behaviour == DYING ? offered[i] + a->offered : sent;
	}
	return total;
}

/* Of small ones, which share buffers, and large ones, which have their own. */
static const char *random_size(uint64_t *seed)
{
	static const char *const sizes[] = { "65-100", "65-200", "65-1000", "4100-5000",
					     "20500-21000" };
	uint64_t dice = random_next(seed) % 64;

	return sizes[dice < 50 ? dice % 2 : dice < 62 ? 2 : dice - 59];
}

/* Ten millions together, nine of them on two kernels. */
static uint64_t least_packets(void)
{
	if (slow_lane())
		return 75000;
	return lane_is("6.12-rt") ? 1000000 : 4500000;
}

TEST(mixture)
{
	/* Most of them in one go, the rest until there are enough. */
	uint64_t least = least_packets(), packets = least / (SLOTS + 10);
	uint64_t seed = test_seed(), deaths = 0, bad = 0;
	uint64_t sent, sent_bytes, sent_zero, offered[SLOTS] = { 0 }, total = 0, checks = 0;
	struct mydev_stats s;
	pid_t pids[SLOTS];
	int fd, turn = 0;
	double begun;

	deadline(400);
	set_block_timeout_ms(BLOCK_TIMEOUT_MS);
	shared = shared_memory(sizeof(*shared));
	fd = node_open(O_WRONLY);
	sent = sim_number("packets") + sim_number("zero_packets");
	sent_zero = sim_number("zero_packets");
	sent_bytes = sim_number("bytes");
	shared->first = next_counter();
	for (int i = 0; i < SLOTS; i++) {
		struct account *a = &shared->accounts[i];

		*a = (struct account){ .behaviour = i % 5,
				       .mode = i / 5 % 2,
				       .policy = i / 10,
				       .seed = random_next(&seed) | 1,
				       .fd = -1 };
		if (a->behaviour != DYING)
			a->fd = node_open(O_RDONLY | O_NONBLOCK);
	}
	for (int i = 0; i < SLOTS; i++)
		pids[i] = spawn(client_run, &shared->accounts[i]);
	for (int i = 0; i < SLOTS; i++) {
		if (shared->accounts[i].fd >= 0)
			close(shared->accounts[i].fd);
	}

	begun = now();
	feed(packets, "65-200");
	for (;;) {
		int victim = random_next(&seed) % SLOTS;
		struct account *a = &shared->accounts[victim];

		if (sim_is("quiet")) {
			uint64_t now_sent = sim_number("packets") + sim_number("zero_packets");

			if (deaths && offered_so_far(offered, now_sent - sent) >= least)
				break;
			sim_do("count %" PRIu64, packets / 20);
		}
		let_pass(0.02);
		if (turn++ % 4 == 0)
			sim_do("size %s", random_size(&seed));
		if (a->behaviour != DYING || a->checks < 5)
			continue;
		/* A death at any moment; what it was offered counts. */
		assert_return_code(kill(pids[victim], SIGKILL), errno);
		assert_int_equal(reap(pids[victim], 30), 128 + SIGKILL);
		offered[victim] += a->offered;
		checks += a->checks;
		deaths++;
		if (*a->error)
			break;
		a->checks = a->offered = a->received = a->lost = 0;
		pids[victim] = spawn(client_run, a);
	}
	/* One packet may still be on its way. */
	sent = sim_number("packets") + sim_number("zero_packets") - sent;
	shared->packets = sent;
	shared->next = next_counter();
	shared->bytes = sim_number("bytes") - sent_bytes;
	shared->zero_packets = sim_number("zero_packets") - sent_zero;
	for (int i = 0; i < SLOTS; i++) {
		const struct account *a = &shared->accounts[i];

		if (a->behaviour == FAST)
			await_within(60, a->offered >= sent || *a->error);
	}
	shared->end = true;
	for (int i = 0; i < SLOTS; i++) {
		struct account *a = &shared->accounts[i];

		bad += !!reap(pids[i], 60) || !a->finished;
		offered[i] += a->offered;
		total += offered[i];
		checks += a->checks;
		show(a, offered[i]);
	}
	s = stats_of(fd);
	printf("# %" PRIu64 " packets of the device; %" PRIu64 " checks on the way, %" PRIu64
	       " deaths, %llu ring stops, %.0f s\n",
	       sent, checks, deaths, s.ring_stops, now() - begun);
	printf("# %" PRIu64 " packets accounted for by %" PRIu64 " clients\n", total,
	       SLOTS + deaths);
	assert_int_equal(bad, 0);
	assert_true(total >= least);
	assert_int_equal(s.clients, 1);
	assert_int_equal(s.in_flight, 0);
	assert_true(deaths > 0);
	munmap(shared, sizeof(*shared));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("received + lost = sent: all policies, both modes, fast, slow, stuck, idle and dying",
			mixture, fresh_defaults),
	};

	return run_promises(tests);
}
