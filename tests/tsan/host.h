/* SPDX-License-Identifier: Apache-2.0 */
/* A broker that runs in a thread of this program. */
#ifndef TESTS_TSAN_HOST_H
#define TESTS_TSAN_HOST_H

#include <pthread.h>

#include "ipc/abi.h"
#include "shmcache/broker.h"

struct host {
	struct broker broker;
	struct config config;
	struct log log;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int result; /* of the start; 1: not known yet */
	char why[512];
};

/*
 * Start a broker under a name of this process's own, with the @options "section.key=value" up to
 * NULL. 0, or a negative errno after saying why on stderr.
 */
int host_start(struct host *host, const char *const *options);

/* Stop it as SIGTERM does. */
void host_stop(struct host *host);

static inline const char *host_name(const struct host *host)
{
	return host->config.cache.name;
}

/* A counter, summed up over the workers; a gauge. */
uint64_t host_counter(const struct host *host, enum abi_counter counter);
uint64_t host_gauge(const struct host *host, enum abi_gauge gauge);

#endif
