// SPDX-License-Identifier: GPL-2.0-only
/* The requests: what the table checks, and that the answers are true. */
#include <libgen.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "helpers.h"

static const struct request {
	unsigned long cmd;
	uint32_t size;
	uint32_t min; /* of the header that had the request first */
} requests[] = {
	{ MYDEV_IOC_GET_INFO, sizeof(struct mydev_info), 72 },
	{ MYDEV_IOC_GET_STATS, sizeof(struct mydev_stats), 136 },
	{ MYDEV_IOC_GET_CONFIG, sizeof(struct mydev_config), 32 },
	{ MYDEV_IOC_GET_GEOMETRY, sizeof(struct mydev_geometry), 48 },
	{ MYDEV_IOC_GET_MAP, sizeof(struct mydev_map), 72 },
	{ MYDEV_IOC_GET_RECOVERY, sizeof(struct mydev_recovery), 24 },
	/* Those that do something, which zeros would not. */
	{ MYDEV_IOC_SET_CONFIG, sizeof(struct mydev_config), 32 },
	{ MYDEV_IOC_SET_GEOMETRY, sizeof(struct mydev_geometry), 48 },
	{ MYDEV_IOC_CONTROL, sizeof(struct mydev_control), 40 },
	{ MYDEV_IOC_CLEAR_HALT, sizeof(struct mydev_select), 8 },
	{ MYDEV_IOC_SET_ALTERNATE, sizeof(struct mydev_select), 8 },
	{ MYDEV_IOC_RESET, sizeof(struct mydev_select), 8 },
	{ MYDEV_IOC_LEASE, sizeof(struct mydev_lease), 16 },
	{ MYDEV_IOC_TRANSACT, sizeof(struct mydev_transact), 40 },
	{ MYDEV_IOC_REVOKE, sizeof(struct mydev_select), 8 },
	{ MYDEV_IOC_SYNC, sizeof(struct mydev_select), 8 },
	{ MYDEV_IOC_REWIND, sizeof(struct mydev_rewind), 16 },
	{ MYDEV_IOC_SET_RECOVERY, sizeof(struct mydev_recovery), 24 },
	{ MYDEV_IOC_RESTART, sizeof(struct mydev_select), 8 },
};

#define REQUESTS (sizeof(requests) / sizeof(requests[0]))
#define GETTERS  6

#define for_each_getter(_r) for (const struct request *_r = requests; _r < requests + GETTERS; _r++)

/* A page of zeros that says how large the structure in it is. */
static char *argument(uint32_t size)
{
	static union {
		uint32_t size;
		char bytes[1 << 16];
	} page;

	memset(&page, 0, sizeof(page));
	page.size = size;
	return page.bytes;
}

static uint32_t size_in(const char *arg)
{
	uint32_t size;

	memcpy(&size, arg, sizeof(size));
	return size;
}

TEST(too_small)
{
	static const uint32_t sizes[] = { 0, 1, 3, 4, 7 };
	int fd = node_open(O_RDWR);

	for (unsigned int i = 0; i < REQUESTS; i++) {
		const struct request *r = &requests[i];

		for (unsigned int n = 0; n < 5; n++)
			assert_errno(ioctl(fd, r->cmd, argument(sizes[n])), EINVAL);
		assert_errno(ioctl(fd, r->cmd, argument(r->min - 1)), EINVAL);
		/* A program of the past gets what it knows, and no more. */
		if (i < GETTERS) {
			char *arg = argument(r->min);

			memset(arg + r->min, 0x5a, 64);
			assert_return_code(ioctl(fd, r->cmd, arg), errno);
			assert_int_equal(size_in(arg), r->size);
			for (unsigned int n = 0; n < 64; n++)
				assert_int_equal(arg[r->min + n], 0x5a);
		}
	}
}

TEST(larger)
{
	int fd = node_open(O_RDONLY);
	long page = sysconf(_SC_PAGESIZE);
	char *arg;

	for_each_getter(r)
	{
		/* A program of the future: what it does not use yet is zero. */
		arg = argument(r->size + 8);
		assert_return_code(ioctl(fd, r->cmd, arg), errno);
		assert_int_equal(size_in(arg), r->size);
		arg = argument(page);
		assert_return_code(ioctl(fd, r->cmd, arg), errno);
		assert_int_equal(size_in(arg), r->size);
		for (long i = r->size; i < page; i++)
			assert_int_equal(arg[i], 0);

		/* And what it does use is not understood here. */
		arg = argument(r->size + 8);
		arg[r->size + 7] = 1;
		assert_errno(ioctl(fd, r->cmd, arg), E2BIG);
		assert_int_equal(size_in(arg), r->size + 8);
		arg = argument(page);
		arg[r->size] = 1;
		assert_errno(ioctl(fd, r->cmd, arg), E2BIG);
		/* Just behind what it says is nobody's business. */
		arg = argument(r->size);
		arg[r->size] = 1;
		assert_return_code(ioctl(fd, r->cmd, arg), errno);
		assert_int_equal(arg[r->size], 1);

		assert_errno(ioctl(fd, r->cmd, argument(page + 1)), E2BIG);
		assert_errno(ioctl(fd, r->cmd, argument(UINT32_MAX)), E2BIG);
	}
}

TEST(reserved)
{
	struct mydev_stats stats = { .size = sizeof(stats) };
	int fd = node_open(O_RDONLY);

	for (int bit = 0; bit < 32; bit++) {
		stats.flags = 1U << bit;
		assert_errno(ioctl(fd, MYDEV_IOC_GET_STATS, &stats), EINVAL);
	}
	stats.flags = 0;
	assert_return_code(ioctl(fd, MYDEV_IOC_GET_STATS, &stats), errno);
	assert_int_equal(stats.flags, 0);
}

TEST(bad_pointers)
{
	long page = sysconf(_SC_PAGESIZE);
	char *map = private_memory(2 * page);
	int fd = node_open(O_RDONLY);

	assert_return_code(mprotect(map + page, page, PROT_NONE), errno);
	for_each_getter(r)
	{
		char *last = map + page - r->size;

		assert_errno(ioctl(fd, r->cmd, NULL), EFAULT);
		assert_errno(ioctl(fd, r->cmd, -1L), EFAULT);
		assert_errno(ioctl(fd, r->cmd, map + page), EFAULT);
		assert_errno(ioctl(fd, r->cmd, map + page - 2), EFAULT);

		/* It just fits before the end; one more does not. */
		memcpy(last, &r->size, sizeof(r->size));
		assert_return_code(ioctl(fd, r->cmd, last), errno);
		memset(last, 0, r->size);
		memcpy(last + 8, &r->size, sizeof(r->size));
		assert_errno(ioctl(fd, r->cmd, last + 8), EFAULT);

		/* Can be read, but the answer cannot be written. */
		memset(last, 0, r->size);
		memcpy(last, &r->size, sizeof(r->size));
		assert_return_code(mprotect(map, page, PROT_READ), errno);
		assert_errno(ioctl(fd, r->cmd, last), EFAULT);
		assert_return_code(mprotect(map, page, PROT_READ | PROT_WRITE), errno);
	}
	munmap(map, 2 * page);
}

static bool is_request(unsigned int nr)
{
	for (unsigned int i = 0; i < REQUESTS; i++) {
		if (_IOC_NR(requests[i].cmd) == nr)
			return true;
	}
	return false;
}

TEST(unknown)
{
	struct mydev_info arg = { .size = sizeof(arg) };
	int fd = node_open(O_RDWR);

	for (unsigned int nr = 0; nr < 256; nr++) {
		if (!is_request(nr))
			assert_errno(ioctl(fd, _IO(MYDEV_IOC_TYPE, nr), &arg), ENOTTY);
	}
	for (unsigned int nr = 0; nr < REQUESTS; nr++) {
		assert_errno(ioctl(fd, _IOWR(MYDEV_IOC_TYPE, nr, struct mydev_info), &arg), ENOTTY);
		assert_errno(ioctl(fd, _IOR(MYDEV_IOC_TYPE, nr, struct mydev_info), &arg), ENOTTY);
		assert_errno(ioctl(fd, _IOW(MYDEV_IOC_TYPE, nr, struct mydev_info), &arg), ENOTTY);
		assert_errno(ioctl(fd, _IOC(0, MYDEV_IOC_TYPE, nr, 4), &arg), ENOTTY);
		assert_errno(ioctl(fd, _IO(MYDEV_IOC_TYPE + 1, nr), &arg), ENOTTY);
		assert_errno(ioctl(fd, (MYDEV_IOC_TYPE << 8 | nr) | 1UL << 31, &arg), ENOTTY);
	}
	/* Nothing was written where nothing was understood. */
	assert_int_equal(arg.size, sizeof(arg));
	assert_int_equal(arg.abi_version, 0);
}

/* A hexadecimal file of the USB device (".." before it) or interface. */
static unsigned long usb_number(const char *file, int base)
{
	char path[256];

	snprintf(path, sizeof(path), "device/%s", file);
	return strtoul(sysfs(path), NULL, base);
}

TEST(info_is_true)
{
	struct mydev_info info = info_of(node_open(O_RDONLY));
	char endpoint[64];

	assert_int_equal(info.size, sizeof(info));
	assert_int_equal(info.abi_version, MYDEV_ABI_VERSION);
	assert_int_equal(info.features, MYDEV_FEATURE_READ | MYDEV_FEATURE_NOWAIT |
						MYDEV_FEATURE_CONFIG | MYDEV_FEATURE_GEOMETRY |
						MYDEV_FEATURE_WRITE | MYDEV_FEATURE_CONTROL |
						MYDEV_FEATURE_RING | MYDEV_FEATURE_REWIND |
						MYDEV_FEATURE_RECOVERY);
	/* Against what the USB core has read from the device, */
	assert_int_equal(info.id_vendor, usb_number("../idVendor", 16));
	assert_int_equal(info.id_product, usb_number("../idProduct", 16));
	assert_int_equal(info.bcd_device, usb_number("../bcdDevice", 16));
	assert_int_equal(info.bus_number, usb_number("../busnum", 10));
	assert_int_equal(info.device_number, usb_number("../devnum", 10));
	assert_int_equal(usb_number("../speed", 10), 5000);
	assert_int_equal(info.speed, MYDEV_SPEED_SUPER);
	assert_int_equal(info.interface_number, usb_number("bInterfaceNumber", 16));
	assert_int_equal(info.alternate_setting, usb_number("bAlternateSetting", 10));
	assert_int_equal(info.interface_class, usb_number("bInterfaceClass", 16));
	assert_int_equal(info.interface_subclass, usb_number("bInterfaceSubClass", 16));
	assert_int_equal(info.interface_protocol, usb_number("bInterfaceProtocol", 16));
	snprintf(endpoint, sizeof(endpoint), "ep_%02x/wMaxPacketSize", info.ep_in);
	assert_int_equal(info.ep_in_max_packet, usb_number(endpoint, 16));
	snprintf(endpoint, sizeof(endpoint), "ep_%02x/wMaxPacketSize", info.ep_out);
	assert_int_equal(info.ep_out_max_packet, usb_number(endpoint, 16));
	assert_true(info.ep_in & 0x80);
	assert_false(info.ep_out & 0x80);

	/* and against the files of our own. */
	assert_int_equal(info.id_vendor, strtoul(sysfs("id_vendor"), NULL, 16));
	assert_int_equal(info.id_product, strtoul(sysfs("id_product"), NULL, 16));
	assert_int_equal(info.bcd_device, strtoul(sysfs("bcd_device"), NULL, 16));
	assert_int_equal(info.interface_number, strtoul(sysfs("interface_number"), NULL, 16));
	assert_int_equal(info.alternate_setting, sysfs_number("alternate_setting"));
	assert_int_equal(info.ep_in, strtoul(sysfs("ep_in"), NULL, 16));
	assert_int_equal(info.ep_out, strtoul(sysfs("ep_out"), NULL, 16));
	assert_int_equal(info.ep_in_max_packet, sysfs_number("ep_in_max_packet"));
	assert_int_equal(info.ep_out_max_packet, sysfs_number("ep_out_max_packet"));
	assert_int_equal(info.transfers, sysfs_number("transfers"));
	assert_int_equal(info.transfer_size, sysfs_number("transfer_size"));
	assert_int_equal(info.pool_buffers, sysfs_number("pool_buffers"));
	assert_int_equal(info.index, strtoul(strrchr(node, '/') + strlen("/mydev"), NULL, 10));
	assert_string_equal(sysfs("speed"), "super-speed");
	assert_true(info.queue_depth >= info.pool_buffers);
	assert_true(info.max_clients > 0);
}

TEST(stats_are_true)
{
	int fd = node_open(O_RDONLY);
	uint64_t packets = sim_number("packets"), bytes = sim_number("bytes");
	struct mydev_stats before = stats_of(fd), s;
	struct verifier v;

	verify_from(&v, next_counter());
	feed(80, "100-1000");
	take_packets(fd, &v, 80, 0);
	/* The first ones may have come before the last transfer was submitted. */
	await(stats_of(fd).in_flight == info_of(fd).transfers);
	s = stats_of(fd);
	assert_int_equal(s.size, sizeof(s));
	assert_int_equal(s.packets - before.packets, 80);
	/* The device learns of the last ones only later. */
	await(sim_number("packets") - packets == 80);
	assert_int_equal(s.bytes - before.bytes, sim_number("bytes") - bytes);
	assert_int_equal(s.client_bytes, v.bytes);
	assert_int_equal(s.packets, sysfs_number("stats/packets"));
	assert_int_equal(s.bytes, sysfs_number("stats/bytes"));
	assert_int_equal(s.zero_packets, sysfs_number("stats/zero_packets"));
	assert_int_equal(s.errors, sysfs_number("stats/errors"));
	assert_int_equal(s.stalls, sysfs_number("stats/stalls"));
	assert_int_equal(s.ring_stops, sysfs_number("stats/ring_stops"));
	assert_int_equal(s.clients, sysfs_number("clients"));
	assert_int_equal(s.in_flight, sysfs_number("in_flight"));
}

TEST(answers_after_unplug)
{
	int fd = node_open(O_RDONLY);
	struct mydev_info before = info_of(fd), after;

	unplug();
	after = info_of(fd);
	assert_memory_equal(&before, &after, sizeof(after));
	assert_int_equal(stats_of(fd).state, MYDEV_STATE_GONE);
	assert_errno(ioctl(fd, _IO(MYDEV_IOC_TYPE, 99), &after), ENOTTY);
	assert_errno(ioctl(fd, MYDEV_IOC_GET_INFO, argument(3)), EINVAL);
}

/* What the program build/tests/@name prints; false if it cannot be run. */
static bool output_of(const char *name, char *text, size_t size)
{
	char path[PATH_MAX] = "", command[PATH_MAX + 64];
	size_t n;
	FILE *f;
	int status;

	assert_true(readlink("/proc/self/exe", path, sizeof(path) - 1) > 0);
	snprintf(command, sizeof(command), "%s/%s", dirname(path), name);
	assert_return_code(access(command, X_OK), errno);
	strcat(command, " 2>&1");
	f = popen(command, "r");
	assert_non_null(f);
	n = fread(text, 1, size - 1, f);
	text[n] = 0;
	status = pclose(f);
	if (strstr(text, "Exec format error"))
		return false;
	if (status)
		fail_msg("%s: status %d, %s", name, status, text);
	return true;
}

TEST(same_for_32_bit)
{
	static char wide[16384], narrow[16384];
	size_t len;

	assert_true(output_of("abi_dump", wide, sizeof(wide)));
	assert_non_null(strstr(wide, "bytes"));
#ifndef __x86_64__
	print_message("# no 32-bit program is built for this architecture\n");
	skip();
#endif
	if (!output_of("abi_dump32", narrow, sizeof(narrow))) {
		print_message("# this kernel runs no 32-bit programs\n");
		skip();
	}
	for (char *a = wide, *b = narrow; *a || *b; a += len + !!a[len], b += len + !!b[len]) {
		len = strcspn(a, "\n");
		if (strncmp(a, b, len + 1))
			fail_msg("64 bits: %.*s, 32 bits: %.*s", (int)len, a, (int)strcspn(b, "\n"),
				 b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("a structure that is too small: EINVAL", too_small, fresh),
		PROMISE("a larger one: its unknown tail must be zero, the kernel's size comes back",
			larger, fresh),
		PROMISE("flags that are not zero: EINVAL", reserved, fresh),
		PROMISE("pointers to nowhere and across the end of memory: EFAULT", bad_pointers,
			fresh),
		PROMISE("all other requests: ENOTTY", unknown, fresh),
		PROMISE("GET_INFO agrees with the device's descriptors and with sysfs",
			info_is_true, fresh),
		PROMISE("GET_STATS agrees with the device's own count and with sysfs",
			stats_are_true, fresh),
		PROMISE("both are answered after an unplug", answers_after_unplug, fresh),
		PROMISE("32-bit programs get the same bytes", same_for_32_bit, fresh),
	};

	return run_promises(tests);
}
