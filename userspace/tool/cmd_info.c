// SPDX-License-Identifier: MIT
/*
 * mydevctl info: what one device is. Never reads or polls, so that asking
 * does not set a device streaming.
 */
#include <argp.h>
#include <stdio.h>

#include "tool.h"

static const struct argp argp = {
	.children = with_common,
	.args_doc = "[DEV]",
	.doc = "Show what a device is: ids, endpoints, speed, limits, and who holds its lease.\v" DEV_DOC
	       "\n\n" EXIT_CODES_DOC,
};

static void add_endpoint(struct json_object *obj, const char *key,
			 const char *key_size, unsigned int address,
			 unsigned int size)
{
	if (!address) {
		add_null(obj, key);
		add_null(obj, key_size);
		return;
	}
	add_hex(obj, key, address, 2);
	add_number(obj, key_size, size);
}

static const char *type_name(unsigned int type)
{
	switch (type) {
	case MYDEV_ENDPOINT_BULK:
		return "bulk";
	case MYDEV_ENDPOINT_INTERRUPT:
		return "interrupt";
	default:
		return "none";
	}
}

/* What an older driver does not tell is not known; an interval has an interrupt endpoint. */
static void add_kind(struct json_object *obj, const char *key,
		     const char *key_interval, unsigned int type,
		     unsigned int interval_us)
{
	if (type)
		add_text(obj, key, type_name(type));
	else
		add_null(obj, key);
	add_known(obj, key_interval, interval_us, interval_us);
}

/* A bitmap as an array of addresses. */
static void add_endpoints(struct json_object *obj, const char *key,
			  uint32_t endpoints)
{
	struct json_object *array = need(json_object_new_array());
	unsigned int i;
	char text[8];

	for (i = 0; i < 32; i++) {
		if (!(endpoints & 1U << i))
			continue;
		snprintf(text, sizeof(text), "%02x",
			 i < 16 ? i : (i - 16) | 0x80);
		json_object_array_add(array,
				      need(json_object_new_string(text)));
	}
	json_object_object_add(obj, key, array);
}

static void add_pipes(struct json_object *obj, const struct mydev_info *info)
{
	if (info->size <= offsetof(struct mydev_info, uncarried))
		return;
	add_hex(obj, "pipe", info->pipe, 2);
	add_hex(obj, "first_pipe", info->first_pipe, 2);
	add_endpoints(obj, "carried", info->carried);
	add_endpoints(obj, "uncarried", info->uncarried);
}

static void add_features(struct json_object *obj, uint64_t features)
{
	static const struct {
		uint64_t bit;
		const char *name;
	} names[] = {
		{ MYDEV_FEATURE_READ, "read" },
		{ MYDEV_FEATURE_NOWAIT, "nowait" },
		{ MYDEV_FEATURE_CONFIG, "config" },
		{ MYDEV_FEATURE_GEOMETRY, "geometry" },
		{ MYDEV_FEATURE_WRITE, "write" },
		{ MYDEV_FEATURE_CONTROL, "control" },
		{ MYDEV_FEATURE_RING, "ring" },
		{ MYDEV_FEATURE_REWIND, "rewind" },
		{ MYDEV_FEATURE_RECOVERY, "recovery" },
	};
	struct json_object *array = need(json_object_new_array());
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (features & names[i].bit)
			json_object_array_add(
				array,
				need(json_object_new_string(names[i].name)));
	}
	json_object_object_add(obj, "features", array);
}

static void add_lease(struct json_object *obj, const struct mydev_entry *entry)
{
	struct holder holder = { 0 };
	bool held = lease_holder(entry, &holder);

	add_known(obj, "lease_pid", held, holder.pid);
	add_text(obj, "lease_command", held ? holder.command : "");
}

static struct json_object *describe(const struct mydev_entry *entry,
				    const struct mydev_info *info)
{
	struct json_object *obj = need(json_object_new_object());

	add_text(obj, "name", mydev_entry_name(entry));
	add_text(obj, "path", mydev_entry_path(entry));
	add_hex(obj, "id_vendor", info->id_vendor, 4);
	add_hex(obj, "id_product", info->id_product, 4);
	add_hex(obj, "bcd_device", info->bcd_device, 4);
	add_text(obj, "manufacturer", mydev_entry_manufacturer(entry));
	add_text(obj, "product", mydev_entry_product(entry));
	add_text(obj, "serial", mydev_entry_serial(entry));
	add_number(obj, "interface_number", info->interface_number);
	add_number(obj, "alternate_setting", info->alternate_setting);
	add_hex(obj, "interface_class", info->interface_class, 2);
	add_hex(obj, "interface_subclass", info->interface_subclass, 2);
	add_hex(obj, "interface_protocol", info->interface_protocol, 2);
	add_attr(obj, entry, "speed");
	add_endpoint(obj, "ep_in", "ep_in_max_packet", info->ep_in,
		     info->ep_in_max_packet);
	add_kind(obj, "ep_in_type", "ep_in_interval_us", info->ep_in_type,
		 info->ep_in_interval_us);
	add_endpoint(obj, "ep_out", "ep_out_max_packet", info->ep_out,
		     info->ep_out_max_packet);
	add_kind(obj, "ep_out_type", "ep_out_interval_us", info->ep_out_type,
		 info->ep_out_interval_us);
	add_pipes(obj, info);
	add_number(obj, "bus_number", info->bus_number);
	add_number(obj, "device_number", info->device_number);
	add_number(obj, "transfer_size", info->transfer_size);
	add_number(obj, "transfers", info->transfers);
	add_number(obj, "pool_buffers", info->pool_buffers);
	/* That of this descriptor, which has none unless it had to be a reader. */
	add_known(obj, "queue_depth", info->queue_depth, info->queue_depth);
	add_number(obj, "max_clients", info->max_clients);
	/* Younger than the structure: an older driver does not tell. */
	add_known(obj, "max_queue_depth",
		  info->size > offsetof(struct mydev_info, max_queue_depth),
		  info->max_queue_depth);
	add_known(obj, "block_timeout_ms",
		  info->size > offsetof(struct mydev_info, block_timeout_ms),
		  info->block_timeout_ms);
	add_known(obj, "send_size", info->send_size, info->send_size);
	add_known(obj, "send_room", info->send_room, info->send_room);
	add_lease(obj, entry);
	add_attr(obj, entry, "control_scope");
	add_words(obj, "siblings", mydev_entry_siblings(entry));
	add_number(obj, "abi_version", info->abi_version);
	add_features(obj, info->features);
	return obj;
}

int cmd_info(int argc, char **argv)
{
	struct common options = { 0 };
	struct json_object *obj;
	struct mydev_info info;
	struct target target;
	int status;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	status = target_open(&target, options.name, TARGET_QUERY);
	if (status)
		return status;
	ret = mydev_get_info(target.dev, &info, sizeof(info));
	if (ret) {
		status = device_error(mydev_path(target.dev), ret);
		goto out;
	}
	obj = describe(target.entry, &info);
	if (options.json)
		print_json(obj);
	else
		print_fields(obj);
	json_object_put(obj);
out:
	target_close(&target);
	return status;
}
