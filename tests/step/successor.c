/* SPDX-License-Identifier: Apache-2.0 */
/* successor.c: what a broker that was killed leaves to the next. */
#include "tests/step/successor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/step/books.h"

#define PROBE (SCENE_KEYS + 1)

/* Which version of @key is there; any other bytes fail the test. */
static uint8_t version_of(struct rig *rig, uint64_t key, const char *where)
{
	uint32_t cell = rig_cell(rig, key);
	const struct abi_record *r;
	uint8_t v;

	if (!cell)
		return 0;
	r = &rig->store.index.cell[cell];
	for (v = 1; v <= SCENE_VERSIONS; v++)
		if (r->value_size == scene_value_size(key, v) &&
			rig_is_filled(rig_value(rig, cell), r->value_size, scene_value_seed(key, v)))
			return v;
	fail_msg("%s: key %llu has bytes that nobody put", where, (unsigned long long)key);
	return 0;
}

/* Of all that is there. */
static void find_versions(
	struct rig *rig, const char *where, uint64_t key, uint8_t found[SCENE_KEYS])
{
	unsigned i, n = 0;

	for (i = 0; i < scene.n_keys; i++) {
		found[i] = version_of(rig, i, where);
		n += found[i] != 0;
	}
	if (key >= scene.n_keys) {
		found[key] = version_of(rig, key, where);
		n += found[key] != 0;
	}
	if (n != rig->store.index.n_entries)
		fail_msg("%s: %u entries were put, and %llu are there", where, n,
			(unsigned long long)rig->store.index.n_entries);
}

static void check_works(struct rig *rig, const char *where)
{
	char why[256] = "";

	if (rig_put(rig, PROBE, 7, 100) != ABI_STATUS_OK || rig_get(rig, PROBE, 7, 100) != 100 ||
		rig_delete(rig, PROBE) != ABI_STATUS_OK || rig_cell(rig, PROBE))
		fail_msg("%s: what is left takes no more values", where);
	store_reclaim(&rig->store, &rig->w);
	if (store_check(&rig->store, why, sizeof(why)))
		fail_msg("%s: and then, %s", where, why);
}

/* Until nobody views anything, and all that no entry has is free. */
static void check_rest(struct rig *rig, const char *where)
{
	char why[256] = "";

	view_press(&scene.told->view, rig, where);
	rig_let_go(&rig->held[0]);
	if (books_at_rest(rig, why, sizeof(why)))
		fail_msg("%s: at rest, %s", where, why);
}

void successor_look(const char *where, uint64_t key, uint8_t found[SCENE_KEYS])
{
	static struct rig again;
	char why[256] = "";

	scene_rig(&again);
	if (rig_try_open(&again, true))
		fail_msg("%s: no start: %s", where, again.why);
	view_resume(&scene.told->view, &again);
	if (!again.opened.warm)
		fail_msg("%s: no warm start: %s", where, again.opened.cold_why);
	/* A block that two claim is given to one of them, and the other forgotten. */
	if (again.opened.n_overlapping)
		fail_msg("%s: %llu records claimed what is another's", where,
			(unsigned long long)again.opened.n_overlapping);
	if (store_check(&again.store, why, sizeof(why)) || books_disjoint(&again, why, sizeof(why)))
		fail_msg("%s: %s", where, why);
	find_versions(&again, where, key, found);
	view_check(&scene.told->view, &again, where);
	check_works(&again, where);
	check_rest(&again, where);
	rig_close(&again);
}
