/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of request.c: reservations, what is written into them, and how much one session may have. */
#include "tests/shmcache/seat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct seat d;

static struct submission write_at(
	uint64_t reservation, uint64_t off, uint32_t staging_off, uint32_t size)
{
	return (struct submission){.operation = ABI_OP_WRITE,
		.id = 2,
		.argument = reservation,
		.group = off,
		.staging_off = staging_off,
		.value_size = size};
}

static void test_reserve(void **state)
{
	uint64_t a, b;
	struct submission sub;

	(void)state;
	a = seat_reserve(&d, "a", 10000);
	assert_int_equal(d.completion.result[1] >> 56, ABI_TIER_DRAM);
	assert_int_equal(
		d.completion.result[1] << 8 >> 8, d.rig.store.index.cell[(uint32_t)a].value_off);
	b = seat_reserve(&d, "b", 100);
	assert_int_not_equal(a, b);
	/* In two parts, the first written over once. */
	rig_fill(d.staging, 10000, 9);
	sub = write_at(a, 0, 1, 6000);
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_OK);
	sub = write_at(a, 0, 0, 6000);
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_OK);
	sub = write_at(a, 6000, 6000, 4000);
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_OK);
	assert_int_equal(seat_get(&d, "a", 9), 0);
	assert_int_equal(seat_finish(&d, ABI_OP_COMMIT, a), ABI_STATUS_OK);
	assert_int_equal(seat_get(&d, "a", 9), 10000);
	/* It is over: none of the three works any more. */
	assert_int_equal(seat_finish(&d, ABI_OP_COMMIT, a), ABI_STATUS_GONE);
	assert_int_equal(seat_finish(&d, ABI_OP_ABORT, a), ABI_STATUS_GONE);
	sub = write_at(a, 0, 0, 1);
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_GONE);
	assert_int_equal(seat_finish(&d, ABI_OP_ABORT, b), ABI_STATUS_OK);
	assert_int_equal(seat_finish(&d, ABI_OP_ABORT, b), ABI_STATUS_GONE);
	/* Never given out, and 0, which is what free places carry. */
	assert_int_equal(seat_finish(&d, ABI_OP_COMMIT, UINT64_MAX), ABI_STATUS_GONE);
	assert_int_equal(seat_finish(&d, ABI_OP_COMMIT, 0), ABI_STATUS_GONE);
	assert_int_equal(seat_finish(&d, ABI_OP_ABORT, 0), ABI_STATUS_GONE);
	sub = write_at(0, 0, 0, 1);
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_GONE);
	/* The cell of a published entry is no reservation. */
	assert_int_equal(seat_finish(&d, ABI_OP_ABORT, a & UINT32_MAX), ABI_STATUS_GONE);
	assert_int_equal(seat_get(&d, "a", 9), 10000);
	assert_int_equal(d.session->reserved_size, 0);
	assert_int_equal(d.session->n_reservations, 0);
	rig_check(&d.rig);
}

static void test_reserve_if_absent(void **state)
{
	struct submission sub = seat_make(&d, ABI_OP_RESERVE, "a", 100, 0);
	uint64_t a;

	(void)state;
	sub.flags = SUBMISSION_IF_ABSENT;
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_OK);
	a = d.completion.result[0];
	assert_int_equal(seat_ask_of(&d, ABI_OP_PUT, "a", 50, 5), ABI_STATUS_OK);
	assert_int_equal(seat_finish(&d, ABI_OP_COMMIT, a), ABI_STATUS_EXISTS);
	assert_int_equal(seat_get(&d, "a", 5), 50);
	sub = seat_make(&d, ABI_OP_RESERVE, "a", 100, 0);
	sub.flags = SUBMISSION_IF_ABSENT;
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_EXISTS);
	assert_int_equal(d.session->n_reservations, 0);
	rig_check(&d.rig);
}

static void test_write_ranges(void **state)
{
	const uint32_t end = (uint32_t)d.staging_size;
	uint64_t a = seat_reserve(&d, "a", 1000);
	struct {
		uint64_t off;
		uint32_t staging_off, size;
		bool good;
	} cases[] = {
		{0, 0, 1000, true},
		{0, 0, 1001, false},
		{1, 0, 1000, false},
		{999, 0, 1, true},
		{999, 0, 2, false},
		{1000, 0, 0, true},
		{1000, 0, 1, false},
		{1001, 0, 0, false},
		{UINT64_MAX, 0, 1, false},
		{UINT64_MAX, 0, 0, false},
		{UINT64_MAX - 999, 0, 1000, false},
		{0, end - 1000, 1000, true},
		{0, end - 999, 1000, false},
		{0, end, 0, true},
		{0, end, 1, false},
		{0, end + 1, 0, false},
		{0, UINT32_MAX, UINT32_MAX, false},
		{0, 1, UINT32_MAX, false},
	};
	struct submission sub;
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		sub = write_at(a, cases[i].off, cases[i].staging_off, cases[i].size);
		if (cases[i].good)
			assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_OK);
		else
			assert_int_equal(seat_break(&d, &sub), ABI_FAULT_RANGE);
	}
	rig_check(&d.rig);
}

static void test_too_big(void **state)
{
	struct submission sub = seat_make(&d, ABI_OP_RESERVE, "a", 0, 0);

	(void)state;
	assert_int_equal(seat_break(&d, &sub), ABI_FAULT_FIELD);
	assert_int_equal(seat_ask_of(&d, ABI_OP_RESERVE, "a", 16 * MIB + 1, 0), ABI_STATUS_TOO_BIG);
	assert_int_equal(seat_ask_of(&d, ABI_OP_RESERVE, "a", UINT32_MAX, 0), ABI_STATUS_TOO_BIG);
	assert_int_equal(d.session->n_reservations, 0);
}

static void test_reservations_quota(void **state)
{
	uint64_t id[64] = {0}, tier = d.rig.store.tier[ABI_TIER_DRAM].size;
	unsigned i, n = d.config.session.reservations;
	char key[16];

	(void)state;
	assert_true(n <= 64);
	for (i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "k%u", i);
		id[i] = seat_reserve(&d, key, 64);
	}
	assert_int_equal(seat_ask_of(&d, ABI_OP_RESERVE, "more", 64, 0), ABI_STATUS_QUOTA);
	assert_int_equal(seat_finish(&d, ABI_OP_ABORT, id[3]), ABI_STATUS_OK);
	id[3] = seat_reserve(&d, "more", 64);
	for (i = 0; i < n; i++)
		assert_int_equal(
			seat_finish(&d, i % 2 ? ABI_OP_ABORT : ABI_OP_COMMIT, id[i]), ABI_STATUS_OK);
	assert_int_equal(d.session->reserved_size, 0);
	assert_int_equal(shared_u64_load(&d.rig.w.counter[ABI_COUNTER_QUOTA]), 1);
	/* By bytes: the last that fits, one more. The first may be of any size. */
	d.session->limits.reserved_percent = 25;
	tier = tier / 100 * 25;
	id[0] = seat_reserve(&d, "a", (uint32_t)tier - 100);
	id[1] = seat_reserve(&d, "b", 100);
	assert_int_equal(seat_ask_of(&d, ABI_OP_RESERVE, "c", 1, 0), ABI_STATUS_QUOTA);
	assert_int_equal(seat_finish(&d, ABI_OP_ABORT, id[0]), ABI_STATUS_OK);
	assert_int_equal(seat_ask_of(&d, ABI_OP_RESERVE, "c", (uint32_t)tier - 99, 0), ABI_STATUS_QUOTA);
	assert_int_equal(seat_finish(&d, ABI_OP_ABORT, id[1]), ABI_STATUS_OK);
	id[0] = seat_reserve(&d, "a", (uint32_t)tier + 1);
	assert_int_equal(seat_ask_of(&d, ABI_OP_RESERVE, "c", 1, 0), ABI_STATUS_QUOTA);
	assert_int_equal(seat_finish(&d, ABI_OP_ABORT, id[0]), ABI_STATUS_OK);
	rig_check(&d.rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SEAT_TEST(test_reserve),
		SEAT_TEST(test_reserve_if_absent),
		SEAT_TEST(test_write_ranges),
		SEAT_TEST(test_too_big),
		SEAT_TEST(test_reservations_quota),
	};

	return RIG_RUN(tests);
}
