/* SPDX-License-Identifier: Apache-2.0 */
/* ends.c: see ends.h. */
#include "tests/clients/ends.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int open_as(void **state, enum wire_role role)
{
	static struct ends f;

	rig_open(&f.rig, role);
	*state = &f;
	return handle_lane_find(f.rig.cache, HANDLE_WRITE, DEADLINE_NEVER, &f.lane);
}

int ends_setup_stager(void **state)
{
	return open_as(state, WIRE_ROLE_STAGER);
}

int ends_setup_writer(void **state)
{
	return open_as(state, WIRE_ROLE_WRITER);
}

int ends_teardown(void **state)
{
	struct ends *f = *state;

	rig_close(&f->rig);
	return 0;
}

void ends_begin(struct ends *f, struct shmc_request *request)
{
	request->result = 12345;
	assert_int_equal(engine_begin(f->lane, request, false), 0);
}

struct submission ends_taken(struct ends *f, enum abi_operation operation)
{
	struct submission s;

	assert_true(rig_take(&f->rig, 0, &s));
	assert_int_equal(s.operation, operation);
	return s;
}

void ends_none_taken(struct ends *f)
{
	struct submission s;

	assert_false(rig_take(&f->rig, 0, &s));
}

void ends_answer(struct ends *f, const struct submission *s, enum abi_status status)
{
	rig_answer(&f->rig, 0, s->id, status, 0, 0);
	assert_int_equal(engine_pump(f->lane), 1);
}

void ends_reserved(struct ends *f, const struct submission *s, uint64_t id, uint64_t off)
{
	rig_answer(&f->rig, 0, s->id, ABI_STATUS_OK, id, submission_location(ABI_TIER_DRAM, off));
	assert_int_equal(engine_pump(f->lane), 1);
}

void ends_done(struct ends *f, struct shmc_request *request, int result)
{
	assert_ptr_equal(engine_pop(f->lane), request);
	assert_int_equal(request->result, result);
}
