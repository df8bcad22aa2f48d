/* SPDX-License-Identifier: Apache-2.0 */
/* etcd.c: membership by a real etcd, which is killed, compacted, emptied and asks who we are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/shmcache/remote/peers/etcd-nodes.h"

/* They find each other; who leaves is gone at once; who dies, when his lease has run out. */
static void test_members(void **state)
{
	struct etcd *dead;
	uint64_t left_ms;

	(void)state;
	node_start(0);
	node_start(1);
	WORK_UNTIL(agree());
	node_start(2);
	WORK_UNTIL(agree());
	assert_int_equal(stats_of(0).n_lists, 1);
	left_ms = post_now_ms();
	node_stop(2);
	WORK_UNTIL(agree());
	/* Far below the lease's time on any machine that works at all; no promise is made. */
	printf("left: seen after %u ms\n", (unsigned)(post_now_ms() - left_ms));
	/* Nobody looks after node 1 any more: as good as dead. */
	dead = node[1].e;
	node[1].e = NULL;
	left_ms = post_now_ms();
	WORK_UNTIL(agree());
	printf("died: seen after %u ms\n", (unsigned)(post_now_ms() - left_ms));
	etcd_close(dead);
}

/* Alive for several times the lease: it is kept. One may be lost where the machine stands still. */
static void test_kept(void **state)
{
	(void)state;
	node_start(0);
	node_start(1);
	WORK_UNTIL(agree());
	work_for(5 * TTL_S * 1000);
	WORK_UNTIL(agree());
	assert_in_range(stats_of(0).n_leases, 1, 2);
	assert_in_range(stats_of(1).n_leases, 1, 2);
}

/* Killed and back on the same data: the view is kept meanwhile, and the watch goes on. */
static void test_killed(void **state)
{
	unsigned n_views, n_away;

	(void)state;
	node_start(0);
	node_start(1);
	WORK_UNTIL(agree());
	n_views = node[0].n_views;
	server_dies();
	n_away = node[0].noted[ETCD_AWAY];
	work_for(2 * TTL_S * 1000);
	assert_true(sees(0, 1) && sees(1, 0));
	assert_int_equal(node[0].n_views, n_views);
	assert_int_equal(node[0].noted[ETCD_AWAY], n_away);
	server_start("data");
	WORK_UNTIL(stats_of(0).is_connected && stats_of(1).is_connected);
	node_start(2);
	WORK_UNTIL(agree());
	/* Resumed, not listed again. */
	assert_int_equal(stats_of(0).n_lists, 1);
	assert_true(stats_of(0).n_watches > 1);
}

/* Away while somebody came: heard of from the watch, which goes on where it was. */
static void test_resumed(void **state)
{
	struct etcd *away;

	(void)state;
	node_start(0);
	node_start(1);
	WORK_UNTIL(agree());
	server_dies();
	away = node[0].e;
	node[0].e = NULL;
	server_start("data");
	node_start(2);
	WORK_UNTIL(sees(2, 2) && sees(1, 2));
	node[0].e = away;
	WORK_UNTIL(agree());
	assert_int_equal(stats_of(0).n_lists, 1);
}

/* Away, and what happened meanwhile is compacted away: listed anew. */
static void test_compacted(void **state)
{
	struct etcd *away;
	char body[64];
	unsigned i;

	(void)state;
	node_start(0);
	node_start(1);
	WORK_UNTIL(agree());
	server_dies();
	/* Node 0 hears of nothing while the revision goes on and the past is dropped. */
	away = node[0].e;
	node[0].e = NULL;
	server_start("data");
	for (i = 0; i < 20; i++)
		assert_int_equal(ask("/v3/kv/put", "{\"key\":\"eA==\",\"value\":\"eA==\"}", NULL), 200);
	node_start(2);
	WORK_UNTIL(sees(2, 2));
	assert_non_null(strstr(server.answer, "\"revision\":\""));
	snprintf(body, sizeof(body), "{\"revision\":\"%ld\",\"physical\":true}",
		strtol(strstr(server.answer, "\"revision\":\"") + 12, NULL, 10));
	assert_int_equal(ask("/v3/kv/compaction", body, NULL), 200);
	node[0].e = away;
	WORK_UNTIL(agree());
	assert_int_equal(stats_of(0).n_lists, 2);
}

/* Killed, and back with nothing. */
static void server_kill_and_forget(void)
{
	static unsigned n;
	char data[16];

	etcd_server_kill(&server);
	work_for(500);
	snprintf(data, sizeof(data), "lost-%u", n++);
	server_start(data);
}

/* All data lost: everybody enters himself again. */
static void test_emptied(void **state)
{
	(void)state;
	node_start(0);
	node_start(1);
	WORK_UNTIL(agree());
	etcd_server_kill(&server);
	server_start("other-data");
	WORK_UNTIL(stats_of(0).n_leases >= 2 && stats_of(1).n_leases >= 2 &&
		stats_of(0).n_lists >= 2 && stats_of(1).n_lists >= 2 && agree());
	node_start(2);
	WORK_UNTIL(agree());
	etcd_server_kill(&server);
	server_start("data");
}

/* The lease is taken away, or the entry: both come back. */
static void test_lease_lost(void **state)
{
	unsigned n_views;

	(void)state;
	node_start(0);
	node_start(1);
	WORK_UNTIL(agree());
	n_views = node[0].n_views;
	/* "/shmcache/test/members/n1" */
	assert_int_equal(ask("/v3/kv/deleterange",
				 "{\"key\":\"L3NobWNhY2hlL3Rlc3QvbWVtYmVycy9uMQ==\"}", NULL), 200);
	/* It may be gone and back within one look. */
	WORK_UNTIL(node[0].n_views != n_views && agree());
	/* Nobody runs for longer than the lease lives. */
	usleep(2 * TTL_S * 1000000);
	WORK_UNTIL(stats_of(0).n_leases >= 2 && stats_of(1).n_leases >= 2 && agree());
}

/* Of several endpoints one that nobody answers on, and one that is no etcd's. */
static void test_endpoints(void **state)
{
	char endpoints[256];

	(void)state;
	/* 1 is nobody's but root's; etcd's peers speak something else. */
	snprintf(endpoints, sizeof(endpoints), "http://127.0.0.1:1,%s,%s/", server.url,
		server.peer_url);
	node_start_as(0, NULL, NULL, endpoints);
	node_start_as(1, NULL, NULL, endpoints);
	WORK_UNTIL(agree());
}

/* What others write there is no member, and harms nobody. */
static void test_nonsense(void **state)
{
	(void)state;
	node_start(0);
	node_start(1);
	WORK_UNTIL(agree());
	/* "/shmcache/test/members/x": "nonsense" */
	assert_int_equal(ask("/v3/kv/put", "{\"key\":\"L3NobWNhY2hlL3Rlc3QvbWVtYmVycy94\","
					   "\"value\":\"bm9uc2Vuc2U=\"}", NULL), 200);
	node_start(2);
	WORK_UNTIL(agree());
	assert_int_equal(node[2].n, 3);
}

static const char *setting_of(unsigned i, const char *name)
{
	unsigned j;

	for (j = 0; j < node[i].n_settings; j++)
		if (!strcmp(node[i].setting[j].name, name))
			return node[i].setting[j].value;
	return "(none)";
}

static bool all_have(const char *name, const char *value)
{
	unsigned i;

	for (i = 0; i < N_NODES; i++)
		if (node[i].e && strcmp(setting_of(i, name), value))
			return false;
	return true;
}

static void set(const char *name, const char *value)
{
	char key[128];

	snprintf(key, sizeof(key), "/shmcache/test/settings/%s", name);
	assert_int_equal(etcd_server_put(&server, key, value), 200);
}

/* What the operator writes there: listed, watched, taken away; also while etcd was away. */
static void test_settings(void **state)
{
	struct etcd *away;
	unsigned n_views;

	(void)state;
	set("lanes", "3");
	node_start(0);
	node_start(1);
	WORK_UNTIL(agree() && all_have("lanes", "3"));
	n_views = node[0].n_views;
	set("locate", "ask\n");
	WORK_UNTIL(all_have("locate", "ask") && all_have("lanes", "3"));
	/* The members have not changed. */
	assert_int_equal(node[0].n_views, n_views);
	set("lanes", "4");
	WORK_UNTIL(all_have("lanes", "4"));
	set("locate", NULL);
	WORK_UNTIL(all_have("locate", "(none)"));
	server_dies();
	assert_true(all_have("lanes", "4"));
	away = node[0].e;
	node[0].e = NULL;
	server_start("data");
	set("lanes", "5");
	set("lanes", NULL);
	set("window", "1MiB");
	WORK_UNTIL(all_have("window", "1MiB"));
	node[0].e = away;
	WORK_UNTIL(all_have("window", "1MiB") && all_have("lanes", "(none)"));
	set("window", NULL);
	WORK_UNTIL(all_have("window", "(none)"));
}

/*
 * Away for longer than leases live, and nobody is a member when it is back: who is there stays in
 * the view, until it is known who is not.
 */
static void test_settled(void **state)
{
	struct etcd *late;
	unsigned n_connected;

	(void)state;
	node_start(0);
	node_start(1);
	WORK_UNTIL(agree());
	server_kill_and_forget();
	/* Node 1 has not noticed yet that etcd is back. */
	late = node[1].e;
	node[1].e = NULL;
	WORK_UNTIL(stats_of(0).n_lists == 2);
	assert_true(sees(0, 0) && sees(0, 1));
	node[1].e = late;
	WORK_UNTIL(stats_of(1).n_lists == 2 && agree());
	stop_all(NULL);
	/* Who does not come back is out after all. */
	settle_ms = 1000;
	node_start(0);
	node_start(1);
	WORK_UNTIL(agree());
	n_connected = node[0].noted[ETCD_CONNECTED];
	server_kill_and_forget();
	etcd_close(node[1].e);
	node[1].e = NULL;
	WORK_UNTIL(node[0].noted[ETCD_CONNECTED] > n_connected && agree());
	settle_ms = 60000;
}

/* More than a list may have: what came is taken, and it is told that there is more. */
static void test_too_many(void **state)
{
	(void)state;
	node_start(0);
	WORK_UNTIL(agree());
	entries_max = 1;
	node_start(1);
	WORK_UNTIL(node[1].noted[ETCD_REFUSED] && stats_of(1).is_connected);
	entries_max = 0;
	assert_string_equal(node[1].refused,
		"more than 1 entries below /shmcache/test/: those behind are not known");
	assert_true(sees(1, 0));
	WORK_UNTIL(sees(0, 1));
	assert_int_equal(node[0].noted[ETCD_REFUSED], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NODES_TEST(test_members),
		NODES_TEST(test_kept),
		NODES_TEST(test_killed),
		NODES_TEST(test_resumed),
		NODES_TEST(test_compacted),
		NODES_TEST(test_emptied),
		NODES_TEST(test_lease_lost),
		NODES_TEST(test_endpoints),
		NODES_TEST(test_nonsense),
		NODES_TEST(test_settings),
		NODES_TEST(test_settled),
		NODES_TEST(test_too_many),
	};

	return NODES_RUN("etcd", tests);
}
