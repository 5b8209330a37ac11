// SPDX-License-Identifier: GPL-2.0-only
/*
 * round_trip NODE [framed]: for a device that sends back what it is sent.
 *
 * Five descriptors: one that writes, three that read, each by another way, and
 * one that does nothing. Every byte that comes back is verified. Where clients
 * are told of a reset, and nowhere else, what the device had may be lost. Where
 * it is framed, each packet of 64 bytes begins with two that are no data, as
 * those of FTDI's chips do.
 *
 * Ends with SIGTERM, or when the device is unplugged. Says then what clients
 * were told; its status is 0 if all was as it should be.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#include <libmydev.h>

#include "helpers.h"

/*
 * What is written and has not come back. QEMU stands still for ever when it has
 * to wait for the pipe that is its device's line, which has 64 KiB.
 */
#define WINDOW 8192
#define CHUNK  3000
/* What one reader can take down; the memory is used when it is touched. */
#define LOG_BYTES (256 << 20)
#define EVENTS    64
#define PATIENCE  30

struct event {
	uint32_t event;
	size_t at; /* in what came */
	size_t at_data;
};

struct reader {
	const char *name;
	void *(*run)(void *arg);
	uint8_t *raw; /* as it came */
	size_t length;
	struct event events[EVENTS];
	unsigned int event_count;
	int error; /* what it ended with */
	pthread_t thread;
};

static const char *path;
static bool framed;
static pthread_barrier_t opened;

/* Protects all that follows, and what the readers have got. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static uint8_t *data; /* what the reader of records got, without the framing */
static size_t data_length;
static bool over;

/* Where the verification is. */
static size_t seen;
static uint64_t position; /* of the byte that is to come, in what was sent */
static uint64_t written;
static uint64_t floor_of_window;
static unsigned int next_event;
static uint64_t lost;

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	if (sig == SIGTERM)
		stop = 1;
}

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("%s: ", path);
	vprintf(format, args);
	va_end(args);
	printf("; %zu bytes seen, %llu lost, %llu sent, %u events\n", seen,
	       (unsigned long long)lost, (unsigned long long)written, next_event);
	fflush(stdout);
	_exit(1);
}

/* The byte at @n of an endless stream in which no eight bytes come twice. */
static uint8_t pattern(uint64_t n)
{
	uint64_t x = (n / 8 + 1) * 0x9e3779b97f4a7c15;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x ^= x >> 27;
	return x >> (n % 8 * 8);
}

static void append(struct reader *r, const uint8_t *bytes, size_t length)
{
	if (r->length + length > LOG_BYTES)
		die("%s: no room for all that came", r->name);
	memcpy(r->raw + r->length, bytes, length);
	r->length += length;
}

static void append_data(const uint8_t *bytes, size_t length)
{
	size_t i, skip = framed ? 2 : 0, frame = framed ? 64 : length;

	for (i = 0; i < length; i += frame) {
		size_t end = i + frame < length ? i + frame : length;

		if (end < i + skip)
			die("a packet of %zu bytes", end - i);
		memcpy(data + data_length, bytes + i + skip, end - i - skip);
		data_length += end - i - skip;
	}
}

static void *read_stream(void *arg)
{
	struct reader *r = arg;
	static uint8_t buf[1 << 16];
	int fd = open(path, O_RDONLY);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (fd < 0)
		die("%s: %s", r->name, strerror(errno));
	/* Who has asked for data loses nothing; the other two do that by now. */
	poll(&p, 1, 0);
	pthread_barrier_wait(&opened);
	for (;;) {
		ssize_t n = read(fd, buf, sizeof(buf));

		pthread_mutex_lock(&lock);
		if (n > 0)
			append(r, buf, n);
		else if (!n || errno != EINTR)
			r->error = n ? -errno : -EPIPE;
		pthread_cond_signal(&moved);
		n = over || r->error;
		pthread_mutex_unlock(&lock);
		if (n)
			break;
	}
	close(fd);
	return NULL;
}

static void take(struct reader *r, const struct mydev_packet *p, bool records)
{
	switch (p->type) {
	case MYDEV_RECORD_PACKET:
		append(r, p->data, p->length);
		if (records)
			append_data(p->data, p->length);
		break;
	case MYDEV_RECORD_EVENT:
		if (r->event_count == EVENTS)
			die("%s: too many events", r->name);
		r->events[r->event_count++] = (struct event){ p->event, r->length, data_length };
		/* All that was under way may be lost, and never come back. */
		if (records)
			floor_of_window = written;
		break;
	default:
		die("%s: a gap of %llu packets", r->name, (unsigned long long)p->gap_packets);
	}
}

static void read_client(struct reader *r, unsigned int flags)
{
	struct mydev_client *client;
	struct mydev_packet p;
	struct mydev *dev;
	bool end = false;
	int ret = mydev_open(path, O_RDWR, &dev);

	if (!ret)
		ret = mydev_client_new(dev, flags, &client);
	if (ret)
		die("%s: %s", r->name, mydev_strerror(ret));
	pthread_barrier_wait(&opened);
	while (!end) {
		ret = mydev_client_next(client, &p, -1);
		pthread_mutex_lock(&lock);
		if (!ret)
			take(r, &p, flags & MYDEV_CLIENT_COPY);
		else if (ret != -EINTR)
			r->error = ret;
		end = over || r->error;
		pthread_cond_signal(&moved);
		pthread_mutex_unlock(&lock);
		if (!ret && mydev_client_release(client, &p))
			die("%s: packets were taken away", r->name);
	}
	mydev_client_free(client);
	mydev_close(dev);
}

static void *read_records(void *arg)
{
	read_client(arg, MYDEV_CLIENT_COPY);
	return NULL;
}

static void *read_ring(void *arg)
{
	read_client(arg, MYDEV_CLIENT_RING);
	return NULL;
}

static struct reader readers[] = {
	{ .name = "records", .run = read_records },
	{ .name = "stream", .run = read_stream },
	{ .name = "ring", .run = read_ring },
};

#define READERS (sizeof(readers) / sizeof(readers[0]))

static bool matches(uint64_t n)
{
	size_t i;

	for (i = 0; i < 8; i++) {
		if (data[seen + i] != pattern(n + i))
			return false;
	}
	return true;
}

/* After a reset: where does it go on? False if that cannot be told yet. */
static bool find_position(void)
{
	uint64_t n;

	if (data_length - seen < 8)
		return false;
	for (n = position; n < written && !matches(n); n++)
		;
	if (n == written)
		die("what comes after the reset is not what was sent");
	lost += n - position;
	position = n;
	return true;
}

/* Verifies what has come; with the lock. */
static void verify(void)
{
	const struct reader *r = &readers[0];

	while (seen < data_length) {
		const struct event *e = &r->events[next_event];

		if (next_event < r->event_count && e->at_data == seen) {
			if (e->event == MYDEV_EVENT_RESET && !find_position())
				return;
			next_event++;
			continue;
		}
		if (data[seen] != pattern(position))
			die("not what was sent");
		seen++;
		position++;
	}
}

/* Waits for a reader to move; with the lock. */
static void await_move(double end)
{
	struct timespec ts;

	if (now() > end)
		die("nothing moves");
	/* Not for long: a signal does not end it. */
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += 50000000;
	ts.tv_sec += ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&moved, &lock, &ts);
}

static bool may_write(void)
{
	uint64_t from;
	bool may;

	pthread_mutex_lock(&lock);
	verify();
	from = position > floor_of_window ? position : floor_of_window;
	may = written + CHUNK <= from + WINDOW;
	pthread_mutex_unlock(&lock);
	return may;
}

static uint64_t sent_bytes(int fd)
{
	struct mydev_stats stats = { .size = sizeof(stats) };

	do {
		if (ioctl(fd, MYDEV_IOC_GET_STATS, &stats))
			die("MYDEV_IOC_GET_STATS: %s", strerror(errno));
	} while (stats.client_unsent_bytes);
	return stats.client_sent_bytes;
}

/* One write(); false when the device is gone. */
static bool write_more(int fd)
{
	uint8_t buf[CHUNK];
	ssize_t n;
	size_t i;

	for (i = 0; i < CHUNK; i++)
		buf[i] = pattern(written + i);
	n = write(fd, buf, CHUNK);
	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0 && errno == ENODEV)
		return false;
	if (n < 0 && errno != EIO)
		die("write: %s", strerror(errno));
	pthread_mutex_lock(&lock);
	/* What was not sent, as a reset came before it, is sent now. */
	if (n < 0)
		written = sent_bytes(fd);
	else
		written += n;
	pthread_mutex_unlock(&lock);
	return true;
}

/* Writes until it is told to stop, or the device is gone (false). */
static bool stream(int fd)
{
	double end = now() + PATIENCE;

	while (!stop) {
		if (may_write()) {
			if (!write_more(fd))
				return false;
			/* The others need the processor as well. */
			usleep(10000);
			end = now() + PATIENCE;
			continue;
		}
		pthread_mutex_lock(&lock);
		await_move(end);
		if (readers[0].error) {
			pthread_mutex_unlock(&lock);
			return false;
		}
		pthread_mutex_unlock(&lock);
	}
	return true;
}

/* All have got everything; with the lock. */
static bool all_have(void)
{
	size_t i;

	for (i = 1; i < READERS; i++) {
		if (readers[i].length < readers[0].length)
			return false;
	}
	return position == written;
}

static bool all_ended(void)
{
	size_t i;

	for (i = 0; i < READERS; i++) {
		if (readers[i].error != -ENODEV)
			return false;
	}
	return true;
}

static void finish(bool there)
{
	double end = now() + PATIENCE;
	size_t i;

	pthread_mutex_lock(&lock);
	for (;;) {
		verify();
		if (there ? all_have() : all_ended())
			break;
		await_move(end);
	}
	over = true;
	pthread_mutex_unlock(&lock);
	for (i = 0; i < READERS; i++) {
		struct reader *r = &readers[i];
		struct timespec ts;

		/* Out of what it sleeps in; again, if it was only about to. */
		do {
			pthread_kill(r->thread, SIGUSR1);
			clock_gettime(CLOCK_REALTIME, &ts);
			ts.tv_sec += (ts.tv_nsec + 20000000) / 1000000000;
			ts.tv_nsec = (ts.tv_nsec + 20000000) % 1000000000;
		} while (pthread_timedjoin_np(r->thread, NULL, &ts));
	}
}

static void compare(void)
{
	const struct reader *first = &readers[0];
	unsigned int e;
	size_t i;

	for (i = 1; i < READERS; i++) {
		const struct reader *r = &readers[i];

		if (r->length != first->length || memcmp(r->raw, first->raw, r->length))
			die("the reader of the %s got something else", r->name);
		if (r->run == read_stream)
			continue;
		if (r->event_count != first->event_count)
			die("the reader of the %s was told %u events", r->name, r->event_count);
		for (e = 0; e < r->event_count; e++) {
			if (r->events[e].event != first->events[e].event ||
			    r->events[e].at != first->events[e].at)
				die("the reader of the %s was told another event", r->name);
		}
	}
}

/* Who has not asked has lost something, and is told so, and then the end. */
static int last_word(int fd)
{
	static uint8_t buf[1 << 16];

	while (read(fd, buf, sizeof(buf)) > 0 || errno == ENOBUFS)
		;
	return errno;
}

static void *log_new(void)
{
	void *p = mmap(NULL, LOG_BYTES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	return p;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	int idle, fd;
	bool there;
	size_t i;

	if (argc < 2)
		return 2;
	path = argv[1];
	framed = argc > 2;
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	idle = open(path, O_RDONLY | O_NONBLOCK);
	fd = open(path, O_WRONLY);
	if (idle < 0 || fd < 0)
		die("open: %s", strerror(errno));
	data = log_new();
	pthread_barrier_init(&opened, NULL, READERS + 1);
	for (i = 0; i < READERS; i++) {
		struct reader *r = &readers[i];

		r->raw = log_new();
		errno = pthread_create(&r->thread, NULL, r->run, r);
		if (errno)
			die("pthread_create: %s", strerror(errno));
	}
	/* Nothing is sent before all of them can get it. */
	pthread_barrier_wait(&opened);
	there = stream(fd);
	finish(there);
	compare();
	if (last_word(idle) != (there ? EAGAIN : ENODEV))
		die("who did nothing was told: %s", strerror(errno));

	printf("%zu bytes, %llu lost, %s, events:", seen, (unsigned long long)lost,
	       there ? "there" : "unplugged");
	for (i = 0; i < readers[0].event_count; i++)
		printf(" %s", mydev_event_name(readers[0].events[i].event));
	printf("\n");
	return 0;
}
