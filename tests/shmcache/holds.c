/* SPDX-License-Identifier: Apache-2.0 */
/* holds.c: unit of holds.c: how many cells are set, and since when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "shmcache/holds.h"

#define LANES 2

static struct abi_geometry geometry;
static struct holds_seen seen;
static struct holds holds;
static uint8_t *region;

static int setup(void **state)
{
	(void)state;
	geometry = (struct abi_geometry){.n_lanes = LANES, .n_queue = 64,
		.n_holds = 2 * HOLDS_SEEN_MAX, .n_log = 64, .staging_size = 65536};
	if (abi_geometry_init(&geometry))
		return -1;
	region = calloc(LANES, geometry.request_stride);
	holds = (struct holds){region, &geometry, LANES};
	return region ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	holds_seen_free(&seen);
	free(region);
	return 0;
}

static void hold(unsigned lane, unsigned at, uint64_t word)
{
	struct abi_lane_request *l = (void *)(region + (size_t)lane * geometry.request_stride);
	struct shared_u64 *cell = (void *)((uint8_t *)l + geometry.hold_off);

	if (shared_u64_load(&l->holds_used) <= at)
		shared_u64_store(&l->holds_used, at + 1);
	shared_u64_store(&cell[at], word);
}

static void look(uint64_t now_ms, uint64_t n, uint64_t since_ms)
{
	uint64_t since;

	assert_int_equal(holds_look(&holds, &seen, now_ms, &since), n);
	assert_int_equal(since, since_ms);
	assert_int_equal(holds_count(&holds), n);
	assert_int_equal(holds_are_none(&holds), !n);
}

/* The same word in the same cell at each look; whatever comes and goes beside it. */
static void test_since(void **state)
{
	(void)state;
	look(1000, 0, 0);
	hold(0, 3, 33);
	look(2000, 1, 2000);
	look(3000, 1, 2000);
	hold(1, 5, 33);
	hold(0, 0, 7);
	look(4000, 3, 2000);
	/* Another word, and the same one in another cell. */
	hold(0, 3, 34);
	hold(0, 4, 33);
	look(5000, 4, 4000);
	hold(0, 0, 0);
	look(6000, 3, 4000);
	hold(1, 5, 0);
	look(7000, 2, 5000);
	hold(0, 3, 0);
	hold(0, 4, 0);
	look(8000, 0, 0);
	hold(0, 3, 34);
	look(9000, 1, 9000);
}

/* Of a table that is full no more than the first cells are noted; that makes none of them older. */
static void test_many(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < geometry.n_holds; i++)
		hold(0, i, 1 + i);
	look(1000, geometry.n_holds, 1000);
	look(2000, geometry.n_holds, 1000);
	assert_int_equal(seen.n, HOLDS_SEEN_MAX);
	for (i = 0; i < HOLDS_SEEN_MAX; i++)
		hold(0, i, 0);
	look(3000, geometry.n_holds - HOLDS_SEEN_MAX, 3000);
	look(4000, geometry.n_holds - HOLDS_SEEN_MAX, 3000);
}

/* A client says how many cells it has used, and may say anything. */
static void test_lies(void **state)
{
	struct abi_lane_request *l = (void *)region;

	(void)state;
	hold(0, 3, 33);
	shared_u64_store(&l->holds_used, UINT64_MAX);
	look(1000, 1, 1000);
	shared_u64_store(&l->holds_used, 2);
	look(2000, 0, 0);
}

int main(void)
{
#define UNIT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		UNIT(test_since),
		UNIT(test_many),
		UNIT(test_lies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
