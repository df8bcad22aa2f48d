/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of ipc/abi.c: the geometry of a lane, the fingerprint, the names. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <cmocka.h>

#include "ipc/abi.h"

static struct abi_geometry good(void)
{
	return (struct abi_geometry){.n_lanes = 8,
		.n_queue = 64,
		.n_holds = 256,
		.n_log = 4096,
		.staging_size = 1 << 20};
}

/* Each part after the one before, with room for all of it, and the next lane's after the last. */
static void check_layout(const struct abi_geometry *g)
{
	assert_int_equal(g->submission_off, sizeof(struct abi_lane_request));
	assert_true(g->hold_off >= g->submission_off + 64ULL * g->n_queue);
	assert_true(g->log_off >= g->hold_off + 8ULL * g->n_holds);
	assert_true(g->staging_off >= g->log_off + 4ULL * g->n_log);
	assert_true(g->request_stride >= (uint64_t)g->staging_off + g->staging_size);
	assert_int_equal(g->submission_off % ABI_CELL, 0);
	/* Each has another reader or rhythm: no line, nor pair of lines, in common. */
	assert_int_equal(g->submission_off % ABI_APART, 0);
	assert_int_equal(g->hold_off % ABI_APART, 0);
	assert_int_equal(g->log_off % ABI_APART, 0);
	assert_int_equal(g->staging_off % 4096, 0);
	assert_int_equal(g->request_stride % 4096, 0);
	assert_int_equal(g->completion_off % ABI_APART, 0);
	assert_true(g->completion_off >= sizeof(struct abi_lane_response));
	assert_true(g->elsewhere_off >= g->completion_off + 32ULL * g->n_queue);
	assert_int_equal(g->elsewhere_off % ABI_APART, 0);
	assert_true(g->response_stride >= g->elsewhere_off + 64ULL * g->n_queue);
	assert_int_equal(g->response_stride % 4096, 0);
}

static void test_geometry(void **state)
{
	static const uint32_t lanes[] = {1, 7, 256}, queues[] = {16, 64, 4096},
			      holds[] = {64, 80, 1024, 65536}, logs[] = {64, 4096, 1 << 20},
			      stagings[] = {64 << 10, 68 << 10, 64 << 20};
	struct abi_geometry g;
	unsigned a, b, c, e, f;

	(void)state;
	for (a = 0; a < 3; a++)
		for (b = 0; b < 3; b++)
			for (c = 0; c < 4; c++)
				for (e = 0; e < 3; e++)
					for (f = 0; f < 3; f++) {
						g = (struct abi_geometry){lanes[a], queues[b],
							holds[c], logs[e], stagings[f], 0, 0, 0,
							0, 0, 0, 0, 0};
						assert_int_equal(abi_geometry_init(&g), 0);
						check_layout(&g);
					}
}

static void test_geometry_bounds(void **state)
{
	static const struct {
		size_t field;
		uint32_t value;
	} bad[] = {
#define BAD(field, value) {offsetof(struct abi_geometry, field), value}
		BAD(n_lanes, 0),
		BAD(n_lanes, ABI_LANES_MAX + 1),
		BAD(n_lanes, UINT32_MAX),
		BAD(n_queue, 0),
		BAD(n_queue, 8),
		BAD(n_queue, 63),
		BAD(n_queue, 96),
		BAD(n_queue, 8192),
		BAD(n_queue, 1U << 31),
		BAD(n_holds, 0),
		BAD(n_holds, 48),
		BAD(n_holds, 65),
		BAD(n_holds, 65536 + 16),
		BAD(n_log, 0),
		BAD(n_log, 32),
		BAD(n_log, 65),
		BAD(n_log, 1 << 21),
		BAD(staging_size, 0),
		BAD(staging_size, 60 << 10),
		BAD(staging_size, (64 << 10) + 1),
		BAD(staging_size, (64 << 20) + 4096),
		BAD(staging_size, UINT32_MAX),
	};
	struct abi_geometry g;
	unsigned i;

	(void)state;
	g = good();
	assert_int_equal(abi_geometry_init(&g), 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		g = good();
		memcpy((char *)&g + bad[i].field, &bad[i].value, sizeof(bad[i].value));
		if (abi_geometry_init(&g) != -EINVAL)
			fail_msg("field at %zu = %u is taken", bad[i].field, bad[i].value);
	}
}

static void test_fingerprint(void **state)
{
	(void)state;
	assert_int_equal(abi_fingerprint(), abi_fingerprint());
	assert_int_not_equal(abi_fingerprint(), 0);
}

static void test_words(void **state)
{
	uint64_t word = abi_word(0x12345678, 0xabcdef01, UINT64_C(0xfedc000000000001));

	(void)state;
	assert_int_equal(abi_word_cell(word), 0x12345678);
	assert_int_equal(abi_word_generation(word), 0xef01);
	assert_int_equal(abi_word_tag(word), 0xfedc);
	assert_int_equal(abi_word(1, 0, 0), 1);
	assert_int_equal(abi_word(UINT32_MAX, UINT32_MAX, UINT64_MAX), UINT64_MAX);
	/* Of two that differ in one part, the words differ. */
	assert_int_not_equal(abi_word(1, 1, 0), abi_word(1, 2, 0));
	assert_int_not_equal(abi_word(1, 1, 0), abi_word(1, 1, UINT64_C(1) << 48));
}

/* Every number has a name of its own, and what is no number has "?". */
static void check_names(const char *(*name)(unsigned), unsigned n)
{
	unsigned i, k;

	for (i = 0; i < n; i++) {
		assert_string_not_equal(name(i), "?");
		for (k = 0; k < i; k++)
			assert_string_not_equal(name(i), name(k));
	}
	assert_string_equal(name(n), "?");
	assert_string_equal(name(UINT32_MAX), "?");
}

static void test_names(void **state)
{
	(void)state;
	check_names(abi_operation_name, ABI_N_OPERATIONS);
	check_names(abi_status_name, ABI_N_STATUSES);
	check_names(abi_fault_name, ABI_N_FAULTS);
	check_names(abi_counter_name, ABI_N_COUNTERS);
	check_names(abi_gauge_name, ABI_N_GAUGES);
	check_names(abi_fetch_miss_name, ABI_N_FETCH_MISSES);
	check_names(abi_write_back_name, ABI_N_WRITE_BACKS);
	for (unsigned i = 0; i < ABI_N_COUNTERS; i++)
		assert_true(strlen(abi_counter_help(i)) > 5);
	for (unsigned i = 0; i < ABI_N_GAUGES; i++)
		assert_true(strlen(abi_gauge_help(i)) > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_geometry),
		cmocka_unit_test(test_geometry_bounds),
		cmocka_unit_test(test_fingerprint),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
