# SPDX-License-Identifier: Apache-2.0
# The device becomes a node, and a device again: what its pages hold then is somebody's, though the
# first one may have survived by accident.

small="-o cxl.size=64MiB"
step "a cache on the device" broker kept $small -o cxl.device=/dev/dax0.0
step "put" put small 1
step "stop" broker_end TERM
step "its header is kept" vm-helper header /dev/dax0.0 get /tmp/header

step "the device becomes a node" daxctl reconfigure-device -f -m system-ram dax0.0
step "which the probe tells" sh -c 'shmcached --probe | grep "dax0.0.*ordinary memory now"'
step "and takes" sh -c 'shmcached --probe | grep "numa, .* on node 1, which has no CPUs"'
step "by name it is refused" refused "ordinary memory" kept $small -o cxl.device=/dev/dax0.0
life numa $small -o cxl.node=1
step "start, as it comes" broker kv0 $small
step "every page is on the node" placed $((64 << 20))
step "stop" broker_end TERM
rm -f /dev/shm/kv0*

step "the node becomes a device" daxctl reconfigure-device -f -m devdax dax0.0
step "somebody's bytes are there" vm-helper fill /dev/dax0.0
step "and the header, as by accident" vm-helper header /dev/dax0.0 put /tmp/header
step "the cache on the device" broker kept $small -o cxl.device=/dev/dax0.0
step "it is cold" said cold-start "bound to a driver anew"
step "nothing is there" not get small 1
step "a block that nobody filled is zeroes" vm-helper unfilled kept 3000000
step "stop" broker_end TERM
rm -f /dev/shm/kept*
life devdax $small -o cxl.device=/dev/dax0.0
