/* SPDX-License-Identifier: Apache-2.0 */
/* Two brokers on two hosts, and values that the first one has. */
#ifndef BENCH_REMOTE_PAIR_H
#define BENCH_REMOTE_PAIR_H

#include <stdbool.h>
#include <stddef.h>

#include "bench/report.h"
#include "clients/shmcache.h"
#include "tests/support/broker-run.h"
#include "tests/support/net.h"
#include "tests/support/secure.h"

enum { REMOTE_KEY_SIZE = 16 };

/* Host 0 has values, host 1 wants them; this process is a client of both. */
struct remote_pair {
	struct net net;
	struct scratch files; /* certificates */
	struct broker_run broker[2];
	struct shmc *cache[2];
	int cpu[2]; /* the one that a host has to itself, or PROC_CPU_ANY */
};

/*
 * By main(), before there is any other thread. What fails is fatal. @config: more lines for
 * [remote], and sections after it. Stopped, they may be started again in another mode.
 */
void remote_pair_net(struct remote_pair *pair, const struct report *rep);
/* Before the start: each host has a CPU to itself, as machines have. This thread is on host 1's. */
void remote_pair_part_cpus(struct remote_pair *pair, const struct report *rep);
void remote_pair_start(struct remote_pair *pair, const struct report *rep, const char *dram_size,
	enum secure_mode mode, const char *config);
void remote_pair_stop(struct remote_pair *pair, const struct report *rep);

/* Store keys PREFIX/first ... at host 0; every byte is made from the number. */
void remote_pair_fill(struct remote_pair *pair, const struct report *rep, const char *prefix,
	size_t n, size_t size);
/* Are they at host 1, and right? Deletes them there. Returns how many were there. */
size_t remote_pair_check(struct remote_pair *pair, const struct report *rep, const char *prefix,
	size_t n);
/* Delete them at host 1, without a look. */
void remote_pair_forget(struct remote_pair *pair, const char *prefix, size_t n);

#endif
