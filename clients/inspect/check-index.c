/* SPDX-License-Identifier: Apache-2.0 */
/* check-index.c: chains, records, and that nothing belongs to two. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clients/inspect/check.h"
#include "clients/inspect/entry.h"

/*
 * One walk collects what each published record lays claim to: its cell and its tails, its block,
 * its key. Sorted by what is claimed, two claims on one thing stand side by side. Then both words
 * are looked at once more: only if both are in their slots at the same moment do both records
 * claim it.
 *
 * A word that stands in a bucket where its key does not lead is a finding, but for one bucket: the
 * one that is being split, or was when the broker was killed. Its words are in the new bucket
 * already, and are cleared here next.
 */
struct claim {
	uint64_t what, size; /* cell; tier and offset; hash */
	uint32_t cell;	     /* whose claim */
	bool is_marked;	     /* no slot names it */
	uint64_t word;	     /* in its slot; of a marked one the word with its generation */
	const struct shared_u64 *slot;
};

struct claims {
	struct claim *list;
	size_t n, n_max;
};

struct look {
	const struct image *image;
	struct findings *f;
	struct check_counts *counts;
	struct claims cells, blocks, keys;
	uint8_t *is_published; /* by cell */
	uint64_t n_cells, n_overflow;
	int error;
};

/*
 * What a record stands by that no slot names: its mark, and the word with its generation, which no
 * other record in this cell will have.
 */
static void mark_claim(const struct image *image, const struct entry *e, struct claim *c)
{
	const struct shared_u64 *words = (const void *)&image->lookup.cell[e->cell];

	c->slot = &words[offsetof(struct abi_record, generation) / 8];
	c->word = shared_u64_load(c->slot);
	/* Read again, the record may have gone since: then the claim never stands. */
	if ((uint32_t)c->word != e->generation)
		c->word = ~c->word;
}

/* @place NULL: of a marked record. */
static void claim(struct look *l, struct claims *c, uint64_t what, uint64_t size,
	const struct entry *e, const struct entry_place *place)
{
	size_t n = c->n_max ? c->n_max * 2 : 1024;
	struct claim *more;

	if (c->n == c->n_max) {
		more = realloc(c->list, n * sizeof(*more));
		if (!more) {
			l->error = -ENOMEM;
			return;
		}
		c->list = more;
		c->n_max = n;
	}
	c->list[c->n] = (struct claim){what, size, e->cell, !place, e->word, NULL};
	if (place)
		c->list[c->n].slot = place->word;
	else
		mark_claim(l->image, e, &c->list[c->n]);
	c->n++;
}

/* --- one record ------------------------------------------------------------------------------- */

/* Is @bucket the one whose words the newest bucket got? */
static bool is_being_split(uint64_t bucket, uint64_t n_buckets)
{
	uint64_t newest = n_buckets - 1;

	return newest && bucket == (newest & ~(UINT64_C(1) << (63 - __builtin_clzll(newest))));
}

/* Does the chain of the bucket still lead to the slot? Overflow buckets change chains. */
static bool is_in_chain(const struct image *image, const struct entry_place *place)
{
	const struct abi_bucket *b;
	struct chain c;

	for (b = chain_first(&c, image, place->bucket); b; b = chain_next(&c))
		if (place->word >= &b->slot[0] && place->word < &b->slot[ABI_BUCKET_SLOTS])
			return true;
	return false;
}

static void place_text(const struct entry_place *place, char text[80])
{
	if (place->overflow)
		snprintf(text, 80, "bucket %" PRIu64 ", overflow %" PRIu64 ", slot %u",
			place->bucket,
			place->overflow - 1, place->slot);
	else
		snprintf(text, 80, "bucket %" PRIu64 ", slot %u", place->bucket, place->slot);
}

/* True where the word counts here; a word that is on its way to another bucket does not. */
static bool check_place(struct look *l, const struct entry *e, const struct entry_place *place)
{
	uint64_t n = image_n_buckets(l->image), right = lookup_bucket_idx(e->hash, n);
	char where[80];

	place_text(place, where);
	if (abi_word_tag(e->word) != e->hash >> 48) {
		findings_add(l->f, "word-tag", "%s: the word of cell %" PRIu32
			" has tag %04x, its key %04x", where, e->cell, abi_word_tag(e->word),
			(unsigned)(e->hash >> 48));
		return true;
	}
	if (right == place->bucket)
		return true;
	if (is_being_split(place->bucket, n) || !is_in_chain(l->image, place) ||
		shared_u64_load_acquire(place->word) != e->word ||
		image_n_buckets(l->image) != n)
		return false;
	findings_add(l->f, "word-bucket", "%s: the key of cell %" PRIu32
		" belongs to bucket %" PRIu64,
		where, e->cell, right);
	return false;
}

static void claim_block(struct look *l, const struct entry *e, const struct entry_place *place)
{
	uint64_t size = entry_block_size(e->value_size);

	l->counts->tier[e->tier].size += size;
	if (place)
		l->counts->tier[e->tier].n_entries++;
	claim(l, &l->blocks, (uint64_t)e->tier << 56 | e->value_off, size, e, place);
}

static bool visit(void *context, const struct entry *e, enum entry_flaw flaw,
	const struct entry_place *place)
{
	struct look *l = context;
	char where[80];
	unsigned i;

	l->counts->n_cells += 1 + e->n_tails;
	if (flaw && flaw != ENTRY_TIER && flaw != ENTRY_VALUE) {
		place_text(place, where);
		findings_add(l->f, "record", "%s: cell %" PRIu32 ": %s", where, e->cell,
			entry_flaw_text(flaw));
		if (flaw != ENTRY_NO_CELL)
			claim(l, &l->cells, e->cell, 1, e, place);
		return !l->error;
	}
	if (!check_place(l, e, place))
		return !l->error;
	l->counts->n_entries++;
	if (e->cell < l->n_cells)
		l->is_published[e->cell] = 1;
	claim(l, &l->cells, e->cell, 1, e, place);
	for (i = 0; i < e->n_tails; i++)
		claim(l, &l->cells, e->tail[i], 1, e, place);
	claim(l, &l->keys, e->hash, 1, e, place);
	if (flaw)
		findings_add(l->f, "value", "cell %" PRIu32 ": its value, %" PRIu32
			" bytes at %" PRIu64
			" of tier %u: %s", e->cell, e->value_size, e->value_off, e->tier,
			entry_flaw_text(flaw));
	else
		claim_block(l, e, place);
	return !l->error;
}

/* The cells that no slot names: what is open or retired has its block still. */
static void visit_marked(struct look *l)
{
	struct entry *e = malloc(sizeof(*e));
	enum entry_flaw flaw;
	uint64_t marks, cell;

	if (!e)
		l->error = -ENOMEM;
	for (cell = 1; cell < l->n_cells && !l->error; cell++) {
		if (l->is_published[cell] || !entry_is_marked(l->image, (uint32_t)cell, &marks))
			continue;
		flaw = entry_read_cell(l->image, (uint32_t)cell, e);
		/* Of what is being made or freed just now nothing can be said. */
		if (flaw || !e->marks)
			continue;
		l->counts->n_marked++;
		claim_block(l, e, NULL);
	}
	free(e);
}

/* --- two of them ------------------------------------------------------------------------------ */

static int by_what(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;

	if (x->what != y->what)
		return (x->what > y->what) - (x->what < y->what);
	return (x->word > y->word) - (x->word < y->word);
}

static bool stands(const struct look *l, const struct claim *c)
{
	uint64_t marks;

	/* The mark between two looks at the generation: it was this record's. */
	return shared_u64_load_acquire(c->slot) == c->word &&
		(!c->is_marked || (entry_is_marked(l->image, c->cell, &marks) &&
					  shared_u64_load_acquire(c->slot) == c->word));
}

/* Do both stand at one moment? A record may be published between, and keep what it has. */
static bool both_stand(const struct look *l, const struct claim *a, const struct claim *b)
{
	return stands(l, a) && stands(l, b) && stands(l, a);
}

static void check_cells(struct look *l)
{
	const struct claim *a, *b;
	size_t i;

	for (i = 1; i < l->cells.n; i++) {
		a = &l->cells.list[i - 1];
		b = &l->cells.list[i];
		if (a->what != b->what || a->slot == b->slot || !both_stand(l, a, b))
			continue;
		findings_add(l->f, "cell-twice", "cell %" PRIu64
			" belongs to the entries of cells %"
			PRIu32 " and %" PRIu32, a->what, a->cell, b->cell);
	}
}

static void check_blocks(struct look *l)
{
	const struct claim *a = NULL, *b;
	size_t i;

	for (i = 0; i < l->blocks.n; i++) {
		b = &l->blocks.list[i];
		/* A record that is named twice has been told of; its block is the same one. */
		if (a && b->what < a->what + a->size && a->cell != b->cell && both_stand(l, a, b))
			findings_add(l->f, "block-twice", "cells %" PRIu32 " and %" PRIu32
				" share bytes of %s: %" PRIu64 " at %" PRIu64 ", %" PRIu64
					" at %" PRIu64,
				a->cell, b->cell,
				image_tier_name((unsigned)(a->what >> 56)), a->size,
				a->what & ((UINT64_C(1) << 56) - 1), b->size,
				b->what & ((UINT64_C(1) << 56) - 1));
		/* The one that reaches furthest is what the next may run into. */
		if (!a || b->what + b->size > a->what + a->size)
			a = b;
	}
}

/* The longest stretch of each tier that nobody claims; the blocks are sorted. */
static void check_gaps(struct look *l)
{
	uint64_t end = 0, gap, size;
	unsigned tier, t;
	size_t i = 0;

	for (tier = ABI_TIER_DRAM; tier < ABI_TIERS; tier++, end = 0) {
		for (; i < l->blocks.n; i++) {
			const struct claim *c = &l->blocks.list[i];
			uint64_t off = c->what & ((UINT64_C(1) << 56) - 1);

			t = (unsigned)(c->what >> 56);
			if (t != tier)
				break;
			gap = off > end ? off - end : 0;
			if (gap > l->counts->tier[tier].largest_gap)
				l->counts->tier[tier].largest_gap = gap;
			if (off + c->size > end)
				end = off + c->size;
		}
		size = image_tier_size(l->image, tier);
		gap = size > end ? size - end : 0;
		if (gap > l->counts->tier[tier].largest_gap)
			l->counts->tier[tier].largest_gap = gap;
	}
}

static void check_keys(struct look *l)
{
	struct entry *e = malloc(2 * sizeof(*e));
	const struct claim *a, *b;
	size_t i;

	for (i = 1; e && i < l->keys.n; i++) {
		a = &l->keys.list[i - 1];
		b = &l->keys.list[i];
		if (a->what != b->what || a->word == b->word ||
			entry_read(l->image, a->word, &e[0]) ||
			entry_read(l->image, b->word, &e[1]) || e[0].key_size != e[1].key_size ||
			memcmp(e[0].key, e[1].key, e[0].key_size) || !both_stand(l, a, b))
			continue;
		findings_add(l->f, "key-twice", "cells %" PRIu32 " and %" PRIu32
			" have the same key",
			e[0].cell, e[1].cell);
	}
	if (!e)
		l->error = -ENOMEM;
	free(e);
}

static void sort(struct claims *c)
{
	if (c->n)
		qsort(c->list, c->n, sizeof(*c->list), by_what);
}

/* --- chains and head -------------------------------------------------------------------------- */

static bool leads_to(const struct image *image, uint64_t bucket, uint64_t link)
{
	const struct abi_bucket *b;
	struct chain c;

	for (b = chain_first(&c, image, bucket); b; b = chain_next(&c))
		if (c.link == link)
			return true;
	return false;
}

static void check_chain(struct look *l, uint64_t bucket, uint64_t *owner)
{
	const struct abi_bucket *b;
	struct chain c;
	uint64_t before;

	for (b = chain_first(&c, l->image, bucket); b; b = chain_next(&c)) {
		if (!c.link || c.link > l->n_overflow)
			continue;
		before = owner[c.link - 1];
		owner[c.link - 1] = bucket + 1;
		if (before == bucket + 1) {
			findings_add(l->f, "chain", "the chain of bucket %" PRIu64
				" comes back to overflow %" PRIu64, bucket, c.link - 1);
			return;
		}
		if (before && leads_to(l->image, before - 1, c.link) &&
			leads_to(l->image, bucket, c.link) &&
			leads_to(l->image, before - 1, c.link))
			findings_add(l->f, "chain", "overflow %" PRIu64
				" is in the chains of buckets %"
				PRIu64 " and %" PRIu64, c.link - 1, before - 1, bucket);
	}
	if (c.is_broken)
		findings_add(l->f, "chain", c.n == ENTRY_CHAIN_MAX
			? "the chain of bucket %" PRIu64
				" has more than 32 buckets (on to %" PRIu64 ")"
			: "the chain of bucket %" PRIu64 " leads to overflow %" PRIu64
			  ", which is not there", bucket, c.broken_link - 1);
}

static void check_chains(struct look *l)
{
	uint64_t n_buckets = image_n_buckets(l->image), i;
	uint64_t *owner = calloc(l->n_overflow + 1, sizeof(*owner));

	if (!owner) {
		l->error = -ENOMEM;
		return;
	}
	l->counts->n_buckets = n_buckets;
	for (i = 0; i < n_buckets; i++)
		check_chain(l, i, owner);
	free(owner);
}

static void check_array(struct look *l, const char *what, uint64_t n, uint64_t n_backed,
	uint64_t n_max, uint64_t room)
{
	if (n > n_backed || n_backed > n_max)
		findings_add(l->f, "index-head", "%s: %" PRIu64 " in use, %" PRIu64
			" with memory, %"
			PRIu64 " at most", what, n, n_backed, n_max);
	else if (n_backed > room)
		findings_add(l->f, "index-head", "%s: %" PRIu64
			" with memory, and room for %" PRIu64,
			what, n_backed, room);
}

static void check_head(struct look *l)
{
	const struct abi_index *h = &l->image->head, *shared = l->image->lookup.head;
	uint64_t n = shared_u64_load_acquire(&shared->n_buckets);

	if (!n)
		findings_add(l->f, "index-head", "there are no buckets");
	check_array(l, "buckets", n, shared_u64_load(&shared->n_buckets_backed), h->n_buckets_max,
		l->image->bucket_room);
	check_array(l, "overflow buckets", 0, shared_u64_load(&shared->n_overflow_backed),
		h->n_overflow_max, l->image->overflow_room);
	check_array(l, "cells", 0, shared_u64_load(&shared->n_cells_backed), h->n_cells_max,
		l->image->cell_room);
	if (h->overflow_off < h->bucket_off + h->n_buckets_max * ABI_CELL ||
		h->cell_off < h->overflow_off + h->n_overflow_max * ABI_CELL ||
		h->size < h->cell_off + h->n_cells_max * ABI_CELL || h->bucket_off < sizeof(*h))
		findings_add(l->f, "index-head", "the arrays overlap, or do not fit into %" PRIu64
			" bytes", h->size);
}

int check_index(const struct image *image, struct findings *f, struct check_counts *counts)
{
	struct look l = {.image = image, .f = f, .counts = counts};

	l.n_cells = image_n_cells(image);
	l.n_overflow = image_n_overflow(image);
	l.is_published = calloc(l.n_cells + 1, 1);
	if (!l.is_published)
		return -ENOMEM;
	check_head(&l);
	check_chains(&l);
	if (!l.error)
		entry_walk(image, visit, &l);
	visit_marked(&l);
	sort(&l.cells);
	sort(&l.blocks);
	sort(&l.keys);
	check_cells(&l);
	check_blocks(&l);
	check_keys(&l);
	check_gaps(&l);
	free(l.is_published);
	free(l.cells.list);
	free(l.blocks.list);
	free(l.keys.list);
	return l.error;
}
