/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small puts, one at a time and pipelined.
 *
 * One at a time means: the answer is here before the next one starts. memcached and redis
 * need a system call, a wake-up and a context switch each way for that. They are fastest
 * where client and server share a CPU, as the wake-up then needs no interrupt, although
 * nothing can then run at the same time; on two CPUs they wait for each other to wake up.
 * Both are measured, and the goal is held against the faster.
 *
 * Pipelined means: many under way, all answered before a group of a thousand is over.
 * LMDB puts a thousand into one write transaction, which spreads the price of the commit;
 * one put a commit is told beside it. The million keys are there already and are replaced
 * in random order, which is what a full cache does all day and costs LMDB less than
 * inserting them; the same is told for a thousand keys, where LMDB changes the few pages
 * that it has in the processor's cache, in our own process.
 */
#include "bench/compare.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PUT_PREFIX "key:"
#define FEW 1000
#define FEW_SEQUENCE 16384
#define SYNC_GROUP 8
#define COMMIT_GROUP 1000
#define POOL 256

static void put_sync(void *context, size_t first, size_t n)
{
	struct load *load = context;
	const struct keys *keys = load->keys;
	size_t i, at = load_position(load, first);
	char value[KEYS_VALUE_SIZE];

	for (i = at; i < at + n; i++) {
		keys_value_fill(value, sizeof(value), keys->id[i], load->version);
		load->n_wrong += !!shmc_put(load->store, keys_at(keys, i), keys->size,
			value, sizeof(value), NULL, 30000);
	}
}

/* All keys of the sequence hold @version; what a put that was answered means. */
static void put_check(struct compare *compare, struct shmc *cache,
	const struct keys *keys, uint64_t version)
{
	char value[KEYS_VALUE_SIZE];
	size_t i, size;

	for (i = 0; i < keys->n_seq; i++) {
		compare_must(compare,
			shmc_read(cache, keys_at(keys, i), keys->size, value,
				sizeof(value), &size),
			"a key that was put");
		if (size != sizeof(value) ||
			keys_value_check(value, size, keys->id[i], version))
			report_fatal(
				&compare->rep, "key %u: not what was put", keys->id[i]);
	}
}

/* A server at one place. */
struct placed {
	struct load load;
	int cpu;
	struct timing timing;
};

static void placed_begin(void *context)
{
	struct placed *placed = context;
	struct rival_server *server = placed->load.store;

	placed->load.n_wrong += !!proc_pin(server->proc.pid, placed->cpu);
}

struct sync_put {
	struct keys keys;
	struct rival_server memcached, redis;
	struct placed near[2], apart[2]; /* memcached, redis */
	struct load load;
	struct timing ours;
};

static void placed_init(struct placed *placed, struct sync_put *put,
	struct rival_server *server, timing_fn *fn, int cpu)
{
	placed->load = (struct load){.store = server, .keys = &put->keys, .version = 1};
	placed->cpu = cpu;
	placed->timing = (struct timing){.fn = fn,
		.context = placed,
		.n_ops = 1000 * SYNC_GROUP,
		.group = SYNC_GROUP,
		.begin = placed_begin};
}

static bool server_here(struct compare *compare, int result, const char *name)
{
	if (result == -ENOENT) {
		report_say(
			&compare->rep, "%s: not installed, its rows are left out", name);
		return false;
	}
	compare_must(compare, result, name);
	return true;
}

static void sync_rows(struct compare *compare, struct sync_put *put, unsigned at,
	const char *name, enum report_bound bound, const char *const notes[2])
{
	struct timing *near = &put->near[at].timing, *apart = &put->apart[at].timing;
	bool near_wins = timing_p50(near) <= timing_p50(apart);
	char further[64];

	compare_row_p50(compare, name, &put->ours, near_wins ? near : apart, bound, 0.05,
		notes[!near_wins]);
	snprintf(further, sizeof(further), "%s-%s", name, near_wins ? "2-cpus" : "1-cpu");
	compare_row_p50(compare, further, &put->ours, near_wins ? apart : near,
		REPORT_FIGURE, 0, notes[near_wins]);
}

void compare_put_sync(struct compare *compare)
{
	static const char *const memcached_notes[] = {
		"memcached set, on the client's CPU", "memcached set, on the other CPU"};
	static const char *const redis_notes[] = {
		"redis SET, on the client's CPU", "redis SET, on the other CPU"};
	static struct sync_put put;
	struct timing *sides[5] = {&put.ours};
	bool has_memcached, has_redis;
	struct broker_run broker;
	struct shmc *cache;
	size_t n = 1;

	compare_must(compare,
		keys_init(&put.keys, FEW, FEW_SEQUENCE, COMPARE_KEY_SIZE, PUT_PREFIX, 7),
		"keys");
	compare_broker_start(compare, &broker, &cache, "64MiB", "");
	put.load = (struct load){.store = cache, .keys = &put.keys, .version = 1};
	put.ours = (struct timing){.fn = put_sync,
		.context = &put.load,
		.n_ops = (compare->rep.quick ? 4 : 20) * FEW_SEQUENCE,
		.group = SYNC_GROUP};
	placed_init(
		&put.near[0], &put, &put.memcached, rival_memcached_put, compare->cpu[0]);
	placed_init(&put.apart[0], &put, &put.memcached, rival_memcached_put,
		compare->cpu[1]);
	placed_init(&put.near[1], &put, &put.redis, rival_redis_put, compare->cpu[0]);
	placed_init(&put.apart[1], &put, &put.redis, rival_redis_put, compare->cpu[1]);
	has_memcached =
		server_here(compare, rival_memcached_open(&put.memcached), "memcached");
	if (has_memcached) {
		sides[n++] = &put.near[0].timing;
		sides[n++] = &put.apart[0].timing;
	}
	has_redis = server_here(compare, rival_redis_open(&put.redis), "redis");
	if (has_redis) {
		sides[n++] = &put.near[1].timing;
		sides[n++] = &put.apart[1].timing;
	}
	compare_run(compare, sides, n, false);
	put_check(compare, cache, &put.keys, 1);
	if (has_memcached) {
		compare_must(compare,
			rival_memcached_check(&put.memcached, &put.keys, 0, 1),
			"memcached's value");
		sync_rows(compare, &put, 0, "put-64B-sync", REPORT_AT_MOST,
			memcached_notes);
	}
	if (has_redis) {
		compare_must(compare, rival_redis_check(&put.redis, &put.keys, 0, 1),
			"redis' value");
		sync_rows(compare, &put, 1, "put-64B-sync-redis", REPORT_FIGURE,
			redis_notes);
	}
	rival_server_close(&put.memcached);
	rival_server_close(&put.redis);
	compare_broker_stop(compare, &broker, cache);
	keys_deinit(&put.keys);
}

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

	compare_must(compare, keys_init(&keys, n, n_ops, COMPARE_KEY_SIZE, PUT_PREFIX, 7),
		"keys");
	compare_broker_start(compare, &broker, &cache, "1GiB", "");
	compare_fill(compare, cache, &keys, PUT_PREFIX);
	memset(&pipeline, 0, sizeof(pipeline));
	compare_must(compare, shmc_queue_open(&pipeline.queue, cache), "queue");
	for (i = 0; i < POOL; i++)
		pipeline.idle[i] = &pipeline.requests[i];
	pipeline.n_idle = POOL;
	pipeline.load = (struct load){.store = cache, .keys = &keys, .version = 1};

	r = rival_lmdb_open(&lmdb, (size_t)4 << 30);
	if (r != -ENOSYS) {
		compare_must(compare, r, "LMDB");
		compare_must(compare, rival_lmdb_fill(lmdb, &keys, PUT_PREFIX), "LMDB");
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
	put_check(compare, cache, &keys, 1);
	compare_row_rate(compare, name, &ours, lmdb ? &batched : NULL, "op/s", 1,
		lmdb ? bound : REPORT_FIGURE, 1, "LMDB, 1,000 puts a commit");
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
		compare->rep.quick ? COMPARE_MANY / 4 : COMPARE_MANY, REPORT_AT_LEAST);
	pipelined_measure(compare, "put-64B-1k-pipelined", FEW,
		compare->rep.quick ? COMPARE_MANY / 4 : COMPARE_MANY, REPORT_FIGURE);
}
