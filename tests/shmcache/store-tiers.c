/* SPDX-License-Identifier: Apache-2.0 */
/* store-tiers.c: unit of tier.c and store-move.c: which tier a value is in, and when it moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/shmcache/rig.h"

static struct rig rig;

static int teardown(void **state)
{
	(void)state;
	rig_remove(&rig);
	return rig_leftovers() ? -1 : 0;
}

static void put(uint64_t i, uint64_t size)
{
	assert_int_equal(rig_put(&rig, i, i, size), ABI_STATUS_OK);
}

static void hit(uint64_t i, unsigned n)
{
	uint32_t cell = rig_cell(&rig, i);

	assert_int_not_equal(cell, 0);
	while (n--)
		store_hits(&rig.store, &rig.w, &cell, 1);
}

static unsigned move_all(void)
{
	unsigned n = 0;

	while (store_move_step(&rig.store, &rig.w))
		n++;
	return n;
}

static struct index_key key_of(uint64_t i)
{
	static uint8_t bytes[ABI_KEY_SIZE_MAX];

	return rig_index_key(&rig, i, bytes);
}

/* --- where values go ---------------------------------------------------------------------- */

static void test_placement(void **state)
{
	(void)state;
	rig_init(&rig, 2 * MIB, 4 * MIB);
	rig_add_cxl(&rig, 8 * MIB);
	rig.options.tiering.size_threshold = 256 * KIB;
	rig_open(&rig, false);
	put(1, 1000);
	assert_int_equal(rig_tier_of(&rig, 1), ABI_TIER_DRAM);
	put(2, 256 * KIB - 1);
	assert_int_equal(rig_tier_of(&rig, 2), ABI_TIER_DRAM);
	put(3, 256 * KIB);
	assert_int_equal(rig_tier_of(&rig, 3), ABI_TIER_CXL);
	rig_put_in(&rig, ABI_TIER_DRAM, 4, 256 * KIB);
	assert_int_equal(rig_tier_of(&rig, 4), ABI_TIER_DRAM);
	rig_put_in(&rig, ABI_TIER_CXL, 5, 1);
	assert_int_equal(rig_tier_of(&rig, 5), ABI_TIER_CXL);
	/* Too large for the one is not too large for the other. */
	rig_put_in(&rig, ABI_TIER_DRAM, 6, 3 * MIB);
	assert_int_equal(rig_tier_of(&rig, 6), ABI_TIER_CXL);
	assert_int_equal(rig_put(&rig, 7, 7, 8 * MIB + 1), ABI_STATUS_TOO_BIG);
	/* A replacement goes where a new value would. */
	put(5, 100);
	assert_int_equal(rig_tier_of(&rig, 5), ABI_TIER_DRAM);
	rig_check(&rig);
}

static void test_no_cxl(void **state)
{
	(void)state;
	rig_init(&rig, 2 * MIB, 4 * MIB);
	rig_open(&rig, false);
	rig_put_in(&rig, ABI_TIER_CXL, 1, 1000);
	assert_int_equal(rig_tier_of(&rig, 1), ABI_TIER_DRAM);
	assert_int_equal(rig_put(&rig, 7, 7, 2 * MIB + 1), ABI_STATUS_TOO_BIG);
	hit(1, 10);
	assert_false(store_move_step(&rig.store, &rig.w));
}

/* Where DRAM has no room and nothing in it may move, a value is stored below. */
static void test_dram_pinned(void **state)
{
	uint64_t i, pin, size;
	struct index_key key;

	(void)state;
	rig_open_tiers(&rig, 1 * MIB, 4 * MIB);
	for (i = 0; i < 16; i++) {
		put(i, 60 * KIB);
		key = key_of(i);
		assert_int_equal(store_pin(&rig.store, &key, &pin, &size), ABI_STATUS_OK);
	}
	put(100, 500 * KIB);
	assert_int_equal(rig_tier_of(&rig, 100), ABI_TIER_CXL);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_EVICTIONS), 0);
	for (i = 0; i < 16; i++)
		assert_int_equal(rig_tier_of(&rig, i), ABI_TIER_DRAM);
	rig_check(&rig);
}

/* The other way round: with CXL full of pins, DRAM evicts as if it were alone. */
static void test_cxl_pinned(void **state)
{
	uint64_t i, pin, size;
	struct index_key key;

	(void)state;
	rig_open_tiers(&rig, 1 * MIB, 1 * MIB);
	for (i = 0; i < 16; i++) {
		rig_put_in(&rig, ABI_TIER_CXL, i, 60 * KIB);
		key = key_of(i);
		assert_int_equal(store_pin(&rig.store, &key, &pin, &size), ABI_STATUS_OK);
	}
	for (i = 100; i < 200; i++) {
		put(i, 100 * KIB);
		assert_int_equal(rig_tier_of(&rig, i), ABI_TIER_DRAM);
	}
	assert_true(rig_count(&rig, ABI_COUNTER_EVICTIONS) > 80);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_DEMOTIONS), 0);
	for (i = 0; i < 16; i++)
		assert_int_equal(rig_tier_of(&rig, i), ABI_TIER_CXL);
	rig_check(&rig);
}

/* --- down --------------------------------------------------------------------------------- */

/* Twice what DRAM holds: all of it is there, the newest above, nothing was evicted. */
static void test_demotion(void **state)
{
	const uint64_t n = 64;
	uint64_t i;

	(void)state;
	rig_init(&rig, 2 * MIB, 4 * MIB);
	rig_add_cxl(&rig, 4 * MIB);
	rig.options.tier[ABI_TIER_DRAM].policy = rig.options.tier[ABI_TIER_CXL].policy = "lru";
	rig.options.batch = 1;
	rig_open(&rig, false);
	for (i = 0; i < n; i++)
		put(i, 60 * KIB);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_EVICTIONS), 0);
	for (i = 0; i < n; i++)
		assert_int_equal(rig_get(&rig, i, i, 60 * KIB), 60 * KIB);
	assert_int_equal(rig_tier_of(&rig, 0), ABI_TIER_CXL);
	assert_int_equal(rig_tier_of(&rig, n - 1), ABI_TIER_DRAM);
	/* In the policy's order: above there is nothing older than what is below. */
	for (i = 1; i < n; i++)
		assert_true(rig_tier_of(&rig, i - 1) == ABI_TIER_CXL || rig_tier_of(&rig, i) == ABI_TIER_DRAM);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_DEMOTIONS), rig.store.tier[ABI_TIER_CXL].n_entries);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_DEMOTED_BYTES),
		rig.store.tier[ABI_TIER_CXL].n_entries * 60 * KIB);
	rig_drain(&rig);
	rig_check(&rig);
	/* More than both: the oldest leave, and they leave from below. */
	for (i = n; i < 3 * n; i++)
		put(i, 60 * KIB);
	assert_true(rig_count(&rig, ABI_COUNTER_EVICTIONS) >= n);
	for (i = 1; i < 3 * n; i++)
		assert_true(rig_tier_of(&rig, i - 1) == ABI_TIER_NONE || rig_tier_of(&rig, i) != ABI_TIER_NONE);
	assert_int_equal(rig.store.index.n_entries + rig_count(&rig, ABI_COUNTER_EVICTIONS), 3 * n);
	rig_check(&rig);
}

static void test_watermarks(void **state)
{
	struct tier *dram;
	uint64_t i;

	(void)state;
	/* Large enough for several steps. */
	rig_init(&rig, 40 * MIB, 4 * MIB);
	rig_add_cxl(&rig, 40 * MIB);
	rig.options.tiering.demote_at = 80;
	rig.options.tiering.demote_to = 50;
	rig_open(&rig, false);
	dram = &rig.store.tier[ABI_TIER_DRAM];
	for (i = 0; tier_used(dram) + 60 * KIB <= dram->size / 100 * 80; i++)
		put(i, 60 * KIB);
	/* At the mark, not above it. */
	assert_false(rig.store.tiering.is_asked);
	assert_false(store_move_step(&rig.store, &rig.w));
	put(i, 60 * KIB);
	assert_true(rig.store.tiering.is_asked);
	assert_true(move_all() > 1);
	assert_in_range(tier_used(dram), dram->size / 100 * 50 - 600 * KIB, dram->size / 100 * 50);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_EVICTIONS), 0);
	assert_int_equal(rig.store.index.n_entries, i + 1);
	/* Between the marks nothing moves. */
	assert_int_equal(move_all(), 0);
	while (i--)
		assert_int_equal(rig_get(&rig, i, i, 60 * KIB), 60 * KIB);
	rig_check(&rig);
}

static void test_too_large_below(void **state)
{
	uint64_t i;

	(void)state;
	rig_open_tiers(&rig, 4 * MIB, 1 * MIB);
	for (i = 0; i < 12; i++)
		put(i, 1200 * KIB);
	assert_int_equal(rig_tier_of(&rig, 11), ABI_TIER_DRAM);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_DEMOTIONS), 0);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_EVICTIONS), 9);
	/* One that does not fit must not keep those behind it from moving. */
	put(20, 500 * KIB);
	for (i = 21; i < 60; i++)
		put(i, 100 * KIB);
	assert_true(rig_count(&rig, ABI_COUNTER_DEMOTIONS) > 0);
	rig_check(&rig);
}

static void test_expired_is_dropped(void **state)
{
	const struct store_put_options o = {.ttl_ms = 1};
	uint64_t i;

	(void)state;
	rig_open_tiers(&rig, 1 * MIB, 4 * MIB);
	for (i = 0; i < 10; i++)
		assert_int_equal(rig_put_with(&rig, i, i, 90 * KIB, &o), ABI_STATUS_OK);
	usleep(20000);
	for (i = 10; i < 20; i++)
		put(i, 90 * KIB);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_DEMOTIONS), 0);
	assert_true(rig_count(&rig, ABI_COUNTER_EXPIRED) >= 8);
	rig_check(&rig);
}

/* Hints, expiry and bytes are what they were; the generation is not. */
static void test_what_a_move_keeps(void **state)
{
	const struct store_put_options o = {.ttl_ms = 3600000,
		.hints = {.group = 7, .position = 9, .priority = 1}};
	struct abi_hints hints;
	struct index_key key;
	uint64_t i, expire_ms;
	uint32_t cell, generation;

	(void)state;
	rig_open_tiers(&rig, 1 * MIB, 4 * MIB);
	/* Keys of all lengths, so that tails move too. */
	for (i = 0; i < 200; i++)
		assert_int_equal(rig_put_with(&rig, i, i, 3000, &o), ABI_STATUS_OK);
	cell = rig_cell(&rig, 100);
	generation = rig.store.index.cell[cell].generation;
	key = key_of(100);
	assert_int_equal(store_touch(&rig.store, &key, 7200000), ABI_STATUS_OK);
	expire_ms = shared_u64_load(&rig.store.index.cell[cell].expire_ms);
	pthread_mutex_lock(&rig.store.lock);
	store_demote_locked(&rig.store, &rig.w, 1 * MIB, NULL);
	pthread_mutex_unlock(&rig.store.lock);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_DEMOTIONS), 200);
	for (i = 0; i < 200; i++) {
		cell = rig_cell(&rig, i);
		assert_int_equal(rig.store.index.cell[cell].tier, ABI_TIER_CXL);
		assert_int_equal(rig_get(&rig, i, i, 3000), 3000);
		lookup_record_hints(
			&rig.store.index.lookup, &rig.store.index.cell[cell], &hints);
		assert_memory_equal(&hints, &o.hints, sizeof(hints));
	}
	cell = rig_cell(&rig, 100);
	assert_int_not_equal(rig.store.index.cell[cell].generation, generation);
	assert_true(shared_u64_load(&rig.store.index.cell[cell].expire_ms) == expire_ms);
	assert_int_equal(rig.store.n_expiring, 200);
	rig_drain(&rig);
	assert_int_equal(rig.store.limbo.n, 0);
	rig_check(&rig);
}

/* Whoever holds the old record keeps the old bytes, through reclaim and reuse. */
static void test_held_over_a_move(void **state)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	uint64_t n = 0, i, word;
	uint32_t cell;

	(void)state;
	rig_open_tiers(&rig, 1 * MIB, 4 * MIB);
	put(1, 100 * KIB);
	word = rig_read(&rig.store.index.lookup, &rig.held[0], bytes, rig_key(1, bytes), &n);
	cell = abi_word_cell(word);
	assert_int_not_equal(cell, 0);
	for (i = 2; i < 30; i++)
		put(i, 100 * KIB);
	assert_int_equal(rig_tier_of(&rig, 1), ABI_TIER_CXL);
	assert_int_not_equal(rig_cell(&rig, 1), cell);
	assert_true(rig_is_filled(rig_value(&rig, cell), 100 * KIB, 1));
	assert_int_equal(rig_get(&rig, 1, 1, 100 * KIB), 100 * KIB);
	rig_let_go(&rig.held[0]);
	rig_drain(&rig);
	assert_int_equal(rig.store.limbo.n, 0);
	rig_check(&rig);
}

/* Free bytes that do not lie together: what is between them moves, and is not given up. */
static void test_window_moves(void **state)
{
	uint64_t i;

	(void)state;
	rig_init(&rig, 1 * MIB, 4 * MIB);
	rig_add_cxl(&rig, 4 * MIB);
	rig.options.tier[ABI_TIER_DRAM].policy = "lru";
	rig_open(&rig, false);
	for (i = 0; i < 256; i++)
		put(i, 4 * KIB);
	for (i = 0; i < 256; i += 2)
		assert_int_equal(rig_delete(&rig, i), ABI_STATUS_OK);
	/* In an order that has nothing to do with where they lie: victims leave small holes. */
	for (i = 1; i < 256; i += 2)
		hit((i * 37 + 4 * (i / 16)) % 256 | 1, 1);
	rig_drain(&rig);
	rig_put_in(&rig, ABI_TIER_DRAM, 1000, 256 * KIB);
	assert_int_equal(rig_tier_of(&rig, 1000), ABI_TIER_DRAM);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_EVICTIONS), 0);
	for (i = 1; i < 256; i += 2)
		assert_int_equal(rig_get(&rig, i, i, 4 * KIB), 4 * KIB);
	rig_check(&rig);
}

/* --- up ----------------------------------------------------------------------------------- */

static void open_promoting(uint64_t dram, unsigned after, uint64_t rate)
{
	rig_init(&rig, dram, 4 * MIB);
	rig_add_cxl(&rig, 8 * MIB);
	rig.options.tiering.promote_after = after;
	rig.options.tiering.promote_rate = rate;
	rig_open(&rig, false);
}

static void test_promotion(void **state)
{
	(void)state;
	open_promoting(2 * MIB, 3, 0);
	rig_put_in(&rig, ABI_TIER_CXL, 1, 100 * KIB);
	rig_put_in(&rig, ABI_TIER_CXL, 2, 100 * KIB);
	hit(1, 2);
	assert_int_equal(move_all(), 0);
	assert_int_equal(rig_tier_of(&rig, 1), ABI_TIER_CXL);
	hit(1, 1);
	assert_int_equal(move_all(), 1);
	assert_int_equal(rig_tier_of(&rig, 1), ABI_TIER_DRAM);
	assert_int_equal(rig_tier_of(&rig, 2), ABI_TIER_CXL);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_PROMOTIONS), 1);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_PROMOTED_BYTES), 100 * KIB);
	assert_int_equal(rig_get(&rig, 1, 1, 100 * KIB), 100 * KIB);
	/* Hits before it came down again count for nothing. */
	hit(2, 2);
	rig_put_in(&rig, ABI_TIER_CXL, 2, 100 * KIB);
	hit(2, 1);
	assert_int_equal(move_all(), 0);
	rig_check(&rig);
}

static void test_promotion_off(void **state)
{
	(void)state;
	open_promoting(2 * MIB, 0, 0);
	rig_put_in(&rig, ABI_TIER_CXL, 1, 100 * KIB);
	hit(1, 1000);
	assert_int_equal(move_all(), 0);
	assert_int_equal(rig_tier_of(&rig, 1), ABI_TIER_CXL);
}

/* A second's worth at once, and what comes then is refused until time has passed. */
static void test_promotion_rate(void **state)
{
	uint64_t i, n;

	(void)state;
	open_promoting(8 * MIB, 1, 1 * MIB);
	for (i = 0; i < 40; i++)
		rig_put_in(&rig, ABI_TIER_CXL, i, 128 * KIB);
	for (i = 0; i < 40; i++)
		hit(i, 1);
	move_all();
	n = rig_count(&rig, ABI_COUNTER_PROMOTIONS);
	assert_in_range(n, 8, 12);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_PROMOTIONS_REFUSED), 40 - n);
	/* The clock is turned, not waited for. */
	rig.store.tiering.tokens_ms -= 500;
	for (i = 0; i < 40; i++)
		if (rig_tier_of(&rig, i) == ABI_TIER_CXL)
			hit(i, 1);
	move_all();
	assert_in_range(rig_count(&rig, ABI_COUNTER_PROMOTIONS) - n, 3, 8);
	rig_check(&rig);
}

/* DRAM is full: what is colder makes way, and moves down instead of leaving. */
static void test_promotion_displaces(void **state)
{
	uint64_t i;

	(void)state;
	open_promoting(1 * MIB, 2, 0);
	rig_put_in(&rig, ABI_TIER_CXL, 1000, 200 * KIB);
	for (i = 0; i < 10; i++)
		put(i, 96 * KIB);
	hit(1000, 2);
	move_all();
	assert_int_equal(rig_tier_of(&rig, 1000), ABI_TIER_DRAM);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_EVICTIONS), 0);
	assert_true(rig_count(&rig, ABI_COUNTER_DEMOTIONS) >= 2);
	assert_int_equal(rig.store.index.n_entries, 11);
	rig_check(&rig);
}

/* And what is warmer stays: an entry hit twice does not drive out those hit all the time. */
static void test_promotion_refused(void **state)
{
	uint64_t i, round;

	(void)state;
	open_promoting(1 * MIB, 2, 0);
	for (i = 0; i < 34; i++)
		put(i, 30 * KIB);
	assert_true(tier_used(&rig.store.tier[ABI_TIER_DRAM]) > 1010 * KIB);
	/* Teach it: these are read again and again, others come once and go. */
	for (round = 0; round < 600; round++) {
		for (i = 0; i < 34; i++)
			hit(i, 1);
		for (i = 0; i < 4; i++)
			rig_put_in(&rig, ABI_TIER_CXL, 1000 + round * 4 + i, 30 * KIB);
	}
	for (i = 0; i < 34; i++)
		assert_int_equal(rig_tier_of(&rig, i), ABI_TIER_DRAM);
	hit(1000 + 599 * 4, 2);
	move_all();
	assert_int_equal(rig_count(&rig, ABI_COUNTER_PROMOTIONS), 0);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_PROMOTIONS_REFUSED), 1);
	assert_int_equal(rig_tier_of(&rig, 1000 + 599 * 4), ABI_TIER_CXL);
	rig_check(&rig);
}

static void test_too_many_candidates(void **state)
{
	uint64_t i;

	(void)state;
	open_promoting(2 * MIB, 1, 0);
	for (i = 0; i < TIERING_CANDIDATES + 10; i++) {
		rig_put_in(&rig, ABI_TIER_CXL, i, 64);
		hit(i, 1);
	}
	assert_int_equal(rig_count(&rig, ABI_COUNTER_PROMOTIONS_REFUSED), 10);
	hit(3, 5);
	move_all();
	assert_int_equal(rig_count(&rig, ABI_COUNTER_PROMOTIONS), TIERING_CANDIDATES);
	rig_check(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_placement, teardown),
		cmocka_unit_test_teardown(test_no_cxl, teardown),
		cmocka_unit_test_teardown(test_dram_pinned, teardown),
		cmocka_unit_test_teardown(test_cxl_pinned, teardown),
		cmocka_unit_test_teardown(test_demotion, teardown),
		cmocka_unit_test_teardown(test_watermarks, teardown),
		cmocka_unit_test_teardown(test_too_large_below, teardown),
		cmocka_unit_test_teardown(test_expired_is_dropped, teardown),
		cmocka_unit_test_teardown(test_what_a_move_keeps, teardown),
		cmocka_unit_test_teardown(test_held_over_a_move, teardown),
		cmocka_unit_test_teardown(test_window_moves, teardown),
		cmocka_unit_test_teardown(test_promotion, teardown),
		cmocka_unit_test_teardown(test_promotion_off, teardown),
		cmocka_unit_test_teardown(test_promotion_rate, teardown),
		cmocka_unit_test_teardown(test_promotion_displaces, teardown),
		cmocka_unit_test_teardown(test_promotion_refused, teardown),
		cmocka_unit_test_teardown(test_too_many_candidates, teardown),
	};

	return RIG_RUN(tests);
}
