/* SPDX-License-Identifier: Apache-2.0 */
/* probation.c: what was fetched and read once does not push out what was put, under any policy. */
#include "shmcache/policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { CAPACITY = 1000, IDS = 20000, SHARE = CAPACITY / 50 };

/* A cache of entries of size 1, by id; hashes are ids unless told. */
static struct policy *policy;
static unsigned n_resident;

static void open_as(unsigned i)
{
	assert_int_equal(policy_new(&policy, policy_names(i), CAPACITY, IDS), 0);
	n_resident = 0;
}

static void put(uint32_t id, uint64_t key, bool is_unproven)
{
	struct policy_entry e = {
		.hash = key * UINT64_C(0x9e3779b97f4a7c15), .size = 1, .is_unproven = is_unproven};

	for (; n_resident >= CAPACITY; n_resident--)
		policy_evict(policy, policy_victim(policy, &e));
	policy_insert(policy, id, &e);
	n_resident++;
}

static unsigned count(uint32_t begin, uint32_t end)
{
	unsigned n = 0;

	for (uint32_t id = begin; id < end; id++)
		n += policy_resident(policy, id);
	return n;
}

static void one_off_reads_leave_what_was_put(void **state)
{
	(void)state;
	for (unsigned i = 0; policy_names(i); i++) {
		open_as(i);
		for (uint32_t id = 1; id <= CAPACITY; id++)
			put(id, id, false);
		for (uint32_t id = CAPACITY + 1; id < 10 * CAPACITY; id++) {
			put(id, id, true);
			assert_true(policy_resident(policy, id));
		}
		if (count(1, CAPACITY + 1) < CAPACITY - SHARE - 1)
			fail_msg("%s: %u of %u are left", policy_names(i),
				count(1, CAPACITY + 1), CAPACITY);
		policy_free(policy);
	}
}

static void room_that_nobody_else_wants_is_theirs(void **state)
{
	(void)state;
	for (unsigned i = 0; policy_names(i); i++) {
		open_as(i);
		for (uint32_t id = 1; id <= 2 * CAPACITY; id++)
			put(id, id, true);
		assert_int_equal(count(CAPACITY + 1, 2 * CAPACITY + 1), CAPACITY);
		/* The last one goes, too. */
		for (unsigned n = CAPACITY; n; n--)
			policy_evict(policy, policy_victim(policy, NULL));
		assert_int_equal(policy_victim(policy, NULL), 0);
		policy_free(policy);
	}
}

static void a_second_read_is_a_proof(void **state)
{
	(void)state;
	for (unsigned i = 0; policy_names(i); i++) {
		open_as(i);
		put(1, 1, true);
		put(2, 2, true);
		policy_hit(policy, 1);
		for (uint32_t id = 10; id < 10 + 3 * CAPACITY; id++)
			put(id, id, true);
		if (!policy_resident(policy, 1) || policy_resident(policy, 2))
			fail_msg("%s: %d %d", policy_names(i), policy_resident(policy, 1),
				policy_resident(policy, 2));
		policy_free(policy);
	}
}

static void a_second_fetch_is_a_proof(void **state)
{
	(void)state;
	for (unsigned i = 0; policy_names(i); i++) {
		open_as(i);
		for (uint32_t id = 1; id <= CAPACITY; id++)
			put(id, id, false);
		put(2001, 777777, true);
		for (uint32_t id = 3000; id < 3000 + CAPACITY / 2; id++)
			put(id, id, true);
		assert_false(policy_resident(policy, 2001));
		put(2002, 777777, true);
		for (uint32_t id = 5000; id < 5000 + CAPACITY / 2; id++)
			put(id, id, true);
		if (!policy_resident(policy, 2002))
			fail_msg("%s", policy_names(i));
		policy_free(policy);
	}
}

/* Where they are read again as a rule, they are not made to leave first. */
static void those_that_come_back_are_trusted(void **state)
{
	(void)state;
	for (unsigned i = 0; policy_names(i); i++) {
		open_as(i);
		for (uint32_t id = 1; id <= 600; id++) {
			put(id, id, true);
			if (id % 2)
				policy_hit(policy, id);
		}
		for (uint32_t id = 1001; id <= 1000 + CAPACITY; id++)
			put(id, id, true);
		/* Under lru the last are all there; distrust would leave a fiftieth. */
		if (count(1001, 1001 + CAPACITY) < 10 * SHARE)
			fail_msg("%s: %u", policy_names(i), count(1001, 1001 + CAPACITY));
		/* And no more, after a long time in which none did. */
		for (uint32_t id = 3000; id < 3000 + 12 * CAPACITY; id++)
			put(id, id, true);
		put(19000, 19000, false);
		policy_hit(policy, 19000);
		for (uint32_t id = 16000; id < 16000 + 2 * CAPACITY; id++)
			put(id, id, true);
		if (!policy_resident(policy, 19000))
			fail_msg("%s: not distrusted again", policy_names(i));
		policy_free(policy);
	}
}

/* Between tiers: who is on probation above is so below. */
static void a_move_proves_nothing(void **state)
{
	struct policy_entry e = {.hash = 5, .size = 1, .is_unproven = true};
	struct policy_carried carried;
	struct policy *below;

	(void)state;
	for (unsigned i = 0; policy_names(i); i++) {
		open_as(i);
		assert_int_equal(policy_new_below(&below, policy_names(i), policy, CAPACITY), 0);
		policy_insert(policy, 1, &e);
		e.is_unproven = false;
		e.hash = 6;
		policy_insert(policy, 2, &e);
		assert_true(policy_is_colder(policy, 1, policy, 2));
		if (!strcmp(policy_names(i), "gittins"))
			assert_false(policy_is_colder(policy, 2, policy, 1));
		e.hash = 5;
		policy_take(policy, 1, &carried);
		assert_false(policy_resident(policy, 1));
		policy_give(below, 1, &e, &carried);
		assert_true(policy_resident(below, 1));
		assert_true(policy_books_size(below) > 0);
		for (uint32_t id = 100; id < 100 + CAPACITY; id++)
			policy_insert(below, id, &(struct policy_entry){
							 .hash = id * 77777, .size = 1});
		for (uint32_t id = 5000; id < 5000 + SHARE; id++)
			policy_insert(below, id, &(struct policy_entry){
							 .hash = id * 77777, .size = 1,
							 .is_unproven = true});
		assert_int_equal(policy_victim(below, NULL), 1);
		policy_remove(below, 1);
		assert_int_not_equal(policy_victim(below, NULL), 1);
		policy_free(below);
		policy_free(policy);
		e.is_unproven = true;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_off_reads_leave_what_was_put),
		cmocka_unit_test(room_that_nobody_else_wants_is_theirs),
		cmocka_unit_test(a_second_read_is_a_proof),
		cmocka_unit_test(a_second_fetch_is_a_proof),
		cmocka_unit_test(those_that_come_back_are_trusted),
		cmocka_unit_test(a_move_proves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
