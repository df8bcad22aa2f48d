/* SPDX-License-Identifier: Apache-2.0 */
/* reuse.h - inside the policies: when do entries of a class come back? */
#ifndef SHMCACHE_POLICY_REUSE_H
#define SHMCACHE_POLICY_REUSE_H

#include <stdint.h>

/*
 * Ages are in ticks, of which a cache's capacity has 4096 to 8191 (all that
 * has fewer bytes: a tick is a byte then).  Bucket 0 is all below
 * REUSE_AGE_MIN; from there each octave has two, and the last is open.
 */
enum {
	REUSE_N_CLASSES = 8,
	REUSE_AGE_MIN_LOG2 = 6,
	REUSE_AGE_MAX_LOG2 = 22,
	REUSE_N_BUCKETS = 2 * (REUSE_AGE_MAX_LOG2 + 1 - REUSE_AGE_MIN_LOG2) + 1,

	REUSE_N_SLOTS = 32768, /* keys watched at once, at most */
	REUSE_N_CACHES = 16,   /* they stand for so many caches full of keys */
};

struct reuse_slot {
	uint32_t hash;
	uint32_t stamp;
	uint16_t older, newer;
	uint16_t chain;
	uint8_t class;
};

struct reuse {
	struct reuse_slot *slot; /* slot 0 is nobody */
	uint16_t *bucket;	 /* heads of the hash chains */
	uint16_t oldest, newest, free, n_fresh;
	uint32_t n;
	unsigned shift; /* 1 key in 2^shift is watched */
	unsigned n_events;
	/* by class and age: came back; was lost from sight without coming back */
	float back[REUSE_N_CLASSES][REUSE_N_BUCKETS];
	float lost[REUSE_N_CLASSES][REUSE_N_BUCKETS];
	/* hits per tick that keeping such an entry may bring */
	float worth[REUSE_N_CLASSES][REUSE_N_BUCKETS];
};

int reuse_init(struct reuse *u);
void reuse_deinit(struct reuse *u);
uint64_t reuse_books_size(const struct reuse *u);

/* The entry was read or put at `now`, and is in `class` from now on. */
void reuse_note(struct reuse *u, uint32_t hash, unsigned class, uint32_t now,
	uint32_t n_resident);

static inline unsigned reuse_age_bucket(uint32_t age)
{
	unsigned octave;

	if (age < 1 << REUSE_AGE_MIN_LOG2)
		return 0;
	octave = 31 - (unsigned)__builtin_clz(age);
	if (octave > REUSE_AGE_MAX_LOG2)
		return REUSE_N_BUCKETS - 1;
	return 1 + 2 * (octave - REUSE_AGE_MIN_LOG2) + (age >> (octave - 1) & 1);
}

static inline float reuse_worth(const struct reuse *u, unsigned class, uint32_t age)
{
	return u->worth[class][reuse_age_bucket(age)];
}

#endif
