/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A put or a delete here, while the same key is on its way from elsewhere. Versions tell what came
 * when: what was put here is never covered by what comes, and what was deleted here does not come
 * back.
 *
 * $REMOTE_ROUNDS says how often; the default is what a test run has time for. The seed is printed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/remote/cluster.h"
#include "tests/support/value.h"

#define ROUNDS 5000
#define KEYS 16

static struct cluster cluster;
static struct shmc_queue *queue;
static uint64_t seed;

static unsigned n_rounds(void)
{
	const char *text = getenv("REMOTE_ROUNDS");

	return text ? (unsigned)strtoul(text, NULL, 10) : ROUNDS;
}

/* --- one fetch under way ---------------------------------------------------------------------- */

struct flight {
	struct shmc_request request;
	char text[VALUE_KEY_MAX];
	uint64_t key;
};

static void begin(struct flight *f, uint64_t key)
{
	struct shmc_request *pointer = &f->request;

	memset(f, 0, sizeof(*f));
	f->key = key;
	f->request.operation = SHMC_OP_FETCH;
	f->request.key = f->text;
	f->request.key_size = value_key('v', key, f->text);
	assert_int_equal(shmc_submit(queue, &pointer, 1), 1);
}

/* Its version, 0: a miss. */
static uint64_t end(struct flight *f)
{
	struct shmc_request *done;
	uint64_t version;

	assert_int_equal(shmc_reap(queue, &done, 1, 60000), 1);
	if (f->request.result == SHMC_MISS)
		return 0;
	assert_int_equal(f->request.result, 0);
	assert_true(value_is(f->request.view.data, f->request.view.size, f->key, &version));
	shmc_release(cluster.cache[1], &f->request.view);
	return version;
}

static uint64_t wait_max_ns = 100000;

/*
 * About as long as a fetch takes, whatever that is on this machine now: the race is to end either
 * way. Who wins makes it harder for himself.
 */
static void next_wait(bool has_come)
{
	if (has_come && wait_max_ns > 1000)
		wait_max_ns -= wait_max_ns / 16;
	else if (!has_come && wait_max_ns < 100000000)
		wait_max_ns += wait_max_ns / 16;
}

static void wait_a_little(void)
{
	struct timespec t, now;
	uint64_t ns = value_random(&seed) % wait_max_ns;

	clock_gettime(CLOCK_MONOTONIC, &t);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((uint64_t)(now.tv_sec - t.tv_sec) * 1000000000 + (uint64_t)now.tv_nsec -
			(uint64_t)t.tv_nsec < ns);
}

static size_t some_size(void)
{
	return VALUE_SIZE_MIN + value_random(&seed) % 40000;
}

/* --- rounds ----------------------------------------------------------------------------------- */

static uint64_t n_published;
static unsigned n_first, n_overtaken;

/*
 * What came was published before we did ours, or it was overtaken: the reader's answer does not
 * tell.
 */
static void note_winner(void)
{
	uint64_t n = broker_run_stat(cluster.cache[1], "shmcache_fills_published_total");
	bool has_come = n != n_published;

	n_published = n;
	n_first += has_come;
	n_overtaken += !has_come;
	next_wait(has_come);
}

/* Ours is newer: whoever reads here after our put sees it, and whatever came is covered by it. */
static void round_put(uint64_t key, uint64_t version)
{
	struct flight f;
	uint64_t came;

	cluster_put(&cluster, 0, key, version, some_size());
	cluster_delete(&cluster, 1, key);
	begin(&f, key);
	wait_a_little();
	cluster_put(&cluster, 1, key, version + 1, some_size());
	assert_int_equal(cluster_get(&cluster, 1, key), version + 1);
	came = end(&f);
	note_winner();
	assert_true(!came || came == version || came == version + 1);
	assert_int_equal(cluster_get(&cluster, 1, key), version + 1);
}

/* Deleted there, then here: nobody has it any more, and it must not be here. */
static void round_delete(uint64_t key, uint64_t version)
{
	struct flight f;
	uint64_t came;

	cluster_put(&cluster, 0, key, version, some_size());
	cluster_delete(&cluster, 1, key);
	begin(&f, key);
	wait_a_little();
	cluster_delete(&cluster, 0, key);
	cluster_delete(&cluster, 1, key);
	assert_int_equal(cluster_get(&cluster, 1, key), 0);
	came = end(&f);
	note_winner();
	assert_true(!came || came == version);
	assert_int_equal(cluster_get(&cluster, 1, key), 0);
}

static void test_race(void **state)
{
	unsigned i, n = n_rounds();

	(void)state;
	seed = (uint64_t)time(NULL);
	printf("seed %llu, %u rounds\n", (unsigned long long)seed, n);
	cluster_start(&cluster, 2, "64MiB", "absent_for = 0\n", NULL);
	assert_int_equal(shmc_queue_open(&queue, cluster.cache[1]), 0);
	for (i = 0; i < n; i++) {
		uint64_t key = value_random(&seed) % KEYS;

		if (value_random(&seed) & 1)
			round_put(key, 2 * i + 2);
		else
			round_delete(key, 2 * i + 2);
	}
	shmc_queue_close(queue);
	printf("%u were published before the put or delete, %u overtaken\n", n_first, n_overtaken);
	assert_true(n_first && n_overtaken);
	cluster_stop(&cluster);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_race)};

	cluster_init(&cluster, 2, argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
