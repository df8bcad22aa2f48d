# SPDX-License-Identifier: Apache-2.0
# A node without CPUs.

small="-o cxl.size=64MiB -o cxl.node=2"
life numa -o cxl.backend=numa $small
moves numa -o cxl.backend=numa -o cxl.node=2

placed()
{
	is "$(figure shmcache_placed_bytes)" -eq "$1" &&
		is "$(figure shmcache_misplaced_bytes)" -eq 0 &&
		is "$(figure shmcache_unplaced_bytes)" -eq 0
}

step "start" broker kv0 $small
step "every page is on the node" placed $((64 << 20))
step "stop" broker_end TERM
step "start, and the DRAM tier on its node" broker kv0 $small -o dram.node=0
step "every page is on its node" placed $((80 << 20))
step "stop" broker_end TERM
# reused, and pages are on another node from before: they move
step "start elsewhere" broker kv0 -o cxl.backend=shm -o cxl.size=64MiB
step "stop" broker_end TERM
step "start on the node" broker kv0 $small
step "every page has come" placed $((64 << 20))
step "stop" broker_end TERM
step "a node that is absent" not broker kv0 -o cxl.backend=numa -o cxl.node=1
rm -f /dev/shm/kv0*
