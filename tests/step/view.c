/* SPDX-License-Identifier: Apache-2.0 */
/* view.c: what is held stays, whoever the broker is. */
#include "tests/step/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/*
 * Clients outlive their broker, and so do their hold cells: a client that reads a value when the
 * broker is killed reads on. So whatever the last instruction was, the next broker has to find the
 * record, published still or retired, with its number, its place and its bytes, and keep it until
 * it is let go. It can't do so when the record was not marked before the slot ceased to name it.
 */
#define FIRST 20000 /* of the keys that come later */

void view_take(struct view *view, struct rig *rig, uint64_t key, uint64_t seed, uint64_t size)
{
	uint32_t cell = rig_cell(rig, key);
	const struct abi_record *r = &rig->store.index.cell[cell];
	uint8_t bytes[ABI_KEY_SIZE_MAX];

	assert_int_not_equal(cell, 0);
	view->word = abi_word(cell, r->generation, rig_index_key(rig, key, bytes).hash);
	view->seed = seed;
	view->size = size;
	view->off = r->value_off;
	view->tier = r->tier;
	view_resume(view, rig);
}

void view_resume(const struct view *view, struct rig *rig)
{
	/* partner: the acquire of the rig's scan */
	shared_u64_store_release(&rig->held[0], view->word);
}

void view_check(const struct view *view, struct rig *rig, const char *where)
{
	uint32_t cell = abi_word_cell(view->word);
	const struct index *ix = &rig->store.index;
	const struct abi_record *r = &ix->cell[cell];

	if (!view->word)
		return;
	if (ix->meta[cell].state != INDEX_PUBLISHED && ix->meta[cell].state != INDEX_RETIRED)
		fail_msg("%s: what is held is given away", where);
	if ((r->generation & 0xffff) != abi_word_generation(view->word) || r->tier != view->tier ||
		r->value_off != view->off || r->value_size != view->size)
		fail_msg("%s: the record of what is held is another", where);
	if (!rig_is_filled(rig_value(rig, cell), view->size, view->seed))
		fail_msg("%s: what is held has other bytes", where);
}

/* Of the same size, so that the next would fit where the viewed one lies. */
static void press(const struct view *view, struct rig *rig, const char *where)
{
	uint64_t i;

	for (i = FIRST; !shared_u64_load(&rig->w.counter[ABI_COUNTER_EVICTIONS]); i++)
		if (rig_put(rig, i, i, view->size) != ABI_STATUS_OK)
			fail_msg("%s: beside what is held there is no room", where);
}

/* All that is not free in @tier is some entry's. */
static void check_none_lost(struct rig *rig, const struct tier *tier, const char *where)
{
	const struct index *ix = &rig->store.index;
	struct block_stats st;
	uint64_t size = 0;
	uint32_t cell;

	if (!tier->region)
		return;
	for (cell = 1; cell < ix->n_cells; cell++)
		if (ix->meta[cell].state == INDEX_PUBLISHED &&
			store_tier_of(&rig->store, cell) == tier)
			size += store_block_size(&rig->store, cell);
	block_stats_get(tier->blocks, &st);
	if (st.used != size)
		fail_msg("%s: %llu bytes are used, and the entries have %llu", where,
			(unsigned long long)st.used, (unsigned long long)size);
}

void view_release(const struct view *view, struct rig *rig, const char *where)
{
	unsigned i;

	if (!view->word)
		return;
	press(view, rig, where);
	view_check(view, rig, where);
	rig_let_go(&rig->held[0]);
	rig_drain(rig);
	if (rig->store.limbo.n)
		fail_msg("%s: what was let go is not free", where);
	for (i = 0; i < ABI_TIERS; i++)
		check_none_lost(rig, &rig->store.tier[i], where);
	rig_check(rig);
}
