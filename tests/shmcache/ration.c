/* SPDX-License-Identifier: Apache-2.0 */
/* ration.c: a thread that would work for ever gets its share of a CPU. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "shmcache/ration.h"

#define WORK_NS 1000000
#define N_WORKS 60

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void work(void)
{
	uint64_t end = clock_ns(CLOCK_THREAD_CPUTIME_ID) + WORK_NS;

	while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < end)
		;
}

/* Whatever else runs, it took so long at least; the last rest is owed. */
static void test_share(void **state)
{
	uint64_t wall_ns = clock_ns(CLOCK_MONOTONIC), cpu_ns, least_ns;
	struct ration ration;
	int i;

	(void)state;
	ration_init(&ration);
	cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	for (i = 0; i < N_WORKS; i++) {
		work();
		ration_rest(&ration);
	}
	cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
	wall_ns = clock_ns(CLOCK_MONOTONIC) - wall_ns;
	least_ns = (cpu_ns - RATION_CREDIT_NS) * RATION_SHARE - RATION_REST_NS_MAX;
	assert_true(cpu_ns >= (uint64_t)N_WORKS * WORK_NS);
	assert_true(wall_ns >= least_ns);
}

/* Who has rested enough by himself is not made to. */
static void test_idle(void **state)
{
	struct ration ration;
	int i;

	(void)state;
	ration_init(&ration);
	for (i = 0; i < 20; i++) {
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
		ration_rest(&ration);
		assert_true(ration.credit_ns > RATION_CREDIT_NS / 2);
		assert_true(ration.credit_ns <= RATION_CREDIT_NS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_share),
		cmocka_unit_test(test_idle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
