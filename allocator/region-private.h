/* SPDX-License-Identifier: Apache-2.0 */
/* What the kinds of regions share; for allocator/region*.c alone. */
#ifndef ALLOCATOR_REGION_PRIVATE_H
#define ALLOCATOR_REGION_PRIVATE_H

#include "allocator/region.h"

#define REGION_HUGE_PAGE (UINT64_C(2) << 20)

/* Where messages for people go; sentences are appended. */
struct region_why {
	char *text;
	size_t size;
};

struct region {
	const struct region_ops *ops;
	char *name;
	char *device;		/* NULL: it is on none */
	uint64_t size;
	uint64_t skip;		/* of the object, before the region */
	uint64_t align;		/* of a mapping's address */
	void *base;		/* NULL: not mapped */
	int fd;			/* -1: none */
	int fd_readonly;	/* -1: none */
	int fd_lock;		/* -1: none; never a client's */
	int node;
	unsigned int lacks;
	uint64_t huge_size;
	uint64_t identity[2];
	struct region_placement placement;
};

/* One kind. */
struct region_ops {
	/* Sets fd, fd_readonly, base and lacks. On failure or an outcome the
	 * generic part closes what was set. */
	int (*open)(struct region *r, const struct region_options *opt,
			const struct region_why *why);
	/* Removes the name, if it still means this region. */
	void (*unlink)(struct region *r);
	bool is_file;	/* it has a size that others can change, and pages that
			 * they can take away */
};

extern const struct region_ops region_shm_ops, region_devdax_ops;

/* Adds a sentence, printf style. */
__attribute__((format(printf, 2, 3)))
void region_why_add(const struct region_why *why, const char *fmt, ...);

/* A size for people: "1.50 GiB". */
struct region_size_text {
	char s[24];
};
struct region_size_text region_size_text(uint64_t size);

/*
 * Maps `size` bytes of r->fd behind `skip`, readable and writable, at a multiple
 * of `align`. Kept out of core dumps.
 */
int region_map(struct region *r, const struct region_why *why);

/*
 * Binds the mapping to `node` (-1: to none), before its pages are reserved; a
 * node that does not exist is -EINVAL, one that is too small -ENOMEM, and where
 * binding is not permitted the region lacks REGION_UNBOUND.
 */
int region_bind(struct region *r, int node, const struct region_why *why);

/* After reserving: where each page is, of a region that is bound to a node. */
void region_bind_verify(struct region *r, unsigned int n_threads, const struct region_why *why);

/*
 * Reserves and maps every page, by that many threads, and collects huge pages
 * where `huge`. Content stays. -ENOSPC before anything was taken where it is
 * plain that there is not enough.
 */
int region_reserve(struct region *r, unsigned int n_threads, bool huge,
		const struct region_why *why);

/*
 * Does something to the whole region in slices of up to 64 MiB, by that many
 * threads (0: as the CPUs suggest), until one fails. `run` returns 0 or a positive
 * errno; so does this: the first failure.
 */
typedef int region_slice_fn(const struct region *r, uint64_t off, uint64_t size, void *arg);
int region_slices(const struct region *r, unsigned int n_threads, region_slice_fn *run, void *arg);

#endif
