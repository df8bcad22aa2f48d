/* SPDX-License-Identifier: Apache-2.0 */
/* hold.c: what the hold cells of all sessions name, and what that keeps from being reused. */
#include "clients/inspect/hold.h"

#include <stdlib.h>

#include "clients/inspect/lane.h"

/*
 * A hold is a slot word in a cell. Whether its entry is published is seen by looking the record's
 * key up and finding that very word. If the record is there, with the word's generation, and no
 * slot has the word, it was retired: then the hold is what keeps it in limbo, and its block from
 * being reused.
 */
static enum hold_kind kind_of(const struct image *image, uint64_t word, struct entry *e)
{
	enum entry_flaw flaw;

	if (!image->has_index)
		return HOLD_UNKNOWN;
	flaw = entry_read(image, word, e);
	if (flaw == ENTRY_GENERATION)
		return HOLD_STALE;
	if (flaw)
		return HOLD_UNKNOWN;
	/* Its writer holds it by a word without a tag, for no slot will ever have that. */
	if (e->marks & ABI_RECORD_OPEN && !entry_slot(image, e->word, e->hash))
		return HOLD_OPEN;
	/* Another record may have come into the cell between the two. */
	if (abi_word_tag(word) != e->hash >> 48)
		return HOLD_STALE;
	return entry_slot(image, word, e->hash) ? HOLD_PUBLISHED : HOLD_RETIRED;
}

const char *hold_kind_name(enum hold_kind kind)
{
	static const char *const names[] = {"published", "reserved", "retired", "stale",
		"unknown"};

	return (unsigned)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "?";
}

static void walk_lane(const struct image *image, unsigned session, unsigned idx,
	hold_visit_fn *visit, void *context)
{
	const struct image_session *s = &image->session[session];
	static const struct entry none;
	struct lane_parts p;
	struct entry entry;
	struct hold hold;
	uint64_t n;

	lane_parts_find(s, idx, &p);
	if (!p.request)
		return;
	/* Cells beyond are 0, or not looked at by the broker. */
	n = image_least(shared_u64_load_acquire(&p.request->holds_used), s->geometry.n_holds);
	for (hold.at = 0; hold.at < n; hold.at++) {
		hold.word = shared_u64_load_acquire(&p.hold[hold.at]);
		if (!hold.word)
			continue;
		hold.session = session;
		hold.lane = idx;
		hold.kind = kind_of(image, hold.word, &entry);
		hold.size = hold.kind <= HOLD_RETIRED ? entry_block_size(entry.value_size) : 0;
		visit(context, &hold, hold.kind <= HOLD_RETIRED ? &entry : &none);
	}
}

void hold_walk(const struct image *image, hold_visit_fn *visit, void *context)
{
	unsigned i, lane, n;

	for (i = 0; i < image->n_sessions; i++) {
		n = lane_count(image, &image->session[i]);
		for (lane = 0; lane < n; lane++)
			walk_lane(image, i, lane, visit, context);
	}
}

/* --- sums ------------------------------------------------------------------------------------- */

struct gathered {
	struct hold *hold;
	size_t n, n_max;
	bool failed;
};

static void gather(void *context, const struct hold *hold, const struct entry *entry)
{
	struct gathered *g = context;
	size_t n = g->n_max ? g->n_max * 2 : 64;
	struct hold *more;

	(void)entry;
	if (g->n == g->n_max) {
		more = g->failed ? NULL : realloc(g->hold, n * sizeof(*more));
		if (!more) {
			g->failed = true;
			return;
		}
		g->hold = more;
		g->n_max = n;
	}
	g->hold[g->n++] = *hold;
}

static int by_session_and_cell(const void *a, const void *b)
{
	const struct hold *x = a, *y = b;

	if (x->session != y->session)
		return (x->session > y->session) - (x->session < y->session);
	return (abi_word_cell(x->word) > abi_word_cell(y->word)) -
		(abi_word_cell(x->word) < abi_word_cell(y->word));
}

static void add_up(const struct gathered *g, struct holder *list)
{
	const struct hold *h, *before = NULL;
	struct holder *holder;
	size_t i;

	for (i = 0; i < g->n; i++, before = h) {
		h = &g->hold[i];
		holder = &list[h->session];
		holder->n_holds++;
		if (before && !by_session_and_cell(before, h))
			continue;
		holder->n_records++;
		holder->held_size += h->size;
		if (h->kind != HOLD_RETIRED)
			continue;
		holder->n_kept++;
		holder->kept_size += h->size;
	}
}

struct holder *holder_list(const struct image *image)
{
	struct holder *list = image->n_sessions ? calloc(image->n_sessions, sizeof(*list)) : NULL;
	struct gathered g = {0};
	unsigned i;

	if (!list)
		return NULL;
	for (i = 0; i < image->n_sessions; i++)
		list[i].session = i;
	hold_walk(image, gather, &g);
	if (g.n) {
		qsort(g.hold, g.n, sizeof(*g.hold), by_session_and_cell);
		add_up(&g, list);
	}
	if (g.failed) {
		free(list);
		list = NULL;
	}
	free(g.hold);
	return list;
}
