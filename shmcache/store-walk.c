/* SPDX-License-Identifier: Apache-2.0 */
/* store-walk.c: going over all entries, for who wants to know what there is. */
#include <string.h>

#include "shmcache/store.h"

/*
 * By cells: their number only grows, so that an entry that is there from the first step to the last
 * is met, however often the index is split meanwhile. One that moves to another tier changes its
 * cell, and may be met twice or, where it moves behind our back, not at all: its new cell is one
 * that was freed before. Who keeps book by this hears of it by events, too.
 *
 * Keys are copied under the lock, a few at a time, and told without it: who is told may do as he
 * likes.
 */
#define STEP 16

struct copied {
	unsigned n;
	size_t size[STEP];
	uint64_t hash[STEP];
	char key[STEP][ABI_KEY_SIZE_MAX];
};

static void copy_step(struct store *s, uint64_t *cursor, uint64_t end, struct copied *c)
{
	struct index_key key;
	char buffer[ABI_KEY_SIZE_MAX];

	c->n = 0;
	pthread_mutex_lock(&s->lock);
	if (end > s->index.n_cells)
		end = s->index.n_cells;
	for (; *cursor < end && c->n < STEP; ++*cursor) {
		if (s->index.meta[*cursor].state != INDEX_PUBLISHED)
			continue;
		key = index_key_of(&s->index, (uint32_t)*cursor, buffer);
		memcpy(c->key[c->n], key.data, key.size);
		c->size[c->n] = key.size;
		c->hash[c->n++] = key.hash;
	}
	if (*cursor >= s->index.n_cells)
		*cursor = 0;
	pthread_mutex_unlock(&s->lock);
}

void store_walk(struct store *s, uint64_t *cursor, unsigned n,
	void (*entry)(void *context, const struct index_key *key), void *context)
{
	uint64_t end = *cursor + n;
	struct index_key key;
	struct copied c;
	unsigned i;

	do {
		copy_step(s, cursor, end, &c);
		for (i = 0; i < c.n; i++) {
			key = (struct index_key){c.key[i], c.size[i], c.hash[i]};
			entry(context, &key);
		}
	} while (*cursor && *cursor < end);
}
