/* SPDX-License-Identifier: Apache-2.0 */
/* read.h: the one-sided calls, on a lane that is at hand. */
#ifndef CLIENTS_LIB_READ_H
#define CLIENTS_LIB_READ_H

#include <stdbool.h>

#include "clients/lib/handle.h"

static hot_inline bool key_is_valid(const void *key, size_t size)
{
	return likely(size - 1 < SHMC_KEY_SIZE_MAX) && likely(key != NULL);
}

/*
 * The calling thread's lane for a read, found the long way. 0, or what the public functions return.
 */
int read_lane(struct shmc *cache, struct lane **lane);

/* The same requests with the hash of the key known, for batches. They log and count. */
int read_get(struct lane *lane, const void *key, size_t key_size, uint64_t hash,
	struct shmc_view *view);
int read_copy(struct lane *lane, const void *key, size_t key_size, uint64_t hash, void *buffer,
	size_t buffer_size, size_t *value_size);
int read_exists(struct lane *lane, const void *key, size_t key_size, uint64_t hash);

/* Describe a held record. */
void read_describe(const struct lane *lane, const struct abi_record *record, const void *key,
	struct shmc_entry *entry);

/*
 * shmc_get() and shmc_get_many() as the beginning of what may take up to @timeout_ms in all.
 * *deadline, which is 0, is set where some of that was needed for a lane: it is then what is left
 * for the rest.
 */
int read_get_within(struct shmc *cache, const void *key, size_t key_size, struct shmc_view *view,
	int timeout_ms, uint64_t *deadline);
int read_get_many_within(struct shmc *cache, const struct shmc_key *keys, size_t n,
	struct shmc_view *views, int *results, int timeout_ms, uint64_t *deadline);

/*
 * Run @call, a read on @lane (NULL: to be found first, by @find), and once more with another lane
 * where it finds that another broker is in charge of the memory. Once: there is no sense in
 * following a broker that comes and goes. The thread has left its lane after.
 */
#define READ_TRIES 2
#define READ_RETRY(cache, lane, result, call)                                                      \
	READ_RETRY_FOUND_BY(cache, lane, result, read_lane(cache, &lane), call)
#define READ_RETRY_FOUND_BY(cache, lane, result, find, call)                                       \
	for (int try_ = 0; try_ < READ_TRIES; try_++) {                                            \
		result = lane ? 0 : (find);                                                        \
		if (unlikely(result))                                                              \
			break;                                                                     \
		result = call;                                                                     \
		if (unlikely(result == -ENOTCONN))                                                 \
			handle_session_lost(cache, lane->session);                                 \
		handle_lane_exit();                                                                \
		if (likely(result != -ENOTCONN))                                                   \
			break;                                                                     \
		lane = NULL;                                                                       \
	}

#endif
