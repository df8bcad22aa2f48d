/* SPDX-License-Identifier: Apache-2.0 */
/* index-readers.c: one writer, and readers of the design's kind, on one mapping. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/shmcache/rig.h"

/*
 * The writer inserts, replaces and removes, so that buckets are split and cells used again; it
 * frees what no hold names. The readers look for keys that are always there, though their records
 * are replaced all the time, and for keys that come and go. What they promise: never a miss of
 * the former, never another key's record, never an older version than before, and nothing that
 * changes under a hold.
 */
#define N_READERS 2
#define N_ALWAYS 500
#define N_CHURN 60000
#define SECONDS 3

static struct index ix;
static char name[64], why[256];
static struct shared_u32 is_over;

struct reader {
	pthread_t thread;
	const struct lookup *lookup;
	struct shared_u64 hold;
	uint8_t pad[ABI_APART];
	uint64_t n_reads, n_again, n_hits_churn, seed;
	uint32_t version[N_ALWAYS];
	char failure[128]; /* empty: none */
};

static struct reader reader[N_READERS];
static int n_started;

/* Key @i at @version says so in each of its fields. */
static int open_key(uint64_t i, uint32_t version, uint32_t *cell, struct index_key *key,
	uint8_t bytes[ABI_KEY_SIZE_MAX])
{
	struct abi_hints hints = {.group = i, .position = version};
	int r;

	*key = index_key(&ix, bytes, rig_key(i, bytes));
	r = index_open(&ix, key, i % 2 ? &hints : NULL, cell);
	if (!r) {
		ix.cell[*cell].value_off = i * 64;
		ix.cell[*cell].value_size = version;
	}
	return r;
}

/* --- readers ------------------------------------------------------------------------------ */

#define FAILURE(...) snprintf(r->failure, sizeof(r->failure), __VA_ARGS__)

static void check_record(struct reader *r, uint64_t i, uint32_t cell)
{
	const struct abi_record *record = &r->lookup->cell[cell];
	struct abi_hints hints;
	uint32_t version = record->value_size;

	if (record->value_off != i * 64)
		FAILURE("key %llu: the record of key %llu", (unsigned long long)i,
			(unsigned long long)record->value_off / 64);
	lookup_record_hints(r->lookup, record, &hints);
	if (i % 2 && (hints.group != i || hints.position != version))
		FAILURE("key %llu: hints of another", (unsigned long long)i);
	if (i >= N_ALWAYS)
		return;
	if (version < r->version[i])
		FAILURE("key %llu: version %u after %u", (unsigned long long)i, version,
			r->version[i]);
	r->version[i] = version;
}

static void *reader_main(void *argument)
{
	struct reader *r = argument;
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	uint64_t i, word;
	size_t size;

	while (!shared_u32_load(&is_over) && !r->failure[0]) {
		i = rig_random(&r->seed) % (2 * N_ALWAYS);
		if (i >= N_ALWAYS)
			i = N_ALWAYS + rig_random(&r->seed) % N_CHURN;
		size = rig_key(i, bytes);
		word = rig_read(r->lookup, &r->hold, bytes, size, &r->n_again);
		r->n_reads++;
		if (word) {
			check_record(r, i, abi_word_cell(word));
			r->n_hits_churn += i >= N_ALWAYS;
			/* Once more, later: still the same while it is held. */
			if (r->n_reads % 64 == 0) {
				sched_yield();
				check_record(r, i, abi_word_cell(word));
			}
			rig_let_go(&r->hold);
		} else if (i < N_ALWAYS) {
			FAILURE("key %llu, which is always there, was missed",
				(unsigned long long)i);
		}
	}
	return NULL;
}

/* --- the writer --------------------------------------------------------------------------- */

static uint32_t limbo[1024];
static unsigned n_limbo;

static bool is_held(uint32_t cell)
{
	int i;

	for (i = 0; i < N_READERS; i++)
		if (abi_word_cell(shared_u64_load_acquire(&reader[i].hold)) == cell)
			return true;
	return false;
}

static void reclaim(void)
{
	unsigned i, kept = 0;

	/* Keeps the unpublishing before the scan; the readers fence as well. */
	shared_fence();
	for (i = 0; i < n_limbo; i++) {
		if (is_held(limbo[i]))
			limbo[kept++] = limbo[i];
		else
			index_free(&ix, limbo[i]);
	}
	n_limbo = kept;
}

static void retire(uint32_t cell)
{
	limbo[n_limbo++] = cell;
	if (n_limbo >= 64)
		reclaim();
	assert_true(n_limbo < 1000);
}

static void put(uint64_t i, uint32_t version)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key;
	struct shared_u64 *slot;
	uint32_t cell, old;

	assert_int_equal(open_key(i, version, &cell, &key, bytes), 0);
	slot = index_find(&ix, &key, &old);
	if (slot) {
		index_replace(&ix, slot, cell, key.hash);
		retire(old);
	} else {
		assert_int_equal(index_insert(&ix, cell, key.hash), 0);
	}
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
	retire(cell);
}

static void start_readers(const void *map, void *(*reader_start)(void *))
{
	static struct lookup lookup;
	int i;

	lookup_init(&lookup, map);
	shared_u32_store(&is_over, 0);
	memset(reader, 0, sizeof(reader));
	for (i = 0; i < N_READERS; i++) {
		reader[i].lookup = &lookup;
		reader[i].seed = (uint64_t)i + 1;
		assert_int_equal(
			pthread_create(&reader[i].thread, NULL, reader_start, &reader[i]), 0);
		n_started++;
	}
}

static void join_readers(void)
{
	int i;

	shared_u32_store(&is_over, 1);
	for (i = 0; i < n_started; i++)
		pthread_join(reader[i].thread, NULL);
	n_started = 0;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* One index after another, each from 1024 buckets on, so that there is always one to split. */
static void test_readers(void **state)
{
	uint64_t random = 3, i, n_splits = 0, n_again = 0, n_reads = 0, n_hits_churn = 0;
	double until = seconds() + SECONDS;
	uint32_t version = 0;
	int op, k;

	(void)state;
	do {
		rig_name(name, sizeof(name), "index");
		shm_unlink(name);
		if (index_create(&ix, name, 64 * MIB, 1 * MIB, 0, why, sizeof(why)))
			fail_msg("%s", why);
		for (i = 0; i < N_ALWAYS; i++)
			put(i, ++version);
		start_readers(ix.head, reader_main);
		/* Some in any case: a busy machine may give us little of that time. */
		for (op = 0; op < 150000 && (op < 60000 || seconds() < until); op++) {
			i = rig_random(&random);
			if (i % 4 == 0)
				put(i / 4 % N_ALWAYS, ++version);
			else if (i % 4 == 1)
				drop(N_ALWAYS + i / 4 % N_CHURN);
			else
				put(N_ALWAYS + i / 4 % N_CHURN, ++version);
		}
		join_readers();
		reclaim();
		n_splits += ix.n_buckets - 1024;
		for (k = 0; k < N_READERS; k++) {
			if (reader[k].failure[0])
				fail_msg("%s", reader[k].failure);
			n_again += reader[k].n_again;
			n_reads += reader[k].n_reads;
			n_hits_churn += reader[k].n_hits_churn;
		}
		assert_int_equal(n_limbo, 0);
		index_close(&ix, true);
	} while (seconds() < until);
	print_message("%llu reads, %llu started over, %llu splits\n", (unsigned long long)n_reads,
		(unsigned long long)n_again, (unsigned long long)n_splits);
	assert_true(n_splits > 500);
	assert_true(n_reads > 1000 && n_hits_churn > 100);
}

/* --- growth alone ------------------------------------------------------------------------- */

/*
 * A split moves a few words within a tenth of a microsecond: to be caught at one, readers must
 * ask for much of what is there while much is split. So small indexes that grow threefold, one
 * after another, of short keys that all stay.
 */
static struct shared_u64 n_there;

static void *growth_main(void *argument)
{
	struct reader *r = argument;
	uint64_t i, word;

	while (!shared_u32_load(&is_over) && !r->failure[0]) {
		/* partner: the release after the insert */
		i = rig_random(&r->seed) % shared_u64_load_acquire(&n_there);
		word = rig_read(r->lookup, &r->hold, &i, sizeof(i), &r->n_again);
		r->n_reads++;
		if (!word)
			FAILURE("key %llu was missed", (unsigned long long)i);
		else if (r->lookup->cell[abi_word_cell(word)].value_off != i)
			FAILURE("key %llu: another's record", (unsigned long long)i);
		rig_let_go(&r->hold);
	}
	return NULL;
}

static void insert_short(uint64_t i)
{
	struct index_key key = index_key(&ix, &i, sizeof(i));
	uint32_t cell;

	assert_int_equal(index_open(&ix, &key, NULL, &cell), 0);
	ix.cell[cell].value_off = i;
	assert_int_equal(index_insert(&ix, cell, key.hash), 0);
	/* partner: the acquire in growth_main() */
	shared_u64_store_release(&n_there, i + 1);
}

static void test_growth(void **state)
{
	uint64_t i, n_reads = 0, n_splits = 0, n_again = 0;
	double until = seconds() + SECONDS;
	int k;

	(void)state;
	rig_name(name, sizeof(name), "index");
	do {
		if (index_create(&ix, name, 4 * MIB, 1 * MIB, 0, why, sizeof(why)))
			fail_msg("%s", why);
		for (i = 0; i < 4000; i++)
			insert_short(i);
		start_readers(ix.head, growth_main);
		for (; i < 20000; i++)
			insert_short(i);
		join_readers();
		n_splits += ix.n_buckets - 1024;
		for (k = 0; k < N_READERS; k++) {
			if (reader[k].failure[0])
				fail_msg("%s", reader[k].failure);
			n_reads += reader[k].n_reads;
			n_again += reader[k].n_again;
		}
		index_close(&ix, true);
	} while (seconds() < until);
	print_message("%llu reads, %llu started over, %llu splits\n", (unsigned long long)n_reads,
		(unsigned long long)n_again, (unsigned long long)n_splits);
	assert_true(n_splits > 1000 && n_reads > 1000);
}

static int teardown(void **state)
{
	(void)state;
	join_readers();
	if (ix.head)
		index_close(&ix, true);
	shm_unlink(name);
	return rig_leftovers() ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_readers, teardown),
		cmocka_unit_test_teardown(test_growth, teardown),
	};

	rig_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
