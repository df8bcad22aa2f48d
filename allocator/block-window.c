/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evict-to-fit: which neighbours to evict so that one block fits.
 *
 * A policy names victims in an order that knows nothing of addresses. Evicting
 * by that order until a large value fits would throw out far more than its
 * size, since the victims lie scattered and their space does not add up. So the
 * victim only tells where to look: around it, the neighbours that together make
 * a run of the size are evicted instead, and of all such runs the one that the
 * policy would miss least, by a cost that it gives.
 *
 *	      ... |  A  |B|   C   | start |  D  |  E  | F | ...
 *	           <--- size ---->         <---- size ---->
 *		  [ first run     )
 *			[ second      )
 *				  [ last run         )
 *
 * Two ends walk up the neighbours: for each lower end the upper one is moved
 * just as far as needed, and a running sum holds the cost between them. Every
 * block enters and leaves once, however large the window. A block that can't be
 * evicted empties it: the lower end jumps behind.
 */
#include "allocator/block-private.h"

#include <errno.h>

struct window {
	const struct block_allocator *a;
	uint64_t units;
	uint64_t align;
	block_cost_fn *cost;
	void *ctx;

	uint32_t lo;		/* lowest block within; 0: beyond the end */
	uint32_t hi;		/* first block above; 0: at the end */
	uint64_t sum;		/* the cost of lo (inclusive) to hi (not) */
};

/* UINT64_MAX: the block stays. */
static uint64_t window_cost(const struct window *w, const struct block_node *n)
{
	uint64_t cost;

	if (!node_is_used(n))
		return 0;
	cost = w->cost(w->ctx, n->owner, node_units(w->a, n) << UNIT_SHIFT);
	if (cost != UINT64_MAX && cost > BLOCK_COST_MAX)
		cost = BLOCK_COST_MAX;
	return cost;
}

/* The window's two ends span at most 1 GiB, an alignment and a block between them,
 * in blocks of at least a unit: the sum can't overflow. */
static_assert((2 * (BLOCK_SIZE_MAX + 2 * BLOCK_ALIGN_MAX) >> UNIT_SHIFT) <
	      UINT64_MAX / BLOCK_COST_MAX, "no sum of costs overflows");

/* Where a run that starts with the window's lower end has to reach. */
static uint64_t window_target(const struct window *w)
{
	return round_up(w->a->nodes[w->lo].off, w->align) + w->units;
}

static uint64_t window_end(const struct window *w)
{
	return w->hi ? w->a->nodes[w->hi].off : w->a->n_units;
}

/* Takes blocks in at the upper end until the run is long enough. False if that
 * is impossible: the region ended, or lo was moved behind what can't go. */
static bool window_extend(struct window *w)
{
	uint64_t target = window_target(w);

	if (target > w->a->n_units)
		return false;
	while (window_end(w) < target) {
		const struct block_node *n = &w->a->nodes[w->hi];
		uint64_t cost = window_cost(w, n);

		w->hi = n->next;
		if (cost == UINT64_MAX) {
			w->lo = w->hi;
			w->sum = 0;
			return false;
		}
		w->sum += cost;
	}
	return true;
}

/* Lets the lowest block out; there is one after a successful extension. */
static void window_advance(struct window *w)
{
	const struct block_node *n = &w->a->nodes[w->lo];

	w->sum -= window_cost(w, n);
	w->lo = n->next;
}

/* The block `distance` units below `start`, or the lowest. */
static uint32_t window_lowest(const struct block_allocator *a, uint32_t start,
		uint64_t distance)
{
	const struct block_node *n = &a->nodes[start];
	uint64_t from = n->off > distance ? n->off - distance : 0;

	while (n->off > from) {
		start = n->prev;
		n = &a->nodes[start];
	}
	return start;
}

/* The best of the windows so far. */
struct choice {
	uint32_t lo;		/* 0: none yet */
	uint32_t hi;
	uint64_t sum;
	bool around;		/* it contains the start */
};

static void choice_offer(struct choice *c, const struct window *w, uint64_t start_off)
{
	bool around = w->a->nodes[w->lo].off <= start_off && window_end(w) > start_off;

	if (c->lo && (c->around > around || (c->around == around && c->sum <= w->sum)))
		return;
	*c = (struct choice){ w->lo, w->hi, w->sum, around };
}

/*
 * Near an end of the region or with a large alignment there may be no place for
 * a run that contains the start; the nearest that there is begins less than an
 * alignment behind it, or ends less than two below it and a block further on.
 */
int block_window_find(struct block_allocator *a, uint32_t start,
		uint64_t size, uint64_t align, block_cost_fn *cost, void *ctx,
		uint32_t *first, uint32_t *last)
{
	struct window w = { .a = a, .cost = cost, .ctx = ctx };
	struct choice best = { 0 };
	uint64_t start_off;
	uint32_t lo;

	assert(start && start < a->n_nodes && a->nodes[start].mark != MARK_SPARE);
	if (!request_units(size, align, &w.units, &w.align))
		return -EINVAL;
	start_off = a->nodes[start].off;
	w.lo = w.hi = window_lowest(a, start, w.units + 2 * (w.align - 1));
	while (w.lo && a->nodes[w.lo].off <= start_off + w.align - 1) {
		lo = w.lo;
		if (window_extend(&w)) {
			choice_offer(&best, &w, start_off);
			window_advance(&w);
		} else if (w.lo == lo) {
			break;	/* the region ends, for the next ones too */
		}
	}
	if (!best.lo)
		return BLOCK_FULL;
	*first = best.lo;
	*last = best.hi ? a->nodes[best.hi].prev : a->last;
	/* Nothing to evict: a run that was overlooked, and is not to be again. */
	if (*first == *last && !node_is_used(&a->nodes[*first]))
		block_list_front(a, *first);
	return 0;
}
