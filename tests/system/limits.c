/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and values of sizes that can't be, and submissions that no library would write.
 *
 * The library says no before the broker is asked. A client without it gets a status where it asked
 * for too much, and is cut off, counted and logged once, where it talked nonsense.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/system/common.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

/* And not the line that counts those which were not told. */
#define TOLD "event=session-cut-off session="

static struct system_broker broker;
static struct shmc *cache;

/* --- by the library --------------------------------------------------------------------------- */

static void test_key_sizes(void **state)
{
	char key[1025], value[8];
	struct shmc_reservation reservation;
	struct shmc_view view;
	size_t size;

	(void)state;
	memset(key, 'k', sizeof(key));
	assert_int_equal(shmc_put(cache, key, 0, "v", 1, NULL, SHMC_TIMEOUT_DEFAULT), -EINVAL);
	assert_int_equal(shmc_put(cache, key, 1025, "v", 1, NULL, SHMC_TIMEOUT_DEFAULT), -EINVAL);
	assert_int_equal(shmc_get(cache, key, 0, &view), -EINVAL);
	assert_int_equal(shmc_get(cache, key, 1025, &view), -EINVAL);
	assert_int_equal(shmc_delete(cache, key, 1025, SHMC_TIMEOUT_DEFAULT), -EINVAL);
	assert_int_equal(shmc_reserve(cache, key, 1025, 1, NULL, &reservation,
		SHMC_TIMEOUT_DEFAULT), -EINVAL);
	assert_int_equal(shmc_exists(cache, key, 0), -EINVAL);
	/* The longest and the shortest are as good as any. */
	for (size = 1; size <= 1024; size += 1023) {
		assert_int_equal(
			shmc_put(cache, key, size, "value", 5, NULL, SHMC_TIMEOUT_DEFAULT), 0);
		assert_int_equal(shmc_read(cache, key, size, value, sizeof(value), NULL), 0);
		assert_memory_equal(value, "value", 5);
	}
	assert_int_equal(shmc_exists(cache, key, 1023), SHMC_MISS);
}

static void test_value_sizes(void **state)
{
	/* Not read: there are no such bytes. */
	static const uint64_t sizes[] = {8 * MIB + 1, 64 * MIB, GIB, GIB + 1, 4 * GIB, 4 * GIB + 64,
		UINT64_MAX / 2};
	struct shmc_reservation reservation;
	unsigned i;

	(void)state;
	assert_int_equal(shmc_put(cache, "huge", 4, "", 0, NULL, SHMC_TIMEOUT_DEFAULT), -EINVAL);
	assert_int_equal(shmc_reserve(cache, "huge", 4, 0, NULL, &reservation, SHMC_TIMEOUT_DEFAULT),
		-EINVAL);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		if (sizes[i] > GIB)
			assert_int_equal(shmc_put(cache, "huge", 4, "v", sizes[i], NULL,
				SHMC_TIMEOUT_DEFAULT), -EFBIG);
		assert_int_equal(shmc_reserve(cache, "huge", 4, sizes[i], NULL, &reservation,
			SHMC_TIMEOUT_DEFAULT), -EFBIG);
	}
	assert_int_equal(shmc_exists(cache, "huge", 4), SHMC_MISS);
	system_assert_alive(&broker);
}

/* Larger than the tier, with bytes that are there. */
static void test_value_larger_than_tier(void **state)
{
	size_t size = 8 * MIB + 1;
	uint8_t *value = malloc(size);

	(void)state;
	assert_non_null(value);
	system_fill(value, size, 1);
	assert_int_equal(shmc_put(cache, "huge", 4, value, size, NULL, SHMC_TIMEOUT_DEFAULT), -EFBIG);
	assert_int_equal(shmc_exists(cache, "huge", 4), SHMC_MISS);
	/* The whole tier for one value is legal. */
	assert_int_equal(shmc_put(cache, "huge", 4, value, size - 1, NULL, SHMC_TIMEOUT_DEFAULT), 0);
	assert_int_equal(shmc_exists(cache, "huge", 4), 0);
	assert_int_equal(shmc_delete(cache, "huge", 4, SHMC_TIMEOUT_DEFAULT), 0);
	free(value);
}

/* --- by hand ---------------------------------------------------------------------------------- */

struct nonsense {
	const char *what;
	struct submission s;
	enum abi_fault fault;
	unsigned xor_word; /* and bits of a word that no struct submission can say */
	uint64_t xor_bits;
};

/* Geometry: staging of 64 KiB. */
static const struct nonsense nonsense[] = {
	{"no operation", {.operation = ABI_OP_NONE}, ABI_FAULT_OPERATION, 0, 0},
	{"the first unknown", {.operation = ABI_N_OPERATIONS}, ABI_FAULT_OPERATION, 0, 0},
	{"the last unknown", {.operation = 255}, ABI_FAULT_OPERATION, 0, 0},
	{"put, empty key", {.operation = ABI_OP_PUT, .value_size = 1}, ABI_FAULT_KEY, 0, 0},
	{"put, long key", {.operation = ABI_OP_PUT, .key_size = 1025, .value_size = 1},
		ABI_FAULT_KEY, 0, 0},
	{"put, longest key", {.operation = ABI_OP_PUT, .key_size = 65535, .value_size = 1},
		ABI_FAULT_KEY, 0, 0},
	{"reserve, empty key", {.operation = ABI_OP_RESERVE, .value_size = 1}, ABI_FAULT_KEY, 0, 0},
	{"delete, empty key", {.operation = ABI_OP_DELETE}, ABI_FAULT_KEY, 0, 0},
	{"touch, empty key", {.operation = ABI_OP_TOUCH}, ABI_FAULT_KEY, 0, 0},
	{"pin, long key", {.operation = ABI_OP_PIN, .key_size = 2000}, ABI_FAULT_KEY, 0, 0},
	{"unpin, empty key", {.operation = ABI_OP_UNPIN}, ABI_FAULT_KEY, 0, 0},
	{"flush, long prefix", {.operation = ABI_OP_FLUSH, .key_size = 1025}, ABI_FAULT_KEY, 0, 0},
	{"put, no value", {.operation = ABI_OP_PUT, .key_size = 1}, ABI_FAULT_FIELD, 0, 0},
	{"reserve, no size", {.operation = ABI_OP_RESERVE, .key_size = 1}, ABI_FAULT_FIELD, 0, 0},
	{"key past staging",
		{.operation = ABI_OP_PUT, .key_size = 9, .value_size = 1, .staging_off = 65528},
		ABI_FAULT_RANGE, 0, 0},
	{"key at the end of the world",
		{.operation = ABI_OP_DELETE, .key_size = 1, .staging_off = UINT32_MAX},
		ABI_FAULT_RANGE, 0, 0},
	{"value past staging", {.operation = ABI_OP_PUT, .key_size = 8, .value_size = 65529},
		ABI_FAULT_RANGE, 0, 0},
	{"value of 4 GiB", {.operation = ABI_OP_PUT, .key_size = 8, .value_size = UINT32_MAX},
		ABI_FAULT_RANGE, 0, 0},
	{"write past staging",
		{.operation = ABI_OP_WRITE, .value_size = UINT32_MAX, .staging_off = UINT32_MAX},
		ABI_FAULT_RANGE, 0, 0},
	{"unknown flag", {.operation = ABI_OP_PING, .flags = 0x80}, ABI_FAULT_FIELD, 0, 0},
	{"unknown tier", {.operation = ABI_OP_PING, .tier = ABI_TIERS}, ABI_FAULT_FIELD, 0, 0},
	{"bits between fields", {.operation = ABI_OP_PING}, ABI_FAULT_FIELD, 0, UINT64_C(1) << 8},
	{"bits between others", {.operation = ABI_OP_PING}, ABI_FAULT_FIELD, 0, UINT64_C(1) << 47},
	{"word 6", {.operation = ABI_OP_PING}, ABI_FAULT_FIELD, 6, UINT64_C(1) << 63},
};

static bool is_cut_off(void *context)
{
	return shared_u32_load_acquire(&((struct raw_lane *)context)->response->fault) != 0;
}

static void assert_cut_off(struct raw_client *c, struct raw_lane *lane, enum abi_fault fault)
{
	assert_true(system_wait(is_cut_off, lane));
	assert_int_equal(shared_u32_load(&lane->response->fault), fault);
	assert_int_equal(raw_wait_hangup(c->socket), 0);
}

static void talk_nonsense(const struct nonsense *n, struct raw_client *other)
{
	uint64_t broken = raw_counter(other, ABI_COUNTER_SESSIONS_BROKEN);
	unsigned n_lines = system_log_count(&broker, TOLD);
	struct abi_submission *slot;
	struct raw_client c;
	struct raw_lane *lane;

	assert_int_equal(raw_attach(&c, broker.run.name, WIRE_ROLE_NONE), 0);
	assert_int_equal(raw_lane_open(&c, &lane), 0);
	/* A slot is looked at when its sequence is there: doctor the rest before. */
	slot = &lane->submission[0];
	submission_publish(slot, lane->submitted - 1, &n->s);
	shared_u64_store(&slot->word[n->xor_word],
		shared_u64_load(&slot->word[n->xor_word]) ^ n->xor_bits);
	shared_u64_store_release(&slot->word[7], 1);
	raw_wake(&c, lane);
	assert_cut_off(&c, lane, n->fault);
	assert_int_equal(system_wait_counter(other, ABI_COUNTER_SESSIONS_BROKEN, broken + 1),
		broken + 1);
	assert_true(system_log_count(&broker, TOLD) <= n_lines + 1);
	/* The log is bounded: many in a second are counted, not told. */
	if (n_lines < 5)
		assert_true(system_log_count(&broker, abi_fault_name(n->fault)) > 0);
	raw_detach(&c);
}

static void test_nonsense(void **state)
{
	struct nonsense unknown = {.fault = ABI_FAULT_OPERATION};
	struct raw_client other;
	struct raw_lane *lane;
	unsigned i;

	(void)state;
	assert_int_equal(raw_attach(&other, broker.run.name, WIRE_ROLE_NONE), 0);
	assert_int_equal(raw_lane_open(&other, &lane), 0);
	assert_int_equal(raw_put(&other, lane, "other", "value", 5), ABI_STATUS_OK);
	for (i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		talk_nonsense(&nonsense[i], &other);
		assert_int_equal(raw_ping(&other, lane), ABI_STATUS_OK);
		assert_true(raw_value_is(&other, "other", "value", 5));
	}
	for (i = ABI_N_OPERATIONS; i <= UINT8_MAX; i++) {
		unknown.s.operation = (uint8_t)i;
		talk_nonsense(&unknown, &other);
	}
	raw_detach(&other);
	system_assert_alive(&broker);
}

/*
 * Of who talked nonsense nothing more is carried out, in this lane or another, though it is there
 * already and is sound; it is as long as the control thread takes to see to his end.
 */
static void test_nothing_after_nonsense(void **state)
{
	struct submission nothing = {.operation = ABI_OP_NONE}, put = {.operation = ABI_OP_PUT};
	struct raw_lane *lane[2];
	struct raw_client c, other;
	unsigned round, i;
	uint64_t word;

	(void)state;
	assert_int_equal(raw_attach(&other, broker.run.name, WIRE_ROLE_NONE), 0);
	for (round = 0; round < 20; round++) {
		assert_int_equal(raw_attach(&c, broker.run.name, WIRE_ROLE_NONE), 0);
		for (i = 0; i < 2; i++) {
			assert_int_equal(raw_lane_open(&c, &lane[i]), 0);
			raw_stage(lane[i], &put, "after", 5, "value", 5);
		}
		/* The worker looks no further than the gap. */
		submission_publish(&lane[0]->submission[1], 1, &put);
		submission_publish(&lane[0]->submission[0], 0, &nothing);
		raw_wake(&c, lane[0]);
		assert_true(system_wait(is_cut_off, lane[0]));
		raw_submit(&c, lane[1], &put);
		assert_cut_off(&c, lane[1], ABI_FAULT_OPERATION);
		raw_detach(&c);
		assert_null(raw_find(&other, "after", &word));
	}
	raw_detach(&other);
	system_assert_alive(&broker);
}

/* What may be asked, and is answered with no. */
static void test_too_big_by_hand(void **state)
{
	static const uint32_t sizes[] = {8 * MIB + 1, GIB, GIB + 1, UINT32_MAX};
	uint64_t reservation, off;
	struct raw_client c;
	struct raw_lane *lane;
	unsigned i;

	(void)state;
	assert_int_equal(raw_attach(&c, broker.run.name, WIRE_ROLE_NONE), 0);
	assert_int_equal(raw_lane_open(&c, &lane), 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(raw_reserve(&c, lane, "k", sizes[i], &reservation, &off),
			ABI_STATUS_TOO_BIG);
	assert_int_equal(raw_ping(&c, lane), ABI_STATUS_OK);
	assert_int_equal(raw_gauge(&c, ABI_GAUGE_RESERVED_BYTES), 0);
	raw_detach(&c);
}

/* A reservation is its session's, and its bytes are all that it gives. */
static void test_reservations_by_hand(void **state)
{
	struct submission s = {.operation = ABI_OP_WRITE, .value_size = 16};
	uint64_t reservation, off;
	struct raw_client a, b;
	struct raw_lane *lane_a, *lane_b;

	(void)state;
	assert_int_equal(raw_attach(&a, broker.run.name, WIRE_ROLE_NONE), 0);
	assert_int_equal(raw_lane_open(&a, &lane_a), 0);
	assert_int_equal(raw_attach(&b, broker.run.name, WIRE_ROLE_NONE), 0);
	assert_int_equal(raw_lane_open(&b, &lane_b), 0);
	assert_int_equal(raw_reserve(&a, lane_a, "mine", 100, &reservation, &off), ABI_STATUS_OK);
	assert_int_equal(raw_commit(&b, lane_b, reservation), ABI_STATUS_GONE);
	s.argument = reservation;
	assert_int_equal(raw_call(&b, lane_b, &s, NULL), ABI_STATUS_GONE);
	s.operation = ABI_OP_ABORT;
	assert_int_equal(raw_call(&b, lane_b, &s, NULL), ABI_STATUS_GONE);
	assert_int_equal(raw_commit(&a, lane_a, 0), ABI_STATUS_GONE);
	assert_int_equal(raw_commit(&a, lane_a, reservation + 1), ABI_STATUS_GONE);
	assert_int_equal(raw_commit(&a, lane_a, UINT64_MAX), ABI_STATUS_GONE);
	/* A byte beyond the end of it. */
	s.operation = ABI_OP_WRITE;
	s.group = 84;
	assert_int_equal(raw_call(&a, lane_a, &s, NULL), ABI_STATUS_OK);
	s.group = 85;
	raw_submit(&a, lane_a, &s);
	assert_cut_off(&a, lane_a, ABI_FAULT_RANGE);
	raw_detach(&a);
	/* What was reserved goes back. */
	assert_int_equal(system_wait_gauge(&b, ABI_GAUGE_RESERVED_BYTES, 0), 0);
	assert_int_equal(raw_ping(&b, lane_b), ABI_STATUS_OK);
	raw_detach(&b);
}

/* A ring whose client claims to have taken what was never there. */
static void test_impossible_position(void **state)
{
	static const uint64_t claims[] = {17, 1000, UINT64_MAX, UINT64_C(1) << 63};
	struct submission s = {.operation = ABI_OP_PING};
	struct raw_client c;
	struct raw_lane *lane;
	unsigned i, j;

	(void)state;
	for (i = 0; i < 4; i++) {
		assert_int_equal(raw_attach(&c, broker.run.name, WIRE_ROLE_NONE), 0);
		assert_int_equal(raw_lane_open(&c, &lane), 0);
		shared_u64_store_release(&lane->request->reaped, claims[i]);
		for (j = 0; j < 16; j++) /* [session] queue; the next one looks at the claim */
			raw_submit(&c, lane, &s);
		while (shared_u64_load(&lane->response->consumed) < 16)
			system_pause();
		raw_submit(&c, lane, &s);
		assert_cut_off(&c, lane, ABI_FAULT_POSITION);
		raw_detach(&c);
	}
	system_assert_alive(&broker);
}

/*
 * Sequences that are behind, ahead, or around the end of all numbers: such a slot is not there.
 * What stands beyond a gap waits until the gap is closed.
 */
static void test_sequences(void **state)
{
	static const uint64_t claims[] = {0, 2, 16, 17, UINT64_MAX, UINT64_C(1) << 63, 1 << 20};
	struct submission s = {.operation = ABI_OP_PING};
	struct completion completion;
	struct raw_client c;
	struct raw_lane *lane, *other;
	unsigned i;

	(void)state;
	assert_int_equal(raw_attach(&c, broker.run.name, WIRE_ROLE_NONE), 0);
	assert_int_equal(raw_lane_open(&c, &lane), 0);
	assert_int_equal(raw_lane_open(&c, &other), 0);
	for (i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
		submission_publish(&lane->submission[0], claims[i] - 1, &s);
		raw_wake(&c, lane);
		/* Its worker has looked at both rings by then. */
		assert_int_equal(raw_ping(&c, other), ABI_STATUS_OK);
		assert_int_equal(raw_ping(&c, other), ABI_STATUS_OK);
		assert_int_equal(shared_u64_load(&lane->response->consumed), 0);
	}
	for (i = 4; i--;) {
		s.id = i;
		submission_publish(&lane->submission[i], i, &s);
		raw_wake(&c, lane);
		assert_int_equal(raw_ping(&c, other), ABI_STATUS_OK);
		assert_int_equal(shared_u32_load(&lane->response->fault), ABI_FAULT_NONE);
	}
	lane->submitted = 4;
	for (i = 0; i < 4; i++) {
		assert_int_equal(raw_reap(&c, lane, &completion), 0);
		assert_int_equal(completion.id, i);
	}
	assert_int_equal(raw_ping(&c, lane), ABI_STATUS_OK);
	raw_detach(&c);
}

/*
 * A region handed over that nobody waits for: an honest library may do so, where its process has
 * changed its user. It goes on; who does it without end does not.
 */
static void test_unawaited_hand_overs(void **state)
{
	struct wire_hand_over message = {.session = 1};
	struct raw_client c;
	struct raw_lane *lane;
	unsigned i;

	(void)state;
	assert_int_equal(raw_attach(&c, broker.run.name, WIRE_ROLE_NONE), 0);
	for (i = 0; i < 64; i++)
		assert_int_equal(wire_send(c.socket, WIRE_HAND_OVER, &message, sizeof(message), NULL,
					 0), 0);
	assert_int_equal(raw_lane_open(&c, &lane), 0);
	assert_int_equal(raw_ping(&c, lane), ABI_STATUS_OK);
	assert_int_equal(
		wire_send(c.socket, WIRE_HAND_OVER, &message, sizeof(message), NULL, 0), 0);
	assert_cut_off(&c, lane, ABI_FAULT_PROTOCOL);
	raw_detach(&c);
}

static int setup(void **state)
{
	(void)state;
	system_start(&broker, "8MiB", false, "[session]\nqueue = 16\nstaging = 64KiB\n");
	return shmc_attach(&cache, broker.run.name, NULL);
}

static int teardown(void **state)
{
	(void)state;
	shmc_detach(cache);
	system_stop(&broker);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key_sizes),
		cmocka_unit_test(test_value_sizes),
		cmocka_unit_test(test_value_larger_than_tier),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_nothing_after_nonsense),
		cmocka_unit_test(test_too_big_by_hand),
		cmocka_unit_test(test_reservations_by_hand),
		cmocka_unit_test(test_impossible_position),
		cmocka_unit_test(test_sequences),
		cmocka_unit_test(test_unawaited_hand_overs),
	};

	/* Ended from outside, too, it leaves nothing behind. */
	if (cleanup_guard())
		return 1;
	return cmocka_run_group_tests(tests, setup, teardown);
}
