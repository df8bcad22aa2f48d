/* SPDX-License-Identifier: Apache-2.0 */
/* transfer.h: bytes between a descriptor and memory, whole or not at all. */
#ifndef CLIENTS_CLI_TRANSFER_H
#define CLIENTS_CLI_TRANSFER_H

#include <stddef.h>

#include "clients/cli/progress.h"

/*
 * All return 0 or a negative errno, go on after signals and short transfers, and wait where
 * the descriptor is non-blocking.
 */

/* Read exactly @size bytes. -ENODATA: it ended before. */
int transfer_read(int fd, void *buffer, size_t size, struct progress *progress);

/*
 * Read to the end. *data is the caller's to free(). -EFBIG: there is more than @max;
 * -ENOMEM.
 */
int transfer_slurp(int fd, size_t max, void **data, size_t *size, struct progress *progress);

int transfer_write(int fd, const void *data, size_t size, struct progress *progress);

#endif
