/* SPDX-License-Identifier: MIT */
/*
 * libmydev: packets where they lie, an event loop that the caller owns, and news
 * of devices that come and go. Included by <libmydev.h>, whose rules hold here.
 */
#ifndef LIBMYDEV_CLIENT_H
#define LIBMYDEV_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mydev;
struct mydev_entry;

/* --------------------------------------------------------------- packets */

/** struct mydev_client - takes the packets of one open device. */
struct mydev_client;

/* flags of mydev_client_new() */
#define MYDEV_CLIENT_RING (1U << 0) /* the mapped ring, or fail */
#define MYDEV_CLIENT_COPY (1U << 1) /* reading into memory of the library */

/** MYDEV_CLIENT_HELD - packets that can be held at once, at most. */
#define MYDEV_CLIENT_HELD 64U

/**
 * struct mydev_packet - a packet, a gap, or an event
 * @data: of a packet: its bytes, until it is released; not to be written to
 * @length: how many; 0 of anything else, and of a packet that the device sent
 *	without any
 * @sequence: of a packet: its number since the device was plugged in; of a gap:
 *	that of the first packet that was lost; of an event: that of the next one
 * @timestamp_ns: when it came, by mydev_config.clock; 0 for a gap
 * @type: MYDEV_RECORD_PACKET, _GAP or _EVENT
 * @flags: MYDEV_PACKET_*
 * @status: of a packet: 0, or the negative errno that its transfer ended with
 *	after these bytes; of an event: the negative errno that goes with it, or 0
 * @event: of an event: MYDEV_EVENT_*
 * @gap_packets: of a gap: packets that were lost
 * @gap_bytes: of a gap: bytes that were lost
 * @number: the library's own
 * @reserved: zero
 */
struct mydev_packet {
	const void *data;
	size_t length;
	uint64_t sequence;
	uint64_t timestamp_ns;
	uint32_t type;
	uint32_t flags;
	int32_t status;
	uint32_t event;
	uint64_t gap_packets;
	uint64_t gap_bytes;
	uint64_t number;
	uint64_t reserved[2];
};

/**
 * mydev_client_new() - take packets from a device
 * @dev: the device, opened for reading; for the ring, for reading and writing.
 *	It has to stay open until the client is freed
 * @flags: 0, or one of MYDEV_CLIENT_*
 * @client: where the new object goes; free it with mydev_client_free()
 *
 * With @flags 0, packets are used where the kernel has them, in memory that is
 * mapped (struct mydev_ring), where that is possible; otherwise they are read
 * into memory of the library. What comes is the same. The device is asked to
 * send from here on. Until the client is freed, the device is in another mode:
 * mydev_read() is not for use meanwhile, nor is mydev_config.mode to be changed.
 * Policy, depth and clock are what they are now: change them before.
 *
 * With the ring, a descriptor that is revoked (mydev_revoke()) takes the bytes of
 * its packets with it: touching those raises SIGBUS, and a packet that is held was
 * taken away (-ENOBUFS when it is released); mydev_client_next() returns -ESTALE.
 * Whoever has to live on uses MYDEV_CLIENT_COPY.
 *
 * Return: 0, or
 *	-EBADF	@dev is not for reading; or not for reading and writing, and
 *		MYDEV_CLIENT_RING was asked for;
 *	-EBUSY	the descriptor has a client with a ring, or is being read;
 *	-EOPNOTSUPP	the interface sends nothing; or the driver has no ring,
 *		and MYDEV_CLIENT_RING was asked for;
 *	-EINVAL	@flags has something else in it;
 *	-ENOMEM, -ENODEV, -ESTALE
 */
int mydev_client_new(struct mydev *dev, unsigned int flags,
		     struct mydev_client **client);

/**
 * mydev_client_free() - take no more packets; NULL is fine
 *
 * All that is held is invalid then. The descriptor is in the mode again that it
 * had. What MYDEV_CLIENT_COPY has read and nobody has taken is gone.
 */
void mydev_client_free(struct mydev_client *client);

/** mydev_client_device() - the device that it takes packets from. */
struct mydev *mydev_client_device(const struct mydev_client *client);

/** mydev_client_has_ring() - whether packets are used where the kernel has them. */
bool mydev_client_has_ring(const struct mydev_client *client);

/**
 * mydev_client_fd() - a descriptor to wait for what comes, among others
 * @client: the client
 *
 * It is readable when there may be something that was not there when
 * mydev_client_next() said -EAGAIN, with a @timeout_ms of 0. So: take until it
 * says that, then wait for this descriptor. Unlike that of the device, it is not
 * readable because of packets that are held. It stays the library's. A struct
 * mydev_loop does all this by itself.
 */
int mydev_client_fd(struct mydev_client *client);

/**
 * mydev_client_held_max() - packets that can be held at once
 *
 * MYDEV_CLIENT_HELD, or the depth of the queue where that is less.
 */
unsigned int mydev_client_held_max(const struct mydev_client *client);

/**
 * mydev_client_next() - the next packet, gap or event
 * @client: the client
 * @packet: filled in; until it is released it is held, and @packet->data holds
 * @timeout_ms: milliseconds to wait; 0 for not at all, below 0 for ever. What
 *	is there is taken at once; only waiting goes by mydev_config.watermark.
 *	O_NONBLOCK plays no part
 *
 * Several may be held. Each of them, gaps and events too, has to be released.
 * With the ring, what is held is room that the device has not, so a client
 * that loses nothing (MYDEV_POLICY_LOSSLESS) makes it wait by holding.
 *
 * Return: 0, or
 *	-EAGAIN	nothing is there, and @timeout_ms is 0;
 *	-ETIMEDOUT	nothing came in time;
 *	-EINTR	a signal came while waiting;
 *	-ENOSPC	mydev_client_held_max() are held: release some;
 *	-ENODEV	unplugged, and all that had arrived was taken;
 *	-EIO	the same, where the device failed for good;
 *	-ESTALE	the descriptor was revoked;
 *	-EPROTO	something has written nonsense into the ring's memory;
 *	-ENOMEM
 */
int mydev_client_next(struct mydev_client *client, struct mydev_packet *packet,
		      int timeout_ms);

/**
 * mydev_client_release() - have done with a packet, and all before it
 * @client: the client
 * @packet: as mydev_client_next() filled it in
 *
 * Packets are given back in the order that they came in: what was taken before
 * @packet and is still held is released by the same call.
 *
 * With the ring, a reader that is too slow can lose packets while it uses them:
 * by its own policy, or because it kept others waiting for block_timeout_ms. That is
 * -ENOBUFS. Whatever was concluded from such a packet may be wrong, as its
 * memory may have been used for another one. The same goes for all that were
 * held at that moment. Next comes a gap that counts them all, with what a gap
 * among them had counted: packets that were released with 0, and those in gaps
 * that were, are together all that the device has sent.
 *
 * Return: 0, or
 *	-ENOBUFS	it, or one before it, had been taken away meanwhile;
 *	-EINVAL	it is not held
 */
int mydev_client_release(struct mydev_client *client,
			 const struct mydev_packet *packet);

/**
 * mydev_client_rewind() - go back to what the driver still has, or on
 * @client: the client; it holds nothing, so this is not for callbacks
 * @to: as for mydev_rewind()
 * @value: the same
 * @sequence: set to the number of the packet that is taken next; may be NULL
 *
 * What MYDEV_CLIENT_COPY has read and nobody has taken is dropped; the driver
 * counts it as read.
 *
 * Return: as mydev_rewind(); -EBUSY also where packets are held
 */
int mydev_client_rewind(struct mydev_client *client, unsigned int to,
			uint64_t value, uint64_t *sequence);

/* ------------------------------------------------------------ event loop */

/**
 * struct mydev_loop - what to wait for, on an event loop that the caller owns
 *
 * The library starts no thread and never waits here: the caller waits until
 * mydev_loop_fd() is readable, with poll() or whatever its own loop has, and
 * calls mydev_loop_dispatch(), which calls the caller back.
 */
struct mydev_loop;

/**
 * struct mydev_callbacks - what to do with what a client gets; any may be NULL
 * @packet: a packet, which is released when the callback returns
 * @taken: the packet whose callback has just returned had been taken away
 *	meanwhile (see mydev_client_release()): what it was is uncertain
 * @gap: packets were lost here
 * @event: something happened to the stream here
 * @end: no more will come, for that reason, a negative errno. Called once; the
 *	client is not part of the loop any more
 *
 * A callback may do anything but call mydev_loop_dispatch() or mydev_loop_free()
 * of the same loop: also remove and free its own client, or another one.
 */
struct mydev_callbacks {
	void (*packet)(struct mydev_client *client,
		       const struct mydev_packet *packet, void *arg);
	void (*taken)(struct mydev_client *client,
		      const struct mydev_packet *packet, void *arg);
	void (*gap)(struct mydev_client *client,
		    const struct mydev_packet *packet, void *arg);
	void (*event)(struct mydev_client *client,
		      const struct mydev_packet *packet, void *arg);
	void (*end)(struct mydev_client *client, int error, void *arg);
};

/**
 * mydev_loop_new() - make an empty one
 * @loop: where the new object goes; free it with mydev_loop_free()
 *
 * Return: 0, -ENOMEM, -EMFILE and what else epoll_create1(2) says
 */
int mydev_loop_new(struct mydev_loop **loop);

/** mydev_loop_free() - free it; clients stay, and are the caller's. NULL is fine. */
void mydev_loop_free(struct mydev_loop *loop);

/**
 * mydev_loop_fd() - the descriptor that is readable when there is something to do
 *
 * It stays the library's: wait for it, and do nothing else with it.
 */
int mydev_loop_fd(const struct mydev_loop *loop);

/**
 * mydev_loop_dispatch() - do what there is to do, and return
 * @loop: the loop
 *
 * Never waits. A client that has very much gets its turn again in the next call,
 * for which mydev_loop_fd() is readable.
 *
 * Return: how many callbacks there were cause for, -EBUSY from a callback
 */
int mydev_loop_dispatch(struct mydev_loop *loop);

/**
 * mydev_loop_add() - have a client's packets given to callbacks
 * @loop: the loop
 * @client: the client; mydev_client_next() is not for use meanwhile
 * @callbacks: what to call; copied
 * @size: sizeof(*@callbacks)
 * @arg: given to each of them
 *
 * Return: 0, -EBUSY where the client is part of a loop, -EINVAL for a @size no
 *	version of the structure had, -ENOMEM and what else epoll_ctl(2) says
 */
int mydev_loop_add(struct mydev_loop *loop, struct mydev_client *client,
		   const struct mydev_callbacks *callbacks, size_t size,
		   void *arg);

/** mydev_loop_remove() - no more callbacks for this client; 0, or -ENOENT. */
int mydev_loop_remove(struct mydev_loop *loop, struct mydev_client *client);

/* -------------------------------------------------------------- hot-plug */

/**
 * struct mydev_watch - what to do when devices come and go; either may be NULL
 * @added: a device that can be opened now. @entry holds until it returns. Also
 *	called for those that are there when the watch begins, by the first
 *	mydev_loop_dispatch()
 * @removed: one that was told to be added is gone: its number, its name such as
 *	"mydev0"
 *
 * They may do what those of struct mydev_callbacks may.
 */
struct mydev_watch {
	void (*added)(const struct mydev_entry *entry, void *arg);
	void (*removed)(dev_t devnum, const char *name, void *arg);
};

/**
 * mydev_loop_watch() - be told of devices that come and go
 * @loop: the loop; it watches until it is freed
 * @watch: what to call; copied
 * @size: sizeof(*@watch)
 * @arg: given to each of them
 *
 * Where udev runs, a device is told when udev has done with it, so that its node
 * has the permissions that it should have. In a network namespace without udev, as
 * in many containers, it is told by the kernel, and so at once. A network namespace
 * that belongs to a user namespace of its own ("unshare -Un", a container without
 * privileges) hears nothing at all: call mydev_list_new() now and then. Threads are
 * asked where they are when they call this. Needs libudev.
 *
 * Return: 0, or
 *	-ENOTCONN	no event reaches this network namespace;
 *	-EBUSY	the loop has a watch;
 *	-EINVAL	for a @size no version of the structure had;
 *	-ENOMEM and what else opening a netlink socket says
 */
int mydev_loop_watch(struct mydev_loop *loop, const struct mydev_watch *watch,
		     size_t size, void *arg);

#ifdef __cplusplus
}
#endif

#endif /* LIBMYDEV_CLIENT_H */
