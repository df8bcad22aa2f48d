/* SPDX-License-Identifier: Apache-2.0 */
/* status.h: the live picture as JSON, for the page and whoever likes. */
#ifndef SHMCACHE_HTTP_STATUS_H
#define SHMCACHE_HTTP_STATUS_H

#include <stdio.h>

#include "ipc/abi.h"
#include "ipc/lookup.h"

/*
 * Broker, gauges, counters, times and sessions: an object without its last brace, as there may be
 * more. From the plane, by any thread.
 */
void status_write(FILE *out, const struct abi_plane *plane);

/*
 * How full each part of each tier is: STATUS_PARTS numbers from 0 to 1000. From a sample of the
 * index, if it is large: buckets are filled by hash, so any of them tell of all. By a thread that
 * is registered with liburcu.
 */
#define STATUS_PARTS 512
void status_write_map(FILE *out, const struct abi_plane *plane, const struct lookup *index);

#endif
