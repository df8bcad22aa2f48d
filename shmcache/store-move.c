/* SPDX-License-Identifier: Apache-2.0 */
/* store-move.c: entries change tiers, and no reader notices. */
#include "shmcache/guard.h"
#include "shmcache/store.h"

/*
 * A move is a replacement by the same value: an open record of the same key with a block in the
 * other tier, a copy, and one store that swaps the slot's word. Who holds the old record keeps
 * reading the old block until he lets go, for it is retired like any other; who comes in the middle
 * finds the old word or the new one. So nothing about readers is new here, and what
 * docs/concurrency.md says of a replacement holds.
 *
 * What is new is that nobody asked for it. In the time of the copy, without the lock, the entry may
 * be deleted, replaced, touched, pinned, evicted, or its tier may lose pages. The mover looks again
 * under the lock, and gives up if the entry is not what it was: the request that came in between
 * has won. What a touch changed, the time of expiry, is taken over at the swap and not before.
 *
 * Three more things are seen to:
 *
 *   - The block that is copied must stay. Broker threads take no holds, and a grace period must not
 *     wait for a copy of 1 GiB, so the move stands on the store's list and reclaim.c takes what is
 *     there for held.
 *   - Nobody else may choose the same victim meanwhile: it is taken out of its policy at the start,
 *     and given back if the move comes to nothing.
 *   - Values are immutable once published. A writer can still write to the block (the role is trusted
 *     with bytes), but it can't expect a later write to reach the copy.
 *
 * Pinned entries stay where they are. Entries that have expired are dropped, not moved.
 *
 * Small entries go by the batch: one turn of the lock for choosing, one for swapping, one system
 * call between them to see that the tier lost no pages under the copies.
 */
#define BATCH_MAX 64
#define BATCH_SIZE (256U << 10) /* begun moves; the last one may exceed it */
#define STEP_SIZE (8U << 20)	/* of the mover, between two looks at what is wanted */
#define VICTIMS_MAX 4096	/* that a promotion may displace in one try */
#define PROMOTE_TRIES 2		/* more than the first */

struct batch {
	struct store_move move[BATCH_MAX];
	unsigned n;
	uint64_t size;
};

static bool is_same(const struct store *s, uint32_t cell, uint32_t generation)
{
	return s->index.meta[cell].state == INDEX_PUBLISHED &&
		s->index.cell[cell].generation == generation;
}

/* --- one move --------------------------------------------------------------------------------- */

static void list_add(struct store *s, struct store_move *move)
{
	move->next = s->moves;
	move->link = &s->moves;
	if (move->next)
		move->next->link = &move->next;
	s->moves = move;
}

static void list_remove(struct store_move *move)
{
	*move->link = move->next;
	if (move->next)
		move->next->link = move->link;
}

/* The entry stays, and is its policy's again, unless somebody has pinned or readmitted it. */
static void give_back(struct store *s, const struct store_move *move)
{
	struct policy *policy = store_tier_of(s, move->from)->policy;
	char buffer[ABI_KEY_SIZE_MAX];
	struct policy_entry e;

	if (!is_same(s, move->from, move->generation) || s->index.meta[move->from].n_pins ||
		policy_resident(policy, move->from))
		return;
	e = store_policy_entry(s, move->from, index_key_of(&s->index, move->from, buffer).hash);
	policy_give(policy, move->from, &e, &move->carried);
}

/* Is it an entry that its policy may name, and not a pinned one, or one that moves already? */
static bool is_free_to_go(struct store *s, uint32_t cell, uint32_t generation)
{
	return is_same(s, cell, generation) &&
		policy_resident(store_tier_of(s, cell)->policy, cell);
}

/* An open record of the same key, hints included. May let go of the lock. */
static bool open_copy(struct store *s, struct abi_worker *w, uint32_t from, uint32_t *to)
{
	uint32_t generation = s->index.cell[from].generation;
	char buffer[ABI_KEY_SIZE_MAX];
	struct index_key key = index_key_of(&s->index, from, buffer);
	struct abi_hints hints;
	int tries = 2 + (int)(key.size / ABI_TAIL_BYTES);

	lookup_record_hints(&s->index.lookup, &s->index.cell[from], &hints);
	while (index_open(&s->index, &key, &hints, to))
		if (!tries-- || !store_index_room_locked(s, w))
			return false;
	if (is_free_to_go(s, from, generation))
		return true;
	index_free(&s->index, *to);
	return false;
}

/* Record and block for the copy of @from; false: there is no room. May let go of the lock. */
static bool begin(struct store *s, struct abi_worker *w, struct store_move *move, uint32_t from,
	struct tier_choice choice)
{
	uint32_t size = s->index.cell[from].value_size;
	char buffer[ABI_KEY_SIZE_MAX];
	struct policy_entry incoming;

	if (!open_copy(s, w, from, &move->to))
		return false;
	incoming = store_policy_entry(s, from, index_key_of(&s->index, from, buffer).hash);
	move->from = from;
	move->generation = s->index.cell[from].generation;
	move->is_copied = false;
	policy_take(store_tier_of(s, from)->policy, from, &move->carried);
	list_add(s, move);
	if (store_room_locked(s, w, choice, size, move->to, &incoming) != ABI_STATUS_OK) {
		list_remove(move);
		index_free(&s->index, move->to);
		give_back(s, move);
		return false;
	}
	s->index.cell[move->to].value_size = size;
	index_mark_open(&s->index, move->to, 0);
	return true;
}

/* May the copy take the entry's place? */
static bool is_movable(const struct store *s, const struct store_move *move)
{
	return move->is_copied && is_same(s, move->from, move->generation) &&
		!s->index.meta[move->from].n_pins &&
		s->index.meta[move->to].state == INDEX_OPEN;
}

static void swap(struct store *s, struct store_move *move)
{
	uint64_t expire_ms = abi_record_expire_ms(&s->index.cell[move->from]);
	struct shared_u64 *slot = index_slot_of(&s->index, move->from);
	char buffer[ABI_KEY_SIZE_MAX];
	struct index_key key = index_key_of(&s->index, move->from, buffer);
	struct tier *tier = store_tier_of(s, move->to);
	struct policy_entry e;

	index_mark_open(&s->index, move->to, expire_ms);
	s->n_expiring += expire_ms != 0;
	/* There again if it was pinned and unpinned meanwhile. */
	policy_remove(store_tier_of(s, move->from)->policy, move->from);
	index_replace(&s->index, slot, move->to, key.hash);
	store_limbo_locked(s, move->from);
	tier->n_entries++;
	e = store_policy_entry(s, move->to, key.hash);
	tiering_forget(&s->tiering, move->to);
	policy_give(tier->policy, move->to, &e, &move->carried);
}

static void count_move(struct store *s, struct abi_worker *w, const struct store_move *move)
{
	uint64_t size = s->index.cell[move->to].value_size;
	bool is_down = s->index.cell[move->to].tier == ABI_TIER_CXL;

	store_count(w, is_down ? ABI_COUNTER_DEMOTIONS : ABI_COUNTER_PROMOTIONS, 1);
	store_count(w, is_down ? ABI_COUNTER_DEMOTED_BYTES : ABI_COUNTER_PROMOTED_BYTES, size);
}

/* False when the move came to nothing. */
static bool end(struct store *s, struct abi_worker *w, struct store_move *move)
{
	list_remove(move);
	if (!is_movable(s, move)) {
		store_free_locked(s, move->to);
		give_back(s, move);
		store_count(w, ABI_COUNTER_MOVES_LOST, 1);
		return false;
	}
	swap(s, move);
	count_move(s, w, move);
	return true;
}

/* --- batches ---------------------------------------------------------------------------------- */

/*
 * Copy what was begun, without the lock. Plain memcpy() underneath: stores past the caches were 8
 * to 13 % faster from 1 MiB on and 4 % slower at 64 KiB, which is not worth a copy of our own.
 *
 * The source is guarded too: it may be cut short as well, and then a page may read as 0 where
 * somebody has set its size right again, hence the look after it.
 */
static void copy(struct store *s, struct batch *b)
{
	struct store_move *move;
	uint64_t off = 0;
	unsigned i;

	for (i = 0; i < b->n; i++) {
		move = &b->move[i];
		move->is_copied = guard_copy(store_value(s, move->to), store_value(s, move->from),
			s->index.cell[move->to].value_size);
	}
	/* All of a batch come from one tier. */
	if (b->n && region_is_damaged(store_tier_of(s, b->move[0].from)->region, &off))
		for (i = 0; i < b->n; i++)
			b->move[i].is_copied = false;
}

/* Carry out what was begun. Returns how many bytes of blocks went to limbo; *n_moved: how many. */
static uint64_t carry_out(struct store *s, struct abi_worker *w, struct batch *b, unsigned *n_moved)
{
	uint64_t size = 0, one;
	unsigned i;

	*n_moved = 0;
	if (!b->n)
		return 0;
	pthread_mutex_unlock(&s->lock);
	copy(s, b);
	pthread_mutex_lock(&s->lock);
	for (i = 0; i < b->n; i++) {
		one = store_block_size(s, b->move[i].from);
		if (!end(s, w, &b->move[i]))
			continue;
		size += one;
		++*n_moved;
	}
	return size;
}

/* --- down ------------------------------------------------------------------------------------- */

static uint64_t drop_expired(struct store *s, struct abi_worker *w, uint32_t cell)
{
	uint64_t size = store_block_size(s, cell);

	store_retire_locked(s, index_slot_of(&s->index, cell), cell, STORE_GONE_EXPIRED);
	store_count(w, ABI_COUNTER_EXPIRED, 1);
	return size;
}

static bool begin_down(struct store *s, struct abi_worker *w, struct batch *b, uint32_t cell)
{
	struct tier_choice below = {ABI_TIER_CXL, TIER_ROOM_EVICT};
	uint64_t size = store_block_size(s, cell);

	if (!begin(s, w, &b->move[b->n], cell, below))
		return false;
	b->n++;
	b->size += size;
	return true;
}

/* What has expired needs no move, and what is too large for the tier below has none. */
static bool drop_unmovable(struct store *s, struct abi_worker *w, uint32_t cell, uint64_t *done)
{
	if (store_is_expired(s, cell)) {
		*done += drop_expired(s, w, cell);
		return true;
	}
	if (s->index.cell[cell].value_size <= s->tier[ABI_TIER_CXL].size)
		return false;
	*done += store_block_size(s, cell);
	store_evict_locked(s, w, cell);
	return true;
}

/* May the DRAM tier's next victim make way for @warm (0: for anything)? */
static uint32_t next_victim(struct store *s, uint32_t warm, const struct policy_entry *incoming)
{
	struct policy *above = s->tier[ABI_TIER_DRAM].policy;
	uint32_t victim = policy_victim(above, incoming);

	if (victim && warm && !policy_is_colder(above, victim, s->tier[ABI_TIER_CXL].policy, warm))
		return 0;
	return victim;
}

/* As store_demote_locked(), but only what is colder than @warm in CXL, and a number of entries. */
static uint64_t demote(struct store *s, struct abi_worker *w, uint64_t size, uint32_t warm,
	unsigned n_max, const struct policy_entry *incoming)
{
	struct batch b;
	uint64_t done = 0;
	unsigned n_moved, n = 0;
	bool more = true;
	uint32_t victim;

	while (more && done < size && n < n_max) {
		b.n = 0;
		b.size = 0;
		while (b.n < BATCH_MAX && b.size < BATCH_SIZE && done + b.size < size && n++ < n_max) {
			victim = next_victim(s, warm, incoming);
			more = victim != 0;
			if (more && !drop_unmovable(s, w, victim, &done))
				more = begin_down(s, w, &b, victim);
			if (!more)
				break;
		}
		done += carry_out(s, w, &b, &n_moved);
		/* All changed under the copy: whoever did that is busy, don't race with him. */
		if (b.n && !n_moved)
			break;
	}
	return done;
}

uint64_t store_demote_locked(struct store *s, struct abi_worker *w, uint64_t size,
	const struct policy_entry *incoming)
{
	/* Small ones by the batch: one reclaim round then pays for many puts. */
	return demote(s, w, size < BATCH_SIZE ? BATCH_SIZE : size, 0, UINT32_MAX, incoming);
}

unsigned store_demote_cells_locked(struct store *s, struct abi_worker *w,
	const struct tiering_candidate *cells, unsigned n)
{
	unsigned i = 0, n_moved, n_done = 0;
	struct batch b;
	bool more = true;

	while (more && i < n) {
		b.n = 0;
		b.size = 0;
		for (; more && i < n && b.n < BATCH_MAX && b.size < BATCH_SIZE; i++) {
			if (is_free_to_go(s, cells[i].cell, cells[i].generation))
				more = begin_down(s, w, &b, cells[i].cell);
		}
		carry_out(s, w, &b, &n_moved);
		n_done += n_moved;
	}
	return n_done;
}

/* --- up --------------------------------------------------------------------------------------- */

/* Have at least @size bytes of what is colder than @cell leave the DRAM tier. */
static bool make_way(struct store *s, struct abi_worker *w, uint32_t cell, uint64_t size)
{
	if (demote(s, w, size, cell, VICTIMS_MAX, NULL) < size)
		return false;
	store_reclaim_unlocked(s, w);
	return true;
}

/*
 * Begin to move @cell up, with DRAM at its upper mark at most. What is free there may not lie
 * together, and then more has to leave, but only what is colder: no window is emptied for this.
 */
static bool begin_up(struct store *s, struct abi_worker *w, struct store_move *move, uint32_t cell)
{
	struct tier_choice above = {ABI_TIER_DRAM, TIER_ROOM_FREE};
	uint32_t generation = s->index.cell[cell].generation;
	uint64_t size = store_block_size(s, cell);
	uint64_t used = tier_used(&s->tier[ABI_TIER_DRAM]), max = s->tiering.demote_at;
	int tries;

	if (size > max || (used + size > max && !make_way(s, w, cell, used + size - max)))
		return false;
	for (tries = 0; is_free_to_go(s, cell, generation); tries++) {
		if (begin(s, w, move, cell, above))
			return true;
		if (tries == PROMOTE_TRIES || !make_way(s, w, cell, size))
			return false;
	}
	return false;
}

static bool promote(struct store *s, struct abi_worker *w, uint32_t cell)
{
	uint64_t size = store_block_size(s, cell);
	struct batch b = {.n = 1};
	unsigned n_moved;

	if (!tiering_may_promote(&s->tiering, store_now_ms()) ||
		!begin_up(s, w, &b.move[0], cell))
		return false;
	tiering_pay(&s->tiering, size);
	/* One that is lost is counted as that. */
	carry_out(s, w, &b, &n_moved);
	return true;
}

/* --- the mover -------------------------------------------------------------------------------- */

static bool step_down(struct store *s, struct abi_worker *w)
{
	struct tier *dram = &s->tier[ABI_TIER_DRAM];
	uint64_t over = tier_used(dram) - s->tiering.demote_to;

	if (!demote(s, w, over < STEP_SIZE ? over : STEP_SIZE, 0, UINT32_MAX, NULL)) {
		/* All of it held or pinned, here or below: until somebody asks again. */
		s->tiering.is_demoting = false;
		return false;
	}
	store_reclaim_unlocked(s, w);
	return true;
}

static bool step_up(struct store *s, struct abi_worker *w)
{
	struct tiering_candidate c;

	if (!tiering_next(&s->tiering, &c))
		return false;
	if (!is_same(s, c.cell, c.generation) || s->index.cell[c.cell].tier != ABI_TIER_CXL ||
		s->index.meta[c.cell].n_pins)
		return true;
	if (store_is_expired(s, c.cell))
		drop_expired(s, w, c.cell);
	else if (!promote(s, w, c.cell))
		store_count(w, ABI_COUNTER_PROMOTIONS_REFUSED, 1);
	return true;
}

bool store_move_step(struct store *s, struct abi_worker *w)
{
	bool did = false;

	if (!store_has_cxl(s))
		return false;
	pthread_mutex_lock(&s->lock);
	/* What leaves DRAM now would not come free: it can wait until that is over. */
	if (s->keep == STORE_KEEP_ALL)
		goto out;
	if (tiering_wants_demotion(&s->tiering, &s->tier[ABI_TIER_DRAM]))
		did = step_down(s, w);
	if (!did)
		did = step_up(s, w);
out:
	pthread_mutex_unlock(&s->lock);
	return did;
}

/* What store_move_step() would not touch is not waited for awake: store_keep() tells of the end. */
static bool has_work(const struct store *s)
{
	return s->keep != STORE_KEEP_ALL && (s->tiering.is_asked || s->tiering.n_candidates);
}

bool store_move_wait(struct store *s)
{
	bool goes_on;

	pthread_mutex_lock(&s->lock);
	while (!store_move_is_stopping(s) && !has_work(s))
		pthread_cond_wait(&s->move_wanted, &s->lock);
	s->tiering.is_asked = false;
	goes_on = !store_move_is_stopping(s);
	pthread_mutex_unlock(&s->lock);
	return goes_on;
}

void store_move_stop(struct store *s)
{
	pthread_mutex_lock(&s->lock);
	atomic_store_explicit(&s->is_mover_stopping, true, memory_order_relaxed);
	pthread_cond_signal(&s->move_wanted);
	pthread_mutex_unlock(&s->lock);
}
