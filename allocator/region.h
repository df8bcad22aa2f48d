/* SPDX-License-Identifier: Apache-2.0 */
/* A named piece of memory that outlives its broker: what a tier lies on. */
#ifndef ALLOCATOR_REGION_H
#define ALLOCATOR_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A region is opened and closed by one thread; in between, all that is asked
 * here is constant and may be read by any thread. Sizes are bytes.
 */
struct region;

enum region_kind {
	REGION_SHM,	/* a POSIX shared memory object; on a NUMA node or any */
	REGION_DEVDAX,	/* a device of directly mapped memory, /dev/daxX.Y */
	REGION_N_KINDS,
};

enum region_mode {
	REGION_CREATE,	/* make it; what it holds is 0 */
	REGION_REUSE,	/* take what an earlier broker left, with its content */
};

/* Outcomes of region_open(), nothing was opened or changed: */
enum {
	REGION_EXISTS = 1,	/* CREATE: there is one; see region_unlink() */
	REGION_ABSENT,		/* REUSE: there is none */
	REGION_OTHER_SIZE,	/* REUSE: there is one of another size */
	REGION_OTHER,		/* REUSE: what is there is not what was left */
};

/* What was asked for and not got, though the region is good to use. */
enum {
	REGION_UNBOUND = 1u << 0,	/* not bound to the node: not permitted */
	REGION_ELSEWHERE = 1u << 1,	/* bound, but some pages are on others */
	REGION_NOT_HUGE = 1u << 2,	/* not (all) in huge pages */
	REGION_UNVERIFIED = 1u << 3,	/* bound, but where pages are is not told */
};

struct region_options {
	enum region_kind kind;
	enum region_mode mode;
	const char *name;	/* "/kv0.dram": one slash, in front */
	uint64_t size;		/* a multiple of the page size, not 0 */
	int node;		/* SHM alone: NUMA node, -1: any */
	bool huge;		/* try for huge pages */
	unsigned int n_threads;	/* that reserve pages; 0: as the CPUs suggest */
	/* DEVDAX alone. The size is a multiple of the device's alignment, see
	 * region_devdax_room(), and the name is what the device is marked with. */
	const char *device;	/* "/dev/dax0.0" */
	bool is_told;		/* whoever still maps what bears this name knows
				 * that it is void: it may be written over */
	uint64_t identity[2];	/* REUSE: what region_identity() was. Of other
				 * kinds it is 0 */
};

/*
 * Opens and maps a region and reserves every page of it, in parallel: once this
 * has returned 0, no access to the region can fail for want of memory. The
 * object is private to the user (mode 0600). A start that fails leaves nothing
 * behind that it made, and leaves alone what it found.
 *
 * `why` takes a sentence for people, terminated: about a failure or an outcome,
 * or about each of region_lacks() on success; else it is empty. NULL with
 * why_size 0: not wanted.
 *
 * -EINVAL: an option, or a node that does not exist; -ENOSPC: the file system
 * behind shared memory has no room for it, -ENOMEM: nor has the machine; -EPERM:
 * REUSE found an object that is another user's or open to others; others as the
 * system gave them. Of a device: -ENODEV, -ENXIO (disabled), -EBUSY (another
 * broker, or clients of one, have it; or it is ordinary memory now), -ENOSPC (it
 * is smaller).
 */
int region_open(struct region **out, const struct region_options *opt, char *why,
		size_t why_size);

/* Unmaps and closes. With `unlink` the name goes too, unless it has come to mean
 * something else since, and a device's content is nobody's; mappings of others
 * stay good. Takes NULL. */
void region_close(struct region *r, bool unlink);

/*
 * Removes what is left under a name, by whomever, of the kind REGION_SHM. 0,
 * REGION_ABSENT, or a negative errno. Only the holder of the broker's own lock
 * on the name may do that.
 */
int region_unlink(const char *name);

void *region_base(const struct region *r);	/* aligned to 2 MiB */
uint64_t region_size(const struct region *r);
const char *region_name(const struct region *r);
int region_node(const struct region *r);	/* -1: not bound to one */

/*
 * How to map it from a descriptor: from which offset on, at an address that is a
 * multiple of which size (at least 2 MiB).
 */
uint64_t region_map_off(const struct region *r);
uint64_t region_map_align(const struct region *r);

/* Drawn anew for each CREATE on a device; 0 of other kinds. */
const uint64_t *region_identity(const struct region *r);

/* Descriptors of the object for mapping it elsewhere: for reading and writing,
 * and for reading only. They stay the region's, and close with it. */
int region_fd(const struct region *r);
int region_fd_readonly(const struct region *r);

/* Bits of what was asked for and not got; count and log them. */
unsigned int region_lacks(const struct region *r);

/* Where the pages of a bound region were found at the opening, in bytes. */
struct region_placement {
	uint64_t on_node;
	uint64_t elsewhere;
	uint64_t untold;	/* the kernel did not say, asked several times */
};
const struct region_placement *region_placement(const struct region *r);

/*
 * Whether pages of it were taken away, or its size was changed, by somebody who
 * has a writable descriptor. *off, written then, is where the first missing page
 * begins, or the size if none is. What lies before it is whole.
 */
bool region_is_damaged(const struct region *r, uint64_t *off);

/*
 * Gives a damaged region its size back, and from *off on pages: they read as 0
 * where they were missing. 0, or a negative errno (-ENOSPC: others have taken the
 * room): to be tried again.
 */
int region_mend(struct region *r, uint64_t off);

/* Bytes that are mapped by huge pages here, as of the opening. */
uint64_t region_huge_size(const struct region *r);

/*
 * What a region on that device can have: the device, less its first page, less
 * what is no multiple of its alignment. 0: nothing.
 */
struct dax_device;
uint64_t region_devdax_room(const struct dax_device *device);

/*
 * Which region a device carries: its name, or an empty one. 0; -EBUSY: a broker
 * has it; or what else kept us from looking. Changes nothing.
 */
int region_devdax_owner(const struct dax_device *device, char *name, size_t size);

#endif
