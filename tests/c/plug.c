// SPDX-License-Identifier: GPL-2.0-only
#include "plug.h"

static struct peer *plugged_in;

/* Also where a test has failed in the middle of it. */
static void clean_up(void)
{
	/* Before the processes are ended: they may be waiting for these. */
	if (plugged_in)
		peer_set_unlinks(plugged_in, PEER_UNLINKS_ANSWER);
	end_children();
	if (plugged_in) {
		peer_free(plugged_in);
		plugged_in = NULL;
	}
	close_range(3, ~0U, 0);
}

int fresh_peer(void **state)
{
	(void)state;
	deadline(TEST_SECONDS);
	clean_up();
	await(access(node, F_OK));
	return 0;
}

int peer_tests_end(void **state)
{
	(void)state;
	clean_up();
	return 0;
}

struct peer *plug_only(const struct peer_device *d)
{
	static const struct peer_device by_default;

	assert_null(plugged_in);
	plugged_in = peer_plug(d ? d : &by_default);
	assert_non_null(plugged_in);
	return plugged_in;
}

struct peer *plug_peer(const struct peer_device *d)
{
	struct peer *p = plug_only(d);

	await(!access(node, R_OK | W_OK));
	never_evict();
	return p;
}

void unplug_peer(void)
{
	struct peer *p = plugged_in;

	assert_true(peer_unplug(p));
	assert_errno(access(node, F_OK), ENOENT);
	plugged_in = NULL;
	peer_free(p);
}

void await_ring(struct peer *p, int fd)
{
	unsigned int transfers = info_of(fd).transfers;

	await(peer_waiting(p, PEER_IN) == transfers && stats_of(fd).in_flight == transfers);
}
