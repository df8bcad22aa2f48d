/* SPDX-License-Identifier: Apache-2.0 */
/* store-threads.c: several workers on one store, all requests at once, and readers with holds. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <urcu.h>
#include <cmocka.h>

#include "tests/shmcache/rig.h"

/*
 * Each value is made from the hints of its record, so that whoever finds an entry can tell
 * whether it is whole and the key's own. The tier is a good deal smaller than what is put:
 * evictions, windows and reclaim rounds happen all the time, from all workers at once.
 */
#define N_WORKERS 3
#define N_READERS 1
#define N_KEYS 400
#define SECONDS 3
#define SIZE_MAX_VALUE (256 * KIB)

static struct rig rig;
static struct shared_u32 is_over;

struct thread {
	pthread_t thread;
	unsigned idx;
	uint64_t seed, n_done, n_nospace, n_found;
	struct abi_worker w;
	uint8_t *value;
	char failure[200]; /* empty: none */
};

static struct thread thread[N_WORKERS + N_READERS];
static unsigned n_started;
static uint64_t moves_down, moves_up;

#define FAILURE(...) snprintf(t->failure, sizeof(t->failure), __VA_ARGS__)

static uint64_t value_seed(uint64_t i, uint32_t version)
{
	return i << 32 | version;
}

/* --- workers ------------------------------------------------------------------------------ */

static void expect(struct thread *t, const char *what, enum abi_status status, bool also)
{
	t->n_nospace += status == ABI_STATUS_NOSPACE;
	if (status != ABI_STATUS_OK && status != ABI_STATUS_NOSPACE && !also)
		FAILURE("%s: %s", what, abi_status_name(status));
}

static void put(struct thread *t, uint64_t i, const struct index_key *key)
{
	struct store_put_options o = {.if_absent = rig_random(&t->seed) % 4 == 0,
		.ttl_ms = rig_random(&t->seed) % 4 ? 0 : 20,
		.hints = {.group = i + 1, .position = (uint32_t)rig_random(&t->seed)}};
	uint64_t size = rig_random_size(&t->seed, SIZE_MAX_VALUE);
	enum abi_status status;

	rig_fill(t->value, size, value_seed(i, o.hints.position));
	status = store_put(&rig.store, &t->w, key, &o, t->value, size);
	expect(t, "put", status, o.if_absent && status == ABI_STATUS_EXISTS);
}

static void reserve(struct thread *t, uint64_t i, const struct index_key *key)
{
	struct store_put_options o = {
		.hints = {.group = i + 1, .position = (uint32_t)rig_random(&t->seed)}};
	uint64_t size = rig_random_size(&t->seed, SIZE_MAX_VALUE);
	enum abi_status status;
	uint32_t cell;

	status = store_reserve(&rig.store, &t->w, key, &o, size, &cell);
	expect(t, "reserve", status, false);
	if (status != ABI_STATUS_OK)
		return;
	rig_fill(t->value, size, value_seed(i, o.hints.position));
	expect(t, "write", store_write(&rig.store, cell, 0, t->value, size / 2), false);
	if (rig_random(&t->seed) % 4 == 0) {
		store_abort(&rig.store, cell);
		return;
	}
	expect(t, "write",
		store_write(&rig.store, cell, size / 2, t->value + size / 2, size - size / 2),
		false);
	expect(t, "commit", store_commit(&rig.store, &t->w, cell, false), false);
}

static void pin(const struct index_key *key)
{
	uint64_t pin, size;

	if (store_pin(&rig.store, key, &pin, &size) != ABI_STATUS_OK)
		return;
	sched_yield();
	(void)store_pin_is_of(&rig.store, pin, key);
	(void)store_unpin(&rig.store, pin);
}

static void upkeep(struct thread *t)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	uint64_t bucket = 0;
	uint32_t cells[16];
	char why[160];
	int i;

	switch (rig_random(&t->seed) % 8) {
	case 0:
		store_reclaim(&rig.store, &t->w);
		break;
	case 1:
		store_sweep(&rig.store, &t->w, 1000);
		break;
	case 2:
		(void)store_has_limbo(&rig.store);
		for (i = 0; i < 16; i++)
			cells[i] = (uint32_t)(rig_random(&t->seed) % 4000);
		store_hits(&rig.store, &t->w, cells, 16);
		break;
	case 3:
		if (t->n_done % 16 == 0 && store_check(&rig.store, why, sizeof(why)))
			FAILURE("check: %s", why);
		break;
	case 4:
		/* One key at most: a prefix of all of its bytes. */
		while (bucket != UINT64_MAX && t->n_done % 4 == 0)
			store_flush(&rig.store, &t->w, bytes,
				rig_key(rig_random(&t->seed) % N_KEYS, bytes), &bucket, 256);
		break;
	case 5:
	case 6:
		(void)store_move_step(&rig.store, &t->w);
		break;
	default:
		break;
	}
}

static void *worker_main(void *argument)
{
	struct thread *t = argument;
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key;
	uint64_t i;

	rcu_register_thread();
	for (; !shared_u32_load(&is_over) && !t->failure[0]; t->n_done++) {
		i = rig_random(&t->seed) % N_KEYS;
		key = rig_index_key(&rig, i, bytes);
		switch (rig_random(&t->seed) % 10) {
		case 0:
			(void)store_delete(&rig.store, &t->w, &key);
			break;
		case 1:
			(void)store_touch(&rig.store, &key, rig_random(&t->seed) % 50);
			break;
		case 2:
			pin(&key);
			break;
		case 3:
		case 4:
			reserve(t, i, &key);
			break;
		case 5:
			upkeep(t);
			break;
		default:
			put(t, i, &key);
		}
	}
	rcu_unregister_thread();
	return NULL;
}

/* --- readers ------------------------------------------------------------------------------ */

static void check_value(struct thread *t, uint64_t i, uint32_t cell)
{
	const struct abi_record *r = &rig.store.index.lookup.cell[cell];
	const char *base = rig.store.tier[r->tier].base;
	struct abi_hints hints;

	lookup_record_hints(&rig.store.index.lookup, r, &hints);
	if (hints.group != i + 1)
		FAILURE("key %llu: another's record", (unsigned long long)i);
	else if (!rig_is_filled(
			 base + r->value_off, r->value_size, value_seed(i, hints.position)))
		FAILURE("key %llu: not the %u bytes that were put", (unsigned long long)i,
			r->value_size);
}

static void *reader_main(void *argument)
{
	struct thread *t = argument;
	struct shared_u64 *hold = &rig.held[t->idx];
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	uint64_t i, word, n = 0;
	size_t size;

	for (; !shared_u32_load(&is_over) && !t->failure[0]; t->n_done++) {
		i = rig_random(&t->seed) % N_KEYS;
		size = rig_key(i, bytes);
		word = rig_read(&rig.store.index.lookup, hold, bytes, size, &n);
		if (!word)
			continue;
		t->n_found++;
		check_value(t, i, abi_word_cell(word));
		/* And still, after the others had their turns. */
		if (t->n_found % 8 == 0) {
			sched_yield();
			check_value(t, i, abi_word_cell(word));
		}
		rig_let_go(hold);
	}
	return NULL;
}

/* --- all together ------------------------------------------------------------------------- */

static void join(void)
{
	shared_u32_store(&is_over, 1);
	while (n_started)
		pthread_join(thread[--n_started].thread, NULL);
}

static void run(void)
{
	uint64_t n_done = 0, n_nospace = 0, n_found = 0, n_evicted = 0;
	struct timespec seconds = {.tv_sec = SECONDS};
	struct thread *t;
	unsigned k;

	rig_open(&rig, false);
	shared_u32_store(&is_over, 0);
	memset(thread, 0, sizeof(thread));
	for (k = 0; k < N_WORKERS + N_READERS; k++) {
		t = &thread[k];
		t->idx = k;
		t->seed = k + 1;
		t->value = malloc(SIZE_MAX_VALUE);
		assert_non_null(t->value);
		assert_int_equal(pthread_create(&t->thread, NULL,
					 k < N_WORKERS ? worker_main : reader_main, t),
			0);
		n_started++;
	}
	nanosleep(&seconds, NULL);
	join();
	for (k = 0; k < N_WORKERS + N_READERS; k++) {
		t = &thread[k];
		free(t->value);
		if (t->failure[0])
			fail_msg("thread %u: %s", k, t->failure);
		n_done += t->n_done;
		n_nospace += t->n_nospace;
		n_found += t->n_found;
		moves_down += shared_u64_load(&t->w.counter[ABI_COUNTER_DEMOTIONS]);
		moves_up += shared_u64_load(&t->w.counter[ABI_COUNTER_PROMOTIONS]);
		n_evicted += shared_u64_load(&t->w.counter[ABI_COUNTER_EVICTIONS]);
	}
	print_message("%llu requests and reads, %llu found, %llu evicted, %llu without space\n",
		(unsigned long long)n_done, (unsigned long long)n_found,
		(unsigned long long)n_evicted, (unsigned long long)n_nospace);
	assert_true(n_found > 50 && n_evicted > 50);
	/* Threads may take each other's room; they must not starve each other. */
	assert_true(n_nospace * 20 < n_done);
	rig_drain(&rig);
	rig_check(&rig);
	assert_int_equal(rig.store.limbo.n, 0);
	assert_int_equal(rig.store.pinned_size, 0);
	assert_int_equal(rig.store.reserved_size, 0);
	/* What they left is served by the next. */
	rig_close(&rig);
	rig_open(&rig, true);
	assert_true(rig.opened.warm);
	assert_int_equal(rig.opened.recovery.n_dropped, 0);
	rig_check(&rig);
}

static void test_threads(void **state)
{
	(void)state;
	rig_init(&rig, 4 * MIB, 2 * MIB);
	run();
}

/* The same in two tiers: what is cold moves down, what is hit up, and all of it may be anywhere. */
static void test_threads_tiers(void **state)
{
	(void)state;
	rig_init(&rig, 2 * MIB, 2 * MIB);
	rig_add_cxl(&rig, 2 * MIB);
	rig.options.tiering = (struct store_tiering){
		.demote_at = 80, .demote_to = 70, .promote_after = 1, .size_threshold = 128 * KIB};
	run();
	print_message("%llu down, %llu up\n", (unsigned long long)moves_down,
		(unsigned long long)moves_up);
	assert_true(moves_down > 50 && moves_up > 5);
}

static int teardown(void **state)
{
	(void)state;
	join();
	rig_remove(&rig);
	return rig_leftovers() ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_threads, teardown),
		cmocka_unit_test_teardown(test_threads_tiers, teardown),
	};

	return RIG_RUN(tests);
}
