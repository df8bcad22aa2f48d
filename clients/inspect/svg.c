/* SPDX-License-Identifier: Apache-2.0 */
/* svg.c: a picture of each tier: what is where, and what is free. */
#include "clients/inspect/svg.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/units.h"
#include "clients/inspect/summary.h"

/*
 * A tier is drawn as lines of text are written: its first byte at the left of the uppermost row,
 * its last at the right of the lowest. Dots of one colour that stand side by side are one
 * rectangle; how full they are is their opacity, in few steps, so that there are not too many.
 * White is free.
 */
#define WIDTH 960
#define ROWS 48
#define ROW_HEIGHT 8
#define TOP 46	  /* of a tier's text */
#define MARGIN 20
#define LEGEND 40
#define STEPS 4	  /* of opacity */

int svg_color_parse(const char *text, enum map_color *color)
{
	static const char *const names[] = {"class", "age", "session"};
	unsigned i;

	for (i = 0; i < 3; i++) {
		if (strcmp(text, names[i]))
			continue;
		*color = (enum map_color)i;
		return 0;
	}
	return -EINVAL;
}

/* A round of hues for things, a row of one hue for what has an order. */
static void color_text(enum map_color kind, unsigned color, char text[32])
{
	if (kind == MAP_AGE)
		snprintf(text, 32, "hsl(%u,70%%,%u%%)", 220 - 13 * color, 25 + 2 * color);
	else if (kind == MAP_SESSION && color == MAP_NONE)
		snprintf(text, 32, "#999999");
	else
		snprintf(text, 32, "hsl(%u,65%%,45%%)", color * 137 % 360);
}

static unsigned step_of(const struct map_cell *c)
{
	return c->fill ? 1 + (c->fill * (STEPS - 1) + 127) / 255 : 0;
}

static bool same(const struct map_cell *a, const struct map_cell *b)
{
	return step_of(a) == step_of(b) &&
		(!step_of(a) || (a->color == b->color && a->is_unpublished == b->is_unpublished));
}

static void draw_row(FILE *out, const struct map_cell *row, unsigned y, enum map_color kind)
{
	unsigned x, from;
	char color[32];

	for (x = 0; x < WIDTH; x = from) {
		for (from = x; from < WIDTH && same(&row[x], &row[from]); from++)
			;
		if (!step_of(&row[x]))
			continue;
		color_text(kind, row[x].color, color);
		fprintf(out, "<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" fill=\"%s\"%s",
			MARGIN + x, y, from - x, ROW_HEIGHT, row[x].is_unpublished ? "#d40000"
				: color,
			"");
		if (step_of(&row[x]) < STEPS)
			fprintf(out, " fill-opacity=\"%.2f\"", (double)step_of(&row[x]) / STEPS);
		fputs("/>\n", out);
	}
}

static int draw_tier(FILE *out, const struct image *image, unsigned tier, enum map_color kind,
	unsigned y)
{
	struct summary s;
	struct map_cell *cells;
	char used[UNITS_TEXT_SIZE], size[UNITS_TEXT_SIZE], largest[UNITS_TEXT_SIZE];
	unsigned row;
	int r = map_make(image, tier, kind, WIDTH * ROWS, &cells);

	if (!r && summary_make(image, &s)) {
		free(cells);
		r = -ENOMEM;
	}
	if (r)
		return r;
	fprintf(out, "<text x=\"%u\" y=\"%u\">%s: %s of %s in use, %" PRIu64
		" entries, largest free block %s, fragmentation %u.%u %%; a row is %" PRIu64
		" bytes</text>\n", MARGIN, y + TOP - 12, image_tier_name(tier),
		units_size_format(used, s.tier[tier].used), units_size_format(size,
			s.tier[tier].size),
		s.tier[tier].n_entries, units_size_format(largest, s.tier[tier].largest_free),
		s.tier[tier].fragmentation / 10, s.tier[tier].fragmentation % 10,
		image_tier_size(image, tier) / ROWS);
	fprintf(out,
		"<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" "
		"fill=\"white\" stroke=\"#444\"/>\n",
		MARGIN, y + TOP, WIDTH, ROWS * ROW_HEIGHT);
	for (row = 0; row < ROWS; row++)
		draw_row(out, &cells[row * WIDTH], y + TOP + row * ROW_HEIGHT, kind);
	summary_deinit(&s);
	free(cells);
	return 0;
}

static void legend_text(const struct image *image, enum map_color kind, unsigned color,
	char text[48])
{
	char size[UNITS_TEXT_SIZE], id[IMAGE_ID_SIZE];

	text[0] = '\0';
	if (kind == MAP_CLASS && color < 13)
		snprintf(text, 48, "to %s", units_size_format(size, UINT64_C(64) << 2 * color));
	else if (kind == MAP_AGE && (!color || color == MAP_COLORS - 1))
		snprintf(text, 48, color ? "newest" : "oldest");
	else if (kind == MAP_SESSION && color == MAP_NONE)
		snprintf(text, 48, "not held");
	else if (kind == MAP_SESSION && color < image->n_sessions)
		snprintf(text, 48, "session %s",
			image_id_text(image, image->session[color].id, id));
}

static void draw_legend(FILE *out, const struct image *image, enum map_color kind, unsigned y)
{
	char color[32], text[48];
	unsigned i, x = MARGIN;

	for (i = 0; i < MAP_COLORS; i++) {
		legend_text(image, kind, i, text);
		if (!text[0] && kind != MAP_AGE)
			continue;
		color_text(kind, i, color);
		fprintf(out, "<rect x=\"%u\" y=\"%u\" width=\"10\" height=\"10\" fill=\"%s\"/>\n",
			x,
			y, color);
		fprintf(out, "<text x=\"%u\" y=\"%u\">%s</text>\n", x + 13, y + 9, text);
		x += kind == MAP_AGE && !text[0] ? 14 : 68;
	}
	fprintf(out, "<rect x=\"%u\" y=\"%u\" width=\"10\" height=\"10\" fill=\"#d40000\"/>\n",
		MARGIN,
		y + 14);
	fprintf(out, "<text x=\"%u\" y=\"%u\">open or retired</text>\n", MARGIN + 13, y + 23);
}

static int draw(FILE *out, const struct image *image, enum map_color kind)
{
	unsigned tier, y = LEGEND + MARGIN, n = 0, height;
	int r = 0;

	for (tier = ABI_TIER_DRAM; tier < ABI_TIERS; tier++)
		n += image_tier_size(image, tier) != 0;
	height = y + n * (TOP + ROWS * ROW_HEIGHT) + MARGIN;
	fprintf(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" "
		"viewBox=\"0 0 %u %u\" font-family=\"sans-serif\" font-size=\"11\">\n"
		"<title>%s</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#f4f4f4\"/>\n",
		WIDTH + 2 * MARGIN, height, WIDTH + 2 * MARGIN, height, image->plane->name[0]
			&& wire_name_is_valid(image->name) ? image->name : "a cache");
	draw_legend(out, image, kind, MARGIN);
	for (tier = ABI_TIER_DRAM; tier < ABI_TIERS && !r; tier++) {
		if (!image_tier_size(image, tier))
			continue;
		r = draw_tier(out, image, tier, kind, y);
		y += TOP + ROWS * ROW_HEIGHT;
	}
	fputs("</svg>\n", out);
	return r;
}

int svg_write(const struct image *image, const struct svg_options *options, const char *path,
	char *why, size_t why_size)
{
	FILE *out;
	int r;

	if (!image->has_index) {
		snprintf(why, why_size, "%s", image->index_unseen);
		return -ENOENT;
	}
	out = fopen(path, "we");
	if (!out) {
		r = -errno;
		snprintf(why, why_size, "%s: %s", path, strerror(-r));
		return r;
	}
	r = draw(out, image, options->color);
	if (ferror(out) && !r)
		r = -EIO;
	if (fclose(out) && !r)
		r = -errno;
	if (r) {
		snprintf(why, why_size, "%s: %s", path, strerror(-r));
		remove(path);
	}
	return r;
}
