/* SPDX-License-Identifier: Apache-2.0 */
/* bell.h: a store's bell that wakes a thread in its epoll set, now and then at most. */
#ifndef SHMCACHE_BELL_H
#define SHMCACHE_BELL_H

#include <stdatomic.h>

#include "shmcache/events.h"
#include "shmcache/watch.h"

/*
 * However often it is rung, its thread is woken once in @pause_ns at most, and at once where the
 * last time is longer ago: a listener that catches up with each event would else cost a wake-up for
 * each.
 */
struct bell {
	struct store_bell store;
	struct watch timer; /* .ready and .owner are the user's; ready() begins with bell_take() */
	uint64_t pause_ns;
	_Atomic uint64_t next_ns; /* CLOCK_MONOTONIC: not before */
};

/*
 * 0 or -errno, with nothing to undo but for bell_close(), which is harmless for one that is all
 * zero. By the thread of @epoll, or before it runs and after it has ended.
 */
int bell_open(struct bell *bell, struct store *s, int epoll, uint64_t pause_ns);
void bell_close(struct bell *bell, struct store *s, int epoll);

/* Wake the thread, as soon as may be. Any thread; never waits. */
void bell_ring(struct bell *bell);

/* The thread was woken: for which kinds, beside what bell_ring() was called for. By that thread. */
unsigned bell_take(struct bell *bell, struct store *s);

#endif
