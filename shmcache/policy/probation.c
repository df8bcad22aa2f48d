// SPDX-License-Identifier: Apache-2.0
/*
 * probation.c - newcomers that must not push out what is read.
 *
 * What is fetched from another broker was asked for once, as what is put is
 * stored once.  But a put is somebody's judgement that the value will be read;
 * a fetch may be a scan that comes by here once.  A policy that takes both for
 * newcomers gives half of its room to a stream of one-off reads that is as long
 * as the other.
 *
 * So such entries stand apart until they are read again, with a fiftieth of the
 * cache for them alone: what is beyond that leaves before anything else does.
 * Who leaves unread is remembered by its hash, for as many bytes as the cache
 * has; if it is fetched again, that is its second read, and it goes straight to
 * the policy.  After the small queue and the ghosts of S3-FIFO (s3fifo.c).
 *
 * Where most of what a broker has comes from others, that would be a second
 * miss for everything, and for nothing.  So it is counted how many are asked for
 * again, read or fetched: as long as it is one in PROBATION_TRUST or more, of
 * these entries only each eighth by its hash stands on probation, to go on
 * counting, and the others are newcomers like any.
 */
#include "shmcache/policy/probation.h"

#include <string.h>

enum {
	PROBATION_SHARE = 50,	/* of the cache: one part of so many */
	PROBATION_TRUST = 8,	/* one of so many has to come back */
	PROBATION_SAMPLE = 8,	/* one of so many is watched all the same */
	PROBATION_COUNTED = 512, /* of late: halved when it is that many */
};

void probation_init(struct probation *p, uint64_t capacity)
{
	p->bytes_max = capacity / PROBATION_SHARE;
	p->ghost_bytes_max = capacity;
}

void probation_deinit(struct probation *p, uint32_t n_ids_max)
{
	if (!p->kept)
		return;
	nodes_unmap(p->kept, (size_t)n_ids_max * sizeof(*p->kept));
	ghosts_deinit(&p->ghosts);
}

uint64_t probation_books_size(const struct probation *p, uint32_t n_ids_max)
{
	/* Acquire: asked without the lock. Partner: the release in probation_open(). */
	if (!__atomic_load_n(&p->kept, __ATOMIC_ACQUIRE))
		return 0;
	return nodes_map_used(p->kept, (size_t)n_ids_max * sizeof(*p->kept)) +
	       ghosts_books_size(&p->ghosts);
}

/* False where there is no memory: then nobody is on probation. */
static bool probation_open(struct probation *p, uint32_t n_ids_max)
{
	void *map;

	if (p->kept)
		return true;
	if (nodes_map(&map, (size_t)n_ids_max * sizeof(*p->kept)))
		return false;
	if (ghosts_init(&p->ghosts, n_ids_max)) {
		nodes_unmap(map, (size_t)n_ids_max * sizeof(*p->kept));
		return false;
	}
	/* Release: the ghosts are there. Partner: the acquire in probation_books_size(). */
	__atomic_store_n(&p->kept, map, __ATOMIC_RELEASE);
	return true;
}

static void probation_count(struct probation *p, uint32_t *counter)
{
	(*counter)++;
	if (p->n_again + p->n_gone < PROBATION_COUNTED)
		return;
	p->n_again /= 2;
	p->n_gone /= 2;
}

/* Before anything is known they are not trusted. */
static bool probation_trusts(const struct probation *p)
{
	return (uint64_t)p->n_again * (PROBATION_TRUST - 1) > p->n_gone;
}

bool probation_enter(
	struct probation *p, struct nodes *nodes, uint32_t id, const struct policy_entry *e)
{
	uint32_t hash = nodes->node[id].hash, ghost;

	if (!probation_open(p, nodes->n_ids_max))
		return false;
	ghost = ghosts_find(&p->ghosts, hash);
	if (ghost) {
		ghosts_drop(&p->ghosts, ghost);
		/* It was counted as gone, too early. */
		p->n_gone -= p->n_gone > 0;
		probation_count(p, &p->n_again);
		return false;
	}
	if (probation_trusts(p) && hash % PROBATION_SAMPLE)
		return false;
	p->kept[id] = *e;
	p->kept[id].is_unproven = false;
	nodes_push_back(nodes, &p->queue, PROBATION_QUEUE, id);
	return true;
}

void probation_remove(struct probation *p, struct nodes *nodes, uint32_t id)
{
	nodes_take(nodes, &p->queue, id);
}

void probation_pass(
	struct probation *p, struct nodes *nodes, uint32_t id, struct policy_entry *e)
{
	*e = p->kept[id];
	probation_count(p, &p->n_again);
	probation_remove(p, nodes, id);
}

void probation_evict(struct probation *p, struct nodes *nodes, uint32_t id)
{
	const struct node *x = &nodes->node[id];

	probation_count(p, &p->n_gone);
	ghosts_add(&p->ghosts, 0, x->hash, x->size);
	ghosts_trim(&p->ghosts, 0, p->ghost_bytes_max);
	probation_remove(p, nodes, id);
}
