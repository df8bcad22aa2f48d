#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Check one Promela model with spin.
#
# usage: run.sh holds|assertion|stuck MODEL [DEFINE]...
#
#   holds	the search is complete, finds nothing, and reaches every statement
#   assertion	the search finds an assertion that fails
#   stuck	the search finds processes that wait for ever
#
# The last two are for mutants: a mutant that passes, or that fails in another
# way than it should, fails the test. CC is the compiler. KEEP=1 keeps the
# work directory, in which `spin -t -p MODEL` replays the error.
set -u

[ $# -ge 2 ] || { sed -n '5p' "$0" >&2; exit 1; }
expect=$1
model=$2
shift 2

fail() {
	echo "FAIL: $*" >&2
	exit 1
}

command -v spin >/dev/null || { echo 'SKIP: spin is not installed'; exit 77; }

here=$(cd "$(dirname "$0")" && pwd) || exit 1
cc=${CC:-cc}
dir=$(mktemp -d) || exit 1
[ "${KEEP:-0}" = 1 ] || trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
cd "$dir" || exit 1

for define; do
	set -- "$@" "-D$define"
	shift
done

# A search is bounded in depth and in MiB of memory; meeting a bound is a
# failure. A mutant stops at its first error, mostly at once.
depth=1000000
mem=2000

cp "$here/memory.pml" "$here/$model.pml" . || exit 1
spin -P"$cc -E -x c" "$@" -a "$model.pml" >spin.out 2>&1 ||
	{ cat spin.out; fail "spin does not accept $model.pml"; }
if [ "$expect" = holds ]; then opt=-O2; else opt=-O0; fi
$cc $opt -w -DSAFETY -DMEMLIM=$mem -o pan pan.c ||
	fail "the verifier of $model.pml does not compile"
./pan -m$depth -w22 >pan.out 2>&1

states=$(sed -n 's/^ *\([0-9][0-9]*\) states, stored.*/\1/p' pan.out)
error=$(sed -n 's/^pan:[0-9]*: \(.*\)/\1/p' pan.out | head -n 1)
echo "$model $* ($expect): ${states:-no} states${error:+, found: $error}"

case $expect in
holds)
	grep -q 'errors: 0$' pan.out || { cat pan.out; fail "an error"; }
	! grep -Eq 'max search depth|reached -DMEMLIM|out of memory|not completed' \
		pan.out || { cat pan.out; fail "the search is not complete"; }
	[ "${states:-0}" -gt 1000 ] || { cat pan.out; fail "hardly any states"; }
	# A miss is an assert(0) that must not be reached; all else must be.
	dead=$(sed -n 's/^.*\.pml:\([0-9]*\), state [0-9]*, "\(.*\)"$/\1: \2/p' \
		pan.out | grep -Ev ': (-end-|assert\(0\))$')
	[ -z "$dead" ] || fail "never executed in $model.pml: $dead"
	;;
assertion)
	case $error in
	'assertion violated'*) ;;
	*) cat pan.out; fail "no assertion fails in the mutant" ;;
	esac
	;;
stuck)
	case $error in
	'invalid end state'*) ;;
	*) cat pan.out; fail "the mutant does not get stuck" ;;
	esac
	;;
*)
	fail "unknown expectation '$expect'"
	;;
esac
