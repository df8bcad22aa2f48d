/* SPDX-License-Identifier: Apache-2.0 */
/* engine.c: requests over the rings, answered by the test in the order that it likes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/clients/rig.h"

struct fixture {
	struct rig rig;
	struct lane *lane;
};

static int open_as(void **state, enum wire_role role)
{
	static struct fixture f;

	rig_open(&f.rig, role);
	*state = &f;
	return handle_lane_find(f.rig.cache, HANDLE_WRITE, DEADLINE_NEVER, &f.lane);
}

static int setup(void **state)
{
	return open_as(state, WIRE_ROLE_STAGER);
}

static int setup_writer(void **state)
{
	return open_as(state, WIRE_ROLE_WRITER);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	rig_close(&f->rig);
	return 0;
}

/* --- what the two sides do -------------------------------------------------------------------- */

static void begin(struct fixture *f, struct shmc_request *request)
{
	request->result = 12345;
	assert_int_equal(engine_begin(f->lane, request, false), 0);
}

static struct submission taken(struct fixture *f, enum abi_operation operation)
{
	struct submission s;

	assert_true(rig_take(&f->rig, 0, &s));
	assert_int_equal(s.operation, operation);
	return s;
}

static void assert_none_taken(struct fixture *f)
{
	struct submission s;

	assert_false(rig_take(&f->rig, 0, &s));
}

static void answer(struct fixture *f, const struct submission *s, enum abi_status status)
{
	rig_answer(&f->rig, 0, s->id, status, 0, 0);
	assert_int_equal(engine_pump(f->lane), 1);
}

static void answer_reserve(struct fixture *f, const struct submission *s, uint64_t id, uint64_t off)
{
	rig_answer(&f->rig, 0, s->id, ABI_STATUS_OK, id, submission_location(ABI_TIER_DRAM, off));
	assert_int_equal(engine_pump(f->lane), 1);
}

static void assert_done(struct fixture *f, struct shmc_request *request, int result)
{
	assert_ptr_equal(engine_pop(f->lane), request);
	assert_int_equal(request->result, result);
}

static struct shmc_request put_of(const char *key, const void *value, size_t size)
{
	return (struct shmc_request){.operation = SHMC_OP_PUT, .key = key,
		.key_size = strlen(key), .value = (void *)value, .value_size = size};
}

static struct shmc_request on_key(enum shmc_operation operation, const char *key)
{
	return (struct shmc_request){
		.operation = operation, .key = key, .key_size = strlen(key)};
}

/* --- plain requests --------------------------------------------------------------------------- */

static void carries_all_that_a_put_says(void **state)
{
	struct fixture *f = *state;
	struct shmc_request q = put_of("key of 13 byt", "value", 5);
	const uint8_t *staging = rig_staging(&f->rig, 0);
	struct submission s;

	q.options = (struct shmc_put_options){.flags = SHMC_IF_ABSENT, .tier = SHMC_TIER_CXL,
		.priority = 9, .ttl_ms = 1234, .group = UINT64_C(0x1122334455667788),
		.position = 77};
	begin(f, &q);
	s = taken(f, ABI_OP_PUT);
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
	answer(f, &s, ABI_STATUS_OK);
	assert_done(f, &q, 0);
}

static void every_status_is_a_result(void **state)
{
	static const int result_of[ABI_N_STATUSES] = {0, SHMC_MISS, SHMC_EXISTS, SHMC_NOSPACE,
		SHMC_QUOTA, SHMC_GONE, -EACCES, -EFBIG, -ENOMEM, -EIO, -ENOTCONN};
	struct fixture *f = *state;
	struct shmc_request q = on_key(SHMC_OP_DELETE, "key");
	struct submission s;
	unsigned status;

	for (status = 0; status < ABI_N_STATUSES; status++) {
		begin(f, &q);
		s = taken(f, ABI_OP_DELETE);
		answer(f, &s, (enum abi_status)status);
		assert_done(f, &q, result_of[status]);
	}
}

static void what_is_wrong_in_itself_is_not_sent(void **state)
{
	static char key[SHMC_KEY_SIZE_MAX + 1];
	struct fixture *f = *state;
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
	struct shmc_request big = put_of("key", key, SHMC_VALUE_SIZE_MAX + 1);
	struct shmc_request nothing = {.operation = SHMC_OP_ABORT};
	size_t i;

	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		begin(f, &wrong[i]);
		assert_done(f, &wrong[i], -EINVAL);
	}
	begin(f, &big);
	assert_done(f, &big, -EFBIG);
	begin(f, &nothing);
	assert_done(f, &nothing, 0);
	assert_none_taken(f);
}

static void rings_once_a_batch_and_only_a_sleeper(void **state)
{
	struct fixture *f = *state;
	struct shmc_request q[4];
	int i;

	for (i = 0; i < 4; i++) {
		q[i] = on_key(SHMC_OP_PING, "");
		begin(f, &q[i]);
	}
	ring_announce(&f->lane->ring);
	assert_int_equal(rig_bell(&f->rig, 0), 0);
	assert_int_equal(shared_u64_load(&rig_request(&f->rig, 0)->submitted), 4);

	shared_u32_store(&f->rig.plane->worker[3].need_wakeup, 1);
	shared_u32_store(&rig_response(&f->rig, 0)->worker, 3);
	ring_announce(&f->lane->ring);
	assert_int_equal(rig_bell(&f->rig, 0), 0);
	for (i = 0; i < 4; i++)
		answer(f, &(struct submission){.id = taken(f, ABI_OP_PING).id}, ABI_STATUS_OK);
	for (i = 0; i < 4; i++)
		begin(f, engine_pop(f->lane));
	ring_announce(&f->lane->ring);
	assert_int_equal(rig_bell(&f->rig, 0), 1);
}

/* Answers in any order, rings that go round often: each request gets the answer that is its own. */
static void answers_find_their_requests(void **state)
{
	enum { TURNS = 20000 };
	struct fixture *f = *state;
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
			q[at] = on_key(SHMC_OP_TOUCH, key[at]);
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
	struct fixture *f = *state;
	struct shmc_request q[RIG_QUEUE];
	struct submission s;
	int i;

	for (i = 0; i < RIG_QUEUE; i++)
		q[i] = on_key(SHMC_OP_PING, "");
	for (i = 0; i < RIG_QUEUE - 1; i++)
		begin(f, &q[i]);
	assert_int_equal(engine_begin(f->lane, &q[i], false), ENGINE_FULL);
	s = taken(f, ABI_OP_PING);
	answer(f, &s, ABI_STATUS_OK);
	assert_done(f, &q[0], 0);
	begin(f, &q[i]);
}

/* --- puts in several steps -------------------------------------------------------------------- */

static void fill(uint8_t *value, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		value[i] = (uint8_t)(i * 2654435761U >> 24);
}

static void a_writer_fills_the_block_itself(void **state)
{
	struct fixture *f = *state;
	enum { SIZE = 300000, OFF = 4096 };
	uint8_t *value = malloc(SIZE);
	struct shmc_request q = put_of("large", value, SIZE);
	struct submission s;

	fill(value, SIZE);
	q.options.flags = SHMC_IF_ABSENT;
	q.options.ttl_ms = 99;
	begin(f, &q);
	s = taken(f, ABI_OP_RESERVE);
	assert_int_equal(s.flags, SUBMISSION_IF_ABSENT);
	assert_int_equal(s.argument, 99);
	assert_int_equal(s.value_size, SIZE);
	answer_reserve(f, &s, 4711, OFF);
	assert_memory_equal(f->rig.dram + OFF, value, SIZE);
	s = taken(f, ABI_OP_COMMIT);
	assert_int_equal(s.argument, 4711);
	answer(f, &s, ABI_STATUS_EXISTS);
	assert_done(f, &q, SHMC_EXISTS);

	begin(f, &q);
	s = taken(f, ABI_OP_RESERVE);
	answer(f, &s, ABI_STATUS_NOSPACE);
	assert_done(f, &q, SHMC_NOSPACE);
	assert_none_taken(f);
	free(value);
}

/* Take WRITEs and put them where they belong, as a broker does; returns how many. */
static unsigned write_some(struct fixture *f, uint64_t reservation, uint8_t *block, unsigned max,
	enum abi_status status)
{
	struct submission s;
	unsigned n;

	for (n = 0; n < max && rig_take(&f->rig, 0, &s); n++) {
		assert_int_equal(s.operation, ABI_OP_WRITE);
		assert_int_equal(s.argument, reservation);
		memcpy(block + s.group, rig_staging(&f->rig, 0) + s.staging_off, s.value_size);
		answer(f, &s, status);
	}
	return n;
}

static void a_stager_sends_chunks(void **state)
{
	struct fixture *f = *state;
	enum { SIZE = 300001 };
	uint8_t *value = malloc(SIZE), *block = calloc(1, SIZE);
	struct shmc_request q = put_of("large", value, SIZE), other = put_of("other", value, SIZE);
	struct shmc_request small = put_of("small", "x", 1);
	struct submission s;
	unsigned n = 0, chunk;

	fill(value, SIZE);
	begin(f, &q);
	/* One at a time; the small ones go by. */
	assert_int_equal(engine_begin(f->lane, &other, false), ENGINE_FULL);
	begin(f, &small);
	s = taken(f, ABI_OP_RESERVE);
	answer_reserve(f, &s, 4711, 0);
	s = taken(f, ABI_OP_PUT);
	answer(f, &s, ABI_STATUS_OK);
	assert_done(f, &small, 0);
	while (f->lane->ring.submitted - f->rig.consumed[0] &&
		engine_progress(&q)->step == ENGINE_STEP_WRITE)
		n += write_some(f, 4711, block, 1, ABI_STATUS_OK);
	chunk = f->lane->engine.staging.size / 4;
	assert_int_equal(n, (SIZE + chunk - 1) / chunk);
	assert_memory_equal(block, value, SIZE);
	s = taken(f, ABI_OP_COMMIT);
	assert_int_equal(s.argument, 4711);
	assert_null(engine_pop(f->lane));
	answer(f, &s, ABI_STATUS_OK);
	assert_done(f, &q, 0);
	begin(f, &other);
	taken(f, ABI_OP_RESERVE);
	free(value);
	free(block);
}

static void commit_waits_for_every_write(void **state)
{
	struct fixture *f = *state;
	enum { SIZE = 60000 };
	static uint8_t value[SIZE];
	struct shmc_request q = put_of("large", value, SIZE);
	struct submission s, w[8];
	unsigned n = 0, i;

	begin(f, &q);
	s = taken(f, ABI_OP_RESERVE);
	answer_reserve(f, &s, 4711, 0);
	while (rig_take(&f->rig, 0, &w[n]))
		n++;
	assert_int_equal(n, 4);
	for (i = n; i-- > 0;) {
		assert_none_taken(f);
		answer(f, &w[i], i == 2 ? ABI_STATUS_DAMAGED : ABI_STATUS_OK);
	}
	/* One of them failed: the block goes back, and the answer to that concerns nobody. */
	assert_done(f, &q, -EIO);
	s = taken(f, ABI_OP_ABORT);
	assert_int_equal(s.argument, 4711);
	answer(f, &s, ABI_STATUS_OK);
	assert_null(engine_pop(f->lane));
	assert_int_equal(ring_in_flight(&f->lane->ring), 0);
}

/* --- giving up -------------------------------------------------------------------------------- */

static void staging_of_the_abandoned_stays_until_it_is_answered(void **state)
{
	struct fixture *f = *state;
	char *key = strdup("key"), *value = strdup("value");
	struct shmc_request q = put_of(key, value, 5), next = put_of("next", "NEXT!", 5);
	struct submission s, s2;

	begin(f, &q);
	engine_drop(f->lane, -ETIMEDOUT);
	assert_done(f, &q, -ETIMEDOUT);
	memset(&q, 0x55, sizeof(q));
	memset(value, 0x55, 5);
	free(key);
	free(value);
	begin(f, &next);
	s = taken(f, ABI_OP_PUT);
	s2 = taken(f, ABI_OP_PUT);
	assert_memory_equal(rig_staging(&f->rig, 0) + submission_value_off(&s), "value", 5);
	assert_memory_equal(rig_staging(&f->rig, 0) + submission_value_off(&s2), "NEXT!", 5);
	answer(f, &s, ABI_STATUS_NOSPACE);
	assert_null(engine_pop(f->lane));
	answer(f, &s2, ABI_STATUS_OK);
	assert_done(f, &next, 0);
	assert_int_equal(f->lane->engine.staging.n_blocks, 0);
}

static void a_late_reservation_is_given_back(void **state)
{
	struct fixture *f = *state;
	static uint8_t value[100000];
	struct shmc_request q[2] = {on_key(SHMC_OP_RESERVE, "a"), put_of("b", value, 100000)};
	struct submission s[2];
	int i;

	q[0].value_size = 10;
	for (i = 0; i < 2; i++) {
		begin(f, &q[i]);
		s[i] = taken(f, ABI_OP_RESERVE);
	}
	engine_drop(f->lane, -ETIMEDOUT);
	while (engine_pop(f->lane))
		;
	for (i = 0; i < 2; i++) {
		assert_int_equal(q[i].result, -ETIMEDOUT);
		answer_reserve(f, &s[i], 100 + (uint64_t)i, 0);
		s[i] = taken(f, ABI_OP_ABORT);
		assert_int_equal(s[i].argument, 100 + i);
		answer(f, &s[i], ABI_STATUS_OK);
	}
	assert_null(engine_pop(f->lane));
	assert_int_equal(f->rig.session->n_users, 0);
}

static void a_put_given_up_in_the_middle_is_aborted(void **state)
{
	struct fixture *f = *state;
	static uint8_t value[1000000];
	struct shmc_request q = put_of("large", value, sizeof(value)), pings[RIG_QUEUE];
	struct submission s;
	int i;

	begin(f, &q);
	s = taken(f, ABI_OP_RESERVE);
	answer_reserve(f, &s, 4711, 0);
	/* Fill up what is left, all but the place that is for this. */
	for (i = 0; i < RIG_QUEUE; i++) {
		pings[i] = on_key(SHMC_OP_PING, "");
		if (engine_begin(f->lane, &pings[i], true))
			break;
	}
	assert_true(i < RIG_QUEUE);
	engine_drop(f->lane, -ETIMEDOUT);
	assert_int_equal(q.result, -ETIMEDOUT);
	while (engine_pop(f->lane))
		;
	for (i = 0; rig_take(&f->rig, 0, &s) && s.operation != ABI_OP_ABORT; i++)
		answer(f, &s, ABI_STATUS_OK);
	assert_true(i >= 4);
	assert_int_equal(s.operation, ABI_OP_ABORT);
	assert_int_equal(s.argument, 4711);
	answer(f, &s, ABI_STATUS_OK);
	assert_none_taken(f);
	assert_int_equal(ring_in_flight(&f->lane->ring), 0);
	assert_int_equal(f->lane->engine.n_open, 0);
}

/* --- order ------------------------------------------------------------------------------------ */

static void a_read_waits_for_the_write_before_it(void **state)
{
	struct fixture *f = *state;
	struct shmc_request put = put_of("key", "new", 3), get = on_key(SHMC_OP_GET, "key");
	struct shmc_request again = put_of("key", "two", 3);
	struct shmc_request other = on_key(SHMC_OP_EXISTS, "other");
	struct shmc_request last = on_key(SHMC_OP_GET, "key");
	struct shared_u64 *slot;
	struct submission s;

	rig_store(&f->rig, "other", "there");
	begin(f, &put);
	begin(f, &get);
	begin(f, &again);
	begin(f, &last);
	begin(f, &other);
	assert_done(f, &other, 0);
	assert_null(engine_pop(f->lane));
	s = taken(f, ABI_OP_PUT);
	/* The second put waits for the read, which is to see the first. */
	assert_none_taken(f);
	slot = rig_store(&f->rig, "key", "new");
	answer(f, &s, ABI_STATUS_OK);
	assert_done(f, &put, 0);
	assert_done(f, &get, 0);
	assert_memory_equal(get.view.data, "new", 3);
	s = taken(f, ABI_OP_PUT);
	shared_u64_store_release(slot, 0);
	rig_store(&f->rig, "key", "two");
	answer(f, &s, ABI_STATUS_OK);
	assert_done(f, &again, 0);
	assert_done(f, &last, 0);
	assert_memory_equal(last.view.data, "two", 3);
	shmc_release(f->rig.cache, &get.view);
	shmc_release(f->rig.cache, &last.view);
}

static void plain_writes_on_one_key_do_not_wait(void **state)
{
	struct fixture *f = *state;
	struct shmc_request put = put_of("key", "new", 3), delete = on_key(SHMC_OP_DELETE, "key");
	struct submission s;

	begin(f, &put);
	begin(f, &delete);
	s = taken(f, ABI_OP_PUT);
	answer(f, &s, ABI_STATUS_OK);
	s = taken(f, ABI_OP_DELETE);
	answer(f, &s, ABI_STATUS_OK);
}

static void all_wait_for_a_put_in_several_steps(void **state)
{
	struct fixture *f = *state;
	static uint8_t value[100000];
	struct shmc_request large = put_of("key", value, sizeof(value));
	struct shmc_request delete = on_key(SHMC_OP_DELETE, "key");
	struct submission s;

	begin(f, &large);
	begin(f, &delete);
	s = taken(f, ABI_OP_RESERVE);
	assert_none_taken(f);
	answer_reserve(f, &s, 1, 0);
	s = taken(f, ABI_OP_COMMIT);
	assert_none_taken(f);
	answer(f, &s, ABI_STATUS_OK);
	s = taken(f, ABI_OP_DELETE);
	answer(f, &s, ABI_STATUS_OK);
	assert_done(f, &large, 0);
	assert_done(f, &delete, 0);
}

/* A commit takes effect on the key of its reservation. */
static void a_read_waits_for_a_commit(void **state)
{
	struct fixture *f = *state;
	struct shmc_request reserve = on_key(SHMC_OP_RESERVE, "key"), commit;
	struct shmc_request exists = on_key(SHMC_OP_EXISTS, "key");
	struct submission s;

	reserve.value_size = 100;
	begin(f, &reserve);
	s = taken(f, ABI_OP_RESERVE);
	answer_reserve(f, &s, 1, 128);
	assert_done(f, &reserve, 0);
	assert_ptr_equal(reserve.reservation.data, f->rig.dram + 128);
	assert_int_equal(reserve.reservation.size, 100);
	commit = (struct shmc_request){
		.operation = SHMC_OP_COMMIT, .reservation = reserve.reservation};
	begin(f, &commit);
	begin(f, &exists);
	assert_null(engine_pop(f->lane));
	s = taken(f, ABI_OP_COMMIT);
	rig_store(&f->rig, "key", "value");
	answer(f, &s, ABI_STATUS_OK);
	assert_done(f, &commit, 0);
	assert_null(commit.reservation.data);
	assert_done(f, &exists, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define W(f) cmocka_unit_test_setup_teardown(f, setup_writer, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(carries_all_that_a_put_says),
		T(every_status_is_a_result),
		T(what_is_wrong_in_itself_is_not_sent),
		T(rings_once_a_batch_and_only_a_sleeper),
		T(answers_find_their_requests),
		T(one_place_is_left_empty),
		W(a_writer_fills_the_block_itself),
		T(a_stager_sends_chunks),
		T(commit_waits_for_every_write),
		T(staging_of_the_abandoned_stays_until_it_is_answered),
		W(a_late_reservation_is_given_back),
		T(a_put_given_up_in_the_middle_is_aborted),
		T(a_read_waits_for_the_write_before_it),
		T(plain_writes_on_one_key_do_not_wait),
		W(all_wait_for_a_put_in_several_steps),
		W(a_read_waits_for_a_commit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
