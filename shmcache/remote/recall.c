/* SPDX-License-Identifier: Apache-2.0 */
/* recall.c: a table of names that never grows. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shmcache/remote/recall.h"

/*
 * Four places to a line of the table, chosen by the name's low half. A line that is full gives up
 * the one that would be forgotten first: what is over goes before what is not. A place is free when
 * its time is 0.
 */
#define PLACES 4

struct recall_line {
	struct recall_place {
		XXH128_hash_t name;
		uint64_t until_ms;
	} place[PLACES];
};

static struct recall_line *line_of(const struct recall *r, XXH128_hash_t name)
{
	return &r->line[name.low64 & (r->n_lines - 1)];
}

static bool is_of(const struct recall_place *p, XXH128_hash_t name)
{
	return p->until_ms && p->name.low64 == name.low64 && p->name.high64 == name.high64;
}

/* Where it is, or NULL. */
static struct recall_place *find(const struct recall *r, XXH128_hash_t name)
{
	struct recall_line *line = line_of(r, name);

	for (unsigned i = 0; i < PLACES; i++)
		if (is_of(&line->place[i], name))
			return &line->place[i];
	return NULL;
}

int recall_init(struct recall *r, unsigned n_max)
{
	r->n_lines = 1;
	while (r->n_lines * PLACES < n_max)
		r->n_lines *= 2;
	r->void_ms = 0;
	r->line = calloc(r->n_lines, sizeof(*r->line));
	return r->line ? 0 : -ENOMEM;
}

void recall_deinit(struct recall *r)
{
	free(r->line);
	r->line = NULL;
}

void recall_note(struct recall *r, XXH128_hash_t name, uint64_t until_ms, uint64_t now_ms)
{
	struct recall_line *line = line_of(r, name);
	struct recall_place *to = find(r, name);

	if (until_ms <= now_ms || (to && to->until_ms >= until_ms))
		return;
	if (!to) {
		to = &line->place[0];
		for (unsigned i = 1; i < PLACES; i++)
			if (line->place[i].until_ms < to->until_ms)
				to = &line->place[i];
	}
	*to = (struct recall_place){name, until_ms};
}

bool recall_knows(const struct recall *r, XXH128_hash_t name, uint64_t now_ms)
{
	const struct recall_place *p = find(r, name);

	return p && p->until_ms > now_ms && p->until_ms > r->void_ms;
}

void recall_forget(struct recall *r, XXH128_hash_t name)
{
	struct recall_place *p = find(r, name);

	if (p)
		p->until_ms = 0;
}

void recall_forget_all(struct recall *r, uint64_t until_ms)
{
	if (until_ms > r->void_ms)
		r->void_ms = until_ms;
}

void recall_clear(struct recall *r)
{
	memset(r->line, 0, r->n_lines * sizeof(*r->line));
	r->void_ms = 0;
}
