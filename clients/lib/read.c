/* SPDX-License-Identifier: Apache-2.0 */
/* read.c: get, release, read, exists, stat. */
#include <string.h>

#include "clients/lib/read.h"

/*
 * What a hit runs through is inlined into one function without a call: the lane from the thread's
 * slot, the hash, the bucket, the hold, the key. Everything else is behind unlikely branches, or in
 * functions that are not in such a hurry.
 */
int read_lane(struct shmc *cache, struct lane **lane)
{
	return handle_lane_find(
		cache, HANDLE_READ, handle_deadline(cache, SHMC_TIMEOUT_DEFAULT), lane);
}

static hot_inline int get(struct lane *lane, const void *key, size_t key_size, uint64_t hash,
	struct shmc_view *view)
{
	struct reader *r = &lane->reader;
	struct reader_entry entry;
	int result;

	result = reader_find_inline(r, key, key_size, hash, &entry);
	if (unlikely(result)) {
		reader_count_failure(r, result);
		return result;
	}
	lane_view(lane, &entry, view);
	__builtin_prefetch(view->data);
	reader_count_hit(r, entry.cell, entry.record->tier);
	return 0;
}

int read_get(struct lane *lane, const void *key, size_t key_size, uint64_t hash,
	struct shmc_view *view)
{
	return get(lane, key, key_size, hash, view);
}

static out_of_line int get_again(struct shmc *cache, const void *key, size_t key_size,
	struct shmc_view *view, int timeout_ms, uint64_t *deadline)
{
	struct lane *lane = NULL;
	int result = 0;

	*deadline = handle_deadline(cache, timeout_ms);
	READ_RETRY_FOUND_BY(cache, lane, result,
		handle_lane_find(cache, HANDLE_READ, *deadline, &lane),
		read_get(lane, key, key_size, reader_hash(&lane->reader, key, key_size), view));
	return result;
}

static hot_inline int get_within(struct shmc *cache, const void *key, size_t key_size,
	struct shmc_view *view, int timeout_ms, uint64_t *deadline)
{
	struct lane *lane;
	int result;

	if (!key_is_valid(key, key_size))
		return -EINVAL;
	lane = handle_lane(cache);
	if (unlikely(!lane))
		return get_again(cache, key, key_size, view, timeout_ms, deadline);
	result = get(lane, key, key_size, reader_hash(&lane->reader, key, key_size), view);
	if (unlikely(result == -ENOTCONN))
		handle_session_lost(cache, lane->session);
	handle_lane_exit();
	if (likely(result != -ENOTCONN))
		return result;
	return get_again(cache, key, key_size, view, timeout_ms, deadline);
}

int shmc_get(struct shmc *cache, const void *key, size_t key_size, struct shmc_view *view)
{
	uint64_t deadline;

	return get_within(cache, key, key_size, view, SHMC_TIMEOUT_DEFAULT, &deadline);
}

int read_get_within(struct shmc *cache, const void *key, size_t key_size, struct shmc_view *view,
	int timeout_ms, uint64_t *deadline)
{
	return get_within(cache, key, key_size, view, timeout_ms, deadline);
}

/*
 * The cell is the view's until it is cleared, and its session stays mapped as long, so neither
 * needs looking up. A child has no maps: there the view is a memory only.
 */
void shmc_release(struct shmc *cache, struct shmc_view *view)
{
	struct shared_u64 *hold = (struct shared_u64 *)(uintptr_t)view->reserved[0];
	uint64_t serial = view->reserved[1];

	if (unlikely(!hold))
		return;
	*view = (struct shmc_view){0};
	if (unlikely(handle_check(cache)))
		return;
	hold_clear(hold);
	if (unlikely(serial != atomic_load_explicit(&cache->serial, memory_order_relaxed)))
		handle_sweep(cache);
}

int read_copy(struct lane *lane, const void *key, size_t key_size, uint64_t hash, void *buffer,
	size_t buffer_size, size_t *value_size)
{
	struct reader *r = &lane->reader;
	struct reader_entry entry;
	uint8_t tier;
	size_t size;
	int result;

	result = reader_find(r, key, key_size, hash, &entry);
	if (result) {
		reader_count_failure(r, result);
		return result;
	}
	size = entry.record->value_size;
	tier = entry.record->tier;
	if (size <= buffer_size)
		memcpy(buffer, reader_value(r, entry.record), size);
	hold_clear(entry.hold);
	/*
	 * A broker that was started again meanwhile knew nothing of the hold: what was copied may
	 * be another's bytes. The fence keeps the copy before the look at the epoch.
	 */
	atomic_thread_fence(memory_order_acquire);
	if (unlikely(!reader_is_current(r)))
		return -ENOTCONN;
	reader_count_hit(r, entry.cell, tier);
	if (value_size)
		*value_size = size;
	return size <= buffer_size ? 0 : -ENOSPC;
}

int shmc_read(struct shmc *cache, const void *key, size_t key_size, void *buffer,
	size_t buffer_size, size_t *value_size)
{
	struct lane *lane;
	int result = 0;

	if (!key_is_valid(key, key_size) || (!buffer && buffer_size))
		return -EINVAL;
	lane = handle_lane(cache);
	READ_RETRY(cache, lane, result,
		read_copy(lane, key, key_size, reader_hash(&lane->reader, key, key_size), buffer,
			buffer_size, value_size));
	return result;
}

int read_exists(struct lane *lane, const void *key, size_t key_size, uint64_t hash)
{
	struct reader_entry entry;
	int result;

	result = reader_find(&lane->reader, key, key_size, hash, &entry);
	if (!result)
		hold_clear(entry.hold);
	return result;
}

int shmc_exists(struct shmc *cache, const void *key, size_t key_size)
{
	struct lane *lane;
	int result = 0;

	if (!key_is_valid(key, key_size))
		return -EINVAL;
	lane = handle_lane(cache);
	READ_RETRY(cache, lane, result,
		read_exists(lane, key, key_size, reader_hash(&lane->reader, key, key_size)));
	return result;
}

void read_describe(const struct lane *lane, const struct abi_record *record, const void *key,
	struct shmc_entry *entry)
{
	uint64_t expire_ms = abi_record_expire_ms(record);
	uint64_t now_ms = expire_ms ? deadline_clock_coarse_ms() : 0;
	struct abi_hints hints;

	lookup_record_hints(&lane->reader.index, record, &hints);
	*entry = (struct shmc_entry){
		.key = key,
		.key_size = record->key_size,
		.value_size = record->value_size,
		.tier = record->tier,
		.priority = (uint8_t)hints.priority,
		/* 0 would say that it does not expire */
		.ttl_ms = !expire_ms ? 0 : expire_ms > now_ms ? expire_ms - now_ms : 1,
		.group = hints.group,
		.position = hints.position,
	};
}

static int stat_one(
	struct lane *lane, const void *key, size_t key_size, struct shmc_entry *entry)
{
	struct reader *r = &lane->reader;
	struct reader_entry found;
	int result;

	result = reader_find(r, key, key_size, reader_hash(r, key, key_size), &found);
	if (result)
		return result;
	read_describe(lane, found.record, key, entry);
	hold_clear(found.hold);
	return 0;
}

int shmc_stat(struct shmc *cache, const void *key, size_t key_size, struct shmc_entry *entry)
{
	struct lane *lane;
	int result = 0;

	if (!key_is_valid(key, key_size) || !entry)
		return -EINVAL;
	lane = handle_lane(cache);
	READ_RETRY(cache, lane, result, stat_one(lane, key, key_size, entry));
	return result;
}

int shmc_view_check(struct shmc *cache, const struct shmc_view *view)
{
	const struct session *s;
	int result = SHMC_GONE;

	if (!cache || !view || !view->reserved[0])
		return -EINVAL;
	if (handle_check(cache))
		return -ECHILD;
	/* Keeps what the caller read in the view before the looks at the epoch and at our line. */
	atomic_thread_fence(memory_order_acquire);
	pthread_mutex_lock(&cache->lock);
	for (s = cache->sessions; s; s = s->next)
		if (s->serial == view->reserved[1] && session_is_honoured(s))
			result = 0;
	pthread_mutex_unlock(&cache->lock);
	return result;
}
