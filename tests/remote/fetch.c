/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The case that peers exist for: what was put at A is fetched by B once, and a local hit from then
 * on, whichever way it is asked for.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/remote/cluster.h"
#include "tests/support/value.h"

#define N 64
#define SIZE (300000)

static struct cluster cluster;

static void start(unsigned n, const char *config)
{
	cluster_start(&cluster, n, "256MiB", config, NULL);
}

struct keys {
	char text[N][VALUE_KEY_MAX];
	struct shmc_key key[N];
};

static void name_keys(struct keys *k, uint64_t first)
{
	unsigned i;

	for (i = 0; i < N; i++) {
		k->key[i].size = value_key('v', first + i, k->text[i]);
		k->key[i].data = k->text[i];
	}
}

static void look_and_release(struct shmc_view *view, uint64_t key)
{
	uint64_t version;

	assert_true(value_is(view->data, view->size, key, &version));
	assert_int_equal(version, key + 1);
	shmc_release(cluster.cache[1], view);
}

/* --- the four ways; each fetches keys first ... first + N - 1 at broker 1 --------------------- */

static void by_fetch(uint64_t first, const struct shmc_fetch_options *o)
{
	struct shmc_view view;
	static struct keys k;
	unsigned i;

	name_keys(&k, first);
	for (i = 0; i < N; i++) {
		assert_int_equal(shmc_fetch(cluster.cache[1], k.key[i].data, k.key[i].size, o, &view,
					 NULL, 60000), 0);
		look_and_release(&view, first + i);
	}
}

static void by_batch(uint64_t first, const struct shmc_fetch_options *o)
{
	static struct shmc_view views[N];
	static struct keys k;
	int results[N];
	unsigned i;

	name_keys(&k, first);
	assert_int_equal(
		shmc_fetch_many(cluster.cache[1], k.key, N, o, views, results, NULL, 60000), N);
	for (i = 0; i < N; i++) {
		assert_int_equal(results[i], 0);
		look_and_release(&views[i], first + i);
	}
}

static void by_queue(uint64_t first, const struct shmc_fetch_options *o)
{
	static struct shmc_request request[N];
	struct shmc_request *pointer[N], *done[N];
	struct shmc_queue *queue;
	static struct keys k;
	unsigned i;
	int n, taken = 0, got = 0;

	name_keys(&k, first);
	assert_int_equal(shmc_queue_open(&queue, cluster.cache[1]), 0);
	memset(request, 0, sizeof(request));
	for (i = 0; i < N; i++) {
		request[i].operation = SHMC_OP_FETCH;
		request[i].key = k.key[i].data;
		request[i].key_size = k.key[i].size;
		request[i].fetch = *o;
		request[i].user = &k.key[i];
		pointer[i] = &request[i];
	}
	while (got < N) {
		n = taken < N ? shmc_submit(queue, pointer + taken, (size_t)(N - taken)) : 0;
		assert_true(n >= 0);
		taken += n;
		n = shmc_reap(queue, done, N, 60000);
		assert_true(n > 0);
		for (got += n; n--;) {
			assert_int_equal(done[n]->result, 0);
			i = (unsigned)((struct shmc_key *)done[n]->user - k.key);
			look_and_release(&done[n]->view, first + i);
		}
	}
	shmc_queue_close(queue);
}

struct there {
	uint64_t first;
};

static bool all_there(void *context)
{
	struct there *t = context;
	uint64_t i;

	for (i = t->first; i < t->first + N; i++)
		if (!cluster_get(&cluster, 1, i))
			return false;
	return true;
}

static void by_prefetch(uint64_t first, const struct shmc_fetch_options *o)
{
	struct there t = {first};
	static struct keys k;
	int n, taken = 0;

	name_keys(&k, first);
	while (taken < N) {
		n = shmc_prefetch(cluster.cache[1], k.key + taken, (size_t)(N - taken), o);
		assert_true(n >= 0);
		taken += n;
		if (!n)
			system_pause();
	}
	assert_true(system_wait(all_there, &t));
}

static void (*const ways[])(uint64_t first, const struct shmc_fetch_options *o) = {
	by_fetch, by_batch, by_queue, by_prefetch};

static void fill(unsigned broker, uint64_t first)
{
	uint64_t i;

	for (i = first; i < first + N; i++)
		cluster_put(&cluster, broker, i, i + 1, SIZE);
}

static unsigned n_local(uint64_t first)
{
	unsigned n = 0;
	uint64_t i;

	for (i = first; i < first + N; i++)
		n += cluster_get(&cluster, 1, i) != 0;
	return n;
}

/* Fetched, and hits from then on, with nobody there to ask any more. */
static void test_ways(void **state)
{
	const struct shmc_fetch_options o = {0};
	unsigned way;

	(void)state;
	start(2, "");
	for (way = 0; way < 4; way++) {
		fill(0, way * N);
		assert_int_equal(n_local(way * N), 0);
		ways[way](way * N, &o);
		assert_int_equal(n_local(way * N), N);
	}
	cluster_kill(&cluster, 0);
	for (way = 0; way < 4; way++) {
		assert_int_equal(n_local(way * N), N);
		ways[way](way * N, &o);
	}
	cluster_again(&cluster, 0);
	cluster_stop(&cluster);
}

/* Without write-back it is delivered each time, and stays with nobody. */
static void test_off(void **state)
{
	const struct shmc_fetch_options o = {.write_back = SHMC_WRITE_BACK_OFF};
	unsigned way, i;

	(void)state;
	start(2, "");
	fill(0, 0);
	for (way = 0; way < 3; way++)
		for (i = 0; i < 2; i++) {
			ways[way](0, &o);
			assert_int_equal(n_local(0), 0);
		}
	cluster_stop(&cluster);
}

/* Who has what is asked of all, and the one that has it is found. */
static void test_three(void **state)
{
	const struct shmc_fetch_options o = {0};
	unsigned way, why;

	(void)state;
	start(3, "");
	for (way = 0; way < 4; way++) {
		fill(way % 2 ? 2 : 0, way * N);
		ways[way](way * N, &o);
		assert_int_equal(n_local(way * N), N);
	}
	assert_int_equal(cluster_fetch(&cluster, 1, 9999, 60000, &why), 0);
	assert_int_equal(why, SHMC_FETCH_NOBODY);
	cluster_stop(&cluster);
}

/* By the directory, which hears of puts a moment later. */
static bool is_fetched(void *context)
{
	return cluster_fetch(&cluster, 1, *(uint64_t *)context, 60000, NULL) != 0;
}

static void test_directory(void **state)
{
	uint64_t i;

	(void)state;
	start(3, "locate = directory\nabsent_for = 0\n");
	fill(0, 0);
	fill(2, N);
	for (i = 0; i < 2 * N; i++)
		assert_true(system_wait(is_fetched, &i));
	assert_int_equal(n_local(0), N);
	cluster_stop(&cluster);
}

static void test_erase(void **state)
{
	uint64_t n_told, n_failed, i;
	static struct keys k;

	(void)state;
	start(3, "");
	fill(0, 0);
	by_fetch(0, &(struct shmc_fetch_options){0});
	name_keys(&k, 0);
	for (i = 0; i < N; i++) {
		assert_int_equal(shmc_delete_cluster(cluster.cache[2], k.key[i].data, k.key[i].size,
					 &n_told, &n_failed, 60000), SHMC_MISS);
		assert_int_equal(n_told, 2);
		assert_int_equal(n_failed, 0);
		assert_int_equal(cluster_get(&cluster, 0, i), 0);
		assert_int_equal(cluster_get(&cluster, 1, i), 0);
	}
	cluster_stop(&cluster);
}

/* --- many at once ----------------------------------------------------------------------------- */

#define REQUESTERS 64

static pthread_barrier_t barrier;
static unsigned n_right;

static void *request_main(void *context)
{
	struct shmc *cache = context;
	char text[VALUE_KEY_MAX];
	size_t key_size = value_key('v', 5, text);
	struct shmc_view view;
	uint64_t version;
	unsigned why = SHMC_FETCH_NONE;
	int r;

	pthread_barrier_wait(&barrier);
	r = shmc_fetch(cache, text, key_size, NULL, &view, &why, 60000);
	if (r) {
		fprintf(stderr, "%s: %s\n", shmc_strerror(r), shmc_fetch_miss_name(why));
		return NULL;
	}
	if (value_is(view.data, view.size, 5, &version) && version == 6)
		__atomic_add_fetch(&n_right, 1, __ATOMIC_RELAXED);
	shmc_release(cache, &view);
	return NULL;
}

static void test_single_flight(void **state)
{
	pthread_t thread[REQUESTERS];
	unsigned i;

	(void)state;
	start(2, "[session]\nlanes = 128\n");
	cluster_put(&cluster, 0, 5, 6, 32 << 20);
	pthread_barrier_init(&barrier, NULL, REQUESTERS);
	for (i = 0; i < REQUESTERS; i++)
		assert_int_equal(
			pthread_create(&thread[i], NULL, request_main, cluster.cache[1]), 0);
	for (i = 0; i < REQUESTERS; i++)
		pthread_join(thread[i], NULL);
	pthread_barrier_destroy(&barrier);
	assert_int_equal(n_right, REQUESTERS);
	assert_int_equal(broker_run_stat(cluster.cache[1], "shmcache_transfers_total"), 1);
	cluster_stop(&cluster);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ways),
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_three),
		cmocka_unit_test(test_directory),
		cmocka_unit_test(test_erase),
		cmocka_unit_test(test_single_flight),
	};
	/* What the bytes' way makes a difference to. */
	const struct CMUnitTest secured[] = {
		cmocka_unit_test(test_ways),
		cmocka_unit_test(test_erase),
		cmocka_unit_test(test_single_flight),
	};

	cluster_init(&cluster, 3, argc, argv);
	return cluster.mode ? cmocka_run_group_tests(secured, NULL, NULL)
			    : cmocka_run_group_tests(tests, NULL, NULL);
}
