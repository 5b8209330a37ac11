// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a client can map: the pool and the entries of its queue, to be read, and
 * the page of its ring, to be written too.
 *
 * A mapping keeps its file open, the file its client, and the client the pool
 * and the queue, so the memory outlives every mapping. Pages are mapped when
 * they are touched: that way a revoke, which unmaps them, is not overtaken.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/vmalloc.h>

#include "mydev.h"

/* Where the three begin, in bytes; the pool and the entries are shorter. */
#define MYDEV_MAP_POOL    0ULL
#define MYDEV_MAP_ENTRIES 0x1000000000ULL
#define MYDEV_MAP_RING    0x2000000000ULL

/* Pages that one fault maps. */
#define MYDEV_MAP_AROUND 64

/**
 * mydev_map_describe() - what can be mapped, and where it begins
 * @client: a member
 * @map: all members but size and reserved are set
 *
 * Context: process context; rx_mutex held, takes rx_lock.
 */
void mydev_map_describe(struct mydev_client *client, struct mydev_map *map)
{
	struct mydev_device *dev = client->dev;

	spin_lock_irq(&dev->rx_lock);
	map->entries = kfifo_size(&client->queue.fifo);
	map->pool_bytes = mydev_pool_span(dev->rx.nr_buffers, dev->pool.size);
	spin_unlock_irq(&dev->rx_lock);
	map->entry_size = sizeof(struct mydev_packet);
	map->ring_offset = MYDEV_MAP_RING;
	map->ring_bytes = PAGE_SIZE;
	map->entries_offset = MYDEV_MAP_ENTRIES;
	map->entries_bytes = PAGE_ALIGN((u64)map->entries * map->entry_size);
	map->pool_offset = MYDEV_MAP_POOL;
}

/* Which page of the three is it? They stay what they are while mapped. */
static struct page *mydev_map_page(struct mydev_client *client, u64 index)
{
	u64 entries = MYDEV_MAP_ENTRIES >> PAGE_SHIFT;

	static_assert(MYDEV_MAX_POOL_BYTES <= MYDEV_MAP_ENTRIES);
	if (index >= MYDEV_MAP_RING >> PAGE_SHIFT)
		return virt_to_page(client->ring);
	if (index >= entries)
		return vmalloc_to_page((void *)client->queue.slots +
				       (index - entries) * PAGE_SIZE);
	return mydev_pool_page(&client->dev->pool, index);
}

/**
 * mydev_map_around() - map a page, and some of those behind it
 * @client: a member
 * @vmf: the fault
 *
 * Who looks at one page of a pool will soon look at all of them, and cannot ask
 * for them before: what is I/O memory is not populated.
 *
 * Context: map_mutex held.
 * Return: 0 or a negative errno.
 */
static int mydev_map_around(struct mydev_client *client, struct vm_fault *vmf)
{
	unsigned long address = vmf->address & PAGE_MASK;
	struct vm_area_struct *vma = vmf->vma;
	unsigned int i;
	int ret = 0;

	for (i = 0; !ret && i < MYDEV_MAP_AROUND && address < vma->vm_end;
	     i++) {
		struct page *page = mydev_map_page(client, vmf->pgoff + i);

		ret = page ? vm_insert_page(vma, address, page) : -EFAULT;
		if (i && ret)
			return 0;
		address += PAGE_SIZE;
	}
	return ret;
}

static vm_fault_t mydev_map_fault(struct vm_fault *vmf)
{
	struct mydev_client *client = vmf->vma->vm_private_data;
	unsigned int noio;
	int ret = -EFAULT;

	/* A revoke waits for us with rx_mutex, and storage may wait for that. */
	noio = memalloc_noio_save();
	mutex_lock(&client->map_mutex);
	/* What a revoked client had got before is its own; the pool is not. */
	if (!READ_ONCE(client->revoked) ||
	    vmf->pgoff >= MYDEV_MAP_ENTRIES >> PAGE_SHIFT)
		ret = mydev_map_around(client, vmf);
	mutex_unlock(&client->map_mutex);
	memalloc_noio_restore(noio);

	switch (ret) {
	case 0:
	case -EBUSY: /* another thread was faster */
		return VM_FAULT_NOPAGE;
	case -ENOMEM:
		return VM_FAULT_OOM;
	default:
		return VM_FAULT_SIGBUS;
	}
}

/* Context: process context; takes map_mutex. */
static void mydev_map_count(struct mydev_client *client, int change)
{
	mutex_lock(&client->map_mutex);
	client->maps += change;
	/* Those of a revoked client keep nothing any more. */
	if (!client->unmapped)
		atomic_add(change, &client->dev->maps);
	mutex_unlock(&client->map_mutex);
}

/* Of a fork, or of a part of one that was cut: never the first one. */
static void mydev_map_open(struct vm_area_struct *vma)
{
	mydev_map_count(vma->vm_private_data, 1);
}

static void mydev_map_close(struct vm_area_struct *vma)
{
	mydev_map_count(vma->vm_private_data, -1);
}

/**
 * mydev_map_any() - has the client anything mapped?
 * @client: a member
 *
 * Context: rx_mutex held, under which it maps something for the first time.
 * Return: true if it has.
 */
bool mydev_map_any(struct mydev_client *client)
{
	bool any;

	mutex_lock(&client->map_mutex);
	any = client->maps;
	mutex_unlock(&client->map_mutex);
	return any;
}

static const struct vm_operations_struct mydev_map_ops = {
	.open = mydev_map_open,
	.close = mydev_map_close,
	.fault = mydev_map_fault,
};

/* Does the mapping lie within one of the three? */
static bool mydev_map_fits(const struct vm_area_struct *vma, u64 offset,
			   u64 bytes)
{
	u64 begin = (u64)vma->vm_pgoff << PAGE_SHIFT;
	u64 length = vma->vm_end - vma->vm_start;

	return begin >= offset && begin - offset < bytes &&
	       length <= bytes - (begin - offset);
}

/**
 * mydev_map_check() - may this be mapped?
 * @client: a member
 * @vma: what is to be mapped
 * @is_ring: it is the page of the ring
 *
 * Context: rx_mutex held.
 * Return: 0 or a negative errno.
 */
static int mydev_map_check(struct mydev_client *client,
			   const struct vm_area_struct *vma, bool *is_ring)
{
	struct mydev_map map;

	if (READ_ONCE(client->revoked))
		return -ESTALE;
	/*
	 * A private mapping would be a copy from the first write on. (A shared one
	 * of a descriptor that cannot write has lost VM_SHARED by now.)
	 */
	if (!(vma->vm_flags & VM_MAYSHARE) || client->mode != MYDEV_MODE_RING)
		return -EINVAL;
	mydev_map_describe(client, &map);
	*is_ring = mydev_map_fits(vma, map.ring_offset, map.ring_bytes);
	if (!*is_ring &&
	    !mydev_map_fits(vma, map.entries_offset, map.entries_bytes) &&
	    !mydev_map_fits(vma, map.pool_offset, map.pool_bytes))
		return -EINVAL;
	if (!*is_ring && (vma->vm_flags & VM_WRITE))
		return -EACCES;
	return 0;
}

/**
 * mydev_map() - map the pool, the entries or the ring
 * @client: the client
 * @vma: what is to be mapped
 *
 * The ring asks for data, as poll() for input does.
 *
 * Context: the memory map's lock held; takes rx_mutex.
 * Return: 0, -EINTR, -EOPNOTSUPP, -EINVAL, -EACCES or -ESTALE as the UAPI header
 * tells.
 */
int mydev_map(struct mydev_client *client, struct vm_area_struct *vma)
{
	struct mydev_device *dev = client->dev;
	bool is_ring;
	int ret;

	/* The VFS refuses who cannot read. */
	if (!client->member)
		return -EOPNOTSUPP;

	/* The device may be asked something meanwhile, which takes its time. */
	if (mutex_lock_killable(&dev->rx_mutex))
		return -EINTR;
	ret = mydev_map_check(client, vma, &is_ring);
	if (!ret) {
		if (!is_ring)
			vm_flags_clear(vma, VM_MAYWRITE);
		/* VM_IO: pages that somebody has pinned, a revoke could not take. */
		vm_flags_set(vma,
			     VM_MIXEDMAP | VM_IO | VM_DONTEXPAND | VM_DONTDUMP);
		vma->vm_ops = &mydev_map_ops;
		vma->vm_private_data = client;
		client->mapping = vma->vm_file->f_mapping;
		mydev_map_open(vma);
	}
	mutex_unlock(&dev->rx_mutex);
	if (!ret && is_ring)
		mydev_client_demand(client);
	return ret;
}

/**
 * mydev_map_revoke() - the client can look at no packet any more
 * @client: revoked is set
 *
 * Its ring and entries stay: they get nothing new, and by them a program learns
 * of the end instead of being killed. Other clients of the node lose the pages of
 * the pool as well, and get them back when they touch them next.
 *
 * Context: process context, rx_mutex held.
 */
void mydev_map_revoke(struct mydev_client *client)
{
	if (!client->mapping)
		return;
	/* Whoever has not seen the mark has mapped its page by now. */
	mutex_lock(&client->map_mutex);
	if (!client->unmapped)
		atomic_sub(client->maps, &client->dev->maps);
	client->unmapped = true;
	mutex_unlock(&client->map_mutex);
	unmap_mapping_range(client->mapping, MYDEV_MAP_POOL, MYDEV_MAP_ENTRIES,
			    1);
}
