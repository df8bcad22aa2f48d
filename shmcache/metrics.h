/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.h: the plane's numbers in the text format of Prometheus. */
#ifndef SHMCACHE_METRICS_H
#define SHMCACHE_METRICS_H

#include <stdio.h>

#include "ipc/abi.h"

/*
 * Write all of them. Reads the plane alone, at any time, from any thread; not a snapshot of one
 * moment. Errors are the stream's to tell.
 */
void metrics_write(FILE *out, const struct abi_plane *plane);

#endif
