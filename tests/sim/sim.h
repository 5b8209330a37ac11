/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The simulated device: one process and one epoll loop, besides which a second
 * thread only waits for the data stages of control requests.
 *
 *	mydev-sim.c	start and end, FunctionFS events, the loop
 *	sim_args.c	the command line
 *	sim_desc.c	what is written to ep0: descriptors and strings
 *	sim_in.c	the packet stream on the bulk IN endpoint
 *	sim_out.c	what the host sends on the bulk OUT endpoint
 *	sim_echo.c	the way of a message from OUT to IN
 *	sim_control.c	vendor and class requests on the control endpoint
 *	sim_ctl.c	the control socket, both ends
 *
 * There may be a second alternate setting with endpoints of its own. Linux
 * enables the endpoints of both whenever the host selects one, and does not say
 * which it was. So both are served all the time, each with its own stream, and
 * the host takes from those that it has selected.
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <libaio.h>
#include <linux/usb/ch9.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "verify.h"

#define SIM_UNLIMITED UINT64_MAX

/* Alternate settings: 0, and where --alternate asks for it, 1. */
#define SIM_ALTERNATES 2

struct sim;
struct sim_alt;

/* Every io_event carries a pointer to one of these, first in its slot. */
struct sim_request {
	struct iocb iocb;
	struct sim_alt *alt;
	bool is_in;
};

enum slot_state {
	SLOT_WAITING, /* to be submitted, for the first time or again */
	SLOT_QUEUED,  /* the kernel has it */
	SLOT_DONE,    /* the host has it */
};

enum in_content {
	IN_STREAM,
	IN_ECHO,
	IN_ECHO_END, /* the zero-length packet that ends it */
};

struct in_slot {
	struct sim_request req;
	unsigned char *buf;
	uint32_t room;
	uint32_t size; /* 0 is a zero-length packet, without a counter */
	enum in_content content;
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
	bool zlp_of_echo;    /* the one that is due ends an answer */
	uint32_t max_packet; /* wMaxPacketSize at the present speed */
	bool paused;

	/* rate limit: packets per second, 0 is as fast as possible */
	int rate_timer;
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
	uint32_t size; /* of the request */
	uint64_t order;
	bool queued;
};

enum out_verify { OUT_ANYTHING, OUT_STREAM, OUT_MESSAGES };

struct sim_out {
	bool present;
	int fd;
	struct out_slot *slots;
	unsigned int depth;
	unsigned int queued;
	uint32_t size;
	uint32_t max_packet; /* wMaxPacketSize at the present speed */
	uint64_t order;      /* of the next request */

	/* what is taken, and when */
	bool refuse;
	uint32_t slow_ms;
	double next_take; /* s; with slow_ms, when the next request may be queued */
	int slow_timer;

	/* stall */
	bool stall_armed; /* halt once stall_left more bytes have come */
	uint64_t stall_left;
	bool stall_always;
	bool halted; /* halted by us, and no request completed since */

	/* messages: what ends with a short or zero-length packet */
	enum out_verify verify;
	struct verifier v;
	uint64_t ended; /* packets that had ended when the message began */

	uint64_t transfers;
	uint64_t bytes;
	uint64_t messages;
	uint64_t zero_packets;
	uint64_t unended; /* packets that began inside a transfer of another */
	uint64_t halts;
};

/* A message that goes back to the host; longer ones are cut in pieces. */
#define ECHO_LONGEST SIM_MAX_PACKET
/* With as many or as much under way, no more is taken from the host. */
#define ECHO_MESSAGES 64
#define ECHO_BYTES    (1U << 20)

struct echo_message {
	unsigned char *buf;
	uint32_t room;
	uint32_t len;
	double due; /* s */
};

struct sim_echo {
	bool on;
	bool cut; /* the last one was too long, its rest is to come */
	struct echo_message ring[ECHO_MESSAGES];
	unsigned int head;
	unsigned int used; /* whole ones; the one behind them is being put together */
	uint64_t held;     /* bytes in all of them */
	uint64_t sent;
	uint64_t sent_bytes;
	uint64_t dropped;
};

struct sim_alt {
	struct sim *sim;
	struct sim_in in;
	struct sim_out out;
	struct sim_echo echo;
};

/* The largest data stage that the gadget side of Linux lets pass. */
#define SIM_CONTROL_MAX 4096U

enum control_state {
	CONTROL_IDLE,
	CONTROL_LATER, /* to be answered when the timer says so */
	CONTROL_BUSY,  /* the thread answers it */
};

struct sim_control {
	enum control_state state;
	struct usb_ctrlrequest setup;
	int timer;

	/* The thread; the job is its own from one write to work to one to done. */
	pthread_t thread;
	bool running;
	int work;
	int done;
	unsigned char data[SIM_CONTROL_MAX];
	size_t len;
	ssize_t result;
	int error;

	uint16_t mode;
	uint64_t requests;
	uint64_t bytes;
	uint64_t refused;
	uint64_t cancelled; /* by the host, before they were answered */
	uint64_t hurried;   /* answered before their time, see handle_ep0() */
	uint64_t errors;    /* of the pattern */
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
	int ep0_event; /* counts the events of ep0 */
	int ep0_looks; /* what is left to do for one that was not there */
	int epfd;
	int aio_event;
	int retry_timer;
	io_context_t aio;
	bool enabled; /* the host has chosen the configuration */
	bool backoff; /* a transfer failed; wait for retry_timer or ENABLE */
	bool quit;
	bool whole; /* requests to the device are this interface's */
	uint64_t enables;
	unsigned int alts;
	unsigned int active; /* the alternate setting that last moved data */
	struct sim_alt alt[SIM_ALTERNATES];
	struct sim_control control;
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
int sim_write_descriptors(const struct sim *s);

/* mydev-sim.c */
double sim_now(void);
void sim_set_timer(int fd, double first, double interval);
/* A transfer failed: hold still until ENABLE, or for a few milliseconds. */
void sim_back_off(struct sim *s);
/* For epoll; -1 where there is no @fd, too. */
int sim_watch(struct sim *s, int fd);
int sim_timer(void);
/* Takes the count out of an eventfd or timerfd; 0 where there was none. */
uint64_t sim_drain(int fd);
__attribute__((format(printf, 1, 2))) void sim_log(const char *fmt, ...);

/* sim_in.c */
int in_init(struct sim_alt *a, uint64_t seed);
void in_enable(struct sim_alt *a);
void in_disable(struct sim_alt *a);
void in_complete(struct sim_alt *a, struct sim_request *req, long res);
void in_pump(struct sim_alt *a);
void in_set_rate(struct sim_in *in, double rate);
const char *in_state(const struct sim_alt *a);
void in_free(struct sim_alt *a);

/* sim_out.c */
int out_init(struct sim_alt *a);
void out_enable(struct sim_alt *a);
void out_disable(struct sim_alt *a);
void out_complete(struct sim_alt *a, struct sim_request *req, long res);
void out_pump(struct sim_alt *a);
void out_verify(struct sim_out *out, enum out_verify what);
/* With @now, requests that the kernel has are taken back. */
void out_refuse(struct sim_alt *a, bool refuse, bool now);
void out_slow(struct sim_alt *a, uint32_t ms);
void out_stall(struct sim_alt *a, uint64_t after);
const char *out_state(const struct sim_alt *a);
void out_free(struct sim_alt *a);

/* sim_echo.c */
void echo_switch(struct sim_alt *a, bool on);
/* Part of a message has come; @end: its last one. */
void echo_take(struct sim_alt *a, const void *data, uint32_t len, bool end);
/* May one more request be queued on the OUT endpoint? */
bool echo_has_room(const struct sim_alt *a);
/* The oldest message that is due, to be freed by the caller; NULL: none. */
unsigned char *echo_give(struct sim_alt *a, uint32_t *len, uint32_t *room);
/* The message that is being put together will not be finished. */
void echo_break(struct sim_alt *a);
void echo_forget(struct sim_alt *a);

/* sim_control.c */
int control_init(struct sim *s);
void control_setup(struct sim *s, const struct usb_ctrlrequest *setup);
void control_cancelled(struct sim *s);
/* Answers now what was to be answered later. */
void control_answer(struct sim *s);
/* The thread has done its work. */
void control_done(struct sim *s);
void control_end(struct sim *s);

/* sim_ctl.c; -1 with a message printed */
int ctl_listen(struct sim *s, const char *path);
void ctl_accept(struct sim *s);
void ctl_serve(struct sim *s, unsigned int index);
int ctl_client(const char *path, int argc, char **argv);
/* "4096" or "64-4096"; NULL, or what is wrong with it */
const char *ctl_parse_size(const char *arg, uint32_t *min, uint32_t *max);
const char *ctl_parse_rate(const char *arg, double *rate);
const char *ctl_parse_count(const char *arg, uint64_t *count);
const char *ctl_parse_verify(const char *arg, enum out_verify *verify);

#endif /* TESTS_SIM_SIM_H */
