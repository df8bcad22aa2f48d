/* SPDX-License-Identifier: Apache-2.0 */
/* etcd-users.c: membership by an etcd that lets not everybody do everything. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/shmcache/remote/peers/etcd-nodes.h"

static long ask_as_root(const char *path, const char *body)
{
	char token[512], *begin;

	if (ask("/v3/auth/authenticate", "{\"name\":\"root\",\"password\":\"r\"}", NULL) != 200)
		return 0;
	begin = strstr(server.answer, "\"token\":\"");
	assert_non_null(begin);
	snprintf(token, sizeof(token), "%s", begin + 9);
	token[strcspn(token, "\"")] = '\0';
	return ask(path, body, token);
}

/* What is said on the way to a server that has just begun may be anything else. */
static bool has_told(unsigned i, const char *what)
{
	return node[i].noted[ETCD_REFUSED] && strstr(node[i].refused, what);
}

/* Root may do all, "guest" nothing, and "member" what members do. */
static void users_enable(void)
{
	static const char *const asked[][2] = {
		{"user/add", "{\"name\":\"root\",\"password\":\"r\"}"},
		{"role/add", "{\"name\":\"root\"}"},
		{"user/grant", "{\"user\":\"root\",\"role\":\"root\"}"},
		{"user/add", "{\"name\":\"guest\",\"password\":\"g\"}"},
		{"user/add", "{\"name\":\"member\",\"password\":\"m\"}"},
		{"role/add", "{\"name\":\"members\"}"},
		/* From "/shmcache/" to before "/shmcache0". */
		{"role/grant", "{\"name\":\"members\",\"perm\":{\"permType\":\"READWRITE\","
			       "\"key\":\"L3NobWNhY2hlLw==\",\"range_end\":\"L3NobWNhY2hlMA==\"}}"},
		{"user/grant", "{\"user\":\"member\",\"role\":\"members\"}"},
		{"enable", "{}"},
	};
	char path[64];
	unsigned i;

	for (i = 0; i < sizeof(asked) / sizeof(*asked); i++) {
		snprintf(path, sizeof(path), "/v3/auth/%s", asked[i][0]);
		assert_int_equal(ask(path, asked[i][1], NULL), 200);
	}
}

/*
 * With users: a token, renewed when it is over; who has the wrong password, or may not do what
 * members do, is told.
 */
static void test_users(void **state)
{
	(void)state;
	users_enable();
	node_start_as(0, "root", "r", server.url);
	node_start_as(1, "member", "m", server.url);
	node_start_as(2, "root", "wrong", server.url);
	WORK_UNTIL(sees(0, 1) && sees(1, 0) && has_told(2, "password"));
	assert_int_equal(node[2].n_views, 0);
	node_stop(2);
	/*
	 * A token lives for three seconds after it was used last. Nobody runs for so long; the
	 * watches need none while they stand, so that it is the next step which is refused.
	 */
	usleep(3 * TTL_S * 1000000);
	WORK_UNTIL(stats_of(0).n_leases >= 2 && stats_of(1).n_leases >= 2 && agree());
	assert_false(has_told(0, "token"));
	/* Away for a moment, it knows no token any more. */
	server_dies();
	server_start("data");
	WORK_UNTIL(stats_of(0).is_connected && stats_of(1).is_connected && agree());
	assert_false(has_told(0, "token") || has_told(1, "token"));
	/* Known, and allowed nothing. */
	node_start_as(2, "guest", "g", server.url);
	WORK_UNTIL(has_told(2, "permission denied"));
	assert_int_equal(node[2].n_views, 0);
	node_stop(2);
	/* No more allowed what he was. His lease is kept all the same: etcd does not ask by whom. */
	assert_int_equal(ask_as_root("/v3/auth/user/revoke",
		"{\"name\":\"member\",\"role\":\"members\"}"), 200);
	server_dies();
	server_start("data");
	WORK_UNTIL(has_told(1, "permission denied"));
	assert_int_equal(ask_as_root("/v3/auth/user/grant",
		"{\"user\":\"member\",\"role\":\"members\"}"), 200);
	node_start_as(2, "root", "r", server.url);
	WORK_UNTIL(agree());
	stop_all(NULL);
	assert_int_equal(ask_as_root("/v3/auth/disable", "{}"), 200);
	/* Who has a password where none is asked for. */
	node_start_as(0, "root", "r", server.url);
	WORK_UNTIL(agree());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NODES_TEST(test_users),
	};

	return NODES_RUN("etcd-users", tests);
}
