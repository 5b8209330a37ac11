// SPDX-License-Identifier: GPL-2.0-only
/*
 * The protocol is that of Documentation/usb/usbip_protocol.rst, from where the
 * devices are exported (OP_REQ_IMPORT) on: the connection is handed to vhci-hcd
 * by its file "attach", so there is nobody who asks what is to be had.
 *
 * One lock for everything, also while something is sent: vhci-hcd reads and writes
 * in two threads, and the one does not wait for the other. It makes the end of a
 * transfer and the answer to its unlink one after the other.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "peer.h"

#define VHCI "/sys/devices/platform/vhci_hcd.0"

/* Of a port, in the file "status". */
#define PORT_FREE 4

#define CMD_SUBMIT 1
#define CMD_UNLINK 2
#define RET_SUBMIT 3
#define RET_UNLINK 4

/* All of it big endian on the wire, but for the setup packet. */
struct header {
	uint32_t command;
	uint32_t seqnum;
	uint32_t devid;
	uint32_t direction;
	uint32_t endpoint;
	union {
		struct {
			uint32_t flags;
			uint32_t length;
			uint32_t start_frame;
			uint32_t packets;
			uint32_t interval;
			struct usb_ctrlrequest setup;
		} submit;
		struct {
			uint32_t seqnum;
		} unlink;
		struct {
			uint32_t status;
			uint32_t actual;
			uint32_t start_frame;
			uint32_t packets;
			uint32_t errors;
		} ret;
		uint32_t room[7];
	};
};

_Static_assert(sizeof(struct header) == 48, "as the protocol has it");

/* A wish of the kernel that was not answered. */
struct unlink {
	TAILQ_ENTRY(unlink) list;
	uint32_t seqnum;
	uint32_t wanted; /* seqnum of the transfer */
};

struct peer {
	TAILQ_HEAD(peer_urbs, peer_urb) urbs;
	TAILQ_HEAD(unlinks, unlink) held;
	uint32_t submitted; /* number of the transfer that came last */
	struct peer_device device;
	char serial[64];
	unsigned int port;
	char path[128];
	pthread_t thread;
	bool running; /* there is a thread to join, and a connection */
	int socket;

	pthread_mutex_t lock;
	/* Something below has changed. */
	pthread_cond_t changed;
	bool hung_up;
	enum peer_unlinks unlinks;
	unsigned int counts[PEER_COUNTERS];
	int answers[PEER_MAX_REQUEST + 1];
	uint8_t configuration;
	uint8_t alternate;
};

static unsigned int plugged; /* so far */

__attribute__((format(printf, 1, 2))) static void complain(const char *format, ...)
{
	va_list ap;

	printf("# peer: ");
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static struct timespec time_limit(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += PEER_PATIENCE;
	return ts;
}

/* --- descriptors ---------------------------------------------------------- */

static bool is_super(const struct peer_device *d)
{
	return d->speed >= USB_SPEED_SUPER;
}

void peer_defaults(struct peer_device *d)
{
	uint16_t max_packet;

	if (!d->vid)
		d->vid = 0x1209;
	if (!d->pid)
		d->pid = 0x0001;
	if (!d->speed)
		d->speed = USB_SPEED_HIGH;
	if (d->settings)
		return;
	max_packet = is_super(d) ? 1024 : d->speed == USB_SPEED_HIGH ? 512 : 64;
	d->settings = 1;
	d->setting[0] = (struct peer_setting){
		.endpoints = 2,
		.endpoint = {
			{ PEER_IN, USB_ENDPOINT_XFER_BULK, max_packet, 0, false },
			{ PEER_OUT, USB_ENDPOINT_XFER_BULK, max_packet, 0, false },
		},
	};
}

static size_t add(uint8_t *to, const void *descriptor, size_t length)
{
	memcpy(to, descriptor, length);
	return length;
}

static size_t add_endpoint(uint8_t *to, const struct peer_endpoint *e, bool super)
{
	const struct usb_endpoint_descriptor endpoint = {
		.bLength = USB_DT_ENDPOINT_SIZE,
		.bDescriptorType = USB_DT_ENDPOINT,
		.bEndpointAddress = e->address,
		.bmAttributes = e->attributes,
		.wMaxPacketSize = htole16(e->max_packet),
		.bInterval = e->interval,
	};
	const struct usb_ss_ep_comp_descriptor companion = {
		.bLength = USB_DT_SS_EP_COMP_SIZE,
		.bDescriptorType = USB_DT_SS_ENDPOINT_COMP,
	};
	size_t n = add(to, &endpoint, USB_DT_ENDPOINT_SIZE);

	if (super && !e->lone)
		n += add(to + n, &companion, USB_DT_SS_EP_COMP_SIZE);
	return n;
}

size_t peer_make_config(const struct peer_device *d, uint8_t to[PEER_MAX_CONFIG])
{
	struct usb_config_descriptor config = {
		.bLength = USB_DT_CONFIG_SIZE,
		.bDescriptorType = USB_DT_CONFIG,
		.bNumInterfaces = 1,
		.bConfigurationValue = 1,
		.bmAttributes = USB_CONFIG_ATT_ONE | USB_CONFIG_ATT_SELFPOWER,
	};
	size_t n = USB_DT_CONFIG_SIZE;

	for (unsigned int i = 0; i < d->settings; i++) {
		const struct peer_setting *s = &d->setting[i];
		const struct usb_interface_descriptor interface = {
			.bLength = USB_DT_INTERFACE_SIZE,
			.bDescriptorType = USB_DT_INTERFACE,
			.bAlternateSetting = i,
			.bNumEndpoints = s->endpoints,
			.bInterfaceClass = USB_CLASS_VENDOR_SPEC,
		};

		n += add(to + n, &interface, USB_DT_INTERFACE_SIZE);
		for (unsigned int e = 0; e < s->endpoints; e++)
			n += add_endpoint(to + n, &s->endpoint[e], is_super(d));
	}
	config.wTotalLength = htole16(n);
	add(to, &config, USB_DT_CONFIG_SIZE);
	return n;
}

static size_t make_device(const struct peer_device *d, uint8_t *to)
{
	const struct usb_device_descriptor device = {
		.bLength = USB_DT_DEVICE_SIZE,
		.bDescriptorType = USB_DT_DEVICE,
		.bcdUSB = htole16(is_super(d) ? 0x0300 : 0x0200),
		.bMaxPacketSize0 = is_super(d) ? 9 : 64,
		.idVendor = htole16(d->vid),
		.idProduct = htole16(d->pid),
		.iManufacturer = 1,
		.iProduct = 2,
		.iSerialNumber = 3,
		.bNumConfigurations = 1,
	};

	return add(to, &device, USB_DT_DEVICE_SIZE);
}

static size_t make_bos(uint8_t *to)
{
	const struct usb_ext_cap_descriptor ext = {
		.bLength = USB_DT_USB_EXT_CAP_SIZE,
		.bDescriptorType = USB_DT_DEVICE_CAPABILITY,
		.bDevCapabilityType = USB_CAP_TYPE_EXT,
	};
	const struct usb_ss_cap_descriptor ss = {
		.bLength = USB_DT_USB_SS_CAP_SIZE,
		.bDescriptorType = USB_DT_DEVICE_CAPABILITY,
		.bDevCapabilityType = USB_SS_CAP_TYPE,
		.wSpeedSupported = htole16(USB_5GBPS_OPERATION),
		.bFunctionalitySupport = 3,
	};
	struct usb_bos_descriptor bos = {
		.bLength = USB_DT_BOS_SIZE,
		.bDescriptorType = USB_DT_BOS,
		.bNumDeviceCaps = 2,
	};
	size_t n = USB_DT_BOS_SIZE;

	n += add(to + n, &ext, USB_DT_USB_EXT_CAP_SIZE);
	n += add(to + n, &ss, USB_DT_USB_SS_CAP_SIZE);
	bos.wTotalLength = htole16(n);
	add(to, &bos, USB_DT_BOS_SIZE);
	return n;
}

static size_t make_string(const struct peer *p, unsigned int number, uint8_t *to)
{
	static const char *const texts[] = { "", "mydev test", "peer", "" };
	const char *text = number == 3 ? p->serial : texts[number % 4];
	size_t n = 2;

	if (number > 3)
		return 0;
	if (!number) {
		/* The languages: English. */
		to[n++] = 0x09;
		to[n++] = 0x04;
	}
	for (; *text && n < 254; text++) {
		to[n++] = *text;
		to[n++] = 0;
	}
	to[0] = n;
	to[1] = USB_DT_STRING;
	return n;
}

static size_t override(const struct peer_bytes *with, uint8_t *to)
{
	size_t n = with->length < PEER_MAX_CONFIG ? with->length : PEER_MAX_CONFIG;

	return add(to, with->bytes, n);
}

/* 0 where it has none. */
static size_t make_descriptor(const struct peer *p, uint16_t value, uint8_t *to)
{
	const struct peer_device *d = &p->device;

	switch (value >> 8) {
	case USB_DT_DEVICE:
		if (d->device_descriptor.bytes)
			return override(&d->device_descriptor, to);
		return make_device(d, to);
	case USB_DT_CONFIG:
		if (d->config_descriptor.bytes)
			return override(&d->config_descriptor, to);
		return value & 0xff ? 0 : peer_make_config(d, to);
	case USB_DT_STRING:
		return make_string(p, value & 0xff, to);
	case USB_DT_BOS:
		if (d->bos_descriptor.bytes)
			return override(&d->bos_descriptor, to);
		return is_super(d) ? make_bos(to) : 0;
	}
	return 0;
}

/* --- the connection ------------------------------------------------------- */

/* Context: the lock held. */
static void hang_up(struct peer *p)
{
	p->hung_up = true;
	shutdown(p->socket, SHUT_RDWR);
	pthread_cond_broadcast(&p->changed);
}

/* Context: the lock held. */
static bool send_all(struct peer *p, const void *data, size_t bytes)
{
	const char *at = data;

	while (bytes && !p->hung_up) {
		ssize_t n = send(p->socket, at, bytes, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			/* The kernel was faster, maybe for what it was told. */
			if (errno != EPIPE && errno != ECONNRESET)
				complain("cannot send: %s", strerror(errno));
			hang_up(p);
			break;
		}
		at += n;
		bytes -= n;
	}
	return !p->hung_up;
}

/* False at the end of the connection. */
static bool receive_all(struct peer *p, void *data, size_t bytes)
{
	char *at = data;

	while (bytes) {
		ssize_t n = recv(p->socket, at, bytes, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		bytes -= n;
	}
	return true;
}

static void free_urb(struct peer_urb *urb)
{
	free(urb->data);
	free(urb);
}

/* Context: the lock held. */
static bool answer_unlink(struct peer *p, uint32_t seqnum, uint32_t wanted)
{
	struct header reply = { .command = htonl(RET_UNLINK), .seqnum = htonl(seqnum) };
	struct peer_urb *urb;

	for (urb = TAILQ_FIRST(&p->urbs); urb; urb = TAILQ_NEXT(urb, list)) {
		if (urb->seqnum == wanted && !urb->cancelled)
			break;
	}
	if (urb) {
		reply.ret.status = htonl(-ECONNRESET);
		urb->cancelled = true;
		if (!urb->taken) {
			TAILQ_REMOVE(&p->urbs, urb, list);
			free_urb(urb);
		}
	}
	return send_all(p, &reply, sizeof(reply));
}

/*
 * vhci-hcd may want a transfer back before it has sent it. An answer now would have it
 * hang up at the answer to that.
 */
static bool has_come(const struct peer *p, uint32_t wanted)
{
	return (int32_t)(p->submitted - wanted) >= 0;
}

/* Context: the lock held. Those that wait for their transfer go on to do so. */
static void answer_held(struct peer *p)
{
	struct unlink *unlink, *next;

	for (unlink = TAILQ_FIRST(&p->held); unlink; unlink = next) {
		next = TAILQ_NEXT(unlink, list);
		if (!has_come(p, unlink->wanted))
			continue;
		TAILQ_REMOVE(&p->held, unlink, list);
		answer_unlink(p, unlink->seqnum, unlink->wanted);
		free(unlink);
	}
}

static void on_unlink(struct peer *p, const struct header *h)
{
	uint32_t seqnum = ntohl(h->seqnum), wanted = ntohl(h->unlink.seqnum);
	struct unlink *unlink;

	pthread_mutex_lock(&p->lock);
	p->counts[PEER_COUNT_UNLINKS]++;
	if (p->unlinks == PEER_UNLINKS_ANSWER && has_come(p, wanted)) {
		answer_unlink(p, seqnum, wanted);
	} else if (p->unlinks != PEER_UNLINKS_IGNORE) {
		unlink = calloc(1, sizeof(*unlink));
		if (!unlink)
			abort();
		unlink->seqnum = seqnum;
		unlink->wanted = wanted;
		TAILQ_INSERT_TAIL(&p->held, unlink, list);
	}
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

void peer_set_unlinks(struct peer *p, enum peer_unlinks unlinks)
{
	pthread_mutex_lock(&p->lock);
	p->unlinks = unlinks;
	if (unlinks == PEER_UNLINKS_ANSWER)
		answer_held(p);
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

bool peer_give(struct peer *p, struct peer_urb *urb, int32_t status, uint32_t actual,
	       const void *data, size_t bytes)
{
	struct header reply = {
		.command = htonl(RET_SUBMIT),
		.seqnum = htonl(urb->seqnum),
		.ret.status = htonl(status),
		.ret.actual = htonl(actual),
	};
	bool given;

	pthread_mutex_lock(&p->lock);
	TAILQ_REMOVE(&p->urbs, urb, list);
	given = !urb->cancelled && send_all(p, &reply, sizeof(reply)) && send_all(p, data, bytes);
	pthread_mutex_unlock(&p->lock);
	free_urb(urb);
	return given;
}

/* --- control transfers ---------------------------------------------------- */

static uint16_t value_of(const struct usb_ctrlrequest *setup)
{
	return le16toh(setup->wValue);
}

static void stall(struct peer *p, struct peer_urb *urb)
{
	peer_give(p, urb, -EPIPE, 0, NULL, 0);
}

static void reply_with(struct peer *p, struct peer_urb *urb, const void *data, size_t bytes)
{
	if (bytes > urb->length)
		bytes = urb->length;
	peer_give(p, urb, 0, bytes, data, bytes);
}

static void standard_in(struct peer *p, struct peer_urb *urb)
{
	uint8_t data[PEER_MAX_CONFIG] = "";
	size_t n = 0;

	switch (urb->setup.bRequest) {
	case USB_REQ_GET_DESCRIPTOR:
		n = make_descriptor(p, value_of(&urb->setup), data);
		break;
	case USB_REQ_GET_CONFIGURATION:
		data[n++] = p->configuration;
		break;
	case USB_REQ_GET_INTERFACE:
		data[n++] = p->alternate;
		break;
	case USB_REQ_GET_STATUS:
		n = 2;
		break;
	}
	if (n)
		reply_with(p, urb, data, n);
	else
		stall(p, urb);
}

static void standard_out(struct peer *p, struct peer_urb *urb)
{
	uint16_t value = value_of(&urb->setup);

	switch (urb->setup.bRequest) {
	case USB_REQ_SET_CONFIGURATION:
		p->configuration = value;
		p->alternate = 0;
		break;
	case USB_REQ_SET_INTERFACE:
		if (value >= p->device.settings) {
			stall(p, urb);
			return;
		}
		p->alternate = value;
		break;
	case USB_REQ_CLEAR_FEATURE:
	case USB_REQ_SET_FEATURE:
	case USB_REQ_SET_SEL:
	case USB_REQ_SET_ISOCH_DELAY:
		break;
	default:
		stall(p, urb);
		return;
	}
	peer_give(p, urb, 0, urb->length, NULL, 0);
}

/*
 * Before anybody answers it: who waits for the count can do that then. How it is to be
 * answered is what was said before it was counted.
 */
static int count_control(struct peer *p, const struct usb_ctrlrequest *setup)
{
	int answer;

	pthread_mutex_lock(&p->lock);
	answer = p->answers[setup->bRequest & PEER_MAX_REQUEST];
	p->counts[PEER_COUNT_CONTROL]++;
	if (setup->bRequestType == USB_RECIP_ENDPOINT && setup->bRequest == USB_REQ_CLEAR_FEATURE &&
	    value_of(setup) == USB_ENDPOINT_HALT)
		p->counts[PEER_COUNT_CLEAR_HALT]++;
	if (setup->bRequestType == USB_RECIP_INTERFACE && setup->bRequest == USB_REQ_SET_INTERFACE)
		p->counts[PEER_COUNT_SET_INTERFACE]++;
	if (setup->bRequestType == USB_RECIP_DEVICE && setup->bRequest == USB_REQ_SET_CONFIGURATION)
		p->counts[PEER_COUNT_SET_CONFIGURATION]++;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	return answer;
}

void peer_set_answer(struct peer *p, uint8_t request, int answer)
{
	pthread_mutex_lock(&p->lock);
	p->answers[request & PEER_MAX_REQUEST] = answer;
	pthread_mutex_unlock(&p->lock);
}

/* With half of an answer, or nothing. */
static void vanish(struct peer *p, const struct peer_urb *urb, bool amid)
{
	struct header reply = {
		.command = htonl(RET_SUBMIT),
		.seqnum = htonl(urb->seqnum),
	};

	pthread_mutex_lock(&p->lock);
	if (amid)
		send_all(p, &reply, sizeof(reply) / 2);
	hang_up(p);
	pthread_mutex_unlock(&p->lock);
}

static void on_standard(struct peer *p, struct peer_urb *urb, int answer)
{
	switch (answer) {
	case PEER_ANSWERS:
	case PEER_VANISHES_AFTER:
		if (urb->in)
			standard_in(p, urb);
		else
			standard_out(p, urb);
		if (answer != PEER_ANSWERS) {
			pthread_mutex_lock(&p->lock);
			hang_up(p);
			pthread_mutex_unlock(&p->lock);
		}
		break;
	case PEER_IS_SILENT:
		break;
	case PEER_VANISHES:
	case PEER_VANISHES_AMID:
		vanish(p, urb, answer == PEER_VANISHES_AMID);
		break;
	default:
		peer_give(p, urb, answer, 0, NULL, 0);
	}
}

static void on_control(struct peer *p, struct peer_urb *urb)
{
	int answer = count_control(p, &urb->setup);

	if (p->device.control && p->device.control(p, urb))
		return;
	if ((urb->setup.bRequestType & USB_TYPE_MASK) == USB_TYPE_STANDARD)
		on_standard(p, urb, answer);
	else
		stall(p, urb);
}

/* --- transfers ------------------------------------------------------------ */

/* False at the end of the connection, or where it does not make sense. */
static bool on_submit(struct peer *p, const struct header *h)
{
	struct peer_urb *urb = calloc(1, sizeof(*urb));
	uint32_t endpoint = ntohl(h->endpoint);

	if (!urb)
		abort();
	urb->seqnum = ntohl(h->seqnum);
	urb->in = ntohl(h->direction);
	urb->endpoint = endpoint | (urb->in ? USB_DIR_IN : 0);
	urb->flags = ntohl(h->submit.flags);
	urb->length = ntohl(h->submit.length);
	urb->setup = h->submit.setup;
	if (endpoint > USB_ENDPOINT_NUMBER_MASK || (int32_t)ntohl(h->submit.packets) > 0) {
		complain("a transfer of endpoint %u, %u isochronous packets", endpoint,
			 ntohl(h->submit.packets));
		free_urb(urb);
		return false;
	}
	if (!urb->in && urb->length) {
		urb->data = malloc(urb->length);
		if (!urb->data)
			abort();
		if (!receive_all(p, urb->data, urb->length)) {
			free_urb(urb);
			return false;
		}
	}
	pthread_mutex_lock(&p->lock);
	urb->taken = !endpoint;
	TAILQ_INSERT_TAIL(&p->urbs, urb, list);
	p->submitted = urb->seqnum;
	if (p->unlinks == PEER_UNLINKS_ANSWER)
		answer_held(p);
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	if (!endpoint)
		on_control(p, urb);
	return true;
}

/* The only one to read from the connection. */
static void *serve(void *arg)
{
	struct peer *p = arg;
	struct header h;
	bool good = true;

	while (good && receive_all(p, &h, sizeof(h))) {
		switch (ntohl(h.command)) {
		case CMD_SUBMIT:
			good = on_submit(p, &h);
			break;
		case CMD_UNLINK:
			on_unlink(p, &h);
			break;
		default:
			complain("a command %#x", ntohl(h.command));
			good = false;
		}
	}
	pthread_mutex_lock(&p->lock);
	hang_up(p);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* Context: the lock held. */
static struct peer_urb *first_waiting(struct peer *p, uint8_t endpoint)
{
	struct peer_urb *urb;

	for (urb = TAILQ_FIRST(&p->urbs); urb; urb = TAILQ_NEXT(urb, list)) {
		if (urb->endpoint == endpoint && !urb->taken)
			return urb;
	}
	return NULL;
}

struct peer_urb *peer_take_nowait(struct peer *p, uint8_t endpoint)
{
	struct peer_urb *urb;

	pthread_mutex_lock(&p->lock);
	urb = first_waiting(p, endpoint);
	if (urb)
		urb->taken = true;
	pthread_mutex_unlock(&p->lock);
	return urb;
}

/* Context: the lock held. False when the time is up, or nothing will change any more. */
static bool wait_change(struct peer *p, const struct timespec *limit)
{
	return !p->hung_up && !pthread_cond_timedwait(&p->changed, &p->lock, limit);
}

struct peer_urb *peer_take(struct peer *p, uint8_t endpoint)
{
	struct timespec limit = time_limit();
	struct peer_urb *urb;

	pthread_mutex_lock(&p->lock);
	while (!(urb = first_waiting(p, endpoint)) && wait_change(p, &limit))
		;
	if (urb)
		urb->taken = true;
	else
		complain("no transfer of endpoint %#04x%s", endpoint,
			 p->hung_up ? ", the kernel has hung up" : "");
	pthread_mutex_unlock(&p->lock);
	return urb;
}

/* Context: the lock held. */
static unsigned int count_waiting(struct peer *p, uint8_t endpoint)
{
	struct peer_urb *urb;
	unsigned int n = 0;

	for (urb = TAILQ_FIRST(&p->urbs); urb; urb = TAILQ_NEXT(urb, list))
		n += urb->endpoint == endpoint && !urb->taken;
	return n;
}

unsigned int peer_waiting(struct peer *p, uint8_t endpoint)
{
	unsigned int n;

	pthread_mutex_lock(&p->lock);
	n = count_waiting(p, endpoint);
	pthread_mutex_unlock(&p->lock);
	return n;
}

bool peer_await_waiting(struct peer *p, uint8_t endpoint, unsigned int count)
{
	struct timespec limit = time_limit();
	unsigned int n;

	pthread_mutex_lock(&p->lock);
	while ((n = count_waiting(p, endpoint)) < count && wait_change(p, &limit))
		;
	pthread_mutex_unlock(&p->lock);
	if (n < count)
		complain("%u transfers of endpoint %#04x, not %u", n, endpoint, count);
	return n >= count;
}

bool peer_cancelled(struct peer *p, const struct peer_urb *urb)
{
	bool cancelled;

	pthread_mutex_lock(&p->lock);
	cancelled = urb->cancelled;
	pthread_mutex_unlock(&p->lock);
	return cancelled;
}

bool peer_send(struct peer *p, uint8_t endpoint, const void *data, size_t bytes)
{
	struct peer_urb *urb;

	do {
		urb = peer_take(p, endpoint);
		if (!urb)
			return false;
		if (bytes > urb->length) {
			complain("%zu bytes do not fit a transfer of %u", bytes, urb->length);
			stall(p, urb);
			return false;
		}
		/* Taken back meanwhile: the next one. */
	} while (!peer_give(p, urb, 0, bytes, data, bytes) && !peer_hung_up(p));
	return !peer_hung_up(p);
}

ssize_t peer_receive(struct peer *p, uint8_t endpoint, void *buf, size_t bytes)
{
	struct peer_urb *urb;
	uint32_t length;

	do {
		urb = peer_take(p, endpoint);
		if (!urb)
			return -1;
		length = urb->length;
		if (length)
			memcpy(buf, urb->data, length < bytes ? length : bytes);
	} while (!peer_give(p, urb, 0, length, NULL, 0) && !peer_hung_up(p));
	return length;
}

unsigned int peer_count(struct peer *p, enum peer_counter counter)
{
	unsigned int n;

	pthread_mutex_lock(&p->lock);
	n = p->counts[counter];
	pthread_mutex_unlock(&p->lock);
	return n;
}

bool peer_await_count(struct peer *p, enum peer_counter counter, unsigned int count)
{
	struct timespec limit = time_limit();
	unsigned int n;

	pthread_mutex_lock(&p->lock);
	while ((n = p->counts[counter]) < count && wait_change(p, &limit))
		;
	pthread_mutex_unlock(&p->lock);
	if (n < count)
		complain("count %d is %u, not %u", counter, n, count);
	return n >= count;
}

const char *peer_path(const struct peer *p)
{
	return p->path;
}

void *peer_context(const struct peer *p)
{
	return p->device.context;
}

bool peer_hung_up(struct peer *p)
{
	bool hung_up;

	pthread_mutex_lock(&p->lock);
	hung_up = p->hung_up;
	pthread_mutex_unlock(&p->lock);
	return hung_up;
}

/* --- plugging in and out -------------------------------------------------- */

/* N of the bus that the ports of this kind are on; 0 if there is none. */
static unsigned int bus_number(bool super)
{
	unsigned int found = 0;
	glob_t buses;

	if (glob(VHCI "/usb[0-9]*/speed", 0, NULL, &buses))
		return 0;
	for (size_t i = 0; i < buses.gl_pathc; i++) {
		FILE *file = fopen(buses.gl_pathv[i], "re");
		unsigned int number, speed;

		if (!file)
			continue;
		if (fscanf(file, "%u", &speed) == 1 && (super ? speed >= 5000 : speed < 5000) &&
		    sscanf(buses.gl_pathv[i], VHCI "/usb%u/", &number) == 1)
			found = number;
		fclose(file);
	}
	globfree(&buses);
	return found;
}

/*
 * Looks at the ports of a kind: at the one with this number, or (-1) at the free
 * ones, whose devices are gone, too. Fills in where it is.
 */
static bool port_is_free(struct peer *p, int wanted)
{
	bool super = is_super(&p->device), found = false;
	unsigned int bus = bus_number(super), number, state, hub_port = 0;
	FILE *file = fopen(VHCI "/status", "re");
	char line[256], kind[3];

	while (file && !found && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%2s %u %u", kind, &number, &state) != 3 ||
		    strcmp(kind, super ? "ss" : "hs"))
			continue;
		/* As many of each kind as the hub has ports. */
		hub_port++;
		if (state != PORT_FREE || (wanted >= 0 && number != (unsigned int)wanted))
			continue;
		p->port = number;
		snprintf(p->path, sizeof(p->path), VHCI "/usb%u/%u-%u", bus, bus, hub_port);
		found = access(p->path, F_OK);
	}
	if (file)
		fclose(file);
	return found;
}

static bool attach(struct peer *p, int theirs)
{
	int fd = open(VHCI "/attach", O_WRONLY | O_CLOEXEC), n;
	char text[64];
	bool good;

	n = snprintf(text, sizeof(text), "%u %d %u %u", p->port, theirs, 1U, p->device.speed);
	good = fd >= 0 && write(fd, text, n) == n;
	if (!good)
		complain("cannot attach, with \"%s\": %s", text, strerror(errno));
	if (fd >= 0)
		close(fd);
	return good;
}

static struct peer *new_peer(const struct peer_device *d)
{
	struct peer *p = calloc(1, sizeof(*p));
	pthread_condattr_t attr;

	if (!p)
		abort();
	p->device = *d;
	peer_defaults(&p->device);
	snprintf(p->serial, sizeof(p->serial), "peer%u", ++plugged);
	if (d->serial)
		snprintf(p->serial, sizeof(p->serial), "%s", d->serial);
	TAILQ_INIT(&p->urbs);
	TAILQ_INIT(&p->held);
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->changed, &attr);
	pthread_condattr_destroy(&attr);
	return p;
}

struct peer *peer_plug(const struct peer_device *d)
{
	struct peer *p = new_peer(d);
	int ends[2], error;

	if (!port_is_free(p, -1)) {
		complain("no free port; is vhci-hcd loaded?");
		goto fail;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) {
		complain("socketpair: %s", strerror(errno));
		goto fail;
	}
	p->socket = ends[0];
	error = pthread_create(&p->thread, NULL, serve, p);
	if (error) {
		complain("pthread_create: %s", strerror(error));
		close(ends[0]);
		close(ends[1]);
		goto fail;
	}
	p->running = true;
	if (attach(p, ends[1])) {
		/* The kernel has its own hold on it. */
		close(ends[1]);
		return p;
	}
	close(ends[1]);
fail:
	peer_free(p);
	return NULL;
}

bool peer_unplug(struct peer *p)
{
	struct timespec nap = { .tv_nsec = 2000000 };
	double end = seconds() + PEER_PATIENCE;

	if (!p->running)
		return true;
	/* A process that was forked off may have it as well, so it is not just closed. */
	pthread_mutex_lock(&p->lock);
	hang_up(p);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	close(p->socket);
	p->running = false;
	while (!port_is_free(p, p->port)) {
		if (seconds() > end) {
			complain("port %u is not free after %d s; %s is %s", p->port, PEER_PATIENCE,
				 p->path, access(p->path, F_OK) ? "gone" : "still there");
			return false;
		}
		nanosleep(&nap, NULL);
	}
	return true;
}

void peer_free(struct peer *p)
{
	struct unlink *unlink, *unlink_next;
	struct peer_urb *urb, *urb_next;

	peer_unplug(p);
	for (urb = TAILQ_FIRST(&p->urbs); urb; urb = urb_next) {
		urb_next = TAILQ_NEXT(urb, list);
		free_urb(urb);
	}
	for (unlink = TAILQ_FIRST(&p->held); unlink; unlink = unlink_next) {
		unlink_next = TAILQ_NEXT(unlink, list);
		free(unlink);
	}
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
