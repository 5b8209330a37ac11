// SPDX-License-Identifier: MIT
/*
 * uring [DEVICE] >FILE: several reads in flight, by io_uring. They may complete in
 * any order, so they read records, which have numbers. Ends with the device.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>

#include <libmydev.h>

#define READS 8
#define SIZE  (1 << 17)

static char bufs[READS][SIZE];

static void submit(struct io_uring *ring, const struct mydev *dev, int i)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	io_uring_prep_read(sqe, mydev_fd(dev), bufs[i], SIZE, -1);
	io_uring_sqe_set_data64(sqe, i);
	io_uring_submit(ring);
}

int main(int argc, char **argv)
{
	int i, n, in_flight = READS;
	struct mydev_config config;
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	struct mydev *dev;

	n = mydev_open(argc > 1 ? argv[1] : "0", O_RDONLY, &dev);
	if (!n)
		n = mydev_get_config(dev, &config, sizeof(config));
	config.mode = MYDEV_MODE_PACKET;
	if (!n)
		n = mydev_set_config(dev, &config, sizeof(config));
	if (!n)
		n = io_uring_queue_init(READS, &ring, 0);
	if (n)
		return fprintf(stderr, "uring: %s\n", mydev_strerror(n)), 1;
	for (i = 0; i < READS; i++)
		submit(&ring, dev, i);
	while (in_flight && !io_uring_wait_cqe(&ring, &cqe)) {
		i = io_uring_cqe_get_data64(cqe);
		n = cqe->res;
		io_uring_cqe_seen(&ring, cqe);
		if (n > 0 && fwrite(bufs[i], 1, n, stdout) == (size_t)n)
			submit(&ring, dev, i);
		else
			in_flight--;
	}
	if (n != -ENODEV)
		fprintf(stderr, "uring: %s\n", mydev_strerror(n));
	return n != -ENODEV || fflush(stdout);
}
