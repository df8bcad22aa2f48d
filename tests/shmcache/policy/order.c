// SPDX-License-Identifier: Apache-2.0
/* order.c - CLOCK, S3-FIFO and ARC on sequences computed by hand. */
#include "tests/shmcache/policy/common.h"

enum { SIZE = 100 };

static void put(struct policy *p, uint32_t id)
{
	test_put(p, id, id, SIZE, 0);
}

static void test_clock(void **state)
{
	struct policy *p = test_new("clock", 4 * SIZE, 10);

	(void)state;
	for (uint32_t id = 1; id <= 4; id++)
		put(p, id);
	policy_hit(p, 1);
	policy_hit(p, 1);
	policy_hit(p, 3);
	assert_int_equal(test_pop(p), 2); /* 1 goes round: 3* 4 1 */
	put(p, 5);
	assert_int_equal(test_pop(p), 4); /* 3 goes round: 1 5 3 */
	assert_int_equal(test_pop(p), 1); /* two hits were one bit */
	assert_int_equal(test_pop(p), 5);
	assert_int_equal(test_pop(p), 3);
	assert_int_equal(test_pop(p), 0);
	policy_free(p);
}

static void test_clock_priority(void **state)
{
	struct policy *p = test_new("clock", 4 * SIZE, 10);

	(void)state;
	test_put(p, 1, 1, SIZE, 2);
	put(p, 2);
	assert_int_equal(test_pop(p), 2);
	put(p, 3);
	assert_int_equal(test_pop(p), 3);
	put(p, 4);
	assert_int_equal(test_pop(p), 1); /* both its chances are spent */
	policy_free(p);
}

/* A capacity of 10 entries: S may hold one, G nine. */
static void test_s3fifo(void **state)
{
	struct policy *p = test_new("s3fifo", 10 * SIZE, 20);

	(void)state;
	for (uint32_t id = 1; id <= 10; id++)
		put(p, id);
	policy_hit(p, 1);
	policy_hit(p, 1);
	policy_hit(p, 2);
	/* 1 was read twice and goes on to M, 2 only once and leaves a ghost */
	assert_int_equal(test_pop(p), 2);
	assert_int_equal(test_pop(p), 3);
	/* 2 comes back under another id and goes straight to M: 1 2; who comes after it does not */
	test_put(p, 12, 2, SIZE, 0);
	put(p, 13);
	policy_hit(p, 1);
	for (uint32_t id = 4; id <= 10; id++)
		assert_int_equal(test_pop(p), id);
	assert_int_equal(test_pop(p), 13);
	/* S is empty; 1 has a count of 1 and goes round */
	assert_int_equal(test_pop(p), 12);
	assert_int_equal(test_pop(p), 1);
	assert_int_equal(test_pop(p), 0);
	policy_free(p);
}

/* What leaves M, or is removed, leaves no ghost. */
static void test_s3fifo_no_ghost(void **state)
{
	struct policy *p = test_new("s3fifo", 10 * SIZE, 20);

	(void)state;
	put(p, 1);
	policy_remove(p, 1);
	put(p, 1); /* in S all the same */
	put(p, 2);
	assert_int_equal(test_pop(p), 1);
	put(p, 1); /* now in M */
	put(p, 3);
	assert_int_equal(test_pop(p), 2);
	assert_int_equal(test_pop(p), 3);
	assert_int_equal(test_pop(p), 1);
	put(p, 1); /* in S again */
	put(p, 4);
	assert_int_equal(test_pop(p), 1);
	policy_free(p);
}

/* As many bytes of ghosts as M may have, and what was given up first is a stranger again. */
static void test_s3fifo_forgets(void **state)
{
	struct policy *p = test_new("s3fifo", 10 * SIZE, 40);

	(void)state;
	for (uint64_t key = 1; key <= 10; key++) {
		test_put(p, 1, key, SIZE, 0);
		assert_int_equal(test_pop(p), 1);
	}
	test_put(p, 2, 2, SIZE, 0); /* remembered: M */
	test_put(p, 1, 1, SIZE, 0); /* S */
	assert_int_equal(test_pop(p), 1);
	assert_int_equal(test_pop(p), 2);
	policy_free(p);
}

static uint32_t pop_for(struct policy *p, uint64_t key)
{
	struct policy_entry e = {.hash = test_hash(key), .size = SIZE};
	uint32_t id = policy_victim(p, &e);

	assert_int_equal(policy_victim(p, &e), id);
	policy_evict(p, id);
	return id;
}

static void test_arc(void **state)
{
	struct policy *p = test_new("arc", 4 * SIZE, 20);

	(void)state;
	for (uint32_t id = 1; id <= 4; id++)
		put(p, id);
	policy_hit(p, 1);
	policy_hit(p, 2); /* T1: 3 4, T2: 1 2, p = 0 */
	assert_int_equal(pop_for(p, 5), 3);
	put(p, 5); /* T1: 4 5, B1: 3 */
	assert_int_equal(pop_for(p, 6), 4);
	put(p, 6); /* T1: 5 6, B1: 3 4, T2: 1 2 */
	/* 3 comes back: p = 1, T1 is longer than that, so 5 goes */
	assert_int_equal(pop_for(p, 3), 5);
	put(p, 3); /* T1: 6, T2: 1 2 3, B1: 4 5 */
	/* 4 comes back: p = 2, T1 is shorter, so T2 gives */
	assert_int_equal(pop_for(p, 4), 1);
	put(p, 4); /* T1: 6, T2: 2 3 4, B1: 5, B2: 1 */
	/* 1 comes back: p = 1 and |T1| is exactly p, with B2 that is T1's turn */
	assert_int_equal(pop_for(p, 1), 6);
	put(p, 1);
	assert_int_equal(test_pop(p), 2);
	assert_int_equal(test_pop(p), 3);
	assert_int_equal(test_pop(p), 4);
	assert_int_equal(test_pop(p), 1);
	assert_int_equal(test_pop(p), 0);
	policy_free(p);
}

/* One large entry stands for as many bytes as several small ones. */
static void test_arc_bytes(void **state)
{
	struct policy *p = test_new("arc", 8 * SIZE, 20);

	(void)state;
	test_put(p, 1, 1, 4 * SIZE, 0);
	policy_hit(p, 1); /* T2: 400 */
	for (uint32_t id = 2; id <= 5; id++)
		put(p, id); /* T1: 400 */
	assert_int_equal(pop_for(p, 6), 2);
	put(p, 6);
	assert_int_equal(pop_for(p, 7), 3);
	put(p, 7); /* T1: 4 5 6 7, B1: 2 3 */
	/* a ghost that stood for 100 and comes back with 500 raises p to 500 */
	policy_evict(p, 4);
	policy_evict(p, 5);
	test_put(p, 2, 2, 5 * SIZE, 0); /* T1: 6 7 = 200 < p */
	assert_int_equal(test_pop(p), 1);
	assert_int_equal(test_pop(p), 2);
	assert_int_equal(test_pop(p), 6); /* T2 is empty */
	policy_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_clock_priority),
		cmocka_unit_test(test_s3fifo),
		cmocka_unit_test(test_s3fifo_no_ghost),
		cmocka_unit_test(test_s3fifo_forgets),
		cmocka_unit_test(test_arc),
		cmocka_unit_test(test_arc_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
