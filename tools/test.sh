#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# test.sh [--ci] [RUN...]: install what the tests need, build, and run them.
#
#   gcc    everything, as it is built for use
#   asan   with the address and the undefined-behaviour sanitizer
#   tsan   the suite 'tsan' with the thread sanitizer
#   clang  everything but the models and the virtual machine, by the other compiler
#   fuzz   each fuzz target for $SHMCACHE_FUZZ_SECONDS (60), two at a time, from the corpus of the tree
#
# All five are the default. The last line is "N passed, N failed, N skipped" over all runs; the exit
# status is 0 if nothing failed. --ci is for machines on which every test should run: a skipped
# one has failed there, unless tools/skips says why not.
#
# Each run has a build tree of its own, ./build-test-RUN, which the next call uses again.
set -u

cd "$(dirname "$0")/.." || exit 1

strict=
runs=
for arg; do
	case $arg in
	--ci)
		strict=--strict
		;;
	gcc | asan | tsan | clang | fuzz)
		runs="$runs $arg"
		;;
	*)
		sed -n '3,17s/^# \{0,1\}//p' "$0"
		exit 2
		;;
	esac
done
: "${runs:=gcc asan tsan clang fuzz}"

# Sanitizers have to end the program that they find fault with: a message alone fails no test. And
# by a status that no test expects of anything.
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1:strict_string_checks=1:exitcode=99}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1:exitcode=99}"
export TSAN_OPTIONS="${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1:exitcode=99}"

# setup RUN DIR: configure, unless that was done by an earlier call.
setup()
{
	[ ! -f "$2/build.ninja" ] || return 0
	case $1 in
	gcc)
		CC=gcc meson setup "$2"
		;;
	asan)
		CC=gcc meson setup "$2" -Db_sanitize=address,undefined -Db_lundef=false
		;;
	tsan)
		CC=gcc meson setup "$2" -Db_sanitize=thread -Db_lundef=false
		;;
	clang)
		# valgrind can't read what clang writes of DWARF 5
		CC=clang meson setup "$2" -Dc_args=-gdwarf-4
		;;
	fuzz)
		CC=clang meson setup "$2" -Dfuzz=true -Db_sanitize=address,undefined \
			-Db_lundef=false
		;;
	esac >"$2.log" 2>&1 || {
		cat "$2.log"
		return 1
	}
}

# The models are checked by spin and not by our compiler, and the virtual machine is about the kernel:
# once is enough.
once="--no-suite model --no-suite valgrind --no-suite package --no-suite vm"

tests()
{
	case $1 in
	gcc)
		meson test -C "$2" --no-rebuild --print-errorlogs
		;;
	asan)
		meson test -C "$2" --no-rebuild --print-errorlogs $once -t 4
		;;
	tsan)
		meson test -C "$2" --no-rebuild --print-errorlogs --suite tsan -t 8
		;;
	clang)
		meson test -C "$2" --no-rebuild --print-errorlogs $once
		;;
	fuzz)
		# builds what it needs by itself
		SHMCACHE_FUZZ_SECONDS="${SHMCACHE_FUZZ_SECONDS:-60}" \
			meson test -C "$2" --print-errorlogs --suite fuzz --num-processes 2
		;;
	esac
}

# The targets alone are built for the fuzzer.
build()
{
	[ "$1" = fuzz ] || ninja -C "$2" --quiet
}

run()
{
	rm -f "$2/meson-logs/testlog.json"
	setup "$1" "$2" && build "$1" "$2" && tests "$1" "$2"
}

tools/install.sh build test vm bench || exit 1
results=
for name in $runs; do
	dir=build-test-$name
	printf '\n== %s\n' "$name"
	begin=$(date +%s)
	run "$name" "$dir"
	status=$?
	echo "$name took $(($(date +%s) - begin)) s"
	results="$results $name=$dir:$status"
done
printf '\n== all\n'
exec python3 tools/tally.py $strict $results
