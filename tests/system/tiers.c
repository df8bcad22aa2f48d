/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two tiers as a client sees them: everything is found wherever it lies, views outlive moves, what
 * is read again and again moves up, and a broker that was killed serves both tiers again. As much
 * moves ahead of need as the configuration says.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/system/common.h"

#define N 40
#define SIZE (200U << 10)
#define SMALL_SIZE (16U << 10)
#define DRAM_SIZE (4U << 20)
#define CONFIG "[cxl]\nbackend = shm\nsize = 16MiB\npromote_after = 2\npromote_rate = 0\n"

static struct system_broker broker;
static struct shmc *cache;
static uint8_t expected[SIZE];

static size_t key_of(unsigned i, char key[32])
{
	return (size_t)snprintf(key, 32, "value number %u", i);
}

static void put_sized(unsigned i, size_t value_size)
{
	char key[32];
	size_t size = key_of(i, key);

	system_fill(expected, value_size, i);
	assert_int_equal(shmc_put(cache, key, size, expected, value_size, NULL, 10000), 0);
}

static void put(unsigned i)
{
	put_sized(i, SIZE);
}

static void view(unsigned i, struct shmc_view *v)
{
	char key[32];
	size_t size = key_of(i, key);

	assert_int_equal(shmc_get(cache, key, size, v), 0);
}

static void check_view(unsigned i, const struct shmc_view *v)
{
	system_fill(expected, SIZE, i);
	assert_int_equal(v->size, SIZE);
	assert_memory_equal(v->data, expected, SIZE);
}

static void check_all(void)
{
	struct shmc_view v;
	unsigned i;

	for (i = 0; i < N; i++) {
		view(i, &v);
		check_view(i, &v);
		shmc_release(cache, &v);
	}
}

static unsigned tier_of(unsigned i)
{
	struct shmc_entry entry;
	char key[32];
	size_t size = key_of(i, key);

	assert_int_equal(shmc_stat(cache, key, size, &entry), 0);
	return entry.tier;
}

/* Read it once more; is it in DRAM by now? */
static bool is_up(void *context)
{
	unsigned i = *(unsigned *)context;
	struct shmc_view v;

	view(i, &v);
	check_view(i, &v);
	shmc_release(cache, &v);
	return tier_of(i) == SHMC_TIER_DRAM;
}

static bool is_usage_whole(void *context)
{
	struct shmc_usage *u = context;

	assert_int_equal(shmc_usage(cache, u), 0);
	/* Gauges are read one by one, and entries may be moving. */
	return u->n_entries == N && u->dram.n_entries + u->cxl.n_entries == N;
}

static void check_numbers(void)
{
	struct shmc_usage u;

	/* The gauges follow the last put when the worker has a moment. */
	assert_true(system_wait(is_usage_whole, &u));
	assert_int_equal(u.cxl.size, 16 << 20);
	assert_true(u.dram.n_entries > 5 && u.cxl.n_entries > 5);
}

static void test_tiers(void **state)
{
	struct shmc_view held;
	struct shmc_usage u;
	unsigned i, below = N;

	(void)state;
	system_start(&broker, "4MiB", true, CONFIG);
	assert_int_equal(shmc_attach(&cache, broker.run.name, NULL), 0);
	put(0);
	assert_int_equal(tier_of(0), SHMC_TIER_DRAM);
	view(0, &held);
	for (i = 1; i < N; i++)
		put(i);
	check_numbers();
	check_all();
	for (i = 0; i < N; i++)
		if (tier_of(i) == SHMC_TIER_CXL)
			below = i;
	assert_true(below < N);
	assert_true(system_wait(is_up, &below));
	/* Moved or not, and whatever has its old place now: the view is what it was. */
	check_view(0, &held);
	shmc_release(cache, &held);
	assert_true(system_wait(is_usage_whole, &u));
	assert_true(u.cxl.n_hits > 0 && u.dram.n_hits > 0);

	system_kill(&broker);
	system_again(&broker);
	shmc_detach(cache);
	cache = NULL;
	assert_int_equal(shmc_attach(&cache, broker.run.name, NULL), 0);
	check_all();
	check_numbers();
	shmc_detach(cache);
	cache = NULL;
}

/* Has the mover moved something down, and gone to sleep again? */
static bool has_moved_ahead(void *context)
{
	const struct abi_plane *plane = context;

	return shared_u64_load_acquire(
		       &plane->worker[ABI_MOVER].counter[ABI_COUNTER_DEMOTIONS]) &&
		shared_u32_load_acquire(&plane->worker[ABI_MOVER].need_wakeup);
}

/*
 * Puts fill DRAM to more than @at percent. There is room for all of them: only the mover moves. It
 * goes on until @to percent are in use at most, and not for more than another value.
 */
static void assert_moves_ahead(const char *config, unsigned at, unsigned to)
{
	uint64_t most = DRAM_SIZE / 100 * to;
	const struct abi_plane *plane;
	struct shmc_usage u;
	size_t plane_size;
	unsigned i;

	system_start(&broker, "4MiB", false, config);
	assert_int_equal(shmc_attach(&cache, broker.run.name, NULL), 0);
	plane = raw_plane_open(broker.run.name, &plane_size);
	assert_non_null(plane);
	for (i = 0; i <= DRAM_SIZE / 100 * at / SMALL_SIZE; i++)
		put_sized(i, SMALL_SIZE);
	assert_true(system_wait(has_moved_ahead, (void *)plane));
	raw_plane_close(plane, plane_size);
	assert_int_equal(shmc_usage(cache, &u), 0);
	assert_in_range(u.dram.used, most - SMALL_SIZE, most);
	shmc_detach(cache);
	cache = NULL;
	system_stop(&broker);
}

static void test_moves_ahead(void **state)
{
	(void)state;
	assert_moves_ahead(CONFIG, 95, 90); /* five less than 95 */
	assert_moves_ahead(CONFIG "demote_at = 60%\n", 60, 55);
	assert_moves_ahead(CONFIG "demote_at = 60%\ndemote_to = 30%\n", 60, 30);
	assert_moves_ahead(CONFIG "demote_at = 4%\n", 4, 1);
}

static int teardown(void **state)
{
	(void)state;
	if (cache)
		shmc_detach(cache);
	cache = NULL;
	system_stop(&broker);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_tiers, teardown),
		cmocka_unit_test_teardown(test_moves_ahead, teardown),
	};

	if (cleanup_guard())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
