# SPDX-License-Identifier: GPL-2.0-only
#
# The front door of the project; "make help" lists what there is.

SHELL := /bin/bash
KVER ?= $(shell uname -r)
DESTDIR ?=
PREFIX ?= /usr/local
CACHE := $(or $(MYDEV_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/mydev)

# The headers of KVER: installed ones first, else those that tests/vm/fetch has
# brought into the cache, which may have brought a compiler for them as well.
LANE := $(patsubst %/release,%,$(firstword $(shell grep -lxF '$(KVER)' $(CACHE)/lanes/*/release 2>/dev/null)))
KDIR ?= $(firstword $(wildcard /lib/modules/$(KVER)/build) $(LANE:%=%/headers))
TOOLS := $(if $(filter $(LANE)/headers,$(KDIR)),$(wildcard $(LANE)/tools/bin))
WITH_TOOLS := $(if $(TOOLS),PATH='$(TOOLS)':"$$PATH")
KBUILD := -C '$(KDIR)' M='$(CURDIR)/kernel' CONFIG_USB_MYDEV=m

# bench/ is a directory, too.
.PHONY: all help modules userspace check check-full bench demo lint deps install uninstall modules_install clean

all: modules userspace

help:
	@echo 'make modules [KVER=release] [KDIR=headers]  the driver, kernel/mydev.ko (default: the running kernel)'
	@echo 'make userspace           the library and the tool, userspace/mydevctl'
	@echo 'make demo                plugs an emulated device into a virtual machine and shows three readers'
	@echo 'make check               all tests, on Debian kernels from 6.1 to the newest; tests/run --help for a part'
	@echo 'make check-full          the same, and on ARM not two suites but twelve'
	@echo 'make bench               measures the driver and its rivals; tests/bench/bench --help for a part'
	@echo 'make lint                all static checks'
	@echo 'make deps                installs the Debian packages that all this needs'
	@echo 'make install             library and tool, under DESTDIR and PREFIX ($(PREFIX))'
	@echo 'make uninstall           takes them away again'
	@echo 'make modules_install     the driver of KVER, under DESTDIR'
	@echo 'make clean               removes what was built; the cache $(CACHE) stays'

modules:
	@if [ ! -e '$(KDIR)/Makefile' ]; then \
		echo 'There are no headers for Linux $(KVER). Install linux-headers-$(KVER),' >&2; \
		echo 'or name another kernel with KVER=, or its headers with KDIR=.' >&2; \
		exit 1; \
	fi
	$(WITH_TOOLS) $(MAKE) $(KBUILD) modules

modules_install: modules
	$(WITH_TOOLS) $(MAKE) $(KBUILD) INSTALL_MOD_PATH='$(DESTDIR)' modules_install

userspace:
	$(MAKE) -C userspace

install: userspace
	$(MAKE) -C userspace install DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)'

uninstall:
	$(MAKE) -C userspace uninstall DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)'

check:
	tests/vm/deps --install check
	tests/run

check-full:
	tests/vm/deps --install check
	tests/run --full

bench:
	tests/bench/bench

demo:
	tests/demo

lint:
	tests/lint

deps:
	tests/vm/deps --install all

clean:
	$(MAKE) -C userspace clean
	rm -rf build
	find kernel \( -name '*.o' -o -name '*.ko' -o -name '*.mod' -o -name '*.mod.c' -o -name '.*.cmd' \
		-o -name '.*.d' -o -name Module.symvers -o -name modules.order \) -delete
