/* SPDX-License-Identifier: Apache-2.0 */
/* etcd-nodes.h: members in this thread, of one real etcd, which a test kills and starts again. */
#ifndef TESTS_SHMCACHE_REMOTE_PEERS_ETCD_NODES_H
#define TESTS_SHMCACHE_REMOTE_PEERS_ETCD_NODES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <cmocka.h>

#include "shmcache/remote/peers/etcd-post.h"
#include "shmcache/remote/peers/etcd.h"
#include "tests/support/etcd.h"

enum { PATIENCE_MS = 40000, TTL_S = 2, N_NODES = 3 };

/* --- the server ------------------------------------------------------------------------------- */

extern struct etcd_server server;

void server_start(const char *data);
/* It is gone, and all that run know it. */
void server_dies(void);
/* The status of its answer, which stands in @server then. */
long ask(const char *path, const char *body, const char *token);

/* --- nodes ------------------------------------------------------------------------------------ */

struct node {
	struct etcd *e; /* NULL: it does not run */
	struct member view[8];
	unsigned n, n_views;
	unsigned noted[3]; /* by enum etcd_note */
	char refused[256]; /* the last of ETCD_REFUSED */
	struct etcd_setting setting[8];
	unsigned n_settings, n_told;
};

extern struct node node[N_NODES];
extern unsigned settle_ms, entries_max; /* of nodes that are started from then on */
extern bool has_failed; /* then patience is short: what comes after would fail for long */

void node_start_as(unsigned i, const char *user, const char *password, const char *endpoints);
/* Without a user. */
void node_start(unsigned i);
void node_stop(unsigned i);

/* Let all that run work for up to @ms, or until something comes; and for just @ms. */
void work(int ms);
void work_for(unsigned ms);
#define WORK_UNTIL(condition)                                                          \
	do {                                                                           \
		uint64_t until_ms = post_now_ms() + (has_failed ? 3000 : PATIENCE_MS); \
		while (!(condition)) {                                                 \
			has_failed |= post_now_ms() >= until_ms;                       \
			assert_true(post_now_ms() < until_ms);                         \
			work(100);                                                     \
		}                                                                      \
	} while (0)

bool sees(unsigned i, unsigned other);
/* All that run see each other, themselves, and nobody else. */
bool agree(void);
struct etcd_stats stats_of(unsigned i);

/* --- a program of tests ----------------------------------------------------------------------- */

/* After every test: nobody runs, and etcd does. */
int stop_all(void **state);
#define NODES_TEST(name) cmocka_unit_test_teardown(name, stop_all)

/* With an etcd; 77 where there is none. */
int nodes_skip(void);
int nodes_setup(void **state);
int nodes_teardown(void **state);
#define NODES_RUN(name, tests) \
	(nodes_skip() ? 77 : cmocka_run_group_tests_name(name, tests, nodes_setup, nodes_teardown))

#endif
