// SPDX-License-Identifier: Apache-2.0
/*
 * replay-tiers.c - one trace against one policy in two tiers.
 *
 * As replay-run.c, with what shmcache/tier.c does between tiers: a miss is put
 * above; when that is filled to the upper watermark, its victims move down until
 * the lower one; what finds no room below leaves.  A hit below is counted, and
 * the one that makes `promote_after` moves up if the policy holds what has to
 * make way for it to be colder.  Moves take no time here and are not limited.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/replay-run.h"
#include "bench/report.h"
#include "shmcache/policy/policy.h"

enum { UPPER, LOWER, N_LEVELS };

struct cell {
	struct policy_entry e;
	uint32_t key;
	uint8_t level, n_hits;
};

struct level {
	struct policy *policy;
	uint64_t capacity, used;
};

struct cache {
	const struct replay_options *o;
	struct level level[N_LEVELS];
	uint32_t *id_of; /* by key, 0: not resident */
	struct cell *cell;
	uint32_t *free; /* a stack of ids */
	uint32_t n_free, n_fresh;
	struct replay_result *res;
};

static int cache_init(
	struct cache *c, const struct trace *t, const struct replay_options *o)
{
	uint64_t capacity = o->by_bytes ? o->size : o->size * TRACE_BLOCK_SIZE;
	uint32_t n_ids_max = t->n_keys + 2;
	int r = -ENOMEM;

	*c = (struct cache){.o = o, .n_fresh = 1};
	c->level[UPPER].capacity = capacity / 100 * o->upper_percent;
	c->level[LOWER].capacity = capacity - c->level[UPPER].capacity;
	c->id_of = calloc(t->n_keys, sizeof(*c->id_of));
	c->cell = calloc(n_ids_max, sizeof(*c->cell));
	c->free = calloc(n_ids_max, sizeof(*c->free));
	if (c->id_of && c->cell && c->free)
		r = policy_new(&c->level[UPPER].policy, o->policy,
			c->level[UPPER].capacity, n_ids_max);
	if (!r)
		r = policy_new_below(&c->level[LOWER].policy, o->policy,
			c->level[UPPER].policy, c->level[LOWER].capacity);
	return r;
}

static void cache_deinit(struct cache *c)
{
	policy_free(c->level[UPPER].policy);
	policy_free(c->level[LOWER].policy);
	free(c->id_of);
	free(c->cell);
	free(c->free);
}

static uint32_t victim_of(struct cache *c, unsigned l, const struct policy_entry *incoming)
{
	uint32_t id = policy_victim(c->level[l].policy, incoming);

	if (!id || c->cell[id].level != l || c->id_of[c->cell[id].key] != id) {
		fprintf(stderr, "replay: %s gave up %u, which is not there\n",
			policy_name(c->level[l].policy), id);
		abort();
	}
	return id;
}

static void move(struct cache *c, uint32_t id, unsigned to)
{
	struct cell *x = &c->cell[id];
	struct policy_carried carried;

	policy_take(c->level[x->level].policy, id, &carried);
	c->level[x->level].used -= x->e.size;
	x->level = (uint8_t)to;
	x->n_hits = 0;
	c->level[to].used += x->e.size;
	policy_give(c->level[to].policy, id, &x->e, &carried);
}

static void evict(struct cache *c, unsigned l, const struct policy_entry *incoming)
{
	uint32_t id = victim_of(c, l, incoming);
	struct cell *x = &c->cell[id];

	policy_evict(c->level[l].policy, id);
	c->id_of[x->key] = 0;
	c->level[l].used -= x->e.size;
	c->free[c->n_free++] = id;
}

static void make_room_below(struct cache *c, const struct policy_entry *e)
{
	while (c->level[LOWER].used + e->size > c->level[LOWER].capacity)
		evict(c, LOWER, e);
}

/* Move down until no more than @max bytes are above; what fits nowhere leaves. */
static void demote(struct cache *c, uint64_t max, const struct policy_entry *incoming)
{
	while (c->level[UPPER].used > max) {
		uint32_t id = victim_of(c, UPPER, incoming);

		if (c->cell[id].e.size > c->level[LOWER].capacity) {
			evict(c, UPPER, incoming);
			continue;
		}
		make_room_below(c, &c->cell[id].e);
		move(c, id, LOWER);
		c->res->n_demotions++;
	}
}

static uint64_t share_of(const struct cache *c, unsigned percent)
{
	return c->level[UPPER].capacity / 100 * percent;
}

static void promote(struct cache *c, uint32_t id)
{
	uint64_t size = c->cell[id].e.size, max = share_of(c, c->o->demote_at);

	while (size <= max && c->level[UPPER].used + size > max) {
		uint32_t victim = victim_of(c, UPPER, &c->cell[id].e);

		if (!policy_is_colder(c->level[UPPER].policy, victim,
			    c->level[LOWER].policy, id))
			break;
		/* both are on their way, so neither makes way for the other */
		demote(c, c->level[UPPER].used - 1, &c->cell[id].e);
		if (!c->id_of[c->cell[id].key])
			return;
	}
	if (c->level[UPPER].used + size > max) {
		c->res->n_refused++;
		return;
	}
	move(c, id, UPPER);
	c->res->n_promotions++;
}

static void hit(struct cache *c, uint32_t id)
{
	struct cell *x = &c->cell[id];

	policy_hit(c->level[x->level].policy, id);
	if (x->level == UPPER)
		return;
	c->res->n_hits_below++;
	if (!c->o->promote_after || ++x->n_hits < c->o->promote_after)
		return;
	x->n_hits = 0;
	promote(c, id);
}

static void put(struct cache *c, uint32_t key, const struct policy_entry *e)
{
	bool above = e->size <= c->level[UPPER].capacity;
	unsigned l = above ? UPPER : LOWER;
	uint32_t id;

	if (above && c->level[UPPER].used + e->size > share_of(c, c->o->demote_at)) {
		uint64_t max = share_of(c, c->o->demote_to);

		demote(c, max > e->size ? max - e->size : 0, e);
	} else if (!above) {
		make_room_below(c, e);
	}
	id = c->n_free ? c->free[--c->n_free] : c->n_fresh++;
	c->cell[id] = (struct cell){.e = *e, .key = key, .level = (uint8_t)l};
	c->id_of[key] = id;
	c->level[l].used += e->size;
	policy_insert(c->level[l].policy, id, e);
}

static bool cache_read(struct cache *c, const struct trace_read *x)
{
	uint64_t state = x->key ^ c->o->salt;
	struct policy_entry e = {.size = c->o->by_bytes ? x->size : TRACE_BLOCK_SIZE};

	if (c->id_of[x->key]) {
		hit(c, c->id_of[x->key]);
		return true;
	}
	if (e.size > c->level[UPPER].capacity && e.size > c->level[LOWER].capacity)
		return false;
	e.hash = trace_random(&state);
	if (c->o->hints) {
		e.group = x->group;
		e.position = x->position;
	}
	put(c, x->key, &e);
	return false;
}

int replay_run_tiers(
	struct replay_result *out, const struct trace *t, const struct replay_options *o)
{
	struct replay_result res = {.n_reads = t->n_reads};
	bool usable = true;
	struct cache c;
	uint64_t start;
	int r;

	r = cache_init(&c, t, o);
	if (r)
		goto out;
	c.res = &res;
	start = report_now();
	for (size_t i = 0; i < t->n_reads; i++) {
		const struct trace_read *x = &t->reads[i];

		replay_count(&res, x, cache_read(&c, x), &usable);
	}
	res.ns_per_read = (double)(report_now() - start) / (double)t->n_reads;
	*out = res;
out:
	cache_deinit(&c);
	return r;
}
