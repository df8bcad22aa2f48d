/* SPDX-License-Identifier: Apache-2.0 */
/* share.h: how much of something bounded each session has. */
#ifndef SHMCACHE_REMOTE_SHARE_H
#define SHMCACHE_REMOTE_SHARE_H

#include <stdint.h>

/*
 * Of @n_max units in all each session may have as many as it leaves to the others: it gets one more
 * as long as it then has no more than were free. So the first alone gets half of them, a second half
 * of the rest, and who has none gets one as long as there is any. (The same rule as for what is lent
 * to peers: service.c.)
 *
 * One thread; all zero but @n_max is empty, and there is nothing to undo when it is so again.
 */
#define SHARES_BUCKETS 64

struct share {
	uint64_t session;
	unsigned n;
	struct share *next, **link;
};

struct shares {
	unsigned n, n_max;
	struct share *bucket[SHARES_BUCKETS];
};

/* One unit for @session; NULL: it has its share, or there is no memory. */
struct share *shares_take(struct shares *shares, uint64_t session);
/* A unit that was got by shares_take(). NULL is ignored. */
void shares_give(struct shares *shares, struct share *share);

#endif
