/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The simulated device: one process, one thread, one epoll loop.
 *
 *	mydev-sim.c	start and end, FunctionFS events, the loop
 *	sim_args.c	the command line
 *	sim_desc.c	what is written to ep0: descriptors and strings
 *	sim_in.c	the packet stream on the bulk IN endpoint
 *	sim_out.c	what the host sends on the bulk OUT endpoint
 *	sim_ctl.c	the control socket, both ends
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <libaio.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "verify.h"

#define SIM_UNLIMITED UINT64_MAX

/* Every io_event carries a pointer to one of these, first in its slot. */
struct sim_request {
	struct iocb iocb;
	bool is_in;
};

enum slot_state {
	SLOT_WAITING, /* to be submitted, for the first time or again */
	SLOT_QUEUED,  /* the kernel has it */
	SLOT_DONE,    /* the host has it */
};

struct in_slot {
	struct sim_request req;
	unsigned char *buf;
	uint32_t room;
	uint32_t size; /* 0 is a zero-length packet, without a counter */
	enum slot_state state;
};

struct sim_in {
	bool present;
	int fd;
	struct in_slot *slots; /* a ring in the order of the stream */
	unsigned int depth;
	unsigned int head;
	unsigned int used;
	unsigned int queued; /* of the used ones, those that the kernel has */
	struct iocb **batch;
	bool failed; /* some must be submitted again, in order */
	bool wary;   /* none was delivered since one failed */

	/* what to send */
	uint64_t counter; /* of the next new packet */
	uint64_t left;    /* new packets still to send, or SIM_UNLIMITED */
	uint32_t size_min;
	uint32_t size_max;
	uint64_t random;
	uint64_t zlp_every; /* a zero-length packet after every Nth; 0: never */
	bool zlp_terminate; /* and after each multiple of the packet size */
	bool zlp_due;
	uint32_t max_packet; /* wMaxPacketSize at the present speed */
	bool paused;

	/* rate limit: packets per second, 0 is as fast as possible */
	double rate;
	double rate_start; /* s; when rate_sent was 0 */
	uint64_t rate_sent;

	/* stall */
	bool stall_wanted;
	bool stall_always;
	bool halted; /* halted by us, and no packet completed since */

	uint64_t packets;
	uint64_t bytes;
	uint64_t zero_packets;
	uint64_t halts;
	uint64_t resent;
};

struct out_slot {
	struct sim_request req;
	unsigned char *buf;
	bool queued;
};

struct sim_out {
	bool present;
	int fd;
	struct out_slot *slots;
	unsigned int depth;
	uint32_t size;
	bool verify;
	struct verifier v;
	uint64_t transfers;
	uint64_t bytes;
};

#define SIM_CLIENTS 8
#define SIM_LINE    256

struct sim_ctl {
	int listen_fd;
	struct {
		int fd;
		size_t len;
		char line[SIM_LINE];
	} client[SIM_CLIENTS];
};

struct sim {
	const char *dir; /* where the functionfs instance is mounted */
	int ep0;
	int epfd;
	int aio_event;
	int rate_timer;
	int retry_timer;
	io_context_t aio;
	bool enabled; /* the host has chosen the configuration */
	bool backoff; /* a transfer failed; wait for retry_timer or ENABLE */
	bool quit;
	uint64_t enables;
	struct sim_in in;
	struct sim_out out;
	struct sim_ctl ctl;
};

struct sim_options {
	const char *socket;
	const char *ctl;
	const char *log;
	const char *pid_file;
	bool daemon;
	uint64_t seed;
	double rate;
	char **command; /* the words that are no options */
	int words;
};

/* sim_args.c: ends the process where the arguments are wrong */
void sim_parse_arguments(int argc, char **argv, struct sim *s, struct sim_options *o);

/* sim_desc.c: describes the interface to FunctionFS; -1 with errno */
int sim_write_descriptors(int ep0, bool in, bool out);

/* mydev-sim.c */
double sim_now(void);
void sim_set_timer(int fd, double first, double interval);
/* A transfer failed: hold still until ENABLE, or for a few milliseconds. */
void sim_back_off(struct sim *s);
__attribute__((format(printf, 1, 2))) void sim_log(const char *fmt, ...);

/* sim_in.c */
int in_init(struct sim *s, uint64_t seed);
void in_enable(struct sim *s);
void in_disable(struct sim *s);
void in_complete(struct sim *s, struct sim_request *req, long res);
void in_pump(struct sim *s);
void in_set_rate(struct sim *s, double rate);
const char *in_state(const struct sim *s);
void in_free(struct sim *s);

/* sim_out.c */
int out_init(struct sim *s);
void out_complete(struct sim *s, struct sim_request *req, long res);
void out_pump(struct sim *s);
void out_free(struct sim *s);

/* sim_ctl.c; -1 with a message printed */
int ctl_listen(struct sim *s, const char *path);
void ctl_accept(struct sim *s);
void ctl_serve(struct sim *s, unsigned int index);
int ctl_client(const char *path, int argc, char **argv);
/* "4096" or "64-4096"; NULL, or what is wrong with it */
const char *ctl_parse_size(const char *arg, uint32_t *min, uint32_t *max);
const char *ctl_parse_rate(const char *arg, double *rate);
const char *ctl_parse_count(const char *arg, uint64_t *count);

#endif /* TESTS_SIM_SIM_H */
