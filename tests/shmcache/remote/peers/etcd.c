/* SPDX-License-Identifier: Apache-2.0 */
/* etcd.c: membership by a real etcd, which is killed, compacted, emptied and asks who we are. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "shmcache/remote/peers/etcd-post.h"
#include "shmcache/remote/peers/etcd.h"
#include "tests/support/etcd.h"

enum { PATIENCE_MS = 40000, TTL_S = 2, N_NODES = 3 };

static struct etcd_server server;
static unsigned settle_ms = 60000; /* of nodes that are started from then on */
static bool has_failed; /* then patience is short: what comes after would fail for long */

static void server_start(const char *data)
{
	assert_int_equal(etcd_server_start(&server, data), 0);
}

static long ask(const char *path, const char *body, const char *token)
{
	return etcd_server_ask(&server, path, body, token);
}

/* --- nodes ------------------------------------------------------------------------------------ */

struct node {
	struct etcd *e;
	struct member view[8];
	unsigned n, n_views;
	unsigned noted[3];
	char refused[256];
	struct etcd_setting setting[8];
	unsigned n_settings, n_told;
};

static struct node node[N_NODES];

static void on_view(void *context, const struct member *members, unsigned n)
{
	struct node *at = context;

	assert_in_range(n, 0, 8);
	memcpy(at->view, members, n * sizeof(*members));
	at->n = n;
	at->n_views++;
}

static void on_settings(void *context, const struct etcd_setting *settings, unsigned n)
{
	struct node *at = context;

	assert_in_range(n, 0, 8);
	memcpy(at->setting, settings, n * sizeof(*settings));
	at->n_settings = n;
	at->n_told++;
}

static void on_note(void *context, enum etcd_note note, const char *text)
{
	struct node *at = context;

	at->noted[note]++;
	if (note == ETCD_REFUSED)
		snprintf(at->refused, sizeof(at->refused), "%s", text);
}

static void node_start_as(unsigned i, const char *user, const char *password, const char *endpoints)
{
	struct etcd_options options = {.endpoints = endpoints, .prefix = "/shmcache",
		.cluster = "test", .user = user, .password = password, .epoch = 100 + i,
		.ttl_s = TTL_S, .settle_ms = settle_ms, .view = on_view, .settings = on_settings,
		.note = on_note, .context = &node[i]};
	char name[8], endpoint[32], why[128];

	memset(&node[i], 0, sizeof(node[i]));
	snprintf(name, sizeof(name), "n%u", i);
	snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%u", 7000 + i);
	options.self = name;
	options.endpoint = endpoint;
	assert_int_equal(etcd_open(&node[i].e, &options, why, sizeof(why)), 0);
}

static void node_start(unsigned i)
{
	node_start_as(i, NULL, NULL, server.url);
}

static void node_stop(unsigned i)
{
	etcd_close(node[i].e);
	node[i].e = NULL;
}

/* Let the nodes work for up to @ms, or until something comes. */
static void work(int ms)
{
	struct pollfd fds[N_NODES];
	unsigned i;

	for (i = 0; i < N_NODES; i++)
		fds[i] = (struct pollfd){.fd = node[i].e ? etcd_fd(node[i].e) : -1, .events = POLLIN};
	(void)poll(fds, N_NODES, ms);
	for (i = 0; i < N_NODES; i++)
		if (fds[i].revents)
			etcd_run(node[i].e);
}

static bool sees(unsigned i, unsigned other)
{
	char name[8];
	unsigned j;

	snprintf(name, sizeof(name), "n%u", other);
	for (j = 0; j < node[i].n; j++)
		if (!strcmp(node[i].view[j].name, name))
			return node[i].view[j].epoch == 100 + other;
	return false;
}

/* All that run see each other, themselves, and nobody else. */
static bool agree(void)
{
	unsigned i, j;

	for (i = 0; i < N_NODES; i++)
		for (j = 0; node[i].e && j < N_NODES; j++)
			if (sees(i, j) != (node[j].e != NULL))
				return false;
	return true;
}

#define WORK_UNTIL(condition)                                                                      \
	do {                                                                                       \
		uint64_t until_ms = post_now_ms() + (has_failed ? 3000 : PATIENCE_MS);             \
		while (!(condition)) {                                                             \
			has_failed |= post_now_ms() >= until_ms;                                   \
			assert_true(post_now_ms() < until_ms);                                     \
			work(100);                                                                 \
		}                                                                                  \
	} while (0)

static void work_for(unsigned ms)
{
	uint64_t until_ms = post_now_ms() + ms;

	while (post_now_ms() < until_ms)
		work(50);
}

static struct etcd_stats stats_of(unsigned i)
{
	struct etcd_stats stats;

	etcd_stats(node[i].e, &stats);
	return stats;
}

static int stop_all(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < N_NODES; i++)
		node_stop(i);
	/* A test that failed may have left it dead. */
	if (!proc_running(&server.proc))
		server_start("data");
	return 0;
}

/* --- tests ------------------------------------------------------------------------------------ */

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
	unsigned n_views;

	(void)state;
	node_start(0);
	node_start(1);
	WORK_UNTIL(agree());
	etcd_server_kill(&server);
	n_views = node[0].n_views;
	WORK_UNTIL(node[0].noted[ETCD_AWAY] == 1);
	work_for(2 * TTL_S * 1000);
	assert_true(sees(0, 1) && sees(1, 0));
	assert_int_equal(node[0].n_views, n_views);
	assert_int_equal(node[0].noted[ETCD_AWAY], 1);
	server_start("data");
	WORK_UNTIL(node[0].noted[ETCD_CONNECTED] == 2 && node[1].noted[ETCD_CONNECTED] == 2);
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
	etcd_server_kill(&server);
	WORK_UNTIL(node[0].noted[ETCD_AWAY] == 1);
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
	etcd_server_kill(&server);
	WORK_UNTIL(node[0].noted[ETCD_AWAY] == 1);
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
	etcd_server_kill(&server);
	WORK_UNTIL(node[0].noted[ETCD_AWAY] == 1 && node[1].noted[ETCD_AWAY] == 1);
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
	server_kill_and_forget();
	etcd_close(node[1].e);
	node[1].e = NULL;
	WORK_UNTIL(node[0].noted[ETCD_CONNECTED] == 2 && agree());
	settle_ms = 60000;
}

/*
 * With users: a token, renewed when it is over; who has the wrong password is told, and not let in.
 */
static void test_users(void **state)
{
	char token[512], header[600], *begin;

	(void)state;
	assert_int_equal(ask("/v3/auth/user/add", "{\"name\":\"root\",\"password\":\"r\"}", NULL), 200);
	assert_int_equal(ask("/v3/auth/role/add", "{\"name\":\"root\"}", NULL), 200);
	assert_int_equal(ask("/v3/auth/user/grant", "{\"user\":\"root\",\"role\":\"root\"}", NULL), 200);
	assert_int_equal(ask("/v3/auth/enable", "{}", NULL), 200);
	node_start_as(0, "root", "r", server.url);
	node_start_as(1, "root", "r", server.url);
	node_start_as(2, "root", "wrong", server.url);
	WORK_UNTIL(sees(0, 1) && sees(1, 0) && node[2].noted[ETCD_REFUSED]);
	assert_int_equal(node[2].n_views, 0);
	assert_non_null(strstr(node[2].refused, "password"));
	node_stop(2);
	/*
	 * A token lives for three seconds after it was used last. Nobody runs for so long; the
	 * watches need none while they stand, so that it is the next step which is refused.
	 */
	usleep(3 * TTL_S * 1000000);
	WORK_UNTIL(stats_of(0).n_leases >= 2 && stats_of(1).n_leases >= 2 && agree());
	assert_int_equal(node[0].noted[ETCD_REFUSED], 0);
	node_start_as(2, "root", "r", server.url);
	WORK_UNTIL(agree());
	stop_all(NULL);
	assert_int_equal(ask("/v3/auth/authenticate", "{\"name\":\"root\",\"password\":\"r\"}", NULL), 200);
	begin = strstr(server.answer, "\"token\":\"");
	assert_non_null(begin);
	snprintf(token, sizeof(token), "%s", begin + 9);
	token[strcspn(token, "\"")] = '\0';
	snprintf(header, sizeof(header), "%s", token);
	assert_int_equal(ask("/v3/auth/disable", "{}", header), 200);
	/* Who has a password where none is asked for. */
	node_start_as(0, "root", "r", server.url);
	WORK_UNTIL(agree());
}

static int group_setup(void **state)
{
	(void)state;
	return etcd_server_init(&server, "127.0.0.1", NULL) || etcd_server_start(&server, "data");
}

static int group_teardown(void **state)
{
	(void)state;
	etcd_server_end(&server);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_members, stop_all),
		cmocka_unit_test_teardown(test_kept, stop_all),
		cmocka_unit_test_teardown(test_killed, stop_all),
		cmocka_unit_test_teardown(test_resumed, stop_all),
		cmocka_unit_test_teardown(test_compacted, stop_all),
		cmocka_unit_test_teardown(test_emptied, stop_all),
		cmocka_unit_test_teardown(test_lease_lost, stop_all),
		cmocka_unit_test_teardown(test_endpoints, stop_all),
		cmocka_unit_test_teardown(test_nonsense, stop_all),
		cmocka_unit_test_teardown(test_settings, stop_all),
		cmocka_unit_test_teardown(test_settled, stop_all),
		cmocka_unit_test_teardown(test_users, stop_all),
	};

	if (!etcd_is_installed()) {
		puts("SKIP: there is no etcd; it is in Debian's package etcd-server");
		return 77;
	}
	cleanup_guard();
	return cmocka_run_group_tests_name("etcd", tests, group_setup, group_teardown);
}
