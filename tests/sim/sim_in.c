// SPDX-License-Identifier: GPL-2.0-only
/*
 * The packet stream on the bulk IN endpoint.
 *
 * Packets live in a ring of slots in the order of the stream. A packet counts
 * as delivered when its request completes. A request that fails (the host
 * unplugged, reset or changed the configuration) keeps its packet, which is
 * sent again once the endpoint is back: so the counters that reach the host
 * have no hole across a replug. Of the one packet that was on the wire at
 * that moment the old connection may have seen the first part.
 *
 * One thing no device can know: packets that the controller has taken into a
 * FIFO of its own count as delivered although the host may never fetch them.
 * (dummy_hcd does so with one packet of up to 64 bytes.)
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/usb/ch9.h>
#include <linux/usb/functionfs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "sim.h"

/* With a rate limit, the timer ticks at most this often (s). */
#define MIN_TICK 0.001

/* Between two tries to halt the endpoint (s); the kernel sends no event. */
#define HALT_RETRY 0.001

int in_init(struct sim_alt *a, uint64_t seed)
{
	struct sim_in *in = &a->in;

	in->slots = calloc(in->depth, sizeof(*in->slots));
	in->batch = calloc(in->depth, sizeof(*in->batch));
	in->rate_timer = sim_timer();
	if (!in->slots || !in->batch || sim_watch(a->sim, in->rate_timer))
		return -1;
	/* xorshift must not start at 0; neighbouring seeds shall differ a lot */
	in->random = sim_mix(seed + SIM_STEP) | 1;
	in->max_packet = 512;
	return 0;
}

void in_free(struct sim_alt *a)
{
	for (unsigned int i = 0; a->in.slots && i < a->in.depth; i++)
		free(a->in.slots[i].buf);
	free(a->in.slots);
	free(a->in.batch);
}

static struct in_slot *slot_at(struct sim_in *in, unsigned int i)
{
	return &in->slots[(in->head + i) % in->depth];
}

static void retire(struct sim_in *in)
{
	while (in->used && slot_at(in, 0)->state == SLOT_DONE) {
		in->head = (in->head + 1) % in->depth;
		in->used--;
	}
}

/* No answer outlives the connection on which it was asked for. */
static void drop_answers(struct sim_alt *a)
{
	struct sim_in *in = &a->in;

	for (unsigned int i = 0; i < in->used; i++) {
		struct in_slot *slot = slot_at(in, i);

		if (slot->content == IN_STREAM || slot->state != SLOT_WAITING)
			continue;
		slot->state = SLOT_DONE;
		a->echo.dropped += slot->content == IN_ECHO;
	}
	retire(in);
	if (in->zlp_of_echo)
		in->zlp_due = false;
	in->zlp_of_echo = false;
	echo_forget(a);
}

void in_enable(struct sim_alt *a)
{
	struct usb_endpoint_descriptor desc;

	if (a->in.present && !ioctl(a->in.fd, FUNCTIONFS_ENDPOINT_DESC, &desc))
		a->in.max_packet = le16toh(desc.wMaxPacketSize) & 0x7ff;
	a->in.halted = false;
	drop_answers(a);
}

void in_disable(struct sim_alt *a)
{
	/* A halt does not outlive the configuration. */
	a->in.stall_wanted = false;
	a->in.halted = false;
	drop_answers(a);
}

static uint32_t next_size(struct sim_in *in)
{
	uint64_t x = in->random;

	if (in->size_min == in->size_max)
		return in->size_min;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	in->random = x;
	return in->size_min + (x >> 16) % (in->size_max - in->size_min + 1);
}

void in_set_rate(struct sim_in *in, double rate)
{
	double tick = rate > 0 ? 1 / rate : 0;

	in->rate = rate;
	in->rate_start = sim_now();
	in->rate_sent = 0;
	if (rate > 0 && tick < MIN_TICK)
		tick = MIN_TICK;
	sim_set_timer(in->rate_timer, tick, tick);
}

/* Is it time for one more packet? */
static bool rate_allows(struct sim_in *in, double now)
{
	double due;

	if (in->rate <= 0)
		return true;
	due = (now - in->rate_start) * in->rate - in->rate_sent;
	/* Time in which the host did not read is not made up for in a burst. */
	if (due > in->depth) {
		in->rate_start = now - (double)in->depth / in->rate;
		in->rate_sent = 0;
	}
	return due >= 1;
}

/* An answer goes before the packets of the stream that are not made yet. */
static bool produce_echo(struct sim_alt *a, struct in_slot *slot)
{
	uint32_t len, room;
	unsigned char *buf = echo_give(a, &len, &room);

	if (!buf)
		return false;
	free(slot->buf);
	slot->buf = buf;
	slot->room = room;
	slot->size = len;
	slot->content = IN_ECHO;
	slot->state = SLOT_WAITING;
	a->in.used++;
	/* An empty one is a zero-length packet itself. */
	a->in.zlp_due = len && !(len % a->in.max_packet);
	a->in.zlp_of_echo = a->in.zlp_due;
	return true;
}

/* Adds the next packet of the stream to the ring; false if none is due. */
static bool produce(struct sim_alt *a, double now)
{
	struct sim_in *in = &a->in;
	struct in_slot *slot = slot_at(in, in->used);
	uint32_t size = 0;

	if (in->paused)
		return false;
	if (!in->zlp_due && produce_echo(a, slot))
		return true;
	slot->content = IN_STREAM;
	if (in->zlp_due) {
		in->zlp_due = false;
		if (in->zlp_of_echo)
			slot->content = IN_ECHO_END;
		in->zlp_of_echo = false;
	} else {
		if (!in->left || !rate_allows(in, now))
			return false;
		size = next_size(in);
	}
	/* The buffer of a slot grows to whatever size it is used for. */
	if (slot->room < size) {
		free(slot->buf);
		slot->room = (size + 7) & ~7U;
		slot->buf = malloc(slot->room);
		if (!slot->buf) {
			sim_log("no memory for a packet of %u bytes", size);
			abort();
		}
	}
	slot->size = size;
	slot->state = SLOT_WAITING;
	in->used++;
	if (!size)
		return true;
	sim_fill(slot->buf, size, in->counter++);
	in->rate_sent++;
	if (in->left != SIM_UNLIMITED)
		in->left--;
	in->zlp_due = (in->zlp_every && !(in->counter % in->zlp_every)) ||
		      (in->zlp_terminate && !(size % in->max_packet));
	return true;
}

/*
 * A read from an IN endpoint halts it; EBADMSG says that this was done. The
 * controller refuses (EAGAIN) while it still has something to send.
 */
static void try_halt(struct sim_alt *a)
{
	struct sim_in *in = &a->in;
	char byte;

	if (read(in->fd, &byte, 1) < 0 && errno == EBADMSG) {
		if (!in->halted)
			in->halts++;
		in->halted = true;
		in->stall_wanted = false;
	} else if (errno != EAGAIN) {
		sim_log("cannot halt the endpoint: %s", strerror(errno));
		in->stall_wanted = false;
	}
	if (in->stall_wanted || in->stall_always)
		sim_set_timer(a->sim->retry_timer, HALT_RETRY, 0);
}

static void submit_waiting(struct sim_alt *a)
{
	struct sim_in *in = &a->in;
	unsigned int n = 0;
	int done;

	for (unsigned int i = 0; i < in->used; i++) {
		struct in_slot *slot = slot_at(in, i);

		if (slot->state != SLOT_WAITING)
			continue;
		/*
		 * After a failure the first goes alone, until it is delivered:
		 * the kernel refuses while the endpoint is not enabled, and if
		 * that ended in the midst of many, the order would be lost.
		 */
		if (in->wary && (n || in->queued))
			break;
		io_prep_pwrite(&slot->req.iocb, in->fd, slot->buf, slot->size, 0);
		io_set_eventfd(&slot->req.iocb, a->sim->aio_event);
		slot->req.iocb.data = &slot->req;
		slot->req.alt = a;
		slot->req.is_in = true;
		in->batch[n++] = &slot->req.iocb;
	}
	if (!n)
		return;
	done = io_submit(a->sim->aio, n, in->batch);
	if (done < 0) {
		sim_log("io_submit: %s", strerror(-done));
		done = 0;
	}
	/* Those that were not taken keep their state and their turn. */
	for (int i = 0; i < done; i++)
		((struct in_slot *)in->batch[i]->data)->state = SLOT_QUEUED;
	in->queued += done;
	if ((unsigned int)done < n)
		sim_back_off(a->sim);
}

void in_pump(struct sim_alt *a)
{
	struct sim_in *in = &a->in;
	double now;

	if (!in->present || !a->sim->enabled || a->sim->backoff)
		return;
	/* Both a halt and sending again need the queue of the kernel empty. */
	if (in->stall_wanted || in->stall_always || in->failed) {
		if (in->queued)
			return;
		in->failed = false;
	}
	if (in->stall_wanted || in->stall_always) {
		try_halt(a);
		if (in->stall_wanted || in->stall_always)
			return;
	}
	now = in->rate > 0 ? sim_now() : 0;
	while (in->used < in->depth && produce(a, now))
		;
	if (in->used > in->queued)
		submit_waiting(a);
}

static void count_delivered(struct sim_alt *a, const struct in_slot *slot)
{
	if (!slot->size)
		a->in.zero_packets++;
	if (slot->content == IN_ECHO) {
		a->echo.sent++;
		a->echo.sent_bytes += slot->size;
	} else if (slot->content == IN_STREAM) {
		a->in.packets += !!slot->size;
		a->in.bytes += slot->size;
	}
}

void in_complete(struct sim_alt *a, struct sim_request *req, long res)
{
	struct in_slot *slot = (struct in_slot *)req;
	struct sim_in *in = &a->in;

	in->queued--;
	if (res == (long)slot->size) {
		a->sim->active = a - a->sim->alt;
		count_delivered(a, slot);
		slot->state = SLOT_DONE;
		in->halted = false;
		in->wary = false;
		retire(in);
		return;
	}
	/* Normal at an unplug; said aloud where it is something else. */
	if (res != -ESHUTDOWN && res != -ECONNRESET && res != -EAGAIN)
		sim_log("packet of %u bytes: result %ld", slot->size, res);
	slot->state = SLOT_WAITING;
	in->failed = true;
	in->wary = true;
	if (slot->content == IN_STREAM)
		in->resent++;
	else
		drop_answers(a);
	sim_back_off(a->sim);
}

const char *in_state(const struct sim_alt *a)
{
	const struct sim_in *in = &a->in;

	if (!a->sim->enabled)
		return "unplugged";
	if (!in->present)
		return "plugged";
	if (in->stall_wanted)
		return "stalling";
	if (in->halted)
		return "stalled";
	if (in->paused)
		return "paused";
	if (!in->left && !in->used && !in->zlp_due)
		return "quiet";
	return "streaming";
}
