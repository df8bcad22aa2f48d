/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of peers.c: a member for whom there is no memory is one who is away, and not nobody. */
#include "shmcache/remote/peers/link.h"
#include "tests/shmcache/remote/peers/cluster.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct cluster c;
static bool is_short;
static unsigned n_refused, n_erased, erased_told, erased_failed;

int __real_link_open(struct link **out, struct link_net *net, const char *name,
	const char *address, const struct link_events *events, void *owner);
int __wrap_link_open(struct link **out, struct link_net *net, const char *name,
	const char *address, const struct link_events *events, void *owner);

int __wrap_link_open(struct link **out, struct link_net *net, const char *name,
	const char *address, const struct link_events *events, void *owner)
{
	if (!is_short)
		return __real_link_open(out, net, name, address, events, owner);
	n_refused++;
	return -ENOMEM;
}

static void erased(void *context, unsigned n_told, unsigned n_failed)
{
	(void)context;
	n_erased++;
	erased_told = n_told;
	erased_failed = n_failed;
}

/* How many lines of the log name that event. */
static unsigned count_told(FILE *told, const char *event)
{
	char line[512];
	unsigned n = 0;

	rewind(told);
	while (fgets(line, sizeof(line), told))
		n += strstr(line, event) != NULL;
	return n;
}

/* What a broker without memory for its @n_peers peers says of a key, and of a delete. */
static void without_memory(unsigned n_peers)
{
	static struct cluster_question w;
	struct remote_health health[CLUSTER_MAX];
	FILE *told = tmpfile();
	unsigned i;

	assert_non_null(told);
	cluster_open(&c, n_peers + 1, "ask");
	cluster_close_node(&c, 0);
	log_init(&c.quiet, fileno(told));
	is_short = true;
	n_refused = n_erased = 0;
	cluster_open_node(&c, 0, "ask");
	assert_int_equal(n_refused, n_peers);
	cluster_look(&c, &w, 0, 20000);
	for (i = 0; i < CLUSTER_KEYS; i++)
		assert_true(!w.n_holders[i] && !w.is_complete[i]);
	assert_int_equal(peers_kind.health(c.node[0].self, health, CLUSTER_MAX), n_peers);
	for (i = 0; i < n_peers; i++) {
		assert_false(health[i].is_up);
		assert_string_equal(health[i].name, i ? "n2" : "n1");
		assert_non_null(strstr(health[i].why, "no memory"));
	}
	peers_kind.erase(c.node[0].self, &w.key[0], store_now_ms() + 20000, erased, NULL);
	assert_int_equal(n_erased, 1);
	assert_int_equal(erased_told, 0);
	assert_int_equal(erased_failed, n_peers);
	/* Tried again, and again. */
	CLUSTER_WAIT(&c, n_refused == 3 * n_peers);
	assert_int_equal(count_told(told, "peer-not-opened"), n_peers);
	is_short = false;
	CLUSTER_WAIT(&c, cluster_is_up(&c));
	cluster_look(&c, &w, 0, 20000);
	/* A single peer is asked for the value itself. */
	for (i = 0; i < CLUSTER_KEYS; i++)
		assert_true(w.n_holders[i] == (n_peers == 1) && w.is_complete[i]);
	log_init(&c.quiet, STDERR_FILENO);
	log_set_level(&c.quiet, LOG_LEVEL_ERROR);
	fclose(told);
}

static void test_one(void **state)
{
	(void)state;
	without_memory(1);
}

static void test_two(void **state)
{
	(void)state;
	without_memory(2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLUSTER_TEST(test_one),
		CLUSTER_TEST(test_two),
	};

	return RIG_RUN(tests);
}
