// SPDX-License-Identifier: GPL-2.0-only
/* Signals that come during a read, and buffers that cannot be written to. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "helpers.h"

static char buf[1 << 16];

/* What a child and its parent both see. */
static struct shared {
	int fd;
	uint64_t first;
	volatile sig_atomic_t handled;
} *shared;

static void on_signal(int sig)
{
	(void)sig;
	shared->handled++;
}

static void share(int flags)
{
	if (!shared)
		shared = shared_memory(sizeof(*shared));
	shared->first = next_counter();
	shared->handled = 0;
	shared->fd = node_open(flags);
}

static void handle(int flags)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = flags };

	sigaction(SIGUSR1, &sa, NULL);
}

static int read_interrupted(void *arg)
{
	(void)arg;
	handle(0);
	return !(read(shared->fd, buf, sizeof(buf)) == -1 && errno == EINTR);
}

TEST(interrupted)
{
	pid_t pid;

	share(O_RDONLY);
	pid = spawn(read_interrupted, NULL);
	await_sleeping(pid);
	kill(pid, SIGUSR1);
	assert_int_equal(reap(pid, 10), 0);
	assert_int_equal(shared->handled, 1);
	/* The next one is as if nothing had been. */
	feed(1, "1000");
	assert_int_equal(read(shared->fd, buf, sizeof(buf)), 1000);
}

static int read_restarted(void *arg)
{
	struct verifier v;

	(void)arg;
	handle(SA_RESTART);
	verify_from(&v, shared->first);
	return read_packets(shared->fd, &v, 1, 1000) != NULL;
}

TEST(restarted)
{
	pid_t pid;

	share(O_RDONLY);
	pid = spawn(read_restarted, NULL);
	await_sleeping(pid);
	kill(pid, SIGUSR1);
	await(shared->handled == 1);
	await_sleeping(pid);
	feed(1, "1000");
	assert_int_equal(reap(pid, 10), 0);
}

/* Waits for another reader of the same open file, not for data. */
TEST(interrupted_in_line)
{
	pid_t first, second;

	share(O_RDONLY);
	first = spawn(read_restarted, NULL);
	await_sleeping(first);
	second = spawn(read_interrupted, NULL);
	await_sleeping(second);
	kill(second, SIGUSR1);
	assert_int_equal(reap(second, 10), 0);
	feed(1, "1000");
	assert_int_equal(reap(first, 10), 0);
}

TEST(killed)
{
	pid_t pid;

	share(O_RDONLY);
	pid = spawn(read_restarted, NULL);
	close(shared->fd);
	await_sleeping(pid);
	assert_int_equal(sysfs_number("clients"), 1);
	kill(pid, SIGKILL);
	assert_int_equal(reap(pid, PROMPT), 128 + SIGKILL);
	assert_int_equal(sysfs_number("clients"), 0);
	assert_true(state_is("idle"));
	assert_int_equal(sysfs_number("in_flight"), 0);
}

/* Pages that can be written to, and behind them one that can not. */
static char *pages_with_end(size_t pages)
{
	long size = sysconf(_SC_PAGESIZE);
	char *map = private_memory((pages + 1) * size);

	assert_return_code(mprotect(map + pages * size, size, PROT_NONE), errno);
	return map + pages * size;
}

TEST(nothing_writable)
{
	/* Nothing is mapped at 0, and only the kernel where a pointer ends. */
	static const long nowhere[] = { 0, -4096 };
	char *end = pages_with_end(1);
	struct mydev_stats s;
	struct verifier v;

	share(O_RDONLY);
	feed(3, "1000");
	/* Waits for data first, so there is something to lose. */
	assert_errno(read(shared->fd, end, 1500), EFAULT);
	for (unsigned int i = 0; i < 2; i++)
		assert_errno(syscall(SYS_read, shared->fd, nowhere[i], 10), EFAULT);
	s = stats_of(shared->fd);
	assert_int_equal(s.client_read_bytes, 0);
	verify_from(&v, shared->first);
	take_packets(shared->fd, &v, 3, 0);
}

static void read_before(struct verifier *v, char *end, size_t room)
{
	ssize_t n = read(shared->fd, end - room, room + 3000);

	/* At least one whole page before the bad one can be filled. */
	assert_in_range(n, 1, room);
	assert_true(verifier_feed(v, end - room, n));
	assert_int_equal(stats_of(shared->fd).client_read_bytes, v->bytes);
}

TEST(tail_not_writable)
{
	char *end = pages_with_end(8);
	struct verifier v;

	share(O_RDONLY | O_NONBLOCK);
	verify_from(&v, shared->first);
	assert_errno(read(shared->fd, buf, 1), EAGAIN);
	feed(40, "1000");
	await(stats_of(shared->fd).client_queued_packets == 40);
	/* In the first packet, in its rest, at a border, in a later packet. */
	read_before(&v, end, 100);
	read_before(&v, end, 1);
	read_before(&v, end, 899);
	read_before(&v, end, 2500);
	/* More packets than are taken at once. */
	read_before(&v, end, 20500);
	take_packets(shared->fd, &v, 40 - v.packets, 0);
	assert_int_equal(stats_of(shared->fd).client_read_packets, 40);
}

TEST(middle_not_writable)
{
	char *end = pages_with_end(1);
	struct iovec iov[3] = { { buf, 700 }, { end, 100 }, { buf + 700, 1000 } };
	struct verifier v;
	ssize_t n;

	share(O_RDONLY | O_NONBLOCK);
	verify_from(&v, shared->first);
	assert_errno(read(shared->fd, buf, 1), EAGAIN);
	feed(2, "1000");
	await(stats_of(shared->fd).client_queued_packets == 2);
	n = readv(shared->fd, iov, 3);
	assert_in_range(n, 1, 700);
	assert_true(verifier_feed(&v, buf, n));
	take_packets(shared->fd, &v, 2, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("a signal ends a read that waits: EINTR", interrupted, fresh),
		PROMISE("with SA_RESTART the read goes on and returns data", restarted, fresh),
		PROMISE("a signal ends the wait for another reader", interrupted_in_line, fresh),
		PROMISE("SIGKILL ends a read that waits, and the device stops", killed, fresh),
		PROMISE("a buffer that cannot be written to: EFAULT, nothing lost",
			nothing_writable, fresh),
		PROMISE("a fault on the way: what was copied is returned, the rest comes next",
			tail_not_writable, fresh),
		PROMISE("a fault in the middle of a readv", middle_not_writable, fresh),
	};

	return run_promises(tests);
}
