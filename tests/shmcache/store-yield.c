/* SPDX-License-Identifier: Apache-2.0 */
/* store-yield.c: a huge put among tiny values lets others have the lock. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <cmocka.h>

#include "tests/shmcache/rig.h"

/*
 * One thread makes room for a value that drives out tens of thousands of entries. Each yield is a
 * sleep, which the kernel counts as a voluntary switch. Without the yields there are few: those
 * between one step of the eviction and the next.
 *
 * Another takes the lock again and again and notes how many were out by then: each number that it
 * sees for the first time is a moment in which it had the lock in the middle. When that thread gets
 * to run is the kernel's to say. So there are rounds, until one of them had enough such moments.
 */
#define TIER_SIZE (16 * MIB)
#define VALUE 64
#define HUGE_SIZE (TIER_SIZE / 2)
#define MOMENTS_MIN 8
#define ROUNDS_MAX 20

static struct rig rig;
static atomic_bool is_over;

static void *look_in(void *context)
{
	unsigned *n_moments = context;
	uint64_t n, last = 0;

	*n_moments = 0;
	while (!atomic_load(&is_over)) {
		pthread_mutex_lock(&rig.store.lock);
		n = rig.store.index.n_entries;
		pthread_mutex_unlock(&rig.store.lock);
		*n_moments += n != last;
		last = n;
	}
	return NULL;
}

static uint64_t fill(void)
{
	uint64_t i;

	for (i = 0; i < 2 * TIER_SIZE / VALUE; i++)
		assert_int_equal(rig_put(&rig, i, i, VALUE), ABI_STATUS_OK);
	return rig.store.index.n_entries;
}

/* How many moments the other thread had, while a huge value drove out tiny ones. */
static unsigned round_of_huge_among_tiny(void)
{
	const struct store_put_options options = {0};
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key = rig_index_key(&rig, UINT64_C(1) << 40, bytes);
	uint64_t n_before = fill(), n_out;
	unsigned n_moments;
	struct rusage before, after;
	pthread_t thread;
	uint32_t cell;
	long n_yields;

	atomic_store(&is_over, false);
	assert_int_equal(pthread_create(&thread, NULL, look_in, &n_moments), 0);
	assert_int_equal(getrusage(RUSAGE_THREAD, &before), 0);
	assert_int_equal(store_reserve(&rig.store, &rig.w, &key, &options, HUGE_SIZE, &cell),
		ABI_STATUS_OK);
	assert_int_equal(getrusage(RUSAGE_THREAD, &after), 0);
	n_yields = after.ru_nvcsw - before.ru_nvcsw;
	atomic_store(&is_over, true);
	pthread_join(thread, NULL);
	n_out = n_before - rig.store.index.n_entries;
	printf("%llu entries made room, in %ld sleeps; the other thread had the lock at %u moments\n",
		(unsigned long long)n_out, n_yields, n_moments);
	assert_true(n_out > 2 * MOMENTS_MIN * STORE_HOLD_MAX);
	assert_true((uint64_t)n_yields >= n_out / STORE_HOLD_MAX / 2);
	rig_check(&rig);
	store_abort(&rig.store, cell);
	rig_drain(&rig);
	rig_check(&rig);
	return n_moments;
}

static void test_huge_among_tiny(void **state)
{
	unsigned n_rounds = 0;

	(void)state;
	rig_init(&rig, TIER_SIZE, 32 * MIB);
	rig_open(&rig, false);
	while (round_of_huge_among_tiny() < MOMENTS_MIN)
		assert_true(++n_rounds < ROUNDS_MAX);
}

static int teardown(void **state)
{
	(void)state;
	rig_remove(&rig);
	return rig_leftovers() ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_huge_among_tiny, teardown),
	};

	return RIG_RUN(tests);
}
