/* SPDX-License-Identifier: Apache-2.0 */
/* ghosts.h - inside the policies: entries that are gone but remembered. */
#ifndef SHMCACHE_POLICY_GHOSTS_H
#define SHMCACHE_POLICY_GHOSTS_H

#include <stdint.h>

enum { GHOSTS_N_LISTS = 2 };

/*
 * Hashes of evicted entries in up to two lists, oldest first, with the bytes
 * that each stood for.  A hash is on one list at most.  24 bytes per ghost.
 */
struct ghost {
	uint32_t hash;
	uint32_t size;
	uint32_t prev, next; /* on its list, prev is older; next alone when free */
	uint32_t chain;	     /* the next in its hash bucket */
	uint32_t list;
};

struct ghost_list {
	uint32_t oldest, newest;
	uint64_t n_bytes;
};

struct ghosts {
	struct ghost *slot; /* slot 0 is nobody */
	uint32_t *bucket;
	uint32_t n_buckets; /* in use, a power of two */
	uint32_t n_max;	    /* slots and buckets mapped */
	uint32_t n_fresh;   /* slots from here on were never used */
	uint32_t n;
	uint32_t free;
	struct ghost_list list[GHOSTS_N_LISTS];
};

/* For up to n_max - 1 ghosts; -ENOMEM. */
int ghosts_init(struct ghosts *g, uint32_t n_max);
void ghosts_deinit(struct ghosts *g);
uint64_t ghosts_books_size(const struct ghosts *g);

/* The ghost of this hash, 0 when there is none. */
uint32_t ghosts_find(const struct ghosts *g, uint32_t hash);

/*
 * Remember it as the newest on the list; the hash's former ghost goes.  When
 * all slots are taken, the oldest of that list goes, or of the other.
 */
void ghosts_add(struct ghosts *g, unsigned list, uint32_t hash, uint32_t size);
void ghosts_drop(struct ghosts *g, uint32_t slot);
/* Drop the oldest until the list stands for at most max bytes. */
void ghosts_trim(struct ghosts *g, unsigned list, uint64_t max);

#endif
