/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unit of peers-directory-ask.c: a member that is away stays in charge of its share of the names;
 * who has these is found out all the same.
 */
#include "shmcache/remote/peers/etcd.h"
#include "shmcache/remote/peers/peers-impl.h"
#include "tests/shmcache/remote/peers/cluster.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* What node 3 has: the others of CLUSTER_KEYS are nowhere. */
#define HELD (CLUSTER_KEYS / 2)
#define AWAY 1

static struct cluster c;
static struct cluster_question q;

static void begin_four(const char *locate)
{
	unsigned i;

	cluster_open(&c, 4, locate);
	for (i = 0; i < HELD; i++)
		cluster_put(&c, 3, i, i, 100);
	cluster_tell(&c, 3, 0, HELD, REMOTE_STORED);
	CLUSTER_WAIT(&c, cluster_finds(&c, &q, 0, HELD));
}

/* Questions of node 0, but for those of names. */
static uint64_t n_asked(void)
{
	return ((const struct peers *)c.node[0].self)->next_id;
}

static void test_away(void **state)
{
	uint64_t before;
	unsigned i;

	(void)state;
	begin_four("directory");
	before = n_asked();
	cluster_look(&c, &q, 0, 20000);
	assert_int_equal(n_asked(), before);
	cluster_close_node(&c, AWAY);
	CLUSTER_WAIT(&c, cluster_n_up(&c, 0) == 2);
	cluster_look(&c, &q, 0, 20000);
	/* Each of the others once, for all names that have lost their shard. */
	assert_int_equal(n_asked(), before + 2);
	for (i = 0; i < CLUSTER_KEYS; i++) {
		assert_int_equal(q.n_holders[i] != 0, i < HELD);
		if (i < HELD)
			assert_int_equal(q.holder[i], cluster_number(0, 3));
		else
			assert_int_equal(q.is_complete[i], cluster_shard(&c, i) != AWAY);
	}
	/* What is stored meanwhile is told to it as soon as it is back. */
	for (i = HELD; i < CLUSTER_KEYS; i++)
		cluster_put(&c, 2, i, i, 100);
	cluster_tell(&c, 2, HELD, CLUSTER_KEYS - HELD, REMOTE_STORED);
	cluster_open_node(&c, AWAY, "directory");
	CLUSTER_WAIT(&c, cluster_is_up(&c));
	before = n_asked();
	CLUSTER_WAIT(&c, cluster_finds(&c, &q, 0, CLUSTER_KEYS));
	assert_int_equal(n_asked(), before);
}

/*
 * One that is silent, and not yet known to be away, does not use up the time in which the others can
 * be asked. A machine that stands still may use it up: then once more.
 */
static void test_silent(void **state)
{
	bool is_found = false;
	unsigned tries;

	(void)state;
	begin_four("directory");
	for (tries = 0; tries < 20 && !is_found; tries++) {
		c.node[AWAY].is_stopped = true;
		cluster_look(&c, &q, 0, LINK_SILENCE_MS * 3 / 4);
		is_found = cluster_n_up(&c, 0) == 3;
		for (unsigned i = 0; i < HELD; i++)
			is_found &= q.n_holders[i] != 0;
		c.node[AWAY].is_stopped = false;
		CLUSTER_WAIT(&c, cluster_is_up(&c));
	}
	assert_true(is_found);
}

/* One that keeps no directory says so; and who has all answers knows that nobody has it. */
static void test_mixed(void **state)
{
	unsigned i;

	(void)state;
	begin_four("directory");
	cluster_close_node(&c, AWAY);
	cluster_open_node(&c, AWAY, "ask");
	CLUSTER_WAIT(&c, cluster_is_up(&c));
	CLUSTER_WAIT(&c, cluster_finds(&c, &q, 0, HELD));
	for (i = HELD; i < CLUSTER_KEYS; i++)
		assert_true(q.is_complete[i]);
}

/* It ends while names wait to be asked for. */
static void test_close(void **state)
{
	unsigned i;

	(void)state;
	begin_four("directory");
	cluster_close_node(&c, AWAY);
	CLUSTER_WAIT(&c, cluster_n_up(&c, 0) == 2);
	cluster_ask(&c, &q, 0, 20000);
	cluster_close_node(&c, 0);
	assert_int_equal(q.n_done, CLUSTER_KEYS);
	for (i = 0; i < CLUSTER_KEYS; i++)
		if (cluster_shard(&c, i) == AWAY)
			assert_true(!q.n_holders[i] && !q.is_complete[i]);
}

static void set_locate(struct peers *p, const char *locate)
{
	struct etcd_setting setting = {.name = "locate"};

	snprintf(setting.value, sizeof(setting.value), "%s", locate);
	peers_settings_take(p, &setting, 1);
}

/* A directory that ends and begins at once is told of what is here, too. */
static void test_toggled(void **state)
{
	(void)state;
	begin_four("directory");
	set_locate(c.node[3].self, "ask");
	set_locate(c.node[3].self, "directory");
	CLUSTER_WAIT(&c, cluster_n_up(&c, 0) == 3 && cluster_finds(&c, &q, 0, HELD));
}

/* Whose answers are to nothing that was asked is left: it would have all questions kept. */
static void test_liar(void **state)
{
	const struct frame_holders none = {0};
	const struct peers *p;
	struct guest *g;

	(void)state;
	cluster_open(&c, 3, "ask");
	p = c.node[0].self;
	g = peers_guest_of(c.node[1].self, (uint16_t)cluster_number(1, 0));
	assert_non_null(g);
	c.node[1].is_stopped = true;
	cluster_ask(&c, &q, 0, 20000);
	assert_non_null(p->peer[cluster_number(0, 1)]->asks);
	link_found(g->service.link, 77777777, &none, 1);
	CLUSTER_WAIT(&c, cluster_n_up(&c, 0) == 1);
	/* Not because it is silent. */
	assert_string_equal(p->peer[cluster_number(0, 1)]->state.why,
		"an answer to no question that is open");
	c.node[1].is_stopped = false;
	CLUSTER_WAIT(&c, q.n_done == CLUSTER_KEYS);
	CLUSTER_WAIT(&c, cluster_is_up(&c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLUSTER_TEST(test_away),
		CLUSTER_TEST(test_silent),
		CLUSTER_TEST(test_mixed),
		CLUSTER_TEST(test_close),
		CLUSTER_TEST(test_toggled),
		CLUSTER_TEST(test_liar),
	};

	return RIG_RUN(tests);
}
