/* SPDX-License-Identifier: MIT */
/*
 * A client and its two ways to get packets: from the mapped ring (ring.c), and
 * by reading (copy.c).
 */
#ifndef LIBMYDEV_LIB_CLIENT_H
#define LIBMYDEV_LIB_CLIENT_H

#include "internal.h"

struct source;

/**
 * struct way - how packets come
 * @open: make client->state; the mode of the descriptor is not set yet
 * @take: 0 for the next packet, -EAGAIN for none, or why none will come. The
 *	number is set already
 * @give: give back all up to and with this number, which are held; -ENOBUFS
 *	where they have been taken away
 * @rewound: the driver has moved the descriptor, and nothing is held; NULL where
 *	there is nothing to do
 * @close: undo @open
 */
struct way {
	int (*open)(struct mydev_client *client);
	int (*take)(struct mydev_client *client, struct mydev_packet *packet);
	int (*give)(struct mydev_client *client, uint64_t number);
	void (*rewound)(struct mydev_client *client);
	void (*close)(struct mydev_client *client);
};

extern const struct way ring_way;
extern const struct way copy_way;

/*
 * Packets have numbers, from 0 on: below @released they are given back, below
 * @next they are taken, and those in between are held. Those below @lost were
 * taken away while they were held.
 */
struct mydev_client {
	struct mydev *dev;
	const struct way *way;
	void *state;
	uint64_t released;
	uint64_t next;
	uint64_t lost;
	unsigned int held_max;
	uint32_t old_mode;
	int epoll;
	bool waited_for;       /* somebody else waits for @epoll */
	struct source *source; /* in an event loop */
};

static inline bool client_holds(const struct mydev_client *client)
{
	return client->released != client->next;
}

/* The event loop that it is part of lets go of it. */
void client_detach(struct mydev_client *client);

#endif /* LIBMYDEV_LIB_CLIENT_H */
