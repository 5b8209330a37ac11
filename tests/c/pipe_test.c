// SPDX-License-Identifier: GPL-2.0-only
/*
 * An interface with more than one pair of endpoints: a node for each, which is a stream
 * of its own; and what they have in common.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>

#include "plug.h"
#include "records.h"
#include "requests.h"
#include "settings.h"

#include <libmydev.h>

/* Pairs by number (83, 03 and 85, 05), and of what is left then (81, 02). */
#define IN_1    0x81
#define OUT_1   0x02
#define IN_2    0x83
#define OUT_2   0x03
#define IN_INT  0x85
#define OUT_INT 0x05
#define IN_ISO  0x86

#define BULK      USB_ENDPOINT_XFER_BULK
#define INTERRUPT USB_ENDPOINT_XFER_INT
#define ISO       USB_ENDPOINT_XFER_ISOC

/* Bit of an endpoint in mydev_info.carried. */
#define BIT_OF(_address) (1U << (((_address) & 15) + ((_address) & 0x80 ? 16 : 0)))

/* An interrupt endpoint that is asked every millisecond, at high speed. */
#define INTERVAL    4
#define INT_PACKET  64
#define INTERVAL_US 1000

static const struct peer_setting all_kinds = {
	.endpoints = 7,
	.endpoint = {
		{ IN_INT, INTERRUPT, INT_PACKET, INTERVAL, false },
		{ IN_1, BULK, 512, 0, false },
		{ OUT_2, BULK, 512, 0, false },
		{ IN_ISO, ISO, 192, 4, false },
		{ OUT_1, BULK, 512, 0, false },
		{ IN_2, BULK, 512, 0, false },
		{ OUT_INT, INTERRUPT, INT_PACKET, INTERVAL, false },
	},
};

static const char *first_node;

/* The node of an endpoint, 0 for the first one, is what the helpers mean from now on. */
static void at(unsigned int pipe)
{
	static char path[64];

	if (pipe)
		snprintf(path, sizeof(path), "%s.%02x", first_node, pipe);
	node = pipe ? path : first_node;
}

static int open_at(unsigned int pipe, int flags)
{
	int fd;

	at(pipe);
	fd = node_open(flags);
	at(0);
	return fd;
}

static int fresh_pipes(void **state)
{
	if (!first_node)
		first_node = node;
	at(0);
	return fresh_peer(state);
}

static struct peer *plug_pipes(void)
{
	static const unsigned int others[] = { IN_2, IN_INT };
	struct peer_device d = { .settings = 1, .setting[0] = all_kinds };
	struct peer *p = plug_peer(&d);

	for (size_t i = 0; i < 2; i++) {
		at(others[i]);
		assert_return_code(access(node, R_OK | W_OK), errno);
		never_evict();
	}
	at(0);
	return p;
}

static unsigned char buf[1 << 16];

static unsigned char byte_of(unsigned int pipe, unsigned int number, size_t i)
{
	return pipe * 11 + number * 31 + i * 7 + (i >> 8);
}

static void fill(unsigned char *to, unsigned int pipe, unsigned int number, size_t length)
{
	for (size_t i = 0; i < length; i++)
		to[i] = byte_of(pipe, number, i);
}

static void check(const unsigned char *bytes, unsigned int pipe, unsigned int number, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (bytes[i] != byte_of(pipe, number, i))
			fail_msg("byte %zu of message %u of %02x is %#x", i, number, pipe,
				 bytes[i]);
	}
}

static void send_in(struct peer *p, unsigned int pipe, unsigned int number, size_t length)
{
	static unsigned char data[1 << 16];

	fill(data, pipe, number, length);
	assert_true(peer_send(p, pipe, data, length));
}

static void take_in(int fd, unsigned int pipe, unsigned int number, size_t length)
{
	size_t got = 0;

	while (got < length) {
		ssize_t n = read(fd, buf + got, length - got);

		if (n <= 0)
			fail_msg("read after %zu bytes of message %u of %02x: %zd, %s", got, number,
				 pipe, n, strerror(errno));
		got += n;
	}
	check(buf, pipe, number, length);
}

static void write_out(int fd, unsigned int pipe, unsigned int number, size_t length)
{
	fill(buf, pipe, number, length);
	assert_int_equal(write(fd, buf, length), length);
}

static void take_out(struct peer *p, unsigned int pipe, unsigned int number, size_t length)
{
	static unsigned char data[1 << 16];

	assert_int_equal(peer_receive(p, pipe, data, sizeof(data)), length);
	check(data, pipe, number, length);
}

/* --- what there is ---------------------------------------------------------- */

static void check_node(unsigned int pipe, unsigned int in, unsigned int out, unsigned int type,
		       unsigned int interval_us)
{
	struct mydev_info info;
	char want[8];
	int fd;

	at(pipe);
	fd = node_open(O_RDWR);
	info = info_of(fd);
	assert_int_equal(info.size, sizeof(info));
	assert_int_equal(info.index, 0);
	assert_int_equal(info.pipe, in);
	assert_int_equal(info.first_pipe, IN_1);
	assert_int_equal(info.ep_in, in);
	assert_int_equal(info.ep_out, out);
	assert_int_equal(info.ep_in_type, type);
	assert_int_equal(info.ep_out_type, type);
	assert_int_equal(info.ep_in_interval_us, interval_us);
	assert_int_equal(info.ep_out_interval_us, interval_us);
	assert_int_equal(info.carried, BIT_OF(IN_1) | BIT_OF(OUT_1) | BIT_OF(IN_2) | BIT_OF(OUT_2) |
					       BIT_OF(IN_INT) | BIT_OF(OUT_INT));
	assert_int_equal(info.uncarried, BIT_OF(IN_ISO));
	snprintf(want, sizeof(want), "%02x", in);
	assert_string_equal(sysfs("pipe"), want);
	assert_string_equal(sysfs("ep_in"), want);
	snprintf(want, sizeof(want), "%02x", out);
	assert_string_equal(sysfs("ep_out"), want);
	close(fd);
	at(0);
}

TEST(nodes)
{
	int log = log_open();

	plug_pipes();
	check_node(0, IN_1, OUT_1, MYDEV_ENDPOINT_BULK, 0);
	check_node(IN_2, IN_2, OUT_2, MYDEV_ENDPOINT_BULK, 0);
	check_node(IN_INT, IN_INT, OUT_INT, MYDEV_ENDPOINT_INTERRUPT, INTERVAL_US);
	await(log_lines(log, "mydev0: neither bulk nor interrupt, and left alone: endpoints 86"));
	unplug_peer();
	at(IN_2);
	assert_errno(access(node, F_OK), ENOENT);
	at(IN_INT);
	assert_errno(access(node, F_OK), ENOENT);
}

static void lone_interrupts(const struct peer_setting *setting)
{
	struct peer_device d = { .settings = 1, .setting[0] = *setting };
	struct peer *p = plug_peer(&d);
	int fd = open_at(0, O_RDWR);
	struct mydev_info info = info_of(fd);

	assert_int_equal(info.pipe, setting->endpoint[0].address);
	assert_int_equal(info.first_pipe, info.pipe);
	assert_int_equal(info.ep_in_type, MYDEV_ENDPOINT_INTERRUPT);
	ask(fd);
	for (unsigned int i = 0; i < 50; i++) {
		send_in(p, info.pipe, i, 1 + i % INT_PACKET);
		take_in(fd, info.pipe, i, 1 + i % INT_PACKET);
	}
	close(fd);
	await(sysfs_number("in_flight") == 0);
	unplug_peer();
}

TEST(interrupt_only)
{
	static const struct peer_setting one = {
		.endpoints = 1,
		.endpoint = { { 0x82, INTERRUPT, INT_PACKET, INTERVAL, false } },
	};
	static const struct peer_setting with_iso = {
		.endpoints = 2,
		.endpoint = { { 0x82, INTERRUPT, INT_PACKET, INTERVAL, false },
			      { 0x83, ISO, 192, 4, false } },
	};

	lone_interrupts(&one);
	lone_interrupts(&with_iso);
}

/* Nothing is there for the driver: it says so once, and leaves the interface alone. */
TEST(isochronous_only)
{
	struct peer_device d = {
		.settings = 1,
		.setting[0] = { .endpoints = 1, .endpoint = { { IN_ISO, ISO, 192, 4, false } } },
	};
	int log = log_open();

	plug_only(&d);
	await(log_lines(log, "no bulk endpoint and no interrupt one in this interface") == 1);
	assert_stays(access(node, F_OK));
	unplug_peer();
}

TEST(lone_endpoints)
{
	struct peer_device d = {
		.settings = 1,
		.setting[0] = {
			.endpoints = 4,
			.endpoint = { { 0x81, BULK, 512, 0, false },
				      { 0x02, BULK, 512, 0, false },
				      { 0x04, BULK, 512, 0, false },
				      { 0x83, INTERRUPT, 8, 10, false } },
		},
	};
	struct peer *p = plug_peer(&d);
	int out = open_at(0x04, O_RDWR), in = open_at(0x83, O_RDWR);
	struct mydev_info info = info_of(out);

	assert_int_equal(info.pipe, 0x04);
	assert_int_equal(info.ep_in, 0);
	assert_int_equal(info.ep_out, 0x04);
	assert_false(info.features & MYDEV_FEATURE_READ);
	assert_errno(read(out, buf, 1), EOPNOTSUPP);
	write_out(out, 0x04, 1, 700);
	take_out(p, 0x04, 1, 700);
	info = info_of(in);
	assert_int_equal(info.ep_out, 0);
	assert_int_equal(info.ep_in_interval_us, 64000);
	assert_errno(write(in, buf, 1), EOPNOTSUPP);
	ask(in);
	send_in(p, 0x83, 1, 8);
	take_in(in, 0x83, 1, 8);
	close(out);
	close(in);
	at(0x83);
	await(sysfs_number("in_flight") == 0);
	at(0);
	unplug_peer();
}

/* --- in the library, and in the tool ---------------------------------------- */

static void match(unsigned int endpoint, const char *name)
{
	const struct mydev_entry *entry;
	struct mydev_list *list;
	struct mydev *dev;
	int ret;

	assert_int_equal(mydev_list_new(&list), 0);
	ret = mydev_list_match(list, 0x1209, 0x0001, NULL, endpoint, &entry);
	assert_int_equal(ret, name ? 0 : -ENOENT);
	if (name)
		assert_string_equal(mydev_entry_name(entry), name);
	mydev_list_free(list);
	ret = mydev_open_match(MYDEV_ANY_ID, MYDEV_ANY_ID, NULL, endpoint, O_WRONLY, &dev);
	assert_int_equal(ret, name ? 0 : -ENOENT);
	if (!name)
		return;
	assert_string_equal(mydev_path(dev) + strlen("/dev/"), name);
	mydev_close(dev);
}

TEST(library)
{
	static const char *const names[] = { "mydev0", "mydev0.83", "mydev0.85" };
	static const unsigned int pipes[] = { IN_1, IN_2, IN_INT };
	static const char *const same[] = { "0.83", "mydev0.83", "/dev/mydev0.83" };
	const struct mydev_entry *entry;
	struct mydev_list *list;
	struct mydev *dev;

	plug_pipes();
	assert_int_equal(mydev_list_new(&list), 0);
	assert_int_equal(mydev_list_count(list), 3);
	for (size_t i = 0; i < 3; i++) {
		entry = mydev_list_get(list, i);
		assert_string_equal(mydev_entry_name(entry), names[i]);
		assert_int_equal(mydev_entry_index(entry), 0);
		assert_int_equal(mydev_entry_pipe(entry), pipes[i]);
		assert_int_equal(mydev_entry_is_first(entry), !i);
	}
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(mydev_list_find(list, same[i], &entry), 0);
		assert_string_equal(mydev_entry_name(entry), "mydev0.83");
		assert_int_equal(mydev_open(same[i], O_RDWR, &dev), 0);
		assert_int_equal(info_of(mydev_fd(dev)).pipe, IN_2);
		mydev_close(dev);
	}
	mydev_list_free(list);
	match(0, "mydev0");
	match(IN_1, "mydev0");
	match(OUT_1, "mydev0");
	match(IN_2, "mydev0.83");
	match(OUT_2, "mydev0.83");
	match(OUT_INT, "mydev0.85");
	match(IN_ISO, NULL);
	assert_int_equal(mydev_open("0.84", O_RDWR, &dev), -ENOENT);
	unplug_peer();
}

/* What "mydevctl ..." says. */
static const char *tool(const char *words)
{
	static char text[1 << 14];
	char command[512];
	size_t length;
	FILE *file;

	snprintf(command, sizeof(command), "%s/userspace/mydevctl %s", getenv("SRC"), words);
	file = popen(command, "r");
	assert_non_null(file);
	length = fread(text, 1, sizeof(text) - 1, file);
	text[length] = 0;
	if (pclose(file))
		fail_msg("%s: %s", command, text);
	return text;
}

static void says(const char *words, const char *what)
{
	const char *text = tool(words);

	if (!strstr(text, what))
		fail_msg("mydevctl %s does not say '%s': %s", words, what, text);
}

static int cats(void *arg)
{
	(void)arg;
	return strcmp(tool("cat 0.85 -n 5 2>/dev/null"), "hello");
}

TEST(tool_knows)
{
	struct peer *p = plug_pipes();
	pid_t pid;

	says("list", "PIPE");
	says("list", "-mydev0.83 ");
	says("list --json", "\"pipe\": \"85\"");
	says("info", "mydev0\n");
	says("info 0.85", "interrupt");
	says("info mydev0.85", "86");
	says("info /dev/mydev0.83 --json", "\"ep_out\": \"03\"");
	pid = spawn(cats, NULL);
	assert_true(peer_send(p, IN_INT, "hello", 5));
	assert_int_equal(reap(pid, PROMPT), 0);
	unplug_peer();
}

/* --- streams of their own --------------------------------------------------- */

TEST(contents)
{
	static const unsigned int pipes[] = { 0, IN_2, IN_INT };
	static const unsigned int ins[] = { IN_1, IN_2, IN_INT },
				  outs[] = { OUT_1, OUT_2, OUT_INT };
	struct peer *p = plug_pipes();
	int fds[3], more[3];

	for (int i = 0; i < 3; i++) {
		fds[i] = open_at(pipes[i], O_RDWR);
		more[i] = open_at(pipes[i], O_RDONLY);
		ask(fds[i]);
	}
	for (unsigned int n = 0; n < 200; n++) {
		for (int i = 0; i < 3; i++) {
			size_t length = i == 2 ? 1 + n % INT_PACKET : 1 + n * 37;

			send_in(p, ins[i], n, length);
			write_out(fds[i], outs[i], n, length);
		}
		for (int i = 0; i < 3; i++) {
			size_t length = i == 2 ? 1 + n % INT_PACKET : 1 + n * 37;

			take_in(fds[i], ins[i], n, length);
			take_in(more[i], ins[i], n, length);
			take_out(p, outs[i], n, length);
		}
	}
	for (int i = 0; i < 3; i++) {
		struct mydev_stats s = stats_of(fds[i]);

		assert_int_equal(fsync(fds[i]), 0);
		assert_int_equal(s.packets, 200);
		assert_int_equal(s.errors, 0);
		assert_true(identity_holds(&s));
	}
	unplug_peer();
}

/* A full packet is a transfer, so it is there at once; what is longer goes on in the next. */
TEST(interrupt_packets)
{
	struct peer *p = plug_pipes();
	int fd = open_at(IN_INT, O_RDWR);
	struct mydev_info info = info_of(fd);
	struct mydev_packet_header h;
	struct peer_urb *urb;

	assert_int_equal(info.transfers, 4);
	assert_int_equal(info.transfer_size, INT_PACKET);
	assert_in_range(info.send_room, 4 * INT_PACKET, 1 << 16);
	configure(fd, .mode = MYDEV_MODE_PACKET, .flags = MYDEV_CONFIG_TERMINATE);
	ask(fd);
	send_in(p, IN_INT, 1, INT_PACKET);
	send_in(p, IN_INT, 2, 10);
	for (int i = 0; i < 2; i++) {
		ssize_t n = read(fd, buf, sizeof(h) + INT_PACKET);

		assert_true(n > 0);
		memcpy(&h, buf, sizeof(h));
		assert_int_equal(h.length, i ? 10 : INT_PACKET);
		assert_int_equal(h.flags, i ? 0 : MYDEV_PACKET_CONTINUES);
		check(buf + h.header_size, IN_INT, 1 + i, h.length);
	}

	/* A message that fills its last packet is ended by one without bytes. */
	write_out(fd, OUT_INT, 3, 2 * INT_PACKET);
	urb = peer_take(p, OUT_INT);
	assert_non_null(urb);
	assert_int_equal(urb->length, 2 * INT_PACKET);
	assert_true(urb->flags & 0x0040); /* URB_ZERO_PACKET */
	assert_true(peer_give(p, urb, 0, 2 * INT_PACKET, NULL, 0));
	assert_int_equal(fsync(fd), 0);

	/* What is longer than a transfer is sent in several. */
	write_out(fd, OUT_INT, 4, info.send_size + 100);
	urb = peer_take(p, OUT_INT);
	assert_non_null(urb);
	assert_int_equal(urb->length, info.send_size);
	assert_false(urb->flags & 0x0040);
	check(urb->data, OUT_INT, 4, info.send_size);
	assert_true(peer_give(p, urb, 0, info.send_size, NULL, 0));
	assert_int_equal(peer_receive(p, OUT_INT, buf, sizeof(buf)), 100);
	assert_int_equal(fsync(fd), 0);
	unplug_peer();
}

/* Many small packets find room while nobody reads: they share pages. */
TEST(interrupt_depth)
{
	struct peer *p = plug_pipes();
	int fd = open_at(IN_INT, O_RDONLY);

	ask(fd);
	for (unsigned int n = 0; n < 600; n++)
		send_in(p, IN_INT, n, 30);
	await_queued(fd, 600);
	for (unsigned int n = 0; n < 600; n++)
		take_in(fd, IN_INT, n, 30);
	close(fd);
	at(IN_INT);
	await(sysfs_number("in_flight") == 0);
	at(0);
	unplug_peer();
}

/* Sends until the driver has no transfer in flight there any more. */
static unsigned int fill_stream(struct peer *p, int fd, unsigned int pipe)
{
	struct peer_urb *urb;
	unsigned int n = 0;

	while (stats_of(fd).in_flight) {
		urb = peer_take_nowait(p, pipe);
		if (!urb)
			continue;
		fill(buf, pipe, n++, 1000);
		assert_true(peer_give(p, urb, 0, 1000, buf, 1000));
	}
	return n;
}

TEST(stuck_reader)
{
	struct peer *p = plug_pipes();
	int stuck = open_at(IN_2, O_RDONLY), fd = open_at(0, O_RDWR);
	int interrupt = open_at(IN_INT, O_RDONLY);
	unsigned int sent;

	configure(stuck, .queue_depth = 8);
	ask(stuck);
	ask(fd);
	ask(interrupt);
	await(peer_waiting(p, IN_2));
	sent = fill_stream(p, stuck, IN_2);
	assert_true(sent >= 8);
	for (unsigned int n = 0; n < 300; n++) {
		send_in(p, IN_1, n, 1000);
		take_in(fd, IN_1, n, 1000);
		send_in(p, IN_INT, n, 20);
		take_in(interrupt, IN_INT, n, 20);
	}
	assert_int_equal(stats_of(fd).ring_stops, 0);
	assert_int_equal(stats_of(stuck).in_flight, 0);
	for (unsigned int n = 0; n < sent; n++)
		take_in(stuck, IN_2, n, 1000);
	await(peer_waiting(p, IN_2));
	unplug_peer();
}

/* An endpoint that fails again and again, until the driver gives that stream up. */
TEST(error_of_one)
{
	struct peer *p = plug_pipes();
	int bad = open_at(IN_2, O_RDONLY), fd = open_at(0, O_RDWR);
	int interrupt = open_at(IN_INT, O_RDWR);
	unsigned int n = 0;

	ask(bad);
	ask(fd);
	ask(interrupt);
	at(IN_2);
	while (!state_is("failed")) {
		struct peer_urb *urb = peer_take_nowait(p, IN_2);

		if (urb)
			peer_give(p, urb, -EPROTO, 0, NULL, 0);
		send_in(p, IN_1, n, 500);
		take_in(fd, IN_1, n, 500);
		send_in(p, IN_INT, n, 5);
		take_in(interrupt, IN_INT, n, 5);
		n++;
	}
	at(0);
	assert_errno(read(bad, buf, 1), EIO);
	assert_int_equal(stats_of(fd).errors, 0);
	assert_int_equal(stats_of(interrupt).errors, 0);
	assert_true(stats_of(bad).errors > 1);
	write_out(fd, OUT_1, 1, 100);
	take_out(p, OUT_1, 1, 100);
	unplug_peer();
}

static void halt(struct peer *p, unsigned int pipe)
{
	struct peer_urb *urb = peer_take(p, pipe);

	assert_non_null(urb);
	assert_true(peer_give(p, urb, -EPIPE, 0, NULL, 0));
}

TEST(halt_of_one)
{
	struct peer *p = plug_pipes();
	int one = open_at(0, O_RDWR), two = open_at(IN_2, O_RDWR),
	    interrupt = open_at(IN_INT, O_RDWR);

	ask(one);
	ask(two);
	ask(interrupt);
	send_in(p, IN_INT, 1, 9);
	halt(p, IN_INT);
	/* A sender as well, whose writer alone hears of it. */
	write_out(two, OUT_2, 1, 10);
	halt(p, OUT_2);
	for (unsigned int n = 0; n < 100; n++) {
		send_in(p, IN_1, n, 700);
		write_out(one, OUT_1, n, 700);
		take_in(one, IN_1, n, 700);
		take_out(p, OUT_1, n, 700);
	}
	assert_true(peer_await_count(p, PEER_COUNT_CLEAR_HALT, 2));
	assert_errno(fsync(two), EPIPE);
	send_in(p, IN_INT, 2, 9);
	take_in(interrupt, IN_INT, 1, 9);
	take_in(interrupt, IN_INT, 2, 9);
	write_out(two, OUT_2, 2, 10);
	take_out(p, OUT_2, 2, 10);
	assert_int_equal(stats_of(interrupt).stalls, 1);
	assert_int_equal(stats_of(one).stalls, 0);
	assert_int_equal(stats_of(two).stalls, 0);
	assert_int_equal(stats_of(two).send_errors, 1);
	assert_int_equal(stats_of(one).send_errors, 0);
	assert_int_equal(stats_of(interrupt).send_errors, 0);

	/* One's own, and of no other node. */
	assert_int_equal(clear_halt(two, IN_2), 0);
	assert_int_equal(clear_halt(two, OUT_2), 0);
	assert_int_equal(clear_halt(two, IN_1), EACCES);
	assert_int_equal(clear_halt(two, IN_ISO), EACCES);
	assert_int_equal(peer_count(p, PEER_COUNT_CLEAR_HALT), 4);
	unplug_peer();
}

TEST(geometry)
{
	struct peer *p = plug_pipes();
	int one = open_at(0, O_RDWR), two = open_at(IN_2, O_RDWR),
	    interrupt = open_at(IN_INT, O_RDWR);
	struct mydev_geometry before = geometry_of(one), g = geometry_of(two);

	ask(one);
	g.transfers = 3;
	g.transfer_size = 2048;
	g.pool_bytes = 5 * 2048;
	g.log_entries = 512;
	assert_int_equal(try_geometry(two, &g), 0);
	assert_int_equal(geometry_of(one).transfers, before.transfers);
	assert_int_equal(geometry_of(one).pool_bytes, before.pool_bytes);
	assert_int_equal(geometry_of(interrupt).transfers, 4);
	g.transfer_size = INT_PACKET - 1;
	assert_int_equal(try_geometry(interrupt, &g), ERANGE);
	g = geometry_of(interrupt);
	g.transfers = 8;
	g.pool_bytes = 20 * INT_PACKET;
	assert_int_equal(try_geometry(interrupt, &g), 0);
	ask(two);
	ask(interrupt);
	assert_true(peer_await_waiting(p, IN_2, 3));
	assert_true(peer_await_waiting(p, IN_INT, 8));
	assert_true(peer_await_waiting(p, IN_1, before.transfers));
	for (unsigned int n = 0; n < 20; n++) {
		send_in(p, IN_2, n, 2000);
		send_in(p, IN_INT, n, INT_PACKET - 1);
		take_in(two, IN_2, n, 2000);
		take_in(interrupt, IN_INT, n, INT_PACKET - 1);
	}
	unplug_peer();
}

/* A device of requests and answers on its second pair; the first one talks meanwhile. */
static void *answer(void *arg)
{
	struct peer *p = arg;
	unsigned char data[100];

	if (peer_receive(p, OUT_2, data, sizeof(data)) == 100)
		peer_send(p, IN_2, data, 100);
	return NULL;
}

TEST(transaction)
{
	struct peer *p = plug_pipes();
	int one = open_at(0, O_RDWR), two = open_at(IN_2, O_RDWR);
	unsigned char back[200] = { 0 };
	struct mydev_transact t = {
		.out_length = 100,
		.in_length = sizeof(back),
		.out_data = (uintptr_t)buf,
		.in_data = (uintptr_t)back,
		.timeout_ms = PATIENT,
	};
	pthread_t thread;

	ask(one);
	send_in(p, IN_1, 1, 50);
	assert_int_equal(pthread_create(&thread, NULL, answer, p), 0);
	fill(buf, OUT_2, 1, 100);
	assert_int_equal(try_transact(two, &t), 0);
	pthread_join(thread, NULL);
	assert_int_equal(t.actual, 100);
	check(back, OUT_2, 1, 100);
	take_in(one, IN_1, 1, 50);
	assert_int_equal(stats_of(one).sent_transfers, 0);
	unplug_peer();
}

/* --- what is the interface's ------------------------------------------------ */

static int acquires(void *arg)
{
	return lease(*(int *)arg, MYDEV_LEASE_ACQUIRE, PATIENT);
}

TEST(lease_is_of_all)
{
	struct peer *p = plug_pipes();
	int one = open_at(0, O_RDWR), two = open_at(IN_2, O_RDWR);
	int interrupt = open_at(IN_INT, O_RDWR | O_NONBLOCK);
	struct pollfd poller = { .fd = one, .events = POLLOUT };
	unsigned char back[4];
	pid_t pid;
	char line[64];

	assert_int_equal(lease(two, MYDEV_LEASE_ACQUIRE, 0), 0);
	snprintf(line, sizeof(line), "%d pipe_test", getpid());
	assert_string_equal(sysfs("lease"), line);
	at(IN_INT);
	assert_string_equal(sysfs("lease"), line);
	at(0);
	assert_errno(write(one, buf, 1), EBUSY);
	assert_errno(write(interrupt, buf, 1), EBUSY);
	assert_int_equal(control_in(one, 1, 0, back, sizeof(back), PATIENT), EBUSY);
	assert_int_equal(clear_halt(one, IN_1), EBUSY);
	assert_int_equal(set_alternate(one, 0), EBUSY);
	assert_int_equal(lease(one, MYDEV_LEASE_ACQUIRE, 0), EBUSY);
	assert_int_equal(poll(&poller, 1, 0), 0);
	write_out(two, OUT_2, 1, 600);
	take_out(p, OUT_2, 1, 600);
	/* Readers do not notice. */
	ask(one);
	send_in(p, IN_1, 1, 100);
	take_in(one, IN_1, 1, 100);

	/* Who waits for it at another node gets it, and who polls there is woken. */
	pid = spawn(acquires, &one);
	await_sleeping(pid);
	assert_int_equal(lease(two, MYDEV_LEASE_RELEASE, 0), 0);
	assert_int_equal(reap(pid, PROMPT), 0);
	assert_errno(write(two, buf, 1), EBUSY);
	assert_int_equal(lease(one, MYDEV_LEASE_RELEASE, 0), 0);
	assert_int_equal(poll(&poller, 1, 0), 1);
	write_out(interrupt, OUT_INT, 1, 6);
	take_out(p, OUT_INT, 1, 6);

	/* It ends with its holder. */
	assert_int_equal(lease(two, MYDEV_LEASE_ACQUIRE, 0), 0);
	close(two);
	write_out(one, OUT_1, 2, 60);
	take_out(p, OUT_1, 2, 60);
	unplug_peer();
}

/* More than there is room for, so it waits in the middle of its message. */
#define LONG_MESSAGE (3U << 20)

static int writes_long(void *arg)
{
	static unsigned char message[LONG_MESSAGE];

	ssize_t n = write(*(int *)arg, message, sizeof(message));

	if (n < 0)
		return errno;
	/* Cut short in the middle. */
	return n == sizeof(message) ? 0 : EPIPE;
}

TEST(lease_lets_end)
{
	struct peer *p = plug_pipes();
	int one = open_at(0, O_RDWR), two = open_at(IN_2, O_RDWR);
	int nonblock = open_at(0, O_WRONLY | O_NONBLOCK);
	size_t left = LONG_MESSAGE;
	pid_t writer, waiter;

	writer = spawn(writes_long, &two);
	assert_true(peer_await_waiting(p, OUT_2, 1));
	await_sleeping(writer);
	assert_int_equal(lease(nonblock, MYDEV_LEASE_ACQUIRE, PATIENT), EAGAIN);
	assert_int_equal(lease(one, MYDEV_LEASE_ACQUIRE, 300), ETIMEDOUT);
	/* In vain, and nothing is left of that. */
	write_out(one, OUT_1, 1, 10);
	take_out(p, OUT_1, 1, 10);
	waiter = spawn(acquires, &one);
	await_sleeping(waiter);
	assert_stays(!*sysfs("lease"));
	while (left) {
		struct peer_urb *urb = peer_take(p, OUT_2);

		assert_non_null(urb);
		left -= urb->length;
		assert_true(peer_give(p, urb, 0, urb->length, NULL, 0));
	}
	assert_int_equal(reap(writer, PROMPT), 0);
	assert_int_equal(reap(waiter, PROMPT), 0);
	assert_errno(write(two, buf, 1), EBUSY);
	unplug_peer();
}

/* In turn, at all nodes, while messages are under way there. */
struct contest {
	int fd;
	unsigned int rounds;
};

static int contends(void *arg)
{
	const struct contest *c = arg;
	int error;

	for (unsigned int i = 0; i < c->rounds; i++) {
		error = lease(c->fd, MYDEV_LEASE_ACQUIRE, PATIENT);
		if (error)
			return error;
		if (write(c->fd, "!", 1) != 1)
			return errno;
		error = lease(c->fd, MYDEV_LEASE_RELEASE, 0);
		if (error)
			return error;
	}
	return 0;
}

static unsigned int take_any(struct peer *p)
{
	static const unsigned int outs[] = { OUT_1, OUT_2, OUT_INT };
	unsigned int taken = 0;

	for (int i = 0; i < 3; i++) {
		struct peer_urb *urb = peer_take_nowait(p, outs[i]);

		if (urb)
			taken += peer_give(p, urb, 0, urb->length, NULL, 0);
	}
	return taken;
}

TEST(lease_contended)
{
	static const unsigned int pipes[] = { 0, IN_2, IN_INT, 0, IN_2, IN_INT };
	struct peer *p = plug_pipes();
	struct contest c[6];
	int fds[6];
	pid_t pids[6];

	for (int i = 0; i < 6; i++) {
		fds[i] = open_at(pipes[i], O_RDWR);
		c[i] = (struct contest){ fds[i], 30 };
		pids[i] = spawn(contends, &c[i]);
	}
	/* So many transfers, one for each round. */
	for (unsigned int taken = 0; taken < 6 * 30;)
		taken += take_any(p);
	for (int i = 0; i < 6; i++)
		assert_int_equal(reap(pids[i], PROMPT), 0);
	assert_string_equal(sysfs("lease"), "");
	unplug_peer();
}

TEST(revoked_across)
{
	struct peer *p = plug_pipes();
	int one = open_at(0, O_RDWR), two = open_at(IN_2, O_RDWR);
	uint32_t id = info_of(two).client_id;
	pid_t writer, waiter;

	assert_int_not_equal(id, info_of(one).client_id);
	writer = spawn(writes_long, &two);
	assert_true(peer_await_waiting(p, OUT_2, 1));
	await_sleeping(writer);
	waiter = spawn(acquires, &one);
	await_sleeping(waiter);
	assert_int_equal(revoke_client(one, id), 0);
	assert_int_equal(reap(waiter, PROMPT), 0);
	assert_int_equal(reap(writer, PROMPT), EPIPE);
	assert_errno(write(two, buf, 1), ESTALE);
	assert_errno(read(two, buf, 1), ESTALE);
	assert_int_equal(revoke_client(one, id), ESRCH);
	/* That of one who waits for the claims of others, and has the first. */
	assert_int_equal(lease(one, MYDEV_LEASE_RELEASE, 0), 0);
	unplug_peer();
}

/* The one that gets the lease is revoked while it waits at another node. */
TEST(revoked_in_turn)
{
	struct peer *p = plug_pipes();
	int one = open_at(0, O_RDWR), other = open_at(0, O_RDWR), last = open_at(IN_INT, O_RDWR);
	pid_t writer, waiter;

	writer = spawn(writes_long, &last);
	assert_true(peer_await_waiting(p, OUT_INT, 1));
	await_sleeping(writer);
	waiter = spawn(acquires, &one);
	await_sleeping(waiter);
	assert_int_equal(revoke_client(last, info_of(one).client_id), 0);
	assert_int_equal(reap(waiter, PROMPT), ESTALE);
	/* The first node is free, though the last one is not. */
	write_out(other, OUT_1, 1, 10);
	take_out(p, OUT_1, 1, 10);
	waiter = spawn(acquires, &other);
	await_sleeping(waiter);
	unplug_peer();
	assert_int_equal(reap(waiter, PROMPT), ENODEV);
	assert_int_equal(reap(writer, PROMPT), EPIPE);
}

static int reads_on(void *arg)
{
	unsigned char byte;

	return read(*(int *)arg, &byte, 1) < 0 ? errno : 0;
}

TEST(unplugged)
{
	static const unsigned int pipes[] = { 0, IN_2, IN_INT }, ins[] = { IN_1, IN_2, IN_INT };
	struct peer *p = plug_pipes();
	struct mydev_geometry g[3];
	pid_t sleeper;
	int fds[3];

	for (int i = 0; i < 3; i++) {
		fds[i] = open_at(pipes[i], O_RDWR);
		ask(fds[i]);
	}
	for (int i = 0; i < 3; i++) {
		send_in(p, ins[i], 1, 40);
		send_in(p, ins[i], 2, 40);
		await_queued(fds[i], 2);
	}
	/* One waits for what does not come. */
	take_in(fds[1], IN_2, 1, 40);
	take_in(fds[1], IN_2, 2, 40);
	for (int i = 0; i < 3; i++)
		g[i] = geometry_of(fds[i]);
	sleeper = spawn(reads_on, &fds[1]);
	await_sleeping(sleeper);
	unplug_peer();
	assert_int_equal(reap(sleeper, PROMPT), ENODEV);
	for (int i = 0; i < 3; i++) {
		if (i != 1) {
			take_in(fds[i], ins[i], 1, 40);
			take_in(fds[i], ins[i], 2, 40);
		}
		assert_errno(read(fds[i], buf, 1), ENODEV);
		assert_errno(write(fds[i], buf, 1), ENODEV);
		assert_int_equal(try_geometry(fds[i], &g[i]), ENODEV);
	}
	/* One after the other, in an order of their own, and the rest still answers. */
	close(fds[0]);
	assert_int_equal(lease(fds[2], MYDEV_LEASE_ACQUIRE, 0), ENODEV);
	assert_int_equal(info_of(fds[2]).pipe, IN_INT);
	close(fds[2]);
	assert_int_equal(info_of(fds[1]).pipe, IN_2);
}

/* --- alternate settings ----------------------------------------------------- */

TEST(silent)
{
	struct peer_device d = {
		.settings = 3,
		.setting = {
			{ .endpoints = 0 },
			all_kinds,
			{ .endpoints = 2,
			  .endpoint = { { IN_2, BULK, 512, 0, false },
					{ OUT_INT, INTERRUPT, 32, 1, false } } },
		},
	};
	struct peer *p = plug_peer(&d);
	int one = open_at(0, O_RDWR), two = open_at(IN_2, O_RDWR),
	    interrupt = open_at(IN_INT, O_RDWR);

	assert_int_equal(info_of(one).ep_in, 0);
	assert_int_equal(info_of(interrupt).ep_in, 0);
	assert_int_equal(info_of(interrupt).ep_in_type, MYDEV_ENDPOINT_NONE);
	assert_int_equal(info_of(interrupt).transfer_size, INT_PACKET);
	assert_errno(write(one, buf, 1), EOPNOTSUPP);
	ask(one);
	ask(two);
	ask(interrupt);

	assert_int_equal(set_alternate(two, 1), 0);
	for (unsigned int n = 0; n < 20; n++) {
		send_in(p, IN_1, n, 300);
		send_in(p, IN_2, n, 300);
		send_in(p, IN_INT, n, 30);
		take_in(one, IN_1, n, 300);
		take_in(two, IN_2, n, 300);
		take_in(interrupt, IN_INT, n, 30);
	}

	/* The first and the interrupt IN endpoint are missing: those nodes are silent. */
	assert_int_equal(set_alternate(one, 2), 0);
	assert_int_equal(info_of(one).alternate_setting, 2);
	assert_int_equal(info_of(interrupt).alternate_setting, 2);
	assert_int_equal(info_of(one).ep_in, 0);
	assert_int_equal(info_of(one).ep_out, 0);
	assert_int_equal(info_of(interrupt).ep_in, 0);
	assert_int_equal(info_of(interrupt).ep_out, OUT_INT);
	assert_int_equal(info_of(interrupt).ep_out_max_packet, 32);
	assert_int_equal(info_of(interrupt).ep_out_interval_us, 125);
	assert_errno(write(one, buf, 1), EOPNOTSUPP);
	assert_errno(write(two, buf, 1), EOPNOTSUPP);
	send_in(p, IN_2, 7, 400);
	take_in(two, IN_2, 7, 400);
	write_out(interrupt, OUT_INT, 8, 64);
	take_out(p, OUT_INT, 8, 64);
	assert_int_equal(stats_of(one).in_flight, 0);
	assert_int_equal(stats_of(interrupt).in_flight, 0);

	/* All are back, and go on. */
	assert_int_equal(set_alternate(interrupt, 1), 0);
	send_in(p, IN_1, 9, 100);
	send_in(p, IN_INT, 9, 10);
	take_in(one, IN_1, 9, 100);
	take_in(interrupt, IN_INT, 9, 10);
	assert_int_equal(stats_of(one).packets, 21);
	assert_int_equal(stats_of(one).errors, 0);
	unplug_peer();
}

/* None is a multiple of another one, and a transfer takes just one packet. */
TEST(sizes_of_settings)
{
	static const uint16_t sizes[] = { 40, 64, 48 };
	static const unsigned int order[] = { 1, 2, 1, 0, 2, 0, 1 };
	struct peer_device d = { .settings = 3 };
	struct peer *p;
	int fd;

	for (int i = 0; i < 3; i++)
		d.setting[i] = (struct peer_setting){
			.endpoints = 2,
			.endpoint = { { IN_1, BULK, 512, 0, false },
				      { IN_INT, INTERRUPT, sizes[i], INTERVAL, false } },
		};
	p = plug_peer(&d);
	fd = open_at(IN_INT, O_RDWR);
	assert_int_equal(info_of(fd).transfer_size, sizes[0]);
	ask(fd);
	for (unsigned int n = 0; n < 7; n++) {
		uint16_t size = sizes[order[n]];

		assert_int_equal(set_alternate(fd, order[n]), 0);
		assert_int_equal(info_of(fd).transfer_size, size);
		send_in(p, IN_INT, n, size);
		take_in(fd, IN_INT, n, size);
	}
	unplug_peer();
}

/* Each client hears of it, at whatever node. */
TEST(events)
{
	static const unsigned int pipes[] = { 0, IN_2, IN_INT };
	struct peer_device d = { .settings = 2, .setting = { all_kinds, all_kinds } };
	struct mydev_packet_header h;
	struct mydev_event_record e;
	int fds[3];

	plug_peer(&d);
	for (int i = 0; i < 3; i++) {
		fds[i] = open_at(pipes[i], O_RDWR);
		configure(fds[i], .mode = MYDEV_MODE_PACKET);
		ask(fds[i]);
	}
	assert_int_equal(set_alternate(fds[2], 1), 0);
	for (int i = 0; i < 3; i++) {
		assert_true(read(fds[i], buf, sizeof(buf)) > 0);
		memcpy(&h, buf, sizeof(h));
		assert_int_equal(h.type, MYDEV_RECORD_EVENT);
		memcpy(&e, buf + h.header_size, sizeof(e));
		assert_int_equal(e.event, MYDEV_EVENT_ALTERNATE);
	}
	unplug_peer();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("a node for each pair; what is isochronous is named", nodes, fresh_pipes),
		PROMISE("an interface that has only interrupt endpoints is bound", interrupt_only,
			fresh_pipes),
		PROMISE("one that has only an isochronous endpoint is not, and the log says why, once",
			isochronous_only, fresh_pipes),
		PROMISE("an endpoint without a partner has a node of its own", lone_endpoints,
			fresh_pipes),
		PROMISE("the library finds and opens them by name and by endpoint", library,
			fresh_pipes),
		PROMISE("the tool lists, describes and reads them", tool_knows, fresh_pipes),
		PROMISE("two streams and an interrupt pipe at once, both ways: each its own bytes",
			contents, fresh_pipes),
		PROMISE("a full interrupt packet is there at once; terminate works",
			interrupt_packets, fresh_pipes),
		PROMISE("hundreds of interrupt packets wait for their reader", interrupt_depth,
			fresh_pipes),
		PROMISE("a reader that is stuck stops its own stream alone", stuck_reader,
			fresh_pipes),
		PROMISE("an endpoint that fails for good: the others go on", error_of_one,
			fresh_pipes),
		PROMISE("halts of one IN and one OUT endpoint: the others go on", halt_of_one,
			fresh_pipes),
		PROMISE("each node has a geometry of its own", geometry, fresh_pipes),
		PROMISE("a transaction is with the node's own pair", transaction, fresh_pipes),
		PROMISE("a lease at one node refuses writers and control at all", lease_is_of_all,
			fresh_pipes),
		PROMISE("a message under way at another node ends before the lease", lease_lets_end,
			fresh_pipes),
		PROMISE("clients of all nodes get the lease in turn", lease_contended, fresh_pipes),
		PROMISE("a client of another node can be revoked", revoked_across, fresh_pipes),
		PROMISE("a client that is revoked on its way to the lease holds nothing",
			revoked_in_turn, fresh_pipes),
		PROMISE("unplug with clients at all nodes", unplugged, fresh_pipes),
		PROMISE("without its endpoint in a setting a node is silent, and then goes on",
			silent, fresh_pipes),
		PROMISE("settings with interrupt packets of other sizes: there, and back",
			sizes_of_settings, fresh_pipes),
		PROMISE("another setting is an event at all nodes", events, fresh_pipes),
	};

	return run_peer_promises(tests);
}
