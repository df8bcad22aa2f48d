/* SPDX-License-Identifier: Apache-2.0 */
/* peers-erase.c: having all others delete a key. */
#include <stdlib.h>

#include "shmcache/remote/peers/peers-impl.h"

/* One question to each member; who is not there, or does not answer in time, counts as not told. */
struct erase {
	struct peers *peers;
	void (*done)(void *context, unsigned n_told, unsigned n_failed); /* NULL: it was called */
	void *context;
	unsigned n_told, n_failed, n_open;
	struct timer deadline;
	struct erase *next, **link;
};

static void finish(struct erase *e)
{
	void (*done)(void *context, unsigned n_told, unsigned n_failed) = e->done;

	e->done = NULL;
	remote_loop_not_at(e->peers->loop, &e->deadline);
	if (done)
		done(e->context, e->n_told, e->n_failed + e->n_open);
}

static void release(struct erase *e)
{
	if (e->n_open)
		return;
	finish(e);
	*e->link = e->next;
	if (e->next)
		e->next->link = e->link;
	free(e);
}

static void deadline_passed(struct timer *timer)
{
	/* Its questions stay open, and let it go when they are answered or their link is lost. */
	finish(timer->owner);
}

void peers_erase_answered(struct peer *peer, struct ask *ask, bool is_told)
{
	struct erase *e = ask->erase;

	(void)peer;
	free(ask);
	e->n_open--;
	e->n_told += is_told;
	e->n_failed += !is_told;
	release(e);
}

void peers_erase_close(struct peers *p)
{
	struct erase *e;

	for (e = p->erases; e; e = e->next)
		finish(e);
}

static void ask_peer(struct erase *e, struct peer *peer, const struct remote_key *key)
{
	struct ask *ask = peer && peer->is_up ? peers_ask_add(peer) : NULL;

	if (ask && !link_erase(peer->link, ask->id, key->data, key->size)) {
		ask->erase = e;
		e->n_open++;
		return;
	}
	if (ask)
		free(peers_ask_take(peer, ask->id));
	e->n_failed++;
}

void peers_erase(void *self, const struct remote_key *key, uint64_t deadline_ms,
	void (*done)(void *context, unsigned n_told, unsigned n_failed), void *context)
{
	struct peers *p = self;
	struct erase *e = calloc(1, sizeof(*e));
	const uint16_t *all;
	unsigned n, i;

	if (!e) {
		done(context, 0, peers_count(p));
		return;
	}
	e->peers = p;
	e->done = done;
	e->context = context;
	e->deadline.expired = deadline_passed;
	e->deadline.owner = e;
	e->next = p->erases;
	e->link = &p->erases;
	if (e->next)
		e->next->link = &e->next;
	p->erases = e;
	all = membership_all(p->members, &n);
	for (i = 0; i < n; i++)
		ask_peer(e, p->peer[all[i]], key);
	remote_loop_at(p->loop, &e->deadline, deadline_ms);
	release(e);
}
