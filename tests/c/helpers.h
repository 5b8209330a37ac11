/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests in C share. They are started by tests/sh/with-sim.sh, which
 * plugs in a simulated device and says in the environment where it is; or by
 * tests/sh/with-peer.sh, and plug in their own (plug.h).
 *
 * With TEST_FILTER in the environment, only those promises are tested which that
 * pattern matches.
 *
 * Before each test, fresh() brings everything to the same state: one device,
 * plugged in and quiet, nobody has it open, all that it had to send was read.
 * A test then says with feed() how many packets the device shall send.
 *
 * Sizes: a transfer ends with a packet shorter than wMaxPacketSize or when it
 * is full. So that one packet of the simulated device is one packet of the
 * driver, tests use sizes below 32 KiB that are no multiple of 1024; or, where
 * some of a range are, tests/suites starts the device with --zlp-terminate.
 */
#ifndef TESTS_C_HELPERS_H
#define TESTS_C_HELPERS_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <linux/mydev.h>

#include "promise.h"
#include "sim/verify.h"

/* What fail() and fail_msg() end in; cmocka does not say that it ends there. */
void _fail(const char *const file, const int line) __attribute__((noreturn));

/* All tests of a program, as an initialised array. */
#define run_promises(_tests) (tests_begin(), cmocka_run_group_tests(_tests, NULL, tests_end))

void tests_begin(void);
int tests_end(void **state);
int fresh(void **state);

/* For the rest of this test: it has failed if it takes longer than this. */
#define TEST_SECONDS 100
void deadline(unsigned int seconds);

double now(void);
void nap(void); /* between two looks at something that sends no event */

/*
 * Waits until @cond holds; where no event tells so. When the time is up it may
 * be the whole machine that has stood still, so some more looks are due then.
 */
#define await_within(_seconds, _cond) \
	do { \
		double _end = now() + (_seconds); \
		int _looks = 0; \
\
		while (!(_cond)) { \
			if (now() > _end && _looks++ > 50) \
				fail_msg("not within %g s: %s", (double)(_seconds), #_cond); \
			nap(); \
		} \
	} while (0)
#define await(_cond) await_within(20, _cond)

/* For what must not happen, and of which no event tells that it did not. */
#define assert_stays(_cond) \
	do { \
		double _end = now() + 0.1; \
\
		do { \
			assert_true(_cond); \
			nap(); \
		} while (now() < _end); \
	} while (0)

/*
 * For promises of a time, which a machine that stands still for a while cannot
 * keep: @fn says whether it held. It has to once. @fresh_fn is what each further try
 * begins with, NULL for nothing.
 */
void holds_once(bool (*fn)(void **state), int (*fresh_fn)(void **state), void **state);

/* The system call fails with just this errno. */
#define assert_errno(_call, _errno) \
	do { \
		errno = 0; \
		assert_int_equal((_call), -1); \
		if (errno != (_errno)) \
			fail_msg("%s: %s instead of %s", #_call, strerror(errno), #_errno); \
	} while (0)

/* The device node, and how it looks from there. */
extern const char *node;
int node_open(int flags);
struct mydev_info info_of(int fd);
struct mydev_stats stats_of(int fd);
/* Of a file of /sys/class/mydev/mydevN; in words, without the newline. */
const char *sysfs(const char *attribute);
uint64_t sysfs_number(const char *attribute);
bool state_is(const char *state);
void fdinfo(int fd, char *text, size_t size);
/* Are packets + bytes = read + lost + queued, for this descriptor? */
bool identity_holds(const struct mydev_stats *s);

/* What the driver has to say, from now on. */
int log_open(void);
/* How many lines it has said with @text in them, since that or the last look. */
int log_lines(int fd, const char *text);

/* The simulated device. */
void sim_do(const char *format, ...) __attribute__((format(printf, 1, 2)));
/*
 * Of its statistics, "alt1 ..." of its alternate setting 1; the text holds
 * until the next call.
 */
const char *sim_text(const char *key);
uint64_t sim_number(const char *key);
bool sim_is(const char *state);
/* Sends @count more packets of @size ("1000", "100-3000"). */
void feed(uint64_t count, const char *size);
/* Sends until it is told otherwise. */
void feed_forever(const char *size);
/* Counter of the packet that the device will send next, once it is quiet. */
uint64_t next_counter(void);

void unplug(void);
void plug(void);
/* Of the device that is there now: its slow readers may be slow. */
void never_evict(void);
/*
 * How a call has ended that was under way when the plug was pulled: a device
 * that leaves is silent first (EIO), and a hub that is late in telling makes
 * that the error. Fails for any other; true if it was ENODEV.
 */
bool ended_by_unplug(int error);

/* A verifier that wants the packet @first first. */
void verify_from(struct verifier *v, uint64_t first);

/*
 * Reads, at most @chunk bytes at a time, until @packets more packets are
 * whole; returns NULL, or what is wrong. A chunk of 0 is one of many odd sizes
 * each time.
 */
const char *read_packets(int fd, struct verifier *v, uint64_t packets, size_t chunk);
/*
 * Reads all there is to a descriptor, until read() fails; returns its errno. A
 * device that seems to have failed may turn out to be gone, which is waited for.
 */
int read_to_end(int fd, struct verifier *v);
/* The same in a test. */
void take_packets(int fd, struct verifier *v, uint64_t packets, size_t chunk);
/* Ends the stream and reads what is left of it. */
void take_rest(int fd, struct verifier *v);

void pipe_open(int ends[2]);
/* Whole pages, zeroed; the shared ones are one with those of spawned processes. */
void *private_memory(size_t size);
void *shared_memory(size_t size);

/*
 * A process that runs @fn; its status is what @fn returns. It must not use
 * assertions of cmocka. fresh() kills those that are left.
 */
pid_t spawn(int (*fn)(void *arg), void *arg);
void end_children(void);
/* "At once", where processors are emulated and may stand still for seconds (s). */
#define PROMPT 10
/* Its status, or 128 + signal. Fails when it does not end in time. */
int reap(pid_t pid, double seconds);
/* Waits until it sleeps in the kernel. */
void await_sleeping(pid_t pid);

#endif /* TESTS_C_HELPERS_H */
