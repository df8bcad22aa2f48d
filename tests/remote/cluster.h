/* SPDX-License-Identifier: Apache-2.0 */
/* cluster.h: brokers on hosts of the test's own, that know each other. */
#ifndef TESTS_REMOTE_CLUSTER_H
#define TESTS_REMOTE_CLUSTER_H

#include "tests/support/net.h"
#include "tests/support/secure.h"
#include "tests/support/whole.h"
#include "tests/system/common.h"

#define CLUSTER_MAX 3
#define CLUSTER_PORT 7100

/*
 * Broker i is named "n<i>", is on host i, and listens on CLUSTER_PORT there. Static in its program.
 */
struct cluster {
	struct net net;
	enum secure_mode mode;
	struct scratch files; /* certificates, unless SECURE_NONE */
	const char *etcd; /* its URL, if members are known by that; NULL: by a list */
	unsigned n;
	struct system_broker broker[CLUSTER_MAX];
	struct shmc *cache[CLUSTER_MAX]; /* attached to each */
	unsigned n_fds[CLUSTER_MAX], n_threads[CLUSTER_MAX]; /* when all links stood */
};

/*
 * By main(), first of all. Where the machine has no namespaces for us it says so and ends the program
 * with EXIT_SKIP. The arguments may be "--security none|tls|bound": secure.h.
 */
void cluster_init(struct cluster *c, unsigned n_hosts, int argc, char **argv);

/*
 * Start @n brokers, and wait until each has a link to each. @config: whole lines, in which sections
 * may begin; those of [remote] are open when it starts, and say how members are known. More members
 * than there are brokers may be named with @more, "name=address:port, ...", or NULL.
 */
void cluster_start(struct cluster *c, unsigned n, const char *dram_size, const char *config,
	const char *more);

/* Start one again that was ended, and wait until it has its links. */
void cluster_again(struct cluster *c, unsigned i);
void cluster_kill(struct cluster *c, unsigned i);

/* Wait until broker @i has said so of peer @j so many times: lines of its log. */
void cluster_wait_up(struct cluster *c, unsigned i, unsigned j, unsigned n);
void cluster_wait_down(struct cluster *c, unsigned i, unsigned j, unsigned n);
unsigned cluster_n_ups(struct cluster *c, unsigned i, unsigned j);
unsigned cluster_n_downs(struct cluster *c, unsigned i, unsigned j);

/* What the inspector says of broker @i: a view, with its argument if it has one, or NULL. */
void cluster_inspect(struct cluster *c, unsigned i, const char *view, const char *argument,
	struct system_output *o);

/*
 * Nothing is left of what was: no block, hold, descriptor or thread too many, books in balance both
 * as the broker's clients and as the inspector see them, and it serves. All links stand, nobody
 * else is attached.
 */
void cluster_check(struct cluster *c);

/* cluster_check(), and stop them all; each ends with 0. Harmless when nothing was started. */
void cluster_stop(struct cluster *c);

/* --- values -------------------------------------------------------------------------------- */

/* A value of key number @key that names its version, put at broker @i, @size bytes of it. */
void cluster_put(struct cluster *c, unsigned i, uint64_t key, uint64_t version, size_t size);

/*
 * Fetch it at broker @i: its version, every byte of it being right; or 0, and *why (or NULL) says
 * why. The deadline is the broker's: the library waits longer.
 */
uint64_t cluster_fetch(struct cluster *c, unsigned i, uint64_t key, unsigned deadline_ms,
	unsigned *why);

/* Was it there, at broker @i alone? */
bool cluster_delete(struct cluster *c, unsigned i, uint64_t key);

/* Is it there, locally, at broker @i? Its version or 0; every byte is looked at. */
uint64_t cluster_get(struct cluster *c, unsigned i, uint64_t key);

uint64_t cluster_now_ms(void);

#endif
