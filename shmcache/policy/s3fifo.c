// SPDX-License-Identifier: Apache-2.0
/*
 * s3fifo.c - three static FIFO queues.
 *
 * J. Yang, Y. Zhang, Z. Qiu, Y. Yue, K. V. Rashmi, "FIFO queues are all you
 * need for cache eviction", SOSP 2023.  Most objects of a web cache are never
 * asked for again, so newcomers pass through a small queue S of a tenth of the
 * cache and leave it fast: those read twice meanwhile go on to the main queue
 * M, the others leave only their hash in the ghost queue G.  Who comes back
 * while G remembers it goes straight to M.  M is a clock with counts up to 3.
 *
 * The published bounds are shares of the cache; here they are shares of its
 * bytes, and G stands for the bytes that M may hold.  An entry larger than S's
 * whole share still enters through S, which is over its share then and gives
 * first.
 *
 * It suits Zipf-like traffic.  In KV-cache traffic blocks come back after a
 * pause that is longer than S is deep, and are gone by then: see
 * docs/eviction.md.
 */
#include "shmcache/policy/ghosts.h"
#include "shmcache/policy/impl.h"

enum { S3_SMALL = 1, S3_MAIN = 2 };
enum {
	S3_SMALL_PERCENT = 10,
	S3_PROMOTE_FREQ = 2,
	S3_FREQ_MAX = 3,
	S3_GHOSTS = 0, /* the one list that is used */
};

struct s3fifo {
	struct policy policy;
	struct queue queue[3]; /* by number, 0 unused */
	struct ghosts ghosts;
	uint64_t small_max;
};

static int s3fifo_init(struct policy *p)
{
	struct s3fifo *s = (struct s3fifo *)p;

	s->small_max = p->capacity / 100 * S3_SMALL_PERCENT +
		       p->capacity % 100 * S3_SMALL_PERCENT / 100;
	return ghosts_init(&s->ghosts, p->nodes.n_ids_max);
}

static void s3fifo_deinit(struct policy *p)
{
	ghosts_deinit(&((struct s3fifo *)p)->ghosts);
}

static uint64_t s3fifo_books_size(const struct policy *p)
{
	return ghosts_books_size(&((const struct s3fifo *)p)->ghosts);
}

static void s3fifo_push(struct s3fifo *s, unsigned number, uint32_t id)
{
	nodes_push_back(&s->policy.nodes, &s->queue[number], number, id);
}

static void s3fifo_remove(struct policy *p, uint32_t id)
{
	struct s3fifo *s = (struct s3fifo *)p;

	nodes_take(&p->nodes, &s->queue[nodes_queue(&p->nodes, id)], id);
}

static void s3fifo_insert(struct policy *p, uint32_t id, const struct policy_entry *e)
{
	struct s3fifo *s = (struct s3fifo *)p;
	uint32_t ghost = ghosts_find(&s->ghosts, p->nodes.node[id].hash);

	(void)e;
	if (ghost)
		ghosts_drop(&s->ghosts, ghost);
	s3fifo_push(s, ghost ? S3_MAIN : S3_SMALL, id);
}

/* The same queue: what M kept has earned it, what S gave up has not. */
static void s3fifo_give(struct policy *p, uint32_t id, const struct policy_entry *e,
	const struct policy_carried *carried)
{
	(void)e;
	s3fifo_push((struct s3fifo *)p, carried->queue, id);
}

static void s3fifo_hit(struct policy *p, uint32_t id)
{
	if (p->nodes.node[id].freq < S3_FREQ_MAX)
		p->nodes.node[id].freq++;
}

/* Has the entry at the front of S earned its place in M? */
static bool s3fifo_promote(struct s3fifo *s, uint32_t id, unsigned *budget)
{
	struct nodes *nodes = &s->policy.nodes;

	if (nodes->node[id].freq < S3_PROMOTE_FREQ && !nodes_spare(nodes, id, budget))
		return false;
	if (!*budget) {
		nodes->node[id].freq = 0;
		return false;
	}
	(*budget)--;
	nodes_take(nodes, &s->queue[S3_SMALL], id);
	nodes->node[id].freq = 0;
	s3fifo_push(s, S3_MAIN, id);
	return true;
}

static bool s3fifo_turn(struct s3fifo *s, uint32_t id, unsigned *budget)
{
	struct nodes *nodes = &s->policy.nodes;

	if (!nodes_spare_freq(nodes, id, budget) && !nodes_spare(nodes, id, budget))
		return false;
	nodes_take(nodes, &s->queue[S3_MAIN], id);
	s3fifo_push(s, S3_MAIN, id);
	return true;
}

static uint32_t s3fifo_victim(struct policy *p, const struct policy_entry *incoming)
{
	struct s3fifo *s = (struct s3fifo *)p;
	unsigned budget = NODES_MOVE_LIMIT;
	struct queue *small = &s->queue[S3_SMALL], *main = &s->queue[S3_MAIN];

	(void)incoming;
	while (small->front || main->front) {
		if (small->front && (small->n_bytes >= s->small_max || !main->front)) {
			if (!s3fifo_promote(s, small->front, &budget))
				return small->front;
		} else if (!s3fifo_turn(s, main->front, &budget)) {
			return main->front;
		}
	}
	return 0;
}

static void s3fifo_evict(struct policy *p, uint32_t id)
{
	struct s3fifo *s = (struct s3fifo *)p;
	const struct node *x = &p->nodes.node[id];

	if (x->queue == S3_SMALL) {
		ghosts_add(&s->ghosts, S3_GHOSTS, x->hash, x->size);
		ghosts_trim(&s->ghosts, S3_GHOSTS, p->capacity - s->small_max);
	}
	s3fifo_remove(p, id);
}

const struct policy_ops policy_s3fifo_ops = {
	.name = "s3fifo",
	.struct_size = sizeof(struct s3fifo),
	.init = s3fifo_init,
	.deinit = s3fifo_deinit,
	.insert = s3fifo_insert,
	.give = s3fifo_give,
	.hit = s3fifo_hit,
	.remove = s3fifo_remove,
	.victim = s3fifo_victim,
	.evict = s3fifo_evict,
	.books_size = s3fifo_books_size,
};
