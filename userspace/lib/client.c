// SPDX-License-Identifier: MIT
/*
 * A client: which way it gets its packets, what it holds, and how it waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "client.h"

static int set_mode(const struct mydev *dev, uint32_t mode)
{
	struct mydev_config config;
	int ret = mydev_get_config(dev, &config, sizeof(config));

	if (ret)
		return ret;
	if (config.mode == mode)
		return 0;
	config.mode = mode;
	return mydev_set_config(dev, &config, sizeof(config));
}

/*
 * The descriptor tells, by an edge, that something has come. By its level it
 * would also tell of packets that are held, which are still in the ring.
 */
static int open_epoll(struct mydev_client *client)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };

	client->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (client->epoll < 0)
		return -errno;
	/* This asks for data, as poll() does. */
	if (epoll_ctl(client->epoll, EPOLL_CTL_ADD, mydev_fd(client->dev),
		      &event))
		return -errno;
	return 0;
}

static int open_way(struct mydev_client *client, const struct way *way,
		    uint32_t mode)
{
	int ret = set_mode(client->dev, mode);

	if (ret)
		return ret;
	client->way = way;
	ret = way->open(client);
	if (ret)
		client->way = NULL;
	return ret;
}

static bool may_have_ring(const struct mydev *dev,
			  const struct mydev_info *info)
{
	return info->features & MYDEV_FEATURE_RING &&
	       (fcntl(mydev_fd(dev), F_GETFL) & O_ACCMODE) == O_RDWR;
}

static int open_any(struct mydev_client *client, unsigned int flags)
{
	struct mydev_info info;
	int ret = mydev_get_info(client->dev, &info, sizeof(info));

	if (ret)
		return ret;
	if (!(info.features & MYDEV_FEATURE_READ))
		return -EOPNOTSUPP;
	ret = -EOPNOTSUPP;
	if (flags != MYDEV_CLIENT_COPY && may_have_ring(client->dev, &info))
		ret = open_way(client, &ring_way, MYDEV_MODE_RING);
	else if (info.features & MYDEV_FEATURE_RING)
		ret = -EBADF;
	/* What the ring lacks, memory to map for instance, a read may not. */
	if (ret && flags != MYDEV_CLIENT_RING)
		ret = open_way(client, &copy_way, MYDEV_MODE_PACKET);
	return ret ? ret : open_epoll(client);
}

int mydev_client_new(struct mydev *dev, unsigned int flags,
		     struct mydev_client **clientp)
{
	struct mydev_config config;
	struct mydev_client *client;
	int ret;

	if (flags && flags != MYDEV_CLIENT_RING && flags != MYDEV_CLIENT_COPY)
		return -EINVAL;
	if (!mydev_is_reader(dev))
		return -EBADF;
	ret = mydev_get_config(dev, &config, sizeof(config));
	if (ret)
		return ret;
	if (config.mode == MYDEV_MODE_RING)
		return -EBUSY;
	client = calloc(1, sizeof(*client));
	if (!client)
		return -ENOMEM;
	client->dev = dev;
	client->epoll = -1;
	client->old_mode = config.mode;
	client->held_max = MYDEV_CLIENT_HELD;
	if (config.queue_depth < client->held_max)
		client->held_max = config.queue_depth;
	ret = open_any(client, flags);
	if (ret) {
		mydev_client_free(client);
		return ret;
	}
	*clientp = client;
	return 0;
}

void mydev_client_free(struct mydev_client *client)
{
	if (!client)
		return;
	if (client->source)
		client_detach(client);
	if (client->way)
		client->way->close(client);
	if (client->epoll >= 0)
		close(client->epoll);
	/* Fails where the device is gone, and then the mode does not matter. */
	set_mode(client->dev, client->old_mode);
	free(client);
}

struct mydev *mydev_client_device(const struct mydev_client *client)
{
	return client->dev;
}

bool mydev_client_has_ring(const struct mydev_client *client)
{
	return client->way == &ring_way;
}

int mydev_client_fd(struct mydev_client *client)
{
	client->waited_for = true;
	return client->epoll;
}

unsigned int mydev_client_held_max(const struct mydev_client *client)
{
	return client->held_max;
}

static int take(struct mydev_client *client, struct mydev_packet *packet)
{
	int ret;

	if (client->next - client->released >= client->held_max)
		return -ENOSPC;
	memset(packet, 0, sizeof(*packet));
	packet->number = client->next;
	ret = client->way->take(client, packet);
	if (!ret)
		client->next++;
	return ret;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

int mydev_client_next(struct mydev_client *client, struct mydev_packet *packet,
		      int timeout_ms)
{
	int64_t end = timeout_ms > 0 ? now_ms() + timeout_ms : 0;
	int left = timeout_ms;
	struct epoll_event event;
	int ret, n;

	for (;;) {
		ret = take(client, packet);
		if (ret != -EAGAIN || (!timeout_ms && !client->waited_for))
			return ret;
		if (timeout_ms > 0) {
			left = end - now_ms();
			if (left <= 0)
				return -ETIMEDOUT;
		}
		/* Where it is not for waiting, it is to take back the edge. */
		n = epoll_wait(client->epoll, &event, 1, left);
		if (n < 0)
			return -errno;
		if (!n && !timeout_ms)
			return -EAGAIN;
	}
}

int mydev_client_release(struct mydev_client *client,
			 const struct mydev_packet *packet)
{
	uint64_t number = packet->number;
	bool lost = client->released < client->lost;
	int ret = 0;

	if (number < client->released || number >= client->next)
		return -EINVAL;
	if (number >= client->lost)
		ret = client->way->give(client, number);
	client->released = number + 1;
	return ret || !lost ? ret : -ENOBUFS;
}

int mydev_client_rewind(struct mydev_client *client, unsigned int to,
			uint64_t value, uint64_t *sequence)
{
	int ret;

	if (client_holds(client))
		return -EBUSY;
	ret = mydev_rewind(client->dev, to, value, sequence);
	if (!ret && client->way->rewound)
		client->way->rewound(client);
	return ret;
}
