/* SPDX-License-Identifier: Apache-2.0 */
/* The NUMA nodes that the machine has: CXL memory that was onlined is one without CPUs. */
#ifndef ALLOCATOR_NODE_H
#define ALLOCATOR_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NODE_CPUS_UNKNOWN (~0u)

/* A snapshot. Sizes are bytes. */
struct node {
	int number;	   /* numbers may have gaps */
	uint64_t size, free;
	unsigned int n_cpus;
	int distance;	   /* from the first node with CPUs; 10: itself, 0: not told */
	bool is_allowed;   /* this process may have memory there */
};

/*
 * All nodes that exist, by number; *out is to be freed, NULL where there are none. 0, also where
 * there is no NUMA at all; or -ENOMEM.
 */
int node_list(struct node **out, size_t *n);

/* Is it memory that no CPU is near to, which this process may use? */
static inline bool node_is_far(const struct node *node)
{
	return node->is_allowed && node->size && !node->n_cpus;
}

#endif
