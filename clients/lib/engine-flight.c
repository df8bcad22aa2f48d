/* SPDX-License-Identifier: Apache-2.0 */
/* engine-flight.c: submissions that are under way. */
#include <errno.h>

#include "clients/lib/lane.h"
#include "clients/lib/session.h"

/*
 * A submission carries the number of its flight, and the completion brings it back. There are as
 * many flights as ring slots and each is used while its submission is unanswered, so one is free
 * whenever the ring has room.
 *
 * The broker is trusted with our memory map but an id costs nothing to check: one that names no
 * flight is ignored.
 */
void engine_push(struct lane *lane, struct shmc_request *request, struct submission *s,
	uint32_t block)
{
	struct engine *e = &lane->engine;
	struct flight *flight = &e->flight[e->first_free];

	s->id = e->first_free;
	e->first_free = flight->next_free;
	*flight = (struct flight){.request = request, .block = block, .operation = s->operation,
		.is_used = 1};
	ring_push(&lane->ring, s);
}

void engine_push_reserved(struct lane *lane, struct shmc_request *request,
	enum abi_operation operation, uint64_t reservation)
{
	struct submission s = {.operation = (uint8_t)operation, .argument = reservation};

	engine_push(lane, request, &s, STAGING_NONE);
}

int engine_result(uint32_t status)
{
	switch (status) {
	case ABI_STATUS_OK:
		return 0;
	case ABI_STATUS_MISS:
		return SHMC_MISS;
	case ABI_STATUS_EXISTS:
		return SHMC_EXISTS;
	case ABI_STATUS_NOSPACE:
		return SHMC_NOSPACE;
	case ABI_STATUS_QUOTA:
		return SHMC_QUOTA;
	case ABI_STATUS_GONE:
		return SHMC_GONE;
	case ABI_STATUS_DENIED:
		return -EACCES;
	case ABI_STATUS_TOO_BIG:
		return -EFBIG;
	case ABI_STATUS_NOMEM:
		return -ENOMEM;
	case ABI_STATUS_DAMAGED:
		return -EIO;
	case ABI_STATUS_STOPPING:
		return -ENOTCONN;
	default:
		return -EBADMSG;
	}
}

/*
 * A reserved block is ours while the broker lives that gave it. One that comes back gives it to
 * nobody while our holds name its record, and hears of nothing that we begin after it has come: so,
 * as a reader does, we hold, and then look whether it has.
 */
struct shared_u64 *engine_hold_block(struct lane *lane, uint64_t reservation, int *result)
{
	return engine_hold(lane, abi_word((uint32_t)reservation, (uint32_t)(reservation >> 32), 0),
		result);
}

struct shared_u64 *engine_hold(struct lane *lane, uint64_t word, int *result)
{
	struct shared_u64 *hold = hold_table_free_cell(&lane->reader.holds);

	*result = SHMC_QUOTA;
	if (!hold)
		return NULL;
	hold_set(hold, word);
	reader_fence(&lane->reader);
	if (likely(reader_is_current(&lane->reader)))
		return hold;
	hold_clear(hold);
	*result = -ENOTCONN;
	return NULL;
}

static void land_reserve(
	struct lane *lane, struct shmc_request *request, const struct completion *c)
{
	struct session *session = lane->session;
	struct shared_u64 *hold;
	int result;

	hold = engine_hold_block(lane, c->result[0], &result);
	if (!hold) {
		engine_push_reserved(lane, NULL, ABI_OP_ABORT, c->result[0]);
		engine_finish(lane, request, result);
		return;
	}
	request->reservation = (struct shmc_reservation){
		.data = session_location(session, c->result[1]),
		.size = request->value_size,
		.reserved = {(uintptr_t)hold, c->result[0], (uintptr_t)session,
			reader_hash(&lane->reader, request->key, request->key_size)},
	};
	/* The map stays as long as the block is the caller's. */
	atomic_fetch_add_explicit(&session->n_users, 1, memory_order_relaxed);
	engine_finish(lane, request, 0);
}

/* An answer that nobody waits for: what it brought must not get lost. */
static void land_abandoned(struct lane *lane, unsigned operation, const struct completion *c)
{
	if (operation == ABI_OP_RESERVE && c->status == ABI_STATUS_OK)
		engine_push_reserved(lane, NULL, ABI_OP_ABORT, c->result[0]);
	if (operation == ABI_OP_FETCH && submission_is_delivered(c))
		engine_push_reserved(lane, NULL, ABI_OP_ABORT, c->result[1]);
}

void engine_land(struct lane *lane, const struct completion *c)
{
	struct engine *e = &lane->engine;
	struct shmc_request *request;
	struct flight *flight;

	if (c->id >= e->n_flights || !e->flight[c->id].is_used)
		return;
	flight = &e->flight[c->id];
	request = flight->request;
	if (flight->operation == ABI_OP_FETCH)
		e->key_place[--e->n_keys_out] = (uint16_t)flight->block;
	else
		staging_free(&e->staging, flight->block);
	flight->is_used = 0;
	flight->next_free = e->first_free;
	e->first_free = (uint16_t)c->id;

	if (!request) {
		land_abandoned(lane, flight->operation, c);
	} else if (flight->operation == ABI_OP_FETCH) {
		engine_fetch_land(lane, request, c);
	} else if (engine_progress(request)->step != ENGINE_STEP_ONLY) {
		engine_put_step(lane, request, c);
	} else if (c->status == ABI_STATUS_OK && request->operation == SHMC_OP_RESERVE) {
		land_reserve(lane, request, c);
	} else {
		engine_progress(request)->answer = c->result[0];
		engine_progress(request)->error = (int64_t)c->result[1];
		engine_finish(lane, request, engine_result(c->status));
	}
}
