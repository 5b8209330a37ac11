// SPDX-License-Identifier: MIT
/*
 * Who holds the lease of a device, and what to do for those who do not.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

/* By then the hub has told the kernel that a device is not there any more. */
#define UNPLUG_MS 1000

/* A program can call itself anything, and this goes to terminals. */
static void copy_printable(char *to, const char *from, size_t size)
{
	for (; size > 1 && *from; size--, from++)
		*to++ = *from >= ' ' && *from <= '~' ? *from : '?';
	*to = '\0';
}

bool lease_holder(const struct mydev_entry *entry, struct holder *holder)
{
	char text[128];
	char *end;

	/* "PID COMMAND", or nothing */
	if (mydev_entry_attr(entry, "lease", text, sizeof(text)) <= 0)
		return false;
	holder->pid = strtoull(text, &end, 10);
	if (end == text)
		return false;
	copy_printable(holder->command, *end == ' ' ? end + 1 : end,
		       sizeof(holder->command));
	return true;
}

static int lease_error(const struct target *target)
{
	const char *name = mydev_entry_name(target->entry);
	const char *path = mydev_entry_path(target->entry);
	struct holder holder;

	if (!lease_holder(target->entry, &holder)) {
		complain(
			"%s: somebody else held the lease, and has let go of it; try again",
			path);
		return EXIT_ERROR;
	}
	complain("%s: process %" PRIu64
		 " (%s) holds the lease: nobody else can send or control",
		 path, holder.pid, holder.command);
	fprintf(stderr,
		"  Wait for it with mydevctl lease --wait %s -- COMMAND, or end that process. As root, take\n"
		"  it away: mydevctl clients %s shows the id of its descriptor, for mydevctl revoke %s ID.\n",
		name, name, name);
	return EXIT_ERROR;
}

int unplugged_or(const struct target *target, int err)
{
	/* No events: asking for input would set the device streaming. */
	struct pollfd pfd = { .fd = mydev_fd(target->dev) };

	if (err != -EIO)
		return err;
	/* It ends at once where the device has failed, too. */
	if (poll(&pfd, 1, UNPLUG_MS) > 0 && pfd.revents & POLLHUP)
		return -ENODEV;
	return err;
}

int sender_error(const struct target *target, int err)
{
	const char *path = mydev_entry_path(target->entry);

	switch (err) {
	case -EBUSY:
		return lease_error(target);
	case -EBADF:
		if (!target->inherited)
			break;
		complain("%s: the descriptor in %s is open for other things",
			 path, FD_VARIABLE);
		fprintf(stderr,
			"  mydevctl lease opens it for reading and writing where both are permitted.\n");
		return EXIT_ERROR;
	default:
		break;
	}
	return device_error(path, err);
}
