// SPDX-License-Identifier: MIT
/*
 * mydevctl recovery: what the driver does after an error, to show and to change.
 */
#include <argp.h>
#include <errno.h>
#include <string.h>

#include "tool.h"

#define KEY_CLEAR_HALT   0x100
#define KEY_TRIES        0x101
#define KEY_DELAY_MS     0x102
#define KEY_MAX_DELAY_MS 0x103

/* See struct mydev_recovery. */
#define MAX_DELAY_MS 60000

struct value {
	bool given;
	unsigned int number;
};

struct options {
	struct common common;
	struct value clear_halt;
	struct value tries;
	struct value delay_ms;
	struct value max_delay_ms;
};

static void take_number(struct value *value, const char *arg, unsigned int max,
			struct argp_state *state)
{
	if (!parse_limited(arg, max, &value->number))
		argp_error(state, "not a whole number up to %u: %s", max, arg);
	value->given = true;
}

static void take_clear_halt(struct value *value, const char *arg,
			    struct argp_state *state)
{
	int number = mydev_clear_halt_value(arg);

	if (number < 0)
		argp_error(state, "not one of halt, error and never: %s", arg);
	value->number = number;
	value->given = true;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		return 0;
	case KEY_CLEAR_HALT:
		take_clear_halt(&options->clear_halt, arg, state);
		return 0;
	case KEY_TRIES:
		take_number(&options->tries, arg, UINT32_MAX, state);
		return 0;
	case KEY_DELAY_MS:
		take_number(&options->delay_ms, arg, MAX_DELAY_MS, state);
		return 0;
	case KEY_MAX_DELAY_MS:
		take_number(&options->max_delay_ms, arg, MAX_DELAY_MS, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_table[] = {
	{ "clear-halt", KEY_CLEAR_HALT, "WHEN", 0,
	  "Clear the halt of an endpoint after a stall (halt), after any error (error), or never",
	  0 },
	{ "tries", KEY_TRIES, "N", 0,
	  "Let the stream fail after N tries in a row without success; 0 for never",
	  0 },
	{ "delay-ms", KEY_DELAY_MS, "MS", 0,
	  "Wait MS milliseconds before the second try; each further time is twice as long",
	  0 },
	{ "max-delay-ms", KEY_MAX_DELAY_MS, "MS", 0,
	  "But never longer than MS milliseconds", 0 },
	{ 0 },
};

static const struct argp argp = {
	.options = option_table,
	.parser = parse,
	.children = with_common,
	.args_doc = "[DEV]",
	.doc = "Show what the driver does after an error of a device, or change it "
	       "and show what it does now.\v" DEV_DOC
	       " Tries and times are those of receiving; when a halt is cleared "
	       "goes for both directions. What is changed holds at once, for all "
	       "clients, until the device is unplugged.\n\n" EXIT_CODES_DOC,
};

static bool changes(const struct options *options)
{
	return options->clear_halt.given || options->tries.given ||
	       options->delay_ms.given || options->max_delay_ms.given;
}

static int recovery_error(const struct target *target, int err)
{
	if (err != -ENOTTY)
		return sender_error(target, err);
	complain("%s: the loaded driver has no such policy",
		 mydev_path(target->dev));
	return EXIT_ERROR;
}

static int set(const struct target *target, const struct options *options)
{
	struct mydev_recovery recovery;
	int ret = mydev_get_recovery(target->dev, &recovery, sizeof(recovery));

	if (ret)
		return recovery_error(target, ret);
	if (options->clear_halt.given)
		recovery.clear_halt = options->clear_halt.number;
	if (options->tries.given)
		recovery.tries = options->tries.number;
	if (options->delay_ms.given)
		recovery.delay_ms = options->delay_ms.number;
	if (options->max_delay_ms.given)
		recovery.max_delay_ms = options->max_delay_ms.number;
	ret = mydev_set_recovery(target->dev, &recovery, sizeof(recovery));
	if (ret == -ERANGE) {
		complain(
			"%s: delay_ms can be 1 to max_delay_ms, and that up to %u; not %u and %u",
			mydev_path(target->dev), MAX_DELAY_MS,
			recovery.delay_ms, recovery.max_delay_ms);
		return EXIT_ERROR;
	}
	return ret ? recovery_error(target, ret) : EXIT_OK;
}

static int show(const struct target *target, bool json)
{
	struct mydev_recovery recovery;
	struct json_object *obj;
	const char *when;
	int ret;

	ret = mydev_get_recovery(target->dev, &recovery, sizeof(recovery));
	if (ret)
		return recovery_error(target, ret);
	when = mydev_clear_halt_name(recovery.clear_halt);
	obj = need(json_object_new_object());
	add_text(obj, "name", mydev_entry_name(target->entry));
	add_text(obj, "clear_halt", when ? when : "unknown");
	add_number(obj, "tries", recovery.tries);
	add_number(obj, "delay_ms", recovery.delay_ms);
	add_number(obj, "max_delay_ms", recovery.max_delay_ms);
	if (json)
		print_json(obj);
	else
		print_fields(obj);
	json_object_put(obj);
	return EXIT_OK;
}

int cmd_recovery(int argc, char **argv)
{
	struct options options = { 0 };
	struct target target;
	int status;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	status =
		target_open_to(&target, options.common.name, changes(&options));
	if (status)
		return status;
	if (changes(&options))
		status = set(&target, &options);
	if (!status)
		status = show(&target, options.common.json);
	target_close(&target);
	return status;
}
