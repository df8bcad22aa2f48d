/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NUMA nodes, through libnuma.
 *
 * Numbers have gaps: on a machine whose nodes are 0 and 2 libnuma answers for 1 as well, with a
 * size of -1. So a node is one whose size can be told.
 *
 * Its CPUs are read where libnuma reads them: it wants memory for a mask of them, and where there
 * is none it ends the process, or writes to what it has not got.
 */
#include "allocator/node.h"

#include <errno.h>
#include <numa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a list such as "0-3,8", which ends with a newline and is that alone where there are none. */
static unsigned int list_count(const char *list)
{
	unsigned long first, last;
	unsigned int n = 0;
	char *end;

	if (!strcmp(list, "\n"))
		return 0;
	do {
		first = last = strtoul(list, &end, 10);
		if (end != list && *end == '-')
			last = strtoul(end + 1, &end, 10);
		if (end == list || last < first || last - first >= NODE_CPUS_UNKNOWN - n)
			return NODE_CPUS_UNKNOWN;
		n += (unsigned int)(last - first) + 1;
		list = end + 1;
	} while (*end == ',');
	return n;
}

/*
 * A list that can't be read is not an empty one: the node would be taken for memory without CPUs.
 */
static unsigned int cpus_count(int number)
{
	unsigned int n = NODE_CPUS_UNKNOWN;
	char path[64], list[4096];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpulist", number);
	f = fopen(path, "re");
	if (!f)
		return n;
	if (fgets(list, sizeof(list), f))
		n = list_count(list);
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
