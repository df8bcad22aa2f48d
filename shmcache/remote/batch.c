/* SPDX-License-Identifier: Apache-2.0 */
/* batch.c: which of the values that were asked for together are kept. */
#include <stdlib.h>

#include "shmcache/remote/batch.h"

/*
 * Requests of a batch come in order and are answered in any. A batch therefore notes one after
 * another as they come, and judges
 *
 *	by prefix	from the first on, as far as all are found; after the first that is missed, all
 *			that follow, also those that come later
 *	all or none	when the last has come and is found, or when one is missed
 *
 * Each entry is passed once by the one rule and once by the other, however many events there are.
 */
enum entry_state { WAITING, FOUND, MISSED };

struct batch_entry {
	struct batch_seat *seat; /* NULL: judged */
	enum entry_state state;
};

struct batch {
	struct batches *all;
	struct batch *next;
	struct batch_name name;
	struct timer expiry;
	unsigned n, n_seen, n_found, n_open; /* to come; come; found; not judged, */
	unsigned n_held;		     /* and of these found */
	unsigned n_prefix;		     /* found, from the first on */
	bool is_missed;			     /* one of them is */
	bool is_broken;			     /* nothing more is kept: also by prefix */
	uint32_t position;		     /* of the last that has come */
	unsigned n_room;
	struct batch_entry *entry;
};

/* By lane: all batches of one are in one bucket, since they are counted together. */
static struct batch **bucket_of(struct batches *all, struct batch_name name)
{
	return &all->bucket[name.lane * UINT64_C(0x9e3779b97f4a7c15) >> 56];
}

static void free_batch(struct batch *b)
{
	struct batch **link = bucket_of(b->all, b->name);

	while (*link != b)
		link = &(*link)->next;
	*link = b->next;
	timer_clear(b->all->timers, &b->expiry);
	b->all->n--;
	free(b->entry);
	free(b);
}

static void judge(struct batch *b, unsigned i, bool keep)
{
	struct batch_seat *seat = b->entry[i].seat;

	if (!seat)
		return;
	b->entry[i].seat = NULL;
	b->n_open--;
	b->n_held -= b->entry[i].state == FOUND;
	seat->batch = NULL;
	seat->judged(seat, keep);
}

static void judge_rule(struct batch *b, enum batch_rule rule, unsigned begin, bool keep)
{
	for (unsigned i = begin; i < b->n_seen; i++)
		if (b->entry[i].seat && b->entry[i].seat->rule == rule)
			judge(b, i, keep);
}

/* Nothing that is not judged yet is kept. */
static void give_up(struct batch *b)
{
	b->is_missed = b->is_broken = true;
	for (unsigned i = 0; i < b->n_seen; i++)
		judge(b, i, false);
}

/* After something has come, was found or missed. Frees the batch when it is through. */
static void evaluate(struct batch *b)
{
	while (b->n_prefix < b->n_seen && b->entry[b->n_prefix].state == FOUND) {
		struct batch_seat *seat = b->entry[b->n_prefix++].seat;

		if (seat && seat->rule == BATCH_PREFIX)
			judge(b, b->n_prefix - 1, true);
	}
	if (!b->is_broken && b->n_prefix < b->n_seen && b->entry[b->n_prefix].state == MISSED) {
		b->is_broken = true;
		judge_rule(b, BATCH_PREFIX, b->n_prefix, false);
	}
	if (b->n_found == b->n)
		judge_rule(b, BATCH_ALL, 0, true);
	if (b->n_seen == b->n && !b->n_open)
		free_batch(b);
}

static void expired(struct timer *timer)
{
	struct batch *b = timer->owner;

	give_up(b);
	free_batch(b);
}

static struct batch *find(struct batches *all, struct batch_name name)
{
	struct batch *b = *bucket_of(all, name);

	while (b && (b->name.lane != name.lane || b->name.number != name.number))
		b = b->next;
	return b;
}

/* May the lane have one more batch, of @n? */
static bool may_have(struct batches *all, struct batch_name name, unsigned n)
{
	uint64_t n_requests = n;
	unsigned n_batches = 1;

	for (const struct batch *b = *bucket_of(all, name); b; b = b->next) {
		if (b->name.lane != name.lane)
			continue;
		n_requests += b->n;
		n_batches++;
	}
	return n_batches <= BATCHES_OF_LANE && n_requests <= BATCH_MAX;
}

static struct batch *make(struct batches *all, struct batch_name name, unsigned n)
{
	struct batch **bucket = bucket_of(all, name), *b;

	if (!n || !may_have(all, name, n))
		return NULL;
	b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	b->all = all;
	b->name = name;
	b->n = n;
	b->expiry.expired = expired;
	b->expiry.owner = b;
	b->next = *bucket;
	*bucket = b;
	all->n++;
	return b;
}

/* Room for one more: what is promised to come need not come, and costs nothing before. */
static bool has_room(struct batch *b)
{
	struct batch_entry *entry;
	unsigned n_room = b->n_room ? 2 * b->n_room : 8;

	if (b->n_seen < b->n_room)
		return true;
	entry = realloc(b->entry, n_room * sizeof(*entry));
	if (!entry)
		return false;
	b->entry = entry;
	b->n_room = n_room;
	return true;
}

void batches_init(struct batches *all, struct timers *timers)
{
	*all = (struct batches){.timers = timers};
}

void batches_deinit(struct batches *all)
{
	for (unsigned i = 0; i < BATCH_BUCKETS; i++) {
		while (all->bucket[i]) {
			give_up(all->bucket[i]);
			free_batch(all->bucket[i]);
		}
	}
}

void batches_leave(struct batches *all, uint64_t session)
{
	struct batch *b, *next;

	for (unsigned i = 0; i < BATCH_BUCKETS; i++) {
		for (b = all->bucket[i]; b; b = next) {
			next = b->next;
			if (b->name.session != session)
				continue;
			give_up(b);
			free_batch(b);
		}
	}
}

void batch_join(struct batches *all, struct batch_seat *seat, struct batch_name name, unsigned n,
	uint32_t position, uint64_t deadline_ms)
{
	struct batch *b = find(all, name);

	seat->batch = NULL;
	if (!b)
		b = make(all, name, n);
	if (!b || b->n != n || b->n_seen == n || !has_room(b) ||
		(b->n_seen && position <= b->position)) {
		seat->judged(seat, false);
		if (b) {
			give_up(b);
			if (!b->n_seen || b->n_seen == b->n)
				free_batch(b);
		}
		return;
	}
	seat->batch = b;
	seat->idx = b->n_seen;
	b->entry[b->n_seen++] = (struct batch_entry){.seat = seat};
	b->n_open++;
	b->position = position;
	if (!b->expiry.is_set || deadline_ms > b->expiry.at_ms)
		timer_set(all->timers, &b->expiry, deadline_ms);
	if (seat->rule == BATCH_PREFIX ? b->is_broken : b->is_missed)
		judge(b, seat->idx, false);
	evaluate(b);
}

void batch_found(struct batch_seat *seat)
{
	struct batch *b = seat->batch;

	if (!b || b->entry[seat->idx].state != WAITING)
		return;
	b->entry[seat->idx].state = FOUND;
	b->n_found++;
	b->n_held++;
	evaluate(b);
}

void batch_found_elsewhere(struct batch_seat *seat)
{
	struct batch *b = seat->batch;

	if (!b)
		return;
	if (b->entry[seat->idx].state != FOUND)
		b->n_found++;
	else
		b->n_held--;
	b->entry[seat->idx] = (struct batch_entry){NULL, FOUND};
	b->n_open--;
	seat->batch = NULL;
	evaluate(b);
}

void batch_missed(struct batch_seat *seat)
{
	struct batch *b = seat->batch;
	unsigned idx = seat->idx;

	if (!b)
		return;
	if (b->entry[idx].state == FOUND) {
		b->n_found--;
		b->n_held--;
	}
	b->entry[idx].state = MISSED;
	judge(b, idx, false);
	if (!b->is_missed)
		judge_rule(b, BATCH_ALL, 0, false);
	b->is_missed = true;
	evaluate(b);
}

bool batches_give_up_one(struct batches *all)
{
	struct batch *first = NULL;

	for (unsigned i = 0; i < BATCH_BUCKETS; i++)
		for (struct batch *b = all->bucket[i]; b; b = b->next)
			if (b->n_held && (!first || b->expiry.at_ms < first->expiry.at_ms))
				first = b;
	if (!first)
		return false;
	give_up(first);
	evaluate(first);
	return true;
}
