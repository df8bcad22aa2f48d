/* SPDX-License-Identifier: Apache-2.0 */
/* read-many.c: many one-sided reads at once. */
#include "clients/lib/read.h"

/*
 * A single read waits for memory three times in a row: bucket, record, value. Here a group of keys
 * goes through the same steps side by side, each step asking for the lines of the next, so that the
 * waits overlap; and one fence stands for the whole group, between all its holds and all its second
 * loads.
 *
 *	1  hash; fetch the bucket
 *	2  choose a slot, hold its word; fetch the record
 *	   fence
 *	3  load the slot again, compare the key; fetch the value
 *
 * A step handles the plain case only: one slot with the tag, a chain of one bucket, an unchanged
 * word. Any other key is read again by itself afterwards, from the start.
 */
#define GROUP 32

struct item {
	uint64_t hash;
	const struct abi_bucket *bucket;
	const struct shared_u64 *slot; /* NULL: none has the tag */
	struct shared_u64 *hold;       /* NULL: nothing held */
	uint64_t word;
};

enum { ALONE = 200 }; /* the result of a key that is to be read by itself */

static hot_inline void hash_all(struct reader *r, const struct shmc_key *keys, size_t n,
	struct item *item, uint64_t n_buckets)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (!key_is_valid(keys[i].data, keys[i].size)) {
			item[i].bucket = NULL;
			continue;
		}
		item[i].hash = reader_hash(r, keys[i].data, keys[i].size);
		item[i].bucket = &r->index.bucket[lookup_bucket_idx(item[i].hash, n_buckets)];
		__builtin_prefetch(item[i].bucket);
	}
}

static hot_inline void hold_all(struct reader *r, size_t n, struct item *item, int *results)
{
	unsigned mask;
	size_t i;

	for (i = 0; i < n; i++) {
		item[i].slot = NULL;
		item[i].hold = NULL;
		results[i] = item[i].bucket ? 0 : -EINVAL;
		if (results[i])
			continue;
		mask = reader_match(item[i].bucket, item[i].hash);
		if (!mask) {
			results[i] = shared_u64_load_acquire(&item[i].bucket->link) ?
				ALONE : SHMC_MISS;
			continue;
		}
		item[i].slot = &item[i].bucket->slot[__builtin_ctz(mask)];
		/* Acquire; partner: the release in the broker's publish. */
		item[i].word = shared_u64_load_acquire(item[i].slot);
		item[i].hold = hold_table_free_cell(&r->holds);
		if (unlikely((mask & (mask - 1)) || !abi_word_cell(item[i].word) ||
				!item[i].hold)) {
			item[i].hold = NULL;
			results[i] = ALONE;
			continue;
		}
		hold_set(item[i].hold, item[i].word);
		__builtin_prefetch(&r->index.cell[abi_word_cell(item[i].word)]);
	}
}

/*
 * One held slot: 0 or ALONE, so that one that is over is counted as such. Cleared unless it is 0.
 */
static hot_inline int check_one(
	struct reader *r, const struct item *item, const struct shmc_key *key)
{
	const struct abi_record *record = &r->index.cell[abi_word_cell(item->word)];
	int result = 0;

	/* Acquire; partner: the release in the broker's publish. */
	if (unlikely(shared_u64_load_acquire(item->slot) != item->word) ||
		unlikely(!lookup_record_matches(&r->index, record, key->data, key->size)) ||
		unlikely(reader_is_expired(record)))
		result = ALONE;
	if (unlikely(result))
		hold_clear(item->hold);
	return result;
}

static hot_inline void check_all(struct lane *lane, const struct shmc_key *keys, size_t n,
	const struct item *item, struct shmc_view *views, int *results)
{
	struct reader *r = &lane->reader;
	struct reader_entry entry;
	size_t i;

	for (i = 0; i < n; i++) {
		if (!item[i].hold)
			continue;
		results[i] = check_one(r, &item[i], &keys[i]);
		if (unlikely(results[i]))
			continue;
		entry.cell = abi_word_cell(item[i].word);
		entry.record = &r->index.cell[entry.cell];
		entry.hold = item[i].hold;
		lane_view(lane, &entry, &views[i]);
		__builtin_prefetch(views[i].data);
		reader_add_hit(r, entry.cell, entry.record->tier);
	}
}

/* The misses of a group are sure only if the buckets still are the ones to look in. */
static hot_inline void misses_check(
	struct reader *r, size_t n, uint64_t n_buckets, int *results)
{
	uint64_t n_misses = 0;
	bool is_grown = lookup_n_buckets_again(&r->index) != n_buckets;
	size_t i;

	for (i = 0; i < n; i++) {
		if (results[i] != SHMC_MISS)
			continue;
		if (unlikely(is_grown))
			results[i] = ALONE;
		else
			n_misses++;
	}
	if (n_misses)
		reader_count_misses(r, ABI_MISS_ABSENT, n_misses);
}

static void drop_all(size_t n, const struct item *item, int *results)
{
	size_t i;

	for (i = 0; i < n; i++) {
		results[i] = -ENOTCONN;
		if (item[i].hold)
			hold_clear(item[i].hold);
	}
}

/* One group of keys. A result of -ENOTCONN concerns all. */
static void get_group(struct lane *lane, const struct shmc_key *keys, size_t n,
	struct shmc_view *views, int *results)
{
	struct reader *r = &lane->reader;
	uint64_t n_buckets = lookup_n_buckets(&r->index);
	struct item item[GROUP];
	size_t i;

	hash_all(r, keys, n, item, n_buckets);
	hold_all(r, n, item, results);
	reader_fence(r);
	if (unlikely(!reader_is_current(r))) {
		drop_all(n, item, results);
		return;
	}
	check_all(lane, keys, n, item, views, results);
	misses_check(r, n, n_buckets, results);
	reader_log_publish(r);
	for (i = 0; i < n; i++)
		if (unlikely(results[i] == ALONE))
			results[i] = read_get(
				lane, keys[i].data, keys[i].size, item[i].hash, &views[i]);
}

static int get_all(struct shmc *cache, struct lane *lane, const struct shmc_key *keys, size_t n,
	struct shmc_view *views, int *results)
{
	bool is_lost = false;
	size_t i, j, size;
	int n_hits = 0;

	for (i = 0; i < n && !is_lost; i += size) {
		size = n - i < GROUP ? n - i : GROUP;
		get_group(lane, keys + i, size, views + i, results + i);
		for (j = i; j < i + size; j++) {
			is_lost |= results[j] == -ENOTCONN;
			n_hits += !results[j];
		}
	}
	if (likely(!is_lost))
		return n_hits;
	for (j = 0; j < i; j++)
		if (!results[j])
			shmc_release(cache, &views[j]);
	return -ENOTCONN;
}

/* Without a lane: what shmc_get() would say of each. */
static int get_none(const struct shmc_key *keys, size_t n, int *results, int result)
{
	size_t i;

	for (i = 0; i < n; i++)
		results[i] = key_is_valid(keys[i].data, keys[i].size) ? result : -EINVAL;
	return 0;
}

static int find_lane(struct shmc *cache, int timeout_ms, uint64_t *deadline, struct lane **lane)
{
	if (!*deadline)
		*deadline = handle_deadline(cache, timeout_ms);
	return handle_lane_find(cache, HANDLE_READ, *deadline, lane);
}

int read_get_many_within(struct shmc *cache, const struct shmc_key *keys, size_t n,
	struct shmc_view *views, int *results, int timeout_ms, uint64_t *deadline)
{
	struct lane *lane;
	int result = 0;

	if (n > INT32_MAX || (n && (!keys || !views || !results)))
		return -EINVAL;
	lane = handle_lane(cache);
	READ_RETRY_FOUND_BY(cache, lane, result,
		find_lane(cache, timeout_ms, deadline, &lane),
		get_all(cache, lane, keys, n, views, results));
	return lane || result < 0 ? result : get_none(keys, n, results, result);
}

int shmc_get_many(struct shmc *cache, const struct shmc_key *keys, size_t n,
	struct shmc_view *views, int *results)
{
	uint64_t deadline = 0;

	return read_get_many_within(
		cache, keys, n, views, results, SHMC_TIMEOUT_DEFAULT, &deadline);
}

void shmc_release_many(struct shmc *cache, struct shmc_view *views, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		shmc_release(cache, &views[i]);
}
