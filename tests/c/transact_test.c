// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exchanges with a device that sends back what it is sent: each gets the answer
 * to its own question, whatever becomes of the others.
 */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "records.h"
#include "requests.h"
#include "settings.h"

#define LONGEST 65536
#define CROWD   8

static unsigned char question[LONGEST];
static _Alignas(8) unsigned char answer[1 << 17];

/* Whoever asks ends a question that fills its last packet with an empty one. */
static int asker_open(void)
{
	int fd = node_open(O_RDWR);

	configure(fd, .flags = MYDEV_CONFIG_TERMINATE);
	return fd;
}

static struct mydev_transact exchange_of(uint32_t length, uint32_t room, uint32_t ms)
{
	return (struct mydev_transact){
		.out_length = length,
		.in_length = room,
		.timeout_ms = ms,
		.out_data = (uintptr_t)question,
		.in_data = (uintptr_t)answer,
	};
}

/* Of any length, also of one that no packet of the simulated device has. */
static void ask_what(unsigned int what, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++)
		question[i] = what + i + (i >> 8) * 7;
}

static int ask_length(int fd, uint32_t length, uint32_t ms)
{
	struct mydev_transact t = exchange_of(length, LONGEST, ms);
	int error;

	memset(answer, 0, length);
	error = try_transact(fd, &t);
	if (!error && (t.actual != length || memcmp(answer, question, length)))
		error = EBADMSG;
	return error;
}

/* A question of its own, and the answer to that. */
static int ask_anew(int fd, uint32_t length)
{
	static unsigned int what;

	ask_what(++what * 13, length);
	return ask_length(fd, length, 30000);
}

static bool sent_identity_holds(int fd)
{
	struct mydev_stats s = stats_of(fd);

	return s.client_written_bytes ==
	       s.client_sent_bytes + s.client_failed_bytes + s.client_unsent_bytes;
}

static void assert_exchange(int fd, uint32_t length)
{
	struct mydev_stats s;
	int error = ask_anew(fd, length);

	if (error)
		fail_msg("%u bytes: %s", length, strerror(error));
	s = stats_of(fd);
	assert_true(identity_holds(&s));
}

/* --- alone --------------------------------------------------------------------- */

TEST(all_sizes)
{
	static const uint32_t edges[] = {
		1,    2,     3,     7,     8,     9,     23,    24,    25,    63,
		64,   65,    511,   512,   513,   1023,  1025,  2047,  2049,  4095,
		4097, 16383, 16385, 32767, 32769, 40000, 49151, 49153, 65000, 65535,
	};
	uint64_t seed = test_seed(), count = 0, zeros;
	int fd = asker_open();
	struct mydev_stats s;

	deadline(170);
	for (unsigned int i = 0; i < sizeof(edges) / sizeof(edges[0]); i++, count++)
		assert_exchange(fd, edges[i]);
	for (uint32_t n = 1024; n < LONGEST; n += slow_lane() ? 5120 : 1024, count++)
		assert_exchange(fd, n);
	for (unsigned int i = 0; i < (slow_lane() ? 30 : 500); i++, count++)
		assert_exchange(fd, 1 + random_next(&seed) % (LONGEST - 1));
	/* There is no room for more, so the end of it comes behind. */
	zeros = stats_of(fd).zero_packets;
	assert_exchange(fd, LONGEST);
	await(stats_of(fd).zero_packets == zeros + 1);
	assert_exchange(fd, 100);

	s = stats_of(fd);
	assert_int_equal(s.client_sent_bytes, s.client_written_bytes);
	assert_int_equal(s.send_errors, 0);
	await(sim_number("out_messages") >= count + 2);
}

TEST(truncated)
{
	static const uint32_t rooms[] = { 1, 24, 999, 1000, 1001, 5000 };
	struct mydev_transact t;
	int fd = asker_open();

	for (unsigned int i = 0; i < 6; i++) {
		uint32_t expected = rooms[i] < 1000 ? rooms[i] : 1000;

		ask_what(i, 1000);
		t = exchange_of(1000, rooms[i], 0);
		memset(answer, 0xa5, sizeof(answer));
		assert_int_equal(try_transact(fd, &t), 0);
		assert_int_equal(t.actual, expected);
		assert_int_equal(t.flags, rooms[i] < 1000 ? MYDEV_TRANSACT_TRUNCATED : 0);
		assert_memory_equal(answer, question, expected);
		for (uint32_t n = expected; n < expected + 2000; n++)
			assert_int_equal(answer[n], 0xa5);
	}
	/* The rest of it is not somebody else's answer. */
	assert_exchange(fd, 500);
}

TEST(wrong_arguments)
{
	static const uint32_t bad[] = { 0, LONGEST + 1, UINT32_MAX };
	int fd = asker_open();
	uint64_t taken = sim_number("out_bytes");
	struct mydev_transact t;

	for (unsigned int i = 0; i < 3; i++) {
		t = exchange_of(bad[i], 100, 0);
		assert_int_equal(try_transact(fd, &t), ERANGE);
		t = exchange_of(100, bad[i], 0);
		assert_int_equal(try_transact(fd, &t), ERANGE);
	}
	t = exchange_of(100, 100, 60001);
	assert_int_equal(try_transact(fd, &t), ERANGE);
	for (unsigned int bit = 0; bit < 32; bit++) {
		t = exchange_of(100, 100, 0);
		t.flags = 1U << bit;
		assert_int_equal(try_transact(fd, &t), EINVAL);
	}
	t = exchange_of(100, 100, 0);
	assert_int_equal(try_transact(node_open(O_RDONLY), &t), EBADF);
	assert_int_equal(try_transact(node_open(O_WRONLY), &t), EBADF);
	t.out_data = 0;
	assert_int_equal(try_transact(fd, &t), EFAULT);
	assert_int_equal(stats_of(fd).client_written_bytes, 0);
	assert_int_equal(sim_number("out_bytes"), taken);
	/* That is found out only with the answer. */
	t = exchange_of(100, 100, 0);
	t.in_data = 0;
	assert_int_equal(try_transact(fd, &t), EFAULT);
	assert_exchange(fd, 100);
}

/* --- a device that does not answer ---------------------------------------------- */

/* What has been sent of it, by either side. */
struct sent {
	uint64_t driver;
	uint64_t device;
};

static struct sent sent_of(int fd)
{
	return (struct sent){ stats_of(fd).client_sent_bytes, sim_number("out_bytes") };
}

/* The device knows of all that it has taken, @before, from nobody else. */
static bool device_knows(int fd, struct sent before)
{
	struct sent s = sent_of(fd);

	return s.device - before.device == s.driver - before.driver;
}

/* The device takes the question, and the time is up before it answers. */
static void ask_in_vain(int fd, unsigned int what, uint32_t length)
{
	struct sent before = sent_of(fd);

	ask_what(what, length);
	/* One that it is too late to take is withdrawn, and asked again. */
	for (uint32_t ms = 100; stats_of(fd).client_sent_bytes == before.driver; ms *= 2) {
		assert_int_equal(ask_length(fd, length, ms), ETIMEDOUT);
		await(stats_of(fd).client_unsent_bytes == 0);
	}
	await(sim_number("out_bytes") == before.device + length);
}

TEST(takes_nothing)
{
	static const uint32_t lengths[] = { 1, 1000, 1024, 50000, LONGEST };
	int fd = asker_open();
	uint64_t taken = sim_number("out_bytes"), failed = 0;
	struct mydev_stats s;

	for (unsigned int i = 0; i < 5; i++) {
		unsigned int tries = 0;
		double took;

		sim_do("refuse");
		/*
		 * Not too early (see too_slow() in control_test.c), and not as late as
		 * if nothing had been said of a time: that once.
		 */
		do {
			assert_in_range(tries++, 0, 4);
			took = now();
			assert_int_equal(ask_length(fd, lengths[i], 100), ETIMEDOUT);
			took = now() - took;
			failed += lengths[i];
		} while (took < 0.09 || took > 3);
		/* It is withdrawn: nobody sends it later. */
		await(stats_of(fd).client_unsent_bytes == 0);
		s = stats_of(fd);
		assert_int_equal(s.client_failed_bytes, failed);
		sim_do("accept");
		assert_exchange(fd, 300);
		taken += 300;
		await(sim_number("out_bytes") == taken);
	}
	assert_true(sent_identity_holds(fd));
}

/* It has taken the question, and thinks. */
TEST(answers_late)
{
	int fd = asker_open(), reader = node_open(O_RDONLY | O_NONBLOCK);
	struct mydev_transact t;

	ask(reader);
	sim_do("pause");
	ask_in_vain(fd, 1, 700);
	/* What comes while nobody asks is for the readers. */
	sim_do("resume");
	await_queued(reader, 1);
	assert_int_equal(read(reader, answer, sizeof(answer)), 700);
	assert_memory_equal(answer, question, 700);
	assert_exchange(fd, 800);
	assert_int_equal(read(reader, answer, sizeof(answer)), 800);

	/* Who asks again before that, gets it: the device does not number them. */
	sim_do("pause");
	ask_in_vain(fd, 2, 600);
	await(sim_number("echo_queued") == 1);
	sim_do("slow 300");
	sim_do("resume");
	t = exchange_of(100, LONGEST, 30000);
	assert_int_equal(try_transact(fd, &t), 0);
	assert_true(t.actual == 600 || t.actual == 100);
	await_queued(reader, 2);
	sim_do("slow 0");
	assert_exchange(fd, 900);
}

TEST(slow_device)
{
	int fd = asker_open();
	struct sent before = sent_of(fd);
	double begin = now();

	sim_do("slow 200");
	assert_int_equal(ask_anew(fd, 1000), 0);
	assert_true(now() - begin >= 0.2);
	assert_int_equal(ask_length(fd, 1000, 20), ETIMEDOUT);
	/* Whatever of it is still to come has come. */
	await(stats_of(fd).client_unsent_bytes == 0);
	sim_do("slow 0");
	await(device_knows(fd, before) && sim_number("echo_queued") == 0 && sim_is("quiet"));
	assert_exchange(fd, 1000);
}

TEST(refuses)
{
	int fd = asker_open();
	struct mydev_stats s;

	for (unsigned int i = 0; i < 10; i++) {
		/* At once, and in the middle. */
		if (i % 2)
			sim_do("stall-out %u", 16384 * (i % 4));
		else
			sim_do("stall-out");
		/* Until then it could take the whole question. */
		if (i % 2)
			await(sim_number("out_queued") == 1);
		else
			await(!strcmp(sim_text("out_state"), "stalled"));
		assert_int_equal(ask_anew(fd, i % 2 ? LONGEST : 3000 * i + 1), EPIPE);
		await(stats_of(fd).client_unsent_bytes == 0);
		assert_true(sent_identity_holds(fd));
		/* What it had taken of it is no part of the next one. */
		sim_do("echo off");
		sim_do("echo on");
		assert_exchange(fd, 2000);
	}
	s = stats_of(fd);
	assert_true(s.client_failed_bytes > 0);
}

/* Told by an exchange, where that comes first. */
TEST(error_of_a_write)
{
	int fd = asker_open();

	sim_do("stall-out");
	await(!strcmp(sim_text("out_state"), "stalled"));
	assert_int_equal(write(fd, question, 100), 100);
	await(stats_of(fd).client_failed_bytes == 100);
	assert_int_equal(ask_anew(fd, 100), EPIPE);
	assert_exchange(fd, 100);
	assert_return_code(fsync(fd), errno);
}

/* --- somebody waits for the answer ----------------------------------------------- */

struct asker {
	int fd;
	uint32_t ms;
	bool restart; /* system calls go on after a signal */
	volatile int error;

	uint16_t who;
	uint64_t seed;
	uint64_t exchanges;
	volatile uint64_t done;
	volatile bool end;
	char text[128];
};

static void on_signal(int sig)
{
	(void)sig;
}

static int asks_once(void *arg)
{
	struct asker *a = arg;
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = a->restart ? SA_RESTART : 0 };

	sigaction(SIGUSR1, &sa, NULL);
	ask_what(77, 1000);
	a->error = ask_length(a->fd, 1000, a->ms);
	return 0;
}

/* One that waits for an answer that does not come. */
static pid_t asking(struct asker *a, bool taken)
{
	uint64_t bytes = sim_number("out_bytes");
	pid_t pid;

	if (!a->fd)
		a->fd = asker_open();
	a->ms = 50000;
	sim_do(taken ? "pause" : "refuse");
	pid = spawn(asks_once, a);
	if (taken)
		await(sim_number("out_bytes") == bytes + 1000);
	else
		await(stats_of(a->fd).client_unsent_bytes == 1000);
	await_sleeping(pid);
	return pid;
}

static void goes_on_as_before(bool taken)
{
	sim_do(taken ? "resume" : "accept");
	/* The answer that nobody waits for any more. */
	if (taken)
		await(sim_number("echo_queued") == 0 && sim_is("quiet"));
}

/* What was on its way before is not the answer. */
TEST(not_asked_yet)
{
	struct asker *a = shared_memory(sizeof(*a));
	int reader = node_open(O_RDONLY);
	pid_t pid;

	ask(reader);
	pid = asking(a, false);
	feed(3, "500");
	await_queued(reader, 3);
	await_sleeping(pid);
	sim_do("accept");
	assert_int_equal(reap(pid, PROMPT), 0);
	assert_int_equal(a->error, 0);
	munmap(a, sizeof(*a));
}

static bool unplugged_once(void **state)
{
	struct asker *a = shared_memory(sizeof(*a));
	bool told = true;

	(void)state;
	for (unsigned int taken = 0; taken < 2; taken++) {
		pid_t pid = asking(a, taken);

		unplug();
		assert_int_equal(reap(pid, PROMPT), 0);
		told &= ended_by_unplug(a->error);
		assert_int_equal(ask_anew(a->fd, 10), ENODEV);
		assert_true(sent_identity_holds(a->fd));
		assert_int_equal(stats_of(a->fd).client_unsent_bytes, 0);
		close(a->fd);
		a->fd = 0;
		plug();
		fresh(NULL);
	}
	munmap(a, sizeof(*a));
	return told;
}

TEST(unplugged)
{
	holds_once(unplugged_once, fresh, state);
}

TEST(killed)
{
	struct asker *a = shared_memory(sizeof(*a));

	for (unsigned int i = 0; i < 6; i++) {
		bool taken = i % 2;
		int other = asker_open();
		pid_t pid;

		*a = (struct asker){ 0 };
		/* Somebody has to fetch the answer that nobody waits for any more. */
		ask(other);
		pid = asking(a, taken);
		/* The last descriptor is its own, as a rule. */
		if (i < 4)
			close(a->fd);
		set_nonblock(other, true);
		assert_int_equal(ask_length(other, 100, 0), EAGAIN);
		set_nonblock(other, false);
		assert_return_code(kill(pid, SIGKILL), errno);
		assert_int_equal(reap(pid, PROMPT), 128 + SIGKILL);
		goes_on_as_before(taken);
		if (taken)
			await_queued(other, 1);
		assert_exchange(other, 200);
		fresh(NULL);
	}
	munmap(a, sizeof(*a));
}

TEST(interrupted)
{
	struct asker *a = shared_memory(sizeof(*a));

	/* What was asked is not asked again by itself, whatever the handler wants. */
	for (unsigned int i = 0; i < 4; i++) {
		bool taken = i % 2;
		pid_t pid;

		*a = (struct asker){ .restart = i / 2 };
		pid = asking(a, taken);
		assert_return_code(kill(pid, SIGUSR1), errno);
		assert_int_equal(reap(pid, PROMPT), 0);
		assert_int_equal(a->error, EINTR);
		await(stats_of(a->fd).client_unsent_bytes == 0);
		goes_on_as_before(taken);
		if (taken)
			await_queued(a->fd, 1);
		assert_exchange(a->fd, 200);
		fresh(NULL);
	}
	munmap(a, sizeof(*a));
}

/* Who waits for the turn has asked nothing yet. */
TEST(waiting_for_the_turn)
{
	struct asker *a = shared_memory(2 * sizeof(*a));

	for (unsigned int i = 0; i < 4; i++) {
		pid_t pids[2];

		a[0] = (struct asker){ 0 };
		a[1] = (struct asker){ .fd = asker_open(), .restart = i == 1, .ms = 50000 };
		pids[0] = asking(&a[0], true);
		pids[1] = spawn(asks_once, &a[1]);
		await_sleeping(pids[1]);
		switch (i) {
		case 0:
			assert_return_code(kill(pids[1], SIGUSR1), errno);
			assert_int_equal(reap(pids[1], PROMPT), 0);
			assert_int_equal(a[1].error, EINTR);
			break;
		case 1:
			/* The time is up only after it has begun. */
			assert_return_code(kill(pids[1], SIGUSR1), errno);
			await_sleeping(pids[1]);
			sim_do("resume");
			assert_int_equal(reap(pids[1], 30), 0);
			assert_int_equal(a[1].error, 0);
			break;
		case 2:
			assert_return_code(kill(pids[1], SIGKILL), errno);
			assert_int_equal(reap(pids[1], PROMPT), 128 + SIGKILL);
			break;
		default:
			unplug();
			assert_int_equal(reap(pids[1], PROMPT), 0);
			assert_int_equal(a[1].error, ENODEV);
			assert_int_equal(reap(pids[0], PROMPT), 0);
			fresh(NULL);
			continue;
		}
		sim_do("resume");
		assert_int_equal(reap(pids[0], PROMPT), 0);
		assert_int_equal(a[0].error, 0);
		fresh(NULL);
	}
	munmap(a, 2 * sizeof(*a));
}

TEST(leased)
{
	int owner = asker_open(), other = asker_open();
	struct asker *a = shared_memory(sizeof(*a));
	pid_t pid;

	assert_int_equal(lease(owner, MYDEV_LEASE_ACQUIRE, 0), 0);
	assert_int_equal(ask_anew(other, 100), EBUSY);
	assert_exchange(owner, 100);
	assert_int_equal(lease(owner, MYDEV_LEASE_RELEASE, 0), 0);
	assert_exchange(other, 100);

	/* One that is under way is let end; who does not wait is told so. */
	pid = asking(a, true);
	set_nonblock(owner, true);
	assert_int_equal(lease(owner, MYDEV_LEASE_ACQUIRE, 1000), EAGAIN);
	assert_int_equal(ask_length(owner, 100, 0), EAGAIN);
	assert_errno(write(owner, question, 10), EAGAIN);
	set_nonblock(owner, false);
	assert_int_equal(lease(owner, MYDEV_LEASE_ACQUIRE, 200), ETIMEDOUT);
	sim_do("resume");
	assert_int_equal(reap(pid, PROMPT), 0);
	assert_int_equal(a->error, 0);
	assert_int_equal(lease(owner, MYDEV_LEASE_ACQUIRE, 20000), 0);
	munmap(a, sizeof(*a));
}

TEST(revoked)
{
	int admin = asker_open();
	struct asker *a = shared_memory(sizeof(*a));

	for (unsigned int taken = 0; taken < 2; taken++) {
		pid_t pid;

		*a = (struct asker){ 0 };
		pid = asking(a, taken);
		assert_int_equal(revoke_client(admin, info_of(a->fd).client_id), 0);
		assert_int_equal(reap(pid, PROMPT), 0);
		assert_int_equal(a->error, ESTALE);
		goes_on_as_before(taken);
		if (taken)
			await_queued(admin, 1);
		assert_exchange(admin, 100);
		close(a->fd);
	}
	munmap(a, sizeof(*a));
}

/* --- many ------------------------------------------------------------------------ */

/* Questions are packets of the simulated device, numbered by who asks. */
static int asks_and_asks(void *arg)
{
	struct asker *a = arg;

	while (a->done < a->exchanges && !a->end) {
		uint64_t dice = random_next(&a->seed) % 100;
		uint32_t most = dice < 80 ? 1500 : dice < 98 ? 6000 : 32000;
		uint32_t length = SIM_HEADER + random_next(&a->seed) % (most - SIM_HEADER);
		struct mydev_transact t;
		int error;

		/* Now and then one that fills its packets. */
		if (dice % 8 == 0 && length > 1024)
			length -= length % 1024;
		sim_fill(question, length, (uint64_t)a->who << SIM_WHO_SHIFT | a->done);
		t = exchange_of(length, dice % 2 ? LONGEST : length, 30000);
		memset(answer, 0, length);
		error = try_transact(a->fd, &t);
		if (error || t.actual != length || t.flags || memcmp(answer, question, length)) {
			snprintf(a->text, sizeof(a->text),
				 "exchange %" PRIu64 " of %u bytes: %s, %u came", a->done, length,
				 strerror(error), t.actual);
			return 1;
		}
		a->done++;
	}
	return 0;
}

/* So many that they take half a minute, or as the environment says. */
static uint64_t exchanges_wanted(void)
{
	const char *given = getenv("EXCHANGES");

	if (given)
		return strtoull(given, NULL, 0);
	if (slow_lane())
		return 600;
	/* Where timers go by the tick (tests/vm/lanes.py), an exchange waits for some. */
	return lane_is("6.1") ? 10000 : 2500;
}

/*
 * @count programs that ask, and two that read everything: one whose records
 * have no hole, and one whose bytes are all of all askers.
 */
static void hammer(unsigned int count, uint64_t exchanges)
{
	struct asker *a = shared_memory(count * sizeof(*a));
	int fd = node_open(O_RDONLY), stream = node_open(O_RDONLY);
	uint64_t seed = test_seed(), total = exchanges / count * count;
	const char *error = NULL;
	double begin;
	struct records r;
	struct verifier v;
	pid_t pids[CROWD];

	sim_do("verify-out messages");
	configure(fd, .mode = MYDEV_MODE_PACKET);
	records_init(&r);
	r.one_to_one = true;
	r.have_next = true;
	r.next = stats_of(fd).packets;
	r.content.by_writer = true;
	r.content.have_next = true;
	verifier_init(&v);
	v.by_writer = true;
	v.have_next = true;
	ask(fd);
	ask(stream);
	begin = now();
	for (unsigned int i = 0; i < count; i++) {
		a[i].fd = asker_open();
		a[i].who = i + 1;
		a[i].seed = random_next(&seed) | 1;
		a[i].exchanges = exchanges / count;
		pids[i] = spawn(asks_and_asks, &a[i]);
	}
	while (!error && r.packets < total) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (poll(&p, 1, 30000) != 1)
			break;
		error = read_records(fd, &r, 1, 1 << 18);
		if (!error && v.packets < r.packets)
			error = read_packets(stream, &v, r.packets - v.packets, 1 << 17);
	}
	for (unsigned int i = 0; i < count; i++) {
		int status = reap(pids[i], 40);
		struct mydev_stats s = stats_of(a[i].fd);

		if (status)
			fail_msg("asker %u: status %d, %s", i, status, a[i].text);
		assert_true(identity_holds(&s));
		assert_true(sent_identity_holds(a[i].fd));
		assert_int_equal(s.client_sent_bytes, s.client_written_bytes);
	}
	printf("# %" PRIu64 " exchanges of %u programs in %.1f s\n", total, count, now() - begin);
	if (error)
		fail_msg("%s", error);
	/* Not one more, either. */
	assert_null(drain_records(fd, &r));
	assert_int_equal(r.packets, total);
	assert_int_equal(r.gaps + r.events + r.zero_packets, 0);
	assert_int_equal(v.packets, total);
	assert_int_equal(stats_of(stream).client_queued_bytes, 0);
	assert_string_equal(sim_text("out_error"), "ok");
	assert_int_equal(sim_number("out_packets"), total);
	assert_int_equal(sim_number("out_unended"), 0);
	sim_do("verify-out off");
	for (unsigned int i = 0; i < count; i++)
		close(a[i].fd);
	munmap(a, count * sizeof(*a));
}

TEST(two)
{
	deadline(exchanges_wanted() / 50 + 100);
	hammer(2, exchanges_wanted() / 2);
}

TEST(eight)
{
	deadline(exchanges_wanted() / 50 + 100);
	hammer(CROWD, exchanges_wanted() / 2);
}

/* The answer to the last question of the dead may be taken for that to the next one. */
static bool with_others_again(struct asker *a, pid_t *pids)
{
	for (unsigned int i = 0; i < 4; i++) {
		if (!*a[i].text)
			continue;
		assert_int_equal(reap(pids[i], PROMPT), 1);
		*a[i].text = 0;
		pids[i] = spawn(asks_and_asks, &a[i]);
	}
	return true;
}

/* Whoever is killed, and wherever: the others can always go on. */
TEST(killed_among_many)
{
	struct asker *a = shared_memory(4 * sizeof(*a));
	uint64_t seed = test_seed();
	pid_t pids[4];

	deadline(170);
	for (unsigned int i = 0; i < 4; i++) {
		a[i].fd = asker_open();
		a[i].who = i + 1;
		a[i].seed = random_next(&seed) | 1;
		a[i].exchanges = UINT64_MAX;
		pids[i] = spawn(asks_and_asks, &a[i]);
	}
	for (unsigned int round = 0; round < (slow_lane() ? 5 : 20); round++) {
		uint64_t before = a[1].done;

		await(with_others_again(a, pids) && a[0].done > 0);
		usleep(random_next(&seed) % 20000);
		/* It may have come to an end of its own just now. */
		kill(pids[0], SIGKILL);
		assert_int_not_equal(reap(pids[0], PROMPT), 0);
		*a[0].text = 0;
		await(with_others_again(a, pids) && a[1].done > before + 2);
		a[0].done = 0;
		pids[0] = spawn(asks_and_asks, &a[0]);
	}
	munmap(a, 4 * sizeof(*a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("the answer to the question, for questions of all sizes", all_sizes, fresh),
		PROMISE("a longer answer than there is room for is cut, and said to be", truncated,
			fresh),
		PROMISE("wrong arguments: ERANGE, EINVAL, EBADF, EFAULT", wrong_arguments, fresh),
		PROMISE("a question that is not taken: ETIMEDOUT, and it is withdrawn",
			takes_nothing, fresh),
		PROMISE("an answer that comes too late is that of the next one, or the readers'",
			answers_late, fresh),
		PROMISE("a slow device is waited for, for as long as was said", slow_device, fresh),
		PROMISE("a question that is refused: EPIPE, and the next one is answered", refuses,
			fresh),
		PROMISE("an earlier write() that was refused: EPIPE once", error_of_a_write, fresh),
		PROMISE("what comes before the device has the question is no answer", not_asked_yet,
			fresh),
		PROMISE("unplugged in the middle: ENODEV at once", unplugged, fresh),
		PROMISE("killed in the middle: dead at once, and the next one has the turn", killed,
			fresh),
		PROMISE("a signal in the middle: EINTR, and nothing is asked twice", interrupted,
			fresh),
		PROMISE("who waits for the turn: EINTR, restart, death, ENODEV",
			waiting_for_the_turn, fresh),
		PROMISE("somebody else's lease: EBUSY; an exchange under way: EAGAIN", leased,
			fresh),
		PROMISE("revoked in the middle: ESTALE at once", revoked, fresh),
		PROMISE("two programs, and all readers: each answer to whom it belongs", two,
			fresh),
		PROMISE("eight programs, and all readers: each answer to whom it belongs", eight,
			fresh),
		PROMISE("one of many is killed, again and again: the others go on",
			killed_among_many, fresh),
	};

	return run_promises(tests);
}
