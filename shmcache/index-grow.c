/* SPDX-License-Identifier: Apache-2.0 */
/* index-grow.c: memory for cells and buckets, and the splitting of buckets. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "shmcache/index.h"

/*
 * The region is as long as it may ever get, and sparse: memory is reserved (fallocate) by the piece
 * before anything touches it, so that a full /dev/shm is an answer, INDEX_FULL, and never a SIGBUS.
 * INDEX_FULL makes the store evict.
 *
 * Growth is linear hashing: one bucket at a time, so no put ever waits for a rehash of the table
 * and no reader for a lock. Splitting bucket b of n:
 *
 *	1. the words of b that belong to bucket n are written to bucket n, which nobody looks at yet;
 *	2. n_buckets := n + 1, release: from here on readers look there;
 *	3. the same words are cleared in b.
 *
 * A reader that loaded n before 2 and scans b after 3 finds nothing; it loads n_buckets again
 * before it calls that a miss, sees n + 1 (it saw a word cleared with release after 2), finds that
 * its key has moved, and starts over. A reader in between sees the word in b, or in n, or in both:
 * all name the same record. tests/model/grow.pml checks this.
 */
#define PIECE_MIN (64U << 10)

int index_back(struct index *ix, struct shared_u64 *n_backed, uint64_t array_off, uint64_t item,
	uint64_t n_wanted, uint64_t n_max)
{
	uint64_t n = shared_u64_load(n_backed), from, to, more;

	if (n_wanted <= n)
		return 0;
	if (n_wanted > n_max)
		return INDEX_FULL;
	/*
	 * Pieces grow with the array, so that their number stays small and their waste below 1/256.
	 */
	more = n / 256 > PIECE_MIN / item ? n / 256 : PIECE_MIN / item;
	if (n + more < n_wanted)
		more = n_wanted - n;
	if (n + more > n_max)
		more = n_max - n;
	from = array_off + n * item;
	to = (from + more * item + 4095) & ~UINT64_C(4095);
	more = (to - from) / item;
	if (n + more > n_max)
		more = n_max - n;
	if (ix->backed + more * item > ix->size_max)
		return INDEX_FULL;
	if (posix_fallocate(ix->fd, (off_t)from, (off_t)(more * item)))
		return INDEX_FULL;
	ix->backed += more * item;
	shared_u64_store_release(n_backed, n + more);
	return 0;
}

int index_cell_take(struct index *ix, uint32_t *cell)
{
	if (ix->free_cell) {
		*cell = ix->free_cell;
		ix->free_cell = index_block(ix, *cell);
		return 0;
	}
	if (index_back(ix, &ix->head->n_cells_backed, ix->head->cell_off, ABI_CELL, ix->n_cells + 1,
		    ix->head->n_cells_max))
		return INDEX_FULL;
	*cell = (uint32_t)ix->n_cells++;
	return 0;
}

void index_cell_give(struct index *ix, uint32_t cell)
{
	ix->meta[cell].state = INDEX_FREE;
	index_set_block(ix, cell, ix->free_cell);
	ix->free_cell = cell;
}

/* The bucket comes out empty and without a link. */
int index_overflow_take(struct index *ix, uint64_t *idx)
{
	int i;

	if (ix->free_overflow) {
		*idx = ix->free_overflow - 1;
		ix->free_overflow = ix->overflow_next[*idx];
	} else {
		if (index_back(ix, &ix->head->n_overflow_backed, ix->head->overflow_off, ABI_CELL,
			    ix->n_overflow + 1, ix->head->n_overflow_max))
			return INDEX_FULL;
		*idx = ix->n_overflow++;
	}
	for (i = 0; i < ABI_BUCKET_SLOTS; i++)
		shared_u64_store(&ix->overflow[*idx].slot[i], 0);
	shared_u64_store(&ix->overflow[*idx].link, 0);
	return 0;
}

void index_overflow_give(struct index *ix, uint64_t idx)
{
	ix->overflow_next[idx] = ix->free_overflow;
	ix->free_overflow = (uint32_t)idx + 1;
}

/* --- splitting -------------------------------------------------------------------------------- */

static uint64_t hash_of(const struct index *ix, uint32_t cell)
{
	const struct abi_record *r = &ix->cell[cell];
	char buffer[ABI_KEY_SIZE_MAX];

	if (r->key_size <= ABI_KEY_INLINE)
		return hash_bytes(ix->lookup.seed, r->key, r->key_size);
	return index_key_of(ix, cell, buffer).hash;
}

static bool is_for(const struct index *ix, uint64_t word, uint64_t target)
{
	return word &&
		lookup_bucket_idx(hash_of(ix, abi_word_cell(word)), target + 1) == target;
}

static void prefetch_records(const struct index *ix, const struct abi_bucket *b)
{
	int i;

	for (i = 0; i < ABI_BUCKET_SLOTS; i++)
		__builtin_prefetch(&ix->cell[abi_word_cell(shared_u64_load(&b->slot[i]))]);
}

static struct abi_bucket *next_of(const struct index *ix, const struct abi_bucket *b)
{
	uint64_t link = shared_u64_load(&b->link);

	return link ? &ix->overflow[link - 1] : NULL;
}

/* Where the next word of a new chain goes. */
struct filler {
	struct abi_bucket *bucket;
	int at;
};

static int fill_one(struct index *ix, struct filler *f, uint64_t word)
{
	uint64_t idx;

	if (f->at == ABI_BUCKET_SLOTS) {
		if (index_overflow_take(ix, &idx))
			return INDEX_FULL;
		shared_u64_store(&f->bucket->link, idx + 1);
		f->bucket = &ix->overflow[idx];
		f->at = 0;
	}
	/* Release: the bucket may be a recycled one that a slow reader still walks. */
	shared_u64_store_release(&f->bucket->slot[f->at++], word);
	return 0;
}

/* Write the words of the chain at @b that bucket @target gets to it, where nobody looks yet. */
static int fill(struct index *ix, struct abi_bucket *b, uint64_t target)
{
	struct filler f = {&ix->bucket[target], 0};
	uint64_t word;
	int i;

	for (i = 0; i < ABI_BUCKET_SLOTS; i++)
		shared_u64_store(&f.bucket->slot[i], 0);
	shared_u64_store(&f.bucket->link, 0);
	for (; b; b = next_of(ix, b)) {
		prefetch_records(ix, b);
		for (i = 0; i < ABI_BUCKET_SLOTS; i++) {
			word = shared_u64_load(&b->slot[i]);
			if (is_for(ix, word, target) && fill_one(ix, &f, word))
				return INDEX_FULL;
		}
	}
	return 0;
}

/* Clear the same words in the old chain. */
static void clear_moved(struct index *ix, struct abi_bucket *b, uint64_t target)
{
	int i;

	for (; b; b = next_of(ix, b))
		for (i = 0; i < ABI_BUCKET_SLOTS; i++)
			if (is_for(ix, shared_u64_load(&b->slot[i]), target))
				/* partner: the acquire of a slot; the number before the clearing */
				shared_u64_store_release(&b->slot[i], 0);
}

static void clear(struct abi_bucket *b)
{
	int i;

	for (i = 0; i < ABI_BUCKET_SLOTS; i++)
		shared_u64_store_release(&b->slot[i], 0);
}

/*
 * Undo a fill() that ran out of memory. The words are cleared: in a bucket that a slow reader still
 * walks they would name records that this index no longer keeps alive by that word, and the
 * reader's second look would see them stand for ever.
 */
static void give_chain(struct index *ix, struct abi_bucket *b)
{
	uint64_t link = shared_u64_load(&b->link);

	clear(b);
	shared_u64_store(&b->link, 0);
	for (; link; link = shared_u64_load(&b->link)) {
		b = &ix->overflow[link - 1];
		clear(b);
		index_overflow_give(ix, link - 1);
	}
}

static bool is_empty(const struct abi_bucket *b)
{
	int i;

	for (i = 0; i < ABI_BUCKET_SLOTS; i++)
		if (shared_u64_load(&b->slot[i]))
			return false;
	return true;
}

/* Unlink the empty buckets at the end of a chain. index.c's head says why readers don't mind. */
static void trim(struct index *ix, struct abi_bucket *b)
{
	struct abi_bucket *last_used = b;
	uint64_t link;

	while ((link = shared_u64_load(&b->link))) {
		b = &ix->overflow[link - 1];
		if (!is_empty(b))
			last_used = b;
	}
	link = shared_u64_load(&last_used->link);
	shared_u64_store_release(&last_used->link, 0);
	for (; link; link = shared_u64_load(&ix->overflow[link - 1].link))
		index_overflow_give(ix, link - 1);
}

void index_trim(struct index *ix, uint32_t cell)
{
	trim(ix, &ix->bucket[lookup_bucket_idx(hash_of(ix, cell), ix->n_buckets)]);
}

static int split(struct index *ix)
{
	uint64_t target = ix->n_buckets;
	uint64_t low = (UINT64_C(1) << (63 - __builtin_clzll(target))) - 1;
	struct abi_bucket *old = &ix->bucket[target & low];

	if (index_back(ix, &ix->head->n_buckets_backed, ix->head->bucket_off, ABI_CELL, target + 1,
		    ix->head->n_buckets_max))
		return INDEX_FULL;
	if (fill(ix, old, target)) {
		give_chain(ix, &ix->bucket[target]);
		return INDEX_FULL;
	}
	/* partner: the acquire in lookup_n_buckets(); the new chain before the number */
	ix->n_buckets = target + 1;
	shared_u64_store_release(&ix->head->n_buckets, ix->n_buckets);
	clear_moved(ix, old, target);
	trim(ix, old);
	return 0;
}

void index_grow(struct index *ix)
{
	int i;

	for (i = 0; i < 2 && ix->n_entries > ix->n_buckets * INDEX_LOAD; i++)
		if (split(ix))
			return;
}
