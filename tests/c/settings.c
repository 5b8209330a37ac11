// SPDX-License-Identifier: GPL-2.0-only
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>

#include "settings.h"

static struct mydev_geometry default_geometry;
static unsigned int default_block_timeout_ms;

int fresh_defaults(void **state)
{
	struct mydev_geometry g;
	int fd;

	fresh(state);
	fd = node_open(O_WRONLY);
	if (!default_geometry.size) {
		default_geometry = geometry_of(fd);
		default_block_timeout_ms = sysfs_number("block_timeout_ms");
	}
	g = default_geometry;
	assert_int_equal(try_geometry(fd, &g), 0);
	set_block_timeout_ms(default_block_timeout_ms);
	close(fd);
	return 0;
}

bool lane_is(const char *name)
{
	const char *lane = getenv("LANE");

	return lane && !strcmp(lane, name);
}

bool slow_lane(void)
{
	return lane_is("uml");
}

struct mydev_config config_of(int fd)
{
	struct mydev_config config = { .size = sizeof(config) };

	assert_return_code(ioctl(fd, MYDEV_IOC_GET_CONFIG, &config), errno);
	return config;
}

int try_config(int fd, struct mydev_config config)
{
	return ioctl(fd, MYDEV_IOC_SET_CONFIG, &config) ? errno : 0;
}

void configure_as(int fd, struct mydev_config config)
{
	int error;

	config.size = sizeof(config);
	if (!config.queue_depth)
		config.queue_depth = config_of(fd).queue_depth;
	error = try_config(fd, config);
	if (error)
		fail_msg("SET_CONFIG: %s", strerror(error));
}

struct mydev_geometry geometry_of(int fd)
{
	struct mydev_geometry g = { .size = sizeof(g) };

	assert_return_code(ioctl(fd, MYDEV_IOC_GET_GEOMETRY, &g), errno);
	return g;
}

int try_geometry(int fd, struct mydev_geometry *g)
{
	return ioctl(fd, MYDEV_IOC_SET_GEOMETRY, g) ? errno : 0;
}

void set_geometry(uint32_t transfers, uint32_t transfer_size, uint32_t buffers)
{
	struct mydev_geometry g = {
		.size = sizeof(g),
		.transfers = transfers,
		.transfer_size = transfer_size,
		.pool_bytes = (uint64_t)buffers * transfer_size,
	};
	int fd = node_open(O_WRONLY), error = try_geometry(fd, &g);

	close(fd);
	if (error)
		fail_msg("SET_GEOMETRY: %s", strerror(error));
}

int sysfs_write(const char *attribute, const char *value)
{
	char path[256];
	int fd, error = 0;

	snprintf(path, sizeof(path), "/sys/class/mydev/%s/%s", strrchr(node, '/') + 1, attribute);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	if (write(fd, value, strlen(value)) < 0)
		error = errno;
	close(fd);
	return error;
}

void set_block_timeout_ms(unsigned int ms)
{
	char text[16];

	snprintf(text, sizeof(text), "%u\n", ms);
	assert_int_equal(sysfs_write("block_timeout_ms", text), 0);
}

void ask(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	assert_return_code(poll(&p, 1, 0), errno);
}

void set_nonblock(int fd, bool nonblock)
{
	assert_return_code(fcntl(fd, F_SETFL, nonblock ? O_NONBLOCK : 0), errno);
}

void await_queued(int fd, uint64_t packets)
{
	await(stats_of(fd).client_queued_packets >= packets);
}

void await_ring_stop(int fd)
{
	struct mydev_stats s;

	/* As long as nothing has come it may not have begun yet. */
	await((s = stats_of(fd), s.in_flight == 0) && s.state == MYDEV_STATE_RUNNING &&
	      s.client_packets);
}

void let_pass(double seconds)
{
	struct itimerspec when = { .it_value = { (time_t)seconds,
						 (seconds - (time_t)seconds) * 1e9 } };
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	uint64_t times;

	assert_return_code(timer, errno);
	assert_return_code(timerfd_settime(timer, 0, &when, NULL), errno);
	assert_int_equal(read(timer, &times, sizeof(times)), sizeof(times));
	close(timer);
}

uint64_t test_seed(void)
{
	const char *given = getenv("TEST_SEED");
	struct timespec ts;
	uint64_t seed;

	clock_gettime(CLOCK_REALTIME, &ts);
	seed = given ? strtoull(given, NULL, 0) : (uint64_t)ts.tv_sec * 1000000007 + ts.tv_nsec;
	printf("# seed: TEST_SEED=%llu\n", (unsigned long long)seed);
	return seed | 1;
}

uint64_t random_next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x >> 11;
}
