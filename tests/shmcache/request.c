/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of shmcache/request.c: every operation, role, limit and quota. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <urcu.h>
#include <cmocka.h>

#include "tests/shmcache/seat.h"

static struct seat d;

static int setup(void **state)
{
	(void)state;
	seat_init(&d, 16 * MIB);
	seat_open(&d, WIRE_ROLE_WRITER);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	seat_close(&d);
	return rig_leftovers() ? -1 : 0;
}

static struct submission make(
	enum abi_operation operation, const char *key, uint32_t size, uint64_t seed)
{
	return seat_make(&d, operation, key, size, seed);
}

static enum abi_status ask(
	enum abi_operation operation, const char *key, uint32_t size, uint64_t seed)
{
	struct submission sub = make(operation, key, size, seed);

	return seat_ask(&d, &sub);
}

static uint64_t reserve(const char *key, uint32_t size)
{
	assert_int_equal(ask(ABI_OP_RESERVE, key, size, 0), ABI_STATUS_OK);
	assert_int_not_equal(d.completion.result[0], 0);
	return d.completion.result[0];
}

static enum abi_status finish(enum abi_operation operation, uint64_t reservation)
{
	struct submission sub = {
		.operation = (uint8_t)operation, .id = 1, .argument = reservation};

	return seat_ask(&d, &sub);
}

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

static void test_put_delete(void **state)
{
	struct submission sub;

	(void)state;
	assert_int_equal(ask(ABI_OP_PING, "", 0, 0), ABI_STATUS_OK);
	assert_int_equal(ask(ABI_OP_PUT, "key", 1000, 1), ABI_STATUS_OK);
	assert_int_equal(d.completion.result[0], 0);
	assert_int_equal(d.completion.result[1], 0);
	assert_int_equal(seat_get(&d, "key", 1), 1000);
	sub = make(ABI_OP_PUT, "key", 2000, 2);
	sub.flags = SUBMISSION_IF_ABSENT;
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_EXISTS);
	assert_int_equal(seat_get(&d, "key", 1), 1000);
	assert_int_equal(ask(ABI_OP_PUT, "key", 2000, 2), ABI_STATUS_OK);
	assert_int_equal(seat_get(&d, "key", 2), 2000);
	assert_int_equal(ask(ABI_OP_TOUCH, "key", 0, 0), ABI_STATUS_OK);
	assert_int_equal(ask(ABI_OP_TOUCH, "nokey", 0, 0), ABI_STATUS_MISS);
	assert_int_equal(ask(ABI_OP_DELETE, "key", 0, 0), ABI_STATUS_OK);
	assert_int_equal(ask(ABI_OP_DELETE, "key", 0, 0), ABI_STATUS_MISS);
	assert_int_equal(seat_get(&d, "key", 2), 0);
}

static void test_hints_and_ttl(void **state)
{
	struct submission sub = make(ABI_OP_PUT, "key", 10, 1);
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

static void test_reserve(void **state)
{
	uint64_t a, b;
	struct submission sub;

	(void)state;
	a = reserve("a", 10000);
	assert_int_equal(d.completion.result[1] >> 56, ABI_TIER_DRAM);
	assert_int_equal(
		d.completion.result[1] << 8 >> 8, d.rig.store.index.cell[(uint32_t)a].value_off);
	b = reserve("b", 100);
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
	assert_int_equal(finish(ABI_OP_COMMIT, a), ABI_STATUS_OK);
	assert_int_equal(seat_get(&d, "a", 9), 10000);
	/* It is over: none of the three works any more. */
	assert_int_equal(finish(ABI_OP_COMMIT, a), ABI_STATUS_GONE);
	assert_int_equal(finish(ABI_OP_ABORT, a), ABI_STATUS_GONE);
	sub = write_at(a, 0, 0, 1);
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_GONE);
	assert_int_equal(finish(ABI_OP_ABORT, b), ABI_STATUS_OK);
	assert_int_equal(finish(ABI_OP_ABORT, b), ABI_STATUS_GONE);
	/* Never given out, and 0, which is what free places carry. */
	assert_int_equal(finish(ABI_OP_COMMIT, UINT64_MAX), ABI_STATUS_GONE);
	assert_int_equal(finish(ABI_OP_COMMIT, 0), ABI_STATUS_GONE);
	assert_int_equal(finish(ABI_OP_ABORT, 0), ABI_STATUS_GONE);
	sub = write_at(0, 0, 0, 1);
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_GONE);
	/* The cell of a published entry is no reservation. */
	assert_int_equal(finish(ABI_OP_ABORT, a & UINT32_MAX), ABI_STATUS_GONE);
	assert_int_equal(seat_get(&d, "a", 9), 10000);
	assert_int_equal(d.session->reserved_size, 0);
	assert_int_equal(d.session->n_reservations, 0);
	rig_check(&d.rig);
}

static void test_reserve_if_absent(void **state)
{
	struct submission sub = make(ABI_OP_RESERVE, "a", 100, 0);
	uint64_t a;

	(void)state;
	sub.flags = SUBMISSION_IF_ABSENT;
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_OK);
	a = d.completion.result[0];
	assert_int_equal(ask(ABI_OP_PUT, "a", 50, 5), ABI_STATUS_OK);
	assert_int_equal(finish(ABI_OP_COMMIT, a), ABI_STATUS_EXISTS);
	assert_int_equal(seat_get(&d, "a", 5), 50);
	sub = make(ABI_OP_RESERVE, "a", 100, 0);
	sub.flags = SUBMISSION_IF_ABSENT;
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_EXISTS);
	assert_int_equal(d.session->n_reservations, 0);
	rig_check(&d.rig);
}

static void test_write_ranges(void **state)
{
	const uint32_t end = (uint32_t)d.staging_size;
	uint64_t a = reserve("a", 1000);
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
	struct submission sub = make(ABI_OP_RESERVE, "a", 0, 0);

	(void)state;
	assert_int_equal(seat_break(&d, &sub), ABI_FAULT_FIELD);
	assert_int_equal(ask(ABI_OP_RESERVE, "a", 16 * MIB + 1, 0), ABI_STATUS_TOO_BIG);
	assert_int_equal(ask(ABI_OP_RESERVE, "a", UINT32_MAX, 0), ABI_STATUS_TOO_BIG);
	assert_int_equal(d.session->n_reservations, 0);
}

/* --- fetch -------------------------------------------------------------------------------- */

/* Without anybody to ask: what is here is here, and the rest is off. Anyone may ask. */
static void test_fetch_off(void **state)
{
	struct submission sub;

	(void)state;
	assert_int_equal(ask(ABI_OP_PUT, "key", 100, 1), ABI_STATUS_OK);
	d.session->role = WIRE_ROLE_READER;
	assert_int_equal(ask(ABI_OP_FETCH, "key", 0, 0), ABI_STATUS_OK);
	assert_int_equal(d.completion.result[0], 0);
	assert_int_equal(d.completion.result[1], 0);
	sub = make(ABI_OP_FETCH, "other", 0, 0);
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_MISS);
	assert_int_equal(d.completion.result[0], ABI_FETCH_OFF);
	assert_int_equal(d.completion.result[1], 0);
	sub.flags = SUBMISSION_PREFETCH;
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_MISS);
}

/* --- roles -------------------------------------------------------------------------------- */

static void test_reader(void **state)
{
	static const enum abi_operation denied[] = {ABI_OP_PUT, ABI_OP_RESERVE, ABI_OP_DELETE,
		ABI_OP_TOUCH, ABI_OP_PIN, ABI_OP_FLUSH};
	unsigned i;

	(void)state;
	assert_int_equal(ask(ABI_OP_PUT, "key", 100, 1), ABI_STATUS_OK);
	d.session->role = WIRE_ROLE_READER;
	for (i = 0; i < sizeof(denied) / sizeof(denied[0]); i++)
		assert_int_equal(ask(denied[i], "key", 100, 2), ABI_STATUS_DENIED);
	assert_int_equal(ask(ABI_OP_FLUSH, "", 0, 0), ABI_STATUS_DENIED);
	assert_int_equal(ask(ABI_OP_PING, "", 0, 0), ABI_STATUS_OK);
	assert_int_equal(ask(ABI_OP_UNPIN, "key", 0, 0), ABI_STATUS_MISS);
	assert_int_equal(finish(ABI_OP_COMMIT, 1), ABI_STATUS_GONE);
	assert_int_equal(finish(ABI_OP_ABORT, 1), ABI_STATUS_GONE);
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
		assert_int_equal(ask(allowed[i], "key", 100, 2), ABI_STATUS_OK);
}

/* --- quotas ------------------------------------------------------------------------------- */

static void test_reservations_quota(void **state)
{
	uint64_t id[64] = {0}, tier = d.rig.store.tier[ABI_TIER_DRAM].size;
	unsigned i, n = d.config.session.reservations;
	char key[16];

	(void)state;
	assert_true(n <= 64);
	for (i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "k%u", i);
		id[i] = reserve(key, 64);
	}
	assert_int_equal(ask(ABI_OP_RESERVE, "more", 64, 0), ABI_STATUS_QUOTA);
	assert_int_equal(finish(ABI_OP_ABORT, id[3]), ABI_STATUS_OK);
	id[3] = reserve("more", 64);
	for (i = 0; i < n; i++)
		assert_int_equal(
			finish(i % 2 ? ABI_OP_ABORT : ABI_OP_COMMIT, id[i]), ABI_STATUS_OK);
	assert_int_equal(d.session->reserved_size, 0);
	assert_int_equal(shared_u64_load(&d.rig.w.counter[ABI_COUNTER_QUOTA]), 1);
	/* By bytes: the last that fits, one more. The first may be of any size. */
	d.session->limits.reserved_percent = 25;
	tier = tier / 100 * 25;
	id[0] = reserve("a", (uint32_t)tier - 100);
	id[1] = reserve("b", 100);
	assert_int_equal(ask(ABI_OP_RESERVE, "c", 1, 0), ABI_STATUS_QUOTA);
	assert_int_equal(finish(ABI_OP_ABORT, id[0]), ABI_STATUS_OK);
	assert_int_equal(ask(ABI_OP_RESERVE, "c", (uint32_t)tier - 99, 0), ABI_STATUS_QUOTA);
	assert_int_equal(finish(ABI_OP_ABORT, id[1]), ABI_STATUS_OK);
	id[0] = reserve("a", (uint32_t)tier + 1);
	assert_int_equal(ask(ABI_OP_RESERVE, "c", 1, 0), ABI_STATUS_QUOTA);
	assert_int_equal(finish(ABI_OP_ABORT, id[0]), ABI_STATUS_OK);
	rig_check(&d.rig);
}

static void test_pins(void **state)
{
	struct submission sub;

	(void)state;
	assert_int_equal(ask(ABI_OP_PIN, "key", 0, 0), ABI_STATUS_MISS);
	assert_int_equal(ask(ABI_OP_PUT, "key", 100, 1), ABI_STATUS_OK);
	assert_int_equal(ask(ABI_OP_UNPIN, "key", 0, 0), ABI_STATUS_MISS);
	assert_int_equal(ask(ABI_OP_PIN, "key", 0, 0), ABI_STATUS_OK);
	/* Again is the same pin, for longer: one unpin ends it. */
	assert_int_equal(ask(ABI_OP_PIN, "key", 0, 0), ABI_STATUS_OK);
	assert_int_equal(d.session->n_pins, 1);
	assert_int_equal(d.rig.store.pinned_size, 128);
	assert_int_equal(ask(ABI_OP_UNPIN, "key", 0, 0), ABI_STATUS_OK);
	assert_int_equal(ask(ABI_OP_UNPIN, "key", 0, 0), ABI_STATUS_MISS);
	assert_int_equal(d.rig.store.pinned_size, 0);
	assert_int_equal(d.session->pinned_size, 0);
	/* With a limit: over when its time is over, extended by asking again. */
	sub = make(ABI_OP_PIN, "key", 0, 0);
	sub.argument = 1000;
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_OK);
	session_expire_pins(d.session, &d.rig.store, store_now_ms() + 900, false);
	assert_int_equal(d.session->n_pins, 1);
	sub.argument = 5000;
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_OK);
	session_expire_pins(d.session, &d.rig.store, store_now_ms() + 2000, false);
	assert_int_equal(d.session->n_pins, 1);
	session_expire_pins(d.session, &d.rig.store, store_now_ms() + 5001, false);
	assert_int_equal(d.session->n_pins, 0);
	assert_int_equal(d.rig.store.pinned_size, 0);
	/* Never longer than the configuration allows. */
	sub.argument = UINT64_MAX;
	assert_int_equal(seat_ask(&d, &sub), ABI_STATUS_OK);
	session_expire_pins(d.session, &d.rig.store,
		store_now_ms() + d.config.session.pin_time_max_ns / 1000000 + 1, false);
	assert_int_equal(d.session->n_pins, 0);
	rig_check(&d.rig);
}

static void test_pins_quota(void **state)
{
	uint64_t quota = d.rig.store.tier[ABI_TIER_DRAM].size / 100 * 10;
	char key[16];
	unsigned i;

	(void)state;
	/* By bytes. */
	d.session->limits.pinned_percent = 10;
	for (i = 0; i < 9; i++) {
		snprintf(key, sizeof(key), "k%u", i);
		assert_int_equal(ask(ABI_OP_PUT, key, 200 * KIB, i), ABI_STATUS_OK);
		assert_int_equal(ask(ABI_OP_PIN, key, 0, 0),
			(i + 1) * 200 * KIB <= quota ? ABI_STATUS_OK : ABI_STATUS_QUOTA);
	}
	assert_int_equal(d.session->n_pins, quota / (200 * KIB));
	assert_int_equal(d.rig.store.pinned_size, d.session->pinned_size);
	assert_true(shared_u64_load(&d.rig.w.counter[ABI_COUNTER_QUOTA]) > 0);
	/* Pins of entries that are gone make room for others. */
	assert_int_equal(ask(ABI_OP_PUT, "k0", 200 * KIB, 9), ABI_STATUS_OK);
	assert_int_equal(ask(ABI_OP_PIN, "k8", 0, 0), ABI_STATUS_OK);
	assert_int_equal(ask(ABI_OP_PIN, "k0", 0, 0), ABI_STATUS_QUOTA);
	rig_check(&d.rig);
	seat_leave(&d);
	assert_int_equal(d.rig.store.pinned_size, 0);
	/* By number. */
	seat_open(&d, WIRE_ROLE_STAGER);
	for (i = 0; i < SESSION_PINS_MAX + 10; i++) {
		snprintf(key, sizeof(key), "p%u", i);
		assert_int_equal(ask(ABI_OP_PUT, key, 10, i), ABI_STATUS_OK);
		assert_int_equal(ask(ABI_OP_PIN, key, 0, 0),
			i < SESSION_PINS_MAX ? ABI_STATUS_OK : ABI_STATUS_QUOTA);
	}
	assert_int_equal(ask(ABI_OP_DELETE, "p7", 0, 0), ABI_STATUS_OK);
	assert_int_equal(ask(ABI_OP_PIN, key, 0, 0), ABI_STATUS_OK);
	assert_int_equal(d.session->n_pins, SESSION_PINS_MAX);
	rig_check(&d.rig);
}

/* --- the rest ----------------------------------------------------------------------------- */

static void test_flush(void **state)
{
	char key[32];
	unsigned i;

	(void)state;
	for (i = 0; i < 5000; i++) {
		snprintf(key, sizeof(key), "%s/%u", i % 5 ? "many" : "few", i);
		assert_int_equal(ask(ABI_OP_PUT, key, 10, i), ABI_STATUS_OK);
	}
	assert_int_equal(ask(ABI_OP_FLUSH, "none", 0, 0), ABI_STATUS_OK);
	assert_int_equal(d.completion.result[0], 0);
	assert_int_equal(ask(ABI_OP_FLUSH, "few/", 0, 0), ABI_STATUS_OK);
	assert_int_equal(d.completion.result[0], 1000);
	assert_int_equal(ask(ABI_OP_FLUSH, "", 0, 0), ABI_STATUS_OK);
	assert_int_equal(d.completion.result[0], 4000);
	assert_int_equal(d.rig.store.index.n_entries, 0);
}

/* A session ends with all that it can have open: everything goes back. */
static void test_give_back(void **state)
{
	static struct abi_plane plane;
	char key[16];
	unsigned i;

	(void)state;
	for (i = 0; i < 10; i++) {
		snprintf(key, sizeof(key), "k%u", i);
		assert_int_equal(ask(ABI_OP_PUT, key, 1000, i), ABI_STATUS_OK);
		assert_int_equal(ask(ABI_OP_PIN, key, 0, 0), ABI_STATUS_OK);
		if (i < 5)
			reserve(key, 5000);
	}
	assert_int_equal(ask(ABI_OP_PUT, "k2", 10, 1), ABI_STATUS_OK);
	seat_leave(&d);
	rig_drain(&d.rig);
	rig_check(&d.rig);
	store_gauges(&d.rig.store, &plane);
	assert_int_equal(shared_u64_load(&plane.gauge[ABI_GAUGE_PINNED_BYTES]), 0);
	assert_int_equal(shared_u64_load(&plane.gauge[ABI_GAUGE_RESERVED_BYTES]), 0);
	assert_int_equal(shared_u64_load(&plane.gauge[ABI_GAUGE_LIMBO_BYTES]), 0);
	assert_int_equal(shared_u64_load(&plane.gauge[ABI_GAUGE_ENTRIES]), 10);
	assert_int_equal(shared_u64_load(&plane.gauge[ABI_GAUGE_DRAM_USED_BYTES]), 9 * 1024 + 64);
	assert_int_equal(shared_u64_load(&d.rig.w.counter[ABI_COUNTER_RESERVES_DEAD]), 5);
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
#define UNIT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		UNIT(test_fetch_off),
		UNIT(test_put_delete),
		UNIT(test_hints_and_ttl),
		UNIT(test_put_ranges),
		UNIT(test_key_ranges),
		UNIT(test_reserve),
		UNIT(test_reserve_if_absent),
		UNIT(test_write_ranges),
		UNIT(test_too_big),
		UNIT(test_reader),
		UNIT(test_stager),
		UNIT(test_reservations_quota),
		UNIT(test_pins),
		UNIT(test_pins_quota),
		UNIT(test_flush),
		UNIT(test_give_back),
		UNIT(test_any),
	};
	int r;

	rig_begin();
	rcu_register_thread();
	r = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	return r;
}
