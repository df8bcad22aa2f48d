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

void view_take_word(
	struct view *view, struct rig *rig, uint64_t word, uint64_t seed, uint64_t size)
{
	const struct abi_record *r = &rig->store.index.cell[abi_word_cell(word)];

	view->seed = seed;
	view->size = size;
	view->off = r->value_off;
	view->tier = r->tier;
	/* Last: whoever looks after a kill sees a whole view, or none. */
	shared_compiler_fence();
	view->word = word;
	view_resume(view, rig);
}

void view_take(struct view *view, struct rig *rig, uint64_t key, uint64_t seed, uint64_t size)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	uint64_t hash = rig_index_key(rig, key, bytes).hash;
	uint32_t cell = rig_cell(rig, key);

	assert_int_not_equal(cell, 0);
	view_take_word(
		view, rig, abi_word(cell, rig->store.index.cell[cell].generation, hash), seed, size);
}

void view_let_go(struct view *view, struct rig *rig)
{
	view->word = 0;
	rig_let_go(&rig->held[0]);
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

void view_press(const struct view *view, struct rig *rig, const char *where)
{
	if (!view->word)
		return;
	press(view, rig, where);
	view_check(view, rig, where);
}
