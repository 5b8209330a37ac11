// SPDX-License-Identifier: GPL-2.0-only
/*
 * The requests of ioctl(): a table of what each takes, and the checks that are
 * the same for all. A new request is one structure in the UAPI header, one
 * function and one line in the table.
 */
#include <linux/build_bug.h>
#include <linux/capability.h>
#include <linux/nospec.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "mydev.h"

/* Layouts are the same for 32-bit and 64-bit programs, and never change. */
static_assert(sizeof(struct mydev_info) == 112);
static_assert(sizeof(struct mydev_stats) == 208);
static_assert(sizeof(struct mydev_config) == 32);
static_assert(sizeof(struct mydev_geometry) == 48);
static_assert(sizeof(struct mydev_control) == 40);
static_assert(sizeof(struct mydev_select) == 8);
static_assert(sizeof(struct mydev_lease) == 16);
static_assert(sizeof(struct mydev_transact) == 40);
static_assert(sizeof(struct mydev_packet_header) == 40);
static_assert(sizeof(struct mydev_gap_record) == 16);
static_assert(sizeof(struct mydev_event_record) == 8);
static_assert(sizeof(struct mydev_map) == 72);
static_assert(sizeof(struct mydev_log_page) == 64);
static_assert(sizeof(struct mydev_ring) == 192);
static_assert(sizeof(struct mydev_ring_entry) == 64);
static_assert(sizeof(struct mydev_rewind) == 16);
static_assert(sizeof(struct mydev_recovery) == 24);
static_assert(offsetof(struct mydev_ring, cursor) == 128);
static_assert(offsetof(struct mydev_info, features) == 8);
static_assert(offsetof(struct mydev_info, ep_in_max_packet) == 30);
static_assert(offsetof(struct mydev_info, max_clients) == 60);
static_assert(offsetof(struct mydev_stats, packets) == 24);
static_assert(offsetof(struct mydev_stats, client_queued_bytes) == 128);

/* What a client maps are our own entries. */
/* clang-format off */
#define MYDEV_SAME(_member, _ours)					\
	static_assert(offsetof(struct mydev_ring_entry, _member) ==	\
		      offsetof(struct mydev_entry, _ours))
/* clang-format on */
static_assert(sizeof(struct mydev_ring_entry) == sizeof(struct mydev_entry));
MYDEV_SAME(type, type);
MYDEV_SAME(reserved, buffer);
MYDEV_SAME(flags, flags);
MYDEV_SAME(length, length);
MYDEV_SAME(status, status);
MYDEV_SAME(sequence, seq);
MYDEV_SAME(monotonic_ns, time);
MYDEV_SAME(boottime_offset_ns, boottime);
MYDEV_SAME(realtime_offset_ns, realtime);
MYDEV_SAME(bytes, bytes);
MYDEV_SAME(offset, offset);
MYDEV_SAME(event, event);

/* The header promises USB's values for the type, and the kernel's for the speed. */
static_assert(MYDEV_ENDPOINT_BULK == USB_ENDPOINT_XFER_BULK);
static_assert(MYDEV_ENDPOINT_INTERRUPT == USB_ENDPOINT_XFER_INT);
static_assert(MYDEV_SPEED_UNKNOWN == USB_SPEED_UNKNOWN);
static_assert(MYDEV_SPEED_LOW == USB_SPEED_LOW);
static_assert(MYDEV_SPEED_FULL == USB_SPEED_FULL);
static_assert(MYDEV_SPEED_HIGH == USB_SPEED_HIGH);
static_assert(MYDEV_SPEED_WIRELESS == USB_SPEED_WIRELESS);
static_assert(MYDEV_SPEED_SUPER == USB_SPEED_SUPER);
static_assert(MYDEV_SPEED_SUPER_PLUS == USB_SPEED_SUPER_PLUS);

/**
 * union mydev_argument - room for the argument of any request
 * @size: the first member of each of them
 * @info: MYDEV_IOC_GET_INFO
 * @stats: MYDEV_IOC_GET_STATS
 * @config: MYDEV_IOC_GET_CONFIG, MYDEV_IOC_SET_CONFIG
 * @geometry: MYDEV_IOC_GET_GEOMETRY, MYDEV_IOC_SET_GEOMETRY
 * @control: MYDEV_IOC_CONTROL
 * @select: MYDEV_IOC_CLEAR_HALT, _SET_ALTERNATE, _RESET, _REVOKE, _SYNC, _RESTART
 * @lease: MYDEV_IOC_LEASE
 * @transact: MYDEV_IOC_TRANSACT
 * @map: MYDEV_IOC_GET_MAP
 * @rewind: MYDEV_IOC_REWIND
 * @recovery: MYDEV_IOC_GET_RECOVERY, MYDEV_IOC_SET_RECOVERY
 */
union mydev_argument {
	u32 size;
	struct mydev_info info;
	struct mydev_stats stats;
	struct mydev_config config;
	struct mydev_geometry geometry;
	struct mydev_control control;
	struct mydev_select select;
	struct mydev_lease lease;
	struct mydev_transact transact;
	struct mydev_map map;
	struct mydev_rewind rewind;
	struct mydev_recovery recovery;
};

/**
 * struct mydev_method - one request
 * @min_size: the argument must have at least this much
 * @size: of the argument as this kernel knows it
 * @needs: MYDEV_NEEDS_*
 * @fn: does it, NULL for a number that is not in use; the argument is in kernel
 *	memory, the part that the caller did not give is zero, and what it leaves
 *	there goes back to the caller, also with -ERANGE; nonblock says that the
 *	descriptor is
 */
struct mydev_method {
	u32 min_size;
	u32 size;
	u32 needs;
	int (*fn)(struct mydev_client *client, union mydev_argument *arg,
		  bool nonblock);
};

#define MYDEV_LAST_MODE (MYDEV_HAS_RING ? MYDEV_MODE_RING : MYDEV_MODE_PACKET)

/* What the descriptor must be good for. */
#define MYDEV_NEEDS_READ  FMODE_READ
#define MYDEV_NEEDS_WRITE FMODE_WRITE

/* Continuation marks in one column. */
/* clang-format off */
#define MYDEV_METHOD(_cmd, _member, _last, _needs, _fn)			\
	[_IOC_NR(_cmd)] = {						\
		.min_size = offsetofend(union mydev_argument, _last),	\
		.size = sizeof_field(union mydev_argument, _member),	\
		.needs = (__force u32)(_needs),				\
		.fn = (_fn),						\
	}
/* clang-format on */

static int mydev_get_info(struct mydev_client *client,
			  union mydev_argument *arg, bool nonblock)
{
	struct mydev_device *dev = client->dev;

	spin_lock_irq(&dev->rx_lock);
	arg->info = dev->info;
	arg->info.transfers = dev->rx.nr;
	arg->info.transfer_size = dev->rx.size;
	arg->info.pool_buffers = dev->rx.nr_buffers;
	arg->info.block_timeout_ms = dev->rx.block_timeout_ms;
	arg->info.queue_depth = client->depth;
	arg->info.client_id = client->id;
	spin_unlock_irq(&dev->rx_lock);
	return 0;
}

static int mydev_get_stats(struct mydev_client *client,
			   union mydev_argument *arg, bool nonblock)
{
	if (arg->stats.flags)
		return -EINVAL;
	mydev_client_stats(client, &arg->stats);
	return 0;
}

static int mydev_get_config(struct mydev_client *client,
			    union mydev_argument *arg, bool nonblock)
{
	if (arg->config.flags)
		return -EINVAL;
	mydev_client_get_config(client, &arg->config);
	return 0;
}

static int mydev_set_config(struct mydev_client *client,
			    union mydev_argument *arg, bool nonblock)
{
	const struct mydev_config *config = &arg->config;

	if (config->flags & ~MYDEV_CONFIG_TERMINATE)
		return -EINVAL;
	if (!client->subscriber &&
	    (config->mode || config->policy || config->clock ||
	     config->watermark || config->latency_us || config->queue_depth))
		return client->reader ? -EOPNOTSUPP : -EBADF;
	if (config->mode > MYDEV_LAST_MODE ||
	    config->policy > MYDEV_POLICY_DROP_NEWEST ||
	    config->clock > MYDEV_CLOCK_REALTIME)
		return -EOPNOTSUPP;
	if (client->subscriber &&
	    (!config->queue_depth || config->queue_depth > MYDEV_MAX_DEPTH))
		return -ERANGE;
	return mydev_client_set_config(client, config);
}

static int mydev_get_geometry(struct mydev_client *client,
			      union mydev_argument *arg, bool nonblock)
{
	if (arg->geometry.reserved)
		return -EINVAL;
	mydev_rx_get_geometry(client->dev, &arg->geometry);
	return 0;
}

static int mydev_set_geometry(struct mydev_client *client,
			      union mydev_argument *arg, bool nonblock)
{
	int ret;

	if (arg->geometry.reserved)
		return -EINVAL;
	ret = mydev_rx_set_geometry(client->dev, client, &arg->geometry);
	if (!ret || ret == -ERANGE)
		mydev_rx_get_geometry(client->dev, &arg->geometry);
	return ret;
}

static int mydev_do_control(struct mydev_client *client,
			    union mydev_argument *arg, bool nonblock)
{
	return mydev_control(client, &arg->control);
}

static int mydev_do_clear_halt(struct mydev_client *client,
			       union mydev_argument *arg, bool nonblock)
{
	return mydev_clear_halt(client, arg->select.value);
}

static int mydev_do_set_alternate(struct mydev_client *client,
				  union mydev_argument *arg, bool nonblock)
{
	return mydev_set_alternate(client, arg->select.value);
}

static int mydev_do_reset(struct mydev_client *client,
			  union mydev_argument *arg, bool nonblock)
{
	if (arg->select.value)
		return -EINVAL;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	return mydev_reset(client);
}

static int mydev_do_lease(struct mydev_client *client,
			  union mydev_argument *arg, bool nonblock)
{
	if (arg->lease.reserved)
		return -EINVAL;
	switch (arg->lease.operation) {
	case MYDEV_LEASE_ACQUIRE:
		return mydev_lease_acquire(client, arg->lease.timeout_ms,
					   nonblock);
	case MYDEV_LEASE_RELEASE:
		mydev_lease_release(client);
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

static int mydev_do_transact(struct mydev_client *client,
			     union mydev_argument *arg, bool nonblock)
{
	return mydev_transact(client, &arg->transact, nonblock);
}

static int mydev_do_revoke(struct mydev_client *client,
			   union mydev_argument *arg, bool nonblock)
{
	u32 id = arg->select.value;

	if (id && id != client->id && !capable(CAP_SYS_ADMIN))
		return -EPERM;
	return mydev_client_revoke(client, id);
}

static int mydev_get_map(struct mydev_client *client, union mydev_argument *arg,
			 bool nonblock)
{
	if (arg->map.reserved)
		return -EINVAL;
	if (!client->subscriber || !MYDEV_HAS_RING)
		return -EOPNOTSUPP;
	/* The geometry does not change in between. */
	mutex_lock(&client->dev->rx_mutex);
	mydev_map_describe(client, &arg->map);
	mutex_unlock(&client->dev->rx_mutex);
	return 0;
}

static int mydev_do_sync(struct mydev_client *client, union mydev_argument *arg,
			 bool nonblock)
{
	if (arg->select.value)
		return -EINVAL;
	return mydev_ring_kick(client);
}

static int mydev_do_rewind(struct mydev_client *client,
			   union mydev_argument *arg, bool nonblock)
{
	if (!client->subscriber)
		return -EOPNOTSUPP;
	switch (arg->rewind.to) {
	case MYDEV_REWIND_OLDEST:
		if (arg->rewind.value)
			return -EINVAL;
		fallthrough;
	case MYDEV_REWIND_SEQUENCE:
	case MYDEV_REWIND_TIME:
		return mydev_client_rewind(client, &arg->rewind);
	default:
		return -EOPNOTSUPP;
	}
}

static int mydev_get_recovery(struct mydev_client *client,
			      union mydev_argument *arg, bool nonblock)
{
	if (arg->recovery.reserved)
		return -EINVAL;
	mydev_recovery_get(client->dev, &arg->recovery);
	return 0;
}

static int mydev_set_recovery(struct mydev_client *client,
			      union mydev_argument *arg, bool nonblock)
{
	int ret = mydev_recovery_check(&arg->recovery);

	if (!ret)
		ret = mydev_tx_allowed(client);
	return ret ?: mydev_recovery_set(client->dev, &arg->recovery);
}

static int mydev_do_restart(struct mydev_client *client,
			    union mydev_argument *arg, bool nonblock)
{
	return arg->select.value ? -EINVAL : mydev_rx_restart(client);
}

static const struct mydev_method mydev_methods[] = {
	MYDEV_METHOD(MYDEV_IOC_GET_INFO, info, info.block_timeout_ms, 0,
		     mydev_get_info),
	MYDEV_METHOD(MYDEV_IOC_GET_STATS, stats, stats.client_queued_bytes, 0,
		     mydev_get_stats),
	MYDEV_METHOD(MYDEV_IOC_GET_CONFIG, config, config.queue_depth, 0,
		     mydev_get_config),
	MYDEV_METHOD(MYDEV_IOC_SET_CONFIG, config, config.queue_depth, 0,
		     mydev_set_config),
	MYDEV_METHOD(MYDEV_IOC_GET_GEOMETRY, geometry, geometry.reserved, 0,
		     mydev_get_geometry),
	MYDEV_METHOD(MYDEV_IOC_SET_GEOMETRY, geometry, geometry.reserved,
		     MYDEV_NEEDS_WRITE, mydev_set_geometry),
	MYDEV_METHOD(MYDEV_IOC_CONTROL, control, control.reserved2,
		     MYDEV_NEEDS_WRITE, mydev_do_control),
	MYDEV_METHOD(MYDEV_IOC_CLEAR_HALT, select, select.value,
		     MYDEV_NEEDS_WRITE, mydev_do_clear_halt),
	MYDEV_METHOD(MYDEV_IOC_SET_ALTERNATE, select, select.value,
		     MYDEV_NEEDS_WRITE, mydev_do_set_alternate),
	MYDEV_METHOD(MYDEV_IOC_RESET, select, select.value, MYDEV_NEEDS_WRITE,
		     mydev_do_reset),
	MYDEV_METHOD(MYDEV_IOC_LEASE, lease, lease.reserved, MYDEV_NEEDS_WRITE,
		     mydev_do_lease),
	MYDEV_METHOD(MYDEV_IOC_TRANSACT, transact, transact.in_data,
		     MYDEV_NEEDS_READ | MYDEV_NEEDS_WRITE, mydev_do_transact),
	MYDEV_METHOD(MYDEV_IOC_REVOKE, select, select.value, 0,
		     mydev_do_revoke),
	MYDEV_METHOD(MYDEV_IOC_GET_MAP, map, map.reserved, MYDEV_NEEDS_READ,
		     mydev_get_map),
	MYDEV_METHOD(MYDEV_IOC_SYNC, select, select.value, MYDEV_NEEDS_READ,
		     mydev_do_sync),
	MYDEV_METHOD(MYDEV_IOC_REWIND, rewind, rewind.value, MYDEV_NEEDS_READ,
		     mydev_do_rewind),
	MYDEV_METHOD(MYDEV_IOC_GET_RECOVERY, recovery, recovery.reserved, 0,
		     mydev_get_recovery),
	MYDEV_METHOD(MYDEV_IOC_SET_RECOVERY, recovery, recovery.reserved,
		     MYDEV_NEEDS_WRITE, mydev_set_recovery),
	MYDEV_METHOD(MYDEV_IOC_RESTART, select, select.value, MYDEV_NEEDS_WRITE,
		     mydev_do_restart),
};

/**
 * mydev_ioctl() - check a request against the table and do it
 * @file: an open file of ours
 * @cmd: the request
 * @arg: address of its argument
 *
 * Context: process context; also the compat entry, as layouts do not differ.
 * Return: 0 or a negative errno as the UAPI header tells.
 */
long mydev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct mydev_client *client = file->private_data;
	void __user *uarg = (void __user *)arg;
	const struct mydev_method *method;
	union mydev_argument argument;
	unsigned int nr = _IOC_NR(cmd);
	u32 size;
	int ret;

	if (nr >= ARRAY_SIZE(mydev_methods))
		return -ENOTTY;
	nr = array_index_nospec(nr, ARRAY_SIZE(mydev_methods));
	method = &mydev_methods[nr];
	if (!method->fn || cmd != _IO(MYDEV_IOC_TYPE, nr))
		return -ENOTTY;

	if (~(__force u32)file->f_mode & method->needs)
		return -EBADF;
	if (get_user(size, (u32 __user *)uarg))
		return -EFAULT;
	if (size < method->min_size)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;

	memset(&argument, 0, sizeof(argument));
	ret = copy_struct_from_user(&argument, method->size, uarg, size);
	if (ret)
		return ret;

	/* The page of the argument may have taken its time. */
	if (READ_ONCE(client->revoked))
		return -ESTALE;
	ret = method->fn(client, &argument, file->f_flags & O_NONBLOCK);
	if (ret && ret != -ERANGE)
		return ret;

	argument.size = method->size;
	if (copy_to_user(uarg, &argument, min(size, method->size)))
		return -EFAULT;
	return ret;
}
