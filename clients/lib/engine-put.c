/* SPDX-License-Identifier: Apache-2.0 */
/* engine-put.c: values that are too large to go through staging in one piece. */
#include <errno.h>
#include <string.h>

#include "clients/lib/lane.h"
#include "clients/lib/session.h"

/*
 * A put of many megabytes is made of the same steps that a caller can take himself:
 *
 *	writer	RESERVE, copy into the block, COMMIT
 *	stager	RESERVE, WRITE, WRITE ..., COMMIT
 *
 * A writer has the tier mapped for writing and saves the broker the copy. A stager sends the
 * value in chunks through staging, several at a time, so that it copies in while the broker
 * copies out. One put at a time is sent in chunks, others wait for it to begin: they would only
 * share the same staging.
 *
 * COMMIT waits for the answers to all WRITEs, as one of them may tell that the memory is damaged. A
 * put that fails half way gives its block back by itself.
 */

/* From here on a writer fills the block itself, which spares a copy and costs a round trip. */
#define IN_PLACE_MIN (64U << 10)

#define CHUNKS 4 /* of staging */

bool engine_put_is_large(const struct lane *lane, const struct shmc_request *request)
{
	/* Beyond half of it two puts can't overlap. */
	uint64_t most = lane->engine.staging.size / 2 - SHMC_KEY_SIZE_MAX;

	if (lane->session->role == WIRE_ROLE_WRITER && most > IN_PLACE_MIN)
		most = IN_PLACE_MIN;
	return request->value_size > most;
}

int engine_put_start(struct lane *lane, struct shmc_request *request)
{
	struct engine *e = &lane->engine;
	struct engine_progress *p = engine_progress(request);
	struct submission s = {.operation = ABI_OP_RESERVE};
	/* With every cell taken by views, a writer goes the way of the others. */
	bool in_place = lane->session->role == WIRE_ROLE_WRITER &&
		hold_table_free_cell(&lane->reader.holds);
	uint32_t block;

	if (!in_place && (e->chunked || e->orphan))
		return ENGINE_FULL;
	engine_put_words(request, &s);
	if (engine_stage(lane, request, false, &s, &block))
		return ENGINE_FULL;
	engine_push(lane, request, &s, block);
	p->step = ENGINE_STEP_RESERVE;
	p->is_in_place = in_place;
	p->off = 0;
	p->n_writes = 0;
	p->error = 0;
	if (!in_place)
		e->chunked = request;
	return 0;
}

/* There is room for one submission: an answer was just taken. */
static void put_commit(struct lane *lane, struct shmc_request *request)
{
	struct engine_progress *p = engine_progress(request);

	p->step = ENGINE_STEP_COMMIT;
	engine_push_reserved(lane, request, ABI_OP_COMMIT, p->reservation);
}

/* The same. */
static void put_give_up(struct lane *lane, struct shmc_request *request, int result)
{
	engine_push_reserved(lane, NULL, ABI_OP_ABORT, engine_progress(request)->reservation);
	engine_finish(lane, request, result);
}

static void put_reserved(
	struct lane *lane, struct shmc_request *request, const struct completion *c)
{
	struct engine_progress *p = engine_progress(request);
	struct shared_u64 *hold;
	int result;

	p->reservation = c->result[0];
	if (!p->is_in_place) {
		p->step = ENGINE_STEP_WRITE;
		engine_put_chunks(lane);
		return;
	}
	hold = engine_hold_block(lane, p->reservation, &result);
	if (!hold) {
		put_give_up(lane, request, result);
		return;
	}
	memcpy(session_location(lane->session, c->result[1]), request->value, request->value_size);
	/* Not later: what is written, is. */
	hold_clear(hold);
	put_commit(lane, request);
}

static void put_written(
	struct lane *lane, struct shmc_request *request, const struct completion *c)
{
	struct engine_progress *p = engine_progress(request);

	p->n_writes--;
	if (c->status != ABI_STATUS_OK && !p->error)
		p->error = engine_result(c->status);
	if (p->n_writes)
		return;
	if (p->error)
		put_give_up(lane, request, (int)p->error);
	else if (p->off == request->value_size)
		put_commit(lane, request);
	else
		engine_put_chunks(lane);
}

void engine_put_step(struct lane *lane, struct shmc_request *request, const struct completion *c)
{
	switch (engine_progress(request)->step) {
	case ENGINE_STEP_RESERVE:
		if (c->status == ABI_STATUS_OK)
			put_reserved(lane, request, c);
		else
			engine_finish(lane, request, engine_result(c->status));
		break;
	case ENGINE_STEP_WRITE:
		put_written(lane, request, c);
		break;
	default:
		engine_finish(lane, request, engine_result(c->status));
		break;
	}
}

/* One chunk. Returns whether there was room for it. */
static bool chunk_push(struct lane *lane, struct shmc_request *request)
{
	struct engine *e = &lane->engine;
	struct engine_progress *p = engine_progress(request);
	struct submission s = {.operation = ABI_OP_WRITE, .argument = p->reservation,
		.group = p->off};
	uint64_t left = request->value_size - p->off;
	uint32_t chunk = e->staging.size / CHUNKS;
	uint32_t block;

	s.value_size = left < chunk ? (uint32_t)left : chunk;
	block = staging_alloc(&e->staging, s.value_size, &s.staging_off);
	if (block == STAGING_NONE)
		return false;
	memcpy(lane->staging + s.staging_off, (const uint8_t *)request->value + p->off,
		s.value_size);
	engine_push(lane, request, &s, block);
	p->off += s.value_size;
	p->n_writes++;
	return true;
}

void engine_put_chunks(struct lane *lane)
{
	struct shmc_request *request = lane->engine.chunked;
	struct engine_progress *p;

	if (!request)
		return;
	p = engine_progress(request);
	if (p->step != ENGINE_STEP_WRITE || p->error)
		return;
	/* The broker may begin with the first chunk while we copy the second. */
	while (p->off < request->value_size &&
		ring_in_flight(&lane->ring) + 1 < lane->ring.n_queue && chunk_push(lane, request))
		ring_announce(&lane->ring);
}
