/* SPDX-License-Identifier: Apache-2.0 */
/* peers.c: other brokers as a kind: members, links to them, and what is fetched over those. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shmcache/remote/peers/peers-impl.h"

/*
 * This is glue, and has no opinion: which member may have a key is found out in peers-locate.c and
 * the directory, what a transfer is worth is the flight's business, how bytes travel the link's,
 * what is sent from here the service's. What is added is that things end: a transfer at its
 * deadline, a question when its peer is lost, all of it at the close.
 */
#define BODIES_MAX 16	      /* on their way to one guest */
#define BODY_WAIT_MAX 600000  /* ms, whatever a requester says */
#define GUESTS_PER_MEMBER 2   /* one that is lost may not be known to be, yet */

/* --- links ------------------------------------------------------------------------------------ */

static void peer_up(void *owner, uint64_t incarnation, uint64_t capacity)
{
	struct peer *peer = owner;
	struct peers *p = peer->peers;

	peer->is_up = true;
	peer->capacity = capacity;
	peers_note_state(peer, "");
	peer->counts.health.n_links++;
	log_info(p->loop->log, "peer-up", LOG_STR("peer", peer->name), LOG_U64("epoch", incarnation),
		LOG_U64("capacity", capacity), LOG_U64("times", peer->counts.health.n_links));
	/* It may be one who was no member when we asked all that were. */
	peers_heard(p, NULL);
	/* It may be another broker than before, or have been told that we were gone. */
	if (p->directory)
		directory_again(p->directory, peer->number);
}

static void peer_down(void *owner, bool was_up, const char *why)
{
	struct peer *peer = owner;
	struct peers *p = peer->peers;

	peer->is_up = false;
	peers_note_state(peer, why);
	if (was_up)
		log_warning(p->loop->log, "peer-down", LOG_STR("peer", peer->name),
			LOG_STR("why", why), LOG_U64("times", peer->counts.health.n_links));
	else
		log_debug(p->loop->log, "peer-not-reached", LOG_STR("peer", peer->name),
			LOG_STR("why", why));
	peers_ask_drop_all(peer);
	if (p->directory)
		directory_down(p->directory, peer->number);
}

/*
 * What is open is dropped with the link alone, late answers find it. One to nothing is a peer that
 * would have us keep what it never answers.
 */
static const char *no_such(const struct ask *ask)
{
	return ask ? NULL : "an answer to no question that is open";
}

static const char *peer_found(void *owner, uint64_t id, struct frame_cursor holders)
{
	struct peer *peer = owner;
	const char *wrong;
	struct ask *ask;

	if (id & ASK_OF_DIRECTORY) {
		peers_directory_found(peer, id & ~ASK_OF_DIRECTORY, holders);
		return NULL;
	}
	ask = peers_ask_take(peer, id);
	wrong = no_such(ask);
	if (ask && ask->locate)
		peers_locate_answered(peer, ask, &holders);
	else if (ask)
		peers_erase_answered(peer, ask, false);
	return wrong;
}

static const char *peer_erased(void *owner, uint64_t id, enum frame_status status)
{
	struct peer *peer = owner;
	struct ask *ask = peers_ask_take(peer, id);
	const char *wrong = no_such(ask);

	if (ask && ask->erase)
		peers_erase_answered(peer, ask, status == FRAME_OK || status == FRAME_MISS);
	else if (ask)
		peers_locate_answered(peer, ask, NULL);
	return wrong;
}

static const struct link_events link_events = {
	.up = peer_up,
	.down = peer_down,
	.found = peer_found,
	.erased = peer_erased,
};

/* --- members ---------------------------------------------------------------------------------- */

/* All but the free(). */
static void peer_end(struct peer *peer)
{
	struct peers *p = peer->peers;

	p->peer[peer->number] = NULL;
	remote_loop_not_soon(p->loop, &peer->kick);
	link_close(peer->link);
	peers_ask_drop_all(peer);
}

static void peer_close(struct peer *peer)
{
	peer_end(peer);
	free(peer);
}

/* A port alone is one of this host. */
static void write_address(char *address, size_t size, const char *endpoint)
{
	snprintf(address, size, strchr(endpoint, ':') ? "%s" : "127.0.0.1:%s", endpoint);
}

static int peer_open(struct peers *p, uint16_t number, const struct member *m)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	int r = -ENOMEM;

	if (peer) {
		peer->peers = p;
		peer->number = number;
		peer->asks_end = &peer->asks;
		peer->kick = (struct remote_later){.call = peers_fetch_kick, .owner = peer};
		peer->state.since_ms = store_now_ms();
		peer->counts.health.holder = number;
		memcpy(peer->name, m->name, sizeof(peer->name));
		snprintf(peer->counts.health.name, sizeof(peer->counts.health.name), "%.*s",
			(int)sizeof(peer->counts.health.name) - 1, m->name);
		write_address(peer->address, sizeof(peer->address), m->endpoint);
		r = link_open(&peer->link, p->net, peer->name, peer->address, &link_events, peer);
	}
	if (r)
		free(peer);
	else
		p->peer[number] = peer;
	return r;
}

static void member_open(struct peers *p, uint16_t number)
{
	const struct member *m = membership_get(p->members, number);
	int r = peer_open(p, number, m);

	if (r)
		log_error(p->loop->log, "peer-not-opened", LOG_STR("peer", m->name),
			LOG_ERRNO("error", r));
}

/* Those for whom there was no memory: until there is, they count as members that are away. */
static void open_missing(struct peers *p)
{
	unsigned n, i;
	const uint16_t *all = membership_all(p->members, &n);

	for (i = 0; i < n; i++)
		if (!p->peer[all[i]])
			(void)peer_open(p, all[i], membership_get(p->members, all[i]));
}

void peers_links_renew(struct peers *p)
{
	const struct config_remote *c = &p->loop->config->remote;
	struct peer *was[REMOTE_HOLDERS_MAX];
	unsigned i;

	for (i = 0; i < REMOTE_HOLDERS_MAX; i++) {
		was[i] = p->peer[i];
		if (!was[i])
			continue;
		peer_end(was[i]);
		if (p->directory)
			directory_down(p->directory, (uint16_t)i);
	}
	link_net_set(p->net, c->lanes, c->window_size, c->data_tls);
	for (i = 0; i < REMOTE_HOLDERS_MAX; i++) {
		if (was[i])
			member_open(p, (uint16_t)i);
		if (was[i] && p->peer[i])
			p->peer[i]->counts = was[i]->counts;
		free(was[i]);
	}
}

static void tell_member(struct peers *p, enum membership_event event, const struct member *m)
{
	static const char *const events[] = {[MEMBERSHIP_JOINED] = "member-joined",
		[MEMBERSHIP_LEFT] = "member-left", [MEMBERSHIP_MOVED] = "member-moved"};

	if (m)
		log_info(p->loop->log, events[event], LOG_STR("member", m->name),
			LOG_STR("endpoint", m->endpoint));
}

static void member_changed(void *context, struct membership *m, enum membership_event event,
	uint16_t number)
{
	struct peers *p = context;

	if (event != MEMBERSHIP_DONE)
		tell_member(p, event, membership_get(m, number));
	if (event != MEMBERSHIP_DONE && number < REMOTE_HOLDERS_MAX) {
		if (p->peer[number])
			peer_close(p->peer[number]);
		if (event != MEMBERSHIP_LEFT)
			member_open(p, number);
	}
	if (p->directory)
		directory_changed(p->directory, event, number);
	if (event == MEMBERSHIP_DONE)
		link_net_review(p->net);
}

/* --- the kind --------------------------------------------------------------------------------- */

/* The directory knows no counters of ours. */
static void count_directory(struct peers *p)
{
	struct abi_worker *w = p->loop->worker;
	struct directory_stats now, *seen = &p->counted;

	directory_stats(p->directory, &now);
	store_count(w, ABI_COUNTER_ANNOUNCED, now.n_announced - seen->n_announced);
	store_count(w, ABI_COUNTER_ANNOUNCED_AGAIN, now.n_again - seen->n_again);
	store_count(w, ABI_COUNTER_HEARD, now.n_heard - seen->n_heard);
	*seen = now;
}

static void tick(struct timer *timer)
{
	struct peers *p = timer->owner;
	uint64_t now_ms = store_now_ms();

	open_missing(p);
	if (p->directory)
		count_directory(p);
	link_net_tick(p->net, now_ms);
	service_tick(p->service, now_ms);
	peers_directory_stir(p);
	remote_loop_at(p->loop, timer, now_ms + LINK_TICK_MS);
}

static uint64_t own_capacity(const struct store *s)
{
	return s->tier[ABI_TIER_DRAM].size + s->tier[ABI_TIER_CXL].size;
}

static uint64_t new_incarnation(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int open_net(struct peers *p, char *why, size_t why_size)
{
	const struct config_remote *c = &p->loop->config->remote;
	const struct link_settings settings = {
		.cluster = p->cluster,
		.name = p->name,
		.incarnation = new_incarnation(),
		.capacity = own_capacity(p->loop->store),
		.security = c->security == CONFIG_SECURITY_NONE ? LINK_NONE : LINK_TLS,
		.data_tls = c->data_tls,
		.insecure_network = c->insecure_network,
		.ca = c->ca,
		.certificate = c->certificate,
		.key = c->key,
		.congestion = c->congestion[0] ? c->congestion : NULL,
		.n_lanes = c->lanes,
		.window = c->window_size,
		.n_guests_max = GUESTS_PER_MEMBER * REMOTE_HOLDERS_MAX,
	};
	char sentence[LINK_WHY_SIZE] = "", listen[CONFIG_PATH_MAX + 16];
	int r;

	r = link_net_new(&p->net, &settings, &peers_guest_events, p, p->loop->epoll, p->loop->log,
		sentence);
	/*
	 * Who connects before the first tick is not to be taken for one who has waited since 1970.
	 */
	if (!r)
		link_net_tick(p->net, store_now_ms());
	if (!r && c->listen[0]) {
		write_address(listen, sizeof(listen), c->listen);
		r = link_net_listen(p->net, listen, sentence);
	}
	if (r)
		snprintf(why, why_size, "[remote]: %s", sentence[0] ? sentence : strerror(-r));
	return r;
}

static void lent(void *context, const void *key, uint16_t key_size)
{
	const XXH128_hash_t name = XXH3_128bits(key, key_size);

	peers_heard(context, &name);
}

static void peers_close(void *self)
{
	struct peers *p = self;
	unsigned i;

	p->is_closing = true;
	peers_etcd_close(p);
	peers_locate_close(p);
	remote_loop_not_soon(p->loop, &p->ask_lost);
	peers_directory_ask_lost(&p->ask_lost);
	peers_erase_close(p);
	for (i = 0; i < REMOTE_HOLDERS_MAX; i++)
		if (p->peer[i])
			peer_close(p->peer[i]);
	remote_loop_not_at(p->loop, &p->tick);
	remote_loop_not_at(p->loop, &p->directory_tick);
	link_net_free(p->net);
	service_free(p->service);
	if (p->directory)
		directory_free(p->directory);
	membership_free(p->members);
	peers_settings_close(p);
	free(p);
}

static int peers_open(void **self, struct remote_loop *loop, char *why, size_t why_size)
{
	const struct config_remote *c = &loop->config->remote;
	struct peers *p = calloc(1, sizeof(*p));
	const struct service_options service = {
		loop->store, loop->worker, BODIES_MAX, BODY_WAIT_MAX, c->deliver_percent, lent, p};
	int r = -ENOMEM;

	why[0] = '\0';
	if (!p)
		goto fail;
	p->loop = loop;
	p->tick.expired = tick;
	p->tick.owner = p;
	p->ask_lost = (struct remote_later){.call = peers_directory_ask_lost, .owner = p};
	p->etcd_watch.fd = -1;
	snprintf(p->cluster, sizeof(p->cluster), "%s", c->cluster);
	snprintf(p->name, sizeof(p->name), "%s", c->name);
	p->self = member_hash(p->name);
	r = membership_new(&p->members, p->name, member_changed, p);
	if (!r)
		r = peers_settings_open(p);
	if (!r)
		r = service_new(&p->service, &service);
	if (!r)
		r = open_net(p, why, why_size);
	if (!r)
		r = peers_directory_review(p);
	if (r)
		goto fail;
	/* The list was checked as it was read. */
	membership_set_list(p->members, c->members);
	if (c->etcd[0])
		r = peers_etcd_open(p, new_incarnation(), why, why_size);
	if (r)
		goto fail;
	remote_loop_at(loop, &p->tick, store_now_ms() + LINK_TICK_MS);
	*self = p;
	return 0;
fail:
	if (!why[0])
		snprintf(why, why_size, "[remote]: %s", strerror(-r));
	if (p)
		peers_close(p);
	return r;
}

bool peers_want_events(const void *self)
{
	const struct peers *p = self;

	return p->directory != NULL;
}

uint64_t peers_n_records(const void *self)
{
	const struct peers *p = self;

	/* As of the last tick. */
	return p->counted.n_records;
}

static uint64_t peers_capacity(void *self)
{
	struct peers *p = self;
	uint64_t capacity = 0;
	unsigned i;

	for (i = 0; i < REMOTE_HOLDERS_MAX; i++)
		if (p->peer[i] && p->peer[i]->is_up)
			capacity += p->peer[i]->capacity;
	return capacity;
}

static void peers_set_ear(void *self, struct remote_ear *ear)
{
	struct peers *p = self;

	p->ear = ear;
}

void peers_set_free(void *self, uint64_t bytes)
{
	struct peers *p = self;

	link_net_set_free(p->net, bytes);
}

const struct remote_kind peers_kind = {
	.name = "peers",
	.open = peers_open,
	.close = peers_close,
	.locate = peers_locate,
	.fetch = peers_fetch,
	.cancel = peers_cancel,
	.announce = peers_announce,
	.erase = peers_erase,
	.capacity = peers_capacity,
	.health = peers_health,
	.set_ear = peers_set_ear,
};
