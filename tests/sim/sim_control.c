// SPDX-License-Identifier: GPL-2.0-only
/*
 * Vendor and class requests on the control endpoint; which ones there are is
 * said in pattern.h.
 *
 * FunctionFS hands a request over as an event. To answer it is to write or to
 * read what it asks for, with a system call that waits until the host has done
 * its part; a host that has given up, and sends no other request, lets it wait
 * for ever. So there is a thread that does nothing else.
 *
 * Which endpoint a request was for FunctionFS says only by the endpoint's number
 * among its files, so that all are answered alike.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "sim.h"

static void *answer_all(void *arg)
{
	struct sim *s = arg;
	struct sim_control *c = &s->control;
	uint64_t count;

	while (read(c->work, &count, sizeof(count)) == sizeof(count)) {
		/* With nothing to carry, no pointer, or it is not the status stage alone. */
		void *data = c->len ? c->data : NULL;

		if (c->setup.bRequestType & USB_DIR_IN)
			c->result = write(s->ep0, data, c->len);
		else
			c->result = read(s->ep0, data, c->len);
		c->error = errno;
		count = 1;
		if (write(c->done, &count, sizeof(count)) < 0)
			break;
	}
	return NULL;
}

int control_init(struct sim *s)
{
	struct sim_control *c = &s->control;

	c->timer = sim_timer();
	c->work = eventfd(0, EFD_CLOEXEC);
	c->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->work < 0 || sim_watch(s, c->timer) || sim_watch(s, c->done))
		return -1;
	c->running = !pthread_create(&c->thread, NULL, answer_all, s);
	return c->running ? 0 : -1;
}

/* It may wait for a host that never comes, so it ends with the process. */
void control_end(struct sim *s)
{
	if (s->control.running)
		pthread_detach(s->control.thread);
}

/* I/O in the wrong direction stalls the endpoint. */
static void refuse(struct sim *s)
{
	struct sim_control *c = &s->control;
	ssize_t ret;

	if (c->setup.bRequestType & USB_DIR_IN)
		ret = read(s->ep0, NULL, 0);
	else
		ret = write(s->ep0, NULL, 0);
	c->refused++;
	c->state = CONTROL_IDLE;
	/* EL2HLT says that it was stalled; EIDRM that the host gave it up. */
	if (ret >= 0 || (errno != EL2HLT && errno != EIDRM))
		sim_log("cannot refuse a control request: %s", strerror(errno));
}

void control_answer(struct sim *s)
{
	struct sim_control *c = &s->control;
	uint64_t count = 1;

	sim_set_timer(c->timer, 0, 0);
	c->state = CONTROL_BUSY;
	if (write(c->work, &count, sizeof(count)) < 0)
		sim_log("control: %s", strerror(errno));
}

void control_cancelled(struct sim *s)
{
	struct sim_control *c = &s->control;

	sim_set_timer(c->timer, 0, 0);
	c->state = CONTROL_IDLE;
	c->cancelled++;
}

static void put64(struct sim_control *c, uint64_t value)
{
	value = htole64(value);
	memcpy(c->data + c->len, &value, sizeof(value));
	c->len += sizeof(value);
}

/* As in struct sim_counters. */
static void put_counters(struct sim *s, uint16_t most)
{
	struct sim_control *c = &s->control;
	uint64_t bytes = 0, messages = 0, errors = c->errors;

	for (unsigned int i = 0; i < s->alts; i++) {
		const struct sim_out *out = &s->alt[i].out;

		bytes += out->bytes;
		messages += out->messages;
		errors += out->v.missing + out->v.repeated + out->v.reordered + out->v.damaged +
			  out->v.truncated;
	}
	c->len = 0;
	put64(c, bytes);
	put64(c, messages);
	put64(c, c->bytes);
	put64(c, errors);
	if (c->len > most)
		c->len = most;
}

static void set_mode(struct sim *s, uint16_t mode)
{
	s->control.mode = mode;
	for (unsigned int i = 0; i < s->alts; i++) {
		struct sim_alt *a = &s->alt[i];

		echo_switch(a, mode & SIM_MODE_ECHO);
		out_refuse(a, mode & SIM_MODE_REFUSE, true);
		a->in.paused = mode & SIM_MODE_PAUSE;
	}
}

/* The number of a request that there is, or 0. */
static unsigned int number(const struct usb_ctrlrequest *r)
{
	switch (r->bRequestType & USB_TYPE_MASK) {
	case USB_TYPE_VENDOR:
		return r->bRequest < SIM_REQ_CLASS ? r->bRequest : 0;
	case USB_TYPE_CLASS:
		return r->bRequest >= SIM_REQ_CLASS ? r->bRequest - SIM_REQ_CLASS : 0;
	default:
		return 0;
	}
}

/* Prepares the data stage; false: this request is refused. */
static bool understand(struct sim *s, unsigned int request, uint16_t value, uint16_t length)
{
	struct sim_control *c = &s->control;
	bool in = c->setup.bRequestType & USB_DIR_IN;

	c->len = length;
	if (length > SIM_CONTROL_MAX)
		return false;
	switch (request) {
	case SIM_REQ_SLOW:
		if (!in)
			return true;
		break;
	case SIM_REQ_READ:
		if (!in)
			return false;
		break;
	case SIM_REQ_WRITE:
		return !in;
	case SIM_REQ_COUNTERS:
		put_counters(s, length);
		return in;
	case SIM_REQ_MODE:
		if (in || length || value > (SIM_MODE_ECHO | SIM_MODE_REFUSE | SIM_MODE_PAUSE))
			return false;
		set_mode(s, value);
		return true;
	default: /* SIM_REQ_REFUSE, too */
		return false;
	}
	for (uint32_t i = 0; i < length; i++)
		c->data[i] = sim_control_byte(value, i);
	return true;
}

void control_setup(struct sim *s, const struct usb_ctrlrequest *setup)
{
	struct sim_control *c = &s->control;
	unsigned int request = number(setup);
	uint16_t value = le16toh(setup->wValue);

	c->setup = *setup;
	c->requests++;
	if (!understand(s, request, value, le16toh(setup->wLength))) {
		refuse(s);
	} else if (request == SIM_REQ_SLOW && value) {
		c->state = CONTROL_LATER;
		sim_set_timer(c->timer, value / 1e3, 0);
	} else {
		control_answer(s);
	}
}

void control_done(struct sim *s)
{
	struct sim_control *c = &s->control;
	uint16_t value = le16toh(c->setup.wValue);

	c->state = CONTROL_IDLE;
	if (c->result < 0) {
		/* EOVERFLOW is what dummy_hcd calls the next request. */
		if (c->error != EIDRM && c->error != ESHUTDOWN && c->error != EOVERFLOW &&
		    c->error != ECONNRESET)
			sim_log("control request 0x%02x: %s", c->setup.bRequest,
				strerror(c->error));
		c->cancelled++;
		return;
	}
	if (c->setup.bRequestType & USB_DIR_IN)
		return;
	c->bytes += c->result;
	for (ssize_t i = 0; i < c->result; i++) {
		if (c->data[i] == sim_control_byte(value, i))
			continue;
		if (!c->errors++)
			sim_log("control request: byte %zd is 0x%02x, expected 0x%02x", i,
				c->data[i], sim_control_byte(value, i));
		break;
	}
}
