/* SPDX-License-Identifier: Apache-2.0 */
/* fake-dax.c: see fake-dax.h. */
#include "tests/allocator/fake-dax.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <daxctl/libdaxctl.h>

struct fake_dax fake_dax;

#define MAJOR 253

struct fake_device *fake_dax_add(const char *name, uint64_t size, uint64_t align)
{
	struct fake_device *d = &fake_dax.device[fake_dax.n++];

	*d = (struct fake_device){.driver = "device_dax", .size = size, .align = align,
		.target_node = 7, .binding = 100};
	snprintf(d->name, sizeof(d->name), "%s", name);
	d->fd = memfd_create(name, MFD_CLOEXEC);
	if (d->fd < 0 || ftruncate(d->fd, (off_t)size))
		abort();
	return d;
}

void fake_dax_reset(void)
{
	while (fake_dax.n)
		close(fake_dax.device[--fake_dax.n].fd);
	memset(&fake_dax, 0, sizeof(fake_dax));
}

/* --- libdaxctl: its handles are our devices --------------------------------------------------- */

#define DEVICE(dev) ((struct fake_device *)(void *)(dev))
#define WRAP(type, name, ...) type __wrap_##name(__VA_ARGS__); type __wrap_##name(__VA_ARGS__)

WRAP(int, daxctl_new, struct daxctl_ctx **ctx)
{
	*ctx = (void *)&fake_dax;
	return -fake_dax.list_errno;
}

WRAP(void, daxctl_unref, struct daxctl_ctx *ctx)
{
	(void)ctx;
}

typedef void log_fn(struct daxctl_ctx *ctx, int priority, const char *file, int line, const char *fn,
	const char *format, va_list args);
WRAP(void, daxctl_set_log_fn, struct daxctl_ctx *ctx, log_fn *fn)
{
	(void)ctx;
	(void)fn;
}

/* One region a device, the last one first: the order is for the caller to make. */
WRAP(struct daxctl_region *, daxctl_region_get_first, struct daxctl_ctx *ctx)
{
	(void)ctx;
	return fake_dax.n ? (void *)&fake_dax.device[fake_dax.n - 1] : NULL;
}

WRAP(struct daxctl_region *, daxctl_region_get_next, struct daxctl_region *region)
{
	return DEVICE(region) == fake_dax.device ? NULL : (void *)(DEVICE(region) - 1);
}

WRAP(struct daxctl_dev *, daxctl_dev_get_first, struct daxctl_region *region)
{
	return (void *)region;
}

WRAP(struct daxctl_dev *, daxctl_dev_get_next, struct daxctl_dev *dev)
{
	(void)dev;
	return NULL;
}

WRAP(struct daxctl_region *, daxctl_dev_get_region, struct daxctl_dev *dev)
{
	return (void *)dev;
}

WRAP(const char *, daxctl_region_get_path, struct daxctl_region *region)
{
	return DEVICE(region)->bus ? DEVICE(region)->bus : "/sys/devices/platform/hmem.0";
}

WRAP(const char *, daxctl_dev_get_devname, struct daxctl_dev *dev)
{
	return DEVICE(dev)->name;
}

WRAP(unsigned long long, daxctl_dev_get_size, struct daxctl_dev *dev)
{
	return DEVICE(dev)->size;
}

WRAP(unsigned long, daxctl_dev_get_align, struct daxctl_dev *dev)
{
	return DEVICE(dev)->align;
}

WRAP(int, daxctl_dev_get_target_node, struct daxctl_dev *dev)
{
	return DEVICE(dev)->target_node;
}

WRAP(int, daxctl_dev_get_major, struct daxctl_dev *dev)
{
	(void)dev;
	return MAJOR;
}

WRAP(int, daxctl_dev_get_minor, struct daxctl_dev *dev)
{
	return (int)(DEVICE(dev) - fake_dax.device);
}

WRAP(int, daxctl_dev_is_enabled, struct daxctl_dev *dev)
{
	return DEVICE(dev)->driver != NULL;
}

/* --- the kernel ------------------------------------------------------------------------------- */

int __real_open64(const char *path, int flags, ...);
int __real_fstat64(int fd, struct stat *st);
int __real_lstat64(const char *path, struct stat *st);
ssize_t __real_readlink(const char *path, char *target, size_t size);
ssize_t __real_read(int fd, void *to, size_t size);
void *__real_mmap64(void *at, size_t size, int prot, int flags, int fd, off_t off);

/* The device of a path before and behind its name; NULL: it is about something else. */
static struct fake_device *device_of(const char *path, const char *before, const char *behind)
{
	char text[128];
	size_t i;

	for (i = 0; i < fake_dax.n; i++) {
		snprintf(text, sizeof(text), "%s%s%s", before, fake_dax.device[i].name, behind);
		if (!strcmp(path, text))
			return &fake_dax.device[i];
	}
	return NULL;
}

static struct fake_device *device_of_fd(int fd)
{
	struct stat a, b;
	size_t i;

	for (i = 0; i < fake_dax.n && fd >= 0; i++)
		if (!__real_fstat64(fd, &a) && !__real_fstat64(fake_dax.device[i].fd, &b) &&
			a.st_ino == b.st_ino && a.st_dev == b.st_dev)
			return &fake_dax.device[i];
	return NULL;
}

WRAP(int, open64, const char *path, int flags, ...)
{
	struct fake_device *d = device_of(path, "/dev/", "");
	char memory[64];
	va_list args;
	int mode;

	va_start(args, flags);
	mode = flags & O_CREAT ? va_arg(args, int) : 0;
	va_end(args);
	if (!d)
		return __real_open64(path, flags, mode);
	if (d->open_errno || !d->driver || strcmp(d->driver, "device_dax")) {
		errno = d->open_errno ? d->open_errno : ENXIO;
		return -1;
	}
	/* An open file of its own, as of a device. */
	snprintf(memory, sizeof(memory), "/proc/self/fd/%d", d->fd);
	return __real_open64(memory, flags & ~O_NOFOLLOW);
}

WRAP(int, fstat64, int fd, struct stat *st)
{
	struct fake_device *d = device_of_fd(fd);
	int r = __real_fstat64(fd, st);

	if (!d || r)
		return r;
	st->st_mode = S_IFCHR | 0600;
	st->st_size = 0;
	st->st_rdev = makedev(MAJOR, (unsigned)(d - fake_dax.device) + (d->is_other ? 100 : 0));
	return 0;
}

WRAP(int, lstat64, const char *path, struct stat *st)
{
	struct fake_device *d = device_of(path, "/sys/bus/dax/devices/", "/driver");

	if (!d)
		return __real_lstat64(path, st);
	memset(st, 0, sizeof(*st));
	st->st_ino = d->binding;
	return 0;
}

WRAP(ssize_t, readlink, const char *path, char *target, size_t size)
{
	struct fake_device *d = device_of(path, "/sys/bus/dax/devices/", "/driver");

	if (!d)
		return __real_readlink(path, target, size);
	if (!d->driver) {
		errno = ENOENT;
		return -1;
	}
	return snprintf(target, size, "../../../../bus/dax/drivers/%s", d->driver);
}

WRAP(ssize_t, read, int fd, void *to, size_t size)
{
	struct stat st;

	if (!fake_dax.read_errno || __real_fstat64(fd, &st) || st.st_rdev != makedev(1, 5))
		return __real_read(fd, to, size);
	if (!fake_dax.read_left) {
		errno = fake_dax.read_errno;
		return -1;
	}
	if (size > fake_dax.read_left)
		size = fake_dax.read_left;
	fake_dax.read_left -= size;
	return __real_read(fd, to, size);
}

WRAP(void *, mmap64, void *at, size_t size, int prot, int flags, int fd, off_t off)
{
	struct fake_device *d = device_of_fd(fd);

	if (!d)
		return __real_mmap64(at, size, prot, flags, fd, off);
	if (size % d->align || (uint64_t)off % d->align || !(flags & MAP_SHARED) ||
		(flags & MAP_FIXED && (uintptr_t)at % d->align)) {
		errno = EINVAL;
		return MAP_FAILED;
	}
	return __real_mmap64(at, size, prot, flags, fd, off);
}

void *fake_dax_map(const struct fake_device *d)
{
	void *p = __real_mmap64(NULL, d->size, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}
