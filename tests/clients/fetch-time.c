/* SPDX-License-Identifier: Apache-2.0 */
/* fetch-time.c: how long a fetch may take, in all. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "clients/shmcache.h"
#include "tests/clients/double.h"
#include "tests/clients/hasty.h"
#include "tests/tsan/host.h"

#define LONG_MS 60000

static struct host host;
static struct double_ other;
static struct shmc *cache;

static int setup(void **state)
{
	static const char *const options[] = {"dram.size=16MiB", "session.lanes=4", NULL};
	struct shmc_attach_options o = {.timeout_ms = LONG_MS};

	(void)state;
	if (host_start(&host, options) || double_start(&other, &host.broker))
		return -1;
	return shmc_attach(&cache, host_name(&host), &o);
}

static int teardown(void **state)
{
	(void)state;
	shmc_detach(cache);
	double_stop(&other);
	host_stop(&host);
	return 0;
}

/*
 * What was published and is gone again is asked for again; of the broker's own deadline, then, what
 * is left of it.
 */
static void test_again(void **state)
{
	uint64_t first, last;
	struct shmc_view view;
	unsigned why;

	(void)state;
	atomic_store(&other.timeout_ms, LONG_MS);
	assert_int_equal(shmc_fetch(cache, "w1", 2, NULL, &view, &why, LONG_MS), SHMC_MISS);
	assert_int_equal(why, SHMC_FETCH_CANCELLED);
	assert_int_equal(atomic_load(&other.n_taken), 3);
	first = atomic_load(&other.first_deadline_ms);
	last = atomic_load(&other.deadline_ms);
	/* But for the way to the broker, and what a coarse clock is behind. */
	assert_int_not_equal(last, 0);
	assert_true(last < first + LONG_MS / 2);
}

static void *fetch_one(void *result)
{
	struct shmc_view view;

	*(int *)result = shmc_fetch(cache, "d1", 2, NULL, &view, NULL, LONG_MS);
	if (!*(int *)result)
		shmc_release(cache, &view);
	return NULL;
}

static void *fetch_many(void *result)
{
	struct shmc_key keys[2] = {{"d2", 2}, {"d3", 2}};
	struct shmc_view views[2];
	int results[2];

	*(int *)result = shmc_fetch_many(cache, keys, 2, NULL, views, results, NULL, LONG_MS);
	if (*(int *)result == 2)
		shmc_release_many(cache, views, 2);
	return NULL;
}

static int in_a_new_thread(void *(*call)(void *))
{
	pthread_t thread;
	int result = -1;

	assert_int_equal(pthread_create(&thread, NULL, call, &result), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	return result;
}

/* A thread that has no lane yet: it is waited for as the call says, and not as the attach did. */
static void test_first_call(void **state)
{
	(void)state;
	hasty_make(cache);
	assert_int_equal(in_a_new_thread(fetch_one), 0);
}

static void test_first_call_of_many(void **state)
{
	(void)state;
	hasty_make(cache);
	assert_int_equal(in_a_new_thread(fetch_many), 2);
}

#define UNIT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_again),
		UNIT(test_first_call),
		UNIT(test_first_call_of_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
