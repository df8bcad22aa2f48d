/* SPDX-License-Identifier: Apache-2.0 */
/* flight.c: what becomes of one request, and of several for one key, whatever the holders do. */
#include "tests/shmcache/remote/flying.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>


#include <cmocka.h>

static struct flying f;

#define ALWAYS ABI_WRITE_BACK_ALWAYS
#define OFF ABI_WRITE_BACK_OFF

static void what_comes_is_cached_and_found(void **state)
{
	uint64_t version;
	unsigned n;

	(void)state;
	n = flying_ask(&f, 1, -1);
	assert_false(flying_is_answered(&f, n));
	flying_bring(&f, 1, 5000);
	flying_expect_here(&f, n);
	assert_int_equal(flying_stored(&f, 1, &version), 2);
	/* From here on nobody is asked. */
	flying_expect_here(&f, flying_ask(&f, 1, -1));
	assert_int_equal(f.n_located, 1);
}

static void many_who_ask_for_one_key_cost_one_transfer(void **state)
{
	unsigned n[64];

	(void)state;
	for (unsigned i = 0; i < 64; i++) {
		n[i] = flying_ask(&f, 1, i % 2 ? ALWAYS : OFF);
		if (i == 20)
			flying_located(&f, 1, 1, 1, true);
		if (i == 40)
			assert_true(flying_land(&f, 0, 9999));
	}
	flying_finish(&f, 0, REMOTE_OK);
	for (unsigned i = 0; i < 64; i++)
		flying_expect_here(&f, n[i]);
	assert_int_equal(f.n_fetched, 1);
	assert_int_equal(f.n_located, 1);
}

static void what_is_off_is_delivered_to_each(void **state)
{
	uint64_t version;
	unsigned n[40];

	(void)state;
	for (unsigned i = 0; i < 40; i++)
		n[i] = flying_ask(&f, 1, OFF);
	flying_bring(&f, 1, 5000);
	assert_int_equal(f.n_fetched, 1);
	for (unsigned i = 0; i < 40; i++)
		flying_expect_delivered(&f, n[i]);
	assert_int_equal(flying_stored(&f, 1, &version), 0);
}

static void a_prefetch_that_is_not_kept_costs_no_transfer(void **state)
{
	struct ticket *t = flying_ticket(&f, 1, OFF);
	unsigned n;

	(void)state;
	t->is_prefetch = true;
	flying_expect_miss(&f, flying_take(&f, t), ABI_FETCH_DECLINED);
	flying_pass(&f, 0);
	assert_int_equal(f.n_located, 0);
	t = flying_ticket(&f, 1, ALWAYS);
	t->is_prefetch = true;
	n = flying_take(&f, t);
	flying_pass(&f, 0);
	flying_bring(&f, 1, 100);
	flying_expect_here(&f, n);
}

static void holders_are_asked_one_after_another(void **state)
{
	static const enum remote_result bad[] = {REMOTE_MISS, REMOTE_UNREACHABLE, REMOTE_TIMEOUT,
		REMOTE_CORRUPT, REMOTE_REFUSED, REMOTE_NOSPACE};
	unsigned n = flying_ask(&f, 1, ALWAYS);

	(void)state;
	flying_located(&f, 1, 10, 7, true);
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(f.fetch[0].holder, 10 + i);
		if (i > 2)
			assert_true(flying_land(&f, 0, 5000));
		flying_finish(&f, 0, bad[i]);
		assert_false(flying_is_answered(&f, n));
	}
	assert_true(flying_land(&f, 0, 7000));
	flying_finish(&f, 0, REMOTE_OK);
	flying_expect_here(&f, n);
}

static void ask_and_fail(unsigned key, enum remote_result result, enum abi_fetch_miss why)
{
	unsigned n = flying_ask(&f, key, ALWAYS);

	flying_located(&f, key, 20 + key, 1, true);
	flying_finish(&f, 0, result);
	flying_expect_miss(&f, n, why);
}

static void a_miss_says_why(void **state)
{
	unsigned n;

	(void)state;
	ask_and_fail(1, REMOTE_MISS, ABI_FETCH_NOBODY);
	ask_and_fail(2, REMOTE_UNREACHABLE, ABI_FETCH_UNREACHABLE);
	ask_and_fail(3, REMOTE_TIMEOUT, ABI_FETCH_TIMEOUT);
	ask_and_fail(4, REMOTE_CORRUPT, ABI_FETCH_CORRUPT);
	ask_and_fail(5, REMOTE_REFUSED, ABI_FETCH_UNREACHABLE);
	ask_and_fail(6, REMOTE_NOSPACE, ABI_FETCH_BUSY);
	n = flying_ask(&f, 7, ALWAYS);
	flying_located(&f, 7, 0, 0, true);
	flying_expect_miss(&f, n, ABI_FETCH_NOBODY);
	n = flying_ask(&f, 8, ALWAYS);
	flying_located(&f, 8, 0, 0, false);
	flying_expect_miss(&f, n, ABI_FETCH_UNREACHABLE);
	/* A value that there will never be room for. */
	n = flying_ask(&f, 9, ALWAYS);
	flying_located(&f, 9, 50, 1, true);
	assert_false(flying_land(&f, 0, 100 * MIB));
	flying_expect_miss(&f, n, ABI_FETCH_NOSPACE);
}

static void what_nobody_has_is_known_for_a_while(void **state)
{
	unsigned n = flying_ask(&f, 1, ALWAYS);

	(void)state;
	flying_located(&f, 1, 0, 0, true);
	flying_expect_miss(&f, n, ABI_FETCH_NOBODY);
	flying_expect_miss(&f, flying_ask(&f, 1, ALWAYS), ABI_FETCH_NOBODY);
	assert_int_equal(f.n_located, 1);
	flying_pass(&f, 100);
	n = flying_ask(&f, 1, ALWAYS);
	assert_int_equal(f.n_located, 2);
	flying_located(&f, 1, 0, 0, true);
	flying_expect_miss(&f, n, ABI_FETCH_NOBODY);
	/* Where not all could be asked, nothing is known. */
	n = flying_ask(&f, 2, ALWAYS);
	flying_located(&f, 2, 0, 0, false);
	n = flying_ask(&f, 2, ALWAYS);
	assert_false(flying_is_answered(&f, n));
}

static void hear_of(unsigned key)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key k = flying_key(&f, key, bytes);
	XXH128_hash_t name = XXH3_128bits(k.data, k.size);

	f.ear->heard(f.ear, &name);
}

/* Nobody has it: is it asked for again right after? */
static bool is_asked_again(unsigned key)
{
	unsigned n_located = f.n_located;

	flying_ask(&f, key, ALWAYS);
	return f.n_located > n_located;
}

static void look_for_nothing(unsigned key)
{
	unsigned n = flying_ask(&f, key, ALWAYS);

	flying_located(&f, key, 0, 0, true);
	flying_expect_miss(&f, n, ABI_FETCH_NOBODY);
}

static void what_is_heard_of_is_not_nowhere(void **state)
{
	(void)state;
	look_for_nothing(1);
	look_for_nothing(2);
	look_for_nothing(3);
	assert_false(is_asked_again(1));
	hear_of(1);
	hear_of(4); /* of which nothing is known */
	assert_true(is_asked_again(1));
	assert_false(is_asked_again(2));
	/* Anybody may have anything. */
	f.ear->heard(f.ear, NULL);
	assert_true(is_asked_again(2));
	assert_true(is_asked_again(3));
	/* What is found out from here on is known again. */
	flying_pass(&f, 1);
	look_for_nothing(5);
	assert_false(is_asked_again(5));
}

/* That nobody has it was true when they were asked. */
static void what_is_heard_of_on_the_way_is_not_remembered(void **state)
{
	unsigned n[4], i;

	(void)state;
	for (i = 0; i < 4; i++)
		n[i] = flying_ask(&f, i, ALWAYS);
	hear_of(1);
	/* One that was here meanwhile, and may be with those who fetched it from here. */
	flying_put(&f, 2, 100);
	flying_delete(&f, 2);
	for (i = 0; i < 3; i++) {
		flying_located(&f, i, 0, 0, true);
		flying_expect_miss(&f, n[i], ABI_FETCH_NOBODY);
	}
	assert_false(is_asked_again(0));
	assert_true(is_asked_again(1));
	assert_true(is_asked_again(2));
	f.ear->heard(f.ear, NULL);
	flying_located(&f, 3, 0, 0, true);
	assert_true(is_asked_again(3));
}

static void who_waits_too_long_misses_alone(void **state)
{
	struct ticket *t = flying_ticket(&f, 1, ALWAYS);
	unsigned n, hasty;

	(void)state;
	n = flying_ask(&f, 1, ALWAYS);
	t->deadline_ms = f.loop.now_ms + 50;
	hasty = flying_take(&f, t);
	flying_located(&f, 1, 1, 1, true);
	assert_true(flying_land(&f, 0, 5000));
	flying_pass(&f, 49);
	assert_false(flying_is_answered(&f, hasty));
	flying_pass(&f, 1);
	flying_expect_miss(&f, hasty, ABI_FETCH_TIMEOUT);
	assert_false(flying_is_answered(&f, n));
	flying_finish(&f, 0, REMOTE_OK);
	flying_expect_here(&f, n);
}

static const struct remote_locate *question_of(unsigned key)
{
	unsigned i = 0;

	while (i < f.n_locates && f.locate[i].key != key)
		i++;
	assert_true(i < f.n_locates);
	return f.locate[i].locate;
}

/*
 * Located in one turn: in one question only with those who have about as much time for it, whoever
 * is between them.
 */
static void who_hurries_does_not_hurry_others(void **state)
{
	static const unsigned left_ms[] = {1000, 10, 500, 900, 2000, 4000};
	struct ticket *t;
	unsigned i;

	(void)state;
	for (i = 0; i < 6; i++) {
		t = flying_ticket(&f, i, ALWAYS);
		t->deadline_ms = f.loop.now_ms + left_ms[i];
		flying_take(&f, t);
	}
	flying_pass(&f, 0);
	for (i = 0; i < 6; i++)
		assert_true(question_of(i)->deadline_ms - f.loop.now_ms >= left_ms[i] / 4);
	assert_int_equal(question_of(1)->deadline_ms, f.loop.now_ms + 5);
	assert_ptr_equal(question_of(0), question_of(2));
	assert_ptr_equal(question_of(0), question_of(3));
	assert_int_equal(question_of(0)->deadline_ms, f.loop.now_ms + 250);
	assert_ptr_equal(question_of(4), question_of(5));
	assert_int_equal(question_of(4)->deadline_ms, f.loop.now_ms + 1000);
}

static void when_nobody_waits_only_what_is_to_be_kept_goes_on(void **state)
{
	uint64_t version;

	(void)state;
	/* Not located, not begun, or not to be kept: called off. */
	flying_ask(&f, 1, ALWAYS);
	flying_ask(&f, 2, ALWAYS);
	flying_located(&f, 2, 1, 1, true);
	flying_ask(&f, 3, OFF);
	flying_located(&f, 3, 1, 1, true);
	assert_true(flying_land(&f, (unsigned)flying_out(&f, 3), 5000));
	flying_ask(&f, 4, ALWAYS);
	flying_located(&f, 4, 1, 1, true);
	assert_true(flying_land(&f, (unsigned)flying_out(&f, 4), 5000));
	flying_pass(&f, 1000);
	for (unsigned i = 0; i < 4; i++)
		flying_expect_miss(&f, i, ABI_FETCH_TIMEOUT);
	assert_int_equal(flights_n(f.flights), 1);
	assert_int_equal(f.n_fetches, 1);
	flying_finish(&f, (unsigned)flying_out(&f, 4), REMOTE_OK);
	assert_int_equal(flying_stored(&f, 4, &version), 2);
	assert_int_equal(flights_n(f.flights), 0);
	/* The answer to the first question comes when nobody cares. */
	flying_located(&f, 1, 1, 1, true);
	assert_int_equal(f.n_fetches, 0);
}

static void a_holder_that_sends_nothing_is_left_for_the_next(void **state)
{
	unsigned n = flying_ask(&f, 1, ALWAYS);

	(void)state;
	flying_located(&f, 1, 10, 2, true);
	flying_pass(&f, 400);
	assert_int_equal(f.fetch[0].holder, 10);
	flying_pass(&f, 200); /* its half is over */
	assert_int_equal(f.fetch[0].holder, 11);
	assert_true(flying_land(&f, 0, 100));
	flying_finish(&f, 0, REMOTE_OK);
	flying_expect_here(&f, n);
}

static void bytes_that_come_are_waited_for(void **state)
{
	unsigned n = flying_ask(&f, 1, ALWAYS);

	(void)state;
	flying_located(&f, 1, 10, 2, true);
	assert_true(flying_land(&f, 0, 100000));
	for (unsigned i = 1; i < 9; i++) {
		f.fetch[0].fetch->n_bytes = i * 1000;
		flying_pass(&f, 100);
	}
	assert_int_equal(f.fetch[0].holder, 10);
	flying_finish(&f, 0, REMOTE_OK);
	flying_expect_here(&f, n);
}

static void who_fails_is_not_asked_for_a_while(void **state)
{
	struct remote_health health;
	unsigned n, key;

	(void)state;
	for (key = 0; key < BREAKER_FAILURES; key++) {
		n = flying_ask(&f, key, ALWAYS);
		flying_located(&f, key, 3, 1, true);
		flying_finish(&f, 0, REMOTE_UNREACHABLE);
		flying_expect_miss(&f, n, ABI_FETCH_UNREACHABLE);
	}
	assert_int_equal(flights_health(f.flights, &health, 1), 1);
	assert_int_equal(health.breaker, BREAKER_OPEN);
	assert_int_equal(flights_health(f.flights, &health, 0), 0);
	n = flying_ask(&f, 9, ALWAYS);
	flying_located(&f, 9, 3, 1, true);
	flying_expect_miss(&f, n, ABI_FETCH_UNREACHABLE);
	assert_int_equal(f.n_fetched, BREAKER_FAILURES);
	/* Another one is asked at once. */
	n = flying_ask(&f, 10, ALWAYS);
	flying_located(&f, 10, 3, 2, true);
	assert_int_equal(f.fetch[0].holder, 4);
	flying_pass(&f, BREAKER_PAUSE_MIN_MS);
	n = flying_ask(&f, 11, ALWAYS);
	flying_located(&f, 11, 3, 1, true);
	assert_int_equal(f.fetch[1].holder, 3);
	flying_finish(&f, 1, REMOTE_MISS);
	assert_int_equal(flights_health(f.flights, &health, 1), 1);
	assert_int_equal(health.breaker, BREAKER_CLOSED);
}

static void what_is_done_here_is_newer(void **state)
{
	static const bool lands_before[] = {true, false};
	uint64_t version;
	unsigned n, m;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		unsigned deleted = 2 * i, put = 2 * i + 1;

		n = flying_ask(&f, deleted, ALWAYS);
		m = flying_ask(&f, put, OFF);
		flying_located(&f, deleted, 1, 1, true);
		flying_located(&f, put, 1, 1, true);
		if (lands_before[i]) {
			assert_true(flying_land(&f, (unsigned)flying_out(&f, deleted), 500));
			assert_true(flying_land(&f, (unsigned)flying_out(&f, put), 500));
		}
		flying_delete(&f, deleted);
		flying_put(&f, put, 800);
		if (lands_before[i]) {
			flying_finish(&f, (unsigned)flying_out(&f, deleted), REMOTE_OK);
			flying_finish(&f, (unsigned)flying_out(&f, put), REMOTE_OK);
		} else {
			assert_false(flying_land(&f, (unsigned)flying_out(&f, deleted), 500));
			assert_false(flying_land(&f, (unsigned)flying_out(&f, put), 500));
		}
		flying_expect_miss(&f, n, ABI_FETCH_CANCELLED);
		flying_expect_here(&f, m);
		assert_int_equal(flying_stored(&f, deleted, &version), 0);
		assert_int_equal(flying_stored(&f, put, &version), 1);
	}
}

static void who_left_is_answered_and_nothing_else_changes(void **state)
{
	struct ticket *t = flying_ticket(&f, 1, ALWAYS), *left;
	unsigned n, other, gone;

	(void)state;
	t->session = 2;
	other = flying_take(&f, t);
	n = flying_ask(&f, 1, ALWAYS);
	gone = flying_ask(&f, 2, ALWAYS);
	left = flying_ticket(&f, 0, -1);
	left->kind = TICKET_LEFT;
	flying_take(&f, left);
	flying_expect_miss(&f, n, ABI_FETCH_CANCELLED);
	flying_expect_miss(&f, gone, ABI_FETCH_CANCELLED);
	assert_int_equal(flights_n(f.flights), 1);
	flying_bring(&f, 1, 100);
	flying_expect_here(&f, other);
}

/* Of a batch there came one, and the rest never will. */
static void a_batch_that_is_never_whole_goes_with_its_session(void **state)
{
	struct ticket *t = flying_ticket(&f, 1, ABI_WRITE_BACK_ALL_FOUND), *left;
	unsigned n;

	(void)state;
	t->batch = 5;
	t->n_batch = 2;
	n = flying_take(&f, t);
	flying_pass(&f, 1);
	flying_located(&f, 1, 0, 0, true);
	flying_expect_miss(&f, n, ABI_FETCH_NOBODY);
	assert_int_not_equal(timers_next(&f.loop.timers), UINT64_MAX);
	left = flying_ticket(&f, 0, -1);
	left->kind = TICKET_LEFT;
	flying_take(&f, left);
	assert_int_equal(timers_next(&f.loop.timers), UINT64_MAX);
}

static void a_delete_is_told_to_all(void **state)
{
	struct ticket *t = flying_ticket(&f, 1, -1);
	unsigned n;

	(void)state;
	f.n_told = 3;
	f.n_untold = 2;
	t->kind = TICKET_ERASE;
	t->status = ABI_STATUS_MISS; /* what the worker found: stays */
	n = flying_take(&f, t);
	assert_true(flying_is_answered(&f, n));
	assert_int_equal(t->status, ABI_STATUS_MISS);
	assert_int_equal(t->result[0], 3);
	assert_int_equal(t->result[1], 2);
	assert_int_equal(shared_u64_load(&f.rig.w.counter[ABI_COUNTER_ERASES_TOLD]), 3);
	assert_int_equal(shared_u64_load(&f.rig.w.counter[ABI_COUNTER_ERASES_UNTOLD]), 2);
}

static void no_more_transfers_than_allowed_are_out(void **state)
{
	(void)state;
	f.config.remote.fetches = 3;
	for (unsigned key = 0; key < 10; key++) {
		flying_ask(&f, key, ALWAYS);
		flying_located(&f, key, 1, 1, true);
	}
	for (unsigned done = 0; done < 10; done++) {
		assert_int_equal(f.n_fetches, done < 8 ? 3 : 10 - done);
		assert_true(flying_land(&f, 0, 100));
		flying_finish(&f, 0, REMOTE_OK);
	}
	for (unsigned n = 0; n < 10; n++)
		flying_expect_here(&f, n);
}

/* 16 MiB of memory, a quarter for this: two of 2 MiB have room, and the third comes after. */
static void no_more_bytes_than_allowed_are_out(void **state)
{
	(void)state;
	for (unsigned key = 0; key < 3; key++) {
		flying_ask(&f, key, ALWAYS);
		flying_located(&f, key, 1, 1, true);
	}
	assert_int_equal(f.n_fetches, 3);
	assert_true(flying_land(&f, (unsigned)flying_out(&f, 0), 2 * MIB));
	assert_true(flying_land(&f, (unsigned)flying_out(&f, 1), 2 * MIB - 100 * KIB));
	assert_false(flying_land(&f, (unsigned)flying_out(&f, 2), 2 * MIB));
	assert_int_equal(f.n_fetches, 2);
	flying_finish(&f, (unsigned)flying_out(&f, 0), REMOTE_OK);
	assert_int_equal(f.n_fetches, 2);
	assert_true(flying_land(&f, (unsigned)flying_out(&f, 2), 2 * MIB));
	flying_finish(&f, (unsigned)flying_out(&f, 2), REMOTE_OK);
	flying_finish(&f, (unsigned)flying_out(&f, 1), REMOTE_OK);
	for (unsigned n = 0; n < 3; n++)
		flying_expect_here(&f, n);
}

static void an_end_answers_all_and_waits_for_the_kind(void **state)
{
	(void)state;
	f.is_slow_to_cancel = true;
	for (unsigned key = 0; key < 6; key++)
		flying_ask(&f, key, ALWAYS);
	for (unsigned key = 0; key < 4; key++)
		flying_located(&f, key, 1, 1, true);
	for (unsigned key = 0; key < 2; key++)
		assert_true(flying_land(&f, (unsigned)flying_out(&f, key), 100));
	f.is_slow_to_cancel = false;
	/* The rest is what flying_end() asks for. */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FLYING_TEST(what_comes_is_cached_and_found),
		FLYING_TEST(many_who_ask_for_one_key_cost_one_transfer),
		FLYING_TEST(what_is_off_is_delivered_to_each),
		FLYING_TEST(a_prefetch_that_is_not_kept_costs_no_transfer),
		FLYING_TEST(holders_are_asked_one_after_another),
		FLYING_TEST(a_miss_says_why),
		FLYING_TEST(what_nobody_has_is_known_for_a_while),
		FLYING_TEST(what_is_heard_of_is_not_nowhere),
		FLYING_TEST(what_is_heard_of_on_the_way_is_not_remembered),
		FLYING_TEST(who_waits_too_long_misses_alone),
		FLYING_TEST(who_hurries_does_not_hurry_others),
		FLYING_TEST(when_nobody_waits_only_what_is_to_be_kept_goes_on),
		FLYING_TEST(a_holder_that_sends_nothing_is_left_for_the_next),
		FLYING_TEST(bytes_that_come_are_waited_for),
		FLYING_TEST(who_fails_is_not_asked_for_a_while),
		FLYING_TEST(what_is_done_here_is_newer),
		FLYING_TEST(who_left_is_answered_and_nothing_else_changes),
		FLYING_TEST(a_batch_that_is_never_whole_goes_with_its_session),
		FLYING_TEST(a_delete_is_told_to_all),
		FLYING_TEST(no_more_transfers_than_allowed_are_out),
		FLYING_TEST(no_more_bytes_than_allowed_are_out),
		FLYING_TEST(an_end_answers_all_and_waits_for_the_kind),
	};

	return RIG_RUN(tests);
}
