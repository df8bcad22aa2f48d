/* SPDX-License-Identifier: Apache-2.0 */
/* What the cases of the comparison share. */
#ifndef BENCH_COMPARE_H
#define BENCH_COMPARE_H

#include "bench/load.h"
#include "bench/machine.h"
#include "bench/must.h"
#include "bench/report.h"
#include "bench/rival.h"
#include "bench/timing.h"
#include "clients/shmcache.h"
#include "tests/support/broker-run.h"

#define COMPARE_KEY_SIZE 16
#define COMPARE_GROUP 32     /* look-ups that one time stamp covers, and a batch */
#define COMPARE_MANY 1000000 /* keys where the caches of the processor don't help */
#define COMPARE_QUICK 256000 /* how many of them a quick round reads: whole groups */

struct compare {
	struct report rep;
	const char *program; /* of the broker; NULL: the one in the build tree */
	unsigned n_rounds;
	int cpu[2]; /* the client's and the broker's; the same where there is only one */
};

/* The cases; each starts the broker and rivals that it needs, prints its rows, and ends
 * them. */
typedef void compare_fn(struct compare *compare);
compare_fn compare_hit_few, compare_hit_many, compare_hit_large, compare_copy,
	compare_ring, compare_put_sync, compare_put_pipelined, compare_put_large,
	compare_books, compare_idle;

/* The part of compare_hit_many that wants a filled cache and its own reader processes;
 * their main. */
void compare_readers(struct compare *compare, const char *name);
int compare_reader_main(char **argv);
int compare_idler_main(char **argv);

/* A broker of its own for a case, pinned to the second CPU, with this process attached
 * and pinned to the first. Any failure is fatal. */
void compare_broker_start(struct compare *compare, struct broker_run *run,
	struct shmc **cache, const char *dram_size, const char *config);
/* A broker that does not end well is fatal too. */
void compare_broker_stop(
	struct compare *compare, struct broker_run *run, struct shmc *cache);

/* Store all keys in version 0, in the order of their numbers. */
void compare_fill(struct compare *compare, struct shmc *cache, const struct keys *keys,
	const char *prefix);

/* Measure, in turn. The loads must have read what they had to (checked if @check_sums)
 * and have had no wrong answer; anything else is fatal. */
void compare_run(struct compare *compare, struct timing *const *sides, size_t n_sides,
	bool check_sums);

/* All keys of the sequence hold @version, every byte; anything else is fatal. */
void compare_check(struct compare *compare, struct shmc *cache, const struct keys *keys,
	uint64_t version);

/* Rows from two timings; without @theirs the row has nothing to compare with. */
void compare_row_p50(struct compare *compare, const char *name, const struct timing *ours,
	const struct timing *theirs, enum report_bound bound, double goal,
	const char *note);
void compare_row_rate(struct compare *compare, const char *name,
	const struct timing *ours, const struct timing *theirs, const char *unit,
	double scale, enum report_bound bound, double goal, const char *note);

/* Our side of look-ups; the context is a struct load. */
timing_fn compare_get, compare_get_many, compare_miss;

#endif
