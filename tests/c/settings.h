/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Settings of clients and of the device, for tests that change them.
 */
#ifndef TESTS_C_SETTINGS_H
#define TESTS_C_SETTINGS_H

#include "helpers.h"

int fresh_defaults(void **state);

/* The kernel under test, as tests/run calls it. */
bool lane_is(const char *name);
/* Every byte is emulated or checked here: tests that count do less. */
bool slow_lane(void);

struct mydev_config config_of(int fd);
/* 0 or an errno */
int try_config(int fd, struct mydev_config config);
/*
 * What is not named is 0, but for the queue's depth, which then stays:
 * configure(fd, .mode = MYDEV_MODE_PACKET, .queue_depth = 8)
 */
#define configure(_fd, ...) configure_as(_fd, (struct mydev_config){ __VA_ARGS__ })
void configure_as(int fd, struct mydev_config config);

struct mydev_geometry geometry_of(int fd);
/* 0 or an errno; @g comes back as the kernel left it */
int try_geometry(int fd, struct mydev_geometry *g);
void set_geometry(uint32_t transfers, uint32_t transfer_size, uint32_t buffers);

/* 0 or an errno */
int sysfs_write(const char *attribute, const char *value);
void set_block_timeout_ms(unsigned int ms);

/* Asks for data without taking any, so the client counts from now on. */
void ask(int fd);
void set_nonblock(int fd, bool nonblock);
void await_queued(int fd, uint64_t packets);
/* Until nobody's transfer is in flight because there is no room. */
void await_ring_stop(int fd);
/* Lets time pass, where the promise is that nothing happens meanwhile. */
void let_pass(double seconds);

/* The seed of this run, printed, so that a failure can be had again. */
uint64_t test_seed(void);
uint64_t random_next(uint64_t *state);

#endif /* TESTS_C_SETTINGS_H */
