/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An unknown name is nearly always a known one, misspelt or in another section, and the broker
 * does not start until it is found. The edit distance finds it: two edits at most, and fewer
 * than half of the letters, since anything is near to a short enough name.
 */
#include "shmcache/config/keys.h"

#include <string.h>

enum { NAME_MAX_COMPARED = 31, EDITS_MAX = 2 };

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

/* How many letters to insert, drop or replace to make a of b; many if either is too long. */
static unsigned edit_distance(const char *a, const char *b)
{
	unsigned row[NAME_MAX_COMPARED + 1];
	size_t na = strlen(a), nb = strlen(b);

	if (na > NAME_MAX_COMPARED || nb > NAME_MAX_COMPARED)
		return NAME_MAX_COMPARED;
	for (size_t j = 0; j <= nb; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned above = row[j];

			row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[nb];
}

static bool is_nearer(const char *meant, const char *known, unsigned *best)
{
	unsigned n = edit_distance(meant, known);

	if (n > EDITS_MAX || 2 * n >= strlen(known) || n >= *best)
		return false;
	*best = n;
	return true;
}

const char *key_nearest_section(const char *section)
{
	const char *nearest = NULL;
	unsigned best = EDITS_MAX + 1;

	for (const struct key *k = keys; k < keys + n_keys; k++)
		if (is_nearer(section, k->section, &best))
			nearest = k->section;
	return nearest;
}

const char *key_nearest_name(const char *section, const char *name)
{
	const char *nearest = NULL;
	unsigned best = EDITS_MAX + 1;

	for (const struct key *k = keys; k < keys + n_keys; k++)
		if (!strcmp(k->section, section) && is_nearer(name, k->name, &best))
			nearest = k->name;
	return nearest;
}
