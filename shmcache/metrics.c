/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.c: the text format of Prometheus. */
#include <inttypes.h>

#include "ipc/metric.h"
#include "shmcache/metrics.h"
#include "shmcache/version.h"

/*
 * Names and units are Prometheus' (seconds, bytes, _total). What comes in kinds is one metric with
 * a label. Histograms are told by powers of two, half of the buckets that there are: each bucket is
 * a line of its own at every scrape. Kinds that never occurred are told as 0, so that a rate has a
 * first point.
 */
static void head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_plain(FILE *out, const struct abi_plane *plane)
{
	unsigned i;

	for (i = 0; i < ABI_N_COUNTERS; i++) {
		head(out, abi_counter_name(i), "counter", abi_counter_help(i));
		fprintf(out, "%s %" PRIu64 "\n", abi_counter_name(i),
			metric_counter(plane, i));
	}
	for (i = 0; i < ABI_N_GAUGES; i++) {
		head(out, abi_gauge_name(i), "gauge", abi_gauge_help(i));
		fprintf(out, "%s %" PRIu64 "\n", abi_gauge_name(i),
			shared_u64_load(&plane->gauge[i]));
	}
}

static void write_kinds(FILE *out, const struct abi_plane *plane, const struct metric_kinds *kinds)
{
	unsigned i;

	head(out, kinds->name, "counter", kinds->help);
	for (i = kinds->first; i < kinds->first + kinds->n; i++)
		fprintf(out, "%s{%s=\"%s\"} %" PRIu64 "\n", kinds->name, kinds->label,
			kinds->kind_name(i), metric_kind(plane, kinds, i));
}

static void write_histogram(
	FILE *out, const char *name, const char *label, const char *kind, const struct histogram *h)
{
	uint64_t n = 0;
	unsigned i;

	for (i = 0; i < ABI_HISTOGRAM_BUCKETS - 1; i++) {
		n += h->bucket[i];
		if (i % 2 == 0)
			fprintf(out, "%s_bucket{%s=\"%s\",le=\"%.9g\"} %" PRIu64 "\n", name, label,
				kind, (double)histogram_bucket_begin(i + 1) / 1e9, n);
	}
	fprintf(out, "%s_bucket{%s=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name, label, kind, h->n);
	fprintf(out, "%s_sum{%s=\"%s\"} %.9f\n", name, label, kind, (double)h->sum_ns / 1e9);
	fprintf(out, "%s_count{%s=\"%s\"} %" PRIu64 "\n", name, label, kind, h->n);
}

static void write_times(FILE *out, const struct abi_plane *plane)
{
	static const char operation[] = "shmcache_operation_duration_seconds";
	static const char stage[] = "shmcache_stage_duration_seconds";
	struct histogram h;
	unsigned i;

	head(out, operation, "histogram", "from the taking of a request to its answer, sampled");
	for (i = ABI_OP_NONE + 1; i < ABI_N_OPERATIONS; i++) {
		metric_operation_time(plane, i, &h);
		write_histogram(out, operation, "operation", abi_operation_name(i), &h);
	}
	head(out, stage, "histogram", "what workers do beside requests, or as a part of them");
	for (i = 0; i < ABI_N_STAGES; i++) {
		metric_stage_time(plane, i, &h);
		write_histogram(out, stage, "stage", abi_stage_name(i), &h);
	}
}

static void write_broker(FILE *out, const struct abi_plane *plane)
{
	head(out, "shmcache_build_info", "gauge", "1, with what is served and by which version");
	fprintf(out, "shmcache_build_info{name=\"%.*s\",version=\"%s\"} 1\n",
		(int)sizeof(plane->name), plane->name, SHMCACHE_VERSION);
	head(out, "shmcache_epoch", "gauge", "how often a broker was started on this memory");
	fprintf(out, "shmcache_epoch %" PRIu64 "\n", shared_u64_load(&plane->epoch));
	head(out, "shmcache_workers", "gauge", "worker threads");
	fprintf(out, "shmcache_workers %" PRIu32 "\n", shared_u32_load(&plane->n_workers));
}

void metrics_write(FILE *out, const struct abi_plane *plane)
{
	unsigned i;

	write_broker(out, plane);
	write_plain(out, plane);
	for (i = 0; i < METRIC_N_KINDS; i++)
		write_kinds(out, plane, &metric_kinds[i]);
	write_times(out, plane);
}
