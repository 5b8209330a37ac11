// SPDX-License-Identifier: MIT
/*
 * Devices by what they are, wherever they are plugged in.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"

static bool matches(const struct mydev_entry *entry, int id_vendor,
		    int id_product, const char *serial)
{
	if (id_vendor != MYDEV_ANY_ID &&
	    mydev_entry_id_vendor(entry) != (unsigned int)id_vendor)
		return false;
	if (id_product != MYDEV_ANY_ID &&
	    mydev_entry_id_product(entry) != (unsigned int)id_product)
		return false;
	return !serial || !strcmp(mydev_entry_serial(entry), serial);
}

int mydev_list_match(const struct mydev_list *list, int id_vendor,
		     int id_product, const char *serial,
		     const struct mydev_entry **found)
{
	const struct mydev_entry *entry;
	size_t i;

	*found = NULL;
	for (i = 0; (entry = mydev_list_get(list, i)); i++) {
		if (!matches(entry, id_vendor, id_product, serial))
			continue;
		if (*found)
			return -ENOTUNIQ;
		*found = entry;
	}
	return *found ? 0 : -ENOENT;
}

/*
 * Between the look and the open, the node's number may have gone to another
 * device. That of an open device cannot, so a second look is the last word.
 */
static int still_matches(const struct mydev *dev, int id_vendor, int id_product,
			 const char *serial)
{
	const struct mydev_entry *entry;
	struct mydev_list *list;
	int ret = mydev_list_new(&list);

	if (ret)
		return ret;
	entry = mydev_list_by_devnum(list, mydev_devnum(dev));
	if (!entry || !matches(entry, id_vendor, id_product, serial))
		ret = -ENODEV;
	mydev_list_free(list);
	return ret;
}

int mydev_open_match(int id_vendor, int id_product, const char *serial,
		     int flags, struct mydev **devp)
{
	const struct mydev_entry *entry;
	struct mydev_list *list;
	struct mydev *dev;
	int ret = mydev_list_new(&list);

	if (ret)
		return ret;
	ret = mydev_list_match(list, id_vendor, id_product, serial, &entry);
	if (!ret)
		ret = mydev_open(mydev_entry_path(entry), flags, &dev);
	mydev_list_free(list);
	if (ret)
		return ret;
	ret = still_matches(dev, id_vendor, id_product, serial);
	if (ret) {
		mydev_close(dev);
		return ret;
	}
	*devp = dev;
	return 0;
}
