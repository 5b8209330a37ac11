/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The requests that do something to the device. All return 0 or an errno and
 * are no assertions of cmocka, so processes that a test has spawned can use
 * them as well.
 */
#ifndef TESTS_C_REQUESTS_H
#define TESTS_C_REQUESTS_H

#include <linux/usb/ch9.h>

#include "helpers.h"

/* What the simulated device answers to. */
#define TO_INTERFACE (USB_TYPE_VENDOR | USB_RECIP_INTERFACE)
#define TO_ENDPOINT  (USB_TYPE_VENDOR | USB_RECIP_ENDPOINT)

/*
 * A control request. What is not named is 0; @c comes back as the kernel left
 * it: try_control(fd, &(struct mydev_control){ .request = 1 })
 */
int try_control(int fd, struct mydev_control *c);
/* For an answer that is to come, however slow the machine: in milliseconds. */
#define PATIENT 30000
/* To the interface and in @ms: data comes, data goes, nothing does. */
int control_in(int fd, uint8_t request, uint16_t value, void *data, uint32_t length, uint32_t ms);
int control_out(int fd, uint8_t request, uint16_t value, const void *data, uint32_t length,
		uint32_t ms);
/* Asks for @length bytes of the pattern of @value; they are compared. */
int control_check(int fd, uint16_t value, uint32_t length);
/*
 * Waits for an answer that does not come; returns the errno at the end of that. Where
 * the device cannot tell one request from the next it answers at once, and says so:
 * then it is asked again.
 */
int control_unanswered(int fd);
/* How often the device was asked, without those: more than before, somebody waits. */
uint64_t requests_so_far(void);

int clear_halt(int fd, uint32_t address);
int set_alternate(int fd, uint32_t number);
int reset_device(int fd);
int revoke_client(int fd, uint32_t client_id);
int lease(int fd, uint32_t operation, uint32_t timeout_ms);

/* Asks and waits; @t comes back as the kernel left it. */
int try_transact(int fd, struct mydev_transact *t);

#endif /* TESTS_C_REQUESTS_H */
