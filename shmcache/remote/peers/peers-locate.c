/* SPDX-License-Identifier: Apache-2.0 */
/* peers-locate.c: asking all peers at once who has a key. */
#include <stdlib.h>

#include "shmcache/remote/peers/peers-impl.h"

/*
 * Each peer is asked once for all keys of a batch (as few frames as they fit in), and a key's
 * question is over when the first one has it: who says so is told as its holder, and behind him,
 * for the case that he fails, those who have not answered yet. A peer that answers slowly, or not
 * at all, so costs nothing where another one has the key. With nobody who has it, all answers are
 * waited for, until the deadline.
 *
 * With one other member only there is nothing to ask: it is asked for the value itself.
 */
struct located {
	uint16_t holder[REMOTE_TRIED_MAX];
	uint8_t n_holders;
	bool is_done, is_incomplete;
	uint16_t n_open; /* questions */
};

struct locate {
	struct peers *peers;
	struct remote_locate *user; /* NULL: it has all of its answers */
	struct timer deadline;
	unsigned n_asks, n_undone, n; /* questions open, keys not done, keys */
	struct locate *next, **link;
	struct located key[];
};

/* --- its end ---------------------------------------------------------------------------------- */

static void release(struct locate *l)
{
	if (l->user || l->n_asks)
		return;
	*l->link = l->next;
	if (l->next)
		l->next->link = l->link;
	free(l);
}

/* Peers that were asked for key @i and have not answered: they may have it, too. */
static void add_unanswered(struct locate *l, unsigned i)
{
	struct located *key = &l->key[i];
	const struct ask *ask;
	struct peer *peer;
	unsigned n;

	for (n = 0; n < REMOTE_HOLDERS_MAX && key->n_holders < REMOTE_TRIED_MAX; n++) {
		peer = l->peers->peer[n];
		for (ask = peer ? peer->asks : NULL; ask; ask = ask->next)
			if (ask->locate == l && i - ask->first < ask->n)
				break;
		if (ask)
			key->holder[key->n_holders++] = (uint16_t)n;
	}
}

static void key_done(struct locate *l, unsigned i)
{
	struct located *key = &l->key[i];
	struct remote_locate *user = l->user;
	bool is_complete = !key->is_incomplete && !key->n_open;

	key->is_done = true;
	if (key->n_holders && key->n_open)
		add_unanswered(l, i);
	if (!--l->n_undone) {
		remote_loop_not_at(l->peers->loop, &l->deadline);
		l->user = NULL;
	}
	user->n_done++;
	user->done(user, i, key->holder, key->n_holders, is_complete);
}

static void give_up(struct locate *l)
{
	unsigned i;

	/* It stays as long as it is counted among the asks. */
	l->n_asks++;
	for (i = 0; i < l->n; i++) {
		if (l->key[i].is_done)
			continue;
		l->key[i].is_incomplete = true;
		key_done(l, i);
	}
	l->n_asks--;
	release(l);
}

static void deadline_passed(struct timer *timer)
{
	give_up(timer->owner);
}

void peers_locate_close(struct peers *p)
{
	struct locate *l, *next;

	for (l = p->locates; l; l = next) {
		next = l->next;
		if (l->user)
			give_up(l);
	}
}

/* --- answers ---------------------------------------------------------------------------------- */

static void key_answered(struct locate *l, unsigned i, const struct peer *peer, bool has_it,
	bool is_answer)
{
	struct located *key = &l->key[i];

	key->n_open--;
	if (key->is_done)
		return;
	key->is_incomplete |= !is_answer;
	if (has_it && key->n_holders < REMOTE_TRIED_MAX)
		key->holder[key->n_holders++] = peer->number;
	if (has_it || !key->n_open)
		key_done(l, i);
}

void peers_locate_answered(struct peer *peer, struct ask *ask, struct frame_cursor *holders)
{
	struct locate *l = ask->locate;
	struct frame_holders one;
	bool is_answer = holders;
	unsigned i;

	for (i = 0; i < ask->n; i++) {
		/* Who answers fewer than he was asked has not answered the rest. */
		is_answer = is_answer && frame_next_holders(holders, &one);
		key_answered(l, ask->first + i, peer, is_answer && one.n, is_answer);
	}
	free(ask);
	l->n_asks--;
	release(l);
}

/* --- questions -------------------------------------------------------------------------------- */

static void not_asked(struct locate *l, unsigned first)
{
	for (; first < l->n; first++)
		l->key[first].is_incomplete = true;
}

static void ask_peer(struct locate *l, struct peer *peer, const struct link_item *items)
{
	struct ask *ask;
	unsigned at = 0, i;
	int n;

	while (at < l->n) {
		ask = peers_ask_add(peer);
		if (!ask)
			break;
		n = link_lookup(peer->link, ask->id, FRAME_LOOKUP_KEYS, items + at, l->n - at);
		if (n <= 0) {
			free(peers_ask_take(peer, ask->id));
			break;
		}
		ask->locate = l;
		ask->first = at;
		ask->n = (unsigned)n;
		l->n_asks++;
		for (i = at; i < at + ask->n; i++)
			l->key[i].n_open++;
		at += ask->n;
	}
	not_asked(l, at);
}

static void ask_all(struct locate *l)
{
	struct peers *p = l->peers;
	struct link_item *items = calloc(l->n, sizeof(*items));
	const uint16_t *all;
	struct peer *peer;
	unsigned n, i;

	for (i = 0; items && i < l->n; i++)
		items[i] = (struct link_item){l->user->keys[i].data, l->user->keys[i].size};
	all = membership_all(p->members, &n);
	for (i = 0; i < n; i++) {
		peer = p->peer[all[i]];
		if (items && peer && peer->is_up)
			ask_peer(l, peer, items);
		else
			not_asked(l, 0);
	}
	free(items);
}

/* Those that nobody could be asked for. */
static void end_unasked(struct locate *l)
{
	unsigned i;

	l->n_asks++;
	for (i = 0; i < l->n; i++)
		if (!l->key[i].is_done && !l->key[i].n_open)
			key_done(l, i);
	l->n_asks--;
	release(l);
}

/* The same answer for all: @peer (NULL: nobody). */
static void answer_all(struct remote_locate *user, const struct peer *peer, bool is_complete)
{
	uint16_t holder = peer ? peer->number : 0;
	unsigned i, n = user->n;

	for (i = 0; i < n; i++) {
		user->n_done++;
		user->done(user, i, &holder, peer != NULL, is_complete);
	}
}

/* Of the only other member: NULL where he is not up. */
static const struct peer *only_peer(const struct peers *p)
{
	unsigned n;
	const struct peer *peer = p->peer[*membership_all(p->members, &n)];

	return peer && peer->is_up ? peer : NULL;
}

static bool may_ask(const struct peers *p)
{
	return p->loop->config->remote.locate != CONFIG_LOCATE_DIRECTORY;
}

void peers_locate_all(struct peers *p, struct remote_locate *user)
{
	struct locate *l = calloc(1, sizeof(*l) + user->n * sizeof(l->key[0]));

	if (!l) {
		answer_all(user, NULL, false);
		return;
	}
	l->peers = p;
	l->user = user;
	l->n = l->n_undone = user->n;
	l->deadline.expired = deadline_passed;
	l->deadline.owner = l;
	l->next = p->locates;
	l->link = &p->locates;
	if (l->next)
		l->next->link = &l->next;
	p->locates = l;
	remote_loop_at(p->loop, &l->deadline, user->deadline_ms);
	ask_all(l);
	end_unasked(l);
}

void peers_locate(void *self, struct remote_locate *user)
{
	struct peers *p = self;
	const struct peer *only;
	unsigned n = peers_count(p);

	if (!n || p->is_closing) {
		answer_all(user, NULL, !p->is_closing);
	} else if (n == 1) {
		only = only_peer(p);
		answer_all(user, only, only != NULL);
	} else if (p->directory && (n >= PEERS_MANY || !may_ask(p))) {
		peers_directory_locate(p, user);
	} else {
		peers_locate_all(p, user);
	}
}
