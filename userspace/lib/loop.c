// SPDX-License-Identifier: MIT
/*
 * An event loop's share of the work: what to wait for, and who is called back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client.h"
#include "loop.h"

/* Packets of one client in one turn: others have their turn, too. */
#define TURN 256

struct mydev_loop {
	int epoll;
	int kick; /* an eventfd: some source is due */
	bool dispatching;
	struct source *sources;
};

struct client_source {
	struct source source;
	struct mydev_client *client; /* NULL once it is freed */
	struct mydev_callbacks callbacks;
	void *arg;
};

/* ---------------------------------------------------------------- sources */

void loop_kick(struct mydev_loop *loop)
{
	uint64_t one = 1;
	/* It can only fail by being full, and is readable then. */
	ssize_t n = write(loop->kick, &one, sizeof(one));

	(void)n;
}

int loop_attach(struct mydev_loop *loop, struct source *source)
{
	struct epoll_event event = { .events = EPOLLIN };

	event.data.ptr = source;
	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, source->fd, &event))
		return -errno;
	source->loop = loop;
	source->next = loop->sources;
	loop->sources = source;
	if (source->due)
		loop_kick(loop);
	return 0;
}

/* Frees what is removed, once no list of events can name it any more. */
static void purge(struct mydev_loop *loop)
{
	struct source **link = &loop->sources;
	struct source *source;

	while ((source = *link)) {
		if (source->removed) {
			*link = source->next;
			source->free(source);
		} else {
			link = &source->next;
		}
	}
}

void loop_detach(struct source *source)
{
	struct mydev_loop *loop = source->loop;

	if (source->removed)
		return;
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, source->fd, NULL);
	source->removed = true;
	if (!loop->dispatching)
		purge(loop);
}

struct source *loop_find(const struct mydev_loop *loop,
			 int (*dispatch)(struct source *source))
{
	struct source *source = loop->sources;

	while (source && (source->removed || source->dispatch != dispatch))
		source = source->next;
	return source;
}

/* ---------------------------------------------------------------- clients */

static void free_client_source(struct source *source)
{
	struct client_source *cs = (struct client_source *)source;

	if (cs->client)
		cs->client->source = NULL;
	free(cs);
}

void client_detach(struct mydev_client *client)
{
	struct client_source *cs = (struct client_source *)client->source;

	client->source = NULL;
	cs->client = NULL;
	loop_detach(&cs->source);
}

static void call_back(struct client_source *cs,
		      const struct mydev_packet *packet)
{
	const struct mydev_callbacks *callbacks = &cs->callbacks;
	struct mydev_client *client = cs->client;

	if (packet->type == MYDEV_RECORD_PACKET && callbacks->packet)
		callbacks->packet(client, packet, cs->arg);
	else if (packet->type == MYDEV_RECORD_GAP && callbacks->gap)
		callbacks->gap(client, packet, cs->arg);
	else if (packet->type == MYDEV_RECORD_EVENT && callbacks->event)
		callbacks->event(client, packet, cs->arg);
}

static void client_end(struct client_source *cs, int error)
{
	loop_detach(&cs->source);
	if (cs->callbacks.end)
		cs->callbacks.end(cs->client, error, cs->arg);
}

/*
 * The descriptor tells once of what comes, so either all is taken, or the client
 * is due again. A callback may have removed the client, or even freed it.
 */
static int dispatch_client(struct source *source)
{
	struct client_source *cs = (struct client_source *)source;
	struct mydev_packet packet;
	int count, ret;

	for (count = 0; count < TURN && !source->removed; count++) {
		ret = mydev_client_next(cs->client, &packet, 0);
		if (ret == -EAGAIN)
			return count;
		if (ret) {
			client_end(cs, ret);
			return count + 1;
		}
		call_back(cs, &packet);
		if (cs->client && mydev_client_release(cs->client, &packet) &&
		    !source->removed && cs->callbacks.taken)
			cs->callbacks.taken(cs->client, &packet, cs->arg);
	}
	if (!source->removed) {
		source->due = true;
		loop_kick(source->loop);
	}
	return count;
}

int mydev_loop_add(struct mydev_loop *loop, struct mydev_client *client,
		   const struct mydev_callbacks *callbacks, size_t size,
		   void *arg)
{
	struct client_source *cs;
	int ret;

	if (!size || size > sizeof(*callbacks) || size % sizeof(void (*)(void)))
		return -EINVAL;
	if (client->source)
		return -EBUSY;
	cs = calloc(1, sizeof(*cs));
	if (!cs)
		return -ENOMEM;
	cs->source.fd = mydev_client_fd(client);
	/* What is there already may have been told to somebody else. */
	cs->source.due = true;
	cs->source.dispatch = dispatch_client;
	cs->source.free = free_client_source;
	cs->client = client;
	memcpy(&cs->callbacks, callbacks, size);
	cs->arg = arg;
	ret = loop_attach(loop, &cs->source);
	if (ret)
		free(cs);
	else
		client->source = &cs->source;
	return ret;
}

int mydev_loop_remove(struct mydev_loop *loop, struct mydev_client *client)
{
	struct source *source = client->source;

	if (!source || source->loop != loop || source->removed)
		return -ENOENT;
	loop_detach(source);
	return 0;
}

/* ---------------------------------------------------------------- the loop */

int mydev_loop_new(struct mydev_loop **loopp)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct mydev_loop *loop = calloc(1, sizeof(*loop));
	int ret;

	if (!loop)
		return -ENOMEM;
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	loop->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->epoll < 0 || loop->kick < 0 ||
	    epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->kick, &event)) {
		ret = -errno;
		mydev_loop_free(loop);
		return ret;
	}
	*loopp = loop;
	return 0;
}

void mydev_loop_free(struct mydev_loop *loop)
{
	struct source *source;

	if (!loop)
		return;
	for (source = loop->sources; source; source = source->next)
		source->removed = true;
	purge(loop);
	if (loop->kick >= 0)
		close(loop->kick);
	if (loop->epoll >= 0)
		close(loop->epoll);
	free(loop);
}

int mydev_loop_fd(const struct mydev_loop *loop)
{
	return loop->epoll;
}

/* What is due is so before its callbacks, which may make it due again. */
static int dispatch_source(struct source *source)
{
	if (source->removed)
		return 0;
	source->due = false;
	return source->dispatch(source);
}

static int dispatch_due(struct mydev_loop *loop)
{
	struct source *source;
	uint64_t times;
	int count = 0;

	if (read(loop->kick, &times, sizeof(times)) < 0)
		return 0;
	for (source = loop->sources; source; source = source->next) {
		if (source->due)
			count += dispatch_source(source);
	}
	return count;
}

int mydev_loop_dispatch(struct mydev_loop *loop)
{
	struct epoll_event events[16];
	int count = 0;
	int n, i;

	if (loop->dispatching)
		return -EBUSY;
	n = epoll_wait(loop->epoll, events, 16, 0);
	if (n < 0)
		return -errno;
	loop->dispatching = true;
	for (i = 0; i < n; i++) {
		if (events[i].data.ptr)
			count += dispatch_source(events[i].data.ptr);
		else
			count += dispatch_due(loop);
	}
	loop->dispatching = false;
	purge(loop);
	return count;
}
