/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two reading processes against one.
 *
 * Readers share nothing but what they read, so two on two CPUs should get twice as much
 * done; what is missing is what the machine's shared cache and memory take. Each reader
 * is this program again, started with --reader: it attaches by itself, walks through the
 * keys once, says so, waits for the word, reads for a fixed time and tells how many
 * values it read. The broker sleeps meanwhile, the process that started them waits.
 */
#include "bench/compare.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct reader {
	struct proc proc;
	int to, from; /* pipes */
};

/* A reader's main: NAME SEED MILLISECONDS. */
int compare_reader_main(char **argv)
{
	struct load load = {0};
	uint64_t deadline, start, now;
	struct shmc *cache;
	struct keys keys;
	size_t n, warm;
	char go;
	int r;

	r = shmc_attach(&cache, argv[0], NULL);
	if (!r)
		r = keys_init(&keys, COMPARE_MANY, COMPARE_MANY, COMPARE_KEY_SIZE,
			"key:", strtoull(argv[1], NULL, 10));
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
	load.sum = 0;
	now = start = report_now();
	deadline = start + strtoull(argv[2], NULL, 10) * 1000000;
	for (n = 0; now < deadline; now = report_now())
		for (warm = 0; warm < 8; warm++, n += COMPARE_GROUP)
			compare_get(&load, n, COMPARE_GROUP);
	if (load.n_wrong || load.sum != keys_sum(&keys, n, 0)) {
		fprintf(stderr, "reader: a value was wrong\n");
		return 1;
	}
	dprintf(STDOUT_FILENO, "%.0f\n", (double)n * 1e9 / (double)(now - start));
	shmc_detach(cache);
	return 0;
}

static void reader_start(struct compare *compare, struct reader *reader, const char *name,
	unsigned seed, int cpu, unsigned ms)
{
	char seed_text[16], ms_text[16];
	const char *const argv[] = {
		"/proc/self/exe", "--reader", name, seed_text, ms_text, NULL};
	int to[2], from[2];

	snprintf(seed_text, sizeof(seed_text), "%u", seed);
	snprintf(ms_text, sizeof(ms_text), "%u", ms);
	if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
		compare_must(compare, -errno, "pipe");
	compare_must(compare,
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

/* @n readers at once; their values a second, all together. */
static double readers_run(
	struct compare *compare, const char *name, unsigned n, unsigned ms)
{
	struct reader readers[2];
	double sum = 0;
	char text[64];
	unsigned i;

	for (i = 0; i < n; i++)
		reader_start(compare, &readers[i], name, i + 1, compare->cpu[i], ms);
	for (i = 0; i < n; i++)
		reader_expect(compare, &readers[i], text, 2);
	for (i = 0; i < n; i++)
		if (write(readers[i].to, "g", 1) != 1)
			compare_must(compare, -errno, "reader");
	for (i = 0; i < n; i++) {
		reader_expect(compare, &readers[i], text, sizeof(text));
		sum += strtod(text, NULL);
		if (proc_wait(&readers[i].proc))
			report_fatal(&compare->rep, "a reader failed");
		close(readers[i].to);
		close(readers[i].from);
	}
	return sum;
}

void compare_readers(struct compare *compare, const char *name, const struct keys *keys)
{
	unsigned round, ms = compare->rep.quick ? 200 : 1000;
	struct timing one = {0}, two = {0};
	double rate, zero[1] = {0};

	(void)keys;
	if (compare->cpu[0] == compare->cpu[1]) {
		report_say(&compare->rep, "readers: left out, there is one CPU");
		return;
	}
	for (round = 0; round < compare->n_rounds; round++) {
		rate = readers_run(compare, name, 1, ms);
		timing_record(&one, zero, 1, rate);
		rate = readers_run(compare, name, 2, ms);
		timing_record(&two, zero, 1, rate);
	}
	compare_row_rate(compare, "readers-2", &two, &one, "op/s", 1, REPORT_AT_LEAST,
		1.8, "theirs: one reading process");
}
