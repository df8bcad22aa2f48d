/* SPDX-License-Identifier: Apache-2.0 */
/* hold.h: the hold cells of a lane, and which of them is free. */
#ifndef CLIENTS_LIB_HOLD_H
#define CLIENTS_LIB_HOLD_H

#include <stddef.h>
#include <stdint.h>

#include "clients/lib/compiler.h"
#include "ipc/shared.h"

/*
 * The cells are claimed by the lane's thread alone and cleared by any thread. The broker scans the
 * first @used of them, as it reads in shared memory.
 */
struct hold_table {
	struct shared_u64 *cell;
	struct shared_u64 *used_shared; /* abi_lane_request.holds_used */
	uint32_t n_cells;
	uint32_t used;	 /* our copy of it, at least 1 */
	uint32_t cursor; /* below @used: where the last free cell was */
};

/* Take over cells as the last owner left them: those that still name a record stay held. */
void hold_table_init(struct hold_table *t, struct shared_u64 *cell, uint32_t n_cells,
	struct shared_u64 *used_shared);

struct shared_u64 *hold_table_search(struct hold_table *t);

/*
 * A free cell, or NULL when all are taken. It is the caller's by his storing a word there, and
 * nothing otherwise: asking twice gives the same one.
 */
static hot_inline struct shared_u64 *hold_table_free_cell(struct hold_table *t)
{
	struct shared_u64 *cell = &t->cell[t->cursor];

	/*
	 * Acquire; partner: hold_clear(), perhaps by another thread. The broker may never see that
	 * 0, but only what we store over it; so what its writer has done with is to come before.
	 */
	if (likely(!shared_u64_load_acquire(cell)))
		return cell;
	return hold_table_search(t);
}

/* Store a word in a free cell. Release, see above; partner: the broker's acquire in its scan. */
static hot_inline void hold_set(struct shared_u64 *cell, uint64_t word)
{
	shared_u64_store_release(cell, word);
}

/*
 * Clear a cell; the last that its holder does with the record. Release: the loads from the record
 * and its value come before. Partner: the broker's acquire in its scan of the cells.
 */
static hot_inline void hold_clear(struct shared_u64 *cell)
{
	shared_u64_store_release(cell, 0);
}

/* 1 when no cell names a record. */
int hold_table_is_empty(const struct hold_table *t);

#endif
