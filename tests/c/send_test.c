// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sending: what a write() took arrives once, whole and in order, or its writer
 * is told; nobody else notices. tests/suites starts the simulated device with
 * --endpoints both --verify-out=messages.
 */
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "settings.h"

#define KIB     1024
#define WRITERS 6
#define BIG     (4 << 20)
#define WHO(_n) ((uint64_t)(_n) << SIM_WHO_SHIFT)
/* Messages end with a short packet: never a multiple of 1024. */
#define ODD(_n) ((_n) / KIB * KIB + 24 + (_n) % 1000)

static unsigned char buf[BIG];

/* The device halts its endpoint some time after it was told to. */
#define await_stalled() await(!strcmp(sim_text("out_state"), "stalled"))

/* Counter of the next message of each writer; the device begins at 0 as well. */
static uint64_t counters[WRITERS + 1];

static int fresh_send(void **state)
{
	fresh_defaults(state);
	sim_do("accept");
	sim_do("slow 0");
	sim_do("stall-out-always off");
	/* What earlier tests had on the way. */
	await(sysfs_number("clients") == 0);
	sim_do("verify-out messages");
	memset(counters, 0, sizeof(counters));
	return 0;
}

/* The next message of a writer, at @at. */
static size_t message(unsigned char *at, unsigned int who, size_t size)
{
	sim_fill(at, size, WHO(who) + counters[who]++);
	return size;
}

static void send_message(int fd, unsigned int who, size_t size)
{
	message(buf, who, size);
	assert_int_equal(write(fd, buf, size), size);
}

static bool sent_right(uint64_t messages)
{
	return sim_number("out_packets") == messages;
}

static void assert_good(void)
{
	/* "ok" is 0 errors: the device says what was wrong in words. */
	assert_string_equal(sim_text("out_error"), "ok");
}

static bool sending_adds_up(int fd)
{
	struct mydev_stats s = stats_of(fd);

	return s.client_written_bytes ==
	       s.client_sent_bytes + s.client_failed_bytes + s.client_unsent_bytes;
}

static bool polls(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return poll(&p, 1, 0) >= 0 && p.revents == events;
}

TEST(sizes)
{
	static const size_t sizes[] = { 24,    25,    511,   1023,   1025,   32767,  32769,
					65535, 65537, 99999, 262143, 524289, 1048575 };
	int fd = node_open(O_WRONLY);
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		send_message(fd, 1, sizes[i]);
		bytes += sizes[i];
	}
	assert_return_code(fsync(fd), errno);
	assert_int_equal(stats_of(fd).client_sent_bytes, bytes);
	assert_int_equal(stats_of(fd).client_unsent_bytes, 0);
	await(sent_right(sizeof(sizes) / sizeof(*sizes)));
	assert_good();
}

TEST(nothing)
{
	int fd = node_open(O_WRONLY);
	uint64_t transfers = sim_number("out_transfers");

	assert_int_equal(write(fd, buf, 0), 0);
	assert_return_code(fsync(fd), errno);
	assert_stays(sim_number("out_transfers") == transfers);
	assert_int_equal(stats_of(fd).client_written_bytes, 0);
}

struct writer {
	unsigned int who;
	unsigned int messages;
	size_t max;
};

static int write_messages(void *arg)
{
	struct writer *w = arg;
	int fd = open(node, O_WRONLY);
	uint64_t random = w->who * 7919;
	int ret = 0;

	if (fd < 0)
		return 2;
	for (unsigned int i = 0; !ret && i < w->messages; i++) {
		size_t size = ODD(random_next(&random) % w->max);

		message(buf, w->who, size);
		if (write(fd, buf, size) != (ssize_t)size)
			ret = 3;
	}
	if (!ret && fsync(fd))
		ret = 4;
	close(fd);
	return ret;
}

TEST(in_one_piece)
{
	struct writer w[WRITERS];
	unsigned int messages = slow_lane() ? 40 : 100;
	pid_t pids[WRITERS];

	for (unsigned int i = 0; i < WRITERS; i++) {
		w[i] = (struct writer){ i + 1, messages, i % 2 ? 300 * KIB : 3 * KIB };
		pids[i] = spawn(write_messages, &w[i]);
	}
	for (unsigned int i = 0; i < WRITERS; i++)
		assert_int_equal(reap(pids[i], 50), 0);
	await(sent_right(WRITERS * messages));
	assert_good();
	assert_int_equal(sim_number("out_writers"), WRITERS);
}

TEST(scattered)
{
	size_t size = 100 * KIB + 77, a = 3, b = 40 * KIB + 5;
	int fd = node_open(O_WRONLY), ends[2];
	struct iovec parts[3];
	ssize_t n;

	message(buf, 1, size);
	parts[0] = (struct iovec){ buf, a };
	parts[1] = (struct iovec){ buf + a, b };
	parts[2] = (struct iovec){ buf + a + b, size - a - b };
	assert_int_equal(writev(fd, parts, 3), size);

	/* A pipe's content is one message as far as it is there. */
	pipe_open(ends);
	message(buf, 1, 5000);
	assert_int_equal(write(ends[1], buf, 5000), 5000);
	for (size_t done = 0; done < 5000; done += n) {
		n = splice(ends[0], NULL, fd, NULL, 5000 - done, 0);
		assert_true(n > 0);
	}
	close(ends[0]);
	close(ends[1]);
	assert_return_code(fsync(fd), errno);
	await(sent_right(2));
	assert_good();
}

/* Fills the room with messages; how many bytes were taken. */
static uint64_t fill_up(int fd, unsigned int who, unsigned int *messages)
{
	size_t size = 10 * KIB + 7;
	uint64_t bytes = 0;
	ssize_t n;

	*messages = 0;
	for (;;) {
		message(buf, who, size);
		n = write(fd, buf, size);
		if (n < 0)
			break;
		assert_int_equal(n, size);
		bytes += n;
		(*messages)++;
	}
	counters[who]--;
	assert_int_equal(errno, EAGAIN);
	return bytes;
}

TEST(nonblocking)
{
	struct mydev_info info;
	struct epoll_event e = { .events = EPOLLOUT | EPOLLET };
	struct iovec part = { buf, 100 };
	int fd = node_open(O_WRONLY | O_NONBLOCK), ep = epoll_create1(0);
	unsigned int messages;
	uint64_t bytes;

	info = info_of(fd);
	sim_do("refuse");
	assert_true(polls(fd, POLLOUT));
	bytes = fill_up(fd, 1, &messages);
	assert_true(bytes <= info.send_room);
	/* Each message of this size has a part of the room to itself. */
	assert_int_equal(messages, info.send_room / info.send_size);
	assert_true(polls(fd, 0));
	assert_int_equal(pwritev2(fd, &part, 1, -1, RWF_NOWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(stats_of(fd).client_unsent_bytes, bytes);
	assert_true(sending_adds_up(fd));

	assert_return_code(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e), errno);
	assert_int_equal(epoll_wait(ep, &e, 1, 0), 0);
	sim_do("accept");
	assert_int_equal(epoll_wait(ep, &e, 1, 20000), 1);
	assert_int_equal(e.events, EPOLLOUT);
	assert_return_code(fsync(fd), errno);
	await(sent_right(messages));
	assert_good();
	assert_true(polls(fd, POLLOUT));
}

/* A loop asks for room only once it has none; the kernel asks for a place to wait before. */
TEST(room_asked_for_later)
{
	struct epoll_event e = { .events = EPOLLIN };
	int fd = node_open(O_RDWR | O_NONBLOCK), other = node_open(O_WRONLY | O_NONBLOCK);
	int ep = epoll_create1(0);
	unsigned int messages;

	assert_return_code(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e), errno);
	sim_do("refuse");
	/* Another one's transfers: nothing of its own ends. */
	fill_up(other, 1, &messages);
	e.events = EPOLLIN | EPOLLOUT;
	assert_return_code(epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e), errno);
	assert_int_equal(epoll_wait(ep, &e, 1, 0), 0);
	sim_do("accept");
	assert_int_equal(epoll_wait(ep, &e, 1, 20000), 1);
	assert_int_equal(e.events, EPOLLOUT);
	assert_return_code(fsync(other), errno);
	await(sent_right(messages));
	assert_good();
	close(ep);
}

/* A message that is longer than the room: what is taken ends at no short packet. */
TEST(nonblocking_in_parts)
{
	int fd = node_open(O_WRONLY | O_NONBLOCK);
	struct mydev_info info = info_of(fd);
	size_t size = SIM_MAX_PACKET - 1, done = 0;
	unsigned int parts = 0;

	sim_do("refuse");
	send_message(fd, 2, 300 * KIB + 1);
	message(buf, 1, size);
	while (done < size) {
		ssize_t n = write(fd, buf + done, size - done);

		if (n < 0) {
			assert_int_equal(errno, EAGAIN);
			sim_do("accept");
			poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 20000);
			continue;
		}
		done += n;
		parts++;
		assert_true(done == size || !(n % info.send_size));
	}
	assert_true(parts > 1);
	assert_return_code(fsync(fd), errno);
	await(sent_right(2));
	assert_good();
}

TEST(terminated)
{
	int fd = node_open(O_WRONLY), other = node_open(O_RDWR);
	uint64_t zeros = sim_number("out_zero_packets");
	struct mydev_config config = config_of(fd);

	assert_int_equal(config.flags, 0);
	config.flags = MYDEV_CONFIG_TERMINATE;
	assert_int_equal(try_config(fd, config), 0);
	assert_int_equal(config_of(fd).flags, MYDEV_CONFIG_TERMINATE);
	assert_int_equal(config_of(other).flags, 0);
	send_message(fd, 1, 2 * KIB);
	send_message(fd, 1, 32 * KIB);
	send_message(fd, 1, 64 * KIB);
	send_message(fd, 1, 100);
	assert_return_code(fsync(fd), errno);
	await(sim_number("out_zero_packets") == zeros + 3);
	await(sent_right(4));

	/* Without it the next write goes on with the message. */
	message(buf, 2, 3000);
	assert_int_equal(write(other, buf, 2048), 2048);
	assert_int_equal(write(other, buf + 2048, 3000 - 2048), 3000 - 2048);
	assert_return_code(fsync(other), errno);
	await(sent_right(5));
	assert_int_equal(sim_number("out_zero_packets"), zeros + 3);
	assert_good();
}

static int sync_writer(void *arg)
{
	return fsync(*(int *)arg) ? errno : 0;
}

TEST(sync_waits)
{
	int fd = node_open(O_WRONLY), other = node_open(O_WRONLY), reader = node_open(O_RDONLY);
	uint64_t bytes;
	pid_t pid;

	assert_return_code(fsync(fd), errno);
	assert_errno(fsync(reader), EBADF);
	sim_do("refuse");
	bytes = sim_number("out_bytes");
	send_message(fd, 1, 50 * KIB + 5);
	/* Others have nothing to wait for. */
	assert_return_code(fsync(other), errno);
	pid = spawn(sync_writer, &fd);
	await_sleeping(pid);
	assert_stays(stats_of(fd).client_unsent_bytes > 0);
	await_sleeping(pid);
	sim_do("accept");
	assert_int_equal(reap(pid, 20), 0);
	await(sim_number("out_bytes") == bytes + 50 * KIB + 5);
	assert_good();
}

static void on_signal(int sig)
{
	(void)sig;
}

static int interrupted_call(void *arg)
{
	const struct itimerval often = { { 0, 50000 }, { 0, 50000 } };
	struct sigaction sa = { .sa_handler = on_signal };
	int fd = *(int *)arg;

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	if (fsync(fd) != -1 || errno != EINTR)
		return 1;
	/* Until there is no room: then nothing is taken. */
	while (write(fd, buf, 40000) > 0)
		;
	return errno == EINTR ? 0 : 2;
}

TEST(interrupted)
{
	int fd = node_open(O_WRONLY);

	sim_do("verify-out off");
	sim_do("refuse");
	assert_int_equal(write(fd, buf, 1000), 1000);
	assert_int_equal(reap(spawn(interrupted_call, &fd), 20), 0);
	assert_true(stats_of(fd).client_unsent_bytes > 1000);
	sim_do("accept");
	assert_return_code(fsync(fd), errno);
}

TEST(stalled)
{
	int a = node_open(O_WRONLY), b = node_open(O_WRONLY);
	struct mydev_stats s;
	uint64_t errors = stats_of(a).send_errors;

	/* The device refuses what a has at the head; behind it b's wait. */
	sim_do("refuse");
	send_message(a, 1, 100 * KIB + 1);
	for (int i = 0; i < 6; i++)
		send_message(b, 2, 20 * KIB + 3);
	send_message(a, 1, 500);
	sim_do("stall-out");
	await_stalled();
	sim_do("accept");
	assert_errno(fsync(a), EPIPE);
	assert_return_code(fsync(a), errno);
	assert_return_code(fsync(b), errno);
	await(sent_right(6));
	assert_good();
	s = stats_of(a);
	assert_int_equal(s.send_errors, errors + 1);
	assert_int_equal(s.client_failed_bytes, 100 * KIB + 501);
	assert_int_equal(s.client_unsent_bytes, 0);
	assert_true(sending_adds_up(a) && sending_adds_up(b));
	assert_int_equal(stats_of(b).client_failed_bytes, 0);

	/* Both go on; a's lost messages are gone, so it counts from there on. */
	counters[1] = 0;
	send_message(a, 1, 2000);
	send_message(b, 2, 2000);
	assert_return_code(fsync(a), errno);
	assert_return_code(fsync(b), errno);
	await(sent_right(8));
	assert_good();
}

/* Whatever comes next tells of an error, once: write, poll, fsync. */
static int asks_in_vain(void *arg)
{
	struct mydev_transact t = { .size = sizeof(t),
				    .out_length = 100,
				    .in_length = 100,
				    .timeout_ms = 2,
				    .out_data = (uintptr_t)buf,
				    .in_data = (uintptr_t)buf };

	for (;;) {
		if (!ioctl(*(int *)arg, MYDEV_IOC_TRANSACT, &t) ||
		    (errno != ETIMEDOUT && errno != EPIPE && errno != EAGAIN))
			return errno;
	}
}

/*
 * Each question that is given up stops sending for a moment, and in that moment the
 * device may refuse something. It is told of and counted all the same.
 */
TEST(refused_while_stopped)
{
	int fd = node_open(O_WRONLY), asker = node_open(O_RDWR);
	uint64_t halts = sim_number("out_halts"), errors = stats_of(fd).send_errors;
	pid_t pid = spawn(asks_in_vain, &asker);

	sim_do("verify-out off");
	for (unsigned int i = 0; i < (slow_lane() ? 30 : 100); i++) {
		uint64_t before;

		/* The device may be late in seeing that it has got something since. */
		await(strcmp(sim_text("out_state"), "stalled"));
		before = sim_number("out_halts");
		sim_do("stall-out");
		await(sim_number("out_halts") > before);
		/* It is this that is refused, or a question; and then it goes on. */
		while (write(fd, buf, 500) != 500 || fsync(fd))
			assert_int_equal(errno, EPIPE);
	}
	assert_return_code(kill(pid, SIGKILL), errno);
	assert_int_equal(reap(pid, PROMPT), 128 + SIGKILL);
	assert_int_equal(stats_of(fd).send_errors - errors, sim_number("out_halts") - halts);
}

TEST(told_once)
{
	int fd = node_open(O_WRONLY);

	sim_do("verify-out off");
	sim_do("stall-out");
	await_stalled();
	assert_int_equal(write(fd, buf, 3000), 3000);
	await(polls(fd, POLLOUT | POLLERR));
	assert_errno(write(fd, buf, 3000), EPIPE);
	await(polls(fd, POLLOUT));
	assert_int_equal(write(fd, buf, 3000), 3000);
	assert_return_code(fsync(fd), errno);
	assert_int_equal(stats_of(fd).client_sent_bytes, 3000);
	assert_int_equal(stats_of(fd).client_failed_bytes, 3000);
}

TEST(stalls_for_ever)
{
	int fd = node_open(O_WRONLY), stalls = 0;

	sim_do("verify-out off");
	sim_do("stall-out-always on");
	/* In between, the device may take one before it stalls again. */
	while (stalls < 10) {
		assert_int_equal(write(fd, buf, 3000), 3000);
		if (fsync(fd)) {
			assert_int_equal(errno, EPIPE);
			stalls++;
		}
	}
	assert_true(sending_adds_up(fd));
	sim_do("stall-out-always off");
	await(write(fd, buf, 3000) == 3000 && !fsync(fd));
}

TEST(bad_pointer)
{
	long page = sysconf(_SC_PAGESIZE);
	char *map = private_memory(64 * page);
	int fd = node_open(O_WRONLY);
	uint64_t bytes = sim_number("out_bytes");
	size_t part = info_of(fd).send_size;

	sim_do("verify-out off");
	memset(map, 0x5a, 64 * page);
	assert_return_code(munmap(map + 35 * page, page), errno);
	assert_errno(write(fd, map + 35 * page, 100), EFAULT);
	assert_errno(write(fd, map + 35 * page - 10, 20), EFAULT);
	/* Whole parts before the hole are sent, and the caller knows how many. */
	assert_int_equal(write(fd, map, 64 * page), 35 * page / part * part);
	assert_return_code(fsync(fd), errno);
	await(sim_number("out_bytes") == bytes + 35 * page / part * part);
	munmap(map, 64 * page);
}

static int blocked_writer(void *arg)
{
	int fd = open(node, O_WRONLY);

	(void)arg;
	while (fd >= 0 && write(fd, buf, 500 * KIB) > 0)
		;
	return errno;
}

static bool unplugged_once(void **state)
{
	int fd = node_open(O_WRONLY), errors[2];
	pid_t writer, syncer;

	(void)state;
	sim_do("verify-out off");
	sim_do("refuse");
	assert_int_equal(write(fd, buf, 1000), 1000);
	writer = spawn(blocked_writer, NULL);
	syncer = spawn(sync_writer, &fd);
	await_sleeping(writer);
	await_sleeping(syncer);
	unplug();
	errors[0] = reap(writer, PROMPT);
	errors[1] = reap(syncer, PROMPT);
	assert_errno(write(fd, buf, 1000), ENODEV);
	assert_errno(fsync(fd), ENODEV);
	assert_true(polls(fd, POLLERR | POLLHUP));
	assert_int_equal(stats_of(fd).client_failed_bytes, 1000);
	return ended_by_unplug(errors[0]) && ended_by_unplug(errors[1]);
}

TEST(unplugged)
{
	holds_once(unplugged_once, fresh_send, state);
}

/* Not only when what the dead have left would be given up anyway, in five seconds. */
static bool killed_once(void **state)
{
	int fd = node_open(O_WRONLY | O_NONBLOCK);
	double begin, took;
	pid_t pid;

	(void)state;
	sim_do("verify-out off");
	sim_do("refuse");
	pid = spawn(blocked_writer, NULL);
	await_sleeping(pid);
	assert_errno(write(fd, buf, 100), EAGAIN);
	begin = now();
	kill(pid, SIGKILL);
	assert_int_equal(reap(pid, PROMPT), 128 + SIGKILL);
	/* The turn and the room are free; nothing of the dead one is sent. */
	await(polls(fd, POLLOUT));
	took = now() - begin;
	sim_do("verify-out messages");
	send_message(fd, 1, 3000);
	sim_do("accept");
	assert_return_code(fsync(fd), errno);
	await(sent_right(1));
	assert_good();
	return took < 3;
}

TEST(killed)
{
	holds_once(killed_once, fresh_send, state);
}

TEST(closed)
{
	int fd = node_open(O_WRONLY);
	uint64_t errors = stats_of(fd).send_errors;

	sim_do("slow 20");
	for (int i = 0; i < 5; i++)
		send_message(fd, 1, 50 * KIB + 1);
	close(fd);
	await(sent_right(5));
	assert_good();
	fd = node_open(O_RDONLY);
	assert_int_equal(stats_of(fd).send_errors, errors);
}

/* Nobody waits for ever for a device that takes nothing of the dead. */
TEST(forsaken)
{
	int fd = node_open(O_WRONLY), other = node_open(O_WRONLY | O_NONBLOCK);

	sim_do("refuse");
	assert_int_equal(write(fd, buf, 1000 * KIB), 1000 * KIB);
	close(fd);
	assert_errno(write(other, buf, 100 * KIB), EAGAIN);
	await(polls(other, POLLOUT));
	sim_do("verify-out messages");
	send_message(other, 1, 3000);
	sim_do("accept");
	assert_return_code(fsync(other), errno);
	await(sent_right(1));
	assert_good();
}

TEST(beside_readers)
{
	struct writer w = { 1, slow_lane() ? 50 : 200, 60 * KIB };
	uint64_t packets = slow_lane() ? 500 : 3000;
	int fd = node_open(O_RDONLY);
	struct verifier v;
	pid_t pid;

	verify_from(&v, next_counter());
	pid = spawn(write_messages, &w);
	feed(packets, "100-5000");
	take_packets(fd, &v, packets, 0);
	assert_int_equal(reap(pid, 50), 0);
	await(sent_right(w.messages));
	assert_good();
}

TEST(read_only)
{
	int fd = node_open(O_RDONLY);

	assert_errno(write(fd, buf, 100), EBADF);
	assert_true(polls(fd, 0));
	assert_int_equal(stats_of(fd).client_written_bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("messages of all sizes arrive whole and in order", sizes, fresh_send),
		PROMISE("a write of 0 bytes sends nothing", nothing, fresh_send),
		PROMISE("a write is one piece on the wire, with six writers", in_one_piece,
			fresh_send),
		PROMISE("writev and splice send messages", scattered, fresh_send),
		PROMISE("O_NONBLOCK and RWF_NOWAIT: EAGAIN without room, and EPOLLOUT when "
			"there is some",
			nonblocking, fresh_send),
		PROMISE("epoll: room that is asked for later wakes as well", room_asked_for_later,
			fresh_send),
		PROMISE("O_NONBLOCK: a long message in whole parts", nonblocking_in_parts,
			fresh_send),
		PROMISE("a full last packet is followed by an empty one, if asked for", terminated,
			fresh_send),
		PROMISE("fsync waits until the device has one's own data", sync_waits, fresh_send),
		PROMISE("a signal ends the wait for the wire, and for room", interrupted,
			fresh_send),
		PROMISE("a stall is told to its writer once, and others lose nothing", stalled,
			fresh_send),
		PROMISE("what is refused while sending is stopped is told and counted",
			refused_while_stopped, fresh_send),
		PROMISE("write and poll tell of an error, too, and only once", told_once,
			fresh_send),
		PROMISE("a device that always stalls: EPIPE each time, no hang", stalls_for_ever,
			fresh_send),
		PROMISE("bad pointers: EFAULT, or how much was taken", bad_pointer, fresh_send),
		PROMISE("unplug: writers and fsync end with ENODEV", unplugged, fresh_send),
		PROMISE("kill -9 of a writer gives back the turn and the room", killed, fresh_send),
		PROMISE("what was written before close is sent", closed, fresh_send),
		PROMISE("what the device does not take of a closed client is given up", forsaken,
			fresh_send),
		PROMISE("writers do not disturb readers", beside_readers, fresh_send),
		PROMISE("O_RDONLY: cannot write, never ready for it", read_only, fresh_send),
	};

	return run_promises(tests);
}
