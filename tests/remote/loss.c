/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer that is lost: killed, cut off, or standing still, each in the middle of a body. What it
 * costs is told, known at both ends within five seconds, and over when the peer is back. Meanwhile
 * this broker's own clients notice nothing.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "tests/remote/cluster.h"

#define LARGE (UINT64_C(48) << 20) /* some hundred frames: there is a middle */
#define KNOWN_MS 5000 /* the promise; what fails is far behind it, for others may keep the machine busy */
#define SLACK 6

static struct cluster cluster;

/* --- one who fetches, and one who does not ---------------------------------------------------- */

struct fetcher {
	pthread_t thread;
	unsigned deadline_ms;
	uint64_t key, version, took_ms;
	unsigned why;
	atomic_bool is_over;
};

static void *fetch_main(void *context)
{
	struct fetcher *f = context;
	uint64_t begin = cluster_now_ms();

	f->version = cluster_fetch(&cluster, 1, f->key, f->deadline_ms, &f->why);
	f->took_ms = cluster_now_ms() - begin;
	f->is_over = true;
	return NULL;
}

static void fetch_begin(struct fetcher *f, uint64_t key, unsigned deadline_ms)
{
	memset(f, 0, sizeof(*f));
	f->key = key;
	f->deadline_ms = deadline_ms;
	assert_int_equal(pthread_create(&f->thread, NULL, fetch_main, f), 0);
}

/*
 * What a client of broker 1 alone does: the longest that it waited, while @until is not there yet.
 */
static uint64_t use_locally(const atomic_bool *until, uint64_t at_least_ms)
{
	uint64_t end = cluster_now_ms() + at_least_ms, begin, longest = 0, n = 0;

	do {
		begin = cluster_now_ms();
		cluster_put(&cluster, 1, 1000 + n % 50, n + 1, 4000);
		assert_int_equal(cluster_get(&cluster, 1, 1000 + n % 50), n + 1);
		if (cluster_now_ms() - begin > longest)
			longest = cluster_now_ms() - begin;
		n++;
	} while (cluster_now_ms() < end || !*until);
	return longest;
}

static void start(void)
{
	cluster_start(&cluster, 2, "256MiB", "", NULL);
}

/*
 * Begin to fetch at 1 what 0 has, have @lose happen to 0, and see what the fetch comes to: a miss
 * with a reason, soon, and gets and puts beside it.
 */
static void lose_in_the_middle(void (*lose)(void), uint64_t within_ms, unsigned deadline_ms)
{
	struct fetcher f;
	uint64_t longest;

	cluster_put(&cluster, 0, 1, 7, LARGE);
	fetch_begin(&f, 1, deadline_ms);
	system_pause();
	lose();
	longest = use_locally(&f.is_over, 500);
	assert_int_equal(pthread_join(f.thread, NULL), 0);
	/* It may have been through before: then it is right. */
	if (f.version)
		assert_int_equal(f.version, 7);
	else
		assert_int_not_equal(f.why, SHMC_FETCH_NONE);
	printf("fetch: %s after %llu ms; longest local put and get beside it %llu ms\n",
		f.version ? "whole" : shmc_fetch_miss_name(f.why), (unsigned long long)f.took_ms,
		(unsigned long long)longest);
	assert_true(f.took_ms <= SLACK * within_ms);
	/*
	 * What a busy machine does to a get and a put is no matter; waiting for the peer would be.
	 */
	assert_true(f.took_ms < KNOWN_MS / 2 || longest < f.took_ms / 2);
}

/* What is back is used again. The breaker, and what is remembered as absent, may delay it. */
static bool is_fetched(void *context)
{
	return cluster_fetch(&cluster, 1, *(uint64_t *)context, 20000, NULL) != 0;
}

static void assert_fetched(uint64_t key)
{
	assert_true(system_wait(is_fetched, &key));
}

/* --- killed ----------------------------------------------------------------------------------- */

static void kill_it(void)
{
	cluster_kill(&cluster, 0);
}

static void test_killed(void **state)
{
	unsigned i, n = cluster.mode ? 2 : 5;

	(void)state;
	start();
	for (i = 0; i < n; i++) {
		cluster_delete(&cluster, 1, 1);
		lose_in_the_middle(kill_it, KNOWN_MS, 60000);
		cluster_wait_down(&cluster, 1, 0, i + 1);
		cluster_again(&cluster, 0);
		cluster_put(&cluster, 0, 2 + i, 1, 100000);
		assert_fetched(2 + i);
	}
	cluster_stop(&cluster);
}

/* --- cut -------------------------------------------------------------------------------------- */

static unsigned cut_host;
static enum net_end cut_end;

static void cut(void)
{
	assert_int_equal(net_cable(&cluster.net, cut_host, cut_end, false), 0);
}

static void cut_and_mend(unsigned host, enum net_end end)
{
	unsigned downs[2] = {cluster_n_downs(&cluster, 0, 1), cluster_n_downs(&cluster, 1, 0)};
	unsigned ups[2] = {cluster_n_ups(&cluster, 0, 1), cluster_n_ups(&cluster, 1, 0)};
	uint64_t begin, known[2];

	cut_host = host;
	cut_end = end;
	cluster_delete(&cluster, 1, 1);
	begin = cluster_now_ms();
	lose_in_the_middle(cut, KNOWN_MS, 60000);
	cluster_wait_down(&cluster, 0, 1, downs[0] + 1);
	known[0] = cluster_now_ms() - begin;
	cluster_wait_down(&cluster, 1, 0, downs[1] + 1);
	known[1] = cluster_now_ms() - begin;
	printf("known after %llu and %llu ms\n", (unsigned long long)known[0],
		(unsigned long long)known[1]);
	assert_true(known[0] <= SLACK * KNOWN_MS && known[1] <= SLACK * KNOWN_MS);
	assert_int_equal(net_cable(&cluster.net, host, end, true), 0);
	cluster_wait_up(&cluster, 0, 1, ups[0] + 1);
	cluster_wait_up(&cluster, 1, 0, ups[1] + 1);
	cluster_put(&cluster, 0, 2, 1, 100000);
	assert_fetched(2);
	cluster_delete(&cluster, 1, 2);
}

static void test_cut(void **state)
{
	(void)state;
	start();
	cut_and_mend(0, NET_END_HOST);
	cut_and_mend(1, NET_END_BRIDGE);
	if (!cluster.mode) {
		cut_and_mend(0, NET_END_BRIDGE);
		cut_and_mend(1, NET_END_HOST);
	}
	cluster_stop(&cluster);
}

/* --- stopped ---------------------------------------------------------------------------------- */

static void stop_it(void)
{
	kill(cluster.broker[0].run.proc.pid, SIGSTOP);
}

static void test_stopped(void **state)
{
	unsigned ups;

	(void)state;
	start();
	/*
	 * By the deadline of the request, where that is short; else when it has been silent too
	 * long.
	 */
	ups = cluster_n_ups(&cluster, 1, 0);
	lose_in_the_middle(stop_it, KNOWN_MS, 800);
	kill(cluster.broker[0].run.proc.pid, SIGCONT);
	cluster_delete(&cluster, 1, 1);
	cluster_put(&cluster, 0, 2, 1, 100000);
	assert_fetched(2);
	cluster_delete(&cluster, 1, 2);
	lose_in_the_middle(stop_it, KNOWN_MS, 60000);
	cluster_wait_down(&cluster, 1, 0, 1);
	kill(cluster.broker[0].run.proc.pid, SIGCONT);
	cluster_wait_up(&cluster, 1, 0, ups + 1);
	assert_fetched(2);
	cluster_stop(&cluster);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_stopped),
	};

	cluster_init(&cluster, 2, argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
