#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# install.sh SECTION...: install what is missing of these sections of tools/packages.
#
# Packages are asked for by name and taken from Debian. What is there is left alone, and if nothing
# is missing, neither root nor a network is needed. The services that some packages bring are not
# started: benchmarks start their own, on sockets of their own.
set -eu

packages=$(dirname "$0")/packages
policy=/usr/sbin/policy-rc.d

die()
{
	echo "install.sh: $*" >&2
	exit 1
}

# The names in one section.
section()
{
	awk -v want="[$1]" '/^\[/ { on = $0 == want; seen += on; next }
		on && !/^#/ && NF { print $1 }
		END { exit !seen }' "$packages" || die "no section '$1' in tools/packages"
}

# A package that was removed but not purged is known, and still missing.
is_missing()
{
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" != installed ]
}

as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "not root and no sudo: ask the administrator to run: apt-get install $missing"
	fi
}

# Debian's own way to keep packages from starting services. An administrator's file stays.
services_hold()
{
	[ ! -e "$policy" ] || return 0
	printf '#!/bin/sh\n# of shmcache/tools/install.sh\nexit 101\n' | as_root tee "$policy" >/dev/null
	as_root chmod 755 "$policy"
	trap services_release EXIT
	trap 'exit 1' HUP INT TERM
}

services_release()
{
	as_root rm -f "$policy"
}

command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
	die "this is no Debian; install by hand what is in tools/packages"
missing=
for name; do
	names=$(section "$name")
	for package in $names; do
		if is_missing "$package"; then
			missing="$missing $package"
		fi
	done
done
[ -n "$missing" ] || exit 0
echo "installing:$missing"
services_hold
# Debian's mirrors answer slowly or not at all now and then
retry="-o Acquire::Retries=3"
as_root apt-get $retry -qq update
as_root env DEBIAN_FRONTEND=noninteractive \
	apt-get $retry -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends $missing >/dev/null
for package in $missing; do
	! is_missing "$package" || die "$package is still missing"
done
