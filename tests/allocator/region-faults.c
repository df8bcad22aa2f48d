/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unit of allocator/region*.c: system calls that fail half-way.
 *
 * The linker puts the functions below in front of the C library's, so that what
 * only a full, old or locked-down machine does can be had on any.
 */
#include "allocator/region.h"

#include <errno.h>
#include <fcntl.h>
#include <numa.h>
#include <numaif.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define MIB (UINT64_C(1) << 20)
#define POPULATE_WRITE 23	/* MADV_; newer than some headers */

static char name[64];
static char why[512];

static struct faults {
	int fallocate_errno;
	atomic_int fallocate_after;	/* so many calls succeed; < 0: all */
	int mbind_errno;
	int populate_errno;
	atomic_int n_interrupts;	/* so many EINTR first */
	int node_seen;			/* -1: the true one */
	atomic_int n_passing;		/* so many pages answer as below first */
	int passing;
	int survey_errno;
} faults;

/* By the name that it has with 64-bit offsets, which meson asks for. */
int __real_fallocate64(int fd, int mode, off_t off, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t off, off_t len);
long __real_mbind(void *p, unsigned long len, int mode, const unsigned long *mask,
		unsigned long maxnode, unsigned flags);
long __wrap_mbind(void *p, unsigned long len, int mode, const unsigned long *mask,
		unsigned long maxnode, unsigned flags);
long __real_move_pages(int pid, unsigned long n, void **pages, const int *nodes, int *status,
		int flags);
long __wrap_move_pages(int pid, unsigned long n, void **pages, const int *nodes, int *status,
		int flags);
int __real_madvise(void *p, size_t len, int advice);
int __wrap_madvise(void *p, size_t len, int advice);

int __wrap_fallocate64(int fd, int mode, off_t off, off_t len)
{
	if (atomic_fetch_sub(&faults.n_interrupts, 1) > 0) {
		errno = EINTR;
		return -1;
	}
	if (faults.fallocate_errno && atomic_fetch_sub(&faults.fallocate_after, 1) <= 0) {
		errno = faults.fallocate_errno;
		return -1;
	}
	return __real_fallocate64(fd, mode, off, len);
}

long __wrap_mbind(void *p, unsigned long len, int mode, const unsigned long *mask,
		unsigned long maxnode, unsigned flags)
{
	if (faults.mbind_errno) {
		errno = faults.mbind_errno;
		return -1;
	}
	return __real_mbind(p, len, mode, mask, maxnode, flags);
}

long __wrap_move_pages(int pid, unsigned long n, void **pages, const int *nodes, int *status,
		int flags)
{
	unsigned long i;
	long r;

	if (faults.survey_errno) {
		errno = faults.survey_errno;
		return -1;
	}
	r = __real_move_pages(pid, n, pages, nodes, status, flags);
	for (i = 0; i < n && !r; i++) {
		if (faults.node_seen >= 0)
			status[i] = faults.node_seen;
		if (atomic_fetch_sub(&faults.n_passing, 1) > 0)
			status[i] = faults.passing;
	}
	return r;
}

int __wrap_madvise(void *p, size_t len, int advice)
{
	if (faults.populate_errno && advice == POPULATE_WRITE) {
		errno = faults.populate_errno;
		return -1;
	}
	return __real_madvise(p, len, advice);
}

static struct region_options options(enum region_mode mode, uint64_t size, int node)
{
	return (struct region_options){
		.kind = REGION_SHM, .mode = mode, .name = name, .size = size, .node = node,
		.n_threads = 3,
	};
}

static int try_open(struct region **r, enum region_mode mode, uint64_t size, int node)
{
	struct region_options opt = options(mode, size, node);

	return region_open(r, &opt, why, sizeof(why));
}

static bool name_exists(void)
{
	int fd = shm_open(name, O_RDONLY, 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int setup(void **state)
{
	(void)state;
	faults = (struct faults){ .node_seen = -1 };
	snprintf(name, sizeof(name), "/shmc-test-faults-%ld", (long)getpid());
	region_unlink(name);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return region_unlink(name) == REGION_ABSENT ? 0 : -1;
}

/* Someone else took the room after the look and before the call. */
static void test_full_half_way(void **state)
{
	struct region *r = NULL;
	int after, fd = dup(0);

	(void)state;
	close(fd);
	for (after = 0; after < 3; after++) {
		faults.fallocate_errno = ENOSPC;
		atomic_store(&faults.fallocate_after, after);
		assert_int_equal(try_open(&r, REGION_CREATE, 192 * MIB, -1), -ENOSPC);
		assert_null(r);
		assert_non_null(strstr(why, "192.00 MiB"));
		assert_non_null(strstr(why, name));
		assert_false(name_exists());
	}
	assert_int_equal(dup(0), fd);
	close(fd);
}

/* What an earlier broker left must survive a restart that fails. */
static void test_reuse_full(void **state)
{
	struct region *r = NULL;

	(void)state;
	assert_int_equal(try_open(&r, REGION_CREATE, MIB, -1), 0);
	strcpy(region_base(r), "kept");
	region_close(r, false);
	faults.fallocate_errno = ENOSPC;
	assert_int_equal(try_open(&r, REGION_REUSE, MIB, -1), -ENOSPC);
	assert_true(name_exists());
	faults.fallocate_errno = 0;
	assert_int_equal(try_open(&r, REGION_REUSE, MIB, -1), 0);
	assert_string_equal(region_base(r), "kept");
	region_close(r, true);
}

static void test_interrupted(void **state)
{
	struct region *r = NULL;
	struct stat st;

	(void)state;
	atomic_store(&faults.n_interrupts, 5);
	assert_int_equal(try_open(&r, REGION_CREATE, MIB, -1), 0);
	assert_int_equal(fstat(region_fd(r), &st), 0);
	assert_int_equal((uint64_t)st.st_blocks * 512, MIB);
	assert_true(atomic_load(&faults.n_interrupts) < 0);
	region_close(r, true);
}

/* Populating can fail for good (poisoned memory), or be unknown (old kernel). */
static void test_populate(void **state)
{
	unsigned char pages[MIB / 4096];
	struct region *r = NULL;
	size_t i;

	(void)state;
	faults.populate_errno = EHWPOISON;
	assert_int_equal(try_open(&r, REGION_CREATE, MIB, -1), -EHWPOISON);
	assert_false(name_exists());
	faults.populate_errno = EINVAL;
	assert_int_equal(try_open(&r, REGION_CREATE, MIB, -1), 0);
	assert_int_equal(mincore(region_base(r), MIB, pages), 0);
	for (i = 0; i < sizeof(pages); i++)
		assert_true(pages[i] & 1);
	strcpy(region_base(r), "kept");
	region_close(r, false);
	assert_int_equal(try_open(&r, REGION_REUSE, MIB, -1), 0);
	assert_string_equal(region_base(r), "kept");
	region_close(r, true);
}

static void test_bind_refused(void **state)
{
	static const int refusals[] = { EPERM, ENOSYS, EINVAL };
	struct region *r = NULL;
	size_t i;

	(void)state;
	if (numa_available() < 0)
		skip();
	for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		faults.mbind_errno = refusals[i];
		assert_int_equal(try_open(&r, REGION_CREATE, MIB, 0), 0);
		assert_int_equal(region_lacks(r), REGION_UNBOUND);
		assert_int_equal(region_node(r), -1);
		assert_non_null(strstr(why, "not bound to NUMA node 0"));
		memset(region_base(r), 1, MIB);
		region_close(r, true);
	}
	faults.mbind_errno = ENOMEM;
	assert_int_equal(try_open(&r, REGION_CREATE, MIB, 0), -ENOMEM);
	assert_false(name_exists());
}

static void test_pages_elsewhere(void **state)
{
	struct region *r = NULL;

	(void)state;
	if (numa_available() < 0)
		skip();
	faults.node_seen = 1;
	assert_int_equal(try_open(&r, REGION_CREATE, MIB, 0), 0);
	if (region_lacks(r) & REGION_UNBOUND) {
		region_close(r, true);
		skip();
	}
	assert_int_equal(region_lacks(r), REGION_ELSEWHERE);
	assert_int_equal(region_placement(r)->elsewhere, MIB);
	assert_int_equal(region_placement(r)->on_node, 0);
	assert_non_null(strstr(why, "1.00 MiB of 1.00 MiB is elsewhere"));
	region_close(r, true);
}

/* Opens on node 0; false where that can't be, and nothing is open. */
static bool open_bound(struct region **r)
{
	if (numa_available() < 0)
		return false;
	assert_int_equal(try_open(r, REGION_CREATE, MIB, 0), 0);
	if (!(region_lacks(*r) & REGION_UNBOUND))
		return true;
	region_close(*r, true);
	return false;
}

/* Busy, or not mapped here: asked again, until the answer is one. */
static void test_passing_answers(void **state)
{
	static const int answers[] = { -EBUSY, -ENOENT };
	struct region *r = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		faults.passing = answers[i];
		atomic_store(&faults.n_passing, 300);
		if (!open_bound(&r))
			skip();
		assert_int_equal(region_lacks(r), 0);
		assert_int_equal(region_placement(r)->on_node, MIB);
		region_close(r, true);
	}
}

/* What is busy for ever, and what is no passing answer, is told as untold. */
static void test_untold(void **state)
{
	static const int answers[] = { -EBUSY, -EFAULT };
	struct region *r = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		faults.passing = answers[i];
		atomic_store(&faults.n_passing, i ? 256 : 1 << 30);
		if (!open_bound(&r))
			skip();
		assert_int_equal(region_lacks(r), REGION_UNVERIFIED);
		assert_int_equal(region_placement(r)->on_node, 0);
		assert_int_equal(region_placement(r)->elsewhere, 0);
		assert_int_equal(region_placement(r)->untold, MIB);
		assert_non_null(strstr(why, "not told"));
		region_close(r, true);
	}
}

static void test_survey_forbidden(void **state)
{
	struct region *r = NULL;

	(void)state;
	faults.survey_errno = EPERM;
	if (!open_bound(&r))
		skip();
	assert_int_equal(region_lacks(r), REGION_UNVERIFIED);
	assert_int_equal(region_placement(r)->untold, MIB);
	assert_non_null(strstr(why, strerror(EPERM)));
	region_close(r, true);
}

#define UNIT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_full_half_way),
		UNIT(test_reuse_full),
		UNIT(test_interrupted),
		UNIT(test_populate),
		UNIT(test_bind_refused),
		UNIT(test_pages_elsewhere),
		UNIT(test_passing_answers),
		UNIT(test_untold),
		UNIT(test_survey_forbidden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
