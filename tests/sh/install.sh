#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What others need to build on the library: what make install leaves, that C and
# C++ programs are built with it, and that pip installs the Python module offline.
# shellcheck source-path=SCRIPTDIR/../..
. "$SRC/tests/lib/ktap.sh"

# Debian's own, which its packages of pip and setuptools are for, whatever is first in
# PATH: /usr/bin/python3.
T=$(mktemp -d)
ROOT=$T/root
LIB=$ROOT/usr/lib
export PKG_CONFIG_PATH=$LIB/pkgconfig PKG_CONFIG_SYSROOT_DIR=$ROOT
# A make that calls this has variables of its own.
unset MAKEFLAGS MFLAGS MAKELEVEL

installs() {
	make -s -C "$SRC/userspace" install DESTDIR="$ROOT" PREFIX=/usr
	[ -x "$ROOT/usr/bin/mydevctl" ]
	[ "$(pkg-config --modversion libmydev)" = 0.1.0 ]
}

# functions: those that the installed headers declare.
functions() {
	gcc -E -P "$ROOT/usr/include/libmydev.h" -I"$ROOT/usr/include" |
		grep -oP '\bmydev_\w+(?=\()' | sort -u
}

symbols() {
	[ -n "$(functions)" ]
	diff <(functions | sed 's/$/@@LIBMYDEV_0.1/') \
		<(nm -D --defined-only "$LIB/libmydev.so" | awk '$2 == "T" { print $3 }' | sort)
	objdump -p "$LIB/libmydev.so" | grep -q 'SONAME *libmydev\.so\.0$'
	[ "$(readlink "$LIB/libmydev.so.0")" = libmydev.so.0.1.0 ]
}

pages() {
	local name page
	for name in $(functions); do
		page=$ROOT/usr/share/man/man3/$name.3
		[ "$(<"$page")" = ".so man3/libmydev.3" ]
		grep -q "\<$name(" "$ROOT/usr/share/man/man3/libmydev.3" || { echo "no $name in libmydev(3)"; return 1; }
	done
}

# A program that uses all there is; the same in C and in C++.
program() {
	cat <<'END'
#include <errno.h>
#include <stdio.h>
#include <libmydev.h>

static void added(const struct mydev_entry *entry, void *arg)
{
	++*(int *)arg;
	puts(mydev_entry_name(entry));
}

int main(void)
{
	struct mydev_watch watch = { added, NULL };
	struct mydev_loop *loop;
	struct mydev *dev;
	int count = 0, ret = mydev_loop_new(&loop);

	if (ret || mydev_open("/dev/null", 0, &dev) != -ENXIO)
		return 1;
	ret = mydev_loop_watch(loop, &watch, sizeof(watch), &count);
	if (ret || mydev_loop_dispatch(loop) != count)
		return 1;
	mydev_loop_free(loop);
	puts(mydev_strerror(-ENODEV));
	return 0;
}
END
}

# runs PROGRAM
runs() {
	LD_LIBRARY_PATH=$LIB "$1" >"$T/out"
	grep -q 'unplugged' "$T/out"
}

# The flags are words.
# shellcheck disable=SC2046
builds_c() {
	program >"$T/p.c"
	gcc -std=c11 -pedantic -Wall -Wextra -Werror -o "$T/p" "$T/p.c" $(pkg-config --cflags --libs libmydev)
	runs "$T/p"
	readelf -d "$T/p" | grep -q 'NEEDED.*libmydev\.so\.0'
}

# shellcheck disable=SC2046
builds_cxx() {
	program >"$T/p.cc"
	g++ -std=c++17 -pedantic -Wall -Wextra -Werror -o "$T/p" "$T/p.cc" $(pkg-config --cflags --libs libmydev)
	runs "$T/p"
}

# libudev is asked for by hot-plug alone.
# shellcheck disable=SC2046
builds_static() {
	program >"$T/p.c"
	gcc -o "$T/p" "$T/p.c" $(pkg-config --cflags libmydev) "$LIB/libmydev.a" -ludev
	runs "$T/p"
	sed -e '/mydev_loop_watch(/d' -e 's/ret || mydev_loop_dispatch/mydev_loop_dispatch/' -e 's/, &count/, \&watch/' "$T/p.c" >"$T/q.c"
	gcc -o "$T/q" "$T/q.c" $(pkg-config --cflags libmydev) "$LIB/libmydev.a"
	runs "$T/q"
}

pip_offline() {
	# pip writes into the tree that it builds from.
	cp -r "$SRC/userspace/python" "$T/python"
	PIP_DISABLE_PIP_VERSION_CHECK=1 /usr/bin/python3 -m pip install -q --no-index --no-build-isolation --no-deps \
		--root-user-action=ignore --target "$T/site" "$T/python"
	[ -e "$T/site/mydev/py.typed" ]
	cd "$T"
	LIBMYDEV=$LIB/libmydev.so.0 PYTHONPATH=$T/site /usr/bin/python3 -W error -c '
import mydev
assert mydev.__file__.startswith("'"$T"'/site/"), mydev.__file__
try:
    mydev.open("/dev/null")
except OSError as error:
    assert "not a mydev device" in str(error), error
assert isinstance(mydev.devices(), list)
for name in mydev.__all__:
    assert name == "Item" or getattr(mydev, name).__doc__, f"{name} has no docstring"
'
}

no_library() {
	cd "$SRC/userspace/python"
	if LIBMYDEV=/no/such/library /usr/bin/python3 -B -c 'import mydev' 2>"$T/err"; then
		echo "it was imported all the same"
		return 1
	fi
	grep -q '/no/such/library' "$T/err"
}

ktap_begin
ktap_case "make install leaves a library that pkg-config finds" installs
ktap_case "the shared library has just the header's functions, with versions" symbols
ktap_case "each function has a manual page" pages
ktap_case "a C11 program builds and runs, with -pedantic" builds_c
ktap_case "a C++17 program builds and runs, with -pedantic" builds_cxx
ktap_case "a static one needs libudev only for hot-plug" builds_static
ktap_case "pip installs the Python module offline" pip_offline
ktap_case "a library that is missing is named" no_library
rm -rf "$T"
ktap_end
