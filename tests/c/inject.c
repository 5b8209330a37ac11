// SPDX-License-Identifier: GPL-2.0-only
#include <inttypes.h>

#include "inject.h"

#define FAULTS "/sys/kernel/debug/"
#define NTH    "/proc/thread-self/fail-nth"

static const char *const kinds[] = { "failslab", "fail_page_alloc", "fail_usercopy" };

static int nth_file;

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail_msg("%s: %s", path, strerror(errno));
	close(fd);
}

void inject_or_skip(void)
{
	char path[128];

	if (access(NTH, W_OK) || access(FAULTS "failslab", X_OK)) {
		print_message("skipped: this kernel cannot fail allocations on request\n");
		skip();
	}
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), FAULTS "%s/verbose", kinds[i]);
		write_text(path, "0");
		snprintf(path, sizeof(path), FAULTS "%s/task-filter", kinds[i]);
		write_text(path, "Y");
	}
	write_text(FAULTS "failslab/ignore-gfp-wait", "N");
	write_text(FAULTS "fail_page_alloc/ignore-gfp-wait", "N");
	write_text(FAULTS "fail_page_alloc/min-order", "0");
}

/* Where a function begins, and the one behind it. */
static void find_function(const char *name, uint64_t *start, uint64_t *end)
{
	FILE *symbols = fopen("/proc/kallsyms", "re");
	unsigned long long address;
	char line[512], symbol[256];

	assert_non_null(symbols);
	*start = 0;
	while (!*start && fgets(line, sizeof(line), symbols)) {
		if (sscanf(line, "%llx %*c %255s", &address, symbol) == 2 && !strcmp(symbol, name))
			*start = address;
	}
	if (!*start)
		fail_msg("/proc/kallsyms has no %s", name);
	/* They are in no order. */
	*end = UINT64_MAX;
	rewind(symbols);
	while (fgets(line, sizeof(line), symbols)) {
		address = strtoull(line, NULL, 16);
		if (address > *start && address < *end)
			*end = address;
	}
	fclose(symbols);
}

void inject_within(const char *function)
{
	uint64_t start = 0, end = UINT64_MAX;
	char path[128], text[32];

	if (function)
		find_function(function, &start, &end);
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), FAULTS "%s/require-start", kinds[i]);
		snprintf(text, sizeof(text), "0x%" PRIx64, start);
		write_text(path, text);
		snprintf(path, sizeof(path), FAULTS "%s/require-end", kinds[i]);
		snprintf(text, sizeof(text), "0x%" PRIx64, end);
		write_text(path, text);
	}
}

void inject_begin(unsigned int nth)
{
	char text[16];
	int n;

	nth_file = open(NTH, O_RDWR | O_CLOEXEC);
	assert_return_code(nth_file, errno);
	n = snprintf(text, sizeof(text), "%u", nth);
	assert_int_equal(write(nth_file, text, n), n);
}

bool inject_end(void)
{
	char text[16];
	ssize_t n = pread(nth_file, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = 0;
	/* This may be what fails in its stead; then there is nothing left to fail. */
	if (pwrite(nth_file, "0", 1, 0) != 1)
		assert_int_equal(pwrite(nth_file, "0", 1, 0), 1);
	close(nth_file);
	return n > 0 && atoi(text) == 0;
}
