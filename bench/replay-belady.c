// SPDX-License-Identifier: Apache-2.0
/*
 * replay-belady.c - how many hits could there be?
 *
 * L. A. Belady, "A study of replacement algorithms for a virtual-storage
 * computer", 1966: give up what is read again last.  Here a cache may also
 * decline to put what it missed, as when the newcomer itself is read again
 * last; that hits at least as often, so it bounds policies of both kinds.
 *
 * The keys that are resident stand in a heap by their next read, the latest on
 * top.  When a key is read its next read changes, so each read adds a new item
 * and the old one, whose time has passed, goes stale.  Stale items have the
 * earliest times and sink to the bottom, where they cost memory and no more:
 * the top is always of a resident key.
 */
#include "bench/replay-run.h"

#include <errno.h>
#include <stdlib.h>

struct item {
	size_t next;
	uint32_t key;
};

struct heap {
	struct item *at; /* from 1 */
	size_t n;
};

static void heap_push(struct heap *h, struct item x)
{
	size_t i = ++h->n;

	for (; i > 1 && h->at[i / 2].next < x.next; i /= 2)
		h->at[i] = h->at[i / 2];
	h->at[i] = x;
}

static struct item heap_pop(struct heap *h)
{
	struct item top = h->at[1], x = h->at[h->n--];
	size_t i = 1, child;

	while ((child = 2 * i) <= h->n) {
		if (child < h->n && h->at[child + 1].next > h->at[child].next)
			child++;
		if (h->at[child].next <= x.next)
			break;
		h->at[i] = h->at[child];
		i = child;
	}
	h->at[i] = x;
	return top;
}

/* next[i]: which read is the next of the same key; n_reads: none. */
static void find_next(size_t *next, size_t *seen, const struct trace *t)
{
	for (uint32_t k = 0; k < t->n_keys; k++)
		seen[k] = t->n_reads;
	for (size_t i = t->n_reads; i-- > 0;) {
		next[i] = seen[t->reads[i].key];
		seen[t->reads[i].key] = i;
	}
}

static uint64_t count(struct heap *h, const size_t *next, bool *resident,
	const struct trace *t, uint64_t n_entries)
{
	uint64_t n_hits = 0, n = 0;

	for (size_t i = 0; i < t->n_reads; i++) {
		uint32_t key = t->reads[i].key;

		if (resident[key])
			n_hits++;
		else
			n++;
		resident[key] = true;
		heap_push(h, (struct item){.next = next[i], .key = key});
		if (n > n_entries) {
			resident[heap_pop(h).key] = false;
			n--;
		}
	}
	return n_hits;
}

int replay_belady(uint64_t *n_hits, const struct trace *t, uint64_t n_entries)
{
	size_t *next = calloc(t->n_reads, sizeof(*next));
	size_t *seen = calloc(t->n_keys, sizeof(*seen));
	bool *resident = calloc(t->n_keys, sizeof(*resident));
	struct heap h = {.at = calloc(t->n_reads + 2, sizeof(*h.at))};
	int r = -ENOMEM;

	if (next && seen && resident && h.at) {
		find_next(next, seen, t);
		*n_hits = count(&h, next, resident, t, n_entries);
		r = 0;
	}
	free(next);
	free(seen);
	free(resident);
	free(h.at);
	return r;
}
