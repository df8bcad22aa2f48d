/* SPDX-License-Identifier: Apache-2.0 */
/* write.c: the blocking calls, each a batch of one. */
#include <errno.h>
#include <string.h>

#include "clients/lib/engine.h"
#include "clients/lib/execute.h"

/* The result of the request, or of all. */
static int run(struct shmc *cache, struct shmc_request *request, int timeout_ms)
{
	int r;

	if (timeout_ms < SHMC_TIMEOUT_DEFAULT)
		return -EINVAL;
	r = execute(cache, request, 1, handle_deadline(cache, timeout_ms));
	return r ? r : request->result;
}

static int run_on_key(struct shmc *cache, enum shmc_operation operation, const void *key,
	size_t key_size, int timeout_ms)
{
	struct shmc_request request = {.operation = operation, .key = key, .key_size = key_size};

	return run(cache, &request, timeout_ms);
}

int shmc_put(struct shmc *cache, const void *key, size_t key_size, const void *value,
	size_t value_size, const struct shmc_put_options *options, int timeout_ms)
{
	struct shmc_request request = {.operation = SHMC_OP_PUT, .key = key, .key_size = key_size,
		.value = (void *)value, .value_size = value_size};

	if (options)
		request.options = *options;
	return run(cache, &request, timeout_ms);
}

int shmc_reserve(struct shmc *cache, const void *key, size_t key_size, size_t size,
	const struct shmc_put_options *options, struct shmc_reservation *reservation,
	int timeout_ms)
{
	struct shmc_request request = {.operation = SHMC_OP_RESERVE, .key = key,
		.key_size = key_size, .value_size = size};
	int r;

	if (!reservation)
		return -EINVAL;
	if (options)
		request.options = *options;
	r = run(cache, &request, timeout_ms);
	if (!r)
		*reservation = request.reservation;
	return r;
}

/*
 * COMMIT and ABORT settle the reservation themselves once they are begun. Where they could not
 * be, it stays what it is, but for a broker that is gone: then the reservation is gone with it.
 */
static int run_on_reservation(struct shmc *cache, enum shmc_operation operation,
	struct shmc_reservation *reservation, int timeout_ms)
{
	struct shmc_request request = {.operation = operation};
	int r;

	if (!reservation)
		return -EINVAL;
	request.reservation = *reservation;
	r = run(cache, &request, timeout_ms);
	if (r == -ENOTCONN && request.reservation.data)
		handle_reservation_lost(cache, &request.reservation);
	*reservation = request.reservation;
	return r;
}

int shmc_commit(struct shmc *cache, struct shmc_reservation *reservation, int timeout_ms)
{
	return run_on_reservation(cache, SHMC_OP_COMMIT, reservation, timeout_ms);
}

int shmc_abort(struct shmc *cache, struct shmc_reservation *reservation, int timeout_ms)
{
	if (reservation && !reservation->data)
		return 0;
	return run_on_reservation(cache, SHMC_OP_ABORT, reservation, timeout_ms);
}

int shmc_delete(struct shmc *cache, const void *key, size_t key_size, int timeout_ms)
{
	return run_on_key(cache, SHMC_OP_DELETE, key, key_size, timeout_ms);
}

int shmc_touch(
	struct shmc *cache, const void *key, size_t key_size, uint64_t ttl_ms, int timeout_ms)
{
	struct shmc_request request = {.operation = SHMC_OP_TOUCH, .key = key, .key_size = key_size,
		.options.ttl_ms = ttl_ms};

	return run(cache, &request, timeout_ms);
}

int shmc_pin(
	struct shmc *cache, const void *key, size_t key_size, uint64_t limit_ms, int timeout_ms)
{
	struct shmc_request request = {.operation = SHMC_OP_PIN, .key = key, .key_size = key_size,
		.limit_ms = limit_ms};

	return run(cache, &request, timeout_ms);
}

int shmc_unpin(struct shmc *cache, const void *key, size_t key_size, int timeout_ms)
{
	return run_on_key(cache, SHMC_OP_UNPIN, key, key_size, timeout_ms);
}

int shmc_flush(struct shmc *cache, const void *prefix, size_t prefix_size, uint64_t *n_deleted,
	int timeout_ms)
{
	struct shmc_request request = {.operation = ENGINE_OP_FLUSH, .key = prefix,
		.key_size = prefix_size};
	int r;

	r = run(cache, &request, timeout_ms);
	if (!r && n_deleted)
		*n_deleted = engine_progress(&request)->answer;
	return r;
}

int shmc_ping(struct shmc *cache, int timeout_ms)
{
	return run_on_key(cache, SHMC_OP_PING, NULL, 0, timeout_ms);
}
