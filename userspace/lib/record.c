// SPDX-License-Identifier: MIT
/*
 * Taking apart what read() returns in packet mode.
 */
#include <errno.h>
#include <string.h>

#include "libmydev.h"

/* A payload that is longer than we know has members from a newer kernel. */
static void take(void *to, size_t size, const struct mydev_record *record)
{
	size_t length = record->header.length;

	memcpy(to, record->payload, length < size ? length : size);
}

int mydev_next_record(const void **pos, size_t *left,
		      struct mydev_record *record)
{
	struct mydev_packet_header *header = &record->header;

	if (!*left)
		return 0;
	memset(record, 0, sizeof(*record));
	if (*left < sizeof(*header))
		return -EPROTO;
	/* The caller's buffer need not be aligned. */
	memcpy(header, *pos, sizeof(*header));
	/* Written so that no sum can overflow. */
	if (header->record_size > *left ||
	    header->header_size < sizeof(*header) ||
	    header->header_size > header->record_size ||
	    header->length > header->record_size - header->header_size)
		return -EPROTO;

	record->payload = (const char *)*pos + header->header_size;
	if (header->type == MYDEV_RECORD_GAP)
		take(&record->gap, sizeof(record->gap), record);
	else if (header->type == MYDEV_RECORD_EVENT)
		take(&record->event, sizeof(record->event), record);
	*pos = (const char *)*pos + header->record_size;
	*left -= header->record_size;
	return 1;
}
