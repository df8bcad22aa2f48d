#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What runs in the machine of run.sh: the parts, in an order in which each leaves what the next wants.
# Ends with 0 if no step failed.
cd "$(dirname "$0")" || exit 1
. ./lib.sh
. ./life.sh
. ./moves.sh

part()
{
	echo "== $1, after $(cut -d' ' -f1 /proc/uptime) s"
	. "./$1.sh"
}

modprobe -a dax_hmem device_dax cxl_acpi cxl_pci cxl_mem cxl_pmem
# kernels from 6.3 on make ordinary memory of such a range, if they are let
[ -e /sys/bus/dax/devices/dax0.0/driver ] || daxctl reconfigure-device -f -m devdax dax0.0
for i in $(seq 50); do
	[ -e /sys/bus/cxl/devices/mem0 ] && break
	sleep 0.1
done

part probe
part traps
part devdax
part owners
part numa
part reconfigured
echo "== done, $n_failed failed, after $(cut -d' ' -f1 /proc/uptime) s"
[ "$n_failed" = 0 ]
