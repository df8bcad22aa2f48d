/* SPDX-License-Identifier: Apache-2.0 */
/* index-damaged.c: unit of index-recover.c: images in which anything may stand. */
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
#include <unistd.h>
#include <cmocka.h>

#include "tests/shmcache/recovering.h"

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

	recovering_create(SIZE_SMALL);
	for (i = 0; i < 3000 && !recovering_put(i, 1); i++)
		;
	for (i = 0; i < 3000; i += 5)
		recovering_drop(i);
	m->head = *left.index.head;
	index_close(&left.index, false);
	fd = shm_open(left.name, O_RDWR, 0);
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
		return m->head.bucket_off +
		       rig_random(random) % backed(&m->head.n_buckets_backed);
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
			(void)recovering_put(i, 2);
		else
			recovering_drop(i);
	}
}

/* It went round in circles. Only what a signal handler may do. */
static void on_alarm(int number)
{
	static const char text[] = "a damaged image is walked without end\n";

	(void)number;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	shm_unlink(left.name);
	_exit(1);
}

static void test_damaged(void **state)
{
	struct image m;
	struct index_recovery out;
	uint64_t random, seed, n_unclean = 0, n_dropped = 0;

	(void)state;
	signal(SIGALRM, on_alarm);
	image_make(&m);
	for (seed = 1; seed <= 3000; seed++) {
		random = seed;
		memcpy(m.map, m.good, m.size);
		image_damage(&m, &random);
		alarm(20);
		if (recovering_open(SIZE_SMALL, &out, true)) {
			n_unclean++;
			continue;
		}
		assert_int_equal(out.n_found, left.index.n_entries);
		n_dropped += out.n_dropped;
		recovering_check();
		if (seed % 4 == 0) {
			use(&random);
			recovering_check();
		}
		index_close(&left.index, false);
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
	assert_int_equal(recovering_open(SIZE_SMALL, &out, false), 0);
	assert_true(out.n_dropped >= 2);
	recovering_check();
	index_close(&left.index, false);

	/* A chain that bites its tail, and one that joins another. */
	memcpy(m.map, m.good, m.size);
	for (i = 0; !shared_u64_load(&bucket[i].link); i++)
		;
	shared_u64_store(&overflow[shared_u64_load(&bucket[i].link) - 1].link,
		shared_u64_load(&bucket[i].link));
	assert_int_equal(recovering_open(SIZE_SMALL, &out, true), -EUCLEAN);
	memcpy(m.map, m.good, m.size);
	shared_u64_store(&bucket[(i + 1) % n].link, shared_u64_load(&bucket[i].link));
	assert_int_equal(recovering_open(SIZE_SMALL, &out, true), -EUCLEAN);

	/* Links out of range. */
	memcpy(m.map, m.good, m.size);
	shared_u64_store(&bucket[0].link, UINT64_MAX);
	assert_int_equal(recovering_open(SIZE_SMALL, &out, true), -EUCLEAN);
	memcpy(m.map, m.good, m.size);
	shared_u64_store(&bucket[0].link, shared_u64_load(&head->n_overflow_backed) + 1);
	assert_int_equal(recovering_open(SIZE_SMALL, &out, true), -EUCLEAN);

	/* Another build, or another seed: no key is where its hash says. */
	memcpy(m.map, m.good, m.size);
	head->fingerprint++;
	assert_int_equal(recovering_open(SIZE_SMALL, &out, true), -EUCLEAN);
	memcpy(m.map, m.good, m.size);
	head->hash_seed++;
	assert_int_equal(recovering_open(SIZE_SMALL, &out, false), 0);
	assert_true(out.n_found < 20);
	recovering_check();
	index_close(&left.index, false);
	munmap(m.map, m.size);
	free(m.good);
}

int main(void)
{
#define UNIT(name) cmocka_unit_test_setup_teardown(name, recovering_setup, recovering_teardown)
	const struct CMUnitTest tests[] = {
		UNIT(test_damaged),
		UNIT(test_damaged_by_hand),
	};

	rig_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
