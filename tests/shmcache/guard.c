/* SPDX-License-Identifier: Apache-2.0 */
/* guard.c: unit of guard.c: memory that is gone is an answer, a foreign SIGBUS is an end. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "shmcache/guard.h"

#define SIZE 8192

static uint8_t *map;
static int fd;

static int setup(void **state)
{
	(void)state;
	fd = memfd_create("guard", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, SIZE))
		return -1;
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return map == MAP_FAILED ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	munmap(map, SIZE);
	return close(fd);
}

/* cmocka has a handler of its own while a test runs. */
static void install(void)
{
	assert_int_equal(guard_install(), 0);
}

static void add_up(void *context)
{
	uint64_t *sum = context;

	for (size_t i = 0; i < SIZE; i++)
		*sum += ((volatile uint8_t *)map)[i];
}

static void test_there(void **state)
{
	uint8_t copy[SIZE];
	uint64_t sum = 0;

	(void)state;
	memset(map, 3, SIZE);
	assert_true(guard_copy(copy, map, SIZE));
	assert_memory_equal(copy, map, SIZE);
	assert_true(guard_call(add_up, &sum));
	assert_int_equal(sum, 3 * SIZE);
}

/* Again and again, and what is there is still read after. */
static void test_gone(void **state)
{
	uint8_t copy[SIZE];
	uint64_t sum = 0;
	int i;

	(void)state;
	install();
	for (i = 0; i < 3; i++) {
		assert_int_equal(ftruncate(fd, 4096), 0);
		assert_false(guard_copy(copy, map, SIZE));
		assert_false(guard_copy(map, copy, SIZE));
		assert_false(guard_call(add_up, &sum));
		assert_true(guard_copy(copy, map, 4096));
		assert_int_equal(ftruncate(fd, SIZE), 0);
		assert_true(guard_call(add_up, &sum));
	}
}

static void test_foreign(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	install();
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		raise(SIGBUS);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_foreign, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
