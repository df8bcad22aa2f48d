/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brokers that are killed, stopped and started again while values are on their way from elsewhere:
 * asked for, answered and not taken, delivered and held, given up. Who waits is told; what is held
 * stays; the next broker has nothing left of it in the end. What comes, comes from a double
 * (tests/clients/double.h).
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/clients/double.h"
#include "tests/support/value.h"
#include "tests/system/held.h"

#define LONG_MS 60000
#define CONFIG "[session]\nlanes = 4\nqueue = 16\n"

static struct system_broker broker;

static int fetch(struct shmc *cache, char prefix, unsigned number, struct shmc_view *view, unsigned *why,
	int timeout_ms)
{
	char key[VALUE_KEY_MAX];
	size_t size = value_key(prefix, number, key);

	return shmc_fetch(cache, key, size, NULL, view, why, timeout_ms);
}

static bool is_whole(const struct shmc_view *view, unsigned number)
{
	uint64_t version;

	return value_is(view->data, view->size, number, &version) && version == DOUBLE_VERSION;
}

static struct shmc *attach(void)
{
	struct shmc_attach_options options = {.timeout_ms = LONG_MS};
	struct shmc *cache;

	assert_int_equal(shmc_attach(&cache, broker.run.name, &options), 0);
	return cache;
}

/* The double is there a moment later than its broker. */
static void wait_for_double(struct shmc *cache)
{
	struct shmc_view view;
	unsigned why = 0;
	int r;

	do
		r = fetch(cache, '1', 0, &view, &why, LONG_MS);
	while (r == -ENOTCONN || (r == SHMC_MISS && why == SHMC_FETCH_OFF));
	assert_int_equal(r, SHMC_MISS);
	assert_int_equal(why, SHMC_FETCH_NOBODY);
}

static int setup(void **state)
{
	struct shmc *cache;

	(void)state;
	system_start(&broker, "16MiB", true, CONFIG);
	cache = attach();
	wait_for_double(cache);
	shmc_detach(cache);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	system_stop(&broker);
	return 0;
}

/* --- one of each ------------------------------------------------------------------------------ */

#define N_OUT 4
#define N_VIEWS 6

/* What a client has of its fetches when the broker ends. */
struct fetching {
	struct shmc *cache;
	struct shmc_queue *queue;
	struct shmc_request request[N_OUT];
	char key[N_OUT][VALUE_KEY_MAX];
	struct shmc_view view[N_VIEWS];
	pthread_t thread;
	atomic_bool is_waiting;
	int result;
};

static void *wait_for_nothing(void *argument)
{
	struct fetching *f = argument;
	struct shmc_view view;

	atomic_store(&f->is_waiting, true);
	f->result = fetch(f->cache, 'n', 1, &view, NULL, LONG_MS);
	return NULL;
}

static void begin(struct fetching *f)
{
	struct shmc_request behind = {.operation = SHMC_OP_FETCH, .key = "1", .key_size = 1};
	struct shmc_request *out[N_OUT + 1], *done;
	struct shmc_view view;
	unsigned i;

	memset(f, 0, sizeof(*f));
	f->cache = attach();
	/* Delivered and held. */
	for (i = 0; i < N_VIEWS; i++)
		assert_int_equal(fetch(f->cache, 'd', i, &f->view[i], NULL, LONG_MS), 0);
	/*
	 * Answered, when nobody waits any more: the answer lies in a ring and is taken by nobody.
	 */
	assert_int_equal(shmc_queue_open(&f->queue, f->cache), 0);
	for (i = 0; i < N_OUT; i++) {
		f->request[i] = (struct shmc_request){.operation = SHMC_OP_FETCH, .key = f->key[i],
			.key_size = value_key(i % 2 ? 'n' : 'l', 100 + i, f->key[i])};
		out[i] = &f->request[i];
	}
	out[N_OUT] = &behind;
	assert_int_equal(shmc_submit(f->queue, out, N_OUT + 1), N_OUT + 1);
	/* When the last is answered, the double has all of them. */
	assert_int_equal(shmc_reap(f->queue, &done, 1, LONG_MS), 1);
	assert_ptr_equal(done, &behind);
	assert_int_equal(fetch(f->cache, 'l', 50, &view, NULL, 1), -ETIMEDOUT);
	assert_int_equal(fetch(f->cache, 'r', 0, &view, NULL, LONG_MS), SHMC_MISS);
	/* Asked for, and somebody waits. */
	assert_int_equal(pthread_create(&f->thread, NULL, wait_for_nothing, f), 0);
	while (!atomic_load(&f->is_waiting))
		system_pause();
	system_pause();
}

static void check_views(struct fetching *f)
{
	unsigned i;

	for (i = 0; i < N_VIEWS; i++) {
		assert_true(is_whole(&f->view[i], i));
		assert_int_equal(shmc_view_check(f->cache, &f->view[i]), 0);
	}
}

/*
 * Each request has an end; what was delivered to it in time is a view like the others. Returns how
 * many were, which are in @request.
 */
static unsigned take_all(struct fetching *f)
{
	struct shmc_request *done[N_OUT];
	unsigned n = 0, n_views = 0;
	int i, r = 0;

	while (n < N_OUT) {
		r = shmc_reap(f->queue, done, N_OUT, LONG_MS);
		assert_true(r > 0);
		for (i = 0; i < r; i++, n++) {
			if (done[i]->result)
				assert_true(done[i]->result == -ENOTCONN || done[i]->result == SHMC_MISS);
			else
				n_views++;
		}
	}
	shmc_queue_close(f->queue);
	return n_views;
}

/*
 * What lay in the ring is taken as soon as the broker is gone, or when the next is there, or by
 * nobody.
 */
enum taking { TAKE_FIRST, TAKE_LATE, TAKE_NOT };

static void check_taken(struct fetching *f, unsigned n_views)
{
	unsigned i, n = 0;

	for (i = 0; i < N_OUT; i++) {
		if (!f->request[i].view.data)
			continue;
		assert_true(is_whole(&f->request[i].view, 100 + i));
		assert_int_equal(shmc_view_check(f->cache, &f->request[i].view), 0);
		n++;
	}
	assert_int_equal(n, n_views);
}

static void let_all_go(struct fetching *f)
{
	unsigned i;

	shmc_release_many(f->cache, f->view, N_VIEWS);
	for (i = 0; i < N_OUT; i++)
		shmc_release(f->cache, &f->request[i].view);
	shmc_detach(f->cache);
}

static void ends_with(bool is_killed, enum taking taking)
{
	static struct fetching f;
	struct shmc_view view;
	unsigned round, n = 0;

	begin(&f);
	if (is_killed)
		system_kill(&broker);
	else
		assert_int_equal(proc_stop(&broker.run.proc), 0);
	pthread_join(f.thread, NULL);
	assert_true(f.result == -ENOTCONN || (!is_killed && f.result == SHMC_MISS));
	check_views(&f);
	if (taking == TAKE_FIRST)
		n = take_all(&f);
	for (round = 0; round < 2; round++) {
		if (round)
			system_kill(&broker);
		system_again(&broker);
		assert_int_equal(held_churn(broker.run.name, round), 0);
		check_views(&f);
		check_taken(&f, n);
		if (!round && taking == TAKE_LATE)
			assert_int_equal(take_all(&f), 0);
	}
	if (taking == TAKE_NOT)
		shmc_queue_close(f.queue);
	/* It goes on by itself. */
	wait_for_double(f.cache);
	assert_int_equal(fetch(f.cache, 'p', 1, &view, NULL, LONG_MS), 0);
	assert_true(is_whole(&view, 1));
	shmc_release(f.cache, &view);
	check_views(&f);
	check_taken(&f, n);
	let_all_go(&f);
	held_wait_all_back(&broker);
	/* A broker that stops has said so before anybody could take it. */
	assert_int_equal(n, is_killed && taking == TAKE_FIRST ? N_OUT / 2 : 0);
}

static void test_killed(void **state)
{
	(void)state;
	ends_with(true, TAKE_FIRST);
	ends_with(true, TAKE_LATE);
	ends_with(true, TAKE_NOT);
}

static void test_stopped(void **state)
{
	(void)state;
	ends_with(false, TAKE_FIRST);
	ends_with(false, TAKE_LATE);
	ends_with(false, TAKE_NOT);
}

/* --- many, all the time ----------------------------------------------------------------------- */

#define N_THREADS 3
#define N_HELD 4
#define N_RESTARTS 8

static struct {
	struct shmc *cache;
	atomic_bool is_over;
	_Atomic uint64_t n_fetched, n_missed, n_lost, n_wrong, n_gone;
} storm;

static void let_go(struct shmc_view *view, unsigned number)
{
	bool is_right;

	if (!view->data)
		return;
	is_right = is_whole(view, number);
	/* Asked after the bytes were read; only the lost may have others. */
	if (shmc_view_check(storm.cache, view) == SHMC_GONE)
		atomic_fetch_add(&storm.n_gone, 1);
	else if (!is_right)
		atomic_fetch_add(&storm.n_wrong, 1);
	shmc_release(storm.cache, view);
}

static void *storm_main(void *argument)
{
	uint64_t random = (uintptr_t)argument;
	struct shmc_view view[N_HELD] = {0};
	unsigned number[N_HELD] = {0}, i, k;
	int r;

	for (i = 0; !atomic_load(&storm.is_over); i++) {
		k = i % N_HELD;
		let_go(&view[k], number[k]);
		number[k] = (unsigned)(value_random(&random) % 64);
		r = fetch(storm.cache, "pddvlnrqq"[value_random(&random) % 9], number[k], &view[k], NULL,
			value_random(&random) % 4 ? 5 : 100);
		if (r)
			view[k] = (struct shmc_view){0};
		atomic_fetch_add(!r ? &storm.n_fetched
				: r == SHMC_MISS || r == -ETIMEDOUT || r == SHMC_QUOTA ? &storm.n_missed
				: r == -ENOTCONN ? &storm.n_lost : &storm.n_wrong, 1);
		if (r == -ENOTCONN)
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	for (k = 0; k < N_HELD; k++)
		let_go(&view[k], number[k]);
	return NULL;
}

static void test_storm(void **state)
{
	pthread_t thread[N_THREADS];
	uintptr_t i;

	(void)state;
	memset(&storm, 0, sizeof(storm));
	storm.cache = attach();
	for (i = 0; i < N_THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, storm_main, (void *)(i + 1)), 0);
	for (i = 0; i < N_RESTARTS; i++) {
		uint64_t enough = atomic_load(&storm.n_fetched) + 200;

		while (atomic_load(&storm.n_fetched) < enough && !atomic_load(&storm.n_wrong))
			system_pause();
		if (i % 2)
			system_kill(&broker);
		else
			assert_int_equal(proc_stop(&broker.run.proc), 0);
		system_again(&broker);
	}
	atomic_store(&storm.is_over, true);
	for (i = 0; i < N_THREADS; i++)
		pthread_join(thread[i], NULL);
	shmc_detach(storm.cache);
	print_message("%llu fetched, %llu missed, %llu met no broker, %llu views gone\n",
		(unsigned long long)storm.n_fetched, (unsigned long long)storm.n_missed,
		(unsigned long long)storm.n_lost, (unsigned long long)storm.n_gone);
	assert_int_equal(storm.n_wrong, 0);
	assert_int_equal(storm.n_gone, 0);
	held_wait_all_back(&broker);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_killed),
		TEST(test_stopped),
		TEST(test_storm),
	};

	if (cleanup_guard())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
