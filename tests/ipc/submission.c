/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of ipc/submission.c: slots of the rings, packed and unpacked, friendly and hostile. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <cmocka.h>

#include "ipc/submission.h"

static struct submission of_ones(void)
{
	struct submission s = {.operation = ABI_OP_FLUSH,
		.flags = SUBMISSION_IF_ABSENT,
		.tier = ABI_TIER_CXL,
		.priority = UINT8_MAX,
		.key_size = UINT16_MAX,
		.id = UINT32_MAX,
		.position = UINT32_MAX,
		.staging_off = UINT32_MAX,
		.value_size = UINT32_MAX,
		.argument = UINT64_MAX,
		.group = UINT64_MAX,
		.since_ms = UINT64_MAX};

	return s;
}

static void check_equal(const struct submission *a, const struct submission *b)
{
	assert_int_equal(a->operation, b->operation);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->tier, b->tier);
	assert_int_equal(a->priority, b->priority);
	assert_int_equal(a->key_size, b->key_size);
	assert_int_equal(a->id, b->id);
	assert_int_equal(a->position, b->position);
	assert_int_equal(a->staging_off, b->staging_off);
	assert_int_equal(a->value_size, b->value_size);
	assert_int_equal(a->argument, b->argument);
	assert_int_equal(a->group, b->group);
	assert_int_equal(a->since_ms, b->since_ms);
}

static void check_round_trip(const struct submission *s)
{
	struct abi_submission slot;
	struct submission got;

	memset(&slot, 0xff, sizeof(slot));
	memset(&got, 0xee, sizeof(got));
	submission_publish(&slot, 41, s);
	assert_true(submission_is_there(&slot, 41));
	assert_int_equal(submission_snapshot(&slot, &got), ABI_FAULT_NONE);
	check_equal(&got, s);
}

/* Each field by itself at its greatest: none runs over into another. */
static void test_fields(void **state)
{
	const struct submission ones = of_ones(), none = {.operation = ABI_OP_PING};
	struct submission s;

	(void)state;
	check_round_trip(&none);
	check_round_trip(&ones);
#define ONE_FIELD(field)                                                                         \
	do {                                                                                     \
		s = none;                                                                        \
		s.field = ones.field;                                                            \
		check_round_trip(&s);                                                            \
		s = ones;                                                                        \
		s.field = none.field;                                                            \
		check_round_trip(&s);                                                            \
	} while (0)
	ONE_FIELD(operation);
	ONE_FIELD(flags);
	ONE_FIELD(tier);
	ONE_FIELD(priority);
	ONE_FIELD(key_size);
	ONE_FIELD(id);
	ONE_FIELD(position);
	ONE_FIELD(staging_off);
	ONE_FIELD(value_size);
	ONE_FIELD(argument);
	ONE_FIELD(group);
	ONE_FIELD(since_ms);
}

/* A slot is there for one position alone: not before, and not once more a lap later. */
static void test_positions(void **state)
{
	struct abi_submission slot = {0};
	struct submission s = {.operation = ABI_OP_PING};
	uint64_t positions[] = {0, 1, 63, 64, UINT32_MAX, UINT64_MAX - 1, UINT64_MAX}, i;

	(void)state;
	/* A ring that was never written: nothing is there at the start. */
	assert_false(submission_is_there(&slot, 0));
	for (i = 0; i < 6; i++) {
		submission_publish(&slot, positions[i], &s);
		assert_true(submission_is_there(&slot, positions[i]));
		assert_false(submission_is_there(&slot, positions[i] + 64));
		assert_false(submission_is_there(&slot, positions[i] - 64));
		assert_false(submission_is_there(&slot, positions[i] + 1));
	}
}

/* Every bit of the words that must be zero is looked at, and every value that does not exist. */
static void test_hostile(void **state)
{
	struct submission s = {.operation = ABI_OP_PUT}, got;
	struct abi_submission slot;
	unsigned word, bit;
	enum abi_fault fault;

	(void)state;
	for (word = 0; word < 7; word++) {
		for (bit = 0; bit < 64; bit++) {
			submission_publish(&slot, 0, &s);
			shared_u64_store(&slot.word[word],
				shared_u64_load(&slot.word[word]) ^ UINT64_C(1) << bit);
			fault = submission_snapshot(&slot, &got);
			if (word == 6 || (word == 0 && ((bit >= 8 && bit < 16) ||
							       (bit >= 40 && bit < 48))))
				assert_int_equal(fault, ABI_FAULT_FIELD);
			else if (word == 0 && bit < 8)
				assert_int_equal(fault,
					(ABI_OP_PUT ^ 1U << bit) && (ABI_OP_PUT ^ 1U << bit) <
									    ABI_N_OPERATIONS
						? ABI_FAULT_NONE
						: ABI_FAULT_OPERATION);
			else if (word == 0 && bit >= 16 && bit < 24)
				assert_int_equal(
					fault, bit == 16 ? ABI_FAULT_NONE : ABI_FAULT_FIELD);
			else if (word == 0 && bit >= 24 && bit < 32)
				assert_int_equal(
					fault, bit < 26 ? ABI_FAULT_NONE : ABI_FAULT_FIELD);
			else
				assert_int_equal(fault, ABI_FAULT_NONE);
		}
	}
	s.tier = ABI_TIERS;
	submission_publish(&slot, 0, &s);
	assert_int_equal(submission_snapshot(&slot, &got), ABI_FAULT_FIELD);
	for (bit = 0; bit < 256; bit++) {
		s = (struct submission){.operation = (uint8_t)bit};
		submission_publish(&slot, 0, &s);
		assert_int_equal(submission_snapshot(&slot, &got),
			bit && bit < ABI_N_OPERATIONS ? ABI_FAULT_NONE : ABI_FAULT_OPERATION);
	}
}

/*
 * A flag is known by the operations that it means something to, and a policy is one that there is.
 */
static void test_flags(void **state)
{
	static const struct {
		uint8_t operation, flags;
	} known[] = {
		{ABI_OP_PUT, SUBMISSION_IF_ABSENT},
		{ABI_OP_DELETE, SUBMISSION_IF_ABSENT | SUBMISSION_CLUSTER},
		{ABI_OP_FETCH, SUBMISSION_PREFETCH | SUBMISSION_WRITE_BACK_MASK},
	};
	struct submission s = {0}, got;
	struct abi_submission slot;
	unsigned i, flags;
	bool is_known;

	(void)state;
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		s.operation = known[i].operation;
		for (flags = 0; flags < 256; flags++) {
			s.flags = (uint8_t)flags;
			is_known = !(flags & ~known[i].flags) &&
				submission_write_back(&s) <= ABI_N_WRITE_BACKS;
			submission_publish(&slot, 0, &s);
			assert_int_equal(submission_snapshot(&slot, &got),
				is_known ? ABI_FAULT_NONE : ABI_FAULT_FIELD);
		}
	}
	s = (struct submission){.operation = ABI_OP_FETCH,
		.flags = (ABI_WRITE_BACK_OFF + 1) << SUBMISSION_WRITE_BACK_SHIFT};
	assert_int_equal(submission_write_back(&s), ABI_N_WRITE_BACKS);
}

/* A place that is looked at: the same words, with where they were taken from. */
static void test_shown(void **state)
{
	const struct submission ones = of_ones();
	struct abi_submission place = {0};
	struct submission got;
	enum abi_fault flaw;
	uint64_t position;

	(void)state;
	assert_false(submission_seen(&place, &position, &got, &flaw));
	submission_show(&place, 0, &ones);
	assert_true(submission_seen(&place, &position, &got, &flaw));
	assert_int_equal(position, 0);
	assert_int_equal(flaw, ABI_FAULT_NONE);
	check_equal(&got, &ones);
	shared_u64_store(&place.word[6], 1);
	assert_true(submission_seen(&place, &position, &got, &flaw));
	assert_int_equal(flaw, ABI_FAULT_FIELD);
	submission_hide(&place);
	assert_false(submission_seen(&place, &position, &got, &flaw));
}

/* One that is used again while it is looked at: what is seen is of one position, all of it. */
static struct abi_submission busy;
static atomic_bool is_enough;

static void *show_main(void *context)
{
	struct submission s = {.operation = ABI_OP_FETCH};
	uint64_t i, pause;

	(void)context;
	for (i = 0; !atomic_load(&is_enough); i++) {
		s.id = s.staging_off = (uint32_t)i;
		s.argument = s.group = s.since_ms = i;
		submission_show(&busy, i, &s);
		for (pause = i % 128; pause; pause--)
			shared_relax();
		submission_hide(&busy);
	}
	return NULL;
}

static void test_shown_whole(void **state)
{
	uint64_t position, last = UINT64_MAX, n_changes = 0;
	struct submission got;
	enum abi_fault flaw;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, show_main, NULL), 0);
	while (n_changes < 20000) {
		if (!submission_seen(&busy, &position, &got, &flaw))
			continue;
		n_changes += position != last;
		last = position;
		assert_int_equal(got.id, (uint32_t)position);
		assert_int_equal(got.staging_off, (uint32_t)position);
		assert_int_equal(got.argument, position);
		assert_int_equal(got.group, position);
		assert_int_equal(got.since_ms, position);
	}
	atomic_store(&is_enough, true);
	pthread_join(thread, NULL);
}

static void test_value_off(void **state)
{
	struct submission s = {.staging_off = 100};
	unsigned size;

	(void)state;
	for (size = 0; size <= 1024; size++) {
		s.key_size = (uint16_t)size;
		assert_true(submission_value_off(&s) >= 100 + size);
		assert_true(submission_value_off(&s) < 100 + size + 8);
		assert_int_equal((submission_value_off(&s) - 100) % 8, 0);
	}
	/* No wrap at the top. */
	s.staging_off = UINT32_MAX;
	s.key_size = UINT16_MAX;
	assert_int_equal(submission_value_off(&s), UINT64_C(0xffffffff) + 65536);
}

static void test_completions(void **state)
{
	struct abi_completion slot = {0};
	struct completion c = {.id = UINT32_MAX,
				  .status = UINT32_MAX - 1,
				  .result = {UINT64_MAX, UINT64_MAX - 7}},
			  got = {0};

	(void)state;
	assert_false(completion_take(&slot, 0, &got));
	completion_publish(&slot, 7, &c);
	assert_false(completion_take(&slot, 6, &got));
	assert_false(completion_take(&slot, 8, &got));
	assert_int_equal(got.id, 0);
	assert_true(completion_take(&slot, 7, &got));
	assert_int_equal(got.id, c.id);
	assert_int_equal(got.status, c.status);
	assert_int_equal(got.result[0], c.result[0]);
	assert_int_equal(got.result[1], c.result[1]);
	assert_int_equal(submission_location(ABI_TIER_CXL, 0x123456789a),
		UINT64_C(2) << 56 | 0x123456789a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_positions),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_shown),
		cmocka_unit_test(test_shown_whole),
		cmocka_unit_test(test_value_off),
		cmocka_unit_test(test_completions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
