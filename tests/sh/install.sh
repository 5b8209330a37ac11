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
	/* In a container without privileges this is the answer. */
	if (ret && ret != -ENOTCONN)
		return 1;
	if (mydev_loop_dispatch(loop) != count)
		return 1;
	mydev_loop_free(loop);
	puts(mydev_strerror(-ENODEV));
	return 0;
}
END
}

# runs PROGRAM: it is linked with what is under DESTDIR, where no ldconfig looks.
runs() {
	LD_LIBRARY_PATH=$LIB "$1" >"$T/out"
	grep -q 'unplugged' "$T/out"
}

# As root on a machine of one's own: its /usr/local, its list of libraries.
# shellcheck disable=SC2016 # what is quoted is run there
on_a_machine() {
	unshare -r -m true || { echo "no namespaces for users here" >&2; return "$KTAP_SKIP"; }
	local etc
	etc=$(mktemp -d "$T/etc.XXX")
	cp -r /etc/ld.so.conf* /etc/passwd /etc/group "$etc/"
	env -u PKG_CONFIG_PATH -u PKG_CONFIG_SYSROOT_DIR -u LD_LIBRARY_PATH T="$T" SRC="$SRC" ETC="$etc" \
		PATH="/usr/bin:/bin:/usr/sbin:/sbin" unshare -r -m bash -ec '
			mount -t tmpfs none /usr/local
			mount --bind "$ETC" /etc
			mount -t tmpfs none /var/cache/ldconfig
			'"$1"
}

# A program that was linked with what is installed runs, with nothing set for it.
# shellcheck disable=SC2016 # what is quoted is run there
installs_for_all() {
	program >"$T/p.c"
	on_a_machine '
		ldconfig
		make -s -C "$SRC" install UDEVDIR=/usr/local/lib/udev
		find /usr/local ! -type d >"$T/installed"
		gcc -o "$T/p" "$T/p.c" $(pkg-config --cflags --libs libmydev)
		"$T/p"
		make -s -C "$SRC" uninstall UDEVDIR=/usr/local/lib/udev
		find /usr/local ! -type d >"$T/left"
		! ldconfig -p | grep libmydev
	' >"$T/out"
	grep -q unplugged "$T/out"
	[ "$(wc -l <"$T/installed")" -gt 50 ]
	diff /dev/null "$T/left"
}

# Where ldconfig is no help, or not yet, that is said.
# shellcheck disable=SC2016 # what is quoted is run there
says_what_is_missing() {
	make -s -C "$SRC" install DESTDIR="$T/other" PREFIX=/usr >"$T/out"
	grep -q 'run ldconfig' "$T/out"
	make -s -C "$SRC" uninstall DESTDIR="$T/other" PREFIX=/usr
	diff /dev/null <(find "$T/other" ! -type d)
	on_a_machine 'make -s -C "$SRC" install UDEVDIR=/usr/local/lib/udev PREFIX=/usr/local/mine' >"$T/out"
	grep -q '^echo /usr/local/mine/lib >/etc/ld.so.conf.d/mydev.conf && ldconfig$' "$T/out"
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
	sed -e 's/mydev_loop_watch(.*)/watch.added == added ? 0 : 1/' "$T/p.c" >"$T/q.c"
	gcc -o "$T/q" "$T/q.c" $(pkg-config --cflags libmydev) "$LIB/libmydev.a"
	runs "$T/q"
}

# snippet FILE LANGUAGE REGEX: the first block of that language in which it is found.
snippet() {
	awk -v language="$2" -v regex="$3" '
		/^```/ { if (inside && text ~ regex) { printf "%s", text; exit } inside = $0 == "```" language; text = ""; next }
		inside { text = text $0 "\n" }' "$1"
}

# What the README has for a program: whoever copies it has a program.
# shellcheck disable=SC2046
readme_c() {
	local status=0
	snippet "$SRC/README.md" c main >"$T/readme.c"
	gcc -std=c11 -pedantic -Wall -Wextra -Werror -o "$T/readme" "$T/readme.c" $(pkg-config --cflags --libs libmydev)
	LD_LIBRARY_PATH=$LIB "$T/readme" >"$T/out" 2>"$T/err" || status=$?
	cat "$T/err"
	[ $status -eq 1 ]
	grep -q '^no such device' "$T/err"
	diff /dev/null "$T/out"
}

# As an ordinary user types it, without a network; pip writes into the tree that it
# builds from.
readme_pip() {
	local readme=$1
	rm -rf "${T:?}/home"
	mkdir -p "$T/home/mydev-src/userspace"
	cp -r "$SRC/userspace/python" "$T/home/mydev-src/userspace/"
	snippet "$readme" sh 'pip install' >"$T/commands"
	cat "$T/commands"
	grep -q pip "$T/commands"
	cd "$T/home/mydev-src"
	env -u PYTHONPATH HOME="$T/home" PATH="/usr/bin:/bin" PIP_NO_INDEX=1 PIP_DISABLE_PIP_VERSION_CHECK=1 bash -e "$T/commands"
	[ -e "$(echo "$T"/home/mydev/lib/python3*/site-packages/mydev/py.typed)" ]
	cd "$T"
	LIBMYDEV=$LIB/libmydev.so.0 "$T/home/mydev/bin/python" -W error -c '
import mydev
assert mydev.__file__.startswith("'"$T"'/home/"), mydev.__file__
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
ktap_case "after make install programs find the library, until make uninstall" installs_for_all
ktap_case "make install says where ldconfig has to be run, and told" says_what_is_missing
ktap_case "the shared library has just the header's functions, with versions" symbols
ktap_case "each function has a manual page" pages
ktap_case "a C11 program builds and runs, with -pedantic" builds_c
ktap_case "a C++17 program builds and runs, with -pedantic" builds_cxx
ktap_case "a static one needs libudev only for hot-plug" builds_static
ktap_case "the program of the README builds, and says that there is no device" readme_c
ktap_case "pip installs the Python module offline, as the README says" readme_pip "$SRC/README.md"
ktap_case "and as the README of the module says" readme_pip "$SRC/userspace/python/README.md"
ktap_case "a library that is missing is named" no_library
rm -rf "$T"
ktap_end
