/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of shmcache/index.c and index-grow.c: one thread against a model that can't be wrong. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/shmcache/rig.h"

#define N_KEYS 300000

static struct index ix;
static char name[64], why[256];
static uint32_t *cell_of; /* by key number, 0: not there */
static struct abi_hints hints_of(uint64_t i)
{
	return (struct abi_hints){.group = i * 7, .position = (uint32_t)i, .priority = i % 4};
}

static void create(uint64_t size_max)
{
	int r = index_create(&ix, name, size_max, 1 * MIB, 0, why, sizeof(why));

	if (r)
		fail_msg("%s", why);
}

static int setup(void **state)
{
	(void)state;
	rig_name(name, sizeof(name), "index");
	shm_unlink(name);
	cell_of = calloc(N_KEYS, sizeof(*cell_of));
	return cell_of ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	free(cell_of);
	if (ix.head)
		index_close(&ix, true);
	shm_unlink(name);
	return rig_leftovers() ? -1 : 0;
}

static struct index_key key_of(uint64_t i, uint8_t bytes[ABI_KEY_SIZE_MAX])
{
	return index_key(&ix, bytes, rig_key(i, bytes));
}

/* An open record of key @i; the value's place says which key it is. */
static uint32_t open_key(uint64_t i, int *r)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key = key_of(i, bytes);
	struct abi_hints hints = hints_of(i);
	uint32_t cell = 0;

	*r = index_open(&ix, &key, i % 3 ? NULL : &hints, &cell);
	if (!*r) {
		ix.cell[cell].value_off = i * 64;
		ix.cell[cell].tier = ABI_TIER_DRAM;
	}
	return cell;
}

static int insert(uint64_t i)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key = key_of(i, bytes);
	int r;
	uint32_t cell = open_key(i, &r);

	if (r)
		return r;
	r = index_insert(&ix, cell, key.hash);
	if (r)
		index_free(&ix, cell);
	else
		cell_of[i] = cell;
	return r;
}

static void replace(uint64_t i)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key = key_of(i, bytes);
	struct shared_u64 *slot;
	uint32_t cell, old;
	int r;

	cell = open_key(i, &r);
	assert_int_equal(r, 0);
	slot = index_find(&ix, &key, &old);
	assert_non_null(slot);
	assert_int_equal(old, cell_of[i]);
	index_replace(&ix, slot, cell, key.hash);
	assert_int_equal(ix.meta[old].state, INDEX_RETIRED);
	index_free(&ix, old);
	cell_of[i] = cell;
}

static void drop(uint64_t i)
{
	struct shared_u64 *slot = index_slot_of(&ix, cell_of[i]);

	assert_non_null(slot);
	index_remove(&ix, slot);
	assert_int_equal(ix.meta[cell_of[i]].state, INDEX_RETIRED);
	index_free(&ix, cell_of[i]);
	cell_of[i] = 0;
}

static void check_key(uint64_t i)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX], again[ABI_KEY_SIZE_MAX];
	struct index_key key = key_of(i, bytes), back;
	struct shared_u64 *slot, hold = {0};
	uint32_t cell = 0;
	struct abi_hints hints, want = {0};
	uint64_t word, n = 0;

	slot = index_find(&ix, &key, &cell);
	word = rig_read(&ix.lookup, &hold, bytes, key.size, &n);
	assert_int_equal(n, 0);
	if (!cell_of[i]) {
		assert_null(slot);
		assert_int_equal(word, 0);
		return;
	}
	if (!slot || cell != cell_of[i] || abi_word_cell(word) != cell)
		fail_msg("key %llu: cell %u found, %u put", (unsigned long long)i, cell,
			cell_of[i]);
	if (i % 3 == 0)
		want = hints_of(i);
	lookup_record_hints(&ix.lookup, &ix.cell[cell], &hints);
	assert_memory_equal(&hints, &want, sizeof(want));
	assert_int_equal(ix.cell[cell].value_off, i * 64);
	back = index_key_of(&ix, cell, again);
	assert_int_equal(back.size, key.size);
	assert_memory_equal(again, bytes, key.size);
	assert_int_equal(back.hash, key.hash);
	assert_ptr_equal(index_slot_of(&ix, cell), slot);
}

/* Each cell is in one place: free list, a record, or one record's tail. */
static void check_cells(void)
{
	uint64_t n_free = 0, n_published = 0, n_tails = 0, i;
	uint32_t cell;

	for (cell = ix.free_cell; cell; cell = index_block(&ix, cell)) {
		assert_int_equal(ix.meta[cell].state, INDEX_FREE);
		assert_true(++n_free < ix.n_cells);
	}
	for (i = 0; i < N_KEYS; i++) {
		if (!cell_of[i])
			continue;
		n_published++;
		for (cell = ix.cell[cell_of[i]].tail; cell;
			cell = ((struct abi_tail *)&ix.cell[cell])->next) {
			assert_int_equal(ix.meta[cell].state, INDEX_TAIL);
			n_tails++;
		}
	}
	assert_int_equal(ix.n_entries, n_published);
	assert_int_equal(1 + n_free + n_published + n_tails, ix.n_cells);
}

static void test_random(void **state)
{
	uint64_t random = 1, i, n_keys;
	int op, phase;

	(void)state;
	create(128 * MIB);
	for (phase = 0; phase < 4; phase++) {
		n_keys = phase ? 40000 : 2000;
		for (op = 0; op < 100000; op++) {
			i = rig_random(&random) % n_keys;
			if (!cell_of[i])
				assert_int_equal(insert(i), 0);
			else if (rig_random(&random) % 8 < (phase == 3 ? 6 : 3))
				drop(i);
			else if (rig_random(&random) % 2)
				replace(i);
			else
				check_key(i);
		}
		for (i = 0; i < n_keys; i++)
			check_key(i);
		check_cells();
	}
}

static void test_growth(void **state)
{
	uint64_t i, n = ix.n_buckets;

	(void)state;
	create(128 * MIB);
	assert_int_equal(ix.n_buckets, 1024);
	for (i = 0; i < 250000; i++) {
		assert_int_equal(insert(i), 0);
		/* It never falls behind, and never shrinks. */
		assert_true(ix.n_entries <= ix.n_buckets * INDEX_LOAD);
		assert_true(ix.n_buckets >= n && ix.n_buckets <= n + 1024);
		assert_int_equal(shared_u64_load(&ix.head->n_buckets), ix.n_buckets);
		n = ix.n_buckets;
		if (i % 977 == 0)
			check_key(i / 2);
	}
	for (i = 0; i < 250100; i++)
		check_key(i);
	check_cells();
	/* About as many overflow buckets as chance makes. */
	if (ix.n_overflow * 2 > ix.n_buckets)
		fail_msg("%llu overflow buckets for %llu", (unsigned long long)ix.n_overflow,
			(unsigned long long)ix.n_buckets);
	for (i = 0; i < 250000; i++)
		drop(i);
	check_cells();
	for (i = 0; i < ix.n_buckets; i++)
		assert_int_equal(shared_u64_load(&ix.bucket[i].link), 0);
}

/* Every key size, with hints and without, of bytes that differ in the last alone. */
static void test_key_sizes(void **state)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX], other[ABI_KEY_SIZE_MAX], back[ABI_KEY_SIZE_MAX];
	struct abi_hints hints = {.group = UINT64_MAX, .position = 1, .priority = 3}, got;
	struct index_key key, again;
	uint32_t cell, found;
	size_t size;
	int with;

	(void)state;
	create(16 * MIB);
	memset(bytes, 0, sizeof(bytes));
	memset(other, 0, sizeof(other));
	for (size = 1; size <= ABI_KEY_SIZE_MAX; size++) {
		for (with = 0; with < 2; with++) {
			/* Empty but for the last byte, so that also the sizes must be compared.
			 */
			bytes[size - 1] = (uint8_t)(with + 1);
			key = index_key(&ix, bytes, size);
			assert_null(index_find(&ix, &key, &found));
			assert_int_equal(index_open(&ix, &key, with ? &hints : NULL, &cell), 0);
			assert_int_equal(index_insert(&ix, cell, key.hash), 0);
			assert_non_null(index_find(&ix, &key, &found));
			assert_int_equal(found, cell);
			again = index_key_of(&ix, cell, back);
			assert_int_equal(again.size, size);
			assert_memory_equal(back, bytes, size);
			lookup_record_hints(&ix.lookup, &ix.cell[cell], &got);
			assert_int_equal(got.group, with ? UINT64_MAX : 0);
			assert_int_equal(got.position, with);
			assert_int_equal(got.priority, with ? 3 : 0);
			bytes[size - 1] = 0;
			other[size - 1] = 9;
			assert_false(
				lookup_record_matches(&ix.lookup, &ix.cell[cell], other, size));
			other[size - 1] = 0;
		}
	}
	assert_int_equal(ix.n_entries, 2 * ABI_KEY_SIZE_MAX);
}

/* Memory runs out: INDEX_FULL, with nothing lost and nothing leaked, until something goes. */
static void test_full(void **state)
{
	uint64_t i, n, round, backed;
	int r = 0;

	(void)state;
	create(512 * KIB);
	for (n = 0; !r; n++)
		r = insert(n);
	n--;
	assert_int_equal(r, INDEX_FULL);
	assert_true(n > 1000);
	backed = ix.backed;
	assert_true(backed <= 512 * KIB);
	for (round = 0; round < 50; round++) {
		check_cells();
		for (i = 0; i < n + 10; i++)
			check_key(i);
		for (i = round; i < n; i += 7)
			if (cell_of[i])
				drop(i);
		for (i = round; i < n; i += 7)
			if (!cell_of[i] && insert(i))
				break;
	}
	/* Replacing needs a cell more for a moment. */
	for (i = 0; i < 200; i++)
		if (cell_of[i])
			drop(i);
	for (i = 200; i < n; i++)
		if (cell_of[i])
			replace(i);
	check_cells();
	assert_true(ix.backed <= 512 * KIB);
	assert_int_equal(index_size(&ix), ix.backed);
}

static void test_too_small(void **state)
{
	(void)state;
	assert_int_equal(index_create(&ix, name, 4096, 1 * MIB, 0, why, sizeof(why)), -ENOSPC);
	assert_non_null(strstr(why, name));
	assert_int_equal(rig_leftovers(), 0);
	/* One that is there already is not taken. */
	create(1 * MIB);
	struct index second;
	assert_int_equal(
		index_create(&second, name, 1 * MIB, 1 * MIB, 0, why, sizeof(why)), -EEXIST);
	assert_int_equal(insert(1), 0);
	check_key(1);
}

/* Key numbers whose low bits of the hash are all the same: one chain. */
static uint64_t next_collider(uint64_t i, uint64_t mask)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];

	do
		i++;
	while (hash_bytes(ix.lookup.seed, &i, sizeof(i)) & mask);
	memcpy(bytes, &i, sizeof(i));
	return i;
}

static void collide(unsigned n, uint64_t mask, uint32_t *cells)
{
	struct index_key key;
	uint64_t i = 0;
	unsigned k;

	for (k = 0; k < n; k++) {
		i = next_collider(i, mask);
		key = index_key(&ix, &i, sizeof(i));
		assert_int_equal(index_open(&ix, &key, NULL, &cells[k]), 0);
		assert_int_equal(index_insert(&ix, cells[k], key.hash), 0);
	}
	for (k = 0, i = 0; k < n; k++) {
		uint32_t found = 0;

		i = next_collider(i, mask);
		key = index_key(&ix, &i, sizeof(i));
		assert_non_null(index_find(&ix, &key, &found));
		assert_int_equal(found, cells[k]);
	}
}

static void test_chain(void **state)
{
	uint32_t cells[100], k;
	uint64_t n = 0;
	int round;

	(void)state;
	create(4 * MIB);
	for (round = 0; round < 10; round++) {
		collide(100, 1023, cells);
		if (!round)
			n = ix.n_overflow;
		/* 100 words are 15 lines, the first is the bucket: and the next round's are the
		 * same. */
		assert_int_equal(ix.n_overflow, n);
		assert_int_equal(n, 14);
		for (k = 0; k < 100; k++) {
			/* From both ends, so that empty lines come to lie in the middle. */
			uint32_t cell = cells[k % 2 ? 99 - k / 2 : k / 2];

			index_remove(&ix, index_slot_of(&ix, cell));
			index_free(&ix, cell);
		}
		assert_int_equal(ix.n_entries, 0);
		assert_int_equal(shared_u64_load(&ix.bucket[0].link), 0);
	}
}

/* Keys that are made to collide fill a chain and no more, and keep nothing else from growing. */
static void test_chain_full(void **state)
{
	static uint32_t cells[600];
	struct index_key key;
	uint32_t at = 0, cell; /* keys of four bytes: the others are longer */
	uint64_t i, n = 0, n_refused = 0;
	int r = 0;

	(void)state;
	create(64 * MIB);
	/* All in bucket 1024, once there is one: they move when bucket 0 is split. */
	for (; !r; at++) {
		key = index_key(&ix, &at, sizeof(at));
		if ((key.hash & 2047) != 1024)
			continue;
		assert_int_equal(index_open(&ix, &key, NULL, &cell), 0);
		r = index_insert(&ix, cell, key.hash);
		if (r)
			index_free(&ix, cell);
		else
			cells[n++] = cell;
		assert_true(n < 600);
	}
	assert_int_equal(r, INDEX_FULL);
	assert_true(n >= 7 * ABI_BUCKET_SLOTS);
	/* The one whose slot another could have is of that chain. */
	assert_int_not_equal(index_chain_cell(&ix, key.hash), 0);
	assert_int_equal(
		hash_bytes(ix.lookup.seed, ix.cell[index_chain_cell(&ix, key.hash)].key, 4) %
			2048,
		1024);
	/* Who meets them in bucket 0, before it is split, finds it full; nobody else does. */
	for (i = 0; i < 20000; i++)
		n_refused += insert(i) != 0;
	assert_true(n_refused < 40);
	assert_true(ix.n_buckets > 20000 / INDEX_LOAD);
	for (i = 0; i < n; i++) {
		assert_non_null(index_slot_of(&ix, cells[i]));
		index_remove(&ix, index_slot_of(&ix, cells[i]));
		index_free(&ix, cells[i]);
	}
	for (i = 0; i < 20000; i++)
		check_key(i);
	check_cells();
}

int main(void)
{
#define UNIT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		UNIT(test_random),
		UNIT(test_growth),
		UNIT(test_key_sizes),
		UNIT(test_full),
		UNIT(test_too_small),
		UNIT(test_chain),
		UNIT(test_chain_full),
	};

	rig_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
