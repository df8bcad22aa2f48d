/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unit of shmcache/store-fill.c: fills published, overtaken, delivered; and races with all of it.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <urcu.h>
#include <cmocka.h>

#include "tests/shmcache/rig.h"

static struct rig rig;
static const struct store_put_options plain;

static int setup(void **state)
{
	(void)state;
	rig_init(&rig, 8 * MIB, 4 * MIB);
	rig_open(&rig, false);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_remove(&rig);
	return rig_leftovers() ? -1 : 0;
}

static void begin(uint64_t i, struct store_fill *fill)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key = rig_index_key(&rig, i, bytes);

	store_fill_begin(&rig.store, fill, &key);
}

static void fill_with(struct store_fill *fill, uint64_t seed, uint64_t size)
{
	uint8_t *data;

	assert_int_equal(store_fill_reserve(&rig.store, &rig.w, fill, &plain, size, false, &data),
		ABI_STATUS_OK);
	rig_fill(data, size, seed);
}

/* Nothing open, nothing in limbo, and the books balance. */
static void assert_rest(uint64_t n_entries)
{
	rig_drain(&rig);
	rig_check(&rig);
	assert_int_equal(rig.store.reserved_size, 0);
	assert_int_equal(rig.store.limbo.n, 0);
	assert_int_equal(rig.store.n_fills, 0);
	assert_null(rig.store.deliveries);
	assert_int_equal(rig.store.index.n_entries, n_entries);
	assert_int_equal(rig.store.tier[ABI_TIER_DRAM].n_entries, n_entries);
}

static void test_publish(void **state)
{
	struct store_fill fill;

	(void)state;
	begin(1, &fill);
	fill_with(&fill, 7, 5000);
	assert_true(rig.store.reserved_size >= 5000);
	assert_int_equal(rig_cell(&rig, 1), 0);
	assert_int_equal(store_fill_publish(&rig.store, &rig.w, &fill), ABI_STATUS_OK);
	store_fill_end(&rig.store, &fill);
	assert_int_equal(rig_get(&rig, 1, 7, 5000), 5000);
	/* It is no put of anybody's. */
	assert_int_equal(shared_u64_load(&rig.w.counter[ABI_COUNTER_PUTS]), 0);
	assert_rest(1);
}

/* Given up before a block, with one, and begun anew after a holder that was of no use. */
static void test_give_up(void **state)
{
	struct store_fill fill;

	(void)state;
	begin(1, &fill);
	store_fill_end(&rig.store, &fill);
	begin(1, &fill);
	fill_with(&fill, 7, 5000);
	store_fill_end(&rig.store, &fill);
	assert_rest(0);
	begin(1, &fill);
	fill_with(&fill, 7, 5000);
	store_fill_drop(&rig.store, &fill);
	assert_int_equal(rig.store.reserved_size, 0);
	fill_with(&fill, 8, 100);
	assert_int_equal(store_fill_publish(&rig.store, &rig.w, &fill), ABI_STATUS_OK);
	store_fill_end(&rig.store, &fill);
	assert_int_equal(rig_get(&rig, 1, 8, 100), 100);
	assert_rest(1);
}

/* --- what overtakes ------------------------------------------------------------------------ */

static void do_put(void)
{
	assert_int_equal(rig_put(&rig, 1, 9, 100), ABI_STATUS_OK);
}

static void do_delete(void)
{
	assert_int_equal(rig_delete(&rig, 1), ABI_STATUS_MISS);
}

static void do_put_delete(void)
{
	do_put();
	assert_int_equal(rig_delete(&rig, 1), ABI_STATUS_OK);
}

static void flush(const void *prefix, size_t size)
{
	uint64_t bucket = 0;

	while (bucket != UINT64_MAX)
		store_flush(&rig.store, &rig.w, prefix, size, &bucket, 64);
}

static void do_flush(void)
{
	flush(NULL, 0);
}

static void do_flush_prefix(void)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	size_t size = rig_key(1, bytes);

	flush(bytes, size - 1);
}

static void do_touch(void)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key = rig_index_key(&rig, 1, bytes);

	do_put();
	assert_int_equal(store_touch(&rig.store, &key, 1), ABI_STATUS_OK);
	while (store_exists(&rig.store, &key))
		sched_yield();
}

static void do_commit(void)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key = rig_index_key(&rig, 1, bytes);
	uint32_t cell;

	assert_int_equal(store_reserve(&rig.store, &rig.w, &key, &plain, 100, &cell), ABI_STATUS_OK);
	assert_int_equal(store_commit(&rig.store, &rig.w, cell, false), ABI_STATUS_OK);
}

static void test_overtaken(void **state)
{
	static const struct {
		void (*change)(void);
		enum abi_status status;
	} by[] = {
		{do_put, ABI_STATUS_EXISTS}, {do_delete, ABI_STATUS_GONE},
		{do_put_delete, ABI_STATUS_GONE}, {do_flush, ABI_STATUS_GONE},
		{do_flush_prefix, ABI_STATUS_GONE}, {do_touch, ABI_STATUS_GONE},
		{do_commit, ABI_STATUS_EXISTS},
	};
	uint64_t reservation, word;
	struct store_fill fill;
	unsigned i, is_late;
	uint8_t *data;

	(void)state;
	for (i = 0; i < 2 * sizeof(by) / sizeof(by[0]); i++) {
		is_late = i % 2;
		begin(1, &fill);
		if (is_late)
			fill_with(&fill, 7, 5000);
		by[i / 2].change();
		if (is_late) {
			assert_int_equal(store_fill_deliver(
				&rig.store, &fill, &reservation, &word), ABI_STATUS_GONE);
			assert_int_equal(store_fill_publish(&rig.store, &rig.w, &fill),
				by[i / 2].status);
		} else {
			assert_int_equal(store_fill_reserve(&rig.store, &rig.w, &fill, &plain, 10,
				false, &data), ABI_STATUS_GONE);
		}
		store_fill_end(&rig.store, &fill);
		rig_delete(&rig, 1);
		assert_rest(0);
	}
}

/* What is done to other keys, and an eviction, is nothing to it. */
static void test_not_overtaken(void **state)
{
	struct store_fill fill;
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	size_t size = rig_key(2, bytes);
	uint32_t cell;

	(void)state;
	begin(1, &fill);
	assert_int_equal(rig_put(&rig, 2, 9, 100), ABI_STATUS_OK);
	flush(bytes, size);
	assert_int_equal(rig_put(&rig, 2, 9, 100), ABI_STATUS_OK);
	cell = rig_cell(&rig, 2);
	pthread_mutex_lock(&rig.store.lock);
	store_evict_locked(&rig.store, &rig.w, cell);
	pthread_mutex_unlock(&rig.store.lock);
	fill_with(&fill, 7, 5000);
	assert_int_equal(store_fill_publish(&rig.store, &rig.w, &fill), ABI_STATUS_OK);
	store_fill_end(&rig.store, &fill);
	assert_rest(1);
}

/* Two of one key, the first of which is published: the other finds it there. */
static void test_two_fills(void **state)
{
	struct store_fill a, b;

	(void)state;
	begin(1, &a);
	begin(1, &b);
	fill_with(&a, 7, 50);
	fill_with(&b, 7, 50);
	assert_int_equal(store_fill_publish(&rig.store, &rig.w, &a), ABI_STATUS_OK);
	assert_int_equal(store_fill_publish(&rig.store, &rig.w, &b), ABI_STATUS_EXISTS);
	store_fill_end(&rig.store, &a);
	store_fill_end(&rig.store, &b);
	assert_rest(1);
}

/* Nothing is evicted for a fill that may have free room only. */
static void test_only_free(void **state)
{
	struct store_fill fill;
	uint64_t i, n;
	uint8_t *data;

	(void)state;
	for (i = 10; i < 26; i++)
		assert_int_equal(rig_put(&rig, i, i, 500 * KIB), ABI_STATUS_OK);
	n = rig.store.index.n_entries;
	begin(1, &fill);
	assert_int_equal(store_fill_reserve(&rig.store, &rig.w, &fill, &plain, 1 * MIB, true, &data),
		ABI_STATUS_NOSPACE);
	assert_int_equal(rig.store.index.n_entries, n);
	assert_int_equal(store_fill_reserve(&rig.store, &rig.w, &fill, &plain, 1 * MIB, false, &data),
		ABI_STATUS_OK);
	assert_true(rig.store.index.n_entries < n);
	store_fill_end(&rig.store, &fill);
	assert_rest(rig.store.index.n_entries);
}

/* --- delivered ------------------------------------------------------------------------------ */

/* To two sessions: the block stays for the second, then for a hold, and goes with it. */
static void test_deliver(void **state)
{
	uint64_t reservation[3], word[3], used;
	struct store_fill fill;
	struct block_stats st;
	char *bytes;
	unsigned i;

	(void)state;
	begin(1, &fill);
	fill_with(&fill, 7, 5000);
	for (i = 0; i < 2; i++)
		assert_int_equal(store_fill_deliver(&rig.store, &fill, &reservation[i], &word[i]),
			ABI_STATUS_OK);
	assert_int_equal(reservation[0], reservation[1]);
	assert_int_equal(word[0], word[1]);
	bytes = rig_value(&rig, abi_word_cell(word[0]));
	/* All have given it up while the fill goes on: it can be delivered still. */
	store_delivery_end(&rig.store, reservation[0]);
	store_delivery_end(&rig.store, reservation[1]);
	rig_drain(&rig);
	assert_int_equal(store_fill_deliver(&rig.store, &fill, &reservation[2], &word[2]), ABI_STATUS_OK);
	store_fill_end(&rig.store, &fill);
	rig_drain(&rig);
	assert_int_equal(rig.store.limbo.n, 0);
	assert_true(rig_is_filled(bytes, 5000, 7));
	block_stats_get(rig.store.tier[ABI_TIER_DRAM].blocks, &st);
	used = st.used;
	shared_u64_store_release(&rig.held[0], word[2]);
	store_delivery_end(&rig.store, reservation[2]);
	assert_int_equal(rig.store.reserved_size, 0);
	store_reclaim(&rig.store, &rig.w);
	assert_int_equal(rig.store.limbo.n, 1);
	assert_true(rig_is_filled(bytes, 5000, 7));
	rig_check(&rig);
	rig_let_go(&rig.held[0]);
	assert_rest(0);
	block_stats_get(rig.store.tier[ABI_TIER_DRAM].blocks, &st);
	assert_true(st.used < used);
}

/* A page of it was lost: nobody gets it, one way or the other. */
static void test_damaged(void **state)
{
	uint64_t reservation, word;
	struct store_fill fill;

	(void)state;
	begin(1, &fill);
	fill_with(&fill, 7, 5000);
	store_drop_damaged(&rig.store, &rig.w, ABI_TIER_DRAM, 0);
	assert_int_equal(store_fill_deliver(&rig.store, &fill, &reservation, &word), ABI_STATUS_DAMAGED);
	assert_int_equal(store_fill_publish(&rig.store, &rig.w, &fill), ABI_STATUS_DAMAGED);
	store_fill_end(&rig.store, &fill);
	assert_rest(0);
}

/* --- races ----------------------------------------------------------------------------------- */

/*
 * One thread changes a few keys, another fills them. A version is drawn for each change; a fill has
 * the version that was the last when its question was asked. After a change nobody may find an
 * older version than that, however long the fill was on its way: neither in the index nor
 * delivered.
 */
#define N_FILLS 100000
#define N_KEYS 4
#define VALUE_SIZE 64

static _Atomic uint64_t version[N_KEYS];
static _Atomic bool is_over;

struct filler {
	uint64_t random, n[ABI_N_STATUSES];
	struct abi_worker w;
};

static void fill_once(struct filler *f)
{
	unsigned i = (unsigned)(rig_random(&f->random) % N_KEYS), wait;
	uint64_t told, reservation, word;
	enum abi_status status;
	struct store_fill fill;
	uint8_t *data;

	begin(i, &fill);
	told = atomic_load(&version[i]);
	for (wait = (unsigned)(rig_random(&f->random) % 8); wait; wait--)
		sched_yield();
	status = store_fill_reserve(&rig.store, &f->w, &fill, &plain, VALUE_SIZE, false, &data);
	if (status == ABI_STATUS_OK) {
		memset(data, 0, VALUE_SIZE);
		memcpy(data, &told, sizeof(told));
		if (rig_random(&f->random) % 4 == 0) {
			status = store_fill_deliver(&rig.store, &fill, &reservation, &word);
			if (status == ABI_STATUS_OK)
				store_delivery_end(&rig.store, reservation);
		} else {
			status = store_fill_publish(&rig.store, &f->w, &fill);
		}
	}
	f->n[status]++;
	store_fill_end(&rig.store, &fill);
}

static void *fill_all(void *argument)
{
	struct filler *f = argument;
	unsigned i;

	rcu_register_thread();
	for (i = 0; i < N_FILLS; i++)
		fill_once(f);
	atomic_store(&is_over, true);
	rcu_unregister_thread();
	return NULL;
}

/* The version that is there, UINT64_MAX: nothing is. */
static uint64_t look(unsigned i)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key = rig_index_key(&rig, i, bytes);
	uint64_t there = UINT64_MAX;
	uint32_t cell;

	pthread_mutex_lock(&rig.store.lock);
	if (index_find(&rig.store.index, &key, &cell) && !store_is_expired(&rig.store, cell))
		memcpy(&there, rig_value(&rig, cell), sizeof(there));
	pthread_mutex_unlock(&rig.store.lock);
	return there;
}

static void change(unsigned i, unsigned how, uint64_t v)
{
	struct store_put_options briefly = {.ttl_ms = 1};
	uint8_t value[VALUE_SIZE] = {0}, bytes[ABI_KEY_SIZE_MAX];
	struct index_key key = rig_index_key(&rig, i, bytes);

	memcpy(value, &v, sizeof(v));
	if (how < 3)
		assert_int_equal(store_put(&rig.store, &rig.w, &key, how ? &plain : &briefly, value,
			VALUE_SIZE), ABI_STATUS_OK);
	else if (how < 6)
		(void)store_delete(&rig.store, &rig.w, &key);
	else if (how < 7)
		flush(key.data, key.size);
	else
		(void)store_touch(&rig.store, &key, 1);
}

static void test_races(void **state)
{
	uint64_t random = 11, v, there, n_stale = 0, n_found = 0;
	struct filler filler = {.random = 12};
	pthread_t thread;
	unsigned i, how, n = 0;

	(void)state;
	printf("seeds %llu, %llu\n", (unsigned long long)random, (unsigned long long)filler.random);
	atomic_store(&is_over, false);
	assert_int_equal(pthread_create(&thread, NULL, fill_all, &filler), 0);
	while (!atomic_load(&is_over)) {
		i = (unsigned)(rig_random(&random) % N_KEYS);
		how = (unsigned)(rig_random(&random) % 8);
		v = atomic_fetch_add(&version[i], 1) + 1;
		change(i, how, v);
		there = look(i);
		n_found += there != UINT64_MAX;
		/* A touch changes nothing where nothing is, and no value where one is. */
		n_stale += how < 7 && there < v;
		if (++n % 64 == 0)
			store_reclaim(&rig.store, &rig.w);
		if (n % 8 == 0)
			sched_yield();
	}
	pthread_join(thread, NULL);
	printf("%u changes; fills: %llu published, %llu found one, %llu gone\n", n,
		(unsigned long long)filler.n[ABI_STATUS_OK],
		(unsigned long long)filler.n[ABI_STATUS_EXISTS],
		(unsigned long long)filler.n[ABI_STATUS_GONE]);
	assert_int_equal(n_stale, 0);
	/* All that can happen has happened. */
	assert_true(filler.n[ABI_STATUS_OK] && filler.n[ABI_STATUS_EXISTS] &&
		filler.n[ABI_STATUS_GONE] && n_found);
	assert_rest(rig.store.index.n_entries);
}

int main(void)
{
#define UNIT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		UNIT(test_publish),
		UNIT(test_give_up),
		UNIT(test_overtaken),
		UNIT(test_not_overtaken),
		UNIT(test_two_fills),
		UNIT(test_only_free),
		UNIT(test_deliver),
		UNIT(test_damaged),
		UNIT(test_races),
	};

	return RIG_RUN(tests);
}
