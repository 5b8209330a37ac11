/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Messages to and from a peer (plug.h), and programs that read them in any mode. Byte for
 * byte, a message is known by its number.
 */
#ifndef TESTS_C_LISTENER_H
#define TESTS_C_LISTENER_H

#include "plug.h"
#include "records.h"
#include "rings.h"
#include "settings.h"

/* Byte @i of message @number. */
unsigned char byte_of(unsigned int number, size_t i);
void fill(unsigned char *to, unsigned int number, size_t length);
void check_bytes(const unsigned char *data, unsigned int number, size_t length);

/* The peer sends one, and takes one. */
void send_in(struct peer *p, unsigned int number, size_t length);
void take_out(struct peer *p, unsigned int number, size_t length);
/* One packet is one read, in stream mode as well. */
void take_in(int fd, unsigned int number, size_t length);
void write_out(int fd, unsigned int number, size_t length);

#define HEARD_MAX (4 << 20)

/* What a process has read, and how that ended. */
struct heard {
	_Alignas(8) unsigned char data[HEARD_MAX];
	volatile size_t bytes;
	volatile int error;
	volatile double when; /* of the error */
};

struct listener {
	int fd;
	unsigned int mode;
	struct heard *heard; /* where it is no ring */
	size_t at;           /* so much of it was looked at */
	struct rings ring;
	uint64_t sequence;
	uint64_t events;
};

/* From now on; whoever is no ring reads in a process of its own. */
void listen_to(struct listener *l, int fd, unsigned int mode);
/* Once more, behind the end. */
void listen_on(struct listener *l);
/* Message @number comes next, undamaged, and nothing was lost before it. */
void hears(struct listener *l, unsigned int number, size_t length);
/* An event comes next; in stream mode, none is told. */
void hears_event(struct listener *l, uint32_t event, int status);
void hears_error(struct listener *l, int status);
/* Nothing more, but maybe news of the error, and then the end. */
void hears_the_end(struct listener *l, int error);
void listener_close(struct listener *l);

/* The same promise by each mode, which its test is given. */
extern unsigned int mode_stream;
extern unsigned int mode_packet;
extern unsigned int mode_ring;
unsigned int mode_of(void **state);

#define PROMISE_MODE(_mode, _words, _fn) \
	{ #_mode " mode: " _words, _fn, fresh_peer, NULL, &mode_##_mode }

#endif /* TESTS_C_LISTENER_H */
