/* SPDX-License-Identifier: Apache-2.0 */
/* execute.h: running requests to their end on the calling thread's lane. */
#ifndef CLIENTS_LIB_EXECUTE_H
#define CLIENTS_LIB_EXECUTE_H

#include <stddef.h>
#include <stdint.h>

#include "clients/lib/handle.h"

/*
 * As shmc_execute(), with a deadline. Each request has a result, whatever comes back; what was not
 * even begun has that one.
 */
int execute(struct shmc *cache, struct shmc_request *requests, size_t n, uint64_t deadline);

/* The same on a lane that is the caller's. -ENOTCONN is still to be told to the handle. */
int execute_on(struct lane *lane, struct shmc_request *requests, size_t n, uint64_t deadline);

#endif
