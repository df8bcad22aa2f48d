/* SPDX-License-Identifier: Apache-2.0 */
/* flight-absent.c: what nobody has: how long that is remembered, and what ends it. */
#include <stddef.h>

#include "shmcache/remote/flight-impl.h"

/*
 * A client that looks for what is nowhere should not cost its peers a question each time, so it is
 * remembered for absent_for. In that time somebody may store it, of which this broker hears only
 * where somebody tells it: a put is told to the shard of its name, not to those who asked that
 * shard before. So it ends earlier only
 *
 *	- where this broker is the shard, and hears of the put;
 *	- where it has sent the value to another one itself: it was put here, and may be gone here again;
 *	- where one comes up who was no member when all were asked.
 *
 * And where absent_for is changed: what was noted for another while can't be told from what is not
 * to be known any more.
 *
 * All of these may come while the others are still being asked. What they answer then may be older,
 * and is not remembered; it answers those who wait, who asked before.
 */
uint64_t flights_absent_for_ms(const struct flights *all)
{
	return all->loop->config->remote.absent_for_ns / 1000000;
}

static void look_at_term(struct flights *all)
{
	if (all->absent_ms == flights_absent_for_ms(all))
		return;
	all->absent_ms = flights_absent_for_ms(all);
	recall_clear(&all->absent);
}

bool flights_know_absent(struct flights *all, const XXH128_hash_t *name)
{
	look_at_term(all);
	return recall_knows(&all->absent, *name, all->loop->now_ms);
}

void flight_note_absent(struct flight *f)
{
	struct flights *all = f->all;
	uint64_t now_ms = all->loop->now_ms;

	look_at_term(all);
	if (!f->is_heard_of && all->absent_ms && !store_fill_is_overtaken(all->store, &f->fill))
		recall_note(&all->absent, f->key.name, now_ms + all->absent_ms, now_ms);
}

void flights_heard(struct flights *all, const XXH128_hash_t *name)
{
	struct flight *f;

	look_at_term(all);
	if (!name) {
		recall_forget_all(&all->absent, all->loop->now_ms + all->absent_ms);
		for (f = all->all; f; f = f->next)
			f->is_heard_of = true;
		return;
	}
	recall_forget(&all->absent, *name);
	for (f = *flight_bucket(all, *name); f; f = f->hash_next)
		if (XXH128_isEqual(f->key.name, *name))
			f->is_heard_of = true;
}

static void heard(struct remote_ear *ear, const XXH128_hash_t *name)
{
	flights_heard((struct flights *)((char *)ear - offsetof(struct flights, ear)), name);
}

void flights_listen(struct flights *all, const struct flight_source *source)
{
	all->ear.heard = heard;
	if (source->kind->set_ear)
		source->kind->set_ear(source->self, &all->ear);
}

void flights_listen_no_more(struct flights *all)
{
	unsigned i;

	for (i = 0; i < all->n_sources; i++)
		if (all->source[i].kind->set_ear)
			all->source[i].kind->set_ear(all->source[i].self, NULL);
}
