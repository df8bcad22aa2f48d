/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regions on a NUMA node.
 *
 * The policy is set on the mapping before a page exists, and as the memory is
 * shared the kernel keeps it with the object: pages that any process causes
 * later come to the same node. It is MPOL_BIND and not a preference, since a
 * tier that spills to another node without a word has the latency of neither.
 *
 * Containers often forbid mbind(). The region works all the same, so that is
 * told and not an error. And a policy is no proof: an object that is reused has
 * pages from before, under whatever policy there was then. Those are asked to
 * move, and in the end each page is asked where it is (region-numa.c).
 */
#include "allocator/region-private.h"

#include <errno.h>
#include <numa.h>
#include <numaif.h>
#include <string.h>
#define NODES_MAX 1024u /* the kernel's most */
#define NODE_BITS (8 * (unsigned int)sizeof(unsigned long))

static int node_check(const struct region *r, int node, const struct region_why *why)
{
	long long size = node <= numa_max_node() && node < (int)NODES_MAX ?
		numa_node_size64(node, NULL) : -1;

	if (size <= 0) {
		region_why_add(why, "NUMA node %d for %s has no memory or does not exist "
			"(the highest is %d)", node, r->name, numa_max_node());
		return -EINVAL;
	}
	/* The kernel answers a binding that can't be met by killing a process. */
	if (r->size > (uint64_t)size) {
		region_why_add(why, "%s for %s is more than NUMA node %d has (%s)",
			region_size_text(r->size).s, r->name, node,
			region_size_text((uint64_t)size).s);
		return -ENOMEM;
	}
	return 0;
}

static void bind_refused(struct region *r, int node, const struct region_why *why,
		const char *reason)
{
	r->lacks |= REGION_UNBOUND;
	region_why_add(why, "%s is not bound to NUMA node %d (%s)", r->name, node, reason);
}

int region_bind(struct region *r, int node, const struct region_why *why)
{
	/* Not libnuma's, which ends the process where there is no memory for one. */
	unsigned long mask[NODES_MAX / NODE_BITS] = {0};
	int err = 0;

	if (node < -1) {
		region_why_add(why, "bad NUMA node %d for %s", node, r->name);
		return -EINVAL;
	}
	if (numa_available() < 0) {
		if (node >= 0)
			bind_refused(r, node, why, "NUMA calls are not available");
		return 0;
	}
	if (node < 0) {
		/* A reused object may carry the policy of its last broker. The
		 * kernel skips a change that is none for this mapping, which is
		 * new and has the default: it needs another one to lose. */
		if (!mbind(r->base, r->size, MPOL_LOCAL, NULL, 0, 0))
			mbind(r->base, r->size, MPOL_DEFAULT, NULL, 0, 0);
		return 0;
	}
	err = node_check(r, node, why);
	if (err)
		return err;
	mask[(unsigned int)node / NODE_BITS] = 1UL << (unsigned int)node % NODE_BITS;
	if (mbind(r->base, r->size, MPOL_BIND, mask, NODES_MAX + 1, MPOL_MF_MOVE))
		err = errno;
	switch (err) {
	case 0:
		r->node = node;
		return 0;
	case EPERM:
	case ENOSYS:
	case EINVAL:	/* a cpuset leaves the node out */
		bind_refused(r, node, why, strerror(err));
		return 0;
	case EIO:	/* bound, but not every page could be moved */
		r->node = node;
		return 0;
	default:
		region_why_add(why, "cannot bind %s to NUMA node %d: %s", r->name, node,
			strerror(err));
		return -err;
	}
}
