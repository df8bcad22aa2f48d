/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.c: a load of puts or gets by some threads for some time.
 *
 * Keys carry this process' id and expire, so nothing is left even of a run that was killed.
 * Each value begins with its key's number, and every hit is checked against it.
 *
 * A hit takes about as long as reading the clock does, so only one operation in
 * SAMPLE_EVERY is timed; rates come from the count and the whole time. The key is made
 * outside of the sample.
 */
#include "clients/cli/load.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clients/cli/progress.h"

#define SAMPLE_EVERY 16
#define TTL_MS (60 * 60 * 1000)
#define KEY_DIGITS 8 /* of LOAD_KEYS_MAX in hexadecimal */

struct worker {
	const struct load *load;
	enum load_kind kind;
	pthread_t thread;
	unsigned char *value; /* to put */
	char key[64];
	size_t key_size;
	uint64_t random;
	uint64_t n, n_missed, end_ns;
	int result;
	struct histogram histogram;
};

/* The end of a phase, and of everything. */
static atomic_bool load_stop, load_interrupted;

void load_interrupt(void)
{
	atomic_store(&load_interrupted, true);
	atomic_store(&load_stop, true);
}

static size_t tag_size(const struct load *load)
{
	return load->value_size < sizeof(uint64_t) ? (size_t)load->value_size : sizeof(uint64_t);
}

static int worker_init(struct worker *worker, const struct load *load, enum load_kind kind)
{
	*worker = (struct worker){ .load = load, .kind = kind, .random = progress_now() | 1 };
	worker->key_size = (size_t)snprintf(worker->key, sizeof(worker->key),
		"shmcache-bench:%d:%0*d", (int)getpid(), KEY_DIGITS, 0);
	worker->value = malloc(load->value_size);
	if (!worker->value)
		return -ENOMEM;
	memset(worker->value, 'b', load->value_size);
	return 0;
}

static struct worker *worker_new(const struct load *load, enum load_kind kind)
{
	struct worker *worker = malloc(sizeof(*worker));

	if (worker && worker_init(worker, load, kind)) {
		free(worker);
		return NULL;
	}
	return worker;
}

static void worker_free(struct worker *worker)
{
	if (!worker)
		return;
	free(worker->value);
	free(worker);
}

/* Faster than snprintf(), which would be most of a hit's time. */
static void worker_key(struct worker *worker, uint64_t number)
{
	char *end = worker->key + worker->key_size;

	for (int i = 1; i <= KEY_DIGITS; i++, number >>= 4)
		end[-i] = "0123456789abcdef"[number & 15];
}

static int worker_put(struct worker *worker)
{
	struct shmc_put_options options = { .ttl_ms = TTL_MS };

	return shmc_put(worker->load->cache, worker->key, worker->key_size, worker->value,
		worker->load->value_size, &options, SHMC_TIMEOUT_DEFAULT);
}

static int worker_get(struct worker *worker, uint64_t number)
{
	const struct load *load = worker->load;
	struct shmc_view view;
	int r = shmc_get(load->cache, worker->key, worker->key_size, &view);

	if (r)
		return r;
	if (view.size != load->value_size || memcmp(view.data, &number, tag_size(load)))
		r = -EBADMSG;
	shmc_release(load->cache, &view);
	return r;
}

static int worker_do(struct worker *worker, uint64_t number)
{
	bool sample = worker->n % SAMPLE_EVERY == 0;
	uint64_t begin = 0;
	int r;

	worker_key(worker, number);
	if (worker->kind == LOAD_PUT)
		memcpy(worker->value, &number, tag_size(worker->load));
	if (sample)
		begin = progress_now();
	r = worker->kind == LOAD_PUT ? worker_put(worker) : worker_get(worker, number);
	if (sample)
		histogram_add(&worker->histogram, progress_now() - begin);
	worker->n++;
	if (r != SHMC_MISS)
		return r;
	worker->n_missed++;
	return 0;
}

/* xorshift64: enough to spread accesses, and cheap next to a hit. */
static uint64_t worker_random(struct worker *worker)
{
	uint64_t x = worker->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	worker->random = x;
	return x;
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;

	while (!worker->result && !atomic_load_explicit(&load_stop, memory_order_relaxed))
		worker->result = worker_do(worker, worker_random(worker) % worker->load->n_keys);
	worker->end_ns = progress_now();
	return NULL;
}

static void load_sleep(const struct load *load)
{
	uint64_t end = progress_now() + load->time_ms * 1000000;

	while (!atomic_load(&load_stop) && progress_now() < end)
		usleep(1000);
	atomic_store(&load_stop, true);
}

/* Wait for a worker and add it up. Returns what it gave up for, or 0. */
static int worker_join(struct worker *worker, uint64_t begin_ns, struct load_result *result)
{
	double seconds;

	pthread_join(worker->thread, NULL);
	seconds = (double)(worker->end_ns - begin_ns) / 1e9;
	if (seconds > result->seconds)
		result->seconds = seconds;
	result->n += worker->n;
	result->n_missed += worker->n_missed;
	histogram_merge(&result->histogram, &worker->histogram);
	return worker->result;
}

int load_run(const struct load *load, enum load_kind kind, struct load_result *result)
{
	struct worker *workers[LOAD_THREADS_MAX] = { NULL };
	uint64_t n_started = 0, begin_ns = progress_now();
	int r = 0, worker_r;

	*result = (struct load_result){ 0 };
	atomic_store(&load_stop, atomic_load(&load_interrupted));
	while (n_started < load->n_threads && !r) {
		struct worker *worker = workers[n_started] = worker_new(load, kind);

		r = worker ? -pthread_create(&worker->thread, NULL, worker_main, worker) : -ENOMEM;
		if (!r)
			n_started++;
	}
	if (!r)
		load_sleep(load);
	atomic_store(&load_stop, true);
	for (uint64_t i = 0; i < n_started; i++) {
		worker_r = worker_join(workers[i], begin_ns, result);
		if (!r)
			r = worker_r;
	}
	for (uint64_t i = 0; i < load->n_threads; i++)
		worker_free(workers[i]);
	return r;
}

/* Every key in order, by one function; the first that fails ends it. */
static int load_each(const struct load *load, bool put)
{
	struct worker *worker = worker_new(load, LOAD_PUT);
	int r = worker ? 0 : -ENOMEM;

	for (uint64_t i = 0; i < load->n_keys && !r; i++) {
		if (put) {
			r = atomic_load(&load_interrupted) ? -EINTR : worker_do(worker, i);
			continue;
		}
		worker_key(worker, i);
		r = shmc_delete(
			load->cache, worker->key, worker->key_size, SHMC_TIMEOUT_DEFAULT);
		if (r == SHMC_MISS)
			r = 0;
	}
	worker_free(worker);
	return r == -EINTR ? 0 : r;
}

int load_fill(const struct load *load)
{
	return load_each(load, true);
}

int load_clean(const struct load *load)
{
	return load_each(load, false);
}
