/* SPDX-License-Identifier: Apache-2.0 */
/* index-recover.c: a warm start: what of an index that a former broker left can be served. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shmcache/index.h"

/*
 * The former broker may have been killed between any two instructions. What it published is whole,
 * since it published last; what it had not published is found by nobody and goes back to the free
 * lists, which lived in its private memory and are built anew here. But somebody who found it
 * before may still read it, and a writer may still fill what it was to publish: such records carry
 * a mark, and come back as retired ones, for whose blocks reclaim asks the holders. What a slot
 * names counts as published whatever its mark. The one state in between is a split: words that
 * stand in two buckets, or still in the old one. A word counts only in the bucket that its key's
 * hash names now, so the stale copies fall out.
 *
 * Beyond that the walk trusts nothing: each number is checked against the geometry, which the
 * caller has checked against the configuration; chains are bounded by a mark on each overflow
 * bucket and each cell, so that loops end; a record that is named twice, whose key does not lead to
 * its bucket, or whose tails are not there, is dropped and counted. A chain that is itself broken
 * (a link out of range, or to a bucket of another chain) makes the whole index unusable: -EUCLEAN.
 */
struct walk {
	struct index *ix;
	uint8_t *overflow_seen;
	struct index_recovery *out;
};

static bool claim_cell(struct index *ix, uint32_t cell, uint8_t state)
{
	if (!cell || cell >= ix->n_cells || ix->meta[cell].state != INDEX_FREE)
		return false;
	ix->meta[cell].state = state;
	return true;
}

static void unclaim_tails(struct index *ix, uint32_t tail, unsigned n)
{
	uint32_t next;

	for (; n; n--, tail = next) {
		next = ((struct abi_tail *)&ix->cell[tail])->next;
		ix->meta[tail].state = INDEX_FREE;
	}
}

/* Claim the tails that the record's key and hints need, exactly. */
static bool claim_tails(struct index *ix, const struct abi_record *r)
{
	unsigned n, n_wanted = lookup_n_tails(r);
	uint32_t tail = r->tail;

	for (n = 0; n < n_wanted; n++) {
		if (!claim_cell(ix, tail, INDEX_TAIL)) {
			unclaim_tails(ix, r->tail, n);
			return false;
		}
		tail = ((struct abi_tail *)&ix->cell[tail])->next;
	}
	if (tail) {
		unclaim_tails(ix, r->tail, n);
		return false;
	}
	return true;
}

/* What every record must be, slot or not. Claims the tails. */
static bool claim_parts(struct index *ix, const struct abi_record *r)
{
	return r->key_size && r->key_size <= ABI_KEY_SIZE_MAX && !(r->flags & ~ABI_RECORD_HINTS) &&
		claim_tails(ix, r);
}

/* Numbers go on from the highest, so that none names two records. */
static void note_generation(struct index *ix, const struct abi_record *r)
{
	if (r->generation > ix->generation)
		ix->generation = r->generation;
}

static bool claim_record(struct index *ix, uint64_t word, uint64_t bucket_idx)
{
	uint32_t cell = abi_word_cell(word);
	char buffer[ABI_KEY_SIZE_MAX];
	struct abi_record *r;
	struct index_key key;

	if (!claim_cell(ix, cell, INDEX_PUBLISHED))
		return false;
	r = &ix->cell[cell];
	if ((r->generation & 0xffff) != abi_word_generation(word) || !claim_parts(ix, r))
		goto unclaim;
	key = index_key_of(ix, cell, buffer);
	if (key.hash >> 48 != abi_word_tag(word) ||
		lookup_bucket_idx(key.hash, ix->n_buckets) != bucket_idx) {
		unclaim_tails(ix, r->tail, lookup_n_tails(r));
		goto unclaim;
	}
	note_generation(ix, r);
	/* Killed between the slot and the mark, on the way in or out. */
	if (shared_u64_load(&r->expire_ms) & ABI_RECORD_MARKS)
		shared_u64_store(&r->expire_ms, abi_record_expire_ms(r));
	return true;
unclaim:
	ix->meta[cell].state = INDEX_FREE;
	return false;
}

static int walk_chain(struct walk *w, uint64_t bucket_idx)
{
	struct index *ix = w->ix;
	struct abi_bucket *b = &ix->bucket[bucket_idx];
	uint64_t word, link;
	int i;

	for (;;) {
		for (i = 0; i < ABI_BUCKET_SLOTS; i++) {
			word = shared_u64_load(&b->slot[i]);
			if (!word)
				continue;
			if (claim_record(ix, word, bucket_idx)) {
				w->out->n_found++;
				ix->n_entries++;
				continue;
			}
			shared_u64_store_release(&b->slot[i], 0);
			w->out->n_dropped++;
		}
		link = shared_u64_load(&b->link);
		if (!link)
			return 0;
		if (link > ix->n_overflow || w->overflow_seen[link - 1])
			return -EUCLEAN;
		w->overflow_seen[link - 1] = 1;
		b = &ix->overflow[link - 1];
	}
}

/*
 * What no slot names and a mark says that somebody may have: retired, until reclaim knows better. A
 * mark that makes no sense is taken away, so that it is not met again.
 */
static void keep_marked(struct walk *w, uint32_t cell)
{
	struct index *ix = w->ix;
	struct abi_record *r = &ix->cell[cell];

	if (ix->meta[cell].state != INDEX_FREE ||
		!(shared_u64_load(&r->expire_ms) & ABI_RECORD_MARKS))
		return;
	/* A tail of old, whose key happens to look so. */
	if (((const struct abi_tail *)r)->mark == ABI_TAIL_MARK)
		return;
	ix->meta[cell].state = INDEX_RETIRED;
	if (!claim_parts(ix, r)) {
		ix->meta[cell].state = INDEX_FREE;
		shared_u64_store(&r->expire_ms, 0);
		return;
	}
	note_generation(ix, r);
	w->out->n_marked++;
}

/* Two records of one key can only come from damage; the lookup would serve the first alone. */
static void drop_doubles(struct walk *w, uint64_t bucket_idx)
{
	struct index *ix = w->ix;
	struct abi_bucket *b = &ix->bucket[bucket_idx];
	char buffer[ABI_KEY_SIZE_MAX];
	struct shared_u64 *slot;
	struct index_key key;
	uint32_t cell, found;
	uint64_t link;
	int i;

	for (;;) {
		for (i = 0; i < ABI_BUCKET_SLOTS; i++) {
			cell = abi_word_cell(shared_u64_load(&b->slot[i]));
			if (!cell)
				continue;
			key = index_key_of(ix, cell, buffer);
			slot = index_find(ix, &key, &found);
			if (slot == &b->slot[i])
				continue;
			index_remove(ix, &b->slot[i]);
			index_free(ix, cell);
			w->out->n_found--;
			w->out->n_dropped++;
		}
		link = shared_u64_load(&b->link);
		if (!link)
			return;
		b = &ix->overflow[link - 1];
	}
}

/* Memory that the head says is backed may have been punched out: reserve it again, it is no-op. */
static int back_again(struct index *ix, uint64_t array_off, const struct shared_u64 *n_backed)
{
	uint64_t n = shared_u64_load(n_backed);

	return n ? -posix_fallocate(ix->fd, (off_t)array_off, (off_t)(n * ABI_CELL)) : 0;
}

int index_recover(struct index *ix, struct index_recovery *out, char *why, size_t why_size)
{
	struct walk w = {.ix = ix, .out = out};
	struct abi_index *head = ix->head;
	uint64_t i;
	int r;

	memset(out, 0, sizeof(*out));
	ix->n_cells = shared_u64_load(&head->n_cells_backed);
	ix->n_overflow = shared_u64_load(&head->n_overflow_backed);
	r = back_again(ix, head->bucket_off, &head->n_buckets_backed);
	if (!r)
		r = back_again(ix, head->overflow_off, &head->n_overflow_backed);
	if (!r)
		r = back_again(ix, head->cell_off, &head->n_cells_backed);
	if (r) {
		snprintf(why, why_size, "no memory for the index that was left: %s", strerror(-r));
		return r;
	}
	w.overflow_seen = calloc(ix->n_overflow + 1, 1);
	if (!w.overflow_seen)
		return -ENOMEM;
	for (i = 0; i < ix->n_buckets && !r; i++)
		r = walk_chain(&w, i);
	if (r) {
		snprintf(why, why_size, "the chain of bucket %llu in the index is broken",
			(unsigned long long)i - 1);
		free(w.overflow_seen);
		return r;
	}
	for (i = ix->n_overflow; i-- > 0;)
		if (!w.overflow_seen[i])
			index_overflow_give(ix, i);
	free(w.overflow_seen);
	if (!ix->n_cells)
		ix->n_cells = 1;
	for (i = 1; i < ix->n_cells; i++)
		keep_marked(&w, (uint32_t)i);
	for (i = ix->n_cells; i-- > 1;)
		if (ix->meta[i].state == INDEX_FREE)
			index_cell_give(ix, (uint32_t)i);
	for (i = 0; i < ix->n_buckets; i++)
		drop_doubles(&w, i);
	return 0;
}

void index_drop(struct index *ix, uint32_t cell)
{
	struct shared_u64 *slot = index_slot_of(ix, cell);

	if (slot)
		index_remove(ix, slot);
	index_free(ix, cell);
}
