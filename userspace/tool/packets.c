// SPDX-License-Identifier: MIT
/*
 * Records of packet mode as lines: words for people, JSON objects for programs.
 *
 * There can be hundreds of thousands of them a second, so these objects are not
 * built before they are printed. All that is in them is numbers, hexadecimal
 * digits and names of ours.
 */
#include <inttypes.h>
#include <string.h>

#include "tool.h"

/* As much of a payload as is shown where it was not asked for. */
#define FIRST_BYTES 16

static const struct {
	uint32_t bit;
	const char *name;
} flag_names[] = {
	{ MYDEV_PACKET_CONTINUES, "continues" },
	{ MYDEV_PACKET_PARTIAL, "partial" },
};

/* False where there is none that we know. */
static bool print_flags(FILE *out, uint32_t flags, const char *quote)
{
	bool any = false;
	size_t i;

	for (i = 0; i < sizeof(flag_names) / sizeof(flag_names[0]); i++) {
		if (!(flags & flag_names[i].bit))
			continue;
		fprintf(out, "%s%s%s%s", any ? "," : "", quote,
			flag_names[i].name, quote);
		any = true;
	}
	return any;
}

static void print_hex(FILE *out, const unsigned char *bytes, size_t count)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < count; i++) {
		putc_unlocked(digits[bytes[i] >> 4], out);
		putc_unlocked(digits[bytes[i] & 15], out);
	}
}

static const char *event_name(unsigned int event)
{
	const char *name = mydev_event_name(event);

	return name ? name : "unknown";
}

static void print_time(FILE *out, uint64_t ns)
{
	fprintf(out, "  time %" PRIu64 ".%09u", ns / 1000000000,
		(unsigned int)(ns % 1000000000));
}

/* "EPIPE" says more than -32. */
static void print_status(FILE *out, int32_t status)
{
	const char *name = status < 0 ? strerrorname_np(-status) : NULL;

	if (name)
		fprintf(out, "  status %s", name);
	else
		fprintf(out, "  status %" PRId32, status);
}

static void print_packet(FILE *out, const struct mydev_record *record,
			 bool whole)
{
	const struct mydev_packet_header *header = &record->header;
	size_t shown = header->length;

	if (!whole && shown > FIRST_BYTES)
		shown = FIRST_BYTES;
	print_time(out, header->timestamp_ns);
	fprintf(out, "  length %" PRIu32, header->length);
	print_status(out, header->status);
	fputs("  flags ", out);
	if (!print_flags(out, header->flags, ""))
		putc('-', out);
	fputs("  data ", out);
	if (shown)
		print_hex(out, record->payload, shown);
	else
		putc('-', out);
	if (shown < header->length)
		fputs("...", out);
}

static void print_text(FILE *out, const struct mydev_record *record,
		       const char *type, bool whole)
{
	const struct mydev_packet_header *header = &record->header;

	fprintf(out, "%s %" PRIu64, type, (uint64_t)header->sequence);
	switch (header->type) {
	case MYDEV_RECORD_PACKET:
		print_packet(out, record, whole);
		break;
	case MYDEV_RECORD_GAP:
		fprintf(out, "  packets %" PRIu64 "  bytes %" PRIu64,
			(uint64_t)record->gap.packets,
			(uint64_t)record->gap.bytes);
		break;
	default:
		print_time(out, header->timestamp_ns);
		fprintf(out, "  %s", event_name(record->event.event));
		print_status(out, record->event.status);
	}
	putc('\n', out);
}

static void print_json_object(FILE *out, const struct mydev_record *record,
			      const char *type, bool payload)
{
	const struct mydev_packet_header *header = &record->header;

	fprintf(out, "{\"type\":\"%s\",\"sequence\":%" PRIu64, type,
		(uint64_t)header->sequence);
	switch (header->type) {
	case MYDEV_RECORD_PACKET:
		fprintf(out,
			",\"timestamp_ns\":%" PRIu64 ",\"length\":%" PRIu32
			",\"status\":%" PRId32 ",\"flags\":[",
			(uint64_t)header->timestamp_ns, header->length,
			header->status);
		print_flags(out, header->flags, "\"");
		putc(']', out);
		if (payload) {
			fputs(",\"payload\":\"", out);
			print_hex(out, record->payload, header->length);
			putc('"', out);
		}
		break;
	case MYDEV_RECORD_GAP:
		fprintf(out, ",\"packets\":%" PRIu64 ",\"bytes\":%" PRIu64,
			(uint64_t)record->gap.packets,
			(uint64_t)record->gap.bytes);
		break;
	default:
		fprintf(out,
			",\"timestamp_ns\":%" PRIu64
			",\"event\":\"%s\",\"status\":%" PRId32,
			(uint64_t)header->timestamp_ns,
			event_name(record->event.event), record->event.status);
	}
	fputs("}\n", out);
}

void print_record(FILE *out, const struct mydev_record *record,
		  const struct packet_style *style)
{
	const char *type = mydev_record_name(record->header.type);

	/* Of a newer driver: to be skipped, says its header. */
	if (!type)
		return;
	if (style->json)
		print_json_object(out, record, type, style->payload);
	else
		print_text(out, record, type, style->payload);
}
