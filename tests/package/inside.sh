#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# inside.sh: what package.sh does in its chroot: install, use, remove, look what is left.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

# apt and dpkg keep books, and those are theirs.
files()
{
	find / -xdev \( -path /debs -o -path /tmp -o -path /var/cache/apt -o -path /var/lib/apt \
		-o -path /var/lib/dpkg -o -path /var/log \) -prune -o -print |
		grep -v -e __pycache__ -e '^/var/cache/ldconfig' | sort
}

# The first alternative of each package that a .deb wants and that is none of ours.
wanted()
{
	for deb in /debs/*.deb; do
		dpkg-deb -f "$deb" Depends Pre-Depends
	done | sed 's/^[A-Za-z-]*: //' | tr ',' '\n' | sed 's/^ *//; s/[ |:].*//' | grep -v shmcache | sort -u
}

install()
{
	apt-get -qq install -y --no-install-recommends "$@" >/debs/apt.log 2>&1 || {
		tail -n 20 /debs/apt.log
		exit 1
	}
}

# 100 looks, each 0.1 s: for the broker to answer.
serving()
{
	for _ in $(seq 100); do
		! shmcache -n kv0 ping >/dev/null 2>&1 || return 0
		sleep 0.1
	done
	cat /debs/log
	return 1
}

apt-get -qq update
# What ours depend on comes from Debian, and stays.
# shellcheck disable=SC2046 # a list
install gcc libc6-dev pkg-config $(wanted)
files >/debs/before
install /debs/*.deb

getent passwd shmcache
printf '[cache]\nname = kv0\n[dram]\nsize = 16MiB\n[metrics]\nlisten = 9113\n' >/etc/shmcache/kv0.conf
# As the unit does it, as the user of the package.
setpriv --reuid=shmcache --regid=shmcache --clear-groups shmcached -c /etc/shmcache/kv0.conf 2>/debs/log &
broker=$!
serving
shmcache -n kv0 put answer --value 42
[ "$(shmcache -n kv0 get answer)" = 42 ]
shmcache -n kv0 stats | grep shmcache_puts_total
shmcache -n kv0 reload
shmcache-inspect --check kv0
# shellcheck disable=SC2046 # options
gcc -o /debs/user /debs/install-user.c $(pkg-config --cflags --libs libshmcache)
/debs/user
shmcache -n kv0 drain
wait "$broker"
ls /dev/shm/kv0.dram
rm /etc/shmcache/kv0.conf

apt-get -qq purge -y shmcache libshmcache1 libshmcache-dev >/debs/apt.log 2>&1
files >/debs/after
diff /debs/before /debs/after
[ -z "$(ls -A /dev/shm)" ]
echo "nothing is left"
