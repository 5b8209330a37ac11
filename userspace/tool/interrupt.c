// SPDX-License-Identifier: MIT
/*
 * SIGINT, SIGTERM and the end of a given time, for what copies in a loop: they
 * interrupt the call that blocks, and the loop looks what it was.
 */
#include <errno.h>
#include <signal.h>
#include <time.h>

#include "tool.h"

/* The first one counts. */
static volatile sig_atomic_t reason;
static timer_t timer;

/*
 * A signal can arrive between looking at @reason and entering a call that
 * blocks. So once it is set, the timer repeats until the call is interrupted.
 */
static const struct timespec nag = { .tv_nsec = 50 * 1000 * 1000 };

static void on_signal(int sig)
{
	struct itimerspec its = { .it_value = nag, .it_interval = nag };
	int saved = errno;

	if (!reason) {
		reason = sig == SIGALRM ? INTERRUPT_SECONDS : INTERRUPT_SIGNAL;
		timer_settime(timer, 0, &its, NULL);
	}
	errno = saved;
}

int interrupt_begin(double seconds)
{
	/* No SA_RESTART: a blocked call has to come back. */
	struct sigaction sa = { .sa_handler = on_signal };
	struct itimerspec its = { .it_interval = nag };
	struct sigaction old;

	/* The event a NULL stands for is SIGALRM. */
	if (timer_create(CLOCK_MONOTONIC, NULL, &timer))
		return -errno;
	if (sigaction(SIGALRM, &sa, NULL) || sigaction(SIGTERM, &sa, NULL) ||
	    sigaction(SIGINT, NULL, &old))
		return -errno;
	/* A shell's background job ignores SIGINT, and has to go on doing so. */
	if (old.sa_handler != SIG_IGN && sigaction(SIGINT, &sa, NULL))
		return -errno;
	its.it_value.tv_sec = (time_t)seconds;
	its.it_value.tv_nsec = (long)((seconds - (time_t)seconds) * 1e9);
	if (timer_settime(timer, 0, &its, NULL))
		return -errno;
	return 0;
}

enum interrupt interrupted(void)
{
	return reason;
}

void interrupt_end(void)
{
	timer_delete(timer);
}
