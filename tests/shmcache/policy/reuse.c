// SPDX-License-Identifier: Apache-2.0
/* reuse.c - what is learned from lives of known lengths. */
#include "shmcache/policy/reuse.h"
#include "tests/shmcache/policy/common.h"

enum { N_RESIDENT = 1000, TICKS = 8 }; /* a read is 8 ticks, say */

static uint32_t hash32(uint32_t key)
{
	return (uint32_t)test_hash(key);
}

static struct reuse *make(void)
{
	struct reuse *u = calloc(1, sizeof(*u));

	assert_non_null(u);
	assert_int_equal(reuse_init(u), 0);
	return u;
}

static void destroy(struct reuse *u)
{
	reuse_deinit(u);
	free(u);
}

static void test_buckets(void **state)
{
	unsigned last = 0, b;

	(void)state;
	assert_int_equal(reuse_age_bucket(0), 0);
	assert_int_equal(reuse_age_bucket(63), 0);
	assert_int_equal(reuse_age_bucket(64), 1);
	assert_int_equal(reuse_age_bucket(95), 1);
	assert_int_equal(reuse_age_bucket(96), 2);
	assert_int_equal(reuse_age_bucket(127), 2);
	assert_int_equal(reuse_age_bucket(128), 3);
	assert_int_equal(reuse_age_bucket(UINT32_MAX), REUSE_N_BUCKETS - 1);
	for (uint32_t age = 0; age < 1 << 24; age++) {
		b = reuse_age_bucket(age);
		assert_in_range(b, last, last + 1);
		last = b;
	}
	assert_int_equal(last, REUSE_N_BUCKETS - 1);
}

/* Nothing known: the longer it rested the less it is worth, which is LRU. */
static void test_prior_is_lru(void **state)
{
	struct reuse *u = make();

	(void)state;
	for (unsigned c = 0; c < REUSE_N_CLASSES; c++) {
		for (unsigned b = 1; b < REUSE_N_BUCKETS; b++)
			assert_true(u->worth[c][b] < u->worth[c][b - 1]);
	}
	destroy(u);
}

/* 1250 keys in a ring, all in class 0: each comes back at 10000 ticks. */
static void test_loop(void **state)
{
	struct reuse *u = make();

	(void)state;
	for (uint32_t i = 0; i < 200000; i++)
		reuse_note(u, hash32(i % 1250), 0, i * TICKS, N_RESIDENT);
	assert_true(reuse_worth(u, 0, 7000) > 2 * reuse_worth(u, 0, 0));
	assert_true(reuse_worth(u, 0, 3000) > reuse_worth(u, 0, 0));
	/* past its time it is worth next to nothing */
	assert_true(reuse_worth(u, 0, 20000) < reuse_worth(u, 0, 0) / 4);
	/* one hit in 10000 ticks is what a newcomer brings, within the prior */
	assert_true(reuse_worth(u, 0, 0) > 0.8f / 12288);
	assert_true(reuse_worth(u, 0, 0) < 1.0f / 8192);
	destroy(u);
}

/*
 * Half come back after 500 reads, the others after 3000: those that rested for
 * longer than the first half does are the others for sure.
 */
static void test_two_ages(void **state)
{
	struct reuse *u = make();
	uint32_t now = 0;

	(void)state;
	for (uint32_t i = 3000; i < 300000; i++) {
		uint32_t late = i / 2 % 2;

		now += TICKS;
		/* keys are used in pairs, and the pair's first use is new */
		if (i % 2)
			reuse_note(u, hash32(i), 0, now, N_RESIDENT);
		else
			reuse_note(u, hash32(i + 1 - 2 * (late ? 1500 : 250)), 1, now,
				N_RESIDENT);
	}
	/* 24000 ticks: what is left comes back in 16384 to 24576 */
	assert_true(reuse_worth(u, 0, 16384) > 0.7f / 8192);
	assert_true(reuse_worth(u, 0, 16384) < 1.0f / 3072);
	/* 4000 ticks, for one in two */
	assert_true(reuse_worth(u, 0, 3072) > 0.3f / 1024);
	assert_true(reuse_worth(u, 0, 3072) < 0.6f / 768);
	destroy(u);
}

/* Class 1 comes back for sure, class 0 never. */
static void test_classes(void **state)
{
	struct reuse *u = make();
	uint32_t now = 0;

	(void)state;
	for (uint32_t i = 0; i < 100000; i++, now += TICKS) {
		reuse_note(u, hash32(1000000 + i), 0, now, N_RESIDENT);
		reuse_note(u, hash32(i % 500), 1, now, N_RESIDENT);
	}
	for (uint32_t age = 0; age < 4000; age += 100)
		assert_true(reuse_worth(u, 1, age) > 20 * reuse_worth(u, 0, age));
	destroy(u);
}

/* However many keys there are, the books stay what they are. */
static void test_sample(void **state)
{
	struct reuse *u = make();
	uint64_t size;

	(void)state;
	for (uint32_t i = 0; i < 3000000; i++)
		reuse_note(u, hash32(i), 0, i, 1000000);
	assert_in_range(u->n, REUSE_N_SLOTS / 4, REUSE_N_SLOTS - 1);
	assert_true(u->shift >= 6);
	size = reuse_books_size(u);
	assert_true(size <= REUSE_N_SLOTS * (sizeof(struct reuse_slot) + 2));
	/* few and large entries now: more of the keys are watched again */
	for (uint32_t i = 0; i < 1000000; i++)
		reuse_note(u, hash32(i % 5000), 0, i, 100);
	assert_int_equal(u->shift, 0);
	assert_true(u->n <= 100 * REUSE_N_CACHES);
	destroy(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buckets),
		cmocka_unit_test(test_prior_is_lru),
		cmocka_unit_test(test_loop),
		cmocka_unit_test(test_two_ages),
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_sample),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
