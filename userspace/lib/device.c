// SPDX-License-Identifier: MIT
/*
 * An open device: opening it safely, asking it, reading it.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "internal.h"

struct mydev {
	int fd;
	dev_t devnum;
	char path[];
};

const char *node_prefix(const char *name)
{
	size_t digits = strspn(name, "0123456789");
	size_t pipe;

	if (strchr(name, '/'))
		return "";
	if (!digits)
		return "/dev/";
	if (!name[digits])
		return "/dev/mydev";
	pipe = strspn(name + digits + 1, "0123456789abcdef");
	if (name[digits] == '.' && pipe && !name[digits + 1 + pipe])
		return "/dev/mydev";
	return "/dev/";
}

static struct mydev *device_new(const char *name)
{
	const char *prefix = node_prefix(name);
	size_t size = strlen(prefix) + strlen(name) + 1;
	struct mydev *dev;

	dev = malloc(sizeof(*dev) + size);
	if (!dev)
		return NULL;
	dev->fd = -1;
	snprintf(dev->path, size, "%s%s", prefix, name);
	return dev;
}

int check_class(dev_t devnum)
{
	char path[64];
	char target[PATH_MAX];
	ssize_t len;

	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/subsystem",
		 major(devnum), minor(devnum));
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return errno == ENOENT ? -ENXIO : -errno;
	target[len] = '\0';
	return strcmp(basename(target), "mydev") ? -ENXIO : 0;
}

/*
 * Pin the node with O_PATH, which has no effect on any device, look what it
 * is, and only then open that very node.
 */
static int open_checked(struct mydev *dev, int flags)
{
	char self[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
	struct stat st;
	int pin;
	int ret;

	pin = open(dev->path, O_PATH | O_CLOEXEC);
	if (pin < 0)
		return -errno;
	if (fstat(pin, &st))
		ret = -errno;
	else if (!S_ISCHR(st.st_mode))
		ret = -ENXIO;
	else
		ret = check_class(st.st_rdev);
	if (!ret) {
		snprintf(self, sizeof(self), "/proc/self/fd/%d", pin);
		dev->devnum = st.st_rdev;
		dev->fd = open(self, flags | O_CLOEXEC);
		if (dev->fd < 0)
			ret = -errno;
	}
	close(pin);
	return ret;
}

static int check_abi(const struct mydev *dev)
{
	struct mydev_info info;
	int ret = mydev_get_info(dev, &info, sizeof(info));

	if (ret)
		return ret;
	return info.abi_version == MYDEV_ABI_VERSION ? 0 : -EPROTONOSUPPORT;
}

static int open_device(const char *name, int flags, struct mydev **devp)
{
	struct mydev *dev = device_new(name);
	int ret;

	if (!dev)
		return -ENOMEM;
	ret = open_checked(dev, flags);
	if (!ret)
		ret = check_abi(dev);
	if (ret) {
		mydev_close(dev);
		return ret;
	}
	*devp = dev;
	return 0;
}

int mydev_open(const char *name, int flags, struct mydev **dev)
{
	if (flags & ~(O_ACCMODE | O_NONBLOCK | O_CLOEXEC))
		return -EINVAL;
	if ((flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	return open_device(name, flags, dev);
}

int mydev_open_query(const char *name, struct mydev **dev)
{
	/*
	 * Linux opens a file with both access bits set for neither reading nor
	 * writing, after checking the permission for both: see open(2), "File
	 * access mode".
	 */
	int ret = open_device(name, O_WRONLY | O_RDWR, dev);

	if (ret == -EACCES)
		ret = open_device(name, O_RDONLY, dev);
	return ret;
}

/* The name of a node is the driver's, whatever path it was opened by. */
static int name_of(dev_t devnum, char *name, size_t size)
{
	char link[64];
	char target[PATH_MAX];
	ssize_t len;

	snprintf(link, sizeof(link), "/sys/dev/char/%u:%u", major(devnum),
		 minor(devnum));
	len = readlink(link, target, sizeof(target) - 1);
	if (len < 0)
		return errno == ENOENT ? -ENXIO : -errno;
	target[len] = '\0';
	snprintf(name, size, "%s", basename(target));
	return 0;
}

int mydev_open_fd(int fd, struct mydev **devp)
{
	struct mydev *dev;
	struct stat st;
	char name[64];
	int ret;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISCHR(st.st_mode))
		return -ENXIO;
	ret = check_class(st.st_rdev);
	if (!ret)
		ret = name_of(st.st_rdev, name, sizeof(name));
	if (ret)
		return ret;
	dev = device_new(name);
	if (!dev)
		return -ENOMEM;
	dev->devnum = st.st_rdev;
	dev->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	ret = dev->fd < 0 ? -errno : check_abi(dev);
	if (ret) {
		mydev_close(dev);
		return ret;
	}
	*devp = dev;
	return 0;
}

void mydev_close(struct mydev *dev)
{
	if (!dev)
		return;
	if (dev->fd >= 0)
		close(dev->fd);
	free(dev);
}

int mydev_fd(const struct mydev *dev)
{
	return dev->fd;
}

const char *mydev_path(const struct mydev *dev)
{
	return dev->path;
}

dev_t mydev_devnum(const struct mydev *dev)
{
	return dev->devnum;
}

bool mydev_is_reader(const struct mydev *dev)
{
	int mode = fcntl(dev->fd, F_GETFL) & O_ACCMODE;

	return mode == O_RDONLY || mode == O_RDWR;
}

int device_request(const struct mydev *dev, unsigned long cmd, void *arg,
		   size_t size)
{
	__u32 size32 = size;

	if (size < sizeof(size32) || size != size32)
		return -EINVAL;
	memcpy(arg, &size32, sizeof(size32));
	return ioctl(dev->fd, cmd, arg) ? -errno : 0;
}

/*
 * The kernel fills in what it knows of @size bytes and leaves the rest, which
 * is zero then.
 */
static int ask(const struct mydev *dev, unsigned long cmd, void *arg,
	       size_t size)
{
	memset(arg, 0, size);
	return device_request(dev, cmd, arg, size);
}

int mydev_get_info(const struct mydev *dev, struct mydev_info *info,
		   size_t size)
{
	return ask(dev, MYDEV_IOC_GET_INFO, info, size);
}

int mydev_get_stats(const struct mydev *dev, struct mydev_stats *stats,
		    size_t size)
{
	return ask(dev, MYDEV_IOC_GET_STATS, stats, size);
}

int mydev_get_config(const struct mydev *dev, struct mydev_config *config,
		     size_t size)
{
	return ask(dev, MYDEV_IOC_GET_CONFIG, config, size);
}

int mydev_set_config(const struct mydev *dev, const struct mydev_config *config,
		     size_t size)
{
	/* The kernel writes its own size back: the caller's stays as it is. */
	union {
		struct mydev_config config;
		char room[256];
	} copy = { 0 };

	if (size > sizeof(copy))
		return -EINVAL;
	memcpy(&copy, config, size);
	return device_request(dev, MYDEV_IOC_SET_CONFIG, &copy, size);
}

int mydev_get_geometry(const struct mydev *dev, struct mydev_geometry *geometry,
		       size_t size)
{
	return ask(dev, MYDEV_IOC_GET_GEOMETRY, geometry, size);
}

int mydev_set_geometry(const struct mydev *dev, struct mydev_geometry *geometry,
		       size_t size)
{
	return device_request(dev, MYDEV_IOC_SET_GEOMETRY, geometry, size);
}

int mydev_get_recovery(const struct mydev *dev, struct mydev_recovery *recovery,
		       size_t size)
{
	return ask(dev, MYDEV_IOC_GET_RECOVERY, recovery, size);
}

int mydev_set_recovery(const struct mydev *dev, struct mydev_recovery *recovery,
		       size_t size)
{
	return device_request(dev, MYDEV_IOC_SET_RECOVERY, recovery, size);
}

ssize_t mydev_read(const struct mydev *dev, void *buf, size_t count)
{
	ssize_t ret = read(dev->fd, buf, count);

	return ret < 0 ? -errno : ret;
}

int mydev_rewind(const struct mydev *dev, unsigned int to, uint64_t value,
		 uint64_t *sequence)
{
	struct mydev_rewind rewind = { .to = to, .value = value };
	int ret =
		device_request(dev, MYDEV_IOC_REWIND, &rewind, sizeof(rewind));

	if (!ret && sequence)
		*sequence = rewind.value;
	return ret;
}
