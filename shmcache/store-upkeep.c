/* SPDX-License-Identifier: Apache-2.0 */
/* store-upkeep.c: flushing, expiry, gauges and the check of everything against everything. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <urcu.h>

#include "shmcache/store.h"

/*
 * Long walks go over the index in a liburcu read section, without the lock, so that puts go on
 * meanwhile; what they find is named by cell and generation and looked at again under the lock.
 */
#define FOUND_MAX 256

struct found {
	uint32_t cell, generation;
};

static bool has_prefix(const struct store *s, uint32_t cell, const void *prefix, size_t size)
{
	const struct abi_record *r = &s->index.cell[cell];
	char key[ABI_KEY_SIZE_MAX];

	if (!size)
		return true;
	if (r->key_size < size)
		return false;
	lookup_record_key(&s->index.lookup, r, key);
	return memcmp(key, prefix, size) == 0;
}

/* Collect what matches in one chain, up to the array's end. In a read section. */
static unsigned find_in_chain(const struct store *s, uint64_t bucket, const void *prefix,
	size_t prefix_size, struct found found[FOUND_MAX])
{
	const struct abi_bucket *b = &s->index.lookup.bucket[bucket];
	unsigned n = 0;
	uint32_t cell;
	int i;

	for (; b; b = lookup_next(&s->index.lookup, b)) {
		for (i = 0; i < ABI_BUCKET_SLOTS; i++) {
			cell = abi_word_cell(shared_u64_load_acquire(&b->slot[i]));
			if (!cell || n == FOUND_MAX || !has_prefix(s, cell, prefix, prefix_size))
				continue;
			found[n].cell = cell;
			found[n++].generation = s->index.cell[cell].generation;
		}
	}
	return n;
}

static bool is_published(const struct store *s, const struct found *f)
{
	return s->index.meta[f->cell].state == INDEX_PUBLISHED &&
		s->index.cell[f->cell].generation == f->generation;
}

static uint64_t remove_found(
	struct store *s, struct abi_worker *w, const struct found *found, unsigned n)
{
	uint64_t n_removed = 0;
	unsigned i;

	if (!n)
		return 0;
	pthread_mutex_lock(&s->lock);
	for (i = 0; i < n; i++) {
		if (!is_published(s, &found[i]))
			continue;
		store_retire_locked(s, index_slot_of(&s->index, found[i].cell), found[i].cell,
			STORE_GONE_REMOVED);
		n_removed++;
	}
	pthread_mutex_unlock(&s->lock);
	store_count(w, ABI_COUNTER_DELETES, n_removed);
	return n_removed;
}

/* What is on its way from elsewhere when the flush begins does not come after it. */
static void overtake(struct store *s, const void *prefix, size_t size)
{
	pthread_mutex_lock(&s->lock);
	store_overtake_prefix_locked(s, prefix, size);
	pthread_mutex_unlock(&s->lock);
}

uint64_t store_flush(struct store *s, struct abi_worker *w, const void *prefix, size_t prefix_size,
	uint64_t *bucket, unsigned n_buckets)
{
	struct found found[FOUND_MAX];
	uint64_t n_removed = 0;
	unsigned n;

	if (!*bucket)
		overtake(s, prefix, prefix_size);
	while (n_buckets--) {
		if (*bucket >= lookup_n_buckets(&s->index.lookup)) {
			*bucket = UINT64_MAX;
			return n_removed;
		}
		rcu_read_lock();
		n = find_in_chain(s, *bucket, prefix, prefix_size, found);
		/* partner: the one behind the grace period in reclaim.c */
		shared_happens_before(&s->limbo);
		rcu_read_unlock();
		n_removed += remove_found(s, w, found, n);
		/* A chain with more than fits is looked at again, it is shorter now. */
		if (n < FOUND_MAX)
			(*bucket)++;
	}
	return n_removed;
}

void store_sweep(struct store *s, struct abi_worker *w, unsigned n)
{
	struct shared_u64 *slot;
	uint64_t cell;

	pthread_mutex_lock(&s->lock);
	for (; n && s->n_expiring; n--) {
		if (n % STORE_HOLD_MAX == 0) {
			/*
			 * Long enough that others get in now and then; no pause, nobody waits for
			 * us.
			 */
			pthread_mutex_unlock(&s->lock);
			pthread_mutex_lock(&s->lock);
		}
		cell = ++s->sweep_cell;
		if (cell >= s->index.n_cells) {
			s->sweep_cell = 0;
			break;
		}
		if (s->index.meta[cell].state != INDEX_PUBLISHED ||
			!store_is_expired(s, (uint32_t)cell))
			continue;
		slot = index_slot_of(&s->index, (uint32_t)cell);
		store_retire_locked(s, slot, (uint32_t)cell, STORE_GONE_EXPIRED);
		store_count(w, ABI_COUNTER_EXPIRED, 1);
	}
	pthread_mutex_unlock(&s->lock);
}

/* --- numbers ---------------------------------------------------------------------------------- */

static void tier_gauges(struct tier *tier, struct abi_plane *plane, enum abi_gauge size_gauge,
	uint64_t *books)
{
	struct shared_u64 *g = &plane->gauge[size_gauge];
	struct block_stats st;

	if (!tier->region)
		return;
	block_stats_get(tier->blocks, &st);
	shared_u64_store(&g[0], tier->size);
	shared_u64_store(&g[1], st.used);
	shared_u64_store(&g[2], st.largest_free);
	shared_u64_store(&g[3], tier->n_entries);
	*books += st.books_size;
}

_Static_assert(ABI_GAUGE_DRAM_ENTRIES == ABI_GAUGE_DRAM_BYTES + 3 &&
		ABI_GAUGE_CXL_ENTRIES == ABI_GAUGE_CXL_BYTES + 3,
	"the four of a tier stand together");

void store_measure_books(struct store *s)
{
	uint64_t size = 0;
	int i;

	for (i = 0; i < ABI_TIERS; i++)
		if (s->tier[i].policy)
			size += policy_books_size(s->tier[i].policy);
	atomic_store_explicit(&s->policy_books, size, memory_order_relaxed);
}

/* As they were at the start: the kernel moves no page of a bound region later. */
static void placement_gauges(const struct store *s, struct abi_plane *plane)
{
	uint64_t n_unbound = 0, on_node = 0, elsewhere = 0, untold = 0;
	const struct region_placement *p;
	int i;

	for (i = 0; i < ABI_TIERS; i++) {
		if (!s->tier[i].region)
			continue;
		p = region_placement(s->tier[i].region);
		n_unbound += (region_lacks(s->tier[i].region) & REGION_UNBOUND) != 0;
		on_node += p->on_node;
		elsewhere += p->elsewhere;
		untold += p->untold;
	}
	shared_u64_store(&plane->gauge[ABI_GAUGE_UNBOUND_TIERS], n_unbound);
	shared_u64_store(&plane->gauge[ABI_GAUGE_PLACED_BYTES], on_node);
	shared_u64_store(&plane->gauge[ABI_GAUGE_MISPLACED_BYTES], elsewhere);
	shared_u64_store(&plane->gauge[ABI_GAUGE_UNPLACED_BYTES], untold);
}

void store_gauges(struct store *s, struct abi_plane *plane)
{
	uint64_t books, limbo = 0;
	int i;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < ABI_TIERS; i++)
		limbo += s->tier[i].limbo_size;
	books = index_books_size(&s->index) + s->limbo.n * sizeof(*s->limbo.cell);
	tier_gauges(&s->tier[ABI_TIER_DRAM], plane, ABI_GAUGE_DRAM_BYTES, &books);
	tier_gauges(&s->tier[ABI_TIER_CXL], plane, ABI_GAUGE_CXL_BYTES, &books);
	placement_gauges(s, plane);
	shared_u64_store(&plane->gauge[ABI_GAUGE_ENTRIES], s->index.n_entries);
	shared_u64_store(&plane->gauge[ABI_GAUGE_INDEX_BYTES], index_size(&s->index));
	shared_u64_store(&plane->gauge[ABI_GAUGE_PINNED_BYTES], s->pinned_size);
	shared_u64_store(&plane->gauge[ABI_GAUGE_RESERVED_BYTES], s->reserved_size);
	shared_u64_store(&plane->gauge[ABI_GAUGE_LIMBO_BYTES], limbo);
	shared_u64_store(&plane->gauge[ABI_GAUGE_HELD_BYTES], s->held_size);
	shared_u64_store(&plane->gauge[ABI_GAUGE_BOOKS_BYTES], books + s->policy_books);
	pthread_mutex_unlock(&s->lock);
}

/* --- the check -------------------------------------------------------------------------------- */

#define FINDING(...) (snprintf(why, why_size, __VA_ARGS__), -EUCLEAN)

/* Taken out of its policy for a while: see store-move.c. */
static bool is_moving(const struct store *s, uint32_t cell)
{
	const struct store_move *move;

	for (move = s->moves; move; move = move->next)
		if (move->from == cell)
			return true;
	return false;
}

static int check_cell(struct store *s, uint32_t cell, uint64_t *n_published, char *why,
	size_t why_size)
{
	const struct index_meta *meta = &s->index.meta[cell];
	const struct abi_record *r = &s->index.cell[cell];
	uint32_t block = index_block(&s->index, cell);
	struct tier *tier;

	if (meta->state != INDEX_PUBLISHED && meta->state != INDEX_RETIRED &&
		meta->state != INDEX_OPEN && meta->state != INDEX_SPOILED)
		return 0;
	/* Open, and its room is being made. */
	if (meta->state == INDEX_OPEN && !block)
		return 0;
	if (r->tier >= ABI_TIERS || !s->tier[r->tier].region)
		return FINDING("cell %u: no such tier %u", cell, r->tier);
	tier = &s->tier[r->tier];
	if (block_owner(tier->blocks, block) != cell)
		return FINDING("cell %u: its block %u belongs to cell %u", cell, block,
			block_owner(tier->blocks, block));
	if (block_offset(tier->blocks, block) != r->value_off ||
		block_size(tier->blocks, block) < r->value_size)
		return FINDING("cell %u: record and block disagree", cell);
	if (meta->state != INDEX_PUBLISHED)
		return 0;
	++*n_published;
	if (!index_slot_of(&s->index, cell))
		return FINDING("cell %u: published, and no slot names it", cell);
	if (policy_resident(tier->policy, cell) == (meta->n_pins != 0) && !is_moving(s, cell))
		return FINDING("cell %u: %u pins, and the policy disagrees", cell, meta->n_pins);
	return 0;
}

static int check_locked(struct store *s, char *why, size_t why_size)
{
	uint64_t n_published = 0, n_blocks = 0, n_owned = 0, i;
	struct block_stats st;
	int t, r;

	for (i = 1; i < s->index.n_cells; i++) {
		r = check_cell(s, (uint32_t)i, &n_published, why, why_size);
		if (r)
			return r;
		n_owned += s->index.meta[i].state >= INDEX_OPEN && index_block(&s->index, (uint32_t)i);
	}
	for (t = 0; t < ABI_TIERS; t++) {
		if (!s->tier[t].region)
			continue;
		r = block_check(s->tier[t].blocks, why, why_size);
		if (r)
			return r;
		block_stats_get(s->tier[t].blocks, &st);
		n_blocks += st.n_used;
	}
	if (n_published != s->index.n_entries)
		return FINDING("%llu published cells, %llu entries", (unsigned long long)n_published,
			(unsigned long long)s->index.n_entries);
	if (n_blocks != n_owned)
		return FINDING("%llu blocks in use, %llu records", (unsigned long long)n_blocks,
			(unsigned long long)n_owned);
	return 0;
}

int store_check(struct store *s, char *why, size_t why_size)
{
	int r;

	pthread_mutex_lock(&s->lock);
	r = check_locked(s, why, why_size);
	pthread_mutex_unlock(&s->lock);
	return r;
}
