/* SPDX-License-Identifier: Apache-2.0 */
/* probe.c: what --probe prints, of machines that this one is not. */
#include "shmcache/probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *print(int (*printer)(const struct probe *p, FILE *out), const struct probe *p)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	assert_int_equal(printer(p, out), 0);
	fclose(out);
	return text;
}

static void assert_prints(const struct probe *p, const char *text, const char *json)
{
	char *got = print(probe_print, p);

	assert_string_equal(got, text);
	free(got);
	got = print(probe_print_json, p);
	assert_string_equal(got, json);
	free(got);
}

static void nothing(void **state)
{
	struct probe p = {.machine.shm_size = 1 << 20, .machine.shm_free = 4096,
		.choice = {.kind = CONFIG_BACKEND_OFF, .region.node = -1, .why = "none"}};

	(void)state;
	assert_prints(&p,
		"NUMA nodes:\n  none\ndax devices:\n  none\n"
		"CXL memory devices:\n  not told: built without libcxl\n"
		"/dev/shm:\n  1.0 MiB, 4.0 KiB of it free\n"
		"second tier of this configuration:\n  off: none\n",
		"{\"nodes\":[],\"devices\":[],\"cxl_devices\":null,"
		"\"shm\":{\"size\":1048576,\"free\":4096},\"choice\":{\"backend\":\"off\","
		"\"size\":0,\"node\":-1,\"device\":\"\",\"why\":\"none\"}}\n");
}

/* Strings of the kernel's are text, whatever is in them. */
static void all_kinds(void **state)
{
	struct node nodes[] = {
		{.number = 0, .size = 8 << 20, .free = 3 << 20, .n_cpus = 2, .distance = 10,
			.is_allowed = true},
		{.number = 2, .size = 512 << 20, .free = 100, .distance = 28},
		{.number = 5, .size = 1, .n_cpus = NODE_CPUS_UNKNOWN, .is_allowed = true},
	};
	struct dax_device devices[] = {
		{.path = "/dev/dax0.0", .size = 512 << 20, .align = 2 << 20, .target_node = 1,
			.is_enabled = true, .is_persistent = true},
		{.path = "/dev/dax0.1", .size = 64 << 20, .align = 4096, .target_node = 1,
			.is_memory = true},
		{.path = "/dev/\"\\\n", .size = 64 << 20, .align = 4096, .target_node = -1},
	};
	struct probe_memdev memdevs[] = {
		{.name = "mem0", .host = "0000:0d:00.0", .persistent_size = 256 << 20,
			.is_enabled = true},
		{.name = "mem1", .volatile_size = 1 << 30, .node = -1},
	};
	struct probe p = {
		.machine = {.node = nodes, .n_nodes = 3, .device = devices, .n_devices = 3},
		.memdev = memdevs, .n_memdevs = 2, .knows_memdevs = true,
		.choice = {.why = "there is no device"}, .choice_error = -1,
	};

	(void)state;
	assert_prints(&p,
		"NUMA nodes:\n"
		"  node 0    2 CPUs, 8.0 MiB, 3.0 MiB of it free, distance 10\n"
		"  node 2    no CPUs, 512 MiB, 100 B of it free, distance 28, not allowed\n"
		"  node 5    ? CPUs, 1 B, 0 B of it free, distance 0\n"
		"dax devices:\n"
		"  /dev/dax0.0  512 MiB in multiples of 2.0 MiB, node 1, enabled, persistent\n"
		"  /dev/dax0.1  64 MiB in multiples of 4.0 KiB, node 1, ordinary memory now\n"
		"  /dev/\"\\\n  64 MiB in multiples of 4.0 KiB, node -1, disabled\n"
		"CXL memory devices:\n"
		"  mem0  0 B volatile, 256 MiB persistent, at 0000:0d:00.0, enabled\n"
		"  mem1  1.0 GiB volatile, 0 B persistent, at ?, disabled\n"
		"/dev/shm:\n  0 B, 0 B of it free\n"
		"second tier of this configuration:\n  error: there is no device\n",
		"{\"nodes\":["
		"{\"node\":0,\"size\":8388608,\"free\":3145728,\"cpus\":2,\"distance\":10,"
		"\"allowed\":true},"
		"{\"node\":2,\"size\":536870912,\"free\":100,\"cpus\":0,\"distance\":28,"
		"\"allowed\":false},"
		"{\"node\":5,\"size\":1,\"free\":0,\"cpus\":null,\"distance\":0,\"allowed\":true}],"
		"\"devices\":["
		"{\"path\":\"/dev/dax0.0\",\"size\":536870912,\"align\":2097152,\"node\":1,"
		"\"enabled\":true,\"memory\":false,\"persistent\":true},"
		"{\"path\":\"/dev/dax0.1\",\"size\":67108864,\"align\":4096,\"node\":1,"
		"\"enabled\":false,\"memory\":true,\"persistent\":false},"
		"{\"path\":\"/dev/\\\"\\\\\\u000a\",\"size\":67108864,\"align\":4096,\"node\":-1,"
		"\"enabled\":false,\"memory\":false,\"persistent\":false}],"
		"\"cxl_devices\":["
		"{\"name\":\"mem0\",\"host\":\"0000:0d:00.0\",\"volatile\":0,"
		"\"persistent\":268435456,\"node\":0,\"enabled\":true},"
		"{\"name\":\"mem1\",\"host\":\"\",\"volatile\":1073741824,\"persistent\":0,"
		"\"node\":-1,\"enabled\":false}],"
		"\"shm\":{\"size\":0,\"free\":0},\"choice\":{\"backend\":\"error\",\"size\":0,"
		"\"node\":0,\"device\":\"\",\"why\":\"there is no device\"}}\n");
}

/* The machine that the test runs on: whatever it is, and whoever we are. */
static void this_machine(void **state)
{
	struct config c;
	struct probe p;
	char *text;

	(void)state;
	config_init(&c);
	c.dram.size = 1 << 20;
	probe_look(&p, &c);
	text = print(probe_print, &p);
	assert_non_null(strstr(text, "\nsecond tier of this configuration:\n  "));
	free(text);
	probe_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing),
		cmocka_unit_test(all_kinds),
		cmocka_unit_test(this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
