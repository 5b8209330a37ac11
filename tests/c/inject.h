/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Failing the n-th allocation or user copy of one system call, on kernels that
 * can (lane uml).
 */
#ifndef TESTS_C_INJECT_H
#define TESTS_C_INJECT_H

#include "helpers.h"

/* Skips the test where the kernel cannot. */
void inject_or_skip(void);

/*
 * From now on only what @function of the kernel calls can fail, or anything for NULL.
 * Seen up to 32 calls deep.
 */
void inject_within(const char *function);

/*
 * The @nth allocation or user copy of this thread from now on fails. Between
 * the two is to be one system call; the second tells whether anything failed.
 */
void inject_begin(unsigned int nth);
bool inject_end(void);

#endif /* TESTS_C_INJECT_H */
