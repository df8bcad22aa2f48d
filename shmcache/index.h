/* SPDX-License-Identifier: Apache-2.0 */
/* index.h: the index over all entries: records in shared memory, and the broker's books on them. */
#ifndef SHMCACHE_INDEX_H
#define SHMCACHE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/abi.h"
#include "ipc/hash.h"
#include "ipc/lookup.h"

/*
 * An index serves one writer at a time, the store, which calls everything here under its lock
 * unless a function says otherwise. Readers in other processes use lookup.h and need nothing of
 * this.
 */

enum { INDEX_FULL = 1 }; /* outcome: no memory for another cell or bucket, evict something */

/*
 * Life of a cell. FREE -> OPEN -> PUBLISHED -> RETIRED -> FREE, or OPEN -> FREE, or OPEN -> SPOILED
 * -> FREE, or FREE <-> TAIL.
 */
enum index_state {
	INDEX_FREE = 0,
	INDEX_TAIL,
	INDEX_OPEN,	 /* a record that nobody can find yet */
	INDEX_PUBLISHED, /* a slot names it */
	INDEX_RETIRED,	 /* no slot names it, a reader may hold it */
	INDEX_SPOILED,	 /* open, and bytes of its value were lost: never to be published */
};

/*
 * What the broker knows of a cell. Private memory, touched as cells come into use: six bytes, since
 * there is one for each cell. The two of a bit-field share a byte, and are under the store's lock;
 * @held has a byte of its own, as it is stored without.
 */
struct index_meta {
	uint16_t block_low, block_high; /* index_block() */
	uint8_t state : 3;		/* enum index_state */
	uint8_t n_pins : 5;
	_Atomic uint8_t held; /* number of the last reclaim round that found it held; relaxed */
};

_Static_assert(sizeof(struct index_meta) == 6, "no padding");

#define INDEX_PINS_MAX 31

struct index {
	struct abi_index *head;
	struct abi_bucket *bucket, *overflow;
	struct abi_record *cell;
	struct lookup lookup; /* the same, as readers see it */
	struct index_meta *meta;
	uint64_t n_marks; /* of held cells, ever; by who scans, under the reclaim lock */
	uint32_t *overflow_next; /* the free list of overflow buckets, plus one */
	uint64_t n_cells, n_overflow; /* ever used, the higher ones were never touched */
	uint64_t n_buckets;
	uint32_t free_cell;	/* 0: none */
	uint32_t free_overflow; /* number plus one, 0: none */
	uint32_t generation;	/* of the record opened last */
	uint64_t n_entries;
	uint64_t size_max;  /* of the backed memory, by configuration */
	uint64_t backed;    /* bytes */
	int fd, read_fd;    /* read_fd: opened for reading alone, to hand to clients */
	char name[64];
};

/* A key, hashed. The bytes are the caller's and private to the broker. */
struct index_key {
	const void *data;
	size_t size;
	uint64_t hash;
};

static inline struct index_key index_key(const struct index *ix, const void *data, size_t size)
{
	struct index_key key = {data, size, hash_bytes(ix->lookup.seed, data, size)};

	return key;
}

/*
 * Make a new, empty index under the shared memory name @name, or open the one that is there when
 * @reuse. @size_max bounds the memory that it may take. On failure a sentence is in @why. -EUCLEAN
 * says that what is there can't be reused (another geometry or build, or damage).
 */
int index_create(struct index *ix, const char *name, uint64_t size_max, uint64_t dram_size,
	uint64_t cxl_size, char *why, size_t why_size);
int index_reuse(struct index *ix, const char *name, uint64_t size_max, uint64_t dram_size,
	uint64_t cxl_size, char *why, size_t why_size);
/* Unmap, and unlink when @unlink. */
void index_close(struct index *ix, bool unlink);

/*
 * Where @key is: the slot, and *cell, or NULL. Under the store's lock, or inside a read section of
 * the broker (then the slot may change at any time: use only the cell, and the record as
 * read-only).
 */
struct shared_u64 *index_find(const struct index *ix, const struct index_key *key, uint32_t *cell);

/* The slot that names the published @cell. */
struct shared_u64 *index_slot_of(const struct index *ix, uint32_t cell);

/* The key of a record that is not free, into @buffer of ABI_KEY_SIZE_MAX. */
struct index_key index_key_of(const struct index *ix, uint32_t cell, void *buffer);

/*
 * Make an open record of @key with @hints (NULL: none); the caller fills in where the value is.
 * 0 or INDEX_FULL.
 */
int index_open(struct index *ix, const struct index_key *key, const struct abi_hints *hints,
	uint32_t *cell);

/*
 * An open record has its block now and says so in shared memory: from here to its publication or
 * index_free() it outlives us. The caller has filled in where the value is.
 */
void index_mark_open(struct index *ix, uint32_t cell, uint64_t expire_ms);

/*
 * Publish an open record in a slot of its own; the key must not be there. 0 or INDEX_FULL.
 */
int index_insert(struct index *ix, uint32_t cell, uint64_t hash);

/* Some entry, not pinned, whose slot a key of @hash could have instead; 0 when there is none. */
uint32_t index_chain_cell(const struct index *ix, uint64_t hash);

/* Publish an open record in the slot of another of the same key, which becomes retired. */
void index_replace(struct index *ix, struct shared_u64 *slot, uint32_t cell, uint64_t hash);

/* Take a published record out of its slot; it becomes retired. */
void index_remove(struct index *ix, struct shared_u64 *slot);

/* An open record that is not to be published may have readers: it becomes retired. */
void index_retire_open(struct index *ix, uint32_t cell);

/* Free an open or retired record with its tails. No reader may hold it. */
void index_free(struct index *ix, uint32_t cell);

/* The block of a record, in its tier's allocator; of a free cell: the next free one. */
static inline uint32_t index_block(const struct index *ix, uint32_t cell)
{
	return (uint32_t)ix->meta[cell].block_high << 16 | ix->meta[cell].block_low;
}

static inline void index_set_block(struct index *ix, uint32_t cell, uint32_t block)
{
	ix->meta[cell].block_low = (uint16_t)block;
	ix->meta[cell].block_high = (uint16_t)(block >> 16);
}

/*
 * Note that a hold names @cell, whatever number the client wrote there; and whether one did in
 * @round. Without the lock: reclaim.c orders the two by other means.
 */
static inline void index_mark_held(struct index *ix, uint32_t cell, uint8_t round)
{
	ix->n_marks++;
	/* Only where the books are in use already: no client makes us touch the rest. */
	if (cell < shared_u64_load(&ix->head->n_cells_backed))
		atomic_store_explicit(&ix->meta[cell].held, round, memory_order_relaxed);
}

static inline bool index_is_held(const struct index *ix, uint32_t cell, uint8_t round)
{
	return atomic_load_explicit(&ix->meta[cell].held, memory_order_relaxed) == round;
}

/* Bytes of shared and of private memory in use. */
uint64_t index_size(const struct index *ix);
uint64_t index_books_size(const struct index *ix);

/* --- growing: index-grow.c -------------------------------------------------------------------- */

/* Take a cell or an overflow bucket from the free list or from new memory. 0 or INDEX_FULL. */
int index_cell_take(struct index *ix, uint32_t *cell);
void index_cell_give(struct index *ix, uint32_t cell);
int index_overflow_take(struct index *ix, uint64_t *idx);
void index_overflow_give(struct index *ix, uint64_t idx);

/* Unlink what is empty at the end of the chain that the record in @cell was in. */
void index_trim(struct index *ix, uint32_t cell);

/*
 * Words a bucket, of ABI_BUCKET_SLOTS: about one bucket in four has an overflow bucket then, and
 * one key in sixteen is in it.
 */
#define INDEX_LOAD 6

/* Split buckets until the load is right again. Running out of memory only stops it. */
void index_grow(struct index *ix);

/* Map and bound the arrays; index.c's own, shared with index-recover.c. */
int index_back(struct index *ix, struct shared_u64 *n_backed, uint64_t array_off, uint64_t item,
	uint64_t n_wanted, uint64_t n_max);

/* --- warm start: index-recover.c -------------------------------------------------------------- */

/*
 * Called for each record that was found whole, in no order; returns false to drop it.
 */
typedef bool index_recovered_fn(void *context, uint32_t cell);

struct index_recovery {
	uint64_t n_found, n_dropped;
	uint64_t n_marked; /* records that no slot names and somebody may hold: INDEX_RETIRED */
};

/*
 * Walk a reused index, believing nothing: drop what is not a whole entry, keep what was marked as
 * open or retired, set up the free lists. Where the values lie is the caller's to check, of both
 * kinds. -EUCLEAN when the walk finds the structure itself broken. No reader of this broker exists
 * yet.
 */
int index_recover(struct index *ix, struct index_recovery *out, char *why, size_t why_size);

/* Drop a recovered record (its block turned out to be taken). */
void index_drop(struct index *ix, uint32_t cell);

#endif
