/* SPDX-License-Identifier: Apache-2.0 */
/* nodes.h - inside the policies: one node per id, and queues of them. */
#ifndef SHMCACHE_POLICY_NODES_H
#define SHMCACHE_POLICY_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * 20 bytes per id.  Queue 0 says that the id is not resident; what the others
 * mean is the policy's, and so are freq and stamp.  `spare` starts as the
 * priority and is what is left of it.  Id 0 is nobody and ends the queues.
 */
struct node {
	uint32_t prev; /* towards the front, where the oldest stand */
	uint32_t next; /* towards the back, where newcomers join */
	uint32_t hash;
	uint32_t size;
	unsigned queue : 4;
	unsigned spare : 2;
	unsigned freq : 3;
	unsigned stamp : 23;
};

struct nodes {
	struct node *node;
	uint32_t n_ids_max;
};

struct queue {
	uint32_t front, back;
	uint32_t n;	  /* entries */
	uint64_t n_bytes; /* the sum of their sizes */
};

enum {
	NODES_QUEUE_MAX = 15,
	NODES_SPARE_MAX = 3,
	NODES_FREQ_MAX = 7,
	NODES_STAMP_MASK = (1 << 23) - 1,
	/* entries that one search for a victim may move over */
	NODES_MOVE_LIMIT = 1024,
};

struct policy_entry;

int nodes_init(struct nodes *n, uint32_t n_ids_max);
void nodes_deinit(struct nodes *n);

/* Zeroed memory whose untouched pages cost nothing; -ENOMEM. */
int nodes_map(void **out, size_t size);
void nodes_unmap(void *map, size_t size);
/* Bytes of a mapping that are in core. */
uint64_t nodes_map_used(const void *map, size_t size);

/* Fill in the node from the entry; it is in no queue yet. */
void nodes_set(struct nodes *n, uint32_t id, const struct policy_entry *e);

/* The 32 bits of a key's hash by which nodes and ghosts know it; never 0. */
uint32_t nodes_fold(uint64_t hash);
uint32_t nodes_size(uint64_t size);

/* Join queue `q`, numbered `number`, at its back or before `at`; leave it. */
void nodes_push_back(struct nodes *n, struct queue *q, unsigned number, uint32_t id);
void nodes_push_before(
	struct nodes *n, struct queue *q, unsigned number, uint32_t id, uint32_t at);
void nodes_take(struct nodes *n, struct queue *q, uint32_t id);

/*
 * Use up one of the entry's extra chances; false when it has none left.  A
 * search for a victim starts with a budget of NODES_MOVE_LIMIT; once that is
 * spent the entry loses all its chances, so that the next search ends on it.
 */
bool nodes_spare(struct nodes *n, uint32_t id, unsigned *budget);
/* The same for its freq. */
bool nodes_spare_freq(struct nodes *n, uint32_t id, unsigned *budget);

static inline unsigned nodes_queue(const struct nodes *n, uint32_t id)
{
	return n->node[id].queue;
}

#endif
