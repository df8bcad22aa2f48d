/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The case that write-back exists for: what A has is asked for at B, twice.
 *
 * A row is one way of asking (blocking, a batch, a queue, prefetch and then get), with write-back
 * or without: `ours` is what the second request takes for all chunks, `theirs` the first. With
 * write-back the second is a local hit, and has to take what a hit at A takes; without, it is a
 * fetch again. Then the same, for a batch of 64 chunks at a time, per batch.
 */
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "bench/keys.h"
#include "bench/must.h"
#include "bench/remote-pair.h"

#define MIB ((size_t)1 << 20)
#define CHUNK (4 * MIB)
#define BATCH 64
#define ROUNDS_MAX 9
#define CONFIG "congestion = reno\n"

static struct {
	struct report rep;
	struct remote_pair pair;
	struct shmc_queue *queue; /* of host 1: who uses one opens it once */
	unsigned n_rounds;
	char text[BATCH][REMOTE_KEY_SIZE + 1];
	struct shmc_key key[BATCH];
	uint64_t sum; /* of the first words of what was read */
} bench;

static void use(struct shmc *cache, struct shmc_view *view)
{
	bench.sum += keys_word_read(view->data);
	shmc_release(cache, view);
}

/* --- the ways: each brings @n chunks to a client of host 1, and lets go of them --------------- */

static void blocking(unsigned n, const struct shmc_fetch_options *o)
{
	struct shmc *cache = bench.pair.cache[1];
	struct shmc_view view;
	unsigned i;

	for (i = 0; i < n; i++) {
		bench_must(&bench.rep, shmc_fetch(cache, bench.key[i].data, bench.key[i].size, o, &view, NULL,
					       30000), "fetch");
		use(cache, &view);
	}
}

static void batch(unsigned n, const struct shmc_fetch_options *o)
{
	struct shmc *cache = bench.pair.cache[1];
	static struct shmc_view views[BATCH];
	int results[BATCH];
	unsigned i;

	if (shmc_fetch_many(cache, bench.key, n, o, views, results, NULL, 30000) != (int)n)
		report_fatal(&bench.rep, "a batch with a miss");
	for (i = 0; i < n; i++)
		use(cache, &views[i]);
}

static void queue(unsigned n, const struct shmc_fetch_options *o)
{
	struct shmc *cache = bench.pair.cache[1];
	static struct shmc_request request[BATCH];
	struct shmc_request *pointer[BATCH], *done;
	struct shmc_queue *q = bench.queue;
	unsigned i, taken = 0, got = 0;
	int r;

	memset(request, 0, sizeof(request));
	for (i = 0; i < n; i++) {
		request[i].operation = SHMC_OP_FETCH;
		request[i].key = bench.key[i].data;
		request[i].key_size = bench.key[i].size;
		request[i].fetch = *o;
		pointer[i] = &request[i];
	}
	while (got < n) {
		r = taken < n ? shmc_submit(q, pointer + taken, n - taken) : 0;
		taken += r > 0 ? (unsigned)r : 0;
		if (shmc_reap(q, &done, 1, 30000) != 1)
			report_fatal(&bench.rep, "a fetch that does not end");
		bench_must(&bench.rep, done->result, "fetch");
		use(cache, &done->view);
		got++;
	}
}

/* As who knows what he will need: prefetch all, then ask for each. */
static void prefetch(unsigned n, const struct shmc_fetch_options *o)
{
	unsigned taken = 0;
	int r;

	while (taken < n) {
		r = shmc_prefetch(bench.pair.cache[1], bench.key + taken, n - taken, o);
		if (r < 0)
			bench_must(&bench.rep, r, "prefetch");
		taken += (unsigned)r;
		if (!r)
			poll(NULL, 0, 1);
	}
	blocking(n, o);
}

static const struct way {
	const char *name;
	void (*run)(unsigned n, const struct shmc_fetch_options *o);
} ways[] = {{"get", blocking}, {"batch", batch}, {"queue", queue}, {"prefetch", prefetch}};

/* --- measuring -------------------------------------------------------------------------------- */

static double timed(const struct way *way, unsigned n, const struct shmc_fetch_options *o)
{
	uint64_t begin = report_now();

	way->run(n, o);
	return (double)(report_now() - begin) / 1e6;
}

static double hits_at(unsigned host, unsigned n)
{
	struct shmc *cache = bench.pair.cache[host];
	uint64_t begin = report_now();
	struct shmc_view view;
	unsigned i;

	for (i = 0; i < n; i++) {
		bench_must(&bench.rep, shmc_get(cache, bench.key[i].data, bench.key[i].size, &view), "get");
		use(cache, &view);
	}
	return (double)(report_now() - begin) / 1e6;
}

static void measure(const struct way *way, unsigned n, bool is_on)
{
	const struct shmc_fetch_options o = {
		.write_back = is_on ? SHMC_WRITE_BACK_ALWAYS : SHMC_WRITE_BACK_OFF};
	double first[ROUNDS_MAX], second[ROUNDS_MAX];
	char name[64];
	unsigned round;
	size_t there;

	for (round = 0; round <= bench.n_rounds; round++) {
		unsigned at = round ? round - 1 : 0;

		first[at] = timed(way, n, &o);
		second[at] = timed(way, n, &o);
		there = remote_pair_check(&bench.pair, &bench.rep, "chunk", n);
		if (there != (is_on ? n : 0))
			report_fatal(&bench.rep, "%zu of %u chunks were written back", there, n);
	}
	snprintf(name, sizeof(name), "%s-%u-%s", way->name, n, is_on ? "on" : "off");
	report_row(&bench.rep, &(struct report_row){.name = name,
		.ours = report_median(second, bench.n_rounds),
		.theirs = report_median(first, bench.n_rounds), .unit = "ms", .goal = 0.01,
		.bound = is_on ? REPORT_AT_MOST : REPORT_FIGURE,
		.note = is_on ? "second request, and first; with write-back"
			      : "second request, and first; without"});
}

static void measure_hits(unsigned n)
{
	double a[ROUNDS_MAX];
	char name[32];
	unsigned round;

	for (round = 0; round < bench.n_rounds; round++)
		a[round] = hits_at(0, n);
	snprintf(name, sizeof(name), "hit-at-A-%u", n);
	report_row(&bench.rep, &(struct report_row){.name = name,
		.ours = report_median(a, bench.n_rounds), .theirs = NAN, .unit = "ms",
		.bound = REPORT_FIGURE, .note = "where it was put"});
}

int main(int argc, char **argv)
{
	unsigned i, on, n;

	report_open(&bench.rep, &argc, argv, "writeback", "");
	if (argc > 1)
		report_usage(&bench.rep, "", argv[1]);
	bench.n_rounds = bench.rep.quick ? 1 : 5;
	for (i = 0; i < BATCH; i++) {
		keys_write(bench.text[i], REMOTE_KEY_SIZE, "chunk", i);
		bench.key[i] = (struct shmc_key){bench.text[i], REMOTE_KEY_SIZE};
	}
	remote_pair_net(&bench.pair, &bench.rep);
	remote_pair_start(&bench.pair, &bench.rep, "1GiB", SECURE_NONE,
		CONFIG "deliver_max = 60%\n");
	remote_pair_fill(&bench.pair, &bench.rep, "chunk", BATCH, CHUNK);
	bench_must(&bench.rep, shmc_queue_open(&bench.queue, bench.pair.cache[1]), "queue");
	for (n = 1; n <= BATCH; n *= BATCH) {
		for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
			for (on = 2; on--;)
				measure(&ways[i], n, on);
		measure_hits(n);
	}
	shmc_queue_close(bench.queue);
	remote_pair_stop(&bench.pair, &bench.rep);
	return report_close(&bench.rep);
}
