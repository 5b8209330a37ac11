// SPDX-License-Identifier: GPL-2.0-only
/*
 * The character device: class, numbers, and the file operations, which turn
 * what the VFS wants into what a client can do.
 *
 * All numbers are of one cdev, and open() looks up who has the number now. So a node
 * that was kept, as containers do, leads to the next device that has it, whoever
 * still holds the last one.
 */
#include <linux/cdev.h>
#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/seq_file.h>
#include <linux/splice.h>
#include <linux/uio.h>
#include <linux/xarray.h>

#include "mydev.h"

/* Nodes at once. */
#define MYDEV_MINORS 1024

static dev_t mydev_base;
static struct cdev mydev_cdev;

/* By their number; one that is not published has it, and is no device yet or any more. */
static DEFINE_XARRAY_ALLOC(mydev_devices);
/* Between finding a device there and taking a reference. */
static DEFINE_MUTEX(mydev_devices_mutex);

static struct class mydev_class = {
	.name = MYDEV_NAME,
	.dev_groups = mydev_groups,
};

static struct mydev_device *mydev_device_get(unsigned int minor)
{
	struct mydev_device *dev;

	mutex_lock(&mydev_devices_mutex);
	dev = xa_load(&mydev_devices, minor);
	if (dev)
		get_device(&dev->dev);
	mutex_unlock(&mydev_devices_mutex);
	return dev;
}

static void mydev_device_set(unsigned int minor, struct mydev_device *dev)
{
	mutex_lock(&mydev_devices_mutex);
	/* The number stays taken without one, and no memory is needed. */
	xa_store(&mydev_devices, minor, dev, GFP_KERNEL);
	mutex_unlock(&mydev_devices_mutex);
}

static int mydev_open(struct inode *inode, struct file *file)
{
	struct mydev_device *dev =
		mydev_device_get(iminor(inode) - MINOR(mydev_base));
	struct mydev_client *client;
	int ret;

	if (!dev)
		return -ENXIO;
	client = mydev_client_open(dev, file->f_mode & FMODE_READ,
				   file->f_mode & FMODE_WRITE);
	put_device(&dev->dev);
	if (IS_ERR(client))
		return PTR_ERR(client);
	ret = client->subscriber ? mydev_map_open_file(client, file) : 0;
	if (ret) {
		mydev_client_close(client);
		return ret;
	}

	file->private_data = client;
	file->f_mode |= FMODE_NOWAIT;
	return stream_open(inode, file);
}

static int mydev_release(struct inode *inode, struct file *file)
{
	mydev_client_close(file->private_data);
	mydev_requests_reap();
	return 0;
}

static ssize_t mydev_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	bool nonblock = (iocb->ki_filp->f_flags & O_NONBLOCK) ||
			(iocb->ki_flags & IOCB_NOWAIT);

	return mydev_client_read(iocb->ki_filp->private_data, to, nonblock);
}

static ssize_t mydev_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	bool nonblock = (iocb->ki_filp->f_flags & O_NONBLOCK) ||
			(iocb->ki_flags & IOCB_NOWAIT);

	return mydev_tx_write(iocb->ki_filp->private_data, from, nonblock);
}

static int mydev_fsync(struct file *file, loff_t start, loff_t end,
		       int datasync)
{
	/* VFS lets readers call it, too; they have nothing to wait for. */
	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;
	return mydev_tx_sync(file->private_data);
}

/**
 * mydev_client_poll() - compute the events of a client
 * @client: the client; the caller is on its wait queue already
 * @how: the events that the caller waits for, and how: EPOLL* bits
 *
 * Context: process context; takes rx_lock only, never what a reader holds.
 * Return: EPOLL* bits.
 */
__poll_t mydev_client_poll(struct mydev_client *client, __poll_t how)
{
	struct mydev_device *dev = client->dev;
	__poll_t events = 0;
	bool each;

	/*
	 * poll() and epoll look again before they sleep. Not so a multishot poll of
	 * io_uring, which asks for edges and not for one of them (as epoll may, too);
	 * and of waiters that are woken one at a time, another one would be next.
	 */
	each = (how & EPOLLEXCLUSIVE) ||
	       (how & (EPOLLET | EPOLLONESHOT)) == EPOLLET;
	spin_lock_irq(&dev->rx_lock);
	/* A program that waits has given back what it will: a ring that runs dry may go on. */
	if (client->mode == MYDEV_MODE_RING &&
	    dev->rx.in_flight <= dev->rx.nr / 2) {
		spin_unlock_irq(&dev->rx_lock);
		mydev_ring_kick(client);
		spin_lock_irq(&dev->rx_lock);
	}
	if (client->subscriber && mydev_client_should_wake(client))
		events |= MYDEV_POLL_IN;
	/* A poll for room alone is no look at the data. */
	if (client->subscriber && (how & MYDEV_POLL_IN))
		mydev_client_arm(client, each);
	if (dev->gone || client->revoked)
		events |= MYDEV_POLL_GONE;
	else if (dev->rx.state == MYDEV_STATE_FAILED || client->ring.error)
		events |= EPOLLERR;
	spin_unlock_irq(&dev->rx_lock);
	if (client->writer)
		events |= mydev_tx_poll(client);
	return events;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_client_poll);

static __poll_t mydev_poll(struct file *file, poll_table *wait)
{
	struct mydev_client *client = file->private_data;
	__poll_t how = poll_requested_events(wait);

	/* First on the queue, then the look: no wake-up falls in between. */
	poll_wait(file, &client->wait, wait);
	/* Also where it does not ask for room: epoll asks anew without a place to wait. */
	if (client->writer)
		poll_wait(file, &client->dev->tx.wait, wait);
	if (how & MYDEV_POLL_IN)
		mydev_client_demand(client);
	return mydev_client_poll(client, how);
}

static int mydev_mmap(struct file *file, struct vm_area_struct *vma)
{
	return mydev_map(file->private_data, vma);
}

static int mydev_fasync(int fd, struct file *file, int on)
{
	struct mydev_client *client = file->private_data;
	int ret = fasync_helper(fd, file, on, &client->fasync);

	if (ret >= 0 && on && client->subscriber) {
		spin_lock_irq(&client->dev->rx_lock);
		mydev_client_arm(client, false);
		spin_unlock_irq(&client->dev->rx_lock);
		/* Asking for signals about input is asking for input. */
		mydev_client_demand(client);
	}
	return ret;
}

#ifdef CONFIG_PROC_FS
static void mydev_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct mydev_client *client = file->private_data;
	struct mydev_stats stats = {};
	struct mydev_config config;

	mydev_client_stats(client, &stats);
	seq_printf(m, "mydev-device:\t%s\n", dev_name(&client->dev->dev));
	seq_printf(m, "mydev-client:\t%u\n", client->id);
	if (READ_ONCE(client->revoked))
		seq_puts(m, "mydev-revoked:\t1\n");
	if (client->writer) {
		seq_printf(m, "mydev-written-bytes:\t%llu\n",
			   stats.client_written_bytes);
		seq_printf(m, "mydev-sent-bytes:\t%llu\n",
			   stats.client_sent_bytes);
		seq_printf(m, "mydev-failed-bytes:\t%llu\n",
			   stats.client_failed_bytes);
	}
	if (!client->subscriber)
		return;
	mydev_client_get_config(client, &config);
	seq_printf(m, "mydev-demanded:\t%d\n", READ_ONCE(client->demanded));
	seq_printf(m, "mydev-mode:\t%s\n", mydev_mode_names[config.mode]);
	seq_printf(m, "mydev-policy:\t%s\n", mydev_policy_names[config.policy]);
	seq_printf(m, "mydev-queued-packets:\t%llu\n",
		   stats.client_queued_packets);
	seq_printf(m, "mydev-queued-bytes:\t%llu\n", stats.client_queued_bytes);
	seq_printf(m, "mydev-read-packets:\t%llu\n", stats.client_read_packets);
	seq_printf(m, "mydev-read-bytes:\t%llu\n", stats.client_read_bytes);
	seq_printf(m, "mydev-lost-packets:\t%llu\n", stats.client_lost_packets);
	seq_printf(m, "mydev-lost-bytes:\t%llu\n", stats.client_lost_bytes);
}
#endif

static const struct file_operations mydev_fops = {
	.owner = THIS_MODULE,
	.open = mydev_open,
	.release = mydev_release,
	.read_iter = mydev_read_iter,
	.splice_read = copy_splice_read,
	.write_iter = mydev_write_iter,
	.splice_write = iter_file_splice_write,
	.fsync = mydev_fsync,
	.mmap = mydev_mmap,
	.poll = mydev_poll,
	.fasync = mydev_fasync,
	.unlocked_ioctl = mydev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
#ifdef CONFIG_PROC_FS
	.show_fdinfo = mydev_show_fdinfo,
#endif
};

/* The first node is called by its number, others behind that by their endpoint. */
static int mydev_set_name(struct mydev_device *dev)
{
	const struct mydev_device *first =
		list_first_entry(&dev->iface->nodes, struct mydev_device, node);

	dev->info.index = first->minor;
	if (dev == first)
		return dev_set_name(&dev->dev, MYDEV_NAME "%u", dev->minor);
	return dev_set_name(&dev->dev, MYDEV_NAME "%u.%02x", dev->info.index,
			    dev->info.pipe);
}

/**
 * mydev_chardev_prepare() - give a device its number and name
 * @dev: the device, its &struct device initialised; those before it have theirs
 *
 * Return: 0 or a negative errno; undone by mydev_chardev_unprepare().
 */
int mydev_chardev_prepare(struct mydev_device *dev)
{
	u32 index;
	int ret;

	ret = xa_alloc(&mydev_devices, &index, NULL,
		       XA_LIMIT(0, MYDEV_MINORS - 1), GFP_KERNEL);
	if (ret)
		return ret;

	dev->minor = index;
	dev->dev.class = &mydev_class;
	dev->dev.devt = MKDEV(MAJOR(mydev_base), MINOR(mydev_base) + index);
	ret = mydev_set_name(dev);
	if (ret)
		mydev_chardev_unprepare(dev);
	return ret;
}

/**
 * mydev_chardev_unprepare() - give the number back
 * @dev: the device, not or no longer published
 *
 * Files that are still open do not need it, and the next device that is
 * plugged in may have it.
 */
void mydev_chardev_unprepare(struct mydev_device *dev)
{
	xa_erase(&mydev_devices, dev->minor);
}

/**
 * mydev_chardev_publish() - make the node appear
 * @dev: the device, ready for open()
 *
 * Return: 0 or a negative errno; undone by mydev_chardev_withdraw().
 */
int mydev_chardev_publish(struct mydev_device *dev)
{
	int ret;

	/* First: who sees the node can open it. */
	mydev_device_set(dev->minor, dev);
	ret = device_add(&dev->dev);
	if (ret)
		mydev_device_set(dev->minor, NULL);
	return ret;
}

/**
 * mydev_chardev_withdraw() - make the node disappear
 * @dev: the device
 *
 * Files stay open, and an open() in progress may still succeed.
 */
void mydev_chardev_withdraw(struct mydev_device *dev)
{
	mydev_device_set(dev->minor, NULL);
	device_del(&dev->dev);
}

int mydev_chardev_init(void)
{
	int ret;

	ret = alloc_chrdev_region(&mydev_base, 0, MYDEV_MINORS, MYDEV_NAME);
	if (ret)
		return ret;
	ret = class_register(&mydev_class);
	if (ret)
		goto err_region;
	cdev_init(&mydev_cdev, &mydev_fops);
	mydev_cdev.owner = THIS_MODULE;
	ret = cdev_add(&mydev_cdev, mydev_base, MYDEV_MINORS);
	if (ret)
		goto err_class;
	return 0;

err_class:
	class_unregister(&mydev_class);
err_region:
	unregister_chrdev_region(mydev_base, MYDEV_MINORS);
	return ret;
}

void mydev_chardev_exit(void)
{
	cdev_del(&mydev_cdev);
	class_unregister(&mydev_class);
	unregister_chrdev_region(mydev_base, MYDEV_MINORS);
	xa_destroy(&mydev_devices);
}
