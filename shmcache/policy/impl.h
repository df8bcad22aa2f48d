/* SPDX-License-Identifier: Apache-2.0 */
/* impl.h - what a policy implements behind policy.h. */
#ifndef SHMCACHE_POLICY_IMPL_H
#define SHMCACHE_POLICY_IMPL_H

#include "shmcache/policy/nodes.h"
#include "shmcache/policy/policy.h"
#include "shmcache/policy/probation.h"

/*
 * policy.c checks ids and residency before it calls these, so that none of
 * them has to: insert sees an id that is in no queue and whose node is set,
 * hit, remove and evict see a resident one.  evict and remove leave it in no
 * queue.
 *
 * give sees what insert does, with freq and spare as they were.
 *
 * The struct arrives at init zeroed but for the head.
 */
struct policy_ops {
	const char *name;
	size_t struct_size;
	int (*init)(struct policy *p);	  /* NULL: zeroes will do */
	void (*deinit)(struct policy *p); /* NULL: nothing to give back */
	void (*insert)(struct policy *p, uint32_t id, const struct policy_entry *e);
	void (*hit)(struct policy *p, uint32_t id);
	void (*remove)(struct policy *p, uint32_t id);
	uint32_t (*victim)(struct policy *p, const struct policy_entry *incoming);
	/* insert what was taken from one of this kind; NULL: as insert */
	void (*give)(struct policy *p, uint32_t id, const struct policy_entry *e,
		const struct policy_carried *carried);
	/* what keeping a resident entry is worth; NULL: it can't tell */
	float (*worth)(const struct policy *p, uint32_t id);
	void (*evict)(struct policy *p, uint32_t id);
	/* beyond the struct and the nodes; NULL: nothing */
	uint64_t (*books_size)(const struct policy *p);
};

/* The head of each policy's own struct. */
struct policy {
	const struct policy_ops *ops;
	struct nodes nodes;
	struct probation probation; /* policy.c's; no policy sees who is in it */
	uint64_t capacity;
	/* At init: the one above, if it is of this kind; else NULL. */
	struct policy *upper;
};

extern const struct policy_ops policy_arc_ops;
extern const struct policy_ops policy_clock_ops;
extern const struct policy_ops policy_gittins_ops;
extern const struct policy_ops policy_lru_ops;
extern const struct policy_ops policy_s3fifo_ops;

#endif
