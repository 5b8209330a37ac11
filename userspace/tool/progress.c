// SPDX-License-Identifier: MIT
/*
 * One line on standard error that is written again and again.
 */
#include <stdio.h>

#include "tool.h"

#define MIB (1024.0 * 1024.0)

void progress_begin(struct progress *progress)
{
	progress->start = now();
	progress->last = progress->start;
	progress->last_bytes = 0;
}

void progress_show(struct progress *progress, uint64_t bytes)
{
	double t = now();
	double past = t - progress->last;

	if (!progress->on || past < 1.0)
		return;
	fprintf(stderr, "\r%.1f MiB  %.1f MiB/s  %.0f s\033[K", bytes / MIB,
		(bytes - progress->last_bytes) / past / MIB,
		t - progress->start);
	progress->last = t;
	progress->last_bytes = bytes;
}

/* Whatever comes next on stderr starts on a line of its own. */
void progress_end(const struct progress *progress)
{
	if (progress->on)
		fprintf(stderr, "\r\033[K");
}

void progress_total(uint64_t bytes, double seconds)
{
	fprintf(stderr, "%llu bytes, %.1f s, %.1f MiB/s\n",
		(unsigned long long)bytes, seconds, bytes / seconds / MIB);
}
