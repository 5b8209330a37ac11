// SPDX-License-Identifier: MIT
/*
 * mydevctl reset: reset the whole USB device.
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>

#include "tool.h"

static const struct argp argp = {
	.parser = parse_device,
	.args_doc = "[DEV]",
	.doc = "Reset a device, as root.\v" DEV_DOC
	       " All of its interfaces are reset, also those of other drivers. Who "
	       "has it open keeps it open and reads on; what the device had not "
	       "sent yet is lost, and readers in packet mode are told.\n\n" EXIT_CODES_DOC,
};

static int reset_error(const struct target *target, int err)
{
	const char *path = mydev_path(target->dev);

	switch (err) {
	case -EPERM:
	case -EACCES:
		complain("%s: only root can reset a device: run this as root",
			 path);
		fprintf(stderr,
			"  A reset reaches all interfaces of the device, not only this one.\n");
		return EXIT_PERMISSION;
	case -EIO:
		complain("%s: the device did not come back from the reset",
			 path);
		fprintf(stderr,
			"  Unplug it and plug it in again. If it changes its descriptors by a reset, it becomes a\n"
			"  new device; mydevctl list shows it.\n");
		return EXIT_ERROR;
	default:
		return sender_error(target, err);
	}
}

int cmd_reset(int argc, char **argv)
{
	const char *name = NULL;
	struct target target;
	int status;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &name);
	status = target_open_sender(&target, name, O_WRONLY);
	if (status)
		return status;
	ret = mydev_reset(target.dev);
	if (ret)
		status = reset_error(&target, ret);
	target_close(&target);
	return status;
}
