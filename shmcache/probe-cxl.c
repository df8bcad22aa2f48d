/* SPDX-License-Identifier: Apache-2.0 */
/* probe-cxl.c: CXL memory devices, through libcxl. */
#include <stdlib.h>
#include <string.h>

#include <cxl/libcxl.h>

#include "shmcache/probe.h"

/* Its log goes to standard error, which is not its own here. */
static void cxl_silent(struct cxl_ctx *ctx, int priority, const char *file, int line, const char *fn,
	const char *format, va_list args)
{
	(void)ctx;
	(void)priority;
	(void)file;
	(void)line;
	(void)fn;
	(void)format;
	(void)args;
}

static void memdev_get(struct cxl_memdev *dev, struct probe_memdev *out)
{
	const char *host = cxl_memdev_get_host(dev);

	*out = (struct probe_memdev){
		.volatile_size = cxl_memdev_get_ram_size(dev),
		.persistent_size = cxl_memdev_get_pmem_size(dev),
		.node = cxl_memdev_get_numa_node(dev),
		.is_enabled = cxl_memdev_is_enabled(dev),
	};
	snprintf(out->name, sizeof(out->name), "%s", cxl_memdev_get_devname(dev));
	snprintf(out->host, sizeof(out->host), "%s", host ? host : "");
}

bool probe_memdevs(struct probe_memdev **out, size_t *n)
{
	struct probe_memdev *list = NULL, *more;
	struct cxl_memdev *dev;
	struct cxl_ctx *ctx;

	*out = NULL;
	*n = 0;
	if (cxl_new(&ctx))
		return false;
	cxl_set_log_fn(ctx, cxl_silent);
	cxl_memdev_foreach(ctx, dev) {
		more = realloc(list, (*n + 1) * sizeof(*list));
		if (!more)
			break;
		list = more;
		memdev_get(dev, &list[(*n)++]);
	}
	cxl_unref(ctx);
	*out = list;
	return true;
}
