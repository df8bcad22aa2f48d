/* SPDX-License-Identifier: Apache-2.0 */
/* hold.c: finding a free hold cell when the nearest is taken. */
#include "clients/lib/hold.h"

/*
 * The common pattern is get, use, release: the cell under the cursor is free again at each get,
 * stays in the cache, and this file is not reached. It is for those who keep views.
 *
 * The broker scans all cells below @used in each reclaim round, so @used should not grow without
 * need. The cursor walks in circles below it and looks at a few cells at a time; only where all
 * of these are taken is one more cell put to use. A program that keeps k views, whatever the
 * order in which it lets go of them, thus settles at little more than k cells, and pays a
 * constant price for each. The full search is for a table whose every cell is in use, where the
 * alternative is an error.
 */
#define HOLD_LOOK 16

static struct shared_u64 *look(struct hold_table *t, uint32_t n)
{
	for (; n; n--) {
		t->cursor = t->cursor + 1 < t->used ? t->cursor + 1 : 0;
		/* acquire: as in hold_table_free_cell() */
		if (!shared_u64_load_acquire(&t->cell[t->cursor]))
			return &t->cell[t->cursor];
	}
	return NULL;
}

struct shared_u64 *hold_table_search(struct hold_table *t)
{
	struct shared_u64 *cell = look(t, t->used < HOLD_LOOK ? t->used : HOLD_LOOK);

	if (cell)
		return cell;
	if (t->used == t->n_cells)
		return look(t, t->n_cells);
	t->cursor = t->used++;
	/*
	 * Release: before the word that will be stored in the cell. Partner: the broker's acquire
	 * of the number before its scan.
	 */
	shared_u64_store_release(t->used_shared, t->used);
	return &t->cell[t->cursor];
}

void hold_table_init(struct hold_table *t, struct shared_u64 *cell, uint32_t n_cells,
	struct shared_u64 *used_shared)
{
	uint64_t used = shared_u64_load(used_shared);

	t->cell = cell;
	t->n_cells = n_cells;
	t->used_shared = used_shared;
	t->used = used && used <= n_cells ? (uint32_t)used : 1;
	t->cursor = 0;
	shared_u64_store_release(used_shared, t->used);
}

int hold_table_is_empty(const struct hold_table *t)
{
	uint32_t i;

	for (i = 0; i < t->used; i++)
		/*
		 * acquire: what the holder read is read before the map goes; partner:
		 * hold_clear()
		 */
		if (shared_u64_load_acquire(&t->cell[i]))
			return 0;
	return 1;
}
