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
	uint64_t size;
	void *base;		/* NULL: not mapped */
	int fd;			/* -1: none */
	int fd_readonly;	/* -1: none */
	int node;
	unsigned int lacks;
	uint64_t huge_size;
};

/* One kind. */
struct region_ops {
	/* Sets fd, fd_readonly, base and lacks. On failure or an outcome the
	 * generic part closes what was set. */
	int (*open)(struct region *r, const struct region_options *opt,
			const struct region_why *why);
	/* Removes the name, if it still means this region. */
	void (*unlink)(struct region *r);
};

extern const struct region_ops region_shm_ops;

/* Adds a sentence, printf style. */
__attribute__((format(printf, 2, 3)))
void region_why_add(const struct region_why *why, const char *fmt, ...);

/* A size for people: "1.50 GiB". */
struct region_size_text {
	char s[24];
};
struct region_size_text region_size_text(uint64_t size);

/*
 * Maps `size` bytes of r->fd, readable and writable, aligned to a huge page.
 * Kept out of core dumps.
 */
int region_map(struct region *r, const struct region_why *why);

/*
 * Binds the mapping to `node` (-1: to none), before its pages are reserved; a
 * node that does not exist is -EINVAL, one that is too small -ENOMEM, and where
 * binding is not permitted the region lacks REGION_UNBOUND.
 */
int region_bind(struct region *r, int node, const struct region_why *why);

/* After reserving: whether the pages are on the node that they are bound to. */
void region_bind_verify(struct region *r, const struct region_why *why);

/*
 * Reserves and maps every page, by that many threads, and collects huge pages
 * where `huge`. Content stays. -ENOSPC before anything was taken where it is
 * plain that there is not enough.
 */
int region_reserve(struct region *r, unsigned int n_threads, bool huge,
		const struct region_why *why);

#endif
