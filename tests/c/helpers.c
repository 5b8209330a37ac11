// SPDX-License-Identifier: GPL-2.0-only
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "helpers.h"

#define MAX_CHILDREN 64
#define TRIES        5

const char *node;
static pid_t children[MAX_CHILDREN];

static const char *environment(const char *name)
{
	const char *value = getenv(name);

	if (value && *value)
		return value;
	fprintf(stderr, "%s is not set; start me as tests/suites does\n", name);
	exit(2);
}

/* A test hangs: shows who waits for whom, and ends the program. */
static void out_of_time(int sig)
{
	static const char show[] =
		"{ echo 'the test did not end in time'; "
		"cd /sys/class/mydev && grep -r . */state */in_flight */clients */stats; "
		"[ -z \"$SIM_SOCKET\" ] || $BUILD/tests/mydev-sim --ctl $SIM_SOCKET stats; "
		"cat /proc/$PPID/fdinfo/* | grep mydev; } 2>&1 | sed 's/^/# /'";

	(void)sig;
	fflush(stdout);
	if (system(show))
		puts("# no more is known");
	fflush(stdout);
	_exit(2);
}

void tests_begin(void)
{
	struct sigaction sa = { .sa_handler = out_of_time };

	node = environment("MYDEV_NODE");
	cmocka_set_test_filter(getenv("TEST_FILTER"));
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("KTAP version 1");
	cmocka_set_message_output(CM_OUTPUT_TAP);
	sigaction(SIGALRM, &sa, NULL);
}

void end_children(void)
{
	for (int i = 0; i < MAX_CHILDREN; i++) {
		if (!children[i])
			continue;
		kill(children[i], SIGKILL);
		waitpid(children[i], NULL, 0);
		children[i] = 0;
	}
}

static unsigned int repeats; /* see holds_once() */

int tests_end(void **state)
{
	(void)state;
	end_children();
	/* tests/vm/verdict.py reads it. */
	if (repeats)
		printf("# repeated: %u\n", repeats);
	close_range(3, ~0U, 0);
	return 0;
}

void deadline(unsigned int seconds)
{
	alarm(seconds);
}

double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

void nap(void)
{
	struct timespec ts = { .tv_nsec = 2000000 };

	nanosleep(&ts, NULL);
}

/* --- the node ------------------------------------------------------------- */

int node_open(int flags)
{
	int fd = open(node, flags | O_CLOEXEC);

	if (fd < 0)
		fail_msg("open %s: %s", node, strerror(errno));
	return fd;
}

struct mydev_info info_of(int fd)
{
	struct mydev_info info = { .size = sizeof(info) };

	assert_return_code(ioctl(fd, MYDEV_IOC_GET_INFO, &info), errno);
	return info;
}

struct mydev_stats stats_of(int fd)
{
	struct mydev_stats stats = { .size = sizeof(stats) };

	assert_return_code(ioctl(fd, MYDEV_IOC_GET_STATS, &stats), errno);
	return stats;
}

static ssize_t read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, text, size - 1);
	close(fd);
	if (n >= 0)
		text[n] = 0;
	return n;
}

const char *sysfs(const char *attribute)
{
	static char text[256];
	char path[256];

	snprintf(path, sizeof(path), "/sys/class/mydev/%s/%s", strrchr(node, '/') + 1, attribute);
	if (read_file(path, text, sizeof(text)) < 0)
		fail_msg("%s: %s", path, strerror(errno));
	text[strcspn(text, "\n")] = 0;
	return text;
}

uint64_t sysfs_number(const char *attribute)
{
	return strtoull(sysfs(attribute), NULL, 10);
}

bool state_is(const char *state)
{
	return !strcmp(sysfs("state"), state);
}

void fdinfo(int fd, char *text, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (read_file(path, text, size) < 0)
		fail_msg("%s: %s", path, strerror(errno));
}

bool identity_holds(const struct mydev_stats *s)
{
	bool good = s->client_packets == s->client_read_packets + s->client_lost_packets +
						 s->client_queued_packets &&
		    s->client_bytes ==
			    s->client_read_bytes + s->client_lost_bytes + s->client_queued_bytes;

	if (!good)
		printf("# packets %llu = %llu + %llu + %llu, bytes %llu = %llu + %llu + %llu\n",
		       s->client_packets, s->client_read_packets, s->client_lost_packets,
		       s->client_queued_packets, s->client_bytes, s->client_read_bytes,
		       s->client_lost_bytes, s->client_queued_bytes);
	return good;
}

/* --- the log -------------------------------------------------------------- */

int log_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	assert_return_code(fd, errno);
	assert_return_code(lseek(fd, 0, SEEK_END), errno);
	return fd;
}

int log_lines(int fd, const char *text)
{
	char record[8192];
	int lines = 0;
	ssize_t n;

	/* EPIPE: some were overwritten before they were read. */
	while ((n = read(fd, record, sizeof(record) - 1)) > 0 || errno == EPIPE) {
		if (n <= 0)
			continue;
		record[n] = 0;
		lines += strstr(record, "mydev") && strstr(record, text);
	}
	return lines;
}

/* --- the simulated device ------------------------------------------------- */

/* UDC of the gadget, in configfs. */
static const char *udc_file(void)
{
	return environment("GADGET_UDC");
}

/* One command, one line back. */
static void sim_talk(const char *command, char *reply, size_t size)
{
	const char *sim_socket = environment("SIM_SOCKET");
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t len = 0;
	ssize_t n;

	strncpy(addr.sun_path, sim_socket, sizeof(addr.sun_path) - 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		fail_msg("no simulated device on %s: %s", sim_socket, strerror(errno));
	n = snprintf(reply, size, "%s\n", command);
	if (send(fd, reply, n, MSG_NOSIGNAL) != n)
		fail_msg("simulated device: cannot send '%s': %s", command, strerror(errno));
	while (len < size - 1 && (n = read(fd, reply + len, size - 1 - len)) > 0) {
		len += n;
		if (reply[len - 1] == '\n')
			break;
	}
	close(fd);
	reply[len] = 0;
	if (strncmp(reply, "ok", 2))
		fail_msg("simulated device: '%s' gave '%s'", command, reply);
}

void sim_do(const char *format, ...)
{
	char command[128], reply[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(command, sizeof(command), format, ap);
	va_end(ap);
	sim_talk(command, reply, sizeof(reply));
}

const char *sim_text(const char *key)
{
	static char reply[2048];
	const char *command = "stats";
	size_t len;

	if (!strncmp(key, "alt1 ", 5)) {
		command = "alt1 stats";
		key += 5;
	}
	len = strlen(key);
	sim_talk(command, reply, sizeof(reply));
	for (char *word = strtok(reply, " \n"); word; word = strtok(NULL, " \n")) {
		if (!strncmp(word, key, len) && word[len] == '=')
			return word + len + 1;
	}
	fail_msg("simulated device: no '%s' in its statistics", key);
	return NULL;
}

uint64_t sim_number(const char *key)
{
	return strtoull(sim_text(key), NULL, 10);
}

bool sim_is(const char *state)
{
	return !strcmp(sim_text("state"), state);
}

void feed(uint64_t count, const char *size)
{
	sim_do("size %s", size);
	sim_do("count %" PRIu64, count);
}

void feed_forever(const char *size)
{
	sim_do("size %s", size);
	sim_do("count max");
}

uint64_t next_counter(void)
{
	return sim_number("next");
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail_msg("%s: %s", path, strerror(errno));
	close(fd);
}

/* By its own word: what the host knows of it comes later. */
static bool plugged_in(void)
{
	char text[64];

	return read_file(udc_file(), text, sizeof(text)) > 1;
}

/* with-sim.sh has said "never" of the first one, and each plug makes a new one. */
void never_evict(void)
{
	char path[256];

	snprintf(path, sizeof(path), "/sys/class/mydev/%s/block_timeout_ms",
		 strrchr(node, '/') + 1);
	if (!access(path, F_OK))
		write_text(path, "0\n");
}

void unplug(void)
{
	char link[256], *interface;

	/* The node goes first; this goes when the driver has let go of it. */
	snprintf(link, sizeof(link), "/sys/class/mydev/%s/device", strrchr(node, '/') + 1);
	interface = realpath(link, NULL);
	if (!interface)
		fail_msg("%s: %s", link, strerror(errno));
	write_text(udc_file(), "\n");
	await(access(interface, F_OK));
	free(interface);
	await(sim_is("unplugged"));
	assert_errno(access(node, F_OK), ENOENT);
}

void plug(void)
{
	write_text(udc_file(), environment("UDC"));
	await(!access(node, F_OK));
	await(!sim_is("unplugged"));
	never_evict();
}

bool ended_by_unplug(int error)
{
	if (error != ENODEV && error != EIO)
		fail_msg("unplugged, and it was: %s", strerror(error));
	return error == ENODEV;
}

/* --- from test to test ---------------------------------------------------- */

static bool sim_has(const char *text)
{
	char reply[2048];

	sim_talk("stats", reply, sizeof(reply));
	return strstr(reply, text);
}

/* Is there something to send to? */
static bool sim_has_out(void)
{
	return sim_has(" out_state=") && !sim_has(" out_state=none");
}

/* Halted, or about to be, and nobody may have noticed. */
static void end_stall(void)
{
	struct mydev_select select = { .size = sizeof(select) };
	int fd;

	if (!strcmp(sim_text("out_state"), "stalling")) {
		sim_do("stall-out");
		await(strcmp(sim_text("out_state"), "stalling"));
	}
	if (strcmp(sim_text("out_state"), "stalled"))
		return;
	fd = node_open(O_WRONLY);
	select.value = info_of(fd).ep_out;
	assert_return_code(ioctl(fd, MYDEV_IOC_CLEAR_HALT, &select), errno);
	close(fd);
}

/* Whatever is on its way there is taken at once, and echoed to nobody. */
static void accept_all(void)
{
	sim_do("stall-out-always off");
	sim_do("slow 0");
	sim_do("accept");
	sim_do("echo off");
	end_stall();
}

/* Everything that the device has queued already goes to nobody. */
static void drain(const char *state)
{
	static char buf[1 << 18];
	int fd = node_open(O_RDONLY | O_NONBLOCK);

	while (strcmp(sim_text(state), "quiet")) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		/* It counts as stalled until a packet has come through again. */
		if (sim_is("stalled") && !sim_number("queued"))
			feed(1, "1000");

		poll(&p, 1, 100);
		while (read(fd, buf, sizeof(buf)) > 0 || errno == ENOBUFS)
			;
	}
	close(fd);
}

static void use_alternate(uint32_t number)
{
	struct mydev_select select = { .size = sizeof(select), .value = number };
	int fd;

	if (sysfs_number("alternate_setting") == number)
		return;
	fd = node_open(O_WRONLY);
	assert_return_code(ioctl(fd, MYDEV_IOC_SET_ALTERNATE, &select), errno);
	close(fd);
}

/* Each alternate setting has a stream of its own, and the first one is in use. */
static void drain_all(void)
{
	if (sim_has(" alts=2")) {
		sim_do("alt1 count 0");
		sim_do("alt1 accept");
		if (strcmp(sim_text("alt1 state"), "quiet")) {
			use_alternate(1);
			drain("alt1 state");
		}
		use_alternate(0);
	}
	drain("state");
}

int fresh(void **state)
{
	static int echoes = -1;

	(void)state;
	deadline(TEST_SECONDS);
	end_children();
	close_range(3, ~0U, 0);
	sim_do("count 0");
	sim_do("rate max");
	sim_do("stall-always off");
	sim_do("resume");
	/* Also where a test has failed in the middle of it. */
	if (!plugged_in())
		plug();
	await(!access(node, R_OK));
	await(!sim_is("unplugged"));
	if (sim_has_out()) {
		if (echoes < 0)
			echoes = sim_number("echo");
		accept_all();
	}
	drain_all();
	if (echoes > 0)
		sim_do("echo on");
	await(sysfs_number("clients") == 0);
	assert_true(state_is("idle"));
	assert_int_equal(sysfs_number("in_flight"), 0);
	return 0;
}

void holds_once(bool (*fn)(void **state), int (*fresh_fn)(void **state), void **state)
{
	for (int i = 1; !fn(state); i++) {
		if (i == TRIES)
			fail_msg("it did not hold once in %d times", TRIES);
		repeats++;
		if (fresh_fn)
			fresh_fn(state);
	}
}

/* --- reading -------------------------------------------------------------- */

void verify_from(struct verifier *v, uint64_t first)
{
	verifier_init(v);
	v->have_next = true;
	v->next = first;
}

const char *read_packets(int fd, struct verifier *v, uint64_t packets, size_t chunk)
{
	static const size_t odd[] = { 1, 7, 4095, 65536, 23, 1024, 100001, 513 };
	static char buf[1 << 18];
	static char text[256];
	uint64_t target = v->packets + packets;

	for (unsigned int turn = 0; v->packets < target; turn++) {
		size_t want = chunk ? chunk : odd[turn % 8];
		ssize_t n = read(fd, buf, want);

		if (n <= 0) {
			snprintf(text, sizeof(text),
				 "read of %zu bytes after %" PRIu64 " packets: %zd, %s", want,
				 v->packets, n, strerror(errno));
			return text;
		}
		if (!verifier_feed(v, buf, n))
			return v->error_text;
	}
	return NULL;
}

int read_to_end(int fd, struct verifier *v)
{
	static char buf[1 << 16];
	ssize_t n;

	for (double end = now() + 20;;) {
		while ((n = read(fd, buf, sizeof(buf))) > 0)
			verifier_feed(v, buf, n);
		if (!n || errno != EIO || now() > end)
			return n ? errno : 0;
		nap();
	}
}

void take_packets(int fd, struct verifier *v, uint64_t packets, size_t chunk)
{
	uint64_t target = v->packets + packets;
	const char *error = read_packets(fd, v, packets, chunk);

	if (error)
		fail_msg("%s", error);
	assert_int_equal(v->packets, target);
}

void take_rest(int fd, struct verifier *v)
{
	sim_do("count 0");
	take_packets(fd, v, next_counter() - (v->have_first ? v->last + 1 : v->next), 1 << 16);
}

/* --- pipes, memory -------------------------------------------------------- */

void pipe_open(int ends[2])
{
	assert_return_code(pipe2(ends, O_CLOEXEC), errno);
}

static void *new_memory(size_t size, int flags)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

void *private_memory(size_t size)
{
	return new_memory(size, MAP_PRIVATE);
}

void *shared_memory(size_t size)
{
	return new_memory(size, MAP_SHARED);
}

/* --- processes ------------------------------------------------------------ */

pid_t spawn(int (*fn)(void *arg), void *arg)
{
	pid_t pid;
	int i;

	for (i = 0; children[i]; i++)
		assert_in_range(i, 0, MAX_CHILDREN - 2);
	fflush(stdout);
	pid = fork();
	assert_return_code(pid, errno);
	if (!pid) {
		int status = fn(arg);

		fflush(stdout);
		_exit(status);
	}
	children[i] = pid;
	return pid;
}

int reap(pid_t pid, double seconds)
{
	int status;

	await_within(seconds, waitpid(pid, &status, WNOHANG) == pid);
	for (int i = 0; i < MAX_CHILDREN; i++) {
		if (children[i] == pid)
			children[i] = 0;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool sleeps(pid_t pid)
{
	char path[64], text[512], *state;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (read_file(path, text, sizeof(text)) < 0)
		return false;
	state = strrchr(text, ')');
	return state && state[1] == ' ' && state[2] == 'S';
}

void await_sleeping(pid_t pid)
{
	int looks = 0;

	/* Several looks: it may have slept for a moment elsewhere. */
	await((looks = sleeps(pid) ? looks + 1 : 0) >= 10);
}
