/* SPDX-License-Identifier: Apache-2.0 */
/* A cache without values: the broker's eviction over real books. */
#ifndef BENCH_BLOCKS_STORE_H
#define BENCH_BLOCKS_STORE_H

#include "allocator/block.h"

/*
 * One tier as the broker runs it: entries in the order of their last use, the
 * oldest evicted until there is room by sum, and where that room lies scattered
 * a window of neighbours evicted on top. No bytes are stored. One thread.
 */
struct store;

/* Sums since the last store_counts_set(). */
struct store_counts {
	uint64_t n_puts;
	uint64_t n_failed;	/* nothing could be evicted to make it fit */
	uint64_t put_size;	/* bytes asked for */
	uint64_t block_size;	/* bytes given, with rounding */
	uint64_t evicted_size;	/* for want of room */
	uint64_t n_windows;	/* puts that found room only in pieces */
	uint64_t window_size;	/* bytes evicted for them on top */
	double scattered;	/* sum over windows: free share of the region */
	double age;		/* sum over window victims, by bytes: 1 is the
				 * oldest entry's age, 0 the newest's */
	double used;		/* sum over puts: share of the region in use */
	uint64_t window_ns_max;	/* the longest search for a window */
	uint64_t window_ns;	/* all of them */
};

/* Keeps at most `fill` (0 to 1) of the region in use, in up to n_entries. */
int store_new(struct store **out, uint64_t region_size, double fill, uint32_t n_entries);
void store_free(struct store *s);

/* Stores `size` bytes and returns the entry, 0 if it failed. */
uint32_t store_put(struct store *s, uint64_t size, uint64_t align);

/* A hit: the entry becomes the newest. Nothing if it is gone. */
void store_touch(struct store *s, uint32_t entry);

/* Frees an entry; nothing if it is gone. */
void store_delete(struct store *s, uint32_t entry);

const struct block_allocator *store_books(const struct store *s);
const struct store_counts *store_counts(const struct store *s);
void store_counts_set(struct store *s, const struct store_counts *counts);

#endif
