/* SPDX-License-Identifier: Apache-2.0 */
/* backend.c: what is chosen, on machines of all kinds. */
#include "shmcache/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/allocator/fake-dax.h"

#include <cmocka.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static struct config config;
static struct machine machine;
static struct node nodes[3];
static struct backend got;
static char name[64];

/* A machine with one node, and a configuration that says nothing. */
static int setup(void **state)
{
	(void)state;
	fake_dax_reset();
	config_init(&config);
	config.dram.size = 64 * MIB;
	memset(nodes, 0, sizeof(nodes));
	nodes[0] = (struct node){.number = 0, .size = 8 * GIB, .free = 4 * GIB, .n_cpus = 2,
		.is_allowed = true};
	machine = (struct machine){.node = nodes, .n_nodes = 1, .shm_size = 4 * GIB,
		.shm_free = 3 * GIB};
	snprintf(name, sizeof(name), "/shmc-unit-%ld-backend", (long)getpid());
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(machine.device);
	fake_dax_reset();
	return 0;
}

/* The devices of the fake, as they are now. */
static void look(void)
{
	free(machine.device);
	machine.device = NULL;
	assert_int_equal(dax_list(&machine.device, &machine.n_devices), 0);
}

static int choose(void)
{
	return backend_choose(&got, &config, &machine, name);
}

static void assert_choice(enum config_backend kind, uint64_t size)
{
	int r = choose();

	if (r)
		fail_msg("%d: %s", r, got.why);
	assert_string_equal(backend_name(got.kind), backend_name(kind));
	assert_int_equal(got.region.size, size);
	assert_true(got.why[0]);
	if (size)
		assert_string_equal(got.region.name, name);
}

static void assert_error(int error, const char *says)
{
	assert_int_equal(choose(), error);
	if (!strstr(got.why, says))
		fail_msg("\"%s\" does not say \"%s\"", got.why, says);
}

static void add_far_node(void)
{
	nodes[1] = (struct node){.number = 2, .size = GIB, .free = GIB - MIB, .is_allowed = true};
	machine.n_nodes = 2;
}

/* Leaves the mark of a cache on a device. */
static void leave(const char *path, const char *owner)
{
	struct region_options opt = {.kind = REGION_DEVDAX, .mode = REGION_CREATE, .name = owner,
		.size = 2 * MIB, .device = path, .n_threads = 1};
	struct region *r = NULL;
	char why[256];

	if (region_open(&r, &opt, why, sizeof(why)))
		fail_msg("%s", why);
	region_close(r, false);
}

/* Who has no CXL memory and asks for none gets no second tier that takes memory. */
static void nothing_there(void **state)
{
	(void)state;
	assert_choice(CONFIG_BACKEND_OFF, 0);
	config.cxl.size = 128 * MIB;
	assert_choice(CONFIG_BACKEND_SHM, 128 * MIB);
	assert_int_equal(got.region.node, -1);
	config.cxl.size = 0;
	config.cxl.backend = CONFIG_BACKEND_SHM;
	assert_choice(CONFIG_BACKEND_SHM, 64 * MIB);
	config.cxl.backend = CONFIG_BACKEND_NUMA;
	assert_error(-ENODEV, "no NUMA node with memory and without CPUs");
	config.cxl.backend = CONFIG_BACKEND_DEVDAX;
	assert_error(-ENODEV, "no /dev/dax device");
	machine.n_nodes = 0;
	config.cxl.backend = CONFIG_BACKEND_AUTO;
	assert_choice(CONFIG_BACKEND_OFF, 0);
}

static void off_is_off(void **state)
{
	(void)state;
	fake_dax_add("dax0.0", 16 * MIB, 2 * MIB);
	look();
	add_far_node();
	config.cxl.backend = CONFIG_BACKEND_OFF;
	config.cxl.size = GIB;
	assert_choice(CONFIG_BACKEND_OFF, 0);
}

static void a_far_node(void **state)
{
	(void)state;
	add_far_node();
	assert_choice(CONFIG_BACKEND_NUMA, GIB / 2);
	assert_int_equal(got.region.kind, REGION_SHM);
	assert_int_equal(got.region.node, 2);
	config.cxl.size = 5 * MIB;
	assert_choice(CONFIG_BACKEND_NUMA, 5 * MIB);
	/* One with CPUs, because it is named. */
	config.cxl.node = 0;
	assert_choice(CONFIG_BACKEND_NUMA, 5 * MIB);
	assert_int_equal(got.region.node, 0);
	config.cxl.node = 1;
	assert_error(-ENODEV, "node 1 has no memory or does not exist");
	/* Not ours to use; of no size; its CPUs not told. */
	config.cxl.node = -1;
	config.cxl.size = 0;
	nodes[1].is_allowed = false;
	assert_choice(CONFIG_BACKEND_OFF, 0);
	nodes[1].is_allowed = true;
	nodes[1].size = 0;
	assert_choice(CONFIG_BACKEND_OFF, 0);
	nodes[1].size = GIB;
	nodes[1].n_cpus = NODE_CPUS_UNKNOWN;
	assert_choice(CONFIG_BACKEND_OFF, 0);
}

/* A size that nobody asked for must not keep a broker from starting, nor change at a restart. */
static void a_node_without_room(void **state)
{
	int fd;

	(void)state;
	add_far_node();
	nodes[1].free = GIB / 2 - MIB;
	assert_choice(CONFIG_BACKEND_OFF, 0);
	assert_non_null(strstr(got.why, "does not fit"));
	nodes[1].free = GIB;
	machine.shm_free = GIB / 2;
	assert_choice(CONFIG_BACKEND_OFF, 0);
	/* What is there from before has the room already. */
	fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_choice(CONFIG_BACKEND_NUMA, GIB / 2);
	shm_unlink(name);
	machine.shm_size = GIB / 2;
	machine.shm_free = GIB / 2;
	assert_choice(CONFIG_BACKEND_NUMA, GIB / 4);
}

static void a_device(void **state)
{
	struct fake_device *d = fake_dax_add("dax0.0", 16 * MIB, 2 * MIB);

	(void)state;
	add_far_node();
	look();
	assert_choice(CONFIG_BACKEND_DEVDAX, 14 * MIB);
	assert_int_equal(got.region.kind, REGION_DEVDAX);
	assert_string_equal(got.region.device, "/dev/dax0.0");
	config.cxl.size = 5 * MIB;
	assert_choice(CONFIG_BACKEND_DEVDAX, 4 * MIB);
	config.cxl.size = MIB;
	assert_choice(CONFIG_BACKEND_NUMA, MIB);
	config.cxl.backend = CONFIG_BACKEND_DEVDAX;
	assert_error(-EINVAL, "alignment");
	config.cxl.size = 16 * MIB;
	assert_error(-ENOSPC, "/dev/dax0.0");
	config.cxl.backend = CONFIG_BACKEND_AUTO;
	config.cxl.size = 0;
	/* What can't be used, or may be somebody's, is left alone. */
	d->driver = NULL;
	look();
	assert_choice(CONFIG_BACKEND_NUMA, GIB / 2);
	assert_non_null(strstr(got.why, "/dev/dax0.0 is disabled"));
	d->driver = "kmem";
	look();
	assert_choice(CONFIG_BACKEND_NUMA, GIB / 2);
	d->driver = "device_dax";
	d->open_errno = EACCES;
	look();
	assert_choice(CONFIG_BACKEND_NUMA, GIB / 2);
	assert_non_null(strstr(got.why, "may not be opened"));
	d->open_errno = 0;
	d->bus = "/sys/devices/LNXSYSTM:00/ndbus0/region0";
	look();
	assert_choice(CONFIG_BACKEND_NUMA, GIB / 2);
	assert_non_null(strstr(got.why, "persistent"));
	config.cxl.backend = CONFIG_BACKEND_DEVDAX;
	assert_error(-ENODEV, "persistent");
	snprintf(config.cxl.device, sizeof(config.cxl.device), "/dev/dax0.0");
	assert_choice(CONFIG_BACKEND_DEVDAX, 14 * MIB);
}

static void whose_device(void **state)
{
	(void)state;
	fake_dax_add("dax0.0", 16 * MIB, 2 * MIB);
	fake_dax_add("dax1.0", 16 * MIB, 2 * MIB);
	fake_dax_add("dax2.0", 16 * MIB, 2 * MIB);
	leave("/dev/dax0.0", "/another.cxl");
	look();
	assert_choice(CONFIG_BACKEND_DEVDAX, 14 * MIB);
	assert_string_equal(got.region.device, "/dev/dax1.0");
	assert_non_null(strstr(got.why, "carries another cache"));
	/* The one that carries this cache before one that carries none. */
	leave("/dev/dax2.0", name);
	assert_choice(CONFIG_BACKEND_DEVDAX, 14 * MIB);
	assert_string_equal(got.region.device, "/dev/dax2.0");
	/* Who is named is taken. */
	snprintf(config.cxl.device, sizeof(config.cxl.device), "/dev/dax0.0");
	assert_choice(CONFIG_BACKEND_DEVDAX, 14 * MIB);
	assert_string_equal(got.region.device, "/dev/dax0.0");
	snprintf(config.cxl.device, sizeof(config.cxl.device), "/dev/dax5.0");
	assert_error(-ENODEV, "no device /dev/dax5.0");
	config.cxl.size = GIB;
	assert_error(-ENODEV, "no device /dev/dax5.0");
}

/* A node that is named under auto is not passed over for a device. */
static void named_node(void **state)
{
	(void)state;
	fake_dax_add("dax0.0", 16 * MIB, 2 * MIB);
	look();
	add_far_node();
	config.cxl.node = 2;
	assert_choice(CONFIG_BACKEND_NUMA, GIB / 2);
}

#define UNIT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(nothing_there),
		UNIT(off_is_off),
		UNIT(a_far_node),
		UNIT(a_node_without_room),
		UNIT(a_device),
		UNIT(whose_device),
		UNIT(named_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
