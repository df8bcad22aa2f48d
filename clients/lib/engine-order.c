/* SPDX-License-Identifier: Apache-2.0 */
/* engine-order.c: requests on one key take effect in order. */
#include "clients/lib/lane.h"

/*
 * The broker takes the submissions of a lane in order, so two plain requests on one key need no
 * care. Order is lost in two places, both ours: a one-sided read is done before the write that was
 * submitted ahead of it has even been looked at, and a put in several steps takes effect at its
 * last. So a read waits for open writes on its key, and everything waits for an open put in several
 * steps on its key, and for whatever already waits. A fetch begins as a read, and takes effect when
 * its answer comes: it waits like the one, and is waited for like the other. Requests on other keys
 * go by.
 *
 * Keys are compared by their 64-bit hash: two that collide wait for each other in vain, and no
 * worse. Nearly always nobody has to wait, and a count by a few bits of the hash says so at once.
 */
static bool same_key(struct shmc_request *open, struct shmc_request *request)
{
	return open != request && engine_progress(open)->is_tracked &&
		engine_progress(open)->hash == engine_progress(request)->hash;
}

bool engine_must_wait(const struct lane *lane, struct shmc_request *request)
{
	const struct engine *e = &lane->engine;
	struct shmc_request *open;
	uint32_t i;

	/* itself is counted */
	if (e->filter[engine_progress(request)->hash % ENGINE_FILTER] == 1)
		return false;
	for (open = e->deferred.first; open; open = open->reserved.next)
		if (same_key(open, request))
			return true;
	if (e->chunked && same_key(e->chunked, request))
		return true;
	for (i = 0; i < e->n_flights; i++) {
		open = e->flight[i].is_used ? e->flight[i].request : NULL;
		if (open && same_key(open, request) && (engine_is_one_sided(request) ||
				request->operation == SHMC_OP_FETCH ||
				engine_progress(open)->step != ENGINE_STEP_ONLY))
			return true;
	}
	return false;
}

void engine_deferred_run(struct lane *lane)
{
	struct engine *e = &lane->engine;
	struct engine_list waiting = e->deferred;
	struct shmc_request *request, *next;

	/* Those that still wait are put back in their order; each is compared with these alone. */
	engine_list_init(&e->deferred);
	for (request = waiting.first; request; request = next) {
		next = request->reserved.next;
		if (engine_must_wait(lane, request) || engine_start(lane, request))
			engine_list_add(&e->deferred, request);
	}
}
