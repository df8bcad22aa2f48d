/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two reading processes against one.
 *
 * Readers share nothing but what they read, so two on two CPUs should get twice as much
 * done; what is missing is what the machine's shared cache and memory take. As the CPUs
 * of a shared machine are not always alike, one reader is measured on each of the two in
 * turn. Each reader is this program again, started with --reader: it attaches by itself,
 * walks through the keys once, says so, waits for the word, reads for a fixed time and
 * tells how many values it read. The broker sleeps meanwhile, the process that started
 * them waits.
 */
#include "bench/compare.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct reader {
	struct proc proc;
	int to, from; /* pipes */
};

/* Values a second, by the clock and by the time that the readers were running. */
struct readers_rate {
	double wall, cpu;
};

static uint64_t cpu_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Read for @ms and tell the rates. Returns what main does. */
static int reader_work(struct load *load, uint64_t ms)
{
	uint64_t start, now, cpu = cpu_now();
	size_t i, n;

	load->sum = 0;
	now = start = report_now();
	for (n = 0; now - start < ms * 1000000; now = report_now())
		for (i = 0; i < 8; i++, n += COMPARE_GROUP)
			compare_get(load, n, COMPARE_GROUP);
	cpu = cpu_now() - cpu;
	if (load->n_wrong || load->sum != keys_sum(load->keys, n, 0)) {
		fprintf(stderr, "reader: a value was wrong\n");
		return 1;
	}
	dprintf(STDOUT_FILENO, "%.0f %.0f\n", (double)n * 1e9 / (double)(now - start),
		(double)n * 1e9 / (double)cpu);
	return 0;
}

/* A reader's main: NAME SEED MILLISECONDS N, the last being how many keys it reads in
 * turn. */
int compare_reader_main(char **argv)
{
	struct load load = {0};
	struct shmc *cache;
	struct keys keys;
	size_t warm;
	char go;
	int r;

	r = shmc_attach(&cache, argv[0], NULL);
	if (!r)
		r = keys_init(&keys, COMPARE_MANY, strtoull(argv[3], NULL, 10),
			COMPARE_KEY_SIZE, "key:", strtoull(argv[1], NULL, 10));
	if (r) {
		fprintf(stderr, "reader: %s\n", shmc_strerror(r));
		return 1;
	}
	load.store = cache;
	load.keys = &keys;
	for (warm = 0; warm < keys.n_seq; warm += COMPARE_GROUP)
		compare_get(&load, warm, COMPARE_GROUP);
	if (write(STDOUT_FILENO, "r", 1) != 1 || read(STDIN_FILENO, &go, 1) != 1)
		return 1;
	r = reader_work(&load, strtoull(argv[2], NULL, 10));
	shmc_detach(cache);
	return r;
}

static void reader_start(struct compare *compare, struct reader *reader, const char *name,
	unsigned seed, int cpu)
{
	char seed_text[16], n_text[16];
	const char *ms = compare->rep.quick ? "150" : "1000";
	const char *const argv[] = {
		"/proc/self/exe", "--reader", name, seed_text, ms, n_text, NULL};
	int to[2], from[2];

	snprintf(seed_text, sizeof(seed_text), "%u", seed);
	snprintf(n_text, sizeof(n_text), "%d",
		compare->rep.quick ? COMPARE_QUICK : COMPARE_MANY);
	if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
		bench_must(&compare->rep, -errno, "pipe");
	bench_must(&compare->rep,
		proc_start(&reader->proc,
			&(struct proc_options){argv, cpu, to[0], from[1], -1}),
		"reader");
	close(to[0]);
	close(from[1]);
	reader->to = to[1];
	reader->from = from[0];
}

static void reader_expect(
	struct compare *compare, struct reader *reader, char *text, size_t size)
{
	ssize_t n = read(reader->from, text, size - 1);

	if (n <= 0)
		report_fatal(&compare->rep, "a reader ended early");
	text[n] = '\0';
}

/* @n readers at once, on CPUs from @cpu on; their rates, all together. */
static struct readers_rate readers_run(
	struct compare *compare, const char *name, unsigned n, unsigned cpu)
{
	struct readers_rate sum = {0, 0};
	struct reader readers[2];
	char text[64], *cpu_text;
	unsigned i;

	for (i = 0; i < n; i++)
		reader_start(compare, &readers[i], name, i + 1, compare->cpu[cpu + i]);
	for (i = 0; i < n; i++)
		reader_expect(compare, &readers[i], text, 2);
	for (i = 0; i < n; i++)
		if (write(readers[i].to, "g", 1) != 1)
			bench_must(&compare->rep, -errno, "reader");
	for (i = 0; i < n; i++) {
		reader_expect(compare, &readers[i], text, sizeof(text));
		sum.wall += strtod(text, &cpu_text);
		sum.cpu += strtod(cpu_text, NULL);
		if (proc_wait(&readers[i].proc))
			report_fatal(&compare->rep, "a reader failed");
		close(readers[i].to);
		close(readers[i].from);
	}
	return sum;
}

void compare_readers(struct compare *compare, const char *name)
{
	struct timing one = {0}, two = {0}, one_cpu = {0}, two_cpu = {0};
	struct readers_rate both, left, right;
	double zero[1] = {0};
	unsigned round;

	if (compare->cpu[0] == compare->cpu[1]) {
		report_say(&compare->rep, "readers: left out, there is one CPU");
		return;
	}
	for (round = 0; round < compare->n_rounds; round++) {
		left = readers_run(compare, name, 1, 0);
		both = readers_run(compare, name, 2, 0);
		right = readers_run(compare, name, 1, 1);
		timing_record(&two, zero, 1, both.wall);
		timing_record(&one, zero, 1, (left.wall + right.wall) / 2);
		timing_record(&two_cpu, zero, 1, both.cpu);
		timing_record(&one_cpu, zero, 1, (left.cpu + right.cpu) / 2);
	}
	compare_row_rate(compare, "readers-2", &two, &one, "op/s", 1, REPORT_AT_LEAST,
		1.8, "theirs: one reading process, mean of both CPUs");
	compare_row_rate(compare, "readers-2-cpu-time", &two_cpu, &one_cpu, "op/s", 1,
		REPORT_FIGURE, 0,
		"by the time for which they ran: without what others took");
}
