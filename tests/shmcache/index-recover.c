/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of index-recover.c: after a clean close, and after kill -9 at any moment. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/shmcache/recovering.h"

#define SIZE_MAX_INDEX (16 * MIB)

static void test_clean(void **state)
{
	struct index_recovery out;
	uint64_t i, n = 50000;
	int round;

	(void)state;
	recovering_create(64 * MIB);
	for (i = 0; i < n; i++)
		assert_int_equal(recovering_put(i, 1 + (uint32_t)i), 0);
	for (i = 0; i < n; i += 3)
		recovering_drop(i);
	for (round = 0; round < 3; round++) {
		uint64_t n_entries = left.index.n_entries, n_buckets = left.index.n_buckets,
			 backed = left.index.backed;

		index_close(&left.index, false);
		recovering_open(64 * MIB, &out, false);
		assert_int_equal(out.n_found, n_entries);
		assert_int_equal(out.n_dropped, 0);
		assert_int_equal(left.index.n_buckets, n_buckets);
		assert_int_equal(left.index.backed, backed);
		recovering_check();
		for (i = 0; i < n; i++)
			assert_int_equal(recovering_version(i), i % 3 ? 1 + i : 0);
	}
	/* It grows on from where it was. */
	for (i = 0; i < 2 * n; i++)
		assert_int_equal(recovering_put(i, 7), 0);
	for (i = 0; i < 2 * n; i++)
		assert_int_equal(recovering_version(i), 7);
	recovering_check();
}

/* Who knows a record from before the restart by its generation must not meet that again. */
static void test_generations(void **state)
{
	struct index_recovery out;
	uint32_t cell, highest = 0;
	uint64_t i;

	(void)state;
	recovering_create(16 * MIB);
	for (i = 0; i < 1000; i++)
		assert_int_equal(recovering_put(i, 1), 0);
	index_close(&left.index, false);
	recovering_open(16 * MIB, &out, false);
	for (cell = 1; cell < left.index.n_cells; cell++)
		if (left.index.meta[cell].state == INDEX_PUBLISHED &&
			left.index.cell[cell].generation > highest)
			highest = left.index.cell[cell].generation;
	assert_true(highest >= 1000);
	assert_int_equal(left.index.generation, highest);
}

static int reuse(uint64_t size_max, uint64_t dram_size, uint64_t cxl_size)
{
	return index_reuse(&left.index, left.name, size_max, dram_size, cxl_size, left.why,
		sizeof(left.why));
}

/* Of another geometry, another user's, another kind: refused with a reason, and left alone. */
static void test_other(void **state)
{
	struct index_recovery out;
	int fd;

	(void)state;
	assert_int_equal(reuse(16 * MIB, 1 * MIB, 0), -ENOENT);
	recovering_create(16 * MIB);
	assert_int_equal(recovering_put(1, 1), 0);
	index_close(&left.index, false);
	assert_int_equal(reuse(8 * MIB, 1 * MIB, 0), -EUCLEAN);
	assert_non_null(strstr(left.why, left.name));
	assert_int_equal(reuse(16 * MIB, 2 * MIB, 0), -EUCLEAN);
	assert_int_equal(reuse(16 * MIB, 1 * MIB, 1), -EUCLEAN);
	fd = shm_open(left.name, O_RDWR, 0);
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, 0640), 0);
	assert_int_equal(reuse(16 * MIB, 1 * MIB, 0), -EUCLEAN);
	assert_int_equal(fchmod(fd, 0600), 0);
	assert_int_equal(recovering_open(16 * MIB, &out, false), 0);
	assert_int_equal(recovering_version(1), 1);
	index_close(&left.index, false);
	/* Cut short, to any length. */
	for (off_t size = 8192; size; size /= 2) {
		assert_int_equal(ftruncate(fd, size), 0);
		assert_int_equal(reuse(16 * MIB, 1 * MIB, 0), -EUCLEAN);
	}
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(reuse(16 * MIB, 1 * MIB, 0), -EUCLEAN);
	close(fd);
}

/* Memory that was punched out of it reads as zeroes: entries are gone, nothing else. */
static void test_holes(void **state)
{
	struct index_recovery out;
	uint64_t i, n_entries, cell_off;
	int fd;

	(void)state;
	recovering_create(16 * MIB);
	for (i = 0; i < 5000; i++)
		assert_int_equal(recovering_put(i, 1), 0);
	n_entries = left.index.n_entries;
	cell_off = left.index.head->cell_off;
	index_close(&left.index, false);
	fd = shm_open(left.name, O_RDWR, 0);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				 (off_t)cell_off + 8192, 65536),
		0);
	close(fd);
	assert_int_equal(recovering_open(16 * MIB, &out, false), 0);
	recovering_check();
	assert_int_equal(out.n_found + out.n_dropped, n_entries);
	/* The hole takes 1024 cells, of which most are tails. */
	assert_true(out.n_dropped > 100 && out.n_found > 1000);
}

/* --- killed at any moment ----------------------------------------------------------------- */

#define N_KEYS 30000
#define N_ROUNDS 100

/* What the child was about to do, and what it had done: written around each step. */
struct journal {
	struct shared_u32 begun[N_KEYS], done[N_KEYS]; /* versions, 0: dropped */
	struct shared_u64 n_steps;
};

static void child_run(struct journal *journal, uint64_t random, uint64_t n_keys)
{
	struct index_recovery out;
	uint32_t version = 1;
	uint64_t i;

	if (index_reuse(&left.index, left.name, SIZE_MAX_INDEX, 1 * MIB, 0, left.why,
		    sizeof(left.why)) ||
		index_recover(&left.index, &out, left.why, sizeof(left.why)))
		_exit(3);
	for (;; version++) {
		i = rig_random(&random) % n_keys;
		if (rig_random(&random) % 8 == 0) {
			shared_u32_store_release(&journal->begun[i], 0);
			recovering_drop(i);
			shared_u32_store_release(&journal->done[i], 0);
		} else {
			shared_u32_store_release(&journal->begun[i], version);
			if (recovering_put(i, version))
				_exit(4);
			shared_u32_store_release(&journal->done[i], version);
		}
		shared_u64_add(&journal->n_steps, 1);
	}
}

static void kill_after(pid_t pid, uint64_t ns)
{
	struct timespec t = {.tv_nsec = (long)ns};
	int status;

	nanosleep(&t, NULL);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void check_journal(struct journal *journal)
{
	uint64_t i, n = 0;
	uint32_t begun, done, is;

	for (i = 0; i < N_KEYS; i++) {
		begun = shared_u32_load(&journal->begun[i]);
		done = shared_u32_load(&journal->done[i]);
		is = recovering_version(i);
		if (is != done && is != begun)
			fail_msg("key %llu: version %u found, %u was done and %u begun",
				(unsigned long long)i, is, done, begun);
		/* From here on this is what was done. */
		shared_u32_store(&journal->begun[i], is);
		shared_u32_store(&journal->done[i], is);
		n += is != 0;
	}
	assert_int_equal(left.index.n_entries, n);
}

static void test_killed(void **state)
{
	struct journal *journal = mmap(NULL, sizeof(*journal), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t random = 42, n_keys, n_stale = 0;
	struct index_recovery out;
	int round;
	pid_t pid;

	(void)state;
	assert_ptr_not_equal(journal, MAP_FAILED);
	for (round = 0; round < N_ROUNDS; round++) {
		/* Anew at times, since an index grows but once. */
		if (round % 10 == 0) {
			shm_unlink(left.name);
			recovering_create(SIZE_MAX_INDEX);
			index_close(&left.index, false);
			memset(journal, 0, sizeof(*journal));
		}
		/* More keys from round to round, so that there is always something to split. */
		n_keys = N_KEYS / 10 * (1 + (uint64_t)round % 10);
		pid = fork();
		assert_true(pid >= 0);
		if (!pid)
			child_run(journal, rig_random(&random) + (uint64_t)round, n_keys);
		kill_after(pid, 1000000 + rig_random(&random) % 6000000);
		recovering_open(SIZE_MAX_INDEX, &out, false);
		assert_int_equal(out.n_found, left.index.n_entries);
		n_stale += out.n_dropped;
		recovering_check();
		check_journal(journal);
		index_close(&left.index, false);
	}
	assert_true(shared_u64_load(&journal->n_steps) > 1000);
	munmap(journal, sizeof(*journal));
	print_message("%llu stale words of splits cut short\n", (unsigned long long)n_stale);
}

/* --- killed at every store ---------------------------------------------------------------- */

/*
 * Chance rarely kills a process within a split. So let one go through some steps instruction by
 * instruction, and each time that the memory has changed, recover a copy: what a kill there
 * leaves.
 */
#define SIZE_STEPPED (2 * MIB)
#define N_BASE                                                                                   \
	(1024 * INDEX_LOAD -                                                                     \
		2) /* entries: one less than what makes the first split; see index_grow() */
#define N_STEPS 30

static void child_step(struct journal *journal)
{
	uint64_t i;

	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(5);
	raise(SIGSTOP);
	for (i = N_BASE; i < N_BASE + N_STEPS; i++) {
		shared_u32_store_release(&journal->begun[i], 9);
		if (recovering_put(i, 9))
			_exit(4);
		shared_u32_store_release(&journal->done[i], 9);
	}
	for (i = 0; i < 2; i++) {
		shared_u32_store_release(&journal->begun[i], 9);
		if (recovering_put(i, 9))
			_exit(4);
		shared_u32_store_release(&journal->done[i], 9);
		shared_u32_store_release(&journal->begun[i + 2], 0);
		recovering_drop(i + 2);
		shared_u32_store_release(&journal->done[i + 2], 0);
	}
	_exit(0);
}

/* Recover a copy of what @from maps, and compare it with the journal; which stays as it is. */
static uint64_t check_copy(const uint8_t *from, size_t size, const struct journal *journal)
{
	struct journal *copy = malloc(sizeof(*copy));
	struct index_recovery out;
	char kept[64];
	uint8_t *to;
	int fd;

	assert_non_null(copy);
	memcpy(copy, journal, sizeof(*copy));
	memcpy(kept, left.name, sizeof(kept));
	rig_name(left.name, sizeof(left.name), "copy");
	fd = shm_open(left.name, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0 && !ftruncate(fd, (off_t)size));
	to = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(to, MAP_FAILED);
	memcpy(to, from, size);
	munmap(to, size);
	close(fd);
	recovering_open(SIZE_STEPPED, &out, false);
	recovering_check();
	check_journal(copy);
	index_close(&left.index, true);
	memcpy(left.name, kept, sizeof(left.name));
	free(copy);
	return out.n_dropped;
}

/* Has anything changed that the steps can change: head, buckets, overflow, fresh cells? */
static bool has_changed(const uint8_t *last, const uint8_t *map, uint64_t n_cells)
{
	const struct abi_index *head = (const void *)map;
	uint64_t cells = head->cell_off + n_cells * ABI_CELL;

	return memcmp(last, map, sizeof(*head)) ||
	       memcmp(last + head->bucket_off, map + head->bucket_off, 1100 * ABI_CELL) ||
	       memcmp(last + head->overflow_off, map + head->overflow_off, 1024 * ABI_CELL) ||
	       memcmp(last + cells, map + cells, 256 * ABI_CELL);
}

static void test_killed_at_every_store(void **state)
{
	struct journal *journal = mmap(NULL, sizeof(*journal), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t i, n_states = 0, n_in_split = 0, size;
	cpu_set_t all, one;
	uint8_t *map, *last;
	int status;
	pid_t pid;

	(void)state;
	/* The two take turns: on one CPU that is quickest. */
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	recovering_create(SIZE_STEPPED);
	for (i = 0; i < N_BASE; i++) {
		assert_int_equal(recovering_put(i, 1), 0);
		shared_u32_store(&journal->begun[i], 1);
		shared_u32_store(&journal->done[i], 1);
	}
	assert_int_equal(left.index.n_buckets, 1024);
	size = left.index.head->size;
	map = (uint8_t *)left.index.head;
	last = malloc(size);
	assert_non_null(last);
	memcpy(last, map, size);
	pid = fork();
	if (!pid)
		child_step(journal);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status)) {
		print_message("ptrace is not permitted here\n");
		free(last);
		skip();
	}
	for (;;) {
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status))
			break;
		assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
		if (!has_changed(last, map, left.index.n_cells))
			continue;
		memcpy(last, map, size);
		/* The parent's own mapping is read by no index meanwhile. */
		struct index kept = left.index;
		n_in_split += check_copy(last, size, journal) != 0;
		left.index = kept;
		n_states++;
	}
	sched_setaffinity(0, sizeof(all), &all);
	assert_int_equal(WEXITSTATUS(status), 0);
	print_message("%llu states, %llu of them within a split\n", (unsigned long long)n_states,
		(unsigned long long)n_in_split);
	/* How many words a split moves is chance, that there are some is all but certain. */
	assert_true(n_in_split > 0);
	assert_true(shared_u64_load(&left.index.head->n_buckets) > 1024);
	free(last);
	munmap(journal, sizeof(*journal));
}

int main(void)
{
#define UNIT(name) cmocka_unit_test_setup_teardown(name, recovering_setup, recovering_teardown)
	const struct CMUnitTest tests[] = {
		UNIT(test_clean),
		UNIT(test_generations),
		UNIT(test_other),
		UNIT(test_holes),
		UNIT(test_killed),
		UNIT(test_killed_at_every_store),
	};

	rig_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
