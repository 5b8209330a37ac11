// SPDX-License-Identifier: GPL-2.0-only
#include <sys/ioctl.h>

#include "requests.h"

int try_control(int fd, struct mydev_control *c)
{
	c->size = sizeof(*c);
	return ioctl(fd, MYDEV_IOC_CONTROL, c) ? errno : 0;
}

static int to_interface(int fd, uint8_t type, uint8_t request, uint16_t value, const void *data,
			uint32_t length, uint32_t ms)
{
	struct mydev_control c = {
		.request_type = type | TO_INTERFACE,
		.request = request,
		.value = value,
		.length = length,
		.timeout_ms = ms,
		.data = (uintptr_t)data,
	};
	int error = try_control(fd, &c);

	return error ? error : c.actual == length ? 0 : ENODATA;
}

int control_in(int fd, uint8_t request, uint16_t value, void *data, uint32_t length, uint32_t ms)
{
	return to_interface(fd, USB_DIR_IN, request, value, data, length, ms);
}

int control_out(int fd, uint8_t request, uint16_t value, const void *data, uint32_t length,
		uint32_t ms)
{
	return to_interface(fd, USB_DIR_OUT, request, value, data, length, ms);
}

int control_check(int fd, uint16_t value, uint32_t length)
{
	unsigned char data[4096] = "";
	int error = control_in(fd, SIM_REQ_READ, value, data, length, PATIENT);

	for (uint32_t i = 0; !error && i < length; i++) {
		if (data[i] != sim_control_byte(value, i))
			error = EBADMSG;
	}
	return error;
}

int control_unanswered(int fd)
{
	char data[64] = "";
	int error;

	do {
		error = control_in(fd, SIM_REQ_SLOW, 50000, data, sizeof(data), 60000);
	} while (!error);
	return error;
}

uint64_t requests_so_far(void)
{
	uint64_t requests = sim_number("control");

	return requests - sim_number("control_hurried");
}

static int select_one(int fd, unsigned long request, uint32_t value)
{
	struct mydev_select select = { .size = sizeof(select), .value = value };

	return ioctl(fd, request, &select) ? errno : 0;
}

int clear_halt(int fd, uint32_t address)
{
	return select_one(fd, MYDEV_IOC_CLEAR_HALT, address);
}

int set_alternate(int fd, uint32_t number)
{
	return select_one(fd, MYDEV_IOC_SET_ALTERNATE, number);
}

int reset_device(int fd)
{
	return select_one(fd, MYDEV_IOC_RESET, 0);
}

int revoke_client(int fd, uint32_t client_id)
{
	return select_one(fd, MYDEV_IOC_REVOKE, client_id);
}

int lease(int fd, uint32_t operation, uint32_t timeout_ms)
{
	struct mydev_lease l = {
		.size = sizeof(l),
		.operation = operation,
		.timeout_ms = timeout_ms,
	};

	return ioctl(fd, MYDEV_IOC_LEASE, &l) ? errno : 0;
}

int try_transact(int fd, struct mydev_transact *t)
{
	t->size = sizeof(*t);
	return ioctl(fd, MYDEV_IOC_TRANSACT, t) ? errno : 0;
}
