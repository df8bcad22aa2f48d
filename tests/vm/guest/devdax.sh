# SPDX-License-Identifier: Apache-2.0
# A device: nothing of its earlier users is left, and its content outlives brokers.

secrets()
{
	is "$(vm-helper count /dev/dax0.0)" = "secrets=$1"
}

step "somebody used the device" vm-helper fill /dev/dax0.0
step "and left it so" secrets 131072
step "auto takes it, all of it" broker kv0
step "it is cleared" secrets 0
step "the gauge is its size" is "$(figure shmcache_cxl_bytes)" -eq $((510 << 20))
step "stop" broker_end TERM

small="-o cxl.size=64MiB"
step "the device as it was" vm-helper fill /dev/dax0.0
life devdax -o cxl.backend=devdax $small
# the header's 2 MiB and the tier's 64 are clear, the rest is not ours
step "nothing but the tier is cleared" secrets $((131072 - 66 * 256))

step "persist = off" broker kv0 $small -o cache.persist=off
step "put" put small 1
step "stop" broker_end TERM
step "it has left a device that is nobody's" broker kv0 $small
step "which is a cold start" not said warm-start
step "put" put small 1
step "stop" broker_end TERM
step "the header is spoilt" vm-helper spoil /dev/dax0.0
step "start" broker kv0 $small
step "which is cold" said cold-start "carries no cache"
step "nothing is there" not get small 1
step "stop" broker_end TERM

moves devdax -o cxl.device=/dev/dax0.0
