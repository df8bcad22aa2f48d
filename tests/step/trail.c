/* SPDX-License-Identifier: Apache-2.0 */
/* trail.c: the way through a stretch. */
#include "tests/step/trail.h"

#include <errno.h>
#include <stdlib.h>

/*
 * A process that has died is gone, so each kill wants a new one, which has to be brought to its
 * instruction first. To step there costs the square of the length of the stretch, several
 * microseconds each: minutes for an attach. So the stretch is stepped through once and written
 * down. Later children run from system call to system call up to the last one before the place,
 * and from there to a breakpoint on an instruction close before it that was not, or not often,
 * executed since that call; only the rest is stepped.
 *
 * System calls are where the child meets the world, so between two of them it does the same each
 * time, unless what it reads in shared memory differs. Then it does not come by, or stands
 * elsewhere at the end: it is lost, and the caller decides.
 */
#define BREAK_COST 8 /* in steps; and one less than twice as many for each visit before */

static int place_add(struct trail *trail, const struct trail_place *place)
{
	struct trail_place *more;

	if (trail->n == trail->n_max) {
		trail->n_max = trail->n_max ? 2 * trail->n_max : 1024;
		more = realloc(trail->place, trail->n_max * sizeof(*more));
		if (!more)
			return -ENOMEM;
		trail->place = more;
	}
	trail->place[trail->n++] = *place;
	return 0;
}

/* How often the child has been at the address of place @i since the last system call. */
static unsigned n_visits(const struct trail *trail, size_t i)
{
	const struct trail_place *p = &trail->place[i];
	unsigned n = 1, k;

	for (k = 1; k <= p->n_steps; k++)
		n += p[-(ptrdiff_t)k].address == p->address;
	return n;
}

/* Choose the anchor of the last place: that of the one before it, or itself. */
static void anchor_set(struct trail *trail, const struct tracer *t)
{
	size_t i = trail->n - 1;
	struct trail_place *p = &trail->place[i];
	unsigned cost_of_old, cost;

	p->nth = n_visits(trail, i);
	if (!p->n_steps)
		return;
	p->anchor = p[-1].anchor + 1;
	/* As far as the call itself there is no breakpoint to pay for. */
	cost_of_old = p->anchor;
	if (p->anchor < p->n_steps)
		cost_of_old += BREAK_COST * p[-(ptrdiff_t)p->anchor].nth;
	cost = BREAK_COST * p->nth;
	if (cost < cost_of_old && tracer_can_break(t, p->address))
		p->anchor = 0;
}

int trail_record(struct trail *trail, struct tracer *t)
{
	struct trail_place p = {0};
	bool is_call;
	int r;

	trail->n = 0;
	do {
		p.address = tracer_address(t);
		p.is_new = trail->look && trail->look();
		r = place_add(trail, &p);
		if (r)
			return r;
		anchor_set(trail, t);
		is_call = tracer_is_before_call(t);
		r = tracer_step(t);
		p.n_steps++;
		if (is_call) {
			p.n_calls++;
			p.n_steps = 0;
			if (!r && trail->pause)
				trail->pause();
		}
	} while (!r);
	return r == TRACER_MARK ? 0 : r;
}

void trail_forget(struct trail *trail)
{
	free(trail->place);
	trail->place = NULL;
	trail->n = trail->n_max = 0;
}

/* To the end of the next system call. */
static int call_pass(const struct trail *trail, struct tracer *t)
{
	int r = tracer_call(t);

	if (r == TRACER_CALL)
		r = tracer_call(t);
	if (r == TRACER_CALL && trail->pause)
		trail->pause();
	return r < 0 ? r : r != TRACER_CALL;
}

static int calls_pass(const struct trail *trail, struct tracer *t, unsigned n)
{
	int r = 0;

	while (!r && n--)
		r = call_pass(trail, t);
	return r;
}

int trail_walk(const struct trail *trail, struct tracer *t, size_t i)
{
	unsigned n = trail->place[i].n_steps;
	int r = calls_pass(trail, t, trail->place[i].n_calls);

	while (!r && n--)
		r = tracer_step(t);
	return r < 0 ? r : r ? TRAIL_LOST : 0;
}

int trail_go(const struct trail *trail, struct tracer *t, size_t i)
{
	const struct trail_place *p = &trail->place[i];
	const struct trail_place *anchor = p - p->anchor;
	int r = calls_pass(trail, t, p->n_calls);
	unsigned n;

	if (!r && anchor->n_steps)
		r = tracer_break(t, anchor->address, anchor->nth);
	for (n = 0; !r && n < p->anchor; n++)
		r = tracer_step(t);
	if (r < 0)
		return r;
	return r || tracer_address(t) != p->address ? TRAIL_LOST : 0;
}
