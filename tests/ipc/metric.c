/* SPDX-License-Identifier: Apache-2.0 */
/* metric.c: unit of ipc/metric.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ipc/metric.h"

static struct abi_plane plane;

/* Whoever counts, a worker, the control thread or the mover: it is in the sum. */
static void test_all_threads(void **state)
{
	struct histogram h;
	unsigned i;

	(void)state;
	memset(&plane, 0, sizeof(plane));
	for (i = 0; i < ABI_THREADS; i++) {
		shared_u64_add(&plane.worker[i].counter[ABI_COUNTER_DEMOTIONS], 1 + i);
		shared_u64_add(&plane.worker[i].request[ABI_OP_PUT], 1 + i);
		histogram_add(&plane.worker[i].operation_time[ABI_OP_PUT], 1000 + i, 1);
		histogram_add(&plane.worker[i].stage_time[ABI_STAGE_WAIT], 1000 + i, 1);
	}
	assert_int_equal(metric_counter(&plane, ABI_COUNTER_DEMOTIONS),
		ABI_THREADS * (ABI_THREADS + 1) / 2);
	assert_int_equal(metric_counter(&plane, ABI_COUNTER_PROMOTIONS), 0);
	assert_int_equal(metric_kind(&plane, &metric_kinds[METRIC_REQUESTS], ABI_OP_PUT),
		ABI_THREADS * (ABI_THREADS + 1) / 2);
	metric_operation_time(&plane, ABI_OP_PUT, &h);
	assert_int_equal(h.n, ABI_THREADS);
	assert_int_equal(h.max_ns, 1000 + ABI_THREADS - 1);
	metric_operation_time(&plane, ABI_OP_PING, &h);
	assert_int_equal(h.n, 0);
	metric_stage_time(&plane, ABI_STAGE_WAIT, &h);
	assert_int_equal(h.n, ABI_THREADS);
}

/* Each kind has a word of its own, and a name. */
static void test_kinds(void **state)
{
	struct abi_worker *w = &plane.worker[ABI_CONTROL];
	struct shared_u64 *const word[METRIC_N_KINDS] = {
		[METRIC_REQUESTS] = w->request,
		[METRIC_ANSWERS] = w->answer,
		[METRIC_FAULTS] = w->fault,
		[METRIC_REFUSALS] = w->refusal,
		[METRIC_MISSES] = w->miss,
		[METRIC_FETCH_MISSES] = w->fetch_miss,
	};
	const struct metric_kinds *kinds;
	unsigned i, j;

	(void)state;
	memset(&plane, 0, sizeof(plane));
	for (i = 0; i < METRIC_N_KINDS; i++) {
		kinds = &metric_kinds[i];
		assert_true(kinds->n > 1);
		for (j = kinds->first; j < kinds->first + kinds->n; j++) {
			assert_string_not_equal(kinds->kind_name(j), "?");
			assert_int_equal(metric_kind(&plane, kinds, j), 0);
			shared_u64_store(&word[i][j], 100 * i + j + 1);
			assert_int_equal(metric_kind(&plane, kinds, j), 100 * i + j + 1);
		}
		assert_string_equal(kinds->kind_name(j), "?");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_threads),
		cmocka_unit_test(test_kinds),
	};

	return cmocka_run_group_tests_name("metric", tests, NULL, NULL);
}
