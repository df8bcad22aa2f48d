/* SPDX-License-Identifier: Apache-2.0 */
/* ring.h: the two rings of a lane, seen from the client: hand over, take back, sleep. */
#ifndef CLIENTS_LIB_RING_H
#define CLIENTS_LIB_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "ipc/abi.h"
#include "ipc/submission.h"

/* By the lane's thread alone. Positions run freely. */
struct ring {
	struct abi_submission *submission;
	const struct abi_completion *completion;
	struct abi_lane_request *request;
	const struct abi_lane_response *response;
	const struct abi_plane *plane;
	uint32_t n_queue; /* power of two */
	uint64_t submitted, announced;
	uint64_t taken, settled;
	uint64_t now_ms; /* as of the first submission of a batch, for those who look from outside */
	bool is_armed; /* need_wakeup is set */
	uint32_t n_waits;
	int doorbell;  /* the lane's */
	int socket;    /* the session's */
};

/* How many submissions have no completion yet. Less than n_queue: one more may be pushed. */
static inline uint32_t ring_in_flight(const struct ring *r)
{
	return (uint32_t)(r->submitted - r->taken);
}

static inline bool ring_has_room(const struct ring *r)
{
	return ring_in_flight(r) < r->n_queue;
}

/*
 * Write a submission, and in it the time; there must be room. The broker may not look before
 * ring_announce().
 */
void ring_push(struct ring *r, struct submission *s);

/* See that the broker looks at what was pushed since the last time. Never blocks. */
void ring_announce(struct ring *r);

/* Is there a completion to take? */
static inline bool ring_is_ready(const struct ring *r)
{
	return shared_u64_load_acquire(&r->completion[r->taken & (r->n_queue - 1)].sequence) ==
		r->taken + 1;
}

/* Take the next completion. Returns whether there was one. */
bool ring_take(struct ring *r, struct completion *c);

/* Tell the broker what was taken: after each batch, and before the thread sleeps or leaves. */
void ring_settle(struct ring *r);

/*
 * Wait for a completion, spinning for @spin_ns before it sleeps. 0; -ETIMEDOUT; -ENOTCONN when the
 * broker hung up and has left none.
 */
int ring_wait(struct ring *r, uint32_t spin_ns, uint64_t deadline);

/*
 * For those who wait elsewhere, on the doorbell. As ring_wait() with a deadline that has passed,
 * but after -ETIMEDOUT the bell is silent, and rings for the next completion until ring_disarm().
 */
int ring_look(struct ring *r);
void ring_disarm(struct ring *r);

#endif
