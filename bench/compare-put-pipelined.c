/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small puts, pipelined: many under way, all answered before a group of a thousand is
 * over.
 *
 * LMDB puts a thousand into one write transaction, which spreads the price of the commit;
 * one put a commit is told beside it. The million keys are there already and are replaced
 * in random order, which is what a full cache does all day and costs LMDB less than
 * inserting them.
 *
 * The same is told for a thousand keys, without a goal: there LMDB changes a few pages
 * that it has in its processor's cache, in the caller's process and under nobody else's
 * eyes, while a put of ours is handed to another processor and back whatever its key.
 */
#include "bench/compare.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PUT_PREFIX "key:"
#define FEW 1000
#define COMMIT_GROUP 1000
#define POOL 256

/* A queue, and requests that go round between it and us. */
struct pipeline {
	struct load load;
	struct shmc_queue *queue;
	struct shmc_request requests[POOL];
	struct shmc_request *idle[POOL];
	char values[POOL][KEYS_VALUE_SIZE];
	size_t n_idle;
};

static void request_prepare(
	struct pipeline *pipeline, struct shmc_request *request, size_t at)
{
	const struct keys *keys = pipeline->load.keys;
	char *value = pipeline->values[request - pipeline->requests];

	keys_value_fill(value, KEYS_VALUE_SIZE, keys->id[at], pipeline->load.version);
	request->operation = SHMC_OP_PUT;
	request->key = keys_at(keys, at);
	request->key_size = keys->size;
	request->value = value;
	request->value_size = KEYS_VALUE_SIZE;
}

/* Prepare what is idle and hand it to the queue; what it does not take stays idle. */
static size_t pipeline_submit(struct pipeline *pipeline, size_t at, size_t n)
{
	size_t i;
	int taken;

	if (n > pipeline->n_idle)
		n = pipeline->n_idle;
	if (!n)
		return 0;
	for (i = 0; i < n; i++)
		request_prepare(pipeline, pipeline->idle[i], at + i);
	taken = shmc_submit(pipeline->queue, pipeline->idle, n);
	if (taken < 0) {
		if (taken != -EAGAIN)
			pipeline->load.n_wrong++;
		taken = 0;
	}
	pipeline->n_idle -= (size_t)taken;
	memmove(pipeline->idle, pipeline->idle + taken,
		pipeline->n_idle * sizeof(pipeline->idle[0]));
	return (size_t)taken;
}

static size_t pipeline_reap(struct pipeline *pipeline, int timeout_ms)
{
	struct shmc_request *done[POOL];
	int i, n;

	n = shmc_reap(pipeline->queue, done, POOL, timeout_ms);
	if (n < 0) {
		pipeline->load.n_wrong++;
		return POOL; /* ends the loop; n_wrong is fatal */
	}
	for (i = 0; i < n; i++) {
		pipeline->load.n_wrong += !!done[i]->result;
		pipeline->idle[pipeline->n_idle++] = done[i];
	}
	return (size_t)n;
}

static void put_pipelined(void *context, size_t first, size_t n)
{
	struct pipeline *pipeline = context;
	size_t at = load_position(&pipeline->load, first), submitted = 0, done = 0;

	while (done < n) {
		submitted += pipeline_submit(pipeline, at + submitted, n - submitted);
		done += pipeline_reap(
			pipeline, submitted < n && pipeline->n_idle ? 0 : 30000);
	}
}

static void pipelined_measure(struct compare *compare, const char *name, size_t n,
	size_t n_ops, enum report_bound bound)
{
	static struct pipeline pipeline;
	struct rival_lmdb *lmdb = NULL;
	struct broker_run broker;
	struct shmc *cache;
	struct keys keys;
	char further[64];
	size_t i;
	int r;

	bench_must(&compare->rep, keys_init(&keys, n, n_ops, COMPARE_KEY_SIZE, PUT_PREFIX, 7),
		"keys");
	compare_broker_start(compare, &broker, &cache, "1GiB", "");
	compare_fill(compare, cache, &keys, PUT_PREFIX);
	memset(&pipeline, 0, sizeof(pipeline));
	bench_must(&compare->rep, shmc_queue_open(&pipeline.queue, cache), "queue");
	for (i = 0; i < POOL; i++)
		pipeline.idle[i] = &pipeline.requests[i];
	pipeline.n_idle = POOL;
	pipeline.load = (struct load){.store = cache, .keys = &keys, .version = 1};

	r = rival_lmdb_open(&lmdb, (size_t)4 << 30);
	if (r != -ENOSYS) {
		bench_must(&compare->rep, r, "LMDB");
		bench_must(&compare->rep, rival_lmdb_fill(lmdb, &keys, PUT_PREFIX), "LMDB");
	}
	struct load lmdb_load = {.store = lmdb, .keys = &keys, .version = 1};
	struct timing ours = {.fn = put_pipelined,
		.context = &pipeline,
		.n_ops = n_ops,
		.group = COMMIT_GROUP};
	struct timing batched = {.fn = rival_lmdb_put,
		.context = &lmdb_load,
		.n_ops = n_ops,
		.group = COMMIT_GROUP};
	struct timing single = {.fn = rival_lmdb_put,
		.context = &lmdb_load,
		.n_ops = n_ops / 10,
		.group = 1};
	struct timing *sides[] = {&ours, &batched, &single};

	compare_run(compare, sides, lmdb ? 3 : 1, false);
	compare_check(compare, cache, &keys, 1);
	compare_row_rate(compare, name, &ours, lmdb ? &batched : NULL, "op/s", 1,
		lmdb ? bound : REPORT_FIGURE, 1,
		lmdb ? "LMDB, 1,000 puts a commit"
		     : "LMDB: not installed when this was built");
	snprintf(further, sizeof(further), "%s-single", name);
	if (lmdb)
		compare_row_rate(compare, further, &ours, &single, "op/s", 1,
			REPORT_FIGURE, 0, "LMDB, one put a commit");
	shmc_queue_close(pipeline.queue);
	rival_lmdb_close(lmdb);
	compare_broker_stop(compare, &broker, cache);
	keys_deinit(&keys);
}

void compare_put_pipelined(struct compare *compare)
{
	pipelined_measure(compare, "put-64B-1M-pipelined", COMPARE_MANY,
		compare->rep.quick ? COMPARE_MANY / 8 : COMPARE_MANY, REPORT_AT_LEAST);
	if (!compare->rep.quick)
		pipelined_measure(compare, "put-64B-1k-pipelined", FEW, COMPARE_MANY,
			REPORT_FIGURE);
}
