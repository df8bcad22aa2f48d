/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices of directly mapped memory, through libdaxctl.
 *
 * The library reads sysfs, which everybody may. Two things it does not tell: whether "enabled"
 * means that the device can be mapped or that its memory was given to the kernel, and whether
 * somebody has bound it anew. Both hang on one symbolic link, the driver's.
 */
#include "allocator/dax.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <daxctl/libdaxctl.h>

/* Its log goes to standard error, which is not its own here. */
static void daxctl_silent(struct daxctl_ctx *ctx, int priority, const char *file, int line,
		const char *fn, const char *format, va_list args)
{
	(void)ctx;
	(void)priority;
	(void)file;
	(void)line;
	(void)fn;
	(void)format;
	(void)args;
}

static void driver_get(const char *name, struct dax_device *out)
{
	char link[128], target[256];
	const char *base;
	struct stat st;
	ssize_t n;

	snprintf(link, sizeof(link), "/sys/bus/dax/devices/%s/driver", name);
	n = readlink(link, target, sizeof(target) - 1);
	if (n <= 0)
		return;
	target[n] = '\0';
	base = strrchr(target, '/');
	snprintf(out->driver, sizeof(out->driver), "%.31s", base ? base + 1 : target);
	/* sysfs makes the link when a driver is bound, and gives no number twice. */
	if (!lstat(link, &st))
		out->binding = st.st_ino;
}

static bool is_persistent(struct daxctl_dev *dev)
{
	const char *path = daxctl_region_get_path(daxctl_dev_get_region(dev));

	return path && strstr(path, "/ndbus");
}

static void device_get(struct daxctl_dev *dev, struct dax_device *out)
{
	const char *name = daxctl_dev_get_devname(dev);

	*out = (struct dax_device){
		.size = daxctl_dev_get_size(dev),
		.align = daxctl_dev_get_align(dev),
		.target_node = daxctl_dev_get_target_node(dev),
		.major = (unsigned int)daxctl_dev_get_major(dev),
		.minor = (unsigned int)daxctl_dev_get_minor(dev),
		.is_persistent = is_persistent(dev),
	};
	snprintf(out->path, sizeof(out->path), "/dev/%s", name);
	driver_get(name, out);
	out->is_memory = !strcmp(out->driver, "kmem");
	out->is_enabled = daxctl_dev_is_enabled(dev) && !out->is_memory;
}

static int list_append(struct dax_device **list, size_t *n, struct daxctl_dev *dev)
{
	struct dax_device *more = realloc(*list, (*n + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	*list = more;
	device_get(dev, &more[(*n)++]);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct dax_device *x = a, *y = b;
	int x_region = 0, x_id = 0, y_region = 0, y_id = 0;

	sscanf(x->path, "/dev/dax%d.%d", &x_region, &x_id);
	sscanf(y->path, "/dev/dax%d.%d", &y_region, &y_id);
	return x_region != y_region ? (x_region > y_region) - (x_region < y_region)
				    : (x_id > y_id) - (x_id < y_id);
}

int dax_list(struct dax_device **out, size_t *n_out)
{
	struct dax_device *list = NULL;
	struct daxctl_region *region;
	struct daxctl_ctx *ctx;
	struct daxctl_dev *dev;
	size_t n = 0;
	int err = daxctl_new(&ctx);

	if (err)
		return err;
	daxctl_set_log_fn(ctx, daxctl_silent);
	for (region = daxctl_region_get_first(ctx); region && !err;
		region = daxctl_region_get_next(region))
		for (dev = daxctl_dev_get_first(region); dev && !err;
			dev = daxctl_dev_get_next(dev))
			if (daxctl_dev_get_size(dev)) /* else the seed of one to come */
				err = list_append(&list, &n, dev);
	daxctl_unref(ctx);
	if (err) {
		free(list);
		return err;
	}
	if (n)
		qsort(list, n, sizeof(*list), by_name);
	*out = list;
	*n_out = n;
	return 0;
}

int dax_find(const char *path, struct dax_device *out)
{
	struct dax_device *list;
	size_t n, i;
	int err = dax_list(&list, &n);

	if (err)
		return err;
	err = -ENODEV;
	for (i = 0; i < n && err; i++) {
		if (strcmp(list[i].path, path))
			continue;
		*out = list[i];
		err = 0;
	}
	free(list);
	return err;
}

const char *dax_obstacle(const struct dax_device *d)
{
	if (d->is_memory)
		return "is in use as ordinary memory of its node; 'daxctl reconfigure-device "
		       "--mode=devdax' makes it a device again";
	if (!d->is_enabled)
		return "is disabled; 'daxctl reconfigure-device --mode=devdax' enables it";
	if (!d->align || d->align & (d->align - 1))
		return "has no alignment that could be used";
	return NULL;
}
