/* SPDX-License-Identifier: MIT */
/*
 * What an event loop waits for: clients (loop.c) and udev (hotplug.c), which is
 * apart so that a static program without it needs no libudev.
 */
#ifndef LIBMYDEV_LIB_LOOP_H
#define LIBMYDEV_LIB_LOOP_H

#include "internal.h"

/**
 * struct source - one thing that a loop waits for
 * @next: the next one of the loop
 * @loop: the loop
 * @fd: what is to be readable
 * @due: has something that @fd does not tell about
 * @removed: no more callbacks; freed when nobody is in the middle of it
 * @dispatch: call back for what there is; returns the number of causes
 * @free: free it
 */
struct source {
	struct source *next;
	struct mydev_loop *loop;
	int fd;
	bool due;
	bool removed;
	int (*dispatch)(struct source *source);
	void (*free)(struct source *source);
};

int loop_attach(struct mydev_loop *loop, struct source *source);
void loop_detach(struct source *source);
/* Have the loop dispatch, for a source that is due. */
void loop_kick(struct mydev_loop *loop);
/* The first source whose function is this one, or NULL. */
struct source *loop_find(const struct mydev_loop *loop,
			 int (*dispatch)(struct source *source));

#endif /* LIBMYDEV_LIB_LOOP_H */
