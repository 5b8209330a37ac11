// SPDX-License-Identifier: GPL-2.0-only
#include "packets.h"

#define ZLP_EVERY   10
#define MAX_CLIENTS 16

/* Of this test; what it maps stays a client, also when its descriptor is closed. */
static struct mydev_client *clients[MAX_CLIENTS];

unsigned int way_ring = MYDEV_CLIENT_RING;
unsigned int way_copy = MYDEV_CLIENT_COPY;

unsigned int way_of(void **state)
{
	return *(unsigned int *)*state;
}

bool way_is_ring(void **state)
{
	return way_of(state) == MYDEV_CLIENT_RING;
}

struct mydev *device_open(int flags)
{
	struct mydev *dev;
	int ret = mydev_open(node, flags, &dev);

	if (ret)
		fail_msg("mydev_open: %s", mydev_strerror(ret));
	return dev;
}

int fresh_clients(void **state)
{
	for (int i = 0; i < MAX_CLIENTS; i++) {
		if (clients[i])
			client_close(clients[i]);
	}
	return fresh_defaults(state);
}

struct mydev_client *client_of(struct mydev *dev, unsigned int flags)
{
	struct mydev_client *client;
	int ret = mydev_client_new(dev, flags, &client), i = 0;

	if (ret)
		fail_msg("mydev_client_new: %s: %s", strerror(-ret), mydev_strerror(ret));
	while (clients[i])
		i++;
	assert_true(i < MAX_CLIENTS);
	clients[i] = client;
	return client;
}

struct mydev_client *client_open_as(unsigned int flags)
{
	return client_of(device_open(O_RDWR), flags);
}

struct mydev_client *client_open(void **state)
{
	return client_open_as(way_of(state));
}

void client_close(struct mydev_client *client)
{
	struct mydev *dev = mydev_client_device(client);

	for (int i = 0; i < MAX_CLIENTS; i++) {
		if (clients[i] == client)
			clients[i] = NULL;
	}
	mydev_client_free(client);
	mydev_close(dev);
}

struct mydev_packet next(struct mydev_client *client)
{
	struct mydev_packet packet;
	int ret = mydev_client_next(client, &packet, 20000);

	if (ret)
		fail_msg("mydev_client_next: %s: %s", strerror(-ret), mydev_strerror(ret));
	return packet;
}

struct mydev_stats stats_of_client(const struct mydev_client *client)
{
	return stats_of(mydev_fd(mydev_client_device(client)));
}

uint64_t packets_so_far(const struct mydev_client *client)
{
	return stats_of_client(client).packets;
}

uint64_t zeros_in(uint64_t first, uint64_t packets)
{
	return (first + packets) / ZLP_EVERY - first / ZLP_EVERY;
}
