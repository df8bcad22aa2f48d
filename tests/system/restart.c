/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a broker that was killed has left: the next one serves it byte for byte where the geometry
 * is the same, and else starts empty and says why. Planes, indexes and tiers that are not what they
 * were don't keep it from starting.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/system/common.h"

#define N_KEYS 300

static struct system_broker broker;
static struct shmc *cache;

/* Sizes from a byte to past what is staged at once; keys of all lengths. */
static size_t size_of(unsigned i)
{
	return i % 10 == 0 ? 40000 + i : 1 + i * 37 % 5000;
}

static size_t key_of(unsigned i, char key[1024])
{
	size_t size = i % 7 == 0 ? 1024 - i : 16 + i % 40;

	memset(key, 'a' + (int)(i % 26), size);
	snprintf(key, 16, "key-%09u", i);
	return size;
}

static void put(unsigned i, uint64_t seed)
{
	static uint8_t bytes[50000];
	char key[1024];
	size_t size = size_of(i), key_size = key_of(i, key);

	system_fill(bytes, size, i + seed);
	assert_int_equal(shmc_put(cache, key, key_size, bytes, size, NULL, 60000), 0);
}

/* 0: what was put, whole; or SHMC_MISS. */
static int look(unsigned i, uint64_t seed)
{
	static uint8_t bytes[50000];
	char key[1024];
	struct shmc_view view;
	size_t size = size_of(i), key_size = key_of(i, key);
	int r = shmc_get(cache, key, key_size, &view);

	if (r)
		return r;
	assert_int_equal(view.size, size);
	system_fill(bytes, size, i + seed);
	assert_memory_equal(view.data, bytes, size);
	shmc_release(cache, &view);
	return 0;
}

static void put_all(void)
{
	unsigned i;

	for (i = 0; i < N_KEYS; i++)
		put(i, 0);
}

static unsigned n_found(void)
{
	unsigned i, n = 0;

	assert_int_equal(shmc_ping(cache, 60000), 0);
	for (i = 0; i < N_KEYS; i++)
		n += look(i, 0) == 0;
	return n;
}

/* --- killed ----------------------------------------------------------------------------------- */

static void test_killed(void **state)
{
	struct shmc_view view;
	struct shmc *late;
	uint8_t bytes[4];

	(void)state;
	put_all();
	assert_int_equal(shmc_put(cache, "held", 4, "view", 4, NULL, 60000), 0);
	assert_int_equal(shmc_get(cache, "held", 4, &view), 0);
	system_kill(&broker);
	/* Nobody serves; the plane says that somebody does. */
	assert_int_equal(shmc_attach(&late, broker.run.name, NULL), -ECONNREFUSED);
	assert_int_equal(shmc_put(cache, "x", 1, "y", 1, NULL, 200), -ENOTCONN);
	memcpy(bytes, view.data, 4);
	assert_memory_equal(bytes, "view", 4);
	system_again(&broker);
	/* The client finds its way by itself. */
	assert_int_equal(n_found(), N_KEYS);
	assert_int_equal(system_log_count(&broker, "event=warm-start entries=301 dropped=0"), 1);
	assert_memory_equal(view.data, "view", 4);
	shmc_release(cache, &view);
	assert_int_equal(shmc_delete(cache, "held", 4, 60000), 0);
}

static int hammer_body(void *context)
{
	static uint8_t bytes[50000];
	unsigned seed = *(unsigned *)context, i;
	char key[1024];
	size_t size, key_size;
	struct shmc *own;

	if (shmc_attach(&own, broker.run.name, NULL))
		return 1;
	for (i = seed;; i += 7) {
		key_size = key_of(i % N_KEYS, key);
		size = size_of(i % N_KEYS);
		system_fill(bytes, size, i % N_KEYS);
		if (i % 11 == 0)
			shmc_delete(own, key, key_size, 1000);
		else
			shmc_put(own, key, key_size, bytes, size, NULL, 1000);
	}
}

/* Between any two instructions, with clients at work that have to find their way each time. */
static void test_killed_at_work(void **state)
{
	unsigned round, seed[2] = {1, 2}, i;
	pid_t pid[2];

	(void)state;
	pid[0] = system_spawn(hammer_body, &seed[0]);
	pid[1] = system_spawn(hammer_body, &seed[1]);
	for (round = 0; round < 12; round++) {
		usleep(3000 + round * 1237 % 9000);
		system_kill(&broker);
		system_again(&broker);
		system_assert_alive(&broker);
		n_found(); /* what is there is whole */
	}
	system_end(pid[0]);
	system_end(pid[1]);
	assert_int_equal(system_log_count(&broker, "event=cold-start"), 0);
	for (i = 0; i < N_KEYS; i++)
		put(i, 0);
	assert_int_equal(n_found(), N_KEYS);
}

/* --- other geometries ------------------------------------------------------------------------- */

static void test_other_geometry(void **state)
{
	unsigned n = system_log_count(&broker, "event=cold-start");

	(void)state;
	put_all();
	system_kill(&broker);
	system_configure(&broker, "24MiB", true, "");
	system_again(&broker);
	assert_int_equal(n_found(), 0);
	assert_int_equal(system_log_count(&broker, "event=cold-start"), n + 1);
	assert_true(system_log_count(&broker, "event=cold-start why=") > 0);
	put_all();
	assert_int_equal(n_found(), N_KEYS);
	/* After a clean stop it is the same. */
	assert_int_equal(proc_stop(&broker.run.proc), 0);
	system_configure(&broker, "16MiB", true, "");
	system_again(&broker);
	assert_int_equal(n_found(), 0);
	assert_int_equal(system_log_count(&broker, "event=cold-start"), n + 2);
	put_all();
	/* Other sessions, workers and policies are no other geometry. */
	system_kill(&broker);
	system_configure(&broker, "16MiB", true,
		"[session]\nmax = 20\nlanes = 8\n[broker]\nworkers = 2\n[eviction]\npolicy = lru\n");
	system_again(&broker);
	assert_int_equal(n_found(), N_KEYS);
	assert_int_equal(system_log_count(&broker, "event=cold-start"), n + 2);
}

/* --- doctored remains ------------------------------------------------------------------------- */

static int object_open(const char *suffix, off_t *size)
{
	char object[80];
	struct stat st;
	int fd;

	snprintf(object, sizeof(object), "/%s%s", broker.run.name, suffix);
	fd = shm_open(object, O_RDWR, 0);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	*size = st.st_size;
	return fd;
}

static void remains_overwrite(const char *suffix, off_t at, size_t n, uint64_t seed)
{
	static uint8_t bytes[1 << 16];
	off_t size;
	int fd = object_open(suffix, &size);

	system_fill(bytes, n, seed);
	assert_int_equal(pwrite(fd, bytes, n, at), n);
	close(fd);
}

static void remains_cut(const char *suffix, off_t size)
{
	off_t old;
	int fd = object_open(suffix, &old);

	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static void remains_remove(const char *suffix)
{
	char object[80];

	snprintf(object, sizeof(object), "/%s%s", broker.run.name, suffix);
	assert_int_equal(shm_unlink(object), 0);
}

/* Nobody has mapped what is to be cut: that would be a SIGBUS of his own. */
static void kill_and_detach(void)
{
	system_kill(&broker);
	shmc_detach(cache);
	cache = NULL;
}

static void again_and_attach(void)
{
	system_again(&broker);
	assert_int_equal(shmc_attach(&cache, broker.run.name, NULL), 0);
}

/* Whatever it found: it serves, is cold where there was a doubt, and works. */
static void assert_starts(bool cold)
{
	unsigned n = system_log_count(&broker, "event=cold-start"), n_after;

	again_and_attach();
	n_after = system_log_count(&broker, "event=cold-start");
	if (cold) {
		assert_int_equal(n_after, n + 1);
		assert_int_equal(n_found(), 0);
	}
	put_all();
	assert_int_equal(n_found(), N_KEYS);
	kill_and_detach();
}

static void test_doctored_remains(void **state)
{
	off_t at;

	(void)state;
	put_all();
	kill_and_detach();
	for (at = 0; at < 64; at += 8) { /* magic, fingerprint, sizes, offsets */
		if (at == 24)
			continue; /* the hash seed: any is as good */
		remains_overwrite(".index", at, 8, 3);
		assert_starts(true);
	}
	remains_cut(".index", 0);
	assert_starts(true);
	remains_cut(".index", 4096);
	assert_starts(true);
	remains_cut(".dram", 0);
	assert_starts(true);
	remains_cut(".dram", 32 << 20);
	assert_starts(true);
	remains_remove(".index");
	assert_starts(true);
	remains_remove(".dram");
	assert_starts(true);
	remains_remove(".lock");
	assert_starts(false);
	/* A plane of another version is made anew; who has the old one can be told. */
	remains_overwrite("", 8, 4, 5); /* the version */
	assert_starts(false);
	remains_overwrite("", 16, 8, 5); /* the fingerprint */
	assert_starts(false);
	/* Without a plane nobody can, and he may be reading still. */
	remains_cut("", 100);
	assert_starts(true);
	remains_cut("", 0);
	assert_starts(true);
	remains_overwrite("", 0, 4096, 6);
	assert_starts(true);
	remains_remove("");
	assert_starts(true);
	again_and_attach();
}

/*
 * Noise in the arrays of the index. Which entries it hits is chance, and what a record says after a
 * hit may be as wrong as it is plausible: so only the broker's health is asserted, not the values.
 */
static void test_noise(void **state)
{
	unsigned round, i;
	off_t size;

	(void)state;
	for (round = 0; round < 10; round++) {
		put_all();
		kill_and_detach();
		close(object_open(".index", &size));
		for (i = 0; i < 200; i++)
			remains_overwrite(".index",
				256 + (off_t)((round * 7919 + i) * UINT64_C(2654435761) %
					       (uint64_t)(size < (1 << 20) ? size - 4096 : 1 << 20)),
				i % 60 + 1, round * 1000 + i);
		again_and_attach();
		system_assert_alive(&broker);
		assert_int_equal(shmc_flush(cache, NULL, 0, NULL, 60000), 0);
	}
	put_all();
	assert_int_equal(n_found(), N_KEYS);
}

static int setup(void **state)
{
	(void)state;
	system_start(&broker, "16MiB", true, "");
	return shmc_attach(&cache, broker.run.name, NULL);
}

static int teardown(void **state)
{
	(void)state;
	shmc_detach(cache);
	system_stop(&broker);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_killed_at_work),
		cmocka_unit_test(test_other_geometry),
		cmocka_unit_test(test_doctored_remains),
		cmocka_unit_test(test_noise),
	};

	/* Ended from outside, too, it leaves nothing behind. */
	if (cleanup_guard())
		return 1;
	return cmocka_run_group_tests(tests, setup, teardown);
}
