/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of ipc/lookup.h and lookup.c: which bucket, and whether a record is a key's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ipc/lookup.h"

/* What linear hashing says, written down as it is defined. */
static uint64_t slow_bucket_idx(uint64_t hash, uint64_t n)
{
	uint64_t size = 1;

	while (size < n)
		size *= 2;
	return hash % size < n ? hash % size : hash % (size / 2);
}

static void test_buckets(void **state)
{
	static const uint64_t large[] = {1 << 20, (1 << 20) + 1, (1 << 30) - 1, UINT64_C(1) << 40,
		(UINT64_C(1) << 40) + 12345};
	uint64_t n, i, hash;

	(void)state;
	for (n = 1; n < 3000; n++) {
		for (i = 0; i < 200; i++) {
			hash = (i + n * 977) * UINT64_C(0x9e3779b97f4a7c15);
			assert_int_equal(lookup_bucket_idx(hash, n), slow_bucket_idx(hash, n));
		}
		assert_int_equal(
			lookup_bucket_idx(UINT64_MAX, n), slow_bucket_idx(UINT64_MAX, n));
		assert_int_equal(lookup_bucket_idx(0, n), 0);
	}
	for (i = 0; i < 5; i++)
		for (n = 0; n < 1000; n++) {
			hash = n * UINT64_C(0xd1342543de82ef95);
			assert_int_equal(lookup_bucket_idx(hash, large[i]),
				slow_bucket_idx(hash, large[i]));
		}
}

/* One bucket more moves words of one bucket, the one that is split, and to the new one alone. */
static void test_split(void **state)
{
	uint64_t n, i, hash, low, before, after;

	(void)state;
	for (n = 1; n < 600; n++) {
		for (low = 1; low * 2 <= n; low *= 2)
			;
		for (i = 0; i < 500; i++) {
			hash = (i + 1) * UINT64_C(0x9e3779b97f4a7c15) >> 7;
			before = lookup_bucket_idx(hash, n);
			after = lookup_bucket_idx(hash, n + 1);
			if (before == after)
				continue;
			assert_int_equal(after, n);
			assert_int_equal(before, n & (low - 1));
		}
	}
}

/* --- records ------------------------------------------------------------------------------ */

#define N_CELLS 64

static struct abi_record *cells; /* a block of their own, so that a sanitizer sees its ends */
static struct lookup l;

static int setup(void **state)
{
	(void)state;
	cells = aligned_alloc(ABI_CELL, N_CELLS * sizeof(*cells));
	memset(cells, 0xa5, N_CELLS * sizeof(*cells));
	l.cell = cells;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(cells);
	return 0;
}

/* A record in the last cell, its tails from the one before downward, laid out by the book. */
static const struct abi_record *make(
	const uint8_t *key, size_t size, const struct abi_hints *hints)
{
	struct abi_record *r = &cells[N_CELLS - 1];
	uint32_t at = N_CELLS - 1, *link = &r->tail;
	uint8_t rest[sizeof(*hints) + ABI_KEY_SIZE_MAX];
	size_t n = 0, off, part;
	struct abi_tail *tail;

	memset(r, 0, sizeof(*r));
	r->key_size = (uint16_t)size;
	r->flags = hints ? ABI_RECORD_HINTS : 0;
	memcpy(r->key, key, size < ABI_KEY_INLINE ? size : ABI_KEY_INLINE);
	if (hints) {
		memcpy(rest, hints, sizeof(*hints));
		n = sizeof(*hints);
	}
	if (size > ABI_KEY_INLINE) {
		memcpy(rest + n, key + ABI_KEY_INLINE, size - ABI_KEY_INLINE);
		n += size - ABI_KEY_INLINE;
	}
	for (off = 0; off < n; off += part) {
		part = n - off < ABI_TAIL_BYTES ? n - off : ABI_TAIL_BYTES;
		*link = --at;
		tail = (struct abi_tail *)&cells[at];
		memset(tail, 0, sizeof(*tail));
		memcpy(tail->bytes, rest + off, part);
		link = &tail->next;
	}
	return r;
}

static void test_records(void **state)
{
	const struct abi_hints hints = {
		.group = 0x1122334455667788, .position = 9, .priority = 3};
	uint8_t *key, other[ABI_KEY_SIZE_MAX + 1], got[ABI_KEY_SIZE_MAX];
	const struct abi_record *r;
	struct abi_hints h;
	size_t size, i;
	int with;

	(void)state;
	for (size = 1; size <= ABI_KEY_SIZE_MAX; size++) {
		/* Of just its size, so that a look beyond it is seen. */
		key = malloc(size);
		for (i = 0; i < size; i++)
			key[i] = (uint8_t)(i * 31 + size);
		for (with = 0; with < 2; with++) {
			r = make(key, size, with ? &hints : NULL);
			assert_true(lookup_record_matches(&l, r, key, size));
			memset(got, 0, sizeof(got));
			lookup_record_key(&l, r, got);
			assert_memory_equal(got, key, size);
			lookup_record_hints(&l, r, &h);
			assert_int_equal(h.group, with ? hints.group : 0);
			assert_int_equal(h.position, with ? 9 : 0);
			assert_int_equal(h.priority, with ? 3 : 0);
			/* One bit off at either end or at a seam, or another size: another key.
			 */
			memcpy(other, key, size);
			other[size] = 0;
			assert_false(lookup_record_matches(&l, r, other, size + 1));
			assert_false(lookup_record_matches(&l, r, other, size - 1));
			for (i = 0; i < size; i += i + 1 < size && i > 40 ? size - 1 - i : 1) {
				other[i] ^= 0x80;
				assert_false(lookup_record_matches(&l, r, other, size));
				other[i] ^= 0x80;
			}
		}
		free(key);
	}
}

/* A chain of tails that leads round in a circle ends with the key's size. */
static void test_circle(void **state)
{
	uint8_t key[ABI_KEY_SIZE_MAX], got[ABI_KEY_SIZE_MAX];
	const struct abi_record *r;

	(void)state;
	memset(key, 'k', sizeof(key));
	r = make(key, sizeof(key), NULL);
	((struct abi_tail *)&cells[r->tail])->next = r->tail;
	assert_true(lookup_record_matches(&l, r, key, sizeof(key)));
	lookup_record_key(&l, r, got);
	assert_memory_equal(got, key, sizeof(key));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buckets),
		cmocka_unit_test(test_split),
		cmocka_unit_test_setup_teardown(test_records, setup, teardown),
		cmocka_unit_test_setup_teardown(test_circle, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
