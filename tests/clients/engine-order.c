/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of engine-order.c: which requests on one key wait for each other. */
#include "tests/clients/ends.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void a_read_waits_for_the_write_before_it(void **state)
{
	struct ends *f = *state;
	struct shmc_request put = ends_put_of("key", "new", 3), get = ends_on_key(SHMC_OP_GET, "key");
	struct shmc_request again = ends_put_of("key", "two", 3);
	struct shmc_request other = ends_on_key(SHMC_OP_EXISTS, "other");
	struct shmc_request last = ends_on_key(SHMC_OP_GET, "key");
	struct shared_u64 *slot;
	struct submission s;

	rig_store(&f->rig, "other", "there");
	ends_begin(f, &put);
	ends_begin(f, &get);
	ends_begin(f, &again);
	ends_begin(f, &last);
	ends_begin(f, &other);
	ends_done(f, &other, 0);
	assert_null(engine_pop(f->lane));
	s = ends_taken(f, ABI_OP_PUT);
	/* The second put waits for the read, which is to see the first. */
	ends_none_taken(f);
	slot = rig_store(&f->rig, "key", "new");
	ends_answer(f, &s, ABI_STATUS_OK);
	ends_done(f, &put, 0);
	ends_done(f, &get, 0);
	assert_memory_equal(get.view.data, "new", 3);
	s = ends_taken(f, ABI_OP_PUT);
	shared_u64_store_release(slot, 0);
	rig_store(&f->rig, "key", "two");
	ends_answer(f, &s, ABI_STATUS_OK);
	ends_done(f, &again, 0);
	ends_done(f, &last, 0);
	assert_memory_equal(last.view.data, "two", 3);
	shmc_release(f->rig.cache, &get.view);
	shmc_release(f->rig.cache, &last.view);
}

static void plain_writes_on_one_key_do_not_wait(void **state)
{
	struct ends *f = *state;
	struct shmc_request put = ends_put_of("key", "new", 3);
	struct shmc_request delete = ends_on_key(SHMC_OP_DELETE, "key");
	struct submission s;

	ends_begin(f, &put);
	ends_begin(f, &delete);
	s = ends_taken(f, ABI_OP_PUT);
	ends_answer(f, &s, ABI_STATUS_OK);
	s = ends_taken(f, ABI_OP_DELETE);
	ends_answer(f, &s, ABI_STATUS_OK);
}

static void all_wait_for_a_put_in_several_steps(void **state)
{
	struct ends *f = *state;
	static uint8_t value[100000];
	struct shmc_request large = ends_put_of("key", value, sizeof(value));
	struct shmc_request delete = ends_on_key(SHMC_OP_DELETE, "key");
	struct submission s;

	ends_begin(f, &large);
	ends_begin(f, &delete);
	s = ends_taken(f, ABI_OP_RESERVE);
	ends_none_taken(f);
	ends_reserved(f, &s, 1, 0);
	s = ends_taken(f, ABI_OP_COMMIT);
	ends_none_taken(f);
	ends_answer(f, &s, ABI_STATUS_OK);
	s = ends_taken(f, ABI_OP_DELETE);
	ends_answer(f, &s, ABI_STATUS_OK);
	ends_done(f, &large, 0);
	ends_done(f, &delete, 0);
}

/* Its block is there, and nothing of it is under way: others have all the room for bytes. */
static void all_wait_for_a_put_that_has_no_room(void **state)
{
	struct ends *f = *state;
	static uint8_t value[100000];
	uint32_t size = f->lane->engine.staging.size / 8;
	struct shmc_request large = ends_put_of("key", value, sizeof(value)), other[16];
	struct shmc_request delete = ends_on_key(SHMC_OP_DELETE, "key");
	struct submission s;
	unsigned n;

	assert_true(size <= sizeof(value));
	ends_begin(f, &large);
	s = ends_taken(f, ABI_OP_RESERVE);
	for (n = 0; n < 16; n++) {
		other[n] = ends_put_of("other", value, size);
		if (engine_begin(f->lane, &other[n], false))
			break;
		(void)ends_taken(f, ABI_OP_PUT);
	}
	assert_in_range(n, 1, 15);
	ends_reserved(f, &s, 1, 0);
	ends_begin(f, &delete);
	ends_none_taken(f);
}

/* A commit takes effect on the key of its reservation. */
static void a_read_waits_for_a_commit(void **state)
{
	struct ends *f = *state;
	struct shmc_request reserve = ends_on_key(SHMC_OP_RESERVE, "key"), commit;
	struct shmc_request exists = ends_on_key(SHMC_OP_EXISTS, "key");
	struct submission s;

	reserve.value_size = 100;
	ends_begin(f, &reserve);
	s = ends_taken(f, ABI_OP_RESERVE);
	ends_reserved(f, &s, 1, 128);
	ends_done(f, &reserve, 0);
	assert_ptr_equal(reserve.reservation.data, f->rig.dram + 128);
	assert_int_equal(reserve.reservation.size, 100);
	commit = (struct shmc_request){
		.operation = SHMC_OP_COMMIT, .reservation = reserve.reservation};
	ends_begin(f, &commit);
	ends_begin(f, &exists);
	assert_null(engine_pop(f->lane));
	s = ends_taken(f, ABI_OP_COMMIT);
	rig_store(&f->rig, "key", "value");
	ends_answer(f, &s, ABI_STATUS_OK);
	ends_done(f, &commit, 0);
	assert_null(commit.reservation.data);
	ends_done(f, &exists, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ENDS_TEST(a_read_waits_for_the_write_before_it, stager),
		ENDS_TEST(plain_writes_on_one_key_do_not_wait, stager),
		ENDS_TEST(all_wait_for_a_put_in_several_steps, writer),
		ENDS_TEST(all_wait_for_a_put_that_has_no_room, stager),
		ENDS_TEST(a_read_waits_for_a_commit, writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
