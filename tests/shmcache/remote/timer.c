/* SPDX-License-Identifier: Apache-2.0 */
/* timer.c: deadlines come in their order, whatever was set, moved and cleared before. */
#include "shmcache/remote/timer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { N = 200 };

static struct timers timers;
static struct timer timer[N];
static uint64_t set_at[N]; /* the model: 0: not set */
static uint64_t last_ms, n_expired, now_ms;
static uint64_t seed;

static uint64_t next_random(void)
{
	seed += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t x = seed;

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static void set(unsigned i, uint64_t at_ms)
{
	timer_set(&timers, &timer[i], at_ms);
	set_at[i] = timer[i].at_ms;
}

static void clear(unsigned i)
{
	timer_clear(&timers, &timer[i]);
	set_at[i] = 0;
}

/* What expires is the model's, in order; and does something to others meanwhile. */
static void expired(struct timer *t)
{
	unsigned i = (unsigned)(t - timer), other = (unsigned)(next_random() % N);

	assert_false(t->is_set);
	assert_int_equal(set_at[i], t->at_ms);
	assert_true(t->at_ms <= now_ms);
	assert_true(t->at_ms >= last_ms);
	last_ms = t->at_ms;
	set_at[i] = 0;
	n_expired++;
	switch (next_random() % 4) {
	case 0:
		clear(other);
		break;
	case 1: /* maybe itself; a time gone by is after this run */
		set(other, next_random() % (now_ms + 20) + 1);
		assert_true(set_at[other] > now_ms);
		break;
	}
}

static void expect_model(void)
{
	uint64_t first = UINT64_MAX;

	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(timer[i].is_set, set_at[i] != 0);
		if (set_at[i] && set_at[i] < first)
			first = set_at[i];
	}
	assert_int_equal(timers_next(&timers), first);
}

static void random_operations_keep_the_order(void **state)
{
	(void)state;
	for (unsigned i = 0; i < N; i++)
		timer[i].expired = expired;
	for (unsigned step = 0; step < 20000; step++) {
		unsigned i = (unsigned)(next_random() % N);

		switch (next_random() % 8) {
		case 0:
			now_ms += next_random() % 10;
			last_ms = 0;
			timers_run(&timers, now_ms);
			assert_true(timers_next(&timers) > now_ms);
			break;
		case 1:
		case 2:
			clear(i);
			break;
		default:
			set(i, now_ms + next_random() % 100 + 1);
		}
		if (step % 16 == 0)
			expect_model();
	}
	assert_true(n_expired > 100);
	for (unsigned i = 0; i < N; i++)
		clear(i);
	expect_model();
}

static unsigned n_late;

static void is_always_late(struct timer *t)
{
	assert_true(++n_late < 10);
	timer_set(&timers, t, 1);
}

static void one_that_is_always_late_ends_a_run(void **state)
{
	struct timer t = {.expired = is_always_late};

	(void)state;
	timer_set(&timers, &t, 5);
	timers_run(&timers, 10);
	assert_int_equal(n_late, 1);
	assert_int_equal(timers_next(&timers), 11);
	timers_run(&timers, 11);
	assert_int_equal(n_late, 2);
	timer_clear(&timers, &t);
	assert_int_equal(timers_next(&timers), UINT64_MAX);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations_keep_the_order),
		cmocka_unit_test(one_that_is_always_late_ends_a_run),
	};

	seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL);
	printf("seed %llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
