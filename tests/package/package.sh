#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# package.sh [--debs DIR]: build the Debian packages, check them, and install, use and remove them in a
# clean chroot. --debs takes packages that are built already. SHMCACHE_PACKAGE_BASE names a folder that
# debootstrap --variant=minbase has made, of which a copy is taken: for who runs this often.
#
# Skipped (77) without root, dpkg-buildpackage, lintian, debootstrap, or a mirror that answers.
set -eu

source=$(cd "$(dirname "$0")/../.." && pwd)
debs=
[ "${1-}" != --debs ] || debs=$(cd "$2" && pwd)

skip()
{
	echo "skipped: $*"
	exit 77
}

[ "$(id -u)" = 0 ] || skip "a chroot wants root"
for tool in dpkg-buildpackage lintian debootstrap unshare; do
	command -v "$tool" >/dev/null || skip "there is no $tool"
done
mirror=$(apt-get indextargets --format '$(SITE) $(RELEASE)' 'Created-By: Packages' | head -n 1)
[ -n "$mirror" ] || skip "no mirror is configured"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
if [ -z "$debs" ]; then
	debs=$work
	mkdir "$work/src"
	(cd "$source" && git ls-files -co --exclude-standard | tar cf - -T -) | tar xf - -C "$work/src"
	(cd "$work/src" && dpkg-buildpackage -us -uc -b) >"$work/build.log" 2>&1 || {
		tail -n 30 "$work/build.log"
		exit 1
	}
fi
for name in shmcache libshmcache1 libshmcache-dev; do
	ls "$debs/$name"_*.deb >/dev/null
done
lintian --fail-on error --allow-root "$debs"/*.changes

root=$work/root
if [ -n "${SHMCACHE_PACKAGE_BASE-}" ]; then
	cp -a "$SHMCACHE_PACKAGE_BASE" "$root"
else
	# shellcheck disable=SC2086 # two words
	set -- $mirror
	debootstrap --variant=minbase "$2" "$root" "$1" >"$work/debootstrap.log" 2>&1 ||
		skip "debootstrap: $(tail -n 1 "$work/debootstrap.log")"
fi
# How this machine reaches its mirrors. Where they are, the chroot knows.
for part in apt.conf apt.conf.d auth.conf.d; do
	[ ! -e "/etc/apt/$part" ] || cp -r "/etc/apt/$part" "$root/etc/apt/"
done
cp /etc/resolv.conf "$root/etc/" 2>/dev/null || :
mkdir "$root/debs"
cp "$debs"/shmcache_*.deb "$debs"/libshmcache1_*.deb "$debs"/libshmcache-dev_*.deb "$root/debs"
cp "$source/tests/package/inside.sh" "$source/tests/clients/install-user.c" "$root/debs"
# Its own mounts and processes: nothing of it is left when it ends, however that is.
unshare --mount --pid --ipc --fork --kill-child sh -eu -c '
	mount -t proc proc "$1/proc"
	mount -t tmpfs -o mode=755 dev "$1/dev"
	for node in null zero full random urandom; do
		: >"$1/dev/$node"
		mount --bind "/dev/$node" "$1/dev/$node"
	done
	ln -s /proc/self/fd "$1/dev/fd"
	mkdir "$1/dev/shm"
	mount -t tmpfs -o mode=1777 shm "$1/dev/shm"
	exec chroot "$1" /bin/sh /debs/inside.sh' sh "$root"
