#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run.sh CACHE HELPER SHMCACHED SHMCACHE: run guest/test.sh in a machine that has CXL memory.
#
# The machine is an emulated one: Debian's kernel under qemu, with
#
#	node 0    2 CPUs and 1 GiB
#	node 1    512 MiB at 4 GiB, soft-reserved, as firmware does with CXL memory: /dev/dax0.0
#	node 2    512 MiB without CPUs: CXL memory that was onlined
#	mem0      a CXL type-3 device of 256 MiB
#
# Needs no root and no network but for the kernel's package, once, which stays in CACHE. Emulation
# and never /dev/kvm: that may be there and hang, and nothing here is measured. Exit status: that
# of the test; 77 and a sentence where something is missing.
#
# What of this is tied to the versions: qemu 7.2 gets cmpxchg16b wrong now and then, which kernels
# newer than ours rely on, hence -cx16; it wants two root ports under a CXL bridge, or else loads
# from the device return zeroes; soft-reserved memory has to begin and end at multiples of 2 MiB.
set -eu

here=$(dirname "$0")
cache=$1
helper=$2
shmcached=$3
shmcache=$4

skip()
{
	echo "SKIP: $*"
	exit 77
}

for tool in qemu-system-x86_64 busybox cpio xz daxctl cxl numactl kmod; do
	command -v "$tool" >/dev/null ||
		skip "no $tool; 'tools/install.sh vm' installs what this test needs"
done
[ "$(uname -m)" = x86_64 ] || skip "the machine is an x86-64, and this is not"
PATH=$PATH:/sbin:/usr/sbin
mkdir -p "$cache"
version=$("$here/kernel.sh" "$cache") || skip "$version"
kernel=$cache/kernel/boot/vmlinuz-$version

. "$here/image.sh"
base=$cache/base-$version.cpio.gz
[ "$base" -nt "$here/image.sh" ] && [ "$base" -nt "$here/init" ] ||
	image_base "$base" "$cache/kernel" "$version" "$here/init"

work=$(mktemp -d "$cache/work.XXXXXX")
qemu=
trap 'rm -rf "$work"; [ -z "$qemu" ] || kill "$qemu" 2>/dev/null || true' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$work/tree" "$work/tree/test"
cp "$here"/guest/*.sh "$work/tree/test/"
image_program "$helper" "$work/tree" /usr/bin/vm-helper
image_program "$shmcached" "$work/tree" /usr/bin/shmcached
image_program "$shmcache" "$work/tree" /usr/bin/shmcache
image_pack "$work/tree" "$work/test.cpio.gz"
cat "$base" "$work/test.cpio.gz" >"$work/image"

# The memory that qemu put at 4 GiB is declared as meant for a special purpose.
command_line="console=ttyS0 panic=-1 oops=panic quiet loglevel=4"
command_line="$command_line memmap=512M%4G-1+0xefffffff vmtest_limit=900"

# Sets $status from what the guest said: nothing where it never came to say it.
boot()
{
	qemu-system-x86_64 -accel tcg,thread=multi -cpu max,-cx16 -smp 2 -m 2G,maxmem=8G,slots=4 \
		-nodefaults -no-user-config -display none -monitor none -no-reboot \
		-serial "file:$work/log" -kernel "$kernel" -initrd "$work/image" \
		-machine q35,max-ram-below-4g=1G,hmat=on,cxl=on,cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.size=4G \
		-object memory-backend-ram,id=m0,size=1G \
		-object memory-backend-ram,id=m1,size=512M \
		-object memory-backend-ram,id=m2,size=512M \
		-numa node,nodeid=0,cpus=0-1,memdev=m0 \
		-numa node,nodeid=1,memdev=m1,initiator=0 \
		-numa node,nodeid=2,memdev=m2,initiator=0 \
		-numa dist,src=0,dst=1,val=30 -numa dist,src=0,dst=2,val=28 \
		-numa dist,src=1,dst=2,val=40 \
		-object memory-backend-ram,id=cxl-mem,size=256M,share=on \
		-object memory-backend-ram,id=cxl-labels,size=1M,share=on \
		-device pxb-cxl,bus_nr=12,bus=pcie.0,id=cxl.1 \
		-device cxl-rp,port=0,bus=cxl.1,id=root0,chassis=0,slot=2 \
		-device cxl-rp,port=1,bus=cxl.1,id=root1,chassis=0,slot=3 \
		-device cxl-type3,bus=root0,memdev=cxl-mem,lsa=cxl-labels,id=cxl-dev \
		-append "$command_line" </dev/null 2>"$work/qemu.log" &
	qemu=$!
	wait "$qemu" || true
	qemu=
	tr -d '\r' <"$work/log" >"$work/said"
	status=$(sed -n 's/^@@vmtest status=\([0-9]*\) .*/\1/p' "$work/said" | tail -n 1)
}

status=
for try in 1 2; do
	boot
	[ -z "$status" ] || break
	# Emulated processors have their bad days; a test that fails says so.
	echo "the guest did not come to an end, try $try:"
	tail -n 5 "$work/said" "$work/qemu.log"
done
cat "$work/said"
[ -n "$status" ] || exit 1
exit "$status"
