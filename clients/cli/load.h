/* SPDX-License-Identifier: Apache-2.0 */
/* load.h: a load of puts or gets by some threads for some time. */
#ifndef CLIENTS_CLI_LOAD_H
#define CLIENTS_CLI_LOAD_H

#include <stdint.h>

#include "clients/cli/histogram.h"
#include "clients/shmcache.h"

#define LOAD_THREADS_MAX 256
#define LOAD_KEYS_MAX UINT32_MAX

enum load_kind {
	LOAD_PUT,
	LOAD_GET,
};

/* All at least 1. The keys are the same for all loads of a process. */
struct load {
	struct shmc *cache;
	uint64_t value_size, n_keys, n_threads, time_ms;
};

struct load_result {
	uint64_t n, n_missed; /* operations */
	double seconds;
	struct histogram histogram; /* of a sample, in nanoseconds */
};

/*
 * All return 0, a negative errno, or an outcome other than SHMC_MISS that an operation had;
 * -EBADMSG is a hit that was not what had been put. Not from two threads at once.
 */

/* Put every key once. */
int load_fill(const struct load *load);

/* Put or get keys at random until the time is over. @result is written whatever comes of it. */
int load_run(const struct load *load, enum load_kind kind, struct load_result *result);

/* Delete every key. */
int load_clean(const struct load *load);

/* End what is running, and what would follow, early and with success. For signal handlers. */
void load_interrupt(void);

#endif
