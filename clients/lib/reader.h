/* SPDX-License-Identifier: Apache-2.0 */
/* reader.h: the one-sided read: find a record and hold it, without a word to the broker. */
#ifndef CLIENTS_LIB_READER_H
#define CLIENTS_LIB_READER_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "clients/lib/compiler.h"
#include "clients/lib/deadline.h"
#include "clients/lib/hold.h"
#include "clients/shmcache.h"
#include "ipc/abi.h"
#include "ipc/hash.h"
#include "ipc/lookup.h"

/* What a read touches, a lane's own: by its thread alone. */
struct reader {
	struct lookup index;
	struct hold_table holds;
	const struct abi_plane *plane;
	const struct abi_lane_response *response;
	uint64_t epoch;
	const uint8_t *tier[ABI_TIERS];
	bool is_fenced; /* the broker's membarrier(2) does not cover this process */
	/* statistics and access log, ours to write */
	uint32_t log_mask;
	struct shared_u32 *log;
	struct abi_lane_request *request;
	uint64_t logged, hits, cxl_hits, misses;
	enum abi_miss why; /* the last miss was one */
};

/* A record and the cell that holds it, which is to be cleared with hold_clear(). */
struct reader_entry {
	const struct abi_record *record;
	struct shared_u64 *hold;
	uint32_t cell; /* of the record */
};

static hot_inline uint64_t reader_hash(const struct reader *r, const void *key, size_t size)
{
	return hash_bytes(r->index.seed, key, size);
}

/*
 * A bit for each slot whose word has the hash's tag; with tag 0 also the empty ones. Relaxed loads:
 * they choose which slots get a proper look.
 */
static hot_inline unsigned reader_match(const struct abi_bucket *bucket, uint64_t hash)
{
	unsigned i, mask = 0;

	for (i = 0; i < ABI_BUCKET_SLOTS; i++)
		mask |= (unsigned)((shared_u64_load(&bucket->slot[i]) ^ hash) >> 48 == 0) << i;
	return mask;
}

/*
 * Keeps the store of a hold apart from the second load of the slot. Partner: the broker's
 * membarrier(2) between its store of the slot and its scan of the holds; where that doesn't reach
 * us, the fence here pairs with its fence there.
 */
static hot_inline void reader_fence(const struct reader *r)
{
	if (unlikely(r->is_fenced))
		shared_fence();
	else
		shared_compiler_fence();
}

/*
 * Is the broker that honours our holds still the one in charge of the memory? To be asked after the
 * fence: a broker that takes over or cuts us off says so before it stops to look at our cells.
 */
static hot_inline bool reader_is_current(const struct reader *r)
{
	return likely(shared_u64_load_acquire(&r->plane->epoch) == r->epoch) &&
		likely(shared_u32_load_acquire(&r->plane->state) == ABI_STATE_SERVING) &&
		likely(shared_u32_load_acquire(&r->response->fault) == ABI_FAULT_NONE);
}

static hot_inline bool reader_is_expired(const struct abi_record *record)
{
	uint64_t expire_ms = abi_record_expire_ms(record);

	return unlikely(expire_ms) && deadline_clock_coarse_ms() >= expire_ms;
}

/* Outcomes of a hold, besides 0 and SHMC_QUOTA. */
enum { READER_CHANGED = 100 };

/*
 * Hold what @word of @slot names. 0; READER_CHANGED when the slot has changed, SHMC_QUOTA, or
 * -ENOTCONN when the memory has another broker now; the cell is clear then.
 */
static hot_inline int reader_hold(struct reader *r, const struct shared_u64 *slot,
	uint64_t word, struct reader_entry *e)
{
	struct shared_u64 *hold = hold_table_free_cell(&r->holds);

	if (unlikely(!hold))
		return SHMC_QUOTA;
	hold_set(hold, word);
	reader_fence(r);
	/* Acquire; partner: the release in the broker's publish. */
	if (unlikely(shared_u64_load_acquire(slot) != word)) {
		hold_clear(hold);
		return READER_CHANGED;
	}
	if (unlikely(!reader_is_current(r))) {
		hold_clear(hold);
		return -ENOTCONN;
	}
	e->hold = hold;
	e->cell = abi_word_cell(word);
	e->record = &r->index.cell[e->cell];
	return 0;
}

/* Look at the slots of one bucket. 0 when found, SHMC_MISS when not there; else as above. */
static hot_inline int reader_bucket_find(struct reader *r, const struct abi_bucket *bucket,
	const void *key, size_t key_size, uint64_t hash, struct reader_entry *e)
{
	unsigned mask = reader_match(bucket, hash);
	const struct shared_u64 *slot;
	uint64_t word;
	int result;

	for (; mask; mask &= mask - 1) {
		slot = &bucket->slot[__builtin_ctz(mask)];
		/* Acquire; partner: the release in the broker's publish. */
		word = shared_u64_load_acquire(slot);
		if (unlikely(!abi_word_cell(word)))
			continue;
		result = reader_hold(r, slot, word, e);
		if (unlikely(result))
			return result;
		if (likely(lookup_record_matches(&r->index, e->record, key, key_size)))
			return 0;
		hold_clear(e->hold);
	}
	return SHMC_MISS;
}

/*
 * Find the record of @key, whose hash is @hash, and hold it: 0, SHMC_MISS, SHMC_QUOTA, or
 * -ENOTCONN when the memory has another broker now. Leaves no trace in log and statistics.
 */
static hot_inline int reader_find_inline(struct reader *r, const void *key, size_t key_size,
	uint64_t hash, struct reader_entry *e)
{
	const struct abi_bucket *bucket;
	uint64_t idx;
	int result;

	do {
		idx = lookup_bucket_idx(hash, lookup_n_buckets(&r->index));
		bucket = &r->index.bucket[idx];
		do {
			result = reader_bucket_find(r, bucket, key, key_size, hash, e);
			if (likely(result != SHMC_MISS))
				break;
			bucket = lookup_next(&r->index, bucket);
		} while (bucket);
		/*
		 * A split may have moved the word to a bucket that was not there when we began. It
		 * was written there, then the number of buckets, and then cleared here: who saw it
		 * cleared sees the number.
		 */
		if (unlikely(result == SHMC_MISS) &&
			lookup_bucket_idx(hash, lookup_n_buckets_again(&r->index)) != idx)
			result = READER_CHANGED;
	} while (unlikely(result == READER_CHANGED));

	if (result == SHMC_MISS) {
		r->why = ABI_MISS_ABSENT;
		if (unlikely(!reader_is_current(r)))
			return -ENOTCONN;
	}
	if (!result && unlikely(reader_is_expired(e->record))) {
		hold_clear(e->hold);
		r->why = ABI_MISS_EXPIRED;
		return SHMC_MISS;
	}
	return result;
}

/* The same, called. */
int reader_find(struct reader *r, const void *key, size_t key_size, uint64_t hash,
	struct reader_entry *e);

static hot_inline const void *reader_value(
	const struct reader *r, const struct abi_record *record)
{
	return r->tier[record->tier] + record->value_off;
}

/* Tell the policy of a hit, lossily, in an entry of the log that reader_log_publish() shows. */
static hot_inline void reader_log(struct reader *r, uint32_t cell)
{
	shared_u32_store(&r->log[r->logged++ & r->log_mask], cell);
}

static hot_inline void reader_log_publish(struct reader *r)
{
	/* The entries come before. Partner: the broker's acquire when it drains the log. */
	shared_u64_store_release(&r->request->logged, r->logged);
	shared_u64_store(&r->request->hits, r->hits);
}

/* One more hit, in enum abi_tier @tier; to be shown by reader_log_publish(). */
static hot_inline void reader_add_hit(struct reader *r, uint32_t cell, uint8_t tier)
{
	r->hits++;
	if (tier == ABI_TIER_CXL)
		shared_u64_store(&r->request->cxl_hits, ++r->cxl_hits);
	reader_log(r, cell);
}

static hot_inline void reader_count_hit(struct reader *r, uint32_t cell, uint8_t tier)
{
	reader_add_hit(r, cell, tier);
	reader_log_publish(r);
}

/* @n misses for one reason. Those without a hold cell to look with are none, but counted beside. */
static inline void reader_count_misses(struct reader *r, enum abi_miss why, uint64_t n)
{
	r->misses += why == ABI_MISS_HOLDS ? 0 : n;
	shared_u64_store(&r->request->misses, r->misses);
	shared_u64_add(&r->request->miss[why], n);
}

/* What reader_find() answered instead of 0. */
static inline void reader_count_failure(struct reader *r, int result)
{
	if (result == SHMC_MISS)
		reader_count_misses(r, r->why, 1);
	else if (result == SHMC_QUOTA)
		reader_count_misses(r, ABI_MISS_HOLDS, 1);
}

#endif
