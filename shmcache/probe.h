/* SPDX-License-Identifier: Apache-2.0 */
/* probe.h: shmcached --probe: what the machine has, and what would be made of it. */
#ifndef SHMCACHE_PROBE_H
#define SHMCACHE_PROBE_H

#include <stdbool.h>
#include <stdio.h>

#include "shmcache/backend.h"

/* A CXL memory device, whether or not its memory was made a dax device or a node. */
struct probe_memdev {
	char name[32]; /* "mem0" */
	char host[64]; /* the PCI device */
	uint64_t volatile_size, persistent_size; /* bytes */
	int node;      /* of the host bridge; -1: not told */
	bool is_enabled;
};

struct probe {
	struct machine machine;
	struct probe_memdev *memdev;
	size_t n_memdevs;
	bool knows_memdevs; /* was built with libcxl, and that could be asked */
	char name[64]; /* of the tier's shared memory */
	struct backend choice;
	int choice_error;   /* 0, or a negative errno: no broker would start so */
};

/*
 * Look at the machine, and choose as a broker of that configuration would; its sizes that are 0
 * have been filled in. Wants no privilege; what can't be seen without is not there. Free it all the
 * same.
 */
void probe_look(struct probe *p, const struct config *c);
void probe_free(struct probe *p);

/* As text for people, or as one JSON object. 0, or -errno of the stream. */
int probe_print(const struct probe *p, FILE *out);
int probe_print_json(const struct probe *p, FILE *out);

/*
 * The CXL memory devices, to be freed: probe-cxl.c with libcxl, probe-nocxl.c without. False: they
 * can't be told.
 */
bool probe_memdevs(struct probe_memdev **out, size_t *n);

#endif
