/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A USB device that is a thread of the test itself. It is the far end of a USB/IP
 * connection, made with the kernel's vhci-hcd (load that first), so it answers
 * each transfer with whatever the test wants it to: late, never, with any status,
 * and with a length that cannot be.
 *
 * Control transfers are answered by the thread, all others wait until the test
 * takes them. All functions can be called from any thread, but not from a process
 * that was forked off.
 *
 * What vhci-hcd makes of lies:
 *  - IN (control as well), more than the transfer has room for, up to 0x7fffffff:
 *    the transfer ends with -EPROTO and just that length, and vhci-hcd hangs up: an
 *    unplug. From 0x80000000 on the status is what was given, the connection stays,
 *    and there must be no payload.
 *  - OUT: any length is passed on.
 *  - Any status is passed on, but for a transfer that is being unlinked: the kernel
 *    puts its own there.
 *  - An answer to what it does not have in flight: it hangs up.
 *  - It may want a transfer back before it has sent it; the peer answers when it has
 *    that.
 *
 * It may lose a transfer that is unlinked at the moment when the connection ends,
 * and whoever waits for that waits for ever. So either close all descriptors of
 * the device and wait until nothing is in flight before peer_unplug(); or leave them
 * open and at rest, and close them when the node is gone.
 */
#ifndef TESTS_SIM_PEER_H
#define TESTS_SIM_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include <linux/usb/ch9.h>

/* What a device has that says nothing of its endpoints. */
#define PEER_IN  0x81
#define PEER_OUT 0x02

#define PEER_MAX_ENDPOINTS 30
#define PEER_MAX_SETTINGS  4

/* How long a function of this file waits for anything, in seconds. */
#define PEER_PATIENCE 20

struct peer;
struct peer_urb;

struct peer_endpoint {
	uint8_t address;
	uint8_t attributes; /* USB_ENDPOINT_XFER_* */
	uint16_t max_packet;
	uint8_t interval;
	bool lone; /* no companion descriptor, at super speed */
};

struct peer_setting {
	unsigned int endpoints; /* how many there are */
	struct peer_endpoint endpoint[PEER_MAX_ENDPOINTS];
};

/* Bytes that are sent instead of those that would be made, as they are. */
struct peer_bytes {
	const void *bytes;
	size_t length;
};

/*
 * What is 0 is: 1209:0001, high speed, one alternate setting with a bulk endpoint
 * for each direction, and a serial number that no other peer of this program has.
 */
struct peer_device {
	uint16_t vid;
	uint16_t pid;
	enum usb_device_speed speed;
	const char *serial;
	unsigned int settings; /* how many there are */
	struct peer_setting setting[PEER_MAX_SETTINGS];

	struct peer_bytes device_descriptor;
	struct peer_bytes config_descriptor;
	struct peer_bytes bos_descriptor;

	/*
	 * Sees each control transfer first, in the thread of the peer. Returns 0 to
	 * leave it to the peer, or 1: it has given it, or has kept it for later.
	 */
	int (*control)(struct peer *p, struct peer_urb *urb);
	void *context; /* for whoever needs it there, see peer_context() */
};

/* A transfer, as long as the kernel waits for it. */
struct peer_urb {
	TAILQ_ENTRY(peer_urb) list; /* the peer's own */
	uint32_t seqnum;
	uint8_t endpoint; /* address, with the direction; 0 or 0x80 is control */
	bool in;
	uint32_t flags;  /* USBIP_URB_* */
	uint32_t length; /* what the kernel has room for, or sends */
	struct usb_ctrlrequest setup;
	uint8_t *data; /* OUT: @length bytes */

	/* The peer's own. */
	bool taken;
	bool cancelled;
};

/* Plugs it in; NULL where that failed, after a line that says why. */
struct peer *peer_plug(const struct peer_device *d);
/*
 * Pulls it out, and waits until the kernel has no such device any more, and the
 * port is free. Also where the kernel has hung up; doing it twice is fine. False if
 * that does not come to its end.
 */
bool peer_unplug(struct peer *p);
/* Unplugs it where it is plugged in. Transfers that were taken go with it. */
void peer_free(struct peer *p);

/* Its directory in sysfs, which is there or not. */
const char *peer_path(const struct peer *p);
void *peer_context(const struct peer *p);
/* Has the kernel hung up? */
bool peer_hung_up(struct peer *p);

/*
 * The transfer of an endpoint (its address) that came first; waits until there is
 * one, NULL when the time is up. It has to be given; what is never given stays in
 * flight, unless the kernel takes it back.
 */
struct peer_urb *peer_take(struct peer *p, uint8_t endpoint);
struct peer_urb *peer_take_nowait(struct peer *p, uint8_t endpoint);
/* How many there are to be taken. */
unsigned int peer_waiting(struct peer *p, uint8_t endpoint);
/* Waits until there are so many; false when the time is up. */
bool peer_await_waiting(struct peer *p, uint8_t endpoint, unsigned int count);
/* Has the kernel taken this one back, which was taken? */
bool peer_cancelled(struct peer *p, const struct peer_urb *urb);

/*
 * Ends a transfer with just this status and length, and these @bytes behind that.
 * False if the kernel has taken it back, or hung up; @urb is freed in any case.
 */
bool peer_give(struct peer *p, struct peer_urb *urb, int32_t status, uint32_t actual,
	       const void *data, size_t bytes);
/* Takes an IN transfer and answers honestly; false, after a line, where it cannot. */
bool peer_send(struct peer *p, uint8_t endpoint, const void *data, size_t bytes);
/*
 * Takes an OUT transfer, says that it has all of it, and returns how many bytes there
 * were, @bytes of which at most are put into @buf; -1 where there was none.
 */
ssize_t peer_receive(struct peer *p, uint8_t endpoint, void *buf, size_t bytes);

/* What happens when the kernel wants a transfer back. */
enum peer_unlinks {
	PEER_UNLINKS_ANSWER, /* it gets it, and is told; also of those that were held */
	PEER_UNLINKS_HOLD,   /* that waits; the transfer can be given meanwhile */
	PEER_UNLINKS_IGNORE, /* the same, for ever */
};

void peer_set_unlinks(struct peer *p, enum peer_unlinks unlinks);

/* What becomes of a standard request; or the status that it is answered with, below 0. */
enum peer_answer {
	PEER_ANSWERS,
	PEER_IS_SILENT,
	PEER_VANISHES,       /* when it has the request: the connection ends */
	PEER_VANISHES_AMID,  /* when half of the answer is out */
	PEER_VANISHES_AFTER, /* when all of it is */
};

/* From now on, for requests with this bRequest; what @control takes is not asked. */
#define PEER_MAX_REQUEST 0x3f
void peer_set_answer(struct peer *p, uint8_t request, int answer);

enum peer_counter {
	PEER_COUNT_CLEAR_HALT,
	PEER_COUNT_SET_INTERFACE,
	PEER_COUNT_SET_CONFIGURATION,
	PEER_COUNT_UNLINKS,
	PEER_COUNT_CONTROL, /* of all kinds */
	PEER_COUNTERS,
};

/* How many of them have come, whoever has answered them. */
unsigned int peer_count(struct peer *p, enum peer_counter counter);
/* Waits until there are so many; false when the time is up. */
bool peer_await_count(struct peer *p, enum peer_counter counter, unsigned int count);

/*
 * Fills in what is 0, and makes the configuration descriptor, for those who want to
 * break it; returns its length.
 */
#define PEER_MAX_CONFIG 4096
void peer_defaults(struct peer_device *d);
size_t peer_make_config(const struct peer_device *d, uint8_t config[PEER_MAX_CONFIG]);

#endif /* TESTS_SIM_PEER_H */
