/* SPDX-License-Identifier: Apache-2.0 */
/* race.c: reads against an index that changes under them. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/clients/rig.h"

/*
 * One thread is the broker: it replaces values, and overwrites the old ones with rubbish the
 * moment that no hold cell names them. The others read. A key that is always there must always be
 * found, and what a view shows must be one value, whole, for as long as it is kept. A reader
 * without the second load of the slot fails here at every run, one without the fence at most runs,
 * one that believes a miss during a split at many.
 */
enum { N_READERS = 2, N_KEYS = 4, N_VERSIONS = 2, VALUE_SIZE = 64, N_TURNS = 10000000 };

struct race {
	struct rig rig;
	atomic_bool is_over;
	_Atomic unsigned n_wrong, n_reads;
	/* The broker's own: each key has a few records to rotate through. */
	char key[N_KEYS][8];
	struct shared_u64 *slot[N_KEYS];
	uint64_t word[N_KEYS][N_VERSIONS];
	unsigned at[N_KEYS];
};

static void value_write(uint8_t *value, uint8_t key, uint8_t number)
{
	memset(value, number, VALUE_SIZE);
	value[0] = key;
}

static bool value_is_whole(const uint8_t *value, uint8_t key)
{
	unsigned i;

	for (i = 2; i < VALUE_SIZE; i++)
		if (value[i] != value[1])
			return false;
	return value[0] == key;
}

/* What a broker looks at: the cells in use. */
static bool is_held(struct race *race, uint64_t word)
{
	const struct shared_u64 *cell;
	unsigned lane, i;
	uint64_t used;

	for (lane = 0; lane < RIG_LANES; lane++) {
		cell = rig_holds(&race->rig, lane);
		/* acquire; partner: the release in hold_table_search() */
		used = shared_u64_load_acquire(&rig_request(&race->rig, lane)->holds_used);
		for (i = 0; i < used; i++)
			/* acquire; partner: hold_clear() */
			if (shared_u64_load_acquire(&cell[i]) == word)
				return true;
	}
	return false;
}

static void spoil(struct race *race, struct abi_record *record)
{
	memset(record->key, 0xff, sizeof(record->key));
	memset(race->rig.dram + record->value_off, 0xff, VALUE_SIZE);
}

/* Put the other version of a key in the place of the one that is there, and spoil that at once. */
static void replace(struct race *race, unsigned k, uint8_t number)
{
	unsigned now = race->at[k], next = !now;
	uint64_t old = race->word[k][now], new = race->word[k][next];
	struct abi_record *record = &race->rig.cell[abi_word_cell(new)];

	/* Unpublished turns ago, but perhaps held ever since. */
	if (is_held(race, new))
		return;
	record->generation++;
	memcpy(record->key, race->key[k], record->key_size);
	value_write(race->rig.dram + record->value_off, (uint8_t)k, number);
	race->word[k][next] = abi_word(abi_word_cell(new), record->generation,
		rig_hash(&race->rig, race->key[k], record->key_size));
	shared_u64_store_release(race->slot[k], race->word[k][next]);
	race->at[k] = next;
	/*
	 * Keeps the store of the slot apart from the loads of the holds. Partner: reader_fence().
	 */
	shared_fence();
	if (!is_held(race, old))
		spoil(race, &race->rig.cell[abi_word_cell(old)]);
}

static void *broker_main(void *arg)
{
	struct race *race = arg;
	unsigned i;

	for (i = 0; i < N_TURNS; i++)
		replace(race, i % N_KEYS, (uint8_t)(i % 251));
	atomic_store(&race->is_over, true);
	return NULL;
}

static void look(struct race *race, unsigned k, const struct shmc_view *view, int result)
{
	if (result || view->size != VALUE_SIZE || !value_is_whole(view->data, (uint8_t)k) ||
		!value_is_whole(view->data, (uint8_t)k))
		atomic_fetch_add(&race->n_wrong, 1);
	atomic_fetch_add(&race->n_reads, 1);
}

static void *single_reader_main(void *arg)
{
	struct race *race = arg;
	struct shmc_view view;
	unsigned k;
	int r;

	for (k = 0; !atomic_load(&race->is_over); k = (k + 1) % N_KEYS) {
		r = shmc_get(race->rig.cache, race->key[k], strlen(race->key[k]), &view);
		look(race, k, &view, r);
		if (!r)
			shmc_release(race->rig.cache, &view);
	}
	return NULL;
}

static void *batch_reader_main(void *arg)
{
	struct shmc_view views[N_KEYS];
	struct shmc_key keys[N_KEYS];
	struct race *race = arg;
	int results[N_KEYS];
	unsigned k;

	for (k = 0; k < N_KEYS; k++)
		keys[k] = (struct shmc_key){race->key[k], strlen(race->key[k])};
	while (!atomic_load(&race->is_over)) {
		shmc_get_many(race->rig.cache, keys, N_KEYS, views, results);
		for (k = 0; k < N_KEYS; k++) {
			look(race, k, &views[k], results[k]);
			if (!results[k])
				shmc_release(race->rig.cache, &views[k]);
		}
	}
	return NULL;
}

static void race_open(struct race *race)
{
	uint8_t value[VALUE_SIZE];
	unsigned k, v;

	memset(race, 0, sizeof(*race));
	rig_open(&race->rig, WIRE_ROLE_READER);
	for (k = 0; k < N_KEYS; k++) {
		struct rig_entry e = {race->key[k], 0, value, VALUE_SIZE, 0, NULL};

		e.key_size = (size_t)snprintf(race->key[k], sizeof(race->key[k]), "key%u", k);
		value_write(value, (uint8_t)k, 0);
		for (v = 0; v < N_VERSIONS; v++)
			race->word[k][v] = rig_record(&race->rig, &e);
		race->slot[k] = rig_publish(&race->rig, race->word[k][0],
			rig_hash(&race->rig, race->key[k], e.key_size));
	}
}

static void views_stay_whole_while_values_are_replaced(void **state)
{
	static struct race race;
	pthread_t thread[1 + N_READERS];
	int i;

	(void)state;
	race_open(&race);
	assert_int_equal(pthread_create(&thread[1], NULL, single_reader_main, &race), 0);
	assert_int_equal(pthread_create(&thread[2], NULL, batch_reader_main, &race), 0);
	while (atomic_load(&race.n_reads) < 100)
		shared_relax();
	assert_int_equal(pthread_create(&thread[0], NULL, broker_main, &race), 0);
	for (i = 0; i < 1 + N_READERS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(atomic_load(&race.n_wrong), 0);
	assert_true(atomic_load(&race.n_reads) > 100);
	assert_int_equal(rig_n_held(&race.rig), 0);
	rig_close(&race.rig);
}

/* --- growth ----------------------------------------------------------------------------------- */

static void *grower_main(void *arg)
{
	struct race *race = arg;
	struct timespec pause = {.tv_nsec = 500000};
	int i;

	for (i = 1; i < RIG_BUCKETS_MAX; i++) {
		rig_split(&race->rig);
		nanosleep(&pause, NULL);
	}
	atomic_store(&race->is_over, true);
	return NULL;
}

enum { N_GROWN = 100 };

static int seen_visit(void *context, const struct shmc_entry *entry)
{
	unsigned *n_seen = context;

	n_seen[(uint8_t)*(const char *)entry->key]++;
	return 0;
}

static void nothing_is_missed_while_the_index_grows(void **state)
{
	static struct race race;
	unsigned seen[256], i, n_scans = 0;
	struct shmc_view view;
	uint64_t cursor = 0;
	char key[2] = "";
	pthread_t thread;

	(void)state;
	memset(&race, 0, sizeof(race));
	rig_open(&race.rig, WIRE_ROLE_READER);
	for (i = 1; i <= N_GROWN; i++) {
		key[0] = (char)i;
		rig_store(&race.rig, key, "value");
	}
	assert_int_equal(pthread_create(&thread, NULL, grower_main, &race), 0);
	do {
		memset(seen, 0, sizeof(seen));
		do
			assert_int_equal(shmc_scan(race.rig.cache, &cursor, NULL, 0, 2, seen_visit,
				seen), 0);
		while (cursor);
		n_scans++;
		for (i = 1; i <= N_GROWN; i++) {
			assert_true(seen[i] >= 1);
			key[0] = (char)i;
			assert_int_equal(shmc_get(race.rig.cache, key, 1, &view), 0);
			shmc_release(race.rig.cache, &view);
		}
	} while (!atomic_load(&race.is_over));
	pthread_join(thread, NULL);
	assert_true(n_scans > 1);
	assert_int_equal(rig_n_held(&race.rig), 0);
	rig_close(&race.rig);
}

/*
 * The same without chance: the reader's first load of a chain's second bucket faults, and the
 * handler splits the chain, to the end, before it lets the reader go on.
 */
enum { N_CHAINED = 64 };

static struct {
	struct rig rig;
	uint8_t *page;
	size_t page_size;
	int n_splits;
} torn;

static void split_now(int number)
{
	(void)number;
	/* A fault of another kind comes again at once: then it ends the test. */
	signal(SIGSEGV, SIG_DFL);
	mprotect(torn.page, torn.page_size, PROT_READ | PROT_WRITE);
	rig_split(&torn.rig);
	torn.n_splits++;
}

static int get_over_a_split(const char *key)
{
	struct shmc_view view;
	int r;

	assert_true(signal(SIGSEGV, split_now) != SIG_ERR);
	assert_int_equal(mprotect(torn.page, torn.page_size, PROT_NONE), 0);
	r = shmc_get(torn.rig.cache, key, 1, &view);
	mprotect(torn.page, torn.page_size, PROT_READ | PROT_WRITE);
	signal(SIGSEGV, SIG_DFL);
	if (!r)
		shmc_release(torn.rig.cache, &view);
	return r;
}

static void what_moves_under_the_reader_is_found(void **state)
{
	struct shared_u64 *slot[N_CHAINED];
	char key[2] = "";
	unsigned i, n_moved = 0;

	(void)state;
	torn.page_size = (size_t)sysconf(_SC_PAGESIZE);
	rig_open(&torn.rig, WIRE_ROLE_READER);
	for (i = 0; i < N_CHAINED; i++) {
		key[0] = (char)(i + 1);
		slot[i] = rig_store(&torn.rig, key, "value");
	}
	/*
	 * The page of a bucket that has neither the first of its chain nor the number of buckets on
	 * it.
	 */
	torn.page = (uint8_t *)((uintptr_t)slot[N_CHAINED - 1] & ~(torn.page_size - 1));
	if (torn.page < (uint8_t *)(torn.rig.index + 1) + sizeof(struct abi_bucket))
		skip(); /* pages are larger than this is made for */
	for (i = 0; i < N_CHAINED && n_moved < 1; i++) {
		key[0] = (char)(i + 1);
		/* In the second bucket or behind it, and to move to bucket 1. */
		if ((uint8_t *)slot[i] < torn.page || !(rig_hash(&torn.rig, key, 1) & 1))
			continue;
		n_moved++;
		assert_int_equal(get_over_a_split(key), 0);
		assert_int_equal(torn.n_splits, 1);
		assert_int_equal(shared_u64_load(slot[i]), 0);
	}
	assert_int_equal(n_moved, 1);
	assert_int_equal(rig_n_held(&torn.rig), 0);
	rig_close(&torn.rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_moves_under_the_reader_is_found),
		cmocka_unit_test(views_stay_whole_while_values_are_replaced),
		cmocka_unit_test(nothing_is_missed_while_the_index_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
