/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regions that somebody else has cut short.
 *
 * Whoever has a writable descriptor of a shared memory object can truncate it,
 * or punch holes in it; Linux offers no seal against that for an object with a
 * name. Whoever touches a page that is gone gets a SIGBUS where it lies beyond
 * the end, and zeroes in a hole. So the owner looks now and then, and makes the
 * region whole again.
 *
 * The look is one system call while all is well: a region has all its pages
 * from the start, so one that is missing shows in the size or in the number of
 * blocks, also when the size was set right again. A hole that was filled by a
 * touch since does not show; who may fill blocks may spoil them without holes.
 */
#include "allocator/region-private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

bool region_is_damaged(const struct region *r, uint64_t *off)
{
	struct stat st;
	off_t hole;

	/* A device says that its size is 0, and nobody can change it. */
	if (!r->ops->is_file || fstat(r->fd, &st))
		return false;
	if ((uint64_t)st.st_size == r->size && (uint64_t)st.st_blocks * 512 >= r->size)
		return false;
	/* The end of the object counts as a hole; ENXIO: it is empty. */
	hole = lseek(r->fd, 0, SEEK_HOLE);
	if (hole < 0 && errno != ENXIO)
		hole = st.st_size;
	*off = hole < 0 ? 0 : (uint64_t)hole;
	if (*off > r->size)
		*off = r->size;
	return *off < r->size || (uint64_t)st.st_size != r->size;
}

int region_mend(struct region *r, uint64_t off)
{
	int err;

	if (!r->ops->is_file)
		return 0;
	if (ftruncate(r->fd, (off_t)r->size))
		return -errno;
	if (off >= r->size)
		return 0;
	do {
		err = fallocate(r->fd, 0, (off_t)off, (off_t)(r->size - off));
	} while (err && errno == EINTR);
	if (err)
		return -errno;
	/* As at the start; where it fails, the pages come with the first touch. */
	madvise((char *)r->base + off, r->size - off, MADV_POPULATE_WRITE);
	return 0;
}
