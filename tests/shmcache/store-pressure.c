/* SPDX-License-Identifier: Apache-2.0 */
/* store-pressure.c: unit of store-evict.c: a full tier, a full index, and what may fail then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/shmcache/rig.h"

/*
 * Under pressure an entry may go at any time, so the model is: what is found is what was put last
 * under that key, byte for byte, and what was deleted is not found.
 */
#define N_KEYS 20000

static struct rig rig;
static struct {
	uint64_t seed, size; /* size 0: deleted or never there */
} model[N_KEYS];

static int teardown(void **state)
{
	(void)state;
	memset(model, 0, sizeof(model));
	rig_remove(&rig);
	return rig_leftovers() ? -1 : 0;
}

static uint64_t used(void)
{
	struct block_stats st;

	block_stats_get(rig.store.tier[ABI_TIER_DRAM].blocks, &st);
	return st.used;
}

static void check_key(uint64_t i)
{
	if (model[i].size)
		rig_get(&rig, i, model[i].seed, model[i].size);
	else
		assert_int_equal(rig_cell(&rig, i), 0);
}

static void check_all(void)
{
	uint64_t i;

	rig_check(&rig);
	for (i = 0; i < N_KEYS; i++)
		check_key(i);
}

static void put(uint64_t i, uint64_t seed, uint64_t size)
{
	enum abi_status status = rig_put(&rig, i, seed, size);

	if (status != ABI_STATUS_OK)
		fail_msg("put of %llu bytes: %s", (unsigned long long)size,
			abi_status_name(status));
	model[i].seed = seed;
	model[i].size = size;
	assert_int_equal(rig_get(&rig, i, seed, size), size);
}

static void open_with(const char *policy, uint64_t dram, uint64_t index, unsigned batch)
{
	rig_init(&rig, dram, index);
	rig.options.tier[ABI_TIER_DRAM].policy = policy;
	rig.options.batch = batch;
	rig_open(&rig, false);
}

/* All sizes at once; each put must succeed, since nothing is held and none is above a quarter. */
static void mixed(const char *policy, unsigned batch, unsigned n_ops)
{
	uint64_t state = 1, i, size, most = 0;
	const uint64_t tier = 32 * MIB;
	unsigned op;

	open_with(policy, tier, 8 * MIB, batch);
	for (op = 0; op < n_ops; op++) {
		i = rig_random(&state) % N_KEYS;
		switch (rig_random(&state) % 16) {
		case 0:
			rig_delete(&rig, i);
			model[i].size = 0;
			break;
		case 1:
		case 2:
			check_key(i);
			break;
		default:
			size = rig_random_size(&state, tier / 4);
			put(i, op, size);
		}
		if (used() > most)
			most = used();
		if (op % 1000 == 999)
			rig_check(&rig);
	}
	assert_true(most >= tier / 100 * 95);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_NOSPACE), 0);
	assert_true(rig_count(&rig, ABI_COUNTER_EVICTIONS) > 0);
	check_all();
}

static void test_mixed(void **state)
{
	(void)state;
	mixed(NULL, 32, 6000);
}

static void test_mixed_lru_one_by_one(void **state)
{
	(void)state;
	mixed("lru", 1, 3000);
}

static void test_mixed_clock(void **state)
{
	(void)state;
	mixed("clock", 32, 2000);
}

static void test_mixed_s3fifo(void **state)
{
	(void)state;
	mixed("s3fifo", 32, 2000);
}

static void test_mixed_arc(void **state)
{
	(void)state;
	mixed("arc", 32, 2000);
}

/*
 * From small to large: the tier is full to the brim with values of 64 bytes, of which every
 * second may go; then values of a quarter of the tier are put. And back again.
 */
static void test_shift(void **state)
{
	const uint64_t tier = 8 * MIB;
	uint64_t i, small = N_KEYS;
	int round;

	(void)state;
	open_with(NULL, tier, 32 * MIB, 32);
	for (round = 0; round < 4; round++) {
		for (i = 0; i < tier / 64 + 1000; i++)
			assert_int_equal(rig_put(&rig, ++small, 1, 64), ABI_STATUS_OK);
		rig_check(&rig);
		/* If the last that went was one of the large, there is room for a quarter more. */
		for (i = 0; used() < tier / 100 * 95 && i < tier / 64 / 4 + 1000; i++)
			assert_int_equal(rig_put(&rig, ++small, 1, 64), ABI_STATUS_OK);
		assert_true(used() >= tier / 100 * 95);
		for (i = 0; i < 6; i++)
			put(i, i + (uint64_t)round, tier / 4 - i * 4096);
		rig_check(&rig);
	}
	assert_int_equal(rig_count(&rig, ABI_COUNTER_NOSPACE), 0);
}

/* Where sizes are equal nothing but the policy says who goes: here the one that was read longest
 * ago. */
static void test_order(void **state)
{
	const uint64_t tier = 4 * MIB, size = 64 * KIB;
	uint64_t i, n = tier / size;
	uint32_t cell;

	(void)state;
	open_with("lru", tier, 4 * MIB, 1);
	for (i = 0; i < n; i++)
		put(i, i, size);
	for (i = 0; i < n; i += 2) {
		cell = rig_cell(&rig, i);
		assert_int_equal(store_hits(&rig.store, &rig.w, &cell, 1), 1);
	}
	for (i = 0; i < 10; i++)
		put(1000 + i, i, size);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_EVICTIONS), 10);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_EVICTIONS_FIT), 0);
	for (i = 0; i < n; i++)
		assert_int_equal(rig_get(&rig, i, i, size), i % 2 && i < 20 ? 0 : size);
}

/* A quarter of the tier costs a quarter by the policy's order, and at most as much for the
 * window. */
static void test_cost_of_large(void **state)
{
	const uint64_t tier = 32 * MIB;
	uint64_t i, random = 7, before;
	uint32_t cell;

	(void)state;
	open_with("lru", tier, 32 * MIB, 32);
	for (i = 0; i < 100000; i++)
		assert_int_equal(
			rig_put(&rig, i, i, 1 + rig_random(&random) % 1000), ABI_STATUS_OK);
	/* So that the order of eviction is not that of the places. */
	for (i = 0; i < 300000; i++) {
		cell = (uint32_t)(rig_random(&random) % rig.store.index.n_cells);
		store_hits(&rig.store, &rig.w, &cell, 1);
	}
	before = rig_count(&rig, ABI_COUNTER_EVICTED_BYTES);
	assert_int_equal(rig_put(&rig, 1000000, 1, tier / 4), ABI_STATUS_OK);
	assert_true(rig_count(&rig, ABI_COUNTER_EVICTED_BYTES) - before <= tier / 2);
	rig_check(&rig);
}

/* The tier full of pinned entries but for a few: those go, and NOSPACE comes only after them. */
static void test_pinned(void **state)
{
	const uint64_t tier = 4 * MIB, size = 64 * KIB;
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	uint64_t i, n = tier / size, pin[64], pinned_size;
	struct index_key key;

	(void)state;
	open_with(NULL, tier, 4 * MIB, 1);
	for (i = 0; i < n; i++) {
		put(i, i, size);
		key = rig_index_key(&rig, i, bytes);
		assert_int_equal(
			store_pin(&rig.store, &key, &pin[i], &pinned_size), ABI_STATUS_OK);
	}
	assert_int_equal(used(), tier);
	assert_int_equal(rig_put(&rig, 1000, 1, 1), ABI_STATUS_NOSPACE);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_EVICTIONS), 0);
	/* Two that are not neighbours are let go: room for one each, not for both at once. */
	assert_int_equal(store_unpin(&rig.store, pin[3]), size);
	assert_int_equal(store_unpin(&rig.store, pin[9]), size);
	assert_int_equal(rig_put(&rig, 1000, 1, 2 * size), ABI_STATUS_NOSPACE);
	rig_check(&rig);
	put(1001, 1, size);
	put(1002, 2, size);
	for (i = 0; i < n; i++)
		assert_int_equal(rig_get(&rig, i, i, size), i == 3 || i == 9 ? 0 : size);
	/* Of neighbours, a window can be made: pin 1001 and 1002 and let two neighbours go. */
	for (i = 1001; i <= 1002; i++) {
		key = rig_index_key(&rig, i, bytes);
		assert_int_equal(
			store_pin(&rig.store, &key, &pin[i - 1001], &pinned_size), ABI_STATUS_OK);
	}
	assert_int_equal(store_unpin(&rig.store, pin[20]), size);
	assert_int_equal(store_unpin(&rig.store, pin[21]), size);
	put(1003, 3, 2 * size);
	rig_check(&rig);
}

/*
 * The oldest stand alone among what is pinned, and of all windows around them none comes free.
 * There is room further up, and no try is wasted here.
 */
static void test_beside_pinned(void **state)
{
	const uint64_t tier = 4 * MIB, size = 64 * KIB;
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	uint64_t i, n = tier / size, pin, pinned_size;
	struct index_key key;

	(void)state;
	open_with("lru", tier, 4 * MIB, 1);
	for (i = 0; i < n; i++)
		put(i, i, size);
	for (i = 1; i < 50; i += 2) {
		key = rig_index_key(&rig, i, bytes);
		assert_int_equal(store_pin(&rig.store, &key, &pin, &pinned_size), ABI_STATUS_OK);
	}
	put(1000, 1, 2 * size);
	for (i = 1; i < 50; i += 2)
		assert_int_equal(rig_get(&rig, i, i, size), size);
	rig_check(&rig);
}

/* Open reservations are as good as pins. */
static void test_reserved(void **state)
{
	const struct store_put_options none = {0};
	const uint64_t tier = 4 * MIB;
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	enum abi_status status;
	uint64_t i, n = 0;
	uint32_t cell[64];
	struct index_key key;

	(void)state;
	open_with(NULL, tier, 4 * MIB, 32);
	for (i = 0; i < 100; i++)
		put(i, i, 10000);
	for (i = 0; i < 64; i++) {
		key = rig_index_key(&rig, 1000 + i, bytes);
		status = store_reserve(&rig.store, &rig.w, &key, &none, tier / 64 + 1, &cell[n]);
		if (status == ABI_STATUS_NOSPACE)
			break;
		assert_int_equal(status, ABI_STATUS_OK);
		n++;
		rig_check(&rig);
	}
	/* What the alignment and the first entries' places leave free between them is less than
	 * half. */
	assert_true(n > 32);
	assert_int_equal(rig.store.reserved_size, n * (tier / 64 + 64));
	store_abort(&rig.store, cell[5]);
	put(1, 1, tier / 64);
	/* A commit never wants for room in the tier. */
	for (i = 0; i < n; i++)
		if (i != 5)
			assert_int_equal(
				store_commit(&rig.store, &rig.w, cell[i], false), ABI_STATUS_OK);
	assert_int_equal(rig.store.reserved_size, 0);
	rig_check(&rig);
}

/*
 * A full index evicts; it never fails a put: not where cells run out, not where a long key wants
 * many, and not where a chain wants a bucket and there is memory for none.
 */
static void full_index(uint64_t index_size, unsigned batch, bool long_keys)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	uint64_t i, random = 5, most = 0;
	struct index_key key;
	enum abi_status status;

	open_with(NULL, 32 * MIB, index_size, batch);
	for (i = 0; i < 150000; i++) {
		memset(bytes, 'x', sizeof(bytes));
		key.hash = rig_random(&random) % 60000;
		memcpy(bytes, &key.hash, sizeof(key.hash));
		key = index_key(&rig.store.index, bytes,
			long_keys && i % 64 == 0 ? ABI_KEY_SIZE_MAX : 16);
		status = store_put(
			&rig.store, &rig.w, &key, &(struct store_put_options){0}, "v", 1);
		if (status != ABI_STATUS_OK)
			fail_msg("put %llu with %llu entries in the index: %s",
				(unsigned long long)i,
				(unsigned long long)rig.store.index.n_entries,
				abi_status_name(status));
		if (rig.store.index.n_entries > most)
			most = rig.store.index.n_entries;
		if (i % 10000 == 0)
			rig_check(&rig);
	}
	rig_check(&rig);
	assert_true(rig.store.index.backed <= index_size);
	assert_true(rig_count(&rig, ABI_COUNTER_EVICTIONS) > 0);
	/* It is of use, too: most of the memory names entries. */
	if (!long_keys)
		assert_true(most * 128 > index_size - 256 * KIB);
}

static void test_full_index(void **state)
{
	(void)state;
	full_index(1 * MIB, 32, false);
}

static void test_full_index_one_by_one(void **state)
{
	(void)state;
	full_index(1 * MIB, 1, false);
}

static void test_full_index_long_keys(void **state)
{
	(void)state;
	full_index(1 * MIB, 1, true);
}

static void test_smallest_index(void **state)
{
	(void)state;
	full_index(256 * KIB, 32, true);
}

/* Entries that come and go leave no empty buckets behind for good. */
static void test_churn_of_buckets(void **state)
{
	uint64_t i, random = 9, before;

	(void)state;
	open_with("lru", 8 * MIB, 64 * MIB, 32);
	for (i = 0; i < 300000; i++)
		assert_int_equal(rig_put(&rig, i, i, 64), ABI_STATUS_OK);
	before = rig.store.index.n_overflow;
	for (i = 0; i < 1200000; i++)
		assert_int_equal(rig_put(&rig, rig_random(&random), i, 64), ABI_STATUS_OK);
	rig_check(&rig);
	if (rig.store.index.n_overflow > before + before / 4)
		fail_msg("overflow buckets: %llu after the filling, %llu after the churn",
			(unsigned long long)before,
			(unsigned long long)rig.store.index.n_overflow);
}

int main(void)
{
#define UNIT(name) cmocka_unit_test_teardown(name, teardown)
	const struct CMUnitTest tests[] = {
		UNIT(test_mixed),
		UNIT(test_mixed_lru_one_by_one),
		UNIT(test_mixed_clock),
		UNIT(test_mixed_s3fifo),
		UNIT(test_mixed_arc),
		UNIT(test_shift),
		UNIT(test_order),
		UNIT(test_cost_of_large),
		UNIT(test_pinned),
		UNIT(test_beside_pinned),
		UNIT(test_reserved),
		UNIT(test_full_index),
		UNIT(test_full_index_one_by_one),
		UNIT(test_full_index_long_keys),
		UNIT(test_smallest_index),
		UNIT(test_churn_of_buckets),
	};

	return RIG_RUN(tests);
}
