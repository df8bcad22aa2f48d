/* SPDX-License-Identifier: Apache-2.0 */
/* breaker.c: who fails is left alone, looked at now and then, and taken back. */
#include "shmcache/remote/breaker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static uint32_t look; /* as it was told last */

static void only_failures_in_a_row_open_it(void **state)
{
	struct breaker b = {0};

	(void)state;
	for (int i = 0; i < 20; i++) {
		for (int n = 0; n < BREAKER_FAILURES - 1; n++) {
			assert_true(breaker_ask(&b, 5, &look));
			assert_false(breaker_fail(&b, 5, look));
		}
		breaker_succeed(&b);
	}
	assert_int_equal(b.n_opened, 0);
	for (int n = 0; n < BREAKER_FAILURES; n++)
		assert_int_equal(breaker_fail(&b, 5, look), n == BREAKER_FAILURES - 1);
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_false(breaker_ask(&b, 5, &look));
	assert_false(breaker_ask(&b, 5 + BREAKER_PAUSE_MIN_MS - 1, &look));
}

static void open_it(struct breaker *b, uint64_t now_ms)
{
	while (!breaker_fail(b, now_ms, look))
		;
}

static void one_looks_for_all(void **state)
{
	uint64_t now_ms = 1000;
	struct breaker b = {0};

	(void)state;
	open_it(&b, now_ms);
	now_ms += BREAKER_PAUSE_MIN_MS;
	assert_true(breaker_is_passable(&b, now_ms));
	assert_int_equal(b.state, BREAKER_OPEN); /* looking is not asking */
	assert_true(breaker_ask(&b, now_ms, &look));
	assert_false(breaker_ask(&b, now_ms + 99999, &look));
	breaker_succeed(&b);
	assert_true(breaker_ask(&b, now_ms, &look));
	assert_true(breaker_ask(&b, now_ms, &look));
	assert_int_equal(b.state, BREAKER_CLOSED);
	assert_false(breaker_fail(&b, now_ms, look)); /* and counts from the beginning */
}

static void pauses_double_up_to_a_limit(void **state)
{
	uint64_t now_ms = 1000, pause_ms = BREAKER_PAUSE_MIN_MS;
	struct breaker b = {0};

	(void)state;
	open_it(&b, now_ms);
	for (int i = 0; i < 12; i++) {
		assert_false(breaker_ask(&b, now_ms + pause_ms - 1, &look));
		now_ms += pause_ms;
		assert_true(breaker_ask(&b, now_ms, &look));
		assert_true(breaker_fail(&b, now_ms, look));
		pause_ms = pause_ms * 2 < BREAKER_PAUSE_MAX_MS ? pause_ms * 2 : BREAKER_PAUSE_MAX_MS;
	}
	assert_int_equal(pause_ms, BREAKER_PAUSE_MAX_MS);
	assert_int_equal(b.since_ms, 1000); /* however often somebody looked since */
	/* Back once, it begins with a short one again. */
	now_ms += pause_ms;
	assert_true(breaker_ask(&b, now_ms, &look));
	breaker_succeed(&b);
	open_it(&b, now_ms);
	assert_int_equal(b.since_ms, now_ms);
	assert_true(breaker_ask(&b, now_ms + BREAKER_PAUSE_MIN_MS, &look));
}

/* What was under way when it opened fails, too: that is one mishap. */
static void stragglers_do_not_count(void **state)
{
	struct breaker b = {0};

	(void)state;
	open_it(&b, 1000);
	for (int i = 0; i < 50; i++)
		assert_false(breaker_fail(&b, 1001, 0));
	assert_int_equal(b.n_opened, 1);
	assert_true(breaker_ask(&b, 1000 + BREAKER_PAUSE_MIN_MS, &look));
	/* Nor are they the one that looks now; nor is one that looked before. */
	for (int i = 0; i < 50; i++) {
		assert_false(breaker_fail(&b, 1200, 0));
		breaker_forget(&b, 1200, 0);
	}
	assert_false(breaker_ask(&b, 99999, &look));
	breaker_succeed(&b);
	open_it(&b, 2000);
	assert_true(breaker_ask(&b, 2000 + BREAKER_PAUSE_MIN_MS, &look));
	assert_false(breaker_fail(&b, 2200, look - 1));
	assert_true(breaker_fail(&b, 2200, look));
	/* But one that brings something after all tells that the holder is back. */
	assert_true(breaker_ask(&b, 2200 + 2 * BREAKER_PAUSE_MIN_MS, &look));
	breaker_succeed(&b);
	assert_int_equal(b.state, BREAKER_CLOSED);
}

/* 0 is none, also after the last number. */
static void looks_are_numbered_from_one(void **state)
{
	struct breaker b = {.n_looks = UINT32_MAX};

	(void)state;
	open_it(&b, 1000);
	assert_true(breaker_ask(&b, 2000, &look));
	assert_int_equal(look, 1);
	breaker_succeed(&b);
	assert_true(breaker_ask(&b, 2000, &look));
	assert_int_equal(look, 0);
}

/* A look that was called off is made by the next one who comes. */
static void a_look_that_was_called_off_is_not_lost(void **state)
{
	struct breaker b = {0};

	(void)state;
	open_it(&b, 1000);
	assert_true(breaker_ask(&b, 2000, &look));
	breaker_forget(&b, 2001, look);
	assert_true(breaker_ask(&b, 2001, &look));
	assert_int_equal(b.n_opened, 1);
	breaker_succeed(&b);
	breaker_forget(&b, 2002, look);
	assert_int_equal(b.state, BREAKER_CLOSED);
}

static void states_have_names(void **state)
{
	(void)state;
	assert_string_equal(breaker_state_name(BREAKER_CLOSED), "closed");
	assert_string_equal(breaker_state_name(BREAKER_OPEN), "open");
	assert_string_equal(breaker_state_name(BREAKER_HALF_OPEN), "half-open");
	assert_string_equal(breaker_state_name(BREAKER_N_STATES), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_failures_in_a_row_open_it),
		cmocka_unit_test(one_looks_for_all),
		cmocka_unit_test(pauses_double_up_to_a_limit),
		cmocka_unit_test(stragglers_do_not_count),
		cmocka_unit_test(looks_are_numbered_from_one),
		cmocka_unit_test(a_look_that_was_called_off_is_not_lost),
		cmocka_unit_test(states_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
