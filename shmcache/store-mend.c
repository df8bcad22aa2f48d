/* SPDX-License-Identifier: Apache-2.0 */
/* store-mend.c: what becomes of entries when a writer cuts the tier short. */
#include <string.h>

#include "shmcache/store.h"

/*
 * The role writer is trusted with the bytes of values, and has a descriptor that it can truncate.
 * The broker survives that (guard.c); here it gets its tier back. First the entries go that lost
 * bytes, so that nobody finds zeroes under a key; then the pages come back, before which a reader
 * of the lost part dies of SIGBUS, as it would in a file. What was open meanwhile, a reservation or
 * a copy under way, may have been filled before and reads as zeroes now: it is marked, and its
 * commit says that it was damaged.
 *
 * A record that is opened between the two steps, or behind the walk, is filled with faults or,
 * after the second, whole. Holes in the middle count from the first one on: who punches them loses
 * what lies behind.
 */
uint64_t store_drop_damaged(struct store *s, struct abi_worker *w, unsigned tier, uint64_t off)
{
	const struct abi_record *r;
	struct index_meta *meta;
	uint64_t n = 0;
	uint32_t cell;

	pthread_mutex_lock(&s->lock);
	for (cell = 1; cell < s->index.n_cells; cell++) {
		if (cell % (16 * STORE_HOLD_MAX) == 0)
			store_yield_locked(s);
		r = &s->index.cell[cell];
		meta = &s->index.meta[cell];
		if (meta->state != INDEX_PUBLISHED && meta->state != INDEX_OPEN)
			continue;
		if (r->tier != tier || r->value_off + r->value_size <= off)
			continue;
		if (meta->state == INDEX_OPEN) {
			meta->state = INDEX_SPOILED;
			continue;
		}
		store_retire_locked(s, index_slot_of(&s->index, cell), cell, STORE_GONE_REMOVED);
		n++;
	}
	pthread_mutex_unlock(&s->lock);
	store_count(w, ABI_COUNTER_TIER_DAMAGE, n);
	return n;
}

static bool mend(
	struct store *s, struct abi_worker *w, unsigned tier, struct store_mended *mended)
{
	struct region *region = s->tier[tier].region;
	bool is_damaged = region && region_is_damaged(region, &mended->off);

	if (!is_damaged)
		return false;
	mended->tier = tier;
	/* One thread at a time; as with reclaim, the requests of the others go on. */
	pthread_mutex_lock(&s->reclaim_lock);
	is_damaged = region_is_damaged(region, &mended->off);
	if (is_damaged) {
		mended->n_dropped = store_drop_damaged(s, w, tier, mended->off);
		mended->error = region_mend(region, mended->off);
	}
	pthread_mutex_unlock(&s->reclaim_lock);
	return is_damaged;
}

bool store_mend(struct store *s, struct abi_worker *w, struct store_mended *mended)
{
	return mend(s, w, ABI_TIER_DRAM, mended) || mend(s, w, ABI_TIER_CXL, mended);
}
