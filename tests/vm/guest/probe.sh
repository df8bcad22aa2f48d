# SPDX-License-Identifier: Apache-2.0
# shmcached --probe, for root and for who may not open devices.

probe_says()
{
	grep -q -- "$1" /tmp/probe || { echo "not said: $1"; cat /tmp/probe; return 1; }
}

step "probe" sh -c 'shmcached --probe >/tmp/probe'
step "probe: the node with CPUs" probe_says "node 0 .* 2 CPUs, "
step "probe: the node without" probe_says "node 2 .* no CPUs, 50. MiB"
step "probe: no node that is absent" not probe_says "node 1 .* CPUs"
step "probe: the device" \
	probe_says "/dev/dax0.0  512 MiB in multiples of 2.0 MiB, node 1, enabled"
step "probe: the CXL memory device" probe_says "mem0  .*256 MiB persistent"
step "probe: auto takes the device" probe_says "devdax, 510 MiB: /dev/dax0.0"

step "probe by nobody" sh -c "su -s /bin/sh nobody -c 'shmcached --probe' >/tmp/probe"
step "probe by nobody: the device is shut" probe_says "may not be opened by this user"
step "probe by nobody: the node" probe_says "numa, .* on node 2, which has no CPUs"

step "probe as JSON" sh -c 'shmcached --probe --json -o cxl.backend=off >/tmp/probe'
step "probe as JSON: the choice" probe_says '"choice":{"backend":"off","size":0,'
step "probe as JSON: the device" probe_says '"path":"/dev/dax0.0","size":536870912,"align":2097152'
