/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients that take all they can get and give nothing back: views, reservations, pins, connections.
 *
 * Each stops at its quota, or is cut off there, counted and logged once, and what it had is back
 * when it is gone. Somebody who works beside it gets what he asks for all the while.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/system/common.h"

#define KIB 1024U
#define VALUE_SIZE (64U * KIB)
#define N_VALUES 64 /* 4 of 16 MiB */
#define N_RESERVATIONS 8
#define N_HANDSHAKES 16
#define N_SILENT 10000

static struct system_broker broker;
static struct raw_client honest;
static struct raw_lane *lane;
static uint8_t bytes[VALUE_SIZE];

static void work(unsigned n)
{
	char key[32];
	unsigned i;

	for (i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "work-%u", i % 20);
		system_fill(bytes, sizeof(bytes), i);
		assert_int_equal(raw_put(&honest, lane, key, bytes, 4000), ABI_STATUS_OK);
		assert_true(raw_value_is(&honest, key, bytes, 4000));
	}
}

static const char *key_of(unsigned i)
{
	static char key[32];

	snprintf(key, sizeof(key), "value-%u", i);
	return key;
}

static void put_values(void)
{
	unsigned i;

	for (i = 0; i < N_VALUES; i++)
		assert_int_equal(raw_put(&honest, lane, key_of(i), bytes, sizeof(bytes)),
			ABI_STATUS_OK);
}

static void delete_values(void)
{
	unsigned i;

	for (i = 0; i < N_VALUES; i++)
		assert_int_equal(raw_delete(&honest, lane, key_of(i)), ABI_STATUS_OK);
}

/* As a client holds: the word in a cell of its own. */
static void hold(struct raw_client *c, struct raw_lane *own, unsigned n)
{
	uint64_t word;
	unsigned i;

	shared_u64_store_release(&own->request->holds_used, n);
	for (i = 0; i < n; i++) {
		assert_non_null(raw_find(c, key_of(i), &word));
		shared_u64_store_release(&own->hold[i], word);
	}
}

static bool is_cut_off(void *context)
{
	return shared_u32_load_acquire(&((struct raw_lane *)context)->response->fault) != 0;
}

static bool is_told(void *context)
{
	return system_log_count(&broker, "event=session-cut-off") > *(unsigned *)context;
}

/* --- views ------------------------------------------------------------------------------------ */

/* [session] held_max is 10 %, thus 1.6 MiB; 4 MiB are held by one, 1 MiB by another. */
static void test_views(void **state)
{
	uint64_t broken = raw_counter(&honest, ABI_COUNTER_SESSIONS_BROKEN);
	unsigned n_lines = system_log_count(&broker, "event=session-cut-off");
	struct raw_client hoarder, modest;
	struct raw_lane *hoards, *holds;

	(void)state;
	put_values();
	assert_int_equal(raw_attach(&hoarder, broker.run.name, WIRE_ROLE_READER), 0);
	assert_int_equal(raw_lane_open(&hoarder, &hoards), 0);
	assert_int_equal(raw_attach(&modest, broker.run.name, WIRE_ROLE_READER), 0);
	assert_int_equal(raw_lane_open(&modest, &holds), 0);
	hold(&hoarder, hoards, N_VALUES);
	hold(&modest, holds, 16);
	/* It is no offence while the entries are there. */
	work(100);
	assert_int_equal(raw_ping(&hoarder, hoards), ABI_STATUS_OK);
	delete_values();
	assert_true(system_wait(is_cut_off, hoards));
	assert_int_equal(shared_u32_load(&hoards->response->fault), ABI_FAULT_HOLDS);
	assert_int_equal(raw_wait_hangup(hoarder.socket), 0);
	/* What he alone held is free at once, what the other one holds as well is not. */
	assert_int_equal(system_wait_gauge(&honest, ABI_GAUGE_LIMBO_BYTES, 16 * VALUE_SIZE),
		16 * VALUE_SIZE);
	assert_int_equal(raw_ping(&modest, holds), ABI_STATUS_OK);
	assert_int_equal(
		system_wait_counter(&honest, ABI_COUNTER_SESSIONS_BROKEN, broken + 1), broken + 1);
	assert_true(system_wait(is_told, &n_lines));
	assert_int_equal(system_log_count(&broker, "event=session-cut-off"), n_lines + 1);
	work(100);
	raw_detach(&modest);
	raw_detach(&hoarder);
	assert_int_equal(system_wait_gauge(&honest, ABI_GAUGE_LIMBO_BYTES, 0), 0);
	assert_int_equal(system_wait_gauge(&honest, ABI_GAUGE_SESSIONS_NOW, 1), 1);
}

/* --- reservations and pins -------------------------------------------------------------------- */

/* By number, and by size: [session] reservations is 8, reserved_max 25 %, thus 4 MiB. */
static void test_reservations(void **state)
{
	uint64_t reservation, off, quota = raw_counter(&honest, ABI_COUNTER_QUOTA);
	static const uint32_t sizes[] = {KIB, 1500 * KIB};
	struct raw_client hoarder;
	struct raw_lane *hoards;
	unsigned i, k, n;
	int r;

	(void)state;
	for (k = 0; k < 2; k++) {
		assert_int_equal(raw_attach(&hoarder, broker.run.name, WIRE_ROLE_WRITER), 0);
		assert_int_equal(raw_lane_open(&hoarder, &hoards), 0);
		for (i = n = 0; i < 100; i++) {
			r = raw_reserve(&hoarder, hoards, key_of(i), sizes[k], &reservation, &off);
			assert_true(r == ABI_STATUS_OK || r == ABI_STATUS_QUOTA);
			n += r == ABI_STATUS_OK;
			work(5);
		}
		assert_int_equal(n, k ? 2 : N_RESERVATIONS);
		assert_in_range(raw_gauge(&honest, ABI_GAUGE_RESERVED_BYTES), 1, 4 * KIB * KIB);
		raw_detach(&hoarder);
		assert_int_equal(system_wait_gauge(&honest, ABI_GAUGE_RESERVED_BYTES, 0), 0);
	}
	assert_int_equal(raw_counter(&honest, ABI_COUNTER_QUOTA), quota + 100 - 8 + 100 - 2);
	work(100);
}

/* [session] pinned_max is 10 %, thus 1.6 MiB of 64 KiB each. */
static void test_pins(void **state)
{
	struct submission s = {.operation = ABI_OP_PIN};
	struct raw_client hoarder;
	struct raw_lane *hoards;
	unsigned i, n = 0;
	int r;

	(void)state;
	put_values();
	assert_int_equal(raw_attach(&hoarder, broker.run.name, WIRE_ROLE_STAGER), 0);
	assert_int_equal(raw_lane_open(&hoarder, &hoards), 0);
	for (i = 0; i < N_VALUES; i++) {
		raw_stage(hoards, &s, key_of(i), strlen(key_of(i)), NULL, 0);
		r = raw_call(&hoarder, hoards, &s, NULL);
		assert_true(r == ABI_STATUS_OK || r == ABI_STATUS_QUOTA);
		n += r == ABI_STATUS_OK;
	}
	assert_int_equal(n, 25);
	work(100);
	raw_detach(&hoarder);
	assert_int_equal(system_wait_gauge(&honest, ABI_GAUGE_PINNED_BYTES, 0), 0);
	delete_values();
}

/* --- connections ------------------------------------------------------------------------------ */

/* Ten thousand that never say hello, all open at once as far as this process may have them. */
static void test_silent_connections(void **state)
{
	unsigned before = system_fd_count(broker.run.proc.pid), most = 0, now, i, at;
	uint64_t memory = system_memory(broker.run.proc.pid);
	static int fds[N_SILENT];
	struct rlimit limit;
	unsigned n_open;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	n_open = limit.rlim_cur > N_SILENT + 100 ? N_SILENT : (unsigned)limit.rlim_cur - 100;
	for (i = 0; i < N_SILENT; i++) {
		at = i % n_open;
		if (i >= n_open)
			close(fds[at]);
		fds[at] = raw_connect(broker.run.name);
		assert_true(fds[at] >= 0);
		if (i % 100)
			continue;
		now = system_fd_count(broker.run.proc.pid);
		most = now > most ? now : most;
		work(5);
		if (i % 1000 == 0)
			system_assert_alive(&broker);
	}
	/* And what one comes with whom the broker is asked after. */
	assert_in_range(most, before, before + N_HANDSHAKES + 12);
	for (i = 0; i < n_open; i++) {
		assert_int_equal(raw_wait_hangup(fds[i]), 0);
		close(fds[i]);
	}
	assert_true(system_wait_fd_count(&broker, before));
#ifndef __SANITIZE_ADDRESS__
	assert_in_range(system_memory(broker.run.proc.pid), 0, memory + (256 << 10));
#else
	(void)memory;
#endif
}

static int setup(void **state)
{
	(void)state;
	system_start(&broker, "16MiB", false,
		"[session]\nheld_max = 10%\npinned_max = 10%\nreserved_max = 25%\n"
		"reservations = 8\nhandshakes = 16\nhello_timeout = 1s\nqueue = 16\n");
	assert_int_equal(raw_attach(&honest, broker.run.name, WIRE_ROLE_NONE), 0);
	return raw_lane_open(&honest, &lane);
}

static int teardown(void **state)
{
	(void)state;
	raw_detach(&honest);
	system_stop(&broker);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_views),
		cmocka_unit_test(test_reservations),
		cmocka_unit_test(test_pins),
		cmocka_unit_test(test_silent_connections),
	};

	/* Ended from outside, too, it leaves nothing behind. */
	if (cleanup_guard())
		return 1;
	return cmocka_run_group_tests(tests, setup, teardown);
}
