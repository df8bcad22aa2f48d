/* SPDX-License-Identifier: Apache-2.0 */
/* fetch.c: the calls that other brokers may have a part in. */
#include <errno.h>
#include <stdlib.h>

#include "clients/lib/execute.h"
#include "clients/lib/read.h"

/*
 * Each begins as a plain read, and only with what that does not find becomes a request
 * (engine-fetch.c): for one key, for many, and in a queue the same one.
 */
static const struct shmc_fetch_options as_configured;

static bool are_valid(const struct shmc_fetch_options *options)
{
	return options->write_back <= SHMC_WRITE_BACK_OFF;
}

static struct shmc_request make(const struct shmc_key *key, const struct shmc_fetch_options *options)
{
	return (struct shmc_request){.operation = SHMC_OP_FETCH, .key = key->data,
		.key_size = key->size, .fetch = *options, .why = ENGINE_FETCH_LOOKED};
}

int shmc_fetch(struct shmc *cache, const void *key, size_t key_size,
	const struct shmc_fetch_options *options, struct shmc_view *view, unsigned *why,
	int timeout_ms)
{
	const struct shmc_key k = {key, key_size};
	struct shmc_request request;
	uint64_t deadline = 0;
	int r;

	if (!options)
		options = &as_configured;
	if (timeout_ms < SHMC_TIMEOUT_DEFAULT || !are_valid(options))
		return -EINVAL;
	r = read_get_within(cache, key, key_size, view, timeout_ms, &deadline);
	if (likely(r != SHMC_MISS))
		return r;
	request = make(&k, options);
	r = execute(cache, &request, 1, deadline ? deadline : handle_deadline(cache, timeout_ms));
	if (!r)
		r = request.result;
	if (!r)
		*view = request.view;
	if (r == SHMC_MISS && why)
		*why = request.why;
	return r;
}

/* The misses among @results become requests, in their order. */
static void make_batch(struct shmc_request *requests, const struct shmc_key *keys, size_t n,
	const struct shmc_fetch_options *options, const int *results)
{
	struct shmc_fetch_options o = *options;
	size_t i, n_made = 0;

	o.batch = thread_number_draw();
	for (i = 0; i < n; i++) {
		if (results[i] != SHMC_MISS)
			continue;
		o.position = (uint32_t)i;
		requests[n_made++] = make(&keys[i], &o);
	}
	for (i = 0; i < n_made; i++)
		requests[i].fetch.n_batch = (uint32_t)n_made;
}

/* Back to where they were. Returns how many are hits. */
static int tell_batch(const struct shmc_request *requests, size_t n, struct shmc_view *views,
	int *results, unsigned *whys)
{
	int n_hits = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (results[i] == SHMC_MISS) {
			results[i] = requests->result;
			if (!requests->result)
				views[i] = requests->view;
			if (requests->result == SHMC_MISS && whys)
				whys[i] = requests->why;
			requests++;
		}
		n_hits += results[i] == 0;
	}
	return n_hits;
}

int shmc_fetch_many(struct shmc *cache, const struct shmc_key *keys, size_t n,
	const struct shmc_fetch_options *options, struct shmc_view *views, int *results,
	unsigned *whys, int timeout_ms)
{
	struct shmc_request *requests;
	size_t i, n_misses = 0;
	uint64_t deadline = 0;
	int n_hits;

	if (!options)
		options = &as_configured;
	if (timeout_ms < SHMC_TIMEOUT_DEFAULT || !are_valid(options))
		return -EINVAL;
	n_hits = read_get_many_within(cache, keys, n, views, results, timeout_ms, &deadline);
	if (n_hits < 0 || (size_t)n_hits == n)
		return n_hits;
	for (i = 0; i < n; i++)
		n_misses += results[i] == SHMC_MISS;
	if (!n_misses)
		return n_hits;
	requests = malloc(n_misses * sizeof(*requests));
	if (!requests) {
		for (i = 0; i < n; i++)
			if (!results[i])
				shmc_release(cache, &views[i]);
		return -ENOMEM;
	}
	make_batch(requests, keys, n, options, results);
	/* Each has its result, whatever comes back. */
	(void)execute(cache, requests, n_misses,
		deadline ? deadline : handle_deadline(cache, timeout_ms));
	n_hits = tell_batch(requests, n, views, results, whys);
	free(requests);
	return n_hits;
}

static int prefetch_all(struct lane *lane, const struct shmc_key *keys, size_t n,
	const struct shmc_fetch_options *options)
{
	size_t i;
	int r = 0;

	/* Late answers make room. */
	engine_pump(lane);
	for (i = 0; i < n && !r; i++)
		r = engine_prefetch(lane, &keys[i], options);
	ring_announce(&lane->ring);
	if (r == -ENOTCONN)
		return r;
	return (int)(r ? i - 1 : i);
}

int shmc_prefetch(struct shmc *cache, const struct shmc_key *keys, size_t n,
	const struct shmc_fetch_options *options)
{
	struct lane *lane;
	int result = 0;
	size_t i;

	if (!options)
		options = &as_configured;
	if (n > INT32_MAX || (n && !keys) || !are_valid(options))
		return -EINVAL;
	for (i = 0; i < n; i++)
		if (!key_is_valid(keys[i].data, keys[i].size))
			return -EINVAL;
	lane = handle_lane(cache);
	READ_RETRY(cache, lane, result, prefetch_all(lane, keys, n, options));
	/* Without a lane: none of them. */
	return lane || result < 0 ? result : 0;
}

int shmc_delete_cluster(struct shmc *cache, const void *key, size_t key_size, uint64_t *n_told,
	uint64_t *n_failed, int timeout_ms)
{
	struct shmc_request request = {.operation = SHMC_OP_DELETE, .key = key,
		.key_size = key_size, .options.flags = SHMC_CLUSTER};
	int r;

	if (timeout_ms < SHMC_TIMEOUT_DEFAULT)
		return -EINVAL;
	r = execute(cache, &request, 1, handle_deadline(cache, timeout_ms));
	if (!r)
		r = request.result;
	if (r >= 0 && n_told)
		*n_told = engine_progress(&request)->answer;
	if (r >= 0 && n_failed)
		*n_failed = (uint64_t)engine_progress(&request)->error;
	return r;
}

const char *shmc_fetch_miss_name(unsigned why)
{
	return abi_fetch_miss_name(why);
}
