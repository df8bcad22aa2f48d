/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of request.c: operations, roles and limits; request-pin.c and request-reserve.c have more. */
#include "tests/shmcache/seat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct seat d;

static void test_put_delete(void **state)
{
	struct submission sub;

	(void)state;
	assert_int_equal(seat_ask_of(&d, ABI_OP_PING, "", 0, 0), ABI_STATUS_OK);
	assert_int_equal(seat_ask_of(&d, ABI_OP_PUT, "key", 1000, 1), ABI_STATUS_OK);
	assert_int_equal(d.completion.result[0], 0);
	assert_int_equal(d.completion.result[1], 0);
	assert_int_equal(seat_get(&d, "key", 1), 1000);
	sub = seat_make(&d, ABI_OP_PUT, "key", 2000, 2);
	sub.flags = SUBMISSION_IF_ABSENT;
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_EXISTS);
	assert_int_equal(seat_get(&d, "key", 1), 1000);
	assert_int_equal(seat_ask_of(&d, ABI_OP_PUT, "key", 2000, 2), ABI_STATUS_OK);
	assert_int_equal(seat_get(&d, "key", 2), 2000);
	assert_int_equal(seat_ask_of(&d, ABI_OP_TOUCH, "key", 0, 0), ABI_STATUS_OK);
	assert_int_equal(seat_ask_of(&d, ABI_OP_TOUCH, "nokey", 0, 0), ABI_STATUS_MISS);
	assert_int_equal(seat_ask_of(&d, ABI_OP_DELETE, "key", 0, 0), ABI_STATUS_OK);
	assert_int_equal(seat_ask_of(&d, ABI_OP_DELETE, "key", 0, 0), ABI_STATUS_MISS);
	assert_int_equal(seat_get(&d, "key", 2), 0);
}

static void test_hints_and_ttl(void **state)
{
	struct submission sub = seat_make(&d, ABI_OP_PUT, "key", 10, 1);
	struct abi_hints hints;
	const struct abi_record *r;
	struct index_key key = index_key(&d.rig.store.index, "key", 3);
	uint32_t cell;
	uint64_t now = store_now_ms();

	(void)state;
	sub.group = UINT64_MAX - 1;
	sub.position = 77;
	sub.priority = 255;
	sub.tier = ABI_TIER_CXL;
	sub.argument = 60000;
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_OK);
	assert_non_null(index_find(&d.rig.store.index, &key, &cell));
	r = &d.rig.store.index.cell[cell];
	lookup_record_hints(&d.rig.store.index.lookup, r, &hints);
	assert_int_equal(hints.group, UINT64_MAX - 1);
	assert_int_equal(hints.position, 77);
	assert_int_equal(hints.priority, 255);
	assert_in_range(shared_u64_load(&r->expire_ms), now + 60000, store_now_ms() + 60000);
	/* There is no such tier here: a hint, not an order. */
	assert_int_equal(r->tier, ABI_TIER_DRAM);
}

/* The staging area at each of its limits, and one beyond. */
static void test_put_ranges(void **state)
{
	const uint32_t end = (uint32_t)d.staging_size;
	struct submission sub = {.operation = ABI_OP_PUT, .id = 1, .key_size = 8};

	(void)state;
	memset(d.staging, 'k', d.staging_size);
	sub.value_size = end - 8;
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_OK);
	sub.value_size = end - 7;
	assert_int_equal(seat_break(&d, &sub), ABI_FAULT_RANGE);
	sub.value_size = UINT32_MAX;
	assert_int_equal(seat_break(&d, &sub), ABI_FAULT_RANGE);
	sub.value_size = 0;
	assert_int_equal(seat_break(&d, &sub), ABI_FAULT_FIELD);
	/* The value begins at the next multiple of eight: a key of nine bytes takes sixteen. */
	sub.key_size = 9;
	sub.value_size = end - 16;
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_OK);
	sub.value_size = end - 15;
	assert_int_equal(seat_break(&d, &sub), ABI_FAULT_RANGE);
	/* At the end of the area. */
	sub.key_size = 8;
	sub.value_size = 1;
	sub.staging_off = end - 9;
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_OK);
	sub.staging_off = end - 8;
	assert_int_equal(seat_break(&d, &sub), ABI_FAULT_RANGE);
	sub.staging_off = end;
	assert_int_equal(seat_break(&d, &sub), ABI_FAULT_RANGE);
	sub.staging_off = UINT32_MAX;
	assert_int_equal(seat_break(&d, &sub), ABI_FAULT_RANGE);
	sub.staging_off = UINT32_MAX - 7;
	sub.value_size = UINT32_MAX;
	assert_int_equal(seat_break(&d, &sub), ABI_FAULT_RANGE);
}

static void test_key_ranges(void **state)
{
	static const enum abi_operation with_key[] = {ABI_OP_PUT, ABI_OP_RESERVE, ABI_OP_DELETE,
		ABI_OP_TOUCH, ABI_OP_PIN, ABI_OP_UNPIN, ABI_OP_FLUSH, ABI_OP_FETCH};
	const uint32_t end = (uint32_t)d.staging_size;
	struct submission sub;
	unsigned i;

	(void)state;
	memset(d.staging, 'k', d.staging_size);
	for (i = 0; i < sizeof(with_key) / sizeof(with_key[0]); i++) {
		sub = (struct submission){
			.operation = (uint8_t)with_key[i], .id = i, .value_size = 1};
		if (with_key[i] != ABI_OP_FLUSH)
			assert_int_equal(seat_break(&d, &sub), ABI_FAULT_KEY);
		sub.key_size = ABI_KEY_SIZE_MAX;
		assert_int_equal(seat_run(&d, &sub), REQUEST_DONE);
		sub.key_size = ABI_KEY_SIZE_MAX + 1;
		assert_int_equal(seat_break(&d, &sub), ABI_FAULT_KEY);
		sub.key_size = UINT16_MAX;
		assert_int_equal(seat_break(&d, &sub), ABI_FAULT_KEY);
		sub.key_size = 16;
		sub.staging_off = end - 15;
		assert_int_equal(seat_break(&d, &sub), ABI_FAULT_RANGE);
		sub.staging_off = UINT32_MAX;
		assert_int_equal(seat_break(&d, &sub), ABI_FAULT_RANGE);
		if (with_key[i] == ABI_OP_PUT)
			continue;
		sub.staging_off = end - 16;
		assert_int_equal(seat_run(&d, &sub), REQUEST_DONE);
	}
}

/* Without anybody to ask: what is here is here, and the rest is off. Anyone may ask. */
static void test_fetch_off(void **state)
{
	struct submission sub;

	(void)state;
	assert_int_equal(seat_ask_of(&d, ABI_OP_PUT, "key", 100, 1), ABI_STATUS_OK);
	d.session->role = WIRE_ROLE_READER;
	assert_int_equal(seat_ask_of(&d, ABI_OP_FETCH, "key", 0, 0), ABI_STATUS_OK);
	assert_int_equal(d.completion.result[0], 0);
	assert_int_equal(d.completion.result[1], 0);
	sub = seat_make(&d, ABI_OP_FETCH, "other", 0, 0);
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_MISS);
	assert_int_equal(d.completion.result[0], ABI_FETCH_OFF);
	assert_int_equal(d.completion.result[1], 0);
	sub.flags = SUBMISSION_PREFETCH;
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_MISS);
}

static void test_reader(void **state)
{
	static const enum abi_operation denied[] = {ABI_OP_PUT, ABI_OP_RESERVE, ABI_OP_DELETE,
		ABI_OP_TOUCH, ABI_OP_PIN, ABI_OP_FLUSH};
	unsigned i;

	(void)state;
	assert_int_equal(seat_ask_of(&d, ABI_OP_PUT, "key", 100, 1), ABI_STATUS_OK);
	d.session->role = WIRE_ROLE_READER;
	for (i = 0; i < sizeof(denied) / sizeof(denied[0]); i++)
		assert_int_equal(seat_ask_of(&d, denied[i], "key", 100, 2), ABI_STATUS_DENIED);
	assert_int_equal(seat_ask_of(&d, ABI_OP_FLUSH, "", 0, 0), ABI_STATUS_DENIED);
	assert_int_equal(seat_ask_of(&d, ABI_OP_PING, "", 0, 0), ABI_STATUS_OK);
	assert_int_equal(seat_ask_of(&d, ABI_OP_UNPIN, "key", 0, 0), ABI_STATUS_MISS);
	assert_int_equal(seat_finish(&d, ABI_OP_COMMIT, 1), ABI_STATUS_GONE);
	assert_int_equal(seat_finish(&d, ABI_OP_ABORT, 1), ABI_STATUS_GONE);
	assert_int_equal(seat_get(&d, "key", 1), 100);
	assert_int_equal(d.rig.store.pinned_size + d.rig.store.reserved_size, 0);
}

static void test_stager(void **state)
{
	static const enum abi_operation allowed[] = {ABI_OP_PUT, ABI_OP_TOUCH, ABI_OP_PIN,
		ABI_OP_UNPIN, ABI_OP_RESERVE, ABI_OP_DELETE, ABI_OP_FLUSH, ABI_OP_PING};
	unsigned i;

	(void)state;
	d.session->role = WIRE_ROLE_STAGER;
	for (i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		assert_int_equal(seat_ask_of(&d, allowed[i], "key", 100, 2), ABI_STATUS_OK);
}

static void test_flush(void **state)
{
	char key[32];
	unsigned i;

	(void)state;
	for (i = 0; i < 5000; i++) {
		snprintf(key, sizeof(key), "%s/%u", i % 5 ? "many" : "few", i);
		assert_int_equal(seat_ask_of(&d, ABI_OP_PUT, key, 10, i), ABI_STATUS_OK);
	}
	assert_int_equal(seat_ask_of(&d, ABI_OP_FLUSH, "none", 0, 0), ABI_STATUS_OK);
	assert_int_equal(d.completion.result[0], 0);
	assert_int_equal(seat_ask_of(&d, ABI_OP_FLUSH, "few/", 0, 0), ABI_STATUS_OK);
	assert_int_equal(d.completion.result[0], 1000);
	assert_int_equal(seat_ask_of(&d, ABI_OP_FLUSH, "", 0, 0), ABI_STATUS_OK);
	assert_int_equal(d.completion.result[0], 4000);
	assert_int_equal(d.rig.store.index.n_entries, 0);
}

/* Whatever passes the snapshot is answered or cut off, and leaves the store in order. */
static void test_any(void **state)
{
	uint64_t random = 7, reservation = 0;
	struct abi_submission slot;
	struct submission sub;
	unsigned i, k, n_done = 0, n_broken = 0;

	(void)state;
	memset(d.staging, 0, d.staging_size);
	for (i = 0; i < 60000; i++) {
		sub = (struct submission){
			.operation = (uint8_t)(1 + rig_random(&random) % (ABI_N_OPERATIONS - 1)),
			.flags = rig_random(&random) % 2,
			.tier = rig_random(&random) % ABI_TIERS,
			.priority = (uint8_t)rig_random(&random),
			.key_size =
				(uint16_t)(rig_random(&random) >> 48 >> rig_random(&random) % 16),
			.staging_off =
				(uint32_t)(rig_random(&random) >> 32 >> rig_random(&random) % 32),
			.value_size =
				(uint32_t)(rig_random(&random) >> 32 >> rig_random(&random) % 32),
			.argument = rig_random(&random) >> rig_random(&random) % 64,
			.group = rig_random(&random) >> rig_random(&random) % 64};
		if (rig_random(&random) % 4 == 0)
			sub.argument = reservation;
		submission_publish(&slot, i, &sub);
		/* And now and then a word of it is anything. */
		k = (unsigned)(rig_random(&random) % 64);
		if (k < 7)
			shared_u64_store(&slot.word[k], rig_random(&random));
		if (submission_snapshot(&slot, &sub))
			continue;
		if (seat_run(&d, &sub) == REQUEST_BROKEN) {
			assert_true(d.fault > ABI_FAULT_NONE && d.fault < ABI_N_FAULTS);
			n_broken++;
		} else {
			assert_true(d.completion.status < ABI_N_STATUSES);
			n_done++;
			if (sub.operation == ABI_OP_RESERVE && !d.completion.status)
				reservation = d.completion.result[0];
		}
		if (i % 5000 == 0)
			rig_check(&d.rig);
	}
	assert_true(n_done > 1000 && n_broken > 1000);
	seat_leave(&d);
	rig_drain(&d.rig);
	rig_check(&d.rig);
	assert_int_equal(d.rig.store.pinned_size + d.rig.store.reserved_size, 0);
	assert_int_equal(d.rig.store.limbo.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SEAT_TEST(test_fetch_off),
		SEAT_TEST(test_put_delete),
		SEAT_TEST(test_hints_and_ttl),
		SEAT_TEST(test_put_ranges),
		SEAT_TEST(test_key_ranges),
		SEAT_TEST(test_reader),
		SEAT_TEST(test_stager),
		SEAT_TEST(test_flush),
		SEAT_TEST(test_any),
	};

	return RIG_RUN(tests);
}
