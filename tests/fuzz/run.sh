#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh TARGET CORPUS: fuzz for a bounded time, from the corpus of the tree, and leave nothing behind.
# SHMCACHE_FUZZ_SECONDS says how long (10), SHMCACHE_FUZZ_KEEP where to keep what was found (nowhere):
# in a directory there with the corpus' name, next to which an input that failed is written.
#
# An input that takes two minutes never ends: one that ends takes milliseconds, but a busy machine may have
# no time for us for half a minute.
set -eu
target=$1 corpus=$2
scratch=$(mktemp -d)
SHMCACHE_FUZZ_NAME=fuzz-$$
export SHMCACHE_FUZZ_NAME
trap 'rm -rf "$scratch" /dev/shm/"$SHMCACHE_FUZZ_NAME"-*' EXIT
found=${SHMCACHE_FUZZ_KEEP:-$scratch}/${corpus##*/}
mkdir -p "$found"
status=0
"$target" -max_total_time="${SHMCACHE_FUZZ_SECONDS:-10}" -timeout=120 -rss_limit_mb=2048 \
	-print_final_stats=1 -max_len=4096 -artifact_prefix="$scratch/failed-" \
	"$found" "$corpus" 2>"$scratch/log" || status=$?
if [ "$status" -ne 0 ]; then
	tail -n 60 "$scratch/log"
	for input in "$scratch"/failed-*; do
		[ -e "$input" ] || continue
		echo "the input, in base64:"
		base64 "$input"
		[ -z "${SHMCACHE_FUZZ_KEEP:-}" ] || cp "$input" "$SHMCACHE_FUZZ_KEEP"/
	done
else
	grep -E '^(stat::|Done|#[0-9]+[[:space:]]DONE)' "$scratch/log"
fi
exit "$status"
