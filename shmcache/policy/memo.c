// SPDX-License-Identifier: Apache-2.0
/*
 * memo.c - 3 bits remembered of each evicted entry, in 2 bytes.
 *
 * A list of ghosts costs 24 bytes an entry, more than the entry's own books.
 * Where all that is asked of a ghost is "how often was this key read before?",
 * a set-associative table of tags does: the hash picks a set of 16, which is a
 * small queue of its own, so that no links, sizes or times are needed.  16
 * tags of 13 bits take a stranger for an acquaintance once in 500 look-ups.
 *
 * How many entries a cache will hold is not known in advance when sizes vary
 * from 64 B to 1 GiB, so the table is fitted to what is resident.  Evictions
 * begin when the cache is full, when that number stands about still.
 */
#include "shmcache/policy/memo.h"

#include <string.h>
#include <sys/mman.h>

#include "shmcache/policy/nodes.h"

int memo_init(struct memo *m, uint32_t n_max)
{
	size_t map_size = ((size_t)n_max / MEMO_N_WAYS + 1) * sizeof(struct memo_set);
	void *map;
	int r;

	r = nodes_map(&map, map_size);
	if (r)
		return r;
	*m = (struct memo){.set = map, .map_size = map_size};
	return 0;
}

void memo_deinit(struct memo *m)
{
	nodes_unmap(m->set, m->map_size);
	*m = (struct memo){0};
}

uint64_t memo_books_size(const struct memo *m)
{
	return nodes_map_used(m->set, m->map_size);
}

void memo_fit(struct memo *m, uint32_t n_resident)
{
	uint32_t n_sets = n_resident / MEMO_N_WAYS + 1;
	size_t max = m->map_size / sizeof(struct memo_set);

	if (n_sets <= m->n_sets + m->n_sets / 4 && n_sets >= m->n_sets / 2 && m->n_sets)
		return;
	if (m->n_sets && madvise(m->set, m->map_size, MADV_DONTNEED))
		memset(m->set, 0, m->n_sets * sizeof(struct memo_set));
	m->n_sets = n_sets < max ? n_sets : (uint32_t)max;
}

static struct memo_set *set_of(struct memo *m, uint32_t hash)
{
	return &m->set[((uint64_t)hash * m->n_sets) >> 32];
}

static uint16_t tag_of(uint32_t hash)
{
	return (uint16_t)(hash << 3);
}

void memo_put(struct memo *m, uint32_t hash, unsigned value)
{
	struct memo_set *s;

	if (!m->n_sets)
		return;
	s = set_of(m, hash);
	memmove(&s->word[1], &s->word[0], sizeof(*s) - sizeof(s->word[0]));
	s->word[0] = (uint16_t)(tag_of(hash) | value);
}

unsigned memo_take(struct memo *m, uint32_t hash)
{
	struct memo_set *s;
	unsigned value;

	if (!m->n_sets)
		return 0;
	s = set_of(m, hash);
	for (unsigned way = 0; way < MEMO_N_WAYS; way++) {
		value = s->word[way] & MEMO_VALUE_MAX;
		if (!value || (s->word[way] & ~MEMO_VALUE_MAX) != tag_of(hash))
			continue;
		memmove(&s->word[way], &s->word[way + 1],
			(MEMO_N_WAYS - 1 - way) * sizeof(s->word[0]));
		s->word[MEMO_N_WAYS - 1] = 0;
		return value;
	}
	return 0;
}
