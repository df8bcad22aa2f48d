/* SPDX-License-Identifier: Apache-2.0 */
/* store.c: the requests that change what is stored. */
#include <string.h>
#include <time.h>

#include "shmcache/guard.h"
#include "shmcache/store.h"

/*
 * One lock guards index, allocators, policies and limbo. With one worker, the default, nobody ever
 * waits for it; with several it is held for well under a microsecond at a time: large copies, grace
 * periods and scans happen outside. What needs no change of the index (reads, misses, a long walk)
 * happens in liburcu read sections, without it.
 *
 * A put is: open a record (nobody can find it), give it a block, copy, publish. Making room may let
 * go of the lock, so what was known of the key before is looked up again after.
 */
#define COPY_LOCKED_MAX 4096 /* bytes copied with the lock held, cheaper than taking it twice */

uint64_t store_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t store_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* A time to live that would overflow is as good as none. */
static uint64_t expire_at(uint64_t ttl_ms)
{
	return !ttl_ms || ttl_ms > ABI_RECORD_OPEN / 2 ? 0 : store_now_ms() + ttl_ms;
}

/* --- parts ------------------------------------------------------------------------------------ */

void store_limbo_locked(struct store *s, uint32_t cell)
{
	if (abi_record_expire_ms(&s->index.cell[cell]))
		s->n_expiring--;
	if (s->index.meta[cell].n_pins) {
		s->pinned_size -= store_block_size(s, cell);
		s->index.meta[cell].n_pins = 0;
	}
	store_tier_of(s, cell)->n_entries--;
	store_tier_of(s, cell)->limbo_size += store_block_size(s, cell);
	s->limbo.cell[s->limbo.n] = cell;
	/* Atomic for store_has_limbo(). */
	__atomic_store_n(&s->limbo.n, s->limbo.n + 1, __ATOMIC_RELAXED);
}

uint64_t store_limbo_size_locked(struct store *s, unsigned tier, uint32_t cell)
{
	return cell < s->index.n_cells && s->index.meta[cell].state == INDEX_RETIRED &&
			s->index.cell[cell].tier == tier
		? store_block_size(s, cell)
		: 0;
}

void store_retire_locked(
	struct store *s, struct shared_u64 *slot, uint32_t cell, enum store_gone how)
{
	struct policy *policy = store_tier_of(s, cell)->policy;

	index_remove(&s->index, slot);
	store_event_locked(s, how == STORE_GONE_EVICTED ? EVENT_EVICTED : EVENT_DELETED,
		how == STORE_GONE_EXPIRED ? EVENT_EXPIRED : 0, cell);
	if (how == STORE_GONE_EVICTED)
		policy_evict(policy, cell);
	else
		policy_remove(policy, cell);
	store_limbo_locked(s, cell);
}

struct policy_entry store_policy_entry(struct store *s, uint32_t cell, uint64_t hash)
{
	struct abi_hints hints;

	lookup_record_hints(&s->index.lookup, &s->index.cell[cell], &hints);
	return (struct policy_entry){.hash = hash,
		.size = store_block_size(s, cell),
		.group = hints.group,
		.position = hints.position,
		.priority = (uint8_t)hints.priority};
}

void store_admit_locked(struct store *s, uint32_t cell, uint64_t hash, bool is_unproven)
{
	struct policy_entry e = store_policy_entry(s, cell, hash);

	e.is_unproven = is_unproven;
	tiering_forget(&s->tiering, cell);
	policy_insert(store_tier_of(s, cell)->policy, cell, &e);
}

void store_free_locked(struct store *s, uint32_t cell)
{
	block_free(store_tier_of(s, cell)->blocks, index_block(&s->index, cell));
	index_free(&s->index, cell);
}

/*
 * The entry of @key, if it has not expired. Without a @w to count it by, one that has is left to
 * the sweep.
 */
static struct shared_u64 *find_live(
	struct store *s, struct abi_worker *w, const struct index_key *key, uint32_t *cell)
{
	struct shared_u64 *slot = index_find(&s->index, key, cell);

	if (!slot || !store_is_expired(s, *cell))
		return slot;
	if (w) {
		store_retire_locked(s, slot, *cell, STORE_GONE_EXPIRED);
		store_count(w, ABI_COUNTER_EXPIRED, 1);
	}
	return NULL;
}

static enum abi_status refuse(struct abi_worker *w, enum abi_status status)
{
	if (status == ABI_STATUS_NOSPACE)
		store_count(w, ABI_COUNTER_NOSPACE, 1);
	return status;
}

/* A block for an open record, in one tier or the other. May let go of the lock. */
static enum abi_status place_locked(struct store *s, struct abi_worker *w, uint32_t cell,
	uint64_t size, const struct tier_choice *choice, unsigned n,
	const struct policy_entry *incoming)
{
	enum abi_status status = ABI_STATUS_NOSPACE;
	unsigned i;

	for (i = 0; i < n && status == ABI_STATUS_NOSPACE; i++)
		status = store_room_locked(s, w, choice[i], size, cell, incoming);
	if (tiering_wants_demotion(&s->tiering, &s->tier[ABI_TIER_DRAM])) {
		s->tiering.is_asked = true;
		pthread_cond_signal(&s->move_wanted);
	}
	return status;
}

enum abi_status store_make_locked(struct store *s, struct abi_worker *w,
	const struct index_key *key, const struct store_put_options *o, uint64_t size,
	uint32_t *out)
{
	struct policy_entry incoming = {key->hash, size, o->hints.group, o->hints.position,
		(uint8_t)o->hints.priority, false};
	struct tier_choice choice[TIER_CHOICES_MAX];
	unsigned n_choices = tier_choose(s->tier, &s->tiering.options, o->tier, size, choice);
	struct abi_record *r;
	enum abi_status status;
	unsigned i;
	uint32_t cell;
	/* A long key wants as many cells as there may be entries of one cell evicted at a time. */
	int tries = 8 + (int)(key->size / ABI_TAIL_BYTES);

	if (!n_choices || size > ABI_VALUE_SIZE_MAX)
		return ABI_STATUS_TOO_BIG;
	for (i = 0; o->only_free && i < n_choices; i++)
		choice[i].how = TIER_ROOM_FREE;
	while (index_open(&s->index, key, &o->hints, &cell))
		if (o->only_free || !tries-- || !store_index_room_locked(s, w))
			return refuse(w, ABI_STATUS_NOSPACE);
	status = place_locked(s, w, cell, size, choice, n_choices, &incoming);
	if (status != ABI_STATUS_OK) {
		index_free(&s->index, cell);
		return refuse(w, status);
	}
	r = &s->index.cell[cell];
	r->value_size = (uint32_t)size;
	index_mark_open(&s->index, cell, expire_at(o->ttl_ms));
	*out = cell;
	return ABI_STATUS_OK;
}

enum abi_status store_publish_locked(struct store *s, struct abi_worker *w, uint32_t cell,
	const struct index_key *key, bool if_absent, bool is_unproven)
{
	uint32_t old;
	struct shared_u64 *slot = find_live(s, w, key, &old);

	if (s->index.meta[cell].state == INDEX_SPOILED) {
		store_free_locked(s, cell);
		return ABI_STATUS_DAMAGED;
	}
	if (slot && if_absent) {
		store_free_locked(s, cell);
		return ABI_STATUS_EXISTS;
	}
	if (slot) {
		policy_remove(store_tier_of(s, old)->policy, old);
		index_replace(&s->index, slot, cell, key->hash);
		store_limbo_locked(s, old);
		store_count(w, ABI_COUNTER_REPLACES, 1);
	} else if (index_insert(&s->index, cell, key->hash) &&
		(!store_chain_room_locked(s, w, key->hash) ||
			index_insert(&s->index, cell, key->hash))) {
		store_free_locked(s, cell);
		return refuse(w, ABI_STATUS_NOSPACE);
	}
	if (abi_record_expire_ms(&s->index.cell[cell]))
		s->n_expiring++;
	store_tier_of(s, cell)->n_entries++;
	store_admit_locked(s, cell, key->hash, is_unproven);
	store_event_locked(s, EVENT_STORED, slot ? EVENT_REPLACED : 0, cell);
	return ABI_STATUS_OK;
}

/* The same on behalf of a client: what is on its way from elsewhere comes too late. */
static enum abi_status publish_put_locked(struct store *s, struct abi_worker *w, uint32_t cell,
	const struct index_key *key, bool if_absent)
{
	enum abi_status status = store_publish_locked(s, w, cell, key, if_absent, false);

	if (status == ABI_STATUS_OK) {
		store_overtake_locked(s, key);
		store_count(w, ABI_COUNTER_PUTS, 1);
		store_count(w, ABI_COUNTER_PUT_BYTES, s->index.cell[cell].value_size);
	}
	return status;
}

/* --- put, reserve, commit --------------------------------------------------------------------- */

enum abi_status store_put(struct store *s, struct abi_worker *w, const struct index_key *key,
	const struct store_put_options *o, const void *value, uint64_t size)
{
	enum abi_status status;
	uint64_t begin_ns;
	uint32_t cell;
	bool whole;

	pthread_mutex_lock(&s->lock);
	if (o->if_absent && find_live(s, w, key, &cell))
		status = ABI_STATUS_EXISTS;
	else
		status = store_make_locked(s, w, key, o, size, &cell);
	if (status != ABI_STATUS_OK)
		goto out;
	if (size <= COPY_LOCKED_MAX) {
		whole = guard_copy(store_value(s, cell), value, size);
	} else {
		/* The record is open: nobody else touches it or its block. */
		pthread_mutex_unlock(&s->lock);
		begin_ns = store_now_ns();
		whole = guard_copy(store_value(s, cell), value, size);
		store_time(w, ABI_STAGE_COPY, begin_ns);
		pthread_mutex_lock(&s->lock);
	}
	if (whole) {
		status = publish_put_locked(s, w, cell, key, o->if_absent);
	} else {
		store_free_locked(s, cell);
		status = ABI_STATUS_DAMAGED;
	}
out:
	pthread_mutex_unlock(&s->lock);
	return status;
}

enum abi_status store_reserve(struct store *s, struct abi_worker *w, const struct index_key *key,
	const struct store_put_options *o, uint64_t size, uint32_t *cell)
{
	enum abi_status status;

	pthread_mutex_lock(&s->lock);
	if (o->if_absent && find_live(s, w, key, cell))
		status = ABI_STATUS_EXISTS;
	else
		status = store_make_locked(s, w, key, o, size, cell);
	if (status == ABI_STATUS_OK) {
		s->reserved_size += store_block_size(s, *cell);
		store_count(w, ABI_COUNTER_RESERVES, 1);
	}
	pthread_mutex_unlock(&s->lock);
	return status;
}

enum abi_status store_commit(struct store *s, struct abi_worker *w, uint32_t cell, bool if_absent)
{
	char buffer[ABI_KEY_SIZE_MAX];
	struct index_key key = index_key_of(&s->index, cell, buffer);
	enum abi_status status;

	pthread_mutex_lock(&s->lock);
	s->reserved_size -= store_block_size(s, cell);
	status = publish_put_locked(s, w, cell, &key, if_absent);
	if (status == ABI_STATUS_OK)
		store_count(w, ABI_COUNTER_COMMITS, 1);
	pthread_mutex_unlock(&s->lock);
	return status;
}

void store_abort(struct store *s, uint32_t cell)
{
	pthread_mutex_lock(&s->lock);
	s->reserved_size -= store_block_size(s, cell);
	store_free_locked(s, cell);
	pthread_mutex_unlock(&s->lock);
}

enum abi_status store_write(
	struct store *s, uint32_t cell, uint64_t off, const void *from, uint64_t size)
{
	return guard_copy(store_value(s, cell) + off, from, size) ? ABI_STATUS_OK : ABI_STATUS_DAMAGED;
}

/* --- delete, touch, pin ----------------------------------------------------------------------- */

enum abi_status store_delete(struct store *s, struct abi_worker *w, const struct index_key *key)
{
	enum abi_status status = ABI_STATUS_MISS;
	struct shared_u64 *slot;
	uint32_t cell;

	pthread_mutex_lock(&s->lock);
	store_overtake_locked(s, key);
	slot = find_live(s, w, key, &cell);
	if (slot) {
		store_retire_locked(s, slot, cell, STORE_GONE_REMOVED);
		store_count(w, ABI_COUNTER_DELETES, 1);
		status = ABI_STATUS_OK;
	}
	pthread_mutex_unlock(&s->lock);
	return status;
}

bool store_exists(struct store *s, const struct index_key *key)
{
	uint32_t cell;
	bool exists;

	pthread_mutex_lock(&s->lock);
	exists = find_live(s, NULL, key, &cell) != NULL;
	pthread_mutex_unlock(&s->lock);
	return exists;
}

enum abi_status store_touch(struct store *s, const struct index_key *key, uint64_t ttl_ms)
{
	enum abi_status status = ABI_STATUS_MISS;
	struct shared_u64 *expire;
	uint64_t at;
	uint32_t cell;

	pthread_mutex_lock(&s->lock);
	if (find_live(s, NULL, key, &cell)) {
		expire = &s->index.cell[cell].expire_ms;
		at = expire_at(ttl_ms);
		store_overtake_locked(s, key);
		s->n_expiring += (at != 0) - (shared_u64_load(expire) != 0);
		shared_u64_store(expire, at);
		policy_hit(store_tier_of(s, cell)->policy, cell);
		status = ABI_STATUS_OK;
	}
	pthread_mutex_unlock(&s->lock);
	return status;
}

enum abi_status store_pin(
	struct store *s, const struct index_key *key, uint64_t *pin, uint64_t *size)
{
	enum abi_status status = ABI_STATUS_MISS;
	struct index_meta *meta;
	uint32_t cell;

	pthread_mutex_lock(&s->lock);
	if (find_live(s, NULL, key, &cell)) {
		meta = &s->index.meta[cell];
		*size = store_block_size(s, cell);
		*pin = store_reservation(s, cell);
		status = meta->n_pins == INDEX_PINS_MAX ? ABI_STATUS_QUOTA : ABI_STATUS_OK;
		/* What is pinned is no candidate: the policy forgets it until the last unpin. */
		if (status == ABI_STATUS_OK && !meta->n_pins++) {
			policy_remove(store_tier_of(s, cell)->policy, cell);
			s->pinned_size += *size;
		}
	}
	pthread_mutex_unlock(&s->lock);
	return status;
}

/* The cell that @pin names, if it is published still, else 0. */
static uint32_t pinned_cell(struct store *s, uint64_t pin)
{
	uint32_t cell = (uint32_t)pin;

	return cell < s->index.n_cells && s->index.meta[cell].state == INDEX_PUBLISHED &&
				s->index.meta[cell].n_pins && store_reservation(s, cell) == pin
			? cell
			: 0;
}

uint64_t store_unpin(struct store *s, uint64_t pin)
{
	char buffer[ABI_KEY_SIZE_MAX];
	uint64_t size = 0;
	uint32_t cell;

	pthread_mutex_lock(&s->lock);
	cell = pinned_cell(s, pin);
	if (cell) {
		size = store_block_size(s, cell);
		if (!--s->index.meta[cell].n_pins) {
			s->pinned_size -= size;
			store_admit_locked(s, cell, index_key_of(&s->index, cell, buffer).hash, false);
		}
	}
	pthread_mutex_unlock(&s->lock);
	return size;
}

bool store_pin_is_alive(struct store *s, uint64_t pin)
{
	bool alive;

	pthread_mutex_lock(&s->lock);
	alive = pinned_cell(s, pin) != 0;
	pthread_mutex_unlock(&s->lock);
	return alive;
}

bool store_pin_is_of(struct store *s, uint64_t pin, const struct index_key *key)
{
	uint32_t cell, found;
	bool same;

	pthread_mutex_lock(&s->lock);
	cell = pinned_cell(s, pin);
	same = cell && index_find(&s->index, key, &found) && found == cell;
	pthread_mutex_unlock(&s->lock);
	return same;
}

static void hit_locked(struct store *s, struct abi_worker *w, uint32_t cell)
{
	const struct abi_record *r = &s->index.cell[cell];
	bool is_refused;

	policy_hit(s->tier[r->tier].policy, cell);
	store_event_locked(s, EVENT_ACCESSED, 0, cell);
	if (r->tier != ABI_TIER_CXL)
		return;
	if (tiering_hit(&s->tiering, cell, r->generation, &is_refused))
		pthread_cond_signal(&s->move_wanted);
	else if (is_refused)
		store_count(w, ABI_COUNTER_PROMOTIONS_REFUSED, 1);
}

unsigned store_hits(struct store *s, struct abi_worker *w, const uint32_t *cells, unsigned n)
{
	unsigned i, counted = 0;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < n; i++) {
		if (!cells[i] || cells[i] >= s->index.n_cells ||
			s->index.meta[cells[i]].state != INDEX_PUBLISHED)
			continue;
		counted++;
		hit_locked(s, w, cells[i]);
	}
	pthread_mutex_unlock(&s->lock);
	return counted;
}
