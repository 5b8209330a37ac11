// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves a total of bytes from a bulk IN endpoint, or to a bulk OUT endpoint,
 * through libusb, as a good program does it: a number of asynchronous transfers
 * is always in flight, and each is submitted again from its own callback. The
 * bytes are counted, neither looked at nor made.
 *
 * In mode zerocopy the memory comes from libusb_dev_mem_alloc(): the kernel's
 * own, mapped into the program, so that usbfs need not copy.
 *
 * With --pipes it does what people do whose device several programs want to
 * read: it copies all that comes to a pipe for each of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libusb-1.0/libusb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fan.h"
#include "measure.h"

/* As much as an ordinary user can have in a pipe: fewer switches to and fro. */
#define PIPE_BYTES (1 << 20)
#define PIPE_READ  (1 << 16)

/* More in flight than usbfs would lend memory for. */
#define MAX_TRANSFERS 4096

struct mover {
	libusb_device_handle *handle;
	unsigned char direction; /* LIBUSB_ENDPOINT_IN or LIBUSB_ENDPOINT_OUT */
	unsigned char endpoint;
	struct libusb_transfer **transfers;
	unsigned int in_flight;
	uint64_t submitted; /* bytes that there was room for, or that were there */
	uint64_t total;
	struct measure measure;
	const char *error;
	unsigned int nr_pipes;
	int (*pipes)[2]; /* to the readers; the same in each of them */
	int reader;      /* in a reader: its end of its pipe */
	char *buf;       /* of a reader */
};

static int usage(FILE *to)
{
	fprintf(to, "Usage: usb-bulk [OPTION...] in|out async|zerocopy VVVV:PPPP TRANSFERS SIZE "
		    "TOTAL\n"
		    "Moves TOTAL bytes through the first bulk endpoint of that direction of\n"
		    "interface 0, with TRANSFERS transfers of SIZE bytes in flight.\n"
		    "  --bus N         look for the device on that bus\n"
		    "  --pipes N       copy what comes in to N processes\n"
		    "  --stamps FILE   write there when each of the transfers was seen\n");
	return to == stdout ? 0 : 2;
}

static int fail(const char *what, int error)
{
	fprintf(stderr, "usb-bulk: %s: %s\n", what, libusb_strerror(error));
	return 1;
}

static void submit(struct mover *mover, struct libusb_transfer *transfer)
{
	int ret;

	/* What goes out is as long as it is asked to be: no more than the total. */
	if (mover->direction == LIBUSB_ENDPOINT_OUT && mover->submitted >= mover->total)
		return;
	mover->submitted += (uint64_t)transfer->length;
	ret = libusb_submit_transfer(transfer);
	if (ret)
		mover->error = libusb_strerror(ret);
	else
		mover->in_flight++;
}

/* To every reader; the slowest decides how long it takes, as nothing may be lost. */
static int pass_on(struct mover *mover, const unsigned char *data, size_t size)
{
	unsigned int i;

	for (i = 0; i < mover->nr_pipes; i++) {
		size_t done = 0;

		while (done < size) {
			ssize_t ret = write(mover->pipes[i][1], data + done, size - done);

			if (ret < 0 && errno != EINTR)
				return -1;
			done += ret < 0 ? 0 : (size_t)ret;
		}
	}
	return 0;
}

static void LIBUSB_CALL complete(struct libusb_transfer *transfer)
{
	struct mover *mover = transfer->user_data;
	struct measure *m = &mover->measure;

	mover->in_flight--;
	if (m->bytes >= mover->total || mover->error)
		return;
	if (transfer->status != LIBUSB_TRANSFER_COMPLETED) {
		mover->error = "a transfer failed";
		return;
	}
	measure_count(m, (uint64_t)transfer->actual_length);
	if (pass_on(mover, transfer->buffer, (size_t)transfer->actual_length))
		mover->error = "a pipe failed";
	if (m->bytes >= mover->total)
		m->end = measure_now();
	else
		submit(mover, transfer);
}

static int find_endpoint(struct mover *mover)
{
	const struct libusb_interface_descriptor *alt;
	struct libusb_config_descriptor *config;
	int i, ret;

	ret = libusb_get_active_config_descriptor(libusb_get_device(mover->handle), &config);
	if (ret)
		return fail("configuration", ret);
	alt = &config->interface[0].altsetting[0];
	for (i = 0; i < alt->bNumEndpoints && !mover->endpoint; i++) {
		const struct libusb_endpoint_descriptor *ep = &alt->endpoint[i];

		if ((ep->bmAttributes & LIBUSB_TRANSFER_TYPE_MASK) == LIBUSB_TRANSFER_TYPE_BULK &&
		    (ep->bEndpointAddress & LIBUSB_ENDPOINT_DIR_MASK) == mover->direction)
			mover->endpoint = ep->bEndpointAddress;
	}
	libusb_free_config_descriptor(config);
	return mover->endpoint ? 0 : fail("bulk endpoint", LIBUSB_ERROR_NOT_FOUND);
}

static int prepare(struct mover *mover, bool zerocopy, unsigned int nr, int size)
{
	unsigned int i;

	mover->transfers = calloc(nr, sizeof(struct libusb_transfer *));
	if (!mover->transfers)
		return fail("transfers", LIBUSB_ERROR_NO_MEM);
	for (i = 0; i < nr; i++) {
		struct libusb_transfer *transfer = libusb_alloc_transfer(0);
		unsigned char *data;

		if (!transfer)
			return fail("a transfer", LIBUSB_ERROR_NO_MEM);
		mover->transfers[i] = transfer;
		data = zerocopy ? libusb_dev_mem_alloc(mover->handle, (size_t)size)
				: malloc((size_t)size);
		if (!data)
			return fail("memory of a transfer", LIBUSB_ERROR_NO_MEM);
		/* Now, not in the first transfers, which would be measured. */
		memset(data, 0, (size_t)size);
		libusb_fill_bulk_transfer(transfer, mover->handle, mover->endpoint, data, size,
					  complete, mover, 0);
	}
	return 0;
}

static int run(struct mover *mover, unsigned int nr)
{
	bool ending = false;
	unsigned int i;

	measure_begin(&mover->measure);
	for (i = 0; i < nr && !mover->error; i++)
		submit(mover, mover->transfers[i]);
	while (mover->in_flight) {
		int ret = libusb_handle_events(NULL);

		if (ret && ret != LIBUSB_ERROR_INTERRUPTED)
			return fail("events", ret);
		if (ending || (mover->measure.bytes < mover->total && !mover->error))
			continue;
		/* Some have ended already; it is no error to cancel those. */
		for (i = 0; i < nr; i++)
			libusb_cancel_transfer(mover->transfers[i]);
		ending = true;
	}
	if (mover->error) {
		fprintf(stderr, "usb-bulk: %s after %llu bytes\n", mover->error,
			(unsigned long long)mover->measure.bytes);
		return 1;
	}
	return 0;
}

static void clean_up(struct mover *mover, bool zerocopy, unsigned int nr)
{
	unsigned int i;

	for (i = 0; mover->transfers && i < nr; i++) {
		struct libusb_transfer *transfer = mover->transfers[i];

		if (!transfer)
			break;
		if (zerocopy && transfer->buffer)
			libusb_dev_mem_free(mover->handle, transfer->buffer,
					    (size_t)transfer->length);
		else
			free(transfer->buffer);
		libusb_free_transfer(transfer);
	}
	free(mover->transfers);
	libusb_close(mover->handle);
}

static int make_pipes(struct mover *mover, unsigned int nr)
{
	unsigned int i;

	mover->pipes = calloc(nr, sizeof(*mover->pipes));
	if (!mover->pipes)
		return fail("pipes", LIBUSB_ERROR_NO_MEM);
	for (i = 0; i < nr; i++) {
		if (pipe(mover->pipes[i])) {
			perror("usb-bulk: pipe");
			return 1;
		}
		/* Where the user has no more of such large ones, a small one has to do. */
		fcntl(mover->pipes[i][1], F_SETPIPE_SZ, PIPE_BYTES);
	}
	mover->nr_pipes = nr;
	return 0;
}

/* A reader must not keep pipes open that it has nothing to do with. */
static int prepare_reader(void *arg, unsigned int index)
{
	struct mover *mover = arg;
	unsigned int i;

	for (i = 0; i < mover->nr_pipes; i++) {
		close(mover->pipes[i][1]);
		if (i != index)
			close(mover->pipes[i][0]);
	}
	mover->reader = mover->pipes[index][0];
	mover->buf = malloc(PIPE_READ);
	if (!mover->buf)
		return fail("memory of a reader", LIBUSB_ERROR_NO_MEM);
	memset(mover->buf, 0, PIPE_READ);
	return 0;
}

static int run_reader(void *arg)
{
	struct mover *mover = arg;
	uint64_t bytes = 0;

	while (bytes < mover->total) {
		ssize_t got = read(mover->reader, mover->buf, PIPE_READ);

		if (got <= 0) {
			fprintf(stderr, "usb-bulk: a pipe ended after %llu bytes\n",
				(unsigned long long)bytes);
			return 1;
		}
		bytes += (uint64_t)got;
	}
	return 0;
}

/* Ends when each of the readers has had all. */
static int run_pipes(struct mover *mover, unsigned int nr)
{
	static const struct fan_work work = { prepare_reader, run_reader };
	struct fan fan;
	unsigned int i;
	int ret;

	if (fan_start(&fan, mover->nr_pipes, &work, mover))
		return 1;
	for (i = 0; i < mover->nr_pipes; i++)
		close(mover->pipes[i][0]);
	fan_go(&fan);
	ret = run(mover, nr);
	for (i = 0; i < mover->nr_pipes; i++)
		close(mover->pipes[i][1]);
	ret = fan_wait(&fan) || ret;
	mover->measure.end = measure_now();
	fan_end(&fan);
	free(mover->pipes);
	return ret;
}

/* The same device can be there twice, where it is its own network. */
static libusb_device_handle *find_device(unsigned int vid, unsigned int pid, unsigned int bus)
{
	libusb_device **list = NULL;
	libusb_device_handle *handle = NULL;
	ssize_t i, nr;

	nr = libusb_get_device_list(NULL, &list);
	for (i = 0; i < nr && !handle; i++) {
		struct libusb_device_descriptor desc;

		if (bus && libusb_get_bus_number(list[i]) != bus)
			continue;
		if (!libusb_get_device_descriptor(list[i], &desc) && desc.idVendor == vid &&
		    desc.idProduct == pid && libusb_open(list[i], &handle))
			handle = NULL;
	}
	if (nr >= 0)
		libusb_free_device_list(list, 1);
	return handle;
}

static int open_device(struct mover *mover, const char *id, unsigned int bus)
{
	unsigned int vid, pid;
	char end;
	int ret;

	if (sscanf(id, "%4x:%4x%c", &vid, &pid, &end) != 2) {
		fprintf(stderr, "usb-bulk: '%s' is no id such as 1209:0001\n", id);
		return 2;
	}
	ret = libusb_init(NULL);
	if (ret)
		return fail("libusb", ret);
	mover->handle = find_device(vid, pid, bus);
	if (!mover->handle)
		return fail(id, LIBUSB_ERROR_NO_DEVICE);
	ret = libusb_claim_interface(mover->handle, 0);
	return ret ? fail("interface 0 (is another driver bound to it?)", ret) : 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "bus", required_argument, NULL, 'b' },
		{ "pipes", required_argument, NULL, 'p' },
		{ "stamps", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	unsigned int nr, bus = 0, pipes = 0;
	struct mover mover = { 0 };
	const char *stamps = NULL;
	bool zerocopy, out;
	int opt, ret, size;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'p')
			pipes = (unsigned int)measure_size("--pipes", optarg, FAN_MAX);
		else if (opt == 'b')
			bus = (unsigned int)measure_size("--bus", optarg, 255);
		else if (opt == 's')
			stamps = optarg;
		else
			return usage(opt == 'h' ? stdout : stderr);
	}
	argc -= optind - 1;
	argv += optind - 1;
	if (argc != 7)
		return usage(stderr);
	out = !strcmp(argv[1], "out");
	zerocopy = !strcmp(argv[2], "zerocopy");
	if ((!out && strcmp(argv[1], "in")) || (!zerocopy && strcmp(argv[2], "async")))
		return usage(stderr);
	mover.direction = out ? LIBUSB_ENDPOINT_OUT : LIBUSB_ENDPOINT_IN;
	nr = (unsigned int)measure_size("TRANSFERS", argv[4], MAX_TRANSFERS);
	size = (int)measure_size("SIZE", argv[5], 1 << 24);
	mover.total = measure_size("TOTAL", argv[6], UINT64_MAX / 2);

	if (out && (pipes || stamps)) {
		fprintf(stderr, "usb-bulk: --pipes and --stamps are for what comes in\n");
		return 2;
	}
	if (stamps)
		measure_want_stamps(&mover.measure, 1 << 16);

	ret = open_device(&mover, argv[3], bus);
	if (ret)
		return ret;
	ret = find_endpoint(&mover) || prepare(&mover, zerocopy, nr, size) ||
	      (pipes && make_pipes(&mover, pipes)) ||
	      (pipes ? run_pipes(&mover, nr) : run(&mover, nr));
	if (!ret && stamps)
		ret = measure_write_stamps(&mover.measure, stamps);
	if (!ret)
		measure_print(&mover.measure);
	clean_up(&mover, zerocopy, nr);
	libusb_exit(NULL);
	return ret;
}
