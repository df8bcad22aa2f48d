/* SPDX-License-Identifier: Apache-2.0 */
/* threads.c: one handle, many threads; lanes that pass from one to the next. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/support/broker-run.h"

enum { WAIT = 60000, N_THREADS = 8, N_KEYS = 64, N_ROUNDS = 3000, LANES = 8 };

static struct broker_run broker;

static int group_setup(void **state)
{
	(void)state;
	return broker_run_start(&broker,
		&(struct broker_run_options){
			.cpu = PROC_CPU_ANY, .config = "[session]\nlanes = 8\nholds = 64\n"},
		NULL, NULL);
}

static int group_teardown(void **state)
{
	(void)state;
	return broker_run_stop(&broker);
}

static int setup(void **state)
{
	return shmc_attach((struct shmc **)state, broker.name, NULL);
}

static int teardown(void **state)
{
	shmc_detach(*state);
	return 0;
}

struct worker {
	pthread_t thread;
	struct shmc *cache;
	unsigned number;
	unsigned n_wrong, n_hits, n_slow;
	const char *what;
};

#define CHECK(w, condition)                                                                        \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			(w)->n_wrong++;                                                            \
			(w)->what = #condition;                                                    \
		}                                                                                  \
	} while (0)

/* A value is a number, many times: from whichever put it is, it is of one put. */
static void value_check(struct worker *w, const struct shmc_view *view)
{
	const uint32_t *value = view->data;
	size_t i, n = view->size / sizeof(*value);

	for (i = 1; i < n; i++)
		if (value[i] != value[0])
			break;
	CHECK(w, n && i == n);
}

static void *mixed_main(void *arg)
{
	unsigned round, key_number, i, seed;
	struct worker *w = arg;
	struct shmc_view view;
	uint32_t value[200];
	char key[16];
	int r, size;

	seed = w->number;
	for (round = 0; round < N_ROUNDS; round++) {
		key_number = (unsigned)rand_r(&seed) % N_KEYS;
		size = snprintf(key, sizeof(key), "key %u", key_number);
		switch (rand_r(&seed) % 8) {
		case 0:
		case 1:
			for (i = 0; i < 200; i++)
				value[i] = w->number * N_ROUNDS + round;
			r = shmc_put(w->cache, key, (size_t)size, value,
				sizeof(*value) * (1 + round % 200), NULL, WAIT);
			CHECK(w, r == 0);
			break;
		case 2:
			r = shmc_delete(w->cache, key, (size_t)size, WAIT);
			CHECK(w, r == 0 || r == SHMC_MISS);
			break;
		default:
			r = shmc_get(w->cache, key, (size_t)size, &view);
			CHECK(w, r == 0 || r == SHMC_MISS);
			if (r)
				break;
			value_check(w, &view);
			w->n_hits++;
			shmc_release(w->cache, &view);
		}
	}
	return NULL;
}

static void run_all(struct shmc *cache, void *(*main)(void *), struct worker *w, unsigned n)
{
	unsigned i;

	memset(w, 0, n * sizeof(*w));
	for (i = 0; i < n; i++) {
		w[i].cache = cache;
		w[i].number = i + 1;
		assert_int_equal(pthread_create(&w[i].thread, NULL, main, &w[i]), 0);
	}
	for (i = 0; i < n; i++) {
		pthread_join(w[i].thread, NULL);
		if (w[i].n_wrong)
			print_error("thread %u: %s, %u times\n", i, w[i].what, w[i].n_wrong);
		assert_int_equal(w[i].n_wrong, 0);
	}
}

static void threads_do_not_disturb_each_other(void **state)
{
	struct worker w[N_THREADS];
	unsigned i, n_hits = 0;

	run_all(*state, mixed_main, w, N_THREADS);
	for (i = 0; i < N_THREADS; i++)
		n_hits += w[i].n_hits;
	assert_true(n_hits > N_ROUNDS);
}

static void *short_main(void *arg)
{
	struct worker *w = arg;

	CHECK(w, shmc_ping(w->cache, WAIT) == 0);
	CHECK(w, shmc_exists(w->cache, "nothing", 7) == SHMC_MISS);
	return NULL;
}

/* Many more threads than lanes, but not at once: each finds the lane of one that ended. */
static void lanes_are_used_again(void **state)
{
	struct worker w[LANES];
	int i;

	for (i = 0; i < 50; i++)
		run_all(*state, short_main, w, LANES);
}

struct crowd {
	struct shmc *cache;
	pthread_barrier_t in, out;
	_Atomic unsigned n_served, n_refused, n_wrong;
};

static void *crowd_main(void *arg)
{
	struct crowd *c = arg;
	int r = shmc_ping(c->cache, WAIT);

	atomic_fetch_add(r == 0 ? &c->n_served : r == SHMC_QUOTA ? &c->n_refused : &c->n_wrong, 1);
	pthread_barrier_wait(&c->in);
	pthread_barrier_wait(&c->out);
	return NULL;
}

/* More at once than there are lanes: those that come too late are told so, and served later. */
static void too_many_at_once_are_told(void **state)
{
	enum { N = LANES + 5 };
	struct crowd c = {.cache = *state};
	pthread_t thread[N];
	int i;

	pthread_barrier_init(&c.in, NULL, N + 1);
	pthread_barrier_init(&c.out, NULL, N + 1);
	for (i = 0; i < N; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, crowd_main, &c), 0);
	pthread_barrier_wait(&c.in);
	assert_int_equal(c.n_wrong, 0);
	assert_int_equal(c.n_served, LANES);
	assert_int_equal(c.n_refused, 5);
	assert_int_equal(shmc_ping(*state, WAIT), SHMC_QUOTA);
	pthread_barrier_wait(&c.out);
	for (i = 0; i < N; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(shmc_ping(*state, WAIT), 0);
}

static void *get_main(void *arg)
{
	struct crowd *c = arg;
	static struct shmc_view view;

	return shmc_get(c->cache, "key", 3, &view) ? NULL : &view;
}

/* A view outlives the thread that got it, and any thread releases it. */
static void a_view_passes_between_threads(void **state)
{
	struct crowd c = {.cache = *state};
	struct shmc_view *view;
	pthread_t thread;
	void *result;
	int i;

	for (i = 0; i < 200; i++) {
		assert_int_equal(shmc_put(*state, "key", 3, &i, sizeof(i), NULL, WAIT), 0);
		assert_int_equal(pthread_create(&thread, NULL, get_main, &c), 0);
		pthread_join(thread, &result);
		view = result;
		assert_non_null(view);
		assert_int_equal(shmc_delete(*state, "key", 3, WAIT), 0);
		assert_memory_equal(view->data, &i, sizeof(i));
		shmc_release(*state, view);
	}
}

/* More handles than a thread remembers lanes of. */
static void a_thread_serves_many_handles(void **state)
{
	enum { N = 20 };
	struct shmc *cache[N];
	int i, round;

	(void)state;
	for (i = 0; i < N; i++)
		assert_int_equal(shmc_attach(&cache[i], broker.name, NULL), 0);
	for (round = 0; round < 3; round++)
		for (i = 0; i < N; i++)
			assert_int_equal(shmc_ping(cache[i], WAIT), 0);
	/* One lane each, however often it was looked for anew. */
	assert_int_equal(shmc_exists(cache[7], "nothing", 7), SHMC_MISS);
	for (i = 0; i < N; i++)
		shmc_detach(cache[i]);
}

static void *detach_then_end_main(void *arg)
{
	struct worker *w = arg;
	struct shmc *cache;

	CHECK(w, shmc_attach(&cache, broker.name, NULL) == 0);
	CHECK(w, shmc_ping(cache, WAIT) == 0);
	CHECK(w, shmc_ping(w->cache, WAIT) == 0);
	shmc_detach(cache);
	return NULL;
}

/* The end of a thread whose handle is gone already. */
static void a_thread_may_end_after_its_handle(void **state)
{
	struct worker w[4];
	int i;

	for (i = 0; i < 20; i++)
		run_all(*state, detach_then_end_main, w, 4);
}

enum { N_NAPS = 4000 };

static void *napping_main(void *arg)
{
	struct worker *w = arg;
	struct timespec a, b;
	unsigned i;

	for (i = 0; i < N_NAPS; i++) {
		clock_gettime(CLOCK_MONOTONIC, &a);
		CHECK(w, shmc_ping(w->cache, WAIT) == 0);
		clock_gettime(CLOCK_MONOTONIC, &b);
		w->n_slow += (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 > 400;
	}
	return NULL;
}

/*
 * Neither side spins: every request and every answer has to wake somebody. An answer that doesn't
 * lets a call run out of time; a request that doesn't waits for the broker's next round of upkeep,
 * half a second, and that may happen on a busy machine, but not often.
 */
static void nobody_oversleeps(void **state)
{
	const struct shmc_attach_options options = {.spin_us = UINT_MAX};
	const struct broker_run_options run = {
		.cpu = PROC_CPU_ANY, .config = "[broker]\npoll = sleep\n"};
	struct broker_run sleeper;
	struct worker w[4];
	struct shmc *cache;

	(void)state;
	assert_int_equal(broker_run_start(&sleeper, &run, &cache, &options), 0);
	run_all(cache, napping_main, w, 4);
	assert_in_range(w[0].n_slow + w[1].n_slow + w[2].n_slow + w[3].n_slow, 0, 4);
	assert_true(broker_run_stat(cache, "shmcache_wakeups_total") > 0);
	assert_true(broker_run_stat(cache, "shmcache_wakes_sent_total") > 0);
	shmc_detach(cache);
	assert_int_equal(broker_run_stop(&sleeper), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(threads_do_not_disturb_each_other),
		T(lanes_are_used_again),
		T(too_many_at_once_are_told),
		T(a_view_passes_between_threads),
		T(a_thread_serves_many_handles),
		T(a_thread_may_end_after_its_handle),
		cmocka_unit_test(nobody_oversleeps),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
