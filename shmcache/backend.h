/* SPDX-License-Identifier: Apache-2.0 */
/* backend.h: what the CXL tier is to lie on, from the configuration and the machine. */
#ifndef SHMCACHE_BACKEND_H
#define SHMCACHE_BACKEND_H

#include <stddef.h>

#include "allocator/dax.h"
#include "allocator/node.h"
#include "allocator/region.h"
#include "shmcache/config/config.h"

/* What a choice is made from. */
struct machine {
	struct dax_device *device;
	size_t n_devices;
	struct node *node;
	size_t n_nodes;
	uint64_t shm_size, shm_free; /* bytes, of /dev/shm */
};

/* A snapshot. What can't be looked at is not there. */
void machine_look(struct machine *m);
void machine_free(struct machine *m);

struct backend {
	enum config_backend kind;     /* never AUTO */
	struct region_options region; /* size 0: no such tier; the device is below */
	char device[CONFIG_PATH_MAX + 1];
	char why[512]; /* a sentence: how it came to this */
};

/*
 * Choose. @name is the shared memory name of the tier; it stays the caller's. 0; or, where the
 * configuration asks for what the machine does not have, a negative errno and a sentence in
 * @out->why. Devices may be opened to see whose they are; nothing is changed.
 */
int backend_choose(struct backend *out, const struct config *c, const struct machine *m,
	const char *name);

/* "auto", "devdax", "numa", "shm", "off". */
const char *backend_name(enum config_backend kind);

#endif
