// SPDX-License-Identifier: GPL-2.0-only
/*
 * The way of a message from the OUT endpoint back to the IN endpoint: a ring
 * of whole messages, and behind them the one that is being put together.
 *
 * What is held is bounded: the OUT endpoint gets no more requests while the
 * host does not fetch its answers.
 */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

/* One place stays free for the message that is being put together. */
#define MOST (ECHO_MESSAGES - 1)

static struct echo_message *at(struct sim_echo *e, unsigned int i)
{
	return &e->ring[(e->head + i) % ECHO_MESSAGES];
}

bool echo_has_room(const struct sim_alt *a)
{
	const struct sim_echo *e = &a->echo;
	uint64_t held = e->held + (uint64_t)a->out.queued * a->out.size;

	if (!e->on)
		return true;
	/* Nothing is under way: whatever its size, one message must get through. */
	if (!e->used && !a->out.queued)
		return true;
	return e->used + a->out.queued < MOST && held + a->out.size <= ECHO_BYTES;
}

static void append(struct sim_echo *e, struct echo_message *m, const void *data, uint32_t len)
{
	uint32_t room = m->room ? m->room : 64;

	/* A multiple of 8, as the buffers of packets are. */
	while (room < m->len + len)
		room *= 2;
	if (room > m->room || !m->buf) {
		m->buf = realloc(m->buf, room);
		m->room = room;
	}
	if (!m->buf) {
		sim_log("no memory for a message of %u bytes", room);
		abort();
	}
	memcpy(m->buf + m->len, data, len);
	m->len += len;
	e->held += len;
}

void echo_take(struct sim_alt *a, const void *data, uint32_t len, bool end)
{
	struct sim_echo *e = &a->echo;
	struct echo_message *m = at(e, e->used);

	if (!e->on)
		return;
	/* The rest of one that was cut is no message of its own where it is empty. */
	if (e->cut && !m->len && !len) {
		e->cut = false;
		return;
	}
	append(e, m, data, len);
	if (!end && m->len < ECHO_LONGEST)
		return;
	e->cut = !end;
	/* Only where more was queued before the echo was switched on. */
	if (e->used == MOST) {
		e->held -= m->len;
		m->len = 0;
		e->dropped++;
		return;
	}
	m->due = a->out.slow_ms ? sim_now() + a->out.slow_ms / 1e3 : 0;
	e->used++;
	at(e, e->used)->len = 0;
}

void echo_break(struct sim_alt *a)
{
	struct sim_echo *e = &a->echo;
	struct echo_message *m = at(e, e->used);

	e->held -= m->len;
	m->len = 0;
	e->cut = false;
}

unsigned char *echo_give(struct sim_alt *a, uint32_t *len, uint32_t *room)
{
	struct sim_echo *e = &a->echo;
	struct echo_message *m = at(e, 0);
	unsigned char *buf = m->buf;
	double wait;

	if (!e->used)
		return NULL;
	if (m->due > 0 && a->out.slow_ms) {
		wait = m->due - sim_now();
		if (wait > 0) {
			sim_set_timer(a->out.slow_timer, wait, 0);
			return NULL;
		}
	}
	*len = m->len;
	*room = m->room;
	e->held -= m->len;
	*m = (struct echo_message){ .buf = NULL };
	e->head = (e->head + 1) % ECHO_MESSAGES;
	e->used--;
	return buf;
}

/* What a connection has left behind is nothing for the next one. */
void echo_forget(struct sim_alt *a)
{
	struct sim_echo *e = &a->echo;

	e->dropped += e->used + !!at(e, e->used)->len;
	for (unsigned int i = 0; i < ECHO_MESSAGES; i++) {
		free(e->ring[i].buf);
		e->ring[i] = (struct echo_message){ .buf = NULL };
	}
	e->used = 0;
	e->held = 0;
	e->cut = false;
}

void echo_switch(struct sim_alt *a, bool on)
{
	if (on == a->echo.on)
		return;
	a->echo.on = on;
	if (!on)
		echo_forget(a);
}
