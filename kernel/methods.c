// SPDX-License-Identifier: GPL-2.0-only
/*
 * The requests of ioctl(): a table of what each takes, and the checks that are
 * the same for all. A new request is one structure in the UAPI header, one
 * function and one line in the table.
 */
#include <linux/build_bug.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "mydev.h"

/* Layouts are the same for 32-bit and 64-bit programs, and never change. */
static_assert(sizeof(struct mydev_info) == 64);
static_assert(sizeof(struct mydev_stats) == 136);
static_assert(offsetof(struct mydev_info, features) == 8);
static_assert(offsetof(struct mydev_info, ep_in_max_packet) == 30);
static_assert(offsetof(struct mydev_info, max_clients) == 60);
static_assert(offsetof(struct mydev_stats, packets) == 24);
static_assert(offsetof(struct mydev_stats, client_queued_bytes) == 128);

/* The header promises the kernel's values for the speed. */
static_assert(MYDEV_SPEED_UNKNOWN == USB_SPEED_UNKNOWN);
static_assert(MYDEV_SPEED_LOW == USB_SPEED_LOW);
static_assert(MYDEV_SPEED_FULL == USB_SPEED_FULL);
static_assert(MYDEV_SPEED_HIGH == USB_SPEED_HIGH);
static_assert(MYDEV_SPEED_WIRELESS == USB_SPEED_WIRELESS);
static_assert(MYDEV_SPEED_SUPER == USB_SPEED_SUPER);
static_assert(MYDEV_SPEED_SUPER_PLUS == USB_SPEED_SUPER_PLUS);

/**
 * union mydev_argument - room for the argument of any request
 * @size: the first member of each of them
 * @info: MYDEV_IOC_GET_INFO
 * @stats: MYDEV_IOC_GET_STATS
 */
union mydev_argument {
	u32 size;
	struct mydev_info info;
	struct mydev_stats stats;
};

/**
 * struct mydev_method - one request
 * @min_size: the argument must have at least this much
 * @size: of the argument as this kernel knows it
 * @fn: does it, NULL for a number that is not in use; the argument is in kernel memory, the part that the caller did
 *	not give is zero, and what it leaves there goes back to the caller
 */
struct mydev_method {
	u32 min_size;
	u32 size;
	int (*fn)(struct mydev_client *client, union mydev_argument *arg);
};

/* The one thing that a request can change for its caller later is its size. */
#define MYDEV_METHOD(_cmd, _type, _last, _fn)				\
	[_IOC_NR(_cmd)] = {						\
		.min_size = offsetofend(_type, _last),			\
		.size = sizeof(_type),					\
		.fn = (_fn),						\
	}

static int mydev_get_info(struct mydev_client *client,
			  union mydev_argument *arg)
{
	arg->info = client->dev->info;
	return 0;
}

static int mydev_get_stats(struct mydev_client *client,
			   union mydev_argument *arg)
{
	if (arg->stats.flags)
		return -EINVAL;
	mydev_client_stats(client, &arg->stats);
	return 0;
}

static const struct mydev_method mydev_methods[] = {
	MYDEV_METHOD(MYDEV_IOC_GET_INFO, struct mydev_info, max_clients,
		     mydev_get_info),
	MYDEV_METHOD(MYDEV_IOC_GET_STATS, struct mydev_stats,
		     client_queued_bytes, mydev_get_stats),
};

/**
 * mydev_ioctl() - check a request against the table and do it
 * @file: an open file of ours
 * @cmd: the request
 * @arg: address of its argument
 *
 * Context: process context; also the compat entry, as layouts do not differ.
 * Return: 0 or a negative errno as the UAPI header tells.
 */
long mydev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *uarg = (void __user *)arg;
	const struct mydev_method *method;
	union mydev_argument argument;
	u32 size;
	int ret;

	if (_IOC_NR(cmd) >= ARRAY_SIZE(mydev_methods))
		return -ENOTTY;
	method = &mydev_methods[_IOC_NR(cmd)];
	if (!method->fn || cmd != _IO(MYDEV_IOC_TYPE, _IOC_NR(cmd)))
		return -ENOTTY;

	if (get_user(size, (u32 __user *)uarg))
		return -EFAULT;
	if (size < method->min_size)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;

	memset(&argument, 0, sizeof(argument));
	ret = copy_struct_from_user(&argument, method->size, uarg, size);
	if (ret)
		return ret;

	ret = method->fn(file->private_data, &argument);
	if (ret)
		return ret;

	argument.size = method->size;
	if (copy_to_user(uarg, &argument, min(size, method->size)))
		return -EFAULT;
	return 0;
}
