/* SPDX-License-Identifier: Apache-2.0 */
/* backend.h: what the CXL tier is to lie on: from the configuration and from what the machine has. */
#ifndef SHMCACHE_BACKEND_H
#define SHMCACHE_BACKEND_H

#include <stddef.h>

#include "allocator/region.h"
#include "shmcache/config/config.h"

struct backend {
	enum config_backend kind;     /* never AUTO */
	struct region_options region; /* size 0: no such tier; its strings are the caller's or below */
	char device[CONFIG_PATH_MAX + 1];
	char why[256]; /* a sentence: how it came to this */
};

/*
 * Choose. @name is the shared memory name of the tier. 0; or, where the configuration asks for what
 * the machine does not have, a negative errno and a sentence in @out->why. Nothing is opened for good.
 */
int backend_choose(struct backend *out, const struct config *c, const char *name);

/* "auto", "devdax", "numa", "shm", "off". */
const char *backend_name(enum config_backend kind);

#endif
