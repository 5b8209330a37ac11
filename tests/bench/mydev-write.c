// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes a total of bytes to a device node as fast as it can, and says how
 * fast that was: the time ends when fsync() says that the device has them all.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "measure.h"

static int usage(FILE *to)
{
	fprintf(to, "Usage: mydev-write [--poll] NODE SIZE TOTAL\n"
		    "Writes TOTAL bytes to NODE (/dev/mydev0) with writes of SIZE bytes.\n"
		    "  --poll   wait in poll() and write without blocking\n");
	return to == stdout ? 0 : 2;
}

static int fail(const char *what, const char *node)
{
	fprintf(stderr, "mydev-write: %s %s: %s\n", what, node, strerror(errno));
	return 1;
}

static int run(const char *node, bool polling, size_t size, uint64_t total, struct measure *m)
{
	struct pollfd pfd = { .events = POLLOUT };
	void *buf;

	pfd.fd = open(node, O_WRONLY | (polling ? O_NONBLOCK : 0));
	if (pfd.fd < 0)
		return fail("open", node);
	buf = malloc(size);
	if (!buf)
		return fail("memory for", node);
	/* Now, not in the first writes, which would be measured. */
	memset(buf, 0, size);

	m->start = measure_now();
	while (m->bytes < total) {
		size_t want = total - m->bytes < size ? (size_t)(total - m->bytes) : size;
		ssize_t put = write(pfd.fd, buf, want);

		if (put >= 0) {
			m->bytes += (uint64_t)put;
			m->requests++;
		} else if (errno != EAGAIN || !polling) {
			return fail("write", node);
		} else if (poll(&pfd, 1, -1) < 0) {
			return fail("poll", node);
		}
	}
	if (fsync(pfd.fd))
		return fail("fsync", node);
	m->end = measure_now();

	free(buf);
	close(pfd.fd);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "poll", no_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct measure m = { 0 };
	bool polling = false;
	int opt, ret;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'h')
			return usage(stdout);
		if (opt != 'p')
			return usage(stderr);
		polling = true;
	}
	if (argc - optind != 3)
		return usage(stderr);

	ret = run(argv[optind], polling, (size_t)measure_size("SIZE", argv[optind + 1], 1 << 30),
		  measure_size("TOTAL", argv[optind + 2], UINT64_MAX / 2), &m);
	if (!ret)
		measure_print(&m);
	return ret;
}
