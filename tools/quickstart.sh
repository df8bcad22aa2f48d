#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# quickstart.sh [--use BUILD]: from a clean clone to a working cache, on Debian 12.
#
# Installs what is missing, builds into ./build, starts a broker of its own, stores files from one
# process, reads them from another, compares the bytes, shows the counters, and stops the broker.
# --use takes a build tree that is there, and installs and builds nothing.
#
# The broker has a name that nobody else uses and at most 64 MiB, so that this may be run beside
# one that is in use. Nothing is left but ./build.
set -eu

cd "$(dirname "$0")/.."
build=build
started=$(date +%s)

say()
{
	printf '\n== %s\n' "$*"
}

die()
{
	echo "quickstart: $*" >&2
	exit 1
}

# Show a command, and run it.
show()
{
	printf '$ %s\n' "$*"
	"$@"
}

build_all()
{
	say "Installing what is missing"
	tools/install.sh build
	say "Building into ./build"
	[ -f build/build.ninja ] ||
		meson setup build -Dtests=disabled -Dbench=disabled >/dev/null ||
		die "meson setup failed, see build/meson-logs/meson-log.txt"
	ninja -C build --quiet shmcache/shmcached clients/cli/shmcache
}

broker=
folder=

cleanup()
{
	[ -z "$broker" ] || kill "$broker" 2>/dev/null || true
	[ -z "$broker" ] || wait "$broker" || true
	[ -z "$folder" ] || rm -rf "$folder"
}

broker_start()
{
	cat >"$folder/broker.conf" <<-END
	[cache]
	name = $SHMCACHE_NAME
	persist = off
	[dram]
	size = 64MiB
	END
	printf '$ shmcached -c broker.conf &\n'
	"$build/shmcache/shmcached" -c "$folder/broker.conf" 2>"$folder/broker.log" &
	broker=$!
	for i in $(seq 100); do
		if shmcache ping -q 2>/dev/null; then
			return
		fi
		kill -0 "$broker" 2>/dev/null || break
		sleep 0.1
	done
	cat "$folder/broker.log" >&2
	die "the broker did not come up"
}

# store KEY FILE, compare KEY FILE: each command below is a process of its own.
store()
{
	show shmcache put "$1" "$2"
}

compare()
{
	show shmcache get "$1" -o "$folder/copy"
	cmp "$folder/copy" "$2" || die "$1 is not what was stored"
	echo "  identical: $(stat -c %s "$2") bytes, sha256 $(sha256sum <"$folder/copy" | cut -c1-16)..."
}

case "${1:-}" in
'')
	build_all
	;;
--use)
	build=${2:?--use needs a build tree}
	;;
*)
	sed -n '3,11s/^# \{0,1\}//p' "$0"
	exit 2
	;;
esac
PATH=$(cd "$build/clients/cli" && pwd):$PATH
SHMCACHE_NAME=quickstart-$$
export PATH SHMCACHE_NAME
folder=$(mktemp -d)
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

say "Starting a broker with 64 MiB under the name $SHMCACHE_NAME"
broker_start
# a file of some size that is on every machine: the C library
large=$(ldd "$(command -v shmcache)" | awk '/libc\.so/ { print $3 }')

say "Storing files, each from a process of its own"
store LICENSE LICENSE
store libc.so "$large"

say "Reading them from other processes"
compare LICENSE LICENSE
compare libc.so "$large"

say "What the cache holds"
show shmcache keys -l
show shmcache usage

say "What it counted"
show shmcache stats >"$folder/stats"
awk '/^\$/ || $2 != 0' "$folder/stats"

say "A short load"
show shmcache bench --time 500ms

say "Stopping the broker"
kill "$broker"
wait "$broker" || die "the broker ended with status $?"
broker=
left=$(find /dev/shm -maxdepth 1 -name "$SHMCACHE_NAME*")
[ -z "$left" ] || die "left in /dev/shm: $left"

say "Done in $(($(date +%s) - started)) s: two files went through the cache byte for byte, and the
   broker left nothing in /dev/shm. Next: '$build/clients/cli/shmcache --help', and README.md."
