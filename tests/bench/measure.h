/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the readers of the benchmark have in common: the clock, the numbers on
 * their command lines, and the one line that each of them prints.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct measure {
	uint64_t start; /* ns; right before the first request */
	uint64_t end;   /* ns; when the total was reached */
	uint64_t bytes;
	uint64_t requests; /* transfers or reads that brought bytes */
};

static inline uint64_t measure_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* A size such as 65536, 64K, 64M or 1G; exits with a message if it is none. */
static inline uint64_t measure_size(const char *what, const char *word, uint64_t max)
{
	uint64_t value, unit = 1;
	char *end;

	errno = 0;
	value = strtoull(word, &end, 10);
	if (*end == 'K' || *end == 'M' || *end == 'G')
		unit = *end == 'K' ? 1 << 10 : *end == 'M' ? 1 << 20 : 1 << 30;
	if (end == word || *word == '-' || end[unit > 1] || errno || !value || value > max / unit) {
		fprintf(stderr, "%s '%s': give a number from 1 to %llu, K, M or G may follow\n",
			what, word, (unsigned long long)max);
		exit(2);
	}
	return value * unit;
}

static inline void measure_print(const struct measure *m)
{
	uint64_t ns = m->end - m->start;

	printf("mib_s=%.1f requests_s=%.0f bytes=%llu requests=%llu ns=%llu\n",
	       (double)m->bytes / 1048576 / ((double)ns / 1e9),
	       (double)m->requests / ((double)ns / 1e9), (unsigned long long)m->bytes,
	       (unsigned long long)m->requests, (unsigned long long)ns);
}

#endif
