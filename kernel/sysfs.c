// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/class/mydev/mydevN/: one value per file, see docs/ABI/.
 */
#include <linux/device.h>
#include <linux/mutex.h>
#include <linux/sysfs.h>

#include "mydev.h"

static struct mydev_device *to_mydev(struct device *device)
{
	return container_of(device, struct mydev_device, dev);
}

/* Attributes, one a line. */
/* clang-format off */

/* What is constant from probe on. */
#define MYDEV_CONSTANT(_name, _format, _value)				\
static ssize_t _name##_show(struct device *device,			\
			    struct device_attribute *attr, char *buf)	\
{									\
	struct mydev_device *dev = to_mydev(device);			\
									\
	return sysfs_emit(buf, _format "\n", _value);			\
}									\
static DEVICE_ATTR_RO(_name)

MYDEV_CONSTANT(id_vendor, "%04x", dev->info.id_vendor);
MYDEV_CONSTANT(id_product, "%04x", dev->info.id_product);
MYDEV_CONSTANT(bcd_device, "%04x", dev->info.bcd_device);
MYDEV_CONSTANT(manufacturer, "%s", dev->iface->udev->manufacturer);
MYDEV_CONSTANT(product, "%s", dev->iface->udev->product);
MYDEV_CONSTANT(serial, "%s", dev->iface->udev->serial);
MYDEV_CONSTANT(speed, "%s", usb_speed_string(dev->info.speed));
MYDEV_CONSTANT(interface_number, "%02x", dev->info.interface_number);
MYDEV_CONSTANT(pipe, "%02x", dev->info.pipe);

/* What changes, read under the lock that it changes under. */
#define MYDEV_VARIABLE(_name, _type, _format, _value)			\
static ssize_t _name##_show(struct device *device,			\
			    struct device_attribute *attr, char *buf)	\
{									\
	struct mydev_device *dev = to_mydev(device);			\
	_type value;							\
									\
	spin_lock_irq(&dev->rx_lock);					\
	value = _value;							\
	spin_unlock_irq(&dev->rx_lock);					\
	return sysfs_emit(buf, _format "\n", value);			\
}									\
static DEVICE_ATTR_RO(_name)

MYDEV_VARIABLE(alternate_setting, u8, "%u", dev->info.alternate_setting);
MYDEV_VARIABLE(ep_in, u8, "%02x", dev->info.ep_in);
MYDEV_VARIABLE(ep_in_max_packet, u16, "%u", dev->info.ep_in_max_packet);
MYDEV_VARIABLE(ep_out, u8, "%02x", dev->info.ep_out);
MYDEV_VARIABLE(ep_out_max_packet, u16, "%u", dev->info.ep_out_max_packet);
MYDEV_VARIABLE(clients, unsigned int, "%u", dev->nr_clients);
MYDEV_VARIABLE(in_flight, unsigned int, "%u", dev->rx.in_flight);
MYDEV_VARIABLE(pool_buffers, unsigned int, "%u", dev->rx.nr_buffers);
MYDEV_VARIABLE(packets, u64, "%llu", dev->counters.packets);
MYDEV_VARIABLE(bytes, u64, "%llu", dev->counters.bytes);
MYDEV_VARIABLE(zero_packets, u64, "%llu", dev->counters.zero_packets);
MYDEV_VARIABLE(errors, u64, "%llu", mydev_rx_errors(dev));
MYDEV_VARIABLE(stalls, u64, "%llu", dev->counters.stalls);
MYDEV_VARIABLE(ring_stops, u64, "%llu", dev->counters.ring_stops);
MYDEV_VARIABLE(unread_packets, u64, "%llu", mydev_rx_all_unread(dev).seq);
MYDEV_VARIABLE(unread_bytes, u64, "%llu", mydev_rx_all_unread(dev).bytes);

#define MYDEV_SENT(_name, _value)					\
static ssize_t _name##_show(struct device *device,			\
			    struct device_attribute *attr, char *buf)	\
{									\
	struct mydev_device *dev = to_mydev(device);			\
	u64 value;							\
									\
	spin_lock_irq(&dev->tx.lock);					\
	value = _value;							\
	spin_unlock_irq(&dev->tx.lock);					\
	return sysfs_emit(buf, "%llu\n", value);			\
}									\
static DEVICE_ATTR_RO(_name)

MYDEV_SENT(sent_transfers, dev->tx.transfers);
MYDEV_SENT(sent_bytes, dev->tx.bytes);
MYDEV_SENT(send_errors, dev->tx.errors);

/* clang-format on */

/* Which member of a structure an attribute is. */
static u32 *mydev_attr_member(void *structure, struct device_attribute *attr)
{
	const struct dev_ext_attribute *ext =
		container_of(attr, struct dev_ext_attribute, attr);

	return structure + (unsigned long)ext->var;
}

/* The geometry: one member is set, the others stay as they are. */

static int mydev_store_geometry(struct device *device,
				const struct mydev_geometry *geometry)
{
	int ret = mydev_rx_set_geometry(to_mydev(device), NULL, geometry);

	if (ret == -ERANGE)
		dev_notice(
			device,
			"limits: %u transfers, %u bytes each, a pool of %llu bytes and at least transfers + 2 buffers, a log of %u to %u entries\n",
			geometry->max_transfers, geometry->max_transfer_size,
			geometry->max_pool_bytes, MYDEV_MIN_LOG,
			geometry->max_log_entries);
	return ret;
}

static ssize_t mydev_geometry_show(struct device *device,
				   struct device_attribute *attr, char *buf)
{
	struct mydev_geometry geometry;

	mydev_rx_get_geometry(to_mydev(device), &geometry);
	return sysfs_emit(buf, "%u\n", *mydev_attr_member(&geometry, attr));
}

static ssize_t mydev_geometry_store(struct device *device,
				    struct device_attribute *attr,
				    const char *buf, size_t count)
{
	struct mydev_geometry geometry;
	int ret;

	mydev_rx_get_geometry(to_mydev(device), &geometry);
	ret = kstrtou32(buf, 0, mydev_attr_member(&geometry, attr));
	if (!ret)
		ret = mydev_store_geometry(device, &geometry);
	return ret ?: count;
}

static struct dev_ext_attribute dev_attr_transfers = {
	__ATTR(transfers, 0644, mydev_geometry_show, mydev_geometry_store),
	(void *)offsetof(struct mydev_geometry, transfers),
};

static struct dev_ext_attribute dev_attr_transfer_size = {
	__ATTR(transfer_size, 0644, mydev_geometry_show, mydev_geometry_store),
	(void *)offsetof(struct mydev_geometry, transfer_size),
};

static struct dev_ext_attribute dev_attr_log_entries = {
	__ATTR(log_entries, 0644, mydev_geometry_show, mydev_geometry_store),
	(void *)offsetof(struct mydev_geometry, log_entries),
};

static ssize_t pool_bytes_show(struct device *device,
			       struct device_attribute *attr, char *buf)
{
	struct mydev_geometry geometry;

	mydev_rx_get_geometry(to_mydev(device), &geometry);
	return sysfs_emit(buf, "%llu\n", geometry.pool_bytes);
}

static ssize_t pool_bytes_store(struct device *device,
				struct device_attribute *attr, const char *buf,
				size_t count)
{
	struct mydev_geometry geometry;
	int ret;

	mydev_rx_get_geometry(to_mydev(device), &geometry);
	ret = kstrtou64(buf, 0, &geometry.pool_bytes);
	if (!ret)
		ret = mydev_store_geometry(device, &geometry);
	return ret ?: count;
}
static DEVICE_ATTR_RW(pool_bytes);

static ssize_t block_timeout_ms_show(struct device *device,
				     struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n",
			  READ_ONCE(to_mydev(device)->rx.block_timeout_ms));
}

static ssize_t block_timeout_ms_store(struct device *device,
				      struct device_attribute *attr,
				      const char *buf, size_t count)
{
	struct mydev_device *dev = to_mydev(device);
	u32 value;
	int ret;

	ret = kstrtou32(buf, 0, &value);
	if (ret)
		return ret;
	mydev_rx_set_block_timeout(dev, value);
	return count;
}
static DEVICE_ATTR_RW(block_timeout_ms);

/* The policy of recovery from errors, in the same way. */

static const char *const mydev_clear_names[] = {
	[MYDEV_CLEAR_HALTED] = "halt",
	[MYDEV_CLEAR_ERROR] = "error",
	[MYDEV_CLEAR_NEVER] = "never",
};

static int mydev_store_recovery(struct device *device,
				const struct mydev_recovery *recovery)
{
	int ret = mydev_recovery_check(recovery);

	if (ret == -ERANGE)
		dev_notice(
			device,
			"limits: delay_ms from 1 to max_delay_ms, that to %u\n",
			MYDEV_MAX_TIMEOUT_MS);
	return ret ?: mydev_recovery_set(to_mydev(device), recovery);
}

static ssize_t clear_halt_show(struct device *device,
			       struct device_attribute *attr, char *buf)
{
	struct mydev_recovery recovery;

	mydev_recovery_get(to_mydev(device), &recovery);
	return sysfs_emit(buf, "%s\n", mydev_clear_names[recovery.clear_halt]);
}

/* One member is changed, and the others are written back. */
static DEFINE_MUTEX(mydev_recovery_mutex);

static ssize_t clear_halt_store(struct device *device,
				struct device_attribute *attr, const char *buf,
				size_t count)
{
	int when = sysfs_match_string(mydev_clear_names, buf), ret;
	struct mydev_recovery recovery;

	if (when < 0)
		return when;
	mutex_lock(&mydev_recovery_mutex);
	mydev_recovery_get(to_mydev(device), &recovery);
	recovery.clear_halt = when;
	ret = mydev_store_recovery(device, &recovery);
	mutex_unlock(&mydev_recovery_mutex);
	return ret ?: count;
}
static DEVICE_ATTR_RW(clear_halt);

static ssize_t mydev_recovery_show(struct device *device,
				   struct device_attribute *attr, char *buf)
{
	struct mydev_recovery recovery;

	mydev_recovery_get(to_mydev(device), &recovery);
	return sysfs_emit(buf, "%u\n", *mydev_attr_member(&recovery, attr));
}

static ssize_t mydev_recovery_store(struct device *device,
				    struct device_attribute *attr,
				    const char *buf, size_t count)
{
	struct mydev_recovery recovery;
	int ret;

	mutex_lock(&mydev_recovery_mutex);
	mydev_recovery_get(to_mydev(device), &recovery);
	ret = kstrtou32(buf, 0, mydev_attr_member(&recovery, attr));
	if (!ret)
		ret = mydev_store_recovery(device, &recovery);
	mutex_unlock(&mydev_recovery_mutex);
	return ret ?: count;
}

static struct dev_ext_attribute dev_attr_tries = {
	__ATTR(tries, 0644, mydev_recovery_show, mydev_recovery_store),
	(void *)offsetof(struct mydev_recovery, tries),
};

static struct dev_ext_attribute dev_attr_delay_ms = {
	__ATTR(delay_ms, 0644, mydev_recovery_show, mydev_recovery_store),
	(void *)offsetof(struct mydev_recovery, delay_ms),
};

static struct dev_ext_attribute dev_attr_max_delay_ms = {
	__ATTR(max_delay_ms, 0644, mydev_recovery_show, mydev_recovery_store),
	(void *)offsetof(struct mydev_recovery, max_delay_ms),
};

static const char *const mydev_state_names[] = {
	[MYDEV_STATE_IDLE] = "idle",
	[MYDEV_STATE_RUNNING] = "running",
	[MYDEV_STATE_RECOVERING] = "recovering",
	[MYDEV_STATE_FAILED] = "failed",
	[MYDEV_STATE_GONE] = "gone",
	[MYDEV_STATE_PAUSED] = "paused",
};

/* clang-format off */
MYDEV_VARIABLE(state, const char *, "%s", mydev_state_names[mydev_rx_state(dev)]);
/* clang-format on */

static ssize_t lease_show(struct device *device, struct device_attribute *attr,
			  char *buf)
{
	return mydev_lease_show(to_mydev(device)->iface, buf);
}
static DEVICE_ATTR_RO(lease);

static ssize_t siblings_show(struct device *device,
			     struct device_attribute *attr, char *buf)
{
	return mydev_group_show(to_mydev(device), buf);
}
static DEVICE_ATTR_RO(siblings);

static const char *const mydev_scope_names[] = {
	[MYDEV_SCOPE_INTERFACE] = "interface",
	[MYDEV_SCOPE_DEVICE] = "device",
};

static ssize_t control_scope_show(struct device *device,
				  struct device_attribute *attr, char *buf)
{
	unsigned int scope = READ_ONCE(to_mydev(device)->iface->control_scope);

	return sysfs_emit(buf, "%s\n", mydev_scope_names[scope]);
}

static ssize_t control_scope_store(struct device *device,
				   struct device_attribute *attr,
				   const char *buf, size_t count)
{
	int scope = sysfs_match_string(mydev_scope_names, buf);

	if (scope < 0)
		return scope;
	WRITE_ONCE(to_mydev(device)->iface->control_scope, scope);
	return count;
}
static DEVICE_ATTR_RW(control_scope);

static struct attribute *mydev_attrs[] = {
	&dev_attr_id_vendor.attr,
	&dev_attr_id_product.attr,
	&dev_attr_bcd_device.attr,
	&dev_attr_manufacturer.attr,
	&dev_attr_product.attr,
	&dev_attr_serial.attr,
	&dev_attr_speed.attr,
	&dev_attr_interface_number.attr,
	&dev_attr_pipe.attr,
	&dev_attr_alternate_setting.attr,
	&dev_attr_ep_in.attr,
	&dev_attr_ep_in_max_packet.attr,
	&dev_attr_ep_out.attr,
	&dev_attr_ep_out_max_packet.attr,
	&dev_attr_transfers.attr.attr,
	&dev_attr_transfer_size.attr.attr,
	&dev_attr_log_entries.attr.attr,
	&dev_attr_pool_bytes.attr,
	&dev_attr_pool_buffers.attr,
	&dev_attr_block_timeout_ms.attr,
	&dev_attr_clients.attr,
	&dev_attr_in_flight.attr,
	&dev_attr_state.attr,
	&dev_attr_lease.attr,
	&dev_attr_siblings.attr,
	&dev_attr_control_scope.attr,
	NULL,
};

/* A device without a string or an endpoint has no file for it. */
static umode_t mydev_attr_visible(struct kobject *kobj, struct attribute *attr,
				  int n)
{
	struct mydev_device *dev = to_mydev(kobj_to_dev(kobj));
	bool visible = true;

	if (attr == &dev_attr_manufacturer.attr)
		visible = dev->iface->udev->manufacturer;
	else if (attr == &dev_attr_product.attr)
		visible = dev->iface->udev->product;
	else if (attr == &dev_attr_serial.attr)
		visible = dev->iface->udev->serial;
	else if (attr == &dev_attr_ep_in.attr ||
		 attr == &dev_attr_ep_in_max_packet.attr ||
		 attr == &dev_attr_transfers.attr.attr ||
		 attr == &dev_attr_transfer_size.attr.attr ||
		 attr == &dev_attr_log_entries.attr.attr ||
		 attr == &dev_attr_pool_bytes.attr ||
		 attr == &dev_attr_pool_buffers.attr ||
		 attr == &dev_attr_block_timeout_ms.attr ||
		 attr == &dev_attr_in_flight.attr)
		visible = dev->has_in;
	else if (attr == &dev_attr_ep_out.attr ||
		 attr == &dev_attr_ep_out_max_packet.attr ||
		 attr == &dev_attr_sent_transfers.attr ||
		 attr == &dev_attr_sent_bytes.attr ||
		 attr == &dev_attr_send_errors.attr)
		visible = dev->has_out;

	return visible ? attr->mode : 0;
}

static const struct attribute_group mydev_group = {
	.attrs = mydev_attrs,
	.is_visible = mydev_attr_visible,
};

static struct attribute *mydev_stats_attrs[] = {
	&dev_attr_packets.attr,        &dev_attr_bytes.attr,
	&dev_attr_zero_packets.attr,   &dev_attr_errors.attr,
	&dev_attr_stalls.attr,         &dev_attr_ring_stops.attr,
	&dev_attr_unread_packets.attr, &dev_attr_unread_bytes.attr,
	&dev_attr_sent_transfers.attr, &dev_attr_sent_bytes.attr,
	&dev_attr_send_errors.attr,    NULL,
};

static const struct attribute_group mydev_stats_group = {
	.name = "stats",
	.attrs = mydev_stats_attrs,
};

static struct attribute *mydev_recovery_attrs[] = {
	&dev_attr_clear_halt.attr,
	&dev_attr_tries.attr.attr,
	&dev_attr_delay_ms.attr.attr,
	&dev_attr_max_delay_ms.attr.attr,
	NULL,
};

/* Sending is not tried again by itself. */
static umode_t mydev_recovery_visible(struct kobject *kobj,
				      struct attribute *attr, int n)
{
	struct mydev_device *dev = to_mydev(kobj_to_dev(kobj));

	return dev->has_in || attr == &dev_attr_clear_halt.attr ? attr->mode
								: 0;
}

static const struct attribute_group mydev_recovery_group = {
	.name = "recovery",
	.attrs = mydev_recovery_attrs,
	.is_visible = mydev_recovery_visible,
};

const struct attribute_group *mydev_groups[] = { &mydev_group,
						 &mydev_stats_group,
						 &mydev_recovery_group, NULL };
