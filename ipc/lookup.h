/* SPDX-License-Identifier: Apache-2.0 */
/* lookup.h: reading the index: where a key's words are, and whether a record is the key's. */
#ifndef IPC_LOOKUP_H
#define IPC_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "ipc/abi.h"

/* A mapped index, seen by a reader. */
struct lookup {
	const struct abi_index *head;
	const struct abi_bucket *bucket;
	const struct abi_bucket *overflow;
	const struct abi_record *cell; /* abi_tail too */
	uint64_t seed;
};

static inline void lookup_init(struct lookup *l, const void *map)
{
	const struct abi_index *head = map;

	l->head = head;
	l->bucket = (const void *)((const char *)map + head->bucket_off);
	l->overflow = (const void *)((const char *)map + head->overflow_off);
	l->cell = (const void *)((const char *)map + head->cell_off);
	l->seed = head->hash_seed;
}

/*
 * Linear hashing (Litwin, VLDB 1980): with 2^L <= n < 2^(L+1) buckets, the low L+1 bits of the hash
 * name the bucket, or the low L bits where that one is not there yet. n is at least 1.
 */
static inline uint64_t lookup_bucket_idx(uint64_t hash, uint64_t n_buckets)
{
	uint64_t low = (UINT64_C(1) << (63 - __builtin_clzll(n_buckets))) - 1;
	uint64_t idx = hash & (low << 1 | 1);

	return idx < n_buckets ? idx : hash & low;
}

/* How many buckets there are. Acquire; partner: the release in the broker's split. */
static inline uint64_t lookup_n_buckets(const struct lookup *l)
{
	return shared_u64_load_acquire(&l->head->n_buckets);
}

/*
 * The same after a scan that found nothing. The fence keeps the loads of the slots, whatever their
 * order, before this one: who saw a word cleared must see the number that says where it went.
 */
static inline uint64_t lookup_n_buckets_again(const struct lookup *l)
{
	atomic_thread_fence(memory_order_acquire);
	return shared_u64_load_acquire(&l->head->n_buckets);
}

/* The next bucket of a chain, or NULL. Overflow buckets are never reused as anything else. */
static inline const struct abi_bucket *lookup_next(
	const struct lookup *l, const struct abi_bucket *bucket)
{
	/* partner: the release where the broker links an overflow bucket that it has filled */
	uint64_t link = shared_u64_load_acquire(&bucket->link);

	return link ? &l->overflow[link - 1] : NULL;
}

/* The rest of a long key, in the tail cells. */
bool lookup_tail_matches(const struct lookup *l, const struct abi_record *r, const void *key);

/*
 * Is this the record of @key? The record must not be reclaimed meanwhile: the caller holds it, or
 * holds the store's lock, or is in a read section of the broker.
 */
static inline bool lookup_record_matches(
	const struct lookup *l, const struct abi_record *r, const void *key, size_t key_size)
{
	if (r->key_size != key_size)
		return false;
	if (key_size <= ABI_KEY_INLINE)
		return memcmp(r->key, key, key_size) == 0;
	return memcmp(r->key, key, ABI_KEY_INLINE) == 0 && lookup_tail_matches(l, r, key);
}

/* Copy a record's key (r->key_size bytes) to @key. The record must not be reclaimed meanwhile. */
void lookup_record_key(const struct lookup *l, const struct abi_record *r, void *key);

/*
 * How many tail cells a record needs: its hints, if it has some, and the key beyond its own line.
 */
static inline unsigned lookup_n_tails(const struct abi_record *r)
{
	size_t bytes = (r->flags & ABI_RECORD_HINTS ? sizeof(struct abi_hints) : 0) +
		(r->key_size > ABI_KEY_INLINE ? r->key_size - ABI_KEY_INLINE : 0);

	return (unsigned)((bytes + ABI_TAIL_BYTES - 1) / ABI_TAIL_BYTES);
}

/* The hints of a record, zeroes where it has none. */
void lookup_record_hints(
	const struct lookup *l, const struct abi_record *r, struct abi_hints *hints);

#endif
