// SPDX-License-Identifier: GPL-2.0-only
/*
 * How much memory a client of a device takes: opens one, then many more, and
 * divides what the kernel has less of by their number.
 *
 * What counts is the kernel's free pages, whatever memory was asked for with:
 * pages, slabs, vmalloc. Page tables are the program's: as much as it touches of what it
 * maps, and told apart. All clients are in this one
 * process, so that it is not the memory of processes that is measured. Free pages
 * that processors keep for themselves are no part of MemFree, thousands of them,
 * so they are added; the kernel counts lazily, so it is told to count now.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fan.h"
#include "measure.h"
#include "ring.h"

static int usage(FILE *to)
{
	fprintf(to, "Usage: memory read|ring NODE CLIENTS\n"
		    "Says how many bytes each of CLIENTS more clients of NODE takes, and how many\n"
		    "more go into the page tables of its mappings.\n");
	return to == stdout ? 0 : 2;
}

static int fail(const char *what, int error)
{
	fprintf(stderr, "memory: %s: %s\n", what, strerror(error));
	return 1;
}

static int tell(const char *path, const char *word)
{
	int fd = open(path, O_WRONLY), ret;

	if (fd < 0)
		return fail(path, errno);
	ret = write(fd, word, strlen(word)) < 0 ? fail(path, errno) : 0;
	close(fd);
	return ret;
}

static int free_memory(long long *bytes)
{
	long long pages = 0;
	FILE *file;
	char line[128];

	/* What is cached may go at any time, so it goes now. */
	if (tell("/proc/sys/vm/drop_caches", "3") || tell("/proc/sys/vm/stat_refresh", "1"))
		return 1;
	file = fopen("/proc/zoneinfo", "r");
	if (!file)
		return fail("/proc/zoneinfo", errno);
	while (fgets(line, sizeof(line), file)) {
		long long nr;

		if (sscanf(line, " nr_free_pages %lld", &nr) == 1 ||
		    sscanf(line, " count: %lld", &nr) == 1)
			pages += nr;
	}
	fclose(file);
	*bytes = pages * sysconf(_SC_PAGESIZE);
	return pages ? 0 : fail("nr_free_pages", ENOENT);
}

/* Of this process. */
static int page_tables(long long *bytes)
{
	FILE *file = fopen("/proc/self/status", "r");
	long long kib = -1;
	char line[128];

	if (!file)
		return fail("/proc/self/status", errno);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "VmPTE: %lld kB", &kib) == 1)
			break;
	fclose(file);
	*bytes = kib * 1024;
	return kib < 0 ? fail("VmPTE", ENOENT) : 0;
}

/* A reader that has asked for data. */
static int open_reader(const char *node)
{
	struct pollfd pfd = { .events = POLLIN };

	pfd.fd = open(node, O_RDONLY);
	return pfd.fd < 0 || poll(&pfd, 1, 0) < 0 ? fail(node, errno) : 0;
}

static void touch(const volatile char *memory, uint64_t bytes)
{
	for (uint64_t i = 0; i < bytes; i += (uint64_t)sysconf(_SC_PAGESIZE))
		(void)memory[i];
}

/* One that has touched every page of what it can map; MAP_POPULATE does not. */
static int open_ring(const char *node, struct ring *ring)
{
	int ret = ring_open(ring, node, 0);

	if (!ret)
		ret = ring_start(ring);
	if (ret)
		return fail(node, -ret);
	touch((const char *)ring->shared, ring->map.ring_bytes);
	touch((const char *)ring->log, ring->map.log_bytes);
	touch(ring->pool, ring->map.pool_bytes);
	return 0;
}

int main(int argc, char **argv)
{
	static struct ring rings[FAN_MAX];
	long long before = 0, after = 0, tables = 0, tables_after = 0;
	unsigned int nr, i;
	int is_ring;

	if (argc == 2 && !strcmp(argv[1], "--help"))
		return usage(stdout);
	if (argc != 4)
		return usage(stderr);
	is_ring = !strcmp(argv[1], "ring");
	if (!is_ring && strcmp(argv[1], "read"))
		return usage(stderr);
	nr = (unsigned int)measure_size("CLIENTS", argv[3], FAN_MAX - 1);
	memset(rings, 0, sizeof(rings));

	/* The first one also brings the pool, which is the device's. */
	for (i = 0; i <= nr; i++) {
		if (i == 1 && (page_tables(&tables) || free_memory(&before)))
			return 1;
		if (is_ring ? open_ring(argv[2], &rings[i]) : open_reader(argv[2]))
			return 1;
	}
	if (free_memory(&after) || page_tables(&tables_after))
		return 1;
	tables = tables_after - tables;
	printf("client_bytes=%lld table_bytes=%lld\n", (before - after - tables) / nr, tables / nr);
	return 0;
}
