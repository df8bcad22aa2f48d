/* SPDX-License-Identifier: Apache-2.0 */
/* engine-start.c: checking a request, and turning it into its first submission. */
#include <errno.h>
#include <string.h>

#include "clients/lib/lane.h"
#include "clients/lib/read.h"
#include "clients/lib/session.h"

/*
 * The broker cuts off a session that sends nonsense, and it is right to: but the nonsense of one
 * caller must not cost the others of his process their session. So whatever the broker would take
 * for a fault is found here, and answered to him alone.
 */
bool engine_is_one_sided(const struct shmc_request *request)
{
	return request->operation == SHMC_OP_GET || request->operation == SHMC_OP_READ ||
		request->operation == SHMC_OP_EXISTS;
}

static int check_put(const struct shmc_request *q)
{
	if (!q->value_size || (q->options.flags & ~SHMC_IF_ABSENT) ||
		q->options.tier > SHMC_TIER_CXL)
		return -EINVAL;
	if (q->operation == SHMC_OP_PUT && !q->value)
		return -EINVAL;
	return q->value_size > SHMC_VALUE_SIZE_MAX ? -EFBIG : 0;
}

int engine_check(const struct shmc_request *q)
{
	switch ((int)q->operation) {
	case SHMC_OP_PING:
	case SHMC_OP_ABORT:
		return 0;
	case SHMC_OP_COMMIT:
		return q->reservation.data ? 0 : -EINVAL;
	case ENGINE_OP_FLUSH:
		return q->key_size > SHMC_KEY_SIZE_MAX || (q->key_size && !q->key) ? -EINVAL : 0;
	case SHMC_OP_GET:
	case SHMC_OP_DELETE:
	case SHMC_OP_TOUCH:
	case SHMC_OP_EXISTS:
	case SHMC_OP_PIN:
	case SHMC_OP_UNPIN:
	case SHMC_OP_READ:
	case SHMC_OP_PUT:
	case SHMC_OP_RESERVE:
	case SHMC_OP_FETCH:
	case SHMC_OP_PREFETCH:
		break;
	default:
		return -EINVAL;
	}
	if (!key_is_valid(q->key, q->key_size))
		return -EINVAL;
	if (q->operation == SHMC_OP_READ)
		return q->value || !q->value_size ? 0 : -EINVAL;
	if (q->operation == SHMC_OP_PUT || q->operation == SHMC_OP_RESERVE)
		return check_put(q);
	if (q->operation == SHMC_OP_FETCH || q->operation == SHMC_OP_PREFETCH)
		return q->fetch.write_back > SHMC_WRITE_BACK_OFF ? -EINVAL : 0;
	return 0;
}

static int read_start(struct lane *lane, struct shmc_request *q)
{
	uint64_t hash = engine_progress(q)->is_tracked ?
		engine_progress(q)->hash : reader_hash(&lane->reader, q->key, q->key_size);

	switch (q->operation) {
	case SHMC_OP_GET:
		return read_get(lane, q->key, q->key_size, hash, &q->view);
	case SHMC_OP_READ:
		return read_copy(lane, q->key, q->key_size, hash, q->value, q->value_size,
			&q->value_size);
	default:
		return read_exists(lane, q->key, q->key_size, hash);
	}
}

int engine_stage(struct lane *lane, const struct shmc_request *q, bool with_value,
	struct submission *s, uint32_t *block)
{
	uint64_t value_off, size;

	*block = STAGING_NONE;
	s->key_size = (uint16_t)q->key_size;
	s->staging_off = 0;
	value_off = submission_value_off(s);
	size = with_value ? value_off + q->value_size : value_off;
	if (!size)
		return 0; /* the prefix of all */
	*block = staging_alloc(&lane->engine.staging, size, &s->staging_off);
	if (*block == STAGING_NONE)
		return ENGINE_FULL;
	memcpy(lane->staging + s->staging_off, q->key, q->key_size);
	if (with_value)
		memcpy(lane->staging + s->staging_off + value_off, q->value, q->value_size);
	return 0;
}

static int keyed_start(struct lane *lane, struct shmc_request *q, struct submission *s)
{
	uint32_t block;
	int r;

	r = engine_stage(lane, q, s->operation == ABI_OP_PUT, s, &block);
	if (!r)
		engine_push(lane, q, s, block);
	return r;
}

/* COMMIT and ABORT. Of another broker's reservation nothing is left but the map. */
static int reserved_start(struct lane *lane, struct shmc_request *q)
{
	const uint64_t *reserved = q->reservation.reserved;
	const struct session *session = (const struct session *)(uintptr_t)reserved[2];

	if (!q->reservation.data || session->serial != lane->serial)
		engine_finish(lane, q, q->reservation.data ? SHMC_GONE : 0);
	else
		engine_push_reserved(lane, q,
			q->operation == SHMC_OP_COMMIT ? ABI_OP_COMMIT : ABI_OP_ABORT, reserved[1]);
	return 0;
}

void engine_put_words(const struct shmc_request *q, struct submission *s)
{
	s->flags = q->options.flags & SHMC_IF_ABSENT ? SUBMISSION_IF_ABSENT : 0;
	s->tier = q->options.tier;
	s->priority = q->options.priority;
	s->position = q->options.position;
	s->group = q->options.group;
	s->argument = q->options.ttl_ms;
	s->value_size = (uint32_t)q->value_size;
}

int engine_start(struct lane *lane, struct shmc_request *q)
{
	struct submission s = {0};

	if (engine_is_one_sided(q)) {
		engine_finish(lane, q, read_start(lane, q));
		return 0;
	}
	if (q->operation == SHMC_OP_FETCH || q->operation == SHMC_OP_PREFETCH)
		return engine_fetch_start(lane, q);
	/* One place is left empty, see engine.c. */
	if (ring_in_flight(&lane->ring) + 1 >= lane->ring.n_queue)
		return ENGINE_FULL;
	switch ((int)q->operation) {
	case SHMC_OP_COMMIT:
	case SHMC_OP_ABORT:
		return reserved_start(lane, q);
	case SHMC_OP_PUT:
		if (engine_put_is_large(lane, q))
			return engine_put_start(lane, q);
		s.operation = ABI_OP_PUT;
		engine_put_words(q, &s);
		break;
	case SHMC_OP_RESERVE:
		/* The broker would grant it, for WRITEs; but this block could not be written to. */
		if (lane->session->role != WIRE_ROLE_WRITER) {
			engine_finish(lane, q, -EACCES);
			return 0;
		}
		s.operation = ABI_OP_RESERVE;
		engine_put_words(q, &s);
		break;
	case SHMC_OP_DELETE:
		s.operation = ABI_OP_DELETE;
		s.flags = q->options.flags & SHMC_CLUSTER ? SUBMISSION_CLUSTER : 0;
		break;
	case SHMC_OP_TOUCH:
		s.operation = ABI_OP_TOUCH;
		s.argument = q->options.ttl_ms;
		break;
	case SHMC_OP_PIN:
		s.operation = ABI_OP_PIN;
		s.argument = q->limit_ms;
		break;
	case SHMC_OP_UNPIN:
		s.operation = ABI_OP_UNPIN;
		break;
	case ENGINE_OP_FLUSH:
		s.operation = ABI_OP_FLUSH;
		break;
	default:
		s.operation = ABI_OP_PING;
		engine_push(lane, q, &s, STAGING_NONE);
		return 0;
	}
	return keyed_start(lane, q, &s);
}
