/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Clients of libmydev in tests, by either way. tests/suites starts the simulated
 * device with --zlp-every 10.
 */
#ifndef TESTS_C_PACKETS_H
#define TESTS_C_PACKETS_H

#include <libmydev.h>

#include "settings.h"

/* As fresh_defaults(), and the clients of a test that has failed are closed. */
int fresh_clients(void **state);
extern unsigned int way_ring;
extern unsigned int way_copy;

#define WITH_RING(_words, _fn) { "ring: " _words, _fn, fresh_clients, NULL, &way_ring }
#define WITH_COPY(_words, _fn) { "copy: " _words, _fn, fresh_clients, NULL, &way_copy }

/* The flags for mydev_client_new() of a test by either way. */
unsigned int way_of(void **state);
bool way_is_ring(void **state);

struct mydev *device_open(int flags);
/* A client of this device, a client with a device of its own, and both closed. */
struct mydev_client *client_of(struct mydev *dev, unsigned int flags);
struct mydev_client *client_open_as(unsigned int flags);
struct mydev_client *client_open(void **state);
void client_close(struct mydev_client *client);

/* The next one, which comes in time. */
struct mydev_packet next(struct mydev_client *client);
struct mydev_stats stats_of_client(const struct mydev_client *client);
/* What the next packet has for a number. */
uint64_t packets_so_far(const struct mydev_client *client);
/* Packets without bytes among the @packets from counter @first on. */
uint64_t zeros_in(uint64_t first, uint64_t packets);

#endif /* TESTS_C_PACKETS_H */
