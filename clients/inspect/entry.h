/* SPDX-License-Identifier: Apache-2.0 */
/* entry.h: records of the index, copied out and checked, and the slots that name them. */
#ifndef CLIENTS_INSPECT_ENTRY_H
#define CLIENTS_INSPECT_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "clients/inspect/image.h"

#define ENTRY_TAILS_MAX ((sizeof(struct abi_hints) + ABI_KEY_SIZE_MAX) / ABI_TAIL_BYTES + 1)

/* What is wrong with a record, the first that was found. */
enum entry_flaw {
	ENTRY_WHOLE = 0,
	ENTRY_NO_CELL,	   /* no such cell */
	ENTRY_GENERATION,  /* of another generation than the word */
	ENTRY_KEY_SIZE,
	ENTRY_FLAGS,
	ENTRY_TIER,
	ENTRY_VALUE,	   /* outside its tier, or not aligned, or of no bytes */
	ENTRY_TAIL_RANGE,  /* a tail that is no cell */
	ENTRY_TAIL_COUNT,  /* more or less of them than the key needs */
	ENTRY_TAIL_MARK,   /* a tail that does not say that it is one */
};

/* "the record has another generation than the word" and the like. */
const char *entry_flaw_text(enum entry_flaw flaw);

struct entry {
	uint64_t word;
	uint32_t cell, generation;
	uint64_t value_off;
	uint32_t value_size;
	uint8_t tier, flags;
	uint64_t expire_ms, marks; /* ABI_RECORD_... */
	uint16_t key_size;
	unsigned n_tails;
	uint32_t tail[ENTRY_TAILS_MAX]; /* their cells */
	struct abi_hints hints;
	uint64_t hash;
	uint8_t key[ABI_KEY_SIZE_MAX];
};

/*
 * Copy the record that @word names, and what belongs to it. ENTRY_WHOLE when it is one; then, of a
 * live index, it is only what it seems if @word is in its slot still. On a flaw, what of @entry was
 * read before it was found is there, the rest is 0.
 */
enum entry_flaw entry_read(const struct image *image, uint64_t word, struct entry *entry);

/*
 * Copy the record in @cell, whatever names it: for those that a mark says are open or retired. Its
 * word is made up from the record.
 */
enum entry_flaw entry_read_cell(const struct image *image, uint32_t cell, struct entry *entry);

/* Does the cell have a record, not a tail, that is marked as open or retired now? */
bool entry_is_marked(const struct image *image, uint32_t cell, uint64_t *marks);

/* What a value takes of its tier. */
static inline uint64_t entry_block_size(uint64_t value_size)
{
	return (value_size + ABI_VALUE_ALIGN - 1) & ~(uint64_t)(ABI_VALUE_ALIGN - 1);
}

/* The longest chain that the broker makes; a walk of more buckets goes round in circles. */
#define ENTRY_CHAIN_MAX 32

/*
 * A walk over the buckets of a chain, bounded whatever the links say:
 *
 *	for (b = chain_first(&c, image, idx); b; b = chain_next(&c)) ...
 */
struct chain {
	const struct image *image;
	const struct abi_bucket *bucket;
	unsigned n;	     /* buckets so far */
	uint64_t link;	     /* that led here, 0: the chain's head */
	bool is_broken;	     /* a link out of range, or too many */
	uint64_t broken_link;
};

const struct abi_bucket *chain_first(
	struct chain *chain, const struct image *image, uint64_t bucket_idx);
const struct abi_bucket *chain_next(struct chain *chain);

/* The slot of @word in the chain of @hash, or NULL: whether a record is published. */
const struct shared_u64 *entry_slot(const struct image *image, uint64_t word, uint64_t hash);

/* Find @key. True, and *entry; false when no whole record of it is published. */
bool entry_find(
	const struct image *image, const void *key, size_t key_size, struct entry *entry);

/*
 * Call @visit for each word in the slots of the table, in the order of the buckets, with what
 * entry_read() said; it returns false to end the walk. Of a live index, words that change meanwhile
 * are looked at again and may be missed or come twice.
 */
struct entry_place {
	uint64_t bucket;     /* the chain's */
	uint64_t overflow;   /* number of the overflow bucket plus one, or 0 */
	unsigned slot;
	const struct shared_u64 *word;
};
typedef bool entry_visit_fn(void *context, const struct entry *entry, enum entry_flaw flaw,
	const struct entry_place *place);
void entry_walk(const struct image *image, entry_visit_fn *visit, void *context);

#endif
