/* SPDX-License-Identifier: Apache-2.0 */
/* flight.c: the life of a flight: who joins, who leaves, and when it is over. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shmcache/remote/flight-impl.h"

/*
 * The three rules here are kept by three places alone. A ticket is answered once, since
 * waiter_answer() is the only one that answers, and frees the waiter with it. There is one transfer
 * of a key, since who asks for it finds the flight in the table until that has begun to tell its
 * waiters or was overtaken, and one that is not in the table asks nobody any more. And a flight is
 * freed once, in flight_end(), when neither a kind nor a question has it.
 *
 * Callbacks of kinds come whenever they like, also inside the call that asks. What they set off is
 * therefore put off to the loop where it could come back here: settling, starting, locating.
 */

/* --- answers ---------------------------------------------------------------------------------- */

void waiter_answer(struct flights *all, struct waiter *w, enum abi_status status, uint64_t result0,
	uint64_t result1)
{
	struct ticket *ticket = w->ticket;

	remote_loop_not_at(all->loop, &w->deadline);
	if (w->link) {
		*w->link = w->next;
		if (w->next)
			w->next->link = w->link;
		else
			w->flight->waiters_end = w->link;
	}
	free(w);
	ticket->status = status;
	ticket->result[0] = result0;
	ticket->result[1] = result1;
	all->options.answer(ticket);
}

void waiter_miss(struct flights *all, struct waiter *w, enum abi_fetch_miss why)
{
	batch_missed(&w->seat);
	waiter_answer(all, w, ABI_STATUS_MISS, why, 0);
}

void waiter_found(struct flights *all, struct waiter *w)
{
	batch_found_elsewhere(&w->seat);
	waiter_answer(all, w, ABI_STATUS_OK, 0, 0);
}

/* --- flights ---------------------------------------------------------------------------------- */

void flight_queue_put(struct flight_queue *queue, struct flight *f)
{
	f->queue_next = NULL;
	f->queue_link = queue->end;
	*queue->end = f;
	queue->end = &f->queue_next;
}

void flight_queue_take(struct flight_queue *queue, struct flight *f)
{
	if (!f->queue_link)
		return;
	*f->queue_link = f->queue_next;
	if (f->queue_next)
		f->queue_next->queue_link = f->queue_link;
	else
		queue->end = f->queue_link;
	f->queue_link = NULL;
}

void flight_hide(struct flight *f)
{
	if (!f->hash_link)
		return;
	*f->hash_link = f->hash_next;
	if (f->hash_next)
		f->hash_next->hash_link = f->hash_link;
	f->hash_link = NULL;
}

void flight_end(struct flight *f)
{
	struct flights *all = f->all;

	flight_hide(f);
	flight_queue_take(f->state == FLIGHT_LOCATING ? &all->to_locate : &all->queued, f);
	remote_loop_not_soon(all->loop, &f->settle);
	f->is_over = true;
	if (f->is_out) {
		flight_stop(f, FLIGHT_STOP_UNWANTED);
		return;
	}
	flight_forget_locating(f);
	remote_loop_not_at(all->loop, &f->patience);
	flight_unland(f);
	store_fill_end(all->store, &f->fill);
	*f->link = f->next;
	if (f->next)
		f->next->link = f->link;
	shares_give(&all->shares, f->share);
	free(f);
	/* There may be room now for one that waits for it. */
	if (all->queued.first)
		remote_loop_soon(all->loop, &all->start);
}

void flight_miss(struct flight *f, enum abi_fetch_miss why)
{
	flight_hide(f);
	while (f->waiters)
		waiter_miss(f->all, f->waiters, why);
	flight_end(f);
}

/* Somebody left it. */
static void flight_left(struct flight *f)
{
	if (f->waiters || f->is_over)
		return;
	if (f->state == FLIGHT_FETCHING && f->is_landed && flight_is_wanted(f) && !f->stop)
		return;
	if (f->state != FLIGHT_HELD)
		flight_end(f);
	else
		remote_loop_soon(f->all->loop, &f->settle);
}

/* Late for this one; of a value that is here and waits for its batch he gets what there is. */
static void deadline_expired(struct timer *timer)
{
	struct waiter *w = timer->owner;
	struct flight *f = w->flight;

	if (f->state == FLIGHT_HELD) {
		for (w = f->waiters; w; w = w->next)
			batch_missed(&w->seat);
		remote_loop_soon(f->all->loop, &f->settle);
		return;
	}
	waiter_miss(f->all, w, ABI_FETCH_TIMEOUT);
	flight_left(f);
}

static struct flight *flight_find(struct flights *all, const struct remote_key *key)
{
	struct flight *f = *flight_bucket(all, key->name);

	while (f && (f->key.size != key->size || memcmp(f->key.data, key->data, key->size)))
		f = f->hash_next;
	return f;
}

static struct flight *flight_new(
	struct flights *all, const struct remote_key *key, uint64_t session)
{
	struct flight **bucket = flight_bucket(all, key->name), *f = calloc(1, sizeof(*f));
	struct index_key k;

	if (!f)
		return NULL;
	f->share = shares_take(&all->shares, session);
	if (!f->share) {
		free(f);
		return NULL;
	}
	k = index_key(&all->store->index, key->data, key->size);
	/* From here on a put or a delete of the key is older than what comes. */
	store_fill_begin(all->store, &f->fill, &k);
	f->all = all;
	f->key = (struct remote_key){f->fill.key, key->size, key->name};
	f->waiters_end = &f->waiters;
	f->is_all_missed = true;
	f->settle = (struct remote_later){.call = flight_settle, .owner = f};
	f->hash_next = *bucket;
	f->hash_link = bucket;
	if (*bucket)
		(*bucket)->hash_link = &f->hash_next;
	*bucket = f;
	f->next = all->all;
	f->link = &all->all;
	if (f->next)
		f->next->link = &f->next;
	all->all = f;
	return f;
}

/* --- tickets ---------------------------------------------------------------------------------- */

static void seat_judged(struct batch_seat *seat, bool keep)
{
	struct waiter *w = (struct waiter *)((char *)seat - offsetof(struct waiter, seat));

	w->verdict = keep ? VERDICT_KEEP : VERDICT_DECLINE;
	if (!w->flight)
		return;
	w->flight->keeps_on |= keep;
	if (w->flight->state == FLIGHT_HELD)
		remote_loop_soon(w->flight->all->loop, &w->flight->settle);
}

static enum abi_write_back policy_of(const struct flights *all, const struct ticket *t)
{
	return t->write_back ? (enum abi_write_back)(t->write_back - 1)
			     : (enum abi_write_back)all->loop->config->remote.write_back;
}

/* What a client says may be anything; nobody waits for a day. */
#define DEADLINE_MAX_MS (24 * 3600 * 1000)

static void set_deadline(const struct flights *all, struct ticket *t)
{
	uint64_t now_ms = all->loop->now_ms;

	if (!t->deadline_ms)
		t->deadline_ms = now_ms + all->loop->config->remote.timeout_ns / 1000000;
	if (t->deadline_ms > now_ms + DEADLINE_MAX_MS)
		t->deadline_ms = now_ms + DEADLINE_MAX_MS;
}

static struct waiter *waiter_new(struct flights *all, struct ticket *t, XXH128_hash_t name)
{
	enum abi_write_back policy = policy_of(all, t);
	struct waiter *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	set_deadline(all, t);
	w->ticket = t;
	w->deadline.expired = deadline_expired;
	w->deadline.owner = w;
	w->seat.judged = seat_judged;
	w->seat.rule = policy == ABI_WRITE_BACK_ALL_FOUND ? BATCH_ALL : BATCH_PREFIX;
	w->verdict = writeback_judge(
		&all->writeback, policy, name, t->batch != 0, all->loop->now_ms);
	if (w->verdict == VERDICT_PENDING)
		batch_join(&all->batches, &w->seat,
			(struct batch_name){t->lane_id, t->batch, t->session}, t->n_batch,
			t->position, t->deadline_ms);
	return w;
}

static void join(struct flight *f, struct waiter *w)
{
	w->flight = f;
	w->link = f->waiters_end;
	*f->waiters_end = w;
	f->waiters_end = &w->next;
	if (w->ticket->deadline_ms > f->end_ms)
		f->end_ms = w->ticket->deadline_ms;
	f->keeps_on |= w->verdict == VERDICT_KEEP;
	remote_loop_at(f->all->loop, &w->deadline, w->ticket->deadline_ms);
	if (f->state != FLIGHT_HELD)
		return;
	batch_found(&w->seat);
	remote_loop_soon(f->all->loop, &f->settle);
}

bool flights_have(struct flights *all, const struct remote_key *key)
{
	struct index_key k = index_key(&all->store->index, key->data, key->size);

	return store_exists(all->store, &k);
}

/* Answer it without a flight, if that can be done. */
static bool answer_at_once(struct flights *all, struct waiter *w, const struct remote_key *key)
{
	if (flights_have(all, key)) {
		waiter_found(all, w);
	} else if (!all->n_sources || all->is_closing) {
		waiter_miss(all, w, ABI_FETCH_OFF);
	} else if (w->ticket->is_prefetch && w->verdict == VERDICT_DECLINE) {
		waiter_miss(all, w, ABI_FETCH_DECLINED);
	} else if (flights_know_absent(all, &key->name)) {
		flights_count(all, ABI_COUNTER_FETCHES_ABSENT, 1);
		waiter_miss(all, w, ABI_FETCH_NOBODY);
	} else if (w->ticket->deadline_ms <= all->loop->now_ms) {
		waiter_miss(all, w, ABI_FETCH_TIMEOUT);
	} else {
		return false;
	}
	return true;
}

/*
 * The flight that can be joined. One whose key was changed here since it began is none: what it
 * brings is older than this request, and nobody gets it. It is over for who waits for it, too.
 */
static struct flight *find_to_join(struct flights *all, const struct remote_key *key)
{
	struct flight *f = flight_find(all, key);

	if (!f || !store_fill_is_overtaken(all->store, &f->fill))
		return f;
	flight_hide(f);
	if (f->is_out)
		flight_stop(f, FLIGHT_STOP_UNWANTED);
	else
		flight_overtaken(f);
	return NULL;
}

static void take_fetch(struct flights *all, struct ticket *t)
{
	struct remote_key key = remote_key(t->key, t->key_size);
	struct waiter *w = waiter_new(all, t, key.name);
	struct flight *f;

	flights_count(all, ABI_COUNTER_FETCHES, 1);
	if (!w) {
		t->status = ABI_STATUS_MISS;
		t->result[0] = ABI_FETCH_BUSY;
		all->options.answer(t);
		return;
	}
	if (answer_at_once(all, w, &key))
		return;
	f = find_to_join(all, &key);
	if (f) {
		flights_count(all, ABI_COUNTER_FETCHES_JOINED, 1);
		join(f, w);
		return;
	}
	f = flight_new(all, &key, t->session);
	if (!f) {
		waiter_miss(all, w, ABI_FETCH_BUSY);
		return;
	}
	join(f, w);
	flight_locate(f);
}

/* A session left: of no use are its tickets, but what is on its way may be. */
static void take_left(struct flights *all, struct ticket *t)
{
	struct flight *f, *f_next;
	struct waiter *w, *w_next;

	for (f = all->all; f; f = f_next) {
		f_next = f->next;
		for (w = f->waiters; w; w = w_next) {
			w_next = w->next;
			if (w->ticket->session == t->session)
				waiter_miss(all, w, ABI_FETCH_CANCELLED);
		}
		flight_left(f);
	}
	batches_leave(&all->batches, t->session);
	t->status = ABI_STATUS_OK;
	all->options.answer(t);
}

/* --- deletes ---------------------------------------------------------------------------------- */

struct erasing {
	void (*answer)(struct ticket *ticket); /* kinds may outlive the flights */
	struct abi_worker *worker;
	struct ticket *ticket;
	unsigned n_open;
};

static void erased(void *context, unsigned n_told, unsigned n_failed)
{
	struct erasing *e = context;

	e->ticket->result[0] += n_told;
	e->ticket->result[1] += n_failed;
	store_count(e->worker, ABI_COUNTER_ERASES_TOLD, n_told);
	store_count(e->worker, ABI_COUNTER_ERASES_UNTOLD, n_failed);
	if (--e->n_open)
		return;
	e->answer(e->ticket);
	free(e);
}

/* The worker has deleted it here, and says so in the status. */
static void take_erase(struct flights *all, struct ticket *t)
{
	struct remote_key key = remote_key(t->key, t->key_size);
	struct erasing *e = malloc(sizeof(*e));
	unsigned i;

	if (!e) {
		t->result[1] = 1;
		all->options.answer(t);
		return;
	}
	set_deadline(all, t);
	*e = (struct erasing){all->options.answer, all->worker, t, 1};
	t->result[0] = t->result[1] = 0;
	for (i = 0; i < all->n_sources; i++) {
		if (!all->source[i].kind->erase)
			continue;
		e->n_open++;
		all->source[i].kind->erase(all->source[i].self, &key, t->deadline_ms, erased, e);
	}
	erased(e, 0, 0);
}

void flights_take(struct flights *all, struct ticket *tickets)
{
	struct ticket *next;

	for (; tickets; tickets = next) {
		next = tickets->next;
		switch (tickets->kind) {
		case TICKET_FETCH:
			take_fetch(all, tickets);
			break;
		case TICKET_ERASE:
			take_erase(all, tickets);
			break;
		default:
			take_left(all, tickets);
		}
	}
}

/* --- all of them ------------------------------------------------------------------------------ */

#define ABSENT_MAX 65536

/* A share of all tiers, and never less than one value can need. */
static uint64_t bytes_max(const struct flights_options *o)
{
	uint64_t size = 0;

	for (unsigned i = 0; i < ABI_TIERS; i++)
		size += o->loop->store->tier[i].size;
	return size / 100 * o->loop->config->remote.deliver_percent;
}

int flights_new(struct flights **out, const struct flights_options *options)
{
	struct flights *all = calloc(1, sizeof(*all));

	if (!all)
		return -ENOMEM;
	all->options = *options;
	all->loop = options->loop;
	all->store = options->loop->store;
	all->worker = options->loop->worker;
	all->to_locate.end = &all->to_locate.first;
	all->queued.end = &all->queued.first;
	all->locate = (struct remote_later){.call = flights_locate, .owner = all};
	all->start = (struct remote_later){.call = flights_start, .owner = all};
	all->n_bytes_max = bytes_max(options);
	all->shares.n_max = FLIGHTS_MAX;
	batches_init(&all->batches, &all->loop->timers);
	if (recall_init(&all->absent, ABSENT_MAX) || writeback_init(&all->writeback)) {
		recall_deinit(&all->absent);
		free(all);
		return -ENOMEM;
	}
	all->absent_ms = flights_absent_for_ms(all);
	*out = all;
	return 0;
}

void flights_free(struct flights *all)
{
	struct flight *f, *next;

	if (!all)
		return;
	all->is_closing = true;
	for (f = all->all; f; f = next) {
		next = f->next;
		if (!f->is_over)
			flight_miss(f, ABI_FETCH_OFF);
	}
	/* A kind may take a moment to let go; it does not need its peers for that. */
	while (all->all)
		remote_loop_turn(all->loop, 1);
	remote_loop_not_soon(all->loop, &all->locate);
	remote_loop_not_soon(all->loop, &all->start);
	flights_listen_no_more(all);
	batches_deinit(&all->batches);
	writeback_deinit(&all->writeback);
	recall_deinit(&all->absent);
	free(all);
}

void flights_add(struct flights *all, const struct flight_source *source)
{
	if (all->n_sources == FLIGHT_SOURCES_MAX)
		return;
	all->source[all->n_sources++] = *source;
	flights_listen(all, source);
}

static void tell_breaker(const struct breaker *b, struct remote_health *health)
{
	health->breaker = b->state;
	health->breaker_since_ms = b->since_ms;
}

unsigned flights_health(struct flights *all, struct remote_health *health, unsigned max)
{
	unsigned i, j, k, n = 0;

	for (i = 0; i < all->n_sources && n < max; i++) {
		if (!all->source[i].kind->health)
			continue;
		k = all->source[i].kind->health(all->source[i].self, health + n, max - n);
		for (j = n; j < n + k; j++)
			if (health[j].holder < REMOTE_HOLDERS_MAX)
				tell_breaker(&all->breaker[i][health[j].holder], &health[j]);
		n += k;
	}
	return n;
}

unsigned flights_n(const struct flights *all)
{
	return all->shares.n;
}

unsigned flights_n_fetching(const struct flights *all)
{
	return all->n_fetching;
}
