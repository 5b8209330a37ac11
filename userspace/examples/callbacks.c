// SPDX-License-Identifier: MIT
/*
 * callbacks [DEVICE] >FILE: callbacks on an event loop of one's own, here one
 * with poll(). Ends when the device is unplugged.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#include <libmydev.h>

static void on_packet(struct mydev_client *client, const struct mydev_packet *packet, void *arg)
{
	(void)client;
	(void)arg;
	if (packet->type == MYDEV_RECORD_GAP)
		fprintf(stderr, "lost: %" PRIu64 " packets\n", packet->gap_packets);
	/* Here, and not any longer, packet->data is where the bytes are. */
	fwrite(packet->data, 1, packet->length, stdout);
}

static void on_end(struct mydev_client *client, int error, void *arg)
{
	(void)client;
	*(int *)arg = error;
}

int main(int argc, char **argv)
{
	static const struct mydev_callbacks callbacks = { .packet = on_packet,
							  .gap = on_packet,
							  .end = on_end };
	struct mydev_client *client;
	struct mydev_loop *loop;
	struct mydev *dev;
	int end = 0, ret = mydev_open(argc > 1 ? argv[1] : "0", O_RDWR, &dev);

	if (!ret)
		ret = mydev_client_new(dev, 0, &client);
	if (!ret)
		ret = mydev_loop_new(&loop);
	if (!ret)
		ret = mydev_loop_add(loop, client, &callbacks, sizeof(callbacks), &end);
	if (ret) {
		fprintf(stderr, "callbacks: %s\n", mydev_strerror(ret));
		return 1;
	}
	while (!end) {
		struct pollfd p = { .fd = mydev_loop_fd(loop), .events = POLLIN };

		if (poll(&p, 1, -1) > 0)
			mydev_loop_dispatch(loop);
	}
	return end == -ENODEV && !fflush(stdout) ? 0 : 1;
}
