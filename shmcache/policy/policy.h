/* SPDX-License-Identifier: Apache-2.0 */
/* policy.h - which entry leaves when the cache is full: the interface. */
#ifndef SHMCACHE_POLICY_POLICY_H
#define SHMCACHE_POLICY_POLICY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A policy keeps the order in which entries would be given up.  It owns no
 * value, frees nothing and knows no key: the caller names an entry by its
 * index cell, tells what happened to it, and asks for the next victim.
 *
 *	miss, put:	while (no room)  policy_evict(p, policy_victim(p, &e));
 *			policy_insert(p, id, &e);
 *	hit:		policy_hit(p, id);
 *	delete, pin:	policy_remove(p, id);
 *
 * Ids are 1 .. n_ids_max - 1, may be sparse and are reused.  Books are kept in
 * arrays indexed by id of which only touched pages cost memory, so a caller
 * that hands out low ids first pays least.
 *
 * Sizes are bytes.  A cache may hold 64 B and 1 GiB entries at once: every
 * bound inside a policy is in bytes.  A size of 4 GiB or more counts as
 * 4 GiB - 1.
 *
 * No function takes a lock.  The caller serialises all calls on one policy;
 * different policies are independent.  All calls but new, free and books_size
 * take constant time, policy_victim() amortised: what it moves over was paid
 * for by an insert or a hit, and one call moves over a bounded number.
 */
struct policy;

/*
 * What a policy may know about an entry; nothing is kept by reference.  Group
 * and position are hints that `gittins` alone uses; it takes entries for
 * neighbours in a chain if they were used one right after the other and their
 * positions are, so a chain should be put, and its hits told, in its order.
 */
struct policy_entry {
	uint64_t hash;	   /* of the key, 64 good bits; equal keys, equal hash */
	uint64_t size;	   /* bytes that leaving would free */
	uint64_t group;	   /* the chain that it belongs to; 0: none */
	uint32_t position; /* in the chain, ascending from its head */
	uint8_t priority;  /* 0 normal; more is dearer, 3 is the most */
	/*
	 * It was fetched from elsewhere, where it still is: that it will be read
	 * again here is not known.  Until it is, or others like it turn out to be,
	 * it leaves before what was put here: see probation.c.
	 */
	bool is_unproven;
};

/*
 * Make a policy for a cache of `capacity` bytes, for ids below `n_ids_max`.
 * `name` is one of policy_names(), NULL for the default.  The capacity only
 * sizes the policy's inner parts: when the cache is full is the caller's word.
 *
 * 0; -ENOENT unknown name; -EINVAL no capacity or fewer than two ids;
 * -ENOMEM.  Free with policy_free(), which takes NULL.
 */
int policy_new(
	struct policy **out, const char *name, uint64_t capacity, uint32_t n_ids_max);
void policy_free(struct policy *p);

/*
 * A policy for the memory below: what `upper` gives up is moved there by its
 * caller (policy_take(), policy_give()), and leaves the cache from there.  Of
 * the same kind as `upper` it shares what that learns, so that the two decide
 * like one policy of both capacities.  `name` as above, and the ids are those
 * of `upper`.  To be made before anything was inserted; both may be freed in
 * any order, and calls on the two have to be serialised from then on.
 */
int policy_new_below(struct policy **out, const char *name, struct policy *upper,
	uint64_t capacity);

/* The name of this policy, and all names, the default first, NULL at the end. */
const char *policy_name(const struct policy *p);
const char *policy_names(unsigned i);

/*
 * The entry became resident.  An id that is resident already is taken as
 * removed first.  `e` is read during the call only.
 */
void policy_insert(struct policy *p, uint32_t id, const struct policy_entry *e);

/* It was read.  Harmless for an id that is not resident (the log is lossy). */
void policy_hit(struct policy *p, uint32_t id);

/*
 * It left for a reason of its own: deleted, replaced, pinned.  No memory of it
 * is kept.  Harmless for an id that is not resident.
 */
void policy_remove(struct policy *p, uint32_t id);

/*
 * The entry to give up next, 0 when none is resident.  `incoming` is what the
 * room is for, or NULL; it may change the choice (ARC) but nothing else.  The
 * victim stays resident; asked again, the policy names it again until it is
 * evicted, removed or hit.
 */
uint32_t policy_victim(struct policy *p, const struct policy_entry *incoming);

/*
 * It left for want of room: like policy_remove(), but the policy may remember
 * its hash, so as to know it when it comes back.  Any resident id may be
 * evicted, the victim or not; harmless for one that is not resident.
 */
void policy_evict(struct policy *p, uint32_t id);

/*
 * It moves to another tier.  policy_take() removes it and tells what its policy
 * made of it so far; policy_give() has it go on from there in the policy of the
 * other tier, or in its own again, under the same id or another one.  An entry
 * that is not resident is taken as one that nothing is known of.
 */
struct policy_carried {
	const struct policy_ops *ops; /* whose notion the rest is; NULL: nothing */
	uint32_t id, stamp;
	uint8_t queue, freq, spare;
};
void policy_take(struct policy *p, uint32_t id, struct policy_carried *out);
void policy_give(struct policy *p, uint32_t id, const struct policy_entry *e,
	const struct policy_carried *carried);

/*
 * Would `a`, resident in `p`, leave before `b`, resident in `q`, if both were in
 * one?  Where the two are not of one kind, or their kind can't tell: true.
 */
bool policy_is_colder(
	const struct policy *p, uint32_t a, const struct policy *q, uint32_t b);

bool policy_resident(const struct policy *p, uint32_t id);

/* Bytes of private memory really in use, the untouched pages left out. Slow. */
uint64_t policy_books_size(const struct policy *p);

#endif
