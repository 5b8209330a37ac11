// SPDX-License-Identifier: GPL-2.0-only
/* See fan.h. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fan.h"

static int fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	return 1;
}

/* Until the other end is closed. */
static void await_close(int fd)
{
	char byte;

	while (read(fd, &byte, 1) < 0 && errno == EINTR)
		;
}

/*
 * The end of a process takes time that is not to be measured, so it comes after
 * all have said that they are done.
 */
static int child(const struct fan_work *work, void *arg, unsigned int index, int ready, int gate,
		 int leave)
{
	int failed = work->prepare(arg, index);

	if (write(ready, failed ? "f" : "r", 1) != 1 || failed)
		return 1;
	await_close(gate);
	failed = work->run(arg);
	if (write(ready, failed ? "f" : "d", 1) != 1 || failed)
		return 1;
	await_close(leave);
	return 0;
}

/* A byte from each of them. */
static int collect(const struct fan *fan)
{
	unsigned int got = 0;

	while (got < fan->nr) {
		char bytes[FAN_MAX];
		ssize_t ret = read(fan->ready, bytes, fan->nr - got);

		if (!ret || (ret < 0 && errno != EINTR))
			return 1;
		if (ret > 0 && memchr(bytes, 'f', (size_t)ret))
			return 1;
		got += ret > 0 ? (unsigned int)ret : 0;
	}
	return 0;
}

int fan_start(struct fan *fan, unsigned int nr, const struct fan_work *work, void *arg)
{
	int ready[2], gate[2], leave[2];
	unsigned int i;

	if (pipe(ready))
		goto fail_ready;
	if (pipe(gate))
		goto fail_gate;
	if (pipe(leave))
		goto fail_leave;
	fan->nr = 0;
	fan->ready = ready[0];
	fan->gate = gate[1];
	fan->leave = leave[1];
	for (i = 0; i < nr; i++) {
		pid_t pid = fork();

		if (pid < 0) {
			fail("fork");
			break;
		}
		if (!pid) {
			close(gate[1]);
			close(leave[1]);
			_exit(child(work, arg, i, ready[1], gate[0], leave[0]));
		}
		fan->pids[fan->nr++] = pid;
	}
	close(ready[1]);
	close(gate[0]);
	close(leave[0]);
	fan->failed = i < nr || collect(fan);
	if (!fan->failed)
		return 0;
	fan_go(fan);
	fan_end(fan);
	return 1;

fail_leave:
	close(gate[0]);
	close(gate[1]);
fail_gate:
	close(ready[0]);
	close(ready[1]);
fail_ready:
	return fail("pipe");
}

void fan_go(struct fan *fan)
{
	close(fan->gate);
}

int fan_wait(struct fan *fan)
{
	fan->failed = collect(fan);
	return fan->failed;
}

void fan_end(struct fan *fan)
{
	unsigned int i;

	close(fan->leave);
	close(fan->ready);
	/* Those that have not come to their end will not, where one has failed. */
	for (i = 0; fan->failed && i < fan->nr; i++)
		kill(fan->pids[i], SIGKILL);
	for (i = 0; i < fan->nr; i++)
		waitpid(fan->pids[i], NULL, 0);
}

int fan_run(unsigned int nr, const struct fan_work *work, void *arg, struct measure *m)
{
	struct fan fan;
	int ret;

	if (fan_start(&fan, nr, work, arg))
		return 1;
	measure_begin(m);
	fan_go(&fan);
	ret = fan_wait(&fan);
	m->end = measure_now();
	fan_end(&fan);
	return ret;
}
