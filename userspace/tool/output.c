// SPDX-License-Identifier: MIT
/*
 * Printing results as JSON, as lines of "name value", and as a table.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#include "tool.h"

void *need(void *memory)
{
	if (!memory) {
		complain("out of memory");
		exit(EXIT_ERROR);
	}
	return memory;
}

static void add(struct json_object *obj, const char *key,
		struct json_object *value)
{
	if (json_object_object_add(obj, key, value))
		need(NULL);
}

void add_real(struct json_object *obj, const char *key, double value)
{
	add(obj, key, need(json_object_new_double(value)));
}

void add_null(struct json_object *obj, const char *key)
{
	add(obj, key, NULL);
}

/* An empty text is one that the device does not have. */
void add_text(struct json_object *obj, const char *key, const char *text)
{
	add(obj, key, *text ? need(json_object_new_string(text)) : NULL);
}

void add_hex(struct json_object *obj, const char *key, unsigned int value,
	     int digits)
{
	char text[16];

	snprintf(text, sizeof(text), "%0*x", digits, value);
	add_text(obj, key, text);
}

void add_number(struct json_object *obj, const char *key, uint64_t value)
{
	add(obj, key, need(json_object_new_uint64(value)));
}

void add_known(struct json_object *obj, const char *key, bool known,
	       uint64_t value)
{
	if (known)
		add_number(obj, key, value);
	else
		add_null(obj, key);
}

void add_attr(struct json_object *obj, const struct mydev_entry *entry,
	      const char *attr)
{
	char buf[256];

	mydev_entry_attr(entry, attr, buf, sizeof(buf));
	add_text(obj, attr, buf);
}

/* Words with blanks in between, none of them a device's own. */
void add_words(struct json_object *obj, const char *key, const char *text)
{
	struct json_object *array = need(json_object_new_array());
	size_t len;

	for (; *text; text += len + strspn(text + len, " ")) {
		len = strcspn(text, " ");
		json_object_array_add(
			array, need(json_object_new_string_len(text, len)));
	}
	add(obj, key, array);
}

void print_json_line(FILE *out, struct json_object *obj)
{
	fprintf(out, "%s\n",
		(char *)need((void *)json_object_to_json_string_ext(
			obj, JSON_C_TO_STRING_NOSLASHESCAPE)));
}

void print_json(struct json_object *obj)
{
	puts(need((void *)json_object_to_json_string_ext(
		obj, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
			     JSON_C_TO_STRING_NOSLASHESCAPE)));
}

/*
 * The text of a value, the way it may go to a terminal: the strings of a
 * device can hold escape sequences. At most @max columns of it. Returns the
 * columns that it takes; prints nothing where @out is NULL, so that a table can
 * measure first.
 */
static int show_part(const char *text, FILE *out, int max)
{
	mbstate_t state = { 0 };
	int columns = 0;
	int width;

	while (*text) {
		wchar_t wc;
		size_t len = mbrtowc(&wc, text, strlen(text), &state);
		bool valid = len != (size_t)-1 && len != (size_t)-2;

		if (!valid) {
			memset(&state, 0, sizeof(state));
			len = 1;
		}
		valid = valid && iswprint(wc);
		width = valid ? wcwidth(wc) : 1;
		if (columns + width > max)
			break;
		columns += width;
		if (out && valid)
			fwrite(text, 1, len, out);
		else if (out)
			putc('?', out);
		text += len;
	}
	return columns;
}

static int show_text(const char *text, FILE *out)
{
	return show_part(text, out, INT_MAX);
}

static int show_value(struct json_object *value, FILE *out)
{
	int columns = 0;
	size_t i;

	switch (json_object_get_type(value)) {
	case json_type_null:
		return show_text("-", out);
	case json_type_boolean:
		return show_text(json_object_get_boolean(value) ? "yes" : "no",
				 out);
	case json_type_array:
		if (!json_object_array_length(value))
			return show_text("-", out);
		for (i = 0; i < json_object_array_length(value); i++) {
			if (i)
				columns += show_text(" ", out);
			columns += show_value(
				json_object_array_get_idx(value, i), out);
		}
		return columns;
	default:
		return show_text(json_object_get_string(value), out);
	}
}

void print_fields(struct json_object *obj)
{
	size_t width = 0;

	json_object_object_foreach(obj, key, value) {
		if (strlen(key) > width)
			width = strlen(key);
	}
	json_object_object_foreach(obj, key2, value2) {
		printf("%-*s  ", (int)width, key2);
		show_value(value2, stdout);
		putchar('\n');
	}
}

static int column_width(struct json_object *rows, const struct column *column,
			bool header)
{
	int width = header ? (int)strlen(column->title) : 0;
	size_t i;

	for (i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		int columns = show_value(
			json_object_object_get(row, column->key), NULL);

		if (columns > width)
			width = columns;
	}
	return width;
}

int terminal_width(FILE *out)
{
	const char *given = getenv("COLUMNS");
	unsigned int columns;
	struct winsize size;

	if (!isatty(fileno(out)))
		return INT_MAX;
	if (given && parse_limited(given, INT_MAX, &columns) && columns)
		return columns;
	if (!ioctl(fileno(out), TIOCGWINSZ, &size) && size.ws_col)
		return size.ws_col;
	return 80;
}

#define DOTS "..."

/* One that is longer than @width is cut. Returns the columns that it takes. */
static int show_cell(struct json_object *value, FILE *out, int width)
{
	int used = show_value(value, NULL);
	const char *text;

	if (used <= width)
		return show_value(value, out);
	text = json_object_get_string(value);
	if (width <= (int)strlen(DOTS))
		return show_part(text, out, width);
	used = show_part(text, out, width - strlen(DOTS));
	return used + show_part(DOTS, out, INT_MAX);
}

/* Without a width, a column is left out. */
static int total_width(const int *widths, size_t count)
{
	int total = 0;
	size_t col;

	for (col = 0; col < count; col++)
		total += widths[col] ? widths[col] + 2 : 0;
	/* Nothing comes behind the last one. */
	return total ? total - 2 : 0;
}

/*
 * Lines that a terminal would break are no table. First go the columns that can
 * best be done without, then the widest of those that stay are cut.
 */
static void fit(int *widths, const struct column *columns, size_t count,
		int room)
{
	int rank;
	size_t col;

	for (rank = 1; rank <= (int)count; rank++) {
		for (col = 0; col < count; col++) {
			if (columns[col].expendable == rank &&
			    total_width(widths, count) > room)
				widths[col] = 0;
		}
	}
	while (total_width(widths, count) > room) {
		size_t widest = 0;

		for (col = 1; col < count; col++) {
			if (widths[col] >= widths[widest])
				widest = col;
		}
		if (widths[widest] < 2)
			break;
		widths[widest]--;
	}
}

void print_table(FILE *out, struct json_object *rows,
		 const struct column *columns, bool header)
{
	size_t lines = json_object_array_length(rows);
	size_t count = 0;
	int widths[16];
	size_t col;
	size_t last;
	size_t i;

	for (; columns[count].title; count++)
		widths[count] = column_width(rows, &columns[count], header);
	fit(widths, columns, count, terminal_width(out));
	for (last = count - 1; last && !widths[last]; last--)
		;
	for (i = header ? 0 : 1; i <= lines; i++) {
		struct json_object *row =
			i ? json_object_array_get_idx(rows, i - 1) : NULL;

		for (col = 0; col <= last; col++) {
			struct json_object *value = NULL;
			int used;

			if (!widths[col])
				continue;
			if (row)
				value = json_object_object_get(
					row, columns[col].key);
			used = row ? show_cell(value, out, widths[col])
				   : show_part(columns[col].title, out,
					       widths[col]);
			/* Nothing is padded at the end of a line. */
			if (col < last)
				fprintf(out, "%*s", widths[col] - used + 2, "");
		}
		putc('\n', out);
	}
}
