/* SPDX-License-Identifier: Apache-2.0 */
/* backend.c: which of devdax, numa and shm the CXL tier lies on. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "shmcache/backend.h"

/*
 * A second tier takes memory, and nobody wants to learn from a full machine that there is one. So
 * `auto` without a size takes what is in the machine for this purpose alone, and plain memory
 * stands in only for who says so: by the name of the backend, or by a size.
 *
 * A device has no owner that could be asked, so `auto` is careful: what keeps its content without
 * power is somebody's, what carries another cache is that one's, and what this user may not open is
 * not for us. Where a device is named, whoever named it has decided.
 */
#define PAGE UINT64_C(4096)
#define TIER_MIN (UINT64_C(1) << 20)
#define TIER_MAX (UINT64_C(256) << 30) /* what the allocator can do */

void machine_look(struct machine *m)
{
	struct statvfs fs;

	memset(m, 0, sizeof(*m));
	if (dax_list(&m->device, &m->n_devices)) {
		m->device = NULL;
		m->n_devices = 0;
	}
	node_list(&m->node, &m->n_nodes);
	if (statvfs("/dev/shm", &fs))
		return;
	m->shm_size = (uint64_t)fs.f_blocks * fs.f_frsize;
	m->shm_free = (uint64_t)fs.f_bavail * fs.f_frsize;
}

void machine_free(struct machine *m)
{
	free(m->device);
	free(m->node);
	memset(m, 0, sizeof(*m));
}

__attribute__((format(printf, 2, 3))) static void say(struct backend *out, const char *format, ...)
{
	size_t len = strlen(out->why);
	va_list args;

	if (len && len + 2 < sizeof(out->why))
		len += (size_t)snprintf(out->why + len, sizeof(out->why) - len, "; ");
	va_start(args, format);
	vsnprintf(out->why + len, sizeof(out->why) - len, format, args);
	va_end(args);
}

/* --- a device --------------------------------------------------------------------------------- */

/*
 * Why `auto` leaves a device alone; NULL: it does not, and *is_ours tells whether it carries @name.
 */
static const char *why_not(const struct dax_device *d, const char *name, bool *is_ours)
{
	char owner[64];
	int r;

	if (dax_obstacle(d))
		return dax_obstacle(d);
	if (region_devdax_room(d) < TIER_MIN)
		return "is too small";
	if (d->is_persistent)
		return "is persistent memory; name it by [cxl] device to have it overwritten";
	r = region_devdax_owner(d, owner, sizeof(owner));
	if (r == -EBUSY)
		return "is in use by another broker";
	if (r == -EACCES || r == -EPERM)
		return "may not be opened by this user";
	if (r)
		return "can't be opened";
	*is_ours = !strcmp(owner, name);
	if (owner[0] && !*is_ours)
		return "carries another cache; name it by [cxl] device to have it overwritten";
	return NULL;
}

static int take_device(struct backend *out, const struct config *c, const struct dax_device *d)
{
	uint64_t room = region_devdax_room(d), size = c->cxl.size ? c->cxl.size : room;

	if (size > TIER_MAX)
		size = TIER_MAX;
	if (d->align)
		size -= size % d->align;
	if (!size) {
		say(out, "[cxl] size is less than the alignment of %s, %llu bytes", d->path,
			(unsigned long long)d->align);
		return -EINVAL;
	}
	if (size > room) {
		say(out, "%s has %llu bytes for a tier, and [cxl] size asks for more", d->path,
			(unsigned long long)room);
		return -ENOSPC;
	}
	out->kind = CONFIG_BACKEND_DEVDAX;
	out->region.kind = REGION_DEVDAX;
	snprintf(out->device, sizeof(out->device), "%s", d->path);
	out->region.device = out->device;
	out->region.size = size;
	say(out, "%s, memory of node %d", d->path, d->target_node);
	return 0;
}

static const struct dax_device *find_device(const struct machine *m, const char *path)
{
	size_t i;

	for (i = 0; i < m->n_devices; i++)
		if (!strcmp(m->device[i].path, path))
			return &m->device[i];
	return NULL;
}

/* The device that carries this cache before those that carry none. */
static const struct dax_device *first_device(struct backend *out, const struct machine *m,
	const char *name)
{
	const struct dax_device *first = NULL;
	const char *why;
	bool is_ours;
	size_t i;

	for (i = 0; i < m->n_devices; i++) {
		why = why_not(&m->device[i], name, &is_ours);
		if (why) {
			say(out, "%s %s", m->device[i].path, why);
			continue;
		}
		if (is_ours)
			return &m->device[i];
		if (!first)
			first = &m->device[i];
	}
	return first;
}

static int choose_devdax(struct backend *out, const struct config *c, const struct machine *m)
{
	const struct dax_device *d;

	if (c->cxl.device[0]) {
		d = find_device(m, c->cxl.device);
		if (!d)
			say(out, "there is no device %s", c->cxl.device);
		else if (dax_obstacle(d))
			say(out, "%s %s", d->path, dax_obstacle(d));
		else
			return take_device(out, c, d);
		return d ? -ENXIO : -ENODEV;
	}
	d = first_device(out, m, out->region.name);
	if (d)
		return take_device(out, c, d);
	if (!m->n_devices)
		say(out, "there is no /dev/dax device");
	return -ENODEV;
}

/* --- a node ----------------------------------------------------------------------------------- */

static bool object_exists(const char *name)
{
	char path[96];

	snprintf(path, sizeof(path), "/dev/shm%s", name);
	return access(path, F_OK) == 0;
}

/* From what does not change: the next start is to find the same size, or it would be a cold one. */
static uint64_t node_share(const struct machine *m, const struct node *node)
{
	uint64_t size = node->size / 2;

	if (size > m->shm_size / 2)
		size = m->shm_size / 2;
	if (size > TIER_MAX)
		size = TIER_MAX;
	return size - size % PAGE;
}

static int take_node(struct backend *out, const struct config *c, const struct machine *m,
	const struct node *node)
{
	uint64_t size = c->cxl.size ? c->cxl.size : node_share(m, node);

	/* Of a size that nobody asked for, let nobody's start fail. */
	if (!c->cxl.size && (size < TIER_MIN || (!object_exists(out->region.name) &&
				(size > node->free || size + c->dram.size > m->shm_free)))) {
		say(out, "half of node %d does not fit what it and /dev/shm have free",
			node->number);
		return -ENOSPC;
	}
	out->kind = CONFIG_BACKEND_NUMA;
	out->region.size = size;
	out->region.node = node->number;
	say(out, "shared memory on node %d, %s", node->number,
		node->n_cpus ? "which has CPUs" : "which has no CPUs");
	return 0;
}

static int choose_numa(struct backend *out, const struct config *c, const struct machine *m)
{
	size_t i;

	for (i = 0; i < m->n_nodes; i++) {
		if (c->cxl.node >= 0 ? m->node[i].number == c->cxl.node && m->node[i].size
				     : node_is_far(&m->node[i]))
			return take_node(out, c, m, &m->node[i]);
	}
	if (c->cxl.node >= 0)
		say(out, "NUMA node %d has no memory or does not exist", c->cxl.node);
	else
		say(out, "there is no NUMA node with memory and without CPUs");
	return -ENODEV;
}

/* --- neither ---------------------------------------------------------------------------------- */

static int choose_shm(struct backend *out, const struct config *c)
{
	out->kind = CONFIG_BACKEND_SHM;
	out->region.size = c->cxl.size ? c->cxl.size : c->dram.size;
	say(out, "plain shared memory stands in for CXL memory");
	return 0;
}

static int choose_off(struct backend *out, const char *why)
{
	out->kind = CONFIG_BACKEND_OFF;
	say(out, "%s", why);
	return 0;
}

/* What is named has to be there; what is not, may. */
static int choose_auto(struct backend *out, const struct config *c, const struct machine *m)
{
	int r;

	if (c->cxl.node < 0 || c->cxl.device[0]) {
		r = choose_devdax(out, c, m);
		if (!r || c->cxl.device[0])
			return r;
	}
	r = choose_numa(out, c, m);
	if (!r || c->cxl.node >= 0)
		return r;
	if (c->cxl.size)
		return choose_shm(out, c);
	return choose_off(out, "nothing stands in, as [cxl] size is not set");
}

int backend_choose(struct backend *out, const struct config *c, const struct machine *m,
	const char *name)
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
	case CONFIG_BACKEND_AUTO:
		return choose_auto(out, c, m);
	case CONFIG_BACKEND_DEVDAX:
		return choose_devdax(out, c, m);
	case CONFIG_BACKEND_NUMA:
		return choose_numa(out, c, m);
	case CONFIG_BACKEND_SHM:
		return choose_shm(out, c);
	case CONFIG_BACKEND_OFF:
		break;
	}
	return choose_off(out, "[cxl] backend = off");
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
