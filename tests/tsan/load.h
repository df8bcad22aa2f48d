/* SPDX-License-Identifier: Apache-2.0 */
/* What one client thread does to a cache, and what it finds wrong. */
#ifndef TESTS_TSAN_LOAD_H
#define TESTS_TSAN_LOAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "clients/shmcache.h"
#include "tests/support/value.h"

#define LOAD_KEYS 14000 /* that all threads share */
#define LOAD_OWN_KEYS 64 /* that only one thread writes */
#define LOAD_HELD 12
#define LOAD_TIMEOUT_MS 30000

struct load_view {
	struct shmc_view view;
	uint64_t key;
};

/* Where threads of one handle leave views for the releaser. */
struct load_exchange {
	struct shmc *cache;
	pthread_mutex_t lock;
	struct load_view view;
	atomic_bool is_done;
};

/* What all threads of a run share. */
struct load_run {
	struct load_exchange exchange;
	atomic_ulong n_failures;
	uint64_t seed;
};

/* One thread's part. Kept when the thread is followed by another one. */
struct load {
	struct load_run *run;
	struct shmc *cache;
	unsigned number;  /* of the part, from 0 */
	unsigned n_ops;
	bool may_reserve; /* the role is writer */
	uint64_t random, n_versions;
	uint64_t own_version[LOAD_OWN_KEYS]; /* 0: was never put, or was deleted */
	struct load_view held[LOAD_HELD];
	uint64_t n_hits;
};

void load_init(struct load *load, struct load_run *run, struct shmc *cache, unsigned number,
	unsigned n_ops);

/* Do @n_ops operations at random, the same ones for the same seed. For pthread_create(). */
void *load_main(void *load);

/* Release what is left in the exchange, until it says that this is done. For pthread_create(). */
void *load_release_main(void *load);

/* Release the views that are held still. */
void load_end(struct load *load);

#endif
