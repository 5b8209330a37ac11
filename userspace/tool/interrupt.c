// SPDX-License-Identifier: MIT
/*
 * SIGINT, SIGTERM and the end of a given time. What copies in a loop has the call
 * that blocks interrupted, and looks what it was; what only waits lets them come
 * while it does.
 */
#include <errno.h>
#include <signal.h>
#include <time.h>

#include "tool.h"

/* The first one counts. */
static volatile sig_atomic_t reason;
static timer_t timer;
static bool timed;

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
		if (timed)
			timer_settime(timer, 0, &its, NULL);
	}
	errno = saved;
}

/* No SA_RESTART: a blocked call has to come back. */
static const struct sigaction catching = { .sa_handler = on_signal };

static int catch_signals(void)
{
	struct sigaction old;

	if (sigaction(SIGTERM, &catching, NULL) ||
	    sigaction(SIGINT, NULL, &old))
		return -errno;
	/* A shell's background job ignores SIGINT, and has to go on doing so. */
	if (old.sa_handler != SIG_IGN && sigaction(SIGINT, &catching, NULL))
		return -errno;
	return 0;
}

int interrupt_begin(double seconds)
{
	struct itimerspec its = { .it_interval = nag };
	int ret;

	/* The event a NULL stands for is SIGALRM. */
	if (timer_create(CLOCK_MONOTONIC, NULL, &timer))
		return -errno;
	timed = true;
	if (sigaction(SIGALRM, &catching, NULL))
		return -errno;
	ret = catch_signals();
	if (ret)
		return ret;
	its.it_value.tv_sec = (time_t)seconds;
	its.it_value.tv_nsec = (long)((seconds - (time_t)seconds) * 1e9);
	if (timer_settime(timer, 0, &its, NULL))
		return -errno;
	return 0;
}

int interrupt_block(sigset_t *waiting)
{
	sigset_t block;

	sigemptyset(&block);
	sigaddset(&block, SIGINT);
	sigaddset(&block, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &block, waiting))
		return -errno;
	sigdelset(waiting, SIGINT);
	sigdelset(waiting, SIGTERM);
	return catch_signals();
}

enum interrupt interrupted(void)
{
	return reason;
}

void interrupt_end(void)
{
	timer_delete(timer);
}
