#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# kernel.sh DIR: have Debian's kernel in DIR/kernel, without installing it, and print its version.
#
# The package is fetched by name and unpacked as far as the machine of run.sh needs it: the image,
# and the modules for directly mapped and CXL memory. What is there is used again. Status 77, with
# a sentence, where there is no such package or no way to it.
set -eu

package=linux-image-cloud-amd64
dir=$1

missing()
{
	echo "$*"
	exit 77
}

# The package that the name stands for today, as linux-image-6.1.0-56-cloud-amd64.
package_now()
{
	apt-cache depends "$package" 2>/dev/null |
		sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1
}

fetch()
{
	mkdir -p "$dir/fetch"
	(cd "$dir/fetch" && timeout 300 apt-get -qq -o Acquire::Retries=3 download "$1" >&2) ||
		missing "can't download $1"
	rm -rf "$dir/kernel.new"
	mkdir "$dir/kernel.new"
	dpkg-deb --fsys-tarfile "$dir/fetch/$1"_*.deb | tar -x -C "$dir/kernel.new" --wildcards \
		'./boot/vmlinuz*' './lib/modules/*/modules.*' \
		'./lib/modules/*/kernel/drivers/dax/*' './lib/modules/*/kernel/drivers/cxl/*' \
		'./lib/modules/*/kernel/drivers/nvdimm/*' './lib/modules/*/kernel/drivers/acpi/nfit/*'
	rm -rf "$dir/fetch" "$dir/kernel"
	mv "$dir/kernel.new" "$dir/kernel"
}

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
	missing "this is no Debian, whose kernel is wanted"
if [ ! -d "$dir/kernel" ]; then
	name=$(package_now)
	[ -n "$name" ] || missing "apt knows no $package; 'apt-get update' may help"
	fetch "$name"
fi
ls "$dir/kernel/lib/modules"
