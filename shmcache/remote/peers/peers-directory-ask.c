/* SPDX-License-Identifier: Apache-2.0 */
/* peers-directory-ask.c: who has these keys? Their shards are asked; and where one is away, all. */
#include <stdlib.h>

#include "shmcache/remote/peers/peers-impl.h"

/*
 * A member that is away stays in charge of its share of the names as long as it is a member, which
 * by a list in the configuration is for ever: 1/n of all keys could be found by nobody. So for a
 * name whose shard does not answer all others are asked themselves, as where there is no directory
 * (peers-locate.c). In the mean this costs one question a key: n of them, for 1/n of the keys.
 *
 * That shard may hold the key itself. So all that answered have not got it, is not "nobody".
 *
 * A shard that is known to be away is not waited for; one that is silent has half of the time. What
 * one turn of the loop loses is asked for together. A name is asked for so once.
 */
struct query {
	struct directory_query query;
	struct peers *peers;
	struct remote_locate *user;
	struct query *next; /* of those that have lost some */
	unsigned n_undone, n_lost;
	unsigned *lost; /* of the user's keys: of no shard's answer */
	XXH128_hash_t names[];
};

/* What was lost of one query, and is asked of all. */
struct again {
	struct remote_locate locate;
	struct remote_locate *user;
	struct remote_key *key;
	unsigned n_undone, *idx; /* in the user's keys */
};

/* --- all are asked ---------------------------------------------------------------------------- */

static void again_done(struct remote_locate *locate, unsigned i, const uint16_t *holders,
	unsigned n_holders, bool is_complete)
{
	struct again *a = (struct again *)(void *)((char *)locate - offsetof(struct again, locate));
	struct remote_locate *user = a->user;
	unsigned idx = a->idx[i];

	if (!--a->n_undone)
		free(a);
	user->n_done++;
	user->done(user, idx, holders, n_holders, is_complete);
}

static struct again *again_new(const struct query *q)
{
	struct remote_locate *user = q->user;
	unsigned n = q->n_lost, i;
	struct again *a = calloc(1, sizeof(*a) + n * (sizeof(*a->key) + sizeof(*a->idx)));

	if (!a)
		return NULL;
	a->user = user;
	a->n_undone = n;
	a->key = (void *)(a + 1);
	a->idx = (void *)(a->key + n);
	for (i = 0; i < n; i++) {
		a->idx[i] = q->lost[i];
		a->key[i] = user->keys[q->lost[i]];
	}
	a->locate = (struct remote_locate){
		.keys = a->key, .n = n, .deadline_ms = user->deadline_ms, .done = again_done};
	return a;
}

/* --- the shards are --------------------------------------------------------------------------- */

/* So many of its names are somebody else's. */
static void release(struct query *q, unsigned n)
{
	q->n_undone -= n;
	if (!q->n_undone)
		free(q);
}

static void not_found(struct query *q)
{
	struct remote_locate *user = q->user;
	unsigned n = q->n_lost, i;

	/* With the last name the query goes, and with the last answer its user. */
	q->n_lost = 0;
	for (i = 0; i < n; i++) {
		user->n_done++;
		user->done(user, q->lost[i], NULL, 0, false);
	}
	release(q, n);
}

static void ask_all(struct query *q)
{
	struct peers *p = q->peers;
	struct again *a = p->is_closing ? NULL : again_new(q);

	if (!a) {
		not_found(q);
		return;
	}
	q->n_lost = 0;
	release(q, a->n_undone);
	peers_locate_all(p, &a->locate);
}

void peers_directory_ask_lost(struct remote_later *later)
{
	struct peers *p = later->owner;
	struct query *q;

	while ((q = p->lost)) {
		p->lost = q->next;
		ask_all(q);
	}
}

static void lose(struct query *q, unsigned i)
{
	struct peers *p = q->peers;

	if (!q->n_lost) {
		q->next = p->lost;
		p->lost = q;
	}
	q->lost[q->n_lost++] = i;
	remote_loop_soon(p->loop, &p->ask_lost);
}

static void query_done(struct directory_query *dq, unsigned i, const uint16_t *holders,
	unsigned n_holders, bool is_known)
{
	struct query *q = (struct query *)(void *)((char *)dq - offsetof(struct query, query));
	struct remote_locate *user = q->user;

	if (!is_known && !q->peers->is_closing && store_now_ms() < user->deadline_ms) {
		lose(q, i);
		return;
	}
	release(q, 1);
	user->n_done++;
	user->done(user, i, holders, n_holders, is_known);
}

void peers_directory_locate(struct peers *p, struct remote_locate *user)
{
	struct query *q = calloc(
		1, sizeof(*q) + user->n * (sizeof(q->names[0]) + sizeof(q->lost[0])));
	uint64_t now_ms = store_now_ms();
	unsigned i, n = user->n;

	if (!q) {
		for (i = 0; i < n; i++) {
			user->n_done++;
			user->done(user, i, NULL, 0, false);
		}
		return;
	}
	for (i = 0; i < n; i++)
		q->names[i] = user->keys[i].name;
	q->lost = (void *)(q->names + n);
	q->peers = p;
	q->user = user;
	q->n_undone = n;
	q->query = (struct directory_query){.names = q->names,
		.n = n,
		.deadline_ms = user->deadline_ms > now_ms
			? now_ms + (user->deadline_ms - now_ms) / 2
			: user->deadline_ms,
		.done = query_done};
	directory_locate(p->directory, &q->query);
}
