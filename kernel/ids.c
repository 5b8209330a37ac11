// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ids= module parameter: which devices to bind beyond the built-in ones.
 *
 * A list with commas; each of it is VVVV:PPPP or VVVV:PPPP:IF, and behind that, with blanks
 * in front, what else has to be so::
 *
 *	bcd=LLLL or bcd=LLLL-HHHH	bcdDevice, from and to
 *	class=CC, CC/SS or CC/SS/PP	of the interface
 *	serial=TEXT			iSerialNumber; a * at the end is for any rest
 *
 * Numbers are hexadecimal, as lsusb prints them, with or without 0x.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/ctype.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/printk.h>
#include <linux/string.h>

#include "mydev.h"

/* Characters of a string descriptor, at most. [USB 2.0, 9.6.7] */
#define MYDEV_MAX_SERIAL 126

/**
 * struct mydev_text - what is left to be parsed
 * @pos: next character
 * @end: behind the last one
 */
struct mydev_text {
	const char *pos;
	const char *end;
};

static bool mydev_ids_take(struct mydev_text *text, const char *word)
{
	size_t len = strlen(word);

	if (text->end - text->pos < len || memcmp(text->pos, word, len))
		return false;
	text->pos += len;
	return true;
}

/**
 * mydev_ids_hex() - take a hexadecimal number
 * @text: the text
 * @digits: it has these many digits at most, beside a 0x
 * @value: the number
 *
 * Return: true if there was at least one digit.
 */
static bool mydev_ids_hex(struct mydev_text *text, unsigned int digits,
			  unsigned int *value)
{
	const char *begin;

	if (!mydev_ids_take(text, "0x"))
		mydev_ids_take(text, "0X");
	begin = text->pos;
	*value = 0;
	while (text->pos < text->end && text->pos - begin < digits &&
	       hex_to_bin(*text->pos) >= 0)
		*value = *value << 4 | hex_to_bin(*text->pos++);
	return text->pos != begin;
}

static bool mydev_ids_device(struct mydev_text *text, struct usb_device_id *id)
{
	unsigned int vendor, product, interface;

	if (!mydev_ids_hex(text, 4, &vendor) || !mydev_ids_take(text, ":") ||
	    !mydev_ids_hex(text, 4, &product))
		return false;
	*id = (struct usb_device_id){ USB_DEVICE(vendor, product) };
	if (!mydev_ids_take(text, ":"))
		return true;
	if (!mydev_ids_hex(text, 2, &interface))
		return false;
	id->match_flags |= USB_DEVICE_ID_MATCH_INT_NUMBER;
	id->bInterfaceNumber = interface;
	return true;
}

static bool mydev_ids_bcd(struct mydev_text *text, struct usb_device_id *id)
{
	unsigned int low, high;

	if (!mydev_ids_hex(text, 4, &low))
		return false;
	high = low;
	if (mydev_ids_take(text, "-") && !mydev_ids_hex(text, 4, &high))
		return false;
	id->match_flags |= USB_DEVICE_ID_MATCH_DEV_RANGE;
	id->bcdDevice_lo = low;
	id->bcdDevice_hi = high;
	return low <= high;
}

static bool mydev_ids_class(struct mydev_text *text, struct usb_device_id *id)
{
	unsigned int value;

	if (!mydev_ids_hex(text, 2, &value))
		return false;
	id->match_flags |= USB_DEVICE_ID_MATCH_INT_CLASS;
	id->bInterfaceClass = value;
	if (!mydev_ids_take(text, "/"))
		return true;
	if (!mydev_ids_hex(text, 2, &value))
		return false;
	id->match_flags |= USB_DEVICE_ID_MATCH_INT_SUBCLASS;
	id->bInterfaceSubClass = value;
	if (!mydev_ids_take(text, "/"))
		return true;
	if (!mydev_ids_hex(text, 2, &value))
		return false;
	id->match_flags |= USB_DEVICE_ID_MATCH_INT_PROTOCOL;
	id->bInterfaceProtocol = value;
	return true;
}

/* Up to where a serial number goes on; it is not copied. */
static size_t mydev_ids_serial_length(const char *serial)
{
	size_t len = 0;

	while (serial[len] && serial[len] != ',' && !isspace(serial[len]))
		len++;
	return len;
}

static bool mydev_ids_serial(struct mydev_text *text, struct usb_device_id *id)
{
	const char *serial = text->pos;
	size_t len = mydev_ids_serial_length(serial);

	/* Nothing but the last character stands for others. */
	if (!len || len > MYDEV_MAX_SERIAL || memchr(serial, '*', len - 1))
		return false;
	id->driver_info = (unsigned long)serial;
	text->pos += len;
	return true;
}

/* One of what is behind the ids of a device; each of them once. */
static bool mydev_ids_condition(struct mydev_text *text,
				struct usb_device_id *id)
{
	if (mydev_ids_take(text, "bcd="))
		return !(id->match_flags & USB_DEVICE_ID_MATCH_DEV_RANGE) &&
		       mydev_ids_bcd(text, id);
	if (mydev_ids_take(text, "class="))
		return !(id->match_flags & USB_DEVICE_ID_MATCH_INT_CLASS) &&
		       mydev_ids_class(text, id);
	if (mydev_ids_take(text, "serial="))
		return !id->driver_info && mydev_ids_serial(text, id);
	return false;
}

static void mydev_ids_strip(struct mydev_text *text)
{
	while (text->pos < text->end && isspace(*text->pos))
		text->pos++;
	while (text->pos < text->end && isspace(text->end[-1]))
		text->end--;
}

/**
 * mydev_ids_entry() - parse one of the list
 * @text: without blanks around it
 * @id: the result
 *
 * Return: true if all of it was understood.
 */
static bool mydev_ids_entry(struct mydev_text *text, struct usb_device_id *id)
{
	if (!mydev_ids_device(text, id))
		return false;
	while (text->pos < text->end) {
		if (!isspace(*text->pos))
			return false;
		mydev_ids_strip(text);
		if (!mydev_ids_condition(text, id))
			return false;
	}
	return true;
}

/**
 * mydev_ids_parse() - parse a list of device ids
 * @ids: the list, as above, or NULL; a comma at its end is allowed. It has to live as long
 *	as @table
 * @table: receives one entry per id, in order; its driver_info is where in @ids its
 *	serial number begins, or 0
 * @max: number of entries that fit in @table
 *
 * What cannot be used is named in the log.
 *
 * Return: number of entries, -EINVAL for a malformed entry, -ENOSPC if there
 * are more than @max.
 */
int mydev_ids_parse(const char *ids, struct usb_device_id *table,
		    unsigned int max)
{
	unsigned int n = 0;

	for (; ids; n++) {
		size_t len = strcspn(ids, ",");
		struct mydev_text text = { ids, ids + len };
		bool last = !ids[len];
		struct mydev_text entry;

		mydev_ids_strip(&text);
		entry = text;
		/* Nothing is fine, and nothing behind a comma; not so in front of one. */
		if (text.pos == text.end && last)
			return n;
		if (n == max) {
			pr_err("ids: '%.*s' is one too many, at most %u fit; use the driver's new_id for more\n",
			       (int)(entry.end - entry.pos), entry.pos, max);
			return -ENOSPC;
		}
		if (!mydev_ids_entry(&text, &table[n])) {
			pr_err("ids: '%.*s' is not VVVV:PPPP or VVVV:PPPP:IF in hexadecimal, and behind that bcd=LLLL-HHHH, class=CC/SS/PP or serial=TEXT; such as 1209:0001 or 1209:0001:00 serial=A1*\n",
			       (int)(entry.end - entry.pos), entry.pos);
			return -EINVAL;
		}
		ids = last ? NULL : ids + len + 1;
	}
	return n;
}
EXPORT_SYMBOL_IF_KUNIT(mydev_ids_parse);

/**
 * mydev_ids_serial_matches() - check the serial number that an entry asks for
 * @id: an entry
 * @serial: of the device, NULL if it has none
 *
 * Return: true if it asks for none, or for this one.
 */
bool mydev_ids_serial_matches(const struct usb_device_id *id,
			      const char *serial)
{
	const char *want = (const char *)id->driver_info;
	size_t len;

	if (!want)
		return true;
	if (!serial)
		return false;
	len = mydev_ids_serial_length(want);
	if (want[len - 1] == '*')
		return !strncmp(want, serial, len - 1);
	return strlen(serial) == len && !memcmp(want, serial, len);
}
EXPORT_SYMBOL_IF_KUNIT(mydev_ids_serial_matches);
