// SPDX-License-Identifier: MIT
/*
 * Bytes that are given and shown in hexadecimal digits, or come from a file.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

/* Bytes of one line of a dump. */
#define PER_LINE 16

static int digit_value(char digit)
{
	if (isdigit((unsigned char)digit))
		return digit - '0';
	return tolower((unsigned char)digit) - 'a' + 10;
}

/* With 0x in front or without: both are written for bytes. */
static const char *skip_prefix(const char *text)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');

	return hex ? text + 2 : text;
}

bool is_hex(const char *text)
{
	size_t digits;

	text = skip_prefix(text);
	digits = strspn(text, "0123456789abcdefABCDEF");
	return digits && !(digits % 2) && !text[digits];
}

void data_add_hex(struct data *data, const char *text)
{
	unsigned char *to;
	size_t count;

	text = skip_prefix(text);
	count = strlen(text) / 2;
	data->bytes = need(realloc(data->bytes, data->length + count));
	to = data->bytes + data->length;
	data->length += count;
	for (; *text; text += 2)
		*to++ = digit_value(text[0]) << 4 | digit_value(text[1]);
}

int open_input(const char *file)
{
	int fd;

	if (!file || !strcmp(file, "-"))
		return STDIN_FILENO;
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		complain("cannot read %s: %s", file, strerror(errno));
	return fd;
}

const char *input_name(const char *file)
{
	return file && strcmp(file, "-") ? file : "standard input";
}

ssize_t read_fully(int fd, void *buf, size_t count)
{
	size_t done = 0;

	while (done < count) {
		ssize_t n = read(fd, (char *)buf + done, count - done);

		if (n > 0) {
			done += n;
			continue;
		}
		if (!n)
			break;
		if (errno != EINTR)
			return -errno;
		if (interrupted())
			break;
	}
	return done;
}

int data_read(struct data *data, const char *file, size_t limit)
{
	int fd = open_input(file);
	ssize_t n;

	if (fd < 0)
		return EXIT_ERROR;
	/* One more, so that a file which is too long can be told. */
	data->bytes = need(malloc(limit + 1));
	n = read_fully(fd, data->bytes, limit + 1);
	close(fd);
	if (n < 0) {
		complain("cannot read %s: %s", input_name(file),
			 strerror((int)-n));
		return EXIT_ERROR;
	}
	if ((size_t)n > limit) {
		complain("%s has more than %zu bytes, the most that fit here",
			 input_name(file), limit);
		return EXIT_ERROR;
	}
	data->length = n;
	return EXIT_OK;
}

void data_free(struct data *data)
{
	free(data->bytes);
}

void add_data(struct json_object *obj, const char *key, const void *bytes,
	      size_t count)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *byte = bytes;
	char *text = need(malloc(2 * count + 1));
	char *to = text;
	size_t i;

	for (i = 0; i < count; i++) {
		*to++ = digits[byte[i] >> 4];
		*to++ = digits[byte[i] & 15];
	}
	*to = '\0';
	/* Not add_text(): no bytes are an empty text here, not a missing one. */
	json_object_object_add(obj, key, need(json_object_new_string(text)));
	free(text);
}

static void dump_line(const unsigned char *bytes, size_t count)
{
	size_t i;

	for (i = 0; i < PER_LINE; i++) {
		if (i == PER_LINE / 2)
			putchar(' ');
		if (i < count)
			printf(" %02x", bytes[i]);
		else
			fputs("   ", stdout);
	}
	fputs("  |", stdout);
	for (i = 0; i < count; i++)
		putchar(bytes[i] >= ' ' && bytes[i] <= '~' ? bytes[i] : '.');
	puts("|");
}

/* As hexdump -C has it, but for lines that are left out. */
void print_dump(const void *bytes, size_t count)
{
	const unsigned char *byte = bytes;
	size_t pos;

	for (pos = 0; pos < count; pos += PER_LINE) {
		size_t left = count - pos;

		printf("%08zx ", pos);
		dump_line(byte + pos, left < PER_LINE ? left : PER_LINE);
	}
	if (count)
		printf("%08zx\n", count);
}

bool raw_fits_here(void)
{
	if (!isatty(STDOUT_FILENO))
		return true;
	complain(
		"standard output is a terminal, and the bytes of a device can garble it");
	fprintf(stderr,
		"  Send them to a file or a program, or leave out --raw to see them as a dump.\n");
	return false;
}
