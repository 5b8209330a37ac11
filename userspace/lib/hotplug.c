// SPDX-License-Identifier: MIT
/*
 * Devices that come and go, as udev tells.
 */
#include <errno.h>
#include <fcntl.h>
#include <libudev.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loop.h"

/* Namespaces are those of a thread. */
#define NAMESPACES   "/proc/thread-self/ns/"
#define UNIX_SOCKETS "/proc/thread-self/net/unix"
#define UDEV_CONTROL "/run/udev/control"

/* Of the first user namespace, since namespaces have inodes; the kernel's PROC_USER_INIT_INO */
#define FIRST_USER_NAMESPACE 0xEFFFFFFDU

struct known {
	struct known *next;
	dev_t devnum;
	char name[24];
};

struct watch_source {
	struct source source;
	struct udev *udev;
	struct udev_monitor *monitor;
	struct mydev_watch watch;
	void *arg;
	struct known *known; /* those that were told to be added */
	bool looked;         /* at those that were there at first */
};

static void free_watch(struct source *source)
{
	struct watch_source *ws = (struct watch_source *)source;
	struct known *known;

	while ((known = ws->known)) {
		ws->known = known->next;
		free(known);
	}
	udev_monitor_unref(ws->monitor);
	udev_unref(ws->udev);
	free(ws);
}

static struct known **find_known(struct watch_source *ws, dev_t devnum)
{
	struct known **link = &ws->known;

	while (*link && (*link)->devnum != devnum)
		link = &(*link)->next;
	return link;
}

static int tell_removed(struct watch_source *ws, dev_t devnum)
{
	struct known **link = find_known(ws, devnum);
	struct known *known = *link;

	if (!known)
		return 0;
	*link = known->next;
	if (ws->watch.removed)
		ws->watch.removed(known->devnum, known->name, ws->arg);
	free(known);
	return 1;
}

static int tell_added(struct watch_source *ws, const struct mydev_entry *entry)
{
	dev_t devnum = mydev_entry_devnum(entry);
	struct known *known;

	if (*find_known(ws, devnum))
		return 0;
	known = calloc(1, sizeof(*known));
	if (!known)
		return -ENOMEM;
	known->devnum = devnum;
	strncpy(known->name, mydev_entry_name(entry), sizeof(known->name) - 1);
	known->next = ws->known;
	ws->known = known;
	if (ws->watch.added)
		ws->watch.added(entry, ws->arg);
	return 1;
}

/* For what is there at first, and where udev could not keep up with telling. */
static int look_at_all(struct watch_source *ws)
{
	const struct mydev_entry *entry;
	struct mydev_list *list;
	struct known *known;
	int count = 0;
	size_t i;

	/* Without memory, or sysfs: the next event may find both. */
	if (mydev_list_new(&list))
		return 0;
	for (known = ws->known; known;) {
		dev_t devnum = known->devnum;

		known = known->next;
		if (!mydev_list_by_devnum(list, devnum))
			count += tell_removed(ws, devnum);
	}
	for (i = 0; (entry = mydev_list_get(list, i)); i++)
		count += tell_added(ws, entry) > 0;
	mydev_list_free(list);
	return count;
}

static int look_at(struct watch_source *ws, dev_t devnum)
{
	const struct mydev_entry *entry;
	struct mydev_list *list;
	int count = 0;

	if (mydev_list_new(&list))
		return 0;
	/* Where it is gone already, nobody has to know that it was there. */
	entry = mydev_list_by_devnum(list, devnum);
	if (entry)
		count = tell_added(ws, entry) > 0;
	mydev_list_free(list);
	return count;
}

static int dispatch_watch(struct source *source)
{
	struct watch_source *ws = (struct watch_source *)source;
	struct udev_device *device;
	const char *action;
	int count = 0;
	dev_t devnum;

	for (;;) {
		device = udev_monitor_receive_device(ws->monitor);
		if (!device)
			break;
		action = udev_device_get_action(device);
		devnum = udev_device_get_devnum(device);
		if (action && !strcmp(action, "remove"))
			count += tell_removed(ws, devnum);
		else
			count += look_at(ws, devnum);
		udev_device_unref(device);
	}
	/* At first, and where events were lost because they were too many. */
	if (!ws->looked || errno == ENOBUFS) {
		ws->looked = true;
		count += look_at_all(ws);
	}
	return count;
}

/*
 * What udev sends reaches the network namespace that it runs in, which is the one
 * where its socket is listed. The node of the socket tells less: other namespaces
 * have it, too, and it may be left of a udev that runs no more.
 */
static bool udev_is_here(void)
{
	bool here = false;
	char *line = NULL;
	size_t size = 0;
	FILE *file;

	/* libudev itself wants to see this. */
	if (access(UDEV_CONTROL, F_OK))
		return false;
	file = fopen(UNIX_SOCKETS, "re");
	/* Without proc it is not known, and a udev that is there is more likely. */
	if (!file)
		return true;
	while (!here && getline(&line, &size, file) > 0)
		here = strstr(line, " " UDEV_CONTROL "\n");
	free(line);
	fclose(file);
	return here;
}

/*
 * The kernel tells its own events in all network namespaces but those that belong
 * to another user namespace than the first one. Who is in that user namespace, or
 * above it, can ask whose a network namespace is.
 */
static bool events_come_here(void)
{
	int net = open(NAMESPACES "net", O_RDONLY | O_CLOEXEC);
	bool come = true;
	struct stat st;
	int owner;

	if (net < 0)
		return true;
	owner = ioctl(net, NS_GET_USERNS);
	if (owner >= 0) {
		if (!fstat(owner, &st))
			come = st.st_ino == FIRST_USER_NAMESPACE;
		close(owner);
	}
	close(net);
	return come;
}

/*
 * Where no udev is heard, nobody sends what it would send, and the kernel's own
 * events are all there is.
 */
static const char *event_source(void)
{
	return udev_is_here() ? "udev" : "kernel";
}

static int open_monitor(struct watch_source *ws)
{
	int ret;

	ws->udev = udev_new();
	if (!ws->udev)
		return -ENOMEM;
	errno = ENOMEM;
	ws->monitor = udev_monitor_new_from_netlink(ws->udev, event_source());
	if (!ws->monitor)
		return -errno;
	ret = udev_monitor_filter_add_match_subsystem_devtype(ws->monitor,
							      "mydev", NULL);
	if (ret >= 0)
		ret = udev_monitor_enable_receiving(ws->monitor);
	if (ret < 0)
		return ret;
	ws->source.fd = udev_monitor_get_fd(ws->monitor);
	return 0;
}

int mydev_loop_watch(struct mydev_loop *loop, const struct mydev_watch *watch,
		     size_t size, void *arg)
{
	struct watch_source *ws;
	int ret;

	if (!size || size > sizeof(*watch) || size % sizeof(void (*)(void)))
		return -EINVAL;
	if (loop_find(loop, dispatch_watch))
		return -EBUSY;
	if (!events_come_here())
		return -ENOTCONN;
	ws = calloc(1, sizeof(*ws));
	if (!ws)
		return -ENOMEM;
	ws->source.dispatch = dispatch_watch;
	ws->source.free = free_watch;
	/* Those that are there already. */
	ws->source.due = true;
	memcpy(&ws->watch, watch, size);
	ws->arg = arg;
	ret = open_monitor(ws);
	if (!ret)
		ret = loop_attach(loop, &ws->source);
	if (ret)
		free_watch(&ws->source);
	return ret;
}
