/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unit of the kind "peers": brokers without clients, all of them in this thread. Each has a store
 * and a loop of its own; time passes for whom we turn the loop of, and one that is not turned is as
 * one that is stopped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <urcu.h>
#include <cmocka.h>

#include "shmcache/remote/loop.h"
#include "shmcache/remote/peers/membership.h"
#include "shmcache/remote/peers/peers.h"
#include "shmcache/remote/peers/rendezvous.h"
#include "tests/shmcache/rig.h"

#define N_MAX 4
#define KEYS 40
#define PATIENCE_MS 20000

struct node {
	struct rig rig;
	struct config config;
	struct remote_loop loop;
	void *self;
	bool is_open, is_stopped;
	struct remote_ear ear;
	bool heard[KEYS];     /* by key: that somebody may have it */
	unsigned n_heard_any; /* that somebody may have any */
};

static struct node node[N_MAX];
static unsigned n_nodes;
static const char *window; /* NULL: as is configured by default */
static struct log quiet;

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

static void heard(struct remote_ear *ear, const XXH128_hash_t *name)
{
	struct node *n = (struct node *)(void *)((char *)ear - offsetof(struct node, ear));
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	unsigned i;

	n->n_heard_any += !name;
	for (i = 0; name && i < KEYS; i++)
		n->heard[i] |= XXH128_isEqual(remote_key(bytes, rig_key(i, bytes)).name, *name);
}

static void open_node(unsigned i, const char *locate)
{
	struct node *n = &node[i];
	char text[64], members[CONFIG_LIST_MAX + 1] = "", name[8], why[512];
	unsigned j;

	config_init(&n->config);
	for (j = 0; j < n_nodes; j++) {
		endpoint(j, text, sizeof(text));
		snprintf(members + strlen(members), sizeof(members) - strlen(members), "%sn%u=%s",
			j ? ", " : "", j, text);
	}
	snprintf(name, sizeof(name), "n%u", i);
	endpoint(i, text, sizeof(text));
	set(&n->config, "remote.name", name);
	set(&n->config, "remote.listen", text);
	set(&n->config, "remote.members", members);
	set(&n->config, "remote.security", "none");
	set(&n->config, "remote.locate", locate);
	if (window)
		set(&n->config, "remote.window", window);
	assert_int_equal(remote_loop_init(&n->loop, &n->rig.store, &n->rig.w, &quiet, &n->config), 0);
	if (peers_kind.open(&n->self, &n->loop, why, sizeof(why)))
		fail_msg("%s", why);
	n->ear.heard = heard;
	peers_kind.set_ear(n->self, &n->ear);
	n->is_open = true;
}

static void close_node(unsigned i)
{
	if (!node[i].is_open)
		return;
	peers_kind.close(node[i].self);
	remote_loop_deinit(&node[i].loop);
	node[i].is_open = false;
}

static void turn(void)
{
	unsigned i;

	for (i = 0; i < n_nodes; i++)
		if (node[i].is_open && !node[i].is_stopped)
			remote_loop_turn(&node[i].loop, 1);
}

#define WAIT_FOR(condition)                                       \
	do {                                                      \
		uint64_t until_ms = store_now_ms() + PATIENCE_MS; \
		while (!(condition)) {                            \
			assert_true(store_now_ms() < until_ms);   \
			turn();                                   \
		}                                                 \
	} while (0)

static unsigned n_up(unsigned i)
{
	struct remote_health health[N_MAX];
	unsigned n = peers_kind.health(node[i].self, health, N_MAX), up = 0;

	while (n--)
		up += health[n].is_up;
	return up;
}

static bool all_up(void)
{
	unsigned i;

	for (i = 0; i < n_nodes; i++)
		if (n_up(i) != n_nodes - 1)
			return false;
	return true;
}

static void open_all(unsigned n, const char *locate)
{
	char what[24];
	unsigned i;

	n_nodes = n;
	for (i = 0; i < n; i++) {
		memset(&node[i], 0, sizeof(node[i]));
		rig_init(&node[i].rig, 64 * MIB, 8 * MIB);
		snprintf(what, sizeof(what), "index-%u", i);
		rig_name(node[i].rig.index_name, sizeof(node[i].rig.index_name), what);
		snprintf(what, sizeof(what), "dram-%u", i);
		rig_name(node[i].rig.dram_name, sizeof(node[i].rig.dram_name), what);
		rig_open(&node[i].rig, false);
	}
	for (i = 0; i < n; i++)
		open_node(i, locate);
	WAIT_FOR(all_up());
}

/* After every test: nothing is lent, the books agree, nothing is left. */
static int teardown(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < n_nodes; i++)
		close_node(i);
	for (i = 0; i < n_nodes; i++) {
		assert_null(node[i].rig.store.loans);
		rig_drain(&node[i].rig);
		assert_int_equal(node[i].rig.store.limbo.n, 0);
		rig_check(&node[i].rig);
		rig_remove(&node[i].rig);
	}
	return rig_leftovers() ? -1 : 0;
}

/* --- fetching --------------------------------------------------------------------------------- */

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
	peers_kind.fetch(node[at].self, from, &g->fetch);
}

/* Numbers are given in the order of the list, without oneself. */
static unsigned number_of(unsigned at, unsigned i)
{
	return i < at ? i : i - 1;
}

static enum remote_result get(struct get *g, unsigned at, unsigned from, uint64_t key, uint64_t ms)
{
	begin(g, at, number_of(at, from), key, ms);
	WAIT_FOR(g->is_done);
	return g->result;
}

static void put(unsigned i, uint64_t key, uint64_t seed, uint64_t size)
{
	assert_int_equal(rig_put(&node[i].rig, key, seed, size), ABI_STATUS_OK);
}

static void test_fetch(void **state)
{
	const uint64_t sizes[] = {1, 100, 4096, 65536, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 9 * MIB};
	const struct store_put_options options = {
		.ttl_ms = 60000, .hints = {.group = 5, .position = 6, .priority = 7}};
	struct get g = {0};
	uint64_t i;

	(void)state;
	open_all(2, "auto");
	/* Twice: the second is sent with the sum that was kept. */
	for (i = 0; i < 8; i++)
		put(0, i, i, sizes[i]);
	for (i = 0; i < 16; i++) {
		assert_int_equal(get(&g, 1, 0, i % 8, 10000), REMOTE_OK);
		assert_int_equal(g.head.size, sizes[i % 8]);
		assert_int_equal(g.head.ttl_ms, 0);
		assert_true(rig_is_filled(g.value, g.head.size, i % 8));
		free(g.value);
	}
	/* A new value in the place of an old one has a sum of its own. */
	put(0, 3, 33, 65536);
	assert_int_equal(get(&g, 1, 0, 3, 10000), REMOTE_OK);
	assert_true(rig_is_filled(g.value, g.head.size, 33));
	free(g.value);
	assert_int_equal(rig_put_with(&node[0].rig, 20, 20, 500, &options), ABI_STATUS_OK);
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
	assert_int_equal(peers_kind.capacity(node[1].self), 64 * MIB);
}

/* More at once than may be on their way; each comes whole. */
static void test_many(void **state)
{
	static struct get many[200];
	unsigned i, n_done;

	(void)state;
	open_all(2, "auto");
	for (i = 0; i < 8; i++)
		put(0, i, i, 100000 * (i + 1));
	for (i = 0; i < 200; i++)
		begin(&many[i], 1, 0, i % 8, 20000);
	do {
		turn();
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
	open_all(2, "auto");
	put(0, 1, 1, 30 * MIB);
	node[0].is_stopped = true;
	assert_int_equal(get(&g, 1, 0, 1, 200), REMOTE_TIMEOUT);
	free(g.value);
	node[0].is_stopped = false;
	assert_int_equal(get(&g, 1, 0, 1, 20000), REMOTE_OK);
	assert_true(rig_is_filled(g.value, g.head.size, 1));
	free(g.value);
	/*
	 * A requester that stands still in the middle: the holder lets go at the time he was told.
	 */
	begin(&g, 1, 0, 1, 300);
	WAIT_FOR(g.value);
	node[1].is_stopped = true;
	WAIT_FOR(!node[0].rig.store.loans);
	node[1].is_stopped = false;
	WAIT_FOR(g.is_done);
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
	window = "1MiB";
	open_all(3, "auto");
	window = NULL;
	for (i = 0; i < HOARD; i++)
		put(0, i, i, 4 * MIB);
	for (i = 0; i < HOARD; i++)
		begin(&g[i], 1, number_of(1, 0), i, 60000);
	WAIT_FOR(node[0].rig.store.loans);
	node[1].is_stopped = true;
	for (i = 0; i < 20; i++)
		turn();
	for (i = 100; i < 112; i++)
		put(0, i, i, 6 * MIB);
	put(0, LARGE, 1, 12 * MIB);
	assert_int_equal(get(&other, 2, 0, 111, 20000), REMOTE_OK);
	free(other.value);
	assert_non_null(node[0].rig.store.loans);
	/* For this one there is no room, until what was lent is back. */
	begin(&other, 2, number_of(2, 0), LARGE, 60000);
	for (i = 0; i < 20; i++)
		turn();
	assert_null(other.value);
	node[1].is_stopped = false;
	WAIT_FOR(other.is_done);
	assert_int_equal(other.result, REMOTE_OK);
	free(other.value);
	for (i = 0; i < HOARD; i++) {
		WAIT_FOR(g[i].is_done);
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
	open_all(2, "auto");
	put(0, 1, 1, 8 * MIB);
	for (turns = 0; turns < 12; turns++) {
		begin(&g, 1, 0, 1, 20000);
		for (i = 0; i < turns && !g.is_done; i++)
			turn();
		if (!g.is_done)
			peers_kind.cancel(node[1].self, &g.fetch);
		WAIT_FOR(g.is_done);
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
	open_all(2, "auto");
	put(0, 1, 1, 30 * MIB);
	begin(&g, 1, 0, 1, 20000);
	WAIT_FOR(g.value);
	close_node(0);
	WAIT_FOR(g.is_done);
	assert_int_equal(g.result, REMOTE_UNREACHABLE);
	free(g.value);
	assert_int_equal(get(&g, 1, 0, 1, 1000), REMOTE_UNREACHABLE);
	open_node(0, "auto");
	WAIT_FOR(all_up());
	assert_int_equal(get(&g, 1, 0, 1, 20000), REMOTE_OK);
	free(g.value);
	/* We go, with a transfer under way: it ends. */
	begin(&g, 1, 0, 1, 20000);
	WAIT_FOR(g.value);
	close_node(1);
	assert_true(g.is_done);
	assert_int_equal(g.result, REMOTE_CANCELLED);
	free(g.value);
	WAIT_FOR(!node[0].rig.store.loans);
}

/* --- locating --------------------------------------------------------------------------------- */

struct where {
	struct remote_locate locate;
	struct remote_key key[KEYS];
	uint8_t bytes[KEYS][ABI_KEY_SIZE_MAX];
	unsigned n_done, n_holders[KEYS];
	uint16_t holder[KEYS];
	bool is_complete[KEYS];
};

static void located(struct remote_locate *locate, unsigned i, const uint16_t *holders, unsigned n,
	bool is_complete)
{
	struct where *w = (struct where *)(void *)locate;

	w->n_done++;
	w->n_holders[i] = n;
	w->holder[i] = n ? holders[0] : UINT16_MAX;
	w->is_complete[i] = is_complete;
}

static void look(struct where *w, unsigned at, uint64_t ms)
{
	unsigned i;

	memset(w, 0, sizeof(*w));
	for (i = 0; i < KEYS; i++)
		w->key[i] = remote_key(w->bytes[i], rig_key(i, w->bytes[i]));
	w->locate = (struct remote_locate){.keys = w->key, .n = KEYS,
		.deadline_ms = store_now_ms() + ms, .done = located};
	peers_kind.locate(node[at].self, &w->locate);
	WAIT_FOR(w->n_done == KEYS);
}

static void test_ask(void **state)
{
	static struct where w;
	unsigned i;

	(void)state;
	open_all(3, "ask");
	for (i = 0; i < KEYS; i++)
		if (i % 4)
			put(i % 4 == 3 ? 2 : i % 4, i, i, 100);
	put(1, 3, 3, 100); /* both have it */
	look(&w, 0, 20000);
	for (i = 0; i < KEYS; i++) {
		assert_int_equal(w.n_holders[i] != 0, i % 4 != 0);
		if (!w.n_holders[i])
			assert_true(w.is_complete[i]);
		else if (i != 3)
			assert_int_equal(w.holder[i], number_of(0, i % 4 == 1 ? 1 : 2));
	}
	/*
	 * One that does not answer: what the other has is found at once, what nobody has is not
	 * known.
	 */
	node[2].is_stopped = true;
	look(&w, 0, 500);
	for (i = 0; i < KEYS; i++)
		if (i % 4 == 1 || i == 3)
			assert_int_equal(w.holder[i], number_of(0, 1));
		else
			assert_false(w.is_complete[i]);
	/* And when it is known to be lost. */
	close_node(2);
	WAIT_FOR(n_up(0) == 1);
	look(&w, 0, 20000);
	for (i = 0; i < KEYS; i++)
		if (i % 4 == 1 || i == 3)
			assert_int_equal(w.n_holders[i], 1);
		else
			assert_true(!w.n_holders[i] && !w.is_complete[i]);
}

static void tell(unsigned i, unsigned from, unsigned n, enum remote_event_type type)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct remote_event event = {.type = type};

	for (; n--; from++) {
		event.key = remote_key(bytes, rig_key(from, bytes));
		peers_kind.announce(node[i].self, &event, 1);
	}
}

static bool all_found(struct where *w, unsigned at, unsigned n)
{
	unsigned i, found = 0;

	look(w, at, 1000);
	for (i = 0; i < KEYS; i++)
		found += w->n_holders[i] != 0;
	return found == n;
}

static void test_directory(void **state)
{
	static struct where w;
	unsigned i;

	(void)state;
	open_all(4, "directory");
	/* What was there before anybody could be told is found by the walk, the rest by events. */
	for (i = 0; i < KEYS / 2; i++)
		put(3, i, i, 100);
	tell(3, 0, 0, REMOTE_STORED);
	peers_kind.announce(node[3].self, &(struct remote_event){.type = REMOTE_AGAIN}, 1);
	WAIT_FOR(all_found(&w, 0, KEYS / 2));
	for (i = 0; i < KEYS / 2; i++)
		assert_int_equal(w.holder[i], number_of(0, 3));
	for (i = KEYS / 2; i < KEYS; i++)
		put(1, i, i, 100);
	tell(1, KEYS / 2, KEYS / 2, REMOTE_STORED);
	WAIT_FOR(all_found(&w, 0, KEYS));
	for (i = KEYS / 2; i < KEYS; i++)
		assert_int_equal(w.holder[i], number_of(0, 1));
	for (i = KEYS / 2; i < KEYS; i++)
		assert_int_equal(rig_delete(&node[1].rig, i), ABI_STATUS_OK);
	tell(1, KEYS / 2, KEYS / 2, REMOTE_GONE);
	WAIT_FOR(all_found(&w, 2, KEYS / 2));
	/*
	 * A shard is lost, and what it knew is told again to those that are left, and to the next.
	 */
	close_node(1);
	WAIT_FOR(n_up(0) == 2);
	open_node(1, "directory");
	WAIT_FOR(all_up());
	WAIT_FOR(all_found(&w, 0, KEYS / 2));
}

static uint64_t counted(unsigned i, enum abi_counter counter)
{
	return shared_u64_load(&node[i].rig.w.counter[counter]);
}

/* --- hearing ---------------------------------------------------------------------------------- */

/* Who is in charge of it, as all agree. */
static unsigned shard_of(uint64_t key)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	XXH128_hash_t name = remote_key(bytes, rig_key(key, bytes)).name;
	uint64_t hash[N_MAX];
	char text[12];
	unsigned i;

	for (i = 0; i < n_nodes; i++) {
		snprintf(text, sizeof(text), "n%u", i);
		hash[i] = member_hash(text);
	}
	return rendezvous_choose(&name, hash, n_nodes);
}

/*
 * That somebody has stored something is heard by the member in charge of its name, and by no other.
 */
static void test_hear_shard(void **state)
{
	static struct where w;
	unsigned i, key;

	(void)state;
	open_all(4, "directory");
	/* One that came up may have anything. */
	for (i = 0; i < n_nodes; i++)
		assert_true(node[i].n_heard_any >= n_nodes - 1);
	for (key = 0; key < KEYS; key++)
		put(0, key, key, 100);
	tell(0, 0, KEYS, REMOTE_STORED);
	WAIT_FOR(all_found(&w, 1, KEYS));
	for (i = 0; i < n_nodes; i++)
		for (key = 0; key < KEYS; key++)
			assert_int_equal(node[i].heard[key], i && shard_of(key) == i);
	WAIT_FOR(counted(0, ABI_COUNTER_ANNOUNCED) && counted(0, ABI_COUNTER_ANNOUNCED_AGAIN));
	WAIT_FOR(counted(1, ABI_COUNTER_HEARD) + counted(2, ABI_COUNTER_HEARD) +
			counted(3, ABI_COUNTER_HEARD) >= KEYS / 2);
}

/* Who was sent a value may have it from there on; who asked in vain has not. */
static void test_hear_served(void **state)
{
	struct get g = {0};

	(void)state;
	open_all(2, "ask");
	put(0, 1, 1, 100);
	assert_int_equal(get(&g, 1, 0, 1, 20000), REMOTE_OK);
	free(g.value);
	assert_int_equal(get(&g, 1, 0, 2, 20000), REMOTE_MISS);
	assert_int_equal(counted(0, ABI_COUNTER_SERVED), 1);
	assert_int_equal(counted(0, ABI_COUNTER_SERVED_BYTES), 100);
	assert_int_equal(counted(0, ABI_COUNTER_SERVE_MISSES), 1);
	assert_true(node[0].heard[1]);
	assert_false(node[0].heard[2]);
	assert_false(node[1].heard[1]);
}

/* --- erasing ---------------------------------------------------------------------------------- */

static unsigned erased_told, erased_failed, n_erased;

static void erased(void *context, unsigned n_told, unsigned n_failed)
{
	(void)context;
	n_erased++;
	erased_told = n_told;
	erased_failed = n_failed;
}

static void erase(unsigned at, uint64_t i, uint64_t ms)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct remote_key key = remote_key(bytes, rig_key(i, bytes));

	n_erased = 0;
	peers_kind.erase(node[at].self, &key, store_now_ms() + ms, erased, NULL);
	WAIT_FOR(n_erased == 1);
}

static void test_erase(void **state)
{
	unsigned i;

	(void)state;
	open_all(3, "ask");
	for (i = 0; i < 4; i++) {
		put(1, i, i, 1000);
		put(2, i, i, 1000);
	}
	erase(0, 0, 20000);
	assert_int_equal(erased_told, 2);
	assert_int_equal(erased_failed, 0);
	assert_int_equal(rig_cell(&node[1].rig, 0), 0);
	assert_int_equal(rig_cell(&node[2].rig, 0), 0);
	erase(0, 77, 20000);
	assert_int_equal(erased_told, 2);
	assert_int_equal(counted(0, ABI_COUNTER_ERASES_HEARD), 0);
	assert_int_equal(counted(1, ABI_COUNTER_ERASES_HEARD), 2);
	/* One does not answer, and is counted; and carries it out when it is back. */
	node[2].is_stopped = true;
	erase(0, 1, 300);
	assert_int_equal(erased_told, 1);
	assert_int_equal(erased_failed, 1);
	assert_int_not_equal(rig_cell(&node[2].rig, 1), 0);
	node[2].is_stopped = false;
	WAIT_FOR(!rig_cell(&node[2].rig, 1));
	close_node(2);
	WAIT_FOR(n_up(0) == 1);
	erase(0, 2, 20000);
	assert_int_equal(erased_told, 1);
	assert_int_equal(erased_failed, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_fetch, teardown),
		cmocka_unit_test_teardown(test_many, teardown),
		cmocka_unit_test_teardown(test_stopped, teardown),
		cmocka_unit_test_teardown(test_hoarder, teardown),
		cmocka_unit_test_teardown(test_cancel, teardown),
		cmocka_unit_test_teardown(test_lost, teardown),
		cmocka_unit_test_teardown(test_ask, teardown),
		cmocka_unit_test_teardown(test_directory, teardown),
		cmocka_unit_test_teardown(test_hear_shard, teardown),
		cmocka_unit_test_teardown(test_hear_served, teardown),
		cmocka_unit_test_teardown(test_erase, teardown),
	};
	int r;

	rig_begin();
	log_init(&quiet, STDERR_FILENO);
	log_set_level(&quiet, getenv("VERBOSE") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	/* The loop registers the thread while it runs; here it is we who turn it. */
	rcu_register_thread();
	r = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	return r;
}
