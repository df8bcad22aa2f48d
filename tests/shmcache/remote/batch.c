/* SPDX-License-Identifier: Apache-2.0 */
/* batch.c: what of a batch is kept, in whatever order its values come. */
#include "shmcache/remote/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { N_MAX = 40 };

struct request {
	struct batch_seat seat;
	bool is_judged, is_kept;
	bool was_found; /* the truth */
};

static struct timers timers;
static struct batches batches;
static struct request request[N_MAX];
static uint64_t seed;

static uint64_t next_random(void)
{
	seed += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t x = seed;

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static void judged(struct batch_seat *seat, bool keep)
{
	struct request *r = (struct request *)seat;

	assert_false(r->is_judged);
	assert_null(seat->batch);
	r->is_judged = true;
	r->is_kept = keep;
}

static int setup(void **state)
{
	(void)state;
	timers = (struct timers){0};
	memset(request, 0, sizeof(request));
	batches_init(&batches, &timers);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	batches_deinit(&batches);
	assert_int_equal(batches.n, 0);
	assert_int_equal(timers_next(&timers), UINT64_MAX);
	return 0;
}

static void join(unsigned i, enum batch_rule rule, uint64_t number, unsigned n, uint32_t position)
{
	request[i].seat = (struct batch_seat){.rule = rule, .judged = judged};
	batch_join(&batches, &request[i].seat, (struct batch_name){7, number, 1}, n, position, 1000);
}

static void tell(unsigned i)
{
	if (request[i].was_found)
		batch_found(&request[i].seat);
	else
		batch_missed(&request[i].seat);
}

static void expect(unsigned n, enum batch_rule rule)
{
	bool all = true;

	for (unsigned i = 0; i < n; i++)
		all &= request[i].was_found;
	for (unsigned i = 0, prefix = 1; i < n; i++) {
		prefix &= request[i].was_found;
		if (!request[i].is_judged)
			fail_msg("%u of %u is not judged", i, n);
		if (request[i].is_kept != (rule == BATCH_ALL ? all : prefix))
			fail_msg("%u of %u, rule %d: %d", i, n, rule, request[i].is_kept);
	}
}

/* Joining in order, told in any: the verdict is that of the definition. */
static void random_batches_are_judged_by_the_rule(void **state)
{
	for (unsigned round = 0; round < 20000; round++) {
		unsigned n = (unsigned)(next_random() % (next_random() % 8 ? 6 : N_MAX)) + 1;
		enum batch_rule rule = next_random() % 2 ? BATCH_ALL : BATCH_PREFIX;
		unsigned n_joined = 0, n_told = 0, told[N_MAX], odds = (unsigned)(next_random() % 12);
		uint32_t position = 0;

		setup(state);
		for (unsigned i = 0; i < n; i++) {
			request[i].was_found = next_random() % 12 >= odds / 2;
			told[i] = 0;
		}
		while (n_told < n) {
			unsigned i = (unsigned)(next_random() % n);

			if (n_joined < n && next_random() % 2) {
				position += 1 + (uint32_t)(next_random() % 3); /* hits between */
				join(n_joined++, rule, round, n, position);
			} else if (i < n_joined && !told[i]) {
				told[i] = 1;
				n_told++;
				tell(i);
			}
		}
		expect(n, rule);
		assert_int_equal(batches.n, 0);
		teardown(state);
	}
}

static void a_prefix_is_kept_before_the_rest_has_come(void **state)
{
	(void)state;
	join(0, BATCH_PREFIX, 1, 3, 0);
	join(1, BATCH_PREFIX, 1, 3, 1);
	batch_found(&request[1].seat);
	assert_false(request[1].is_judged);
	batch_found(&request[0].seat);
	assert_true(request[0].is_kept && request[1].is_kept);
	join(2, BATCH_PREFIX, 1, 3, 9);
	batch_missed(&request[2].seat);
	assert_true(request[2].is_judged && !request[2].is_kept);
}

static void all_wait_for_the_last(void **state)
{
	(void)state;
	join(0, BATCH_ALL, 1, 3, 0);
	join(1, BATCH_ALL, 1, 3, 1);
	batch_found(&request[0].seat);
	batch_found(&request[1].seat);
	batch_found(&request[1].seat); /* twice is once */
	assert_false(request[0].is_judged || request[1].is_judged);
	join(2, BATCH_ALL, 1, 3, 2);
	assert_false(request[0].is_judged);
	batch_found(&request[2].seat);
	assert_true(request[0].is_kept && request[1].is_kept && request[2].is_kept);
}

static void the_first_miss_is_enough(void **state)
{
	(void)state;
	join(0, BATCH_ALL, 1, 3, 0);
	batch_found(&request[0].seat);
	join(1, BATCH_ALL, 1, 3, 1);
	batch_missed(&request[1].seat);
	assert_true(request[0].is_judged && !request[0].is_kept);
	join(2, BATCH_ALL, 1, 3, 2);
	assert_true(request[2].is_judged && !request[2].is_kept);
}

/*
 * Who was found and leaves before he is judged is not in the cache: the others must not count on
 * it.
 */
static void who_leaves_was_missed(void **state)
{
	(void)state;
	join(0, BATCH_ALL, 1, 2, 0);
	join(1, BATCH_ALL, 1, 2, 1);
	batch_found(&request[0].seat);
	batch_missed(&request[0].seat);
	batch_found(&request[1].seat);
	assert_true(request[1].is_judged && !request[1].is_kept);
}

static void a_batch_of_which_the_rest_never_comes_ends(void **state)
{
	(void)state;
	join(0, BATCH_ALL, 1, 3, 0);
	join(1, BATCH_PREFIX, 2, 3, 5);
	batch_found(&request[0].seat);
	timers_run(&timers, 999);
	assert_false(request[0].is_judged);
	timers_run(&timers, 1000);
	assert_true(request[0].is_judged && !request[0].is_kept);
	assert_true(request[1].is_judged && !request[1].is_kept);
	assert_int_equal(batches.n, 0);
}

static void nonsense_is_not_kept(void **state)
{
	(void)state;
	join(0, BATCH_ALL, 1, 0, 0); /* of none */
	assert_true(request[0].is_judged && !request[0].is_kept);
	join(1, BATCH_ALL, 2, BATCH_MAX + 1, 0);
	assert_true(request[1].is_judged && !request[1].is_kept);
	assert_int_equal(batches.n, 0);
	join(2, BATCH_PREFIX, 3, 2, 5);
	join(3, BATCH_PREFIX, 3, 2, 5); /* one position twice */
	assert_true(request[2].is_judged && !request[2].is_kept);
	assert_true(request[3].is_judged && !request[3].is_kept);
	join(4, BATCH_ALL, 4, 2, 5);
	join(5, BATCH_ALL, 4, 3, 6); /* of another number */
	assert_true(request[4].is_judged && request[5].is_judged);
	join(6, BATCH_ALL, 5, 1, 1);
	join(7, BATCH_ALL, 5, 1, 2); /* one more than was promised */
	assert_true(request[6].is_judged && request[7].is_judged);
}

/* The first of a batch of three of another lane, that ends earlier. */
static void join_early(unsigned i, uint64_t lane)
{
	request[i].seat = (struct batch_seat){.rule = BATCH_ALL, .judged = judged};
	batch_join(&batches, &request[i].seat, (struct batch_name){lane, 1, 1}, 3, 0, 500);
}

static void the_one_that_waits_longest_can_be_given_up(void **state)
{
	(void)state;
	assert_false(batches_give_up_one(&batches));
	join(0, BATCH_ALL, 1, 3, 0);
	batch_found(&request[0].seat);
	join_early(1, 8);
	batch_found(&request[1].seat);
	assert_true(batches_give_up_one(&batches));
	assert_true(request[1].is_judged && !request[1].is_kept && !request[0].is_judged);
	assert_true(batches_give_up_one(&batches));
	assert_true(request[0].is_judged);
	assert_false(batches_give_up_one(&batches));
}

/* Of others nothing waits: of one that has found nothing, or whose found ones have left. */
static void one_that_holds_nothing_is_not_given_up(void **state)
{
	(void)state;
	join_early(0, 8);
	join_early(1, 9);
	batch_found(&request[1].seat);
	batch_found_elsewhere(&request[1].seat);
	join(2, BATCH_PREFIX, 1, 3, 0);
	join(3, BATCH_PREFIX, 1, 3, 1);
	batch_found(&request[2].seat);
	assert_true(request[2].is_kept);
	join(4, BATCH_PREFIX, 2, 3, 0);
	join(5, BATCH_PREFIX, 2, 3, 1);
	batch_found(&request[5].seat);
	batch_missed(&request[5].seat);
	assert_false(batches_give_up_one(&batches));
	assert_false(request[0].is_judged || request[3].is_judged || request[4].is_judged);
	/* Each counts for itself. */
	join(6, BATCH_PREFIX, 2, 3, 2);
	batch_found(&request[6].seat);
	assert_true(batches_give_up_one(&batches));
	assert_true(request[4].is_judged && request[6].is_judged && !request[3].is_judged);
}

/*
 * One request each of batches of two: what is promised does not come, and what has come is
 * answered.
 */
static void leave_open(uint64_t lane, uint64_t session, unsigned n, unsigned n_promised)
{
	static struct request one;

	for (unsigned i = 0; i < n; i++) {
		one = (struct request){.seat = {.rule = BATCH_ALL, .judged = judged}};
		batch_join(&batches, &one.seat, (struct batch_name){lane, i + 1, session},
			n_promised, 0, UINT64_MAX);
		batch_missed(&one.seat);
		assert_true(one.is_judged);
	}
}

static void what_is_promised_and_never_comes_is_bounded_for_each_lane(void **state)
{
	(void)state;
	leave_open(7, 1, 2000, 2);
	assert_int_equal(batches.n, BATCHES_OF_LANE);
	/* Another lane has its own. */
	leave_open(8, 1, 1, 2);
	assert_int_equal(batches.n, BATCHES_OF_LANE + 1);
	leave_open(9, 1, 100, BATCH_MAX / 4);
	assert_int_equal(batches.n, BATCHES_OF_LANE + 1 + 4);
}

static void batches_go_with_their_session(void **state)
{
	(void)state;
	leave_open(7, 1, 5, 2);
	leave_open(8, 1, 5, 2);
	leave_open(9, 2, 5, 2);
	batches_leave(&batches, 1);
	assert_int_equal(batches.n, 5);
	batches_leave(&batches, 2);
	assert_int_equal(batches.n, 0);
	assert_int_equal(timers_next(&timers), UINT64_MAX);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_batches_are_judged_by_the_rule),
		cmocka_unit_test_setup_teardown(a_prefix_is_kept_before_the_rest_has_come, setup, teardown),
		cmocka_unit_test_setup_teardown(all_wait_for_the_last, setup, teardown),
		cmocka_unit_test_setup_teardown(the_first_miss_is_enough, setup, teardown),
		cmocka_unit_test_setup_teardown(who_leaves_was_missed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_batch_of_which_the_rest_never_comes_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(nonsense_is_not_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(the_one_that_waits_longest_can_be_given_up, setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_holds_nothing_is_not_given_up, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_is_promised_and_never_comes_is_bounded_for_each_lane, setup, teardown),
		cmocka_unit_test_setup_teardown(batches_go_with_their_session, setup, teardown),
	};

	seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL);
	printf("seed %llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
