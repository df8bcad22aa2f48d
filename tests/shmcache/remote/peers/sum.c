/* SPDX-License-Identifier: Apache-2.0 */
/* sum.c: every variant that this CPU can do gives the number that xxhash.h gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ipc/hash.h"
#include "shmcache/remote/peers/sum.h"

#define SIZE 300001

static uint8_t bytes[SIZE];

static void test_sum(void **state)
{
	static const size_t sizes[] = {1, 3, 8, 16, 17, 128, 129, 240, 241, 1023, 1024, 1025, 4096,
		65536, SIZE};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_true(sum_of(bytes, sizes[i]) == XXH3_64bits(bytes, sizes[i]));
		/* Of any alignment. */
		assert_true(sum_of(bytes + 1, sizes[i] - 1) ==
			XXH3_64bits(bytes + 1, sizes[i] - 1));
	}
}

static void test_pieces(void **state)
{
	struct sum *sum = sum_new();
	unsigned seed = 4711;
	size_t at = 0, n;

	(void)state;
	assert_non_null(sum);
	while (at < SIZE) {
		n = 1 + (size_t)rand_r(&seed) % 5000;
		if (n > SIZE - at)
			n = SIZE - at;
		sum_add(sum, bytes + at, n);
		at += n;
		assert_true(sum_get(sum) == XXH3_64bits(bytes, at));
	}
	sum_free(sum);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sum),
		cmocka_unit_test(test_pieces),
	};
	unsigned seed = 1;
	size_t i;

	for (i = 0; i < SIZE; i++)
		bytes[i] = (uint8_t)(rand_r(&seed) >> 7);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
