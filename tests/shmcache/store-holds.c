/* SPDX-License-Identifier: Apache-2.0 */
/* store-holds.c: unit of reclaim.c and store-evict.c: what is held stays, until it is let go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/shmcache/rig.h"

static struct rig rig;

static int teardown(void **state)
{
	(void)state;
	rig_remove(&rig);
	return rig_leftovers() ? -1 : 0;
}

static void open_with(uint64_t dram, unsigned batch)
{
	rig_init(&rig, dram, 8 * MIB);
	rig.options.batch = batch;
	rig_open(&rig, false);
}

static void hold(unsigned n, uint32_t cell)
{
	shared_u64_store_release(&rig.held[n],
		cell ? abi_word(cell, rig.store.index.cell[cell].generation, 0) : 0);
}

static uint64_t held_bytes(void)
{
	static struct abi_plane plane;

	store_gauges(&rig.store, &plane);
	return shared_u64_load(&plane.gauge[ABI_GAUGE_HELD_BYTES]);
}

#define BLOCK ((100000 + ABI_VALUE_ALIGN - 1) / ABI_VALUE_ALIGN * ABI_VALUE_ALIGN)

/* Replaced, deleted, expired, flushed, evicted: the bytes stay, and go when they are let go. */
static void test_kept(void **state)
{
	const struct store_put_options soon = {.ttl_ms = 1};
	uint64_t i, until, bucket = 0;
	uint32_t cell[5];

	(void)state;
	open_with(4 * MIB, 32);
	for (i = 0; i < 5; i++) {
		assert_int_equal(rig_put_with(&rig, i, i, 100000, &(struct store_put_options){0}),
			ABI_STATUS_OK);
		cell[i] = rig_cell(&rig, i);
		hold((unsigned)i, cell[i]);
	}
	assert_int_equal(rig_put(&rig, 0, 77, 100000), ABI_STATUS_OK);
	assert_int_equal(rig_delete(&rig, 1), ABI_STATUS_OK);
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key = rig_index_key(&rig, 2, bytes);
	assert_int_equal(store_touch(&rig.store, &key, soon.ttl_ms), ABI_STATUS_OK);
	for (until = store_now_ms() + 20; store_now_ms() < until;)
		;
	store_sweep(&rig.store, &rig.w, 10000);
	assert_int_equal(rig_cell(&rig, 2), 0);
	while (bucket != UINT64_MAX)
		store_flush(&rig.store, &rig.w, bytes, rig_key(3, bytes), &bucket, 1024);
	assert_int_equal(rig_cell(&rig, 3), 0);
	/* And pressure, for what is left and for what is in limbo. */
	for (i = 100; i < 400; i++)
		assert_int_equal(rig_put(&rig, i, i, 50000), ABI_STATUS_OK);
	assert_int_equal(rig_cell(&rig, 4), 0);
	rig_check(&rig);
	for (i = 0; i < 5; i++) {
		assert_int_equal(rig.store.index.meta[cell[i]].state, INDEX_RETIRED);
		assert_true(rig_is_filled(rig_value(&rig, cell[i]), 100000, i));
	}
	rig_drain(&rig);
	assert_int_equal(rig.store.limbo.n, 5);
	assert_true(rig_count(&rig, ABI_COUNTER_RECLAIM_KEPT) > 0);
	assert_int_equal(held_bytes(), 5 * BLOCK);
	for (i = 0; i < 5; i++) {
		hold((unsigned)i, 0);
		/* As of the last round. */
		assert_int_equal(held_bytes(), (5 - i) * BLOCK);
		rig_drain(&rig);
		assert_int_equal(rig.store.limbo.n, 4 - i);
		assert_int_equal(held_bytes(), (4 - i) * BLOCK);
		rig_check(&rig);
	}
	assert_int_equal(rig.store.tier[ABI_TIER_DRAM].limbo_size, 0);
}

/* All is held: NOSPACE after a bounded time, nothing lost that could be saved, and then all goes
 * on. */
static void test_all_held(void **state)
{
	const uint64_t size = 128 * KIB;
	uint64_t i, n = 4 * MIB / size;

	(void)state;
	open_with(4 * MIB, 1);
	for (i = 0; i < n; i++) {
		assert_int_equal(rig_put(&rig, i, i, size), ABI_STATUS_OK);
		hold((unsigned)i, rig_cell(&rig, i));
	}
	assert_int_equal(rig_put(&rig, 1000, 1, 2 * size), ABI_STATUS_NOSPACE);
	rig_check(&rig);
	for (i = 0; i < n; i++) {
		uint64_t word = shared_u64_load(&rig.held[i]);

		assert_true(rig_is_filled(rig_value(&rig, abi_word_cell(word)), size, i));
	}
	/* One hold for another: as soon as two neighbours are free, there is room. */
	hold(10, 0);
	assert_int_equal(rig_put(&rig, 1000, 1, size), ABI_STATUS_OK);
	hold(10, rig_cell(&rig, 1000));
	assert_int_equal(rig_put(&rig, 1001, 1, size), ABI_STATUS_NOSPACE);
	for (i = 0; i < RIG_HOLDS; i++)
		hold((unsigned)i, 0);
	assert_int_equal(rig_put(&rig, 1001, 1, MIB), ABI_STATUS_OK);
	rig_drain(&rig);
	assert_int_equal(rig.store.limbo.n, 0);
	rig_check(&rig);
}

/*
 * Under pressure of all sizes, with holds that are taken on anything and kept for a while: no
 * byte of what is held changes, and what is held is never found under another key.
 */
static void test_random(void **state)
{
	struct {
		uint64_t seed, size;
		uint32_t cell;
	} kept[8] = {0};
	uint64_t random = 11, i, op, size, n_nospace = 0;
	static uint64_t sizes[500], seeds[500];

	(void)state;
	open_with(16 * MIB, 32);
	for (op = 1; op < 8000; op++) {
		i = rig_random(&random) % 500;
		size = rig_random_size(&random, 1 * MIB);
		switch (rig_put(&rig, i, op, size)) {
		case ABI_STATUS_OK:
			sizes[i] = size;
			seeds[i] = op;
			break;
		case ABI_STATUS_NOSPACE:
			n_nospace++;
			break;
		default:
			fail();
		}
		/* A hold on any entry that is there, in place of an older one. */
		if (op % 4 == 0) {
			unsigned n = (unsigned)(rig_random(&random) % 8);

			if (kept[n].cell)
				assert_true(rig_is_filled(rig_value(&rig, kept[n].cell),
					kept[n].size, kept[n].seed));
			i = rig_random(&random) % 500;
			kept[n].cell = rig_cell(&rig, i);
			kept[n].seed = seeds[i];
			kept[n].size = sizes[i];
			hold(n, kept[n].cell);
			if (kept[n].cell)
				rig_get(&rig, i, seeds[i], sizes[i]);
		}
		if (op % 500 == 0)
			rig_check(&rig);
	}
	/* Eight holds of at most a sixteenth each are in nobody's way for good. */
	assert_int_equal(n_nospace, 0);
	for (i = 0; i < 8; i++)
		hold((unsigned)i, 0);
	rig_drain(&rig);
	assert_int_equal(rig.store.limbo.n, 0);
	rig_check(&rig);
}

/* Hold cells are a client's to write: whatever is in them does no harm, and delays no more than
 * it names. */
static void test_nonsense(void **state)
{
	uint64_t random = 5, i;
	unsigned n;

	(void)state;
	open_with(4 * MIB, 32);
	for (i = 0; i < 2000; i++) {
		for (n = 0; n < RIG_HOLDS; n++)
			shared_u64_store_release(
				&rig.held[n], rig_random(&random) >> rig_random(&random) % 64);
		assert_int_equal(rig_put(&rig, i, i, 1 + i), ABI_STATUS_OK);
	}
	for (n = 0; n < RIG_HOLDS; n++)
		hold(n, 0);
	rig_drain(&rig);
	assert_int_equal(rig.store.limbo.n, 0);
	rig_check(&rig);
}

/* The number of the round is a byte and comes again: a mark of old must not keep anything for
 * good. */
static void test_rounds_wrap(void **state)
{
	uint32_t cell;
	int i;

	(void)state;
	open_with(4 * MIB, 32);
	assert_int_equal(rig_put(&rig, 1, 1, 100), ABI_STATUS_OK);
	cell = rig_cell(&rig, 1);
	hold(0, cell);
	rig_put(&rig, 2, 2, 100);
	rig_delete(&rig, 2);
	rig_drain(&rig);
	assert_true(index_is_held(&rig.store.index, cell, rig.store.round));
	hold(0, 0);
	for (i = 0; i < 1000; i++) {
		assert_int_equal(rig_put(&rig, 2, 2, 100), ABI_STATUS_OK);
		assert_int_equal(rig_delete(&rig, 2), ABI_STATUS_OK);
		store_reclaim(&rig.store, &rig.w);
		assert_int_equal(rig.store.limbo.n, 0);
		assert_int_not_equal(rig.store.round, 0);
	}
	assert_int_equal(rig_count(&rig, ABI_COUNTER_RECLAIMED), 1001);
	assert_int_equal(rig_delete(&rig, 1), ABI_STATUS_OK);
	rig_drain(&rig);
	store_reclaim(&rig.store, &rig.w);
	assert_int_equal(rig.store.limbo.n, 0);
	rig_check(&rig);
}

static void hoard(void *context, struct index *ix, uint8_t round)
{
	(void)context;
	/* Of nothing that was ever backed. */
	for (int i = 0; i < 65536; i++)
		index_mark_held(ix, UINT32_MAX, round);
}

/*
 * A scan of many cells serves many puts, and of what it makes free only a small part stands ahead.
 */
static void test_scans_are_shared(void **state)
{
	const uint64_t n_fit = 32 * MIB / 4096, n_puts = 2000;
	uint64_t i, rounds;

	(void)state;
	open_with(32 * MIB, 32);
	rig.store.sessions.scan_holds = hoard;
	for (i = 0; i < 2 * n_fit; i++)
		assert_int_equal(rig_put(&rig, i, i, 4096), ABI_STATUS_OK);
	rounds = rig_count(&rig, ABI_COUNTER_RECLAIM_ROUNDS);
	for (i = 0; i < n_puts; i++)
		assert_int_equal(rig_put(&rig, 2 * n_fit + i, i, 4096), ABI_STATUS_OK);
	rounds = rig_count(&rig, ABI_COUNTER_RECLAIM_ROUNDS) - rounds;
	print_message("%llu puts, %llu rounds\n", (unsigned long long)n_puts,
		(unsigned long long)rounds);
	assert_true(rounds && rounds <= n_puts / 200);
	assert_true(rig.store.index.n_entries >= n_fit * 15 / 16);
	rig_check(&rig);
}

int main(void)
{
#define UNIT(name) cmocka_unit_test_teardown(name, teardown)
	const struct CMUnitTest tests[] = {
		UNIT(test_kept),
		UNIT(test_all_held),
		UNIT(test_random),
		UNIT(test_nonsense),
		UNIT(test_rounds_wrap),
		UNIT(test_scans_are_shared),
	};

	return RIG_RUN(tests);
}
