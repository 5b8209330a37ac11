// SPDX-License-Identifier: GPL-2.0-only
/*
 * Control requests and clearing halts: what goes through, what does not, and
 * that nobody who waits for a slow device is in the way of another.
 */
#include <inttypes.h>
#include <linux/usb/ch9.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "inject.h"
#include "records.h"
#include "requests.h"
#include "settings.h"

#define GUARD 0xa5

/* More than a control request can bring. */
static unsigned char buf[1 << 17];

static bool is_pattern(const unsigned char *data, uint16_t value, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++) {
		if (data[i] != sim_control_byte(value, i))
			return false;
	}
	return true;
}

static void make_pattern(uint16_t value, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++)
		buf[i] = sim_control_byte(value, i);
}

static bool guarded(uint32_t from)
{
	for (uint32_t i = from; i < sizeof(buf); i++) {
		if (buf[i] != GUARD)
			return false;
	}
	return true;
}

/* Both directions of one length, to one recipient. */
static void there_and_back(int fd, uint8_t type, uint16_t index, uint16_t value, uint32_t length)
{
	uint8_t class = (type & USB_TYPE_MASK) == USB_TYPE_CLASS ? SIM_REQ_CLASS : 0;
	uint64_t taken = sim_number("control_bytes");
	struct mydev_control c = {
		.request_type = type | USB_DIR_IN,
		.request = class + SIM_REQ_READ,
		.value = value,
		.index = index,
		.length = length,
		.data = (uintptr_t)buf,
	};

	memset(buf, GUARD, sizeof(buf));
	assert_int_equal(try_control(fd, &c), 0);
	assert_int_equal(c.actual, length);
	assert_true(is_pattern(buf, value, length));
	assert_true(guarded(length));

	c.request_type = type;
	c.request = class + SIM_REQ_WRITE;
	c.value = value ^ 0x5a5a;
	c.actual = 77;
	make_pattern(c.value, length);
	assert_int_equal(try_control(fd, &c), 0);
	assert_int_equal(c.actual, length);
	/* The device counts behind the request. */
	await(sim_number("control_bytes") == taken + length);
}

TEST(all_lengths)
{
	static const uint32_t lengths[] = { 0, 1, 2, 63, 64, 65, 511, 512, 513, 1024, 4095, 4096 };
	static const uint8_t types[] = { USB_TYPE_VENDOR, USB_TYPE_CLASS };
	uint64_t errors = sim_number("control_errors");
	int fd = node_open(O_WRONLY);
	struct mydev_info info = info_of(fd);
	uint16_t value = 0x1234;

	for (unsigned int t = 0; t < 2; t++) {
		for (unsigned int i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
			uint8_t type = types[t];
			uint32_t n = lengths[i];

			there_and_back(fd, type | USB_RECIP_INTERFACE, 0, value++, n);
			/* What is above the interface's number is the device's business. */
			there_and_back(fd, type | USB_RECIP_INTERFACE, 0x4200, value++, n);
			there_and_back(fd, type | USB_RECIP_ENDPOINT, info.ep_in, value++, n);
			there_and_back(fd, type | USB_RECIP_ENDPOINT, info.ep_out, value++, n);
		}
	}
	assert_int_equal(sim_number("control_errors"), errors);
}

/* A data stage of the gadget side of Linux has at most 4096 bytes. */
TEST(beyond_the_device)
{
	static const uint32_t lengths[] = { 4097, 8192, 65535 };
	int fd = node_open(O_RDWR);

	for (unsigned int i = 0; i < 3; i++) {
		struct mydev_control c = {
			.request_type = TO_INTERFACE | USB_DIR_IN,
			.request = SIM_REQ_READ,
			.value = 7,
			.length = lengths[i],
			.data = (uintptr_t)buf,
		};

		memset(buf, GUARD, sizeof(buf));
		assert_int_equal(try_control(fd, &c), 0);
		assert_int_equal(c.actual, 4096);
		assert_true(is_pattern(buf, 7, 4096));
		/* Nothing of what was not filled, be it the kernel's memory. */
		assert_true(guarded(4096));

		assert_int_equal(control_out(fd, SIM_REQ_WRITE, 7, buf, lengths[i], PATIENT),
				 EPIPE);
		assert_int_equal(control_check(fd, 8, 64), 0);
	}
}

/* The device has less to say than there is room for. */
TEST(short_answer)
{
	struct sim_counters counters;
	int fd = node_open(O_WRONLY);
	struct mydev_control c = {
		.request_type = TO_INTERFACE | USB_DIR_IN,
		.request = SIM_REQ_COUNTERS,
		.length = 4096,
		.data = (uintptr_t)buf,
	};

	memset(buf, GUARD, sizeof(buf));
	assert_int_equal(try_control(fd, &c), 0);
	assert_int_equal(c.actual, sizeof(counters));
	assert_true(guarded(sizeof(counters)));
	memcpy(&counters, buf, sizeof(counters));
	assert_int_equal(le64toh(counters.control_bytes), sim_number("control_bytes"));
	assert_int_equal(le64toh(counters.out_bytes), sim_number("out_bytes"));
	c.length = 5;
	assert_int_equal(try_control(fd, &c), 0);
	assert_int_equal(c.actual, 5);
}

TEST(refused)
{
	uint64_t count = sim_number("control_refused");
	int fd = node_open(O_WRONLY);

	for (unsigned int i = 0; i < 50; i++) {
		assert_int_equal(control_in(fd, SIM_REQ_REFUSE, i, buf, 64, PATIENT), EPIPE);
		assert_int_equal(control_out(fd, SIM_REQ_REFUSE, i, buf, 64, PATIENT), EPIPE);
		assert_int_equal(control_out(fd, SIM_REQ_REFUSE, i, NULL, 0, PATIENT), EPIPE);
		assert_int_equal(control_in(fd, 0x3f, i, buf, 1, PATIENT), EPIPE);
		assert_int_equal(control_check(fd, i, 100), 0);
	}
	assert_int_equal(sim_number("control_refused"), count + 200);
}

/*
 * A request that the device does not answer in time. Where it could not tell one
 * from the next it has answered one of them at once, and said so; then it is asked
 * again, once for each that it has said. Gives the seconds that it took: the kernel
 * counts ticks, and gets several at once where an emulated processor has stood still,
 * so that one may be over too early.
 */
static double too_slow(int fd, bool in, uint32_t length, uint32_t ms, uint64_t *hurried)
{
	double begin;
	int error;

	do {
		begin = now();
		error = in ? control_in(fd, SIM_REQ_SLOW, 20000, buf, length, ms)
			   : control_out(fd, SIM_REQ_SLOW, 20000, length ? buf : NULL, length, ms);
	} while (!error && sim_number("control_hurried") > *hurried && ++*hurried);
	begin = now() - begin;
	assert_int_equal(error, ETIMEDOUT);
	return begin;
}

/* Not as late as if nothing had been said of a time. */
static bool in_time(void **state)
{
	int fd = *(int *)*state;
	uint64_t hurried = sim_number("control_hurried");

	for (unsigned int i = 0; i < 3; i++) {
		double took = too_slow(fd, !i, i < 2 ? 64 : 0, 60 + 20 * i, &hurried);

		if (took < 0.05 + 0.02 * i || took > 3)
			return false;
	}
	return true;
}

/* Who does not say how long gets five seconds. */
static bool by_default(void **state)
{
	uint64_t hurried = sim_number("control_hurried");
	double took = too_slow(*(int *)*state, true, 64, 0, &hurried);

	return took >= 4.99 && took < 5 + PROMPT;
}

TEST(slow)
{
	int fd = node_open(O_WRONLY);
	uint64_t hurried;
	void *arg = &fd;
	double begin;

	/* In time, then not; FunctionFS needs some to notice that a request is over. */
	do {
		hurried = sim_number("control_hurried");
		begin = now();
		assert_int_equal(control_in(fd, SIM_REQ_SLOW, 300, buf, 64, PATIENT), 0);
	} while (sim_number("control_hurried") > hurried);
	assert_true(is_pattern(buf, 300, 64));
	assert_true(now() - begin >= 0.29);
	for (unsigned int i = 0; i < 5; i++) {
		holds_once(in_time, NULL, &arg);
		assert_int_equal(control_check(fd, i, 4096), 0);
	}
	holds_once(by_default, NULL, &arg);
	assert_int_equal(control_check(fd, 1, 64), 0);
}

TEST(outside)
{
	int fd = node_open(O_WRONLY);
	struct mydev_info info = info_of(fd);
	uint64_t requests = sim_number("control");
	struct mydev_control c = { .length = 1, .data = (uintptr_t)buf };

	for (unsigned int type = 0; type < 256; type++) {
		unsigned int kind = type & USB_TYPE_MASK, to = type & 0x1f;

		/* Those that may get through are the business of others here. */
		if ((kind == USB_TYPE_VENDOR || kind == USB_TYPE_CLASS) &&
		    (to == USB_RECIP_DEVICE || to == USB_RECIP_INTERFACE))
			continue;
		c.request_type = type;
		c.request = SIM_REQ_READ;
		assert_int_equal(try_control(fd, &c), EACCES);
	}
	for (unsigned int i = 0; i < 256; i++) {
		c.index = i;
		c.request_type = TO_INTERFACE | (i & 1 ? USB_DIR_IN : 0);
		if (i != info.interface_number)
			assert_int_equal(try_control(fd, &c), EACCES);
		c.request_type = TO_ENDPOINT | (i & 1 ? USB_DIR_IN : 0);
		if (i != info.ep_in && i != info.ep_out)
			assert_int_equal(try_control(fd, &c), EACCES);
	}
	/* Nothing of it has reached the device. */
	assert_int_equal(sim_number("control"), requests);
}

/* There is no other interface. It reaches the device, which does not know it. */
TEST(whole_device)
{
	int fd = node_open(O_WRONLY);
	struct mydev_control c = {
		.request_type = USB_TYPE_VENDOR | USB_RECIP_DEVICE,
		.request = SIM_REQ_READ,
		.length = 16,
		.data = (uintptr_t)buf,
	};

	assert_int_equal(strtoul(sysfs("device/../bNumInterfaces"), NULL, 10), 1);
	assert_int_equal(try_control(fd, &c), EPIPE);
	c.request_type |= USB_DIR_IN;
	assert_int_equal(try_control(fd, &c), EPIPE);
	c.request_type = USB_TYPE_CLASS | USB_RECIP_DEVICE | USB_DIR_IN;
	assert_int_equal(try_control(fd, &c), EPIPE);
	assert_int_equal(control_check(fd, 1, 64), 0);
}

TEST(wrong_arguments)
{
	int fd = node_open(O_RDWR), reader = node_open(O_RDONLY);
	const struct mydev_control good = {
		.request_type = TO_INTERFACE | USB_DIR_IN,
		.request = SIM_REQ_READ,
		.length = 16,
		.data = (uintptr_t)buf,
	};
	uint64_t requests = sim_number("control");
	struct mydev_control c;

	for (unsigned int bit = 0; bit < 32; bit++) {
		c = good;
		c.flags = 1U << bit;
		assert_int_equal(try_control(fd, &c), EINVAL);
		c = good;
		c.reserved2 = 1U << bit;
		assert_int_equal(try_control(fd, &c), EINVAL);
		if (bit < 16) {
			c = good;
			c.reserved = 1U << bit;
			assert_int_equal(try_control(fd, &c), EINVAL);
			c = good;
			c.length = 65536U << bit;
			assert_int_equal(try_control(fd, &c), ERANGE);
		}
	}
	c = good;
	c.timeout_ms = 60001;
	assert_int_equal(try_control(fd, &c), ERANGE);
	c.timeout_ms = UINT32_MAX;
	assert_int_equal(try_control(fd, &c), ERANGE);

	c = good;
	assert_int_equal(try_control(reader, &c), EBADF);
	assert_int_equal(clear_halt(reader, info_of(fd).ep_in), EBADF);
	assert_int_equal(sim_number("control"), requests);

	c = good;
	c.timeout_ms = 60000;
	assert_int_equal(try_control(fd, &c), 0);
}

TEST(bad_pointers)
{
	long page = sysconf(_SC_PAGESIZE);
	unsigned char *map = private_memory(2 * page);
	uint64_t bytes, requests;
	int fd = node_open(O_WRONLY);

	assert_return_code(mprotect(map + page, page, PROT_NONE), errno);
	requests = sim_number("control");
	bytes = sim_number("control_bytes");
	assert_int_equal(control_out(fd, SIM_REQ_WRITE, 1, NULL, 16, PATIENT), EFAULT);
	assert_int_equal(control_out(fd, SIM_REQ_WRITE, 1, map + page - 8, 16, PATIENT), EFAULT);
	/* Then the device is not asked at all. */
	assert_int_equal(sim_number("control"), requests);
	assert_int_equal(sim_number("control_bytes"), bytes);

	assert_int_equal(control_in(fd, SIM_REQ_READ, 1, NULL, 16, PATIENT), EFAULT);
	assert_int_equal(control_in(fd, SIM_REQ_READ, 1, map + page - 8, 16, PATIENT), EFAULT);
	assert_int_equal(control_in(fd, SIM_REQ_READ, 1, map + page - 16, 16, PATIENT), 0);
	assert_true(is_pattern(map + page - 16, 1, 16));
	/* Without data, none of it is looked at. */
	assert_int_equal(control_in(fd, SIM_REQ_READ, 1, NULL, 0, PATIENT), 0);
	assert_int_equal(control_out(fd, SIM_REQ_WRITE, 1, map + page, 0, PATIENT), 0);
	munmap(map, 2 * page);
}

TEST(no_memory)
{
	int fd = node_open(O_WRONLY), refusals = 0;
	uint64_t errors = sim_number("control_errors");

	inject_or_skip();
	make_pattern(3, 64);
	for (unsigned int nth = 1; nth < 100; nth++) {
		bool failed;
		int error;

		inject_begin(nth);
		error = control_out(fd, SIM_REQ_WRITE, 3, buf, 64, PATIENT);
		failed = inject_end();
		if (!failed) {
			assert_int_equal(error, 0);
			break;
		}
		/* One that fails elsewhere need not be noticed here. */
		assert_true(!error || error == ENOMEM || error == EFAULT);
		refusals += !!error;
		assert_int_equal(control_check(fd, 5, 64), 0);
	}
	assert_true(refusals >= 3);
	assert_int_equal(sim_number("control_errors"), errors);
}

/* --- those who wait ------------------------------------------------------------- */

struct waiter {
	int fd;
	volatile int error;
	volatile uint64_t rounds;
	volatile bool end;
	uint16_t value;
	int (*fn)(struct waiter *w);
};

static int waits(void *arg)
{
	struct waiter *w = arg;

	w->error = control_unanswered(w->fd);
	return 0;
}

TEST(killed)
{
	int fd = node_open(O_WRONLY);
	struct waiter w = { .fd = fd };
	uint64_t seed = test_seed();

	for (unsigned int i = 0; i < 10; i++) {
		uint64_t requests = requests_so_far();
		pid_t pid = spawn(waits, &w);

		await(requests_so_far() > requests);
		usleep(random_next(&seed) % 30000);
		assert_return_code(kill(pid, SIGKILL), errno);
		assert_int_equal(reap(pid, PROMPT), 128 + SIGKILL);
		assert_int_equal(control_check(fd, i, 512), 0);
	}
}

static bool unplugged_once(void **state)
{
	struct waiter *w = shared_memory(sizeof(*w));
	uint64_t requests = requests_so_far();
	struct mydev_info info;
	bool told;
	pid_t pid;

	(void)state;
	w->fd = node_open(O_RDWR);
	info = info_of(w->fd);
	pid = spawn(waits, w);
	await(requests_so_far() > requests);
	unplug();
	assert_int_equal(reap(pid, PROMPT), 0);
	told = ended_by_unplug(w->error);
	assert_int_equal(control_check(w->fd, 1, 64), ENODEV);
	assert_int_equal(control_out(w->fd, SIM_REQ_WRITE, 1, buf, 64, PATIENT), ENODEV);
	assert_int_equal(clear_halt(w->fd, info.ep_in), ENODEV);
	assert_int_equal(clear_halt(w->fd, info.ep_out), ENODEV);
	munmap(w, sizeof(*w));
	return told;
}

TEST(unplugged)
{
	holds_once(unplugged_once, fresh, state);
}

/* Until it fails, or is told to end. */
static int goes_on(void *arg)
{
	struct waiter *w = arg;

	while (!w->end && !w->error) {
		int error = w->fn(w);

		w->rounds += !error;
		w->error = error;
	}
	return 0;
}

static int asks_for_its_own(struct waiter *w)
{
	unsigned char data[300];
	int error;

	w->value += 2;
	error = control_check(w->fd, w->value, 1 + w->value % 4096);
	for (unsigned int i = 0; i < sizeof(data); i++)
		data[i] = sim_control_byte(w->value, i);
	return error ? error
		     : control_out(w->fd, SIM_REQ_WRITE, w->value, data, sizeof(data), PATIENT);
}

static int clears_halts(struct waiter *w)
{
	return clear_halt(w->fd, w->value);
}

/* One reads all the time what the device sends; nothing of that is disturbed. */
static void beside_a_reader(struct waiter *w, unsigned int count, uint64_t rounds)
{
	uint64_t first = next_counter(), requests = 0;
	int reader = node_open(O_RDONLY);
	const char *error = NULL;
	struct verifier v;
	pid_t pids[2];

	verify_from(&v, first);
	ask(reader);
	for (unsigned int i = 0; i < count; i++)
		pids[i] = spawn(goes_on, &w[i]);
	feed_forever("65-3000");
	for (unsigned int i = 0; i < count; i++) {
		while (w[i].rounds < rounds && !w[i].error && !error)
			error = read_packets(reader, &v, 10, 60000);
		w[i].end = true;
	}
	if (error)
		fail_msg("%s", error);
	take_rest(reader, &v);
	for (unsigned int i = 0; i < count; i++) {
		assert_int_equal(reap(pids[i], 20), 0);
		assert_int_equal(w[i].error, 0);
		requests += w[i].rounds;
	}
	printf("# %llu requests while %llu packets were read\n", (unsigned long long)requests,
	       (unsigned long long)v.packets);
	assert_true(v.packets > rounds / 2);
	assert_int_equal(stats_of(reader).client_lost_packets, 0);
	assert_int_equal(stats_of(reader).errors, 0);
}

TEST(two_at_once)
{
	struct waiter *w = shared_memory(2 * sizeof(*w));
	uint64_t errors = sim_number("control_errors");

	unplug();
	plug();
	for (unsigned int i = 0; i < 2; i++) {
		w[i].fd = node_open(O_WRONLY);
		w[i].value = i;
		w[i].fn = asks_for_its_own;
	}
	beside_a_reader(w, 2, slow_lane() ? 100 : 500);
	assert_int_equal(sim_number("control_errors"), errors);
	munmap(w, 2 * sizeof(*w));
}

/* --- halts ---------------------------------------------------------------------- */

TEST(other_addresses)
{
	int fd = node_open(O_RDWR);
	struct mydev_info info = info_of(fd);

	for (unsigned int i = 0; i < 512; i++) {
		if (i != info.ep_in && i != info.ep_out)
			assert_int_equal(clear_halt(fd, i), EACCES);
	}
	assert_int_equal(clear_halt(fd, UINT32_MAX), EACCES);
	assert_int_equal(clear_halt(fd, info.ep_in | 1U << 31), EACCES);
	assert_int_equal(clear_halt(fd, info.ep_in), 0);
	assert_int_equal(clear_halt(fd, info.ep_out), 0);
}

/* Nobody reads when it stalls, so nobody but us clears it. */
TEST(halt_of_in)
{
	int fd = node_open(O_RDWR);
	struct mydev_info info = info_of(fd);
	struct mydev_stats before = stats_of(fd);
	uint64_t first = next_counter();
	struct verifier v;

	sim_do("stall");
	await(sim_is("stalled"));
	assert_int_equal(clear_halt(fd, info.ep_in), 0);
	verify_from(&v, first);
	feed(20, "1000");
	take_packets(fd, &v, 20, 0);
	assert_int_equal(stats_of(fd).stalls, before.stalls);
	assert_int_equal(stats_of(fd).errors, before.errors);
}

/* The data of a device that refused it is gone; behind that, all is well. */
TEST(halt_of_out)
{
	int fd = node_open(O_WRONLY);
	struct mydev_info info = info_of(fd);
	uint64_t taken = sim_number("out_bytes");

	sim_do("stall-out");
	await(!strcmp(sim_text("out_state"), "stalled"));
	assert_int_equal(clear_halt(fd, info.ep_out), 0);
	assert_int_equal(write(fd, buf, 1000), 1000);
	assert_return_code(fsync(fd), errno);
	await(sim_number("out_bytes") == taken + 1000);
	assert_int_equal(stats_of(fd).send_errors, 0);

	/* That is what would have been. */
	sim_do("stall-out");
	await(!strcmp(sim_text("out_state"), "stalled"));
	assert_int_equal(write(fd, buf, 1000), 1000);
	assert_errno(fsync(fd), EPIPE);
	assert_int_equal(write(fd, buf, 1000), 1000);
	assert_return_code(fsync(fd), errno);
	await(sim_number("out_bytes") == taken + 2000);
}

TEST(in_the_midst)
{
	uint64_t taken = sim_number("out_bytes");
	int fd = node_open(O_WRONLY);
	struct mydev_info info = info_of(fd);

	sim_do("refuse");
	assert_int_equal(write(fd, buf, 100000), 100000);
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(clear_halt(fd, info.ep_out), 0);
	assert_int_equal(stats_of(fd).client_unsent_bytes, 100000);
	sim_do("accept");
	assert_return_code(fsync(fd), errno);
	await(sim_number("out_bytes") == taken + 100000);
}

TEST(halts_and_a_reader)
{
	struct waiter *w = shared_memory(2 * sizeof(*w));
	struct mydev_info info;

	unplug();
	plug();
	for (unsigned int i = 0; i < 2; i++) {
		w[i].fd = node_open(O_WRONLY);
		info = info_of(w[i].fd);
		w[i].value = i ? info.ep_out : info.ep_in;
		w[i].fn = clears_halts;
	}
	beside_a_reader(w, 2, slow_lane() ? 30 : 200);
	munmap(w, 2 * sizeof(*w));
}

#define MESSAGE 30000

struct messages {
	uint64_t bytes; /* of the one that has not ended */
	uint64_t whole;
	uint64_t pieces; /* that were cut off by a stop */
	uint64_t wrong;
};

static void join_messages(const struct mydev_packet_header *h, void *arg)
{
	struct messages *m = arg;

	if (h->type != MYDEV_RECORD_PACKET)
		return;
	m->bytes += h->length;
	if (h->flags & MYDEV_PACKET_CONTINUES) {
		m->pieces++;
		return;
	}
	m->wrong += m->bytes != MESSAGE || h->status;
	m->whole++;
	m->bytes = 0;
}

/* A stop may come in the middle of a message; its pieces say so. */
TEST(halts_and_messages)
{
	struct waiter *w = shared_memory(sizeof(*w));
	struct messages m = { .bytes = 0 };
	int fd = node_open(O_RDONLY);
	double end = now() + 20;
	struct records r;
	pid_t pid;

	w->fd = node_open(O_WRONLY);
	w->value = info_of(fd).ep_in;
	w->fn = clears_halts;
	configure(fd, .mode = MYDEV_MODE_PACKET);
	records_from(&r, next_counter(), stats_of(fd).packets);
	r.each = join_messages;
	r.arg = &m;
	ask(fd);
	pid = spawn(goes_on, w);
	feed_forever("30000");
	/* It depends on the emulated controller how often that happens. */
	while (m.pieces < 5 && now() < end)
		take_records(fd, &r, 20, sizeof(buf));
	assert_return_code(kill(pid, SIGKILL), errno);
	assert_int_equal(reap(pid, PROMPT), 128 + SIGKILL);
	print_message("# %" PRIu64 " messages, %" PRIu64 " pieces\n", m.whole, m.pieces);
	assert_int_equal(m.wrong, 0);
	munmap(w, sizeof(*w));
}

TEST(ended_in_the_midst)
{
	struct waiter *w = shared_memory(2 * sizeof(*w));
	uint64_t seed = test_seed();

	for (unsigned int round = 0; round < 6; round++) {
		int fd = node_open(O_RDWR);
		pid_t pids[2];

		for (unsigned int i = 0; i < 2; i++) {
			w[i] = (struct waiter){ .fd = fd,
						.fn = i ? asks_for_its_own : clears_halts };
			w[i].value = i ? 1 : round % 2 ? info_of(fd).ep_in : info_of(fd).ep_out;
			pids[i] = spawn(goes_on, &w[i]);
		}
		ask(fd);
		feed_forever("65-3000");
		await((w[0].rounds && w[1].rounds) || w[0].error || w[1].error);
		usleep(random_next(&seed) % 20000);
		if (round < 4) {
			for (unsigned int i = 0; i < 2; i++) {
				assert_return_code(kill(pids[i], SIGKILL), errno);
				assert_int_equal(reap(pids[i], PROMPT), 128 + SIGKILL);
			}
			sim_do("count 0");
			/* FunctionFS may still be at the one that was given up. */
			await_within(PROMPT, !control_check(fd, 1, 64));
			assert_int_equal(clear_halt(fd, info_of(fd).ep_in), 0);
		} else {
			unplug();
			for (unsigned int i = 0; i < 2; i++) {
				assert_int_equal(reap(pids[i], PROMPT), 0);
				if (!ended_by_unplug(w[i].error))
					assert_int_equal(w[i].fn(&w[i]), ENODEV);
			}
		}
		fresh(NULL);
	}
	munmap(w, 2 * sizeof(*w));
}

/* --- others --------------------------------------------------------------------- */

TEST(leased)
{
	int owner = node_open(O_WRONLY), other = node_open(O_WRONLY);
	struct mydev_info info = info_of(owner);

	assert_int_equal(lease(owner, MYDEV_LEASE_ACQUIRE, 0), 0);
	assert_int_equal(control_check(other, 1, 64), EBUSY);
	assert_int_equal(clear_halt(other, info.ep_in), EBUSY);
	assert_int_equal(control_check(owner, 1, 64), 0);
	assert_int_equal(clear_halt(owner, info.ep_in), 0);
	close(owner);
	assert_int_equal(control_check(other, 1, 64), 0);
}

TEST(revoked)
{
	int fd = node_open(O_WRONLY);

	assert_int_equal(revoke_client(fd, 0), 0);
	assert_int_equal(control_check(fd, 1, 64), ESTALE);
	assert_int_equal(clear_halt(fd, 1), ESTALE);
	assert_int_equal(control_check(node_open(O_WRONLY), 1, 64), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("vendor and class requests of all lengths, to interface and endpoints",
			all_lengths, fresh),
		PROMISE("more than the device can do: what it gives, or EPIPE", beyond_the_device,
			fresh),
		PROMISE("an answer that is shorter than the room for it", short_answer, fresh),
		PROMISE("refused by the device: EPIPE, and the next one works", refused, fresh),
		PROMISE("a slow device: ETIMEDOUT, and the next one works", slow, fresh),
		PROMISE("what would reach outside the interface: EACCES, and nothing is sent",
			outside, fresh),
		PROMISE("to the device as a whole, where there is no other interface", whole_device,
			fresh),
		PROMISE("wrong arguments: EINVAL, ERANGE, EBADF", wrong_arguments, fresh),
		PROMISE("data from or to nowhere: EFAULT", bad_pointers, fresh),
		PROMISE("each want of memory is told, and leaves nothing behind", no_memory, fresh),
		PROMISE("killed while waiting for the device: dead at once, the next one works",
			killed, fresh),
		PROMISE("unplugged while waiting: ENODEV at once", unplugged, fresh),
		PROMISE("two programs at once get their own answers, a reader all packets",
			two_at_once, fresh),
		PROMISE("clear halt: EACCES for what is no bulk endpoint of ours", other_addresses,
			fresh),
		PROMISE("clear halt of IN, where nobody has noticed the stall yet", halt_of_in,
			fresh),
		PROMISE("clear halt of OUT, before and after somebody has run into it", halt_of_out,
			fresh),
		PROMISE("clear halt: what waits to be sent is sent afterwards", in_the_midst,
			fresh),
		PROMISE("clear halt again and again costs a reader nothing", halts_and_a_reader,
			fresh),
		PROMISE("clear halt in the midst of messages: their pieces say that they are some",
			halts_and_messages, fresh),
		PROMISE("killed and unplugged in the midst of requests", ended_in_the_midst, fresh),
		PROMISE("somebody else's lease: EBUSY", leased, fresh),
		PROMISE("a revoked descriptor: ESTALE", revoked, fresh),
	};

	return run_promises(tests);
}
