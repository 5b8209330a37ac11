/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the programs of the benchmark have in common: the clocks, the numbers on
 * their command lines, and the one line that each of them prints.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdint.h>

struct measure {
	uint64_t start; /* ns; right before the first request */
	uint64_t end;   /* ns; when the total was reached */
	uint64_t begin; /* the same as start, in ticks of the stamps */
	uint64_t idle;  /* ns that the processors had nothing to do, before start */
	uint64_t bytes;
	uint64_t requests; /* transfers or reads that brought bytes */
	uint64_t *stamps;  /* when each of the first requests was seen, or NULL */
	uint64_t max_stamps;
};

uint64_t measure_now(void);

/* A size such as 65536, 64K, 64M or 1G; exits with a message if it is none. */
uint64_t measure_size(const char *what, const char *word, uint64_t max);

/* Room for the stamps of so many requests; exits where there is no memory. */
void measure_want_stamps(struct measure *m, uint64_t nr);

/* One number per line; 0 or 1, after a message. */
int measure_write_stamps(const struct measure *m, const char *path);

void measure_begin(struct measure *m);
void measure_print(const struct measure *m);

/*
 * The processor's time stamp counter: what the kernel's tracer has as a clock,
 * too, and the only one that both of them tell in full resolution.
 */
static inline uint64_t measure_stamp(void)
{
	return __builtin_ia32_rdtsc();
}

/* A request brought so many bytes. */
static inline void measure_count(struct measure *m, uint64_t bytes)
{
	if (m->requests < m->max_stamps)
		m->stamps[m->requests] = measure_stamp();
	m->bytes += bytes;
	m->requests++;
}

#endif
