/* SPDX-License-Identifier: Apache-2.0 */
/* index-recover.c: unit of index-recover.c: after a clean close, after kill -9, after damage. */
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

#include "tests/shmcache/rig.h"

#define SIZE_MAX_INDEX (16 * MIB)

static struct index ix;
static char name[64], why[256];

static int setup(void **state)
{
	(void)state;
	rig_name(name, sizeof(name), "index");
	shm_unlink(name);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (ix.head)
		index_close(&ix, true);
	shm_unlink(name);
	return rig_leftovers() ? -1 : 0;
}

static void create(uint64_t size_max)
{
	if (index_create(&ix, name, size_max, 1 * MIB, 0, why, sizeof(why)))
		fail_msg("%s", why);
}

/* Reopen and recover; -EUCLEAN only when @may_fail. */
static int recover(uint64_t size_max, struct index_recovery *out, bool may_fail)
{
	int r;

	why[0] = '\0';
	r = index_reuse(&ix, name, size_max, 1 * MIB, 0, why, sizeof(why));
	if (!r) {
		r = index_recover(&ix, out, why, sizeof(why));
		if (r)
			index_close(&ix, false);
	}
	if (r && (!may_fail || r != -EUCLEAN))
		fail_msg("recover: %s: %s", strerror(-r), why);
	if (r)
		assert_true(why[0] != '\0');
	return r;
}

/* --- consistency, by other means than the code under test ----------------------------------------- */

/* What is in the chains: each word names a published cell, no cell twice, each found by its key. */
static void check_consistent(void)
{
	uint8_t *seen = calloc(ix.n_cells, 1), key[ABI_KEY_SIZE_MAX];
	uint64_t i, word, n_words = 0, n_used = 1;
	const struct abi_bucket *b;
	struct index_key k;
	uint32_t cell, found;
	int s;

	assert_non_null(seen);
	for (i = 0; i < ix.n_buckets; i++) {
		for (b = &ix.lookup.bucket[i]; b; b = lookup_next(&ix.lookup, b)) {
			for (s = 0; s < ABI_BUCKET_SLOTS; s++) {
				word = shared_u64_load(&b->slot[s]);
				cell = abi_word_cell(word);
				if (!word)
					continue;
				assert_true(cell && cell < ix.n_cells);
				assert_int_equal(seen[cell]++, 0);
				n_words++;
				assert_int_equal(ix.meta[cell].state, INDEX_PUBLISHED);
				k = index_key_of(&ix, cell, key);
				assert_true(k.size >= 1 && k.size <= ABI_KEY_SIZE_MAX);
				assert_ptr_equal(index_find(&ix, &k, &found), &b->slot[s]);
				assert_int_equal(found, cell);
				assert_ptr_equal(index_slot_of(&ix, cell), &b->slot[s]);
				for (cell = ix.cell[cell].tail; cell;
					cell = ((struct abi_tail *)&ix.cell[cell])->next) {
					assert_true(cell < ix.n_cells);
					assert_int_equal(seen[cell]++, 0);
					assert_int_equal(ix.meta[cell].state, INDEX_TAIL);
					n_used++;
				}
			}
		}
	}
	assert_int_equal(n_words, ix.n_entries);
	for (cell = ix.free_cell; cell; cell = index_block(&ix, cell)) {
		assert_true(cell < ix.n_cells);
		assert_int_equal(ix.meta[cell].state, INDEX_FREE);
		assert_int_equal(seen[cell]++, 0);
		n_used++;
	}
	/* Nothing is lost either. */
	assert_int_equal(n_used + n_words, ix.n_cells);
	free(seen);
}

/* --- keys and versions ------------------------------------------------------------------------------ */

/* Each record says which key and version it is, in the fields that the index leaves to its user. */
static int put(uint64_t i, uint32_t version)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key = index_key(&ix, bytes, rig_key(i, bytes));
	struct abi_hints hints = {.group = i, .position = version};
	struct shared_u64 *slot;
	uint32_t cell, old;
	int r = index_open(&ix, &key, i % 2 ? &hints : NULL, &cell);

	if (r)
		return r;
	ix.cell[cell].value_off = i * 64;
	ix.cell[cell].value_size = version;
	ix.cell[cell].tier = ABI_TIER_DRAM;
	slot = index_find(&ix, &key, &old);
	if (slot) {
		index_replace(&ix, slot, cell, key.hash);
		index_free(&ix, old);
		return 0;
	}
	r = index_insert(&ix, cell, key.hash);
	if (r)
		index_free(&ix, cell);
	return r;
}

static void drop(uint64_t i)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key = index_key(&ix, bytes, rig_key(i, bytes));
	struct shared_u64 *slot;
	uint32_t cell;

	slot = index_find(&ix, &key, &cell);
	if (!slot)
		return;
	index_remove(&ix, slot);
	index_free(&ix, cell);
}

/* The version of key @i that is there, 0: none. It must be whole. */
static uint32_t version_of(uint64_t i)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key = index_key(&ix, bytes, rig_key(i, bytes));
	struct abi_hints hints;
	uint32_t cell;

	if (!index_find(&ix, &key, &cell))
		return 0;
	assert_int_equal(ix.cell[cell].value_off, i * 64);
	assert_int_equal(ix.cell[cell].tier, ABI_TIER_DRAM);
	lookup_record_hints(&ix.lookup, &ix.cell[cell], &hints);
	assert_int_equal(hints.group, i % 2 ? i : 0);
	assert_int_equal(hints.position, i % 2 ? ix.cell[cell].value_size : 0);
	return ix.cell[cell].value_size;
}

static void test_clean(void **state)
{
	struct index_recovery out;
	uint64_t i, n = 50000;
	int round;

	(void)state;
	create(64 * MIB);
	for (i = 0; i < n; i++)
		assert_int_equal(put(i, 1 + (uint32_t)i), 0);
	for (i = 0; i < n; i += 3)
		drop(i);
	for (round = 0; round < 3; round++) {
		uint64_t n_entries = ix.n_entries, n_buckets = ix.n_buckets, backed = ix.backed;

		index_close(&ix, false);
		recover(64 * MIB, &out, false);
		assert_int_equal(out.n_found, n_entries);
		assert_int_equal(out.n_dropped, 0);
		assert_int_equal(ix.n_buckets, n_buckets);
		assert_int_equal(ix.backed, backed);
		check_consistent();
		for (i = 0; i < n; i++)
			assert_int_equal(version_of(i), i % 3 ? 1 + i : 0);
	}
	/* It grows on from where it was. */
	for (i = 0; i < 2 * n; i++)
		assert_int_equal(put(i, 7), 0);
	for (i = 0; i < 2 * n; i++)
		assert_int_equal(version_of(i), 7);
	check_consistent();
}

/* Of another geometry, another user's, another kind: refused with a reason, and left alone. */
static void test_other(void **state)
{
	struct index_recovery out;
	int fd;

	(void)state;
	assert_int_equal(index_reuse(&ix, name, 16 * MIB, 1 * MIB, 0, why, sizeof(why)), -ENOENT);
	create(16 * MIB);
	assert_int_equal(put(1, 1), 0);
	index_close(&ix, false);
	assert_int_equal(index_reuse(&ix, name, 8 * MIB, 1 * MIB, 0, why, sizeof(why)), -EUCLEAN);
	assert_non_null(strstr(why, name));
	assert_int_equal(index_reuse(&ix, name, 16 * MIB, 2 * MIB, 0, why, sizeof(why)), -EUCLEAN);
	assert_int_equal(index_reuse(&ix, name, 16 * MIB, 1 * MIB, 1, why, sizeof(why)), -EUCLEAN);
	fd = shm_open(name, O_RDWR, 0);
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, 0640), 0);
	assert_int_equal(index_reuse(&ix, name, 16 * MIB, 1 * MIB, 0, why, sizeof(why)), -EUCLEAN);
	assert_int_equal(fchmod(fd, 0600), 0);
	assert_int_equal(recover(16 * MIB, &out, false), 0);
	assert_int_equal(version_of(1), 1);
	index_close(&ix, false);
	/* Cut short, to any length. */
	for (off_t size = 8192; size; size /= 2) {
		assert_int_equal(ftruncate(fd, size), 0);
		assert_int_equal(index_reuse(&ix, name, 16 * MIB, 1 * MIB, 0, why, sizeof(why)),
			-EUCLEAN);
	}
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(index_reuse(&ix, name, 16 * MIB, 1 * MIB, 0, why, sizeof(why)), -EUCLEAN);
	close(fd);
}

/* Memory that was punched out of it reads as zeroes: entries are gone, nothing else. */
static void test_holes(void **state)
{
	struct index_recovery out;
	uint64_t i, n_entries, cell_off;
	int fd;

	(void)state;
	create(16 * MIB);
	for (i = 0; i < 5000; i++)
		assert_int_equal(put(i, 1), 0);
	n_entries = ix.n_entries;
	cell_off = ix.head->cell_off;
	index_close(&ix, false);
	fd = shm_open(name, O_RDWR, 0);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				 (off_t)cell_off + 8192, 65536),
		0);
	close(fd);
	assert_int_equal(recover(16 * MIB, &out, false), 0);
	check_consistent();
	assert_int_equal(out.n_found + out.n_dropped, n_entries);
	/* The hole takes 1024 cells, of which most are tails. */
	assert_true(out.n_dropped > 100 && out.n_found > 1000);
}

/* --- killed at any moment ---------------------------------------------------------------------------- */

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

	if (index_reuse(&ix, name, SIZE_MAX_INDEX, 1 * MIB, 0, why, sizeof(why)) ||
		index_recover(&ix, &out, why, sizeof(why)))
		_exit(3);
	for (;; version++) {
		i = rig_random(&random) % n_keys;
		if (rig_random(&random) % 8 == 0) {
			shared_u32_store_release(&journal->begun[i], 0);
			drop(i);
			shared_u32_store_release(&journal->done[i], 0);
		} else {
			shared_u32_store_release(&journal->begun[i], version);
			if (put(i, version))
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
		is = version_of(i);
		if (is != done && is != begun)
			fail_msg("key %llu: version %u found, %u was done and %u begun",
				(unsigned long long)i, is, done, begun);
		/* From here on this is what was done. */
		shared_u32_store(&journal->begun[i], is);
		shared_u32_store(&journal->done[i], is);
		n += is != 0;
	}
	assert_int_equal(ix.n_entries, n);
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
			shm_unlink(name);
			create(SIZE_MAX_INDEX);
			index_close(&ix, false);
			memset(journal, 0, sizeof(*journal));
		}
		/* More keys from round to round, so that there is always something to split. */
		n_keys = N_KEYS / 10 * (1 + (uint64_t)round % 10);
		pid = fork();
		assert_true(pid >= 0);
		if (!pid)
			child_run(journal, rig_random(&random) + (uint64_t)round, n_keys);
		kill_after(pid, 1000000 + rig_random(&random) % 6000000);
		recover(SIZE_MAX_INDEX, &out, false);
		assert_int_equal(out.n_found, ix.n_entries);
		n_stale += out.n_dropped;
		check_consistent();
		check_journal(journal);
		index_close(&ix, false);
	}
	assert_true(shared_u64_load(&journal->n_steps) > 1000);
	munmap(journal, sizeof(*journal));
	print_message("%llu stale words of splits cut short\n", (unsigned long long)n_stale);
}

/* --- killed at every store ---------------------------------------------------------------------------- */

/*
 * Chance rarely kills a process within a split. So let one go through some steps instruction by
 * instruction, and each time that the memory has changed, recover a copy: what a kill there leaves.
 */
#define SIZE_STEPPED (2 * MIB)
#define N_BASE (1024 * INDEX_LOAD - 2) /* entries: one less than what makes the first split; see index_grow() */
#define N_STEPS 30

static void child_step(struct journal *journal)
{
	uint64_t i;

	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(5);
	raise(SIGSTOP);
	for (i = N_BASE; i < N_BASE + N_STEPS; i++) {
		shared_u32_store_release(&journal->begun[i], 9);
		if (put(i, 9))
			_exit(4);
		shared_u32_store_release(&journal->done[i], 9);
	}
	for (i = 0; i < 2; i++) {
		shared_u32_store_release(&journal->begun[i], 9);
		if (put(i, 9))
			_exit(4);
		shared_u32_store_release(&journal->done[i], 9);
		shared_u32_store_release(&journal->begun[i + 2], 0);
		drop(i + 2);
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
	memcpy(kept, name, sizeof(kept));
	rig_name(name, sizeof(name), "copy");
	fd = shm_open(name, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0 && !ftruncate(fd, (off_t)size));
	to = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(to, MAP_FAILED);
	memcpy(to, from, size);
	munmap(to, size);
	close(fd);
	recover(SIZE_STEPPED, &out, false);
	check_consistent();
	check_journal(copy);
	index_close(&ix, true);
	memcpy(name, kept, sizeof(name));
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
	create(SIZE_STEPPED);
	for (i = 0; i < N_BASE; i++) {
		assert_int_equal(put(i, 1), 0);
		shared_u32_store(&journal->begun[i], 1);
		shared_u32_store(&journal->done[i], 1);
	}
	assert_int_equal(ix.n_buckets, 1024);
	size = ix.head->size;
	map = (uint8_t *)ix.head;
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
		if (!has_changed(last, map, ix.n_cells))
			continue;
		memcpy(last, map, size);
		/* The parent's own mapping is read by no index meanwhile. */
		struct index kept = ix;
		n_in_split += check_copy(last, size, journal) != 0;
		ix = kept;
		n_states++;
	}
	sched_setaffinity(0, sizeof(all), &all);
	assert_int_equal(WEXITSTATUS(status), 0);
	print_message("%llu states, %llu of them within a split\n", (unsigned long long)n_states,
		(unsigned long long)n_in_split);
	assert_true(n_in_split > 5);
	assert_true(shared_u64_load(&ix.head->n_buckets) > 1024);
	free(last);
	munmap(journal, sizeof(*journal));
}

/* --- damaged ------------------------------------------------------------------------------------------ */

#define SIZE_SMALL (1 * MIB)

struct image {
	uint8_t *good, *map;
	size_t size;
	struct abi_index head; /* of the good one */
};

static void image_make(struct image *m)
{
	struct stat st;
	uint64_t i;
	int fd;

	create(SIZE_SMALL);
	for (i = 0; i < 3000 && !put(i, 1); i++)
		;
	for (i = 0; i < 3000; i += 5)
		drop(i);
	m->head = *ix.head;
	index_close(&ix, false);
	fd = shm_open(name, O_RDWR, 0);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	m->size = (size_t)st.st_size;
	m->map = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	m->good = malloc(m->size);
	assert_true(m->map != MAP_FAILED && m->good);
	memcpy(m->good, m->map, m->size);
	close(fd);
}

static uint64_t backed(const struct shared_u64 *n)
{
	return shared_u64_load(n) * ABI_CELL;
}

/* A place to damage: each part as likely as the other, and only where memory is in use. */
static size_t image_place(const struct image *m, uint64_t *random)
{
	switch (rig_random(random) % 8) {
	case 0:
		return rig_random(random) % sizeof(struct abi_index);
	case 1:
	case 2:
		return m->head.bucket_off + rig_random(random) % backed(&m->head.n_buckets_backed);
	case 3:
		/* Links alone. */
		return m->head.bucket_off + 56 +
			rig_random(random) % shared_u64_load(&m->head.n_buckets) * ABI_CELL;
	case 4:
		return m->head.overflow_off + rig_random(random) % (64 * ABI_CELL);
	default:
		return m->head.cell_off + rig_random(random) % backed(&m->head.n_cells_backed);
	}
}

static void image_damage(const struct image *m, uint64_t *random)
{
	uint64_t n = 1 + rig_random(random) % (rig_random(random) % 4 ? 4 : 400), word;
	size_t at, from;

	while (n--) {
		at = image_place(m, random);
		switch (rig_random(random) % 4) {
		case 0: /* a bit */
			m->map[at] ^= (uint8_t)(1U << rig_random(random) % 8);
			break;
		case 1: /* a word of anything */
			word = rig_random(random) >> rig_random(random) % 64;
			memcpy(m->map + (at & ~(size_t)7), &word, 8);
			break;
		case 2: /* a word from elsewhere: the right kind of wrong */
			from = image_place(m, random) & ~(size_t)7;
			memcpy(m->map + (at & ~(size_t)7), m->map + from, 8);
			break;
		default: /* a small number: a cell, a bucket, a size */
			word = rig_random(random) % 3000;
			memcpy(m->map + (at & ~(size_t)3), &word, 4);
		}
	}
}

/* What was kept must be fit for use. */
static void use(uint64_t *random)
{
	uint64_t i;
	int op;

	for (op = 0; op < 200; op++) {
		i = rig_random(random) % 4000;
		if (rig_random(random) % 3)
			(void)put(i, 2);
		else
			drop(i);
	}
}

static void test_damaged(void **state)
{
	struct image m;
	struct index_recovery out;
	uint64_t random, seed, n_unclean = 0, n_dropped = 0;

	(void)state;
	image_make(&m);
	for (seed = 1; seed <= 3000; seed++) {
		random = seed;
		memcpy(m.map, m.good, m.size);
		image_damage(&m, &random);
		/* A loop without end ends here, and says with which seed. */
		alarm(20);
		if (recover(SIZE_SMALL, &out, true)) {
			n_unclean++;
			continue;
		}
		assert_int_equal(out.n_found, ix.n_entries);
		n_dropped += out.n_dropped;
		check_consistent();
		if (seed % 4 == 0) {
			use(&random);
			check_consistent();
		}
		index_close(&ix, false);
	}
	alarm(0);
	print_message("%llu images refused, %llu words dropped\n", (unsigned long long)n_unclean,
		(unsigned long long)n_dropped);
	assert_true(n_unclean > 100 && n_unclean < 2500);
	assert_true(n_dropped > 1000);
	munmap(m.map, m.size);
	free(m.good);
}

/* Damage that is meant: each of these has one right answer. */
static void test_damaged_by_hand(void **state)
{
	struct index_recovery out;
	struct abi_index *head;
	struct abi_bucket *bucket, *overflow;
	struct image m;
	uint64_t word = 0, i, n;
	size_t slot = 0;

	(void)state;
	image_make(&m);
	head = (void *)m.map;
	bucket = (void *)(m.map + head->bucket_off);
	overflow = (void *)(m.map + head->overflow_off);
	n = shared_u64_load(&head->n_buckets);
	for (i = 0; !word; i++)
		word = shared_u64_load(&bucket[slot = i].slot[0]);

	/* The same word twice in its bucket, and in another. */
	memcpy(m.map, m.good, m.size);
	shared_u64_store(&bucket[slot].slot[6], word);
	shared_u64_store(&bucket[(slot + 1) % n].slot[6], word);
	assert_int_equal(recover(SIZE_SMALL, &out, false), 0);
	assert_true(out.n_dropped >= 2);
	check_consistent();
	index_close(&ix, false);

	/* A chain that bites its tail, and one that joins another. */
	memcpy(m.map, m.good, m.size);
	for (i = 0; !shared_u64_load(&bucket[i].link); i++)
		;
	shared_u64_store(&overflow[shared_u64_load(&bucket[i].link) - 1].link,
		shared_u64_load(&bucket[i].link));
	assert_int_equal(recover(SIZE_SMALL, &out, true), -EUCLEAN);
	memcpy(m.map, m.good, m.size);
	shared_u64_store(&bucket[(i + 1) % n].link, shared_u64_load(&bucket[i].link));
	assert_int_equal(recover(SIZE_SMALL, &out, true), -EUCLEAN);

	/* Links out of range. */
	memcpy(m.map, m.good, m.size);
	shared_u64_store(&bucket[0].link, UINT64_MAX);
	assert_int_equal(recover(SIZE_SMALL, &out, true), -EUCLEAN);
	memcpy(m.map, m.good, m.size);
	shared_u64_store(&bucket[0].link, shared_u64_load(&head->n_overflow_backed) + 1);
	assert_int_equal(recover(SIZE_SMALL, &out, true), -EUCLEAN);

	/* Another build, or another seed: no key is where its hash says. */
	memcpy(m.map, m.good, m.size);
	head->fingerprint++;
	assert_int_equal(recover(SIZE_SMALL, &out, true), -EUCLEAN);
	memcpy(m.map, m.good, m.size);
	head->hash_seed++;
	assert_int_equal(recover(SIZE_SMALL, &out, false), 0);
	assert_true(out.n_found < 20);
	check_consistent();
	index_close(&ix, false);
	munmap(m.map, m.size);
	free(m.good);
}

int main(void)
{
#define UNIT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		UNIT(test_clean),
		UNIT(test_other),
		UNIT(test_holes),
		UNIT(test_killed),
		UNIT(test_killed_at_every_store),
		UNIT(test_damaged),
		UNIT(test_damaged_by_hand),
	};

	rig_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
