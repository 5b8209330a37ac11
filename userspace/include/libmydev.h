/* SPDX-License-Identifier: MIT */
/*
 * libmydev: find mydev devices, open them, ask them, read them, send to them.
 *
 * Rules of every function below:
 *  - a function that can fail returns a negative errno value, never -1 with
 *    errno; mydev_strerror() has a text for each;
 *  - nothing is printed, no signal is touched, there is no global state:
 *    different objects may be used from different threads at once, one object
 *    from one thread at a time. The exceptions are mydev_read() and mydev_write()
 *    with its relatives: any number of threads may read one device, and each
 *    byte goes to one of them; what one call sends is never mixed with another's;
 *  - strings are UTF-8, as the kernel decoded them, and belong to the object
 *    they came from. They were written by the maker of the device and may
 *    contain anything: filter them before they reach a terminal;
 *  - sizes are in bytes.
 *
 * The requests, their structures and the meaning of every member are in the
 * driver's own header, <linux/mydev.h>.
 */
#ifndef LIBMYDEV_H
#define LIBMYDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <linux/mydev.h>

#include "libmydev-client.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------ one device */

/** struct mydev - an open descriptor of a device. */
struct mydev;

/**
 * mydev_open() - open a device
 * @name: "0", "mydev0", or a path such as "/dev/mydev0"; links are followed. The other
 *	nodes of an interface are "0.83", "mydev0.83" and so on
 * @flags: O_RDONLY, O_WRONLY or O_RDWR, with O_NONBLOCK where wanted.
 *	O_CLOEXEC is always added.
 * @dev: where the new object goes; free it with mydev_close()
 *
 * A descriptor that can read is a member of the device's stream from here on:
 * what the device sends is kept for it until it is read or closed. For
 * questions alone use mydev_open_query().
 *
 * Before anything is opened, the node is checked to belong to the mydev
 * driver, because opening some other device's node can have an effect on it.
 * Needs /proc and /sys mounted.
 *
 * Return: 0, or
 *	-ENOENT	no such node;
 *	-ENXIO	the node exists and is no mydev device;
 *	-EACCES	no permission;
 *	-ENODEV	unplugged just now;
 *	-EBUSY	the device has its maximum of clients;
 *	-EPROTONOSUPPORT, -ENOTTY	driver and library do not fit together;
 *	-EINVAL	@flags has something else in it;
 *	other values of open(2) and ioctl(2).
 */
int mydev_open(const char *name, int flags, struct mydev **dev);

/**
 * mydev_open_query() - open a device only to ask it questions
 * @name: as for mydev_open()
 * @dev: where the new object goes; free it with mydev_close()
 *
 * The descriptor takes no part in the stream: nothing is kept for it. The
 * driver counts it among the clients like any other. That needs permission to
 * read and to write; with permission to read only, it is opened for reading
 * instead, and is a silent member until it is closed. mydev_is_reader() tells
 * which it was.
 *
 * Return: as mydev_open()
 */
int mydev_open_query(const char *name, struct mydev **dev);

/** MYDEV_ANY_ID - any vendor, or any product. */
#define MYDEV_ANY_ID (-1)

/**
 * mydev_open_match() - open the device that has these ids and this serial number
 * @id_vendor: idVendor, or MYDEV_ANY_ID
 * @id_product: idProduct, or MYDEV_ANY_ID
 * @serial: serial number, or NULL for any
 * @endpoint: address of an endpoint, such as 0x83, whose node it is to be; 0 for the
 *	first node of the interface
 * @flags: as for mydev_open()
 * @dev: where the new object goes; free it with mydev_close()
 *
 * With nothing given, it is the only device that there is.
 *
 * Return: as mydev_list_match(), or as mydev_open()
 */
int mydev_open_match(int id_vendor, int id_product, const char *serial,
		     unsigned int endpoint, int flags, struct mydev **dev);

/**
 * mydev_open_fd() - make an object of a descriptor that is open already
 * @fd: a descriptor of a device, such as the one whose number the environment
 *	variable MYDEV_FD has in a program that "mydevctl lease" has started
 * @dev: where the new object goes; free it with mydev_close()
 *
 * The object gets a duplicate: @fd stays the caller's to close. Both are one
 * descriptor to the driver, with one role, one queue and one lease, which end
 * when the last of the two is closed.
 *
 * Return: 0, or
 *	-EBADF	@fd is not open;
 *	-ENXIO	it is no mydev device, or one that is unplugged;
 *	-EMFILE	no descriptor is left;
 *	-EPROTONOSUPPORT, -ENOTTY	driver and library do not fit together
 */
int mydev_open_fd(int fd, struct mydev **dev);

/** mydev_close() - close and free; NULL is fine. */
void mydev_close(struct mydev *dev);

/**
 * mydev_fd() - the descriptor, for poll() and other calls
 *
 * It stays the library's: do not close it.
 */
int mydev_fd(const struct mydev *dev);

/** mydev_path() - path of the node, as it was opened. */
const char *mydev_path(const struct mydev *dev);

/** mydev_devnum() - device number of the node, to compare with an entry's. */
dev_t mydev_devnum(const struct mydev *dev);

/** mydev_is_reader() - whether the descriptor is a member of the stream. */
bool mydev_is_reader(const struct mydev *dev);

/**
 * mydev_get_info() - what the device is
 * @dev: the device
 * @info: filled in; members that a kernel older than this header does not
 *	know are 0, and @info->size is the kernel's size of the structure
 * @size: sizeof(*@info), so that a library newer than its caller writes no
 *	more than the caller has room for
 *
 * Works after an unplug as well. Never sets the device streaming.
 *
 * Return: 0, -EINVAL for a @size no version of the structure had, -ENOTTY for
 *	a driver without this request
 */
int mydev_get_info(const struct mydev *dev, struct mydev_info *info,
		   size_t size);

/**
 * mydev_get_stats() - counters of the device and of this descriptor
 * @dev: the device
 * @stats: filled in; all counters are of one moment
 * @size: sizeof(*@stats)
 *
 * Return: as mydev_get_info()
 */
int mydev_get_stats(const struct mydev *dev, struct mydev_stats *stats,
		    size_t size);

/**
 * mydev_get_config() - how this descriptor reads and writes
 * @dev: the device
 * @config: filled in; where @dev is not for reading, all but @config->flags is 0
 * @size: sizeof(*@config)
 *
 * Return: as mydev_get_info()
 */
int mydev_get_config(const struct mydev *dev, struct mydev_config *config,
		     size_t size);

/**
 * mydev_set_config() - change how this descriptor reads and writes
 * @dev: the device
 * @config: best what mydev_get_config() returned, with some members changed;
 *	its size member is ignored
 * @size: sizeof(*@config)
 *
 * Takes effect at once and for this descriptor alone. Nothing is lost by it.
 *
 * Return: 0, or
 *	-EOPNOTSUPP	the driver does not know this mode, policy or clock, or
 *		the interface sends nothing;
 *	-ERANGE	queue_depth is 0 or above mydev_info.max_queue_depth;
 *	-EBADF	@dev is not for reading, and more than @config->flags is set;
 *	-ENOMEM	no memory for a ring;
 *	-E2BIG	a member that this driver does not know is set
 */
int mydev_set_config(const struct mydev *dev, const struct mydev_config *config,
		     size_t size);

/**
 * mydev_get_geometry() - the receive ring of the device, and its limits
 * @dev: the device, opened in any way
 * @geometry: filled in
 * @size: sizeof(*@geometry)
 *
 * Return: as mydev_get_info()
 */
int mydev_get_geometry(const struct mydev *dev, struct mydev_geometry *geometry,
		       size_t size);

/**
 * mydev_set_geometry() - change the receive ring of the device
 * @dev: the device, opened for writing
 * @geometry: best what mydev_get_geometry() returned, with some members
 *	changed. On return it holds what is in use, and the limits, also with
 *	-ERANGE
 * @size: sizeof(*@geometry)
 *
 * The ring belongs to everybody, so this works only while nobody asks for data.
 * What could be gone back to is gone then, see mydev_rewind().
 *
 * Return: 0, or
 *	-ERANGE	a member is beyond its limit;
 *	-EBUSY	somebody asks for data, has some queued, or has memory mapped;
 *	-EBADF	@dev is not for writing;
 *	-EOPNOTSUPP	the interface sends nothing;
 *	-ENOMEM	no memory for so large a pool or log; the old one is still in use;
 *	-ENODEV	unplugged
 */
int mydev_set_geometry(const struct mydev *dev, struct mydev_geometry *geometry,
		       size_t size);

/**
 * mydev_get_recovery() - what is done after an error
 * @dev: the device, opened in any way
 * @recovery: filled in
 * @size: sizeof(*@recovery)
 *
 * Return: as mydev_get_info()
 */
int mydev_get_recovery(const struct mydev *dev, struct mydev_recovery *recovery,
		       size_t size);

/**
 * mydev_set_recovery() - change what is done after an error
 * @dev: the device, opened for writing
 * @recovery: best what mydev_get_recovery() returned, with some members changed. On
 *	return it holds what is in use
 * @size: sizeof(*@recovery)
 *
 * For everybody, at any time, until the device is unplugged.
 *
 * Return: 0, or
 *	-ERANGE	a time is 0, longer than a minute, or longer than the longest;
 *	-EOPNOTSUPP	the driver does not know this clear_halt;
 *	-EBUSY	somebody else holds the lease;
 *	-EBADF	@dev is not for writing;
 *	-ENOTTY	the driver has no such policy: mydev_info.features has no
 *		MYDEV_FEATURE_RECOVERY;
 *	-ESTALE	this descriptor was revoked;
 *	-ENODEV	unplugged
 */
int mydev_set_recovery(const struct mydev *dev, struct mydev_recovery *recovery,
		       size_t size);

/**
 * mydev_read() - read bytes of the stream, or records
 * @dev: the device, opened for reading
 * @buf: where they go
 * @count: room in @buf; 64 KiB and more is efficient
 *
 * One call of read(2), not repeated. In packet mode the result is whole
 * records, which mydev_next_record() takes apart.
 *
 * Return: the number of bytes, at most @count; 0 only for a @count of 0; or
 *	-EAGAIN	nothing is there, and O_NONBLOCK was asked for;
 *	-EINTR	a signal came first;
 *	-ENOBUFS	stream mode: data was lost here; the next read goes on
 *		behind the gap;
 *	-EMSGSIZE	packet mode: @count is too small for the next record;
 *		nothing is lost by that;
 *	-EIO	the device failed for good, see mydev_restart();
 *	-ENODEV	unplugged, and everything that had arrived was read;
 *	-EOPNOTSUPP	the interface sends nothing
 */
ssize_t mydev_read(const struct mydev *dev, void *buf, size_t count);

/**
 * mydev_rewind() - go back to what the driver still has, or on
 * @dev: the device, opened for reading; what is taken by a client goes back by
 *	mydev_client_rewind()
 * @to: MYDEV_REWIND_OLDEST, _SEQUENCE or _TIME
 * @value: for MYDEV_REWIND_SEQUENCE the number of a packet; for _TIME a time,
 *	CLOCK_MONOTONIC, nanoseconds; else 0
 * @sequence: set to the number of the packet that is read next; may be NULL
 *
 * What is not there any more is left out, and what has not come yet is not waited
 * for: it goes on with the nearest packet. Packets stay as long as the driver has
 * memory for them, and somebody has the device open for reading. See struct
 * mydev_rewind for how they are counted.
 *
 * Return: 0, or
 *	-EBUSY	the descriptor is being read;
 *	-EBADF	@dev is not for reading;
 *	-EINVAL	@value is not 0, and @to is MYDEV_REWIND_OLDEST;
 *	-EOPNOTSUPP	the driver does not know this @to, or the interface
 *		sends nothing;
 *	-ESTALE	this descriptor was revoked;
 *	-ENOTTY	the driver keeps nothing: mydev_info.features has no
 *		MYDEV_FEATURE_REWIND
 */
int mydev_rewind(const struct mydev *dev, unsigned int to, uint64_t value,
		 uint64_t *sequence);

/* ------------------------------------------------------------- sending */

/*
 * All of these need a device that was opened for writing, but for
 * mydev_revoke(). Errors that any of them can return besides its own:
 *	-EBADF	@dev is not for writing;
 *	-EBUSY	somebody else holds the lease: see mydev_lease_acquire();
 *	-ENODEV	unplugged;
 *	-ESTALE	this descriptor was revoked;
 *	-ENOTTY	the driver is older than this library
 */

/**
 * mydev_write() - send bytes, as one message
 * @dev: the device, opened for writing
 * @buf: the bytes
 * @count: how many; more than mydev_info.send_room is sent while it waits
 *
 * One call of write(2), not repeated. The bytes go out in one piece, whoever
 * else writes, and only the last packet on the wire may be a short one. Returns
 * when the driver has them, which is before the device has: mydev_sync() waits
 * for that.
 *
 * Return: the number of bytes that were taken: less than @count only where a
 *	signal came, or with O_NONBLOCK; or
 *	-EAGAIN	there is no room or somebody else writes, and O_NONBLOCK was
 *		asked for;
 *	-EINTR	a signal came first, nothing was taken;
 *	-EPIPE	the device refused what an earlier call had sent; that is lost,
 *		and all behind it. Said once, then the next call starts anew;
 *	-EIO	the same for an error of the bus;
 *	-EOPNOTSUPP	the interface receives nothing
 */
ssize_t mydev_write(const struct mydev *dev, const void *buf, size_t count);

/**
 * mydev_writev() - send bytes from several places, as one message
 * @dev: the device, opened for writing
 * @parts: where the bytes are, for instance a header and what belongs to it
 * @count: how many parts, at most 1024
 *
 * Return: as mydev_write()
 */
ssize_t mydev_writev(const struct mydev *dev, const struct iovec *parts,
		     int count);

/**
 * mydev_sync() - wait until the device has taken what this descriptor has sent
 * @dev: the device, opened for writing
 *
 * Waits for as long as the device makes it wait. How many bytes the device has
 * and has not, mydev_get_stats() tells.
 *
 * Return: 0, or
 *	-EINTR	a signal came; sending goes on;
 *	-EPIPE, -EIO	as mydev_write(): not all of it was taken
 */
int mydev_sync(const struct mydev *dev);

/**
 * mydev_set_terminate() - end each message in a way that the device can see
 * @dev: the device, opened for writing
 * @on: whether a mydev_write() that fills its last packet is followed by a
 *	packet without bytes; off when a device is opened
 *
 * Return: 0, or as mydev_set_config()
 */
int mydev_set_terminate(const struct mydev *dev, bool on);

/**
 * mydev_control() - one control request
 * @dev: the device, opened for writing
 * @request_type: bmRequestType; with bit 7 set, the request brings data
 * @request: bRequest
 * @value: wValue
 * @index: wIndex
 * @data: what is sent, or room for what comes
 * @length: bytes of it, 0 to 65535
 * @timeout_ms: milliseconds that the device may take, 1 to 60000; 0 for 5000
 *
 * Vendor and class requests to the interface (its number is the low byte of
 * @index) or one of its endpoints (the same with its address), and to the device
 * where it has no other interface. Where the attribute "control_scope" is "device",
 * which is up to the administrator, also to the device, its siblings and their
 * endpoints.
 *
 * Return: the number of bytes that were sent or have come, or
 *	-EACCES	the request would reach outside of the interface;
 *	-EBUSY	somebody else has the lease, or somebody has that of the sibling;
 *	-ERANGE	a number is too large;
 *	-EPIPE	the device refused;
 *	-ETIMEDOUT	it did not answer in time;
 *	-EOVERFLOW	it sent more than @length;
 *	-EINTR	a signal came;
 *	-EIO	an error of the bus
 */
ssize_t mydev_control(const struct mydev *dev, unsigned int request_type,
		      unsigned int request, unsigned int value,
		      unsigned int index, void *data, size_t length,
		      unsigned int timeout_ms);

/**
 * mydev_transact() - send, and wait for the answer
 * @dev: the device, opened for reading and writing
 * @out: what is sent
 * @out_length: bytes of it, 1 to 65536
 * @in: room for the answer
 * @in_length: bytes of it, 1 to 65536
 * @timeout_ms: milliseconds for both, 1 to 60000; 0 for 5000
 * @truncated: set to whether the answer was longer than @in_length; may be NULL
 *
 * The answer ends with a short packet or after @in_length bytes. What anybody
 * else sends goes before or behind. All readers of the device get the answer
 * too, this descriptor as well: whoever does not read it from there lets it not
 * fill up with mydev_config.policy MYDEV_POLICY_DROP_OLDEST.
 *
 * Return: the number of bytes of the answer, or
 *	-EAGAIN	somebody else is sending, and O_NONBLOCK was asked for;
 *	-ERANGE	a number is beyond its limit;
 *	-EPIPE	the device refused what was sent;
 *	-ETIMEDOUT	no answer came in time;
 *	-EINTR	a signal came;
 *	-EIO	an error of the bus;
 *	-EOPNOTSUPP	the interface has no endpoint for one of the directions
 */
ssize_t mydev_transact(const struct mydev *dev, const void *out,
		       size_t out_length, void *in, size_t in_length,
		       unsigned int timeout_ms, bool *truncated);

/**
 * mydev_clear_halt() - clear the halt of a bulk endpoint, by hand
 * @dev: the device, opened for writing
 * @endpoint: mydev_info.ep_in or ep_out
 *
 * The driver does that on its own where an endpoint stalls, see struct mydev_recovery.
 *
 * Return: 0, -EACCES for another endpoint, -EPIPE where the device refused,
 *	-EIO for an error of the bus, -ETIMEDOUT where it has not answered
 */
int mydev_clear_halt(const struct mydev *dev, unsigned int endpoint);

/**
 * mydev_set_alternate() - change the alternate setting of the interface
 * @dev: the device, opened for writing
 * @setting: bAlternateSetting
 *
 * For everybody: readers go on with the new endpoints, and in packet mode get a
 * MYDEV_EVENT_ALTERNATE. Ask mydev_get_info() for the endpoints anew.
 *
 * Return: 0, -ERANGE where there is no such setting, -EPIPE where the device
 *	refused, -EIO for an error of the bus, -ETIMEDOUT where it has not answered; then
 *	it is brought back to the setting that it had
 */
int mydev_set_alternate(const struct mydev *dev, unsigned int setting);

/**
 * mydev_restart() - set a stream that has failed going again
 * @dev: the device, opened for writing
 *
 * For everybody who got -EIO from reading. One that is between two tries is tried now;
 * any other is left alone. Does not wait for the device.
 *
 * Return: 0, -EOPNOTSUPP where the interface sends nothing
 */
int mydev_restart(const struct mydev *dev);

/**
 * mydev_reset() - reset the device
 * @dev: the device, opened for writing
 *
 * All of it, also those of its interfaces that other drivers have. Descriptors
 * stay open; what the device had not sent yet is lost.
 *
 * Return: 0, -EPERM without CAP_SYS_ADMIN, -EIO where it did not come back
 */
int mydev_reset(const struct mydev *dev);

/** MYDEV_WAIT_FOREVER - a timeout of mydev_lease_acquire() that never ends. */
#define MYDEV_WAIT_FOREVER 0xffffffffU

/**
 * mydev_lease_acquire() - be the only one who may send and control
 * @dev: the device, opened for writing
 * @timeout_ms: milliseconds to wait while somebody else has the lease, 0 for
 *	not at all, MYDEV_WAIT_FOREVER
 *
 * Readers do not notice. It ends with mydev_lease_release(), with the last
 * close of the descriptor, or when that is revoked. Who holds it is in the
 * attribute "lease", see mydev_entry_attr(): a process id, a blank and the name
 * of its command, or nothing.
 *
 * Return: 0, also where this descriptor has it already; or
 *	-EBUSY	somebody else has it, and @timeout_ms is 0;
 *	-EAGAIN	the same with O_NONBLOCK;
 *	-ETIMEDOUT	somebody else has it, and still had it then;
 *	-EINTR	a signal came
 */
int mydev_lease_acquire(const struct mydev *dev, unsigned int timeout_ms);

/** mydev_lease_release() - let others send again; 0, also without a lease. */
int mydev_lease_release(const struct mydev *dev);

/**
 * mydev_revoke() - take a descriptor away from whoever has it
 * @dev: the device, opened in any way
 * @client_id: mydev_info.client_id of that descriptor, which is also in
 *	debugfs; 0 for the one of @dev
 *
 * All that it can do from then on is to be closed. Its queue, its lease and
 * what it had not sent are given up.
 *
 * Return: 0, -ESRCH where no descriptor has that number, -EPERM for another
 *	one than that of @dev without CAP_SYS_ADMIN
 */
int mydev_revoke(const struct mydev *dev, unsigned int client_id);

/* ---------------------------------------------------------- packet mode */

/**
 * struct mydev_record - one record of packet mode
 * @header: as in the buffer
 * @payload: @header.length bytes, in the buffer, aligned like the buffer
 * @gap: of a MYDEV_RECORD_GAP, zero otherwise
 * @event: of a MYDEV_RECORD_EVENT, zero otherwise
 */
struct mydev_record {
	struct mydev_packet_header header;
	const void *payload;
	struct mydev_gap_record gap;
	struct mydev_event_record event;
};

/**
 * mydev_next_record() - the next record of a buffer
 * @pos: where it begins; moved behind it. At first the buffer that
 *	mydev_read() filled
 * @left: bytes from there on; reduced. At first what mydev_read() returned
 * @record: filled in; @record->payload is valid as long as the buffer is
 *
 * Nothing outside of the buffer is touched, whatever is in it. Skip records of
 * a type that you do not know.
 *
 * Return: 1 for a record, 0 at the end, -EPROTO for what is no whole record
 */
int mydev_next_record(const void **pos, size_t *left,
		      struct mydev_record *record);

/* ---------------------------------------------------------------- names */

/*
 * Names for the values of the driver's header, as sysfs and debugfs have them.
 * NULL for a value that this library does not know.
 */
const char *mydev_state_name(unsigned int state);           /* "running" */
const char *mydev_mode_name(unsigned int mode);             /* "packet" */
const char *mydev_policy_name(unsigned int policy);         /* "drop-oldest" */
const char *mydev_clock_name(unsigned int clock);           /* "monotonic" */
const char *mydev_record_name(unsigned int type);           /* "gap" */
const char *mydev_event_name(unsigned int event);           /* "stall" */
const char *mydev_clear_halt_name(unsigned int clear_halt); /* "never" */

/* The value of such a name, or -EINVAL. */
int mydev_mode_value(const char *name);
int mydev_policy_value(const char *name);
int mydev_clock_value(const char *name);
int mydev_clear_halt_value(const char *name);

/* ------------------------------------------------------ which there are */

/** struct mydev_list - the devices that were present at one moment. */
struct mydev_list;

/** struct mydev_entry - one of them. Belongs to its list. */
struct mydev_entry;

/**
 * mydev_list_new() - look which devices there are
 * @list: where the new list goes; free it with mydev_list_free()
 *
 * Reads sysfs and opens no device, so no permission is needed. A list without
 * entries is a success: no device is plugged in, or no driver is loaded.
 *
 * Return: 0, -ENOMEM, or what opendir(3) said about sysfs
 */
int mydev_list_new(struct mydev_list **list);

/** mydev_list_free() - free the list and its entries; NULL is fine. */
void mydev_list_free(struct mydev_list *list);

/** mydev_list_count() - number of entries. */
size_t mydev_list_count(const struct mydev_list *list);

/**
 * mydev_list_get() - the entry at @pos, in the order of device numbers
 *
 * Return: NULL behind the last entry
 */
const struct mydev_entry *mydev_list_get(const struct mydev_list *list,
					 size_t pos);

/** mydev_list_by_devnum() - the entry with this device number, or NULL. */
const struct mydev_entry *mydev_list_by_devnum(const struct mydev_list *list,
					       dev_t devnum);

/**
 * mydev_list_find() - the entry that a name means
 * @list: the list
 * @name: as for mydev_open(); the node is looked at, and not opened
 * @entry: where the entry goes
 *
 * Return: 0, -ENOENT for no such node, -ENXIO for one that is no mydev device,
 *	-ENODEV for one that is not in the list, or what stat(2) said
 */
int mydev_list_find(const struct mydev_list *list, const char *name,
		    const struct mydev_entry **entry);

/**
 * mydev_list_match() - the one entry that has these ids and this serial number
 * @list: the list
 * @id_vendor: idVendor, or MYDEV_ANY_ID
 * @id_product: idProduct, or MYDEV_ANY_ID
 * @serial: serial number, or NULL for any
 * @endpoint: address of an endpoint that the node is for, in the alternate setting in
 *	use, or that it is named by; 0 for the first node of an interface
 * @entry: where the entry goes
 *
 * Return: 0, -ENOENT for none, -ENOTUNIQ for several, of which @entry is the
 *	first
 */
int mydev_list_match(const struct mydev_list *list, int id_vendor,
		     int id_product, const char *serial, unsigned int endpoint,
		     const struct mydev_entry **entry);

/** mydev_entry_name() - "mydev0", "mydev0.83". */
const char *mydev_entry_name(const struct mydev_entry *entry);

/** mydev_entry_path() - "/dev/mydev0", "/dev/mydev0.83". */
const char *mydev_entry_path(const struct mydev_entry *entry);

/** mydev_entry_index() - the 0 of "mydev0" and "mydev0.83". */
unsigned int mydev_entry_index(const struct mydev_entry *entry);

/**
 * mydev_entry_pipe() - which endpoints of the interface the node is for: mydev_info.pipe;
 * 0 where the driver is an older one
 */
unsigned int mydev_entry_pipe(const struct mydev_entry *entry);

/** mydev_entry_is_first() - whether it is the first node of its interface: "mydev0". */
bool mydev_entry_is_first(const struct mydev_entry *entry);

/** mydev_entry_devnum() - device number of the node. */
dev_t mydev_entry_devnum(const struct mydev_entry *entry);

/** mydev_entry_id_vendor() - idVendor of the USB device. */
unsigned int mydev_entry_id_vendor(const struct mydev_entry *entry);

/** mydev_entry_id_product() - idProduct of the USB device. */
unsigned int mydev_entry_id_product(const struct mydev_entry *entry);

/** mydev_entry_interface() - bInterfaceNumber. */
unsigned int mydev_entry_interface(const struct mydev_entry *entry);

/** mydev_entry_manufacturer() - "" where the device has no such string. */
const char *mydev_entry_manufacturer(const struct mydev_entry *entry);

/** mydev_entry_product() - "" where the device has no such string. */
const char *mydev_entry_product(const struct mydev_entry *entry);

/** mydev_entry_serial() - "" where the device has no such string. */
const char *mydev_entry_serial(const struct mydev_entry *entry);

/**
 * mydev_entry_usb_device() - the name of the USB device, such as "1-2.3"
 * @entry: the device
 *
 * The same for all interfaces of one USB device.
 */
const char *mydev_entry_usb_device(const struct mydev_entry *entry);

/**
 * mydev_entry_siblings() - the other nodes of its USB device
 * @entry: the device
 *
 * Return: their names with blanks in between, such as "mydev1 mydev2"; "" for none, or
 *	where the driver does not tell
 */
const char *mydev_entry_siblings(const struct mydev_entry *entry);

/** mydev_entry_readable() - whether this process may open it for reading. */
bool mydev_entry_readable(const struct mydev_entry *entry);

/**
 * mydev_entry_attr() - read one sysfs attribute of the device now
 * @entry: the device
 * @attr: name below /sys/class/mydev/mydevN, such as "state" or "stats/bytes"
 * @buf: gets the text without its line end, always terminated
 * @size: room in @buf; what is longer is cut
 *
 * Return: length of the text, -ENOENT for an attribute that this device or
 *	this driver does not have, -ENODEV after an unplug
 */
ssize_t mydev_entry_attr(const struct mydev_entry *entry, const char *attr,
			 char *buf, size_t size);

/**
 * mydev_entry_set_attr() - write one sysfs attribute of the device
 * @entry: the device
 * @attr: name below /sys/class/mydev/mydevN, such as "block_timeout_ms"
 * @text: the new value
 *
 * Return: 0, -EACCES for want of permission (sysfs belongs to root), or what
 *	the driver says about the value
 */
int mydev_entry_set_attr(const struct mydev_entry *entry, const char *attr,
			 const char *text);

/* ---------------------------------------------------------------- errors */

/**
 * mydev_strerror() - an error in words: the cause, and what to do about it
 * @err: a negative errno value as the functions above return it
 *
 * Return: a constant text without a full stop or line end
 */
const char *mydev_strerror(int err);

#ifdef __cplusplus
}
#endif

#endif /* LIBMYDEV_H */
