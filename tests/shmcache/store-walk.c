/* SPDX-License-Identifier: Apache-2.0 */
/* store-walk.c: unit of store-walk.c: what is there throughout is met, whatever happens beside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/shmcache/rig.h"

#define N 3000

static struct rig rig;
static unsigned seen[N], n_seen;

static int setup(void **state)
{
	(void)state;
	memset(seen, 0, sizeof(seen));
	n_seen = 0;
	rig_init(&rig, 16 * MIB, 16 * MIB);
	rig_open(&rig, false);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_remove(&rig);
	return rig_leftovers() ? -1 : 0;
}

static void entry(void *context, const struct index_key *key)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	uint64_t i;

	(void)context;
	n_seen++;
	/* The lock is free: who is told may use the store. */
	assert_int_equal(pthread_mutex_trylock(&rig.store.lock), 0);
	pthread_mutex_unlock(&rig.store.lock);
	for (i = 0; i < N; i++) {
		struct index_key k = rig_index_key(&rig, i, bytes);

		if (k.size == key->size && k.hash == key->hash && !memcmp(k.data, key->data, k.size)) {
			seen[i]++;
			return;
		}
	}
	fail();
}

static void test_empty(void **state)
{
	uint64_t cursor = 0;

	(void)state;
	store_walk(&rig.store, &cursor, 100, entry, NULL);
	assert_int_equal(cursor, 0);
	assert_int_equal(n_seen, 0);
}

/* Every third is deleted, and others come, between two steps; those that stay are met once. */
static void test_changes(void **state)
{
	uint64_t cursor = 0, i, next = 300;

	(void)state;
	for (i = 0; i < 300; i++)
		assert_int_equal(rig_put(&rig, i, i, 100), ABI_STATUS_OK);
	i = 0;
	do {
		store_walk(&rig.store, &cursor, 7, entry, NULL);
		if (i < 300)
			assert_int_equal(rig_delete(&rig, i), ABI_STATUS_OK);
		i += 3;
		if (next < N)
			assert_int_equal(rig_put(&rig, next, next, 100), ABI_STATUS_OK);
		next++;
	} while (cursor);
	for (i = 0; i < 300; i++)
		assert_true(i % 3 ? seen[i] == 1 : seen[i] <= 1);
	rig_check(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
	};

	return RIG_RUN(tests);
}
