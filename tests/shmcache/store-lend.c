/* SPDX-License-Identifier: Apache-2.0 */
/* store-lend.c: unit of store-lend.c: what is lent stays where it is, until it is given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/shmcache/rig.h"

static struct rig rig;

static int setup(void **state)
{
	(void)state;
	rig_init(&rig, 4 * MIB, 8 * MIB);
	rig_open(&rig, false);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_remove(&rig);
	return rig_leftovers() ? -1 : 0;
}

static enum abi_status lend(uint64_t i, struct store_loan *loan)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key = rig_index_key(&rig, i, bytes);

	return store_lend(&rig.store, &rig.w, &key, loan);
}

static void test_told(void **state)
{
	const struct store_put_options options = {.ttl_ms = 60000,
		.hints = {.group = 7, .position = 3, .priority = 2}};
	struct store_loan loan;

	(void)state;
	assert_int_equal(lend(1, &loan), ABI_STATUS_MISS);
	assert_int_equal(rig_put_with(&rig, 1, 11, 100000, &options), ABI_STATUS_OK);
	assert_int_equal(rig_put(&rig, 2, 12, 500), ABI_STATUS_OK);
	assert_int_equal(lend(1, &loan), ABI_STATUS_OK);
	assert_int_equal(loan.size, 100000);
	assert_true(rig_is_filled(loan.data, loan.size, 11));
	assert_in_range(loan.ttl_ms, 1, 60000);
	assert_memory_equal(&loan.hints, &options.hints, sizeof(loan.hints));
	store_loan_end(&rig.store, &loan);
	assert_int_equal(lend(2, &loan), ABI_STATUS_OK);
	assert_int_equal(loan.ttl_ms, 0);
	assert_int_equal(loan.hints.group, 0);
	store_loan_end(&rig.store, &loan);
	assert_null(rig.store.loans);
}

static void test_expired(void **state)
{
	const struct store_put_options options = {.ttl_ms = 1};
	uint64_t until = store_now_ms() + 20;
	struct store_loan loan;

	(void)state;
	assert_int_equal(rig_put_with(&rig, 1, 11, 1000, &options), ABI_STATUS_OK);
	while (store_now_ms() < until)
		;
	assert_int_equal(lend(1, &loan), ABI_STATUS_MISS);
	assert_null(rig.store.loans);
}

/*
 * Asked for again and again while its time runs out. The moment at which it does lies in the middle
 * of some of all these calls: none may tell of more time than there ever was, or that there is no
 * end (0).
 */
static void test_expires_meanwhile(void **state)
{
	const struct store_put_options options = {.ttl_ms = 2};
	struct store_loan loan;
	unsigned i;

	(void)state;
	for (i = 0; i < 300; i++) {
		assert_int_equal(rig_put_with(&rig, 1, 11, 100, &options), ABI_STATUS_OK);
		while (lend(1, &loan) == ABI_STATUS_OK) {
			store_loan_end(&rig.store, &loan);
			assert_in_range(loan.ttl_ms, 1, 2);
		}
	}
}

/*
 * Replaced, deleted, and driven out while all else is put: the bytes stay, each as long as it is
 * lent.
 */
static void test_kept(void **state)
{
	struct store_loan loan[4];
	uint64_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		assert_int_equal(rig_put(&rig, i, i, 100000), ABI_STATUS_OK);
		assert_int_equal(lend(i, &loan[i]), ABI_STATUS_OK);
	}
	/* Twice the same. */
	assert_int_equal(lend(0, &loan[3]), ABI_STATUS_OK);
	assert_int_equal(rig_put(&rig, 0, 77, 100000), ABI_STATUS_OK);
	assert_int_equal(rig_delete(&rig, 1), ABI_STATUS_OK);
	for (i = 100; i < 400; i++)
		assert_int_equal(rig_put(&rig, i, i, 50000), ABI_STATUS_OK);
	assert_int_equal(rig_cell(&rig, 2), 0);
	rig_drain(&rig);
	for (i = 0; i < 3; i++) {
		assert_int_equal(rig.store.index.meta[loan[i].cell].state, INDEX_RETIRED);
		assert_true(rig_is_filled(loan[i].data, loan[i].size, i));
	}
	assert_int_equal(rig.store.limbo.n, 3);
	store_loan_end(&rig.store, &loan[0]);
	rig_drain(&rig);
	assert_int_equal(rig.store.limbo.n, 3);
	assert_true(rig_is_filled(loan[3].data, loan[3].size, 0));
	for (i = 1; i < 4; i++) {
		store_loan_end(&rig.store, &loan[i]);
		rig_drain(&rig);
		assert_int_equal(rig.store.limbo.n, 3 - i);
	}
	rig_check(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_expired, setup, teardown),
		cmocka_unit_test_setup_teardown(test_expires_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
	};

	return RIG_RUN(tests);
}
