# SPDX-License-Identifier: Apache-2.0
#
# Memory images for the machine of run.sh, which sources this: a file system in a cpio archive that
# the kernel unpacks at its start. Two archives one behind the other are unpacked into one another,
# so what seldom changes is made once and kept.

# The shared libraries of a program, into the tree $2: all in one place, but for the loader.
image_libraries()
{
	ldd "$1" 2>/dev/null | grep -o '/[^ ]*\.so[^ ]*' | while read -r library; do
		to=$2/usr/lib/${library##*/}
		case $library in
		*/ld-*) to=$2$library ;;
		esac
		mkdir -p "${to%/*}"
		[ -e "$to" ] || cp -L "$library" "$to"
	done
}

# A program and its libraries, into the tree $2 as $3.
image_program()
{
	mkdir -p "$2${3%/*}"
	cp -L "$1" "$2$3"
	chmod 755 "$2$3"
	image_libraries "$1" "$2"
}

image_pack()
{
	(cd "$1" && find . -mindepth 1 -print0 |
		cpio --null --create --format=newc --quiet --owner=0:0 | gzip -1) >"$2"
}

# image_module TREE KERNEL VERSION NAME: a module, and those that it needs.
image_module()
(
	file=$(find "$2/lib/modules/$3/kernel" -name "$4.ko*" -o \
		-name "$(echo "$4" | tr _ -).ko*" | head -n 1)
	[ -n "$file" ] || return 0 # built in, or unknown to this kernel
	to=$1/${file#"$2"/}
	to=${to%.xz}
	[ ! -e "$to" ] || return 0
	mkdir -p "${to%/*}"
	case $file in
	*.xz) xz -dc "$file" >"$to" ;;
	*) cp "$file" "$to" ;;
	esac
	for needed in $(modinfo -F depends "$file" | tr , ' '); do
		image_module "$1" "$2" "$3" "$needed"
	done
)

# image_base OUT KERNEL VERSION INIT: busybox, modules, and the tools of CXL memory.
image_base()
(
	tree=$1.tree
	rm -rf "$tree"
	mkdir -p "$tree/bin" "$tree/sbin" "$tree/usr/bin" "$tree/proc" "$tree/sys" "$tree/dev" \
		"$tree/tmp" "$tree/run" "$tree/etc" "$tree/test"
	cp "$(command -v busybox)" "$tree/bin/busybox"
	for applet in $(busybox --list); do
		[ "$applet" = busybox ] || ln -s busybox "$tree/bin/$applet"
	done
	for module in device_dax kmem dax_pmem dax_hmem nd_pmem nd_e820 cxl_acpi cxl_pci cxl_mem \
		cxl_pmem cxl_port; do
		image_module "$tree" "$2" "$3" "$module"
	done
	cp "$2/lib/modules/$3/modules.builtin" "$2/lib/modules/$3/modules.builtin.modinfo" \
		"$2/lib/modules/$3/modules.order" "$tree/lib/modules/$3/"
	depmod -b "$tree" "$3"
	for tool in daxctl cxl kmod numactl; do
		image_program "$(command -v "$tool")" "$tree" "/usr/bin/$tool"
	done
	ln -sf ../usr/bin/kmod "$tree/sbin/modprobe"
	echo 'root:x:0:0:root:/:/bin/sh' >"$tree/etc/passwd"
	echo 'nobody:x:65534:65534:nobody:/:/bin/sh' >>"$tree/etc/passwd"
	echo 'root:x:0:' >"$tree/etc/group"
	cp "$4" "$tree/init"
	chmod 755 "$tree/init"
	image_pack "$tree" "$1.new"
	rm -rf "$tree"
	mv "$1.new" "$1"
)
