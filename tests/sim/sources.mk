# SPDX-License-Identifier: GPL-2.0-only
# What the programs of tests/sim are made of. Paths are relative to this
# directory; NAME_LIBS is for the linker.

SIM_PROGRAMS := mydev-sim mydev-check
SIM_TESTS := verify_test device_test

mydev-sim_SRCS := mydev-sim.c sim_args.c sim_desc.c sim_in.c sim_out.c sim_echo.c \
	sim_control.c sim_ctl.c verify.c
mydev-sim_LIBS := -laio -lpthread

mydev-check_SRCS := mydev-check.c verify.c
mydev-check_LIBS :=

verify_test_SRCS := verify_test.c verify.c
verify_test_LIBS := -lcmocka

device_test_SRCS := device_test.c
device_test_LIBS := -lcmocka -lusb-1.0

SIM_HEADERS := pattern.h sim.h verify.h
