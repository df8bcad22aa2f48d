/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients that die where it hurts: between reserve and commit, while holding views, in the middle
 * of a submission, anywhere. What they had comes back, to the last byte of the tier.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/system/common.h"

#define DRAM_SIZE (8U << 20)
#define N_KEYS 50
#define VALUE_SIZE (64U << 10)

static struct system_broker broker;
static struct raw_client watcher;
static struct raw_lane *lane;
static uint8_t bytes[DRAM_SIZE];

/* Where a child tells how far it has got. */
static _Atomic unsigned *progress;

static bool has_got_there(void *context)
{
	return *progress >= *(unsigned *)context;
}

#define GRANDCHILD_ENDS 99

static void wait_for(unsigned where)
{
	assert_true(system_wait(has_got_there, &where));
}

static _Noreturn void wait_for_death(unsigned where)
{
	*progress = where;
	for (;;)
		pause();
}

static const char *key_of(unsigned i)
{
	static char key[32];

	snprintf(key, sizeof(key), "key-%u", i);
	return key;
}

static void put_all(void)
{
	unsigned i;

	for (i = 0; i < N_KEYS; i++) {
		system_fill(bytes, VALUE_SIZE, i);
		assert_int_equal(raw_put(&watcher, lane, key_of(i), bytes, VALUE_SIZE),
			ABI_STATUS_OK);
	}
}

/* Nothing is held, reserved, pinned or lost: one value can take the whole tier. */
static void assert_all_is_back(void)
{
	uint64_t reservation, off;

	assert_int_equal(system_wait_gauge(&watcher, ABI_GAUGE_SESSIONS_NOW, 1), 1);
	assert_int_equal(system_wait_gauge(&watcher, ABI_GAUGE_RESERVED_BYTES, 0), 0);
	assert_int_equal(system_wait_gauge(&watcher, ABI_GAUGE_PINNED_BYTES, 0), 0);
	assert_int_equal(system_wait_gauge(&watcher, ABI_GAUGE_LIMBO_BYTES, 0), 0);
	assert_int_equal(raw_reserve(&watcher, lane, "all", DRAM_SIZE, &reservation, &off),
		ABI_STATUS_OK);
	assert_int_equal(raw_commit(&watcher, lane, reservation), ABI_STATUS_OK);
	assert_int_equal(raw_delete(&watcher, lane, "all"), ABI_STATUS_OK);
	assert_int_equal(system_wait_gauge(&watcher, ABI_GAUGE_LIMBO_BYTES, 0), 0);
	assert_int_equal(system_wait_gauge(&watcher, ABI_GAUGE_ENTRIES, 0), 0);
	assert_int_equal(system_wait_gauge(&watcher, ABI_GAUGE_DRAM_USED_BYTES, 0), 0);
}

/* --- between reserve and commit --------------------------------------------------------------- */

static int reserve_body(void *context)
{
	struct shmc_reservation reservation;
	struct shmc *cache;
	unsigned i;

	(void)context;
	if (shmc_attach(&cache, broker.run.name, NULL))
		return 1;
	for (i = 0; i < 10; i++) {
		if (shmc_reserve(cache, key_of(i), strlen(key_of(i)), VALUE_SIZE, NULL, &reservation,
			    SHMC_TIMEOUT_DEFAULT))
			return 1;
		memset(reservation.data, 1, VALUE_SIZE);
	}
	wait_for_death(1);
}

static void test_between_reserve_and_commit(void **state)
{
	uint64_t dead = raw_counter(&watcher, ABI_COUNTER_RESERVES_DEAD), word;
	pid_t pid = system_spawn(reserve_body, NULL);
	unsigned i;

	(void)state;
	wait_for(1);
	assert_true(system_wait_gauge(&watcher, ABI_GAUGE_RESERVED_BYTES, 10 * VALUE_SIZE) >=
		10 * VALUE_SIZE);
	system_end(pid);
	assert_int_equal(system_wait_gauge(&watcher, ABI_GAUGE_RESERVED_BYTES, 0), 0);
	assert_int_equal(system_wait_counter(&watcher, ABI_COUNTER_RESERVES_DEAD, dead + 10),
		dead + 10);
	for (i = 0; i < 10; i++)
		assert_null(raw_find(&watcher, key_of(i), &word));
	assert_all_is_back();
}

/* --- while holding views ---------------------------------------------------------------------- */

static int hold_body(void *context)
{
	struct shmc_view view[N_KEYS];
	struct shmc *cache;
	unsigned i;

	(void)context;
	if (shmc_attach(&cache, broker.run.name, NULL))
		return 1;
	for (i = 0; i < N_KEYS; i++)
		if (shmc_get(cache, key_of(i), strlen(key_of(i)), &view[i]))
			return 1;
	*progress = 1;
	/* Until all are deleted; what is held stays as it was, whatever becomes of the entry. */
	while (*progress != 2)
		system_pause();
	for (i = 0; i < N_KEYS; i++) {
		system_fill(bytes, VALUE_SIZE, i);
		if (view[i].size != VALUE_SIZE || memcmp(view[i].data, bytes, VALUE_SIZE))
			return 1;
	}
	wait_for_death(3);
}

static void test_while_holding_views(void **state)
{
	pid_t pid;
	unsigned i;
	int status;

	(void)state;
	put_all();
	pid = system_spawn(hold_body, NULL);
	wait_for(1);
	for (i = 0; i < N_KEYS; i++)
		assert_int_equal(raw_delete(&watcher, lane, key_of(i)), ABI_STATUS_OK);
	/* New values, which must not go where the old ones are held. */
	for (i = 0; i < N_KEYS; i++) {
		system_fill(bytes, VALUE_SIZE, i + 1000);
		assert_int_equal(raw_put(&watcher, lane, key_of(i), bytes, VALUE_SIZE),
			ABI_STATUS_OK);
		assert_int_equal(raw_delete(&watcher, lane, key_of(i)), ABI_STATUS_OK);
	}
	assert_true(raw_gauge(&watcher, ABI_GAUGE_LIMBO_BYTES) >= (uint64_t)N_KEYS * VALUE_SIZE);
	*progress = 2;
	wait_for(3);
	assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
	system_end(pid);
	assert_all_is_back();
}

/* --- in the middle of a submission ------------------------------------------------------------ */

/* How far the child gets with the eight words of a slot; with 8 the sequence is there, unrung. */
static int half_body(void *context)
{
	unsigned n_words = *(unsigned *)context, i;
	struct submission s = {.operation = ABI_OP_PUT};
	struct abi_submission whole;
	struct raw_client c;
	struct raw_lane *own;

	if (raw_attach(&c, broker.run.name, WIRE_ROLE_NONE) || raw_lane_open(&c, &own) ||
		raw_put(&c, own, "before", "b", 1))
		return 1;
	raw_stage(own, &s, "half", 4, "value", 5);
	submission_publish(&whole, own->submitted, &s);
	for (i = 0; i < n_words; i++)
		shared_u64_store_release(&own->submission[own->submitted].word[i],
			shared_u64_load(&whole.word[i]));
	wait_for_death(1);
}

static void test_in_the_middle_of_a_submission(void **state)
{
	unsigned n_words;
	uint64_t word;
	pid_t pid;

	(void)state;
	for (n_words = 0; n_words <= 8; n_words++) {
		*progress = 0;
		pid = system_spawn(half_body, &n_words);
		wait_for(1);
		system_end(pid);
		assert_int_equal(system_wait_gauge(&watcher, ABI_GAUGE_SESSIONS_NOW, 1), 1);
		assert_true(raw_value_is(&watcher, "before", "b", 1));
		/* Whole or not there. */
		if (n_words < 8)
			assert_null(raw_find(&watcher, "half", &word));
		else if (raw_find(&watcher, "half", &word))
			assert_true(raw_value_is(&watcher, "half", "value", 5));
		assert_int_equal(raw_ping(&watcher, lane), ABI_STATUS_OK);
	}
	raw_delete(&watcher, lane, "half");
	assert_int_equal(raw_delete(&watcher, lane, "before"), ABI_STATUS_OK);
	assert_all_is_back();
}

/* --- with pins, and with a child of its own --------------------------------------------------- */

static int pin_body(void *context)
{
	struct shmc *cache;
	unsigned i;

	if (shmc_attach(&cache, broker.run.name, NULL))
		return 1;
	for (i = 0; i < 20; i++)
		if (shmc_pin(cache, key_of(i), strlen(key_of(i)), 0, SHMC_TIMEOUT_DEFAULT))
			return 1;
	/* The connection lives on in a grandchild, which outlives us, but not the test. */
	if (context && !fork()) {
		while (*progress != GRANDCHILD_ENDS && !kill(*(pid_t *)context, 0))
			system_pause();
		_exit(0);
	}
	wait_for_death(1);
}

static void delete_all(void)
{
	unsigned i;

	for (i = 0; i < N_KEYS; i++)
		raw_delete(&watcher, lane, key_of(i));
}

static void test_with_pins(void **state)
{
	pid_t pid;

	(void)state;
	put_all();
	pid = system_spawn(pin_body, NULL);
	wait_for(1);
	assert_true(system_wait_gauge(&watcher, ABI_GAUGE_PINNED_BYTES, 20 * VALUE_SIZE) >=
		20 * VALUE_SIZE);
	system_end(pid);
	assert_int_equal(system_wait_gauge(&watcher, ABI_GAUGE_PINNED_BYTES, 0), 0);
	delete_all();
	assert_all_is_back();
}

/* Whoever is gone is gone, though a child of his has the connection: the process counts. */
static void test_with_a_child(void **state)
{
	pid_t self = getpid(), pid;

	(void)state;
	put_all();
	pid = system_spawn(pin_body, &self);
	wait_for(1);
	system_end(pid);
	assert_int_equal(system_wait_gauge(&watcher, ABI_GAUGE_SESSIONS_NOW, 1), 1);
	*progress = GRANDCHILD_ENDS;
	delete_all();
	assert_all_is_back();
}

/* --- anywhere --------------------------------------------------------------------------------- */

static int busy_body(void *context)
{
	enum { KEPT_MAX = 8 };
	unsigned n_kept = 0;
	struct shmc_reservation reservation;
	struct shmc_view view;
	struct shmc *cache;
	unsigned i = *(unsigned *)context, k;

	if (shmc_attach(&cache, broker.run.name, NULL))
		return 1;
	*progress = 1;
	for (;; i = i * 1103515245 + 12345) {
		k = i >> 8 & 31;
		switch (i >> 16 & 7) {
		case 0:
		case 1:
			shmc_put(cache, key_of(k), strlen(key_of(k)), bytes, 1 + (i >> 4 & 0xffff),
				NULL, SHMC_TIMEOUT_DEFAULT);
			break;
		case 2:
			if (!shmc_reserve(cache, key_of(k), strlen(key_of(k)), 1 + (i >> 3 & 0x1ffff),
				    NULL, &reservation, SHMC_TIMEOUT_DEFAULT)) {
				memset(reservation.data, 1, reservation.size);
				shmc_commit(cache, &reservation, SHMC_TIMEOUT_DEFAULT);
			}
			break;
		case 3:
			shmc_delete(cache, key_of(k), strlen(key_of(k)), SHMC_TIMEOUT_DEFAULT);
			break;
		case 4:
			shmc_pin(cache, key_of(k), strlen(key_of(k)), 0, SHMC_TIMEOUT_DEFAULT);
			break;
		default:
			/* Some views stay for ever; not so many that it is cut off for hoarding. */
			if (shmc_get(cache, key_of(k), strlen(key_of(k)), &view))
				break;
			if (i >> 24 & 7 || n_kept == KEPT_MAX)
				shmc_release(cache, &view);
			else
				n_kept++;
			break;
		}
	}
}

static void test_anywhere(void **state)
{
	unsigned round;
	pid_t pid[2];

	(void)state;
	for (round = 0; round < 40; round++) {
		unsigned seed[2] = {round * 2, round * 2 + 1};

		*progress = 0;
		pid[0] = system_spawn(busy_body, &seed[0]);
		pid[1] = system_spawn(busy_body, &seed[1]);
		wait_for(1);
		usleep(500 + round * 377 % 8000);
		system_end(pid[0]);
		system_end(pid[1]);
		assert_int_equal(raw_ping(&watcher, lane), ABI_STATUS_OK);
	}
	assert_int_equal(system_wait_gauge(&watcher, ABI_GAUGE_SESSIONS_NOW, 1), 1);
	for (round = 0; round < 32; round++)
		raw_delete(&watcher, lane, key_of(round));
	assert_all_is_back();
	assert_int_equal(raw_counter(&watcher, ABI_COUNTER_SESSIONS_BROKEN), 0);
}

static int setup(void **state)
{
	(void)state;
	progress = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (progress == MAP_FAILED)
		return -1;
	system_start(&broker, "8MiB", false, "");
	assert_int_equal(raw_attach(&watcher, broker.run.name, WIRE_ROLE_NONE), 0);
	assert_int_equal(raw_lane_open(&watcher, &lane), 0);
	return 0;
}

static int start_over(void **state)
{
	(void)state;
	*progress = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	*progress = GRANDCHILD_ENDS;
	raw_detach(&watcher);
	system_stop(&broker);
	return 0;
}

#define UNIT(test) cmocka_unit_test_setup(test, start_over)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_between_reserve_and_commit),
		UNIT(test_while_holding_views),
		UNIT(test_in_the_middle_of_a_submission),
		UNIT(test_with_pins),
		UNIT(test_with_a_child),
		UNIT(test_anywhere),
	};

	/* Ended from outside, too, it leaves nothing behind. */
	if (cleanup_guard())
		return 1;
	return cmocka_run_group_tests(tests, setup, teardown);
}
