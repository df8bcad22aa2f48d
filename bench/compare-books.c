/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an entry costs beside its bytes.
 *
 * A million values of 64 B under keys of 32 B go into an empty cache, and the index and
 * the broker's private books may have grown by so much for each. The broker's own word
 * for it is checked against the kernel's: the resident memory of the broker's process,
 * all but the map of the tier. What the tier uses for each value beyond its size is told
 * as well: it is rounding, not books.
 */
#include "bench/compare.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BOOKS_KEY_SIZE 32
#define BOOKS_PREFIX "books:"

/* Resident bytes of a process without the map of the file whose name ends in @tier. */
static double resident_size(struct compare *compare, pid_t pid, const char *tier)
{
	char path[64], line[4096];
	bool is_tier = false;
	double kib = 0, n;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	file = fopen(path, "re");
	if (!file)
		bench_must(&compare->rep, -errno, path);
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "Rss: %lf", &n) == 1)
			kib += is_tier ? 0 : n;
		else if (strchr("0123456789abcdef", line[0]))
			is_tier = strlen(line) > strlen(tier) &&
				  !strcmp(line + strlen(line) - strlen(tier), tier);
	}
	fclose(file);
	return kib * 1024;
}

static void books_row(struct compare *compare, const char *name, double size, double n,
	enum report_bound bound, double goal, const char *note)
{
	report_row(&compare->rep, &(struct report_row){.name = name,
					  .ours = size / n,
					  .theirs = NAN,
					  .unit = "B",
					  .goal = goal,
					  .bound = bound,
					  .note = note});
}

/* The broker writes its gauges when it has time, so wait until they tell of the last put.
 */
static void usage_wait(
	struct compare *compare, struct shmc *cache, struct shmc_usage *usage)
{
	struct timespec pause = {.tv_nsec = 1000000};
	int i;

	for (i = 0; i < 2000; i++) {
		bench_must(&compare->rep, shmc_usage(cache, usage), "usage");
		nanosleep(&pause, NULL);
		if (i > 1500 && usage->n_entries == COMPARE_MANY)
			return;
	}
	report_fatal(&compare->rep, "%llu entries of %d are left",
		(unsigned long long)usage->n_entries, COMPARE_MANY);
}

void compare_books(struct compare *compare)
{
	struct shmc_usage before, after;
	double resident, n = COMPARE_MANY;
	struct broker_run broker;
	struct shmc *cache;
	struct keys keys;
	char tier[64];

	bench_must(&compare->rep,
		keys_init(&keys, COMPARE_MANY, 1, BOOKS_KEY_SIZE, BOOKS_PREFIX, 7),
		"keys");
	compare_broker_start(compare, &broker, &cache, "512MiB", "");
	snprintf(tier, sizeof(tier), "%s.dram", broker.name);
	bench_must(&compare->rep, shmc_usage(cache, &before), "usage");
	resident = resident_size(compare, broker.proc.pid, tier);
	compare_fill(compare, cache, &keys, BOOKS_PREFIX);
	usage_wait(compare, cache, &after);
	resident = resident_size(compare, broker.proc.pid, tier) - resident;
	books_row(compare, "books-per-entry",
		(double)(after.index_size + after.books_size) -
			(double)(before.index_size + before.books_size),
		n, REPORT_AT_MOST, 128, "growth of index and private books, 32 B keys");
	books_row(compare, "books-per-entry-in-all",
		(double)(after.index_size + after.books_size), n, REPORT_FIGURE, 0,
		"with what an empty cache has already");
	books_row(compare, "books-per-entry-resident", resident, n, REPORT_FIGURE, 0,
		"growth of the process without its tier, as the kernel sees it");
	books_row(compare, "tier-per-64B-value",
		(double)(after.dram.used - before.dram.used), n, REPORT_FIGURE, 0,
		"bytes of the tier");
	compare_broker_stop(compare, &broker, cache);
	keys_deinit(&keys);
}
