/* SPDX-License-Identifier: Apache-2.0 */
/* backend.c: which of devdax, numa and shm the CXL tier lies on. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "shmcache/backend.h"

/*
 * A second tier takes memory, and nobody wants to find out from a full machine that there is one. So
 * `auto` without a size takes what is there for this purpose alone, and plain memory stands in only
 * for who says so: by the name of the backend or by a size.
 */
static int choose_shm(struct backend *out, const struct config *c)
{
	out->kind = CONFIG_BACKEND_SHM;
	out->region.size = c->cxl.size ? c->cxl.size : c->dram.size;
	out->region.node = -1;
	snprintf(out->why, sizeof(out->why), "plain shared memory stands in for CXL memory");
	return 0;
}

static int choose_off(struct backend *out, const char *why)
{
	out->kind = CONFIG_BACKEND_OFF;
	snprintf(out->why, sizeof(out->why), "%s", why);
	return 0;
}

int backend_choose(struct backend *out, const struct config *c, const char *name)
{
	memset(out, 0, sizeof(*out));
	out->region = (struct region_options){
		.kind = REGION_SHM,
		.name = name,
		.node = -1,
		.huge = c->dram.huge_pages == CONFIG_HUGE_PAGES_ADVISE,
		.n_threads = c->dram.reserve_threads,
	};
	switch (c->cxl.backend) {
	case CONFIG_BACKEND_OFF:
		return choose_off(out, "[cxl] backend = off");
	case CONFIG_BACKEND_SHM:
		return choose_shm(out, c);
	case CONFIG_BACKEND_AUTO:
		if (c->cxl.size)
			return choose_shm(out, c);
		return choose_off(out, "there is no CXL memory, and [cxl] size is not set");
	default:
		snprintf(out->why, sizeof(out->why), "[cxl] backend = %s is not served yet",
			backend_name(c->cxl.backend));
		return -ENOTSUP;
	}
}

const char *backend_name(enum config_backend kind)
{
	static const char *const names[] = {
		[CONFIG_BACKEND_AUTO] = "auto",
		[CONFIG_BACKEND_DEVDAX] = "devdax",
		[CONFIG_BACKEND_NUMA] = "numa",
		[CONFIG_BACKEND_SHM] = "shm",
		[CONFIG_BACKEND_OFF] = "off",
	};

	return names[kind];
}
