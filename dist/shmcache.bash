# SPDX-License-Identifier: Apache-2.0
# bash completion for shmcache, shmcache-inspect and shmcached. -*- shell-script -*-

# The caches of this host: a plane is an object beside which there is a lock.
_shmcache_names()
{
	local lock
	for lock in /dev/shm/*.lock; do
		lock=${lock##*/}
		[[ -e /dev/shm/${lock%.lock} ]] && printf '%s\n' "${lock%.lock}"
	done
}

_shmcache_words()
{
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "${COMP_WORDS[COMP_CWORD]}")
}

_shmcache()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command= i
	local commands="put get prefetch del exists stat keys touch pin flush usage stats peers events ping bench reload drain pki help"

	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-n | --name | --timeout) ((i++)) ;;
		-*) ;;
		*)
			command=${COMP_WORDS[i]}
			break
			;;
		esac
	done
	COMPREPLY=()
	case $before in
	-n | --name)
		_shmcache_words "$(_shmcache_names)"
		return
		;;
	--kinds)
		_shmcache_words "stored accessed evicted deleted stored,evicted,deleted"
		return
		;;
	--timeout | --within | --ttl)
		_shmcache_words "1s 10s 1m 10m 1h"
		return
		;;
	esac
	if [[ $word == -* ]]; then
		# What the command itself says that it takes.
		_shmcache_words "$({ shmcache --help; [[ -n $command ]] && shmcache "$command" --help; } \
			2>/dev/null | grep -o -- '--[a-z][a-z-]*' | sort -u)"
	elif [[ -z $command ]]; then
		_shmcache_words "$commands"
	elif [[ $command == help ]]; then
		_shmcache_words "$commands"
	elif [[ $command == put || $command == get ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
	fi
}

_shmcache_inspect()
{
	case ${COMP_WORDS[COMP_CWORD - 1]} in
	--map | --save | --offline)
		mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
		return
		;;
	esac
	if [[ ${COMP_WORDS[COMP_CWORD]} == -* ]]; then
		_shmcache_words "$(shmcache-inspect --help 2>/dev/null | grep -o -- '--[a-z][a-z-]*' | sort -u)"
	else
		_shmcache_words "$(_shmcache_names)"
	fi
}

_shmcached()
{
	case ${COMP_WORDS[COMP_CWORD - 1]} in
	-c | --config)
		mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
		;;
	-o | --option)
		compopt -o nospace
		_shmcache_words "$(shmcached --check-config 2>/dev/null |
			awk '/^\[/ { s = substr($1, 2, length($1) - 2) } / = | =$/ { print s "." $1 "=" }')"
		;;
	*)
		_shmcache_words "$(shmcached --help 2>/dev/null | grep -o -- '--[a-z][a-z-]*' | sort -u)"
		;;
	esac
}

complete -F _shmcache shmcache
complete -F _shmcache_inspect shmcache-inspect
complete -F _shmcached shmcached
