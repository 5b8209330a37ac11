// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads a total of bytes from a device node through io_uring, with several reads
 * in flight, and says how fast that was. The bytes are counted, not looked at.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "measure.h"

#define MAX_READS 256

struct reader {
	struct io_uring uring;
	int fd;
	unsigned int nr;
	unsigned int size;
	char *buffers;
};

static int usage(FILE *to)
{
	fprintf(to, "Usage: uring-read NODE READS SIZE TOTAL\n"
		    "Reads TOTAL bytes from NODE (/dev/mydev0), with READS reads of SIZE bytes in\n"
		    "flight.\n");
	return to == stdout ? 0 : 2;
}

static int fail(const char *what, int error)
{
	fprintf(stderr, "uring-read: %s: %s\n", what, strerror(error));
	return 1;
}

static void queue(struct reader *reader, unsigned int slot)
{
	/* There is one entry for each slot, so there is one now. */
	struct io_uring_sqe *sqe = io_uring_get_sqe(&reader->uring);

	io_uring_prep_read(sqe, reader->fd, reader->buffers + (size_t)slot * reader->size,
			   reader->size, 0);
	io_uring_sqe_set_data64(sqe, slot);
}

static int run(struct reader *reader, uint64_t total, struct measure *m)
{
	unsigned int i;

	measure_begin(m);
	for (i = 0; i < reader->nr; i++)
		queue(reader, i);
	while (m->bytes < total) {
		struct io_uring_cqe *cqe;
		unsigned int head, seen = 0;
		int ret = io_uring_submit_and_wait(&reader->uring, 1);

		if (ret < 0 && ret != -EINTR)
			return fail("submit", -ret);
		io_uring_for_each_cqe(&reader->uring, head, cqe)
		{
			seen++;
			if (cqe->res > 0)
				measure_count(m, (uint64_t)cqe->res);
			else if (cqe->res != -EAGAIN && cqe->res != -EINTR)
				return fail("read", cqe->res ? -cqe->res : ENODATA);
			queue(reader, (unsigned int)cqe->user_data);
		}
		io_uring_cq_advance(&reader->uring, seen);
	}
	m->end = measure_now();
	return 0;
}

int main(int argc, char **argv)
{
	struct reader reader = { 0 };
	struct measure m = { 0 };
	uint64_t total;
	int ret;

	if (argc == 2 && !strcmp(argv[1], "--help"))
		return usage(stdout);
	if (argc != 5)
		return usage(stderr);
	reader.nr = (unsigned int)measure_size("READS", argv[2], MAX_READS);
	reader.size = (unsigned int)measure_size("SIZE", argv[3], 1 << 24);
	total = measure_size("TOTAL", argv[4], UINT64_MAX / 2);

	reader.fd = open(argv[1], O_RDONLY);
	if (reader.fd < 0)
		return fail(argv[1], errno);
	ret = io_uring_queue_init(reader.nr, &reader.uring, 0);
	if (ret)
		return fail("io_uring", -ret);
	reader.buffers = malloc((size_t)reader.nr * reader.size);
	if (!reader.buffers)
		return fail("memory", ENOMEM);
	/* Now, not in the first reads, which would be measured. */
	memset(reader.buffers, 0, (size_t)reader.nr * reader.size);

	ret = run(&reader, total, &m);
	if (!ret)
		measure_print(&m);
	/* Takes back the reads that are in flight; they have the buffers. */
	io_uring_queue_exit(&reader.uring);
	close(reader.fd);
	free(reader.buffers);
	return ret;
}
