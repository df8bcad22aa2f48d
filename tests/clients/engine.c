/* SPDX-License-Identifier: Apache-2.0 */
/* engine.c: requests over the rings, answered by the test in the order that it likes. */
#include "tests/clients/ends.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- plain requests ----------------------------------------------------------------------------- */

static void carries_all_that_a_put_says(void **state)
{
	struct ends *f = *state;
	struct shmc_request q = ends_put_of("key of 13 byt", "value", 5);
	const uint8_t *staging = rig_staging(&f->rig, 0);
	struct submission s;

	q.options = (struct shmc_put_options){.flags = SHMC_IF_ABSENT, .tier = SHMC_TIER_CXL,
		.priority = 9, .ttl_ms = 1234, .group = UINT64_C(0x1122334455667788),
		.position = 77};
	ends_begin(f, &q);
	s = ends_taken(f, ABI_OP_PUT);
	assert_int_equal(s.flags, SUBMISSION_IF_ABSENT);
	assert_int_equal(s.tier, ABI_TIER_CXL);
	assert_int_equal(s.priority, 9);
	assert_int_equal(s.key_size, 13);
	assert_int_equal(s.value_size, 5);
	assert_int_equal(s.argument, 1234);
	assert_int_equal(s.group, UINT64_C(0x1122334455667788));
	assert_int_equal(s.position, 77);
	assert_memory_equal(staging + s.staging_off, "key of 13 byt", 13);
	assert_memory_equal(staging + submission_value_off(&s), "value", 5);
	assert_null(engine_pop(f->lane));
	ends_answer(f, &s, ABI_STATUS_OK);
	ends_done(f, &q, 0);
}

static void every_status_is_a_result(void **state)
{
	static const int result_of[ABI_N_STATUSES] = {0, SHMC_MISS, SHMC_EXISTS, SHMC_NOSPACE,
		SHMC_QUOTA, SHMC_GONE, -EACCES, -EFBIG, -ENOMEM, -EIO, -ENOTCONN};
	struct ends *f = *state;
	struct shmc_request q = ends_on_key(SHMC_OP_DELETE, "key");
	struct submission s;
	unsigned status;

	for (status = 0; status < ABI_N_STATUSES; status++) {
		ends_begin(f, &q);
		s = ends_taken(f, ABI_OP_DELETE);
		ends_answer(f, &s, (enum abi_status)status);
		ends_done(f, &q, result_of[status]);
	}
}

static void what_is_wrong_in_itself_is_not_sent(void **state)
{
	static char key[SHMC_KEY_SIZE_MAX + 1];
	struct ends *f = *state;
	struct shmc_request wrong[] = {
		{.operation = SHMC_OP_DELETE, .key = key},
		{.operation = SHMC_OP_DELETE, .key = NULL, .key_size = 1},
		{.operation = SHMC_OP_TOUCH, .key = key, .key_size = sizeof(key)},
		{.operation = SHMC_OP_PUT, .key = key, .key_size = 1, .value = key},
		{.operation = SHMC_OP_PUT, .key = key, .key_size = 1, .value_size = 1},
		{.operation = SHMC_OP_PUT, .key = key, .key_size = 1, .value = key,
			.value_size = 1, .options.flags = 2},
		{.operation = SHMC_OP_PUT, .key = key, .key_size = 1, .value = key,
			.value_size = 1, .options.tier = 3},
		{.operation = SHMC_OP_RESERVE, .key = key, .key_size = 1},
		{.operation = SHMC_OP_COMMIT},
		{.operation = SHMC_OP_READ, .key = key, .key_size = 1, .value_size = 1},
		{.operation = (enum shmc_operation)(SHMC_OP_UNPIN + 7), .key = key, .key_size = 1},
		{.operation = (enum shmc_operation)-1, .key = key, .key_size = 1},
	};
	struct shmc_request big = ends_put_of("key", key, SHMC_VALUE_SIZE_MAX + 1);
	struct shmc_request nothing = {.operation = SHMC_OP_ABORT};
	size_t i;

	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ends_begin(f, &wrong[i]);
		ends_done(f, &wrong[i], -EINVAL);
	}
	ends_begin(f, &big);
	ends_done(f, &big, -EFBIG);
	ends_begin(f, &nothing);
	ends_done(f, &nothing, 0);
	ends_none_taken(f);
}

static void rings_once_a_batch_and_only_a_sleeper(void **state)
{
	struct ends *f = *state;
	struct shmc_request q[4];
	int i;

	for (i = 0; i < 4; i++) {
		q[i] = ends_on_key(SHMC_OP_PING, "");
		ends_begin(f, &q[i]);
	}
	ring_announce(&f->lane->ring);
	assert_int_equal(rig_bell(&f->rig, 0), 0);
	assert_int_equal(shared_u64_load(&rig_request(&f->rig, 0)->submitted), 4);

	shared_u32_store(&f->rig.plane->worker[3].need_wakeup, 1);
	shared_u32_store(&rig_response(&f->rig, 0)->worker, 3);
	ring_announce(&f->lane->ring);
	assert_int_equal(rig_bell(&f->rig, 0), 0);
	for (i = 0; i < 4; i++)
		ends_answer(f, &(struct submission){.id = ends_taken(f, ABI_OP_PING).id}, ABI_STATUS_OK);
	for (i = 0; i < 4; i++)
		ends_begin(f, engine_pop(f->lane));
	ring_announce(&f->lane->ring);
	assert_int_equal(rig_bell(&f->rig, 0), 1);
}

/* Answers in any order, rings that go round often: each request gets the answer that is its own. */
static void answers_find_their_requests(void **state)
{
	enum { TURNS = 20000 };
	struct ends *f = *state;
	struct shmc_request q[RIG_QUEUE], *done;
	struct submission out[RIG_QUEUE];
	unsigned n_free = RIG_QUEUE, n_out = 0, n_done = 0, i, at;
	struct shmc_request *free_q[RIG_QUEUE];
	char key[RIG_QUEUE][4];

	srand(1);
	for (i = 0; i < RIG_QUEUE; i++) {
		snprintf(key[i], sizeof(key[i]), "%u", i);
		free_q[i] = &q[i];
	}
	while (n_done < TURNS) {
		while (n_free && rand() % 3) {
			at = (unsigned)(free_q[n_free - 1] - q);
			q[at] = ends_on_key(SHMC_OP_TOUCH, key[at]);
			q[at].options.ttl_ms = at;
			if (engine_begin(f->lane, &q[at], false))
				break;
			n_free--;
		}
		while (rig_take(&f->rig, 0, &out[n_out]))
			n_out++;
		if (!n_out)
			continue;
		at = (unsigned)rand() % n_out;
		/* The status says whose answer it is. */
		rig_answer(&f->rig, 0, out[at].id, (enum abi_status)(out[at].argument % 6), 0, 0);
		out[at] = out[--n_out];
		engine_pump(f->lane);
		while ((done = engine_pop(f->lane))) {
			assert_int_equal(done->result, (done - q) % 6);
			free_q[n_free++] = done;
			n_done++;
		}
	}
	assert_true(shared_u64_load(&rig_request(&f->rig, 0)->reaped) >= TURNS);
}

static void one_place_is_left_empty(void **state)
{
	struct ends *f = *state;
	struct shmc_request q[RIG_QUEUE];
	struct submission s;
	int i;

	for (i = 0; i < RIG_QUEUE; i++)
		q[i] = ends_on_key(SHMC_OP_PING, "");
	for (i = 0; i < RIG_QUEUE - 1; i++)
		ends_begin(f, &q[i]);
	assert_int_equal(engine_begin(f->lane, &q[i], false), ENGINE_FULL);
	s = ends_taken(f, ABI_OP_PING);
	ends_answer(f, &s, ABI_STATUS_OK);
	ends_done(f, &q[0], 0);
	ends_begin(f, &q[i]);
}

/* --- giving up ---------------------------------------------------------------------------------- */

static void staging_of_the_abandoned_stays_until_it_is_answered(void **state)
{
	struct ends *f = *state;
	char *key = strdup("key"), *value = strdup("value");
	struct shmc_request q = ends_put_of(key, value, 5), next = ends_put_of("next", "NEXT!", 5);
	struct submission s, s2;

	ends_begin(f, &q);
	engine_drop(f->lane, -ETIMEDOUT);
	ends_done(f, &q, -ETIMEDOUT);
	memset(&q, 0x55, sizeof(q));
	memset(value, 0x55, 5);
	free(key);
	free(value);
	ends_begin(f, &next);
	s = ends_taken(f, ABI_OP_PUT);
	s2 = ends_taken(f, ABI_OP_PUT);
	assert_memory_equal(rig_staging(&f->rig, 0) + submission_value_off(&s), "value", 5);
	assert_memory_equal(rig_staging(&f->rig, 0) + submission_value_off(&s2), "NEXT!", 5);
	ends_answer(f, &s, ABI_STATUS_NOSPACE);
	assert_null(engine_pop(f->lane));
	ends_answer(f, &s2, ABI_STATUS_OK);
	ends_done(f, &next, 0);
	assert_int_equal(f->lane->engine.staging.n_blocks, 0);
}

static void a_late_reservation_is_given_back(void **state)
{
	struct ends *f = *state;
	static uint8_t value[100000];
	struct shmc_request q[2] = {ends_on_key(SHMC_OP_RESERVE, "a"), ends_put_of("b", value, 100000)};
	struct submission s[2];
	int i;

	q[0].value_size = 10;
	for (i = 0; i < 2; i++) {
		ends_begin(f, &q[i]);
		s[i] = ends_taken(f, ABI_OP_RESERVE);
	}
	engine_drop(f->lane, -ETIMEDOUT);
	while (engine_pop(f->lane))
		;
	for (i = 0; i < 2; i++) {
		assert_int_equal(q[i].result, -ETIMEDOUT);
		ends_reserved(f, &s[i], 100 + (uint64_t)i, 0);
		s[i] = ends_taken(f, ABI_OP_ABORT);
		assert_int_equal(s[i].argument, 100 + i);
		ends_answer(f, &s[i], ABI_STATUS_OK);
	}
	assert_null(engine_pop(f->lane));
	assert_int_equal(f->rig.session->n_users, 0);
}

static void a_put_given_up_in_the_middle_is_aborted(void **state)
{
	struct ends *f = *state;
	static uint8_t value[1000000];
	struct shmc_request q = ends_put_of("large", value, sizeof(value)), pings[RIG_QUEUE];
	struct submission s;
	int i;

	ends_begin(f, &q);
	s = ends_taken(f, ABI_OP_RESERVE);
	ends_reserved(f, &s, 4711, 0);
	/* Fill up what is left, all but the place that is for this. */
	for (i = 0; i < RIG_QUEUE; i++) {
		pings[i] = ends_on_key(SHMC_OP_PING, "");
		if (engine_begin(f->lane, &pings[i], true))
			break;
	}
	assert_true(i < RIG_QUEUE);
	engine_drop(f->lane, -ETIMEDOUT);
	assert_int_equal(q.result, -ETIMEDOUT);
	while (engine_pop(f->lane))
		;
	for (i = 0; rig_take(&f->rig, 0, &s) && s.operation != ABI_OP_ABORT; i++)
		ends_answer(f, &s, ABI_STATUS_OK);
	assert_true(i >= 4);
	assert_int_equal(s.operation, ABI_OP_ABORT);
	assert_int_equal(s.argument, 4711);
	ends_answer(f, &s, ABI_STATUS_OK);
	ends_none_taken(f);
	assert_int_equal(ring_in_flight(&f->lane->ring), 0);
	assert_int_equal(f->lane->engine.n_open, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ENDS_TEST(carries_all_that_a_put_says, stager),
		ENDS_TEST(every_status_is_a_result, stager),
		ENDS_TEST(what_is_wrong_in_itself_is_not_sent, stager),
		ENDS_TEST(rings_once_a_batch_and_only_a_sleeper, stager),
		ENDS_TEST(answers_find_their_requests, stager),
		ENDS_TEST(one_place_is_left_empty, stager),
		ENDS_TEST(staging_of_the_abandoned_stays_until_it_is_answered, stager),
		ENDS_TEST(a_late_reservation_is_given_back, writer),
		ENDS_TEST(a_put_given_up_in_the_middle_is_aborted, stager),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
