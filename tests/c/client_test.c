// SPDX-License-Identifier: GPL-2.0-only
/*
 * The packets of libmydev: from the mapped ring and by reading, which has to
 * make no difference but where it is said to.
 */
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "packets.h"

/* --- what comes ------------------------------------------------------------- */

static void content(void **state)
{
	struct mydev_client *client = client_open(state);
	uint64_t counter = next_counter(), sequence = packets_so_far(client), time = 0;
	unsigned int wanted = 300 + zeros_in(counter, 300), zeros = 0;
	struct verifier v;

	assert_int_equal(mydev_client_has_ring(client), way_is_ring(state));
	verify_from(&v, counter);
	feed(300, "65-1000");
	for (unsigned int i = 0; i < wanted; i++) {
		struct mydev_packet p = next(client);

		assert_int_equal(p.type, MYDEV_RECORD_PACKET);
		assert_int_equal(p.sequence, sequence + i);
		assert_int_equal(p.flags, 0);
		assert_int_equal(p.status, 0);
		assert_true(p.timestamp_ns >= time);
		time = p.timestamp_ns;
		zeros += !p.length;
		if (!verifier_feed(&v, p.data, p.length))
			fail_msg("%s", v.error_text);
		assert_int_equal(mydev_client_release(client, &p), 0);
	}
	assert_int_equal(v.packets, 300);
	assert_int_equal(zeros, wanted - 300);
	assert_int_equal(stats_of_client(client).client_read_packets, wanted);
	assert_int_equal(stats_of_client(client).client_queued_packets, 0);
	client_close(client);
}

/* Each packet at once by both ways, with all that is known about it. */
TEST(both_the_same)
{
	struct mydev_client *ring = client_open_as(MYDEV_CLIENT_RING);
	struct mydev_client *copy = client_open_as(MYDEV_CLIENT_COPY);
	unsigned int wanted = 60 + zeros_in(next_counter(), 60), taken = 0;

	/* Longer than a transfer: each is two packets, the first one of 32 KiB. */
	feed(60, "40000");
	while (taken < wanted + 60) {
		struct mydev_packet a = next(ring), b = next(copy);

		assert_int_equal(a.type, b.type);
		assert_int_equal(a.flags, b.flags);
		assert_int_equal(a.flags, a.length == 32768 ? MYDEV_PACKET_CONTINUES : 0);
		assert_int_equal(a.sequence, b.sequence);
		assert_int_equal(a.timestamp_ns, b.timestamp_ns);
		assert_int_equal(a.status, b.status);
		assert_int_equal(a.length, b.length);
		assert_memory_equal(a.data, b.data, a.length);
		assert_int_equal(mydev_client_release(ring, &a), 0);
		assert_int_equal(mydev_client_release(copy, &b), 0);
		taken++;
	}
	client_close(ring);
	client_close(copy);
}

/* Where in the mapping of a device's node something is, or -1. */
static long place_in_pool(const void *data)
{
	char line[512], mapping[512] = "";
	unsigned long begin, end, offset, at = (unsigned long)data;
	FILE *maps = fopen("/proc/self/maps", "r");
	long place = -1;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %*s %lx %*s %*s %511s", &begin, &end, &offset, mapping) <
			    4 ||
		    at < begin || at >= end || strcmp(mapping, node))
			continue;
		place = offset + (at - begin);
	}
	fclose(maps);
	return place;
}

/* The bytes of all clients are the same memory, and it is the device's. */
TEST(no_copy)
{
	struct mydev_client *a = client_open_as(MYDEV_CLIENT_RING);
	struct mydev_client *b = client_open_as(MYDEV_CLIENT_RING);

	feed(20, "30000");
	for (int i = 0; i < 20; i++) {
		struct mydev_packet x = next(a), y = next(b);

		if (!x.length && x.sequence == y.sequence && i--)
			goto give_back;
		assert_ptr_not_equal(x.data, y.data);
		assert_true(place_in_pool(x.data) >= 0);
		assert_int_equal(place_in_pool(x.data), place_in_pool(y.data));
give_back:
		assert_int_equal(mydev_client_release(a, &x), 0);
		assert_int_equal(mydev_client_release(b, &y), 0);
	}
	client_close(a);
	client_close(b);
}

#define NO_SECCOMP 77

/* All but read(), write() and the end kills, once it has what it needs. */
static int take_without_a_call(void *arg)
{
	struct mydev_client *client;
	struct mydev_packet p;
	struct mydev *dev;
	int good = 0;

	(void)arg;
	if (mydev_open(node, O_RDWR, &dev) || mydev_client_new(dev, MYDEV_CLIENT_RING, &client))
		return 1;
	while (stats_of_client(client).client_queued_packets < 50)
		nap();
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
		return NO_SECCOMP;
	while (good < 50 && !mydev_client_next(client, &p, -1) && !mydev_client_release(client, &p))
		good++;
	syscall(SYS_exit, good == 50 ? 0 : 2);
	return 3;
}

TEST(no_call)
{
	pid_t pid = spawn(take_without_a_call, NULL);
	int status;

	await(state_is("running"));
	feed(50, "1000");
	status = reap(pid, 20);
	if (status == NO_SECCOMP) {
		print_message("this kernel has no seccomp\n");
		skip();
	}
	assert_int_equal(status, 0);
}

/* --- holding ---------------------------------------------------------------- */

static void held(void **state)
{
	struct mydev_client *client = client_open(state);
	unsigned int max = mydev_client_held_max(client), i;
	struct mydev_packet p[MYDEV_CLIENT_HELD], more;
	struct verifier v;

	assert_int_equal(max, MYDEV_CLIENT_HELD);
	verify_from(&v, next_counter());
	feed(2 * max, "500-1000");
	for (i = 0; i < max; i++)
		p[i] = next(client);
	assert_int_equal(mydev_client_next(client, &more, 0), -ENOSPC);
	/* What came first is still what it was. */
	for (i = 0; i < max; i++)
		assert_true(verifier_feed(&v, p[i].data, p[i].length));

	assert_int_equal(mydev_client_release(client, &p[0]), 0);
	assert_int_equal(mydev_client_release(client, &p[0]), -EINVAL);
	more = next(client);
	assert_true(verifier_feed(&v, more.data, more.length));
	/* With one, all before it. */
	assert_int_equal(mydev_client_release(client, &p[max - 1]), 0);
	assert_int_equal(mydev_client_release(client, &p[5]), -EINVAL);
	assert_int_equal(mydev_client_release(client, &more), 0);
	more.number++;
	assert_int_equal(mydev_client_release(client, &more), -EINVAL);
	while (v.packets < 2 * max) {
		more = next(client);
		assert_true(verifier_feed(&v, more.data, more.length));
		assert_int_equal(mydev_client_release(client, &more), 0);
	}
	client_close(client);
}

/* The limit is the queue's, where that is shorter. */
static void held_of_a_short_queue(void **state)
{
	struct mydev *dev = device_open(O_RDWR);
	struct mydev_client *client;
	struct mydev_config config;
	struct mydev_packet p;

	assert_int_equal(mydev_get_config(dev, &config, sizeof(config)), 0);
	config.queue_depth = 3;
	assert_int_equal(mydev_set_config(dev, &config, sizeof(config)), 0);
	client = client_of(dev, way_of(state));
	assert_int_equal(mydev_client_held_max(client), 3);
	feed(20, "1000");
	for (int i = 0; i < 3; i++)
		p = next(client);
	assert_int_equal(mydev_client_next(client, &p, 0), -ENOSPC);
	client_close(client);
}

/* --- waiting ---------------------------------------------------------------- */

static double cpu_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_utime.tv_sec + usage.ru_utime.tv_usec / 1e6 + usage.ru_stime.tv_sec +
	       usage.ru_stime.tv_usec / 1e6;
}

/* An emulated processor that stands still counts as work of whom it was running. */
static bool waits_without_work(void **state)
{
	struct mydev_client *client = *state;
	double begin = now(), cpu = cpu_seconds();
	struct mydev_packet p;

	assert_int_equal(mydev_client_next(client, &p, 1000), -ETIMEDOUT);
	assert_true(now() - begin >= 0.999);
	cpu = cpu_seconds() - cpu;
	if (cpu > 0.5)
		printf("# %g s of work to wait a second\n", cpu);
	return cpu <= 0.5;
}

static void waiting(void **state)
{
	struct mydev_client *client = client_open(state);
	struct mydev_packet first, p;
	double begin;

	assert_int_equal(mydev_client_next(client, &p, 0), -EAGAIN);
	begin = now();
	assert_int_equal(mydev_client_next(client, &p, 50), -ETIMEDOUT);
	assert_true(now() - begin >= 0.049);
	feed(1, "1000");
	assert_int_equal(mydev_client_next(client, &first, -1), 0);

	/* What is held is no reason to wake up. */
	holds_once(waits_without_work, NULL, (void **)&client);

	/* And what comes is one, also while others are held. */
	sim_do("rate 20");
	feed(5, "1000");
	for (int i = 0; i < 5; i++) {
		assert_int_equal(mydev_client_next(client, &p, -1), 0);
		assert_int_equal(p.type, MYDEV_RECORD_PACKET);
	}
	assert_int_equal(mydev_client_release(client, &p), 0);
	client_close(client);
}

/* What is there is taken at once; only waiting goes by the watermark. */
static void watermark(void **state)
{
	struct mydev_client *client = client_open(state);
	struct mydev *dev = mydev_client_device(client);
	struct mydev_config config;
	struct mydev_packet p;
	uint64_t bytes;

	assert_int_equal(mydev_get_config(dev, &config, sizeof(config)), 0);
	config.watermark = 2500;
	assert_int_equal(mydev_set_config(dev, &config, sizeof(config)), 0);
	bytes = stats_of_client(client).client_bytes;
	sim_do("rate 10");
	feed(3, "1000");
	/* It waits for three, or was late and has found fewer. */
	assert_int_equal(mydev_client_next(client, &p, -1), 0);
	await(stats_of_client(client).client_bytes >= bytes + 3000);
	assert_int_equal(mydev_client_next(client, &p, 0), 0);
	client_close(client);
}

/* --- the end ---------------------------------------------------------------- */

static void unplugged(void **state)
{
	struct mydev_client *client = client_open(state);
	struct mydev_packet p[9], more;
	struct verifier v;
	int i, ret;

	verify_from(&v, next_counter());
	feed(9, "1000");
	await(sim_is("quiet"));
	await(stats_of_client(client).client_queued_bytes == 9000);
	unplug();
	for (i = 0; i < 9;) {
		p[i] = next(client);
		i += p[i].length > 0;
	}
	/* The host may first take it for an error of the bus, and say so. */
	while (!(ret = mydev_client_next(client, &more, -1)))
		assert_int_equal(more.length, 0);
	assert_int_equal(ret, -ENODEV);
	/* What is held is still there. */
	for (i = 0; i < 9; i++)
		assert_true(verifier_feed(&v, p[i].data, p[i].length));
	assert_int_equal(mydev_client_release(client, &p[8]), 0);
	while (!(ret = mydev_client_next(client, &more, -1)))
		assert_int_equal(more.length, 0);
	assert_int_equal(ret, -ENODEV);
	client_close(client);
}

static void revoked(void **state)
{
	struct mydev_client *client = client_open(state);
	struct mydev_packet held, p;

	feed(1, "1000");
	held = next(client);
	assert_int_equal(held.length, 1000);
	assert_int_equal(mydev_revoke(mydev_client_device(client), 0), 0);
	assert_int_equal(mydev_client_next(client, &p, -1), -ESTALE);
	/* Where the kernel had its bytes they are gone. */
	assert_int_equal(mydev_client_release(client, &held),
			 way_of(state) == MYDEV_CLIENT_COPY ? 0 : -ENOBUFS);
	assert_int_equal(mydev_client_next(client, &p, 0), -ESTALE);
	client_close(client);
}

/* --- gaps and events -------------------------------------------------------- */

static struct mydev_client *open_dropping(void **state, unsigned int depth)
{
	struct mydev *dev = device_open(O_RDWR);
	struct mydev_config config;

	assert_int_equal(mydev_get_config(dev, &config, sizeof(config)), 0);
	config.policy = MYDEV_POLICY_DROP_OLDEST;
	config.queue_depth = depth;
	assert_int_equal(mydev_set_config(dev, &config, sizeof(config)), 0);
	return client_of(dev, way_of(state));
}

/* Packets in gaps, and packets that were released with 0, from now to the end. */
static uint64_t count_rest(struct mydev_client *client, uint64_t *lost)
{
	struct mydev_packet p;
	uint64_t good = 0;

	*lost = 0;
	while (!mydev_client_next(client, &p, 0)) {
		assert_int_equal(mydev_client_release(client, &p), 0);
		good += p.type == MYDEV_RECORD_PACKET;
		*lost += p.gap_packets;
	}
	return good;
}

static void gaps(void **state)
{
	struct mydev_client *client = open_dropping(state, 4);
	uint64_t sequence = packets_so_far(client), total, lost, good;
	struct mydev_packet p;

	feed(30, "1000");
	await(sim_is("quiet"));
	total = 30 + zeros_in(next_counter() - 30, 30);
	await(stats_of_client(client).client_packets == total);
	p = next(client);
	assert_int_equal(p.type, MYDEV_RECORD_GAP);
	assert_int_equal(p.sequence, sequence);
	assert_int_equal(p.length, 0);
	/* What a ring has lost by its policy the kernel knows from its cursor. */
	assert_int_equal(mydev_client_release(client, &p), 0);
	assert_int_equal(p.gap_packets, stats_of_client(client).client_lost_packets);
	assert_int_equal(p.gap_bytes, stats_of_client(client).client_lost_bytes);
	good = count_rest(client, &lost);
	assert_true(good <= 4);
	assert_int_equal(good + lost + p.gap_packets, total);
	client_close(client);
}

/* Of a packet that is read it cannot happen; of one in the ring it is told. */
static void taken_away(void **state)
{
	struct mydev_client *client = open_dropping(state, 4);
	struct mydev_packet first, second;
	uint64_t total, good, lost;
	bool ring = way_is_ring(state);
	int ret;

	feed(2, "1000");
	first = next(client);
	second = next(client);
	/* More than the memory of the device has room for. */
	feed(400, "20000");
	await(sim_is("quiet"));
	total = 402 + zeros_in(next_counter() - 402, 402);
	await(stats_of_client(client).client_packets == total);
	await(stats_of_client(client).client_lost_packets > 0);
	ret = mydev_client_release(client, &first);
	assert_int_equal(ret, ring ? -ENOBUFS : 0);
	assert_int_equal(mydev_client_release(client, &second), ring ? -ENOBUFS : 0);
	assert_int_equal(mydev_client_release(client, &second), -EINVAL);
	good = count_rest(client, &lost);
	assert_int_equal(good + lost + (ring ? 0 : 2), total);
	assert_true(lost > 0);

	/* It goes on as if nothing had happened. */
	feed(1, "1000");
	first = next(client);
	assert_int_equal(first.type, MYDEV_RECORD_PACKET);
	assert_int_equal(mydev_client_release(client, &first), 0);
	client_close(client);
}

/* The next one is asked for before the first one was found to be gone. */
static void taken_away_and_on(void **state)
{
	struct mydev_client *client = open_dropping(state, 4);
	struct mydev_packet first, gap;
	uint64_t total, good, lost;

	feed(1, "1000");
	first = next(client);
	/* More than the memory of the device has room for. */
	feed(400, "20000");
	await(sim_is("quiet"));
	total = 401 + zeros_in(next_counter() - 401, 401);
	await(stats_of_client(client).client_packets == total);
	gap = next(client);
	assert_int_equal(gap.type, MYDEV_RECORD_GAP);
	assert_int_equal(gap.sequence, first.sequence);
	assert_int_equal(mydev_client_release(client, &first), -ENOBUFS);
	assert_int_equal(mydev_client_release(client, &gap), 0);
	good = count_rest(client, &lost);
	assert_int_equal(good + lost + gap.gap_packets, total);
	client_close(client);
}

static void events(void **state)
{
	struct mydev_client *client = client_open(state);
	uint64_t stalls = stats_of_client(client).stalls;
	struct mydev_packet p;

	feed(3, "1000");
	await(stats_of_client(client).client_queued_bytes == 3000);
	sim_do("stall");
	await(stats_of_client(client).stalls == stalls + 1);
	do {
		p = next(client);
		assert_int_equal(mydev_client_release(client, &p), 0);
	} while (p.type == MYDEV_RECORD_PACKET);
	assert_int_equal(p.type, MYDEV_RECORD_EVENT);
	assert_int_equal(p.event, MYDEV_EVENT_STALL);
	assert_int_equal(p.status, -EPIPE);
	assert_int_equal(p.length, 0);
	assert_int_equal(p.sequence, stats_of_client(client).packets);
	client_close(client);
}

/* --- opening ---------------------------------------------------------------- */

TEST(errors)
{
	struct mydev *reader = device_open(O_RDONLY), *writer = device_open(O_WRONLY);
	struct mydev *both = device_open(O_RDWR);
	struct mydev_client *client, *second;
	struct mydev_config config;

	assert_int_equal(mydev_client_new(reader, 1U << 7, &client), -EINVAL);
	assert_int_equal(mydev_client_new(reader, MYDEV_CLIENT_RING | MYDEV_CLIENT_COPY, &client),
			 -EINVAL);
	assert_int_equal(mydev_client_new(reader, MYDEV_CLIENT_RING, &client), -EBADF);
	assert_int_equal(mydev_client_new(writer, 0, &client), -EBADF);
	assert_int_equal(mydev_client_new(reader, 0, &client), 0);
	assert_false(mydev_client_has_ring(client));
	mydev_client_free(client);
	assert_int_equal(mydev_client_new(both, 0, &client), 0);
	assert_true(mydev_client_has_ring(client));
	assert_int_equal(mydev_client_new(both, 0, &second), -EBUSY);
	mydev_client_free(client);
	assert_int_equal(mydev_get_config(both, &config, sizeof(config)), 0);
	assert_int_equal(config.mode, MYDEV_MODE_STREAM);
	mydev_client_free(NULL);
	mydev_close(reader);
	mydev_close(writer);
	mydev_close(both);
}

TEST(by_what_it_is)
{
	struct mydev_list *list;
	struct mydev *dev;
	const char *serial;

	assert_int_equal(mydev_list_new(&list), 0);
	assert_int_equal(mydev_list_count(list), 1);
	serial = mydev_entry_serial(mydev_list_get(list, 0));
	assert_true(*serial);
	assert_int_equal(mydev_open_match(MYDEV_ANY_ID, MYDEV_ANY_ID, serial, 0, O_RDONLY, &dev),
			 0);
	assert_string_equal(mydev_path(dev), node);
	mydev_close(dev);
	assert_int_equal(mydev_open_match(0x1209, 0x0001, NULL, 0, O_RDWR, &dev), 0);
	mydev_close(dev);
	assert_int_equal(mydev_open_match(0x1209, MYDEV_ANY_ID, serial, 0, O_RDWR, &dev), 0);
	mydev_close(dev);
	assert_int_equal(mydev_open_match(0x1209, 0x0002, NULL, 0, O_RDWR, &dev), -ENOENT);
	assert_int_equal(mydev_open_match(0x120a, 0x0001, NULL, 0, O_RDWR, &dev), -ENOENT);
	assert_int_equal(mydev_open_match(0x1209, 0x0001, "nobody's", 0, O_RDWR, &dev), -ENOENT);
	assert_int_equal(mydev_open_match(0x1209, 0x0001, "", 0, O_RDWR, &dev), -ENOENT);
	assert_int_equal(mydev_open_match(0x1209, 0x0001, NULL, 0, O_APPEND, &dev), -EINVAL);
	mydev_list_free(list);
}

/* Each error that the client functions can return has words of its own. */
TEST(words)
{
	static const int list[] = { ENOENT, ENOTUNIQ, EBADF,      EBUSY,    EINVAL, ENOMEM,
				    EAGAIN, ENODEV,   EINTR,      ENOSPC,   ESTALE, EPROTO,
				    EIO,    ENOBUFS,  EOPNOTSUPP, ETIMEDOUT };

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		assert_string_not_equal(mydev_strerror(-list[i]), strerror(list[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_RING("numbers, times, lengths and every byte", content),
		WITH_COPY("numbers, times, lengths and every byte", content),
		PROMISE("both ways bring the same", both_the_same, fresh_clients),
		PROMISE("the ring's packets are in the device's memory", no_copy, fresh_clients),
		PROMISE("and taken without any system call", no_call, fresh_clients),
		WITH_RING("many can be held, and are released in order", held),
		WITH_COPY("many can be held, and are released in order", held),
		WITH_RING("no more can be held than the queue has", held_of_a_short_queue),
		WITH_COPY("no more can be held than the queue has", held_of_a_short_queue),
		WITH_RING("waits as long as was said, and for what comes", waiting),
		WITH_COPY("waits as long as was said, and for what comes", waiting),
		WITH_RING("what is there is taken, whatever the watermark", watermark),
		WITH_COPY("what is there is taken, whatever the watermark", watermark),
		WITH_RING("unplugged: all that came, then ENODEV; what is held stays", unplugged),
		WITH_COPY("unplugged: all that came, then ENODEV; what is held stays", unplugged),
		WITH_RING("revoked: ESTALE, again and again", revoked),
		WITH_COPY("revoked: ESTALE, again and again", revoked),
		WITH_RING("what is lost is a gap in its place", gaps),
		WITH_COPY("what is lost is a gap in its place", gaps),
		WITH_RING("a packet that was taken away is told at its release", taken_away),
		WITH_COPY("a packet that was taken away is told at its release", taken_away),
		WITH_RING("one that is held is told also when the next was taken",
			  taken_away_and_on),
		WITH_RING("a stall is an event in its place", events),
		WITH_COPY("a stall is an event in its place", events),
		PROMISE("each way of misuse has its errno", errors, fresh_clients),
		PROMISE("opened by ids and by serial number", by_what_it_is, fresh_clients),
		PROMISE("each error has words of its own", words, fresh_clients),
	};

	return run_promises(tests);
}
