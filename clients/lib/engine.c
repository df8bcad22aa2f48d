/* SPDX-License-Identifier: Apache-2.0 */
/* engine.c: requests from their beginning to their result. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clients/lib/lane.h"
#include "clients/lib/session.h"

/*
 * All ways to ask for something run through here: a blocking call is a batch of one, a batch is a
 * queue that is waited for. The engine knows no clock and never waits; it begins requests, is
 * pumped, and has finished ones to hand out.
 *
 * A request of the caller may take several submissions, see engine-put.c; between two of them it
 * is in nobody's hands but ours, and what happens next is decided when an answer is taken. Room
 * for these next steps is always there: an answer frees the place that the next submission takes,
 * and new requests leave one place empty besides, for the reservation of somebody who ran out of
 * time.
 *
 * A request whose caller has given up is abandoned: its flights lose their pointer to it and run on
 * by themselves. They keep their staging until the broker has answered, since it may yet read it.
 */
/* A part of staging, and half of the ring: see engine-fetch.c. */
static uint32_t key_places(uint32_t staging_size, uint32_t n_queue)
{
	uint32_t n = staging_size / 8 / SHMC_KEY_SIZE_MAX;

	return n < n_queue / 2 ? n : n_queue / 2;
}

int engine_init(struct engine *e, uint32_t staging_size, uint32_t n_queue)
{
	uint32_t i;
	int r;

	*e = (struct engine){.n_flights = n_queue, .n_key_places = key_places(staging_size, n_queue)};
	engine_list_init(&e->done);
	engine_list_init(&e->deferred);
	r = staging_init(&e->staging, staging_size - e->n_key_places * SHMC_KEY_SIZE_MAX, n_queue);
	if (r)
		return r;
	e->flight = calloc(n_queue, sizeof(*e->flight));
	e->key_place = calloc(e->n_key_places, sizeof(*e->key_place));
	if (!e->flight || !e->key_place) {
		engine_deinit(e);
		return -ENOMEM;
	}
	for (i = 0; i < e->n_key_places; i++)
		e->key_place[i] = (uint16_t)i;
	for (i = 0; i < n_queue; i++)
		e->flight[i].next_free = (uint16_t)(i + 1);
	return 0;
}

void engine_deinit(struct engine *e)
{
	staging_deinit(&e->staging);
	free(e->flight);
	free(e->key_place);
	e->flight = NULL;
	e->key_place = NULL;
}

void engine_list_init(struct engine_list *list)
{
	list->first = NULL;
	list->last = &list->first;
}

void engine_list_add(struct engine_list *list, struct shmc_request *request)
{
	request->reserved.next = NULL;
	*list->last = request;
	list->last = &request->reserved.next;
}

struct shmc_request *engine_pop(struct lane *lane)
{
	struct engine_list *done = &lane->engine.done;
	struct shmc_request *request = done->first;

	if (request) {
		done->first = request->reserved.next;
		if (!done->first)
			done->last = &done->first;
	}
	return request;
}

/* A reservation is spent by whatever answer but none. */
static void reservation_settle(struct shmc_request *request, int result)
{
	struct session *session = (struct session *)(uintptr_t)request->reservation.reserved[2];
	struct shared_u64 *hold =
		(struct shared_u64 *)(uintptr_t)request->reservation.reserved[0];

	if (request->operation != SHMC_OP_COMMIT && request->operation != SHMC_OP_ABORT)
		return;
	if (result == -ETIMEDOUT || !session)
		return;
	memset(&request->reservation, 0, sizeof(request->reservation));
	/* Release, again: what was written in the block. */
	if (hold)
		hold_clear(hold);
	/*
	 * Release: the caller's stores into the block. Partner: the acquire in session_is_idle().
	 */
	atomic_fetch_sub_explicit(&session->n_users, 1, memory_order_release);
}

void engine_finish(struct lane *lane, struct shmc_request *request, int result)
{
	struct engine *e = &lane->engine;
	struct engine_progress *p = engine_progress(request);

	if (p->is_tracked)
		e->filter[p->hash % ENGINE_FILTER]--;
	if (e->chunked == request)
		e->chunked = NULL;
	reservation_settle(request, result);
	request->result = result;
	e->n_open--;
	engine_list_add(&e->done, request);
}

static uint64_t request_hash(const struct lane *lane, const struct shmc_request *request)
{
	if (request->operation == SHMC_OP_PING)
		return 0;
	if (request->operation == SHMC_OP_COMMIT || request->operation == SHMC_OP_ABORT)
		return request->reservation.reserved[3];
	return reader_hash(&lane->reader, request->key, request->key_size);
}

int engine_begin(struct lane *lane, struct shmc_request *request, bool alone)
{
	struct engine *e = &lane->engine;
	struct engine_progress *p = engine_progress(request);
	int r = engine_check(request);

	if (!r && e->n_open + 1 >= e->n_flights)
		return ENGINE_FULL;
	/* Nobody need wait for a PREFETCH: it only helps. */
	*p = (struct engine_progress){
		.is_tracked = !r && !alone && request->operation != SHMC_OP_PREFETCH};
	e->n_open++;
	if (p->is_tracked) {
		p->hash = request_hash(lane, request);
		e->filter[p->hash % ENGINE_FILTER]++;
	}
	if (r) {
		engine_finish(lane, request, r);
		return 0;
	}
	if (p->is_tracked && engine_must_wait(lane, request)) {
		engine_list_add(&e->deferred, request);
		return 0;
	}
	r = engine_start(lane, request);
	if (r) { /* as if nothing had been */
		e->n_open--;
		if (p->is_tracked)
			e->filter[p->hash % ENGINE_FILTER]--;
	}
	return r;
}

/* Give a reservation back that nobody waits for. */
static void orphan_push(struct lane *lane)
{
	if (lane->engine.orphan && ring_has_room(&lane->ring)) {
		engine_push_reserved(lane, NULL, ABI_OP_ABORT, lane->engine.orphan);
		lane->engine.orphan = 0;
	}
}

unsigned engine_pump(struct lane *lane)
{
	struct completion c;
	unsigned n = 0;

	while (ring_take(&lane->ring, &c)) {
		engine_land(lane, &c);
		n++;
	}
	if (n) {
		ring_settle(&lane->ring);
		orphan_push(lane);
		engine_put_chunks(lane);
		if (lane->engine.deferred.first)
			engine_deferred_run(lane);
	}
	ring_announce(&lane->ring);
	return n;
}

void engine_drop(struct lane *lane, int result)
{
	struct engine *e = &lane->engine;
	struct shmc_request *request;
	uint32_t i;

	if (e->chunked) {
		request = e->chunked;
		if (engine_progress(request)->step == ENGINE_STEP_WRITE)
			e->orphan = engine_progress(request)->reservation;
		for (i = 0; i < e->n_flights; i++)
			if (e->flight[i].is_used && e->flight[i].request == request)
				e->flight[i].request = NULL;
		engine_finish(lane, request, result);
	}
	for (i = 0; i < e->n_flights; i++) {
		request = e->flight[i].is_used ? e->flight[i].request : NULL;
		e->flight[i].request = NULL;
		if (request)
			engine_finish(lane, request, result);
	}
	while ((request = e->deferred.first)) {
		e->deferred.first = request->reserved.next;
		engine_finish(lane, request, result);
	}
	engine_list_init(&e->deferred);
	orphan_push(lane);
	ring_announce(&lane->ring);
}
