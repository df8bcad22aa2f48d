/* SPDX-License-Identifier: Apache-2.0 */
/* hold-age.c: for how long holds have been seen to stand. */
#include "clients/inspect/hold-age.h"

#include <errno.h>
#include <stdlib.h>

#include "clients/inspect/hold.h"

/*
 * A hit stores one word and looks at no clock, so a hold can't say when it was taken. Who looks
 * twice sees which of them are still there, and so for how long they have stood at least: the same
 * word in the same cell. One that was released and taken again in between looks the same, and
 * costs the same.
 */
struct look {
	const struct image *image;
	const struct hold_ages *before;
	struct hold_ages now;
	size_t next; /* of those before: both come in one order */
	int error;
};

static int compare(const struct hold_age *a, const struct hold_age *b)
{
	if (a->session != b->session)
		return a->session < b->session ? -1 : 1;
	if (a->lane != b->lane)
		return a->lane < b->lane ? -1 : 1;
	return (a->at > b->at) - (a->at < b->at);
}

static void add(void *context, const struct hold *hold, const struct entry *entry)
{
	struct look *l = context;
	struct hold_ages *now = &l->now;
	size_t n = now->n_max ? now->n_max * 2 : 64;
	struct hold_age *more;

	(void)entry;
	if (now->n == now->n_max) {
		more = l->error ? NULL : realloc(now->list, n * sizeof(*more));
		if (!more) {
			l->error = -ENOMEM;
			return;
		}
		now->list = more;
		now->n_max = n;
	}
	now->list[now->n++] = (struct hold_age){.session = l->image->session[hold->session].id,
		.word = hold->word, .since_ms = l->image->now_ms, .lane = hold->lane,
		.at = hold->at};
}

static int by_place(const void *a, const void *b)
{
	return compare(a, b);
}

/* Take over since when from those of the look before. */
static void take_over(struct look *l)
{
	const struct hold_age *old = l->before->list;
	size_t i, n = l->before->n;

	for (i = 0; i < l->now.n; i++) {
		while (l->next < n && compare(&old[l->next], &l->now.list[i]) < 0)
			l->next++;
		if (l->next < n && !compare(&old[l->next], &l->now.list[i]) &&
			old[l->next].word == l->now.list[i].word)
			l->now.list[i].since_ms = old[l->next].since_ms;
	}
}

int hold_ages_look(struct hold_ages *ages, const struct image *image)
{
	struct look l = {.image = image, .before = ages};

	hold_walk(image, add, &l);
	if (l.now.n)
		qsort(l.now.list, l.now.n, sizeof(*l.now.list), by_place);
	take_over(&l);
	l.now.n_looks = ages->n_looks + 1;
	hold_ages_deinit(ages);
	if (l.error)
		free(l.now.list);
	else
		*ages = l.now;
	return l.error;
}

void hold_ages_deinit(struct hold_ages *ages)
{
	free(ages->list);
	*ages = (struct hold_ages){0};
}

uint64_t hold_ages_standing(const struct hold_ages *ages, uint64_t session, uint64_t now_ms,
	uint64_t *n)
{
	uint64_t oldest = 0;
	size_t i;

	*n = 0;
	for (i = 0; i < ages->n; i++) {
		if (ages->list[i].session != session || ages->list[i].since_ms >= now_ms)
			continue;
		++*n;
		if (!oldest || ages->list[i].since_ms < oldest)
			oldest = ages->list[i].since_ms;
	}
	return oldest;
}
