/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts that can't be: each ends with exit status 1, a sentence that says what is in the way, and
 * nothing left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/system/common.h"

static struct system_broker broker;
static struct system_output output;
static struct scratch scratch;
static char name[40];

static void assert_can_not_serve(const char *because)
{
	if (!WIFEXITED(output.status) || WEXITSTATUS(output.status) != 1)
		fail_msg("wait status %#x: %s", (unsigned)output.status, output.text);
	if (!strstr(output.text, "level=error event=can-not-serve") ||
		!strstr(output.text, because))
		fail_msg("no \"%s\" in: %s", because, output.text);
}

/* Try to start under a name that nobody has; with two options more. */
static void try_start(const char *option_a, const char *option_b)
{
	char option[64];

	snprintf(option, sizeof(option), "cache.name=%s", name);
	system_run(&output, (const char *const[]){"-o", option, "-o", option_a, "-o", option_b, NULL});
}

static void test_larger_than_free(void **state)
{
	char option[64];
	struct statvfs fs;

	(void)state;
	assert_int_equal(statvfs("/dev/shm", &fs), 0);
	if (fs.f_bavail * fs.f_frsize > UINT64_C(200) << 30)
		skip(); /* there may be no size that is legal and too large */
	try_start("dram.size=256GiB", "index.size_max=1MiB");
	assert_can_not_serve("choose a smaller size");
	assert_int_equal(system_shm_count(name), 0);
	/* Little more than there is. */
	snprintf(option, sizeof(option), "dram.size=%llu",
		(unsigned long long)(fs.f_bavail + 4096) * fs.f_frsize);
	try_start(option, "index.size_max=1MiB");
	assert_can_not_serve("choose a smaller size");
	assert_int_equal(system_shm_count(name), 0);
}

/* --- a full /dev/shm -------------------------------------------------------------------------- */

#define CHECK(is_true)                                                                             \
	do {                                                                                       \
		if (!(is_true)) {                                                                  \
			fprintf(stderr, "%s:%d: %s (errno: %s)\n%s\n", __FILE__, __LINE__,         \
				#is_true, strerror(errno), output.text);                           \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

/* A /dev/shm of our own, of so many bytes. */
static int mount_small(uint64_t size)
{
	char options[64];

	snprintf(options, sizeof(options), "size=%llu", (unsigned long long)size);
	if (mount("tmpfs", "/dev/shm", "tmpfs", 0, options))
		return -errno;
	return 0;
}

/* 0: it came up and was stopped; 1: it could not, and said so; 2: neither. */
static int start_and_stop(uint64_t dram_size)
{
	char size[64], cache[64];
	const char *argv[] = {"-o", cache, "-o", size, "-o", "cache.persist=off", NULL};
	static struct system_broker b;
	size_t plane_size;
	const struct abi_plane *plane;
	pid_t pid, done = 0;
	int i, status;
	bool is_up = false;

	snprintf(cache, sizeof(cache), "cache.name=%s", name);
	snprintf(size, sizeof(size), "dram.size=%llu", (unsigned long long)dram_size);
	memset(&b, 0, sizeof(b));
	pid = fork();
	if (!pid) {
		system_run(&output, argv);
		if (WIFEXITED(output.status) && WEXITSTATUS(output.status) == 1 &&
			strstr(output.text, "event=can-not-serve") &&
			(strstr(output.text, "No space left") || strstr(output.text, "no room")))
			_exit(1);
		if (WIFEXITED(output.status) && !WEXITSTATUS(output.status))
			_exit(0);
		fprintf(stderr, "wait status %#x: %s", (unsigned)output.status, output.text);
		_exit(2);
	}
	for (i = 0; i < 30000 && !is_up && !done; i++) {
		plane = raw_plane_open(name, &plane_size);
		is_up = plane && shared_u32_load_acquire(&plane->state) == ABI_STATE_SERVING;
		if (is_up)
			kill((pid_t)shared_u32_load(&plane->broker_pid), SIGTERM);
		raw_plane_close(plane, plane_size);
		done = waitpid(pid, &status, WNOHANG);
		system_pause();
	}
	if (!done && waitpid(pid, &status, 0) != pid)
		return 2;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

/*
 * From no page at all to just enough: wherever the room runs out, in the lock, the plane, the tier
 * or the index, it is an error at the start, and no SIGBUS later.
 */
static int full_body(void *context)
{
	const uint64_t dram = 2 << 20, step = 4096;
	unsigned n_served = 0, n_refused = 0;
	uint64_t size;
	int r, fd;

	(void)context;
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		mount_small(step)) {
		fprintf(stderr, "can't mount a /dev/shm of my own: %s\n", strerror(errno));
		return EXIT_SKIP;
	}
	/* Not a page left. */
	fd = shm_open("/full", O_RDWR | O_CREAT, 0600);
	CHECK(fd >= 0 && posix_fallocate(fd, 0, (off_t)step) == 0);
	CHECK(start_and_stop(dram) == 1);
	CHECK(system_shm_count("") == 1);
	close(fd);
	for (size = step; size < 8 * dram && n_served < 3;
		size += size < 16 * step || (size >= dram && size < dram + 64 * step) ? step
										      : 64 * step) {
		CHECK(umount("/dev/shm") == 0);
		CHECK(mount_small(size) == 0);
		r = start_and_stop(dram);
		CHECK(r == 0 || r == 1);
		CHECK(system_shm_count("") == 0);
		/* More room is never worse. */
		CHECK(r == 0 || !n_served);
		n_served += r == 0;
		n_refused += r == 1;
	}
	CHECK(n_refused > 20 && n_served > 0);
	return 0;
}

static void test_full(void **state)
{
	int status;

	(void)state;
	if (geteuid()) {
		print_message("skipped: needs root, to mount a /dev/shm of its own\n");
		skip();
	}
	status = system_child(full_body, NULL);
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIP)
		skip();
	assert_int_equal(status, 0);
}

/* --- two brokers with one name ---------------------------------------------------------------- */

static void test_two_with_one_name(void **state)
{
	char option[64], pid[32];
	pid_t first;

	(void)state;
	system_start(&broker, "2MiB", false, "");
	first = broker.run.proc.pid;
	snprintf(option, sizeof(option), "cache.name=%s", broker.run.name);
	snprintf(pid, sizeof(pid), "%d", (int)first);
	system_run(&output, (const char *const[]){"-o", option, "-o", "dram.size=2MiB", NULL});
	assert_can_not_serve("another broker");
	assert_can_not_serve(pid);
	/* The first has not noticed. */
	assert_int_equal(broker.run.proc.pid, first);
	system_assert_alive(&broker);
	system_kill(&broker);
	system_again(&broker);
	assert_int_not_equal(broker.run.proc.pid, first);
	system_assert_alive(&broker);
	system_stop(&broker);
}

/* --- the socket's path ------------------------------------------------------------------------ */

static void test_socket_is_a_file(void **state)
{
	char path[PATH_MAX], option[PATH_MAX + 32], text[16] = "";
	struct stat st;
	FILE *file;

	(void)state;
	scratch_file(&scratch, "precious", path);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs("precious", file);
	fclose(file);
	snprintf(option, sizeof(option), "cache.socket=%s", path);
	try_start(option, "dram.size=2MiB");
	assert_can_not_serve(path);
	assert_can_not_serve("[cache] socket");
	assert_int_equal(system_shm_count(name), 0);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_non_null(fgets(text, sizeof(text), file));
	fclose(file);
	assert_string_equal(text, "precious");

	/* Nor is a symbolic link followed or removed, or a directory. */
	assert_int_equal(symlink("precious", scratch_file(&scratch, "link", path)), 0);
	snprintf(option, sizeof(option), "cache.socket=%s", path);
	try_start(option, "dram.size=2MiB");
	assert_can_not_serve(path);
	assert_int_equal(lstat(path, &st), 0);
	snprintf(option, sizeof(option), "cache.socket=%s", scratch.path);
	try_start(option, "dram.size=2MiB");
	assert_can_not_serve(scratch.path);
	snprintf(option, sizeof(option), "cache.socket=%s/no/such", scratch.path);
	try_start(option, "dram.size=2MiB");
	assert_can_not_serve("/no/such");
	assert_int_equal(system_shm_count(name), 0);
}

/* Two names, one socket: the second must not take it from under the first. */
static void test_socket_is_in_use(void **state)
{
	char path[PATH_MAX], config[PATH_MAX + 64], option[PATH_MAX + 32];

	(void)state;
	scratch_file(&scratch, "both.sock", path);
	snprintf(config, sizeof(config), "[cache]\nsocket = %s\n", path);
	system_start(&broker, "2MiB", false, config);
	snprintf(option, sizeof(option), "cache.socket=%s", path);
	try_start(option, "dram.size=2MiB");
	assert_can_not_serve(path);
	assert_int_equal(system_shm_count(name), 0);
	system_assert_alive(&broker);
	/* What a dead one has left is taken. */
	system_kill(&broker);
	assert_int_equal(access(path, F_OK), 0);
	system_again(&broker);
	system_assert_alive(&broker);
	system_stop(&broker);
	assert_int_equal(access(path, F_OK), -1);
}

static int setup(void **state)
{
	(void)state;
	snprintf(name, sizeof(name), "start-%d", getpid());
	return scratch_make(&scratch, NULL);
}

static int teardown(void **state)
{
	(void)state;
	scratch_remove(&scratch);
	/* Of one that came up, and should not have. */
	broker_run_unlink(name);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_larger_than_free),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_two_with_one_name),
		cmocka_unit_test(test_socket_is_a_file),
		cmocka_unit_test(test_socket_is_in_use),
	};

	/* Ended from outside, too, it leaves nothing behind. */
	if (cleanup_guard())
		return 1;
	return cmocka_run_group_tests(tests, setup, teardown);
}
