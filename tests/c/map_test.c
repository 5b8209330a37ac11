// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mappings of the ring: what may be mapped and how, and how long it lives,
 * whatever happens to the descriptor, the process and the device meanwhile.
 */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "inject.h"
#include "requests.h"
#include "rings.h"

#define PAGE 4096

static char buf[1 << 16];

static void assert_no_map(int fd, uint64_t offset, uint64_t bytes, int prot, int flags, int error)
{
	void *at = mmap(NULL, bytes, prot, flags, fd, offset);

	if (at != MAP_FAILED)
		fail_msg("%#" PRIx64 " can be mapped", offset);
	assert_int_equal(errno, error);
}

static void expect(struct records *r, int fd)
{
	records_init(r);
	r->one_to_one = true;
	records_from(r, next_counter(), stats_of(fd).packets);
}

/* --- what may be mapped ------------------------------------------------------------- */

TEST(wrong_maps)
{
	int fd = node_open(O_RDWR), reader = node_open(O_RDONLY), writer = node_open(O_WRONLY);
	struct mydev_map bad = { .size = sizeof(bad) };
	struct mydev_map m = map_of(fd);
	const uint64_t outside[] = { m.pool_bytes, m.log_offset - PAGE, m.log_offset + m.log_bytes,
				     m.ring_offset + m.ring_bytes, 1ULL << 40 };
	struct rings r;

	assert_int_equal(m.entry_size, sizeof(struct mydev_ring_entry));
	assert_int_equal(m.entries & (m.entries - 1), 0);
	assert_true(m.entries >= info_of(fd).queue_depth);
	assert_true(m.first_entry >= sizeof(struct mydev_log_page));
	assert_true(m.log_bytes >= m.first_entry + (uint64_t)m.entries * m.entry_size);
	assert_int_equal(m.entries, geometry_of(fd).log_entries);
	assert_true(m.pool_bytes >= geometry_of(fd).pool_bytes);
	assert_errno(ioctl(writer, MYDEV_IOC_GET_MAP, &bad), EBADF);
	assert_int_equal(try_sync(writer), EBADF);

	/* Before ring mode there is nothing to be had. */
	assert_int_equal(try_sync(fd), EINVAL);
	assert_no_map(fd, m.pool_offset, PAGE, PROT_READ, MAP_SHARED, EINVAL);
	assert_no_map(fd, m.ring_offset, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, EINVAL);
	assert_no_map(fd, m.log_offset, PAGE, PROT_READ, MAP_SHARED, EINVAL);
	configure(fd, .mode = MYDEV_MODE_RING);
	configure(reader, .mode = MYDEV_MODE_RING);
	assert_errno(read(fd, buf, sizeof(buf)), EBUSY);

	for (unsigned int i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
		assert_no_map(fd, outside[i], PAGE, PROT_READ, MAP_SHARED, EINVAL);
	assert_no_map(fd, 0, m.pool_bytes + PAGE, PROT_READ, MAP_SHARED, EINVAL);
	assert_no_map(fd, PAGE, m.pool_bytes, PROT_READ, MAP_SHARED, EINVAL);
	assert_no_map(fd, m.log_offset, m.log_bytes + PAGE, PROT_READ, MAP_SHARED, EINVAL);
	assert_no_map(fd, 0, PAGE, PROT_READ, MAP_PRIVATE, EINVAL);
	assert_no_map(fd, 0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, EINVAL);
	assert_no_map(fd, 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, EACCES);
	assert_no_map(fd, m.log_offset, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, EACCES);
	assert_no_map(reader, m.ring_offset, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, EACCES);
	assert_no_map(writer, 0, PAGE, PROT_READ, MAP_SHARED, EACCES);

	/* Who cannot write can look. */
	assert_ptr_not_equal(map_region(reader, m.pool_offset, m.pool_bytes, PROT_READ),
			     MAP_FAILED);
	assert_ptr_not_equal(map_region(reader, m.log_offset, PAGE, PROT_READ), MAP_FAILED);
	assert_ptr_not_equal(map_region(reader, m.ring_offset, PAGE, PROT_READ), MAP_FAILED);

	/* Nor later. */
	ring_open(&r, fd);
	assert_errno(mprotect((void *)r.pool, PAGE, PROT_READ | PROT_WRITE), EACCES);
	assert_errno(mprotect((void *)r.log, PAGE, PROT_READ | PROT_WRITE), EACCES);
	assert_ptr_equal(mremap((void *)r.log, PAGE, 2 * PAGE, 0), MAP_FAILED);
	ring_close(&r);
	close(fd);

	/* What a revoked descriptor may. */
	fd = node_open(O_RDWR);
	assert_int_equal(revoke_client(fd, 0), 0);
	assert_no_map(fd, 0, PAGE, PROT_READ, MAP_SHARED, ESTALE);
}

/* To have it mapped asks for data; to be in ring mode does not. */
TEST(demand)
{
	int fd = node_open(O_RDWR);
	struct mydev_map m = map_of(fd);

	configure(fd, .mode = MYDEV_MODE_RING);
	map_region(fd, m.pool_offset, m.pool_bytes, PROT_READ);
	map_region(fd, m.log_offset, m.log_bytes, PROT_READ);
	assert_stays(state_is("idle"));
	map_region(fd, m.ring_offset, m.ring_bytes, PROT_READ | PROT_WRITE);
	await(state_is("running"));
}

TEST(fixed_while_mapped)
{
	int fd = node_open(O_RDWR), other = node_open(O_RDWR);
	struct mydev_map m = map_of(fd);
	struct mydev_geometry g = {
		.size = sizeof(g), .transfers = 4, .transfer_size = 4096, .pool_bytes = 1 << 20
	};
	struct mydev_config config = config_of(fd);
	char *pool;

	config.mode = MYDEV_MODE_RING;
	assert_int_equal(try_config(fd, config), 0);
	/* Nobody asks for data here. */
	pool = map_region(fd, m.pool_offset, m.pool_bytes, PROT_READ);
	assert_int_equal(try_geometry(other, &g), EBUSY);
	/* The settings of a client are its own, and can change. */
	config.queue_depth = 10000;
	config.watermark = 1000;
	assert_int_equal(try_config(fd, config), 0);
	assert_int_equal(try_config(other, config), 0);

	/* Half of it is still mapped. */
	assert_return_code(munmap(pool, m.pool_bytes / 2), errno);
	assert_int_equal(try_geometry(other, &g), EBUSY);
	assert_return_code(munmap(pool + m.pool_bytes / 2, m.pool_bytes / 2), errno);
	assert_int_equal(try_geometry(other, &g), 0);
	/* The new one is as large as it says. */
	assert_int_equal(map_of(fd).entries, geometry_of(fd).log_entries);
	assert_true(map_of(fd).pool_bytes >= 1 << 20);
}

/* --- modes --------------------------------------------------------------------------- */

/* Back and forth between all modes under a full stream: nothing lost or twice. */
TEST(modes)
{
	int fd = node_open(O_RDWR);
	uint64_t seed = test_seed(), rings = 0;
	struct records records;
	struct rings r;

	records_init(&records);
	records_from(&records, next_counter(), stats_of(fd).packets);
	records.partial_ok = true;
	ask(fd);
	feed_forever("24-3000");
	for (unsigned int i = 0; i < (slow_lane() ? 60 : 200); i++) {
		unsigned int mode = random_next(&seed) % 3;
		struct verifier *v = &records.content;
		uint64_t whole = v->packets;
		const char *error = NULL;
		ssize_t n;

		if (mode == MYDEV_MODE_RING) {
			ring_open(&r, fd);
			error = ring_read(&r, &records, 1 + random_next(&seed) % 20);
			ring_close(&r);
			rings++;
		} else {
			configure(fd, .mode = mode);
			n = read(fd, buf,
				 mode == MYDEV_MODE_STREAM ? 1 + random_next(&seed) % 5000
							   : 4000 + random_next(&seed) % 8000);
			assert_true(n > 0);
			if (mode == MYDEV_MODE_PACKET) {
				if (!records_feed(&records, buf, n))
					error = records.error;
			} else if (!verifier_feed(v, buf, n)) {
				error = v->error_text;
			}
		}
		if (error)
			fail_msg("round %u, mode %u: %s", i, mode, error);
		assert_true(v->packets >= whole);
	}
	configure(fd, .mode = MYDEV_MODE_STREAM);
	take_rest(fd, &records.content);
	assert_true(rings > 5);
	assert_int_equal(stats_of(fd).client_lost_packets, 0);
}

/* A reader that sleeps is told, and keeps the mode. */
static int reads_one(void *arg)
{
	return read(*(int *)arg, buf, sizeof(buf)) > 0 ? 0 : errno;
}

TEST(busy_reader)
{
	int fd = node_open(O_RDWR);
	struct mydev_config config = config_of(fd);
	pid_t pid = spawn(reads_one, &fd);

	await_sleeping(pid);
	config.mode = MYDEV_MODE_RING;
	assert_int_equal(try_config(fd, config), EBUSY);
	assert_int_equal(config_of(fd).mode, MYDEV_MODE_STREAM);
	feed(1, "1000");
	assert_int_equal(reap(pid, PROMPT), 0);
	assert_int_equal(try_config(fd, config), 0);
}

/* --- how long it lives ---------------------------------------------------------------- */

struct child {
	struct rings r;
	struct records records;
	uint64_t packets;
	char error[256];
};

static int child_takes(void *arg)
{
	struct child *c = arg;
	const char *error = ring_read(&c->r, &c->records, c->packets);

	if (error)
		snprintf(c->error, sizeof(c->error), "%s", error);
	return !!error;
}

static struct child *child_for(int fd)
{
	struct child *c = shared_memory(sizeof(*c));

	expect(&c->records, fd);
	ring_open(&c->r, fd);
	return c;
}

static void reap_child(struct child *c, pid_t pid)
{
	int status = reap(pid, 30);

	if (status)
		fail_msg("status %d: %s", status, c->error);
}

/* Parent and child have one ring; who takes an entry has it. */
TEST(forked)
{
	int fd = node_open(O_RDWR);
	struct child *c = child_for(fd);
	pid_t pid;

	for (unsigned int round = 0; round < 5; round++) {
		c->packets = 20;
		pid = spawn(child_takes, c);
		feed(40, "1000");
		reap_child(c, pid);
		take_ring(&c->r, &c->records, 20);
	}
	/* The child's end has ended nothing here. */
	assert_int_equal(stats_of(fd).client_read_packets, 200);
	ring_close(&c->r);
	munmap(c, sizeof(*c));
}

/* The mapping is enough: no descriptor is needed to go on. */
TEST(closed)
{
	int fd = node_open(O_RDWR), watcher = node_open(O_WRONLY);
	struct child *c = child_for(fd);
	struct rings r = c->r;

	close(fd);
	assert_int_equal(stats_of(watcher).clients, 2);
	feed(100, "1000");
	for (unsigned int i = 0; i < 100;) {
		struct ring_next next;

		if (!ring_peek(&r, &next))
			continue;
		assert_int_equal(next.entry.length, 1000);
		assert_true(ring_give_back(&r, &next));
		i++;
	}
	ring_close(&r);
	await(stats_of(watcher).clients == 1);
	await(state_is("idle"));
	munmap(c, sizeof(*c));
}

TEST(duplicated_and_sent)
{
	int fd = node_open(O_RDWR), sockets[2], copy;
	struct child *c = child_for(fd);
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { buf, 1 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&m);
	struct rings again;

	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), errno);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	assert_int_equal(sendmsg(sockets[0], &m, 0), 1);
	/* On the way in the socket it is nobody's, and open. */
	close(fd);
	ring_close(&c->r);
	feed(30, "1000");
	memset(control, 0, sizeof(control));
	assert_int_equal(recvmsg(sockets[1], &m, 0), 1);
	cmsg = CMSG_FIRSTHDR(&m);
	if (!cmsg)
		fail_msg("no descriptor has come");
	memcpy(&copy, CMSG_DATA(cmsg), sizeof(int));
	copy = dup(copy);
	assert_return_code(copy, errno);
	/* It is the same ring, and has gone on. */
	ring_open(&again, copy);
	take_ring(&again, &c->records, 30);
	ring_close(&again);
	munmap(c, sizeof(*c));
}

static int execs(void *arg)
{
	(void)arg;
	execl("/bin/true", "true", (char *)NULL);
	return 1;
}

/* The new program has neither the memory nor, as it is closed, the client. */
TEST(executed)
{
	int watcher = node_open(O_WRONLY);
	struct child *c = child_for(node_open(O_RDWR | O_CLOEXEC));
	struct rings r = c->r;
	pid_t pid = spawn(execs, NULL);

	assert_int_equal(reap(pid, 30), 0);
	/* What is left is ours. */
	feed(50, "1000");
	take_ring(&r, &c->records, 50);
	ring_close(&r);
	close(r.fd);
	await(stats_of(watcher).clients == 1);
	munmap(c, sizeof(*c));
}

/* A holder that has stopped the ring is killed: the others go on. */
static int holds(void *arg)
{
	(void)arg;
	while (pause())
		;
	return 0;
}

TEST(killed)
{
	int other = node_open(O_RDONLY);
	uint64_t first = next_counter();
	struct verifier v;

	verify_from(&v, first);
	ask(other);
	for (unsigned int round = 0; round < 5; round++) {
		int fd = node_open(O_RDWR);
		struct child *c = child_for(fd);
		pid_t pid = spawn(holds, NULL);

		ring_close(&c->r);
		close(fd);
		feed(400, "20000");
		/* It holds more than there is, so the other one waits for it. */
		assert_null(read_packets(other, &v, 100, 65536));
		await_ring_stop(other);
		assert_return_code(kill(pid, SIGKILL), errno);
		assert_int_equal(reap(pid, PROMPT), 128 + SIGKILL);
		assert_null(read_packets(other, &v, (round + 1) * 400 - v.packets, 65536));
		munmap(c, sizeof(*c));
	}
}

/* --- the device goes ------------------------------------------------------------------- */

TEST(unplugged)
{
	int fd = node_open(O_RDWR);
	struct child *c = child_for(fd);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	unsigned char byte;

	feed(100, "20000");
	await(stats_of(fd).client_packets == 100);
	unplug();
	assert_true(ring_flags(&c->r) & MYDEV_RING_ENDED);
	assert_int_equal(poll(&p, 1, 0), 1);
	assert_int_equal(p.revents, POLLIN | POLLERR | POLLHUP);
	/* First what has come, then the end. */
	assert_int_equal(try_sync(fd), 0);
	for (unsigned int i = 0; i < 100; i++) {
		struct ring_next next;

		assert_true(ring_peek(&c->r, &next));
		assert_int_equal(next.entry.length, 20000);
		byte = *(volatile const unsigned char *)(c->r.pool + next.entry.offset);
		assert_int_equal(byte, c->r.pool[next.entry.offset]);
		assert_true(ring_give_back(&c->r, &next));
	}
	/* An unplug may be taken for an error of the bus first. */
	if (!try_sync(fd)) {
		struct ring_next next;

		assert_true(ring_peek(&c->r, &next));
		assert_int_equal(next.entry.type, MYDEV_RECORD_EVENT);
		assert_int_equal(next.entry.event, MYDEV_EVENT_ERROR);
		assert_true(ring_give_back(&c->r, &next));
	}
	assert_int_equal(try_sync(fd), ENODEV);
	/* All of it stays readable, also what was never touched before. */
	for (uint64_t i = 0; i < c->r.map.pool_bytes; i += PAGE)
		byte = *(volatile const unsigned char *)(c->r.pool + i);
	(void)byte;
	close(fd);
	assert_true(ring_flags(&c->r) & MYDEV_RING_ENDED);
	plug();
	assert_true(ring_flags(&c->r) & MYDEV_RING_ENDED);
	ring_close(&c->r);
	munmap(c, sizeof(*c));
}

/* At any moment, while rings are taken from. */
static int takes_until_the_end(void *arg)
{
	struct child *c = arg;

	c->records.unplugs = true;
	if (!ring_read(&c->r, &c->records, UINT32_MAX))
		return 1;
	/* Nothing wrong with what has come, but that it ended. */
	if (c->records.bad || ring_drain(&c->r, &c->records)) {
		printf("# %s\n", c->records.error);
		return 2;
	}
	/* It may have stopped answering, and be gone; else we are waited for in vain. */
	while (try_sync(c->r.fd) == EIO)
		nap();
	return try_sync(c->r.fd) == ENODEV ? 0 : 3;
}

TEST(unplugged_in_the_midst)
{
	uint64_t seed = test_seed();

	for (unsigned int round = 0; round < (slow_lane() ? 5 : 15); round++) {
		struct child *c[3];
		pid_t pids[3];

		for (unsigned int i = 0; i < 3; i++) {
			int fd = node_open(O_RDWR);

			if (i == 2)
				configure(fd, .policy = MYDEV_POLICY_DROP_OLDEST,
					  .queue_depth = 10);
			c[i] = child_for(fd);
			pids[i] = spawn(takes_until_the_end, c[i]);
			ring_close(&c[i]->r);
			close(fd);
		}
		feed_forever("24-3000");
		usleep(random_next(&seed) % 100000);
		unplug();
		for (unsigned int i = 0; i < 3; i++) {
			assert_int_equal(reap(pids[i], 20), 0);
			munmap(c[i], sizeof(*c[i]));
		}
		fresh_rings(NULL);
	}
}

/* --- revoke ----------------------------------------------------------------------------- */

static int touches(void *arg)
{
	signal(SIGBUS, SIG_DFL);
	return *(const volatile unsigned char *)arg & 0;
}

TEST(revoked)
{
	int fd = node_open(O_RDWR), other = node_open(O_RDWR);
	struct child *c = child_for(fd), *o = child_for(other);
	pid_t pid;

	feed(20, "1000");
	take_ring(&o->r, &o->records, 20);
	take_ring(&c->r, &c->records, 10);
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(touches((void *)(c->r.pool + i * PAGE)), 0);
	assert_int_equal(revoke_client(other, info_of(fd).client_id), 0);
	/* No packet can be looked at any more, in whatever process. */
	for (unsigned int i = 0; i < 20; i++) {
		pid = spawn(touches, (void *)(c->r.pool + i * PAGE));
		assert_int_equal(reap(pid, PROMPT), 128 + SIGBUS);
	}
	/* But the ring, which says that it has ended, and that in place of the log. */
	assert_int_equal(reap(spawn(touches, (void *)c->r.entries), PROMPT), 0);
	assert_true(c->r.ring->flags & MYDEV_RING_ENDED);
	assert_int_equal(c->r.log->head, 0);
	assert_int_equal(c->r.log->tail, INT64_MAX);
	for (uint64_t i = 0; i < c->r.map.log_bytes; i += PAGE)
		assert_memory_equal((const char *)c->r.log + i, c->r.ring, PAGE);
	assert_true(ring_is_empty(&c->r));
	assert_int_equal(try_sync(fd), ESTALE);
	/* The other one notices nothing. */
	feed(200, "20000");
	take_ring(&o->r, &o->records, 200);
	ring_close(&c->r);
	ring_close(&o->r);
	munmap(c, sizeof(*c));
	munmap(o, sizeof(*o));
}

/*
 * Whatever was touched: what is pinned, a revoke could not take back. vmsplice() is
 * the way to ask for that without a device that reads memory by itself.
 */
TEST(pinned)
{
	int fd = node_open(O_RDWR), ends[2];
	struct rings r;

	ring_open(&r, fd);
	feed(4, "1000");
	await(stats_of(fd).client_packets == 4);
	pipe_open(ends);
	for (unsigned int i = 0; i < 3; i++) {
		const void *regions[] = { r.pool, r.log, (const void *)r.ring };
		struct iovec page = { .iov_base = (void *)regions[i], .iov_len = PAGE };

		assert_int_equal(touches(page.iov_base), 0);
		assert_errno(vmsplice(ends[1], &page, 1, 0), EFAULT);
		/* A copy is what they get. */
		assert_int_equal(write(ends[1], page.iov_base, PAGE), PAGE);
		assert_int_equal(read(ends[0], buf, PAGE), PAGE);
		assert_memory_equal(buf, page.iov_base, i == 2 ? 0 : 1000);
	}
	ring_close(&r);
}

static long faults(void)
{
	struct rusage usage;

	assert_return_code(getrusage(RUSAGE_SELF, &usage), errno);
	return usage.ru_minflt;
}

/* Each descriptor may revoke itself, as often as it likes. */
TEST(revoked_by_itself)
{
	int fd = node_open(O_RDWR);
	struct mydev_map m = map_of(fd);
	unsigned char sum = 0;
	struct rings r;
	long before;

	ring_open(&r, fd);
	for (uint64_t i = 0; i < m.pool_bytes; i += PAGE)
		sum |= *(volatile const unsigned char *)(r.pool + i);
	for (unsigned int round = 0; round < 20; round++) {
		int other = node_open(O_RDWR);
		struct rings o;

		ring_open(&o, other);
		assert_int_equal(touches((void *)o.pool), 0);
		assert_int_equal(revoke_client(other, 0), 0);
		assert_int_equal(reap(spawn(touches, (void *)o.pool), PROMPT), 128 + SIGBUS);
		ring_close(&o);
		close(other);
		/* A child of ours costs faults, so they are counted from here. */
		before = faults();
		for (uint64_t i = 0; i < m.pool_bytes; i += PAGE)
			sum |= *(volatile const unsigned char *)(r.pool + i);
		assert_in_range(faults() - before, 0, 3);
	}
	(void)sum;
	ring_close(&r);
}

/* Ends when the ring does, unless a packet is taken from it in its hands. */
static int takes_until_revoked(void *arg)
{
	struct child *c = arg;

	signal(SIGBUS, SIG_DFL);
	if (!ring_read(&c->r, &c->records, UINT32_MAX) || c->records.bad) {
		printf("# after %" PRIu64 " packets, %" PRIu64 " lost: %s\n", c->records.packets,
		       c->records.lost_packets, c->records.error);
		return 1;
	}
	return try_sync(c->r.fd) == ESTALE ? 0 : 2;
}

TEST(revoked_in_the_midst)
{
	int reader = node_open(O_RDWR);
	uint64_t seed = test_seed();
	struct records records;
	struct rings r;

	ring_open(&r, reader);
	expect(&records, reader);
	feed_forever("24-3000");
	for (unsigned int round = 0; round < (slow_lane() ? 5 : 15); round++) {
		int fd = node_open(O_RDWR), status;
		struct child *c = child_for(fd);
		pid_t pid;

		/* It begins wherever the device is. */
		records_init(&c->records);
		pid = spawn(takes_until_revoked, c);
		take_ring(&r, &records, 20 + random_next(&seed) % 200);
		assert_int_equal(revoke_client(reader, info_of(fd).client_id), 0);
		status = reap(pid, PROMPT);
		if (status != 128 + SIGBUS)
			assert_int_equal(status, 0);
		ring_close(&c->r);
		munmap(c, sizeof(*c));
		close(fd);
	}
	take_ring(&r, &records, 200);
	assert_int_equal(stats_of(reader).client_lost_packets, 0);
	ring_close(&r);
}

/* --- memory ------------------------------------------------------------------------------ */

TEST(no_memory)
{
	int fd = node_open(O_RDWR), failures = 0;
	bool injected = true;

	inject_or_skip();
	for (unsigned int nth = 1; injected; nth++) {
		struct mydev_config config = { .size = sizeof(config),
					       .mode = MYDEV_MODE_RING,
					       .queue_depth = 5000 };
		int error;

		close(fd);
		fd = node_open(O_RDWR);
		inject_begin(nth);
		error = try_config(fd, config);
		injected = inject_end();
		assert_true(!error || error == ENOMEM || error == EFAULT);
		failures += error == ENOMEM;
		/* EFAULT is also what comes when the answer cannot be copied. */
		if (error == ENOMEM)
			assert_int_equal(config_of(fd).mode, MYDEV_MODE_STREAM);
	}
	assert_true(failures >= 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("what may not be mapped: EINVAL, EACCES, ESTALE", wrong_maps, fresh_rings),
		PROMISE("to map the ring is to ask for data", demand, fresh_rings),
		PROMISE("EBUSY for the geometry while mapped, also in part", fixed_while_mapped,
			fresh_rings),
		PROMISE("between all modes at full speed: nothing lost, nothing twice", modes,
			fresh_rings),
		PROMISE("EBUSY for ring mode while somebody reads", busy_reader, fresh_rings),
		PROMISE("fork: one ring, and who takes an entry has it", forked, fresh_rings),
		PROMISE("closed: the mapping goes on", closed, fresh_rings),
		PROMISE("sent through a socket and duplicated: the same ring", duplicated_and_sent,
			fresh_rings),
		PROMISE("exec: the mapping ends, and nobody else's", executed, fresh_rings),
		PROMISE("a killed holder lets go of everything", killed, fresh_rings),
		PROMISE("unplugged: what came can be taken, all stays readable", unplugged,
			fresh_rings),
		PROMISE("unplugged while rings are taken from", unplugged_in_the_midst,
			fresh_rings),
		PROMISE("revoked: an ended ring, SIGBUS for packets, and others go on", revoked,
			fresh_rings),
		PROMISE("revoked while it takes: ended or SIGBUS, and others miss nothing",
			revoked_in_the_midst, fresh_rings),
		PROMISE("nothing of it can be pinned: EFAULT", pinned, fresh_rings),
		PROMISE("who revokes itself takes no page from others", revoked_by_itself,
			fresh_rings),
		PROMISE("no memory: ENOMEM, and the mode is what it was", no_memory, fresh_rings),
	};

	return run_promises(tests);
}
