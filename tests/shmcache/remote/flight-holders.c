/* SPDX-License-Identifier: Apache-2.0 */
/* flight-holders.c: for how long a holder is waited for, and what is learnt of him by that. */
#include "tests/shmcache/remote/flying.h"

#include "shmcache/remote/breaker.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct flying f;

/* --- patience --------------------------------------------------------------------------------- */

/* One byte in each @ms, for @all_ms. Fails where it is called off. */
static void trickle(unsigned ms, unsigned all_ms)
{
	unsigned holder = f.fetch[0].holder;

	for (unsigned now = 1; now <= all_ms; now++) {
		f.fetch[0].fetch->n_bytes += now % ms == 0;
		flying_pass(&f, 1);
		assert_int_equal(f.n_fetches, 1);
		assert_int_equal(f.fetch[0].holder, holder);
		assert_false(f.fetch[0].is_cancelled);
	}
}

/* There is another holder; but bytes that come are worth waiting for, also beyond the deadline. */
static void a_value_whose_bytes_come_is_waited_for(void **state)
{
	unsigned n = flying_ask(&f, 1, ABI_WRITE_BACK_ALWAYS);
	uint64_t version;

	(void)state;
	flying_located(&f, 1, 10, 2, true);
	assert_true(flying_land(&f, 0, 100000));
	trickle(400, 1200);
	flying_expect_miss(&f, n, ABI_FETCH_TIMEOUT);
	flying_finish(&f, 0, REMOTE_OK);
	assert_int_equal(flying_stored(&f, 1, &version), 2);
}

/* Of three each has a third; one that has sent something has as long for the next. */
static void one_that_stands_still_is_not(void **state)
{
	(void)state;
	(void)flying_ask(&f, 1, ABI_WRITE_BACK_ALWAYS);
	flying_located(&f, 1, 10, 3, true);
	assert_true(flying_land(&f, 0, 100000));
	f.fetch[0].fetch->n_bytes = 50000;
	flying_pass(&f, 400);
	assert_int_equal(f.fetch[0].holder, 10);
	flying_pass(&f, 400);
	assert_int_equal(f.n_fetches, 1);
	assert_int_equal(f.fetch[0].holder, 11);
}

/* What the first one has sent before it failed, counts for nobody. */
static void the_next_one_begins_with_nothing(void **state)
{
	(void)state;
	(void)flying_ask(&f, 1, ABI_WRITE_BACK_ALWAYS);
	flying_located(&f, 1, 10, 3, true);
	assert_true(flying_land(&f, 0, 100000));
	f.fetch[0].fetch->n_bytes = 50000;
	flying_pass(&f, 340);
	flying_finish(&f, 0, REMOTE_CORRUPT);
	assert_int_equal(f.fetch[0].holder, 11);
	assert_true(flying_land(&f, 0, 100000));
	trickle(200, 500);
}

/* --- what was to be kept ---------------------------------------------------------------------- */

static void what_was_to_be_kept_is_kept(void **state)
{
	struct ticket *t = flying_ticket(&f, 1, ABI_WRITE_BACK_ALWAYS);
	uint64_t version;
	unsigned n;

	(void)state;
	t->deadline_ms = 1100;
	(void)flying_take(&f, t);
	flying_pass(&f, 0);
	flying_located(&f, 1, 1, 1, true);
	assert_true(flying_land(&f, 0, 1000));
	flying_pass(&f, 200);
	/* Who wanted it has left; another waits, who does not. */
	n = flying_ask(&f, 1, ABI_WRITE_BACK_OFF);
	flying_finish(&f, 0, REMOTE_OK);
	flying_expect_here(&f, n);
	assert_int_equal(flying_stored(&f, 1, &version), 2);
}

/* Of who wants it kept where that drives nothing out: what another holder brings may do so. */
static void what_was_free_once_is_not_for_ever(void **state)
{
	uint64_t version;
	unsigned n, key;

	(void)state;
	n = flying_ask(&f, 1, ABI_WRITE_BACK_FREE_SPACE);
	flying_located(&f, 1, 10, 2, true);
	assert_true(flying_land(&f, 0, MIB));
	flying_finish(&f, 0, REMOTE_CORRUPT);
	for (key = 10; key < 26; key++)
		flying_put(&f, key, MIB);
	rig_drain(&f.rig);
	assert_true(flying_land(&f, 0, MIB));
	flying_finish(&f, 0, REMOTE_OK);
	flying_expect_delivered(&f, n);
	assert_int_equal(flying_stored(&f, 1, &version), 0);
}

/* He who wanted it kept has left, before it came; who prefetches it has no use for it but that. */
static void what_was_to_be_kept_may_drive_out(void **state)
{
	struct ticket *t = flying_ticket(&f, 1, ABI_WRITE_BACK_ALWAYS);
	uint64_t version;
	unsigned n, key;

	(void)state;
	for (key = 10; key < 26; key++)
		flying_put(&f, key, MIB);
	rig_drain(&f.rig);
	t->deadline_ms = 1100;
	(void)flying_take(&f, t);
	t = flying_ticket(&f, 1, ABI_WRITE_BACK_FREE_SPACE);
	t->is_prefetch = true;
	n = flying_take(&f, t);
	flying_pass(&f, 0);
	flying_located(&f, 1, 10, 1, true);
	flying_pass(&f, 200);
	assert_true(flying_land(&f, 0, MIB));
	flying_finish(&f, 0, REMOTE_OK);
	flying_expect_here(&f, n);
	assert_int_equal(flying_stored(&f, 1, &version), 2);
}

/* A free place is found for who wants it kept there, whoever else waits, and whether he stays. */
static void what_has_a_free_place_is_kept(void **state)
{
	static const int policies[] = {-2, ABI_WRITE_BACK_OFF, ABI_WRITE_BACK_ALL_FOUND};
	struct ticket *t;
	uint64_t version;
	unsigned key;

	(void)state;
	for (key = 0; key < 6; key++) {
		t = flying_ticket(&f, key, ABI_WRITE_BACK_FREE_SPACE);
		t->deadline_ms = f.loop.now_ms + (key < 3 ? 100 : 1000);
		(void)flying_take(&f, t);
		if (policies[key % 3] >= 0) {
			/* Of a batch that is never whole. */
			t = flying_ticket(&f, key, policies[key % 3]);
			t->batch = 1 + key;
			t->n_batch = 2;
			t->deadline_ms = f.loop.now_ms + 500;
			(void)flying_take(&f, t);
		}
		flying_pass(&f, 0);
		flying_located(&f, key, 1, 1, true);
		assert_true(flying_land(&f, 0, 1000));
		flying_pass(&f, 200);
		assert_int_equal(f.n_fetches, 1);
		assert_false(f.fetch[0].is_cancelled);
		flying_finish(&f, 0, REMOTE_OK);
		assert_int_equal(flying_stored(&f, key, &version), 2);
	}
}

/* --- the question ----------------------------------------------------------------------------- */

/* For @key, of one who has @ms and one who joins with a second, who is returned. */
static unsigned join_one_who_has(unsigned key, uint64_t ms)
{
	struct ticket *t = flying_ticket(&f, key, ABI_WRITE_BACK_ALWAYS);
	unsigned n;

	t->deadline_ms = f.loop.now_ms + ms;
	(void)flying_take(&f, t);
	flying_pass(&f, 0);
	n = flying_ask(&f, key, ABI_WRITE_BACK_ALWAYS);
	flying_pass(&f, 5);
	return n;
}

/* It had as much time as the one had who was there first. So for who has more it is put again. */
static void who_joins_one_in_a_hurry_is_not_cut_short(void **state)
{
	unsigned n = join_one_who_has(1, 10);

	(void)state;
	flying_located(&f, 1, 0, 0, false);
	assert_false(flying_is_answered(&f, n));
	assert_int_equal(f.n_located, 2);
	flying_located(&f, 1, 0, 0, false);
	flying_expect_miss(&f, n, ABI_FETCH_UNREACHABLE);
	/* Not where it was answered. */
	n = join_one_who_has(2, 10);
	flying_located(&f, 2, 0, 0, true);
	flying_expect_miss(&f, n, ABI_FETCH_NOBODY);
	(void)join_one_who_has(3, 10);
	flying_located(&f, 3, 10, 1, false);
	assert_true(flying_out(&f, 3) >= 0);
	/* Nor for who has as much time as the first, and only came later. */
	n = join_one_who_has(4, 1000);
	flying_located(&f, 4, 0, 0, false);
	flying_expect_miss(&f, n, ABI_FETCH_UNREACHABLE);
	assert_int_equal(f.n_located, 5);
}

/* Once: others who have even more may come without end. */
static void a_question_is_put_again_once(void **state)
{
	unsigned n = join_one_who_has(1, 10);
	struct ticket *t;

	(void)state;
	flying_located(&f, 1, 0, 0, false);
	assert_int_equal(f.n_located, 2);
	t = flying_ticket(&f, 1, ABI_WRITE_BACK_ALWAYS);
	t->deadline_ms = f.loop.now_ms + 100000;
	(void)flying_take(&f, t);
	flying_located(&f, 1, 0, 0, false);
	flying_expect_miss(&f, n, ABI_FETCH_UNREACHABLE);
	assert_int_equal(f.n_located, 2);
}

/* --- what is learnt --------------------------------------------------------------------------- */

#define HOLDER 3

static unsigned next_key;

/* One more that is fetched from it; its key. */
static unsigned fetch_one(int policy)
{
	unsigned key = next_key++;

	(void)flying_ask(&f, key, policy);
	flying_located(&f, key, HOLDER, 1, true);
	return key;
}

static enum breaker_state breaker(void)
{
	struct remote_health h;

	assert_int_equal(flights_health(f.flights, &h, 1), 1);
	assert_int_equal(h.holder, HOLDER);
	return h.breaker;
}

static bool is_out(unsigned key)
{
	return flying_out(&f, key) >= 0;
}

/* So much goes wrong that it is left alone; @n more are under way since before. */
static unsigned leave_alone(unsigned n)
{
	unsigned first, i;

	next_key = 0;
	first = next_key;
	for (i = 0; i < n + BREAKER_FAILURES; i++)
		(void)fetch_one(ABI_WRITE_BACK_OFF);
	for (i = 0; i < BREAKER_FAILURES; i++)
		flying_finish(&f, (unsigned)flying_out(&f, first + n + i), REMOTE_UNREACHABLE);
	assert_int_equal(breaker(), BREAKER_OPEN);
	return first;
}

/* The one that looks, when the pause is over. */
static unsigned begin_look(void)
{
	unsigned look;

	flying_pass(&f, BREAKER_PAUSE_MIN_MS);
	look = fetch_one(ABI_WRITE_BACK_OFF);
	assert_true(is_out(look));
	return look;
}

static void old_failures_make_no_pause_longer(void **state)
{
	unsigned old = leave_alone(4), look = begin_look(), i;

	(void)state;
	for (i = 0; i < 4; i++) {
		flying_finish(&f, (unsigned)flying_out(&f, old + i), REMOTE_UNREACHABLE);
		assert_int_equal(breaker(), BREAKER_HALF_OPEN);
		assert_false(is_out(fetch_one(ABI_WRITE_BACK_OFF)));
	}
	/* Its own makes it longer, and it ends. */
	flying_finish(&f, (unsigned)flying_out(&f, look), REMOTE_UNREACHABLE);
	assert_int_equal(breaker(), BREAKER_OPEN);
	flying_pass(&f, 2 * BREAKER_PAUSE_MIN_MS - 1);
	assert_false(is_out(fetch_one(ABI_WRITE_BACK_OFF)));
	flying_pass(&f, 1);
	look = fetch_one(ABI_WRITE_BACK_OFF);
	flying_finish(&f, (unsigned)flying_out(&f, look), REMOTE_MISS);
	assert_int_equal(breaker(), BREAKER_CLOSED);
}

/* What was under way is given up, one after the other: that lets nobody else look. */
static void one_looks_whatever_is_given_up(void **state)
{
	unsigned old = leave_alone(4), look = begin_look(), i;

	(void)state;
	for (i = 0; i < 4; i++) {
		flying_delete(&f, old + i);
		(void)flying_ask(&f, old + i, ABI_WRITE_BACK_OFF);
		assert_false(is_out(old + i));
		assert_false(is_out(fetch_one(ABI_WRITE_BACK_OFF)));
	}
	/* That one itself is: then another does. */
	flying_delete(&f, look);
	(void)flying_ask(&f, look, ABI_WRITE_BACK_OFF);
	flying_located(&f, look, HOLDER, 1, true);
	assert_true(is_out(look));
	assert_int_equal(breaker(), BREAKER_HALF_OPEN);
}

enum end { NO_ROOM, NO_PLACE, OVERTAKEN, LEFT_LANDED, LEFT_UNLANDED, N_ENDS };

/* Each way in which a value is not wanted any more, once he who looks has it under way. */
static void end_look(unsigned look, enum end end)
{
	unsigned other;

	switch (end) {
	case NO_ROOM:
		other = next_key++;
		(void)flying_ask(&f, other, ABI_WRITE_BACK_ALWAYS);
		flying_located(&f, other, HOLDER + 1, 1, true);
		assert_true(flying_land(&f, (unsigned)flying_out(&f, other), 3 * MIB));
		assert_false(flying_land(&f, (unsigned)flying_out(&f, look), 3 * MIB));
		break;
	case NO_PLACE:
		assert_false(flying_land(&f, (unsigned)flying_out(&f, look), 100 * MIB));
		break;
	case OVERTAKEN:
		flying_delete(&f, look);
		assert_false(flying_land(&f, (unsigned)flying_out(&f, look), 1000));
		break;
	case LEFT_LANDED:
		assert_true(flying_land(&f, (unsigned)flying_out(&f, look), 1000));
		flying_pass(&f, 1000);
		break;
	default:
		flying_pass(&f, 1000);
	}
}

/* It says of the holder that he answers; not so where time was over: he may hang since the head. */
static void what_is_not_wanted_is_an_answer(void **state)
{
	(void)state;
	for (enum end end = 0; end < N_ENDS; end++) {
		unsigned look;

		(void)leave_alone(0);
		look = begin_look();
		end_look(look, end);
		assert_int_equal(breaker(), end < LEFT_LANDED ? BREAKER_CLOSED : BREAKER_OPEN);
		flying_end(&f);
		(void)flying_setup(&(void *){&f});
	}
}

/* One that is too slow, with another to be asked, has failed. */
static void too_slow_is_a_failure(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < BREAKER_FAILURES; i++) {
		assert_int_equal(breaker(), BREAKER_CLOSED);
		(void)flying_ask(&f, i, ABI_WRITE_BACK_OFF);
		flying_located(&f, i, HOLDER, 2, true);
		flying_pass(&f, 510);
	}
	assert_int_equal(breaker(), BREAKER_OPEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FLYING_TEST(a_value_whose_bytes_come_is_waited_for),
		FLYING_TEST(one_that_stands_still_is_not),
		FLYING_TEST(the_next_one_begins_with_nothing),
		FLYING_TEST(what_was_to_be_kept_is_kept),
		FLYING_TEST(what_was_free_once_is_not_for_ever),
		FLYING_TEST(what_was_to_be_kept_may_drive_out),
		FLYING_TEST(what_has_a_free_place_is_kept),
		FLYING_TEST(who_joins_one_in_a_hurry_is_not_cut_short),
		FLYING_TEST(a_question_is_put_again_once),
		FLYING_TEST(old_failures_make_no_pause_longer),
		FLYING_TEST(one_looks_whatever_is_given_up),
		FLYING_TEST(what_is_not_wanted_is_an_answer),
		FLYING_TEST(too_slow_is_a_failure),
	};

	return RIG_RUN(tests);
}
