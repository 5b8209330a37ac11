// SPDX-License-Identifier: GPL-2.0-only
/*
 * Several programs on one device: what each role may do, the lease, and revoke.
 * tests/suites starts the simulated device with --endpoints both.
 */
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "settings.h"

static _Alignas(8) unsigned char buf[1 << 20];

static int lease(int fd, uint32_t operation, uint32_t timeout_ms)
{
	struct mydev_lease arg = { .size = sizeof(arg),
				   .operation = operation,
				   .timeout_ms = timeout_ms };

	return ioctl(fd, MYDEV_IOC_LEASE, &arg);
}

static int acquire(int fd)
{
	return lease(fd, MYDEV_LEASE_ACQUIRE, 0);
}

static int release(int fd)
{
	return lease(fd, MYDEV_LEASE_RELEASE, 0);
}

static int select_one(int fd, unsigned long request, uint32_t value)
{
	struct mydev_select arg = { .size = sizeof(arg), .value = value };

	return ioctl(fd, request, &arg);
}

static int control(int fd)
{
	struct mydev_control arg = { .size = sizeof(arg),
				     .request_type = 0xc1,
				     .request = SIM_REQ_READ,
				     .length = 16,
				     .data = (uintptr_t)buf };

	return ioctl(fd, MYDEV_IOC_CONTROL, &arg);
}

static int transact(int fd, uint32_t timeout_ms)
{
	struct mydev_transact arg = { .size = sizeof(arg),
				      .out_length = 100,
				      .in_length = 1000,
				      .timeout_ms = timeout_ms,
				      .out_data = (uintptr_t)buf,
				      .in_data = (uintptr_t)buf };

	return ioctl(fd, MYDEV_IOC_TRANSACT, &arg);
}

static int fresh_share(void **state)
{
	fresh_defaults(state);
	sim_do("accept");
	sim_do("echo off");
	return 0;
}

/* --- waiting for each other ----------------------------------------------------- */

static int asks_in_vain(void *arg)
{
	return transact(*(int *)arg, 60000) ? errno : 0;
}

/* Each of them is the only one that waits behind its descriptor. */
static int waits_exclusively(void *arg)
{
	struct epoll_event event = { .events = EPOLLOUT | EPOLLEXCLUSIVE };
	int fd = open(node, O_WRONLY | O_CLOEXEC), ep = epoll_create1(EPOLL_CLOEXEC);

	(void)arg;
	if (fd < 0 || ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event))
		return errno;
	return epoll_wait(ep, &event, 1, 20000) == 1 ? 0 : ETIMEDOUT;
}

TEST(exclusive_pollers)
{
	int fd = node_open(O_RDWR);
	uint64_t bytes = sim_number("out_bytes");
	pid_t asker = spawn(asks_in_vain, &fd), pollers[3];

	await(sim_number("out_bytes") == bytes + 100);
	for (unsigned int i = 0; i < 3; i++) {
		pollers[i] = spawn(waits_exclusively, NULL);
		await_sleeping(pollers[i]);
	}
	/* Now the turn is free, and it is so for each of them. */
	assert_return_code(kill(asker, SIGKILL), errno);
	assert_int_equal(reap(asker, PROMPT), 128 + SIGKILL);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(reap(pollers[i], PROMPT), 0);
}

#define MOST_WAITERS 256

struct crowd {
	int fd;
	bool leases;
	volatile int refused;
	volatile int error; /* another one */
};

static void *waits_in_turn(void *arg)
{
	struct crowd *c = arg;

	if (c->leases ? !lease(c->fd, MYDEV_LEASE_ACQUIRE, UINT32_MAX) : write(c->fd, buf, 1) == 1)
		return NULL;
	if (errno == EAGAIN)
		__atomic_add_fetch(&c->refused, 1, __ATOMIC_SEQ_CST);
	else
		c->error = errno;
	return NULL;
}

/* One thread more than may wait. */
static int crowds(void *arg)
{
	pthread_t threads[MOST_WAITERS + 1];
	pthread_attr_t attr;

	/* Who sleeps in the kernel needs little. */
	if (pthread_attr_init(&attr) || pthread_attr_setstacksize(&attr, 64 << 10))
		return ENOMEM;
	for (unsigned int i = 0; i < MOST_WAITERS + 1; i++) {
		if (pthread_create(&threads[i], &attr, waits_in_turn, arg))
			return ENOMEM;
	}
	for (unsigned int i = 0; i < MOST_WAITERS + 1; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

static int writes_one(void *arg)
{
	(void)arg;
	return write(open(node, O_WRONLY | O_CLOEXEC), buf, 1) == 1 ? 0 : errno;
}

/* The one that is refused is told at once, and the others get their turn. */
TEST(crowded)
{
	struct crowd *c = shared_memory(sizeof(*c));
	int fd = node_open(O_RDWR);
	uint64_t bytes = sim_number("out_bytes");
	pid_t asker = spawn(asks_in_vain, &fd), writers, other;

	c->fd = node_open(O_WRONLY);
	await(sim_number("out_bytes") == bytes + 100);
	writers = spawn(crowds, c);
	await(c->refused);
	/* That is no reason to refuse another descriptor. */
	other = spawn(writes_one, NULL);
	await_sleeping(other);
	assert_return_code(kill(asker, SIGKILL), errno);
	assert_int_equal(reap(asker, PROMPT), 128 + SIGKILL);
	assert_int_equal(reap(other, 20), 0);
	assert_int_equal(reap(writers, 20), 0);
	assert_int_equal(c->refused, 1);
	assert_int_equal(c->error, 0);
	assert_return_code(fsync(c->fd), errno);
	await(sim_number("out_bytes") == bytes + 101 + MOST_WAITERS);
}

TEST(crowded_lease)
{
	struct crowd *c = shared_memory(sizeof(*c));
	int fd = node_open(O_RDWR);
	pid_t leasers;

	assert_return_code(lease(fd, MYDEV_LEASE_ACQUIRE, 0), errno);
	c->fd = node_open(O_WRONLY);
	c->leases = true;
	leasers = spawn(crowds, c);
	await(c->refused);
	assert_return_code(lease(fd, MYDEV_LEASE_RELEASE, 0), errno);
	/* It is one descriptor, so all of them get it. */
	assert_int_equal(reap(leasers, 20), 0);
	assert_int_equal(c->refused, 1);
	assert_int_equal(c->error, 0);
}

static int leases(void *arg)
{
	int *fd = arg;

	/* Whatever comes of it: the other end decides that. */
	lease(*fd, MYDEV_LEASE_ACQUIRE, UINT32_MAX);
	return 0;
}

/* Nobody else runs on this processor, and the children on no other, until this sleeps. */
static void run_alone(bool alone)
{
	struct sched_param param = { .sched_priority = alone };

	assert_return_code(sched_setscheduler(0, alone ? SCHED_FIFO : SCHED_OTHER, &param), errno);
}

/*
 * Between its being given the turn, which it waits for, and its having the lease, it
 * is revoked: both are done before it can run.
 */
TEST(revoked_with_lease)
{
	int other = node_open(O_RDWR);
	cpu_set_t old, one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	assert_return_code(sched_getaffinity(0, sizeof(old), &old), errno);
	assert_return_code(sched_setaffinity(0, sizeof(one), &one), errno);
	for (unsigned int round = 0; round < 10; round++) {
		int asker = node_open(O_RDWR), fd = node_open(O_WRONLY);
		uint32_t has_turn = info_of(asker).client_id, waits = info_of(fd).client_id;
		uint64_t bytes = sim_number("out_bytes");
		pid_t asks = spawn(asks_in_vain, &asker), leaser;

		await(sim_number("out_bytes") == bytes + 100);
		leaser = spawn(leases, &fd);
		await_sleeping(leaser);
		run_alone(true);
		assert_return_code(select_one(other, MYDEV_IOC_REVOKE, has_turn), errno);
		assert_return_code(select_one(other, MYDEV_IOC_REVOKE, waits), errno);
		run_alone(false);
		assert_int_equal(reap(leaser, PROMPT), 0);
		assert_int_equal(reap(asks, PROMPT), ESTALE);
		if (acquire(other))
			fail_msg("a revoked descriptor has the lease: %s", sysfs("lease"));
		assert_return_code(release(other), errno);
		close(asker);
		close(fd);
	}
	assert_return_code(sched_setaffinity(0, sizeof(old), &old), errno);
}

/* --- who may do what -------------------------------------------------------- */

enum role { READER, WRITER, BOTH, ROLES };

static const int role_flags[ROLES] = { O_RDONLY, O_WRONLY, O_RDWR };
static const char *const role_names[ROLES] = { "O_RDONLY", "O_WRONLY", "O_RDWR" };

/*
 * Every request, with an argument that is good, so that each way to make it bad
 * shows alone; and what each role gets for the good one: 0 or an errno, that of
 * root and that of others.
 */
static const struct request {
	const char *name;
	unsigned long cmd;
	uint32_t size;
	uint32_t min;
	uint32_t argument[4]; /* behind the size */
	unsigned int words;   /* how many of them are given */
	int root[ROLES];
	int other[ROLES];
	uint32_t reserved; /* offset of a member that must be zero, 0 for none */
	bool out;          /* it writes its argument, or memory that it points to */
} requests[] = {
	{ "GET_INFO", MYDEV_IOC_GET_INFO, sizeof(struct mydev_info), 72, .out = true },
	{ "GET_STATS", MYDEV_IOC_GET_STATS, sizeof(struct mydev_stats), 136, .reserved = 4,
	  .out = true },
	{ "GET_CONFIG", MYDEV_IOC_GET_CONFIG, sizeof(struct mydev_config), 32, .reserved = 4,
	  .out = true },
	/* Not a single setting of reading: 0 is no depth, and good for a writer. */
	{ "SET_CONFIG", MYDEV_IOC_SET_CONFIG, sizeof(struct mydev_config), 32,
	  .root = { ERANGE, 0, ERANGE }, .other = { ERANGE, 0, ERANGE } },
	{ "GET_GEOMETRY", MYDEV_IOC_GET_GEOMETRY, sizeof(struct mydev_geometry), 48, .reserved = 44,
	  .out = true },
	{ "SET_GEOMETRY", MYDEV_IOC_SET_GEOMETRY, sizeof(struct mydev_geometry), 48,
	  .root = { EBADF, ERANGE, ERANGE }, .other = { EBADF, ERANGE, ERANGE }, .reserved = 44 },
	/* GET_STATUS of the device: outside of the interface. */
	{ "CONTROL", MYDEV_IOC_CONTROL, sizeof(struct mydev_control), 40, .argument = { 0, 0x80 },
	  .words = 2, .root = { EBADF, EACCES, EACCES }, .other = { EBADF, EACCES, EACCES },
	  .reserved = 4 },
	{ "CLEAR_HALT", MYDEV_IOC_CLEAR_HALT, sizeof(struct mydev_select), 8, .argument = { 0x8f },
	  .words = 1, .root = { EBADF, EACCES, EACCES }, .other = { EBADF, EACCES, EACCES } },
	{ "SET_ALTERNATE", MYDEV_IOC_SET_ALTERNATE, sizeof(struct mydev_select), 8,
	  .argument = { 77 }, .words = 1, .root = { EBADF, ERANGE, ERANGE },
	  .other = { EBADF, ERANGE, ERANGE } },
	{ "RESET", MYDEV_IOC_RESET, sizeof(struct mydev_select), 8, .root = { EBADF, 0, 0 },
	  .other = { EBADF, EPERM, EPERM }, .reserved = 4 },
	{ "LEASE", MYDEV_IOC_LEASE, sizeof(struct mydev_lease), 16, .root = { EBADF, 0, 0 },
	  .other = { EBADF, 0, 0 }, .reserved = 12 },
	{ "TRANSACT", MYDEV_IOC_TRANSACT, sizeof(struct mydev_transact), 40,
	  .argument = { 0, 0, 1 }, .words = 3, .root = { EBADF, EBADF, ERANGE },
	  .other = { EBADF, EBADF, ERANGE }, .reserved = 4 },
	{ "REVOKE", MYDEV_IOC_REVOKE, sizeof(struct mydev_select), 8, .argument = { 1U << 31 },
	  .words = 1, .root = { ESRCH, ESRCH, ESRCH }, .other = { EPERM, EPERM, EPERM } },
	{ "GET_MAP", MYDEV_IOC_GET_MAP, sizeof(struct mydev_map), 72, .root = { 0, EBADF, 0 },
	  .other = { 0, EBADF, 0 }, .reserved = 64, .out = true },
	/* There is no ring. */
	{ "SYNC", MYDEV_IOC_SYNC, sizeof(struct mydev_select), 8, .root = { EINVAL, EBADF, EINVAL },
	  .other = { EINVAL, EBADF, EINVAL }, .reserved = 4 },
	/* To the oldest; a value would not be for that. */
	{ "REWIND", MYDEV_IOC_REWIND, sizeof(struct mydev_rewind), 16, .root = { 0, EBADF, 0 },
	  .other = { 0, EBADF, 0 }, .reserved = 8 },
};

#define REQUESTS (sizeof(requests) / sizeof(requests[0]))

static unsigned char *good(const struct request *r)
{
	static union {
		struct {
			uint32_t size;
			uint32_t argument[4];
		};
		unsigned char bytes[1 << 14];
	} arg;

	memset(&arg, 0, sizeof(arg));
	arg.size = r->size;
	memcpy(arg.argument, r->argument, r->words * sizeof(uint32_t));
	return arg.bytes;
}

static unsigned char *with(unsigned char *arg, uint32_t offset, uint32_t value)
{
	memcpy(arg + offset, &value, sizeof(value));
	return arg;
}

/* 0 or an errno */
static int ask_for(int fd, unsigned long cmd, const void *arg)
{
	return ioctl(fd, cmd, arg) < 0 ? errno : 0;
}

struct cell {
	const struct request *r;
	enum role role;
	bool root;
	int fd;
	unsigned int wrong;
	char *edge; /* the end of memory */
};

static void want(struct cell *c, const char *what, int got, int wanted)
{
	if (got == wanted)
		return;
	printf("# %s, %s, %s, %s: %s instead of %s\n", c->r->name, role_names[c->role],
	       c->root ? "root" : "others", what, strerror(got), strerror(wanted));
	c->wrong++;
}

static void try_cell(struct cell *c)
{
	const struct request *r = c->r;
	/* The role is looked at first: who may not, is not told what is wrong. */
	int may = (c->root ? r->root : r->other)[c->role] == EBADF ? EBADF : 0;
	int wanted = (c->root ? r->root : r->other)[c->role];
	static const uint32_t sizes[] = { 0, 1, 2, 3, 4, 7 };
	long page = sysconf(_SC_PAGESIZE);

	want(c, "good", ask_for(c->fd, r->cmd, good(r)), wanted);
	for (unsigned int i = 0; i < 6; i++)
		want(c, "too small", ask_for(c->fd, r->cmd, with(good(r), 0, sizes[i])),
		     may ?: EINVAL);
	want(c, "one short", ask_for(c->fd, r->cmd, with(good(r), 0, r->min - 1)), may ?: EINVAL);
	want(c, "over a page", ask_for(c->fd, r->cmd, with(good(r), 0, page + 1)), may ?: E2BIG);
	want(c, "huge", ask_for(c->fd, r->cmd, with(good(r), 0, UINT32_MAX)), may ?: E2BIG);
	want(c, "longer, zero", ask_for(c->fd, r->cmd, with(good(r), 0, r->size + 64)), wanted);
	want(c, "longer, not zero",
	     ask_for(c->fd, r->cmd, with(with(good(r), 0, r->size + 64), r->size + 32, 1)),
	     may ?: E2BIG);
	if (r->reserved)
		for (int bit = 0; bit < 32; bit++)
			want(c, "reserved member",
			     ask_for(c->fd, r->cmd, with(good(r), r->reserved, 1U << bit)),
			     may ?: EINVAL);
	want(c, "no pointer", ask_for(c->fd, r->cmd, NULL), may ?: EFAULT);
	want(c, "bad pointer", ask_for(c->fd, r->cmd, (void *)-1L), may ?: EFAULT);
	memcpy(c->edge - r->size + 4, good(r), r->size - 4);
	want(c, "cut by the end of memory", ask_for(c->fd, r->cmd, c->edge - r->size + 4),
	     may ?: EFAULT);
	want(c, "other type", ask_for(c->fd, r->cmd ^ 0x100, good(r)), ENOTTY);
	want(c, "with a size in the number", ask_for(c->fd, r->cmd | r->size << 16, good(r)),
	     ENOTTY);
}

static bool become_nobody(void)
{
	return !setgroups(0, NULL) && !setgid(65534) && !setuid(65534);
}

/* In a process of its own, which may give up its rights. */
static int try_table(void *arg)
{
	struct cell c = *(struct cell *)arg;
	unsigned int cells = 0;
	int fds[ROLES];

	for (int i = 0; i < ROLES; i++)
		fds[i] = open(node, role_flags[i]);
	if (!c.root && !become_nobody())
		return 100;
	for (unsigned int i = 0; i < REQUESTS; i++) {
		for (c.role = 0; c.role < ROLES; c.role++) {
			c.r = &requests[i];
			c.fd = fds[c.role];
			try_cell(&c);
			cells++;
		}
	}
	printf("# %u cells, %u wrong\n", cells, c.wrong);
	fflush(stdout);
	return c.wrong > 99 ? 99 : c.wrong;
}

TEST(table)
{
	long page = sysconf(_SC_PAGESIZE);
	char *map = private_memory(2 * page);
	struct cell c = { .root = true, .edge = map + page };

	deadline(170);
	assert_return_code(mprotect(map + page, page, PROT_NONE), errno);
	assert_int_equal(reap(spawn(try_table, &c), 80), 0);
	c.root = false;
	assert_int_equal(reap(spawn(try_table, &c), 80), 0);
	/* That was a table of all of them. */
	assert_errno(ioctl(node_open(O_RDWR), _IO(MYDEV_IOC_TYPE, REQUESTS), buf), ENOTTY);
}

static int use_passed(void *arg)
{
	int socket = *(int *)arg;
	char control_data[CMSG_SPACE(sizeof(int))], byte;
	struct iovec io = { &byte, 1 };
	struct msghdr m = { .msg_iov = &io,
			    .msg_iovlen = 1,
			    .msg_control = control_data,
			    .msg_controllen = sizeof(control_data) };
	int fd;

	if (!become_nobody() || recvmsg(socket, &m, 0) != 1 || !CMSG_FIRSTHDR(&m))
		return 1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	/* The role came with it, the node cannot be opened by us. */
	if (!access(node, R_OK))
		return 2;
	if (write(fd, buf, 100) != -1 || errno != EBADF)
		return 3;
	if (acquire(fd) != -1 || errno != EBADF)
		return 4;
	return read(fd, buf, 1000) == 1000 ? 0 : 5;
}

TEST(passed_on)
{
	char control_data[CMSG_SPACE(sizeof(int))] = "";
	struct iovec io = { "x", 1 };
	struct msghdr m = { .msg_iov = &io,
			    .msg_iovlen = 1,
			    .msg_control = control_data,
			    .msg_controllen = sizeof(control_data) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int fd = node_open(O_RDONLY), sockets[2];
	pid_t pid;

	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), errno);
	pid = spawn(use_passed, &sockets[1]);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	assert_int_equal(sendmsg(sockets[0], &m, 0), 1);
	feed(1, "1000");
	assert_int_equal(reap(pid, 20), 0);
}

/* --- the lease -------------------------------------------------------------- */

TEST(exclusive)
{
	int holder = node_open(O_RDWR), other = node_open(O_RDWR), reader = node_open(O_RDONLY);
	struct pollfd p = { .fd = other, .events = POLLOUT };
	char want_line[64];
	struct verifier v;

	assert_string_equal(sysfs("lease"), "");
	assert_return_code(acquire(holder), errno);
	assert_return_code(acquire(holder), errno);
	snprintf(want_line, sizeof(want_line), "%d share_test", getpid());
	assert_string_equal(sysfs("lease"), want_line);
	assert_errno(acquire(other), EBUSY);
	assert_errno(write(other, buf, 10), EBUSY);
	assert_errno(control(other), EBUSY);
	assert_errno(transact(other, 100), EBUSY);
	assert_errno(select_one(other, MYDEV_IOC_CLEAR_HALT, info_of(other).ep_in), EBUSY);
	assert_errno(select_one(other, MYDEV_IOC_SET_ALTERNATE, 0), EBUSY);
	assert_errno(select_one(other, MYDEV_IOC_RESET, 0), EBUSY);
	assert_int_equal(poll(&p, 1, 0), 0);
	/* Releasing what one does not have takes nothing from who has it. */
	assert_return_code(release(other), errno);
	assert_errno(acquire(other), EBUSY);

	/* Who has it may; who reads does not notice. */
	assert_int_equal(write(holder, buf, 10), 10);
	assert_return_code(fsync(holder), errno);
	assert_return_code(control(holder), errno);
	verify_from(&v, next_counter());
	feed(20, "1000");
	take_packets(reader, &v, 20, 0);

	assert_return_code(release(holder), errno);
	assert_string_equal(sysfs("lease"), "");
	assert_int_equal(poll(&p, 1, 0), 1);
	assert_int_equal(write(other, buf, 10), 10);
	assert_return_code(acquire(other), errno);
	assert_errno(write(holder, buf, 10), EBUSY);
	assert_return_code(fsync(other), errno);
}

static int wait_for_lease(void *arg)
{
	int fd = open(node, O_RDWR);

	(void)arg;
	return lease(fd, MYDEV_LEASE_ACQUIRE, 30000) ? errno : 0;
}

static int hold_lease(void *arg)
{
	int fd = open(node, O_RDWR);

	(void)arg;
	if (acquire(fd))
		return errno;
	for (;;)
		pause();
}

/* Not too early; see too_slow() in control_test.c. */
static bool timed_out(void **state)
{
	int fd = *(int *)*state;
	double begin = now();

	assert_errno(lease(fd, MYDEV_LEASE_ACQUIRE, 300), ETIMEDOUT);
	return now() - begin >= 0.29;
}

TEST(waited_for)
{
	int fd = node_open(O_RDWR), other = node_open(O_RDWR);
	void *arg = &other;
	pid_t pid;

	assert_return_code(acquire(fd), errno);
	holds_once(timed_out, NULL, &arg);
	set_nonblock(other, true);
	assert_errno(lease(other, MYDEV_LEASE_ACQUIRE, UINT32_MAX), EBUSY);
	pid = spawn(wait_for_lease, NULL);
	await_sleeping(pid);
	assert_return_code(release(fd), errno);
	assert_int_equal(reap(pid, PROMPT), 0);
	/* It has ended, and its lease with it. */
	await(!*sysfs("lease"));

	/* One that is killed while it waits takes nothing with it. */
	assert_return_code(acquire(fd), errno);
	pid = spawn(wait_for_lease, NULL);
	await_sleeping(pid);
	kill(pid, SIGKILL);
	assert_int_equal(reap(pid, PROMPT), 128 + SIGKILL);
	assert_return_code(release(fd), errno);
	assert_return_code(acquire(fd), errno);
}

TEST(ends_with_holder)
{
	int fd = node_open(O_RDWR), copy;
	pid_t pid, waiter;

	pid = spawn(hold_lease, NULL);
	await(*sysfs("lease"));
	waiter = spawn(wait_for_lease, NULL);
	await_sleeping(waiter);
	assert_errno(write(fd, buf, 1), EBUSY);
	kill(pid, SIGKILL);
	assert_int_equal(reap(pid, PROMPT), 128 + SIGKILL);
	assert_int_equal(reap(waiter, PROMPT), 0);
	await(!*sysfs("lease"));

	/* It is the file's, not the descriptor's. */
	assert_return_code(acquire(fd), errno);
	copy = dup(fd);
	if (copy < 0)
		fail_msg("dup: %s", strerror(errno));
	close(fd);
	assert_true(*sysfs("lease"));
	assert_int_equal(write(copy, buf, 1), 1);
	/* Whoever counts next is not to count this. */
	assert_return_code(fsync(copy), errno);
	close(copy);
	assert_string_equal(sysfs("lease"), "");
}

static int long_write(void *arg)
{
	int fd = open(node, O_WRONLY), error = 0;

	(void)arg;
	if (fd < 0)
		return 1;
	for (int i = 0; i < 2; i++)
		error |= write(fd, buf, sizeof(buf)) != sizeof(buf);
	close(fd);
	return error;
}

TEST(lets_messages_end)
{
	int fd = node_open(O_RDWR | O_NONBLOCK);
	uint64_t bytes = sim_number("out_bytes");
	pid_t writer, waiter;

	sim_do("refuse");
	writer = spawn(long_write, NULL);
	await_sleeping(writer);
	/* The second message is under way and has no room for its end. */
	assert_errno(acquire(fd), EAGAIN);
	waiter = spawn(wait_for_lease, NULL);
	await_sleeping(waiter);
	assert_stays(!*sysfs("lease"));
	sim_do("accept");
	assert_int_equal(reap(waiter, 20), 0);
	assert_int_equal(reap(writer, 20), 0);
	await(sim_number("out_bytes") == bytes + 2 * sizeof(buf));
}

TEST(gone_with_device)
{
	int fd = node_open(O_RDWR);
	pid_t pid;

	assert_return_code(acquire(fd), errno);
	pid = spawn(wait_for_lease, NULL);
	await_sleeping(pid);
	unplug();
	assert_int_equal(reap(pid, PROMPT), ENODEV);
	assert_errno(acquire(fd), ENODEV);
	assert_return_code(release(fd), errno);
}

/* --- revoke ----------------------------------------------------------------- */

static int blocked_read(void *arg)
{
	return read(*(int *)arg, buf, 10) < 0 ? errno : 0;
}

static int blocked_poll(void *arg)
{
	struct pollfd p = { .fd = *(int *)arg, .events = POLLIN };

	return poll(&p, 1, -1) == 1 ? p.revents : 0;
}

static int blocked_write(void *arg)
{
	while (write(*(int *)arg, buf, sizeof(buf)) > 0)
		;
	return errno;
}

static int blocked_lease(void *arg)
{
	return lease(*(int *)arg, MYDEV_LEASE_ACQUIRE, UINT32_MAX) ? errno : 0;
}

static int blocked_transact(void *arg)
{
	return transact(*(int *)arg, 60000) ? errno : 0;
}

static void assert_revoked(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };
	struct mydev_info info = { .size = sizeof(info) };
	char text[1024];

	assert_errno(read(fd, buf, 1), ESTALE);
	assert_errno(write(fd, buf, 1), ESTALE);
	assert_errno(fsync(fd), ESTALE);
	assert_errno(ioctl(fd, MYDEV_IOC_GET_INFO, &info), ESTALE);
	assert_errno(acquire(fd), ESTALE);
	assert_errno(control(fd), ESTALE);
	assert_errno(transact(fd, 10), ESTALE);
	assert_errno(select_one(fd, MYDEV_IOC_REVOKE, 0), ESTALE);
	assert_int_equal(poll(&p, 1, 0), 1);
	assert_true(p.revents & POLLHUP && p.revents & POLLERR);
	fdinfo(fd, text, sizeof(text));
	assert_non_null(strstr(text, "mydev-revoked:\t1\n"));
}

TEST(ones_own)
{
	int fd = node_open(O_RDWR), other = node_open(O_RDWR);
	struct verifier v;

	ask(other);
	assert_return_code(acquire(fd), errno);
	ask(fd);
	verify_from(&v, next_counter());
	feed(10, "1000");
	await_queued(fd, 10);
	assert_return_code(select_one(fd, MYDEV_IOC_REVOKE, 0), errno);
	assert_revoked(fd);
	assert_string_equal(sysfs("lease"), "");
	/* What it had queued it has lost, and is seen to have. */
	fdinfo(fd, (char *)buf, sizeof(buf));
	assert_non_null(strstr((char *)buf, "mydev-queued-packets:\t0\n"));
	assert_non_null(strstr((char *)buf, "mydev-queued-bytes:\t0\n"));
	assert_non_null(strstr((char *)buf, "mydev-lost-packets:\t10\n"));
	/* It counts as open until it is closed, and holds nothing. */
	assert_int_equal(sysfs_number("clients"), 2);
	take_packets(other, &v, 10, 0);
	await(stats_of(other).free_buffers + stats_of(other).in_flight ==
	      info_of(other).pool_buffers);
	assert_int_equal(write(other, buf, 10), 10);
	close(fd);
	assert_int_equal(sysfs_number("clients"), 1);
}

TEST(wakes_sleepers)
{
	static int (*const calls[])(void *) = { blocked_read, blocked_poll, blocked_write,
						blocked_lease };
	int admin = node_open(O_RDWR);

	for (unsigned int i = 0; i < 4; i++) {
		int fd = node_open(O_RDWR);
		uint32_t id = info_of(fd).client_id;
		pid_t pid;

		if (i == 3)
			assert_return_code(acquire(admin), errno);
		sim_do("refuse");
		pid = spawn(calls[i], &fd);
		await_sleeping(pid);
		assert_return_code(select_one(admin, MYDEV_IOC_REVOKE, id), errno);
		assert_int_equal(reap(pid, PROMPT), i == 1 ? POLLIN | POLLHUP | POLLERR : ESTALE);
		assert_revoked(fd);
		assert_errno(select_one(admin, MYDEV_IOC_REVOKE, id), ESRCH);
		close(fd);
		sim_do("accept");
	}
	assert_return_code(release(admin), errno);
	assert_int_equal(write(admin, buf, 10), 10);
	assert_return_code(fsync(admin), errno);
}

TEST(wakes_exchange)
{
	int fd = node_open(O_RDWR), admin = node_open(O_RDWR);
	pid_t pid, second;

	pid = spawn(blocked_transact, &fd);
	await_sleeping(pid);
	/* Waits for the turn, behind it. */
	second = spawn(blocked_transact, &fd);
	await_sleeping(second);
	assert_return_code(select_one(admin, MYDEV_IOC_REVOKE, info_of(fd).client_id), errno);
	assert_int_equal(reap(pid, PROMPT), ESTALE);
	assert_int_equal(reap(second, PROMPT), ESTALE);
	assert_int_equal(write(admin, buf, 10), 10);
	assert_return_code(fsync(admin), errno);
}

/* A ring that it had stopped goes on. */
TEST(frees_the_ring)
{
	int slow = node_open(O_RDWR), fd = node_open(O_RDWR);
	struct verifier v;

	ask(slow);
	verify_from(&v, next_counter());
	ask(fd);
	feed_forever("20000");
	while (stats_of(fd).in_flight || !stats_of(fd).client_packets)
		assert_null(read_packets(fd, &v, 1, 0));
	await_ring_stop(fd);
	assert_return_code(select_one(fd, MYDEV_IOC_REVOKE, info_of(slow).client_id), errno);
	assert_null(read_packets(fd, &v, 300, 0));
	assert_revoked(slow);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("every request, every role, root or not, every way to be wrong", table,
			fresh_share),
		PROMISE("a descriptor that is passed on keeps its role", passed_on, fresh_share),
		PROMISE("the lease keeps others from sending and controlling", exclusive,
			fresh_share),
		PROMISE("the lease can be waited for", waited_for, fresh_share),
		PROMISE("the lease ends with its holder", ends_with_holder, fresh_share),
		PROMISE("a message that has begun is let end before the lease", lets_messages_end,
			fresh_share),
		PROMISE("unplug ends the wait for the lease", gone_with_device, fresh_share),
		PROMISE("revoke of one's own descriptor is final", ones_own, fresh_share),
		PROMISE("revoke wakes whoever sleeps", wakes_sleepers, fresh_share),
		PROMISE("revoke ends exchanges", wakes_exchange, fresh_share),
		PROMISE("EPOLLEXCLUSIVE: each descriptor that may send is told", exclusive_pollers,
			fresh_share),
		PROMISE("256 threads wait to send, one more is told so", crowded, fresh_share),
		PROMISE("256 threads wait for the lease, one more is told so", crowded_lease,
			fresh_share),
		PROMISE("revoke while getting the lease: the lease is free", revoked_with_lease,
			fresh_share),
		PROMISE("revoke frees a ring that was stopped", frees_the_ring, fresh_share),
	};

	return run_promises(tests);
}
