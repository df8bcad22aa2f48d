/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of region-devdax.c: whose a device is, and that nothing of others is left on it. */
#include "allocator/dax.h"
#include "allocator/region.h"
#include "tests/allocator/fake-dax.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#define MIB (UINT64_C(1) << 20)
#define ALIGN (2 * MIB)

static char why[512];
static char object[64]; /* in shared memory, where a test wants one */
static uint64_t identity[2];

static struct region_options options(enum region_mode mode, uint64_t size)
{
	struct region_options opt = {
		.kind = REGION_DEVDAX, .mode = mode, .name = "/kv0.cxl", .size = size,
		.device = "/dev/dax9.0", .node = -1, .n_threads = 2,
	};

	memcpy(opt.identity, identity, sizeof(identity));
	return opt;
}

static int try_open(struct region **r, enum region_mode mode, uint64_t size)
{
	struct region_options opt = options(mode, size);

	return region_open(r, &opt, why, sizeof(why));
}

/* A cold start, with its mark remembered as the index does. */
static struct region *create(uint64_t size)
{
	struct region *r = NULL;

	if (try_open(&r, REGION_CREATE, size))
		fail_msg("%s", why);
	memcpy(identity, region_identity(r), sizeof(identity));
	return r;
}

/* The same, with something on it, and gone. */
static void leave(uint64_t size)
{
	struct region *r = create(size);

	strcpy(region_base(r), "kept");
	region_close(r, false);
}

static void assert_reuse(uint64_t size, int outcome, const char *says)
{
	struct region *r = NULL;

	assert_int_equal(try_open(&r, REGION_REUSE, size), outcome);
	if (!strstr(why, says))
		fail_msg("\"%s\" does not say \"%s\"", why, says);
	if (outcome)
		assert_null(r);
	else
		assert_string_equal(region_base(r), "kept");
	region_close(r, false);
}

static int setup(void **state)
{
	(void)state;
	fake_dax_reset();
	snprintf(object, sizeof(object), "/shmc-test-devdax-%ld", (long)getpid());
	memset(identity, 0, sizeof(identity));
	fake_dax_add("dax9.0", 16 * MIB, ALIGN);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_dax_reset();
	region_unlink(object);
	return 0;
}

/* What an earlier user left is on every byte, and on none afterwards but in what is not ours. */
static void test_cleared(void **state)
{
	char *all = fake_dax_map(&fake_dax.device[0]);
	struct region *r;
	uint64_t i;

	(void)state;
	memset(all, 0xa5, 16 * MIB);
	r = create(10 * MIB);
	assert_int_equal(region_size(r), 10 * MIB);
	assert_int_equal(region_map_off(r), ALIGN);
	assert_int_equal(region_map_align(r), ALIGN);
	for (i = 0; i < region_size(r); i++)
		if (((char *)region_base(r))[i])
			fail_msg("byte %llu is left", (unsigned long long)i);
	for (i = sizeof(struct { uint64_t head[5]; char name[64]; }); i < ALIGN; i++)
		if (all[i])
			fail_msg("byte %llu before the region is left", (unsigned long long)i);
	/* The region begins behind the first page that can be mapped. */
	strcpy(region_base(r), "first");
	assert_string_equal(all + ALIGN, "first");
	assert_int_equal((unsigned char)all[12 * MIB], 0xa5);
	region_close(r, true);
	munmap(all, 16 * MIB);
}

/* The node is daxctl's: asked by address the kernel names another. */
static void test_described(void **state)
{
	struct region *r = create(14 * MIB);

	(void)state;
	assert_int_equal(region_node(r), 7);
	assert_int_equal(region_lacks(r), 0);
	assert_int_equal((uintptr_t)region_base(r) % ALIGN, 0);
	assert_true(region_identity(r)[0] || region_identity(r)[1]);
	region_close(r, true);
}

/* fstat() says 0, and a map that is too long would succeed. */
static void test_size_is_daxctls(void **state)
{
	struct dax_device d;
	struct region *r = NULL;

	(void)state;
	assert_int_equal(dax_find("/dev/dax9.0", &d), 0);
	assert_int_equal(region_devdax_room(&d), 14 * MIB);
	assert_int_equal(try_open(&r, REGION_CREATE, 16 * MIB), -ENOSPC);
	assert_non_null(strstr(why, "14.00 MiB"));
	assert_int_equal(try_open(&r, REGION_CREATE, 3 * MIB), -EINVAL);
	d.size = ALIGN;
	assert_int_equal(region_devdax_room(&d), 0);
	d.size = 0;
	assert_int_equal(region_devdax_room(&d), 0);
	d.size = 7 * MIB;
	assert_int_equal(region_devdax_room(&d), 4 * MIB);
}

/* Alignments of 4 KiB and of more than a huge page. */
static void test_alignments(void **state)
{
	static const uint64_t aligns[] = { 4096, 4 * MIB };
	struct region *r;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(aligns) / sizeof(aligns[0]); i++) {
		fake_dax.device[0].align = aligns[i];
		r = create(8 * MIB);
		assert_int_equal(region_map_align(r), i ? 4 * MIB : ALIGN);
		assert_int_equal((uintptr_t)region_base(r) % region_map_align(r), 0);
		memset(region_base(r), 1, region_size(r));
		region_close(r, true);
	}
}

static void test_obstacles(void **state)
{
	struct fake_device *d = &fake_dax.device[0];
	struct region *r = NULL;

	(void)state;
	d->driver = NULL; /* disabled: its node is there, and opening it ENXIO */
	assert_int_equal(try_open(&r, REGION_CREATE, 8 * MIB), -ENXIO);
	assert_non_null(strstr(why, "is disabled"));
	d->driver = "kmem";
	assert_int_equal(try_open(&r, REGION_CREATE, 8 * MIB), -EBUSY);
	assert_non_null(strstr(why, "ordinary memory"));
	d->driver = "device_dax";
	d->is_other = true;
	assert_int_equal(try_open(&r, REGION_CREATE, 8 * MIB), -ENODEV);
	d->is_other = false;
	d->open_errno = EACCES;
	assert_int_equal(try_open(&r, REGION_CREATE, 8 * MIB), -EACCES);
	fake_dax_reset();
	assert_int_equal(try_open(&r, REGION_CREATE, 8 * MIB), -ENODEV);
	assert_non_null(strstr(why, "no device /dev/dax9.0"));
	fake_dax.list_errno = ENOMEM;
	assert_int_equal(try_open(&r, REGION_CREATE, 8 * MIB), -ENOMEM);
}

static void test_reuse(void **state)
{
	(void)state;
	leave(8 * MIB);
	assert_reuse(8 * MIB, 0, "");
	assert_reuse(6 * MIB, REGION_OTHER_SIZE, "8.00 MiB");
	assert_reuse(8 * MIB, 0, "");
}

static void test_not_ours(void **state)
{
	uint64_t *all = fake_dax_map(&fake_dax.device[0]);
	struct region_options opt;
	struct region *r = NULL;

	(void)state;
	assert_reuse(8 * MIB, REGION_OTHER, "carries no cache");
	leave(8 * MIB);
	/* The index is of an earlier time, or of another backend. */
	identity[1] ^= 1;
	assert_reuse(8 * MIB, REGION_OTHER, "another index");
	memset(identity, 0, sizeof(identity));
	assert_reuse(8 * MIB, REGION_OTHER, "another index");
	leave(8 * MIB);
	/* Ordinary memory meanwhile, and the page has survived. */
	fake_dax.device[0].binding++;
	assert_reuse(8 * MIB, REGION_OTHER, "anew");
	fake_dax.device[0].binding--;
	assert_reuse(8 * MIB, 0, "");
	opt = options(REGION_REUSE, 8 * MIB);
	opt.name = "/kv1.cxl";
	assert_int_equal(region_open(&r, &opt, why, sizeof(why)), REGION_OTHER);
	assert_non_null(strstr(why, "/kv0.cxl"));
	all[0]++;
	assert_reuse(8 * MIB, REGION_OTHER, "carries no cache");
	munmap(all, 16 * MIB);
}

/* A page that vouches for what was not cleared to the end would be a lie. */
static void test_clearing_fails(void **state)
{
	struct region *r = NULL;

	(void)state;
	leave(8 * MIB);
	fake_dax.read_errno = EFAULT;
	fake_dax.read_left = 5 * MIB + 5;
	assert_int_equal(try_open(&r, REGION_CREATE, 8 * MIB), -EFAULT);
	assert_non_null(strstr(why, "cannot clear"));
	fake_dax.read_errno = 0;
	assert_reuse(8 * MIB, REGION_OTHER, "carries no cache");
	leave(8 * MIB);
	assert_reuse(8 * MIB, 0, "");
}

static void test_forgotten(void **state)
{
	struct region *r = create(8 * MIB);

	(void)state;
	region_close(r, true);
	assert_reuse(8 * MIB, REGION_OTHER, "carries no cache");
}

/* One broker a device; a start that is refused changes nothing. */
static void test_one_broker(void **state)
{
	struct region *r, *other = NULL;
	struct dax_device d;
	char owner[64];

	(void)state;
	leave(8 * MIB);
	assert_int_equal(try_open(&r, REGION_REUSE, 8 * MIB), 0);
	assert_int_equal(dax_find("/dev/dax9.0", &d), 0);
	assert_int_equal(try_open(&other, REGION_CREATE, 8 * MIB), -EBUSY);
	assert_int_equal(try_open(&other, REGION_REUSE, 8 * MIB), -EBUSY);
	assert_non_null(strstr(why, "another broker"));
	assert_int_equal(region_devdax_owner(&d, owner, sizeof(owner)), -EBUSY);
	region_close(r, false);
	assert_int_equal(region_devdax_owner(&d, owner, sizeof(owner)), 0);
	assert_string_equal(owner, "/kv0.cxl");
	assert_reuse(8 * MIB, 0, "");
}

/*
 * A client maps, closes its descriptor, and outlives its broker. Its own cache may go on under it,
 * as it has been told; a cold start for anybody else would let it see what is not its own.
 */
static void test_clients_still_look(void **state)
{
	struct region_options opt = options(REGION_CREATE, 8 * MIB);
	struct region *r = create(8 * MIB), *other = NULL;
	int fd = dup(region_fd_readonly(r));
	void *view = mmap(NULL, ALIGN, PROT_READ, MAP_SHARED, fd, ALIGN);

	(void)state;
	assert_true(view != MAP_FAILED);
	close(fd);
	strcpy(region_base(r), "kept");
	region_close(r, false);
	assert_reuse(8 * MIB, 0, "");

	assert_int_equal(region_open(&other, &opt, why, sizeof(why)), -EBUSY);
	assert_non_null(strstr(why, "still mapped"));
	opt.is_told = true;
	opt.name = "/kv1.cxl";
	assert_int_equal(region_open(&other, &opt, why, sizeof(why)), -EBUSY);
	assert_string_equal(view, "kept");
	assert_reuse(8 * MIB, 0, "");
	opt.name = "/kv0.cxl";
	assert_int_equal(region_open(&other, &opt, why, sizeof(why)), 0);
	region_close(other, false);

	munmap(view, ALIGN);
	opt.name = "/kv1.cxl";
	opt.is_told = false;
	assert_int_equal(region_open(&other, &opt, why, sizeof(why)), 0);
	region_close(other, true);
}

/* The device says that its size is 0: that is no damage, and nothing is to be mended. */
static void test_never_damaged(void **state)
{
	struct region *r = create(8 * MIB);
	uint64_t off = 42;

	(void)state;
	assert_false(region_is_damaged(r, &off));
	assert_int_equal(region_mend(r, 0), 0);
	assert_int_equal(off, 42);
	region_close(r, true);
}

/* A shared memory object that is left from before the device was used is too old. */
static void test_object_is_older(void **state)
{
	struct region_options opt = {.kind = REGION_SHM, .mode = REGION_CREATE, .name = object,
		.size = MIB, .node = -1, .n_threads = 1};
	struct region *r = NULL;

	(void)state;
	assert_int_equal(region_open(&r, &opt, why, sizeof(why)), 0);
	region_close(r, false);
	opt.mode = REGION_REUSE;
	opt.identity[0] = 5;
	assert_int_equal(region_open(&r, &opt, why, sizeof(why)), REGION_OTHER);
	opt.identity[0] = 0;
	assert_int_equal(region_open(&r, &opt, why, sizeof(why)), 0);
	region_close(r, true);
}

static void test_list(void **state)
{
	struct dax_device *list = NULL;
	size_t n = 0;

	(void)state;
	fake_dax_add("dax10.0", 4 * MIB, ALIGN)->bus = "/sys/devices/LNXSYSTM:00/ndbus0/region0";
	fake_dax_add("dax9.1", 4 * MIB, 4096)->driver = NULL;
	fake_dax_add("dax0.0", 4 * MIB, ALIGN)->driver = "kmem";
	assert_int_equal(dax_list(&list, &n), 0);
	assert_int_equal(n, 4);
	assert_string_equal(list[0].path, "/dev/dax0.0");
	assert_string_equal(list[1].path, "/dev/dax9.0");
	assert_string_equal(list[2].path, "/dev/dax9.1");
	assert_string_equal(list[3].path, "/dev/dax10.0");
	assert_true(list[0].is_memory && !list[0].is_enabled);
	assert_true(list[1].is_enabled && !list[1].is_persistent);
	assert_true(!list[2].is_enabled && !list[2].is_memory);
	assert_true(list[3].is_enabled && list[3].is_persistent);
	free(list);
}

#define UNIT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_cleared),
		UNIT(test_described),
		UNIT(test_size_is_daxctls),
		UNIT(test_alignments),
		UNIT(test_obstacles),
		UNIT(test_reuse),
		UNIT(test_not_ours),
		UNIT(test_clearing_fails),
		UNIT(test_forgotten),
		UNIT(test_one_broker),
		UNIT(test_clients_still_look),
		UNIT(test_never_damaged),
		UNIT(test_object_is_older),
		UNIT(test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
