// SPDX-License-Identifier: Apache-2.0
/*
 * arc.c - the adaptive replacement cache.
 *
 * N. Megiddo, D. S. Modha, "ARC: A Self-Tuning, Low Overhead Replacement
 * Cache", FAST 2003, figure 4.  T1 holds what was seen once, T2 what was seen
 * again, both in LRU order; B1 and B2 remember what each of them lately gave
 * up.  p is the share of the cache that T1 should have: a miss that B1
 * remembers says that T1 was too short and raises p, one that B2 remembers
 * lowers it.
 *
 * All sizes are bytes: a ghost hit moves p by the size of what came back times
 * the whole ratio of the two ghost lists, and by its size at least, which for
 * equal sizes is the paper's step of max(1, |B2| / |B1|) entries.
 *
 * The paper adapts p, makes room, and takes the newcomer in as one step.  Here
 * the caller makes room first, and perhaps for several victims.  So the first
 * call of arc_victim() for a newcomer works out what p becomes and keeps it as
 * `pending`, and arc_insert() makes it so.  The paper trims the ghosts before
 * it adds to them, arc_insert() after: what remains is the same.
 */
#include "shmcache/policy/ghosts.h"
#include "shmcache/policy/impl.h"

enum { ARC_T1 = 1, ARC_T2 = 2 };
enum { ARC_B1 = 0, ARC_B2 = 1, ARC_STRANGER };

struct arc_plan {
	uint32_t hash; /* of the newcomer, 0: none */
	unsigned from; /* ARC_B1, ARC_B2 or ARC_STRANGER */
	uint64_t p;
};

struct arc {
	struct policy policy;
	struct queue queue[3]; /* by number, 0 unused */
	struct ghosts ghosts;
	uint64_t p;
	struct arc_plan pending;
};

static int arc_init(struct policy *p)
{
	return ghosts_init(&((struct arc *)p)->ghosts, p->nodes.n_ids_max);
}

static void arc_deinit(struct policy *p)
{
	ghosts_deinit(&((struct arc *)p)->ghosts);
}

static uint64_t arc_books_size(const struct policy *p)
{
	return ghosts_books_size(&((const struct arc *)p)->ghosts);
}

static uint64_t step_size(uint64_t other, uint64_t own, uint64_t size, uint64_t max)
{
	uint64_t ratio = other > own ? other / own : 1;

	return size && ratio > max / size ? max : ratio * size;
}

/* What the newcomer would do to p, as things stand. */
static struct arc_plan arc_plan(const struct arc *a, uint32_t hash, uint32_t size)
{
	struct arc_plan plan = {.hash = hash, .from = ARC_STRANGER, .p = a->p};
	uint32_t ghost = ghosts_find(&a->ghosts, hash);
	uint64_t b1 = a->ghosts.list[ARC_B1].n_bytes, step;
	uint64_t b2 = a->ghosts.list[ARC_B2].n_bytes;

	if (!ghost)
		return plan;
	plan.from = a->ghosts.slot[ghost].list;
	if (plan.from == ARC_B1) {
		step = step_size(b2, b1 ? b1 : 1, size, a->policy.capacity);
		plan.p = a->policy.capacity - a->p > step ? a->p + step
							  : a->policy.capacity;
	} else {
		step = step_size(b1, b2 ? b2 : 1, size, a->policy.capacity);
		plan.p = a->p > step ? a->p - step : 0;
	}
	return plan;
}

static void arc_push(struct arc *a, unsigned number, uint32_t id)
{
	nodes_push_back(&a->policy.nodes, &a->queue[number], number, id);
}

static void arc_remove(struct policy *p, uint32_t id)
{
	struct arc *a = (struct arc *)p;

	nodes_take(&p->nodes, &a->queue[nodes_queue(&p->nodes, id)], id);
}

static void arc_hit(struct policy *p, uint32_t id)
{
	arc_remove(p, id);
	arc_push((struct arc *)p, ARC_T2, id);
}

/* |T1| + |B1| <= c and |T1| + |T2| + |B1| + |B2| <= 2c */
static void arc_trim(struct arc *a)
{
	uint64_t c = a->policy.capacity;
	uint64_t t1 = a->queue[ARC_T1].n_bytes, t2 = a->queue[ARC_T2].n_bytes, all;

	ghosts_trim(&a->ghosts, ARC_B1, t1 < c ? c - t1 : 0);
	all = t1 + t2 + a->ghosts.list[ARC_B1].n_bytes;
	ghosts_trim(&a->ghosts, ARC_B2, all < 2 * c ? 2 * c - all : 0);
}

static void arc_insert(struct policy *p, uint32_t id, const struct policy_entry *e)
{
	struct arc *a = (struct arc *)p;
	const struct node *x = &p->nodes.node[id];
	uint32_t ghost;

	(void)e;
	if (a->pending.hash != x->hash)
		a->pending = arc_plan(a, x->hash, x->size);
	a->p = a->pending.p;
	ghost = ghosts_find(&a->ghosts, x->hash);
	if (ghost)
		ghosts_drop(&a->ghosts, ghost);
	arc_push(a, a->pending.from == ARC_STRANGER ? ARC_T1 : ARC_T2, id);
	a->pending = (struct arc_plan){0};
	arc_trim(a);
}

/* To the same list; no miss, so p stays what it is. */
static void arc_give(struct policy *p, uint32_t id, const struct policy_entry *e,
	const struct policy_carried *carried)
{
	(void)e;
	arc_push((struct arc *)p, carried->queue, id);
	arc_trim((struct arc *)p);
}

/* REPLACE of the paper, up to the choice of the list. */
static unsigned arc_side(const struct arc *a, const struct arc_plan *plan)
{
	uint64_t t1 = a->queue[ARC_T1].n_bytes;

	if (!a->queue[ARC_T1].n)
		return ARC_T2;
	if (!a->queue[ARC_T2].n)
		return ARC_T1;
	return t1 > plan->p || (plan->from == ARC_B2 && t1 == plan->p) ? ARC_T1 : ARC_T2;
}

static uint32_t arc_victim(struct policy *p, const struct policy_entry *incoming)
{
	struct arc *a = (struct arc *)p;
	struct arc_plan plan = {.from = ARC_STRANGER, .p = a->p};
	unsigned budget = NODES_MOVE_LIMIT, side;
	uint32_t hash, id;

	if (incoming) {
		hash = nodes_fold(incoming->hash);
		if (a->pending.hash != hash)
			a->pending = arc_plan(a, hash, nodes_size(incoming->size));
		plan = a->pending;
	}
	side = arc_side(a, &plan);
	while ((id = a->queue[side].front) && nodes_spare(&p->nodes, id, &budget)) {
		arc_remove(p, id);
		arc_push(a, side, id);
	}
	return id;
}

static void arc_evict(struct policy *p, uint32_t id)
{
	struct arc *a = (struct arc *)p;
	const struct node *x = &p->nodes.node[id];
	unsigned list = x->queue == ARC_T1 ? ARC_B1 : ARC_B2;

	arc_remove(p, id);
	ghosts_add(&a->ghosts, list, x->hash, x->size);
}

const struct policy_ops policy_arc_ops = {
	.name = "arc",
	.struct_size = sizeof(struct arc),
	.init = arc_init,
	.deinit = arc_deinit,
	.insert = arc_insert,
	.give = arc_give,
	.hit = arc_hit,
	.remove = arc_remove,
	.victim = arc_victim,
	.evict = arc_evict,
	.books_size = arc_books_size,
};
