// SPDX-License-Identifier: GPL-2.0-only
/* read() and its relatives: the byte stream of one client. */
#include <sys/uio.h>

#include "helpers.h"

static char buf[1 << 18];

static void feed_and_await(int fd, uint64_t packets, const char *size)
{
	feed(packets, size);
	await(stats_of(fd).client_queued_packets >= packets);
}

/* Asks for data once, so that the device sends what it is fed with. */
static int open_asking(int flags)
{
	int fd = node_open(flags | O_NONBLOCK);

	assert_errno(read(fd, buf, 1), EAGAIN);
	assert_return_code(fcntl(fd, F_SETFL, flags), errno);
	return fd;
}

TEST(returns_what_is_there)
{
	struct verifier v;
	int fd;

	verify_from(&v, next_counter());
	fd = open_asking(O_RDONLY);
	feed_and_await(fd, 3, "1000");
	assert_int_equal(read(fd, buf, sizeof(buf)), 3000);
	assert_true(verifier_feed(&v, buf, 3000));
	assert_int_equal(v.packets, 3);

	/* A small read takes its part and leaves the rest. */
	feed_and_await(fd, 1, "1000");
	assert_int_equal(read(fd, buf, 10), 10);
	assert_int_equal(read(fd, buf + 10, sizeof(buf) - 10), 990);
	assert_true(verifier_feed(&v, buf, 1000));
	assert_int_equal(v.packets, 4);
}

TEST(odd_sizes)
{
	struct verifier v;
	int fd = node_open(O_RDONLY);
	struct mydev_stats s;

	verify_from(&v, next_counter());
	feed(300, "65-9000");
	take_packets(fd, &v, 300, 0);
	s = stats_of(fd);
	assert_int_equal(s.client_read_bytes, v.bytes);
	assert_int_equal(s.client_queued_packets, 0);
	assert_true(identity_holds(&s));
}

TEST(byte_by_byte)
{
	struct verifier v;
	int fd = node_open(O_RDONLY);

	verify_from(&v, next_counter());
	feed(3, "100");
	take_packets(fd, &v, 3, 1);
}

/* Larger than what one transfer takes, and a multiple of its size. */
TEST(large_packets)
{
	struct verifier v;
	int fd = node_open(O_RDONLY);

	verify_from(&v, next_counter());
	feed(20, "90000");
	take_packets(fd, &v, 20, sizeof(buf));
	feed(20, "32768");
	take_packets(fd, &v, 20, sizeof(buf));
}

TEST(zero_packets)
{
	struct verifier v;
	int fd = node_open(O_RDONLY);
	struct mydev_stats before = stats_of(fd), after;
	uint64_t sent = sim_number("zero_packets");

	verify_from(&v, next_counter());
	/* The simulated device terminates what is a multiple of 1024. */
	feed(5, "32768");
	take_packets(fd, &v, 5, sizeof(buf));
	await(sim_number("zero_packets") == sent + 5);
	await(stats_of(fd).zero_packets == before.zero_packets + 5);
	after = stats_of(fd);
	assert_int_equal(after.packets, before.packets + 10);
	assert_int_equal(after.bytes, before.bytes + 5 * 32768);
	assert_int_equal(after.client_queued_packets, 0);
	assert_true(identity_holds(&after));
	/* Nothing to read, and no end of file either. */
	assert_return_code(fcntl(fd, F_SETFL, O_NONBLOCK), errno);
	assert_errno(read(fd, buf, 1), EAGAIN);
}

TEST(scattered)
{
	struct verifier v;
	char parts[4][700];
	struct iovec iov[] = {
		{ parts[0], 1 },
		{ parts[1], 700 },
		{ parts[2], 0 },
		{ parts[3], 300 },
	};
	int fd;

	verify_from(&v, next_counter());
	fd = open_asking(O_RDONLY);
	feed_and_await(fd, 2, "500");
	assert_int_equal(readv(fd, iov, 4), 1000);
	verifier_feed(&v, parts[0], 1);
	verifier_feed(&v, parts[1], 700);
	assert_int_equal(v.packets, 1);
	assert_true(verifier_feed(&v, parts[3], 299));
	assert_int_equal(v.packets, 2);
}

TEST(nonblocking)
{
	struct verifier v;
	int fd;

	verify_from(&v, next_counter());
	fd = node_open(O_RDONLY | O_NONBLOCK);
	assert_errno(read(fd, buf, sizeof(buf)), EAGAIN);
	feed_and_await(fd, 2, "1000");
	take_packets(fd, &v, 2, sizeof(buf));
	assert_errno(read(fd, buf, sizeof(buf)), EAGAIN);
}

TEST(nowait)
{
	struct iovec iov = { buf, sizeof(buf) };
	struct verifier v;
	ssize_t n;
	int fd;

	verify_from(&v, next_counter());
	/* The descriptor blocks; this one call does not. */
	fd = node_open(O_RDONLY);
	assert_errno(preadv2(fd, &iov, 1, -1, RWF_NOWAIT), EAGAIN);
	feed_and_await(fd, 2, "1000");
	n = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);
	assert_int_equal(n, 2000);
	assert_true(verifier_feed(&v, buf, n));
	assert_errno(preadv2(fd, &iov, 1, -1, RWF_NOWAIT), EAGAIN);
}

static int read_forever(void *arg)
{
	char byte;

	return read(*(int *)arg, &byte, 1) == 1 ? 0 : 1;
}

/* Somebody else sleeps in read() on the same open file. */
TEST(nowait_beside_reader)
{
	struct iovec iov = { buf, sizeof(buf) };
	int fd = node_open(O_RDONLY);
	pid_t pid = spawn(read_forever, &fd);

	await_sleeping(pid);
	assert_errno(preadv2(fd, &iov, 1, -1, RWF_NOWAIT), EAGAIN);
	feed(1, "1000");
	assert_int_equal(reap(pid, 10), 0);
}

TEST(spliced)
{
	struct verifier v;
	int fd = node_open(O_RDONLY), pipes[2];
	ssize_t in, out;

	pipe_open(pipes);
	verify_from(&v, next_counter());
	feed(60, "500-9000");
	/* Asks for more than the pipe can hold. */
	while (v.packets < 60) {
		in = splice(fd, NULL, pipes[1], NULL, 1 << 20, 0);
		assert_return_code(in, errno);
		assert_int_not_equal(in, 0);
		while (in > 0) {
			out = read(pipes[0], buf, sizeof(buf));
			assert_in_range(out, 1, in);
			assert_true(verifier_feed(&v, buf, out));
			in -= out;
		}
	}
	assert_true(verifier_finish(&v, false, false));
	assert_return_code(fcntl(fd, F_SETFL, O_NONBLOCK), errno);
	assert_errno(splice(fd, NULL, pipes[1], NULL, 1000, 0), EAGAIN);
	close(pipes[0]);
	close(pipes[1]);
}

TEST(nothing_asked)
{
	struct verifier v;
	int fd = node_open(O_RDONLY);

	/* Would block for ever if it were taken for a read. */
	assert_int_equal(read(fd, buf, 0), 0);
	feed(1, "1000");
	verifier_init(&v);
	take_packets(fd, &v, 1, 1000);
	assert_int_equal(read(fd, buf, 0), 0);
}

TEST(no_position)
{
	int fd = node_open(O_RDWR);

	assert_errno(lseek(fd, 0, SEEK_SET), ESPIPE);
	assert_errno(lseek(fd, 0, SEEK_CUR), ESPIPE);
	assert_errno(pread(fd, buf, 10, 0), ESPIPE);
	/* The device has an IN endpoint only. */
	assert_errno(write(fd, buf, 10), EOPNOTSUPP);
	assert_errno(ftruncate(fd, 0), EINVAL);
}

TEST(write_only)
{
	int fd = node_open(O_WRONLY);
	struct mydev_stats s;
	struct verifier v;
	int reader;

	assert_errno(read(fd, buf, 1), EBADF);
	assert_true(info_of(fd).features & MYDEV_FEATURE_READ);

	verify_from(&v, next_counter());
	reader = node_open(O_RDONLY);
	feed(200, "1000");
	/* More packets than there are buffers: it holds none of them. */
	take_packets(reader, &v, 200, 1000);
	s = stats_of(fd);
	assert_int_equal(s.clients, 2);
	assert_int_equal(s.client_packets, 0);
	assert_int_equal(s.client_bytes, 0);
}

static int read_one(void *arg)
{
	int fd = ((int *)arg)[0];
	struct verifier v;

	verify_from(&v, ((int *)arg)[1]);
	return read_packets(fd, &v, 1, 1000) || v.packets != 1;
}

TEST(shared)
{
	int args[2], copy;
	struct verifier v;

	args[1] = next_counter();
	args[0] = open_asking(O_RDONLY);
	feed_and_await(args[0], 3, "1000");
	/* The child takes the first, the copy the second, this the third. */
	assert_int_equal(reap(spawn(read_one, args), 10), 0);
	copy = dup(args[0]);
	assert_return_code(copy, errno);
	verify_from(&v, args[1] + 1);
	take_packets(copy, &v, 1, 1000);
	close(copy);
	take_packets(args[0], &v, 1, 1000);
	assert_int_equal(stats_of(args[0]).client_read_packets, 3);
	assert_int_equal(stats_of(args[0]).clients, 1);
}

TEST(descriptor_info)
{
	char text[1024], want[256];
	int fd;

	fd = node_open(O_RDONLY | O_NONBLOCK);
	fdinfo(fd, text, sizeof(text));
	assert_non_null(strstr(text, "mydev-demanded:\t0\n"));
	assert_errno(read(fd, buf, 1), EAGAIN);
	feed_and_await(fd, 3, "1000");
	assert_int_equal(read(fd, buf, 1500), 1500);
	snprintf(want, sizeof(want),
		 "mydev-device:\t%s\nmydev-client:\t%u\nmydev-demanded:\t1\nmydev-mode:\tstream\n"
		 "mydev-policy:\tlossless\nmydev-queued-packets:\t2\n"
		 "mydev-queued-bytes:\t1500\nmydev-read-packets:\t1\nmydev-read-bytes:\t1500\n"
		 "mydev-lost-packets:\t0\nmydev-lost-bytes:\t0\n",
		 strrchr(node, '/') + 1, info_of(fd).client_id);
	fdinfo(fd, text, sizeof(text));
	if (!strstr(text, want))
		fail_msg("fdinfo is: %s", text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("read returns what is queued and waits for no more", returns_what_is_there,
			fresh),
		PROMISE("odd read sizes get every byte, in order, across packets", odd_sizes,
			fresh),
		PROMISE("reading byte by byte", byte_by_byte, fresh),
		PROMISE("packets beyond and equal to a transfer's size", large_packets, fresh),
		PROMISE("zero-length packets are counted and otherwise invisible", zero_packets,
			fresh),
		PROMISE("readv fills one part after the other", scattered, fresh),
		PROMISE("O_NONBLOCK: EAGAIN exactly when nothing is queued", nonblocking, fresh),
		PROMISE("RWF_NOWAIT: EAGAIN exactly when nothing is queued", nowait, fresh),
		PROMISE("RWF_NOWAIT does not wait for another reader", nowait_beside_reader, fresh),
		PROMISE("splice to a pipe carries the stream", spliced, fresh),
		PROMISE("a read of 0 bytes returns 0 at once", nothing_asked, fresh),
		PROMISE("no position, no write, no length", no_position, fresh),
		PROMISE("O_WRONLY: no reader, holds up nobody, may ask", write_only, fresh),
		PROMISE("dup and fork share one client", shared, fresh),
		PROMISE("fdinfo tells queue and counters", descriptor_info, fresh),
	};

	return run_promises(tests);
}
