/* SPDX-License-Identifier: MIT */
/*
 * mydevctl: what its commands share.
 */
#ifndef MYDEVCTL_TOOL_H
#define MYDEVCTL_TOOL_H

#include <argp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <json-c/json.h>

#include "libmydev.h"

/* Part of the interface: the man page and --help list them. */
enum exit_code {
	EXIT_OK = 0,
	EXIT_ERROR = 1,
	EXIT_USAGE = 2,
	EXIT_NO_DEVICE = 3,
	EXIT_PERMISSION = 4,
	EXIT_UNPLUGGED = 5,
	EXIT_LOST = 6,
};

#define EXIT_CODES_DOC \
	"Exit status: 0 all went well, 1 another error, 2 usage, " \
	"3 no such device, 4 permission denied, 5 the device was " \
	"unplugged, 6 data was lost."

#define DEV_DOC \
	"DEV is a path (/dev/mydev0), a name (mydev0) or a number (0), for " \
	"further endpoints of an interface mydev0.83 or 0.83; " \
	"it can be left out where only one device is present."

int cmd_list(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_cat(int argc, char **argv);
int cmd_stats(int argc, char **argv);
int cmd_config(int argc, char **argv);
int cmd_clients(int argc, char **argv);
int cmd_write(int argc, char **argv);
int cmd_control(int argc, char **argv);
int cmd_transact(int argc, char **argv);
int cmd_lease(int argc, char **argv);
int cmd_alt(int argc, char **argv);
int cmd_halt(int argc, char **argv);
int cmd_recovery(int argc, char **argv);
int cmd_restart(int argc, char **argv);
int cmd_reset(int argc, char **argv);
int cmd_revoke(int argc, char **argv);

/* messages.c */

/* One line on stderr, with the program's name in front. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says what happened to the device at @path and what to do; the exit status. */
int device_error(const char *path, int err);

/* The same where no device is there and none was named. */
int no_device(void);

/* target.c: the device that a command was pointed at */
struct target {
	struct mydev *dev;
	struct mydev_list *list;
	const struct mydev_entry *entry; /* in @list */
	bool inherited;
};

/*
 * Opens @name, or the only device where it is NULL; @flags as in mydev_open(),
 * or TARGET_QUERY, or TARGET_FULL: for reading and writing, or where only that
 * is permitted for writing. Complains on its own. EXIT_OK, or the exit status to end
 * with; target_close() is for the first case only.
 */
#define TARGET_QUERY (-1)
#define TARGET_FULL  (-2)
int target_open(struct target *target, const char *name, int flags);
void target_close(struct target *target);

/*
 * The same for what only the holder of the lease may do. Where the program was
 * started by mydevctl lease, that is the descriptor in FD_VARIABLE, whatever
 * @flags are; @target->inherited tells.
 */
#define FD_VARIABLE "MYDEV_FD"
int target_open_sender(struct target *target, const char *name, int flags);

/* The latter where something is to be changed, the former to look. */
int target_open_to(struct target *target, const char *name, bool change);

/* Whether this is, or looks like, the name of a device and not of a file. */
bool is_device_name(const char *name);

/* The same without opening the device; @target->dev is NULL then. */
int target_look(struct target *target, const char *name);

/* common.c: the options that many commands have, and DEV */
struct common {
	const char *json_doc; /* in place of the usual one */
	bool json;
	unsigned int timeout_ms; /* 0: the driver's default */
	const char *name;        /* DEV */
};

/*
 * Children of a command's argp: --json and DEV, and --timeout-ms besides. Its parser gives
 * them a struct common as input when it gets ARGP_KEY_INIT, and leaves ARGP_KEY_ARG
 * to them where there is nothing but DEV.
 */
extern const struct argp_child with_common[];
extern const struct argp_child with_timeout[];

/* A parser of DEV alone; its input is a const char **, NULL at first. */
error_t parse_device(int key, char *arg, struct argp_state *state);

/* parse.c: numbers on the command line; false for what is none */
bool parse_number(const char *text, uint64_t *number);
/* Up to @max, and with 0x in hexadecimal digits. */
bool parse_limited(const char *text, unsigned int max, unsigned int *number);
bool parse_bytes(const char *text, uint64_t *bytes);
bool parse_seconds(const char *text, double *seconds);

/* Seconds since some moment, for differences. */
double now(void);

/*
 * output.c: results are built as JSON objects and printed as JSON, or as text
 * from the same object, so the two cannot tell different stories.
 */
void add_text(struct json_object *obj, const char *key, const char *text);
void add_hex(struct json_object *obj, const char *key, unsigned int value,
	     int digits);
void add_number(struct json_object *obj, const char *key, uint64_t value);
void add_real(struct json_object *obj, const char *key, double value);
void add_null(struct json_object *obj, const char *key);

/* The text of a sysfs attribute, null where the device does not have it. */
void add_words(struct json_object *obj, const char *key, const char *text);
void add_attr(struct json_object *obj, const struct mydev_entry *entry,
	      const char *attr);

void print_json(struct json_object *obj);
void print_json_line(FILE *out, struct json_object *obj);
void print_fields(struct json_object *obj);

struct column {
	const char *title;
	const char *key;
	/* Where a terminal is too narrow: 1 is left out first; 0 never, but cut */
	int expendable;
};

/* Columns of the terminal that @out is, or as many as can be where it is none. */
int terminal_width(FILE *out);

/* @rows is an array of objects; @columns ends with a NULL title. */
void print_table(FILE *out, struct json_object *rows,
		 const struct column *columns, bool header);

/* What an older driver does not tell is null. */
void add_known(struct json_object *obj, const char *key, bool known,
	       uint64_t value);

/* Ends the program where memory is out: there is nothing left to do then. */
void *need(void *memory);

/* data.c: bytes */
struct data {
	unsigned char *bytes;
	size_t length;
};

/*
 * Whether this is pairs of hexadecimal digits, maybe behind a 0x; only those can
 * be added.
 */
bool is_hex(const char *text);
void data_add_hex(struct data *data, const char *text);

/* The whole of @file, or of standard input for NULL and "-"; the exit status */
int data_read(struct data *data, const char *file, size_t limit);
void data_free(struct data *data);

/* The same as a descriptor, -1 after a complaint; and what to call it. */
int open_input(const char *file);
const char *input_name(const char *file);

/* Up to the end of the file or a signal. The bytes, or a negative errno. */
ssize_t read_fully(int fd, void *buf, size_t count);

void add_data(struct json_object *obj, const char *key, const void *bytes,
	      size_t count);
void print_dump(const void *bytes, size_t count);

/* Whether any bytes may go to standard output; complains on its own. */
bool raw_fits_here(void);

/* lease.c: who may send */
struct holder {
	uint64_t pid;
	char command[64]; /* printable ASCII */
};

/* False where nobody holds the lease, or the driver knows of none. */
bool lease_holder(const struct mydev_entry *entry, struct holder *holder);

/*
 * A device that is being unplugged may first look like an error of the bus:
 * -ENODEV for -EIO where it is that.
 */
int unplugged_or(const struct target *target, int err);

/*
 * Says why a request to send or to control has failed: as device_error(), but
 * for EBUSY, which is about the lease here. The exit status.
 */
int sender_error(const struct target *target, int err);

/* cmd_clients.c */

/*
 * The clients of a device as the driver lists them in debugfs, but for this
 * process itself. 0, or a negative errno that clients_hint() explains.
 */
int clients_read(const struct mydev_entry *entry, struct json_object **rows);
void clients_print(FILE *out, struct json_object *rows);
void clients_hint(int err);

/* watch.c: until a signal or the unplugging ends it; the exit status */
int watch_stats(const struct target *target, double seconds, bool json);

/* Open descriptors of the device but for the one that asks. */
unsigned int other_clients(const struct mydev_stats *stats);
const char *state_name(unsigned int state);

/* packets.c: a record of packet mode as a line of text or of JSON */
struct packet_style {
	bool json;
	bool payload; /* all of it, not only its first bytes */
};

void print_record(FILE *out, const struct mydev_record *record,
		  const struct packet_style *style);

/* interrupt.c: SIGINT, SIGTERM, and the end of a time */
enum interrupt {
	INTERRUPT_NONE = 0,
	INTERRUPT_SECONDS,
	INTERRUPT_SIGNAL,
};

/*
 * From here on these end no program but make interrupted() tell, and calls that
 * block return with EINTR. @seconds of 0 is no limit. 0 or a negative errno.
 */
int interrupt_begin(double seconds);
enum interrupt interrupted(void);
void interrupt_end(void);

/*
 * The same for what waits with ppoll(): SIGINT and SIGTERM are blocked, and come
 * only with the mask @waiting, so none can slip in between a look at interrupted()
 * and the wait.
 */
int interrupt_block(sigset_t *waiting);

/* progress.c: one line on stderr, once a second, where @on is set */
struct progress {
	bool on;
	double start;
	double last;
	uint64_t last_bytes;
};

void progress_begin(struct progress *progress);
void progress_show(struct progress *progress, uint64_t bytes);
void progress_end(const struct progress *progress);
void progress_total(uint64_t bytes, double seconds);

/* copy.c */
enum copy_end {
	COPY_BYTES = 1, /* as many as were asked for */
	COPY_PACKETS,   /* the same in packet mode */
	COPY_SECONDS,   /* as long as was asked for */
	COPY_SIGNAL,    /* SIGINT or SIGTERM */
	COPY_UNPLUGGED, /* and everything that had arrived was copied */
	COPY_PIPE,      /* nobody reads the output any more */
	COPY_READ_ERROR,
	COPY_WRITE_ERROR,
};

struct copy {
	/* in */
	struct mydev *dev;
	int out;
	uint64_t limit; /* bytes, or packets in packet mode */
	double seconds; /* 0: no limit */
	bool progress;  /* one line on stderr, once a second */
	bool verbose;   /* tell about gaps of a stream, once a second */
	bool patient;   /* there is a watermark to be waited for */
	bool packets;   /* the descriptor is in packet mode */
	struct packet_style style;
	/* out */
	enum copy_end end;
	int error;      /* negative errno of the two error ends */
	uint64_t bytes; /* of payload in packet mode */
	uint64_t nr_packets;
	uint64_t gaps;
	uint64_t gaps_told; /* of them, and when the last time was */
	double told;
	uint64_t nr_events;
	double elapsed;
};

void copy_run(struct copy *copy);

#endif /* MYDEVCTL_TOOL_H */
