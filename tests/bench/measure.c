// SPDX-License-Identifier: GPL-2.0-only
/* See measure.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "measure.h"

uint64_t measure_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t measure_size(const char *what, const char *word, uint64_t max)
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

void measure_want_stamps(struct measure *m, uint64_t nr)
{
	m->stamps = calloc(nr, sizeof(*m->stamps));
	if (!m->stamps) {
		fprintf(stderr, "no memory for %llu time stamps\n", (unsigned long long)nr);
		exit(1);
	}
	/* Now, not while it is measured. */
	memset(m->stamps, 0xff, nr * sizeof(*m->stamps));
	m->max_stamps = nr;
}

int measure_write_stamps(const struct measure *m, const char *path)
{
	FILE *file = fopen(path, "w");
	uint64_t i;

	if (!file) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	for (i = 0; i < m->requests && i < m->max_stamps; i++)
		fprintf(file, "%llu\n", (unsigned long long)m->stamps[i]);
	if (fclose(file)) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	return 0;
}

/*
 * Nanoseconds that the processors were idle since they started, all together;
 * /proc/stat has the same in units of 10 ms, which is as long as some runs take.
 */
static uint64_t idle_time(void)
{
	FILE *file = fopen("/proc/timer_list", "r");
	uint64_t sum = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		unsigned long long ns;

		if (sscanf(line, " .idle_sleeptime : %llu nsecs", &ns) == 1)
			sum += ns;
	}
	if (file)
		fclose(file);
	return sum;
}

void measure_begin(struct measure *m)
{
	m->idle = idle_time();
	m->begin = measure_stamp();
	m->start = measure_now();
}

/* Busy is what the processors were, all of them, from begin to now. */
void measure_print(const struct measure *m)
{
	uint64_t stamp = measure_stamp(), now = measure_now();
	uint64_t idle = idle_time() - m->idle, ns = m->end - m->start;
	uint64_t all = (now - m->start) * (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);

	printf("mib_s=%.1f requests_s=%.0f bytes=%llu requests=%llu ns=%llu busy_ns=%llu ticks_us=%.3f\n",
	       (double)m->bytes / 1048576 / ((double)ns / 1e9),
	       (double)m->requests / ((double)ns / 1e9), (unsigned long long)m->bytes,
	       (unsigned long long)m->requests, (unsigned long long)ns,
	       (unsigned long long)(all > idle ? all - idle : 0),
	       (double)(stamp - m->begin) * 1e3 / (double)(now - m->start));
}
