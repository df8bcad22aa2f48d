/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NUMA nodes, through libnuma.
 *
 * Numbers have gaps: on a machine whose nodes are 0 and 2 libnuma answers for 1 as well, with a
 * size of -1. So a node is one whose size can be told.
 *
 * Its CPUs are read where libnuma reads them: it wants memory for a mask of them, and where there is
 * none it ends the process, or writes to what it has not got.
 */
#include "allocator/node.h"

#include <errno.h>
#include <numa.h>
#include <stdio.h>
#include <stdlib.h>

/* Of a list such as "0-3,8": ends with a newline, and is that alone where there are none. */
static unsigned int cpus_count(int number)
{
	unsigned int first, last, n = 0;
	char path[64], next = ',';
	FILE *f;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpulist", number);
	f = fopen(path, "re");
	if (!f)
		return NODE_CPUS_UNKNOWN;
	while (next == ',' && fscanf(f, "%u", &first) == 1) {
		last = first;
		if (fscanf(f, "-%u", &last) < 0 || fscanf(f, "%c", &next) < 1)
			next = '\n';
		n += last >= first ? last - first + 1 : 0;
	}
	fclose(f);
	return n;
}

static bool node_get(int number, struct node *out)
{
	long long size, free = 0;

	size = numa_node_size64(number, &free);
	if (size < 0)
		return false;
	*out = (struct node){
		.number = number,
		.size = (uint64_t)size,
		.free = free < 0 ? 0 : (uint64_t)free,
		.n_cpus = cpus_count(number),
		.is_allowed = numa_bitmask_isbitset(numa_all_nodes_ptr, (unsigned int)number),
	};
	return true;
}

static void distances_get(struct node *list, size_t n)
{
	size_t i, from = 0;

	while (from < n && !list[from].n_cpus)
		from++;
	for (i = 0; i < n && from < n; i++)
		list[i].distance = numa_distance(list[from].number, list[i].number);
}

int node_list(struct node **out, size_t *n_out)
{
	struct node *list;
	size_t n = 0;
	int number, max;

	*out = NULL;
	*n_out = 0;
	if (numa_available() < 0)
		return 0;
	max = numa_max_node();
	list = calloc((size_t)max + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (number = 0; number <= max; number++)
		n += node_get(number, &list[n]);
	distances_get(list, n);
	*out = list;
	*n_out = n;
	return 0;
}
