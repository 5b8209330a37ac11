/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Prints all that a program can see of the requests: numbers, layouts, and the
 * bytes of the answers. Built for 32 and for 64 bits, the output must be equal.
 */
#ifndef TESTS_C_ABI_DUMP_H
#define TESTS_C_ABI_DUMP_H

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/mydev.h>

#define ABI_MEMBER(_type, _member)                                             \
	printf(#_type "." #_member " at %u, %u bytes\n",                       \
	       (unsigned int)offsetof(struct _type, _member),                  \
	       (unsigned int)sizeof(((struct _type *)0)->_member))

static inline void abi_layout(void)
{
	printf("mydev_info %u\n", (unsigned int)sizeof(struct mydev_info));
	ABI_MEMBER(mydev_info, features);
	ABI_MEMBER(mydev_info, speed);
	ABI_MEMBER(mydev_info, device_number);
	ABI_MEMBER(mydev_info, max_clients);
	printf("mydev_stats %u\n", (unsigned int)sizeof(struct mydev_stats));
	ABI_MEMBER(mydev_stats, free_buffers);
	ABI_MEMBER(mydev_stats, packets);
	ABI_MEMBER(mydev_stats, client_packets);
	ABI_MEMBER(mydev_stats, client_queued_bytes);
}

/* One request with a structure of @size bytes in a larger, marked buffer. */
static inline void abi_request(int fd, const char *name, unsigned long cmd, __u32 size)
{
	unsigned char arg[512];

	memset(arg, 0, sizeof(arg));
	memcpy(arg, &size, sizeof(size));
	errno = 0;
	printf("%s %lx size %u: %d %s, bytes", name, cmd, size, ioctl(fd, cmd, arg),
	       strerror(errno));
	for (unsigned int i = 0; i < 200; i++)
		printf(" %02x", arg[i]);
	printf("\n");
}

static inline int abi_dump(void)
{
	const char *node = getenv("MYDEV_NODE");
	int fd = open(node ? node : "/dev/mydev0", O_RDONLY);

	if (fd < 0) {
		perror("open");
		return 1;
	}
	abi_layout();
	abi_request(fd, "GET_INFO", MYDEV_IOC_GET_INFO, sizeof(struct mydev_info));
	abi_request(fd, "GET_STATS", MYDEV_IOC_GET_STATS, sizeof(struct mydev_stats));
	abi_request(fd, "GET_STATS, larger", MYDEV_IOC_GET_STATS, 400);
	abi_request(fd, "GET_INFO, too small", MYDEV_IOC_GET_INFO, 4);
	abi_request(fd, "GET_INFO, too large", MYDEV_IOC_GET_INFO, 1 << 20);
	abi_request(fd, "unknown", _IO(MYDEV_IOC_TYPE, 77), 64);
	return 0;
}

#endif /* TESTS_C_ABI_DUMP_H */
