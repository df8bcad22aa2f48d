/* SPDX-License-Identifier: Apache-2.0 */
/* holds.c: reading hold cells. */
#include <stdlib.h>

#include "shmcache/holds.h"

static const struct abi_lane_request *lane_of(const struct holds *h, unsigned i)
{
	return (const void *)(h->request + (uint64_t)i * h->geometry->request_stride);
}

static const struct shared_u64 *cells_of(const struct holds *h, unsigned i)
{
	return (const void *)((const uint8_t *)lane_of(h, i) + h->geometry->hold_off);
}

/*
 * The client's own count bounds the scan; one that understates it un-protects its own reads only.
 */
static uint64_t n_used(const struct holds *h, unsigned i)
{
	/* partner: the client's release before its first hold beyond the former number */
	uint64_t raw_used = shared_u64_load_acquire(&lane_of(h, i)->holds_used);

	return raw_used < h->geometry->n_holds ? raw_used : h->geometry->n_holds;
}

/* Called between the membarrier and the freeing (reclaim.c): these are the loads B2 there. */
void holds_scan(const struct holds *h, struct index *ix, uint8_t round)
{
	const struct shared_u64 *hold;
	uint64_t n, raw_word, j;
	unsigned i;

	for (i = 0; i < h->n_lanes; i++) {
		n = n_used(h, i);
		hold = cells_of(h, i);
		for (j = 0; j < n; j++) {
			/* Acquire; partner: the client's release when it lets go. */
			raw_word = shared_u64_load_acquire(&hold[j]);
			if (raw_word)
				index_mark_held(ix, abi_word_cell(raw_word), round);
		}
	}
}

uint64_t holds_count(const struct holds *h)
{
	const struct shared_u64 *hold;
	uint64_t sum = 0, n, j;
	unsigned i;

	for (i = 0; i < h->n_lanes; i++) {
		n = n_used(h, i);
		hold = cells_of(h, i);
		for (j = 0; j < n; j++)
			/* Acquire; as above. */
			sum += shared_u64_load_acquire(&hold[j]) != 0;
	}
	return sum;
}

bool holds_are_none(const struct holds *h)
{
	const struct shared_u64 *hold;
	uint64_t n, j;
	unsigned i;

	for (i = 0; i < h->n_lanes; i++) {
		n = n_used(h, i);
		hold = cells_of(h, i);
		for (j = 0; j < n; j++)
			/* Acquire; as above. */
			if (shared_u64_load_acquire(&hold[j]))
				return false;
	}
	return true;
}

/* --- since when ---------------------------------------------------------------------------- */

/*
 * A hit stores one word and looks at no clock, so a hold can't say when it was taken. Who looks
 * again and again sees which are still there. One that was dropped and taken again in between, on
 * the same entry and in the same cell, looks the same; on an entry that is retired none can be
 * taken.
 */
struct holds_seen_cell {
	uint64_t place; /* lane and number; they stand in this order */
	uint64_t word, since_ms;
};

/* Note a cell that is set, and take over from the look before since when it has been. */
static uint64_t note(struct holds_seen *seen, uint64_t place, uint64_t raw_word, uint64_t now_ms,
	const struct holds_seen *before, unsigned *old)
{
	const struct holds_seen_cell *was = before->cell;
	uint64_t since_ms = now_ms;

	while (*old < before->n && was[*old].place < place)
		++*old;
	if (*old < before->n && was[*old].place == place && was[*old].word == raw_word)
		since_ms = was[*old].since_ms;
	seen->cell[seen->n++] = (struct holds_seen_cell){place, raw_word, since_ms};
	return since_ms;
}

uint64_t holds_look(const struct holds *h, struct holds_seen *seen, uint64_t now_ms,
	uint64_t *since_ms)
{
	uint64_t n_max = holds_count(h), n = 0, n_cells, raw_word, since, j;
	struct holds_seen before = *seen;
	unsigned i, old = 0;

	if (n_max > HOLDS_SEEN_MAX)
		n_max = HOLDS_SEEN_MAX;
	*seen = (struct holds_seen){.cell = n_max ? malloc(n_max * sizeof(*seen->cell)) : NULL};
	*since_ms = 0;
	for (i = 0; i < h->n_lanes; i++) {
		n_cells = n_used(h, i);
		for (j = 0; j < n_cells; j++) {
			/* Acquire; as above. */
			raw_word = shared_u64_load_acquire(&cells_of(h, i)[j]);
			if (!raw_word)
				continue;
			n++;
			/* Beyond what is noted, or without memory, it has stood since now. */
			since = now_ms;
			if (seen->cell && seen->n < n_max)
				since = note(seen, (uint64_t)i << 32 | j, raw_word, now_ms, &before,
					&old);
			if (!*since_ms || since < *since_ms)
				*since_ms = since;
		}
	}
	free(before.cell);
	return n;
}

void holds_seen_free(struct holds_seen *seen)
{
	free(seen->cell);
	*seen = (struct holds_seen){0};
}

/* --- how much ------------------------------------------------------------------------------ */

static int by_cell(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* The cells that the holds name, in an array of its own; *n of them. NULL: no memory. */
static uint32_t *held_cells(const struct holds *h, size_t *n)
{
	uint32_t *cells = malloc(((size_t)h->n_lanes * h->geometry->n_holds + 1) * sizeof(*cells));
	const struct shared_u64 *hold;
	unsigned i, j;

	*n = 0;
	for (i = 0; cells && i < h->n_lanes; i++) {
		hold = cells_of(h, i);
		for (j = 0; j < h->geometry->n_holds; j++) {
			cells[*n] = abi_word_cell(shared_u64_load(&hold[j]));
			*n += cells[*n] != 0;
		}
	}
	return cells;
}

/*
 * What is held is no secret and no crime; it matters when it is retired. Looked at when much of the
 * tier is in limbo, thus rarely. A value that many threads view counts once.
 */
uint64_t holds_size(const struct holds *h, struct store *store, unsigned tier)
{
	uint64_t size = 0;
	uint32_t *cells;
	size_t n, i;

	cells = held_cells(h, &n);
	if (!cells)
		return 0;
	qsort(cells, n, sizeof(*cells), by_cell);
	pthread_mutex_lock(&store->lock);
	for (i = 0; i < n; i++)
		if (!i || cells[i] != cells[i - 1])
			size += store_limbo_size_locked(store, tier, cells[i]);
	pthread_mutex_unlock(&store->lock);
	free(cells);
	return size;
}
