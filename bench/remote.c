/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a fetch from another broker costs, beside what TCP itself can do.
 *
 * Two network namespaces joined by a bridge, a broker in each; this process is a client of both.
 * The rival is a server that sends bytes on request over one connection (remote-tcp.c), between the
 * same two namespaces, with the same congestion control. Sides take turns, and what is compared are
 * medians of the rounds.
 *
 * Some rows come again with TLS, on all lanes and with data lanes in the clear that are bound to
 * it: beside bare TCP as before, and beside what the same run saw without TLS.
 *
 * With --cpus apart each host has a CPU to itself, as two machines would have: the threads of one end
 * can't be put in the way of the other's. What a host does for itself then shares one CPU.
 *
 * Each round fetches values that host 1 does not have, and deletes them there after it; that, and
 * the look at every byte, is outside the measured time.
 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/keys.h"
#include "bench/must.h"
#include "bench/remote-pair.h"
#include "bench/remote-tcp.h"

#define MIB ((size_t)1 << 20)
#define DEPTH 4
#define ROUNDS_MAX 15
#define CONGESTION "reno"
#define CONFIG "congestion = " CONGESTION "\n"

enum figure { LARGE, MIDDLE, LITTLE, ROUND_TRIP, N_FIGURES };

static struct bench {
	struct report rep;
	struct remote_pair pair;
	struct remote_tcp tcp;
	unsigned n_rounds;
	enum secure_mode mode;
	double plain[N_FIGURES]; /* ours without security; 0: not measured */
} bench;

static void row(const char *name, double ours, double theirs, const char *unit, double goal,
	enum report_bound bound, const char *note)
{
	report_row(&bench.rep, &(struct report_row){.name = name, .ours = ours, .theirs = theirs,
		.unit = unit, .goal = goal, .bound = bound, .note = note});
}

/* What has a goal without security, and none with it. */
static void row_of_mode(enum figure f, const struct report_row *plain)
{
	static const char *const suffixes[] = {"", "-tls", "-bound"};
	struct report_row r = *plain;
	char name[64];

	snprintf(name, sizeof(name), "%s%s", plain->name, suffixes[bench.mode]);
	r.name = name;
	if (bench.mode)
		r.bound = REPORT_FIGURE;
	else
		bench.plain[f] = r.ours;
	report_row(&bench.rep, &r);
	if (!bench.mode || !bench.plain[f])
		return;
	snprintf(name, sizeof(name), "%s%s-plain", plain->name, suffixes[bench.mode]);
	r.theirs = bench.plain[f];
	r.note = "the same without TLS";
	report_row(&bench.rep, &r);
}

/* At both: the next row begins with empty tiers. */
static void flush_all(const char *prefix)
{
	uint64_t n;
	int i;

	for (i = 0; i < 2; i++)
		bench_must(&bench.rep, shmc_flush(bench.pair.cache[i], prefix, strlen(prefix), &n, 30000),
			"flush");
}

/* --- throughput ------------------------------------------------------------------------------- */

/* Values 0 to @n - 1 of @prefix, DEPTH at a time. */
static void fetch_all(const char *prefix, size_t n, const struct shmc_fetch_options *options)
{
	struct shmc_request request[DEPTH], *pointer, *done;
	char key[DEPTH][REMOTE_KEY_SIZE + 1];
	struct shmc_queue *queue;
	size_t begun = 0, i;
	unsigned n_out = 0;

	bench_must(&bench.rep, shmc_queue_open(&queue, bench.pair.cache[1]), "queue");
	memset(request, 0, sizeof(request));
	for (i = 0; i < n || n_out;) {
		while (begun < n && n_out < DEPTH) {
			pointer = &request[0];
			while (pointer->user)
				pointer++;
			memset(pointer, 0, sizeof(*pointer));
			keys_write(key[pointer - request], REMOTE_KEY_SIZE, prefix, begun++);
			pointer->operation = SHMC_OP_FETCH;
			pointer->key = key[pointer - request];
			pointer->key_size = REMOTE_KEY_SIZE;
			pointer->fetch = *options;
			pointer->user = pointer;
			if (shmc_submit(queue, &pointer, 1) != 1)
				report_fatal(&bench.rep, "submit");
			n_out++;
		}
		if (shmc_reap(queue, &done, 1, 30000) != 1)
			report_fatal(&bench.rep, "a fetch that does not end");
		bench_must(&bench.rep, done->result, "fetch");
		shmc_release(bench.pair.cache[1], &done->view);
		done->user = NULL;
		n_out--;
		i++;
	}
	shmc_queue_close(queue);
}

/* All processes together: this one, which asks, both brokers, and the server of the rival. */
static struct cost {
	uint64_t cpu_ns, n_sleeps;
} cost_now(void)
{
	const pid_t pid[] = {getpid(), bench.pair.broker[0].proc.pid, bench.pair.broker[1].proc.pid,
		bench.tcp.server.pid};
	struct proc_usage usage;
	struct cost sum = {0};
	size_t i;

	for (i = 0; i < sizeof(pid) / sizeof(pid[0]); i++) {
		bench_must(&bench.rep, proc_usage(pid[i], &usage), "usage");
		sum.cpu_ns += usage.cpu_ns;
		sum.n_sleeps += usage.n_sleeps;
	}
	return sum;
}

/* A side's rounds: GB/s, and what a value took of the processors and of their schedulers. */
struct side {
	double rate[ROUNDS_MAX], cpu_us[ROUNDS_MAX], sleeps[ROUNDS_MAX];
	struct cost cost; /* when the round began */
	uint64_t begin_ns;
};

static void side_begin(struct side *side)
{
	side->cost = cost_now();
	side->begin_ns = report_now();
}

static void side_end(struct side *side, unsigned at, size_t n, size_t total)
{
	uint64_t ns = report_now() - side->begin_ns;
	struct cost cost = cost_now();

	side->rate[at] = (double)total / (double)ns;
	side->cpu_us[at] = (double)(cost.cpu_ns - side->cost.cpu_ns) / 1000 / (double)n;
	side->sleeps[at] = (double)(cost.n_sleeps - side->cost.n_sleeps) / (double)n;
}

static void cost_rows(const char *name, struct side *ours, struct side *theirs)
{
	const unsigned n = bench.n_rounds;
	char full[64];

	snprintf(full, sizeof(full), "%s-cpu", name);
	row(full, report_median(ours->cpu_us, n), report_median(theirs->cpu_us, n), "us", NAN,
		REPORT_FIGURE, "processor time of all processes, a value");
	snprintf(full, sizeof(full), "%s-sleeps", name);
	row(full, report_median(ours->sleeps, n), report_median(theirs->sleeps, n), "times", NAN,
		REPORT_FIGURE, "that a thread had to be woken, a value");
}

static void throughput(enum figure f, const char *name, const char *prefix, size_t size, size_t total,
	double goal)
{
	const struct shmc_fetch_options options = {0};
	const unsigned rounds = bench.n_rounds;
	static struct side ours, theirs;
	size_t n = total / size;
	unsigned round;

	remote_pair_fill(&bench.pair, &bench.rep, prefix, n, size);
	for (round = 0; round <= rounds; round++) {
		unsigned at = round ? round - 1 : 0;

		side_begin(&ours);
		fetch_all(prefix, n, &options);
		side_end(&ours, at, n, total);
		if (remote_pair_check(&bench.pair, &bench.rep, prefix, n) != n)
			report_fatal(&bench.rep, "what was fetched is not there");
		side_begin(&theirs);
		if (remote_tcp_fetch(&bench.tcp, size, (unsigned)n, DEPTH))
			report_fatal(&bench.rep, "the bare stream broke");
		side_end(&theirs, at, n, total);
	}
	row_of_mode(f, &(struct report_row){.name = name, .ours = report_median(ours.rate, rounds),
		.theirs = report_median(theirs.rate, rounds), .unit = "GB/s", .goal = goal,
		.bound = REPORT_AT_LEAST, .note = "bare TCP, one connection, as deep"});
	if (!bench.mode)
		cost_rows(name, &ours, &theirs);
	flush_all(prefix);
}

/* --- a round trip ----------------------------------------------------------------------------- */

static void round_trip(void)
{
	const size_t n = bench.rep.quick ? 500 : 2000;
	double *ours = calloc(n, sizeof(*ours)), *theirs = calloc(n, sizeof(*theirs));
	double a[ROUNDS_MAX], b[ROUNDS_MAX];
	char key[REMOTE_KEY_SIZE + 1];
	struct shmc_view view;
	uint64_t begin;
	unsigned round;
	size_t i;

	remote_pair_fill(&bench.pair, &bench.rep, "small", n, 4096);
	for (round = 0; round < bench.n_rounds; round++) {
		for (i = 0; i < n; i++) {
			keys_write(key, REMOTE_KEY_SIZE, "small", i);
			begin = report_now();
			bench_must(&bench.rep, shmc_fetch(bench.pair.cache[1], key, REMOTE_KEY_SIZE, NULL,
						       &view, NULL, 30000), "fetch");
			ours[i] = (double)(report_now() - begin) / 1000;
			shmc_release(bench.pair.cache[1], &view);
		}
		remote_pair_check(&bench.pair, &bench.rep, "small", n);
		for (i = 0; i < n; i++) {
			begin = report_now();
			if (remote_tcp_fetch(&bench.tcp, 4096, 1, 1))
				report_fatal(&bench.rep, "the bare ping-pong broke");
			theirs[i] = (double)(report_now() - begin) / 1000;
		}
		a[round] = report_quantile(ours, n, 0.5);
		b[round] = report_quantile(theirs, n, 0.5);
	}
	row_of_mode(ROUND_TRIP, &(struct report_row){.name = "round-trip-4KiB",
		.ours = report_median(a, bench.n_rounds), .theirs = report_median(b, bench.n_rounds),
		.unit = "us", .goal = 2, .bound = REPORT_AT_MOST, .note = "bare TCP ping-pong, p50"});
	free(ours);
	free(theirs);
	flush_all("small");
}

/* --- what write-back costs, and brings -------------------------------------------------------- */

static double time_fetches(const char *prefix, size_t n, const struct shmc_fetch_options *options,
	double *samples)
{
	char key[REMOTE_KEY_SIZE + 1];
	struct shmc_view view;
	uint64_t begin;
	size_t i;

	for (i = 0; i < n; i++) {
		keys_write(key, REMOTE_KEY_SIZE, prefix, i);
		begin = report_now();
		bench_must(&bench.rep, shmc_fetch(bench.pair.cache[1], key, REMOTE_KEY_SIZE, options, &view,
					       NULL, 30000), "fetch");
		samples[i] = (double)(report_now() - begin) / 1000;
		shmc_release(bench.pair.cache[1], &view);
	}
	return report_quantile(samples, n, 0.5);
}

static void write_back(void)
{
	const struct shmc_fetch_options on = {.write_back = SHMC_WRITE_BACK_ALWAYS};
	const struct shmc_fetch_options off = {.write_back = SHMC_WRITE_BACK_OFF};
	enum { N = 32 };
	double first[ROUNDS_MAX], without[ROUNDS_MAX], second[ROUNDS_MAX], samples[N];
	unsigned round;

	remote_pair_fill(&bench.pair, &bench.rep, "chunk", N, 4 * MIB);
	for (round = 0; round < bench.n_rounds; round++) {
		without[round] = time_fetches("chunk", N, &off, samples);
		first[round] = time_fetches("chunk", N, &on, samples);
		second[round] = time_fetches("chunk", N, &on, samples);
		if (remote_pair_check(&bench.pair, &bench.rep, "chunk", N) != N)
			report_fatal(&bench.rep, "what was fetched is not there");
	}
	row("first-4MiB", report_median(first, bench.n_rounds), report_median(without, bench.n_rounds),
		"us", 1.02, REPORT_AT_MOST, "without write-back");
	row("second-4MiB", report_median(first, bench.n_rounds),
		report_median(second, bench.n_rounds), "us", 100, REPORT_AT_LEAST,
		"the first fetch in times of the second request");
	flush_all("chunk");
}

/* --- many at once ----------------------------------------------------------------------------- */

#define REQUESTERS 64

static pthread_barrier_t barrier;

static void *request_main(void *context)
{
	struct shmc_view view;

	pthread_barrier_wait(&barrier);
	bench_must(&bench.rep, shmc_fetch(bench.pair.cache[1], context, REMOTE_KEY_SIZE, NULL, &view, NULL,
				       30000), "fetch");
	if (keys_value_check(view.data, view.size, 0, 0))
		report_fatal(&bench.rep, "a wrong value");
	shmc_release(bench.pair.cache[1], &view);
	return NULL;
}

static void single_flight(void)
{
	pthread_t thread[REQUESTERS];
	char key[REMOTE_KEY_SIZE + 1];
	uint64_t before;
	unsigned i;

	remote_pair_fill(&bench.pair, &bench.rep, "one", 1, 32 * MIB);
	keys_write(key, REMOTE_KEY_SIZE, "one", 0);
	before = broker_run_stat(bench.pair.cache[1], "shmcache_transfers_total");
	pthread_barrier_init(&barrier, NULL, REQUESTERS);
	for (i = 0; i < REQUESTERS; i++)
		if (pthread_create(&thread[i], NULL, request_main, key))
			report_fatal(&bench.rep, "no thread");
	for (i = 0; i < REQUESTERS; i++)
		pthread_join(thread[i], NULL);
	row("single-flight",
		(double)(broker_run_stat(bench.pair.cache[1], "shmcache_transfers_total") - before),
		NAN, "transfers", 1, REPORT_AT_MOST, "64 threads fetch one key of 32 MiB at once");
	flush_all("one");
}

/* --- local hits beside ------------------------------------------------------------------------ */

static atomic_bool is_over;

static void *saturate(void *context)
{
	const struct shmc_fetch_options off = {.write_back = SHMC_WRITE_BACK_OFF};

	while (!is_over)
		fetch_all("flood", *(size_t *)context, &off);
	return NULL;
}

/* Local hits a second, of 64 bytes each. */
static double hits(void)
{
	const uint64_t until = report_now() + (bench.rep.quick ? 300000000 : 1000000000);
	uint64_t begin = report_now(), n = 0, i;
	struct shmc_view view;

	do {
		for (i = 0; i < 256; i++) {
			if (shmc_get(bench.pair.cache[1], "local", 5, &view))
				report_fatal(&bench.rep, "the local value is gone");
			shmc_release(bench.pair.cache[1], &view);
		}
		n += 256;
	} while (report_now() < until);
	return (double)n * 1e3 / (double)(report_now() - begin);
}

static void local_hits(void)
{
	double alone[ROUNDS_MAX], beside[ROUNDS_MAX];
	char value[64] = "x";
	size_t n = 16;
	pthread_t thread;
	unsigned round;

	remote_pair_fill(&bench.pair, &bench.rep, "flood", n, 16 * MIB);
	bench_must(&bench.rep, shmc_put(bench.pair.cache[1], "local", 5, value, sizeof(value), NULL, 30000),
		"put");
	for (round = 0; round < bench.n_rounds; round++) {
		alone[round] = hits();
		is_over = false;
		if (pthread_create(&thread, NULL, saturate, &n))
			report_fatal(&bench.rep, "no thread");
		beside[round] = hits();
		is_over = true;
		pthread_join(thread, NULL);
	}
	row("local-hits", report_median(beside, bench.n_rounds), report_median(alone, bench.n_rounds), "M/s",
		0.9, REPORT_AT_LEAST, "beside a saturated fetch, and alone; both brokers share the CPUs");
	flush_all("flood");
}

/* ---------------------------------------------------------------------------------------------- */

static void large(void)
{
	throughput(LARGE, "fetch-16MiB", "large", 16 * MIB, 256 * MIB, 0.9);
}

static void middle(void)
{
	throughput(MIDDLE, "fetch-1MiB", "middle", MIB, 256 * MIB, 0.9);
}

static void little(void)
{
	throughput(LITTLE, "fetch-64KiB", "little", 65536, 128 * MIB, 0.8);
}

static void begin(enum secure_mode mode)
{
	bench.mode = mode;
	/* The requesters of one key and the main thread have a lane each. */
	remote_pair_start(&bench.pair, &bench.rep, "768MiB", mode, CONFIG "[session]\nlanes = 128\n");
}

/* Both brokers anew, in that mode; whatever comes next is without security again. */
static void secured(enum secure_mode mode)
{
	remote_pair_stop(&bench.pair, &bench.rep);
	begin(mode);
	large();
	middle();
	little();
	round_trip();
	remote_pair_stop(&bench.pair, &bench.rep);
	begin(SECURE_NONE);
}

static void tls(void)
{
	secured(SECURE_TLS);
}

static void bound(void)
{
	secured(SECURE_BOUND);
}

static const struct {
	const char *name;
	void (*fn)(void);
} cases[] = {{"fetch-16MiB", large}, {"fetch-1MiB", middle}, {"fetch-64KiB", little},
	{"round-trip", round_trip}, {"first-second", write_back}, {"single-flight", single_flight},
	{"local-hits", local_hits}, {"tls", tls}, {"bound", bound}};

static const char arguments[] = "[--only NAME] [--cpus shared|apart]";

int main(int argc, char **argv)
{
	const char *only = "", *cpus = "shared";
	const struct report_option own[] = {{"--only", &only}, {"--cpus", &cpus}, {0}};
	size_t i;

	if (argc == 5 && !strcmp(argv[1], "--tcp-server"))
		return remote_tcp_server_main(argv);
	report_open(&bench.rep, &argc, argv, "remote", arguments);
	report_options(&bench.rep, argv, arguments, own);
	bench.n_rounds = bench.rep.quick ? 3 : 9;
	remote_pair_net(&bench.pair, &bench.rep);
	if (!strcmp(cpus, "apart"))
		remote_pair_part_cpus(&bench.pair, &bench.rep);
	else if (strcmp(cpus, "shared"))
		report_usage(&bench.rep, arguments, cpus);
	begin(SECURE_NONE);
	if (remote_tcp_start(&bench.tcp, &bench.pair.net, 256 * MIB, CONGESTION,
		    bench.pair.cpu[0]))
		report_fatal(&bench.rep, "no bare TCP stream");
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!strncmp(cases[i].name, only, strlen(only)))
			cases[i].fn();
	remote_tcp_stop(&bench.tcp);
	remote_pair_stop(&bench.pair, &bench.rep);
	return report_close(&bench.rep);
}
