// SPDX-License-Identifier: GPL-2.0-only
/*
 * Parser of the ids= module parameter: which devices to bind beyond the
 * built-in ones.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/printk.h>
#include <linux/string.h>

#include "mydev.h"

/**
 * mydev_ids_hex() - read a hexadecimal number of limited length
 * @pos: in: where to start; out: behind the last digit
 * @end: where the token ends
 * @digits: at most this many digits are taken
 * @value: the number
 *
 * Return: true if there was at least one digit.
 */
static bool mydev_ids_hex(const char **pos, const char *end,
			  unsigned int digits, unsigned int *value)
{
	const char *p = *pos;

	*value = 0;
	while (p < end && p - *pos < digits && hex_to_bin(*p) >= 0)
		*value = *value << 4 | hex_to_bin(*p++);
	if (p == *pos)
		return false;
	*pos = p;
	return true;
}

/**
 * mydev_ids_token() - parse one VVVV:PPPP or VVVV:PPPP:IF
 * @token: first character
 * @len: number of characters
 * @id: the result
 *
 * Return: true if all of the token was understood.
 */
static bool mydev_ids_token(const char *token, size_t len,
			    struct usb_device_id *id)
{
	const char *pos = token, *end = token + len;
	unsigned int vendor, product, interface;

	if (!mydev_ids_hex(&pos, end, 4, &vendor) || pos == end ||
	    *pos++ != ':' || !mydev_ids_hex(&pos, end, 4, &product))
		return false;

	*id = (struct usb_device_id){ USB_DEVICE(vendor, product) };
	if (pos == end)
		return true;

	if (*pos++ != ':' || !mydev_ids_hex(&pos, end, 2, &interface) ||
	    pos != end)
		return false;

	*id = (struct usb_device_id){ USB_DEVICE_INTERFACE_NUMBER(
		vendor, product, interface) };
	return true;
}

/**
 * mydev_ids_parse() - parse a list of device ids
 * @ids: comma-separated VVVV:PPPP or VVVV:PPPP:IF, all hexadecimal as lsusb
 *	prints them; IF is bInterfaceNumber. NULL or "" for none. A newline at
 *	the end is ignored.
 * @table: receives one entry per id, in order
 * @max: number of entries that fit in @table
 *
 * What cannot be used is named in the log.
 *
 * Return: number of entries, -EINVAL for a malformed token, -ENOSPC if there
 * are more than @max.
 */
int mydev_ids_parse(const char *ids, struct usb_device_id *table,
		    unsigned int max)
{
	unsigned int n = 0;

	if (!ids)
		return 0;

	for (;;) {
		size_t len = strcspn(ids, ",");
		bool last = !ids[len];

		if (last && len && ids[len - 1] == '\n')
			len--;

		/* The empty list is fine, an empty token is a typing error. */
		if (!len && !n && last)
			return 0;
		if (n == max) {
			pr_err("ids: '%.*s' is one too many, at most %u fit; use the driver's new_id for more\n",
			       (int)len, ids, max);
			return -ENOSPC;
		}
		if (!mydev_ids_token(ids, len, &table[n])) {
			pr_err("ids: '%.*s' is not VVVV:PPPP or VVVV:PPPP:IF in hexadecimal, such as 1209:0001 or 1209:0001:00\n",
			       (int)len, ids);
			return -EINVAL;
		}
		n++;
		if (last)
			return n;
		ids += len + 1;
	}
}
EXPORT_SYMBOL_IF_KUNIT(mydev_ids_parse);
