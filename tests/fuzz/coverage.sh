#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# coverage.sh BUILD [FOUND]: how much of the sources that each target exists for its inputs reach.
#
# Each input of the corpus of the tree goes through its target once, and each below FOUND/NAME, where
# run.sh keeps what a longer run has found. BUILD was made with CC='clang -fprofile-instr-generate
# -fcoverage-mapping'. A line for the sources of a target together, and one for each of them. Needs
# the packages of 'soak' in tools/packages.
set -eu
tree=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "$1" && pwd)
found=${2:+$(cd "$2" && pwd)}
scratch=$(mktemp -d)
SHMCACHE_FUZZ_NAME=coverage-$$
export SHMCACHE_FUZZ_NAME
trap 'rm -rf "$scratch" /dev/shm/"$SHMCACHE_FUZZ_NAME"-*' EXIT
cd "$tree"

# sources TARGET: what would be wrong if the target found nothing.
sources()
{
	case $1 in
	attach) echo ipc/wire.c shmcache/attach.c shmcache/session.c shmcache/worker-mail.c ;;
	config) ls shmcache/config/*.c | grep -v change.c ;;
	connection) echo ipc/wire.c clients/lib/connection.c clients/lib/session.c clients/lib/lane.c ;;
	index) echo shmcache/index-recover.c shmcache/store-open.c ;;
	inspect) echo clients/inspect/image-file.c clients/inspect/map.c clients/inspect/check*.c \
		clients/inspect/view*.c clients/inspect/entry.c clients/inspect/findings.c \
		clients/inspect/hold.c clients/inspect/lane.c clients/inspect/summary.c ;;
	peers) echo shmcache/remote/peers/frame.c shmcache/remote/peers/hello.c shmcache/remote/peers/guest.c \
		shmcache/remote/peers/lane*.c shmcache/remote/peers/fetch.c shmcache/remote/peers/serve.c \
		shmcache/remote/peers/sum.c ;;
	request) echo ipc/submission.c shmcache/request.c shmcache/worker.c shmcache/fetch.c shmcache/store-fill.c shmcache/holds.c ;;
	esac
}

for corpus in tests/fuzz/corpus/*; do
	name=${corpus##*/}
	target=$build/tests/fuzz/fuzz-corpus-$name
	n=0
	for inputs in "$corpus" "${found:-/nowhere}/$name"; do
		[ -d "$inputs" ] || continue
		LLVM_PROFILE_FILE="$scratch/$name-%p.profraw" "$target" "$inputs" >"$scratch/out" 2>&1 || {
			cat "$scratch/out"
			exit 1
		}
		n=$((n + $(sed -n 's/^\([0-9]*\) inputs$/\1/p' "$scratch/out")))
	done
	llvm-profdata merge -o "$scratch/$name.profdata" "$scratch/$name"-*.profraw
	llvm-cov export -summary-only -instr-profile "$scratch/$name.profdata" "$target" |
		python3 -c '
import json, os, sys

def told(of):
    return ", ".join("%d of %d %s (%d %%)" % (of[k][0], of[k][1], k, 100 * of[k][0] // of[k][1]) for k in of)

data = json.load(sys.stdin)["data"][0]["files"]
rows = {os.path.relpath(f["filename"]): {k: (f["summary"][k]["covered"], f["summary"][k]["count"])
    for k in ("lines", "regions")} for f in data}
rows = {f: rows[f] for f in sys.argv[3:]}
print("%s, %s inputs: %s" % (sys.argv[1], sys.argv[2], told(
    {k: [sum(r[k][i] for r in rows.values()) for i in (0, 1)] for k in ("lines", "regions")})))
for f in rows:
    print("  %s: %s" % (f, told(rows[f])))
' "$name" "$n" $(sources "$name")
done
