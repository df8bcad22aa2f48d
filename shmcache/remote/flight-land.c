/* SPDX-License-Identifier: Apache-2.0 */
/* flight-land.c: where a value goes: into a block, and from there to whom. */
#include "shmcache/remote/flight-impl.h"

/*
 * The bytes are received where they stay: into a block of a tier, under a record that nobody can
 * find. What becomes of that is decided when all are there: published, if one of those who asked
 * wants it kept, since then all find it in the cache; else delivered to each.
 *
 * Under `always` all that is fetched is published; that it does not push out what is read often is
 * the eviction policy's part, which is told that such an entry is unproven.
 */
static bool is_any(const struct flight *f, enum verdict verdict)
{
	for (const struct waiter *w = f->waiters; w; w = w->next)
		if (w->verdict == verdict)
			return true;
	return false;
}

/* Does somebody get it although it is not kept? */
static bool is_delivered_to_any(const struct flight *f)
{
	for (const struct waiter *w = f->waiters; w; w = w->next)
		if (!w->ticket->is_prefetch)
			return true;
	return false;
}

static enum flight_stop reserve(struct flight *f, const struct remote_head *head, uint8_t **data)
{
	struct store_put_options options = {.ttl_ms = head->ttl_ms, .hints = head->hints};
	struct flights *all = f->all;
	enum abi_status status = ABI_STATUS_NOSPACE;
	bool may_evict = true;

	if (!f->keeps_on && is_any(f, VERDICT_KEEP_FREE)) {
		status = store_fill_reserve(
			all->store, all->worker, &f->fill, &options, head->size, true, data);
		f->is_free = status == ABI_STATUS_OK;
		may_evict = is_any(f, VERDICT_PENDING) || is_delivered_to_any(f);
	}
	if (status == ABI_STATUS_NOSPACE && may_evict)
		status = store_fill_reserve(
			all->store, all->worker, &f->fill, &options, head->size, false, data);
	if (status == ABI_STATUS_OK)
		return FLIGHT_STOP_NOT;
	return status == ABI_STATUS_GONE ? FLIGHT_STOP_OVERTAKEN : FLIGHT_STOP_NOSPACE;
}

uint8_t *flight_land(struct remote_fetch *fetch, const struct remote_head *head)
{
	struct flight *f = (struct flight *)((char *)fetch - offsetof(struct flight, fetch));
	struct flights *all = f->all;
	uint8_t *data = NULL;

	if (f->stop || f->is_landed)
		return NULL;
	all->usual_size = all->usual_size ? (7 * all->usual_size + head->size) / 8 : head->size;
	if (all->n_bytes && all->n_bytes + head->size > all->n_bytes_max) {
		f->stop = FLIGHT_STOP_ROOM;
		f->wanted_size = head->size;
	} else {
		f->stop = reserve(f, head, &data);
	}
	if (f->stop)
		return NULL;
	f->is_landed = true;
	f->size = head->size;
	all->n_bytes += f->size;
	return data;
}

void flight_unland(struct flight *f)
{
	if (!f->is_landed)
		return;
	f->is_landed = f->is_free = false;
	f->all->n_bytes -= f->size;
	store_fill_drop(f->all->store, &f->fill);
}

void flight_arrive(struct flight *f)
{
	struct waiter *w;

	flights_count(f->all, ABI_COUNTER_TRANSFERS_DONE, 1);
	flights_count(f->all, ABI_COUNTER_TRANSFERRED_BYTES, f->size);
	f->state = FLIGHT_HELD;
	for (w = f->waiters; w; w = w->next)
		batch_found(&w->seat);
	remote_loop_soon(f->all->loop, &f->settle);
}

/* All who wait find it in the cache. */
static void found(struct flight *f)
{
	flight_hide(f);
	while (f->waiters)
		waiter_found(f->all, f->waiters);
	flight_end(f);
}

/* They find it there, or miss. */
static void publish(struct flight *f)
{
	struct flights *all = f->all;
	enum abi_status status = store_fill_publish(all->store, all->worker, &f->fill);

	flights_count(all, status == ABI_STATUS_OK ? ABI_COUNTER_FILLS_PUBLISHED :
			ABI_COUNTER_FILLS_OVERTAKEN, 1);
	if (status == ABI_STATUS_OK || status == ABI_STATUS_EXISTS)
		found(f);
	else
		flight_miss(f, status == ABI_STATUS_GONE ? ABI_FETCH_CANCELLED :
				status == ABI_STATUS_DAMAGED ? ABI_FETCH_CORRUPT : ABI_FETCH_NOSPACE);
}

void flight_overtaken(struct flight *f)
{
	if (flights_have(f->all, &f->key))
		found(f);
	else
		flight_miss(f, ABI_FETCH_CANCELLED);
}

static void deliver_to(struct flight *f, struct waiter *w)
{
	struct flights *all = f->all;
	uint64_t reservation, word;
	enum abi_status status;

	if (w->ticket->is_prefetch) {
		waiter_miss(all, w, ABI_FETCH_DECLINED);
		return;
	}
	status = store_fill_deliver(all->store, &f->fill, &reservation, &word);
	if (status == ABI_STATUS_OK) {
		flights_count(all, ABI_COUNTER_DELIVERIES, 1);
		w->ticket->size = f->size;
		waiter_answer(all, w, ABI_STATUS_OK, word, reservation);
	} else if (status == ABI_STATUS_GONE && flights_have(all, &f->key)) {
		waiter_found(all, w);
	} else {
		waiter_miss(all, w, status == ABI_STATUS_GONE ? ABI_FETCH_CANCELLED :
				status == ABI_STATUS_DAMAGED ? ABI_FETCH_CORRUPT : ABI_FETCH_BUSY);
	}
}

static void deliver(struct flight *f)
{
	flights_count(f->all, ABI_COUNTER_FILLS_DECLINED, 1);
	flight_hide(f);
	while (f->waiters)
		deliver_to(f, f->waiters);
	flight_end(f);
}

void flight_settle(struct remote_later *later)
{
	struct flight *f = later->owner;

	if (flight_is_wanted(f))
		publish(f);
	else if (!is_any(f, VERDICT_PENDING))
		deliver(f);
}
