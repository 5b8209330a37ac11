// SPDX-License-Identifier: GPL-2.0-only
/*
 * Errors that do not end a stream: the policy of recovery, a new start, what is told of
 * what was lost, and the driver's own control requests while a device does not answer.
 */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>

#include "listener.h"
#include "requests.h"

static unsigned char buf[1 << 16];

static int get_recovery(int fd, struct mydev_recovery *r)
{
	memset(r, 0, sizeof(*r));
	r->size = sizeof(*r);
	return ioctl(fd, MYDEV_IOC_GET_RECOVERY, r) ? errno : 0;
}

static int set_recovery(int fd, struct mydev_recovery r)
{
	r.size = sizeof(r);
	return ioctl(fd, MYDEV_IOC_SET_RECOVERY, &r) ? errno : 0;
}

static int restart(int fd)
{
	struct mydev_select s = { .size = sizeof(s) };

	return ioctl(fd, MYDEV_IOC_RESTART, &s) ? errno : 0;
}

static void use_policy(int fd, uint32_t clear_halt)
{
	struct mydev_recovery r;

	assert_int_equal(get_recovery(fd, &r), 0);
	r.clear_halt = clear_halt;
	assert_int_equal(set_recovery(fd, r), 0);
}

static void use_tries(int fd, uint32_t tries, uint32_t delay_ms, uint32_t max_delay_ms)
{
	struct mydev_recovery r;

	assert_int_equal(get_recovery(fd, &r), 0);
	r.tries = tries;
	r.delay_ms = delay_ms;
	r.max_delay_ms = max_delay_ms;
	assert_int_equal(set_recovery(fd, r), 0);
}

/* The oldest transfer of an endpoint ends with this. */
static void fail_one(struct peer *p, uint8_t endpoint, int32_t status)
{
	struct peer_urb *urb = peer_take(p, endpoint);

	assert_non_null(urb);
	assert_true(peer_give(p, urb, status, 0, NULL, 0));
}

/* A call in a process of its own, as it may not return. */
struct call {
	int fd;
	uint32_t number;
	int (*fn)(struct call *c);
	volatile int error;
	volatile double begin;
	volatile double end; /* 0 as long as it has not ended */
};

static int do_call(void *arg)
{
	struct call *c = arg;

	c->begin = now();
	c->error = c->fn(c);
	c->end = now();
	return 0;
}

static pid_t begin_call(struct call *c, int (*fn)(struct call *c), int fd, uint32_t number)
{
	pid_t pid;

	*c = (struct call){ .fd = fd, .fn = fn, .number = number };
	pid = spawn(do_call, c);
	await(c->begin);
	return pid;
}

static int call_fsync(struct call *c)
{
	return fsync(c->fd) ? errno : 0;
}

static int call_clear_halt(struct call *c)
{
	return clear_halt(c->fd, c->number);
}

static int call_alternate(struct call *c)
{
	return set_alternate(c->fd, c->number);
}

static int call_read(struct call *c)
{
	return read(c->fd, buf, sizeof(buf)) < 0 ? errno : 0;
}

static int fsync_of(int fd)
{
	struct call *c = shared_memory(sizeof(*c));

	assert_int_equal(reap(begin_call(c, call_fsync, fd, 0), 20), 0);
	return c->error;
}

static void close_all(int fd)
{
	close(fd);
	await(sysfs_number("in_flight") == 0);
	unplug_peer();
}

/* --- when a halt is cleared ------------------------------------------------- */

/* IN and OUT end with @status: so many clear halts follow, and both go on. */
static void clears(uint32_t policy, int32_t status, unsigned int expected)
{
	struct peer *p = plug_peer(NULL);
	struct listener l;
	int out = node_open(O_WRONLY);

	use_policy(out, policy);
	listen_to(&l, node_open(O_RDWR), MYDEV_MODE_PACKET);
	send_in(p, 1, 700);
	hears(&l, 1, 700);
	await_ring(p, l.fd);
	fail_one(p, PEER_IN, status);
	await_ring(p, l.fd);
	send_in(p, 2, 500);
	hears_error(&l, status);
	hears(&l, 2, 500);
	assert_int_equal(peer_count(p, PEER_COUNT_CLEAR_HALT), expected);
	assert_int_equal(stats_of(l.fd).errors, 1);
	assert_int_equal(stats_of(l.fd).stalls, status == -EPIPE ? expected : 0);

	write_out(out, 3, 900);
	fail_one(p, PEER_OUT, status);
	assert_int_equal(fsync_of(out), status == -EPIPE ? EPIPE : EIO);
	write_out(out, 4, 1100);
	take_out(p, 4, 1100);
	assert_int_equal(fsync_of(out), 0);
	assert_int_equal(peer_count(p, PEER_COUNT_CLEAR_HALT), 2 * expected);
	assert_int_equal(stats_of(out).send_errors, 1);
	close(out);
	listener_close(&l);
	await(sysfs_number("in_flight") == 0);
	unplug_peer();
}

TEST(clears_halted)
{
	struct mydev_recovery r;
	struct peer *p = plug_peer(NULL);
	int fd = node_open(O_RDONLY);

	(void)p;
	assert_int_equal(get_recovery(fd, &r), 0);
	assert_int_equal(r.clear_halt, MYDEV_CLEAR_HALTED);
	close_all(fd);
	clears(MYDEV_CLEAR_HALTED, -EPROTO, 0);
	clears(MYDEV_CLEAR_HALTED, -EILSEQ, 0);
	clears(MYDEV_CLEAR_HALTED, -EPIPE, 1);
}

TEST(clears_after_error)
{
	clears(MYDEV_CLEAR_ERROR, -EPROTO, 1);
	clears(MYDEV_CLEAR_ERROR, -EPIPE, 1);
}

TEST(clears_never)
{
	struct peer *p;
	int fd;

	clears(MYDEV_CLEAR_NEVER, -EPROTO, 0);
	clears(MYDEV_CLEAR_NEVER, -EPIPE, 0);
	/* By hand it is done. */
	p = plug_peer(NULL);
	fd = node_open(O_RDWR);
	use_policy(fd, MYDEV_CLEAR_NEVER);
	ask(fd);
	await_ring(p, fd);
	fail_one(p, PEER_IN, -EPIPE);
	await_ring(p, fd);
	assert_int_equal(clear_halt(fd, PEER_IN), 0);
	assert_int_equal(peer_count(p, PEER_COUNT_CLEAR_HALT), 1);
	assert_int_equal(stats_of(fd).stalls, 1);
	close_all(fd);
}

/* What is set while a halt that cannot be cleared is tried again, holds at once. */
TEST(policy_changes)
{
	struct peer *p = plug_peer(NULL);
	int fd = node_open(O_RDWR);

	use_tries(fd, 0, 1, 5);
	ask(fd);
	await_ring(p, fd);
	peer_set_answer(p, USB_REQ_CLEAR_FEATURE, -EPIPE);
	fail_one(p, PEER_IN, -EPIPE);
	assert_true(peer_await_count(p, PEER_COUNT_CLEAR_HALT, 20));
	use_policy(fd, MYDEV_CLEAR_NEVER);
	await_ring(p, fd);
	send_in(p, 1, 600);
	take_in(fd, 1, 600);
	assert_int_equal(stats_of(fd).errors, 1);
	close_all(fd);
}

/* --- clear halts that fail ---------------------------------------------------- */

/* The device refuses, or says nothing, and it was no halt. */
static void clear_fails(int answer)
{
	struct peer *p = plug_peer(NULL);
	int log = log_open(), fd = node_open(O_RDWR);
	struct mydev_stats s;

	printf("# CLEAR_FEATURE is answered with %d\n", answer);
	use_policy(fd, MYDEV_CLEAR_ERROR);
	peer_set_answer(p, USB_REQ_CLEAR_FEATURE, answer);
	ask(fd);
	for (unsigned int i = 1; i <= 2; i++) {
		await_ring(p, fd);
		fail_one(p, PEER_IN, -EPROTO);
		await_ring(p, fd);
		assert_int_equal(peer_count(p, PEER_COUNT_CLEAR_HALT), i);
		send_in(p, i, 300 + i);
		take_in(fd, i, 300 + i);
	}
	s = stats_of(fd);
	assert_int_equal(s.errors, 2);
	assert_int_equal(s.stalls, 0);
	assert_int_equal(s.state, MYDEV_STATE_RUNNING);
	for (unsigned int i = 1; i <= 2; i++) {
		write_out(fd, i, 800 + i);
		fail_one(p, PEER_OUT, -EPROTO);
		assert_int_equal(fsync_of(fd), EIO);
		write_out(fd, 10 + i, 800 + i);
		take_out(p, 10 + i, 800 + i);
		assert_int_equal(fsync_of(fd), 0);
		assert_int_equal(peer_count(p, PEER_COUNT_CLEAR_HALT), 2 + i);
	}
	assert_int_equal(stats_of(fd).send_errors, 2);
	assert_int_equal(log_lines(log, "cannot clear the halt"), 2);
	close(log);
	close_all(fd);
}

TEST(clear_refused)
{
	clear_fails(-EPIPE);
	clear_fails(-EPROTO);
}

TEST(clear_unanswered)
{
	clear_fails(PEER_IS_SILENT);
}

/* After a halt it is needed, and the tries end. */
TEST(halt_stays)
{
	struct peer *p = plug_peer(NULL);
	int fd = node_open(O_RDWR), log = log_open();

	use_tries(fd, 3, 1, 1);
	peer_set_answer(p, USB_REQ_CLEAR_FEATURE, -EPIPE);
	ask(fd);
	await_ring(p, fd);
	fail_one(p, PEER_IN, -EPIPE);
	await(stats_of(fd).state == MYDEV_STATE_FAILED);
	assert_errno(read(fd, buf, 1), EIO);
	assert_int_equal(peer_count(p, PEER_COUNT_CLEAR_HALT), 3);
	assert_int_equal(stats_of(fd).errors, 1);
	assert_int_equal(log_lines(log, "cannot clear the halt"), 1);
	close(log);
	/* It has come to its senses. */
	peer_set_answer(p, USB_REQ_CLEAR_FEATURE, PEER_ANSWERS);
	assert_int_equal(restart(fd), 0);
	send_in(p, 1, 600);
	take_in(fd, 1, 600);
	assert_int_equal(peer_count(p, PEER_COUNT_CLEAR_HALT), 4);
	assert_int_equal(stats_of(fd).stalls, 1);
	close_all(fd);
}

/* --- tries -------------------------------------------------------------------- */

TEST(tries_bounded)
{
	static const unsigned int tries[] = { 1, 2, 5 };

	for (unsigned int i = 0; i < 3; i++) {
		struct peer *p = plug_peer(NULL);
		struct listener l;
		int out = node_open(O_WRONLY);

		use_tries(out, tries[i], 1, 3);
		listen_to(&l, node_open(O_RDWR), MYDEV_MODE_PACKET);
		/* A good transfer in between, and all begin anew. */
		for (unsigned int n = 0; n < 2; n++) {
			for (unsigned int k = 0; k < tries[i]; k++) {
				await_ring(p, l.fd);
				fail_one(p, PEER_IN, -EPROTO);
			}
			await_ring(p, l.fd);
			send_in(p, n, 100);
			/* One event for all of them. */
			hears_error(&l, -EPROTO);
			hears(&l, n, 100);
		}
		for (unsigned int k = 0; k <= tries[i]; k++) {
			await_ring(p, l.fd);
			assert_int_equal(stats_of(l.fd).state, MYDEV_STATE_RUNNING);
			fail_one(p, PEER_IN, -EPROTO);
		}
		await(stats_of(l.fd).state == MYDEV_STATE_FAILED);
		hears_the_end(&l, EIO);
		assert_int_equal(stats_of(l.fd).errors, 3 * tries[i] + 1);
		assert_int_equal(peer_waiting(p, PEER_IN), 0);
		listener_close(&l);
		close(out);
		unplug_peer();
	}
}

TEST(tries_unbounded)
{
	struct peer *p = plug_peer(NULL);
	int fd = node_open(O_RDWR), log = log_open();

	use_tries(fd, 0, 1, 2);
	ask(fd);
	for (unsigned int i = 0; i < 60; i++) {
		await_ring(p, fd);
		fail_one(p, PEER_IN, i % 2 ? -EPROTO : -EPIPE);
	}
	await_ring(p, fd);
	send_in(p, 1, 600);
	take_in(fd, 1, 600);
	assert_int_equal(stats_of(fd).errors, 60);
	assert_in_range(log_lines(log, ""), 0, 10);
	close(log);
	close_all(fd);
}

/* The first try comes at once, the second after the time, the third after twice that. */
TEST(times_between)
{
	struct peer *p = plug_peer(NULL);
	int fd = node_open(O_RDWR);
	double begin, took[4];

	use_tries(fd, 0, 200, 400);
	ask(fd);
	for (unsigned int i = 0; i < 4; i++) {
		await_ring(p, fd);
		begin = now();
		fail_one(p, PEER_IN, -EPROTO);
		await(stats_of(fd).errors || stats_of(fd).state == MYDEV_STATE_RECOVERING ||
		      peer_waiting(p, PEER_IN) == info_of(fd).transfers);
		await_ring(p, fd);
		took[i] = now() - begin;
		printf("# try %u after %.2f s\n", i + 1, took[i]);
	}
	assert_true(took[1] > 0.19);
	assert_true(took[2] > 0.39);
	assert_true(took[3] > 0.39);
	close_all(fd);
}

/* Who does not want to wait for a try has it at once. */
static bool restart_hurries(void **state)
{
	struct peer *p = plug_peer(NULL);
	int fd = node_open(O_RDWR);
	double begin;

	(void)state;
	use_tries(fd, 5, 60000, 60000);
	ask(fd);
	await_ring(p, fd);
	fail_one(p, PEER_IN, -EPROTO);
	await_ring(p, fd);
	fail_one(p, PEER_IN, -EPROTO);
	await(stats_of(fd).state == MYDEV_STATE_RECOVERING);
	begin = now();
	assert_int_equal(restart(fd), 0);
	send_in(p, 1, 600);
	take_in(fd, 1, 600);
	begin = now() - begin;
	close_all(fd);
	return begin < 5;
}

TEST(restart_between)
{
	holds_once(restart_hurries, fresh_peer, state);
}

/* --- a new start ---------------------------------------------------------------- */

TEST(restart_for_all)
{
	static const unsigned int modes[] = { MYDEV_MODE_STREAM, MYDEV_MODE_PACKET,
					      MYDEV_MODE_RING };
	struct peer *p = plug_peer(NULL);
	int fd = node_open(O_WRONLY), late;
	struct mydev_stats s;
	struct listener l[3];

	use_tries(fd, 1, 1, 1);
	for (unsigned int i = 0; i < 3; i++)
		listen_to(&l[i], node_open(O_RDWR), modes[i]);
	for (unsigned int round = 0; round < 5; round++) {
		send_in(p, 10 * round, 3000);
		for (unsigned int i = 0; i < 3; i++)
			hears(&l[i], 10 * round, 3000);
		for (unsigned int k = 0; k < 2; k++) {
			await_ring(p, l[0].fd);
			fail_one(p, PEER_IN, -EPROTO);
		}
		for (unsigned int i = 0; i < 3; i++)
			hears_the_end(&l[i], EIO);
		assert_true(state_is("failed"));
		late = node_open(O_RDONLY);
		assert_errno(read(late, buf, 1), EIO);
		close(late);
		assert_int_equal(restart(fd), 0);
		assert_false(state_is("failed"));
		for (unsigned int i = 0; i < 3; i++)
			listen_on(&l[i]);
		/* The error is told before what comes next. */
		await_ring(p, l[0].fd);
		for (unsigned int i = 0; i < 3; i++)
			hears_error(&l[i], -EPROTO);
		send_in(p, 10 * round + 1, 5000);
		for (unsigned int i = 0; i < 3; i++)
			hears(&l[i], 10 * round + 1, 5000);
	}
	for (unsigned int i = 0; i < 3; i++) {
		s = stats_of(l[i].fd);
		assert_true(identity_holds(&s));
		assert_int_equal(s.client_lost_packets, 0);
		assert_int_equal(s.errors, 10);
	}
	close(fd);
	for (unsigned int i = 0; i < 3; i++)
		listener_close(&l[i]);
	await(sysfs_number("in_flight") == 0);
	unplug_peer();
}

/* Bytes that came with the error are there, and a client that fell behind has its gap. */
TEST(restart_tells_loss)
{
	struct peer *p = plug_peer(NULL);
	int fd = node_open(O_RDWR), slow = node_open(O_RDONLY | O_NONBLOCK);
	struct peer_urb *urb;
	struct mydev_stats s;

	use_tries(fd, 1, 1, 1);
	configure(slow, .policy = MYDEV_POLICY_DROP_OLDEST, .queue_depth = 2);
	ask(slow);
	ask(fd);
	await_ring(p, fd);
	urb = peer_take(p, PEER_IN);
	assert_non_null(urb);
	fill(buf, 1, 512);
	assert_true(peer_give(p, urb, -EPROTO, 512, buf, 512));
	await_ring(p, fd);
	fail_one(p, PEER_IN, -EPROTO);
	await(stats_of(fd).state == MYDEV_STATE_FAILED);
	take_in(fd, 1, 512);
	assert_errno(read(fd, buf, 1), EIO);
	assert_int_equal(restart(fd), 0);
	for (unsigned int i = 2; i < 8; i++) {
		send_in(p, i, 400 + i);
		take_in(fd, i, 400 + i);
	}
	s = stats_of(slow);
	assert_true(identity_holds(&s));
	assert_int_equal(s.client_packets, 7);
	assert_errno(read(slow, buf, sizeof(buf)), ENOBUFS);
	s = stats_of(slow);
	assert_true(s.client_lost_packets >= 4);
	take_in(slow, 6, 406);
	take_in(slow, 7, 407);
	s = stats_of(fd);
	assert_int_equal(s.client_lost_packets, 0);
	close(slow);
	close_all(fd);
}

TEST(restart_allowed)
{
	struct mydev_select s = { .size = sizeof(s), .value = 1 };
	struct peer *p = plug_peer(NULL);
	int fd = node_open(O_RDWR), reader = node_open(O_RDONLY), other = node_open(O_WRONLY);
	struct mydev_recovery r;

	(void)p;
	assert_int_equal(restart(fd), 0);
	assert_int_equal(restart(reader), EBADF);
	assert_errno(ioctl(fd, MYDEV_IOC_RESTART, &s), EINVAL);
	assert_int_equal(lease(other, MYDEV_LEASE_ACQUIRE, 0), 0);
	assert_int_equal(restart(fd), EBUSY);
	assert_int_equal(get_recovery(fd, &r), 0);
	assert_int_equal(set_recovery(fd, r), EBUSY);
	assert_int_equal(set_recovery(other, r), 0);
	assert_int_equal(restart(other), 0);
	assert_int_equal(lease(other, MYDEV_LEASE_RELEASE, 0), 0);
	/* Nothing of that has started anything. */
	assert_true(state_is("idle"));
	assert_int_equal(revoke_client(other, 0), 0);
	assert_int_equal(restart(other), ESTALE);
	assert_int_equal(set_recovery(other, r), ESTALE);
	unplug_peer();
	assert_int_equal(restart(fd), ENODEV);
	assert_int_equal(set_recovery(fd, r), ENODEV);
	assert_int_equal(get_recovery(fd, &r), 0);
	close(other);
	close(reader);
	close(fd);
}

/* --- settings -------------------------------------------------------------------- */

TEST(settings)
{
	static const struct {
		struct mydev_recovery r;
		int error;
	} cases[] = {
		{ { .clear_halt = 0, .tries = 1, .delay_ms = 1, .max_delay_ms = 1 }, 0 },
		{ { .clear_halt = 2, .tries = ~0U, .delay_ms = 60000, .max_delay_ms = 60000 }, 0 },
		{ { .clear_halt = 1, .tries = 0, .delay_ms = 7, .max_delay_ms = 8000 }, 0 },
		{ { .clear_halt = 3, .tries = 1, .delay_ms = 1, .max_delay_ms = 1 }, EOPNOTSUPP },
		{ { .clear_halt = 0, .tries = 1, .delay_ms = 0, .max_delay_ms = 1 }, ERANGE },
		{ { .clear_halt = 0, .tries = 1, .delay_ms = 3, .max_delay_ms = 2 }, ERANGE },
		{ { .clear_halt = 0, .tries = 1, .delay_ms = 1, .max_delay_ms = 60001 }, ERANGE },
		{ { .clear_halt = 0, .delay_ms = 1, .max_delay_ms = 1, .reserved = 1 }, EINVAL },
	};
	static const char *const names[] = { "halt", "error", "never" };
	struct mydev_recovery r, was;
	struct peer *p = plug_peer(NULL);
	int fd = node_open(O_RDWR), reader = node_open(O_RDONLY);

	(void)p;
	assert_int_equal(get_recovery(reader, &was), 0);
	assert_int_equal(was.tries, 8);
	assert_int_equal(was.delay_ms, 10);
	assert_int_equal(was.max_delay_ms, 640);
	assert_int_equal(set_recovery(reader, was), EBADF);
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(set_recovery(fd, cases[i].r), cases[i].error);
		if (!cases[i].error)
			was = cases[i].r;
		assert_int_equal(get_recovery(reader, &r), 0);
		assert_int_equal(r.size, sizeof(r));
		assert_int_equal(r.clear_halt, was.clear_halt);
		assert_int_equal(r.tries, was.tries);
		assert_int_equal(r.delay_ms, was.delay_ms);
		assert_int_equal(r.max_delay_ms, was.max_delay_ms);
		assert_string_equal(sysfs("recovery/clear_halt"), names[was.clear_halt]);
		assert_int_equal(sysfs_number("recovery/tries"), was.tries);
		assert_int_equal(sysfs_number("recovery/delay_ms"), was.delay_ms);
		assert_int_equal(sysfs_number("recovery/max_delay_ms"), was.max_delay_ms);
	}
	assert_int_equal(sysfs_write("recovery/clear_halt", "error"), 0);
	assert_int_equal(sysfs_write("recovery/clear_halt", "sometimes"), EINVAL);
	assert_int_equal(sysfs_write("recovery/max_delay_ms", "900"), 0);
	assert_int_equal(sysfs_write("recovery/delay_ms", "901"), ERANGE);
	assert_int_equal(sysfs_write("recovery/delay_ms", "899"), 0);
	assert_int_equal(sysfs_write("recovery/tries", "many"), EINVAL);
	assert_int_equal(sysfs_write("recovery/tries", "3"), 0);
	assert_int_equal(get_recovery(reader, &r), 0);
	assert_int_equal(r.clear_halt, MYDEV_CLEAR_ERROR);
	assert_int_equal(r.tries, 3);
	assert_int_equal(r.delay_ms, 899);
	assert_int_equal(r.max_delay_ms, 900);
	assert_true(info_of(fd).features & MYDEV_FEATURE_RECOVERY);
	close(reader);
	close(fd);
	unplug_peer();
}

/* --- what the last one has left ---------------------------------------------------- */

/* A process that has the last descriptor, and closes it. */
struct last {
	int fd;
	int go; /* a pipe */
};

static int close_last(void *arg)
{
	struct last *last = arg;
	char c;

	if (read(last->go, &c, 1) != 1)
		return 1;
	close(last->fd);
	return 0;
}

/* The transfer that is taken back by that has @bytes of message @number. */
static void cut_last_close(struct peer *p, int fd, unsigned int number, size_t bytes)
{
	unsigned int unlinks = peer_count(p, PEER_COUNT_UNLINKS);
	struct last *last = shared_memory(sizeof(*last));
	struct peer_urb *urb;
	int ends[2];
	pid_t pid;

	peer_set_unlinks(p, PEER_UNLINKS_HOLD);
	pipe_open(ends);
	*last = (struct last){ .fd = fd, .go = ends[0] };
	pid = spawn(close_last, last);
	close(fd);
	assert_int_equal(write(ends[1], "", 1), 1);
	assert_true(peer_await_count(p, PEER_COUNT_UNLINKS, unlinks + 1));
	urb = peer_take(p, PEER_IN);
	assert_non_null(urb);
	fill(buf, number, bytes);
	peer_give(p, urb, 0, bytes, buf, bytes);
	peer_set_unlinks(p, PEER_UNLINKS_ANSWER);
	assert_int_equal(reap(pid, 20), 0);
	close(ends[0]);
	close(ends[1]);
	await(sysfs_number("in_flight") == 0);
}

TEST(left_by_last)
{
	unsigned int mode = mode_of(state);
	struct peer *p = plug_peer(NULL);
	int fd = node_open(O_RDWR), watch = node_open(O_WRONLY);
	struct mydev_ring_entry event;
	struct ring_next next;
	struct mydev_stats s;
	struct listener l;
	uint32_t full;

	ask(fd);
	send_in(p, 1, 700);
	take_in(fd, 1, 700);
	send_in(p, 2, 900);
	await_queued(fd, 1);
	/* A part of it is read. */
	assert_int_equal(read(fd, buf, 250), 250);
	assert_int_equal(stats_of(watch).unread_bytes, 0);
	/* One that is full: its message goes on. */
	full = info_of(fd).transfer_size;
	cut_last_close(p, fd, 3, full);

	s = stats_of(watch);
	assert_int_equal(s.bytes, 700 + 900 + full);
	assert_int_equal(s.unread_packets, 2);
	assert_int_equal(s.unread_bytes, 650 + full);
	assert_int_equal(sysfs_number("stats/unread_packets"), 2);
	assert_int_equal(sysfs_number("stats/unread_bytes"), 650 + full);

	/* Somebody who comes and never asks changes nothing. */
	close(node_open(O_RDONLY));
	fd = node_open(O_RDWR);
	s = stats_of(fd);
	/* Where its first byte is. */
	assert_int_equal(s.bytes - s.client_queued_bytes, 700 + 900 + full);
	listen_to(&l, fd, mode);
	if (mode == MYDEV_MODE_RING) {
		await(ring_peek(&l.ring, &next));
		event = next.entry;
		assert_int_equal(event.type, MYDEV_RECORD_EVENT);
		assert_int_equal(event.bytes, 700 + 900 + full);
	}
	hears_event(&l, MYDEV_EVENT_TORN, 0);
	await_ring(p, fd);
	send_in(p, 4, 600);
	hears(&l, 4, 600);
	assert_int_equal(stats_of(fd).client_lost_packets, 0);
	assert_int_equal(stats_of(fd).unread_bytes, 650 + full);
	listener_close(&l);
	await(sysfs_number("in_flight") == 0);

	/* It has ended with a whole message, and nothing is told. */
	assert_int_equal(stats_of(watch).unread_bytes, 650 + full);
	listen_to(&l, node_open(O_RDWR), mode);
	await_ring(p, l.fd);
	send_in(p, 5, 500);
	hears(&l, 5, 500);
	listener_close(&l);
	close_all(watch);
}

/* Several that go one after the other without a start: it is counted once. */
TEST(left_by_several)
{
	struct peer *p = plug_peer(NULL);
	int first = node_open(O_RDWR), second = node_open(O_RDWR), watch = node_open(O_WRONLY);
	struct listener l;

	ask(first);
	ask(second);
	await_ring(p, first);
	send_in(p, 1, 800);
	await_queued(second, 1);
	take_in(second, 1, 800);
	close(first);
	assert_int_equal(stats_of(watch).unread_bytes, 0);
	send_in(p, 2, 300);
	await_queued(second, 1);
	close(second);
	await(sysfs_number("in_flight") == 0);
	assert_int_equal(stats_of(watch).unread_bytes, 300);
	assert_int_equal(stats_of(watch).unread_packets, 1);
	/* It was a whole message, so the next one begins with one. */
	listen_to(&l, node_open(O_RDWR), MYDEV_MODE_PACKET);
	await_ring(p, l.fd);
	send_in(p, 3, 400);
	hears(&l, 3, 400);
	assert_int_equal(stats_of(watch).unread_bytes, 300);
	listener_close(&l);
	await(sysfs_number("in_flight") == 0);

	/* And here a message goes on that somebody has read the beginning of. */
	first = node_open(O_RDONLY);
	ask(first);
	await_ring(p, first);
	send_in(p, 4, info_of(first).transfer_size);
	take_in(first, 4, info_of(first).transfer_size);
	close(first);
	await(sysfs_number("in_flight") == 0);
	assert_int_equal(stats_of(watch).unread_bytes, 300);
	listen_to(&l, node_open(O_RDWR), MYDEV_MODE_PACKET);
	hears_event(&l, MYDEV_EVENT_TORN, 0);
	listener_close(&l);
	close_all(watch);
}

/* --- an unplug is no error ------------------------------------------------------------ */

TEST(unplug_counts_nothing)
{
	for (unsigned int i = 0; i < 4; i++) {
		struct peer *p = plug_peer(NULL);
		int fd = node_open(O_RDONLY);
		unsigned int transfers;
		double begin;

		ask(fd);
		await_ring(p, fd);
		transfers = peer_waiting(p, PEER_IN);
		send_in(p, 1, 500);
		take_in(fd, 1, 500);
		await_ring(p, fd);
		begin = now();
		/* As a device that is pulled out: errors, tries that fail, and the end. */
		for (unsigned int k = 0; k < 1 + i * transfers / 3; k++) {
			struct peer_urb *urb = peer_take_nowait(p, PEER_IN);

			if (urb)
				peer_give(p, urb, -EPROTO, 0, NULL, 0);
		}
		unplug_peer();
		if (now() - begin < 0.8)
			assert_int_equal(stats_of(fd).errors, 0);
		assert_errno(read(fd, buf, 1), ENODEV);
		close(fd);
	}
}

/* Without an unplug they are counted, also where nothing comes afterwards. */
TEST(quiet_counts_error)
{
	struct peer *p = plug_peer(NULL);
	int fd = node_open(O_RDONLY);

	ask(fd);
	await_ring(p, fd);
	fail_one(p, PEER_IN, -EPROTO);
	await_ring(p, fd);
	await(stats_of(fd).errors == 1);
	assert_int_equal(sysfs_number("stats/errors"), 1);
	unplug_peer();
	assert_int_equal(stats_of(fd).errors, 1);
	close(fd);
}

/* --- the driver's own requests ---------------------------------------------------------- */

static struct peer_device two_settings(void)
{
	struct peer_device d = { .speed = USB_SPEED_HIGH };

	peer_defaults(&d);
	d.settings = 2;
	d.setting[1] = d.setting[0];
	return d;
}

enum asks {
	ASKS_RECOVERY,
	ASKS_SENDING,
	ASKS_CLEAR_HALT,
	ASKS_ALTERNATE,
};

/* The device vanishes at a point of a request: everybody has ENODEV at once. */
static bool vanish_at(enum asks asks, int answer)
{
	struct call *reader = shared_memory(sizeof(*reader)), *caller = NULL;
	struct peer_device d = two_settings();
	struct peer *p = plug_peer(&d);
	int fd = node_open(O_RDWR), in = node_open(O_RDONLY), out = node_open(O_WRONLY);
	int log = log_open();
	unsigned int control;
	double begin, end;

	begin_call(reader, call_read, in, 0);
	await_ring(p, fd);
	peer_set_answer(p, USB_REQ_CLEAR_FEATURE, answer);
	peer_set_answer(p, USB_REQ_SET_INTERFACE, answer);
	control = peer_count(p, PEER_COUNT_CONTROL);
	begin = now();
	if (asks != ASKS_RECOVERY)
		caller = shared_memory(sizeof(*caller));
	switch (asks) {
	case ASKS_RECOVERY:
		fail_one(p, PEER_IN, -EPIPE);
		break;
	case ASKS_SENDING:
		write_out(fd, 1, 600);
		/* What somebody else has written waits for the clear halt. */
		write_out(out, 2, 600);
		fail_one(p, PEER_OUT, -EPIPE);
		begin_call(caller, call_fsync, out, 0);
		break;
	case ASKS_CLEAR_HALT:
		begin_call(caller, call_clear_halt, fd, PEER_IN);
		break;
	case ASKS_ALTERNATE:
		begin_call(caller, call_alternate, fd, 1);
		break;
	}
	assert_true(peer_count(p, PEER_COUNT_CONTROL) > control || peer_hung_up(p) ||
		    peer_await_count(p, PEER_COUNT_CONTROL, control + 1));
	if (answer == PEER_IS_SILENT || answer == PEER_ANSWERS)
		begin = now();
	unplug_peer();
	await(reader->end && (!caller || caller->end));
	end = reader->end;
	if (caller && caller->end > end)
		end = caller->end;
	printf("# request %d, answer %d: ended after %.2f s, with %s%s%s\n", asks, answer,
	       end - begin, strerror(reader->error), caller ? " and " : "",
	       caller ? strerror(caller->error) : "");
	assert_int_equal(reader->error, ENODEV);
	/* What cannot be sent may be refused before it is known why. */
	if (caller && answer != PEER_VANISHES_AFTER &&
	    !(asks == ASKS_SENDING && caller->error == EIO))
		assert_int_equal(caller->error, ENODEV);
	assert_int_equal(log_lines(log, "not given back"), 0);
	close(log);
	close(out);
	close(in);
	close(fd);
	return end - begin < (asks == ASKS_ALTERNATE && answer == PEER_VANISHES_AFTER ? 6 : 2);
}

static bool vanish_everywhere(void **state)
{
	static const int answers[] = { PEER_IS_SILENT, PEER_VANISHES, PEER_VANISHES_AMID,
				       PEER_VANISHES_AFTER };
	bool good = true;

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		for (unsigned int asks = ASKS_RECOVERY; asks <= ASKS_ALTERNATE; asks++)
			good &= vanish_at(asks, answers[i]);
	}
	return good;
}

TEST(vanishes)
{
	holds_once(vanish_everywhere, fresh_peer, state);
}

/* Somebody who comes, and goes; and one who reads what was there before. */
struct visit {
	int fd;
	volatile int error;
	volatile double open;
	volatile double read;
	volatile double close;
};

static int come_and_go(void *arg)
{
	struct visit *v = arg;
	double begin = now();
	int fd = open(node, O_RDWR | O_CLOEXEC);

	v->error = fd < 0 ? errno : 0;
	v->open = now() - begin;
	begin = now();
	if (v->fd >= 0 && read(v->fd, buf, 100) != 100)
		v->error = errno;
	v->read = now() - begin;
	begin = now();
	close(fd);
	if (v->fd >= 0)
		close(v->fd);
	v->close = now() - begin;
	return 0;
}

/* Has nobody had to wait? */
static bool others_are_free(int fd)
{
	struct visit *v = shared_memory(sizeof(*v));

	v->fd = fd;
	assert_int_equal(reap(spawn(come_and_go, v), 20), 0);
	assert_int_equal(v->error, 0);
	printf("# open() took %.2f s, read() %.2f s, close() %.2f s\n", v->open, v->read, v->close);
	return v->open < 0.5 && v->read < 0.5 && v->close < 0.5;
}

static bool kill_in(struct call *c, enum peer_counter counter, int answer)
{
	struct peer_device d = two_settings();
	struct peer *p = plug_peer(&d);
	int fd = node_open(O_RDWR), has = node_open(O_RDONLY);
	bool free_before, alternate = counter == PEER_COUNT_SET_INTERFACE;
	unsigned int count;
	double begin, took;
	struct listener l;
	pid_t pid;

	listen_to(&l, node_open(O_RDWR), MYDEV_MODE_PACKET);
	ask(has);
	send_in(p, 1, 100);
	hears(&l, 1, 100);
	await_ring(p, fd);
	count = peer_count(p, counter);
	peer_set_answer(p, USB_REQ_CLEAR_FEATURE, PEER_IS_SILENT);
	peer_set_answer(p, USB_REQ_SET_INTERFACE, PEER_IS_SILENT);
	pid = begin_call(c, alternate ? call_alternate : call_clear_halt, fd,
			 alternate ? 1 : PEER_IN);
	assert_true(peer_await_count(p, counter, count + 1));
	free_before = others_are_free(has);
	peer_set_answer(p, USB_REQ_CLEAR_FEATURE, answer);
	peer_set_answer(p, USB_REQ_SET_INTERFACE, answer);
	begin = now();
	kill(pid, SIGKILL);
	assert_int_equal(reap(pid, 20), 128 + SIGKILL);
	took = now() - begin;
	printf("# it was gone %.2f s after its SIGKILL\n", took);
	close(has);

	/* And the others go on, with nothing lost. */
	if (alternate)
		hears_event(&l, MYDEV_EVENT_RESET, 0);
	await_ring(p, fd);
	send_in(p, 2, 700);
	hears(&l, 2, 700);
	if (alternate)
		assert_int_equal(info_of(fd).alternate_setting, 0);
	listener_close(&l);
	close_all(fd);
	return free_before && took < 1.5;
}

static bool kill_in_clear_halt(void **state)
{
	(void)state;
	return kill_in(shared_memory(sizeof(struct call)), PEER_COUNT_CLEAR_HALT, PEER_ANSWERS);
}

TEST(killed_in_clear_halt)
{
	holds_once(kill_in_clear_halt, fresh_peer, state);
}

static bool kill_in_alternate(void **state)
{
	(void)state;
	return kill_in(shared_memory(sizeof(struct call)), PEER_COUNT_SET_INTERFACE, PEER_ANSWERS);
}

TEST(killed_in_alternate)
{
	holds_once(kill_in_alternate, fresh_peer, state);
}

/* Where it does not come back either, it is reset. */
static bool kill_in_silence(void **state)
{
	(void)state;
	return kill_in(shared_memory(sizeof(struct call)), PEER_COUNT_SET_INTERFACE,
		       PEER_IS_SILENT);
}

TEST(killed_in_silence)
{
	holds_once(kill_in_silence, fresh_peer, state);
}

/* Nobody kills it: it takes a second, and the device keeps its setting. */
static bool alternate_in_silence(void **state)
{
	struct peer_device d = two_settings();
	struct peer *p = plug_peer(&d);
	int fd = node_open(O_RDWR), error;
	double begin;

	(void)state;
	ask(fd);
	await_ring(p, fd);
	write_out(fd, 9, 100);
	assert_true(peer_await_waiting(p, PEER_OUT, 1));
	peer_set_answer(p, USB_REQ_SET_INTERFACE, -EPROTO);
	error = set_alternate(fd, 1);
	assert_int_equal(error, EIO);
	/* What was being sent is not sent any more, and said so. */
	assert_int_equal(fsync_of(fd), EIO);
	peer_set_answer(p, USB_REQ_SET_INTERFACE, PEER_ANSWERS);
	await_ring(p, fd);
	peer_set_answer(p, USB_REQ_SET_INTERFACE, PEER_IS_SILENT);
	begin = now();
	assert_int_equal(set_alternate(fd, 1), ETIMEDOUT);
	begin = now() - begin;
	printf("# it took %.2f s\n", begin);
	peer_set_answer(p, USB_REQ_SET_INTERFACE, PEER_ANSWERS);
	await_ring(p, fd);
	assert_int_equal(set_alternate(fd, 1), 0);
	assert_int_equal(info_of(fd).alternate_setting, 1);
	await_ring(p, fd);
	send_in(p, 1, 600);
	take_in(fd, 1, 600);
	close_all(fd);
	return begin < 3;
}

TEST(alternate_unanswered)
{
	holds_once(alternate_in_silence, fresh_peer, state);
}

/* The last close ends a clear halt that nobody needs any more. */
static bool close_in_silence(void **state)
{
	struct peer *p = plug_peer(NULL);
	int fd = node_open(O_RDONLY);
	double begin;

	(void)state;
	peer_set_answer(p, USB_REQ_CLEAR_FEATURE, PEER_IS_SILENT);
	ask(fd);
	await_ring(p, fd);
	fail_one(p, PEER_IN, -EPIPE);
	assert_true(peer_await_count(p, PEER_COUNT_CLEAR_HALT, 1));
	peer_set_answer(p, USB_REQ_CLEAR_FEATURE, PEER_ANSWERS);
	begin = now();
	close(fd);
	fd = node_open(O_RDONLY);
	ask(fd);
	await_ring(p, fd);
	begin = now() - begin;
	printf("# it took %.2f s\n", begin);
	/* And the halt was not forgotten. */
	assert_int_equal(peer_count(p, PEER_COUNT_CLEAR_HALT), 2);
	assert_int_equal(stats_of(fd).stalls, 1);
	send_in(p, 1, 600);
	take_in(fd, 1, 600);
	close_all(fd);
	return begin < 0.6;
}

TEST(closed_in_silence)
{
	holds_once(close_in_silence, fresh_peer, state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("by default a halt is cleared after a stall, and after no other error",
			clears_halted, fresh_peer),
		PROMISE("after any error, where that is wanted", clears_after_error, fresh_peer),
		PROMISE("never, where that is wanted, but by hand", clears_never, fresh_peer),
		PROMISE("another policy holds from the next try on", policy_changes, fresh_peer),
		PROMISE("what was no halt and cannot be cleared goes on, said once, not counted",
			clear_refused, fresh_peer),
		PROMISE("the same where the device says nothing", clear_unanswered, fresh_peer),
		PROMISE("a halt that stays ends the stream, as one error; a restart clears it",
			halt_stays, fresh_peer),
		PROMISE("so many tries, a good transfer begins anew, and then EIO", tries_bounded,
			fresh_peer),
		PROMISE("tries without end, and the log stays short", tries_unbounded, fresh_peer),
		PROMISE("the times between tries, and that they double up to a limit",
			times_between, fresh_peer),
		PROMISE("restart: who waits for a try has it at once", restart_between, fresh_peer),
		PROMISE("restart: all readers go on where they were, told of the error",
			restart_for_all, fresh_peer),
		PROMISE("restart: what came with the error is there, what was lost is told",
			restart_tells_loss, fresh_peer),
		PROMISE("restart and policy: for those who may write, unless there is a lease",
			restart_allowed, fresh_peer),
		PROMISE("the policy by ioctl and by sysfs, and its limits", settings, fresh_peer),
		PROMISE_MODE(stream, "what the last one left is counted, and where one begins",
			     left_by_last),
		PROMISE_MODE(packet, "what the last one left is counted, and told", left_by_last),
		PROMISE_MODE(ring, "what the last one left is counted, and told", left_by_last),
		PROMISE("only what the last one left counts, and once", left_by_several,
			fresh_peer),
		PROMISE("errors at the beginning of an unplug are not counted",
			unplug_counts_nothing, fresh_peer),
		PROMISE("others are, also where nothing comes afterwards", quiet_counts_error,
			fresh_peer),
		PROMISE("vanishes at any point of a control request: ENODEV, at once", vanishes,
			fresh_peer),
		PROMISE("killed in CLEAR_HALT of a silent device: gone; others do not wait",
			killed_in_clear_halt, fresh_peer),
		PROMISE("killed in SET_ALTERNATE of a silent device: gone; others do not wait",
			killed_in_alternate, fresh_peer),
		PROMISE("killed in SET_ALTERNATE of a device that stays silent: it is reset",
			killed_in_silence, fresh_peer),
		PROMISE("SET_ALTERNATE unanswered: ETIMEDOUT in time, the old setting stays",
			alternate_unanswered, fresh_peer),
		PROMISE("the last close ends a clear halt of a silent device", closed_in_silence,
			fresh_peer),
	};

	return run_peer_promises(tests);
}
