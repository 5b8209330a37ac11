// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves a total of bytes from a bulk IN endpoint, or to a bulk OUT endpoint,
 * through libusb, as a good program does it: a number of asynchronous transfers
 * is always in flight, and each is submitted again from its own callback. The
 * bytes are counted, neither looked at nor made.
 *
 * In mode zerocopy the memory comes from libusb_dev_mem_alloc(): the kernel's
 * own, mapped into the program, so that usbfs need not copy.
 */
#include <getopt.h>
#include <libusb-1.0/libusb.h>
#include <stdbool.h>
#include <string.h>

#include "measure.h"

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
};

static int usage(FILE *to)
{
	fprintf(to, "Usage: usb-bulk in|out async|zerocopy VVVV:PPPP TRANSFERS SIZE TOTAL\n"
		    "Moves TOTAL bytes through the first bulk endpoint of that direction of\n"
		    "interface 0, with TRANSFERS transfers of SIZE bytes in flight.\n");
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
	m->bytes += (uint64_t)transfer->actual_length;
	m->requests++;
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

	mover->measure.start = measure_now();
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

int main(int argc, char **argv)
{
	struct mover mover = { 0 };
	unsigned int nr, vid, pid;
	bool zerocopy, out;
	int ret, size;
	char end;

	if (argc == 2 && !strcmp(argv[1], "--help"))
		return usage(stdout);
	if (argc != 7 || sscanf(argv[3], "%4x:%4x%c", &vid, &pid, &end) != 2)
		return usage(stderr);
	out = !strcmp(argv[1], "out");
	zerocopy = !strcmp(argv[2], "zerocopy");
	if ((!out && strcmp(argv[1], "in")) || (!zerocopy && strcmp(argv[2], "async")))
		return usage(stderr);
	mover.direction = out ? LIBUSB_ENDPOINT_OUT : LIBUSB_ENDPOINT_IN;
	nr = (unsigned int)measure_size("TRANSFERS", argv[4], MAX_TRANSFERS);
	size = (int)measure_size("SIZE", argv[5], 1 << 24);
	mover.total = measure_size("TOTAL", argv[6], UINT64_MAX / 2);

	ret = libusb_init(NULL);
	if (ret)
		return fail("libusb", ret);
	mover.handle = libusb_open_device_with_vid_pid(NULL, (uint16_t)vid, (uint16_t)pid);
	if (!mover.handle)
		return fail(argv[3], LIBUSB_ERROR_NO_DEVICE);
	ret = libusb_claim_interface(mover.handle, 0);
	if (ret)
		return fail("interface 0 (is another driver bound to it?)", ret);

	ret = find_endpoint(&mover) || prepare(&mover, zerocopy, nr, size) || run(&mover, nr);
	if (!ret)
		measure_print(&mover.measure);
	clean_up(&mover, zerocopy, nr);
	libusb_exit(NULL);
	return ret;
}
