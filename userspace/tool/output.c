// SPDX-License-Identifier: MIT
/*
 * Printing results as JSON, as lines of "name value", and as a table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
 * device can hold escape sequences. Returns the columns that it takes; prints
 * nothing where @out is NULL, so that a table can measure first.
 */
static int show_text(const char *text, FILE *out)
{
	mbstate_t state = { 0 };
	int columns = 0;

	while (*text) {
		wchar_t wc;
		size_t len = mbrtowc(&wc, text, strlen(text), &state);
		bool valid = len != (size_t)-1 && len != (size_t)-2;

		if (!valid) {
			memset(&state, 0, sizeof(state));
			len = 1;
		}
		if (valid && iswprint(wc)) {
			columns += wcwidth(wc);
			if (out)
				fwrite(text, 1, len, out);
		} else {
			columns++;
			if (out)
				putc('?', out);
		}
		text += len;
	}
	return columns;
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

void print_table(FILE *out, struct json_object *rows,
		 const struct column *columns, bool header)
{
	size_t count = json_object_array_length(rows);
	int widths[16];
	size_t col;
	size_t i;

	for (col = 0; columns[col].title; col++)
		widths[col] = column_width(rows, &columns[col], header);
	for (col = 0; header && columns[col].title; col++) {
		const char *title = columns[col].title;

		/* Nothing is padded at the end of a line. */
		if (columns[col + 1].title)
			fprintf(out, "%-*s  ", widths[col], title);
		else
			fprintf(out, "%s\n", title);
	}
	for (i = 0; i < count; i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		for (col = 0; columns[col].title; col++) {
			struct json_object *value =
				json_object_object_get(row, columns[col].key);
			int used = show_value(value, out);

			if (columns[col + 1].title)
				fprintf(out, "%*s", widths[col] - used + 2, "");
		}
		putc('\n', out);
	}
}
