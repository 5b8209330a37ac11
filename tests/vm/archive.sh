# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Sourced, after cache.sh, by what brings packages into the cache. The archive is
# asked by the names of its suites, with an apt configuration of our own: lanes
# are the same whatever this machine runs, and nothing needs a privilege.

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# sites LABEL: where this machine has Debian's packages of that label from, whatever
# view there is.
sites() {
	# shellcheck disable=SC2016 # the words are apt's
	APT_CONFIG='' apt-get indextargets --format '$(SITE)' 'Origin: Debian' "Label: $1" 2>/dev/null |
		while read -r site; do
			case $site in
			mirror+file:*) grep -m 1 -oE '^https?://[^[:space:]]+' "${site#mirror+file:}" ;;
			*) echo "$site" ;;
			esac
		done
}

# Where the archive is: MYDEV_MIRROR, or where this machine has its own packages
# from, or what the programs that install Debian take when they are not told.
mirror() {
	local found=${MYDEV_MIRROR:-}
	[ -n "$found" ] || found=$(sites Debian | head -n 1)
	[ -n "$found" ] || found=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* /usr/share/python-apt/templates/Debian.info /usr/bin/mmdebstrap 2>/dev/null |
		grep -oP 'https?://[^/\s]+/debian(?![\w-])' | head -n 1 || true)
	[ -n "$found" ] || die "this machine does not say where Debian's archive is; name a mirror with MYDEV_MIRROR="
	echo "${found%/}"
}

# The security archive: MYDEV_SECURITY_MIRROR, or what this machine has, or beside
# the other one.
security_mirror() {
	local found=${MYDEV_SECURITY_MIRROR:-}
	[ -n "$found$MYDEV_MIRROR" ] || found=$(sites Debian-Security | head -n 1)
	if [ -z "$found" ]; then
		found=$(mirror) || return 1
		found=$found-security
	fi
	echo "${found%/}"
}
: "${MYDEV_MIRROR:=}"

# why LOG [PLACE VARIABLE]: what went wrong, in words that say what to do; where
# files went to PLACE, and VARIABLE names another.
why() {
	local log=$1 place=${2:-$CACHE} variable=${3:-MYDEV_CACHE} host
	host=$(grep -m 1 -oE 'https?://[^/ ]+' "$log" || true)
	if grep -q -i 'no space left\|enough free space\|cannot write.*space' "$log"; then
		echo "the disk is full: $(df -h --output=avail "$place" | tail -n 1 | tr -d ' ') are left in $place; free some, or name another place with $variable="
	elif grep -q -i 'resolving\|resolve host\|could not connect\|connection refused\|connection timed out\|unreachable\|cannot initiate\|connection failed' "$log"; then
		echo "no network: ${host:-the archive} cannot be reached; check the connection (or name another mirror with MYDEV_MIRROR=) and try again"
	elif grep -q -i 'NO_PUBKEY\|not signed\|keyring\|signature' "$log"; then
		echo "the archive's signature cannot be checked; install or update the package debian-archive-keyring"
	elif grep -q -i 'expired\|not valid yet' "$log"; then
		echo "the archive's lists are out of date, or this machine's clock is wrong: $(date)"
	elif grep -q -i 'unable to locate\|no installation candidate\|was not found\|no packages found' "$log"; then
		echo "the archive has no such package: $(grep -m 1 -i 'unable to locate\|no installation candidate\|was not found\|no packages found' "$log")"
	elif grep -q 'does not have a Release file' "$log"; then
		echo "no mirror of Debian: $(sed -n -E "s/.*repository '([^']*)' does not have a Release file.*/\1/p" "$log" | head -n 1) does not exist; name another one with MYDEV_MIRROR="
	elif grep -q '404 ' "$log"; then
		echo "${host:-the mirror} does not have it: $(grep -m 1 '404 ' "$log")"
	elif grep -q -i 'read-only file system\|permission denied' "$log"; then
		echo "cannot write to $place; name a place of your own with $variable="
	else
		tail -n 5 "$log"
	fi
}

# Of each view that was asked for, why it could not be had, or nothing; and why
# something could not be had at last.
declare -A VIEWS=()
export REASON=

# view NAME ARCHITECTURE SUITE...: from now on apt asks these suites, with fresh
# lists, as on a machine of that architecture on which nothing is installed.
# Fails, with the reason in $REASON, where they cannot be had.
view() {
	local name=$1 arch=$2 suite site main security
	shift 2
	local dir=$CACHE/apt
	export APT_CONFIG=$dir/$name.conf
	if [ -z "${VIEWS[$name]+asked}" ]; then
		[ -e "$KEYRING" ] || die "$KEYRING is missing; install the package debian-archive-keyring"
		main=$(mirror) || exit 1
		security=$(security_mirror) || exit 1
		say "asking the archive for $name"
		lock_cache apt
		{
			mkdir -p "$dir/lists/partial" "$dir/etc/apt.conf.d" "$dir/etc/preferences.d" "$dir/partial" &&
				: >"$dir/nothing-installed" &&
				# Of a kernel the newest, also where backports are not what apt would take.
				printf 'Package: linux-*\nPin: version *\nPin-Priority: 500\n' >"$dir/etc/preferences.d/kernels" &&
				for suite in "$@"; do
					site=$main
					[[ $suite != *-security ]] || site=$security
					echo "deb [signed-by=$KEYRING] $site $suite main"
				done >"$dir/$name.list" && view_config >"$APT_CONFIG"
		} 2>/dev/null || die "cannot write to the cache $CACHE"
		VIEWS[$name]=
		apt-get -q update >"$dir/$name.log" 2>&1 || VIEWS[$name]=$(why "$dir/$name.log")
		unlock_cache apt
	fi
	REASON=${VIEWS[$name]}
	[ -z "$REASON" ]
}

# The apt configuration of a view; how the network is reached is as on this machine.
view_config() {
	cat <<-END
		Dir::Etc "$dir/etc";
		Dir::Etc::sourcelist "$dir/$name.list";
		Dir::Etc::sourceparts "-";
		Dir::Etc::netrc "/etc/apt/auth.conf";
		Dir::Etc::netrcparts "/etc/apt/auth.conf.d";
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
	APT_CONFIG='' apt-config dump | grep -E '^Acquire::(http|https|ftp)::.*"[^"]+";' || true
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

# run_in_place TREE FINAL TOOLS: the programs of TREE, which will be FINAL, run on this
# machine as it is, with the C library and the libraries that are in TOOLS, which may
# be newer than its own. Each becomes a script that starts it so. (To change the
# programs themselves is what patchelf is for; that of Debian 13 breaks compilers.)
run_in_place() {
	local new=$1 final=$2 libraries=$3/usr/lib/x86_64-linux-gnu file
	find "$new/usr" -type f -perm /111 -size +1k ! -name '*.so' ! -name '*.so.*' | while read -r file; do
		head -c 4096 "$file" | grep -aq '^.ELF' || continue
		head -c 4096 "$file" | grep -aqF /lib64/ld-linux-x86-64.so.2 || continue
		mv "$file" "$file.elf"
		# By its own name it finds what lies beside it.
		cat >"$file" <<-END
			#!/bin/sh
			exec "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" --argv0 "\$0" "$final${file#"$new"}.elf" "\$@"
		END
		chmod 755 "$file"
	done
}

# Nothing half made stays behind when this is interrupted or fails.
UNFINISHED=()
trap '[ ${#UNFINISHED[@]} -eq 0 ] || rm -rf "${UNFINISHED[@]}"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
