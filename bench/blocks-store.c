/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cache without values.
 *
 * How much an allocator fragments depends on what is freed, and in a cache that
 * is the policy's choice and not the load's. So the loads of bench/blocks run
 * against the broker's way of eviction: by age until the sum suffices, and then,
 * if the pieces do not make a run, a window around the oldest entry. Costs are
 * bytes, up to sixteen times as dear for the newest as for the oldest, which
 * weighs a recent large value against some old small ones.
 */
#include "bench/blocks-store.h"
#include "bench/report.h"

#include <errno.h>
#include <stdlib.h>

#define NEWEST_WEIGHT 16

struct entry {
	uint32_t block;		/* 0: not in use */
	uint32_t older;		/* 0: the oldest; unused entries: the next one */
	uint32_t newer;		/* 0: the newest */
	uint64_t used_at;	/* the clock at its last use */
};

struct store {
	struct block_allocator *books;
	struct entry *entries;	/* [0] is none */
	uint32_t unused;
	uint32_t oldest;
	uint32_t newest;
	uint64_t clock;
	uint64_t used_max;
	uint32_t *doomed;	/* room for the victims of one window */
	struct store_counts counts;
};

int store_new(struct store **out, uint64_t region_size, double fill, uint32_t n_entries)
{
	struct store *s = calloc(1, sizeof(*s));
	uint32_t i;
	int r = -ENOMEM;

	if (!s)
		return -ENOMEM;
	s->used_max = (uint64_t)((double)region_size * fill);
	s->entries = calloc((size_t)n_entries + 1, sizeof(*s->entries));
	s->doomed = calloc((size_t)n_entries + 1, sizeof(*s->doomed));
	if (s->entries && s->doomed)
		r = block_allocator_new(&s->books, region_size);
	if (r) {
		store_free(s);
		return r;
	}
	for (i = n_entries; i; i--) {
		s->entries[i].older = s->unused;
		s->unused = i;
	}
	*out = s;
	return 0;
}

void store_free(struct store *s)
{
	if (!s)
		return;
	block_allocator_free(s->books);
	free(s->doomed);
	free(s->entries);
	free(s);
}

static void order_add(struct store *s, uint32_t id)
{
	struct entry *e = &s->entries[id];

	e->older = s->newest;
	e->newer = 0;
	if (s->newest)
		s->entries[s->newest].newer = id;
	else
		s->oldest = id;
	s->newest = id;
	e->used_at = ++s->clock;
}

static void order_del(struct store *s, uint32_t id)
{
	struct entry *e = &s->entries[id];

	if (e->older)
		s->entries[e->older].newer = e->newer;
	else
		s->oldest = e->newer;
	if (e->newer)
		s->entries[e->newer].older = e->older;
	else
		s->newest = e->older;
}

void store_delete(struct store *s, uint32_t id)
{
	struct entry *e = &s->entries[id];

	if (!e->block)
		return;
	order_del(s, id);
	block_free(s->books, e->block);
	e->block = 0;
	e->older = s->unused;
	s->unused = id;
}

void store_touch(struct store *s, uint32_t id)
{
	if (!s->entries[id].block)
		return;
	order_del(s, id);
	order_add(s, id);
}

/* From 1, the oldest, to 0, the newest. */
static double entry_age(const struct store *s, uint32_t id)
{
	uint64_t oldest_at = s->entries[s->oldest].used_at;

	return (double)(s->clock - s->entries[id].used_at) /
	       (double)(s->clock - oldest_at + 1);
}

static uint64_t entry_cost(void *ctx, uint32_t owner, uint64_t size)
{
	const struct store *s = ctx;

	return (uint64_t)((double)size *
			  (1 + (NEWEST_WEIGHT - 1) * (1 - entry_age(s, owner))));
}

static void evict_oldest(struct store *s)
{
	s->counts.evicted_size += block_size(s->books, s->entries[s->oldest].block);
	store_delete(s, s->oldest);
}

/* Evicts all from block first to last. */
static void window_evict(struct store *s, uint32_t first, uint32_t last)
{
	uint32_t n = 0, id, owner;
	uint64_t size;

	for (id = first;; id = block_next(s->books, id)) {
		owner = block_owner(s->books, id);
		if (owner) {
			size = block_size(s->books, id);
			s->counts.window_size += size;
			s->counts.age += (double)size * entry_age(s, owner);
			s->doomed[n++] = owner;
		}
		if (id == last)
			break;
	}
	while (n)
		store_delete(s, s->doomed[--n]);
}

/* There is room by sum, but not in one run. */
static int window_make(struct store *s, uint64_t size, uint64_t align,
		uint32_t id, uint32_t *block)
{
	struct block_stats st;
	uint32_t first, last;
	uint64_t start;
	int r;

	if (!s->oldest)
		return BLOCK_FULL;
	block_stats_get(s->books, &st);
	s->counts.n_windows++;
	s->counts.scattered += (double)st.free / (double)st.size;
	start = report_now();
	r = block_window_find(s->books, s->entries[s->oldest].block, size, align,
		entry_cost, s, &first, &last);
	start = report_now() - start;
	s->counts.window_ns += start;
	if (start > s->counts.window_ns_max)
		s->counts.window_ns_max = start;
	if (r)
		return r;
	window_evict(s, first, last);
	return block_alloc(s->books, size, align, id, block);
}

uint32_t store_put(struct store *s, uint64_t size, uint64_t align)
{
	struct block_stats st;
	uint32_t id, block;
	int r;

	s->counts.n_puts++;
	s->counts.put_size += size;
	block_stats_get(s->books, &st);
	while (s->oldest && (!s->unused || st.used + size > s->used_max)) {
		evict_oldest(s);
		block_stats_get(s->books, &st);
	}
	/* Off the stack before a window puts others on it. */
	id = s->unused;
	s->unused = s->entries[id].older;
	r = block_alloc(s->books, size, align, id, &block);
	if (r)
		r = window_make(s, size, align, id, &block);
	if (r) {
		s->counts.n_failed++;
		s->entries[id].older = s->unused;
		s->unused = id;
		return 0;
	}
	s->entries[id].block = block;
	order_add(s, id);
	s->counts.block_size += block_size(s->books, block);
	block_stats_get(s->books, &st);
	s->counts.used += (double)st.used / (double)st.size;
	return id;
}

const struct block_allocator *store_books(const struct store *s)
{
	return s->books;
}

const struct store_counts *store_counts(const struct store *s)
{
	return &s->counts;
}

void store_counts_set(struct store *s, const struct store_counts *counts)
{
	s->counts = *counts;
}
