// SPDX-License-Identifier: MIT
/*
 * An open device: sending to it, controlling it, and who may.
 */
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "internal.h"

/* The kernel has 64 bits for an address, whatever the program has. */
static __u64 address(const void *data)
{
	return (uintptr_t)data;
}

ssize_t mydev_write(const struct mydev *dev, const void *buf, size_t count)
{
	ssize_t ret = write(mydev_fd(dev), buf, count);

	return ret < 0 ? -errno : ret;
}

ssize_t mydev_writev(const struct mydev *dev, const struct iovec *parts,
		     int count)
{
	ssize_t ret = writev(mydev_fd(dev), parts, count);

	return ret < 0 ? -errno : ret;
}

int mydev_sync(const struct mydev *dev)
{
	return fsync(mydev_fd(dev)) ? -errno : 0;
}

int mydev_set_terminate(const struct mydev *dev, bool on)
{
	struct mydev_config config;
	int ret = mydev_get_config(dev, &config, sizeof(config));

	if (ret)
		return ret;
	if (on)
		config.flags |= MYDEV_CONFIG_TERMINATE;
	else
		config.flags &= ~MYDEV_CONFIG_TERMINATE;
	return mydev_set_config(dev, &config, sizeof(config));
}

ssize_t mydev_control(const struct mydev *dev, unsigned int request_type,
		      unsigned int request, unsigned int value,
		      unsigned int index, void *data, size_t length,
		      unsigned int timeout_ms)
{
	struct mydev_control arg = {
		.request_type = request_type,
		.request = request,
		.value = value,
		.index = index,
		.length = length,
		.timeout_ms = timeout_ms,
		.data = address(data),
	};
	int ret;

	/* What does not fit would be another request. */
	if (request_type > UINT8_MAX || request > UINT8_MAX ||
	    value > UINT16_MAX || index > UINT16_MAX || length > UINT16_MAX)
		return -ERANGE;
	ret = device_request(dev, MYDEV_IOC_CONTROL, &arg, sizeof(arg));
	return ret ? ret : (ssize_t)arg.actual;
}

static int select_one(const struct mydev *dev, unsigned long cmd,
		      unsigned int value)
{
	struct mydev_select arg = { .value = value };

	return device_request(dev, cmd, &arg, sizeof(arg));
}

int mydev_clear_halt(const struct mydev *dev, unsigned int endpoint)
{
	return select_one(dev, MYDEV_IOC_CLEAR_HALT, endpoint);
}

int mydev_set_alternate(const struct mydev *dev, unsigned int setting)
{
	return select_one(dev, MYDEV_IOC_SET_ALTERNATE, setting);
}

int mydev_reset(const struct mydev *dev)
{
	return select_one(dev, MYDEV_IOC_RESET, 0);
}

int mydev_restart(const struct mydev *dev)
{
	return select_one(dev, MYDEV_IOC_RESTART, 0);
}

int mydev_revoke(const struct mydev *dev, unsigned int client_id)
{
	return select_one(dev, MYDEV_IOC_REVOKE, client_id);
}

int mydev_lease_acquire(const struct mydev *dev, unsigned int timeout_ms)
{
	struct mydev_lease arg = {
		.operation = MYDEV_LEASE_ACQUIRE,
		.timeout_ms = timeout_ms,
	};

	return device_request(dev, MYDEV_IOC_LEASE, &arg, sizeof(arg));
}

int mydev_lease_release(const struct mydev *dev)
{
	struct mydev_lease arg = { .operation = MYDEV_LEASE_RELEASE };

	return device_request(dev, MYDEV_IOC_LEASE, &arg, sizeof(arg));
}

ssize_t mydev_transact(const struct mydev *dev, const void *out,
		       size_t out_length, void *in, size_t in_length,
		       unsigned int timeout_ms, bool *truncated)
{
	struct mydev_transact arg = {
		.out_length = out_length,
		.in_length = in_length,
		.timeout_ms = timeout_ms,
		.out_data = address(out),
		.in_data = address(in),
	};
	int ret;

	if (out_length > UINT32_MAX || in_length > UINT32_MAX)
		return -ERANGE;
	ret = device_request(dev, MYDEV_IOC_TRANSACT, &arg, sizeof(arg));
	if (ret)
		return ret;
	if (truncated)
		*truncated = arg.flags & MYDEV_TRANSACT_TRUNCATED;
	return arg.actual;
}
