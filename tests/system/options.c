/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What shmcached says of bad options and a bad configuration: exit status 2, and a sentence that
 * names file, line and key. Nothing of it gets as far as making anything in /dev/shm.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/system/common.h"

static struct scratch scratch;
static struct system_output output;

static void assert_exit(int status)
{
	if (!WIFEXITED(output.status) || WEXITSTATUS(output.status) != status)
		fail_msg("wait status %#x: %s", (unsigned)output.status, output.text);
}

static void assert_says(const char *text)
{
	if (!strstr(output.text, text))
		fail_msg("no \"%s\" in: %s", text, output.text);
}

#define RUN(...) system_run(&output, (const char *const[]){__VA_ARGS__, NULL})

static void write_file(const char *path, const void *text, size_t size)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

static void test_help_and_version(void **state)
{
	(void)state;
	RUN("--help");
	assert_exit(0);
	assert_says("Usage: shmcached");
	RUN("--version");
	assert_exit(0);
	assert_says("shmcached ");
}

static void test_bad_options(void **state)
{
	const char *many[140];
	unsigned i;

	(void)state;
	RUN("--frobnicate");
	assert_exit(2);
	assert_says("--frobnicate");
	assert_says("Usage:");
	RUN("surplus");
	assert_exit(2);
	assert_says("\"surplus\"");
	RUN("-c");
	assert_exit(2);
	assert_says("Usage:");
	RUN("-o", "nonsense");
	assert_exit(2);
	assert_says("SECTION.KEY=VALUE");
	RUN("-o", "dram.sice=1GiB");
	assert_exit(2);
	assert_says("sice");
	assert_says("did you mean size?");
	RUN("-o", "dram.size=1GB");
	assert_exit(2);
	assert_says("1GiB");
	RUN("-o", "cache.name=a/b");
	assert_exit(2);
	assert_says("name = a/b");
	/* Values come from people, and go to terminals. */
	RUN("-o", "cache.name=\033[2J");
	assert_exit(2);
	assert_null(strchr(output.text, '\033'));
	for (i = 0; i < 26; i += 2) {
		many[i] = "-o";
		many[i + 1] = "log.level=debug";
	}
	many[26] = "--check-config";
	many[27] = NULL;
	system_run(&output, many);
	assert_exit(0);
}

static void test_bad_files(void **state)
{
	static const char text[] = "# a comment\n"
				   "[dram]\n"
				   "size = 12 parsecs\n"
				   "sice = 1GiB\n"
				   "\n"
				   "[broker]\n"
				   "poll = sometimes\n"
				   "[brocker]\n"
				   "workers = 2\n";
	char path[PATH_MAX], at[PATH_MAX + 64];

	(void)state;
	scratch_file(&scratch, "bad.conf", path);
	write_file(path, text, sizeof(text) - 1);
	RUN("-c", path);
	assert_exit(2);
	snprintf(at, sizeof(at), "%s:3: [dram] size = 12 parsecs", path);
	assert_says(at);
	snprintf(at, sizeof(at), "%s:4: [dram] sice", path);
	assert_says(at);
	snprintf(at, sizeof(at), "%s:7: [broker] poll", path);
	assert_says(at);
	snprintf(at, sizeof(at), "%s:8: [brocker]", path);
	assert_says(at);
	/* The same with a check alone. */
	RUN("-c", path, "--check-config");
	assert_exit(2);

	write_file(path, "[eviction]\npolicy = best\n", 25);
	RUN("-c", path);
	assert_exit(2);
	snprintf(at, sizeof(at), "%s:2: [eviction] policy = best", path);
	assert_says(at);
	assert_says("lru");

	RUN("-c", "/nonexistent/shmcached.conf");
	assert_exit(2);
	assert_says("/nonexistent/shmcached.conf");
	RUN("-c", scratch.path);
	assert_exit(2);
	assert_says(scratch.path);
	RUN("-c", "/dev/zero");
	assert_exit(2);
}

static void test_binary_file(void **state)
{
	char path[PATH_MAX];
	uint8_t bytes[8192];
	unsigned i;

	(void)state;
	scratch_file(&scratch, "binary.conf", path);
	for (i = 0; i < 8; i++) {
		system_fill(bytes, sizeof(bytes), i);
		write_file(path, bytes, sizeof(bytes));
		RUN("-c", path);
		assert_exit(2);
		assert_says("binary.conf");
	}
}

/* What --check-config prints is a configuration, and the same one. */
static void test_check_config(void **state)
{
	static struct system_output first;
	static const char text[] = "[cache]\nname = checked\npersist = off\n"
				   "[dram]\nsize = 24MiB\nreserve_threads = 2\n"
				   "[broker]\npoll = sleep\nspin = 70us\ncpus = 0\n"
				   "[session]\nmax = 7\npin_time_max = 90s\nreserved_max = 30%\n"
				   "[access]\nother = reader\nuid.77 = stager\ngid.5 = none\n"
				   "[log]\nlevel = debug\n";
	char path[PATH_MAX];

	(void)state;
	scratch_file(&scratch, "good.conf", path);
	write_file(path, text, sizeof(text) - 1);
	RUN("-c", path, "-o", "dram.size=32MiB", "-o", "access.uid.78=writer", "--check-config");
	assert_exit(0);
	assert_says("name = checked");
	assert_says("size = 32MiB");
	assert_says("uid.77 = stager");
	assert_says("uid.78 = writer");
	first = output;
	write_file(path, first.text, strlen(first.text));
	RUN("-c", path, "--check-config");
	assert_exit(0);
	assert_string_equal(output.text, first.text);
	/* It made nothing. */
	assert_int_equal(system_shm_count("checked"), 0);

	/* Without any file, too. */
	RUN("--check-config");
	assert_exit(0);
	first = output;
	write_file(path, first.text, strlen(first.text));
	RUN("-c", path, "--check-config");
	assert_exit(0);
	assert_string_equal(output.text, first.text);
}

static int setup(void **state)
{
	(void)state;
	return scratch_make(&scratch, NULL);
}

static int teardown(void **state)
{
	(void)state;
	scratch_remove(&scratch);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_help_and_version),
		cmocka_unit_test(test_bad_options),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_binary_file),
		cmocka_unit_test(test_check_config),
	};

	/* Ended from outside, too, it leaves nothing behind. */
	if (cleanup_guard())
		return 1;
	return cmocka_run_group_tests(tests, setup, teardown);
}
