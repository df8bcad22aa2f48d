/* SPDX-License-Identifier: Apache-2.0 */
/* map.c: where a tier's bytes are, at a resolution that somebody wants. */
#include "clients/inspect/map.h"

#include <errno.h>
#include <stdlib.h>

#include "clients/inspect/hold.h"
#include "clients/inspect/view.h"

/*
 * A tier has millions of blocks, a picture thousands of dots. Each dot gets the bytes of every
 * colour that fall into it, and shows the colour that has most of them and how full it is. The
 * cost is one walk over the index and the dots, whatever the sizes. Dots are longer than blocks or
 * shorter: both are added up in bytes.
 */
struct painter {
	const struct image *image;
	unsigned tier, n;
	uint64_t size;	 /* of the tier */
	enum map_color color;
	uint32_t newest; /* generation */
	uint64_t (*bytes)[MAP_COLORS + 1]; /* by dot and colour; the last: of them unpublished */
	uint8_t *held;	 /* by cell: the number of a session that holds it plus one */
	uint64_t n_cells;
};

static unsigned class_of(uint64_t size)
{
	unsigned bits = size > 64 ? 64 - (unsigned)__builtin_clzll(size - 1) : 6;
	unsigned class = (bits - 6) / 2;

	return class < MAP_COLORS ? class : MAP_COLORS - 1;
}

static unsigned color_of(const struct painter *p, const struct entry *e)
{
	switch (p->color) {
	case MAP_CLASS:
		return class_of(e->value_size);
	case MAP_AGE:
		return p->newest
			? (unsigned)((uint64_t)e->generation * (MAP_COLORS - 1) / p->newest)
					% MAP_COLORS : 0;
	case MAP_SESSION:
		break;
	}
	return e->cell < p->n_cells && p->held[e->cell] ? p->held[e->cell] - 1U : MAP_NONE;
}

/* The first byte of dot @i. */
static uint64_t begin_of(const struct painter *p, uint64_t i)
{
	return (uint64_t)((__uint128_t)p->size * i / p->n);
}

static void paint(struct painter *p, const struct entry *e, bool is_unpublished)
{
	uint64_t at = e->value_off, end = at + entry_block_size(e->value_size), to, part;
	unsigned color = color_of(p, e);
	uint64_t i;

	if (end > p->size)
		end = p->size;
	if (e->tier != p->tier || at >= end)
		return;
	i = (uint64_t)((__uint128_t)at * p->n / p->size);
	for (; at < end && i < p->n; i++) {
		to = begin_of(p, i + 1) < end ? begin_of(p, i + 1) : end;
		if (to <= at)
			continue;
		part = to - at;
		p->bytes[i][color] += part;
		if (is_unpublished)
			p->bytes[i][MAP_COLORS] += part;
		at = to;
	}
}

static bool visit(void *context, const struct entry *e, enum entry_flaw flaw,
	const struct entry_place *place)
{
	(void)place;
	if (!flaw)
		paint(context, e, false);
	return true;
}

static void paint_marked(struct painter *p, struct entry *e)
{
	uint64_t marks, cell;

	for (cell = 1; cell < p->n_cells; cell++)
		if (entry_is_marked(p->image, (uint32_t)cell, &marks) &&
			!entry_read_cell(p->image, (uint32_t)cell, e) && e->marks)
			paint(p, e, true);
}

static void note_hold(void *context, const struct hold *hold, const struct entry *entry)
{
	struct painter *p = context;
	uint32_t cell = abi_word_cell(hold->word);

	(void)entry;
	if (cell < p->n_cells)
		p->held[cell] = (uint8_t)(1 + hold->session % MAP_NONE);
}

static void settle(const struct painter *p, struct map_cell *cells)
{
	uint64_t length, used;
	unsigned i, c, most;

	for (i = 0; i < p->n; i++) {
		length = begin_of(p, i + 1ULL) - begin_of(p, i);
		for (used = 0, most = 0, c = 0; c < MAP_COLORS; c++) {
			used += p->bytes[i][c];
			if (p->bytes[i][c] > p->bytes[i][most])
				most = c;
		}
		/* More than there is: damage, or a tier that changed while it was looked at. */
		if (used > length)
			used = length;
		cells[i].color = (uint8_t)most;
		cells[i].fill = length ? (uint8_t)((__uint128_t)used * 255 / length) : 0;
		if (used && !cells[i].fill)
			cells[i].fill = 1;
		cells[i].is_unpublished = p->bytes[i][MAP_COLORS] * 2 > used && used;
	}
}

int map_make(const struct image *image, unsigned tier, enum map_color color, unsigned n,
	struct map_cell **cells)
{
	struct painter p = {.image = image, .tier = tier, .n = n, .color = color,
		.size = image_tier_size(image, tier)};
	struct entry *e;
	int r = -ENOMEM;

	if (!image->has_index || !p.size || !n)
		return -ENOENT;
	p.n_cells = image_n_cells(image);
	p.bytes = calloc(n, sizeof(*p.bytes));
	p.held = calloc(p.n_cells + 1, 1);
	e = malloc(sizeof(*e));
	*cells = calloc(n, sizeof(**cells));
	if (p.bytes && p.held && e && *cells) {
		if (color == MAP_SESSION)
			hold_walk(image, note_hold, &p);
		if (color == MAP_AGE)
			p.newest = view_newest(image);
		entry_walk(image, visit, &p);
		paint_marked(&p, e);
		settle(&p, *cells);
		r = 0;
	} else {
		free(*cells);
	}
	free(p.bytes);
	free(p.held);
	free(e);
	return r;
}
