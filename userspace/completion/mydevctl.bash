# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Completion of mydevctl for bash.

_mydevctl_devices() {
	local dir
	for dir in /sys/class/mydev/mydev*; do
		[ -e "$dir" ] && echo "${dir##*/}"
	done
}

_mydevctl() {
	local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	local command=${COMP_WORDS[1]} words=

	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		words="list info cat stats --help --usage --version"
	elif [[ $command == cat && $previous =~ ^(-o|--output)$ ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
	elif [[ $command == cat && $previous =~ ^(-n|--bytes|--seconds)$ ]]; then
		return
	else
		case $command in
		list) words="--json --no-header" ;;
		info | stats) words="--json $(_mydevctl_devices)" ;;
		cat) words="--json --bytes --seconds --output --force $(_mydevctl_devices)" ;;
		*) return ;;
		esac
		words+=" --help --usage"
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -o filenames -F _mydevctl mydevctl
