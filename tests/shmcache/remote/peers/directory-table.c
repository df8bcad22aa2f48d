/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of directory-table.c: against a plain array by chance, and full. */
#include "shmcache/remote/peers/directory-table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static XXH128_hash_t key_name(unsigned key)
{
	return XXH3_128bits(&key, sizeof(key));
}

#define TABLE_KEYS 3000
#define TABLE_HOLDERS 3

static struct truth {
	uint32_t generation;
	bool is_there, is_old; /* old: told of before the last AGAIN */
} truth[TABLE_KEYS][TABLE_HOLDERS];

/* All that a holder told of is void, will be unless it is told again, or is if it was not. */
static void turn_page(struct directory_table *t, unsigned holder, unsigned how)
{
	static void (*const turns[])(struct directory_table *, uint16_t) = {
		directory_table_void, directory_table_again, directory_table_done};
	unsigned key;

	turns[how](t, (uint16_t)holder);
	for (key = 0; key < TABLE_KEYS; key++) {
		struct truth *at = &truth[key][holder];

		at->is_there &= how && !at->is_old;
		at->is_old = how == 1 && at->is_there;
	}
}

static unsigned n_true_of(unsigned holder)
{
	unsigned key, n = 0;

	for (key = 0; key < TABLE_KEYS; key++)
		n += truth[key][holder].is_there;
	return n;
}

static void test_table(void **state)
{
	uint16_t holders[8];
	struct directory_table t;
	unsigned i, key, holder, n, n_true;
	bool is_late;

	(void)state;
	printf("seed 7\n");
	srand(7);
	assert_int_equal(directory_table_init(&t, 1 << 20), 0);
	for (i = 0; i < 200000; i++) {
		key = (unsigned)rand() % TABLE_KEYS;
		holder = (unsigned)rand() % TABLE_HOLDERS;
		switch (rand() % 4) {
		case 0:
			/* Perhaps of the record before: too late to say anything. */
			is_late = rand() % 2;
			directory_table_drop(&t, key_name(key), (uint16_t)holder,
				truth[key][holder].generation - is_late);
			truth[key][holder].is_there &= is_late;
			break;
		case 1:
			if (!(rand() % 500))
				turn_page(&t, holder, (unsigned)rand() % 3);
			break;
		default:
			directory_table_note(&t, key_name(key), (uint16_t)holder,
				++truth[key][holder].generation);
			truth[key][holder].is_there = true;
			truth[key][holder].is_old = false;
		}
		if (i % 16 == 0)
			assert_int_equal(directory_table_n_of(&t, (uint16_t)holder), n_true_of(holder));
		key = (unsigned)rand() % TABLE_KEYS;
		n = directory_table_find(&t, key_name(key), holders, 8);
		for (n_true = holder = 0; holder < TABLE_HOLDERS; holder++)
			n_true += truth[key][holder].is_there;
		assert_int_equal(n, n_true);
		while (n--)
			assert_true(truth[key][holders[n]].is_there);
	}
	assert_true(directory_table_size(&t) <= 1 << 20);
	directory_table_deinit(&t);
}

/* Full: the oldest make way, the newest are there, and it grows no more. */
static void test_table_full(void **state)
{
	struct directory_table t;
	unsigned i, n, n_max = (64U << 10) / 36;
	uint16_t holder;

	(void)state;
	assert_int_equal(directory_table_init(&t, (64 << 10) - 1), -22);
	assert_int_equal(directory_table_init(&t, 64 << 10), 0);
	for (i = 0; i < 20 * n_max; i++)
		directory_table_note(&t, key_name(i), 5, 1);
	assert_true(directory_table_size(&t) <= 64 << 10);
	assert_int_equal(directory_table_n_of(&t, 5), t.n_used);
	for (n = 0, i = 20 * n_max - n_max / 2; i < 20 * n_max; i++)
		n += directory_table_find(&t, key_name(i), &holder, 1);
	assert_int_equal(n, n_max / 2);
	for (n = 0, i = 0; i < 10 * n_max; i++)
		n += directory_table_find(&t, key_name(i), &holder, 1);
	assert_int_equal(n, 0);
	directory_table_deinit(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_table_full),
	};

	return cmocka_run_group_tests_name("directory-table", tests, NULL, NULL);
}
