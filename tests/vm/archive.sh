# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Sourced, after cache.sh, by what brings packages into the cache. The archive is
# asked by the names of its suites, with an apt configuration of our own: lanes
# are the same whatever this machine runs, and nothing needs a privilege.

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# Where this machine has its packages from, whatever view there is.
sites() {
	# shellcheck disable=SC2016 # the words are apt's
	APT_CONFIG='' apt-get indextargets --format '$(SITE)' 2>/dev/null
}

# Where the archive is: MYDEV_MIRROR, or where this machine has its own packages
# from, or what the programs that install Debian take when they are not told.
mirror() {
	local found=${MYDEV_MIRROR:-}
	[ -n "$found" ] || found=$(sites | grep -m 1 -E '/debian/?$' || true)
	[ -n "$found" ] || found=$(cat /usr/share/python-apt/templates/Debian.info /usr/bin/mmdebstrap 2>/dev/null |
		grep -m 1 -oE 'https?://[a-z.]*debian\.org/debian\b' || true)
	[ -n "$found" ] || die "this machine has no packages of Debian; name a mirror of its archive with MYDEV_MIRROR="
	echo "${found%/}"
}

# The security archive is beside it, or where this machine has it.
security_mirror() {
	local found=
	[ -n "${MYDEV_MIRROR:-}" ] || found=$(sites | grep -m 1 -E '/debian-security/?$' || true)
	echo "${found:-$(mirror)-security}"
}

# why LOG: what went wrong, in words that say what to do.
why() {
	local log=$1 host
	host=$(grep -m 1 -oE 'https?://[^/ ]+' "$log" || true)
	if grep -q -i 'no space left\|enough free space\|cannot write.*space' "$log"; then
		echo "the disk is full: $(df -h --output=avail "$CACHE" | tail -n 1 | tr -d ' ') are left in $CACHE; free some, or name another place with MYDEV_CACHE="
	elif grep -q -i 'resolving\|resolve host\|could not connect\|connection refused\|connection timed out\|unreachable\|cannot initiate\|connection failed' "$log"; then
		echo "no network: ${host:-the archive} cannot be reached; check the connection (or name another mirror with MYDEV_MIRROR=) and try again"
	elif grep -q -i 'NO_PUBKEY\|not signed\|keyring\|signature' "$log"; then
		echo "the archive's signature cannot be checked; install or update the package debian-archive-keyring"
	elif grep -q -i 'expired\|not valid yet' "$log"; then
		echo "the archive's lists are out of date, or this machine's clock is wrong ($(date))"
	elif grep -q -i 'unable to locate\|no installation candidate\|was not found\|no packages found' "$log"; then
		echo "the archive has no such package: $(grep -m 1 -i 'unable to locate\|no installation candidate\|was not found\|no packages found' "$log")"
	elif grep -q '404 ' "$log"; then
		echo "${host:-the mirror} does not have it: $(grep -m 1 '404 ' "$log")"
	elif grep -q -i 'read-only file system\|permission denied' "$log"; then
		echo "cannot write to the cache $CACHE; name a place of your own with MYDEV_CACHE="
	else
		tail -n 5 "$log"
	fi
}

# Those whose lists are fresh; and why something could not be had.
VIEWS=
export REASON=

# view NAME ARCHITECTURE SUITE...: from now on apt asks these suites, with fresh
# lists, as on a machine of that architecture on which nothing is installed.
# Fails, with the reason in $REASON, where they cannot be had.
view() {
	local name=$1 arch=$2 suite site
	shift 2
	local dir=$CACHE/apt fresh=yes
	export APT_CONFIG=$dir/$name.conf LC_ALL=C.UTF-8
	REASON=
	[[ " $VIEWS " != *" $name "* ]] || return 0
	[ -e "$KEYRING" ] || die "$KEYRING is missing; install the package debian-archive-keyring"
	lock_cache apt
	mkdir -p "$dir/lists/partial" "$dir/etc/apt.conf.d" "$dir/etc/preferences.d" "$dir/partial" || die "cannot write to the cache $CACHE"
	: >"$dir/nothing-installed"
	# Of a kernel the newest, also where backports are not what apt would take.
	printf 'Package: linux-*\nPin: version *\nPin-Priority: 500\n' >"$dir/etc/preferences.d/kernels"
	for suite in "$@"; do
		case $suite in
		*-security) site=$(security_mirror) ;;
		*) site=$(mirror) ;;
		esac
		echo "deb [signed-by=$KEYRING] $site $suite main"
	done >"$dir/$name.list"
	cat >"$dir/$name.conf" <<-END
		Dir::Etc "$dir/etc";
		Dir::Etc::sourcelist "$dir/$name.list";
		Dir::Etc::sourceparts "-";
		Dir::State "$dir";
		Dir::State::status "$dir/nothing-installed";
		Dir::State::lists "$dir/lists";
		Dir::Cache "$dir";
		Dir::Cache::pkgcache "";
		Dir::Cache::srcpkgcache "";
		APT::Architecture "$arch";
		APT::Architectures { "$arch"; };
		APT::Install-Recommends "0";
		APT::Get::List-Cleanup "0";
		APT::Update::Error-Mode "any";
		APT::Sandbox::User "";
		Acquire::Languages "none";
		Acquire::Retries "2";
		Acquire::http::Timeout "30";
		Acquire::https::Timeout "30";
	END
	apt-get -q update >"$dir/$name.log" 2>&1 || fresh=no
	unlock_cache
	if [ $fresh = yes ]; then
		VIEWS+=" $name"
		return 0
	fi
	REASON=$(why "$dir/$name.log")
	return 1
}

# versions PACKAGE: those that the view has, the newest first.
versions() {
	apt-cache madison "$1" 2>/dev/null | cut -d '|' -f 2 | tr -d ' ' | sort -u -V -r
}

# closure LOG PACKAGE...: what must be there for these packages, as NAME=VERSION;
# why not is in LOG.
closure() {
	local log=$1
	shift
	apt-get -q -y --print-uris install "$@" 2>"$log" |
		sed -n -E "s/^'[^']*' ([^_ ]+)_([^_ ]+)_[^ ]+\.deb .*/\1=\2/p" | sed 's/%3a/:/; s/%2b/+/g; s/%7e/~/g'
	return "${PIPESTATUS[0]}"
}

# bring WHAT NEW NAME=VERSION...: downloads the packages and unpacks them into NEW,
# which is made anew. The .deb files go again. Status 1, and $REASON, if it fails.
bring() {
	local what=$1 new=$2 deb need have size log ok=yes
	shift 2
	need=$(apt-cache show --no-all-versions "$@" 2>/dev/null | awk '/^Installed-Size:/ { n += $2 * 1024 } /^Size:/ { n += $2; d += $2 } END { printf "%d %d", n / 1048576, d / 1048576 }')
	size=${need#* }
	need=${need% *}
	have=$(df -m --output=avail "$CACHE" | tail -n 1 | tr -d ' ')
	REASON=
	if [ "$have" -lt $((need + 64)) ]; then
		REASON="the disk is full: $what takes $need MB, and $CACHE has $have; free some, or name another place with MYDEV_CACHE="
		return 1
	fi
	UNFINISHED+=("$new")
	if ! rm -rf "$new" || ! mkdir -p "$new/.deb" "$new"/usr/{bin,sbin,lib,lib64}; then
		REASON="cannot write to the cache $CACHE"
		return 1
	fi
	# One layout, whether the packages know /usr alone or not.
	for deb in bin sbin lib lib64; do ln -s "usr/$deb" "$new/$deb" || ok=no; done
	log=$new/.deb/log
	say "$what: downloading $size MB"
	if [ -t 2 ]; then
		# apt shows how far it is on a terminal.
		(cd "$new/.deb" && apt-get download "$@" >&2 2>"$log") || ok=no
	else
		(cd "$new/.deb" && apt-get -q download "$@" >"$log" 2>&1) || ok=no
	fi
	for deb in "$new"/.deb/*.deb; do
		[ $ok = yes ] || break
		dpkg-deb --fsys-tarfile "$deb" 2>>"$log" | tar -x --keep-directory-symlink -C "$new" 2>>"$log" || ok=no
		rm "$deb" || ok=no
	done
	if [ $ok = no ]; then
		REASON=$(why "$log")
		rm -rf "$new"
		return 1
	fi
	rm -rf "$new/.deb"
}

# finish NEW FINAL: what was brought is whole now.
finish() {
	rm -rf "$2"
	mv "$1" "$2"
}

# run_in_place TREE TOOLS: the programs of TREE run on this machine as it is, with
# the C library and the libraries that are in TOOLS, which may be newer than its own.
run_in_place() {
	local file libraries=$2/usr/lib/x86_64-linux-gnu
	find "$1/usr" -type f -perm /111 -size +1k ! -name '*.so' ! -name '*.so.*' | while read -r file; do
		[ "$(head -c 4 "$file" | tr -d '\0')" = $'\x7fELF' ] || continue
		patchelf --print-interpreter "$file" >/dev/null 2>&1 || continue
		# The old kind of path holds for the libraries of the libraries as well.
		patchelf --force-rpath --set-interpreter "$libraries/ld-linux-x86-64.so.2" --set-rpath "$libraries" "$file"
	done
}

# Nothing half made stays behind, whatever ends this.
UNFINISHED=()
trap '[ ${#UNFINISHED[@]} -eq 0 ] || rm -rf "${UNFINISHED[@]}"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
