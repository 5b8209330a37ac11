// SPDX-License-Identifier: GPL-2.0-only
/* What people and tools see: the table of clients, fdinfo, tracepoints. */
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "records.h"
#include "settings.h"

static _Alignas(8) char buf[1 << 18];
static char text[1 << 20];

static void read_text(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += n;
	close(fd);
	text[len] = 0;
}

/* --- who is slow? --------------------------------------------------------------- */

static const char *const modes[] = { "stream", "packet" };
static const char *const policies[] = { "lossless", "drop-oldest", "drop-newest" };

struct row {
	unsigned int id;
	int pid;
	char role[16], mode[16], policy[16], command[32];
	uint64_t lag_packets, lag_bytes, read_packets, read_bytes, lost_packets, lost_bytes;
};

/* Of debugfs; without a line for the titles. */
static int table(struct row *rows, int max)
{
	char path[128], *line;
	int n = 0;

	snprintf(path, sizeof(path), "/sys/kernel/debug/mydev/%s/clients", strrchr(node, '/') + 1);
	read_text(path);
	line = strtok(text, "\n");
	assert_string_equal(
		line,
		"id pid role mode policy lag-packets lag-bytes read-packets read-bytes lost-packets lost-bytes command");
	while ((line = strtok(NULL, "\n"))) {
		struct row *r = &rows[n++];

		assert_in_range(n, 1, max);
		assert_int_equal(sscanf(line,
					"%u %d %15s %15s %15s %" SCNu64 " %" SCNu64 " %" SCNu64
					" %" SCNu64 " %" SCNu64 " %" SCNu64 " %31[^\n]",
					&r->id, &r->pid, r->role, r->mode, r->policy,
					&r->lag_packets, &r->lag_bytes, &r->read_packets,
					&r->read_bytes, &r->lost_packets, &r->lost_bytes,
					r->command),
				 12);
	}
	return n;
}

static void expect_fdinfo(int fd, const char *key, const char *value)
{
	char want[128], have[1024];

	snprintf(want, sizeof(want), "mydev-%s:\t%s\n", key, value);
	fdinfo(fd, have, sizeof(have));
	if (!strstr(have, want))
		fail_msg("no '%s' in: %s", want, have);
}

static void expect_fdinfo_number(int fd, const char *key, uint64_t value)
{
	char number[32];

	snprintf(number, sizeof(number), "%" PRIu64, value);
	expect_fdinfo(fd, key, number);
}

/* The table, fdinfo and GET_STATS tell the same. */
static void agree(const struct row *row, int fd)
{
	struct mydev_config c = config_of(fd);
	struct mydev_stats s = stats_of(fd);

	assert_int_equal(row->id, info_of(fd).client_id);
	assert_int_equal(row->pid, getpid());
	assert_string_equal(row->command, "trace_test");
	assert_string_equal(row->mode, modes[c.mode]);
	assert_string_equal(row->policy, policies[c.policy]);
	assert_int_equal(row->lag_packets, s.client_queued_packets);
	assert_int_equal(row->lag_bytes, s.client_queued_bytes);
	assert_int_equal(row->read_packets, s.client_read_packets);
	assert_int_equal(row->read_bytes, s.client_read_bytes);
	assert_int_equal(row->lost_packets, s.client_lost_packets);
	assert_int_equal(row->lost_bytes, s.client_lost_bytes);
	expect_fdinfo_number(fd, "client", row->id);
	expect_fdinfo(fd, "mode", modes[c.mode]);
	expect_fdinfo(fd, "policy", policies[c.policy]);
	expect_fdinfo_number(fd, "queued-packets", s.client_queued_packets);
	expect_fdinfo_number(fd, "queued-bytes", s.client_queued_bytes);
	expect_fdinfo_number(fd, "read-packets", s.client_read_packets);
	expect_fdinfo_number(fd, "read-bytes", s.client_read_bytes);
	expect_fdinfo_number(fd, "lost-packets", s.client_lost_packets);
	expect_fdinfo_number(fd, "lost-bytes", s.client_lost_bytes);
}

static int hold_open(void *arg)
{
	int fd;

	(void)arg;
	/* Not those of the parent, who is to be the only one to have them. */
	close_range(3, ~0U, 0);
	fd = open(node, O_RDONLY);
	if (fd < 0)
		return 1;
	for (;;)
		pause();
}

TEST(who_is_slow)
{
	int fds[4], idle, writer, n = 0;
	struct row rows[16];
	pid_t pid;

	fds[n++] = node_open(O_RDONLY);
	fds[n] = node_open(O_RDONLY);
	configure(fds[n++], .mode = MYDEV_MODE_PACKET);
	fds[n] = node_open(O_RDONLY);
	configure(fds[n++], .policy = MYDEV_POLICY_DROP_OLDEST, .queue_depth = 30);
	fds[n] = node_open(O_RDONLY);
	configure(fds[n++], .mode = MYDEV_MODE_PACKET, .policy = MYDEV_POLICY_DROP_NEWEST,
		  .queue_depth = 20);
	idle = node_open(O_RDONLY);
	writer = node_open(O_WRONLY);
	pid = spawn(hold_open, NULL);
	await(sysfs_number("clients") == 7);
	for (int i = 0; i < n; i++)
		ask(fds[i]);
	feed(100, "1000");
	await(stats_of(fds[0]).client_packets == 100);
	assert_int_equal(read(fds[0], buf, 12345), 12345);
	assert_true(read(fds[1], buf, 9999) > 0);

	assert_int_equal(table(rows, 16), 7);
	for (int i = 0; i < n; i++) {
		agree(&rows[i], fds[i]);
		assert_string_equal(rows[i].role, "reading");
	}
	assert_int_equal(rows[0].read_bytes, 12345);
	assert_int_equal(rows[2].lost_packets, 70);
	assert_int_equal(rows[3].lost_packets, 80);
	agree(&rows[4], idle);
	assert_string_equal(rows[4].role, "idle");
	assert_string_equal(rows[5].role, "writer");
	assert_int_equal(rows[5].pid, getpid());
	assert_int_equal(rows[6].pid, pid);
	assert_int_equal(rows[6].lag_packets, 100);
	close(writer);
	assert_int_equal(table(rows, 16), 6);
}

TEST(who_was_evicted)
{
	int stuck = node_open(O_RDONLY), fast = node_open(O_RDONLY);
	struct row rows[4];
	struct verifier v;

	set_block_timeout_ms(300);
	ask(stuck);
	/* Who has not asked may lose what comes before he does. */
	ask(fast);
	verify_from(&v, next_counter());
	feed_forever("5000");
	take_packets(fast, &v, 3 * info_of(fast).pool_buffers, 5000);
	assert_int_equal(table(rows, 4), 2);
	assert_string_equal(rows[0].role, "evicted");
	assert_string_equal(rows[1].role, "reading");
	take_rest(fast, &v);
	assert_int_equal(table(rows, 4), 2);
	agree(&rows[0], stuck);
	assert_errno(read(stuck, buf, 1), ENOBUFS);
	assert_int_equal(table(rows, 4), 2);
	assert_string_equal(rows[0].role, "reading");
}

/* --- tracepoints ------------------------------------------------------------------ */

#define TRACING  "/sys/kernel/tracing"
#define INSTANCE TRACING "/instances/mydev_test"

static const char *const events[] = { "mydev_submit", "mydev_complete", "mydev_deliver",
				      "mydev_drop",   "mydev_start",    "mydev_stop" };

static void write_text(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		fail_msg("%s: %s", path, strerror(errno));
	close(fd);
}

static void trace_on(void)
{
	if (access(TRACING "/events", R_OK)) {
		print_message("skipped: this kernel has no tracepoints\n");
		skip();
	}
	/* For the names of programs the scheduler would be patched, each time. */
	write_text(TRACING "/options/record-cmd", "0");
	if (mkdir(INSTANCE, 0700) && errno != EEXIST)
		fail_msg(INSTANCE ": %s", strerror(errno));
	write_text(INSTANCE "/buffer_size_kb", "4096");
	write_text(INSTANCE "/trace", "");
	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++) {
		char path[128];

		snprintf(path, sizeof(path), INSTANCE "/events/mydev/%s/enable", events[i]);
		write_text(path, "1");
	}
}

/* Stops it, and leaves what it has in text. */
static void trace_off(void)
{
	write_text(INSTANCE "/events/enable", "0");
	read_text(INSTANCE "/trace");
	assert_return_code(rmdir(INSTANCE), errno);
}

/* The value of key= in a line, which must have it. */
static uint64_t value_of(const char *line, const char *key)
{
	char word[32];
	const char *at;

	snprintf(word, sizeof(word), " %s=", key);
	at = strstr(line, word);
	if (!at)
		fail_msg("no %s in: %s", word, line);
	return strtoull(at + strlen(word), NULL, 10);
}

struct traced {
	uint64_t submits, completes, delivers, drops, starts, stops;
	uint64_t first, last; /* numbers delivered */
	uint64_t bytes, dropped_bytes;
	bool in_order;       /* each delivered is one more than the one before */
	bool completes_tell; /* what complete announces is what deliver delivers */
	bool drops_known;    /* only what was delivered is dropped, to our client */
	uint64_t start_seq, stop_seq;
};

static struct traced traced(void)
{
	struct traced t = { .in_order = true, .completes_tell = true, .drops_known = true };
	uint64_t announced = 0;

	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (*line == '#')
			continue;
		if (strstr(line, " mydev_submit: ")) {
			value_of(line, "seq");
			t.submits++;
		} else if (strstr(line, " mydev_complete: ")) {
			announced = value_of(line, "seq");
			t.completes++;
		} else if (strstr(line, " mydev_deliver: ")) {
			uint64_t seq = value_of(line, "seq");

			if (!t.delivers++)
				t.first = seq;
			else
				t.in_order &= seq == t.last + 1;
			t.completes_tell &= seq == announced;
			t.last = seq;
			t.bytes += value_of(line, "length");
		} else if (strstr(line, " mydev_drop: ")) {
			t.drops += value_of(line, "packets");
			t.dropped_bytes += value_of(line, "bytes");
			t.drops_known &= value_of(line, "seq") <= t.last &&
					 value_of(line, "client") == (uint64_t)getpid();
		} else if (strstr(line, " mydev_start: ")) {
			t.start_seq = value_of(line, "seq");
			t.starts++;
		} else if (strstr(line, " mydev_stop: ")) {
			t.stop_seq = value_of(line, "seq");
			t.stops++;
		} else {
			fail_msg("unknown event: %s", line);
		}
	}
	return t;
}

TEST(traced_on_its_way)
{
	struct mydev_stats s;
	struct verifier v;
	struct traced t;
	uint64_t before;
	int fd;

	trace_on();
	fd = node_open(O_RDONLY);
	before = stats_of(fd).packets;
	verify_from(&v, next_counter());
	feed(300, "65-1000");
	take_packets(fd, &v, 300, sizeof(buf));
	await(stats_of(fd).in_flight == info_of(fd).transfers);
	s = stats_of(fd);
	close(fd);
	assert_int_equal(sysfs_number("in_flight"), 0);
	trace_off();
	t = traced();
	assert_int_equal(t.delivers, 300);
	assert_int_equal(t.first, before);
	assert_int_equal(t.last, before + 299);
	assert_int_equal(t.bytes, v.bytes);
	assert_true(t.in_order);
	assert_true(t.completes_tell);
	/* Those that a stop takes back complete as well. */
	assert_int_equal(t.submits, t.completes);
	assert_int_equal(t.submits, 300 + s.in_flight);
	assert_int_equal(t.drops, 0);
	assert_int_equal(t.starts, 1);
	assert_int_equal(t.start_seq, before);
	assert_int_equal(t.stops, 1);
	assert_int_equal(t.stop_seq, before + 300);
}

TEST(losses_traced)
{
	int oldest, newest, fast;
	struct mydev_stats a, b;
	struct verifier v;
	struct traced t;

	trace_on();
	oldest = node_open(O_RDONLY);
	newest = node_open(O_RDONLY);
	fast = node_open(O_RDONLY);
	configure(oldest, .mode = MYDEV_MODE_PACKET, .policy = MYDEV_POLICY_DROP_OLDEST,
		  .queue_depth = 10);
	configure(newest, .policy = MYDEV_POLICY_DROP_NEWEST, .queue_depth = 20);
	verify_from(&v, next_counter());
	feed(200, "1000");
	take_packets(fast, &v, 200, sizeof(buf));
	a = stats_of(oldest);
	b = stats_of(newest);
	close(fast);
	/* What a client has lost is traced when it is told of it. */
	assert_true(read(oldest, buf, sizeof(buf)) > 0);
	assert_int_equal(read(newest, buf, sizeof(buf)), 20 * 1000);
	assert_int_equal(read(newest, buf, sizeof(buf)), -1);
	assert_int_equal(errno, ENOBUFS);
	trace_off();
	assert_int_equal(a.client_lost_packets, 190);
	assert_int_equal(b.client_lost_packets, 180);
	t = traced();
	assert_int_equal(t.drops, a.client_lost_packets + b.client_lost_packets);
	assert_int_equal(t.dropped_bytes, a.client_lost_bytes + b.client_lost_bytes);
	assert_true(t.drops_known);
}

/* A ring that stops for a slow reader, and goes on. */
TEST(stops_traced)
{
	uint64_t before;
	struct verifier v;
	struct traced t;
	int fd;

	trace_on();
	fd = node_open(O_RDONLY);
	before = stats_of(fd).ring_stops;
	verify_from(&v, next_counter());
	ask(fd);
	feed_forever("5000");
	for (int i = 0; i < 5; i++) {
		await_ring_stop(fd);
		take_packets(fd, &v, 1, 5000);
	}
	await_ring_stop(fd);
	before = stats_of(fd).ring_stops - before;
	trace_off();
	t = traced();
	assert_in_range(before, 6, 1000);
	assert_int_equal(t.stops, before);
	assert_int_equal(t.starts, before);
	assert_int_equal(t.stop_seq, stats_of(fd).packets);
	assert_int_equal(t.delivers, t.last - t.first + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("the table of clients, fdinfo and GET_STATS tell the same", who_is_slow,
			fresh_defaults),
		PROMISE("the table tells who was evicted, until he reads", who_was_evicted,
			fresh_defaults),
		PROMISE("submit, complete, deliver, start and stop are traced, with numbers",
			traced_on_its_way, fresh_defaults),
		PROMISE("each lost packet is traced once", losses_traced, fresh_defaults),
		PROMISE("each stop of a slow reader's ring is traced, and each start", stops_traced,
			fresh_defaults),
	};

	return run_promises(tests);
}
