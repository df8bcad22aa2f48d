/* SPDX-License-Identifier: Apache-2.0 */
/* cluster.c: see cluster.h. */
#include "tests/shmcache/remote/peers/cluster.h"

#include "shmcache/remote/peers/membership.h"
#include "shmcache/remote/peers/rendezvous.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* All of 127.0.0.0/8 is this machine: the pid makes addresses that no other test has. */
static void endpoint(unsigned i, char *text, size_t size)
{
	unsigned pid = (unsigned)getpid();

	snprintf(text, size, "127.%u.%u.%u:%u", 1 + (pid >> 16 & 63), pid >> 8 & 255, pid & 255,
		7100 + i);
}

static void set(struct config *c, const char *key, const char *value)
{
	static struct config_errors errors;

	if (config_set(c, key, value, &errors)) {
		config_errors_print(&errors, stderr);
		fail();
	}
}

static void configure(struct cluster *c, unsigned i, const char *locate)
{
	char text[64], members[CONFIG_LIST_MAX + 1] = "", name[8];
	struct config *config = &c->node[i].config;
	unsigned j;

	config_init(config);
	for (j = 0; j < c->n_nodes; j++) {
		endpoint(j, text, sizeof(text));
		snprintf(members + strlen(members), sizeof(members) - strlen(members), "%sn%u=%s",
			j ? ", " : "", j, text);
	}
	snprintf(name, sizeof(name), "n%u", i);
	endpoint(i, text, sizeof(text));
	set(config, "remote.name", name);
	set(config, "remote.listen", text);
	set(config, "remote.members", members);
	set(config, "remote.security", "none");
	set(config, "remote.locate", locate);
	if (c->window)
		set(config, "remote.window", c->window);
}

static void heard(struct remote_ear *ear, const XXH128_hash_t *name)
{
	struct node *n = (struct node *)(void *)((char *)ear - offsetof(struct node, ear));
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	unsigned i;

	n->n_heard_any += !name;
	for (i = 0; name && i < CLUSTER_KEYS; i++)
		n->heard[i] |= XXH128_isEqual(remote_key(bytes, rig_key(i, bytes)).name, *name);
}

void cluster_open_node(struct cluster *c, unsigned i, const char *locate)
{
	struct node *n = &c->node[i];
	char why[512];

	configure(c, i, locate);
	assert_int_equal(
		remote_loop_init(&n->loop, &n->rig.store, &n->rig.w, &c->quiet, &n->config), 0);
	if (peers_kind.open(&n->self, &n->loop, why, sizeof(why)))
		fail_msg("%s", why);
	n->ear.heard = heard;
	peers_kind.set_ear(n->self, &n->ear);
	n->is_open = true;
}

void cluster_close_node(struct cluster *c, unsigned i)
{
	if (!c->node[i].is_open)
		return;
	peers_kind.close(c->node[i].self);
	remote_loop_deinit(&c->node[i].loop);
	c->node[i].is_open = false;
}

void cluster_turn(struct cluster *c)
{
	unsigned i;

	for (i = 0; i < c->n_nodes; i++)
		if (c->node[i].is_open && !c->node[i].is_stopped)
			remote_loop_turn(&c->node[i].loop, 1);
}

unsigned cluster_n_up(struct cluster *c, unsigned i)
{
	struct remote_health health[CLUSTER_MAX];
	unsigned n = peers_kind.health(c->node[i].self, health, CLUSTER_MAX), up = 0;

	while (n--)
		up += health[n].is_up;
	return up;
}

bool cluster_is_up(struct cluster *c)
{
	unsigned i;

	for (i = 0; i < c->n_nodes; i++)
		if (cluster_n_up(c, i) != c->n_nodes - 1)
			return false;
	return true;
}

void cluster_open(struct cluster *c, unsigned n, const char *locate)
{
	struct rig *rig;
	char what[24];
	unsigned i;

	log_init(&c->quiet, STDERR_FILENO);
	log_set_level(&c->quiet, getenv("VERBOSE") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	c->n_nodes = n;
	for (i = 0; i < n; i++) {
		memset(&c->node[i], 0, sizeof(c->node[i]));
		rig = &c->node[i].rig;
		rig_init(rig, 64 * MIB, 8 * MIB);
		snprintf(what, sizeof(what), "index-%u", i);
		rig_name(rig->index_name, sizeof(rig->index_name), what);
		snprintf(what, sizeof(what), "dram-%u", i);
		rig_name(rig->dram_name, sizeof(rig->dram_name), what);
		rig_open(rig, false);
	}
	for (i = 0; i < n; i++)
		cluster_open_node(c, i, locate);
	CLUSTER_WAIT(c, cluster_is_up(c));
}

unsigned cluster_number(unsigned at, unsigned i)
{
	return i < at ? i : i - 1;
}

void cluster_put(struct cluster *c, unsigned i, uint64_t key, uint64_t seed, uint64_t size)
{
	assert_int_equal(rig_put(&c->node[i].rig, key, seed, size), ABI_STATUS_OK);
}

/* --- who has what ----------------------------------------------------------------------------- */

static void located(struct remote_locate *locate, unsigned i, const uint16_t *holders, unsigned n,
	bool is_complete)
{
	struct cluster_question *q = (struct cluster_question *)(void *)locate;

	q->n_done++;
	q->n_holders[i] = n;
	q->holder[i] = n ? holders[0] : UINT16_MAX;
	q->is_complete[i] = is_complete;
}

void cluster_ask(struct cluster *c, struct cluster_question *q, unsigned at, uint64_t ms)
{
	unsigned i;

	memset(q, 0, sizeof(*q));
	for (i = 0; i < CLUSTER_KEYS; i++)
		q->key[i] = remote_key(q->bytes[i], rig_key(i, q->bytes[i]));
	q->locate = (struct remote_locate){.keys = q->key, .n = CLUSTER_KEYS,
		.deadline_ms = store_now_ms() + ms, .done = located};
	peers_kind.locate(c->node[at].self, &q->locate);
}

void cluster_look(struct cluster *c, struct cluster_question *q, unsigned at, uint64_t ms)
{
	cluster_ask(c, q, at, ms);
	CLUSTER_WAIT(c, q->n_done == CLUSTER_KEYS);
}

bool cluster_finds(struct cluster *c, struct cluster_question *q, unsigned at, unsigned n)
{
	unsigned i, found = 0;

	cluster_look(c, q, at, 1000);
	for (i = 0; i < CLUSTER_KEYS; i++)
		found += q->n_holders[i] != 0;
	return found == n;
}

void cluster_tell(struct cluster *c, unsigned i, unsigned from, unsigned n,
	enum remote_event_type type)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct remote_event event = {.type = type};

	for (; n--; from++) {
		event.key = remote_key(bytes, rig_key(from, bytes));
		peers_kind.announce(c->node[i].self, &event, 1);
	}
}

unsigned cluster_shard(const struct cluster *c, uint64_t key)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	XXH128_hash_t name = remote_key(bytes, rig_key(key, bytes)).name;
	uint64_t hash[CLUSTER_MAX];
	char text[12];
	unsigned i;

	for (i = 0; i < c->n_nodes; i++) {
		snprintf(text, sizeof(text), "n%u", i);
		hash[i] = member_hash(text);
	}
	return rendezvous_choose(&name, hash, c->n_nodes);
}

/* --- the end ---------------------------------------------------------------------------------- */

int cluster_teardown(void **state)
{
	struct cluster *c = *state;
	unsigned i;

	for (i = 0; i < c->n_nodes; i++)
		cluster_close_node(c, i);
	for (i = 0; i < c->n_nodes; i++) {
		assert_null(c->node[i].rig.store.loans);
		rig_drain(&c->node[i].rig);
		assert_int_equal(c->node[i].rig.store.limbo.n, 0);
		rig_check(&c->node[i].rig);
		rig_remove(&c->node[i].rig);
	}
	return rig_leftovers() ? -1 : 0;
}
