/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints, events/mydev/ in tracefs: where data goes on its way from the
 * device to the clients. The address of the URB is the one that usbmon prints.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM mydev

#if !defined(MYDEV_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define MYDEV_TRACE_H

#include <linux/tracepoint.h>

#include "mydev.h"

/* clang-format knows nothing of these macros. */
/* clang-format off */

DECLARE_EVENT_CLASS(mydev_transfer,

	TP_PROTO(const struct mydev_device *dev, const struct urb *urb),
	TP_ARGS(dev, urb),
	TP_STRUCT__entry(
		__field(u32, index)
		__field(const void *, urb)
		__field(int, status)
		__field(u32, length)
		__field(u32, in_flight)
		__field(u64, seq)
	),
	TP_fast_assign(
		__entry->index = dev->info.index;
		__entry->urb = urb;
		__entry->status = urb->status;
		__entry->length = urb->actual_length;
		__entry->in_flight = dev->rx.in_flight;
		__entry->seq = dev->counters.packets;
	),
	TP_printk("mydev%u urb=%p status=%d length=%u in_flight=%u seq=%llu",
		  __entry->index, __entry->urb, __entry->status,
		  __entry->length, __entry->in_flight, __entry->seq)
);

/* A transfer goes in flight. */
DEFINE_EVENT(mydev_transfer, mydev_submit,
	     TP_PROTO(const struct mydev_device *dev, const struct urb *urb),
	     TP_ARGS(dev, urb));

/* A transfer has ended; seq is the number that its packet is about to get. */
DEFINE_EVENT(mydev_transfer, mydev_complete,
	     TP_PROTO(const struct mydev_device *dev, const struct urb *urb),
	     TP_ARGS(dev, urb));

/* A packet is appended for all subscribers. */
TRACE_EVENT(mydev_deliver,

	TP_PROTO(const struct mydev_device *dev,
		 const struct mydev_entry *pkt),
	TP_ARGS(dev, pkt),
	TP_STRUCT__entry(
		__field(u32, index)
		__field(u64, seq)
		__field(u32, length)
		__field(u32, subscribers)
	),
	TP_fast_assign(
		__entry->index = dev->info.index;
		__entry->seq = pkt->seq;
		__entry->length = pkt->length;
		__entry->subscribers = dev->nr_subscribers;
	),
	TP_printk("mydev%u seq=%llu length=%u subscribers=%u",
		  __entry->index, __entry->seq, __entry->length,
		  __entry->subscribers)
);

/* A client is told of packets that it has lost, the rest of one among them. */
TRACE_EVENT(mydev_drop,

	TP_PROTO(const struct mydev_client *client, u64 seq, u64 packets,
		 u64 bytes),
	TP_ARGS(client, seq, packets, bytes),
	TP_STRUCT__entry(
		__field(u32, index)
		__field(pid_t, pid)
		__field(u64, seq)
		__field(u64, packets)
		__field(u64, bytes)
		__field(u32, policy)
		__field(bool, evicted)
	),
	TP_fast_assign(
		__entry->index = client->dev->info.index;
		__entry->pid = client->pid;
		__entry->seq = seq;
		__entry->packets = packets;
		__entry->bytes = bytes;
		__entry->policy = client->policy;
		__entry->evicted = client->evicted;
	),
	TP_printk("mydev%u client=%d seq=%llu packets=%llu bytes=%llu policy=%u evicted=%d",
		  __entry->index, __entry->pid, __entry->seq,
		  __entry->packets, __entry->bytes, __entry->policy,
		  __entry->evicted)
);

DECLARE_EVENT_CLASS(mydev_ring,

	TP_PROTO(const struct mydev_device *dev),
	TP_ARGS(dev),
	TP_STRUCT__entry(
		__field(u32, index)
		__field(u64, seq)
		__field(u32, state)
		__field(u32, free_buffers)
	),
	TP_fast_assign(
		__entry->index = dev->info.index;
		__entry->seq = dev->counters.packets;
		__entry->state = dev->rx.state;
		__entry->free_buffers = dev->pool.nr_free;
	),
	TP_printk("mydev%u seq=%llu state=%u free_buffers=%u",
		  __entry->index, __entry->seq, __entry->state,
		  __entry->free_buffers)
);

/* Transfers are in flight again, after there were none. */
DEFINE_EVENT(mydev_ring, mydev_start,
	     TP_PROTO(const struct mydev_device *dev), TP_ARGS(dev));

/* The last transfer came back and was not submitted again. */
DEFINE_EVENT(mydev_ring, mydev_stop,
	     TP_PROTO(const struct mydev_device *dev), TP_ARGS(dev));

/* clang-format on */

#endif /* MYDEV_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
