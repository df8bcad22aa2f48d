/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unit of allocator/block-window.c.
 *
 * Small cases by hand, then regions cut up at random, where what is found is
 * held against every run of neighbours that contains the start and is no longer
 * than needed: none may be cheaper, and there is none where none is found. And it has to be true
 * that a window makes room: it is freed, and the block allocated.
 */
#include "allocator/block.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define BLOCKS_MAX 4096
#define PINNED UINT64_MAX

/* Costs by owner. */
struct costs {
	uint64_t of[BLOCKS_MAX];
	unsigned int asked[BLOCKS_MAX];
};

static uint64_t cost_get(void *ctx, uint32_t owner, uint64_t size)
{
	struct costs *c = ctx;

	assert_true(owner && owner < BLOCKS_MAX);
	assert_true(size && size % BLOCK_GRAIN == 0);
	c->asked[owner]++;
	return c->of[owner];
}

/* n blocks of `size` one after the other, owned by 1 .. n, that cost 10. */
static struct block_allocator *row_new(uint32_t n, uint64_t size, uint32_t *blocks,
		struct costs *costs)
{
	struct block_allocator *a;
	uint32_t i;

	assert_int_equal(block_allocator_new(&a, n * size), 0);
	for (i = 0; i < n; i++) {
		assert_int_equal(block_alloc(a, size, 0, i + 1, &blocks[i]), 0);
		assert_int_equal(block_offset(a, blocks[i]), i * size);
		costs->of[i + 1] = 10;
	}
	return a;
}

static void test_cheapest(void **state)
{
	struct costs costs = { 0 };
	uint32_t blocks[16], first = 0, last = 0;
	struct block_allocator *a = row_new(16, 4096, blocks, &costs);

	(void)state;
	/* Below the start is cheaper than above it. */
	costs.of[7] = costs.of[8] = 1;
	assert_int_equal(block_window_find(a, blocks[8], 3 * 4096, 0, cost_get, &costs,
		&first, &last), 0);
	assert_int_equal(first, blocks[6]);
	assert_int_equal(last, blocks[8]);
	/* What is free costs nothing. */
	block_free(a, blocks[9]);
	block_free(a, blocks[10]);
	assert_int_equal(block_window_find(a, blocks[8], 3 * 4096, 0, cost_get, &costs,
		&first, &last), 0);
	assert_int_equal(first, blocks[8]);
	assert_int_equal(block_next(a, first), last);
	assert_true(block_is_free(a, last));
	block_allocator_free(a);
}

static void test_pinned(void **state)
{
	struct costs costs = { 0 };
	uint32_t blocks[16], first = 0, last = 0, i;
	struct block_allocator *a = row_new(16, 4096, blocks, &costs);

	(void)state;
	costs.of[6] = PINNED;
	costs.of[10] = PINNED;
	/* Three lie between the two: room for three, not for four. */
	assert_int_equal(block_window_find(a, blocks[7], 3 * 4096, 0, cost_get, &costs,
		&first, &last), 0);
	assert_int_equal(first, blocks[6]);
	assert_int_equal(last, blocks[8]);
	assert_int_equal(block_window_find(a, blocks[7], 4 * 4096, 0, cost_get, &costs,
		&first, &last), BLOCK_FULL);
	for (i = 1; i <= 16; i++)
		costs.of[i] = PINNED;
	assert_int_equal(block_window_find(a, blocks[7], 64, 0, cost_get, &costs,
		&first, &last), BLOCK_FULL);
	assert_int_equal(first, blocks[6]);
	block_allocator_free(a);
}

static void test_edges(void **state)
{
	struct costs costs = { 0 };
	uint32_t blocks[16], first = 0, last = 0;
	struct block_allocator *a = row_new(16, 4096, blocks, &costs);

	(void)state;
	assert_int_equal(block_window_find(a, blocks[0], 5 * 4096, 0, cost_get, &costs,
		&first, &last), 0);
	assert_int_equal(first, blocks[0]);
	assert_int_equal(last, blocks[4]);
	assert_int_equal(block_window_find(a, blocks[15], 5 * 4096, 0, cost_get, &costs,
		&first, &last), 0);
	assert_int_equal(first, blocks[11]);
	assert_int_equal(last, blocks[15]);
	assert_int_equal(block_window_find(a, blocks[3], 16 * 4096, 0, cost_get, &costs,
		&first, &last), 0);
	assert_int_equal(first, blocks[0]);
	assert_int_equal(last, blocks[15]);
	assert_int_equal(block_window_find(a, blocks[3], 16 * 4096 + 1, 0, cost_get, &costs,
		&first, &last), BLOCK_FULL);
	assert_int_equal(block_window_find(a, blocks[3], 0, 0, cost_get, &costs,
		&first, &last), -EINVAL);
	assert_int_equal(block_window_find(a, blocks[3], 64, 3, cost_get, &costs,
		&first, &last), -EINVAL);
	block_allocator_free(a);
}

/* A sum of the largest costs must not wrap around to a small one. */
static void test_large_costs(void **state)
{
	struct costs costs = { 0 };
	uint32_t blocks[16], first = 0, last = 0, i;
	struct block_allocator *a = row_new(16, 4096, blocks, &costs);

	(void)state;
	for (i = 1; i <= 16; i++)
		costs.of[i] = i > 8 ? BLOCK_COST_MAX / 2 : UINT64_MAX - 1;
	assert_int_equal(block_window_find(a, blocks[8], 4 * 4096, 0, cost_get, &costs,
		&first, &last), 0);
	assert_int_equal(first, blocks[8]);
	assert_int_equal(last, blocks[11]);
	block_allocator_free(a);
}

static uint64_t align_up(uint64_t off, uint64_t align)
{
	return align ? (off + align - 1) / align * align : off;
}

static bool run_fits(const struct block_allocator *a, uint32_t first, uint32_t last,
		uint64_t size, uint64_t align)
{
	return align_up(block_offset(a, first), align) + size <=
	       block_offset(a, last) + block_size(a, last);
}

/* The cost of first to last, PINNED if it has to stay or does not fit. */
static uint64_t run_cost(const struct block_allocator *a, const struct costs *costs,
		uint32_t first, uint32_t last, uint64_t size, uint64_t align)
{
	uint64_t sum = 0, cost;
	uint32_t id;

	if (!run_fits(a, first, last, size, align))
		return PINNED;
	for (id = first;; id = block_next(a, id)) {
		assert_int_not_equal(id, 0);
		cost = block_is_free(a, id) ? 0 : costs->of[block_owner(a, id)];
		if (cost == PINNED)
			return PINNED;
		sum += cost;
		if (id == last)
			return sum;
	}
}

/* By trying every run that contains the start and is no longer than needed. */
static uint64_t cheapest_cost(const struct block_allocator *a, const struct costs *costs,
		uint32_t start, uint64_t size, uint64_t align)
{
	uint64_t best = PINNED, cost;
	uint32_t lo, hi;

	for (lo = start; lo; lo = block_prev(a, lo)) {
		for (hi = lo; hi && !run_fits(a, lo, hi, size, align);
		     hi = block_next(a, hi))
			;
		if (!hi || block_offset(a, hi) < block_offset(a, start))
			continue;
		cost = run_cost(a, costs, lo, hi, size, align);
		if (cost < best)
			best = cost;
	}
	return best;
}

/* Frees what is in use from first to last, and puts one block there. */
static void window_use(struct block_allocator *a, uint32_t first, uint32_t last,
		uint64_t size, uint64_t align, uint32_t owner)
{
	uint32_t doomed[BLOCKS_MAX], n = 0, id, block;
	char why[256] = "";

	for (id = first;; id = block_next(a, id)) {
		if (!block_is_free(a, id))
			doomed[n++] = id;
		if (id == last)
			break;
	}
	while (n)
		block_free(a, doomed[--n]);
	assert_int_equal(block_alloc(a, size, align, owner, &block), 0);
	if (block_check(a, why, sizeof(why)))
		fail_msg("%s", why);
}

static uint32_t random_block(const struct block_allocator *a)
{
	struct block_stats st;
	uint32_t id, n;

	block_stats_get(a, &st);
	n = (uint32_t)rand() % (uint32_t)(st.n_used + st.n_free);
	for (id = block_first(a); n--; id = block_next(a, id))
		;
	return id;
}

static void random_round(struct block_allocator *a, uint64_t region, uint32_t owner)
{
	static const uint64_t aligns[] = { 0, 64, 256, 4096 };
	uint64_t size = 1 + (uint64_t)rand() % (region / 4), align = aligns[rand() % 4];
	uint32_t start = random_block(a), first = 0, last = 0, id, i;
	struct costs costs = { 0 };
	uint64_t best;
	int r;

	for (i = 1; i < BLOCKS_MAX; i++)
		costs.of[i] = rand() % 25 ? (uint64_t)rand() % 1000 : PINNED;
	best = cheapest_cost(a, &costs, start, size, align);
	r = block_window_find(a, start, size, align, cost_get, &costs, &first, &last);
	for (i = 1; i < BLOCKS_MAX; i++)
		assert_true(costs.asked[i] <= 2);
	if (r == BLOCK_FULL) {
		assert_true(best == PINNED);
		id = random_block(a);
		if (!block_is_free(a, id))
			block_free(a, id);
		return;
	}
	assert_int_equal(r, 0);
	assert_true(run_cost(a, &costs, first, last, size, align) <= best);
	assert_true(run_cost(a, &costs, first, last, size, align) != PINNED);
	window_use(a, first, last, size, align, owner);
}

static void test_random(void **state)
{
	static const uint64_t regions[] = { 4096, 16384, 65536 };
	struct block_allocator *a;
	uint64_t size;
	uint32_t block, owner;
	size_t i;
	int k;

	(void)state;
	srand(42);
	for (i = 0; i < sizeof(regions) / sizeof(regions[0]); i++) {
		assert_int_equal(block_allocator_new(&a, regions[i]), 0);
		for (k = 0; k < 1500; k++) {
			owner = (uint32_t)k + 1;
			size = 1 + (uint64_t)rand() % (regions[i] / 40);
			if (rand() % 4 && !block_alloc(a, size, 0, owner, &block))
				continue;
			random_round(a, regions[i], owner);
		}
		block_allocator_free(a);
	}
}

/* With nothing held, a quarter of the region can always be had, at any place:
 * from every block of a region that is cut up at random. */
static void test_never_full(void **state)
{
	static const uint64_t aligns[] = { 0, 128, 4096, 32768 };
	struct block_allocator *a;
	struct costs costs = { 0 };
	uint32_t block, first, last, owner;
	uint64_t size;
	int round, k;

	(void)state;
	srand(43);
	for (owner = 1; owner < BLOCKS_MAX; owner++)
		costs.of[owner] = 1 + (uint64_t)rand() % 1000;
	for (round = 0; round < 40; round++) {
		assert_int_equal(block_allocator_new(&a, 33 * 4096), 0);
		for (owner = 1; owner < BLOCKS_MAX; owner++)
			if (block_alloc(a, 1 + (uint64_t)rand() % 4000, 0, owner, &block))
				break;
		for (k = 0; k < 10; k++) {
			block = random_block(a);
			if (!block_is_free(a, block))
				block_free(a, block);
		}
		for (block = block_first(a); block; block = block_next(a, block)) {
			for (k = 0; k < 16; k++) {
				size = 33 * 1024 - (uint64_t)(k / 4) * 4000;
				assert_int_equal(block_window_find(a, block, size,
					aligns[k % 4], cost_get, &costs, &first, &last), 0);
				assert_true(run_fits(a, first, last, size, aligns[k % 4]));
			}
		}
		window_use(a, first, last, 33 * 1024 - 3 * 4000, 32768, 1);
		block_allocator_free(a);
	}
}

/* A free run that fits is named again if the search by lists overlooks it, and
 * is then found: many that are too small by a little hide one that is not. */
static void test_overlooked(void **state)
{
	struct costs costs = { 0 };
	struct block_allocator *a;
	uint32_t block, hidden, first = 0, last = 0, i, spacer = 0;
	uint64_t off = 0;

	(void)state;
	assert_int_equal(block_allocator_new(&a, 64 << 20), 0);
	/* All of one class, which is 2 KiB wide; the fit is freed first. */
	for (i = 0; i < 200; i++, off += 65536 + 1024 + 64)
		assert_int_equal(block_restore(a, off + 65536 + (i ? 0 : 1024),
			i ? 1024 + 64 : 64, 1, &spacer), 0);
	assert_int_equal(block_restore(a, off, (64 << 20) - off, 1, &block), 0);
	hidden = block_first(a);
	assert_true(block_is_free(a, hidden));
	assert_int_equal(block_size(a, hidden), 65536 + 1024);
	assert_int_equal(block_alloc(a, 65536 + 512, 0, 1, &block), BLOCK_FULL);
	costs.of[1] = 5;
	assert_int_equal(block_window_find(a, hidden, 65536 + 512, 0,
		cost_get, &costs, &first, &last), 0);
	assert_int_equal(first, hidden);
	assert_int_equal(last, hidden);
	assert_int_equal(block_alloc(a, 65536 + 512, 0, 1, &block), 0);
	assert_int_equal(block_offset(a, block), 0);
	assert_int_equal(block_check(a, NULL, 0), 0);
	block_allocator_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cheapest),
		cmocka_unit_test(test_pinned),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_large_costs),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_never_full),
		cmocka_unit_test(test_overlooked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
