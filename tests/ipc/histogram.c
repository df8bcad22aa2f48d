/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of ipc/histogram.c: where a time is put, and what is told of many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "ipc/histogram.h"

#define LAST (ABI_HISTOGRAM_BUCKETS - 1)

/* The first and the last value of each bucket are in it, and nothing lies between two. */
static void test_edges(void **state)
{
	unsigned i;

	(void)state;
	assert_int_equal(histogram_bucket_begin(0), 0);
	assert_int_equal(histogram_bucket_begin(1), 64);
	for (i = 0; i <= LAST; i++) {
		assert_int_equal(histogram_bucket(histogram_bucket_begin(i)), i);
		if (i < LAST)
			assert_int_equal(histogram_bucket(histogram_bucket_begin(i + 1) - 1), i);
	}
	assert_int_equal(histogram_bucket(UINT64_MAX), LAST);
}

/* No bucket is wider than half of what it begins with: that is the promise of the header. */
static void test_width(void **state)
{
	unsigned i;

	(void)state;
	for (i = 1; i < LAST; i++)
		assert_true(2 * (histogram_bucket_begin(i + 1) - histogram_bucket_begin(i)) <=
			histogram_bucket_begin(i));
}

static void test_add(void **state)
{
	struct abi_histogram h = {0};
	struct histogram sum = {0};

	(void)state;
	histogram_add(&h, 100, 1);
	histogram_add(&h, 70, 31);
	histogram_add(&h, 1000000, 1);
	histogram_gather(&sum, &h);
	histogram_gather(&sum, &h);
	assert_int_equal(sum.n, 2 * 33);
	assert_int_equal(sum.sum_ns, 2 * (100 + 70 * 31 + 1000000));
	assert_int_equal(sum.max_ns, 1000000);
	assert_int_equal(sum.bucket[histogram_bucket(70)], 2 * 31);
	assert_int_equal(sum.bucket[histogram_bucket(100)], 2);
}

static void test_quantiles(void **state)
{
	struct abi_histogram h = {0};
	struct histogram sum = {0};
	uint64_t ns, q;
	unsigned i;

	(void)state;
	assert_int_equal(histogram_quantile(&sum, 0.5), 0);
	for (i = 1; i <= 100000; i++)
		histogram_add(&h, i * 10, 1);
	histogram_gather(&sum, &h);
	for (i = 1; i < 100; i++) {
		q = histogram_quantile(&sum, i / 100.0);
		ns = i * 10000;
		assert_true(q >= ns * 4 / 5 && q <= ns * 5 / 4);
	}
	assert_int_equal(histogram_quantile(&sum, 1), 1000000);
}

/* Whatever a client writes there, reading it ends, and nothing is read beside it. */
static void test_hostile(void **state)
{
	struct abi_histogram h;
	struct histogram sum = {0};

	(void)state;
	memset(&h, 0xff, sizeof(h));
	histogram_gather(&sum, &h);
	(void)histogram_quantile(&sum, 0.99);
	/* One value, in the bucket that has no end. */
	memset(&h, 0, sizeof(h));
	memset(&sum, 0, sizeof(sum));
	histogram_add(&h, UINT64_MAX, 1);
	histogram_gather(&sum, &h);
	assert_int_equal(histogram_quantile(&sum, 0.5), histogram_bucket_begin(LAST));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_width),
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_quantiles),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
