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
		return "the device has as many clients as it can serve; close one of them";
	case -ENOBUFS:
		return "data was lost here because this reader fell behind; read on, and faster";
	case -EIO:
		return "the device failed for good; close all its descriptors and open it again";
	case -EOPNOTSUPP:
		return "the interface has no bulk IN endpoint, so nothing can be read";
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
		return "the descriptor is not open for reading";
	case -ENOMEM:
		return "out of memory; close other programs, or fewer clients";
	default:
		return strerror(err < 0 ? -err : err);
	}
}
