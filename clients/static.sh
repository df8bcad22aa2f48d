#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# static.sh OBJCOPY AR IN.a OUT.a CC...: one object with the public symbols alone.
#
# A program that links the static library has all of its names beside its own, and ours are of the
# kind that others choose too. So the objects become one, and what the shared library hides is made
# local in it.
set -eu
objcopy=$1 ar=$2 in=$3 out=$4
shift 4
object=$out.o
"$@" -r -nostdlib -Wl,--whole-archive "$in" -Wl,--no-whole-archive -o "$object"
"$objcopy" --localize-hidden "$object"
rm -f "$out"
"$ar" crsD "$out" "$object"
rm -f "$object"
