/* SPDX-License-Identifier: Apache-2.0 */
/* Options, rows and order statistics that all benchmarks share. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * A benchmark opens one report, hands it one row a figure, and closes it:
 *
 *	struct report rep;
 *	report_open(&rep, &argc, argv, "blocks", "[--seed N]");
 *	... parse what is left in argv ...
 *	report_row(&rep, &(struct report_row){ .name = "hit-64B-p50", ... });
 *	return report_close(&rep);
 *
 * Not thread-safe: rows come from one thread.
 */

/* What the goal bounds. With `theirs` given that is ours / theirs, without
 * (NAN) it is `ours` itself. */
enum report_bound {
	REPORT_FIGURE,		/* nothing: the figure is only told */
	REPORT_AT_MOST,
	REPORT_AT_LEAST,
};

struct report {
	const char *bench;
	bool json;		/* one object a line instead of a table */
	bool quick;		/* the whole run has to end within 30 s */
	bool spread;		/* the table has columns for report_spread; set
				 * it before the first row */
	unsigned int n_rows;
	unsigned int n_missed;	/* rows whose goal was not met */
	FILE *out;		/* stdout; a test may put another here */
};

/* What else the rounds told of one side; what is 0 is not printed. */
struct report_spread {
	double p99;		/* ns of one operation */
	double rate;		/* operations a second */
	double min, max;	/* over the rounds, in the row's unit */
};

struct report_row {
	const char *name;	/* stable, without blanks: scripts look it up */
	double ours;
	double theirs;		/* NAN: there is nothing to compare with */
	const char *unit;	/* of ours and theirs: "ns", "B", "op/s", ... */
	double goal;		/* ignored with REPORT_FIGURE */
	enum report_bound bound;
	const char *note;	/* who "theirs" is, or why; NULL: nothing */
	struct report_spread ours_spread, theirs_spread; /* zeroes: none */
};

/*
 * Takes --json, --quick and --help out of argv (which is compacted, *argc is
 * adjusted, argv[*argc] is NULL) and leaves the rest to the caller; everything
 * behind a "--" is left alone. --help prints `args`, the caller's own part of
 * the usage line ("" if it has none), and exits. The strings are kept by
 * reference. Prints nothing to stdout in JSON mode.
 */
void report_open(struct report *rep, int *argc, char **argv, const char *bench,
		const char *args);

/* For an argument that the caller does not know either: says so with the usage
 * line on stderr and exits with status 2. */
_Noreturn void report_usage(const struct report *rep, const char *args,
		const char *wrong);

/* An option of a benchmark's own, which takes a value. */
struct report_option {
	const char *name;	/* NULL ends an array of them */
	const char **value;	/* where it goes; as it was when not given */
};

/* Takes these out of what report_open() left; anything else is report_usage(). */
void report_options(const struct report *rep, char **argv, const char *args,
		const struct report_option *options);

/* Prints one row at once, so that a run which dies has told what it knew. */
void report_row(struct report *rep, const struct report_row *row);

/* A line for people, printf style; nothing in JSON mode. */
__attribute__((format(printf, 2, 3)))
void report_say(const struct report *rep, const char *fmt, ...);

/*
 * Ends the report and returns main's exit status: 0 even where a goal was
 * missed (that is a figure, told as "met": false), 1 where nothing was
 * measured or the output could not be written. A wrong result is not a missed
 * goal: a benchmark that sees one ends itself with report_fatal().
 */
int report_close(struct report *rep);

/* A result that is wrong rather than slow: message to stderr, exit status 1. */
__attribute__((format(printf, 2, 3)))
_Noreturn void report_fatal(const struct report *rep, const char *fmt, ...);

/* Whether a row's goal is met; true for REPORT_FIGURE, false if what the goal
 * bounds is not a finite number. */
bool report_row_met(const struct report_row *row);

/* The q-quantile (0 to 1, nearest rank) of n >= 1 samples, and q = 0.5 with
 * the mean of the middle two for an even n. Both sort the samples in place. */
double report_quantile(double *samples, size_t n, double q);
double report_median(double *samples, size_t n);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t report_now(void);

#endif
