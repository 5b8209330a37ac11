// SPDX-License-Identifier: MIT
/*
 * mydevctl: the options that many commands have, and DEV.
 */
#include <argp.h>
#include <string.h>

#include "tool.h"

#define MAX_TIMEOUT 60000

enum {
	KEY_JSON = 'J',
	KEY_TIMEOUT = 0x200,
};

static unsigned int parse_timeout(const char *text,
				  const struct argp_state *state)
{
	unsigned int ms = 0;

	if (!parse_limited(text, MAX_TIMEOUT, &ms) || !ms)
		argp_error(state, "not a time from 1 to %u milliseconds: %s",
			   MAX_TIMEOUT, text);
	return ms;
}

error_t parse_device(int key, char *arg, struct argp_state *state)
{
	const char **name = state->input;

	if (key != ARGP_KEY_ARG)
		return ARGP_ERR_UNKNOWN;
	if (*name)
		argp_error(state, "one device only: %s", arg);
	*name = arg;
	return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct common *common = state->input;

	switch (key) {
	case KEY_JSON:
		common->json = true;
		return 0;
	case KEY_TIMEOUT:
		common->timeout_ms = parse_timeout(arg, state);
		return 0;
	case ARGP_KEY_ARG:
		if (common->name)
			argp_error(state, "one device only: %s", arg);
		common->name = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static char *help(int key, const char *text, void *input)
{
	const struct common *common = input;

	if (key == KEY_JSON && common && common->json_doc)
		return strdup(common->json_doc);
	return (char *)text;
}

static const struct argp_option timeout_table[] = {
	{ "timeout-ms", KEY_TIMEOUT, "MS", 0,
	  "Give the device MS milliseconds, 1 to 60000 (5000 if not given)",
	  0 },
	{ "json", KEY_JSON, NULL, 0, "Print a JSON object", 0 },
	{ 0 },
};

static const struct argp timeout_argp = {
	.options = timeout_table,
	.parser = parse,
	.help_filter = help,
};

/* Without the first one. */
static const struct argp common_argp = {
	.options = timeout_table + 1,
	.parser = parse,
	.help_filter = help,
};

const struct argp_child with_common[] = { { .argp = &common_argp }, { 0 } };
const struct argp_child with_timeout[] = { { .argp = &timeout_argp }, { 0 } };
