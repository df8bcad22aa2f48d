/* SPDX-License-Identifier: Apache-2.0 */
/* share.c: so many units, and sessions that want all of them. */
#include "shmcache/remote/share.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

#define N 1000

static struct shares shares;
static struct share *taken[2 * N];
static unsigned n_taken;

static unsigned take_all(uint64_t session)
{
	unsigned n = 0;

	while ((taken[n_taken] = shares_take(&shares, session))) {
		assert_int_equal(taken[n_taken]->session, session);
		n_taken++;
		n++;
	}
	return n;
}

/* Half of what is left, each; sessions whose numbers fall together are not taken for one. */
static void each_takes_half_of_what_is_left(void **state)
{
	static const unsigned had[] = {500, 250, 125, 63, 31, 16, 8, 4, 2, 1};
	unsigned i;

	(void)state;
	shares = (struct shares){.n_max = N};
	for (i = 0; i < sizeof(had) / sizeof(had[0]); i++)
		assert_int_equal(take_all(1 + i * SHARES_BUCKETS), had[i]);
	assert_int_equal(shares.n, n_taken);
	/* What the first gives back is anybody's, and its own again only as far as that is fair. */
	for (i = 0; i < 500; i++)
		shares_give(&shares, taken[i]);
	assert_int_equal(shares.n, n_taken - 500);
	assert_int_equal(take_all(1 + SHARES_BUCKETS), 125);
	while (n_taken-- > 500)
		shares_give(&shares, taken[n_taken]);
	shares_give(&shares, NULL);
	assert_int_equal(shares.n, 0);
	for (i = 0; i < SHARES_BUCKETS; i++)
		assert_null(shares.bucket[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(each_takes_half_of_what_is_left)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
