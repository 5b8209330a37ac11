// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unit tests of what nodes an interface gets.
 */
#include <linux/hex.h>
#include <linux/string.h>

#include "mydev_kunit.h"

#define MAX_SETTINGS  3
#define MAX_ENDPOINTS 10
#define MAX_TEXT      80

/**
 * struct pipes_case - an interface, and its pipes
 * @words: what it is about
 * @settings: of each alternate setting its endpoints: a letter for the type (bulk,
 *	interrupt, or s for isochronous) and the address
 * @pipes: of each of them the endpoints of all pipes, IN/OUT
 * @uncarried: endpoints that are left alone
 */
struct pipes_case {
	const char *words;
	const char *settings[MAX_SETTINGS];
	const char *pipes[MAX_SETTINGS];
	u32 uncarried;
};

static const struct pipes_case pipes_cases[] = {
	{ "one pair", { "b81 b02" }, { "81/02" } },
	{ "by number", { "b82 b81 b01 b02" }, { "82/02 81/01" } },
	{ "by order", { "b81 b02 b83 b04" }, { "81/02 83/04" } },
	{ "by number first",
	  { "b81 b83 b02 b03 b04" },
	  { "81/02 83/03 --/04" } },
	{ "alone", { "b81 b83 b02" }, { "81/02 83/--" } },
	{ "OUT alone", { "b01" }, { "--/01" } },
	{ "types apart", { "i81 b01 i02 b83" }, { "83/01 81/02" } },
	{ "bulk OUT before interrupt IN", { "i81 b02" }, { "--/02 81/--" } },
	{ "interrupt only", { "i83 i81 i01" }, { "83/-- 81/01" } },
	{ "interrupt only, by order", { "i83 i04" }, { "83/04" } },
	{ "isochronous left alone",
	  { "s81 b82 s03 b02" },
	  { "82/02" },
	  BIT(17) | BIT(3) },
	{ "an empty setting",
	  { "", "b81 b02 i83" },
	  { "--/-- --/--", "81/02 83/--" } },
	{ "more in another setting",
	  { "b81 b02", "b81 b02 b83 b04" },
	  { "81/02 --/--", "81/02 83/04" } },
	{ "less in another setting",
	  { "b81 b02 b83", "b83" },
	  { "81/02 83/--", "--/-- 83/--" } },
	{ "others in their place",
	  { "b81 b02", "b83 b04" },
	  { "81/02", "83/04" } },
	{ "others in their place, and more of them",
	  { "b81 b02", "b83 b04 b85 b06", "b81 b06" },
	  { "81/02 --/--", "83/04 85/06", "81/-- --/06" } },
	{ "another type of the same address",
	  { "i81 b02", "b81 b02", "s81 b02" },
	  { "81/02", "81/02", "--/02" },
	  BIT(17) },
};

static void pipes_case_words(const struct pipes_case *c, char *words)
{
	strscpy(words, c->words, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(pipes, pipes_cases, pipes_case_words);

/* Makes an alternate setting of what is said of it. */
static void make_setting(struct kunit *test, struct usb_host_interface *setting,
			 const char *text)
{
	struct usb_endpoint_descriptor *desc;
	u8 address;

	setting->endpoint = kunit_kcalloc(
		test, MAX_ENDPOINTS, sizeof(*setting->endpoint), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, setting->endpoint);
	for (; *text; text += text[3] ? 4 : 3) {
		desc = &setting->endpoint[setting->desc.bNumEndpoints++].desc;
		KUNIT_ASSERT_EQ(test, hex2bin(&address, text + 1, 1), 0);
		desc->bEndpointAddress = address;
		desc->bmAttributes = *text == 'b'   ? USB_ENDPOINT_XFER_BULK
				     : *text == 'i' ? USB_ENDPOINT_XFER_INT
						    : USB_ENDPOINT_XFER_ISOC;
		desc->wMaxPacketSize = cpu_to_le16(64);
	}
}

static unsigned int say(const struct usb_endpoint_descriptor *desc, char *text,
			unsigned int room)
{
	if (!desc)
		return scnprintf(text, room, "--");
	return scnprintf(text, room, "%02x", desc->bEndpointAddress);
}

static void finds_pipes(struct kunit *test)
{
	const struct pipes_case *c = test->param_value;
	struct usb_host_interface *settings;
	struct usb_interface intf = {};
	struct mydev_pipes *pipes;
	char text[MAX_TEXT];
	unsigned int i, j, n;

	settings = kunit_kcalloc(test, MAX_SETTINGS, sizeof(*settings),
				 GFP_KERNEL);
	pipes = kunit_kzalloc(test, sizeof(*pipes), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, settings);
	KUNIT_ASSERT_NOT_NULL(test, pipes);
	intf.altsetting = settings;
	for (i = 0; i < MAX_SETTINGS && c->settings[i]; i++)
		make_setting(test, &settings[i], c->settings[i]);
	intf.num_altsetting = i;

	KUNIT_ASSERT_EQ(test, mydev_pipes_find(&intf, pipes), 0);
	KUNIT_EXPECT_EQ(test, pipes->uncarried, c->uncarried);
	for (i = 0; i < intf.num_altsetting; i++) {
		n = 0;
		for (j = 0; j < pipes->nr; j++) {
			n += scnprintf(text + n, sizeof(text) - n, "%s",
				       j ? " " : "");
			n += say(
				mydev_pipe_endpoint(&settings[i],
						    pipes->pipe[j].endpoints &
							    MYDEV_ENDPOINTS_IN),
				text + n, sizeof(text) - n);
			n += scnprintf(text + n, sizeof(text) - n, "/");
			n += say(mydev_pipe_endpoint(
					 &settings[i],
					 pipes->pipe[j].endpoints &
						 MYDEV_ENDPOINTS_OUT),
				 text + n, sizeof(text) - n);
		}
		KUNIT_EXPECT_STREQ(test, text, c->pipes[i]);
	}
}

/* As many as there can be, of all types: none is lost, and none is in two. */
static void finds_all(struct kunit *test)
{
	struct usb_host_interface setting = {};
	struct usb_interface intf = { .altsetting = &setting,
				      .num_altsetting = 1 };
	struct usb_host_endpoint *endpoints;
	struct mydev_pipes *pipes;
	u32 all = 0, seen = 0;
	unsigned int i;

	endpoints = kunit_kcalloc(test, MYDEV_MAX_PIPES, sizeof(*endpoints),
				  GFP_KERNEL);
	pipes = kunit_kzalloc(test, sizeof(*pipes), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, endpoints);
	KUNIT_ASSERT_NOT_NULL(test, pipes);
	setting.endpoint = endpoints;
	setting.desc.bNumEndpoints = MYDEV_MAX_PIPES;
	for (i = 0; i < MYDEV_MAX_PIPES; i++) {
		struct usb_endpoint_descriptor *desc = &endpoints[i].desc;

		desc->bEndpointAddress = (i / 2 + 1) | (i % 2 ? USB_DIR_IN : 0);
		/* No IN endpoint has the type of the OUT one of its number. */
		desc->bmAttributes = i % 4 == 1 || i % 4 == 2
					     ? USB_ENDPOINT_XFER_INT
					     : USB_ENDPOINT_XFER_BULK;
		desc->wMaxPacketSize = cpu_to_le16(64);
		all |= mydev_endpoint_bit(desc->bEndpointAddress);
	}
	KUNIT_ASSERT_EQ(test, mydev_pipes_find(&intf, pipes), 0);
	for (i = 0; i < pipes->nr; i++) {
		KUNIT_EXPECT_EQ(test, seen & pipes->pipe[i].endpoints, 0);
		seen |= pipes->pipe[i].endpoints;
	}
	KUNIT_EXPECT_EQ(test, seen, all);
}

static struct kunit_case pipes_tests[] = { KUNIT_CASE_PARAM(finds_pipes,
							    pipes_gen_params),
					   KUNIT_CASE(finds_all),
					   {} };

static struct kunit_suite pipes_suite = {
	.name = "mydev-pipes",
	.test_cases = pipes_tests,
};

kunit_test_suites(&pipes_suite);
