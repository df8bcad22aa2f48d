/* SPDX-License-Identifier: Apache-2.0 */
/* process.c: unit of process.c: a region is found wherever a living process has it. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "shmcache/process.h"
#include "shmcache/session.h"

static int region;
static struct stat st;

static int look_into(pid_t pid)
{
	struct stat found;
	unsigned budget = 100;
	int fd = -1, r = process_open_region(pid, st.st_dev, st.st_ino, &budget, &fd);

	if (r) {
		assert_int_equal(fd, -1);
		return r;
	}
	assert_int_equal(fstat(fd, &found), 0);
	assert_int_equal(found.st_ino, st.st_ino);
	close(fd);
	return 0;
}

static void test_here(void **state)
{
	(void)state;
	assert_int_equal(look_into(getpid()), 0);
	st.st_ino++;
	assert_int_equal(look_into(getpid()), PROCESS_HAS_NONE);
	st.st_ino--;
}

/* Each descriptor that is called like a region costs a look; without any left nothing is known. */
static void test_budget(void **state)
{
	int others[5], fd = -1;
	unsigned budget = 3, i;

	(void)state;
	for (i = 0; i < 5; i++)
		others[i] = memfd_create(SESSION_REQUEST_NAME, MFD_CLOEXEC);
	assert_int_equal(process_open_region(getpid(), st.st_dev, st.st_ino + 1000000, &budget, &fd),
		-E2BIG);
	assert_int_equal(budget, 0);
	assert_int_equal(fd, -1);
	budget = 7;
	assert_int_equal(process_open_region(getpid(), st.st_dev, st.st_ino + 1000000, &budget, &fd),
		PROCESS_HAS_NONE);
	assert_int_equal(budget, 1);
	for (i = 0; i < 5; i++)
		close(others[i]);
}

static void *wait_for_ever(void *argument)
{
	for (;;)
		pause();
	return argument;
}

/* The child's first thread ends, another lives on with what it has. */
static pid_t fork_headless(bool has_region)
{
	pthread_t thread;
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!has_region)
		close(region);
	if (pthread_create(&thread, NULL, wait_for_ever, NULL))
		_exit(1);
	pthread_exit(NULL);
}

static char state_of(pid_t pid)
{
	char path[64], text[512], *at;
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	at = strrchr(text, ')');
	assert_non_null(at);
	return at[2];
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_first_thread_gone(void **state)
{
	pid_t with = fork_headless(true), without = fork_headless(false);

	(void)state;
	while (state_of(with) != 'Z' || state_of(without) != 'Z')
		usleep(1000);
	assert_int_equal(look_into(with), 0);
	assert_int_equal(look_into(without), PROCESS_HAS_NONE);
	end(with);
	end(without);
}

/* One that is gone has not let go of anything by that: nothing is known of it. */
static void test_gone(void **state)
{
	siginfo_t info;
	pid_t pid = fork();

	(void)state;
	if (!pid)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_true(look_into(pid) < 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(look_into(pid) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_here),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_first_thread_gone),
		cmocka_unit_test(test_gone),
	};

	region = memfd_create(SESSION_REQUEST_NAME, MFD_CLOEXEC);
	if (region < 0 || fstat(region, &st))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
