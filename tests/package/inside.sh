#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# inside.sh: what package.sh does in its chroot: install, use, remove, look what is left.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

files()
{
	find / -xdev \( -path /debs -o -path /proc -o -path /var/cache -o -path /var/lib -o -path /var/log \
		-o -path /tmp \) -prune -o -print | grep -v -e __pycache__ -e '/etc/ld.so.cache' | sort
}

apt-get -qq update
# What it depends on comes from Debian, and is not what is looked at.
depends=$(for deb in /debs/*.deb; do dpkg-deb -f "$deb" Depends; done | tr ',' '\n' |
	sed 's/[ (|].*//; s/^ *//' | sed 's/^ *\([^ ]*\).*/\1/' | grep -v shmcache | sort -u)
needed=$(dpkg-deb -f /debs/shmcache_*.deb Depends | tr ',' '\n' | sed 's/^ *//; s/[ |].*//' |
	grep -v shmcache | sort -u)
# shellcheck disable=SC2086 # a list
apt-get -qq install -y --no-install-recommends $needed >/dev/null 2>&1
: "$depends"
files >/debs/before
apt-get -qq install -y --no-install-recommends /debs/*.deb >/dev/null

getent passwd shmcache >/dev/null || echo "no user (there is no systemd-sysusers here)"
printf '[dram]\nsize = 16MiB\n[metrics]\nlisten = 9113\n' >/etc/shmcache/kv0.conf
shmcached -c /etc/shmcache/kv0.conf -o cache.name=kv0 2>/debs/log &
broker=$!
until shmcache -n kv0 ping -q 2>/dev/null; do sleep 0.1; done
shmcache -n kv0 put answer --value 42
[ "$(shmcache -n kv0 get answer)" = 42 ]
shmcache -n kv0 reload
shmcache-inspect --check kv0
# shellcheck disable=SC2046 # options
gcc -o /debs/user /debs/install-user.c $(pkg-config --cflags --libs libshmcache)
shmcache -n kv0 drain
wait "$broker"
rm /etc/shmcache/kv0.conf /dev/shm/kv0*

apt-get -qq purge -y shmcache libshmcache1 libshmcache-dev >/dev/null
files >/debs/after
diff /debs/before /debs/after
echo "nothing is left"
