/* SPDX-License-Identifier: Apache-2.0 */
/* abort.h: a holder that gives up in the middle of a frame. */
#ifndef TESTS_SHMCACHE_REMOTE_PEERS_ABORT_H
#define TESTS_SHMCACHE_REMOTE_PEERS_ABORT_H

#include "tests/shmcache/remote/peers/pair.h"

/*
 * The pair, whose link is up, has a window of at least ABORT_SIZE. b gives up what it pushes to a
 * while half of a frame is in the socket, and the memory is gone at once: what a gets behind the
 * bytes that went before is zeroes up to the end of that frame, and then an end that says so. The
 * link stands, and serves what is asked for next. Fails the test if not.
 */
enum { ABORT_SIZE = 48 << 20 };
void abort_in_the_middle(struct pair *p);

#endif
