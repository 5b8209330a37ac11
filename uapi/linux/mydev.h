/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * mydev: one vendor-specific USB interface, any number of readers.
 *
 * This header is the whole contract between the driver and programs.
 *
 * A descriptor of /dev/mydevN that was opened for reading is a member of the
 * device's stream from open() on: whatever the device sends from then on is
 * also its own to read, at its own pace. The device is asked to send from the
 * first read(), poll() for input or equivalent of any member on, until the
 * last member that did so is closed.
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
 *    EFAULT      the buffer is not writable; nothing was consumed
 *    ENOBUFS     stream mode: data was lost for this descriptor right here;
 *                reported once per gap, the next read goes on behind it
 *    EMSGSIZE    packet mode: the buffer is too small for the next record;
 *                nothing was consumed
 *    EIO         the device failed for good and the queue is drained; a new
 *                start is made when all who read have closed and somebody
 *                opens again
 *    ENODEV      the device is unplugged and the queue is drained
 *    EOPNOTSUPP  the interface has no bulk IN endpoint
 *    EBADF       the descriptor was not opened for reading
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
 *                receiving, where there is no bulk IN endpoint
 *    ENODEV      the geometry of a device that is unplugged
 *    ERANGE      a number is beyond its limit; struct mydev_info and struct
 *                mydev_geometry tell the limits
 *    EBADF       settings of reading on a descriptor that is not for reading,
 *                or of the device on one that is not for writing
 *    EBUSY       the geometry cannot change while somebody asks for data or
 *                has some queued
 *    ENOMEM      no memory for a longer queue or a larger pool; what was there
 *                before is still in use
 *
 *  poll()
 *    EPOLLIN | EPOLLRDNORM   a blocking read() would return at once
 *    EPOLLERR                the device failed or is unplugged
 *    EPOLLHUP                the device is unplugged
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

/* mydev_info.features: what this kernel and this interface can do */
#define MYDEV_FEATURE_READ     (1ULL << 0) /* there is a bulk IN endpoint */
#define MYDEV_FEATURE_NOWAIT   (1ULL << 1) /* RWF_NOWAIT and io_uring */
#define MYDEV_FEATURE_CONFIG   (1ULL << 2) /* struct mydev_config, records */
#define MYDEV_FEATURE_GEOMETRY (1ULL << 3) /* struct mydev_geometry */

/* mydev_info.speed; the values are those of the kernel's usb_device_speed */
#define MYDEV_SPEED_UNKNOWN    0
#define MYDEV_SPEED_LOW        1
#define MYDEV_SPEED_FULL       2
#define MYDEV_SPEED_HIGH       3
#define MYDEV_SPEED_WIRELESS   4
#define MYDEV_SPEED_SUPER      5
#define MYDEV_SPEED_SUPER_PLUS 6

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
 * @ep_in: address of the bulk IN endpoint, 0 where there is none
 * @ep_out: address of the bulk OUT endpoint, 0 where there is none
 * @ep_in_max_packet: wMaxPacketSize of the bulk IN endpoint, bytes
 * @ep_out_max_packet: wMaxPacketSize of the bulk OUT endpoint, bytes
 * @bus_number: number of the USB bus
 * @device_number: address on that bus
 * @index: N of /dev/mydevN
 * @transfer_size: bytes that one receive transfer can take
 * @transfers: receive transfers kept in flight
 * @pool_buffers: buffers of @transfer_size bytes that the device owns
 * @queue_depth: packets that can be queued for this client
 * @max_clients: descriptors that may be open at once
 * @max_queue_depth: limit of mydev_config.queue_depth
 * @stall_ms: a client that holds the ring stopped for so long while another
 *	one waits for data loses what it has queued; milliseconds, 0 for never
 *
 * The request still works after an unplug.
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
	__u32 stall_ms;
};

/* mydev_stats.state: what the receive ring is doing */
#define MYDEV_STATE_IDLE       0 /* nobody has asked for data */
#define MYDEV_STATE_RUNNING    1 /* transfers are in flight, or could be */
#define MYDEV_STATE_RECOVERING 2 /* after an error, before the next try */
#define MYDEV_STATE_FAILED     3 /* gave up; see EIO above */
#define MYDEV_STATE_GONE       4 /* unplugged */

/**
 * struct mydev_stats - counters, MYDEV_IOC_GET_STATS
 * @size: in: sizeof(struct mydev_stats) of the caller; out: of the kernel
 * @flags: in: must be zero
 * @state: MYDEV_STATE_* of the device
 * @clients: open descriptors
 * @in_flight: receive transfers that the USB host controller holds
 * @free_buffers: buffers that no client holds and no transfer uses
 * @packets: packets that the device delivered since it was plugged in
 * @bytes: payload bytes in @packets
 * @zero_packets: those of @packets that had no bytes
 * @errors: transfers that ended with an error, stalls included
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
 *
 * All counters of one call are of one moment. The client's are zero for a
 * descriptor that was not opened for reading. After an unplug they stay as
 * they were.
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
};

/* mydev_config.mode: what read() returns */
#define MYDEV_MODE_STREAM 0 /* bytes, as from a pipe */
#define MYDEV_MODE_PACKET 1 /* whole records, see mydev_packet_header */

/* mydev_config.policy: what happens when this client falls behind */
#define MYDEV_POLICY_LOSSLESS    0 /* the device has to wait */
#define MYDEV_POLICY_DROP_OLDEST 1 /* its oldest packets are dropped */
#define MYDEV_POLICY_DROP_NEWEST 2 /* new packets are not queued for it */

/* mydev_config.clock: of the timestamps */
#define MYDEV_CLOCK_MONOTONIC 0
#define MYDEV_CLOCK_BOOTTIME  1
#define MYDEV_CLOCK_REALTIME  2

/**
 * struct mydev_config - settings of one client, MYDEV_IOC_GET/SET_CONFIG
 * @size: in: sizeof(struct mydev_config) of the caller; out: of the kernel
 * @reserved: must be zero
 * @mode: MYDEV_MODE_*
 * @policy: MYDEV_POLICY_*
 * @clock: MYDEV_CLOCK_*, for packets that arrive from now on
 * @watermark: poll() and a blocking read() wait until so many bytes are
 *	queued; 0 or 1 for any. A non-blocking read() takes what is there
 * @latency_us: or until the oldest queued packet has waited for so many
 *	microseconds; 0 for no such bound. Without a bound, packets below the
 *	watermark wait until more come or the device has to wait
 * @queue_depth: packets that can be queued, 1 to mydev_info.max_queue_depth
 *
 * A setting takes effect at once and for this client alone. No packet is lost
 * or repeated by it: what is queued stays queued. A switch from stream to
 * packet mode in the middle of a packet makes a record of the rest of it, with
 * MYDEV_PACKET_PARTIAL.
 */
struct mydev_config {
	__u32 size;
	__u32 reserved;
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
 * @reserved: must be zero
 * @pool_bytes: memory for packets, at least @transfers + 2 times
 *	@transfer_size; rounded down to a multiple of @transfer_size
 * @max_pool_bytes: limit of @pool_bytes; ignored on the way in
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
	__u32 reserved;
	__aligned_u64 pool_bytes;
	__aligned_u64 max_pool_bytes;
};

/* mydev_packet_header.type */
#define MYDEV_RECORD_PACKET 0 /* payload: what one transfer delivered */
#define MYDEV_RECORD_GAP    1 /* payload: struct mydev_gap_record */
#define MYDEV_RECORD_EVENT  2 /* payload: struct mydev_event_record */

/* mydev_packet_header.flags */
/* The transfer was full: the device's message goes on in the next packet. */
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

/* mydev_event_record.event */
#define MYDEV_EVENT_STALL 1 /* the device stalled, the halt is cleared */
#define MYDEV_EVENT_ERROR 2 /* an error of the bus, receiving goes on */

/**
 * struct mydev_event_record - something happened to the stream, at this place
 * @event: MYDEV_EVENT_*
 * @status: the negative errno that goes with it
 */
struct mydev_event_record {
	__u32 event;
	__s32 status;
};

#endif /* _LINUX_MYDEV_H */
