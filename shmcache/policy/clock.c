// SPDX-License-Identifier: Apache-2.0
/*
 * clock.c - second chance: LRU's cheap cousin.
 *
 * F. J. Corbato, "A Paging Experiment with the Multics System", 1968.  Entries
 * stand in the order in which they came; a hit sets a bit and moves nothing.
 * The hand goes along the queue: an entry with its bit set loses the bit and
 * goes to the back, the first without it is the victim.  The queue is the
 * clock's face, its front the hand.
 *
 * A hand that clears bits moves over many entries in one call when all were
 * hit; NODES_MOVE_LIMIT ends that, and what is in front then has to go.
 */
#include "shmcache/policy/impl.h"

enum { CLOCK_QUEUE = 1 };

struct clock {
	struct policy policy;
	struct queue queue;
};

static void clock_insert(struct policy *p, uint32_t id, const struct policy_entry *e)
{
	struct clock *c = (struct clock *)p;

	(void)e;
	nodes_push_back(&p->nodes, &c->queue, CLOCK_QUEUE, id);
}

static void clock_remove(struct policy *p, uint32_t id)
{
	struct clock *c = (struct clock *)p;

	nodes_take(&p->nodes, &c->queue, id);
}

static void clock_hit(struct policy *p, uint32_t id)
{
	p->nodes.node[id].freq = 1;
}

static uint32_t clock_victim(struct policy *p, const struct policy_entry *incoming)
{
	struct clock *c = (struct clock *)p;
	unsigned budget = NODES_MOVE_LIMIT;
	uint32_t id;

	(void)incoming;
	while ((id = c->queue.front)) {
		if (!nodes_spare_freq(&p->nodes, id, &budget) &&
			!nodes_spare(&p->nodes, id, &budget))
			break;
		nodes_take(&p->nodes, &c->queue, id);
		nodes_push_back(&p->nodes, &c->queue, CLOCK_QUEUE, id);
	}
	return id;
}

const struct policy_ops policy_clock_ops = {
	.name = "clock",
	.struct_size = sizeof(struct clock),
	.insert = clock_insert,
	.hit = clock_hit,
	.remove = clock_remove,
	.victim = clock_victim,
	.evict = clock_remove,
};
