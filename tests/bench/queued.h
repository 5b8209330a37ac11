/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Clients that begin together: each has to have asked for data before, or it
 * would be no reader yet while the first ones are at work, and lose what it does
 * not take in time. So the device has sent already when they begin. What is queued
 * for a client then is what it has to take besides what is measured, and what it
 * has lost before, between its open() and its asking, is no failure.
 */
#ifndef BENCH_QUEUED_H
#define BENCH_QUEUED_H

#include <linux/mydev.h>
#include <stdint.h>
#include <sys/ioctl.h>

/* Bytes that are queued for a descriptor; 0 for that of another driver. */
static inline uint64_t queued_bytes(int fd)
{
	struct mydev_stats stats = { .size = sizeof(stats) };

	return ioctl(fd, MYDEV_IOC_GET_STATS, &stats) ? 0 : stats.client_queued_bytes;
}

#endif
