// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that comes late or never. Pages of a program may be served by another
 * program (userfaultfd, FUSE) or by a server that is down; who waits for one must
 * keep nothing from others, and may no longer do what it could do before.
 * tests/suites starts the simulated device with --endpoints both.
 */
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "requests.h"
#include "settings.h"

#define PAGE  4096
#define PAGES 32
/* Ends with a short packet. */
#define SHORT 100

static unsigned char buf[1 << 18];

/* Memory whose pages, from @late on, are there when serve() says so. */
struct slow_memory {
	unsigned char *at;
	int fd;
};

static void slow_begin(struct slow_memory *m, unsigned int late)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	m->fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (m->fd < 0) {
		print_message("# no userfaultfd: %s\n", strerror(errno));
		skip();
	}
	assert_return_code(ioctl(m->fd, UFFDIO_API, &api), errno);
	m->at = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		     0);
	assert_ptr_not_equal(m->at, MAP_FAILED);
	memset(m->at, 'e', late * PAGE);
	reg.range.start = (uintptr_t)m->at;
	reg.range.len = PAGES * PAGE;
	assert_return_code(ioctl(m->fd, UFFDIO_REGISTER, &reg), errno);
}

/* Somebody waits for a page. */
static void await_fault(const struct slow_memory *m)
{
	struct pollfd p = { .fd = m->fd, .events = POLLIN };
	struct uffd_msg message;

	assert_int_equal(poll(&p, 1, 20000), 1);
	assert_int_equal(read(m->fd, &message, sizeof(message)), sizeof(message));
	assert_int_equal(message.event, UFFD_EVENT_PAGEFAULT);
}

/* All pages that are missing are there now. */
static void serve(const struct slow_memory *m)
{
	for (unsigned int i = 0; i < PAGES; i++) {
		struct uffdio_copy copy = { .dst = (uintptr_t)m->at + i * PAGE,
					    .src = (uintptr_t)buf,
					    .len = PAGE };

		if (ioctl(m->fd, UFFDIO_COPY, &copy))
			assert_int_equal(errno, EEXIST);
	}
}

static void slow_end(struct slow_memory *m)
{
	munmap(m->at, PAGES * PAGE);
	close(m->fd);
}

/* A thread that is in a call, as a process would not share the pages. */
struct caller {
	pthread_t thread;
	int fd;
	void *data;
	size_t size;
	ssize_t ret;
	int error;
};

static void *writes(void *arg)
{
	struct caller *c = arg;

	c->ret = write(c->fd, c->data, c->size);
	c->error = c->ret < 0 ? errno : 0;
	return NULL;
}

static void *controls(void *arg)
{
	struct caller *c = arg;

	c->error = control_out(c->fd, SIM_REQ_WRITE, 1, c->data, c->size, PATIENT);
	return NULL;
}

static void *sets_geometry(void *arg)
{
	struct caller *c = arg;

	c->error = ioctl(c->fd, MYDEV_IOC_SET_GEOMETRY, c->data) ? errno : 0;
	return NULL;
}

static void call(struct caller *c, void *(*fn)(void *), int fd, void *data, size_t size)
{
	*c = (struct caller){ .fd = fd, .data = data, .size = size };
	assert_int_equal(pthread_create(&c->thread, NULL, fn, c), 0);
}

static int fresh_late(void **state)
{
	fresh_defaults(state);
	sim_do("accept");
	return 0;
}

/* --- what one may no longer do -------------------------------------------------- */

TEST(late_control)
{
	for (unsigned int revokes = 0; revokes < 2; revokes++) {
		int fd = node_open(O_RDWR), other = node_open(O_RDWR);
		uint64_t requests = requests_so_far();
		struct slow_memory m;
		struct caller c;

		slow_begin(&m, 0);
		call(&c, controls, fd, m.at, 64);
		await_fault(&m);
		if (revokes)
			assert_int_equal(revoke_client(other, info_of(fd).client_id), 0);
		assert_int_equal(lease(other, MYDEV_LEASE_ACQUIRE, 0), 0);
		serve(&m);
		pthread_join(c.thread, NULL);
		assert_int_equal(c.error, revokes ? ESTALE : EBUSY);
		assert_int_equal(requests_so_far(), requests);
		slow_end(&m);
		close(fd);
		close(other);
	}
}

/* The argument itself is what comes late. */
TEST(late_argument)
{
	int fd = node_open(O_RDWR), other = node_open(O_RDWR);
	struct mydev_geometry before = geometry_of(other), *g;
	struct slow_memory m;
	struct caller c;

	slow_begin(&m, 1);
	/* Its size is there, the rest of it not. */
	g = (struct mydev_geometry *)(m.at + PAGE - 16);
	g->size = sizeof(*g);
	call(&c, sets_geometry, fd, g, 0);
	await_fault(&m);
	assert_int_equal(revoke_client(other, info_of(fd).client_id), 0);
	serve(&m);
	pthread_join(c.thread, NULL);
	assert_int_equal(c.error, ESTALE);
	assert_int_equal(geometry_of(other).transfers, before.transfers);
	slow_end(&m);
}

/* --- what others may do meanwhile ------------------------------------------------- */

static void assert_free_for(int fd)
{
	set_nonblock(fd, true);
	assert_int_equal(write(fd, buf, SHORT), SHORT);
	assert_int_equal(lease(fd, MYDEV_LEASE_ACQUIRE, 0), 0);
	assert_int_equal(lease(fd, MYDEV_LEASE_RELEASE, 0), 0);
	assert_return_code(fsync(fd), errno);
}

/* A message of which so many bytes are there, and as many as SHORT are not. */
static void write_late(size_t there)
{
	int fd = node_open(O_WRONLY), other = node_open(O_WRONLY);
	uint64_t bytes = sim_number("out_bytes");
	struct slow_memory m;
	struct caller c;

	slow_begin(&m, 1);
	call(&c, writes, fd, m.at + PAGE - there, there + SHORT);
	await_fault(&m);
	assert_free_for(other);
	/* Nor does it matter who goes meanwhile. */
	assert_int_equal(revoke_client(other, 0), 0);
	serve(&m);
	pthread_join(c.thread, NULL);
	assert_int_equal(c.ret, there + SHORT);
	assert_return_code(fsync(fd), errno);
	await(sim_number("out_bytes") == bytes + SHORT + there + SHORT);
	slow_end(&m);
}

/* Of a message that has not begun nobody is kept from anything. */
TEST(late_message)
{
	write_late(0);
}

/* Where it begins in one page and ends in another, nothing of it is sent before. */
TEST(late_end_of_message)
{
	write_late(SHORT);
}

/*
 * A long one that has begun may not be broken up, so others wait; but not for who
 * was revoked.
 */
TEST(late_in_the_midst)
{
	int fd = node_open(O_WRONLY), other = node_open(O_WRONLY);
	uint32_t part = info_of(fd).send_size;
	struct slow_memory m;
	struct caller c, w;

	slow_begin(&m, part / PAGE);
	call(&c, writes, fd, m.at, part + 2 * PAGE + SHORT);
	await_fault(&m);
	set_nonblock(other, true);
	assert_errno(write(other, buf, SHORT), EAGAIN);
	assert_int_equal(lease(other, MYDEV_LEASE_ACQUIRE, 0), EAGAIN);
	/* One that waits in turn gets it by the revoke as well. */
	set_nonblock(other, false);
	call(&w, writes, other, buf, SHORT);
	assert_int_equal(revoke_client(other, info_of(fd).client_id), 0);
	pthread_join(w.thread, NULL);
	assert_int_equal(w.ret, SHORT);
	assert_free_for(other);
	serve(&m);
	pthread_join(c.thread, NULL);
	/* What had been taken was taken, and is given up. */
	if (c.ret != part)
		assert_int_equal(c.error, ESTALE);
	assert_errno(write(fd, buf, SHORT), ESTALE);
	assert_free_for(other);
	slow_end(&m);
}

/* --- no sleep where none was asked for -------------------------------------------- */

static long naps(void)
{
	struct rusage usage;

	assert_return_code(getrusage(RUSAGE_THREAD, &usage), errno);
	return usage.ru_nvcsw;
}

static bool device_is(const char *status)
{
	char text[32] = "";
	FILE *f = fopen("/sys/class/mydev/mydev0/device/../power/runtime_status", "re");

	if (f && fgets(text, sizeof(text), f))
		text[strcspn(text, "\n")] = 0;
	if (f)
		fclose(f);
	return !strcmp(text, status);
}

static void power(const char *attribute, const char *value)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/mydev/mydev0/device/../power/%s", attribute);
	f = fopen(path, "we");
	if (f) {
		fputs(value, f);
		if (fclose(f))
			fail_msg("%s: %s", path, strerror(errno));
	} else {
		print_message("# no runtime power management in this kernel\n");
		skip();
	}
}

/* What is written to a sleeping device without waiting is sent when it is awake. */
TEST(asleep)
{
	int fd = node_open(O_WRONLY);
	struct iovec vec = { .iov_base = buf, .iov_len = SHORT };
	uint64_t bytes = sim_number("out_bytes");

	power("autosuspend_delay_ms", "0");
	power("control", "auto");
	for (unsigned int round = 1; round <= 5; round++) {
		long before;

		await(device_is("suspended"));
		before = naps();
		assert_int_equal(pwritev2(fd, &vec, 1, -1, RWF_NOWAIT), SHORT);
		assert_int_equal(naps(), before);
		assert_return_code(fsync(fd), errno);
		await(sim_number("out_bytes") == bytes + round * SHORT);
	}
	power("control", "on");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("a control request that comes after the revoke, or a lease: not sent",
			late_control, fresh_late),
		PROMISE("an argument that comes after the revoke: ESTALE", late_argument,
			fresh_late),
		PROMISE("a message whose page is missing keeps nobody from sending", late_message,
			fresh_late),
		PROMISE("nor one whose end is missing, and it is sent as one", late_end_of_message,
			fresh_late),
		PROMISE("a long one that has begun does until its writer is revoked",
			late_in_the_midst, fresh_late),
		PROMISE("RWF_NOWAIT to a sleeping device does not wait for it", asleep, fresh_late),
	};

	return run_promises(tests);
}
