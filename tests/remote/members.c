/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is a member, while values are fetched: brokers that an etcd tells of each other, that come
 * and go, and an etcd that does; settings that it has for all of them; and a shard of the directory
 * that is lost. Whatever happens, what is fetched is right, and in the end everything is found.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/remote/cluster.h"
#include "tests/support/etcd.h"

#define CONFIG "absent_for = 0\ntimeout = 1s\n"
#define ETCD_HOST 3
#define N 40 /* keys: each of three shards has some of them, as sure as 1 - 3 * (2/3)^40 */

static struct cluster cluster;
static struct etcd_server etcd;

/* --- etcd ------------------------------------------------------------------------------------- */

static void etcd_begin(void)
{
	char address[NET_ADDRESS_SIZE];

	assert_int_equal(net_enter(&cluster.net, ETCD_HOST), 0);
	if (!etcd.url[0])
		assert_int_equal(
			etcd_server_init(&etcd, net_address(ETCD_HOST, address), NULL), 0);
	assert_int_equal(etcd_server_start(&etcd, "data"), 0);
	assert_int_equal(net_leave(&cluster.net), 0);
}

/* A setting of the cluster; NULL takes it away. */
static void set(const char *key, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "/shmcache/shmcache/settings/%s", key);
	assert_int_equal(net_enter(&cluster.net, ETCD_HOST), 0);
	assert_int_equal(etcd_server_put(&etcd, path, value), 200);
	assert_int_equal(net_leave(&cluster.net), 0);
}

/* Brokers that know each other by it. */
static void start(unsigned n, const char *config)
{
	etcd_begin();
	cluster.etcd = etcd.url;
	cluster_start(&cluster, n, "64MiB", config, NULL);
}

static void stop(void)
{
	cluster_stop(&cluster);
	cluster.etcd = NULL;
	etcd_server_end(&etcd);
	memset(&etcd, 0, sizeof(etcd));
}

/* --- looking ---------------------------------------------------------------------------------- */

struct said {
	unsigned i, n;
	const char *text;
};

static bool is_said(void *context)
{
	struct said *s = context;

	return system_log_count(&cluster.broker[s->i], s->text) >= s->n;
}

static void wait_said(unsigned i, const char *text, unsigned n)
{
	if (!system_wait(is_said, &(struct said){i, n, text}))
		fail_msg("broker %u has not said '%s' %u times", i, text, n);
}

static void wait_all_said(const char *text, unsigned n)
{
	unsigned i;

	for (i = 0; i < cluster.n; i++)
		wait_said(i, text, n);
}

static void fill(unsigned i, uint64_t first)
{
	uint64_t key;

	for (key = first; key < first + N; key++)
		cluster_put(&cluster, i, key, key + 1, 3000);
}

/* How many of them come; the version is always the one that was put. */
static unsigned n_fetched(unsigned i, uint64_t first)
{
	uint64_t key, version;
	unsigned n = 0;

	for (key = first; key < first + N; key++) {
		version = cluster_fetch(&cluster, i, key, 2000, NULL);
		assert_true(!version || version == key + 1);
		n += version != 0;
	}
	return n;
}

struct at {
	unsigned i;
	uint64_t first;
};

static bool are_fetched(void *context)
{
	struct at *at = context;

	return n_fetched(at->i, at->first) == N;
}

static void wait_fetched(unsigned i, uint64_t first)
{
	if (!system_wait(are_fetched, &(struct at){i, first}))
		fail_msg("broker %u finds %u of %d keys from %llu on", i, n_fetched(i, first), N,
			(unsigned long long)first);
}

static void forget(unsigned i, uint64_t first)
{
	uint64_t key;

	for (key = first; key < first + N; key++)
		(void)cluster_delete(&cluster, i, key);
}

/* --- tests ------------------------------------------------------------------------------------ */

/* They find each other; who dies is no member when his lease is over, and comes back by himself. */
static void test_come_and_go(void **state)
{
	(void)state;
	start(3, CONFIG);
	fill(0, 0);
	wait_fetched(1, 0);
	cluster_kill(&cluster, 2);
	wait_said(0, "event=member-left member=n2", 1);
	wait_said(1, "event=member-left member=n2", 1);
	fill(0, 100);
	wait_fetched(1, 100);
	cluster_again(&cluster, 2);
	wait_fetched(2, 0);
	stop();
}

/* etcd is killed: all goes on; who starts meanwhile knows nobody, until it is back. */
static void test_etcd_killed(void **state)
{
	(void)state;
	start(3, CONFIG);
	fill(0, 0);
	etcd_server_kill(&etcd);
	wait_all_said("event=etcd-away", 1);
	wait_fetched(1, 0);
	cluster_kill(&cluster, 2);
	fill(0, 100);
	wait_fetched(1, 100);
	etcd_begin();
	cluster_again(&cluster, 2);
	wait_said(0, "event=etcd-connected", 2);
	wait_fetched(2, 0);
	wait_fetched(2, 100);
	stop();
}

/*
 * etcd can't be reached for longer than a lease lives, and forgets all of them. When it can be
 * again, they enter themselves again, one after another; that none is shown out for having been
 * late is asserted by peers-etcd, which has the time in its hands.
 */
static void test_etcd_cut_off(void **state)
{
	unsigned n = 0, i;

	(void)state;
	start(3, CONFIG);
	fill(0, 0);
	assert_int_equal(net_cable(&cluster.net, ETCD_HOST, NET_END_BRIDGE, false), 0);
	wait_all_said("event=etcd-away", 1);
	wait_fetched(1, 0);
	sleep(13);
	assert_int_equal(net_cable(&cluster.net, ETCD_HOST, NET_END_BRIDGE, true), 0);
	wait_all_said("event=etcd-connected", 2);
	forget(1, 0);
	wait_fetched(1, 0);
	for (i = 0; i < cluster.n; i++)
		n += system_log_count(&cluster.broker[i], "event=member-left");
	printf("shown out meanwhile: %u\n", n);
	stop();
}

/* What the cluster says holds at all of them, at once; what makes no sense is told of, once. */
static void test_settings(void **state)
{
	unsigned i, n_ups;
	uint64_t key;

	(void)state;
	start(3, CONFIG "locate = ask\n");
	fill(0, 0);
	set("write_back", "off");
	wait_all_said("event=cluster-setting key=write_back was=always value=off", 1);
	assert_int_equal(n_fetched(1, 0), N);
	for (key = 0; key < N; key++)
		assert_int_equal(cluster_get(&cluster, 1, key), 0);
	set("write_back", NULL);
	wait_all_said("event=cluster-setting key=write_back was=off value=always", 1);
	assert_int_equal(n_fetched(1, 0), N);
	assert_int_equal(cluster_get(&cluster, 1, 0), 1);

	/* Other links; what is asked for meanwhile may miss. */
	n_ups = cluster_n_ups(&cluster, 0, 1);
	set("lanes", "5");
	wait_all_said("event=cluster-setting key=lanes was=2 value=5", 1);
	cluster_wait_up(&cluster, 0, 1, n_ups + 1);
	wait_fetched(2, 0);

	/* Data lanes in the clear are no more, at either end. */
	if (cluster.mode == SECURE_BOUND) {
		n_ups = cluster_n_ups(&cluster, 1, 0);
		set("data_tls", "on");
		wait_all_said("event=cluster-setting key=data_tls was=off value=on", 1);
		cluster_wait_up(&cluster, 1, 0, n_ups + 1);
		forget(1, 0);
		wait_fetched(1, 0);
	}

	/* A directory, begun by one a moment before the other, with all that was there before. */
	set("locate", "directory");
	wait_all_said("event=cluster-setting key=locate was=ask value=directory", 1);
	forget(1, 0);
	forget(2, 0);
	wait_fetched(1, 0);
	fill(2, 100);
	wait_fetched(0, 100);
	set("locate", "ask");
	wait_all_said("event=cluster-setting key=locate was=directory value=ask", 1);
	fill(1, 200);
	wait_fetched(0, 200);

	set("nonsense", "1");
	wait_all_said("event=cluster-setting-ignored key=nonsense", 1);
	set("security", "none");
	wait_all_said("event=cluster-setting-ignored key=security", 1);
	set("data_tls", "off");
	if (cluster.mode != SECURE_BOUND)
		wait_all_said("event=cluster-setting-ignored key=data_tls", 1);
	set("timeout", "\n\x1b[2J\"never\"");
	wait_all_said("event=cluster-setting-ignored key=timeout", 1);
	set("lanes", "5000000000");
	wait_all_said("event=cluster-setting-ignored key=lanes", 1);
	/* As if it were not there. */
	wait_all_said("event=cluster-setting key=lanes was=5 value=2", 1);
	set("timeout", "900ms");
	wait_all_said("event=cluster-setting key=timeout", 1);
	for (i = 0; i < cluster.n; i++)
		assert_int_equal(system_log_count(&cluster.broker[i], "setting-ignored"),
			cluster.mode == SECURE_BOUND ? 4 : 5);
	/* Who starts comes to the same. */
	cluster_kill(&cluster, 2);
	cluster_again(&cluster, 2);
	wait_said(2, "event=cluster-setting key=timeout was=1s value=900ms", 2);
	wait_fetched(2, 0);
	stop();
}

/*
 * A shard of the directory is lost. While it is a member all others are asked for what it was in
 * charge of, and what is not found is no "nobody has it"; it is told all again when it is back, or
 * the others share it when it is no member.
 */
static void lose_a_shard(void)
{
	unsigned n, why;
	uint64_t key;

	fill(0, 0);
	wait_fetched(1, 0);
	forget(1, 0);
	cluster_kill(&cluster, 2);
	cluster_wait_down(&cluster, 1, 2, 1);
	for (key = n = 0; key < N; key++) {
		if (cluster_fetch(&cluster, 1, key, 2000, &why))
			continue;
		n++;
		assert_int_not_equal(why, SHMC_FETCH_NOBODY);
	}
	printf("%u of %d keys were not found without the shard that is lost\n", n, N);
	forget(1, 0);
}

static void test_shard_back(void **state)
{
	(void)state;
	cluster_start(&cluster, 3, "64MiB", CONFIG "locate = directory\n", NULL);
	lose_a_shard();
	cluster_again(&cluster, 2);
	wait_fetched(1, 0);
	wait_fetched(2, 0);
	cluster_stop(&cluster);
}

static bool has_left(void *context)
{
	(void)context;
	return system_log_count(&cluster.broker[1], "event=member-left member=n2") > 0;
}

static void test_shard_gone(void **state)
{
	(void)state;
	start(3, CONFIG "locate = directory\n");
	lose_a_shard();
	wait_fetched(1, 0);
	assert_true(system_wait(has_left, NULL));
	wait_fetched(1, 0);
	cluster_again(&cluster, 2);
	wait_fetched(2, 0);
	stop();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_come_and_go),
		cmocka_unit_test(test_etcd_killed),
		cmocka_unit_test(test_etcd_cut_off),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_shard_back),
		cmocka_unit_test(test_shard_gone),
	};
	/* What the bytes' way makes a difference to. */
	const struct CMUnitTest secured[] = {
		cmocka_unit_test(test_settings),
	};

	if (!etcd_is_installed()) {
		puts("SKIP: there is no etcd; it is in Debian's package etcd-server");
		return EXIT_SKIP;
	}
	cluster_init(&cluster, 4, argc, argv);
	return cluster.mode ? cmocka_run_group_tests(secured, NULL, NULL)
			    : cmocka_run_group_tests(tests, NULL, NULL);
}
