/* SPDX-License-Identifier: Apache-2.0 */
/* recall.c: names are known until their time, bounded, and no other is. */
#include "shmcache/remote/recall.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static XXH128_hash_t name_of(uint64_t i)
{
	return XXH3_128bits(&i, sizeof(i));
}

static void names_are_known_until_their_time(void **state)
{
	struct recall r;

	(void)state;
	assert_int_equal(recall_init(&r, 64), 0);
	assert_false(recall_knows(&r, name_of(1), 0));
	recall_note(&r, name_of(1), 100, 10);
	assert_true(recall_knows(&r, name_of(1), 99));
	assert_false(recall_knows(&r, name_of(1), 100));
	assert_false(recall_knows(&r, name_of(2), 99));
	recall_note(&r, name_of(1), 50, 10); /* not for a shorter time */
	assert_true(recall_knows(&r, name_of(1), 99));
	recall_note(&r, name_of(1), 200, 10);
	assert_true(recall_knows(&r, name_of(1), 199));
	recall_forget(&r, name_of(1));
	recall_forget(&r, name_of(2));
	assert_false(recall_knows(&r, name_of(1), 11));
	recall_note(&r, name_of(1), 10, 10); /* no time at all */
	assert_false(recall_knows(&r, name_of(1), 0));
	recall_deinit(&r);
}

/* What is noted for the same while before is forgotten, what is noted behind is not. */
static void all_are_forgotten_at_once(void **state)
{
	struct recall r;

	(void)state;
	assert_int_equal(recall_init(&r, 64), 0);
	recall_note(&r, name_of(1), 110, 10);
	recall_note(&r, name_of(2), 120, 20);
	recall_forget_all(&r, 120);
	assert_false(recall_knows(&r, name_of(1), 20));
	assert_false(recall_knows(&r, name_of(2), 20));
	recall_note(&r, name_of(1), 121, 21);
	assert_true(recall_knows(&r, name_of(1), 21));
	recall_forget_all(&r, 50); /* of an earlier time: nothing more */
	assert_true(recall_knows(&r, name_of(1), 120));
	assert_false(recall_knows(&r, name_of(2), 20));
	recall_deinit(&r);
}

/* One half of a name is not the name: who finds two keys that share it must not hide one. */
static void all_of_a_name_counts(void **state)
{
	XXH128_hash_t a = name_of(1), b = a, c = a;
	struct recall r;

	(void)state;
	b.high64++;
	c.low64 ^= UINT64_C(1) << 63;
	assert_int_equal(recall_init(&r, 64), 0);
	recall_note(&r, a, 100, 10);
	assert_false(recall_knows(&r, b, 50));
	assert_false(recall_knows(&r, c, 50));
	recall_forget(&r, b);
	assert_true(recall_knows(&r, a, 50));
	recall_deinit(&r);
}

static void what_ends_first_gives_way(void **state)
{
	enum { N = 1000 };
	unsigned n_old = 0, n_new = 0;
	struct recall r;

	(void)state;
	assert_int_equal(recall_init(&r, N), 0);
	for (uint64_t i = 0; i < 4 * N; i++)
		recall_note(&r, name_of(i), 1000 + i, 10);
	for (uint64_t i = 0; i < 4 * N; i++)
		*(i < 3 * N ? &n_old : &n_new) += recall_knows(&r, name_of(i), 500);
	assert_in_range(n_old + n_new, 1, 1024);
	assert_true(n_new > 700);
	/* Of a full line the last that came is always known. */
	recall_note(&r, name_of(9999999), 1, 0);
	recall_note(&r, name_of(9999999), 99999, 10);
	assert_true(recall_knows(&r, name_of(9999999), 500));
	recall_deinit(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_known_until_their_time),
		cmocka_unit_test(all_are_forgotten_at_once),
		cmocka_unit_test(all_of_a_name_counts),
		cmocka_unit_test(what_ends_first_gives_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
