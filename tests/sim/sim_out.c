// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bulk OUT endpoint: reads whatever the host sends, counts it, and
 * verifies it as a packet stream where that was asked for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

int out_init(struct sim *s)
{
	struct sim_out *out = &s->out;

	verifier_init(&out->v);
	out->slots = calloc(out->depth, sizeof(*out->slots));
	if (!out->slots)
		return -1;
	for (unsigned int i = 0; i < out->depth; i++) {
		out->slots[i].buf = malloc(out->size);
		if (!out->slots[i].buf)
			return -1;
	}
	return 0;
}

void out_free(struct sim *s)
{
	for (unsigned int i = 0; s->out.slots && i < s->out.depth; i++)
		free(s->out.slots[i].buf);
	free(s->out.slots);
}

/*
 * Requests complete in the order in which they were queued, and each goes
 * back behind the others, so the bytes stay in order.
 */
void out_pump(struct sim *s)
{
	struct sim_out *out = &s->out;

	if (!out->present || !s->enabled || s->backoff)
		return;
	for (unsigned int i = 0; i < out->depth; i++) {
		struct out_slot *slot = &out->slots[i];
		struct iocb *iocb = &slot->req.iocb;
		int ret;

		if (slot->queued)
			continue;
		io_prep_pread(iocb, out->fd, slot->buf, out->size, 0);
		io_set_eventfd(iocb, s->aio_event);
		iocb->data = &slot->req;
		slot->req.is_in = false;
		ret = io_submit(s->aio, 1, &iocb);
		if (ret != 1) {
			sim_log("io_submit: %s", strerror(-ret));
			sim_back_off(s);
			return;
		}
		slot->queued = true;
	}
}

void out_complete(struct sim *s, struct sim_request *req, long res)
{
	struct out_slot *slot = (struct out_slot *)req;
	struct sim_out *out = &s->out;

	slot->queued = false;
	if (res < 0) {
		if (res != -ESHUTDOWN && res != -ECONNRESET && res != -EAGAIN)
			sim_log("bulk OUT: %s", strerror(-res));
		sim_back_off(s);
		return;
	}
	out->transfers++;
	out->bytes += res;
	if (out->verify && out->v.error == VERIFY_OK && !verifier_feed(&out->v, slot->buf, res))
		sim_log("bulk OUT: %s at byte %llu: %s", verify_kind_name(out->v.error),
			(unsigned long long)out->v.error_offset, out->v.error_text);
}
