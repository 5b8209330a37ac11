/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tests whose device is a peer of their own (sim/peer.h). They are started by
 * tests/sh/with-peer.sh, and before each of them nothing is plugged in.
 */
#ifndef TESTS_C_PLUG_H
#define TESTS_C_PLUG_H

#include "helpers.h"
#include "sim/peer.h"

#define run_peer_promises(_tests) \
	(tests_begin(), cmocka_run_group_tests(_tests, NULL, peer_tests_end))

int fresh_peer(void **state);
int peer_tests_end(void **state);

/* Plugs it in, one at a time; NULL for a device as peer.h has it by default. */
struct peer *plug_only(const struct peer_device *d);
/* The same, and there is a node. */
struct peer *plug_peer(const struct peer_device *d);
/* Pulls it out; the node is gone then, what was open can be closed. */
void unplug_peer(void);

/* As many transfers as the ring has are in flight, and the peer has them. */
void await_ring(struct peer *p, int fd);

#endif /* TESTS_C_PLUG_H */
