/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a client maps, where a kernel and its processor can have that.
 */
#ifndef MYDEV_RING_H
#define MYDEV_RING_H

#include <linux/errno.h>

#include "client.h"

struct file;
struct vm_area_struct;

#if MYDEV_HAS_RING
/* ring.c */
int mydev_ring_alloc(struct mydev_client *client);
void mydev_ring_free(struct mydev_client *client);
void mydev_ring_begin(struct mydev_client *client);
void mydev_ring_fetch(struct mydev_client *client);
void mydev_ring_end(struct mydev_client *client);

/* map.c */
void mydev_map_describe(struct mydev_client *client, struct mydev_map *map);
int mydev_map(struct mydev_client *client, struct vm_area_struct *vma);
void mydev_map_revoke(struct mydev_client *client);
int mydev_map_open_file(struct mydev_client *client, struct file *file);
void mydev_map_close_file(struct mydev_client *client);
#else
static inline int mydev_ring_alloc(struct mydev_client *client)
{
	return -EOPNOTSUPP;
}

static inline void mydev_ring_free(struct mydev_client *client)
{
}

static inline void mydev_ring_begin(struct mydev_client *client)
{
}

static inline void mydev_ring_fetch(struct mydev_client *client)
{
}

static inline void mydev_ring_end(struct mydev_client *client)
{
}

static inline int mydev_map(struct mydev_client *client,
			    struct vm_area_struct *vma)
{
	return -EOPNOTSUPP;
}

static inline void mydev_map_describe(struct mydev_client *client,
				      struct mydev_map *map)
{
}

static inline void mydev_map_revoke(struct mydev_client *client)
{
}

static inline int mydev_map_open_file(struct mydev_client *client,
				      struct file *file)
{
	return 0;
}

static inline void mydev_map_close_file(struct mydev_client *client)
{
}
#endif

#endif /* MYDEV_RING_H */
