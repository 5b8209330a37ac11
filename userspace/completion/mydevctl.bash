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
	local command=${COMP_WORDS[1]} words='' i

	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		words="list info cat stats config clients write transact control lease alt halt recovery restart
			reset revoke
			--help --usage --version"
	elif [[ ($command == cat && $previous =~ ^(-o|--output)$) ||
		($command =~ ^(transact|control)$ && $previous =~ ^(-f|--file)$) ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
	elif [[ $command == cat && $previous == --policy ]]; then
		words="lossless drop-oldest drop-newest"
	elif [[ $command == cat && $previous == --clock ]]; then
		words="monotonic boottime realtime"
	elif [[ $command == cat && $previous == --from ]]; then
		words=oldest
	elif [[ $command == cat && $previous =~ ^(-n|--bytes|-c|--count|--seconds|--depth|--watermark|--latency)$ ]]; then
		return
	elif [[ $command == write && $previous == --chunk ]]; then
		return
	elif [[ $command =~ ^(transact|control)$ && $previous =~ ^(-l|--length|--timeout-ms)$ ]]; then
		return
	elif [[ $command == recovery && $previous == --clear-halt ]]; then
		words="halt error never"
	elif [[ $command == recovery && $previous =~ ^--(tries|delay-ms|max-delay-ms)$ ]]; then
		return
	elif [[ $command == config && $previous =~ ^--(transfers|transfer-size|pool|log-entries|block-timeout-ms)$ ]]; then
		return
	else
		case $command in
		list) words="--json --no-header" ;;
		info | clients) words="--json $(_mydevctl_devices)" ;;
		stats) words="--json --watch $(_mydevctl_devices)" ;;
		config) words="--json --transfers --transfer-size --pool --log-entries --block-timeout-ms
			$(_mydevctl_devices)" ;;
		cat) words="--json --bytes --seconds --output --force --packets --count --payload --clock
			--policy --depth --watermark --latency --from $(_mydevctl_devices)" ;;
		write)
			words="--json --chunk --terminate $(_mydevctl_devices)"
			mapfile -t COMPREPLY < <(compgen -f -- "$word")
			;;
		transact) words="--json --raw --file --length --timeout-ms $(_mydevctl_devices)" ;;
		control)
			words="--json --raw --file --timeout-ms $(_mydevctl_devices)
				$(echo {vendor,class}-{in,out}-{interface,endpoint,device})"
			;;
		lease)
			words="--json --wait -- $(_mydevctl_devices)"
			for ((i = 2; i < COMP_CWORD; i++)); do
				[[ ${COMP_WORDS[i]} == -- ]] || continue
				# From here on it is the command's own.
				mapfile -t COMPREPLY < <(compgen -c -f -- "$word" | sort -u)
				return
			done
			;;
		alt) words="--json $(_mydevctl_devices)" ;;
		halt) words="in out $(_mydevctl_devices)" ;;
		recovery) words="--json --clear-halt --tries --delay-ms --max-delay-ms $(_mydevctl_devices)" ;;
		restart | reset | revoke) words=$(_mydevctl_devices) ;;
		*) return ;;
		esac
		words+=" --help --usage"
	fi
	mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -o filenames -F _mydevctl mydevctl
