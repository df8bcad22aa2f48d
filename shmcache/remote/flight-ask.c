/* SPDX-License-Identifier: Apache-2.0 */
/* flight-ask.c: who has it, and who of them is asked for it. */
#include <stdlib.h>
#include <string.h>

#include "shmcache/remote/flight-impl.h"

/*
 * Flights that begin in one turn of the loop, with about as much time, are located together, since
 * they are often a batch: a kind can ask each shard once for all. Holders are then asked one after
 * another. A holder that does not answer must not use up all the time that others would have had:
 * while there are others, one that sends nothing for as long as his share of what was left when he
 * was asked is called off. How a flight that failed at every holder is answered says most of what it
 * knows: that nobody has it only where all have said so.
 */
#define LOCATE_MAX 256

/* A question to a kind. Flights that end meanwhile are struck out. */
struct locating {
	struct remote_locate locate;
	struct flights *all;
	unsigned n_open;
	uint64_t shortest_ms, longest_ms; /* what is left to them, as it begins */
	struct flight *flight[LOCATE_MAX];
	struct remote_key key[LOCATE_MAX];
	uint8_t *bytes; /* of the keys: a flight may end before the answer comes */
};

/* --- locating --------------------------------------------------------------------------------- */

static const struct flight_source *source_of(const struct flight *f)
{
	return &f->all->source[f->source];
}

void flight_locate(struct flight *f)
{
	struct flights *all = f->all;

	if (f->source == all->n_sources) {
		if (f->is_all_missed)
			flight_note_absent(f);
		flight_miss(f, f->is_all_missed ? ABI_FETCH_NOBODY : f->why);
		return;
	}
	f->state = FLIGHT_LOCATING;
	f->n_holders = f->n_tried = 0;
	flight_queue_put(&all->to_locate, f);
	remote_loop_soon(all->loop, &all->locate);
}

/* What the flight is to be answered with, if nothing better comes: what says most, stays. */
static void note_failure(struct flight *f, enum abi_fetch_miss why)
{
	f->is_all_missed = false;
	if (f->why == ABI_FETCH_NONE || f->why == ABI_FETCH_UNREACHABLE || why == ABI_FETCH_CORRUPT)
		f->why = why;
}

static void next_source(struct flight *f)
{
	f->source++;
	f->is_asked_again = false;
	flight_locate(f);
}

static uint64_t time_left(const struct flight *f)
{
	uint64_t now_ms = f->all->loop->now_ms;

	return f->end_ms > now_ms ? f->end_ms - now_ms : 0;
}

/*
 * The question was one in a hurry's, and somebody with much more time has joined. Once: others may
 * join for ever.
 */
static bool is_worth_another(const struct flight *f)
{
	return !f->is_asked_again && time_left(f) / 2 > f->asked_ms;
}

static void located(struct remote_locate *locate, unsigned i, const uint16_t *holders,
	unsigned n, bool is_complete)
{
	struct locating *l = (struct locating *)((char *)locate - offsetof(struct locating, locate));
	struct flight *f = i < LOCATE_MAX ? l->flight[i] : NULL;
	struct flights *all = l->all;
	unsigned k;

	if (f) {
		l->flight[i] = NULL;
		f->locating = NULL;
	}
	if (!--l->n_open) {
		free(l->bytes);
		free(l);
	}
	if (!f)
		return;
	if (!n && !is_complete && is_worth_another(f)) {
		f->is_asked_again = true;
		flight_locate(f);
		return;
	}
	if (!is_complete)
		note_failure(f, ABI_FETCH_UNREACHABLE);
	for (k = 0; k < n && f->n_holders < REMOTE_TRIED_MAX; k++)
		if (holders[k] < REMOTE_HOLDERS_MAX)
			f->holder[f->n_holders++] = holders[k];
	if (!f->n_holders) {
		next_source(f);
		return;
	}
	f->state = FLIGHT_QUEUED;
	flight_queue_put(&all->queued, f);
	remote_loop_soon(all->loop, &all->start);
}

void flight_forget_locating(struct flight *f)
{
	struct locating *l = f->locating;

	f->locating = NULL;
	for (unsigned i = 0; l && i < l->locate.n; i++)
		if (l->flight[i] == f)
			l->flight[i] = NULL;
}

/* Half of the time that the first of them has: the rest is for the value. */
static uint64_t locate_deadline(const struct flights *all, const struct locating *l)
{
	return all->loop->now_ms + (l->shortest_ms + 1) / 2;
}

/*
 * Whether it may be of this question, too: who has very little time would cut it short for who has
 * more. As all have between one and two times the same, each has at least a quarter of his own.
 */
static bool fits(struct locating *l, const struct flight *f)
{
	uint64_t left_ms = time_left(f);
	uint64_t shortest_ms = left_ms < l->shortest_ms ? left_ms : l->shortest_ms;
	uint64_t longest_ms = left_ms > l->longest_ms ? left_ms : l->longest_ms;

	if (longest_ms / 2 > shortest_ms)
		return false;
	l->shortest_ms = shortest_ms;
	l->longest_ms = longest_ms;
	return true;
}

/* The first that waits, and those behind it that may be asked for with it. */
static struct locating *gather(struct flights *all)
{
	struct locating *l = calloc(1, sizeof(*l));
	struct flight *first = all->to_locate.first, *f, *next;
	size_t size = 0;
	uint8_t *to;

	if (!l)
		return NULL;
	l->all = all;
	l->shortest_ms = l->longest_ms = time_left(first);
	for (f = first; f && l->locate.n < LOCATE_MAX; f = next) {
		next = f->queue_next;
		if (f->source != first->source || !fits(l, f))
			continue;
		l->flight[l->locate.n++] = f;
		size += f->key.size;
	}
	l->bytes = to = malloc(size);
	for (unsigned i = 0; to && i < l->locate.n; i++) {
		f = l->flight[i];
		memcpy(to, f->key.data, f->key.size);
		l->key[i] = (struct remote_key){to, f->key.size, f->key.name};
		to += f->key.size;
		f->locating = l;
		f->asked_ms = time_left(f);
		flight_queue_take(&all->to_locate, f);
	}
	if (l->bytes)
		return l;
	free(l);
	return NULL;
}

void flights_locate(struct remote_later *later)
{
	struct flights *all = later->owner;
	struct locating *l;
	struct flight *f;

	while ((f = all->to_locate.first)) {
		l = gather(all);
		if (!l) {
			flight_miss(f, ABI_FETCH_BUSY);
			continue;
		}
		l->n_open = l->locate.n;
		l->locate.keys = l->key;
		l->locate.done = located;
		l->locate.deadline_ms = locate_deadline(all, l);
		flights_count(all, ABI_COUNTER_LOCATES, l->locate.n);
		source_of(f)->kind->locate(source_of(f)->self, &l->locate);
	}
}

/* --- fetching --------------------------------------------------------------------------------- */

static void fetch_next(struct flight *f);

static struct breaker *breaker_of(struct flight *f)
{
	return &f->all->breaker[f->source][f->holder[f->n_tried - 1]];
}

static void set_patience(struct flight *f)
{
	f->seen_bytes = f->fetch.n_bytes;
	remote_loop_at(f->all->loop, &f->patience, f->all->loop->now_ms + f->patience_ms);
}

/* With nobody else to be asked there is all the time that there is. */
static void begin_patience(struct flight *f)
{
	uint64_t now_ms = f->all->loop->now_ms;
	unsigned i, n = 0;

	for (i = f->n_tried; i < f->n_holders; i++)
		n += breaker_is_passable(&f->all->breaker[f->source][f->holder[i]], now_ms);
	f->patience_ms = time_left(f) / (n + 1) + 1;
	if (n)
		set_patience(f);
}

/* Nothing for a while, and there is somebody else: but bytes that come are worth waiting for. */
static void patience_expired(struct timer *timer)
{
	struct flight *f = timer->owner;

	if (f->fetch.n_bytes > f->seen_bytes)
		set_patience(f);
	else
		flight_stop(f, FLIGHT_STOP_SLOW);
}

void flight_stop(struct flight *f, enum flight_stop why)
{
	const struct flight_source *source = source_of(f);

	if (f->stop)
		return;
	f->stop = why;
	source->kind->cancel(source->self, &f->fetch);
}

static enum abi_fetch_miss miss_of(enum remote_result result)
{
	switch (result) {
	case REMOTE_UNREACHABLE:
	case REMOTE_REFUSED:
		return ABI_FETCH_UNREACHABLE;
	case REMOTE_TIMEOUT:
		return ABI_FETCH_TIMEOUT;
	case REMOTE_CORRUPT:
		return ABI_FETCH_CORRUPT;
	case REMOTE_NOSPACE:
		return ABI_FETCH_BUSY;
	default:
		return ABI_FETCH_CANCELLED;
	}
}

static void tell_breaker(struct flight *f, enum remote_result result)
{
	bool is_off = result == REMOTE_CANCELLED && f->stop != FLIGHT_STOP_SLOW;
	struct breaker *b = breaker_of(f);
	uint64_t now_ms = f->all->loop->now_ms;

	/* It has answered, too, where we did not want what it had. */
	if (result == REMOTE_OK || result == REMOTE_MISS || f->stop == FLIGHT_STOP_ROOM ||
		f->stop == FLIGHT_STOP_NOSPACE || f->stop == FLIGHT_STOP_OVERTAKEN)
		breaker_succeed(b);
	else if (result == REMOTE_NOSPACE || is_off)
		breaker_forget(b, now_ms, f->look);
	else if (breaker_fail(b, now_ms, f->look))
		flights_count(f->all, ABI_COUNTER_BREAKERS_OPENED, 1);
}

/* It was called off: by whom, says what follows. */
static void stopped(struct flight *f)
{
	enum flight_stop why = f->stop;

	f->stop = FLIGHT_STOP_NOT;
	switch (why) {
	case FLIGHT_STOP_ROOM:
		f->n_tried--;
		f->state = FLIGHT_QUEUED;
		flight_queue_put(&f->all->queued, f);
		remote_loop_soon(f->all->loop, &f->all->start);
		break;
	case FLIGHT_STOP_NOSPACE:
		flight_miss(f, ABI_FETCH_NOSPACE);
		break;
	case FLIGHT_STOP_OVERTAKEN:
		flight_overtaken(f);
		break;
	case FLIGHT_STOP_SLOW:
		note_failure(f, ABI_FETCH_TIMEOUT);
		fetch_next(f);
		break;
	default: /* the kind is going away */
		note_failure(f, ABI_FETCH_UNREACHABLE);
		fetch_next(f);
	}
}

static void fetched(struct remote_fetch *fetch, enum remote_result result)
{
	struct flight *f = (struct flight *)((char *)fetch - offsetof(struct flight, fetch));
	struct flights *all = f->all;

	f->is_out = false;
	all->n_fetching--;
	remote_loop_not_at(all->loop, &f->patience);
	tell_breaker(f, result);
	if (all->queued.first)
		remote_loop_soon(all->loop, &all->start);
	if (result == REMOTE_OK && !f->is_landed)
		result = REMOTE_CORRUPT;
	if (result == REMOTE_OK && f->hash_link) {
		flight_arrive(f);
		return;
	}
	flight_unland(f);
	if (result != REMOTE_OK && result != REMOTE_MISS && result != REMOTE_CANCELLED)
		flights_count(all, ABI_COUNTER_TRANSFERS_FAILED, 1);
	if (f->is_over || !f->waiters) {
		flight_end(f);
	} else if (!f->hash_link) {
		/* By now there may be another flight of the key: this one asks nobody else. */
		flight_overtaken(f);
	} else if (result == REMOTE_CANCELLED) {
		stopped(f);
	} else {
		if (result != REMOTE_MISS)
			note_failure(f, miss_of(result));
		fetch_next(f);
	}
}

static void fetch_from(struct flight *f, unsigned holder)
{
	struct flights *all = f->all;
	uint64_t now_ms = all->loop->now_ms;
	uint64_t timeout_ms = all->loop->config->remote.timeout_ns / 1000000;

	f->state = FLIGHT_FETCHING;
	f->is_out = true;
	f->stop = FLIGHT_STOP_NOT;
	f->patience.expired = patience_expired;
	f->patience.owner = f;
	f->fetch = (struct remote_fetch){
		.key = f->key,
		/* Who joins later has more time than who is there now. */
		.deadline_ms = f->end_ms > now_ms + timeout_ms ? f->end_ms : now_ms + timeout_ms,
		.land = flight_land,
		.done = fetched,
	};
	all->n_fetching++;
	begin_patience(f);
	flights_count(all, ABI_COUNTER_TRANSFERS, 1);
	source_of(f)->kind->fetch(source_of(f)->self, holder, &f->fetch);
}

/* From the next holder that is worth asking; or the next source. */
static void fetch_next(struct flight *f)
{
	struct flights *all = f->all;

	while (f->n_tried < f->n_holders) {
		unsigned holder = f->holder[f->n_tried++];

		if (breaker_ask(&all->breaker[f->source][holder], all->loop->now_ms, &f->look)) {
			fetch_from(f, holder);
			return;
		}
		note_failure(f, ABI_FETCH_UNREACHABLE);
	}
	next_source(f);
}

/*
 * Room for one more of the usual size. What is held for its batch takes room, too, and its batch
 * may be waiting for just that room: then one batch is told that it is not kept.
 */
static bool has_room(struct flights *all, const struct flight *f)
{
	uint64_t size = f->wanted_size ? f->wanted_size : all->usual_size;

	if (!all->n_bytes || all->n_bytes + size <= all->n_bytes_max)
		return true;
	/* Behind what follows from that, there may be. */
	if (!all->n_fetching && batches_give_up_one(&all->batches))
		remote_loop_soon(all->loop, &all->start);
	return false;
}

void flights_start(struct remote_later *later)
{
	struct flights *all = later->owner;
	struct flight *f;

	while ((f = all->queued.first) && all->n_fetching < all->loop->config->remote.fetches &&
		has_room(all, f)) {
		flight_queue_take(&all->queued, f);
		fetch_next(f);
	}
}
