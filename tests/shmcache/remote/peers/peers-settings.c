/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of peers-settings.c: what the file says, read again, and what the cluster says over it. */
#include "shmcache/remote/peers/etcd.h"
#include "shmcache/remote/peers/peers-impl.h"
#include "tests/shmcache/remote/peers/cluster.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)

static struct cluster c;

static struct config file;

static void begin(const char *locate)
{
	cluster_open(&c, 2, locate);
	file = c.node[0].config;
}

/* Member 0, whose file says this from now on. */
static void reload(const char *key, const char *value)
{
	static struct config_errors errors;

	assert_int_equal(config_set(&file, key, value, &errors), 0);
	peers_reload(c.node[0].self, &file);
}

static const struct config_remote *in_force(void)
{
	return &c.node[0].config.remote;
}

static void test_cluster_wins(void **state)
{
	const struct etcd_setting settings[] = {{"timeout", "9s"}, {"nonsense", "1"}};

	(void)state;
	begin("auto");
	reload("remote.timeout", "7s");
	reload("remote.absent_for", "3ms");
	assert_int_equal(in_force()->timeout_ns, 7000 * MS);
	peers_settings_take(c.node[0].self, settings, 2);
	assert_int_equal(in_force()->timeout_ns, 9000 * MS);
	assert_int_equal(in_force()->absent_for_ns, 3 * MS);
	reload("remote.timeout", "8s");
	reload("remote.absent_for", "4ms");
	assert_int_equal(in_force()->timeout_ns, 9000 * MS);
	assert_int_equal(in_force()->absent_for_ns, 4 * MS);
	peers_settings_take(c.node[0].self, NULL, 0);
	assert_int_equal(in_force()->timeout_ns, 8000 * MS);
}

static uint64_t n_links(void)
{
	struct remote_health health;

	assert_int_equal(peers_kind.health(c.node[0].self, &health, 1), 1);
	return health.n_links;
}

/* Links are made anew where they have to be, and a directory is kept from then on, or no more. */
static void test_made_anew(void **state)
{
	(void)state;
	begin("ask");
	assert_int_equal(n_links(), 1);
	reload("remote.fetches", "3");
	assert_int_equal(in_force()->fetches, 3);
	assert_int_equal(cluster_n_up(&c, 0), 1);
	reload("remote.lanes", "5");
	assert_int_equal(cluster_n_up(&c, 0), 0);
	CLUSTER_WAIT(&c, cluster_is_up(&c));
	assert_int_equal(n_links(), 2);
	assert_false(peers_want_events(c.node[0].self));
	reload("remote.locate", "directory");
	assert_true(peers_want_events(c.node[0].self));
	reload("remote.locate", "ask");
	assert_false(peers_want_events(c.node[0].self));
	CLUSTER_WAIT(&c, cluster_is_up(&c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLUSTER_TEST(test_cluster_wins),
		CLUSTER_TEST(test_made_anew),
	};

	return RIG_RUN(tests);
}
