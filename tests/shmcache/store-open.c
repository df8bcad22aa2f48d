/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of store-open.c, store-mend.c and guard.c: starts that are warm, cold and damaged. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "shmcache/guard.h"
#include "tests/shmcache/rig.h"

static struct rig rig;

static int setup(void **state)
{
	(void)state;
	rig_init(&rig, 8 * MIB, 4 * MIB);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_remove(&rig);
	return rig_leftovers() ? -1 : 0;
}

#define N_KEYS 1000

static uint64_t size_of(uint64_t i)
{
	return 1 + i * 7919 % 10007;
}

/* Entries of all sizes, with gaps between them. */
static void fill(void)
{
	uint64_t i;

	for (i = 0; i < N_KEYS; i++)
		assert_int_equal(rig_put(&rig, i, i, size_of(i)), ABI_STATUS_OK);
	for (i = 0; i < N_KEYS; i += 3)
		assert_int_equal(rig_delete(&rig, i), ABI_STATUS_OK);
}

static void check_filled(void)
{
	uint64_t i;

	rig_check(&rig);
	for (i = 0; i < N_KEYS; i++)
		assert_int_equal(rig_get(&rig, i, i, size_of(i)), i % 3 ? size_of(i) : 0);
}

static void test_warm(void **state)
{
	const struct store_put_options late = {
		.ttl_ms = 3600000, .hints = {.group = 5, .position = 6, .priority = 2}};
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key;
	struct abi_hints hints;
	uint64_t pin, size;
	uint32_t cell;
	int round;

	(void)state;
	rig_open(&rig, false);
	assert_false(rig.opened.warm);
	assert_string_equal(rig.opened.cold_why, "");
	fill();
	assert_int_equal(rig_put_with(&rig, 5000, 1, 100, &late), ABI_STATUS_OK);
	for (round = 0; round < 3; round++) {
		/* What is open, pinned or in limbo when it ends: the entry stays, the rest does
		 * not. */
		key = rig_index_key(&rig, 6000, bytes);
		assert_int_equal(store_reserve(&rig.store, &rig.w, &key,
					 &(struct store_put_options){0}, 5000, &cell),
			ABI_STATUS_OK);
		key = rig_index_key(&rig, 1, bytes);
		assert_int_equal(store_pin(&rig.store, &key, &pin, &size), ABI_STATUS_OK);
		assert_int_equal(rig_put(&rig, 2, 2, size_of(2)), ABI_STATUS_OK);
		rig_close(&rig);

		rig_open(&rig, true);
		assert_true(rig.opened.warm);
		assert_int_equal(rig.opened.n_overlapping, 0);
		assert_int_equal(rig.opened.recovery.n_dropped, 0);
		assert_int_equal(rig.opened.recovery.n_found, rig.store.index.n_entries);
		assert_int_equal(rig.store.index.n_entries, N_KEYS - (N_KEYS + 2) / 3 + 1);
		assert_int_equal(
			rig.store.tier[ABI_TIER_DRAM].n_entries, rig.store.index.n_entries);
		assert_int_equal(rig.store.n_expiring, 1);
		assert_int_equal(rig.store.pinned_size + rig.store.reserved_size, 0);
		check_filled();
		cell = rig_cell(&rig, 5000);
		lookup_record_hints(&rig.store.index.lookup, &rig.store.index.cell[cell], &hints);
		assert_memory_equal(&hints, &late.hints, sizeof(hints));
		assert_int_equal(rig_cell(&rig, 6000), 0);
	}
	/* It is a store like any other: it takes, evicts, and gives all back. */
	for (uint64_t i = 0; i < 200; i++)
		assert_int_equal(rig_put(&rig, 10000 + i, i, 100000), ABI_STATUS_OK);
	rig_check(&rig);
}

static void assert_cold(const char *why)
{
	rig_open(&rig, true);
	assert_false(rig.opened.warm);
	if (!strstr(rig.opened.cold_why, why))
		fail_msg("\"%s\" does not say \"%s\"", rig.opened.cold_why, why);
	assert_int_equal(rig.store.index.n_entries, 0);
	rig_check(&rig);
	fill();
	check_filled();
	rig_close(&rig);
}

static void test_cold(void **state)
{
	int fd;

	(void)state;
	/* Nothing there at all. */
	assert_cold(rig.index_name);
	/* Index and tier of other sizes. */
	rig.options.index_size_max = 2 * MIB;
	assert_cold(rig.index_name);
	rig.options.tier[ABI_TIER_DRAM].region.size = 16 * MIB;
	assert_cold(rig.index_name);
	/* The tier is gone, or cut short; then the index. */
	assert_int_equal(shm_unlink(rig.dram_name), 0);
	assert_cold(rig.dram_name);
	fd = shm_open(rig.dram_name, O_RDWR, 0);
	assert_int_equal(ftruncate(fd, 4 * MIB), 0);
	close(fd);
	assert_cold(rig.dram_name);
	assert_int_equal(shm_unlink(rig.index_name), 0);
	assert_cold(rig.index_name);
	/* The index is another's to read. */
	fd = shm_open(rig.index_name, O_RDWR, 0);
	assert_int_equal(fchmod(fd, 0644), 0);
	close(fd);
	assert_cold(rig.index_name);
	/* And warm again, when all is well. */
	rig_open(&rig, true);
	assert_true(rig.opened.warm);
	check_filled();
}

static void test_bad_options(void **state)
{
	(void)state;
	rig.options.tier[ABI_TIER_DRAM].policy = "none-such";
	assert_int_equal(rig_try_open(&rig, false), -ENOENT);
	assert_non_null(strstr(rig.why, "none-such"));
	assert_int_equal(rig_leftovers(), 0);
	rig.options.tier[ABI_TIER_DRAM].policy = NULL;
	rig.options.index_size_max = 4096;
	assert_true(rig_try_open(&rig, false) < 0);
	assert_true(rig.why[0] != '\0');
	assert_int_equal(rig_leftovers(), 0);
	rig.options.index_size_max = 4 * MIB;
	rig.options.tier[ABI_TIER_DRAM].region.size = 4097;
	assert_true(rig_try_open(&rig, false) < 0);
	assert_int_equal(rig_leftovers(), 0);
}

/* Records that point nowhere, or where another's bytes are, are dropped; the others stay. */
static void test_damaged_records(void **state)
{
	struct abi_record *r;
	uint64_t i, n_entries, n = 0;

	(void)state;
	rig_open(&rig, false);
	fill();
	n_entries = rig.store.index.n_entries;
	r = rig.store.index.cell;
	r[rig_cell(&rig, 1)].value_off = 8 * MIB;
	r[rig_cell(&rig, 2)].value_off += 32;
	r[rig_cell(&rig, 4)].value_size = 0;
	r[rig_cell(&rig, 5)].value_size = UINT32_MAX;
	r[rig_cell(&rig, 7)].tier = ABI_TIER_CXL;
	r[rig_cell(&rig, 8)].tier = 200;
	r[rig_cell(&rig, 10)].value_off = UINT64_MAX - 63;
	r[rig_cell(&rig, 11)].value_off = r[rig_cell(&rig, 13)].value_off;
	r[rig_cell(&rig, 11)].value_size = r[rig_cell(&rig, 13)].value_size;
	/* Begins within the tier, and ends a byte behind it. */
	r[rig_cell(&rig, 14)].value_off = 8 * MIB - 4096;
	r[rig_cell(&rig, 14)].value_size = 4097;
	rig_close(&rig);
	rig_open(&rig, true);
	assert_true(rig.opened.warm);
	rig_check(&rig);
	assert_int_equal(rig.opened.n_overlapping, 1);
	assert_int_equal(rig.opened.recovery.n_dropped, 9);
	assert_int_equal(rig.opened.recovery.n_found, n_entries - 9);
	for (i = 0; i < 15; i++)
		n += rig_cell(&rig, i) != 0;
	assert_int_equal(n, 10 - 9);
	for (i = 15; i < N_KEYS; i++)
		assert_int_equal(rig_get(&rig, i, i, size_of(i)), i % 3 ? size_of(i) : 0);
	/* Twice: the dropped are gone for good. */
	rig_close(&rig);
	rig_open(&rig, true);
	assert_int_equal(rig.opened.recovery.n_dropped, 0);
	assert_int_equal(rig.opened.recovery.n_found, n_entries - 9);
	rig_check(&rig);
}

/* Anything at all in the index: no crash, and what is served is in one piece. */
static void test_damaged_at_random(void **state)
{
	uint64_t seed, random, n_warm = 0, k, at;
	uint8_t *good, *map;
	struct stat st;
	size_t size;
	int fd;

	(void)state;
	rig_open(&rig, false);
	fill();
	rig_close(&rig);
	fd = shm_open(rig.index_name, O_RDWR, 0);
	assert_true(fd >= 0 && !fstat(fd, &st));
	size = (size_t)st.st_size;
	good = malloc(size);
	assert_int_equal(pread(fd, good, size, 0), size);
	close(fd);
	for (seed = 1; seed <= 300; seed++) {
		/* A cold start makes a new one. */
		fd = shm_open(rig.index_name, O_RDWR, 0);
		map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		assert_ptr_not_equal(map, MAP_FAILED);
		close(fd);
		memcpy(map, good, size);
		random = seed;
		for (k = rig_random(&random) % 300; k; k--) {
			at = 256 + rig_random(&random) % (size - 264);
			map[at] ^= (uint8_t)rig_random(&random);
		}
		munmap(map, size);
		rig_open(&rig, true);
		n_warm += rig.opened.warm;
		rig_check(&rig);
		for (k = 0; k < 20; k++)
			assert_int_equal(rig_put(&rig, k, k, 3000), ABI_STATUS_OK);
		rig_check(&rig);
		rig_close(&rig);
	}
	assert_true(n_warm > 20);
	free(good);
}

/* --- a tier that is taken away ------------------------------------------------------------ */

static void truncate_dram(off_t size)
{
	int fd = shm_open(rig.dram_name, O_RDWR, 0);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static void test_guard(void **state)
{
	char *map, bytes[8192];
	int fd = memfd_create("guard", MFD_CLOEXEC), round;

	(void)state;
	assert_int_equal(guard_install(), 0);
	assert_int_equal(ftruncate(fd, 8192), 0);
	map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	memset(bytes, 7, sizeof(bytes));
	for (round = 0; round < 3; round++) {
		assert_int_equal(ftruncate(fd, 8192), 0);
		assert_true(guard_copy(map, bytes, 8192));
		assert_memory_equal(map, bytes, 8192);
		assert_int_equal(ftruncate(fd, 4096), 0);
		assert_false(guard_copy(map, bytes, 8192));
		assert_false(guard_copy(bytes, map + 4096, 1));
		assert_true(guard_copy(map, bytes, 4096));
		assert_true(guard_copy(bytes, map + 5000, 0));
	}
	munmap(map, 8192);
	close(fd);
}

/* Outside of a guarded copy the signal kills as it always did. */
static void test_guard_elsewhere(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (!pid) {
		int fd = memfd_create("guard", MFD_CLOEXEC);
		volatile char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		guard_install();
		map[0] = 1;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
}

static void test_truncated(void **state)
{
	static const uint64_t sizes[] = {1, 64, 4096, 5000, 300000};
	uint8_t bytes[ABI_KEY_SIZE_MAX], value[100] = {0};
	struct index_key key = rig_index_key(&rig, 1, bytes);
	struct store_mended mended;
	uint64_t i;
	uint32_t cell;

	(void)state;
	assert_int_equal(guard_install(), 0);
	rig_open(&rig, false);
	key = rig_index_key(&rig, 1, bytes);
	assert_int_equal(store_reserve(&rig.store, &rig.w, &key, &(struct store_put_options){0},
				 100, &cell),
		ABI_STATUS_OK);
	truncate_dram(0);
	assert_int_equal(store_write(&rig.store, cell, 0, value, 100), ABI_STATUS_DAMAGED);
	for (i = 0; i < 5; i++)
		assert_int_equal(rig_put(&rig, 10 + i, i, sizes[i]), ABI_STATUS_DAMAGED);
	/* Nothing of it stays but the reservation. */
	rig_check(&rig);
	assert_int_equal(rig.store.index.n_entries, 0);
	assert_int_equal(rig.store.reserved_size, 128);
	assert_true(store_mend(&rig.store, &rig.w, &mended));
	assert_int_equal(mended.error, 0);
	assert_int_equal(mended.off, 0);
	assert_false(store_mend(&rig.store, &rig.w, &mended));
	/* What was open lost its bytes; what comes now is whole. */
	assert_int_equal(store_commit(&rig.store, &rig.w, cell, false), ABI_STATUS_DAMAGED);
	assert_int_equal(rig.store.reserved_size, 0);
	fill();
	check_filled();
	/* Cut in the middle: what lies before stays, what lies behind goes. */
	truncate_dram(2 * MIB);
	assert_true(store_mend(&rig.store, &rig.w, &mended));
	assert_int_equal(mended.off, 2 * MIB);
	rig_check(&rig);
	for (i = 0; i < N_KEYS; i++)
		rig_get(&rig, i, i, size_of(i));
	assert_true(rig.store.index.n_entries > 0 && mended.n_dropped > 0);
	assert_int_equal(
		shared_u64_load(&rig.w.counter[ABI_COUNTER_TIER_DAMAGE]), mended.n_dropped);
	fill();
	check_filled();
	rig_drain(&rig);
	assert_int_equal(rig.store.limbo.n, 0);
}

int main(void)
{
#define UNIT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		UNIT(test_warm),
		UNIT(test_cold),
		UNIT(test_bad_options),
		UNIT(test_damaged_records),
		UNIT(test_damaged_at_random),
		UNIT(test_guard),
		UNIT(test_guard_elsewhere),
		UNIT(test_truncated),
	};

	return RIG_RUN(tests);
}
