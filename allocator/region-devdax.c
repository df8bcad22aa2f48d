/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regions on a device of directly mapped memory, /dev/daxX.Y.
 *
 *	0             skip                                   device size
 *	+-------------+-----------------------------------+----------+
 *	| header page | region                            | not used |
 *	+-------------+-----------------------------------+----------+
 *
 * A device gives none of the assurances of a file. It has no name of ours, nobody made it for us,
 * and nothing clears it: what is on it may be ours, another cache's, or what a bank's database left
 * when the memory was ordinary. So its first page says whose it is, and the region begins behind
 * it, at the first offset that can be mapped (clients get no more, and a `writer` among them that
 * maps the page all the same can make the next start cold, as it can spoil any value).
 *
 * The page carries a random identity, drawn for each cold start. The index remembers it; only where
 * both agree are the records about these bytes. It also carries the number of the driver's binding:
 * memory that was given to the kernel and taken back holds other people's data, though the page may
 * have survived by accident, and nothing that we wrote could tell. Who writes to the device in
 * between, as root, with the page left alone, can't be told.
 *
 * A cold start clears the region, every byte, before a client can map it: a block that is reserved
 * and committed without being filled would else publish what was there. It is read from /dev/zero,
 * since the kernel answers a bad page there with an error, and a store with SIGBUS. The page is
 * void until the last byte is clear.
 *
 * One broker a device: a lock on its first byte, of an open file of its own, which ends with the
 * broker. And none while clients of another cache may still look: the open files that clients get
 * carry a shared lock on the second byte, and a mapping keeps its open file, and with it the lock,
 * also when every descriptor is closed. Clients of this cache have been told (REGION_TOLD).
 */
#include "allocator/dax.h"
#include "allocator/region-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define HEADER_MAGIC UINT64_C(0x3178616463686d73) /* "smhcdax1" */

/* Written by the holder of the lock alone; raw to whoever reads it. */
struct devdax_header {
	_Atomic uint64_t magic;	/* last on the way in, first on the way out */
	uint64_t size;		/* of the region */
	uint64_t identity[2];
	uint64_t binding;
	char name[64];		/* of the region, terminated */
};

enum { BYTE_BROKER, BYTE_MAPPED };

static int devdax_fail(const struct region *r, const struct region_why *why, const char *what)
{
	int err = errno;

	region_why_add(why, "cannot %s %s: %s", what, r->device, strerror(err));
	return -err;
}

/* --- locks --------------------------------------------------------------------------------- */

static int byte_lock(int fd, int byte, short type)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	return fcntl(fd, F_OFD_SETLK, &lock) ? -errno : 0;
}

/* Does a process have it mapped, or a descriptor that a broker gave it? */
static bool is_mapped(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = BYTE_MAPPED,
		.l_len = 1};

	return fcntl(fd, F_OFD_GETLK, &lock) || lock.l_type != F_UNLCK;
}

/* --- the device ---------------------------------------------------------------------------- */

/* How much the header takes: the least that can be mapped, and the region still begins aligned. */
static uint64_t skip_of(const struct dax_device *d)
{
	return d->align > REGION_HUGE_PAGE ? d->align : REGION_HUGE_PAGE;
}

static int device_check(struct region *r, const struct dax_device *d,
		const struct region_why *why)
{
	const char *obstacle = dax_obstacle(d);

	if (obstacle) {
		region_why_add(why, "%s %s", r->device, obstacle);
		return d->is_memory ? -EBUSY : -ENXIO;
	}
	if (r->size % d->align || r->size > region_devdax_room(d)) {
		region_why_add(why, "%s can't be put on %s, which has %s behind its first page, in "
			"multiples of %s", region_size_text(r->size).s, r->device,
			region_size_text(region_devdax_room(d)).s,
			region_size_text(d->align).s);
		return r->size % d->align ? -EINVAL : -ENOSPC;
	}
	return 0;
}

/* An open file of its own: locks and modes hang on it. */
static int device_open(struct region *r, const struct dax_device *d, int mode,
		const struct region_why *why)
{
	struct stat st;
	int fd = open(r->device, mode | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return devdax_fail(r, why, "open");
	if (fstat(fd, &st) || !S_ISCHR(st.st_mode) || major(st.st_rdev) != d->major ||
	    minor(st.st_rdev) != d->minor) {
		region_why_add(why, "%s is not the device that the kernel calls so", r->device);
		close(fd);
		return -ENODEV;
	}
	return fd;
}

static int devdax_lock(struct region *r, const struct dax_device *d, const struct region_why *why)
{
	int err;

	r->fd_lock = device_open(r, d, O_RDWR, why);
	if (r->fd_lock < 0)
		return r->fd_lock;
	err = byte_lock(r->fd_lock, BYTE_BROKER, F_WRLCK);
	if (err == -EAGAIN || err == -EACCES) {
		region_why_add(why, "%s is in use by another broker", r->device);
		return -EBUSY;
	}
	if (err) {
		errno = -err;
		return devdax_fail(r, why, "lock");
	}
	return 0;
}

/* --- the header ---------------------------------------------------------------------------- */

static struct devdax_header *header_map(const struct region *r)
{
	void *p = mmap(NULL, r->align, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd_lock, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void header_unmap(const struct region *r, struct devdax_header *h)
{
	munmap(h, r->align);
}

static bool header_is_valid(const struct devdax_header *h)
{
	/* Acquire: the rest of the page. Partner: the release in header_write(). */
	return atomic_load_explicit(&h->magic, memory_order_acquire) == HEADER_MAGIC;
}

static bool header_names(const struct devdax_header *h, const char *name)
{
	return strlen(name) < sizeof(h->name) &&
		!memcmp(h->name, name, strlen(name) + 1);
}

/* Is it what the records of the index are about? 0 or REGION_OTHER_... */
static int header_compare(const struct region *r, const struct devdax_header *h,
		const uint64_t identity[2], uint64_t binding, const struct region_why *why)
{
	if (!header_is_valid(h)) {
		region_why_add(why, "%s carries no cache", r->device);
		return REGION_OTHER;
	}
	if (!header_names(h, r->name)) {
		region_why_add(why, "%s carries another cache, %.63s", r->device, h->name);
		return REGION_OTHER;
	}
	if (h->size != r->size) {
		region_why_add(why, "%s was set up for %s and not for %s", r->device,
			region_size_text(h->size).s, region_size_text(r->size).s);
		return REGION_OTHER_SIZE;
	}
	if (memcmp(h->identity, identity, sizeof(h->identity))) {
		region_why_add(why, "%s was filled for another index", r->device);
		return REGION_OTHER;
	}
	if (h->binding != binding) {
		region_why_add(why, "%s has been bound to a driver anew: its memory may have served "
			"for something else", r->device);
		return REGION_OTHER;
	}
	return 0;
}

static void header_void(struct devdax_header *h)
{
	atomic_store_explicit(&h->magic, 0, memory_order_relaxed);
	/* Who is killed while it clears must not leave a page that vouches. */
	atomic_thread_fence(memory_order_seq_cst);
}

static int header_write(struct region *r, struct devdax_header *h, uint64_t binding)
{
	if (getrandom(r->identity, sizeof(r->identity), 0) != sizeof(r->identity))
		return -EIO;
	h->size = r->size;
	memcpy(h->identity, r->identity, sizeof(h->identity));
	h->binding = binding;
	memset(h->name, 0, sizeof(h->name));
	strncpy(h->name, r->name, sizeof(h->name) - 1);
	/* Partner: the acquire in header_is_valid(). */
	atomic_store_explicit(&h->magic, HEADER_MAGIC, memory_order_release);
	return 0;
}

/* --- opening ------------------------------------------------------------------------------- */

static int bytes_clear(int zero_fd, char *p, uint64_t size)
{
	ssize_t n;

	while (size) {
		n = read(zero_fd, p, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? errno : EIO;
		p += n;
		size -= (uint64_t)n;
	}
	return 0;
}

static int slice_clear(const struct region *r, uint64_t off, uint64_t size, void *arg)
{
	return bytes_clear(*(const int *)arg, (char *)r->base + off, size);
}

/* The region, and what lies behind the header: descriptors reach there. */
static int devdax_clear(struct region *r, struct devdax_header *h, unsigned int n_threads,
		const struct region_why *why)
{
	int err, zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	if (zero_fd < 0)
		return devdax_fail(r, why, "clear");
	err = bytes_clear(zero_fd, (char *)h, r->skip);
	if (!err)
		err = region_slices(r, n_threads, slice_clear, &zero_fd);
	close(zero_fd);
	if (!err)
		return 0;
	region_why_add(why, "cannot clear %s: %s; is a part of it bad?", r->device, strerror(err));
	return -err;
}

/* Best effort: it spares faults later, and content stays. */
static int slice_populate(const struct region *r, uint64_t off, uint64_t size, void *arg)
{
	(void)arg;
	madvise((char *)r->base + off, size, MADV_POPULATE_WRITE);
	return 0;
}

/* What clients get, and our own mapping of it. */
static int devdax_map(struct region *r, const struct dax_device *d, const struct region_why *why)
{
	r->fd = device_open(r, d, O_RDWR, why);
	if (r->fd < 0)
		return r->fd;
	r->fd_readonly = device_open(r, d, O_RDONLY, why);
	if (r->fd_readonly < 0)
		return r->fd_readonly;
	if (byte_lock(r->fd, BYTE_MAPPED, F_RDLCK) ||
	    byte_lock(r->fd_readonly, BYTE_MAPPED, F_RDLCK))
		return devdax_fail(r, why, "lock");
	return region_map(r, why);
}

static int devdax_reuse(struct region *r, const struct dax_device *d, struct devdax_header *h,
		const struct region_options *opt, const struct region_why *why)
{
	int err = header_compare(r, h, opt->identity, d->binding, why);

	if (!err)
		err = devdax_map(r, d, why);
	if (err)
		return err;
	memcpy(r->identity, opt->identity, sizeof(r->identity));
	region_slices(r, opt->n_threads, slice_populate, NULL);
	return 0;
}

static int devdax_create(struct region *r, const struct dax_device *d, struct devdax_header *h,
		const struct region_options *opt, const struct region_why *why)
{
	int err;

	if (is_mapped(r->fd_lock) &&
	    !(opt->is_told && header_is_valid(h) && header_names(h, r->name))) {
		region_why_add(why, "%s is still mapped by clients of an earlier broker, who would "
			"see what is written now; 'fuser %s' finds them", r->device, r->device);
		return -EBUSY;
	}
	header_void(h);
	err = devdax_map(r, d, why);
	if (!err)
		err = devdax_clear(r, h, opt->n_threads, why);
	if (!err)
		err = header_write(r, h, d->binding);
	return err;
}

static int devdax_open(struct region *r, const struct region_options *opt,
		const struct region_why *why)
{
	struct devdax_header *h;
	struct dax_device d;
	int err = dax_find(r->device, &d);

	if (err == -ENODEV)
		region_why_add(why, "there is no device %s", r->device);
	else if (err)
		region_why_add(why, "cannot look for %s: %s", r->device, strerror(-err));
	if (!err)
		err = device_check(r, &d, why);
	if (err)
		return err;
	r->align = r->skip = skip_of(&d);
	r->node = d.target_node;
	err = devdax_lock(r, &d, why);
	if (err)
		return err;
	h = header_map(r);
	if (!h)
		return devdax_fail(r, why, "map");
	err = opt->mode == REGION_CREATE ? devdax_create(r, &d, h, opt, why)
					 : devdax_reuse(r, &d, h, opt, why);
	header_unmap(r, h);
	return err;
}

/* The bytes stay until somebody clears them; they are nobody's. */
static void devdax_forget(struct region *r)
{
	struct devdax_header *h = r->fd_lock < 0 ? NULL : header_map(r);

	if (!h)
		return;
	header_void(h);
	header_unmap(r, h);
}

const struct region_ops region_devdax_ops = {
	.open = devdax_open,
	.unlink = devdax_forget,
};

uint64_t region_devdax_room(const struct dax_device *d)
{
	uint64_t skip = skip_of(d);

	return d->size > skip ? (d->size - skip) & ~(d->align - 1) : 0;
}

int region_devdax_owner(const struct dax_device *d, char *name, size_t size)
{
	struct region r = {.device = (char *)d->path, .fd_lock = -1,
		.align = skip_of(d)};
	const struct region_why nobody = {NULL, 0};
	struct devdax_header *h;
	int err;

	if (dax_obstacle(d) || !region_devdax_room(d))
		return -ENXIO;
	err = devdax_lock(&r, d, &nobody);
	h = err ? NULL : header_map(&r);
	if (!err && !h)
		err = -errno;
	if (h) {
		name[0] = '\0';
		if (header_is_valid(h))
			snprintf(name, size, "%.63s", h->name);
		header_unmap(&r, h);
	}
	if (r.fd_lock >= 0)
		close(r.fd_lock);
	return err;
}
