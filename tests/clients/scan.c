/* SPDX-License-Identifier: Apache-2.0 */
/* scan.c: pages, prefixes, and visitors who stop. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/clients/rig.h"

enum { N = 200 };

struct seen {
	struct rig *rig;
	unsigned n[N], n_all, stop_after;
};

static int setup(void **state)
{
	static struct rig rig;
	char key[8];
	int i;

	rig_open(&rig, WIRE_ROLE_READER);
	for (i = 0; i < N; i++) {
		if (i % 6 == 0)
			rig_split(&rig);
		snprintf(key, sizeof(key), "%c%03d", i % 2 ? 'o' : 'e', i);
		rig_store(&rig, key, "value");
	}
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	rig_close(*state);
	return 0;
}

static int visit(void *context, const struct shmc_entry *entry)
{
	struct seen *seen = context;
	char digits[4] = "";

	assert_int_equal(entry->key_size, 4);
	assert_int_equal(entry->value_size, 5);
	assert_int_equal(entry->tier, SHMC_TIER_DRAM);
	/* What is visited is held, and nothing else. */
	assert_int_equal(rig_n_held(seen->rig), 1);
	memcpy(digits, (const char *)entry->key + 1, 3);
	seen->n[atoi(digits)]++;
	seen->n_all++;
	return seen->stop_after && seen->n_all % seen->stop_after == 0 ? 77 : 0;
}

static void assert_seen_once(const struct seen *seen)
{
	int i;

	for (i = 0; i < N; i++)
		assert_int_equal(seen->n[i], 1);
}

static void sees_all_once_whatever_the_page(void **state)
{
	static const size_t budgets[] = {0, 1, 7, 1000000};
	struct rig *rig = *state;
	struct seen seen;
	uint64_t cursor;
	unsigned pages;
	size_t i;

	for (i = 0; i < 4; i++) {
		seen = (struct seen){.rig = rig};
		cursor = 0;
		pages = 0;
		do {
			assert_int_equal(shmc_scan(rig->cache, &cursor, NULL, 0, budgets[i], visit,
				&seen), 0);
			pages++;
		} while (cursor);
		assert_seen_once(&seen);
		if (budgets[i] == 1)
			assert_int_equal(pages, shared_u64_load(&rig->index->n_buckets));
	}
	assert_int_equal(rig_n_held(rig), 0);
}

static void a_visitor_who_stops_is_not_shown_the_same_again(void **state)
{
	struct rig *rig = *state;
	struct seen seen = {.rig = rig, .stop_after = 1};
	uint64_t cursor = 0;
	int r, n_stops = 0;

	do {
		r = shmc_scan(rig->cache, &cursor, NULL, 0, 0, visit, &seen);
		assert_true(r == 0 || r == 77);
		assert_true(r == 0 || cursor != 0);
		n_stops += r == 77;
	} while (cursor);
	assert_int_equal(n_stops, N);
	assert_seen_once(&seen);
}

static void shows_what_has_the_prefix(void **state)
{
	struct rig *rig = *state;
	struct seen seen = {.rig = rig};
	uint64_t cursor = 0;

	do
		assert_int_equal(shmc_scan(rig->cache, &cursor, "e19", 3, 3, visit, &seen), 0);
	while (cursor);
	assert_int_equal(seen.n_all, 5);
	assert_int_equal(seen.n[190] + seen.n[192] + seen.n[194] + seen.n[196] + seen.n[198], 5);
	do
		assert_int_equal(
			shmc_scan(rig->cache, &cursor, "e198x", 5, 3, visit, &seen), 0);
	while (cursor);
	assert_int_equal(seen.n_all, 5);
	/* No key of four bytes has five, whatever stands behind it. */
	do
		assert_int_equal(
			shmc_scan(rig->cache, &cursor, "e198\0", 5, 3, visit, &seen), 0);
	while (cursor);
	assert_int_equal(seen.n_all, 5);
}

static int get_visit(void *context, const struct shmc_entry *entry)
{
	struct seen *seen = context;
	struct shmc_view view;

	assert_int_equal(shmc_get(seen->rig->cache, entry->key, entry->key_size, &view), 0);
	assert_int_equal(rig_n_held(seen->rig), 2);
	shmc_release(seen->rig->cache, &view);
	seen->n_all++;
	return 0;
}

static void a_visitor_may_call_the_library(void **state)
{
	struct rig *rig = *state;
	struct seen seen = {.rig = rig};
	uint64_t cursor = 0;

	assert_int_equal(shmc_scan(rig->cache, &cursor, NULL, 0, 1000, get_visit, &seen), 0);
	assert_int_equal(cursor, 0);
	assert_int_equal(seen.n_all, N);
}

/* The visitor finds the broker gone: its lane may be another's by then, so the page ends. */
static int lost_visit(void *context, const struct shmc_entry *entry)
{
	struct seen *seen = context;
	struct shmc_view view;

	if (++seen->n_all != 3)
		return 0;
	shared_u64_store_release(&seen->rig->plane->epoch, RIG_EPOCH + 1);
	assert_int_equal(shmc_get(seen->rig->cache, entry->key, entry->key_size, &view), -ENOTCONN);
	return 0;
}

static void ends_when_the_visitor_finds_the_broker_gone(void **state)
{
	struct rig *rig = *state;
	struct seen seen = {.rig = rig};
	struct shmc_view view;
	uint64_t cursor = 0;

	assert_int_equal(shmc_get(rig->cache, "e000", 4, &view), 0);
	assert_int_equal(
		shmc_scan(rig->cache, &cursor, NULL, 0, 1000, lost_visit, &seen), -ENOTCONN);
	assert_int_equal(seen.n_all, 3);
	assert_int_equal(rig_n_held(rig), 1);
	shmc_release(rig->cache, &view);
}

/* Or that it has hung up, of which the memory says nothing: no other broker has come yet. */
static int hung_up_visit(void *context, const struct shmc_entry *entry)
{
	struct seen *seen = context;

	(void)entry;
	if (++seen->n_all != 3)
		return 0;
	close(seen->rig->socket);
	seen->rig->socket = -1;
	assert_int_equal(shmc_ping(seen->rig->cache, 100), -ENOTCONN);
	return 0;
}

static void ends_when_the_visitor_finds_that_the_broker_hung_up(void **state)
{
	struct rig *rig = *state;
	struct seen seen = {.rig = rig};
	struct shmc_view view;
	uint64_t cursor = 0;

	assert_int_equal(shmc_get(rig->cache, "e000", 4, &view), 0);
	assert_int_equal(
		shmc_scan(rig->cache, &cursor, NULL, 0, 1000, hung_up_visit, &seen), -ENOTCONN);
	assert_int_equal(seen.n_all, 3);
	assert_int_equal(rig_n_held(rig), 1);
	shmc_release(rig->cache, &view);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(sees_all_once_whatever_the_page),
		T(a_visitor_who_stops_is_not_shown_the_same_again),
		T(shows_what_has_the_prefix),
		T(a_visitor_may_call_the_library),
		T(ends_when_the_visitor_finds_the_broker_gone),
		T(ends_when_the_visitor_finds_that_the_broker_hung_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
