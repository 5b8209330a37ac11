// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the simulated device promises, seen by a program that talks to it
 * through usbfs: without our driver, so that a fault of the one is not taken
 * for a fault of the other. Started by tests/sh/device.sh, which says in the
 * environment where the device is.
 *
 * Sources and libraries: see device_test_* in sources.mk.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <libusb-1.0/libusb.h>

#include "promise.h"

#include "pattern.h"

#define VENDOR  0x1209
#define PRODUCT 0x0001

/* ms; where the processor is emulated and busy, all takes its time */
#define PATIENCE 10000
/* ms; for what must not come */
#define SHORTLY 300

#define IN_INTERFACE  (LIBUSB_ENDPOINT_IN | LIBUSB_RECIPIENT_INTERFACE)
#define OUT_INTERFACE (LIBUSB_ENDPOINT_OUT | LIBUSB_RECIPIENT_INTERFACE)
#define VENDOR_IN     (IN_INTERFACE | LIBUSB_REQUEST_TYPE_VENDOR)
#define VENDOR_OUT    (OUT_INTERFACE | LIBUSB_REQUEST_TYPE_VENDOR)
#define CLASS_IN      (IN_INTERFACE | LIBUSB_REQUEST_TYPE_CLASS)
#define CLASS_OUT     (OUT_INTERFACE | LIBUSB_REQUEST_TYPE_CLASS)

static libusb_device_handle *usb;
static unsigned char ep_in[2], ep_out[2]; /* of both alternate settings */
static int alternates;
static int max_packet;
static unsigned char sent[1 << 18], got[1 << 18];

/* --- the simulated device ------------------------------------------------- */

static void talk(const char *command, char *reply, size_t size)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char line[128];
	size_t len = 0;
	ssize_t n;

	strncpy(addr.sun_path, getenv("SIM_SOCKET"), sizeof(addr.sun_path) - 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		fail_msg("no simulated device on %s: %s", addr.sun_path, strerror(errno));
	snprintf(line, sizeof(line), "%s\n", command);
	assert_int_equal(write(fd, line, strlen(line)), strlen(line));
	while (len < size - 1 && (n = read(fd, reply + len, size - 1 - len)) > 0) {
		len += n;
		if (reply[len - 1] == '\n')
			break;
	}
	close(fd);
	reply[len] = 0;
	if (strncmp(reply, "ok", 2))
		fail_msg("'%s' gave '%s'", command, reply);
}

static void sim(const char *command)
{
	char reply[2048];

	talk(command, reply, sizeof(reply));
}

static const char *stat_of(const char *prefix, const char *key)
{
	static char reply[2048];
	char command[32];
	size_t len = strlen(key);

	snprintf(command, sizeof(command), "%sstats", prefix);
	talk(command, reply, sizeof(reply));
	for (char *word = strtok(reply, " \n"); word; word = strtok(NULL, " \n"))
		if (!strncmp(word, key, len) && word[len] == '=')
			return word + len + 1;
	fail_msg("no '%s' in the statistics", key);
	return "";
}

static uint64_t number(const char *key)
{
	return strtoull(stat_of("", key), NULL, 10);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void nap(void)
{
	struct timespec ts = { .tv_nsec = 5000000 };

	nanosleep(&ts, NULL);
}

static void await_number(const char *key, uint64_t value)
{
	double end = now() + PATIENCE / 1e3;

	while (number(key) != value) {
		if (now() > end)
			fail_msg("%s is %s instead of %llu", key, stat_of("", key),
				 (unsigned long long)value);
		nap();
	}
}

static void await_word(const char *key, const char *value)
{
	double end = now() + PATIENCE / 1e3;

	while (strcmp(stat_of("", key), value)) {
		if (now() > end)
			fail_msg("%s is %s instead of %s", key, stat_of("", key), value);
		nap();
	}
}

/* --- the host ------------------------------------------------------------- */

static int bulk(unsigned char endpoint, unsigned char *data, int size, unsigned int timeout,
		int *done)
{
	*done = 0;
	return libusb_bulk_transfer(usb, endpoint, data, size, done, timeout);
}

/* Sends a transfer; where its size asks for it, a zero-length packet after it. */
static void send_message(const unsigned char *data, int size)
{
	int done;

	assert_int_equal(bulk(ep_out[0], (unsigned char *)data, size, PATIENCE, &done), 0);
	assert_int_equal(done, size);
	if (size && !(size % max_packet))
		assert_int_equal(bulk(ep_out[0], NULL, 0, PATIENCE, &done), 0);
}

static int receive(void)
{
	int done;

	memset(got, 0xee, sizeof(got));
	assert_int_equal(bulk(ep_in[0], got, sizeof(got), PATIENCE, &done), 0);
	return done;
}

static void fill(uint16_t who, uint64_t counter, uint32_t size)
{
	sim_fill(sent, size, (uint64_t)who << SIM_WHO_SHIFT | counter);
}

static int control(uint8_t type, uint8_t request, uint16_t value, uint16_t length)
{
	return libusb_control_transfer(usb, type, request, value, 0, got, length, PATIENCE);
}

static bool is_pattern(const unsigned char *data, uint16_t value, int length)
{
	for (int i = 0; i < length; i++)
		if (data[i] != sim_control_byte(value, i))
			return false;
	return true;
}

static struct sim_counters counters(void)
{
	struct sim_counters c;

	assert_int_equal(control(VENDOR_IN, SIM_REQ_COUNTERS, 0, 64), sizeof(c));
	memcpy(&c, got, sizeof(c));
	c.out_bytes = le64toh(c.out_bytes);
	c.out_messages = le64toh(c.out_messages);
	c.control_bytes = le64toh(c.control_bytes);
	c.errors = le64toh(c.errors);
	return c;
}

/* What an earlier test may have left. */
static int fresh(void **state)
{
	int done;

	(void)state;
	sim("stall-out-always off");
	sim("accept");
	sim("slow 0");
	sim("echo off");
	sim("verify-out off");
	if (alternates > 1)
		assert_int_equal(libusb_set_interface_alt_setting(usb, 0, 0), 0);
	libusb_clear_halt(usb, ep_in[0]);
	libusb_clear_halt(usb, ep_out[0]);
	/* The device may be slower than that with what it still has to send. */
	for (int tries = 0; tries < 20; tries++) {
		while (!bulk(ep_in[0], got, sizeof(got), SHORTLY, &done))
			;
		if (!strcmp(stat_of("", "state"), "quiet"))
			break;
	}
	return 0;
}

/* --- control requests ----------------------------------------------------- */

TEST(control_read)
{
	static const uint16_t lengths[] = { 1, 2, 63, 64, 65, 511, 512, 513, 1024, 4095, 4096 };

	for (unsigned int i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		memset(got, 0xee, sizeof(got));
		assert_int_equal(control(VENDOR_IN, SIM_REQ_READ, 1000 + i, lengths[i]),
				 lengths[i]);
		assert_true(is_pattern(got, 1000 + i, lengths[i]));
	}
	assert_int_equal(control(CLASS_IN, SIM_REQ_CLASS + SIM_REQ_READ, 7, 100), 100);
	assert_true(is_pattern(got, 7, 100));
}

TEST(control_write)
{
	static const uint16_t lengths[] = { 1, 63, 64, 65, 512, 4095, 4096 };
	struct sim_counters before = counters(), after;
	uint64_t total = 0;

	for (unsigned int i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		for (uint32_t k = 0; k < lengths[i]; k++)
			got[k] = sim_control_byte(50 + i, k);
		assert_int_equal(control(i % 2 ? CLASS_OUT : VENDOR_OUT,
					 SIM_REQ_WRITE + (i % 2 ? SIM_REQ_CLASS : 0), 50 + i,
					 lengths[i]),
				 lengths[i]);
		total += lengths[i];
	}
	after = counters();
	assert_int_equal(after.control_bytes - before.control_bytes, total);
	assert_int_equal(after.errors, before.errors);
	got[3] ^= 1;
	assert_int_equal(control(VENDOR_OUT, SIM_REQ_WRITE, 56, 100), 100);
	assert_int_equal(counters().errors, before.errors + 1);
}

TEST(control_refused)
{
	static const struct {
		uint8_t type, request;
		uint16_t value, length;
	} bad[] = {
		{ VENDOR_IN, SIM_REQ_REFUSE, 0, 8 },
		{ VENDOR_OUT, SIM_REQ_REFUSE, 0, 0 },
		{ VENDOR_OUT, SIM_REQ_REFUSE, 0, 8 },
		{ VENDOR_IN, 0, 0, 8 },
		{ VENDOR_IN, 0x3f, 0, 8 },
		{ VENDOR_OUT, 0x07, 0, 0 },
		{ CLASS_IN, SIM_REQ_READ, 0, 8 },                  /* without SIM_REQ_CLASS */
		{ VENDOR_IN, SIM_REQ_CLASS + SIM_REQ_READ, 0, 8 }, /* with it */
		{ VENDOR_OUT, SIM_REQ_MODE, 0x8000, 0 },
	};

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(control(bad[i].type, bad[i].request, bad[i].value, bad[i].length),
				 LIBUSB_ERROR_PIPE);
		/* And the next one finds the control endpoint as it should be. */
		assert_int_equal(control(VENDOR_IN, SIM_REQ_READ, 1, 10), 10);
	}
}

TEST(control_endpoint)
{
	const uint8_t type = LIBUSB_ENDPOINT_IN | LIBUSB_REQUEST_TYPE_VENDOR |
			     LIBUSB_RECIPIENT_ENDPOINT;

	assert_int_equal(libusb_control_transfer(usb, type, SIM_REQ_READ, 9, ep_in[0], got, 50,
						 PATIENCE),
			 50);
	assert_true(is_pattern(got, 9, 50));
	/* An endpoint that is none of the device's own. */
	assert_int_equal(libusb_control_transfer(usb, type, SIM_REQ_READ, 9, 0x8f, got, 50,
						 PATIENCE),
			 LIBUSB_ERROR_PIPE);
}

/* Of a request that was not answered before its time, see handle_ep0(). */
static double seconds_of_slow(uint8_t type, uint16_t length)
{
	uint64_t hurried;
	double start;

	do {
		hurried = number("control_hurried");
		start = now();
		assert_int_equal(control(type, SIM_REQ_SLOW, 400, length), length);
	} while (number("control_hurried") > hurried);
	return now() - start;
}

TEST(control_slow)
{
	double start;

	assert_true(seconds_of_slow(VENDOR_IN, 16) >= 0.39);
	assert_true(is_pattern(got, 400, 16));
	assert_true(seconds_of_slow(VENDOR_OUT, 0) >= 0.39);
	start = now();
	assert_int_equal(control(VENDOR_OUT, SIM_REQ_SLOW, 0, 0), 0);
	assert_true(now() - start < PATIENCE / 1e3);
}

/*
 * Asks for what takes the device @ms, and gives up before. Where the answer was
 * before its time, or this program so late that it had come, it does so again.
 */
static void give_up(uint16_t ms)
{
	int ret = 16;

	for (int tries = 0; ret == 16 && tries < 10; tries++)
		ret = libusb_control_transfer(usb, VENDOR_IN, SIM_REQ_SLOW, ms, 0, got, 16,
					      SHORTLY);
	assert_int_equal(ret, LIBUSB_ERROR_TIMEOUT);
}

/* The host gives up, before and after the device has begun to answer. */
TEST(control_given_up)
{
	uint64_t cancelled = number("control_cancelled");

	give_up(10000);
	assert_int_equal(control(VENDOR_IN, SIM_REQ_READ, 1, 10), 10);
	assert_true(is_pattern(got, 1, 10));
	await_number("control_cancelled", cancelled + 1);

	give_up(2 * SHORTLY);
	usleep(3 * SHORTLY * 1000);
	/* All else goes on while the answer waits for somebody to take it. */
	sim("count 1");
	assert_int_equal(receive(), 1000);
	assert_int_equal(control(VENDOR_IN, SIM_REQ_READ, 2, 10), 10);
	assert_true(is_pattern(got, 2, 10));
	await_number("control_cancelled", cancelled + 2);
}

TEST(control_mode)
{
	int done;

	assert_int_equal(control(VENDOR_OUT, SIM_REQ_MODE, SIM_MODE_ECHO, 0), 0);
	memset(sent, 5, 10);
	send_message(sent, 10);
	assert_int_equal(receive(), 10);
	assert_int_equal(control(VENDOR_OUT, SIM_REQ_MODE, SIM_MODE_REFUSE, 0), 0);
	await_word("out_state", "refusing");
	assert_int_equal(bulk(ep_out[0], sent, 10, SHORTLY, &done), LIBUSB_ERROR_TIMEOUT);
	assert_int_equal(done, 0);
	assert_int_equal(control(VENDOR_OUT, SIM_REQ_MODE, 0, 0), 0);
	send_message(sent, 10);
}

/* --- bulk OUT ------------------------------------------------------------- */

TEST(echo_sizes)
{
	static const int sizes[] = { 1,    8,    63,   64,    65,    511,   512,   513,    1023,
				     1024, 1025, 4096, 16383, 16384, 16385, 65536, 100000, 131072 };

	sim("echo on");
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (int k = 0; k < sizes[i]; k++)
			sent[k] = k * 7 + i;
		send_message(sent, sizes[i]);
		/* One transfer, which a short or zero-length packet has ended. */
		assert_int_equal(receive(), sizes[i]);
		assert_memory_equal(got, sent, sizes[i]);
	}
	/* An empty message has an empty answer. */
	send_message(sent, 0);
	assert_int_equal(receive(), 0);
}

TEST(echo_in_order)
{
	sim("echo on");
	for (int i = 0; i < 40; i++) {
		memset(sent, i, 100 + i);
		send_message(sent, 100 + i);
	}
	sim("count 2");
	for (int i = 0, answers = 0; i < 42; i++) {
		int n = receive();

		if (n == 1000)
			continue; /* a packet of the stream, which goes on in between */
		assert_int_equal(n, 100 + answers);
		assert_int_equal(got[0], answers);
		answers++;
	}
}

/* A host that does not fetch its answers is not listened to for ever. */
TEST(echo_bounded)
{
	int done, left = 5000, taken = 0, back = 0, ret;

	sim("echo on");
	memset(sent, 1, 5000);
	do {
		ret = bulk(ep_out[0], sent, left, SHORTLY, &done);
		left -= done;
		if (left)
			continue;
		taken++;
		left = 5000;
		/* A device that is only slow is no reason to end. */
	} while (taken < 2000 && (!ret || done || strcmp(stat_of("", "out_state"), "full")));
	assert_int_equal(left, 5000);
	assert_in_range(taken, 10, 1000);
	await_word("out_state", "full");
	print_message("%d messages of 5000 bytes were taken\n", taken);
	while (!bulk(ep_in[0], got, sizeof(got), SHORTLY, &done)) {
		assert_int_equal(done, 5000);
		back++;
	}
	assert_int_equal(back, taken);
	send_message(sent, 4999);
	assert_int_equal(receive(), 4999);
}

TEST(slow)
{
	double start;

	sim("echo on");
	sim("slow 200");
	memset(sent, 9, 30);
	/* What was queued before is taken at once: one request. */
	send_message(sent, 30);
	assert_int_equal(receive(), 30);
	start = now();
	for (int i = 0; i < 4; i++)
		send_message(sent, 30);
	assert_true(now() - start >= 0.59);
	for (int i = 0; i < 4; i++)
		assert_int_equal(receive(), 30);
	assert_true(now() - start >= 0.79);
}

TEST(refuse)
{
	uint64_t bytes = number("out_bytes");
	int done;

	sim("refuse");
	await_number("out_queued", 0);
	assert_int_equal(bulk(ep_out[0], sent, 10, SHORTLY, &done), LIBUSB_ERROR_TIMEOUT);
	assert_int_equal(done, 0);
	sim("accept");
	send_message(sent, 10);
	await_number("out_bytes", bytes + 10);
	/* The others are still taken. */
	sim("refuse-next");
	for (int i = 0; i < 8; i++)
		send_message(sent, 10);
	assert_int_equal(bulk(ep_out[0], sent, 10, SHORTLY, &done), LIBUSB_ERROR_TIMEOUT);
	sim("accept");
	send_message(sent, 10);
	await_number("out_bytes", bytes + 100);
}

TEST(stall_out)
{
	uint64_t bytes = number("out_bytes");
	uint64_t halts = number("out_halts");
	int done;

	sim("stall-out");
	await_word("out_state", "stalled");
	assert_int_equal(bulk(ep_out[0], sent, 10, PATIENCE, &done), LIBUSB_ERROR_PIPE);
	assert_int_equal(bulk(ep_out[0], sent, 10, PATIENCE, &done), LIBUSB_ERROR_PIPE);
	assert_int_equal(number("out_bytes"), bytes);
	assert_int_equal(libusb_clear_halt(usb, ep_out[0]), 0);
	send_message(sent, 10);
	await_number("out_bytes", bytes + 10);

	/* In the midst of a transfer, at the byte that was said. */
	sim("verify-out messages");
	fill(1, 0, 100000);
	sim("stall-out 20480");
	await_number("out_queued", 1);
	assert_int_equal(bulk(ep_out[0], sent, 100000, PATIENCE, &done), LIBUSB_ERROR_PIPE);
	await_number("out_bytes", bytes + 10 + 20480);
	assert_int_equal(number("out_halts"), halts + 2);
	assert_int_equal(libusb_clear_halt(usb, ep_out[0]), 0);
	/* What had come of it does not stand before the next message. */
	fill(1, 1, 77);
	send_message(sent, 77);
	await_number("out_bytes", bytes + 10 + 20480 + 77);
	assert_int_equal(number("out_packets"), 1);
	assert_string_equal(stat_of("", "out_error"), "ok");
}

TEST(stall_out_always)
{
	int done;

	sim("stall-out-always on");
	for (int i = 0; i < 3; i++) {
		int ret, tries = 0;

		await_word("out_state", "stalled");
		/* It tries again and again to halt it; one may come through in between. */
		do {
			usleep(20000);
			ret = bulk(ep_out[0], sent, 10, PATIENCE, &done);
		} while (!ret && ++tries < 100);
		assert_int_equal(ret, LIBUSB_ERROR_PIPE);
		libusb_clear_halt(usb, ep_out[0]);
	}
	sim("stall-out-always off");
	usleep(20000);
	libusb_clear_halt(usb, ep_out[0]);
	send_message(sent, 10);
}

TEST(verify_messages)
{
	uint64_t errors = counters().errors;
	uint64_t messages = number("out_messages");
	uint64_t zero_packets = number("out_zero_packets");
	static const uint32_t sizes[] = { 24, 1000, 1024, 16384, 40000, 65536 };
	unsigned int n = 0;
	int done;

	sim("verify-out messages");
	for (int counter = 0; counter < 3; counter++) {
		for (int who = 0; who < 3; who++) {
			uint32_t size = sizes[n++ % 6];

			fill(who, counter, size);
			send_message(sent, size);
		}
	}
	await_number("out_packets", 9);
	assert_string_equal(stat_of("", "out_error"), "ok");
	assert_int_equal(number("out_writers"), 3);
	assert_int_equal(number("out_unended"), 0);
	assert_int_equal(number("out_messages"), messages + 9);
	/* After 1024, 16384 and 65536 bytes; sizes repeat after six messages. */
	assert_int_equal(number("out_zero_packets"), zero_packets + 4);

	/* Two packets in one transfer are told from one in each. */
	fill(1, 3, 1024);
	assert_int_equal(bulk(ep_out[0], sent, 1024, PATIENCE, &done), 0);
	fill(2, 3, 100);
	send_message(sent, 100);
	await_number("out_packets", 11);
	assert_int_equal(number("out_unended"), 1);
	assert_string_equal(stat_of("", "out_error"), "ok");
	assert_int_equal(counters().errors, errors);

	/* Writer 1 leaves out number 4. */
	fill(1, 5, 100);
	send_message(sent, 100);
	await_word("out_error", "missing");
	print_message("%s\n", stat_of("", "out_error_text"));
	assert_int_equal(counters().errors, errors + 1);

	/* A transfer that ends inside a packet; the one after it is understood. */
	sim("verify-out messages");
	fill(0, 0, 5000);
	send_message(sent, 2500);
	fill(0, 1, 100);
	send_message(sent, 100);
	await_word("out_error", "truncated");
	await_number("out_packets", 1);

	/* A first message that is not the writer's first. */
	sim("verify-out messages");
	fill(4, 1, 100);
	send_message(sent, 100);
	await_word("out_error", "missing");
}

/* --- alternate settings --------------------------------------------------- */

TEST(alternate)
{
	struct sim_header h;
	int done;

	if (alternates < 2)
		skip();
	assert_int_not_equal(ep_in[0], ep_in[1]);
	assert_int_not_equal(ep_out[0], ep_out[1]);
	for (int turn = 0; turn < 6; turn++) {
		int alt = (turn + 1) % 2;
		uint64_t expected;

		assert_int_equal(libusb_set_interface_alt_setting(usb, 0, alt), 0);
		assert_int_equal(control(IN_INTERFACE, LIBUSB_REQUEST_GET_INTERFACE, 0, 1), 1);
		assert_int_equal(got[0], alt);
		expected = strtoull(stat_of(alt ? "alt1 " : "", "next"), NULL, 10);
		sim(alt ? "alt1 count 3" : "count 3");
		for (int i = 0; i < 3; i++) {
			assert_int_equal(bulk(ep_in[alt], got, sizeof(got), PATIENCE, &done), 0);
			assert_int_equal(done, 1000);
			assert_int_equal(sim_parse(got, &h), 0);
			assert_int_equal(h.counter >> SIM_WHO_SHIFT, alt);
			assert_int_equal(h.counter, expected + i);
		}
		await_number("active", alt);
		/* The endpoints of the other setting are not the host's to use. */
		assert_int_not_equal(bulk(ep_in[!alt], got, sizeof(got), SHORTLY, &done), 0);
		expected = strtoull(stat_of(alt ? "alt1 " : "", "out_bytes"), NULL, 10);
		assert_int_equal(bulk(ep_out[alt], sent, 10 + turn, PATIENCE, &done), 0);
		for (int i = 0; i < 2000; i++, nap())
			if (strtoull(stat_of(alt ? "alt1 " : "", "out_bytes"), NULL, 10) ==
			    expected + 10 + turn)
				break;
		assert_int_equal(strtoull(stat_of(alt ? "alt1 " : "", "out_bytes"), NULL, 10),
				 expected + 10 + turn);
	}
}

/* While it streams as fast as it can, nothing of either stream is lost. */
TEST(alternate_streaming)
{
	uint64_t next[2] = { 0 };
	struct sim_header h;
	int done;

	if (alternates < 2)
		skip();
	next[0] = number("next");
	next[1] = strtoull(stat_of("alt1 ", "next"), NULL, 10);
	sim("count max");
	sim("alt1 count max");
	for (int turn = 0; turn < 10; turn++) {
		int alt = turn % 2;

		assert_int_equal(libusb_set_interface_alt_setting(usb, 0, alt), 0);
		for (int i = 0; i < 20; i++) {
			assert_int_equal(bulk(ep_in[alt], got, sizeof(got), PATIENCE, &done), 0);
			assert_int_equal(done, 1000);
			assert_int_equal(sim_parse(got, &h), 0);
			assert_int_equal(h.counter, next[alt]);
			next[alt]++;
		}
	}
	sim("count 0");
	sim("alt1 count 0");
	assert_int_equal(libusb_set_interface_alt_setting(usb, 0, 1), 0);
	while (!bulk(ep_in[1], got, sizeof(got), SHORTLY, &done))
		;
}

/* --- begin and end -------------------------------------------------------- */

static void find_endpoints(void)
{
	struct libusb_config_descriptor *config;

	if (libusb_get_active_config_descriptor(libusb_get_device(usb), &config))
		return;
	alternates = config->interface[0].num_altsetting;
	for (int i = 0; i < alternates && i < 2; i++) {
		const struct libusb_interface_descriptor *alt = &config->interface[0].altsetting[i];

		for (int k = 0; k < alt->bNumEndpoints; k++) {
			const struct libusb_endpoint_descriptor *ep = &alt->endpoint[k];

			max_packet = ep->wMaxPacketSize;
			if (ep->bEndpointAddress & LIBUSB_ENDPOINT_IN)
				ep_in[i] = ep->bEndpointAddress;
			else
				ep_out[i] = ep->bEndpointAddress;
		}
	}
	libusb_free_config_descriptor(config);
}

static int open_device(void **state)
{
	(void)state;
	if (libusb_init(NULL))
		return -1;
	usb = libusb_open_device_with_vid_pid(NULL, VENDOR, PRODUCT);
	if (!usb || libusb_claim_interface(usb, 0))
		return -1;
	find_endpoints();
	print_message("%d alternate settings; IN 0x%02x 0x%02x, OUT 0x%02x 0x%02x; %d bytes\n",
		      alternates, ep_in[0], ep_in[1], ep_out[0], ep_out[1], max_packet);
	return max_packet ? 0 : -1;
}

static int close_device(void **state)
{
	(void)state;
	libusb_release_interface(usb, 0);
	libusb_close(usb);
	libusb_exit(NULL);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("control: what is read is the pattern", control_read, fresh),
		PROMISE("control: what is written is verified and counted", control_write, fresh),
		PROMISE("control: what it does not know is refused", control_refused, fresh),
		PROMISE("control: requests to an endpoint", control_endpoint, fresh),
		PROMISE("control: a slow answer", control_slow, fresh),
		PROMISE("control: the host gives up", control_given_up, fresh),
		PROMISE("control: a mode", control_mode, fresh),
		PROMISE("echo: messages of all sizes", echo_sizes, fresh),
		PROMISE("echo: in order, and between the packets of the stream", echo_in_order,
			fresh),
		PROMISE("echo: what is held is bounded", echo_bounded, fresh),
		PROMISE("slow: one request at a time, answers later", slow, fresh),
		PROMISE("refuse: nothing is taken until it is accepted again", refuse, fresh),
		PROMISE("stall: OUT is halted, at once or after so many bytes", stall_out, fresh),
		PROMISE("stall: OUT is halted again and again", stall_out_always, fresh),
		PROMISE("verify: messages of several writers", verify_messages, fresh),
		PROMISE("alternate settings have endpoints of their own", alternate, fresh),
		PROMISE("alternate settings can be changed while it streams", alternate_streaming,
			fresh),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("KTAP version 1");
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, open_device, close_device);
}
