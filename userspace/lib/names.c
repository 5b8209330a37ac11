// SPDX-License-Identifier: MIT
/*
 * Names for the numbers of the driver's header.
 */
#include <errno.h>
#include <string.h>

#include "libmydev.h"

#define COUNT(names) (sizeof(names) / sizeof((names)[0]))

static const char *const states[] = {
	[MYDEV_STATE_IDLE] = "idle",
	[MYDEV_STATE_RUNNING] = "running",
	[MYDEV_STATE_RECOVERING] = "recovering",
	[MYDEV_STATE_FAILED] = "failed",
	[MYDEV_STATE_GONE] = "gone",
	[MYDEV_STATE_PAUSED] = "paused",
};

static const char *const modes[] = {
	[MYDEV_MODE_STREAM] = "stream",
	[MYDEV_MODE_PACKET] = "packet",
	[MYDEV_MODE_RING] = "ring",
};

static const char *const policies[] = {
	[MYDEV_POLICY_LOSSLESS] = "lossless",
	[MYDEV_POLICY_DROP_OLDEST] = "drop-oldest",
	[MYDEV_POLICY_DROP_NEWEST] = "drop-newest",
};

static const char *const clocks[] = {
	[MYDEV_CLOCK_MONOTONIC] = "monotonic",
	[MYDEV_CLOCK_BOOTTIME] = "boottime",
	[MYDEV_CLOCK_REALTIME] = "realtime",
};

static const char *const records[] = {
	[MYDEV_RECORD_PACKET] = "packet",
	[MYDEV_RECORD_GAP] = "gap",
	[MYDEV_RECORD_EVENT] = "event",
};

static const char *const clears[] = {
	[MYDEV_CLEAR_HALTED] = "halt",
	[MYDEV_CLEAR_ERROR] = "error",
	[MYDEV_CLEAR_NEVER] = "never",
};

/* There is no event 0. */
static const char *const events[] = {
	[MYDEV_EVENT_STALL] = "stall",         [MYDEV_EVENT_ERROR] = "error",
	[MYDEV_EVENT_RESET] = "reset",         [MYDEV_EVENT_RESUME] = "resume",
	[MYDEV_EVENT_ALTERNATE] = "alternate", [MYDEV_EVENT_TORN] = "torn",
};

static const char *name_of(const char *const *names, size_t count,
			   unsigned int value)
{
	return value < count ? names[value] : NULL;
}

static int value_of(const char *const *names, size_t count, const char *name)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (!strcmp(names[i], name))
			return i;
	}
	return -EINVAL;
}

const char *mydev_state_name(unsigned int state)
{
	return name_of(states, COUNT(states), state);
}

const char *mydev_mode_name(unsigned int mode)
{
	return name_of(modes, COUNT(modes), mode);
}

const char *mydev_policy_name(unsigned int policy)
{
	return name_of(policies, COUNT(policies), policy);
}

const char *mydev_clock_name(unsigned int clock)
{
	return name_of(clocks, COUNT(clocks), clock);
}

const char *mydev_record_name(unsigned int type)
{
	return name_of(records, COUNT(records), type);
}

const char *mydev_event_name(unsigned int event)
{
	return name_of(events, COUNT(events), event);
}

const char *mydev_clear_halt_name(unsigned int clear_halt)
{
	return name_of(clears, COUNT(clears), clear_halt);
}

int mydev_mode_value(const char *name)
{
	return value_of(modes, COUNT(modes), name);
}

int mydev_policy_value(const char *name)
{
	return value_of(policies, COUNT(policies), name);
}

int mydev_clock_value(const char *name)
{
	return value_of(clocks, COUNT(clocks), name);
}

int mydev_clear_halt_value(const char *name)
{
	return value_of(clears, COUNT(clears), name);
}
