/* SPDX-License-Identifier: Apache-2.0 */
/* The devices of directly mapped memory that the machine has, as libdaxctl describes them. */
#ifndef ALLOCATOR_DAX_H
#define ALLOCATOR_DAX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What is told here can't be had from the device itself: fstat() gives no size, a mapping beyond
 * the end succeeds and kills whoever touches it, get_mempolicy() tells a node that it is not on,
 * and a device without a driver can be seen but not opened. A snapshot; nothing is kept open.
 */
struct dax_device {
	char path[64];	      /* "/dev/dax0.0" */
	char driver[32];      /* "device_dax", "kmem", or empty: none is bound */
	uint64_t size, align; /* bytes; maps must be multiples of the second */
	int target_node;      /* where the memory is; -1: not told */
	unsigned int major, minor;
	bool is_enabled;      /* bound to its driver as a device that can be mapped */
	bool is_memory;	      /* bound as ordinary memory of target_node instead */
	bool is_persistent;   /* on a bus for memory that keeps its content without power */
	/*
	 * Another number each time that a driver is bound: a device that was ordinary memory in
	 * between, and holds what the kernel left of that, has another one. 0: not told.
	 */
	uint64_t binding;
};

/*
 * All devices, in the order of their names as numbers; *out is to be freed, NULL where there are
 * none. 0, or a negative errno and nothing written. Wants no privilege.
 */
int dax_list(struct dax_device **out, size_t *n);

/* The device of that path. -ENODEV: there is none. */
int dax_find(const char *path, struct dax_device *out);

/* What keeps the device from being mapped, for people: "is disabled ..."; NULL: nothing. Static. */
const char *dax_obstacle(const struct dax_device *device);

#endif
