// SPDX-License-Identifier: Apache-2.0
/* lru.c - order, priority and residency, by hand-computed sequences. */
#include <errno.h>

#include "tests/shmcache/policy/common.h"

static void put(struct policy *p, uint32_t id, uint8_t priority)
{
	if (id && id < 100)
		test_put(p, id, id, 64, priority);
	else
		policy_insert(
			p, id, &(struct policy_entry){.size = 64, .priority = priority});
}

static struct policy *make(void)
{
	return test_new("lru", 4 * 64, 100);
}

static void test_order(void **state)
{
	struct policy *p = make();

	(void)state;
	for (uint32_t id = 1; id <= 4; id++)
		put(p, id, 0);
	policy_hit(p, 1);
	policy_hit(p, 3);
	policy_remove(p, 4);
	assert_int_equal(test_pop(p), 2);
	assert_int_equal(test_pop(p), 1);
	assert_int_equal(test_pop(p), 3);
	assert_int_equal(test_pop(p), 0);
	policy_free(p);
}

static void test_strangers(void **state)
{
	struct policy *p = make();

	(void)state;
	put(p, 7, 0);
	policy_hit(p, 0);
	policy_hit(p, 8);
	policy_hit(p, 100);
	policy_remove(p, 8);
	policy_remove(p, UINT32_MAX);
	policy_evict(p, 0);
	policy_evict(p, 99);
	put(p, 100, 0);
	put(p, 0, 0);
	assert_false(policy_resident(p, 100));
	assert_true(policy_resident(p, 7));
	assert_int_equal(test_pop(p), 7);
	assert_int_equal(test_pop(p), 0);
	policy_free(p);
}

static void test_reuse(void **state)
{
	struct policy *p = make();

	(void)state;
	put(p, 1, 0);
	put(p, 2, 0);
	put(p, 1, 0); /* while resident: the old one is gone */
	assert_int_equal(test_pop(p), 2);
	put(p, 2, 0);
	assert_int_equal(test_pop(p), 1);
	assert_int_equal(test_pop(p), 2);
	assert_int_equal(test_pop(p), 0);
	policy_free(p);
}

static void test_priority(void **state)
{
	struct policy *p = make();

	(void)state;
	put(p, 1, 1);
	put(p, 2, 0);
	put(p, 3, 200);			  /* as 3 */
	assert_int_equal(test_pop(p), 2); /* 1 is sent round */
	put(p, 4, 0);
	assert_int_equal(test_pop(p), 1); /* 3, 1, 4 became 1, 4, 3 */
	assert_int_equal(test_pop(p), 4);
	assert_int_equal(test_pop(p), 3);
	policy_free(p);
}

/* However many dear entries there are, one call sends round a bounded number. */
static void test_priority_bounded(void **state)
{
	struct policy *p = test_new("lru", 3000 * 64, 3001);

	(void)state;
	for (uint32_t id = 1; id <= 3000; id++)
		test_put(p, id, id, 64, 3);
	assert_int_equal(test_pop(p), 1025);
	for (uint32_t id = 1; id < 3000; id++)
		assert_int_not_equal(test_pop(p), 0);
	assert_int_equal(test_pop(p), 0);
	policy_free(p);
}

static void test_lifecycle(void **state)
{
	struct policy *p = NULL;

	(void)state;
	assert_int_equal(policy_new(&p, "belady", 64, 2), -ENOENT);
	assert_int_equal(policy_new(&p, "lru", 0, 2), -EINVAL);
	assert_int_equal(policy_new(&p, "lru", 64, 1), -EINVAL);
	assert_null(p);
	assert_int_equal(policy_new(&p, NULL, 64, 2), 0);
	assert_string_equal(policy_name(p), policy_names(0));
	policy_free(p);
	policy_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_reuse),
		cmocka_unit_test(test_priority),
		cmocka_unit_test(test_priority_bounded),
		cmocka_unit_test(test_lifecycle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
