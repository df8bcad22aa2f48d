/* SPDX-License-Identifier: Apache-2.0 */
/* submission.h: a request as the eight words of a ring slot, packed and unpacked. */
#ifndef IPC_SUBMISSION_H
#define IPC_SUBMISSION_H

#include <stdint.h>

#include "ipc/abi.h"

#define SUBMISSION_IF_ABSENT (1U << 0)
#define SUBMISSION_PREFETCH (1U << 1) /* FETCH: into the cache, and nothing to the client */
#define SUBMISSION_WRITE_BACK_SHIFT 2 /* FETCH, 3 bits: enum abi_write_back + 1; 0: as configured */
#define SUBMISSION_WRITE_BACK_MASK (7U << SUBMISSION_WRITE_BACK_SHIFT)
#define SUBMISSION_CLUSTER (1U << 5) /* DELETE: at all brokers */

/*
 * A request in private memory.
 *
 *	word 0  | key_size:16 | 0:8 | priority:8 | tier:8 | flags:8 | 0:8 | operation:8 |  (high..low)
 *	word 1  | position:32 | id:32 |
 *	word 2  | value_size:32 | staging_off:32 |
 *	word 3  | argument |
 *	word 4  | group |
 *	word 5  | when it was handed over, ms of CLOCK_MONOTONIC, or 0 |
 *	word 6  0
 *	word 7  sequence = ring position + 1
 */
struct submission {
	uint8_t operation;    /* enum abi_operation */
	uint8_t flags;	      /* SUBMISSION_... */
	uint8_t tier;	      /* enum abi_tier, a hint */
	uint8_t priority;
	uint16_t key_size;
	uint32_t id;	      /* comes back in the completion */
	uint32_t position;    /* in the group */
	uint32_t staging_off; /* of the key; the value follows at submission_value_off() */
	uint32_t value_size;
	uint64_t argument; /* PUT, RESERVE, TOUCH: ttl in ms; PIN: limit in ms; WRITE, COMMIT, ABORT:
			    * the reservation; FETCH: deadline in ms from now, 0: as configured */
	uint64_t group;	   /* WRITE: offset in the value; FETCH: the batch, unique in its lane; 0: none.
			    * @position: in the batch, ascending; @value_size: how many of the batch
			    * are submitted in all, those between were found by the client */
	uint64_t since_ms; /* when it was handed over, coarse; for inspectors alone; 0: not told */
};

struct completion {
	uint32_t id;
	uint32_t status;    /* enum abi_status */
	uint64_t result[2]; /* RESERVE: reservation, submission_location(); FLUSH: count; DELETE of
			     * CLUSTER: brokers told, brokers not told; FETCH: see submission_is_delivered(),
			     * in a MISS enum abi_fetch_miss */
};

/* Where in the staging area the value of a PUT begins; a WRITE has no key. */
static inline uint64_t submission_value_off(const struct submission *s)
{
	return (uint64_t)s->staging_off + ((s->key_size + 7U) & ~7U);
}

/* Tier and offset of a reserved block in one word. */
static inline uint64_t submission_location(unsigned tier, uint64_t off)
{
	return (uint64_t)tier << 56 | off;
}

/*
 * What a FETCH that is OK brought. Nothing in result 1: it is published, look it up. Else an open
 * record that no slot will ever name: result 0 is the word for a hold cell, result 1 the
 * reservation, which is given up with ABORT, and then the record is as one that was deleted: there
 * until no hold names it.
 */
static inline int submission_is_delivered(const struct completion *c)
{
	return c->status == ABI_STATUS_OK && c->result[1];
}

/* enum abi_write_back + 1, or 0 */
static inline unsigned submission_write_back(const struct submission *s)
{
	return (s->flags & SUBMISSION_WRITE_BACK_MASK) >> SUBMISSION_WRITE_BACK_SHIFT;
}

/*
 * Write @s to the slot of ring position @position and hand it over: the sequence goes last, with
 * release. By the lane's thread alone; the slot must be free (see ring.h).
 */
void submission_publish(struct abi_submission *slot, uint64_t position, const struct submission *s);

/* Has the client published position @position in @slot? Acquire; partner: submission_publish(). */
static inline int submission_is_there(const struct abi_submission *slot, uint64_t position)
{
	return shared_u64_load_acquire(&slot->word[7]) == position + 1;
}

/* Where its bytes are likely to be: a hint, to fetch them early, never to be read by. */
static inline uint32_t submission_staging_off(const struct abi_submission *slot)
{
	return (uint32_t)shared_u64_load(&slot->word[2]);
}

/* When it was handed over: the client's word, for inspectors. */
static inline uint64_t submission_since_ms(const struct abi_submission *slot)
{
	return shared_u64_load(&slot->word[5]);
}

/*
 * Copy a slot to private memory: one load a word, so that what gets validated is what gets used.
 * Returns 0, or the fault when a field that must be zero isn't, or has no such value. The ranges
 * are the broker's to check against its geometry.
 */
enum abi_fault submission_snapshot(const struct abi_submission *slot, struct submission *s);

/*
 * The same for a place that inspectors look at (struct abi_lane_response). Show @s, in a place that
 * is free; and have it free again. By the broker. Seen: 1 with a copy, what position it was taken
 * from, and what submission_snapshot() would say of it; 0: the place is free, or was meanwhile.
 */
void submission_show(struct abi_submission *place, uint64_t position, const struct submission *s);
static inline void submission_hide(struct abi_submission *place)
{
	/* What was done before counts: an answer. Partner: the acquire in submission_seen() */
	shared_u64_store_release(&place->word[7], 0);
}
int submission_seen(const struct abi_submission *place, uint64_t *position, struct submission *s,
	enum abi_fault *flaw);

/* Completions; the client trusts their writer. */
static inline void completion_publish(
	struct abi_completion *slot, uint64_t position, const struct completion *c)
{
	shared_u64_store(&slot->id_status, (uint64_t)c->status << 32 | c->id);
	shared_u64_store(&slot->result[0], c->result[0]);
	shared_u64_store(&slot->result[1], c->result[1]);
	/* partner: the acquire in completion_take() */
	shared_u64_store_release(&slot->sequence, position + 1);
}

/* 1 and a copy when position @position is there, else 0. */
static inline int completion_take(
	const struct abi_completion *slot, uint64_t position, struct completion *c)
{
	uint64_t id_status;

	/* partner: the release in completion_publish() */
	if (shared_u64_load_acquire(&slot->sequence) != position + 1)
		return 0;
	id_status = shared_u64_load(&slot->id_status);
	c->id = (uint32_t)id_status;
	c->status = (uint32_t)(id_status >> 32);
	c->result[0] = shared_u64_load(&slot->result[0]);
	c->result[1] = shared_u64_load(&slot->result[1]);
	return 1;
}

#endif
