/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The wire format of the simulated device.
 *
 * A packet is a header of 24 bytes and a payload, all little endian:
 *
 *	u32 magic	SIM_MAGIC
 *	u32 length	bytes of the whole packet, header included
 *	u64 counter	one more than in the packet before
 *	u64 checksum	see sim_checksum()
 *	u64 word[i]	counter * SIM_SPREAD + i * SIM_STEP
 *
 * The last word is cut where length says so. Every payload byte is known from
 * the counter and its place, so a receiver compares all of them: a byte that
 * is missing, repeated, moved or changed cannot hide. The words are an
 * arithmetic series because making and checking one then takes an addition
 * and little else, which matters where each instruction is emulated, and
 * because the checksum over them has a closed form: the sender never walks
 * the payload a second time.
 *
 * Where several streams share a way, the upper 16 bits of the counter say which
 * one it is: on bulk OUT the writer, on bulk IN the alternate setting. Each
 * stream then counts its own packets in the other 48 bits.
 *
 * A packet shorter than its header cannot exist: sizes 1 to 23 are refused.
 * Length zero is not a packet of this format; it is a zero-length packet of
 * USB, which carries no counter and is invisible in a byte stream.
 */
#ifndef TESTS_SIM_PATTERN_H
#define TESTS_SIM_PATTERN_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SIM_MAGIC      0x5d0c7a9bU
#define SIM_HEADER     24U
#define SIM_MAX_PACKET (1U << 20)
#define SIM_WHO_SHIFT  48

/* Odd and without pattern; no small multiple of one is one of the other. */
#define SIM_SPREAD 0xd1342543de82ef95ULL
#define SIM_STEP   0x9e3779b97f4a7c15ULL

struct sim_header {
	uint32_t length;
	uint64_t counter;
};

static inline uint64_t sim_first_word(uint64_t counter)
{
	return counter * SIM_SPREAD;
}

static inline uint64_t sim_mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ULL;
	x ^= x >> 29;
	return x;
}

/*
 * The sum of all payload words (the last one cut to its bytes), plus a mixed
 * value of the header. The mixing keeps two damaged header fields from making
 * up for each other.
 */
static inline uint64_t sim_checksum(uint32_t length, uint64_t counter)
{
	uint64_t payload = length - SIM_HEADER;
	uint64_t n = payload / 8;
	uint64_t cut = payload % 8;
	uint64_t first = sim_first_word(counter);
	uint64_t sum = n * first;

	if (n)
		sum += SIM_STEP * (n * (n - 1) / 2);
	if (cut)
		sum += (first + n * SIM_STEP) & (~0ULL >> (64 - 8 * cut));
	return sum + sim_mix(sim_mix(SIM_MAGIC | (uint64_t)length << 32) + counter);
}

/* Writes the packet @counter of @length bytes; needs room up to a multiple of 8. */
static inline void sim_fill(unsigned char *buf, uint32_t length, uint64_t counter)
{
	uint32_t magic = htole32(SIM_MAGIC);
	uint32_t le_length = htole32(length);
	uint64_t le_counter = htole64(counter);
	uint64_t checksum = htole64(sim_checksum(length, counter));
	uint64_t word = sim_first_word(counter);
	unsigned char *end = buf + length;

	memcpy(buf, &magic, 4);
	memcpy(buf + 4, &le_length, 4);
	memcpy(buf + 8, &le_counter, 8);
	memcpy(buf + 16, &checksum, 8);
	for (buf += SIM_HEADER; buf < end; buf += 8) {
		uint64_t le = htole64(word);

		memcpy(buf, &le, 8);
		word += SIM_STEP;
	}
}

/* 0 when the 24 bytes at @buf are a header, -1 when they are not. */
static inline int sim_parse(const unsigned char *buf, struct sim_header *h)
{
	uint32_t magic, length;
	uint64_t counter, checksum;

	memcpy(&magic, buf, 4);
	memcpy(&length, buf + 4, 4);
	memcpy(&counter, buf + 8, 8);
	memcpy(&checksum, buf + 16, 8);
	h->length = le32toh(length);
	h->counter = le64toh(counter);
	if (le32toh(magic) != SIM_MAGIC || h->length < SIM_HEADER || h->length > SIM_MAX_PACKET)
		return -1;
	return le64toh(checksum) == sim_checksum(h->length, h->counter) ? 0 : -1;
}

/*
 * Requests on the control endpoint, of type vendor, or of type class with
 * SIM_REQ_CLASS added; to the interface or to one of its endpoints. All others
 * are refused (the control endpoint stalls). A data stage has at most 4096
 * bytes, a limit of composite gadgets in Linux: more to the device is refused
 * there, and of more from the device the first 4096 come.
 */
#define SIM_REQ_READ     0x01 /* IN: wLength bytes of the control pattern of wValue */
#define SIM_REQ_WRITE    0x02 /* OUT: they are compared with it, and counted */
#define SIM_REQ_COUNTERS 0x03 /* IN: struct sim_counters, or as much as wLength allows */
#define SIM_REQ_MODE     0x04 /* OUT, no data: wValue is a sum of SIM_MODE_... */
#define SIM_REQ_REFUSE   0x05 /* always refused */
#define SIM_REQ_SLOW     0x06 /* as READ, WRITE, or without data; answered after wValue ms */
#define SIM_REQ_CLASS    0x40

#define SIM_MODE_ECHO   1U
#define SIM_MODE_REFUSE 2U
#define SIM_MODE_PAUSE  4U

/* All little endian. */
struct sim_counters {
	uint64_t out_bytes;
	uint64_t out_messages; /* ended by a short or zero-length packet */
	uint64_t control_bytes;
	uint64_t errors; /* in what came by bulk OUT or by SIM_REQ_WRITE */
};

static inline unsigned char sim_control_byte(uint16_t value, uint32_t i)
{
	return value + i;
}

#endif /* TESTS_SIM_PATTERN_H */
