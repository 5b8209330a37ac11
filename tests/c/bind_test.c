// SPDX-License-Identifier: GPL-2.0-only
/*
 * What fails while the driver is loaded, or binds: each allocation once. Nothing of it is
 * left over then, and the next time all is well.
 */
#include <dirent.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "inject.h"
#include "requests.h"

#define BIND   "/sys/bus/usb/drivers/mydev/bind"
#define UNBIND "/sys/bus/usb/drivers/mydev/unbind"
#define DEBUG  "/sys/kernel/debug/mydev"

/* No bind and no initialisation has more allocations. */
#define MANY 2000

/* Of the interface, such as 1-1:1.0. */
static char interface[64];

static void remember_interface(void)
{
	char path[4096], link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/sys/class/mydev%s/device", strrchr(node, '/'));
	n = readlink(link, path, sizeof(path) - 1);
	assert_return_code(n, errno);
	path[n] = 0;
	snprintf(interface, sizeof(interface), "%s", strrchr(path, '/') + 1);
}

/* 0 or the errno. */
static int write_interface(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), error;

	assert_return_code(fd, errno);
	error = write(fd, interface, strlen(interface)) < 0 ? errno : 0;
	close(fd);
	return error;
}

static unsigned int entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned int n = 0;
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		n += e->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}

static bool there(const char *path)
{
	return !access(path, F_OK);
}

/* A line of a file that has this word. */
static bool listed(const char *path, const char *word)
{
	FILE *file = fopen(path, "re");
	char line[256];
	bool found = false;

	assert_non_null(file);
	while (!found && fgets(line, sizeof(line), file))
		found = strstr(line, word);
	fclose(file);
	return found;
}

/* Bound, it has the number that was free, and does what it is for. */
static void works(void)
{
	int fd;

	await(there(node));
	fd = node_open(O_WRONLY);
	assert_int_equal(info_of(fd).index,
			 strtoul(strrchr(node, '/') + strlen("/mydev"), NULL, 10));
	assert_int_equal(control_check(fd, 5, 64), 0);
	close(fd);
}

static void nothing_is_left(dev_t number)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u", major(number), minor(number));
	assert_false(there(path));
	snprintf(path, sizeof(path), "/sys/bus/usb/drivers/mydev/%s", interface);
	assert_false(there(path));
	assert_int_equal(entries("/sys/class/mydev"), 0);
	assert_int_equal(entries(DEBUG), 0);
	await(!there(node));
	/* The number is nobody's, whatever node there is for it. */
	unlink("/tmp/mydev-bind");
	assert_return_code(mknod("/tmp/mydev-bind", S_IFCHR | 0600, number), errno);
	assert_errno(open("/tmp/mydev-bind", O_RDONLY), ENXIO);
	unlink("/tmp/mydev-bind");
}

TEST(each_of_probe)
{
	unsigned int nth, refused = 0;
	struct stat st;

	inject_or_skip();
	inject_within("usb_probe_interface");
	assert_return_code(stat(node, &st), errno);
	remember_interface();
	for (nth = 1; nth < MANY; nth++) {
		bool failed;
		int error;

		deadline(TEST_SECONDS);
		assert_int_equal(write_interface(UNBIND), 0);
		nothing_is_left(st.st_rdev);
		inject_begin(nth);
		error = write_interface(BIND);
		failed = inject_end();
		if (error) {
			assert_true(failed);
			refused++;
			nothing_is_left(st.st_rdev);
			assert_int_equal(write_interface(BIND), 0);
			works();
		} else if (!failed) {
			works();
			break;
		}
		/* What is not needed may fail: a name for people, a message for udev. */
		assert_int_equal(entries("/sys/class/mydev"), 1);
	}
	inject_within(NULL);
	printf("# %u allocations failed, %u of them refused the interface\n", nth - 1, refused);
	assert_in_range(nth, 20, MANY - 1);
	/* The number, the name, the device and each of its objects. */
	assert_true(refused >= 10);
}

/* 0 or the errno. */
static int load(int fd)
{
	return syscall(SYS_finit_module, fd, "", 0) ? errno : 0;
}

static void unload(void)
{
	assert_return_code(syscall(SYS_delete_module, "mydev", O_NONBLOCK), errno);
	assert_false(there("/sys/module/mydev"));
}

TEST(each_of_init)
{
	int ko = open(getenv("MYDEV_KO"), O_RDONLY | O_CLOEXEC);
	unsigned int nth, refused = 0;

	assert_return_code(ko, errno);
	inject_or_skip();
	unplug();
	unload();
	inject_within("do_init_module");
	for (nth = 1; nth < MANY; nth++) {
		bool failed;
		int error;

		deadline(TEST_SECONDS);
		inject_begin(nth);
		error = load(ko);
		failed = inject_end();
		if (error) {
			assert_true(failed);
			refused++;
			assert_false(there("/sys/module/mydev"));
			assert_false(there("/sys/class/mydev"));
			assert_false(there("/sys/bus/usb/drivers/mydev"));
			assert_false(there(DEBUG));
			assert_false(listed("/proc/devices", "mydev"));
			continue;
		}
		if (!failed)
			break;
		unload();
	}
	inject_within(NULL);
	printf("# %u allocations failed, %u of them refused the module\n", nth - 1, refused);
	assert_in_range(nth, 10, MANY - 1);
	/* The numbers, the class, the cdev, the driver. */
	assert_true(refused >= 5);
	close(ko);
	plug();
	works();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROMISE("each allocation of a probe fails once: nothing is left, the next bind works",
			each_of_probe, fresh),
		PROMISE("each allocation of the module's init fails once: the same", each_of_init,
			fresh),
	};

	return run_promises(tests);
}
