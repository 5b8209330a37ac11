// SPDX-License-Identifier: GPL-2.0-only
/*
 * Another alternate setting, and a reset: programs stay, and what they read
 * goes on behind it.
 *
 * Packets have at most 1000 bytes and so cross the bus in one piece: none is
 * cut in two where the device is stopped. And the simulated device queues one at
 * a time (--depth 1): Linux takes its queue away when the host changes a setting,
 * and where that happens while it queues many, the last ones are the first.
 */
#include <inttypes.h>
#include <linux/usbdevice_fs.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "records.h"
#include "requests.h"
#include "settings.h"

#define SETTINGS 2
#define READERS  4
#define SIZE     "65-1000"

static _Alignas(8) char buf[1 << 18];

/* --- readers that follow --------------------------------------------------------- */

struct follower {
	int fd;
	uint64_t first[SETTINGS]; /* what each setting sends first */
	uint64_t sequence;
	bool by_record;
	volatile bool end; /* nothing more is to come */

	volatile uint64_t packets[SETTINGS];
	volatile uint64_t changes;
	volatile uint64_t resets;
	volatile uint64_t others;
	int error;
	char text[256];
};

/* Which setting the records are of, and what is known of the other one. */
struct course {
	struct follower *f;
	struct records r;
	struct verifier other;
	unsigned int setting;
};

static void on_record(const struct mydev_packet_header *header, void *arg)
{
	struct course *c = arg;
	struct mydev_event_record event;
	struct verifier v;

	if (header->type != MYDEV_RECORD_EVENT)
		return;
	memcpy(&event, (const char *)header + header->header_size, sizeof(event));
	if (event.event == MYDEV_EVENT_RESET)
		c->f->resets++;
	else if (event.event != MYDEV_EVENT_ALTERNATE)
		c->f->others++;
	if (event.event != MYDEV_EVENT_ALTERNATE)
		return;
	/* What comes from here on is of the other setting, which goes on. */
	c->f->changes++;
	c->setting = !c->setting;
	v = c->r.content;
	c->r.content = c->other;
	c->other = v;
}

static bool follow_records(struct follower *f, struct course *c, ssize_t n)
{
	if (!records_feed(&c->r, buf, n)) {
		snprintf(f->text, sizeof(f->text), "%s", c->r.error);
		return false;
	}
	f->packets[c->setting] = c->r.content.packets;
	f->packets[!c->setting] = c->other.packets;
	if (c->r.gaps)
		snprintf(f->text, sizeof(f->text), "%" PRIu64 " gaps", c->r.gaps);
	return !c->r.gaps;
}

/* To the end, also where it is wrong: is something lost, or only late? */
static void follow_bytes(struct follower *f, struct verifier *v, ssize_t n)
{
	bool good = verifier_feed(v, buf, n);

	f->packets[0] = v->packets;
	if (good)
		return;
	snprintf(f->text, sizeof(f->text),
		 "%s (in all: %" PRIu64 " missing, %" PRIu64 " repeated, %" PRIu64 " late, %" PRIu64
		 " damaged)",
		 v->error_text, v->missing, v->repeated, v->reordered, v->damaged);
}

static int follow(void *arg)
{
	struct follower *f = arg;
	struct course c = { .f = f };
	struct verifier v;

	records_from(&c.r, f->first[0], f->sequence);
	c.r.unplugs = true;
	c.r.each = on_record;
	c.r.arg = &c;
	verify_from(&c.other, f->first[1]);
	verifier_init(&v);
	v.by_writer = true;
	for (;;) {
		struct pollfd p = { .fd = f->fd, .events = POLLIN };
		bool end = f->end;
		ssize_t n;

		if (!poll(&p, 1, 20)) {
			if (end)
				return !!*f->text;
			continue;
		}
		n = read(f->fd, buf, sizeof(buf));
		if (n < 0 && errno == EAGAIN)
			continue;
		/* It may have stopped answering, and be gone. */
		if (n < 0 && errno == EIO) {
			nap();
			continue;
		}
		if (n < 0) {
			f->error = errno;
			return 0;
		}
		if (!f->by_record)
			follow_bytes(f, &v, n);
		else if (!follow_records(f, &c, n))
			return 1;
	}
}

static struct {
	struct follower *f;
	pid_t pids[READERS];
	unsigned int count;
	uint64_t sent[SETTINGS]; /* before */
	uint64_t bytes;
} readers;

static uint64_t sent_by(unsigned int setting)
{
	return sim_number(setting ? "alt1 packets" : "packets");
}

/* Can the device change to its other setting? */
static bool has_alternates(void)
{
	static int has = -1;
	int fd, error;

	if (has >= 0)
		return has;
	fd = node_open(O_WRONLY);
	error = sim_number("alts") == SETTINGS ? set_alternate(fd, 1) : EPIPE;
	has = error != EPIPE;
	if (has) {
		assert_int_equal(error, 0);
		assert_int_equal(set_alternate(fd, 0), 0);
	}
	close(fd);
	return has;
}

/* Every second one reads records, where @records says so. */
static void readers_begin_as(unsigned int count, bool records)
{
	bool both = has_alternates();

	readers.f = shared_memory(READERS * sizeof(*readers.f));
	readers.count = count;
	for (unsigned int i = 0; i < SETTINGS; i++)
		readers.sent[i] = both || !i ? sent_by(i) : 0;
	for (unsigned int i = 0; i < count; i++) {
		struct follower *f = &readers.f[i];

		f->fd = node_open(O_RDONLY | O_NONBLOCK);
		f->by_record = records && i % 2 == 0;
		if (f->by_record)
			configure(f->fd, .mode = MYDEV_MODE_PACKET);
		f->first[0] = next_counter();
		if (both)
			f->first[1] = sim_number("alt1 next");
		f->sequence = stats_of(f->fd).packets;
		ask(f->fd);
		readers.pids[i] = spawn(follow, f);
	}
	feed_forever(SIZE);
	if (both) {
		sim_do("alt1 size " SIZE);
		sim_do("alt1 count max");
	}
}

static bool readers_failed(void)
{
	for (unsigned int i = 0; i < readers.count; i++) {
		if (*readers.f[i].text)
			return true;
	}
	return false;
}

static void readers_begin(unsigned int count)
{
	readers_begin_as(count, true);
}

/* It streams again, and all is still well. */
static void await_packets(uint64_t more)
{
	uint64_t at = stats_of(readers.f[0].fd).packets;

	await(stats_of(readers.f[0].fd).packets >= at + more || readers_failed());
}

/* All have what the device has sent. Whether one has more shows at the end. */
static bool readers_have(const uint64_t *sent)
{
	for (unsigned int i = 0; i < readers.count; i++) {
		struct follower *f = &readers.f[i];
		bool all = f->by_record ? f->packets[0] >= sent[0] && f->packets[1] >= sent[1]
					: f->packets[0] >= sent[0] + sent[1];

		if (!all)
			return readers_failed();
	}
	return true;
}

/*
 * Everybody has had each packet that the device has delivered once, in order,
 * and of events just those.
 */
static void readers_end(uint64_t changes, uint64_t resets)
{
	uint64_t sent[SETTINGS] = { 0 };
	int failed = 0;

	sim_do("count 0");
	if (has_alternates())
		sim_do("alt1 count 0");
	await(!strcmp(sim_text(sysfs_number("alternate_setting") ? "alt1 state" : "state"),
		      "quiet") ||
	      readers_failed());
	for (unsigned int i = 0; i < 1U + has_alternates(); i++)
		sent[i] = sent_by(i) - readers.sent[i];
	await(readers_have(sent));
	for (unsigned int i = 0; i < readers.count; i++)
		readers.f[i].end = true;
	for (unsigned int i = 0; i < readers.count; i++) {
		failed |= reap(readers.pids[i], 20);
		if (*readers.f[i].text)
			printf("# reader %u: %s\n", i, readers.f[i].text);
	}
	assert_int_equal(failed, 0);
	for (unsigned int i = 0; i < readers.count; i++) {
		struct follower *f = &readers.f[i];
		struct mydev_stats s = stats_of(f->fd);

		assert_int_equal(f->error, 0);
		assert_true(identity_holds(&s));
		assert_int_equal(s.client_lost_packets, 0);
		if (f->by_record) {
			assert_int_equal(f->changes, changes);
			assert_int_equal(f->resets, resets);
			assert_int_equal(f->others, 0);
			assert_int_equal(f->packets[0], sent[0]);
			assert_int_equal(f->packets[1], sent[1]);
		} else {
			assert_int_equal(f->packets[0], sent[0] + sent[1]);
		}
		close(f->fd);
	}
	printf("# %" PRIu64 " and %" PRIu64 " packets\n", sent[0], sent[1]);
	munmap(readers.f, READERS * sizeof(*readers.f));
}

/* --- alternate settings ----------------------------------------------------------- */

/* Skips the test where the device cannot. */
static void need_alternates(void)
{
	if (has_alternates())
		return;
	print_message("# the gadget side of Linux has alternate settings since 6.8\n");
	skip();
}

TEST(refused)
{
	int fd = node_open(O_WRONLY);
	int error = set_alternate(fd, 1);

	if (!error) {
		print_message("# this device has another setting, and changes to it\n");
		skip();
	}
	assert_int_equal(error, sim_number("alts") == SETTINGS ? EPIPE : ERANGE);
	readers_begin(2);
	await_packets(100);
	for (unsigned int i = 0; i < 5; i++) {
		assert_int_equal(set_alternate(fd, 1), error);
		assert_int_equal(info_of(fd).alternate_setting, 0);
		await_packets(20);
	}
	readers_end(0, 0);
}

static void assert_described(int fd, unsigned int setting)
{
	struct mydev_info info = info_of(fd);
	char file[64];

	assert_int_equal(info.alternate_setting, setting);
	assert_int_equal(sysfs_number("alternate_setting"), setting);
	assert_int_equal(strtoul(sysfs("device/bAlternateSetting"), NULL, 10), setting);
	assert_int_equal(info.ep_in, strtoul(sysfs("ep_in"), NULL, 16));
	assert_int_equal(info.ep_out, strtoul(sysfs("ep_out"), NULL, 16));
	assert_int_equal(info.ep_in_max_packet, sysfs_number("ep_in_max_packet"));
	assert_int_equal(info.ep_out_max_packet, sysfs_number("ep_out_max_packet"));
	/* usbcore has just these. */
	snprintf(file, sizeof(file), "device/ep_%02x/wMaxPacketSize", info.ep_in);
	assert_int_equal(strtoul(sysfs(file), NULL, 16), info.ep_in_max_packet);
	snprintf(file, sizeof(file), "device/ep_%02x/wMaxPacketSize", info.ep_out);
	assert_int_equal(strtoul(sysfs(file), NULL, 16), info.ep_out_max_packet);
}

TEST(described)
{
	int fd = node_open(O_RDWR);
	struct mydev_info before = info_of(fd), after;

	need_alternates();
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(set_alternate(fd, !(i % 2)), 0);
		assert_described(fd, !(i % 2));
		after = info_of(fd);
		if (!(i % 2)) {
			assert_true(after.ep_in && after.ep_in != before.ep_in);
			assert_true(after.ep_out && after.ep_out != before.ep_out);
			/* Its endpoints are ours now, and the others are not. */
			assert_int_equal(clear_halt(fd, after.ep_in), 0);
			assert_int_equal(clear_halt(fd, after.ep_out), 0);
			assert_int_equal(clear_halt(fd, before.ep_in), EACCES);
			assert_int_equal(clear_halt(fd, before.ep_out), EACCES);
		}
	}
	assert_memory_equal(&before, &after, sizeof(after));
	unplug();
	assert_int_equal(info_of(fd).alternate_setting, 0);
}

TEST(wrong_arguments)
{
	static const uint32_t missing[] = { 2, 3, 128, 255, 256, 257, 65536, UINT32_MAX };
	int fd = node_open(O_RDWR), reader = node_open(O_RDONLY), other = node_open(O_WRONLY);

	configure(reader, .mode = MYDEV_MODE_PACKET);
	ask(reader);
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(set_alternate(fd, missing[i]), ERANGE);
	assert_int_equal(set_alternate(reader, 0), EBADF);
	assert_int_equal(reset_device(reader), EBADF);
	assert_int_equal(lease(other, MYDEV_LEASE_ACQUIRE, 0), 0);
	assert_int_equal(set_alternate(fd, 0), EBUSY);
	assert_int_equal(reset_device(fd), EBUSY);
	close(other);
	for (unsigned int bit = 0; bit < 32; bit++) {
		struct mydev_select select = { .size = sizeof(select), .value = 1U << bit };

		assert_errno(ioctl(fd, MYDEV_IOC_RESET, &select), EINVAL);
	}
	/* Nothing has happened. */
	set_nonblock(reader, true);
	assert_errno(read(reader, buf, sizeof(buf)), EAGAIN);
	assert_int_equal(revoke_client(fd, 0), 0);
	assert_int_equal(set_alternate(fd, 0), ESTALE);
	assert_int_equal(reset_device(fd), ESTALE);
	fd = node_open(O_WRONLY);
	unplug();
	assert_int_equal(set_alternate(fd, 0), ENODEV);
	assert_int_equal(reset_device(fd), ENODEV);
}

TEST(back_and_forth)
{
	int fd = node_open(O_WRONLY);

	need_alternates();
	readers_begin(2);
	for (unsigned int i = 1; i <= 20; i++) {
		await_packets(30);
		assert_int_equal(set_alternate(fd, i % 2), 0);
	}
	await_packets(30);
	readers_end(20, 0);
}

TEST(hundred_in_a_row)
{
	int fd = node_open(O_WRONLY);

	need_alternates();
	readers_begin(2);
	for (unsigned int i = 1; i <= 100; i++)
		assert_int_equal(set_alternate(fd, i % 2), 0);
	await_packets(100);
	readers_end(100, 0);
}

/* What was on its way to endpoints that are no more is not for the new ones. */
static void not_sent(int (*stop)(int fd, uint32_t arg), uint32_t arg, const char *taken)
{
	int fds[2] = { node_open(O_WRONLY), node_open(O_RDWR) }, third = node_open(O_WRONLY);
	uint64_t bytes;

	sim_do("refuse");
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(write(fds[i], buf, 200000), 200000);
		assert_int_equal(stats_of(fds[i]).client_unsent_bytes, 200000);
	}
	assert_int_equal(stop(third, arg), 0);
	sim_do("accept");
	bytes = sim_number(taken);
	for (unsigned int i = 0; i < 2; i++) {
		struct pollfd p = { .fd = fds[i], .events = POLLOUT };

		assert_int_equal(stats_of(fds[i]).client_unsent_bytes, 0);
		assert_int_equal(stats_of(fds[i]).client_failed_bytes, 200000);
		assert_int_equal(poll(&p, 1, 0), 1);
		assert_int_equal(p.revents & (POLLERR | POLLOUT | POLLHUP), POLLERR | POLLOUT);
		if (i)
			assert_errno(write(fds[i], buf, 10), EIO);
		else
			assert_errno(fsync(fds[i]), EIO);
		assert_return_code(fsync(fds[i]), errno);
		assert_int_equal(write(fds[i], buf, 3000), 3000);
		assert_return_code(fsync(fds[i]), errno);
	}
	/* Who had sent nothing has missed nothing. */
	assert_return_code(fsync(third), errno);
	await(sim_number(taken) == bytes + 6000);
}

static int reset_as(int fd, uint32_t arg)
{
	(void)arg;
	return reset_device(fd);
}

TEST(alternate_not_sent)
{
	need_alternates();
	not_sent(set_alternate, 1, "alt1 out_bytes");
}

/* --- those who are in the middle -------------------------------------------------- */

struct changer {
	int fd;
	bool resets;
	volatile bool end;
	volatile uint64_t done;
	volatile int error;
};

static int change(struct changer *c)
{
	return c->resets ? reset_device(c->fd) : set_alternate(c->fd, !(c->done % 2));
}

static int changes(void *arg)
{
	struct changer *c = arg;

	while (!c->end && !c->error) {
		int error = change(c);

		c->done += !error;
		c->error = error;
	}
	return 0;
}

TEST(at_once)
{
	struct changer *c = shared_memory(2 * sizeof(*c));
	uint64_t done[2], total = 0;
	pid_t pids[2];
	int64_t ahead;

	need_alternates();
	/* Readers of records count on its being another one each time. */
	readers_begin_as(2, false);
	for (unsigned int i = 0; i < 2; i++) {
		c[i].fd = node_open(O_WRONLY);
		pids[i] = spawn(changes, &c[i]);
	}
	await((c[0].done && c[1].done) || c[0].error || c[1].error);
	done[0] = c[0].done;
	done[1] = c[1].done;
	await((c[0].done >= done[0] + 10 && c[1].done >= done[1] + 10) || c[0].error || c[1].error);
	/*
	 * However soon one asks again, the other one is not left behind. A mutex may
	 * be taken by who is awake just then, but not again and again.
	 */
	ahead = (int64_t)(c[0].done - done[0]) - (int64_t)(c[1].done - done[1]);
	print_message("# one is %d ahead\n", (int)ahead);
	assert_in_range(ahead + 20, 0, 40);
	c[0].end = c[1].end = true;
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(reap(pids[i], 10), 0);
		assert_int_equal(c[i].error, 0);
		total += c[i].done;
	}
	printf("# %" PRIu64 " changes\n", total);
	readers_end(0, 0);
	munmap(c, 2 * sizeof(*c));
}

static unsigned int other_setting(void)
{
	return !sysfs_number("alternate_setting");
}

static void cut_short(bool resets)
{
	struct changer *c = shared_memory(sizeof(*c));
	uint64_t seed = test_seed();

	for (unsigned int round = 0; round < 8; round++) {
		bool kills = round % 2;
		pid_t pid;

		readers_begin(2);
		*c = (struct changer){ .fd = node_open(O_WRONLY), .resets = resets };
		pid = spawn(changes, c);
		await(c->done || c->error);
		usleep(random_next(&seed) % 50000);
		if (kills) {
			assert_return_code(kill(pid, SIGKILL), errno);
			assert_int_equal(reap(pid, PROMPT), 128 + SIGKILL);
			await_packets(50);
			assert_false(readers_failed());
			/* Readers of records count on its being another one. */
			assert_int_equal(resets ? reset_device(c->fd)
						: set_alternate(c->fd, other_setting()),
					 0);
			await_packets(50);
		} else {
			unplug();
			assert_int_equal(reap(pid, PROMPT), 0);
			/* A device that leaves is silent before the hub tells. */
			if (!ended_by_unplug(c->error))
				assert_int_equal(change(c), ENODEV);
			for (unsigned int i = 0; i < 2; i++) {
				assert_int_equal(reap(readers.pids[i], PROMPT), 0);
				assert_int_equal(readers.f[i].error, ENODEV);
			}
		}
		assert_false(readers_failed());
		munmap(readers.f, READERS * sizeof(*readers.f));
		close(c->fd);
		fresh(NULL);
	}
	munmap(c, sizeof(*c));
}

TEST(change_cut_short)
{
	need_alternates();
	deadline(150);
	cut_short(false);
}

TEST(reset_cut_short)
{
	deadline(150);
	cut_short(true);
}

/* --- reset ------------------------------------------------------------------------ */

static int without_capability(void *arg)
{
	int fd = *(int *)arg;

	if (setgid(65534) || setuid(65534))
		return 1;
	return reset_device(fd);
}

TEST(not_for_everybody)
{
	int fd = node_open(O_RDWR), reader = node_open(O_RDONLY | O_NONBLOCK);

	configure(reader, .mode = MYDEV_MODE_PACKET);
	ask(reader);
	assert_int_equal(reap(spawn(without_capability, &fd), PROMPT), EPERM);
	assert_errno(read(reader, buf, sizeof(buf)), EAGAIN);
	assert_int_equal(reset_device(fd), 0);
	await_within(PROMPT, read(reader, buf, sizeof(buf)) > 0);
}

static int usbfs_reset(int fd, uint32_t arg)
{
	struct mydev_info info = info_of(fd);
	char path[64];
	int device, error;

	(void)arg;
	snprintf(path, sizeof(path), "/dev/bus/usb/%03u/%03u", info.bus_number, info.device_number);
	device = open(path, O_RDWR | O_CLOEXEC);
	if (device < 0)
		return errno;
	error = ioctl(device, USBDEVFS_RESET) ? errno : 0;
	close(device);
	return error;
}

static void four_read_on(int (*reset)(int fd, uint32_t arg), unsigned int times)
{
	int fd = node_open(O_WRONLY);
	struct mydev_info before = info_of(fd), after;

	deadline(150);
	readers_begin(READERS);
	for (unsigned int i = 0; i < times; i++) {
		if (i % 5 == 0)
			await_packets(10);
		assert_int_equal(reset(fd, 0), 0);
	}
	await_packets(100);
	after = info_of(fd);
	assert_memory_equal(&before, &after, sizeof(after));
	readers_end(0, times);
}

TEST(reset_fifty)
{
	four_read_on(reset_as, 50);
}

TEST(reset_outside)
{
	four_read_on(usbfs_reset, 5);
}

TEST(reset_not_sent)
{
	not_sent(reset_as, 0, "out_bytes");
}

TEST(reset_outside_not_sent)
{
	not_sent(usbfs_reset, 0, "out_bytes");
}

/* It comes back in the setting that it was in. */
TEST(reset_in_another)
{
	int fd = node_open(O_WRONLY);

	need_alternates();
	readers_begin(2);
	await_packets(30);
	assert_int_equal(set_alternate(fd, 1), 0);
	await_packets(30);
	for (unsigned int i = 0; i < 5; i++) {
		assert_int_equal(reset_device(fd), 0);
		assert_described(fd, 1);
		await_packets(30);
	}
	assert_int_equal(set_alternate(fd, 0), 0);
	await_packets(30);
	readers_end(2, 5);
}

/* Nobody reads, nobody sends. */
TEST(reset_idle)
{
	int fd = node_open(O_RDWR);
	struct verifier v;

	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(reset_device(fd), 0);
		assert_true(state_is("idle"));
		assert_int_equal(control_check(fd, i, 64), 0);
	}
	verify_from(&v, next_counter());
	feed(10, "1000");
	take_packets(fd, &v, 10, 0);
	assert_int_equal(write(fd, buf, 100), 100);
	assert_return_code(fsync(fd), errno);
}

/* A ring that gave up: that is a new start for it, with nobody having closed. */
TEST(reset_of_the_failed)
{
	int fd = node_open(O_RDWR | O_NONBLOCK);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct verifier v;

	ask(fd);
	sim_do("stall-always on");
	await(state_is("failed"));
	assert_errno(read(fd, buf, 1), EIO);
	sim_do("stall-always off");
	assert_int_equal(reset_device(fd), 0);
	verify_from(&v, next_counter());
	set_nonblock(fd, false);
	feed(10, "1000");
	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_int_equal(p.revents, POLLIN);
	take_packets(fd, &v, 10, 0);
}

struct waiter {
	int fd;
	volatile int error;
};

static int waits_for_control(void *arg)
{
	struct waiter *w = arg;

	w->error = control_unanswered(w->fd);
	return 0;
}

/* The device is there, so that it is not: an error of the bus. */
TEST(reset_of_a_request)
{
	struct waiter *w = shared_memory(sizeof(*w));
	uint64_t requests = requests_so_far();
	pid_t pid;

	w->fd = node_open(O_WRONLY);
	pid = spawn(waits_for_control, w);
	await(requests_so_far() > requests);
	assert_int_equal(reset_device(node_open(O_WRONLY)), 0);
	assert_int_equal(reap(pid, PROMPT), 0);
	assert_int_equal(w->error, EIO);
	assert_int_equal(control_check(w->fd, 1, 64), 0);
	munmap(w, sizeof(*w));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("wrong arguments: ERANGE, EBADF, EBUSY, EINVAL, ESTALE, ENODEV",
			wrong_arguments, fresh),
		PROMISE("a setting that the device refuses: EPIPE, and all goes on", refused,
			fresh),
		PROMISE("info and sysfs tell the endpoints in use", described, fresh),
		PROMISE("back and forth, and readers miss nothing and are told each time",
			back_and_forth, fresh),
		PROMISE("a hundred changes in a row", hundred_in_a_row, fresh),
		PROMISE("what waits to be sent is EIO once", alternate_not_sent, fresh),
		PROMISE("two programs change at once", at_once, fresh),
		PROMISE("killed and unplugged in the middle of changes", change_cut_short, fresh),
		PROMISE("a reset is for those who may: EPERM", not_for_everybody, fresh),
		PROMISE("50 resets in a row, and four readers miss nothing and are told",
			reset_fifty, fresh),
		PROMISE("the same for resets that others do", reset_outside, fresh),
		PROMISE("a reset: what waits to be sent is EIO once", reset_not_sent, fresh),
		PROMISE("the same for a reset that others do", reset_outside_not_sent, fresh),
		PROMISE("a reset in another alternate setting comes back there", reset_in_another,
			fresh),
		PROMISE("a reset where nobody reads", reset_idle, fresh),
		PROMISE("a reset is a new start for a device that had failed", reset_of_the_failed,
			fresh),
		PROMISE("a reset ends a control request with EIO", reset_of_a_request, fresh),
		PROMISE("killed and unplugged in the middle of resets", reset_cut_short, fresh),
	};

	return run_promises(tests);
}
