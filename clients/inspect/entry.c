/* SPDX-License-Identifier: Apache-2.0 */
/* entry.c: records of the index, copied out and checked, and the slots that name them. */
#include "clients/inspect/entry.h"

#include <string.h>

#include "ipc/hash.h"

/*
 * The inspector takes no hold: it must leave no trace, and there may be no broker to honour one.
 * So a record is copied, word by word, to private memory together with its tails, whose links are
 * rewritten to lead within the copy; then the broker's own code (ipc/lookup.c) decodes the copy,
 * in which every link is known to be good. Whether it was a record that we copied is seen
 * afterwards by the slot: if that still has the word, the record was published all the while, and
 * published records don't change.
 */
struct copy {
	struct abi_record cell[1 + ENTRY_TAILS_MAX];
};

static bool copy_cell(const struct image *image, uint64_t cell, struct abi_record *to)
{
	const struct shared_u64 *from;
	uint64_t words[ABI_CELL / 8];
	unsigned i;

	if (!cell || cell >= image_n_cells(image))
		return false;
	from = (const void *)&image->lookup.cell[cell];
	for (i = 0; i < ABI_CELL / 8; i++)
		words[i] = shared_u64_load(&from[i]);
	memcpy(to, words, sizeof(words));
	return true;
}

/* Copy the record's tails behind it. */
static enum entry_flaw copy_tails(const struct image *image, struct copy *c, struct entry *e)
{
	struct abi_record *record = &c->cell[0];
	unsigned n = lookup_n_tails(record), i;
	uint32_t raw_next = record->tail;
	struct abi_tail *tail;

	record->tail = n ? 1 : 0;
	for (i = 0; i < n; i++) {
		if (!raw_next)
			return ENTRY_TAIL_COUNT;
		if (!copy_cell(image, raw_next, &c->cell[1 + i]))
			return ENTRY_TAIL_RANGE;
		e->tail[e->n_tails++] = raw_next;
		tail = (struct abi_tail *)&c->cell[1 + i];
		raw_next = tail->next;
		tail->next = i + 1 < n ? i + 2 : 0;
		if (tail->mark != ABI_TAIL_MARK)
			return ENTRY_TAIL_MARK;
	}
	return raw_next ? ENTRY_TAIL_COUNT : ENTRY_WHOLE;
}

static bool value_is_sane(const struct image *image, const struct abi_record *r)
{
	uint64_t size = image_tier_size(image, r->tier);
	uint64_t align = r->value_size >= ABI_VALUE_LARGE ? ABI_VALUE_ALIGN_LARGE : ABI_VALUE_ALIGN;

	return r->value_size && r->value_size <= ABI_VALUE_SIZE_MAX && r->value_off % align == 0 &&
		r->value_off <= size && r->value_size <= size - r->value_off;
}

static enum entry_flaw decode(const struct image *image, struct copy *c, struct entry *e)
{
	const struct abi_record *r = &c->cell[0];
	const struct lookup l = {.cell = c->cell};
	enum entry_flaw flaw;

	e->generation = r->generation;
	e->value_off = r->value_off;
	e->value_size = r->value_size;
	e->tier = r->tier;
	e->flags = r->flags;
	e->expire_ms = abi_record_expire_ms(r);
	e->marks = shared_u64_load(&r->expire_ms) & ABI_RECORD_MARKS;
	if ((r->generation & 0xffff) != abi_word_generation(e->word))
		return ENTRY_GENERATION;
	if (!r->key_size || r->key_size > ABI_KEY_SIZE_MAX)
		return ENTRY_KEY_SIZE;
	if (r->flags & ~ABI_RECORD_HINTS)
		return ENTRY_FLAGS;
	flaw = copy_tails(image, c, e);
	if (flaw)
		return flaw;
	e->key_size = r->key_size;
	lookup_record_key(&l, r, e->key);
	lookup_record_hints(&l, r, &e->hints);
	e->hash = hash_bytes(image->lookup.seed, e->key, e->key_size);
	if (!image_tier_size(image, r->tier))
		return ENTRY_TIER;
	return value_is_sane(image, r) ? ENTRY_WHOLE : ENTRY_VALUE;
}

enum entry_flaw entry_read(const struct image *image, uint64_t word, struct entry *e)
{
	struct copy c;

	memset(e, 0, offsetof(struct entry, key));
	e->word = word;
	e->cell = abi_word_cell(word);
	if (!copy_cell(image, e->cell, &c.cell[0]))
		return ENTRY_NO_CELL;
	return decode(image, &c, e);
}

enum entry_flaw entry_read_cell(const struct image *image, uint32_t cell, struct entry *e)
{
	struct copy c;
	enum entry_flaw flaw;

	memset(e, 0, offsetof(struct entry, key));
	e->cell = cell;
	if (!copy_cell(image, cell, &c.cell[0]))
		return ENTRY_NO_CELL;
	e->word = abi_word(cell, c.cell[0].generation, 0);
	flaw = decode(image, &c, e);
	if (e->key_size)
		e->word = abi_word(cell, e->generation, e->hash);
	return flaw;
}

bool entry_is_marked(const struct image *image, uint32_t cell, uint64_t *marks)
{
	const struct abi_record *r = &image->lookup.cell[cell];
	const struct shared_u64 *value_off = (const void *)&r->value_off;

	if (!cell || cell >= image_n_cells(image))
		return false;
	/* Acquire; partner: the release in the broker's index_mark_open(). */
	*marks = shared_u64_load_acquire(&r->expire_ms) & ABI_RECORD_MARKS;
	/* A tail may have anything there. */
	return *marks && shared_u64_load(value_off) >> 32 != ABI_TAIL_MARK;
}

const char *entry_flaw_text(enum entry_flaw flaw)
{
	switch (flaw) {
	case ENTRY_WHOLE:
		return "whole";
	case ENTRY_NO_CELL:
		return "there is no such cell";
	case ENTRY_GENERATION:
		return "the record has another generation than the word";
	case ENTRY_KEY_SIZE:
		return "the key has an impossible size";
	case ENTRY_FLAGS:
		return "the record has unknown flags";
	case ENTRY_TIER:
		return "there is no such tier";
	case ENTRY_VALUE:
		return "the value is empty, not aligned, or outside its tier";
	case ENTRY_TAIL_RANGE:
		return "a tail is no cell";
	case ENTRY_TAIL_COUNT:
		return "there are more or less tails than the key needs";
	case ENTRY_TAIL_MARK:
		return "a tail does not say that it is one";
	}
	return "?";
}

/* --- chains ----------------------------------------------------------------------------------- */

const struct abi_bucket *chain_first(
	struct chain *c, const struct image *image, uint64_t bucket_idx)
{
	*c = (struct chain){.image = image};
	if (bucket_idx >= image_n_buckets(image))
		return NULL;
	c->n = 1;
	c->bucket = &image->lookup.bucket[bucket_idx];
	return c->bucket;
}

const struct abi_bucket *chain_next(struct chain *c)
{
	/* Acquire; partner: the release where the broker links a bucket that it has emptied. */
	uint64_t raw_link = shared_u64_load_acquire(&c->bucket->link);

	if (!raw_link)
		return NULL;
	if (c->n == ENTRY_CHAIN_MAX || raw_link > image_n_overflow(c->image)) {
		c->is_broken = true;
		c->broken_link = raw_link;
		return NULL;
	}
	c->n++;
	c->link = raw_link;
	c->bucket = &c->image->lookup.overflow[raw_link - 1];
	return c->bucket;
}

const struct shared_u64 *entry_slot(const struct image *image, uint64_t word, uint64_t hash)
{
	uint64_t n = image_n_buckets(image);
	const struct abi_bucket *b;
	struct chain c;
	unsigned i;

	if (!n)
		return NULL;
	b = chain_first(&c, image, lookup_bucket_idx(hash, n));
	for (; b; b = chain_next(&c))
		for (i = 0; i < ABI_BUCKET_SLOTS; i++)
			/* Acquire; partner: the release in the broker's publish. */
			if (shared_u64_load_acquire(&b->slot[i]) == word)
				return &b->slot[i];
	return NULL;
}

#define TRIES 8 /* at a slot that changes while we look */

/* The record of @key in one slot. */
static bool find_in_slot(const struct shared_u64 *slot, const struct image *image,
	const void *key, size_t key_size, uint64_t hash, struct entry *e)
{
	unsigned tries;
	uint64_t word;
	bool is_it;

	for (tries = 0; tries < TRIES; tries++) {
		/* Acquire; partner: the release in the broker's publish. */
		word = shared_u64_load_acquire(slot);
		if (!word || abi_word_tag(word) != hash >> 48)
			return false;
		is_it = entry_read(image, word, e) == ENTRY_WHOLE && e->key_size == key_size &&
			!memcmp(e->key, key, key_size);
		/* The copy was made before this look at the slot. */
		atomic_thread_fence(memory_order_acquire);
		if (shared_u64_load(slot) == word)
			return is_it;
	}
	return false;
}

static bool find_in_chain(const struct image *image, uint64_t bucket, const void *key,
	size_t key_size, uint64_t hash, struct entry *e)
{
	const struct abi_bucket *b;
	struct chain c;
	unsigned i;

	for (b = chain_first(&c, image, bucket); b; b = chain_next(&c))
		for (i = 0; i < ABI_BUCKET_SLOTS; i++)
			if (find_in_slot(&b->slot[i], image, key, key_size, hash, e))
				return true;
	return false;
}

bool entry_find(const struct image *image, const void *key, size_t key_size, struct entry *e)
{
	uint64_t hash = hash_bytes(image->lookup.seed, key, key_size), n, bucket;
	unsigned tries;

	for (tries = 0; tries < TRIES; tries++) {
		n = image_n_buckets(image);
		if (!n)
			return false;
		bucket = lookup_bucket_idx(hash, n);
		if (find_in_chain(image, bucket, key, key_size, hash, e))
			return true;
		/* A split may have moved it: who saw the word cleared sees the number. */
		atomic_thread_fence(memory_order_acquire);
		n = image_n_buckets(image);
		if (!n || lookup_bucket_idx(hash, n) == bucket)
			return false;
	}
	return false;
}

/* --- the walk --------------------------------------------------------------------------------- */

struct walk {
	const struct image *image;
	entry_visit_fn *visit;
	void *context;
	struct entry entry;
};

static bool visit_slot(struct walk *w, struct entry_place *place)
{
	enum entry_flaw flaw = ENTRY_WHOLE;
	unsigned tries;
	uint64_t word;

	for (tries = 0; tries < TRIES; tries++) {
		/* Acquire; partner: the release in the broker's publish. */
		word = shared_u64_load_acquire(place->word);
		if (!word)
			return true;
		flaw = entry_read(w->image, word, &w->entry);
		/* The copy was made before this look at the slot. */
		atomic_thread_fence(memory_order_acquire);
		if (shared_u64_load(place->word) == word)
			return w->visit(w->context, &w->entry, flaw, place);
	}
	/* It changes faster than we look: nothing can be said of it. */
	return true;
}

#define SLACK 1024 /* of a live table, whose overflow buckets change chains meanwhile */

void entry_walk(const struct image *image, entry_visit_fn *visit, void *context)
{
	struct walk w = {.image = image, .visit = visit, .context = context};
	uint64_t n = image_n_buckets(image), left = 2 * image_n_overflow(image) + SLACK;
	const struct abi_bucket *b;
	struct entry_place place;
	struct chain c;

	for (place.bucket = 0; place.bucket < n; place.bucket++) {
		for (b = chain_first(&c, image, place.bucket); b;
			b = left ? chain_next(&c) : NULL) {
			/* Each overflow bucket is in one chain; damage could put all into each. */
			left -= c.link != 0;
			place.overflow = c.link;
			for (place.slot = 0; place.slot < ABI_BUCKET_SLOTS; place.slot++) {
				place.word = &b->slot[place.slot];
				if (!visit_slot(&w, &place))
					return;
			}
		}
	}
}
