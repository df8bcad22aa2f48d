/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a small put waits while a huge one makes room.
 *
 * The tier is full of values of 64 bytes. One thread puts values of half the tier, each of which
 * drives out a good part of a million entries; another puts 64 bytes after 64 bytes, by another
 * worker of the broker, and looks at the longest that it waited. What is told is that as a multiple
 * of its own median while nothing huge goes on: a ratio says what a time on a shared machine does
 * not.
 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/must.h"
#include "tests/support/broker-run.h"

#define SMALL 64
#define SAMPLES_MAX (1U << 22)

static struct stall {
	struct report rep;
	struct broker_run broker;
	struct shmc *small, *huge; /* sessions, one on each worker */
	size_t tier_size, huge_size;
	char *value;
	atomic_bool is_over;
	unsigned n_huge;
} stall;

static void put_small(uint64_t i)
{
	uint64_t key[2] = {i * UINT64_C(0x9e3779b97f4a7c15), 1};
	int r;

	r = shmc_put(stall.small, key, sizeof(key), stall.value, SMALL, NULL, SHMC_TIMEOUT_NEVER);
	bench_must(&stall.rep, r, "a small put");
}

/* Until the tier has no room: what is put from here on drives something out. */
static void fill(void)
{
	struct shmc_request *requests = calloc(1000, sizeof(*requests));
	uint64_t keys[1000][2], n, i, number = UINT64_C(1) << 40;
	/*
	 * A block of 64 bytes and as much of the books again would be too many: the index bounds
	 * them.
	 */
	uint64_t n_fill = stall.tier_size / SMALL;

	for (n = 0; n < n_fill; n += 1000) {
		for (i = 0; i < 1000; i++, number++) {
			keys[i][0] = number;
			keys[i][1] = 2;
			requests[i] = (struct shmc_request){.operation = SHMC_OP_PUT,
				.key = keys[i], .key_size = sizeof(keys[i]), .value = stall.value,
				.value_size = SMALL};
		}
		bench_must(&stall.rep, shmc_execute(stall.small, requests, 1000, SHMC_TIMEOUT_NEVER), "filling");
	}
	free(requests);
}

static void *huge_main(void *context)
{
	unsigned i;
	int r;

	(void)context;
	for (i = 0; i < stall.n_huge; i++) {
		r = shmc_put(stall.huge, "huge", 4 + (i & 1), stall.value, stall.huge_size, NULL,
			SHMC_TIMEOUT_NEVER);
		bench_must(&stall.rep, r, "a huge put");
	}
	atomic_store(&stall.is_over, true);
	return NULL;
}

/* Small puts until somebody says stop, at least @n_min. Returns how many. */
static size_t measure(double *samples, size_t n_min)
{
	uint64_t begin, end = report_now();
	size_t n;

	for (n = 0; n < SAMPLES_MAX && (n < n_min || !atomic_load(&stall.is_over)); n++) {
		begin = end;
		put_small(n);
		end = report_now();
		samples[n] = (double)(end - begin);
	}
	return n;
}

static void row(const char *name, double value, const char *unit, const char *note)
{
	report_row(&stall.rep, &(struct report_row){.name = name, .ours = value, .theirs = NAN,
		.unit = unit, .bound = REPORT_FIGURE, .note = note});
}

int main(int argc, char **argv)
{
	struct broker_run_options options = {.dram_size = "1GiB", .cpu = PROC_CPU_ANY,
		.config = "[broker]\nworkers = 2\npoll = sleep\n[index]\nsize_max = 2GiB\n"};
	double *samples, alone, worst, p99;
	pthread_t thread;
	size_t n;

	report_open(&stall.rep, &argc, argv, "stall", "");
	if (argc > 1)
		report_usage(&stall.rep, "", argv[1]);
	stall.tier_size = stall.rep.quick ? 256U << 20 : 1U << 30;
	options.dram_size = stall.rep.quick ? "256MiB" : "1GiB";
	stall.huge_size = stall.tier_size / 2;
	stall.n_huge = stall.rep.quick ? 3 : 5;
	stall.value = calloc(1, stall.huge_size);
	samples = calloc(SAMPLES_MAX, sizeof(*samples));
	if (!stall.value || !samples || cleanup_guard())
		return 1;
	bench_must(&stall.rep, broker_run_start(&stall.broker, &options, &stall.small, NULL), "start");
	bench_must(&stall.rep, shmc_attach(&stall.huge, stall.broker.name, NULL), "attach");
	fill();
	atomic_store(&stall.is_over, true);
	n = measure(samples, 20000);
	alone = report_median(samples, n);
	atomic_store(&stall.is_over, false);
	if (pthread_create(&thread, NULL, huge_main, NULL))
		return 1;
	n = measure(samples, 1);
	pthread_join(thread, NULL);
	worst = report_quantile(samples, n, 1);
	p99 = report_quantile(samples, n, 0.999);
	row("small-put-p50", alone, "ns", "64 B, sync, nothing huge under way");
	row("small-put-worst", worst / alone, "x", "the longest during huge puts, of that median");
	row("small-put-p999", p99 / alone, "x", "one of a thousand during huge puts");
	shmc_detach(stall.small);
	shmc_detach(stall.huge);
	broker_run_stop(&stall.broker);
	free(samples);
	free(stall.value);
	return report_close(&stall.rep);
}
