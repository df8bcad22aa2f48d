/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regions: the part that does not depend on what the memory is.
 *
 * A tier is a stretch of memory with a name, and a broker should not have to
 * know whether a NUMA node, a device or plain memory is behind it. A kind fills
 * in descriptors and a mapping; what it is asked for and could not give is told
 * apart from failure, since a cache whose memory sits on the wrong node is slow,
 * and a cache that refuses to start is none. The broker logs and counts it.
 */
#include "allocator/region-private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct region_ops *const region_kinds[REGION_N_KINDS] = {
	[REGION_SHM] = &region_shm_ops,
	[REGION_DEVDAX] = &region_devdax_ops,
};

void region_why_add(const struct region_why *why, const char *fmt, ...)
{
	size_t len;
	va_list ap;

	if (!why->size)
		return;
	len = strlen(why->text);
	if (len && len + 2 < why->size) {
		memcpy(why->text + len, "; ", 3);
		len += 2;
	}
	va_start(ap, fmt);
	vsnprintf(why->text + len, why->size - len, fmt, ap);
	va_end(ap);
}

struct region_size_text region_size_text(uint64_t size)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	struct region_size_text t;
	double v = (double)size;
	size_t i = 0;

	while (v >= 1024 && i < sizeof(units) / sizeof(units[0]) - 1) {
		v /= 1024;
		i++;
	}
	snprintf(t.s, sizeof(t.s), "%.*f %s", i ? 2 : 0, v, units[i]);
	return t;
}

/*
 * mmap() promises a page's alignment and no more, while huge pages need both
 * the offset and the address to be a multiple of theirs, and a block that was
 * allocated at an alignment of 2 MiB means the address. So more is asked for,
 * and the object put at the aligned place inside.
 */
int region_map(struct region *r, const struct region_why *why)
{
	uint64_t room = r->size + r->align;
	uintptr_t start, base;
	void *p;
	int err;

	p = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		-1, 0);
	if (p == MAP_FAILED)
		goto fail;
	start = (uintptr_t)p;
	base = (start + r->align - 1) & ~(r->align - 1);
	if (mmap((void *)base, r->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		    r->fd, (off_t)r->skip) == MAP_FAILED) {
		err = errno;
		munmap(p, room);
		errno = err;
		goto fail;
	}
	if (base > start)
		munmap(p, base - start);
	munmap((void *)(base + r->size), start + room - (base + r->size));
	r->base = (void *)base;
	/* Values are no help in a core dump, and there are a lot of them. */
	madvise(r->base, r->size, MADV_DONTDUMP);
	return 0;
fail:
	err = errno;
	region_why_add(why, "cannot map %s of %s: %s", region_size_text(r->size).s,
		r->name, strerror(err));
	return -err;
}

static int options_check(const struct region_options *opt, const struct region_why *why)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	size_t len = opt->name ? strlen(opt->name) : 0;

	if (opt->kind >= REGION_N_KINDS) {
		region_why_add(why, "unknown kind of region %d", (int)opt->kind);
		return -EINVAL;
	}
	if (len < 2 || len > 254 || opt->name[0] != '/' || strchr(opt->name + 1, '/')) {
		region_why_add(why, "bad region name '%s': it has to start with its "
			"only slash and be up to 254 bytes long",
			opt->name ? opt->name : "");
		return -EINVAL;
	}
	/* The second: room for the alignment, and off_t. */
	if (!opt->size || opt->size > INT64_MAX / 2 || opt->size % page) {
		region_why_add(why, "bad size %llu of %s: it has to be a multiple of %llu",
			(unsigned long long)opt->size, opt->name,
			(unsigned long long)page);
		return -EINVAL;
	}
	if (opt->kind == REGION_DEVDAX && !opt->device) {
		region_why_add(why, "no device for %s", opt->name);
		return -EINVAL;
	}
	return 0;
}

static int region_fill(struct region *r, const struct region_options *opt,
		const struct region_why *why)
{
	r->ops = region_kinds[opt->kind];
	r->size = opt->size;
	r->align = REGION_HUGE_PAGE;
	r->name = strdup(opt->name);
	if (opt->kind == REGION_DEVDAX)
		r->device = strdup(opt->device);
	if (!r->name || (opt->kind == REGION_DEVDAX && !r->device))
		return -ENOMEM;
	/* An object that lay there while a device was in use is as old as that. */
	if (opt->kind != REGION_DEVDAX && opt->mode == REGION_REUSE &&
	    (opt->identity[0] || opt->identity[1])) {
		region_why_add(why, "what was left is on a device, and %s is not", r->name);
		return REGION_OTHER;
	}
	return r->ops->open(r, opt, why);
}

int region_open(struct region **out, const struct region_options *opt, char *why_text,
		size_t why_size)
{
	const struct region_why why = { why_text, why_size };
	struct region *r;
	int err;

	if (why_size)
		why_text[0] = '\0';
	err = options_check(opt, &why);
	if (err)
		return err;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->fd = r->fd_readonly = r->fd_lock = r->node = -1;
	err = region_fill(r, opt, &why);
	if (err) {
		region_close(r, false);
		return err;
	}
	*out = r;
	return 0;
}

void region_close(struct region *r, bool unlink)
{
	if (!r)
		return;
	if (unlink)
		r->ops->unlink(r);
	if (r->base)
		munmap(r->base, r->size);
	if (r->fd_readonly >= 0)
		close(r->fd_readonly);
	if (r->fd >= 0)
		close(r->fd);
	if (r->fd_lock >= 0)
		close(r->fd_lock);
	free(r->device);
	free(r->name);
	free(r);
}

void *region_base(const struct region *r)
{
	return r->base;
}

uint64_t region_size(const struct region *r)
{
	return r->size;
}

const char *region_name(const struct region *r)
{
	return r->name;
}

int region_node(const struct region *r)
{
	return r->node;
}

int region_fd(const struct region *r)
{
	return r->fd;
}

int region_fd_readonly(const struct region *r)
{
	return r->fd_readonly;
}

uint64_t region_map_off(const struct region *r)
{
	return r->skip;
}

uint64_t region_map_align(const struct region *r)
{
	return r->align;
}

const uint64_t *region_identity(const struct region *r)
{
	return r->identity;
}

const struct region_placement *region_placement(const struct region *r)
{
	return &r->placement;
}

unsigned int region_lacks(const struct region *r)
{
	return r->lacks;
}

uint64_t region_huge_size(const struct region *r)
{
	return r->huge_size;
}
