/* SPDX-License-Identifier: Apache-2.0 */
/* tiers.c - two policies, one above the other, and what moves between them. */
#include <errno.h>

#include "tests/shmcache/policy/common.h"

enum { N_IDS = 512 };

static const struct policy_entry plain = {.hash = 77, .size = TEST_SIZE};

static void move(struct policy *from, uint32_t id, struct policy *to, uint32_t to_id,
	const struct policy_entry *e)
{
	struct policy_carried carried;

	policy_take(from, id, &carried);
	assert_false(policy_resident(from, id));
	policy_give(to, to_id, e, &carried);
	assert_true(policy_resident(to, to_id));
}

static struct policy *below(struct policy *upper, const char *name)
{
	struct policy *p = NULL;

	assert_int_equal(policy_new_below(&p, name, upper, 32 * TEST_SIZE), 0);
	return p;
}

/* Whatever moves where under whatever id: each is given up once, by who has it. */
static void nothing_is_lost_or_doubled(const char *name)
{
	struct policy *tier[2];
	uint64_t state = test_seed();
	uint8_t where[N_IDS] = {0}; /* 1, 2: in tier 0, 1 */
	uint32_t id, n = 0;

	tier[0] = test_new(name, N_IDS * TEST_SIZE / 2, N_IDS);
	tier[1] = below(tier[0], name);
	for (unsigned i = 0; i < 40000; i++) {
		uint64_t x = test_random(&state);
		uint32_t from = 1 + (uint32_t)(x >> 32) % (N_IDS - 1);
		uint32_t to = 1 + (uint32_t)(x >> 48) % (N_IDS - 1);
		struct policy_entry e = {.hash = test_hash(from), .size = TEST_SIZE,
			.group = 1 + from / 16, .position = from % 16};
		unsigned t = x & 1;

		if (!where[from]) {
			policy_insert(tier[t], from, &e);
			where[from] = (uint8_t)(t + 1);
		} else if (x % 5 == 0) {
			policy_hit(tier[where[from] - 1], from);
		} else if (x % 17 == 0) {
			policy_remove(tier[where[from] - 1], from);
			where[from] = 0;
		} else if (from == to || !where[to]) {
			move(tier[where[from] - 1], from, tier[t], to, &e);
			where[from] = 0;
			where[to] = (uint8_t)(t + 1);
		}
	}
	for (unsigned t = 0; t < 2; t++) {
		while ((id = test_pop(tier[t]))) {
			assert_int_equal(where[id], t + 1);
			where[id] = 0;
			n++;
		}
	}
	for (id = 1; id < N_IDS; id++)
		assert_int_equal(where[id], 0);
	assert_true(n > 100);
	policy_free(tier[0]);
	policy_free(tier[1]);
}

static void nothing_is_lost(void **state)
{
	(void)state;
	for (unsigned i = 0; policy_names(i); i++)
		nothing_is_lost_or_doubled(policy_names(i));
}

static void either_may_go_first(void **state)
{
	(void)state;
	for (unsigned i = 0; policy_names(i); i++) {
		for (unsigned first = 0; first < 2; first++) {
			struct policy *upper = test_new(policy_names(i), 1 << 20, N_IDS);
			struct policy *lower = below(upper, policy_names(i));

			test_put(upper, 1, 1, 64, 0);
			test_put(lower, 2, 2, 64, 0);
			policy_free(first ? upper : lower);
			test_put(first ? lower : upper, 3, 3, 64, 0);
			assert_true(policy_books_size(first ? lower : upper) > 0);
			policy_free(first ? lower : upper);
		}
	}
}

/* What was read often is worth more than what was not, above and below. */
static void worth_survives_a_move(void **state)
{
	struct policy *upper = test_new("gittins", N_IDS * TEST_SIZE / 2, N_IDS);
	struct policy *lower = below(upper, NULL);
	uint64_t key = 1000;
	uint32_t hot = 1;

	(void)state;
	/* Teach it that who was read is read again, and who was not is not. */
	test_put(upper, hot, hot, TEST_SIZE, 0);
	for (unsigned round = 0; round < 400; round++) {
		for (uint32_t id = 2; id < 64; id++) {
			test_put(upper, id, key++, TEST_SIZE, 0);
			policy_hit(upper, hot);
		}
	}
	for (uint32_t id = 64; id < 128; id++) {
		test_put(upper, id, key++, TEST_SIZE, 0);
		policy_hit(upper, hot);
	}
	assert_true(policy_is_colder(upper, 70, upper, hot));
	move(upper, hot, lower, 300, &plain);
	assert_true(policy_is_colder(upper, 70, lower, 300));
	assert_false(policy_is_colder(lower, 300, upper, 70));
	move(upper, 70, lower, 301, &plain);
	assert_int_equal(policy_victim(lower, NULL), 301);
	move(lower, 300, upper, hot, &plain);
	assert_true(policy_is_colder(lower, 301, upper, hot));
	/* It leaves from below, and comes back above as one that is known. */
	move(upper, hot, lower, 300, &plain);
	policy_evict(lower, 300);
	policy_insert(upper, 400, &plain);
	test_put(upper, 401, key++, TEST_SIZE, 0);
	assert_true(policy_is_colder(upper, 401, upper, 400));
	policy_free(upper);
	policy_free(lower);
}

/* Older ones that come later stand in front of the younger. */
static void age_survives_a_move(void **state)
{
	struct policy *upper = test_new("gittins", N_IDS * TEST_SIZE / 2, N_IDS);
	struct policy *lower = below(upper, NULL);

	(void)state;
	for (uint32_t id = 1; id < 100; id++)
		test_put(upper, id, id, TEST_SIZE, 0);
	/* before it has learned it is lru: the longest rested is the victim */
	for (uint32_t id = 40; id; id--)
		move(upper, id, lower, id, &plain);
	for (uint32_t id = 1; id <= 40; id++)
		assert_int_equal(test_pop(lower), id);
	policy_free(upper);
	policy_free(lower);
}

static void s3fifo_and_arc_keep_their_queue(void **state)
{
	static const char *const names[] = {"s3fifo", "arc"};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct policy *upper = test_new(names[i], N_IDS * TEST_SIZE, N_IDS);
		struct policy *lower = below(upper, names[i]);

		/* Number 1 earns the main queue: by hits, and for s3fifo a look for a victim. */
		for (uint32_t id = 1; id <= 20; id++)
			test_put(upper, id, id, TEST_SIZE, 0);
		policy_hit(upper, 1);
		policy_hit(upper, 1);
		policy_victim(upper, NULL);
		for (uint32_t id = 1; id <= 20; id++)
			move(upper, id, lower, id, &plain);
		for (uint32_t id = 2; id <= 10; id++)
			assert_int_not_equal(test_pop(lower), 1);
		policy_free(upper);
		policy_free(lower);
	}
}

/* Of another kind nothing carries over, and nothing is colder. */
static void kinds_do_not_mix(void **state)
{
	struct policy *upper = test_new("gittins", 1 << 20, N_IDS);
	struct policy *lower = below(upper, "lru");

	(void)state;
	test_put(upper, 1, 1, 64, 0);
	test_put(upper, 2, 2, 64, 0);
	move(upper, 2, lower, 2, &plain);
	move(upper, 1, lower, 1, &plain);
	assert_int_equal(policy_victim(lower, NULL), 2);
	test_put(upper, 3, 3, 64, 0);
	assert_true(policy_is_colder(upper, 3, lower, 1));
	/* Not resident: as if it were new. */
	move(upper, 9, lower, 9, &plain);
	assert_int_equal(policy_new_below(&lower, "none such", upper, 1 << 20), -ENOENT);
	policy_free(upper);
	policy_free(lower);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_lost),
		cmocka_unit_test(either_may_go_first),
		cmocka_unit_test(worth_survives_a_move),
		cmocka_unit_test(age_survives_a_move),
		cmocka_unit_test(s3fifo_and_arc_keep_their_queue),
		cmocka_unit_test(kinds_do_not_mix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
