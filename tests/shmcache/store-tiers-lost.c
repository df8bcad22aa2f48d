/* SPDX-License-Identifier: Apache-2.0 */
/* store-tiers-lost.c: two tiers of which one was cut short, or is not there at the next start. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "shmcache/guard.h"
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

/* --- damage ------------------------------------------------------------------------------- */

/* A writer cuts DRAM short and sets its size right again: no zeroes are carried down. */
static void test_damaged_source(void **state)
{
	struct store_mended mended;
	uint64_t i;
	int fd;

	(void)state;
	guard_install(); /* cmocka has taken the signal for itself */
	rig_open_tiers(&rig, 1 * MIB, 4 * MIB);
	for (i = 0; i < 10; i++)
		put(i, 100 * KIB);
	fd = shm_open(rig.dram_name, O_RDWR, 0);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(ftruncate(fd, 1 * MIB), 0);
	pthread_mutex_lock(&rig.store.lock);
	store_demote_locked(&rig.store, &rig.w, 500 * KIB, NULL);
	pthread_mutex_unlock(&rig.store.lock);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_DEMOTIONS), 0);
	assert_true(rig_count(&rig, ABI_COUNTER_MOVES_LOST) > 0);
	rig_check(&rig);
	/* Not even its size right: the copy faults, and lives. */
	assert_int_equal(ftruncate(fd, 0), 0);
	pthread_mutex_lock(&rig.store.lock);
	store_demote_locked(&rig.store, &rig.w, 500 * KIB, NULL);
	pthread_mutex_unlock(&rig.store.lock);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_DEMOTIONS), 0);
	assert_true(store_mend(&rig.store, &rig.w, &mended));
	assert_int_equal(mended.error, 0);
	assert_int_equal(mended.n_dropped, 10);
	close(fd);
	rig_drain(&rig);
	rig_check(&rig);
	assert_int_equal(rig.store.index.n_entries, 0);
}

/* The same with the tier that it goes to. */
static void test_damaged_target(void **state)
{
	struct store_mended mended;
	uint64_t i;
	int fd;

	(void)state;
	guard_install(); /* cmocka has taken the signal for itself */
	rig_open_tiers(&rig, 1 * MIB, 4 * MIB);
	for (i = 0; i < 10; i++)
		put(i, 100 * KIB);
	rig_put_in(&rig, ABI_TIER_CXL, 50, 100 * KIB);
	fd = shm_open(rig.cxl_name, O_RDWR, 0);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	pthread_mutex_lock(&rig.store.lock);
	store_demote_locked(&rig.store, &rig.w, 500 * KIB, NULL);
	pthread_mutex_unlock(&rig.store.lock);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_DEMOTIONS), 0);
	for (i = 0; i < 10; i++)
		assert_int_equal(rig_get(&rig, i, i, 100 * KIB), 100 * KIB);
	assert_true(store_mend(&rig.store, &rig.w, &mended));
	assert_int_equal(mended.error, 0);
	assert_int_equal(mended.tier, ABI_TIER_CXL);
	assert_int_equal(mended.n_dropped, 1);
	assert_false(store_mend(&rig.store, &rig.w, &mended));
	assert_int_equal(rig_tier_of(&rig, 50), ABI_TIER_NONE);
	rig_put_in(&rig, ABI_TIER_CXL, 51, 100 * KIB);
	assert_int_equal(rig_get(&rig, 51, 51, 100 * KIB), 100 * KIB);
	close(fd);
	rig_check(&rig);
}

/* --- restart ------------------------------------------------------------------------------ */

static void test_warm(void **state)
{
	unsigned tier[40];
	uint64_t i;

	(void)state;
	rig_open_tiers(&rig, 1 * MIB, 4 * MIB);
	for (i = 0; i < 40; i++)
		put(i, 60 * KIB);
	for (i = 0; i < 40; i++)
		tier[i] = rig_tier_of(&rig, i);
	rig_close(&rig);
	rig_open(&rig, true);
	assert_true(rig.opened.warm);
	assert_int_equal(rig.opened.recovery.n_found, 40);
	for (i = 0; i < 40; i++) {
		assert_int_equal(rig_tier_of(&rig, i), tier[i]);
		assert_int_equal(rig_get(&rig, i, i, 60 * KIB), 60 * KIB);
	}
	rig_check(&rig);
	for (i = 40; i < 200; i++)
		put(i, 60 * KIB);
	rig_check(&rig);
}

/*
 * A retired record that reaches into an entry is no less wrong where something of the other tier
 * begins between the two.
 */
static void test_overlapping(void **state)
{
	struct abi_record *r;
	uint32_t cell;
	uint64_t i;

	(void)state;
	rig_open_tiers(&rig, 1 * MIB, 4 * MIB);
	r = rig.store.index.cell;
	for (i = 0; i < 8; i++)
		rig_put_in(&rig, ABI_TIER_DRAM, i, 60 * KIB);
	for (i = 0; i < 100; i++)
		rig_put_in(&rig, ABI_TIER_CXL, 100 + i, 4 * KIB);
	cell = rig_cell(&rig, 3);
	assert_true(r[rig_cell(&rig, 4)].value_off > r[cell].value_off);
	assert_int_equal(rig_delete(&rig, 3), ABI_STATUS_OK);
	r[cell].value_size += 4 * KIB;
	rig_close(&rig);
	rig_open(&rig, true);
	assert_true(rig.opened.warm);
	for (i = 0; i < 8; i++)
		assert_int_equal(rig_get(&rig, i, i, 60 * KIB), i == 3 ? 0 : 60 * KIB);
	assert_int_equal(rig.opened.recovery.n_marked, 0);
	rig_check(&rig);
}

/* All or nothing: with one tier gone, or of another size, nothing is served of the other. */
static void test_cold(void **state)
{
	unsigned how;

	(void)state;
	for (how = 0; how < 4; how++) {
		rig_open_tiers(&rig, 1 * MIB, 4 * MIB);
		put(1, 1000);
		rig_put_in(&rig, ABI_TIER_CXL, 2, 1000);
		rig_close(&rig);
		if (how == 0)
			shm_unlink(rig.cxl_name);
		else if (how == 1)
			shm_unlink(rig.dram_name);
		else if (how == 2)
			rig.options.tier[ABI_TIER_CXL].region.size = 8 * MIB;
		else
			rig.options.tier[ABI_TIER_CXL].region.size = 0;
		rig_open(&rig, true);
		assert_false(rig.opened.warm);
		assert_true(rig.opened.cold_why[0] != '\0');
		assert_int_equal(rig.store.index.n_entries, 0);
		put(3, 1000);
		rig_check(&rig);
		rig_remove(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_damaged_source, teardown),
		cmocka_unit_test_teardown(test_damaged_target, teardown),
		cmocka_unit_test_teardown(test_warm, teardown),
		cmocka_unit_test_teardown(test_overlapping, teardown),
		cmocka_unit_test_teardown(test_cold, teardown),
	};

	return RIG_RUN(tests);
}
