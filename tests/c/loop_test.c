// SPDX-License-Identifier: GPL-2.0-only
/* Callbacks of libmydev on an event loop that the caller owns, here poll(). */
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "packets.h"

static struct mydev_loop *loop_new(void)
{
	struct mydev_loop *loop;

	assert_int_equal(mydev_loop_new(&loop), 0);
	return loop;
}

static bool readable(const struct mydev_loop *loop, int ms)
{
	struct pollfd p = { .fd = mydev_loop_fd(loop), .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* Waits as a program would, and dispatches. */
static int turn(struct mydev_loop *loop)
{
	if (!readable(loop, 20000))
		fail_msg("nothing happened in 20 s");
	return mydev_loop_dispatch(loop);
}

#define turn_until(_loop, _cond) \
	do { \
		while (!(_cond)) \
			assert_true(turn(_loop) >= 0); \
	} while (0)

static struct seen {
	struct verifier v;
	struct mydev_loop *loop;
	unsigned int packets, gaps, events, taken, ends;
	uint64_t lost, total;
	int error;
	enum { GO_ON, REMOVE, CLOSE, RE_ENTER, BE_SLOW } what_next;
	struct mydev_client *first, *other;
} seen;

static void on_packet(struct mydev_client *client, const struct mydev_packet *p, void *arg)
{
	struct seen *s = arg;

	assert_int_equal(p->type, MYDEV_RECORD_PACKET);
	s->packets++;
	if (s->what_next != BE_SLOW && !verifier_feed(&s->v, p->data, p->length))
		fail_msg("%s", s->v.error_text);
	switch (s->what_next) {
	case GO_ON:
		break;
	case REMOVE:
		assert_int_equal(mydev_loop_remove(s->loop, client), 0);
		break;
	case CLOSE:
		/* Its own, and another one, whichever has its turn first. */
		if (s->other) {
			client_close(s->other == client ? s->first : s->other);
			s->other = NULL;
		}
		client_close(client);
		break;
	case RE_ENTER:
		assert_int_equal(mydev_loop_dispatch(s->loop), -EBUSY);
		break;
	case BE_SLOW:
		if (s->packets == 1)
			feed(400, "20000");
		/* All, so that what is lost is lost. */
		await(stats_of_client(client).client_packets == s->total);
		break;
	}
}

static void on_taken(struct mydev_client *client, const struct mydev_packet *p, void *arg)
{
	struct seen *s = arg;

	(void)client;
	assert_int_equal(p->type, MYDEV_RECORD_PACKET);
	s->taken++;
}

static void on_gap(struct mydev_client *client, const struct mydev_packet *p, void *arg)
{
	struct seen *s = arg;

	(void)client;
	assert_int_equal(p->type, MYDEV_RECORD_GAP);
	s->gaps++;
	s->lost += p->gap_packets;
}

static void on_event(struct mydev_client *client, const struct mydev_packet *p, void *arg)
{
	struct seen *s = arg;

	(void)client;
	assert_int_equal(p->type, MYDEV_RECORD_EVENT);
	/* An unplug may be taken for an error of the bus first. */
	if (p->event != MYDEV_EVENT_ERROR)
		assert_int_equal(p->event, MYDEV_EVENT_STALL);
	s->events += p->event == MYDEV_EVENT_STALL;
}

static void on_end(struct mydev_client *client, int error, void *arg)
{
	struct seen *s = arg;

	s->ends++;
	s->error = error;
	if (s->what_next == CLOSE)
		client_close(client);
}

static const struct mydev_callbacks callbacks = {
	.packet = on_packet, .taken = on_taken, .gap = on_gap, .event = on_event, .end = on_end
};

static struct mydev_client *start(void **state)
{
	struct mydev_client *client = client_open(state);

	seen = (struct seen){ .loop = loop_new() };
	verify_from(&seen.v, next_counter());
	assert_int_equal(mydev_loop_add(seen.loop, client, &callbacks, sizeof(callbacks), &seen),
			 0);
	return client;
}

static void all_packets(void **state)
{
	struct mydev_client *client = start(state);
	unsigned int wanted = 700 + zeros_in(next_counter(), 700);
	int n;

	assert_int_equal(mydev_loop_dispatch(seen.loop), 0);
	assert_false(readable(seen.loop, 0));
	feed(700, "65-300");
	await(sim_is("quiet"));
	/* More than one turn of a client: the rest is not forgotten. */
	while (seen.packets < wanted) {
		n = turn(seen.loop);
		assert_true(n >= 0 && n < 600);
	}
	assert_int_equal(seen.v.packets, 700);
	while (readable(seen.loop, 0))
		assert_int_equal(mydev_loop_dispatch(seen.loop), 0);
	assert_int_equal(stats_of_client(client).client_read_packets, wanted);
	client_close(client);
	mydev_loop_free(seen.loop);
}

/* What next() has read already, no descriptor tells of. */
static void some_were_read(void **state)
{
	struct mydev_client *client = client_open(state);
	uint64_t counter = next_counter();
	unsigned int wanted = 20 + zeros_in(counter, 20);
	struct mydev_packet p;

	seen = (struct seen){ .loop = loop_new() };
	verify_from(&seen.v, counter);
	feed(20, "65-300");
	await(stats_of_client(client).client_queued_packets >= wanted);
	p = next(client);
	assert_true(verifier_feed(&seen.v, p.data, p.length));
	assert_int_equal(mydev_client_release(client, &p), 0);
	assert_int_equal(mydev_loop_add(seen.loop, client, &callbacks, sizeof(callbacks), &seen),
			 0);
	turn_until(seen.loop, seen.packets == wanted - 1);
	assert_int_equal(seen.v.packets, 20);
	/* A loop that is freed lets go of its clients. */
	mydev_loop_free(seen.loop);
	assert_int_equal(mydev_client_next(client, &p, 0), -EAGAIN);
	client_close(client);
}

static void gone(void **state)
{
	struct mydev_client *client = start(state);

	feed(9, "1000");
	turn_until(seen.loop, seen.v.packets == 9);
	unplug();
	turn_until(seen.loop, seen.ends);
	assert_int_equal(seen.ends, 1);
	assert_int_equal(seen.error, -ENODEV);
	assert_false(readable(seen.loop, 0));
	assert_int_equal(mydev_loop_remove(seen.loop, client), -ENOENT);
	client_close(client);
	mydev_loop_free(seen.loop);
}

/* The most natural place to close it. */
static void closed_at_the_end(void **state)
{
	start(state);
	seen.what_next = CLOSE;
	unplug();
	turn_until(seen.loop, seen.ends);
	mydev_loop_free(seen.loop);
}

static void closed_in_a_callback(void **state)
{
	struct mydev_client *client = start(state);

	seen.first = client;
	seen.what_next = CLOSE;
	seen.other = client_open(state);
	/* Both have something to say in the same turn; the second must not be called. */
	assert_int_equal(
		mydev_loop_add(seen.loop, seen.other, &callbacks, sizeof(callbacks), &seen), 0);
	feed(5, "1000");
	await(sim_is("quiet"));
	turn_until(seen.loop, seen.packets);
	assert_int_equal(seen.packets, 1);
	assert_false(readable(seen.loop, 0));
	mydev_loop_free(seen.loop);
}

static void removed_in_a_callback(void **state)
{
	struct mydev_client *client = start(state);
	struct mydev_packet p;

	seen.what_next = REMOVE;
	feed(3, "1000");
	turn_until(seen.loop, seen.packets);
	assert_int_equal(seen.packets, 1);
	/* What its callback had was released; the rest is there. */
	p = next(client);
	assert_true(!p.length || verifier_feed(&seen.v, p.data, p.length));
	client_close(client);
	mydev_loop_free(seen.loop);
}

static void misuse(void **state)
{
	struct mydev_client *client = start(state);
	struct mydev_loop *other = loop_new();

	seen.what_next = RE_ENTER;
	feed(1, "1000");
	turn_until(seen.loop, seen.packets);
	assert_int_equal(mydev_loop_add(other, client, &callbacks, sizeof(callbacks), NULL),
			 -EBUSY);
	assert_int_equal(mydev_loop_remove(other, client), -ENOENT);
	assert_int_equal(mydev_loop_remove(seen.loop, client), 0);
	assert_int_equal(mydev_loop_add(other, client, &callbacks, sizeof(callbacks) + 8, NULL),
			 -EINVAL);
	assert_int_equal(mydev_loop_add(other, client, &callbacks, 0, NULL), -EINVAL);
	/* A program that was built before the last members were there. */
	assert_int_equal(mydev_loop_add(other, client, &callbacks, sizeof(void *), &seen), 0);
	client_close(client);
	mydev_loop_free(seen.loop);
	mydev_loop_free(other);
	mydev_loop_free(NULL);
}

static void an_event(void **state)
{
	struct mydev_client *client = start(state);

	sim_do("stall");
	feed(1, "1000");
	turn_until(seen.loop, seen.events);
	assert_int_equal(seen.events, 1);
	client_close(client);
	mydev_loop_free(seen.loop);
}

/* The callback is slow, and its packet goes. */
static void taken(void **state)
{
	struct mydev *dev = device_open(O_RDWR);
	struct mydev_client *client;
	struct mydev_config config;

	assert_int_equal(mydev_get_config(dev, &config, sizeof(config)), 0);
	config.policy = MYDEV_POLICY_DROP_OLDEST;
	config.queue_depth = 4;
	assert_int_equal(mydev_set_config(dev, &config, sizeof(config)), 0);
	client = client_of(dev, way_of(state));
	seen = (struct seen){ .loop = loop_new(), .what_next = BE_SLOW };
	assert_int_equal(mydev_loop_add(seen.loop, client, &callbacks, sizeof(callbacks), &seen),
			 0);
	seen.total = 401 + zeros_in(next_counter(), 401);
	feed(1, "1000");
	turn_until(seen.loop, seen.gaps);
	assert_int_equal(seen.taken, way_is_ring(state));
	assert_int_equal(seen.lost, stats_of_client(client).client_lost_packets);
	client_close(client);
	mydev_loop_free(seen.loop);
}

/* --- hot-plug --------------------------------------------------------------- */

static struct news {
	unsigned int added, removed;
	char name[32];
	dev_t devnum;
	bool could_open;
} news;

static void on_added(const struct mydev_entry *entry, void *arg)
{
	struct mydev *dev;

	assert_ptr_equal(arg, &news);
	news.added++;
	news.devnum = mydev_entry_devnum(entry);
	snprintf(news.name, sizeof(news.name), "%s", mydev_entry_name(entry));
	news.could_open = !mydev_open(mydev_entry_path(entry), O_RDWR, &dev);
	if (news.could_open)
		mydev_close(dev);
}

static void on_removed(dev_t devnum, const char *name, void *arg)
{
	assert_ptr_equal(arg, &news);
	assert_int_equal(devnum, news.devnum);
	assert_string_equal(name, news.name);
	news.removed++;
}

static void watch_it(void)
{
	static const struct mydev_watch watch = { .added = on_added, .removed = on_removed };
	struct mydev_loop *loop = loop_new();

	news = (struct news){ 0 };
	assert_int_equal(mydev_loop_watch(loop, &watch, sizeof(watch), &news), 0);
	assert_int_equal(mydev_loop_watch(loop, &watch, sizeof(watch), &news), -EBUSY);
	/* The one that is there. */
	turn_until(loop, news.added);
	assert_string_equal(news.name, strrchr(node, '/') + 1);
	assert_true(news.could_open);
	for (unsigned int i = 1; i <= 3; i++) {
		unplug();
		turn_until(loop, news.removed == i);
		plug();
		turn_until(loop, news.added == i + 1);
		assert_true(news.could_open);
	}
	assert_int_equal(news.removed, 3);
	/* What came and went before anybody looked was never there. */
	unplug();
	turn_until(loop, news.removed == 4);
	plug();
	unplug();
	mydev_loop_dispatch(loop);
	assert_int_equal(news.added, 4);
	assert_int_equal(news.removed, 4);
	mydev_loop_free(loop);
}

#define CONTROL "/run/udev/control"

TEST(by_the_kernel)
{
	/* Of one that ran before, which leaves it. */
	unlink(CONTROL);
	watch_it();
}

TEST(by_the_kernel_again)
{
	mkdir("/run/udev", 0755);
	close(open(CONTROL, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	watch_it();
	unlink(CONTROL);
}

#define UDEVD "/lib/systemd/systemd-udevd"

static int run_udevd(void *arg)
{
	(void)arg;
	execl(UDEVD, UDEVD, NULL);
	return 1;
}

TEST(by_udev)
{
	pid_t udevd;

	if (access(UDEVD, X_OK)) {
		print_message("no udev on this machine\n");
		skip();
	}
	deadline(170);
	udevd = spawn(run_udevd, NULL);
	await_within(60, !system("udevadm control --timeout=10 --ping >/dev/null 2>&1"));
	watch_it();
	assert_int_equal(system("udevadm control --exit"), 0);
	assert_int_equal(reap(udevd, 60), 0);
	/* It stays, for the service manager that may have made it. */
	unlink(CONTROL);
}

/* As a container has one. What udev says is not heard there, but its files are seen. */
TEST(in_a_network)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = CONTROL };
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int udev = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	mkdir("/run/udev", 0755);
	assert_int_equal(bind(udev, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	watch_it();
	unlink(CONTROL);
	plug();
	watch_it();
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	close(udev);
	close(home);
}

static int watch_as_a_guest(void *arg)
{
	static const struct mydev_watch watch = { .added = on_added };
	struct mydev_loop *loop;
	int ret = unshare(CLONE_NEWUSER | CLONE_NEWNET);

	(void)arg;
	if (ret || mydev_loop_new(&loop))
		return 1;
	ret = mydev_loop_watch(loop, &watch, sizeof(watch), &news);
	if (ret != -ENOTCONN || !strstr(mydev_strerror(ret), "network namespace"))
		return 2;
	/* And is not half there. */
	ret = mydev_loop_watch(loop, &watch, sizeof(watch), &news);
	mydev_loop_free(loop);
	return ret == -ENOTCONN ? 0 : 3;
}

TEST(in_a_network_of_users)
{
	assert_int_equal(reap(spawn(watch_as_a_guest, NULL), 20), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_RING("each packet is a callback, and no client takes all the time",
			  all_packets),
		WITH_COPY("each packet is a callback, and no client takes all the time",
			  all_packets),
		WITH_RING("added in the middle, freed before it: nothing is lost", some_were_read),
		WITH_COPY("added in the middle, freed before it: nothing is lost", some_were_read),
		WITH_RING("an unplug is the end, once", gone),
		WITH_COPY("an unplug is the end, once", gone),
		WITH_RING("the client may be closed at its end", closed_at_the_end),
		WITH_COPY("the client may be closed at its end", closed_at_the_end),
		WITH_RING("clients may be closed in a callback", closed_in_a_callback),
		WITH_COPY("clients may be closed in a callback", closed_in_a_callback),
		WITH_RING("a client may be removed in a callback", removed_in_a_callback),
		WITH_COPY("a client may be removed in a callback", removed_in_a_callback),
		WITH_RING("each way of misuse has its errno", misuse),
		WITH_COPY("each way of misuse has its errno", misuse),
		WITH_RING("an event is a callback", an_event),
		WITH_COPY("an event is a callback", an_event),
		WITH_RING("lost packets are a callback, and so are those taken away", taken),
		WITH_COPY("lost packets are a callback, and so are those taken away", taken),
		PROMISE("devices that come and go are told, by the kernel", by_the_kernel,
			fresh_clients),
		PROMISE("also where udev has left its socket", by_the_kernel_again, fresh_clients),
		PROMISE("and by udev, where it runs", by_udev, fresh_clients),
		PROMISE("and in another network namespace than udev's", in_a_network,
			fresh_clients),
		PROMISE("a network namespace where nothing is told is an error",
			in_a_network_of_users, fresh_clients),
	};

	return run_promises(tests);
}
