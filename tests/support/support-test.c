/* SPDX-License-Identifier: Apache-2.0 */
/*
 * That children and directories do not outlive the program that made them.
 *
 * Every other test leans on this, so each way in which a program ends is played through:
 * by itself, by a signal that it can take, and by SIGKILL. A child process plays the
 * program: it starts a sleeper, makes a directory with a file in it, tells both, and
 * ends.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/proc.h"
#include "tests/support/scratch.h"

static const char *const sleeper_argv[] = {"sleep", "1000", NULL};
static const struct proc_options sleeper = {sleeper_argv, PROC_CPU_ANY, -1, -1, -1};

struct told {
	pid_t pid;
	char path[PATH_MAX / 2];
};

/* Started things, told to @fd; @end says how the program ends after that. */
static _Noreturn void program_main(int fd, char end)
{
	static struct scratch scratch;
	static struct proc proc;
	struct told told = {0};
	char path[PATH_MAX];
	FILE *file;

	if (end == 's' && cleanup_guard())
		_exit(1);
	if (scratch_make(&scratch, NULL) || proc_start(&proc, &sleeper))
		_exit(1);
	file = fopen(scratch_file(&scratch, "file", path), "we");
	if (!file || fclose(file))
		_exit(1);
	told.pid = proc.pid;
	memcpy(told.path, scratch.path, sizeof(told.path));
	if (write(fd, &told, sizeof(told)) != sizeof(told))
		_exit(1);
	if (end == 'e')
		exit(0);
	for (;;)
		pause();
}

static int program_run(char end, int signal, struct told *told)
{
	int fds[2], status;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		program_main(fds[1], end);
	close(fds[1]);
	assert_int_equal(read(fds[0], told, sizeof(*told)), sizeof(*told));
	close(fds[0]);
	if (signal)
		kill(pid, signal);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* Within a second: a signal takes its time. */
static bool process_is_gone(pid_t pid)
{
	struct timespec pause = {.tv_nsec = 1000000};
	char path[64], state = 0;
	FILE *file;
	int i;

	for (i = 0; i < 1000; i++) {
		snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		file = fopen(path, "re");
		if (!file)
			return true;
		if (fscanf(file, "%*d %*s %c", &state) != 1)
			state = 0;
		fclose(file);
		if (state == 'Z') /* nobody may be there to wait for it */
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

static bool path_is_gone(const char *path)
{
	struct stat st;

	return lstat(path, &st) && errno == ENOENT;
}

static void test_exit(void **state)
{
	struct told told;

	(void)state;
	assert_int_equal(program_run('e', 0, &told), 0);
	assert_true(process_is_gone(told.pid));
	assert_true(path_is_gone(told.path));
}

static void test_signal(void **state)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct told told;
	size_t i;
	int status;

	(void)state;
	for (i = 0; i < 3; i++) {
		status = program_run('s', signals[i], &told);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 128 + signals[i]);
		assert_true(process_is_gone(told.pid));
		assert_true(path_is_gone(told.path));
	}
}

static void test_kill(void **state)
{
	struct scratch left = {0};
	struct told told;

	(void)state;
	assert_true(WIFSIGNALED(program_run('k', SIGKILL, &told)));
	assert_true(process_is_gone(told.pid));
	memcpy(left.path, told.path, sizeof(left.path)); /* which nobody could remove */
	scratch_remove(&left);
	assert_true(path_is_gone(told.path));
}

/* Has it been seen to use the processor? Within a second: the kernel counts when it sleeps. */
static bool process_has_run(pid_t pid)
{
	struct timespec pause = {.tv_nsec = 1000000};
	struct proc_usage usage;
	int i;

	for (i = 0; i < 1000; i++) {
		assert_int_equal(proc_usage(pid, &usage), 0);
		if (usage.cpu_ns)
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

/*
 * A failed assertion leaves the child on the list of what is undone at the end: not on the stack.
 */
static void test_proc(void **state)
{
	static const char *const missing[] = {"no-such-program-anywhere", NULL};
	struct proc_options options = {missing, PROC_CPU_ANY, -1, -1, -1};
	static struct proc proc;
	int status;

	(void)state;
	assert_int_equal(proc_start(&proc, &options), -ENOENT);
	assert_false(proc_running(&proc));
	assert_int_equal(proc_stop(&proc), 0);

	assert_int_equal(proc_start(&proc, &sleeper), 0);
	assert_true(proc_running(&proc));
	assert_true(process_has_run(proc.pid));
	status = proc_stop(&proc);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	assert_false(proc_running(&proc));
	assert_int_equal(proc_stop(&proc), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_proc),
		cmocka_unit_test(test_exit),
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_kill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
