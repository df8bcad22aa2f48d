/* SPDX-License-Identifier: Apache-2.0 */
/* directory.c: telling the shards what is here, and being one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shmcache/remote/peers/directory-impl.h"
#include "shmcache/remote/peers/rendezvous.h"

/*
 * A shard's state is soft: it may be lost at any time, and is told again. So nothing here is kept
 * for who can't be reached, and no announcement is ever repeated by itself: a message that could
 * not go out means that its shard is told all again (is_wanted), once the way to it is free.
 *
 * Telling again is a walk over the entries of this broker, a few at each tick, for all shards that
 * want it at once. What changes meanwhile is announced beside it, in the order in which it happens:
 * an entry that the walk has not reached yet is announced twice, one that it has passed is not
 * missed. Whoever comes to want it while a walk is under way waits for the next.
 *
 * Between AGAIN and DONE the shard goes on telling what it knew before: else each loss of an event
 * would make everything unknown for the time of a walk.
 */
#define WALK_N 4096
#define TICK_MS 10     /* between two steps of a walk */
#define RETRY_MS 1000  /* after a message that was not taken */

int directory_new(struct directory **out, const struct directory_options *options)
{
	struct directory *d = calloc(1, sizeof(*d));
	const uint16_t *all;
	unsigned n, i;
	int r;

	if (!d)
		return -ENOMEM;
	d->options = *options;
	if (!d->options.walk_n)
		d->options.walk_n = WALK_N;
	r = directory_table_init(&d->table, options->size_max);
	if (r) {
		free(d);
		return r;
	}
	all = membership_all(options->members, &n);
	for (i = 0; i < n; i++)
		directory_changed(d, MEMBERSHIP_JOINED, all[i]);
	directory_changed(d, MEMBERSHIP_DONE, MEMBER_NONE);
	*out = d;
	return 0;
}

void directory_free(struct directory *d)
{
	unsigned i;

	if (!d)
		return;
	directory_end_asks(d, MEMBER_NONE, UINT64_MAX);
	for (i = 0; i < DIRECTORY_PLACES; i++)
		free(d->shard[i].batch);
	directory_table_deinit(&d->table);
	free(d);
}

uint16_t directory_shard_of(const struct directory *d, XXH128_hash_t name)
{
	return d->place[rendezvous_choose(&name, d->hash, d->n_places)];
}

/* --- batches ---------------------------------------------------------------------------------- */

/* It did not get what it should know: let it be told all again, but not at once. */
static void shard_missed(struct directory *d, struct directory_shard *shard)
{
	if (shard->is_walking)
		d->n_walking--;
	shard->is_walking = false;
	shard->is_wanted = true;
	shard->n = 0;
	shard->retry_ms = d->now_ms + RETRY_MS;
}

static void shard_send(struct directory *d, uint16_t to)
{
	struct directory_shard *shard = &d->shard[to];

	if (!shard->n)
		return;
	if (!d->options.post->announce(d->options.context, to, shard->batch, shard->n)) {
		shard_missed(d, shard);
		return;
	}
	d->stats.n_announced += shard->n;
	shard->n = 0;
}

static void shard_add(struct directory *d, uint16_t to, const struct directory_record *record)
{
	struct directory_shard *shard = &d->shard[to];

	/* Told all again, later: nothing is lost by silence until then. */
	if (shard->is_wanted && !shard->is_walking)
		return;
	if (!shard->batch)
		shard->batch = malloc(DIRECTORY_BATCH * sizeof(*shard->batch));
	if (!shard->batch) {
		shard_missed(d, shard);
		return;
	}
	if (!shard->n)
		shard->since_ms = d->now_ms;
	shard->batch[shard->n++] = *record;
	if (shard->n == DIRECTORY_BATCH)
		shard_send(d, to);
}

/* --- holder ----------------------------------------------------------------------------------- */

void directory_held(struct directory *d, XXH128_hash_t name, uint32_t generation)
{
	struct directory_record record = {name, generation, DIRECTORY_HELD};
	uint16_t to = directory_shard_of(d, name);

	/* Who is not told again knows it already, or will be told by and by. */
	if (d->is_in_walk && !d->shard[to].is_walking)
		return;
	if (to == DIRECTORY_SELF)
		directory_table_note(&d->table, name, to, generation);
	else
		shard_add(d, to, &record);
}

void directory_gone(struct directory *d, XXH128_hash_t name, uint32_t generation)
{
	struct directory_record record = {name, generation, DIRECTORY_GONE};
	uint16_t to = directory_shard_of(d, name);

	if (to == DIRECTORY_SELF)
		directory_table_drop(&d->table, name, to, generation);
	else
		shard_add(d, to, &record);
}

static void want(struct directory *d, uint16_t place)
{
	if (!d->shard[place].is_member)
		return;
	d->shard[place].is_wanted = true;
	d->shard[place].retry_ms = 0;
}

void directory_again(struct directory *d, uint16_t shard)
{
	unsigned i;

	d->stats.n_again++;
	if (shard != MEMBER_NONE) {
		want(d, shard);
		d->shard[shard].is_down = false;
		return;
	}
	for (i = 0; i < d->n_places; i++)
		want(d, d->place[i]);
}

static bool is_due(const struct directory *d, const struct directory_shard *shard)
{
	return shard->is_wanted && !shard->is_walking && !shard->is_down &&
		shard->retry_ms <= d->now_ms;
}

static void mark(struct directory *d, uint16_t place, enum directory_what what)
{
	struct directory_record record = {.what = what};

	if (place != DIRECTORY_SELF)
		shard_add(d, place, &record);
	else if (what == DIRECTORY_AGAIN)
		directory_table_again(&d->table, place);
	else
		directory_table_done(&d->table, place);
}

static void walk_begin(struct directory *d)
{
	unsigned i;

	for (i = 0; i < d->n_places; i++) {
		struct directory_shard *shard = &d->shard[d->place[i]];

		if (!is_due(d, shard))
			continue;
		shard->is_walking = true;
		shard->is_wanted = false;
		d->n_walking++;
		mark(d, d->place[i], DIRECTORY_AGAIN);
	}
	d->cursor = 0;
}

static void walk_end(struct directory *d)
{
	unsigned i;

	for (i = 0; i < d->n_places; i++) {
		if (!d->shard[d->place[i]].is_walking)
			continue;
		mark(d, d->place[i], DIRECTORY_DONE);
		/* Unless that very message was not taken. */
		if (d->shard[d->place[i]].is_walking)
			d->n_walking--;
		d->shard[d->place[i]].is_walking = false;
	}
}

/* A step, if anybody wants it. */
static void walk_on(struct directory *d)
{
	if (!d->n_walking)
		walk_begin(d);
	if (!d->n_walking)
		return;
	d->is_in_walk = true;
	d->options.post->walk(d->options.context, &d->cursor, d->options.walk_n);
	d->is_in_walk = false;
	if (!d->cursor)
		walk_end(d);
}

/* In how many ms there is something to do again. */
static int next_tick(const struct directory *d)
{
	uint64_t next = UINT64_MAX, at;
	unsigned i;

	if (d->n_walking)
		next = d->now_ms + TICK_MS;
	for (i = 0; i < d->n_places; i++) {
		const struct directory_shard *shard = &d->shard[d->place[i]];

		at = shard->n ? shard->since_ms + d->options.batch_ms : UINT64_MAX;
		next = at < next ? at : next;
		at = shard->is_wanted && !shard->is_walking && !shard->is_down ? shard->retry_ms
									      : UINT64_MAX;
		next = at < next ? at : next;
	}
	at = directory_next_deadline(d);
	next = at < next ? at : next;
	if (next == UINT64_MAX)
		return -1;
	next = next > d->now_ms ? next - d->now_ms : 1;
	return next < 60000 ? (int)next : 60000;
}

int directory_tick(struct directory *d, uint64_t now_ms)
{
	unsigned i;

	d->now_ms = now_ms;
	walk_on(d);
	for (i = 0; i < d->n_places; i++)
		if (d->shard[d->place[i]].n &&
			d->shard[d->place[i]].since_ms + d->options.batch_ms <= now_ms)
			shard_send(d, d->place[i]);
	directory_end_asks(d, MEMBER_NONE, now_ms);
	return next_tick(d);
}

/* --- shard ------------------------------------------------------------------------------------ */

void directory_hear(struct directory *d, uint16_t from, const struct directory_record *records,
	unsigned n)
{
	unsigned i;

	if (from >= MEMBERS_MAX || !d->shard[from].is_member)
		return;
	d->stats.n_heard += n;
	for (i = 0; i < n; i++) {
		const struct directory_record *r = &records[i];

		switch (r->what) {
		case DIRECTORY_HELD:
			directory_table_note(&d->table, r->name, from, r->generation);
			break;
		case DIRECTORY_GONE:
			directory_table_drop(&d->table, r->name, from, r->generation);
			break;
		case DIRECTORY_AGAIN:
			directory_table_again(&d->table, from);
			break;
		case DIRECTORY_DONE:
			directory_table_done(&d->table, from);
			break;
		default:
			break;
		}
	}
}

static uint64_t hash_of_place(const struct directory *d, uint16_t place)
{
	const struct member *member;

	if (place == DIRECTORY_SELF)
		return membership_self_hash(d->options.members);
	member = membership_get(d->options.members, place);
	return member ? member->hash : 0;
}

bool directory_asked(struct directory *d, uint16_t from, uint64_t id, const XXH128_hash_t *names,
	unsigned n)
{
	uint16_t holders[DIRECTORY_HOLDERS];
	struct directory_found *found = d->found;
	unsigned i, j, n_holders;

	if (from >= MEMBERS_MAX || !d->shard[from].is_member || n > DIRECTORY_BATCH)
		return false;
	for (i = 0; i < n; i++) {
		n_holders = directory_table_find(&d->table, names[i], holders, DIRECTORY_HOLDERS);
		found[i] = (struct directory_found){0};
		/* That he has it himself is no news to him. */
		for (j = 0; j < n_holders; j++)
			if (holders[j] != from)
				found[i].holder[found[i].n++] = hash_of_place(d, holders[j]);
	}
	return d->options.post->answer(d->options.context, from, id, found, n);
}

/* --- members ---------------------------------------------------------------------------------- */

static void list_places(struct directory *d)
{
	unsigned n, i;
	const uint16_t *all = membership_all(d->options.members, &n);

	d->n_places = 0;
	for (i = 0; i < n; i++) {
		if (!d->shard[all[i]].is_member)
			continue;
		d->place[d->n_places] = all[i];
		d->hash[d->n_places++] = membership_get(d->options.members, all[i])->hash;
	}
	d->place[d->n_places] = DIRECTORY_SELF;
	d->hash[d->n_places++] = membership_self_hash(d->options.members);
	d->shard[DIRECTORY_SELF].is_member = true;
}

static void forget_member(struct directory *d, uint16_t number)
{
	struct directory_shard *shard = &d->shard[number];

	if (shard->is_walking)
		d->n_walking--;
	free(shard->batch);
	memset(shard, 0, sizeof(*shard));
	directory_table_void(&d->table, number);
	directory_end_asks(d, number, UINT64_MAX);
}

/*
 * Who joins takes over a share of the names, of which the shards before need not hear: nobody asks
 * them for these any more. Who leaves leaves his share to all others.
 */
void directory_changed(struct directory *d, enum membership_event event, uint16_t number)
{
	if (event == MEMBERSHIP_DONE) {
		list_places(d);
		if (d->has_left)
			directory_again(d, MEMBER_NONE);
		d->has_left = false;
		return;
	}
	if (event != MEMBERSHIP_JOINED)
		forget_member(d, number);
	if (event == MEMBERSHIP_LEFT) {
		d->has_left = true;
		/* At once: its number may be another's in the next call. */
		list_places(d);
		return;
	}
	d->shard[number].is_member = true;
	list_places(d);
	want(d, number);
	d->stats.n_again++;
}

void directory_down(struct directory *d, uint16_t member)
{
	struct directory_shard *shard;

	if (member >= MEMBERS_MAX || !d->shard[member].is_member)
		return;
	shard = &d->shard[member];
	shard_missed(d, shard);
	shard->is_down = true;
	directory_end_asks(d, member, UINT64_MAX);
}

void directory_stats(const struct directory *d, struct directory_stats *stats)
{
	*stats = d->stats;
	stats->n_records = d->table.n_used;
	stats->size = directory_table_size(&d->table);
	stats->n_dropped = d->table.n_dropped;
}

uint64_t directory_n_records(const struct directory *d, uint16_t number)
{
	return number < MEMBERS_MAX ? directory_table_n_of(&d->table, number) : 0;
}
