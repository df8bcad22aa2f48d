/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of peers-locate.c: who has a key, as all say or the member in charge of its name. */
#include "tests/shmcache/remote/peers/cluster.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct cluster c;

static void test_ask(void **state)
{
	static struct cluster_question w;
	unsigned i;

	(void)state;
	cluster_open(&c, 3, "ask");
	for (i = 0; i < CLUSTER_KEYS; i++)
		if (i % 4)
			cluster_put(&c, i % 4 == 3 ? 2 : i % 4, i, i, 100);
	cluster_put(&c, 1, 3, 3, 100); /* both have it */
	cluster_look(&c, &w, 0, 20000);
	for (i = 0; i < CLUSTER_KEYS; i++) {
		assert_int_equal(w.n_holders[i] != 0, i % 4 != 0);
		if (!w.n_holders[i])
			assert_true(w.is_complete[i]);
		else if (i != 3)
			assert_int_equal(w.holder[i], cluster_number(0, i % 4 == 1 ? 1 : 2));
	}
	/*
	 * One that does not answer: what the other has is found at once, what nobody has is not
	 * known.
	 */
	c.node[2].is_stopped = true;
	cluster_look(&c, &w, 0, 500);
	for (i = 0; i < CLUSTER_KEYS; i++)
		if (i % 4 == 1 || i == 3)
			assert_int_equal(w.holder[i], cluster_number(0, 1));
		else
			assert_false(w.is_complete[i]);
	/* And when it is known to be lost. */
	cluster_close_node(&c, 2);
	CLUSTER_WAIT(&c, cluster_n_up(&c, 0) == 1);
	cluster_look(&c, &w, 0, 20000);
	for (i = 0; i < CLUSTER_KEYS; i++)
		if (i % 4 == 1 || i == 3)
			assert_int_equal(w.n_holders[i], 1);
		else
			assert_true(!w.n_holders[i] && !w.is_complete[i]);
}

static void test_directory(void **state)
{
	static struct cluster_question w;
	unsigned i;

	(void)state;
	cluster_open(&c, 4, "directory");
	/* What was there before anybody could be told is found by the walk, the rest by events. */
	for (i = 0; i < CLUSTER_KEYS / 2; i++)
		cluster_put(&c, 3, i, i, 100);
	cluster_tell(&c, 3, 0, 0, REMOTE_STORED);
	peers_kind.announce(c.node[3].self, &(struct remote_event){.type = REMOTE_AGAIN}, 1);
	CLUSTER_WAIT(&c, cluster_finds(&c, &w, 0, CLUSTER_KEYS / 2));
	for (i = 0; i < CLUSTER_KEYS / 2; i++)
		assert_int_equal(w.holder[i], cluster_number(0, 3));
	for (i = CLUSTER_KEYS / 2; i < CLUSTER_KEYS; i++)
		cluster_put(&c, 1, i, i, 100);
	cluster_tell(&c, 1, CLUSTER_KEYS / 2, CLUSTER_KEYS / 2, REMOTE_STORED);
	CLUSTER_WAIT(&c, cluster_finds(&c, &w, 0, CLUSTER_KEYS));
	for (i = CLUSTER_KEYS / 2; i < CLUSTER_KEYS; i++)
		assert_int_equal(w.holder[i], cluster_number(0, 1));
	for (i = CLUSTER_KEYS / 2; i < CLUSTER_KEYS; i++)
		assert_int_equal(rig_delete(&c.node[1].rig, i), ABI_STATUS_OK);
	cluster_tell(&c, 1, CLUSTER_KEYS / 2, CLUSTER_KEYS / 2, REMOTE_GONE);
	CLUSTER_WAIT(&c, cluster_finds(&c, &w, 2, CLUSTER_KEYS / 2));
	/*
	 * A shard is lost, and what it knew is told again to those that are left, and to the next.
	 */
	cluster_close_node(&c, 1);
	CLUSTER_WAIT(&c, cluster_n_up(&c, 0) == 2);
	cluster_open_node(&c, 1, "directory");
	CLUSTER_WAIT(&c, cluster_is_up(&c));
	CLUSTER_WAIT(&c, cluster_finds(&c, &w, 0, CLUSTER_KEYS / 2));
}

/*
 * That somebody has stored something is heard by the member in charge of its name, and by no other.
 */
static void test_hear_shard(void **state)
{
	static struct cluster_question w;
	unsigned i, key;

	(void)state;
	cluster_open(&c, 4, "directory");
	/* One that came up may have anything. */
	for (i = 0; i < c.n_nodes; i++)
		assert_true(c.node[i].n_heard_any >= c.n_nodes - 1);
	for (key = 0; key < CLUSTER_KEYS; key++)
		cluster_put(&c, 0, key, key, 100);
	cluster_tell(&c, 0, 0, CLUSTER_KEYS, REMOTE_STORED);
	CLUSTER_WAIT(&c, cluster_finds(&c, &w, 1, CLUSTER_KEYS));
	for (i = 0; i < c.n_nodes; i++)
		for (key = 0; key < CLUSTER_KEYS; key++)
			assert_int_equal(c.node[i].heard[key], i && cluster_shard(&c, key) == i);
	CLUSTER_WAIT(&c, rig_count(&c.node[0].rig, ABI_COUNTER_ANNOUNCED) &&
			rig_count(&c.node[0].rig, ABI_COUNTER_ANNOUNCED_AGAIN));
	CLUSTER_WAIT(&c, rig_count(&c.node[1].rig, ABI_COUNTER_HEARD) +
				rig_count(&c.node[2].rig, ABI_COUNTER_HEARD) +
				rig_count(&c.node[3].rig, ABI_COUNTER_HEARD) >=
			CLUSTER_KEYS / 2);
}

/*
 * A question that is not answered, and may wait for long, keeps no announcement waiting: what was
 * stored meanwhile is told to the shards that listen.
 */
static void test_tell_while_asking(void **state)
{
	static struct cluster_question w;
	uint64_t later_ms;
	unsigned key;

	(void)state;
	cluster_open(&c, 3, "directory");
	c.node[1].is_stopped = true;
	cluster_ask(&c, &w, 0, 600000);
	/* For some ticks there is nothing to wait for but the end of the question. */
	later_ms = store_now_ms() + 500;
	while (store_now_ms() < later_ms)
		cluster_turn(&c);
	assert_in_range(w.n_done, 1, CLUSTER_KEYS - 1);
	for (key = 0; cluster_shard(&c, key) != 2; key++)
		;
	cluster_put(&c, 0, key, key, 100);
	cluster_tell(&c, 0, key, 1, REMOTE_STORED);
	CLUSTER_WAIT(&c, c.node[2].heard[key]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLUSTER_TEST(test_ask),
		CLUSTER_TEST(test_directory),
		CLUSTER_TEST(test_hear_shard),
		CLUSTER_TEST(test_tell_while_asking),
	};

	return RIG_RUN(tests);
}
