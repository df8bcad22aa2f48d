/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.h: what is to be told of other brokers, one by one. */
#ifndef SHMCACHE_REMOTE_METRICS_H
#define SHMCACHE_REMOTE_METRICS_H

#include <stdio.h>

#include "shmcache/remote/remote.h"

/*
 * Write them in the text format of Prometheus, each with a label for the peer. Nothing for @n == 0.
 */
void remote_metrics_write(FILE *out, const struct remote_health *health, unsigned n);

#endif
