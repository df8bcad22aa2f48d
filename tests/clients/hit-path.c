/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls and allocations on the hit path: none.
 *
 * A child attaches, makes each call once so that its thread has its lane, and then has
 * the kernel trap every further system call of the thread: a seccomp filter turns them
 * into SIGSYS, whose handler counts. Nothing but the return from that handler and the
 * exit is let through, so nothing can hide. Allocations are counted by the allocator's
 * functions, which this program defines itself and which the C library lets it, in front
 * of its own. Mapping memory would be a system call.
 *
 * That both counters count is shown first. A clock that is read without entering the
 * kernel is no system call; on a machine whose clock can't be read so, it would be one,
 * and this test would tell.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/broker-run.h"

enum { N_KEYS = 1000, N_ROUNDS = 100, BATCH = 32, KEY_SIZE = 16, VALUE_SIZE = 64 };

/* What a child counts, in memory that it shares with its parent. */
struct counts {
	volatile int armed;
	volatile uint64_t n_calls, n_allocations, n_wrong, n_done;
	volatile int last_call;
};

static struct counts *counts;
static struct broker_run broker;

/* --- the allocator, in front of the C library's own
 * ---------------------------------------------- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static void allocation_count(void)
{
	if (counts && counts->armed)
		counts->n_allocations++;
}

__attribute__((visibility("default"))) void *malloc(size_t size)
{
	allocation_count();
	return __libc_malloc(size);
}

__attribute__((visibility("default"))) void *calloc(size_t n, size_t size)
{
	allocation_count();
	return __libc_calloc(n, size);
}

__attribute__((visibility("default"))) void *realloc(void *block, size_t size)
{
	allocation_count();
	return __libc_realloc(block, size);
}

__attribute__((visibility("default"))) void *aligned_alloc(size_t alignment, size_t size)
{
	allocation_count();
	return __libc_memalign(alignment, size);
}

__attribute__((visibility("default"))) int posix_memalign(
	void **block, size_t alignment, size_t size)
{
	allocation_count();
	*block = __libc_memalign(alignment, size);
	return *block ? 0 : ENOMEM;
}

/* --- system calls
 * ------------------------------------------------------------------------------ */

static void call_trapped(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	counts->n_calls++;
	counts->last_call = info->si_syscall;
}

static int calls_trap(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
	struct sigaction action = {.sa_sigaction = call_trapped, .sa_flags = SA_SIGINFO};

	if (sigaction(SIGSYS, &action, NULL) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return -errno;
	return 0;
}

/* --- what is done on the hit path
 * ---------------------------------------------------------------- */

typedef void work_fn(struct shmc *cache);

static char keys[N_KEYS][KEY_SIZE + 1];

static void work_get(struct shmc *cache)
{
	struct shmc_view view;
	int i;

	for (i = 0; i < N_KEYS; i++) {
		if (shmc_get(cache, keys[i], KEY_SIZE, &view)) {
			counts->n_wrong++;
			continue;
		}
		counts->n_wrong +=
			view.size != VALUE_SIZE || memcmp(view.data, keys[i], KEY_SIZE);
		shmc_release(cache, &view);
	}
}

static void work_get_many(struct shmc *cache)
{
	struct shmc_view views[BATCH];
	struct shmc_key batch[BATCH];
	int results[BATCH];
	int i, j;

	for (i = 0; i + BATCH <= N_KEYS; i += BATCH) {
		for (j = 0; j < BATCH; j++)
			batch[j] = (struct shmc_key){keys[i + j], KEY_SIZE};
		if (shmc_get_many(cache, batch, BATCH, views, results) != BATCH) {
			counts->n_wrong++;
			continue;
		}
		for (j = 0; j < BATCH; j++)
			counts->n_wrong += !!memcmp(views[j].data, keys[i + j], KEY_SIZE);
		shmc_release_many(cache, views, BATCH);
	}
}

static void work_read(struct shmc *cache)
{
	char value[VALUE_SIZE];
	size_t size;
	int i;

	for (i = 0; i < N_KEYS; i++)
		counts->n_wrong += shmc_read(cache, keys[i], KEY_SIZE, value,
					   sizeof(value), &size) ||
				   memcmp(value, keys[i], KEY_SIZE);
}

static void work_exists(struct shmc *cache)
{
	int i;

	for (i = 0; i < N_KEYS; i++)
		counts->n_wrong += !!shmc_exists(cache, keys[i], KEY_SIZE);
}

static void work_stat(struct shmc *cache)
{
	struct shmc_entry entry;
	int i;

	for (i = 0; i < N_KEYS; i++)
		counts->n_wrong += shmc_stat(cache, keys[i], KEY_SIZE, &entry) ||
				   entry.value_size != VALUE_SIZE;
}

static void work_miss(struct shmc *cache)
{
	char key[KEY_SIZE + 1];
	struct shmc_view view;
	int i;

	for (i = 0; i < N_KEYS; i++) {
		memcpy(key, keys[i], sizeof(key));
		key[0] = 'm';
		counts->n_wrong += shmc_get(cache, key, KEY_SIZE, &view) != SHMC_MISS;
	}
}

static void work_guilty(struct shmc *cache)
{
	static void *volatile block;

	(void)cache;
	syscall(SYS_getppid);
	block = malloc(1);
	free(block);
}

/* In the child. Never returns, and never runs its parent's cleanup. */
static _Noreturn void child_main(work_fn *work)
{
	struct shmc *cache;
	int i;

	if (shmc_attach(&cache, broker.name, NULL))
		_exit(1);
	work(cache);
	memset(counts, 0, sizeof(*counts));
	if (calls_trap())
		_exit(77);
	counts->armed = 1;
	for (i = 0; i < N_ROUNDS; i++) {
		work(cache);
		counts->n_done++;
	}
	counts->armed = 0;
	_exit(0);
}

static void child_run(work_fn *work)
{
	int status;
	pid_t pid;

	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		child_main(work);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip(); /* no seccomp in this kernel or container */
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(counts->n_done, N_ROUNDS);
	assert_int_equal(counts->n_wrong, 0);
}

static void hit_path_expect_none(work_fn *work)
{
	child_run(work);
	if (counts->n_calls)
		print_error("the last system call was number %d\n", counts->last_call);
	assert_int_equal(counts->n_calls, 0);
	assert_int_equal(counts->n_allocations, 0);
}

static void test_counters_count(void **state)
{
	(void)state;
	child_run(work_guilty);
	assert_int_equal(counts->n_calls, N_ROUNDS);
	assert_int_equal(counts->last_call, SYS_getppid);
	assert_int_equal(counts->n_allocations, N_ROUNDS);
}

static void test_get(void **state)
{
	(void)state;
	hit_path_expect_none(work_get);
}

static void test_get_many(void **state)
{
	(void)state;
	hit_path_expect_none(work_get_many);
}

static void test_read(void **state)
{
	(void)state;
	hit_path_expect_none(work_read);
}

static void test_exists(void **state)
{
	(void)state;
	hit_path_expect_none(work_exists);
}

static void test_stat(void **state)
{
	(void)state;
	hit_path_expect_none(work_stat);
}

static void test_miss(void **state)
{
	(void)state;
	hit_path_expect_none(work_miss);
}

static int group_setup(void **state)
{
	struct broker_run_options options = {.cpu = PROC_CPU_ANY};
	char value[VALUE_SIZE] = "";
	struct shmc *cache;
	int i;

	(void)state;
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED || broker_run_start(&broker, &options, &cache, NULL))
		return -1;
	for (i = 0; i < N_KEYS; i++) {
		snprintf(keys[i], sizeof(keys[i]), "key:%012d", i);
		memcpy(value, keys[i], KEY_SIZE);
		if (shmc_put(cache, keys[i], KEY_SIZE, value, VALUE_SIZE, NULL, 10000))
			return -1;
	}
	shmc_detach(cache);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	return broker_run_stop(&broker) ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counters_count),
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_get_many),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_exists),
		cmocka_unit_test(test_stat),
		cmocka_unit_test(test_miss),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
