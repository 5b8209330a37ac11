// SPDX-License-Identifier: MIT
/*
 * Devices by what they are, wherever they are plugged in.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* What a node was asked to be, see mydev_list_match(). */
struct wanted {
	int id_vendor;
	int id_product;
	const char *serial;
	unsigned int endpoint;
};

static bool attr_is(const struct mydev_entry *entry, const char *attr,
		    unsigned int address)
{
	char buf[16];

	return mydev_entry_attr(entry, attr, buf, sizeof(buf)) > 0 &&
	       strtoul(buf, NULL, 16) == address;
}

static bool has_endpoint(const struct mydev_entry *entry, unsigned int address)
{
	if (!address)
		return mydev_entry_is_first(entry);
	return mydev_entry_pipe(entry) == address ||
	       attr_is(entry, "ep_in", address) ||
	       attr_is(entry, "ep_out", address);
}

static bool matches(const struct mydev_entry *entry,
		    const struct wanted *wanted)
{
	if (wanted->id_vendor != MYDEV_ANY_ID &&
	    mydev_entry_id_vendor(entry) != (unsigned int)wanted->id_vendor)
		return false;
	if (wanted->id_product != MYDEV_ANY_ID &&
	    mydev_entry_id_product(entry) != (unsigned int)wanted->id_product)
		return false;
	if (wanted->serial && strcmp(mydev_entry_serial(entry), wanted->serial))
		return false;
	return has_endpoint(entry, wanted->endpoint);
}

static int find_match(const struct mydev_list *list,
		      const struct wanted *wanted,
		      const struct mydev_entry **found)
{
	const struct mydev_entry *entry;
	size_t i;

	*found = NULL;
	for (i = 0; (entry = mydev_list_get(list, i)); i++) {
		if (!matches(entry, wanted))
			continue;
		if (*found)
			return -ENOTUNIQ;
		*found = entry;
	}
	return *found ? 0 : -ENOENT;
}

int mydev_list_match(const struct mydev_list *list, int id_vendor,
		     int id_product, const char *serial, unsigned int endpoint,
		     const struct mydev_entry **found)
{
	const struct wanted wanted = { id_vendor, id_product, serial,
				       endpoint };

	return find_match(list, &wanted, found);
}

/*
 * Between the look and the open, the node's number may have gone to another
 * device. That of an open device cannot, so a second look is the last word.
 */
static int still_matches(const struct mydev *dev, const struct wanted *wanted)
{
	const struct mydev_entry *entry;
	struct mydev_list *list;
	int ret = mydev_list_new(&list);

	if (ret)
		return ret;
	entry = mydev_list_by_devnum(list, mydev_devnum(dev));
	if (!entry || !matches(entry, wanted))
		ret = -ENODEV;
	mydev_list_free(list);
	return ret;
}

int mydev_open_match(int id_vendor, int id_product, const char *serial,
		     unsigned int endpoint, int flags, struct mydev **devp)
{
	const struct wanted wanted = { id_vendor, id_product, serial,
				       endpoint };
	const struct mydev_entry *entry;
	struct mydev_list *list;
	struct mydev *dev;
	int ret = mydev_list_new(&list);

	if (ret)
		return ret;
	ret = find_match(list, &wanted, &entry);
	if (!ret)
		ret = mydev_open(mydev_entry_path(entry), flags, &dev);
	mydev_list_free(list);
	if (ret)
		return ret;
	ret = still_matches(dev, &wanted);
	if (ret) {
		mydev_close(dev);
		return ret;
	}
	*devp = dev;
	return 0;
}
