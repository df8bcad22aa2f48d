/* SPDX-License-Identifier: Apache-2.0 */
/* flight-policy.c: what of that which comes is cached, by policy. */
#include "tests/shmcache/remote/flying.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>


#include <cmocka.h>

static struct flying f;

#define ALL_FOUND ABI_WRITE_BACK_ALL_FOUND
#define PREFIX ABI_WRITE_BACK_CONTIGUOUS_PREFIX

static bool is_cached(unsigned key)
{
	uint64_t version;

	return flying_stored(&f, key, &version) == 2;
}

/* Keys 0 to @n - 1 as batch @number, of which none was a hit. */
static void ask_batch(unsigned n, uint64_t number, int policy)
{
	for (unsigned key = 0; key < n; key++) {
		struct ticket *t = flying_ticket(&f, key, policy);

		t->batch = number;
		t->position = key;
		t->n_batch = n;
		flying_take(&f, t);
	}
	flying_pass(&f, 0);
}

static void second_hit_keeps_what_comes_again(void **state)
{
	unsigned n;

	(void)state;
	n = flying_ask(&f, 1, ABI_WRITE_BACK_SECOND_HIT);
	flying_bring(&f, 1, 100);
	flying_expect_delivered(&f, n);
	assert_false(is_cached(1));
	n = flying_ask(&f, 1, ABI_WRITE_BACK_SECOND_HIT);
	flying_bring(&f, 1, 100);
	flying_expect_here(&f, n);
	assert_true(is_cached(1));
	/* And again, although it is gone here meanwhile. */
	flying_delete(&f, 1);
	n = flying_ask(&f, 1, ABI_WRITE_BACK_SECOND_HIT);
	flying_bring(&f, 1, 100);
	flying_expect_here(&f, n);
	assert_true(is_cached(1));
}

static void free_space_evicts_nothing(void **state)
{
	struct ticket *t;
	unsigned n;

	(void)state;
	n = flying_ask(&f, 1, ABI_WRITE_BACK_FREE_SPACE);
	flying_bring(&f, 1, MIB);
	flying_expect_here(&f, n);
	for (unsigned key = 10; key < 25; key++)
		flying_put(&f, key, MIB);
	rig_drain(&f.rig);
	/* A prefetch has no use for it then; who wants to read it gets it. */
	t = flying_ticket(&f, 2, ABI_WRITE_BACK_FREE_SPACE);
	t->is_prefetch = true;
	n = flying_take(&f, t);
	flying_pass(&f, 0);
	flying_located(&f, 2, 1, 1, true);
	assert_false(flying_land(&f, 0, MIB));
	flying_expect_miss(&f, n, ABI_FETCH_NOSPACE);
	assert_int_equal(shared_u64_load(&f.rig.w.counter[ABI_COUNTER_EVICTIONS]), 0);
	n = flying_ask(&f, 3, ABI_WRITE_BACK_FREE_SPACE);
	flying_bring(&f, 3, MIB);
	flying_expect_delivered(&f, n);
	assert_false(is_cached(3));
}

static void all_found_keeps_all(void **state)
{
	(void)state;
	ask_batch(5, 1, ALL_FOUND);
	for (unsigned key = 4; key > 0; key--)
		flying_bring(&f, key, 1000);
	for (unsigned n = 0; n < 5; n++)
		assert_false(flying_is_answered(&f, n));
	flying_bring(&f, 0, 1000);
	for (unsigned n = 0; n < 5; n++) {
		flying_expect_here(&f, n);
		assert_true(is_cached(n));
	}
}

static void all_found_keeps_none_where_one_is_missing(void **state)
{
	(void)state;
	ask_batch(5, 1, ALL_FOUND);
	flying_bring(&f, 0, 1000);
	flying_located(&f, 2, 0, 0, true);
	flying_expect_miss(&f, 2, ABI_FETCH_NOBODY);
	flying_pass(&f, 0);
	flying_expect_delivered(&f, 0);
	flying_bring(&f, 1, 1000);
	flying_bring(&f, 3, 1000);
	flying_bring(&f, 4, 1000);
	for (unsigned n = 1; n < 5; n++) {
		if (n != 2)
			flying_expect_delivered(&f, n);
		assert_false(is_cached(n));
	}
}

static void prefix_keeps_what_is_before_the_first_miss(void **state)
{
	(void)state;
	ask_batch(6, 1, PREFIX);
	flying_bring(&f, 4, 1000);
	flying_bring(&f, 1, 1000);
	assert_false(flying_is_answered(&f, 1));
	flying_bring(&f, 0, 1000);
	assert_true(is_cached(0) && is_cached(1));
	flying_located(&f, 3, 0, 0, true);
	flying_pass(&f, 0);
	flying_expect_miss(&f, 3, ABI_FETCH_NOBODY);
	flying_bring(&f, 2, 1000);
	flying_bring(&f, 5, 1000);
	for (unsigned n = 0; n < 3; n++) {
		flying_expect_here(&f, n);
		assert_true(is_cached(n));
	}
	flying_expect_delivered(&f, 4);
	flying_expect_delivered(&f, 5);
	assert_false(is_cached(4) || is_cached(5));
}

/* Some were put here between the client's look and its request. */
static void what_is_here_was_found(void **state)
{
	(void)state;
	flying_put(&f, 1, 500);
	ask_batch(3, 1, ALL_FOUND);
	flying_expect_here(&f, 1);
	flying_bring(&f, 0, 1000);
	assert_false(flying_is_answered(&f, 0));
	flying_bring(&f, 2, 1000);
	flying_expect_here(&f, 0);
	flying_expect_here(&f, 2);
	assert_true(is_cached(0) && is_cached(2));
}

static void who_waits_for_his_batch_gets_it_in_time(void **state)
{
	(void)state;
	ask_batch(3, 1, ALL_FOUND);
	flying_bring(&f, 0, 1000);
	flying_located(&f, 1, 1, 1, true);
	flying_pass(&f, 1000);
	flying_expect_delivered(&f, 0);
	flying_expect_miss(&f, 1, ABI_FETCH_TIMEOUT);
	flying_expect_miss(&f, 2, ABI_FETCH_TIMEOUT);
	assert_false(is_cached(0));
}

static void who_wants_it_kept_decides_for_all(void **state)
{
	unsigned n;

	(void)state;
	ask_batch(2, 1, ALL_FOUND);
	n = flying_ask(&f, 0, ABI_WRITE_BACK_ALWAYS);
	flying_bring(&f, 0, 1000);
	flying_expect_here(&f, 0);
	flying_expect_here(&f, n);
	/* And for the batch it was found. */
	flying_bring(&f, 1, 1000);
	flying_expect_here(&f, 1);
	assert_true(is_cached(0) && is_cached(1));
}

/* 6 of 1 MiB, where 4 MiB may be on their way: the batch can never be all there. */
static void a_batch_without_room_does_not_wait_for_itself(void **state)
{
	unsigned n_answered = 0;

	(void)state;
	ask_batch(6, 1, ALL_FOUND);
	for (unsigned key = 0; key < 6; key++)
		flying_located(&f, key, 1, 1, true);
	for (unsigned turn = 0; turn < 40 && flights_n(f.flights); turn++) {
		for (unsigned key = 0; key < 6; key++) {
			int i = flying_out(&f, key);

			if (i >= 0 && flying_land(&f, (unsigned)i, MIB))
				flying_finish(&f, (unsigned)flying_out(&f, key), REMOTE_OK);
		}
		flying_pass(&f, 0);
	}
	for (unsigned n = 0; n < 6; n++)
		n_answered += flying_is_answered(&f, n);
	assert_int_equal(n_answered, 6);
	for (unsigned n = 0; n < 6; n++)
		flying_expect_delivered(&f, n);
	/* Nothing of that took until somebody's deadline. */
	assert_int_equal(f.loop.now_ms, 1000);
}

/* The last one queues when nothing is on its way any more: it begins all the same. */
static void the_last_one_without_room_goes_on(void **state)
{
	(void)state;
	ask_batch(2, 1, ALL_FOUND);
	for (unsigned key = 0; key < 2; key++)
		flying_located(&f, key, 1, 1, true);
	assert_true(flying_land(&f, (unsigned)flying_out(&f, 0), 3 * MIB));
	flying_finish(&f, (unsigned)flying_out(&f, 0), REMOTE_OK);
	assert_false(flying_land(&f, (unsigned)flying_out(&f, 1), 3 * MIB));
	flying_expect_delivered(&f, 0);
	assert_true(flying_land(&f, (unsigned)flying_out(&f, 1), 3 * MIB));
	flying_finish(&f, 0, REMOTE_OK);
	flying_expect_delivered(&f, 1);
	assert_int_equal(f.loop.now_ms, 1000);
}

/* Which batch is given up for it: the oldest that holds something, and no other. */
static void room_is_made_by_what_is_held(void **state)
{
	struct ticket *t = flying_ticket(&f, 9, ALL_FOUND);

	(void)state;
	t->batch = 7;
	t->n_batch = 1;
	t->deadline_ms = 1900;
	(void)flying_take(&f, t);
	ask_batch(2, 1, ALL_FOUND);
	flying_located(&f, 0, 1, 1, true);
	assert_true(flying_land(&f, (unsigned)flying_out(&f, 0), 3 * MIB));
	flying_finish(&f, (unsigned)flying_out(&f, 0), REMOTE_OK);
	assert_false(flying_is_answered(&f, 1));
	flying_located(&f, 1, 1, 1, true);
	flying_expect_delivered(&f, 1);
	assert_true(flying_land(&f, (unsigned)flying_out(&f, 1), 3 * MIB));
	flying_finish(&f, 0, REMOTE_OK);
	flying_expect_delivered(&f, 2);
	flying_bring(&f, 9, 1000);
	flying_expect_here(&f, 0);
	assert_true(is_cached(9));
}

/* One value that two batches wait for is given up by both. */
static void room_is_made_by_two_batches(void **state)
{
	(void)state;
	ask_batch(2, 1, ALL_FOUND);
	ask_batch(2, 2, ALL_FOUND);
	flying_located(&f, 0, 1, 1, true);
	assert_true(flying_land(&f, (unsigned)flying_out(&f, 0), 3 * MIB));
	flying_finish(&f, (unsigned)flying_out(&f, 0), REMOTE_OK);
	flying_located(&f, 1, 1, 1, true);
	flying_expect_delivered(&f, 0);
	flying_expect_delivered(&f, 2);
	assert_true(flying_out(&f, 1) >= 0);
	assert_int_equal(f.loop.now_ms, 1000);
}

static void the_configured_policy_is_the_default(void **state)
{
	unsigned n;

	(void)state;
	f.config.remote.write_back = CONFIG_WRITE_BACK_OFF;
	n = flying_ask(&f, 1, -1);
	flying_bring(&f, 1, 1000);
	flying_expect_delivered(&f, n);
	n = flying_ask(&f, 1, ABI_WRITE_BACK_ALWAYS);
	flying_bring(&f, 1, 1000);
	flying_expect_here(&f, n);
	for (unsigned i = 0; i < ABI_N_WRITE_BACKS; i++)
		assert_string_equal(abi_write_back_name(i), config_write_back_name(i));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FLYING_TEST(second_hit_keeps_what_comes_again),
		FLYING_TEST(free_space_evicts_nothing),
		FLYING_TEST(all_found_keeps_all),
		FLYING_TEST(all_found_keeps_none_where_one_is_missing),
		FLYING_TEST(prefix_keeps_what_is_before_the_first_miss),
		FLYING_TEST(what_is_here_was_found),
		FLYING_TEST(who_waits_for_his_batch_gets_it_in_time),
		FLYING_TEST(who_wants_it_kept_decides_for_all),
		FLYING_TEST(a_batch_without_room_does_not_wait_for_itself),
		FLYING_TEST(the_last_one_without_room_goes_on),
		FLYING_TEST(room_is_made_by_what_is_held),
		FLYING_TEST(room_is_made_by_two_batches),
		FLYING_TEST(the_configured_policy_is_the_default),
	};

	return RIG_RUN(tests);
}
