/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of request.c: pins, their times and quotas, and what a session gives back at its end. */
#include "tests/shmcache/seat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct seat d;

static void test_pins(void **state)
{
	struct submission sub;

	(void)state;
	assert_int_equal(seat_ask_of(&d, ABI_OP_PIN, "key", 0, 0), ABI_STATUS_MISS);
	assert_int_equal(seat_ask_of(&d, ABI_OP_PUT, "key", 100, 1), ABI_STATUS_OK);
	assert_int_equal(seat_ask_of(&d, ABI_OP_UNPIN, "key", 0, 0), ABI_STATUS_MISS);
	assert_int_equal(seat_ask_of(&d, ABI_OP_PIN, "key", 0, 0), ABI_STATUS_OK);
	/* Again is the same pin, for longer: one unpin ends it. */
	assert_int_equal(seat_ask_of(&d, ABI_OP_PIN, "key", 0, 0), ABI_STATUS_OK);
	assert_int_equal(d.session->n_pins, 1);
	assert_int_equal(d.rig.store.pinned_size, 128);
	assert_int_equal(seat_ask_of(&d, ABI_OP_UNPIN, "key", 0, 0), ABI_STATUS_OK);
	assert_int_equal(seat_ask_of(&d, ABI_OP_UNPIN, "key", 0, 0), ABI_STATUS_MISS);
	assert_int_equal(d.rig.store.pinned_size, 0);
	assert_int_equal(d.session->pinned_size, 0);
	/* With a limit: over when its time is over, extended by asking again. */
	sub = seat_make(&d, ABI_OP_PIN, "key", 0, 0);
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
		assert_int_equal(seat_ask_of(&d, ABI_OP_PUT, key, 200 * KIB, i), ABI_STATUS_OK);
		assert_int_equal(seat_ask_of(&d, ABI_OP_PIN, key, 0, 0),
			(i + 1) * 200 * KIB <= quota ? ABI_STATUS_OK : ABI_STATUS_QUOTA);
	}
	assert_int_equal(d.session->n_pins, quota / (200 * KIB));
	assert_int_equal(d.rig.store.pinned_size, d.session->pinned_size);
	assert_true(shared_u64_load(&d.rig.w.counter[ABI_COUNTER_QUOTA]) > 0);
	/* Pins of entries that are gone make room for others. */
	assert_int_equal(seat_ask_of(&d, ABI_OP_PUT, "k0", 200 * KIB, 9), ABI_STATUS_OK);
	assert_int_equal(seat_ask_of(&d, ABI_OP_PIN, "k8", 0, 0), ABI_STATUS_OK);
	assert_int_equal(seat_ask_of(&d, ABI_OP_PIN, "k0", 0, 0), ABI_STATUS_QUOTA);
	rig_check(&d.rig);
	seat_leave(&d);
	assert_int_equal(d.rig.store.pinned_size, 0);
	/* By number. */
	seat_open(&d, WIRE_ROLE_STAGER);
	for (i = 0; i < SESSION_PINS_MAX + 10; i++) {
		snprintf(key, sizeof(key), "p%u", i);
		assert_int_equal(seat_ask_of(&d, ABI_OP_PUT, key, 10, i), ABI_STATUS_OK);
		assert_int_equal(seat_ask_of(&d, ABI_OP_PIN, key, 0, 0),
			i < SESSION_PINS_MAX ? ABI_STATUS_OK : ABI_STATUS_QUOTA);
	}
	assert_int_equal(seat_ask_of(&d, ABI_OP_DELETE, "p7", 0, 0), ABI_STATUS_OK);
	assert_int_equal(seat_ask_of(&d, ABI_OP_PIN, key, 0, 0), ABI_STATUS_OK);
	assert_int_equal(d.session->n_pins, SESSION_PINS_MAX);
	rig_check(&d.rig);
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
		assert_int_equal(seat_ask_of(&d, ABI_OP_PUT, key, 1000, i), ABI_STATUS_OK);
		assert_int_equal(seat_ask_of(&d, ABI_OP_PIN, key, 0, 0), ABI_STATUS_OK);
		if (i < 5)
			seat_reserve(&d, key, 5000);
	}
	assert_int_equal(seat_ask_of(&d, ABI_OP_PUT, "k2", 10, 1), ABI_STATUS_OK);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		SEAT_TEST(test_pins),
		SEAT_TEST(test_pins_quota),
		SEAT_TEST(test_give_back),
	};

	return RIG_RUN(tests);
}
