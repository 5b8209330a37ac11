// SPDX-License-Identifier: GPL-2.0-only
/* Built for 64 bits; see abi_dump.h and ioctl_test.c. */
#include "abi_dump.h"

int main(void)
{
	return abi_dump();
}
