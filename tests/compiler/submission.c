/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A submission's words are loaded once each, by the code that the compiler made.
 *
 * The broker validates a private copy of what a hostile client can change at any time. A word that
 * is loaded twice can pass the check with one value and be used with another, and plain C lets the
 * compiler load twice: gcc and clang both do it, for a switch or for a memcpy() that they see
 * through. submission_snapshot() loads through atomics for that reason. Here its machine code runs,
 * built at each level of optimisation, and each of its loads from the slot is counted.
 *
 * That the count finds what it should is shown with readers that do it wrong. Tried by hand with
 * gcc 12 and clang 14: a snapshot by plain loads of the words, or by one memcpy(), fails from -O2
 * on with gcc and from -O1 or -O0 on with clang, which both load two words by one instruction; one
 * that looks at the slot in place fails everywhere.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "ipc/submission.h"
#include "tests/compiler/loads.h"

#define N_WORDS 8
#define SEQUENCE 7 /* the word that says that the others are there */

struct take {
	struct abi_submission *slot;
	uint64_t position;
	int is_there;
	enum abi_fault fault;
	struct submission submission;
};

static struct abi_submission *slot;

static int setup(void **state)
{
	(void)state;
	slot = loads_alloc(sizeof(*slot));
	return slot ? 0 : -1;
}

/* How often each word was loaded; an access that is not to the beginning of a word is a failure. */
static void count(const struct loads *loads, unsigned n[N_WORDS])
{
	size_t i;

	memset(n, 0, N_WORDS * sizeof(*n));
	assert_true(loads->n <= LOADS_MAX);
	for (i = 0; i < loads->n; i++) {
		assert_int_equal(loads->off[i] % sizeof(uint64_t), 0);
		assert_true(loads->off[i] / sizeof(uint64_t) < N_WORDS);
		n[loads->off[i] / sizeof(uint64_t)]++;
	}
}

/* As the worker does it. */
static void take(void *context)
{
	struct take *t = context;

	t->is_there = submission_is_there(t->slot, t->position);
	if (t->is_there)
		t->fault = submission_snapshot(t->slot, &t->submission);
}

static void expect_once(struct take *t)
{
	unsigned n[N_WORDS], i;
	struct loads loads;

	t->slot = slot;
	loads_watch(slot, &loads, take, t);
	count(&loads, n);
	for (i = 0; i < N_WORDS; i++)
		assert_int_equal(n[i], 1);
}

static void whole(void **state)
{
	const struct submission s = {.operation = ABI_OP_PUT, .flags = SUBMISSION_IF_ABSENT,
		.tier = ABI_TIER_CXL, .priority = 3, .key_size = 110, .id = 77, .position = 5,
		.staging_off = 4096, .value_size = 999, .argument = 1234567, .group = 7654321};
	struct take t = {.position = 41};

	(void)state;
	submission_publish(slot, 41, &s);
	expect_once(&t);
	assert_int_equal(t.fault, ABI_FAULT_NONE);
	assert_int_equal(t.submission.operation, s.operation);
	assert_int_equal(t.submission.key_size, s.key_size);
	assert_int_equal(t.submission.value_size, s.value_size);
	assert_int_equal(t.submission.argument, s.argument);
	assert_int_equal(t.submission.group, s.group);
}

/* Whatever it says: what is wrong in one word must not bring another look at it. */
static void nonsense(void **state)
{
	unsigned bit;

	(void)state;
	for (bit = 0; bit < 7 * 64; bit++) {
		const struct submission s = {.operation = ABI_OP_DELETE, .key_size = 3};
		struct take t = {.position = 0};

		submission_publish(slot, 0, &s);
		shared_u64_store(&slot->word[bit / 64],
			shared_u64_load(&slot->word[bit / 64]) ^ UINT64_C(1) << bit % 64);
		expect_once(&t);
	}
}

static void absent(void **state)
{
	const struct submission s = {.operation = ABI_OP_PING};
	struct take t = {.slot = slot, .position = 8};
	unsigned n[N_WORDS], i;
	struct loads loads;

	(void)state;
	submission_publish(slot, 7, &s);
	loads_watch(slot, &loads, take, &t);
	assert_false(t.is_there);
	count(&loads, n);
	for (i = 0; i < N_WORDS; i++)
		assert_int_equal(n[i], i == SEQUENCE);
}

/* --- the counter counts ---------------------------------------------------------------------- */

/* Checks one load and uses another. */
static void take_twice(void *context)
{
	const volatile uint64_t *word = (const volatile uint64_t *)slot;
	struct take *t = context;

	if ((uint8_t)word[0] < ABI_N_OPERATIONS)
		t->submission.operation = (uint8_t)word[0];
}

static void second_load(void **state)
{
	unsigned n[N_WORDS];
	struct loads loads;
	struct take t;

	(void)state;
	loads_watch(slot, &loads, take_twice, &t);
	count(&loads, n);
	assert_int_equal(n[0], 2);
	assert_int_equal(n[1], 0);
}

/* Two words by one instruction: the second one is not seen, which is no single load either. */
static void take_wide(void *context)
{
	typedef uint64_t pair __attribute__((vector_size(16), may_alias));

	*(volatile pair *)context = *(const volatile pair *)slot;
}

static void wide_load(void **state)
{
	uint64_t pair[2] __attribute__((aligned(16)));
	unsigned n[N_WORDS];
	struct loads loads;

	(void)state;
	loads_watch(slot, &loads, take_wide, pair);
	count(&loads, n);
	assert_int_equal(n[0], 1);
	assert_int_equal(n[1], 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole),
		cmocka_unit_test(nonsense),
		cmocka_unit_test(absent),
		cmocka_unit_test(second_load),
		cmocka_unit_test(wide_load),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
