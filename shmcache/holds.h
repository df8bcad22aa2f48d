/* SPDX-License-Identifier: Apache-2.0 */
/* holds.h: the hold cells of a client, as the broker reads them. */
#ifndef SHMCACHE_HOLDS_H
#define SHMCACHE_HOLDS_H

#include <stdbool.h>
#include <stdint.h>

#include "shmcache/store.h"

/* The first @n_lanes lanes of a request region, which is hostile memory. */
struct holds {
	const uint8_t *request;
	const struct abi_geometry *geometry;
	unsigned n_lanes;
};

/* index_mark_held() for each cell that is held. Any thread; the region must not go meanwhile. */
void holds_scan(const struct holds *h, struct index *ix, uint8_t round);

/* Is nothing held? As holds_scan(). */
bool holds_are_none(const struct holds *h);

/* How many cells are set. As holds_scan(). */
uint64_t holds_count(const struct holds *h);

/*
 * The cells that were set at the last look, and since when they have been seen so. All 0: none yet.
 */
struct holds_seen {
	struct holds_seen_cell *cell;
	unsigned n;
};

/* Of each table, the first so many cells that are set. */
#define HOLDS_SEEN_MAX 1024

/*
 * Look at all cells, at @now_ms of a clock that does not go back; returns how many are set, and in
 * *since_ms the time of the first of the looks, one after the other, that saw the same word in the
 * same cell; 0 when none is set. By one thread; else as holds_scan().
 */
uint64_t holds_look(const struct holds *h, struct holds_seen *seen, uint64_t now_ms,
	uint64_t *since_ms);
void holds_seen_free(struct holds_seen *seen);

/* Bytes of retired blocks of @tier that are held; takes the store's lock. As holds_scan(). */
uint64_t holds_size(const struct holds *h, struct store *store, unsigned tier);

#endif
