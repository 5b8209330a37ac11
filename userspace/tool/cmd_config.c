// SPDX-License-Identifier: MIT
/*
 * mydevctl config: what is set for a device as a whole, to show and to change.
 * What each client sets for itself are options of the commands that read.
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>

#include "tool.h"

#define KEY_TRANSFERS        0x100
#define KEY_TRANSFER_SIZE    0x101
#define KEY_POOL             0x102
#define KEY_BLOCK_TIMEOUT_MS 0x103
#define KEY_LOG_ENTRIES      0x104

/* See struct mydev_geometry. */
#define MIN_LOG_ENTRIES 512

/* One value that may be given; wider than the driver's member. */
struct value {
	bool given;
	uint64_t number;
};

struct options {
	struct common common;
	struct value transfers;
	struct value transfer_size;
	struct value pool_bytes;
	struct value log_entries;
	struct value block_timeout_ms;
};

static void take_number(struct value *value, const char *arg,
			struct argp_state *state)
{
	if (!parse_number(arg, &value->number))
		argp_error(state, "not a whole number: %s", arg);
	value->given = true;
}

static void take_bytes(struct value *value, const char *arg,
		       struct argp_state *state)
{
	if (!parse_bytes(arg, &value->number))
		argp_error(
			state,
			"not a number of bytes: %s (such as 4096, 64K, 10M or 1G)",
			arg);
	value->given = true;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		return 0;
	case KEY_TRANSFERS:
		take_number(&options->transfers, arg, state);
		return 0;
	case KEY_TRANSFER_SIZE:
		take_bytes(&options->transfer_size, arg, state);
		return 0;
	case KEY_POOL:
		take_bytes(&options->pool_bytes, arg, state);
		return 0;
	case KEY_LOG_ENTRIES:
		take_number(&options->log_entries, arg, state);
		return 0;
	case KEY_BLOCK_TIMEOUT_MS:
		take_number(&options->block_timeout_ms, arg, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_table[] = {
	{ "transfers", KEY_TRANSFERS, "N", 0,
	  "Keep N receive transfers in flight", 0 },
	{ "transfer-size", KEY_TRANSFER_SIZE, "BYTES", 0,
	  "Let each of them take BYTES", 0 },
	{ "pool", KEY_POOL, "BYTES", 0,
	  "Use BYTES of memory for packets: how far clients may drift apart",
	  0 },
	{ "log-entries", KEY_LOG_ENTRIES, "N", 0,
	  "Keep up to N packets and events for all clients; 0 for a number that fits the pool",
	  0 },
	{ "block-timeout-ms", KEY_BLOCK_TIMEOUT_MS, "MS", 0,
	  "A lossless client that holds up others for MS milliseconds loses what it has queued; 0 for never",
	  0 },
	{ 0 },
};

static const struct argp argp = {
	.options = option_table,
	.parser = parse,
	.children = with_common,
	.args_doc = "[DEV]",
	.doc = "Show the receive ring of a device, or change it and show what it "
	       "is now.\v" DEV_DOC
	       " BYTES may end in K, M or G, for 1024, 1024^2 and 1024^3; sizes "
	       "are rounded down to what fits, log entries up to a power of "
	       "two.\n\n"
	       "The ring belongs to all clients of the device. It changes only "
	       "while none of them asks for data. What is changed lasts until the "
	       "device is unplugged.\n\n" EXIT_CODES_DOC,
};

static bool changes_geometry(const struct options *options)
{
	return options->transfers.given || options->transfer_size.given ||
	       options->pool_bytes.given || options->log_entries.given;
}

/* What does not fit into the driver's member is beyond its limit anyhow. */
static uint32_t narrow(uint64_t number)
{
	return number < UINT32_MAX ? number : UINT32_MAX;
}

/* Fills in what was not given, so that @options is what is wanted as a whole. */
static void complete(struct options *options,
		     const struct mydev_geometry *geometry)
{
	if (!options->transfers.given)
		options->transfers.number = geometry->transfers;
	if (!options->transfer_size.given)
		options->transfer_size.number = geometry->transfer_size;
	if (!options->pool_bytes.given)
		options->pool_bytes.number = geometry->pool_bytes;
	if (!options->log_entries.given)
		options->log_entries.number = geometry->log_entries;
}

/* An older driver has a queue for each client, and no log. */
static bool has_log(const struct mydev_geometry *geometry)
{
	return geometry->size >
	       offsetof(struct mydev_geometry, max_log_entries);
}

/* The least pool for so many transfers of such a size. */
static uint64_t min_pool(uint64_t transfers, uint64_t transfer_size)
{
	return (transfers + 2) * transfer_size;
}

static bool refuse(const struct target *target, const char *name,
		   uint64_t number, uint64_t min, uint64_t max)
{
	if (number >= min && number <= max)
		return false;
	complain("%s: %s can be %" PRIu64 " to %" PRIu64 ", not %" PRIu64,
		 mydev_path(target->dev), name, min, max, number);
	return true;
}

/* @options is what was wanted, @geometry has the limits. */
static void explain_range(const struct target *target,
			  const struct mydev_info *info,
			  const struct options *options,
			  const struct mydev_geometry *geometry)
{
	uint64_t transfers = options->transfers.number;
	uint64_t size = options->transfer_size.number;

	if (refuse(target, "transfers", transfers, 1,
		   geometry->max_transfers) ||
	    refuse(target, "transfer_size", size, info->ep_in_max_packet,
		   geometry->max_transfer_size))
		return;
	size -= size % info->ep_in_max_packet;
	if (min_pool(transfers, size) > geometry->max_pool_bytes)
		complain("%s: %" PRIu64 " transfers of %" PRIu64
			 " bytes need a pool of %" PRIu64
			 ", and pool_bytes can be %" PRIu64 " at most",
			 mydev_path(target->dev), transfers, size,
			 min_pool(transfers, size),
			 (uint64_t)geometry->max_pool_bytes);
	else if (refuse(target, "pool_bytes", options->pool_bytes.number,
			min_pool(transfers, size), geometry->max_pool_bytes))
		fprintf(stderr,
			"  The least is transfers + 2 times transfer_size; set it with --pool.\n");
	else if (refuse(target, "log_entries", options->log_entries.number,
			MIN_LOG_ENTRIES, geometry->max_log_entries))
		fprintf(stderr,
			"  Or 0, for a number that fits the pool; set it with --log-entries.\n");
	else
		complain("%s: %s", mydev_path(target->dev),
			 mydev_strerror(-ERANGE));
}

static void explain_busy(const struct target *target)
{
	struct json_object *rows;
	int ret;

	complain(
		"%s: the ring cannot change while somebody asks for data or has some queued",
		mydev_path(target->dev));
	ret = clients_read(target->entry, &rows);
	if (ret) {
		clients_hint(ret);
		return;
	}
	fprintf(stderr, "  End those whose role is reading or evicted:\n");
	clients_print(stderr, rows);
	json_object_put(rows);
}

static int set_geometry(const struct target *target,
			const struct mydev_info *info, struct options *options)
{
	struct mydev_geometry geometry;
	int ret = mydev_get_geometry(target->dev, &geometry, sizeof(geometry));

	if (!ret && options->log_entries.given && !has_log(&geometry)) {
		complain("%s: the loaded driver has no log_entries",
			 mydev_path(target->dev));
		return EXIT_ERROR;
	}
	if (!ret) {
		complete(options, &geometry);
		geometry.transfers = narrow(options->transfers.number);
		geometry.transfer_size = narrow(options->transfer_size.number);
		geometry.pool_bytes = options->pool_bytes.number;
		geometry.log_entries = narrow(options->log_entries.number);
		ret = mydev_set_geometry(target->dev, &geometry,
					 sizeof(geometry));
	}
	switch (ret) {
	case 0:
		return EXIT_OK;
	case -ERANGE:
		explain_range(target, info, options, &geometry);
		return EXIT_ERROR;
	case -EBUSY:
		explain_busy(target);
		return EXIT_ERROR;
	default:
		return device_error(mydev_path(target->dev), ret);
	}
}

/* There is no request for this: it is for the administrator alone. */
static int set_block_timeout(const struct target *target,
			     uint64_t block_timeout_ms)
{
	const char *path = mydev_path(target->dev);
	char text[32];
	int ret;

	snprintf(text, sizeof(text), "%" PRIu64, block_timeout_ms);
	ret = mydev_entry_set_attr(target->entry, "block_timeout_ms", text);
	switch (ret) {
	case 0:
		return EXIT_OK;
	case -ERANGE:
		refuse(target, "block_timeout_ms", block_timeout_ms, 0,
		       UINT32_MAX);
		return EXIT_ERROR;
	case -EACCES:
	case -EPERM:
		complain(
			"%s: only root can change block_timeout_ms: run this as root",
			path);
		return EXIT_PERMISSION;
	case -ENOENT:
		complain("%s: the loaded driver has no block_timeout_ms", path);
		return EXIT_ERROR;
	default:
		return device_error(path, ret);
	}
}

static int show(const struct target *target, bool json)
{
	struct json_object *obj;
	struct mydev_geometry geometry;
	struct mydev_info info;
	int ret;

	ret = mydev_get_geometry(target->dev, &geometry, sizeof(geometry));
	if (!ret)
		ret = mydev_get_info(target->dev, &info, sizeof(info));
	if (ret)
		return device_error(mydev_path(target->dev), ret);

	obj = need(json_object_new_object());
	add_text(obj, "name", mydev_entry_name(target->entry));
	add_number(obj, "transfers", geometry.transfers);
	add_number(obj, "min_transfers", 1);
	add_number(obj, "max_transfers", geometry.max_transfers);
	add_number(obj, "transfer_size", geometry.transfer_size);
	add_number(obj, "min_transfer_size", info.ep_in_max_packet);
	add_number(obj, "max_transfer_size", geometry.max_transfer_size);
	add_number(obj, "pool_bytes", geometry.pool_bytes);
	add_number(obj, "min_pool_bytes",
		   min_pool(geometry.transfers, geometry.transfer_size));
	add_number(obj, "max_pool_bytes", geometry.max_pool_bytes);
	add_known(obj, "log_entries", has_log(&geometry), geometry.log_entries);
	add_known(obj, "min_log_entries", has_log(&geometry), MIN_LOG_ENTRIES);
	add_known(obj, "max_log_entries", has_log(&geometry),
		  geometry.max_log_entries);
	add_known(obj, "block_timeout_ms",
		  info.size > offsetof(struct mydev_info, block_timeout_ms),
		  info.block_timeout_ms);
	if (json)
		print_json(obj);
	else
		print_fields(obj);
	json_object_put(obj);
	return EXIT_OK;
}

static int run(const struct target *target, struct options *options)
{
	struct mydev_info info;
	int status = EXIT_OK;
	int ret = mydev_get_info(target->dev, &info, sizeof(info));

	/* Without an endpoint to receive from there is no ring. */
	if (!ret && !info.ep_in)
		ret = -EOPNOTSUPP;
	if (ret)
		return device_error(mydev_path(target->dev), ret);
	if (changes_geometry(options))
		status = set_geometry(target, &info, options);
	if (!status && options->block_timeout_ms.given)
		status = set_block_timeout(target,
					   options->block_timeout_ms.number);
	return status ? status : show(target, options->common.json);
}

int cmd_config(int argc, char **argv)
{
	struct options options = { 0 };
	struct target target;
	int status;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	/* Settings of the device need a descriptor that may change it. */
	status = target_open(&target, options.common.name,
			     changes_geometry(&options) ? O_WRONLY
							: TARGET_QUERY);
	if (status)
		return status;
	status = run(&target, &options);
	target_close(&target);
	return status;
}
