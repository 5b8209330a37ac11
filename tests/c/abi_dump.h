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

#define ABI_MEMBER(_type, _member) \
	printf(#_type "." #_member " at %u, %u bytes\n", \
	       (unsigned int)offsetof(struct _type, _member), \
	       (unsigned int)sizeof(((struct _type *)0)->_member))

static inline void abi_layout(void)
{
	printf("mydev_info %u\n", (unsigned int)sizeof(struct mydev_info));
	ABI_MEMBER(mydev_info, features);
	ABI_MEMBER(mydev_info, speed);
	ABI_MEMBER(mydev_info, device_number);
	ABI_MEMBER(mydev_info, max_clients);
	ABI_MEMBER(mydev_info, client_id);
	ABI_MEMBER(mydev_info, send_room);
	printf("mydev_stats %u\n", (unsigned int)sizeof(struct mydev_stats));
	ABI_MEMBER(mydev_stats, free_buffers);
	ABI_MEMBER(mydev_stats, packets);
	ABI_MEMBER(mydev_stats, client_packets);
	ABI_MEMBER(mydev_stats, client_queued_bytes);
	ABI_MEMBER(mydev_stats, client_unsent_bytes);
	ABI_MEMBER(mydev_stats, unread_bytes);
	printf("mydev_map %u\n", (unsigned int)sizeof(struct mydev_map));
	ABI_MEMBER(mydev_map, ring_offset);
	ABI_MEMBER(mydev_map, log_bytes);
	ABI_MEMBER(mydev_map, pool_bytes);
	printf("mydev_ring %u\n", (unsigned int)sizeof(struct mydev_ring));
	ABI_MEMBER(mydev_ring, flags);
	ABI_MEMBER(mydev_ring, cursor);
	ABI_MEMBER(mydev_ring, read_bytes);
	printf("mydev_log_page %u\n", (unsigned int)sizeof(struct mydev_log_page));
	ABI_MEMBER(mydev_log_page, tail);
	printf("mydev_ring_entry %u\n", (unsigned int)sizeof(struct mydev_ring_entry));
	ABI_MEMBER(mydev_ring_entry, sequence);
	ABI_MEMBER(mydev_ring_entry, offset);
	ABI_MEMBER(mydev_ring_entry, event);
	ABI_MEMBER(mydev_ring_entry, bytes);
	ABI_MEMBER(mydev_ring_entry, realtime_offset_ns);
	printf("mydev_rewind %u\n", (unsigned int)sizeof(struct mydev_rewind));
	ABI_MEMBER(mydev_rewind, value);
	printf("mydev_config %u\n", (unsigned int)sizeof(struct mydev_config));
	ABI_MEMBER(mydev_config, queue_depth);
	printf("mydev_geometry %u\n", (unsigned int)sizeof(struct mydev_geometry));
	ABI_MEMBER(mydev_geometry, pool_bytes);
	ABI_MEMBER(mydev_geometry, log_entries);
	ABI_MEMBER(mydev_geometry, max_pool_bytes);
	ABI_MEMBER(mydev_geometry, max_log_entries);
	printf("mydev_recovery %u\n", (unsigned int)sizeof(struct mydev_recovery));
	ABI_MEMBER(mydev_recovery, clear_halt);
	ABI_MEMBER(mydev_recovery, max_delay_ms);
	printf("mydev_control %u\n", (unsigned int)sizeof(struct mydev_control));
	ABI_MEMBER(mydev_control, index);
	ABI_MEMBER(mydev_control, data);
	ABI_MEMBER(mydev_control, actual);
	printf("mydev_select %u\n", (unsigned int)sizeof(struct mydev_select));
	printf("mydev_lease %u\n", (unsigned int)sizeof(struct mydev_lease));
	ABI_MEMBER(mydev_lease, timeout_ms);
	printf("mydev_transact %u\n", (unsigned int)sizeof(struct mydev_transact));
	ABI_MEMBER(mydev_transact, out_data);
	ABI_MEMBER(mydev_transact, in_data);
	printf("mydev_packet_header %u\n", (unsigned int)sizeof(struct mydev_packet_header));
	ABI_MEMBER(mydev_packet_header, sequence);
	ABI_MEMBER(mydev_packet_header, status);
	printf("mydev_gap_record %u\n", (unsigned int)sizeof(struct mydev_gap_record));
	printf("mydev_event_record %u\n", (unsigned int)sizeof(struct mydev_event_record));
}

/* One request with a structure of @size bytes in a larger, marked buffer. */
static inline void abi_request(int fd, const char *name, unsigned long cmd, __u32 size)
{
	unsigned char arg[512];
	int ret;

	memset(arg, 0, sizeof(arg));
	memcpy(arg, &size, sizeof(size));
	errno = 0;
	ret = ioctl(fd, cmd, arg);
	/* Each open has a number of its own. */
	if (cmd == MYDEV_IOC_GET_INFO)
		memset(arg + offsetof(struct mydev_info, client_id), 0, sizeof(__u32));
	printf("%s %lx size %u: %d %s, bytes", name, cmd, size, ret, strerror(errno));
	for (unsigned int i = 0; i < 208; i++)
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
	abi_request(fd, "GET_CONFIG", MYDEV_IOC_GET_CONFIG, sizeof(struct mydev_config));
	abi_request(fd, "GET_GEOMETRY", MYDEV_IOC_GET_GEOMETRY, sizeof(struct mydev_geometry));
	abi_request(fd, "GET_RECOVERY", MYDEV_IOC_GET_RECOVERY, sizeof(struct mydev_recovery));
	abi_request(fd, "GET_STATS, larger", MYDEV_IOC_GET_STATS, 400);
	abi_request(fd, "GET_INFO, too small", MYDEV_IOC_GET_INFO, 4);
	abi_request(fd, "GET_INFO, too large", MYDEV_IOC_GET_INFO, 1 << 20);
	abi_request(fd, "unknown", _IO(MYDEV_IOC_TYPE, 77), 64);
	return 0;
}

#endif /* TESTS_C_ABI_DUMP_H */
