/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of allocator/region-mend.c: what is seen of damage, and made good. */
#include "allocator/region.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define MIB (UINT64_C(1) << 20)
#define SIZE (4 * MIB)

static struct region *region;

static int setup(void **state)
{
	char name[64], why[256];
	struct region_options opt = {
		.kind = REGION_SHM, .mode = REGION_CREATE, .name = name, .size = SIZE,
		.node = -1, .n_threads = 1,
	};

	(void)state;
	snprintf(name, sizeof(name), "/test-mend-%d", getpid());
	if (region_open(&region, &opt, why, sizeof(why)))
		return -1;
	memset(region_base(region), 0x5a, SIZE);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	region_close(region, true);
	return 0;
}

/* Where the damage is said to begin; the size if there is none. */
static uint64_t damage(void)
{
	uint64_t off = UINT64_MAX;

	return region_is_damaged(region, &off) ? off : SIZE;
}

/* Mends, and sees that what was before is there, and what was lost reads as 0. */
static void mend_and_check(uint64_t off)
{
	const uint8_t *base = region_base(region);
	struct stat st;

	assert_int_equal(region_mend(region, off), 0);
	assert_false(region_is_damaged(region, &off));
	assert_int_equal(fstat(region_fd(region), &st), 0);
	assert_int_equal(st.st_size, SIZE);
	assert_int_equal((uint64_t)st.st_blocks * 512, SIZE);
	assert_int_equal(base[0], off ? 0x5a : 0);
}

static void test_whole(void **state)
{
	uint64_t off = 4711;

	(void)state;
	assert_false(region_is_damaged(region, &off));
	assert_int_equal(off, 4711);
}

static void test_cut(void **state)
{
	const uint8_t *base = region_base(region);

	(void)state;
	assert_int_equal(ftruncate(region_fd(region), 2 * MIB), 0);
	assert_int_equal(damage(), 2 * MIB);
	mend_and_check(2 * MIB);
	assert_int_equal(base[2 * MIB - 1], 0x5a);
	assert_int_equal(base[2 * MIB], 0);
	assert_int_equal(base[SIZE - 1], 0);
	/* Again: what was mended is whole, so the new damage is seen where it is. */
	assert_int_equal(ftruncate(region_fd(region), 3 * MIB), 0);
	assert_int_equal(damage(), 3 * MIB);
	assert_int_equal(region_mend(region, 3 * MIB), 0);
}

static void test_cut_to_nothing(void **state)
{
	(void)state;
	assert_int_equal(ftruncate(region_fd(region), 0), 0);
	assert_int_equal(damage(), 0);
	assert_int_equal(region_mend(region, 0), 0);
	assert_int_equal(damage(), SIZE);
}

/* The size alone would say that all is well. */
static void test_cut_and_set_right(void **state)
{
	(void)state;
	assert_int_equal(ftruncate(region_fd(region), MIB), 0);
	assert_int_equal(ftruncate(region_fd(region), SIZE), 0);
	assert_int_equal(damage(), MIB);
	mend_and_check(MIB);
}

static void test_hole(void **state)
{
	const uint8_t *base = region_base(region);
	uint64_t off;

	(void)state;
	assert_int_equal(fallocate(region_fd(region), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		MIB, 4096), 0);
	assert_int_equal(damage(), MIB);
	assert_int_equal(region_mend(region, MIB), 0);
	assert_false(region_is_damaged(region, &off));
	/* What lies behind the hole is not touched. */
	assert_int_equal(base[MIB], 0);
	assert_int_equal(base[MIB + 4096], 0x5a);
}

/* Nothing is lost, but the next broker would not take it. */
static void test_grown(void **state)
{
	struct stat st;
	uint64_t off;

	(void)state;
	assert_int_equal(ftruncate(region_fd(region), SIZE + 4096), 0);
	assert_true(region_is_damaged(region, &off));
	assert_int_equal(off, SIZE);
	assert_int_equal(region_mend(region, off), 0);
	assert_int_equal(fstat(region_fd(region), &st), 0);
	assert_int_equal(st.st_size, SIZE);
}

#define UNIT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_whole),
		UNIT(test_cut),
		UNIT(test_cut_to_nothing),
		UNIT(test_cut_and_set_right),
		UNIT(test_hole),
		UNIT(test_grown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
