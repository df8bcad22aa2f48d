// SPDX-License-Identifier: Apache-2.0
/*
 * ghosts.c - entries that are gone but remembered.
 *
 * ARC and S3-FIFO learn from misses on what they lately evicted.  A ghost is
 * known by 32 bits of its key's hash: among a million ghosts one stranger in
 * four thousand is taken for an acquaintance, which costs one entry a slightly
 * wrong place and no more.
 *
 * Slots are taken from a free list, so low slots are used again before new
 * pages are touched.  The table of buckets doubles as it fills; that rehash is
 * the one step here that is constant only on average.
 */
#include "shmcache/policy/ghosts.h"

#include "shmcache/policy/nodes.h"

enum { GHOSTS_N_BUCKETS_MIN = 256 };

static uint32_t round_up_pow2(uint32_t n)
{
	uint32_t x = GHOSTS_N_BUCKETS_MIN;

	while (x < n && x < UINT32_C(1) << 31)
		x <<= 1;
	return x;
}

static size_t slots_size(const struct ghosts *g)
{
	return (size_t)g->n_max * sizeof(struct ghost);
}

static size_t buckets_size(const struct ghosts *g)
{
	return (size_t)round_up_pow2(g->n_max) * sizeof(uint32_t);
}

int ghosts_init(struct ghosts *g, uint32_t n_max)
{
	struct ghosts new = {
		.n_max = n_max,
		.n_fresh = 1,
		.n_buckets = GHOSTS_N_BUCKETS_MIN,
	};
	void *map;
	int r;

	r = nodes_map(&map, slots_size(&new));
	if (r)
		return r;
	new.slot = map;
	r = nodes_map(&map, buckets_size(&new));
	if (r) {
		nodes_unmap(new.slot, slots_size(&new));
		return r;
	}
	new.bucket = map;
	*g = new;
	return 0;
}

void ghosts_deinit(struct ghosts *g)
{
	nodes_unmap(g->slot, slots_size(g));
	nodes_unmap(g->bucket, buckets_size(g));
	*g = (struct ghosts){0};
}

uint64_t ghosts_books_size(const struct ghosts *g)
{
	return nodes_map_used(g->slot, slots_size(g)) +
	       nodes_map_used(g->bucket, buckets_size(g));
}

static uint32_t *bucket_of(const struct ghosts *g, uint32_t hash)
{
	return &g->bucket[hash & (g->n_buckets - 1)];
}

uint32_t ghosts_find(const struct ghosts *g, uint32_t hash)
{
	uint32_t i = *bucket_of(g, hash);

	while (i && g->slot[i].hash != hash)
		i = g->slot[i].chain;
	return i;
}

static void chain_in(struct ghosts *g, uint32_t i)
{
	uint32_t *bucket = bucket_of(g, g->slot[i].hash);

	g->slot[i].chain = *bucket;
	*bucket = i;
}

static void grow(struct ghosts *g)
{
	if (g->n < g->n_buckets || g->n_buckets >= round_up_pow2(g->n_max))
		return;
	for (uint32_t b = 0; b < g->n_buckets; b++)
		g->bucket[b] = 0;
	g->n_buckets *= 2;
	for (unsigned l = 0; l < GHOSTS_N_LISTS; l++) {
		for (uint32_t i = g->list[l].oldest; i; i = g->slot[i].next)
			chain_in(g, i);
	}
}

void ghosts_drop(struct ghosts *g, uint32_t i)
{
	struct ghost *x = &g->slot[i];
	struct ghost_list *l = &g->list[x->list];
	uint32_t *link = bucket_of(g, x->hash);

	while (*link != i)
		link = &g->slot[*link].chain;
	*link = x->chain;
	if (x->prev)
		g->slot[x->prev].next = x->next;
	else
		l->oldest = x->next;
	if (x->next)
		g->slot[x->next].prev = x->prev;
	else
		l->newest = x->prev;
	l->n_bytes -= x->size;
	x->next = g->free;
	g->free = i;
	g->n--;
}

static uint32_t slot_take(struct ghosts *g, unsigned list)
{
	uint32_t i;

	if (!g->free && g->n_fresh == g->n_max) {
		i = g->list[list].oldest ? g->list[list].oldest : g->list[!list].oldest;
		ghosts_drop(g, i);
	}
	if (!g->free)
		return g->n_fresh++;
	i = g->free;
	g->free = g->slot[i].next;
	return i;
}

void ghosts_add(struct ghosts *g, unsigned list, uint32_t hash, uint32_t size)
{
	struct ghost_list *l = &g->list[list];
	uint32_t i = ghosts_find(g, hash);

	if (i)
		ghosts_drop(g, i);
	i = slot_take(g, list);
	g->slot[i] = (struct ghost){
		.hash = hash, .size = size, .prev = l->newest, .list = list};
	if (l->newest)
		g->slot[l->newest].next = i;
	else
		l->oldest = i;
	l->newest = i;
	l->n_bytes += size;
	chain_in(g, i);
	g->n++;
	grow(g);
}

void ghosts_trim(struct ghosts *g, unsigned list, uint64_t max)
{
	while (g->list[list].n_bytes > max)
		ghosts_drop(g, g->list[list].oldest);
}
