// SPDX-License-Identifier: MIT
/*
 * What the errors mean here, which is more than what they mean in general.
 */
#include <errno.h>
#include <string.h>

#include "libmydev.h"

const char *mydev_strerror(int err)
{
	switch (err) {
	case -ENOENT:
		return "no such device; is it plugged in, and is the mydev module loaded?";
	case -ENXIO:
		return "this is not a mydev device; mydevctl list shows which are";
	case -ENODEV:
		return "the device was unplugged; plug it in and open it again";
	case -EACCES:
	case -EPERM:
		return "no permission; be a user who may open the node, or install the udev rule";
	case -EBUSY:
		return "in use: all clients it can have are there, or a change waits for readers";
	case -ENOBUFS:
		return "data was lost here because this reader fell behind; read on, and faster";
	case -EMSGSIZE:
		return "the next record needs a larger buffer; it is not lost, read again";
	case -ERANGE:
		return "a number is beyond its limit; mydevctl config and info show limits";
	case -E2BIG:
		return "the driver does not know all that was set; load one as new as this";
	case -EIO:
		return "the device failed for good; close all its descriptors and open it again";
	case -EOPNOTSUPP:
		return "the interface has no bulk IN endpoint, or the driver lacks this setting";
	case -ENOTTY:
		return "the loaded driver is older than this program; load one as new";
	case -EPROTONOSUPPORT:
		return "driver and program have different ABIs; install both from one release";
	case -EPROTO:
		return "sysfs has something unexpected; install driver and program of one release";
	case -EINVAL:
		return "a size or flag is not allowed; this is an error of the program";
	case -EAGAIN:
		return "nothing to read yet; wait with poll()";
	case -EBADF:
		return "the descriptor is open for the other direction; open it for this one";
	case -ENOMEM:
		return "out of memory; close other programs, or fewer clients";
	default:
		return strerror(err < 0 ? -err : err);
	}
}
