/* SPDX-License-Identifier: Apache-2.0 */
/* scan.c: visiting entries without asking the broker. */
#include <string.h>

#include "clients/lib/read.h"

/*
 * The scan walks the buckets by number. Linear hashing moves an entry only to a bucket with a
 * higher number, one that was not there before; so an entry that was behind the cursor has been
 * seen, and one that a split carries away before it was seen is still to come. Words don't move
 * within a chain. Both together are the promise that what stays in the cache is seen at least
 * once.
 *
 * A cursor is a bucket and a place in its chain, so that a visitor who ends a page early is not
 * shown the same entry for ever. The first place of bucket 0, where a scan begins, is 0, and so
 * is "no more".
 *
 * The visitor may call the library. If that finds another broker in charge, the lane that we walk
 * with has become another's by then; the session is kept mapped by one more user, and the page
 * ends.
 */
#define PLACE_BITS 20
#define BUDGET 1024

struct scan {
	struct shmc *cache;
	struct lane *lane;
	const void *prefix;
	size_t prefix_size;
	shmc_visit_fn *visit;
	void *context;
	uint8_t key[SHMC_KEY_SIZE_MAX];
};

static bool scan_wants(struct scan *scan, const struct abi_record *record)
{
	if (record->key_size < scan->prefix_size || reader_is_expired(record))
		return false;
	lookup_record_key(&scan->lane->reader.index, record, scan->key);
	return !scan->prefix_size || memcmp(scan->key, scan->prefix, scan->prefix_size) == 0;
}

/* Visit one slot. 0 to go on, or what the scan is to return. */
static int scan_slot(struct scan *scan, const struct shared_u64 *slot)
{
	struct lane *lane = scan->lane;
	struct reader_entry found;
	struct shmc_entry entry;
	uint64_t word;
	int r;

	do {
		/* Acquire; partner: the release in the broker's publish. */
		word = shared_u64_load_acquire(slot);
		if (!abi_word_cell(word))
			return 0;
		r = reader_hold(&lane->reader, slot, word, &found);
	} while (r == READER_CHANGED);
	if (r)
		return r;
	if (scan_wants(scan, found.record)) {
		read_describe(lane, found.record, scan->key, &entry);
		r = scan->visit(scan->context, &entry);
		if (atomic_load_explicit(&scan->cache->serial, memory_order_relaxed) !=
			lane->serial)
			r = r ? r : -ENOTCONN;
	}
	hold_clear(found.hold);
	return r;
}

/* The slot at @place of a chain, or NULL behind its end. */
static const struct shared_u64 *chain_slot(const struct lookup *l, uint64_t bucket, uint64_t place)
{
	const struct abi_bucket *b = &l->bucket[bucket];

	for (; b && place >= ABI_BUCKET_SLOTS; place -= ABI_BUCKET_SLOTS)
		b = lookup_next(l, b);
	return b ? &b->slot[place] : NULL;
}

static int scan_page(struct scan *scan, uint64_t *cursor, size_t budget)
{
	const struct lookup *l = &scan->lane->reader.index;
	uint64_t bucket = *cursor >> PLACE_BITS;
	uint64_t place = *cursor & ((UINT64_C(1) << PLACE_BITS) - 1);
	const struct shared_u64 *slot;
	int r;

	for (; budget && bucket < lookup_n_buckets(l); budget--, bucket++, place = 0) {
		while ((slot = chain_slot(l, bucket, place++))) {
			r = scan_slot(scan, slot);
			if (r) {
				*cursor = bucket << PLACE_BITS | place;
				return r;
			}
		}
	}
	*cursor = bucket < lookup_n_buckets(l) ? bucket << PLACE_BITS : 0;
	return 0;
}

int shmc_scan(struct shmc *cache, uint64_t *cursor, const void *prefix, size_t prefix_size,
	size_t budget, shmc_visit_fn *visit, void *context)
{
	struct scan scan = {.cache = cache, .prefix = prefix, .prefix_size = prefix_size,
		.visit = visit, .context = context};
	struct session *session;
	int r;

	if (!cursor || !visit || (prefix_size && !prefix) || prefix_size > SHMC_KEY_SIZE_MAX)
		return -EINVAL;
	scan.lane = handle_lane(cache);
	r = scan.lane ? 0 : read_lane(cache, &scan.lane);
	if (r)
		return r;
	session = scan.lane->session;
	atomic_fetch_add_explicit(&session->n_users, 1, memory_order_relaxed);
	/* The visitor's calls take our mark away. */
	r = scan_page(&scan, cursor, budget ? budget : BUDGET);
	/* Release: all that we read. Partner: the acquire in session_is_idle(). */
	atomic_fetch_sub_explicit(&session->n_users, 1, memory_order_release);
	handle_lane_exit();
	return r;
}
