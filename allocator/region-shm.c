/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regions in POSIX shared memory.
 *
 * The object outlives the broker that made it: that is what keeps a cache warm
 * over a restart. Hence an object that is found is either taken as it is or
 * left as it is, and only one that was made here is removed when the opening
 * fails half-way.
 *
 * An object found under the name is not trusted for its name. It may have been
 * put there by another user (anyone may create names in /dev/shm) or be readable
 * by others, which would make every value put from now on theirs too.
 *
 * Clients get descriptors and not the name, and most of them one that can't be
 * mapped for writing. That has to be an open file of its own: the mode of an
 * open file can't be lowered.
 */
#include "allocator/region-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int shm_fail(struct region *r, const struct region_why *why, const char *what)
{
	int err = errno;

	region_why_add(why, "cannot %s %s: %s", what, r->name, strerror(err));
	return -err;
}

/* A new descriptor of what the name means now, if it still is this region. */
static int shm_reopen(const struct region *r)
{
	struct stat ours, named;
	int fd = shm_open(r->name, O_RDONLY, 0);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &named) || fstat(r->fd, &ours) || ours.st_dev != named.st_dev ||
	    ours.st_ino != named.st_ino) {
		close(fd);
		return -ESTALE;
	}
	return fd;
}

/* Without a descriptor more: they may be what ran out. */
static void shm_unlink_ours(struct region *r)
{
	struct stat ours, named;
	char path[300];

	snprintf(path, sizeof(path), "/dev/shm%s", r->name);
	if (!lstat(path, &named) && !fstat(r->fd, &ours) && ours.st_dev == named.st_dev &&
		ours.st_ino == named.st_ino)
		shm_unlink(r->name);
}

static int shm_create(struct region *r, const struct region_why *why)
{
	r->fd = shm_open(r->name, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (r->fd < 0 && errno == EEXIST) {
		region_why_add(why, "%s exists already", r->name);
		return REGION_EXISTS;
	}
	if (r->fd < 0)
		return shm_fail(r, why, "create");
	/* The umask has had its say above. */
	if (fchmod(r->fd, 0600) || ftruncate(r->fd, (off_t)r->size)) {
		int err = shm_fail(r, why, "set up");

		shm_unlink_ours(r);
		return err;
	}
	return 0;
}

static int shm_reuse(struct region *r, const struct region_why *why)
{
	struct stat st;

	r->fd = shm_open(r->name, O_RDWR, 0);
	if (r->fd < 0 && errno == ENOENT) {
		region_why_add(why, "there is no %s", r->name);
		return REGION_ABSENT;
	}
	if (r->fd < 0 || fstat(r->fd, &st))
		return shm_fail(r, why, "open");
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 077) {
		region_why_add(why, "%s is not safe to reuse: owner %u, mode %03o, and not "
			"owner %u, mode 600; remove it if it is not needed", r->name,
			(unsigned int)st.st_uid, (unsigned int)st.st_mode & 0777,
			(unsigned int)geteuid());
		return -EPERM;
	}
	if ((uint64_t)st.st_size != r->size) {
		region_why_add(why, "%s has %s (%llu bytes) and not the %s (%llu) asked for",
			r->name, region_size_text((uint64_t)st.st_size).s,
			(unsigned long long)st.st_size, region_size_text(r->size).s,
			(unsigned long long)r->size);
		return REGION_OTHER_SIZE;
	}
	return 0;
}

/* From the descriptor to memory that is there. */
static int shm_prepare(struct region *r, const struct region_options *opt,
		const struct region_why *why)
{
	int err;

	r->fd_readonly = shm_reopen(r);
	if (r->fd_readonly < 0) {
		errno = -r->fd_readonly;
		return shm_fail(r, why, "reopen");
	}
	err = region_map(r, why);
	if (err)
		return err;
	err = region_bind(r, opt->node, why);
	if (err)
		return err;
	err = region_reserve(r, opt->n_threads, opt->huge, why);
	if (err)
		return err;
	region_bind_verify(r, opt->n_threads, why);
	return 0;
}

static int shm_region_open(struct region *r, const struct region_options *opt,
		const struct region_why *why)
{
	bool create = opt->mode == REGION_CREATE;
	int err = create ? shm_create(r, why) : shm_reuse(r, why);

	if (err)
		return err;
	err = shm_prepare(r, opt, why);
	if (err && create)
		shm_unlink_ours(r);
	return err;
}

const struct region_ops region_shm_ops = {
	.open = shm_region_open,
	.unlink = shm_unlink_ours,
	.is_file = true,
};

int region_unlink(const char *name)
{
	if (!shm_unlink(name))
		return 0;
	return errno == ENOENT ? REGION_ABSENT : -errno;
}
