// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device that does not keep to what USB promises: it says that it has sent more
 * than there was room for, ends transfers as only the host may, does not answer.
 */
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>

#include "listener.h"
#include "requests.h"

/* A number and a status that no host controller would have. */
struct lie {
	int32_t status;
	uint32_t actual;
};

#define MIB (1U << 20)

static unsigned char buf[1 << 16];

/* --- honest --------------------------------------------------------------- */

/* Remembers what it is given, and gives it back. */
struct memory {
	unsigned char data[256];
	size_t length;
};

static int control_memory(struct peer *p, struct peer_urb *urb)
{
	struct memory *m = peer_context(p);

	if ((urb->setup.bRequestType & USB_TYPE_MASK) != USB_TYPE_VENDOR)
		return 0;
	if (urb->in) {
		peer_give(p, urb, 0, m->length, m->data, m->length);
	} else {
		m->length = urb->length;
		memcpy(m->data, urb->data, m->length);
		peer_give(p, urb, 0, urb->length, NULL, 0);
	}
	return 1;
}

TEST(honest)
{
	struct memory memory = { .length = 0 };
	struct peer_device d = { .control = control_memory, .context = &memory };
	struct peer *p = plug_peer(&d);
	int one = node_open(O_RDWR), two = node_open(O_RDONLY), error;
	unsigned char data[100], back[100] = "";

	ask(one);
	for (unsigned int i = 0; i < 100; i++) {
		send_in(p, i, 1 + i * 37);
		take_in(one, i, 1 + i * 37);
		take_in(two, i, 1 + i * 37);
	}
	for (unsigned int i = 0; i < 20; i++)
		write_out(one, i, 1 + i * 97);
	for (unsigned int i = 0; i < 20; i++)
		take_out(p, i, 1 + i * 97);
	assert_return_code(fsync(one), errno);

	fill(data, 1, sizeof(data));
	assert_int_equal(control_out(one, 1, 0, data, sizeof(data), PATIENT), 0);
	assert_int_equal(control_in(one, 1, 0, back, sizeof(back), PATIENT), 0);
	assert_memory_equal(data, back, sizeof(data));

	await_ring(p, one);
	unplug_peer();
	assert_errno(read(one, buf, 1), ENODEV);
	assert_errno(read(two, buf, 1), ENODEV);
	assert_errno(write(one, buf, 1), ENODEV);
	error = control_in(one, 1, 0, back, sizeof(back), PATIENT);
	assert_int_equal(error, ENODEV);
}

/* At super speed, by way of one that has two settings. */
TEST(honest_settings)
{
	struct peer_device d = { .speed = USB_SPEED_SUPER, .serial = "two settings" };
	struct peer *p;
	int fd;

	peer_defaults(&d);
	d.settings = 2;
	d.setting[1] = (struct peer_setting){
		.endpoints = 1,
		.endpoint = { { 0x83, USB_ENDPOINT_XFER_BULK, 1024, 0, false } },
	};
	p = plug_peer(&d);
	fd = node_open(O_RDWR);
	assert_int_equal(info_of(fd).speed, MYDEV_SPEED_SUPER);
	ask(fd);
	send_in(p, 1, 5000);
	take_in(fd, 1, 5000);
	assert_int_equal(set_alternate(fd, 1), 0);
	assert_true(peer_count(p, PEER_COUNT_SET_INTERFACE));
	fill(buf, 2, 3000);
	assert_true(peer_send(p, 0x83, buf, 3000));
	take_in(fd, 2, 3000);
	assert_int_equal(set_alternate(fd, 2), ERANGE);
	assert_int_equal(set_alternate(fd, 0), 0);
	send_in(p, 3, 100);
	take_in(fd, 3, 100);
	close(fd);
	await(sysfs_number("in_flight") == 0);
	assert_int_equal(peer_waiting(p, PEER_IN), 0);
	unplug_peer();
}

/* Ends the oldest transfer of an endpoint like this, without a byte behind it. */
static void tell(struct peer *p, uint8_t endpoint, struct lie lie)
{
	struct peer_urb *urb = peer_take(p, endpoint);

	assert_non_null(urb);
	assert_true(peer_give(p, urb, lie.status, lie.actual, NULL, 0));
}

/* --- IN ------------------------------------------------------------------- */

/* Of those vhci-hcd stays connected; see peer.h. */
static const struct lie too_long[] = {
	{ 0, 0xffffffff }, { 0, 0x80000000 },       { 0, 0x80000200 }, { 0, 0xfffffe00 },
	{ 0, 0xffff8000 }, { -EPROTO, 0xffffffff }, { 0, 0x80000001 },
};

/* After those it has hung up. Transfers of the ring are of 16 KiB. */
static const struct lie far_too_long[] = {
	{ 0, 4 * 16384 },
	{ 0, 16385 },
	{ 0, 64 * MIB },
	{ 0, 0x7fffffff },
};

static void in_too_long(void **state)
{
	struct peer *p = plug_peer(NULL);
	int fd = node_open(O_RDWR);
	struct mydev_stats before, after;
	struct listener l;

	listen_to(&l, fd, mode_of(state));
	for (unsigned int i = 0; i < sizeof(too_long) / sizeof(too_long[0]); i++) {
		await_ring(p, fd);
		before = stats_of(fd);
		send_in(p, 2 * i, 700 + i);
		hears(&l, 2 * i, 700 + i);
		tell(p, PEER_IN, too_long[i]);
		await(stats_of(fd).errors > before.errors);
		hears_error(&l, -EPROTO);
		await_ring(p, fd);
		send_in(p, 2 * i + 1, 900 + i);
		hears(&l, 2 * i + 1, 900 + i);
		after = stats_of(fd);
		assert_int_equal(after.bytes, before.bytes + 1600 + 2 * i);
		assert_int_equal(after.packets, before.packets + 2);
		assert_int_equal(after.errors, before.errors + 1);
		assert_int_equal(after.client_lost_packets, 0);
	}
	listener_close(&l);
	await(sysfs_number("in_flight") == 0);
	unplug_peer();
}

static void in_far_too_long(void **state)
{
	for (unsigned int i = 0; i < sizeof(far_too_long) / sizeof(far_too_long[0]); i++) {
		struct peer *p = plug_peer(NULL);
		int fd = node_open(O_RDWR);
		struct mydev_stats before, after;
		struct listener l;

		assert_int_equal(info_of(fd).transfer_size, 16384);
		listen_to(&l, fd, mode_of(state));
		await_ring(p, fd);
		before = stats_of(fd);
		send_in(p, i, 700);
		hears(&l, i, 700);
		await_ring(p, fd);
		tell(p, PEER_IN, far_too_long[i]);
		hears_the_end(&l, ENODEV);
		after = stats_of(fd);
		assert_int_equal(after.bytes, before.bytes + 700);
		assert_int_equal(after.packets, before.packets + 1);
		assert_true(after.errors > before.errors);
		unplug_peer();
		listener_close(&l);
	}
}

/* What only the host may say, and what nobody may. */
static const int32_t in_statuses[] = {
	-ENOENT, -ECONNRESET, 5, -4096000, INT32_MAX, INT32_MIN, -ENODEV, -ESHUTDOWN,
};

TEST(in_status)
{
	struct peer *p = plug_peer(NULL);
	int fd = node_open(O_RDWR);
	struct listener l;

	listen_to(&l, fd, mode_of(state));
	for (unsigned int i = 0; i < sizeof(in_statuses) / sizeof(in_statuses[0]); i++) {
		struct lie lie = { .status = in_statuses[i] };
		struct mydev_stats before, after;

		printf("# status %d\n", lie.status);
		await_ring(p, fd);
		before = stats_of(fd);
		send_in(p, 2 * i, 500);
		hears(&l, 2 * i, 500);
		tell(p, PEER_IN, lie);
		await(stats_of(fd).errors > before.errors);
		hears_error(&l, -EPROTO);
		await_ring(p, fd);
		send_in(p, 2 * i + 1, 600);
		hears(&l, 2 * i + 1, 600);
		after = stats_of(fd);
		assert_int_equal(after.packets, before.packets + 2);
		assert_int_equal(after.client_lost_packets, 0);
	}
	listener_close(&l);
	await(sysfs_number("in_flight") == 0);
	unplug_peer();
}

/* --- exchanges ------------------------------------------------------------ */

#define ANSWER    4096
#define UNTOUCHED 0xa5

struct asking {
	int fd;
	int error;
	struct mydev_transact t;
	unsigned char question[100];
	unsigned char answer[ANSWER + 100];
};

static int ask_device(void *arg)
{
	struct asking *a = arg;

	a->t = (struct mydev_transact){
		.out_length = sizeof(a->question),
		.in_length = ANSWER,
		.timeout_ms = 30000,
		.out_data = (uintptr_t)a->question,
		.in_data = (uintptr_t)a->answer,
	};
	a->error = try_transact(a->fd, &a->t);
	return 0;
}

static pid_t begin_asking(struct asking *a, struct peer *p, int fd)
{
	pid_t pid;

	*a = (struct asking){ .fd = fd };
	fill(a->question, 1, sizeof(a->question));
	memset(a->answer, UNTOUCHED, sizeof(a->answer));
	pid = spawn(ask_device, a);
	take_out(p, 1, sizeof(a->question));
	return pid;
}

static void check_untouched(const unsigned char *data, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		if (data[i] != UNTOUCHED)
			fail_msg("byte %zu is %#x", i, data[i]);
	}
}

TEST(exchange_too_long)
{
	struct asking *a = shared_memory(sizeof(*a));
	struct peer *p = plug_peer(NULL);
	int fd = node_open(O_RDWR);

	ask(fd);
	for (unsigned int i = 0; i < sizeof(too_long) / sizeof(too_long[0]); i++) {
		uint64_t errors = stats_of(fd).errors;
		uint32_t got = 0;
		pid_t pid;

		await_ring(p, fd);
		pid = begin_asking(a, p, fd);
		/* The question was answered, which is told before what comes now. */
		await(stats_of(fd).client_unsent_bytes == 0);
		tell(p, PEER_IN, too_long[i]);
		await(stats_of(fd).errors > errors);
		await_ring(p, fd);
		send_in(p, 2, 300);
		assert_int_equal(reap(pid, 20), 0);
		if (!a->error) {
			got = a->t.actual;
			assert_int_equal(got, 300);
			assert_int_equal(a->t.flags, 0);
			check_bytes(a->answer, 2, got);
		}
		assert_int_equal(a->t.actual, got);
		check_untouched(a->answer, got, sizeof(a->answer));
	}
	close(fd);
	await(sysfs_number("in_flight") == 0);
	unplug_peer();
}

TEST(exchange_far_too_long)
{
	struct asking *a = shared_memory(sizeof(*a));

	for (unsigned int i = 0; i < sizeof(far_too_long) / sizeof(far_too_long[0]); i++) {
		struct peer *p = plug_peer(NULL);
		int fd = node_open(O_RDWR);
		pid_t pid;

		ask(fd);
		await_ring(p, fd);
		pid = begin_asking(a, p, fd);
		await(stats_of(fd).client_unsent_bytes == 0);
		tell(p, PEER_IN, far_too_long[i]);
		assert_int_equal(reap(pid, 20), 0);
		if (a->error != ENODEV && a->error != EIO)
			fail_msg("it ended with %s", a->error ? strerror(a->error) : "success");
		check_untouched(a->answer, 0, sizeof(a->answer));
		unplug_peer();
		close(fd);
	}
}

/* --- OUT ------------------------------------------------------------------ */

/* One call in a process of its own, as it may not return. */
struct call {
	int fd;
	volatile int error;
	volatile double begin;
	volatile double end; /* 0 as long as it has not ended */
};

static int do_fsync(void *arg)
{
	struct call *c = arg;

	c->begin = now();
	c->error = fsync(c->fd) ? errno : 0;
	c->end = now();
	return 0;
}

static pid_t begin_fsync(struct call *c, int fd)
{
	*c = (struct call){ .fd = fd };
	return spawn(do_fsync, c);
}

/* How it ends; fails if it does not. */
static int fsync_of(int fd)
{
	struct call *c = shared_memory(sizeof(*c));
	pid_t pid = begin_fsync(c, fd);

	assert_int_equal(reap(pid, 20), 0);
	return c->error;
}

static void check_sent(int fd)
{
	struct mydev_stats s = stats_of(fd);

	if (s.client_sent_bytes > s.client_written_bytes ||
	    s.client_unsent_bytes > s.client_written_bytes ||
	    s.client_failed_bytes > s.client_written_bytes ||
	    s.client_sent_bytes + s.client_failed_bytes + s.client_unsent_bytes !=
		    s.client_written_bytes)
		fail_msg("written %llu, sent %llu, failed %llu, unsent %llu",
			 s.client_written_bytes, s.client_sent_bytes, s.client_failed_bytes,
			 s.client_unsent_bytes);
}

static void out_refused(const struct lie *lies, unsigned int count)
{
	struct peer *p = plug_peer(NULL);
	int one = node_open(O_WRONLY), two = node_open(O_WRONLY);

	for (unsigned int i = 0; i < count; i++) {
		printf("# status %d, %u bytes\n", lies[i].status, lies[i].actual);
		write_out(one, 3 * i, 1000);
		write_out(two, 3 * i + 1, 2000);
		assert_true(peer_await_waiting(p, PEER_OUT, 2));
		tell(p, PEER_OUT, lies[i]);
		/* That of the other one goes on: as it was, or once more. */
		take_out(p, 3 * i + 1, 2000);
		assert_int_equal(fsync_of(one), EIO);
		check_sent(one);
		assert_int_equal(fsync_of(one), 0);
		assert_int_equal(fsync_of(two), 0);
		check_sent(two);
		write_out(one, 3 * i + 2, 3000);
		take_out(p, 3 * i + 2, 3000);
		assert_int_equal(fsync_of(one), 0);
		check_sent(one);
		assert_int_equal(stats_of(one).client_unsent_bytes, 0);
	}
	assert_int_equal(stats_of(two).client_sent_bytes, 2000 * count);
	close(one);
	close(two);
	unplug_peer();
}

TEST(out_too_long)
{
	static const struct lie lies[] = {
		{ 0, 1001 },       { 0, 4000 },       { 0, 64 * MIB },
		{ 0, 0xffffffff }, { 0, 0x80000000 }, { -EPROTO, 0xffffffff },
		{ 0, 10 },
	};

	out_refused(lies, sizeof(lies) / sizeof(lies[0]));
}

TEST(out_status)
{
	static const struct lie lies[] = {
		{ -ENOENT, 0 }, { -ECONNRESET, 0 }, { 5, 0 },         { -4096000, 0 },
		{ 5, 1000 },    { -ENOENT, 0 },     { INT32_MIN, 0 },
	};

	out_refused(lies, sizeof(lies) / sizeof(lies[0]));
}

/* As at an unplug, which does not come. */
TEST(out_shutdown)
{
	static const int32_t statuses[] = { -ESHUTDOWN, -ENODEV, -ESHUTDOWN };
	struct call *c = shared_memory(sizeof(*c));
	struct peer *p = plug_peer(NULL);
	int fd = node_open(O_WRONLY);
	pid_t pid;

	for (unsigned int i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		struct lie lie = { .status = statuses[i] };

		printf("# status %d\n", lie.status);
		write_out(fd, 2 * i, 1000);
		tell(p, PEER_OUT, lie);
		pid = begin_fsync(c, fd);
		/* It is sent once more, or the writer is told. */
		await_within(2, peer_waiting(p, PEER_OUT) || c->end);
		if (!c->end)
			take_out(p, 2 * i, 1000);
		assert_int_equal(reap(pid, 20), 0);
		if (c->error != EIO)
			assert_int_equal(c->error, 0);
		check_sent(fd);
		write_out(fd, 2 * i + 1, 1500);
		take_out(p, 2 * i + 1, 1500);
		assert_int_equal(fsync_of(fd), 0);
		check_sent(fd);
	}
	close(fd);
	unplug_peer();
}

/* --- control -------------------------------------------------------------- */

static int control_lie(struct peer *p, struct peer_urb *urb)
{
	const struct lie *lie = peer_context(p);

	if ((urb->setup.bRequestType & USB_TYPE_MASK) != USB_TYPE_VENDOR)
		return 0;
	peer_give(p, urb, lie->status, lie->actual, NULL, 0);
	return 1;
}

static int control_with(int fd, uint8_t direction, uint32_t length, uint32_t *actual)
{
	struct mydev_control c = {
		.request_type = direction | TO_INTERFACE,
		.request = 1,
		.length = length,
		.timeout_ms = PATIENT,
		.data = (uintptr_t)buf,
	};
	int error = try_control(fd, &c);

	*actual = c.actual;
	return error;
}

TEST(control_too_long)
{
	static const uint32_t lengths[] = { 64, 1, 4096, 65535 };
	static const uint32_t out[] = { 65, 4 * 64, 64 * MIB, 0x80000000, 0xffffffff };
	struct lie lie;
	struct peer_device d = { .control = control_lie, .context = &lie };
	uint32_t actual;
	int fd, error;

	plug_peer(&d);
	fd = node_open(O_RDWR);
	memset(buf, UNTOUCHED, sizeof(buf));
	for (unsigned int i = 0; i < sizeof(too_long) / sizeof(too_long[0]); i++) {
		lie = too_long[i];
		for (unsigned int k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++) {
			assert_int_equal(control_with(fd, USB_DIR_IN, lengths[k], &actual), EIO);
			assert_int_equal(actual, 0);
			check_untouched(buf, 0, sizeof(buf));
		}
	}
	/* Whether the device is there is not for the device to say. */
	for (unsigned int i = 0; i < 2; i++) {
		lie = (struct lie){ i ? -ENODEV : -EPERM, 0 };
		assert_int_equal(control_with(fd, USB_DIR_IN, 64, &actual), EIO);
	}
	/* Where nothing comes, it is at least not told that it did. */
	for (unsigned int i = 0; i < sizeof(out) / sizeof(out[0]); i++) {
		lie = (struct lie){ 0, out[i] };
		for (uint32_t length = 0; length <= 64; length += 64) {
			error = control_with(fd, USB_DIR_OUT, length, &actual);
			if (error && error != EIO)
				fail_msg("control OUT: %s", strerror(error));
			assert_in_range(actual, 0, error ? 0 : length);
		}
	}
	close(fd);
	unplug_peer();
}

TEST(control_far_too_long)
{
	static const uint32_t claims[] = { 65, 4096, 64 * MIB };
	struct lie lie;
	struct peer_device d = { .control = control_lie, .context = &lie };
	uint32_t actual;
	int fd, error;

	memset(buf, UNTOUCHED, sizeof(buf));
	for (unsigned int i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
		lie = (struct lie){ 0, claims[i] };
		plug_peer(&d);
		fd = node_open(O_RDWR);
		error = control_with(fd, USB_DIR_IN, 64, &actual);
		if (error != EIO && error != ENODEV)
			fail_msg("control IN: %s", error ? strerror(error) : "success");
		assert_int_equal(actual, 0);
		check_untouched(buf, 0, sizeof(buf));
		unplug_peer();
		close(fd);
	}
}

/* --- no answer ------------------------------------------------------------- */

/* Somebody who comes and goes meanwhile. */
struct visit {
	int flags;
	int error; /* of open() */
	double open;
	double close;
};

static int come_and_go(void *arg)
{
	struct visit *v = arg;
	double begin = now();
	int fd = open(node, v->flags | O_CLOEXEC);

	v->error = fd < 0 ? errno : 0;
	v->open = now() - begin;
	begin = now();
	if (fd >= 0)
		close(fd);
	v->close = now() - begin;
	return 0;
}

static struct visit visit(int flags)
{
	struct visit *v = shared_memory(sizeof(*v));

	v->flags = flags;
	assert_int_equal(reap(spawn(come_and_go, v), 40), 0);
	printf("# open() has taken %.2f s, close() %.2f s\n", v->open, v->close);
	return *v;
}

/* The halt is never cleared. */
static int control_keeps_halt(struct peer *p, struct peer_urb *urb)
{
	(void)p;
	return urb->setup.bRequestType == USB_RECIP_ENDPOINT &&
	       urb->setup.bRequest == USB_REQ_CLEAR_FEATURE;
}

static bool halt_in(void **state)
{
	struct peer_device d = { .control = control_keeps_halt };
	struct peer *p = plug_peer(&d);
	struct lie broken = { .status = -EPIPE };
	int fd = node_open(O_RDONLY);
	double begin, end;
	struct listener l;
	struct visit v;

	(void)state;
	listen_to(&l, fd, MYDEV_MODE_STREAM);
	send_in(p, 1, 1000);
	hears(&l, 1, 1000);
	await_ring(p, fd);
	tell(p, PEER_IN, broken);
	assert_true(peer_await_count(p, PEER_COUNT_CLEAR_HALT, 1));
	v = visit(O_RDWR);
	assert_int_equal(v.error, 0);
	begin = now();
	unplug_peer();
	await(l.heard->error);
	end = l.heard->when;
	hears_the_end(&l, ENODEV);
	printf("# read() has ended after %.2f s\n", end - begin);
	listener_close(&l);
	return v.open < 1 && v.close < 1 && end - begin < 2;
}

TEST(halt_of_in)
{
	holds_once(halt_in, fresh_peer, state);
}

static bool halt_out(void **state)
{
	struct call *first = shared_memory(sizeof(*first));
	struct call *second = shared_memory(sizeof(*second));
	struct peer_device d = { .control = control_keeps_halt };
	struct peer *p = plug_peer(&d);
	struct lie broken = { .status = -EPIPE };
	int one = node_open(O_WRONLY), two;
	double begin;
	struct visit v;

	(void)state;
	write_out(one, 1, 1000);
	tell(p, PEER_OUT, broken);
	assert_true(peer_await_count(p, PEER_COUNT_CLEAR_HALT, 1));
	v = visit(O_WRONLY);
	assert_int_equal(v.error, 0);
	two = node_open(O_WRONLY | O_NONBLOCK);
	write_out(two, 2, 1000);
	begin_fsync(first, one);
	begin_fsync(second, two);
	await(first->begin && second->begin);
	begin = now();
	unplug_peer();
	await(first->end && second->end);
	/* Its data was refused before that. */
	if (first->error != EPIPE)
		assert_int_equal(first->error, ENODEV);
	assert_int_equal(second->error, ENODEV);
	printf("# fsync() has ended after %.2f s and %.2f s\n", first->end - begin,
	       second->end - begin);
	close(one);
	close(two);
	return v.open < 1 && v.close < 1 && first->end - begin < 2 && second->end - begin < 2;
}

TEST(halt_of_out)
{
	holds_once(halt_out, fresh_peer, state);
}

/* Who has the only descriptor of a reader. */
struct last {
	int fd;
	int go; /* a pipe */
	volatile double begin;
	volatile double end;
};

static int close_last(void *arg)
{
	struct last *last = arg;
	char c;

	if (read(last->go, &c, 1) != 1)
		return 1;
	last->begin = now();
	close(last->fd);
	last->end = now();
	return 0;
}

/* In a process of its own, with a peer that holds unlinks from now on. */
static pid_t begin_last_close(struct last *last, struct peer *p, int fd)
{
	int pipe[2];
	pid_t pid;

	peer_set_unlinks(p, PEER_UNLINKS_HOLD);
	pipe_open(pipe);
	last->fd = fd;
	last->go = pipe[0];
	pid = spawn(close_last, last);
	close(fd);
	assert_int_equal(write(pipe[1], "", 1), 1);
	return pid;
}

static bool unlink_unanswered(void **state)
{
	struct last *last = shared_memory(sizeof(*last));
	struct peer *p = plug_peer(NULL);
	int fd = node_open(O_RDONLY), log = log_open();
	unsigned int unlinks;
	struct visit v;
	pid_t pid;

	(void)state;
	ask(fd);
	await_ring(p, fd);
	unlinks = peer_count(p, PEER_COUNT_UNLINKS);
	pid = begin_last_close(last, p, fd);
	assert_true(peer_await_count(p, PEER_COUNT_UNLINKS, unlinks + 1));
	v = visit(O_RDONLY);
	if (v.error)
		printf("# open(): %s\n", strerror(v.error));
	assert_int_equal(reap(pid, 20), 0);
	printf("# the last close() has taken %.2f s\n", last->end - last->begin);
	await(log_lines(log, "not given back"));

	/* An unplug while the kernel waits for them would hang usbcore as well. */
	peer_set_unlinks(p, PEER_UNLINKS_ANSWER);
	await(sysfs_number("in_flight") == 0);
	unplug_peer();
	close(log);

	/* The next one is as good as any. */
	p = plug_peer(NULL);
	fd = node_open(O_RDONLY);
	ask(fd);
	send_in(p, 1, 1000);
	take_in(fd, 1, 1000);
	close(fd);
	await(sysfs_number("in_flight") == 0);
	unplug_peer();
	/* And a second for a slow machine. */
	return v.open < 6 && last->end - last->begin < 6;
}

TEST(unanswered_unlink)
{
	holds_once(unlink_unanswered, fresh_peer, state);
}

/* --- endpoints that are not mended ------------------------------------------- */

/* How a device answers the first CLEAR_FEATURE; 1: not at all. */
static int control_mends_late(struct peer *p, struct peer_urb *urb)
{
	int32_t *status = peer_context(p);
	int32_t answer = *status;

	if (urb->setup.bRequestType != USB_RECIP_ENDPOINT ||
	    urb->setup.bRequest != USB_REQ_CLEAR_FEATURE || !answer)
		return 0;
	*status = 0;
	if (answer < 0)
		peer_give(p, urb, answer, 0, NULL, 0);
	return 1;
}

/*
 * Where nobody knows what the endpoint is at, nothing is sent to it: a device that has
 * done what it did not answer would throw the first packet away.
 */
TEST(not_mended)
{
	static const struct {
		int32_t answer;
		unsigned int requests; /* so many of them before the next data */
	} cases[] = {
		{ 1, 2 }, { -ENODEV, 2 }, { -EPERM, 2 }, { -EPROTO, 2 }, { -EPIPE, 1 },
	};
	struct lie broken = { .status = -EPIPE };

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int32_t status = cases[i].answer;
		struct peer_device d = { .control = control_mends_late, .context = &status };
		struct peer *p = plug_peer(&d);
		int fd = node_open(O_WRONLY), log = log_open();

		printf("# CLEAR_FEATURE is answered with %d\n", cases[i].answer);
		write_out(fd, 1, 1000);
		tell(p, PEER_OUT, broken);
		assert_int_equal(fsync_of(fd), EPIPE);
		/* What is written before has failed with that, too. */
		await(log_lines(log, "cannot clear the halt of the OUT endpoint"));
		close(log);
		write_out(fd, 2, 1500);
		take_out(p, 2, 1500);
		assert_int_equal(fsync_of(fd), 0);
		assert_int_equal(peer_count(p, PEER_COUNT_CLEAR_HALT), cases[i].requests);
		check_sent(fd);
		close(fd);
		unplug_peer();
	}
}

/* Somebody else has kept the ring wanted meanwhile. */
TEST(opened_later)
{
	int32_t status = 1;
	struct peer_device d = { .control = control_mends_late, .context = &status };
	struct peer *p = plug_peer(&d);
	struct lie broken = { .status = -EPIPE };
	struct listener early, late;

	listen_to(&early, node_open(O_RDWR), MYDEV_MODE_PACKET);
	await_ring(p, early.fd);
	tell(p, PEER_IN, broken);
	assert_true(peer_await_count(p, PEER_COUNT_CLEAR_HALT, 1));
	listen_to(&late, node_open(O_RDWR), MYDEV_MODE_PACKET);
	await_ring(p, early.fd);
	send_in(p, 1, 500);
	hears(&late, 1, 500);
	hears_error(&early, -EPIPE);
	hears(&early, 1, 500);
	listener_close(&early);
	listener_close(&late);
	await(sysfs_number("in_flight") == 0);
	unplug_peer();
}

/* --- stops --------------------------------------------------------------------- */

struct halting {
	int fd;
	uint32_t endpoint;
	volatile int error;
};

static int clears_halt(void *arg)
{
	struct halting *h = arg;

	h->error = clear_halt(h->fd, h->endpoint);
	return 0;
}

/* A transfer behind the one that is being taken back ends by itself. */
static void error_in_stop(int32_t status)
{
	struct halting *h = shared_memory(sizeof(*h));
	struct peer *p = plug_peer(NULL);
	struct peer_urb *first, *second;
	struct listener l;
	unsigned int unlinks;
	pid_t pid;

	listen_to(&l, node_open(O_RDWR), MYDEV_MODE_PACKET);
	await_ring(p, l.fd);
	unlinks = peer_count(p, PEER_COUNT_UNLINKS);
	peer_set_unlinks(p, PEER_UNLINKS_HOLD);
	h->fd = l.fd;
	h->endpoint = PEER_IN;
	pid = spawn(clears_halt, h);
	assert_true(peer_await_count(p, PEER_COUNT_UNLINKS, unlinks + 1));
	first = peer_take(p, PEER_IN);
	second = peer_take(p, PEER_IN);
	assert_non_null(first);
	assert_non_null(second);
	assert_true(peer_give(p, second, status, 0, NULL, 0));
	peer_give(p, first, 0, 0, NULL, 0);
	peer_set_unlinks(p, PEER_UNLINKS_ANSWER);
	assert_int_equal(reap(pid, 20), 0);
	assert_int_equal(h->error, 0);
	await_ring(p, l.fd);
	send_in(p, 1, 500);
	hears_error(&l, -EPROTO);
	hears(&l, 1, 500);
	assert_int_equal(stats_of(l.fd).errors, 1);
	listener_close(&l);
	await(sysfs_number("in_flight") == 0);
	unplug_peer();
}

TEST(errors_in_stops)
{
	error_in_stop(-EPROTO);
	/* Whether it goes is not for the device to say. */
	error_in_stop(-ENODEV);
}

/* Each of them is given back in time, and all together are not. */
static bool unlinks_are_slow(void **state)
{
	struct last *last = shared_memory(sizeof(*last));
	struct peer *p = plug_peer(NULL);
	int fd = node_open(O_RDONLY);
	unsigned int unlinks, nr = info_of(fd).transfers;
	double until;
	pid_t pid;

	(void)state;
	assert_in_range(nr, 12, 128);
	ask(fd);
	await_ring(p, fd);
	unlinks = peer_count(p, PEER_COUNT_UNLINKS);
	pid = begin_last_close(last, p, fd);
	while (peer_await_count(p, PEER_COUNT_UNLINKS, unlinks + 1) && !last->end) {
		until = now() + 0.7;
		while (now() < until && !last->end)
			nap();
		unlinks = peer_count(p, PEER_COUNT_UNLINKS);
		peer_set_unlinks(p, PEER_UNLINKS_ANSWER);
		peer_set_unlinks(p, PEER_UNLINKS_HOLD);
		if (peer_waiting(p, PEER_IN) == 0)
			break;
	}
	peer_set_unlinks(p, PEER_UNLINKS_ANSWER);
	assert_int_equal(reap(pid, 20), 0);
	printf("# the last close() has taken %.2f s\n", last->end - last->begin);
	await(sysfs_number("in_flight") == 0);
	unplug_peer();
	return last->end - last->begin < 6;
}

TEST(slow_unlinks)
{
	holds_once(unlinks_are_slow, fresh_peer, state);
}

/* The host controller may still be working on what it has not given back. */
TEST(halt_beside_lost)
{
	struct halting *h = shared_memory(sizeof(*h));
	struct peer *p = plug_peer(NULL);
	unsigned int requests;
	int fd = node_open(O_RDWR);

	ask(fd);
	await_ring(p, fd);
	write_out(fd, 1, 1000);
	assert_true(peer_await_waiting(p, PEER_OUT, 1));
	requests = peer_count(p, PEER_COUNT_CLEAR_HALT);
	for (unsigned int out = 0; out < 2; out++) {
		peer_set_unlinks(p, PEER_UNLINKS_HOLD);
		h->fd = fd;
		h->endpoint = out ? PEER_OUT : PEER_IN;
		assert_int_equal(reap(spawn(clears_halt, h), 20), 0);
		assert_int_equal(h->error, EIO);
		assert_int_equal(peer_count(p, PEER_COUNT_CLEAR_HALT), requests);
		peer_set_unlinks(p, PEER_UNLINKS_ANSWER);
		await_ring(p, fd);
	}
	take_out(p, 1, 1000);
	assert_int_equal(fsync_of(fd), 0);
	close(fd);
	await(sysfs_number("in_flight") == 0);
	unplug_peer();
}

/* Neither the answer to the driver's request nor the request itself comes back. */
TEST(request_lost)
{
	struct peer_device d = { .control = control_keeps_halt };
	struct halting *h = shared_memory(sizeof(*h));
	struct peer *p = plug_peer(&d);
	int fd = node_open(O_WRONLY), log = log_open();
	struct visit v;
	pid_t pid;

	peer_set_unlinks(p, PEER_UNLINKS_HOLD);
	h->fd = fd;
	h->endpoint = PEER_OUT;
	pid = spawn(clears_halt, h);
	assert_true(peer_await_count(p, PEER_COUNT_UNLINKS, 1));
	v = visit(O_WRONLY);
	assert_int_equal(v.error, 0);
	assert_int_equal(reap(pid, 20), 0);
	assert_int_equal(h->error, ETIMEDOUT);
	await(log_lines(log, "a control request was not given back"));
	close(log);
	/* Now it is; the module can go afterwards. */
	peer_set_unlinks(p, PEER_UNLINKS_ANSWER);
	close(fd);
	unplug_peer();
}

/* --- descriptors ---------------------------------------------------------- */

/* Those of a device as peer.h has it by default, and where they differ from that. */
struct absurd {
	const char *what;
	enum usb_device_speed speed;
	const struct peer_setting *setting;
	/* Bytes of the configuration; those at 0 and 1 stay what they are. */
	struct {
		unsigned int at;
		uint8_t value;
	} patch[4];
	int cut; /* bytes that are missing at its end */
	struct peer_bytes device;
	struct peer_bytes bos;
};

#define BULK_IN(_maxp)  { 0x81, USB_ENDPOINT_XFER_BULK, _maxp, 0, false }
#define BULK_OUT(_maxp) { 0x02, USB_ENDPOINT_XFER_BULK, _maxp, 0, false }
#define SETTING(...) \
	(&(const struct peer_setting){ sizeof((struct peer_endpoint[]){ __VA_ARGS__ }) / \
					       sizeof(struct peer_endpoint), \
				       { __VA_ARGS__ } })
#define BYTES(...) { (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }) }

/* Where things are in the configuration descriptor. */
#define CONFIG_TOTAL      2
#define CONFIG_INTERFACES 4
#define CONFIG_VALUE      5
#define INTERFACE         9
#define ENDPOINT          18

static const struct peer_setting no_endpoints;

static struct peer_setting many_endpoints(void)
{
	struct peer_setting s = { .endpoints = PEER_MAX_ENDPOINTS };

	for (unsigned int i = 0; i < PEER_MAX_ENDPOINTS; i++)
		s.endpoint[i] = (struct peer_endpoint){
			.address = (i / 2 + 1) | (i % 2 ? 0 : USB_DIR_IN),
			.attributes = i / 2 % 2 ? USB_ENDPOINT_XFER_INT : USB_ENDPOINT_XFER_BULK,
			.max_packet = 512,
			.interval = 4,
		};
	return s;
}

#define HIGH  USB_SPEED_HIGH
#define FULL  USB_SPEED_FULL
#define SUPER USB_SPEED_SUPER

/* A device descriptor with a packet size of endpoint 0, and so many configurations. */
#define DEVICE(_maxp0, _configs) \
	BYTES(18, 1, 0, 2, 0, 0, 0, _maxp0, 0x09, 0x12, 1, 0, 0, 0, 0, 0, 0, _configs)

static const struct absurd absurd[] = {
	{ "no endpoint", HIGH, &no_endpoints, .cut = 0 },
	{ "only OUT", HIGH, SETTING(BULK_OUT(512)), .cut = 0 },
	{ "only IN", HIGH, SETTING(BULK_IN(512)), .cut = 0 },
	{ "only interrupt", HIGH, SETTING({ 0x81, USB_ENDPOINT_XFER_INT, 64, 4, false }),
	  .cut = 0 },
	{ "only isochronous", HIGH, SETTING({ 0x81, USB_ENDPOINT_XFER_ISOC, 1024, 1, false }),
	  .cut = 0 },
	{ "only control", HIGH, SETTING({ 0x01, USB_ENDPOINT_XFER_CONTROL, 64, 0, false }),
	  .cut = 0 },
	{ "packets of 0", HIGH, SETTING(BULK_IN(0), BULK_OUT(0)), .cut = 0 },
	{ "packets of 0, IN", HIGH, SETTING(BULK_IN(0), BULK_OUT(512)), .cut = 0 },
	{ "packets of 1", HIGH, SETTING(BULK_IN(1), BULK_OUT(1)), .cut = 0 },
	{ "packets of 511", HIGH, SETTING(BULK_IN(511), BULK_OUT(511)), .cut = 0 },
	{ "packets of 1024", HIGH, SETTING(BULK_IN(1024), BULK_OUT(1024)), .cut = 0 },
	{ "packets of 2047", HIGH, SETTING(BULK_IN(2047), BULK_OUT(2047)), .cut = 0 },
	{ "packets of 65535", HIGH, SETTING(BULK_IN(65535), BULK_OUT(65535)), .cut = 0 },
	{ "three times 512", HIGH, SETTING(BULK_IN(0x1200), BULK_OUT(0x1200)), .cut = 0 },
	{ "three times 0", HIGH, SETTING(BULK_IN(0x1000), BULK_OUT(0x1800)), .cut = 0 },
	{ "full speed, packets of 0", FULL, SETTING(BULK_IN(0), BULK_OUT(0)), .cut = 0 },
	{ "full speed, packets of 1", FULL, SETTING(BULK_IN(1), BULK_OUT(1)), .cut = 0 },
	{ "full speed, packets of 65535", FULL, SETTING(BULK_IN(65535), BULK_OUT(65535)),
	  .cut = 0 },
	{ "super speed, packets of 0", SUPER, SETTING(BULK_IN(0), BULK_OUT(0)), .cut = 0 },
	{ "super speed, packets of 1", SUPER, SETTING(BULK_IN(1), BULK_OUT(1)), .cut = 0 },
	{ "super speed, packets of 65535", SUPER, SETTING(BULK_IN(65535), BULK_OUT(65535)),
	  .cut = 0 },
	{ "super speed, no companions", SUPER,
	  SETTING({ 0x81, USB_ENDPOINT_XFER_BULK, 1024, 0, true },
		  { 0x02, USB_ENDPOINT_XFER_BULK, 1024, 0, true }),
	  .cut = 0 },
	{ "super speed, bursts of 256 and all streams",
	  SUPER,
	  NULL,
	  { { ENDPOINT + 7 + 2, 255 }, { ENDPOINT + 7 + 3, 255 } },
	  .cut = 0 },
	{ "super speed, companion without length", SUPER, NULL, { { ENDPOINT + 7, 0 } }, .cut = 0 },
	{ "super speed, no BOS", SUPER, NULL, .bos = BYTES(0) },
	{ "super speed, BOS of 64 KiB", SUPER, NULL, .bos = BYTES(5, 15, 255, 255, 255) },
	{ "super speed, BOS of capabilities without length", SUPER, NULL,
	  .bos = BYTES(5, 15, 12, 0, 3, 0, 16, 3, 0, 0, 0, 0) },
	{ "an address twice", HIGH, SETTING(BULK_IN(512), BULK_IN(512), BULK_OUT(512)), .cut = 0 },
	{ "an address twice, as bulk and interrupt", HIGH,
	  SETTING({ 0x81, USB_ENDPOINT_XFER_INT, 64, 4, false }, BULK_IN(512)), .cut = 0 },
	{ "endpoint 0", HIGH,
	  SETTING({ 0x80, USB_ENDPOINT_XFER_BULK, 512, 0, false },
		  { 0x00, USB_ENDPOINT_XFER_BULK, 512, 0, false }),
	  .cut = 0 },
	{ "reserved bits of an address", HIGH,
	  SETTING({ 0xf1, USB_ENDPOINT_XFER_BULK, 512, 0, false },
		  { 0x72, USB_ENDPOINT_XFER_BULK, 512, 0, false }),
	  .cut = 0 },
	{ "reserved bits of attributes", HIGH, SETTING({ 0x81, 0xfe, 512, 255, false }), .cut = 0 },
	{ "255 endpoints, it says", HIGH, NULL, { { INTERFACE + 4, 255 } }, .cut = 0 },
	{ "0 endpoints, it says", HIGH, NULL, { { INTERFACE + 4, 0 } }, .cut = 0 },
	{ "alternate setting 255", HIGH, NULL, { { INTERFACE + 3, 255 } }, .cut = 0 },
	{ "interface 255", HIGH, NULL, { { INTERFACE + 2, 255 } }, .cut = 0 },
	{ "0 interfaces", HIGH, NULL, { { CONFIG_INTERFACES, 0 } }, .cut = 0 },
	{ "255 interfaces", HIGH, NULL, { { CONFIG_INTERFACES, 255 } }, .cut = 0 },
	{ "configuration 0", HIGH, NULL, { { CONFIG_VALUE, 0 } }, .cut = 0 },
	{ "a configuration of 9 bytes", HIGH, NULL, { { CONFIG_TOTAL, 9 } }, .cut = 0 },
	{ "a configuration of 0 bytes", HIGH, NULL, { { CONFIG_TOTAL, 0 } }, .cut = 0 },
	{ "a configuration of 64 KiB",
	  HIGH,
	  NULL,
	  { { CONFIG_TOTAL, 255 }, { CONFIG_TOTAL + 1, 255 } },
	  .cut = 0 },
	{ "an endpoint without length", HIGH, NULL, { { ENDPOINT, 0 } }, .cut = 0 },
	{ "an endpoint of 1 byte", HIGH, NULL, { { ENDPOINT, 1 } }, .cut = 0 },
	{ "an endpoint of 255 bytes", HIGH, NULL, { { ENDPOINT, 255 } }, .cut = 0 },
	{ "an interface of 2 bytes", HIGH, NULL, { { INTERFACE, 2 } }, .cut = 0 },
	{ "cut in an endpoint", HIGH, NULL, .cut = 3 },
	{ "cut behind an endpoint", HIGH, NULL, .cut = 7 },
	{ "cut in the first endpoint", HIGH, NULL, .cut = 12 },
	{ "cut in the interface", HIGH, NULL, .cut = 18 },
	{ "cut in the configuration", HIGH, NULL, .cut = 28 },
	{ "no configuration", HIGH, NULL, .device = DEVICE(64, 0) },
	{ "255 configurations", HIGH, NULL, .device = DEVICE(64, 255) },
	{ "endpoint 0 with packets of 0", HIGH, NULL, .device = DEVICE(0, 1) },
	{ "a device descriptor of 4 bytes", HIGH, NULL, .device = BYTES(4, 1, 0, 2) },
};

static unsigned int nodes; /* so many of them have got one */

/* Whatever the kernel makes of it: there is a node that works, or there is none. */
static void try_device(const struct peer_device *d)
{
	struct peer *p = plug_only(d);
	unsigned int last = 0, quiet = 0;
	bool reads = false;
	int fd;

	/* No event tells that there will be no node. */
	while (access(node, F_OK) && quiet < 100 && !peer_hung_up(p)) {
		unsigned int count = peer_count(p, PEER_COUNT_CONTROL);

		quiet = count && count == last ? quiet + 1 : 0;
		last = count;
		nap();
	}
	if (!access(node, F_OK)) {
		nodes++;
		await(!access(node, R_OK | W_OK));
		fd = open(node, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0) {
			assert_int_equal(read(fd, buf, sizeof(buf)), -1);
			/* So that something is in flight, or failed. */
			nap();
			stats_of(fd);
			reads = info_of(fd).features & MYDEV_FEATURE_READ;
			close(fd);
		}
		await(!reads || sysfs_number("in_flight") == 0);
	}
	unplug_peer();
}

static void try_absurd(const struct absurd *a)
{
	struct peer_device d = { .speed = a->speed };
	uint8_t config[PEER_MAX_CONFIG];
	size_t n;

	printf("# %s\n", a->what);
	if (a->setting) {
		d.settings = 1;
		d.setting[0] = *a->setting;
	}
	peer_defaults(&d);
	n = peer_make_config(&d, config);
	for (unsigned int i = 0; i < sizeof(a->patch) / sizeof(a->patch[0]); i++) {
		if (a->patch[i].at)
			config[a->patch[i].at] = a->patch[i].value;
	}
	d.config_descriptor = (struct peer_bytes){ config, n - a->cut };
	d.device_descriptor = a->device;
	d.bos_descriptor = a->bos;
	try_device(&d);
}

/*
 * An error of the bus has sending wait for a moment whether an unplug follows. Nobody's
 * data is given up for that, also not that of a program that has closed.
 */
TEST(closed_and_in_doubt)
{
	struct lie broken = { .status = -EPROTO };
	struct peer *p = plug_peer(NULL);
	int one = node_open(O_WRONLY), two = node_open(O_WRONLY), three = node_open(O_WRONLY);

	write_out(one, 1, 1000);
	write_out(two, 2, 2000);
	write_out(three, 3, 3000);
	assert_true(peer_await_waiting(p, PEER_OUT, 3));
	close(two);
	tell(p, PEER_OUT, broken);
	take_out(p, 2, 2000);
	take_out(p, 3, 3000);
	assert_int_equal(fsync_of(one), EIO);
	assert_int_equal(fsync_of(three), 0);
	close(one);
	close(three);
	unplug_peer();
}

struct busy {
	int fd;
	uint32_t endpoint;
	volatile uint64_t done;
};

static int clears_halts(void *arg)
{
	struct busy *b = arg;

	while (!clear_halt(b->fd, b->endpoint))
		b->done++;
	return errno;
}

static int reads_on(void *arg)
{
	struct busy *b = arg;

	while (read(b->fd, buf, 1000) > 0)
		b->done++;
	return errno;
}

static int writes_on(void *arg)
{
	struct busy *b = arg;

	while (write(b->fd, buf, 100) > 0)
		b->done++;
	return errno;
}

/* What a program gets done in some time, with a peer that answers at once. */
static uint64_t done_in(struct peer *p, const struct busy *b, double seconds)
{
	uint8_t endpoint = b->endpoint;
	uint64_t before = b->done;
	double end = now() + seconds;

	while (now() < end) {
		struct peer_urb *urb = peer_take_nowait(p, endpoint);

		if (urb)
			peer_give(p, urb, 0, 100, buf, endpoint == PEER_IN ? 100 : 0);
		else
			sched_yield();
	}
	return b->done - before;
}

/* Each of them stops the endpoint; in between it goes on. */
TEST(beside_cleared_halts)
{
	struct busy *b = shared_memory(4 * sizeof(*b));

	for (unsigned int out = 0; out < 2; out++) {
		struct peer *p = plug_peer(NULL);
		uint64_t alone, beside;
		pid_t pids[4];

		for (unsigned int i = 0; i < 4; i++) {
			b[i].fd = node_open(O_RDWR);
			b[i].endpoint = out ? PEER_OUT : PEER_IN;
			b[i].done = 0;
		}
		pids[0] = spawn(out ? writes_on : reads_on, &b[0]);
		alone = done_in(p, &b[0], 2);
		for (unsigned int i = 1; i < 4; i++)
			pids[i] = spawn(clears_halts, &b[i]);
		beside = done_in(p, &b[0], 4) / 2;
		print_message("# %s: %llu, beside three who clear halts %llu\n", out ? "OUT" : "IN",
			      (unsigned long long)alone, (unsigned long long)beside);
		for (unsigned int i = 0; i < 4; i++) {
			assert_return_code(kill(pids[i], SIGKILL), errno);
			assert_int_equal(reap(pids[i], PROMPT), 128 + SIGKILL);
			close(b[i].fd);
		}
		/* They got a thousandth where one stop overtook the start after another. */
		assert_true(beside > alone / 500);
		unplug_peer();
	}
	munmap(b, 4 * sizeof(*b));
}

TEST(absurd_descriptors)
{
	struct peer_setting many = many_endpoints();
	struct absurd thirty = { "30 endpoints", HIGH, &many, .cut = 0 };

	deadline(400);
	nodes = 0;
	for (unsigned int i = 0; i < sizeof(absurd) / sizeof(absurd[0]); i++)
		try_absurd(&absurd[i]);
	try_absurd(&thirty);
	printf("# there was a node for %u of %zu\n", nodes, sizeof(absurd) / sizeof(absurd[0]) + 1);
}

#define RANDOM_SETS 24

TEST(random_descriptors)
{
	uint64_t seed = test_seed();

	deadline(400);
	nodes = 0;
	for (unsigned int i = 0; i < RANDOM_SETS; i++) {
		struct peer_device d = { .speed = random_next(&seed) % 2 ? SUPER : HIGH };
		uint8_t config[PEER_MAX_CONFIG];
		size_t n;

		if (random_next(&seed) % 4 == 0) {
			d.settings = 2;
			d.setting[0] = many_endpoints();
			d.setting[1] = many_endpoints();
		}
		peer_defaults(&d);
		n = peer_make_config(&d, config);
		/* Behind its length, or else little of it would be looked at. */
		for (uint64_t k = random_next(&seed) % 4 + 1; k; k--)
			config[4 + random_next(&seed) % (n - 4)] = random_next(&seed);
		d.config_descriptor = (struct peer_bytes){ config, n };
		try_device(&d);
	}
	printf("# there was a node for %u of %d\n", nodes, RANDOM_SETS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("an honest peer: all bytes both ways, for all; ENODEV at the end", honest,
			fresh_peer),
		PROMISE("an honest peer at super speed, with two settings", honest_settings,
			fresh_peer),
		PROMISE_MODE(stream,
			     "IN of 2 GiB and more: an error, no byte of it, the stream goes on",
			     in_too_long),
		PROMISE_MODE(packet,
			     "IN of 2 GiB and more: an error, no byte of it, the stream goes on",
			     in_too_long),
		PROMISE_MODE(ring,
			     "IN of 2 GiB and more: an error, no byte of it, the stream goes on",
			     in_too_long),
		PROMISE_MODE(stream,
			     "IN longer than there was room for: no byte of it before the end",
			     in_far_too_long),
		PROMISE_MODE(packet,
			     "IN longer than there was room for: no byte of it before the end",
			     in_far_too_long),
		PROMISE_MODE(ring,
			     "IN longer than there was room for: no byte of it before the end",
			     in_far_too_long),
		PROMISE_MODE(stream, "IN ends as only the host may end it: the stream goes on",
			     in_status),
		PROMISE_MODE(packet, "IN ends as only the host may end it: the stream goes on",
			     in_status),
		PROMISE_MODE(ring, "IN ends as only the host may end it: the stream goes on",
			     in_status),
		PROMISE("an exchange whose answer is too long: an error, or an honest answer",
			exchange_too_long, fresh_peer),
		PROMISE("an exchange with such an answer, and the end: an error",
			exchange_far_too_long, fresh_peer),
		PROMISE("OUT that has taken more than was sent: EIO, and the next goes through",
			out_too_long, fresh_peer),
		PROMISE("OUT ends as only the host may end it: EIO, the next goes through",
			out_status, fresh_peer),
		PROMISE("OUT ends as if unplugged: sending goes on, nothing is lost unsaid",
			out_shutdown, fresh_peer),
		PROMISE("a control request with more data than it has room for: EIO",
			control_too_long, fresh_peer),
		PROMISE("a control request with so much that it is the end: an error",
			control_far_too_long, fresh_peer),
		PROMISE("a halt of IN that is never cleared holds up nobody else, nor the end",
			halt_of_in, fresh_peer),
		PROMISE("a halt of OUT that is never cleared holds up nobody else, nor the end",
			halt_of_out, fresh_peer),
		PROMISE("a transfer that is not given back does not hold up close() for ever",
			unanswered_unlink, fresh_peer),
		PROMISE("an error of the bus: what a closed program has left is sent",
			closed_and_in_doubt, fresh_peer),
		PROMISE("an OUT endpoint that was not mended gets nothing before it is", not_mended,
			fresh_peer),
		PROMISE("who opens after an error is not told of it", opened_later, fresh_peer),
		PROMISE("an error beside a stop is told", errors_in_stops, fresh_peer),
		PROMISE("transfers that come back slowly do not add up", slow_unlinks, fresh_peer),
		PROMISE("no halt is cleared beside a transfer that is lost", halt_beside_lost,
			fresh_peer),
		PROMISE("a control request that is lost holds up nobody for ever", request_lost,
			fresh_peer),
		PROMISE("programs that clear halts all the time leave data its way",
			beside_cleared_halts, fresh_peer),
		PROMISE("absurd descriptors are refused, or work", absurd_descriptors, fresh_peer),
		PROMISE("random descriptors are refused, or work", random_descriptors, fresh_peer),
	};

	return run_peer_promises(tests);
}
