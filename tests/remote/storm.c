/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many clients, full tiers, and a network that comes apart: every byte that anybody reads is one
 * that somebody put, and when all is over the brokers are as they were.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/remote/cluster.h"
#include "tests/support/value.h"

#define KEYS 400
#define CLIENTS 4

static struct cluster cluster;
static atomic_bool is_over;

/* --- a client: puts its own versions, fetches whatever there is, looks at every byte ---------- */

struct client {
	pthread_t thread;
	unsigned broker;
	uint64_t seed, n_right, n_missed, n_put;
	bool is_wrong;
};

static void put_one(struct client *c, uint64_t key)
{
	size_t size = VALUE_SIZE_MIN + value_random(&c->seed) % 400000;
	struct shmc_reservation block;
	char text[VALUE_KEY_MAX];
	size_t key_size = value_key('v', key, text);

	/* No room for the moment is no error: the tier is full of what others hold. */
	if (shmc_reserve(cluster.cache[c->broker], text, key_size, size, NULL, &block, 20000))
		return;
	value_make(block.data, size, key, value_random(&c->seed) | 1);
	c->n_put += shmc_commit(cluster.cache[c->broker], &block, 20000) == 0;
}

static void fetch_some(struct client *c, uint64_t key)
{
	struct shmc_key k[8];
	struct shmc_view views[8];
	char text[8][VALUE_KEY_MAX];
	uint64_t version;
	int results[8];
	unsigned i, n = 1 + value_random(&c->seed) % 8;

	for (i = 0; i < n; i++)
		k[i] = (struct shmc_key){text[i], value_key('v', (key + i) % KEYS, text[i])};
	if (shmc_fetch_many(cluster.cache[c->broker], k, n, NULL, views, results, NULL, 20000) < 0)
		return;
	for (i = 0; i < n; i++) {
		if (results[i]) {
			c->n_missed++;
			continue;
		}
		if (!value_is(views[i].data, views[i].size, (key + i) % KEYS, &version))
			c->is_wrong = true;
		c->n_right++;
		shmc_release(cluster.cache[c->broker], &views[i]);
	}
}

static void *client_main(void *context)
{
	struct client *c = context;
	char text[VALUE_KEY_MAX];

	while (!is_over && !c->is_wrong) {
		uint64_t key = value_random(&c->seed) % KEYS;

		switch (value_random(&c->seed) % 10) {
		case 0:
		case 1:
			put_one(c, key);
			break;
		case 2:
			shmc_delete(cluster.cache[c->broker], text, value_key('v', key, text), 20000);
			break;
		default:
			fetch_some(c, key);
		}
	}
	return NULL;
}

/* @meanwhile goes on while they work, and returns when it is enough. */
static void storm(unsigned n_brokers, void (*meanwhile)(void))
{
	struct client client[CLIENTS] = {0};
	uint64_t n_right = 0, n_put = 0;
	unsigned i;

	is_over = false;
	for (i = 0; i < CLIENTS; i++) {
		client[i].broker = i % n_brokers;
		client[i].seed = (uint64_t)time(NULL) * CLIENTS + i;
		printf("client %u at broker %u: seed %llu\n", i, client[i].broker,
			(unsigned long long)client[i].seed);
		assert_int_equal(pthread_create(&client[i].thread, NULL, client_main, &client[i]), 0);
	}
	meanwhile();
	is_over = true;
	for (i = 0; i < CLIENTS; i++)
		pthread_join(client[i].thread, NULL);
	for (i = 0; i < CLIENTS; i++) {
		printf("client %u: %llu right, %llu missed, %llu put\n", i,
			(unsigned long long)client[i].n_right, (unsigned long long)client[i].n_missed,
			(unsigned long long)client[i].n_put);
		assert_false(client[i].is_wrong);
		assert_true(client[i].n_put);
		n_right += client[i].n_right;
		n_put += client[i].n_put;
	}
	assert_true(n_right && n_put);
}

/* --- full tiers ------------------------------------------------------------------------------- */

static void some_seconds(void)
{
	sleep(cluster.mode ? 3 : 6);
}

/* Each fetches from the other, neither has room for half of it: everything drives something out. */
static void test_full(void **state)
{
	(void)state;
	cluster_start(&cluster, 2, "32MiB", "absent_for = 0\n", NULL);
	storm(2, some_seconds);
	cluster_stop(&cluster);
}

/* --- a partition ------------------------------------------------------------------------------ */

static void part_and_heal(void)
{
	unsigned i, ups[CLUSTER_MAX], back[CLUSTER_MAX], round;

	for (round = 0; round < (cluster.mode ? 1 : 2); round++) {
		for (i = 0; i < 2; i++) {
			ups[i] = cluster_n_ups(&cluster, i, 2);
			back[i] = cluster_n_ups(&cluster, 2, i);
		}
		sleep(1);
		assert_int_equal(net_cable(&cluster.net, 2, NET_END_BRIDGE, false), 0);
		for (i = 0; i < 2; i++)
			cluster_wait_down(&cluster, i, 2, round + 1);
		sleep(1);
		assert_int_equal(net_cable(&cluster.net, 2, NET_END_BRIDGE, true), 0);
		for (i = 0; i < 2; i++) {
			cluster_wait_up(&cluster, i, 2, ups[i] + 1);
			cluster_wait_up(&cluster, 2, i, back[i] + 1);
		}
		sleep(1);
	}
}

static void test_partition(void **state)
{
	(void)state;
	cluster_start(&cluster, 3, "64MiB", "", NULL);
	storm(3, part_and_heal);
	cluster_stop(&cluster);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_partition),
	};

	cluster_init(&cluster, 3, argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
