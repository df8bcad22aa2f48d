# SPDX-License-Identifier: Apache-2.0
# The life of a cache whose second tier is of some kind: life WHAT BROKER-OPTION...

# Is everything there that life() stored, and where it was?
all_there()
{
	get small 1 && get large 4096 && get near 64 && get none-too-large 300 &&
		is_in small cxl && is_in large cxl && is_in near dram ||
		{ shmcache keys -l; return 1; }
}

life()
{
	kind=$1
	shift
	# what is read stays where it is
	set -- "$@" -o cxl.promote_after=0
	step "$kind: start" broker kv0 "$@"
	step "$kind: what it is" said cxl "backend=$kind"
	step "$kind: a block that nobody filled is zeroes" vm-helper unfilled kv0 3000000
	step "$kind: put" put small 1
	step "$kind: put, large" put large 4096
	step "$kind: put, the other tier" put near 64 dram
	step "$kind: put, and again" put none-too-large 200
	step "$kind: put, another in its place" put none-too-large 300
	step "$kind: all there" all_there

	step "$kind: a client reserves" client reserve kv0
	step "$kind: and is killed" client_kill
	step "$kind: its block is taken back" soon taken_back
	step "$kind: a client holds a view" client stay kv0 large
	step "$kind: the broker is killed" broker_end KILL
	step "$kind: restart" broker kv0 "$@"
	step "$kind: it is warm" said warm-start
	step "$kind: all there" all_there
	step "$kind: the client is killed" client_kill
	step "$kind: stop" broker_end TERM
	step "$kind: start" broker kv0 "$@"
	step "$kind: it is warm" said warm-start
	step "$kind: all there" all_there
	step "$kind: delete" shmcache del small
	step "$kind: it is gone" not get small 1
	step "$kind: stop" broker_end TERM
}

soon()
{
	for i in $(seq 50); do
		"$@" >/dev/null && return 0
		sleep 0.1
	done
	"$@"
}

taken_back()
{
	is "$(figure shmcache_reserves_dead_total)" -ge 1 &&
		is "$(figure shmcache_reserved_bytes)" -eq 0
}
