/* SPDX-License-Identifier: Apache-2.0 */
/* hold.h: what the hold cells of all sessions name, and what that keeps from being reused. */
#ifndef CLIENTS_INSPECT_HOLD_H
#define CLIENTS_INSPECT_HOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "clients/inspect/entry.h"
#include "clients/inspect/image.h"

enum hold_kind {
	HOLD_PUBLISHED, /* the entry can be found: the hold costs nothing */
	HOLD_OPEN,	/* reserved, and being filled by the holder */
	HOLD_RETIRED,	/* deleted, replaced or evicted: the hold keeps its bytes */
	HOLD_STALE,	/* its cell has another record now: taken and about to be given up */
	HOLD_UNKNOWN,	/* no such cell, no whole record, or the index is not in the image */
};

const char *hold_kind_name(enum hold_kind kind);

struct hold {
	unsigned session; /* number in image->session */
	unsigned lane;
	uint32_t at; /* of the lane's cells */
	uint64_t word;
	enum hold_kind kind;
	uint64_t size; /* of the block, 0 where it is unknown */
};

/*
 * Call @visit for each hold; @entry is what the word names, as far as it was read. Of a live cache
 * this is what was there at some moment each: holds of readers in the middle of a call come and
 * go.
 */
typedef void hold_visit_fn(void *context, const struct hold *hold, const struct entry *entry);
void hold_walk(const struct image *image, hold_visit_fn *visit, void *context);

/* The sums of one session. A record that is held many times counts once. */
struct holder {
	unsigned session;
	uint64_t n_holds;     /* cells set */
	uint64_t n_records;   /* that they name */
	uint64_t held_size;   /* of these, in the tiers */
	uint64_t n_kept;      /* retired ones among them */
	uint64_t kept_size;   /* what can't be reused for them */
};

/*
 * One for each session of the image, in its order, in memory that the caller frees. NULL: none, or
 * no memory.
 */
struct holder *holder_list(const struct image *image);

#endif
