/* SPDX-License-Identifier: Apache-2.0 */
/* books.c: every byte that is not free is some entry's, and no other's. */
#include "tests/step/books.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define PLACES_MAX 8194 /* more entries than any scene has */
#define FINDING(...) (snprintf(why, why_size, __VA_ARGS__), -EUCLEAN)

static int by_offset(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (x[0] > y[0]) - (x[0] < y[0]);
}

int books_disjoint(const struct rig *rig, char *why, size_t why_size)
{
	static uint64_t place[PLACES_MAX][2];
	const struct index *ix = &rig->store.index;
	uint64_t cell, i, n = 0;

	for (cell = 1; cell < ix->n_cells && n < PLACES_MAX; cell++) {
		if (ix->meta[cell].state != INDEX_PUBLISHED)
			continue;
		/* Tiers lie far apart. */
		place[n][0] = (uint64_t)ix->cell[cell].tier << 48 | ix->cell[cell].value_off;
		place[n++][1] = ix->cell[cell].value_size;
	}
	qsort(place, n, sizeof(place[0]), by_offset);
	for (i = 1; i < n; i++)
		if (place[i - 1][0] + place[i - 1][1] > place[i][0])
			return FINDING("two values overlap");
	return 0;
}

static int tier_at_rest(struct rig *rig, const struct tier *tier, char *why, size_t why_size)
{
	const struct index *ix = &rig->store.index;
	uint64_t size = 0, n = 0;
	struct block_stats st;
	uint32_t cell;

	if (!tier->region)
		return 0;
	for (cell = 1; cell < ix->n_cells; cell++) {
		if (ix->meta[cell].state != INDEX_PUBLISHED || store_tier_of(&rig->store, cell) != tier)
			continue;
		size += store_block_size(&rig->store, cell);
		n++;
	}
	block_stats_get(tier->blocks, &st);
	if (st.used != size)
		return FINDING("%llu bytes are used, and the entries have %llu",
			(unsigned long long)st.used, (unsigned long long)size);
	if (tier->n_entries != n || tier->limbo_size)
		return FINDING("%llu entries and %llu bytes in limbo are counted, where %llu and none are",
			(unsigned long long)tier->n_entries, (unsigned long long)tier->limbo_size,
			(unsigned long long)n);
	return 0;
}

int books_at_rest(struct rig *rig, char *why, size_t why_size)
{
	const struct store *s = &rig->store;
	unsigned i;
	int r = 0;

	rig_drain(rig);
	if (s->limbo.n)
		return FINDING("%llu retired records that nobody holds are not free",
			(unsigned long long)s->limbo.n);
	if (s->reserved_size || s->n_fills || s->deliveries || s->loans || s->moves)
		return FINDING("%llu bytes reserved, %u fills; deliveries: %d, loans: %d, moves: %d",
			(unsigned long long)s->reserved_size, s->n_fills, s->deliveries != NULL,
			s->loans != NULL, s->moves != NULL);
	for (i = 0; i < ABI_TIERS && !r; i++)
		r = tier_at_rest(rig, &s->tier[i], why, why_size);
	return r ? r : store_check(&rig->store, why, why_size);
}
