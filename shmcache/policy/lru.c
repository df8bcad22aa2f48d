// SPDX-License-Identifier: Apache-2.0
/*
 * lru.c - the least recently used entry leaves first.
 *
 * The yardstick: one queue, newcomers and hits go to the back, victims are
 * taken at the front.  It keeps each entry for as long as the cache takes to
 * turn over once, whatever its worth, and so loses to a scan or to a loop one
 * entry longer than the cache.
 *
 * A dear entry that comes to the front is sent round again once for each
 * point of its priority.  A call sends round NODES_MOVE_LIMIT entries at most
 * and then takes the one in front, dear or not, so that a cache full of dear
 * entries costs no more time than any other.
 */
#include "shmcache/policy/impl.h"

enum { LRU_QUEUE = 1 };

struct lru {
	struct policy policy;
	struct queue queue;
};

static void lru_insert(struct policy *p, uint32_t id, const struct policy_entry *e)
{
	struct lru *l = (struct lru *)p;

	(void)e;
	nodes_push_back(&p->nodes, &l->queue, LRU_QUEUE, id);
}

static void lru_remove(struct policy *p, uint32_t id)
{
	struct lru *l = (struct lru *)p;

	nodes_take(&p->nodes, &l->queue, id);
}

static void lru_hit(struct policy *p, uint32_t id)
{
	struct lru *l = (struct lru *)p;

	nodes_take(&p->nodes, &l->queue, id);
	nodes_push_back(&p->nodes, &l->queue, LRU_QUEUE, id);
}

static uint32_t lru_victim(struct policy *p, const struct policy_entry *incoming)
{
	struct lru *l = (struct lru *)p;
	unsigned budget = NODES_MOVE_LIMIT;

	(void)incoming;
	while (l->queue.front && nodes_spare(&p->nodes, l->queue.front, &budget))
		lru_hit(p, l->queue.front);
	return l->queue.front;
}

const struct policy_ops policy_lru_ops = {
	.name = "lru",
	.struct_size = sizeof(struct lru),
	.insert = lru_insert,
	.hit = lru_hit,
	.remove = lru_remove,
	.victim = lru_victim,
	.evict = lru_remove,
};
