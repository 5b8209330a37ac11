// SPDX-License-Identifier: MIT
/*
 * Error messages: what happened, and what to do next.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool.h"

#define NEW_ID "/sys/bus/usb/drivers/mydev/new_id"

void complain(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "mydevctl: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

/* What stands between the user and a device depends on how far things are. */
static void hint_no_device(void)
{
	if (access("/sys/class/mydev", F_OK)) {
		fprintf(stderr,
			"  The mydev module is not loaded. Load it with: modprobe mydev\n"
			"  If the device has other USB ids than the driver expects:\n"
			"  modprobe mydev ids=VVVV:PPPP (lsusb shows them)\n");
		return;
	}
	fprintf(stderr,
		"  Is it plugged in? The mydev module is loaded; mydevctl list shows its devices.\n"
		"  If lsusb shows a device that is not in the list, tell the driver its ids:\n"
		"  echo VVVV PPPP > " NEW_ID "\n"
		"  or load the module with ids=VVVV:PPPP\n");
}

/* Nobody should join root's group, nor one that may not do more either. */
static void hint_group(const struct stat *st, const struct group *gr)
{
	struct passwd *me = getpwuid(getuid());

	if (!gr || !me || !st->st_gid || !(st->st_mode & 060) ||
	    group_member(st->st_gid) || getegid() == st->st_gid)
		return;
	fprintf(stderr,
		"  Join that group, as root, and log in again: usermod -aG %s %s\n",
		gr->gr_name, me->pw_name);
}

static void hint_permission(const char *path)
{
	struct stat st;

	if (!stat(path, &st)) {
		struct passwd *pw = getpwuid(st.st_uid);
		struct group *gr = getgrgid(st.st_gid);

		fprintf(stderr,
			"  It belongs to user %s, group %s, mode %04o.\n",
			pw ? pw->pw_name : "?", gr ? gr->gr_name : "?",
			st.st_mode & 07777);
		hint_group(&st, gr);
	}
	fprintf(stderr,
		"  Run this as root, or install the udev rule 70-mydev.rules: it lets in the group plugdev,\n"
		"  and its TAG+=\"uaccess\" whoever sits at the machine.\n");
}

int no_device(void)
{
	complain("no mydev device found");
	hint_no_device();
	return EXIT_NO_DEVICE;
}

int device_error(const char *path, int err)
{
	switch (err) {
	case -ENOENT:
		complain("%s: no such device", path);
		hint_no_device();
		return EXIT_NO_DEVICE;
	case -ENXIO:
		complain("%s: %s", path, mydev_strerror(err));
		return EXIT_NO_DEVICE;
	case -EACCES:
	case -EPERM:
		complain("%s: permission denied", path);
		hint_permission(path);
		return EXIT_PERMISSION;
	case -ENODEV:
		complain("%s: %s", path, mydev_strerror(err));
		return EXIT_UNPLUGGED;
	case -ENOTTY:
	case -EPROTONOSUPPORT:
		complain("%s: %s", path, mydev_strerror(err));
		fprintf(stderr,
			"  This program has ABI version %d; modinfo mydev and dmesg tell about the driver.\n",
			MYDEV_ABI_VERSION);
		return EXIT_ERROR;
	default:
		complain("%s: %s", path, mydev_strerror(err));
		return EXIT_ERROR;
	}
}
