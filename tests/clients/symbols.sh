#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# symbols.sh HEADER LIBRARY: the library exports what the header declares, and nothing else.
set -eu
export LC_ALL=C
header=$1 library=$2
declared=$(tr '\n' ' ' <"$header" | grep -o 'SHMC_PUBLIC [^;{(]*[ *]shmc_[a-z_]*(' |
	grep -o 'shmc_[a-z_]*($' | tr -d '(' | sort)
exported=$(nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort)
count=$(printf '%s\n' "$declared" | wc -l)

# A pattern that finds nothing any more must not pass.
[ "$count" -ge 25 ] || { echo "only $count functions found in $header"; exit 1; }
if [ "$declared" != "$exported" ]; then
	printf '%s\n' "$declared" >declared.$$
	printf '%s\n' "$exported" >exported.$$
	diff -u declared.$$ exported.$$ || true
	rm -f declared.$$ exported.$$
	exit 1
fi
# No public function without its mark.
unmarked=$(grep -cE '^(int|void|const char \*|enum shmc_role) ?\*?shmc_[a-z_]+\(' "$header" || true)
[ "$unmarked" -eq 0 ] || { echo "$unmarked functions without SHMC_PUBLIC"; exit 1; }
