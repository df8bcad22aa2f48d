/* SPDX-License-Identifier: Apache-2.0 */
/* lane.h: a lane: what one thread, or one queue, has to itself in a session. */
#ifndef CLIENTS_LIB_LANE_H
#define CLIENTS_LIB_LANE_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "clients/lib/engine.h"
#include "clients/lib/reader.h"
#include "clients/lib/ring.h"

struct session;

/*
 * All of it belongs to the owner, a thread or a queue, by its number; 0 is nobody. Whoever turns 0
 * into his number (acquire) may use the lane, and leaves it by storing 0 (release, its partner).
 * Lanes stay open as long as their session: their positions, abandoned requests and holds pass from
 * owner to owner.
 */
struct lane {
	alignas(ABI_APART) struct reader reader;
	uint64_t serial; /* of the session */
	struct session *session;
	struct ring ring;
	struct engine engine;
	uint8_t *staging;
	_Atomic uint64_t owner;
	uint32_t idx;
	atomic_bool is_open;
};

/* Set up lane @idx of @session, with the descriptor @doorbell, which it takes. 0 or -ENOMEM. */
int lane_init(struct lane *lane, struct session *session, uint32_t idx, int doorbell);
/* Nothing for a lane that was never opened. */
void lane_deinit(struct lane *lane);

/* Wait for a completion. As ring_wait(). */
int lane_wait(struct lane *lane, uint64_t deadline);

/* View of a held entry. */
static hot_inline void lane_view(
	const struct lane *lane, const struct reader_entry *e, struct shmc_view *view)
{
	view->data = reader_value(&lane->reader, e->record);
	view->size = e->record->value_size;
	view->reserved[0] = (uintptr_t)e->hold;
	view->reserved[1] = lane->serial;
}

#endif
