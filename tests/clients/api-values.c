/* SPDX-License-Identifier: Apache-2.0 */
/* What is put, got, reserved, renewed, kept and flushed, call by call, against a broker. */
#include "tests/clients/attached.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void what_is_put_is_got(void **state)
{
	static const size_t sizes[] = {1, 2, 63, 64, 65, 1000, 4096, 31000, 65535, 65536, 65537,
		100000, 524288, 600000, 1 << 20, (1 << 20) + 1, 5000000, 16 << 20};
	struct shmc *cache = *state;
	char key[32];
	uint8_t *value;
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		snprintf(key, sizeof(key), "value of %zu bytes", sizes[i]);
		value = attached_pattern(sizes[i], (unsigned)i);
		assert_int_equal(
			shmc_put(cache, key, strlen(key), value, sizes[i], NULL, WAIT), 0);
		attached_assert_value(cache, key, value, sizes[i]);
		free(value);
	}
}

static void a_put_replaces_unless_told_otherwise(void **state)
{
	const struct shmc_put_options absent = {.flags = SHMC_IF_ABSENT};
	struct shmc *cache = *state;
	uint8_t *large = attached_pattern(300000, 1);
	struct shmc_view old;

	attached_put(cache, "key", "one");
	assert_int_equal(shmc_get(cache, "key", 3, &old), 0);
	attached_put(cache, "key", "two!");
	attached_assert_value(cache, "key", "two!", 4);
	assert_memory_equal(old.data, "one", 3);
	shmc_release(cache, &old);
	assert_int_equal(shmc_put(cache, "key", 3, "x", 1, &absent, WAIT), SHMC_EXISTS);
	assert_int_equal(shmc_put(cache, "key", 3, large, 300000, &absent, WAIT), SHMC_EXISTS);
	attached_assert_value(cache, "key", "two!", 4);
	assert_int_equal(shmc_put(cache, "new", 3, "x", 1, &absent, WAIT), 0);
	assert_int_equal(shmc_put(cache, "large", 5, large, 300000, &absent, WAIT), 0);
	attached_assert_value(cache, "large", large, 300000);
	free(large);
}

static void a_value_may_not_be_larger_than_the_tier(void **state)
{
	struct shmc *cache = *state;
	uint8_t *value = calloc(1, TIER + 1);

	assert_int_equal(shmc_put(cache, "key", 3, value, TIER + 1, NULL, WAIT), -EFBIG);
	assert_int_equal(
		shmc_put(cache, "key", 3, value, SHMC_VALUE_SIZE_MAX + 1, NULL, WAIT), -EFBIG);
	assert_int_equal(shmc_put(cache, "key", 3, value, 0, NULL, WAIT), -EINVAL);
	assert_int_equal(shmc_put(cache, "key", 0, value, 1, NULL, WAIT), -EINVAL);
	assert_int_equal(shmc_put(cache, "key", 1025, value, 1, NULL, WAIT), -EINVAL);
	assert_int_equal(shmc_put(cache, NULL, 3, value, 1, NULL, WAIT), -EINVAL);
	assert_int_equal(shmc_ping(cache, WAIT), 0);
	free(value);
}

static void what_is_deleted_is_gone_but_for_its_views(void **state)
{
	struct shmc *cache = *state;
	struct shmc_view view;

	attached_put(cache, "key", "value");
	assert_int_equal(shmc_exists(cache, "key", 3), 0);
	assert_int_equal(shmc_get(cache, "key", 3, &view), 0);
	assert_int_equal(shmc_delete(cache, "key", 3, WAIT), 0);
	assert_int_equal(shmc_delete(cache, "key", 3, WAIT), SHMC_MISS);
	assert_int_equal(shmc_exists(cache, "key", 3), SHMC_MISS);
	assert_memory_equal(view.data, "value", 5);
	shmc_release(cache, &view);
}

static void an_entry_says_what_was_put_with_it(void **state)
{
	const struct shmc_put_options options = {.tier = SHMC_TIER_DRAM, .priority = 3,
		.ttl_ms = 100000, .group = 77, .position = 5};
	struct shmc *cache = *state;
	struct shmc_entry e;

	assert_int_equal(shmc_put(cache, "key", 3, "value", 5, &options, WAIT), 0);
	assert_int_equal(shmc_stat(cache, "key", 3, &e), 0);
	assert_int_equal(e.key_size, 3);
	assert_int_equal(e.value_size, 5);
	assert_int_equal(e.tier, SHMC_TIER_DRAM);
	assert_int_equal(e.priority, 3);
	assert_int_equal(e.group, 77);
	assert_int_equal(e.position, 5);
	assert_in_range(e.ttl_ms, 80000, 100020);
	assert_int_equal(shmc_stat(cache, "kez", 3, &e), SHMC_MISS);
}

/* However slow this machine is now: nothing here depends on being in time. */
static void time_runs_out_and_is_renewed(void **state)
{
	const struct shmc_put_options soon = {.ttl_ms = 60}, later = {.ttl_ms = 3600000};
	struct shmc *cache = *state;
	struct shmc_entry e;

	assert_int_equal(shmc_put(cache, "a", 1, "value", 5, &soon, WAIT), 0);
	assert_int_equal(shmc_put(cache, "b", 1, "value", 5, &later, WAIT), 0);
	assert_int_equal(shmc_put(cache, "c", 1, "value", 5, &later, WAIT), 0);
	assert_int_equal(shmc_touch(cache, "b", 1, 7200000, WAIT), 0);
	assert_int_equal(shmc_stat(cache, "b", 1, &e), 0);
	assert_true(e.ttl_ms > later.ttl_ms && e.ttl_ms <= 7200000);
	assert_int_equal(shmc_touch(cache, "c", 1, 0, WAIT), 0);
	assert_int_equal(shmc_stat(cache, "c", 1, &e), 0);
	assert_int_equal(e.ttl_ms, 0);
	usleep(120000);
	assert_int_equal(shmc_exists(cache, "a", 1), SHMC_MISS);
	assert_int_equal(shmc_exists(cache, "b", 1), 0);
	assert_int_equal(shmc_touch(cache, "a", 1, 5, WAIT), SHMC_MISS);
}

static void a_reservation_is_seen_when_committed(void **state)
{
	const struct shmc_put_options absent = {.flags = SHMC_IF_ABSENT};
	struct shmc *cache = *state;
	struct shmc_reservation r, second;

	assert_int_equal(shmc_reserve(cache, "key", 3, 1 << 20, NULL, &r, WAIT), 0);
	assert_int_equal(r.size, 1 << 20);
	memset(r.data, 7, r.size);
	assert_int_equal(shmc_exists(cache, "key", 3), SHMC_MISS);
	assert_int_equal(shmc_reserve(cache, "key", 3, 10, &absent, &second, WAIT), 0);
	memset(second.data, 8, second.size);
	assert_int_equal(shmc_commit(cache, &r, WAIT), 0);
	assert_int_equal(shmc_exists(cache, "key", 3), 0);
	assert_int_equal(shmc_commit(cache, &second, WAIT), SHMC_EXISTS);
	assert_null(second.data);
	assert_int_equal(shmc_reserve(cache, "key", 3, 10, &absent, &second, WAIT), SHMC_EXISTS);
	assert_int_equal(shmc_reserve(cache, "other", 5, 10, NULL, &second, WAIT), 0);
	assert_int_equal(shmc_abort(cache, &second, WAIT), 0);
	assert_int_equal(shmc_exists(cache, "other", 5), SHMC_MISS);
	assert_int_equal(shmc_reserve(cache, "big", 3, TIER + 1, NULL, &r, WAIT), -EFBIG);
}

static void a_pinned_entry_is_not_evicted(void **state)
{
	struct shmc *cache = *state;
	uint8_t *value = attached_pattern(1 << 20, 3);
	char key[16];
	int i;

	attached_put(cache, "pinned", "stays");
	attached_put(cache, "loose", "goes");
	assert_int_equal(shmc_pin(cache, "nothing", 7, 0, WAIT), SHMC_MISS);
	assert_int_equal(shmc_pin(cache, "pinned", 6, 60000, WAIT), 0);
	assert_int_equal(shmc_pin(cache, "pinned", 6, 60000, WAIT), 0);
	for (i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "filler %d", i);
		assert_int_equal(
			shmc_put(cache, key, strlen(key), value, 1 << 20, NULL, WAIT), 0);
	}
	assert_int_equal(shmc_exists(cache, "loose", 5), SHMC_MISS);
	attached_assert_value(cache, "pinned", "stays", 5);
	assert_int_equal(shmc_unpin(cache, "pinned", 6, WAIT), 0);
	assert_int_equal(shmc_unpin(cache, "pinned", 6, WAIT), SHMC_MISS);
	free(value);
}

static int count_visit(void *context, const struct shmc_entry *entry)
{
	(void)entry;
	++*(unsigned *)context;
	return 0;
}

static unsigned scanned(struct shmc *cache, const char *prefix)
{
	unsigned n = 0;
	uint64_t cursor = 0;

	do
		assert_int_equal(shmc_scan(cache, &cursor, prefix, strlen(prefix), 16, count_visit,
			&n), 0);
	while (cursor);
	return n;
}

static void a_flush_takes_what_has_the_prefix(void **state)
{
	struct shmc *cache = *state;
	uint64_t n_deleted = 0;
	char key[16];
	int i;

	for (i = 0; i < 3000; i++) {
		snprintf(key, sizeof(key), "%c-%d", i % 3 ? 'a' : 'b', i);
		attached_put(cache, key, "value");
	}
	assert_int_equal(scanned(cache, ""), 3000);
	assert_int_equal(scanned(cache, "b-"), 1000);
	assert_int_equal(shmc_flush(cache, "b-", 2, &n_deleted, WAIT), 0);
	assert_int_equal(n_deleted, 1000);
	assert_int_equal(scanned(cache, "b-"), 0);
	assert_int_equal(scanned(cache, ""), 2000);
	assert_int_equal(shmc_flush(cache, NULL, 1, NULL, WAIT), -EINVAL);
	assert_int_equal(shmc_flush(cache, NULL, 0, &n_deleted, WAIT), 0);
	assert_int_equal(n_deleted, 2000);
}

static void many_are_got_at_once(void **state)
{
	enum { N = 500 };
	struct shmc *cache = *state;
	struct shmc_view views[N];
	struct shmc_key keys[N];
	char text[N][16];
	int results[N], i;

	for (i = 0; i < N; i++) {
		keys[i] = (struct shmc_key){
			text[i], (size_t)snprintf(text[i], sizeof(text[i]), "key %d", i)};
		if (i % 4)
			attached_put(cache, text[i], text[i]);
	}
	assert_int_equal(shmc_get_many(cache, keys, N, views, results), N - N / 4);
	for (i = 0; i < N; i++) {
		assert_int_equal(results[i], i % 4 ? 0 : SHMC_MISS);
		if (!results[i])
			assert_memory_equal(views[i].data, text[i], keys[i].size);
		else
			views[i] = (struct shmc_view){0};
	}
	shmc_release_many(cache, views, N);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ATTACHED_TEST(what_is_put_is_got, writer),
		ATTACHED_TEST(what_is_put_is_got, stager),
		ATTACHED_TEST(a_put_replaces_unless_told_otherwise, writer),
		ATTACHED_TEST(a_put_replaces_unless_told_otherwise, stager),
		ATTACHED_TEST(a_value_may_not_be_larger_than_the_tier, writer),
		ATTACHED_TEST(a_value_may_not_be_larger_than_the_tier, stager),
		ATTACHED_TEST(what_is_deleted_is_gone_but_for_its_views, writer),
		ATTACHED_TEST(an_entry_says_what_was_put_with_it, writer),
		ATTACHED_TEST(time_runs_out_and_is_renewed, writer),
		ATTACHED_TEST(a_reservation_is_seen_when_committed, writer),
		ATTACHED_TEST(a_pinned_entry_is_not_evicted, writer),
		ATTACHED_TEST(a_flush_takes_what_has_the_prefix, writer),
		ATTACHED_TEST(many_are_got_at_once, writer),
	};

	return cmocka_run_group_tests(tests, attached_group_setup, attached_group_teardown);
}
