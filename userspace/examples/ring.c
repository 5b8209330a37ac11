// SPDX-License-Identifier: MIT
/*
 * ring [DEVICE] >FILE: packets from where the kernel has them to a file, without
 * a copy in this program. Ends when the device is unplugged.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include <libmydev.h>

static int write_all(const char *data, size_t length)
{
	ssize_t n = 0;

	for (; length; data += n, length -= n) {
		n = write(STDOUT_FILENO, data, length);
		if (n < 0)
			return -errno;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct mydev_client *client = NULL;
	struct mydev_packet packet;
	struct mydev *dev = NULL;
	/* The ring needs both: reading, and writing for what it gives back. */
	int ret = mydev_open(argc > 1 ? argv[1] : "0", O_RDWR, &dev);

	if (!ret)
		ret = mydev_client_new(dev, MYDEV_CLIENT_RING, &client);
	while (!ret) {
		ret = mydev_client_next(client, &packet, -1);
		if (ret)
			break;
		if (packet.type == MYDEV_RECORD_GAP)
			fprintf(stderr, "lost: %" PRIu64 " packets\n", packet.gap_packets);
		ret = write_all(packet.data, packet.length);
		/* Only now is it certain that it was the packet which was written. */
		if (mydev_client_release(client, &packet))
			fprintf(stderr, "too slow: packet %" PRIu64 " was overwritten\n",
				packet.sequence);
	}
	if (ret != -ENODEV)
		fprintf(stderr, "ring: %s\n", mydev_strerror(ret));
	mydev_client_free(client);
	mydev_close(dev);
	return ret == -ENODEV ? 0 : 1;
}
