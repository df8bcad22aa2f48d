/* SPDX-License-Identifier: Apache-2.0 */
/* Units of allocator/block.c and block-info.c: edges, alignment, joins, restore. */
#include "allocator/block.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static void check(const struct block_allocator *a)
{
	char why[256] = "";

	if (block_check(a, why, sizeof(why)))
		fail_msg("%s", why);
}

static struct block_allocator *allocator_new(uint64_t size)
{
	struct block_allocator *a = NULL;

	assert_int_equal(block_allocator_new(&a, size), 0);
	check(a);
	return a;
}

static uint32_t alloc(struct block_allocator *a, uint64_t size, uint64_t align)
{
	uint32_t block = 0;

	assert_int_equal(block_alloc(a, size, align, 1, &block), 0);
	assert_int_not_equal(block, 0);
	return block;
}

static void test_region_sizes(void **state)
{
	static const uint64_t bad[] = { 0, 1, 64, 4095, 4097, 256 * GIB + 4096, UINT64_MAX };
	static const uint64_t good[] = { 4096, 12288, GIB, 256 * GIB };
	struct block_allocator *a = NULL;
	struct block_stats st;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(block_allocator_new(&a, bad[i]), -EINVAL);
	assert_null(a);
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		a = allocator_new(good[i]);
		block_stats_get(a, &st);
		assert_int_equal(st.size, good[i]);
		assert_int_equal(st.free, good[i]);
		assert_int_equal(st.largest_free, good[i]);
		assert_int_equal(st.used, 0);
		assert_int_equal(st.n_used, 0);
		assert_int_equal(st.n_free, 1);
		assert_int_equal(block_size(a, block_first(a)), good[i]);
		block_allocator_free(a);
	}
	block_allocator_free(NULL);
}

static void test_arguments(void **state)
{
	struct block_allocator *a = allocator_new(4 * GIB);
	uint32_t block = 77;

	(void)state;
	assert_int_equal(block_alloc(a, 0, 0, 1, &block), -EINVAL);
	assert_int_equal(block_alloc(a, GIB + 1, 0, 1, &block), -EINVAL);
	assert_int_equal(block_alloc(a, UINT64_MAX, 0, 1, &block), -EINVAL);
	assert_int_equal(block_alloc(a, 64, 0, 0, &block), -EINVAL);
	assert_int_equal(block_alloc(a, 64, 96, 1, &block), -EINVAL);
	assert_int_equal(block_alloc(a, 64, 4 * MIB, 1, &block), -EINVAL);
	assert_int_equal(block, 77);
	check(a);
	block_allocator_free(a);
}

/* Each size around each class border, alone and side by side. */
static void test_sizes(void **state)
{
	struct block_allocator *a = allocator_new(16 * GIB);
	struct block_stats st;
	uint64_t size, used = 0;
	uint32_t block;
	unsigned int shift;
	int d;

	(void)state;
	for (shift = 0; shift <= 30; shift++) {
		for (d = -65; d <= 65; d++) {
			size = (UINT64_C(1) << shift) + (uint64_t)(int64_t)d;
			if (!size || size > BLOCK_SIZE_MAX)
				continue;
			if (used + size > 12 * GIB)
				break;
			block = alloc(a, size, 0);
			assert_true(block_size(a, block) >= size);
			assert_true(block_size(a, block) < size + BLOCK_GRAIN);
			assert_int_equal(block_offset(a, block) % BLOCK_GRAIN, 0);
			used += block_size(a, block);
			block_stats_get(a, &st);
			assert_int_equal(st.used, used);
			if (size > 8 * MIB) {
				used -= block_size(a, block);
				block_free(a, block);
			}
		}
	}
	check(a);
	block_allocator_free(a);
}

static void test_whole_region(void **state)
{
	struct block_allocator *a = allocator_new(GIB);
	struct block_stats st;
	uint32_t block, more = 5;

	(void)state;
	block = alloc(a, GIB, 0);
	assert_int_equal(block_offset(a, block), 0);
	assert_int_equal(block_size(a, block), GIB);
	assert_int_equal(block_next(a, block), 0);
	assert_int_equal(block_prev(a, block), 0);
	assert_int_equal(block_alloc(a, 1, 0, 1, &more), BLOCK_FULL);
	assert_int_equal(more, 5);
	block_stats_get(a, &st);
	assert_int_equal(st.free, 0);
	assert_int_equal(st.largest_free, 0);
	check(a);
	block_free(a, block);
	check(a);
	block_allocator_free(a);
}

static void test_alignment(void **state)
{
	struct block_allocator *a = allocator_new(64 * MIB);
	struct block_stats st;
	uint32_t blocks[64];
	uint64_t align;
	size_t n = 0, i;

	(void)state;
	for (align = 1; align <= BLOCK_ALIGN_MAX; align *= 2) {
		blocks[n++] = alloc(a, 64, 0);	/* puts the next out of step */
		blocks[n] = alloc(a, 3 * align / 2 + 1, align);
		assert_int_equal(block_offset(a, blocks[n]) % align, 0);
		assert_int_equal(block_offset(a, blocks[n]) % BLOCK_GRAIN, 0);
		n++;
		check(a);
	}
	for (i = 0; i < n; i += 2)
		block_free(a, blocks[i]);
	check(a);
	for (i = 1; i < n; i += 2)
		block_free(a, blocks[i]);
	check(a);
	block_stats_get(a, &st);
	assert_int_equal(st.n_free, 1);
	assert_int_equal(st.largest_free, 64 * MIB);
	block_allocator_free(a);
}

/* The last aligned run there is has to be found, however tight, and though the
 * search by class would round the request beyond it. */
static void test_exact_fit(void **state)
{
	static const uint64_t sizes[] = { 64, 4096, 4160, 5 * MIB + 64, 33 * MIB + 192 };
	static const uint64_t aligns[] = { 64, 4096, 65536, 2 * MIB };
	struct block_allocator *a;
	uint32_t block, id;
	uint64_t region, off;
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (k = 0; k < sizeof(aligns) / sizeof(aligns[0]); k++) {
			off = 4 * MIB;
			region = off + (sizes[i] + 4095) / 4096 * 4096;
			a = allocator_new(region);
			assert_int_equal(block_restore(a, 0, off, 1, &block), 0);
			if (region > off + sizes[i])
				assert_int_equal(block_restore(a, off + sizes[i],
					region - off - sizes[i], 1, &block), 0);
			id = alloc(a, sizes[i], aligns[k]);
			assert_int_equal(block_offset(a, id), off);
			assert_int_equal(block_size(a, id), sizes[i]);
			check(a);
			block_allocator_free(a);
		}
	}
}

/* Three neighbours, freed in each of the six orders. */
static void test_joins(void **state)
{
	static const int orders[6][3] = {
		{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
	};
	struct block_allocator *a = allocator_new(4096);
	struct block_stats st;
	uint32_t b[3];
	int i, k;

	(void)state;
	for (i = 0; i < 6; i++) {
		for (k = 0; k < 3; k++)
			b[k] = alloc(a, k == 2 ? 2048 : 1024, 0);
		assert_int_equal(block_next(a, b[0]), b[1]);
		assert_int_equal(block_prev(a, b[2]), b[1]);
		for (k = 0; k < 3; k++) {
			block_free(a, b[orders[i][k]]);
			check(a);
		}
		block_stats_get(a, &st);
		assert_int_equal(st.largest_free, 4096);
		assert_int_equal(st.n_used, 0);
	}
	block_allocator_free(a);
}

static void test_owner(void **state)
{
	struct block_allocator *a = allocator_new(4096);
	uint32_t block;

	(void)state;
	assert_int_equal(block_owner(a, block_first(a)), 0);
	assert_true(block_is_free(a, block_first(a)));
	assert_int_equal(block_alloc(a, 100, 0, UINT32_MAX, &block), 0);
	assert_int_equal(block_owner(a, block), UINT32_MAX);
	assert_false(block_is_free(a, block));
	block_set_owner(a, block, 9);
	assert_int_equal(block_owner(a, block), 9);
	check(a);
	block_allocator_free(a);
}

/* Fills a region with the smallest blocks, frees every other, then the rest:
 * the most blocks and the longest list that there can be. */
static void test_many(void **state)
{
	struct block_allocator *a = allocator_new(32 * MIB);
	uint64_t n = 32 * MIB / BLOCK_GRAIN, i;
	struct block_stats st, again;
	uint32_t block, next;

	(void)state;
	for (i = 0; i < n; i++)
		alloc(a, 1, 0);
	assert_int_equal(block_alloc(a, 1, 0, 1, &block), BLOCK_FULL);
	block_stats_get(a, &st);
	assert_int_equal(st.n_used, n);
	assert_true(st.books_size < n * 20 + 64 * KIB);
	for (block = block_first(a), i = 0; block; block = block_next(a, block), i++)
		assert_int_equal(block_offset(a, block), i * BLOCK_GRAIN);
	assert_int_equal(i, n);
	for (block = block_first(a); block; block = next) {
		next = block_next(a, block_next(a, block));
		block_free(a, block);
	}
	check(a);
	block_stats_get(a, &st);
	assert_int_equal(st.largest_free, BLOCK_GRAIN);
	assert_int_equal(block_alloc(a, 65, 0, 1, &block), BLOCK_FULL);
	for (block = block_first(a); block; block = next) {
		next = block_next(a, block);
		if (!block_is_free(a, block)) {
			block_free(a, block);
			next = block_next(a, block_first(a));
		}
	}
	check(a);
	block_stats_get(a, &st);
	assert_int_equal(st.largest_free, 32 * MIB);
	/* The nodes are used again. */
	for (i = 0; i < n; i++)
		alloc(a, 1, 0);
	block_stats_get(a, &again);
	assert_int_equal(again.books_size, st.books_size);
	check(a);
	block_allocator_free(a);
}

/* The far end of the largest region: offsets that only just fit the books. */
static void test_largest_region(void **state)
{
	struct block_allocator *a = allocator_new(256 * GIB);
	struct block_stats st;
	uint32_t block, i;

	(void)state;
	for (i = 0; i < 255; i++)
		alloc(a, GIB, 2 * MIB);
	assert_int_equal(block_restore(a, 256 * GIB - 64, 64, 3, &block), 0);
	assert_int_equal(block_offset(a, block), 256 * GIB - 64);
	assert_int_equal(block_size(a, block), 64);
	assert_int_equal(block_alloc(a, GIB, 0, 1, &block), BLOCK_FULL);
	alloc(a, GIB - 64, 0);
	block_stats_get(a, &st);
	assert_int_equal(st.free, 0);
	check(a);
	block_allocator_free(a);
}

static void test_restore(void **state)
{
	struct block_allocator *a = allocator_new(MIB), *b = allocator_new(MIB);
	struct block_stats st, st_twin;
	uint32_t block, twin, n;

	(void)state;
	for (n = 1; !block_alloc(a, 1099 * (n % 3 + 1), 0, n, &block); n++)
		if (n % 4 == 3)
			block_free(a, block_prev(a, block));
	for (block = block_first(a); block; block = block_next(a, block)) {
		if (block_is_free(a, block))
			continue;
		assert_int_equal(block_restore(b, block_offset(a, block),
			block_size(a, block), block_owner(a, block), &twin), 0);
		check(b);
	}
	block_stats_get(a, &st);
	block_stats_get(b, &st_twin);
	assert_true(st.n_used > 100 && st.n_free > 50);
	assert_int_equal(st.used, st_twin.used);
	assert_int_equal(st.n_free, st_twin.n_free);
	assert_int_equal(st.n_used, st_twin.n_used);
	block_allocator_free(a);
	block_allocator_free(b);
}

static void test_restore_refuses(void **state)
{
	struct block_allocator *a = allocator_new(8192);
	uint32_t block = 0, none = 0;

	(void)state;
	assert_int_equal(block_restore(a, 1024, 1000, 4, &block), 0);
	assert_int_equal(block_size(a, block), 1024);
	assert_int_equal(block_owner(a, block), 4);
	assert_int_equal(block_restore(a, 1024, 64, 4, &none), -EINVAL);	/* same */
	assert_int_equal(block_restore(a, 1984, 128, 4, &none), -EINVAL);	/* overlap */
	assert_int_equal(block_restore(a, 0, 64, 4, &none), -EINVAL);	/* descends */
	assert_int_equal(block_restore(a, 2080, 64, 4, &none), -EINVAL);	/* off grain */
	assert_int_equal(block_restore(a, 8128, 65, 4, &none), -EINVAL);	/* end */
	assert_int_equal(block_restore(a, 8192, 64, 4, &none), -EINVAL);
	assert_int_equal(block_restore(a, UINT64_C(1) << 60, 64, 4, &none), -EINVAL);
	assert_int_equal(block_restore(a, UINT64_MAX - 63, 128, 4, &none), -EINVAL);
	assert_int_equal(block_restore(a, 4096, 0, 4, &none), -EINVAL);
	assert_int_equal(block_restore(a, 4096, UINT64_MAX, 4, &none), -EINVAL);
	assert_int_equal(block_restore(a, 4096, 64, 0, &none), -EINVAL);
	assert_int_equal(none, 0);
	check(a);
	assert_int_equal(block_restore(a, 8128, 64, 4, &block), 0);
	assert_int_equal(block_restore(a, 8128, 64, 4, &none), -EINVAL);	/* no rest */
	check(a);
	block_allocator_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_region_sizes),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_whole_region),
		cmocka_unit_test(test_alignment),
		cmocka_unit_test(test_exact_fit),
		cmocka_unit_test(test_joins),
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_largest_region),
		cmocka_unit_test(test_restore),
		cmocka_unit_test(test_restore_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
