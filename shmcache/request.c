/* SPDX-License-Identifier: Apache-2.0 */
/* request.c: what each operation does, and what it refuses. */
#include <stdlib.h>
#include <string.h>

#include "shmcache/fetch.h"
#include "shmcache/request.h"

/*
 * A submission comes as a private copy; its numbers are still the client's word. Here they meet
 * the geometry. Two kinds of no: what a client may ask and can't have is a status (its role, its
 * quota, no room). What a client library would never write is a fault, and ends the session.
 *
 * The bytes in the staging area can change while we look. A key is copied before it is hashed, so
 * that what is stored is what was looked up; a value is copied once, into its block.
 */
struct request {
	struct store *store;
	struct abi_worker *w;
	struct lane *lane;
	struct session *session;
	const struct submission *sub;
	struct completion *completion;
	bool is_elsewhere; /* a ticket is out, and brings the answer */
	struct index_key key;
	uint8_t key_bytes[ABI_KEY_SIZE_MAX];
};

#define FLUSH_BUCKETS 256 /* looked at in one round */

/* Copy the key out of staging. */
static enum abi_fault take_key(struct request *q)
{
	const struct submission *sub = q->sub;

	if (!sub->key_size || sub->key_size > ABI_KEY_SIZE_MAX)
		return ABI_FAULT_KEY;
	if ((uint64_t)sub->staging_off + sub->key_size > q->session->geometry.staging_size)
		return ABI_FAULT_RANGE;
	memcpy(q->key_bytes, q->lane->staging + sub->staging_off, sub->key_size);
	q->key = index_key(&q->store->index, q->key_bytes, sub->key_size);
	return ABI_FAULT_NONE;
}

static void put_options(const struct submission *sub, struct store_put_options *o)
{
	*o = (struct store_put_options){
		.if_absent = sub->flags & SUBMISSION_IF_ABSENT,
		.tier = sub->tier,
		.ttl_ms = sub->argument,
		.hints = {.group = sub->group, .position = sub->position, .priority = sub->priority},
	};
}

static bool may_put(const struct request *q)
{
	return q->session->role >= WIRE_ROLE_STAGER;
}

static uint64_t percent_of_tier(const struct request *q, unsigned percent)
{
	return q->store->tier[ABI_TIER_DRAM].size / 100 * percent;
}

/* --- operations: each fills in completion->status, or returns a fault ------------------------- */

static enum abi_fault do_ping(struct request *q)
{
	q->completion->status = ABI_STATUS_OK;
	return ABI_FAULT_NONE;
}

static enum abi_fault do_put(struct request *q)
{
	struct store_put_options options;
	uint64_t off = submission_value_off(q->sub);
	enum abi_fault fault = take_key(q);

	if (fault)
		return fault;
	if (!q->sub->value_size)
		return ABI_FAULT_FIELD;
	if (off + q->sub->value_size > q->session->geometry.staging_size)
		return ABI_FAULT_RANGE;
	put_options(q->sub, &options);
	q->completion->status = may_put(q) ? store_put(q->store, q->w, &q->key, &options,
						     q->lane->staging + off, q->sub->value_size)
					   : ABI_STATUS_DENIED;
	return ABI_FAULT_NONE;
}

static struct session_reservation *find_reservation(struct session *s, uint64_t id)
{
	unsigned i;

	for (i = 0; i < s->limits.reservations; i++)
		if (s->reservation[i].id == id)
			return &s->reservation[i];
	return NULL;
}

static enum abi_fault do_reserve(struct request *q)
{
	struct session *s = q->session;
	uint64_t size = q->sub->value_size;
	struct store_put_options options;
	struct session_reservation *slot;
	enum abi_fault fault = take_key(q);
	uint32_t cell;

	if (fault)
		return fault;
	if (!size)
		return ABI_FAULT_FIELD;
	if (!may_put(q)) {
		q->completion->status = ABI_STATUS_DENIED;
		return ABI_FAULT_NONE;
	}
	slot = find_reservation(s, 0);
	if (!slot || (s->n_reservations && s->reserved_size + size >
				percent_of_tier(q, s->limits.reserved_percent))) {
		store_count(q->w, ABI_COUNTER_QUOTA, 1);
		q->completion->status = ABI_STATUS_QUOTA;
		return ABI_FAULT_NONE;
	}
	put_options(q->sub, &options);
	q->completion->status = store_reserve(q->store, q->w, &q->key, &options, size, &cell);
	if (q->completion->status != ABI_STATUS_OK)
		return ABI_FAULT_NONE;
	slot->id = store_reservation(q->store, cell);
	slot->size = size;
	slot->if_absent = options.if_absent;
	s->n_reservations++;
	s->reserved_size += size;
	q->completion->result[0] = slot->id;
	q->completion->result[1] = submission_location(
		q->store->index.cell[cell].tier, q->store->index.cell[cell].value_off);
	return ABI_FAULT_NONE;
}

/* Forget the reservation; whoever calls has finished its cell. */
static void close_reservation(struct session *s, struct session_reservation *slot)
{
	s->n_reservations--;
	s->reserved_size -= slot->size;
	slot->id = 0;
}

static enum abi_fault do_write(struct request *q)
{
	const struct submission *sub = q->sub;
	struct session_reservation *slot = find_reservation(q->session, sub->argument);

	if ((uint64_t)sub->staging_off + sub->value_size > q->session->geometry.staging_size)
		return ABI_FAULT_RANGE;
	if (!sub->argument || !slot) {
		q->completion->status = ABI_STATUS_GONE;
		return ABI_FAULT_NONE;
	}
	if (sub->group > slot->size || sub->value_size > slot->size - sub->group)
		return ABI_FAULT_RANGE;
	q->completion->status = store_write(q->store, (uint32_t)slot->id, sub->group,
		q->lane->staging + sub->staging_off, sub->value_size);
	return ABI_FAULT_NONE;
}

static enum abi_fault do_commit(struct request *q)
{
	struct session_reservation *slot = find_reservation(q->session, q->sub->argument);

	if (!q->sub->argument || !slot) {
		q->completion->status = ABI_STATUS_GONE;
		return ABI_FAULT_NONE;
	}
	q->completion->status =
		store_commit(q->store, q->w, (uint32_t)slot->id, slot->if_absent);
	close_reservation(q->session, slot);
	return ABI_FAULT_NONE;
}

static enum abi_fault do_abort(struct request *q)
{
	struct session_reservation *slot = find_reservation(q->session, q->sub->argument);

	if (!q->sub->argument || !slot) {
		/* Perhaps it was delivered. */
		q->completion->status = q->sub->argument &&
				fetch_give_up(q->store, q->session, q->sub->argument)
			? ABI_STATUS_OK
			: ABI_STATUS_GONE;
		return ABI_FAULT_NONE;
	}
	store_abort(q->store, (uint32_t)slot->id);
	store_count(q->w, ABI_COUNTER_ABORTS, 1);
	close_reservation(q->session, slot);
	q->completion->status = ABI_STATUS_OK;
	return ABI_FAULT_NONE;
}

static enum abi_fault do_delete(struct request *q)
{
	enum abi_fault fault = take_key(q);
	enum abi_status told;

	if (fault)
		return fault;
	q->completion->status =
		may_put(q) ? store_delete(q->store, q->w, &q->key) : ABI_STATUS_DENIED;
	if (!(q->sub->flags & SUBMISSION_CLUSTER) || q->completion->status == ABI_STATUS_DENIED)
		return ABI_FAULT_NONE;
	told = fetch_send(q->lane, TICKET_ERASE, q->sub, &q->key, q->completion->status);
	q->is_elsewhere = told == ABI_STATUS_OK;
	/* With nobody to tell nobody was told, and nobody could not be; without memory somebody. */
	if (told == ABI_STATUS_NOMEM)
		q->completion->result[1] = 1;
	return ABI_FAULT_NONE;
}

/*
 * What is not here may be with another broker. What is here needs no asking, and is found by the
 * client itself; but who decides on a batch wants to hear of all of it.
 */
static enum abi_fault do_fetch(struct request *q)
{
	enum abi_fault fault = take_key(q);
	enum abi_status status;
	bool is_here;

	if (fault)
		return fault;
	is_here = store_exists(q->store, &q->key);
	status = is_here && !q->sub->group
		? ABI_STATUS_MISS
		: fetch_send(q->lane, TICKET_FETCH, q->sub, &q->key, ABI_STATUS_OK);
	q->is_elsewhere = status == ABI_STATUS_OK;
	q->completion->status = is_here ? ABI_STATUS_OK : status;
	if (q->completion->status == ABI_STATUS_MISS)
		q->completion->result[0] = ABI_FETCH_OFF;
	return ABI_FAULT_NONE;
}

static enum abi_fault do_touch(struct request *q)
{
	enum abi_fault fault = take_key(q);

	if (!fault)
		q->completion->status = may_put(q)
			? store_touch(q->store, &q->key, q->sub->argument)
			: ABI_STATUS_DENIED;
	return fault;
}

/* --- pins ------------------------------------------------------------------------------------- */

static struct session_pin *find_pin(struct request *q)
{
	struct session *s = q->session;
	unsigned i;

	for (i = 0; i < s->n_pins; i++)
		if (store_pin_is_of(q->store, s->pin[i].pin, &q->key))
			return &s->pin[i];
	return NULL;
}

static bool grow_pins(struct session *s)
{
	unsigned n = s->n_pins_max ? s->n_pins_max * 2 : 16;
	struct session_pin *pin;

	if (s->n_pins < s->n_pins_max)
		return true;
	if (n > SESSION_PINS_MAX)
		return false;
	pin = realloc(s->pin, n * sizeof(*pin));
	if (!pin)
		return false;
	s->pin = pin;
	s->n_pins_max = n;
	return true;
}

static enum abi_status new_pin(struct request *q, uint64_t deadline_ms)
{
	struct session *s = q->session;
	uint64_t quota = percent_of_tier(q, s->limits.pinned_percent);
	struct session_pin pin = {.deadline_ms = deadline_ms};
	enum abi_status status;

	status = store_pin(q->store, &q->key, &pin.pin, &pin.size);
	if (status != ABI_STATUS_OK)
		return status;
	/* Pins that are over, or whose entry is gone, fall out before one is refused for them. */
	if (s->n_pins == SESSION_PINS_MAX || s->pinned_size + pin.size > quota)
		session_expire_pins(s, q->store, store_now_ms(), true);
	if (s->pinned_size + pin.size > quota || !grow_pins(s)) {
		store_unpin(q->store, pin.pin);
		return ABI_STATUS_QUOTA;
	}
	s->pinned_size += pin.size;
	s->pin[s->n_pins++] = pin;
	return ABI_STATUS_OK;
}

static enum abi_fault do_pin(struct request *q)
{
	uint64_t limit = q->session->limits.pin_time_max_ns / 1000000;
	enum abi_fault fault = take_key(q);
	struct session_pin *pin;
	uint64_t deadline;

	if (fault)
		return fault;
	if (!may_put(q)) {
		q->completion->status = ABI_STATUS_DENIED;
		return ABI_FAULT_NONE;
	}
	if (q->sub->argument && q->sub->argument < limit)
		limit = q->sub->argument;
	deadline = store_now_ms() + limit;
	pin = find_pin(q);
	if (pin) {
		pin->deadline_ms = deadline;
		q->completion->status = ABI_STATUS_OK;
		return ABI_FAULT_NONE;
	}
	q->completion->status = new_pin(q, deadline);
	if (q->completion->status == ABI_STATUS_QUOTA)
		store_count(q->w, ABI_COUNTER_QUOTA, 1);
	return ABI_FAULT_NONE;
}

static enum abi_fault do_unpin(struct request *q)
{
	struct session *s = q->session;
	enum abi_fault fault = take_key(q);
	struct session_pin *pin;

	if (fault)
		return fault;
	pin = find_pin(q);
	q->completion->status = pin ? ABI_STATUS_OK : ABI_STATUS_MISS;
	if (pin) {
		store_unpin(q->store, pin->pin);
		s->pinned_size -= pin->size;
		*pin = s->pin[--s->n_pins];
	}
	return ABI_FAULT_NONE;
}

/* --- flush ------------------------------------------------------------------------------------ */

static enum abi_fault do_flush(struct request *q)
{
	struct lane_flush *flush;

	if (q->sub->key_size) {
		enum abi_fault fault = take_key(q);

		if (fault)
			return fault;
	}
	if (!may_put(q)) {
		q->completion->status = ABI_STATUS_DENIED;
		return ABI_FAULT_NONE;
	}
	flush = calloc(1, sizeof(*flush));
	if (!flush) {
		q->completion->status = ABI_STATUS_NOMEM;
		return ABI_FAULT_NONE;
	}
	flush->id = q->sub->id;
	flush->begin_ns = store_now_ns();
	flush->prefix_size = q->sub->key_size;
	memcpy(flush->prefix, q->key_bytes, flush->prefix_size);
	q->lane->flush = flush;
	return ABI_FAULT_NONE;
}

enum request_outcome request_flush_on(
	struct store *store, struct abi_worker *w, struct lane *lane, struct completion *completion)
{
	struct lane_flush *flush = lane->flush;

	flush->n_deleted += store_flush(store, w, flush->prefix, flush->prefix_size, &flush->bucket,
		FLUSH_BUCKETS);
	if (flush->bucket != UINT64_MAX)
		return REQUEST_GOES_ON;
	histogram_add(
		&w->operation_time[ABI_OP_FLUSH], store_now_ns() - flush->begin_ns, 1);
	completion->id = flush->id;
	completion->status = ABI_STATUS_OK;
	completion->result[0] = flush->n_deleted;
	completion->result[1] = 0;
	free(flush);
	lane->flush = NULL;
	return REQUEST_DONE;
}

/* --- dispatch --------------------------------------------------------------------------------- */

enum request_outcome request_run(struct store *store, struct abi_worker *w, struct lane *lane,
	const struct submission *sub, struct completion *completion, enum abi_fault *fault)
{
	static enum abi_fault (*const run[ABI_N_OPERATIONS])(struct request *) = {
		[ABI_OP_PING] = do_ping,
		[ABI_OP_PUT] = do_put,
		[ABI_OP_RESERVE] = do_reserve,
		[ABI_OP_WRITE] = do_write,
		[ABI_OP_COMMIT] = do_commit,
		[ABI_OP_ABORT] = do_abort,
		[ABI_OP_DELETE] = do_delete,
		[ABI_OP_TOUCH] = do_touch,
		[ABI_OP_PIN] = do_pin,
		[ABI_OP_UNPIN] = do_unpin,
		[ABI_OP_FLUSH] = do_flush,
		[ABI_OP_FETCH] = do_fetch,
	};
	struct request q;

	q.store = store;
	q.w = w;
	q.lane = lane;
	q.session = lane->session;
	q.sub = sub;
	q.completion = completion;
	q.is_elsewhere = false;
	completion->id = sub->id;
	completion->result[0] = completion->result[1] = 0;
	*fault = run[sub->operation](&q);
	if (*fault)
		return REQUEST_BROKEN;
	if (q.is_elsewhere)
		return REQUEST_ELSEWHERE;
	return lane->flush ? REQUEST_GOES_ON : REQUEST_DONE;
}
