// SPDX-License-Identifier: GPL-2.0-only
/*
 * What goes into the log, and the end of a stream. No delivery depends on how
 * many clients there are, apart from those that sleep.
 *
 * Everything here runs under rx_lock, interrupts off.
 */
#include <linux/ktime.h>

#include "mydev.h"
#include "trace.h"

/* Entries that are retired ahead of need, for each that is appended. */
#define MYDEV_RETIRE_AHEAD 8

/* The rest of an entry, which is then appended. */
static void mydev_deliver_entry(struct mydev_device *dev,
				struct mydev_entry *entry)
{
	ktime_t now = ktime_get();

	entry->seq = dev->counters.packets;
	entry->bytes = dev->counters.bytes;
	entry->time = ktime_to_ns(now);
	entry->boottime = ktime_to_ns(
		ktime_sub(ktime_mono_to_any(now, TK_OFFS_BOOT), now));
	entry->realtime = ktime_to_ns(ktime_sub(ktime_mono_to_real(now), now));
	mydev_log_append(&dev->log, entry);
	dev->rx.credits -= min(dev->rx.credits, 1U);
}

/**
 * mydev_deliver() - append a packet for all clients
 * @dev: the device
 * @entry: buffer, offset, length, flags and status are set; the log takes over
 *	its reference to the buffer
 */
void mydev_deliver(struct mydev_device *dev, struct mydev_entry *entry)
{
	/* Transfers that a client has not held up in time come all the same. */
	if (kfifo_is_full(&dev->log.store.fifo))
		mydev_log_make_room(dev, true);
	/* Before this one is there: thousands of small ones share a buffer. */
	mydev_pool_reclaim(dev, 2, MYDEV_RETIRE_AHEAD);
	entry->type = MYDEV_RECORD_PACKET;
	mydev_deliver_entry(dev, entry);
	dev->counters.packets++;
	dev->counters.bytes += entry->length;
	if (!entry->length)
		dev->counters.zero_packets++;
	trace_mydev_deliver(dev, entry);
	mydev_sleepers_notify(dev);
}

/**
 * mydev_deliver_event() - append an event, unless holders leave no room at all
 * @dev: the device
 * @event: MYDEV_EVENT_*
 * @status: the negative errno that goes with it
 * @last_id: see struct mydev_entry; read() does not tell later clients
 */
void mydev_deliver_event(struct mydev_device *dev, u32 event, int status,
			 u32 last_id)
{
	struct mydev_entry entry = {
		.type = MYDEV_RECORD_EVENT,
		.event = event,
		.status = status,
		.last_id = last_id,
	};

	if (!dev->log.store.slots || !mydev_log_make_room(dev, false))
		return;
	mydev_deliver_entry(dev, &entry);
	mydev_sleepers_notify(dev);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_deliver_event);

/**
 * mydev_clients_wake() - wake everybody at the end of the stream
 * @dev: the device; gone or failed is set already
 */
void mydev_clients_wake(struct mydev_device *dev)
{
	struct mydev_client *client;
	__poll_t events = MYDEV_POLL_IN | EPOLLERR;
	int band = POLL_ERR;

	if (dev->gone) {
		events |= EPOLLHUP;
		band = POLL_HUP;
	}
	list_for_each_entry(client, &dev->clients, list)
		mydev_client_wake(client, events, band);
	mydev_holders_tell(dev);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_clients_wake);
