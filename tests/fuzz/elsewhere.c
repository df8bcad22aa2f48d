/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elsewhere.c: answers of other brokers at any time: misses, values that are published or
 * delivered.
 */
#include "tests/fuzz/elsewhere.h"

#include <string.h>

#define SIZE_STEP 64 /* of values that come: what one byte of input tells */

/*
 * What a byte of input says: what is answered, or that the value has come and is not answered yet.
 */
enum { MISS, THERE, PUBLISH, DELIVER, N_WAYS };
#define LAND 0x80

void elsewhere_open(struct elsewhere *e, struct store *store, struct abi_worker *counters)
{
	e->store = store;
	e->counters = counters;
	desk_init(&e->desk);
	FUZZ_CHECK(!desk_open(&e->desk), "no desk");
}

static struct elsewhere_ticket *next(struct elsewhere *e, unsigned from, bool is_free)
{
	unsigned i;

	for (i = 0; i < ELSEWHERE_MAX; i++)
		if (!e->out[(from + i) % ELSEWHERE_MAX].ticket == is_free)
			return &e->out[(from + i) % ELSEWHERE_MAX];
	return NULL;
}

static void take(struct elsewhere *e)
{
	struct ticket *ticket = desk_take(&e->desk);
	struct elsewhere_ticket *place;
	struct index_key key;

	for (; ticket; ticket = ticket->next) {
		place = next(e, 0, true);
		FUZZ_CHECK(place, "more tickets than a lane may have");
		place->ticket = ticket;
		place->is_landed = false;
		if (ticket->kind != TICKET_FETCH)
			continue;
		key = index_key(&e->store->index, ticket->key, ticket->key_size);
		store_fill_begin(e->store, &place->fill, &key);
	}
}

/* Bring a value; what changes its key from here on still overtakes it. */
static void land(struct elsewhere *e, struct elsewhere_ticket *at, uint8_t byte, bool only_free)
{
	static const struct store_put_options plain;
	uint64_t size = 1 + (uint64_t)byte * SIZE_STEP;
	uint8_t *data;

	if (at->is_landed || at->ticket->kind != TICKET_FETCH ||
		store_fill_reserve(e->store, e->counters, &at->fill, &plain, size, only_free, &data) !=
			ABI_STATUS_OK)
		return;
	memset(data, 0x5a, size);
	at->ticket->size = size;
	at->is_landed = true;
}

static enum abi_status settle(struct elsewhere *e, struct elsewhere_ticket *at, unsigned way)
{
	struct ticket *ticket = at->ticket;

	if (way < PUBLISH)
		return way == THERE ? ABI_STATUS_OK : ABI_STATUS_MISS;
	if (!at->is_landed)
		return ABI_STATUS_MISS;
	if (way == PUBLISH)
		return store_fill_publish(e->store, e->counters, &at->fill);
	return store_fill_deliver(e->store, &at->fill, &ticket->result[1], &ticket->result[0]);
}

static void answer_fetch(struct elsewhere *e, struct elsewhere_ticket *at, unsigned way, uint8_t byte)
{
	struct ticket *ticket = at->ticket;
	enum abi_status status;

	if (way >= PUBLISH)
		land(e, at, byte, way == PUBLISH);
	status = settle(e, at, way);
	store_fill_end(e->store, &at->fill);
	at->ticket = NULL;
	if (status == ABI_STATUS_OK) {
		ticket->status = ABI_STATUS_OK;
		desk_answer(ticket);
	} else {
		desk_answer_miss(ticket, byte % ABI_N_FETCH_MISSES);
	}
}

static void answer(struct elsewhere *e, struct elsewhere_ticket *at, unsigned way, uint8_t byte)
{
	struct ticket *ticket = at->ticket;

	if (ticket->kind == TICKET_FETCH) {
		answer_fetch(e, at, way, byte);
		return;
	}
	at->ticket = NULL;
	ticket->result[0] = byte;
	desk_answer(ticket);
}

void elsewhere_go_on(struct elsewhere *e, struct fuzz_input *in)
{
	uint8_t which = fuzz_u8(in), byte = fuzz_u8(in);
	struct elsewhere_ticket *at;

	take(e);
	at = next(e, which % LAND / N_WAYS, false);
	if (at && which & LAND)
		land(e, at, byte, which & 1);
	else if (at)
		answer(e, at, which % N_WAYS, byte);
}

void elsewhere_end(struct elsewhere *e)
{
	struct elsewhere_ticket *at;

	take(e);
	while ((at = next(e, 0, false)))
		answer(e, at, at->is_landed ? DELIVER : MISS, ABI_FETCH_OFF);
}
