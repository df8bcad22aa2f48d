/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of allocator/node.c: nodes with gaps between them, as libnuma tells of them. */
#include "allocator/node.h"

#include <fcntl.h>
#include <numa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define GIB (UINT64_C(1) << 30)

/* What the linker puts in front of libnuma's. */
static struct {
	int max;
	bool is_available;
	struct {
		long long size;
		int n_cpus; /* -1: the call fails */
		const char *list; /* of its CPUs, where it is not what @n_cpus makes; "": unreadable */
		bool is_forbidden;
	} node[8];
} fake;

int __wrap_numa_available(void);
int __wrap_numa_max_node(void);
long long __wrap_numa_node_size64(int node, long long *free);
FILE *__wrap_fopen64(const char *path, const char *mode);
int __wrap_numa_distance(int from, int to);
int __wrap_numa_bitmask_isbitset(const struct bitmask *mask, unsigned int n);

int __wrap_numa_available(void)
{
	return fake.is_available ? 0 : -1;
}

int __wrap_numa_max_node(void)
{
	return fake.max;
}

long long __wrap_numa_node_size64(int node, long long *free)
{
	*free = fake.node[node].size / 4;
	return fake.node[node].size;
}

/* The list of a node's CPUs: every other one alone, the rest in a range. */
FILE *__wrap_fopen64(const char *path, const char *mode)
{
	static char text[256];
	int node, i, n, len = 0;

	assert_int_equal(sscanf(path, "/sys/devices/system/node/node%d/cpulist", &node), 1);
	n = fake.node[node].n_cpus;
	if (n < 0)
		return NULL;
	if (fake.node[node].list) {
		strcpy(text, fake.node[node].list);
		return text[0] ? fmemopen(text, strlen(text), "r")
			       : fdopen(open("/", O_RDONLY | O_CLOEXEC), "r");
	}
	for (i = 0; i < n / 4; i++)
		len += sprintf(text + len, "%d,", 2 * i);
	if (n > n / 4)
		len += sprintf(text + len, "%d-%d", 100, 100 + n - n / 4 - 1);
	strcpy(text + len, "\n");
	return fmemopen(text, strlen(text), mode[0] == 'r' ? "r" : "w");
}

int __wrap_numa_distance(int from, int to)
{
	return from == to ? 10 : 10 * (from + to);
}

int __wrap_numa_bitmask_isbitset(const struct bitmask *mask, unsigned int n)
{
	(void)mask;
	return !fake.node[n].is_forbidden;
}

static int setup(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	fake.is_available = true;
	fake.max = 4;
	fake.node[0].size = 8 * (long long)GIB;
	fake.node[0].n_cpus = 2;
	fake.node[1].size = -1;
	fake.node[1].n_cpus = -1;
	fake.node[2].size = 2 * (long long)GIB;
	fake.node[3].size = -1;
	fake.node[3].n_cpus = -1;
	fake.node[4].size = 0; /* CPUs, and its memory is offline */
	fake.node[4].n_cpus = 1;
	return 0;
}

static void test_gaps(void **state)
{
	struct node *list = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(node_list(&list, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(list[0].number, 0);
	assert_int_equal(list[0].n_cpus, 2);
	assert_int_equal(list[0].free, 2 * GIB);
	assert_int_equal(list[0].distance, 10);
	assert_false(node_is_far(&list[0]));
	assert_int_equal(list[1].number, 2);
	assert_int_equal(list[1].n_cpus, 0);
	assert_int_equal(list[1].size, 2 * GIB);
	assert_int_equal(list[1].distance, 20);
	assert_true(node_is_far(&list[1]));
	assert_int_equal(list[2].number, 4);
	assert_false(node_is_far(&list[2]));
	free(list);
}

/* A node whose CPUs can't be told may have some; one that is forbidden is no use. */
static void test_doubts(void **state)
{
	struct node *list = NULL;
	size_t n = 0;

	(void)state;
	fake.node[2].n_cpus = -1;
	assert_int_equal(node_list(&list, &n), 0);
	assert_int_equal(list[1].n_cpus, NODE_CPUS_UNKNOWN);
	assert_false(node_is_far(&list[1]));
	free(list);
	fake.node[2].n_cpus = 0;
	fake.node[2].is_forbidden = true;
	assert_int_equal(node_list(&list, &n), 0);
	assert_false(node_is_far(&list[1]));
	free(list);
}

/* What is no list of CPUs is not taken for an empty one: half of the node would become a tier. */
static void test_lists(void **state)
{
	static const struct {
		const char *list;
		unsigned int n;
	} lists[] = {{"0\n", 1}, {"0-3,8\n", 5}, {"0-1,4-5,7", 5}, {"\n", 0},
		{"", NODE_CPUS_UNKNOWN}, {"x\n", NODE_CPUS_UNKNOWN}, {"3-1\n", NODE_CPUS_UNKNOWN},
		{"0,\n", NODE_CPUS_UNKNOWN}, {"-\n", NODE_CPUS_UNKNOWN},
		{"0-99999999999\n", NODE_CPUS_UNKNOWN}};
	struct node *list = NULL;
	size_t i, n = 0;

	(void)state;
	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		fake.node[2].list = lists[i].list;
		assert_int_equal(node_list(&list, &n), 0);
		assert_int_equal(list[1].n_cpus, lists[i].n);
		free(list);
	}
}

static void test_no_numa(void **state)
{
	struct node *list = (void *)&fake;
	size_t n = 7;

	(void)state;
	fake.is_available = false;
	assert_int_equal(node_list(&list, &n), 0);
	assert_null(list);
	assert_int_equal(n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_gaps, setup),
		cmocka_unit_test_setup(test_doubts, setup),
		cmocka_unit_test_setup(test_lists, setup),
		cmocka_unit_test_setup(test_no_numa, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
