/* SPDX-License-Identifier: Apache-2.0 */
/* directory-ask.c: who has these? A batch of names, each shard asked once. */
#include <stdlib.h>

#include "shmcache/remote/peers/directory-impl.h"

/*
 * done() may free the query when it was called for the last name, and a lookup that can't be sent
 * is done at once. So what is needed after is on our side: a lookup keeps the places of its names,
 * and the names that this broker is in charge of itself are done last, from a list that is not the
 * query's.
 */
static void ask_unlink(struct directory_ask *ask)
{
	*ask->link = ask->next;
	if (ask->next)
		ask->next->link = ask->link;
	*ask->query_link = ask->query_next;
	if (ask->query_next)
		ask->query_next->query_link = ask->query_link;
}

static void ask_link(struct directory *d, struct directory_ask *ask)
{
	struct directory_query *q = ask->query;

	ask->link = &d->asks[ask->id % DIRECTORY_ASK_LISTS];
	ask->next = *ask->link;
	if (ask->next)
		ask->next->link = &ask->next;
	*ask->link = ask;
	ask->query_link = &q->asks;
	ask->query_next = q->asks;
	if (ask->query_next)
		ask->query_next->query_link = &ask->query_next;
	q->asks = ask;
}

static void done(struct directory_query *q, unsigned i, const uint16_t *holders, unsigned n,
	bool is_known)
{
	q->n_open--;
	q->done(q, i, holders, n, is_known);
}

/* Nobody answers this one any more. */
static void ask_end(struct directory *d, struct directory_ask *ask)
{
	unsigned i;

	d->stats.n_unanswered++;
	ask_unlink(ask);
	for (i = 0; i < ask->n; i++)
		done(ask->query, ask->idx[i], NULL, 0, false);
	free(ask);
}

static struct directory_ask *find_due(struct directory *d, uint16_t to, uint64_t now_ms)
{
	struct directory_ask *ask;
	unsigned i;

	for (i = 0; i < DIRECTORY_ASK_LISTS; i++)
		for (ask = d->asks[i]; ask; ask = ask->next)
			if ((to == MEMBER_NONE || ask->to == to) && ask->deadline_ms <= now_ms)
				return ask;
	return NULL;
}

void directory_end_asks(struct directory *d, uint16_t to, uint64_t now_ms)
{
	struct directory_ask *ask;

	/* From the beginning each time: a done() may ask something new, or forget another. */
	while ((ask = find_due(d, to, now_ms)))
		ask_end(d, ask);
}

uint64_t directory_next_deadline(const struct directory *d)
{
	const struct directory_ask *ask;
	uint64_t next = UINT64_MAX;
	unsigned i;

	for (i = 0; i < DIRECTORY_ASK_LISTS; i++)
		for (ask = d->asks[i]; ask; ask = ask->next)
			next = ask->deadline_ms < next ? ask->deadline_ms : next;
	return next;
}

/* A batch while it is sorted. Not the directory's, since a done() may begin another. */
struct own_name {
	XXH128_hash_t name;
	unsigned idx;
};

struct batch {
	struct directory_query *query;
	unsigned n, n_own;
	struct own_name *own;  /* those of our own shard */
	XXH128_hash_t *names;  /* of one lookup */
	uint16_t *shard;       /* of each name, or TAKEN */
};

#define TAKEN UINT16_MAX

static void ask_send(struct directory *d, struct directory_ask *ask, const XXH128_hash_t *names)
{
	d->stats.n_asked++;
	ask_link(d, ask);
	if (d->shard[ask->to].is_down ||
		!d->options.post->ask(d->options.context, ask->to, ask->id, names, ask->n))
		ask_end(d, ask);
}

static struct directory_ask *ask_new(struct directory *d, struct directory_query *q, uint16_t to)
{
	struct directory_ask *ask = malloc(sizeof(*ask) + q->n * sizeof(ask->idx[0]));

	if (ask)
		*ask = (struct directory_ask){.query = q, .id = ++d->next_id,
			.deadline_ms = q->deadline_ms, .to = to};
	return ask;
}

/*
 * One lookup for all names from @first on that have the same shard, which are taken then. No
 * memory: it is as if it did not answer.
 */
static void ask_shard(struct directory *d, struct batch *b, unsigned first)
{
	uint16_t to = b->shard[first];
	struct directory_ask *ask = ask_new(d, b->query, to);
	unsigned i;

	if (!ask) {
		b->shard[first] = TAKEN;
		done(b->query, first, NULL, 0, false);
		return;
	}
	for (i = first; i < b->n; i++) {
		if (b->shard[i] != to)
			continue;
		b->names[ask->n] = b->query->names[i];
		ask->idx[ask->n++] = i;
		b->shard[i] = TAKEN;
	}
	ask_send(d, ask, b->names);
}

/* Those of our own shard. The holders are looked up one by one, as done() may ask anew. */
static void answer_own(struct directory *d, struct directory_query *q, XXH128_hash_t name, unsigned i)
{
	uint16_t found[DIRECTORY_HOLDERS + 1], holders[DIRECTORY_HOLDERS];
	unsigned n_found, n = 0, j;

	/* One more, for we may be among them ourselves. */
	n_found = directory_table_find(&d->table, name, found, DIRECTORY_HOLDERS + 1);
	for (j = 0; j < n_found && n < DIRECTORY_HOLDERS; j++)
		if (found[j] != DIRECTORY_SELF)
			holders[n++] = found[j];
	done(q, i, holders, n, true);
}

static void sort_by_shard(struct directory *d, struct batch *b)
{
	const XXH128_hash_t *names = b->query->names;
	unsigned i;

	for (i = 0; i < b->n; i++) {
		b->shard[i] = directory_shard_of(d, names[i]);
		if (b->shard[i] != DIRECTORY_SELF)
			continue;
		b->own[b->n_own++] = (struct own_name){names[i], i};
		b->shard[i] = TAKEN;
	}
}

/* All arrays in one piece; NULL: no memory. */
static void *batch_init(struct batch *b, struct directory_query *q)
{
	struct own_name *own;

	*b = (struct batch){.query = q, .n = q->n};
	own = malloc(b->n * (sizeof(*b->own) + sizeof(*b->names) + sizeof(*b->shard)) + 1);
	b->own = own;
	b->names = (void *)(own + b->n);
	b->shard = (void *)(b->names + b->n);
	return own;
}

void directory_locate(struct directory *d, struct directory_query *q)
{
	struct batch b;
	unsigned n = q->n, i;
	void *memory = n <= DIRECTORY_BATCH ? batch_init(&b, q) : NULL;

	q->asks = NULL;
	q->n_open = n;
	if (!memory) {
		for (i = 0; i < n; i++)
			done(q, i, NULL, 0, false);
		return;
	}
	sort_by_shard(d, &b);
	/*
	 * With its last name done, a query is gone: nothing is taken from it but for names that are
	 * not.
	 */
	for (i = 0; i < n; i++)
		if (b.shard[i] != TAKEN)
			ask_shard(d, &b, i);
	for (i = 0; i < b.n_own; i++)
		answer_own(d, q, b.own[i].name, b.own[i].idx);
	free(memory);
}

void directory_forget(struct directory *d, struct directory_query *q)
{
	struct directory_ask *ask;

	(void)d;
	while ((ask = q->asks)) {
		ask_unlink(ask);
		free(ask);
	}
	q->n_open = 0;
}

/* Names of holders become numbers; ourselves, and who is no member here, are left out. */
static unsigned to_numbers(const struct directory *d, const struct directory_found *found,
	uint16_t holders[DIRECTORY_HOLDERS])
{
	unsigned n = 0, i;
	uint16_t number;

	for (i = 0; i < found->n && i < DIRECTORY_HOLDERS; i++) {
		number = membership_find_hash(d->options.members, found->holder[i]);
		if (number != MEMBER_NONE)
			holders[n++] = number;
	}
	return n;
}

void directory_answered(struct directory *d, uint16_t from, uint64_t id,
	const struct directory_found *found, unsigned n)
{
	struct directory_ask *ask = d->asks[id % DIRECTORY_ASK_LISTS];
	uint16_t holders[DIRECTORY_HOLDERS];
	unsigned i, n_holders;

	while (ask && (ask->id != id || ask->to != from))
		ask = ask->next;
	if (!ask)
		return;
	if (n != ask->n) {
		ask_end(d, ask);
		return;
	}
	ask_unlink(ask);
	for (i = 0; i < n; i++) {
		n_holders = to_numbers(d, &found[i], holders);
		done(ask->query, ask->idx[i], holders, n_holders, true);
	}
	free(ask);
}
