/* SPDX-License-Identifier: Apache-2.0 */
/* store.h: what the broker keeps: the index, the tiers under it, and what becomes of both. */
#ifndef SHMCACHE_STORE_H
#define SHMCACHE_STORE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "ipc/histogram.h"
#include "shmcache/events.h"
#include "shmcache/index.h"
#include "shmcache/tier.h"

/*
 * One store a broker. All store_ functions take the store's lock themselves, and may be called from
 * any worker thread that is registered with liburcu and in no read section. None blocks on a
 * client. @w is the calling worker's part of the plane, whose counters it bumps.
 *
 * Answers are enum abi_status, the very number that goes into a completion.
 */

/*
 * Retired records, in the order of retirement, until no reader holds them. The array is reserved
 * for twice as many cells as there can be: retiring never fails, not even while a round has freed
 * what it has yet to take off the list.
 */
struct limbo {
	uint32_t *cell;
	uint64_t n;
};

/*
 * A move between tiers that is under way (store-move.c): while it is on the store's list, the block
 * of @from is not freed, whatever becomes of the entry.
 */
struct store_move {
	uint32_t from, generation, to;
	struct policy_carried carried;
	struct store_move *next, **link;
	bool is_copied;
};

/*
 * A value that is being read for somebody else, by a thread of the broker (store-lend.c): while it
 * is on the store's list its block is not freed, whatever becomes of the entry.
 */
struct store_loan {
	uint32_t cell, generation;
	const void *data; /* a writer may change the bytes, or take them away: see guard.h */
	uint64_t size;
	uint64_t ttl_ms; /* what is left of it; 0: it does not expire */
	struct abi_hints hints;
	struct store_loan *next, **link;
};

/* A record that no slot names, for those who asked for its value (store-fill.c). */
struct store_delivery {
	uint64_t reservation;
	unsigned n; /* sessions that have not given it up; and the fill, while there is one */
	struct store_delivery *next;
};

/*
 * A value on its way from elsewhere (store-fill.c). While it is on the store's list, whatever puts,
 * deletes or flushes its key marks it as overtaken, and it is published no more. The caller's
 * memory, between store_fill_begin() and store_fill_end(); its members are the store's.
 */
struct store_fill {
	struct store_fill *next, **link;
	uint64_t hash;
	uint32_t cell; /* the open record, 0: none */
	bool is_overtaken;
	struct store_delivery *delivery; /* of @cell, or NULL */
	uint16_t key_size;
	uint8_t key[ABI_KEY_SIZE_MAX];
};

#define STORE_FILLS 64 /* lists of fills, by hash; power of two */

/* What the store must ask of the sessions. Called without the store's lock. */
struct store_sessions {
	/* index_mark_held() for each cell that a client holds. */
	void (*scan_holds)(void *context, struct index *ix, uint8_t round);
	/* Feed what this worker's clients logged to the policies (takes the lock itself). */
	void (*drain_logs)(void *context, struct abi_worker *w);
	void *context;
};

/* What a former broker made, and must not be freed while its clients can't be asked. */
enum store_keep {
	STORE_KEEP_NOTHING,
	STORE_KEEP_OPEN, /* what was open: a writer may still be filling it */
	STORE_KEEP_ALL,	 /* evicting it is of no use then: a put finds room, or there is none */
};

struct store {
	pthread_mutex_t lock;
	struct index index;
	struct tier tier[ABI_TIERS];
	struct limbo limbo;
	struct tiering tiering;
	struct store_move *moves;
	struct store_loan *loans;
	struct store_fill *fill[STORE_FILLS];
	unsigned n_fills;
	struct store_delivery *deliveries;
	pthread_cond_t move_wanted;	/* there may be work for the mover; with the lock */
	_Atomic bool is_mover_stopping;
	struct store_sessions sessions;
	unsigned batch; /* entries evicted ahead in one go */
	uint64_t n_held; /* hold cells that the last scan found in use */
	uint64_t held_size; /* of retired blocks that its round kept for them, moves and loans */
	bool has_membarrier;
	uint64_t pinned_size, reserved_size;
	uint64_t n_expiring; /* published records with a time to live, about */
	_Atomic uint64_t policy_books; /* bytes, as of the last slow look */
	uint64_t sweep_cell; /* where the sweep for expired entries goes on */

	struct store_events events;

	enum store_keep keep;
	uint32_t former_generation; /* of the last record that a former broker made */

	pthread_mutex_t reclaim_lock; /* one round at a time; taken before the store's lock */
	uint8_t round;
};

/*
 * What a tier lies on. The region's mode is the store's to choose; of size 0: there is no such
 * tier.
 */
struct store_tier_options {
	struct region_options region;
	const char *policy; /* NULL: the default */
};

struct store_options {
	const char *index_name; /* of shared memory */
	uint64_t index_size_max;
	struct store_tier_options tier[ABI_TIERS];
	struct store_tiering tiering;
	unsigned batch;
	bool reuse; /* serve what a former broker left, where it can be served */
};

/* What store_open() did, for the log. */
struct store_opened {
	bool warm;
	char cold_why[256]; /* reuse was asked for, and this was in the way; else empty */
	char lacks[ABI_TIERS][256]; /* of the regions: asked for and not got; else empty */
	struct index_recovery recovery;
	uint64_t n_overlapping;
};

/*
 * Open or make index and tiers. 0, or a negative errno and a sentence in @why; a cold start has
 * then left nothing behind. One thread, before the workers.
 */
int store_open(struct store *store, const struct store_options *options,
	struct store_opened *opened, char *why, size_t why_size);
/* One thread, after the workers. @unlink removes the shared memory objects. */
void store_close(struct store *store, bool unlink);

/* --- requests --------------------------------------------------------------------------------- */

struct store_put_options {
	bool if_absent;
	bool only_free; /* evict nothing for it, move nothing */
	uint8_t tier; /* enum abi_tier, a hint */
	uint64_t ttl_ms;
	struct abi_hints hints;
};

/* An open reservation: the cell and its generation. */
static inline uint64_t store_reservation(const struct store *s, uint32_t cell)
{
	return (uint64_t)s->index.cell[cell].generation << 32 | cell;
}

/* Store @size bytes at @value, which may change under our eyes: they are copied once. */
enum abi_status store_put(struct store *s, struct abi_worker *w, const struct index_key *key,
	const struct store_put_options *options, const void *value, uint64_t size);

/* Make an open record with a block. It is the caller's until store_commit() or store_abort(). */
enum abi_status store_reserve(struct store *s, struct abi_worker *w, const struct index_key *key,
	const struct store_put_options *options, uint64_t size, uint32_t *cell);
enum abi_status store_commit(struct store *s, struct abi_worker *w, uint32_t cell, bool if_absent);
void store_abort(struct store *s, uint32_t cell);
/* Copy into an open record; the caller has checked the range. */
enum abi_status store_write(
	struct store *s, uint32_t cell, uint64_t off, const void *from, uint64_t size);

enum abi_status store_delete(struct store *s, struct abi_worker *w, const struct index_key *key);
/* Is there an entry, and its time is not over? */
bool store_exists(struct store *s, const struct index_key *key);

enum abi_status store_touch(struct store *s, const struct index_key *key, uint64_t ttl_ms);

/*
 * Keep an entry from eviction, counted: each pin wants its unpin. *pin names it, *size is what it
 * keeps. store_unpin() returns the same size, or 0 when the entry is gone meanwhile.
 */
enum abi_status store_pin(
	struct store *s, const struct index_key *key, uint64_t *pin, uint64_t *size);
uint64_t store_unpin(struct store *s, uint64_t pin);
/* Does @pin still name a published entry; and is it that of @key? */
bool store_pin_is_alive(struct store *s, uint64_t pin);
bool store_pin_is_of(struct store *s, uint64_t pin, const struct index_key *key);

/*
 * Delete the entries with @prefix in up to @n_buckets buckets from *bucket on; returns how many,
 * and moves *bucket on; done when it returns with *bucket == UINT64_MAX.
 */
uint64_t store_flush(struct store *s, struct abi_worker *w, const void *prefix, size_t prefix_size,
	uint64_t *bucket, unsigned n_buckets);

/* Note reads of @n cells; numbers that name no entry are ignored. Returns how many counted. */
unsigned store_hits(struct store *s, struct abi_worker *w, const uint32_t *cells, unsigned n);

/*
 * Lend the value of @key: fills in @loan, which stays where it is until store_loan_end(). Counts as
 * a hit. OK or MISS.
 */
enum abi_status store_lend(struct store *s, struct abi_worker *w, const struct index_key *key,
	struct store_loan *loan);
void store_loan_end(struct store *s, struct store_loan *loan);

/* --- values from elsewhere: store-fill.c ------------------------------------------------------ */

/*
 * Begin to watch over @key: before anybody is asked for its value. What is stored under it, deleted
 * or flushed from here on makes the fill a thing of the past. One thread at a time on one fill; the
 * store's other functions may run meanwhile on any thread.
 */
void store_fill_begin(struct store *s, struct store_fill *fill, const struct index_key *key);

/* Has it become one? If nobody has the value, that was so before the change. */
bool store_fill_is_overtaken(struct store *s, const struct store_fill *fill);

/*
 * An open record with a block of @size, at *data, for the caller to write to by way of guard.h.
 * With @only_free nothing is evicted for it. OK, GONE (overtaken: there is no point in going on),
 * NOSPACE, TOO_BIG, NOMEM. Once a fill, or again after store_fill_drop().
 */
enum abi_status store_fill_reserve(struct store *s, struct abi_worker *w, struct store_fill *fill,
	const struct store_put_options *options, uint64_t size, bool only_free, uint8_t **data);

/* Give the block back, to begin anew: what came from one holder was not to be used. */
void store_fill_drop(struct store *s, struct store_fill *fill);

/*
 * Make it the entry of its key. OK; EXISTS: there is one already; GONE: overtaken, and there is
 * none; NOSPACE: in the index; DAMAGED. The block is the entry's or given back. Not after a
 * delivery.
 */
enum abi_status store_fill_publish(struct store *s, struct abi_worker *w, struct store_fill *fill);

/*
 * Leave the filled record to a session, unpublished, and then to others: each delivery wants its
 * store_delivery_end(), and outlives the fill. OK, GONE (overtaken), DAMAGED, NOMEM.
 */
enum abi_status store_fill_deliver(
	struct store *s, struct store_fill *fill, uint64_t *reservation, uint64_t *word);

/*
 * The session has the word in a hold cell, or has no use for it: after the last one the record is
 * retired, and freed when no hold names it.
 */
void store_delivery_end(struct store *s, uint64_t reservation);

/* Watch no more; a block that was neither published nor delivered is given back. */
void store_fill_end(struct store *s, struct store_fill *fill);

/* --- upkeep ----------------------------------------------------------------------------------- */

/* One reclaim round over all that is in limbo; see reclaim.c. */
void store_reclaim(struct store *s, struct abi_worker *w);

/*
 * Can the broker fence for its clients? What it tells them in the plane (fence_needed) and what
 * reclaim relies on must be one answer. Any thread.
 */
bool store_can_membarrier(void);

/*
 * From the next reclaim round on. A table of holds that takes the place of keeping is among those
 * that scan_holds() looks at before this is called.
 */
void store_keep(struct store *s, enum store_keep keep);

/* Is @cell, which is retired, one that is not to be freed? */
bool store_is_kept_locked(const struct store *s, uint32_t cell, enum store_keep keep);

/* Is there something in limbo? Without the lock: a hint. */
bool store_has_limbo(const struct store *s);

/* Bytes of a tier in limbo. */
uint64_t store_limbo_size(struct store *s, unsigned tier);

/* Look at up to @n cells for entries whose time is over, and remove them. */
void store_sweep(struct store *s, struct abi_worker *w, unsigned n);

/* Look how much private memory the policies use. Slow, and without the lock: one thread. */
void store_measure_books(struct store *s);

/* Write the gauges. */
void store_gauges(struct store *s, struct abi_plane *plane);

/* Milliseconds of CLOCK_MONOTONIC, coarse. */
uint64_t store_now_ms(void);

/*
 * The tier lost bytes from @off on: drop the entries that reach there, and see that what is open
 * there is never published. Returns how many were dropped.
 */
uint64_t store_drop_damaged(struct store *s, struct abi_worker *w, unsigned tier, uint64_t off);

/* What store_mend() found and did. */
struct store_mended {
	unsigned tier;
	uint64_t off; /* bytes of the tier were lost from here on; its size: it was grown */
	uint64_t n_dropped;
	int error; /* 0: the tier is whole again; or why not yet */
};

/*
 * See whether a writer has cut a tier short (store-mend.c). False, after one system call a tier,
 * when it has not; else drop what lost bytes, and make that tier whole. The control thread may call
 * it too.
 */
bool store_mend(struct store *s, struct abi_worker *w, struct store_mended *mended);

/*
 * Tell the entries in the next @n cells from *cursor on (0: the first), and move it on; 0 again
 * when that was all. @entry is called without the lock; the key is there during the call.
 */
void store_walk(struct store *s, uint64_t *cursor, unsigned n,
	void (*entry)(void *context, const struct index_key *key), void *context);

/* Check that index, blocks, limbo and policies agree. 0, or -EUCLEAN and the first finding. */
int store_check(struct store *s, char *why, size_t why_size);

/* --- moving between tiers: store-move.c ------------------------------------------------------- */

/*
 * A bounded step of what the tiers want: demotion ahead of need, promotion of what was hit. True
 * when there was something to do, and may be more. Any thread; the mover's all day long (mover.c).
 */
bool store_move_step(struct store *s, struct abi_worker *w);

/* Wait until there may be something to do; false, at once, after store_move_stop(). */
bool store_move_wait(struct store *s);
void store_move_stop(struct store *s);

static inline bool store_move_is_stopping(const struct store *s)
{
	return atomic_load_explicit(&s->is_mover_stopping, memory_order_relaxed);
}

/* --- between the store's own files, under the lock -------------------------------------------- */

/*
 * Block of @size for the open record @cell; makes room as @how allows, and lets go of the lock
 * meanwhile (store-evict.c). On success the record says where the block is.
 */
enum abi_status store_room_locked(struct store *s, struct abi_worker *w, struct tier_choice choice,
	uint64_t size, uint32_t cell, const struct policy_entry *incoming);

/*
 * Move entries of the DRAM tier down in its policy's order, until the blocks that they leave behind
 * add up to @size; lets go of the lock. Those that have expired are dropped. Returns how many bytes
 * of blocks are on their way into limbo, less than @size where no more can be moved.
 */
uint64_t store_demote_locked(struct store *s, struct abi_worker *w, uint64_t size,
	const struct policy_entry *incoming);

/* Move these down, if they are what they were. Returns how many went. */
unsigned store_demote_cells_locked(struct store *s, struct abi_worker *w,
	const struct tiering_candidate *cells, unsigned n);

/* What a policy is to know of the entry in @cell. */
struct policy_entry store_policy_entry(struct store *s, uint32_t cell, uint64_t hash);

static inline bool store_has_cxl(const struct store *s)
{
	return s->tier[ABI_TIER_CXL].region != NULL;
}

/* store_reclaim() in the middle of something: lets go of the lock. */
void store_reclaim_unlocked(struct store *s, struct abi_worker *w);

/* Give the entry in @cell up for room. */
void store_evict_locked(struct store *s, struct abi_worker *w, uint32_t cell);

/* Evict some entries for cells of the index; lets go of the lock. False: none there. */
bool store_index_room_locked(struct store *s, struct abi_worker *w);

/* Evict one entry whose slot a key of @hash can have at once. False: none there. */
bool store_chain_room_locked(struct store *s, struct abi_worker *w, uint64_t hash);

/*
 * Let others have the lock in the middle of a long walk, after STORE_HOLD_MAX records or so.
 * Whatever was known must be looked at again.
 */
void store_yield_locked(struct store *s);
#define STORE_HOLD_MAX 1024

/* Take a published entry out of index and policy, into limbo. */
enum store_gone { STORE_GONE_EVICTED, STORE_GONE_REMOVED, STORE_GONE_EXPIRED };
void store_retire_locked(
	struct store *s, struct shared_u64 *slot, uint32_t cell, enum store_gone how);

/*
 * What was stored, deleted or flushed: fills of @key, or of all keys with a prefix, are overtaken.
 */
void store_overtake_locked(struct store *s, const struct index_key *key);
void store_overtake_prefix_locked(struct store *s, const void *prefix, size_t size);

/* An open record with a block of @size; may let go of the lock. */
enum abi_status store_make_locked(struct store *s, struct abi_worker *w, const struct index_key *key,
	const struct store_put_options *options, uint64_t size, uint32_t *cell);

/*
 * Make an open record the entry of its key; counted as a put by the caller. Whatever the answer,
 * the record is no longer open: published, or freed.
 */
enum abi_status store_publish_locked(struct store *s, struct abi_worker *w, uint32_t cell,
	const struct index_key *key, bool if_absent, bool is_unproven);

/* The size of the block of @cell, any number, if that is in limbo in @tier; else 0. */
uint64_t store_limbo_size_locked(struct store *s, unsigned tier, uint32_t cell);

/* Into limbo with a cell that no slot names any more. */
void store_limbo_locked(struct store *s, uint32_t cell);

/* Enter a published cell in its tier's policy; @is_unproven as in struct policy_entry. */
void store_admit_locked(struct store *s, uint32_t cell, uint64_t hash, bool is_unproven);

/* Free the record and its block at once. */
void store_free_locked(struct store *s, uint32_t cell);

static inline struct tier *store_tier_of(struct store *s, uint32_t cell)
{
	return &s->tier[s->index.cell[cell].tier];
}

/*
 * Where the value of a record that has a block lies; a writer may have cut the tier short: guard.h.
 */
static inline char *store_value(struct store *s, uint32_t cell)
{
	return store_tier_of(s, cell)->base + s->index.cell[cell].value_off;
}

static inline uint64_t store_block_size(struct store *s, uint32_t cell)
{
	return block_size(store_tier_of(s, cell)->blocks, index_block(&s->index, cell));
}

static inline bool store_is_expired(const struct store *s, uint32_t cell)
{
	uint64_t expire_ms = abi_record_expire_ms(&s->index.cell[cell]);

	return expire_ms && expire_ms <= store_now_ms();
}

/* Whoever wants to hear of it is told what happened to a record; see events.h. */
static inline void store_event_locked(
	struct store *s, enum event_kind kind, unsigned flags, uint32_t cell)
{
	if (__builtin_expect((s->events.kinds >> kind) & 1, 0))
		store_tell_locked(s, kind, flags, cell);
}

static inline void store_count(struct abi_worker *w, enum abi_counter counter, uint64_t n)
{
	shared_u64_add(&w->counter[counter], n);
}

/* CLOCK_MONOTONIC, for times that are noted; and note what has passed since @begin_ns. */
uint64_t store_now_ns(void);
static inline void store_time(struct abi_worker *w, enum abi_stage stage, uint64_t begin_ns)
{
	histogram_add(&w->stage_time[stage], store_now_ns() - begin_ns, 1);
}

#endif
