// SPDX-License-Identifier: Apache-2.0
/*
 * replay-run.c - one trace against one policy at one size.
 *
 * What the broker does around a policy, without the broker: cells are handed
 * out from the lowest, those of evicted entries again.  Sizes and residency are
 * held here and not asked of the policy, and a victim that is not resident
 * ends the program: a policy that cheats gets no ratio.
 */
#include "bench/replay-run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/report.h"
#include "shmcache/policy/policy.h"

struct cell {
	uint32_t key;
	uint32_t size;
};

struct cache {
	struct policy *policy;
	const struct replay_options *o;
	uint32_t *id_of; /* by key, 0: not resident */
	struct cell *cell;
	uint32_t *free; /* a stack of ids */
	uint32_t n_free, n_fresh;
	uint64_t capacity, used;
	uint64_t n_one_off;
	unsigned owed; /* percents of a one-off read */
};

#define ONE_OFF UINT32_MAX /* no key of the trace: nobody asks for it again */

static int cache_init(
	struct cache *c, const struct trace *t, const struct replay_options *o)
{
	uint32_t n_ids_max = t->n_keys + 2;
	int r;

	*c = (struct cache){.o = o, .n_fresh = 1};
	/* no more than all keys can be resident, and one-offs */
	if (o->one_off_percent)
		n_ids_max += (uint32_t)(t->n_reads * o->one_off_percent /
				(100 - o->one_off_percent)) + 1;
	if (!o->by_bytes && o->size < n_ids_max - 2)
		n_ids_max = (uint32_t)o->size + 2;
	c->capacity = o->by_bytes ? o->size : o->size * TRACE_BLOCK_SIZE;
	c->id_of = calloc(t->n_keys, sizeof(*c->id_of));
	c->cell = calloc(n_ids_max, sizeof(*c->cell));
	c->free = calloc(n_ids_max, sizeof(*c->free));
	if (!c->id_of || !c->cell || !c->free)
		r = -ENOMEM;
	else
		r = policy_new(&c->policy, o->policy, c->capacity, n_ids_max);
	return r;
}

static void cache_deinit(struct cache *c)
{
	policy_free(c->policy);
	free(c->id_of);
	free(c->cell);
	free(c->free);
}

static void cache_make_room(struct cache *c, const struct policy_entry *e)
{
	while (c->used + e->size > c->capacity) {
		uint32_t id = policy_victim(c->policy, e);

		uint32_t key = c->cell[id].key;

		if (!id || !c->cell[id].size || (key != ONE_OFF && c->id_of[key] != id)) {
			fprintf(stderr, "replay: %s gave up %u, which is not there\n",
				policy_name(c->policy), id);
			abort();
		}
		policy_evict(c->policy, id);
		if (key != ONE_OFF)
			c->id_of[key] = 0;
		c->used -= c->cell[id].size;
		c->cell[id].size = 0;
		c->free[c->n_free++] = id;
	}
}

static void cache_put(struct cache *c, uint32_t key, const struct policy_entry *e)
{
	uint32_t id = c->n_free ? c->free[--c->n_free] : c->n_fresh++;

	c->cell[id] = (struct cell){.key = key, .size = (uint32_t)e->size};
	if (key != ONE_OFF)
		c->id_of[key] = id;
	c->used += e->size;
	policy_insert(c->policy, id, e);
}

static bool cache_read(struct cache *c, const struct trace_read *x)
{
	uint64_t state = x->key ^ c->o->salt;
	struct policy_entry e = {.size = c->o->by_bytes ? x->size : TRACE_BLOCK_SIZE,
		.is_unproven = c->o->unproven};

	if (c->id_of[x->key]) {
		policy_hit(c->policy, c->id_of[x->key]);
		return true;
	}
	if (e.size > c->capacity)
		return false;
	e.hash = trace_random(&state);
	if (c->o->hints) {
		e.group = x->group;
		e.position = x->position;
	}
	cache_make_room(c, &e);
	cache_put(c, x->key, &e);
	return false;
}

/* As many one-off reads as belong to one of the trace, of the same size. */
static void cache_read_one_offs(struct cache *c, const struct trace_read *x)
{
	struct policy_entry e = {.size = c->o->by_bytes ? x->size : TRACE_BLOCK_SIZE,
		.is_unproven = true};
	uint64_t state;

	if (!c->o->one_off_percent || e.size > c->capacity)
		return;
	for (c->owed += c->o->one_off_percent; c->owed >= 100 - c->o->one_off_percent;
		c->owed -= 100 - c->o->one_off_percent) {
		state = ~c->n_one_off++;
		e.hash = trace_random(&state);
		cache_make_room(c, &e);
		cache_put(c, ONE_OFF, &e);
	}
}

int replay_run(
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
	start = report_now();
	for (size_t i = 0; i < t->n_reads; i++) {
		const struct trace_read *x = &t->reads[i];
		bool hit = cache_read(&c, x);

		cache_read_one_offs(&c, x);
		replay_count(&res, x, hit, &usable);
	}
	res.ns_per_read = (double)(report_now() - start) / (double)t->n_reads;
	if (c.n_fresh - 1 > c.n_free)
		res.books_per_entry =
			(double)policy_books_size(c.policy) / (c.n_fresh - 1 - c.n_free);
	res.n_one_offs = c.n_one_off;
	*out = res;
out:
	cache_deinit(&c);
	return r;
}
