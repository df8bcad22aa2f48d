/* SPDX-License-Identifier: Apache-2.0 */
/* engine-fetch.c: what is not here, and may be with another broker. */
#include <errno.h>
#include <string.h>

#include "clients/lib/lane.h"
#include "clients/lib/session.h"

/*
 * A fetch is a read that, when it misses, becomes a submission; its answer comes when other brokers
 * have given theirs. Either the value is an entry now, and is read as any other, or it was
 * delivered: a record that no slot names is ours until we say that our hold is set. That is an
 * ABORT for which nobody waits, and the view is a view.
 *
 * An entry may be gone again before it is read: in a tier that is hard pressed, what was fetched is
 * what goes first. Who waits for it has done nothing that would explain a miss to him. So it is
 * asked for again, to be delivered this time, which nothing takes away; some times only, and within
 * the one deadline. Where that is the broker's own, its answer tells what is left of it.
 *
 * How long such an answer takes is not in the hands of our broker. So not more than half of the
 * ring may wait for others, and their keys have places of their own: staging is a ring, whose room
 * comes back behind the oldest. Whoever has something to ask that concerns nobody else finds both.
 *
 * The read behind a fetch that came is neither a hit nor logged as one: it is the miss that began
 * it, and one that is read once must not look to the policy as if it had been read twice.
 */
_Static_assert((int)SHMC_WRITE_BACK_ALWAYS == ABI_WRITE_BACK_ALWAYS + 1 &&
		(int)SHMC_WRITE_BACK_OFF == ABI_WRITE_BACK_OFF + 1, "the same by another name");
_Static_assert((int)SHMC_FETCH_NOBODY == ABI_FETCH_NOBODY &&
		(int)SHMC_FETCH_CANCELLED == ABI_FETCH_CANCELLED &&
		(int)SHMC_FETCH_DECLINED == ABI_FETCH_DECLINED, "the same by another name");

#define FETCH_AGAIN_MAX 2

static bool has_room(const struct lane *lane)
{
	/* One place is left empty, see engine.c. */
	return ring_in_flight(&lane->ring) + 1 < lane->ring.n_queue &&
		lane->engine.n_keys_out < lane->engine.n_key_places;
}

/* There is room. */
static void send(struct lane *lane, const struct shmc_request *q, struct shmc_request *waits,
	unsigned flags)
{
	struct engine *e = &lane->engine;
	struct submission s = {
		.operation = ABI_OP_FETCH,
		.key_size = (uint16_t)q->key_size,
		.flags = (uint8_t)(flags | (unsigned)q->fetch.write_back
					<< SUBMISSION_WRITE_BACK_SHIFT),
		.argument = q->fetch.deadline_ms,
		.group = q->fetch.batch,
		.position = q->fetch.position,
		.value_size = q->fetch.n_batch,
	};
	uint16_t place = e->key_place[e->n_keys_out++];

	s.staging_off = e->staging.size + place * SHMC_KEY_SIZE_MAX;
	memcpy(lane->staging + s.staging_off, q->key, q->key_size);
	engine_push(lane, waits, &s, place);
}

static int push(struct lane *lane, const struct shmc_request *q, struct shmc_request *waits,
	unsigned flags)
{
	if (!has_room(lane))
		return ENGINE_FULL;
	send(lane, q, waits, flags);
	return 0;
}

/* Is it here? 0: held by *entry, SHMC_MISS, SHMC_QUOTA or -ENOTCONN. */
static int look(struct lane *lane, const struct shmc_request *q, struct reader_entry *entry)
{
	uint64_t hash = reader_hash(&lane->reader, q->key, q->key_size);

	return reader_find(&lane->reader, q->key, q->key_size, hash, entry);
}

static int prefetch_start(struct lane *lane, struct shmc_request *q)
{
	struct reader_entry entry;
	int r = look(lane, q, &entry);

	if (!r)
		hold_clear(entry.hold);
	if (r == SHMC_MISS)
		return push(lane, q, q, SUBMISSION_PREFETCH);
	engine_finish(lane, q, r);
	return 0;
}

int engine_fetch_start(struct lane *lane, struct shmc_request *q)
{
	bool has_looked = q->fetch.batch || q->why == ENGINE_FETCH_LOOKED;
	struct reader_entry entry;
	int r = SHMC_MISS;

	if (q->operation == SHMC_OP_PREFETCH)
		return prefetch_start(lane, q);
	if (!has_looked)
		r = look(lane, q, &entry);
	if (r == SHMC_MISS) {
		r = push(lane, q, q, 0);
		if (r)
			return r;
		engine_progress(q)->step = ENGINE_STEP_FETCH;
		if (q->fetch.deadline_ms)
			engine_progress(q)->off = lane->ring.now_ms + q->fetch.deadline_ms;
		if (!has_looked)
			reader_count_failure(&lane->reader, SHMC_MISS);
		return 0;
	}
	if (!r) {
		lane_view(lane, &entry, &q->view);
		reader_count_hit(&lane->reader, entry.cell, entry.record->tier);
	} else {
		reader_count_failure(&lane->reader, r);
	}
	engine_finish(lane, q, r);
	return 0;
}

/*
 * Ask again, of no batch any more. There is room for it, key and all: an answer was just taken.
 * @left_ms of the deadline it told; 0: nobody was asked. 0; or SHMC_MISS, and @why it has to be one.
 */
static int ask_again(struct lane *lane, struct shmc_request *q, uint64_t left_ms)
{
	struct engine_progress *p = engine_progress(q);
	struct shmc_request again = {.key = q->key, .key_size = q->key_size,
		.fetch.write_back = SHMC_WRITE_BACK_OFF};
	uint64_t now_ms = deadline_clock_coarse_ms();

	q->why = SHMC_FETCH_CANCELLED;
	if (p->n_again == FETCH_AGAIN_MAX)
		return SHMC_MISS;
	q->why = SHMC_FETCH_TIMEOUT;
	if (!p->off && left_ms)
		p->off = now_ms + left_ms;
	if (p->off && p->off <= now_ms)
		return SHMC_MISS;
	if (p->off)
		again.fetch.deadline_ms = p->off - now_ms < UINT32_MAX ? (uint32_t)(p->off - now_ms)
									: UINT32_MAX;
	p->n_again++;
	send(lane, &again, q, 0);
	return 0;
}

/* It is an entry; or was, a moment ago. False: it goes on. */
static bool land_published(struct lane *lane, struct shmc_request *q, const struct completion *c,
	int *result)
{
	struct reader_entry entry;

	*result = 0;
	if (q->operation == SHMC_OP_PREFETCH)
		return true;
	*result = look(lane, q, &entry);
	if (!*result)
		lane_view(lane, &entry, &q->view);
	if (*result != SHMC_MISS)
		return true;
	*result = ask_again(lane, q, c->result[0]);
	return *result != 0;
}

/* There is room for one submission: an answer was just taken. */
static int land_delivered(struct lane *lane, struct shmc_request *q, const struct completion *c)
{
	struct reader_entry entry;
	int r = 0;

	entry.cell = abi_word_cell(c->result[0]);
	entry.record = &lane->reader.index.cell[entry.cell];
	entry.hold = engine_hold(lane, c->result[0], &r);
	/*
	 * Behind the hold: from here on nothing else keeps the record. Both are stores with
	 * release, and the broker acquires the second before it looks at the first.
	 */
	engine_push_reserved(lane, NULL, ABI_OP_ABORT, c->result[1]);
	if (!entry.hold)
		return r;
	lane_view(lane, &entry, &q->view);
	return 0;
}

void engine_fetch_land(struct lane *lane, struct shmc_request *q, const struct completion *c)
{
	int r;

	q->why = SHMC_FETCH_NONE;
	if (submission_is_delivered(c)) {
		r = land_delivered(lane, q, c);
	} else if (c->status == ABI_STATUS_OK) {
		if (!land_published(lane, q, c, &r))
			return;
	} else {
		r = engine_result(c->status);
		if (r == SHMC_MISS)
			q->why = (unsigned)c->result[0];
	}
	engine_finish(lane, q, r);
}

int engine_prefetch(
	struct lane *lane, const struct shmc_key *key, const struct shmc_fetch_options *options)
{
	struct shmc_request q = {.key = key->data, .key_size = key->size, .fetch = *options};
	struct reader_entry entry;
	int r = look(lane, &q, &entry);

	if (!r)
		hold_clear(entry.hold);
	return r == SHMC_MISS ? push(lane, &q, NULL, SUBMISSION_PREFETCH) : r;
}
