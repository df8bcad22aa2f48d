/* SPDX-License-Identifier: Apache-2.0 */
/* check.c: the looks of a check, and what becomes a finding. */
#include "clients/inspect/check.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/*
 * A broker and its clients go on while they are looked at, and the inspector holds nothing still.
 * So nothing may be called a finding that two looks at different moments can bring about:
 *
 * - what is said of one record was read between two looks at its slot that saw the same word, and
 *   published records don't change;
 * - what is said of two was found with both words in their slots at one moment (check-index.c);
 * - numbers that are not of one moment are compared with as much slack as happened meanwhile, and
 *   exactly only when nothing did (check-balance.c);
 * - and whatever is left must be said again, in the same words, at each of several looks.
 *
 * The last is not enough by itself, since a race can repeat itself under a steady load; nor the
 * others, since they trust that slot words do not come back.
 */
#define LOOKS 4
#define PAUSE_MS 30

static int look(const struct image *image, struct findings *f, struct check_counts *counts)
{
	struct check_activity before;
	int r = 0;

	memset(counts, 0, sizeof(*counts));
	check_activity_take(image, &before);
	check_plane(image, f);
	if (image->has_index)
		r = check_index(image, f, counts);
	if (!r)
		r = check_sessions(image, f, counts);
	check_balance(image, &before, counts, f);
	return r;
}

static void pause_ms(long ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

/* An index that was seen but can't be one is damage, and not a matter of permissions. */
static void check_unseen(const struct image *image, struct findings *f)
{
	if (!image->has_index && image->index_area.n_pieces)
		findings_add(f, "index-head", "%s", image->index_unseen);
}

int check_run(struct image *image, struct findings *f, struct check_counts *counts)
{
	struct findings again = {0};
	struct check_counts ignored;
	unsigned i;
	int r;

	check_unseen(image, f);
	r = look(image, f, counts);
	if (!image->is_live)
		return r;
	for (i = 1; i < LOOKS && f->n && !r; i++) {
		pause_ms(PAUSE_MS << i);
		r = image_refresh(image);
		check_unseen(image, &again);
		if (!r)
			r = look(image, &again, &ignored);
		findings_keep_common(f, &again);
		findings_deinit(&again);
	}
	return r;
}
