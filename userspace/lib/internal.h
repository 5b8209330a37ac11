/* SPDX-License-Identifier: MIT */
/*
 * What the files of the library share.
 */
#ifndef LIBMYDEV_INTERNAL_H
#define LIBMYDEV_INTERNAL_H

#include "libmydev.h"

/*
 * What is to be put before a device's name to get the path of its node: "0" and
 * "mydev0" are short for "/dev/mydev0", "0.83" for "/dev/mydev0.83"; whatever has a / is
 * a path.
 */
const char *node_prefix(const char *name);

/*
 * 0 where this device number belongs to the class that the driver registered,
 * -ENXIO where it does not.
 */
int check_class(dev_t devnum);

/* An ioctl whose argument has its size as its first member, put there here. */
int device_request(const struct mydev *dev, unsigned long cmd, void *arg,
		   size_t size);

#endif /* LIBMYDEV_INTERNAL_H */
