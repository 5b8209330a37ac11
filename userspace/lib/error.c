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
		return "no permission for the node, install the udev rule; or a request beyond the interface, see its control_scope";
	case -EPERM:
		return "no permission; be a user who may open the node, or root to reset and revoke";
	case -EBUSY:
		return "in use: it has all its clients, somebody holds the lease, or a change waits for readers";
	case -ENOBUFS:
		return "data was lost here because this reader fell behind; read on, and faster";
	case -ENOSPC:
		return "as many packets are held as can be; release some";
	case -ENOTUNIQ:
		return "more than one device is meant; name its node or its serial number";
	case -EMSGSIZE:
		return "the next record needs a larger buffer; it is not lost, read again";
	case -ERANGE:
		return "a number is beyond its limit; mydevctl config, info and alt show limits";
	case -E2BIG:
		return "the driver does not know all that was set; load one as new as this";
	case -EIO:
		return "the device or the bus failed; check the cable, then mydevctl restart, or close all descriptors and open it again";
	case -EPIPE:
		return "the device refused (it stalled); its manual says what it accepts";
	case -ETIMEDOUT:
		return "the device did not answer in time; give it longer, or ask what it knows";
	case -EOVERFLOW:
		return "the device sent more than was asked for; ask for more";
	case -ESTALE:
		return "this descriptor was revoked by an administrator; open the device again";
	case -ESRCH:
		return "no descriptor has this id; mydevctl clients shows the ids";
	case -EINTR:
		return "interrupted by a signal; do it again";
	case -EOPNOTSUPP:
		return "the interface has no bulk IN endpoint, or no bulk OUT one to send, or the driver lacks this setting";
	case -ENOTTY:
		return "the loaded driver is older than this program; load one as new";
	case -EPROTONOSUPPORT:
		return "driver and program have different ABIs; install both from one release";
	case -EPROTO:
		return "sysfs or a ring has something unexpected; install driver and program of one release";
	case -EINVAL:
		return "a size or flag is not allowed; this is an error of the program";
	case -EAGAIN:
		return "it would have to wait; do so with poll()";
	case -EBADF:
		return "the descriptor is open for the other direction; open it for this one";
	case -ENOTCONN:
		return "no event of a device reaches this network namespace; look at the list of devices now and then";
	case -ENOMEM:
		return "out of memory; close other programs, or fewer clients";
	default:
		return strerror(err < 0 ? -err : err);
	}
}
