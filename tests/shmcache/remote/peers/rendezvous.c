/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of rendezvous.c: even shares, and only the share of who comes or goes moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "ipc/hash.h"
#include "shmcache/remote/peers/membership.h"
#include "shmcache/remote/peers/rendezvous.h"

#define N_MEMBERS 10
#define N_KEYS 20000

static uint64_t members[N_MEMBERS + 1];

static int setup(void **state)
{
	char name[16];
	int i;

	(void)state;
	for (i = 0; i <= N_MEMBERS; i++) {
		snprintf(name, sizeof(name), "node%d", i);
		members[i] = member_hash(name);
	}
	return 0;
}

static XXH128_hash_t key(unsigned i)
{
	return XXH3_128bits(&i, sizeof(i));
}

/* Within a tenth of the mean: 2000 each, of which three standard deviations are some 130. */
static void test_even(void **state)
{
	unsigned share[N_MEMBERS] = {0}, i;
	XXH128_hash_t k;

	(void)state;
	for (i = 0; i < N_KEYS; i++) {
		k = key(i);
		share[rendezvous_choose(&k, members, N_MEMBERS)]++;
	}
	for (i = 0; i < N_MEMBERS; i++)
		assert_in_range(share[i], N_KEYS / N_MEMBERS * 9 / 10, N_KEYS / N_MEMBERS * 11 / 10);
}

/* One more: keys move to it alone, and its share of them. */
static void test_join(void **state)
{
	unsigned n_moved = 0, before, after, i;
	XXH128_hash_t k;

	(void)state;
	for (i = 0; i < N_KEYS; i++) {
		k = key(i);
		before = rendezvous_choose(&k, members, N_MEMBERS);
		after = rendezvous_choose(&k, members, N_MEMBERS + 1);
		if (before == after)
			continue;
		assert_int_equal(after, N_MEMBERS);
		n_moved++;
	}
	assert_in_range(n_moved, N_KEYS / (N_MEMBERS + 1) * 9 / 10, N_KEYS / (N_MEMBERS + 1) * 11 / 10);
}

/* In whichever order a broker lists them, with doubles or without. */
static void test_order(void **state)
{
	uint64_t turned[N_MEMBERS + 1];
	XXH128_hash_t k;
	unsigned i;

	(void)state;
	for (i = 0; i < N_MEMBERS; i++)
		turned[i] = members[N_MEMBERS - 1 - i];
	turned[N_MEMBERS] = members[3];
	for (i = 0; i < N_KEYS; i++) {
		k = key(i);
		assert_int_equal(members[rendezvous_choose(&k, members, N_MEMBERS)],
			turned[rendezvous_choose(&k, turned, N_MEMBERS + 1)]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_even),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests_name("rendezvous", tests, setup, NULL);
}
