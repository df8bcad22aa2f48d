#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# install.sh BUILD SOURCE CC...: the installed library can be found, linked both ways, and run.
set -eu
build=$1 source=$2
shift 2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

command -v pkg-config >/dev/null || { echo "pkg-config is not installed"; exit 77; }
meson install -C "$build" --no-rebuild --destdir "$dir/root" >"$dir/log" 2>&1 || {
	cat "$dir/log"
	exit 1
}
pc=$(find "$dir/root" -name libshmcache.pc)
[ -n "$pc" ] || { echo "there is no libshmcache.pc"; exit 1; }
# Ours alone, so that what it asks for besides is missed.
export PKG_CONFIG_LIBDIR="${pc%/*}" PKG_CONFIG_SYSROOT_DIR="$dir/root"
libdir=$PKG_CONFIG_SYSROOT_DIR$(PKG_CONFIG_SYSROOT_DIR= pkg-config --variable=libdir libshmcache)

# The flags are words.
# shellcheck disable=SC2046
"$@" -Wall -Werror $(pkg-config --cflags libshmcache) "$source" \
	$(pkg-config --libs libshmcache) -o "$dir/shared"
LD_LIBRARY_PATH=$libdir "$dir/shared"

if [ -z "${NO_STATIC:-}" ]; then
	# shellcheck disable=SC2046
	"$@" -Wall -Werror $(pkg-config --cflags libshmcache) "$source" "$libdir/libshmcache.a" \
		$(pkg-config --static --libs-only-other libshmcache) -o "$dir/static"
	"$dir/static"
fi
