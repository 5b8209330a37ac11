// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads a total of bytes from a bulk IN endpoint through libusb, as a good
 * program does it: a number of asynchronous transfers is always in flight, and
 * each is submitted again from its own callback. The bytes are counted, not
 * looked at.
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

struct reader {
	libusb_device_handle *handle;
	unsigned char endpoint;
	struct libusb_transfer **transfers;
	unsigned int in_flight;
	uint64_t total;
	struct measure measure;
	const char *error;
};

static int usage(FILE *to)
{
	fprintf(to, "Usage: usb-read async|zerocopy VVVV:PPPP TRANSFERS SIZE TOTAL\n"
		    "Reads TOTAL bytes from the first bulk IN endpoint of interface 0, with\n"
		    "TRANSFERS transfers of SIZE bytes in flight.\n");
	return to == stdout ? 0 : 2;
}

static int fail(const char *what, int error)
{
	fprintf(stderr, "usb-read: %s: %s\n", what, libusb_strerror(error));
	return 1;
}

static void submit(struct reader *reader, struct libusb_transfer *transfer)
{
	int ret = libusb_submit_transfer(transfer);

	if (ret)
		reader->error = libusb_strerror(ret);
	else
		reader->in_flight++;
}

static void LIBUSB_CALL complete(struct libusb_transfer *transfer)
{
	struct reader *reader = transfer->user_data;
	struct measure *m = &reader->measure;

	reader->in_flight--;
	if (m->bytes >= reader->total || reader->error)
		return;
	if (transfer->status != LIBUSB_TRANSFER_COMPLETED) {
		reader->error = "a transfer failed";
		return;
	}
	m->bytes += (uint64_t)transfer->actual_length;
	m->requests++;
	if (m->bytes >= reader->total)
		m->end = measure_now();
	else
		submit(reader, transfer);
}

static int find_endpoint(struct reader *reader)
{
	const struct libusb_interface_descriptor *alt;
	struct libusb_config_descriptor *config;
	int i, ret;

	ret = libusb_get_active_config_descriptor(libusb_get_device(reader->handle), &config);
	if (ret)
		return fail("configuration", ret);
	alt = &config->interface[0].altsetting[0];
	for (i = 0; i < alt->bNumEndpoints && !reader->endpoint; i++) {
		const struct libusb_endpoint_descriptor *ep = &alt->endpoint[i];

		if ((ep->bmAttributes & LIBUSB_TRANSFER_TYPE_MASK) == LIBUSB_TRANSFER_TYPE_BULK &&
		    (ep->bEndpointAddress & LIBUSB_ENDPOINT_DIR_MASK) == LIBUSB_ENDPOINT_IN)
			reader->endpoint = ep->bEndpointAddress;
	}
	libusb_free_config_descriptor(config);
	return reader->endpoint ? 0 : fail("bulk IN endpoint", LIBUSB_ERROR_NOT_FOUND);
}

static int prepare(struct reader *reader, bool zerocopy, unsigned int nr, int size)
{
	unsigned int i;

	reader->transfers = calloc(nr, sizeof(struct libusb_transfer *));
	if (!reader->transfers)
		return fail("transfers", LIBUSB_ERROR_NO_MEM);
	for (i = 0; i < nr; i++) {
		struct libusb_transfer *transfer = libusb_alloc_transfer(0);
		unsigned char *data;

		if (!transfer)
			return fail("a transfer", LIBUSB_ERROR_NO_MEM);
		reader->transfers[i] = transfer;
		data = zerocopy ? libusb_dev_mem_alloc(reader->handle, (size_t)size)
				: malloc((size_t)size);
		if (!data)
			return fail("memory of a transfer", LIBUSB_ERROR_NO_MEM);
		/* Now, not in the first transfers, which would be measured. */
		memset(data, 0, (size_t)size);
		libusb_fill_bulk_transfer(transfer, reader->handle, reader->endpoint, data, size,
					  complete, reader, 0);
	}
	return 0;
}

static int run(struct reader *reader, unsigned int nr)
{
	bool ending = false;
	unsigned int i;

	reader->measure.start = measure_now();
	for (i = 0; i < nr && !reader->error; i++)
		submit(reader, reader->transfers[i]);
	while (reader->in_flight) {
		int ret = libusb_handle_events(NULL);

		if (ret && ret != LIBUSB_ERROR_INTERRUPTED)
			return fail("events", ret);
		if (ending || (reader->measure.bytes < reader->total && !reader->error))
			continue;
		/* Some have ended already; it is no error to cancel those. */
		for (i = 0; i < nr; i++)
			libusb_cancel_transfer(reader->transfers[i]);
		ending = true;
	}
	if (reader->error) {
		fprintf(stderr, "usb-read: %s after %llu bytes\n", reader->error,
			(unsigned long long)reader->measure.bytes);
		return 1;
	}
	return 0;
}

static void clean_up(struct reader *reader, bool zerocopy, unsigned int nr)
{
	unsigned int i;

	for (i = 0; reader->transfers && i < nr; i++) {
		struct libusb_transfer *transfer = reader->transfers[i];

		if (!transfer)
			break;
		if (zerocopy && transfer->buffer)
			libusb_dev_mem_free(reader->handle, transfer->buffer,
					    (size_t)transfer->length);
		else
			free(transfer->buffer);
		libusb_free_transfer(transfer);
	}
	free(reader->transfers);
	libusb_close(reader->handle);
}

int main(int argc, char **argv)
{
	struct reader reader = { 0 };
	unsigned int nr, vid, pid;
	bool zerocopy;
	int ret, size;
	char end;

	if (argc == 2 && !strcmp(argv[1], "--help"))
		return usage(stdout);
	if (argc != 6 || sscanf(argv[2], "%4x:%4x%c", &vid, &pid, &end) != 2)
		return usage(stderr);
	zerocopy = !strcmp(argv[1], "zerocopy");
	if (!zerocopy && strcmp(argv[1], "async"))
		return usage(stderr);
	nr = (unsigned int)measure_size("TRANSFERS", argv[3], MAX_TRANSFERS);
	size = (int)measure_size("SIZE", argv[4], 1 << 24);
	reader.total = measure_size("TOTAL", argv[5], UINT64_MAX / 2);

	ret = libusb_init(NULL);
	if (ret)
		return fail("libusb", ret);
	reader.handle = libusb_open_device_with_vid_pid(NULL, (uint16_t)vid, (uint16_t)pid);
	if (!reader.handle)
		return fail(argv[2], LIBUSB_ERROR_NO_DEVICE);
	ret = libusb_claim_interface(reader.handle, 0);
	if (ret)
		return fail("interface 0 (is another driver bound to it?)", ret);

	ret = find_endpoint(&reader) || prepare(&reader, zerocopy, nr, size) || run(&reader, nr);
	if (!ret)
		measure_print(&reader.measure);
	clean_up(&reader, zerocopy, nr);
	libusb_exit(NULL);
	return ret;
}
