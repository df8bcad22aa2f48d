/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of engine-put.c: puts in several steps. */
#include "tests/clients/ends.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void fill(uint8_t *value, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		value[i] = (uint8_t)(i * 2654435761U >> 24);
}

static void a_writer_fills_the_block_itself(void **state)
{
	struct ends *f = *state;
	enum { SIZE = 300000, OFF = 4096 };
	uint8_t *value = malloc(SIZE);
	struct shmc_request q = ends_put_of("large", value, SIZE);
	struct submission s;

	fill(value, SIZE);
	q.options.flags = SHMC_IF_ABSENT;
	q.options.ttl_ms = 99;
	ends_begin(f, &q);
	s = ends_taken(f, ABI_OP_RESERVE);
	assert_int_equal(s.flags, SUBMISSION_IF_ABSENT);
	assert_int_equal(s.argument, 99);
	assert_int_equal(s.value_size, SIZE);
	ends_reserved(f, &s, 4711, OFF);
	assert_memory_equal(f->rig.dram + OFF, value, SIZE);
	s = ends_taken(f, ABI_OP_COMMIT);
	assert_int_equal(s.argument, 4711);
	ends_answer(f, &s, ABI_STATUS_EXISTS);
	ends_done(f, &q, SHMC_EXISTS);

	ends_begin(f, &q);
	s = ends_taken(f, ABI_OP_RESERVE);
	ends_answer(f, &s, ABI_STATUS_NOSPACE);
	ends_done(f, &q, SHMC_NOSPACE);
	ends_none_taken(f);
	free(value);
}

/* Take WRITEs and put them where they belong, as a broker does; returns how many. */
static unsigned write_some(struct ends *f, uint64_t reservation, uint8_t *block, unsigned max,
	enum abi_status status)
{
	struct submission s;
	unsigned n;

	for (n = 0; n < max && rig_take(&f->rig, 0, &s); n++) {
		assert_int_equal(s.operation, ABI_OP_WRITE);
		assert_int_equal(s.argument, reservation);
		memcpy(block + s.group, rig_staging(&f->rig, 0) + s.staging_off, s.value_size);
		ends_answer(f, &s, status);
	}
	return n;
}

static void a_stager_sends_chunks(void **state)
{
	struct ends *f = *state;
	enum { SIZE = 300001 };
	uint8_t *value = malloc(SIZE), *block = calloc(1, SIZE);
	struct shmc_request q = ends_put_of("large", value, SIZE);
	struct shmc_request other = ends_put_of("other", value, SIZE);
	struct shmc_request small = ends_put_of("small", "x", 1);
	struct submission s;
	unsigned n = 0, chunk;

	fill(value, SIZE);
	ends_begin(f, &q);
	/* One at a time; the small ones go by. */
	assert_int_equal(engine_begin(f->lane, &other, false), ENGINE_FULL);
	ends_begin(f, &small);
	s = ends_taken(f, ABI_OP_RESERVE);
	ends_reserved(f, &s, 4711, 0);
	s = ends_taken(f, ABI_OP_PUT);
	ends_answer(f, &s, ABI_STATUS_OK);
	ends_done(f, &small, 0);
	while (f->lane->ring.submitted - f->rig.consumed[0] &&
		engine_progress(&q)->step == ENGINE_STEP_WRITE)
		n += write_some(f, 4711, block, 1, ABI_STATUS_OK);
	chunk = f->lane->engine.staging.size / 4;
	assert_int_equal(n, (SIZE + chunk - 1) / chunk);
	assert_memory_equal(block, value, SIZE);
	s = ends_taken(f, ABI_OP_COMMIT);
	assert_int_equal(s.argument, 4711);
	assert_null(engine_pop(f->lane));
	ends_answer(f, &s, ABI_STATUS_OK);
	ends_done(f, &q, 0);
	ends_begin(f, &other);
	ends_taken(f, ABI_OP_RESERVE);
	free(value);
	free(block);
}

static void commit_waits_for_every_write(void **state)
{
	struct ends *f = *state;
	enum { SIZE = 60000 };
	static uint8_t value[SIZE];
	struct shmc_request q = ends_put_of("large", value, SIZE);
	struct submission s, w[8];
	unsigned n = 0, i;

	ends_begin(f, &q);
	s = ends_taken(f, ABI_OP_RESERVE);
	ends_reserved(f, &s, 4711, 0);
	while (rig_take(&f->rig, 0, &w[n]))
		n++;
	assert_int_equal(n, 4);
	for (i = n; i-- > 0;) {
		ends_none_taken(f);
		ends_answer(f, &w[i], i == 2 ? ABI_STATUS_DAMAGED : ABI_STATUS_OK);
	}
	/* One of them failed: the block goes back, and the answer to that concerns nobody. */
	ends_done(f, &q, -EIO);
	s = ends_taken(f, ABI_OP_ABORT);
	assert_int_equal(s.argument, 4711);
	ends_answer(f, &s, ABI_STATUS_OK);
	assert_null(engine_pop(f->lane));
	assert_int_equal(ring_in_flight(&f->lane->ring), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ENDS_TEST(a_writer_fills_the_block_itself, writer),
		ENDS_TEST(a_stager_sends_chunks, stager),
		ENDS_TEST(commit_waits_for_every_write, stager),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
