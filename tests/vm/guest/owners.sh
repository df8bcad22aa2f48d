# SPDX-License-Identifier: Apache-2.0
# Whose the device is: of one cache, one broker, and of clients that still look.

refused()
{
	text=$1
	shift
	not broker "$@" && said can-not-serve "$text"
}

named="-o cxl.device=/dev/dax0.0 -o cxl.size=64MiB"
step "kv0 has the device" broker kv0 $named
step "put" put small 1
step "a second broker" not shmcached -o cache.name=kv1 -o dram.size=16MiB $named
step "stop" broker_end TERM
step "another cache takes what it finds by itself" refused "carries another cache" kv1 \
	-o cxl.backend=devdax
step "kv0 is warm all the same" broker kv0 $named
step "which it says" said warm-start
step "a client of it" client stay kv0 small
step "the broker is killed" broker_end KILL
step "another cache, while that client looks" refused "still mapped" kv1 $named
step "kv0 again" broker kv0 $named
step "with what it had" get small 1
step "the broker is killed" broker_end KILL
step "the client is killed" client_kill
step "another cache, after that" broker kv1 $named
step "put" put other 1
step "stop" broker_end TERM
step "kv0 again" broker kv0 $named
step "it is cold" said cold-start "carries another cache, /kv1.cxl"
step "its values are gone" not get small 1
step "the other's are not its" not get other 1
step "put" put small 1
step "stop" broker_end TERM

step "the device is disabled" daxctl disable-device dax0.0
step "which is told" refused "is disabled" kv0 $named
step "and enabled" daxctl enable-device dax0.0
step "start" broker kv0 $named
step "somebody may have had it meanwhile" said cold-start "anew"
step "stop" broker_end TERM
rm -f /dev/shm/kv1*
