// SPDX-License-Identifier: MIT
/*
 * mydevctl restart: set a stream that has failed going again.
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>

#include "tool.h"

static const struct argp argp = {
	.parser = parse_device,
	.args_doc = "[DEV]",
	.doc = "Set a device whose stream has failed going again.\v" DEV_DOC
	       " Who has it open keeps it open and reads on. Where the stream is "
	       "between two tries, the next one comes at once; otherwise nothing "
	       "happens. mydevctl stats shows the state.\n\n" EXIT_CODES_DOC,
};

int cmd_restart(int argc, char **argv)
{
	const char *name = NULL;
	struct target target;
	int status;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &name);
	status = target_open_sender(&target, name, O_WRONLY);
	if (status)
		return status;
	ret = mydev_restart(target.dev);
	if (ret == -ENOTTY) {
		complain("%s: the loaded driver cannot do that",
			 mydev_path(target.dev));
		status = EXIT_ERROR;
	} else if (ret) {
		status = sender_error(&target, ret);
	}
	target_close(&target);
	return status;
}
