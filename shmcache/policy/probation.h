/* SPDX-License-Identifier: Apache-2.0 */
/* probation.h - inside the policies: entries that have yet to be read a second time. */
#ifndef SHMCACHE_POLICY_PROBATION_H
#define SHMCACHE_POLICY_PROBATION_H

#include "shmcache/policy/ghosts.h"
#include "shmcache/policy/nodes.h"
#include "shmcache/policy/policy.h"

/*
 * A queue before any policy, first in, first out, of a small share of the
 * cache.  An entry in it is resident, and none of the policy's.  Its node's
 * queue is PROBATION_QUEUE, which no policy uses.
 */
enum { PROBATION_QUEUE = NODES_QUEUE_MAX };

struct probation {
	struct queue queue;
	struct policy_entry *kept; /* by id: what the policy is to see; NULL: unused yet */
	struct ghosts ghosts;	   /* that left it unread */
	uint64_t bytes_max;	   /* from here on they leave first */
	uint64_t ghost_bytes_max;
	uint32_t n_again, n_gone; /* read a second time, or not: of late */
};

/* Memory is mapped at the first use, and touched as it is used. */
void probation_init(struct probation *p, uint64_t capacity);
void probation_deinit(struct probation *p, uint32_t n_ids_max);
uint64_t probation_books_size(const struct probation *p, uint32_t n_ids_max);

/*
 * Take in the entry, whose node is set and which is in no queue.  False: it is
 * to be the policy's at once.
 */
bool probation_enter(
	struct probation *p, struct nodes *nodes, uint32_t id, const struct policy_entry *e);

/* It was read: it leaves, and *e is what to insert into the policy. */
void probation_pass(
	struct probation *p, struct nodes *nodes, uint32_t id, struct policy_entry *e);

/* It leaves for want of room, or for another reason. */
void probation_evict(struct probation *p, struct nodes *nodes, uint32_t id);
void probation_remove(struct probation *p, struct nodes *nodes, uint32_t id);

/* The one to give up before any of the policy's; 0: none. */
static inline uint32_t probation_victim(const struct probation *p)
{
	return p->queue.n_bytes > p->bytes_max ? p->queue.front : 0;
}

static inline bool probation_has(const struct nodes *nodes, uint32_t id)
{
	return nodes_queue(nodes, id) == PROBATION_QUEUE;
}

#endif
