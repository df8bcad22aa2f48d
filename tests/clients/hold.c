/* SPDX-License-Identifier: Apache-2.0 */
/* hold.c: a free cell is found whenever there is one, and few cells are put to use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clients/lib/hold.h"

enum { CELLS = 256 };

struct fixture {
	struct hold_table table;
	struct shared_u64 cell[CELLS], used;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	hold_table_init(&f->table, f->cell, CELLS, &f->used);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

/* Claim a cell, as a reader does, and see that the broker would find it. */
static struct shared_u64 *claim(struct fixture *f)
{
	struct shared_u64 *cell = hold_table_free_cell(&f->table);

	if (!cell)
		return NULL;
	assert_in_range((uintptr_t)cell, (uintptr_t)f->cell, (uintptr_t)(f->cell + CELLS - 1));
	assert_int_equal(shared_u64_load(cell), 0);
	assert_true((uint64_t)(cell - f->cell) < shared_u64_load(&f->used));
	shared_u64_store(cell, 42);
	return cell;
}

static void the_same_cell_serves_get_and_release(void **state)
{
	struct fixture *f = *state;
	struct shared_u64 *first = claim(f);
	int i;

	hold_clear(first);
	for (i = 0; i < 1000; i++) {
		assert_ptr_equal(claim(f), first);
		hold_clear(first);
	}
	assert_int_equal(shared_u64_load(&f->used), 1);
	assert_true(hold_table_is_empty(&f->table));
}

static void every_cell_can_be_claimed_once(void **state)
{
	struct fixture *f = *state;
	int i;

	for (i = 0; i < CELLS; i++)
		assert_non_null(claim(f));
	assert_null(hold_table_free_cell(&f->table));
	/* Whichever is cleared is found. */
	for (i = 0; i < CELLS; i++) {
		hold_clear(&f->cell[(i * 7919) % CELLS]);
		assert_ptr_equal(claim(f), &f->cell[(i * 7919) % CELLS]);
		assert_null(hold_table_free_cell(&f->table));
	}
	assert_false(hold_table_is_empty(&f->table));
}

/* A program that keeps some views, and lets them go in the order it took them, or in none. */
static void used_settles_near_what_is_kept(void **state)
{
	struct fixture *f = *state;
	struct shared_u64 *kept[32] = {0};
	int i, at;

	srand(1);
	for (i = 0; i < 100000; i++) {
		at = i < 50000 ? i % 32 : rand() % 32;
		if (kept[at])
			hold_clear(kept[at]);
		kept[at] = claim(f);
		assert_non_null(kept[at]);
	}
	assert_in_range(shared_u64_load(&f->used), 32, 64);
}

static void takes_over_what_the_last_owner_holds(void **state)
{
	struct fixture *f = *state;
	struct shared_u64 *kept[3] = {claim(f), claim(f), claim(f)};
	struct hold_table next;
	int i;

	hold_clear(kept[1]);
	hold_table_init(&next, f->cell, CELLS, &f->used);
	assert_int_equal(next.used, 3);
	assert_ptr_equal(hold_table_free_cell(&next), kept[1]);
	for (i = 0; i < 3; i++)
		hold_clear(kept[i]);
	assert_true(hold_table_is_empty(&next));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			the_same_cell_serves_get_and_release, setup, teardown),
		cmocka_unit_test_setup_teardown(every_cell_can_be_claimed_once, setup, teardown),
		cmocka_unit_test_setup_teardown(used_settles_near_what_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(
			takes_over_what_the_last_owner_holds, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
