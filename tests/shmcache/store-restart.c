/* SPDX-License-Identifier: Apache-2.0 */
/* store-restart.c: unit of store-open.c: what is held or open when a broker dies outlives it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/shmcache/rig.h"

/*
 * store_close() changes nothing in shared memory, so what is there after it is what a kill would
 * have left at that place.
 */
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

static void hold(unsigned n, uint32_t cell)
{
	shared_u64_store_release(&rig.held[n],
		cell ? abi_word(cell, rig.store.index.cell[cell].generation, 0) : 0);
}

static void again(uint64_t n_limbo)
{
	rig_close(&rig);
	rig_open(&rig, true);
	assert_true(rig.opened.warm);
	assert_int_equal(rig.opened.recovery.n_marked, n_limbo);
	assert_int_equal(rig.store.limbo.n, n_limbo);
	rig_check(&rig);
}

/* Other values through the whole tier, several times over. */
static void churn(uint64_t from)
{
	uint64_t i;

	for (i = from; i < from + 300; i++)
		assert_int_equal(rig_put(&rig, i, i, 50000), ABI_STATUS_OK);
	rig_check(&rig);
}

static uint32_t reserve(uint64_t i, uint64_t size)
{
	const struct store_put_options options = {.ttl_ms = 1000000};
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key = rig_index_key(&rig, i, bytes);
	uint32_t cell;

	assert_int_equal(
		store_reserve(&rig.store, &rig.w, &key, &options, size, &cell), ABI_STATUS_OK);
	return cell;
}

/* --- what comes back -------------------------------------------------------------------------- */

static void test_held(void **state)
{
	uint32_t cell[3];
	uint64_t i, size;

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_int_equal(rig_put(&rig, i, i, 100000), ABI_STATUS_OK);
		cell[i] = rig_cell(&rig, i);
		hold((unsigned)i, cell[i]);
	}
	cell[2] = reserve(2, 100000);
	rig_fill(rig_value(&rig, cell[2]), 100000, 2);
	hold(2, cell[2]);
	/* One is replaced, one removed, one open; twice over. */
	assert_int_equal(rig_put(&rig, 0, 50, 100000), ABI_STATUS_OK);
	assert_int_equal(rig_delete(&rig, 1), ABI_STATUS_OK);
	size = rig.store.tier[ABI_TIER_DRAM].limbo_size;
	for (i = 0; i < 3; i++) {
		again(3);
		assert_int_equal(rig.store.tier[ABI_TIER_DRAM].limbo_size, size / 2 * 3);
		churn(1000 * (i + 1));
		assert_true(rig_is_filled(rig_value(&rig, cell[0]), 100000, 0));
		assert_true(rig_is_filled(rig_value(&rig, cell[1]), 100000, 1));
		assert_true(rig_is_filled(rig_value(&rig, cell[2]), 100000, 2));
		rig_drain(&rig);
	}
	for (i = 0; i < 3; i++)
		hold((unsigned)i, 0);
	rig_drain(&rig);
	assert_int_equal(rig.store.limbo.n, 0);
	assert_int_equal(rig.store.tier[ABI_TIER_DRAM].limbo_size, 0);
	again(0);
	assert_int_equal(rig_cell(&rig, 1), 0);
	assert_int_equal(rig_cell(&rig, 2), 0);
}

/* What was aborted, committed or freed carries no mark. */
static void test_settled(void **state)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	uint32_t cell;
	uint64_t i;

	(void)state;
	store_abort(&rig.store, reserve(1, 1000));
	cell = reserve(2, 1000);
	rig_fill(rig_value(&rig, cell), 1000, 2);
	assert_int_equal(store_commit(&rig.store, &rig.w, cell, false), ABI_STATUS_OK);
	assert_int_equal(rig.store.n_expiring, 1);
	for (i = 3; i < 100; i++)
		assert_int_equal(rig_put(&rig, i, i, 1000), ABI_STATUS_OK);
	for (i = 3; i < 50; i++)
		assert_int_equal(rig_delete(&rig, i), ABI_STATUS_OK);
	rig_drain(&rig);
	again(0);
	assert_int_equal(rig.store.n_expiring, 1);
	assert_int_equal(rig_get(&rig, 2, 2, 1000), 1000);
	/* A record that has no block yet, of a key with tails. */
	memset(bytes, 'x', sizeof(bytes));
	assert_int_equal(index_open(&rig.store.index,
				 &(struct index_key){bytes, sizeof(bytes), 0}, NULL, &cell),
		0);
	again(0);
}

/* Killed between a slot and its mark, on the way in and out: the slot decides. */
static void test_slot_decides(void **state)
{
	const uint64_t marks[] = {ABI_RECORD_OPEN, ABI_RECORD_RETIRED, ABI_RECORD_MARKS};
	struct abi_record *r;
	uint64_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		assert_int_equal(rig_put(&rig, i, i, 1000), ABI_STATUS_OK);
		r = &rig.store.index.cell[rig_cell(&rig, i)];
		shared_u64_store(&r->expire_ms, marks[i] | 1000000000000);
	}
	again(0);
	assert_int_equal(rig.opened.recovery.n_found, 3);
	assert_int_equal(rig.store.n_expiring, 3);
	for (i = 0; i < 3; i++) {
		assert_int_equal(rig_get(&rig, i, i, 1000), 1000);
		r = &rig.store.index.cell[rig_cell(&rig, i)];
		assert_int_equal(shared_u64_load(&r->expire_ms), 1000000000000);
	}
}

/* --- what does not ---------------------------------------------------------------------------- */

static uint32_t retired(uint64_t i)
{
	uint32_t cell;

	assert_int_equal(rig_put(&rig, i, i, 1000), ABI_STATUS_OK);
	cell = rig_cell(&rig, i);
	assert_int_equal(rig_delete(&rig, i), ABI_STATUS_OK);
	return cell;
}

/*
 * Marked records that are none, or that lie where they can't: dropped, and no entry is lost for
 * them.
 */
static void test_nonsense(void **state)
{
	struct abi_record *r = rig.store.index.cell;
	uint64_t i, at;
	uint32_t cell;

	(void)state;
	for (i = 100; i < 110; i++)
		assert_int_equal(rig_put(&rig, i, i, 1000), ABI_STATUS_OK);
	at = r[rig_cell(&rig, 105)].value_off;
	r[retired(0)].value_off = 4 * MIB;
	r[retired(1)].value_off += 32;
	r[retired(2)].value_size = 0;
	r[retired(3)].tier = ABI_TIER_CXL;
	r[retired(4)].key_size = ABI_KEY_SIZE_MAX + 1;
	r[retired(5)].flags = 0x80;
	r[retired(6)].tail = 5;
	/* On an entry, into the next one, and out of the one before. */
	r[retired(7)].value_off = at;
	r[retired(8)].value_off = at - 64;
	cell = rig_cell(&rig, 104);
	assert_int_equal(rig_delete(&rig, 104), ABI_STATUS_OK);
	r[cell].value_size = 1100;
	r[retired(9)].value_off = at + 64;
	/* And one that is what it says. */
	cell = retired(10);
	hold(0, cell);
	again(1);
	assert_int_equal(rig.opened.recovery.n_found, 9);
	assert_int_equal(rig.store.limbo.cell[0], cell);
	for (i = 100; i < 110; i++)
		assert_int_equal(rig_get(&rig, i, i, 1000), i == 104 ? 0 : 1000);
	/* They are not met again. */
	again(1);
	churn(1000);
	assert_true(rig_is_filled(rig_value(&rig, cell), 1000, 10));
}

/*
 * A key may say anything, also what a marked record would look like in the place of its tail: in
 * use, and after its entry was freed, it is none.
 */
static void test_key_like_a_record(void **state)
{
	uint8_t bytes[ABI_KEY_INLINE + ABI_TAIL_BYTES];
	struct index_key key;
	struct abi_record like = {.value_size = 64, .key_size = 8, .tier = ABI_TIER_DRAM,
		.generation = 1};
	struct store_put_options options = {0};

	(void)state;
	shared_u64_store(&like.expire_ms, ABI_RECORD_RETIRED);
	memset(bytes, 'k', sizeof(bytes));
	memcpy(bytes + ABI_KEY_INLINE, (uint8_t *)&like + 8, sizeof(like) - 8);
	key = index_key(&rig.store.index, bytes, sizeof(bytes));
	assert_int_equal(
		store_put(&rig.store, &rig.w, &key, &options, "value", 5), ABI_STATUS_OK);
	again(0);
	assert_int_equal(rig.opened.recovery.n_found, 1);
	assert_int_equal(store_delete(&rig.store, &rig.w, &key), ABI_STATUS_OK);
	rig_drain(&rig);
	again(0);
}

/* --- what is kept ----------------------------------------------------------------------------- */

/*
 * Nobody puts so often in a test: as if records had been made meanwhile, up to the number
 * @generation.
 */
static void make_others(uint32_t generation)
{
	rig.store.index.generation = generation;
	assert_int_equal(rig_put(&rig, 900, 900, 1000), ABI_STATUS_OK);
}

/* An entry may be older than half of all the generations that there are. */
static void test_keep_the_oldest(void **state)
{
	(void)state;
	assert_int_equal(rig_put(&rig, 0, 0, 1000), ABI_STATUS_OK);
	make_others(UINT32_MAX / 4 * 3);
	again(0);
	store_keep(&rig.store, STORE_KEEP_ALL);
	assert_int_equal(rig_delete(&rig, 0), ABI_STATUS_OK);
	assert_int_equal(rig_put(&rig, 1, 1, 1000), ABI_STATUS_OK);
	assert_int_equal(rig_delete(&rig, 1), ABI_STATUS_OK);
	rig_drain(&rig);
	assert_int_equal(rig.store.limbo.n, 1);
	store_keep(&rig.store, STORE_KEEP_NOTHING);
	rig_drain(&rig);
	assert_int_equal(rig.store.limbo.n, 0);
}

static void test_keep_all(void **state)
{
	uint64_t i, n_evicted;

	(void)state;
	for (i = 0; i < 35; i++)
		assert_int_equal(rig_put(&rig, i, i, 100000), ABI_STATUS_OK);
	again(0);
	store_keep(&rig.store, STORE_KEEP_ALL);
	n_evicted = shared_u64_load(&rig.w.counter[ABI_COUNTER_EVICTIONS]);
	/* What is new may come and go in what room there is. */
	for (i = 0; i < 50; i++)
		assert_int_equal(rig_put(&rig, 1000, i, 100000), ABI_STATUS_OK);
	/* What is old goes, and its block stays. */
	for (i = 0; i < 20; i++)
		assert_int_equal(rig_delete(&rig, i), ABI_STATUS_OK);
	rig_drain(&rig);
	assert_int_equal(rig.store.limbo.n, 20);
	assert_int_equal(rig_put(&rig, 1001, 1, 2 * MIB), ABI_STATUS_NOSPACE);
	assert_int_equal(
		shared_u64_load(&rig.w.counter[ABI_COUNTER_EVICTIONS]), n_evicted);
	for (i = 20; i < 35; i++)
		assert_int_equal(rig_get(&rig, i, i, 100000), 100000);
	store_keep(&rig.store, STORE_KEEP_NOTHING);
	assert_int_equal(rig_put(&rig, 1001, 1, 2 * MIB), ABI_STATUS_OK);
	rig_drain(&rig);
	assert_int_equal(rig.store.limbo.n, 0);
	rig_check(&rig);
}

/* Of what was open nobody knows whether it is still being filled; the rest is as ever. */
static void test_keep_open(void **state)
{
	uint32_t cell = reserve(0, 100000);

	(void)state;
	rig_fill(rig_value(&rig, cell), 100000, 9);
	retired(1);
	again(2);
	store_keep(&rig.store, STORE_KEEP_OPEN);
	churn(100);
	rig_drain(&rig);
	assert_int_equal(rig.store.limbo.n, 1);
	assert_true(rig_is_filled(rig_value(&rig, cell), 100000, 9));
	/* As large as the tier but for that one: no window is there, and the search ends. */
	assert_int_equal(rig_put(&rig, 1, 1, 4 * MIB - 64 * KIB), ABI_STATUS_NOSPACE);
	store_keep(&rig.store, STORE_KEEP_NOTHING);
	assert_int_equal(rig_put(&rig, 1, 1, 4 * MIB - 64 * KIB), ABI_STATUS_OK);
}

int main(void)
{
#define UNIT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		UNIT(test_held),
		UNIT(test_settled),
		UNIT(test_slot_decides),
		UNIT(test_nonsense),
		UNIT(test_key_like_a_record),
		UNIT(test_keep_the_oldest),
		UNIT(test_keep_all),
		UNIT(test_keep_open),
	};

	rig_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
