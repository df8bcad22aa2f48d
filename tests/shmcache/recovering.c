/* SPDX-License-Identifier: Apache-2.0 */
/* recovering.c: what the tests of a warm start have in common. */
#include "tests/shmcache/recovering.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

struct recovering left;

int recovering_setup(void **state)
{
	(void)state;
	rig_name(left.name, sizeof(left.name), "index");
	shm_unlink(left.name);
	return 0;
}

int recovering_teardown(void **state)
{
	(void)state;
	if (left.index.head)
		index_close(&left.index, true);
	shm_unlink(left.name);
	return rig_leftovers() ? -1 : 0;
}

void recovering_create(uint64_t size_max)
{
	if (index_create(
		    &left.index, left.name, size_max, 1 * MIB, 0, left.why, sizeof(left.why)))
		fail_msg("%s", left.why);
}

/* Reopen and recover; -EUCLEAN only when @may_fail. */
int recovering_open(uint64_t size_max, struct index_recovery *out, bool may_fail)
{
	int r;

	left.why[0] = '\0';
	r = index_reuse(&left.index, left.name, size_max, 1 * MIB, 0, left.why, sizeof(left.why));
	if (!r) {
		r = index_recover(&left.index, out, left.why, sizeof(left.why));
		if (r)
			index_close(&left.index, false);
	}
	if (r && (!may_fail || r != -EUCLEAN))
		fail_msg("recover: %s: %s", strerror(-r), left.why);
	if (r)
		assert_true(left.why[0] != '\0');
	return r;
}

/* --- consistency, by other means than the code under test --------------------------------- */

static uint64_t check_tails(uint32_t cell, uint8_t *seen)
{
	uint64_t n = 0;

	for (cell = left.index.cell[cell].tail; cell;
		cell = ((struct abi_tail *)&left.index.cell[cell])->next, n++) {
		assert_true(cell < left.index.n_cells);
		assert_int_equal(seen[cell]++, 0);
		assert_int_equal(left.index.meta[cell].state, INDEX_TAIL);
	}
	return n;
}

/* Those that no slot names and a mark has kept. */
static uint64_t check_retired(uint8_t *seen)
{
	uint64_t n = 0;
	uint32_t cell;

	for (cell = 1; cell < left.index.n_cells; cell++) {
		if (left.index.meta[cell].state != INDEX_RETIRED)
			continue;
		assert_int_equal(seen[cell]++, 0);
		assert_true(shared_u64_load(&left.index.cell[cell].expire_ms) & ABI_RECORD_MARKS);
		n += 1 + check_tails(cell, seen);
	}
	return n;
}

/* What is in the chains: each word names a published cell, no cell twice, each found by its key. */
void recovering_check(void)
{
	uint8_t *seen = calloc(left.index.n_cells, 1), key[ABI_KEY_SIZE_MAX];
	uint64_t i, word, n_words = 0, n_used = 1;
	const struct abi_bucket *b;
	struct index_key k;
	uint32_t cell, found;
	int s;

	assert_non_null(seen);
	for (i = 0; i < left.index.n_buckets; i++) {
		for (b = &left.index.lookup.bucket[i]; b;
			b = lookup_next(&left.index.lookup, b)) {
			for (s = 0; s < ABI_BUCKET_SLOTS; s++) {
				word = shared_u64_load(&b->slot[s]);
				cell = abi_word_cell(word);
				if (!word)
					continue;
				assert_true(cell && cell < left.index.n_cells);
				assert_int_equal(seen[cell]++, 0);
				n_words++;
				assert_int_equal(left.index.meta[cell].state, INDEX_PUBLISHED);
				k = index_key_of(&left.index, cell, key);
				assert_true(k.size >= 1 && k.size <= ABI_KEY_SIZE_MAX);
				assert_ptr_equal(
					index_find(&left.index, &k, &found), &b->slot[s]);
				assert_int_equal(found, cell);
				assert_ptr_equal(index_slot_of(&left.index, cell), &b->slot[s]);
				assert_int_equal(shared_u64_load(&left.index.cell[cell].expire_ms) &
						ABI_RECORD_MARKS,
					0);
				n_used += check_tails(cell, seen);
			}
		}
	}
	assert_int_equal(n_words, left.index.n_entries);
	n_used += check_retired(seen);
	for (cell = left.index.free_cell; cell; cell = index_block(&left.index, cell)) {
		assert_true(cell < left.index.n_cells);
		assert_int_equal(left.index.meta[cell].state, INDEX_FREE);
		assert_int_equal(seen[cell]++, 0);
		n_used++;
	}
	/* Nothing is lost either. */
	assert_int_equal(n_used + n_words, left.index.n_cells);
	free(seen);
}

/* --- keys and versions -------------------------------------------------------------------- */

/* Each record says which key and version it is, in the fields that the index leaves to its user.
 */
int recovering_put(uint64_t i, uint32_t version)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key = index_key(&left.index, bytes, rig_key(i, bytes));
	struct abi_hints hints = {.group = i, .position = version};
	struct shared_u64 *slot;
	uint32_t cell, old;
	int r = index_open(&left.index, &key, i % 2 ? &hints : NULL, &cell);

	if (r)
		return r;
	left.index.cell[cell].value_off = i * 64;
	left.index.cell[cell].value_size = version;
	left.index.cell[cell].tier = ABI_TIER_DRAM;
	slot = index_find(&left.index, &key, &old);
	if (slot) {
		index_replace(&left.index, slot, cell, key.hash);
		index_free(&left.index, old);
		return 0;
	}
	r = index_insert(&left.index, cell, key.hash);
	if (r)
		index_free(&left.index, cell);
	return r;
}

void recovering_drop(uint64_t i)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key = index_key(&left.index, bytes, rig_key(i, bytes));
	struct shared_u64 *slot;
	uint32_t cell;

	slot = index_find(&left.index, &key, &cell);
	if (!slot)
		return;
	index_remove(&left.index, slot);
	index_free(&left.index, cell);
}

/* The version of key @i that is there, 0: none. It must be whole. */
uint32_t recovering_version(uint64_t i)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key = index_key(&left.index, bytes, rig_key(i, bytes));
	struct abi_hints hints;
	uint32_t cell;

	if (!index_find(&left.index, &key, &cell))
		return 0;
	assert_int_equal(left.index.cell[cell].value_off, i * 64);
	assert_int_equal(left.index.cell[cell].tier, ABI_TIER_DRAM);
	lookup_record_hints(&left.index.lookup, &left.index.cell[cell], &hints);
	assert_int_equal(hints.group, i % 2 ? i : 0);
	assert_int_equal(hints.position, i % 2 ? left.index.cell[cell].value_size : 0);
	return left.index.cell[cell].value_size;
}
