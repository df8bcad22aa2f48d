/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster.h: brokers of the kind "peers" without clients, all of them in this thread.
 *
 * Each has a store and a loop of its own; time passes for whom we turn the loop of, and one that is
 * not turned is as one that is stopped.
 */
#ifndef TESTS_SHMCACHE_REMOTE_PEERS_CLUSTER_H
#define TESTS_SHMCACHE_REMOTE_PEERS_CLUSTER_H

#include "shmcache/remote/loop.h"
#include "shmcache/remote/peers/peers.h"
#include "tests/shmcache/rig.h"

#define CLUSTER_MAX 4
#define CLUSTER_KEYS 40
#define CLUSTER_PATIENCE_MS 20000

struct node {
	struct rig rig;
	struct config config;
	struct remote_loop loop;
	void *self;
	bool is_open, is_stopped;
	struct remote_ear ear;
	bool heard[CLUSTER_KEYS]; /* by key: that somebody may have it */
	unsigned n_heard_any;	  /* that somebody may have any */
};

struct cluster {
	struct node node[CLUSTER_MAX];
	unsigned n_nodes;
	const char *window; /* NULL: as is configured by default */
	struct log quiet;
};

/* @n members that know each other and locate as @locate says; returns when every link is up. */
void cluster_open(struct cluster *c, unsigned n, const char *locate);
/* A member whose store is there begins, and ends. */
void cluster_open_node(struct cluster *c, unsigned i, const char *locate);
void cluster_close_node(struct cluster *c, unsigned i);

/* All that are not stopped go round once. */
void cluster_turn(struct cluster *c);
#define CLUSTER_WAIT(c, condition)                                        \
	do {                                                              \
		uint64_t until_ms = store_now_ms() + CLUSTER_PATIENCE_MS; \
		while (!(condition)) {                                    \
			assert_true(store_now_ms() < until_ms);           \
			cluster_turn(c);                                  \
		}                                                         \
	} while (0)

/* How many others member @i has a link to; and whether every member has all. */
unsigned cluster_n_up(struct cluster *c, unsigned i);
bool cluster_is_up(struct cluster *c);

/* What member @at calls member @i: the order is the list's, without oneself. */
unsigned cluster_number(unsigned at, unsigned i);

/* Into the store of member @i, as rig_put(). */
void cluster_put(struct cluster *c, unsigned i, uint64_t key, uint64_t seed, uint64_t size);

/*
 * A question of member @at for all keys, and what it is told: how many holders of each, the first of
 * them, and whether all were asked who could be.
 */
struct cluster_question {
	struct remote_locate locate;
	struct remote_key key[CLUSTER_KEYS];
	uint8_t bytes[CLUSTER_KEYS][ABI_KEY_SIZE_MAX];
	unsigned n_done, n_holders[CLUSTER_KEYS];
	uint16_t holder[CLUSTER_KEYS];
	bool is_complete[CLUSTER_KEYS];
};
void cluster_ask(struct cluster *c, struct cluster_question *q, unsigned at, uint64_t ms);
/* The same, and its answers. */
void cluster_look(struct cluster *c, struct cluster_question *q, unsigned at, uint64_t ms);
/* Did it find so many of the keys within a second? */
bool cluster_finds(struct cluster *c, struct cluster_question *q, unsigned at, unsigned n);

/* Of @n keys, the first of which is @from, something is told to the directory by member @i. */
void cluster_tell(struct cluster *c, unsigned i, unsigned from, unsigned n,
	enum remote_event_type type);
/* Who is in charge of a key, as all agree. */
unsigned cluster_shard(const struct cluster *c, uint64_t key);

/* After every test on the cluster c: nothing is lent, the books agree, nothing is left. */
int cluster_teardown(void **state);
#define CLUSTER_TEST(name) \
	cmocka_unit_test_prestate_setup_teardown(name, NULL, cluster_teardown, &c)

#endif
