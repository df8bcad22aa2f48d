/* SPDX-License-Identifier: Apache-2.0 */
/* staging.c: blocks never overlap, and room comes back whatever the order of the freeing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clients/lib/staging.h"

enum { SIZE = 64 << 10, BLOCKS = 16 };

static int setup(void **state)
{
	struct staging *s = malloc(sizeof(*s));

	*state = s;
	return s && staging_init(s, SIZE, BLOCKS) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	staging_deinit(*state);
	free(*state);
	return 0;
}

static void all_of_it_fits_when_idle(void **state)
{
	struct staging *s = *state;
	uint32_t off = 1, block, a, b;

	block = staging_alloc(s, SIZE, &off);
	assert_int_not_equal(block, STAGING_NONE);
	assert_int_equal(off, 0);
	assert_int_equal(staging_alloc(s, 1, &off), STAGING_NONE);
	staging_free(s, block);

	/* From the middle as well: an empty ring starts again at 0. */
	a = staging_alloc(s, 1000, &off);
	b = staging_alloc(s, 1000, &off);
	assert_int_equal(off % 64, 0);
	staging_free(s, b);
	assert_int_equal(staging_alloc(s, SIZE, &off), STAGING_NONE);
	staging_free(s, a);
	block = staging_alloc(s, SIZE, &off);
	assert_int_not_equal(block, STAGING_NONE);
	assert_int_equal(off, 0);
}

static void refuses_what_can_never_fit(void **state)
{
	uint32_t off;

	assert_int_equal(staging_alloc(*state, SIZE + 1, &off), STAGING_NONE);
	assert_int_equal(staging_alloc(*state, 0, &off), STAGING_NONE);
	assert_int_equal(staging_alloc(*state, UINT64_MAX, &off), STAGING_NONE);
	staging_free(*state, STAGING_NONE);
}

static void books_are_bounded(void **state)
{
	uint32_t off, i;

	for (i = 0; i < BLOCKS; i++)
		assert_int_not_equal(staging_alloc(*state, 1, &off), STAGING_NONE);
	assert_int_equal(staging_alloc(*state, 1, &off), STAGING_NONE);
}

static void room_waits_for_the_oldest(void **state)
{
	struct staging *s = *state;
	uint32_t off, a, b;

	a = staging_alloc(s, SIZE / 2, &off);
	b = staging_alloc(s, SIZE / 2, &off);
	assert_int_equal(off, SIZE / 2);
	staging_free(s, b);
	assert_int_equal(staging_alloc(s, 64, &off), STAGING_NONE);
	staging_free(s, a);
	assert_int_not_equal(staging_alloc(s, SIZE, &off), STAGING_NONE);
}

static void blocks_do_not_wrap(void **state)
{
	struct staging *s = *state;
	uint32_t off, a, b, c;

	a = staging_alloc(s, SIZE / 2, &off);
	b = staging_alloc(s, SIZE / 4, &off);
	staging_free(s, a);
	/* A quarter is left at the end, a half at the beginning. */
	c = staging_alloc(s, SIZE / 2, &off);
	assert_int_not_equal(c, STAGING_NONE);
	assert_int_equal(off, 0);
	/* Full: the quarter at the end was skipped. */
	assert_int_equal(staging_alloc(s, 1, &off), STAGING_NONE);
	staging_free(s, b);
	assert_int_not_equal(staging_alloc(s, SIZE / 2, &off), STAGING_NONE);
	assert_int_equal(off, SIZE / 2);
}

/* Any sizes in any order: every byte has one owner at most, and nothing is lost in the end. */
static void random_loads_never_overlap(void **state)
{
	struct staging *s = *state;
	struct {
		uint32_t block, off, size;
	} out[BLOCKS];
	uint8_t *owner = calloc(1, SIZE);
	unsigned n = 0, i, j, n_allocs = 0, n_overlaps = 0;
	uint32_t off, size, block;

	srand(1);
	for (i = 0; i < 50000; i++) {
		size = 1 + (uint32_t)rand() % (rand() % 8 ? 3000 : SIZE / 2);
		block = n < BLOCKS ? staging_alloc(s, size, &off) : STAGING_NONE;
		if (block != STAGING_NONE) {
			assert_true(off + size <= SIZE);
			for (j = 0; j < size; j++)
				n_overlaps += owner[off + j];
			memset(owner + off, 1, size);
			out[n].block = block;
			out[n].off = off;
			out[n++].size = size;
			n_allocs++;
		}
		if (n && (block == STAGING_NONE || rand() % 2)) {
			j = (unsigned)rand() % n;
			memset(owner + out[j].off, 0, out[j].size);
			staging_free(s, out[j].block);
			out[j] = out[--n];
		}
	}
	assert_int_equal(n_overlaps, 0);
	assert_true(n_allocs > 20000);
	while (n)
		staging_free(s, out[--n].block);
	assert_int_not_equal(staging_alloc(s, SIZE, &off), STAGING_NONE);
	free(owner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_of_it_fits_when_idle, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_what_can_never_fit, setup, teardown),
		cmocka_unit_test_setup_teardown(books_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(room_waits_for_the_oldest, setup, teardown),
		cmocka_unit_test_setup_teardown(blocks_do_not_wrap, setup, teardown),
		cmocka_unit_test_setup_teardown(random_loads_never_overlap, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
