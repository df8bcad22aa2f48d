/* SPDX-License-Identifier: Apache-2.0 */
/* store-moves.c: requests that race with a move, and readers that hold views over moves. */
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
 * First every request that can come in the middle of a move, one by one: the move has to evict
 * below to find room, asks for the logs then, and there the request is made. Then all at once, by
 * threads, with values that tell their version: a key that nobody removes is always found, versions
 * never go back, and what is held stays what it was.
 */
static struct rig rig;

static int close_all(void)
{
	rig_remove(&rig);
	return rig_leftovers() ? -1 : 0;
}

static struct index_key key_of(uint64_t i)
{
	static uint8_t bytes[ABI_KEY_SIZE_MAX];

	return rig_index_key(&rig, i, bytes);
}

/* --- one by one --------------------------------------------------------------------------- */

#define MOVED 1
#define SIZE (100 * KIB)

enum interference { NOTHING, DELETE, REPLACE, TOUCH, PIN, PIN_UNPIN, EXPIRE, PUT_OTHER };

static struct {
	enum interference what;
	unsigned n_calls;
	uint64_t pin;
	uint32_t from; /* where it was before */
} now;

static void interfere(struct rig *r)
{
	struct index_key key = key_of(MOVED);
	uint64_t size;

	if (now.n_calls++)
		return;
	switch (now.what) {
	case DELETE:
		assert_int_equal(store_delete(&r->store, &r->w, &key), ABI_STATUS_OK);
		break;
	case REPLACE:
		/* Small, so that it needs no room made, and asks for no logs itself. */
		assert_int_equal(rig_put(r, MOVED, 77, 64), ABI_STATUS_OK);
		break;
	case TOUCH:
		assert_int_equal(store_touch(&r->store, &key, 3600000), ABI_STATUS_OK);
		break;
	case PIN:
	case PIN_UNPIN:
		assert_int_equal(store_pin(&r->store, &key, &now.pin, &size), ABI_STATUS_OK);
		if (now.what == PIN_UNPIN)
			assert_int_equal(store_unpin(&r->store, now.pin), size);
		break;
	case EXPIRE:
		assert_int_equal(store_touch(&r->store, &key, 1), ABI_STATUS_OK);
		break;
	default:
		break;
	}
	/* In the middle the books hold as well, and the block of what is copied stays. */
	rig_check(r);
	store_reclaim(&r->store, &r->w);
	rig_check(r);
}

/* The oldest entry of DRAM, number MOVED, goes down into a tier that is full; something happens. */
static void move_with(enum interference what)
{
	const struct store_put_options below = {.tier = ABI_TIER_CXL};
	uint64_t i;

	rig_init(&rig, 1 * MIB, 2 * MIB);
	rig_add_cxl(&rig, 1 * MIB);
	rig.options.tier[ABI_TIER_DRAM].policy = rig.options.tier[ABI_TIER_CXL].policy = "lru";
	rig.options.batch = 1;
	rig_open(&rig, false);
	for (i = MOVED; i < MOVED + 9; i++)
		assert_int_equal(rig_put(&rig, i, i, SIZE), ABI_STATUS_OK);
	for (i = 100; i < 110; i++)
		assert_int_equal(rig_put_with(&rig, i, i, SIZE, &below), ABI_STATUS_OK);
	memset(&now, 0, sizeof(now));
	now.what = what;
	now.from = rig_cell(&rig, MOVED);
	rig.on_drain = interfere;
	pthread_mutex_lock(&rig.store.lock);
	store_demote_locked(&rig.store, &rig.w, 1, NULL);
	pthread_mutex_unlock(&rig.store.lock);
	rig.on_drain = NULL;
	assert_true(now.n_calls > 0);
	assert_null(rig.store.moves);
	rig_drain(&rig);
	rig_check(&rig);
}

static void test_undisturbed(void **state)
{
	(void)state;
	move_with(NOTHING);
	assert_int_equal(rig_tier_of(&rig, MOVED), ABI_TIER_CXL);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_MOVES_LOST), 0);
	assert_int_equal(rig_get(&rig, MOVED, MOVED, SIZE), SIZE);
}

static void test_deleted(void **state)
{
	(void)state;
	move_with(DELETE);
	assert_int_equal(rig_cell(&rig, MOVED), 0);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_MOVES_LOST), 1);
}

static void test_replaced(void **state)
{
	(void)state;
	move_with(REPLACE);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_MOVES_LOST), 1);
	assert_int_equal(rig_get(&rig, MOVED, 77, 64), 64);
}

static void test_touched(void **state)
{
	uint64_t at;

	(void)state;
	move_with(TOUCH);
	assert_int_equal(rig_tier_of(&rig, MOVED), ABI_TIER_CXL);
	at = shared_u64_load(&rig.store.index.cell[rig_cell(&rig, MOVED)].expire_ms);
	assert_in_range(at, store_now_ms() + 3000000, store_now_ms() + 3600000);
	assert_int_equal(rig.store.n_expiring, 1);
}

static void test_pinned(void **state)
{
	(void)state;
	move_with(PIN);
	assert_int_equal(rig_tier_of(&rig, MOVED), ABI_TIER_DRAM);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_MOVES_LOST), 1);
	assert_true(store_pin_is_alive(&rig.store, now.pin));
	assert_true(store_unpin(&rig.store, now.pin) >= SIZE);
	rig_check(&rig);
	assert_int_equal(rig.store.pinned_size, 0);
}

/* As if it had not been pinned: it moves, and is in one policy alone. */
static void test_pinned_and_unpinned(void **state)
{
	(void)state;
	move_with(PIN_UNPIN);
	assert_int_equal(rig_tier_of(&rig, MOVED), ABI_TIER_CXL);
	assert_false(policy_resident(rig.store.tier[ABI_TIER_DRAM].policy, now.from));
	assert_int_equal(rig.store.pinned_size, 0);
}

/* A time that is over before the move is, is over after it. */
static void test_expired(void **state)
{
	const struct timespec wait = {.tv_nsec = 20000000};
	struct index_key key;

	(void)state;
	move_with(EXPIRE);
	nanosleep(&wait, NULL);
	key = key_of(MOVED);
	assert_int_equal(store_delete(&rig.store, &rig.w, &key), ABI_STATUS_MISS);
	assert_int_equal(rig.store.n_expiring, 0);
	rig_check(&rig);
}

static int teardown(void **state)
{
	(void)state;
	return close_all();
}

/* --- while all is kept --------------------------------------------------------------------- */

static struct shared_u32 n_woken;

static void *mover_as_in_the_broker(void *argument)
{
	rcu_register_thread();
	while (store_move_wait(&rig.store)) {
		shared_u32_store(&n_woken, shared_u32_load(&n_woken) + 1);
		while (store_move_step(&rig.store, &rig.w))
			;
	}
	rcu_unregister_thread();
	return argument;
}

/* What may not be moved yet does not keep the mover awake, and is moved when it may. */
static void test_sleeps_while_all_is_kept(void **state)
{
	const struct store_put_options below = {.tier = ABI_TIER_CXL};
	pthread_t mover;
	uint32_t cell, n;
	int i;

	(void)state;
	rig_init(&rig, 1 * MIB, 2 * MIB);
	rig_add_cxl(&rig, 1 * MIB);
	rig.options.tiering.promote_after = 1;
	rig.options.tiering.demote_at = rig.options.tiering.demote_to = 90;
	rig_open(&rig, false);
	assert_int_equal(rig_put_with(&rig, MOVED, MOVED, SIZE, &below), ABI_STATUS_OK);
	store_keep(&rig.store, STORE_KEEP_ALL);
	cell = rig_cell(&rig, MOVED);
	assert_int_equal(store_hits(&rig.store, &rig.w, &cell, 1), 1);
	assert_int_equal(rig.store.tiering.n_candidates, 1);
	shared_u32_store(&n_woken, 0);
	assert_int_equal(pthread_create(&mover, NULL, mover_as_in_the_broker, NULL), 0);
	for (i = 0; i < 20; i++)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	n = shared_u32_load(&n_woken);
	store_keep(&rig.store, STORE_KEEP_NOTHING);
	while (rig_tier_of(&rig, MOVED) != ABI_TIER_DRAM)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	store_move_stop(&rig.store);
	assert_int_equal(pthread_join(mover, NULL), 0);
	/* Only now: the thread is not to outlive a test that fails. */
	assert_int_equal(n, 0);
	rig_drain(&rig);
	rig_check(&rig);
}

/* --- all at once -------------------------------------------------------------------------- */

#define N_KEYS 64
#define N_READERS 2
#define VALUE_MAX (64 * KIB)
#define SECONDS 3

struct thread {
	pthread_t thread;
	unsigned idx;
	uint64_t seed, n_done;
	struct abi_worker w;
	char failure[200]; /* empty: none */
};

static struct shared_u32 is_over;
/* The version that is stored for certain, and the one that may be. */
static struct shared_u64 stored[N_KEYS];

static bool goes_on(const struct thread *t)
{
	return !shared_u32_load(&is_over) && !t->failure[0];
}

#define FAILURE(...) snprintf(t->failure, sizeof(t->failure), __VA_ARGS__)

static uint64_t value_seed(uint64_t i, uint64_t version)
{
	return i << 40 | version;
}

/* Everything down, everything up, by turns and by parts. */
static void *mover_main(void *argument)
{
	struct thread *t = argument;
	uint32_t cell;
	uint64_t i;

	rcu_register_thread();
	for (; goes_on(t); t->n_done++) {
		if (rig_random(&t->seed) % 2) {
			pthread_mutex_lock(&rig.store.lock);
			store_demote_locked(&rig.store, &t->w, MIB, NULL);
			pthread_mutex_unlock(&rig.store.lock);
			store_reclaim(&rig.store, &t->w);
			continue;
		}
		for (i = 0; i < 16; i++) {
			uint8_t bytes[ABI_KEY_SIZE_MAX];
			struct index_key key =
				rig_index_key(&rig, rig_random(&t->seed) % N_KEYS, bytes);

			pthread_mutex_lock(&rig.store.lock);
			if (!index_find(&rig.store.index, &key, &cell))
				cell = 0;
			pthread_mutex_unlock(&rig.store.lock);
			store_hits(&rig.store, &t->w, &cell, 1);
		}
		while (store_move_step(&rig.store, &t->w))
			;
		store_reclaim(&rig.store, &t->w);
	}
	rcu_unregister_thread();
	return NULL;
}

/* New versions, and what else may happen to an entry without removing it. */
static void *writer_main(void *argument)
{
	struct thread *t = argument;
	struct store_put_options o = {.tier = ABI_TIER_NONE};
	uint64_t i, version = 0, pin, size;
	uint8_t *value = malloc(VALUE_MAX);
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key;

	rcu_register_thread();
	for (; value && goes_on(t); t->n_done++) {
		i = rig_random(&t->seed) % N_KEYS;
		key = rig_index_key(&rig, i, bytes);
		switch (rig_random(&t->seed) % 6) {
		case 0:
			if (store_pin(&rig.store, &key, &pin, &size) == ABI_STATUS_OK)
				store_unpin(&rig.store, pin);
			break;
		case 1:
			store_touch(&rig.store, &key, 3600000);
			break;
		default:
			size = rig_random_size(&t->seed, VALUE_MAX);
			o.hints.group = i + 1;
			o.hints.position = (uint32_t)++version;
			o.tier = (uint8_t)(rig_random(&t->seed) % 3);
			rig_fill(value, size, value_seed(i, version));
			if (store_put(&rig.store, &t->w, &key, &o, value, size) != ABI_STATUS_OK)
				FAILURE("a put was refused");
			/* partner: the acquire of a reader, before it looks */
			shared_u64_store_release(&stored[i], version);
		}
	}
	free(value);
	rcu_unregister_thread();
	return NULL;
}

static void check_view(struct thread *t, uint64_t i, uint32_t cell, uint64_t least)
{
	const struct abi_record *r = &rig.store.index.lookup.cell[cell];
	struct abi_hints hints;

	lookup_record_hints(&rig.store.index.lookup, r, &hints);
	if (hints.group != i + 1)
		FAILURE("key %llu: another's record", (unsigned long long)i);
	else if (hints.position < least)
		FAILURE("key %llu: version %u after %llu", (unsigned long long)i, hints.position,
			(unsigned long long)least);
	else if (!rig_is_filled(rig.store.tier[r->tier].base + r->value_off, r->value_size,
			 value_seed(i, hints.position)))
		FAILURE("key %llu: not the %u bytes of version %u", (unsigned long long)i,
			r->value_size, hints.position);
}

static void *reader_main(void *argument)
{
	struct thread *t = argument;
	struct shared_u64 *hold = &rig.held[t->idx];
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	uint64_t i, word, least, n = 0;

	for (; goes_on(t); t->n_done++) {
		i = rig_random(&t->seed) % N_KEYS;
		/* partner: the writer's release after the put */
		least = shared_u64_load_acquire(&stored[i]);
		word = rig_read(&rig.store.index.lookup, hold, bytes, rig_key(i, bytes), &n);
		if (!word) {
			if (least)
				FAILURE("key %llu: a miss, and nobody removed it",
					(unsigned long long)i);
			continue;
		}
		check_view(t, i, abi_word_cell(word), least);
		/* And still, after moves and replacements. */
		if (t->n_done % 8 == 0) {
			sched_yield();
			check_view(t, i, abi_word_cell(word), least);
		}
		rig_let_go(hold);
	}
	return NULL;
}

static struct thread thread[2 + N_READERS];
static unsigned n_started;

static void join(void)
{
	shared_u32_store(&is_over, 1);
	while (n_started)
		pthread_join(thread[--n_started].thread, NULL);
}

static int teardown_threads(void **state)
{
	(void)state;
	join();
	return close_all();
}

static void test_all_at_once(void **state)
{
	const struct timespec seconds = {.tv_sec = SECONDS};
	uint64_t n_moves = 0;
	unsigned k;

	(void)state;
	/* Either tier has room for all, so that nothing has to leave. */
	rig_init(&rig, 16 * MIB, 2 * MIB);
	rig_add_cxl(&rig, 16 * MIB);
	rig.options.tiering = (struct store_tiering){
		.demote_at = 100, .demote_to = 100, .promote_after = 1};
	rig_open(&rig, false);
	for (k = 0; k < 2 + N_READERS; k++) {
		thread[k].idx = k;
		thread[k].seed = k + 1;
		assert_int_equal(pthread_create(&thread[k].thread, NULL,
					 k == 0		? mover_main
						 : k == 1 ? writer_main
							  : reader_main,
					 &thread[k]),
			0);
		n_started++;
	}
	nanosleep(&seconds, NULL);
	join();
	for (k = 0; k < 2 + N_READERS; k++) {
		if (thread[k].failure[0])
			fail_msg("thread %u: %s", k, thread[k].failure);
		assert_int_equal(
			shared_u64_load(&thread[k].w.counter[ABI_COUNTER_EVICTIONS]), 0);
	}
	n_moves = shared_u64_load(&thread[0].w.counter[ABI_COUNTER_DEMOTIONS]) +
		shared_u64_load(&thread[0].w.counter[ABI_COUNTER_PROMOTIONS]);
	print_message("seeds 1 to %u: %llu moves, %llu lost, %llu writes, %llu reads\n",
		2 + N_READERS, (unsigned long long)n_moves,
		(unsigned long long)shared_u64_load(
			&thread[0].w.counter[ABI_COUNTER_MOVES_LOST]),
		(unsigned long long)thread[1].n_done,
		(unsigned long long)(thread[2].n_done + thread[3].n_done));
	assert_true(n_moves > 200 && thread[1].n_done > 200 && thread[2].n_done > 200);
	rig_drain(&rig);
	rig_check(&rig);
	assert_int_equal(rig.store.limbo.n, 0);
	assert_int_equal(rig.store.pinned_size, 0);
	assert_null(rig.store.moves);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_undisturbed, teardown),
		cmocka_unit_test_teardown(test_deleted, teardown),
		cmocka_unit_test_teardown(test_replaced, teardown),
		cmocka_unit_test_teardown(test_touched, teardown),
		cmocka_unit_test_teardown(test_pinned, teardown),
		cmocka_unit_test_teardown(test_pinned_and_unpinned, teardown),
		cmocka_unit_test_teardown(test_expired, teardown),
		cmocka_unit_test_teardown(test_sleeps_while_all_is_kept, teardown),
		cmocka_unit_test_teardown(test_all_at_once, teardown_threads),
	};

	return RIG_RUN(tests);
}
