#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# unit.sh UNIT PREFIX BROKER CLI: the unit as systemd itself reads it: nothing in it is unknown, and its
# sandbox stays as tight as it was seen to work under a real systemd (docs/operations.md).
#
# Skipped (77) without a systemd-analyze that can look at a file.
set -eu

skip()
{
	echo "skipped: $*"
	exit 77
}

command -v systemd-analyze >/dev/null || skip "there is no systemd-analyze"
systemd-analyze --help | grep -q -e --offline || skip "this systemd-analyze can't look at a file alone"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
# The programs are not where they will be installed.
sed "s,$2/shmcached ,$3 ,; s,$2/shmcache ,$4 ," "$1" >"$work/shmcached@.service"
cp "$work/shmcached@.service" "$work/shmcached@kv0.service"

# It says on standard error what it does not know, and goes on.
said=$(systemd-analyze verify --man=no "$work/shmcached@kv0.service" 2>&1) || {
	echo "$said"
	exit 1
}
! echo "$said" | grep shmcached || exit 1

# Tenths. What it needs (its clients' /proc, /dev/dax, sockets) leaves 2.0 of 10 where no systemd runs.
systemd-analyze security --offline=true --threshold=20 --no-pager "$work/shmcached@kv0.service" \
	>"$work/security" 2>&1 || {
	grep -v ✓ "$work/security"
	exit 1
}
