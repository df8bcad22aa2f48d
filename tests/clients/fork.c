/* SPDX-License-Identifier: Apache-2.0 */
/* fork.c: a child can neither use nor harm what its parent attached. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/broker-run.h"

enum { WAIT = 20000 };

static struct broker_run broker;

static int group_setup(void **state)
{
	(void)state;
	return broker_run_start(
		&broker, &(struct broker_run_options){.cpu = PROC_CPU_ANY}, NULL, NULL);
}

static int group_teardown(void **state)
{
	(void)state;
	return broker_run_stop(&broker);
}

static int setup(void **state)
{
	return shmc_attach((struct shmc **)state, broker.name, NULL);
}

static int teardown(void **state)
{
	shmc_detach(*state);
	return 0;
}

/*
 * Run @child in a child, with a system call that no handler of the C library hears of if @is_raw.
 */
static int in_child(int (*child)(struct shmc *cache, void *arg), struct shmc *cache, void *arg,
	bool is_raw)
{
	pid_t pid = is_raw ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : fork();
	int status;

	assert_true(pid >= 0);
	if (!pid)
		_exit(child(cache, arg));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define EXPECT(condition)                                                                          \
	do {                                                                                       \
		if (!(condition))                                                                  \
			return __LINE__ % 256 ? __LINE__ % 256 : 1;                                \
	} while (0)

struct things {
	struct shmc_view view;
	struct shmc_reservation reservation;
	struct shmc_queue *queue;
};

static int uses_everything(struct shmc *cache, void *arg)
{
	struct shmc_request q = {.operation = SHMC_OP_PING}, *one = &q;
	struct things *t = arg;
	struct shmc_stat_value v;
	struct shmc_queue *queue;
	struct shmc_entry entry;
	struct shmc_usage usage;
	struct shmc_view view;
	struct shmc_key key = {"key", 3};
	int result;

	EXPECT(shmc_get(cache, "key", 3, &view) == -ECHILD);
	EXPECT(shmc_get_many(cache, &key, 1, &view, &result) == -ECHILD);
	EXPECT(shmc_read(cache, "key", 3, NULL, 0, NULL) == -ECHILD);
	EXPECT(shmc_exists(cache, "key", 3) == -ECHILD);
	EXPECT(shmc_stat(cache, "key", 3, &entry) == -ECHILD);
	EXPECT(shmc_put(cache, "key", 3, "child", 5, NULL, WAIT) == -ECHILD);
	EXPECT(shmc_ping(cache, WAIT) == -ECHILD);
	EXPECT(shmc_execute(cache, &q, 1, WAIT) == -ECHILD);
	EXPECT(shmc_commit(cache, &t->reservation, WAIT) == -ECHILD);
	EXPECT(shmc_stats(cache, &v, 1) == -ECHILD);
	EXPECT(shmc_usage(cache, &usage) == -ECHILD);
	EXPECT(shmc_queue_open(&queue, cache) == -ECHILD);
	EXPECT(shmc_submit(t->queue, &one, 1) == -ECHILD);
	EXPECT(shmc_reap(t->queue, &one, 1, 0) == -ECHILD);
	/* The bytes of a view are not there: a child has none of the maps. */
	EXPECT(msync((void *)((uintptr_t)t->view.data & ~(uintptr_t)4095), 4096, MS_ASYNC) == -1 &&
		errno == ENOMEM);
	shmc_release(cache, &t->view);
	EXPECT(t->view.data == NULL);
	shmc_queue_close(t->queue);
	shmc_detach(cache);
	return 0;
}

static void a_child_is_told_at_each_call(void **state)
{
	struct shmc_request q = {.operation = SHMC_OP_PING}, *one = &q;
	struct shmc *cache = *state;
	struct shmc_view held;
	struct things t;
	int is_raw;

	for (is_raw = 0; is_raw < 2; is_raw++) {
		assert_int_equal(shmc_put(cache, "key", 3, "value", 5, NULL, WAIT), 0);
		assert_int_equal(shmc_get(cache, "key", 3, &t.view), 0);
		assert_int_equal(
			shmc_reserve(cache, "new", 3, 100, NULL, &t.reservation, WAIT), 0);
		assert_int_equal(shmc_queue_open(&t.queue, cache), 0);
		assert_int_equal(in_child(uses_everything, cache, &t, is_raw), 0);

		/* All of it still works for the parent. */
		held = t.view;
		assert_int_equal(shmc_delete(cache, "key", 3, WAIT), 0);
		assert_memory_equal(held.data, "value", 5);
		shmc_release(cache, &t.view);
		memset(t.reservation.data, 1, 100);
		assert_int_equal(shmc_commit(cache, &t.reservation, WAIT), 0);
		assert_int_equal(shmc_submit(t.queue, &one, 1), 1);
		assert_int_equal(shmc_reap(t.queue, &one, 1, WAIT), 1);
		shmc_queue_close(t.queue);
	}
}

static int attaches_anew(struct shmc *cache, void *arg)
{
	struct shmc *own;
	char buffer[8];

	(void)arg;
	shmc_detach(cache);
	EXPECT(shmc_attach(&own, broker.name, NULL) == 0);
	EXPECT(shmc_read(own, "key", 3, buffer, 8, NULL) == 0);
	EXPECT(shmc_put(own, "from", 4, "child", 5, NULL, WAIT) == 0);
	shmc_detach(own);
	return 0;
}

static void a_child_attaches_anew(void **state)
{
	struct shmc *cache = *state;
	char buffer[8];

	assert_int_equal(shmc_put(cache, "key", 3, "value", 5, NULL, WAIT), 0);
	assert_int_equal(in_child(attaches_anew, cache, NULL, false), 0);
	assert_int_equal(shmc_read(cache, "from", 4, buffer, 8, NULL), 0);
	assert_memory_equal(buffer, "child", 5);
}

/* What is mapped in a child where the parent's maps were is the child's, and survives a detach. */
static int maps_its_own_there(struct shmc *cache, void *arg)
{
	void *at = (void *)((uintptr_t)((struct things *)arg)->view.data & ~(uintptr_t)4095);
	uint8_t *own = mmap(at, 4096, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	EXPECT(own == at);
	own[0] = 42;
	shmc_detach(cache);
	EXPECT(own[0] == 42);
	return 0;
}

static void a_child_keeps_its_own_maps(void **state)
{
	struct shmc *cache = *state;
	struct things t;

	assert_int_equal(shmc_put(cache, "key", 3, "value", 5, NULL, WAIT), 0);
	assert_int_equal(shmc_get(cache, "key", 3, &t.view), 0);
	assert_int_equal(in_child(maps_its_own_there, cache, &t, false), 0);
	shmc_release(cache, &t.view);
}

/* A child that goes on holding the descriptors does not keep a detached session alive. */
static void a_detach_is_heard_though_a_child_has_the_socket(void **state)
{
	struct shmc *cache;
	uint64_t n = 0;
	int i, pipes[2];
	char byte;
	pid_t pid;

	assert_int_equal(shmc_attach(&cache, broker.name, NULL), 0);
	assert_int_equal(shmc_ping(cache, WAIT), 0);
	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (!pid) {
		close(pipes[1]);
		(void)!read(pipes[0], &byte, 1);
		_exit(0);
	}
	assert_int_equal(broker_run_stat(*state, "shmcache_sessions"), 2);
	shmc_detach(cache);
	for (i = 0; i < 500; i++) {
		n = broker_run_stat(*state, "shmcache_sessions");
		if (n == 1)
			break;
		usleep(10000);
	}
	assert_int_equal(n, 1);
	close(pipes[1]);
	close(pipes[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_child_is_told_at_each_call),
		T(a_child_attaches_anew),
		T(a_child_keeps_its_own_maps),
		T(a_detach_is_heard_though_a_child_has_the_socket),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
