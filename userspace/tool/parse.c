// SPDX-License-Identifier: MIT
/*
 * Numbers on the command line, and the clock that goes with them.
 */
#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tool.h"

/* A timer that is set to nothing never ends. */
#define MIN_SECONDS 0.001
/* Longer than any machine runs, and far from what a time_t cannot hold. */
#define MAX_SECONDS 1e9
/* What the driver lets a device take for one request, milliseconds. */

static bool parse_digits(const char *text, char **end, uint64_t *number)
{
	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*number = strtoull(text, end, 10);
	return !errno;
}

bool parse_number(const char *text, uint64_t *number)
{
	char *end;

	return parse_digits(text, &end, number) && !*end;
}

bool parse_limited(const char *text, unsigned int max, unsigned int *number)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	unsigned long long value;
	char *end;

	if (hex)
		text += 2;
	if (hex ? !isxdigit((unsigned char)*text)
		: !isdigit((unsigned char)*text))
		return false;
	errno = 0;
	value = strtoull(text, &end, hex ? 16 : 10);
	if (errno || *end || value > max)
		return false;
	*number = value;
	return true;
}

bool parse_bytes(const char *text, uint64_t *bytes)
{
	static const char suffixes[] = "KMG";
	const char *suffix;
	unsigned int shift = 0;
	char *end;

	if (!parse_digits(text, &end, bytes))
		return false;
	if (*end) {
		suffix = strchr(suffixes, toupper((unsigned char)*end));
		if (!suffix || end[1])
			return false;
		shift = 10 * (suffix - suffixes + 1);
	}
	if (*bytes > UINT64_MAX >> shift)
		return false;
	*bytes <<= shift;
	return true;
}

bool parse_seconds(const char *text, double *seconds)
{
	char *end;

	*seconds = strtod(text, &end);
	return end != text && !*end && *seconds >= MIN_SECONDS &&
	       *seconds <= MAX_SECONDS;
}

double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}
