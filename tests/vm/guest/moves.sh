# SPDX-License-Identifier: Apache-2.0
# From tier to tier: moves WHAT BROKER-OPTION... The DRAM tier has 16 MiB, the other one 32.

# Values of 2 MiB: mine FROM TO are stored, are_there FROM TO reads them.
mine()
{
	for i in $(seq "$1" "$2"); do
		put "chunk-$i" 2048 any || return 1
	done
}

are_there()
{
	for i in $(seq "$1" "$2"); do
		get "chunk-$i" 2048 || { echo "chunk-$i is gone"; return 1; }
	done
}

moved()
{
	is "$(figure "shmcache_$1_total")" -ge "$2"
}

moves()
{
	kind=$1
	shift
	rm -f /dev/shm/moves*
	step "$kind: start" broker moves "$@" -o cxl.size=32MiB -o cxl.promote_rate=0
	step "$kind: more than the DRAM tier has" mine 1 18
	step "$kind: values were demoted" soon moved demotions 8
	step "$kind: none was lost" are_there 1 18
	step "$kind: none was evicted" is "$(figure shmcache_evictions_total)" -eq 0
	step "$kind: values are read again" sh -c '
		for i in $(seq 20); do shmcache get chunk-1 >/dev/null || exit 1; done'
	step "$kind: and are promoted" soon moved promotions 1
	step "$kind: it is whole" get chunk-1 2048
	step "$kind: the broker is killed" broker_end KILL
	step "$kind: restart" broker moves "$@" -o cxl.size=32MiB
	step "$kind: it is warm" said warm-start
	step "$kind: none was lost" are_there 1 18
	step "$kind: more than both tiers have" mine 19 30
	step "$kind: values were evicted" soon moved evictions 3
	step "$kind: the last are there" are_there 29 30
	step "$kind: stop" broker_end TERM
	rm -f /dev/shm/moves*
}
