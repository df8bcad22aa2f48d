/* SPDX-License-Identifier: Apache-2.0 */
/* Fetching, all four ways: a broker in this process, and a double for all the others. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "clients/shmcache.h"
#include "tests/clients/double.h"
#include "tests/tsan/host.h"

#define LONG_MS 60000

static struct host host;
static struct double_ other;
static struct shmc *cache;

static void attach(void)
{
	struct shmc_attach_options options = {.timeout_ms = LONG_MS};

	assert_int_equal(shmc_attach(&cache, host_name(&host), &options), 0);
}

static int setup(void **state)
{
	static const char *const options[] = {"dram.size=16MiB", "session.queue=16",
		"session.max=64", "session.lanes=4", NULL};

	(void)state;
	if (host_start(&host, options) || double_start(&other, &host.broker))
		return -1;
	attach();
	return 0;
}

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/*
 * Is nothing delivered, held or on its way any more? The store itself knows; the gauges come after.
 */
static bool is_at_rest(struct store *store)
{
	bool is;

	pthread_mutex_lock(&store->lock);
	is = !store->deliveries && !store->reserved_size && !store->limbo.n && !store->n_fills;
	pthread_mutex_unlock(&store->lock);
	return is;
}

/* Wait for that; the books must balance then. */
static void assert_rest(void)
{
	struct store *store = &host.broker.store;
	char why[256];
	int i;

	for (i = 0; i < LONG_MS && !is_at_rest(store); i++)
		nap();
	assert_true(is_at_rest(store));
	if (store_check(store, why, sizeof(why)))
		fail_msg("%s", why);
}

static int teardown(void **state)
{
	(void)state;
	shmc_detach(cache);
	assert_rest();
	double_stop(&other);
	host_stop(&host);
	return 0;
}

static int fetch(const char *key, struct shmc_view *view, unsigned *why, int timeout_ms)
{
	return shmc_fetch(cache, key, strlen(key), NULL, view, why, timeout_ms);
}

static bool is_value_of(const struct shmc_view *view, const char *key)
{
	const char *bytes = view->data;
	size_t i;

	for (i = 0; i < view->size; i++)
		if (bytes[i] != key[strlen(key) - 1])
			return false;
	return view->size == atomic_load(&other.size);
}

static void assert_here(const char *key, int result)
{
	assert_int_equal(shmc_exists(cache, key, strlen(key)), result);
}

/* The first asks others, the second asks nobody. */
static void test_published(void **state)
{
	struct shmc_view view;
	unsigned i;

	(void)state;
	for (i = 0; i < 3; i++) {
		assert_int_equal(fetch("p1", &view, NULL, LONG_MS), 0);
		assert_true(is_value_of(&view, "p1"));
		shmc_release(cache, &view);
		assert_int_equal(atomic_load(&other.n_taken), 1);
	}
	assert_here("p1", 0);
	/* Two hits; what the first fetch read was a miss and stays one. */
	shmc_detach(cache);
	attach();
	/* The broker takes leave in its own time; the access log comes last. */
	for (i = 0; i < LONG_MS && host_counter(&host, ABI_COUNTER_LOG_HITS) < 2; i++)
		nap();
	assert_int_equal(host_counter(&host, ABI_COUNTER_HITS), 2);
	assert_int_equal(host_counter(&host, ABI_COUNTER_MISSES), 1);
	assert_int_equal(host_counter(&host, ABI_COUNTER_LOG_HITS), 2);
}

/* A view like any other, of no entry: it stays while it is held, and is gone with it. */
static void test_delivered(void **state)
{
	struct shmc_view view, again;

	(void)state;
	assert_int_equal(fetch("d1", &view, NULL, LONG_MS), 0);
	assert_true(is_value_of(&view, "d1"));
	assert_here("d1", SHMC_MISS);
	assert_int_equal(fetch("d1", &again, NULL, LONG_MS), 0);
	assert_int_equal(atomic_load(&other.n_taken), 2);
	assert_ptr_not_equal(view.data, again.data);
	shmc_release(cache, &again);
	/* Many are put over what is free; reclaim rounds go by. */
	for (unsigned i = 0; i < 2000; i++) {
		char key[16];

		snprintf(key, sizeof(key), "k%u", i % 100);
		assert_int_equal(shmc_put(cache, key, strlen(key), key, sizeof(key), NULL, LONG_MS), 0);
	}
	assert_true(is_value_of(&view, "d1"));
	assert_int_equal(shmc_view_check(cache, &view), 0);
	shmc_release(cache, &view);
	assert_rest();
}

/*
 * Published, and gone before it is read: it is asked for again, some times. Nobody can say so often
 * enough.
 */
static void test_gone_again(void **state)
{
	struct shmc_key keys[3] = {{"v1", 2}, {"w2", 2}, {"v3", 2}};
	struct shmc_fetch_options hasty = {.deadline_ms = LONG_MS};
	struct shmc_view view, views[3];
	unsigned why, whys[3];
	int results[3];

	(void)state;
	assert_int_equal(fetch("v1", &view, NULL, LONG_MS), 0);
	assert_true(is_value_of(&view, "v1"));
	assert_int_equal(atomic_load(&other.n_taken), 2);
	shmc_release(cache, &view);
	assert_here("v1", SHMC_MISS);
	assert_int_equal(fetch("w1", &view, &why, LONG_MS), SHMC_MISS);
	assert_int_equal(why, SHMC_FETCH_CANCELLED);
	assert_int_equal(atomic_load(&other.n_taken), 5);
	assert_int_equal(shmc_fetch(cache, "v4", 2, &hasty, &view, &why, LONG_MS), 0);
	shmc_release(cache, &view);
	assert_int_equal(shmc_fetch_many(cache, keys, 3, NULL, views, results, whys, LONG_MS), 2);
	assert_int_equal(results[1], SHMC_MISS);
	assert_int_equal(whys[1], SHMC_FETCH_CANCELLED);
	assert_true(is_value_of(&views[0], "v1") && is_value_of(&views[2], "v3"));
	shmc_release(cache, &views[0]);
	shmc_release(cache, &views[2]);
	assert_rest();
}

static void test_reasons(void **state)
{
	struct shmc_view view;
	unsigned i, why;
	char key[] = "0";

	(void)state;
	for (i = ABI_FETCH_NOBODY; i < ABI_N_FETCH_MISSES; i++) {
		key[0] = (char)('0' + i);
		why = 99;
		assert_int_equal(fetch(key, &view, &why, LONG_MS), SHMC_MISS);
		assert_int_equal(why, i);
		assert_string_not_equal(shmc_fetch_miss_name(why), "?");
	}
	assert_string_equal(shmc_fetch_miss_name(ABI_N_FETCH_MISSES), "?");
	assert_int_equal(fetch("3", &view, NULL, LONG_MS), SHMC_MISS);
	assert_int_equal(shmc_fetch(cache, "", 0, NULL, &view, NULL, LONG_MS), -EINVAL);
	assert_int_equal(shmc_fetch(cache, "p", 1,
		&(struct shmc_fetch_options){.write_back = SHMC_WRITE_BACK_OFF + 1}, &view, NULL,
		LONG_MS), -EINVAL);
}

/* Without anybody to ask, it is a get. */
static void test_off(void **state)
{
	struct shmc_view view;
	unsigned why;

	(void)state;
	double_stop(&other);
	assert_int_equal(fetch("p1", &view, &why, LONG_MS), SHMC_MISS);
	assert_int_equal(why, SHMC_FETCH_OFF);
	assert_int_equal(double_start(&other, &host.broker), 0);
}

/* Who gave up gets nothing, and nothing is left of what came for him. */
static void test_late(void **state)
{
	struct shmc_view view;

	(void)state;
	assert_int_equal(shmc_ping(cache, LONG_MS), 0); /* so that there is a lane to send it on */
	assert_int_equal(fetch("l1", &view, NULL, 20), -ETIMEDOUT);
	while (!atomic_load(&other.n_kept))
		nap();
	/* Meanwhile all else goes on on this lane. */
	assert_int_equal(shmc_put(cache, "a", 1, "b", 1, NULL, LONG_MS), 0);
	double_release(&other);
	while (atomic_load(&other.n_kept))
		nap();
	/* The answer is taken by whoever asks next on this lane. */
	while (shmc_ping(cache, LONG_MS), !is_at_rest(&host.broker.store))
		nap();
	assert_rest();
}

static void test_many(void **state)
{
	static const char *const names[] = {"here", "p1", "d2", "1", "", "p5", "4"};
	static const int expected[] = {0, 0, 0, SHMC_MISS, -EINVAL, 0, SHMC_MISS};
	struct shmc_key keys[7];
	struct shmc_view views[7];
	unsigned whys[7], i;
	int results[7];

	(void)state;
	assert_int_equal(shmc_put(cache, "here", 4, "value", 5, NULL, LONG_MS), 0);
	for (i = 0; i < 7; i++)
		keys[i] = (struct shmc_key){names[i], strlen(names[i])};
	assert_int_equal(shmc_fetch_many(cache, keys, 7, NULL, views, results, whys, LONG_MS), 4);
	for (i = 0; i < 7; i++)
		assert_int_equal(results[i], expected[i]);
	assert_true(is_value_of(&views[1], "p1") && is_value_of(&views[2], "d2"));
	assert_int_equal(views[0].size, 5);
	assert_int_equal(whys[3], SHMC_FETCH_NOBODY);
	assert_int_equal(whys[6], SHMC_FETCH_CORRUPT);
	/* What is here and what is wrong is no part of what was asked. */
	assert_int_equal(atomic_load(&other.n_taken), 5);
	assert_int_equal(atomic_load(&other.n_batch), 5);
	assert_int_equal(atomic_load(&other.position), 6);
	assert_int_not_equal(atomic_load(&other.batch), 0);
	for (i = 0; i < 7; i++)
		if (!results[i])
			shmc_release(cache, &views[i]);
	assert_int_equal(shmc_fetch_many(cache, keys, 3,
		&(struct shmc_fetch_options){.write_back = SHMC_WRITE_BACK_FREE_SPACE}, views,
		results, NULL, LONG_MS), 3);
	assert_int_equal(atomic_load(&other.write_back), SHMC_WRITE_BACK_FREE_SPACE);
	assert_int_equal(atomic_load(&other.n_batch), 1);
	shmc_release_many(cache, views, 3);
	assert_rest();
}

/* More than the ring takes, all of them delivered at once. */
static void test_many_more(void **state)
{
	enum { N = 200 };
	static char names[N][8];
	struct shmc_key keys[N];
	struct shmc_view views[N];
	int results[N], i;

	(void)state;
	for (i = 0; i < N; i++) {
		snprintf(names[i], sizeof(names[i]), "%c%d", i % 3 ? 'd' : 'p', i);
		keys[i] = (struct shmc_key){names[i], strlen(names[i])};
	}
	assert_int_equal(shmc_fetch_many(cache, keys, N, NULL, views, results, NULL, LONG_MS), N);
	for (i = 0; i < N; i++)
		assert_true(is_value_of(&views[i], names[i]));
	shmc_release_many(cache, views, N);
	assert_rest();
}

static struct shmc_request request(enum shmc_operation operation, const char *key)
{
	return (struct shmc_request){.operation = operation, .key = key, .key_size = strlen(key),
		.value = (void *)"x", .value_size = 1};
}

/* In a queue: what waits for others holds up nobody but those on its key. */
static void test_queue(void **state)
{
	struct shmc_request q[6] = {request(SHMC_OP_FETCH, "l1"), request(SHMC_OP_PUT, "l1"),
		request(SHMC_OP_PING, ""), request(SHMC_OP_FETCH, "p2"),
		request(SHMC_OP_PREFETCH, "p3"), request(SHMC_OP_PREFETCH, "d4")};
	struct shmc_request *all[6], *done[6];
	struct shmc_queue *queue;
	struct shmc_view view;
	int n = 0, r, i;

	(void)state;
	for (i = 0; i < 6; i++)
		all[i] = &q[i];
	assert_int_equal(shmc_queue_open(&queue, cache), 0);
	assert_int_equal(shmc_submit(queue, all, 6), 6);
	while (n < 4) {
		r = shmc_reap(queue, done, 6, LONG_MS);
		assert_true(r > 0);
		for (i = 0; i < r; i++, n++)
			assert_true(done[i] != &q[0] && done[i] != &q[1]);
	}
	assert_int_equal(q[3].result, 0);
	assert_true(is_value_of(&q[3].view, "p2"));
	shmc_release(cache, &q[3].view);
	assert_int_equal(q[4].result, 0);
	assert_here("p3", 0);
	assert_int_equal(q[5].result, SHMC_MISS);
	assert_int_equal(q[5].why, SHMC_FETCH_DECLINED);
	assert_int_equal(shmc_reap(queue, done, 6, 20), 0);
	double_release(&other);
	for (n = 0; n < 2; n += r) {
		r = shmc_reap(queue, done + n, 6, LONG_MS);
		assert_true(r > 0);
	}
	/* The fetch first, with what it asked for; then what was put over it. */
	assert_ptr_equal(done[0], &q[0]);
	assert_int_equal(q[0].result, 0);
	assert_true(is_value_of(&q[0].view, "l1"));
	assert_int_equal(q[1].result, 0);
	shmc_release(cache, &q[0].view);
	assert_int_equal(shmc_get(cache, "l1", 2, &view), 0);
	assert_int_equal(view.size, 1);
	shmc_release(cache, &view);
	shmc_queue_close(queue);
}

/* It waits for nothing, and leaves room for what others have no part in. */
static void test_prefetch(void **state)
{
	struct shmc_key keys[16];
	int i;

	(void)state;
	assert_int_equal(shmc_prefetch(cache, &(struct shmc_key){"p1", 2}, 1, NULL), 1);
	while (shmc_exists(cache, "p1", 2))
		nap();
	assert_int_equal(shmc_prefetch(cache, &(struct shmc_key){"p1", 2}, 1, NULL), 1);
	assert_int_equal(atomic_load(&other.n_taken), 1);
	for (i = 0; i < 16; i++)
		keys[i] = (struct shmc_key){"n1", 2};
	/* Half of the ring, once the answer to the first is taken. */
	assert_int_equal(shmc_ping(cache, LONG_MS), 0);
	assert_int_equal(shmc_prefetch(cache, keys, 16, NULL), 8);
	assert_int_equal(shmc_prefetch(cache, keys, 16, NULL), 0);
	for (i = 0; i < 100; i++)
		assert_int_equal(shmc_put(cache, "a", 1, "b", 1, NULL, LONG_MS), 0);
	assert_int_equal(shmc_prefetch(cache, &(struct shmc_key){"", 0}, 1, NULL), -EINVAL);
	while (atomic_load(&other.n_kept) != 8)
		nap();
}

static void test_delete_cluster(void **state)
{
	uint64_t n_told = 0, n_failed = 0;

	(void)state;
	assert_int_equal(shmc_put(cache, "a", 1, "b", 1, NULL, LONG_MS), 0);
	assert_int_equal(shmc_delete_cluster(cache, "a", 1, &n_told, &n_failed, LONG_MS), 0);
	assert_int_equal(n_told, 2);
	assert_int_equal(n_failed, 1);
	assert_here("a", SHMC_MISS);
	assert_int_equal(shmc_delete_cluster(cache, "a", 1, NULL, NULL, LONG_MS), SHMC_MISS);
	assert_int_equal(atomic_load(&other.n_erased), 2);
	assert_int_equal(shmc_delete(cache, "a", 1, LONG_MS), SHMC_MISS);
	assert_int_equal(atomic_load(&other.n_erased), 2);
}

/* A process that ends with one delivered, held or not, and others on their way. */
static void test_leave(void **state)
{
	struct shmc_key keys[2] = {{"l1", 2}, {"n1", 2}};
	struct shmc_view view;

	(void)state;
	assert_int_equal(fetch("d1", &view, NULL, LONG_MS), 0);
	assert_int_equal(fetch("l3", &view, NULL, 1), -ETIMEDOUT);
	assert_int_equal(shmc_prefetch(cache, keys, 2, NULL), 2);
	while (atomic_load(&other.n_kept) != 3)
		nap();
	shmc_detach(cache);
	while (atomic_load(&other.n_kept))
		nap();
	assert_int_equal(atomic_load(&other.n_left), 1);
	assert_rest();
	attach();
}

/* The broker stops while some wait: each gets an answer, none waits for ever. */
static void test_stop(void **state)
{
	struct shmc_request q = request(SHMC_OP_FETCH, "n1"), *done, *all = &q;
	struct shmc_queue *queue;

	(void)state;
	assert_int_equal(shmc_queue_open(&queue, cache), 0);
	assert_int_equal(shmc_submit(queue, &all, 1), 1);
	while (atomic_load(&other.n_kept) != 1)
		nap();
	double_stop(&other);
	assert_int_equal(shmc_reap(queue, &done, 1, LONG_MS), 1);
	assert_int_equal(q.result, SHMC_MISS);
	assert_int_equal(q.why, SHMC_FETCH_CANCELLED);
	shmc_queue_close(queue);
	assert_int_equal(double_start(&other, &host.broker), 0);
}

/* Threads that fetch the same keys by all means, while others put and delete them. */
#define N_THREADS 3

static void *thread_main(void *argument)
{
	unsigned seed = (unsigned)(uintptr_t)argument, i;
	char key[] = "p0";
	struct shmc_view view;
	uintptr_t bad = 0;
	int r;

	for (i = 0; i < 3000; i++) {
		key[0] = "pdd"[rand_r(&seed) % 3];
		key[1] = (char)('a' + rand_r(&seed) % 4);
		if (rand_r(&seed) % 8 == 0) {
			r = shmc_delete(cache, key, 2, LONG_MS);
			bad += r && r != SHMC_MISS;
			continue;
		}
		r = fetch(key, &view, NULL, LONG_MS);
		bad += r && r != SHMC_MISS;
		if (!r) {
			bad += !is_value_of(&view, key);
			shmc_release(cache, &view);
		}
	}
	return (void *)bad;
}

static void test_threads(void **state)
{
	pthread_t thread[N_THREADS];
	void *bad;
	int i;

	(void)state;
	for (i = 0; i < N_THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, thread_main,
			(void *)(uintptr_t)(i + 1)), 0);
	for (i = 0; i < N_THREADS; i++) {
		pthread_join(thread[i], &bad);
		assert_null(bad);
	}
	assert_rest();
}

int main(void)
{
#define UNIT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		UNIT(test_published),
		UNIT(test_delivered),
		UNIT(test_gone_again),
		UNIT(test_reasons),
		UNIT(test_off),
		UNIT(test_late),
		UNIT(test_many),
		UNIT(test_many_more),
		UNIT(test_queue),
		UNIT(test_prefetch),
		UNIT(test_delete_cluster),
		UNIT(test_leave),
		UNIT(test_stop),
		UNIT(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
