// SPDX-License-Identifier: MIT
/*
 * mydevctl clients: who has a device open, and who is slow. The driver tells
 * that in debugfs, and the device is not opened for it: that would fail just
 * when a device has all the clients that it can have.
 */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "tool.h"

#define DEBUGFS "/sys/kernel/debug"

/* More columns than any driver has. */
#define MAX_COLUMNS 32

static const struct argp argp = {
	.children = with_common,
	.args_doc = "[DEV]",
	.doc = "Show who has a device open, and who is slow.\v" DEV_DOC
	       " The lag of a client is what the device has sent and the client "
	       "has not read. A client holds up the device only where its role is "
	       "reading and its policy lossless. mydevctl revoke takes the id of one.\n\n"
	       "The driver tells this in debugfs, which only root can read. A "
	       "client's own user finds the same in /proc/PID/fdinfo/FD.\n\n" EXIT_CODES_DOC,
};

/* "lag-packets" is lag_packets in JSON, as everywhere else. */
static void make_key(char *title)
{
	for (; *title; title++) {
		if (*title == '-')
			*title = '_';
	}
}

/*
 * The name of a command is cut where it is too long, which may be within a
 * character, and JSON has to be UTF-8.
 */
static void make_ascii(char *text)
{
	for (; *text; text++) {
		if (*text & 0x80)
			*text = '?';
	}
}

static size_t split_titles(char *line, char **titles)
{
	size_t count = 0;
	char *save;
	char *title = strtok_r(line, "\n ", &save);

	for (; title && count < MAX_COLUMNS; count++) {
		make_key(title);
		titles[count] = title;
		title = strtok_r(NULL, "\n ", &save);
	}
	return count;
}

/*
 * The last column is the rest of the line. NULL for a line with fewer columns:
 * the name of a command may have a line end in it.
 */
static struct json_object *parse_line(char *line, char **titles, size_t count)
{
	struct json_object *row = need(json_object_new_object());
	char *end = strchr(line, '\n');
	uint64_t number;
	size_t col;

	if (end)
		*end = '\0';
	for (col = 0; col < count; col++) {
		char *value = line;

		if (!line) {
			json_object_put(row);
			return NULL;
		}
		if (col + 1 < count) {
			line = strchr(line, ' ');
			if (line)
				*line++ = '\0';
		}
		make_ascii(value);
		/* A command can be called "42". */
		if (col + 1 < count && parse_number(value, &number))
			add_number(row, titles[col], number);
		else
			add_text(row, titles[col], value);
	}
	return row;
}

static struct json_object *parse_clients(FILE *file)
{
	struct json_object *rows = need(json_object_new_array());
	char *titles[MAX_COLUMNS];
	char *title_line = NULL;
	size_t title_size = 0;
	size_t count = 0;
	char *line = NULL;
	size_t size = 0;

	if (getline(&title_line, &title_size, file) > 0)
		count = split_titles(title_line, titles);
	while (count && getline(&line, &size, file) > 0) {
		struct json_object *row = parse_line(line, titles, count);
		struct json_object *pid;

		if (!row)
			continue;
		pid = json_object_object_get(row, "pid");
		if (json_object_get_int64(pid) == getpid())
			json_object_put(row);
		else
			json_object_array_add(rows, row);
	}
	free(line);
	free(title_line);
	return rows;
}

int clients_read(const struct mydev_entry *entry, struct json_object **rows)
{
	char *path;
	FILE *file;
	int ret = 0;

	if (asprintf(&path, DEBUGFS "/mydev/%s/clients",
		     mydev_entry_name(entry)) < 0)
		need(NULL);
	file = fopen(path, "re");
	free(path);
	if (!file)
		return -errno;
	*rows = parse_clients(file);
	if (ferror(file)) {
		ret = -EIO;
		json_object_put(*rows);
	}
	fclose(file);
	return ret;
}

void clients_print(FILE *out, struct json_object *rows)
{
	static const struct column columns[] = {
		{ "ID", "id", 0 },
		{ "PID", "pid", 0 },
		{ "ROLE", "role", 0 },
		{ "MODE", "mode", 0 },
		{ "POLICY", "policy", 0 },
		{ "LAG-PACKETS", "lag_packets", 0 },
		{ "LAG-BYTES", "lag_bytes", 4 },
		{ "READ-PACKETS", "read_packets", 1 },
		{ "READ-BYTES", "read_bytes", 2 },
		{ "LOST-PACKETS", "lost_packets", 0 },
		{ "LOST-BYTES", "lost_bytes", 3 },
		{ "COMMAND", "command", 0 },
		{ 0 },
	};

	print_table(out, rows, columns, true);
}

void clients_hint(int err)
{
	struct statfs fs;

	if (err == -EACCES || err == -EPERM)
		fprintf(stderr,
			"  Only root can see the clients of a device: run mydevctl clients as root.\n");
	else if (statfs(DEBUGFS, &fs) || fs.f_type != DEBUGFS_MAGIC)
		fprintf(stderr,
			"  The driver lists its clients in debugfs, which is not mounted. Mount it with:\n"
			"  mount -t debugfs none " DEBUGFS "\n");
	else
		fprintf(stderr,
			"  The loaded driver has no list of its clients; load one as new as this program.\n");
}

static int clients_error(const struct mydev_entry *entry, int err)
{
	char buf[16];

	/* Nothing is there any more of a device that is gone. */
	if (mydev_entry_attr(entry, "dev", buf, sizeof(buf)) < 0)
		return device_error(mydev_entry_path(entry), -ENODEV);
	complain("%s: the clients cannot be read: %s", mydev_entry_path(entry),
		 strerror(-err));
	clients_hint(err);
	return err == -EACCES || err == -EPERM ? EXIT_PERMISSION : EXIT_ERROR;
}

int cmd_clients(int argc, char **argv)
{
	struct common options = { .json_doc = "Print a JSON array of objects" };
	struct json_object *rows;
	struct target target;
	int status;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	status = target_look(&target, options.name);
	if (status)
		return status;
	ret = clients_read(target.entry, &rows);
	if (ret) {
		status = clients_error(target.entry, ret);
		goto out;
	}
	if (options.json)
		print_json(rows);
	else
		clients_print(stdout, rows);
	json_object_put(rows);
out:
	target_close(&target);
	return status;
}
