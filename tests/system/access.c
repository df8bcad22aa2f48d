/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each role may do, and what the kernel keeps it from.
 *
 * The broker's no is tested, and beyond it the kernel's: a client that ignores the library can't
 * map the index, the response region or (but for the role writer) a tier for writing, nor open
 * them anew, nor change their size. Needs root, to become somebody else.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/system/common.h"

enum {
	UID_READER = 61001,
	UID_STAGER = 61002,
	UID_WRITER = 61003,
	UID_NOBODY = 61004,
};

static struct system_broker broker;
static const char *const rules = "[access]\n"
				 "uid.61001 = reader\n"
				 "uid.61002 = stager\n"
				 "uid.61003 = writer\n";

/* In a child: say what went wrong, and fail. */
#define CHECK(is_true)                                                                             \
	do {                                                                                       \
		if (!(is_true)) {                                                                  \
			fprintf(stderr, "%s:%d: %s (errno: %s)\n", __FILE__, __LINE__, #is_true,   \
				strerror(errno));                                                  \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)
#define CHECK_FAILS(call, error) CHECK((errno = 0, (call)) < 0 && errno == (error))

struct visitor {
	uid_t uid;
	int (*body)(struct raw_client *c, struct raw_lane *lane);
};

static int become(uid_t uid)
{
	CHECK(setgroups(0, NULL) == 0);
	CHECK(setresgid(uid, uid, uid) == 0);
	CHECK(setresuid(uid, uid, uid) == 0);
	return 0;
}

static int visit(void *context)
{
	struct visitor *v = context;
	struct raw_client c;
	struct raw_lane *lane;

	if (become(v->uid))
		return 1;
	CHECK(raw_attach(&c, broker.run.name, WIRE_ROLE_NONE) == 0);
	CHECK(raw_lane_open(&c, &lane) == 0);
	CHECK(raw_ping(&c, lane) == ABI_STATUS_OK);
	return v->body(&c, lane);
}

static void visit_as(uid_t uid, int (*body)(struct raw_client *c, struct raw_lane *lane))
{
	struct visitor v = {uid, body};

	assert_int_equal(system_child(visit, &v), 0);
	system_assert_alive(&broker);
}

/* --- what the kernel refuses ------------------------------------------------------------------ */

static int reopen(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags);
}

/* A descriptor that was opened for reading alone, and what is mapped of it. */
static int check_read_only(int fd, const void *map, size_t size)
{
	int flags = MAP_SHARED;

	CHECK(mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0) == MAP_FAILED);
	CHECK(errno == EACCES);
	CHECK_FAILS(mprotect((void *)map, 4096, PROT_READ | PROT_WRITE), EACCES);
	CHECK_FAILS(pwrite(fd, "x", 1, 0), EBADF);
	CHECK_FAILS(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), EBADF);
	CHECK(ftruncate(fd, 0) < 0 && (errno == EINVAL || errno == EBADF));
	CHECK_FAILS(reopen(fd, O_RDWR), EACCES);
	CHECK_FAILS(fchmod(fd, 0666), EPERM);
	return 0;
}

/* The regions of the session itself: sealed. */
static int check_sealed(struct raw_client *c)
{
	int request = c->fd[RAW_REQUEST], response = c->fd[RAW_RESPONSE], fd;
	void *map;

	CHECK_FAILS(ftruncate(request, 0), EPERM);
	CHECK_FAILS(ftruncate(request, (off_t)c->request_size * 2), EPERM);
	CHECK_FAILS(fcntl(request, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
	CHECK_FAILS(
		fallocate(request, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), EPERM);
	CHECK_FAILS(madvise(c->request, 4096, MADV_REMOVE), EPERM);

	map = mmap(NULL, c->response_size, PROT_READ | PROT_WRITE, MAP_SHARED, response, 0);
	CHECK(map == MAP_FAILED && errno == EPERM);
	CHECK_FAILS(mprotect((void *)c->response, 4096, PROT_READ | PROT_WRITE), EACCES);
	CHECK_FAILS(pwrite(response, "x", 1, 0), EPERM);
	CHECK_FAILS(ftruncate(response, 0), EPERM);
	CHECK_FAILS(ftruncate(response, (off_t)c->response_size * 2), EPERM);
	CHECK_FAILS(
		fallocate(response, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), EPERM);
	/* A new open file has the old seals. */
	fd = reopen(response, O_RDWR);
	if (fd >= 0) {
		map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		CHECK(map == MAP_FAILED && errno == EPERM);
		CHECK_FAILS(pwrite(fd, "x", 1, 0), EPERM);
	}
	return 0;
}

/* By name there is only the plane, and that for reading. */
static int check_names(struct raw_client *c)
{
	char object[64];
	unsigned i;
	int fd;

	for (i = WIRE_OBJECT_PLANE; i <= WIRE_OBJECT_LOCK; i++) {
		if (i == WIRE_OBJECT_CXL)
			continue;
		wire_object_name(broker.run.name, i, object, sizeof(object));
		CHECK_FAILS(shm_open(object, O_RDWR, 0), EACCES);
		fd = shm_open(object, O_RDONLY, 0);
		CHECK((fd >= 0) == (i == WIRE_OBJECT_PLANE));
		CHECK_FAILS(shm_unlink(object), EACCES); /* as glibc has it */
	}
	CHECK_FAILS(mprotect((void *)c->plane, 4096, PROT_READ | PROT_WRITE), EACCES);
	return 0;
}

static int check_kernel(struct raw_client *c)
{
	return check_read_only(c->fd[RAW_INDEX], c->index, c->welcome.index_size) ||
		check_sealed(c) || check_names(c);
}

/* --- the roles -------------------------------------------------------------------------------- */

static int reader_body(struct raw_client *c, struct raw_lane *lane)
{
	struct submission s = {.operation = ABI_OP_FLUSH};
	uint64_t reservation, off;

	CHECK(c->welcome.role == WIRE_ROLE_READER);
	CHECK(raw_put(c, lane, "mine", "x", 1) == ABI_STATUS_DENIED);
	CHECK(raw_reserve(c, lane, "mine", 64, &reservation, &off) == ABI_STATUS_DENIED);
	CHECK(raw_delete(c, lane, "key") == ABI_STATUS_DENIED);
	CHECK(raw_call(c, lane, &s, NULL) == ABI_STATUS_DENIED);
	CHECK(raw_value_is(c, "key", "value", 5));
	return check_kernel(c) ||
		check_read_only(c->fd[RAW_DRAM], c->dram, c->welcome.dram_size);
}

static int stager_body(struct raw_client *c, struct raw_lane *lane)
{
	struct submission s = {.operation = ABI_OP_WRITE};
	uint64_t reservation, off;

	CHECK(c->welcome.role == WIRE_ROLE_STAGER);
	CHECK(raw_put(c, lane, "staged", "bytes", 5) == ABI_STATUS_OK);
	CHECK(raw_value_is(c, "staged", "bytes", 5));
	CHECK(raw_reserve(c, lane, "written", 5, &reservation, &off) == ABI_STATUS_OK);
	memcpy(lane->staging, "words", 5);
	s.value_size = 5;
	s.argument = reservation;
	CHECK(raw_call(c, lane, &s, NULL) == ABI_STATUS_OK);
	CHECK(raw_commit(c, lane, reservation) == ABI_STATUS_OK);
	CHECK(raw_value_is(c, "written", "words", 5));
	CHECK(raw_delete(c, lane, "staged") == ABI_STATUS_OK);
	return check_kernel(c) ||
		check_read_only(c->fd[RAW_DRAM], c->dram, c->welcome.dram_size);
}

static int writer_body(struct raw_client *c, struct raw_lane *lane)
{
	uint64_t reservation, off;

	CHECK(c->welcome.role == WIRE_ROLE_WRITER);
	CHECK(raw_reserve(c, lane, "in place", 5, &reservation, &off) == ABI_STATUS_OK);
	memcpy(c->dram + off, "place", 5);
	CHECK(raw_commit(c, lane, reservation) == ABI_STATUS_OK);
	CHECK(raw_value_is(c, "in place", "place", 5));
	/* The tier is his to fill, and nothing else is. */
	return check_kernel(c);
}

static void test_reader(void **state)
{
	(void)state;
	visit_as(UID_READER, reader_body);
}

static void test_stager(void **state)
{
	(void)state;
	visit_as(UID_STAGER, stager_body);
}

static void test_writer(void **state)
{
	(void)state;
	visit_as(UID_WRITER, writer_body);
}

/* --- who is turned away ----------------------------------------------------------------------- */

static int nobody_body(void *context)
{
	struct shmc_attach_options options = {0};
	struct raw_client c;
	struct shmc *cache;
	char why[256] = "";

	(void)context;
	if (become(UID_NOBODY))
		return 1;
	CHECK(raw_attach(&c, broker.run.name, WIRE_ROLE_NONE) == WIRE_REFUSAL_ACCESS);
	CHECK(raw_attach(&c, broker.run.name, WIRE_ROLE_READER) == WIRE_REFUSAL_ACCESS);
	options.why = why;
	options.why_size = sizeof(why);
	CHECK(shmc_attach(&cache, broker.run.name, &options) == -EACCES);
	CHECK(strstr(why, "61004 may not attach") && strstr(why, "[access]"));
	return 0;
}

static int greedy_body(void *context)
{
	struct shmc_attach_options options = {.role = SHMC_ROLE_WRITER};
	struct raw_client c;
	struct shmc *cache;

	(void)context;
	if (become(UID_READER))
		return 1;
	CHECK(raw_attach(&c, broker.run.name, WIRE_ROLE_STAGER) == WIRE_REFUSAL_ACCESS);
	CHECK(raw_attach(&c, broker.run.name, (enum wire_role)77) == WIRE_REFUSAL_ACCESS);
	CHECK(shmc_attach(&cache, broker.run.name, &options) == -EACCES);
	options.role = SHMC_ROLE_READER;
	CHECK(shmc_attach(&cache, broker.run.name, &options) == 0);
	CHECK(shmc_role(cache) == SHMC_ROLE_READER);
	CHECK(shmc_put(cache, "k", 1, "v", 1, NULL, SHMC_TIMEOUT_DEFAULT) == -EACCES);
	CHECK(shmc_delete(cache, "key", 3, SHMC_TIMEOUT_DEFAULT) == -EACCES);
	shmc_detach(cache);
	return 0;
}

static void test_nobody(void **state)
{
	(void)state;
	assert_int_equal(system_child(nobody_body, NULL), 0);
	assert_true(system_log_count(&broker, "attach-refused") > 0);
	system_assert_alive(&broker);
}

static void test_more_than_allowed(void **state)
{
	(void)state;
	assert_int_equal(system_child(greedy_body, NULL), 0);
	system_assert_alive(&broker);
}

/* --- a name that is somebody else's ----------------------------------------------------------- */

static int squat_body(void *context)
{
	int fd;

	if (become(UID_NOBODY))
		return 1;
	fd = shm_open(context, O_RDWR | O_CREAT | O_EXCL, 0666);
	CHECK(fd >= 0);
	CHECK(ftruncate(fd, 1 << 20) == 0);
	return 0;
}

/* Run as an ordinary user, a broker uses nothing that another user has put under its name. */
static int serve_body(void *context)
{
	struct system_output output;
	char option[80];

	if (become(UID_WRITER))
		return 1;
	snprintf(option, sizeof(option), "cache.name=%s", (const char *)context + 1);
	system_run(&output,
		(const char *const[]){"-o", option, "-o", "dram.size=4MiB", NULL});
	CHECK(WIFEXITED(output.status) && WEXITSTATUS(output.status) == 1);
	CHECK(strstr(output.text, "can-not-serve"));
	return 0;
}

static void test_squatted_name(void **state)
{
	static const char *const suffixes[] = {"", ".index", ".dram", ".lock"};
	static struct scratch shared;
	char object[64], name[48];
	unsigned i;

	(void)state;
	assert_int_equal(scratch_make(&shared, NULL), 0);
	assert_int_equal(broker_run_program_share(&shared), 0);
	snprintf(name, sizeof(name), "/squat-%d", getpid());
	for (i = 0; i < 4; i++) {
		snprintf(object, sizeof(object), "%s%s", name, suffixes[i]);
		assert_int_equal(system_child(squat_body, object), 0);
		assert_int_equal(system_child(serve_body, name), 0);
		assert_int_equal(shm_unlink(object), 0);
		assert_int_equal(system_shm_count(name + 1), 0);
	}
	scratch_remove(&shared);
	unsetenv("SHMCACHED");
}

static int setup(void **state)
{
	struct raw_client c;
	struct raw_lane *lane;

	(void)state;
	system_start(&broker, "8MiB", false, rules);
	assert_int_equal(raw_attach(&c, broker.run.name, WIRE_ROLE_NONE), 0);
	assert_int_equal(c.welcome.role, WIRE_ROLE_WRITER); /* the owner, by default */
	assert_int_equal(raw_lane_open(&c, &lane), 0);
	assert_int_equal(raw_put(&c, lane, "key", "value", 5), ABI_STATUS_OK);
	raw_detach(&c);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	system_stop(&broker);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reader),
		cmocka_unit_test(test_stager),
		cmocka_unit_test(test_writer),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_more_than_allowed),
		cmocka_unit_test(test_squatted_name),
	};

	if (geteuid()) {
		fprintf(stderr, "needs root, to become other users\n");
		return EXIT_SKIP;
	}
	/* Ended from outside, too, it leaves nothing behind. */
	if (cleanup_guard())
		return 1;
	return cmocka_run_group_tests(tests, setup, teardown);
}
