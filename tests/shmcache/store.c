/* SPDX-License-Identifier: Apache-2.0 */
/* Unit of shmcache/store*.c: what each request does, one thread, room to spare. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/shmcache/rig.h"

static struct rig rig;

static int setup(void **state)
{
	(void)state;
	rig_init(&rig, 16 * MIB, 4 * MIB);
	rig_open(&rig, false);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_remove(&rig);
	return rig_leftovers() ? -1 : 0;
}

static uint64_t used(void)
{
	struct block_stats st;

	block_stats_get(rig.store.tier[ABI_TIER_DRAM].blocks, &st);
	return st.used;
}

/* Everything is free again: no entry, no block, no cell that isn't on the free list. */
static void assert_empty(void)
{
	uint64_t n_free = 0;
	uint32_t cell;

	rig_drain(&rig);
	rig_check(&rig);
	assert_int_equal(rig.store.index.n_entries, 0);
	assert_int_equal(rig.store.tier[ABI_TIER_DRAM].n_entries, 0);
	assert_int_equal(rig.store.limbo.n, 0);
	assert_int_equal(rig.store.tier[ABI_TIER_DRAM].limbo_size, 0);
	assert_int_equal(rig.store.pinned_size, 0);
	assert_int_equal(rig.store.reserved_size, 0);
	assert_int_equal(rig.store.n_expiring, 0);
	assert_int_equal(used(), 0);
	for (cell = rig.store.index.free_cell; cell; cell = index_block(&rig.store.index, cell))
		n_free++;
	assert_int_equal(n_free, rig.store.index.n_cells - 1);
}

static void wait_ms(unsigned ms)
{
	uint64_t until = store_now_ms() + ms;

	while (store_now_ms() < until)
		usleep(1000);
}

static void put_text(const char *text)
{
	struct index_key key = index_key(&rig.store.index, text, strlen(text));

	assert_int_equal(store_put(&rig.store, &rig.w, &key, &(struct store_put_options){0}, text,
				 strlen(text)),
		ABI_STATUS_OK);
}

static uint64_t flush(const char *prefix, unsigned n_buckets)
{
	uint64_t bucket = 0, n = 0;
	unsigned rounds = 0;

	while (bucket != UINT64_MAX) {
		n += store_flush(&rig.store, &rig.w, prefix, strlen(prefix), &bucket, n_buckets);
		assert_true(rounds++ < 100000);
	}
	return n;
}

static void test_put_get(void **state)
{
	static const uint64_t sizes[] = {
		1, 7, 63, 64, 65, 4095, 4096, 4097, 65535, 65536, 65537, 1048576, 4194304};
	uint64_t i, n = sizeof(sizes) / sizeof(sizes[0]);
	uint32_t cell;

	(void)state;
	for (i = 0; i < n; i++)
		assert_int_equal(rig_put(&rig, i, i + 100, sizes[i]), ABI_STATUS_OK);
	for (i = 0; i < n; i++) {
		assert_int_equal(rig_get(&rig, i, i + 100, sizes[i]), sizes[i]);
		cell = rig_cell(&rig, i);
		assert_int_equal(rig.store.index.cell[cell].value_off %
					 (sizes[i] >= ABI_VALUE_LARGE ? ABI_VALUE_ALIGN_LARGE
								      : ABI_VALUE_ALIGN),
			0);
		assert_int_equal(rig.store.index.cell[cell].tier, ABI_TIER_DRAM);
	}
	assert_int_equal(rig_get(&rig, n, 0, 0), 0);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_PUTS), n);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_REPLACES), 0);
	assert_int_equal(rig.store.index.n_entries, n);
	rig_check(&rig);
	for (i = 0; i < n; i++)
		assert_int_equal(rig_delete(&rig, i), ABI_STATUS_OK);
	assert_int_equal(rig_delete(&rig, 0), ABI_STATUS_MISS);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_DELETES), n);
	assert_empty();
}

static void test_replace(void **state)
{
	uint64_t i;

	(void)state;
	for (i = 1; i <= 1000; i++) {
		assert_int_equal(rig_put(&rig, 7, i, i * 37), ABI_STATUS_OK);
		assert_int_equal(rig_get(&rig, 7, i, i * 37), i * 37);
		assert_int_equal(rig.store.index.n_entries, 1);
	}
	assert_int_equal(rig_count(&rig, ABI_COUNTER_REPLACES), 999);
	rig_check(&rig);
	assert_int_equal(rig_delete(&rig, 7), ABI_STATUS_OK);
	assert_empty();
}

static void test_if_absent(void **state)
{
	const struct store_put_options absent = {.if_absent = true};
	uint32_t cell, other;
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key = rig_index_key(&rig, 1, bytes);

	(void)state;
	assert_int_equal(rig_put_with(&rig, 1, 1, 100, &absent), ABI_STATUS_OK);
	assert_int_equal(rig_put_with(&rig, 1, 2, 200, &absent), ABI_STATUS_EXISTS);
	assert_int_equal(
		store_reserve(&rig.store, &rig.w, &key, &absent, 100, &cell), ABI_STATUS_EXISTS);
	assert_int_equal(rig_get(&rig, 1, 1, 100), 100);
	assert_int_equal(rig_delete(&rig, 1), ABI_STATUS_OK);
	/* Two reserve while it is absent: the first commit wins, the second gives its block back.
	 */
	assert_int_equal(
		store_reserve(&rig.store, &rig.w, &key, &absent, 300, &cell), ABI_STATUS_OK);
	assert_int_equal(
		store_reserve(&rig.store, &rig.w, &key, &absent, 400, &other), ABI_STATUS_OK);
	rig_check(&rig);
	rig_fill(rig_value(&rig, other), 400, 4);
	assert_int_equal(store_commit(&rig.store, &rig.w, other, true), ABI_STATUS_OK);
	assert_int_equal(store_commit(&rig.store, &rig.w, cell, true), ABI_STATUS_EXISTS);
	assert_int_equal(rig_get(&rig, 1, 4, 400), 400);
	assert_int_equal(rig_delete(&rig, 1), ABI_STATUS_OK);
	assert_empty();
}

static void test_reserve(void **state)
{
	const struct store_put_options none = {0};
	uint8_t bytes[ABI_KEY_SIZE_MAX], value[1000];
	struct index_key key = rig_index_key(&rig, 1, bytes);
	uint32_t cell;

	(void)state;
	assert_int_equal(rig_put(&rig, 1, 1, 10), ABI_STATUS_OK);
	assert_int_equal(store_reserve(&rig.store, &rig.w, &key, &none, sizeof(value), &cell),
		ABI_STATUS_OK);
	assert_int_equal(rig.store.reserved_size, 1024);
	/* Nobody sees it before the commit. */
	assert_int_equal(rig_get(&rig, 1, 1, 10), 10);
	rig_fill(value, sizeof(value), 2);
	assert_int_equal(store_write(&rig.store, cell, 0, value, 500), ABI_STATUS_OK);
	assert_int_equal(store_write(&rig.store, cell, 500, value + 500, 500), ABI_STATUS_OK);
	assert_int_equal(rig_get(&rig, 1, 1, 10), 10);
	assert_int_equal(store_commit(&rig.store, &rig.w, cell, false), ABI_STATUS_OK);
	assert_int_equal(rig_get(&rig, 1, 2, sizeof(value)), sizeof(value));
	assert_int_equal(rig.store.reserved_size, 0);
	rig_check(&rig);
	/* An abort leaves what was there. */
	assert_int_equal(
		store_reserve(&rig.store, &rig.w, &key, &none, 5000, &cell), ABI_STATUS_OK);
	store_abort(&rig.store, cell);
	assert_int_equal(rig_get(&rig, 1, 2, sizeof(value)), sizeof(value));
	assert_int_equal(rig_count(&rig, ABI_COUNTER_RESERVES), 2);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_COMMITS), 1);
	assert_int_equal(rig_delete(&rig, 1), ABI_STATUS_OK);
	assert_empty();
}

static void test_too_big(void **state)
{
	const struct store_put_options none = {0};
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key = rig_index_key(&rig, 1, bytes);
	uint32_t cell;

	(void)state;
	assert_int_equal(store_reserve(&rig.store, &rig.w, &key, &none, 16 * MIB + 1, &cell),
		ABI_STATUS_TOO_BIG);
	assert_int_equal(store_reserve(&rig.store, &rig.w, &key, &none, UINT32_MAX, &cell),
		ABI_STATUS_TOO_BIG);
	/* The whole tier, when it is empty. */
	assert_int_equal(
		store_reserve(&rig.store, &rig.w, &key, &none, 16 * MIB, &cell), ABI_STATUS_OK);
	/* All of it is reserved: no room, and nothing to evict. */
	assert_int_equal(rig_put(&rig, 2, 2, 1), ABI_STATUS_NOSPACE);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_NOSPACE), 1);
	rig_check(&rig);
	store_abort(&rig.store, cell);
	assert_empty();
}

static void test_ttl(void **state)
{
	const struct store_put_options soon = {.ttl_ms = 40}, late = {.ttl_ms = 3600000},
				       never = {.ttl_ms = UINT64_MAX};
	uint64_t i;

	(void)state;
	for (i = 0; i < 100; i++)
		assert_int_equal(rig_put_with(&rig, i, i, 100,
					 i < 50	  ? &soon
					 : i < 75 ? &late
						  : &never),
			ABI_STATUS_OK);
	assert_int_equal(rig.store.n_expiring, 75);
	/* A put without one takes the old one's time to live with it; a touch gives another. */
	assert_int_equal(rig_put(&rig, 0, 0, 100), ABI_STATUS_OK);
	assert_int_equal(rig.store.n_expiring, 74);
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key = rig_index_key(&rig, 1, bytes);
	assert_int_equal(store_touch(&rig.store, &key, 0), ABI_STATUS_OK);
	assert_int_equal(rig.store.n_expiring, 73);
	key = rig_index_key(&rig, 2, bytes);
	assert_int_equal(store_touch(&rig.store, &key, 3600000), ABI_STATUS_OK);
	assert_int_equal(rig.store.n_expiring, 73);
	wait_ms(60);
	/* Expired and not yet swept: a miss, whoever asks. */
	assert_int_equal(rig_delete(&rig, 3), ABI_STATUS_MISS);
	key = rig_index_key(&rig, 4, bytes);
	assert_int_equal(store_touch(&rig.store, &key, 0), ABI_STATUS_MISS);
	assert_int_equal(
		rig_put_with(&rig, 5, 55, 100, &(struct store_put_options){.if_absent = true}),
		ABI_STATUS_OK);
	for (i = 0; i < 2; i++)
		store_sweep(&rig.store, &rig.w, 100000);
	for (i = 0; i < 100; i++)
		assert_int_equal(rig_get(&rig, i, i == 5 ? 55 : i, 100),
			i < 3 || i == 5 || i >= 50 ? 100 : 0);
	assert_int_equal(rig.store.n_expiring, 26);
	rig_check(&rig);
	for (i = 0; i < 100; i++)
		rig_delete(&rig, i);
	assert_empty();
}

static void test_touch_of_nothing(void **state)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key = rig_index_key(&rig, 1, bytes);

	(void)state;
	assert_int_equal(store_touch(&rig.store, &key, 1000), ABI_STATUS_MISS);
	assert_empty();
}

static void test_pin(void **state)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key = rig_index_key(&rig, 1, bytes);
	struct policy *policy = rig.store.tier[ABI_TIER_DRAM].policy;
	uint64_t pin, again, size;

	(void)state;
	assert_int_equal(store_pin(&rig.store, &key, &pin, &size), ABI_STATUS_MISS);
	assert_int_equal(rig_put(&rig, 1, 1, 100), ABI_STATUS_OK);
	assert_int_equal(store_pin(&rig.store, &key, &pin, &size), ABI_STATUS_OK);
	assert_int_equal(size, 128);
	assert_int_equal(store_pin(&rig.store, &key, &again, &size), ABI_STATUS_OK);
	assert_int_equal(again, pin);
	assert_int_equal(rig.store.pinned_size, 128);
	assert_false(policy_resident(policy, (uint32_t)pin));
	rig_check(&rig);
	assert_true(store_pin_is_of(&rig.store, pin, &key));
	assert_int_equal(store_unpin(&rig.store, pin), 128);
	assert_int_equal(rig.store.pinned_size, 128);
	assert_false(policy_resident(policy, (uint32_t)pin));
	assert_int_equal(store_unpin(&rig.store, pin), 128);
	assert_true(policy_resident(policy, (uint32_t)pin));
	assert_int_equal(rig.store.pinned_size, 0);
	assert_false(store_pin_is_of(&rig.store, pin, &key));
	/* One too many, and nonsense. */
	assert_int_equal(store_unpin(&rig.store, pin), 0);
	assert_int_equal(store_unpin(&rig.store, UINT64_MAX), 0);
	assert_int_equal(store_unpin(&rig.store, 0), 0);
	rig_check(&rig);
	/* A pin keeps nobody from replacing or deleting, and ends with its entry. */
	assert_int_equal(store_pin(&rig.store, &key, &pin, &size), ABI_STATUS_OK);
	assert_int_equal(rig_put(&rig, 1, 2, 200), ABI_STATUS_OK);
	assert_int_equal(rig.store.pinned_size, 0);
	assert_false(store_pin_is_of(&rig.store, pin, &key));
	assert_int_equal(store_unpin(&rig.store, pin), 0);
	assert_int_equal(store_pin(&rig.store, &key, &pin, &size), ABI_STATUS_OK);
	assert_int_equal(rig_delete(&rig, 1), ABI_STATUS_OK);
	assert_int_equal(store_unpin(&rig.store, pin), 0);
	assert_empty();
}

/*
 * A pin names cell and generation. Whatever the cell was in between, a tail full of the bytes of
 * somebody's key included, an old pin must not name a new entry.
 */
static void test_pin_of_reused_cell(void **state)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX], evil[1024];
	struct index_key key = rig_index_key(&rig, 1, bytes), other;
	uint64_t pin, new_pin, size;
	uint32_t generation, cell, i;
	char text[16];

	(void)state;
	assert_int_equal(rig_put(&rig, 0, 0, 100), ABI_STATUS_OK);
	assert_int_equal(rig_put(&rig, 1, 1, 100), ABI_STATUS_OK);
	assert_int_equal(store_pin(&rig.store, &key, &pin, &size), ABI_STATUS_OK);
	assert_int_equal(rig_delete(&rig, 1), ABI_STATUS_OK);
	rig_drain(&rig);
	/* The cell freed last becomes the record, the one before it the record's tail. */
	assert_int_equal(rig_delete(&rig, 0), ABI_STATUS_OK);
	rig_drain(&rig);
	/* Fill every word of the cell, as a tail, with the generation before the pin's. */
	generation = (uint32_t)(pin >> 32) - 1;
	for (i = 0; i < sizeof(evil); i += 4)
		memcpy(evil + i, &generation, 4);
	other = index_key(&rig.store.index, evil, sizeof(evil));
	assert_int_equal(
		store_put(&rig.store, &rig.w, &other, &(struct store_put_options){0}, "", 1),
		ABI_STATUS_OK);
	assert_int_equal(rig.store.index.meta[(uint32_t)pin].state, INDEX_TAIL);
	assert_int_equal(store_delete(&rig.store, &rig.w, &other), ABI_STATUS_OK);
	rig_drain(&rig);
	/* Take cells until the very one comes around again. */
	for (i = 0;; i++) {
		assert_true(i < 100);
		snprintf(text, sizeof(text), "%u", i);
		put_text(text);
		key = index_key(&rig.store.index, text, strlen(text));
		assert_non_null(index_find(&rig.store.index, &key, &cell));
		if (cell == (uint32_t)pin)
			break;
	}
	assert_int_equal(store_pin(&rig.store, &key, &new_pin, &size), ABI_STATUS_OK);
	assert_int_equal((uint32_t)new_pin, (uint32_t)pin);
	assert_int_not_equal(new_pin, pin);
	assert_int_equal(store_unpin(&rig.store, pin), 0);
	assert_int_equal(store_unpin(&rig.store, new_pin), 64);
	assert_int_equal(flush("", 4096), i + 1);
	assert_empty();
}

static void test_hits(void **state)
{
	uint32_t cells[] = {0, 1, 2, 3, UINT32_MAX, 0x7fffffff, 50};

	(void)state;
	assert_int_equal(rig_put(&rig, 1, 1, 100), ABI_STATUS_OK);
	cells[1] = rig_cell(&rig, 1);
	assert_int_equal(store_hits(&rig.store, &rig.w, cells, 7), 1 + (cells[1] == 2 || cells[1] == 3));
	rig_delete(&rig, 1);
	assert_int_equal(store_hits(&rig.store, &rig.w, cells, 7), 0);
	assert_empty();
}

static void test_flush(void **state)
{
	char name[1100], long_prefix[200];
	int i;

	(void)state;
	memset(long_prefix, 'L', sizeof(long_prefix));
	long_prefix[199] = '\0';
	for (i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "a/%d", i);
		put_text(name);
		snprintf(name, sizeof(name), "ab/%d", i);
		put_text(name);
		snprintf(name, sizeof(name), "%s/%d", long_prefix, i);
		put_text(name);
	}
	assert_int_equal(rig.store.index.n_entries, 9000);
	assert_int_equal(flush("b", 7), 0);
	assert_int_equal(flush("a/29", 7), 111); /* 29, 290..299, 2900..2999 */
	assert_int_equal(flush("ab", 256), 3000);
	long_prefix[150] = '\0';
	assert_int_equal(flush(long_prefix, 1), 3000);
	rig_check(&rig);
	assert_int_equal(rig.store.index.n_entries, 2889);
	assert_int_equal(flush("", 100000), 2889);
	assert_int_equal(rig_count(&rig, ABI_COUNTER_DELETES), 9000);
	assert_empty();
}

static void test_gauges(void **state)
{
	static struct abi_plane plane;
	const struct shared_u64 *g = plane.gauge;
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key = rig_index_key(&rig, 3, bytes);
	uint64_t pin, size;
	uint32_t cell;

	(void)state;
	rig_put(&rig, 1, 1, 1000);
	rig_put(&rig, 3, 1, 2000);
	store_pin(&rig.store, &key, &pin, &size);
	rig_put(&rig, 2, 1, 64);
	rig_delete(&rig, 2);
	key = rig_index_key(&rig, 4, bytes);
	assert_int_equal(store_reserve(&rig.store, &rig.w, &key, &(struct store_put_options){0},
				 4096, &cell),
		ABI_STATUS_OK);
	store_gauges(&rig.store, &plane);
	assert_int_equal(shared_u64_load(&g[ABI_GAUGE_ENTRIES]), 2);
	assert_int_equal(shared_u64_load(&g[ABI_GAUGE_DRAM_BYTES]), 16 * MIB);
	assert_int_equal(shared_u64_load(&g[ABI_GAUGE_DRAM_USED_BYTES]), 1024 + 2048 + 64 + 4096);
	assert_int_equal(shared_u64_load(&g[ABI_GAUGE_DRAM_ENTRIES]), 2);
	assert_int_equal(shared_u64_load(&g[ABI_GAUGE_PINNED_BYTES]), 2048);
	assert_int_equal(shared_u64_load(&g[ABI_GAUGE_RESERVED_BYTES]), 4096);
	assert_int_equal(shared_u64_load(&g[ABI_GAUGE_LIMBO_BYTES]), 64);
	assert_int_equal(shared_u64_load(&g[ABI_GAUGE_CXL_BYTES]), 0);
	assert_int_equal(shared_u64_load(&g[ABI_GAUGE_INDEX_BYTES]), rig.store.index.backed);
	store_abort(&rig.store, cell);
	rig_delete(&rig, 1);
	rig_delete(&rig, 3);
	assert_empty();
}

int main(void)
{
#define UNIT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		UNIT(test_put_get),
		UNIT(test_replace),
		UNIT(test_if_absent),
		UNIT(test_reserve),
		UNIT(test_too_big),
		UNIT(test_ttl),
		UNIT(test_touch_of_nothing),
		UNIT(test_pin),
		UNIT(test_pin_of_reused_cell),
		UNIT(test_hits),
		UNIT(test_flush),
		UNIT(test_gauges),
	};

	return RIG_RUN(tests);
}
