/* SPDX-License-Identifier: Apache-2.0 */
/* thread.c: setting up what the remote thread works with, and taking it down. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shmcache/remote/announce.h"
#include "shmcache/remote/flight.h"
#include "shmcache/remote/metrics.h"
#include "shmcache/remote/peers/peers.h"
#include "shmcache/remote/table.h"
#include "shmcache/remote/thread.h"

/*
 * What is set up before the thread runs, and taken down after it has ended, is so by the thread
 * that starts and stops it: loop, kinds and flights are of one thread at a time, which while the
 * remote thread waits may be a worker's (desk.h). The desk is opened last and closed first, so that
 * no ticket comes to where nobody looks.
 */
struct remote {
	struct remote_options options;
	struct config config; /* our own: the control thread writes the broker's at a reload */
	pthread_mutex_t reload_lock;
	struct config reloaded; /* under the lock: what that was then, */
	bool is_reloaded;	/* and whether it has yet to be taken over */
	struct remote_loop loop;
	struct flights *flights;
	struct flight_source peers;
	struct announcer announcer;
	pthread_t thread;

	/* Kinds answer in the remote thread alone; what others ask is what they said last. */
	struct timer looks;
	pthread_mutex_t health_lock;
	struct remote_health health[REMOTE_HOLDERS_MAX];
	unsigned n_health;
	bool is_shard;
};

#define HEALTH_MS 1000

/* Events cost the store something: they are listened to while the kind has a use for them. */
static void review_announcer(struct remote *remote)
{
	bool is_wanted = peers_want_events(remote->peers.self);

	if (!is_wanted)
		announcer_close(&remote->announcer);
	else if (!remote->announcer.is_open)
		(void)announcer_open(&remote->announcer, &remote->loop, remote->peers.kind,
			remote->peers.self);
}

static void show(const struct remote *remote)
{
	struct shared_u64 *gauge = remote->options.gauge;
	const struct flight_source *peers = &remote->peers;
	uint64_t n_up = 0;
	unsigned i;

	for (i = 0; i < remote->n_health; i++)
		n_up += remote->health[i].is_up;
	shared_u64_store(&gauge[ABI_GAUGE_PEERS], remote->n_health);
	shared_u64_store(&gauge[ABI_GAUGE_PEERS_UP], n_up);
	shared_u64_store(&gauge[ABI_GAUGE_PEERS_CAPACITY_BYTES], peers->kind->capacity(peers->self));
	shared_u64_store(&gauge[ABI_GAUGE_DIRECTORY_RECORDS], peers_n_records(peers->self));
}

static void take_reloaded(struct remote *remote)
{
	pthread_mutex_lock(&remote->reload_lock);
	if (remote->is_reloaded)
		peers_reload(remote->peers.self, &remote->reloaded);
	remote->is_reloaded = false;
	pthread_mutex_unlock(&remote->reload_lock);
}

void remote_reload(struct remote *remote, const struct config *config)
{
	if (!remote)
		return;
	pthread_mutex_lock(&remote->reload_lock);
	remote->reloaded = *config;
	remote->is_reloaded = true;
	pthread_mutex_unlock(&remote->reload_lock);
}

/* Not from the gauges: those stand while nobody is attached. */
static void tell_free(const struct remote *remote)
{
	struct store *s = remote->options.store;
	uint64_t n_free = 0;
	unsigned i;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < ABI_TIERS; i++)
		n_free += s->tier[i].size ? s->tier[i].size - tier_used(&s->tier[i]) : 0;
	pthread_mutex_unlock(&s->lock);
	peers_set_free(remote->peers.self, n_free);
}

static void look_at_health(struct timer *timer)
{
	struct remote *remote = timer->owner;

	take_reloaded(remote);
	tell_free(remote);
	review_announcer(remote);
	pthread_mutex_lock(&remote->health_lock);
	remote->n_health = flights_health(remote->flights, remote->health, REMOTE_HOLDERS_MAX);
	remote->is_shard = peers_want_events(remote->peers.self);
	pthread_mutex_unlock(&remote->health_lock);
	show(remote);
	remote_loop_at(&remote->loop, timer, remote->loop.now_ms + HEALTH_MS);
}

void remote_write_metrics(struct remote *remote, FILE *out)
{
	if (!remote)
		return;
	pthread_mutex_lock(&remote->health_lock);
	remote_metrics_write(out, remote->health, remote->n_health);
	pthread_mutex_unlock(&remote->health_lock);
}

unsigned remote_get_peers(struct remote *remote, struct wire_peer *lines, unsigned max)
{
	unsigned n;

	if (!remote)
		return 0;
	pthread_mutex_lock(&remote->health_lock);
	n = remote->n_health < max ? remote->n_health : max;
	remote_table_lines(lines, remote->health, n, store_now_ms());
	pthread_mutex_unlock(&remote->health_lock);
	return n;
}

void remote_write_status(struct remote *remote, FILE *out)
{
	struct wire_peer *lines = calloc(REMOTE_HOLDERS_MAX, sizeof(*lines));

	if (remote && lines)
		remote_table_write_json(out, lines, remote_get_peers(remote, lines, REMOTE_HOLDERS_MAX));
	free(lines);
}

bool remote_is_shard(struct remote *remote)
{
	bool is_shard;

	if (!remote)
		return false;
	pthread_mutex_lock(&remote->health_lock);
	is_shard = remote->is_shard;
	pthread_mutex_unlock(&remote->health_lock);
	return is_shard;
}

/*
 * By whoever has the turn of the desk: this thread, or while it waits the worker that has put a
 * ticket.
 */
static void tend_desk(void *owner)
{
	struct remote *remote = owner;

	remote_loop_visit(&remote->loop);
	flights_take(remote->flights, desk_take(remote->options.desk));
	remote_loop_visited(&remote->loop);
	desk_look_at_answers(remote->options.desk);
}

static void *thread_main(void *argument)
{
	struct remote *remote = argument;

	remote_loop_run(&remote->loop);
	return NULL;
}

static int open_peers(struct remote *remote, char *why, size_t why_size)
{
	struct flight_source *peers = &remote->peers;
	int r;

	r = peers_kind.open(&peers->self, &remote->loop, why, why_size);
	if (r)
		return r;
	peers->kind = &peers_kind;
	flights_add(remote->flights, peers);
	return peers_want_events(peers->self)
		? announcer_open(&remote->announcer, &remote->loop, peers->kind, peers->self)
		: 0;
}

/* What was set up, backwards; whatever of it there is. */
static void take_down(struct remote *remote)
{
	struct ticket *ticket = desk_close(remote->options.desk), *next;

	/* From here on we are alone. */
	remote->loop.tray = NULL;
	for (; ticket; ticket = next) {
		next = ticket->next;
		desk_answer_miss(ticket, ABI_FETCH_OFF);
	}
	announcer_close(&remote->announcer);
	remote_loop_not_at(&remote->loop, &remote->looks);
	if (remote->flights)
		flights_free(remote->flights);
	if (remote->peers.kind)
		remote->peers.kind->close(remote->peers.self);
	desk_look_at_answers(remote->options.desk);
	remote_loop_deinit(&remote->loop);
	pthread_mutex_destroy(&remote->health_lock);
	pthread_mutex_destroy(&remote->reload_lock);
	free(remote);
}

static int set_up(struct remote *remote, char *why, size_t why_size)
{
	const struct flights_options options = {.loop = &remote->loop, .answer = desk_answer};
	int r = flights_new(&remote->flights, &options);

	if (!r)
		r = open_peers(remote, why, why_size);
	remote->looks = (struct timer){.expired = look_at_health, .owner = remote};
	/* Who asks as soon as the broker answers is told of all members. */
	if (!r)
		look_at_health(&remote->looks);
	if (!r) {
		remote->loop.tray = &remote->options.desk->in;
		r = desk_open_tended(remote->options.desk, remote->loop.epoll, tend_desk, remote);
	}
	if (!r)
		r = -pthread_create(&remote->thread, NULL, thread_main, remote);
	if (!r)
		pthread_setname_np(remote->thread, "remote");
	return r;
}

int remote_start(
	struct remote **out, const struct remote_options *o, char *why, size_t why_size)
{
	struct remote *remote;
	int r;

	*out = NULL;
	if (!config_has_remote(o->config))
		return 0;
	why[0] = '\0';
	remote = calloc(1, sizeof(*remote));
	if (remote) {
		remote->options = *o;
		remote->config = *o->config;
		pthread_mutex_init(&remote->health_lock, NULL);
		pthread_mutex_init(&remote->reload_lock, NULL);
	}
	r = remote ? remote_loop_init(&remote->loop, o->store, o->worker, o->log, &remote->config)
		   : -ENOMEM;
	if (r) {
		free(remote);
	} else {
		r = set_up(remote, why, why_size);
		if (r)
			take_down(remote);
		else
			*out = remote;
	}
	if (r && !why[0])
		snprintf(why, why_size, "can't start the remote thread: %s", strerror(-r));
	return r;
}

void remote_stop(struct remote *remote)
{
	if (!remote)
		return;
	remote_loop_stop(&remote->loop);
	pthread_join(remote->thread, NULL);
	take_down(remote);
}

bool remote_is_stuck(const struct remote *remote, uint64_t ms)
{
	return remote && remote_loop_is_stuck(&remote->loop, ms);
}
