/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of allocator/region*.c: what is made, found, refused and left behind. */
#include "allocator/region.h"

#include <errno.h>
#include <fcntl.h>
#include <numa.h>
#include <numaif.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <cmocka.h>

#define MIB (UINT64_C(1) << 20)

static char name[64];
static char why[512];

static struct region_options options(enum region_mode mode, uint64_t size)
{
	return (struct region_options){
		.kind = REGION_SHM, .mode = mode, .name = name, .size = size, .node = -1,
		.n_threads = 2,
	};
}

static int try_open(struct region **r, enum region_mode mode, uint64_t size)
{
	struct region_options opt = options(mode, size);

	strcpy(why, "not written");
	return region_open(r, &opt, why, sizeof(why));
}

static struct region *open_good(enum region_mode mode, uint64_t size)
{
	struct region *r = NULL;
	int err = try_open(&r, mode, size);

	if (err)
		fail_msg("%d: %s", err, why);
	assert_string_equal(why, "");
	return r;
}

static bool name_exists(void)
{
	int fd = shm_open(name, O_RDONLY, 0);

	if (fd >= 0)
		close(fd);
	else
		assert_int_equal(errno, ENOENT);
	return fd >= 0;
}

/* The lowest free descriptor: the same before and after if none is leaked. */
static int lowest_fd(void)
{
	int fd = dup(0);

	assert_true(fd >= 0);
	close(fd);
	return fd;
}

static int setup(void **state)
{
	(void)state;
	snprintf(name, sizeof(name), "/shmc-test-region-%ld", (long)getpid());
	region_unlink(name);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	/* Whatever a test does, it has removed the name by itself. */
	return region_unlink(name) == REGION_ABSENT ? 0 : -1;
}

static void test_create(void **state)
{
	const uint64_t size = 130 * MIB + 4096;	/* three slices, the last short */
	struct region *r = open_good(REGION_CREATE, size);
	uint64_t i, sum = 0;
	struct stat st;

	(void)state;
	assert_int_equal(region_size(r), size);
	assert_string_equal(region_name(r), name);
	assert_int_equal((uintptr_t)region_base(r) % (2 * MIB), 0);
	assert_int_equal(region_lacks(r), 0);
	assert_int_equal(region_node(r), -1);
	assert_int_equal(fstat(region_fd(r), &st), 0);
	assert_int_equal(st.st_size, size);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	/* Every page is there before the first touch, and it is zeroed. */
	assert_int_equal((uint64_t)st.st_blocks * 512, size);
	for (i = 0; i < size / 8; i += 32)
		sum |= ((const uint64_t *)region_base(r))[i];
	assert_int_equal(sum, 0);
	memset(region_base(r), 0xa5, size);
	region_close(r, true);
	assert_false(name_exists());
}

/* And the mapping itself is populated: no page fault is left for a put. */
static void test_populated(void **state)
{
	const uint64_t size = 8 * MIB;
	struct region *r = open_good(REGION_CREATE, size);
	struct rusage before, after;
	uint64_t off;

	(void)state;
	assert_int_equal(getrusage(RUSAGE_THREAD, &before), 0);
	for (off = 0; off < size; off += 4096)
		((volatile char *)region_base(r))[off] = 1;
	assert_int_equal(getrusage(RUSAGE_THREAD, &after), 0);
	assert_true(after.ru_minflt - before.ru_minflt < 16);
	region_close(r, true);
}

static void test_umask(void **state)
{
	mode_t before = umask(0777);
	struct region *r = open_good(REGION_CREATE, 4096);
	struct stat st;

	(void)state;
	umask(before);
	assert_int_equal(fstat(region_fd(r), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	region_close(r, true);
}

static void test_readonly_fd(void **state)
{
	struct region *r = open_good(REGION_CREATE, 4096);
	const char *p;

	(void)state;
	strcpy(region_base(r), "value");
	p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, region_fd_readonly(r), 0);
	assert_true(p != MAP_FAILED);
	assert_string_equal(p, "value");
	assert_int_equal(mprotect((void *)(uintptr_t)p, 4096, PROT_READ | PROT_WRITE), -1);
	assert_int_equal(errno, EACCES);
	assert_true(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, region_fd_readonly(r), 0) ==
		    MAP_FAILED);
	assert_int_equal(errno, EACCES);
	assert_true(fcntl(region_fd(r), F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(region_fd_readonly(r), F_GETFD) & FD_CLOEXEC);
	munmap((void *)(uintptr_t)p, 4096);
	region_close(r, true);
}

static void test_reuse(void **state)
{
	struct region *r = NULL;
	int fd = lowest_fd();

	(void)state;
	assert_int_equal(try_open(&r, REGION_REUSE, MIB), REGION_ABSENT);
	assert_non_null(strstr(why, name));
	assert_false(name_exists());
	r = open_good(REGION_CREATE, MIB);
	memcpy((char *)region_base(r) + MIB - 8, "content", 8);
	region_close(r, false);
	assert_true(name_exists());

	r = open_good(REGION_REUSE, MIB);
	assert_string_equal((char *)region_base(r) + MIB - 8, "content");
	region_close(r, false);

	assert_int_equal(try_open(&r, REGION_CREATE, MIB), REGION_EXISTS);
	assert_int_equal(try_open(&r, REGION_REUSE, 2 * MIB), REGION_OTHER_SIZE);
	assert_non_null(strstr(why, "1.00 MiB"));
	assert_non_null(strstr(why, "2.00 MiB"));
	assert_int_equal(try_open(&r, REGION_REUSE, MIB / 2), REGION_OTHER_SIZE);

	/* None of which did it any harm. */
	r = open_good(REGION_REUSE, MIB);
	assert_string_equal((char *)region_base(r) + MIB - 8, "content");
	region_close(r, true);
	assert_int_equal(region_unlink(name), REGION_ABSENT);
	assert_int_equal(lowest_fd(), fd);
}

/* A broker that died while it reserved leaves an object with holes. */
static void test_reuse_fills_holes(void **state)
{
	int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	struct region *r;
	struct stat st;

	(void)state;
	assert_int_equal(ftruncate(fd, (off_t)(4 * MIB)), 0);
	assert_int_equal(pwrite(fd, "kept", 5, 4096), 5);
	close(fd);
	r = open_good(REGION_REUSE, 4 * MIB);
	assert_int_equal(fstat(region_fd(r), &st), 0);
	assert_int_equal((uint64_t)st.st_blocks * 512, 4 * MIB);
	assert_string_equal((char *)region_base(r) + 4096, "kept");
	region_close(r, true);
}

static void test_reuse_distrusts(void **state)
{
	struct region *r = open_good(REGION_CREATE, 4096);

	(void)state;
	assert_int_equal(fchmod(region_fd(r), 0644), 0);
	region_close(r, false);
	assert_int_equal(try_open(&r, REGION_REUSE, 4096), -EPERM);
	assert_non_null(strstr(why, "644"));
	assert_true(name_exists());
	assert_int_equal(region_unlink(name), 0);
	if (geteuid())
		return;
	r = open_good(REGION_CREATE, 4096);
	assert_int_equal(fchown(region_fd(r), 65534, 65534), 0);
	region_close(r, false);
	assert_int_equal(try_open(&r, REGION_REUSE, 4096), -EPERM);
	assert_non_null(strstr(why, "65534"));
	assert_int_equal(region_unlink(name), 0);
}

/* More than is free: refused at once, with both figures, and nothing taken. */
static void test_no_room(void **state)
{
	struct region *r = NULL;
	struct statvfs before, after;
	int fd = lowest_fd(), err;
	uint64_t size;

	(void)state;
	assert_int_equal(statvfs("/dev/shm", &before), 0);
	size = ((uint64_t)before.f_bavail * before.f_frsize + 4 * 1024 * MIB) & ~UINT64_C(4095);
	err = try_open(&r, REGION_CREATE, size);
	assert_int_equal(err, -ENOSPC);
	assert_null(r);
	assert_non_null(strstr(why, name));
	assert_non_null(strstr(why, "/dev/shm"));
	assert_non_null(strstr(why, "GiB"));
	assert_false(name_exists());
	assert_int_equal(lowest_fd(), fd);
	assert_int_equal(statvfs("/dev/shm", &after), 0);
	/* Others use it as well; but not gigabytes in this moment. */
	assert_true((after.f_bavail + 256 * MIB / after.f_frsize) >= before.f_bavail);
}

static void test_bad_options(void **state)
{
	static const char *const names[] = { "", "/", "x", "/a/b", NULL };
	static const uint64_t sizes[] = { 0, 1, 4095, 4097, UINT64_MAX, UINT64_MAX - 4095 };
	char longer[300] = "/";
	struct region_options opt;
	struct region *r = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		opt = options(REGION_CREATE, 4096);
		opt.name = names[i];
		assert_int_equal(region_open(&r, &opt, why, sizeof(why)), -EINVAL);
		assert_non_null(strstr(why, "name"));
	}
	memset(longer + 1, 'x', 255);
	opt = options(REGION_CREATE, 4096);
	opt.name = longer;
	assert_int_equal(region_open(&r, &opt, why, sizeof(why)), -EINVAL);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		assert_int_equal(try_open(&r, REGION_CREATE, sizes[i]), -EINVAL);
	opt = options(REGION_CREATE, 4096);
	opt.kind = REGION_N_KINDS;
	assert_int_equal(region_open(&r, &opt, NULL, 0), -EINVAL);
	opt = options(REGION_CREATE, 4096);
	opt.node = -2;
	assert_int_equal(region_open(&r, &opt, NULL, 0), -EINVAL);
	assert_null(r);
	assert_false(name_exists());
	region_close(NULL, true);
}

/* The message is cut where it has to be, and never beyond. */
static void test_short_why(void **state)
{
	struct region_options opt = options(REGION_REUSE, 4096);
	char small[8 + 4];
	struct region *r;

	(void)state;
	memset(small, 'x', sizeof(small));
	assert_int_equal(region_open(&r, &opt, small, 8), REGION_ABSENT);
	assert_string_equal(small, "there i");
	assert_memory_equal(small + 8, "xxxx", 4);
}

static void test_node(void **state)
{
	struct region_options opt = options(REGION_CREATE, 4 * MIB);
	struct region *r = NULL;
	int node = -1;

	(void)state;
	if (numa_available() < 0)
		skip();
	opt.node = numa_max_node() + 1;
	assert_int_equal(region_open(&r, &opt, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "NUMA node"));
	assert_false(name_exists());

	opt.node = 0;
	assert_int_equal(region_open(&r, &opt, why, sizeof(why)), 0);
	if (region_lacks(r) & REGION_UNBOUND) {
		assert_non_null(strstr(why, "not bound"));
		assert_int_equal(region_node(r), -1);
	} else {
		int mode = -1;

		assert_int_equal(region_node(r), 0);
		assert_int_equal(get_mempolicy(&mode, NULL, 0, region_base(r), MPOL_F_ADDR), 0);
		assert_int_equal(mode, MPOL_BIND);
		assert_int_equal(get_mempolicy(&node, NULL, 0, region_base(r),
			MPOL_F_NODE | MPOL_F_ADDR), 0);
		assert_int_equal(node, 0);
		assert_int_equal(region_lacks(r), 0);
	}
	region_close(r, false);

	/* Bound to none again, it loses the policy of its last broker. */
	r = open_good(REGION_REUSE, 4 * MIB);
	assert_int_equal(get_mempolicy(&node, NULL, 0, region_base(r), MPOL_F_ADDR), 0);
	assert_int_equal(node, MPOL_DEFAULT);
	region_close(r, true);
}

static void test_huge(void **state)
{
	struct region_options opt = options(REGION_CREATE, 8 * MIB);
	struct region *r = NULL;

	(void)state;
	opt.huge = true;
	assert_int_equal(region_open(&r, &opt, why, sizeof(why)), 0);
	/* Which it is, is the machine's business; that it is told, is ours. */
	assert_int_equal(region_huge_size(r) == 8 * MIB,
		!(region_lacks(r) & REGION_NOT_HUGE));
	assert_int_equal(!*why, !region_lacks(r));
	memset(region_base(r), 1, 8 * MIB);
	region_close(r, true);
}

/* A name that means another object by now is not removed. */
static void test_unlink_only_own(void **state)
{
	struct region *old = open_good(REGION_CREATE, 4096), *new;

	(void)state;
	assert_int_equal(region_unlink(name), 0);
	new = open_good(REGION_CREATE, 4096);
	region_close(old, true);
	assert_true(name_exists());
	region_close(new, true);
	assert_false(name_exists());
}

#define UNIT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_create),
		UNIT(test_populated),
		UNIT(test_umask),
		UNIT(test_readonly_fd),
		UNIT(test_reuse),
		UNIT(test_reuse_fills_holes),
		UNIT(test_reuse_distrusts),
		UNIT(test_no_room),
		UNIT(test_bad_options),
		UNIT(test_short_why),
		UNIT(test_node),
		UNIT(test_huge),
		UNIT(test_unlink_only_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
