// SPDX-License-Identifier: GPL-2.0-only
/*
 * How much is done under the lock that completions take: whatever clients there are and
 * however long the log is, it is bounded. The kernel's own tracer counts.
 */
#include <inttypes.h>
#include <poll.h>
#include <sys/ioctl.h>

#include "packets.h"
#include "records.h"
#include "rings.h"
#include "settings.h"

#define TRACING "/sys/kernel/tracing/"
#define CLIENTS 256
#define STEPS   256
/* Where packets are small, thousands of them are in the buffer that is needed next. */
#define ROUNDS 3
#define SMALL  600
#define LARGE  60

static int clients[CLIENTS];
static char buf[1 << 16];

static bool try_tell(const char *file, const char *text)
{
	char path[200];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), TRACING "%s", file);
	fd = open(path, O_WRONLY | O_APPEND);
	if (fd < 0)
		return false;
	n = write(fd, text, strlen(text));
	close(fd);
	return n == (ssize_t)strlen(text);
}

static void tell(const char *file, const char *text)
{
	if (!try_tell(file, text))
		fail_msg("%s: cannot write \"%s\": %s", file, text, strerror(errno));
}

static FILE *open_trace(void)
{
	FILE *trace = fopen(TRACING "trace", "r");

	assert_non_null(trace);
	return trace;
}

/* --- the probes ------------------------------------------------------------------ */

static const char *const probes[] = {
	"p:hold/lock _raw_spin_lock_irqsave lock=$arg1 from=+0($stack):symbol",
	"p:hold/lock_irq _raw_spin_lock_irq lock=$arg1 from=+0($stack):symbol",
	"p:hold/unlock _raw_spin_unlock_irqrestore lock=$arg1",
	"p:hold/unlock_irq _raw_spin_unlock_irq lock=$arg1",
	"p:hold/retire mydev_log_retire",
	"p:hold/look mydev_cursor_settle",
};

static const char *const locks[] = { "lock", "lock_irq", "unlock", "unlock_irq" };

static bool probe(void)
{
	for (size_t i = 0; i < sizeof(probes) / sizeof(*probes); i++)
		if (!try_tell("kprobe_events", probes[i]))
			return false;
	return true;
}

static int stop_tracing(void **state)
{
	(void)state;
	try_tell("tracing_on", "0");
	try_tell("events/hold/enable", "0");
	try_tell("kprobe_events", "-:hold/");
	return 0;
}

/* The lock that a completion takes first. */
static uint64_t find_lock(void)
{
	int fd = node_open(O_RDONLY | O_NONBLOCK);
	uint64_t found = 0;
	FILE *trace;

	ask(fd);
	tell("events/hold/lock/enable", "1");
	tell("tracing_on", "1");
	feed(1, "100");
	await(stats_of(fd).packets);
	tell("tracing_on", "0");
	trace = open_trace();
	while (!found && fgets(buf, sizeof(buf), trace)) {
		const char *args = strstr(buf, "lock=");

		if (args && strstr(args, "from=mydev_rx_complete+"))
			found = strtoull(args + strlen("lock="), NULL, 16);
	}
	fclose(trace);
	close(fd);
	assert_true(found);
	return found;
}

static void trace_lock(uint64_t lock)
{
	char path[100], filter[100];

	snprintf(filter, sizeof(filter), "lock==0x%" PRIx64, lock);
	for (size_t i = 0; i < sizeof(locks) / sizeof(*locks); i++) {
		snprintf(path, sizeof(path), "events/hold/%s/filter", locks[i]);
		tell(path, filter);
	}
	tell("buffer_size_kb", "65536");
	tell("events/hold/enable", "1");
}

static void start_tracing(void)
{
	/* To open it so is to empty it. */
	FILE *trace = fopen(TRACING "trace", "w");

	assert_non_null(trace);
	fclose(trace);
	tell("tracing_on", "1");
}

/* --- what it has seen ---------------------------------------------------------------- */

struct hold {
	bool held;
	unsigned int retired;
	unsigned int looks;
	char from[100];
};

struct most {
	uint64_t holds;
	unsigned int retired;
	unsigned int looks;
	char retired_from[100];
	char looks_from[100];
};

static void begin_hold(struct hold *h, const char *line)
{
	const char *from = strstr(line, "from=");

	*h = (struct hold){ .held = true };
	snprintf(h->from, sizeof(h->from), "%.*s", from ? (int)strcspn(from + 5, "+") : 0,
		 from ? from + 5 : "");
}

static void end_hold(struct hold *h, struct most *most)
{
	most->holds++;
	if (h->retired > most->retired) {
		most->retired = h->retired;
		strcpy(most->retired_from, h->from);
	}
	if (h->looks > most->looks) {
		most->looks = h->looks;
		strcpy(most->looks_from, h->from);
	}
	h->held = false;
}

static void assert_nothing_lost(void)
{
	FILE *f = fopen(TRACING "per_cpu/cpu0/stats", "r");
	unsigned int lost = 1;

	assert_non_null(f);
	while (fgets(buf, sizeof(buf), f))
		if (sscanf(buf, "overrun: %u", &lost) == 1)
			break;
	fclose(f);
	assert_int_equal(lost, 0);
}

static void end_tracing(struct most *most)
{
	struct hold cpus[16] = { 0 };
	FILE *trace;
	unsigned int cpu;

	tell("tracing_on", "0");
	assert_nothing_lost();
	trace = open_trace();
	while (fgets(buf, sizeof(buf), trace)) {
		const char *at = strchr(buf, '[');
		struct hold *h;

		if (buf[0] == '#' || !at || sscanf(at, "[%u]", &cpu) != 1 || cpu >= 16)
			continue;
		h = &cpus[cpu];
		if (strstr(buf, " lock: ") || strstr(buf, " lock_irq: "))
			begin_hold(h, buf);
		else if (strstr(buf, " retire: "))
			h->retired += h->held;
		else if (strstr(buf, " look: "))
			h->looks += h->held;
		else if (h->held && (strstr(buf, " unlock: ") || strstr(buf, " unlock_irq: ")))
			end_hold(h, most);
	}
	fclose(trace);
}

/* --- who is there ---------------------------------------------------------------------- */

/* Each kind, in turn; those who are asked for nothing lie about. */
static void open_all(void)
{
	for (int i = 0; i < CLIENTS; i++) {
		struct mydev_config c = { .size = sizeof(c) };

		clients[i] = node_open(O_RDWR | O_NONBLOCK);
		assert_return_code(ioctl(clients[i], MYDEV_IOC_GET_CONFIG, &c), errno);
		c.mode = i % 3 == 2 ? MYDEV_MODE_RING : i % 3;
		c.policy = i % 4 == 1   ? MYDEV_POLICY_DROP_OLDEST
			   : i % 4 == 2 ? MYDEV_POLICY_DROP_NEWEST
					: MYDEV_POLICY_LOSSLESS;
		c.queue_depth = c.policy == MYDEV_POLICY_LOSSLESS ? 65536 : 1 + i * 10;
		assert_return_code(ioctl(clients[i], MYDEV_IOC_SET_CONFIG, &c), errno);
		if (i % 8 != 7)
			ask(clients[i]);
	}
}

/* Of a ring it moves the cursor as its program would, to what is read by now. */
static void read_some(int fd, uint64_t *seed)
{
	struct mydev_rewind on = { .size = sizeof(on),
				   .to = MYDEV_REWIND_SEQUENCE,
				   .value = UINT64_MAX };

	if (read(fd, buf, 1 + random_next(seed) % sizeof(buf)) < 0 && errno == EBUSY)
		ioctl(fd, MYDEV_IOC_REWIND, &on);
}

static void all_read(uint64_t *seed)
{
	for (int i = 0; i < CLIENTS; i++)
		if (random_next(seed) % 4)
			read_some(clients[i], seed);
}

static bool wait_for_all(void)
{
	struct pollfd p[CLIENTS];

	for (int i = 0; i < CLIENTS; i++)
		p[i] = (struct pollfd){ .fd = clients[i], .events = POLLIN };
	return poll(p, CLIENTS, 1) >= 0;
}

TEST(bounded)
{
	struct mydev_geometry g = { .size = sizeof(g) };
	struct most most = { 0 };
	uint64_t seed = 1, sent;
	int fd;

	if (!probe()) {
		print_message("# no probes here: %s\n", strerror(errno));
		skip();
	}
	fd = node_open(O_RDWR);
	assert_return_code(ioctl(fd, MYDEV_IOC_GET_GEOMETRY, &g), errno);
	g.log_entries = g.max_log_entries;
	assert_return_code(ioctl(fd, MYDEV_IOC_SET_GEOMETRY, &g), errno);
	close(fd);
	trace_lock(find_lock());
	start_tracing();
	open_all();
	sent = stats_of(clients[0]).packets;
	for (int round = 0; round < ROUNDS; round++) {
		bool large = round % 3 == 1;

		feed(large ? LARGE : SMALL, large ? "24-30000" : "24-100");
		sent += large ? LARGE : SMALL;
		while (stats_of(clients[0]).packets < sent) {
			wait_for_all();
			all_read(&seed);
		}
		end_tracing(&most);
		start_tracing();
	}
	unplug();
	for (int i = 0; i < CLIENTS; i++)
		close(clients[i]);
	end_tracing(&most);
	print_message("# of %" PRIu64
		      " holds: at most %u entries retired (%s), %u looks at clients (%s)\n",
		      most.holds, most.retired, most.retired_from, most.looks, most.looks_from);
	assert_true(most.holds > sent);
	assert_true(most.retired > 0);
	assert_true(most.retired <= STEPS);
	assert_true(most.looks > CLIENTS / 2);
	assert_true(most.looks <= 4 * CLIENTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ "256 clients of all kinds, the largest log: what is done under the lock is bounded",
		  bounded, fresh_defaults, stop_tracing, NULL },
	};

	return run_promises(tests);
}
