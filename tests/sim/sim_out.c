// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bulk OUT endpoint: takes what the host sends, or does not take it, counts
 * it, verifies it where that was asked for, and hands it on as echo.
 *
 * What ends with a short or zero-length packet is a message. It may fill many
 * requests. A message that is a multiple of wMaxPacketSize and that the host
 * does not end with a zero-length packet has no end here, as in any device: the
 * request that holds it waits for more.
 *
 * A halt breaks the message that is under way: its first part is thrown away.
 */
#include <errno.h>
#include <linux/usb/functionfs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "sim.h"

/* Between two tries to halt the endpoint (s); the kernel sends no event. */
#define HALT_RETRY 0.001

int out_init(struct sim_alt *a)
{
	struct sim_out *out = &a->out;

	out_verify(out, out->verify);
	out->max_packet = 512;
	out->slow_timer = sim_timer();
	out->slots = calloc(out->depth, sizeof(*out->slots));
	if (!out->slots || sim_watch(a->sim, out->slow_timer))
		return -1;
	for (unsigned int i = 0; i < out->depth; i++) {
		out->slots[i].buf = malloc(out->size);
		if (!out->slots[i].buf)
			return -1;
	}
	return 0;
}

void out_free(struct sim_alt *a)
{
	for (unsigned int i = 0; a->out.slots && i < a->out.depth; i++)
		free(a->out.slots[i].buf);
	free(a->out.slots);
}

void out_verify(struct sim_out *out, enum out_verify what)
{
	out->verify = what;
	verifier_init(&out->v);
	out->ended = 0;
	/* A message that was lost before the first to arrive is missing, too. */
	out->v.by_writer = what == OUT_MESSAGES;
	out->v.have_next = what == OUT_MESSAGES;
}

/* What has come of a message is thrown away; the next byte begins one. */
static void message_broken(struct sim_alt *a)
{
	if (a->out.v.by_writer)
		verifier_forget(&a->out.v);
	echo_break(a);
}

void out_enable(struct sim_alt *a)
{
	struct usb_endpoint_descriptor desc;

	if (a->out.present && !ioctl(a->out.fd, FUNCTIONFS_ENDPOINT_DESC, &desc))
		a->out.max_packet = le16toh(desc.wMaxPacketSize) & 0x7ff;
	a->out.halted = false;
	message_broken(a);
}

void out_disable(struct sim_alt *a)
{
	/* A halt does not outlive the configuration, nor does half a message. */
	a->out.halted = false;
	message_broken(a);
}

/*
 * Takes requests back from the kernel, the youngest first. What the oldest has
 * taken of a message would be lost, so it stays where @keep_oldest says so; the
 * others are empty.
 */
static void take_back(struct sim_alt *a, bool keep_oldest)
{
	struct sim_out *out = &a->out;
	uint64_t before = UINT64_MAX;
	struct io_event event;

	for (unsigned int left = out->queued; left > keep_oldest; left--) {
		struct out_slot *youngest = NULL;

		for (unsigned int i = 0; i < out->depth; i++) {
			struct out_slot *slot = &out->slots[i];

			if (slot->queued && slot->order < before &&
			    (!youngest || slot->order > youngest->order))
				youngest = slot;
		}
		if (!youngest)
			break;
		before = youngest->order;
		/* The outcome is an event like any other. */
		io_cancel(a->sim->aio, &youngest->req.iocb, &event);
	}
}

void out_refuse(struct sim_alt *a, bool refuse, bool now)
{
	a->out.refuse = refuse;
	if (refuse && now)
		take_back(a, false);
}

void out_slow(struct sim_alt *a, uint32_t ms)
{
	a->out.slow_ms = ms;
	a->out.next_take = ms ? sim_now() + ms / 1e3 : 0;
	if (ms)
		take_back(a, true);
	/* Wakes up whatever waits for a time that no longer holds. */
	sim_set_timer(a->out.slow_timer, 1e-6, 0);
}

void out_stall(struct sim_alt *a, uint64_t after)
{
	a->out.stall_armed = true;
	a->out.stall_left = after;
	if (after)
		take_back(a, false);
}

/* A write to an OUT endpoint halts it; EBADMSG says that this was done. */
static void try_halt(struct sim_alt *a)
{
	struct sim_out *out = &a->out;

	if (write(out->fd, "", 1) < 0 && errno == EBADMSG) {
		if (!out->halted) {
			out->halts++;
			/* What has come of a message shall not stand before the next one. */
			if (out->queued)
				take_back(a, false);
			else
				message_broken(a);
		}
		out->halted = true;
		out->stall_armed = false;
	} else if (errno != EAGAIN) {
		sim_log("cannot halt the endpoint: %s", strerror(errno));
		out->stall_armed = false;
	}
	if (out->stall_armed || out->stall_always)
		sim_set_timer(a->sim->retry_timer, HALT_RETRY, 0);
}

/* How many requests may the kernel have now? */
static unsigned int depth_now(struct sim_alt *a)
{
	struct sim_out *out = &a->out;
	double wait;

	if (out->refuse)
		return 0;
	if (!out->slow_ms)
		return out->stall_armed ? 1 : out->depth;
	if (out->queued)
		return 0;
	wait = out->next_take - sim_now();
	if (wait <= 0)
		return 1;
	sim_set_timer(out->slow_timer, wait, 0);
	return 0;
}

static uint32_t size_now(const struct sim_out *out)
{
	/* Some controllers take only whole USB packets. */
	uint64_t left = (out->stall_left + 1023) & ~1023ULL;

	return out->stall_armed && left < out->size ? left : out->size;
}

static bool submit(struct sim_alt *a, struct out_slot *slot)
{
	struct sim_out *out = &a->out;
	struct iocb *iocb = &slot->req.iocb;
	int ret;

	slot->size = size_now(out);
	io_prep_pread(iocb, out->fd, slot->buf, slot->size, 0);
	io_set_eventfd(iocb, a->sim->aio_event);
	iocb->data = &slot->req;
	slot->req.alt = a;
	slot->req.is_in = false;
	ret = io_submit(a->sim->aio, 1, &iocb);
	if (ret != 1) {
		sim_log("io_submit: %s", strerror(-ret));
		sim_back_off(a->sim);
		return false;
	}
	slot->order = out->order++;
	slot->queued = true;
	out->queued++;
	return true;
}

/*
 * Requests complete in the order in which they were queued, and each goes
 * back behind the others, so the bytes stay in order.
 */
void out_pump(struct sim_alt *a)
{
	struct sim_out *out = &a->out;
	unsigned int depth;

	if (!out->present || !a->sim->enabled || a->sim->backoff)
		return;
	if (out->stall_always || (out->stall_armed && !out->stall_left))
		try_halt(a);
	depth = depth_now(a);
	for (unsigned int i = 0; i < out->depth; i++) {
		if (out->queued >= depth || !echo_has_room(a))
			return;
		if (!out->slots[i].queued && !submit(a, &out->slots[i]))
			return;
	}
}

static void verify(struct sim_out *out, const void *data, uint32_t len, bool end)
{
	struct verifier *v = &out->v;
	bool was_good = !v->error;
	uint64_t ended;

	if (out->verify == OUT_ANYTHING)
		return;
	verifier_feed(v, data, len);
	if (end && v->by_writer) {
		verifier_end_message(v);
		ended = v->packets + v->damaged;
		if (ended > out->ended + 1)
			out->unended += ended - out->ended - 1;
		out->ended = ended;
	}
	if (was_good && v->error)
		sim_log("bulk OUT: %s at byte %llu: %s", verify_kind_name(v->error),
			(unsigned long long)v->error_offset, v->error_text);
}

void out_complete(struct sim_alt *a, struct sim_request *req, long res)
{
	struct out_slot *slot = (struct out_slot *)req;
	struct sim_out *out = &a->out;
	bool end;

	slot->queued = false;
	out->queued--;
	if (res < 0) {
		/* ECONNRESET: taken back by ourselves; no reason to hold still. */
		if (res != -ESHUTDOWN && res != -ECONNRESET && res != -EAGAIN)
			sim_log("bulk OUT: %s", strerror(-res));
		if (res != -ECONNRESET)
			sim_back_off(a->sim);
		else if (out->halted)
			message_broken(a);
		return;
	}
	a->sim->active = a - a->sim->alt;
	end = res < slot->size;
	out->halted = false;
	out->transfers++;
	out->bytes += res;
	/* That ends inside a request, but not with a short packet: a zero-length one. */
	if (end && !(res % out->max_packet))
		out->zero_packets++;
	if (end)
		out->messages++;
	if (out->stall_armed)
		out->stall_left -= (uint64_t)res < out->stall_left ? (uint64_t)res
								   : out->stall_left;
	if (out->slow_ms)
		out->next_take = sim_now() + out->slow_ms / 1e3;
	verify(out, slot->buf, res, end);
	echo_take(a, slot->buf, res, end);
}

const char *out_state(const struct sim_alt *a)
{
	const struct sim_out *out = &a->out;

	if (!a->sim->enabled)
		return "unplugged";
	if (!out->present)
		return "none";
	if (out->halted)
		return "stalled";
	if (out->stall_armed)
		return "stalling";
	if (out->refuse)
		return "refusing";
	return echo_has_room(a) ? "receiving" : "full";
}
