/* SPDX-License-Identifier: Apache-2.0 */
/* store-evict.c: making room. */
#include <stdlib.h>
#include <time.h>

#include "shmcache/store.h"

/*
 * Evicting an entry does not free its block: a reader may hold it. So room is made in steps, each
 * followed by a reclaim round without the lock:
 *
 *	1. what is in limbo anyway, if it would do;
 *	2. the policy's victims, until their bytes would do; small ones by the batch, so that one round
 *	   pays for many puts. Again only if those bytes were held or taken by others;
 *	3. when those bytes do not lie together (the mix of sizes has shifted, or holds are in the
 *	   way): the cheapest window of neighbouring blocks around a victim, or anywhere, regardless
 *	   of the policy. A window with nothing held, pinned or reserved in it always comes free.
 *
 * While all is kept that a former broker made, nothing is evicted: it would not come free.
 *
 * Only when no window is left is the answer NOSPACE. Other workers may take what we freed before we
 * look again; the number of tries is bounded, and each one is theirs or ours to win.
 *
 * Where there is a tier below, the same steps are taken with entries that move there instead of
 * being given up (store-move.c); what that does not make room for is stored below itself, by the
 * caller.
 */
#define TRIES_EVICT 3
#define TRIES_WINDOW 6
#define AHEAD_SIZE (256U << 10) /* bytes evicted ahead at most, where the batch allows more */
#define AHEAD_SHARE 32		/* or that part of the tier, where a scan is dear */
#define WINDOW_MOVES_MAX 16384	 /* entries moved out of one window */

void store_evict_locked(struct store *s, struct abi_worker *w, uint32_t cell)
{
	struct shared_u64 *slot = index_slot_of(&s->index, cell);

	store_count(w, ABI_COUNTER_EVICTIONS, 1);
	store_count(w, ABI_COUNTER_EVICTED_BYTES, s->index.cell[cell].value_size);
	store_retire_locked(s, slot, cell, STORE_GONE_EVICTED);
}

/*
 * How many to evict in one go. A scan of holds costs by their number, and who hoards them must not
 * make every put pay for that: the more there are, the more puts share a scan.
 */
#define HELD_PER_EVICTION 64

static unsigned batch_size(const struct store *s)
{
	uint64_t n = s->n_held / HELD_PER_EVICTION;

	return n > s->batch ? (unsigned)n : s->batch;
}

/*
 * In bytes. While somebody hoards, a small part of the tier stays free, for many puts to share a
 * scan.
 */
static uint64_t ahead_size(const struct store *s, const struct tier *tier)
{
	uint64_t share = tier->size / AHEAD_SHARE;

	return batch_size(s) > s->batch && share > AHEAD_SIZE ? share : AHEAD_SIZE;
}

/*
 * A mutex goes to whoever comes first, and that would be us again, who are awake: hence the pause.
 * It is some 60 us, against the 200 or more of the walk before it.
 */
void store_yield_locked(struct store *s)
{
	pthread_mutex_unlock(&s->lock);
	nanosleep(&(struct timespec){.tv_nsec = 1}, NULL);
	pthread_mutex_lock(&s->lock);
}

/*
 * Evict in the policy's order until @size bytes are on their way; returns the last victim's block.
 */
static uint32_t evict_bytes(struct store *s, struct abi_worker *w, struct tier *tier, uint64_t size,
	const struct policy_entry *incoming)
{
	uint64_t freed = 0, ahead = ahead_size(s, tier);
	unsigned n, batch = batch_size(s);
	uint32_t cell, block = 0;

	for (n = 0; freed < size || (n < batch && freed < ahead); n++) {
		if (n && n % STORE_HOLD_MAX == 0)
			store_yield_locked(s);
		cell = policy_victim(tier->policy, incoming);
		if (!cell)
			break;
		block = index_block(&s->index, cell);
		freed += block_size(tier->blocks, block);
		store_evict_locked(s, w, cell);
	}
	return block;
}

/* --- windows ---------------------------------------------------------------------------------- */

/* What it costs to empty a block: its size, where that is possible at all. */
static uint64_t window_cost(void *context, uint32_t owner, uint64_t size)
{
	const struct store *s = context;
	const struct index_meta *meta = &s->index.meta[owner];

	/* Held in the last round: it would only go to limbo and stay where it is. */
	if (s->round && index_is_held(&s->index, owner, s->round))
		return UINT64_MAX;
	if (meta->state == INDEX_RETIRED)
		return store_is_kept_locked(s, owner, s->keep) ? UINT64_MAX : 0;
	/*
	 * Not in one expression: gcc would make it one load of both fields, and of held between
	 * them, which somebody without the lock may be storing.
	 */
	if (meta->n_pins)
		return UINT64_MAX;
	return meta->state == INDEX_PUBLISHED ? size : UINT64_MAX;
}

/* Let others have the lock. False: the block of @cell is not what it was, the walk can't go on. */
static bool yield_at(struct store *s, uint32_t cell, uint32_t block)
{
	uint32_t generation = s->index.cell[cell].generation;

	store_yield_locked(s);
	return s->index.meta[cell].state == INDEX_PUBLISHED &&
		s->index.cell[cell].generation == generation &&
		index_block(&s->index, cell) == block;
}

/* What is not reached, since others came in between, is left to the next window. */
static void evict_window(
	struct store *s, struct abi_worker *w, struct tier *tier, uint32_t first, uint64_t end)
{
	unsigned n = 0;
	uint32_t block, cell;

	for (block = first; block && block_offset(tier->blocks, block) < end;
		block = block_next(tier->blocks, block)) {
		cell = block_owner(tier->blocks, block);
		if (!cell || s->index.meta[cell].state != INDEX_PUBLISHED)
			continue;
		if (++n % STORE_HOLD_MAX == 0 && !yield_at(s, cell, block))
			break;
		/* Since the window was chosen. */
		if (s->index.meta[cell].n_pins)
			break;
		store_evict_locked(s, w, cell);
		store_count(w, ABI_COUNTER_EVICTIONS_FIT, 1);
	}
}

/* Around @start; if there is none, anywhere in the tier. */
static bool find_window(struct store *s, struct tier *tier, uint32_t start, uint64_t size,
	uint64_t align, uint32_t *first, uint32_t *last)
{
	uint64_t off;

	if (start && !block_window_find(tier->blocks, start, size, align, window_cost, s, first, last))
		return true;
	for (start = block_first(tier->blocks); start;) {
		if (!block_window_find(
			    tier->blocks, start, size, align, window_cost, s, first, last))
			return true;
		off = block_offset(tier->blocks, start) + size;
		while (start && block_offset(tier->blocks, start) < off)
			start = block_next(tier->blocks, start);
	}
	return false;
}

/* Move down what is in a window; false when nothing could be. May let go of the lock. */
static bool demote_window(
	struct store *s, struct abi_worker *w, struct tier *tier, uint32_t first, uint32_t last)
{
	struct tiering_candidate *cells = malloc(WINDOW_MOVES_MAX * sizeof(*cells));
	unsigned n = 0, n_moved;
	uint32_t block, cell;

	for (block = first; cells && block && n < WINDOW_MOVES_MAX;
		block = block_next(tier->blocks, block)) {
		cell = block_owner(tier->blocks, block);
		if (cell && s->index.meta[cell].state == INDEX_PUBLISHED)
			cells[n++] = (struct tiering_candidate){
				cell, s->index.cell[cell].generation};
		if (block == last)
			break;
	}
	n_moved = store_demote_cells_locked(s, w, cells, n);
	free(cells);
	/* A window without entries comes free by reclaim alone. */
	return n_moved || !n;
}

static bool make_window(struct store *s, struct abi_worker *w, struct tier *tier, uint64_t size,
	uint64_t align, bool moves)
{
	uint32_t victim = policy_victim(tier->policy, NULL);
	uint32_t first, last;

	if (!find_window(s, tier, victim ? index_block(&s->index, victim) : 0, size, align, &first,
		    &last))
		return false;
	if (moves)
		return demote_window(s, w, tier, first, last);
	evict_window(s, w, tier, first,
		block_offset(tier->blocks, last) + block_size(tier->blocks, last));
	return true;
}

/* --- room ------------------------------------------------------------------------------------- */

static void drain_unlocked(struct store *s, struct abi_worker *w)
{
	pthread_mutex_unlock(&s->lock);
	s->sessions.drain_logs(s->sessions.context, w);
	pthread_mutex_lock(&s->lock);
}

static int try_block(struct store *s, unsigned tier_idx, uint64_t size, uint64_t align, uint32_t cell)
{
	struct tier *tier = &s->tier[tier_idx];
	struct abi_record *r = &s->index.cell[cell];
	uint32_t block;
	int status = block_alloc(tier->blocks, size, align, cell, &block);

	if (status)
		return status;
	index_set_block(&s->index, cell, block);
	r->tier = (uint8_t)tier_idx;
	r->value_off = block_offset(tier->blocks, block);
	return 0;
}

/* Is enough free, if only it lay together? Then more victims of the policy would not help. */
static bool is_scattered(const struct tier *tier, uint64_t size)
{
	struct block_stats st;

	block_stats_get(tier->blocks, &st);
	return st.free >= size;
}

/* Entries of the policy's choice on their way out, one way or the other. False: none. */
static bool give_up_bytes(struct store *s, struct abi_worker *w, struct tier *tier, uint64_t size,
	const struct policy_entry *incoming, bool moves)
{
	if (moves)
		return store_demote_locked(s, w, size, incoming) != 0;
	return evict_bytes(s, w, tier, size, incoming) != 0;
}

/* There was none: make some, and try again. 0, BLOCK_FULL or -errno. */
static int make_room(struct store *s, struct abi_worker *w, struct tier_choice choice, uint64_t size,
	uint64_t align, uint32_t cell, const struct policy_entry *incoming)
{
	struct tier *tier = &s->tier[choice.tier];
	bool moves = choice.how == TIER_ROOM_DEMOTE;
	int i, status = BLOCK_FULL;

	if (tier->limbo_size >= size) {
		store_reclaim_unlocked(s, w);
		status = try_block(s, choice.tier, size, align, cell);
	}
	if (status != BLOCK_FULL || choice.how == TIER_ROOM_FREE || s->keep == STORE_KEEP_ALL)
		return status;
	drain_unlocked(s, w);
	for (i = 0; i < TRIES_EVICT && status == BLOCK_FULL; i++) {
		if ((i && is_scattered(tier, size)) ||
			!give_up_bytes(s, w, tier, size, incoming, moves))
			break;
		store_reclaim_unlocked(s, w);
		status = try_block(s, choice.tier, size, align, cell);
	}
	for (i = 0; i < TRIES_WINDOW && status == BLOCK_FULL; i++) {
		if (!make_window(s, w, tier, size, align, moves))
			break;
		store_reclaim_unlocked(s, w);
		status = try_block(s, choice.tier, size, align, cell);
	}
	return status;
}

enum abi_status store_room_locked(struct store *s, struct abi_worker *w, struct tier_choice choice,
	uint64_t size, uint32_t cell, const struct policy_entry *incoming)
{
	uint64_t align = size >= ABI_VALUE_LARGE ? ABI_VALUE_ALIGN_LARGE : ABI_VALUE_ALIGN;
	int status = try_block(s, choice.tier, size, align, cell);
	uint64_t begin_ns;

	if (status == BLOCK_FULL) {
		begin_ns = store_now_ns();
		status = make_room(s, w, choice, size, align, cell, incoming);
		store_time(w, ABI_STAGE_ROOM, begin_ns);
	}
	if (status < 0)
		return ABI_STATUS_NOMEM;
	return status ? ABI_STATUS_NOSPACE : ABI_STATUS_OK;
}

bool store_index_room_locked(struct store *s, struct abi_worker *w)
{
	uint64_t n_before = s->limbo.n;

	if (s->keep == STORE_KEEP_ALL)
		return false;
	/* Entries leave from below, as long as there are any. */
	if (!(store_has_cxl(s) && evict_bytes(s, w, &s->tier[ABI_TIER_CXL], 1, NULL)) &&
		!evict_bytes(s, w, &s->tier[ABI_TIER_DRAM], 1, NULL) && !n_before)
		return false;
	store_reclaim_unlocked(s, w);
	return true;
}

bool store_chain_room_locked(struct store *s, struct abi_worker *w, uint64_t hash)
{
	uint32_t cell = index_chain_cell(&s->index, hash);

	if (cell)
		store_evict_locked(s, w, cell);
	return cell != 0;
}
