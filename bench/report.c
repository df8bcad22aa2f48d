/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options, rows and order statistics that all benchmarks share.
 *
 * Each benchmark speaks to two readers. A person wants an aligned table with
 * the ratio and the verdict side by side; a script wants one JSON object a line
 * so that it can read a run that was cut short, and select with a line filter.
 * Both get the same rows from the same call, hence neither can lag behind.
 *
 * A missed goal is not a failed run. Goals are ratios within one run, and a
 * noisy machine misses some of them; a benchmark whose exit status depended on
 * that would be ignored within a week. What does fail a run is a wrong result.
 *
 * JSON knows neither NaN nor infinity, so what is not a finite number is null.
 */
#include "bench/report.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAME_WIDTH 36
/* p99 in ns and operations a second of both sides, then the range of rounds. */
#define SPREAD_HEAD                                        \
	"  p99/ns   their   op/s   their     rounds of us" \
	"  rounds of them"

static void usage_print(FILE *out, const char *bench, const char *args)
{
	fprintf(out, "usage: %s [--json] [--quick]%s%s\n", bench,
		args[0] ? " " : "", args);
}

void report_open(struct report *rep, int *argc, char **argv, const char *bench,
		const char *args)
{
	int n = 0, i;

	*rep = (struct report){ .bench = bench, .out = stdout };
	for (i = 0; i < *argc; i++) {
		if (!strcmp(argv[i], "--"))
			break;
		if (!strcmp(argv[i], "--json")) {
			rep->json = true;
		} else if (!strcmp(argv[i], "--quick")) {
			rep->quick = true;
		} else if (!strcmp(argv[i], "--help")) {
			usage_print(stdout, bench, args);
			exit(0);
		} else {
			argv[n++] = argv[i];
		}
	}
	while (i < *argc)
		argv[n++] = argv[i++];
	argv[n] = NULL;
	*argc = n;
}

void report_usage(const struct report *rep, const char *args, const char *wrong)
{
	fprintf(stderr, "%s: unknown argument '%s'\n", rep->bench, wrong);
	usage_print(stderr, rep->bench, args);
	exit(2);
}

void report_options(const struct report *rep, char **argv, const char *args,
		const struct report_option *options)
{
	const struct report_option *o;

	for (argv++; *argv; argv += 2) {
		for (o = options; o->name && strcmp(o->name, *argv); o++)
			;
		if (!o->name || !argv[1])
			report_usage(rep, args, *argv);
		*o->value = argv[1];
	}
}

/* What the goal is held against. */
static double row_ratio(const struct report_row *row)
{
	return isnan(row->theirs) ? row->ours : row->ours / row->theirs;
}

bool report_row_met(const struct report_row *row)
{
	double ratio = row_ratio(row);

	if (row->bound == REPORT_FIGURE)
		return true;
	if (!isfinite(ratio))
		return false;
	return row->bound == REPORT_AT_MOST ? ratio <= row->goal :
					      ratio >= row->goal;
}

static void json_string(FILE *out, const char *key, const char *s)
{
	fprintf(out, "\"%s\": \"", key);
	for (; *s; s++) {
		unsigned char c = *s;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20)
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

static void json_number(FILE *out, const char *key, double v)
{
	if (isfinite(v))
		fprintf(out, ", \"%s\": %.10g", key, v);
	else
		fprintf(out, ", \"%s\": null", key);
}

static void json_spread(FILE *out, const char *side,
		const struct report_spread *spread)
{
	const char *const names[] = { "p99_ns", "rate", "min", "max" };
	const double values[] = { spread->p99, spread->rate, spread->min,
				  spread->max };
	char key[32];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!values[i])
			continue;
		snprintf(key, sizeof(key), "%s_%s", side, names[i]);
		json_number(out, key, values[i]);
	}
}

static void row_print_json(const struct report *rep, const struct report_row *row)
{
	FILE *out = rep->out;
	bool bound = row->bound != REPORT_FIGURE;

	fputc('{', out);
	json_string(out, "bench", rep->bench);
	fputs(", ", out);
	json_string(out, "name", row->name);
	json_number(out, "ours", row->ours);
	json_number(out, "theirs", row->theirs);
	fputs(", ", out);
	json_string(out, "unit", row->unit);
	json_number(out, "ratio", isnan(row->theirs) ? NAN : row_ratio(row));
	json_number(out, "goal", bound ? row->goal : NAN);
	if (bound)
		fprintf(out, ", \"bound\": \"%s\", \"met\": %s",
			row->bound == REPORT_AT_MOST ? "at most" : "at least",
			report_row_met(row) ? "true" : "false");
	else
		fputs(", \"bound\": null, \"met\": null", out);
	json_spread(out, "ours", &row->ours_spread);
	json_spread(out, "theirs", &row->theirs_spread);
	if (row->note) {
		fputs(", ", out);
		json_string(out, "note", row->note);
	}
	fputs("}\n", out);
}

/* One cell of the table: '-' for what is not a number. */
static void cell_print(FILE *out, int width, double v)
{
	if (isnan(v))
		fprintf(out, " %*s", width, "-");
	else if (v != 0 && fabs(v) < 0.1)
		fprintf(out, " %*.5f", width, v);
	else if (fabs(v) < 1000)
		fprintf(out, " %*.3f", width, v);
	else
		fprintf(out, " %*.0f", width, v);
}

/* A cell of the spread: '-' for what was not told. */
static void count_print(FILE *out, int width, double v)
{
	const char *unit = v >= 1e6 ? "M" : v >= 1e3 ? "k" : "";

	v = v >= 1e6 ? v / 1e6 : v >= 1e3 ? v / 1e3 : v;
	if (!v)
		fprintf(out, " %*s", width, "-");
	else
		fprintf(out, " %*.*f%s", width - (*unit != 0), v < 10 ? 2 : 1, v,
			unit);
}

static void range_print(FILE *out, const struct report_spread *spread)
{
	char text[64] = "-";

	if (spread->max)
		snprintf(text, sizeof(text), "%.4g..%.4g", spread->min,
			spread->max);
	fprintf(out, " %15s", text);
}

static void row_print_spread(FILE *out, const struct report_row *row)
{
	const struct report_spread *ours = &row->ours_spread;
	const struct report_spread *theirs = &row->theirs_spread;

	count_print(out, 7, ours->p99);
	count_print(out, 7, theirs->p99);
	count_print(out, 7, ours->rate);
	count_print(out, 7, theirs->rate);
	range_print(out, ours);
	range_print(out, theirs);
}

static void row_print_table(const struct report *rep, const struct report_row *row)
{
	FILE *out = rep->out;
	char goal[32] = "-";

	if (!rep->n_rows)
		fprintf(out, "%-*s %12s %12s %-6s %9s %10s %-4s%s\n",
			NAME_WIDTH, rep->bench, "ours", "theirs", "unit",
			"ratio", "goal", "met", rep->spread ? SPREAD_HEAD : "");
	if (row->bound != REPORT_FIGURE)
		snprintf(goal, sizeof(goal), "%s %g",
			row->bound == REPORT_AT_MOST ? "<=" : ">=", row->goal);
	fprintf(out, "%-*s", NAME_WIDTH, row->name);
	cell_print(out, 12, row->ours);
	cell_print(out, 12, row->theirs);
	fprintf(out, " %-6s", row->unit);
	cell_print(out, 9, isnan(row->theirs) ? NAN : row_ratio(row));
	fprintf(out, " %10s %-4s", goal,
		row->bound == REPORT_FIGURE ? "" :
		report_row_met(row) ? "yes" : "NO");
	if (rep->spread)
		row_print_spread(out, row);
	fprintf(out, "%s%s\n", row->note ? " " : "", row->note ? row->note : "");
}

void report_row(struct report *rep, const struct report_row *row)
{
	if (rep->json)
		row_print_json(rep, row);
	else
		row_print_table(rep, row);
	fflush(rep->out);
	rep->n_rows++;
	rep->n_missed += !report_row_met(row);
}

void report_say(const struct report *rep, const char *fmt, ...)
{
	va_list ap;

	if (rep->json)
		return;
	va_start(ap, fmt);
	vfprintf(rep->out, fmt, ap);
	va_end(ap);
	fputc('\n', rep->out);
	fflush(rep->out);
}

int report_close(struct report *rep)
{
	if (!rep->n_rows)
		report_fatal(rep, "nothing was measured");
	if (rep->n_missed)
		report_say(rep, "%u of %u goals and figures: goal not met",
			rep->n_missed, rep->n_rows);
	if (fflush(rep->out) || ferror(rep->out))
		report_fatal(rep, "the results could not be written");
	return 0;
}

void report_fatal(const struct report *rep, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", rep->bench);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

static int double_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double report_quantile(double *samples, size_t n, double q)
{
	size_t rank = (size_t)ceil(q * (double)n);

	qsort(samples, n, sizeof(*samples), double_compare);
	if (rank > n)
		rank = n;
	return samples[rank ? rank - 1 : 0];
}

double report_median(double *samples, size_t n)
{
	qsort(samples, n, sizeof(*samples), double_compare);
	return n % 2 ? samples[n / 2] :
		       (samples[n / 2 - 1] + samples[n / 2]) / 2;
}

uint64_t report_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}
