/* SPDX-License-Identifier: Apache-2.0 */
/* flight-order.c: who may join a flight, and who may begin one. */
#include "tests/shmcache/remote/flying.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct flying f;

/* --- behind a delete -------------------------------------------------------------------------- */

enum stage { LOCATING, FETCHING, LANDED, HELD, N_STAGES };

/* A request whose flight got so far. */
static unsigned begin(unsigned key, enum stage stage)
{
	struct ticket *t = flying_ticket(&f, key, ABI_WRITE_BACK_ALL_FOUND);
	unsigned n;

	/* Of a batch that is not whole, so that it is held when it is here. */
	t->batch = 100 + key;
	t->n_batch = 2;
	n = flying_take(&f, t);
	flying_pass(&f, 0);
	if (stage >= FETCHING)
		flying_located(&f, key, 1, 1, true);
	if (stage >= LANDED)
		assert_true(flying_land(&f, (unsigned)flying_out(&f, key), 3000));
	if (stage == HELD)
		flying_finish(&f, (unsigned)flying_out(&f, key), REMOTE_OK);
	assert_false(flying_is_answered(&f, n));
	return n;
}

/*
 * What was asked for before a delete is gone with it; who asks behind it begins anew, and gets what
 * others have now.
 */
static void who_asks_behind_a_delete_begins_anew(void **state)
{
	unsigned before, behind;
	uint64_t version;

	(void)state;
	for (unsigned key = 0; key < N_STAGES; key++) {
		before = begin(key, key);
		flying_delete(&f, key);
		behind = flying_ask(&f, key, ABI_WRITE_BACK_ALWAYS);
		flying_expect_miss(&f, before, ABI_FETCH_CANCELLED);
		assert_false(flying_is_answered(&f, behind));
		if (key == LOCATING)
			flying_located(&f, key, 0, 0, true); /* of the first, who is gone */
		flying_bring(&f, key, 4000);
		flying_expect_here(&f, behind);
		assert_int_equal(flying_stored(&f, key, &version), 2);
	}
}

/* Nor does he wait for a kind that takes its time to let go of the old one. */
static void who_asks_behind_a_delete_waits_for_nobody(void **state)
{
	unsigned before = begin(1, LANDED), behind, old;

	(void)state;
	f.is_slow_to_cancel = true;
	flying_delete(&f, 1);
	behind = flying_ask(&f, 1, ABI_WRITE_BACK_ALWAYS);
	flying_bring(&f, 1, 4000);
	flying_expect_here(&f, behind);
	assert_int_equal(f.n_fetches, 1);
	old = 0;
	assert_true(f.fetch[old].is_cancelled);
	flying_finish(&f, old, REMOTE_CANCELLED);
	flying_expect_here(&f, before);
	assert_int_equal(flights_n(f.flights), 0);
}

/*
 * The old one asks nobody else, however it comes back and for whatever reason it was called off
 * first: the new one may be at just that holder.
 */
static void who_was_left_behind_asks_nobody_else(void **state)
{
	static const enum remote_result results[] = {
		REMOTE_OK, REMOTE_MISS, REMOTE_UNREACHABLE, REMOTE_TIMEOUT, REMOTE_CANCELLED};
	const unsigned n_results = sizeof(results) / sizeof(*results);
	unsigned before, behind;

	(void)state;
	f.is_slow_to_cancel = true;
	for (unsigned key = 0; key < 2 * n_results; key++) {
		bool was_slow = key >= n_results;

		before = flying_ask(&f, key, ABI_WRITE_BACK_ALWAYS);
		flying_located(&f, key, 2 * key, 2, true);
		assert_true(flying_land(&f, 0, 3000));
		if (was_slow) {
			/* No byte in half of its time, and there is another. */
			flying_pass(&f, 510);
			assert_true(f.fetch[0].is_cancelled);
		}
		flying_delete(&f, key);
		behind = flying_ask(&f, key, ABI_WRITE_BACK_ALWAYS);
		assert_true(f.fetch[0].is_cancelled);
		flying_located(&f, key, 2 * key + 1, 1, true);
		assert_int_equal(f.n_fetches, 2);
		flying_finish(&f, 0, results[key % n_results]);
		assert_int_equal(f.n_fetches, 1);
		flying_expect_miss(&f, before, ABI_FETCH_CANCELLED);
		assert_true(flying_land(&f, 0, 4000));
		flying_finish(&f, 0, REMOTE_OK);
		flying_expect_here(&f, behind);
	}
	assert_int_equal(flights_n(f.flights), 0);
}

/* That what it may bring is not wanted any more says nothing of a holder. */
static void a_change_here_is_no_answer_of_the_holder(void **state)
{
	unsigned key, n;

	(void)state;
	for (key = 2; key < 5; key++) {
		(void)flying_ask(&f, key, ABI_WRITE_BACK_ALWAYS);
		flying_located(&f, key, 9, 1, true);
		flying_finish(&f, 0, REMOTE_UNREACHABLE);
	}
	/* It is left alone; but one may look. */
	flying_pass(&f, 100);
	(void)flying_ask(&f, 1, ABI_WRITE_BACK_ALWAYS);
	flying_located(&f, 1, 9, 1, true);
	assert_int_equal(f.n_fetches, 1);
	flying_delete(&f, 1);
	for (key = 10; key < 14; key++) {
		n = flying_ask(&f, key == 10 ? 1 : key, ABI_WRITE_BACK_ALWAYS);
		flying_located(&f, key == 10 ? 1 : key, 9, 1, true);
		if (!f.n_fetches)
			flying_expect_miss(&f, n, ABI_FETCH_UNREACHABLE);
	}
	assert_int_equal(f.n_fetches, 1);
}

/* --- behind what nobody had ------------------------------------------------------------------- */

static void nobody_is_remembered_as_it_is_configured(void **state)
{
	unsigned n;

	(void)state;
	f.config.remote.absent_for_ns = UINT64_C(60000000000);
	n = flying_ask(&f, 1, ABI_WRITE_BACK_ALWAYS);
	flying_located(&f, 1, 0, 0, true);
	flying_expect_miss(&f, n, ABI_FETCH_NOBODY);
	n = flying_ask(&f, 1, ABI_WRITE_BACK_ALWAYS);
	flying_expect_miss(&f, n, ABI_FETCH_NOBODY);
	f.config.remote.absent_for_ns = 0;
	n = flying_ask(&f, 1, ABI_WRITE_BACK_ALWAYS);
	assert_false(flying_is_answered(&f, n));
	flying_located(&f, 1, 0, 0, true);
	flying_expect_miss(&f, n, ABI_FETCH_NOBODY);
}

/* --- shares ----------------------------------------------------------------------------------- */

/* A session asks for @n keys, the first of which is @from: for how many there is no flight. */
static unsigned rush(uint64_t session, unsigned from, unsigned n)
{
	unsigned first = f.n_asked, n_busy = 0;

	for (unsigned i = 0; i < n; i++) {
		struct ticket *t = flying_ticket(&f, from + i, ABI_WRITE_BACK_ALWAYS);

		t->session = t->lane_id = session;
		(void)flying_take(&f, t);
	}
	for (unsigned i = first; i < f.n_asked; i++) {
		if (!flying_is_answered(&f, i))
			continue;
		flying_expect_miss(&f, i, ABI_FETCH_BUSY);
		n_busy++;
	}
	return n_busy;
}

static void one_session_leaves_flights_to_others(void **state)
{
	struct ticket *left;

	(void)state;
	assert_int_equal(rush(1, 0, FLIGHTS_MAX), FLIGHTS_MAX / 2);
	assert_int_equal(flights_n(f.flights), FLIGHTS_MAX / 2);
	assert_int_equal(rush(2, FLIGHTS_MAX, FLIGHTS_MAX / 4), 0);
	assert_int_equal(rush(3, 2 * FLIGHTS_MAX, 64), 0);
	assert_int_equal(rush(1, 3 * FLIGHTS_MAX, 64), 64);
	/* Who joins takes none; and of a session that left others have its share. */
	assert_int_equal(rush(1, FLIGHTS_MAX, 64), 0);
	left = flying_ticket(&f, 0, 0);
	left->kind = TICKET_LEFT;
	(void)flying_take(&f, left);
	assert_int_equal(flights_n(f.flights), FLIGHTS_MAX / 4 + 64);
	assert_int_equal(rush(1, 3 * FLIGHTS_MAX, 64), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FLYING_TEST(who_asks_behind_a_delete_begins_anew),
		FLYING_TEST(who_asks_behind_a_delete_waits_for_nobody),
		FLYING_TEST(who_was_left_behind_asks_nobody_else),
		FLYING_TEST(a_change_here_is_no_answer_of_the_holder),
		FLYING_TEST(nobody_is_remembered_as_it_is_configured),
		FLYING_TEST(one_session_leaves_flights_to_others),
	};

	return RIG_RUN(tests);
}
