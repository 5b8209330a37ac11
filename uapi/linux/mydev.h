/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * mydev: one vendor-specific USB interface, any number of programs.
 *
 * This header is the whole contract between the driver and programs.
 *
 * An interface has a node for each pair of an IN and an OUT endpoint, bulk or
 * interrupt, or for one that has no partner. The first is /dev/mydevN, the others are
 * /dev/mydevN.EE, by the address of their IN, or else OUT endpoint in two hexadecimal
 * digits. Each is a device to its clients as described here, and nothing that happens to
 * one disturbs another. What belongs to the interface is common to all: lease,
 * alternate setting, reset, and what control requests reach. Where this header says
 * device of anything else, it is the node; its endpoints are the IN and the OUT
 * endpoint.
 *
 * A descriptor of /dev/mydevN that was opened for reading is a member of the
 * device's stream from open() on: whatever the device sends from then on is
 * also its own to read, at its own pace. The device is asked to send from the
 * first read(), poll() for input or equivalent of any member on, until the
 * last member that did so is closed.
 *
 * A descriptor that was opened for writing may also send (write(), OUT) and
 * control. What one write() gives goes out in one piece, whoever else writes.
 * write() returns when the driver has the data; fsync() when the device has it,
 * or has refused it. The role of a descriptor is fixed at open() and goes with
 * it to whoever it is passed to.
 *
 * Rules of every structure below:
 *  - fixed-width members, 8-byte alignment, no pointers: 32-bit and 64-bit
 *    programs use the same layout and the same request numbers;
 *  - the first member is the size of the structure as the caller knows it.
 *    The kernel reads and writes no more than that, and puts its own size of
 *    the structure there on return, so a caller can tell which of the last
 *    members a kernel older than its header has filled in;
 *  - reserved members and unknown tails must be zero on the way in.
 *
 * One errno, one cause:
 *
 *  open()
 *    ENODEV      the device was unplugged while being opened
 *    EBUSY       the device has its maximum of clients (info.max_clients)
 *    ENOMEM      no memory for the client, or for the first client's pool
 *
 *  read() and relatives
 *    EAGAIN      non-blocking, and nothing is queued, or another reader of
 *                this descriptor is at work or asleep
 *    EINTR       a signal came before any data (ERESTARTSYS: the call is
 *                restarted where the handler asked for that)
 *    EFAULT      the buffer is not writable, or does not become so; nothing was
 *                consumed
 *    ENOBUFS     stream mode: data was lost for this descriptor right here;
 *                reported once per gap, the next read goes on behind it
 *    EMSGSIZE    packet mode: the buffer is too small for the next record;
 *                nothing was consumed
 *    EIO         the device failed for good and the queue is drained; a new
 *                start is made by MYDEV_IOC_RESTART, or when all who read have
 *                closed and somebody opens again
 *    ENODEV      the device is unplugged and the queue is drained
 *    EOPNOTSUPP  the node has no IN endpoint
 *    EBADF       the descriptor was not opened for reading
 *    ESTALE      the descriptor was revoked
 *    EBUSY       ring mode: packets are taken from memory
 *
 *  mmap()
 *    EINVAL      not shared, not a part of one of the three regions of struct
 *                mydev_map, or not in ring mode
 *    EACCES      not opened for reading; writable, and not struct mydev_ring; or
 *                that, and not opened for reading and writing
 *    EOPNOTSUPP  the node has no IN endpoint, or the kernel no rings
 *    EINTR       the program is being killed
 *    ESTALE      the descriptor was revoked
 *
 *  write() and relatives, fsync()
 *    EAGAIN      write(): non-blocking, and another write() is under way, or
 *                there is no room; or 256 threads wait already
 *    EINTR       write(): a signal came before any data was taken; fsync(): a
 *                signal came, sending goes on (ERESTARTSYS, see read())
 *    EFAULT      the data is not readable; nothing was sent
 *    EBUSY       write(): another descriptor holds the lease
 *    EPIPE       the device stalled its OUT endpoint: it refused data of this
 *                descriptor that an earlier write() had taken, and all behind
 *                that. Reported once, by whichever call comes first; the stall
 *                is cleared where struct mydev_recovery has it so, the next
 *                write() starts anew
 *    EIO         the same for an error of the bus, a reset of the device, or
 *                another alternate setting; or the device cannot be woken
 *    ENODEV      the device is unplugged
 *    EOPNOTSUPP  the node has no OUT endpoint, or none in the alternate setting
 *                in use
 *    EBADF       the descriptor was not opened for writing
 *    ESTALE      the descriptor was revoked
 *
 *  ioctl()
 *    ENOTTY      no such request
 *    EINVAL      size below the request's minimum, or a reserved member is not
 *                zero
 *    E2BIG       the tail that this kernel does not know is not zero, or the
 *                size is beyond one page
 *    EFAULT      the argument is not readable or not writable
 *    EOPNOTSUPP  a member that selects something (mode, policy, clock) has a
 *                value that this kernel does not know; or settings of
 *                receiving, where there is no IN endpoint
 *    ENODEV      what needs the device, and it is unplugged
 *    ERANGE      a number is beyond its limit; struct mydev_info and struct
 *                mydev_geometry tell the limits, struct mydev_recovery has its
 *                own; or there is no such alternate setting
 *    EBADF       settings of reading on a descriptor that is not for reading,
 *                or of the device on one that is not for writing
 *    EPERM       MYDEV_IOC_RESET, or MYDEV_IOC_REVOKE of somebody else's
 *                descriptor, without CAP_SYS_ADMIN
 *    EACCES      a control request that would reach outside this interface, see
 *                struct mydev_control; or an endpoint that is not one of the
 *                node's
 *    EBUSY       the geometry cannot change while somebody asks for data, has
 *                some queued or has something mapped; ring mode, and a rewind,
 *                while a read() of this descriptor is under way; another
 *                descriptor holds the lease
 *    EAGAIN      what waits for writers (transact, acquiring the lease): the
 *                descriptor is non-blocking, and a write() or transaction of
 *                another one is under way; or 256 threads wait already
 *    EINTR       a signal came while waiting for writers, the device's answer
 *                or the lease (ERESTARTSYS as long as nothing was sent)
 *    EPIPE       the device refused: it stalled the control request, or its OUT
 *                endpoint during a transaction
 *    EIO         an error of the bus; or the device could not be reset or woken
 *    ETIMEDOUT   the device did not answer in time, or the lease was not
 *                released in time
 *    EOVERFLOW   the device sent more than the control request asked for
 *    ESRCH       MYDEV_IOC_REVOKE: no descriptor has that number
 *    ESTALE      the descriptor was revoked
 *    EPROTO      MYDEV_IOC_SYNC, MYDEV_IOC_REWIND: the program has put nonsense into
 *                its ring
 *    ENOMEM      no memory for a ring, a larger pool or log, or a request. What was
 *                there before is still in use
 *
 *  poll()
 *    EPOLLIN | EPOLLRDNORM   a blocking read() would return at once
 *    EPOLLOUT | EPOLLWRNORM  a blocking write() would begin at once
 *    EPOLLERR                the device failed or is unplugged, the descriptor
 *                            was revoked, its ring is broken (EPROTO), or an
 *                            error of sending waits to be reported
 *    EPOLLHUP                the device is unplugged, or the descriptor revoked
 */
#ifndef _LINUX_MYDEV_H
#define _LINUX_MYDEV_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Changes only if an existing request changes its meaning; never so far. */
#define MYDEV_ABI_VERSION 1

#define MYDEV_IOC_TYPE 0xBD

/*
 * Requests. The size of the argument is in the argument, not in the number,
 * so a number stays what it is when its structure grows.
 */
#define MYDEV_IOC_GET_INFO   _IO(MYDEV_IOC_TYPE, 0x00) /* struct mydev_info */
#define MYDEV_IOC_GET_STATS  _IO(MYDEV_IOC_TYPE, 0x01) /* struct mydev_stats */
#define MYDEV_IOC_GET_CONFIG _IO(MYDEV_IOC_TYPE, 0x02) /* struct mydev_config */
#define MYDEV_IOC_SET_CONFIG _IO(MYDEV_IOC_TYPE, 0x03) /* struct mydev_config */
#define MYDEV_IOC_GET_GEOMETRY \
	_IO(MYDEV_IOC_TYPE, 0x04) /* struct mydev_geometry */
#define MYDEV_IOC_SET_GEOMETRY \
	_IO(MYDEV_IOC_TYPE, 0x05) /* struct mydev_geometry */
#define MYDEV_IOC_CONTROL    _IO(MYDEV_IOC_TYPE, 0x06) /* struct mydev_control */
#define MYDEV_IOC_CLEAR_HALT _IO(MYDEV_IOC_TYPE, 0x07) /* struct mydev_select */
#define MYDEV_IOC_SET_ALTERNATE \
	_IO(MYDEV_IOC_TYPE, 0x08)                    /* struct mydev_select */
#define MYDEV_IOC_RESET    _IO(MYDEV_IOC_TYPE, 0x09) /* struct mydev_select */
#define MYDEV_IOC_LEASE    _IO(MYDEV_IOC_TYPE, 0x0a) /* struct mydev_lease */
#define MYDEV_IOC_TRANSACT _IO(MYDEV_IOC_TYPE, 0x0b) /* struct mydev_transact */
#define MYDEV_IOC_REVOKE   _IO(MYDEV_IOC_TYPE, 0x0c) /* struct mydev_select */
#define MYDEV_IOC_GET_MAP  _IO(MYDEV_IOC_TYPE, 0x0d) /* struct mydev_map */
#define MYDEV_IOC_SYNC     _IO(MYDEV_IOC_TYPE, 0x0e) /* struct mydev_select */
#define MYDEV_IOC_REWIND   _IO(MYDEV_IOC_TYPE, 0x0f) /* struct mydev_rewind */
#define MYDEV_IOC_GET_RECOVERY \
	_IO(MYDEV_IOC_TYPE, 0x11) /* struct mydev_recovery */
#define MYDEV_IOC_SET_RECOVERY \
	_IO(MYDEV_IOC_TYPE, 0x12)                   /* struct mydev_recovery */
#define MYDEV_IOC_RESTART _IO(MYDEV_IOC_TYPE, 0x13) /* struct mydev_select */

/* mydev_info.features: what this kernel and this interface can do */
#define MYDEV_FEATURE_READ     (1ULL << 0) /* there is an IN endpoint */
#define MYDEV_FEATURE_NOWAIT   (1ULL << 1) /* RWF_NOWAIT and io_uring */
#define MYDEV_FEATURE_CONFIG   (1ULL << 2) /* struct mydev_config, records */
#define MYDEV_FEATURE_GEOMETRY (1ULL << 3) /* struct mydev_geometry */
#define MYDEV_FEATURE_WRITE    (1ULL << 4) /* there is an OUT endpoint */
#define MYDEV_FEATURE_CONTROL  (1ULL << 5) /* requests 0x06 to 0x0c */
#define MYDEV_FEATURE_RING     (1ULL << 6) /* struct mydev_ring; 64-bit kernels */
#define MYDEV_FEATURE_REWIND   (1ULL << 7) /* struct mydev_rewind */
#define MYDEV_FEATURE_RECOVERY (1ULL << 9) /* requests 0x11 to 0x13 */

/* mydev_info.speed; the values are those of the kernel's usb_device_speed */
#define MYDEV_SPEED_UNKNOWN    0
#define MYDEV_SPEED_LOW        1
#define MYDEV_SPEED_FULL       2
#define MYDEV_SPEED_HIGH       3
#define MYDEV_SPEED_WIRELESS   4
#define MYDEV_SPEED_SUPER      5
#define MYDEV_SPEED_SUPER_PLUS 6

/* mydev_info.ep_in_type, mydev_info.ep_out_type; the values are those of USB */
#define MYDEV_ENDPOINT_NONE      0
#define MYDEV_ENDPOINT_BULK      2
#define MYDEV_ENDPOINT_INTERRUPT 3

/**
 * struct mydev_info - what the device is, MYDEV_IOC_GET_INFO
 * @size: in: sizeof(struct mydev_info) of the caller; out: of the kernel
 * @abi_version: MYDEV_ABI_VERSION of the driver
 * @features: MYDEV_FEATURE_* bits
 * @id_vendor: idVendor of the USB device
 * @id_product: idProduct of the USB device
 * @bcd_device: bcdDevice, the device's release number in BCD
 * @interface_number: bInterfaceNumber
 * @alternate_setting: bAlternateSetting in use
 * @interface_class: bInterfaceClass
 * @interface_subclass: bInterfaceSubClass
 * @interface_protocol: bInterfaceProtocol
 * @speed: MYDEV_SPEED_*
 * @ep_in: address of the IN endpoint, 0 where there is none
 * @ep_out: address of the OUT endpoint, 0 where there is none
 * @ep_in_max_packet: wMaxPacketSize of the IN endpoint, bytes of one packet
 * @ep_out_max_packet: the same of the OUT endpoint
 * @bus_number: number of the USB bus
 * @device_number: address on that bus
 * @index: N of /dev/mydevN, and of /dev/mydevN.EE
 * @transfer_size: bytes that one receive transfer can take
 * @transfers: receive transfers kept in flight
 * @pool_buffers: buffers of @transfer_size bytes that the device owns
 * @queue_depth: mydev_config.queue_depth of this client
 * @max_clients: descriptors that may be open at once
 * @max_queue_depth: limit of mydev_config.queue_depth
 * @block_timeout_ms: a client that blocks the ring for so long while another
 *	one waits for data loses what it has queued (in ring mode: is not waited for
 *	any more) until it reads again; milliseconds, 0 for never
 * @client_id: number of this descriptor, for MYDEV_IOC_REVOKE; never 0, and
 *	never used again while the device is plugged in; unique among all nodes of the
 *	interface
 * @send_size: bytes of one transmit transfer; a longer write() is sent in parts
 *	of this size, in one piece on the wire
 * @send_room: bytes that can wait to be sent, for all descriptors together
 * @reserved: zero
 * @ep_in_type: MYDEV_ENDPOINT_* of @ep_in
 * @ep_out_type: the same of @ep_out
 * @pipe: which endpoints of the interface the node is for: address of the first IN, or
 *	else OUT endpoint that it has in any alternate setting. The node is
 *	/dev/mydevN.EE, with that in two hexadecimal digits
 * @first_pipe: @pipe of the first node, which is called /dev/mydevN
 * @ep_in_interval_us: of an interrupt endpoint: microseconds between two times that the
 *	host asks it; else 0
 * @ep_out_interval_us: the same of @ep_out
 * @carried: endpoints of the interface that some node is for: bit n for OUT endpoint n,
 *	bit 16 + n for IN endpoint n
 * @uncarried: the same for those that are neither bulk nor interrupt endpoints in some
 *	alternate setting, and are left alone there
 * @reserved2: zero
 *
 * The request still works after an unplug. What depends on the alternate
 * setting is that of the one in use.
 */
struct mydev_info {
	__u32 size;
	__u32 abi_version;
	__aligned_u64 features;
	__u16 id_vendor;
	__u16 id_product;
	__u16 bcd_device;
	__u8 interface_number;
	__u8 alternate_setting;
	__u8 interface_class;
	__u8 interface_subclass;
	__u8 interface_protocol;
	__u8 speed;
	__u8 ep_in;
	__u8 ep_out;
	__u16 ep_in_max_packet;
	__u16 ep_out_max_packet;
	__u16 bus_number;
	__u32 device_number;
	__u32 index;
	__u32 transfer_size;
	__u32 transfers;
	__u32 pool_buffers;
	__u32 queue_depth;
	__u32 max_clients;
	__u32 max_queue_depth;
	__u32 block_timeout_ms;
	__u32 client_id;
	__u32 send_size;
	__u32 send_room;
	__u32 reserved;
	__u8 ep_in_type;
	__u8 ep_out_type;
	__u8 pipe;
	__u8 first_pipe;
	__u32 ep_in_interval_us;
	__u32 ep_out_interval_us;
	__u32 carried;
	__u32 uncarried;
	__u32 reserved2;
};

/* mydev_stats.state: what the receive ring is doing */
#define MYDEV_STATE_IDLE       0 /* nobody has asked for data */
#define MYDEV_STATE_RUNNING    1 /* transfers are in flight, or could be */
#define MYDEV_STATE_RECOVERING 2 /* after an error, before the next try */
#define MYDEV_STATE_FAILED     3 /* gave up; see EIO above */
#define MYDEV_STATE_GONE       4 /* unplugged */
#define MYDEV_STATE_PAUSED     5 /* asleep, being reset, or changing setting */

/**
 * struct mydev_stats - counters, MYDEV_IOC_GET_STATS
 * @size: in: sizeof(struct mydev_stats) of the caller; out: of the kernel
 * @flags: in: must be zero
 * @state: MYDEV_STATE_* of the device
 * @clients: open descriptors
 * @in_flight: receive transfers that the USB host controller holds
 * @free_buffers: buffers that no transfer uses, and with nothing in them that a
 *	client has yet to read
 * @packets: packets that the device delivered since it was plugged in
 * @bytes: payload bytes in @packets
 * @zero_packets: those of @packets that had no bytes
 * @errors: transfers that ended with an error, stalls included; counted when
 *	receiving goes on, or has failed. Those of an unplug are none
 * @stalls: times that the device stalled its endpoint and it was cleared
 * @ring_stops: times that the ring stopped because slow readers held all
 *	buffers, and the device had to wait
 * @client_packets: packets offered to this descriptor since its open(); equals
 *	@client_read_packets + @client_lost_packets + @client_queued_packets
 * @client_bytes: the same in bytes
 * @client_read_packets: packets that were read to their end
 * @client_read_bytes: bytes that were read
 * @client_lost_packets: packets that this descriptor lost
 * @client_lost_bytes: the same in bytes
 * @client_queued_packets: packets waiting to be read
 * @client_queued_bytes: the same in bytes
 * @sent_transfers: OUT transfers that the device took
 * @sent_bytes: bytes that the device took
 * @send_errors: OUT transfers that ended with an error, stalls included; as
 *	@errors, without those of an unplug
 * @client_written_bytes: bytes that write() and transact took from this
 *	descriptor; equals @client_sent_bytes + @client_failed_bytes +
 *	@client_unsent_bytes
 * @client_sent_bytes: those of them that the device took
 * @client_failed_bytes: those that will not be sent, because of an error
 * @client_unsent_bytes: those that wait to be sent
 * @unread_packets: packets that the last descriptor that had asked for data had not read
 *	when it was closed, or that came afterwards; see MYDEV_EVENT_TORN
 * @unread_bytes: the same in bytes; a packet that was read in part counts with its rest
 *
 * The counters of receiving are of one moment, and so are those of sending. So where a
 * descriptor has nothing lost that it was not told yet, @bytes less
 * @client_queued_bytes is where in all that the device has sent its next byte is: a
 * program that knows how long the device's blocks are finds out with it how much of the
 * first one is missing. Those of what the descriptor was not opened for are zero. After an unplug
 * they stay as they were.
 */
struct mydev_stats {
	__u32 size;
	__u32 flags;
	__u32 state;
	__u32 clients;
	__u32 in_flight;
	__u32 free_buffers;
	__aligned_u64 packets;
	__aligned_u64 bytes;
	__aligned_u64 zero_packets;
	__aligned_u64 errors;
	__aligned_u64 stalls;
	__aligned_u64 ring_stops;
	__aligned_u64 client_packets;
	__aligned_u64 client_bytes;
	__aligned_u64 client_read_packets;
	__aligned_u64 client_read_bytes;
	__aligned_u64 client_lost_packets;
	__aligned_u64 client_lost_bytes;
	__aligned_u64 client_queued_packets;
	__aligned_u64 client_queued_bytes;
	__aligned_u64 sent_transfers;
	__aligned_u64 sent_bytes;
	__aligned_u64 send_errors;
	__aligned_u64 client_written_bytes;
	__aligned_u64 client_sent_bytes;
	__aligned_u64 client_failed_bytes;
	__aligned_u64 client_unsent_bytes;
	__aligned_u64 unread_packets;
	__aligned_u64 unread_bytes;
};

/* mydev_config.mode: what read() returns */
#define MYDEV_MODE_STREAM 0 /* bytes, as from a pipe */
#define MYDEV_MODE_PACKET 1 /* whole records, see mydev_packet_header */
#define MYDEV_MODE_RING   2 /* EBUSY: packets are in memory, see mydev_ring */

/* mydev_config.policy: what happens when this client falls behind */
/*
 * What happens when a descriptor is behind: the device has to wait for it as soon as
 * queue_depth packets are unread, and the packets of transfers in flight besides.
 */
#define MYDEV_POLICY_LOSSLESS 0
/* It gets the newest queue_depth packets, and loses those before. */
#define MYDEV_POLICY_DROP_OLDEST 1
/*
 * With queue_depth packets unread it keeps those, and loses what comes until it has
 * read them, or the memory is needed.
 */
#define MYDEV_POLICY_DROP_NEWEST 2

/* mydev_config.clock: of the timestamps */
#define MYDEV_CLOCK_MONOTONIC 0
#define MYDEV_CLOCK_BOOTTIME  1
#define MYDEV_CLOCK_REALTIME  2

/* mydev_config.flags */
/* A write() that fills its last packet is followed by one without bytes. */
#define MYDEV_CONFIG_TERMINATE (1U << 0)

/**
 * struct mydev_config - settings of one client, MYDEV_IOC_GET/SET_CONFIG
 * @size: in: sizeof(struct mydev_config) of the caller; out: of the kernel
 * @flags: MYDEV_CONFIG_*
 * @mode: MYDEV_MODE_*
 * @policy: MYDEV_POLICY_*
 * @clock: MYDEV_CLOCK_*, of the records that are read from now on; entries of a ring
 *	have all three
 * @watermark: poll() and a blocking read() wait until so many bytes are
 *	queued; 0 or 1 for any. A non-blocking read() takes what is there
 * @latency_us: or until the oldest queued packet has waited for so many
 *	microseconds; 0 for no such bound. Without a bound, packets below the
 *	watermark wait until more come or the device has to wait
 * @queue_depth: packets and events that can be unread before @policy applies, 1 to
 *	mydev_info.max_queue_depth; what the log and the pool can hold is a limit, too
 *
 * A setting takes effect at once and for this client alone. No packet is lost
 * or repeated by it: what is queued stays queued. A switch from stream to
 * packet mode in the middle of a packet makes a record of the rest of it, with
 * MYDEV_PACKET_PARTIAL.
 *
 * On a descriptor that is not for reading, everything but @flags is zero, and
 * has to be.
 */
struct mydev_config {
	__u32 size;
	__u32 flags;
	__u32 mode;
	__u32 policy;
	__u32 clock;
	__u32 watermark;
	__u32 latency_us;
	__u32 queue_depth;
};

/**
 * struct mydev_geometry - the receive ring, MYDEV_IOC_GET/SET_GEOMETRY
 * @size: in: sizeof(struct mydev_geometry) of the caller; out: of the kernel
 * @transfers: receive transfers kept in flight
 * @transfer_size: bytes that one of them can take; rounded down to a multiple
 *	of wMaxPacketSize
 * @max_transfers: limit of @transfers; ignored on the way in
 * @max_transfer_size: limit of @transfer_size, bytes; ignored on the way in
 * @log_entries: packets and events that are kept for all clients, 512 to
 *	@max_log_entries; rounded up to a power of two. 0 for a number by which
 *	packets of 64 bytes fill the pool first, where the limit allows it
 * @pool_bytes: memory for packets, at least @transfers + 2 times
 *	@transfer_size; rounded down to a multiple of @transfer_size
 * @max_pool_bytes: limit of @pool_bytes, and of the whole pages that its buffers
 *	take; ignored on the way in
 * @max_log_entries: limit of @log_entries; ignored on the way in
 * @reserved: must be zero
 *
 * The ring is the device's, so it changes for everybody: setting it needs a
 * descriptor that is open for writing, and nobody who asks for data. On ERANGE
 * the kernel has written the limits into the structure.
 */
struct mydev_geometry {
	__u32 size;
	__u32 transfers;
	__u32 transfer_size;
	__u32 max_transfers;
	__u32 max_transfer_size;
	__u32 log_entries;
	__aligned_u64 pool_bytes;
	__aligned_u64 max_pool_bytes;
	__u32 max_log_entries;
	__u32 reserved;
};

/**
 * struct mydev_control - one control request, MYDEV_IOC_CONTROL
 * @size: in: sizeof(struct mydev_control) of the caller; out: of the kernel
 * @flags: must be zero
 * @request_type: bmRequestType; bit 7 set for a request that brings data
 * @request: bRequest
 * @value: wValue
 * @index: wIndex
 * @reserved: must be zero
 * @length: wLength, bytes to send, or room for what comes; at most 65535
 * @timeout_ms: how long the device may take, 1 to 60000; 0 for 5000
 * @data: address of the data, @length bytes
 * @actual: out: bytes that were transferred
 * @reserved2: must be zero
 *
 * Vendor and class requests whose recipient is this interface (low byte of
 * @index), one of the endpoints of its alternate setting in use (low byte of
 * @index), or, where the configuration has no other interface, the device. Where
 * the sysfs attribute control_scope is "device", also the device, and those other
 * interfaces of it that mydev has, with their endpoints; EBUSY then also where a
 * descriptor of the other interface holds the lease, and EIO where that interface is
 * unbound meanwhile. All else is EACCES. Needs a descriptor that is open for writing.
 */
struct mydev_control {
	__u32 size;
	__u32 flags;
	__u8 request_type;
	__u8 request;
	__u16 value;
	__u16 index;
	__u16 reserved;
	__u32 length;
	__u32 timeout_ms;
	__aligned_u64 data;
	__u32 actual;
	__u32 reserved2;
};

/**
 * struct mydev_select - one of several
 * @size: in: sizeof(struct mydev_select) of the caller; out: of the kernel
 * @value: which one, see below
 *
 * MYDEV_IOC_CLEAR_HALT: @value is the address of the IN or OUT endpoint of the node,
 * whose halt is cleared and whose data toggle is reset on both sides. Transfers
 * that are queued for it go on afterwards.
 *
 * MYDEV_IOC_SET_ALTERNATE: @value is the bAlternateSetting that the interface
 * changes to. Receiving goes on with its endpoints, sequence numbers too; a node
 * whose endpoint it lacks is silent until another one has it; clients of all nodes get
 * MYDEV_EVENT_ALTERNATE. What was waiting to be sent is not sent any more, which its
 * writers are told (EIO).
 *
 * MYDEV_IOC_RESET: @value must be zero. The device is reset and gets its
 * configuration and alternate setting back; descriptors stay, sequence numbers
 * go on, clients get MYDEV_EVENT_RESET. A reset that fails in the midst, for want of
 * memory or by the device, is an unplug (ENODEV), and a new device to be opened.
 * What was waiting to be sent is not sent any more, which its writers are told
 * (EIO). Other interfaces of the device are reset with it. Needs CAP_SYS_ADMIN.
 *
 * MYDEV_IOC_REVOKE: @value is the mydev_info.client_id of a descriptor of any node of
 * the interface, or 0 for the one that is asked. From then on that can do nothing any more (ESTALE)
 * but be closed; its queue, its lease and what it had not sent are given up. Of
 * any other descriptor than one's own, it needs CAP_SYS_ADMIN.
 *
 * MYDEV_IOC_RESTART: @value is zero. A stream that has failed (MYDEV_STATE_FAILED) is set
 * going again, as if nothing had failed before; one that is between two tries is tried at
 * once. Everybody's read() goes on: first with the event of the error, in packet and ring
 * mode, then with what the device sends. In any other state it does nothing. It does not
 * wait for the device. Where the node has no IN endpoint, EOPNOTSUPP.
 *
 * The first three and the last need a descriptor that is open for writing. While another
 * alternate setting is asked for, the device has a second to answer, and one more to be
 * brought back to its old one where it does not, or a fatal signal comes (EINTR); where
 * it does not do that either, it is reset. Both are a MYDEV_EVENT_RESET for clients.
 */
struct mydev_select {
	__u32 size;
	__u32 value;
};

/* mydev_lease.operation */
#define MYDEV_LEASE_RELEASE 0
#define MYDEV_LEASE_ACQUIRE 1

/**
 * struct mydev_lease - the exclusive right to send and control
 * @size: in: sizeof(struct mydev_lease) of the caller; out: of the kernel
 * @operation: MYDEV_LEASE_*
 * @timeout_ms: of acquiring: how long to wait while another descriptor holds
 *	it; 0 for not at all (EBUSY), 4294967295 for ever. Ignored where the
 *	descriptor is non-blocking, which never waits
 * @reserved: must be zero
 *
 * While a descriptor holds the lease, others, at all nodes of the interface, get EBUSY
 * from write(), control
 * requests, clear halt, alternate setting, reset and transactions; a message and a
 * transaction that have begun are waited for, a control request that has reached the
 * device may finish. Readers do
 * not notice. It ends with its release, the close of the descriptor, or its revoke.
 * Acquiring what one has, and releasing what one has not, does nothing. Needs a
 * descriptor that is open for writing.
 */
struct mydev_lease {
	__u32 size;
	__u32 operation;
	__u32 timeout_ms;
	__u32 reserved;
};

/* mydev_transact.flags */
/* Out: the answer was longer than @in_length; the rest is not here. */
#define MYDEV_TRANSACT_TRUNCATED (1U << 0)

/**
 * struct mydev_transact - send, then receive the answer, MYDEV_IOC_TRANSACT
 * @size: in: sizeof(struct mydev_transact) of the caller; out: of the kernel
 * @flags: in: must be zero; out: MYDEV_TRANSACT_*
 * @out_length: bytes to send, 1 to 65536
 * @in_length: the longest answer, bytes, 1 to 65536
 * @timeout_ms: for the whole, 1 to 60000; 0 for 5000
 * @actual: out: bytes of the answer
 * @out_data: address of what is sent
 * @in_data: address of the answer
 *
 * The answer is what the device sends from the moment on in which it has taken
 * the last byte: up to the first transfer that it ends with a short packet, or
 * until @in_length bytes are there. No write() and no other transaction comes in
 * between. All readers see the answer in their streams as well, also this
 * descriptor where it reads. An answer that comes after the time is up is taken
 * for that of the next transaction. Needs a descriptor that is open for reading
 * and writing.
 */
struct mydev_transact {
	__u32 size;
	__u32 flags;
	__u32 out_length;
	__u32 in_length;
	__u32 timeout_ms;
	__u32 actual;
	__aligned_u64 out_data;
	__aligned_u64 in_data;
};

/* mydev_packet_header.type */
#define MYDEV_RECORD_PACKET 0 /* payload: what one transfer delivered */
#define MYDEV_RECORD_GAP    1 /* payload: struct mydev_gap_record */
#define MYDEV_RECORD_EVENT  2 /* payload: struct mydev_event_record */

/* mydev_packet_header.flags */
/*
 * The transfer was full, or a stop (a cleared halt, a sleep, another alternate
 * setting, a reset, the last one who asked being closed) has cut it short: the
 * device's message goes on in the next packet. A message of whole packets of the
 * endpoint that ends exactly there has this flag as well: where its device sends an
 * empty packet behind it, that follows, else nothing tells that it has ended.
 */
#define MYDEV_PACKET_CONTINUES (1U << 0)
/* The first bytes of the packet were read in stream mode. */
#define MYDEV_PACKET_PARTIAL (1U << 1)

/**
 * struct mydev_packet_header - what precedes each record in packet mode
 * @record_size: bytes from this header to the next one, a multiple of 8; what
 *	is behind the payload is zero
 * @header_size: bytes from this header to its payload
 * @type: MYDEV_RECORD_*
 * @length: bytes of payload
 * @flags: MYDEV_PACKET_*
 * @sequence: of a packet: its number since the device was plugged in, from 0,
 *	the same for all clients; of a gap: the number of the first packet that
 *	was lost; of an event: the number of the next packet
 * @timestamp_ns: when the transfer completed or the event happened, by the
 *	client's clock; 0 for a gap
 * @status: of a packet: 0, or the negative errno that its transfer ended with
 *	after these bytes
 * @reserved: zero
 *
 * A read() returns as many whole records as fit. A packet may have no payload:
 * that is what the device sent. Skip types that you do not know.
 */
struct mydev_packet_header {
	__u32 record_size;
	__u16 header_size;
	__u16 type;
	__u32 length;
	__u32 flags;
	__aligned_u64 sequence;
	__aligned_u64 timestamp_ns;
	__s32 status;
	__u32 reserved;
};

/**
 * struct mydev_gap_record - packets that this client lost, at this place
 * @packets: how many
 * @bytes: how many bytes of them it has not got
 */
struct mydev_gap_record {
	__aligned_u64 packets;
	__aligned_u64 bytes;
};

/* mydev_event_record.event, mydev_ring_entry.event */
#define MYDEV_EVENT_STALL 1 /* the device stalled, receiving goes on */
/* An error of the bus, receiving goes on; or an unplug, which is known a moment later. */
#define MYDEV_EVENT_ERROR 2
/* The device, or its interface, was reset: what it had is lost. */
#define MYDEV_EVENT_RESET     3
#define MYDEV_EVENT_RESUME    4 /* the system slept, receiving goes on */
#define MYDEV_EVENT_ALTERNATE 5 /* the alternate setting was changed */
/*
 * Receiving begins anew, and what comes next may be the middle of a message, or of a block:
 * the packet before it had MYDEV_PACKET_CONTINUES, and came when the last descriptor that
 * had asked for data was there, or was just being closed. mydev_ring_entry.bytes of the
 * event is where in all that the device has sent the next byte is.
 */
#define MYDEV_EVENT_TORN 6

/**
 * struct mydev_event_record - something happened to the stream, at this place
 * @event: MYDEV_EVENT_*
 * @status: the negative errno that goes with it, or 0
 */
struct mydev_event_record {
	__u32 event;
	__s32 status;
};

/**
 * struct mydev_map - what can be mapped, MYDEV_IOC_GET_MAP
 * @size: in: sizeof(struct mydev_map) of the caller; out: of the kernel
 * @entries: number of entries of the log, a power of two
 * @entry_size: bytes from one entry to the next
 * @first_entry: bytes from @log_offset to the entry whose position is 0
 * @ring_offset: offset of struct mydev_ring for mmap()
 * @ring_bytes: bytes of it that can be mapped
 * @log_offset: offset of struct mydev_log_page, with the entries behind it
 * @log_bytes: bytes of both
 * @pool_offset: offset of the packets' bytes
 * @pool_bytes: bytes of them
 * @reserved: must be zero
 *
 * The numbers hold while one of the three is
 * mapped: until the last of them is unmapped, by anybody, the geometry of the device
 * cannot change (EBUSY). @ring_offset and @ring_bytes are always the same, so map
 * that first, then ask, then map the others.
 */
struct mydev_map {
	__u32 size;
	__u32 entries;
	__u32 entry_size;
	__u32 first_entry;
	__aligned_u64 ring_offset;
	__aligned_u64 ring_bytes;
	__aligned_u64 log_offset;
	__aligned_u64 log_bytes;
	__aligned_u64 pool_offset;
	__aligned_u64 pool_bytes;
	__aligned_u64 reserved;
};

/**
 * struct mydev_log_page - where the log of the device begins and ends
 * @head: position behind the last entry
 * @tail: position of the first entry that is still there
 * @reserved: zero
 *
 * The kernel writes it. Positions only grow.
 */
struct mydev_log_page {
	__aligned_u64 head;
	__aligned_u64 tail;
	__aligned_u64 reserved[6];
};

/* mydev_ring.flags */
/* The device waits for this client: MYDEV_IOC_SYNC after cursor has been moved. */
#define MYDEV_RING_NEED_WAKEUP (1U << 0)
/* No more entries will come than are there; MYDEV_IOC_SYNC says why. */
#define MYDEV_RING_ENDED (1U << 1)

/**
 * struct mydev_ring - where one client is in the log
 * @ended: what is found in place of the log after a revoke: a head of 0 and a tail of
 *	9223372036854775807
 * @flags: MYDEV_RING_*; the kernel writes it
 * @reserved: zero
 * @cursor: position of the first entry that the program still needs; this and all that
 *	follows is written by the kernel when ring mode begins and by a rewind, and then
 *	by the program
 * @sequence: number of the packet that the program expects next: all before it have been
 *	read, or their loss was noticed
 * @bytes: the same for payload bytes; more than mydev_ring_entry.bytes of the packet
 *	@sequence by those of its bytes that are read already
 * @read_packets: packets that were read to their end, since open(); see struct
 *	mydev_stats, where they are found again
 * @read_bytes: bytes that were read
 * @reserved2: zero
 *
 * In MYDEV_MODE_RING a program takes packets and events out of the log of the device, in
 * memory: it maps this page (shared, readable and writable), the log and the pool (shared
 * and readable; writing is EACCES). The entry at position i is number i modulo
 * mydev_map.entries; its bytes are in the pool, where all clients see the same
 * ones: also what the device had sent before this descriptor was opened, and
 * what is just arriving. As long as entries come, no call is needed. Mapping this
 * page asks for data, as poll() for input does, and needs a descriptor that is
 * open for reading and writing. poll() waits for entries, by watermark and latency
 * bound; it returns at once while @cursor is before the head.
 *
 * To take entries:
 *
 *  1. Read the head, with acquire semantics: what is before it is complete. Where
 *     @cursor is not before it, there is no entry. With MYDEV_RING_ENDED in @flags,
 *     call MYDEV_IOC_SYNC then: 0 means to go on.
 *  2. Copy the entry at @cursor, and use the packet where it lies.
 *  3. Behind an acquire fence, read the tail. If it is behind @cursor, the entry was
 *     taken away, maybe while it was used, and what was read since step 2 may be
 *     something else: go on at the tail, with step 1. So a tail that is not behind is
 *     the proof that entry and packet were what they should be.
 *  4. Where mydev_ring_entry.sequence is behind @sequence, the packets in between are
 *     lost, and mydev_ring_entry.bytes less @bytes of their bytes.
 *  5. Write what has changed of the other members, then @cursor with release
 *     semantics: the position behind the entry, or behind several that were taken like
 *     this. Then, behind a full barrier, read @flags: with MYDEV_RING_NEED_WAKEUP,
 *     call MYDEV_IOC_SYNC.
 *
 * A lossless client is waited for as in other modes; nothing that is not before its
 * cursor is taken away from it, unless it blocks for too long, see
 * mydev_info.block_timeout_ms. The policies that drop are the program's own business: it
 * moves its cursor on when it is more than the queue depth behind; the kernel takes
 * entries away when the memory is needed.
 *
 * The kernel reads @cursor, and, to tell of them, the members behind it, and nothing else
 * that the program can write. When @cursor has gone back, or is beyond the head, the
 * kernel ends this client's stream (EPROTO), and no other. A new start is another mode,
 * and then this one again.
 *
 * The memory stays what it was after an unplug, and as long as it is
 * mapped also after close(), without any descriptor. After MYDEV_IOC_REVOKE,
 * MYDEV_RING_ENDED is set, this page is found in place of the log as well, and access to
 * the pool raises SIGBUS. System calls can copy from the pool, but not pin it: O_DIRECT,
 * vmsplice() and the like fail with EFAULT.
 *
 * MYDEV_IOC_SYNC (mydev_select.value must be zero) makes the kernel look at
 * @cursor at once. It returns 0 where there are entries or more may come, else
 * why none will: ENODEV, EIO (see read()), ESTALE, EPROTO. It is EINVAL in
 * another mode.
 */
struct mydev_ring {
	struct mydev_log_page ended;
	__u32 flags;
	__u32 reserved[15];
	__aligned_u64 cursor;
	__aligned_u64 sequence;
	__aligned_u64 bytes;
	__aligned_u64 read_packets;
	__aligned_u64 read_bytes;
	__aligned_u64 reserved2[3];
};

/**
 * struct mydev_ring_entry - a packet or an event
 * @type: MYDEV_RECORD_PACKET or MYDEV_RECORD_EVENT; skip others
 * @reserved: the kernel's own
 * @flags: MYDEV_PACKET_*
 * @length: of a packet: bytes; 0 of anything else
 * @status: of a packet: 0, or the negative errno that its transfer ended with
 *	after these bytes; of an event: the negative errno that goes with it, or 0
 * @sequence: see mydev_packet_header
 * @monotonic_ns: when the transfer completed or the event happened, CLOCK_MONOTONIC
 * @boottime_offset_ns: what was to be added to that for CLOCK_BOOTTIME then
 * @realtime_offset_ns: the same for CLOCK_REALTIME
 * @bytes: payload bytes of all packets before it, since the device was plugged in
 * @offset: of a packet: where its first byte is in the pool
 * @event: of an event: MYDEV_EVENT_*
 */
struct mydev_ring_entry {
	__u16 type;
	__u16 reserved;
	__u32 flags;
	__u32 length;
	__s32 status;
	__aligned_u64 sequence;
	__aligned_u64 monotonic_ns;
	__s64 boottime_offset_ns;
	__s64 realtime_offset_ns;
	__aligned_u64 bytes;
	union {
		__aligned_u64 offset;
		__u32 event;
	};
};

/* mydev_rewind.to */
#define MYDEV_REWIND_OLDEST   0 /* the first entry that is still there */
#define MYDEV_REWIND_SEQUENCE 1 /* the first one not before a packet's number */
#define MYDEV_REWIND_TIME     2 /* the first one not before a time */

/**
 * struct mydev_rewind - go back to what is still there, MYDEV_IOC_REWIND
 * @size: in: sizeof(struct mydev_rewind) of the caller; out: of the kernel
 * @to: MYDEV_REWIND_*
 * @value: in: the number of a packet; or a time, CLOCK_MONOTONIC, nanoseconds; or zero.
 *	out: number of the packet that is read next
 *
 * Packets stay in memory until it is needed, also when all clients have read them, and
 * before anybody asks for data again. What this descriptor would read next is what it
 * says here, as far as that is still there, or else the nearest that comes later; the
 * end of what has arrived, where that is before it. Where the first packet was read in
 * part, it is read anew. Packets that are read a second time are counted as offered
 * and read a second time; those that are left out, as not offered; a loss that was not
 * reported yet is not reported any more. What the descriptor goes back to does not count
 * as unread for its policy. In ring mode, struct mydev_ring is written.
 */
struct mydev_rewind {
	__u32 size;
	__u32 to;
	__aligned_u64 value;
};

/* mydev_recovery.clear_halt: when the driver clears the halt of an endpoint */
#define MYDEV_CLEAR_HALTED 0 /* the device has stalled it */
#define MYDEV_CLEAR_ERROR  1 /* a transfer has ended with any error */
#define MYDEV_CLEAR_NEVER  2 /* MYDEV_IOC_CLEAR_HALT alone does it */

/**
 * struct mydev_recovery - what is done after an error, MYDEV_IOC_GET/SET_RECOVERY
 * @size: in: sizeof(struct mydev_recovery) of the caller; out: of the kernel
 * @clear_halt: MYDEV_CLEAR_*
 * @tries: how many tries in a row, without one good transfer, have to fail before the
 *	stream does (MYDEV_STATE_FAILED, EIO); 0 for never
 * @delay_ms: milliseconds between the first and the second try, 1 to @max_delay_ms. The
 *	first one comes at once; each further time is twice as long as the one before
 * @max_delay_ms: but not longer than this; at most 60000
 * @reserved: must be zero
 *
 * By default, a halt is cleared after a stall, and 8 tries are made, with 10 to 640
 * milliseconds in between. The policy is the device's, for both directions and all
 * descriptors, until it is unplugged; @tries and times are those of receiving, as what
 * could not be sent is told to its writer. Setting it needs a descriptor that is open for
 * writing, and that no other one holds the lease.
 *
 * To clear a halt is a request to the device, CLEAR_FEATURE(ENDPOINT_HALT), which sets
 * the data toggle or sequence number back on both sides. After a stall nothing goes on
 * without it. After another error it is needed where the two sides do not agree any more:
 * an xHCI host controller starts over with its own side then, and what comes with the
 * wrong toggle is dropped as a repetition. And it does harm where a device cannot do it,
 * or throws away what it was about to send. So MYDEV_CLEAR_ERROR is for devices that do
 * it right, and MYDEV_CLEAR_NEVER for those that fail by it.
 *
 * Where it fails after an error that was no stall, that is said in the log once, is no
 * error that is counted, and the endpoint is tried without. After a stall it is tried
 * again: to receive, as often as @tries says; to send, with the next write().
 */
struct mydev_recovery {
	__u32 size;
	__u32 clear_halt;
	__u32 tries;
	__u32 delay_ms;
	__u32 max_delay_ms;
	__u32 reserved;
};

#endif /* _LINUX_MYDEV_H */
