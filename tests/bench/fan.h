/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Several processes that do the same at once: they prepare themselves, begin
 * together, and say when they are done.
 */
#ifndef BENCH_FAN_H
#define BENCH_FAN_H

#include <sys/types.h>

#include "measure.h"

#define FAN_MAX 256

struct fan {
	unsigned int nr;
	pid_t pids[FAN_MAX];
	int ready; /* a byte from each that is prepared, or done */
	int gate;  /* closed when they may begin */
	int leave; /* closed when they may end */
	int failed;
};

/* What a process does; both return 0, or 1 after a message. */
struct fan_work {
	int (*prepare)(void *arg, unsigned int index);
	/* Has let go of what others might wait for when it returns. */
	int (*run)(void *arg);
};

/* Returns when all are prepared: 0, or 1 after a message. */
int fan_start(struct fan *fan, unsigned int nr, const struct fan_work *work, void *arg);

void fan_go(struct fan *fan);

/* Returns when all are done: 0, or 1 if one of them has failed. */
int fan_wait(struct fan *fan);

/* Lets them end; for both outcomes of the above. */
void fan_end(struct fan *fan);

/* All of that, and how long it took from the beginning to the last one's end. */
int fan_run(unsigned int nr, const struct fan_work *work, void *arg, struct measure *m);

#endif
