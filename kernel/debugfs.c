// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/kernel/debug/mydev/mydevN/clients: which clients there are, and which one is
 * slow. One line per client, separated by blanks, the titles in the first line;
 * the command comes last, as it may have blanks of its own.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "mydev.h"

static struct dentry *mydev_debugfs_root;

/* What a client does to the ring when it falls behind, and why. */
static const char *mydev_client_role(const struct mydev_client *client)
{
	if (!client->subscriber)
		return "writer";
	if (!client->demanded)
		return "idle";
	if (client->evicted)
		return "evicted";
	return "reading";
}

static int clients_show(struct seq_file *m, void *unused)
{
	struct mydev_device *dev = m->private;
	struct mydev_client *client;
	struct mydev_counts counts;

	seq_puts(m,
		 "id pid role mode policy lag-packets lag-bytes read-packets ");
	seq_puts(m, "read-bytes lost-packets lost-bytes command\n");

	spin_lock_irq(&dev->rx_lock);
	list_for_each_entry(client, &dev->clients, list) {
		mydev_client_counts(client, &counts);
		seq_printf(m, "%u %d %s %s %s %llu %llu %llu %llu %llu %llu ",
			   client->id, client->pid, mydev_client_role(client),
			   mydev_mode_names[client->mode],
			   mydev_policy_names[client->policy],
			   counts.queued_packets, counts.queued_bytes,
			   counts.read_packets, counts.read_bytes,
			   counts.lost_packets, counts.lost_bytes);
		/* A program can call itself anything. */
		seq_escape(m, client->comm, "\n\\");
		seq_putc(m, '\n');
	}
	spin_unlock_irq(&dev->rx_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(clients);

/* Failures are none of ours: debugfs is for looking, nothing depends on it. */
void mydev_debugfs_add(struct mydev_device *dev)
{
	dev->debugfs =
		debugfs_create_dir(dev_name(&dev->dev), mydev_debugfs_root);
	debugfs_create_file("clients", 0400, dev->debugfs, dev, &clients_fops);
}

void mydev_debugfs_remove(struct mydev_device *dev)
{
	debugfs_remove_recursive(dev->debugfs);
}

void mydev_debugfs_init(void)
{
	mydev_debugfs_root = debugfs_create_dir(MYDEV_NAME, NULL);
}

void mydev_debugfs_exit(void)
{
	debugfs_remove(mydev_debugfs_root);
}
