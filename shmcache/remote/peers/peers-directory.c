/* SPDX-License-Identifier: Apache-2.0 */
/* peers-directory.c: the directory's messages over the links. */
#include <stdlib.h>

#include "shmcache/remote/peers/peers-impl.h"

/*
 * Numbers of members go to the directory, names of keys to the wire: all that is done here is to
 * turn one into the other. What a member can't be told is as if it were lost, which the directory
 * expects.
 */
#define SHARD_SIZE (UINT64_C(256) << 20) /* of this broker's part of it, at most */
#define BATCH_MS 20
#define WALK_N 1024 /* cells looked at in one go */

static bool post_announce(void *context, uint16_t to, const struct directory_record *records,
	unsigned n)
{
	struct peers *p = context;
	struct frame_notice notices[DIRECTORY_BATCH];
	XXH128_canonical_t canonical;
	unsigned i;

	if (to >= REMOTE_HOLDERS_MAX || !p->peer[to] || !p->peer[to]->is_up)
		return false;
	memset(notices, 0, n * sizeof(notices[0]));
	for (i = 0; i < n; i++) {
		XXH128_canonicalFromHash(&canonical, records[i].name);
		memcpy(notices[i].name, &canonical, sizeof(notices[i].name));
		notices[i].generation = records[i].generation;
		notices[i].kind = records[i].what;
	}
	return !link_announce(p->peer[to]->link, notices, n);
}

static bool post_ask(void *context, uint16_t to, uint64_t id, const XXH128_hash_t *names, unsigned n)
{
	struct peers *p = context;
	XXH128_canonical_t canonical[DIRECTORY_BATCH];
	struct link_item items[DIRECTORY_BATCH];
	unsigned i;

	if (to >= REMOTE_HOLDERS_MAX || !p->peer[to] || !p->peer[to]->is_up)
		return false;
	for (i = 0; i < n; i++) {
		XXH128_canonicalFromHash(&canonical[i], names[i]);
		items[i] = (struct link_item){&canonical[i], sizeof(canonical[i])};
	}
	return link_lookup(p->peer[to]->link, id | ASK_OF_DIRECTORY, FRAME_LOOKUP_NAMES, items, n) ==
		(int)n;
}

static bool post_answer(void *context, uint16_t to, uint64_t id, const struct directory_found *found,
	unsigned n)
{
	struct guest *guest = peers_guest_of(context, to);
	struct frame_holders *holders;
	unsigned i;

	holders = guest ? calloc(n ? n : 1, sizeof(*holders)) : NULL;
	if (!holders)
		return false;
	for (i = 0; i < n; i++) {
		holders[i].n = (uint8_t)found[i].n;
		memcpy(holders[i].id, found[i].holder, found[i].n * sizeof(found[i].holder[0]));
	}
	(void)link_found(guest->service.link, id, holders, n);
	free(holders);
	return true;
}

static void walk_entry(void *context, const struct index_key *key)
{
	struct peers *p = context;

	directory_held(p->directory, XXH3_128bits(key->data, key->size), p->n_events);
}

static void post_walk(void *context, uint64_t *cursor, unsigned n)
{
	struct peers *p = context;

	p->n_events++;
	store_walk(p->loop->store, cursor, n, walk_entry, p);
}

static const struct directory_post post = {
	.announce = post_announce,
	.ask = post_ask,
	.answer = post_answer,
	.walk = post_walk,
};

/* By auto: where more are to be asked than two, or nobody knows yet how many there will be. */
static bool is_wanted(const struct config_remote *c)
{
	const char *at = c->members;
	struct config_member m;
	unsigned n = 0;

	if (c->locate != CONFIG_LOCATE_AUTO)
		return c->locate == CONFIG_LOCATE_DIRECTORY;
	while (config_member_next(&at, &m))
		n += strcmp(m.name, c->name) != 0;
	return n >= PEERS_MANY || c->etcd[0];
}

void peers_directory_stir(struct peers *p)
{
	uint64_t at_ms = store_now_ms() + BATCH_MS;

	/* It may be set, to when a question that is out would be too late. */
	if (p->directory && (!p->directory_tick.is_set || p->directory_tick.at_ms > at_ms))
		remote_loop_at(p->loop, &p->directory_tick, at_ms);
}

static void tick(struct timer *timer)
{
	struct peers *p = timer->owner;
	uint64_t now_ms = store_now_ms();
	int wait_ms = directory_tick(p->directory, now_ms);

	if (wait_ms >= 0)
		remote_loop_at(p->loop, timer, now_ms + (unsigned)wait_ms);
}

static int directory_begin(struct peers *p)
{
	const struct directory_options options = {
		.members = p->members,
		.post = &post,
		.context = p,
		.size_max = SHARD_SIZE,
		.batch_ms = BATCH_MS,
		.walk_n = WALK_N,
	};

	return directory_new(&p->directory, &options);
}

/* What it was asked is answered with nobody. */
static void directory_end(struct peers *p)
{
	struct directory *directory = p->directory;

	p->directory = NULL;
	/* The next one begins to count anew. */
	p->counted = (struct directory_stats){0};
	remote_loop_not_at(p->loop, &p->directory_tick);
	directory_free(directory);
}

int peers_directory_review(struct peers *p)
{
	bool is_to_be = is_wanted(&p->loop->config->remote);
	int r = 0;

	p->directory_tick.expired = tick;
	p->directory_tick.owner = p;
	if (is_to_be && !p->directory) {
		r = directory_begin(p);
		/* The announcer, which may have told all, does not know that there is another. */
		if (!r)
			directory_again(p->directory, MEMBER_NONE);
		/* What guests announced before was not heard: whose link comes up tells all. */
		link_net_dismiss(p->net, "this broker begins to keep the directory");
	}
	if (!is_to_be && p->directory)
		directory_end(p);
	return r;
}

/* --- answers ---------------------------------------------------------------------------------- */

void peers_directory_found(struct peer *peer, uint64_t id, struct frame_cursor cursor)
{
	struct directory *directory = peer->peers->directory;
	struct directory_found *found;
	struct frame_holders holders;
	unsigned n = 0, i;

	/* An id of the directory's is what the peer says that it is. */
	if (!directory)
		return;
	found = calloc(DIRECTORY_BATCH, sizeof(*found));
	if (!found)
		return;
	for (; n < DIRECTORY_BATCH && frame_next_holders(&cursor, &holders); n++)
		for (i = 0; i < holders.n && i < DIRECTORY_HOLDERS; i++)
			found[n].holder[found[n].n++] = holders.id[i];
	directory_answered(directory, peer->number, id, found, n);
	free(found);
}

/* --- what is here ----------------------------------------------------------------------------- */

void peers_announce(void *self, const struct remote_event *events, unsigned n)
{
	struct peers *p = self;
	unsigned i;

	if (!p->directory)
		return;
	for (i = 0; i < n; i++) {
		/* Events come in order: their number does for what a record's generation says. */
		p->n_events++;
		if (events[i].type == REMOTE_AGAIN)
			directory_again(p->directory, MEMBER_NONE);
		else if (events[i].type == REMOTE_STORED)
			directory_held(p->directory, events[i].key.name, p->n_events);
		else
			directory_gone(p->directory, events[i].key.name, p->n_events);
	}
	peers_directory_stir(p);
}
