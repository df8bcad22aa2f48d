/* SPDX-License-Identifier: Apache-2.0 */
/* tier.h: the tiers of memory, which of them a value goes to, and when it is worth a move. */
#ifndef SHMCACHE_TIER_H
#define SHMCACHE_TIER_H

#include <stdbool.h>
#include <stdint.h>

#include "allocator/block.h"
#include "allocator/region.h"
#include "ipc/abi.h"
#include "shmcache/policy/policy.h"

/* Everything here is the store's, under its lock. Sizes are bytes. */

struct tier {
	struct region *region; /* NULL: there is no such tier */
	char *base;
	uint64_t size;
	struct block_allocator *blocks;
	struct policy *policy;
	uint64_t n_entries;
	uint64_t limbo_size; /* of its blocks in limbo */
};

/* Bytes in use that no reclaim round would give back. */
uint64_t tier_used(const struct tier *tier);

/* What the operator may choose; of no effect without a CXL tier. */
struct store_tiering {
	uint64_t size_threshold;	/* values from this size on go to CXL first; 0: none do */
	unsigned demote_at, demote_to;	/* percents of the DRAM tier in use; see tiering_...() */
	unsigned promote_after;		/* hits in CXL; 0: never */
	uint64_t promote_rate;		/* bytes a second; 0: no limit */
};

/* --- placement -------------------------------------------------------------------------------- */

/* How room may be made in a tier. */
enum tier_room {
	TIER_ROOM_FREE,	  /* what is free, or comes free by a reclaim round */
	TIER_ROOM_DEMOTE, /* or by moving entries down */
	TIER_ROOM_EVICT,  /* or by giving entries up */
};

struct tier_choice {
	uint8_t tier;
	uint8_t how; /* enum tier_room */
};

#define TIER_CHOICES_MAX 3

/*
 * Where to try to store @size bytes under the hint @hint (enum abi_tier), in order. Returns how
 * many choices there are: 0 when it is too large for every tier.
 */
unsigned tier_choose(const struct tier tier[ABI_TIERS], const struct store_tiering *options,
	unsigned hint, uint64_t size, struct tier_choice out[TIER_CHOICES_MAX]);

/* --- when to move ----------------------------------------------------------------------------- */

#define TIERING_CANDIDATES 256

/* An entry that was hit often enough to be promoted. */
struct tiering_candidate {
	uint32_t cell, generation;
};

struct tiering {
	struct store_tiering options;
	uint64_t demote_at, demote_to; /* bytes in use of the DRAM tier */
	bool is_demoting;	       /* demote_at was reached, demote_to not yet */
	bool is_asked;		       /* for the mover: a put has seen that there is work */

	uint16_t *hits; /* by cell: since it came to CXL; NULL: one tier */
	uint64_t n_cells_max;
	struct tiering_candidate candidate[TIERING_CANDIDATES]; /* a ring */
	unsigned first, n_candidates;
	int64_t tokens; /* bytes that may be promoted now; below 0: a debt */
	uint64_t tokens_ms;
};

/* 0 or -ENOMEM; zeroes will do for one tier. Free with tiering_deinit(), which takes zeroes too. */
int tiering_init(struct tiering *t, const struct store_tiering *options,
	const struct tier tier[ABI_TIERS], uint64_t n_cells_max);
void tiering_deinit(struct tiering *t);

/* Is it time to demote, or not enough yet? */
bool tiering_wants_demotion(struct tiering *t, const struct tier *dram);

/*
 * A hit in the CXL tier. True when it makes the entry a candidate; false with *is_refused when it
 * would, and there are too many.
 */
bool tiering_hit(struct tiering *t, uint32_t cell, uint32_t generation, bool *is_refused);
/* What is in @cell has just come there. */
void tiering_forget(struct tiering *t, uint32_t cell);
bool tiering_next(struct tiering *t, struct tiering_candidate *out);

/* Does the rate allow a promotion now? What is promoted then is to be paid. */
bool tiering_may_promote(struct tiering *t, uint64_t now_ms);
void tiering_pay(struct tiering *t, uint64_t size);

#endif
