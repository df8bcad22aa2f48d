// SPDX-License-Identifier: Apache-2.0
/*
 * gittins.c - give up what is worth least, by what such entries did before.
 *
 * LRU knows of an entry only how long it has rested, LFU only how often it was
 * read.  Both matter, and how is a property of the traffic: in a Zipf-like mix
 * the count decides, in a loop the one that rested longest comes back first,
 * and a conversation comes back after the time that a person takes to read and
 * answer, more likely so the more turns it already had.  So nothing about that
 * is fixed here.  Entries are classed by how often they were read, reuse.c
 * learns how each class comes back as it rests, and the victim is the entry
 * whose class and age make it worth least per byte and moment of keeping it.
 *
 * Looking at all entries would be too slow, and looking at a random few needs
 * an array of them.  Each class is a queue by time of last use.  The worth of
 * a class as a function of age rises at most once and then falls, near enough
 * (it falls from the start under recency, rises up to the length of a loop or
 * of a pause for thought), so its least over any stretch of ages is at one end
 * of the stretch.  The candidates are therefore the longest and the shortest
 * rested of each class: a victim costs 16 look-ups, whatever the cache's size.
 *
 *	nursery  >>>>  class 0   [oldest .......... newest]
 *	               class 1   [oldest .......... newest]
 *	                 ...      ^ candidates       ^
 *	               class 7   [oldest .......... newest]
 *
 * Taking from the newest end is what lets a small cache hold on to a part of a
 * loop instead of losing all of it.  But a value that was just put should be
 * there for a first reader, whatever the statistics say, so newcomers stand in
 * a nursery for the time in which a 64th of the capacity is put after them.
 *
 * The class is the number of reads, exact up to 3 and then approximate as with
 * R. Morris, "Counting Large Numbers of Events in Small Registers", 1978:
 * class c > 2 goes on to c + 1 by a chance of 1 in 2^(c - 2).  It survives an
 * eviction in a memo of 2 bytes.  Ages are told in bytes read and put, not in
 * calls: that is the same for equal sizes, and right for mixed ones.  Worth is
 * per byte, so the policy is indifferent to size and aims at the byte hit
 * ratio.
 *
 * A point of priority makes an entry four times as dear; dear entries have
 * queues of their own, so that a cheap one never hides behind them.
 *
 * Of a chain of chunks only what leads up to the first gap can be used, and a
 * chain is read from its head: at its own last read the head is a little older
 * than the tail, and leaves first, which spoils all the rest.  So where puts
 * carry a group and a position, an entry is linked to the one used just before
 * it if that is one position up, and the victim is the end of the links that
 * start at the entry whose turn it is, even from the nursery.  The walk along
 * them ends after GITTINS_CHAIN_MAX.  Links cost 12 bytes an entry, in an array
 * that is not touched before the first hint.
 *
 * Two tiers have queues of their own and share all that is learned, the clock
 * and the links.  An entry keeps its class and age when it moves, so the worth
 * of what is above and of what is below are one scale: what is worth least
 * above goes down, what is worth least below leaves, and the two together keep
 * what one tier of the sum would.
 */
#include <errno.h>
#include <stdlib.h>

#include "shmcache/policy/impl.h"
#include "shmcache/policy/memo.h"
#include "shmcache/policy/reuse.h"

enum { GITTINS_AGED = 1, GITTINS_NURSERY = 2 };
enum {
	GITTINS_TICKS_LOG2 = 12,
	GITTINS_NURSERY_SHARE = 64,
	GITTINS_N_PRIORITIES = NODES_SPARE_MAX + 1,
	GITTINS_PRIORITY_FACTOR = 4,
	GITTINS_CHAIN_MAX = 256,
	GITTINS_PLACE_MAX = 64,
};

/* What hints told of an entry; all zero: nothing. */
struct chained {
	uint32_t position_1; /* in its chain, from 1 */
	uint32_t prev;	     /* who was used just before it, one position up */
	uint32_t next;	     /* of those whose prev it is the last; ids get reused,
				so a link is one only if the other side has it too */
};

/* What is known of the traffic, the same for all tiers that share it. */
struct learned {
	unsigned n_users; /* policies */
	uint64_t capacity; /* of all of them */
	struct chained *chain; /* by id */
	size_t chain_size;
	bool has_chains; /* else no page of it was touched yet */
	uint32_t last;	 /* who was used last, 0: it is gone */
	uint64_t clock;	 /* bytes read and put */
	unsigned tick_shift;
	uint32_t n_resident;
	uint32_t random;
	struct memo memo;
	struct reuse reuse;
};

struct gittins {
	struct policy policy;
	struct queue aged[GITTINS_N_PRIORITIES][REUSE_N_CLASSES];
	struct queue nursery;
	struct learned *learned;
};

static int learned_new(struct learned **out, uint32_t n_ids_max)
{
	struct learned *l = calloc(1, sizeof(*l));
	void *map;
	int r = -ENOMEM;

	if (!l)
		return r;
	l->random = 1;
	l->chain_size = (size_t)n_ids_max * sizeof(*l->chain);
	r = nodes_map(&map, l->chain_size);
	if (r)
		goto err_free;
	l->chain = map;
	r = memo_init(&l->memo, n_ids_max);
	if (r)
		goto err_chain;
	r = reuse_init(&l->reuse);
	if (r)
		goto err_memo;
	*out = l;
	return 0;

err_memo:
	memo_deinit(&l->memo);
err_chain:
	nodes_unmap(l->chain, l->chain_size);
err_free:
	free(l);
	return r;
}

static void learned_unref(struct learned *l)
{
	if (--l->n_users)
		return;
	nodes_unmap(l->chain, l->chain_size);
	memo_deinit(&l->memo);
	reuse_deinit(&l->reuse);
	free(l);
}

static int gittins_init(struct policy *p)
{
	struct gittins *g = (struct gittins *)p;
	unsigned log2;
	int r;

	if (p->upper) {
		g->learned = ((struct gittins *)p->upper)->learned;
	} else {
		r = learned_new(&g->learned, p->nodes.n_ids_max);
		if (r)
			return r;
	}
	g->learned->n_users++;
	g->learned->capacity += p->capacity;
	/* Nothing was put yet, so the clock may still change its step. */
	log2 = 63 - (unsigned)__builtin_clzll(g->learned->capacity);
	g->learned->tick_shift =
		log2 > GITTINS_TICKS_LOG2 ? log2 - GITTINS_TICKS_LOG2 : 0;
	return 0;
}

static void gittins_deinit(struct policy *p)
{
	learned_unref(((struct gittins *)p)->learned);
}

/* Each of those that share it has its share. */
static uint64_t gittins_books_size(const struct policy *p)
{
	const struct learned *l = ((const struct gittins *)p)->learned;

	return (nodes_map_used(l->chain, l->chain_size) + memo_books_size(&l->memo) +
		       reuse_books_size(&l->reuse) + sizeof(*l)) /
	       l->n_users;
}

static uint32_t gittins_now(const struct gittins *g)
{
	return (uint32_t)(g->learned->clock >> g->learned->tick_shift);
}

/*
 * A node's stamp wraps after a thousand capacities of traffic.  An entry that
 * rests for longer looks young once more, and goes a round later.
 */
static uint32_t gittins_age(const struct gittins *g, uint32_t id)
{
	return (gittins_now(g) - g->policy.nodes.node[id].stamp) & NODES_STAMP_MASK;
}

/* G. Marsaglia, "Xorshift RNGs", 2003; the same run gives the same numbers. */
static uint32_t gittins_random(struct learned *l)
{
	l->random ^= l->random << 13;
	l->random ^= l->random >> 17;
	l->random ^= l->random << 5;
	return l->random;
}

static unsigned gittins_class_next(struct gittins *g, unsigned class)
{
	if (class + 1 == REUSE_N_CLASSES)
		return class;
	if (class > 2 && gittins_random(g->learned) & ((1u << (class - 2)) - 1))
		return class;
	return class + 1;
}

static struct queue *gittins_queue(struct gittins *g, uint32_t id)
{
	const struct node *x = &g->policy.nodes.node[id];

	return x->queue == GITTINS_NURSERY ? &g->nursery : &g->aged[x->spare][x->freq];
}

static void gittins_push(struct gittins *g, uint32_t id)
{
	const struct node *x = &g->policy.nodes.node[id];

	nodes_push_back(&g->policy.nodes, &g->aged[x->spare][x->freq], GITTINS_AGED, id);
}

static void gittins_chain_set(
	struct gittins *g, uint32_t id, const struct policy_entry *e)
{
	uint32_t position = e->position < UINT32_MAX ? e->position : UINT32_MAX - 1;
	struct learned *l = g->learned;

	if (e->group)
		l->has_chains = true;
	if (l->has_chains)
		l->chain[id] =
			(struct chained){.position_1 = e->group ? position + 1 : 0};
}

/* Chains are told from the order of use, which is all that a hit tells. */
static void gittins_chain_use(struct gittins *g, uint32_t id)
{
	struct learned *l = g->learned;
	struct chained *x = &l->chain[id], *last = &l->chain[l->last];

	if (l->has_chains && l->last && last->position_1 &&
		x->position_1 == last->position_1 + 1) {
		x->prev = l->last;
		last->next = id;
	}
	l->last = id;
}

/* What stands in a chain stays in it under another id, in whichever tier. */
static void gittins_chain_rename(struct learned *l, uint32_t from, uint32_t to)
{
	struct chained *x = &l->chain[to];

	if (!l->has_chains || from == to)
		return;
	*x = l->chain[from];
	if (x->prev && l->chain[x->prev].next == from)
		l->chain[x->prev].next = to;
	if (x->next && l->chain[x->next].prev == from)
		l->chain[x->next].prev = to;
}

/* The end of the chain that goes on from this entry in this tier, or the entry. */
static uint32_t gittins_chain_tail(const struct gittins *g, uint32_t id)
{
	const struct learned *l = g->learned;
	uint32_t next;

	for (unsigned i = 0; l->has_chains && i < GITTINS_CHAIN_MAX; i++) {
		next = l->chain[id].next;
		if (!next || l->chain[next].prev != id ||
			!nodes_queue(&g->policy.nodes, next))
			break;
		id = next;
	}
	return id;
}

/* The entry is used now: as of now it is in `class` and has not rested. */
static void gittins_touch(struct gittins *g, uint32_t id, unsigned class)
{
	struct node *x = &g->policy.nodes.node[id];
	struct learned *l = g->learned;

	l->clock += x->size;
	x->stamp = gittins_now(g) & NODES_STAMP_MASK;
	x->freq = class & (REUSE_N_CLASSES - 1);
	reuse_note(&l->reuse, x->hash, class, gittins_now(g), l->n_resident);
}

static void gittins_remove(struct policy *p, uint32_t id)
{
	struct gittins *g = (struct gittins *)p;

	nodes_take(&p->nodes, gittins_queue(g, id), id);
	if (g->learned->last == id)
		g->learned->last = 0;
	g->learned->n_resident--;
}

static void gittins_insert(struct policy *p, uint32_t id, const struct policy_entry *e)
{
	struct gittins *g = (struct gittins *)p;
	uint32_t grown;

	gittins_chain_set(g, id, e);
	gittins_chain_use(g, id);
	g->learned->n_resident++;
	gittins_touch(g, id, memo_take(&g->learned->memo, p->nodes.node[id].hash));
	nodes_push_back(&p->nodes, &g->nursery, GITTINS_NURSERY, id);
	while (g->nursery.n_bytes > p->capacity / GITTINS_NURSERY_SHARE) {
		grown = g->nursery.front;
		nodes_take(&p->nodes, &g->nursery, grown);
		gittins_push(g, grown);
	}
}

static void gittins_hit(struct policy *p, uint32_t id)
{
	struct gittins *g = (struct gittins *)p;

	gittins_chain_use(g, id);
	nodes_take(&p->nodes, gittins_queue(g, id), id);
	gittins_touch(g, id, gittins_class_next(g, p->nodes.node[id].freq));
	gittins_push(g, id);
}

/*
 * It goes on at the age that it has.  The queues are by time of last use, near
 * enough: what comes is mostly older than what is there at the back (it was the
 * longest rested above) or younger (it is hot, or was taken from the newest end
 * above), so its place is looked for among the last few.
 */
static void gittins_give(struct policy *p, uint32_t id, const struct policy_entry *e,
	const struct policy_carried *carried)
{
	struct gittins *g = (struct gittins *)p;
	struct node *x = &p->nodes.node[id];
	uint32_t at = 0, before;

	(void)e;
	x->stamp = carried->stamp & NODES_STAMP_MASK;
	g->learned->n_resident++;
	gittins_chain_rename(g->learned, carried->id, id);
	before = g->aged[x->spare][x->freq].back;
	for (unsigned i = 0; i < GITTINS_PLACE_MAX && before; i++) {
		if (gittins_age(g, before) >= gittins_age(g, id))
			break;
		at = before;
		before = p->nodes.node[before].prev;
	}
	if (at)
		nodes_push_before(
			&p->nodes, &g->aged[x->spare][x->freq], GITTINS_AGED, id, at);
	else
		gittins_push(g, id);
}

struct choice {
	uint32_t id;
	uint32_t age;
	float worth;
};

static float gittins_worth(const struct policy *p, uint32_t id)
{
	const struct gittins *g = (const struct gittins *)p;
	const struct node *x = &p->nodes.node[id];
	float worth = reuse_worth(&g->learned->reuse, x->freq, gittins_age(g, id));

	for (unsigned i = 0; i < x->spare; i++)
		worth *= GITTINS_PRIORITY_FACTOR;
	return worth;
}

/* Of two that are worth the same, the one that rested longer goes. */
static void consider(struct gittins *g, struct choice *best, uint32_t id)
{
	uint32_t age = gittins_age(g, id);
	float worth = gittins_worth(&g->policy, id);

	if (best->id &&
		(worth > best->worth || (worth == best->worth && age <= best->age)))
		return;
	*best = (struct choice){.id = id, .age = age, .worth = worth};
}

static uint32_t gittins_victim(struct policy *p, const struct policy_entry *incoming)
{
	struct gittins *g = (struct gittins *)p;
	struct choice best = {0};

	(void)incoming;
	for (unsigned i = 0; i < GITTINS_N_PRIORITIES * REUSE_N_CLASSES; i++) {
		const struct queue *q =
			&g->aged[i / REUSE_N_CLASSES][i % REUSE_N_CLASSES];

		if (!q->front)
			continue;
		consider(g, &best, q->front);
		consider(g, &best, q->back);
	}
	return gittins_chain_tail(g, best.id ? best.id : g->nursery.front);
}

static void gittins_evict(struct policy *p, uint32_t id)
{
	struct gittins *g = (struct gittins *)p;
	unsigned class = p->nodes.node[id].freq;

	memo_fit(&g->learned->memo, g->learned->n_resident);
	/* coming back is one more read */
	memo_put(&g->learned->memo, p->nodes.node[id].hash,
		class < MEMO_VALUE_MAX ? class + 1 : MEMO_VALUE_MAX);
	gittins_remove(p, id);
}

const struct policy_ops policy_gittins_ops = {
	.name = "gittins",
	.struct_size = sizeof(struct gittins),
	.init = gittins_init,
	.deinit = gittins_deinit,
	.insert = gittins_insert,
	.hit = gittins_hit,
	.remove = gittins_remove,
	.victim = gittins_victim,
	.evict = gittins_evict,
	.give = gittins_give,
	.worth = gittins_worth,
	.books_size = gittins_books_size,
};
