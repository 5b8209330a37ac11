// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a client can map: the pool and the log, to be read, and the page of its
 * ring, to be written too.
 *
 * A mapping keeps its file open, the file its client, and the client the pool
 * and the log, so the memory outlives every mapping. Pages are mapped when they
 * are touched, so that a revoke, which unmaps them, is not overtaken.
 *
 * What others call here is for process context.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include <linux/sched/mm.h>
#include <linux/vmalloc.h>

#include "mydev.h"

/* Where the three begin, in bytes; the pool and the log are shorter. */
#define MYDEV_MAP_POOL 0ULL
#define MYDEV_MAP_LOG  0x1000000000ULL
#define MYDEV_MAP_RING 0x2000000000ULL

/* Pages that one fault maps. */
#define MYDEV_MAP_AROUND 32

/* Of the file system below, "mydv". */
#define MYDEV_FS_MAGIC 0x6d796476

static int mydev_fs_init(struct fs_context *fc)
{
	return init_pseudo(fc, MYDEV_FS_MAGIC) ? 0 : -ENOMEM;
}

/* Not mountable; it is there for its inodes. */
static struct file_system_type mydev_fs = {
	.name = MYDEV_NAME,
	.owner = THIS_MODULE,
	.init_fs_context = mydev_fs_init,
	.kill_sb = kill_anon_super,
};

static struct vfsmount *mydev_fs_mount;
static int mydev_fs_users;

/**
 * mydev_map_open_file() - give a file an address space of its own
 * @client: of the file, a subscriber
 * @file: that is being opened
 *
 * All files of a node share its inode, and with it their mappings: a revoke
 * would unmap for everybody. So each has an inode of its own.
 *
 * Return: 0 or a negative errno; undone by mydev_map_close_file().
 */
int mydev_map_open_file(struct mydev_client *client, struct file *file)
{
	struct inode *inode;
	int ret;

	ret = simple_pin_fs(&mydev_fs, &mydev_fs_mount, &mydev_fs_users);
	if (ret)
		return ret;
	inode = alloc_anon_inode(mydev_fs_mount->mnt_sb);
	if (IS_ERR(inode)) {
		simple_release_fs(&mydev_fs_mount, &mydev_fs_users);
		return PTR_ERR(inode);
	}
	client->map.inode = inode;
	file->f_mapping = inode->i_mapping;
	return 0;
}

/**
 * mydev_map_close_file() - drop the address space of a file
 * @client: of the file; without an inode is fine
 */
void mydev_map_close_file(struct mydev_client *client)
{
	if (!client->map.inode)
		return;
	iput(client->map.inode);
	simple_release_fs(&mydev_fs_mount, &mydev_fs_users);
}

/**
 * mydev_map_describe() - fill in what can be mapped, and where it begins
 * @client: a subscriber
 * @map: all members but size are set
 *
 * Context: rx_mutex held.
 */
void mydev_map_describe(struct mydev_client *client, struct mydev_map *map)
{
	struct mydev_device *dev = client->dev;

	spin_lock_irq(&dev->rx_lock);
	map->entries = kfifo_size(&dev->log.store.fifo);
	map->pool_bytes =
		mydev_pool_map_size(dev->rx.nr_buffers, dev->pool.size);
	spin_unlock_irq(&dev->rx_lock);
	map->entry_size = sizeof(struct mydev_entry);
	map->first_entry = PAGE_SIZE;
	map->ring_offset = MYDEV_MAP_RING;
	map->ring_bytes = PAGE_SIZE;
	map->log_offset = MYDEV_MAP_LOG;
	map->log_bytes =
		PAGE_SIZE + PAGE_ALIGN((u64)map->entries * map->entry_size);
	map->pool_offset = MYDEV_MAP_POOL;
}

/* Which page of the three is it? They stay what they are while mapped. */
static struct page *mydev_map_page(struct mydev_client *client, u64 index)
{
	const struct mydev_log_store *store = &client->dev->log.store;
	u64 log = MYDEV_MAP_LOG >> PAGE_SHIFT;

	static_assert(MYDEV_MAX_POOL_BYTES <= MYDEV_MAP_LOG);
	/* What a revoked client has of its own is all that it gets. */
	if (index >= MYDEV_MAP_RING >> PAGE_SHIFT ||
	    (index >= log && client->map.unmapped))
		return virt_to_page(client->ring.page);
	if (client->map.unmapped)
		return NULL;
	if (index == log)
		return virt_to_page(store->page);
	if (index > log)
		return vmalloc_to_page((void *)store->slots +
				       (index - log - 1) * PAGE_SIZE);
	return mydev_pool_page(&client->dev->pool, index);
}

/*
 * Map a page and some behind it: a program that looks at one page of a pool
 * soon looks at all, and cannot ask for them before, as I/O memory is not
 * populated. Success is VM_FAULT_NOPAGE, also where another thread was faster.
 */
static vm_fault_t mydev_map_around(struct mydev_client *client,
				   struct vm_fault *vmf)
{
	unsigned long address = vmf->address & PAGE_MASK;
	struct vm_area_struct *vma = vmf->vma;
	vm_fault_t ret = VM_FAULT_NOPAGE;
	/* What follows the page with head and tail need not be next. */
	unsigned int i, nr = vmf->pgoff == MYDEV_MAP_LOG >> PAGE_SHIFT
				     ? 1
				     : MYDEV_MAP_AROUND;

	for (i = 0; i < nr && address < vma->vm_end; i++) {
		struct page *page = mydev_map_page(client, vmf->pgoff + i);

		ret = VM_FAULT_SIGBUS;
		if (page)
			ret = vmf_insert_pfn(vma, address, page_to_pfn(page));
		if (ret != VM_FAULT_NOPAGE)
			break;
		address += PAGE_SIZE;
	}
	return i ? VM_FAULT_NOPAGE : ret;
}

static vm_fault_t mydev_map_fault(struct vm_fault *vmf)
{
	struct mydev_client *client = vmf->vma->vm_private_data;
	unsigned int noio;
	vm_fault_t ret;

	/* Revoke waits for us with rx_mutex, and storage may wait for that. */
	noio = memalloc_noio_save();
	mutex_lock(&client->map.mutex);
	ret = mydev_map_around(client, vmf);
	mutex_unlock(&client->map.mutex);
	memalloc_noio_restore(noio);
	return ret;
}

static void mydev_map_count(struct mydev_client *client, int change)
{
	mutex_lock(&client->map.mutex);
	client->map.count += change;
	/* Those of a revoked client keep nothing any more. */
	if (!client->map.unmapped)
		atomic_add(change, &client->dev->maps);
	mutex_unlock(&client->map.mutex);
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

/* Context: rx_mutex held. */
static int mydev_map_check(struct mydev_client *client,
			   const struct vm_area_struct *vma, bool *is_ring)
{
	struct mydev_map map;

	if (READ_ONCE(client->revoked))
		return -ESTALE;
	/*
	 * A private mapping would be a copy from the first write on. A shared
	 * one of a descriptor that cannot write has lost VM_SHARED by now.
	 */
	if (!(vma->vm_flags & VM_MAYSHARE) || client->mode != MYDEV_MODE_RING)
		return -EINVAL;
	mydev_map_describe(client, &map);
	*is_ring = mydev_map_fits(vma, map.ring_offset, map.ring_bytes);
	if (!*is_ring && !mydev_map_fits(vma, map.log_offset, map.log_bytes) &&
	    !mydev_map_fits(vma, map.pool_offset, map.pool_bytes))
		return -EINVAL;
	if (!*is_ring && (vma->vm_flags & VM_WRITE))
		return -EACCES;
	return 0;
}

/**
 * mydev_map() - map the pool, the log or the ring
 * @client: the client
 * @vma: what is to be mapped; the ring asks for data, as poll() for input does
 *
 * Context: the memory map's lock held; takes rx_mutex.
 * Return: 0, -EINTR, -EOPNOTSUPP, -EINVAL, -EACCES or -ESTALE as the UAPI
 * header tells.
 */
int mydev_map(struct mydev_client *client, struct vm_area_struct *vma)
{
	struct mydev_device *dev = client->dev;
	bool is_ring;
	int ret;

	/* The VFS refuses files that are not for reading. */
	if (!client->subscriber)
		return -EOPNOTSUPP;

	/* The device may be asked something meanwhile, which takes its time. */
	if (mutex_lock_killable(&dev->rx_mutex))
		return -EINTR;
	ret = mydev_map_check(client, vma, &is_ring);
	if (!ret) {
		if (!is_ring)
			vm_flags_clear(vma, VM_MAYWRITE);
		/*
		 * A revoke could not take pinned pages: VM_IO keeps off pinning
		 * by the mapping, VM_PFNMAP by the page at page tables alone. A
		 * page table holds no reference then: what is mapped lives as
		 * long as the client.
		 */
		vm_flags_set(vma,
			     VM_PFNMAP | VM_IO | VM_DONTEXPAND | VM_DONTDUMP);
		vma->vm_ops = &mydev_map_ops;
		vma->vm_private_data = client;
		mydev_map_open(vma);
	}
	mutex_unlock(&dev->rx_mutex);
	if (!ret && is_ring)
		mydev_client_demand(client);
	return ret;
}

/**
 * mydev_map_revoke() - unmap what is not the client's own
 * @client: revoked is set
 *
 * A program that touches the log again finds the page of the ring, and there
 * that the log has ended; one that touches the pool is killed. The page with
 * the tail goes first, and before anything else can be found in place of an
 * entry: so that is never found good.
 *
 * Context: rx_mutex held.
 */
void mydev_map_revoke(struct mydev_client *client)
{
	struct address_space *mapping;

	if (!client->map.inode)
		return;
	mapping = client->map.inode->i_mapping;
	/* A fault that has not seen the mark has mapped its page by now. */
	mutex_lock(&client->map.mutex);
	if (!client->map.unmapped)
		atomic_sub(client->map.count, &client->dev->maps);
	client->map.unmapped = true;
	unmap_mapping_range(mapping, MYDEV_MAP_LOG, PAGE_SIZE, 1);
	mutex_unlock(&client->map.mutex);
	unmap_mapping_range(mapping, MYDEV_MAP_POOL, MYDEV_MAP_RING, 1);
}
