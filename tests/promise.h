/* SPDX-License-Identifier: GPL-2.0-only */
/* How tests in C are written down; cmocka runs them. */
#ifndef TESTS_PROMISE_H
#define TESTS_PROMISE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Begins the function that tests a promise; some are given something in @state. */
#define TEST(_name) static void _name(void **state __attribute__((unused)))

/* A promise in words, the function that tests it, and what each begins with, or NULL. */
#define PROMISE(_words, _fn, _setup) { _words, _fn, _setup, NULL, NULL }

#endif
