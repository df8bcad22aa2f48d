/* SPDX-License-Identifier: Apache-2.0 */
/* read.c: the one-sided calls, on an index that stands still. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/clients/rig.h"

static int setup(void **state)
{
	static struct rig rig;

	rig_open(&rig, WIRE_ROLE_READER);
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	rig_close(*state);
	return 0;
}

static void assert_value(struct shmc *cache, const void *key, size_t key_size, const void *value,
	size_t value_size)
{
	struct shmc_view view;

	assert_int_equal(shmc_get(cache, key, key_size, &view), 0);
	assert_int_equal(view.size, value_size);
	assert_memory_equal(view.data, value, value_size);
	shmc_release(cache, &view);
}

static void finds_keys_of_all_sizes(void **state)
{
	static const size_t sizes[] = {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 34, 56, 71, 72,
		73, 87, 88, 89, 90, 110, 144, 145, 350, 1023, 1024};
	const size_t n = sizeof(sizes) / sizeof(sizes[0]);
	const struct abi_hints hints = {.group = 5, .position = 6, .priority = 7};
	uint8_t key[SHMC_KEY_SIZE_MAX];
	struct rig *rig = *state;
	struct rig_entry e = {.key = key, .value = &e.key_size, .value_size = sizeof(size_t)};
	struct shmc_entry entry;
	size_t i, with_hints;

	for (i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(i * 31);
	for (with_hints = 0; with_hints < 2; with_hints++) {
		for (i = 0; i < n; i++) {
			key[0] = (uint8_t)with_hints;
			e.key_size = sizes[i];
			e.hints = with_hints ? &hints : NULL;
			rig_publish(rig, rig_record(rig, &e), rig_hash(rig, key, sizes[i]));
		}
	}
	for (with_hints = 0; with_hints < 2; with_hints++) {
		for (i = 0; i < n; i++) {
			key[0] = (uint8_t)with_hints;
			assert_value(rig->cache, key, sizes[i], &sizes[i], sizeof(size_t));
			assert_int_equal(shmc_stat(rig->cache, key, sizes[i], &entry), 0);
			assert_ptr_equal(entry.key, key);
			assert_int_equal(entry.key_size, sizes[i]);
			assert_int_equal(entry.value_size, sizeof(size_t));
			assert_int_equal(entry.tier, SHMC_TIER_DRAM);
			assert_int_equal(entry.group, with_hints ? 5 : 0);
			assert_int_equal(entry.position, with_hints ? 6 : 0);
			assert_int_equal(entry.priority, with_hints ? 7 : 0);
			assert_int_equal(entry.ttl_ms, 0);
			/* One byte off anywhere is another key. */
			key[sizes[i] - 1] ^= 0x80;
			assert_int_equal(shmc_exists(rig->cache, key, sizes[i]), SHMC_MISS);
			key[sizes[i] - 1] ^= 0x80;
		}
	}
	assert_int_equal(rig_n_held(rig), 0);
}

static void misses_what_is_not_there(void **state)
{
	struct rig *rig = *state;
	struct shmc_view view;
	struct shmc_entry entry;
	char buffer[8];
	size_t size;

	rig_store(rig, "there", "value");
	memset(&view, 0x55, sizeof(view));
	assert_int_equal(shmc_get(rig->cache, "ther", 4, &view), SHMC_MISS);
	assert_int_equal(((uint8_t *)&view)[0], 0x55);
	assert_int_equal(shmc_exists(rig->cache, "theres", 6), SHMC_MISS);
	assert_int_equal(shmc_stat(rig->cache, "Xhere", 5, &entry), SHMC_MISS);
	assert_int_equal(shmc_read(rig->cache, "X", 1, buffer, 8, &size), SHMC_MISS);
	assert_int_equal(rig_n_held(rig), 0);
}

static void checks_its_arguments(void **state)
{
	struct shmc *cache = ((struct rig *)*state)->cache;
	static char key[SHMC_KEY_SIZE_MAX + 1];
	struct shmc_entry entry;
	struct shmc_view view;
	uint64_t cursor = 0;
	int result;

	assert_int_equal(shmc_get(cache, key, 0, &view), -EINVAL);
	assert_int_equal(shmc_get(cache, NULL, 3, &view), -EINVAL);
	assert_int_equal(shmc_get(cache, key, sizeof(key), &view), -EINVAL);
	assert_int_equal(shmc_get(cache, key, SIZE_MAX, &view), -EINVAL);
	assert_int_equal(shmc_exists(cache, key, sizeof(key)), -EINVAL);
	assert_int_equal(shmc_stat(cache, key, 0, &entry), -EINVAL);
	assert_int_equal(shmc_stat(cache, key, 1, NULL), -EINVAL);
	assert_int_equal(shmc_read(cache, key, 1, NULL, 1, NULL), -EINVAL);
	assert_int_equal(shmc_get_many(cache, NULL, 1, &view, &result), -EINVAL);
	assert_int_equal(shmc_scan(cache, NULL, NULL, 0, 0, NULL, NULL), -EINVAL);
	assert_int_equal(shmc_scan(cache, &cursor, NULL, 0, 0, NULL, NULL), -EINVAL);
	assert_int_equal(shmc_usage(cache, NULL), -EINVAL);
	assert_int_equal(shmc_stats(cache, NULL, 1), -EINVAL);
}

static void copies_out(void **state)
{
	struct rig *rig = *state;
	char buffer[16] = "untouched";
	size_t size = 0;

	rig_store(rig, "key", "ten bytes.");
	assert_int_equal(shmc_read(rig->cache, "key", 3, buffer, 9, &size), -ENOSPC);
	assert_int_equal(size, 10);
	assert_string_equal(buffer, "untouched");
	assert_int_equal(shmc_read(rig->cache, "key", 3, NULL, 0, NULL), -ENOSPC);
	assert_int_equal(shmc_read(rig->cache, "key", 3, buffer, 10, &size), 0);
	assert_memory_equal(buffer, "ten bytes.", 10);
	assert_int_equal(rig_n_held(rig), 0);
}

/* Keys whose hashes share the 16 bits that a word keeps, 0 among them: that of an empty slot. */
static void tells_keys_of_one_tag_apart(void **state)
{
	struct rig *rig = *state;
	char key[3][16], value[3][16];
	unsigned i, n = 0;
	size_t size;

	for (i = 0; n < 3; i++) {
		size = (size_t)snprintf(key[n], sizeof(key[n]), "%u", i);
		if (rig_hash(rig, key[n], size) >> 48)
			continue;
		snprintf(value[n], sizeof(value[n]), "value of %.6s", key[n]);
		n++;
	}
	assert_int_equal(shmc_exists(rig->cache, key[0], strlen(key[0])), SHMC_MISS);
	rig_store(rig, key[0], value[0]);
	rig_store(rig, key[1], value[1]);
	assert_value(rig->cache, key[0], strlen(key[0]), value[0], strlen(value[0]));
	assert_value(rig->cache, key[1], strlen(key[1]), value[1], strlen(value[1]));
	assert_int_equal(shmc_exists(rig->cache, key[2], strlen(key[2])), SHMC_MISS);
	assert_int_equal(rig_n_held(rig), 0);
}

static void does_not_see_what_has_expired(void **state)
{
	uint64_t now_ms = deadline_clock() / 1000000;
	struct rig *rig = *state;
	struct rig_entry e = {"old", 3, "value", 5, now_ms - 50, NULL};
	struct shmc_entry entry;
	struct shmc_view view;

	rig_publish(rig, rig_record(rig, &e), rig_hash(rig, "old", 3));
	e.key = "new";
	e.expire_ms = now_ms + 100000;
	rig_publish(rig, rig_record(rig, &e), rig_hash(rig, "new", 3));
	assert_int_equal(shmc_get(rig->cache, "old", 3, &view), SHMC_MISS);
	assert_int_equal(shmc_exists(rig->cache, "old", 3), SHMC_MISS);
	assert_value(rig->cache, "new", 3, "value", 5);
	assert_int_equal(shmc_stat(rig->cache, "new", 3, &entry), 0);
	assert_in_range(entry.ttl_ms, 90000, 100100);
	assert_int_equal(rig_n_held(rig), 0);
}

static void holds_until_released(void **state)
{
	struct rig *rig = *state;
	struct shared_u64 *slot = rig_store(rig, "key", "value");
	uint64_t word = shared_u64_load(slot);
	struct shmc_view view, copy;

	assert_int_equal(shmc_get(rig->cache, "key", 3, &view), 0);
	assert_int_equal(rig_n_held(rig), 1);
	assert_int_equal(shared_u64_load(&rig_holds(rig, 0)[0]), word);
	shared_u64_store_release(slot, 0);
	assert_memory_equal(view.data, "value", 5);
	copy = view;
	shmc_release(rig->cache, &copy);
	assert_int_equal(rig_n_held(rig), 0);
	assert_null(copy.data);
	shmc_release(rig->cache, &copy);
	assert_int_equal(shmc_get(rig->cache, "key", 3, &view), SHMC_MISS);
}

static void says_quota_when_all_cells_are_taken(void **state)
{
	struct rig *rig = *state;
	struct shmc_view view[RIG_HOLDS], more;
	int result;
	unsigned i;

	rig_store(rig, "key", "value");
	for (i = 0; i < RIG_HOLDS; i++)
		assert_int_equal(shmc_get(rig->cache, "key", 3, &view[i]), 0);
	assert_int_equal(rig_n_held(rig), RIG_HOLDS);
	assert_int_equal(shmc_get(rig->cache, "key", 3, &more), SHMC_QUOTA);
	assert_int_equal(shmc_get_many(rig->cache, &(struct shmc_key){"key", 3}, 1, &more, &result),
		0);
	assert_int_equal(result, SHMC_QUOTA);
	/* A miss needs no cell. */
	assert_int_equal(shmc_get(rig->cache, "nokey", 5, &more), SHMC_MISS);
	for (i = 0; i < RIG_HOLDS; i++)
		shmc_release(rig->cache, &view[i]);
	assert_int_equal(shmc_get(rig->cache, "key", 3, &more), 0);
	shmc_release(rig->cache, &more);
}

static void counts_and_logs_its_hits(void **state)
{
	struct rig *rig = *state;
	struct abi_lane_request *request = rig_request(rig, 0);
	struct shared_u32 *log = (void *)((uint8_t *)request + rig->geometry.log_off);
	uint32_t a = abi_word_cell(shared_u64_load(rig_store(rig, "a", "1")));
	uint32_t b = abi_word_cell(shared_u64_load(rig_store(rig, "b", "2")));
	struct shmc_key keys[] = {{"a", 1}, {"c", 1}, {"b", 1}};
	struct shmc_view views[3];
	int results[3], i;
	struct shmc_entry entry;

	assert_value(rig->cache, "a", 1, "1", 1);
	assert_value(rig->cache, "b", 1, "2", 1);
	assert_int_equal(shmc_get_many(rig->cache, keys, 3, views, results), 2);
	shmc_release(rig->cache, &views[0]);
	shmc_release(rig->cache, &views[2]);
	assert_int_equal(shmc_exists(rig->cache, "a", 1), 0);
	assert_int_equal(shmc_stat(rig->cache, "a", 1, &entry), 0);
	assert_int_equal(shared_u64_load(&request->logged), 4);
	assert_int_equal(shared_u64_load(&request->hits), 4);
	assert_int_equal(shared_u64_load(&request->misses), 1);
	for (i = 0; i < 4; i++)
		assert_int_equal(shared_u32_load(&log[i]), i % 2 ? b : a);
	for (i = 0; i < RIG_LOG; i++)
		assert_value(rig->cache, "b", 1, "2", 1);
	assert_int_equal(shared_u64_load(&request->logged), 4 + RIG_LOG);
	assert_int_equal(shared_u64_load(&request->miss[ABI_MISS_ABSENT]), 1);
	assert_int_equal(shared_u32_load(&log[0]), b);
}

/* Alone and in a batch: why there was nothing is counted, and only misses are misses. */
static void counts_why_it_missed(void **state)
{
	struct rig *rig = *state;
	struct abi_lane_request *request = rig_request(rig, 0);
	struct rig_entry over = {.key = "over", .key_size = 4, .value = "1", .value_size = 1,
		.expire_ms = 1};
	struct shmc_key keys[] = {{"over", 4}, {"none", 4}};
	struct shmc_view views[RIG_HOLDS], more;
	int results[2], i;

	rig_publish(rig, rig_record(rig, &over), rig_hash(rig, "over", 4));
	rig_store(rig, "there", "1");
	assert_int_equal(shmc_get(rig->cache, "over", 4, &more), SHMC_MISS);
	assert_int_equal(shmc_get(rig->cache, "none", 4, &more), SHMC_MISS);
	assert_int_equal(shmc_get_many(rig->cache, keys, 2, views, results), 0);
	assert_int_equal(results[0], SHMC_MISS);
	assert_int_equal(results[1], SHMC_MISS);
	assert_int_equal(shared_u64_load(&request->miss[ABI_MISS_EXPIRED]), 2);
	assert_int_equal(shared_u64_load(&request->miss[ABI_MISS_ABSENT]), 2);
	for (i = 0; i < RIG_HOLDS; i++)
		assert_int_equal(shmc_get(rig->cache, "there", 5, &views[i]), 0);
	assert_int_equal(shmc_get(rig->cache, "there", 5, &more), SHMC_QUOTA);
	assert_int_equal(shared_u64_load(&request->miss[ABI_MISS_HOLDS]), 1);
	assert_int_equal(shared_u64_load(&request->misses), 4);
	shmc_release_many(rig->cache, views, RIG_HOLDS);
}

enum { N_MANY = 150, N_PAGE = 50 };

static void page_is_as_one_each(struct shmc *cache, const struct shmc_key *keys)
{
	struct shmc_view views[N_PAGE], view;
	int results[N_PAGE], i, n_hits, n = 0;

	n_hits = shmc_get_many(cache, keys, N_PAGE, views, results);
	for (i = 0; i < N_PAGE; i++) {
		assert_int_equal(
			shmc_get(cache, keys[i].data, keys[i].size, &view), results[i]);
		if (results[i])
			continue;
		n++;
		assert_memory_equal(views[i].data, keys[i].data, keys[i].size);
		assert_ptr_equal(views[i].data, view.data);
		assert_int_equal(views[i].size, keys[i].size);
		shmc_release(cache, &view);
		shmc_release(cache, &views[i]);
	}
	assert_int_equal(n_hits, n);
	assert_true(n > N_PAGE / 2);
}

/* A batch says of each key what the single call says. */
static void many_are_as_one_each(void **state)
{
	uint64_t now_ms = deadline_clock() / 1000000;
	static char text[N_MANY][16];
	struct shmc_key keys[N_MANY];
	struct rig *rig = *state;
	int i;

	for (i = 0; i < N_MANY; i++) {
		size_t size = (size_t)snprintf(text[i], sizeof(text[i]), "k%d", i);
		struct rig_entry e = {text[i], size, text[i], size,
			i % 7 == 3 ? now_ms - 1000 : 0, NULL};

		keys[i] = (struct shmc_key){text[i], size};
		if (i % 3 == 0)
			rig_split(rig);
		if (i % 5 != 4)
			rig_publish(rig, rig_record(rig, &e), rig_hash(rig, text[i], size));
	}
	keys[11].size = 0;
	keys[12].data = NULL;
	/* No more at once than a lane can hold. */
	for (i = 0; i < N_MANY; i += N_PAGE)
		page_is_as_one_each(rig->cache, keys + i);
	assert_int_equal(rig_n_held(rig), 0);
}

/*
 * With nobody to attach to, a read that finds the memory in other hands says so, and holds
 * nothing.
 */
static void believes_nothing_of_another_broker(void **state)
{
	struct rig *rig = *state;
	struct shmc_view view, kept;
	int result;

	rig_store(rig, "key", "value");
	assert_int_equal(shmc_get(rig->cache, "key", 3, &kept), 0);
	shared_u64_store_release(&rig->plane->epoch, RIG_EPOCH + 1);
	assert_int_equal(shmc_get(rig->cache, "key", 3, &view), -ENOTCONN);
	assert_int_equal(shmc_get(rig->cache, "nokey", 5, &view), -ENOTCONN);
	assert_int_equal(shmc_exists(rig->cache, "key", 3), -ENOTCONN);
	assert_int_equal(shmc_get_many(rig->cache, &(struct shmc_key){"key", 3}, 1, &view, &result),
		-ENOTCONN);
	/* The view of before is as it was, and its session goes with it. */
	assert_memory_equal(kept.data, "value", 5);
	assert_int_equal(rig_n_sessions(rig), 1);
	shmc_release(rig->cache, &kept);
	assert_int_equal(rig_n_sessions(rig), 0);
}

static void believes_nothing_of_a_stopped_broker(void **state)
{
	struct rig *rig = *state;
	struct shmc_view view;

	rig_store(rig, "key", "value");
	assert_value(rig->cache, "key", 3, "value", 5);
	shared_u32_store_release(&rig->plane->state, ABI_STATE_STOPPED);
	assert_int_equal(shmc_get(rig->cache, "key", 3, &view), -ENOTCONN);
}

static void believes_nothing_once_cut_off(void **state)
{
	struct rig *rig = *state;
	struct shmc_view view;
	int result;

	rig_store(rig, "key", "value");
	assert_value(rig->cache, "key", 3, "value", 5);
	shared_u32_store_release(&rig_response(rig, 0)->fault, ABI_FAULT_HOLDS);
	assert_int_equal(shmc_get_many(rig->cache, &(struct shmc_key){"key", 3}, 1, &view, &result),
		-ENOTCONN);
	assert_int_equal(shmc_get(rig->cache, "key", 3, &view), -ENOTCONN);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(finds_keys_of_all_sizes),
		T(misses_what_is_not_there),
		T(checks_its_arguments),
		T(copies_out),
		T(tells_keys_of_one_tag_apart),
		T(does_not_see_what_has_expired),
		T(holds_until_released),
		T(says_quota_when_all_cells_are_taken),
		T(counts_and_logs_its_hits),
		T(counts_why_it_missed),
		T(many_are_as_one_each),
		T(believes_nothing_of_another_broker),
		T(believes_nothing_of_a_stopped_broker),
		T(believes_nothing_once_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
