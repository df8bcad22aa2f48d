// SPDX-License-Identifier: Apache-2.0
/* memo.c - what was put is taken once; strangers are rare; the newest stay. */
#include "shmcache/policy/memo.h"
#include "tests/shmcache/policy/common.h"

static uint32_t hash32(uint32_t key)
{
	return (uint32_t)test_hash(key);
}

static void test_take_once(void **state)
{
	struct memo m;

	(void)state;
	assert_int_equal(memo_init(&m, 1000), 0);
	assert_int_equal(memo_take(&m, hash32(1)), 0);
	memo_put(&m, hash32(1), 3); /* not fitted yet: forgotten */
	assert_int_equal(memo_take(&m, hash32(1)), 0);
	memo_fit(&m, 100);
	for (uint32_t key = 1; key <= 20; key++)
		memo_put(&m, hash32(key), 1 + key % 7);
	for (uint32_t key = 1; key <= 20; key++) {
		assert_int_equal(memo_take(&m, hash32(key)), 1 + key % 7);
		assert_int_equal(memo_take(&m, hash32(key)), 0);
	}
	memo_deinit(&m);
}

/* In one set: the 16 newest, in spite of one taken from among them. */
static void test_newest_stay(void **state)
{
	struct memo m;

	(void)state;
	assert_int_equal(memo_init(&m, 2), 0);
	memo_fit(&m, 1);
	for (uint32_t key = 0; key < 20; key++)
		memo_put(&m, key, 7);
	for (uint32_t key = 0; key < 4; key++)
		assert_int_equal(memo_take(&m, key), 0);
	assert_int_equal(memo_take(&m, 10), 7);
	memo_put(&m, 20, 1);
	for (uint32_t key = 4; key < 20; key++)
		assert_int_equal(memo_take(&m, key), key == 10 ? 0 : 7);
	assert_int_equal(memo_take(&m, 20), 1);
	memo_deinit(&m);
}

static void test_fit(void **state)
{
	enum { N = 100000 };
	unsigned n_known = 0, n_strangers = 0;
	struct memo m;

	(void)state;
	assert_int_equal(memo_init(&m, N), 0);
	memo_fit(&m, N);
	for (uint32_t key = 0; key < N; key++)
		memo_put(&m, hash32(key), 5);
	memo_fit(&m, N - N / 4); /* little change: all is kept */
	assert_true(memo_books_size(&m) <= 2 * N + 8192);
	for (uint32_t key = N; key < 2 * N; key++)
		n_strangers += memo_take(&m, hash32(key)) != 0;
	for (uint32_t key = 0; key < N; key++)
		n_known += memo_take(&m, hash32(key)) == 5;
	/* sets fill unevenly: a tenth is pushed out early */
	assert_in_range(n_known, N * 80 / 100, N);
	assert_in_range(n_strangers, 1, N / 250);
	memo_put(&m, hash32(1), 5);
	memo_fit(&m, N / 4); /* a large change: all is forgotten */
	assert_int_equal(memo_take(&m, hash32(1)), 0);
	assert_true(memo_books_size(&m) <= 2 * 4096);
	memo_deinit(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_take_once),
		cmocka_unit_test(test_newest_stay),
		cmocka_unit_test(test_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
