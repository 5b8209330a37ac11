// SPDX-License-Identifier: MIT
/*
 * transact REQUEST [DEVICE]: sends a text, and prints what the device answers.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <libmydev.h>

int main(int argc, char **argv)
{
	struct mydev_config config;
	static char answer[65536];
	struct mydev *dev = NULL;
	bool truncated = false;
	ssize_t n;

	if (argc < 2) {
		fprintf(stderr, "usage: transact REQUEST [DEVICE]\n");
		return 2;
	}
	n = mydev_open(argc > 2 ? argv[2] : "0", O_RDWR, &dev);
	if (!n)
		n = mydev_get_config(dev, &config, sizeof(config));
	if (!n) {
		/* The answers are also in the stream, which nobody reads here. */
		config.policy = MYDEV_POLICY_DROP_OLDEST;
		n = mydev_set_config(dev, &config, sizeof(config));
	}
	if (!n)
		n = mydev_transact(dev, argv[1], strlen(argv[1]), answer, sizeof(answer), 2000,
				   &truncated);
	if (n < 0) {
		fprintf(stderr, "transact: %s\n", mydev_strerror(n));
	} else {
		fwrite(answer, 1, n, stdout);
		if (truncated)
			fprintf(stderr, "transact: the answer is longer\n");
	}
	mydev_close(dev);
	return n < 0 || truncated;
}
