/* SPDX-License-Identifier: Apache-2.0 */
/* strerror.c: every result has a text, and different results have different ones. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "clients/shmcache.h"

static void names_all_that_the_header_promises(void **state)
{
	static const int results[] = {0, SHMC_MISS, SHMC_EXISTS, SHMC_NOSPACE, SHMC_QUOTA,
		SHMC_GONE, SHMC_FAILED, -EINVAL, -ENOENT, -ECONNREFUSED, -EPROTONOSUPPORT, -EACCES, -ETIMEDOUT,
		-EUSERS,
		-ENOMEM, -ENOTCONN, -ECHILD, -EFBIG, -ENOSPC, -EIO};
	const size_t n = sizeof(results) / sizeof(results[0]);
	size_t i, j;

	(void)state;
	for (i = 0; i < n; i++) {
		assert_non_null(shmc_strerror(results[i]));
		assert_true(strlen(shmc_strerror(results[i])) > 5);
		assert_null(strstr(shmc_strerror(results[i]), "unknown"));
		/* In words of the library's own, where the result has a meaning of its own. */
		if (results[i] < 0 && results[i] != -ENOMEM)
			assert_string_not_equal(
				shmc_strerror(results[i]), strerrordesc_np(-results[i]));
		for (j = 0; j < i; j++)
			assert_string_not_equal(
				shmc_strerror(results[i]), shmc_strerror(results[j]));
	}
}

static void has_a_text_for_nonsense(void **state)
{
	(void)state;
	assert_non_null(strstr(shmc_strerror(77), "unknown"));
	assert_non_null(strstr(shmc_strerror(-4000), "unknown"));
	assert_non_null(strstr(shmc_strerror(INT_MIN), "unknown"));
	assert_non_null(strstr(shmc_strerror(INT_MAX), "unknown"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_all_that_the_header_promises),
		cmocka_unit_test(has_a_text_for_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
