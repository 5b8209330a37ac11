// SPDX-License-Identifier: MIT
/*
 * record FILE [DEVICE]: all that comes, with times, numbers, gaps and events, to
 * a file: records as in <linux/mydev.h>, for mydev_next_record(). Ends when it
 * is interrupted, or the device is unplugged.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <libmydev.h>

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	interrupted = sig;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct mydev_config config;
	static char buf[1 << 18];
	struct mydev *dev = NULL;
	FILE *file;
	ssize_t n;

	if (argc < 2) {
		fprintf(stderr, "usage: record FILE [DEVICE]\n");
		return 2;
	}
	sigaction(SIGINT, &action, NULL);
	n = mydev_open(argc > 2 ? argv[2] : "0", O_RDONLY, &dev);
	if (!n)
		n = mydev_get_config(dev, &config, sizeof(config));
	if (!n) {
		config.mode = MYDEV_MODE_PACKET;
		n = mydev_set_config(dev, &config, sizeof(config));
	}
	/* Not before: a file is not emptied for want of a device. */
	file = n ? NULL : fopen(argv[1], "w");
	if (!file) {
		fprintf(stderr, "record: %s\n", n ? mydev_strerror(n) : strerror(errno));
		return 1;
	}
	while (n >= 0 && !interrupted) {
		n = mydev_read(dev, buf, sizeof(buf));
		if (n > 0 && fwrite(buf, 1, n, file) < (size_t)n)
			n = -errno;
	}
	if (n != -EINTR && n != -ENODEV)
		fprintf(stderr, "record: %s\n", mydev_strerror(n));
	mydev_close(dev);
	return fclose(file) || (n != -EINTR && n != -ENODEV);
}
