// SPDX-License-Identifier: MIT
/*
 * The devices that are present, from sysfs alone.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "internal.h"

#define CLASS_DIR "/sys/class/mydev"

/* sysfs gives at most a page per attribute */
#define ATTR_MAX 4096

struct mydev_entry {
	unsigned int index;
	unsigned int pipe;
	bool first;
	dev_t devnum;
	unsigned int id_vendor;
	unsigned int id_product;
	unsigned int interface;
	bool readable;
	char *manufacturer;
	char *product;
	char *serial;
	char *usb_device;
	char *siblings;
	char *path;
	char name[24];
};

struct mydev_list {
	size_t count;
	struct mydev_entry **entries;
};

static int open_attr(const struct mydev_entry *entry, const char *attr,
		     int flags)
{
	char path[256];
	int len;
	int fd;

	len = snprintf(path, sizeof(path), CLASS_DIR "/%s/%s", entry->name,
		       attr);
	if (len >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fd;
}

ssize_t mydev_entry_attr(const struct mydev_entry *entry, const char *attr,
			 char *buf, size_t size)
{
	ssize_t len;
	int fd;

	if (!size)
		return -EINVAL;
	buf[0] = '\0';
	fd = open_attr(entry, attr, O_RDONLY);
	if (fd < 0)
		return fd;
	len = read(fd, buf, size - 1);
	if (len < 0)
		len = -errno;
	close(fd);
	if (len < 0)
		return len;
	if (len && buf[len - 1] == '\n')
		len--;
	buf[len] = '\0';
	return len;
}

int mydev_entry_set_attr(const struct mydev_entry *entry, const char *attr,
			 const char *text)
{
	int fd = open_attr(entry, attr, O_WRONLY);
	int ret = 0;

	if (fd < 0)
		return fd;
	/* sysfs takes a value in one piece. */
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/* A device may have no such string: that is an empty one. */
static char *attr_string(const struct mydev_entry *entry, const char *attr)
{
	char buf[ATTR_MAX];

	mydev_entry_attr(entry, attr, buf, sizeof(buf));
	return strdup(buf);
}

/* The name of the USB device, which is that of an interface up to the colon. */
static char *usb_device(const struct mydev_entry *entry)
{
	char path[256];
	char target[PATH_MAX];
	const char *name = NULL;
	ssize_t len;

	snprintf(path, sizeof(path), CLASS_DIR "/%s/device", entry->name);
	len = readlink(path, target, sizeof(target) - 1);
	if (len > 0) {
		target[len] = '\0';
		name = strrchr(target, '/');
	}
	name = name ? name + 1 : "";
	return strndup(name, strcspn(name, ":"));
}

static int attr_number(const struct mydev_entry *entry, const char *attr,
		       int base, unsigned int *number)
{
	char buf[32];
	char *end;
	ssize_t len = mydev_entry_attr(entry, attr, buf, sizeof(buf));

	if (len < 0)
		return len;
	*number = strtoul(buf, &end, base);
	return end == buf || *end ? -EPROTO : 0;
}

static int attr_devnum(struct mydev_entry *entry)
{
	unsigned int maj;
	unsigned int min;
	char buf[32];
	ssize_t len = mydev_entry_attr(entry, "dev", buf, sizeof(buf));

	if (len < 0)
		return len;
	if (sscanf(buf, "%u:%u", &maj, &min) != 2)
		return -EPROTO;
	entry->devnum = makedev(maj, min);
	return 0;
}

static void entry_free(struct mydev_entry *entry)
{
	free(entry->manufacturer);
	free(entry->product);
	free(entry->serial);
	free(entry->usb_device);
	free(entry->siblings);
	free(entry->path);
	free(entry);
}

static int entry_fill(struct mydev_entry *entry)
{
	int ret = attr_devnum(entry);

	if (!ret)
		ret = attr_number(entry, "id_vendor", 16, &entry->id_vendor);
	if (!ret)
		ret = attr_number(entry, "id_product", 16, &entry->id_product);
	if (!ret)
		ret = attr_number(entry, "interface_number", 16,
				  &entry->interface);
	if (!ret)
		ret = attr_number(entry, "pipe", 16, &entry->pipe);
	/* An older driver has one node for each interface, and no word for it. */
	if (ret == -ENOENT && entry->first)
		ret = 0;
	if (ret)
		return ret;
	entry->manufacturer = attr_string(entry, "manufacturer");
	entry->product = attr_string(entry, "product");
	entry->serial = attr_string(entry, "serial");
	entry->usb_device = usb_device(entry);
	entry->siblings = attr_string(entry, "siblings");
	if (asprintf(&entry->path, "/dev/%s", entry->name) < 0)
		entry->path = NULL;
	if (!entry->manufacturer || !entry->product || !entry->serial ||
	    !entry->usb_device || !entry->siblings || !entry->path)
		return -ENOMEM;
	entry->readable = !access(entry->path, R_OK);
	return 0;
}

/*
 * A device that is unplugged between readdir() and here has no attributes any
 * more: it is simply not in the list. @entryp stays NULL then.
 */
static int entry_new(const char *name, struct mydev_entry **entryp)
{
	struct mydev_entry *entry;
	unsigned int index;
	unsigned int pipe;
	char rest;
	int count;
	int ret;

	count = sscanf(name, "mydev%u.%2x%c", &index, &pipe, &rest);
	if ((count != 1 && count != 2) || (count == 1 && strchr(name, '.')))
		return 0;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	entry->index = index;
	entry->first = count == 1;
	if (entry->first)
		snprintf(entry->name, sizeof(entry->name), "mydev%u", index);
	else
		snprintf(entry->name, sizeof(entry->name), "mydev%u.%02x",
			 index, pipe & 0xff);
	ret = entry_fill(entry);
	if (ret) {
		entry_free(entry);
		return ret == -ENOENT || ret == -ENODEV ? 0 : ret;
	}
	*entryp = entry;
	return 0;
}

static int list_add(struct mydev_list *list, const char *name)
{
	struct mydev_entry *entry = NULL;
	struct mydev_entry **entries;
	int ret = entry_new(name, &entry);

	if (ret || !entry)
		return ret;
	entries = reallocarray(list->entries, list->count + 1,
			       sizeof(struct mydev_entry *));
	if (!entries) {
		entry_free(entry);
		return -ENOMEM;
	}
	entries[list->count++] = entry;
	list->entries = entries;
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct mydev_entry *x = *(struct mydev_entry *const *)a;
	const struct mydev_entry *y = *(struct mydev_entry *const *)b;

	if (x->index != y->index)
		return x->index > y->index ? 1 : -1;
	if (x->first != y->first)
		return y->first ? 1 : -1;
	return (x->pipe > y->pipe) - (x->pipe < y->pipe);
}

int mydev_list_new(struct mydev_list **listp)
{
	struct mydev_list *list = calloc(1, sizeof(*list));
	struct dirent *de;
	DIR *dir;
	int ret = 0;

	if (!list)
		return -ENOMEM;
	dir = opendir(CLASS_DIR);
	if (dir) {
		while (!ret && (de = readdir(dir)))
			ret = list_add(list, de->d_name);
		closedir(dir);
	} else if (errno != ENOENT) {
		/* Without the class no driver is loaded: an empty list. */
		ret = -errno;
	}
	if (ret) {
		mydev_list_free(list);
		return ret;
	}
	if (list->count)
		qsort(list->entries, list->count, sizeof(list->entries[0]),
		      compare);
	*listp = list;
	return 0;
}

void mydev_list_free(struct mydev_list *list)
{
	size_t i;

	if (!list)
		return;
	for (i = 0; i < list->count; i++)
		entry_free(list->entries[i]);
	free(list->entries);
	free(list);
}

size_t mydev_list_count(const struct mydev_list *list)
{
	return list->count;
}

const struct mydev_entry *mydev_list_get(const struct mydev_list *list,
					 size_t pos)
{
	return pos < list->count ? list->entries[pos] : NULL;
}

const struct mydev_entry *mydev_list_by_devnum(const struct mydev_list *list,
					       dev_t devnum)
{
	size_t i;

	for (i = 0; i < list->count; i++) {
		if (list->entries[i]->devnum == devnum)
			return list->entries[i];
	}
	return NULL;
}

int mydev_list_find(const struct mydev_list *list, const char *name,
		    const struct mydev_entry **entry)
{
	struct stat st;
	char *path;
	int ret;

	if (asprintf(&path, "%s%s", node_prefix(name), name) < 0)
		return -ENOMEM;
	ret = stat(path, &st) ? -errno : 0;
	free(path);
	if (ret)
		return ret;
	ret = S_ISCHR(st.st_mode) ? check_class(st.st_rdev) : -ENXIO;
	if (ret)
		return ret;
	*entry = mydev_list_by_devnum(list, st.st_rdev);
	return *entry ? 0 : -ENODEV;
}

const char *mydev_entry_name(const struct mydev_entry *entry)
{
	return entry->name;
}

const char *mydev_entry_path(const struct mydev_entry *entry)
{
	return entry->path;
}

unsigned int mydev_entry_index(const struct mydev_entry *entry)
{
	return entry->index;
}

unsigned int mydev_entry_pipe(const struct mydev_entry *entry)
{
	return entry->pipe;
}

bool mydev_entry_is_first(const struct mydev_entry *entry)
{
	return entry->first;
}

dev_t mydev_entry_devnum(const struct mydev_entry *entry)
{
	return entry->devnum;
}

unsigned int mydev_entry_id_vendor(const struct mydev_entry *entry)
{
	return entry->id_vendor;
}

unsigned int mydev_entry_id_product(const struct mydev_entry *entry)
{
	return entry->id_product;
}

unsigned int mydev_entry_interface(const struct mydev_entry *entry)
{
	return entry->interface;
}

const char *mydev_entry_manufacturer(const struct mydev_entry *entry)
{
	return entry->manufacturer;
}

const char *mydev_entry_product(const struct mydev_entry *entry)
{
	return entry->product;
}

const char *mydev_entry_serial(const struct mydev_entry *entry)
{
	return entry->serial;
}

const char *mydev_entry_usb_device(const struct mydev_entry *entry)
{
	return entry->usb_device;
}

const char *mydev_entry_siblings(const struct mydev_entry *entry)
{
	return entry->siblings;
}

bool mydev_entry_readable(const struct mydev_entry *entry)
{
	return entry->readable;
}
