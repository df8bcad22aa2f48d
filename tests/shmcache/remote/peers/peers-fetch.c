/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of peers-fetch.c: values that go from member to member, and what may stop them. */
#include "tests/shmcache/remote/peers/cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct cluster c;

struct get {
	struct remote_fetch fetch;
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct remote_head head;
	uint8_t *value;
	bool is_done, is_unwanted;
	enum remote_result result;
};

static uint8_t *land(struct remote_fetch *fetch, const struct remote_head *head)
{
	struct get *g = (struct get *)(void *)fetch;

	assert_null(g->value);
	g->head = *head;
	g->value = g->is_unwanted ? NULL : malloc(head->size);
	return g->value;
}

static void got(struct remote_fetch *fetch, enum remote_result result)
{
	struct get *g = (struct get *)(void *)fetch;

	assert_false(g->is_done);
	g->is_done = true;
	g->result = result;
}

static void begin(struct get *g, unsigned at, unsigned from, uint64_t key, uint64_t ms)
{
	bool is_unwanted = g->is_unwanted;

	memset(g, 0, sizeof(*g));
	g->is_unwanted = is_unwanted;
	g->fetch.key = remote_key(g->bytes, rig_key(key, g->bytes));
	g->fetch.deadline_ms = store_now_ms() + ms;
	g->fetch.land = land;
	g->fetch.done = got;
	peers_kind.fetch(c.node[at].self, from, &g->fetch);
}

static enum remote_result get(struct get *g, unsigned at, unsigned from, uint64_t key, uint64_t ms)
{
	begin(g, at, cluster_number(at, from), key, ms);
	CLUSTER_WAIT(&c, g->is_done);
	return g->result;
}

static void test_fetch(void **state)
{
	const uint64_t sizes[] = {1, 100, 4096, 65536, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 9 * MIB};
	const struct store_put_options options = {
		.ttl_ms = 60000, .hints = {.group = 5, .position = 6, .priority = 7}};
	struct get g = {0};
	uint64_t i;

	(void)state;
	cluster_open(&c, 2, "auto");
	/* Twice: the second is sent with the sum that was kept. */
	for (i = 0; i < 8; i++)
		cluster_put(&c, 0, i, i, sizes[i]);
	for (i = 0; i < 16; i++) {
		assert_int_equal(get(&g, 1, 0, i % 8, 10000), REMOTE_OK);
		assert_int_equal(g.head.size, sizes[i % 8]);
		assert_int_equal(g.head.ttl_ms, 0);
		assert_true(rig_is_filled(g.value, g.head.size, i % 8));
		free(g.value);
	}
	/* A new value in the place of an old one has a sum of its own. */
	cluster_put(&c, 0, 3, 33, 65536);
	assert_int_equal(get(&g, 1, 0, 3, 10000), REMOTE_OK);
	assert_true(rig_is_filled(g.value, g.head.size, 33));
	free(g.value);
	assert_int_equal(rig_put_with(&c.node[0].rig, 20, 20, 500, &options), ABI_STATUS_OK);
	assert_int_equal(get(&g, 1, 0, 20, 10000), REMOTE_OK);
	assert_in_range(g.head.ttl_ms, 1, 60000);
	assert_memory_equal(&g.head.hints, &options.hints, sizeof(options.hints));
	free(g.value);
	assert_int_equal(get(&g, 1, 0, 21, 10000), REMOTE_MISS);
	assert_null(g.value);
	g.is_unwanted = true;
	assert_int_equal(get(&g, 1, 0, 7, 10000), REMOTE_CANCELLED);
	g.is_unwanted = false;
	/* And the lane goes on after it. */
	assert_int_equal(get(&g, 1, 0, 5, 10000), REMOTE_OK);
	free(g.value);
	assert_int_equal(peers_kind.capacity(c.node[1].self), 64 * MIB);
}

/* More at once than may be on their way; each comes whole. */
static void test_many(void **state)
{
	static struct get many[200];
	unsigned i, n_done;

	(void)state;
	cluster_open(&c, 2, "auto");
	for (i = 0; i < 8; i++)
		cluster_put(&c, 0, i, i, 100000 * (i + 1));
	for (i = 0; i < 200; i++)
		begin(&many[i], 1, 0, i % 8, 20000);
	do {
		cluster_turn(&c);
		for (n_done = i = 0; i < 200; i++)
			n_done += many[i].is_done;
	} while (n_done < 200);
	for (i = 0; i < 200; i++) {
		assert_int_equal(many[i].result, REMOTE_OK);
		assert_true(rig_is_filled(many[i].value, many[i].head.size, i % 8));
		free(many[i].value);
	}
}

/* A holder that stands still costs its requester the deadline, and nothing after. */
static void test_stopped(void **state)
{
	struct get g = {0};

	(void)state;
	cluster_open(&c, 2, "auto");
	cluster_put(&c, 0, 1, 1, 30 * MIB);
	c.node[0].is_stopped = true;
	assert_int_equal(get(&g, 1, 0, 1, 200), REMOTE_TIMEOUT);
	free(g.value);
	c.node[0].is_stopped = false;
	assert_int_equal(get(&g, 1, 0, 1, 20000), REMOTE_OK);
	assert_true(rig_is_filled(g.value, g.head.size, 1));
	free(g.value);
	/*
	 * A requester that stands still in the middle: the holder lets go at the time he was told.
	 */
	begin(&g, 1, 0, 1, 300);
	CLUSTER_WAIT(&c, g.value);
	c.node[1].is_stopped = true;
	CLUSTER_WAIT(&c, !c.node[0].rig.store.loans);
	c.node[1].is_stopped = false;
	CLUSTER_WAIT(&c, g.is_done);
	assert_int_not_equal(g.result, REMOTE_OK);
	free(g.value);
}

/*
 * A requester that asks for most of what is here, and then takes nothing of it: who puts at the
 * holder finds room all the same, and so does another requester.
 */
#define HOARD 15
#define LARGE 1000 /* the number of a key */

static void test_hoarder(void **state)
{
	static struct get g[HOARD];
	struct get other = {0};
	unsigned i;

	(void)state;
	/* Little lies between the two. */
	c.window = "1MiB";
	cluster_open(&c, 3, "auto");
	c.window = NULL;
	for (i = 0; i < HOARD; i++)
		cluster_put(&c, 0, i, i, 4 * MIB);
	for (i = 0; i < HOARD; i++)
		begin(&g[i], 1, cluster_number(1, 0), i, 60000);
	CLUSTER_WAIT(&c, c.node[0].rig.store.loans);
	c.node[1].is_stopped = true;
	for (i = 0; i < 20; i++)
		cluster_turn(&c);
	for (i = 100; i < 112; i++)
		cluster_put(&c, 0, i, i, 6 * MIB);
	cluster_put(&c, 0, LARGE, 1, 12 * MIB);
	assert_int_equal(get(&other, 2, 0, 111, 20000), REMOTE_OK);
	free(other.value);
	assert_non_null(c.node[0].rig.store.loans);
	/* For this one there is no room, until what was lent is back. */
	begin(&other, 2, cluster_number(2, 0), LARGE, 60000);
	for (i = 0; i < 20; i++)
		cluster_turn(&c);
	assert_null(other.value);
	c.node[1].is_stopped = false;
	CLUSTER_WAIT(&c, other.is_done);
	assert_int_equal(other.result, REMOTE_OK);
	free(other.value);
	for (i = 0; i < HOARD; i++) {
		CLUSTER_WAIT(&c, g[i].is_done);
		if (g[i].result == REMOTE_OK)
			assert_true(rig_is_filled(g[i].value, g[i].head.size, i));
		free(g[i].value);
	}
}

/* Cancelled at every stage: done comes once, and what was landed is not written any more. */
static void test_cancel(void **state)
{
	struct get g = {0};
	unsigned i, turns;

	(void)state;
	cluster_open(&c, 2, "auto");
	cluster_put(&c, 0, 1, 1, 8 * MIB);
	for (turns = 0; turns < 12; turns++) {
		begin(&g, 1, 0, 1, 20000);
		for (i = 0; i < turns && !g.is_done; i++)
			cluster_turn(&c);
		if (!g.is_done)
			peers_kind.cancel(c.node[1].self, &g.fetch);
		CLUSTER_WAIT(&c, g.is_done);
		free(g.value); /* for the sanitizer: who writes now is found out */
		assert_int_equal(get(&g, 1, 0, 1, 20000), REMOTE_OK);
		assert_true(rig_is_filled(g.value, g.head.size, 1));
		free(g.value);
	}
}

/* The other one goes in the middle, and comes again. */
static void test_lost(void **state)
{
	struct get g = {0};

	(void)state;
	cluster_open(&c, 2, "auto");
	cluster_put(&c, 0, 1, 1, 30 * MIB);
	begin(&g, 1, 0, 1, 20000);
	CLUSTER_WAIT(&c, g.value);
	cluster_close_node(&c, 0);
	CLUSTER_WAIT(&c, g.is_done);
	assert_int_equal(g.result, REMOTE_UNREACHABLE);
	free(g.value);
	assert_int_equal(get(&g, 1, 0, 1, 1000), REMOTE_UNREACHABLE);
	cluster_open_node(&c, 0, "auto");
	CLUSTER_WAIT(&c, cluster_is_up(&c));
	assert_int_equal(get(&g, 1, 0, 1, 20000), REMOTE_OK);
	free(g.value);
	/* We go, with a transfer under way: it ends. */
	begin(&g, 1, 0, 1, 20000);
	CLUSTER_WAIT(&c, g.value);
	cluster_close_node(&c, 1);
	assert_true(g.is_done);
	assert_int_equal(g.result, REMOTE_CANCELLED);
	free(g.value);
	CLUSTER_WAIT(&c, !c.node[0].rig.store.loans);
}

/* Who was sent a value may have it from there on; who asked in vain has not. */
static void test_hear_served(void **state)
{
	struct get g = {0};

	(void)state;
	cluster_open(&c, 2, "ask");
	cluster_put(&c, 0, 1, 1, 100);
	assert_int_equal(get(&g, 1, 0, 1, 20000), REMOTE_OK);
	free(g.value);
	assert_int_equal(get(&g, 1, 0, 2, 20000), REMOTE_MISS);
	assert_int_equal(rig_count(&c.node[0].rig, ABI_COUNTER_SERVED), 1);
	assert_int_equal(rig_count(&c.node[0].rig, ABI_COUNTER_SERVED_BYTES), 100);
	assert_int_equal(rig_count(&c.node[0].rig, ABI_COUNTER_SERVE_MISSES), 1);
	assert_true(c.node[0].heard[1]);
	assert_false(c.node[0].heard[2]);
	assert_false(c.node[1].heard[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLUSTER_TEST(test_fetch),
		CLUSTER_TEST(test_many),
		CLUSTER_TEST(test_stopped),
		CLUSTER_TEST(test_hoarder),
		CLUSTER_TEST(test_cancel),
		CLUSTER_TEST(test_lost),
		CLUSTER_TEST(test_hear_served),
	};

	return RIG_RUN(tests);
}
